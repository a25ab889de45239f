/*
 * Stop-loss: rates, and when the breaker opens.
 */
CREATE FUNCTION refundx.pace_set(merchant text, reason text, about text DEFAULT NULL,
	calls_per_second int DEFAULT NULL, breaker_calls int DEFAULT NULL, breaker_errors numeric DEFAULT NULL,
	breaker_longest interval DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s record;
	wrong text;
	fastest int;
BEGIN
	PERFORM refundx.not_in_handler('pace_set');
	IF coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	END IF;
	s := refundx.stop_subject('merchant', merchant);
	wrong := CASE
		WHEN calls_per_second < 1 THEN 'calls_per_second must be positive'
		WHEN breaker_calls NOT BETWEEN 0 AND 64 THEN 'breaker_calls must be from 0 (it never opens) to 64'
		WHEN breaker_errors <= 0 OR breaker_errors > 1 THEN 'breaker_errors must be above 0, and at most 1'
		WHEN breaker_longest NOT BETWEEN interval '1 s' AND interval '1 hour' THEN 'breaker_longest must be from 1 second to 1 hour' END;
	IF wrong IS NOT NULL THEN
		RAISE EXCEPTION '%', wrong USING ERRCODE = '22023';
	END IF;
	SELECT max(k.calls_per_second) INTO fastest
	  FROM refundx.merchant m JOIN refundx.channel_kinds() k USING (kind) WHERE m.merchant_id = s.merchant_id;
	IF calls_per_second > fastest THEN
		RAISE EXCEPTION 'the channel allows % calls a second', fastest USING ERRCODE = '22023';
	END IF;
	INSERT INTO refundx.pace_setting AS p
		(merchant_id, about, calls_per_second, breaker_calls, breaker_errors, breaker_longest, reason)
	SELECT s.merchant_id, a, pace_set.calls_per_second, pace_set.breaker_calls, pace_set.breaker_errors,
		   pace_set.breaker_longest, pace_set.reason
	  FROM unnest(refundx.stop_about('merchant', about)) a
	ON CONFLICT ON CONSTRAINT pace_setting_pkey DO UPDATE
	   SET calls_per_second = excluded.calls_per_second, breaker_calls = excluded.breaker_calls,
		   breaker_errors = excluded.breaker_errors, breaker_longest = excluded.breaker_longest,
		   reason = excluded.reason, set_at = excluded.set_at, set_by = excluded.set_by;
	INSERT INTO refundx.audit (action, subject, reason, detail)
	VALUES ('pace_set', s.named, pace_set.reason, jsonb_strip_nulls(jsonb_build_object('about', about,
		'calls_per_second', calls_per_second, 'breaker_calls', breaker_calls, 'breaker_errors', breaker_errors,
		'breaker_longest', breaker_longest)));
END
$$;
COMMENT ON FUNCTION refundx.pace_set(text, text, text, int, int, numeric, interval) IS
'How fast a merchant (its number or one of its channels) is called, and when its breaker opens; about: refund, withdrawal, null for both. calls_per_second: at most what the channel allows. breaker_calls (20; 0: never), breaker_errors (0.5): it opens when that share of the last so many calls, of submits, queries and cancels apart, were answered with an error. breaker_longest (1 min): how far apart tries get. What is null is as the channel has it, or the default; all of them are set anew. The dispatcher takes it up within a second. Kept in the audit log with the reason.
Errors: RX008 no such merchant, 22023 no reason, or a value out of range.';
