/*
 * Recovery: what operators call, and what the clerk does about one that is under
 * way.  money/recover.c says what it is.
 */

/*
 * Up to when this database knows what happened.  After a restore to a point in time, or
 * a promotion, the server itself says what it replayed last.  After a dump it is
 * the newest that the dump brought, and not what has come in since.  By hand
 * nothing says it: at least a day.
 */
CREATE FUNCTION refundx.recovery_known_to(cause text, at timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE $1 WHEN 'timeline' THEN coalesce(pg_last_xact_replay_timestamp(), n.newest)
				   WHEN 'arm' THEN coalesce(n.brought, n.newest)
				   ELSE least(n.newest, $2 - interval '1 day') END
	  FROM (SELECT max(v.at) AS newest, max(v.at) FILTER (WHERE v.at < (SELECT r.began_at FROM refundx.relay r)) AS brought
			  FROM ((SELECT x.at FROM refundx.event x ORDER BY x.xid DESC, x.seq DESC LIMIT 5000)
					UNION ALL (SELECT e.received_at FROM refundx.evidence e ORDER BY e.evidence_id DESC LIMIT 5000)) v) n
$$;
COMMENT ON FUNCTION refundx.recovery_known_to(text, timestamptz) IS 'For a recovery: up to when this database knows what happened; null: nothing ever did';

CREATE FUNCTION refundx.recovery_ask(instructions bigint[]) RETURNS bigint
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_recovery_ask';
COMMENT ON FUNCTION refundx.recovery_ask(bigint[]) IS
'For the dispatcher: these were to be sent the first time, and a recovery is under way, so they are asked about first; returns how many. No errors of its own';

CREATE FUNCTION refundx.recover(reason text, since timestamptz DEFAULT NULL) RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_recover';
COMMENT ON FUNCTION refundx.recover(text, timestamptz) IS
'Does by hand what a new timeline does by itself: everything open is asked about before it is sent, what is submitted from now on too, until the bills of the gap (from since to now) are in; messages that were pending go to a person. since: up to when this database knows what happened; without it at least a day ago. Returns the recovery''s id: see refundx.recoveries. Kept in the audit log with the reason.
Errors: RX017 the database is not armed (arm() does the same), 22023 no reason, or since is not in the past, RX009 library not preloaded, RX026 inside a handler.';

CREATE FUNCTION refundx.recover_done(reason text) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	id bigint;
	early boolean;
BEGIN
	PERFORM refundx.not_in_handler('recover_done');
	IF coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	END IF;
	SELECT r.recovery_id, r.state IN ('asking', 'books') INTO id, early
	  FROM refundx.recovery r WHERE r.done_at IS NULL ORDER BY r.recovery_id DESC LIMIT 1 FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'no recovery is under way, and none has to be read' USING ERRCODE = 'RX041',
			HINT = 'See refundx.recoveries; refundx.recover(reason) begins one.';
	END IF;
	UPDATE refundx.recovery r
	   SET state = 'done', end_seq = coalesce(r.end_seq, (SELECT last_value FROM refundx.event_seq_seq)), done_at = refundx.desk_now(), done_by = refundx.desk_person(), done_reason = recover_done.reason,
		   report = CASE WHEN early THEN refundx.recovery_report(r.recovery_id) ELSE r.report END
	 WHERE r.done_at IS NULL AND r.recovery_id <= id;
	INSERT INTO refundx.audit (action, subject, reason, detail)
	VALUES ('recover_done', 'recovery ' || id, reason, jsonb_build_object('early', early));
	PERFORM refundx.desk_wake();
	RETURN id;
END
$$;
COMMENT ON FUNCTION refundx.recover_done(text) IS
'Says that a recovery''s report has been read; of one that is still under way, that its bills are not waited for: what is submitted from now on is sent without being asked about first. What has been asked about waits for its own answer all the same. Returns its id. Kept in the audit log with the reason.
Errors: RX041 there is none, 22023 no reason, RX026 inside a handler.';

/*
 * The bills of a gap: of each kind that covers what the merchant makes, the days of
 * the gap, and so many more as a line may stand later than its own day.
 */
CREATE VIEW refundx.recovery_bills AS
	SELECT r.recovery_id, m.merchant_id, m.kind AS channel_kind, m.merchant_no, k.kind, d.day::date AS day,
		   CASE WHEN b.bill_id IS NULL THEN 'to come' WHEN b.state = 'loaded' AND b.reconciled_at IS NULL THEN 'to be reconciled'
				ELSE b.state END AS state,
		   coalesce(b.state = 'empty' OR b.state = 'loaded' AND b.reconciled_at IS NOT NULL, false) AS is_in, k.fetchable
	  FROM refundx.recovery r
	 CROSS JOIN refundx.merchant m
	  JOIN refundx.bill_kinds() k ON k.channel_kind = m.kind AND (k.has_refunds OR k.has_transfers)
	  JOIN refundx.bill_plan p ON p.merchant_id = m.merchant_id AND p.kind = k.kind AND p.first_day IS NOT NULL
	 CROSS JOIN LATERAL (
		SELECT refundx.bill_day(r.gap_from, k.utc_offset) AS first_day,
			   refundx.bill_day(r.gap_to, k.utc_offset) + CASE WHEN k.by_acceptance THEN 0 ELSE k.delay_days END AS last_day) g
	 -- a restore to long ago: what the channel has forgotten cannot be waited for
	 CROSS JOIN LATERAL generate_series(greatest(g.first_day, g.last_day - k.max_age_days)::timestamp, g.last_day::timestamp, '1 day') d(day)
	  LEFT JOIN LATERAL (
		SELECT * FROM refundx.bill b
		 WHERE b.merchant_id = m.merchant_id AND b.kind = k.kind AND b.day = d.day::date AND b.state <> 'superseded'
		 ORDER BY b.again LIMIT 1) b ON true;
COMMENT ON VIEW refundx.recovery_bills IS 'Which bills tell what was sent in a recovery''s gap, and whether they are in';
COMMENT ON COLUMN refundx.recovery_bills.state IS 'to come: the day is not over, or it is not asked for yet; to be reconciled; otherwise the bill''s';
COMMENT ON COLUMN refundx.recovery_bills.is_in IS 'It is loaded and reconciled, or the channel says that there was no business';
COMMENT ON COLUMN refundx.recovery_bills.fetchable IS 'False: it has to be loaded by hand';

-- What a recovery found, in a few sentences.
CREATE FUNCTION refundx.recovery_report(recovery bigint) RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT concat_ws(' ',
			format('What happened from %s to %s may be missing here.', to_char(r.gap_from, 'YYYY-MM-DD HH24:MI:SSOF'), to_char(r.gap_to, 'YYYY-MM-DD HH24:MI:SSOF')),
			CASE WHEN r.asked = 0 THEN 'Nothing was open.'
				 ELSE format('%s refunds and withdrawals were open: %s.', r.asked, concat_ws(', ', f.words, nullif(f.waiting, 0) || ' have not been answered')) END,
			CASE WHEN s.n > 0 THEN format('%s were submitted since, and asked about before they were sent: %s.', s.n, s.words) END,
			CASE WHEN x.n > 0 THEN format('%s numbers that are not known here were paid at the channels: see refundx.external_refunds and refundx.breaks.', x.n) END,
			CASE WHEN b.n > 0 THEN format('%s breaks of the gap''s days are open: %s.', b.n, b.words) END,
			CASE WHEN r.notices > 0 THEN format('%s messages that may have been sent are with a person.', r.notices) END,
			CASE WHEN w.missing > 0 THEN format('%s of %s bills of the gap are not in yet.', w.missing, w.n) END)
	  FROM refundx.recovery r
	 CROSS JOIN LATERAL (
		SELECT string_agg(v.n || ' ' || v.found, ', ' ORDER BY v.found) FILTER (WHERE v.found IS NOT NULL) AS words,
			   coalesce(sum(v.n) FILTER (WHERE v.found IS NULL), 0) AS waiting
		  FROM (SELECT a.found, count(*) AS n FROM refundx.recovery_asked a
				 WHERE a.recovery_id = r.recovery_id AND NOT a.submitted_since GROUP BY 1) v) f
	 CROSS JOIN LATERAL (
		SELECT coalesce(sum(v.n), 0) AS n, string_agg(v.n || ' ' || coalesce(v.found, 'not answered yet'), ', ' ORDER BY v.found) AS words
		  FROM (SELECT a.found, count(*) AS n FROM refundx.recovery_asked a
				 WHERE a.recovery_id = r.recovery_id AND a.submitted_since GROUP BY 1) v) s
	 CROSS JOIN LATERAL (SELECT count(*) AS n FROM refundx.external_refund e WHERE e.seen_at >= r.began_at) x
	 CROSS JOIN LATERAL (
		SELECT coalesce(sum(v.n), 0) AS n, string_agg(v.n || ' ' || v.class, ', ' ORDER BY v.class) AS words
		  FROM (SELECT k.class, count(*) AS n FROM refundx.break k
				 WHERE k.closed_at IS NULL AND k.opened_at >= r.began_at AND k.day >= (r.gap_from - interval '1 day')::date GROUP BY 1) v) b
	 CROSS JOIN LATERAL (SELECT count(*) AS n, count(*) FILTER (WHERE NOT v.is_in) AS missing
						   FROM refundx.recovery_bills v WHERE v.recovery_id = r.recovery_id) w
	 WHERE r.recovery_id = $1
$$;
COMMENT ON FUNCTION refundx.recovery_report(bigint) IS 'What a recovery has found up to now, in sentences; null: there is none';

/*
 * What the channels have said of those that were asked about.  The first step after
 * the question is the answer; of what had been accepted before, that an answer came.
 */
CREATE FUNCTION refundx.recovery_answers(recovery bigint, at timestamptz) RETURNS void
LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	UPDATE refundx.recovery_asked a SET answered_at = $2, found = f.found
	  FROM (SELECT a.instruction_id,
				   CASE WHEN m.to_state IN ('queued', 'awaiting_approval') THEN 'not known there'
						WHEN m.to_state = 'succeeded' THEN 'paid'
						WHEN m.to_state IN ('accepted', 'abnormal') THEN 'under way'
						WHEN m.to_state = 'returned' THEN 'came back'
						WHEN m.to_state = 'canceled' THEN 'canceled here'
						WHEN m.to_state IS NOT NULL THEN 'ended unpaid'
						WHEN q.answered AND i.person_since IS NOT NULL THEN 'with a person'
						WHEN q.answered AND i.state <> 'unknown' THEN 'as here' END AS found
			  FROM refundx.recovery_asked a
			  JOIN refundx.instruction i USING (instruction_id)
			  LEFT JOIN LATERAL (
				SELECT x.to_state FROM refundx.event x
				 WHERE x.instruction_id = a.instruction_id AND x.seq > a.event_seq AND x.from_state <> x.to_state
				 ORDER BY x.seq LIMIT 1) m ON true
			 CROSS JOIN LATERAL (
				SELECT EXISTS (
					SELECT FROM refundx.event x JOIN refundx.evidence e ON e.evidence_id = x.evidence_id
					 WHERE x.instruction_id = a.instruction_id AND x.seq > a.event_seq
					   AND (e.source = 'query' AND e.attempt_started_at >= a.asked_at
							AND e.verdict NOT IN ('unknown', 'hold', 'config', 'not_executed')
							OR e.source IN ('callback', 'bill', 'operator'))) AS answered) q
			 WHERE a.recovery_id = $1 AND a.answered_at IS NULL) f
	 WHERE a.recovery_id = $1 AND a.instruction_id = f.instruction_id AND a.answered_at IS NULL AND f.found IS NOT NULL
$$;
COMMENT ON FUNCTION refundx.recovery_answers(bigint, timestamptz) IS 'For the clerk: keeps what channels have answered to a recovery''s questions. No errors of its own';

CREATE FUNCTION refundx.recovery_step(at timestamptz) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r refundx.recovery;
	words text;
BEGIN
	SELECT * INTO r FROM refundx.recovery x WHERE x.state IN ('asking', 'books') FOR UPDATE SKIP LOCKED;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	PERFORM refundx.recovery_answers(r.recovery_id, at);
	-- the days before the first that is known here are nobody else's to fetch
	INSERT INTO refundx.bill (channel_id, merchant_id, kind, day, due_at)
	SELECT c.channel_id, b.merchant_id, b.kind, b.day, refundx.bill_ready(b.day, k.utc_offset, k.ready_at)
	  FROM refundx.recovery_bills b
	  JOIN refundx.bill_kinds() k ON k.channel_kind = b.channel_kind AND k.kind = b.kind AND k.fetchable
	  JOIN refundx.bill_plan p ON p.merchant_id = b.merchant_id AND p.kind = b.kind AND p.wanted IS NOT FALSE
	 CROSS JOIN LATERAL (SELECT min(h.channel_id) AS channel_id FROM refundx.channel h WHERE h.merchant_id = b.merchant_id AND NOT h.closed) c
	 WHERE b.recovery_id = r.recovery_id AND b.state = 'to come' AND b.day < refundx.bill_day(at, k.utc_offset) AND c.channel_id IS NOT NULL
	ON CONFLICT DO NOTHING;
	INSERT INTO refundx.recovery_merchant (recovery_id, merchant_id, books_at, event_seq)
	SELECT r.recovery_id, m.merchant_id, at, q.last_value FROM refundx.merchant m, refundx.event_seq_seq q
	 WHERE NOT EXISTS (SELECT FROM refundx.recovery_merchant d WHERE d.recovery_id = r.recovery_id AND d.merchant_id = m.merchant_id)
	   AND NOT EXISTS (SELECT FROM refundx.recovery_bills b
						WHERE b.recovery_id = r.recovery_id AND b.merchant_id = m.merchant_id AND NOT b.is_in)
	   -- what it has made is looked for once an hour (refundx.bill_plan): not before that was done
	   AND NOT EXISTS (SELECT FROM refundx.channel c JOIN refundx.bill_kinds() k ON k.channel_kind = c.kind AND (k.has_refunds OR k.has_transfers)
						 LEFT JOIN refundx.bill_plan p ON p.merchant_id = c.merchant_id AND p.kind = k.kind
						WHERE c.merchant_id = m.merchant_id AND p.first_day IS NULL AND p.looked_at IS NULL AND NOT c.closed);
	IF r.state = 'asking' THEN
		IF EXISTS (SELECT FROM refundx.recovery_asked a
					WHERE a.recovery_id = r.recovery_id AND a.answered_at IS NULL AND NOT a.submitted_since) THEN
			RETURN 'asking';
		END IF;
		r.state := 'books';
		words := refundx.recovery_report(r.recovery_id);
		UPDATE refundx.recovery x SET state = 'books', answered_at = at, report = words WHERE x.recovery_id = r.recovery_id;
		PERFORM refundx.incident_add('recovery', words,
			'everything that was open has been answered, and goes on; what is submitted is asked about first until the bills are in',
			subject => 'recovery ' || r.recovery_id);
	END IF;
	IF EXISTS (SELECT FROM refundx.merchant m
				WHERE NOT EXISTS (SELECT FROM refundx.recovery_merchant d
								   WHERE d.recovery_id = r.recovery_id AND d.merchant_id = m.merchant_id)) THEN
		RETURN 'books';
	END IF;
	words := refundx.recovery_report(r.recovery_id);
	UPDATE refundx.recovery x SET state = 'reported', reported_at = at, report = words,
		   end_seq = (SELECT last_value FROM refundx.event_seq_seq) WHERE x.recovery_id = r.recovery_id;
	PERFORM refundx.incident_add('recovery', words, 'the gap''s bills are in; a person reads this, and calls refundx.recover_done()',
		subject => 'recovery ' || r.recovery_id);
	RETURN 'reported';
END
$$;
COMMENT ON FUNCTION refundx.recovery_step(timestamptz) IS
'For the clerk: follows the recovery that is under way, and reports what it found; returns how far it is, null if there is none. No errors of its own';
