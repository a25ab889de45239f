/*
 * What the clerk's checks have found.
 */
CREATE VIEW refundx.checks AS
	SELECT v.invariant, v.sentence, c.findings, c.example, c.found_at, c.ran_at, c.took, c.error
	  FROM refundx.invariants v
	  LEFT JOIN refundx.check_result c USING (invariant);
COMMENT ON VIEW refundx.checks IS 'The clerk''s last check of each invariant, of all rows';
COMMENT ON COLUMN refundx.checks.findings IS 'How many rows break it; null: it was not checked yet';
COMMENT ON COLUMN refundx.checks.found_at IS 'Since when there are findings';
COMMENT ON COLUMN refundx.checks.took IS 'How long it took; null: it is running, or did not come to its end';
COMMENT ON COLUMN refundx.checks.error IS 'That the last one did not come to its end; the server''s log says why';

CREATE VIEW refundx.desk_checks AS
	SELECT 5 AS severity, 'invariant' AS what, c.invariant AS subject, NULL::text AS channel, NULL::text AS state, c.found_at AS since,
		   NULL::bigint AS amount, NULL::text AS currency, format('it is broken, %s times: %s', c.findings, v.sentence) AS reason,
		   c.example AS evidence, 'Find out what broke it (doc/operations.md), put it right, then have it checked again.' AS suggestion,
		   format('SELECT * FROM refundx.check(%L);  -- then refundx.check_soon(%L, %L)', c.invariant, 'why', c.invariant) AS call
	  FROM refundx.check_result c JOIN refundx.invariants v USING (invariant)
	 WHERE c.findings > 0;
COMMENT ON VIEW refundx.desk_checks IS 'The desk''s invariants that are broken';
