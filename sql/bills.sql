-- Bills by hand: what is loaded, what is refused, and what loading again does.
\set ECHO none
\getenv source PG_ABS_SRCDIR
\set preamble :source /sql/preamble.inc
\i :preamble
SELECT refundx.channel_add('bl', 'wechat', pg_temp.wechat() || '{"mchid": "1900000666"}') \g /dev/null
CREATE ROLE bl_operator LOGIN IN ROLE refundx_operator;
CREATE ROLE bl_reader LOGIN IN ROLE refundx_operator, pg_read_server_files;
-- A trade bill of WeChat's (4013071246): header, rows, summary.
CREATE FUNCTION pg_temp.header() RETURNS text LANGUAGE sql AS $$
	SELECT E'\uFEFF交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注\r\n'
$$;
CREATE FUNCTION pg_temp.refund(no text, fen int, state text DEFAULT 'SUCCESS', merchant text DEFAULT '1900000666') RETURNS text LANGUAGE sql AS $$
	SELECT format(E'`2024-11-20 10:00:00,`wx1,`%s,`0,`,`42%s,`P-%s,`u,`JSAPI,`REFUND,`OTHERS,`CNY,`0.00,`0.00,`50%s,`%s,`%s,`0.00,`ORIGINAL,`%s,`茶,`,`0.00000,`0.60%%,`0.00,`%s,`\r\n',
				  merchant, no, no, no, no, to_char(fen / 100.0, 'FM999990.00'), state, to_char(fen / 100.0, 'FM999990.00'))
$$;
CREATE FUNCTION pg_temp.summary(n int, fen int) RETURNS text LANGUAGE sql AS $$
	SELECT format(E'总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额\r\n`%s,`0.00,`%s,`0.00,`0.00,`0.00,`%s\r\n', n, x, x)
	  FROM to_char(fen / 100.0, 'FM999990.00') x
$$;
CREATE FUNCTION pg_temp.bytes(bill text) RETURNS bytea LANGUAGE sql AS $$ SELECT convert_to(bill, 'UTF8') $$;
SELECT pg_temp.header() || pg_temp.refund('BL1', 100) || pg_temp.refund('BL2', 250, 'PROCESSING') || pg_temp.summary(2, 350) AS bill \gset
CREATE TEMP VIEW state AS
	SELECT b.kind, day, state, source, again, lines, refunds, amount, currency, packing, size IS NOT NULL AS kept, left(b.hash, 5) AS hash
	  FROM refundx.bill b JOIN refundx.channel c USING (channel_id) WHERE c.name = 'bl' ORDER BY bill_id;
SET client_min_messages = notice;
\set ECHO all
-- It is loaded, and says what is next.
SELECT refundx.bill_load('bl', 'trade', '2024-11-20', pg_temp.bytes(:'bill')) > 0;
SELECT * FROM state;
SELECT line_no, about, movement, wire_no, payment_no, channel_refund_id, l.amount, payer_amount, fee, rate, balance, l.currency, occurred_at AT TIME ZONE 'Asia/Shanghai', code
  FROM refundx.bill_line l JOIN refundx.bill b USING (bill_id) JOIN refundx.channel c USING (channel_id) WHERE c.name = 'bl' ORDER BY line_no;
-- What came plain is kept packed.
SELECT n, substr(bytes, 1, 2), length(bytes) < length(pg_temp.bytes(:'bill'))
  FROM refundx.bill_chunk JOIN refundx.bill b USING (bill_id) JOIN refundx.channel c USING (channel_id) WHERE c.name = 'bl';
-- Again: nothing.
SELECT refundx.bill_load('bl', 'trade', '2024-11-20', pg_temp.bytes(:'bill')) > 0;
SELECT count(*), sum(lines) FROM state;
-- Other content takes its place; both are kept, one counts.
SELECT refundx.bill_load('bl', 'trade', '2024-11-20', pg_temp.bytes(pg_temp.header() || pg_temp.refund('BL1', 100) || pg_temp.summary(1, 100))) > 0;
SELECT * FROM state;
SELECT action, subject, reason, detail - 'bill_id' - 'hash' FROM refundx.audit WHERE action LIKE 'bill%' ORDER BY audit_id;
SELECT kind, subject, reason, done FROM refundx.incident WHERE subject LIKE 'bl/%';
-- Nothing of this is changed any more.
SELECT pg_temp.fails('UPDATE refundx.bill_line SET amount = 0');
SELECT pg_temp.fails('DELETE FROM refundx.bill_chunk');
SELECT pg_temp.fails('DELETE FROM refundx.bill');

-- What is no good is refused, and leaves nothing.
CREATE FUNCTION pg_temp.refused(bill text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT pg_temp.fails(format($f$SELECT refundx.bill_load('bl', 'trade', '2024-11-21', decode(%L, 'hex'))$f$, encode(pg_temp.bytes(bill), 'hex')))
$$;
SELECT pg_temp.refused('');
SELECT pg_temp.refused('<html>the gateway is busy</html>');
SELECT pg_temp.refused(pg_temp.header());
-- truncated: no summary, half a row, a byte less
SELECT pg_temp.refused(pg_temp.header() || pg_temp.refund('BL1', 100));
SELECT pg_temp.refused(pg_temp.header() || left(pg_temp.refund('BL1', 100), 60));
SELECT pg_temp.refused(left(pg_temp.header() || pg_temp.refund('BL1', 100) || pg_temp.summary(1, 100), -12));
-- half-updated: rows of which the summary knows nothing, and sums that are others
SELECT pg_temp.refused(pg_temp.header() || pg_temp.refund('BL1', 100) || pg_temp.refund('BL2', 100) || pg_temp.summary(1, 100));
SELECT pg_temp.refused(pg_temp.header() || pg_temp.refund('BL1', 100) || pg_temp.summary(1, 101));
-- somebody else's, and another day's
SELECT pg_temp.refused(pg_temp.header() || pg_temp.refund('BL1', 100, 'SUCCESS', '1900000667') || pg_temp.summary(1, 100));
SELECT pg_temp.refused(pg_temp.header() || pg_temp.refund('BL1', 100) || pg_temp.summary(1, 100));
SELECT * FROM state WHERE day = '2024-11-21';
SELECT count(*) FROM refundx.bill_line l WHERE NOT EXISTS (SELECT FROM refundx.bill b WHERE b.bill_id = l.bill_id);

-- Nor what makes no sense.
SELECT f.* FROM unnest(ARRAY[
	$$NULL, 'trade', '2024-11-20', ''$$, $$'bl', NULL, '2024-11-20', ''$$, $$'bl', 'trade', NULL, ''$$, $$'bl', 'trade', '2024-11-20', NULL$$,
	$$'nobody', 'trade', '2024-11-20', ''$$, $$'bl', 'coffee', '2024-11-20', ''$$, $$'bl', 'trade', '2999-01-01', ''$$,
	$$'bl', 'trade', 'infinity', ''$$]) a,
	LATERAL pg_temp.fails('SELECT refundx.bill_load(' || a || ')') f WHERE f NOT LIKE '%hint: Kinds%';

-- A file of the server: for those who may read such files at all.
SET SESSION AUTHORIZATION bl_operator;
SELECT pg_temp.fails($$SELECT refundx.bill_load_file('bl', 'trade', '2024-11-22', '/etc/passwd')$$);
-- nor does who may lend it to a function of somebody who may not
CREATE FUNCTION pg_temp.lent() RETURNS bigint LANGUAGE sql SECURITY DEFINER
AS $$SELECT refundx.bill_load_file('bl', 'trade', '2024-11-22', '/etc/passwd')$$;
GRANT EXECUTE ON FUNCTION pg_temp.lent() TO PUBLIC;
RESET SESSION AUTHORIZATION;
SELECT pg_temp.fails('SELECT pg_temp.lent()');
SET SESSION AUTHORIZATION bl_reader;
SELECT pg_temp.fails($$SELECT refundx.bill_load_file('bl', 'trade', '2024-11-22', 'passwd')$$);
SELECT pg_temp.fails($$SELECT refundx.bill_load_file('bl', 'trade', '2024-11-22', '/nowhere/at/all')$$);
SELECT pg_temp.fails($$SELECT refundx.bill_load_file('bl', 'trade', '2024-11-22', '/etc')$$);
SELECT pg_temp.fails($$SELECT refundx.bill_load_file('bl', 'trade', '2024-11-22', '/dev/zero')$$);
SELECT pg_temp.fails($$SELECT refundx.bill_load_file('bl', 'trade', '2024-11-22', '/etc/passwd')$$);
RESET SESSION AUTHORIZATION;
