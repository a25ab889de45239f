/*
 * Failure policies, and what people decide about what the channel has ended.
 */
CREATE FUNCTION refundx.failure_defaults(
	OUT on_failure text, OUT retry_limit int, OUT retry_first int, OUT retry_factor numeric,
	OUT retry_max int, OUT reissue_limit int, OUT unknown_after int)
RETURNS record
LANGUAGE c IMMUTABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_failure_defaults';
COMMENT ON FUNCTION refundx.failure_defaults() IS
'What is done about failures where no policy says otherwise; times in seconds';

-- The policy that counts for one instruction: its own, its channel's, the default.
CREATE FUNCTION refundx.failure_policy_of(instruction_id bigint,
	OUT on_failure text, OUT retry_limit int, OUT retry_first int, OUT retry_factor numeric,
	OUT retry_max int, OUT reissue_limit int, OUT unknown_after int)
RETURNS record
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(o.on_failure, p.on_failure, d.on_failure),
		   coalesce(o.retry_limit, p.retry_limit, d.retry_limit),
		   coalesce(o.retry_first, p.retry_first, d.retry_first),
		   coalesce(o.retry_factor, p.retry_factor, d.retry_factor),
		   coalesce(o.retry_max, p.retry_max, d.retry_max),
		   coalesce(o.reissue_limit, p.reissue_limit, d.reissue_limit),
		   coalesce(o.unknown_after, p.unknown_after, d.unknown_after)
	  FROM refundx.instruction i
	 CROSS JOIN refundx.failure_defaults() d
	  LEFT JOIN refundx.failure_policy p ON p.channel_id = i.channel_id AND p.about = i.kind
	  LEFT JOIN refundx.failure_override o ON o.instruction_id = i.instruction_id
	 WHERE i.instruction_id = $1
$$;
COMMENT ON FUNCTION refundx.failure_policy_of(bigint) IS
'The failure policy that counts for one instruction: its own, what that leaves out its channel''s, and the default; times in seconds';

-- A policy as people write it, as the columns of its tables; null takes one back.
CREATE FUNCTION refundx.failure_policy_read(policy jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	known constant text[] := '{on_failure,retry_limit,retry_first,retry_factor,retry_max,reissue_limit,unknown_after}';
	times constant text[] := '{retry_first,retry_max,unknown_after}';
	lowest constant jsonb := '{"retry_limit": 0, "retry_first": 1, "retry_factor": 1, "retry_max": 1, "reissue_limit": 0, "unknown_after": 0}';
	highest constant jsonb := '{"retry_limit": 1000, "retry_first": 86400, "retry_factor": 10, "retry_max": 86400, "reissue_limit": 20, "unknown_after": 2592000}';
	result jsonb := '{}';
	member text;
	value jsonb;
	n numeric;
BEGIN
	IF jsonb_typeof(policy) <> 'object' THEN
		RAISE EXCEPTION 'the failure policy must be a JSON object' USING ERRCODE = 'RX030';
	END IF;
	FOR member, value IN SELECT * FROM jsonb_each(policy) LOOP
		IF member <> ALL (known) THEN
			RAISE EXCEPTION 'a failure policy has no member "%"', member USING ERRCODE = 'RX030',
				HINT = 'Known members: ' || array_to_string(known, ', ') || '.';
		ELSIF jsonb_typeof(value) = 'null' THEN
			result := result || jsonb_build_object(member, NULL);
			CONTINUE;
		ELSIF member = 'on_failure' THEN
			IF jsonb_typeof(value) <> 'string' OR value #>> '{}' NOT IN ('end', 'reissue', 'operator', 'ask_user') THEN
				RAISE EXCEPTION 'on_failure cannot be %', value USING ERRCODE = 'RX030',
					HINT = 'It is end, reissue, operator or ask_user.';
			END IF;
			result := result || jsonb_build_object(member, value);
			CONTINUE;
		END IF;
		BEGIN
			n := CASE WHEN member = ANY (times) AND jsonb_typeof(value) = 'string'
					  THEN extract(epoch FROM (value #>> '{}')::interval) ELSE (value #>> '{}')::numeric END;
		EXCEPTION WHEN data_exception THEN
			n := NULL;
		END;
		IF n IS NULL OR n NOT BETWEEN (lowest->>member)::numeric AND (highest->>member)::numeric
		   OR member <> 'retry_factor' AND n <> trunc(n) OR n * 100 <> trunc(n * 100) THEN
			RAISE EXCEPTION '% cannot be %', member, value USING ERRCODE = 'RX030',
				HINT = CASE WHEN member = ANY (times)
					THEN format('It is a time of %s to %s seconds: 30, or "30 s", or "10 min".', lowest->>member, highest->>member)
					WHEN member = 'retry_factor' THEN 'It is a number from 1 to 10, with at most two decimals.'
					ELSE format('It is a whole number from %s to %s.', lowest->>member, highest->>member) END;
		END IF;
		result := result || jsonb_build_object(member, CASE WHEN member = 'retry_factor' THEN n ELSE trunc(n) END);
	END LOOP;
	RETURN result;
END
$$;
COMMENT ON FUNCTION refundx.failure_policy_read(jsonb) IS
'A failure policy as the columns of its tables, times in seconds. Error: RX030 what is wrong with it';

CREATE FUNCTION refundx.failure_policy_set(channel text, policy jsonb, about text DEFAULT 'refund')
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	c record;
	d record;
	r refundx.failure_policy;
BEGIN
	PERFORM refundx.not_in_handler('failure_policy_set');
	IF about IS NULL OR about NOT IN ('refund', 'withdrawal') THEN
		RAISE EXCEPTION 'about must be refund or withdrawal' USING ERRCODE = '22023';
	END IF;
	-- locked, so that two who set the first rules of a channel come one after the other
	SELECT x.channel_id, x.kind INTO c FROM refundx.channel x WHERE x.name = failure_policy_set.channel
	   FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'channel "%" does not exist', channel USING ERRCODE = 'RX008',
			HINT = 'Configured channels are in the view refundx.channels.';
	END IF;
	IF NOT EXISTS (SELECT FROM refundx.channel_kinds() k WHERE k.kind = c.kind AND k.product = failure_policy_set.about) THEN
		RAISE EXCEPTION 'channel "%" makes no %s', channel, about || 's' USING ERRCODE = 'RX030';
	END IF;
	IF policy IS NULL THEN
		DELETE FROM refundx.failure_policy p WHERE p.channel_id = c.channel_id AND p.about = failure_policy_set.about;
	ELSE
		SELECT * INTO r FROM refundx.failure_policy p
		 WHERE p.channel_id = c.channel_id AND p.about = failure_policy_set.about;
		r := jsonb_populate_record(NULL::refundx.failure_policy,
				coalesce(to_jsonb(r), '{}') || refundx.failure_policy_read(policy)
				|| jsonb_build_object('channel_id', c.channel_id, 'about', about));
		d := refundx.failure_defaults();
		IF coalesce(r.retry_max, d.retry_max) < coalesce(r.retry_first, d.retry_first) THEN
			RAISE EXCEPTION 'retry_max (% s) is shorter than retry_first (% s)',
				coalesce(r.retry_max, d.retry_max), coalesce(r.retry_first, d.retry_first) USING ERRCODE = 'RX030';
		END IF;
		DELETE FROM refundx.failure_policy p WHERE p.channel_id = c.channel_id AND p.about = failure_policy_set.about;
		INSERT INTO refundx.failure_policy SELECT r.*;
	END IF;
	IF r.on_failure = 'ask_user' AND NOT EXISTS (
		SELECT FROM refundx.notice_template t WHERE t.about = failure_policy_set.about AND t.transition = 'stopped')
	THEN
		RAISE WARNING 'nobody is told when a % is stopped: there is no template for that', about
			USING HINT = 'refundx.notice_template_set(''stopped'', ...) makes one; what is stopped is in refundx.desk all the same.';
	END IF;
	INSERT INTO refundx.audit (action, subject, reason, detail)
	VALUES ('failure_policy_set', channel || ', ' || about, CASE WHEN policy IS NULL THEN 'removed' ELSE 'changed' END, policy);
END
$$;
COMMENT ON FUNCTION refundx.failure_policy_set(text, jsonb, text) IS
'Sets what is done about failures of a channel''s refunds, or (about) withdrawals; members of policy replace those of the same name, null takes one back, and a null policy removes all.
on_failure, after the channel''s definite no: end (failed, the money is released; the default), reissue (the same refund with another number), operator (the money stays frozen until an operator decides), ask_user (likewise, whom it pays is told, and the application decides with refund_continue). reissue_limit: how many further numbers one may get (0 to 20, default 3).
retry_limit: how often the same number is sent again after it was certainly not executed (0, the default: no limit); then it is with a person, and asked about. retry_first, retry_factor, retry_max: the first wait, how much longer each further one is, and the longest (default 2 s, 2, 512 s); a time is seconds or an interval.
unknown_after: when an unknown one is shown to a person (0, the default: after ten queries in vain); it goes on being asked about.
Errors: RX008 unknown channel, RX026 inside a handler, RX030 the policy is wrong, 22023.';

CREATE FUNCTION refundx.failure_policy_for(no text, policy jsonb, reason text)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	i record;
	r refundx.failure_override;
	e record;
BEGIN
	IF coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	END IF;
	SELECT x.instruction_id, x.is_open, x.state INTO i FROM refundx.instruction x
	 WHERE x.instruction_no = failure_policy_for.no
	   AND (x.submitted_by = session_user OR refundx.reads_all())
	   FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no refund or withdrawal "%"', no USING ERRCODE = 'RX012';
	ELSIF NOT i.is_open THEN
		RAISE EXCEPTION '"%" is %, and a failure policy has no more to say about it', no, i.state USING ERRCODE = 'RX006';
	END IF;
	IF policy IS NULL THEN
		DELETE FROM refundx.failure_override o WHERE o.instruction_id = i.instruction_id;
	ELSE
		SELECT * INTO r FROM refundx.failure_override o WHERE o.instruction_id = i.instruction_id;
		r := jsonb_populate_record(NULL::refundx.failure_override,
				coalesce(to_jsonb(r), '{}') || refundx.failure_policy_read(policy)
				|| jsonb_build_object('instruction_id', i.instruction_id));
		DELETE FROM refundx.failure_override o WHERE o.instruction_id = i.instruction_id;
		INSERT INTO refundx.failure_override SELECT r.*;
		e := refundx.failure_policy_of(i.instruction_id);
		IF e.retry_max < e.retry_first THEN
			RAISE EXCEPTION 'retry_max (% s) is shorter than retry_first (% s)', e.retry_max, e.retry_first
				USING ERRCODE = 'RX030';
		END IF;
	END IF;
	-- what waited, under the rules that it had, is asked about now, and goes on from there
	UPDATE refundx.instruction x SET due_at = clock_timestamp() + current_setting('refundx.clock_offset')::interval
	 WHERE x.instruction_id = i.instruction_id AND x.due_call = 'query' AND x.state IN ('queued', 'unknown');
	INSERT INTO refundx.event (instruction_id, type, from_state, to_state, actor, note)
	VALUES (i.instruction_id, 'policy', i.state, i.state, session_user, reason);
	INSERT INTO refundx.audit (action, subject, reason, detail) VALUES ('failure_policy_for', no, reason, policy);
END
$$;
COMMENT ON FUNCTION refundx.failure_policy_for(text, jsonb, text) IS
'Sets what is done about failures of one open refund or withdrawal (no), in place of what its channel''s policy says; members as of failure_policy_set, null takes one back, and a null policy all. May be called in the transaction that submits it. Kept in the audit log with the reason.
Errors: RX006 it is finished, RX012 unknown number, RX030 the policy is wrong, 22023 no reason.';

CREATE FUNCTION refundx.reissue_step(instruction_id bigint, why text) RETURNS text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_reissue_step';
COMMENT ON FUNCTION refundx.reissue_step(bigint, text) IS
'For reissue and refund_continue, which hold the rows: gives a stopped instruction another number; null, or the sentence that says why not';

CREATE FUNCTION refundx.give_up_step(instruction_id bigint, why text) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_give_up_step';
COMMENT ON FUNCTION refundx.give_up_step(bigint, text) IS
'For refund_continue, which holds the rows: ends a stopped instruction as failed and releases its money, through the settler';

-- Both ways out of `stopped`, for whoever may take them.
CREATE FUNCTION refundx.stopped_decide(instruction_id bigint, decision text, reason text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	i record;
	why_not text;
BEGIN
	SELECT x.instruction_no, x.kind, x.state, x.state_since, coalesce(x.reissues, 0) AS reissues,
		   f.reissue_limit, s.comment
	  INTO i
	  FROM refundx.instruction x
	 CROSS JOIN refundx.failure_policy_of(x.instruction_id) f
	  LEFT JOIN refundx.state_table() s ON s.from_state = x.state AND s.input = 'reissue'
	 WHERE x.instruction_id = $1;
	IF i.state <> 'stopped' THEN
		RAISE EXCEPTION '% "%" cannot be %', i.kind, i.instruction_no,
				CASE decision WHEN 'reissue' THEN 'given another number' ELSE 'given up' END
			USING ERRCODE = 'RX006',
				DETAIL = format('It is %s since %s: %s.', i.state, i.state_since,
								CASE WHEN decision = 'reissue' THEN i.comment
									 ELSE 'the channel has not ended its number, unpaid' END),
				HINT = format('SELECT refundx.%s_explain(%L) says what it waits for.',
							  CASE i.kind WHEN 'refund' THEN 'refund' ELSE 'withdraw' END, i.instruction_no);
	END IF;
	IF decision = 'give_up' THEN
		PERFORM refundx.give_up_step(instruction_id, reason);
		RETURN;
	END IF;
	-- a decision that waits for the application's handler is one all the same
	why_not := CASE WHEN EXISTS (SELECT FROM refundx.handed h WHERE h.instruction_id = $1)
					THEN 'what was said of it last waits for the application''s handler' END;
	why_not := CASE WHEN why_not IS NOT NULL THEN why_not
					WHEN i.reissues >= i.reissue_limit
					THEN format('it has had %s numbers before this one, and its failure policy allows %s', i.reissues, i.reissue_limit)
					ELSE refundx.reissue_step(instruction_id, reason) END;
	IF why_not IS NOT NULL THEN
		RAISE EXCEPTION '% "%" cannot be given another number: %', i.kind, i.instruction_no, why_not USING ERRCODE = 'RX031',
			HINT = 'refundx.refund_continue or withdraw_continue (give_up) releases its money; failure_policy_for changes its limit.';
	END IF;
END
$$;
COMMENT ON FUNCTION refundx.stopped_decide(bigint, text, text) IS
'For reissue and refund_continue, which hold the rows. Errors: RX006 it is not stopped, RX031 why it gets no other number';

-- Payment, instruction: the order of locks.
CREATE FUNCTION refundx.lock_for_decision(no text, kind text, own_only boolean) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	id bigint;
BEGIN
	SELECT i.instruction_id INTO id FROM refundx.instruction i
	 WHERE i.instruction_no = no AND i.kind = coalesce(lock_for_decision.kind, i.kind)
	   AND (NOT own_only OR i.submitted_by = session_user OR refundx.reads_all());
	IF NOT FOUND THEN
		RAISE EXCEPTION '% "%" does not exist', coalesce(kind, 'refund or withdrawal'), no USING ERRCODE = 'RX012';
	END IF;
	PERFORM FROM refundx.payment p
	  WHERE p.payment_id = (SELECT i.payment_id FROM refundx.instruction i WHERE i.instruction_id = id)
		FOR NO KEY UPDATE;
	PERFORM FROM refundx.instruction i WHERE i.instruction_id = id FOR NO KEY UPDATE;
	RETURN id;
END
$$;
COMMENT ON FUNCTION refundx.lock_for_decision(text, text, boolean) IS
'Locks an instruction with its payment, in the order of locks, and returns its key. Error: RX012 unknown number';

CREATE FUNCTION refundx.reissue(no text, reason text, dry_run boolean DEFAULT false,
	OUT before jsonb, OUT after jsonb)
RETURNS record
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	id bigint;
BEGIN
	PERFORM refundx.not_in_handler('reissue');
	IF coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	END IF;
	id := refundx.lock_for_decision(no, NULL, false);
	before := refundx.decision_row(id);
	BEGIN
		PERFORM refundx.stopped_decide(id, 'reissue', reason);
		after := refundx.decision_row(id);
		IF dry_run THEN
			RAISE EXCEPTION USING ERRCODE = 'RX031', MESSAGE = 'dry run';
		END IF;
		INSERT INTO refundx.audit (action, subject, reason, detail)
		VALUES ('reissue', no, reason, jsonb_build_object('before', before, 'after', after));
	EXCEPTION WHEN SQLSTATE 'RX031' THEN
		IF after IS NULL THEN
			RAISE;
		END IF;
	END;
END
$$;
COMMENT ON FUNCTION refundx.reissue(text, text, boolean) IS
'Gives a stopped refund or withdrawal (no), whose number the channel has ended unpaid, another number, which is asked about and then sent; its money stays frozen, and its guarded rows locked. Returns what of it was before and is after; dry_run => true only says what would be. Kept in the audit log with the reason.
Errors: RX006 it is not stopped: nothing proves that its number is dead, RX009 library not preloaded, RX012 unknown number, RX026 inside a handler, RX031 it gets no other number (its limit, a hold, an adopted one, the channel''s number of parts), 22023 no reason.';

CREATE FUNCTION refundx.decision_row(instruction_id bigint) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_build_object('number', i.instruction_no, 'wire_no', i.wire_no, 'state', i.state, 'detail', i.detail,
			'due_call', i.due_call, 'due_at', i.due_at, 'attempts', i.attempts, 'numbers_before', coalesce(i.reissues, 0),
			'with_person', i.person_reason)
	  FROM refundx.instruction i WHERE i.instruction_id = $1
$$;
COMMENT ON FUNCTION refundx.decision_row(bigint) IS 'What of an instruction an operator''s decision may change';

-- Who submitted it may decide where the policy lets the user; an operator always.
CREATE FUNCTION refundx.stopped_continue(no text, kind text, decision text, reason text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	id bigint;
	is_operator boolean := pg_has_role(session_user, 'refundx_operator', 'MEMBER')
		OR pg_has_role(session_user, (SELECT extowner FROM pg_extension WHERE extname = 'refundx'), 'MEMBER');
	i record;
BEGIN
	PERFORM refundx.not_in_handler(CASE kind WHEN 'refund' THEN 'refund_continue' ELSE 'withdraw_continue' END);
	IF decision IS NULL OR decision NOT IN ('reissue', 'give_up') THEN
		RAISE EXCEPTION 'decision cannot be "%"', coalesce(decision, '') USING ERRCODE = '22023',
			HINT = 'It is reissue (another number) or give_up (the money is released).';
	END IF;
	id := refundx.lock_for_decision(no, kind, true);
	SELECT x.state, f.on_failure INTO i
	  FROM refundx.instruction x CROSS JOIN refundx.failure_policy_of(x.instruction_id) f
	 WHERE x.instruction_id = id;
	IF i.state = 'failed' AND decision = 'give_up' THEN
		RETURN;
	ELSIF i.state = 'stopped' AND i.on_failure <> 'ask_user' AND NOT is_operator THEN
		RAISE EXCEPTION '% "%" waits for an operator', kind, no USING ERRCODE = 'RX006',
			HINT = 'With on_failure ask_user, in its own or its channel''s failure policy, the application decides.';
	END IF;
	PERFORM refundx.stopped_decide(id, decision, coalesce(nullif(reason, ''), 'as whom it pays decided'));
	INSERT INTO refundx.audit (action, subject, reason, detail)
	VALUES ('continue', no, coalesce(nullif(reason, ''), 'as whom it pays decided'), jsonb_build_object('decision', decision));
END
$$;
COMMENT ON FUNCTION refundx.stopped_continue(text, text, text, text) IS
'For refund_continue and withdraw_continue, whose comments name its errors';

CREATE FUNCTION refundx.refund_continue(refund_no text, decision text, reason text DEFAULT NULL)
RETURNS refundx.refund
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM refundx.stopped_continue(refund_no, 'refund', decision, reason);
	RETURN refundx.refund_get(refund_no);
END
$$;
COMMENT ON FUNCTION refundx.refund_continue(text, text, text) IS
'Says how a stopped refund goes on, whose number the channel has ended unpaid: decision reissue (another number, which is asked about and then sent) or give_up (it becomes failed, and its money is released), in the caller''s transaction; where a handler follows its failure, as soon as that has succeeded. Whoever submitted it may where its failure policy says ask_user, an operator always. Giving up what has failed is a no-op.
Errors: RX006 it is not stopped, or waits for an operator, RX009 library not preloaded, RX012 unknown refund, RX026 inside a handler, RX031 it gets no other number, 40001 retry the transaction, 22023 no such decision.';

CREATE FUNCTION refundx.withdraw_continue(withdrawal_no text, decision text, reason text DEFAULT NULL)
RETURNS refundx.withdrawal
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM refundx.stopped_continue(withdrawal_no, 'withdrawal', decision, reason);
	RETURN refundx.withdraw_get(withdrawal_no);
END
$$;
COMMENT ON FUNCTION refundx.withdraw_continue(text, text, text) IS
'Says how a stopped withdrawal goes on; as refund_continue. Errors: RX006, RX009, RX012 unknown withdrawal, RX026, RX031, 40001, 22023.';

CREATE FUNCTION refundx.refund_abnormal(refund_no text, to_whom text, reason text,
	bank_type text DEFAULT NULL, card text DEFAULT NULL, name text DEFAULT NULL, dry_run boolean DEFAULT false)
RETURNS refundx.refund
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_refund_abnormal';
COMMENT ON FUNCTION refundx.refund_abnormal(text, text, text, text, text, text, boolean) IS
'Sends an abnormal refund elsewhere: the channel has the money, and the payer''s card or account cannot receive it. to_whom: to_merchant, the merchant''s own account (it becomes returned); or to_user, another debit card of the payer''s: bank_type (WeChat Pay: the bank''s code and _DEBIT, such as CMB_DEBIT), card, and name, its owner''s. The call is the dispatcher''s, after commit; a query says who got it. Card and name are encrypted for the channel and sealed here until then (refundx.payee_keys); no log, event or view has them. dry_run => true only checks. Kept in the audit log with the reason, without either.
Errors: RX006 it is not abnormal, or is being sent already, RX007 it or its payment is on hold, RX009 library not preloaded, RX010 the channel has no such call, or would refuse the card, RX011 no key to seal it with, RX012 unknown refund, RX026 inside a handler, 22023 no reason, or to_whom is neither.';
