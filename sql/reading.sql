-- What one asks about a refund: get, state, wait, timeline, explain.
\set ECHO none
\getenv source PG_ABS_SRCDIR
\set preamble :source /sql/preamble.inc
\i :preamble
SELECT refundx.channel_add('rd', 'wechat', pg_temp.wechat()), refundx.account_open('R-A', 'CNY'), refundx.account_credit('R-A', 5000, 'start'),
	   refundx.refund_submit('rd', 'R-P1', 'R-R1', 600, 'broken', currency => 'CNY', payment_amount => 1000, account => 'R-A') \g /dev/null
-- Times of day are not the same in two runs.
CREATE FUNCTION pg_temp.explain(refund_no text) RETURNS text LANGUAGE sql AS $$
	SELECT regexp_replace(refundx.refund_explain(refund_no), '\d\d:\d\d|\d{4}-\d\d-\d\d \d\d:\d\d', 'HH:MM', 'g')
$$;
\set ECHO all
SELECT refund_no, state FROM refundx.refund_get('R-R1');
SELECT refundx.refund_get('nobody');
SELECT refundx.refund_state('R-R1'), refundx.refund_state('nobody');
SELECT what, from_state, to_state, by = session_user FROM refundx.refund_timeline('R-R1');
SELECT count(*) FROM refundx.refund_timeline('nobody');
SELECT pg_temp.fails($$SELECT refundx.refund_explain('nobody')$$);
SELECT pg_temp.fails($$SELECT refundx.refund_explain(NULL)$$);
-- Waiting: until it is decided or the time is up; not inside a transaction.
CALL refundx.refund_wait('R-R1', '50 ms');
CALL refundx.refund_wait('R-R1', '0 s');
CALL refundx.refund_wait('nobody', '50 ms');
CALL refundx.refund_wait(NULL, '50 ms');
BEGIN;
CALL refundx.refund_wait('R-R1', '50 ms');
ROLLBACK;
SELECT pg_temp.fails($$CALL refundx.refund_wait('R-R1', '50 ms')$$);
-- From a procedure that may commit itself.
CREATE PROCEDURE pg_temp.pay_back(INOUT s text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM refundx.refund_submit('rd', 'R-P1', 'R-R2', 100);
	COMMIT;
	CALL refundx.refund_wait('R-R2', '50 ms', s);
END
$$;
CALL pg_temp.pay_back(NULL);
SELECT refund_no, state FROM refundx.refund_cancel('R-R2');
CALL refundx.refund_wait('R-R2', '1 hour');
-- One sentence for every state and what can be in the way. Here no worker serves the database.
SELECT pg_temp.explain('R-R1');
SELECT pg_temp.explain('R-R2');
BEGIN;
UPDATE refundx.payment SET hold = 'the channel says paid, we say failed' WHERE payment_no = 'R-P1';
SELECT pg_temp.explain('R-R1');
ROLLBACK;
BEGIN;
DELETE FROM refundx.installation;
SELECT pg_temp.explain('R-R1');
ROLLBACK;
CREATE FUNCTION pg_temp.as_if(changes text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	sentence text;
BEGIN
	EXECUTE format('UPDATE refundx.instruction SET %s, is_open = refundx.state_is_open(coalesce(%L, state)) WHERE instruction_no = ''R-R1''',
		changes, substring(changes FROM 'state = ''([a-z_]+)'''));
	sentence := pg_temp.explain('R-R1');
	RAISE EXCEPTION USING MESSAGE = sentence, ERRCODE = 'XX999';
EXCEPTION WHEN SQLSTATE 'XX999' THEN
	RETURN SQLERRM;
END
$$;
SELECT pg_temp.as_if(c) FROM unnest(ARRAY[
	$$state = 'awaiting_approval'$$,
	$$attempts = 2, detail = 'FREQUENCY_LIMITED'$$,
	$$state = 'sending', attempts = 1, due_at = NULL$$,
	$$state = 'unknown', attempts = 1, detail = 'SYSTEM_ERROR', due_call = 'query'$$,
	$$state = 'unknown', attempts = 1, refusal = 'USER_ACCOUNT_ABNORMAL', due_call = 'query'$$,
	$$state = 'unknown', may_send = false, due_call = 'query'$$,
	$$state = 'accepted', attempts = 1, due_at = now() + interval '40 s'$$,
	$$state = 'abnormal', person_reason = 'the card is dead', person_suggestion = 'Ask for another card.', person_since = now()$$,
	$$state = 'succeeded', attempts = 1, payer_amount = 550, received_by = 'ICBC debit card 1234'$$,
	$$state = 'failed', attempts = 1, detail = 'USER_ACCOUNT_ABNORMAL'$$,
	$$state = 'returned', attempts = 1$$,
	$$state = 'canceled', attempts = 1$$,
	$$state = 'succeeded', person_reason = 'the channel says "refused"', person_since = now()$$]) WITH ORDINALITY u(c, n) ORDER BY n;
-- The views, each read once.
SELECT refund_no, state, amount_text FROM refundx.inflight WHERE channel = 'rd';
SELECT count(*) FROM refundx.unknown WHERE channel = 'rd';
SELECT count(*) FROM refundx.attempts WHERE channel = 'rd';
SELECT count(*) FROM refundx.evidence_log WHERE channel = 'rd';
SELECT type, from_state, to_state FROM refundx.events WHERE refund_no LIKE 'R-R%' ORDER BY seq;
SELECT count(*) FROM refundx.notices WHERE refund_no LIKE 'R-R%';
SELECT count(*) FROM refundx.callbacks WHERE channel = 'rd';
SELECT count(*) FROM refundx.external_refunds WHERE channel = 'rd';
SELECT count(*) FROM refundx.desk WHERE channel = 'rd';
SELECT what, level, finding FROM refundx.health WHERE what IN ('armed', 'dispatch', 'workers') ORDER BY what;
