-- The operator's desk: what each function does, refuses, tries and records.
\set ECHO none
\getenv source PG_ABS_SRCDIR
\set preamble :source /sql/preamble.inc
\i :preamble
SELECT refundx.channel_add('dk', 'wechat', pg_temp.wechat() || '{"mchid": "1900000620"}') IS NULL;
SELECT refundx.account_open('dk-acc', 'CNY'), refundx.account_credit('dk-acc', 10000, 'sold');
SELECT refundx.payment_record('dk', 'dk-p' || n, 1000, 'CNY', account => 'dk-acc') FROM generate_series(1, 4) n;
SELECT (refundx.refund_submit('dk', 'dk-p' || n, 'dk-r' || n, 600)).state FROM generate_series(1, 4) n;
-- Evidence, weighed here as the settler would.
CREATE FUNCTION pg_temp.says(no text, source text, verdict text, proof boolean DEFAULT true) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	id bigint;
BEGIN
	INSERT INTO refundx.evidence (channel_id, merchant_id, source, about, digest, verdict, proof, wire_no, code, attempt_started_at)
	SELECT channel_id, merchant_id, $2, kind, sha256(convert_to($1 || $2 || $3 || clock_timestamp(), 'UTF8')), $3, $4, wire_no, 'CODE', clock_timestamp()
	  FROM refundx.instruction WHERE instruction_no = $1
	RETURNING evidence_id INTO id;
	PERFORM refundx.desk_settle(ARRAY[id]);
	RETURN (SELECT type FROM refundx.event WHERE evidence_id = id);
END
$$;
CREATE FUNCTION pg_temp.sent(no text) RETURNS void LANGUAGE sql AS $$
	INSERT INTO refundx.request (instruction_id, wire_no, body) SELECT instruction_id, wire_no, '' FROM refundx.instruction WHERE instruction_no = $1;
	INSERT INTO refundx.attempt (instruction_id, merchant_id, call, wire_no)
	SELECT instruction_id, merchant_id, 'submit', wire_no FROM refundx.instruction WHERE instruction_no = $1;
	UPDATE refundx.instruction SET attempts = 1, state = 'sending', first_attempt_at = clock_timestamp() WHERE instruction_no = $1;
	INSERT INTO refundx.event (instruction_id, type, from_state, to_state) SELECT instruction_id, 'claimed', 'queued', 'sending' FROM refundx.instruction WHERE instruction_no = $1;
$$;
-- An answer: what changes, without what the time makes different.
CREATE FUNCTION pg_temp.answer(a refundx.desk_answer) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT format('%s %s%s: %s', a.action, a.subject, CASE WHEN a.done THEN '' ELSE ' (not done)' END, a.note)
	UNION ALL
	SELECT format('   %s: %s -> %s', coalesce(b.key, f.key), b.value - 'due_at', f.value - 'due_at')
	  FROM jsonb_each(a.before) b FULL JOIN jsonb_each(a.after) f USING (key)
	 WHERE b.value - 'due_at' IS DISTINCT FROM f.value - 'due_at'
$$;
CREATE VIEW pg_temp.items AS
	SELECT severity, what, subject, state, amount, currency, reason, regexp_replace(evidence, '\d{4}-\d\d-\d\d.*|evidence \d+|notice \d+', '...', 'g') AS evidence,
		   suggestion, regexp_replace(call, 'resend\(\d+', 'resend(n') AS call
	  FROM refundx.desk WHERE channel = 'dk' OR subject LIKE 'dk-%';
\set ECHO all
-- Nothing is there without a reason.
SELECT pg_temp.fails($$SELECT refundx.hold('payment', 'dk-p1', '')$$);
SELECT pg_temp.fails($$SELECT refundx.release('payment', 'dk-p1', NULL)$$);
SELECT pg_temp.fails($$SELECT refundx.query_now('dk-r1', '  ')$$);
SELECT pg_temp.fails($$SELECT refundx.retry('dk-r1', '')$$);
SELECT pg_temp.fails($$SELECT refundx.callback_replay('dk-r1', '')$$);
SELECT pg_temp.fails($$SELECT refundx.callback_replay(1, '')$$);
SELECT pg_temp.fails($$SELECT refundx.notice_resend(1, '')$$);
SELECT pg_temp.fails($$SELECT refundx.external_ignore('dk-x', '')$$);
SELECT pg_temp.fails($$SELECT refundx.retry('dk-r1', repeat('x', 1001))$$);
-- Nor about nothing.
SELECT pg_temp.fails($$SELECT refundx.hold('payment', 'dk-none', 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.hold('account', 'dk-none', 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.hold('refund', 'dk-none', 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.hold('withdrawal', 'dk-r1', 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.hold('house', 'dk-r1', 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.hold('payment', NULL, 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.retry('dk-none', 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.retry(NULL, 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.callback_replay('dk-r1', 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.callback_replay(0, 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.notice_resend(0, 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.external_ignore('dk-x', 'why')$$);
-- A hold: tried, placed, placed again, in the way, lifted.
SELECT pg_temp.answer(refundx.hold('payment', 'dk-p1', 'the customer is on the phone', dry_run => true));
SELECT hold FROM refundx.payments WHERE payment_no = 'dk-p1';
SELECT pg_temp.answer(refundx.hold('payment', 'dk-p1', 'the customer is on the phone'));
SELECT pg_temp.fails($$SELECT refundx.hold('payment', 'dk-p1', 'again')$$);
SELECT pg_temp.fails($$SELECT refundx.refund_submit('dk', 'dk-p1', 'dk-r9', 1)$$);
SELECT pg_temp.fails($$SELECT refundx.retry('dk-r1', 'now')$$);
SELECT pg_temp.answer(refundx.hold('account', 'dk-acc', 'an audit'));
SELECT pg_temp.fails($$SELECT refundx.account_debit('dk-acc', 1, 'out')$$);
SELECT pg_temp.answer(refundx.hold('refund', 'dk-r2', 'fraud?'));
SELECT pg_temp.fails($$SELECT refundx.retry('dk-r2', 'now')$$);
SELECT pg_temp.fails($$SELECT refundx.refund_cancel('dk-r2', 'no')$$);
SELECT regexp_replace(refundx.refund_explain('dk-r2'), '\d\d:\d\d', 'hh:mm');
SELECT * FROM pg_temp.items;
SELECT pg_temp.answer(refundx.release('payment', 'dk-p1', 'hung up', dry_run => true));
SELECT pg_temp.answer(refundx.release('payment', 'dk-p1', 'hung up', 'dk'));
SELECT pg_temp.fails($$SELECT refundx.release('payment', 'dk-p1', 'hung up')$$);
SELECT pg_temp.answer(refundx.release('account', 'dk-acc', 'audited'));
SELECT pg_temp.answer(refundx.release('refund', 'dk-r2', 'no fraud'));
SELECT count(*) FROM pg_temp.items;
-- Two channels may have one number.
SELECT refundx.channel_add('dk2', 'wechat', pg_temp.wechat() || '{"mchid": "1900000621"}') IS NULL, refundx.payment_record('dk2', 'dk-p1', 5, 'CNY');
SELECT pg_temp.fails($$SELECT refundx.hold('payment', 'dk-p1', 'why')$$);
SELECT subject FROM refundx.hold('payment', 'dk-p1', 'why', 'dk2', true);
-- Ask, send again.
SELECT pg_temp.answer(refundx.query_now('dk-r1', 'who knows', true));
SELECT due_call FROM refundx.refunds WHERE refund_no = 'dk-r1';
SELECT pg_temp.answer(refundx.query_now('dk-r1', 'who knows'));
SELECT due_call FROM refundx.refunds WHERE refund_no = 'dk-r1';
SELECT pg_temp.answer(refundx.retry('dk-r1', 'go on'));
SELECT pg_temp.answer(refundx.retry('dk-r2', 'go on'));
SELECT pg_temp.sent('dk-r1');
SELECT pg_temp.fails($$SELECT refundx.query_now('dk-r1', 'now')$$);
SELECT pg_temp.fails($$SELECT refundx.retry('dk-r1', 'now')$$);
SELECT pg_temp.says('dk-r1', 'answer', 'unknown', false);
SELECT pg_temp.answer(refundx.retry('dk-r1', 'it hangs'));
SELECT pg_temp.says('dk-r1', 'callback', 'accepted');
SELECT pg_temp.fails($$SELECT refundx.retry('dk-r1', 'now')$$);
SELECT pg_temp.says('dk-r1', 'callback', 'succeeded');
SELECT pg_temp.fails($$SELECT refundx.retry('dk-r1', 'now')$$);
SELECT pg_temp.fails($$SELECT refundx.hold('refund', 'dk-r1', 'now')$$);
SELECT pg_temp.answer(refundx.query_now('dk-r1', 'did it arrive?'));
-- A callback is weighed again: the same comes to the same, and is another event.
SELECT pg_temp.answer(refundx.callback_replay('dk-r1', 'to see', true));
SELECT count(*) FROM refundx.evidence_log WHERE refund_no = 'dk-r1';
SELECT pg_temp.answer(refundx.callback_replay('dk-r1', 'to see'));
SELECT count(*) FROM refundx.evidence_log WHERE refund_no = 'dk-r1';
SELECT pg_temp.answer(refundx.callback_replay(min(evidence_id), 'that one')) FROM refundx.evidence_log WHERE refund_no = 'dk-r1' AND source = 'callback';
SELECT regexp_replace(f, 'evidence \d+', 'evidence n') FROM (SELECT pg_temp.fails(format('SELECT refundx.callback_replay(%s, %L)', min(evidence_id), 'why')) AS f FROM refundx.evidence_log WHERE refund_no = 'dk-r1' AND source = 'answer') x;
-- A contradiction holds the payment, and only resolving it lifts that.
SELECT (refundx.refund_cancel('dk-r3', 'not wanted')).state;
SELECT pg_temp.says('dk-r3', 'callback', 'succeeded');
SELECT * FROM pg_temp.items;
SELECT pg_temp.fails($$SELECT refundx.release('payment', 'dk-p3', 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.release('account', 'dk-acc', 'why')$$);
-- A message that may have been sent.
BEGIN;
SELECT refundx.notice_provider_add('dk-sms', 'aliyun', '{"access_key_id": "LTAI5tExampleKeyId01", "access_key_secret": "sms.key"}');
INSERT INTO refundx.notice (instruction_id, transition, provider, state, message, done_at, tries)
	SELECT instruction_id, 'succeeded', 'dk-sms', 'ambiguous', 'timed out', now(), 1 FROM refundx.instruction WHERE instruction_no = 'dk-r1';
SELECT * FROM pg_temp.items WHERE what = 'notice';
CREATE FUNCTION pg_temp.notice() RETURNS bigint LANGUAGE sql AS $$ SELECT notice_id FROM refundx.notice n JOIN refundx.instruction i USING (instruction_id) WHERE instruction_no = 'dk-r1' $$;
SELECT regexp_replace(pg_temp.fails($$SELECT refundx.notice_resend(pg_temp.notice(), 'why')$$), '\d+ cannot', 'n cannot');
INSERT INTO refundx.payment_contact SELECT payment_id, '13800138000' FROM refundx.payment WHERE payment_no = 'dk-p1' AND account_id IS NOT NULL;
SELECT regexp_replace(pg_temp.answer(refundx.notice_resend(pg_temp.notice(), 'she has none', true)), 'notice \d+', 'notice n');
SELECT regexp_replace(pg_temp.answer(refundx.notice_resend(pg_temp.notice(), 'she has none')), 'notice \d+', 'notice n');
SELECT regexp_replace(pg_temp.fails($$SELECT refundx.notice_resend(pg_temp.notice(), 'why')$$), '\d+ is', 'n is');
UPDATE refundx.notice SET state = 'sent', done_at = '2026-01-01 00:00+00' WHERE notice_id = pg_temp.notice();
SELECT regexp_replace(pg_temp.fails($$SELECT refundx.notice_resend(pg_temp.notice(), 'why')$$), '(notice) \d+|\d{4}-.*;', '\1 n', 'g');
SELECT action, reason FROM refundx.audit_log WHERE action = 'notice_resend';
ROLLBACK;
-- A refund that somebody else made.
INSERT INTO refundx.external_refund (channel_id, merchant_id, wire_no, payment_id, amount, evidence_id, person_reason, person_suggestion)
	SELECT e.channel_id, e.merchant_id, 'dk-x', p.payment_id, 5, e.evidence_id, 'the channel speaks of it', 'Find out.'
	  FROM refundx.evidence e JOIN refundx.payment p ON p.payment_no = 'dk-p4' WHERE e.wire_no = 'dk-r3' LIMIT 1;
SELECT * FROM pg_temp.items WHERE what LIKE 'external%';
SELECT pg_temp.answer(refundx.external_ignore('dk-x', 'the console, by Li', 'dk'));
SELECT pg_temp.fails($$SELECT refundx.external_ignore('dk-x', 'again')$$);
SELECT count(*) FROM pg_temp.items WHERE what LIKE 'external%';
-- A webhook that somebody has paused, and one whose events were given up.
BEGIN;
INSERT INTO refundx.webhook (name, url, secret_file, types, paused, paused_reason, paused_since) VALUES ('dk-hook', 'https://example.com/', 'hook.key', '{*}', 'operator', 'too loud', now()),
	('dk-dead', 'https://example.com/', 'hook.key', '{*}', NULL, NULL, NULL);
INSERT INTO refundx.outbox (seq, id, type, aggregatetype, aggregateid, payload, at) VALUES (-1, '00000000-0000-0000-0000-000000000620', 'refund.succeeded', 'refund', 'dk-r1', '{}', '2026-01-01 00:00+00');
INSERT INTO refundx.webhook_delivery (webhook_id, seq, aggregateid, state, created_at, done_at) SELECT webhook_id, -1, 'dk-r1', 'dead', now(), now() FROM refundx.webhook WHERE name = 'dk-dead';
SELECT severity, what, subject, state, reason, evidence, suggestion, call FROM refundx.desk WHERE what = 'webhook' ORDER BY subject;
ROLLBACK;
-- All that was done is on the record, and nothing that was only tried.
SELECT action, regexp_replace(subject, '^\d+$', 'n') AS subject, reason, detail->>'about' AS about FROM refundx.audit_log
 WHERE detail->>'about' IS NOT NULL ORDER BY audit_id;
SELECT type, from_state, to_state, note FROM refundx.events WHERE refund_no = 'dk-r2' ORDER BY seq;
SELECT * FROM refundx.check() WHERE subject LIKE 'dk-%';
