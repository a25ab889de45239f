/*
 * Handlers, and what waits for them.
 */
CREATE VIEW refundx.handlers AS
	SELECT h.about || '.' || h.transition AS transition,
		   format('%I.%I(refundx.%s)', h.function_schema, h.function_name, h.about) AS function,
		   h.mode, h.role, h.time_limit, h.lock_limit, h.retries, h.backoff, h.paused,
		   (SELECT count(*) FROM refundx.handler_run r WHERE r.handler_id = h.handler_id AND r.is_open) AS waiting,
		   (refundx.handler_problem(h.about, h.function_schema, h.function_name, h.role)).problem,
		   h.added_at, h.added_by
	  FROM refundx.handler h
	 WHERE h.removed_at IS NULL;
COMMENT ON VIEW refundx.handlers IS 'Functions of the application''s that follow transitions';
COMMENT ON COLUMN refundx.handlers.paused IS 'Why it is not called for now; null: it is';
COMMENT ON COLUMN refundx.handlers.waiting IS 'Calls of it that failed, or are still to be made: refundx.handler_failures';
COMMENT ON COLUMN refundx.handlers.problem IS 'Why it cannot be called; null: it can';

CREATE VIEW refundx.handler_failures AS
	SELECT CASE WHEN i.kind = 'refund' THEN i.instruction_no END AS refund_no,
		   CASE WHEN i.kind = 'withdrawal' THEN i.instruction_no END AS withdrawal_no,
		   h.about || '.' || r.transition AS transition,
		   format('%I.%I(refundx.%s)', h.function_schema, h.function_name, h.about) AS function,
		   h.mode, r.state, r.blocks AS settlement_waits, r.tries, r.next_at, r.code, r.message, r.context,
		   r.first_failed_at, r.failed_at
	  FROM refundx.handler_run r
	  JOIN refundx.handler h USING (handler_id)
	  JOIN refundx.instruction i USING (instruction_id)
	 WHERE r.is_open
	UNION ALL
	-- HANDLED_BEGUN_MAX of money/handler.h
	SELECT CASE WHEN i.kind = 'refund' THEN i.instruction_no END, CASE WHEN i.kind = 'withdrawal' THEN i.instruction_no END,
		   NULL, NULL, NULL, 'with_person', true, d.begun, NULL, '57P02', 'the server, or the runner, died each time when it was settled with its handlers', NULL,
		   NULL, NULL
	  FROM refundx.handed d
	  JOIN refundx.instruction i USING (instruction_id)
	 WHERE d.begun > 2
	   AND NOT EXISTS (SELECT FROM refundx.handler_run r WHERE r.evidence_id = d.evidence_id AND r.is_open);
COMMENT ON VIEW refundx.handler_failures IS 'Calls of handlers that have failed, are put off (paused, or behind one that failed) or are to be made, until they have succeeded or are waived; the notice of the transition waits for them';
COMMENT ON COLUMN refundx.handler_failures.state IS 'due: to be called; retrying: at next_at; paused: its handler is; with_person: handler_retry or handler_waive';
COMMENT ON COLUMN refundx.handler_failures.settlement_waits IS 'Whether the money of it is not settled before';
COMMENT ON COLUMN refundx.handler_failures.code IS 'The SQLSTATE of the last error';
COMMENT ON COLUMN refundx.handler_failures.context IS 'Where it was raised';

-- For refundx.desk (66_desk.sql says which columns).  One whose settlement waits is
-- there itself, with the same reason.
CREATE VIEW refundx.desk_handlers AS
	SELECT 70 AS severity, 'handler' AS what, i.instruction_no::text AS subject, c.name::text AS channel, i.state::text AS state,
		   r.failed_at AS since, i.amount::bigint AS amount, i.currency,
		   format('the handler %I.%I of %s fails: %s (%s)', h.function_schema, h.function_name, r.transition, r.message, r.code) AS reason,
		   format('refundx.handler_failures: %s tries since %s', r.tries, to_char(r.first_failed_at, 'YYYY-MM-DD HH24:MI:SS')) AS evidence,
		   'Mend the cause, then have it called again; or give it up with refundx.handler_waive(number, reason).' AS suggestion,
		   format('SELECT refundx.handler_retry(%L, %L);', i.instruction_no, 'why') AS call
	  FROM refundx.handler_run r
	  JOIN refundx.handler h USING (handler_id)
	  JOIN refundx.instruction i USING (instruction_id)
	  JOIN refundx.channel c USING (channel_id)
	 WHERE r.state = 'with_person' AND NOT r.blocks;
COMMENT ON VIEW refundx.desk_handlers IS 'The desk''s handlers that have failed and are called no more by themselves';
