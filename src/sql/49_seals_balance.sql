/*
 * The balance proof of an account: what it had, what moved, what it has, from the
 * journal alone.
 */
CREATE FUNCTION refundx.balance_proof(
	account text, since timestamptz, until timestamptz,
	OUT slot int, OUT what text, OUT lines bigint, OUT available numeric, OUT frozen numeric, OUT verdict text)
RETURNS SETOF record
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	own constant bigint := (SELECT a.account_id FROM refundx.account a WHERE a.account_no = balance_proof.account);
BEGIN
	IF own IS NULL THEN
		RAISE EXCEPTION 'account "%" does not exist', account USING ERRCODE = 'RX013',
			HINT = 'See refundx.accounts.';
	END IF;
	IF since IS NULL OR until IS NULL OR since > until THEN
		RAISE EXCEPTION 'since and until must be given, in this order' USING ERRCODE = '22023';
	END IF;
	RETURN QUERY
	-- by versions, which are in the order of the postings; times only say where to begin
	WITH slots AS (
		SELECT s.account_id, s.slot FROM refundx.account s WHERE own IN (s.account_id, s.slot_of)
	), bounds AS (
		SELECT r.account_id, r.slot, coalesce(o.version, 0) AS opened, coalesce(o.available, 0) AS available, coalesce(o.frozen, 0) AS frozen,
			   coalesce(c.version, 0) AS closed, coalesce(c.available, 0) AS available_after, coalesce(c.frozen, 0) AS frozen_after
		  FROM slots r
		  LEFT JOIN LATERAL (SELECT j.version, j.available, j.frozen FROM refundx.journal j
							  WHERE j.account_id = r.account_id AND j.at < since ORDER BY j.version DESC LIMIT 1) o ON true
		  LEFT JOIN LATERAL (SELECT j.version, j.available, j.frozen FROM refundx.journal j
							  WHERE j.account_id = r.account_id AND j.at < until ORDER BY j.version DESC LIMIT 1) c ON true
	), moved AS (
		SELECT b.account_id, j.type::text AS type, count(*) AS n, sum(j.d_available) AS available, sum(j.d_frozen) AS frozen
		  FROM bounds b JOIN refundx.journal j ON j.account_id = b.account_id AND j.version > b.opened AND j.version <= b.closed
		 GROUP BY 1, 2
	), proof AS (
		SELECT b.*, coalesce(sum(m.n), 0) AS n,
			   b.available + coalesce(sum(m.available), 0) - b.available_after AS available_off,
			   b.frozen + coalesce(sum(m.frozen), 0) - b.frozen_after AS frozen_off
		  FROM bounds b LEFT JOIN moved m USING (account_id)
		 GROUP BY b.account_id, b.slot, b.opened, b.available, b.frozen, b.closed, b.available_after, b.frozen_after
	), result AS (
		SELECT p.slot, 1 AS nth, 'opening' AS what, NULL::bigint AS n, p.available::numeric, p.frozen::numeric, NULL AS verdict FROM proof p
		UNION ALL
		SELECT b.slot, 2, m.type, m.n, m.available, m.frozen, NULL FROM moved m JOIN bounds b USING (account_id)
		UNION ALL
		SELECT p.slot, 3, 'closing', p.n::bigint, p.available_after, p.frozen_after,
			   CASE WHEN p.available_off <> 0 OR p.frozen_off <> 0
					THEN format('differs: opening and movements exceed closing by %s available, %s frozen', p.available_off, p.frozen_off)
					WHEN p.n <> p.closed - p.opened THEN format('%s lines are missing', p.closed - p.opened - p.n)
					ELSE 'proven' END
		  FROM proof p
	)
	SELECT r.slot, r.what, r.n, r.available, r.frozen, r.verdict
	  FROM (SELECT * FROM result
			UNION ALL
			-- the account as a whole; what moves between its slots is nothing of it
			SELECT NULL, x.nth, x.what, CASE WHEN x.nth > 1 THEN sum(x.n)::bigint END, sum(x.available), sum(x.frozen),
				   CASE WHEN x.nth = 3 THEN CASE WHEN bool_and(x.verdict = 'proven') THEN 'proven' ELSE 'not proven: see its slots' END END
			  FROM result x WHERE (SELECT count(*) FROM slots) > 1
			 GROUP BY x.nth, x.what) r
	 ORDER BY r.slot NULLS LAST, r.nth, r.what;
END
$$;
COMMENT ON FUNCTION refundx.balance_proof(text, timestamptz, timestamptz) IS
'Opening + movements = closing of an account, from its journal (minor units): what it had before since, what each type of line moved until then, what it had before until; for each of its slots (slot 0 is its own row), and for all of them (slot null). verdict, on the closing rows: proven, or by how much it differs, or how many lines are missing. That no line is another than it was, journal_verify() says.
Errors: RX013 unknown account, 22023.';
