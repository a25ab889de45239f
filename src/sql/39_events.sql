/*
 * Incidents, and webhooks.
 */
CREATE FUNCTION refundx.incident_add(
	kind text, reason text, done text, instruction_id bigint DEFAULT NULL, subject text DEFAULT NULL,
	sqlstate text DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_incident_add';
COMMENT ON FUNCTION refundx.incident_add(text, text, text, bigint, text, text) IS
'For functions of refundx itself: keeps that something went wrong, why, and what was done about it; returns its id, which a line in the server''s log has as well, once the transaction has committed. Telephone and card numbers in it are masked. Error: 22023 kind, reason or done is missing.';

/* What is wrong with it, in words; null: nothing. */
CREATE FUNCTION refundx.webhook_url_problem(url text) RETURNS text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_webhook_url_problem';
COMMENT ON FUNCTION refundx.webhook_url_problem(text) IS 'Why a webhook may not have this URL; null: it may';

CREATE FUNCTION refundx.webhook_secret_problem(file text) RETURNS text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_webhook_secret_problem';
COMMENT ON FUNCTION refundx.webhook_secret_problem(text) IS 'Why this file under refundx.key_directory is no secret of a webhook; null: it is one';

CREATE FUNCTION refundx.webhook_wake() RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_webhook_wake';
COMMENT ON FUNCTION refundx.webhook_wake() IS 'Wakes the courier when this transaction commits';

/* Raises what is wrong with a configuration. */
CREATE FUNCTION refundx.webhook_judge(url text, secret_file text, old_secret_file text, types text[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	problem text;
	bad text;
BEGIN
	problem := refundx.webhook_url_problem(url);
	IF url IS NULL OR problem IS NOT NULL THEN
		RAISE EXCEPTION '%', coalesce(problem, 'url must be given') USING ERRCODE = 'RX024',
			HINT = 'A webhook has an https URL outside of the server''s own and other private networks, unless refundx.webhook_private_networks is on.';
	END IF;
	IF secret_file IS NULL THEN
		RAISE EXCEPTION 'secret_file must be given' USING ERRCODE = 'RX011',
			HINT = 'Make a file in refundx.key_directory: (umask 077; echo "whsec_$(openssl rand -base64 32)" > FILE).';
	END IF;
	problem := coalesce(refundx.webhook_secret_problem(secret_file), refundx.webhook_secret_problem(old_secret_file));
	IF problem IS NOT NULL THEN
		RAISE EXCEPTION '%', problem USING ERRCODE = 'RX011',
			HINT = 'Make a file in refundx.key_directory: (umask 077; echo "whsec_$(openssl rand -base64 32)" > FILE).';
	END IF;
	IF coalesce(cardinality(types), 0) = 0 THEN
		RAISE EXCEPTION 'types must name at least one type of event' USING ERRCODE = 'RX011', HINT = '* is all of them.';
	END IF;
	SELECT t INTO bad
	  FROM unnest(types) t
	 WHERE t IS NULL OR t NOT IN (
		SELECT '*' UNION ALL
		SELECT k || '.' || s FROM unnest(ARRAY['refund', 'withdrawal']) k,
			   (SELECT '*' UNION SELECT from_state FROM refundx.state_table()) x(s))
	 LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'there is no type of event "%"', bad USING ERRCODE = 'RX011',
			HINT = 'For example: refund.succeeded, withdrawal.*, *. The states are in refundx.states.';
	END IF;
END
$$;
COMMENT ON FUNCTION refundx.webhook_judge(text, text, text, text[]) IS
'For webhook_add and webhook_set: RX024 or RX011 where something is wrong with it';

CREATE FUNCTION refundx.webhook_find(name text) RETURNS refundx.webhook
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	w refundx.webhook;
BEGIN
	SELECT * INTO w FROM refundx.webhook h WHERE h.name = webhook_find.name AND h.removed_at IS NULL FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no webhook "%"', name USING ERRCODE = 'RX025', HINT = 'See refundx.webhooks.';
	END IF;
	RETURN w;
END
$$;
COMMENT ON FUNCTION refundx.webhook_find(text) IS 'The webhook of this name, its row locked; RX025 if there is none';

CREATE FUNCTION refundx.webhook_add(name text, url text, secret_file text, types text[] DEFAULT '{*}')
RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	w refundx.webhook;
BEGIN
	PERFORM refundx.not_in_handler('webhook_add');
	IF name IS NULL OR name !~ '^[a-z0-9][a-z0-9_-]{0,31}$' THEN
		RAISE EXCEPTION 'a webhook''s name must have 1 to 32 lower-case letters, digits, "-" and "_", and begin with a letter or digit'
			USING ERRCODE = '22023';
	END IF;
	PERFORM refundx.webhook_judge(url, secret_file, NULL, types);
	LOCK TABLE refundx.webhook IN SHARE ROW EXCLUSIVE MODE;
	SELECT * INTO w FROM refundx.webhook h WHERE h.name = webhook_add.name AND h.removed_at IS NULL;
	IF FOUND THEN
		IF (w.url, w.secret_file, w.types) IS DISTINCT FROM (webhook_add.url, webhook_add.secret_file, webhook_add.types) THEN
			RAISE EXCEPTION 'webhook "%" exists already, with another configuration', name USING ERRCODE = 'RX003',
				HINT = format('Change it with refundx.webhook_set(%L, ...).', name);
		END IF;
		RETURN name;
	END IF;
	IF (SELECT count(*) FROM refundx.webhook h WHERE h.removed_at IS NULL) >= 32 THEN
		RAISE EXCEPTION 'there are 32 webhooks already' USING ERRCODE = '54000',
			HINT = 'For more receivers, let one pass the events on, or read refundx.outbox.';
	END IF;
	INSERT INTO refundx.webhook (name, url, secret_file, types)
	VALUES (webhook_add.name, webhook_add.url, webhook_add.secret_file, webhook_add.types);
	INSERT INTO refundx.audit (action, subject, reason, detail)
	VALUES ('webhook_add', name, 'configuration', jsonb_build_object('url', url, 'secret_file', secret_file, 'types', types));
	PERFORM refundx.webhook_wake();
	RETURN name;
END
$$;
COMMENT ON FUNCTION refundx.webhook_add(text, text, text, text[]) IS
'Sends the events of these types (refund.succeeded, withdrawal.*, *) that are committed from now on to the URL, signed with the secret in a file under refundx.key_directory (whsec_ and base64); returns the name. The same again is a no-op.
Errors: RX024 the URL is not https, or points into a private network, RX011 secret or types, RX003 the name is taken, 54000 there are 32 already, 22023 bad name.';

CREATE FUNCTION refundx.webhook_set(
	name text, url text DEFAULT NULL, secret_file text DEFAULT NULL, old_secret_file text DEFAULT NULL,
	types text[] DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	w refundx.webhook := refundx.webhook_find(name);
BEGIN
	PERFORM refundx.not_in_handler('webhook_set');
	w.url := coalesce(webhook_set.url, w.url);
	w.secret_file := coalesce(webhook_set.secret_file, w.secret_file);
	w.old_secret_file := nullif(coalesce(webhook_set.old_secret_file, w.old_secret_file), '');
	w.types := coalesce(webhook_set.types, w.types);
	PERFORM refundx.webhook_judge(w.url, w.secret_file, w.old_secret_file, w.types);
	UPDATE refundx.webhook h
	   SET url = w.url, secret_file = w.secret_file, old_secret_file = w.old_secret_file, types = w.types,
		   revision = h.revision + 1
	 WHERE h.webhook_id = w.webhook_id;
	INSERT INTO refundx.audit (action, subject, reason, detail)
	VALUES ('webhook_set', name, 'configuration', jsonb_strip_nulls(jsonb_build_object(
		'url', webhook_set.url, 'secret_file', webhook_set.secret_file,
		'old_secret_file', webhook_set.old_secret_file, 'types', webhook_set.types)));
	PERFORM refundx.webhook_wake();
	RETURN name;
END
$$;
COMMENT ON FUNCTION refundx.webhook_set(text, text, text, text, text[]) IS
'Changes a webhook; null leaves as it is. To change the secret: secret_file the new one, old_secret_file the former, with which events are signed as well until it is set to the empty string.
Errors: RX025 there is none, RX024 the URL, RX011 a secret, types.';

CREATE FUNCTION refundx.webhook_pause(name text, reason text) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	w refundx.webhook;
BEGIN
	PERFORM refundx.not_in_handler('webhook_pause');
	IF coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	END IF;
	w := refundx.webhook_find(name);
	UPDATE refundx.webhook h
	   SET paused = 'operator', paused_reason = webhook_pause.reason, paused_since = clock_timestamp(), revision = h.revision + 1
	 WHERE h.webhook_id = w.webhook_id;
	INSERT INTO refundx.audit (action, subject, reason) VALUES ('webhook_pause', name, reason);
	PERFORM refundx.webhook_wake();
	RETURN name;
END
$$;
COMMENT ON FUNCTION refundx.webhook_pause(text, text) IS
'Sends nothing to it until webhook_resume; its events are kept. Errors: RX025 there is none, 22023 no reason.';

CREATE FUNCTION refundx.webhook_resume(name text, reason text) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	w refundx.webhook;
BEGIN
	PERFORM refundx.not_in_handler('webhook_resume');
	IF coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	END IF;
	w := refundx.webhook_find(name);
	UPDATE refundx.webhook h
	   SET paused = NULL, paused_reason = NULL, paused_since = NULL, failing_since = NULL, last_error = NULL,
		   revision = h.revision + 1
	 WHERE h.webhook_id = w.webhook_id;
	INSERT INTO refundx.audit (action, subject, reason) VALUES ('webhook_resume', name, reason);
	PERFORM refundx.webhook_wake();
	RETURN name;
END
$$;
COMMENT ON FUNCTION refundx.webhook_resume(text, text) IS
'Sends to it again, also after its receiver had said that it wants no more (HTTP 410), beginning with what has been kept. Errors: RX025 there is none, 22023 no reason.';

CREATE FUNCTION refundx.webhook_remove(name text, reason text) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	w refundx.webhook;
	n bigint;
BEGIN
	PERFORM refundx.not_in_handler('webhook_remove');
	IF coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	END IF;
	w := refundx.webhook_find(name);
	UPDATE refundx.webhook h SET removed_at = clock_timestamp(), revision = h.revision + 1 WHERE h.webhook_id = w.webhook_id;
	UPDATE refundx.webhook_delivery d
	   SET state = 'dropped', next_at = NULL, done_at = clock_timestamp(), error = 'the webhook was removed'
	 WHERE d.webhook_id = w.webhook_id AND d.state = 'waiting';
	GET DIAGNOSTICS n = ROW_COUNT;
	INSERT INTO refundx.audit (action, subject, reason, detail)
	VALUES ('webhook_remove', name, reason, jsonb_build_object('dropped', n));
	PERFORM refundx.webhook_wake();
	RETURN n;
END
$$;
COMMENT ON FUNCTION refundx.webhook_remove(text, text) IS
'Removes a webhook; returns how many events it has not been told of, and will not be. Errors: RX025 there is none, 22023 no reason.';

CREATE FUNCTION refundx.webhook_redrive(name text, since timestamptz, reason text, delivered boolean DEFAULT false)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	w refundx.webhook;
	n bigint;
BEGIN
	PERFORM refundx.not_in_handler('webhook_redrive');
	IF coalesce(reason, '') = '' OR since IS NULL THEN
		RAISE EXCEPTION '% must be given', CASE WHEN since IS NULL THEN 'since' ELSE 'reason' END USING ERRCODE = '22023';
	END IF;
	w := refundx.webhook_find(name);
	UPDATE refundx.webhook_delivery d
	   SET state = 'waiting', tries = 0, next_at = NULL, done_at = NULL, created_at = clock_timestamp()
	 WHERE d.webhook_id = w.webhook_id AND d.created_at >= since
	   AND (d.state = 'dead' OR d.state = 'delivered' AND delivered);
	GET DIAGNOSTICS n = ROW_COUNT;
	-- the first of each that is waiting goes now, and no other
	UPDATE refundx.webhook_delivery d
	   SET next_at = CASE WHEN d.seq = f.first THEN clock_timestamp() END
	  FROM (SELECT q.aggregateid, min(q.seq) AS first FROM refundx.webhook_delivery q
			 WHERE q.webhook_id = w.webhook_id AND q.state = 'waiting' GROUP BY 1) f
	 WHERE d.webhook_id = w.webhook_id AND d.state = 'waiting' AND d.aggregateid = f.aggregateid
	   AND (d.seq = f.first OR d.next_at IS NOT NULL);
	UPDATE refundx.webhook h SET revision = h.revision + 1 WHERE h.webhook_id = w.webhook_id;
	INSERT INTO refundx.audit (action, subject, reason, detail)
	VALUES ('webhook_redrive', name, reason, jsonb_build_object('since', since, 'delivered', delivered, 'events', n));
	PERFORM refundx.webhook_wake();
	RETURN n;
END
$$;
COMMENT ON FUNCTION refundx.webhook_redrive(text, timestamptz, text, boolean) IS
'Sends its dead letters of events since then once more, from the beginning of the schedule, with delivered => true also what it has acknowledged; what was waiting for its next try goes now. Returns how many events it had been finished with. They keep their ids, so a receiver that looks at these takes each once.
Errors: RX025 there is none, 22023 no reason.';

CREATE FUNCTION refundx.webhook_check(name text, OUT level text, OUT item text, OUT finding text)
RETURNS SETOF record
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	w refundx.webhook;
	problem text;
	n bigint;
BEGIN
	SELECT * INTO w FROM refundx.webhook h WHERE h.name = webhook_check.name AND h.removed_at IS NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no webhook "%"', name USING ERRCODE = 'RX025', HINT = 'See refundx.webhooks.';
	END IF;
	problem := refundx.webhook_url_problem(w.url);
	RETURN QUERY SELECT CASE WHEN problem IS NULL THEN 'ok' ELSE 'error' END, 'url', coalesce(problem, w.url);
	problem := refundx.webhook_secret_problem(w.secret_file);
	RETURN QUERY SELECT CASE WHEN problem IS NULL THEN 'ok' ELSE 'error' END, 'secret_file', coalesce(problem, w.secret_file);
	IF w.old_secret_file IS NOT NULL THEN
		problem := refundx.webhook_secret_problem(w.old_secret_file);
		RETURN QUERY SELECT CASE WHEN problem IS NULL THEN 'ok' ELSE 'error' END, 'old_secret_file', coalesce(problem, w.old_secret_file);
	END IF;
	RETURN QUERY SELECT 'ok', 'types', array_to_string(w.types, ', ');
	IF w.paused IS NOT NULL THEN
		RETURN QUERY SELECT 'error', 'paused', format('%s since %s: call refundx.webhook_resume(%L, reason)', w.paused_reason, w.paused_since, w.name);
	ELSIF w.failing_since IS NOT NULL THEN
		RETURN QUERY SELECT 'error', 'receiver', format('fails since %s: %s', w.failing_since, w.last_error);
	END IF;
	SELECT count(*) INTO n FROM refundx.webhook_delivery d WHERE d.webhook_id = w.webhook_id AND d.state = 'waiting';
	RETURN QUERY SELECT 'ok', 'waiting', n || ' events';
	SELECT count(*) INTO n FROM refundx.webhook_delivery d WHERE d.webhook_id = w.webhook_id AND d.state = 'dead';
	IF n > 0 THEN
		RETURN QUERY SELECT 'warning', 'dead letters', format('%s events were given up: call refundx.webhook_redrive(%L, since, reason)', n, w.name);
	END IF;
	IF NOT refundx.armed() THEN
		RETURN QUERY SELECT 'error', 'armed', 'this database is not armed for this server: nothing is sent';
	ELSIF NOT current_setting('refundx.dispatch')::boolean THEN
		RETURN QUERY SELECT 'error', 'dispatch', 'refundx.dispatch is off: nothing is sent';
	END IF;
END
$$;
COMMENT ON FUNCTION refundx.webhook_check(text) IS
'What is right (ok), doubtful (warning) or wrong (error) with a webhook; sends nothing. Error: RX025 there is none.';
