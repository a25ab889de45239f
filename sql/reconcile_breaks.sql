-- Breaks between the channel's books and ours: what each function does, refuses, tries and records.
\set ECHO none
\getenv source PG_ABS_SRCDIR
\set preamble :source /sql/preamble.inc
\i :preamble
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT refundx.channel_add('br', 'wechat', pg_temp.wechat() || '{"mchid": "1900000690", "transfer": {"appid": "wx0123456789abcdef", "scene_id": "1000", "remark": "out",
	"report_infos": [{"info_type": "活动名称", "info_content": "a"}, {"info_type": "奖励说明", "info_content": "b"}]}}') IS NULL;
SELECT refundx.account_open('br-acc', 'CNY'), refundx.account_credit('br-acc', 100000, 'sold'), refundx.account_open('br-usd', 'USD'), refundx.account_open('br-poor', 'CNY');
SELECT refundx.payment_record('br', 'br-p' || n, 10000, 'CNY', account => CASE WHEN n < 5 THEN 'br-acc' END, channel_payment_id => CASE n WHEN 2 THEN '4200br2' END) FROM generate_series(1, 8) n;
-- What the reconciliation leaves behind: a bill with one line, the evidence made of it (weighed here, as the settler would), and the break.
CREATE FUNCTION pg_temp.found(break_class text, number text, bill_says text, bill bigint, ours bigint DEFAULT NULL, product text DEFAULT 'refund',
	payment text DEFAULT NULL, channel_payment text DEFAULT NULL, weighed boolean DEFAULT true, unit text DEFAULT 'CNY') RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	c refundx.channel;
	the_bill bigint;
	evidence bigint;
	id bigint;
BEGIN
	SELECT * INTO c FROM refundx.channel WHERE name = 'br';
	INSERT INTO refundx.bill (channel_id, merchant_id, kind, day, state, hash, lines, loaded_at)
	VALUES (c.channel_id, c.merchant_id, 'trade', '2026-05-03', 'loaded', 'sha256:00', 2, now())
	ON CONFLICT DO NOTHING;
	SELECT bill_id INTO the_bill FROM refundx.bill WHERE merchant_id = c.merchant_id;
	INSERT INTO refundx.bill_line (bill_id, line_no, about, movement, wire_no, payment_no, channel_payment_id, channel_refund_id, amount, currency, code)
	SELECT the_bill, count(*) + 1, product, coalesce(bill_says, 'other'), number, payment, channel_payment, '5030' || number, coalesce(bill, 0), unit, 'SUCCESS'
	  FROM refundx.bill_line WHERE bill_id = the_bill;
	IF weighed THEN
		INSERT INTO refundx.evidence (channel_id, merchant_id, source, about, digest, verdict, proof, wire_no, code, payment_no, channel_payment_id, amount, currency)
		SELECT c.channel_id, c.merchant_id, 'bill', product, sha256(convert_to(number || clock_timestamp(), 'UTF8')),
			   CASE bill_says WHEN 'paid' THEN 'succeeded' WHEN 'came_back' THEN 'returned' WHEN 'abnormal' THEN 'abnormal' WHEN 'failed' THEN 'dead' ELSE 'accepted' END,
			   true, number, 'SUCCESS', payment, channel_payment, bill, unit
		RETURNING evidence_id INTO evidence;
		PERFORM refundx.desk_settle(ARRAY[evidence]);
	END IF;
	INSERT INTO refundx.break (merchant_id, channel_id, day, class, about, wire_no, instruction_id, bill_id, line_no, evidence_id, our_amount, bill_amount,
		   our_fee, bill_fee, currency, our_state, bill_movement, reason, suggestion, opened_at, seen_at, run_id)
	SELECT c.merchant_id, c.channel_id, '2026-05-03', break_class, product, number, i.instruction_id, the_bill,
		   (SELECT max(line_no) FROM refundx.bill_line WHERE bill_id = the_bill), evidence, ours, bill,
		   CASE break_class WHEN 'fee_differs' THEN 6000 END, CASE break_class WHEN 'fee_differs' THEN 7000 END, unit,
		   i.state, bill_says, 'what was found', 'what to do', clock_timestamp(), clock_timestamp(), 1
	  FROM (VALUES (1)) one LEFT JOIN refundx.instruction i ON i.merchant_id = c.merchant_id AND i.wire_no = number AND i.kind = product
	RETURNING break_id INTO id;
	RETURN id;
END
$$;
-- An answer: what changes, without what the time, and what ran before, makes different.
CREATE FUNCTION pg_temp.answer(a refundx.desk_answer) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT format('%s%s: %s', a.action, CASE WHEN a.done THEN '' ELSE ' (not done)' END, regexp_replace(a.note, '(break|evidence) \d+', '\1 n', 'g'))
	UNION ALL
	SELECT format('   %s: %s -> %s', coalesce(b.key, f.key), b.value, f.value)
	  FROM jsonb_each(a.before) b FULL JOIN jsonb_each(a.after) f USING (key)
	 WHERE b.value IS DISTINCT FROM f.value
$$;
CREATE FUNCTION pg_temp.id(number text) RETURNS bigint LANGUAGE sql AS $$ SELECT max(break_id) FROM refundx.break WHERE wire_no = number $$;
CREATE FUNCTION pg_temp.refused(command text, number text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT regexp_replace(regexp_replace(f, '(break|evidence|request|At|confirm\(|decline\() ?\d[^ ,:)(]*( \d\d:\d\d:[^:]*)?', '\1 n', 'g'), 'At [^:]*: ', 'At n: ')
	  FROM pg_temp.fails(format(command, pg_temp.id(number))) f
$$;
CREATE FUNCTION pg_temp.money(no text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT format('refunding %s, refunded %s, returned %s, elsewhere %s, hold %s', refunding, refunded, returned, elsewhere, coalesce(hold, 'none')) FROM refundx.payment WHERE payment_no = no
$$;
CREATE FUNCTION pg_temp.lines(no text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT format('%s: available %s, frozen %s', j.type, j.d_available, j.d_frozen) FROM refundx.journal j JOIN refundx.instruction i USING (instruction_id)
	 WHERE i.instruction_no = no ORDER BY j.account_id, j.version
$$;
\set ECHO all
-- A refund made in the console: the bill has it, and it was counted against its payment.
SELECT pg_temp.found('missing_here', 'br-x1', 'paid', 3000, payment => 'br-p1') IS NULL;
SELECT pg_temp.money('br-p1');
-- Nothing is there without a reason, nor about nothing.
SELECT pg_temp.fails($$SELECT refundx.break_accept(1, '')$$);
SELECT pg_temp.fails($$SELECT refundx.break_resolve(1, 'booking 7', ' ')$$);
SELECT pg_temp.fails($$SELECT refundx.break_ignore(1, NULL)$$);
SELECT pg_temp.fails($$SELECT refundx.break_assign(1, 'mei', '')$$);
SELECT pg_temp.fails($$SELECT refundx.break_reopen(1, '')$$);
SELECT pg_temp.fails($$SELECT refundx.break_accept(0, 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.break_accept(NULL, 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.break_resolve(0, 'booking 7', 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.break_ignore(0, 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.break_assign(0, 'mei', 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.break_reopen(0, 'why')$$);
SELECT pg_temp.refused('SELECT refundx.break_resolve(%s, '''', ''why'')', 'br-x1');
SELECT pg_temp.refused('SELECT refundx.break_resolve(%s, repeat(''x'', 201), ''why'')', 'br-x1');
SELECT pg_temp.refused('SELECT refundx.break_assign(%s, '' '', ''why'')', 'br-x1');
SELECT pg_temp.refused('SELECT refundx.break_reopen(%s, ''why'')', 'br-x1');
SELECT pg_temp.refused('SELECT refundx.break_accept(%s, ''why'', account => ''br-acc'')', 'br-x1');
-- What people see of it.
SELECT channel, day, class, about, number, refund_no, our_amount, bill_amount, difference_text, bill_movement, replace(call, break_id::text, 'n') AS call, age_bucket FROM refundx.breaks WHERE number = 'br-x1';
SELECT severity, what, channel, state, amount_text, reason, regexp_replace(evidence, 'evidence \d+', 'evidence n'), suggestion FROM refundx.desk WHERE reason LIKE '%br-x1%' OR subject = 'br-x1';
SELECT level, backlog, finding FROM refundx.health WHERE what = 'breaks';
-- Somebody looks into it.
SELECT pg_temp.answer(refundx.break_assign(pg_temp.id('br-x1'), 'mei', 'she knows the console', dry_run => true));
SELECT pg_temp.answer(refundx.break_assign(pg_temp.id('br-x1'), 'mei', 'she knows the console'));
SELECT assigned_to, assigned_at IS NOT NULL FROM refundx.breaks WHERE number = 'br-x1';
-- Tried, and accepted: its place in the sum, in the journal, and its end.
SELECT pg_temp.answer(refundx.break_accept(pg_temp.id('br-x1'), 'Jun made it for a customer at the counter', dry_run => true));
SELECT pg_temp.money('br-p1');
SELECT pg_temp.answer(refundx.break_accept(pg_temp.id('br-x1'), 'Jun made it for a customer at the counter'));
SELECT pg_temp.money('br-p1');
SELECT pg_temp.lines('br-x1');
SELECT state, amount, may_send, with_person, attempts FROM refundx.refunds WHERE refund_no = 'br-x1';
SELECT what, from_state, to_state, regexp_replace(note, 'n \d+', 'n n') FROM refundx.refund_timeline('br-x1') WHERE what <> 'external' ORDER BY at;
SELECT regexp_replace(refundx.refund_explain('br-x1'), 'at \d\d:\d\d', 'at hh:mm');
SELECT class, closed_how, closed_by = session_user AS by_me, close_reason, call, age_bucket, refund_no FROM refundx.breaks WHERE number = 'br-x1';
SELECT a.action, a.reason, a.detail->>'about' AS about, a.detail->'after'->'break'->>'closed_how' AS how FROM refundx.audit_log a WHERE a.action LIKE 'break%' AND a.subject = pg_temp.id('br-x1')::text ORDER BY audit_id;
SELECT count(*) FROM refundx.desk WHERE reason LIKE '%br-x1%' OR subject = 'br-x1';
SELECT pg_temp.refused('SELECT refundx.break_accept(%s, ''again'')', 'br-x1');
SELECT pg_temp.refused('SELECT refundx.break_ignore(%s, ''again'')', 'br-x1');
SELECT pg_temp.refused('SELECT refundx.break_reopen(%s, ''again'')', 'br-x1');
-- By the channel's own id, with nothing made of the line; and of a payment without an account.
SELECT pg_temp.found('missing_here', 'br-x2', 'paid', 100, channel_payment => '4200br2', weighed => false) IS NULL;
SELECT pg_temp.answer(refundx.break_accept(pg_temp.id('br-x2'), 'made in the console'));
SELECT pg_temp.found('missing_here', 'br-x5', 'under_way', 100, payment => 'br-p5') IS NULL;
SELECT pg_temp.answer(refundx.break_accept(pg_temp.id('br-x5'), 'made in the console'));
SELECT state, due_call FROM refundx.refunds WHERE refund_no = 'br-x5';
-- Adopted by hand before: the line settles it all the same.
SELECT pg_temp.found('missing_here', 'br-x6', 'abnormal', 100, payment => 'br-p6') IS NULL;
SELECT (refundx.refund_adopt('br', 'br-p6', 'br-x6', 100)).state;
SELECT pg_temp.answer(refundx.break_accept(pg_temp.id('br-x6'), 'made in the console'));
-- A ledger's line, which came first, names no payment; the trade bill's line of it does.
SELECT pg_temp.found('missing_here', 'br-x12', 'paid', 100) IS NULL;
INSERT INTO refundx.bill_line (bill_id, line_no, about, movement, wire_no, payment_no, amount, currency)
SELECT bill_id, 99, 'refund', 'paid', 'br-x12', 'br-p8', 100, 'CNY' FROM refundx.bill b JOIN refundx.channel c USING (merchant_id) WHERE c.name = 'br';
SELECT pg_temp.answer(refundx.break_accept(pg_temp.id('br-x12'), 'made in the console'));
-- What cannot be adopted.
SELECT pg_temp.found('missing_here', 'br-x7', 'paid', 100, payment => 'br-nowhere', channel_payment => '4200nowhere') IS NULL;
SELECT pg_temp.refused('SELECT refundx.break_accept(%s, ''why'')', 'br-x7');
SELECT pg_temp.found('missing_here', 'br-x8', 'paid', 20000, payment => 'br-p7') IS NULL;
SELECT pg_temp.money('br-p7');
SELECT pg_temp.refused('SELECT refundx.break_accept(%s, ''why'')', 'br-x8');
SELECT pg_temp.found('missing_here', 'br-x9', 'came_back', 100, payment => 'br-p8') IS NULL;
SELECT pg_temp.refused('SELECT refundx.break_accept(%s, ''why'')', 'br-x9');
SELECT pg_temp.found('missing_here', 'br-x10', 'paid', NULL, payment => 'br-p8', weighed => false) IS NULL;
SELECT pg_temp.refused('SELECT refundx.break_accept(%s, ''why'')', 'br-x10');
SELECT pg_temp.found('missing_here', 'br-x11', 'paid', 100, payment => 'br-p8', unit => 'USD') IS NULL;
SELECT pg_temp.refused('SELECT refundx.break_accept(%s, ''why'')', 'br-x11');
-- A withdrawal made elsewhere: of an account, or of nobody here.
SELECT pg_temp.found('missing_here', 'brw1', 'paid', 5000, product => 'withdrawal') IS NULL;
SELECT replace(call, break_id::text, 'n') FROM refundx.breaks WHERE number = 'brw1';
SELECT pg_temp.refused('SELECT refundx.break_accept(%s, ''why'', account => ''br-none'')', 'brw1');
SELECT pg_temp.refused('SELECT refundx.break_accept(%s, ''why'', account => ''br-usd'')', 'brw1');
SELECT pg_temp.refused('SELECT refundx.break_accept(%s, ''why'', account => ''br-poor'')', 'brw1');
SELECT pg_temp.answer(refundx.break_accept(pg_temp.id('brw1'), 'the owner paid the supplier', account => 'br-acc'));
SELECT pg_temp.lines('brw1');
SELECT account, net, fee, payee, state, attempts FROM refundx.withdrawals WHERE withdrawal_no = 'brw1';
SELECT pg_temp.found('missing_here', 'brw2', 'paid', 5000, product => 'withdrawal') IS NULL;
SELECT count(*) FROM refundx.external_refunds WHERE wire_no = 'brw2' AND ignored_at IS NULL;
SELECT pg_temp.answer(refundx.break_accept(pg_temp.id('brw2'), 'another shop of ours'));
SELECT count(*) FROM refundx.external_refunds WHERE wire_no = 'brw2' AND ignored_at IS NULL;
SELECT pg_temp.answer(refundx.break_reopen(pg_temp.id('brw2'), 'it was ours after all'));
SELECT count(*) FROM refundx.external_refunds WHERE wire_no = 'brw2' AND ignored_at IS NULL;
SELECT pg_temp.answer(refundx.break_accept(pg_temp.id('brw2'), 'it was ours after all', account => 'br-acc'));
SELECT pg_temp.found('missing_here', 'br-x1', 'paid', 1, product => 'withdrawal', weighed => false) IS NULL;
SELECT pg_temp.refused('SELECT refundx.break_accept(%s, ''why'', account => ''br-acc'')', 'br-x1');
-- Our state is another one than the bill's.
SELECT (refundx.refund_submit('br', 'br-p3', 'br-r1', 700)).state;
SELECT refundx.refund_cancel('br-r1', 'changed their mind') IS NULL;
SELECT pg_temp.found('state_differs', 'br-r1', 'paid', 700, 700, payment => 'br-p3') IS NULL;
SELECT pg_temp.money('br-p3');
SELECT pg_temp.answer(refundx.break_accept(pg_temp.id('br-r1'), 'the channel paid it', dry_run => true));
SELECT pg_temp.answer(refundx.break_accept(pg_temp.id('br-r1'), 'the channel paid it'));
SELECT pg_temp.money('br-p3');
SELECT pg_temp.lines('br-r1');
SELECT count(*) FROM refundx.incident n JOIN refundx.instruction i USING (instruction_id) WHERE i.instruction_no = 'br-r1' AND n.kind = 'resolved';
SELECT pg_temp.found('state_differs', 'br-x1', 'came_back', 3000, 3000, payment => 'br-p1', weighed => false) IS NULL;
SELECT pg_temp.answer(refundx.break_accept(pg_temp.id('br-x1'), 'the card was closed'));
SELECT pg_temp.money('br-p1');
SELECT pg_temp.found('state_differs', 'br-x2', 'paid', 100, 100, weighed => false) IS NULL;
SELECT pg_temp.answer(refundx.break_accept(pg_temp.id('br-x2'), 'it is so by now'));
SELECT pg_temp.found('state_differs', 'br-x5', 'failed', 100, 100, weighed => false) IS NULL;
SELECT pg_temp.refused('SELECT refundx.break_accept(%s, ''why'')', 'br-x5');
SELECT pg_temp.found('state_differs', 'br-x6', 'paid', 99, 100, weighed => false) IS NULL;
SELECT pg_temp.refused('SELECT refundx.break_accept(%s, ''why'')', 'br-x6');
-- A fee is the channel's; the other classes have nothing to adopt.
SELECT pg_temp.found('fee_differs', 'br-x2', 'paid', 100, 100, weighed => false) IS NULL;
SELECT pg_temp.answer(refundx.break_accept(pg_temp.id('br-x2'), 'the new contract'));
SELECT pg_temp.answer(refundx.break_reopen(pg_temp.id('br-x2'), 'not before June'));
SELECT pg_temp.found('missing_at_channel', 'br-x1', NULL, NULL, 3000, weighed => false) IS NULL;
SELECT pg_temp.refused('SELECT refundx.break_accept(%s, ''why'')', 'br-x1');
SELECT pg_temp.found('amount_differs', 'br-x5', 'paid', 90, 100, weighed => false) IS NULL;
SELECT pg_temp.refused('SELECT refundx.break_accept(%s, ''why'')', 'br-x5');
SELECT regexp_replace(regexp_replace(refundx.refund_explain('br-x5'), 'at \d\d:\d\d', 'at hh:mm'), 'break \d+', 'break n');
SELECT pg_temp.found('twice', 'br-x5', 'paid', 200, 100, weighed => false) IS NULL;
SELECT pg_temp.refused('SELECT refundx.break_accept(%s, ''why'')', 'br-x5');
SELECT class, number, age_bucket, replace(call, break_id::text, 'n') AS call FROM refundx.breaks WHERE channel = 'br' AND closed_at IS NULL ORDER BY break_id;
-- Cleared by another act; ignored; opened again.
SELECT pg_temp.answer(refundx.break_resolve(pg_temp.id('br-x5'), 'booking 4711', 'the payee gave it back', dry_run => true));
SELECT pg_temp.answer(refundx.break_resolve(pg_temp.id('br-x5'), 'booking 4711', 'the payee gave it back'));
SELECT pg_temp.refused('SELECT refundx.break_assign(%s, ''mei'', ''why'')', 'br-x5');
SELECT pg_temp.answer(refundx.break_reopen(pg_temp.id('br-x5'), 'they did not'));
SELECT pg_temp.answer(refundx.break_ignore(pg_temp.id('br-x5'), 'one of a test'));
SELECT pg_temp.refused('SELECT refundx.break_resolve(%s, ''x'', ''why'')', 'br-x5');
-- Above an amount a second person has to agree.
SELECT pg_temp.answer(refundx.second_person_set('CNY', 1000, 'policy of May'));
SELECT pg_temp.found('missing_here', 'br-x20', 'paid', 2000, payment => 'br-p4') IS NULL;
SET refundx.actor = 'mei';
SELECT pg_temp.answer(refundx.break_accept(pg_temp.id('br-x20'), 'made in the console'));
SELECT pg_temp.money('br-p4');
SELECT pg_temp.refused('SELECT refundx.break_accept(%s, ''again'')', 'br-x20');
SELECT action, kind, amount, why, status FROM refundx.operator_requests WHERE action LIKE 'break%';
SELECT severity, state, regexp_replace(reason, 'break \d+', 'break n') FROM refundx.desk WHERE what LIKE 'request%' AND reason LIKE '%break_accept%' AND channel = 'br';
SELECT request_id AS request FROM refundx.operator_requests WHERE action = 'break_accept' \gset
SELECT pg_temp.refused('SELECT refundx.confirm(' || :request || ', ''why'') FROM (SELECT %s) x', 'br-x20');
SET refundx.actor = 'jun';
SELECT pg_temp.answer(refundx.confirm(:request, 'seen the receipt'));
RESET refundx.actor;
SELECT pg_temp.money('br-p4');
SELECT closed_how, closed_by FROM refundx.breaks WHERE number = 'br-x20';
SELECT pg_temp.found('amount_differs', 'br-x20', 'paid', 2001, 2000, weighed => false) IS NULL;
SELECT pg_temp.answer(refundx.break_ignore(pg_temp.id('br-x20'), 'one fen'));
SELECT refundx.decline(request_id, 'not today') FROM refundx.operator_requests WHERE action = 'break_ignore' AND done_at IS NULL;
SELECT pg_temp.answer(refundx.break_assign(pg_temp.id('br-x20'), 'mei', 'nobody has to agree to this'));
-- How old they are.
UPDATE refundx.break SET opened_at = now() - interval '30 h' WHERE closed_at IS NULL;
SELECT DISTINCT age_bucket FROM refundx.breaks WHERE channel = 'br' AND closed_at IS NULL;
SELECT level FROM refundx.health WHERE what = 'breaks';
UPDATE refundx.break SET opened_at = now() - interval '5 d' WHERE closed_at IS NULL;
SELECT DISTINCT age_bucket FROM refundx.breaks WHERE channel = 'br' AND closed_at IS NULL;
SELECT level FROM refundx.health WHERE what = 'breaks';
SELECT DISTINCT severity, what FROM refundx.desk WHERE what LIKE 'break%' AND channel = 'br' ORDER BY 1, 2;
SELECT * FROM refundx.check() WHERE invariant <> 'I22';  -- these breaks were written by hand, several of one number
-- Others' tests come after this one.
UPDATE refundx.break SET closed_at = now(), closed_by = 'x', closed_how = 'ignored', close_reason = 'written by hand' WHERE wire_no = 'br-x5' AND closed_at IS NULL;
DELETE FROM refundx.second_person;
