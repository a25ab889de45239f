/*
 * Reconciliation, the end of it: what a run keeps.
 *
 * A run that finds what the last one found writes nothing, so that reconciling twice is
 * reconciling once.
 */

-- What the bill proves becomes evidence, like any other, and the settler settles it.
CREATE FUNCTION refundx.reconcile_evidence(s refundx.reconcile_subject) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	n bigint;
BEGIN
	CREATE TEMPORARY TABLE rx_word AS
		SELECT DISTINCT ON (c.about, c.number) c.about, c.number, c.class, c.verdict, c.instruction_id, coalesce(i.channel_id, b.channel_id) AS channel_id,
			   l.movement, l.bill_id, l.line_no, l.code, l.payment_no, l.channel_payment_id, l.channel_refund_id, l.amount, l.payer_amount,
			   l.currency, l.occurred_at, b.kind,
			   sha256(convert_to(concat_ws('|', 'bill', s.merchant_id, b.kind, s.day, c.about, c.number, l.movement, l.amount), 'UTF8')) AS digest
		  FROM pg_temp.rx_class c
		  JOIN pg_temp.rx_seen l ON l.about = c.about AND l.number = c.number AND l.day = s.day
		   AND CASE c.verdict WHEN 'succeeded' THEN l.movement = 'paid' AND NOT l.taken WHEN 'reversed' THEN l.movement = 'came_back'
							  WHEN 'dead' THEN l.movement = 'failed' WHEN 'abnormal' THEN l.movement = 'abnormal'
							  ELSE l.movement = 'under_way' OR l.taken END
		  JOIN refundx.bill b ON b.bill_id = l.bill_id
		  LEFT JOIN refundx.instruction i ON i.instruction_id = c.instruction_id
		 WHERE c.verdict IS NOT NULL
		 ORDER BY c.about, c.number, l.ledger, l.bill_id, l.line_no;
	INSERT INTO refundx.evidence (channel_id, merchant_id, source, about, digest, verdict, proof, wire_no, code, message, payment_no,
								  channel_payment_id, channel_refund_id, amount, payer_amount, currency, occurred_at, received_at)
		SELECT w.channel_id, s.merchant_id, 'bill', w.about, w.digest, w.verdict, true, w.number, 'BILL_' || upper(w.movement),
			   format('line %s of the %s bill of %s%s', w.line_no, w.kind, s.day, ': ' || w.code), w.payment_no,
			   w.channel_payment_id, w.channel_refund_id, w.amount, w.payer_amount, w.currency, w.occurred_at, refundx.desk_now()
		  FROM pg_temp.rx_word w ORDER BY w.bill_id, w.line_no
		ON CONFLICT (channel_id, digest) DO NOTHING;
	GET DIAGNOSTICS n = ROW_COUNT;
	INSERT INTO refundx.bill_word (merchant_id, day, about, wire_no, movement, class, evidence_id, instruction_id, bill_id, line_no)
		SELECT s.merchant_id, s.day, w.about, w.number, w.movement, w.class, e.evidence_id, w.instruction_id, w.bill_id, w.line_no
		  FROM pg_temp.rx_word w JOIN refundx.evidence e ON e.channel_id = w.channel_id AND e.digest = w.digest
		ON CONFLICT DO NOTHING;
	DROP TABLE pg_temp.rx_word;
	IF n > 0 THEN
		PERFORM refundx.desk_wake();
	END IF;
	RETURN n;
END
$$;
COMMENT ON FUNCTION refundx.reconcile_evidence(refundx.reconcile_subject) IS 'Keeps what the day''s lines prove as evidence, and wakes the settler; how many were new. Errors: as SQL''s';

-- How many there are of each class, and their sums.
CREATE FUNCTION refundx.reconcile_sums(s refundx.reconcile_subject,
	OUT class text, OUT about text, OUT n bigint, OUT our_amount bigint, OUT bill_amount bigint, OUT currency text)
RETURNS SETOF record
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
AS $$
BEGIN
	RETURN QUERY SELECT x.class, x.about, sum(x.n)::bigint, sum(x.our_amount)::bigint, sum(x.bill_amount)::bigint, x.currency
	  FROM (SELECT 'matched'::text AS class, t.about::text, t.n, t.amount AS our_amount, t.amount AS bill_amount, t.currency::text FROM pg_temp.rx_total t
			UNION ALL
			-- of these, those that did not simply agree
			SELECT 'matched', i.kind::text, -count(*), -sum(i.amount), -sum(i.amount), i.currency
			  FROM pg_temp.rx_number n JOIN refundx.instruction i ON i.merchant_id = s.merchant_id AND i.wire_no = n.number AND i.kind = n.about
			 WHERE n.expected GROUP BY i.kind, i.currency
			UNION ALL
			SELECT c.class::text, c.about::text, count(*), coalesce(sum(c.our_amount), 0), coalesce(sum(c.bill_amount), 0), c.currency::text
			  FROM pg_temp.rx_class c GROUP BY c.class, c.about, c.currency) x
	 GROUP BY x.class, x.about, x.currency HAVING sum(x.n) > 0;
END
$$;
COMMENT ON FUNCTION refundx.reconcile_sums(refundx.reconcile_subject) IS 'How many numbers of a day are in each class, and their amounts in minor units';

-- What people are told of a break.
CREATE FUNCTION refundx.reconcile_words(s refundx.reconcile_subject) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
BEGIN
	UPDATE pg_temp.rx_class c
	   SET reason = CASE c.class
			WHEN 'missing_at_channel' THEN format('the %s is %s here, and in none of the channel''s bills up to %s', c.about, c.state, refundx.reconcile_until(s, c.about))
			WHEN 'missing_here' THEN format('the bill of %s has a %s of this number (%s), which was not made here%s', s.day, c.about, c.word,
				CASE WHEN c.word = 'came_back' THEN '; its money came back' ELSE '' END)
			WHEN 'amount_differs' THEN format('the bill has %s %s under this number, and we %s %s',
				refundx.format_amount(c.bill_amount, c.currency), c.currency, refundx.format_amount(c.our_amount, i.currency), i.currency)
			WHEN 'state_differs' THEN CASE
				WHEN c.former THEN format('the bill says "%s" of a number that the channel had ended, and that another number has replaced', c.word)
				WHEN c.word = 'under_way' THEN format('the %s is %s here, and its money left the merchant''s account and has not come back', c.about, c.state)
				ELSE format('the bill says "%s", and the %s is %s here', c.word, c.about, c.state) END
			WHEN 'twice' THEN format('the channel''s bills have this number more than once, %s %s together', refundx.format_amount(c.bill_amount, c.currency), c.currency)
			WHEN 'fee_differs' THEN format('the channel took a fee of %s (thousandths of a minor unit), and %s was to be expected', c.bill_fee, coalesce(c.our_fee::text, 'another'))
			END,
		   suggestion = CASE c.class
			WHEN 'missing_at_channel' THEN 'Look the number up in the channel''s console, and ask the channel (refundx.query_now). If it was never paid, an operator says so with refundx.resolve.'
			WHEN 'missing_here' THEN 'Find out who made it: the channel''s console, another system, or this database before a restore. Then refundx.break_accept() to adopt it, or refundx.break_ignore().'
			WHEN 'amount_differs' THEN 'Nothing was moved. Compare the channel''s console with the timeline of this number, and ask the channel; then refundx.break_resolve().'
			WHEN 'state_differs' THEN 'Find out in the channel''s console which is true: refundx.resolve() corrects ours, refundx.break_resolve() closes this.'
			WHEN 'twice' THEN 'If the channel paid twice, claim one back from the channel; then refundx.break_resolve().'
			WHEN 'fee_differs' THEN 'Compare it with the contract: refundx.bill_expect_fee() says what is right, the channel gives back what it took too much.'
			END
	  FROM pg_temp.rx_class k LEFT JOIN refundx.instruction i ON i.instruction_id = k.instruction_id
	 WHERE k.about = c.about AND k.number = c.number
	   AND c.class IN ('missing_at_channel', 'missing_here', 'amount_differs', 'state_differs', 'twice', 'fee_differs');
END
$$;
COMMENT ON FUNCTION refundx.reconcile_words(refundx.reconcile_subject) IS 'The reason and the suggestion of each break. Errors: as SQL''s';

-- Is anything to be kept that is not there already?
CREATE FUNCTION refundx.reconcile_news(s refundx.reconcile_subject) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
AS $$
BEGIN
	RETURN EXISTS (
		SELECT FROM pg_temp.rx_class c
		  LEFT JOIN refundx.break b ON b.merchant_id = s.merchant_id AND b.about = c.about AND b.wire_no = c.number AND b.class = c.class AND b.day = s.day
		 WHERE c.reason IS NOT NULL
		   AND (b.break_id IS NULL OR b.closed_how = 'explained'
				OR b.closed_at IS NULL AND (b.our_amount, b.bill_amount, b.our_state, b.bill_movement, b.our_fee, b.bill_fee, b.instruction_id, b.bill_id, b.line_no)
					IS DISTINCT FROM (c.our_amount, c.bill_amount, c.state, c.word, c.our_fee, c.bill_fee, c.instruction_id, c.bill_id, c.line_no::int)))
	OR EXISTS (
		SELECT FROM refundx.break b
		 WHERE b.merchant_id = s.merchant_id AND b.day = s.day AND b.closed_at IS NULL
		   AND (b.about, b.wire_no) IN (SELECT n.about, n.number FROM pg_temp.rx_number n)
		   AND NOT EXISTS (SELECT FROM pg_temp.rx_class c WHERE c.about = b.about AND c.number = b.wire_no AND c.class = b.class))
	OR EXISTS (
		SELECT FROM pg_temp.rx_class c
		 WHERE c.until IS NOT NULL
		   AND NOT EXISTS (SELECT FROM refundx.other_day o WHERE o.merchant_id = s.merchant_id AND o.about = c.about AND o.wire_no = c.number AND o.day = s.day))
	OR EXISTS (
		SELECT FROM refundx.other_day o
		 WHERE o.merchant_id = s.merchant_id AND o.day = s.day
		   AND (o.about, o.wire_no) IN (SELECT n.about, n.number FROM pg_temp.rx_number n)
		   AND NOT EXISTS (SELECT FROM pg_temp.rx_class c WHERE c.about = o.about AND c.number = o.wire_no AND c.until IS NOT NULL));
END
$$;
COMMENT ON FUNCTION refundx.reconcile_news(refundx.reconcile_subject) IS 'Whether a run found breaks, or rows of the buffer, other than those that are kept';

-- Breaks that are new, are still so, or are so no more; and the buffer.
CREATE FUNCTION refundx.reconcile_breaks(s refundx.reconcile_subject, run bigint) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	now timestamptz := refundx.desk_now();
BEGIN
	UPDATE refundx.break b
	   SET closed_at = now, closed_by = 'refundx', closed_how = 'explained', run_id = run,
		   close_reason = CASE coalesce(c.class, 'none')
				WHEN 'none' THEN format('it is %s here by now, and nothing more is expected of the channel', coalesce(i.state, 'not known'))
				WHEN 'matched' THEN format('the channel''s books and ours agree by now: it is %s', c.state)
				WHEN 'settled_by_bill' THEN 'the channel''s bill settles it'
				WHEN 'other_day' THEN CASE WHEN c.until IS NULL THEN coalesce('it stands in the bill of '
					|| (SELECT min(l.day)::text FROM pg_temp.rx_seen l WHERE l.about = c.about AND l.number = c.number), 'it belongs to another day')
					ELSE 'it may yet stand in a bill to come' END
				ELSE 'it is another difference by now: ' || c.class END
	  FROM refundx.break k
	  LEFT JOIN pg_temp.rx_class c ON c.about = k.about AND c.number = k.wire_no
	  LEFT JOIN refundx.instruction i ON i.instruction_id = k.instruction_id
	 WHERE k.break_id = b.break_id AND b.merchant_id = s.merchant_id AND b.day = s.day AND b.closed_at IS NULL
	   AND (b.about, b.wire_no) IN (SELECT n.about, n.number FROM pg_temp.rx_number n)
	   AND c.class IS DISTINCT FROM b.class;
	INSERT INTO refundx.break AS b (merchant_id, channel_id, day, class, about, wire_no, instruction_id, bill_id, line_no, evidence_id,
			our_amount, bill_amount, our_fee, bill_fee, currency, our_state, bill_movement, reason, suggestion, opened_at, seen_at, run_id)
		SELECT s.merchant_id, coalesce(i.channel_id, s.channel_id), s.day, c.class, c.about, c.number, c.instruction_id, c.bill_id, c.line_no,
			   (SELECT w.evidence_id FROM refundx.bill_word w
				 WHERE w.merchant_id = s.merchant_id AND w.day = s.day AND w.about = c.about AND w.wire_no = c.number ORDER BY w.evidence_id LIMIT 1),
			   c.our_amount, c.bill_amount, c.our_fee, c.bill_fee, c.currency, c.state, c.word, c.reason, c.suggestion, now, now, run
		  FROM pg_temp.rx_class c LEFT JOIN refundx.instruction i ON i.instruction_id = c.instruction_id
		 WHERE c.reason IS NOT NULL
		 ORDER BY c.about, c.number
		ON CONFLICT (merchant_id, about, wire_no, class, day) DO UPDATE
		   SET instruction_id = excluded.instruction_id, bill_id = excluded.bill_id, line_no = excluded.line_no, evidence_id = excluded.evidence_id,
			   our_amount = excluded.our_amount, bill_amount = excluded.bill_amount, our_fee = excluded.our_fee, bill_fee = excluded.bill_fee,
			   currency = excluded.currency, our_state = excluded.our_state, bill_movement = excluded.bill_movement,
			   reason = excluded.reason, suggestion = excluded.suggestion, seen_at = excluded.seen_at, run_id = excluded.run_id,
			   closed_at = NULL, closed_by = NULL, closed_how = NULL, close_reason = NULL
		 -- what a person has closed stays closed
		 WHERE b.closed_at IS NULL OR b.closed_how = 'explained';
	DELETE FROM refundx.other_day o
	 WHERE o.merchant_id = s.merchant_id AND o.day = s.day
	   AND (o.about, o.wire_no) IN (SELECT n.about, n.number FROM pg_temp.rx_number n)
	   AND NOT EXISTS (SELECT FROM pg_temp.rx_class c WHERE c.about = o.about AND c.number = o.wire_no AND c.until IS NOT NULL);
	INSERT INTO refundx.other_day AS o (merchant_id, about, wire_no, day, until, instruction_id, amount, currency, waits_for, since)
		SELECT s.merchant_id, c.about, c.number, s.day, c.until, c.instruction_id, c.our_amount, c.currency, c.waits_for, now
		  FROM pg_temp.rx_class c WHERE c.until IS NOT NULL
		ON CONFLICT (merchant_id, about, wire_no, day) DO NOTHING;
END
$$;
COMMENT ON FUNCTION refundx.reconcile_breaks(refundx.reconcile_subject, bigint) IS 'Opens and closes the breaks of the numbers in question, and keeps the buffer. Errors: as SQL''s';

-- The run itself, unless it says what the last one says.
CREATE FUNCTION refundx.reconcile_run(s refundx.reconcile_subject, sums refundx.reconciliation_class[], began timestamptz, changed boolean) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	last refundx.reconciliation;
	run bigint;
BEGIN
	SELECT * INTO last FROM refundx.reconciliation r
	 WHERE r.merchant_id = s.merchant_id AND r.day = s.day ORDER BY r.run_id DESC LIMIT 1;
	IF FOUND AND NOT changed AND last.bills = s.bills AND NOT EXISTS (
			(SELECT c.class, c.about, c.currency, c.n, c.our_amount, c.bill_amount FROM unnest(sums) c
			 EXCEPT SELECT c.class, c.about, c.currency, c.n, c.our_amount, c.bill_amount FROM refundx.reconciliation_class c WHERE c.run_id = last.run_id)
			UNION ALL
			(SELECT c.class, c.about, c.currency, c.n, c.our_amount, c.bill_amount FROM refundx.reconciliation_class c WHERE c.run_id = last.run_id
			 EXCEPT SELECT c.class, c.about, c.currency, c.n, c.our_amount, c.bill_amount FROM unnest(sums) c)) THEN
		RETURN NULL;
	END IF;
	INSERT INTO refundx.reconciliation (merchant_id, channel_id, day, started_at, ended_at, bills)
		VALUES (s.merchant_id, s.channel_id, s.day, began, refundx.desk_now(), s.bills)
		RETURNING run_id INTO run;
	INSERT INTO refundx.reconciliation_class (run_id, class, about, currency, n, our_amount, bill_amount)
		SELECT run, c.class, c.about, c.currency, c.n, c.our_amount, c.bill_amount FROM unnest(sums) c;
	RETURN run;
END
$$;
COMMENT ON FUNCTION refundx.reconcile_run(refundx.reconcile_subject, refundx.reconciliation_class[], timestamptz, boolean) IS
'Keeps a run with its sums (minor units); null if the newest of the day says the same. Errors: as SQL''s';
