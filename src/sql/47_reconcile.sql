/*
 * Reconciliation: the channel's books of a day against ours.  See doc/reconciliation.md;
 * the work is in 46_reconcile.sql, 46_reconcile_class.sql and
 * 46_reconcile_write.sql.
 */

-- One day, whole.  The temporary tables are empty before.
CREATE FUNCTION refundx.reconcile_whole_day(s refundx.reconcile_subject, dry_run boolean,
	OUT class text, OUT about text, OUT n bigint, OUT our_amount bigint, OUT bill_amount bigint, OUT currency text)
RETURNS SETOF record
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	began timestamptz := refundx.desk_now();
	sums refundx.reconciliation_class[];
	changed boolean;
	run bigint;
BEGIN
	-- what was found of this day before is looked at again, whether it agrees by now or not
	INSERT INTO pg_temp.rx_extra
		SELECT b.about, b.wire_no FROM refundx.break b WHERE b.merchant_id = s.merchant_id AND b.day = s.day
		UNION SELECT o.about, o.wire_no FROM refundx.other_day o WHERE o.merchant_id = s.merchant_id AND o.day = s.day
		UNION SELECT w.about, w.wire_no FROM refundx.bill_word w WHERE w.merchant_id = s.merchant_id AND w.day = s.day;
	PERFORM refundx.reconcile_compare(s);
	IF EXISTS (SELECT FROM pg_temp.rx_number) THEN
		PERFORM refundx.reconcile_resolve(s), refundx.reconcile_seen(s, NULL), refundx.reconcile_class(s), refundx.reconcile_words(s);
	END IF;
	SELECT array_agg(ROW (0, x.class, x.about, x.currency, x.n, x.our_amount, x.bill_amount)::refundx.reconciliation_class)
	  INTO sums FROM refundx.reconcile_sums(s) x;
	IF NOT dry_run THEN
		changed := refundx.reconcile_evidence(s) > 0;
		changed := refundx.reconcile_news(s) OR changed;
		run := refundx.reconcile_run(s, coalesce(sums, '{}'), began, changed);
		IF changed THEN
			PERFORM refundx.reconcile_breaks(s, run);
		END IF;
		UPDATE refundx.bill b SET reconciled_at = refundx.desk_now()
		 WHERE b.bill_id = ANY (s.bills) AND (b.reconciled_at IS NULL OR run IS NOT NULL);
	END IF;
	RETURN QUERY SELECT c.class::text, c.about::text, c.n, c.our_amount, c.bill_amount, c.currency FROM unnest(sums) c;
END
$$;
COMMENT ON FUNCTION refundx.reconcile_whole_day(refundx.reconcile_subject, boolean) IS 'Reconciles one day: classes and sums (minor units), as refundx.reconcile. Errors: as SQL''s';

/*
 * Of another day, what is still open: what the bill that has just come says about it,
 * what has become of it here, and what need not be waited for any longer.  Its day's sums
 * are put right by what changed class.
 */
CREATE FUNCTION refundx.reconcile_again(s refundx.reconcile_subject, just_come date) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	began timestamptz := refundx.desk_now();
	sums refundx.reconciliation_class[];
	run bigint;
BEGIN
	PERFORM refundx.reconcile_resolve(s);
	UPDATE pg_temp.rx_number r SET expected = i.state IN ('accepted', 'abnormal', 'succeeded', 'returned') AND NOT coalesce(r.former, false)
	  FROM refundx.instruction i WHERE i.instruction_id = r.instruction_id;
	PERFORM refundx.reconcile_seen(s, just_come), refundx.reconcile_class(s), refundx.reconcile_words(s);
	PERFORM refundx.reconcile_evidence(s);
	IF NOT refundx.reconcile_news(s) THEN
		RETURN;
	END IF;
	SELECT array_agg(ROW (0, x.class, x.about, x.currency, x.n, x.ours, x.bills)::refundx.reconciliation_class) INTO sums
	  FROM (SELECT y.class, y.about, y.currency, sum(y.n) AS n, sum(y.our_amount) AS ours, sum(y.bill_amount) AS bills
			  FROM (SELECT c.class, c.about, c.currency, c.n, c.our_amount, c.bill_amount FROM refundx.reconciliation_class c
					 WHERE c.run_id = (SELECT max(r.run_id) FROM refundx.reconciliation r WHERE r.merchant_id = s.merchant_id AND r.day = s.day)
					UNION ALL
					SELECT b.class, b.about, b.currency, -1, -coalesce(b.our_amount, 0), -coalesce(b.bill_amount, 0) FROM refundx.break b
					 WHERE b.merchant_id = s.merchant_id AND b.day = s.day AND b.closed_at IS NULL
					   AND (b.about, b.wire_no) IN (SELECT m.about, m.number FROM pg_temp.rx_number m)
					UNION ALL
					SELECT 'other_day', o.about, o.currency, -1, -o.amount, -CASE o.waits_for WHEN 'its line' THEN 0 ELSE o.amount END FROM refundx.other_day o
					 WHERE o.merchant_id = s.merchant_id AND o.day = s.day
					   AND (o.about, o.wire_no) IN (SELECT m.about, m.number FROM pg_temp.rx_number m)
					UNION ALL
					SELECT c.class, c.about, c.currency, 1, coalesce(c.our_amount, 0), coalesce(c.bill_amount, 0) FROM pg_temp.rx_class c) y
			 GROUP BY 1, 2, 3 HAVING sum(y.n) > 0) x;
	run := refundx.reconcile_run(s, coalesce(sums, '{}'), began, true);
	PERFORM refundx.reconcile_breaks(s, run);
END
$$;
COMMENT ON FUNCTION refundx.reconcile_again(refundx.reconcile_subject, date) IS 'Looks again at what is open of a day, now that another day''s bill has come. Errors: as SQL''s';

CREATE FUNCTION refundx.reconcile_other_days(s refundx.reconcile_subject) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	d record;
BEGIN
	FOR d IN
		WITH open AS MATERIALIZED (
			SELECT b.day, b.about::text COLLATE "C" AS about, b.wire_no, b.instruction_id, b.our_state, NULL::date AS until FROM refundx.break b
			 WHERE b.merchant_id = s.merchant_id AND b.closed_at IS NULL AND b.day <> s.day
			UNION ALL
			SELECT o.day, o.about, o.wire_no, o.instruction_id, NULL, o.until FROM refundx.other_day o
			 WHERE o.merchant_id = s.merchant_id AND o.day <> s.day),
		spoken_of AS MATERIALIZED (
			SELECT DISTINCT l.about, coalesce(l.wire_no, l.channel_refund_id) AS number FROM refundx.bill_line l
			 WHERE l.bill_id = ANY (s.bills) AND l.movement IN ('paid', 'under_way', 'abnormal', 'failed', 'came_back')
			   AND coalesce(l.wire_no, l.channel_refund_id) IN (SELECT o.wire_no FROM open o))
		SELECT o.day, array_agg(o.about) AS abouts, array_agg(o.wire_no) AS numbers
		  FROM open o
		  LEFT JOIN refundx.instruction i ON i.merchant_id = s.merchant_id AND i.wire_no = o.wire_no AND i.kind = o.about
		 WHERE (o.about, o.wire_no) IN (SELECT p.about, p.number FROM spoken_of p)
			OR o.until <= s.day
			OR o.until IS NULL AND i.state IS DISTINCT FROM o.our_state
		 GROUP BY o.day ORDER BY o.day
	LOOP
		TRUNCATE pg_temp.rx_number, pg_temp.rx_seen, pg_temp.rx_class;
		INSERT INTO pg_temp.rx_number (about, number, expected)
			SELECT DISTINCT u.about, u.number, false FROM unnest(d.abouts, d.numbers) u(about, number);
		PERFORM refundx.reconcile_again(x, s.day) FROM refundx.reconcile_subject(s.merchant_id, s.channel_id, d.day) x
		  WHERE x.bills IS NOT NULL;
	END LOOP;
END
$$;
COMMENT ON FUNCTION refundx.reconcile_other_days(refundx.reconcile_subject) IS 'Looks again at what other days have open, with the bills of this one. Errors: as SQL''s';

/*
 * What no query can prove any more: WeChat forgets a transfer after thirty days.  Then
 * the fund bill decides (4012715211): only money that went out, and none that came back,
 * is a success.  Only if no day's bill is missing in which it might have come back.
 */
CREATE FUNCTION refundx.reconcile_forgotten(s refundx.reconcile_subject) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	n bigint;
	forgotten record;
	forgets interval;
BEGIN
	SELECT k.ask_window INTO forgets FROM refundx.channel_kinds() k WHERE k.kind = s.channel_kind AND k.product = 'withdrawal';
	IF forgets IS NULL THEN
		RETURN 0;
	END IF;
	SELECT min(x.first) AS first, max(x.last) AS last, array_agg(x.instruction_id) AS ids INTO forgotten
	  FROM (SELECT i.instruction_id, ((i.first_attempt_at AT TIME ZONE 'UTC') + s.utc_offset)::date AS first,
				   ((i.first_attempt_at AT TIME ZONE 'UTC') + s.utc_offset + forgets)::date AS last
			  FROM refundx.instruction i
			 WHERE i.is_open AND i.kind = 'withdrawal' AND i.merchant_id = s.merchant_id AND i.state IN ('unknown', 'accepted', 'queued', 'abnormal')
			   AND i.first_attempt_at + forgets < refundx.desk_now()) x
	 WHERE refundx.reconcile_complete(s, 'withdrawal', x.first - 1, x.last);
	IF forgotten.ids IS NULL THEN
		RETURN 0;
	END IF;
	WITH line AS MATERIALIZED (
		SELECT l.*, b.day, b.kind, i.instruction_id, i.channel_id, i.amount AS our_amount, i.currency AS our_currency
		  FROM refundx.bill b
		  JOIN refundx.bill_kinds() k ON k.channel_kind = s.channel_kind AND k.kind = b.kind AND k.has_transfers
		  JOIN refundx.bill_line l ON l.bill_id = b.bill_id
		  JOIN refundx.instruction i ON i.merchant_id = s.merchant_id AND i.wire_no = l.wire_no AND i.instruction_id = ANY (forgotten.ids)
		 WHERE b.merchant_id = s.merchant_id AND b.state = 'loaded' AND b.day BETWEEN forgotten.first - 1 AND forgotten.last
		   AND l.about = 'withdrawal' AND l.movement IN ('paid', 'came_back')),
	proof AS (
		-- what came back speaks, or else what went out
		SELECT DISTINCT ON (l.instruction_id) l.*,
			   sha256(convert_to(concat_ws('|', 'bill, in the end', s.merchant_id, l.kind, l.day, l.about, l.wire_no, l.movement, l.amount), 'UTF8')) AS digest
		  FROM line l
		 WHERE NOT EXISTS (SELECT FROM line o WHERE o.instruction_id = l.instruction_id AND (o.amount <> o.our_amount OR o.currency <> o.our_currency COLLATE "C"))
		 ORDER BY l.instruction_id, l.movement, l.day, l.line_no),
	kept AS (
		INSERT INTO refundx.evidence (channel_id, merchant_id, source, about, digest, verdict, proof, wire_no, code, message, payment_no,
									  channel_payment_id, channel_refund_id, amount, payer_amount, currency, occurred_at, received_at)
			SELECT p.channel_id, s.merchant_id, 'bill', p.about, p.digest, CASE p.movement WHEN 'paid' THEN 'succeeded' ELSE 'reversed' END, true, p.wire_no,
				   'BILL_' || upper(p.movement), format('line %s of the %s bill of %s, %s', p.line_no, p.kind, p.day,
					CASE p.movement WHEN 'paid' THEN 'and none of any day gives it back' ELSE 'which gives it back' END),
				   p.payment_no, p.channel_payment_id, p.channel_refund_id, p.amount, p.payer_amount, p.currency, p.occurred_at, refundx.desk_now()
			  FROM proof p ORDER BY p.instruction_id
			ON CONFLICT (channel_id, digest) DO NOTHING
			RETURNING evidence_id, channel_id, digest)
	INSERT INTO refundx.bill_word (merchant_id, day, about, wire_no, movement, class, evidence_id, instruction_id, bill_id, line_no)
		SELECT s.merchant_id, p.day, p.about, p.wire_no, p.movement, 'settled_by_bill', k.evidence_id, p.instruction_id, p.bill_id, p.line_no
		  FROM kept k JOIN proof p USING (channel_id, digest)
		ON CONFLICT DO NOTHING;
	GET DIAGNOSTICS n = ROW_COUNT;
	PERFORM refundx.desk_wake();
	RETURN n;
END
$$;
COMMENT ON FUNCTION refundx.reconcile_forgotten(refundx.reconcile_subject) IS
'Withdrawals that the channel can no longer be asked about, decided by its fund bills: how many. Errors: as SQL''s';

CREATE FUNCTION refundx.reconcile(channel text, day date, dry_run boolean DEFAULT false,
	OUT class text, OUT about text, OUT n bigint, OUT our_amount bigint, OUT bill_amount bigint, OUT currency text)
RETURNS SETOF record
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, YMD' SET timezone = 'UTC'
AS $$
DECLARE
	s refundx.reconcile_subject;
	result refundx.reconciliation_class[];
	open bigint;
BEGIN
	PERFORM refundx.not_in_handler('reconcile');
	SELECT x.* INTO s FROM refundx.channel c, refundx.reconcile_subject(c.merchant_id, c.channel_id, reconcile.day) x
	 WHERE c.name = reconcile.channel;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'channel "%" does not exist', channel USING ERRCODE = 'RX008', HINT = 'refundx.channels has them.';
	ELSIF day IS NULL THEN
		RAISE EXCEPTION 'the day is missing' USING ERRCODE = '22023', HINT = 'A day where the channel is, such as date ''2026-11-27''.';
	END IF;
	-- one at a time for each merchant; nobody else takes this lock but who adds a channel to it
	PERFORM FROM refundx.merchant m WHERE m.merchant_id = s.merchant_id FOR NO KEY UPDATE;
	s := refundx.reconcile_subject(s.merchant_id, s.channel_id, day);
	IF s.bills IS NULL THEN
		RAISE EXCEPTION 'no bill of channel "%" is loaded for %', channel, day USING ERRCODE = 'RX036',
			DETAIL = coalesce('There is one, and it is: ' || (SELECT string_agg(format('%s %s', b.kind, b.state), ', ') FROM refundx.bill b
				WHERE b.merchant_id = s.merchant_id AND b.day = reconcile.day AND b.state <> 'superseded'), 'None is due either.'),
			HINT = format('SELECT refundx.bill_fetch(%L, kind, %L, reason) has one fetched now; refundx.bill_load() takes a file.', channel, day);
	END IF;
	PERFORM refundx.reconcile_tables();
	SELECT array_agg(ROW (0, x.class, x.about, x.currency, x.n, x.our_amount, x.bill_amount)::refundx.reconciliation_class) INTO result
	  FROM refundx.reconcile_whole_day(s, coalesce(dry_run, false)) x;
	IF NOT coalesce(dry_run, false) THEN
		PERFORM refundx.reconcile_other_days(s), refundx.reconcile_forgotten(s);
		SELECT count(*) INTO open FROM refundx.break b WHERE b.merchant_id = s.merchant_id AND b.closed_at IS NULL;
		IF open > 0 THEN
			RAISE NOTICE '% of channel "%" open: SELECT * FROM refundx.breaks', CASE open WHEN 1 THEN '1 break is' ELSE open || ' breaks are' END, channel;
		END IF;
	END IF;
	PERFORM refundx.reconcile_tables_drop();
	RETURN QUERY SELECT c.class::text, c.about::text, c.n, c.our_amount, c.bill_amount, c.currency FROM unnest(result) c
				  ORDER BY array_position('{matched,settled_by_bill,other_day,missing_at_channel,missing_here,amount_differs,state_differs,twice,fee_differs}', c.class::text),
						   c.about, c.currency;
END
$$;
COMMENT ON FUNCTION refundx.reconcile(text, date, boolean) IS
'Compares the loaded bills of the channel''s merchant for a day (where the channel is) with ours: each refund and withdrawal of either side is in exactly one class, see doc/reconciliation.md. What the bills prove becomes evidence, which the settler settles; what does not agree becomes a break (refundx.breaks); what may stand in another day''s bill waits for it. Breaks of other days that these bills explain are closed. Doing it twice changes nothing.
n counts numbers; amounts in minor units of currency. dry_run => true says what it comes to, and writes nothing.
Errors: RX008 unknown channel, RX026 inside a handler, RX036 no bill of that day is loaded (one that is empty will do), 22023 no day.';

CREATE FUNCTION refundx.bill_expect_fee(channel text, about text, rate_ppm bigint, reason text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	merchant int;
BEGIN
	PERFORM refundx.not_in_handler('bill_expect_fee'), refundx.desk_reason(reason);
	SELECT c.merchant_id INTO merchant FROM refundx.channel c WHERE c.name = bill_expect_fee.channel;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'channel "%" does not exist', channel USING ERRCODE = 'RX008', HINT = 'refundx.channels has them.';
	ELSIF about IS NULL OR about NOT IN ('refund', 'withdrawal') THEN
		RAISE EXCEPTION 'about must be refund or withdrawal, not "%"', coalesce(about, '') USING ERRCODE = '22023';
	ELSIF rate_ppm NOT BETWEEN -1000000 AND 1000000 THEN
		RAISE EXCEPTION 'rate_ppm must be between -1000000 and 1000000, not %', rate_ppm USING ERRCODE = '22023',
			HINT = 'Millionths of the amount: 6000 is 0.6 %; below zero: the channel gives it back.';
	END IF;
	IF rate_ppm IS NULL THEN
		DELETE FROM refundx.bill_fee f WHERE f.merchant_id = merchant AND f.about = bill_expect_fee.about;
	ELSE
		INSERT INTO refundx.bill_fee (merchant_id, about, rate_ppm, reason) VALUES (merchant, bill_expect_fee.about, bill_expect_fee.rate_ppm, bill_expect_fee.reason)
			ON CONFLICT ON CONSTRAINT bill_fee_pkey DO UPDATE
			   SET rate_ppm = excluded.rate_ppm, reason = excluded.reason, set_at = clock_timestamp(), set_by = session_user;
	END IF;
	INSERT INTO refundx.audit (action, subject, reason, detail)
		VALUES ('bill_expect_fee', channel, reason, jsonb_build_object('about', about, 'rate_ppm', rate_ppm));
END
$$;
COMMENT ON FUNCTION refundx.bill_expect_fee(text, text, bigint, text) IS
'Says which fee a channel should take for refunds or withdrawals (about), in millionths of the amount; below zero where it gives a payment''s fee back. Lines of its bills that differ by a minor unit or more are fee_differs from then on. null: only the lines'' own rates are looked at. Kept in the audit log with the reason.
Errors: RX008 unknown channel, RX026 inside a handler, 22023 no reason, or no such about or rate.';
