/*
 * Stop-loss: pauses.
 *
 * Whoever pauses, or sets a cap, takes refundx.pause in EXCLUSIVE mode; whoever
 * claims takes it in ROW SHARE mode first, and looks then (worker/dispatch_claim.c).
 * So no claim is under way when one of these has committed, and the next sees it.
 */

-- A channel's own pauses, unless a person's stands before them.
CREATE VIEW refundx.merchant_paused AS
	SELECT p.merchant_id, p.about, p.cause AS paused, p.reason, p.since, NULL::timestamptz AS probe_at, NULL::int AS probes
	  FROM refundx.pause p
	 WHERE p.scope = 'merchant'
	UNION ALL
	SELECT m.merchant_id, m.about, m.paused, m.reason, m.since, m.probe_at, m.probes
	  FROM refundx.merchant_pause m
	 WHERE NOT EXISTS (SELECT FROM refundx.pause p
						WHERE p.scope = 'merchant' AND p.merchant_id = m.merchant_id AND p.about = m.about);
COMMENT ON VIEW refundx.merchant_paused IS 'What of a merchant is paused, by its channel''s answers or by a person; the latter has no probe';

CREATE FUNCTION refundx.same_login(login text, role_name text) RETURNS boolean
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT login = role_name
		OR EXISTS (SELECT FROM pg_roles l JOIN pg_roles r ON r.rolname = same_login.role_name
					WHERE l.rolname = same_login.login AND NOT l.rolsuper AND pg_has_role(l.oid, r.oid, 'MEMBER'))
$$;
COMMENT ON FUNCTION refundx.same_login(text, text) IS
'Whether a login is this role or a member of it; a superuser is a member of none';

CREATE FUNCTION refundx.pauses_of(instruction_id bigint) RETURNS SETOF refundx.pause
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT p.*
	  FROM refundx.instruction i
	  LEFT JOIN refundx.account a ON a.account_id = i.account_id
	  JOIN refundx.pause p
		ON CASE p.scope
		   WHEN 'everything' THEN true
		   WHEN 'merchant' THEN p.merchant_id = i.merchant_id AND p.about = i.kind
		   WHEN 'account' THEN p.account_id = coalesce(a.slot_of, a.account_id)
		   ELSE refundx.same_login(i.submitted_by, p.role_name) END
	 WHERE i.instruction_id = pauses_of.instruction_id
	 ORDER BY p.pause_id
$$;
COMMENT ON FUNCTION refundx.pauses_of(bigint) IS 'The pauses that keep a refund or withdrawal from being sent';

CREATE FUNCTION refundx.pause_subject(p refundx.pause) RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE p.scope
		   WHEN 'merchant' THEN (SELECT m.kind || ' ' || m.merchant_no FROM refundx.merchant m WHERE m.merchant_id = p.merchant_id)
		   WHEN 'account' THEN (SELECT a.account_no FROM refundx.account a WHERE a.account_id = p.account_id)
		   WHEN 'role' THEN p.role_name END
$$;
COMMENT ON FUNCTION refundx.pause_subject(refundx.pause) IS 'Who is paused, as people name it; null: everything';

CREATE FUNCTION refundx.pause_text(p refundx.pause) RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('%s paused since %s by %s, because %s',
				  CASE p.scope
				  WHEN 'everything' THEN 'everything is'
				  WHEN 'merchant' THEN p.about || 's of merchant ' || refundx.pause_subject(p) || ' are'
				  ELSE p.scope || ' "' || refundx.pause_subject(p) || '" is' END,
				  to_char(p.since, CASE WHEN p.since::date = current_date THEN 'HH24:MI' ELSE 'YYYY-MM-DD HH24:MI' END),
				  CASE WHEN p.cause <> 'operator' THEN 'refundx itself' ELSE coalesce(p.actor || ' (' || p.by_user || ')', p.by_user) END,
				  p.reason)
$$;
COMMENT ON FUNCTION refundx.pause_text(refundx.pause) IS 'A pause in words: what, since when, by whom, why';

CREATE FUNCTION refundx.held_back(instruction_id bigint) RETURNS boolean
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (SELECT FROM refundx.pauses_of(held_back.instruction_id))
		OR EXISTS (SELECT FROM refundx.cap_wait w WHERE w.instruction_id = held_back.instruction_id)
		OR EXISTS (SELECT FROM refundx.instruction i JOIN refundx.breaker b USING (merchant_id)
					WHERE i.instruction_id = held_back.instruction_id AND b.closed_at IS NULL
					  AND b.about IN ('all', i.kind) AND b.call IN ('all', i.due_call))
$$;
COMMENT ON FUNCTION refundx.held_back(bigint) IS 'Whether a pause, a cap or a breaker keeps it from being sent, so that it is not overdue';

CREATE FUNCTION refundx.stop_subject(what text, subject text,
	OUT merchant_id int, OUT account_id bigint, OUT role_name text, OUT named text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	ids int[];
BEGIN
	IF what IS NULL OR what NOT IN ('merchant', 'account', 'role', 'everything') THEN
		RAISE EXCEPTION '"%" cannot be stopped', what USING ERRCODE = '22023',
			HINT = 'It is one of: merchant (named by its number or by a channel), account, role, everything.';
	END IF;
	IF (what = 'everything') <> (coalesce(subject, '') = '') THEN
		RAISE EXCEPTION '%', CASE what WHEN 'everything' THEN 'everything has no name' ELSE 'which ' || what || ' must be given' END
			USING ERRCODE = '22023';
	END IF;
	named := concat_ws(' ', what, subject);
	CASE what
	WHEN 'merchant' THEN
		ids := ARRAY(SELECT c.merchant_id FROM refundx.channel c WHERE c.name = subject);
		IF ids = '{}' THEN
			ids := ARRAY(SELECT m.merchant_id FROM refundx.merchant m WHERE m.merchant_no = subject);
		END IF;
		IF cardinality(ids) <> 1 THEN
			RAISE EXCEPTION '%', CASE WHEN ids = '{}' THEN format('no channel and no merchant is named "%s"', subject)
									  ELSE format('"%s" is a merchant of several kinds of channels', subject) END
				USING ERRCODE = 'RX008', HINT = 'Name one of its channels; they are in refundx.merchants.';
		END IF;
		merchant_id := ids[1];
	WHEN 'account' THEN
		SELECT a.account_id INTO account_id FROM refundx.account a WHERE a.account_no = subject;
		IF NOT FOUND THEN
			RAISE EXCEPTION 'account "%" does not exist', subject USING ERRCODE = 'RX013';
		END IF;
	WHEN 'role' THEN
		IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = subject) THEN
			RAISE EXCEPTION 'role "%" does not exist', subject USING ERRCODE = '42704',
				HINT = 'A login, or a role that logins are members of.';
		END IF;
		role_name := subject;
	ELSE
		NULL;
	END CASE;
END
$$;
COMMENT ON FUNCTION refundx.stop_subject(text, text) IS
'Who is to be paused or capped. Errors: those of refundx.pause()';

CREATE FUNCTION refundx.stop_about(what text, about text) RETURNS text[]
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF about IS NOT NULL AND (what <> 'merchant' OR about NOT IN ('refund', 'withdrawal')) THEN
		RAISE EXCEPTION '%', CASE what WHEN 'merchant' THEN format('"%s" is neither refund nor withdrawal', about)
									   ELSE 'only a merchant''s refunds and withdrawals are stopped apart' END
			USING ERRCODE = '22023';
	END IF;
	RETURN CASE WHEN what <> 'merchant' THEN ARRAY[NULL::text]
				WHEN about IS NULL THEN ARRAY['refund', 'withdrawal'] ELSE ARRAY[about] END;
END
$$;
COMMENT ON FUNCTION refundx.stop_about(text, text) IS
'Which of a merchant''s products are meant; null for all else. Error: 22023';

CREATE FUNCTION refundx.pause(what text, subject text, reason text, about text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s record;
	products text[];
	why constant text := reason;
BEGIN
	PERFORM refundx.not_in_handler('pause');
	IF coalesce(why, '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	END IF;
	s := refundx.stop_subject(what, subject);
	products := refundx.stop_about(what, about);
	-- the head of this file says why
	LOCK TABLE refundx.pause IN EXCLUSIVE MODE;
	INSERT INTO refundx.pause (scope, merchant_id, about, account_id, role_name, reason, actor)
	SELECT what, s.merchant_id, p, s.account_id, s.role_name, why, refundx.actor() FROM unnest(products) p
	ON CONFLICT DO NOTHING;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	INSERT INTO refundx.audit (action, subject, reason, detail)
	VALUES ('pause', s.named, why, CASE WHEN about IS NOT NULL THEN jsonb_build_object('about', about) END);
	RETURN true;
END
$$;
COMMENT ON FUNCTION refundx.pause(text, text, text, text) IS
'Stops sending: of a merchant (subject: its number or one of its channels; about: refund, withdrawal, null for both), of an account, of what a role (or a member of it) submits, or of everything (subject: null). What was sent goes on: it is asked about, callbacks are kept, money is settled. Submits are queued while a merchant or everything is paused; from a paused account nothing is taken, and a paused role cannot submit. When it has returned and committed, nothing that it stops is claimed any more. False: it was paused already, and stays so for the first reason. Kept in the audit log with the reason.
Errors: RX008 no such merchant, RX013 no such account, 22023 no reason, or not one of these, 42704 no such role.';

-- Locked, for a claim that came before has moved its row on.
CREATE FUNCTION refundx.look_again(ids bigint[], type text, note text) RETURNS void
LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	WITH queued AS (
		SELECT i.instruction_id, i.state FROM refundx.instruction i
		 WHERE i.instruction_id = ANY (ids) AND i.state = 'queued'
		 ORDER BY i.instruction_id FOR NO KEY UPDATE SKIP LOCKED)
	INSERT INTO refundx.event (instruction_id, type, from_state, to_state, actor, note)
	SELECT q.instruction_id, look_again.type, q.state, q.state, session_user, look_again.note FROM queued q
$$;
COMMENT ON FUNCTION refundx.look_again(bigint[], text, text) IS
'Events that make the dispatcher look at queued refunds and withdrawals again. No errors of its own';

CREATE FUNCTION refundx.resume(what text, subject text, reason text, about text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s record;
	products text[];
	why constant text := reason;
	waiting bigint[];
	ended jsonb;
BEGIN
	PERFORM refundx.not_in_handler('resume');
	IF coalesce(why, '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	END IF;
	s := refundx.stop_subject(what, subject);
	products := refundx.stop_about(what, about);
	LOCK TABLE refundx.pause IN EXCLUSIVE MODE;
	IF what IN ('account', 'role') THEN
		waiting := ARRAY(SELECT i.instruction_id
						   FROM refundx.instruction i LEFT JOIN refundx.account a ON a.account_id = i.account_id
						  WHERE i.is_open AND i.state = 'queued'
							AND (coalesce(a.slot_of, a.account_id) = s.account_id
								 OR refundx.same_login(i.submitted_by, s.role_name)));
	END IF;
	WITH gone AS (
		DELETE FROM refundx.pause p
		 WHERE p.scope = what
		   AND (p.merchant_id IS NULL OR p.merchant_id = s.merchant_id AND p.about = ANY (products))
		   AND (p.account_id IS NULL OR p.account_id = s.account_id)
		   AND (p.role_name IS NULL OR p.role_name = s.role_name)
		RETURNING p.about, p.cause, p.reason, p.since, p.by_user)
	SELECT jsonb_agg(to_jsonb(g)) INTO ended FROM gone g;
	IF ended IS NULL THEN
		IF EXISTS (SELECT FROM refundx.merchant_pause m WHERE m.merchant_id = s.merchant_id AND m.about = ANY (products)) THEN
			RAISE NOTICE 'the channel''s answers pause it, and nobody else'
				USING HINT = 'Mend what refundx.pauses says; it is probed, and resumes by itself.';
		END IF;
		RETURN false;
	END IF;
	INSERT INTO refundx.audit (action, subject, reason, detail) VALUES ('resume', s.named, why, ended);
	IF waiting <> '{}' THEN
		PERFORM refundx.look_again(waiting, 'resumed', why);
	END IF;
	RETURN true;
END
$$;
COMMENT ON FUNCTION refundx.resume(text, text, text, text) IS
'Ends a pause: what was stopped by refundx.pause(), or by refundx itself after a contradiction or a broken invariant. What waits is sent at once, as paces and caps allow. False: it was not paused. (A pause that the channel''s answers placed ends by itself.) Kept in the audit log with the reason, and with what the pause said.
Errors: RX008 no such merchant, RX013 no such account, 22023 no reason, or not one of these, 42704 no such role.';
