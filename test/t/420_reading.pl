# What people see while the workers run: health, who is in the way, one
# sentence about each refund, its timeline, the views, waiting for the end.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Utils;
use Refundx;
use Test::More;
use Time::HiRes qw(time);

my $rx = Refundx->new('main', config => { time_scale => 1, not_found_after => 1 },
	sandbox => [ '--callback-delay-ms', 10 ]);
my $node = $rx->node;

$rx->sql("SELECT refundx.account_open('A', 'CNY'), refundx.account_credit('A', 1000000, 'opening')");

sub health
{
	my ($what) = @_;
	return $rx->sql('SELECT level, finding FROM refundx.health WHERE what = ' . Refundx::literal($what)
		  . ' ORDER BY finding');
}

sub sentence { return $rx->sql('SELECT refundx.refund_explain(' . Refundx::literal($_[0]) . ')') }

sub explains
{
	my ($no, $pattern, $what) = @_;
	return like(sentence($no), $pattern, "explain: $what");
}

# Something that the views say sooner or later.
sub comes_true
{
	my ($condition, $what) = @_;
	return ok($rx->poll("SELECT EXISTS ($condition)"), $what);
}

# ---- all is well ----

comes_true("SELECT FROM (SELECT count(*) FILTER (WHERE level = 'ok') AS ok, count(*) AS n FROM refundx.health
	 WHERE what IN ('dispatcher', 'listener', 'settler', 'courier')) h WHERE ok = 4 AND n = 4", 'four workers are up');
is($rx->sql("SELECT string_agg(what, ' ' ORDER BY what) FROM refundx.health WHERE level <> 'ok'"), '', 'health: nothing is wrong');
is($rx->sql("SELECT string_agg(item || ': ' || finding, E'\\n') FROM refundx.channel_check('wx') WHERE level = 'error'"),
	'', 'channel_check finds nothing wrong');
like($rx->sql("SELECT level || ': ' || finding FROM refundx.channel_check('wx', call => true) WHERE item = 'echo'"),
	qr/^ok: WeChat Pay answered in \d+ ms, and the answer is authentic$/, 'channel_check calls the echo endpoint');

# ---- a refund that succeeds, and whoever waits for it ----

$rx->payment('P1', 10000, account => 'A');
my $began = time;
$rx->refund('P1', 'R1', 600);
is($rx->sql("CALL refundx.refund_wait('R1', '1 min')"), 'succeeded', 'refund_wait returns the outcome');
cmp_ok(time - $began, '<', 20, 'as soon as it is there, not when its time is up');
explains('R1', qr/^WeChat Pay paid 6\.00 CNY at \d\d:\d\d.*\.$/, 'succeeded');
like($rx->sql("SELECT string_agg(what, ' ') FROM refundx.refund_timeline('R1')"),
	qr/^submitted .*claimed.* answer .*callback.* moved/, 'its timeline is in order');
is($rx->sql("SELECT count(*) FROM refundx.refund_timeline('R1') a, refundx.refund_timeline('R1') b
	 WHERE a.what = 'sent' AND b.what = 'answer' AND a.at > b.at"), 0, 'sent before it was answered');
is($rx->sql("SELECT call, http_status, verdict, proof, took > '0' FROM refundx.attempts WHERE refund_no = 'R1' AND call = 'submit'"),
	'submit|200|accepted|t|t', 'the attempt has its answer beside it');
is($rx->sql("SELECT count(*) > 0 FROM refundx.evidence_log WHERE refund_no = 'R1' AND source = 'callback' AND outcome IS NOT NULL"),
	't', 'and the callback is in the evidence, weighed');
is($rx->sql("SELECT type FROM refundx.journal_lines WHERE refund_no = 'R1' ORDER BY version"), "freeze\npay_out", 'and in the journal');
is($rx->sql("SELECT count(*) FROM refundx.inflight"), 0, 'nothing is in flight');

# ---- sentences for what is on its way ----

$rx->payment('P2', 20000);
$rx->refund('P2', 'R2', 9013);		# accepted, and never a callback
$rx->wait_state('R2', 'accepted');
explains('R2', qr/^WeChat Pay accepted it at \d\d:\d\d; no callback yet; it will be asked again in \d+ s\.$/, 'accepted');
$rx->refund('P2', 'R2b', 100);
explains('R2b', qr/^It is queued since \d\d:\d\d; it is sent in \d+ s, because refunds of one payment start 60 s apart\.$/,
	'spaced');
is($rx->sql("SELECT string_agg(refund_no, ' ' ORDER BY refund_no) FROM refundx.inflight"), 'R2 R2b', 'both are in flight');

$rx->payment('P3', 20000);
$rx->refund('P3', 'R3', 9019);		# held, until it is released
$rx->wait_state('R3', 'sending');
explains('R3', qr/^It is being sent to WeChat Pay since \d\d:\d\d \(attempt 1\)\.$/, 'sending');
$rx->refund('P3', 'R3b', 100);
explains('R3b', qr/; it waits until WeChat Pay has answered about refund R3 of the same payment\.$/, 'behind another');
$rx->sandbox->ctl('release', 'R3');

$rx->payment('P4', 20000);
$rx->refund('P4', 'R4', 9004);
$rx->wait_state('R4', 'abnormal');
explains('R4', qr/^WeChat Pay has had the money .* stays frozen here; it is with a person: [^.]*\.$/, 'abnormal: one sentence');
is($rx->sql("SELECT what || ' ' || subject FROM refundx.desk"), 'refund R4', 'and it is on the desk');
like(health('with person'), qr/^warning\|/, 'which health says');
is($rx->sql("CALL refundx.refund_wait('R4', '1 min')"), 'abnormal', 'nobody waits for a person');

$rx->payment('P5', 20000);
$rx->refund('P5', 'R5', 9001);
$rx->wait_state('R5', 'failed');
explains('R5', qr/^WeChat Pay refused it for good at \d\d:\d\d \(USER_ACCOUNT_ABNORMAL\); nothing was paid/, 'failed');

$rx->check_ok('with refunds in every state');

# ---- who is in the way ----

$rx->payment('P7', 20000);
$rx->refund('P7', 'R7', 9019);
$rx->wait_state('R7', 'sending');
$rx->sql("BEGIN; UPDATE refundx.payment SET parts = parts WHERE payment_no = 'P7'; PREPARE TRANSACTION 'sits'");
$rx->sandbox->ctl('release', 'R7');
comes_true("SELECT FROM refundx.health WHERE what = 'blocker' AND level = 'error'",
	'a prepared transaction that holds a payment is named');
is($rx->sql("SELECT prepared, session_state, holds, waiting > 0 FROM refundx.blockers() WHERE waiting > 0"),
	'sits|prepared|payment P7|t', 'with what it holds');
$rx->payment('P8', 10000);
$rx->refund('P8', 'R8', 100);
$rx->wait_state('R8', 'succeeded', 'nobody else is held up');
$rx->sql("ROLLBACK PREPARED 'sits'");
$rx->wait_state('R7', [ 'accepted', 'succeeded' ], 'it goes on when the row is free');
comes_true("SELECT FROM (VALUES (1)) v WHERE NOT EXISTS (SELECT FROM refundx.blockers())", 'and nobody is in the way');

my ($in, $out, $err) = ('', '', '');
$rx->payment('P9', 20000);
$rx->refund('P9', 'R9', 9019);
$rx->wait_state('R9', 'sending');
my $session = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr($rx->database) . ' application_name=shop', '-f', '-' ],
	'<', \$in, '>', \$out, '2>', \$err);
$in .= "BEGIN; SAVEPOINT a; SELECT 'locked' FROM refundx.instruction WHERE instruction_no = 'R9' FOR UPDATE;\n";
$session->pump until $out =~ /locked/;
$rx->sandbox->ctl('release', 'R9');
comes_true("SELECT FROM refundx.blockers() WHERE application = 'shop' AND session_state = 'idle in transaction'
	 AND holds = 'refund R9' AND waiting > 0 AND pid > 0", 'a session that sits on a refund is named, also from a savepoint');
$in .= "ROLLBACK;\n\\q\n";
$session->finish;
$rx->wait_state('R9', [ 'accepted', 'succeeded' ], 'it goes on when the session has let go');

# ---- what stops everything ----

$rx->payment('P10', 10000);
$rx->set('refundx.dispatch' => 'off');
$rx->refund('P10', 'R10', 100);
explains('R10', qr/because refundx\.dispatch is off\.$/, 'dispatch off');
like(health('dispatch'), qr/^warning\|/, 'health says that dispatch is off');
$rx->sql("UPDATE refundx.installation SET system_identifier = '1'");
explains('R10', qr/because this database is not armed for this server/, 'not armed');
like(health('armed'), qr/^error\|not armed/, 'health says that it is not armed');
$rx->set('refundx.dispatch' => 'on');
is($rx->sql("SELECT refundx.arm('the test is over') > 0"), 't', 'armed again');
$rx->wait_state('R10', 'succeeded', 'what was queued is asked about, and then sent');
is($rx->sql("SELECT count(*) FROM refundx.refund_timeline('R10') WHERE what = 'lost'"), 1, 'its timeline says why');

# An empty balance is the merchant's.
$rx->payment('P6', 20000);
$rx->refund('P6', 'R6', 9009);
comes_true("SELECT FROM refundx.merchants WHERE paused = 'hold'", 'an empty balance pauses the merchant');
explains('R6', qr/; it is not sent while the merchant is paused \(hold: NOT_ENOUGH.*\); one refund tries again /, 'paused');
like(health('merchant'), qr/^error\|refunds of merchant \d+ are paused \(hold\): NOT_ENOUGH/, 'which health says');
is($rx->sql("SELECT count(*) FROM refundx.desk WHERE what = 'merchant''s refunds paused'"), 1, 'and it is on the desk');

# ---- only pg_monitor may see whose session it is; an auditor sees no number ----

$rx->sql("CREATE ROLE watcher LOGIN IN ROLE pg_monitor; CREATE ROLE reader LOGIN IN ROLE refundx_auditor");
is($rx->sql("SET ROLE watcher; SELECT count(*) > 5 FROM refundx.health"), 't', 'pg_monitor reads health');
is($rx->sql("SET ROLE reader; SELECT count(*) > 5 FROM refundx.health"), 't', 'so does an auditor');
is($rx->sql("SET ROLE reader; SELECT count(*) FROM refundx.check()"), 0, 'who may also check');
like($rx->sql_error("SET ROLE reader; SELECT refundx.refund_cancel('R2b')"), qr/^42501/, 'and may change nothing');
like($rx->sql_error("SET ROLE watcher; SELECT * FROM refundx.refunds"), qr/^42501/, 'pg_monitor sees no refund');

$rx->check_ok('at the end');
$rx->stop;
done_testing();
