/*
 * Stop-loss: what refundx pauses by itself, until a person resumes it.
 */

/*
 * Places the pauses that signs ask for.  Without waiting: the settler must not
 * stand behind a person who has paused something and not committed.  What cannot
 * be placed now the clerk places in its next round.  Unlike a person's pause it
 * does not wait for the claim that is under way.
 */
CREATE FUNCTION refundx.stop_pause_signed() RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s refundx.stop_sign;
	p refundx.pause;
BEGIN
	BEGIN
		LOCK TABLE refundx.pause IN ROW EXCLUSIVE MODE NOWAIT;
	EXCEPTION WHEN lock_not_available THEN
		RETURN;
	END;
	FOR s IN SELECT * FROM refundx.stop_sign x WHERE x.pauses ORDER BY x.sign_id FOR NO KEY UPDATE SKIP LOCKED LOOP
		UPDATE refundx.stop_sign x SET pauses = false WHERE x.sign_id = s.sign_id;
		INSERT INTO refundx.pause (scope, merchant_id, about, account_id, role_name, cause, reason)
		VALUES (s.scope, s.merchant_id, s.about, s.account_id, s.role_name, s.cause, s.finding)
		ON CONFLICT DO NOTHING
		RETURNING * INTO p;
		CONTINUE WHEN NOT FOUND;
		INSERT INTO refundx.audit (action, subject, reason, detail)
		VALUES ('pause', concat_ws(' ', s.scope, refundx.pause_subject(p)), s.finding,
				jsonb_strip_nulls(jsonb_build_object('cause', s.cause, 'invariant', nullif(s.invariant, ''), 'about', s.about)));
		PERFORM refundx.incident_add('paused', refundx.pause_text(p),
			'nothing of it is sent until a person calls refundx.resume()', subject => s.subject);
	END LOOP;
END
$$;
COMMENT ON FUNCTION refundx.stop_pause_signed() IS 'Places the pauses that contradictions and findings ask for. No errors of its own';

-- A contradiction holds its payment and account.  Several of one merchant's
-- within a day say more: what the channel tells, or what we make of it, is wrong.
CREATE FUNCTION refundx.stop_contradictions(ids bigint[], at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	i record;
	n bigint;
	enough constant int := current_setting('refundx.pause_after_contradictions');
BEGIN
	FOR i IN SELECT x.instruction_no, x.kind, x.merchant_id, x.person_reason
			   FROM refundx.instruction x WHERE x.instruction_id = ANY (ids) ORDER BY x.instruction_id
	LOOP
		-- copies of one are one
		CONTINUE WHEN EXISTS (SELECT FROM refundx.stop_sign s
							   WHERE s.subject = i.instruction_no AND s.cause = 'contradiction' AND s.at > stop_contradictions.at - interval '1 day');
		SELECT count(*) + 1 INTO n FROM refundx.stop_sign s
		 WHERE s.cause = 'contradiction' AND s.merchant_id = i.merchant_id AND s.about = i.kind
		   AND s.at > stop_contradictions.at - interval '1 day';
		INSERT INTO refundx.stop_sign (at, cause, invariant, subject, finding, scope, merchant_id, about, pauses)
		VALUES (at, 'contradiction', '', i.instruction_no,
				format('the channel has contradicted %s of its %ss within a day, %s last: %s', n, i.kind, i.instruction_no, i.person_reason),
				'merchant', i.merchant_id, i.kind, enough > 0 AND n >= enough);
	END LOOP;
	PERFORM refundx.stop_pause_signed();
END
$$;
COMMENT ON FUNCTION refundx.stop_contradictions(bigint[], timestamptz) IS
'For the settler: counts contradictions of a merchant, and pauses it after refundx.pause_after_contradictions of them within a day. No errors of its own';

-- The newest lines: what was once checked does not change.
CREATE VIEW refundx.journal_breaks AS
	SELECT a.name AS subject,
		   format('line %s (available %s, frozen %s) does not continue from line %s', l.version, l.available, l.frozen, l.before) AS finding,
		   a.account_id, a.own_id
	  FROM (SELECT s.account_id, coalesce(s.slot_of, s.account_id) AS own_id, o.account_no AS name
			  FROM refundx.account s LEFT JOIN refundx.account o ON o.account_id = coalesce(s.slot_of, s.account_id)) a
	 CROSS JOIN LATERAL (
		SELECT j.*, lag(j.version) OVER w AS before, lag(j.available) OVER w AS available_before, lag(j.frozen) OVER w AS frozen_before
		  FROM (SELECT * FROM refundx.journal x WHERE x.account_id = a.account_id ORDER BY x.version DESC LIMIT 20) j
		WINDOW w AS (ORDER BY j.version)) l
	 WHERE l.before IS NOT NULL
	   AND (l.version <> l.before + 1 OR l.available <> l.available_before + l.d_available
			OR l.frozen <> l.frozen_before + l.d_frozen);
COMMENT ON VIEW refundx.journal_breaks IS 'Accounts whose newest journal lines do not continue each other';

/*
 * A part of refundx.check(), of some 2,500 refunds and withdrawals, their payments
 * and their accounts: by their keys, so that it costs the same however many there
 * are.  Each check is one statement, and so has one snapshot.
 */
CREATE FUNCTION refundx.stop_findings(ids bigint[], at timestamptz)
RETURNS TABLE (invariant text, subject text, finding text, scope text, merchant_id int, about text, account_id bigint, role_name text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	payments constant bigint[] := ARRAY(SELECT DISTINCT i.payment_id FROM refundx.instruction i
										 WHERE i.instruction_id = ANY (ids) AND i.payment_id IS NOT NULL);
	accounts constant bigint[] := ARRAY(SELECT DISTINCT i.account_id FROM refundx.instruction i
										 WHERE i.instruction_id = ANY (ids) AND i.account_id IS NOT NULL);
BEGIN
	RETURN QUERY
		SELECT 'I2', c.subject::text, c.finding, CASE WHEN h.merchant_id IS NULL THEN 'everything' ELSE 'merchant' END,
			   h.merchant_id, CASE WHEN h.merchant_id IS NOT NULL THEN 'refund' END, NULL::bigint, NULL::text
		  FROM refundx.check_i02 c
		  JOIN refundx.payment p USING (payment_id)
		  LEFT JOIN refundx.channel h USING (channel_id)
		 WHERE c.payment_id = ANY (payments);
	RETURN QUERY
		SELECT 'I4', c.subject::text, c.finding, 'account', NULL::int, NULL::text, coalesce(s.slot_of, s.account_id), NULL::text
		  FROM refundx.check_i04 c JOIN refundx.account s USING (account_id)
		 WHERE c.account_id = ANY (accounts);
	RETURN QUERY
		SELECT 'I5', c.subject::text, c.finding, 'account', NULL::int, NULL::text, c.own_id, NULL::text
		  FROM refundx.journal_breaks c
		 WHERE c.account_id = ANY (accounts);
	RETURN QUERY
		SELECT 'I6', c.subject::text, c.finding, 'merchant', i.merchant_id, i.kind::text, NULL::bigint, NULL::text
		  FROM refundx.check_i06 c JOIN refundx.instruction i USING (instruction_id)
		 WHERE c.instruction_id = ANY (ids);
	RETURN QUERY
		SELECT 'approval', c.subject::text, c.finding, 'merchant', i.merchant_id, i.kind::text, NULL::bigint, NULL::text
		  FROM refundx.check_approval c JOIN refundx.instruction i USING (instruction_id)
		 WHERE c.instruction_id = ANY (ids);
	RETURN QUERY
		SELECT 'I23', o.subject, o.finding, c.scope, c.merchant_id, p.about, c.account_id, c.role_name::text
		  FROM refundx.cap_overrun o
		  JOIN refundx.cap c USING (cap_id)
		 CROSS JOIN LATERAL unnest(refundx.stop_about(c.scope, c.about)) p(about)
		 WHERE o.at > stop_findings.at - interval '10 minutes';
END
$$;
COMMENT ON FUNCTION refundx.stop_findings(bigint[], timestamptz) IS
'What breaks an invariant among these refunds and withdrawals, and who is to be paused because of it. No errors of its own';

CREATE FUNCTION refundx.stop_check(at timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	checked bigint;
	looked bigint[];
	part bigint[];
	f record;
	n bigint := 0;
BEGIN
	SELECT c.checked_to INTO checked FROM refundx.stop_cursor c FOR NO KEY UPDATE;
	IF checked IS NULL THEN
		-- a dump does not bring it
		INSERT INTO refundx.stop_cursor DEFAULT VALUES ON CONFLICT DO NOTHING;
		checked := 0;
	END IF;
	looked := ARRAY(SELECT i.instruction_id FROM refundx.instruction i WHERE i.is_open LIMIT 1000)
		 || ARRAY(SELECT i.instruction_id FROM refundx.instruction i ORDER BY i.instruction_id DESC LIMIT 500);
	part := ARRAY(SELECT i.instruction_id FROM refundx.instruction i WHERE i.instruction_id > checked
				   ORDER BY i.instruction_id LIMIT 1000);
	UPDATE refundx.stop_cursor c
	   SET checked_to = CASE WHEN cardinality(part) < 1000 THEN 0 ELSE part[1000] END, checked_at = at;
	FOR f IN SELECT * FROM refundx.stop_findings(ARRAY(SELECT DISTINCT u.id FROM unnest(looked || part) u(id)), at) LOOP
		n := n + 1;
		-- a person who has resumed it knows this one
		CONTINUE WHEN EXISTS (SELECT FROM refundx.stop_sign s
							   WHERE s.subject = f.subject AND s.invariant = f.invariant AND s.about IS NOT DISTINCT FROM f.about
								 AND s.at > stop_check.at - interval '1 day');
		INSERT INTO refundx.stop_sign
			(at, cause, invariant, subject, finding, scope, merchant_id, about, account_id, role_name, pauses)
		VALUES (at, 'invariant', f.invariant, f.subject,
				format('invariant %s is broken at %s: %s', f.invariant, f.subject, f.finding), f.scope, f.merchant_id,
				f.about, f.account_id, f.role_name, true);
	END LOOP;
	PERFORM refundx.stop_pause_signed();
	RETURN n;
END
$$;
COMMENT ON FUNCTION refundx.stop_check(timestamptz) IS
'For the clerk: checks some of the invariants of some rows, and pauses what a finding is about: a merchant''s refunds or withdrawals, an account, a role, or everything; returns how many findings there are. No errors of its own';
