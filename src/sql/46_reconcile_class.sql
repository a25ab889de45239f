/*
 * Reconciliation, second half: the numbers that do not simply agree, each looked at
 * with all its lines, also those of other days, and put into exactly one class.
 *
 * What is said of a class here is said to people in doc/reconciliation.md.
 */

-- Whose they are: ours by their present number, or by one that a reissue has replaced.
CREATE FUNCTION refundx.reconcile_resolve(s refundx.reconcile_subject) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET jit = off SET max_parallel_workers_per_gather = 0
AS $$
BEGIN
	ANALYZE pg_temp.rx_number;
	UPDATE pg_temp.rx_number n SET instruction_id = i.instruction_id, former = false
	  FROM refundx.instruction i
	 WHERE i.merchant_id = s.merchant_id AND i.wire_no = n.number AND i.kind = n.about;
	UPDATE pg_temp.rx_number n SET instruction_id = f.instruction_id, former = true
	  FROM refundx.former_number f
	 WHERE n.instruction_id IS NULL AND f.merchant_id = s.merchant_id AND f.wire_no = n.number AND f.about = n.about;
	-- with the statistics of before it would look as if none were ours
	ANALYZE pg_temp.rx_number;
END
$$;
COMMENT ON FUNCTION refundx.reconcile_resolve(refundx.reconcile_subject) IS 'Finds whose the numbers are. Errors: as SQL''s';

-- All lines of those numbers in the merchant's bills from one day to another.  `only`:
-- expected (ours of the day that no line has been found of) or gone (what money was
-- taken for, and has not come back).
CREATE FUNCTION refundx.reconcile_look(s refundx.reconcile_subject, first date, last date, only_what text DEFAULT 'all') RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET enable_nestloop = off SET enable_mergejoin = off SET work_mem = '32MB' SET jit = off SET max_parallel_workers_per_gather = 0
AS $$
DECLARE
	bills bigint[];
BEGIN
	SELECT array_agg(b.bill_id) INTO bills FROM refundx.bill b
	 WHERE b.merchant_id = s.merchant_id AND b.day BETWEEN first AND last AND b.state = 'loaded';
	IF bills IS NULL THEN
		RETURN;
	END IF;
	EXECUTE format($q$
		INSERT INTO pg_temp.rx_seen
		SELECT l.about, n.number, b.day, b.kind, l.bill_id, l.line_no, l.movement, k.paid_is_taken AND l.movement = 'paid', k.is_ledger,
			   l.amount, l.currency, l.payer_amount, l.fee, l.rate, l.occurred_at, l.payment_no, l.channel_payment_id, l.channel_refund_id, l.code
		  FROM refundx.bill_line l
		  JOIN (SELECT DISTINCT about, number, instruction_id, expected FROM pg_temp.rx_number) n
			ON n.about = l.about AND n.number = coalesce(l.wire_no, l.channel_refund_id)
		  JOIN refundx.bill b ON b.bill_id = l.bill_id
		  JOIN refundx.bill_kinds() k ON k.kind = b.kind AND k.channel_kind = %L
		 WHERE l.bill_id = ANY (%L::bigint[]) AND l.movement IN ('paid', 'under_way', 'abnormal', 'failed', 'came_back') %s$q$,
		s.channel_kind, bills,
		CASE only_what
			WHEN 'expected' THEN $q$AND n.expected AND NOT EXISTS (SELECT FROM pg_temp.rx_seen r WHERE r.about = n.about AND r.number = n.number)$q$
			WHEN 'gone' THEN $q$AND (n.about, n.number) IN (SELECT about, number FROM pg_temp.rx_seen GROUP BY 1, 2
															  HAVING bool_or(taken) AND NOT bool_or(movement = 'came_back'))$q$
			ELSE '' END);
END
$$;
COMMENT ON FUNCTION refundx.reconcile_look(refundx.reconcile_subject, date, date, text) IS 'Fetches the lines of the numbers in question from the bills of some days. Errors: as SQL''s';

/*
 * Those of the day and of its neighbours; and further away where there is reason to: for
 * ours that have none yet, from their first attempt on; for money that was taken, until
 * it has come back.  How far `upto` goes: all that has come, or only the day that has
 * just come, for a day that was looked at before.
 */
CREATE FUNCTION refundx.reconcile_seen(s refundx.reconcile_subject, just_come date) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	first date;
	last date;
	near int := greatest(s.delays[1], s.delays[2]);
BEGIN
	PERFORM refundx.reconcile_look(s, s.day - near, s.day + near);
	ANALYZE pg_temp.rx_seen;
	SELECT greatest(min(((i.first_attempt_at AT TIME ZONE 'UTC') + s.utc_offset)::date) - 1, s.day - 45) INTO first
	  FROM pg_temp.rx_number n JOIN refundx.instruction i USING (instruction_id)
	 WHERE n.expected AND NOT EXISTS (SELECT FROM pg_temp.rx_seen r WHERE r.about = n.about AND r.number = n.number);
	IF first < s.day - near THEN
		PERFORM refundx.reconcile_look(s, first, s.day - near - 1, 'expected');
	END IF;
	SELECT least(max(b.day), s.day + 45) INTO last FROM refundx.bill b
	 WHERE b.merchant_id = s.merchant_id AND b.state = 'loaded';
	first := s.day + near + 1;
	IF just_come IS NOT NULL THEN
		first := greatest(first, just_come);
		last := least(last, just_come);
	END IF;
	IF first <= last THEN
		IF EXISTS (SELECT FROM pg_temp.rx_number n
					WHERE n.expected AND NOT EXISTS (SELECT FROM pg_temp.rx_seen r WHERE r.about = n.about AND r.number = n.number)) THEN
			PERFORM refundx.reconcile_look(s, first, last, 'expected');
		END IF;
		IF EXISTS (SELECT FROM pg_temp.rx_seen r JOIN pg_temp.rx_number n USING (about, number) JOIN refundx.instruction i USING (instruction_id)
					WHERE r.taken AND (n.former OR i.state IN ('failed', 'canceled', 'stopped'))) THEN
			PERFORM refundx.reconcile_look(s, first, last, 'gone');
		END IF;
	END IF;
	ANALYZE pg_temp.rx_seen;
END
$$;
COMMENT ON FUNCTION refundx.reconcile_seen(refundx.reconcile_subject, date) IS 'Fetches all lines that can matter for the numbers in question. Errors: as SQL''s';

-- What an earlier run over this day called settled by the bill, stays that.
CREATE FUNCTION refundx.reconcile_stays(s refundx.reconcile_subject) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET enable_nestloop = off SET jit = off
AS $$
BEGIN
	UPDATE pg_temp.rx_class c SET class = 'settled_by_bill'
	  FROM refundx.bill_word w
	 WHERE w.merchant_id = s.merchant_id AND w.day = s.day AND w.about = c.about AND w.wire_no = c.number
	   AND w.class = 'settled_by_bill' AND c.class = 'matched';
END
$$;
COMMENT ON FUNCTION refundx.reconcile_stays(refundx.reconcile_subject) IS 'What was settled by the bill is so at the next run, too. Errors: as SQL''s';

/*
 * What the channel's books say of each number, all its lines together, and what that is
 * to ours.  `taken`: money left by a ledger that says no more than that.  Only a line of
 * this very day becomes evidence: another day's is for the run over that day.
 */
CREATE FUNCTION refundx.reconcile_class(s refundx.reconcile_subject) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET work_mem = '32MB' SET jit = off SET max_parallel_workers_per_gather = 0
AS $$
BEGIN
	EXECUTE format($q$
	WITH said AS (
		SELECT l.about, l.number, count(*) AS lines, count(*) FILTER (WHERE l.day = %1$L) AS here,
			   bool_or(l.movement = 'came_back') AS back, bool_or(l.movement = 'came_back' AND l.day = %1$L) AS back_here,
			   bool_or(l.movement = 'paid' AND NOT l.taken) AS paid, bool_or(l.movement = 'paid' AND NOT l.taken AND l.day = %1$L) AS paid_here,
			   bool_or(l.movement = 'failed') AS failed, bool_or(l.movement = 'failed' AND l.day = %1$L) AS failed_here,
			   bool_or(l.movement = 'abnormal') AS abnormal, bool_or(l.movement = 'abnormal' AND l.day = %1$L) AS abnormal_here,
			   bool_or(l.taken) AS taken,
			   min(l.amount) FILTER (WHERE l.day = %1$L) AS least, max(l.amount) FILTER (WHERE l.day = %1$L) AS most,
			   min(l.currency) FILTER (WHERE l.day = %1$L) AS said_in, max(l.currency) FILTER (WHERE l.day = %1$L) AS said_in_too,
			   bool_or(l.day = %1$L AND NOT %2$s) AS fee_differs
		  FROM pg_temp.rx_seen l GROUP BY 1, 2),
	-- one of a kind too many: in the day's bill, or in it and in that of a day before
	twice AS (
		SELECT x.about, x.number, sum(x.amount) AS amount FROM (
			SELECT l.about, l.number, sum(l.amount) AS amount FROM pg_temp.rx_seen l WHERE l.day <= %1$L
			 GROUP BY l.about, l.number, l.kind, l.movement
			HAVING count(*) > 1 AND bool_or(l.day = %1$L)) x GROUP BY 1, 2),
	line AS (
		SELECT DISTINCT ON (l.about, l.number) l.* FROM pg_temp.rx_seen l WHERE l.day = %1$L
		 ORDER BY l.about, l.number, l.ledger, array_position('{came_back,paid,failed,abnormal,under_way}', l.movement), l.bill_id, l.line_no),
	judged AS (
		SELECT n.about, n.number, n.expected, n.former, i.instruction_id, i.amount::bigint AS our_amount, i.currency COLLATE "C" AS our_currency,
			   CASE WHEN n.former THEN 'failed' ELSE i.state END AS state,
			   greatest(%1$L, ((coalesce(f.replaced_at, i.state_since) AT TIME ZONE 'UTC') + %5$L::interval)::date) AS ended_on,
			   coalesce(d.here, 0) AS here, d.lines, d.back, d.back_here, d.paid, d.paid_here, d.failed, d.failed_here, d.abnormal_here,
			   d.taken, d.least, d.most, d.said_in, d.said_in_too, coalesce(d.fee_differs, false) AS fee_differs, w.amount AS twice, l.amount AS line_amount, l.currency AS line_currency, l.fee, l.rate, l.bill_id, l.line_no,
			   CASE WHEN d.back THEN 'came_back' WHEN d.paid THEN 'paid' WHEN d.failed THEN 'failed'
					WHEN d.abnormal THEN 'abnormal' WHEN d.lines > 0 THEN 'under_way' END AS word
		  FROM (SELECT DISTINCT about, number, expected, instruction_id, former FROM pg_temp.rx_number) n
		  LEFT JOIN refundx.instruction i ON i.instruction_id = n.instruction_id
		  LEFT JOIN refundx.former_number f ON n.former AND f.merchant_id = %3$s AND f.wire_no = n.number
		  LEFT JOIN said d ON d.about = n.about AND d.number = n.number
		  LEFT JOIN twice w ON w.about = n.about AND w.number = n.number
		  LEFT JOIN line l ON l.about = n.about AND l.number = n.number),
	meant AS (
		SELECT j.*,
			-- is it one of ours of the day that has no line in the day's bills?
			CASE WHEN j.here > 0 THEN NULL
				 WHEN NOT j.expected OR j.state NOT IN ('accepted', 'abnormal', 'succeeded', 'returned') OR j.former THEN 'nothing'
				 WHEN j.lines > 0 THEN 'other_day'
				 WHEN j.about = ANY (%4$L::text[]) THEN 'missing_at_channel' ELSE 'waits' END AS absent,
			-- what the line means for ours: nothing new, news, or the contrary
			CASE WHEN j.instruction_id IS NULL THEN 'not ours'
				 WHEN j.word = 'came_back' THEN
					CASE WHEN j.state IN ('returned', 'failed', 'canceled', 'stopped') OR NOT j.back_here THEN 'known' ELSE 'news' END
				 WHEN j.word = 'paid' THEN
					CASE WHEN j.state IN ('succeeded', 'returned') THEN 'known' WHEN j.state IN ('failed', 'canceled') THEN 'contrary' ELSE 'news' END
				 WHEN j.word = 'failed' THEN
					CASE WHEN j.state = 'succeeded' THEN 'contrary' WHEN j.state IN ('failed', 'canceled', 'stopped', 'returned') THEN 'known' ELSE 'news' END
				 -- a trade bill is as of the morning after: what is under way there may have ended since
				 WHEN j.state = 'canceled' AND NOT j.taken THEN 'contrary'
				 WHEN j.state IN ('failed', 'canceled', 'stopped') THEN CASE WHEN j.taken THEN 'gone' ELSE 'known' END
				 WHEN j.state IN ('succeeded', 'returned', 'abnormal') THEN 'known'
				 WHEN j.word = 'abnormal' OR j.state <> 'accepted' THEN 'news'
				 ELSE 'known' END AS meaning
		  FROM judged j),
	-- `differs`, and `open`: it may yet come back
	weighed AS (
		SELECT m.*, m.least <> m.our_amount OR m.most <> m.our_amount OR m.said_in <> m.our_currency OR m.said_in_too <> m.our_currency AS differs,
			   m.meaning = 'gone' AND NOT refundx.reconcile_complete(%6$L::refundx.reconcile_subject, m.about, %1$L, m.ended_on + %7$s) AS open
		  FROM meant m
		 WHERE m.absent IS DISTINCT FROM 'nothing' AND (m.here > 0 OR m.absent IS NOT NULL)),
	proven AS (
		SELECT w.*,
			   CASE WHEN w.here = 0 OR w.meaning = 'known' OR w.meaning <> 'not ours' AND w.differs THEN NULL
					WHEN w.meaning = 'not ours' THEN CASE WHEN w.back OR w.failed THEN NULL WHEN w.paid_here THEN 'succeeded'
														  WHEN w.abnormal_here THEN 'abnormal' ELSE 'accepted' END
					WHEN w.meaning = 'gone' THEN CASE WHEN NOT w.former AND NOT w.open THEN 'accepted' END
					WHEN w.word = 'came_back' THEN 'reversed'
					WHEN w.word = 'paid' THEN CASE WHEN w.paid_here THEN 'succeeded' END
					WHEN w.word = 'failed' THEN CASE WHEN w.failed_here THEN 'dead' END
					WHEN w.word = 'abnormal' THEN CASE WHEN w.abnormal_here THEN 'abnormal' END
					ELSE 'accepted' END AS verdict
		  FROM weighed w)
	INSERT INTO pg_temp.rx_class (about, number, class, instruction_id, former, state, our_amount, bill_amount, currency, our_fee, bill_fee,
								  word, verdict, bill_id, line_no, until, waits_for)
	SELECT p.about, p.number,
		   CASE WHEN p.absent = 'waits' THEN 'other_day' WHEN p.absent IS NOT NULL THEN p.absent
				WHEN p.twice IS NOT NULL THEN 'twice'
				WHEN p.meaning = 'not ours' THEN 'missing_here'
				WHEN p.differs THEN 'amount_differs'
				WHEN p.meaning = 'contrary' OR p.meaning = 'gone' AND NOT p.open THEN 'state_differs'
				WHEN p.open THEN 'other_day'
				WHEN p.fee_differs THEN 'fee_differs'
				WHEN p.meaning = 'news' AND p.verdict IS NOT NULL THEN 'settled_by_bill'
				ELSE 'matched' END,
		   p.instruction_id, p.former, p.state, p.our_amount, coalesce(p.twice, p.line_amount), coalesce(p.line_currency, p.our_currency),
		   refundx.reconcile_fee(%3$s, p.about, p.line_amount, p.fee, p.rate), p.fee, p.word, p.verdict, p.bill_id, p.line_no,
		   CASE WHEN p.absent = 'waits' THEN refundx.reconcile_until(%6$L::refundx.reconcile_subject, p.about)
				WHEN p.absent IS NULL AND p.open THEN p.ended_on + %7$s END,
		   CASE WHEN p.absent = 'waits' THEN 'its line' WHEN p.absent IS NULL AND p.open THEN 'its coming back' END
	  FROM proven p$q$,
	s.day, refundx.reconcile_fee_text(s), s.merchant_id,
	(SELECT array_agg(a) FROM unnest(s.covers) a WHERE refundx.reconcile_complete(s, a, s.day, refundx.reconcile_until(s, a))),
	s.utc_offset, s, s.delay);
	PERFORM refundx.reconcile_stays(s);
	ANALYZE pg_temp.rx_class;
END
$$;
COMMENT ON FUNCTION refundx.reconcile_class(refundx.reconcile_subject) IS 'Puts each number in question into exactly one class: fills rx_class. Errors: as SQL''s';

CREATE FUNCTION refundx.reconcile_fee(merchant int, about text, amount bigint, fee bigint, rate bigint) RETURNS bigint
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$
	SELECT CASE WHEN fee IS NULL THEN NULL ELSE coalesce(
		(SELECT round(amount::numeric * f.rate_ppm / 1000000)::bigint * 1000 FROM refundx.bill_fee f
		  WHERE f.merchant_id = merchant AND f.about = reconcile_fee.about),
		round(amount::numeric * rate / 1000000)::bigint * 1000 * CASE WHEN fee < 0 THEN -1 ELSE 1 END) END
$$;
COMMENT ON FUNCTION refundx.reconcile_fee(int, text, bigint, bigint, bigint) IS
'What the fee of a line should be, by its own rate or the expected one: thousandths of a minor unit, amount in minor units';
