/*
 * Handlers: added, changed, paused, removed; and what people decide about one that
 * has failed.
 */
CREATE FUNCTION refundx.handler_running() RETURNS boolean
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_handler_running';
COMMENT ON FUNCTION refundx.handler_running() IS 'Whether this is called from a handler, by the runner';

CREATE FUNCTION refundx.not_in_handler(function text) RETURNS void
LANGUAGE c STABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_not_in_handler';
COMMENT ON FUNCTION refundx.not_in_handler(text) IS 'Raises RX026 inside a handler: the named function is an operator''s';

CREATE FUNCTION refundx.handler_release(instruction_id bigint, transition text) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_handler_release';
COMMENT ON FUNCTION refundx.handler_release(bigint, text) IS
'Lets the notice of a transition be sent that has waited for its handlers, unless one is still open; to be called through handler_waive and handler_remove';

-- 'refund.succeeded' in two.
CREATE FUNCTION refundx.handler_transition(name text, OUT about text, OUT transition text)
LANGUAGE plpgsql IMMUTABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	about := split_part(name, '.', 1);
	transition := split_part(name, '.', 2);
	IF name IS NULL OR about NOT IN ('refund', 'withdrawal') OR name <> about || '.' || transition
	   OR transition NOT IN ('accepted', 'abnormal', 'succeeded', 'failed', 'canceled', 'returned') THEN
		RAISE EXCEPTION 'there is no transition "%" to follow', coalesce(name, '') USING ERRCODE = 'RX011',
			HINT = 'It is refund. or withdrawal., and one of accepted, abnormal, succeeded, failed, canceled, returned: refund.succeeded.';
	END IF;
END
$$;
COMMENT ON FUNCTION refundx.handler_transition(text) IS 'What a handler follows, in two parts; RX011 if it is nothing to follow';

/*
 * What is wrong with calling this function as this role; null: nothing.  Asked when a
 * handler is added, and by the view, for either may change later.
 */
CREATE FUNCTION refundx.handler_problem(about text, function_schema text, function_name text, role text,
										OUT problem text, OUT hint text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	wanted text := format('%I.%I(refundx.%s)', function_schema, function_name, about);
	f record;
	r record;
BEGIN
	SELECT p.oid, p.prokind, p.proretset, p.pronamespace INTO f
	  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
	 WHERE n.nspname = function_schema AND p.proname = function_name
	   AND p.proargtypes = format('%s', format('refundx.%s', about)::regtype::oid)::oidvector;
	IF NOT FOUND THEN
		problem := format('function %s does not exist', wanted);
		hint := format('A handler of a %1$s has one argument, of type refundx.%1$s: CREATE FUNCTION %2$I.%3$I(r refundx.%1$s) RETURNS void ...', about, function_schema, function_name);
		RETURN;
	ELSIF f.prokind <> 'f' OR f.proretset THEN
		problem := format('%s is %s', wanted, CASE WHEN f.proretset THEN 'a function that returns a set' WHEN f.prokind = 'p' THEN 'a procedure' ELSE 'no plain function' END);
		hint := 'A handler is a function that returns void, or one value that nobody looks at. It cannot commit: it is part of the settlement.';
		RETURN;
	END IF;
	SELECT a.oid, a.rolsuper, a.rolname INTO r FROM pg_roles a WHERE a.rolname = role;
	IF NOT FOUND THEN
		problem := format('role "%s" does not exist', role);
	ELSIF r.rolsuper THEN
		problem := format('role "%s" is a superuser', role);
		hint := 'Give role => one that may do what the handler does, and no more.';
	ELSIF r.rolname IN ('refundx_dispatcher', 'refundx_listener', 'refundx_settler', 'refundx_runner', 'refundx_courier', 'refundx_clerk') THEN
		problem := format('role "%s" is a worker''s', role);
		hint := 'Give role => one of the application''s.';
	ELSIF NOT (has_schema_privilege(r.oid, f.pronamespace, 'USAGE') AND has_function_privilege(r.oid, f.oid, 'EXECUTE')) THEN
		problem := format('role "%s" may not call %s', role, wanted);
		hint := format('GRANT USAGE ON SCHEMA %1$I TO %3$I; GRANT EXECUTE ON FUNCTION %2$s TO %3$I;', function_schema, wanted, role);
	END IF;
END
$$;
COMMENT ON FUNCTION refundx.handler_problem(text, text, text, text) IS 'What is in the way of a handler; null: nothing';

-- The function that is meant, by its name.  It need not be there any more.
CREATE FUNCTION refundx.handler_function(function text, about text, must_exist boolean,
										 OUT function_schema text, OUT function_name text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	name text[];
	given oid;
	wanted constant text := format('Write it with its schema and its argument: shop.on_%1$s(refundx.%1$s).', about);
BEGIN
	IF coalesce(function, '') = '' THEN
		RAISE EXCEPTION 'function must be given' USING ERRCODE = '22023', HINT = wanted;
	END IF;
	BEGIN
		name := parse_ident(CASE WHEN function ~ '\)\s*$' THEN substring(function FROM '^(.*?)\s*\(') ELSE function END);
	EXCEPTION WHEN invalid_parameter_value THEN
		name := NULL;
	END;
	IF cardinality(name) IS DISTINCT FROM 2 THEN
		RAISE EXCEPTION '"%" is not a function with its schema', function USING ERRCODE = 'RX011', HINT = wanted;
	END IF;
	function_schema := name[1];
	function_name := name[2];
	IF NOT must_exist OR function !~ '\)\s*$' THEN
		RETURN;
	END IF;
	BEGIN
		given := function::regprocedure::oid;
	EXCEPTION WHEN undefined_function OR undefined_object OR syntax_error OR invalid_text_representation OR invalid_schema_name THEN
		RAISE EXCEPTION '%', SQLERRM USING ERRCODE = 'RX011', HINT = wanted;
	END;
	IF (SELECT p.proargtypes FROM pg_proc p WHERE p.oid = given)
	   IS DISTINCT FROM format('%s', format('refundx.%s', about)::regtype::oid)::oidvector THEN
		RAISE EXCEPTION 'function % cannot follow a %', given::regprocedure, about USING ERRCODE = 'RX011',
			DETAIL = format('Its arguments are (%s), not (refundx.%s).', pg_get_function_identity_arguments(given), about), HINT = wanted;
	END IF;
END
$$;
COMMENT ON FUNCTION refundx.handler_function(text, text, boolean) IS 'Schema and name of a handler''s function; RX011 if it is none';

CREATE FUNCTION refundx.handler_limits(mode text, time_limit interval, lock_limit interval, retries int, backoff interval)
RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF mode IS NULL OR mode NOT IN ('required', 'best_effort') THEN
		RAISE EXCEPTION 'mode is "%"', coalesce(mode, '') USING ERRCODE = 'RX011',
			HINT = 'required: the settlement waits until the handler has succeeded. best_effort: it stands, and the handler is tried again.';
	ELSIF time_limit IS NULL OR time_limit < interval '10 ms' OR time_limit > interval '10 min' THEN
		RAISE EXCEPTION 'time_limit must be 10 ms to 10 min, not %', coalesce(time_limit::text, 'null') USING ERRCODE = 'RX011',
			HINT = 'The rows of the refund are locked while the handler runs: it should take milliseconds.';
	ELSIF lock_limit IS NULL OR lock_limit < interval '1 ms' OR lock_limit > time_limit THEN
		RAISE EXCEPTION 'lock_limit must be 1 ms to the time limit (%), not %', time_limit, coalesce(lock_limit::text, 'null') USING ERRCODE = 'RX011';
	ELSIF retries IS NULL OR retries NOT BETWEEN 0 AND 100 THEN
		RAISE EXCEPTION 'retries must be 0 to 100, not %', coalesce(retries::text, 'null') USING ERRCODE = 'RX011';
	ELSIF backoff IS NULL OR backoff < interval '10 ms' OR backoff > interval '1 day' THEN
		RAISE EXCEPTION 'backoff must be 10 ms to 1 day, not %', coalesce(backoff::text, 'null') USING ERRCODE = 'RX011';
	END IF;
END
$$;
COMMENT ON FUNCTION refundx.handler_limits(text, interval, interval, int, interval) IS 'Raises RX011 for limits of a handler that make no sense';

CREATE FUNCTION refundx.handler_role_check(role text) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF EXISTS (SELECT FROM pg_roles WHERE rolname = role) AND NOT pg_has_role(session_user, role, 'MEMBER') THEN
		RAISE EXCEPTION 'must be member of role "%"', role USING ERRCODE = '42501',
			HINT = 'A handler runs as a role that whoever adds it could become by SET ROLE.';
	END IF;
END
$$;
COMMENT ON FUNCTION refundx.handler_role_check(text) IS 'Raises 42501 unless the login is a member of the role';

CREATE FUNCTION refundx.handler_add(
	transition text, function text, mode text DEFAULT 'best_effort', role text DEFAULT NULL,
	time_limit interval DEFAULT '5 s', lock_limit interval DEFAULT '500 ms',
	retries int DEFAULT 8, backoff interval DEFAULT '2 s')
RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t record;
	f record;
	h record;
	p record;
	as_role text;
BEGIN
	PERFORM refundx.not_in_handler('handler_add');
	t := refundx.handler_transition(transition);
	f := refundx.handler_function(function, t.about, true);
	PERFORM refundx.handler_limits(mode, time_limit, lock_limit, retries, backoff);
	as_role := coalesce(role, (
		SELECT pg_get_userbyid(x.proowner) FROM pg_proc x JOIN pg_namespace n ON n.oid = x.pronamespace
		 WHERE n.nspname = f.function_schema AND x.proname = f.function_name
		   AND x.proargtypes = format('%s', format('refundx.%s', t.about)::regtype::oid)::oidvector));
	p := refundx.handler_problem(t.about, f.function_schema, f.function_name, as_role);
	IF p.problem IS NOT NULL THEN
		RAISE EXCEPTION '%', p.problem USING ERRCODE = 'RX011', HINT = coalesce(p.hint, '');
	END IF;
	PERFORM refundx.handler_role_check(as_role);

	LOCK TABLE refundx.handler IN SHARE ROW EXCLUSIVE MODE;
	SELECT x.* INTO h FROM refundx.handler x
	 WHERE x.about = t.about AND x.transition = t.transition AND x.removed_at IS NULL
	   AND (x.function_schema, x.function_name) = (f.function_schema, f.function_name);
	IF FOUND THEN
		IF (h.mode, h.role, h.time_limit, h.lock_limit, h.retries, h.backoff)
		   = (mode, as_role, time_limit, lock_limit, retries, backoff) THEN
			RETURN false;
		END IF;
		RAISE EXCEPTION '% is a handler of % already', function, transition USING ERRCODE = 'RX003',
			DETAIL = format('Its mode is %s, its role is %s, its limits are %s and %s, it is tried again %s times, after %s.',
							h.mode, h.role, h.time_limit, h.lock_limit, h.retries, h.backoff),
			HINT = 'refundx.handler_set() changes it.';
	END IF;
	INSERT INTO refundx.handler (about, transition, function_schema, function_name, mode, role, time_limit, lock_limit, retries, backoff)
	VALUES (t.about, t.transition, f.function_schema, f.function_name, mode, as_role, time_limit, lock_limit, retries, backoff);
	INSERT INTO refundx.audit (action, subject, reason, detail)
	VALUES ('handler_add', format('%s, %I.%I', handler_add.transition, f.function_schema, f.function_name), 'added',
			jsonb_build_object('mode', mode, 'role', as_role, 'time_limit', time_limit, 'lock_limit', lock_limit, 'retries', retries, 'backoff', backoff));
	RETURN true;
END
$$;
COMMENT ON FUNCTION refundx.handler_add(text, text, text, text, interval, interval, int, interval) IS
'Has a function called in the settling transaction of each refund or withdrawal that makes this transition: refund.succeeded, or another of accepted, abnormal, succeeded, failed, canceled, returned; withdrawal.… likewise. True if it is new; the same again is a no-op. Several handlers of a transition are called in the order in which they were added.
function: with its schema and argument, shop.on_refund_succeeded(refundx.refund). role: as whom it is called, the function''s owner if not given; whoever adds it must be a member, and it is no superuser. mode: required, the settlement waits until the handler has succeeded or is waived; best_effort, the settlement stands, and the handler is tried again by itself.
time_limit: of one call, its deferred constraints included; twice as long, and the process is ended. lock_limit: of one wait for a lock. retries: how often it is tried again before it waits for a person; backoff: the first pause, doubled each time, to an hour at most. doc/handlers.md says what is promised.
Errors: RX003 it is added with other values, RX011 no such transition or function, wrong arguments, a limit or the role is wrong, RX026 inside a handler, 42501 not a member of the role, 22023.';

-- One that is there, locked; RX011 if there is none.
CREATE FUNCTION refundx.handler_find(transition text, function text) RETURNS refundx.handler
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t record;
	f record;
	h refundx.handler;
BEGIN
	t := refundx.handler_transition(transition);
	f := refundx.handler_function(function, t.about, false);
	SELECT x.* INTO h FROM refundx.handler x
	 WHERE x.about = t.about AND x.transition = t.transition AND x.removed_at IS NULL
	   AND (x.function_schema, x.function_name) = (f.function_schema, f.function_name)
	   FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION '% is not a handler of %', function, transition USING ERRCODE = 'RX011',
			HINT = 'Handlers are in the view refundx.handlers.';
	END IF;
	RETURN h;
END
$$;
COMMENT ON FUNCTION refundx.handler_find(text, text) IS 'The handler of this function and transition. Error: RX011 there is none';

CREATE FUNCTION refundx.handler_set(
	transition text, function text, mode text DEFAULT NULL, role text DEFAULT NULL,
	time_limit interval DEFAULT NULL, lock_limit interval DEFAULT NULL,
	retries int DEFAULT NULL, backoff interval DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	h refundx.handler;
	p record;
BEGIN
	PERFORM refundx.not_in_handler('handler_set');
	h := refundx.handler_find(transition, function);
	h.mode := coalesce(mode, h.mode);
	h.role := coalesce(role, h.role);
	h.time_limit := coalesce(time_limit, h.time_limit);
	h.lock_limit := coalesce(lock_limit, h.lock_limit);
	h.retries := coalesce(retries, h.retries);
	h.backoff := coalesce(backoff, h.backoff);
	PERFORM refundx.handler_limits(h.mode, h.time_limit, h.lock_limit, h.retries, h.backoff);
	p := refundx.handler_problem(h.about, h.function_schema, h.function_name, h.role);
	IF p.problem IS NOT NULL THEN
		RAISE EXCEPTION '%', p.problem USING ERRCODE = 'RX011', HINT = coalesce(p.hint, '');
	END IF;
	PERFORM refundx.handler_role_check(h.role);
	UPDATE refundx.handler x
	   SET mode = h.mode, role = h.role, time_limit = h.time_limit, lock_limit = h.lock_limit, retries = h.retries, backoff = h.backoff
	 WHERE x.handler_id = h.handler_id;
	IF h.mode = 'best_effort' THEN
		UPDATE refundx.handler_run r SET blocks = false, xid = pg_current_xact_id()
		 WHERE r.handler_id = h.handler_id AND r.is_open AND r.blocks;
	END IF;
	INSERT INTO refundx.audit (action, subject, reason, detail)
	VALUES ('handler_set', format('%s, %I.%I', handler_set.transition, h.function_schema, h.function_name), 'changed',
			jsonb_build_object('mode', h.mode, 'role', h.role, 'time_limit', h.time_limit, 'lock_limit', h.lock_limit, 'retries', h.retries, 'backoff', h.backoff));
END
$$;
COMMENT ON FUNCTION refundx.handler_set(text, text, text, text, interval, interval, int, interval) IS
'Changes what is given of a handler. One that is waited for (required) and becomes best_effort lets the settlements go that wait for it.
Errors: RX011 it is no handler, or a value is wrong, RX026 inside a handler, 42501 not a member of the role.';

CREATE FUNCTION refundx.handler_pause(transition text, function text, reason text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	h refundx.handler;
BEGIN
	PERFORM refundx.not_in_handler('handler_pause');
	IF coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	END IF;
	h := refundx.handler_find(transition, function);
	IF h.paused IS NOT NULL THEN
		RETURN false;
	END IF;
	UPDATE refundx.handler x SET paused = reason WHERE x.handler_id = h.handler_id;
	INSERT INTO refundx.audit (action, subject, reason)
	VALUES ('handler_pause', format('%s, %I.%I', handler_pause.transition, h.function_schema, h.function_name), reason);
	RETURN true;
END
$$;
COMMENT ON FUNCTION refundx.handler_pause(text, text, text) IS
'Has a handler called no more for now: what it should follow is kept for it, until handler_resume. Of a required one, settlements wait. True if it was not paused. Kept in the audit log with the reason.
Errors: RX011 it is no handler, RX026 inside a handler, 22023 no reason.';

CREATE FUNCTION refundx.handler_resume(transition text, function text, reason text) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	h refundx.handler;
	n bigint;
BEGIN
	PERFORM refundx.not_in_handler('handler_resume');
	IF coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	END IF;
	h := refundx.handler_find(transition, function);
	UPDATE refundx.handler x SET paused = NULL WHERE x.handler_id = h.handler_id;
	UPDATE refundx.handler_run r
	   SET state = 'due', next_at = clock_timestamp(), xid = pg_current_xact_id()
	 WHERE r.handler_id = h.handler_id AND r.is_open AND r.state = 'paused';
	GET DIAGNOSTICS n = ROW_COUNT;
	INSERT INTO refundx.audit (action, subject, reason)
	VALUES ('handler_resume', format('%s, %I.%I', handler_resume.transition, h.function_schema, h.function_name), reason);
	RETURN n;
END
$$;
COMMENT ON FUNCTION refundx.handler_resume(text, text, text) IS
'Has a paused handler called again, and for what has waited meanwhile; returns how much that is. Kept in the audit log with the reason.
Errors: RX011 it is no handler, RX026 inside a handler, 22023 no reason.';

-- Closes runs that a person gives up; what waited for them goes on.
CREATE FUNCTION refundx.handler_close(run_ids bigint[], reason text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r record;
BEGIN
	UPDATE refundx.handler_run x
	   SET state = 'waived', next_at = NULL, closed_at = clock_timestamp(),
		   closed_by = coalesce(refundx.actor(), session_user), reason = handler_close.reason, xid = pg_current_xact_id()
	 WHERE x.run_id = ANY (run_ids);
	INSERT INTO refundx.event (instruction_id, type, actor, note)
	SELECT x.instruction_id, 'handler_waived', coalesce(refundx.actor() || ', as ', '') || session_user,
		   format('%I.%I, of %s: %s', h.function_schema, h.function_name, x.transition, handler_close.reason)
	  FROM refundx.handler_run x JOIN refundx.handler h USING (handler_id)
	 WHERE x.run_id = ANY (run_ids) ORDER BY x.run_id;
	UPDATE refundx.instruction i
	   SET person_reason = NULL, person_suggestion = NULL, person_since = NULL
	 WHERE i.person_since IS NOT NULL AND i.is_open
	   AND i.instruction_id IN (SELECT x.instruction_id FROM refundx.handler_run x WHERE x.run_id = ANY (run_ids) AND x.blocks);
	FOR r IN SELECT DISTINCT x.instruction_id, x.transition FROM refundx.handler_run x WHERE x.run_id = ANY (run_ids) AND NOT x.blocks LOOP
		PERFORM refundx.handler_release(r.instruction_id, r.transition);
	END LOOP;
END
$$;
COMMENT ON FUNCTION refundx.handler_close(bigint[], text) IS 'What handler_waive and handler_remove do with calls that are still to be made; errors as theirs';

CREATE FUNCTION refundx.handler_remove(transition text, function text, reason text) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	h refundx.handler;
	runs bigint[];
BEGIN
	PERFORM refundx.not_in_handler('handler_remove');
	IF coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	END IF;
	h := refundx.handler_find(transition, function);
	UPDATE refundx.handler x SET removed_at = clock_timestamp(), removed_by = session_user WHERE x.handler_id = h.handler_id;
	runs := ARRAY(SELECT r.run_id FROM refundx.handler_run r WHERE r.handler_id = h.handler_id AND r.is_open ORDER BY r.run_id FOR NO KEY UPDATE);
	PERFORM refundx.handler_close(runs, reason);
	INSERT INTO refundx.audit (action, subject, reason, detail)
	VALUES ('handler_remove', format('%s, %I.%I', handler_remove.transition, h.function_schema, h.function_name), reason,
			jsonb_build_object('waived', cardinality(runs)));
	RETURN cardinality(runs);
END
$$;
COMMENT ON FUNCTION refundx.handler_remove(text, text, text) IS
'Removes a handler; calls of it that failed or wait are waived, and it returns how many. Kept in the audit log with the reason.
Errors: RX011 it is no handler, RX026 inside a handler, 22023 no reason.';

-- The open calls of one refund or withdrawal, locked.
CREATE FUNCTION refundx.handler_open_runs(number text, function text) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	i record;
	named_schema text;
	named text;
	runs bigint[];
BEGIN
	SELECT x.instruction_id, x.kind INTO i FROM refundx.instruction x WHERE x.instruction_no = number;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no refund or withdrawal "%"', coalesce(number, '') USING ERRCODE = 'RX012';
	END IF;
	IF function IS NOT NULL THEN
		SELECT f.function_schema, f.function_name INTO named_schema, named FROM refundx.handler_function(function, i.kind, false) f;
	END IF;
	-- the runner has it locked while it calls: what comes of that is seen here
	runs := ARRAY(SELECT r.run_id FROM refundx.handler_run r JOIN refundx.handler h USING (handler_id)
				   WHERE r.instruction_id = i.instruction_id AND r.is_open
					 AND (function IS NULL OR (h.function_schema, h.function_name) = (named_schema, named))
				   ORDER BY r.run_id FOR NO KEY UPDATE OF r);
	IF cardinality(runs) = 0 THEN
		RAISE EXCEPTION 'no handler of % "%" waits for anything', i.kind, number USING ERRCODE = 'RX027',
			HINT = 'refundx.handler_failures shows those that do.';
	END IF;
	RETURN runs;
END
$$;
COMMENT ON FUNCTION refundx.handler_open_runs(text, text) IS 'Calls of handlers that one refund or withdrawal still waits for. Errors: RX012 there is none of this number, RX027 nothing waits';

CREATE FUNCTION refundx.handler_retry(number text, reason text, function text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	runs bigint[];
BEGIN
	PERFORM refundx.not_in_handler('handler_retry');
	IF coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	END IF;
	UPDATE refundx.handed d SET begun = 0, xid = pg_current_xact_id()
	  FROM refundx.instruction i
	 WHERE d.instruction_id = i.instruction_id AND i.instruction_no = number AND d.begun > 0;
	IF FOUND AND NOT EXISTS (SELECT FROM refundx.handler_run r JOIN refundx.instruction i USING (instruction_id)
							  WHERE i.instruction_no = number AND r.is_open) THEN
		INSERT INTO refundx.audit (action, subject, reason) VALUES ('handler_retry', number, handler_retry.reason);
		RETURN 1;
	END IF;
	runs := refundx.handler_open_runs(number, function);
	UPDATE refundx.handler_run r SET state = 'due', tries = 0, begun = 0, next_at = clock_timestamp(), xid = pg_current_xact_id()
	 WHERE r.run_id = ANY (runs);
	UPDATE refundx.instruction i SET person_reason = NULL, person_suggestion = NULL, person_since = NULL
	 WHERE i.instruction_no = number AND i.is_open AND i.person_since IS NOT NULL
	   AND EXISTS (SELECT FROM refundx.handler_run r WHERE r.run_id = ANY (runs) AND r.blocks);
	INSERT INTO refundx.event (instruction_id, type, actor, note)
	SELECT r.instruction_id, 'handler_retried', coalesce(refundx.actor() || ', as ', '') || session_user,
		   format('%I.%I, of %s: %s', h.function_schema, h.function_name, r.transition, handler_retry.reason)
	  FROM refundx.handler_run r JOIN refundx.handler h USING (handler_id) WHERE r.run_id = ANY (runs) ORDER BY r.run_id;
	INSERT INTO refundx.audit (action, subject, reason) VALUES ('handler_retry', number, handler_retry.reason);
	RETURN cardinality(runs);
END
$$;
COMMENT ON FUNCTION refundx.handler_retry(text, text, text) IS
'Once the cause is mended: has the handlers that failed for this refund or withdrawal (all, or the one of that function) called again now, and afterwards as often as they are at first. Returns how many. Kept in the audit log with the reason.
Errors: RX011 function is none, RX012 unknown number, RX026 inside a handler, RX027 nothing waits, 22023 no reason.';

CREATE FUNCTION refundx.handler_waive(number text, reason text, function text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	runs bigint[];
BEGIN
	PERFORM refundx.not_in_handler('handler_waive');
	IF coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	END IF;
	runs := refundx.handler_open_runs(number, function);
	PERFORM refundx.handler_close(runs, reason);
	INSERT INTO refundx.audit (action, subject, reason) VALUES ('handler_waive', number, handler_waive.reason);
	RETURN cardinality(runs);
END
$$;
COMMENT ON FUNCTION refundx.handler_waive(text, text, text) IS
'Gives up the handlers that failed for this refund or withdrawal (all, or the one of that function): they are not called for it again, a settlement that waits for them takes place, and the notice that waits for them is sent. Returns how many. Kept in the audit log with the reason.
Errors: RX011 function is none, RX012 unknown number, RX026 inside a handler, RX027 nothing waits, 22023 no reason.';

CREATE PROCEDURE refundx.refund_now(
	channel text, payment_no text, refund_no text, amount bigint, reason text DEFAULT NULL,
	currency text DEFAULT NULL, payment_amount bigint DEFAULT NULL,
	channel_payment_id text DEFAULT NULL, paid_at timestamptz DEFAULT NULL,
	account text DEFAULT NULL, contact text DEFAULT NULL, language text DEFAULT NULL,
	channel_data jsonb DEFAULT NULL, guards jsonb DEFAULT NULL, timeout interval DEFAULT '30 s',
	INOUT state text DEFAULT NULL)
LANGUAGE c
AS 'MODULE_PATHNAME', 'refundx_refund_now';
COMMENT ON PROCEDURE refundx.refund_now(text, text, text, bigint, text, text, bigint, text, timestamptz, text, text, text, jsonb, jsonb, interval, text) IS
'Submits a refund as refund_submit does, commits, waits until it is decided (as refund_wait does) or the time is up, and returns its state so far. It cannot run inside a transaction block: what has not been committed is not sent. amount: minor units.
Errors: those of refund_submit, all before anything is committed; 25001 inside a transaction block.';
