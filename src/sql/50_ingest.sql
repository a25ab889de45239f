/*
 * Callbacks that an application has received itself.
 */
CREATE FUNCTION refundx.callback_ingest(
	channel text, headers jsonb, body bytea,
	OUT result text, OUT status int, OUT content_type text, OUT answer text)
RETURNS record
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_callback_ingest';
COMMENT ON FUNCTION refundx.callback_ingest(text, jsonb, bytea) IS
'Takes a callback that the application received: the same verification and the same evidence as at refundx''s own address. headers is an object of strings or arrays of strings, names in any case; body is what was received, byte for byte.
result is stored, test, not_ours (verified, but about something else: what to answer is the caller''s affair, and the other columns are null), or why it was refused. Send status, content_type and answer only after COMMIT: a channel that was told "received" does not send again.
Errors: RX008 unknown channel, RX011 its keys cannot be read (answer 503), 22023 headers of another form.';

CREATE FUNCTION refundx.callback_inspect(
	channel text, headers jsonb, body bytea, at timestamptz DEFAULT clock_timestamp(),
	OUT level text, OUT step text, OUT finding text)
RETURNS SETOF record
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_callback_inspect';
COMMENT ON FUNCTION refundx.callback_inspect(text, jsonb, bytea, timestamptz) IS
'What the listener would make of this callback at that time, step by step: what was signed and with which key, how far the clocks are apart, what it means, what it would do to the refund, and the answer that the channel would get. Changes nothing, and counts nothing. level is ok, warning or error. Arguments as for callback_ingest; what refundx has kept is in refundx.evidence_log.
Errors: RX008 unknown channel, RX011 its keys cannot be read, 22023 headers of another form.';
