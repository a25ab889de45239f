/*
 * Resolving: a named operator says what became of a refund or withdrawal.
 *
 * An operator's word is evidence (source "operator"), with what was seen as its
 * message, and the settle function weighs it in the operator's own session, under
 * the same locks as a callback: of the two, whoever comes first moves the money, and
 * the other is weighed against what is then there.
 *
 * To say that it was *paid*, or came back, a reason and what was seen suffice: it
 * releases nothing that the channel may still pay.
 *
 * To say that it was *not paid*, of what was ever sent or what the channel has spoken
 * of as paid, they do not (fault 36).  So it is done in two steps.
 *
 *	1. resolve() stops it (it is not sent again), makes a query due and writes
 *	   down a request.  Nothing else happens, however long that takes.
 *	2. confirm(), by another person, looks at what was answered to queries that
 *	   began after that moment.  None: not yet.  One that speaks of it as
 *	   accepted or paid: refused.  Otherwise it is ended, its money released.
 *
 * The settler does nothing of this by itself: the moment in which money is released
 * without the channel's word is a person's.  Where the query brings the channel's own
 * word that the number is dead, the settler ends it as it always does, and nothing
 * is left to confirm.
 *
 * What was ended so is held for ever ("unproven"): no reissue, and it is asked about
 * until the channel's memory ends.  A late success is a contradiction; a late word
 * that it is dead is the proof that was missing, and lifts the hold.
 */
CREATE FUNCTION refundx.desk_gather(account_id bigint, slot_id bigint, amount bigint) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_desk_gather';
COMMENT ON FUNCTION refundx.desk_gather(bigint, bigint, bigint) IS 'Moves what a slot lacks of the amount (minor units) into it from its account''s other slots, all of which are locked';

CREATE FUNCTION refundx.desk_suspense_in(account_id bigint, amount bigint, reference text, note text) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_desk_suspense_in';
COMMENT ON FUNCTION refundx.desk_suspense_in(bigint, bigint, text, text) IS 'Posts an amount (minor units) to a suspense account';

/*
 * The merchant's suspense account in a currency, made when it is first needed.  It
 * is closed to everybody: only resolving takes from it, only suspense_settle() puts
 * something in.
 */
CREATE FUNCTION refundx.desk_suspense(i refundx.instruction) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	id bigint;
BEGIN
	INSERT INTO refundx.account (account_no, currency, suspense_of, closed)
	SELECT format('suspense of %s %s, %s', m.kind, m.merchant_no, i.currency), i.currency, m.merchant_id,
		   'a suspense account: refundx.suspense_settle() puts money on it'
	  FROM refundx.merchant m WHERE m.merchant_id = i.merchant_id
	ON CONFLICT (suspense_of, currency) DO NOTHING;
	SELECT a.account_id INTO STRICT id FROM refundx.account a
	 WHERE a.suspense_of = i.merchant_id AND a.currency = i.currency;
	RETURN id;
END
$$;
COMMENT ON FUNCTION refundx.desk_suspense(refundx.instruction) IS 'The suspense account of an instruction''s merchant, in its currency';

/*
 * The accounts that settling may move, with whoever has them waited for: the settle
 * function passes over what somebody else holds.
 */
CREATE FUNCTION refundx.desk_lock_accounts(s refundx.desk_subject, i refundx.instruction, late boolean) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	capped bigint := (SELECT o.account_id FROM refundx.payout o WHERE o.instruction_id = i.instruction_id AND o.capped_on IS NOT NULL);
	has bigint;
	suspense bigint;
BEGIN
	-- as callers do: an account's own row first, then its slots
	PERFORM FROM refundx.account a
	 WHERE a.account_id IN (s.account_id, i.account_id, capped)
		OR late AND a.slot_of = s.account_id
	 ORDER BY a.slot FOR NO KEY UPDATE;
	IF NOT late OR i.account_id IS NULL THEN
		RETURN;
	END IF;
	SELECT b.available INTO has FROM refundx.desk_balance(s.account_id) b;
	-- where a handler follows, the runner settles it, when there may be less
	IF has < i.amount + i.fee OR EXISTS (SELECT FROM refundx.handler) THEN
		suspense := refundx.desk_suspense(i);
		PERFORM FROM refundx.account a WHERE a.account_id = suspense FOR NO KEY UPDATE;
	END IF;
	PERFORM refundx.desk_gather(s.account_id, i.account_id, least(i.amount + i.fee, has));
END
$$;
COMMENT ON FUNCTION refundx.desk_lock_accounts(refundx.desk_subject, refundx.instruction, boolean) IS 'Locks the accounts that resolving moves';

-- Whether the channel may have seen its number: by an attempt, or by somebody else.
CREATE FUNCTION refundx.desk_ever_sent(i refundx.instruction) RETURNS boolean
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$
	SELECT i.attempts > 0 OR i.unexplained > 0 OR i.first_attempt_at IS NOT NULL OR NOT i.may_send
		OR refundx.recovery_asks(i.instruction_id, i.merchant_id)
		OR EXISTS (SELECT FROM refundx.attempt a WHERE a.instruction_id = i.instruction_id AND a.call = 'submit')
$$;
COMMENT ON FUNCTION refundx.desk_ever_sent(refundx.instruction) IS 'Whether its channel may know of it';

-- What was answered since it was asked for: nothing yet, or against it, is an error.
CREATE FUNCTION refundx.desk_queried(s refundx.desk_subject, i refundx.instruction, since timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	e record;
	last text;
BEGIN
	FOR e IN
		SELECT v.evidence_id, v.verdict, v.code FROM refundx.evidence v
		 WHERE v.merchant_id = i.merchant_id AND v.wire_no = i.wire_no AND v.about = i.kind
		   AND v.source = 'query' AND v.attempt_started_at >= since
		 ORDER BY v.evidence_id
	LOOP
		IF e.verdict IN ('accepted', 'succeeded', 'abnormal', 'returned') THEN
			RAISE EXCEPTION '% "%" cannot be ended without payment: asked since, the channel says "%"', s.kind, s.name, e.verdict
				USING ERRCODE = 'RX028', DETAIL = concat_ws(', ', 'evidence ' || e.evidence_id, e.code),
				HINT = 'refundx.decline() the request; what the channel said is settled by itself.';
		ELSIF e.verdict IN ('not_found', 'refused', 'dead', 'canceled', 'reversed') THEN
			last := 'good';
		ELSIF last IS DISTINCT FROM 'good' THEN
			last := concat_ws(', ', e.verdict, e.code);
		END IF;
	END LOOP;
	IF last IS DISTINCT FROM 'good' THEN
		RAISE EXCEPTION '% "%" cannot be ended without payment yet: the channel has not answered a query that began after %', s.kind, s.name, since
			USING ERRCODE = 'RX028',
			DETAIL = CASE WHEN last IS NULL THEN 'It has been asked for, and none has been answered.'
						  ELSE format('Its last answer tells nothing: %s.', last) END,
			HINT = format('Try again in a while; SELECT * FROM refundx.query_now(%L, reason) asks once more.', s.name);
	END IF;
END
$$;
COMMENT ON FUNCTION refundx.desk_queried(refundx.desk_subject, refundx.instruction, timestamptz) IS 'Error unless a query since then was answered, and none contradicts';

/*
 * What a contradiction has put on hold is free again, unless another contradiction
 * of the same payment or account is open, or more has been paid than there was.
 */
CREATE FUNCTION refundx.desk_unhold(s refundx.desk_subject, overpaid_before bigint) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	p refundx.payment;
	other refundx.instruction;
	said text[] := '{}';
BEGIN
	SELECT * INTO p FROM refundx.payment q WHERE q.payment_id = s.payment_id;
	IF p.overpaid > overpaid_before THEN
		said := said || format('More of the payment is refunded than was paid, by %s: it stays on hold.', refundx.format_amount(p.overpaid, p.currency));
	ELSIF p.hold_by = 'contradiction' THEN
		SELECT * INTO other FROM refundx.desk_contradicted(p.payment_id, NULL) LIMIT 1;
		UPDATE refundx.payment q
		   SET hold = other.person_reason, hold_since = other.person_since, hold_by = CASE WHEN other.person_reason IS NOT NULL THEN 'contradiction' END
		 WHERE q.payment_id = p.payment_id;
		said := said || CASE WHEN other.instruction_id IS NULL THEN 'Its payment is free again.'
							 ELSE format('Its payment stays on hold because of %s "%s".', other.kind, other.instruction_no) END;
	END IF;
	IF EXISTS (SELECT FROM refundx.account a WHERE a.account_id = s.account_id AND a.hold_by = 'contradiction') THEN
		SELECT * INTO other FROM refundx.desk_contradicted(NULL, s.account_id) LIMIT 1;
		UPDATE refundx.account a
		   SET hold = other.person_reason, hold_since = other.person_since, hold_by = CASE WHEN other.person_reason IS NOT NULL THEN 'contradiction' END
		 WHERE a.account_id = s.account_id;
		said := said || CASE WHEN other.instruction_id IS NULL THEN 'Its account is free again.'
							 ELSE format('Its account stays on hold because of %s "%s".', other.kind, other.instruction_no) END;
	END IF;
	RETURN array_to_string(said, ' ');
END
$$;
COMMENT ON FUNCTION refundx.desk_unhold(refundx.desk_subject, bigint) IS 'Lifts what a contradiction has put on hold, where nothing else keeps it';

-- What a person has said, as evidence; weighed at once.  False if an application's
-- handler follows: then the runner settles it, with the handler.
CREATE FUNCTION refundx.desk_say(s refundx.desk_subject, i refundx.instruction, verdict text, seen text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	id bigint;
BEGIN
	INSERT INTO refundx.evidence (channel_id, merchant_id, source, about, digest, verdict, proof, wire_no, code, message, received_at)
	VALUES (i.channel_id, i.merchant_id, 'operator', i.kind, sha256(convert_to('operator ' || gen_random_uuid(), 'UTF8')), verdict, true,
			i.wire_no, 'operator', format('%s: %s', refundx.desk_person(), seen), refundx.desk_now())
	RETURNING evidence_id INTO id;
	IF refundx.desk_settle(ARRAY[id]) > 0 THEN
		RAISE EXCEPTION 'somebody else holds a row of % "%"', s.kind, s.name USING ERRCODE = '55P03', HINT = 'Try again.';
	END IF;
	RETURN NOT EXISTS (SELECT FROM refundx.handed h WHERE h.evidence_id = id);
END
$$;
COMMENT ON FUNCTION refundx.desk_say(refundx.desk_subject, refundx.instruction, text, text) IS 'Keeps an operator''s word as evidence, and settles it';

CREATE FUNCTION refundx.desk_resolve(s refundx.desk_subject, arguments jsonb, reason text, confirms refundx.operator_request,
	OUT note text, OUT waits text, OUT incident text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	outcome constant text := arguments->>'outcome';
	unpaid constant boolean := outcome IN ('failed', 'canceled');
	i refundx.instruction;
	t record;
	known bigint[];
	overpaid bigint;
	suspense bigint;
	unproven boolean;
	settled boolean := true;
	doubted boolean;	-- evidence contradicts that it was not paid
BEGIN
	-- what has arrived and nobody has weighed comes first
	SELECT * INTO i FROM refundx.instruction j WHERE j.instruction_id = s.id;
	PERFORM refundx.desk_lock_accounts(s, i, false);
	SELECT array_agg(e.evidence_id ORDER BY e.evidence_id) INTO known FROM refundx.evidence e
	 WHERE e.merchant_id = i.merchant_id AND e.wire_no = i.wire_no AND e.about = i.kind
	   AND NOT EXISTS (SELECT FROM refundx.event x WHERE x.evidence_id = e.evidence_id);
	IF known IS NOT NULL THEN
		PERFORM refundx.desk_settle(known);
		SELECT * INTO i FROM refundx.instruction j WHERE j.instruction_id = s.id;
	END IF;
	IF EXISTS (SELECT FROM refundx.handed h WHERE h.instruction_id = i.instruction_id) THEN
		RAISE EXCEPTION 'what became of % "%" is known, and waits for a handler of the application', s.kind, s.name USING ERRCODE = 'RX006',
			HINT = 'If that fails, refundx.desk says why: mend it and call handler_retry(), or handler_waive().';
	END IF;

	SELECT reaction, to_state, comment INTO t FROM refundx.state_table() WHERE from_state = i.state AND input = 'resolve_' || outcome;
	IF t.reaction = 'refuse' THEN
		RAISE EXCEPTION '% "%" is %, and cannot be resolved as %', s.kind, s.name, i.state, outcome USING ERRCODE = 'RX006',
			DETAIL = 'State table: ' || t.comment || '.';
	ELSIF t.reaction = 'stay' AND i.person_since IS NULL AND confirms.request_id IS NULL THEN
		RAISE EXCEPTION '% "%" is % already, and nobody doubts it', s.kind, s.name, i.state USING ERRCODE = 'RX006';
	END IF;

	doubted := t.reaction = 'stay' AND EXISTS (SELECT FROM refundx.desk_contradicted(i.payment_id, s.account_id) c WHERE c.instruction_id = i.instruction_id);
	IF unpaid AND (doubted OR t.reaction = 'move' AND i.state <> 'stopped' AND refundx.desk_ever_sent(i)) THEN
		IF confirms.request_id IS NULL THEN
			UPDATE refundx.instruction j
			   SET hold = coalesce(j.hold, format('an operator is resolving it as %s: %s', outcome, desk_resolve.reason)),
				   hold_since = coalesce(j.hold_since, clock_timestamp()), hold_by = coalesce(j.hold_by, 'resolve'),
				   due_at = refundx.desk_now(), due_call = 'query', polls = 0
			 WHERE j.instruction_id = s.id;
			PERFORM refundx.desk_event(s, 'resolving', format('as %s: %s', outcome, arguments->>'evidence'));
			waits := CASE WHEN doubted THEN 'the channel has said otherwise' ELSE 'it was sent, and nothing proves that it was not paid' END;
			note := format('It is not sent again, and the channel is asked now. Once that is answered, another person ends it as %s by refundx.confirm(); nothing is released before.', outcome);
			RETURN;
		END IF;
		PERFORM refundx.desk_queried(s, i, confirms.asked_at);
		unproven := true;
		UPDATE refundx.instruction j
		   SET hold = format('resolved as %s without proof that it was not paid', outcome), hold_since = clock_timestamp(), hold_by = 'unproven',
			   due_at = refundx.desk_now(), due_call = 'query'
		 WHERE j.instruction_id = s.id;
	END IF;

	SELECT p.overpaid INTO overpaid FROM refundx.payment p WHERE p.payment_id = s.payment_id;
	IF t.reaction = 'move' THEN
		IF i.state IN ('failed', 'canceled') THEN
			PERFORM refundx.desk_lock_accounts(s, i, true);
		END IF;
		settled := refundx.desk_say(s, i, CASE outcome WHEN 'failed' THEN 'refused' ELSE outcome END, arguments->>'evidence');
		IF settled AND NOT EXISTS (SELECT FROM refundx.instruction j WHERE j.instruction_id = s.id AND j.state = t.to_state) THEN
			RAISE EXCEPTION '% "%" did not become %', s.kind, s.name, t.to_state;
		END IF;
	END IF;
	UPDATE refundx.instruction j
	   SET person_reason = NULL, person_suggestion = NULL, person_since = NULL,
		   hold = CASE WHEN j.hold_by = 'unproven' AND unpaid THEN j.hold END,
		   hold_since = CASE WHEN j.hold_by = 'unproven' AND unpaid THEN j.hold_since END,
		   hold_by = CASE WHEN j.hold_by = 'unproven' AND unpaid THEN j.hold_by END
	 WHERE j.instruction_id = s.id;
	PERFORM refundx.desk_event(s, 'resolved', format('as %s: %s', outcome, arguments->>'evidence'));
	SELECT -sum(l.d_available) INTO suspense FROM refundx.journal l WHERE l.instruction_id = s.id AND l.type = 'suspense';
	IF i.state IN ('failed', 'canceled') AND t.reaction = 'move' THEN
		incident := 'it was paid after its money had been released';
	ELSIF unproven THEN
		incident := 'it was ended without proof that it was not paid';
	END IF;
	note := concat_ws(' ',
		CASE WHEN t.reaction = 'stay' THEN format('It stays %s, confirmed.', i.state) 
			 WHEN NOT settled THEN format('It becomes %s as soon as the application''s handler has followed.', t.to_state)
			 ELSE format('It is %s.', t.to_state) END,
		CASE WHEN unproven THEN 'Without proof: it is never sent or reissued, and is asked about until the channel''s memory ends.' END,
		CASE WHEN i.state IN ('failed', 'canceled') AND suspense > 0
			 THEN format('The account did not have all of it: %s is on the merchant''s suspense account.', refundx.format_amount(suspense, i.currency)) END,
		nullif(refundx.desk_unhold(s, overpaid), ''));
END
$$;
COMMENT ON FUNCTION refundx.desk_resolve(refundx.desk_subject, jsonb, text, refundx.operator_request) IS 'Resolves, or says what has to happen before';

CREATE FUNCTION refundx.resolve(no text, outcome text, evidence text, reason text, dry_run boolean DEFAULT false)
RETURNS refundx.desk_answer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM refundx.desk_reason(reason);
	IF outcome IS NULL OR outcome NOT IN ('succeeded', 'failed', 'canceled', 'returned') THEN
		RAISE EXCEPTION 'outcome must be succeeded, failed, canceled or returned, not "%"', coalesce(outcome, '') USING ERRCODE = '22023';
	ELSIF coalesce(btrim(evidence), '') = '' OR length(evidence) > 1000 THEN
		RAISE EXCEPTION 'evidence must be given, in at most 1000 characters' USING ERRCODE = '22023',
			HINT = 'What you have seen, and where: the channel''s console, a statement, a letter.';
	END IF;
	RETURN refundx.desk_run('resolve', refundx.desk_lock('instruction', no, NULL),
							jsonb_build_object('outcome', outcome, 'evidence', evidence), reason, dry_run);
END
$$;
COMMENT ON FUNCTION refundx.resolve(text, text, text, text, boolean) IS
'Says what became of a refund or withdrawal, as an operator has found out: outcome is succeeded, failed, canceled or returned; evidence is what was seen, and where. It is kept as evidence, and settled like the channel''s. What is contradicted is resolved by its true outcome, also the one that it has; that lifts the holds.
failed or canceled, of what was ever sent, is not done at once: it is not sent again, the channel is asked, and another person confirms once that is answered and does not contradict (refundx.confirm). It is then never reissued, and still asked about until the channel''s memory ends.
succeeded, of what has failed or was canceled: the amount is taken from what the account has available, the rest from the merchant''s suspense account, which may go below zero.
Above an amount a second person has to confirm (second_person_set). dry_run => true says what would happen, and changes nothing. Kept in the audit log with the reason.
Errors: RX006 the state table does not allow it, or a request waits already, RX012 unknown refund or withdrawal, 55P03 somebody else holds a row, 22023 no reason or no evidence.';

CREATE FUNCTION refundx.desk_suspense_settle(s refundx.desk_subject, arguments jsonb, reason text) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	available bigint := (SELECT b.available FROM refundx.desk_balance(s.id) b);
	paid constant bigint := (arguments->>'amount')::bigint;
BEGIN
	IF paid > -available THEN
		RAISE EXCEPTION '% is more than is missing: %', refundx.format_amount(paid, s.currency), refundx.format_amount(greatest(-available, 0), s.currency)
			USING ERRCODE = '22023';
	END IF;
	PERFORM refundx.desk_suspense_in(s.id, paid, arguments->>'reference', reason);
	RETURN format('%s is missing now.', refundx.format_amount(-available - paid, s.currency));
END
$$;
COMMENT ON FUNCTION refundx.desk_suspense_settle(refundx.desk_subject, jsonb, text) IS 'Puts money on a suspense account';

CREATE FUNCTION refundx.suspense_settle(account text, amount bigint, reference text, reason text, dry_run boolean DEFAULT false)
RETURNS refundx.desk_answer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s refundx.desk_subject;
BEGIN
	PERFORM refundx.desk_reason(reason);
	IF coalesce(amount, 0) <= 0 THEN
		RAISE EXCEPTION 'the amount must be positive' USING ERRCODE = 'RX014';
	ELSIF coalesce(reference, '') = '' OR length(reference) > 128 THEN
		RAISE EXCEPTION 'reference must be given, in at most 128 characters' USING ERRCODE = '22023';
	END IF;
	s := refundx.desk_lock('account', account, NULL);
	IF NOT EXISTS (SELECT FROM refundx.account a WHERE a.account_id = s.id AND a.suspense_of IS NOT NULL) THEN
		RAISE EXCEPTION 'account "%" is no suspense account', account USING ERRCODE = 'RX029',
			HINT = 'refundx.account_credit() is for all others.';
	ELSIF EXISTS (SELECT FROM refundx.journal l WHERE l.account_id = s.id AND l.reference = suspense_settle.reference) THEN
		RAISE EXCEPTION 'reference "%" of account "%" was used before', reference, account USING ERRCODE = 'RX003';
	END IF;
	s.amount := amount;
	RETURN refundx.desk_run('suspense_settle', s, jsonb_build_object('amount', amount, 'reference', reference), reason, dry_run);
END
$$;
COMMENT ON FUNCTION refundx.suspense_settle(text, bigint, text, text, boolean) IS
'Puts an amount (minor units) on a merchant''s suspense account, because what was missing has come in, or was written off; reference names where that is booked, and is used once. Above an amount a second person has to confirm (second_person_set).
dry_run => true says what would happen, and changes nothing. Kept in the audit log with the reason.
Errors: RX003 the reference was used before, RX013 unknown account, RX014 amount, RX029 it is no suspense account, 22023 it is more than is missing, or no reason or reference.';
