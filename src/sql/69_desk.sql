/*
 * Everything that waits for a person, worst first.  A kind of item is a view of its
 * own (66_desk.sql says which columns) and a line here.
 */
CREATE VIEW refundx.desk AS
	SELECT d.severity, d.what, d.subject, d.channel, d.state, d.since, d.amount, d.currency,
		   refundx.format_amount(d.amount, d.currency) AS amount_text,
		   d.reason, d.evidence, d.suggestion, d.call
	  FROM (
		SELECT * FROM refundx.desk_instructions
		UNION ALL SELECT * FROM refundx.desk_suspense
		UNION ALL SELECT * FROM refundx.desk_holds
		UNION ALL SELECT * FROM refundx.desk_requests
		UNION ALL SELECT * FROM refundx.desk_external
		UNION ALL SELECT * FROM refundx.desk_breaks
		UNION ALL SELECT * FROM refundx.desk_merchants
		UNION ALL SELECT * FROM refundx.desk_pauses
		UNION ALL SELECT * FROM refundx.desk_approvals
		UNION ALL SELECT * FROM refundx.desk_webhooks
		UNION ALL SELECT * FROM refundx.desk_notices
		UNION ALL SELECT * FROM refundx.desk_handlers
		UNION ALL SELECT * FROM refundx.desk_recoveries
		UNION ALL SELECT * FROM refundx.desk_checks
		UNION ALL SELECT * FROM refundx.desk_bills
	  ) d
	 ORDER BY d.severity, d.since NULLS FIRST, d.subject;
COMMENT ON VIEW refundx.desk IS 'Everything that waits for a person, worst first: what happened, since when, how much, what it is known from, what to do';
COMMENT ON COLUMN refundx.desk.severity IS 'How bad, 1 is worst; the list is in doc/desk.md';
COMMENT ON COLUMN refundx.desk.subject IS 'The number or name that the functions take';
COMMENT ON COLUMN refundx.desk.amount IS 'How much is concerned; minor units of currency, amount_text is the same for people';
COMMENT ON COLUMN refundx.desk.reason IS 'What happened';
COMMENT ON COLUMN refundx.desk.evidence IS 'What that is known from; refundx.evidence_log has the piece';
COMMENT ON COLUMN refundx.desk.suggestion IS 'What to do, in words';
COMMENT ON COLUMN refundx.desk.call IS 'The same as a statement to paste: put in why, and what you saw';
