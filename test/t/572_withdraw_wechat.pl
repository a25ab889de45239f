# WeChat Pay's transfers, in which the payee has a word: he confirms in the app,
# declines, or lets a day pass; and until then the merchant may think again.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Oracle;
use Refundx::Withdrawals;
use Test::More;

# Here no payee does anything by himself.
my $all = Refundx::Withdrawals->new('main', only => ['wechat'], sandbox => [ '--payee', 'waits' ]);
my $rx = $all->rx;
my $sandbox = $all->sandbox;

$rx->sql('CREATE ROLE shop_app LOGIN IN ROLE refundx_app; CREATE ROLE other_app LOGIN IN ROLE refundx_app;
	CREATE ROLE op LOGIN IN ROLE refundx_operator');

# A withdrawal of the login shop_app; its number.
sub start
{
	my ($no, $amount, %more) = @_;
	my $own = $all->no('wechat', $no);
	my $came = $all->as('shop_app', 'SELECT ' . $all->text('wechat', $own, $amount, %more));

	like($came, qr/^\(?$own[,|]/, "$own is submitted") or die $came;
	return $own;
}

sub waits_for_payee
{
	my ($own) = @_;
	return ok($rx->poll("SELECT detail = 'WAIT_USER_CONFIRM' AND state = 'accepted' FROM refundx.instruction
		WHERE instruction_no = '$own'"), "$own waits for the payee") || diag($rx->story($own));
}

sub cancel { return $all->as('shop_app', "SELECT (refundx.withdraw_cancel('$_[0]', 'thought again')).state") }
sub package_of { return $all->as($_[1] || 'shop_app', "SELECT refundx.withdraw_package('$_[0]')") }

# ---- what the payee needs, and who gets it ----

subtest 'the package' => sub {
	my $own = start('PKG', 19004);
	my $package;

	waits_for_payee($own);
	$package = package_of($own);
	cmp_ok(length $package, '>', 20, 'who submitted it gets the package');
	is(package_of($own, 'other_app'), '', 'another application does not');
	is(package_of($own, 'op'), '', 'nor does an operator');
	is(package_of($own, 'postgres'), '', 'nor a superuser by that function') if $rx->sql("SELECT count(*) FROM pg_roles WHERE rolname = 'postgres'");
	is($all->as('other_app', "SELECT refundx.withdraw_state('$own')"), '', 'to the other it does not exist');
	like($all->as('other_app', "SELECT refundx.withdraw_cancel('$own')"), qr/^RX012 /, 'nor can it be canceled by it');
	is($rx->sql("SELECT count(*), min(detail), min(submitted_by) FROM refundx.awaiting_payee WHERE withdrawal_no = '$own'"),
		'1|WAIT_USER_CONFIRM|shop_app', 'operators see that it waits');
	foreach my $text ("SELECT * FROM refundx.withdrawals", "SELECT * FROM refundx.awaiting_payee",
		"SELECT * FROM refundx.withdraw_timeline('$own')", "SELECT refundx.withdraw_explain('$own')",
		"SELECT * FROM refundx.evidence_log", "SELECT * FROM refundx.desk", "SELECT * FROM refundx.attempts")
	{
		my $shown = $all->as('op', $text);
		unlike($shown, qr/^\w{5} /, "$text");
		is(index($shown, $package), -1, 'and the package is not in it');
	}
	is($all->as('shop_app', "CALL refundx.withdraw_wait('$own', '200 ms')"), 'accepted', 'waiting for it tells how far it is');
	is($all->journal($own), 'freeze', 'the money stays frozen');
	$sandbox->ctl('confirm', $own);
	$all->ends($own, 'succeeded');
	is(package_of($own), '', 'there is no package any more');
	is($rx->sql("SELECT count(*) FROM refundx.awaiting_payee WHERE withdrawal_no = '$own'"), 0, 'and nobody waits');
};

subtest 'the payee declines' => sub {
	my $own = start('DECLINE', 19004);

	waits_for_payee($own);
	$sandbox->ctl('decline', $own);
	$all->ends($own, 'failed');
	is(package_of($own), '', 'there is no package any more');
};

subtest 'confirmed, and on its way for long' => sub {
	my $own = start('LONG', 19305);

	waits_for_payee($own);
	$sandbox->ctl('confirm', $own);
	ok($rx->poll("SELECT detail = 'TRANSFERING' FROM refundx.instruction WHERE instruction_no = '$own'"), 'it is on its way');
	is($rx->state($own), 'accepted', 'and not at its end');
	is($rx->sql("SELECT count(*) FROM refundx.awaiting_payee WHERE withdrawal_no = '$own'"), 0, 'nobody waits for the payee');
	is($rx->sql("SELECT withdrawals FROM refundx.in_transit WHERE channel = 'wechat'"), 1, 'it is money in transit');
	# too late to be canceled: the channel says so, and nothing changes
	is(cancel($own), 'accepted', 'it is to be canceled');
	ok(Refundx::wait_for(sub { $all->calls($own) =~ /cancel.*query/ }, 'cancel'), 'the channel is asked');
	is($rx->state($own), 'accepted', 'which changes nothing');
	$sandbox->ctl('settle', $own, 'SUCCESS');
	$all->ends($own, 'succeeded');
};

subtest 'given up after the payee has confirmed' => sub {
	my $own = start('AFTER', 19304);

	waits_for_payee($own);
	$sandbox->ctl('confirm', $own);
	$all->ends($own, 'failed');
	is($rx->sql("SELECT count(*) > 0 FROM refundx.evidence_log WHERE wire_no = '$own'
		AND message LIKE 'REALNAME_ACCOUNT_RECEIVED_QUOTA_EXCEED%'"), 't', 'the log says why');
};

# ---- canceling ----

subtest 'canceled before it was ever sent' => sub {
	my $before = $all->balance;
	my $own;

	$rx->set('refundx.dispatch' => 'off');
	ok($rx->poll("SELECT doing LIKE '%dispatch is off%' FROM refundx.worker_status() WHERE kind = 'dispatcher'"),
		'nothing is sent');
	$own = start('NEVER', 10000);
	isnt($all->balance, $before, 'it is frozen');
	is(cancel($own), 'canceled', 'it is canceled at once');
	is($all->balance, $before, 'and its money is back');
	is(cancel($own), 'canceled', 'again: nothing new');
	$rx->set('refundx.dispatch' => 'on');
	# another goes all the way, and this one nowhere
	my $next = start('NEXT', 10000);
	waits_for_payee($next);
	is(sent_times($rx, $own), 0, 'it is never sent');
	$all->ends($own, 'canceled');
	is(lines_of($rx, $own), 'queued>canceled', 'and that is its history');
	$sandbox->ctl('confirm', $next);
	$all->ends($next, 'succeeded');
	like($all->as('shop_app', "SELECT refundx.withdraw_cancel('$next')"), qr/^RX006 /, 'what is paid cannot be canceled');
};

subtest 'canceled while the payee is waited for' => sub {
	my $own = start('WAITING', 19004);

	waits_for_payee($own);
	isnt(package_of($own), '', 'there is a package');
	is(cancel($own), 'accepted', 'the request changes no state');
	is(package_of($own), '', 'but the package is handed out no more');
	$all->ends($own, 'canceled');
	is($all->transfer($own)->{status}, 'CANCELLED', 'at the channel too');
	is($all->calls($own) =~ /^create( query)* cancel( query)*$/ ? 1 : 0, 1, 'it was asked once') || diag($all->calls($own));
	is($all->events($own, "v.source = 'cancel' AND from_state <> to_state"), 0, 'the answer to it ended nothing');
};

subtest 'a cancel that takes its time' => sub {
	my $own = start('SLOW', 19307);

	waits_for_payee($own);
	cancel($own);
	ok($rx->poll("SELECT detail = 'CANCELING' FROM refundx.instruction WHERE instruction_no = '$own'"), 'it is being canceled')
	  || diag($rx->story($own));
	is(cancel($own), 'accepted', 'asking again changes nothing');
	is($rx->state($own), 'accepted', 'its state stays');
	is($all->journal($own), 'freeze', 'its money stays frozen');
	is($all->shown($own, 'cancel_requested_at IS NOT NULL'), 't', 'the wish is shown');
	like($all->as('op', "SELECT refundx.withdraw_explain('$own')"), qr/asked to give it up/, 'and explained');
	is($rx->sql("SELECT count(*) FROM refundx.event x JOIN refundx.instruction i USING (instruction_id)
		WHERE instruction_no = '$own' AND type = 'cancel_requested'"), 1, 'it was asked for once');
	$sandbox->ctl('settle', $own, 'CANCELLED');
	$all->ends($own, 'canceled');
};

subtest 'a cancel that loses' => sub {
	my $own = start('LOST', 19306);

	waits_for_payee($own);
	is(cancel($own), 'accepted', 'the request changes no state');
	$all->ends($own, 'succeeded');
	like($all->calls($own), qr/cancel/, 'though it was asked for');
	is($rx->sql("SELECT hold IS NULL FROM refundx.accounts WHERE account = 'A'"), 't', 'and contradicts nothing');
};

subtest 'canceled while the call is under way' => sub {
	my $own = start('SENDING', 19018);

	$rx->wait_state($own, 'sending');
	ok(Refundx::wait_for(sub { sent_times($rx, $own) }, 'it arrives'), 'the channel has it, and does not answer');
	is(cancel($own), 'sending', 'the request changes no state');
	is($all->journal($own), 'freeze', 'its money stays frozen');
	unlike($all->calls($own), qr/cancel/, 'and two calls never overlap');
	$sandbox->ctl('release', 'all');
	$all->ends($own, 'canceled');
	is(lines_of($rx, $own), 'queued>sending>accepted>canceled', 'by the channel');
};

subtest 'canceled while nobody knows what became of it' => sub {
	my ($there, $nowhere);

	# so that no query is made before the request
	$rx->sql(q(SELECT refundx.channel_set('wechat', '{"time_scale": 1, "not_found_after": 600}')));
	$there = start('HAS', 19021);
	$nowhere = start('HASNOT', 19020);
	$rx->wait_state($_, 'unknown') foreach $there, $nowhere;
	is(cancel($_), 'unknown', "$_: the request changes no state") foreach $there, $nowhere;
	$rx->sql(q(SELECT refundx.channel_set('wechat', '{"time_scale": 30, "not_found_after": 2}')));
	$all->ends($there, 'canceled');
	like($all->calls($there), qr/^create query( query)* cancel/, 'it was asked about first');
	ok($rx->poll("SELECT coalesce(person_reason LIKE 'it was to be canceled%', false) FROM refundx.instruction
		WHERE instruction_no = '$nowhere'"), 'what the channel does not know is with a person') || diag($rx->story($nowhere));
	is($all->journal($nowhere), 'freeze', 'its money stays frozen: no clock ends it');
	my $polls = column($rx, $nowhere, 'polls');
	ok($rx->poll("SELECT polls >= $polls + 2 FROM refundx.instruction WHERE instruction_no = '$nowhere'"), 'it is asked about');
	is(sent_times($rx, $nowhere), 1, 'and is not sent again');
	unlike($all->calls($nowhere), qr/cancel/, 'there is nothing to cancel there');
};

# Sent, and certainly not executed: it waits in the queue like one that was never sent.
subtest 'canceled while the merchant is paused' => sub {
	my $own = start('HELD', 19009);
	my $next;

	ok($rx->poll("SELECT state = 'queued' AND attempts > 0 FROM refundx.instruction WHERE instruction_no = '$own'"),
		'there is too little money for it, so it is queued again');
	is(cancel($own), 'queued', 'the request changes no state: it was sent');
	is($all->journal($own), 'freeze', 'its money stays frozen');
	ok($rx->poll("SELECT coalesce(person_reason LIKE 'it was to be canceled%', false) FROM refundx.instruction
		WHERE instruction_no = '$own'"), 'it is with a person') || diag($rx->story($own));
	$sandbox->ctl('balance', $all->merchant('wechat'), 'unlimited');
	$next = start('HELDNEXT', 10000);
	waits_for_payee($next);
	$sandbox->ctl('confirm', $next);
	$all->ends($next, 'succeeded');
	is($rx->state($own), 'queued', 'with the money there it still waits');
	my $sent = sent_times($rx, $own);
	my $polls = column($rx, $own, 'polls');
	ok($rx->poll("SELECT polls >= $polls + 2 FROM refundx.instruction WHERE instruction_no = '$own'"), 'it is asked about');
	is(sent_times($rx, $own), $sent, 'and is not sent again');
	is($all->journal($own), 'freeze', 'its money stays frozen');
};

# ---- what is sent ----

subtest 'numbers' => sub {
	my $before = $all->balance;

	foreach my $no ('W-1', 'W_1', 'W 1', 'x' x 33, '号', 'W.1')
	{
		like($all->as('shop_app', 'SELECT ' . $all->text('wechat', $no, 1000)), qr/^(RX010|22023) /, "\"$no\" is refused");
		is($rx->state($no), '', 'and nothing is there');
	}
	like($all->as('shop_app', 'SELECT ' . $all->text('wechat', 'W1', 9)), qr/^RX010 /, 'less than ten fen is refused');
	is($all->balance, $before, 'nothing is frozen');
};

subtest 'the name' => sub {
	my %named = (%{ $all->payee('wechat') }, name => '张三丰');
	my $own;

	like($all->as('shop_app', 'SELECT ' . $all->text('wechat', 'NONAME', 200000)), qr/^RX010 .*payee\.name is missing/,
		'from 2000.00 on there must be one');
	like($all->as('shop_app', 'SELECT ' . $all->text('wechat', 'NAME', 29, payee => \%named)), qr/^RX010 .*payee\.name is given/,
		'below 0.30 there must be none');
	# the sandbox refuses what it cannot decrypt, and what is in clear
	$own = start('NAMED', 200000, payee => \%named);
	waits_for_payee($own);
	$sandbox->ctl('confirm', $own);
	$all->ends($own, 'succeeded');
	# an encryption that was made anew would be other bytes
	$own = start('NAMEDTWICE', 19003, payee => \%named);
	waits_for_payee($own);
	my %digests = map { $_->{digest} => 1 } grep { $_->{call} eq 'wechat.transfer.create' && $_->{no} eq $own } @{ $sandbox->wire };
	cmp_ok(sent_times($rx, $own), '>', 1, 'it was sent again');
	is(scalar keys %digests, 1, 'in the same bytes');
	$sandbox->ctl('confirm', $own);
	$all->ends($own, 'succeeded');
	my $wrong = start('WRONG', 19308, payee => \%named);
	$all->ends($wrong, 'failed');
	is($rx->sql("SELECT count(*) > 0 FROM refundx.evidence_log WHERE wire_no = '$wrong' AND message LIKE 'NAME_NOT_CORRECT%'"),
		't', 'another name is not the payee\'s');
};

# ---- a day without a word: the last, for it moves the clock ----

subtest 'a day without confirmation' => sub {
	my $own = start('DAY', 19004);
	my $funds = start('FUNDS', 19303);

	waits_for_payee($own);
	ok($rx->poll("SELECT detail = 'PROCESSING' FROM refundx.instruction WHERE instruction_no = '$funds'"), 'the other waits for funds');
	$sandbox->ctl('advance', 86400 + 60);
	foreach ($own, $funds)
	{
		$all->ends($_, 'failed');
		is($rx->sql("SELECT count(*) > 0 FROM refundx.evidence_log WHERE wire_no = '$_' AND message LIKE 'OVERDUE_CLOSE%'"),
			't', 'the log says why');
	}
	is(package_of($own), '', 'there is no package any more');
};

drained($rx, 'at the end', 'HASNOTwechat', 'HELDwechat');
sound($rx, 'at the end');
wire_ok($rx, 'at the end');
never_twice($rx);
$rx->stop;
done_testing();
