/*
 * How certain the books are: how much of what was submitted on a day the channel has
 * proven by now, and how soon it did.
 *
 * The channel's word is an answer, a callback, a query or a line of its bill; an
 * operator's is not.  What the bill has as well is certain in any case, whoever had
 * said it before: a bill is the channel's books, the others are messages about them.
 */

/*
 * The first refund or withdrawal that was submitted at that time or later.  There is
 * no index on the time, for each submit would pay for it; but the numbers are given
 * out in its order, but for the moments between two sessions and a clock that was set
 * back: so the time is looked for in the key, in some twenty steps, and who calls this
 * leaves an hour on either side.
 */
CREATE FUNCTION refundx.submitted_from(at timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
AS $$
DECLARE
	lo bigint := (SELECT min(i.instruction_id) FROM refundx.instruction i);
	hi bigint := (SELECT max(i.instruction_id) + 1 FROM refundx.instruction i);
	mid bigint;
	here record;
BEGIN
	WHILE lo < hi LOOP
		mid := lo + (hi - lo) / 2;
		SELECT i.instruction_id, i.submitted_at INTO here FROM refundx.instruction i
		 WHERE i.instruction_id >= mid ORDER BY i.instruction_id LIMIT 1;
		IF here.submitted_at >= at THEN
			hi := mid;
		ELSE
			lo := here.instruction_id + 1;
		END IF;
	END LOOP;
	RETURN coalesce(lo, 0);
END
$$;
COMMENT ON FUNCTION refundx.submitted_from(timestamptz) IS 'The key of the first refund or withdrawal that was submitted then or later, within some seconds';

CREATE FUNCTION refundx.certainty(from_day date, to_day date, channels text[] DEFAULT NULL,
	OUT channel text, OUT day date, OUT about text, OUT currency text, OUT number bigint, OUT amount bigint,
	OUT within_hour bigint, OUT within_day bigint, OUT within_4_days bigint, OUT proven bigint,
	OUT by_answer bigint, OUT by_callback bigint, OUT by_query bigint, OUT by_bill bigint, OUT by_operator bigint,
	OUT never_sent bigint, OUT open bigint, OUT in_bill bigint, OUT states jsonb)
RETURNS SETOF record
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	low bigint;
	high bigint;
BEGIN
	IF from_day IS NULL OR to_day IS NULL OR to_day < from_day THEN
		RAISE EXCEPTION 'the days must be given, and the last must not be before the first' USING ERRCODE = '22023';
	END IF;
	-- whatever the channel's zone, and an hour more
	low := refundx.submitted_from((from_day - 1)::timestamp AT TIME ZONE 'UTC' - interval '1 hour');
	high := refundx.submitted_from((to_day + 2)::timestamp AT TIME ZONE 'UTC' + interval '1 hour');
	RETURN QUERY
	WITH zone AS (
		-- the days as two moments, of which the planner knows more than of an expression
		SELECT c.channel_id, c.name, x.east, (from_day::timestamp - x.east) AT TIME ZONE 'UTC' AS first, ((to_day + 1)::timestamp - x.east) AT TIME ZONE 'UTC' AS last
		  FROM refundx.channel c
		 CROSS JOIN LATERAL (
			SELECT make_interval(secs => coalesce(max(k.utc_offset), 0)) AS east FROM refundx.bill_kinds() k WHERE k.channel_kind = c.kind) x
		 WHERE channels IS NULL OR c.name = ANY (channels)
	), ours AS MATERIALIZED (
		SELECT i.*, z.name, (i.submitted_at AT TIME ZONE 'UTC' + z.east)::date AS day
		  FROM refundx.instruction i JOIN zone z USING (channel_id)
		 WHERE i.instruction_id >= low AND i.instruction_id < high
		   AND i.submitted_at >= z.first AND i.submitted_at < z.last
	), told AS (
		-- what moved it to where it is now
		SELECT DISTINCT ON (o.instruction_id) o.instruction_id, x.at, e.source, e.proof
		  FROM ours o
		  JOIN refundx.event x ON x.instruction_id = o.instruction_id AND x.to_state = o.state AND x.from_state <> x.to_state
		  LEFT JOIN refundx.evidence e ON e.evidence_id = x.evidence_id
		 WHERE NOT o.is_open
		 ORDER BY o.instruction_id, x.seq DESC
	), billed AS (
		-- of a bill that writes "paid" when the money is taken, it is no proof that it arrived
		SELECT b.merchant_id, l.about, l.wire_no, min(b.loaded_at) FILTER (WHERE NOT k.paid_is_taken) AS at
		  FROM refundx.bill b
		  JOIN refundx.channel c USING (channel_id)
		  JOIN refundx.bill_kinds() k ON k.channel_kind = c.kind AND k.kind = b.kind
		  JOIN refundx.bill_line l USING (bill_id)
		 WHERE b.state = 'loaded' AND b.day BETWEEN from_day - 1 AND to_day + 5 AND l.movement = 'paid' AND l.wire_no IS NOT NULL
		 GROUP BY 1, 2, 3
	), one AS (
		SELECT o.name, o.day, o.kind, o.currency, o.amount, o.state, o.is_open, b.wire_no IS NOT NULL AS in_bill,
			   CASE WHEN o.is_open THEN NULL
					WHEN t.source IS NULL AND b.at IS NULL THEN CASE WHEN o.state = 'canceled' THEN 'never_sent' ELSE 'operator' END
					WHEN coalesce(t.source, 'operator') = 'operator' AND b.at IS NOT NULL THEN 'bill'
					WHEN t.source IN ('cancel', 'abnormal') THEN 'answer'
					WHEN t.source = 'recovery' THEN 'query'
					ELSE t.source END AS source,
			   CASE WHEN o.is_open THEN NULL
					WHEN coalesce(t.source, 'operator') = 'operator' THEN b.at
					ELSE least(t.at, b.at) END - o.submitted_at AS took
		  FROM ours o
		  LEFT JOIN told t USING (instruction_id)
		  LEFT JOIN billed b ON b.merchant_id = o.merchant_id AND b.wire_no = o.wire_no AND b.about = o.kind AND o.state IN ('succeeded', 'returned')
	), state AS (
		SELECT x.name, x.day, x.kind, x.currency, jsonb_object_agg(x.state, jsonb_build_object('number', x.n, 'amount', x.amount)) AS states
		  FROM (SELECT o.name, o.day, o.kind, o.currency, o.state, count(*) AS n, sum(o.amount) AS amount FROM one o GROUP BY 1, 2, 3, 4, 5) x
		 GROUP BY 1, 2, 3, 4
	), summed AS (
		SELECT o.name, o.day, o.kind, o.currency, count(*) AS n, sum(o.amount)::bigint AS amount,
			   coalesce(sum(o.amount) FILTER (WHERE o.took <= interval '1 hour'), 0)::bigint AS hour,
			   coalesce(sum(o.amount) FILTER (WHERE o.took <= interval '1 day'), 0)::bigint AS one_day,
			   coalesce(sum(o.amount) FILTER (WHERE o.took <= interval '4 days'), 0)::bigint AS four_days,
			   coalesce(sum(o.amount) FILTER (WHERE o.took IS NOT NULL), 0)::bigint AS proven,
			   coalesce(sum(o.amount) FILTER (WHERE o.source = 'answer'), 0)::bigint AS answer,
			   coalesce(sum(o.amount) FILTER (WHERE o.source = 'callback'), 0)::bigint AS callback,
			   coalesce(sum(o.amount) FILTER (WHERE o.source = 'query'), 0)::bigint AS query,
			   coalesce(sum(o.amount) FILTER (WHERE o.source = 'bill'), 0)::bigint AS bill,
			   coalesce(sum(o.amount) FILTER (WHERE o.source = 'operator'), 0)::bigint AS operator,
			   coalesce(sum(o.amount) FILTER (WHERE o.source = 'never_sent'), 0)::bigint AS never_sent,
			   coalesce(sum(o.amount) FILTER (WHERE o.is_open), 0)::bigint AS open,
			   coalesce(sum(o.amount) FILTER (WHERE o.in_bill), 0)::bigint AS in_bill
		  FROM one o GROUP BY 1, 2, 3, 4)
	SELECT s.name::text, s.day, s.kind::text, s.currency, s.n, s.amount, s.hour, s.one_day, s.four_days, s.proven,
		   s.answer, s.callback, s.query, s.bill, s.operator, s.never_sent, s.open, s.in_bill, t.states
	  FROM summed s JOIN state t USING (name, day, kind, currency)
	 ORDER BY s.day, s.name, s.kind, s.currency;
END
$$;
COMMENT ON FUNCTION refundx.certainty(date, date, text[]) IS
'How much of what was submitted on these days (where the channel is; both included) the channel has proven, per channel (of channels, null: of all), day, refunds or withdrawals, and currency; amounts in minor units. within_hour, within_day, within_4_days: proven so soon after it was submitted; proven: by now. by_*: by what it was proven first; by_operator is a person''s word, and not counted as proven unless a bill agrees. never_sent: canceled before it was sent, so there is nothing to prove. proven + by_operator + never_sent + open = amount. in_bill: succeeded (or came back since), and stands in a bill that is loaded. states: number and amount per state.
It reads the days that are asked for, and no others. Error: 22023 the days.';

CREATE VIEW refundx.certainty AS
	SELECT c.channel, c.day, c.about, c.currency, c.number, c.amount, refundx.format_amount(c.amount, c.currency) AS amount_text,
		   round(100.0 * c.within_hour / nullif(c.amount - c.never_sent, 0), 2) AS hour_percent,
		   round(100.0 * c.within_day / nullif(c.amount - c.never_sent, 0), 2) AS day_percent,
		   round(100.0 * c.within_4_days / nullif(c.amount - c.never_sent, 0), 2) AS four_days_percent,
		   c.within_hour, c.within_day, c.within_4_days, c.proven, c.by_answer, c.by_callback, c.by_query, c.by_bill, c.by_operator,
		   c.never_sent, c.open, c.in_bill, c.states
	  FROM refundx.certainty((refundx.desk_now() AT TIME ZONE 'UTC')::date - 30, (refundx.desk_now() AT TIME ZONE 'UTC')::date + 1) c;
COMMENT ON VIEW refundx.certainty IS 'refundx.certainty() of the last thirty days: how much of each day''s amount the channel has proven, and how soon; minor units of currency';
COMMENT ON COLUMN refundx.certainty.hour_percent IS 'Of what was sent, or is to be: how much was proven within an hour of its submit';
COMMENT ON COLUMN refundx.certainty.in_bill IS 'Stands in a bill that is loaded, whatever proved it first';
COMMENT ON COLUMN refundx.certainty.by_operator IS 'A person''s word, which no bill has confirmed';
COMMENT ON COLUMN refundx.certainty.never_sent IS 'Canceled before it was sent: nothing to prove';
