/*
 * What people see of the breaks: the list, the desk's rows, how old they are.
 */
CREATE FUNCTION refundx.break_age(since timestamptz) RETURNS text
LANGUAGE sql VOLATILE PARALLEL UNSAFE
AS $$
	SELECT CASE WHEN a.age < interval '1 day' THEN '<1 day' WHEN a.age <= interval '4 days' THEN '1-4 days' ELSE '>4 days' END
	  FROM (SELECT refundx.desk_now() - since AS age) a
$$;
COMMENT ON FUNCTION refundx.break_age(timestamptz) IS 'How old a break is, as three words: <1 day, 1-4 days, >4 days';

-- The call to make first.  A channel that does not have what we say it paid is asked;
-- what it has and we do not is accepted.
CREATE FUNCTION refundx.break_call(break_id bigint, class text, about text, movement text, instruction_no text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL UNSAFE
AS $$
	SELECT CASE
		WHEN class = 'missing_here' AND about = 'withdrawal' THEN format('SELECT * FROM refundx.break_accept(%s, %L, account => %L);', break_id, 'why', 'which account')
		WHEN class IN ('missing_here', 'fee_differs') OR class = 'state_differs' AND movement IN ('paid', 'came_back')
			THEN format('SELECT * FROM refundx.break_accept(%s, %L);', break_id, 'why')
		WHEN class IN ('missing_at_channel', 'state_differs') AND instruction_no IS NOT NULL THEN refundx.desk_call('query_now', instruction_no, 'why')
		ELSE format('SELECT * FROM refundx.break_resolve(%s, %L, %L);', break_id, 'by what', 'why') END
$$;
COMMENT ON FUNCTION refundx.break_call(bigint, text, text, text, text) IS 'The call that a break asks for, to paste';

CREATE VIEW refundx.breaks AS
	SELECT b.break_id, c.name AS channel, m.merchant_no, b.day, b.class::text AS class, b.about::text AS about, b.wire_no AS number,
		   CASE WHEN b.about = 'refund' THEN i.instruction_no END AS refund_no,
		   CASE WHEN b.about = 'withdrawal' THEN i.instruction_no END AS withdrawal_no,
		   b.our_amount, b.bill_amount, coalesce(b.bill_amount, 0) - coalesce(b.our_amount, 0) AS difference, b.currency,
		   refundx.format_amount(coalesce(b.bill_amount, 0) - coalesce(b.our_amount, 0), b.currency) AS difference_text,
		   b.our_fee, b.bill_fee, b.our_state, i.state::text AS state_now, b.bill_movement, b.reason, b.suggestion,
		   CASE WHEN b.closed_at IS NULL THEN refundx.break_call(b.break_id, b.class, b.about, b.bill_movement, i.instruction_no) END AS call,
		   b.opened_at, coalesce(b.closed_at, refundx.desk_now()) - b.opened_at AS age,
		   CASE WHEN b.closed_at IS NULL THEN refundx.break_age(b.opened_at) END AS age_bucket,
		   b.assigned_to, b.assigned_at, b.closed_at, b.closed_by, b.closed_how, b.close_reason, b.bill_id, b.line_no, b.evidence_id
	  FROM refundx.break b
	  JOIN refundx.channel c USING (channel_id)
	  JOIN refundx.merchant m ON m.merchant_id = b.merchant_id
	  LEFT JOIN refundx.instruction i ON i.instruction_id = b.instruction_id;
COMMENT ON VIEW refundx.breaks IS 'What our books and the channels'' do not agree on, open and closed: why, how old, whose, what to do; amounts in minor units of currency';
COMMENT ON COLUMN refundx.breaks.day IS 'The day, where the channel is, in whose bill the line stands, or should';
COMMENT ON COLUMN refundx.breaks.number IS 'As the channel has it; refund_no or withdrawal_no if it is one of ours';
COMMENT ON COLUMN refundx.breaks.difference IS 'bill_amount - our_amount; what one side does not have counts as 0';
COMMENT ON COLUMN refundx.breaks.our_fee IS 'In thousandths of a minor unit, like bill_fee';
COMMENT ON COLUMN refundx.breaks.our_state IS 'When the break was found; state_now is what it has become';
COMMENT ON COLUMN refundx.breaks.call IS 'What to do, as a statement to paste; null: it is closed';
COMMENT ON COLUMN refundx.breaks.age_bucket IS '<1 day, 1-4 days, >4 days; null: it is closed';
COMMENT ON COLUMN refundx.breaks.closed_how IS 'accepted, resolved, ignored: by a person; explained: a later bill, or later evidence, agrees';

-- What may have been paid twice, or not at all, comes before a fee; and what has been
-- lying there for four days before what is of this morning.
CREATE VIEW refundx.desk_breaks AS
	SELECT (CASE b.class WHEN 'twice' THEN 12 WHEN 'missing_here' THEN 30 WHEN 'fee_differs' THEN 85 ELSE 28 END
			- CASE WHEN b.class <> 'twice' AND b.age_bucket = '>4 days' THEN 10 ELSE 0 END) AS severity,
		   'break: ' || replace(b.class, '_', ' ') AS what, b.break_id::text AS subject, b.channel::text AS channel,
		   coalesce(b.state_now, b.bill_movement) AS state, b.opened_at AS since,
		   CASE b.class WHEN 'amount_differs' THEN abs(b.difference) ELSE greatest(b.our_amount, b.bill_amount) END AS amount, b.currency,
		   format('%s %s: %s', b.about, b.number, b.reason) AS reason,
		   concat_ws('; ', format('bills of %s, %s', b.day, b.age_bucket), 'line ' || b.line_no, 'evidence ' || b.evidence_id,
					 'assigned to ' || b.assigned_to) AS evidence,
		   b.suggestion, b.call
	  FROM refundx.breaks b
	 WHERE b.closed_at IS NULL;
COMMENT ON VIEW refundx.desk_breaks IS 'The desk''s breaks between our books and the channels''';
