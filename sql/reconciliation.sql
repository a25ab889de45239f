-- Reconciliation: each class, from bills that were made by hand; and that twice is once.
\set ECHO none
\getenv source PG_ABS_SRCDIR
\set preamble :source /sql/preamble.inc
\i :preamble
SELECT refundx.channel_add('rc', 'wechat', pg_temp.wechat() || '{"mchid": "1900000640"}') IS NULL;
-- A bill and its lines, as a load would keep them.
CREATE FUNCTION pg_temp.bill(kind text, day date, state text DEFAULT 'loaded') RETURNS bigint LANGUAGE sql AS $$
	INSERT INTO refundx.bill (channel_id, merchant_id, kind, day, state, hash, lines, loaded_at, currency, due_at)
	SELECT channel_id, merchant_id, $1, $2, $3, 'sha256:00', 0, now(), 'CNY', CASE $3 WHEN 'due' THEN now() END FROM refundx.channel WHERE name = 'rc' RETURNING bill_id
$$;
CREATE FUNCTION pg_temp.line(kind text, day date, no text, amount bigint, movement text, about text DEFAULT 'refund', fee bigint DEFAULT NULL, rate bigint DEFAULT NULL,
	payment_no text DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
	INSERT INTO refundx.bill_line (bill_id, line_no, about, movement, wire_no, payment_no, amount, currency, occurred_at, code, fee, rate)
	SELECT b.bill_id, (SELECT count(*) + 1 FROM refundx.bill_line l WHERE l.bill_id = b.bill_id), $6, $5, $3, $9, $4, 'CNY', $2::timestamp AT TIME ZONE 'Asia/Shanghai', 'WORD', $7, $8
	  FROM refundx.bill b JOIN refundx.channel c USING (channel_id) WHERE c.name = 'rc' AND b.kind = $1 AND b.day = $2 AND b.state = 'loaded'
$$;
-- A refund, and what became of it at that time (Beijing); nothing: it was never sent.
CREATE FUNCTION pg_temp.refund(no text, amount bigint, verdict text, at timestamp DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	id bigint;
	at timestamptz := $4 AT TIME ZONE 'Asia/Shanghai';
BEGIN
	PERFORM refundx.payment_record('rc', 'P' || no, 100000, 'CNY'), refundx.refund_submit('rc', 'P' || no, no, amount);
	-- ids and times of submission grow together
	UPDATE refundx.instruction SET submitted_at = coalesce(at, '2036-10-20') - interval '1 minute' WHERE instruction_no = no;
	IF verdict IS NULL THEN
		RETURN;
	END IF;
	UPDATE refundx.instruction SET attempts = 1, state = 'sending', first_attempt_at = at, last_attempt_at = at WHERE instruction_no = no;
	INSERT INTO refundx.request (instruction_id, wire_no, body) SELECT instruction_id, wire_no, '' FROM refundx.instruction WHERE instruction_no = no;
	INSERT INTO refundx.attempt (instruction_id, payment_id, merchant_id, call, wire_no, started_at)
		SELECT instruction_id, payment_id, merchant_id, 'submit', wire_no, at FROM refundx.instruction WHERE instruction_no = no;
	INSERT INTO refundx.event (instruction_id, type, from_state, to_state) SELECT instruction_id, 'claimed', 'queued', 'sending' FROM refundx.instruction WHERE instruction_no = no;
	INSERT INTO refundx.evidence (channel_id, merchant_id, source, about, digest, verdict, proof, wire_no, code, attempt_started_at, occurred_at, received_at)
	SELECT channel_id, merchant_id, 'answer', kind, sha256(convert_to(no, 'UTF8')), verdict, true, wire_no, upper(verdict), at, at, at
	  FROM refundx.instruction WHERE instruction_no = no RETURNING evidence_id INTO id;
	PERFORM refundx.desk_settle(ARRAY[id]);
	UPDATE refundx.instruction SET state_since = at WHERE instruction_no = no;
END
$$;
-- What the settler would do.
CREATE FUNCTION pg_temp.settle() RETURNS void LANGUAGE sql AS $$
	SELECT refundx.desk_settle(array_agg(evidence_id ORDER BY evidence_id)) FROM refundx.evidence e
	 WHERE source = 'bill' AND NOT EXISTS (SELECT FROM refundx.event x WHERE x.evidence_id = e.evidence_id)
	HAVING count(*) > 0
$$;
CREATE FUNCTION pg_temp.run(day date, dry_run boolean DEFAULT false) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT format('%s %s: %s, ours %s, bill %s %s', n, about, class, our_amount, bill_amount, currency) FROM refundx.reconcile('rc', day, dry_run)
$$;
CREATE VIEW pg_temp.open_breaks AS
	SELECT day, class, about, wire_no, our_state, our_amount, bill_amount, bill_movement, reason, evidence_id IS NOT NULL AS evidence
	  FROM refundx.break WHERE closed_at IS NULL AND merchant_id = (SELECT merchant_id FROM refundx.channel WHERE name = 'rc')
	 ORDER BY day, class, wire_no;
CREATE VIEW pg_temp.closed_breaks AS
	SELECT day, class, wire_no, closed_by, closed_how, close_reason
	  FROM refundx.break WHERE closed_at IS NOT NULL AND merchant_id = (SELECT merchant_id FROM refundx.channel WHERE name = 'rc')
	 ORDER BY day, class, wire_no;
-- All there is, as one number for each table.
CREATE FUNCTION pg_temp.everything() RETURNS TABLE (name text, content text) LANGUAGE plpgsql AS $$
BEGIN
	FOR name IN SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'refundx'::regnamespace AND c.relkind = 'r' ORDER BY 1 LOOP
		EXECUTE format('SELECT md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text), %L)) FROM refundx.%I t', '', name) INTO content;
		RETURN NEXT;
	END LOOP;
END
$$;
\set ECHO all
-- What it refuses.
SELECT pg_temp.fails($$SELECT * FROM refundx.reconcile('nobody', '2036-10-20')$$);
SELECT pg_temp.fails($$SELECT * FROM refundx.reconcile('rc', NULL)$$);
SELECT pg_temp.fails($$SELECT * FROM refundx.reconcile('rc', '2036-10-20')$$);
SELECT pg_temp.bill('trade', '2036-10-18', 'due') IS NOT NULL, pg_temp.bill('trade', '2036-10-19', 'empty') IS NOT NULL;
SELECT pg_temp.fails($$SELECT * FROM refundx.reconcile('rc', '2036-10-18')$$);
-- A day without business says something, too.
SELECT pg_temp.refund('rcQUIET', 99, 'succeeded', '2036-10-19 10:00') \g /dev/null
SELECT pg_temp.run('2036-10-19', true);
-- A day with one of each.
SELECT pg_temp.bill('trade', '2036-10-20') IS NOT NULL;
SELECT pg_temp.refund('rcOK' || n, 100 + n, 'succeeded', '2036-10-20 10:00'), pg_temp.line('trade', '2036-10-20', 'rcOK' || n, 100 + n, 'paid', fee => -1000, rate => 6000)
  FROM generate_series(1, 5) n \g /dev/null
SELECT pg_temp.refund('rcFROZEN', 150, 'succeeded', '2036-10-20 10:00'), pg_temp.line('trade', '2036-10-20', 'rcFROZEN', 150, 'under_way') \g /dev/null
SELECT pg_temp.refund('rcWAITS', 151, 'accepted', '2036-10-20 10:00'), pg_temp.line('trade', '2036-10-20', 'rcWAITS', 151, 'under_way') \g /dev/null
SELECT pg_temp.refund('rcOPEN', 200, 'accepted', '2036-10-20 11:00'), pg_temp.line('trade', '2036-10-20', 'rcOPEN', 200, 'paid', payment_no => 'PrcOPEN') \g /dev/null
SELECT pg_temp.refund('rcUNKNOWN', 201, 'unknown', '2036-10-20 11:00'), pg_temp.line('trade', '2036-10-20', 'rcUNKNOWN', 201, 'paid') \g /dev/null
SELECT pg_temp.refund('rcUNSENT', 202, NULL), pg_temp.line('trade', '2036-10-20', 'rcUNSENT', 202, 'under_way') \g /dev/null
SELECT pg_temp.refund('rcABNORMAL', 203, 'accepted', '2036-10-20 11:00'), pg_temp.line('trade', '2036-10-20', 'rcABNORMAL', 203, 'abnormal') \g /dev/null
SELECT pg_temp.refund('rcDEAD', 204, 'accepted', '2036-10-20 11:00'), pg_temp.line('trade', '2036-10-20', 'rcDEAD', 204, 'failed') \g /dev/null
SELECT pg_temp.refund('rcMISSING', 300, 'succeeded', '2036-10-20 12:00') \g /dev/null
SELECT pg_temp.refund('rcLATE', 301, 'succeeded', '2036-10-20 23:59:59') \g /dev/null
SELECT pg_temp.refund('rcEARLY', 302, 'accepted', '2036-10-21 00:00:01'), pg_temp.line('trade', '2036-10-20', 'rcEARLY', 302, 'under_way') \g /dev/null
SELECT pg_temp.line('trade', '2036-10-20', 'rcCONSOLE', 400, 'paid', payment_no => 'PrcOK1') \g /dev/null
SELECT pg_temp.line('trade', '2036-10-20', 'rcCONSOLE2', 401, 'failed') \g /dev/null
SELECT pg_temp.refund('rcAMOUNT', 500, 'succeeded', '2036-10-20 12:00'), pg_temp.line('trade', '2036-10-20', 'rcAMOUNT', 501, 'paid') \g /dev/null
SELECT pg_temp.refund('rcFAILED', 600, 'refused', '2036-10-20 12:00'), pg_temp.line('trade', '2036-10-20', 'rcFAILED', 600, 'paid') \g /dev/null
SELECT pg_temp.refund('rcPAID', 601, 'succeeded', '2036-10-20 12:00'), pg_temp.line('trade', '2036-10-20', 'rcPAID', 601, 'failed') \g /dev/null
SELECT pg_temp.refund('rcTWICE', 700, 'succeeded', '2036-10-20 12:00'), pg_temp.line('trade', '2036-10-20', 'rcTWICE', 700, 'paid') FROM generate_series(1, 1) \g /dev/null
SELECT pg_temp.line('trade', '2036-10-20', 'rcTWICE', 700, 'paid') \g /dev/null
SELECT pg_temp.refund('rcFEE', 10000, 'succeeded', '2036-10-20 12:00'), pg_temp.line('trade', '2036-10-20', 'rcFEE', 10000, 'paid', fee => -62000, rate => 6000) \g /dev/null
SELECT pg_temp.line('trade', '2036-10-20', NULL, 60, 'fee') \g /dev/null
-- First tried: nothing is written.
CREATE TEMP TABLE before AS SELECT * FROM pg_temp.everything();
SELECT pg_temp.run('2036-10-20', true);
SELECT * FROM before EXCEPT SELECT * FROM pg_temp.everything();
-- Then done; and the settler settles what the bill proves.
SELECT pg_temp.run('2036-10-20');
SELECT wire_no, verdict, proof, code, message FROM refundx.evidence WHERE source = 'bill' AND wire_no LIKE 'rc%' ORDER BY evidence_id;
SELECT * FROM pg_temp.open_breaks;
SELECT wire_no, day, until, waits_for FROM refundx.other_day WHERE wire_no LIKE 'rc%' ORDER BY 1;
SELECT pg_temp.settle();
SELECT instruction_no, state, person_reason FROM refundx.instruction
 WHERE instruction_no IN ('rcOPEN', 'rcUNKNOWN', 'rcUNSENT', 'rcABNORMAL', 'rcDEAD', 'rcFAILED', 'rcPAID', 'rcAMOUNT') ORDER BY 1;
SELECT wire_no, amount, counted FROM refundx.external_refund WHERE wire_no LIKE 'rc%' ORDER BY 1;
SELECT payment_no, hold FROM refundx.payment WHERE payment_no IN ('PrcFAILED', 'PrcPAID', 'PrcOPEN') ORDER BY 1;
-- Again, and again: the same, and nothing is written.
SELECT pg_temp.run('2036-10-20') \g /dev/null
TRUNCATE before;
INSERT INTO before SELECT * FROM pg_temp.everything();
SELECT pg_temp.run('2036-10-20');
SELECT * FROM before EXCEPT SELECT * FROM pg_temp.everything();
-- The next day: the late one is in it, the missing one is not.
SELECT pg_temp.bill('trade', '2036-10-21') IS NOT NULL;
SELECT pg_temp.line('trade', '2036-10-21', 'rcLATE', 301, 'paid') \g /dev/null
SELECT pg_temp.run('2036-10-21');
SELECT * FROM pg_temp.open_breaks WHERE class = 'missing_at_channel' OR day = '2036-10-21';
SELECT wire_no, day FROM refundx.other_day WHERE wire_no LIKE 'rc%' ORDER BY 1;
-- What the first day comes to now is what running it again says.
SELECT class, n, our_amount, bill_amount FROM refundx.reconciliation_class
 WHERE run_id = (SELECT max(run_id) FROM refundx.reconciliation WHERE day = '2036-10-20'
				   AND merchant_id = (SELECT merchant_id FROM refundx.channel WHERE name = 'rc')) ORDER BY 1;
TRUNCATE before;
INSERT INTO before SELECT * FROM pg_temp.everything();
SELECT pg_temp.run('2036-10-20');
SELECT * FROM before EXCEPT SELECT * FROM pg_temp.everything();
-- A break that a later bill explains closes itself; what a person has closed stays closed.
SELECT pg_temp.bill('trade', '2036-10-22') IS NOT NULL;
SELECT pg_temp.line('trade', '2036-10-22', 'rcMISSING', 300, 'paid'), pg_temp.line('trade', '2036-10-22', 'rcOK1', 101, 'paid') \g /dev/null
UPDATE refundx.break SET closed_at = refundx.desk_now(), closed_by = 'me', closed_how = 'ignored', close_reason = 'known' WHERE wire_no = 'rcCONSOLE2';
SELECT pg_temp.run('2036-10-22');
SELECT * FROM pg_temp.closed_breaks;
SELECT wire_no, class, bill_amount, reason FROM pg_temp.open_breaks WHERE day = '2036-10-22';
SELECT class, n FROM refundx.reconciliation_class WHERE run_id = (SELECT max(run_id) FROM refundx.reconciliation WHERE day = '2036-10-20'
   AND merchant_id = (SELECT merchant_id FROM refundx.channel WHERE name = 'rc')) AND class IN ('other_day', 'missing_at_channel') ORDER BY 1;
TRUNCATE before;
INSERT INTO before SELECT * FROM pg_temp.everything();
SELECT count(*) FROM refundx.reconcile('rc', '2036-10-20'), refundx.reconcile('rc', '2036-10-22') x;
SELECT * FROM before EXCEPT SELECT * FROM pg_temp.everything();
-- A fund bill beside the trade bill: one number is one, however many lines it has. What it
-- took for a refund that failed comes back in a later one; what it gives back of one that was
-- paid is a return. A number that the channel had ended, and that another has replaced.
SELECT pg_temp.bill('trade', '2036-10-25') IS NOT NULL, pg_temp.bill('fund_basic', '2036-10-25') IS NOT NULL;
SELECT pg_temp.refund('rcBOTH', 100, 'succeeded', '2036-10-25 10:00'), pg_temp.line('trade', '2036-10-25', 'rcBOTH', 100, 'paid'), pg_temp.line('fund_basic', '2036-10-25', 'rcBOTH', 100, 'paid') \g /dev/null
SELECT pg_temp.refund('rcBACK', 101, 'succeeded', '2036-10-25 10:00'), pg_temp.line('trade', '2036-10-25', 'rcBACK', 101, 'paid'), pg_temp.line('fund_basic', '2036-10-25', 'rcBACK', 101, 'paid') \g /dev/null
SELECT pg_temp.refund('rcCLOSED', 102, 'dead', '2036-10-25 10:00'), pg_temp.line('trade', '2036-10-25', 'rcCLOSED', 102, 'under_way'), pg_temp.line('fund_basic', '2036-10-25', 'rcCLOSED', 102, 'paid') \g /dev/null
SELECT pg_temp.refund('rcGONE', 103, 'dead', '2036-10-25 10:00'), pg_temp.line('fund_basic', '2036-10-25', 'rcGONE', 103, 'paid') \g /dev/null
SELECT pg_temp.refund('rcTAKEN', 104, 'unknown', '2036-10-25 10:00'), pg_temp.line('fund_basic', '2036-10-25', 'rcTAKEN', 104, 'paid') \g /dev/null
SELECT pg_temp.refund('rcFORMER', 105, NULL), refundx.failure_policy_for('rcFORMER', '{"on_failure": "operator"}', 'test') \g /dev/null
INSERT INTO refundx.evidence (channel_id, merchant_id, source, digest, verdict, proof, wire_no) SELECT channel_id, merchant_id, 'callback', 'f', 'dead', true, 'rcFORMER' FROM refundx.channel WHERE name = 'rc';
SELECT refundx.desk_settle(ARRAY[(SELECT max(evidence_id) FROM refundx.evidence)]);
SELECT refundx.reissue('rcFORMER', 'test') IS NOT NULL;
SELECT pg_temp.line('trade', '2036-10-25', 'rcFORMER', 105, 'paid') \g /dev/null
SELECT pg_temp.run('2036-10-25');
SELECT wire_no, day, until, waits_for FROM refundx.other_day WHERE day = '2036-10-25' ORDER BY 1;
SELECT wire_no, class, our_state, bill_movement, reason FROM pg_temp.open_breaks WHERE day = '2036-10-25';
SELECT pg_temp.settle();
SELECT pg_temp.bill('trade', d::date) IS NOT NULL, pg_temp.bill('fund_basic', d::date) IS NOT NULL FROM generate_series('2036-10-26', '2036-10-29', interval '1 day') d \g /dev/null
SELECT pg_temp.line('fund_basic', '2036-10-27', 'rcCLOSED', 102, 'came_back'), pg_temp.line('fund_basic', '2036-10-27', 'rcBACK', 101, 'came_back') \g /dev/null
SELECT d::date, pg_temp.run(d::date) FROM generate_series('2036-10-26', '2036-10-28', interval '1 day') d;
SELECT pg_temp.settle();
SELECT wire_no, day, until FROM refundx.other_day WHERE day >= '2036-10-25' ORDER BY 1;
SELECT pg_temp.run('2036-10-29');
SELECT wire_no, day, until FROM refundx.other_day WHERE day >= '2036-10-25' ORDER BY 1;
SELECT instruction_no, state, detail FROM refundx.instruction WHERE instruction_no IN ('rcBOTH', 'rcBACK', 'rcCLOSED', 'rcGONE', 'rcTAKEN', 'rcFORMER') ORDER BY 1;
SELECT wire_no, class, our_state, bill_movement, reason FROM pg_temp.open_breaks WHERE day >= '2036-10-25';
-- What a fee should be, if the lines' own rates are not to be believed.
SELECT pg_temp.fails($$SELECT refundx.bill_expect_fee('rc', 'refund', -6000, '')$$);
SELECT pg_temp.fails($$SELECT refundx.bill_expect_fee('nobody', 'refund', -6000, 'contract')$$);
SELECT pg_temp.fails($$SELECT refundx.bill_expect_fee('rc', 'payment', -6000, 'contract')$$);
SELECT pg_temp.fails($$SELECT refundx.bill_expect_fee('rc', 'refund', 1000001, 'contract')$$);
SELECT refundx.bill_expect_fee('rc', 'refund', -10000, 'contract of May');
SELECT pg_temp.run('2036-10-20', true);
SELECT refundx.bill_expect_fee('rc', 'refund', NULL, 'no longer');
SELECT action, subject, reason, detail FROM refundx.audit WHERE action = 'bill_expect_fee' ORDER BY audit_id;
-- Who has no right to.
SET SESSION AUTHORIZATION refundx_auditor;
SELECT pg_temp.fails($$SELECT * FROM refundx.reconcile('rc', '2036-10-20')$$);
RESET SESSION AUTHORIZATION;
-- What no query can prove any more: WeChat forgets a transfer after thirty days. The fund
-- bills decide, if not one of that time is missing: what went out and did not come back is
-- paid, what came back has failed, and of what never went out they say nothing.
SELECT refundx.channel_add('rcw', 'wechat', pg_temp.wechat() || '{"mchid": "1900000641", "transfer": {"appid": "wx0123456789abcdef", "scene_id": "1000", "remark": "out",
	"report_infos": [{"info_type": "活动名称", "info_content": "a"}, {"info_type": "奖励说明", "info_content": "b"}]}}') IS NULL;
SELECT refundx.account_open('rcw-acc', 'CNY'), refundx.account_credit('rcw-acc', 10000, 'sold') \g /dev/null
SELECT refundx.withdraw_submit('rcw-acc', 'rcw' || n, 100 + n, 'rcw', '{"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"}', 'pay') FROM generate_series(1, 4) n \g /dev/null
UPDATE refundx.instruction SET attempts = 1, state = 'unknown', first_attempt_at = '2026-03-02 10:00+08', last_attempt_at = '2026-03-02 10:00+08' WHERE instruction_no LIKE 'rcw%';
INSERT INTO refundx.event (instruction_id, type, from_state, to_state) SELECT instruction_id, 'claimed', 'queued', 'sending' FROM refundx.instruction WHERE instruction_no LIKE 'rcw%';
INSERT INTO refundx.event (instruction_id, type, from_state, to_state) SELECT instruction_id, 'moved', 'sending', 'unknown' FROM refundx.instruction WHERE instruction_no LIKE 'rcw%';
INSERT INTO refundx.request (instruction_id, wire_no, body) SELECT instruction_id, wire_no, '' FROM refundx.instruction WHERE instruction_no LIKE 'rcw%';
INSERT INTO refundx.attempt (instruction_id, merchant_id, call, wire_no, started_at) SELECT instruction_id, merchant_id, 'submit', wire_no, first_attempt_at FROM refundx.instruction WHERE instruction_no LIKE 'rcw%';
INSERT INTO refundx.bill (channel_id, merchant_id, kind, day, state, hash, lines, loaded_at, currency)
	SELECT channel_id, merchant_id, 'fund_operation', d, 'loaded', 'sha256:00', 0, now(), 'CNY' FROM refundx.channel, generate_series('2026-03-02', '2026-03-31', interval '1 day') d
	 WHERE name = 'rcw' AND d <> '2026-03-20';
INSERT INTO refundx.bill_line (bill_id, line_no, about, movement, wire_no, amount, currency)
	SELECT b.bill_id, l.n, 'withdrawal', l.movement, l.no, l.amount, 'CNY'
	  FROM (VALUES (date '2026-03-02', 1, 'paid', 'rcw1', 101), ('2026-03-02', 2, 'paid', 'rcw2', 102), ('2026-03-04', 1, 'came_back', 'rcw2', 102),
				   ('2026-03-02', 3, 'paid', 'rcw4', 999)) l(day, n, movement, no, amount)
	  JOIN refundx.bill b USING (day) JOIN refundx.channel c USING (channel_id) WHERE c.name = 'rcw';
SELECT class, about, n FROM refundx.reconcile('rcw', '2026-03-31');
SELECT wire_no, verdict, code, message FROM refundx.evidence WHERE source = 'bill' AND wire_no LIKE 'rcw%' ORDER BY 1;
INSERT INTO refundx.bill (channel_id, merchant_id, kind, day, state, currency) SELECT channel_id, merchant_id, 'fund_operation', '2026-03-20', 'empty', 'CNY' FROM refundx.channel WHERE name = 'rcw';
SELECT class, about, n FROM refundx.reconcile('rcw', '2026-03-31');
SELECT wire_no, verdict, code, message FROM refundx.evidence WHERE source = 'bill' AND wire_no LIKE 'rcw%' ORDER BY 1;
SELECT pg_temp.settle();
SELECT instruction_no, state, detail FROM refundx.instruction WHERE instruction_no LIKE 'rcw%' ORDER BY 1;
SELECT type, d_available, d_frozen, available, frozen FROM refundx.journal_lines WHERE account = 'rcw-acc' ORDER BY version;
-- The day's own run says the same; and the money that came back is known.
SELECT d, class, about, n, our_amount, bill_amount FROM unnest(ARRAY[date '2026-03-02', '2026-03-04']) d, refundx.reconcile('rcw', d);
SELECT count(*) FROM refundx.evidence WHERE source = 'bill' AND wire_no LIKE 'rcw%';
-- The merchant's account at the channel: it continues, it adds up, and what moved is ours.
UPDATE refundx.bill SET opening = 100000, came_in = 500, went_out = 410, closing = 100090 WHERE kind = 'fund_basic' AND day = '2036-10-25';
UPDATE refundx.bill SET opening = 100090, came_in = 203, went_out = 0, closing = 100293 WHERE kind = 'fund_basic' AND day = '2036-10-27';
SELECT pg_temp.fails($$SELECT * FROM refundx.merchant_balance_proof('nobody', '2036-10-25')$$);
SELECT pg_temp.fails($$SELECT * FROM refundx.merchant_balance_proof('rc', '2036-10-20')$$);
SELECT * FROM refundx.merchant_balance_proof('rc', '2036-10-25');
-- The day between is loaded and says nothing of its balance.
SELECT * FROM refundx.merchant_balance_proof('rc', '2036-10-27');
UPDATE refundx.bill SET state = 'empty', hash = NULL, lines = NULL, loaded_at = NULL WHERE kind = 'fund_basic' AND day = '2036-10-26';
SELECT pg_temp.line('fund_basic', '2036-10-27', 'rcNOBODYS', 7, 'paid') \g /dev/null
SELECT * FROM refundx.merchant_balance_proof('rc', '2036-10-27');
UPDATE refundx.bill SET opening = 100091 WHERE kind = 'fund_basic' AND day = '2036-10-27';
SELECT * FROM refundx.merchant_balance_proof('rc', '2036-10-27');
