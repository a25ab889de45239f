-- Everything that users see says what it is.
BEGIN;
SELECT plan(6);

SELECT is_empty($$
	SELECT p.oid::regprocedure::text FROM pg_proc p
	 WHERE p.pronamespace = 'refundx'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL$$,
	'every function and procedure has a comment');
SELECT is_empty($$
	SELECT c.oid::regclass::text FROM pg_class c
	 WHERE c.relnamespace = 'refundx'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'p')
	   AND obj_description(c.oid, 'pg_class') IS NULL$$,
	'every table and view has a comment');
SELECT is_empty($$
	SELECT t.typname FROM pg_type t JOIN pg_class c ON c.oid = t.typrelid
	 WHERE t.typnamespace = 'refundx'::regnamespace AND c.relkind = 'c'
	   AND obj_description(t.oid, 'pg_type') IS NULL$$,
	'every composite type has a comment');
-- What can fail says with which SQLSTATE; what takes an amount says in which unit.
SELECT is_empty($$
	SELECT p.proname FROM pg_proc p
	 WHERE p.pronamespace = 'refundx'::regnamespace AND 'amount' = ANY (p.proargnames)
	   AND obj_description(p.oid, 'pg_proc') !~ 'minor unit|refund_submit|12\.34'$$,
	'every function with an amount says that it is in minor units');
SELECT is_empty($$
	SELECT p.proname FROM pg_proc p
	 WHERE p.pronamespace = 'refundx'::regnamespace AND p.provolatile = 'v' AND p.prosecdef
	   AND p.proname NOT IN ('recover_timeline', 'blockers')
	   AND obj_description(p.oid, 'pg_proc') !~ 'RX0|rrors'$$,
	'every function that changes something names its errors');
-- COMMENTs are worth nothing if they name errors that do not exist.
SELECT is_empty($$
	SELECT p.proname, m[1] FROM pg_proc p
	 CROSS JOIN LATERAL regexp_matches(obj_description(p.oid, 'pg_proc'), 'RX(\d{3})', 'g') m
	 WHERE p.pronamespace = 'refundx'::regnamespace AND m[1]::int NOT BETWEEN 1 AND 42$$,
	'no comment names an error that does not exist');
SELECT * FROM finish();
ROLLBACK;
