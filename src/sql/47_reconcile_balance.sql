/*
 * The merchant's account at the channel, by its ledger bills: does it add up, does it
 * continue, and are the movements that concern us ours?
 */
CREATE FUNCTION refundx.merchant_balance_proof(channel text, day date,
	OUT bill text, OUT item text, OUT by_bill bigint, OUT reckoned bigint, OUT difference bigint, OUT currency text, OUT holds boolean)
RETURNS SETOF record
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	merchant int;
	maker text;
BEGIN
	SELECT c.merchant_id, c.kind INTO merchant, maker FROM refundx.channel c WHERE c.name = merchant_balance_proof.channel;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'channel "%" does not exist', channel USING ERRCODE = 'RX008', HINT = 'refundx.channels has them.';
	ELSIF NOT EXISTS (
			SELECT FROM refundx.bill b JOIN refundx.bill_kinds() k ON k.channel_kind = maker AND k.kind = b.kind AND k.is_ledger
			 WHERE b.merchant_id = merchant AND b.day = merchant_balance_proof.day AND b.state = 'loaded') THEN
		RAISE EXCEPTION 'no bill of the account of channel "%" is loaded for %', channel, to_char(day, 'YYYY-MM-DD') USING ERRCODE = 'RX036',
			HINT = format('Of such bills the channel makes: %s. SELECT * FROM refundx.bills says what there is.',
				coalesce((SELECT string_agg(k.kind, ', ' ORDER BY k.kind) FROM refundx.bill_kinds() k
						   WHERE k.channel_kind = maker AND k.is_ledger), 'none'));
	END IF;
	RETURN QUERY
	WITH ledger AS (
		SELECT b.* FROM refundx.bill b
		  JOIN refundx.bill_kinds() k ON k.channel_kind = maker AND k.kind = b.kind AND k.is_ledger
		 WHERE b.merchant_id = merchant AND b.day = merchant_balance_proof.day AND b.state = 'loaded'),
	-- the bill that it continues: the newest before it, unless one is missing between them
	before AS (
		SELECT l.bill_id, p.closing
		  FROM ledger l
		 CROSS JOIN LATERAL (SELECT b.day, b.closing FROM refundx.bill b
							  WHERE b.merchant_id = l.merchant_id AND b.kind = l.kind AND b.day < l.day AND b.state = 'loaded'
							  ORDER BY b.day DESC LIMIT 1) p
		 WHERE l.day - p.day - 1 = (SELECT count(*) FROM refundx.bill b
									 WHERE b.merchant_id = l.merchant_id AND b.kind = l.kind AND b.state = 'empty'
									   AND b.day > p.day AND b.day < l.day)),
	moved AS (
		SELECT l.bill_id, n.about, n.movement, sum(n.amount) AS amount, sum(coalesce(i.amount, f.amount)) AS ours
		  FROM ledger l
		  JOIN refundx.bill_line n ON n.bill_id = l.bill_id AND n.movement IN ('paid', 'came_back')
		  LEFT JOIN refundx.instruction i ON i.merchant_id = l.merchant_id AND i.wire_no = n.wire_no AND i.kind = n.about
		  LEFT JOIN LATERAL (SELECT j.amount FROM refundx.former_number o JOIN refundx.instruction j USING (instruction_id)
							  WHERE o.merchant_id = l.merchant_id AND o.wire_no = n.wire_no AND o.about = n.about) f ON i.instruction_id IS NULL
		 GROUP BY 1, 2, 3),
	said AS (
		SELECT l.kind, l.currency, 1 AS place, 'opening' AS item, l.opening AS by_bill, b.closing AS reckoned
		  FROM ledger l LEFT JOIN before b USING (bill_id)
		UNION ALL
		SELECT l.kind, l.currency, 2, 'closing', l.closing, l.opening + l.came_in - l.went_out FROM ledger l
		UNION ALL
		SELECT l.kind, l.currency, CASE m.about WHEN 'refund' THEN 3 ELSE 5 END + (m.movement <> 'paid')::int,
			   m.about || CASE m.movement WHEN 'paid' THEN ' paid out' ELSE ' came back' END, m.amount::bigint, coalesce(m.ours, 0)::bigint
		  FROM ledger l JOIN moved m USING (bill_id))
	SELECT s.kind, s.item, s.by_bill, s.reckoned, s.by_bill - s.reckoned, s.currency, s.by_bill = s.reckoned
	  FROM said s ORDER BY s.kind, s.place;
END
$$;
COMMENT ON FUNCTION refundx.merchant_balance_proof(text, date) IS
'Proves the merchant''s account at the channel for a day (where the channel is), by its ledger bills: that its opening is the closing of the day before (null: that bill is not loaded), that opening + what came in - what went out = closing, and that refunds and withdrawals that moved in it are ours, with our amounts. Minor units; holds is whether by_bill and reckoned agree. What does not agree of single ones is in refundx.breaks.
Errors: RX008 unknown channel, RX036 no bill of such an account is loaded for the day.';
