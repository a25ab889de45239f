/*
 * Health: one row for each worker, and one for each thing that can be in the
 * way of all refunds and withdrawals.
 */

/*
 * Sessions and prepared transactions that hold rows of ours.  The settler
 * passes over what others have locked, so nobody is seen to wait: who holds a
 * row is read from its xmax, and from the lock that each transaction holds on
 * its own number.  SECURITY DEFINER because others' sessions are shown.
 */
CREATE FUNCTION refundx.blockers(
	OUT pid int, OUT prepared text, OUT application text, OUT session_state text,
	OUT since timestamptz, OUT holds text, OUT waiting bigint)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	WITH waiting AS (
		-- the newest few thousand: an old one that was overlooked is check()'s
		SELECT e.evidence_id, i.instruction_id, i.payment_id, i.account_id
		  FROM (SELECT * FROM refundx.evidence ORDER BY evidence_id DESC LIMIT 5000) e
		  JOIN refundx.instruction i ON i.merchant_id = e.merchant_id AND i.wire_no = e.wire_no AND i.kind = e.about
		 WHERE NOT EXISTS (SELECT FROM refundx.event x WHERE x.evidence_id = e.evidence_id)
	), needed AS (
		SELECT p.xmax AS holder, 'payment ' || p.payment_no AS row, count(*) AS waiting
		  FROM waiting w JOIN refundx.payment p USING (payment_id) GROUP BY 1, 2
		UNION ALL
		SELECT i.xmax, i.kind || ' ' || i.instruction_no, count(*)
		  FROM waiting w JOIN refundx.instruction i USING (instruction_id) GROUP BY 1, 2
		UNION ALL
		SELECT a.xmax, 'account ' || n.name, count(*)
		  FROM waiting w
		  JOIN refundx.account a USING (account_id)
		  JOIN refundx.account_name n USING (account_id) GROUP BY 1, 2
	), holders AS (
		SELECT l.pid, l.virtualtransaction, min(n.row) AS holds, sum(n.waiting)::bigint AS waiting
		  FROM needed n
		  JOIN pg_catalog.pg_locks l
			ON l.locktype = 'transactionid' AND l.transactionid = n.holder AND l.granted
		   AND l.mode = 'ExclusiveLock'
		 GROUP BY 1, 2
	), idle AS (
		-- in a transaction that has written or locked here, and doing nothing
		SELECT DISTINCT l.pid, l.virtualtransaction
		  FROM pg_catalog.pg_locks l
		  LEFT JOIN pg_catalog.pg_stat_activity s ON s.pid = l.pid
		 WHERE l.locktype = 'relation' AND l.granted
		   AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
		   AND l.relation IN ('refundx.payment'::regclass, 'refundx.instruction'::regclass, 'refundx.account'::regclass, 'refundx.pause'::regclass)
		   AND l.mode IN ('RowShareLock', 'RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
		   AND (l.pid IS NULL
				OR s.state LIKE 'idle in transaction%' AND s.state_change < clock_timestamp() - interval '10 s')
	)
	SELECT b.pid, x.gid, s.application_name, coalesce(s.state, 'prepared'),
		   coalesce(s.xact_start, x.prepared),
		   coalesce(h.holds, 'rows of payments, refunds, withdrawals or accounts'), coalesce(h.waiting, 0)
	  FROM (SELECT pid, virtualtransaction FROM holders UNION SELECT pid, virtualtransaction FROM idle) b
	  LEFT JOIN holders h ON h.virtualtransaction = b.virtualtransaction AND h.pid IS NOT DISTINCT FROM b.pid
	  LEFT JOIN pg_catalog.pg_stat_activity s ON s.pid = b.pid
	  LEFT JOIN pg_catalog.pg_prepared_xacts x
		ON b.pid IS NULL AND EXISTS (
			SELECT FROM pg_catalog.pg_locks l
			 WHERE l.pid IS NULL AND l.virtualtransaction = b.virtualtransaction
			   AND l.locktype = 'transactionid' AND l.transactionid = x.transaction)
	 WHERE coalesce(s.backend_type, '') NOT IN ('refundx settler', 'refundx runner') AND b.pid IS DISTINCT FROM pg_backend_pid()
$$;
COMMENT ON FUNCTION refundx.blockers() IS
'Sessions and prepared transactions that hold rows which evidence waits for (waiting: how many pieces), or have been idle for ten seconds in a transaction that has rows of refundx locked';

CREATE VIEW refundx.health AS
	SELECT w.kind AS what,
		   CASE WHEN w.problem IS NOT NULL OR w.state NOT IN ('up', 'idle', 'starting', 'held') THEN 'error'
				WHEN w.state = 'held' OR w.behind > interval '1 min' THEN 'warning'
				ELSE 'ok' END AS level,
		   w.pid, w.since, w.behind, w.backlog,
		   concat_ws('; ', w.state, w.doing, 'port ' || w.port,
					 CASE WHEN w.restarts > 0 THEN w.restarts || ' restarts' END, w.problem) AS finding
	  FROM refundx.worker_status() w WHERE w.database = current_database()
	UNION ALL
	SELECT 'workers', 'error', NULL, NULL, NULL, NULL,
		   'this database is not named in refundx.databases: nothing is sent or settled here'
	 WHERE NOT EXISTS (SELECT FROM refundx.worker_status() w WHERE w.database = current_database())
	UNION ALL
	SELECT 'armed', CASE WHEN refundx.armed() THEN 'ok' ELSE 'error' END, NULL, n.armed_at, NULL, NULL,
		   CASE WHEN refundx.armed() THEN 'armed for this server: ' || n.reason
				ELSE 'not armed for this server, so nothing is sent: see refundx.arm()' END
	  FROM (VALUES (1)) one LEFT JOIN refundx.installation n ON true
	UNION ALL
	SELECT 'dispatch', CASE WHEN current_setting('refundx.dispatch')::boolean THEN 'ok' ELSE 'warning' END,
		   NULL, NULL, NULL, NULL,
		   CASE WHEN current_setting('refundx.dispatch')::boolean THEN 'on' ELSE 'refundx.dispatch is off: nothing is sent' END
	UNION ALL
	SELECT 'evidence', CASE WHEN min(e.received_at) < clock_timestamp() - interval '1 min' THEN 'warning' ELSE 'ok' END,
		   NULL, min(e.received_at), clock_timestamp() - min(e.received_at), count(*),
		   CASE WHEN count(*) = 0 THEN 'all of it is settled' ELSE 'waits to be settled' END
	  FROM (SELECT * FROM refundx.evidence ORDER BY evidence_id DESC LIMIT 5000) e
	 WHERE NOT EXISTS (SELECT FROM refundx.event x WHERE x.evidence_id = e.evidence_id)
	UNION ALL
	SELECT 'blocker', CASE WHEN b.waiting > 0 THEN 'error' ELSE 'warning' END, b.pid, b.since,
		   clock_timestamp() - b.since, b.waiting,
		   concat_ws(' ', coalesce('prepared transaction "' || b.prepared || '"',
								   'session "' || coalesce(b.application, '') || '", ' || b.session_state),
					 'holds', b.holds)
	  FROM refundx.blockers() b
	UNION ALL
	SELECT 'merchant', 'error', NULL, p.since, clock_timestamp() - p.since, NULL,
		   format('%ss of merchant %s are paused (%s): %s', p.about, m.merchant_no, p.paused, p.reason)
	  FROM refundx.merchant_paused p JOIN refundx.merchant m USING (merchant_id)
	UNION ALL
	SELECT 'pause', 'error', NULL, p.since, clock_timestamp() - p.since, NULL, refundx.pause_text(p)
	  FROM refundx.pause p WHERE p.scope <> 'merchant'
	UNION ALL
	SELECT 'breaker', 'error', NULL, b.opened_at, clock_timestamp() - b.opened_at, NULL,
		   CASE b.sign WHEN 'silence' THEN format('merchant %s %s does not answer', b.kind, b.merchant_no)
					   ELSE format('%s calls of %ss of merchant %s %s are answered with errors (%s)', b.call, b.about, b.kind, b.merchant_no,
								   coalesce(b.last_code, 'no code')) END
		   || format('; one at a time tries, next at %s', b.probe_at)
	  FROM refundx.breakers b WHERE b.open
	UNION ALL
	SELECT 'cap', CASE c.level WHEN 'full' THEN 'error' ELSE 'warning' END, NULL, NULL, NULL, c.waiting,
		   format('%s: %s were sent within %s%s', concat_ws(' ', c.scope, c.subject),
				  concat_ws(', ', CASE WHEN c.max_amount IS NOT NULL
									   THEN format('%s of at most %s %s', c.used_amount_text, c.max_amount_text, c.currency) END,
							c.used_number || ' of at most ' || c.max_number),
				  c.within,
				  CASE c.level WHEN 'full' THEN '; what is over that waits for room: see refundx.caps' ELSE '' END)
	  FROM refundx.caps c WHERE c.level <> 'ok'
	UNION ALL
	SELECT 'handlers', CASE WHEN count(*) FILTER (WHERE r.state = 'with_person' OR r.settlement_waits) > 0 THEN 'error' ELSE 'warning' END,
		   NULL, min(r.first_failed_at), NULL, count(*),
		   format('calls of handlers have failed or wait, %s of them for a person, %s of them settlements: see refundx.handler_failures',
				  count(*) FILTER (WHERE r.state = 'with_person'), count(*) FILTER (WHERE r.settlement_waits))
	  FROM refundx.handler_failures r HAVING count(*) > 0
	UNION ALL
	SELECT 'checks', CASE WHEN count(*) FILTER (WHERE c.findings > 0) > 0 THEN 'error'
						  WHEN count(*) FILTER (WHERE c.error IS NOT NULL AND c.took IS NULL AND c.ran_at < refundx.desk_now() - interval '1 hour'
												OR c.ran_at < refundx.desk_now() - interval '3 days') > 0 THEN 'warning' ELSE 'ok' END,
		   NULL, min(coalesce(c.found_at, c.ran_at)), NULL, NULL,
		   coalesce('broken: ' || string_agg(c.invariant, ', ' ORDER BY c.invariant) FILTER (WHERE c.findings > 0),
					'could not be checked, or not for days: ' || string_agg(c.invariant, ', ' ORDER BY c.invariant)
						FILTER (WHERE c.error IS NOT NULL AND c.took IS NULL AND c.ran_at < refundx.desk_now() - interval '1 hour'
								OR c.ran_at < refundx.desk_now() - interval '3 days'),
					'no invariant is broken, of those that the clerk has checked') || ': see refundx.checks'
	  FROM refundx.check_result c
	 WHERE current_setting('refundx.background_checks')::boolean HAVING count(*) > 0
	UNION ALL
	SELECT 'recovery', 'warning', NULL, r.began_at, NULL, NULL,
		   format('recovery %s (%s): %s', r.recovery_id, r.reason,
				  CASE r.state WHEN 'asking' THEN 'what was open is asked about before it is sent'
							   WHEN 'books' THEN 'what is submitted is asked about before it is sent, until the bills of the gap are in'
							   ELSE 'a person has to read what it found' END || ': see refundx.recoveries')
	  FROM refundx.recovery r WHERE r.done_at IS NULL
	UNION ALL
	SELECT 'seals', h.level, NULL, h.since, h.behind, NULL, h.finding FROM refundx.seal_health h
	UNION ALL
	SELECT 'overdue', CASE WHEN count(*) = 0 THEN 'ok' ELSE 'warning' END, NULL, min(i.due_at),
		   clock_timestamp() - min(i.due_at), count(*),
		   CASE WHEN count(*) = 0 THEN 'nothing is overdue' ELSE 'refunds or withdrawals were due more than 5 minutes ago' END
	  FROM refundx.instruction i
	 WHERE i.is_open AND i.due_at < clock_timestamp() - interval '5 min'
	UNION ALL
	SELECT 'with person', CASE WHEN count(*) = 0 THEN 'ok' ELSE 'warning' END, NULL, min(i.person_since),
		   NULL, count(*),
		   CASE WHEN count(*) = 0 THEN 'no refund and no withdrawal' ELSE 'refunds or withdrawals wait for a person: see refundx.desk' END
	  FROM refundx.instruction i WHERE i.person_since IS NOT NULL
	UNION ALL
	SELECT 'breaks', CASE WHEN count(*) = 0 THEN 'ok' WHEN min(b.opened_at) < refundx.desk_now() - interval '4 days' THEN 'error' ELSE 'warning' END,
		   NULL, min(b.opened_at), refundx.desk_now() - min(b.opened_at), count(*),
		   CASE WHEN count(*) = 0 THEN 'our books and the channels'' agree'
				ELSE format('breaks between our books and the channels'', %s of them nobody''s: see refundx.breaks', count(*) FILTER (WHERE b.assigned_to IS NULL)) END
	  FROM refundx.break b WHERE b.closed_at IS NULL
	UNION ALL
	SELECT 'webhook', CASE WHEN w.paused IS NOT NULL OR w.failing_since < clock_timestamp() - interval '1 hour' THEN 'error' ELSE 'warning' END,
		   NULL, coalesce(w.paused_since, w.failing_since), clock_timestamp() - d.oldest, NULL,
		   format('webhook %s %s; %s', w.name, CASE WHEN w.paused IS NOT NULL THEN 'is paused: ' || w.paused_reason ELSE 'fails: ' || w.last_error END,
				  CASE WHEN d.oldest IS NULL THEN 'nothing waits for it' ELSE 'events wait for it' END)
	  FROM refundx.webhook w
	 CROSS JOIN LATERAL (SELECT min(q.created_at) AS oldest FROM refundx.webhook_delivery q
						  WHERE q.webhook_id = w.webhook_id AND q.state = 'waiting') d
	 WHERE w.removed_at IS NULL AND (w.paused IS NOT NULL OR w.failing_since IS NOT NULL)
	UNION ALL
	SELECT 'bill', CASE WHEN b.state = 'with_person' THEN 'error' ELSE 'warning' END, NULL,
		   coalesce(b.person_since, b.failing_since, b.fetched_at, b.due_at), NULL, NULL,
		   format('bill "%s" of channel %s for %s: %s', b.kind, c.name, b.day,
				  coalesce(b.person_reason, CASE WHEN b.state = 'fetched' THEN 'fetched, and not read yet' END,
						   'overdue' || coalesce(', ' || b.error, '')))
	  FROM refundx.bill b JOIN refundx.channel c USING (channel_id)
	 WHERE b.state = 'with_person'
		OR b.state = 'fetched' AND b.fetched_at < clock_timestamp() + current_setting('refundx.clock_offset')::interval - interval '10 min'
		OR b.state IN ('due', 'asked')
	   AND (b.failing_since < clock_timestamp() + current_setting('refundx.clock_offset')::interval - interval '1 hour'
			OR b.failing_since IS NULL AND b.tries = 0 AND b.due_at < clock_timestamp() + current_setting('refundx.clock_offset')::interval - interval '1 hour');
COMMENT ON VIEW refundx.health IS 'Is everything working: one row for each worker of this database, and for each thing that can be in the way; level: ok, warning, error';
COMMENT ON COLUMN refundx.health.behind IS 'How long the oldest work has been waiting';
COMMENT ON COLUMN refundx.health.backlog IS 'How much work is waiting';
