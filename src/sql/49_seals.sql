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
