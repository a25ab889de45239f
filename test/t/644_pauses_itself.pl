# What refundx pauses by itself, and only a person resumes: a merchant that its
# channel contradicts again, and whatever a broken invariant is about.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Refundx;
use Refundx::Oracle;
use Test::More;

my $rx = Refundx->new('main',
	sandbox => [ '--speed', 60, '--callback-delay-ms', 20 ],
	config => { time_scale => 60, not_found_after => 1 },
	settings => { 'refundx.clerk_interval' => '1s', 'refundx.pause_after_contradictions' => 2 });
my $sandbox = $rx->sandbox;

$rx->sql("SELECT refundx.account_open('$_', 'CNY'), refundx.account_credit('$_', 10000000, 'opening')") foreach qw(A B);
$rx->sql('CREATE ROLE alice LOGIN IN ROLE refundx_operator');

sub start
{
	my ($no, $amount, %more) = @_;
	return $rx->refund("P$no", $no, $amount, payment_amount => 100000, currency => 'CNY', %more);
}

sub as_alice { return $rx->sql("SET SESSION AUTHORIZATION alice; $_[0]") }

sub paused
{
	my ($where, $what) = @_;
	return ok($rx->poll("SELECT count(*) = 1 FROM refundx.pauses WHERE $where"), $what)
	  || diag($rx->sql('SELECT * FROM refundx.pauses') . "\n" . $rx->sql('SELECT * FROM refundx.stop_sign'));
}

sub pauses { return $rx->sql("SELECT count(*) FROM refundx.pauses WHERE cause <> 'hold'") }

# The clerk has begun and ended a round since.
sub clerk_round
{
	my $at = $rx->sql("SELECT clock_timestamp() + current_setting('refundx.clock_offset')::interval");
	return ok($rx->poll("SELECT checked_at > '$at' FROM refundx.stop_cursor"), 'the clerk has looked');
}

# What the channel never says of it by itself.
sub contradict
{
	my ($no, $verdict) = @_;
	return $rx->sql("INSERT INTO refundx.evidence (channel_id, merchant_id, source, digest, verdict, proof, wire_no, merchant_no, amount, currency, code)
		SELECT i.channel_id, i.merchant_id, 'callback', sha256(convert_to(clock_timestamp()::text, 'UTF8')), '$verdict', true, i.wire_no,
			   m.merchant_no, i.amount, i.currency, upper('$verdict')
		  FROM refundx.instruction i JOIN refundx.merchant m USING (merchant_id) WHERE i.instruction_no = '$no'");
}

clerk_round();
is($rx->sql('SELECT count(*) FROM refundx.stop_sign'), 0, 'nothing is wrong');

subtest 'the second contradiction' => sub {
	start("C$_", 9001) foreach 1 .. 3;
	$rx->wait_state("C$_", 'failed') foreach 1 .. 3;
	contradict('C1', 'succeeded');
	ok($rx->poll("SELECT hold IS NOT NULL FROM refundx.payment WHERE payment_no = 'PC1'"), 'the first holds its payment');
	contradict('C1', 'succeeded');
	ok($rx->poll("SELECT count(*) = 2 FROM refundx.event e JOIN refundx.instruction i USING (instruction_id)
		WHERE instruction_no = 'C1' AND e.type = 'contradiction'"), 'said again');
	is(pauses(), 0, 'a copy of it counts no more, and pauses nothing');
	start('D1', 1000);
	$rx->wait_state('D1', 'succeeded', 'the merchant goes on');
	contradict('C2', 'succeeded');
	paused("scope = 'merchant' AND about = 'refund' AND cause = 'contradiction' AND reason ~ '^the channel has contradicted 2 of its refunds within a day, C2 last: '",
		'the second one pauses the merchant');
	start('D2', 1000);
	like($rx->sql("SELECT refundx.refund_explain('D2')"), qr/are paused since \d\d:\d\d by refundx itself, because the channel has contradicted 2/, 'explain');
	is($rx->sql("SELECT level FROM refundx.health WHERE what = 'merchant'"), 'error', 'health');
	is($rx->sql("SELECT count(*) FROM refundx.incidents WHERE kind = 'paused'"), 1, 'an incident');
	is($rx->sql("SELECT call FROM refundx.desk WHERE what = 'merchant''s refunds paused'"),
		"SELECT refundx.resume('merchant', '" . $rx->sql('SELECT merchant_no FROM refundx.merchants') . "', 'why', about => 'refund');", 'on the desk');
	ok(as_alice("SELECT refundx.resume('merchant', 'wx', 'the channel has explained it')") eq 't', 'a person resumes it');
	$rx->wait_state('D2', 'succeeded');
	contradict('C3', 'succeeded');
	paused("cause = 'contradiction' AND reason ~ '^the channel has contradicted 3'", 'and the third pauses it again');
	as_alice("SELECT refundx.resume('merchant', 'wx', 'they really have')");
};

subtest 'a payment that does not add up' => sub {
	start('I1', 1000);
	$rx->wait_state('I1', 'succeeded');
	$rx->sql("UPDATE refundx.payment SET refunding = refunding + 5 WHERE payment_no = 'PI1'");
	paused("scope = 'merchant' AND about = 'refund' AND cause = 'invariant' AND reason ~ '^invariant I2 is broken at PI1: refunding 5,'", 'the clerk pauses the merchant');
	start('J1', 1000);
	clerk_round();
	is($rx->state('J1'), 'queued', 'nothing is sent');
	is(pauses(), 1, 'its withdrawals are not concerned');
	as_alice("SELECT refundx.resume('merchant', 'wx', 'known: it is being mended')");
	$rx->wait_state('J1', 'succeeded', 'a person resumes it, with the fault still there');
	clerk_round();
	is(pauses(), 0, 'and what is known does not pause it again the same day');
	$rx->set('refundx.clock_offset' => 90000);
	paused("cause = 'invariant' AND reason ~ 'I2'", 'but the next');
	$rx->sql("UPDATE refundx.payment SET refunding = refunding - 5 WHERE payment_no = 'PI1'");
	as_alice("SELECT refundx.resume('merchant', 'wx', 'mended')");
};

subtest 'an account whose journal does not continue' => sub {
	start('K1', 1000, account => 'A');
	$rx->wait_state('K1', 'succeeded');
	my $line = "(SELECT account_id, max(version) FROM refundx.journal JOIN refundx.account USING (account_id) WHERE account_no = 'A' GROUP BY 1)";
	my $change = sub { $rx->sql("BEGIN; ALTER TABLE refundx.journal DISABLE TRIGGER append_only;
		UPDATE refundx.journal SET available = available + $_[0] WHERE (account_id, version) = $line;
		ALTER TABLE refundx.journal ENABLE ALWAYS TRIGGER append_only; COMMIT") };
	# sealed as it was: what is sealed in between would be what is found to differ
	$rx->sql('SELECT refundx.journal_seal()');
	$change->(7);
	paused("scope = 'account' AND subject = 'A' AND cause = 'invariant' AND reason ~ '^invariant I5 is broken at A: '", 'the account is paused');
	like($rx->sql_error('SELECT ' . $rx->refund_text('PK2', 'K2', 100, payment_amount => 1000, currency => 'CNY', account => 'A')), qr/^RX007 account "A" is paused/, 'nothing is taken from it');
	start('K3', 1000, account => 'B');
	$rx->wait_state('K3', 'succeeded', 'from others, as ever');
	$change->(-7);
	as_alice("SELECT refundx.resume('account', 'A', 'mended')");
	start('K4', 1000, account => 'A');
	$rx->wait_state('K4', 'succeeded');
};

subtest 'what cannot be narrowed pauses everything' => sub {
	as_alice("SELECT refundx.cap_set('everything', NULL, '1 hour', max_number => 1000, reason => 'a night')");
	$rx->sql("UPDATE refundx.cap SET max_number = 0 WHERE removed_at IS NULL;
		INSERT INTO refundx.cap_sent (cap_id, n, at, instruction_id, amount, total)
		SELECT c.cap_id, u.n + 1, clock_timestamp() + interval '90000 s', i.instruction_id, i.amount, u.total + i.amount
		  FROM refundx.cap c, refundx.instruction i, refundx.cap_used(c, clock_timestamp()) u
		 WHERE c.removed_at IS NULL AND i.instruction_no = 'K4'");
	paused("scope = 'everything' AND cause = 'invariant' AND reason ~ '^invariant I23 is broken'", 'more was sent than a cap of everything allows');
	$rx->sql("DELETE FROM refundx.cap_sent USING refundx.cap c WHERE c.cap_id = cap_sent.cap_id; UPDATE refundx.cap SET max_number = 1000 WHERE removed_at IS NULL");
	as_alice("SELECT refundx.cap_remove('everything', NULL, 'over'), refundx.resume('everything', NULL, 'a test')");
	start('L1', 1000);
	$rx->wait_state('L1', 'succeeded');
};

# What the clerk's check of all rows says of an invariant.
sub checked
{
	my ($invariant, $where, $what) = @_;
	$rx->sql("SELECT refundx.check_soon('a test', '$invariant')");
	return ok($rx->poll("SELECT count(*) = 1 FROM refundx.checks WHERE invariant = '$invariant' AND error IS NULL AND took IS NOT NULL AND $where"), $what)
	  || diag($rx->sql("SELECT * FROM refundx.checks"));
}

subtest 'all rows' => sub {
	$rx->sql("SELECT refundx.check_soon('mended')");
	ok($rx->poll("SELECT bool_and(findings = 0 AND took IS NOT NULL AND NOT due) FROM refundx.check_result HAVING count(*) = (SELECT count(*) FROM refundx.checks)"), 'each is checked, and holds') || diag($rx->sql("SELECT * FROM refundx.checks"));
	is($rx->sql("SELECT level FROM refundx.health WHERE what = 'checks'"), 'ok', 'health says so');
	like($rx->sql_error("SELECT refundx.check_soon('')"), qr/^22023 reason/, 'to have one checked wants a reason');
	like($rx->sql_error("SELECT refundx.check_soon('x', 'I99')"), qr/^22023 there is no invariant "I99"/, 'and an invariant');

	# I6 and approval, which nothing else breaks here
	start('R1', 1000, account => 'B');
	$rx->wait_state('R1', 'succeeded');
	$rx->sql('ALTER TABLE refundx.journal DROP CONSTRAINT journal_line');
	my $type = sub { $rx->sql("BEGIN; ALTER TABLE refundx.journal DISABLE TRIGGER append_only;
		UPDATE refundx.journal SET type = '$_[1]' WHERE type = '$_[0]' AND instruction_id = (SELECT instruction_id FROM refundx.instruction WHERE instruction_no = 'R1');
		ALTER TABLE refundx.journal ENABLE ALWAYS TRIGGER append_only; COMMIT") };
	# sealed as they were, as above
	$rx->sql('SELECT refundx.journal_seal()');
	$type->('pay_out', 'pay_late');
	paused("scope = 'merchant' AND about = 'refund' AND cause = 'invariant' AND reason ~ '^invariant I6 is broken at R1: it is succeeded, and its journal lines are: freeze, pay_late'",
		'I6 pauses its merchant');
	checked('I6', "findings = 1 AND example ~ '^R1: ' AND found_at IS NOT NULL", 'the check of all rows finds it as well');
	is($rx->sql("SELECT subject FROM refundx.desk WHERE what = 'invariant'"), 'I6', 'it is on the desk');
	is($rx->sql("SELECT level || ': ' || finding FROM refundx.health WHERE what = 'checks'"), 'error: broken: I6: see refundx.checks', 'and health says so');
	$type->('pay_late', 'pay_out');
	checked('I6', "findings = 0 AND found_at IS NULL", 'mended');
	as_alice("SELECT refundx.resume('merchant', 'wx', 'mended')");

	$rx->sql("INSERT INTO refundx.payout (instruction_id, account_id, asked, approval, fee_back_on_failure, fee_back_on_return)
		SELECT instruction_id, account_id, amount, 'it is large', true, true FROM refundx.instruction WHERE instruction_no = 'R1'");
	paused("scope = 'merchant' AND reason ~ '^invariant approval is broken at R1: it was sent, and nobody had approved it'", 'approval pauses, too');
	$rx->sql("ALTER TABLE refundx.payout DISABLE TRIGGER never_deleted; DELETE FROM refundx.payout;
		ALTER TABLE refundx.payout ENABLE ALWAYS TRIGGER never_deleted");
	as_alice("SELECT refundx.resume('merchant', 'wx', 'mended')");

	# what only the check of all rows sees
	$rx->sql("INSERT INTO refundx.audit (action, reason) VALUES ('x', 'his number is 13800138000')");
	checked('I25', "findings = 1 AND example ~ '^audit [0-9]+: .* 138\\*\\*\\*\\*00\$'", 'a telephone number in the audit log is found');
	is($rx->sql("SELECT count(*) FROM refundx.incidents WHERE subject = 'invariant I25'"), 1, 'an incident');
	is(pauses(), 0, 'which pauses nothing');
	my $line = $rx->sql("SELECT account_id || ', ' || version FROM refundx.journal ORDER BY account_id, version LIMIT 1");
	my $change = sub { $rx->sql("BEGIN; ALTER TABLE refundx.journal DISABLE TRIGGER append_only;
		UPDATE refundx.journal SET d_outside = d_outside + $_[0] WHERE (account_id, version) = ($line);
		ALTER TABLE refundx.journal ENABLE ALWAYS TRIGGER append_only; COMMIT") };
	$change->(1);
	checked('I1', "findings = 1", 'a line that does not balance');
	paused("scope = 'everything' AND cause = 'invariant' AND reason ~ '^invariant I1 is broken at CNY: '", 'pauses everything, for it cannot be narrowed');
	$change->(-1);
	as_alice("SELECT refundx.resume('everything', NULL, 'mended')");
	$rx->sql("ALTER TABLE refundx.audit DISABLE TRIGGER append_only; DELETE FROM refundx.audit WHERE action = 'x'; ALTER TABLE refundx.audit ENABLE ALWAYS TRIGGER append_only");

	# one that cannot be checked does not keep the others from it
	$rx->sql("ALTER VIEW refundx.check_i03 RENAME TO away");
	$rx->sql("SELECT refundx.check_soon('a test')");
	ok($rx->poll("SELECT error = 'it did not come to its end' AND took IS NULL FROM refundx.checks WHERE invariant = 'I3'"), 'one that fails is said to have');
	ok($rx->poll("SELECT count(*) = 1 FROM refundx.check_result WHERE error IS NOT NULL AND NOT due HAVING bool_and(invariant = 'I3')
		AND NOT EXISTS (SELECT FROM refundx.check_result WHERE due)"), 'and the others are checked')
	  || diag($rx->sql("SELECT * FROM refundx.checks"));
	$rx->sql("ALTER VIEW refundx.away RENAME TO check_i03");
	checked('I3', 'findings = 0', 'and it, the next time');
};

subtest 'a person who has paused something and not committed' => sub {
	start("Q$_", 9001) foreach 1 .. 2;
	$rx->wait_state("Q$_", 'failed') foreach 1 .. 2;
	$sandbox->ctl('pause-callbacks', 'on');
	start('M1', 1000);
	$rx->wait_state('M1', 'accepted');

	my $alice = $rx->node->background_psql($rx->database);
	$alice->query_safe("SET SESSION AUTHORIZATION alice; BEGIN; SELECT refundx.pause('role', 'alice', 'a long thought')");
	start('M2', 1000);
	contradict($_, 'succeeded') foreach qw(Q1 Q2);
	ok($rx->poll("SELECT count(*) = 2 FROM refundx.payment WHERE payment_no IN ('PQ1', 'PQ2') AND hold IS NOT NULL"), 'holds up no settlement');
	$sandbox->ctl('pause-callbacks', 'off');
	$rx->wait_state('M1', 'succeeded', 'nor a callback');
	is($rx->state('M2'), 'queued', 'only what is to be sent waits');
	is($rx->sql("SELECT count(*) FROM refundx.stop_sign WHERE pauses"), 1, 'and a pause of its own');
	$alice->query_safe('ROLLBACK');
	$alice->quit;
	paused("scope = 'merchant' AND cause = 'contradiction'", 'which the clerk places then');
	$rx->sql("SELECT refundx.resume('merchant', 'wx', 'the end')");
	$rx->wait_state('M2', 'succeeded');
};

subtest 'settings' => sub {
	$rx->set('refundx.background_checks' => 'off');
	$rx->sql("UPDATE refundx.payment SET refunding = refunding + 5 WHERE payment_no = 'PL1'");
	my $done = $rx->sql("SELECT done FROM refundx.worker_status() WHERE kind = 'clerk'");
	my $started = $rx->sql('SELECT checked_at FROM refundx.stop_cursor');
	ok($rx->poll("SELECT clock_timestamp() + current_setting('refundx.clock_offset')::interval > '$started'::timestamptz + interval '4 s'"), 'rounds later');
	cmp_ok($rx->sql("SELECT checked_at - '$started' <= interval '2 s' FROM refundx.stop_cursor"), 'eq', 't', 'the clerk does not check');
	is(pauses(), 0, 'and pauses nothing');
	$rx->sql("UPDATE refundx.payment SET refunding = refunding - 5 WHERE payment_no = 'PL1'");
};

$rx->check_ok('at the end');
$rx->ledger_ok('at the end');
never_twice($rx);
$rx->stop;
done_testing();
