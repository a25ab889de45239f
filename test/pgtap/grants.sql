-- Who may do what: every role against every table, view and function.  What
-- is not listed here is not granted, so a new right has to be written down.
BEGIN;
SELECT plan(29);

CREATE TEMP TABLE may (role text, object text, privilege text);

CREATE FUNCTION pg_temp.allow(role text, privilege text, VARIADIC objects text[]) RETURNS void
LANGUAGE sql AS $$
	INSERT INTO may SELECT role, o, privilege FROM unnest(objects) o
$$;

-- The workers: tables.
SELECT pg_temp.allow('refundx_dispatcher', 'SELECT', 'channel_settings', 'merchant', 'merchant_paused', 'pause', 'cap', 'breaker', 'pace_setting', 'payment', 'instruction', 'payout', 'request',
					 'attempt', 'event', 'evidence', 'installation');
SELECT pg_temp.allow('refundx_dispatcher', 'SELECT some columns', 'account');
SELECT pg_temp.allow('refundx_dispatcher', 'INSERT', 'attempt', 'request', 'event', 'evidence', 'breaker');
SELECT pg_temp.allow('refundx_dispatcher', 'UPDATE', 'breaker');
SELECT pg_temp.allow('refundx_dispatcher', 'UPDATE some columns', 'instruction');
SELECT pg_temp.allow('refundx_listener', 'SELECT', 'channel_settings');
SELECT pg_temp.allow('refundx_listener', 'INSERT', 'evidence', 'callback_count');
SELECT pg_temp.allow('refundx_settler', 'SELECT', 'evidence', 'event', 'instruction', 'payment', 'account', 'journal', 'merchant',
					 'channel', 'channel_settings', 'notice_template', 'external_refund', 'watermark', 'merchant_pause', 'cap_line',
					 'failure_policy', 'failure_override', 'former_number');
SELECT pg_temp.allow('refundx_settler', 'SELECT some columns', 'payment_contact', 'payout_contact', 'payout', 'notice');
SELECT pg_temp.allow('refundx_settler', 'INSERT', 'journal', 'event', 'notice', 'external_refund', 'merchant_pause', 'cap_line', 'former_number');
SELECT pg_temp.allow('refundx_settler', 'UPDATE', 'merchant_pause');
SELECT pg_temp.allow('refundx_settler', 'DELETE', 'merchant_pause');
SELECT pg_temp.allow('refundx_settler', 'UPDATE some columns', 'payment', 'instruction', 'account', 'external_refund');
SELECT pg_temp.allow('refundx_settler', 'SELECT', 'handler', 'handler_run', 'handed');
SELECT pg_temp.allow('refundx_settler', 'INSERT', 'handed');
-- The runner is a settler, in whose transactions an application's functions are called.
INSERT INTO may SELECT 'refundx_runner', object, privilege FROM may WHERE role = 'refundx_settler';
SELECT pg_temp.allow('refundx_runner', 'SELECT', 'guard_lock', 'guard_trigger');
SELECT pg_temp.allow('refundx_runner', 'DELETE', 'handed');
SELECT pg_temp.allow('refundx_runner', 'INSERT', 'handler_run');
SELECT pg_temp.allow('refundx_runner', 'UPDATE some columns', 'handler_run', 'handed');
SELECT pg_temp.allow('refundx_clerk', 'SELECT some columns', 'handler_run');
SELECT pg_temp.allow('refundx_courier', 'SELECT', 'notice', 'notice_provider', 'notice_template', 'payment_contact', 'payout_contact', 'instruction',
					 'payment', 'channel', 'channel_settings', 'merchant', 'installation', 'incident', 'relay', 'event', 'outbox', 'outbox_position', 'webhook', 'webhook_delivery');
SELECT pg_temp.allow('refundx_courier', 'INSERT', 'webhook_delivery');
SELECT pg_temp.allow('refundx_courier', 'UPDATE', 'webhook_delivery');
SELECT pg_temp.allow('refundx_courier', 'UPDATE some columns', 'webhook');
SELECT pg_temp.allow('refundx_clerk', 'SELECT some columns', 'webhook_delivery');
SELECT pg_temp.allow('refundx_clerk', 'DELETE', 'webhook_delivery');
SELECT pg_temp.allow('refundx_courier', 'SELECT some columns', 'evidence', 'payout', 'account');
SELECT pg_temp.allow('refundx_courier', 'INSERT', 'relay', 'outbox', 'outbox_position');
SELECT pg_temp.allow('refundx_courier', 'UPDATE', 'notice');
SELECT pg_temp.allow('refundx_courier', 'UPDATE some columns', 'notice_provider', 'relay', 'outbox_position');
SELECT pg_temp.allow('refundx_courier', 'DELETE', 'payment_contact');
SELECT pg_temp.allow('refundx_clerk', 'SELECT', 'instruction', 'payment', 'notice', 'merchant', 'merchant_paused', 'channel_settings', 'event', 'pause', 'cap', 'cap_sent', 'cap_wait',
					 'evidence', 'attempt', 'callback_count', 'installation', 'watermark');
SELECT pg_temp.allow('refundx_clerk', 'SELECT some columns', 'account', 'payment_contact', 'payout_contact', 'payout', 'cap_line');
SELECT pg_temp.allow('refundx_clerk', 'UPDATE some columns', 'instruction', 'watermark', 'payout');
SELECT pg_temp.allow('refundx_clerk', 'INSERT', 'event');
SELECT pg_temp.allow('refundx_clerk', 'DELETE', 'payment_contact', 'payout_contact', 'callback_count', 'cap_line', 'cap_sent', 'cap_wait');

-- The journal's seals are the clerk's.
SELECT pg_temp.allow('refundx_clerk', 'SELECT', 'journal', 'seal', 'sealed', 'day_seal', 'seal_cursor');
SELECT pg_temp.allow('refundx_clerk', 'INSERT', 'seal', 'sealed', 'day_seal');
SELECT pg_temp.allow('refundx_clerk', 'UPDATE', 'seal_cursor');
SELECT pg_temp.allow(r, 'SELECT', 'seals', 'day_seals') FROM unnest(ARRAY['refundx_operator', 'refundx_auditor']) r;

SELECT pg_temp.allow('refundx_dispatcher', 'SELECT', 'diversion');
SELECT pg_temp.allow('refundx_dispatcher', 'UPDATE some columns', 'diversion');
SELECT pg_temp.allow('refundx_clerk', 'SELECT some columns', 'diversion');
SELECT pg_temp.allow('refundx_clerk', 'UPDATE some columns', 'diversion');

SELECT pg_temp.allow('refundx_dispatcher', 'SELECT', 'recovery');
SELECT pg_temp.allow(r, 'SELECT', 'recoveries', 'recovery_bills', 'checks') FROM unnest(ARRAY['refundx_operator', 'refundx_auditor']) r;
SELECT pg_temp.allow(r, 'SELECT', 'bill') FROM unnest(ARRAY['refundx_dispatcher', 'refundx_clerk']) r;
SELECT pg_temp.allow('refundx_dispatcher', 'UPDATE some columns', 'bill');
SELECT pg_temp.allow('refundx_dispatcher', 'INSERT', 'bill_chunk');

-- People and applications: views.
SELECT pg_temp.allow(r, 'SELECT', 'refunds', 'withdrawals', 'payments', 'accounts', 'locks', 'guards', 'wire_numbers', 'states', 'verdicts')
  FROM unnest(ARRAY['refundx_app', 'refundx_operator', 'refundx_auditor']) r;
SELECT pg_temp.allow(r, 'SELECT', 'outbox', 'webhooks', 'webhook_deliveries') FROM unnest(ARRAY['refundx_operator', 'refundx_auditor']) r;
SELECT pg_temp.allow(r, 'SELECT', 'handlers', 'handler_failures') FROM unnest(ARRAY['refundx_operator', 'refundx_auditor']) r;
SELECT pg_temp.allow(r, 'SELECT', 'inflight', 'unknown', 'journal_lines', 'attempts', 'evidence_log', 'events', 'notices',
					 'channels', 'merchants', 'callbacks', 'external_refunds', 'breaks', 'certainty', 'desk', 'operator_requests', 'audit_log', 'incidents', 'health',
					 'withdrawals_by_state', 'awaiting_approval', 'awaiting_payee', 'in_transit', 'bounced', 'withdraw_policies',
					 'pauses', 'caps', 'merchant_paused', 'breakers', 'paces')
  FROM unnest(ARRAY['refundx_operator', 'refundx_auditor']) r;
SELECT pg_temp.allow(r, 'SELECT', 'bills') FROM unnest(ARRAY['refundx_operator', 'refundx_auditor']) r;
SELECT pg_temp.allow(r, 'SELECT', 'failure_policies', 'invariants') FROM unnest(ARRAY['refundx_operator', 'refundx_auditor']) r;
INSERT INTO may SELECT r, relname, 'SELECT' FROM unnest(ARRAY['refundx_operator', 'refundx_auditor']) r, pg_class
 WHERE relnamespace = 'refundx'::regnamespace AND relname LIKE 'check\_%' AND relkind = 'v';
SELECT pg_temp.allow('pg_monitor', 'SELECT', 'health', 'callbacks', 'merchants', 'states', 'verdicts');

CREATE TEMP VIEW does AS
	SELECT r.rolname::text AS role, c.relname::text AS object,
		   CASE WHEN has_table_privilege(r.oid, c.oid, p) THEN p ELSE p || ' some columns' END AS privilege
	  FROM pg_roles r, pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) p
	 WHERE (r.rolname LIKE 'refundx\_%' OR r.rolname = 'pg_monitor')
	   AND c.relnamespace = 'refundx'::regnamespace AND c.relkind IN ('r', 'v')
	   AND (has_table_privilege(r.oid, c.oid, p)
			OR p IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') AND has_any_column_privilege(r.oid, c.oid, p));

SELECT set_eq(
	format('SELECT object, privilege FROM does WHERE role = %L', r),
	format('SELECT object, privilege FROM may WHERE role = %L', r),
	r || ' has exactly the rights that it needs')
  FROM unnest(ARRAY['refundx_dispatcher', 'refundx_listener', 'refundx_settler', 'refundx_runner', 'refundx_courier', 'refundx_clerk',
					'refundx_app', 'refundx_operator', 'refundx_auditor', 'refundx_delegate', 'pg_monitor']) r;

-- Whom a withdrawal pays is sealed; only the dispatcher, which has to send it, reads the seal.
SELECT is(
	(SELECT array_agg(DISTINCT r.rolname::text) FROM pg_roles r
	  WHERE r.rolname LIKE 'refundx\_%'
		AND (has_column_privilege(r.oid, 'refundx.payout', 'data_key', 'SELECT')
			 OR has_column_privilege(r.oid, 'refundx.payout', 'payee_sealed', 'SELECT'))),
	'{refundx_dispatcher}', 'nobody but the dispatcher reads the seals');
SELECT ok(NOT has_column_privilege('refundx_dispatcher', 'refundx.payout', 'data_key', 'UPDATE') AND
		  has_column_privilege('refundx_clerk', 'refundx.payout', 'data_key', 'UPDATE') AND
		  NOT has_column_privilege('refundx_clerk', 'refundx.payout', 'asked', 'UPDATE'),
	'the clerk erases, and changes nothing else of a withdrawal');

-- Of telephone numbers the settler and the clerk see that there is one.
SELECT ok(NOT has_column_privilege(r, 'refundx.payout_contact', 'phone', 'SELECT'), r || ' cannot read those of withdrawals')
  FROM unnest(ARRAY['refundx_settler', 'refundx_clerk', 'refundx_dispatcher']) r;
SELECT ok(NOT has_column_privilege(r, 'refundx.payment_contact', 'phone', 'SELECT'), r || ' cannot read telephone numbers')
  FROM unnest(ARRAY['refundx_settler', 'refundx_clerk', 'refundx_dispatcher']) r;

-- Functions.
CREATE TEMP VIEW calls AS
	SELECT r.rolname::text AS role, p.proname::text AS function
	  FROM pg_roles r, pg_proc p
	 WHERE (r.rolname LIKE 'refundx\_%' OR r.rolname = 'pg_monitor')
	   AND p.pronamespace = 'refundx'::regnamespace AND has_function_privilege(r.oid, p.oid, 'EXECUTE');
CREATE TEMP TABLE may_call (role text, function text);
INSERT INTO may_call
	SELECT r, f FROM unnest(ARRAY['refundx_dispatcher', 'refundx_listener', 'refundx_settler', 'refundx_runner', 'refundx_courier', 'refundx_clerk']) r,
		   unnest(ARRAY['armed', 'this_installation']) f
	UNION ALL SELECT 'refundx_runner', f FROM unnest(ARRAY['state_is_open', 'payment_covers', 'journal_line_good', 'instruction_whole']) f
	UNION ALL VALUES ('refundx_settler', 'state_is_open'), ('refundx_settler', 'payment_covers'),
		   ('refundx_settler', 'journal_line_good'), ('refundx_settler', 'instruction_whole'),
		   ('refundx_dispatcher', 'instruction_whole'), ('refundx_clerk', 'instruction_whole')
	UNION ALL SELECT 'refundx_operator', f FROM unnest(ARRAY['webhook_add', 'webhook_set', 'webhook_pause', 'webhook_resume', 'webhook_remove',
		   'webhook_redrive', 'webhook_check']) f
	UNION ALL SELECT 'refundx_dispatcher', f FROM unnest(ARRAY['recover_timeline', 'stop_take']) f
	UNION ALL VALUES ('refundx_settler', 'stop_contradictions'), ('refundx_runner', 'stop_contradictions'), ('refundx_clerk', 'stop_check')
	UNION ALL SELECT 'refundx_clerk', f FROM unnest(ARRAY['held_back', 'reconcile']) f
	UNION ALL SELECT 'refundx_operator', f FROM unnest(ARRAY['reconcile', 'bill_expect_fee']) f
	UNION ALL SELECT r, f FROM unnest(ARRAY['refundx_operator', 'refundx_auditor']) r, unnest(ARRAY['held_back', 'cap_text', 'cap_concerns']) f
	UNION ALL
	SELECT r, f FROM unnest(ARRAY['refundx_app', 'refundx_operator']) r,
		   unnest(ARRAY['payment_record', 'refund_submit', 'refund_cancel', 'withdraw_submit', 'withdraw_submit_many',
						'withdraw_cancel', 'withdraw_package', 'callback_ingest', 'account_open', 'account_credit',
						'account_debit', 'guard_add', 'guard_drop', 'refund_now', 'handler_running']) f
	UNION ALL
	SELECT r, f FROM unnest(ARRAY['refundx_app', 'refundx_operator', 'refundx_auditor']) r,
		   unnest(ARRAY['refund_get', 'refund_state', 'refund_timeline', 'refund_explain', 'refund_wait', 'format_amount', 'reads_all',
						'withdraw_get', 'withdraw_state', 'withdraw_timeline', 'withdraw_explain', 'withdraw_wait', 'actor',
						'state_table', 'verdict_table', 'channel_kinds']) f
	UNION ALL
	SELECT r, f FROM unnest(ARRAY['refundx_operator', 'refundx_auditor', 'pg_monitor']) r,
		   unnest(ARRAY['armed', 'this_installation', 'worker_status', 'blockers', 'pause_subject', 'pause_text', 'cap_used']) f
	UNION ALL SELECT 'pg_monitor', f FROM unnest(ARRAY['state_table', 'verdict_table', 'channel_kinds', 'format_amount', 'desk_now']) f
	UNION ALL
	SELECT r, f FROM unnest(ARRAY['refundx_operator', 'refundx_auditor']) r, unnest(ARRAY['check', 'mask_phone', 'desk_evidence', 'desk_call', 'desk_balance', 'desk_contradiction_call', 'callback_inspect', 'failure_defaults', 'failure_policy_of', 'bill_kinds', 'merchant_balance_proof']) f
	UNION ALL
	SELECT r, f FROM unnest(ARRAY['refundx_operator', 'refundx_auditor']) r, unnest(ARRAY['desk_now', 'break_age', 'break_call', 'certainty', 'reconcile_report', 'reconcile_report_html']) f
	UNION ALL SELECT 'refundx_operator', f FROM unnest(ARRAY['reissue', 'failure_policy_set', 'refund_abnormal']) f
	UNION ALL SELECT 'refundx_operator', f FROM unnest(ARRAY['bill_load', 'bill_load_file', 'bill_fetch', 'bill_fetch_set']) f
	UNION ALL SELECT r, 'bill_progress' FROM unnest(ARRAY['refundx_operator', 'refundx_auditor']) r
	UNION ALL SELECT 'refundx_clerk', f FROM unnest(ARRAY['bills_make_due', 'bill_read', 'bills_reconcile']) f
	UNION ALL
	SELECT r, f FROM unnest(ARRAY['refundx_app', 'refundx_operator']) r,
		   unnest(ARRAY['refund_continue', 'withdraw_continue', 'failure_policy_for']) f
	UNION ALL
	SELECT 'refundx_operator', f FROM unnest(ARRAY['break_accept', 'break_resolve', 'break_ignore', 'break_assign', 'break_reopen']) f
	UNION ALL
	SELECT r, 'handler_problem' FROM unnest(ARRAY['refundx_operator', 'refundx_auditor']) r
	UNION ALL
	SELECT 'refundx_operator', f FROM unnest(ARRAY['handler_add', 'handler_set', 'handler_pause', 'handler_resume', 'handler_remove', 'handler_retry', 'handler_waive']) f
	UNION ALL
	SELECT 'refundx_operator', f
	  FROM unnest(ARRAY['refund_adopt', 'refund_allow', 'approve', 'reject', 'withdraw_policy_set', 'forget_payee', 'guard_lift', 'hold', 'release', 'query_now', 'retry', 'callback_replay', 'notice_resend', 'external_ignore', 'resolve', 'suspense_settle', 'confirm', 'decline', 'second_person_set', 'pause', 'resume', 'cap_set', 'cap_remove', 'pace_set', 'account_close', 'account_reopen', 'channel_add', 'channel_set', 'channel_check', 'notice_provider_add',
						'notice_provider_set', 'notice_provider_check', 'notice_template_set', 'arm']) f;
-- Recovery, and the clerk's checks.
INSERT INTO may_call
	VALUES ('refundx_dispatcher', 'recovery_ask'), ('refundx_dispatcher', 'recovery_asks'), ('refundx_clerk', 'recovery_step'),
		   ('refundx_clerk', 'check_begin'), ('refundx_clerk', 'check_run'),
		   ('refundx_operator', 'check_soon'), ('refundx_operator', 'recover'), ('refundx_operator', 'recover_done');
INSERT INTO may_call
	SELECT r, f FROM unnest(ARRAY['refundx_operator', 'refundx_auditor']) r, unnest(ARRAY['personal_words', 'recovery_report', 'bill_day']) f;
-- Seals: the clerk seals by itself; people seal, verify and prove.
INSERT INTO may_call
	SELECT r, f FROM unnest(ARRAY['refundx_operator', 'refundx_auditor']) r, unnest(ARRAY['journal_verify', 'seal_findings', 'seal_check', 'journal_proof', 'balance_proof']) f
	UNION ALL SELECT 'refundx_operator', f FROM unnest(ARRAY['journal_seal', 'seal_day']) f;
SELECT set_eq('SELECT role, function FROM calls', 'SELECT role, function FROM may_call',
	'every role can call exactly what it is meant to');

-- PUBLIC has nothing at all.
SELECT is_empty($$
	SELECT what, name, acl::text FROM (
		SELECT 'relation' AS what, relname::text AS name, unnest(relacl) AS acl FROM pg_class WHERE relnamespace = 'refundx'::regnamespace
		UNION ALL SELECT 'function', proname::text, unnest(coalesce(proacl, acldefault('f', proowner))) FROM pg_proc
			WHERE pronamespace = 'refundx'::regnamespace
		UNION ALL SELECT 'schema', nspname::text, unnest(nspacl) FROM pg_namespace WHERE nspname = 'refundx'
		UNION ALL SELECT 'type', typname::text, unnest(typacl) FROM pg_type
			WHERE typnamespace = 'refundx'::regnamespace AND typname IN ('refund', 'withdrawal', 'withdrawal_order')) a
	 WHERE acl::text LIKE '=%'$$, 'nothing is granted to PUBLIC');
-- The workers' roles let nobody in.
SELECT is_empty($$
	SELECT rolname FROM pg_authid
	 WHERE rolname IN ('refundx_dispatcher', 'refundx_listener', 'refundx_settler', 'refundx_runner', 'refundx_courier', 'refundx_clerk')
	   AND (rolconnlimit <> 0 OR rolpassword IS NOT NULL OR rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)$$,
	'the workers'' roles have no password, no connections and no powers');
-- A stranger's own attempt, for the one that strangers reach.
-- Who may say for whom he acts is nobody by himself, and has no other right here.
SELECT is_empty($$
	SELECT m.member::regrole::text FROM pg_auth_members m
	 WHERE m.roleid = 'refundx_delegate'::regrole AND m.member::regrole::text LIKE 'refundx\_%'$$,
	'refundx_delegate is granted to no other role of refundx');
SELECT is((SELECT rolcanlogin FROM pg_roles WHERE rolname = 'refundx_delegate'), false, 'and nobody logs in as it');
SET LOCAL ROLE refundx_listener;
SELECT throws_ok('SELECT * FROM refundx.journal', '42501', NULL, 'the listener cannot read the journal');
RESET ROLE;
-- A view's functions are called with the reader's rights.
SET LOCAL ROLE refundx_auditor;
SELECT lives_ok('SELECT * FROM refundx.desk', 'an auditor reads the desk');
SELECT lives_ok('SELECT * FROM refundx.operator_requests', 'and what waits for a second person');
SET LOCAL ROLE refundx_operator;
SELECT lives_ok('SELECT * FROM refundx.desk', 'an operator reads the desk');
RESET ROLE;
-- A view is read with its owner's rights, but the functions in it are called with the reader's.
CREATE FUNCTION pg_temp.unreadable() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	d record;
BEGIN
	FOR d IN SELECT * FROM does WHERE privilege = 'SELECT' AND role IN ('refundx_app', 'refundx_operator', 'refundx_auditor', 'pg_monitor') LOOP
		BEGIN
			EXECUTE format('SET LOCAL ROLE %I', d.role);
			EXECUTE format('SELECT * FROM refundx.%I LIMIT 0', d.object);
		EXCEPTION WHEN insufficient_privilege THEN
			RETURN NEXT d.role || ' cannot read ' || d.object || ': ' || SQLERRM;
		END;
		RESET ROLE;
	END LOOP;
END $$;
SELECT is_empty('SELECT * FROM pg_temp.unreadable()', 'who may read a view can read it');
SELECT * FROM finish();
ROLLBACK;
