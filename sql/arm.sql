-- A copy must not pay: arming, and what it does to what may have been sent.
\set ECHO none
\getenv source PG_ABS_SRCDIR
\set preamble :source /sql/preamble.inc
\i :preamble
SELECT refundx.channel_add('arm', 'wechat', pg_temp.wechat()) \g /dev/null
SELECT refundx.payment_record('arm', 'M-P1', 1000, 'CNY', contact => '13800138000') \g /dev/null
SELECT refundx.refund_submit('arm', 'M-P1', 'M-' || s, 10) FROM unnest(ARRAY['queued', 'sending', 'unknown', 'accepted', 'abnormal', 'canceled']) s \g /dev/null
\set ECHO all
SELECT refundx.armed();
BEGIN;
UPDATE refundx.installation SET system_identifier = '1';
SELECT refundx.armed();
SELECT pg_temp.fails($$SELECT refundx.arm('')$$);
SELECT pg_temp.fails($$SELECT refundx.arm(NULL)$$);
-- Every open refund that the state table calls lost is asked about; messages go to a person.
SELECT state FROM refundx.refund_cancel('M-canceled');
UPDATE refundx.instruction SET state = substr(instruction_no, 3), due_at = now() + interval '1 day', polls = 3
 WHERE instruction_no IN ('M-sending', 'M-unknown', 'M-accepted', 'M-abnormal');
INSERT INTO refundx.notice (instruction_id, transition, state)
	SELECT instruction_id, 'succeeded', 'queued' FROM refundx.instruction WHERE instruction_no = 'M-accepted';
SELECT refundx.arm('this is the one now') > 0;
SELECT refundx.armed();
SELECT refund_no, state, due_call, due_at <= clock_timestamp() AS due, last_attempt_at IS NOT NULL AS recent
  FROM refundx.refunds WHERE refund_no LIKE 'M-%' ORDER BY refund_no;
SELECT refund_no, type, from_state, to_state, note FROM refundx.events
 WHERE refund_no LIKE 'M-%' AND type = 'lost' ORDER BY refund_no;
SELECT transition, state FROM refundx.notices WHERE refund_no = 'M-accepted';
SELECT action, reason, detail - '{asked_about,recovery}'::text[] FROM refundx.audit_log WHERE action = 'arm' ORDER BY audit_id DESC LIMIT 1;
ROLLBACK;
-- The same installation on a timeline that it has not seen; only the armed one recovers.
SELECT refundx.recover_timeline();
BEGIN;
UPDATE refundx.installation SET timeline = timeline - 1;
SELECT refundx.recover_timeline() > 0;
SELECT refundx.recover_timeline();
SELECT refundx.refund_state('M-queued');
ROLLBACK;
BEGIN;
UPDATE refundx.installation SET timeline = timeline - 1, system_identifier = '1';
SELECT refundx.recover_timeline();
SELECT refundx.refund_state('M-queued');
ROLLBACK;
