/*
 * What callers ask about one refund.
 *
 * An application sees its own: what was submitted, recorded or opened under its
 * login (session_user, which SET ROLE does not change).  To everybody else of
 * refundx_app it does not exist.
 */
CREATE FUNCTION refundx.reads_all() RETURNS boolean
LANGUAGE sql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT pg_has_role(session_user, 'refundx_operator', 'MEMBER')
		OR pg_has_role(session_user, 'refundx_auditor', 'MEMBER')
		OR pg_has_role(session_user, (SELECT extowner FROM pg_extension WHERE extname = 'refundx'), 'MEMBER')
$$;
COMMENT ON FUNCTION refundx.reads_all() IS
'Whether this session reads everything: its login is of refundx_operator, refundx_auditor or the extension''s owner. All others read what they have submitted, recorded or opened themselves';

CREATE FUNCTION refundx.refund_get(refund_no text) RETURNS refundx.refund
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT (i.instruction_no, c.name, p.payment_no, i.amount, i.currency, i.reason, i.state,
			i.detail, i.state_since, i.due_at, i.attempts, i.person_reason, i.submitted_at)::refundx.refund
	  FROM refundx.instruction i
	  JOIN refundx.channel c USING (channel_id)
	  LEFT JOIN refundx.payment p USING (payment_id)
	 WHERE i.instruction_no = $1 AND i.kind = 'refund'
	   AND (i.submitted_by = session_user OR refundx.reads_all())
$$;
COMMENT ON FUNCTION refundx.refund_get(text) IS
'The refund of that number, null if there is none (of one''s own: see reads_all); amount in minor units';

CREATE FUNCTION refundx.refund_state(refund_no text) RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT state FROM refundx.instruction
	 WHERE instruction_no = $1 AND kind = 'refund'
	   AND (submitted_by = session_user OR refundx.reads_all())
$$;
COMMENT ON FUNCTION refundx.refund_state(text) IS
'The state of the refund of that number, null if there is none (of one''s own: see reads_all)';

CREATE PROCEDURE refundx.refund_wait(
	refund_no text, timeout interval DEFAULT '30 s', INOUT state text DEFAULT NULL)
LANGUAGE c
AS 'MODULE_PATHNAME', 'refundx_refund_wait';
COMMENT ON PROCEDURE refundx.refund_wait(text, interval, text) IS
'Waits until the refund is neither queued, sending, unknown nor accepted, or the time is up, and returns its state so far. It commits while it waits, so it runs outside transaction blocks only.
Errors: RX012 unknown refund, 25001 inside a transaction block, 22023.';

CREATE FUNCTION refundx.refund_explain(refund_no text) RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_refund_explain';
COMMENT ON FUNCTION refundx.refund_explain(text) IS
'One sentence for support staff: what happened last, what happens next and when, and what is in the way. Times are in the session''s time zone. Errors: RX012 unknown refund, 22023.';

CREATE FUNCTION refundx.instruction_timeline(
	number text, kind refundx.instruction_kind,
	OUT at timestamptz, OUT what text, OUT from_state text, OUT to_state text,
	OUT by text, OUT note text)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	WITH r AS (
		SELECT * FROM refundx.instruction i
		 WHERE i.instruction_no = $1 AND i.kind = $2
		   AND (submitted_by = session_user OR refundx.reads_all()))
	SELECT l.at, l.what, l.from_state, l.to_state, l.by, l.note
	  FROM (
		-- the claim is one commit with its attempt, which comes before the call
		SELECT coalesce(c.started_at, x.at) AS at, CASE x.type WHEN 'claimed' THEN -1 ELSE 2 END AS stage,
			   x.seq AS n, x.type AS what, x.from_state, x.to_state, x.actor AS by, x.note
		  FROM r JOIN refundx.event x ON x.instruction_id = r.instruction_id
		  LEFT JOIN LATERAL (
			SELECT max(a.started_at) AS started_at FROM refundx.attempt a
			 WHERE x.type = 'claimed' AND a.instruction_id = r.instruction_id
			   AND a.call = 'submit' AND a.started_at <= x.at) c ON true
		UNION ALL
		SELECT a.started_at, 0, a.attempt_id, CASE a.call WHEN 'submit' THEN 'sent' WHEN 'cancel' THEN 'asked to cancel'
			   WHEN 'abnormal' THEN 'asked to pay elsewhere' ELSE 'asked about' END,
			   NULL, NULL, 'refundx_dispatcher',
			   concat('as ', a.wire_no, CASE WHEN a.backup_host THEN ', through the backup host' END)
		  FROM r JOIN refundx.attempt a ON a.instruction_id = r.instruction_id
		UNION ALL
		SELECT e.received_at, 1, e.evidence_id, e.source, NULL, NULL, NULL,
			   concat_ws(', ', e.code, 'HTTP ' || e.http_status, 'means ' || e.verdict,
						 CASE WHEN e.proof THEN 'proof' ELSE 'a hint' END,
						 nullif(e.message, ''), 'request id ' || e.request_id)
		  FROM r
		 CROSS JOIN LATERAL (
			SELECT r.wire_no UNION ALL
			SELECT f.wire_no FROM refundx.former_number f WHERE f.instruction_id = r.instruction_id) n
		  JOIN refundx.evidence e ON e.merchant_id = r.merchant_id AND e.wire_no = n.wire_no AND e.about = r.kind
		UNION ALL
		SELECT s.at, 3, n.notice_id, 'notice ' || s.state, NULL, NULL, n.provider,
			   concat_ws(', ', n.transition, n.sink, n.phone_masked,
						 CASE WHEN s.state <> 'queued' THEN concat_ws(' ', n.outcome, n.code, n.message) END)
		  FROM r JOIN refundx.notice n ON n.instruction_id = r.instruction_id
		 CROSS JOIN LATERAL (VALUES (n.created_at, 'queued'), (n.done_at, n.state)) s(at, state)
		 WHERE s.at IS NOT NULL
	  ) l
	 ORDER BY l.at, l.stage, l.n
$$;
COMMENT ON FUNCTION refundx.instruction_timeline(text, refundx.instruction_kind) IS
'What refund_timeline and withdraw_timeline return; to be called through them';

CREATE FUNCTION refundx.refund_timeline(
	refund_no text,
	OUT at timestamptz, OUT what text, OUT from_state text, OUT to_state text,
	OUT by text, OUT note text)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT * FROM refundx.instruction_timeline($1, 'refund')
$$;
COMMENT ON FUNCTION refundx.refund_timeline(text) IS
'Everything that happened to a refund, in order: submission, calls, what was answered or called back (code, meaning, proof or hint, request id), what that changed, notices. Empty if there is no such refund';
