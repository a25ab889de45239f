# Handlers: the application's own update, in the settling transaction.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Utils;
use Refundx;
use Test::More;
use Time::HiRes qw(time);

my $rx = Refundx->new('main',
	sandbox => [ '--speed', 60, '--callback-delay-ms', 20 ],
	config => { time_scale => 60, not_found_after => 1 });
my $sandbox = $rx->sandbox;
my $clock = 0;

# What the shop does: an order per refund, and what its handler has seen of it.  What
# goes wrong with the next call stands in a table.
$rx->sql(q{
	CREATE ROLE shop_owner IN ROLE refundx_app;
	CREATE SCHEMA shop AUTHORIZATION shop_owner;
	SET ROLE shop_owner;
	CREATE TABLE shop.seen (refund_no text, state text, amount bigint, as_user text, asked_by text, n int);
	CREATE TABLE shop.trouble (refund_no text PRIMARY KEY, what text);
	CREATE TABLE shop.orders (order_no text PRIMARY KEY, status text);
	CREATE TABLE shop.lines (order_no text REFERENCES shop.orders DEFERRABLE INITIALLY DEFERRED);
	CREATE FUNCTION shop.follow(r refundx.refund) RETURNS void LANGUAGE plpgsql AS $$
	DECLARE
		what text;
	BEGIN
		SELECT t.what INTO what FROM shop.trouble t WHERE t.refund_no = r.refund_no;
		INSERT INTO shop.seen SELECT r.refund_no, r.state, r.amount, current_user, session_user, count(*) + 1 FROM shop.seen s WHERE s.refund_no = r.refund_no;
		IF what = 'error' THEN
			RAISE EXCEPTION 'no such order: %', r.refund_no USING ERRCODE = 'SH001';
		-- longer than any test waits: only the time limit, or the launcher, ends these two
		ELSIF what = 'slow' THEN
			PERFORM pg_sleep(60);
		ELSIF what = 'hang' THEN
			LOOP
				BEGIN
					PERFORM pg_sleep(60);
				EXCEPTION WHEN query_canceled THEN
					NULL;
				END;
			END LOOP;
		ELSIF what = 'late order' THEN
			INSERT INTO shop.lines VALUES (r.refund_no);
			INSERT INTO shop.orders VALUES (r.refund_no);
		ELSIF what = 'no order' THEN
			INSERT INTO shop.lines VALUES (r.refund_no);
		ELSIF what IS NOT NULL THEN
			EXECUTE what;
		END IF;
	END $$;
	CREATE FUNCTION shop.need(r refundx.refund) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM shop.follow(r); END $$;
});

sub advance
{
	my ($seconds) = @_;
	$clock += $seconds;
	return $rx->set('refundx.clock_offset' => $clock);
}

sub refund
{
	my ($no, %more) = @_;
	$rx->payment("P$no", 50000, contact => '13800130001');
	return $rx->refund("P$no", $no, $more{amount} || 10000);
}

sub trouble
{
	my ($no, $what) = @_;
	return $rx->sql('INSERT INTO shop.trouble VALUES (' . Refundx::literal($no) . ', ' . Refundx::literal($what)
		  . ') ON CONFLICT (refund_no) DO UPDATE SET what = excluded.what');
}

sub mended { return $rx->sql('DELETE FROM shop.trouble WHERE refund_no = ' . Refundx::literal($_[0])) }

sub seen { return $rx->sql("SELECT string_agg(state, ' ' ORDER BY n) FROM shop.seen WHERE refund_no = '$_[0]'") }

sub failure
{
	my ($no, $columns) = @_;
	return $rx->sql("SELECT $columns FROM refundx.handler_failures WHERE refund_no = '$no'");
}

sub wait_failure
{
	my ($no, $condition, $what) = @_;
	return ok($rx->poll("SELECT count(*) > 0 FROM refundx.handler_failures WHERE refund_no = '$no' AND $condition"), $what)
	  || diag(failure($no, '*') . "\n" . $rx->story($no));
}

sub notices
{
	return $rx->sql("SELECT count(*) FROM refundx.notice n JOIN refundx.instruction i USING (instruction_id) WHERE i.instruction_no = '$_[0]'");
}

# ---- without handlers there is no runner ----

is($rx->sql("SELECT count(*) FROM refundx.worker_status() WHERE kind = 'runner'"), 0, 'no handler, no runner');

$rx->sql('SELECT refundx.notice_provider_add(' . join(', ', Refundx::literal('sms'), Refundx::literal('aliyun'),
		Refundx::literal(Refundx::to_json($sandbox->sms_config)) . '::jsonb') . ')');
$rx->sql(q{SELECT refundx.notice_template_set('succeeded', '*', 'sms',
	'{"sign": "refundx", "code": "SMS_100", "params": {"no": "refund_no", "amount": "{amount} {currency}", "date": "date"}}')});
is($rx->sql(q{SELECT refundx.handler_add('refund.succeeded', 'shop.follow(refundx.refund)',
	time_limit => '500 ms', lock_limit => '100 ms', retries => 2, backoff => '1 h')}), 't', 'a handler is added');
ok($rx->poll("SELECT count(*) = 1 FROM refundx.worker_status() WHERE kind = 'runner' AND state = 'up'"), 'and a runner comes');
is($rx->sql("SELECT current_setting('max_worker_processes') || ' ' || count(*) FILTER (WHERE state IN ('up', 'idle', 'starting')) || ' of ' || count(*) FROM refundx.worker_status()"),
	'8 6 of 6', 'one database fits into the default max_worker_processes');

# ---- it is called, as its role, with the settlement ----

refund('H1');
$rx->wait_state('H1', 'succeeded');
is($rx->sql("SELECT * FROM shop.seen"), 'H1|succeeded|10000|shop_owner|refundx_runner|1', 'the handler was called, as its role');
is(notices('H1'), 1, 'one notice');
is($rx->sql("SELECT type FROM refundx.events WHERE refund_no = 'H1' ORDER BY seq DESC LIMIT 1"), 'handled', 'its history has it');
is($rx->sql('SELECT count(*) FROM refundx.handed') + $rx->sql('SELECT count(*) FROM refundx.handler_run'), 0, 'nothing is left over');

# ---- an error: best effort ----

trouble('H2', 'error');
refund('H2');
$rx->wait_state('H2', 'succeeded', 'the money is settled though the handler fails');
is(failure('H2', 'state, settlement_waits, tries, code, message'), 'retrying|f|1|SH001|no such order: H2', 'the reason is recorded');
like(failure('H2', 'context'), qr/shop\.follow.*RAISE/s, 'with its context');
is(seen('H2'), '', 'what it had done is undone');
is(notices('H2'), 0, 'the payer is not told yet');
like($rx->sql(q{SELECT refundx.refund_explain('H2')}), qr/its notice waits for the handler shop\.follow.*has failed and is called in 60 min/, 'and why, is explained');
refund('H3');
$rx->wait_state('H3', 'succeeded', 'another one goes on');
is(seen('H3'), 'succeeded', 'with its handler');

# again by itself, until a person has to look
advance(3700);
wait_failure('H2', 'tries = 2', 'it is tried again by itself');
advance(2 * 3700);
wait_failure('H2', "state = 'with_person' AND next_at IS NULL", 'and then waits for a person');
is($rx->sql("SELECT what, reason ~ 'shop.follow.*no such order' FROM refundx.desk WHERE subject = 'H2'"), 'handler|t', 'who is told');
is($rx->sql("SELECT level FROM refundx.health WHERE what = 'handlers'"), 'error', 'health says it');
mended('H2');
is($rx->sql(q{SELECT refundx.handler_retry('H2', 'the order is there now')}), 1, 'the cause is mended: once more');
ok($rx->poll("SELECT count(*) = 0 FROM refundx.handler_failures WHERE refund_no = 'H2'"), 'now it succeeds');
is(seen('H2'), 'succeeded', 'it has followed, once');
is(notices('H2'), 1, 'and the payer is told');
like($rx->sql_error(q{SELECT refundx.handler_retry('H2', 'again')}), qr/^RX027 /, 'there is nothing more to retry');

# ---- an error: required ----

$rx->sql(q{SELECT refundx.handler_set('refund.succeeded', 'shop.follow', mode => 'required')});
trouble('H4', 'error');
refund('H4');
wait_failure('H4', 'settlement_waits', 'a required handler fails');
isnt($rx->state('H4'), 'succeeded', 'and the settlement waits for it');
is($rx->payment_sums('PH4'), '50000|10000|0', 'its money is in flight');
is(seen('H4'), '', 'nothing was done');
is($rx->sql("SELECT due_at IS NULL FROM refundx.instruction WHERE instruction_no = 'H4'"), 't', 'the channel is not asked any more');
like($rx->sql(q{SELECT refundx.refund_explain('H4')}), qr/the channel has answered since; it is settled after the handler shop\.follow, of succeeded, which has failed and is called in 60 min\.$/, 'as is explained');
$rx->check_ok('while a settlement waits');
refund('H5');
$rx->wait_state('H5', 'succeeded', 'others do not wait for it');
advance(3700);
wait_failure('H4', 'tries = 2', 'it is tried again');
advance(2 * 3700);
wait_failure('H4', "state = 'with_person'", 'and waits for a person');
like($rx->sql(q{SELECT refundx.refund_explain('H4')}), qr/it is with a person: the channel has answered, but the handler shop\.follow fails/, 'which is explained');
mended('H4');
$rx->sql(q{SELECT refundx.handler_retry('H4', 'mended')});
$rx->wait_state('H4', 'succeeded', 'mended: it is settled');
is(seen('H4'), 'succeeded', 'and followed, once');
is($rx->sql("SELECT person_reason FROM refundx.instruction WHERE instruction_no = 'H4'"), '', 'it is with nobody any more');

trouble('H6', 'error');
refund('H6');
wait_failure('H6', 'settlement_waits', 'one that nobody can mend');
is($rx->sql(q{SELECT refundx.handler_waive('H6', 'the order was deleted last year')}), 1, 'is given up');
$rx->wait_state('H6', 'succeeded', 'and the money is settled');
is(seen('H6'), '', 'without it');
is(notices('H6'), 1, 'and the payer is told');
is($rx->sql("SELECT string_agg(action, ' ' ORDER BY audit_id) FROM refundx.audit_log WHERE subject IN ('H4', 'H6')"),
	'handler_retry handler_waive', 'the audit log has it');
$rx->check_ok('after errors');

# ---- deferred constraints ----

trouble('H7', 'late order');
refund('H7');
$rx->wait_state('H7', 'succeeded', 'a constraint may be deferred within a handler');
trouble('H8', 'no order');
refund('H8');
wait_failure('H8', "code = '23503'", 'one that is broken at the end is the error of this handler');
isnt($rx->state('H8'), 'succeeded', 'and of nothing else');
mended('H8');
$rx->sql(q{SELECT refundx.handler_retry('H8', 'mended')});
$rx->wait_state('H8', 'succeeded', 'and can be mended');

# ---- too slow ----

trouble('H9', 'slow');
refund('H9');
wait_failure('H9', "code = '57014' AND message ~ 'time limit of 500 ms'", 'a slow one is canceled');
my $runner = $rx->worker_pid('runner');
trouble('H10', 'hang');
refund('H10');
wait_failure('H10', "code = '57014' AND message ~ 'process was ended'", 'one that catches the cancel is ended');
isnt($rx->worker_pid('runner'), $runner, 'with its process, and there is a new one');
is(failure('H10', 'tries'), 1, 'it is not run in a loop');
refund('H11');
$rx->wait_state('H11', 'succeeded', 'others go on');
trouble($_, 'SELECT 1') foreach qw(H9 H10);
$rx->sql("SELECT refundx.handler_retry('$_', 'mended')") foreach qw(H9 H10);
$rx->wait_state($_, 'succeeded', "$_ after it was mended") foreach qw(H9 H10);

# ---- what a handler might do to the runner ----

my %wicked = (
	'RESET ROLE' => q{cannot set parameter "role" within security-definer function},
	'SET ROLE refundx_runner' => q{cannot set parameter "role" within security-definer function},
	'SET SESSION AUTHORIZATION DEFAULT' => q{cannot set parameter "session_authorization" within security-definer function},
	'SELECT count(*) FROM refundx.journal' => 'permission denied',
	'SELECT refundx.arm(\'mine\')' => 'permission denied',
	'COMMIT' => 'transaction|EXECUTE');
my $n = 20;
foreach my $command (sort keys %wicked)
{
	my $no = 'H' . $n++;
	trouble($no, $command);
	refund($no);
	wait_failure($no, 'message ~ ' . Refundx::literal($wicked{$command}), "$command is refused");
}
# What operators do is not done by a handler, though its role could.
my %operators = (
	arm => q{'x'}, approve => q{'W', 'x'}, reject => q{'W', 'x'}, account_close => q{'A', 'x'},
	channel_add => q{'c', 'wechat', '{}'}, channel_set => q{'wx'}, notice_provider_add => q{'c', 'aliyun', '{}'},
	notice_provider_set => q{'sms'}, notice_template_set => q{'succeeded', '*', 'sms', '{}'}, refund_allow => q{'H1', 'x'},
	handler_waive => q{'H30', 'x'}, handler_pause => q{'refund.succeeded', 'shop.follow', 'x'}, hold => q{'refund', 'H1', 'x'},
	break_accept => q{1, 'x'}, break_resolve => q{1, 'x', 'x'}, break_ignore => q{1, 'x'}, break_assign => q{1, 'x', 'x'}, break_reopen => q{1, 'x'});
$rx->sql('GRANT refundx_operator TO shop_owner');
$rx->sql('SET ROLE shop_owner; CREATE TABLE shop.tried (function text, said text)');
trouble('H30', q{DO $$
	DECLARE c record;
	BEGIN
		FOR c IN SELECT * FROM json_each_text('} . Refundx::to_json(\%operators) =~ s/'/''/gr . q{') LOOP
			BEGIN
				EXECUTE format('SELECT refundx.%s(%s)', c.key, c.value);
				INSERT INTO shop.tried VALUES (c.key, 'no error');
			EXCEPTION WHEN OTHERS THEN
				INSERT INTO shop.tried VALUES (c.key, SQLSTATE);
			END;
		END LOOP;
	END $$});
refund('H30');
$rx->wait_state('H30', 'succeeded', 'a handler that tries what operators do');
is($rx->sql("SELECT string_agg(function, ' ' ORDER BY function) FROM shop.tried WHERE said = 'RX026'"), join(' ', sort keys %operators),
	'is refused each of it') || diag($rx->sql('SELECT * FROM shop.tried'));
$rx->sql('REVOKE refundx_operator FROM shop_owner');

# Deferred triggers and held cursors would run at commit, as the runner.
$rx->sql(q{
	SET ROLE shop_owner;
	CREATE TABLE shop.later (who text, n int);
	CREATE TABLE shop.log (who text);
	CREATE FUNCTION shop.log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO shop.log VALUES (current_user);
		IF NEW.n > 0 THEN
			SET CONSTRAINTS ALL DEFERRED;
			INSERT INTO shop.later VALUES ('again', NEW.n - 1);
		END IF;
		RETURN NULL; END $$;
	CREATE CONSTRAINT TRIGGER log AFTER INSERT ON shop.later DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION shop.log();
	CREATE FUNCTION shop.evil() RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO shop.log VALUES (current_user); RETURN 'x'; END $$;
});
trouble('H31', q{INSERT INTO shop.later VALUES ('once', 0)});
trouble('H32', q{INSERT INTO shop.later VALUES ('often', 3)});
trouble('H33', q{DECLARE c CURSOR WITH HOLD FOR SELECT shop.evil()});
trouble('H34', q{CREATE TEMP TABLE t AS SELECT 1 AS a});
trouble('H35', q{CREATE TEMP TABLE t AS SELECT 2 AS a});
trouble('H36', q{SET synchronous_commit = off});
trouble('H37', q{SELECT set_config('search_path', 'shop', false)});
trouble('H38', q{SELECT pg_advisory_lock(4711)});
refund("H$_") foreach (31, 32, 33, 34, 35, 36, 37, 38);
$rx->wait_state("H$_", 'succeeded', "H$_ is settled") foreach (31, 33, 34, 35, 36, 37, 38);
wait_failure('H32', "message ~ 'deferred trigger'", 'a trigger that defers another one again is refused');
is($rx->sql('SELECT DISTINCT who FROM shop.log'), 'shop_owner', 'nothing of it has run as somebody else');
refund('H39');
$rx->wait_state('H39', 'succeeded', 'and the next one goes on');
is($rx->sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711"), 0, 'no lock is left');
is($rx->sql("SELECT count(*) FROM pg_class WHERE relname = 't' AND relpersistence = 't'"), 0, 'no temporary table is left');
$rx->sql("SELECT refundx.handler_waive(refund_no, 'wicked') FROM refundx.handler_failures");
ok($rx->poll('SELECT count(*) = 0 FROM refundx.instruction WHERE is_open'), 'all is settled');

# ---- several, and other transitions ----

$rx->sql(q{SELECT refundx.handler_add('refund.succeeded', 'shop.need(refundx.refund)', mode => 'required', backoff => '1 h')});
$rx->sql(q{SELECT refundx.handler_add('refund.canceled', 'shop.follow(refundx.refund)', backoff => '1 h')});
refund('H40');
$rx->wait_state('H40', 'succeeded');
is(seen('H40'), 'succeeded succeeded', 'both are called');
trouble('H41', 'late order');
refund('H41');
wait_failure('H41', "code = '23505' AND function ~ 'need'", 'the second one fails');
is(seen('H41'), '', 'and what the first one did is undone with it: both are part of one settlement');
mended('H41');
$rx->sql(q{SELECT refundx.handler_retry('H41', 'mended')});
$rx->wait_state('H41', 'succeeded');
is(seen('H41'), 'succeeded succeeded', 'each has followed once');

$rx->set('refundx.dispatch' => 'off');
refund('H42');
$rx->sql("SELECT refundx.refund_cancel('H42')");
ok($rx->poll("SELECT count(*) = 1 FROM shop.seen WHERE refund_no = 'H42' AND state = 'canceled'"), 'a cancel in a session is followed by the runner');
$rx->set('refundx.dispatch' => 'on');

# ---- paused, removed ----

# What was put off at the moment of resume or remove, which did not see it, is found all the same.
$rx->sql(q{SELECT refundx.handler_pause('refund.canceled', 'shop.follow', 'maintenance')});
$rx->set('refundx.dispatch' => 'off');
refund("H$_") foreach (44, 45);
$rx->sql("SELECT refundx.refund_cancel('H44'), refundx.refund_cancel('H45')");
ok($rx->poll("SELECT count(*) = 2 FROM refundx.handler_failures WHERE state = 'paused'"), 'paused: two wait');
$rx->sql("UPDATE refundx.handler SET paused = NULL WHERE transition = 'canceled'");
$rx->sql("UPDATE refundx.handler SET removed_at = now() WHERE transition = 'canceled'");
advance(61);
ok($rx->poll('SELECT count(*) = 0 FROM refundx.handler_failures'), 'of a handler that is gone nothing waits');
is($rx->sql("SELECT DISTINCT state || ': ' || reason FROM refundx.handler_run WHERE state = 'waived' AND transition = 'canceled'"), 'waived: the handler was removed', 'and it is said why');
$rx->set('refundx.dispatch' => 'on');

$rx->sql(q{SELECT refundx.handler_remove('refund.succeeded', 'shop.need', 'no longer needed')});
$rx->sql(q{SELECT refundx.handler_pause('refund.succeeded', 'shop.follow', 'maintenance')});
refund('H43');
wait_failure('H43', "state = 'paused' AND settlement_waits", 'while it is paused, settlements wait');
is($rx->sql(q{SELECT refundx.handler_resume('refund.succeeded', 'shop.follow', 'done')}), 1, 'resumed');
$rx->wait_state('H43', 'succeeded', 'it goes on');
is(seen('H43'), 'succeeded', 'and was called');

# ---- the server dies between the handler and the commit ----

SKIP:
{
	skip 'needs a build with TESTPOINTS=1', 10 unless $rx->has_test_points;
	$rx->set('refundx.test_point' => 'runner-before-commit:wait');
	my $mark = -s $rx->node->logfile;
	refund('H50');
	ok(Refundx::wait_for(sub { $rx->node->log_contains('test point "runner-before-commit": waiting', $mark) }, 'the handler was called'),
		'between the handler and the commit');
	$rx->kill9;
	$rx->configure('refundx.test_point' => '');
	$rx->node->start;
	$rx->wait_state('H50', 'succeeded', 'kill -9: it is settled after the restart');
	is(seen('H50'), 'succeeded', 'and followed, once');
	is(notices('H50'), 1, 'one notice');

	# One that takes the server down each time does so three times, and no more.
	$rx->set('refundx.test_point' => 'runner-before-commit:crash');
	refund('H51');
	ok(Refundx::wait_for(sub { my ($n) = eval { failure('H51', 'code') }; defined $n && $n eq '57P02' }, 'it is given up'),
		'a call that takes the server down is not made for ever');
	is(failure('H51', 'state, settlement_waits, tries'), 'with_person|t|3', 'and waits for a person');
	is($rx->sql("SELECT count(*) FROM refundx.incidents WHERE kind = 'handler_crashed'"), 1, 'who is told');
	$rx->sql(q{INSERT INTO refundx.evidence (channel_id, merchant_id, source, digest, verdict, proof, wire_no, attempt_started_at)
		SELECT channel_id, merchant_id, 'callback', sha256('again'), 'succeeded', true, wire_no, clock_timestamp() FROM refundx.instruction WHERE instruction_no = 'H51'});
	ok($rx->poll("SELECT count(*) > 1 FROM refundx.handed d JOIN refundx.instruction i USING (instruction_id) WHERE i.instruction_no = 'H51'"),
		'what comes later for it waits behind it');
	$rx->set('refundx.test_point' => '');
	is($rx->sql(q{SELECT refundx.handler_retry('H51', 'the function was replaced')}), 1, 'mended');
	$rx->wait_state('H51', 'succeeded', 'it goes on');
}

# ---- refund_now ----

like($rx->sql_error("BEGIN; CALL refundx.refund_now('wx', 'PN', 'N1', 100)"), qr/^25001 refund_now cannot run inside a transaction block/, 'refund_now refuses a transaction block');
$rx->payment('PN', 50000);
is($rx->sql("CALL refundx.refund_now('wx', 'PN', 'N1', 10000)"), 'succeeded', 'refund_now waits for the outcome');
is(seen('N1'), 'succeeded', 'with its handler');
$rx->set('refundx.dispatch' => 'off');
$rx->payment('PN2', 50000);
is($rx->sql("CALL refundx.refund_now('wx', 'PN2', 'N2', 10000, timeout => '100 ms')"), 'queued', 'or returns the state so far');
is($rx->sql("CALL refundx.refund_now('wx', 'PN2', 'N2', 10000, timeout => '0 s')"), 'queued', 'and repeated, the same refund');
like($rx->sql_error("CALL refundx.refund_now('wx', 'PN2', 'N3', 90000)"), qr/^RX001 /, 'what refund_submit refuses, it refuses');

# ---- no handler any more ----

$rx->set('refundx.dispatch' => 'on');
$rx->wait_state('N2', 'succeeded');
$rx->sql("SELECT refundx.handler_remove(transition, function, 'the end') FROM refundx.handlers");
ok($rx->poll("SELECT count(*) = 0 FROM refundx.worker_status() WHERE kind = 'runner'"), 'the runner leaves with the last handler');
refund('H60');
$rx->wait_state('H60', 'succeeded', 'and the settler settles');
$rx->check_ok('at the end');
$rx->ledger_ok;
$rx->stop;
done_testing();
