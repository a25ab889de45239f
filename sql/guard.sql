-- Guards: rows of the application's that do not change while a refund is in flight.
\set ECHO none
\getenv source PG_ABS_SRCDIR
\set preamble :source /sql/preamble.inc
\i :preamble
SELECT refundx.channel_add('gu', 'wechat', pg_temp.wechat() || '{"mchid": "1900000177", "transfer": {"appid": "wx0123456789abcdef", "scene_id": "1000", "remark": "pay",
	"report_infos": [{"info_type": "a", "info_content": "b"}]}}'), refundx.account_open('GU-A', 'CNY'), refundx.account_credit('GU-A', 5000, 'start') \g /dev/null
CREATE FUNCTION pg_temp.refused(command text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT regexp_replace(f, 'since [^;]+;', 'since ...;') FROM pg_temp.fails(command) f
$$;
CREATE SCHEMA guarded;
CREATE TABLE guarded.customers (id int PRIMARY KEY);
CREATE TABLE guarded.orders (
	order_no text PRIMARY KEY,
	amount numeric(10,2) NOT NULL,
	status text,
	"Extra" json,
	customer int REFERENCES guarded.customers ON DELETE CASCADE ON UPDATE CASCADE,
	note text);
INSERT INTO guarded.customers VALUES (1), (2);
INSERT INTO guarded.orders SELECT n, 100, 'paid', '{"a": 1}', CASE WHEN n < 1010 THEN 1 ELSE 2 END FROM generate_series(1001, 1020) n;
CREATE FUNCTION pg_temp.submit(no text, guards jsonb DEFAULT NULL, payment text DEFAULT 'GU-P') RETURNS text LANGUAGE sql AS $$
	SELECT (refundx.refund_submit('gu', payment, no, 10, currency => 'CNY', payment_amount => 100000, guards => guards)).state
$$;
CREATE FUNCTION pg_temp.row(key text, expect jsonb DEFAULT NULL, t text DEFAULT 'guarded.orders') RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_array(jsonb_build_object('table', t, 'key', key) ||
							 CASE WHEN expect IS NULL THEN '{}' ELSE jsonb_build_object('expect', expect) END)
$$;
\set ECHO all
-- What is wrong is said when the guard is put on.
CREATE VIEW guarded.view AS SELECT * FROM guarded.orders;
CREATE MATERIALIZED VIEW guarded.mat AS SELECT * FROM guarded.orders;
CREATE UNLOGGED TABLE guarded.unlogged (id int PRIMARY KEY, a int);
CREATE TABLE guarded.parent (id int PRIMARY KEY, a int);
CREATE TABLE guarded.child () INHERITS (guarded.parent);
CREATE TABLE guarded.odd (id int, a int, d date UNIQUE, u int, UNIQUE (u) DEFERRABLE);
CREATE UNIQUE INDEX ON guarded.odd (id) WHERE a > 0;
SELECT f.* FROM unnest(ARRAY[
	$$'guarded.view', 'order_no', '{amount}'$$,
	$$'guarded.mat', 'order_no', '{amount}'$$,
	$$'guarded.unlogged', 'id', '{a}'$$,
	$$'guarded.parent', 'id', '{a}'$$,
	$$'refundx.instruction', 'instruction_no', '{amount}'$$,
	$$'guarded.nowhere', 'id', '{a}'$$,
	$$'guarded.orders', 'number', '{amount}'$$,
	$$'guarded.orders', 'order_no', '{amount,statsu}'$$,
	$$'guarded.orders', 'order_no', '{}'$$,
	$$'guarded.orders', 'order_no', '{amount,NULL}'$$,
	$$'guarded.orders', NULL, '{amount}'$$,
	$$'guarded.orders', 'status', '{amount}'$$,
	$$'guarded.odd', 'id', '{a}'$$,
	$$'guarded.odd', 'u', '{a}'$$,
	$$'guarded.odd', 'd', '{a}'$$,
	$$'guarded.orders', 'order_no', '{amount}', of_payments => '('$$]) a,
	LATERAL pg_temp.fails('SELECT refundx.guard_add(' || a || ')') f;
SELECT count(*) FROM refundx.guards;
-- For a member of the role that owns the table, and nobody else.
CREATE ROLE guard_owner;
CREATE ROLE guard_app IN ROLE refundx_app;
ALTER TABLE guarded.orders OWNER TO guard_owner;
ALTER TABLE guarded.customers OWNER TO guard_owner;
GRANT USAGE ON SCHEMA guarded TO guard_owner, guard_app;
SET SESSION AUTHORIZATION guard_app;
SELECT pg_temp.fails($$SELECT refundx.guard_add('guarded.orders', 'order_no', '{amount}')$$);
SELECT pg_temp.fails($$SELECT refundx.guard_drop('guarded.orders', 'why not')$$);
RESET SESSION AUTHORIZATION;
GRANT guard_owner TO guard_app;
SET SESSION AUTHORIZATION guard_app;
SELECT refundx.guard_add('guarded.orders', 'order_no', '{amount,status,Extra}');
SELECT refundx.guard_add('guarded.orders', key => 'order_no', columns => '{amount,status,Extra}');
SELECT pg_temp.fails($$SELECT refundx.guard_add('guarded.orders', 'order_no', '{amount}')$$);
RESET SESSION AUTHORIZATION;
REVOKE guard_owner FROM guard_app;
SELECT table_name, key, columns, of_payments, locks, problem FROM refundx.guards;
SELECT tgname, pg_get_triggerdef(oid) ~ 'IS DISTINCT FROM', tgenabled FROM pg_trigger WHERE tgrelid = 'guarded.orders'::regclass AND tgname LIKE 'refundx%' ORDER BY 1;
-- An application that has no right on the table names a row, and says what it has read.
SET SESSION AUTHORIZATION guard_app;
SELECT pg_temp.fails($$SELECT * FROM guarded.orders$$);
SELECT f.* FROM unnest(ARRAY[
	pg_temp.row('1001', '{"amount": 99}'),
	pg_temp.row('1001', '{"amount": 100, "status": null}'),
	pg_temp.row('1001', '{"Extra": {"a": 2}}'),
	pg_temp.row('1001', '{"note": "n"}'),
	pg_temp.row('1001', '{"amount": "much"}'),
	pg_temp.row('none'),
	pg_temp.row('1001', t => 'guarded.customers'),
	pg_temp.row('1001', t => 'orders'),
	pg_temp.row(repeat('x', 600)),
	'[1]', '{"key": "1001"}', '[{"table": "guarded.orders"}]', '[{"table": "guarded.orders", "key": ["1001"]}]',
	'[{"table": "guarded.orders", "key": "1001", "expects": {}}]', '[{"table": "guarded.orders", "key": "1001", "expect": 1}]',
	(SELECT jsonb_agg(pg_temp.row('1001')->0) FROM generate_series(1, 65))]) g,
	LATERAL pg_temp.fails(format('SELECT pg_temp.submit(%L, %L)', 'GU-X', g)) f;
SELECT pg_temp.submit('GU-1', pg_temp.row('1001', '{"amount": 100, "status": "paid", "Extra": {"a": 1}}'));
SELECT table_name, key, refund_no, state, locked_by FROM refundx.locks;
RESET SESSION AUTHORIZATION;
SELECT pg_temp.submit('GU-2', pg_temp.row('1002') || pg_temp.row('1003') || pg_temp.row('1002', '{"amount": 100.00}'));
SELECT pg_temp.submit('GU-3', '{"table": "guarded.orders", "key": 1004}');
SELECT key, refund_no FROM refundx.locks ORDER BY 1;
-- The same call again is no new refund, and looks at nothing.
SELECT pg_temp.submit('GU-1', pg_temp.row('none'));
-- What a refund in flight depends on does not change, for anybody.
SELECT pg_temp.refused($$UPDATE guarded.orders SET amount = 1, status = 'refunded' WHERE order_no = '1001'$$);
SELECT pg_temp.refused($$UPDATE guarded.orders SET "Extra" = '{"a": 2}' WHERE order_no = '1001'$$);
SELECT pg_temp.refused($$UPDATE guarded.orders SET order_no = '2001' WHERE order_no = '1001'$$);
SELECT pg_temp.refused($$DELETE FROM guarded.orders WHERE order_no = '1001'$$);
SELECT pg_temp.refused($$TRUNCATE guarded.orders$$);
SELECT pg_temp.refused($$TRUNCATE guarded.customers CASCADE$$);
SELECT pg_temp.refused($$UPDATE guarded.orders SET amount = amount + 1$$) LIMIT 1;
SET ROLE guard_owner;
SELECT pg_temp.refused($$UPDATE guarded.orders SET amount = 1 WHERE order_no = '1001'$$) LIMIT 1;
RESET ROLE;
SELECT pg_temp.refused($$INSERT INTO guarded.orders VALUES ('1001', 7) ON CONFLICT (order_no) DO UPDATE SET amount = excluded.amount$$) LIMIT 1;
SELECT pg_temp.refused($$MERGE INTO guarded.orders o USING (VALUES ('1001')) v (no) ON o.order_no = v.no WHEN MATCHED THEN UPDATE SET amount = 7$$) LIMIT 1;
SELECT pg_temp.refused($$MERGE INTO guarded.orders o USING (VALUES ('1001')) v (no) ON o.order_no = v.no WHEN MATCHED THEN DELETE$$) LIMIT 1;
SELECT pg_temp.refused($$WITH d AS (DELETE FROM guarded.orders WHERE order_no = '1001' RETURNING *) SELECT count(*) FROM d$$) LIMIT 1;
SELECT pg_temp.refused($$DELETE FROM guarded.customers WHERE id = 1$$) LIMIT 1;
SET session_replication_role = replica;
SELECT pg_temp.refused($$UPDATE guarded.orders SET amount = 1 WHERE order_no = '1001'$$) LIMIT 1;
SELECT pg_temp.refused($$DELETE FROM guarded.orders WHERE order_no = '1001'$$) LIMIT 1;
SELECT pg_temp.refused($$TRUNCATE guarded.orders$$) LIMIT 1;
RESET session_replication_role;
-- Other columns do, other rows do, and what stays the same has not changed.
UPDATE guarded.orders SET note = 'n', amount = 100.0 WHERE order_no = '1001';
UPDATE guarded.customers SET id = 3 WHERE id = 1;
INSERT INTO guarded.orders VALUES ('1001', 7) ON CONFLICT DO NOTHING;
BEGIN;
UPDATE guarded.orders SET amount = 1 WHERE order_no > '1004';
DELETE FROM guarded.customers WHERE id = 2;
ROLLBACK;
COPY guarded.orders (order_no, amount) FROM stdin;
2001	5
\.
-- A BEFORE trigger's change counts: it is the final values that are looked at.
CREATE FUNCTION guarded.sneak() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.amount := NEW.amount + 1; RETURN NEW; END $$;
CREATE TRIGGER sneak BEFORE UPDATE ON guarded.orders FOR EACH ROW EXECUTE FUNCTION guarded.sneak();
SELECT pg_temp.refused($$UPDATE guarded.orders SET note = 'o' WHERE order_no = '1001'$$) LIMIT 2;
DROP TRIGGER sneak ON guarded.orders;
-- DDL that would get around it is refused, to superusers too.
SELECT f.* FROM unnest(ARRAY[
	'ALTER TABLE guarded.orders DISABLE TRIGGER ALL',
	'ALTER TABLE guarded.orders DISABLE TRIGGER refundx_guard_update',
	'ALTER TABLE guarded.orders ENABLE TRIGGER refundx_guard_delete',
	'DROP TRIGGER refundx_guard_truncate ON guarded.orders',
	'ALTER TABLE guarded.orders DROP COLUMN amount CASCADE',
	'DROP TABLE guarded.orders CASCADE',
	'DROP SCHEMA guarded CASCADE',
	'DROP OWNED BY guard_owner CASCADE',
	'CREATE OR REPLACE TRIGGER refundx_guard_update AFTER UPDATE ON guarded.orders FOR EACH ROW WHEN (false) EXECUTE FUNCTION guarded.sneak()',
	'ALTER TABLE guarded.orders RENAME amount TO total',
	$$SELECT refundx.guard_drop('guarded.orders', 'in the way')$$]) c, LATERAL pg_temp.refused(c) f;
SELECT pg_temp.fails('ALTER TABLE guarded.orders ALTER amount TYPE bigint') LIMIT 1;
SELECT pg_temp.fails('SELECT refundx.guard_drop(''guarded.orders'', '''')');
-- Renaming the table, or moving it, changes nothing.
ALTER TABLE guarded.orders RENAME TO sales;
SELECT pg_temp.refused($$UPDATE guarded.sales SET amount = 1 WHERE order_no = '1001'$$);
SELECT DISTINCT table_name FROM refundx.locks;
ALTER TABLE guarded.sales RENAME TO orders;
-- allow_drop lets it pass, for a superuser.
BEGIN;
SET LOCAL refundx.allow_drop = on;
ALTER TABLE guarded.orders DISABLE TRIGGER refundx_guard_update;
SELECT * FROM refundx.check() WHERE invariant = 'I16';
SELECT problem FROM refundx.guards;
SELECT pg_temp.fails($$SELECT pg_temp.submit('GU-Y', pg_temp.row('1005'))$$);
DROP TRIGGER refundx_guard_update ON guarded.orders;
SELECT * FROM refundx.check() WHERE invariant = 'I16';
SELECT problem FROM refundx.guards;
ROLLBACK;
SELECT * FROM refundx.check() WHERE invariant = 'I16';
ALTER TABLE guarded.orders ENABLE ALWAYS TRIGGER refundx_guard_update;
-- It ends with the refund: canceled, or settled.
SELECT state FROM refundx.refund_cancel('GU-1', 'no');
UPDATE guarded.orders SET amount = 90 WHERE order_no = '1001';
SELECT count(*) FROM refundx.locks WHERE key = '1001';
-- The transaction that has submitted it may change the row, though another partial refund is in flight; not take it away.
SELECT pg_temp.submit('GU-4', pg_temp.row('1001'));
BEGIN;
SELECT pg_temp.refused($$UPDATE guarded.orders SET status = 'early' WHERE order_no = '1001'$$) LIMIT 1;
SELECT pg_temp.submit('GU-5', pg_temp.row('1001', '{"amount": 90}'));
UPDATE guarded.orders SET status = 'refunding', amount = 80 WHERE order_no = '1001';
SELECT pg_temp.refused($$DELETE FROM guarded.orders WHERE order_no = '1001'$$) LIMIT 2;
SELECT pg_temp.refused($$UPDATE guarded.orders SET order_no = 'x' WHERE order_no = '1001'$$) LIMIT 1;
COMMIT;
SELECT amount, status FROM guarded.orders WHERE order_no = '1001';
SELECT pg_temp.refused($$UPDATE guarded.orders SET status = 'late' WHERE order_no = '1001'$$);
BEGIN;
SAVEPOINT a;
SELECT pg_temp.submit('GU-6', pg_temp.row('1001'));
ROLLBACK TO a;
SELECT pg_temp.refused($$UPDATE guarded.orders SET status = 'late' WHERE order_no = '1001'$$) LIMIT 1;
SAVEPOINT a;
SELECT pg_temp.submit('GU-6', pg_temp.row('1001'));
RELEASE a;
UPDATE guarded.orders SET status = 'sub' WHERE order_no = '1001';
ROLLBACK;
-- An operator lifts it for one row, with a reason, on the record.
SELECT pg_temp.fails($$SELECT refundx.guard_lift('guarded.orders', '1001', '')$$);
SELECT pg_temp.fails($$SELECT refundx.guard_lift('guarded.orders', NULL, 'r')$$);
SELECT pg_temp.fails($$SELECT refundx.guard_lift('guarded.customers', '1', 'r')$$);
SELECT refundx.guard_lift('guarded.orders', '1019', 'r');
SELECT refundx.guard_lift('guarded.orders', '1001', 'the customer moved');
UPDATE guarded.orders SET status = 'late' WHERE order_no = '1001';
SELECT pg_temp.refused($$UPDATE guarded.orders SET status = 'late' WHERE order_no = '1002'$$) LIMIT 1;
SELECT key, refund_no, lifted_at IS NOT NULL AS lifted, lifted_by IS NOT NULL AS by FROM refundx.locks ORDER BY 1, 2;
SELECT event, from_state, to_state, note FROM refundx.refund_timeline('GU-4') t (at, event, from_state, to_state, actor, note) WHERE event = 'guard_lifted';
SELECT action, subject, reason, detail FROM refundx.audit_log WHERE action LIKE 'guard%' ORDER BY at;
SELECT pg_temp.submit('GU-7', pg_temp.row('1001'));
SELECT pg_temp.refused($$UPDATE guarded.orders SET status = 'again' WHERE order_no = '1001'$$) LIMIT 1;
SELECT pg_temp.fails('DELETE FROM refundx.guard_lock') LIMIT 1;
SELECT pg_temp.fails('DELETE FROM refundx.guard') LIMIT 1;
-- Withdrawals and adopted refunds lock rows as well.
SELECT (refundx.withdraw_submit('GU-A', 'GUW1', 100, 'gu', '{"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"}', guards => pg_temp.row('1010', '{"status": "paid"}'))).state;
SELECT pg_temp.fails($$SELECT refundx.withdraw_submit('GU-A', 'GUW2', 100, 'gu', '{"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"}', guards => pg_temp.row('1010', '{"status": "new"}'))$$);
SELECT pg_temp.refused($$UPDATE guarded.orders SET status = 'x' WHERE order_no = '1010'$$);
SELECT state FROM refundx.refund_adopt('gu', 'GU-P', 'GU-8', 10, guards => pg_temp.row('1011'));
SELECT pg_temp.refused($$DELETE FROM guarded.orders WHERE order_no = '1011'$$) LIMIT 2;
-- A guard that follows payments finds the row by the payment's number.
CREATE TABLE guarded.bills (id bigint PRIMARY KEY, paid bigint, kind varchar(10));
INSERT INTO guarded.bills VALUES (1, 10), (2, 20);
SELECT refundx.guard_add('guarded.bills', 'id', '{paid,kind}', of_payments => '^bill-(\d+)$');
SELECT pg_temp.submit('GU-10', payment => 'bill-1');
SELECT pg_temp.submit('GU-11', '[]', payment => 'bill-2');
SELECT pg_temp.submit('GU-12', payment => 'other-2');
SELECT pg_temp.fails($$SELECT pg_temp.submit('GU-13', payment => 'bill-3')$$);
SELECT table_name, key, refund_no FROM refundx.locks WHERE table_name LIKE '%bills';
SELECT pg_temp.refused('DELETE FROM guarded.bills WHERE id = 1') LIMIT 1;
UPDATE guarded.bills SET paid = 21 WHERE id = 2;
SELECT refundx.guard_lift('guarded.bills', ' 1', 'by its number');
SELECT state FROM refundx.refund_cancel('GU-10');
-- Without anything in flight it can be removed.
SELECT refundx.guard_drop('guarded.bills', 'no more bills');
SELECT refundx.guard_drop('guarded.bills', 'no more bills');
SELECT pg_temp.submit('GU-14', payment => 'bill-1');
SELECT relation, dropped_at IS NOT NULL FROM refundx.guard ORDER BY guard_id;
-- Partitions: rows are guarded where they are, and a partition without a locked row is free.
CREATE TABLE guarded.parts (id int PRIMARY KEY, a int, region text) PARTITION BY RANGE (id);
CREATE TABLE guarded.parts_1 PARTITION OF guarded.parts FOR VALUES FROM (1) TO (100);
CREATE TABLE guarded.parts_2 PARTITION OF guarded.parts FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (id);
CREATE TABLE guarded.parts_2a PARTITION OF guarded.parts_2 FOR VALUES FROM (100) TO (150);
SELECT pg_temp.fails($$SELECT refundx.guard_add('guarded.parts_1', 'id', '{a}')$$);
SELECT refundx.guard_add('guarded.parts', 'id', '{a}');
CREATE TABLE guarded.parts_2b PARTITION OF guarded.parts_2 FOR VALUES FROM (150) TO (200);
CREATE TABLE guarded.parts_3 (id int NOT NULL, region text, a int);
ALTER TABLE guarded.parts ATTACH PARTITION guarded.parts_3 FOR VALUES FROM (200) TO (300);
CREATE TABLE guarded.parts_4 PARTITION OF guarded.parts FOR VALUES FROM (300) TO (500);
INSERT INTO guarded.parts SELECT n, 0, 'r' FROM generate_series(1, 299) n;
SELECT tgrelid::regclass, count(*), string_agg(DISTINCT tgenabled::text, '') FROM pg_trigger WHERE tgfoid = 'refundx.guard_row'::regproc AND tgrelid::regclass::text LIKE '%parts%' GROUP BY 1 ORDER BY 1;
SELECT pg_temp.submit('GU-20', pg_temp.row('160', '{"a": 0}', 'guarded.parts') || pg_temp.row('250', t => 'guarded.parts'));
SELECT f.* FROM unnest(ARRAY[
	'UPDATE guarded.parts SET a = 1 WHERE id = 160',
	'UPDATE guarded.parts_2b SET a = 1 WHERE id = 160',
	'UPDATE guarded.parts_3 SET a = 1 WHERE id = 250',
	'UPDATE guarded.parts SET id = 400 WHERE id = 160',
	'TRUNCATE guarded.parts',
	'TRUNCATE guarded.parts_2',
	'TRUNCATE guarded.parts_2b',
	'DROP TABLE guarded.parts_2b',
	'ALTER TABLE guarded.parts_2 DETACH PARTITION guarded.parts_2b',
	'ALTER TABLE guarded.parts DETACH PARTITION guarded.parts_2',
	'ALTER TABLE guarded.parts DETACH PARTITION guarded.parts_3 CONCURRENTLY',
	'ALTER TABLE guarded.parts_3 DISABLE TRIGGER ALL',
	'ALTER TABLE guarded.parts DISABLE TRIGGER refundx_guard_update',
	'DROP TABLE guarded.parts']) c, LATERAL pg_temp.refused(c) f WHERE f NOT LIKE '%hint: %';
UPDATE guarded.parts SET region = 'q';
UPDATE guarded.parts SET a = 1 WHERE id < 100;
TRUNCATE guarded.parts_2a;
ALTER TABLE guarded.parts_1 DISABLE TRIGGER ALL;
SELECT pg_temp.fails($$SELECT pg_temp.submit('GU-21', pg_temp.row('50', t => 'guarded.parts'))$$);
ALTER TABLE guarded.parts DETACH PARTITION guarded.parts_1;
DROP TABLE guarded.parts_2a;
SELECT * FROM refundx.check() WHERE invariant IN ('I16', 'orphans');
-- Partitioned by something else: a move is a DELETE there, and refused, although no guarded column changes.
CREATE TABLE guarded.moving (id int, region text, a int, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE guarded.moving_n PARTITION OF guarded.moving FOR VALUES IN ('n');
CREATE TABLE guarded.moving_s PARTITION OF guarded.moving FOR VALUES IN ('s');
SELECT pg_temp.fails($$SELECT refundx.guard_add('guarded.moving', 'id', '{a}')$$);
ALTER TABLE guarded.moving DROP CONSTRAINT moving_pkey, ADD PRIMARY KEY (id, region);
SELECT refundx.guard_add('guarded.moving', 'id', '{a}');
INSERT INTO guarded.moving VALUES (1, 'n', 0), (2, 'n', 0), (2, 's', 0), (3, 's', 0);
SELECT pg_temp.submit('GU-40', pg_temp.row('1', t => 'guarded.moving'));
SELECT pg_temp.fails($$SELECT pg_temp.submit('GU-41', pg_temp.row('2', t => 'guarded.moving'))$$);
SELECT pg_temp.refused($$UPDATE guarded.moving SET region = 's' WHERE id = 1$$);
UPDATE guarded.moving SET region = 'n' WHERE id = 3;
SELECT pg_temp.refused('TRUNCATE guarded.moving_n') LIMIT 1;
TRUNCATE guarded.moving_s;
-- Types without an equality, domains, arrays, quoted names, and a long way to a key.
CREATE DOMAIN guarded.level AS text CHECK (VALUE <> '');
CREATE TABLE guarded."Odd Types" ("The Key" uuid PRIMARY KEY, p point, x xml, d guarded.level NOT NULL, j json[], t timestamptz, e int[]);
SELECT refundx.guard_add('guarded."Odd Types"', 'The Key', '{p,x,d,j,t,e,"The Key",e}');
INSERT INTO guarded."Odd Types" VALUES ('8F14E45F-CEEA-467A-9575-3B0F0C2E1D4B', '(1,2)', '<a/>', 'low', '{"{}"}', '2026-01-01 00:00+00', '{1}');
SELECT pg_temp.submit('GU-30', pg_temp.row('8F14E45FCEEA467A95753B0F0C2E1D4B', '{"p": "(1,2)", "x": "<a/>", "d": "low", "t": "2026-01-01 08:00+08", "e": "{1}"}', 'guarded."Odd Types"'));
UPDATE guarded."Odd Types" SET p = '(1,2)', x = '<a/>', d = 'low', j = '{"{}"}', t = t, e = e;
SELECT f.* FROM unnest(ARRAY['p = ''(1,3)''', 'x = ''<b/>''', 'd = ''high''', 'j = ''{"[]"}''', 't = now()', 'e = NULL']) s,
	LATERAL pg_temp.refused('UPDATE guarded."Odd Types" SET ' || s) f WHERE f LIKE '%detail%';
SELECT refundx.guard_lift('guarded."Odd Types"', '8f14e45f-ceea-467a-9575-3b0f0c2e1d4b', 'r');
-- Reading is free, and an application sees its own locks.
SET SESSION AUTHORIZATION guard_app;
SELECT refund_no, key FROM refundx.locks;
SELECT pg_temp.fails($$SELECT refundx.guard_lift('guarded.orders', '1001', 'r')$$);
RESET SESSION AUTHORIZATION;
\set ECHO none
SELECT refundx.refund_cancel(refund_no) FROM refundx.refunds WHERE refund_no LIKE 'GU-%' AND state = 'queued' \g /dev/null
SELECT refundx.withdraw_cancel('GUW1') \g /dev/null
SELECT refundx.guard_lift('guarded.orders', '1011', 'the end') \g /dev/null
SET refundx.allow_drop = on;
SET client_min_messages = error;
DROP SCHEMA guarded CASCADE;
RESET refundx.allow_drop;
DROP OWNED BY guard_owner, guard_app CASCADE;
DROP ROLE guard_owner, guard_app;
