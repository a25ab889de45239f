-- The shape of what is installed.
BEGIN;
SELECT plan(18);

-- Rights that a caller lends to a function end where search_path is his.
SELECT is_empty($$
	SELECT p.oid::regprocedure::text FROM pg_proc p
	 WHERE p.pronamespace = 'refundx'::regnamespace AND p.prosecdef
	   AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false)$$,
	'no SECURITY DEFINER function without a pinned search_path');
SELECT is_empty($$
	SELECT p.oid::regprocedure::text FROM pg_proc p
	 WHERE p.pronamespace = 'refundx'::regnamespace AND p.prokind = 'p'
	   AND (p.prosecdef OR p.proconfig IS NOT NULL)$$,
	'procedures are SECURITY INVOKER without SET: they could not commit otherwise');
SELECT is_empty($$
	SELECT p.oid::regprocedure::text FROM pg_proc p
	 WHERE p.pronamespace = 'refundx'::regnamespace AND p.proparallel <> 'u'$$,
	'nothing runs in parallel workers');
SELECT is_empty($$
	SELECT v.viewname FROM pg_views v JOIN pg_class c ON c.relname = v.viewname AND c.relnamespace = 'refundx'::regnamespace
	 WHERE v.schemaname = 'refundx' AND v.definition ~ 'phone'
	   AND NOT coalesce('security_barrier=true' = ANY (c.reloptions), false)$$,
	'a view that touches a telephone number is a security barrier');
SELECT is_empty($$
	SELECT DISTINCT d.refobjid::regclass::text, d.refobjsubid FROM pg_depend d
	  JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class c ON c.oid = r.ev_class
	 WHERE d.refobjid IN ('refundx.payment_contact'::regclass, 'refundx.payout_contact'::regclass) AND c.relkind = 'v'
	   AND c.relname NOT IN ('notices', 'payments')
	   AND (c.relname, d.refobjsubid) <> ('check_i15', 1)$$,
	'no other view looks at telephone numbers');

-- Dumped: every table and sequence but what belongs to this cluster.
SELECT set_eq($$
	SELECT c.relname FROM pg_extension e, unnest(e.extconfig) x JOIN pg_class c ON c.oid = x WHERE e.extname = 'refundx'$$,
	$$SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'refundx'::regnamespace AND c.relkind IN ('r', 'S')
		 AND c.relname NOT IN ('installation', 'watermark', 'relay', 'stop_cursor', 'seal_cursor')$$,
	'every table and sequence is dumped, but for the installation, the watermark and the relay');
SELECT is_empty($$SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'refundx'::regnamespace AND c.relkind = 'p'$$,
	'no table is partitioned: a restore of such a dump fails');
SELECT is_empty($$SELECT attrelid::regclass::text, attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
	 WHERE c.relnamespace = 'refundx'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
	   AND a.atttypid IN ('regproc'::regtype, 'regprocedure'::regtype, 'regclass'::regtype, 'regoper'::regtype)$$,
	'no column is of a type that pg_upgrade refuses');
SELECT is_empty($$SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'refundx'::regnamespace
	 AND c.relkind = 'r' AND c.relpersistence <> 'p'$$, 'no table is unlogged');

-- Money is never a floating point number, and telephone numbers stand in no CHECK.
SELECT is_empty($$SELECT attrelid::regclass::text, attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
	 WHERE c.relnamespace = 'refundx'::regnamespace AND c.relkind IN ('r', 'v') AND a.attnum > 0 AND NOT a.attisdropped
	   AND a.atttypid IN ('real'::regtype, 'double precision'::regtype, 'money'::regtype)$$,
	'no column is of a floating point type');
SELECT is_empty($$SELECT conname FROM pg_constraint
	 WHERE conrelid IN ('refundx.payment_contact'::regclass, 'refundx.payout_contact'::regclass, 'refundx.payee'::regclass,
						'refundx.payout'::regclass) AND contype = 'c'$$,
	'no table of persons has a CHECK constraint: a violation would print the row');
SELECT is_empty($$
	SELECT DISTINCT c.relname, a.attname FROM pg_depend d
	  JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class c ON c.oid = r.ev_class
	  JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
	 WHERE d.refobjid = 'refundx.payout'::regclass AND a.attname IN ('data_key', 'payee_sealed', 'key_print')$$,
	'no view looks at the seals of payees');
SELECT is_empty($$
	SELECT v.viewname FROM pg_views v JOIN pg_class c ON c.relname = v.viewname AND c.relnamespace = 'refundx'::regnamespace
	 WHERE v.schemaname = 'refundx' AND v.definition ~ 'session_user|SESSION_USER'
	   AND NOT coalesce('security_barrier=true' = ANY (c.reloptions), false)$$,
	'a view that shows each his own is a security barrier');
SELECT is_empty($$SELECT conrelid::regclass::text FROM pg_constraint
	 WHERE connamespace = 'refundx'::regnamespace AND contype = 'f'
	   AND conrelid NOT IN ('refundx.channel'::regclass, 'refundx.notice_template'::regclass,
						'refundx.merchant_pause'::regclass, 'refundx.withdraw_policy'::regclass, 'refundx.failure_policy'::regclass)$$,
	'no foreign key on the way of a refund or a withdrawal');

-- The guards of what is written once fire always, also for a replica.
SELECT is_empty($$
	SELECT t FROM unnest(ARRAY['journal', 'event', 'evidence', 'attempt', 'request', 'audit', 'incident', 'outbox', 'former_number', 'bill_chunk', 'bill_line', 'reconciliation', 'reconciliation_class', 'bill_word', 'seal', 'sealed', 'day_seal']) t
	 WHERE (SELECT count(*) FROM pg_trigger g WHERE g.tgrelid = ('refundx.' || t)::regclass
			   AND g.tgfoid = 'refundx.refuse_change()'::regprocedure AND g.tgenabled = 'A') <> 2$$,
	'append-only tables are guarded against UPDATE, DELETE and TRUNCATE');
SELECT is_empty($$
	SELECT c.relname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
	 WHERE c.relnamespace = 'refundx'::regnamespace AND c.relkind = 'r' AND a.attname = 'xid'
	   AND NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid
						  AND g.tgfoid = 'refundx.stamp_xid()'::regprocedure AND g.tgenabled = 'A')$$,
	'whatever carries an xid8 is stamped with its own transaction');

-- The check's views are all asked by check().
SELECT set_eq($$SELECT v.viewname::text FROM pg_views v WHERE v.schemaname = 'refundx' AND v.viewname LIKE 'check\_%'$$,
	$$SELECT view_name FROM refundx.invariants WHERE view_name IS NOT NULL$$, 'check() asks every one of its views');
-- An application's handler decides nothing that is a person's (those in C are called by 610).
SELECT is_empty($$
	SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
	 WHERE p.pronamespace = 'refundx'::regnamespace AND l.lanname <> 'c' AND p.provolatile = 'v'
	   AND has_function_privilege('refundx_operator', p.oid, 'EXECUTE')
	   AND NOT has_function_privilege('refundx_app', p.oid, 'EXECUTE') AND NOT has_function_privilege('refundx_auditor', p.oid, 'EXECUTE')
	   AND p.prosrc !~ 'not_in_handler|desk_run'$$,
	'every function of operators begins with refundx.not_in_handler()');
SELECT * FROM finish();
ROLLBACK;
