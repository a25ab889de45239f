/*
 * What operators call: channels, notices, and which installation may send.
 */
CREATE FUNCTION refundx.worker_status(
	OUT database text, OUT kind text, OUT pid int, OUT port int, OUT state text,
	OUT since timestamptz, OUT doing text, OUT backlog bigint, OUT active bigint,
	OUT behind interval, OUT done bigint, OUT restarts bigint, OUT problem text)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_worker_status';
COMMENT ON FUNCTION refundx.worker_status() IS
'One row for each configured database and kind of worker: whether it is up, what it does, how far it is behind. Error: RX009 library not preloaded.';

CREATE FUNCTION refundx.this_installation(
	OUT system_identifier bigint, OUT database oid, OUT timeline int)
RETURNS record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_installation';
COMMENT ON FUNCTION refundx.this_installation() IS
'What a copy of this database does not share with it';

-- The timeline is not compared: after a promotion the same installation goes
-- on, once it has asked about everything (recover_timeline).
CREATE FUNCTION refundx.armed() RETURNS boolean
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (
		SELECT FROM refundx.installation i, refundx.this_installation() t
		 WHERE i.system_identifier = t.system_identifier::text AND i.database_oid = t.database)
$$;
COMMENT ON FUNCTION refundx.armed() IS
'Whether this database was armed for this server; a copy or a restored dump was not, and sends nothing';

CREATE FUNCTION refundx.arm(reason text) RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_arm';
COMMENT ON FUNCTION refundx.arm(text) IS
'Arms this database for this server: it may send from now on. What may have been sent by whoever had the data before is asked about first; messages that were pending go to a person. Returns how many refunds and withdrawals are asked about.
Make sure that no other copy of these data sends. Errors: RX009 library not preloaded, 22023 no reason.';

CREATE FUNCTION refundx.recover_timeline() RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_recover_timeline';
COMMENT ON FUNCTION refundx.recover_timeline() IS
'For the dispatcher when it starts: on a timeline that this installation has not seen, every open refund and withdrawal that may have been sent is asked about first. Returns how many, -1 if the timeline is known';

CREATE FUNCTION refundx.refund_allow(refund_no text, reason text)
RETURNS refundx.refund
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	i record;
BEGIN
	PERFORM refundx.not_in_handler('refund_allow');
	IF coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	END IF;
	SELECT instruction_id, state, may_send INTO i
	  FROM refundx.instruction
	 WHERE instruction_no = refund_allow.refund_no AND kind = 'refund'
	   FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'refund "%" does not exist', refund_no USING ERRCODE = 'RX012';
	END IF;
	IF NOT i.may_send THEN
		IF i.state <> 'unknown' THEN
			RAISE EXCEPTION 'refund "%" is %, and need not be sent', refund_no, i.state
				USING ERRCODE = 'RX006';
		END IF;
		-- It is not queued here: a query that finds nothing does that, as for
		-- any other refund of which nobody knows whether it was sent.
		UPDATE refundx.instruction
		   SET may_send = true, person_reason = NULL, person_suggestion = NULL, person_since = NULL,
			   polls = 0, due_at = clock_timestamp(), due_call = 'query'
		 WHERE instruction_id = i.instruction_id;
		INSERT INTO refundx.event (instruction_id, type, from_state, to_state, actor, note)
		VALUES (i.instruction_id, 'allowed', i.state, i.state, session_user, reason);
		INSERT INTO refundx.audit (action, subject, reason) VALUES ('refund_allow', refund_no, reason);
	END IF;
	RETURN refundx.refund_get(refund_no);
END
$$;
COMMENT ON FUNCTION refundx.refund_allow(text, text) IS
'Lets an adopted refund be sent, if the channel turns out not to know it: it is asked once more, and sent when it is not found. Kept in the audit log with the reason.
Errors: RX006 it is not waiting for that, RX012 unknown refund, 22023 no reason.';

-- All rows of the account are locked, in the order of slots, as for a caller who needs
-- all its slots: once this has committed, nothing that it refuses is under way.
CREATE FUNCTION refundx.account_close(account text, reason text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	ids bigint[];
	a record;
	b record;
BEGIN
	PERFORM refundx.not_in_handler('account_close');
	IF coalesce(account, '') = '' THEN
		RAISE EXCEPTION 'account must be given' USING ERRCODE = '22023';
	END IF;
	IF coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	END IF;
	SELECT account_id, currency INTO a FROM refundx.account WHERE account_no = account_close.account;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'account "%" does not exist', account USING ERRCODE = 'RX013';
	END IF;
	ids := ARRAY(SELECT account_id FROM refundx.account
				  WHERE account_id = a.account_id OR slot_of = a.account_id
				  ORDER BY slot FOR NO KEY UPDATE);
	UPDATE refundx.account SET closed = account_close.reason WHERE account_id = ANY (ids) AND closed IS NULL;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	INSERT INTO refundx.audit (action, subject, reason) VALUES ('account_close', account, reason);

	SELECT sum(j.available) AS available, sum(j.frozen) AS frozen,
		   (SELECT count(*) FROM refundx.instruction i WHERE i.account_id = ANY (ids) AND i.is_open) AS open
	  INTO b
	  FROM unnest(ids) id
	 CROSS JOIN LATERAL (SELECT * FROM refundx.journal l WHERE l.account_id = id
						  ORDER BY l.version DESC LIMIT 1) j;
	IF b.open > 0 THEN
		RAISE NOTICE 'account "%" has % open instructions, for which % are frozen', account, b.open,
			refundx.format_amount(least(b.frozen, 9223372036854775807)::bigint, a.currency)
			USING HINT = 'They are settled as if it were open.';
	END IF;
	IF b.available > 0 THEN
		RAISE NOTICE 'account "%" has % available', account, refundx.format_amount(least(b.available, 9223372036854775807)::bigint, a.currency)
			USING HINT = 'Nobody can take it before refundx.account_reopen().';
	END IF;
	RETURN true;
END
$$;
COMMENT ON FUNCTION refundx.account_close(text, text) IS
'Closes an account: nothing new is frozen, credited or debited; what is open is still settled. True if it was open. A NOTICE says what is left on it. Kept in the audit log with the reason.
Errors: RX013 unknown account, 22023 no account or reason.';

CREATE FUNCTION refundx.account_reopen(account text, reason text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	own_id bigint;
	ids bigint[];
BEGIN
	PERFORM refundx.not_in_handler('account_reopen');
	IF coalesce(account, '') = '' THEN
		RAISE EXCEPTION 'account must be given' USING ERRCODE = '22023';
	END IF;
	IF coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	END IF;
	SELECT account_id INTO own_id FROM refundx.account WHERE account_no = account_reopen.account;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'account "%" does not exist', account USING ERRCODE = 'RX013';
	END IF;
	ids := ARRAY(SELECT account_id FROM refundx.account WHERE account_id = own_id OR slot_of = own_id
				  ORDER BY slot FOR NO KEY UPDATE);
	UPDATE refundx.account SET closed = NULL WHERE account_id = ANY (ids) AND closed IS NOT NULL AND suspense_of IS NULL;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	INSERT INTO refundx.audit (action, subject, reason) VALUES ('account_reopen', account, reason);
	RETURN true;
END
$$;
COMMENT ON FUNCTION refundx.account_reopen(text, text) IS
'Opens a closed account again; true if it was closed. Kept in the audit log with the reason. Errors: RX013 unknown account, 22023 no account or reason.';

CREATE FUNCTION refundx.channel_add(name text, kind text, config jsonb)
RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_channel_add';
COMMENT ON FUNCTION refundx.channel_add(text, text, jsonb) IS
'Configures a channel and returns its name, which is part of its callback URL. kind: see channel_kinds(). config names key files under refundx.key_directory and never holds a key.
Keys that cannot be read yet are a WARNING; channel_check() says what is missing. The same again is a no-op.
Errors: RX003 the name is taken, RX008 no such kind, RX011 the configuration is wrong or has a key in it, 22023 bad name.';

CREATE FUNCTION refundx.channel_set(name text, config jsonb DEFAULT NULL, closed boolean DEFAULT NULL)
RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_channel_set';
COMMENT ON FUNCTION refundx.channel_set(text, jsonb, boolean) IS
'Changes a channel: the members of config replace those of the same name, null removes one. closed: true takes no new refund and no new withdrawal, open ones go on.
Errors: RX008 unknown channel, RX011 the configuration is wrong, has a key in it, or is another merchant''s.';

CREATE FUNCTION refundx.channel_check(
	name text, call boolean DEFAULT false,
	OUT level text, OUT item text, OUT finding text)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_channel_check';
COMMENT ON FUNCTION refundx.channel_check(text, boolean) IS
'Everything that is right (ok), doubtful (warning) or wrong (error) with a channel: keys, addresses, workers, pauses. call => true also calls the channel''s echo endpoint from this session; it moves no money. Error: RX008 unknown channel.';

CREATE FUNCTION refundx.notice_provider_add(name text, kind text, config jsonb)
RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_notice_provider_add';
COMMENT ON FUNCTION refundx.notice_provider_add(text, text, jsonb) IS
'Configures an SMS provider (kind: aliyun, http) and returns its name. config names key files under refundx.key_directory. The same again is a no-op.
Errors: RX003 the name is taken, RX011 no such kind, or the configuration is wrong, 22023 bad name.';

CREATE FUNCTION refundx.notice_provider_set(name text, config jsonb DEFAULT NULL)
RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_notice_provider_set';
COMMENT ON FUNCTION refundx.notice_provider_set(text, jsonb) IS
'Changes an SMS provider, member by member (null removes one), and lets it try again if it was stopped. Error: RX011.';

CREATE FUNCTION refundx.notice_provider_check(
	name text, OUT level text, OUT item text, OUT finding text)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_notice_provider_check';
COMMENT ON FUNCTION refundx.notice_provider_check(text) IS
'What is right (ok), doubtful (warning) or wrong (error) with an SMS provider; sends nothing. Error: RX011.';

CREATE FUNCTION refundx.notice_template_set(
	transition text, language text, provider text, template jsonb, about text DEFAULT 'refund')
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_notice_template_set';
COMMENT ON FUNCTION refundx.notice_template_set(text, text, text, jsonb, text) IS
'What the payer is told when a refund, or the payee when a withdrawal (about), becomes succeeded, failed, abnormal, stopped (where its failure policy says ask_user) or returned, in a language (* for all others), through a provider; a null template tells nothing any more.
Placeholders: refund_no, withdrawal_no, payment_no, amount (what the payer really gets), currency, event, merchant, reason, received_by (which account got it), failure (why the channel has ended it, in words of the language), date. Errors: RX011 the provider does not take it, 22023.';
