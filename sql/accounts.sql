-- Accounts: with one slot and with several, closed and opened again.
\set ECHO none
\getenv source PG_ABS_SRCDIR
\set preamble :source /sql/preamble.inc
\i :preamble

SELECT refundx.channel_add('acc', 'wechat', pg_temp.wechat()) \g /dev/null
CREATE FUNCTION pg_temp.submit(no text, account text, amount bigint) RETURNS text LANGUAGE sql AS $$
	SELECT (refundx.refund_submit('acc', 'AC-P' || no, 'AC-' || no, amount, currency => 'CNY', payment_amount => 1000,
			account => account)).state
$$;

-- ---- opening ----
SELECT refundx.account_open('AC-1', 'CNY'), refundx.account_open('AC-1', 'CNY', slots => 1);
SELECT refundx.account_open('AC-4', 'CNY', 4), refundx.account_open('AC-4', 'CNY', slots => 4);
SELECT words, f FROM unnest(ARRAY[$$'AC-4', 'CNY'$$, $$'AC-4', 'CNY', 5$$, $$'AC-1', 'CNY', 2$$, $$'AC-4', 'USD', 4$$, $$'AC-5', 'CNY', 0$$,
	$$'AC-5', 'CNY', 257$$, $$'AC-5', 'CNY', NULL$$, $$'AC-5', 'CNY', -1$$]) words, pg_temp.fails('SELECT refundx.account_open(' || words || ')') f;
SELECT refundx.account_open('AC-256', 'CNY', 256);
SELECT account, slots, available, frozen, version, hold, closed, moved_at FROM refundx.accounts WHERE account LIKE 'AC-%' ORDER BY account;
SELECT slot, slots, account_no, slot_of IS NOT NULL AS of_another FROM refundx.account
 WHERE (SELECT account_id FROM refundx.account WHERE account_no = 'AC-4') IN (account_id, slot_of) ORDER BY slot;

-- nobody can name a slot: it has no name
SELECT * FROM pg_temp.fails($$UPDATE refundx.account SET account_no = 'AC-x' WHERE slot = 3 AND currency = 'CNY'$$) LIMIT 1;
SELECT pg_temp.fails($$SELECT refundx.account_credit('AC-4 (slot 1)', 1, 'x')$$);

-- ---- credits and debits: a reference has its slot ----
SELECT r, refundx.account_credit('AC-4', a, r) FROM (VALUES ('o1', 40), ('o2', 30), ('o3', 20), ('o4', 10)) v(r, a);
SELECT r, refundx.account_credit('AC-4', a, r) FROM (VALUES ('o1', 40), ('o2', 30), ('o3', 20), ('o4', 10)) v(r, a);
SELECT pg_temp.fails($$SELECT refundx.account_credit('AC-4', 41, 'o1')$$);
SELECT pg_temp.fails($$SELECT refundx.account_debit('AC-4', 40, 'o1')$$);
SELECT slot, version, type, reference, d_available, d_outside, available FROM refundx.journal_lines WHERE account = 'AC-4' ORDER BY slot, version;
SELECT account, slots, available, available_text, frozen, version FROM refundx.accounts WHERE account = 'AC-4';
-- o12 is of slot 0, which has 20: the rest comes from the richest
SELECT refundx.account_debit('AC-4', 45, 'o12'), refundx.account_debit('AC-4', 45, 'o12');
SELECT slot, version, type, reference, d_available, available FROM refundx.journal_lines
 WHERE account = 'AC-4' AND (version > 1 OR slot = 0) ORDER BY slot, version;
-- o7 is of slot 0 as well, where nothing is left; o8 of slot 1
SELECT pg_temp.fails($$SELECT refundx.account_debit('AC-4', 56, 'o7')$$);
SELECT refundx.account_debit('AC-4', 55, 'o8');
SELECT pg_temp.fails($$SELECT refundx.account_debit('AC-4', 1, 'o7')$$);
SELECT refundx.account_debit('AC-4', 45, 'o12'), refundx.account_debit('AC-4', 55, 'o8');
SELECT available, frozen FROM refundx.accounts WHERE account = 'AC-4';

-- ---- freezes ----
SELECT r, refundx.account_credit('AC-4', a, r) FROM (VALUES ('o5', 40), ('o6', 30), ('o7', 20), ('o8-', 10)) v(r, a) \g /dev/null
SELECT pg_temp.submit('1', 'AC-4', 35);
SELECT pg_temp.submit('2', 'AC-4', 35);
SELECT pg_temp.fails($$SELECT pg_temp.submit('3', 'AC-4', 31)$$);
SELECT pg_temp.submit('3', 'AC-4', 30);
SELECT available, frozen FROM refundx.accounts WHERE account = 'AC-4';
SELECT refund_no, account, amount FROM refundx.refunds WHERE refund_no LIKE 'AC-_' ORDER BY 1;
-- what is given back is given back where it was frozen
SELECT (refundx.refund_cancel('AC-2')).state;
SELECT count(DISTINCT slot), string_agg(type, ', ' ORDER BY version) FROM refundx.journal_lines WHERE refund_no = 'AC-2';
SELECT available, frozen FROM refundx.accounts WHERE account = 'AC-4';
SELECT pg_temp.fails($$SELECT pg_temp.submit('4', 'AC-4', 36)$$);
SELECT sum(d_available) FILTER (WHERE type LIKE 'slot\_%') AS moved, count(*) FILTER (WHERE type LIKE 'slot\_%') > 0 AS some
  FROM refundx.journal_lines WHERE account = 'AC-4';
-- a large credit is of one slot, and so is a freeze of all of it
SELECT refundx.account_credit('AC-256', 1000, 'all');
SELECT pg_temp.submit('5', 'AC-256', 600);
SELECT pg_temp.submit('6', 'AC-256', 400);
SELECT pg_temp.fails($$SELECT pg_temp.submit('7', 'AC-256', 1)$$);

-- more than a bigint holds is nobody's error
BEGIN;
SELECT refundx.account_open('AC-8', 'CNY', 4), refundx.account_credit('AC-8', 9223372036854775807, 'o1'), refundx.account_credit('AC-8', 9223372036854775807, 'o2');
SELECT available, frozen FROM refundx.accounts WHERE account = 'AC-8';
SELECT pg_temp.fails($$SELECT refundx.account_credit('AC-8', 1, 'o5')$$);
SELECT pg_temp.submit('7', 'AC-8', 1000), refundx.account_close('AC-8', 'too rich');
ROLLBACK;

-- ---- an account that was never opened ----
BEGIN;
SELECT refundx.account_open('AC-6', 'CNY', 2), refundx.account_credit('AC-6', 50, 'o1'), refundx.account_credit('AC-6', 50, 'o2');
SELECT pg_temp.submit('8', 'AC-6', 80);
SAVEPOINT s;
SELECT refundx.account_open('AC-7', 'CNY', 8), refundx.account_credit('AC-7', 50, 'o1'), pg_temp.submit('9', 'AC-7', 1);
ROLLBACK TO s;
SELECT refundx.account_open('AC-7', 'CNY'), refundx.account_credit('AC-7', 50, 'o1'), pg_temp.submit('9', 'AC-7', 50);
ROLLBACK;
SELECT refundx.account_open('AC-6', 'CNY'), refundx.account_credit('AC-6', 100, 'o1'), pg_temp.submit('8', 'AC-6', 100);
SELECT account, slots, available, frozen FROM refundx.accounts WHERE account IN ('AC-6', 'AC-7');

-- another extension of the name has accounts of the same keys
BEGIN;
SET LOCAL refundx.allow_drop = on;
DROP EXTENSION refundx CASCADE;
CREATE EXTENSION refundx;
SELECT refundx.account_open('AC-' || n, 'CNY', 2), refundx.account_credit('AC-' || n, 50, 'o1'), refundx.account_credit('AC-' || n, 50, 'o2'),
	   refundx.account_debit('AC-' || n, 100, 'o3') FROM generate_series(1, 2) n;
ROLLBACK;
SELECT refundx.account_credit('AC-4', 5, 'after'), refundx.account_debit('AC-4', 40, 'after that');

-- ---- closing ----
SET client_min_messages = notice;
\set VERBOSITY default
SELECT refundx.account_credit('AC-4', 7, 'a coin');
SELECT refundx.account_close('AC-4', 'the shop has moved');
SELECT refundx.account_close('AC-4', 'again');
SELECT refundx.account_close('AC-1', 'never used');
SET client_min_messages = error;
SELECT account, available, frozen, closed FROM refundx.accounts WHERE account IN ('AC-1', 'AC-4') ORDER BY 1;
SELECT pg_temp.fails($$SELECT pg_temp.submit('A', 'AC-4', 1)$$);
SELECT pg_temp.fails($$SELECT pg_temp.submit('A', 'AC-4', 100)$$);
SELECT pg_temp.fails($$SELECT pg_temp.submit('A', 'AC-1', 1)$$);
SELECT pg_temp.fails($$SELECT refundx.account_credit('AC-4', 1, 'late')$$);
SELECT pg_temp.fails($$SELECT refundx.account_debit('AC-4', 1, 'late')$$);
SELECT pg_temp.fails($$SELECT refundx.account_debit('AC-4', 100, 'late')$$);
-- what was done is still said to be done, and what is open ends
SELECT refundx.account_credit('AC-4', 7, 'a coin');
SELECT (refundx.refund_cancel('AC-1')).state;
SELECT available, frozen FROM refundx.accounts WHERE account = 'AC-4';
SELECT refundx.account_reopen('AC-4', 'it has come back'), refundx.account_reopen('AC-4', 'again');
SELECT pg_temp.submit('A', 'AC-4', 1);
SELECT action, subject, reason FROM refundx.audit_log WHERE subject LIKE 'AC-%' ORDER BY audit_id;
SELECT words, f FROM unnest(ARRAY[$$'nobody', 'x'$$, $$'AC-4', ''$$, $$'AC-4', NULL$$, $$NULL, 'x'$$]) words,
	   unnest(ARRAY['account_close', 'account_reopen']) fn, pg_temp.fails('SELECT refundx.' || fn || '(' || words || ')') f;

-- ---- a hold speaks for all slots ----
BEGIN;
UPDATE refundx.account SET hold = 'a contradiction' WHERE account_no = 'AC-4';
SELECT pg_temp.fails($$SELECT pg_temp.submit('B', 'AC-4', 1)$$);
SELECT pg_temp.fails($$SELECT pg_temp.submit('B', 'AC-4', 30)$$);
SELECT pg_temp.fails($$SELECT refundx.account_debit('AC-4', 1, 'held')$$);
SELECT refundx.account_credit('AC-4', 1, 'put in');
ROLLBACK;

-- ---- a line goes where its type says ----
SELECT type, a, f, o, split_part(e, '"', 4) FROM (VALUES ('slot_out', 5, 0, -5), ('slot_in', -5, 0, 5), ('fee', 0, 5, -5), ('fee_return', 0, -5, 5),
	('pay_out', -5, 0, 5), ('release', -5, 5, 0), ('freeze', 5, -5, 0), ('return', 0, 0, 0), ('credit', 5, 0, 5)) v(type, a, f, o),
	LATERAL (SELECT * FROM pg_temp.fails(format('INSERT INTO refundx.journal (account_id, version, type, reference, instruction_id, d_available, d_frozen, d_outside, available, frozen)
		VALUES (1, 99, %L, %L, %L, %s, %s, %s, 5, 5)', type, CASE WHEN type = 'credit' THEN 'x' END,
		CASE WHEN type NOT IN ('slot_out', 'slot_in', 'credit') THEN 1 END, a, f, o)) e LIMIT 1) e;
SELECT * FROM pg_temp.fails($$INSERT INTO refundx.journal (account_id, version, type, instruction_id, d_available, d_frozen, d_outside, available, frozen)
	VALUES (1, 99, 'slot_in', 1, 5, 0, -5, 5, 5)$$) LIMIT 1;

SELECT * FROM refundx.check() WHERE subject LIKE 'AC-%';
