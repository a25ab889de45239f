/*
 * What went wrong, and what others were told.
 */
CREATE VIEW refundx.incidents AS
	SELECT n.incident_id, n.at, n.kind, i.kind AS about, i.instruction_no AS number, n.subject, n.sqlstate,
		   n.reason, n.done, n.by_user, n.actor
	  FROM refundx.incident n
	  LEFT JOIN refundx.instruction i USING (instruction_id);
COMMENT ON VIEW refundx.incidents IS 'Each thing that went wrong: why, what was done about it, and by whom; the line "refundx: incident N" in the server''s log has the same id';
COMMENT ON COLUMN refundx.incidents.number IS 'Of the refund or withdrawal that it is about';
COMMENT ON COLUMN refundx.incidents.sqlstate IS 'Of the error, where it was one';

CREATE VIEW refundx.webhooks AS
	SELECT w.name, w.url, w.secret_file, w.old_secret_file, w.types,
		   CASE WHEN w.paused IS NOT NULL THEN 'paused' WHEN w.failing_since IS NOT NULL THEN 'failing' ELSE 'ok' END AS state,
		   w.paused, w.paused_reason, w.paused_since, w.failing_since, w.last_error,
		   d.waiting, d.oldest_waiting, d.dead, w.added_at, w.added_by
	  FROM refundx.webhook w
	 CROSS JOIN LATERAL (
		SELECT count(*) FILTER (WHERE q.state = 'waiting') AS waiting,
			   min(q.created_at) FILTER (WHERE q.state = 'waiting') AS oldest_waiting,
			   count(*) FILTER (WHERE q.state = 'dead') AS dead
		  FROM refundx.webhook_delivery q
		 WHERE q.webhook_id = w.webhook_id AND q.state IN ('waiting', 'dead')) d
	 WHERE w.removed_at IS NULL;
COMMENT ON VIEW refundx.webhooks IS 'Webhooks: whether their receivers work, and what they have not been told';
COMMENT ON COLUMN refundx.webhooks.state IS 'ok, failing (it is tried again by itself), paused';
COMMENT ON COLUMN refundx.webhooks.last_error IS 'Why the last try failed, while it fails';
COMMENT ON COLUMN refundx.webhooks.waiting IS 'Events that it has not acknowledged';
COMMENT ON COLUMN refundx.webhooks.dead IS 'Events that were given up: see webhook_redrive()';

CREATE VIEW refundx.webhook_deliveries AS
	SELECT w.name AS webhook, d.seq, o.id, o.type, o.aggregateid AS number, d.state, d.tries, d.next_at,
		   d.http_status, d.error, o.at AS happened_at, d.created_at, d.done_at
	  FROM refundx.webhook_delivery d
	  JOIN refundx.webhook w USING (webhook_id)
	  JOIN refundx.outbox o USING (seq);
COMMENT ON VIEW refundx.webhook_deliveries IS 'What each webhook is told: one row for each event and webhook; dead letters are those with state dead';
COMMENT ON COLUMN refundx.webhook_deliveries.state IS 'waiting, delivered, dead (given up after the last try), dropped (the webhook was removed)';
COMMENT ON COLUMN refundx.webhook_deliveries.next_at IS 'When it is tried again; null: after an earlier one of the same refund or withdrawal';
