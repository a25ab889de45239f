/*
 * Incidents.
 */
CREATE FUNCTION refundx.incident_add(
	kind text, reason text, done text, instruction_id bigint DEFAULT NULL, subject text DEFAULT NULL,
	sqlstate text DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_incident_add';
COMMENT ON FUNCTION refundx.incident_add(text, text, text, bigint, text, text) IS
'For functions of refundx itself: keeps that something went wrong, why, and what was done about it; returns its id, which a line in the server''s log has as well, once the transaction has committed. Telephone and card numbers in it are masked. Error: 22023 kind, reason or done is missing.';
