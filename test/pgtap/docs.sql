-- What is documented is what is there.  Run from the checkout's directory.
\set states `cat doc/states.md`
\set make_states `cat doc/states.sql`
\set invariants `cat doc/invariants.md`
\set make_invariants `cat doc/invariants.sql`
\set errors `cat doc/errors.md`
\set errors_h `cat src/base/errors.h`
BEGIN;
SELECT plan(6);

SELECT is(:'states', (:make_states), 'doc/states.md is made from the state table');
SELECT is(:'invariants', (:make_invariants), 'doc/invariants.md is made from refundx.invariants');

CREATE TEMP VIEW in_code AS
	SELECT 'RX' || m[1] || m[2] || m[3] AS code
	  FROM regexp_matches(:'errors_h', $$RX_SQLSTATE\('(\d)', '(\d)', '(\d)'\)$$, 'g') m;
CREATE TEMP VIEW in_doc AS
	SELECT m[1] AS code FROM regexp_matches(:'errors', '\| `(RX\d{3})` \|', 'g') m;
SELECT cmp_ok((SELECT count(*) FROM in_code), '>', 10::bigint, 'errors.h was read');
SELECT bag_eq('SELECT code FROM in_code', 'SELECT code FROM in_doc', 'doc/errors.md lists every error, once');

-- Its column "raised by" against the functions' own comments, both ways.
CREATE TEMP VIEW raised AS
	SELECT m[1] AS code, p.proname::text AS function
	  FROM pg_proc p, regexp_matches(obj_description(p.oid, 'pg_proc'), '(RX\d{3})', 'g') m
	 WHERE p.pronamespace = 'refundx'::regnamespace AND p.proname <> 'refuse_change';
CREATE TEMP VIEW documented AS
	SELECT r[1] AS code, f[1] AS function
	  FROM regexp_matches(:'errors', '^\| `(RX\d{3})` \| [^|]* \| ([^|]*) \|', 'gn') r,
		   regexp_matches(r[2], '`([a-z_*]+)`', 'g') f;
SELECT is_empty($$
	SELECT d.code, d.function FROM documented d
	 WHERE NOT EXISTS (SELECT FROM raised r WHERE r.code = d.code AND r.function LIKE replace(d.function, '*', '%'))
	   AND NOT (d.function = 'refund_adopt' AND EXISTS (SELECT FROM raised r WHERE r.code = d.code AND r.function = 'refund_submit'))
	   AND NOT (d.function = 'refund_submit' AND EXISTS (SELECT FROM raised r WHERE r.code = d.code AND r.function = 'payment_record'))$$,
	'each function that doc/errors.md names says so in its comment');
SELECT is_empty($$
	SELECT r.code, r.function FROM raised r
	 WHERE NOT EXISTS (SELECT FROM documented d WHERE d.code = r.code AND r.function LIKE replace(d.function, '*', '%'))
	   AND r.code NOT IN ('RX008', 'RX014')$$,
	'and each error in a comment is in doc/errors.md');
SELECT * FROM finish();
ROLLBACK;
