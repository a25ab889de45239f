# The life of a refund, whatever the channel does: every row of the sandbox's
# table to its end, and the faults that others have (fault_NN).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Refundx;
use Refundx::Oracle;
use Test::More;

# A world that runs thirty times as fast: a poll after 2 s, refunds of one
# payment 2 s apart, a call that is not answered is given up after half a second.
my $rx = Refundx->new('main',
	sandbox => [ '--speed', 30, '--callback-delay-ms', 50, '--not-found-ms', 30000 ],
	config => { time_scale => 30, not_found_after => 2 },
	# holds are lifted here as nobody may, and that would pause the merchant
	settings => { 'refundx.clerk_interval' => '1s', 'refundx.background_checks' => 'off', 'max_worker_processes' => 20 });
my $sandbox = $rx->sandbox;

$rx->sql("SELECT refundx.account_open('A', 'CNY')");
$rx->sql("SELECT refundx.account_credit('A', 100000000, 'opening')");

# A payment of 500.00 for each refund; the last four digits of the amount say
# what the channel does with it.
sub start
{
	my ($magic, $no, %more) = @_;

	$no ||= "R$magic";
	$rx->payment("P$no", 50000, account => 'A');
	return $rx->refund("P$no", $no, 10000 + $magic, %more);
}

sub events
{
	my ($no, $where) = @_;
	return $rx->sql(
		"SELECT count(*) FROM refundx.event e JOIN refundx.instruction i USING (instruction_id)
		   LEFT JOIN refundx.evidence v USING (evidence_id)
		  WHERE i.instruction_no = '$no' AND ($where)");
}

my $released = "SELECT refunding = 0 AND refunded = 0 FROM refundx.payment WHERE payment_no = ";

# ---- the whole table ----

my %end = (
	0 => 'succeeded', 9001 => 'failed', 9011 => 'failed', 9004 => 'abnormal', 9024 => 'returned',
	map({ $_ => 'succeeded' }
		9002, 9003, 9005, 9006, 9007, 9008, 9010, 9012, 9013, 9014, 9016, 9017, 9018, 9019,
		9020, 9021, 9022, 9023));

start($_) foreach sort keys %end;
foreach my $held (9018, 9019)
{
	ok(Refundx::wait_for(sub { sent_times($rx, "R$held") }, "R$held arrives"), "R$held is at the channel");
}
# the caller has given up by then, and asks
$rx->wait_state('R9018', [ 'accepted', 'succeeded' ], 'R9018 is asked about while its answer is held');
$sandbox->ctl('release', 'R9018');
ok(Refundx::wait_for(sub { sent_times($rx, 'R9019') > 1 }, 'R9019 again'),
	'R9019, found nowhere long enough after its attempt, is sent again with the same number');
$sandbox->ctl('release', 'all');
$rx->wait_state("R$_", $end{$_}, "R$_ ends as $end{$_}") foreach sort keys %end;
sound($rx, 'after the whole table');
wire_ok($rx, 'after the whole table');
is_deeply([ map { $_->{no} } grep { $_->{paid_times} > 1 } @{ $sandbox->refunds } ], [], 'nothing is paid twice');

is(lines_of($rx, 'R0'), 'queued>sending>accepted>succeeded', 'the usual way');
is(lines_of($rx, 'R9001'), 'queued>sending>unknown>failed', 'a refusal is asked about before it is believed');
is(lines_of($rx, 'R9016'), 'queued>sending>succeeded', 'paid at once');
# (the callback may be faster than the end of the call)
like(lines_of($rx, 'R9002'), qr/^queued>sending>(unknown>(accepted>)?)?succeeded$/, 'paid without an answer');
is($rx->payment_sums('PR9001'), '50000|0|0', 'refused: the money is free again');
is($rx->payment_sums('PR9004'), '50000|19004|0', 'abnormal: still frozen');
is($rx->payment_sums('PR9024'), '50000|0|0', 'to the merchant: the payer got nothing');
is($rx->sql("SELECT returned FROM refundx.payment WHERE payment_no = 'PR9024'"), 19024, '... and it came back');

# ---- what others lose ----

subtest 'fault_02: without an answer, it is asked about by our own number' => sub {
	$sandbox->ctl('pause-callbacks', 'on');
	start(9002, 'F02');
	$rx->wait_state('F02', 'succeeded', 'it settles though neither answer nor callback came');
	ok(events('F02', "v.source = 'query' AND to_state = 'succeeded'"), 'by a query');
	is(sent_times($rx, 'F02'), 1, 'sent once');
	$sandbox->ctl('pause-callbacks', 'off');
};

subtest 'fault_03: a verified callback overwrites no end' => sub {
	start(9001, 'F03');
	$rx->wait_state('F03', 'failed');
	# What the channel does not say by itself: evidence that it has paid.
	evidence('F03', 'SUCCEEDED');
	ok($rx->poll("SELECT hold IS NOT NULL FROM refundx.payment WHERE payment_no = 'PF03'"),
		'a contradiction places a hold on the payment');
	is($rx->state('F03'), 'failed', 'and moves nothing');
	is($rx->payment_sums('PF03'), '50000|0|0', 'no money either');
	like(column($rx, 'F03', 'person_reason'), qr/succeeded.*failed/, 'a person is told');
	like($rx->sql_error('SELECT ' . $rx->refund_text('PF03', 'F03b', 100)), qr/^RX007 /,
		'no other refund of that payment until it is resolved');

	evidence('R9023', 'DEAD');
	ok($rx->poll("SELECT hold IS NOT NULL FROM refundx.payment WHERE payment_no = 'PR9023'"),
		'the same the other way round');
	is($rx->state('R9023'), 'succeeded', 'succeeded never becomes failed');
	# the account is on hold as well; what follows needs it
	$rx->sql('UPDATE refundx.account SET hold = NULL');
};

# Evidence as the listener would keep it, of a callback that verified.
sub evidence
{
	my ($no, $verdict) = @_;
	$rx->sql(
		"INSERT INTO refundx.evidence (channel_id, merchant_id, source, digest, verdict, proof, wire_no)
		 SELECT channel_id, merchant_id, 'callback', sha256(convert_to('$no $verdict', 'UTF8')),
				lower('$verdict'), true, wire_no
		   FROM refundx.instruction WHERE instruction_no = '$no'");
	return;
}

subtest 'fault_04 fault_10: an error before the call leaves it due' => sub {
	my $key = $sandbox->key_directory . '/apiclient_key.pem';

	my $mark = -s $rx->node->logfile;

	# A running dispatcher keeps the keys that it has read.
	rename $key, "$key.away" or die;
	$rx->node->restart;
	ok(Refundx::wait_for(sub { $rx->node->log_contains('there is no file "apiclient_key.pem"', $mark) },
			'the key is missed'), 'the log names the file');
	ok($rx->sql("SELECT count(*) FROM refundx.channel_check('wx') WHERE level = 'error' AND finding LIKE '%apiclient_key.pem%'"),
		'and so does channel_check()');
	start(0, 'F04');
	# long enough for the dispatcher to have looked at it
	ok($rx->poll("SELECT clock_timestamp() > submitted_at + interval '1 s' FROM refundx.instruction WHERE instruction_no = 'F04'"));
	is($rx->state('F04'), 'queued', 'no key is no refusal');
	is(column($rx, 'F04', 'due_at IS NOT NULL'), 't', 'it is due');
	is(sent_times($rx, 'F04'), 0, 'and was not sent');
	rename "$key.away", $key or die;
	$rx->node->reload;
	$rx->wait_state('F04', 'succeeded', 'it goes on by itself when the key is back');
};

subtest 'fault_05 fault_13 fault_23: never more than was paid' => sub {
	$rx->payment('PF05', 10000);
	$rx->refund('PF05', 'F05a', 6000);
	like($rx->sql_error('SELECT ' . $rx->refund_text('PF05', 'F05b', 6000)),
		qr/^RX001 .*exceeds the 4000 left/, 'refused before anything is sent');
	like($rx->sql_error("UPDATE refundx.payment SET refunding = 10001 WHERE payment_no = 'PF05'"),
		qr/^23514 .*payment_never_over_refunded/, 'and behind that stands a constraint');
	$rx->wait_state('F05a', 'succeeded');
	like($rx->sql_error('SELECT ' . $rx->refund_text('PF05', 'F05b', 4001)), qr/^RX001 /, 'also when it is paid');
	is(sent_times($rx, 'F05b'), 0, 'the channel has not seen it');
};

subtest 'fault_08 fault_09 fault_14: nothing uncertain is called failed' => sub {
	foreach my $magic (9002, 9003, 9007, 9008, 9010, 9020, 9021, 9022, 9023)
	{
		is(events("R$magic", "to_state = 'failed'"), 0, "R$magic was never failed");
		ok(events("R$magic", "v.source IN ('answer', 'recovery') AND v.verdict = 'unknown'"),
			"R$magic: its call's outcome is unknown");
	}
	is(events('R9021', "to_state = 'succeeded' AND v.source IN ('query', 'callback')"), 1,
		'a late proof settles what an exception left open');
};

subtest 'fault_11: abnormal has its own state, and its remedy' => sub {
	is($rx->state('R9004'), 'abnormal');
	like(column($rx, 'R9004', 'person_suggestion'), qr/another card/, 'a person is told what to do');
	$sandbox->ctl('settle', 'R9004', 'SUCCESS');
	$rx->wait_state('R9004', 'succeeded', 'the remedy is picked up');
	ok(events('R9004', "v.source = 'query' AND to_state = 'succeeded' AND from_state = 'abnormal'"),
		'by the query that says who received it');
	is(column($rx, 'R9004', 'person_reason IS NULL'), 't', 'nobody has to look at it any more');
};

subtest 'fault_12: duplicates are acknowledged' => sub {
	my $before = $sandbox->ctl('stats')->{callbacks};

	$sandbox->ctl('callback', 'R9005', 5);
	ok(Refundx::wait_for(sub { $sandbox->ctl('stats')->{callbacks}{acknowledged} >= $before->{acknowledged} + 5 },
			'five acknowledgements'), 'five more copies after the end are all acknowledged');
	is($sandbox->ctl('stats')->{callbacks}{refused}, $before->{refused}, 'none is refused');
	is(events('R9005', "from_state <> to_state AND to_state = 'succeeded'"), 1, 'it succeeded once');
	is($rx->sql("SELECT count(*) FROM refundx.journal j JOIN refundx.instruction i USING (instruction_id)
				 WHERE instruction_no = 'R9005'"), 2, 'two journal lines, as ever');
};

subtest 'fault_15 fault_16: callback, query and answer settle alike' => sub {
	# by callback; by query only; by the answer
	foreach my $no (qw(R0 R9013 R9016))
	{
		my ($paid, $refunding, $refunded) = split /\|/, $rx->payment_sums("P$no");

		is_deeply([ $refunding, $refunded ], [ 0, column($rx, $no, 'amount') ], "$no: the same columns");
		is($rx->sql("SELECT string_agg(type, ' ' ORDER BY version) FROM refundx.journal j
					 JOIN refundx.instruction i USING (instruction_id) WHERE instruction_no = '$no'"),
			'freeze pay_out', "$no: the same lines");
		is(column($rx, $no, "due_at IS NULL AND channel_refund_id IS NOT NULL AND person_reason IS NULL"), 't',
			"$no: the same row");
	}
	is(events('R9013', "to_state = 'succeeded' AND v.source = 'query'"), 1, 'R9013 was settled by a query');
	# the order can be refunded again, whichever way the first one ended
	$rx->refund("P$_", "again-$_", 100) foreach qw(R0 R9001 R9011 R9013 R9003);
	$rx->wait_state("again-$_", 'succeeded', "P$_ can be refunded again") foreach qw(R0 R9001 R9011 R9013 R9003);
};

subtest 'fault_19 fault_22: a repeat is the same number with the same bytes' => sub {
	foreach my $no (qw(R9003 R9020))
	{
		my @sent = grep { $_->{call} eq 'wechat.refund.create' && $_->{no} eq $no } @{ $sandbox->wire };
		my %digests = map { $_->{digest} => 1 } @sent;

		ok(@sent > 1, "$no was sent more than once");
		is(keys %digests, 1, "$no: with the same bytes");
		is(paid_times($rx, $no), 1, "$no: paid once");
	}
	like($rx->sql_error("DELETE FROM refundx.instruction WHERE instruction_no = 'R9001'"), qr/^RX015 /,
		'a refused refund is not deleted');
	is($rx->sql("SELECT state FROM " . $rx->refund_text('PR9001', 'R9001', 19001)), 'failed',
		'the same call again returns it');
	like($rx->sql_error('SELECT ' . $rx->refund_text('PR9001', 'R9001', 19002)), qr/^RX003 /,
		'its number is not free for anything else');
};

subtest 'fault_20: every change has its line, and freezing twice is impossible' => sub {
	$rx->payment('PF20', 50000, account => 'A');
	$rx->sql(join '; ', ('SELECT ' . $rx->refund_text('PF20', 'F20', 19001)) x 3);
	is($rx->sql("SELECT count(*) FROM refundx.journal j JOIN refundx.instruction i USING (instruction_id)
				 WHERE instruction_no = 'F20' AND type = 'freeze'"), 1, 'three calls freeze once');
	like($rx->sql_error("INSERT INTO refundx.journal (account_id, version, type, instruction_id, d_available, d_frozen, d_outside, available, frozen)
						 SELECT account_id, version + 1000, type, instruction_id, d_available, d_frozen, d_outside, available, frozen
						   FROM refundx.journal j JOIN refundx.instruction i USING (instruction_id, account_id)
						  WHERE instruction_no = 'F20' AND type = 'freeze'"),
		qr/^23505 .*journal_once_per_instruction/, 'nor does any other code');
	$rx->wait_state('F20', 'failed');
	is($rx->sql("SELECT string_agg(type, ' ' ORDER BY version) FROM refundx.journal j
				 JOIN refundx.instruction i USING (instruction_id) WHERE instruction_no = 'F20'"),
		'freeze release', 'the release has its line too');
};

subtest 'fault_24 fault_31: canceled means never sent' => sub {
	$rx->set('refundx.dispatch' => 'off');
	ok($rx->poll("SELECT doing LIKE '%dispatch is off%' FROM refundx.worker_status() WHERE kind = 'dispatcher'"),
		'nothing is sent for now');
	start(0, 'F24');
	is($rx->sql("SELECT state FROM refundx.refund_cancel('F24', 'changed their mind')"), 'canceled', 'canceled');
	$rx->set('refundx.dispatch' => 'on');
	start(0, 'F24b');
	$rx->wait_state('F24b', 'succeeded', 'a later one passes');
	is(sent_times($rx, 'F24'), 0, 'the canceled one was never sent');
	is($rx->payment_sums('PF24'), '50000|0|0', 'and its money is free');

	# Timed out, found nowhere, queued again: it may still land.
	start(9019, 'F31');
	ok(Refundx::wait_for(sub { sent_times($rx, 'F31') }, 'F31 arrives'), 'the first call is at the channel');
	$rx->wait_state('F31', [ 'unknown', 'queued' ]);
	like($rx->sql_error("SELECT refundx.refund_cancel('F31', 'too slow')"), qr/^RX006 /,
		'what was attempted cannot be canceled');
	$sandbox->ctl('release', 'F31');
	ok(Refundx::wait_for(
			sub { $sandbox->ctl('release', 'all'); $rx->state('F31') eq 'succeeded' }, 'F31 succeeds'),
		'and the first call that lands late is paid once') || diag($rx->story('F31'));
	is(paid_times($rx, 'F31'), 1, '... in the ledger');
};

subtest 'fault_26: nothing that matters is unlogged' => sub {
	is($rx->sql("SELECT count(*) FROM pg_class WHERE relnamespace = 'refundx'::regnamespace
				 AND relkind = 'r' AND relpersistence <> 'p'"), 0, 'all tables are logged');
};

subtest 'fault_29: a callback before the answer' => sub {
	ok(events('R9006', "v.source = 'callback' AND to_state = 'succeeded' AND from_state = 'sending'"),
		'it settled the refund while its call was under way');
	is(events('R9006', "v.source = 'answer' AND from_state = to_state"), 1, 'the answer changed nothing');
	is(events('R9017', "to_state = 'succeeded' AND from_state <> to_state"), 1,
		'callbacks that overtake each other end the same');
};

subtest 'fault_30: a refund made elsewhere counts against the payment' => sub {
	# Another database, of the same merchant, whose callbacks come here.
	$rx->node->safe_psql('postgres', 'CREATE DATABASE other');
	$rx->set('refundx.databases' => 'shop:' . $rx->callback_port . ', other');
	my $other = bless { %$rx, database => 'other' }, 'Refundx';

	$other->sql('CREATE EXTENSION refundx');
	$other->channel_add('wx', time_scale => 30, not_found_after => 1);
	$_->payment('PF30', 10000) foreach $rx, $other;
	$other->refund('PF30', 'F30', 7000);
	ok($rx->poll("SELECT counted = 7000 FROM refundx.external_refund WHERE wire_no = 'F30'"),
		'its callback is kept and counted');
	like($rx->sql_error('SELECT ' . $rx->refund_text('PF30', 'F30b', 3001)), qr/^RX001 .*3000 left/,
		'what is left is less');
	like($rx->sql("SELECT person_suggestion FROM refundx.external_refund WHERE wire_no = 'F30'"),
		qr/who made it/, 'and a person is told');
	$other->wait_state('F30', 'succeeded');
};

# ---- the merchant must act ----

subtest 'an empty balance pauses the merchant, not the refund' => sub {
	start(9009, 'H1');
	ok($rx->poll("SELECT paused = 'hold' FROM refundx.merchants"), 'the first refusal pauses the merchant');
	start(0, 'H2');
	is($rx->state('H1'), 'queued', 'the refund stays queued') unless $rx->state('H1') eq 'sending';
	# One probe at a time, however long it takes.
	$rx->sql('SELECT pg_sleep(2)');
	is(events('H1', "to_state = 'failed'") + events('H2', "to_state = 'failed'"), 0, 'and fails nothing');
	is($rx->payment_sums('PH1'), '50000|19009|0', 'still frozen');
	like($rx->sql_error("SELECT refundx.refund_cancel('H1', 'no money')"), qr/^RX006 /,
		'attempted, so it is not canceled') if column($rx, 'H1', 'attempts') > 0;
	$sandbox->ctl('topup');
	$rx->wait_state($_, 'succeeded', "$_ goes on by itself after the top-up") foreach qw(H1 H2);
	is($rx->sql('SELECT count(*) FROM refundx.merchant_pause'), 0, 'nothing is paused any more');
};

subtest 'wrong keys pause the merchant, and fail nothing' => sub {
	start(9015, 'H3');
	$rx->wait_state('H3', 'succeeded', 'the probe with the same number resumes it');
	is(events('H3', "v.verdict = 'config'"), 1, 'after one 401');
	is(paid_times($rx, 'H3'), 1, 'paid once');
};

drained($rx, 'before the clock is moved');
wire_ok($rx, 'before the clock is moved', 'F30');

# ---- years go by ----

subtest 'fault_17 fault_07: no clock ends what is in flight' => sub {
	my $slow = Refundx::literal(Refundx::to_json({ time_scale => 1 }));

	# a call that takes long, and a clock that says it took days
	$rx->sql("SELECT refundx.channel_set('wx', $slow)");
	$rx->node->restart;
	$sandbox->ctl('pause-callbacks', 'on');
	start(9018, 'F17');
	ok(Refundx::wait_for(sub { sent_times($rx, 'F17') }, 'F17 arrives'), 'the call is under way');
	$rx->set('refundx.clock_offset' => 30 * 86400);
	my $clerk = "FROM refundx.worker_status() WHERE kind = 'clerk' AND database = current_database()";
	my $rounds = $rx->sql("SELECT since $clerk");
	ok($rx->poll("SELECT since > '$rounds'::timestamptz + interval '2 s' $clerk"),
		'the clerk has been there');
	is($rx->state('F17'), 'sending', 'a month later it is still being sent');
	is(sent_times($rx, 'F17'), 1, 'once');
	is($rx->payment_sums('PF17'), '50000|19018|0', 'and still frozen');
	$sandbox->ctl('release', 'F17');
	$rx->wait_state('F17', [ 'accepted', 'succeeded' ], 'the answer comes, and counts');
	$sandbox->ctl('pause-callbacks', 'off');
	$rx->wait_state('F17', 'succeeded');
	$rx->sql("SELECT refundx.channel_set('wx', '{\"time_scale\": 30}')");
};

subtest 'fault_06: polls thin out and never end' => sub {
	my $seen;

	start(9004, 'F06');
	$rx->wait_state('F06', 'abnormal');
	foreach my $days (60, 120, 240)
	{
		$seen = events('F06', "v.source = 'query'");
		$rx->set('refundx.clock_offset' => $days * 86400);
		ok($rx->poll("SELECT count(*) > $seen FROM refundx.evidence WHERE wire_no = 'F06' AND source = 'query'"),
			"asked about after $days days");
		ok($rx->poll("SELECT due_at IS NOT NULL FROM refundx.instruction WHERE instruction_no = 'F06'"),
			'and due again');
	}
	is(column($rx, 'F06', 'person_reason IS NOT NULL'), 't', 'with a person too');
	$sandbox->ctl('settle', 'F06', 'CLOSED');
	$rx->wait_state('F06', 'failed', 'the late word counts');
};

drained($rx, 'at the end');
tables_ok($rx, 'at the end');

$rx->stop;
done_testing();
