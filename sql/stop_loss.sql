-- Stop-loss: pauses and caps, and what is said of those that make no sense.
\set ECHO none
\getenv source PG_ABS_SRCDIR
\set preamble :source /sql/preamble.inc
\i :preamble
SELECT refundx.channel_add('sl', 'wechat', pg_temp.wechat() || '{"mchid": "1900000191", "transfer": {"appid": "wx0123456789abcdef", "scene_id": "1000", "remark": "pay",
	"report_infos": [{"info_type": "a", "info_content": "b"}]}}'),
	refundx.channel_add('sl-stripe', 'stripe', pg_temp.stripe() || '{"account_id": "acct_1StopLoss"}'),
	refundx.account_open('SL-A', 'CNY'), refundx.account_credit('SL-A', 5000, 'start') \g /dev/null
CREATE ROLE sl_shop LOGIN IN ROLE refundx_app;
CREATE ROLE sl_team;
CREATE ROLE sl_member LOGIN IN ROLE refundx_app, sl_team;
CREATE ROLE sl_operator LOGIN IN ROLE refundx_operator;
CREATE FUNCTION pg_temp.submit(no text) RETURNS text LANGUAGE sql AS $$
	SELECT (refundx.refund_submit('sl', 'SL-P', no, 10, currency => 'CNY', payment_amount => 100000, account => 'SL-A')).state
$$;
CREATE FUNCTION pg_temp.told(command text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT regexp_replace(f, 'since [^ ]+ by', 'since ... by') FROM pg_temp.fails(command) f
$$;
CREATE FUNCTION pg_temp.id(no text) RETURNS bigint LANGUAGE sql AS $$
	SELECT instruction_id FROM refundx.instruction WHERE instruction_no = no
$$;
\set ECHO all
-- What makes no sense is refused, and says what would.
SELECT f.* FROM unnest(ARRAY[
	$$'merchant', 'sl', NULL$$, $$'merchant', 'sl', ''$$, $$'shop', 'sl', 'r'$$, $$NULL, 'sl', 'r'$$,
	$$'merchant', NULL, 'r'$$, $$'merchant', 'nobody', 'r'$$, $$'account', 'nobody', 'r'$$, $$'role', 'nobody', 'r'$$,
	$$'everything', 'sl', 'r'$$, $$'merchant', 'sl', 'r', 'coffee'$$, $$'account', 'SL-A', 'r', 'refund'$$]) a,
	LATERAL pg_temp.fails('SELECT refundx.pause(' || a || ')') f;
SELECT f.* FROM unnest(ARRAY[$$'merchant', 'sl', ''$$, $$'merchant', 'nobody', 'r'$$, $$'everything', 'sl', 'r'$$]) a,
	LATERAL pg_temp.fails('SELECT refundx.resume(' || a || ')') f;
SELECT f.* FROM unnest(ARRAY[
	$$'merchant', 'sl', '1 hour', 100$$, $$'merchant', 'sl', '1 hour', reason => 'r'$$, $$'merchant', 'sl', '0 s', 100, reason => 'r'$$,
	$$'merchant', 'sl', NULL, 100, reason => 'r'$$, $$'merchant', 'sl', '2 years', 100, reason => 'r'$$, $$'merchant', 'sl', '1 hour', -1, reason => 'r'$$,
	$$'merchant', 'sl', '1 hour', 100, reason => 'r', alarm_at => 0$$, $$'merchant', 'sl', '1 hour', 100, reason => 'r', alarm_at => 1.5$$,
	$$'merchant', 'sl', '1 hour', 100, reason => 'r', currency => 'yuan'$$, $$'everything', NULL, '1 hour', 100, reason => 'r'$$,
	$$'merchant', 'sl-stripe', '1 hour', 100, reason => 'r'$$, $$'role', 'sl_shop', '1 hour', 100, reason => 'r'$$,
	$$'account', 'SL-A', '1 hour', 100, reason => 'r', currency => 'USD'$$, $$'account', 'SL-B', '1 hour', 100, reason => 'r'$$]) a,
	LATERAL pg_temp.fails('SELECT refundx.cap_set(' || a || ')') f;
SELECT pg_temp.fails($$SELECT refundx.cap_remove('merchant', 'sl', '')$$);
SELECT count(*) FROM refundx.pauses WHERE cause = 'operator';
SELECT count(*) FROM refundx.caps;
-- Not for everybody.
SET SESSION AUTHORIZATION sl_shop;
SELECT pg_temp.fails($$SELECT refundx.pause('everything', NULL, 'why not')$$);
SELECT pg_temp.fails($$SELECT refundx.cap_set('everything', NULL, '1 hour', max_number => 1, reason => 'why not')$$);
SELECT pg_temp.fails('SELECT * FROM refundx.caps');
RESET SESSION AUTHORIZATION;
-- A merchant: what is submitted waits.
SET SESSION AUTHORIZATION sl_operator;
SELECT refundx.pause('merchant', 'sl', 'an audit', 'refund'), refundx.pause('merchant', '1900000191', 'again', 'refund') AS again,
	   refundx.pause('merchant', '1900000191', 'both') AS and_withdrawals;
SELECT scope, subject, about, cause, reason, by_user FROM refundx.pauses WHERE cause = 'operator' ORDER BY about;
SELECT paused, paused_reason, withdrawals_paused, withdrawals_paused_reason FROM refundx.merchants WHERE merchant_no = '1900000191';
SELECT level, finding FROM refundx.health WHERE what = 'merchant' AND finding ~ '1900000191';
RESET SESSION AUTHORIZATION;
SELECT pg_temp.submit('SL-R1');
SELECT regexp_replace(refundx.refund_explain('SL-R1'), 'since \d\d:\d\d', 'since ...', 'g');
SELECT refundx.resume('merchant', 'sl', 'it was fine', 'withdrawal') AS withdrawals, refundx.resume('merchant', 'sl', 'and again', 'withdrawal') AS again,
	   refundx.resume('merchant', 'sl', 'it was fine');
SELECT refundx.pause('everything', NULL, 'a fire');
SELECT pg_temp.submit('SL-R2');
SELECT regexp_replace(refundx.refund_explain('SL-R2'), 'since \d\d:\d\d', 'since ...', 'g');
SELECT regexp_replace(finding, 'since \d\d:\d\d', 'since ...') FROM refundx.health WHERE what = 'pause';
SELECT refundx.resume('everything', NULL, 'it is out');
-- An account: nothing is taken from it.
SELECT refundx.pause('account', 'SL-A', 'who is that?');
SELECT pg_temp.told($$SELECT pg_temp.submit('SL-R3')$$);
SELECT pg_temp.told($$SELECT refundx.account_debit('SL-A', 1, 'd')$$);
SELECT refundx.account_credit('SL-A', 1, 'c') \g /dev/null
-- what it has frozen is given back
SELECT (refundx.refund_cancel('SL-R2', 'not now')).state;
SELECT pg_temp.submit('SL-R2');
SELECT refundx.resume('account', 'SL-A', 'a friend');
SELECT pg_temp.submit('SL-R3');
-- A role, and who is a member of it: submits are refused.
SELECT refundx.pause('role', 'sl_shop', 'its key leaked'), refundx.pause('role', 'sl_team', 'on leave');
SET SESSION AUTHORIZATION sl_shop;
SELECT pg_temp.told($$SELECT pg_temp.submit('SL-R4')$$);
SELECT pg_temp.told($$SELECT refundx.withdraw_submit('SL-A', 'SLW1', 100, 'sl', '{"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"}', 'pay')$$);
SET SESSION AUTHORIZATION sl_member;
SELECT pg_temp.told($$SELECT pg_temp.submit('SL-R4')$$);
RESET SESSION AUTHORIZATION;
-- a superuser is a member of none
SELECT pg_temp.submit('SL-R4');
-- what is there already is returned
SELECT pg_temp.submit('SL-R1');
SELECT refundx.resume('role', 'sl_team', 'back');
SET SESSION AUTHORIZATION sl_member;
SELECT pg_temp.submit('SL-R5');
RESET SESSION AUTHORIZATION;
SELECT refundx.resume('role', 'sl_shop', 'a new key');
SELECT action, subject, reason, detail->0->>'reason' AS was FROM refundx.audit_log WHERE action IN ('pause', 'resume') AND NOT coalesce(detail, '[]') ? 'cause' ORDER BY audit_id;
-- Caps: what was sent before counts.
INSERT INTO refundx.request (instruction_id, wire_no, body)
	SELECT instruction_id, wire_no, 'x' FROM refundx.instruction WHERE instruction_no IN ('SL-R1', 'SL-R2', 'SL-R3');
INSERT INTO refundx.attempt (instruction_id, merchant_id, call, wire_no, started_at)
	SELECT instruction_id, merchant_id, 'submit', wire_no, clock_timestamp() - interval '30 min' FROM refundx.instruction
	 WHERE instruction_no IN ('SL-R1', 'SL-R2', 'SL-R3');
SELECT pg_temp.fails($$SELECT refundx.cap_set('merchant', 'sl', '1 hour', 20, reason => 'r')$$);
SELECT pg_temp.fails($$SELECT refundx.cap_set('account', 'SL-A', '1 hour', max_number => 2, reason => 'r')$$);
SELECT refundx.cap_set('merchant', 'sl', '20 min', 20, reason => 'nothing was sent then') > 0 AS set;
SELECT refundx.cap_set('merchant', 'sl', '1 hour', 20, reason => 'all the same', force => true) > 0 AS set;
SELECT refundx.cap_set('merchant', 'sl', '2 hours', max_number => 4, reason => 'as a number') > 0 AS set;
SELECT scope, subject, within, max_amount_text, used_amount_text, max_number, used_number, level, reason FROM refundx.caps ORDER BY cap_id;
SELECT level, finding FROM refundx.health WHERE what = 'cap' ORDER BY finding;
-- what is over it stays queued, and says why; the caps that fit one by one are not enough
SELECT instruction_id = pg_temp.id('SL-R4') AS is_r4, look_at - clock_timestamp() BETWEEN '29 min' AND '31 min' AS in_half_an_hour
  FROM refundx.stop_take(ARRAY[pg_temp.id('SL-R4')], clock_timestamp());
SELECT regexp_replace(refundx.refund_explain('SL-R4'), 'since \d\d:\d\d', 'since ...', 'g');
SELECT waiting, waiting_amount, level FROM refundx.caps ORDER BY cap_id;
SELECT event.type, note FROM refundx.event WHERE instruction_id = pg_temp.id('SL-R4') ORDER BY seq;
-- one that is larger than the cap is said to be
SELECT refundx.cap_set('account', 'SL-A', '1 day', 5, reason => 'small ones', force => true) > 0 AS set;
SELECT look_at - clock_timestamp() BETWEEN '59 min' AND '61 min' AS looked_at_hourly
  FROM refundx.stop_take(ARRAY[pg_temp.id('SL-R5')], clock_timestamp());
SELECT regexp_replace(refundx.refund_explain('SL-R5'), 'since \d\d:\d\d', 'since ...', 'g');
SELECT refundx.cap_remove('account', 'SL-A', 'away with it');
-- a cap in place of one of the same time; what waits is looked at again
SELECT refundx.cap_set('merchant', 'sl', '1 hour', 45, reason => 'more') > 0 AS set;
SELECT due_at <= clock_timestamp() AS due FROM refundx.instruction WHERE instruction_no = 'SL-R4';
SELECT count(*) AS refused FROM refundx.stop_take(ARRAY[pg_temp.id('SL-R4')], clock_timestamp());
SELECT within, used_amount, used_number, waiting, level FROM refundx.caps ORDER BY cap_id;
-- the same number once in a window: it is sent again without more room
UPDATE refundx.instruction SET first_attempt_at = clock_timestamp() WHERE instruction_no = 'SL-R4';
SELECT count(*) AS refused FROM refundx.stop_take(ARRAY[pg_temp.id('SL-R4')], clock_timestamp() + interval '15 min');
SELECT used.amount, used.number FROM refundx.cap c, LATERAL refundx.cap_used(c, clock_timestamp() + interval '16 min') used WHERE c.removed_at IS NULL ORDER BY cap_id;
-- and counts from when it was sent last
SELECT used.amount, used.number FROM refundx.cap c, LATERAL refundx.cap_used(c, clock_timestamp() + interval '70 min') used WHERE c.removed_at IS NULL AND c.within = '1 hour';
SELECT refundx.cap_remove('merchant', 'sl', 'r', within => '3 hours') AS none, refundx.cap_remove('merchant', 'sl', 'r', within => '2 hours') AS one,
	   refundx.cap_remove('merchant', 'sl', 'r') AS rest;
SELECT count(*) FROM refundx.caps;
-- A paused one is refused to the claim as well.
SELECT refundx.pause('role', 'sl_member', 'r');
SELECT instruction_id = pg_temp.id('SL-R5') AS is_r5 FROM refundx.stop_take(ARRAY[pg_temp.id('SL-R4'), pg_temp.id('SL-R5')], clock_timestamp());
SELECT refundx.resume('role', 'sl_member', 'r');
SELECT event.type, note FROM refundx.event WHERE instruction_id = pg_temp.id('SL-R5') ORDER BY seq;
-- nobody forgets a broken cap: I23
SELECT refundx.cap_set('merchant', 'sl', '1 hour', max_number => 9, reason => 'r') > 0 AS set;
SELECT count(*) FROM refundx.check_i23;
BEGIN;
UPDATE refundx.cap SET max_number = 1, set_at = clock_timestamp() - interval '1 day' WHERE removed_at IS NULL;
SELECT regexp_replace(finding, 'at .* it had', 'at ... it had') FROM refundx.check_i23 LIMIT 1;
ROLLBACK;
BEGIN;
INSERT INTO refundx.attempt (instruction_id, merchant_id, call, wire_no) SELECT instruction_id, merchant_id, 'submit', wire_no FROM refundx.instruction WHERE instruction_no = 'SL-R5';
SELECT subject, regexp_replace(finding, 'at .* and took', 'at ... and took') FROM refundx.check_i23;
ROLLBACK;
SELECT refundx.cap_remove('merchant', 'sl', 'r');
-- Rates and breakers.
SELECT f.* FROM unnest(ARRAY[
	$$'sl', NULL, calls_per_second => 5$$, $$'nobody', 'r', calls_per_second => 5$$, $$'sl', 'r', calls_per_second => 0$$, $$'sl', 'r', calls_per_second => 1000$$,
	$$'sl', 'r', 'coffee'$$, $$'sl', 'r', breaker_calls => 65$$, $$'sl', 'r', breaker_errors => 0$$, $$'sl', 'r', breaker_longest => '2 days'$$]) a,
	LATERAL pg_temp.fails('SELECT refundx.pace_set(' || a || ')') f;
SELECT refundx.pace_set('sl', 'gently', 'refund', calls_per_second => 5, breaker_calls => 10, breaker_errors => 0.9);
SELECT about, channel_allows, calls_per_second, failing_per_second, breaker_calls, breaker_errors, breaker_longest, reason FROM refundx.paces WHERE merchant_no = '1900000191' ORDER BY about;
SELECT refundx.pace_set('sl', 'as it was');
SELECT about, calls_per_second, breaker_calls, breaker_errors FROM refundx.paces WHERE merchant_no = '1900000191' ORDER BY about;
SELECT count(*) FROM refundx.breakers;
-- nothing of it is left for the other tests
SELECT count(*) FROM refundx.pauses WHERE cause = 'operator';
DROP ROLE sl_shop, sl_team, sl_member, sl_operator;
