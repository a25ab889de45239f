/*
 * How each act of the desk is run, and what a second person has to do with it.
 *
 * A request is what somebody has asked for and another person has not confirmed
 * yet.  Confirming it is the same act, at that time: what has become impossible
 * since is refused then.  One is needed
 *
 *	- above the amount that refundx.second_person_set() has set for the currency, to
 *	  resolve, to retry, to release, to settle a suspense account, and to accept, resolve
 *	  or ignore a break: what can let money go, or out of sight;
 *	- always, to end without payment what was ever sent, for lack of the channel's
 *	  own word that it is dead.
 */
CREATE FUNCTION refundx.desk_reason(reason text) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL UNSAFE
AS $$
BEGIN
	IF coalesce(btrim(reason), '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	ELSIF length(reason) > 1000 THEN
		RAISE EXCEPTION 'reason is longer than 1000 characters' USING ERRCODE = '22023';
	END IF;
END
$$;
COMMENT ON FUNCTION refundx.desk_reason(text) IS 'Error 22023 without a reason';

-- Why a second person has to agree, or null: the amount is above what is set; or what
-- is set is to be raised, which would otherwise be the way around it.
CREATE FUNCTION refundx.desk_second(s refundx.desk_subject, action text, arguments jsonb) RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$
	SELECT CASE WHEN action = 'second_person_set' THEN 'fewer things would need a second person'
				ELSE format('%s %s is more than %s', refundx.format_amount(s.amount, s.currency), s.currency, refundx.format_amount(p.above, p.currency)) END
	  FROM refundx.second_person p
	 WHERE p.currency = s.currency
	   AND (s.amount > p.above AND action IN ('resolve', 'retry', 'release', 'suspense_settle', 'break_accept', 'break_resolve', 'break_ignore')
			OR action = 'second_person_set' AND coalesce((arguments->>'above')::bigint > p.above, true))
$$;
COMMENT ON FUNCTION refundx.desk_second(refundx.desk_subject, text, jsonb) IS 'Why a second person has to agree to an act; null: nobody has to';

CREATE FUNCTION refundx.desk_second_person(s refundx.desk_subject, arguments jsonb) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
BEGIN
	DELETE FROM refundx.second_person p WHERE p.currency = s.name;
	IF arguments->>'above' IS NULL THEN
		RETURN format('No amount of %s needs a second person.', s.name);
	END IF;
	INSERT INTO refundx.second_person (currency, above) VALUES (s.name, (arguments->>'above')::bigint);
	RETURN format('Above %s %s a second person has to agree.', refundx.format_amount((arguments->>'above')::bigint, s.name), s.name);
END
$$;
COMMENT ON FUNCTION refundx.desk_second_person(refundx.desk_subject, jsonb) IS 'Sets above which amount (minor units) a second person has to agree';

CREATE FUNCTION refundx.desk_request(s refundx.desk_subject, action text, arguments jsonb, reason text, why text, asked boolean) RETURNS bigint
LANGUAGE sql VOLATILE PARALLEL UNSAFE
AS $$
	INSERT INTO refundx.operator_request (action, kind, subject, channel, instruction_id, arguments, reason, amount, currency, why, asked_at)
	VALUES ($2, s.kind, s.name, s.channel, CASE WHEN s.kind IN ('refund', 'withdrawal') THEN s.id END, $3, $4, s.amount, s.currency, $5,
			CASE WHEN $6 THEN refundx.desk_now() END)
	RETURNING request_id
$$;
COMMENT ON FUNCTION refundx.desk_request(refundx.desk_subject, text, jsonb, text, text, boolean) IS 'Writes down what a second person has to confirm; returns its number';

CREATE FUNCTION refundx.desk_run(action text, s refundx.desk_subject, arguments jsonb, reason text, dry_run boolean,
	confirms refundx.operator_request DEFAULT NULL)
RETURNS refundx.desk_answer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	a refundx.desk_answer;
	tried constant boolean := coalesce(dry_run, false);
	waits text;			-- why it is not done now
	second text;		-- why a second person has to agree
	asked boolean := false;	-- because the channel has to be asked before
	open_one bigint;
	incident text;		-- what went wrong, if something did
BEGIN
	PERFORM refundx.not_in_handler(action);
	a.action := action;
	a.subject := s.kind || ' ' || s.name;
	a.before := refundx.desk_row(s);
	second := CASE WHEN confirms.request_id IS NULL THEN refundx.desk_second(s, action, arguments) END;
	IF confirms.request_id IS NULL AND s.kind <> 'notice' THEN
		SELECT r.request_id INTO open_one FROM refundx.operator_request r
		 WHERE r.done_at IS NULL AND r.action = desk_run.action AND r.kind = s.kind AND r.subject = s.name
		   AND r.channel IS NOT DISTINCT FROM s.channel;
		IF FOUND THEN
			RAISE EXCEPTION '% of % waits for a second person already', action, a.subject USING ERRCODE = 'RX006',
				HINT = format('SELECT * FROM refundx.confirm(%s, reason), or decline(%s, reason).', open_one, open_one);
		END IF;
	END IF;
	BEGIN
		IF action = 'resolve' THEN
			SELECT r.note, r.waits, r.incident INTO a.note, waits, incident FROM refundx.desk_resolve(s, arguments, reason, confirms) r;
			asked := waits IS NOT NULL;
		ELSIF s.kind = 'break' THEN
			SELECT r.note, r.incident INTO a.note, incident FROM refundx.break_act(action, s, arguments, reason) r;
		ELSE
			a.note := CASE action
				WHEN 'hold' THEN refundx.desk_hold(s, reason)
				WHEN 'release' THEN refundx.desk_release(s, reason)
				WHEN 'query_now' THEN refundx.desk_query_now(s, reason)
				WHEN 'retry' THEN refundx.desk_retry(s, reason)
				WHEN 'callback_replay' THEN refundx.desk_replay(s, ARRAY(SELECT e::bigint FROM jsonb_array_elements_text(arguments->'evidence') e), reason)
				WHEN 'notice_resend' THEN refundx.desk_resend(s, reason)
				WHEN 'external_ignore' THEN refundx.desk_ignore(s, reason)
				WHEN 'suspense_settle' THEN refundx.desk_suspense_settle(s, arguments, reason)
				WHEN 'second_person_set' THEN refundx.desk_second_person(s, arguments)
			END;
		END IF;
		a.after := refundx.desk_row(s);
		waits := coalesce(waits, second);
		IF tried OR waits IS NOT NULL AND NOT asked THEN
			RAISE EXCEPTION 'undone' USING ERRCODE = 'RXZZZ';
		END IF;
	EXCEPTION WHEN SQLSTATE 'RXZZZ' THEN
		NULL;					-- variables keep what they have, and nothing else does
	END;
	a.done := NOT tried AND waits IS NULL;
	IF waits IS NOT NULL AND NOT asked THEN
		a.note := format('A second person has to agree (%s). Then: %s', waits, a.note);
	END IF;
	IF tried THEN
		RETURN a;
	END IF;
	IF waits IS NOT NULL THEN
		a.request := refundx.desk_request(s, action, arguments, reason, waits, asked);
		a.after := refundx.desk_row(s);
	END IF;
	INSERT INTO refundx.audit (action, subject, reason, detail)
	VALUES (a.action, s.name, reason,
			jsonb_strip_nulls(jsonb_build_object('about', s.kind, 'arguments', nullif(arguments, '{}'), 'before', a.before, 'after', a.after,
				'asked for, as request', a.request, 'confirmed, of request', confirms.request_id,
				'asked by', CASE WHEN confirms.request_id IS NOT NULL THEN coalesce(confirms.actor, confirms.by_user) END)));
	IF a.done AND incident IS NOT NULL THEN
		PERFORM refundx.incident_add('resolved', incident, format('%s resolved it: %s', refundx.desk_person(), a.note),
									 CASE s.kind WHEN 'break' THEN (SELECT b.instruction_id FROM refundx.break b WHERE b.break_id = s.id) ELSE s.id END);
	END IF;
	PERFORM refundx.desk_wake();
	RETURN a;
END
$$;
COMMENT ON FUNCTION refundx.desk_run(text, refundx.desk_subject, jsonb, text, boolean, refundx.operator_request) IS 'Does, or tries, or writes down for a second person, what an operator asks for; and writes the audit log';

-- Found, open, and locked.
CREATE FUNCTION refundx.desk_find_request(request bigint) RETURNS refundx.operator_request
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	r refundx.operator_request;
BEGIN
	SELECT * INTO r FROM refundx.operator_request q WHERE q.request_id = request FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'request % does not exist', coalesce(request::text, 'null') USING ERRCODE = 'RX029',
			HINT = 'refundx.operator_requests has them.';
	ELSIF r.done_at IS NOT NULL THEN
		RAISE EXCEPTION 'request % was % by %', request, r.outcome, r.done_by USING ERRCODE = 'RX006',
			DETAIL = format('At %s.', r.done_at);
	END IF;
	RETURN r;
END
$$;
COMMENT ON FUNCTION refundx.desk_find_request(bigint) IS 'Finds and locks a request that nobody has confirmed or declined';

CREATE FUNCTION refundx.confirm(request bigint, reason text, dry_run boolean DEFAULT false)
RETURNS refundx.desk_answer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r refundx.operator_request;
	s refundx.desk_subject;
	a refundx.desk_answer;
BEGIN
	PERFORM refundx.desk_reason(reason);
	r := refundx.desk_find_request(request);
	-- of one login only those are two persons who both said who they are
	IF session_user = r.by_user AND (r.actor IS NULL OR refundx.actor() IS NULL)
		OR refundx.desk_person() = coalesce(r.actor, r.by_user) THEN
		RAISE EXCEPTION 'request % was made by %, and nobody confirms their own', request, coalesce(r.actor, r.by_user)
			USING ERRCODE = 'RX021', DETAIL = format('This session acts as %s.', refundx.desk_person()),
			HINT = 'Another person must do it: another login, or, where a login is shared, refundx.actor (by a login with the role refundx_delegate).';
	END IF;
	s := refundx.desk_lock(r.kind, r.subject, r.channel);
	a := refundx.desk_run(r.action, s, r.arguments, r.reason, dry_run, r);
	a.request := r.request_id;
	IF a.done THEN
		UPDATE refundx.operator_request q SET outcome = 'confirmed', done_at = clock_timestamp(), done_by = refundx.desk_person()
		 WHERE q.request_id = r.request_id;
		INSERT INTO refundx.audit (action, subject, reason, detail)
		VALUES ('confirm', r.subject, reason, jsonb_build_object('about', r.kind, 'request', r.request_id));
	END IF;
	RETURN a;
END
$$;
COMMENT ON FUNCTION refundx.confirm(bigint, text, boolean) IS
'Agrees, as a second person, to what another operator has asked for, and does it: as it would be done now, so that what has become impossible is refused. Who confirms is another person than who asked: refundx.actor where it is set (by a login with the role refundx_delegate), and session_user otherwise.
To end without payment what was ever sent, the channel must have answered a query that began after it was asked for, and must not contradict it.
dry_run => true says what would happen, and changes nothing. Kept in the audit log with the reason.
Errors: RX006 it was confirmed or declined, or the state no longer allows it, RX021 it is one''s own, RX028 the query has not been answered, or contradicts, RX029 unknown request, 22023 no reason.';

CREATE FUNCTION refundx.decline(request bigint, reason text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r refundx.operator_request;
	s refundx.desk_subject;
BEGIN
	PERFORM refundx.not_in_handler('decline');
	PERFORM refundx.desk_reason(reason);
	r := refundx.desk_find_request(request);
	IF r.instruction_id IS NOT NULL THEN
		s := refundx.desk_lock(r.kind, r.subject, r.channel);
		UPDATE refundx.instruction i SET hold = NULL, hold_since = NULL, hold_by = NULL
		 WHERE i.instruction_id = s.id AND i.hold_by = 'resolve' AND r.action = 'resolve';
		IF FOUND THEN
			PERFORM refundx.desk_event(s, 'released', reason);
		END IF;
	END IF;
	UPDATE refundx.operator_request q SET outcome = 'declined', done_at = clock_timestamp(), done_by = refundx.desk_person()
	 WHERE q.request_id = r.request_id;
	INSERT INTO refundx.audit (action, subject, reason, detail)
	VALUES ('decline', r.subject, reason, jsonb_build_object('about', r.kind, 'request', r.request_id, 'of', r.action));
	PERFORM refundx.desk_wake();
	RETURN true;
END
$$;
COMMENT ON FUNCTION refundx.decline(bigint, text) IS
'Ends a request that nobody has confirmed; also whoever made it may. What was stopped because of it goes on. Kept in the audit log with the reason.
Errors: RX006 it was confirmed or declined, RX029 unknown request, 22023 no reason.';

CREATE FUNCTION refundx.second_person_set(currency text, above bigint, reason text, dry_run boolean DEFAULT false)
RETURNS refundx.desk_answer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM refundx.desk_reason(reason);
	IF currency IS NULL THEN
		RAISE EXCEPTION 'currency must be given' USING ERRCODE = '22023';
	ELSIF above < 0 THEN
		RAISE EXCEPTION 'the amount must not be negative' USING ERRCODE = 'RX014';
	END IF;
	RETURN refundx.desk_run('second_person_set', refundx.desk_lock('currency', currency, NULL),
							jsonb_build_object('above', above), reason, dry_run);
END
$$;
COMMENT ON FUNCTION refundx.second_person_set(text, bigint, text, boolean) IS
'Above which amount (minor units of currency) resolve, retry, release, suspense_settle, break_accept, break_resolve and break_ignore need a second person; null: above none. To raise it, or to take it away, needs a second person itself.
dry_run => true says what would happen, and changes nothing. Kept in the audit log with the reason.
Errors: RX005 not a currency code, RX006 that waits for a second person already, RX014 amount, 22023 no reason.';
