-- A refund is atomic with its caller's transaction, of whatever kind that is.
\set ECHO none
\getenv source PG_ABS_SRCDIR
\set preamble :source /sql/preamble.inc
\i :preamble
SELECT refundx.channel_add('tx', 'wechat', pg_temp.wechat()), refundx.account_open('T-1', 'CNY'), refundx.account_credit('T-1', 100000, 'start') \g /dev/null
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
SELECT * FROM refundx.check();
