/*
 * The clerk checks all invariants, of all rows: as many a round as take a second,
 * each once a day, or sooner after a recovery or when a person asks.  What a finding is about is paused,
 * as by the quicker checks of 51_stop_loss_signs.sql, which look at a part of the
 * rows every round.
 */

-- Whom a finding is about.  A subject is what its view calls it; what cannot be
-- narrowed is everything.
CREATE FUNCTION refundx.check_concerns(invariant text, subject text)
RETURNS TABLE (scope text, merchant_id int, about text, account_id bigint)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF invariant = 'I2' THEN
		RETURN QUERY SELECT DISTINCT 'merchant', c.merchant_id, 'refund', NULL::bigint
		  FROM refundx.payment p JOIN refundx.channel c USING (channel_id) WHERE p.payment_no = check_concerns.subject;
	ELSIF invariant IN ('I3', 'I4', 'I5') THEN
		RETURN QUERY SELECT DISTINCT 'account', NULL::int, NULL::text, n.own_id FROM refundx.account_name n
		 WHERE check_concerns.subject IN (n.name, n.account_no);
	ELSE
		RETURN QUERY SELECT 'merchant', i.merchant_id, i.kind::text, NULL::bigint FROM refundx.instruction i
		 WHERE i.instruction_no = check_concerns.subject;
		IF NOT FOUND AND subject ~ '^evidence [0-9]{1,18}$' THEN
			RETURN QUERY SELECT 'merchant', e.merchant_id, e.about::text, NULL::bigint FROM refundx.evidence e
			 WHERE e.evidence_id = substr(check_concerns.subject, 10)::bigint;
		ELSIF NOT FOUND AND invariant IN ('I7', 'I22') THEN
			RETURN QUERY SELECT DISTINCT 'merchant', b.merchant_id, l.about::text, NULL::bigint
			  FROM refundx.bill_line l JOIN refundx.bill b USING (bill_id) WHERE check_concerns.subject IN (l.wire_no, l.channel_refund_id);
		ELSIF NOT FOUND THEN
			RETURN QUERY SELECT DISTINCT 'account', NULL::int, NULL::text, n.own_id FROM refundx.account_name n
			 WHERE check_concerns.subject IN (n.name, format('account %s line %s', n.account_no, substring(check_concerns.subject FROM '[0-9]+$')));
		END IF;
	END IF;
	IF NOT FOUND THEN
		RETURN QUERY SELECT 'everything', NULL::int, NULL::text, NULL::bigint;
	END IF;
END
$$;
COMMENT ON FUNCTION refundx.check_concerns(text, text) IS 'Who is paused because of a finding: a merchant''s refunds or withdrawals, an account, or everything. No errors of its own';

/*
 * Which one is next, and that it has begun: in a transaction of its own, so that one
 * which fails or takes too long is not the next one again and again.  After one that
 * took long the clerk rests nine times as long.
 */
CREATE FUNCTION refundx.check_begin(at timestamptz) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	last refundx.check_result;
	chosen text;
BEGIN
	SELECT * INTO last FROM refundx.check_result c ORDER BY c.ran_at DESC LIMIT 1;
	IF last.took > interval '1 s' AND last.ran_at + 10 * last.took > at AND last.ran_at <= at THEN
		RETURN NULL;
	END IF;
	SELECT v.invariant INTO chosen
	  FROM refundx.invariants v
	  LEFT JOIN refundx.check_result c USING (invariant)
	 WHERE (c.invariant IS NULL OR c.due OR c.ran_at < at - interval '1 day' OR c.ran_at > at
			-- what was restored may be of another mind than what it remembers
			OR EXISTS (SELECT FROM refundx.recovery r WHERE r.began_at > c.ran_at OR r.answered_at > c.ran_at))
	 ORDER BY c.due DESC NULLS LAST, c.ran_at NULLS FIRST, v.invariant LIMIT 1;
	IF chosen IS NOT NULL THEN
		INSERT INTO refundx.check_result AS c (invariant, ran_at) VALUES (chosen, at)
		ON CONFLICT (invariant) DO UPDATE
		   SET ran_at = excluded.ran_at, took = NULL, error = 'it did not come to its end', due = false;
	END IF;
	RETURN chosen;
END
$$;
COMMENT ON FUNCTION refundx.check_begin(timestamptz) IS 'For the clerk: which invariant is to be checked now; null: none. No errors of its own';

CREATE FUNCTION refundx.check_run(invariant text, at timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	began constant timestamptz := clock_timestamp();
	pausing constant boolean := (SELECT v.pauses FROM refundx.invariants v WHERE v.invariant = check_run.invariant);
	f record;
	n bigint := 0;
	news bigint := 0;
	first_one text;
BEGIN
	FOR f IN SELECT c.subject, c.finding FROM refundx.check(check_run.invariant) c LOOP
		n := n + 1;
		first_one := coalesce(first_one, format('%s: %s', f.subject, f.finding));
		-- of a thousand the first hundred are enough to pause what has to be
		CONTINUE WHEN n > 100 OR EXISTS (
			SELECT FROM refundx.stop_sign s
			 WHERE s.subject = f.subject AND s.invariant = check_run.invariant AND s.at > check_run.at - interval '1 day');
		news := news + 1;
		INSERT INTO refundx.stop_sign (at, cause, invariant, subject, finding, scope, merchant_id, about, account_id, pauses)
		SELECT check_run.at, 'invariant', check_run.invariant, f.subject,
			   format('invariant %s is broken at %s: %s', check_run.invariant, f.subject, f.finding),
			   w.scope, w.merchant_id, w.about, w.account_id, pausing
		  FROM refundx.check_concerns(check_run.invariant, f.subject) w;
	END LOOP;
	IF news > 0 THEN
		PERFORM refundx.incident_add('invariant', format('invariant %s is broken, %s times; for example %s', check_run.invariant, n, first_one),
			CASE WHEN pausing THEN 'what it is about is paused until a person resumes it' ELSE 'a person has to look' END || ': see doc/invariants.md',
			subject => 'invariant ' || check_run.invariant);
		PERFORM refundx.stop_pause_signed();
	END IF;
	UPDATE refundx.check_result c
	   SET took = clock_timestamp() - began, findings = n, example = first_one, error = NULL,
		   found_at = CASE WHEN n > 0 THEN coalesce(c.found_at, check_run.at) END
	 WHERE c.invariant = check_run.invariant;
	RETURN n;
END
$$;
COMMENT ON FUNCTION refundx.check_run(text, timestamptz) IS
'For the clerk: checks one invariant, of all rows, keeps what it finds, and pauses what that is about; returns how many findings there are. Errors: 22023 there is no such invariant';

CREATE FUNCTION refundx.check_soon(reason text, VARIADIC invariants text[] DEFAULT '{}') RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	unknown constant text := (SELECT u.name FROM unnest(invariants) u(name)
							   WHERE NOT EXISTS (SELECT FROM refundx.invariants v WHERE v.invariant = u.name) LIMIT 1);
	n bigint;
BEGIN
	PERFORM refundx.not_in_handler('check_soon');
	IF coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	ELSIF unknown IS NOT NULL THEN
		RAISE EXCEPTION 'there is no invariant "%"', unknown USING ERRCODE = '22023', HINT = 'See refundx.invariants.';
	END IF;
	UPDATE refundx.check_result c SET due = true WHERE invariants = '{}' OR c.invariant = ANY (invariants);
	GET DIAGNOSTICS n = ROW_COUNT;
	INSERT INTO refundx.audit (action, subject, reason, detail)
	VALUES ('check_soon', 'invariants', reason, jsonb_build_object('invariants', invariants));
	RETURN n;
END
$$;
COMMENT ON FUNCTION refundx.check_soon(text, text[]) IS
'Has the clerk check these invariants again in its next rounds, or all of them; returns how many that are (what was never checked is checked anyway). Kept in the audit log with the reason.
Errors: 22023 no reason, or there is no such invariant, RX026 inside a handler.';
