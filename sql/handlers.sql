-- Handlers: what is wrong is said when one is added, and by whom it may be decided about.
\set ECHO none
\getenv source PG_ABS_SRCDIR
\set preamble :source /sql/preamble.inc
\i :preamble
CREATE ROLE handler_app;
CREATE ROLE handler_other;
CREATE SCHEMA handled;
GRANT USAGE ON SCHEMA handled TO handler_app;
CREATE FUNCTION handled.follow(r refundx.refund) RETURNS void LANGUAGE sql AS 'SELECT';
CREATE FUNCTION handled.withdrawn(r refundx.withdrawal) RETURNS void LANGUAGE sql AS 'SELECT';
CREATE FUNCTION handled.text(r text) RETURNS void LANGUAGE sql AS 'SELECT';
CREATE FUNCTION handled.many(r refundx.refund) RETURNS SETOF int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION handled."Odd Name"(r refundx.refund) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE handled.proc(r refundx.refund) LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION handled.hidden(r refundx.refund) RETURNS void LANGUAGE sql AS 'SELECT';
REVOKE ALL ON FUNCTION handled.hidden(refundx.refund) FROM PUBLIC;
CREATE FUNCTION handled.owned(r refundx.refund) RETURNS void LANGUAGE sql AS 'SELECT';
ALTER FUNCTION handled.owned(refundx.refund) OWNER TO handler_app;
\set ECHO all
-- What cannot be a handler.
SELECT f.* FROM unnest(ARRAY[
	$$'refund.succeded', 'handled.follow(refundx.refund)'$$,
	$$'succeeded', 'handled.follow(refundx.refund)'$$,
	$$'refund.queued', 'handled.follow(refundx.refund)'$$,
	$$NULL, 'handled.follow(refundx.refund)'$$,
	$$'refund.succeeded', NULL$$,
	$$'refund.succeeded', ''$$,
	$$'refund.succeeded', 'follow(refundx.refund)'$$,
	$$'refund.succeeded', 'handled.nothing(refundx.refund)'$$,
	$$'refund.succeeded', 'handled.nothing'$$,
	$$'refund.succeeded', 'nowhere.follow(refundx.refund)'$$,
	$$'refund.succeeded', 'handled.follow('$$,
	$$'refund.succeeded', 'handled.follow(text); DROP TABLE x'$$,
	$$'refund.succeeded', 'handled.text(text)'$$,
	$$'refund.succeeded', 'handled.withdrawn(refundx.withdrawal)'$$,
	$$'withdrawal.succeeded', 'handled.follow(refundx.refund)'$$,
	$$'refund.succeeded', 'handled.many(refundx.refund)'$$,
	$$'refund.succeeded', 'handled.proc(refundx.refund)'$$,
	$$'refund.succeeded', 'handled.follow(refundx.refund)', role => 'nobody_at_all'$$,
	$$'refund.succeeded', 'handled.follow(refundx.refund)', role => 'refundx_runner'$$,
	$$'refund.succeeded', 'handled.hidden(refundx.refund)', role => 'handler_app'$$,
	$$'refund.succeeded', 'handled.follow(refundx.refund)', role => 'handler_app', mode => 'maybe'$$,
	$$'refund.succeeded', 'handled.follow(refundx.refund)', role => 'handler_app', time_limit => '1 h'$$,
	$$'refund.succeeded', 'handled.follow(refundx.refund)', role => 'handler_app', lock_limit => '10 s'$$,
	$$'refund.succeeded', 'handled.follow(refundx.refund)', role => 'handler_app', retries => -1$$,
	$$'refund.succeeded', 'handled.follow(refundx.refund)', role => 'handler_app', backoff => '0'$$]) a,
	LATERAL pg_temp.fails('SELECT refundx.handler_add(' || a || ')') f;
-- A superuser's function needs a role; any other runs as its owner.
SELECT pg_temp.fails(format('SELECT refundx.handler_add(%L, %L, role => %L)', 'refund.succeeded', 'handled.follow(refundx.refund)', current_user)) ~ '^RX011: role ".*" is a superuser$' AS refused LIMIT 1;
SELECT count(*) FROM refundx.handlers;
SELECT refundx.handler_add('refund.succeeded', 'handled.owned(refundx.refund)');
SELECT refundx.handler_add('refund.succeeded', 'handled.owned(refundx.refund)');
SELECT pg_temp.fails($$SELECT refundx.handler_add('refund.succeeded', 'handled.owned(refundx.refund)', mode => 'required')$$);
SELECT refundx.handler_add('refund.failed', 'handled."Odd Name"(refundx.refund)', 'required', 'handler_app', '2 s', '1 s', 3, '10 s');
SELECT refundx.handler_add('withdrawal.returned', 'handled.withdrawn', role => 'handler_app');
SELECT transition, function, mode, role, time_limit, lock_limit, retries, backoff, paused, waiting, problem FROM refundx.handlers ORDER BY added_at;
-- Who adds one must be an operator, and a member of the role.
CREATE ROLE handler_operator LOGIN IN ROLE refundx_operator;
GRANT handler_app TO handler_operator;
SET SESSION AUTHORIZATION handler_operator;
SELECT transition, problem FROM refundx.handlers WHERE transition = 'refund.failed';
SELECT count(*) FROM refundx.handler_failures;
SELECT count(*) FROM refundx.desk WHERE what = 'handler';
SELECT refundx.handler_add('refund.returned', 'handled.owned(refundx.refund)');
SELECT pg_temp.fails($$SELECT refundx.handler_add('refund.failed', 'handled.owned(refundx.refund)', role => 'handler_other')$$);
RESET SESSION AUTHORIZATION;
GRANT USAGE ON SCHEMA handled TO handler_other;
SET SESSION AUTHORIZATION handler_operator;
SELECT pg_temp.fails($$SELECT refundx.handler_add('refund.canceled', 'handled.follow(refundx.refund)', role => 'handler_other')$$);
SELECT pg_temp.fails($$SELECT refundx.handler_set('refund.returned', 'handled.owned', role => 'handler_other')$$);
SET SESSION AUTHORIZATION handler_app;
SELECT pg_temp.fails($$SELECT refundx.handler_add('refund.canceled', 'handled.owned(refundx.refund)')$$);
RESET SESSION AUTHORIZATION;
-- Changed, paused, removed.
SELECT refundx.handler_set('refund.failed', 'handled."Odd Name"', mode => 'best_effort', retries => 0);
SELECT pg_temp.fails($$SELECT refundx.handler_set('refund.failed', 'handled."Odd Name"', time_limit => '1 ms')$$);
SELECT pg_temp.fails($$SELECT refundx.handler_set('refund.failed', 'handled.follow')$$);
SELECT pg_temp.fails($$SELECT refundx.handler_pause('refund.failed', 'handled."Odd Name"', '')$$);
SELECT refundx.handler_pause('refund.failed', 'handled."Odd Name"', 'maintenance'), refundx.handler_pause('refund.failed', 'handled."Odd Name"', 'once more');
SELECT mode, retries, paused FROM refundx.handlers WHERE transition = 'refund.failed';
SELECT refundx.handler_resume('refund.failed', 'handled."Odd Name"', 'done');
DROP FUNCTION handled."Odd Name"(refundx.refund);
SELECT paused, problem FROM refundx.handlers WHERE transition = 'refund.failed';
SELECT pg_temp.fails($$SELECT refundx.handler_remove('refund.failed', 'handled."Odd Name"', NULL)$$);
SELECT refundx.handler_remove('refund.failed', 'handled."Odd Name"(refundx.refund)', 'dropped');
SELECT pg_temp.fails($$SELECT refundx.handler_remove('refund.failed', 'handled."Odd Name"(refundx.refund)', 'dropped')$$);
-- What has not failed cannot be retried, nor given up.
SELECT f.* FROM unnest(ARRAY['handler_retry', 'handler_waive']) n, unnest(ARRAY[$$'nothing', 'why'$$, $$'HA-1', ''$$, $$'HA-1', 'why'$$, $$'HA-1', 'why', 'x'$$]) a,
	LATERAL pg_temp.fails(format('SELECT refundx.%s(%s)', n, a)) f;
SELECT refundx.channel_add('ha', 'wechat', pg_temp.wechat() || '{"mchid": "1900000178"}') \g /dev/null
SELECT (refundx.refund_submit('ha', 'HA-P', 'HA-1', 10, currency => 'CNY', payment_amount => 1000)).state;
SELECT pg_temp.fails($$SELECT refundx.handler_retry('HA-1', 'why')$$);
-- A cancel in a session is for the runner to follow; until then it waits.
SELECT refundx.handler_add('refund.canceled', 'handled.owned(refundx.refund)', mode => 'required');
SELECT (refundx.refund_cancel('HA-1', 'changed my mind')).state;
SELECT refund_no, transition, function, mode, state, settlement_waits, tries, code FROM refundx.handler_failures;
SELECT pg_temp.fails($$SELECT refundx.handler_waive('HA-1', 'why', 'handled.follow')$$);
SELECT refundx.handler_waive('HA-1', 'not needed', 'handled.owned');
SELECT what, note FROM refundx.refund_timeline('HA-1') WHERE what LIKE 'handler%';
SELECT count(*) FROM refundx.handler_failures;
SELECT action, subject, reason FROM refundx.audit_log WHERE action LIKE 'handler%' ORDER BY audit_id;
-- Outside of a handler nobody is in one.
SELECT refundx.handler_running();
-- refund_now, where it may not be.
BEGIN;
CALL refundx.refund_now('ha', 'HA-P', 'HA-2', 10);
ROLLBACK;
CALL refundx.refund_now('ha', 'HA-P', 'HA-2', -1);
CALL refundx.refund_now('ha', 'HA-P', 'HA-2', 10000);
CALL refundx.refund_now('ha', 'HA-P', 'HA-2', 10, timeout => '0 s');
CALL refundx.refund_now('ha', 'HA-P', 'HA-2', 10, timeout => '10 ms');
CALL refundx.refund_now('ha', 'HA-P', 'HA-2', 11, timeout => '0 s');
-- The tables keep what was.
SELECT pg_temp.fails('DELETE FROM refundx.handler');
SELECT pg_temp.fails('DELETE FROM refundx.handler_run');
SELECT refundx.handler_remove(transition, function, 'the end') FROM refundx.handlers ORDER BY added_at;
\set ECHO none
DROP FUNCTION handled.owned(refundx.refund);
DROP SCHEMA handled CASCADE;
DROP ROLE handler_operator, handler_app, handler_other;
