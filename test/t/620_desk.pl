# The operator's desk, from end to end: what a person says about refunds and
# withdrawals that the channel does not explain, and what the channel says after that.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Refundx;
use Refundx::Oracle;
use Refundx::Withdrawals;
use Test::More;

my $all = Refundx::Withdrawals->new('main', only => ['wechat'], config => { time_scale => 60, not_found_after => 1 });
my $rx = $all->rx;
my $sandbox = $rx->sandbox;

$rx->sql("CREATE ROLE $_ LOGIN IN ROLE refundx_operator") foreach qw(li wang);

# A payment of 500 yuan out of an account of its own, and a refund of it.
sub refund
{
	my ($no, $amount, %more) = @_;
	my @channel = (channel => 'wechat');

	$rx->sql("SELECT refundx.account_open('A$no', 'CNY'), refundx.account_credit('A$no', 50000, 'sold')");
	$rx->payment("P$no", 50000, account => "A$no", @channel, %more);
	$rx->refund("P$no", $no, $amount, @channel);
	return;
}

# What an operator's function says: whether it is done, and its note; or the error.
sub desk
{
	my ($login, $call) = @_;
	return $all->as($login, "SELECT done, note FROM refundx.$call");
}

sub request { return $rx->sql("SELECT request_id FROM refundx.operator_requests WHERE subject = '$_[0]' AND done_at IS NULL") }
sub status { return "SELECT status FROM refundx.operator_requests WHERE subject = '$_[0]' ORDER BY request_id DESC LIMIT 1" }
sub on_desk { return $all->as('li', "SELECT severity, what FROM refundx.desk WHERE subject = '$_[0]'") }
sub evidence_since
{
	my ($no, $since, $source, $condition) = @_;
	return "SELECT count(*) > 0 FROM refundx.evidence WHERE wire_no = '$no' AND source = '$source' AND evidence_id > $since AND $condition";
}
sub last_evidence { return $rx->sql('SELECT coalesce(max(evidence_id), 0) FROM refundx.evidence') }

# Sent once, held at the channel before it has an effect, and then held here.
sub lost
{
	my ($no, $amount) = @_;

	refund($no, $amount);
	ok(Refundx::wait_for(sub { sent_times($rx, $no) }, "$no arrives"), "$no: the call is at the channel");
	like(desk('li', "hold('refund', '$no', 'what is this?')"), qr/^t\|/, "$no: an operator holds it");
	ok($rx->poll("SELECT state IN ('unknown', 'queued') AND due_call IS NOT NULL FROM refundx.instruction WHERE instruction_no = '$no'"),
		"$no: no answer");
	return;
}

# ---- what was sent and is not known ----

subtest 'fault_36: marked as failed, and paid after all' => sub {
	my $before;

	lost('F36', 9019);
	like(desk('li', "resolve('F36', 'failed', 'the console does not know it', 'the customer waits', dry_run => true)"),
		qr/^f\|It is not sent again, and the channel is asked now/, 'tried: what would happen');
	is(request('F36'), '', 'and nothing has');
	$before = last_evidence();
	like(desk('li', "resolve('F36', 'failed', 'the console does not know it', 'the customer waits')"),
		qr/^f\|It is not sent again/, 'asked for: not done');
	isnt(lines_of($rx, 'F36'), '', 'its history goes on');
	is($rx->payment_sums('PF36'), '50000|9019|0', 'and its money stays frozen');
	like(desk('li', 'confirm(' . request('F36') . ", 'yes')"), qr/^RX021 /, 'nobody confirms their own');
	ok($rx->poll(evidence_since('F36', $before, 'query', "verdict = 'not_found'")), 'the channel is asked, and does not know it');
	ok($rx->poll("SELECT (" . status('F36') . ") = 'waits for a second person'"), 'which is on the desk');
	like(on_desk('F36'), qr/^25\|request/m, 'with its severity');
	like(desk('wang', 'confirm(' . request('F36') . ", 'looked myself')"), qr/^t\|It is failed. Without proof/, 'another person ends it');
	is($rx->state('F36'), 'failed', 'it has failed');
	is($rx->payment_sums('PF36'), '50000|0|0', 'its money is free');

	$before = last_evidence();
	ok($rx->poll(evidence_since('F36', $before, 'query', 'true')), 'it is asked about all the same');
	is(sent_times($rx, 'F36'), 1, 'and not sent again');
	$rx->check_ok('ended without proof');

	# a dispatcher that starts anew knows that it has to ask
	$rx->node->stop('fast');
	$rx->node->start;
	$before = last_evidence();
	ok($rx->poll(evidence_since('F36', $before, 'query', 'true')), 'also after a restart');

	$sandbox->ctl('release', 'F36');
	ok($rx->poll("SELECT hold IS NOT NULL FROM refundx.payment WHERE payment_no = 'PF36'"), 'the first call lands: a contradiction, and a hold');
	is($rx->state('F36'), 'failed', 'nothing moves by itself');
	like(on_desk('F36'), qr/^10\|refund/, 'it is on the desk, above all');
	like($rx->sql_error('SELECT ' . $rx->refund_text('PF36', 'F36b', 1, channel => 'wechat')), qr/^RX007 /, 'no refund of the payment is accepted');
	like(desk('li', "release('payment', 'PF36', 'why')"), qr/^RX006 /, 'only resolving lifts the hold');
	like(desk('li', "resolve('F36', 'succeeded', 'the console has it', 'it was paid after all')"),
		qr/^t\|It is succeeded. Its payment is free again. Its account is free again.$/, 'resolved');
	is($rx->payment_sums('PF36'), '50000|0|9019', 'the money is out');
	is($rx->sql("SELECT available, frozen FROM refundx.accounts WHERE account = 'AF36'"), '40981|0', 'of the account too');
	is(on_desk('F36'), '', 'nobody has to look any more');
	is(paid_times($rx, 'F36'), 1, 'paid once');
	$rx->check_ok('resolved');
};

subtest 'the channel contradicts' => sub {
	my $before;

	lost('C', 9019);
	like(desk('li', "resolve('C', 'failed', 'the console does not know it', 'the customer waits')"), qr/^f\|/, 'asked for');
	$sandbox->ctl('release', 'C');
	ok($rx->poll("SELECT (" . status('C') . ") LIKE 'overtaken%' OR (" . status('C') . ") = 'contradicted by the channel'"), 'it lands');
	like(desk('wang', 'confirm(' . request('C') . ", 'yes')"), qr/^RX0(06|28) /, 'it cannot be ended without payment');
	is($all->as('wang', 'SELECT refundx.decline(' . request('C') . ", 'it is paid')"), 't', 'declined');
	$rx->wait_state('C', 'succeeded', 'it goes on as the channel says');
	is($rx->sql("SELECT count(*) FROM refundx.instruction WHERE instruction_no = 'C' AND hold_by = 'resolve'"), 0, 'nothing holds it');
	is($rx->payment_sums('PC'), '50000|0|9019', 'paid');
};

subtest 'held, asked about, and sent again' => sub {
	lost('R', 9019);
	ok($rx->poll("SELECT state = 'queued' FROM refundx.instruction WHERE instruction_no = 'R'"), 'the channel does not know it');
	like(desk('li', "retry('R', 'go on')"), qr/^RX007 /, 'on hold it is not sent');
	like(desk('li', "release('refund', 'R', 'it was nothing')"), qr/^t\|/, 'released');
	ok(Refundx::wait_for(sub { $sandbox->ctl('release', 'all'); $rx->state('R') eq 'succeeded' }, 'R succeeds'), 'it goes on') || diag($rx->story('R'));
	is(paid_times($rx, 'R'), 1, 'and is paid once');
	my $before = last_evidence();
	like(desk('li', "query_now('R', 'has it arrived?')"), qr/^t\|/, 'a finished one is asked about');
	ok($rx->poll(evidence_since('R', $before, 'query', "verdict = 'succeeded'")), 'and the channel answers');
	$before = last_evidence();
	like(desk('li', "callback_replay('R', 'again')"), qr/^t\|It came to: /, 'its callback is weighed again');
	is($rx->sql("SELECT count(*) > 0 FROM refundx.evidence WHERE evidence_id > $before AND source = 'callback'"), 't', 'as another piece');
	is($rx->payment_sums('PR'), '50000|0|9019', 'which moves nothing');
};

# A call that a process took with it, of what had just ended: the next call ends it.
subtest 'a finished one whose last call was lost is asked about' => sub {
	my $before = last_evidence();

	$rx->sql("INSERT INTO refundx.attempt (instruction_id, payment_id, merchant_id, call, wire_no)
		SELECT instruction_id, payment_id, merchant_id, 'query', wire_no FROM refundx.instruction WHERE instruction_no = 'R'");
	like(desk('li', "query_now('R', 'a crash')"), qr/^t\|/, 'asked about');
	ok($rx->poll(evidence_since('R', $before, 'query', "verdict = 'succeeded'")), 'the channel answers');
	is($rx->sql("SELECT count(*) FROM refundx.evidence WHERE evidence_id > $before AND wire_no = 'R' AND message LIKE 'the process that made this call ended%'"),
		1, 'what was lost has ended too');
	is($rx->sql("SELECT * FROM refundx.check_i10"), '', 'one after the other');
};

# ---- withdrawals that nobody could end ----

subtest 'a withdrawal that was attempted, asked back and not found' => sub {
	my $own = $all->start('wechat', 'GAP', 19009);

	ok($rx->poll("SELECT state = 'queued' AND attempts > 0 FROM refundx.instruction WHERE instruction_no = '$own'"), 'the balance is empty: queued after an attempt');
	is($rx->sql("SELECT (refundx.withdraw_cancel('$own', 'too slow')).state"), 'queued', 'asked back');
	$sandbox->ctl('balance', $sandbox->channel_config(undef, 'wechat')->{mchid}, 'unlimited');
	ok($rx->poll("SELECT person_reason IS NOT NULL FROM refundx.instruction WHERE instruction_no = '$own'"), 'it is with a person, frozen');
	is($all->as('li', "SELECT call FROM refundx.desk WHERE subject = '$own'"),
		"SELECT * FROM refundx.resolve('$own', 'canceled', 'what you saw', 'why');", 'and the desk says what to do');
	like($all->as('li', "SELECT * FROM refundx.resolve('$own', 'canceled', 'what you saw', 'why');"), qr/^resolve\|/, 'which can be pasted');
	ok($rx->poll("SELECT (" . status($own) . ") = 'waits for a second person'"), 'the channel does not know it');
	like($all->as('wang', "SELECT call FROM refundx.desk WHERE subject = '$own' AND what LIKE 'request%'"), qr/refundx.confirm/, 'the second person is told so');
	like(desk('wang', 'confirm(' . request($own) . ", 'looked myself')"), qr/^t\|It is canceled/, 'ended');
	$all->ends($own, 'canceled');
	is(sent_times($rx, $own), 1, 'it was sent once');
};

subtest 'a withdrawal that was paid elsewhere and is spoken of no more' => sub {
	my $own = 'ELSEwechat';

	$rx->sql("INSERT INTO refundx.evidence (channel_id, merchant_id, source, about, digest, verdict, proof, wire_no, code)
		SELECT channel_id, merchant_id, 'callback', 'withdrawal', sha256('$own'), 'succeeded', true, '$own', 'SUCCESS' FROM refundx.channel");
	ok($rx->poll("SELECT count(*) = 1 FROM refundx.external_refunds WHERE wire_no = '$own'"), 'the channel has paid it to somebody');
	like(on_desk($own), qr/^30\|external withdrawal$/, 'it is on the desk');
	$all->start('wechat', 'ELSE', 10000);
	ok($rx->poll("SELECT person_reason IS NOT NULL FROM refundx.instruction WHERE instruction_no = '$own'"), 'submitted here, it is not sent, and with a person');
	like(desk('li', "resolve('$own', 'succeeded', 'in the statement of May 4', 'paid before the restore')"), qr/^t\|It is succeeded/, 'an operator has found it');
	is($all->journal($own), 'freeze pay_out', 'its money is out');
	is(sent_times($rx, $own), 0, 'it was never sent from here');
	is(on_desk($own), '', 'nobody has to look any more');
};

# ---- more than the account has: the suspense account ----

subtest 'paid after all, and the account is empty' => sub {
	$rx->set('refundx.dispatch' => 'off');
	ok($rx->poll("SELECT doing LIKE '%dispatch is off%' FROM refundx.worker_status() WHERE kind = 'dispatcher'"), 'nothing is sent for now');
	refund('S', 10000);
	$rx->sql("SELECT refundx.refund_cancel('S', 'changed their mind'), refundx.account_debit('AS', 45000, 'spent')");
	$rx->sql("INSERT INTO refundx.evidence (channel_id, merchant_id, source, digest, verdict, proof, wire_no, code)
		SELECT channel_id, merchant_id, 'callback', sha256('S'), 'succeeded', true, 'S', 'SUCCESS' FROM refundx.channel");
	ok($rx->poll("SELECT hold IS NOT NULL FROM refundx.account WHERE account_no = 'AS'"), 'canceled here, paid there: a contradiction');
	like(desk('li', "resolve('S', 'succeeded', 'the console has it', 'paid')"), qr/50\.00 is on the merchant's suspense account/, 'the rest is the merchant\'s');
	is($rx->sql("SELECT available, frozen FROM refundx.accounts WHERE account = 'AS'"), '0|0', 'the account has nothing left');
	like($all->as('li', "SELECT severity, amount FROM refundx.desk WHERE what LIKE 'suspense%'"), qr/^15\|5000$/, 'it is on the desk');
	$rx->check_ok('with a suspense account below zero');
	my $call = $all->as('li', "SELECT call FROM refundx.desk WHERE what LIKE 'suspense%'");
	like($all->as('li', $call), qr/^suspense_settle\|/, 'settled, as the desk says');
	is($rx->sql("SELECT sum(available) FROM refundx.accounts WHERE account LIKE 'suspense%'"), 0, 'it is even');
	$rx->set('refundx.dispatch' => 'on');
};

# ---- the application's handler follows an operator's word as well ----

subtest 'resolved, and a handler follows' => sub {
	my $before;

	$rx->sql("CREATE ROLE shop; CREATE TABLE told (no text, state text); GRANT INSERT ON told TO shop; GRANT refundx_app TO shop;
		CREATE FUNCTION on_end(r refundx.refund) RETURNS void LANGUAGE sql SET search_path = public, pg_temp AS
			'INSERT INTO told VALUES (r.refund_no, r.state)'");
	$rx->sql("SELECT refundx.handler_add('refund.$_', 'public.on_end(refundx.refund)', mode => 'required', role => 'shop')") foreach qw(succeeded failed);
	lost('H', 9019);
	like(desk('li', "resolve('H', 'failed', 'the console does not know it', 'the customer waits')"), qr/^f\|/, 'asked for');
	ok($rx->poll("SELECT (" . status('H') . ") = 'waits for a second person'"), 'the channel does not know it');
	like(desk('wang', 'confirm(' . request('H') . ", 'looked myself')"), qr/^t\|It becomes failed as soon as/, 'the handler comes first');
	$rx->wait_state('H', 'failed');
	is($rx->sql("SELECT string_agg(state, ' ') FROM told WHERE no = 'H'"), 'failed', 'the handler was called');
	$before = last_evidence();
	ok($rx->poll(evidence_since('H', $before, 'query', 'true')), 'it is asked about all the same');
	$rx->sql("SELECT refundx.account_debit('AH', 45000, 'spent')");
	$sandbox->ctl('release', 'H');
	ok($rx->poll("SELECT hold IS NOT NULL FROM refundx.payment WHERE payment_no = 'PH'"), 'paid after all: a contradiction');
	like(desk('li', "resolve('H', 'succeeded', 'the console has it', 'paid')"), qr/^t\|It becomes succeeded as soon as/, 'resolved');
	$rx->wait_state('H', 'succeeded');
	is($rx->sql("SELECT string_agg(state, ' ') FROM told WHERE no = 'H'"), 'failed succeeded', 'the handler was called again');
	is($rx->sql("SELECT sum(available) FROM refundx.accounts WHERE account IN ('AH') OR account LIKE 'suspense%'"), -4019, 'and the money is where it belongs');
	is($rx->sql("SELECT hold IS NULL FROM refundx.payment WHERE payment_no = 'PH'"), 't', 'nothing is on hold');
	$rx->check_ok('with a handler');
};

# ---- messages ----

subtest 'a message that may have been sent' => sub {
	$rx->sql('SELECT refundx.notice_provider_add(' . join(', ', "'sms'", "'aliyun'",
			Refundx::literal(Refundx::to_json($sandbox->sms_config)) . '::jsonb') . ')');
	$rx->sql(q{SELECT refundx.notice_template_set('succeeded', '*', 'sms', '{"sign": "refundx", "code": "SMS_100", "params": {"no": "refund_no"}}')});
	refund('M', 10000, contact => '13800139006');
	$rx->wait_state('M', 'succeeded');
	my $notice = "FROM refundx.notice n JOIN refundx.instruction i USING (instruction_id) WHERE instruction_no = 'M'";
	ok($rx->poll("SELECT count(*) = 1 $notice AND n.state = 'ambiguous'"), 'nobody knows whether it was sent');
	like(on_desk('M'), qr/^90\|notice$/, 'it is on the desk, at the end');
	$rx->sql("UPDATE refundx.payment_contact SET phone = '13800130001'");
	my $call = $all->as('li', "SELECT call FROM refundx.desk WHERE subject = 'M'");
	like($all->as('li', $call), qr/^notice_resend\|/, 'an operator sends it once more');
	ok($rx->poll("SELECT count(*) = 1 $notice AND n.state = 'sent'"), 'sent');
	like($all->as('li', $call), qr/^RX006 /, 'and not again');
	my $id = $rx->sql("SELECT n.notice_id $notice");
	is(scalar(grep { $_->{out_id} eq $id } @{ $sandbox->ledger->{sms} }), 1, 'once');
};

# ---- the end ----

like($all->as('li', "SELECT count(*) FROM refundx.audit_log WHERE by_user IN ('li', 'wang') AND reason <> ''"), qr/^\d\d/, 'all of it is on the record');
$rx->check_ok('at the end');
# what was only said to have been paid elsewhere is in nobody's ledger
is($rx->sql("SELECT count(*) FROM refundx.instruction WHERE is_open"), 0, 'nothing is open');
is(scalar(grep { $_->{paid_times} > 1 } @{ $sandbox->refunds }, @{ $sandbox->transfers }), 0, 'nothing was paid twice');
$rx->stop;
done_testing();
