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
