/*
 * The report of a day: what the table (reconcile_report) and the page for finance
 * (70_report_html.sql) are made from.  Both read the same functions, so they say the
 * same.
 */
CREATE TYPE refundx.report_subject AS (
	channel		text,
	label		text,
	merchant_id	int,
	merchant_no	text,
	channels	text[],
	day			date,
	run_id		bigint,
	reconciled_at timestamptz
);
COMMENT ON TYPE refundx.report_subject IS 'Whose day a report is about, and the reconciliation that counts for it';

CREATE FUNCTION refundx.report_of(channel text, day date) RETURNS refundx.report_subject
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
AS $$
DECLARE
	r refundx.report_subject;
BEGIN
	IF day IS NULL THEN
		RAISE EXCEPTION 'day must be given' USING ERRCODE = '22023';
	END IF;
	SELECT c.name, k.label, m.merchant_id, m.merchant_no,
		   (SELECT array_agg(o.name::text ORDER BY o.name) FROM refundx.channel o WHERE o.merchant_id = m.merchant_id)
	  INTO r.channel, r.label, r.merchant_id, r.merchant_no, r.channels
	  FROM refundx.channel c
	  JOIN refundx.merchant m USING (merchant_id)
	  JOIN refundx.channel_kinds() k ON k.kind = c.kind
	 WHERE c.name = report_of.channel;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'channel "%" does not exist', coalesce(channel, '') USING ERRCODE = 'RX008',
			HINT = 'Configured channels are in the view refundx.channels.';
	END IF;
	r.day := day;
	SELECT n.run_id, n.ended_at INTO r.run_id, r.reconciled_at
	  FROM refundx.reconciliation n
	 WHERE n.merchant_id = r.merchant_id AND n.day = report_of.day
	 ORDER BY n.run_id DESC LIMIT 1;
	RETURN r;
END
$$;
COMMENT ON FUNCTION refundx.report_of(text, date) IS 'Finds what a report is about. Errors: RX008 unknown channel, 22023 no day';

-- Minor units as a number of the currency's own unit: psql aligns it, and it can be summed.
CREATE FUNCTION refundx.report_major(amount bigint, currency text) RETURNS numeric
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$ SELECT refundx.format_amount($1, $2)::numeric $$;
COMMENT ON FUNCTION refundx.report_major(bigint, text) IS 'An amount in minor units, in the currency''s own unit';

-- The classes in the order in which one wants to read them.
CREATE FUNCTION refundx.report_class(OUT n int, OUT class text, OUT label text, OUT chinese text, OUT agrees boolean)
RETURNS SETOF record
LANGUAGE sql IMMUTABLE PARALLEL UNSAFE
AS $$
	VALUES (1, 'matched', 'Matched', '一致', true),
		   (2, 'settled_by_bill', 'Settled by the bill', '账单确认', true),
		   (3, 'other_day', 'Belongs to another day', '跨日', true),
		   (4, 'missing_here', 'Missing here', '渠道有我方无', false),
		   (5, 'missing_at_channel', 'Missing at the channel', '我方有渠道无', false),
		   (6, 'amount_differs', 'Amount differs', '金额不符', false),
		   (7, 'state_differs', 'State differs', '状态不符', false),
		   (8, 'twice', 'Twice in the bill', '重复', false),
		   (9, 'fee_differs', 'Fee differs', '手续费不符', false)
$$;
COMMENT ON FUNCTION refundx.report_class() IS 'The classes of a reconciliation, as a report names them; agrees: nobody has to look at it';

CREATE FUNCTION refundx.report_classes(r refundx.report_subject,
	OUT n int, OUT class text, OUT label text, OUT chinese text, OUT agrees boolean, OUT about text, OUT currency text,
	OUT number bigint, OUT ours bigint, OUT channels bigint)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$
	SELECT l.n, l.class, l.label, l.chinese, l.agrees, k.about, k.currency, k.n, k.our_amount, k.bill_amount
	  FROM refundx.reconciliation_class k JOIN refundx.report_class() l ON l.class = k.class
	 WHERE k.run_id = r.run_id
	 ORDER BY k.currency, l.n, k.about
$$;
COMMENT ON FUNCTION refundx.report_classes(refundx.report_subject) IS 'What a day''s reconciliation came to; amounts in minor units';

CREATE FUNCTION refundx.report_bills(r refundx.report_subject,
	OUT kind text, OUT label text, OUT state text, OUT is_ledger boolean, OUT lines bigint, OUT refunds bigint, OUT amount bigint,
	OUT opening bigint, OUT came_in bigint, OUT went_out bigint, OUT closing bigint, OUT off_by bigint, OUT currency text,
	OUT loaded_at timestamptz, OUT hash text, OUT note text)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$
	SELECT b.kind::text, k.label, b.state, k.is_ledger, b.lines, b.refunds, b.amount, b.opening, b.came_in, b.went_out, b.closing,
		   b.opening + b.came_in - b.went_out - b.closing,
		   b.currency, b.loaded_at, b.hash::text, coalesce(b.person_reason, b.error)
	  FROM refundx.bill b
	  JOIN refundx.channel c USING (channel_id)
	  JOIN refundx.bill_kinds() k ON k.channel_kind = c.kind AND k.kind = b.kind
	 WHERE b.merchant_id = r.merchant_id AND b.day = r.day AND b.state <> 'superseded'
	 ORDER BY k.is_ledger, b.kind, b.bill_id
$$;
COMMENT ON FUNCTION refundx.report_bills(refundx.report_subject) IS
'The bills of a day; amounts in minor units. off_by: opening + in - out - closing of a ledger';

-- Without a ledger's bill there is nothing to prove, which is no error of a report.
CREATE FUNCTION refundx.report_balance(r refundx.report_subject,
	OUT bill text, OUT item text, OUT by_bill bigint, OUT reckoned bigint, OUT difference bigint, OUT currency text, OUT holds boolean)
RETURNS SETOF record
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
AS $$
BEGIN
	IF EXISTS (SELECT FROM refundx.report_bills(r) b WHERE b.is_ledger AND b.state = 'loaded') THEN
		RETURN QUERY SELECT p.* FROM refundx.merchant_balance_proof(r.channel, r.day) p;
	END IF;
END
$$;
COMMENT ON FUNCTION refundx.report_balance(refundx.report_subject) IS 'The proof of the merchant''s account at the channel, of a day; amounts in minor units';

-- Open ones, of that day and of days before: yesterday's are no better for being yesterday's.
CREATE FUNCTION refundx.report_breaks(r refundx.report_subject) RETURNS SETOF refundx.breaks
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$
	SELECT b.* FROM refundx.breaks b
	 WHERE b.channel = ANY (r.channels) AND b.day <= r.day AND b.closed_at IS NULL
	 ORDER BY b.opened_at, b.break_id
$$;
COMMENT ON FUNCTION refundx.report_breaks(refundx.report_subject) IS 'The open breaks of a day and of those before';

CREATE FUNCTION refundx.reconcile_report(channel text, day date,
	OUT section text, OUT item text, OUT currency text, OUT number bigint, OUT ours numeric, OUT channels numeric, OUT difference numeric, OUT note text)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	WITH r AS MATERIALIZED (SELECT x FROM refundx.report_of($1, $2) x),
	line AS (
		SELECT 0 AS s, 0::bigint AS o, 'reconciliation' AS section, format('%s %s, %s', (x).label, (x).merchant_no, (x).day) AS item, NULL::text AS currency,
			   NULL::bigint AS number, NULL::numeric AS ours, NULL::numeric AS channels, NULL::numeric AS difference,
			   CASE WHEN (x).run_id IS NULL THEN 'this day has not been reconciled' ELSE format('run %s at %s', (x).run_id, date_trunc('second', (x).reconciled_at)) END AS note FROM r
		UNION ALL
		SELECT 1, row_number() OVER (), 'bills', b.kind, b.currency, b.lines, NULL, refundx.report_major(b.amount, b.currency), NULL,
			   concat_ws(', ', b.state, b.refunds || ' refunds or withdrawals', b.note)
		  FROM r, refundx.report_bills(x) b
		UNION ALL
		SELECT 2, row_number() OVER (), 'classes', k.about || ' ' || k.class, k.currency, k.number, refundx.report_major(k.ours, k.currency),
			   refundx.report_major(k.channels, k.currency), refundx.report_major(k.channels - k.ours, k.currency), NULL
		  FROM r, refundx.report_classes(x) k
		UNION ALL
		SELECT 3, row_number() OVER (ORDER BY b.opened_at, b.break_id), 'breaks, ' || b.age_bucket, format('%s of %s: %s %s', b.break_id, b.day, b.about, b.number), b.currency, 1,
			   refundx.report_major(b.our_amount, b.currency), refundx.report_major(b.bill_amount, b.currency),
			   refundx.report_major(b.difference, b.currency), concat_ws('; ', b.class, b.reason, 'assigned to ' || b.assigned_to)
		  FROM r, refundx.report_breaks(x) b
		UNION ALL
		SELECT 4, row_number() OVER (), 'certainty of ' || c.day, c.about || 's, ' || v.what, c.currency, v.number, refundx.report_major(c.amount, c.currency),
			   refundx.report_major(v.amount, c.currency), NULL, round(100.0 * v.amount / nullif(c.amount - c.never_sent, 0), 2) || ' %'
		  FROM r, refundx.certainty($2, $2, (x).channels) c,
			   LATERAL (VALUES ('proven within an hour', c.number, c.within_hour), ('proven within a day', NULL, c.within_day),
						('proven within four days', NULL, c.within_4_days), ('open', NULL, c.open), ('in the bill', NULL, c.in_bill)) v (what, number, amount)
		UNION ALL
		SELECT 5, row_number() OVER (), 'balance', format('%s: %s', p.bill, p.item), p.currency, NULL, refundx.report_major(p.reckoned, p.currency),
			   refundx.report_major(p.by_bill, p.currency), refundx.report_major(p.difference, p.currency),
			   CASE WHEN p.holds THEN 'it holds' WHEN p.holds IS NULL THEN 'there is no bill of the day before' ELSE 'it does not hold' END
		  FROM r, refundx.report_balance(x) p)
	SELECT l.section, l.item, l.currency, l.number, l.ours, l.channels, l.difference, l.note FROM line l ORDER BY l.s, l.o
$$;
COMMENT ON FUNCTION refundx.reconcile_report(text, date) IS
'The report of a day (where the channel is) of a channel''s merchant, as a table: its bills; how many refunds and withdrawals are in each class, with the sums of both sides; the open breaks of that day and before, by age; how certain what was submitted on that day is; whether the channel''s ledgers add up. Amounts are in the currency''s own unit (yuan), and not, as elsewhere, in minor units.
reconcile_report_html() is the same to send to somebody. Errors: RX008 unknown channel, 22023 no day.';
