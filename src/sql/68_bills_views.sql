/*
 * The channels' bills, as people see them.
 */
CREATE VIEW refundx.bills AS
	SELECT c.name AS channel, b.kind, b.day, b.state, b.source,
		   CASE WHEN b.state IN ('due', 'asked') THEN b.due_at END AS due_at,
		   b.tries, b.error,
		   CASE WHEN p.doing = 'fetching' THEN format('%s bytes have come', p.done)
				WHEN p.doing = 'reading' THEN format('%s lines are read', p.done) END AS progress,
		   b.lines, b.refunds, b.amount, b.currency, refundx.format_amount(b.amount, b.currency) AS amount_text,
		   b.opening, b.came_in, b.went_out, b.closing,
		   b.hash, b.announced_hash, b.packing, b.size, b.unpacked,
		   b.fetched_at, b.loaded_at, b.loaded_by, b.reconciled_at,
		   b.person_reason, b.person_suggestion, b.again, b.bill_id, b.merchant_id
	  FROM refundx.bill b
	  JOIN refundx.channel c USING (channel_id)
	  LEFT JOIN refundx.bill_progress() p USING (bill_id);
COMMENT ON VIEW refundx.bills IS 'The channels'' bills: one row for each merchant, kind and day, those that were superseded as well';
COMMENT ON COLUMN refundx.bills.state IS 'due, asked, fetched (its file is here, and is to be read), loaded, empty (no business that day), with_person, superseded';
COMMENT ON COLUMN refundx.bills.progress IS 'How far a worker is with it just now; null: none works at it';
COMMENT ON COLUMN refundx.bills.amount IS 'Of the refunds and transfers in it; minor units';
COMMENT ON COLUMN refundx.bills.error IS 'What came of the last try to fetch it, in words';

CREATE VIEW refundx.desk_bills AS
	SELECT 55 AS severity, 'bill' AS what, format('%s/%s/%s', c.name, b.kind, b.day) AS subject,
		   c.name AS channel, b.state, b.person_since AS since, NULL::bigint AS amount, NULL::text AS currency,
		   b.person_reason AS reason,
		   CASE WHEN b.size IS NOT NULL THEN format('the file that came at %s is kept (%s bytes)', to_char(b.fetched_at, 'YYYY-MM-DD HH24:MI:SS'), b.size)
				ELSE format('asked for %s times', b.tries) END AS evidence,
		   b.person_suggestion AS suggestion,
		   refundx.desk_call('bill_fetch', c.name, b.kind, b.day::text, 'why') AS call
	  FROM refundx.bill b JOIN refundx.channel c USING (channel_id)
	 WHERE b.state = 'with_person';
COMMENT ON VIEW refundx.desk_bills IS 'Bills that could not be had, or whose file is no good, for refundx.desk';
