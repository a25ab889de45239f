/*
 * What operators call about withdrawals: rules, and forgetting.
 */
CREATE FUNCTION refundx.withdraw_policy_set(channel text, policy jsonb, account text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	known constant text[] := '{minimum,maximum,day_amount,day_count,day_zone,fee_fixed,fee_percent,fee_cap,fee_on_top,fee_back_on_failure,fee_back_on_return,approve_above,approve_new_payee}';
	usual constant jsonb := '{"day_zone": "Asia/Shanghai", "fee_fixed": 0, "fee_ppm": 0, "fee_on_top": false, "fee_back_on_failure": true, "fee_back_on_return": false, "approve_new_payee": false}';
	of_channel int;
	of_account bigint;
	unknown text;
	percent numeric;
	given jsonb := policy - 'fee_percent';
	r refundx.withdraw_policy;
BEGIN
	PERFORM refundx.not_in_handler('withdraw_policy_set');
	-- locked, so that two who set the first rules of a channel come one after the other
	SELECT c.channel_id INTO of_channel FROM refundx.channel c WHERE c.name = withdraw_policy_set.channel
	   FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'channel "%" does not exist', channel USING ERRCODE = 'RX008',
			HINT = 'Configured channels are in the view refundx.channels.';
	END IF;
	IF account IS NOT NULL THEN
		SELECT a.account_id INTO of_account FROM refundx.account a WHERE a.account_no = withdraw_policy_set.account;
		IF NOT FOUND THEN
			RAISE EXCEPTION 'account "%" does not exist', account USING ERRCODE = 'RX013';
		END IF;
	END IF;
	IF policy IS NULL THEN
		DELETE FROM refundx.withdraw_policy p
		 WHERE p.channel_id = of_channel AND coalesce(p.account_id, 0) = coalesce(of_account, 0);
	ELSE
		IF jsonb_typeof(policy) <> 'object' THEN
			RAISE EXCEPTION 'the policy must be a JSON object' USING ERRCODE = 'RX011';
		END IF;
		SELECT k INTO unknown FROM jsonb_object_keys(policy) k WHERE k <> ALL (known) LIMIT 1;
		IF FOUND THEN
			RAISE EXCEPTION 'a policy of withdrawals has no member "%"', unknown USING ERRCODE = 'RX011',
				HINT = 'Known members: ' || array_to_string(known, ', ') || '.';
		END IF;
		BEGIN
			IF policy ? 'fee_percent' THEN
				percent := (policy->>'fee_percent')::numeric * 10000;
				IF percent <> trunc(percent) THEN
					RAISE EXCEPTION 'fee_percent has more than four decimals' USING ERRCODE = '22023';
				END IF;
				-- without a point, which no integer has
				given := given || jsonb_build_object('fee_ppm', trunc(percent));
			END IF;
			SELECT * INTO r FROM refundx.withdraw_policy p
			 WHERE p.channel_id = of_channel AND coalesce(p.account_id, 0) = coalesce(of_account, 0)
			   FOR UPDATE;
			r := jsonb_populate_record(NULL::refundx.withdraw_policy,
					usual || jsonb_strip_nulls(coalesce(to_jsonb(r), '{}') || given));
			PERFORM now() AT TIME ZONE r.day_zone;
			DELETE FROM refundx.withdraw_policy p
			 WHERE p.channel_id = of_channel AND coalesce(p.account_id, 0) = coalesce(of_account, 0);
			INSERT INTO refundx.withdraw_policy
				(channel_id, account_id, minimum, maximum, day_amount, day_count, day_zone, fee_fixed, fee_ppm,
				 fee_cap, fee_on_top, fee_back_on_failure, fee_back_on_return, approve_above, approve_new_payee)
			VALUES (of_channel, of_account, r.minimum, r.maximum, r.day_amount, r.day_count, r.day_zone, r.fee_fixed,
				 r.fee_ppm, r.fee_cap, r.fee_on_top, r.fee_back_on_failure, r.fee_back_on_return, r.approve_above,
				 r.approve_new_payee);
		EXCEPTION WHEN data_exception OR check_violation OR not_null_violation THEN
			RAISE EXCEPTION 'the policy cannot be used: %', SQLERRM USING ERRCODE = 'RX011',
				HINT = 'Amounts are whole numbers of minor units, fee_percent is 0 to 100, day_zone a time zone such as Asia/Shanghai; minimum is at most maximum.';
		END;
	END IF;
	INSERT INTO refundx.audit (action, subject, reason, detail)
	VALUES ('withdraw_policy_set', concat_ws(', ', channel, account),
			CASE WHEN policy IS NULL THEN 'removed' ELSE 'changed' END, policy);
END
$$;
COMMENT ON FUNCTION refundx.withdraw_policy_set(text, jsonb, text) IS
'Sets the rules of withdrawals through a channel, or (account) of one account in their place; members of policy replace those of the same name, null takes one back, and a null policy removes all.
minimum, maximum: of one withdrawal. day_amount, day_count: of an account, in a day of day_zone (default Asia/Shanghai); what failed or was canceled does not count. fee_fixed, fee_percent (0 to 100), fee_cap: the fee is the fixed part and the share, half a unit rounded up, at most the cap; it is inside the amount, or fee_on_top of it. fee_back_on_failure (default true), fee_back_on_return (default false): whether the account gets it back. approve_above: a larger amount waits for a second person, and so does a payee that the account has never paid (approve_new_payee). Amounts in minor units.
Errors: RX008 unknown channel, RX011 the policy is wrong, RX013 unknown account.';

CREATE FUNCTION refundx.forget_payee(withdrawal_no text, reason text) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	whom bigint;
	erased bigint;
	still_open bigint;
BEGIN
	PERFORM refundx.not_in_handler('forget_payee');
	IF coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	END IF;
	SELECT o.payee_id INTO whom
	  FROM refundx.instruction i JOIN refundx.payout o USING (instruction_id)
	 WHERE i.instruction_no = forget_payee.withdrawal_no AND i.kind = 'withdrawal';
	IF NOT FOUND THEN
		RAISE EXCEPTION 'withdrawal "%" does not exist', withdrawal_no USING ERRCODE = 'RX012';
	END IF;
	IF whom IS NULL THEN
		RETURN 0;
	END IF;
	DELETE FROM refundx.payout_contact t
	 USING refundx.payout o, refundx.instruction i
	 WHERE o.instruction_id = t.instruction_id AND i.instruction_id = t.instruction_id
	   AND o.payee_id = whom AND NOT i.is_open;
	UPDATE refundx.payout o
	   SET payee_id = NULL, payee_masked = NULL, data_key = NULL, payee_sealed = NULL,
		   erased_at = coalesce(o.erased_at, clock_timestamp())
	  FROM refundx.instruction i
	 WHERE i.instruction_id = o.instruction_id AND o.payee_id = whom AND NOT i.is_open;
	GET DIAGNOSTICS erased = ROW_COUNT;
	SELECT count(*) INTO still_open FROM refundx.payout o WHERE o.payee_id = whom;
	IF still_open = 0 THEN
		-- the row stays, for somebody may be paying it at this moment; nobody finds it again
		UPDATE refundx.payee p
		   SET fingerprint = uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
		 WHERE p.payee_id = whom;
	ELSE
		RAISE NOTICE '% withdrawals to this payee are not finished, and need what they have', still_open
			USING HINT = 'Call refundx.forget_payee() again when they are.';
	END IF;
	INSERT INTO refundx.audit (action, subject, reason) VALUES ('forget_payee', withdrawal_no, reason);
	RETURN erased;
END
$$;
COMMENT ON FUNCTION refundx.forget_payee(text, text) IS
'Erases whom a withdrawal paid, in all finished withdrawals to the same payee: the masked form, what was sealed (which their requests need to be read), telephone numbers, and the hash that knew the payee again. Returns in how many withdrawals. By itself this happens, but for the masked form and the hash, refundx.payee_retention days after the end. Backups keep what they have. Kept in the audit log with the reason.
Errors: RX012 unknown withdrawal, 22023 no reason.';
