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
