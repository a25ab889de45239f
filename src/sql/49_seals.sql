/*
 * The journal is tamper-evident: sealing, verifying, proving (doc/seals.md).
 */
CREATE FUNCTION refundx.journal_seal() RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_journal_seal';
COMMENT ON FUNCTION refundx.journal_seal() IS
'Seals all journal lines that are committed and not sealed yet, at once, and returns how many that were; the clerk does the same by itself every refundx.clerk_interval. Waits for nobody but another who seals. Errors: 25006 on a standby.';

CREATE FUNCTION refundx.seal_findings(
	from_seal bigint, to_seal bigint, tell boolean,
	OUT seal_no bigint, OUT account_id bigint, OUT account text, OUT version bigint, OUT finding text, OUT detail text)
RETURNS SETOF record
LANGUAGE c STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_seal_findings';
COMMENT ON FUNCTION refundx.seal_findings(bigint, bigint, boolean) IS
'For journal_verify() and check_i20: what differs from the seals from .. to (null: the last); tell: with a NOTICE. Error: RX039 no such seal';

CREATE FUNCTION refundx.journal_verify(
	from_seal bigint DEFAULT 1, to_seal bigint DEFAULT NULL,
	OUT seal_no bigint, OUT account_id bigint, OUT account text, OUT version bigint, OUT finding text, OUT detail text)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT f.* FROM refundx.seal_findings($1, $2, true) f $$;
COMMENT ON FUNCTION refundx.journal_verify(bigint, bigint) IS
'Compares the journal with its seals, from one to another (null: to the last), and the seals with each other. No rows: nothing was changed, added, removed or exchanged. Otherwise where: the seal, and the account and version of the line. A NOTICE says how much was verified; memory is that of one seal.
Errors: RX039 there is no such seal, 22023.';

CREATE VIEW refundx.check_i20 AS
	SELECT coalesce('account ' || coalesce(f.account, '#' || f.account_id) || ' line ' || f.version, 'seal ' || f.seal_no) AS subject,
		   format('%s (seal %s): %s', f.finding, f.seal_no, f.detail) AS finding
	  FROM refundx.seal_findings(1, NULL, false) f;
COMMENT ON VIEW refundx.check_i20 IS 'I20: the journal''s hash chain verifies from its start';

CREATE FUNCTION refundx.days_seal(day date) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_seal_day';
COMMENT ON FUNCTION refundx.days_seal(date) IS
'For seal_day(): makes the statements that are missing, up to that day. Error: RX040 the day is not over, or refundx.seal_key cannot be used';

CREATE FUNCTION refundx.seal_day(day date DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')::date - 1) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s refundx.day_seal;
BEGIN
	IF day IS NULL THEN
		RAISE EXCEPTION 'day must be given' USING ERRCODE = '22023';
	END IF;
	SELECT * INTO s FROM refundx.day_seal d WHERE d.day = seal_day.day;
	IF NOT FOUND THEN
		PERFORM refundx.not_in_handler('seal_day');
		PERFORM refundx.days_seal(day);
		SELECT * INTO s FROM refundx.day_seal d WHERE d.day = seal_day.day;
	END IF;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'nothing was sealed up to %', day USING ERRCODE = 'RX039',
			HINT = 'Days are UTC''s. See refundx.day_seals.';
	END IF;
	RETURN jsonb_build_object('day', s.day, 'statement', s.statement,
		'signature', translate(encode(s.signature, 'base64'), E'\n', ''), 'key', s.key_print);
END
$$;
COMMENT ON FUNCTION refundx.seal_day(date) IS
'The statement of a day (UTC; yesterday''s if none is given) over all that was sealed by its end, with its signature: a small JSON text to be kept elsewhere. The clerk makes each day''s; here it is made if it is missing, with those before it. seal_check() compares it later.
Errors: RX039 nothing was sealed by then, RX040 the day is not over or refundx.seal_key cannot be used, RX026 in a handler, 22023.';

CREATE FUNCTION refundx.seal_check(
	kept jsonb, OUT day date, OUT good boolean, OUT from_seal bigint, OUT finding text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	said constant text := kept ->> 'statement';
	told constant text[] := regexp_match(said, E'^refundx day 1\nday=([0-9-]{10})\nfirst=([0-9a-f]{64})\nprevious=([0-9a-f]{64})\nfrom=([0-9]{1,18})\nto=([0-9]{1,18})\nroot=([0-9a-f]{64})\nlast=([0-9a-f]{64})\n$');
	ours refundx.day_seal;
	before refundx.day_seal;
BEGIN
	IF told IS NULL THEN
		RAISE EXCEPTION 'this is not a statement of a day' USING ERRCODE = '22023',
			HINT = 'Give the JSON text as refundx.seal_day() returned it.';
	END IF;
	day := told[1]::date;
	SELECT * INTO ours FROM refundx.day_seal d WHERE d.day = seal_check.day;
	SELECT * INTO before FROM refundx.day_seal d WHERE d.day < seal_check.day ORDER BY d.day DESC LIMIT 1;
	good := true;
	IF NOT EXISTS (SELECT FROM refundx.seal s WHERE s.seal_no = 1 AND encode(s.hash, 'hex') = told[2]) THEN
		good := false;
		from_seal := 1;
		finding := 'the first seal is another: this is another chain, or all of history was replaced';
	ELSIF told[3] <> coalesce(encode(sha256(convert_to(before.statement, 'UTF8')), 'hex'), repeat('0', 64)) THEN
		good := false;
		from_seal := 1;
		finding := format('history differs before seal %s: a statement of an earlier day tells from where on', told[4]);
	ELSIF NOT EXISTS (SELECT FROM refundx.seal s WHERE s.seal_no = told[5]::bigint AND encode(s.hash, 'hex') = told[7]) THEN
		good := false;
		from_seal := told[4];
		finding := format('history differs from seal %s on, or later, but before seal %s', told[4], told[5]::bigint + 1);
	ELSIF ours.statement IS DISTINCT FROM said THEN
		good := false;
		from_seal := told[4];
		finding := CASE WHEN ours.day IS NULL THEN 'the seals are the same, but the statement is not there any more'
						ELSE 'the seals are the same, but the statement is not' END;
	ELSIF kept ->> 'key' IS DISTINCT FROM ours.key_print
		  OR kept ->> 'signature' IS DISTINCT FROM translate(encode(ours.signature, 'base64'), E'\n', '') THEN
		good := false;
		finding := 'the statement is the same, but it is signed otherwise';
	ELSE
		finding := format('history is the same up to seal %s; what is in the seals, journal_verify() compares', told[5]);
	END IF;
END
$$;
COMMENT ON FUNCTION refundx.seal_check(jsonb) IS
'Compares the statement of a day that was kept elsewhere with this database: whether history up to its last seal is the same, and if not from which seal on it may differ. Whose signature it has, openssl says (doc/seals.md). Error: 22023 it is no such statement';

CREATE FUNCTION refundx.journal_proof(no text) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_journal_proof';
COMMENT ON FUNCTION refundx.journal_proof(text) IS
'The proof of one refund or withdrawal, as JSON: each of its journal lines, the hashes that lead from it to its seal and from that to the statement of its day, and that with its signature (null: today''s is signed tomorrow). The scripts in test/proof check it, and doc/seals.md says how to write one.
Errors: RX012 unknown refund or withdrawal, RX040 it has no journal lines, or one that is not sealed yet.';

CREATE VIEW refundx.day_seals AS
	SELECT d.day, d.seal_no AS last_seal, d.statement, d.signature IS NOT NULL AS signed, d.key_print, d.made_at, d.made_by
	  FROM refundx.day_seal d;
COMMENT ON VIEW refundx.day_seals IS 'The statements of days over the journal''s seals; seal_day(day) gives one to be kept elsewhere';

CREATE VIEW refundx.seals AS
	SELECT s.seal_no, s.sealed_at, s.horizon, s.lines, s.parts, encode(s.hash, 'hex') AS hash, encode(s.previous, 'hex') AS previous
	  FROM refundx.seal s;
COMMENT ON VIEW refundx.seals IS 'The journal''s seals: blocks of lines, each with its hash and that of the one before';

-- A row of refundx.health: how far sealing is behind.
CREATE VIEW refundx.seal_health AS
	SELECT CASE WHEN h.lines AND h.late OR h.day_late THEN 'warning' ELSE 'ok' END AS level, h.caught_up_at AS since,
		   CASE WHEN h.lines THEN clock_timestamp() - h.caught_up_at END AS behind,
		   CASE WHEN NOT h.lines THEN 'there is nothing to seal'
				WHEN h.caught_up_at IS NULL THEN 'the journal was never sealed to its end: the clerk does it'
				WHEN h.late THEN format('the journal was last sealed to its end at %s', h.caught_up_at)
				WHEN h.day_late THEN format('the last statement is that of %s', coalesce(h.day::text, 'no day'))
				ELSE concat_ws('; ', 'the journal is sealed', 'last statement: ' || h.day,
							   CASE WHEN NOT h.signed THEN 'not signed: refundx.seal_key names no key' END) END AS finding
	  FROM (SELECT c.caught_up_at, EXISTS (SELECT FROM refundx.journal) AS lines, d.day, d.signature IS NOT NULL AS signed,
				   -- before the clerk has been there for the first time, since the first line
				   coalesce(c.caught_up_at, (SELECT j.at FROM refundx.journal j LIMIT 1))
				   < clock_timestamp() - greatest(interval '5 min', 3 * current_setting('refundx.clerk_interval')::interval) AS late,
				   EXISTS (SELECT FROM refundx.seal s WHERE s.seal_no = 1 AND s.sealed_at < refundx.desk_now() - interval '25 hours')
				   AND d.day IS DISTINCT FROM greatest(d.day, ((refundx.desk_now() - interval '1 hour') AT TIME ZONE 'UTC')::date - 1) AS day_late
			  FROM refundx.seal_cursor c
			  LEFT JOIN LATERAL (SELECT * FROM refundx.day_seal x ORDER BY x.day DESC LIMIT 1) d ON true) h;
COMMENT ON VIEW refundx.seal_health IS 'How far sealing is behind: for refundx.health';
