/*
 * The charts of the report: inline SVG, without a library, a font or anything else
 * from outside.  Colours are classes, so that the page's style decides them, light or
 * dark or on paper; what a colour says, words say as well.
 *
 * Whatever is written into the page goes through html() or is a number of ours.  The
 * page is well-formed XML at the same time, so that a test can parse it: characters
 * that XML does not know are shown as what they are not.
 */
CREATE FUNCTION refundx.html(words text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL UNSAFE
AS $$
	SELECT replace(replace(replace(replace(replace(
		regexp_replace(coalesce(words, ''), U&'[\0001-\0008\000B\000C\000E-\001F\007F-\009F\FFFE\FFFF]', '?', 'g'),
		'&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;'), '''', '&#39;')
$$;
COMMENT ON FUNCTION refundx.html(text) IS 'Words as text or an attribute of HTML and XML';

-- 1,234,567.00: an amount of minor units as finance reads it.
CREATE FUNCTION refundx.report_money(amount bigint, currency text) RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$
	SELECT to_char(m.amount, 'FM999,999,999,999,999,999,990' || CASE WHEN scale(m.amount) > 0 THEN '.' || repeat('0', scale(m.amount)) ELSE '' END)
	  FROM (SELECT refundx.format_amount($1, $2)::numeric AS amount) m
$$;
COMMENT ON FUNCTION refundx.report_money(bigint, text) IS 'An amount in minor units, in the currency''s own unit, with thousands apart';

CREATE FUNCTION refundx.report_count(n bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL UNSAFE
AS $$ SELECT to_char(n, 'FM999,999,999,999,999,990') $$;
COMMENT ON FUNCTION refundx.report_count(bigint) IS 'A number of things, with thousands apart';

-- A length in the drawing, with one decimal.
CREATE FUNCTION refundx.report_length(part numeric, whole numeric, length numeric) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL UNSAFE
AS $$ SELECT CASE WHEN coalesce(part, 0) <= 0 OR coalesce(whole, 0) <= 0 THEN 0 ELSE greatest(round(part * length / whole, 1), 1.5) END $$;
COMMENT ON FUNCTION refundx.report_length(numeric, numeric, numeric) IS 'A part of a whole as a length; what is not nothing is to be seen';

/*
 * Two bars for each class, ours above the channel's.  Those that agree have a scale
 * of their own: beside a day's business a difference of a hundred yuan would be less
 * than a hair.
 */
CREATE FUNCTION refundx.report_chart_classes(r refundx.report_subject, money text, agreeing boolean) RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$
	WITH bar AS (
		SELECT k.n, k.label, k.chinese, sum(k.number) AS number, sum(k.ours)::bigint AS ours, sum(k.channels)::bigint AS channels,
			   row_number() OVER (ORDER BY k.n) - 1 AS i
		  FROM refundx.report_classes(r) k
		 WHERE k.currency = money AND k.agrees = agreeing
		 GROUP BY 1, 2, 3
	), scale AS (
		SELECT greatest(max(ours), max(channels), 1) AS top, count(*) AS bars FROM bar)
	SELECT CASE WHEN scale.bars > 0 THEN
		format('<svg class="chart" viewBox="0 0 760 %s" role="img" aria-label="%s">', 44 * scale.bars + 6,
			   refundx.html(format('Sums of both sides per class, %s', money)))
		|| (SELECT string_agg(
				format('<g><title>%s: ours %s, the channel''s %s</title>', b.label, refundx.report_money(b.ours, money), refundx.report_money(b.channels, money))
				|| format('<text class="t" x="0" y="%s">%s</text><text class="s" x="0" y="%s">%s &#183; %s</text>', 44 * b.i + 16, b.label, 44 * b.i + 31, b.chinese, refundx.report_count(b.number::bigint))
				|| format('<rect class="ours" x="170" y="%s" width="%s" height="14" rx="2" /><text class="v" x="%s" y="%s">%s</text>', 44 * b.i + 5,
						  refundx.report_length(b.ours, scale.top, 440), 178 + refundx.report_length(b.ours, scale.top, 440), 44 * b.i + 16, refundx.report_money(b.ours, money))
				|| format('<rect class="theirs" x="170" y="%s" width="%s" height="14" rx="2" /><text class="v" x="%s" y="%s">%s</text></g>', 44 * b.i + 21,
						  refundx.report_length(b.channels, scale.top, 440), 178 + refundx.report_length(b.channels, scale.top, 440), 44 * b.i + 32, refundx.report_money(b.channels, money)),
				'' ORDER BY b.i) FROM bar b)
		|| format('<line class="axis" x1="169.5" x2="169.5" y1="0" y2="%s" /></svg>', 44 * scale.bars) END
	  FROM scale
$$;
COMMENT ON FUNCTION refundx.report_chart_classes(refundx.report_subject, text, boolean) IS 'Bars of the sums of both sides per class, as SVG; null: there is nothing to draw';

/*
 * A column for each of the last fourteen days: how soon the channel proved what was
 * submitted then.  The darkest is within an hour.
 */
CREATE FUNCTION refundx.report_chart_certainty(r refundx.report_subject, money text) RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$
	WITH day AS (
		SELECT d::date AS day, row_number() OVER (ORDER BY d) - 1 AS i
		  FROM generate_series(r.day - 13, r.day, interval '1 day') d
	), sums AS (
		SELECT c.day, sum(c.amount - c.never_sent) AS whole, sum(c.within_hour) AS hour, sum(c.within_day) AS one_day,
			   sum(c.within_4_days) AS four_days, sum(c.proven) AS proven, sum(c.open) AS open
		  FROM refundx.certainty(r.day - 13, r.day, r.channels) c
		 WHERE c.currency = money GROUP BY 1
	), part AS (
		SELECT d.i, d.day, s.whole, p.class, p.label, p.low, p.high
		  FROM day d JOIN sums s USING (day),
			   LATERAL (VALUES ('hour', 'within an hour', 0::numeric, s.hour), ('oneday', 'within a day', s.hour, s.one_day),
						('fourdays', 'within four days', s.one_day, s.four_days), ('later', 'later', s.four_days, s.proven),
						('open', 'not yet proven', s.proven, s.whole)) p (class, label, low, high)
		 WHERE s.whole > 0 AND p.high > p.low)
	SELECT '<svg class="chart" viewBox="0 0 760 236" role="img" aria-label="How soon the channel proved what was submitted, per day">'
		|| (SELECT string_agg(format('<line class="grid" x1="48" x2="760" y1="%s" y2="%s" /><text class="a" x="40" y="%s">%s %%</text>', y, y, y + 4, p), '' ORDER BY p)
			  FROM (SELECT p, 190 - 1.7 * p + 0.5 AS y FROM unnest(ARRAY[0, 25, 50, 75, 100]) p) g)
		|| coalesce((SELECT string_agg(format('<rect class="%s" x="%s" y="%s" width="34" height="%s"><title>%s, %s: %s %%</title></rect>', p.class, 56 + 50 * p.i,
						  round(190 - 170 * p.high / p.whole, 1), round(170 * (p.high - p.low) / p.whole, 1), p.day, p.label,
						  round(100 * (p.high - p.low) / p.whole, 2)), '' ORDER BY p.i, p.low) FROM part p), '')
		|| (SELECT string_agg(format('<text class="d" x="%s" y="207">%s</text>', 73 + 50 * d.i, to_char(d.day, 'MM-DD')), '' ORDER BY d.i) FROM day d)
		|| '<g class="key"><rect class="hour" x="56" y="220" width="10" height="10" /><text class="s" x="71" y="229">within an hour</text>'
		|| '<rect class="oneday" x="186" y="220" width="10" height="10" /><text class="s" x="201" y="229">within a day</text>'
		|| '<rect class="fourdays" x="306" y="220" width="10" height="10" /><text class="s" x="321" y="229">within four days</text>'
		|| '<rect class="later" x="446" y="220" width="10" height="10" /><text class="s" x="461" y="229">later</text>'
		|| '<rect class="open" x="526" y="220" width="10" height="10" /><text class="s" x="541" y="229">not proven by the channel</text></g></svg>'
	 WHERE EXISTS (SELECT FROM part)
$$;
COMMENT ON FUNCTION refundx.report_chart_certainty(refundx.report_subject, text) IS 'Columns of how soon the channel proved each day''s amount, as SVG; null: there is nothing to draw';

-- How many breaks are open, by age.
CREATE FUNCTION refundx.report_chart_ages(r refundx.report_subject, money text) RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$
	WITH age AS (
		SELECT a.i, a.age, a.class, count(b.break_id) AS n, coalesce(sum(greatest(b.our_amount, b.bill_amount)), 0)::bigint AS amount
		  FROM (VALUES (0, '<1 day', 'young'), (1, '1-4 days', 'older'), (2, '>4 days', 'oldest')) a (i, age, class)
		  LEFT JOIN refundx.report_breaks(r) b ON b.age_bucket = a.age AND b.currency = money
		 GROUP BY 1, 2, 3
	), scale AS (SELECT max(n) AS top FROM age)
	SELECT '<svg class="chart" viewBox="0 0 760 96" role="img" aria-label="Open breaks by age">'
		|| (SELECT string_agg(
				format('<g><text class="t" x="0" y="%s">%s</text><rect class="%s" x="170" y="%s" width="%s" height="18" rx="2" />', 32 * a.i + 19, refundx.html(a.age), a.class,
					   32 * a.i + 5, refundx.report_length(a.n, scale.top, 380))
				|| format('<text class="v" x="%s" y="%s">%s &#183; %s %s</text></g>', 178 + refundx.report_length(a.n, scale.top, 380), 32 * a.i + 19, a.n,
						  refundx.report_money(a.amount, money), refundx.html(money)), '' ORDER BY a.i) FROM age a)
		|| '<line class="axis" x1="169.5" x2="169.5" y1="0" y2="96" /></svg>'
	  FROM scale WHERE scale.top > 0
$$;
COMMENT ON FUNCTION refundx.report_chart_ages(refundx.report_subject, text) IS 'Bars of the open breaks by age, as SVG; null: there are none';
