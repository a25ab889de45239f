-- A refund and a withdrawal are atomic with their caller's transaction, of whatever kind that is.
\set ECHO none
\getenv source PG_ABS_SRCDIR
\set preamble :source /sql/preamble.inc
\i :preamble
SELECT refundx.channel_add('tx', 'wechat', pg_temp.wechat() || '{"transfer": {"appid": "wx0123456789abcdef", "scene_id": "1000", "remark": "pay",
	"report_infos": [{"info_type": "a", "info_content": "b"}]}}'), refundx.account_open('T-1', 'CNY'), refundx.account_credit('T-1', 100000, 'start') \g /dev/null
SELECT refundx.payment_record('tx', 'T-P' || n, 1000, 'CNY', account => 'T-1') FROM generate_series(1, 9) n \g /dev/null
CREATE TEMP VIEW tx AS
	SELECT (SELECT string_agg(refund_no || ' ' || state, ', ' ORDER BY refund_no) FROM refundx.refunds WHERE refund_no LIKE 'T-R%') AS refunds,
		   (SELECT sum(refunding) FROM refundx.payments WHERE payment_no LIKE 'T-P%') AS refunding,
		   (SELECT frozen FROM refundx.accounts WHERE account = 'T-1') AS frozen,
		   (SELECT count(*) FROM refundx.events WHERE refund_no LIKE 'T-R%') AS events;
\set ECHO all
-- The caller rolls back: not one row of any kind survives.
BEGIN;
SELECT refund_no FROM refundx.refund_submit('tx', 'T-P1', 'T-R01', 100);
ROLLBACK;
SELECT * FROM tx;
-- To a savepoint: what came after it is gone, what came before it stays.
BEGIN;
SELECT refund_no FROM refundx.refund_submit('tx', 'T-P1', 'T-R02', 100);
SAVEPOINT a;
SELECT refund_no FROM refundx.refund_submit('tx', 'T-P1', 'T-R03', 200);
SAVEPOINT b;
SELECT refund_no FROM refundx.refund_cancel('T-R02');
ROLLBACK TO a;
SELECT refund_no FROM refundx.refund_submit('tx', 'T-P1', 'T-R04', 300);
RELEASE a;
COMMIT;
SELECT * FROM tx;
-- PREPARE TRANSACTION: neither there nor gone until the second word.
BEGIN;
SELECT refund_no FROM refundx.refund_submit('tx', 'T-P2', 'T-R05', 400);
PREPARE TRANSACTION 'refundx_tx_1';
SELECT * FROM tx;
ROLLBACK PREPARED 'refundx_tx_1';
SELECT * FROM tx;
BEGIN;
SELECT refund_no FROM refundx.refund_submit('tx', 'T-P2', 'T-R06', 400);
PREPARE TRANSACTION 'refundx_tx_2';
-- The prepared one holds its payment's row and its account's, and no others.
SET lock_timeout = '50ms';
SELECT pg_temp.fails($$SELECT refundx.refund_submit('tx', 'T-P2', 'T-R07', 1)$$);
RESET lock_timeout;
COMMIT PREPARED 'refundx_tx_2';
SELECT * FROM tx;
-- Isolation levels.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT refund_no, state FROM refundx.refund_submit('tx', 'T-P3', 'T-R08', 10);
SELECT refund_no, state FROM refundx.refund_submit('tx', 'T-P3', 'T-R08', 10);
SELECT refund_no, state FROM refundx.refund_cancel('T-R08');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT refund_no, state FROM refundx.refund_submit('tx', 'T-P3', 'T-R09', 20);
SELECT refund_no, state FROM refundx.refund_submit('tx', 'T-P4', 'T-R10', 20);
COMMIT;
BEGIN READ ONLY;
SELECT pg_temp.fails($$SELECT refundx.refund_submit('tx', 'T-P3', 'T-R11', 20)$$);
SELECT state, refundx.refund_state('T-R09') FROM refundx.refund_get('T-R09');
COMMIT;
-- From PL/pgSQL, with its own exceptions, and from a trigger on the application's table.
CREATE TEMP TABLE returned_goods (id int PRIMARY KEY, payment_no text, amount bigint, refund_state text);
CREATE FUNCTION pg_temp.refund_goods() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	SELECT state INTO NEW.refund_state
	  FROM refundx.refund_submit('tx', NEW.payment_no, 'T-RG' || NEW.id, NEW.amount, 'returned');
	RETURN NEW;
EXCEPTION WHEN SQLSTATE 'RX001' THEN
	NEW.refund_state := 'too much';
	RETURN NEW;
END
$$;
CREATE TRIGGER refund_goods BEFORE INSERT ON returned_goods FOR EACH ROW EXECUTE FUNCTION pg_temp.refund_goods();
INSERT INTO returned_goods VALUES (1, 'T-P5', 600), (2, 'T-P5', 600), (3, 'T-P5', 400) RETURNING id, refund_state;
INSERT INTO returned_goods VALUES (4, 'nobody', 1);
SELECT id, refund_state FROM returned_goods ORDER BY id;
-- A deferred constraint trigger fires at commit, and still belongs to the transaction.
CREATE FUNCTION pg_temp.refund_late() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM refundx.refund_submit('tx', NEW.payment_no, 'T-RL' || NEW.id, NEW.amount);
	RETURN NULL;
END
$$;
DROP TRIGGER refund_goods ON returned_goods;
CREATE CONSTRAINT TRIGGER refund_late AFTER INSERT ON returned_goods DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION pg_temp.refund_late();
BEGIN;
INSERT INTO returned_goods VALUES (5, 'T-P6', 100);
SELECT count(*) FROM refundx.refunds WHERE refund_no = 'T-RL5';
COMMIT;
SELECT refund_no, state FROM refundx.refunds WHERE refund_no = 'T-RL5';
BEGIN;
INSERT INTO returned_goods VALUES (6, 'T-P6', 901);
COMMIT;
SELECT count(*) FROM returned_goods WHERE id = 6;
-- A procedure that commits between refunds.
CREATE PROCEDURE pg_temp.two_refunds() LANGUAGE plpgsql AS $$
BEGIN
	PERFORM refundx.refund_submit('tx', 'T-P7', 'T-RP1', 500);
	COMMIT;
	PERFORM refundx.refund_submit('tx', 'T-P7', 'T-RP2', 500);
	ROLLBACK;
	PERFORM refundx.refund_submit('tx', 'T-P7', 'T-RP3', 500);
END
$$;
CALL pg_temp.two_refunds();
SELECT refund_no, state FROM refundx.refunds WHERE payment_no = 'T-P7' ORDER BY refund_no;
SELECT * FROM tx;
-- An application that sets search_path to objects of its own does not get in between.
CREATE FUNCTION pg_temp.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT ''2000-01-01''::timestamptz';
CREATE TEMP TABLE instruction (instruction_no text);
SET search_path = pg_temp, refundx, pg_catalog;
SELECT refund_no FROM refundx.refund_submit('tx', 'T-P8', 'T-R12', 1);
RESET search_path;
SELECT submitted_at > '2026-01-01' FROM refundx.refunds WHERE refund_no = 'T-R12';
-- What the owner adds to a table counts from the next refund on, in this session too.
ALTER TABLE refundx.payment ADD CONSTRAINT at_most_one_part CHECK (parts <= 1) NOT VALID;
SELECT f FROM pg_temp.fails($$SELECT refundx.refund_submit('tx', 'T-P8', 'T-R13', 1)$$) f LIMIT 1;
ALTER TABLE refundx.payment DROP CONSTRAINT at_most_one_part;
ALTER TABLE refundx.instruction ADD CONSTRAINT not_this_number CHECK (instruction_no <> 'T-R13') NOT VALID;
SELECT f FROM pg_temp.fails($$SELECT refundx.refund_submit('tx', 'T-P8', 'T-R13', 1)$$) f LIMIT 1;
ALTER TABLE refundx.instruction DROP CONSTRAINT not_this_number;
-- A trigger that keeps rows out makes a refund fail; it does not make half of one.
CREATE FUNCTION pg_temp.keep_out() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER keep_out BEFORE UPDATE ON refundx.payment FOR EACH ROW EXECUTE FUNCTION pg_temp.keep_out();
SELECT pg_temp.fails($$SELECT refundx.refund_submit('tx', 'T-P8', 'T-R13', 1)$$);
DROP TRIGGER keep_out ON refundx.payment;
CREATE TRIGGER keep_out BEFORE INSERT ON refundx.event FOR EACH ROW EXECUTE FUNCTION pg_temp.keep_out();
SELECT pg_temp.fails($$SELECT refundx.refund_submit('tx', 'T-P8', 'T-R13', 1)$$);
DROP TRIGGER keep_out ON refundx.event;
SELECT state FROM refundx.refund_submit('tx', 'T-P8', 'T-R13', 1);
-- ---- withdrawals, likewise ----
\set ECHO none
SELECT refundx.account_open('T-W', 'CNY'), refundx.account_credit('T-W', 100000, 'start'), refundx.account_open('T-S', 'CNY', 4), refundx.account_credit('T-S', 100000, 'start'),
	   refundx.withdraw_policy_set('tx', '{"day_count": 1000, "fee_fixed": 2}') \g /dev/null
CREATE FUNCTION pg_temp.pay(no text, amount bigint, account text DEFAULT 'T-W') RETURNS text LANGUAGE sql AS $$
	SELECT state FROM refundx.withdraw_submit(account, no, amount, 'tx', '{"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"}')
$$;
CREATE TEMP VIEW txw AS
	SELECT (SELECT string_agg(withdrawal_no || ' ' || state, ', ' ORDER BY withdrawal_no) FROM refundx.withdrawals WHERE withdrawal_no LIKE 'TW%') AS withdrawals,
		   (SELECT sum(frozen) FROM refundx.accounts WHERE account IN ('T-W', 'T-S')) AS frozen,
		   (SELECT count(*) FROM refundx.events WHERE withdrawal_no LIKE 'TW%') AS events,
		   (SELECT count(*) FROM refundx.payout o JOIN refundx.account a USING (account_id) WHERE account_no IN ('T-W', 'T-S')) AS payouts,
		   (SELECT max(withdrawals) FROM refundx.cap_line l JOIN refundx.account a USING (account_id) WHERE account_no = 'T-W') AS counted;
\set ECHO all
BEGIN;
SELECT pg_temp.pay('TW01', 100), pg_temp.pay('TW02', 100, 'T-S');
SELECT * FROM txw;
ROLLBACK;
SELECT * FROM txw;
BEGIN;
SELECT pg_temp.pay('TW03', 100);
SAVEPOINT a;
SELECT pg_temp.pay('TW04', 200);
SAVEPOINT b;
SELECT state FROM refundx.withdraw_cancel('TW03');
ROLLBACK TO a;
SELECT pg_temp.pay('TW05', 300, 'T-S');
RELEASE a;
COMMIT;
SELECT * FROM txw;
BEGIN;
SELECT pg_temp.pay('TW06', 400);
PREPARE TRANSACTION 'refundx_tx_3';
SELECT * FROM txw;
ROLLBACK PREPARED 'refundx_tx_3';
BEGIN;
SELECT pg_temp.pay('TW07', 400);
PREPARE TRANSACTION 'refundx_tx_4';
-- The prepared one holds its account's row; an account with slots has others.
SET lock_timeout = '50ms';
SELECT pg_temp.fails($$SELECT pg_temp.pay('TW08', 100)$$);
RESET lock_timeout;
COMMIT PREPARED 'refundx_tx_4';
SELECT * FROM txw;
BEGIN;
SELECT state FROM refundx.withdraw_cancel('TW07');
PREPARE TRANSACTION 'refundx_tx_5';
SELECT * FROM txw;
COMMIT PREPARED 'refundx_tx_5';
SELECT * FROM txw;
-- Isolation levels.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT pg_temp.pay('TW09', 100), pg_temp.pay('TW09', 100), pg_temp.pay('TW10', 100), pg_temp.pay('TW11', 100, 'T-S');
SELECT state FROM refundx.withdraw_cancel('TW09');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT pg_temp.pay('TW12', 100), pg_temp.pay('TW12', 100), pg_temp.pay('TW13', 200);
COMMIT;
BEGIN READ ONLY;
SELECT pg_temp.fails($$SELECT pg_temp.pay('TW14', 200)$$);
SELECT state, refundx.withdraw_state('TW12') FROM refundx.withdraw_get('TW12');
COMMIT;
SELECT * FROM txw;
-- From a trigger on the application's table, with its own exceptions; and from one that is deferred.
CREATE TEMP TABLE wages (id int PRIMARY KEY, amount bigint, state text);
CREATE FUNCTION pg_temp.pay_wage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.state := pg_temp.pay('TWG' || NEW.id, NEW.amount);
	RETURN NEW;
EXCEPTION WHEN SQLSTATE 'RX004' THEN
	NEW.state := 'not enough';
	RETURN NEW;
END
$$;
CREATE TRIGGER pay_wage BEFORE INSERT ON wages FOR EACH ROW EXECUTE FUNCTION pg_temp.pay_wage();
INSERT INTO wages VALUES (1, 60000), (2, 60000), (3, 30000) RETURNING id, state;
INSERT INTO wages VALUES (4, 0);
SELECT id, state FROM wages ORDER BY id;
DROP TRIGGER pay_wage ON wages;
CREATE FUNCTION pg_temp.pay_late() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_temp.pay('TWL' || NEW.id, NEW.amount);
	RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER pay_late AFTER INSERT ON wages DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pg_temp.pay_late();
BEGIN;
INSERT INTO wages VALUES (5, 100);
SELECT refundx.withdraw_state('TWL5');
COMMIT;
SELECT refundx.withdraw_state('TWL5');
BEGIN;
INSERT INTO wages VALUES (6, 100000);
COMMIT;
SELECT count(*) FROM wages WHERE id = 6;
-- A procedure that commits between withdrawals, and waits for one.
CREATE PROCEDURE pg_temp.two_wages(INOUT s text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_temp.pay('TWP1', 50);
	COMMIT;
	PERFORM pg_temp.pay('TWP2', 50);
	ROLLBACK;
	PERFORM pg_temp.pay('TWP3', 50);
	COMMIT;
	CALL refundx.withdraw_wait('TWP3', '50 ms', s);
END
$$;
CALL pg_temp.two_wages(NULL);
SELECT * FROM txw;
-- Half of one is none: a trigger that keeps rows out makes it fail.
CREATE TRIGGER keep_out BEFORE INSERT ON refundx.payout FOR EACH ROW EXECUTE FUNCTION pg_temp.keep_out();
SELECT pg_temp.fails($$SELECT pg_temp.pay('TWK', 1000)$$);
DROP TRIGGER keep_out ON refundx.payout;
SELECT pg_temp.pay('TWK', 1000);
SELECT refundx.withdraw_policy_set('tx', NULL);
SELECT * FROM refundx.check();
