/*
 * The channels' bills: loading by hand, and which are fetched.
 */
CREATE FUNCTION refundx.bill_progress(OUT bill_id bigint, OUT doing text, OUT done bigint)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_bill_progress';
COMMENT ON FUNCTION refundx.bill_progress() IS
'What the workers of this database do with bills just now: fetching (done: bytes that have come), reading (done: lines)';

CREATE FUNCTION refundx.bill_load(channel text, kind text, day date, file bytea) RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_bill_load';
COMMENT ON FUNCTION refundx.bill_load(text, text, date, bytea) IS
'Loads a channel''s bill by hand: the file as it was downloaded, packed or not. All of it or nothing; its own hash, count and totals must hold. The same content again changes nothing, other content takes the place of what was loaded. Returns the bill''s id. The kinds are in refundx.bill_kinds().
Errors: RX034 the file is not a good bill of this merchant and day, RX035 the day is not over, RX008 no such channel, 22023 no such kind, RX026 inside a handler.';

CREATE FUNCTION refundx.bill_load_file(channel text, kind text, day date, path text) RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_bill_load_file';
COMMENT ON FUNCTION refundx.bill_load_file(text, text, date, text) IS
'As bill_load, from a file on the server (an absolute path). Whoever calls it must have the rights of pg_read_server_files.
Errors: 42501 without that right, RX034 not a good bill, RX035 the day is not over, RX008, 22023, and those of opening a file.';

CREATE FUNCTION refundx.bill_read(bill_id bigint) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_bill_read';
COMMENT ON FUNCTION refundx.bill_read(bigint) IS
'For the clerk: reads a bill that was fetched. A bad file goes to a person, and raises no error; errors are those of the server (disk full)';

-- A day in the channel's own time.
CREATE FUNCTION refundx.bill_day(at timestamptz, utc_offset int) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL UNSAFE
AS $$ SELECT ((at AT TIME ZONE 'UTC') + make_interval(secs => utc_offset))::date $$;
COMMENT ON FUNCTION refundx.bill_day(timestamptz, int) IS 'Which day of a channel''s bills a moment is in; utc_offset in seconds';

-- When the bill of a day is there.
CREATE FUNCTION refundx.bill_ready(day date, utc_offset int, ready_at int) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL UNSAFE
AS $$ SELECT ((day + 1)::timestamp + make_interval(secs => ready_at - utc_offset)) AT TIME ZONE 'UTC' $$;
COMMENT ON FUNCTION refundx.bill_ready(date, int, int) IS 'From when on a channel has the bill of a day; utc_offset and ready_at in seconds';

CREATE FUNCTION refundx.bills_make_due(at timestamptz) RETURNS int
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	n int;
BEGIN
	INSERT INTO refundx.bill_plan (merchant_id, kind)
	SELECT DISTINCT c.merchant_id, k.kind FROM refundx.channel c JOIN refundx.bill_kinds() k ON k.channel_kind = c.kind
	 WHERE NOT c.closed
	ON CONFLICT DO NOTHING;

	-- Found once; looked for every hour until then, because it means reading all that
	-- the merchant has.
	WITH wanted AS (
		-- refunds stand in the ledger of the account that they are paid from, though it may not name them
		SELECT p.merchant_id, p.kind, k.has_transfers, k.utc_offset,
			   k.has_refunds OR k.is_ledger AND (NOT k.has_transfers OR NOT EXISTS (
					SELECT FROM refundx.bill_kinds() o
					 WHERE o.channel_kind = k.channel_kind AND o.is_ledger AND NOT o.has_transfers)) AS has_refunds
		  FROM refundx.bill_plan p
		  JOIN refundx.merchant m USING (merchant_id)
		  JOIN refundx.bill_kinds() k ON k.channel_kind = m.kind AND k.kind = p.kind
		 WHERE p.first_day IS NULL AND (p.looked_at IS NULL OR p.looked_at < at - interval '1 hour')
	), used AS (
		SELECT i.merchant_id, i.kind AS about, min(i.submitted_at) AS first
		  FROM refundx.instruction i WHERE i.merchant_id IN (SELECT w.merchant_id FROM wanted w)
		 GROUP BY 1, 2
	)
	UPDATE refundx.bill_plan p
	   SET looked_at = at,
		   first_day = (SELECT refundx.bill_day(min(u.first), w.utc_offset) FROM used u
						 WHERE u.merchant_id = w.merchant_id
						   AND (w.has_refunds AND u.about = 'refund' OR w.has_transfers AND u.about = 'withdrawal'))
	  FROM wanted w WHERE p.merchant_id = w.merchant_id AND p.kind = w.kind;

	-- Missed days are those that have no row.
	INSERT INTO refundx.bill (channel_id, merchant_id, kind, day, due_at)
	SELECT c.channel_id, p.merchant_id, p.kind, d.day, refundx.bill_ready(d.day, k.utc_offset, k.ready_at)
	  FROM refundx.bill_plan p
	  JOIN refundx.merchant m USING (merchant_id)
	  JOIN refundx.bill_kinds() k ON k.channel_kind = m.kind AND k.kind = p.kind AND k.fetchable
	 CROSS JOIN LATERAL (SELECT min(c.channel_id) AS channel_id FROM refundx.channel c
						  WHERE c.merchant_id = p.merchant_id AND NOT c.closed) c
	 CROSS JOIN LATERAL (SELECT refundx.bill_day(at, k.utc_offset) AS today) t
	 CROSS JOIN LATERAL (
		SELECT s::date AS day
		  FROM generate_series(greatest(coalesce(p.first_day, refundx.bill_day(p.set_at, k.utc_offset)), t.today - k.max_age_days)::timestamp,
							   (t.today - 1)::timestamp, '1 day') s) d
	 WHERE c.channel_id IS NOT NULL AND coalesce(p.wanted, p.first_day IS NOT NULL)
	   AND NOT EXISTS (SELECT FROM refundx.bill b
						WHERE b.merchant_id = p.merchant_id AND b.kind = p.kind AND b.day = d.day AND b.state <> 'superseded')
	ON CONFLICT DO NOTHING;
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END
$$;
COMMENT ON FUNCTION refundx.bills_make_due(timestamptz) IS
'For the clerk: makes a bill due for each merchant, kind and day that is over and has none, from the first refund or withdrawal on that the kind covers, as far back as the channel keeps bills. Returns how many. Errors: none of its own';

CREATE FUNCTION refundx.bills_reconcile(at timestamptz, merchant_id int, day date) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	channel text := (SELECT min(c.name) FROM refundx.bill b JOIN refundx.channel c USING (channel_id)
					  WHERE b.merchant_id = $2 AND b.day = $3 AND b.state IN ('loaded', 'empty'));
BEGIN
	-- it notes which bills it has compared: another may have come meanwhile
	PERFORM FROM refundx.reconcile(channel, $3);
END
$$;
COMMENT ON FUNCTION refundx.bills_reconcile(timestamptz, int, date) IS
'For the clerk: reconciles a merchant''s day with the bills of it that there are; what comes later is another round''s. Errors: those of reconcile';

CREATE FUNCTION refundx.bill_fetch(channel text, kind text, day date, reason text) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	at timestamptz := refundx.desk_now();
	c record;
	k record;
	b refundx.bill;
	id bigint;
BEGIN
	PERFORM refundx.not_in_handler('bill_fetch');
	IF coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	END IF;
	SELECT h.channel_id, h.merchant_id, h.kind, h.closed INTO c FROM refundx.channel h WHERE h.name = bill_fetch.channel;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'channel "%" does not exist', channel USING ERRCODE = 'RX008',
			HINT = 'Configured channels are in the view refundx.channels.';
	ELSIF c.closed THEN
		RAISE EXCEPTION 'channel "%" is closed', channel USING ERRCODE = 'RX018',
			HINT = format('Reopen it with refundx.channel_set(%L, closed => false), or load the file with refundx.bill_load().', channel);
	END IF;
	SELECT * INTO k FROM refundx.bill_kinds() x WHERE x.channel_kind = c.kind AND x.kind = bill_fetch.kind AND x.fetchable;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'no bill of kind "%" can be fetched from channel "%"', kind, channel USING ERRCODE = '22023',
			HINT = 'Kinds: ' || coalesce((SELECT string_agg(x.kind, ', ') FROM refundx.bill_kinds() x WHERE x.channel_kind = c.kind AND x.fetchable), 'none') || '.';
	END IF;
	IF day IS NULL OR NOT isfinite(day) OR day >= refundx.bill_day(at, k.utc_offset) THEN
		RAISE EXCEPTION 'there is no bill for % yet: the day is not over', coalesce(day::text, 'null') USING ERRCODE = 'RX035',
			HINT = 'The day ends at midnight in the channel''s own time zone.';
	ELSIF day < refundx.bill_day(at, k.utc_offset) - k.max_age_days THEN
		RAISE EXCEPTION 'the bill for % is too old: % keeps them for % days', day, k.label, k.max_age_days USING ERRCODE = 'RX035',
			HINT = 'If you have the file, load it with refundx.bill_load().';
	END IF;

	SELECT * INTO b FROM refundx.bill x
	 WHERE x.merchant_id = c.merchant_id AND x.kind = bill_fetch.kind AND x.day = bill_fetch.day AND x.state <> 'superseded'
	 ORDER BY x.again DESC LIMIT 1 FOR UPDATE;
	IF b.state = 'fetched' THEN
		RAISE NOTICE 'it has been fetched, and is about to be read';
		RETURN b.bill_id;
	ELSIF b.state = 'with_person' AND b.size IS NOT NULL THEN
		-- the file that was refused stays, with a row of its own
		UPDATE refundx.bill x SET state = 'superseded', person_reason = NULL, person_suggestion = NULL, person_since = NULL
		 WHERE x.bill_id = b.bill_id;
	ELSIF b.state IN ('due', 'asked', 'empty', 'with_person') THEN
		UPDATE refundx.bill x
		   SET state = 'due', due_at = at, channel_id = c.channel_id, failing_since = NULL, source = 'fetched',
			   person_reason = NULL, person_suggestion = NULL, person_since = NULL
		 WHERE x.bill_id = b.bill_id;
		id := b.bill_id;
	END IF;
	IF id IS NULL THEN
		INSERT INTO refundx.bill (channel_id, merchant_id, kind, day, due_at, again)
		VALUES (c.channel_id, c.merchant_id, bill_fetch.kind, bill_fetch.day, at,
				coalesce(b.state = 'loaded' OR b.again, false))
		RETURNING bill_id INTO id;
	END IF;
	INSERT INTO refundx.audit (action, subject, reason, detail)
	VALUES ('bill_fetch', format('%s/%s/%s', channel, kind, day), reason, jsonb_build_object('bill_id', id));
	PERFORM refundx.desk_wake();
	RETURN id;
END
$$;
COMMENT ON FUNCTION refundx.bill_fetch(text, text, date, text) IS
'Has a day''s bill fetched now: one that waits, that is with a person, or that is loaded already (if what comes then differs, it takes its place). Returns the bill''s id.
Errors: RX035 the day is not over, or too old for the channel, RX008 no such channel, RX018 it is closed, 22023 no such kind, no reason, RX026 inside a handler.';

CREATE FUNCTION refundx.bill_fetch_set(channel text, kind text, wanted boolean, reason text) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	c record;
BEGIN
	PERFORM refundx.not_in_handler('bill_fetch_set');
	IF coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	END IF;
	SELECT h.merchant_id, h.kind INTO c FROM refundx.channel h WHERE h.name = bill_fetch_set.channel;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'channel "%" does not exist', channel USING ERRCODE = 'RX008',
			HINT = 'Configured channels are in the view refundx.channels.';
	END IF;
	PERFORM FROM refundx.bill_kinds() x WHERE x.channel_kind = c.kind AND x.kind = bill_fetch_set.kind AND x.fetchable;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'no bill of kind "%" can be fetched from channel "%"', kind, channel USING ERRCODE = '22023',
			HINT = 'Kinds: ' || coalesce((SELECT string_agg(x.kind, ', ') FROM refundx.bill_kinds() x WHERE x.channel_kind = c.kind AND x.fetchable), 'none') || '.';
	END IF;
	INSERT INTO refundx.bill_plan AS p (merchant_id, kind, wanted, set_at, set_by)
	VALUES (c.merchant_id, bill_fetch_set.kind, bill_fetch_set.wanted, refundx.desk_now(), session_user)
	ON CONFLICT ON CONSTRAINT bill_plan_pkey DO UPDATE
	   SET wanted = excluded.wanted, set_at = excluded.set_at, set_by = excluded.set_by;
	INSERT INTO refundx.audit (action, subject, reason, detail)
	VALUES ('bill_fetch_set', channel || '/' || kind, reason, jsonb_build_object('wanted', wanted));
	RETURN CASE WHEN wanted THEN 'is fetched each day from now on'
				WHEN NOT wanted THEN 'is not fetched any more'
				ELSE 'is fetched if the merchant has made something that it covers' END;
END
$$;
COMMENT ON FUNCTION refundx.bill_fetch_set(text, text, boolean, text) IS
'Whether a kind of bill is fetched by itself for a channel''s merchant: true, false, or null for the default, which is to fetch it once the merchant has made a refund or withdrawal that it covers.
Errors: RX008 no such channel, 22023 no such kind, no reason, RX026 inside a handler.';
