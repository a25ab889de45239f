/*
 * Reconciliation, first half: the channel's books of a day laid beside ours.
 *
 * Whatever agrees is never looked at singly: one hash join of the day's lines with
 * what we expect among them, out of which only the numbers come that do not simply
 * agree.  Those are few, and are looked at closely (reconcile_resolve, reconcile_seen,
 * reconcile_class).  All in sets; nothing loops over lines.
 *
 * What is ours on a day, is told by the channel's kinds of bills: a refund belongs on
 * the day on which the channel took it on (WeChat, Stripe), or on which it was paid
 * (Alipay).  Nearly always its attempts, or all of its life, are within the day; where
 * they are not, the evidence says when it was.
 *
 * The temporary tables are made anew by each run, and it is an error if there are such:
 * these functions have their owner's rights, and would fire the triggers of a stranger's
 * table of that name.  What looks at them is in plpgsql: a function in SQL keeps its plan,
 * and with it the tables of the run before, to the end of the transaction.
 */

-- What a run is about: a merchant's day, where the channel is, and the loaded bills of it.
CREATE TYPE refundx.reconcile_subject AS (
	merchant_id	int,
	channel_id	int,
	channel		text,
	channel_kind text,
	day			date,
	utc_offset	interval,
	from_at		timestamptz,
	to_at		timestamptz,
	delay		int,
	delays		int[],
	bills		bigint[],
	taken		bigint[],
	covers		text[],
	accepted	text[]
);
COMMENT ON TYPE refundx.reconcile_subject IS 'What a run of refundx.reconcile() is about: a merchant''s day and its loaded bills';
COMMENT ON COLUMN refundx.reconcile_subject.delay IS 'So many days any line may stand away from its own day';
COMMENT ON COLUMN refundx.reconcile_subject.delays IS 'The same for lines of refunds, and of withdrawals, in the bills that cover them';
COMMENT ON COLUMN refundx.reconcile_subject.taken IS 'Those of the bills whose "paid" says only that the channel took it on';
COMMENT ON COLUMN refundx.reconcile_subject.covers IS 'Of what the silence of these bills means something: refund, withdrawal';
COMMENT ON COLUMN refundx.reconcile_subject.accepted IS 'What of it stands on the day on which the channel took it on; the rest where it was paid';

CREATE FUNCTION refundx.reconcile_subject(merchant int, channel_id int, day date) RETURNS refundx.reconcile_subject
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
AS $$
DECLARE
	s refundx.reconcile_subject;
BEGIN
	SELECT c.channel_id, c.merchant_id, c.name, c.kind INTO s.channel_id, s.merchant_id, s.channel, s.channel_kind
	  FROM refundx.channel c WHERE c.channel_id = reconcile_subject.channel_id AND c.merchant_id = merchant;
	s.day := day;
	SELECT make_interval(secs => max(k.utc_offset)), max(k.delay_days),
		   ARRAY[coalesce(max(k.delay_days) FILTER (WHERE k.has_refunds), 0), coalesce(max(k.delay_days) FILTER (WHERE k.has_transfers), 0)],
		   array_agg(b.bill_id ORDER BY b.bill_id) FILTER (WHERE b.bill_id IS NOT NULL),
		   coalesce(array_agg(b.bill_id) FILTER (WHERE k.paid_is_taken AND b.bill_id IS NOT NULL), '{}'),
		   array_remove(ARRAY[CASE WHEN bool_or(k.has_refunds AND b.bill_id IS NOT NULL) THEN 'refund' END,
							  CASE WHEN bool_or(k.has_transfers AND b.bill_id IS NOT NULL) THEN 'withdrawal' END], NULL),
		   array_remove(ARRAY[CASE WHEN bool_or(k.has_refunds AND k.by_acceptance) THEN 'refund' END,
							  CASE WHEN bool_or(k.has_transfers AND k.by_acceptance) THEN 'withdrawal' END], NULL)
	  INTO s.utc_offset, s.delay, s.delays, s.bills, s.taken, s.covers, s.accepted
	  FROM refundx.bill_kinds() k
	  LEFT JOIN refundx.bill b ON b.merchant_id = s.merchant_id AND b.kind = k.kind AND b.day = s.day AND b.state IN ('loaded', 'empty')
	 WHERE k.channel_kind = s.channel_kind;
	s.from_at := (s.day::timestamp - s.utc_offset) AT TIME ZONE 'UTC';
	s.to_at := s.from_at + interval '24 hours';
	RETURN s;
END
$$;
COMMENT ON FUNCTION refundx.reconcile_subject(int, int, date) IS 'What reconciling a day is about; bills is null if none is loaded';

-- Up to which day's bills one of that day is waited for.
CREATE FUNCTION refundx.reconcile_until(s refundx.reconcile_subject, about text) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL UNSAFE
AS $$ SELECT s.day + s.delays[CASE about WHEN 'refund' THEN 1 ELSE 2 END] $$;
COMMENT ON FUNCTION refundx.reconcile_until(refundx.reconcile_subject, text) IS 'The last day in whose bills a refund or withdrawal of a day may stand';

-- Have all bills that could speak of it come, for each day after `after` up to `until`?
-- A day without business counts; one whose bill cannot be had does not.
CREATE FUNCTION refundx.reconcile_complete(s refundx.reconcile_subject, about text, after date, until date) RETURNS boolean
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$
	SELECT NOT EXISTS (
		SELECT FROM refundx.bill_kinds() k,
			   generate_series(after::timestamp + interval '1 day', until::timestamp, interval '1 day') d
		 WHERE k.channel_kind = s.channel_kind
		   AND CASE about WHEN 'refund' THEN k.has_refunds ELSE k.has_transfers END
		   AND NOT EXISTS (SELECT FROM refundx.bill b
							WHERE b.merchant_id = s.merchant_id AND b.kind = k.kind AND b.day = d::date AND b.state IN ('loaded', 'empty')))
$$;
COMMENT ON FUNCTION refundx.reconcile_complete(refundx.reconcile_subject, text, date, date) IS
'Whether every bill that covers refunds (or withdrawals) has come for each day after one up to another';

CREATE FUNCTION refundx.reconcile_tables() RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
BEGIN
	-- numbers to be looked at closely; numbers that must be, whether they agree or not
	CREATE TEMPORARY TABLE rx_number (about text COLLATE "C", number text COLLATE "C", expected boolean, lines bigint,
		instruction_id bigint, former boolean);
	CREATE TEMPORARY TABLE rx_extra (about text COLLATE "C", number text COLLATE "C", again boolean);
	-- how many of ours are expected on the day
	CREATE TEMPORARY TABLE rx_total (about text COLLATE "C", currency text COLLATE "C", n bigint, amount numeric);
	-- the lines of those numbers, also of other days
	CREATE TEMPORARY TABLE rx_seen (about text COLLATE "C", number text COLLATE "C", day date, kind text COLLATE "C",
		bill_id bigint, line_no int, movement text COLLATE "C", taken boolean, ledger boolean, amount bigint, currency text COLLATE "C",
		payer_amount bigint, fee bigint, rate bigint, occurred_at timestamptz, payment_no text COLLATE "C",
		channel_payment_id text COLLATE "C", channel_refund_id text COLLATE "C", code text);
	-- what each of them comes to
	CREATE TEMPORARY TABLE rx_class (about text COLLATE "C", number text COLLATE "C", class text COLLATE "C", instruction_id bigint,
		former boolean, state text, our_amount bigint, bill_amount bigint, currency text COLLATE "C", our_fee bigint, bill_fee bigint,
		word text COLLATE "C", verdict text, bill_id bigint, line_no int, until date, waits_for text, reason text, suggestion text);
END
$$;
COMMENT ON FUNCTION refundx.reconcile_tables() IS 'Makes the temporary tables of a run. Error: 42P07 there is a table of such a name';

CREATE FUNCTION refundx.reconcile_tables_drop() RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
BEGIN
	DROP TABLE pg_temp.rx_number, pg_temp.rx_extra, pg_temp.rx_total, pg_temp.rx_seen, pg_temp.rx_class;
END
$$;
COMMENT ON FUNCTION refundx.reconcile_tables_drop() IS 'Drops the temporary tables of a run';

/*
 * The first id that was given out at `at` or later.  Ids and times of submission grow
 * together, so a few probes of the primary key take the place of an index by time,
 * for which every submit would have to pay.
 */
CREATE FUNCTION refundx.reconcile_first_id(at timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
AS $$
DECLARE
	low bigint := 0;
	high bigint;
	middle bigint;
	found_at timestamptz;
BEGIN
	SELECT max(i.instruction_id) + 1 INTO high FROM refundx.instruction i;
	high := coalesce(high, 1);
	WHILE low < high LOOP
		middle := low + (high - low) / 2;
		SELECT i.submitted_at INTO found_at FROM refundx.instruction i
		 WHERE i.instruction_id >= middle ORDER BY i.instruction_id LIMIT 1;
		IF NOT FOUND OR found_at >= at THEN
			high := middle;
		ELSE
			low := middle + 1;
		END IF;
	END LOOP;
	RETURN low;
END
$$;
COMMENT ON FUNCTION refundx.reconcile_first_id(timestamptz) IS 'The first instruction that was submitted at that time or later; its id, or the next one to be given out';

/*
 * Ours of a day, as a query.  What was submitted long before, and sent on the day (it
 * waited for approval, or for room in a cap), is found by the day's attempts.
 */
CREATE FUNCTION refundx.reconcile_ours(s refundx.reconcile_subject) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
AS $$
DECLARE
	about text;
	what text;
	parts text[] := '{}';
	ids text;
	late bigint[];
	-- the tests' clock runs ahead of that which submitted_at goes by
	ahead interval := greatest(current_setting('refundx.clock_offset')::interval, interval '0');
	low bigint := refundx.reconcile_first_id(s.from_at - interval '3 days' - ahead);
	high bigint := refundx.reconcile_first_id(s.to_at + interval '1 minute');
BEGIN
	SELECT array_agg(DISTINCT a.instruction_id) INTO late FROM refundx.attempt a
	 WHERE a.started_at >= s.from_at AND a.started_at < s.to_at AND a.merchant_id = s.merchant_id AND a.instruction_id < low;
	ids := format('i.instruction_id >= %s AND i.instruction_id < %s', low, high);
	IF late IS NOT NULL THEN
		ids := format('(%s OR i.instruction_id = ANY (%L::bigint[]))', ids, late);
	END IF;
	FOREACH about IN ARRAY s.covers LOOP
		what := CASE WHEN about = ANY (s.accepted) THEN 'coalesce(i.last_attempt_at, i.first_attempt_at)' ELSE 'i.state_since' END;
		parts := parts || format($q$
			SELECT i.wire_no, %1$L::text COLLATE "C" AS about, i.amount::bigint AS amount, i.currency COLLATE "C" AS currency,
				   i.state IN ('succeeded', 'returned') AS paid, i.state = 'accepted' AS accepted
			  FROM refundx.instruction i
			 WHERE i.merchant_id = %2$s AND i.kind = %1$L AND %3$s
			   AND i.state IN (%4$s) AND i.first_attempt_at < %5$L AND %6$s >= %7$L
			   AND (i.first_attempt_at >= %7$L AND %6$s < %5$L
					OR (SELECT min(coalesce(e.occurred_at, e.received_at)) FROM refundx.evidence e
						 WHERE e.wire_no = i.wire_no AND e.merchant_id = i.merchant_id AND e.about = i.kind
						   AND e.proof AND e.source NOT IN ('operator', 'recovery') AND e.verdict IN (%8$s))
					   <@ tstzrange(%7$L, %5$L, '[)'))$q$,
			about, s.merchant_id, ids,
			CASE WHEN about = ANY (s.accepted) THEN $q$'accepted', 'abnormal', 'succeeded', 'returned'$q$ ELSE $q$'succeeded', 'returned'$q$ END,
			s.to_at, what, s.from_at,
			CASE WHEN about = ANY (s.accepted) THEN $q$'accepted', 'abnormal', 'succeeded', 'returned', 'reversed', 'dead'$q$ ELSE $q$'succeeded', 'returned'$q$ END);
	END LOOP;
	RETURN array_to_string(parts, ' UNION ALL ');
END
$$;
COMMENT ON FUNCTION refundx.reconcile_ours(refundx.reconcile_subject) IS 'The query for what of ours belongs in a day''s bills';

/*
 * A line's fee agrees with a rate if rounding explains the difference: less than one
 * minor unit, whichever way the channel rounds.  fee: thousandths of a minor unit.
 */
CREATE FUNCTION refundx.reconcile_fee_text(s refundx.reconcile_subject) RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$
	SELECT format('(l.fee IS NULL OR CASE WHEN l.amount > 1000000000000 OR abs(l.fee) > 1000000000000000 THEN false %s '
				  'ELSE l.rate IS NULL OR abs(abs(l.fee) * 1000 - l.amount * l.rate) < 1000000 END)',
				  coalesce(string_agg(format('WHEN l.about = %L THEN abs(l.fee * 1000 - l.amount * %s) < 1000000', f.about, f.rate_ppm), ' '), ''))
	  FROM refundx.bill_fee f WHERE f.merchant_id = s.merchant_id
$$;
COMMENT ON FUNCTION refundx.reconcile_fee_text(refundx.reconcile_subject) IS 'The condition under which a line''s fee agrees with its rate, or with the one that is expected';

-- The same number and movement more than once in one bill: by a hash, which is small.
CREATE FUNCTION refundx.reconcile_twice(lines text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET work_mem = '40MB' SET hash_mem_multiplier = 2 SET jit = off SET max_parallel_workers_per_gather = 0
AS $$
DECLARE
	once text := 'hashtextextended(l.number, l.bill_id * 256 + ascii(l.movement) + CASE l.about WHEN ''refund'' THEN 0 ELSE 128 END)';
	again bigint[];
BEGIN
	EXECUTE format('SELECT array_agg(x.h) FROM (SELECT %s AS h FROM (%s) l GROUP BY 1 HAVING count(*) > 1) x', once, lines) INTO again;
	IF again IS NOT NULL THEN
		EXECUTE format('INSERT INTO pg_temp.rx_extra SELECT DISTINCT l.about, l.number, true FROM (%s) l WHERE %s = ANY (%L::bigint[])', lines, once, again);
	END IF;
END
$$;
COMMENT ON FUNCTION refundx.reconcile_twice(text) IS 'Finds what a bill has more than once: into rx_extra. Errors: as SQL''s';

/*
 * The join.  Of a million lines that agree with a million of ours it keeps nothing but
 * two sums.  Hash joins only: the tables may have been filled this minute, and have no
 * statistics.
 */
CREATE FUNCTION refundx.reconcile_compare(s refundx.reconcile_subject) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET enable_nestloop = off SET enable_mergejoin = off SET work_mem = '56MB' SET hash_mem_multiplier = 2
SET jit = off SET max_parallel_workers_per_gather = 0
AS $$
DECLARE
	lines text := format($q$SELECT l.about, coalesce(l.wire_no, l.channel_refund_id) AS number, l.bill_id, l.movement,
								   l.amount, l.currency, l.fee, l.rate
							  FROM refundx.bill_line l
							 WHERE l.bill_id = ANY (%L::bigint[]) AND l.movement IN ('paid', 'under_way', 'abnormal', 'failed', 'came_back')
							   AND coalesce(l.wire_no, l.channel_refund_id) IS NOT NULL$q$, s.bills);
	ours text := coalesce(nullif(refundx.reconcile_ours(s), ''),
		$q$SELECT NULL::text COLLATE "C" AS wire_no, NULL::text COLLATE "C" AS about, NULL::bigint AS amount,
				  NULL::text COLLATE "C" AS currency, NULL::boolean AS paid, NULL::boolean AS accepted WHERE false$q$);
	marked text := format('SELECT l.*, false AS extra FROM (%s) l', lines);
	books int;
	clean_lines bigint;
	clean_ours bigint;
BEGIN
	-- a number of two bills is in both: there only a close look tells whether it is in one of them twice
	EXECUTE format('SELECT count(DISTINCT l.bill_id), count(*) FROM (%s) l', lines) INTO books, clean_lines;
	IF books > 1 THEN
		PERFORM refundx.reconcile_twice(lines);
	END IF;
	-- joined, for there may be as many of them as lines
	IF EXISTS (SELECT FROM pg_temp.rx_extra) THEN
		marked := format('SELECT l.*, x.number IS NOT NULL AS extra FROM (%s) l LEFT JOIN (SELECT DISTINCT about, number FROM pg_temp.rx_extra) x USING (about, number)', lines);
	END IF;
	EXECUTE format($q$
		WITH l AS NOT MATERIALIZED (%1$s), o AS NOT MATERIALIZED (%2$s),
		w AS (
			INSERT INTO pg_temp.rx_number (about, number, expected, lines)
			SELECT coalesce(l.about, o.about), coalesce(l.number, o.wire_no), o.wire_no IS NOT NULL, count(l.number)
			  FROM l FULL JOIN o ON o.wire_no = l.number AND o.about = l.about
			 WHERE (l.amount = o.amount AND l.currency = o.currency
					AND CASE l.movement WHEN 'paid' THEN o.paid OR l.bill_id = ANY (%3$L::bigint[])
										WHEN 'under_way' THEN true WHEN 'abnormal' THEN NOT o.accepted ELSE false END
					AND %4$s AND NOT l.extra) IS NOT TRUE
			 GROUP BY 1, 2, 3)
		INSERT INTO pg_temp.rx_total SELECT o.about, o.currency, count(*), sum(o.amount) FROM o GROUP BY 1, 2$q$,
		marked, ours, s.taken, refundx.reconcile_fee_text(s));
	/*
	 * Of one bill: each of ours that agrees has a line, and each line one of ours.  More
	 * lines than ours, then: some are there twice, and are looked for.
	 */
	SELECT clean_lines - coalesce(sum(n.lines), 0) INTO clean_lines FROM pg_temp.rx_number n;
	SELECT sum(t.n) - (SELECT count(*) FROM pg_temp.rx_number n WHERE n.expected) INTO clean_ours FROM pg_temp.rx_total t;
	IF books = 1 AND clean_lines > coalesce(clean_ours, 0) THEN
		PERFORM refundx.reconcile_twice(lines);
		INSERT INTO pg_temp.rx_number (about, number, expected)
			SELECT x.about, x.number, true FROM pg_temp.rx_extra x
			 WHERE x.again AND NOT EXISTS (SELECT FROM pg_temp.rx_number n WHERE n.about = x.about AND n.number = x.number);
	END IF;
	INSERT INTO pg_temp.rx_number (about, number, expected)
		SELECT DISTINCT x.about, x.number, false FROM pg_temp.rx_extra x
		 WHERE NOT EXISTS (SELECT FROM pg_temp.rx_number n WHERE n.about = x.about AND n.number = x.number);
END
$$;
COMMENT ON FUNCTION refundx.reconcile_compare(refundx.reconcile_subject) IS
'Lays a day''s lines beside ours: fills rx_number with the numbers that do not simply agree, and rx_total with how many of ours belong on the day (amounts in minor units). Error: as SQL''s';
