-- What people see of a reconciliation: how certain a day is, and its report, as a table and as a page.
\set ECHO none
\getenv source PG_ABS_SRCDIR
\set preamble :source /sql/preamble.inc
\i :preamble
SET timezone = 'UTC';
SET datestyle = 'ISO';
BEGIN;
SELECT refundx.channel_add('rr', 'wechat', pg_temp.wechat() || '{"mchid": "1900000691"}') IS NULL;
SELECT refundx.channel_add('rr-none', 'alipay', pg_temp.alipay() || '{"app_id": "2021000000000691"}') IS NULL;
SELECT refundx.payment_record('rr', 'rr-p' || n, 10000, 'CNY') FROM generate_series(1, 9) n;
SELECT (refundx.refund_submit('rr', 'rr-p' || n, 'rr-' || n, 100 * n)).state FROM generate_series(1, 9) n;
SELECT merchant_id AS merchant, channel_id AS channel FROM refundx.channel WHERE name = 'rr' \gset
/*
 * What the workers would have written, at other times: 1 by a callback after two
 * minutes; 2 by a query after three hours; 3 by the bill; 4 by an operator; 5 open;
 * 6 canceled; 7 by a callback after six days, and in the bill before that; 8 is of
 * Beijing's next day; 9 by an answer after two days, and in no bill.
 */
CREATE TABLE pg_temp.end (no text, source text, after interval, state text);
INSERT INTO pg_temp.end VALUES ('rr-1', 'callback', '2 min', 'succeeded'), ('rr-2', 'query', '3 h', 'succeeded'), ('rr-3', 'bill', '17 h', 'succeeded'),
	('rr-4', 'operator', '1 h', 'failed'), ('rr-5', NULL, NULL, 'accepted'), ('rr-6', NULL, '1 min', 'canceled'), ('rr-7', 'callback', '6 d', 'succeeded'),
	('rr-8', 'callback', '1 min', 'succeeded'), ('rr-9', 'answer', '2 d', 'succeeded');
SET session_replication_role = replica;
-- in the order of their keys, as always: what was there before was before
UPDATE refundx.instruction SET submitted_at = '2026-01-01' WHERE channel_id <> :channel;
UPDATE refundx.instruction i
   SET submitted_at = CASE e.no WHEN 'rr-8' THEN timestamptz '2026-05-03 23:30Z' ELSE timestamptz '2026-05-03 10:00Z' END,
	   state = e.state, is_open = refundx.state_is_open(e.state)
  FROM pg_temp.end e WHERE e.no = i.instruction_no;
WITH e AS (
	INSERT INTO refundx.evidence (channel_id, merchant_id, source, digest, verdict, proof, wire_no)
	SELECT :channel, :merchant, source, sha256(convert_to('report ' || no, 'UTF8')), 'succeeded', true, no FROM pg_temp.end WHERE source IS NOT NULL
	RETURNING evidence_id, wire_no)
INSERT INTO refundx.event (instruction_id, evidence_id, type, from_state, to_state, at)
SELECT i.instruction_id, e.evidence_id, 'moved', CASE d.state WHEN 'canceled' THEN 'queued' ELSE 'accepted' END, d.state, i.submitted_at + d.after
  FROM pg_temp.end d JOIN refundx.instruction i ON i.instruction_no = d.no LEFT JOIN e ON e.wire_no = d.no WHERE d.after IS NOT NULL;
RESET session_replication_role;
\set ECHO all
-- Of a day that nobody has reconciled there is not much to say.
SELECT * FROM refundx.certainty('2026-05-03', '2026-05-03', '{rr}');
SELECT * FROM refundx.reconcile_report('rr', '2026-05-05');
SELECT xmlparse(document refundx.reconcile_report_html('rr', '2026-05-05')) IS DOCUMENT;
SELECT xmlparse(document refundx.reconcile_report_html('rr-none', '2026-05-05')) IS DOCUMENT;
-- The bill has come, and tells of 1, 2, 3 and 7.
INSERT INTO refundx.bill (channel_id, merchant_id, kind, day, state, hash, lines, refunds, amount, currency, loaded_at)
VALUES (:channel, :merchant, 'trade', '2026-05-03', 'loaded', 'sha1:00', 12345, 4, 1300, 'CNY', '2026-05-04 02:30Z');
INSERT INTO refundx.bill_line (bill_id, line_no, about, movement, wire_no, amount, currency)
SELECT b.bill_id, n, 'refund', 'paid', 'rr-' || n, 100 * n, 'CNY' FROM refundx.bill b, unnest(ARRAY[1, 2, 3, 7]) n WHERE b.merchant_id = :merchant;
SELECT * FROM refundx.certainty('2026-05-03', '2026-05-03', '{rr}') \gx
SELECT channel, day, number, amount, proven FROM refundx.certainty('2026-05-02', '2026-05-04', '{rr}');
SELECT bool_and(proven + by_operator + never_sent + open = amount) AND bool_and(by_answer + by_callback + by_query + by_bill = proven)
	AND bool_and(within_hour <= within_day AND within_day <= within_4_days AND within_4_days <= proven)
  FROM refundx.certainty('2026-05-01', current_date + 1);
SELECT count(*) FROM refundx.certainty('2026-05-01', '2026-05-02', '{rr}');
SELECT pg_temp.fails($$SELECT refundx.certainty('2026-05-03', '2026-05-02')$$);
SELECT pg_temp.fails($$SELECT refundx.certainty(NULL, '2026-05-02')$$);
SELECT count(*) FROM refundx.certainty WHERE channel = 'rr' AND day < '2026-05-05';
-- Support staff are told.
SELECT regexp_replace(refundx.refund_explain('rr-' || n), '(at|since) (\d{4}-\d\d-\d\d )?\d\d:\d\d', '\1 then') FROM unnest(ARRAY[1, 3, 9]) n;
-- The ledger of the merchant's account: it adds up, and opens with other than the day before closed with; and one that does not add up.
INSERT INTO refundx.bill (channel_id, merchant_id, kind, day, state, hash, lines, currency, loaded_at, opening, came_in, went_out, closing)
VALUES (:channel, :merchant, 'fund_basic', '2026-05-02', 'loaded', 'sha1:01', 1, 'CNY', '2026-05-03 02:30Z', 0, 7, 0, 7),
	   (:channel, :merchant, 'fund_basic', '2026-05-03', 'loaded', 'sha1:01', 9, 'CNY', '2026-05-04 02:30Z', 1000, 500, 300, 1200),
	   (:channel, :merchant, 'fund_operation', '2026-05-03', 'loaded', 'sha1:02', 9, 'CNY', '2026-05-04 02:30Z', 1000, 500, 300, 1201);
-- And it was reconciled. What people have written is anything at all.
INSERT INTO refundx.reconciliation (merchant_id, channel_id, day, started_at, ended_at, bills)
VALUES (:merchant, :channel, '2026-05-03', '2026-05-04 02:31Z', '2026-05-04 02:31Z', '{}') RETURNING run_id AS run \gset
INSERT INTO refundx.reconciliation_class VALUES (:run, 'matched', 'refund', 'CNY', 3, 1000, 1000), (:run, 'settled_by_bill', 'refund', 'CNY', 1234, 123456700, 123456700),
	(:run, 'missing_here', 'refund', 'CNY', 1, 0, 300), (:run, 'twice', 'withdrawal', 'CNY', 1, 100, 200), (:run, 'matched', 'refund', 'JPY', 1, 5000, 5000);
INSERT INTO refundx.break (merchant_id, channel_id, day, class, about, wire_no, our_amount, bill_amount, currency, bill_movement, reason, suggestion, opened_at, seen_at, run_id, assigned_to, assigned_at)
VALUES (:merchant, :channel, '2026-05-03', 'missing_here', 'refund', 'rr<script>alert(1)</script>', NULL, 300, 'CNY', 'paid', E'a & b < c > d "e" ''f'' \x01\x1b ]]> &amp; 退款', '<img data="http://x/">', now() - interval '2 h', now(), :run, '"><b>mei', now()),
	   (:merchant, :channel, '2026-05-02', 'twice', 'withdrawal', 'rr-w', 100, 200, 'CNY', 'paid', 'the bill has it twice', 'get it back', now() - interval '5 d', now(), :run, NULL, NULL);
SELECT section, regexp_replace(item, '^\d+ of', 'n of') AS item, currency, number, ours, channels, difference, regexp_replace(note, 'run \d+', 'run n') AS note FROM refundx.reconcile_report('rr', '2026-05-03');
SELECT pg_temp.fails($$SELECT * FROM refundx.reconcile_report('rr-nothing', '2026-05-03')$$);
SELECT pg_temp.fails($$SELECT * FROM refundx.reconcile_report('rr', NULL)$$);
SELECT pg_temp.fails($$SELECT refundx.reconcile_report_html('rr-nothing', '2026-05-03')$$);
SELECT pg_temp.fails($$SELECT refundx.reconcile_report_html(NULL, '2026-05-03')$$);
SELECT pg_temp.fails($$SELECT refundx.reconcile_report_html('rr', NULL)$$);
-- The page is whole, has nothing of elsewhere in it, and nothing that somebody has written is more than words.
CREATE TABLE pg_temp.page AS SELECT refundx.reconcile_report_html('rr', '2026-05-03') AS html;
ALTER TABLE pg_temp.page ADD doc xml;
UPDATE pg_temp.page SET doc = xmlparse(document html);
SELECT DISTINCT t::text FROM pg_temp.page, unnest(xpath('//*[not(self::div or self::span or self::td or self::tr or self::th)]', doc)) x, LATERAL (SELECT (xpath('name(/*)', x))[1]::text AS t) n ORDER BY 1;
SELECT xpath('//@src | //@href | //script | //@onload | //@onclick', doc)::text, html ~* '(src|href|action) *=|url\(|@import' AS elsewhere FROM pg_temp.page;
SELECT unnest(xpath('//td[contains(., "rr<script>")]//text()', doc))::text FROM pg_temp.page;
SELECT unnest(xpath('//p[contains(@class, "verdict")]//text()', doc))::text FROM pg_temp.page;
SELECT unnest(xpath('//h2/text()', doc))::text FROM pg_temp.page;
-- Its figures are those of the tables.
SELECT unnest(xpath('//dl[1]//dd//text()', doc))::text FROM pg_temp.page;
SELECT string_agg(c::text, ' | ' ORDER BY n, i) FROM pg_temp.page, unnest(xpath('//tr[td[1][contains(., "Settled") or contains(., "Twice") or contains(., "Sum")]]', doc)) WITH ORDINALITY t (r, n),
	unnest(xpath('/tr/td/text()', r)) WITH ORDINALITY u (c, i) GROUP BY n ORDER BY n;
SELECT unnest(xpath('//*[name() = "svg"]/@aria-label', doc))::text FROM pg_temp.page;
SELECT unnest(xpath('//*[name() = "svg"][1]//*[name() = "title"]/text()', doc))::text FROM pg_temp.page;
-- A class that is twice the other is drawn twice as long.
SELECT (xpath('//*[name() = "g"][*[name() = "title"][contains(., "Twice")]]/*[name() = "rect"]/@width', doc))::text FROM pg_temp.page;
SELECT refundx.html(NULL), refundx.html('a<b>&"c"''' || U&'\0007\009F'), refundx.report_money(123456789, 'CNY'), refundx.report_money(-5, 'JPY'), refundx.report_money(1234567, 'KWD'), refundx.report_money(NULL, 'CNY');
ROLLBACK;
