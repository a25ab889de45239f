-- What is done about failures: rules that cannot be, and decisions that come too
-- early.  (What they lead to: test/t/630_failure_policy.pl.)
\set ECHO none
\getenv source PG_ABS_SRCDIR
\set preamble :source /sql/preamble.inc
\i :preamble
SELECT refundx.channel_add('fp', 'wechat', pg_temp.wechat()) \g /dev/null
SELECT refundx.payment_record('fp', 'FP-P1', 10000, 'CNY'), refundx.refund_submit('fp', 'FP-P1', 'FP-R1', 500),
	   refundx.refund_submit('fp', 'FP-P1', 'FP-R2', 500), refundx.refund_cancel('FP-R2') \g /dev/null
CREATE FUNCTION pg_temp.refused(policy text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT pg_temp.fails(format('SELECT refundx.failure_policy_set(%L, %L)', 'fp', policy))
$$;
-- Times of day are not the same in two runs.
CREATE FUNCTION pg_temp.too_early(command text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT regexp_replace(pg_temp.fails(command), 'since .*?:(?= [a-z])', 'since THEN:')
$$;
\set ECHO all
-- Where nobody has said anything, it is as it was.
SELECT about, on_failure, retry_limit, retry_first, retry_factor, retry_max, reissue_limit, unknown_after, set
  FROM refundx.failure_policies WHERE channel = 'fp' ORDER BY about;
-- ---- what cannot be ----
SELECT p, pg_temp.refused(p) FROM unnest(ARRAY['[]', '7', '{"on_failures": "end"}', '{"on_failure": "forget"}', '{"on_failure": 3}',
	'{"retry_limit": -1}', '{"retry_limit": 1001}', '{"retry_limit": 2.5}', '{"retry_limit": "many"}', '{"retry_limit": true}',
	'{"retry_first": 0}', '{"retry_first": "a while"}', '{"retry_first": "500 ms"}', '{"retry_first": "2 days"}', '{"retry_first": [1]}',
	'{"retry_factor": 0.5}', '{"retry_factor": 11}', '{"retry_factor": 1.234}', '{"retry_factor": "twice"}',
	'{"retry_max": 0}', '{"retry_first": "10 min", "retry_max": "5 min"}', '{"retry_first": "10 min"}',
	'{"reissue_limit": 21}', '{"reissue_limit": -1}', '{"unknown_after": "-1 h"}', '{"unknown_after": "40 days"}']) p;
SELECT pg_temp.fails($$SELECT refundx.failure_policy_set('nowhere', '{}')$$);
SELECT pg_temp.fails($$SELECT refundx.failure_policy_set('fp', '{}', 'payment')$$);
SELECT pg_temp.fails($$SELECT refundx.failure_policy_set('fp', '{}', NULL)$$);
SELECT about, set FROM refundx.failure_policies WHERE channel = 'fp' ORDER BY about;
-- ---- what can be, member by member ----
SELECT refundx.failure_policy_set('fp', '{"on_failure": "reissue", "retry_first": 30, "retry_max": "10 min", "retry_factor": 1.5}');
SELECT refundx.failure_policy_set('fp', '{"unknown_after": "2 h", "retry_first": null}');
SELECT on_failure, retry_first, retry_factor, retry_max, unknown_after, set FROM refundx.failure_policies WHERE channel = 'fp' AND about = 'refund';
-- somebody has to be told, if they are to be asked
SET client_min_messages = warning;
SELECT refundx.failure_policy_set('fp', '{"on_failure": "ask_user"}');
SELECT refundx.failure_policy_set('fp', '{"on_failure": "operator"}', 'withdrawal');
SELECT about, on_failure FROM refundx.failure_policies WHERE channel = 'fp' ORDER BY about;
-- ---- of one refund ----
SELECT refundx.failure_policy_for('FP-R1', '{"retry_limit": 3}', 'the payer cannot wait');
SELECT no, on_failure, retry_limit, set FROM refundx.failure_policies WHERE no = 'FP-R1';
SELECT pg_temp.fails($$SELECT refundx.failure_policy_for('FP-R1', '{"retry_first": "1 h"}', 'x')$$);
SELECT pg_temp.fails($$SELECT refundx.failure_policy_for('FP-R1', '{"colour": "red"}', 'x')$$);
SELECT pg_temp.fails($$SELECT refundx.failure_policy_for('FP-R1', '{}', '')$$);
SELECT pg_temp.fails($$SELECT refundx.failure_policy_for('FP-R2', '{}', 'x')$$);
SELECT pg_temp.fails($$SELECT refundx.failure_policy_for('FP-R9', '{}', 'x')$$);
SELECT refundx.failure_policy_for('FP-R1', NULL, 'as all others');
SELECT count(*) FROM refundx.failure_policies WHERE no = 'FP-R1';
-- ---- decisions without a reason to decide ----
SELECT pg_temp.too_early($$SELECT refundx.reissue('FP-R1', 'a hurry')$$);
SELECT pg_temp.too_early($$SELECT refundx.reissue('FP-R2', 'a hurry')$$);
SELECT pg_temp.fails($$SELECT refundx.reissue('FP-R1', NULL)$$);
SELECT pg_temp.fails($$SELECT refundx.reissue('FP-R9', 'a hurry')$$);
SELECT pg_temp.too_early($$SELECT refundx.refund_continue('FP-R1', 'give_up')$$);
SELECT pg_temp.fails($$SELECT refundx.refund_continue('FP-R1', 'wait')$$);
SELECT pg_temp.fails($$SELECT refundx.refund_continue('FP-R9', 'give_up')$$);
SELECT pg_temp.fails($$SELECT refundx.withdraw_continue('FP-R1', 'give_up')$$);
-- ---- all of it is on record ----
SELECT action, subject, reason, detail FROM refundx.audit_log WHERE action LIKE 'failure%' AND subject ~ '^(fp|FP)' ORDER BY audit_id;
SELECT refundx.failure_policy_set('fp', NULL), refundx.failure_policy_set('fp', NULL, 'withdrawal');
SELECT about, on_failure, set FROM refundx.failure_policies WHERE channel = 'fp' ORDER BY about;
SELECT * FROM refundx.check();
