/*
 * The operator's desk: what a named person does about one refund, withdrawal,
 * payment, account, notice or callback, with a reason.  The views are in
 * 66_desk.sql; doc/desk.md is written for those who sit there.
 *
 * All of it goes through desk_run(), which is written once: the reason, the locks
 * (payment, instruction, account, as everywhere), the row before, the act, the row
 * after, the audit log.  What is tried (dry_run), and what a second person has
 * to agree to first, is done by the same act and undone by its subtransaction:
 * there is no second opinion of what would happen.
 *
 * What may be done in which state, the state table says, and its comment is the
 * sentence in which the act is refused.
 */
CREATE TYPE refundx.desk_answer AS (
	action		text,
	subject		text,
	done		boolean,
	request		bigint,
	note		text,
	before		jsonb,
	after		jsonb
);
COMMENT ON TYPE refundx.desk_answer IS 'What an operator''s function has done, or would do (dry_run): the row before and after; amounts in minor units';
COMMENT ON COLUMN refundx.desk_answer.done IS 'False: dry_run, or it waits for a second person';
COMMENT ON COLUMN refundx.desk_answer.request IS 'What a second person confirms: refundx.confirm(request, reason)';
COMMENT ON COLUMN refundx.desk_answer.note IS 'What happens now, in a sentence';

-- What an act is about, and which rows it has locked.
CREATE TYPE refundx.desk_subject AS (
	kind		text,
	id			bigint,
	name		text,
	channel		text,
	payment_id	bigint,
	account_id	bigint,
	amount		bigint,
	currency	text
);
COMMENT ON TYPE refundx.desk_subject IS 'What an operator''s act is about: account_id is the account''s own row; amount in minor units';

-- Who acts, as everywhere: refundx.actor where it is set.
CREATE FUNCTION refundx.desk_person() RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$ SELECT coalesce(refundx.actor(), session_user) $$;
COMMENT ON FUNCTION refundx.desk_person() IS 'Who acts: refundx.actor where it is set, session_user otherwise';

-- The clock that due times and attempts go by.
CREATE FUNCTION refundx.desk_now() RETURNS timestamptz
LANGUAGE sql VOLATILE PARALLEL UNSAFE
AS $$ SELECT clock_timestamp() + current_setting('refundx.clock_offset')::interval $$;
COMMENT ON FUNCTION refundx.desk_now() IS 'Now, by the clock that due times go by (refundx.clock_offset moves the tests'')';

CREATE FUNCTION refundx.desk_wake() RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_desk_wake';
COMMENT ON FUNCTION refundx.desk_wake() IS 'Wakes the workers when this transaction commits';

CREATE FUNCTION refundx.desk_settle(evidence bigint[]) RETURNS int
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_desk_settle';
COMMENT ON FUNCTION refundx.desk_settle(bigint[]) IS
'Weighs evidence in this transaction, as the settler would; returns how many pieces wait because somebody else holds a row';

/*
 * Finds and locks.  A payment's number is its channel's: where two have it, the
 * channel must be said.
 */
CREATE FUNCTION refundx.desk_lock(kind text, name text, channel text) RETURNS refundx.desk_subject
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	s refundx.desk_subject;
	i record;
	n int;
BEGIN
	IF coalesce(name, '') = '' THEN
		RAISE EXCEPTION '% must be given', CASE kind WHEN 'instruction' THEN 'no' ELSE 'name' END USING ERRCODE = '22023';
	END IF;
	s.kind := kind;
	s.name := name;
	IF kind = 'payment' THEN
		SELECT count(*) INTO n FROM refundx.payment p JOIN refundx.channel c USING (channel_id)
		 WHERE p.payment_no = desk_lock.name AND c.name = coalesce(desk_lock.channel, c.name);
		IF n = 0 THEN
			RAISE EXCEPTION 'payment "%" is not known', name USING ERRCODE = 'RX002';
		ELSIF n > 1 THEN
			RAISE EXCEPTION 'payment "%" is of several channels', name USING ERRCODE = '22023',
				HINT = 'Say which: channel => ''...''.';
		END IF;
		SELECT p.payment_id, p.payment_id, p.account_id, p.currency, c.name,
			   p.paid - p.refunded - p.returned - p.elsewhere - p.already_refunded AS amount
		  INTO s.id, s.payment_id, s.account_id, s.currency, s.channel, s.amount
		  FROM refundx.payment p JOIN refundx.channel c USING (channel_id)
		 WHERE p.payment_no = desk_lock.name AND c.name = coalesce(desk_lock.channel, c.name)
		   FOR NO KEY UPDATE OF p;
	ELSIF kind = 'account' THEN
		SELECT a.account_id, a.account_id, a.currency INTO s.id, s.account_id, s.currency
		  FROM refundx.account a WHERE a.account_no = desk_lock.name FOR NO KEY UPDATE;
		IF NOT FOUND THEN
			RAISE EXCEPTION 'account "%" does not exist', name USING ERRCODE = 'RX013';
		END IF;
		SELECT b.available + b.frozen INTO s.amount FROM refundx.desk_balance(s.id) b;
	ELSIF kind IN ('instruction', 'refund', 'withdrawal') THEN
		SELECT p.payment_id INTO s.payment_id
		  FROM refundx.instruction j JOIN refundx.payment p USING (payment_id)
		 WHERE j.instruction_no = desk_lock.name FOR NO KEY UPDATE OF p;
		SELECT j.instruction_id, j.kind, j.amount + j.fee AS amount, j.currency, c.name AS channel, a.own_id
		  INTO i
		  FROM refundx.instruction j
		  JOIN refundx.channel c USING (channel_id)
		  LEFT JOIN refundx.account_name a ON a.account_id = j.account_id
		 WHERE j.instruction_no = desk_lock.name
		   FOR NO KEY UPDATE OF j;
		IF NOT FOUND OR kind NOT IN ('instruction', i.kind) THEN
			RAISE EXCEPTION '% "%" does not exist', CASE kind WHEN 'instruction' THEN 'refund or withdrawal' ELSE kind END, name
				USING ERRCODE = 'RX012';
		END IF;
		s.kind := i.kind;
		s.id := i.instruction_id;
		s.amount := i.amount;
		s.currency := i.currency;
		s.channel := i.channel;
		s.account_id := i.own_id;
	ELSIF kind = 'currency' THEN
		IF name !~ '^[A-Z]{3}$' THEN
			RAISE EXCEPTION '"%" is not an ISO 4217 currency code', name USING ERRCODE = 'RX005', HINT = 'Three capital letters, such as CNY.';
		END IF;
		-- two who set it come one after the other
		PERFORM pg_advisory_xact_lock(hashtext('refundx.second_person'));
		s.currency := name;
	ELSIF kind = 'break' THEN
		s := refundx.break_lock(name::bigint);
	ELSE
		RAISE EXCEPTION 'kind must be payment, account, refund or withdrawal, not "%"', coalesce(kind, '') USING ERRCODE = '22023';
	END IF;
	RETURN s;
END
$$;
COMMENT ON FUNCTION refundx.desk_lock(text, text, text) IS
'Finds and locks what an operator''s act is about.';

CREATE FUNCTION refundx.desk_balance(account_id bigint, OUT available bigint, OUT frozen bigint)
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT least(coalesce(sum(j.available), 0), 9223372036854775807)::bigint,
		   least(coalesce(sum(j.frozen), 0), 9223372036854775807)::bigint
	  FROM refundx.account_name n
	 CROSS JOIN LATERAL (SELECT l.available, l.frozen FROM refundx.journal l WHERE l.account_id = n.account_id
						  ORDER BY l.version DESC LIMIT 1) j
	 WHERE n.own_id = $1
$$;
COMMENT ON FUNCTION refundx.desk_balance(bigint) IS 'What an account has, over its slots; minor units';

-- The row as people are shown it, before and after.
CREATE FUNCTION refundx.desk_row(s refundx.desk_subject) RETURNS jsonb
LANGUAGE sql VOLATILE PARALLEL UNSAFE
AS $$
	SELECT jsonb_strip_nulls(jsonb_build_object(
		s.kind, (SELECT jsonb_build_object('state', i.state, 'amount', i.amount, 'fee', nullif(i.fee, 0), 'currency', i.currency,
					'detail', i.detail, 'attempts', i.attempts, 'due_call', i.due_call, 'due_at', i.due_at,
					'cancel_requested_at', i.cancel_requested_at, 'hold', i.hold, 'with_person', i.person_reason)
				   FROM refundx.instruction i WHERE s.kind IN ('refund', 'withdrawal') AND i.instruction_id = s.id),
		'payment', (SELECT jsonb_build_object('payment_no', p.payment_no, 'paid', p.paid, 'refunding', p.refunding,
					'refunded', p.refunded, 'returned', nullif(p.returned, 0), 'elsewhere', nullif(p.elsewhere, 0), 'hold', p.hold)
				   FROM refundx.payment p WHERE p.payment_id = s.payment_id),
		'account', (SELECT jsonb_build_object('account', a.account_no, 'available', b.available, 'frozen', b.frozen, 'hold', a.hold)
				   FROM refundx.account a, refundx.desk_balance(a.account_id) b WHERE a.account_id = s.account_id),
		'currency', (SELECT jsonb_build_object('above', p.above) FROM refundx.second_person p WHERE s.kind = 'currency' AND p.currency = s.name),
		'break', (SELECT jsonb_build_object('number', b.wire_no, 'class', b.class, 'assigned_to', b.assigned_to, 'closed_how', b.closed_how, 'closed_by', b.closed_by,
					'state', (SELECT i.state FROM refundx.instruction i WHERE i.instruction_id = b.instruction_id))
				   FROM refundx.break b WHERE s.kind = 'break' AND b.break_id = s.id),
		'notice', (SELECT jsonb_build_object('state', n.state, 'tries', n.tries, 'outcome', n.outcome, 'message', n.message)
				   FROM refundx.notice n WHERE s.kind = 'notice' AND n.notice_id = s.id),
		'external', (SELECT jsonb_build_object('wire_no', x.wire_no, 'amount', x.amount, 'counted', x.counted, 'ignored_by', x.ignored_by)
				   FROM refundx.external_refund x WHERE s.kind LIKE 'external %' AND x.external_id = s.id)))
$$;
COMMENT ON FUNCTION refundx.desk_row(refundx.desk_subject) IS 'What an operator''s act is about, as it is now; amounts in minor units';

/* ------------------------------------------------------------------------
 * The acts.  Each returns what happens now, in a sentence.
 * ------------------------------------------------------------------------
 */
CREATE FUNCTION refundx.desk_event(s refundx.desk_subject, type text, note text) RETURNS void
LANGUAGE sql VOLATILE PARALLEL UNSAFE
AS $$
	INSERT INTO refundx.event (instruction_id, type, from_state, to_state, actor, note)
	SELECT i.instruction_id, $2, i.state, i.state,
		   CASE WHEN refundx.actor() IS NULL THEN session_user ELSE format('%s, as %s', refundx.actor(), session_user) END, $3
	  FROM refundx.instruction i WHERE i.instruction_id = s.id
$$;
COMMENT ON FUNCTION refundx.desk_event(refundx.desk_subject, text, text) IS 'An event of a refund or withdrawal that changes no state';

CREATE FUNCTION refundx.desk_hold(s refundx.desk_subject, reason text) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	i refundx.instruction;
	was text;
BEGIN
	IF s.kind = 'payment' THEN
		SELECT p.hold INTO was FROM refundx.payment p WHERE p.payment_id = s.id;
	ELSIF s.kind = 'account' THEN
		SELECT a.hold INTO was FROM refundx.account a WHERE a.account_id = s.id;
	ELSE
		SELECT * INTO i FROM refundx.instruction j WHERE j.instruction_id = s.id;
		was := i.hold;
		IF was IS NULL AND NOT i.is_open THEN
			RAISE EXCEPTION '% "%" is %, and nothing of it is sent any more', s.kind, s.name, i.state USING ERRCODE = 'RX006';
		END IF;
	END IF;
	IF was IS NOT NULL THEN
		RAISE EXCEPTION '% "%" is on hold already: %', s.kind, s.name, was USING ERRCODE = 'RX006';
	END IF;
	IF s.kind = 'payment' THEN
		UPDATE refundx.payment SET hold = desk_hold.reason, hold_since = clock_timestamp(), hold_by = refundx.desk_person()
		 WHERE payment_id = s.id;
		RETURN 'No refund of it is accepted, sent or canceled until refundx.release(); what was sent is asked about as before.';
	ELSIF s.kind = 'account' THEN
		UPDATE refundx.account SET hold = desk_hold.reason, hold_since = clock_timestamp(), hold_by = refundx.desk_person()
		 WHERE account_id = s.id;
		RETURN 'Nothing is taken from it until refundx.release(); what is open is still settled.';
	END IF;
	UPDATE refundx.instruction SET hold = desk_hold.reason, hold_since = clock_timestamp(), hold_by = refundx.desk_person()
	 WHERE instruction_id = s.id;
	PERFORM refundx.desk_event(s, 'held', reason);
	RETURN CASE i.state WHEN 'sending' THEN 'It is on its way at this moment; it is not sent again until refundx.release().'
						ELSE 'It is not sent until refundx.release(); what was sent is asked about as before.' END;
END
$$;
COMMENT ON FUNCTION refundx.desk_hold(refundx.desk_subject, text) IS 'Places a hold.';

-- Refunds and withdrawals of a payment or account that evidence contradicts.
CREATE FUNCTION refundx.desk_contradicted(payment_id bigint, account_id bigint) RETURNS SETOF refundx.instruction
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$
	SELECT i.* FROM refundx.instruction i
	 WHERE i.person_since IS NOT NULL
	   AND (i.payment_id = $1
			OR i.account_id IN (SELECT n.account_id FROM refundx.account_name n WHERE n.own_id = $2))
	   AND (SELECT max(x.seq) FROM refundx.event x WHERE x.instruction_id = i.instruction_id AND x.type = 'contradiction')
		   > coalesce((SELECT max(r.seq) FROM refundx.event r WHERE r.instruction_id = i.instruction_id AND r.type = 'resolved'), 0)
	 ORDER BY i.person_since, i.instruction_id
$$;
COMMENT ON FUNCTION refundx.desk_contradicted(bigint, bigint) IS 'What of a payment, or of an account, evidence contradicts and nobody has resolved';

CREATE FUNCTION refundx.desk_release(s refundx.desk_subject, reason text) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	i refundx.instruction;
	c refundx.instruction;
	was text;
	placed_by text;
BEGIN
	IF s.kind = 'payment' THEN
		SELECT p.hold, p.hold_by INTO was, placed_by FROM refundx.payment p WHERE p.payment_id = s.id;
		SELECT * INTO c FROM refundx.desk_contradicted(s.id, NULL) LIMIT 1;
	ELSIF s.kind = 'account' THEN
		SELECT a.hold, a.hold_by INTO was, placed_by FROM refundx.account a WHERE a.account_id = s.id;
		SELECT * INTO c FROM refundx.desk_contradicted(NULL, s.id) LIMIT 1;
	ELSE
		SELECT * INTO i FROM refundx.instruction j WHERE j.instruction_id = s.id;
		was := i.hold;
		placed_by := i.hold_by;
	END IF;
	IF was IS NULL THEN
		RAISE EXCEPTION '% "%" is not on hold', s.kind, s.name USING ERRCODE = 'RX006';
	ELSIF placed_by = 'contradiction' AND c.instruction_id IS NOT NULL AND NOT c.is_open THEN
		RAISE EXCEPTION '% "%" is on hold because of % "%", which is %, and the channel says otherwise', s.kind, s.name, c.kind, c.instruction_no, c.state
			USING ERRCODE = 'RX006', DETAIL = was,
			HINT = format('Resolve that, which lifts the hold: SELECT * FROM refundx.resolve(%L, outcome, evidence, reason).', c.instruction_no);
	ELSIF placed_by = 'resolve' THEN
		RAISE EXCEPTION '% "%" is being resolved', s.kind, s.name USING ERRCODE = 'RX006', DETAIL = was,
			HINT = 'refundx.confirm() or refundx.decline() of the request that refundx.operator_requests shows.';
	ELSIF placed_by = 'unproven' THEN
		RAISE EXCEPTION '% "%" was ended without proof that it was not paid, and is not sent again', s.kind, s.name
			USING ERRCODE = 'RX006', DETAIL = was, HINT = 'The channel''s own word that its number is dead ends this by itself.';
	END IF;
	IF c.is_open THEN
		-- the channel has said something of a number that it had before, and it goes on all the same
		UPDATE refundx.instruction SET person_reason = NULL, person_suggestion = NULL, person_since = NULL
		 WHERE instruction_id = c.instruction_id;
		INSERT INTO refundx.event (instruction_id, type, from_state, to_state, actor, note)
		VALUES (c.instruction_id, 'resolved', c.state, c.state, refundx.desk_person(), reason);
		SELECT * INTO c FROM refundx.desk_contradicted(CASE s.kind WHEN 'payment' THEN s.id END, CASE s.kind WHEN 'account' THEN s.id END) LIMIT 1;
	END IF;
	-- what came to it meanwhile, and found it on hold already, holds it now
	was := c.person_reason;
	placed_by := CASE WHEN was IS NOT NULL THEN 'contradiction' END;
	IF s.kind = 'payment' THEN
		UPDATE refundx.payment SET hold = was, hold_since = c.person_since, hold_by = placed_by WHERE payment_id = s.id;
	ELSIF s.kind = 'account' THEN
		UPDATE refundx.account SET hold = was, hold_since = c.person_since, hold_by = placed_by WHERE account_id = s.id;
	ELSE
		UPDATE refundx.instruction SET hold = NULL, hold_since = NULL, hold_by = NULL WHERE instruction_id = s.id;
		PERFORM refundx.desk_event(s, 'released', reason);
	END IF;
	RETURN CASE WHEN was IS NULL THEN 'It goes on where it was.'
				ELSE format('It stays on hold, for the channel contradicts %s "%s".', c.kind, c.instruction_no) END;
END
$$;
COMMENT ON FUNCTION refundx.desk_release(refundx.desk_subject, text) IS 'Lifts a hold.';

CREATE FUNCTION refundx.desk_query_now(s refundx.desk_subject, reason text) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	i refundx.instruction;
BEGIN
	SELECT * INTO i FROM refundx.instruction j WHERE j.instruction_id = s.id;
	IF i.state = 'sending' THEN
		RAISE EXCEPTION '% "%" is on its way at this moment', s.kind, s.name USING ERRCODE = 'RX006',
			DETAIL = 'One call at a time: its own answer comes first, and what that leaves open is asked about by itself.';
	ELSIF i.due_call = 'cancel' THEN
		RAISE EXCEPTION '% "%" is about to be asked back', s.kind, s.name USING ERRCODE = 'RX006',
			DETAIL = 'A query follows that by itself.';
	END IF;
	UPDATE refundx.instruction j
	   SET due_at = refundx.desk_now(), due_call = 'query', polls = CASE WHEN j.is_open THEN 0 ELSE j.polls END
	 WHERE j.instruction_id = s.id;
	PERFORM refundx.desk_event(s, 'asked', reason);
	RETURN 'The channel is asked now; the answer is in refundx.evidence_log, and is settled by itself.';
END
$$;
COMMENT ON FUNCTION refundx.desk_query_now(refundx.desk_subject, text) IS 'Makes a query due.';

CREATE FUNCTION refundx.desk_retry(s refundx.desk_subject, reason text) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	i refundx.instruction;
	t record;
	held text;
BEGIN
	SELECT * INTO i FROM refundx.instruction j WHERE j.instruction_id = s.id;
	SELECT reaction, comment INTO t FROM refundx.state_table() WHERE from_state = i.state AND input = 'claim';
	IF t.reaction = 'refuse' AND i.state <> 'unknown' THEN
		RAISE EXCEPTION '% "%" cannot be sent again: it is %', s.kind, s.name, i.state USING ERRCODE = 'RX006',
			DETAIL = 'State table: ' || t.comment || '.';
	ELSIF i.cancel_requested_at IS NOT NULL THEN
		RAISE EXCEPTION '% "%" cannot be sent again: it is to be canceled', s.kind, s.name USING ERRCODE = 'RX006',
			HINT = 'If the channel does not know it, refundx.resolve() ends it.';
	ELSIF NOT i.may_send THEN
		RAISE EXCEPTION '% "%" is not sent from here: the channel was told of it by somebody else', s.kind, s.name USING ERRCODE = 'RX006',
			HINT = CASE s.kind WHEN 'refund' THEN 'refundx.refund_allow() lets it be sent, if the channel does not know it.'
							   ELSE 'refundx.resolve() ends it.' END;
	END IF;
	SELECT concat_ws('; ', i.hold, (SELECT p.hold FROM refundx.payment p WHERE p.payment_id = s.payment_id),
					 (SELECT a.hold FROM refundx.account a WHERE a.account_id = s.account_id AND s.kind = 'withdrawal')) INTO held;
	IF held <> '' THEN
		RAISE EXCEPTION '% "%" cannot be sent: on hold', s.kind, s.name USING ERRCODE = 'RX007', DETAIL = held,
			HINT = 'refundx.release() lifts a hold.';
	END IF;
	UPDATE refundx.instruction j
	   SET due_at = refundx.desk_now(), due_call = CASE WHEN i.state = 'unknown' THEN 'query' ELSE coalesce(j.due_call, 'submit') END,
		   polls = 0, person_reason = NULL, person_suggestion = NULL, person_since = NULL
	 WHERE j.instruction_id = s.id;
	PERFORM refundx.desk_event(s, 'retried', reason);
	RETURN CASE WHEN i.state = 'unknown' OR i.due_call = 'query'
				THEN 'The channel is asked first, and it is sent again, with the same number, if the channel does not know it.'
				ELSE 'It is sent now, with the same number.' END
		|| coalesce((SELECT format(' But the merchant''s %ss are paused (%s): one of them tries when that is due.', m.about, m.paused)
					   FROM refundx.merchant_paused m WHERE m.merchant_id = i.merchant_id AND m.about = i.kind), '');
END
$$;
COMMENT ON FUNCTION refundx.desk_retry(refundx.desk_subject, text) IS 'Makes the next attempt due.';

/*
 * A callback was weighed once, and that stays.  Weighed again is a copy of it, with
 * a digest of its own: what it comes to is another event.
 */
CREATE FUNCTION refundx.desk_replay(s refundx.desk_subject, evidence bigint[], reason text) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	copies bigint[];
	waiting int;
	came_to text;
BEGIN
	WITH copy AS (
		INSERT INTO refundx.evidence (channel_id, merchant_id, source, about, digest, verdict, proof, wire_no, http_status,
			   code, message, detail, merchant_no, payment_no, channel_payment_id, channel_refund_id, amount, payer_amount,
			   currency, occurred_at, received_at, handover)
		SELECT e.channel_id, e.merchant_id, e.source, e.about,
			   sha256(convert_to(format('replay of %s, %s', e.evidence_id, gen_random_uuid()), 'UTF8')),
			   e.verdict, e.proof, e.wire_no, e.http_status, e.code, format('evidence %s again: %s', e.evidence_id, reason), e.detail,
			   e.merchant_no, e.payment_no, e.channel_payment_id, e.channel_refund_id, e.amount, e.payer_amount,
			   e.currency, e.occurred_at, refundx.desk_now(), e.handover
		  FROM refundx.evidence e WHERE e.evidence_id = ANY (evidence)
		 ORDER BY e.evidence_id
		RETURNING evidence_id)
	SELECT array_agg(evidence_id ORDER BY evidence_id) INTO copies FROM copy;
	waiting := refundx.desk_settle(copies);
	SELECT string_agg(format('%s (%s)', x.type, x.note), '; ' ORDER BY x.seq) INTO came_to
	  FROM refundx.event x WHERE x.evidence_id = ANY (copies);
	RETURN concat_ws(' ', 'It came to: ' || came_to || '.',
					 CASE WHEN EXISTS (SELECT FROM refundx.handed h WHERE h.evidence_id = ANY (copies)) THEN 'The runner settles it, with the application''s handler.' END,
					 CASE WHEN waiting > 0 THEN 'Somebody else holds a row: the settler comes back to it.' END);
END
$$;
COMMENT ON FUNCTION refundx.desk_replay(refundx.desk_subject, bigint[], text) IS 'Weighs callbacks again, as copies';

CREATE FUNCTION refundx.desk_resend(s refundx.desk_subject, reason text) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	n refundx.notice;
BEGIN
	SELECT * INTO n FROM refundx.notice m WHERE m.notice_id = s.id;
	IF n.is_open THEN
		RAISE EXCEPTION 'notice % is % already', n.notice_id, n.state USING ERRCODE = 'RX006';
	ELSIF n.state = 'sent' THEN
		RAISE EXCEPTION 'notice % was sent', n.notice_id USING ERRCODE = 'RX006',
			DETAIL = format('The provider took it at %s; what happened to it after that, only the provider knows.', n.done_at);
	ELSIF NOT EXISTS (SELECT FROM refundx.instruction i
					   WHERE i.instruction_id = n.instruction_id
						 AND (EXISTS (SELECT FROM refundx.payment_contact c WHERE c.payment_id = i.payment_id)
							  OR EXISTS (SELECT FROM refundx.payout_contact c WHERE c.instruction_id = i.instruction_id))) THEN
		RAISE EXCEPTION 'notice % cannot be sent: the telephone number has been erased', n.notice_id USING ERRCODE = 'RX006';
	ELSIF NOT EXISTS (SELECT FROM refundx.notice_provider p WHERE p.name = n.provider) THEN
		RAISE EXCEPTION 'notice % cannot be sent: there is no SMS provider "%"', n.notice_id, n.provider USING ERRCODE = 'RX011';
	END IF;
	-- as if it had just been written: that is how the courier sees it
	UPDATE refundx.notice m
	   SET state = 'queued', xid = pg_current_xact_id(), next_at = refundx.desk_now(), tries = 0,
		   outcome = NULL, code = NULL, message = NULL, done_at = NULL
	 WHERE m.notice_id = s.id;
	RETURN CASE n.state WHEN 'failed' THEN 'It is sent now.'
						ELSE 'It is sent now. It may have been sent before, and be read twice.' END;
END
$$;
COMMENT ON FUNCTION refundx.desk_resend(refundx.desk_subject, text) IS 'Queues a notice again.';

CREATE FUNCTION refundx.desk_ignore(s refundx.desk_subject, reason text) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
BEGIN
	UPDATE refundx.external_refund x SET ignored_at = clock_timestamp(), ignored_by = refundx.desk_person()
	 WHERE x.external_id = s.id AND x.ignored_at IS NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION '% "%" is explained already', s.kind, s.name USING ERRCODE = 'RX006';
	END IF;
	RETURN 'It is off the desk; what it has taken of its payment stays taken.';
END
$$;
COMMENT ON FUNCTION refundx.desk_ignore(refundx.desk_subject, text) IS 'Takes an external refund off the desk.';
