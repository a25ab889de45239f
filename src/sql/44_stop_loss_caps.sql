/*
 * Stop-loss: caps on what is sent within a time.
 *
 * Room is taken in the claim's own transaction, which commits before a byte is
 * sent, under a lock on the cap's row; a line of refundx.cap_sent says so.  The
 * window slides: what was sent at 10:00 under a cap of an hour has left it at
 * 11:00, to the microsecond of our clock.
 *
 * The same number takes room once per window: the channel pays it once, however
 * often it is sent.  Its newest line counts, so that what is sent again at 10:59
 * is in the window until 11:59; after the window it needs room anew.  What the
 * channel refuses has taken its room, too: a burst of refusals is a burst.
 */
CREATE FUNCTION refundx.cap_text(cap refundx.cap) RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('the cap of %s within %s of %s',
				  concat_ws(' and ', refundx.format_amount(cap.max_amount, cap.currency) || ' ' || cap.currency,
							cap.max_number || CASE cap.about WHEN 'refund' THEN ' refunds' WHEN 'withdrawal' THEN ' withdrawals'
											  ELSE ' refunds or withdrawals' END),
				  cap.within,
				  CASE cap.scope
				  WHEN 'merchant' THEN (SELECT format('merchant %s %s', m.kind, m.merchant_no) FROM refundx.merchant m
										 WHERE m.merchant_id = cap.merchant_id)
				  WHEN 'account' THEN (SELECT format('account "%s"', a.account_no) FROM refundx.account a
										WHERE a.account_id = cap.account_id)
				  WHEN 'role' THEN format('role "%s"', cap.role_name)
				  ELSE 'everything' END)
$$;
COMMENT ON FUNCTION refundx.cap_text(refundx.cap) IS 'A cap in words';

CREATE FUNCTION refundx.cap_concerns(cap refundx.cap, i refundx.instruction) RETURNS boolean
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT (cap.currency IS NULL OR cap.currency = i.currency) AND (cap.about IS NULL OR cap.about = i.kind)
	   AND CASE cap.scope
		   WHEN 'merchant' THEN cap.merchant_id = i.merchant_id
		   WHEN 'account' THEN i.account_id IS NOT NULL
				AND cap.account_id = (SELECT coalesce(a.slot_of, a.account_id) FROM refundx.account a WHERE a.account_id = i.account_id)
		   WHEN 'role' THEN refundx.same_login(i.submitted_by, cap.role_name)
		   ELSE true END
$$;
COMMENT ON FUNCTION refundx.cap_concerns(refundx.cap, refundx.instruction) IS 'Whether what is sent of it counts under the cap';

CREATE FUNCTION refundx.cap_used(cap refundx.cap, at timestamptz,
	OUT amount numeric, OUT number bigint, OUT before numeric, OUT before_n bigint,
	OUT total numeric, OUT n bigint, OUT first_at timestamptz, OUT last_at timestamptz)
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(l.total - f.before - again.amount, 0), coalesce(l.n - f.n + 1 - again.number, 0),
		   coalesce(f.before, l.total, 0), coalesce(f.n - 1, l.n, 0),
		   coalesce(l.total, 0), coalesce(l.n, 0), f.at, l.at
	  FROM (VALUES (1)) one
	  LEFT JOIN LATERAL (
		SELECT s.n, s.total, s.at FROM refundx.cap_sent s
		 WHERE s.cap_id = cap.cap_id ORDER BY s.n DESC LIMIT 1) l ON true
	  LEFT JOIN LATERAL (
		SELECT s.n, s.total - s.amount AS before, s.at FROM refundx.cap_sent s
		 WHERE s.cap_id = cap.cap_id AND s.at > cap_used.at - cap.within ORDER BY s.at, s.n LIMIT 1) f ON true
	 CROSS JOIN LATERAL (
		SELECT coalesce(sum(s.amount), 0) AS amount, count(*) AS number FROM refundx.cap_sent s
		 WHERE s.cap_id = cap.cap_id AND s.again_at > cap_used.at - cap.within) again
$$;
COMMENT ON FUNCTION refundx.cap_used(refundx.cap, timestamptz) IS
'What is used of a cap at that time: amount (minor units) and number, each number once; before, before_n: what the lines up to the window come to, first_at, last_at: when the window''s first and the cap''s last line were written';

/*
 * When there will be room for so much more, by the lines that leave the window.
 * If those do not make enough, others are waiting, too, who take a part of the
 * windows after that.
 */
CREATE FUNCTION refundx.cap_room_at(cap refundx.cap, at timestamptz, amount numeric, number bigint) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	u record := refundx.cap_used(cap, at);
	need numeric := u.amount + amount - cap.max_amount;
	need_n numeric := u.number + number - cap.max_number;
	free_at timestamptz := at;
	t timestamptz;
BEGIN
	IF cap.max_amount = 0 OR cap.max_number = 0 THEN
		RETURN at + interval '1 hour';
	END IF;
	IF need > 0 THEN
		SELECT s.at INTO t FROM refundx.cap_sent s
		 WHERE s.cap_id = cap.cap_id AND s.total >= u.before + need ORDER BY s.total, s.n LIMIT 1;
		free_at := greatest(free_at, coalesce(t + cap.within,
			coalesce(u.last_at, at) + cap.within + cap.within * ((need - u.amount) / cap.max_amount)::float8));
	END IF;
	IF need_n > 0 THEN
		t := NULL;
		SELECT s.at INTO t FROM refundx.cap_sent s
		 WHERE s.cap_id = cap.cap_id AND s.n >= u.before_n + need_n ORDER BY s.n LIMIT 1;
		free_at := greatest(free_at, coalesce(t + cap.within,
			coalesce(u.last_at, at) + cap.within + cap.within * ((need_n - u.number) / cap.max_number)::float8));
	END IF;
	RETURN greatest(free_at, at + interval '1 second');
END
$$;
COMMENT ON FUNCTION refundx.cap_room_at(refundx.cap, timestamptz, numeric, bigint) IS
'When a cap is likely to have room for an amount (minor units) and a number more';

/*
 * For the dispatcher's claim, which has locked the rows of these instructions.
 * The order of locks: instructions, then caps, in key order.  Each line is seen
 * by whoever locks the cap next, for each statement here has a snapshot of its own.
 */
CREATE FUNCTION refundx.cap_take(ids bigint[], at timestamptz, OUT instruction_id bigint, OUT look_at timestamptz)
RETURNS SETOF record
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	i refundx.instruction;
	cap refundx.cap;
	caps refundx.cap[];
	wanted int[];
	u record;
	own timestamptz;
	fits boolean;
	by_cap int;
	full_ids int[] := '{}';
	-- for each cap: what waits already, once it is asked for, and what waits of these
	waiting_amount numeric[];
	waiting_number bigint[];
	put_off_amount numeric[];
	put_off_number bigint[];
	was_waiting boolean;
	t timestamptz;
BEGIN
	wanted := ARRAY(SELECT DISTINCT c.cap_id FROM refundx.cap c
					  JOIN refundx.instruction x ON x.instruction_id = ANY (ids)
					 WHERE c.removed_at IS NULL AND refundx.cap_concerns(c, x));
	IF wanted = '{}' THEN
		RETURN;
	END IF;
	PERFORM FROM refundx.cap c WHERE c.cap_id = ANY (wanted) ORDER BY c.cap_id FOR NO KEY UPDATE;
	caps := ARRAY(SELECT c FROM refundx.cap c WHERE c.cap_id = ANY (wanted) AND c.removed_at IS NULL ORDER BY c.cap_id);
	waiting_amount := array_fill(NULL::numeric, ARRAY[cardinality(caps)]);
	waiting_number := array_fill(NULL::bigint, ARRAY[cardinality(caps)]);
	put_off_amount := array_fill(0::numeric, ARRAY[cardinality(caps)]);
	put_off_number := array_fill(0::bigint, ARRAY[cardinality(caps)]);

	FOR i IN SELECT x.* FROM refundx.instruction x WHERE x.instruction_id = ANY (ids) ORDER BY x.instruction_id LOOP
		fits := true;
		look_at := NULL;
		was_waiting := EXISTS (SELECT FROM refundx.cap_wait w WHERE w.instruction_id = i.instruction_id);
		FOR k IN 1 .. cardinality(caps) LOOP
			cap := caps[k];
			CONTINUE WHEN NOT refundx.cap_concerns(cap, i);
			u := refundx.cap_used(cap, at);
			own := refundx.cap_own(cap, i, at);
			-- a limit that there is not is null
			CONTINUE WHEN coalesce(u.amount + CASE WHEN own IS NULL THEN i.amount ELSE 0 END <= cap.max_amount, true)
					  AND coalesce(u.number + CASE WHEN own IS NULL THEN 1 ELSE 0 END <= cap.max_number, true);
			fits := false;
			full_ids := full_ids || cap.cap_id;
			IF waiting_amount[k] IS NULL THEN
				SELECT coalesce(sum(w.amount), 0) AS amount, count(*) AS number INTO u FROM refundx.cap_wait w
				 WHERE w.cap_id = cap.cap_id AND w.instruction_id <> ALL (ids);
				waiting_amount[k] := u.amount;
				waiting_number[k] := u.number;
			END IF;
			-- behind those who have a time already, if it has none itself
			t := CASE WHEN i.amount > cap.max_amount THEN at + interval '1 hour'
				 ELSE refundx.cap_room_at(cap, at,
						i.amount + put_off_amount[k] + CASE WHEN was_waiting THEN 0 ELSE waiting_amount[k] END,
						1 + put_off_number[k] + CASE WHEN was_waiting THEN 0 ELSE waiting_number[k] END) END;
			IF coalesce(i.amount <= cap.max_amount, true) THEN
				put_off_amount[k] := put_off_amount[k] + i.amount;
				put_off_number[k] := put_off_number[k] + 1;
			END IF;
			IF look_at IS NULL OR t > look_at THEN
				look_at := t;
				by_cap := cap.cap_id;
			END IF;
		END LOOP;

		IF fits THEN
			FOREACH cap IN ARRAY caps LOOP
				CONTINUE WHEN NOT refundx.cap_concerns(cap, i);
				u := refundx.cap_used(cap, at);
				INSERT INTO refundx.cap_sent (cap_id, n, at, instruction_id, amount, total, again_at)
				VALUES (cap.cap_id, u.n + 1, greatest(at, u.last_at), i.instruction_id, i.amount, u.total + i.amount,
						refundx.cap_own(cap, i, at));
			END LOOP;
			IF was_waiting THEN
				DELETE FROM refundx.cap_wait w WHERE w.instruction_id = i.instruction_id;
			END IF;
		ELSE
			instruction_id := i.instruction_id;
			UPDATE refundx.instruction x SET due_at = look_at WHERE x.instruction_id = i.instruction_id;
			INSERT INTO refundx.cap_wait AS w (instruction_id, cap_id, amount, since, room_at)
			VALUES (i.instruction_id, by_cap, i.amount, at, look_at)
			ON CONFLICT ON CONSTRAINT cap_wait_pkey DO UPDATE SET cap_id = excluded.cap_id, room_at = excluded.room_at;
			IF NOT was_waiting THEN
				INSERT INTO refundx.event (instruction_id, type, from_state, to_state, actor, note)
				SELECT i.instruction_id, 'capped', i.state, i.state, session_user, refundx.cap_text(c) || ' has no room'
				  FROM refundx.cap c WHERE c.cap_id = by_cap;
			END IF;
			RETURN NEXT;
		END IF;
	END LOOP;

	FOREACH cap IN ARRAY caps LOOP
		PERFORM refundx.cap_level(cap, at, cap.cap_id = ANY (full_ids));
	END LOOP;
END
$$;
COMMENT ON FUNCTION refundx.cap_take(bigint[], timestamptz) IS
'For the dispatcher: takes room for these instructions in every cap that concerns them, in the claim''s transaction; returns those for which there is none, and when to look again. No errors of its own';

CREATE FUNCTION refundx.cap_own(cap refundx.cap, i refundx.instruction, at timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN i.first_attempt_at IS NOT NULL THEN
		(SELECT max(s.at) FROM refundx.cap_sent s
		  WHERE s.instruction_id = i.instruction_id AND s.cap_id = cap.cap_id AND s.at > cap_own.at - cap.within) END
$$;
COMMENT ON FUNCTION refundx.cap_own(refundx.cap, refundx.instruction, timestamptz) IS 'When it was last sent within the cap''s window; null: it needs room';

-- Said once when it is crossed, and once when something has to wait; said again
-- when it has been below in between.
CREATE FUNCTION refundx.cap_level(cap refundx.cap, at timestamptz, is_full boolean) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	u record := refundx.cap_used(cap, at);
	above boolean := coalesce(u.amount >= cap.alarm_at * cap.max_amount, false)
				  OR coalesce(u.number >= cap.alarm_at * cap.max_number, false);
	now_level text := CASE WHEN is_full OR above AND cap.level = 'full' THEN 'full' WHEN above THEN 'alarm' ELSE 'ok' END;
	used text := concat_ws(' and ', refundx.format_amount(u.amount::bigint, cap.currency) || ' ' || cap.currency, u.number);
BEGIN
	IF now_level = cap.level THEN
		RETURN;
	END IF;
	UPDATE refundx.cap c SET level = now_level, level_since = at WHERE c.cap_id = cap.cap_id;
	IF now_level = 'full' THEN
		PERFORM refundx.incident_add('cap_full', format('%s is full: %s were sent within it', refundx.cap_text(cap), used),
			'what is over it waits for room, and is not refused: see refundx.caps', subject => concat_ws(' ', cap.scope, cap.role_name));
	ELSIF now_level = 'alarm' AND cap.level = 'ok' THEN
		PERFORM refundx.incident_add('cap_alarm', format('%s is used to more than %s: %s were sent within it', refundx.cap_text(cap), cap.alarm_at, used),
			'nothing: this is said before it is full', subject => concat_ws(' ', cap.scope, cap.role_name));
	END IF;
END
$$;
COMMENT ON FUNCTION refundx.cap_level(refundx.cap, timestamptz, boolean) IS
'Keeps how full a cap is, with an incident when that has risen. No errors of its own';

CREATE FUNCTION refundx.stop_take(ids bigint[], at timestamptz, OUT instruction_id bigint, OUT look_at timestamptz)
RETURNS SETOF record
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	may bigint[] := ids;
BEGIN
	LOCK TABLE refundx.pause IN ROW SHARE MODE;
	FOR instruction_id, look_at IN
		SELECT u.id, at + CASE WHEN min(p.scope) IN ('account', 'role') THEN interval '1 minute' ELSE interval '1 second' END
		  FROM unnest(ids) u(id) CROSS JOIN LATERAL refundx.pauses_of(u.id) p GROUP BY u.id
	LOOP
		may := array_remove(may, instruction_id);
		RETURN NEXT;
	END LOOP;
	RETURN QUERY SELECT t.instruction_id, t.look_at FROM refundx.cap_take(may, at) t;
END
$$;
COMMENT ON FUNCTION refundx.stop_take(bigint[], timestamptz) IS
'For the dispatcher: which of these queued refunds and withdrawals, whose rows it has locked, may not be sent because of a pause or a cap, and when to look again; the others have taken their room. No errors of its own';

CREATE FUNCTION refundx.cap_set(scope text, subject text, within interval,
	max_amount bigint DEFAULT NULL, max_number bigint DEFAULT NULL, reason text DEFAULT NULL,
	about text DEFAULT NULL, currency text DEFAULT NULL, alarm_at numeric DEFAULT 0.8, force boolean DEFAULT false)
RETURNS int
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s record;
	c refundx.cap;
	u record;
	at timestamptz;
BEGIN
	PERFORM refundx.not_in_handler('cap_set');
	IF coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	END IF;
	s := refundx.stop_subject(scope, subject);
	PERFORM refundx.stop_about(scope, about);
	c := refundx.cap_checked(scope, s.merchant_id, s.account_id, within, max_amount, max_number, currency, alarm_at);
	c.cap_id := nextval('refundx.cap_cap_id_seq');
	c.about := cap_set.about;
	c.role_name := s.role_name;
	c.reason := cap_set.reason;
	c.set_by := session_user;
	c.actor := refundx.actor();
	c.level := 'ok';

	-- nothing is claimed before this has committed
	LOCK TABLE refundx.pause IN EXCLUSIVE MODE;
	at := clock_timestamp() + current_setting('refundx.clock_offset')::interval;
	c.set_at := at;
	c.level_since := at;
	PERFORM refundx.cap_end(at, c);
	INSERT INTO refundx.cap SELECT (c).*;
	-- what was sent before counts
	INSERT INTO refundx.cap_sent (cap_id, n, at, instruction_id, amount, total, again_at)
	SELECT c.cap_id, row_number() OVER w, a.started_at, i.instruction_id, i.amount, sum(i.amount) OVER w,
		   lag(a.started_at) OVER (PARTITION BY i.instruction_id ORDER BY a.started_at, a.attempt_id)
	  FROM refundx.attempt a JOIN refundx.instruction i USING (instruction_id)
	 WHERE a.call = 'submit' AND a.started_at > at - c.within AND refundx.cap_concerns(c, i)
	WINDOW w AS (ORDER BY a.started_at, a.attempt_id);
	u := refundx.cap_used(c, at);
	IF NOT force AND (u.amount > c.max_amount OR u.number > c.max_number) THEN
		RAISE EXCEPTION 'more than that was sent within the last %: %', within,
				concat_ws(' and ', refundx.format_amount(u.amount::bigint, c.currency) || ' ' || c.currency, u.number || ' of them')
			USING ERRCODE = 'RX033',
				DETAIL = refundx.cap_text(c) || ' would be full from the start.',
				HINT = 'With force => true nothing more is sent until it has room.';
	END IF;
	PERFORM refundx.cap_level(c, at, false);
	INSERT INTO refundx.audit (action, subject, reason, detail)
	VALUES ('cap_set', s.named, cap_set.reason,
			jsonb_strip_nulls(jsonb_build_object('within', within, 'max_amount', max_amount, 'max_number', max_number,
				'currency', c.currency, 'about', about, 'alarm_at', alarm_at, 'force', force)));
	RETURN c.cap_id;
END
$$;
COMMENT ON FUNCTION refundx.cap_set(text, text, interval, bigint, bigint, text, text, text, numeric, boolean) IS
'Lets no more be sent than an amount (max_amount, minor units of currency) and a number (max_number) within a time, whatever the number of workers: of a merchant (subject: its number or one of its channels; about: refund, withdrawal, null for both together), of an account, of what a role (or a member of it) submits, or of everything (subject: null). It counts what is sent, each number once in a window, from before the cap as well. What is over it stays queued until there is room. One for each of these and each length of time: the same again replaces it. alarm_at: an incident when so much of it is used (share, 0.8). Returns its number in refundx.caps. Kept in the audit log with the reason.
Errors: RX005 an account of another currency, RX008 no such merchant, RX013 no such account, RX033 more than that was sent within that time already (force => true: then nothing is sent until it has room), 22023, 42704 no such role.';

CREATE FUNCTION refundx.cap_checked(scope text, merchant_id int, account_id bigint, within interval,
	max_amount bigint, max_number bigint, currency text, alarm_at numeric) RETURNS refundx.cap
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	c refundx.cap;
	of_account text;
	wrong text;
BEGIN
	wrong := CASE
		WHEN within IS NULL OR within < interval '1 second' OR within > interval '366 days' THEN 'within must be from 1 second to 366 days'
		WHEN max_amount IS NULL AND max_number IS NULL THEN 'max_amount or max_number must be given'
		WHEN max_amount < 0 OR max_number < 0 THEN 'max_amount and max_number must not be negative'
		WHEN alarm_at IS NULL OR alarm_at <= 0 OR alarm_at > 1 THEN 'alarm_at must be above 0, and at most 1'
		WHEN currency IS NOT NULL AND currency !~ '^[A-Z]{3}$' THEN 'currency must be three capitals (ISO 4217)' END;
	IF wrong IS NOT NULL THEN
		RAISE EXCEPTION '%', wrong USING ERRCODE = '22023',
			HINT = 'For example: within => ''1 hour'', max_amount => 500000 (5000.00 CNY), max_number => 100.';
	END IF;
	c.scope := scope;
	c.merchant_id := cap_checked.merchant_id;
	c.account_id := cap_checked.account_id;
	c.within := within;
	c.max_amount := max_amount;
	c.max_number := max_number;
	c.alarm_at := alarm_at;
	c.currency := currency;
	IF scope = 'account' THEN
		SELECT a.currency INTO of_account FROM refundx.account a WHERE a.account_id = cap_checked.account_id;
		IF c.currency <> of_account THEN
			RAISE EXCEPTION 'the account''s currency is %, not %', of_account, c.currency USING ERRCODE = 'RX005';
		END IF;
		c.currency := of_account;
	ELSIF c.currency IS NULL AND max_amount IS NOT NULL THEN
		-- where the channel has but one
		SELECT min(u.x) INTO c.currency
		  FROM refundx.merchant m JOIN refundx.channel_kinds() k USING (kind) CROSS JOIN unnest(k.currencies) u(x)
		 WHERE m.merchant_id = cap_checked.merchant_id
		HAVING count(DISTINCT u.x) = 1;
		IF c.currency IS NULL THEN
			RAISE EXCEPTION 'currency must be given with max_amount' USING ERRCODE = '22023',
				HINT = 'Amounts of different currencies are not added up: each has a cap of its own.';
		END IF;
	END IF;
	RETURN c;
END
$$;
COMMENT ON FUNCTION refundx.cap_checked(text, int, bigint, interval, bigint, bigint, text, numeric) IS
'What was asked of cap_set(), if it makes sense; amounts in minor units. Errors: those of refundx.cap_set()';

-- Ends the cap that is like this one (its number counts, if it has one), or all
-- that are as far as it says; what waited for their room is looked at again.
CREATE FUNCTION refundx.cap_end(at timestamptz, c refundx.cap, all_of_them boolean DEFAULT false) RETURNS int
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	ended int[];
	waiting bigint[];
BEGIN
	WITH gone AS (
		UPDATE refundx.cap o SET removed_at = at
		 WHERE o.removed_at IS NULL AND o.scope = c.scope
		   AND (o.merchant_id, o.account_id, o.role_name) IS NOT DISTINCT FROM (c.merchant_id, c.account_id, c.role_name)
		   AND (all_of_them AND c.about IS NULL OR o.about IS NOT DISTINCT FROM c.about)
		   AND (all_of_them AND c.within IS NULL OR o.within = c.within)
		   AND (all_of_them OR o.currency IS NOT DISTINCT FROM c.currency)
		RETURNING o.cap_id)
	SELECT coalesce(array_agg(g.cap_id), '{}') INTO ended FROM gone g;
	WITH gone AS (DELETE FROM refundx.cap_wait w WHERE w.cap_id = ANY (ended) RETURNING w.instruction_id)
	SELECT coalesce(array_agg(g.instruction_id), '{}') INTO waiting FROM gone g;
	IF waiting <> '{}' THEN
		UPDATE refundx.instruction i SET due_at = at
		 WHERE i.instruction_id = ANY (waiting) AND i.state = 'queued' AND i.due_call = 'submit';
		PERFORM refundx.look_again(waiting, 'uncapped', NULL);
	END IF;
	RETURN cardinality(ended);
END
$$;
COMMENT ON FUNCTION refundx.cap_end(timestamptz, refundx.cap, boolean) IS
'Ends caps, and makes what waited for their room due; returns how many. No errors of its own';

CREATE FUNCTION refundx.cap_remove(scope text, subject text, reason text,
	within interval DEFAULT NULL, about text DEFAULT NULL) RETURNS int
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s record;
	c refundx.cap;
	n int;
BEGIN
	PERFORM refundx.not_in_handler('cap_remove');
	IF coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	END IF;
	s := refundx.stop_subject(scope, subject);
	PERFORM refundx.stop_about(scope, about);
	c.scope := scope;
	c.merchant_id := s.merchant_id;
	c.account_id := s.account_id;
	c.role_name := s.role_name;
	c.within := cap_remove.within;
	c.about := cap_remove.about;
	LOCK TABLE refundx.pause IN EXCLUSIVE MODE;
	n := refundx.cap_end(clock_timestamp() + current_setting('refundx.clock_offset')::interval, c, true);
	IF n > 0 THEN
		INSERT INTO refundx.audit (action, subject, reason, detail)
		VALUES ('cap_remove', s.named, cap_remove.reason,
				jsonb_strip_nulls(jsonb_build_object('within', within, 'about', about, 'removed', n)));
	END IF;
	RETURN n;
END
$$;
COMMENT ON FUNCTION refundx.cap_remove(text, text, text, interval, text) IS
'Removes the caps of a merchant, an account, a role, or of everything (subject: null): all of them, or those of a time (within), or of refunds or withdrawals (about). What waits for room is sent, as paces and pauses allow. Returns how many there were. Kept in the audit log with the reason.
Errors: RX008 no such merchant, RX013 no such account, 22023 no reason, or not one of these, 42704 no such role.';
