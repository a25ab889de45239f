# Faults of others, put to withdrawals: what the test of the same name in 200_life
# puts to refunds.
#
# The others that withdrawals touch: fault_01 and fault_18 are in the isolation
# spec "withdrawals" (two sessions and one account), and so are fault_24 and
# fault_31 as races; that rejected is never paid, after any sequence of calls, is
# in 580_withdraw_property.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Refundx;
use Refundx::Oracle;
use Refundx::Withdrawals;
use Test::More;

my $all = Refundx::Withdrawals->new('main');
my $rx = $all->rx;
my $sandbox = $all->sandbox;

$rx->sql('CREATE ROLE op LOGIN IN ROLE refundx_operator');

# Some days later for the server, where time only goes on; the channel's own clock stays.
my $today = 0;

sub days_later
{
	my ($days) = @_;
	my $clerk = "FROM refundx.worker_status() WHERE kind = 'clerk' AND database = current_database()";
	my $rounds = $rx->sql("SELECT since $clerk");

	$today += $days;
	$rx->set('refundx.clock_offset' => $today * 86400);
	ok($rx->poll("SELECT since > '$rounds'::timestamptz + interval '2 s' $clerk"), "$days days later, the clerk has been there");
	return;
}

sub queries_of
{
	my ($own) = @_;
	return $rx->sql("SELECT count(*) FROM refundx.evidence WHERE wire_no = '$own' AND source = 'query'");
}

# The channel has the call, and does not answer.
sub held
{
	my ($channel, $no, $amount) = @_;
	my $own = $all->start($channel, $no, $amount);

	ok(Refundx::wait_for(sub { sent_times($rx, $own) }, "$own arrives"), "$own is at the channel, which does not answer");
	return $own;
}

subtest 'fault_20: every change has its line, and freezing twice is impossible' => sub {
	my $own = $all->no('alipay', 'F20');

	$rx->sql(join '; ', ('SELECT ' . $all->text('alipay', $own, 19001)) x 3);
	is($rx->sql("SELECT count(*) FROM refundx.journal j JOIN refundx.instruction i USING (instruction_id)
				 WHERE instruction_no = '$own' AND type = 'freeze'"), 1, 'three calls freeze once');
	like($rx->sql_error("INSERT INTO refundx.journal (account_id, version, type, instruction_id, d_available, d_frozen, d_outside, available, frozen)
						 SELECT account_id, version + 1000, type, instruction_id, d_available, d_frozen, d_outside, available, frozen
						   FROM refundx.journal j JOIN refundx.instruction i USING (instruction_id, account_id)
						  WHERE instruction_no = '$own' AND type = 'freeze'"),
		qr/^23505 .*journal_once_per_instruction/, 'nor does any other code');
	$all->ends($own, 'failed');
};

subtest 'fault_24: a rejected one is not approved, nor sent' => sub {
	$all->policy('wechat', { approve_above => 0 });
	my $own = $all->start('wechat', 'F24', 10000);
	like($all->as('op', "SELECT (refundx.reject('$own', 'no')).state"), qr/^canceled$/, 'rejected');
	like($all->as('op', "SELECT refundx.approve('$own', 'yes')"), qr/^RX006 /, 'nobody approves it after that');
	$all->policy('wechat', undef);
	$all->ends($all->start('wechat', 'F24b', 10000), 'succeeded');
	is(sent_times($rx, $own), 0, 'when a later one is paid it has not been sent');
	$all->ends($own, 'canceled');
};

subtest 'fault_31: what was attempted and is found nowhere is not released by a cancel' => sub {
	my $own = held('wechat', 'F31', 19019);
	is($rx->sql("SELECT (refundx.withdraw_cancel('$own', 'too slow')).state"), 'sending', 'a cancel does not change its state');
	is($all->journal($own), 'freeze', 'nor its freeze');
	ok(Refundx::wait_for(sub { $sandbox->ctl('release', 'all'); ($all->transfer($own) || {})->{status} }, "$own lands"), 'the first call lands late');
	$rx->wait_state($own, [ 'canceled', 'succeeded' ], 'then it ends as the channel says');
	is(sent_times($rx, $own), 1, 'it is never sent again');
	is($all->transfer($own)->{paid_times}, $rx->state($own) eq 'succeeded' ? 1 : 0, 'and it is the same end on both sides');
};

# It was certainly not executed, as the channel says; and yet it was attempted.
my $asked_back;
subtest 'fault_31: queued again, it is not canceled here' => sub {
	$asked_back = $all->start('wechat', 'F31q', 19009);
	my $other = $all->start('alipay', 'F31q', 19009);

	foreach ($asked_back, $other)
	{
		ok($rx->poll("SELECT state = 'queued' AND attempts > 0 FROM refundx.instruction WHERE instruction_no = '$_'"),
			"$_ is queued after an attempt");
	}
	is($rx->sql("SELECT (refundx.withdraw_cancel('$asked_back', 'too slow')).state"), 'queued', 'WeChat is asked to give it up');
	like($rx->sql_error("SELECT refundx.withdraw_cancel('$other', 'too slow')"), qr/^RX006 /, 'Alipay gives nothing up');
	is($all->journal($_), 'freeze', "$_ stays frozen") foreach $asked_back, $other;
	$sandbox->ctl('balance', $sandbox->channel_config(undef, $_->[0])->{ $_->[1] }, 'unlimited')
	  foreach [ 'wechat', 'mchid' ], [ 'alipay-cert', 'app_id' ];
	$all->ends($other, 'succeeded');
	ok($rx->poll("SELECT person_reason LIKE 'it was to be canceled after it had been attempted%'
				  FROM refundx.instruction WHERE instruction_no = '$asked_back'"), 'what WeChat does not know is with a person');
	is($all->journal($asked_back), 'freeze', 'and frozen');
	is(sent_times($rx, $asked_back), 1, 'and not sent again');
};

subtest 'fault_36: nobody ends by hand what was sent' => sub {
	my $own = $all->start('wechat', 'F36', 19004);

	$rx->wait_state($own, 'accepted');
	like($all->as('op', "SELECT refundx.reject('$own', 'it has failed')"), qr/^RX006 /, 'an operator cannot reject it');
	like($all->as('op', "UPDATE refundx.instruction SET state = 'failed', is_open = false WHERE instruction_no = '$own'"),
		qr/^42501 /, 'nor write that it has failed');
	is($all->journal($own), 'freeze', 'it stays frozen');
	$sandbox->ctl('confirm', $own);
	$all->ends($own, 'succeeded');
};

# ---- days go by ----

subtest 'fault_27 fault_07: a withdrawal without an answer stays frozen until there is one' => sub {
	# paid there, and answer and callback are lost with the channel's line
	$sandbox->ctl('pause-callbacks', 'on');
	my @own = (held('alipay', 'F27', 19018), held('wechat', 'F27', 19018));

	$sandbox->kill9;
	$rx->wait_state($_, 'unknown') foreach @own;
	my $before = $all->balance;
	days_later(25);
	is($all->journal($_), 'freeze', "$_ is frozen") foreach @own;
	is($all->balance, $before, 'nothing was given back');
	$sandbox->start;
	$sandbox->ctl('pause-callbacks', 'off');
	$all->ends($_, 'succeeded', undef, qr//) foreach @own;
	is(sent_times($rx, $_), 1, "$_ was sent once") foreach @own;
};

subtest 'fault_17 fault_07: a slow call, and a clock that says it took days' => sub {
	my $slow = Refundx::literal(Refundx::to_json({ time_scale => 1 }));

	$rx->sql("SELECT refundx.channel_set('wechat', $slow)");
	$rx->node->restart;
	$sandbox->ctl('pause-callbacks', 'on');
	my $own = held('wechat', 'F17', 19018);
	days_later(30);
	is($rx->state($own), 'sending', 'it is still being sent');
	is(sent_times($rx, $own), 1, 'once');
	is($all->journal($own), 'freeze', 'and still frozen');
	$sandbox->ctl('release', $own);
	$rx->wait_state($own, [ 'accepted', 'succeeded' ], 'the answer comes, and counts');
	$sandbox->ctl('pause-callbacks', 'off');
	$all->ends($own, 'succeeded');
	$rx->sql("SELECT refundx.channel_set('wechat', '{\"time_scale\": 30}')");
};

my $forgotten;
subtest 'fault_33: after the time in which a number may be sent again nobody sends it' => sub {
	# the call is lost before it had an effect; Alipay keeps a number for ever
	my $again = held('alipay', 'F33', 19019);
	$forgotten = held('wechat', 'F33', 19019);

	$sandbox->kill9;
	$rx->wait_state($_, 'unknown') foreach $forgotten, $again;
	# WeChat's windows are scaled like its polls: an hour and a half here, and a day
	days_later(0.25);
	$sandbox->start;
	ok(Refundx::wait_for(sub { column($rx, $forgotten, 'person_reason') =~ /may be sent again is over/ }, 'a person', 90),
		'WeChat does not know it, and it is with a person') || diag($rx->story($forgotten) . $rx->sql("SELECT * FROM refundx.instruction WHERE instruction_no = '$forgotten'"));
	is(sent_times($rx, $forgotten), 1, 'it is not sent again');
	is($all->journal($forgotten), 'freeze', 'and not released');
	my $asked = queries_of($forgotten);
	ok($rx->poll("SELECT count(*) > $asked FROM refundx.evidence WHERE wire_no = '$forgotten' AND source = 'query'"),
		'but asked about');
	ok(Refundx::wait_for(sub { sent_times($rx, $again) > 1 }, "$again is sent again"), 'Alipay gets it again');
	ok(Refundx::wait_for(sub { $sandbox->ctl('release', 'all'); $rx->state($again) eq 'succeeded' }, "$again succeeds"), 'and pays it')
	  || diag($rx->story($again));
	is($all->transfer($again)->{paid_times}, 1, 'once');
};

subtest 'fault_06: polls thin out and never end' => sub {
	my $own = $all->start('wechat', 'F06', 19004);

	$rx->wait_state($own, 'accepted');
	foreach my $days (60, 120, 240)
	{
		my $seen = queries_of($own);
		days_later($days);
		ok($rx->poll("SELECT count(*) > $seen FROM refundx.evidence WHERE wire_no = '$own' AND source = 'query'"),
			"asked about after $days days");
		ok($rx->poll("SELECT due_at IS NOT NULL FROM refundx.instruction WHERE instruction_no = '$own'"), 'and due again');
	}
	is($all->journal($own), 'freeze', 'frozen all the time');
	$sandbox->ctl('confirm', $own);
	$rx->wait_state($own, 'succeeded', 'the late word counts');
};

drained($rx, 'but for two', $forgotten, $asked_back);
tables_ok($rx, 'at the end');
is(scalar(grep { $_->{paid_times} > 1 } @{ $sandbox->ledger->{transfers} }), 0, 'nothing is paid twice');

$rx->stop;
done_testing();
