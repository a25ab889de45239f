-- The journal's seals: what its owner does to it is found, and located.
\set ECHO none
\getenv source PG_ABS_SRCDIR
\set preamble :source /sql/preamble.inc
\i :preamble

-- all of it is undone: other tests have lines of their own in the journal
BEGIN;
SELECT refundx.account_open('SE-1', 'CNY'), refundx.account_open('SE-4', 'CNY', 4);
SELECT count(refundx.account_credit('SE-1', n, 'SE-' || n)) FROM generate_series(1, 20) n;
SELECT refundx.journal_seal() >= 20 AS sealed;
SELECT refundx.journal_seal();
SELECT coalesce(max(seal_no), 0) AS base FROM refundx.seal \gset
CREATE TEMP VIEW found AS
	SELECT coalesce((SELECT max(seal_no) FROM refundx.seal) - f.seal_no, -1) AS before_last, f.account, f.version, f.finding, f.detail
	  FROM refundx.journal_verify() f;
SELECT * FROM found;

-- a second seal, over two accounts; the one with slots has several parts
SELECT count(refundx.account_credit('SE-1', n, 'SE-' || n)) FROM generate_series(21, 40) n;
SELECT count(refundx.account_credit('SE-4', n, 'SE-' || n)) FROM generate_series(1, 20) n;
SELECT refundx.journal_seal();
SELECT seal_no - :base AS nth, lines, parts > 2 AS parts, octet_length(leaves) / 32 AS leaves, horizon IS NOT NULL AS horizon
  FROM refundx.seal WHERE seal_no > :base;
SELECT * FROM found;
SELECT count(*) FROM refundx.check_i20;

-- what is sealed is insert-only, too
SELECT pg_temp.fails(c) FROM unnest(ARRAY['UPDATE refundx.seal SET lines = 1', 'DELETE FROM refundx.sealed', 'TRUNCATE refundx.day_seal']) c;

-- ---- what the owner of the tables does ----
ALTER TABLE refundx.journal DISABLE TRIGGER USER;
ALTER TABLE refundx.journal DROP CONSTRAINT journal_line;
ALTER TABLE refundx.seal DISABLE TRIGGER USER;
ALTER TABLE refundx.sealed DISABLE TRIGGER USER;
SELECT account_id AS one FROM refundx.account WHERE account_no = 'SE-1' \gset

-- changed: each column, and what says whose line it is
CREATE FUNCTION pg_temp.change(act text) RETURNS SETOF found LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE act;
	RETURN QUERY SELECT * FROM found;
	RAISE EXCEPTION 'undo' USING ERRCODE = 'P0999';
EXCEPTION WHEN SQLSTATE 'P0999' THEN
	-- the rows that were returned are kept
	RETURN;
END
$$;
SELECT c AS changed, f.* FROM unnest(ARRAY['reference = ''forged''', 'd_available = 8', 'd_frozen = 1', 'd_outside = -8', 'available = available + 1', 'frozen = 1',
	'note = ''''', 'at = at + interval ''1 microsecond''', 'by = ''nobody''', 'type = ''debit''', 'instruction_id = 7', 'version = version + 1000']) c,
	LATERAL pg_temp.change(format('UPDATE refundx.journal SET %s WHERE (account_id, version) = (%s, 7)', c, :one)) f;
SELECT f.version, f.finding FROM pg_temp.change(format('UPDATE refundx.account SET account_no = ''SE-9'' WHERE account_id = %s', :one)) f
 WHERE f.version IN (1, 40) ORDER BY 1;

-- deleted: the first, one between, the last; an account's all
SELECT v AS deleted, f.* FROM unnest(ARRAY['= 1', '= 12', '= 40', 'BETWEEN 20 AND 22', '> 0']) v,
	LATERAL pg_temp.change(format('DELETE FROM refundx.journal WHERE account_id = %s AND version %s', :one, v)) f
 WHERE v <> '> 0' OR f.version % 20 = 0;

-- added: in between, the later ones moved up; before the first
SELECT f.* FROM pg_temp.change(format($$
	UPDATE refundx.journal SET version = -version - 1 WHERE account_id = %1$s AND version >= 17;
	UPDATE refundx.journal SET version = -version WHERE account_id = %1$s AND version < 0;
	INSERT INTO refundx.journal SELECT account_id, 17, type, NULL, 'forged', 1, 0, -1, available, 0 FROM refundx.journal WHERE (account_id, version) = (%1$s, 16)$$, :one)) f
 WHERE f.version < 23;
SELECT f.* FROM pg_temp.change(format('INSERT INTO refundx.journal SELECT account_id, 0, type, NULL, ''forged'', 1, 0, -1, 1, 0 FROM refundx.journal WHERE (account_id, version) = (%s, 1)', :one)) f;

-- exchanged: two lines, within a seal; and with all of them a place further down
SELECT f.* FROM pg_temp.change(format($$
	UPDATE refundx.journal SET version = -version WHERE account_id = %1$s AND version IN (3, 9);
	UPDATE refundx.journal SET version = CASE version WHEN -3 THEN 9 ELSE 3 END WHERE account_id = %1$s AND version < 0$$, :one)) f;
SELECT f.* FROM pg_temp.change(format($$
	DELETE FROM refundx.journal WHERE account_id = %1$s AND version = 18;
	UPDATE refundx.journal SET version = 1 - version WHERE account_id = %1$s AND version BETWEEN 19 AND 20;
	UPDATE refundx.journal SET version = -version WHERE account_id = %1$s AND version < 0$$, :one)) f;

-- lines that were missing already when they were to be sealed are told, and do not hold up the others
SAVEPOINT s;
SELECT count(refundx.account_credit('SE-1', n, 'SE-' || n)) FROM generate_series(41, 50) n;
DELETE FROM refundx.journal WHERE account_id = :one AND version IN (43, 46, 47);
SELECT refundx.journal_seal();
SELECT * FROM found;
INSERT INTO refundx.journal SELECT account_id, 43, type, NULL, 'forged', 1, 0, -1, available, 0 FROM refundx.journal WHERE (account_id, version) = (:one, 42);
SELECT * FROM found;
ROLLBACK TO s;

-- a line that is dated back
INSERT INTO refundx.journal SELECT account_id, 41, type, NULL, 'forged', 1, 0, -1, available + 1, 0, NULL, at - interval '40 days' FROM refundx.journal WHERE (account_id, version) = (:one, 40);
SELECT refundx.journal_seal();
SELECT before_last, account, version, finding, detail ~ '^it is dated .* but was not there when all that was committed before .* was sealed$' FROM found;
ROLLBACK TO s;

-- seals: changed, removed between and at the end, made anew
SELECT c AS changed, f.* FROM unnest(ARRAY['sealed_at = sealed_at - interval ''1 day''', 'horizon = NULL', 'root = hash', 'previous = root', 'hash = root',
	'leaves = set_byte(leaves, 33, 255 - get_byte(leaves, 33))', 'ranges = set_byte(ranges, 15, 9)', 'lines = lines - 1, leaves = substr(leaves, 33)']) c,
	LATERAL pg_temp.change(format('UPDATE refundx.seal SET %s WHERE seal_no = %s + 1', c, :base)) f;
SELECT f.* FROM pg_temp.change('DELETE FROM refundx.seal WHERE seal_no = 1') f;
SELECT f.* FROM pg_temp.change(format('DELETE FROM refundx.seal WHERE seal_no > %s', :base)) f;
SELECT f.before_last, f.finding, f.detail FROM pg_temp.change(format('DELETE FROM refundx.sealed WHERE account_id = %s AND to_version = 40', :one)) f;
SELECT f.before_last, f.finding, f.detail FROM pg_temp.change(format('INSERT INTO refundx.sealed VALUES (%s, 33, 33, %s + 1)', :one, :base)) f;
SELECT f.before_last, f.finding, f.detail FROM pg_temp.change(format('INSERT INTO refundx.sealed VALUES (%s, 99999, 99999, -1)', :one)) f;

-- a part of it, and what is not there
SELECT count(*) FROM refundx.journal_verify(:base + 1) a, refundx.journal_verify(:base, :base) b;
SELECT pg_temp.fails(format('SELECT refundx.journal_verify(%s)', a)) FROM unnest(ARRAY['0', '3, 2', '1, 0']) a;
SELECT left(pg_temp.fails('SELECT refundx.journal_verify(100000)'), 40);

-- nothing is found any more, so nothing was left behind
SELECT * FROM found;
ROLLBACK;

-- ---- the balance proof ----
BEGIN;
SELECT refundx.account_open('SB-1', 'CNY'), refundx.account_open('SB-4', 'CNY', 4);
SELECT count(refundx.account_credit(a, 10 * n, 'SB-' || n)) FROM unnest(ARRAY['SB-1', 'SB-4']) a, generate_series(1, 6) n;
SELECT refundx.account_debit('SB-1', 25, 'SB-out'), refundx.account_debit('SB-4', 150, 'SB-out');
SELECT * FROM refundx.balance_proof('SB-1', now() - interval '1 day', now() + interval '1 day');
SELECT * FROM refundx.balance_proof('SB-4', now() - interval '1 day', now() + interval '1 day') WHERE slot IS NULL OR what = 'closing';
SELECT * FROM refundx.balance_proof('SB-1', now() + interval '1 day', now() + interval '2 days');
SELECT at AS third FROM refundx.journal JOIN refundx.account USING (account_id) WHERE account_no = 'SB-1' AND version = 3 \gset
SELECT * FROM refundx.balance_proof('SB-1', :'third', now() + interval '1 day');
ALTER TABLE refundx.journal DISABLE TRIGGER USER;
SAVEPOINT s;
UPDATE refundx.journal SET available = available + 1 WHERE version = 7 AND account_id = (SELECT account_id FROM refundx.account WHERE account_no = 'SB-1');
SELECT * FROM refundx.balance_proof('SB-1', :'third', now() + interval '1 day');
ROLLBACK TO s;
DELETE FROM refundx.journal WHERE version = 4 AND account_id = (SELECT account_id FROM refundx.account WHERE account_no = 'SB-1');
SELECT * FROM refundx.balance_proof('SB-1', :'third', now() + interval '1 day');
SELECT pg_temp.fails(format('SELECT * FROM refundx.balance_proof(%s)', a)) FROM unnest(ARRAY['''SB-9'', now(), now()', '''SB-1'', now(), now() - interval ''1 s''', '''SB-1'', NULL, now()']) a;
ROLLBACK;
