/*
 * Breaks: where the channel's books and ours differ, and what a named person does
 * about it.  Who finds them is the reconciliation (47_reconcile.sql); what they are
 * found in is refundx.break (18_breaks.sql).
 *
 * All acts go through desk_run() (43_desk_run.sql), like any other of the desk: a
 * reason, the row before and after, dry_run, a second person above an amount, the
 * audit log, not in a handler.  The order of locks is the break, then payment,
 * instruction, account, as everywhere: whoever holds a break may wait for the others,
 * and nobody who holds one of the others waits for a break.
 *
 * To accept is to believe the channel.  What it says is kept as evidence, and the one
 * settle function settles it:
 *
 *	missing_here	a refund takes its place in its payment's sum and in the journal
 *					(refund_adopt), a withdrawal in those of the account that is named;
 *					the line of the bill then settles it
 *	state_differs	what the bill says is resolved as (resolve())
 *	fee_differs		the channel's fee is the channel's: nothing of ours moves
 *
 * The others have nothing that could be adopted: they are looked into, and resolved.
 */
CREATE FUNCTION refundx.break_adopt_withdrawal(channel_id int, merchant_id int, account_id bigint, withdrawal_no text, amount bigint, currency text, note text) RETURNS bigint
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_break_adopt_withdrawal';
COMMENT ON FUNCTION refundx.break_adopt_withdrawal(int, int, bigint, text, bigint, text, text) IS
'Writes a withdrawal that was made elsewhere: open, asked about, never sent, its amount (minor units) frozen on the account';

-- The line of the bill, by the evidence that was made of it where there is one: that is found at once.
CREATE FUNCTION refundx.break_line(b refundx.break,
	OUT payment_no text, OUT channel_payment_id text, OUT channel_refund_id text, OUT payer_amount bigint, OUT occurred_at timestamptz, OUT code text)
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$
	SELECT e.payment_no, e.channel_payment_id, e.channel_refund_id, e.payer_amount, e.occurred_at, e.code
	  FROM refundx.evidence e WHERE e.evidence_id = b.evidence_id
	UNION ALL
	SELECT l.payment_no, l.channel_payment_id, l.channel_refund_id, l.payer_amount, l.occurred_at, l.code
	  FROM refundx.bill_line l WHERE l.bill_id = b.bill_id AND l.line_no = b.line_no AND b.evidence_id IS NULL
	 LIMIT 1
$$;
COMMENT ON FUNCTION refundx.break_line(refundx.break) IS 'What the bill''s line of a break says besides; payer_amount in minor units';

/*
 * The payment that a refund is of, which is not known here: the one that it was
 * counted against when its evidence came, or the one that its line names, or another
 * bill's line of it: a ledger's line, which may have come first, names none.  The
 * channel's own id decides where both sides have it, as for evidence (external.c).
 */
CREATE FUNCTION refundx.break_payment(b refundx.break) RETURNS bigint
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$
	SELECT coalesce(
		(SELECT i.payment_id FROM refundx.instruction i WHERE i.instruction_id = b.instruction_id),
		(SELECT x.payment_id FROM refundx.external_refund x
		  WHERE x.merchant_id = b.merchant_id AND x.about = b.about AND x.wire_no = b.wire_no),
		(SELECT p.payment_id
		   FROM (SELECT n.payment_no, n.channel_payment_id FROM refundx.break_line(b) n
				 UNION
				 SELECT n.payment_no, n.channel_payment_id FROM refundx.bill_line n
				  WHERE n.wire_no = b.wire_no AND n.about = b.about
					AND n.bill_id = ANY (ARRAY(SELECT a.bill_id FROM refundx.bill a
												WHERE a.merchant_id = b.merchant_id AND a.day BETWEEN b.day - 1 AND b.day + 1 AND a.state = 'loaded'))) l
		   JOIN refundx.payment p
			 ON p.channel_payment_id = l.channel_payment_id
			 OR p.payment_no = l.payment_no AND (l.channel_payment_id IS NULL OR p.channel_payment_id IS NULL)
		   JOIN refundx.channel c ON c.channel_id = p.channel_id AND c.merchant_id = b.merchant_id
		  ORDER BY p.channel_payment_id IS DISTINCT FROM l.channel_payment_id, c.channel_id <> b.channel_id, p.payment_id LIMIT 1))
	 WHERE b.about = 'refund'
$$;
COMMENT ON FUNCTION refundx.break_payment(refundx.break) IS 'The payment that the refund of a break is of; null: it is not known here';

-- Found and locked, with what it is about.
CREATE FUNCTION refundx.break_lock(break_id bigint) RETURNS refundx.desk_subject
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	b refundx.break;
	s refundx.desk_subject;
BEGIN
	SELECT * INTO b FROM refundx.break k WHERE k.break_id = break_lock.break_id FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'break % does not exist', coalesce(break_id::text, 'null') USING ERRCODE = 'RX029',
			HINT = 'refundx.breaks has them.';
	END IF;
	s.kind := 'break';
	s.id := b.break_id;
	s.name := b.break_id::text;
	s.amount := greatest(b.our_amount, b.bill_amount);
	s.currency := b.currency;
	SELECT c.name INTO s.channel FROM refundx.channel c WHERE c.channel_id = b.channel_id;
	s.payment_id := refundx.break_payment(b);
	PERFORM FROM refundx.payment p WHERE p.payment_id = s.payment_id FOR NO KEY UPDATE;
	PERFORM FROM refundx.instruction i WHERE i.instruction_id = b.instruction_id FOR NO KEY UPDATE;
	SELECT n.own_id INTO s.account_id FROM refundx.account_name n
	 WHERE n.account_id = coalesce((SELECT i.account_id FROM refundx.instruction i WHERE i.instruction_id = b.instruction_id),
								   (SELECT p.account_id FROM refundx.payment p WHERE p.payment_id = s.payment_id));
	RETURN s;
END
$$;
COMMENT ON FUNCTION refundx.break_lock(bigint) IS 'Finds a break, and locks it, its payment and its refund or withdrawal. Error: RX029 unknown break';

-- "line 17 of the trade bill of 2026-11-27"
CREATE FUNCTION refundx.break_where(b refundx.break) RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$
	SELECT concat_ws(' of ', 'line ' || b.line_no,
					 format('the %s of %s', coalesce((SELECT l.kind || ' bill' FROM refundx.bill l WHERE l.bill_id = b.bill_id), 'channel''s bills'), b.day))
$$;
COMMENT ON FUNCTION refundx.break_where(refundx.break) IS 'Where in the channel''s bills a break was found';

-- What to do instead, for the hint of what cannot be accepted.
CREATE FUNCTION refundx.break_instead(b refundx.break) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL UNSAFE
AS $$
	SELECT CASE b.class
		WHEN 'missing_at_channel' THEN 'Ask the channel (refundx.query_now), and let refundx.resolve() say what became of it; the next reconciliation closes this.'
		WHEN 'amount_differs' THEN 'Find out at the channel which amount is true, correct it there or here, and say by what: refundx.break_resolve().'
		WHEN 'twice' THEN 'Get the second one back from the channel or the payee, and say by what: refundx.break_resolve().'
		ELSE 'Find out what happened, and say by what it was cleared: refundx.break_resolve().' END
$$;
COMMENT ON FUNCTION refundx.break_instead(refundx.break) IS 'What to do about a break that cannot be accepted, in words';

CREATE FUNCTION refundx.break_refuse(b refundx.break, why text) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
AS $$
BEGIN
	RAISE EXCEPTION 'break % (%) cannot be accepted: %', b.break_id, b.class, why
		USING ERRCODE = 'RX038', HINT = refundx.break_instead(b);
END
$$;
COMMENT ON FUNCTION refundx.break_refuse(refundx.break, text) IS 'Error RX038, with what to do instead';

-- The bill's word for what happened, as a verdict; null: it is not the word of a payment.
CREATE FUNCTION refundx.break_verdict(movement text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL UNSAFE
AS $$
	SELECT CASE movement WHEN 'paid' THEN 'succeeded' WHEN 'under_way' THEN 'accepted' WHEN 'abnormal' THEN 'abnormal' END
$$;
COMMENT ON FUNCTION refundx.break_verdict(text) IS 'The verdict of a line''s movement by which something made elsewhere is adopted; null: nothing to adopt';

/*
 * The line of the bill as evidence about what has just been adopted.  When the line
 * was first read its number was not known here, and that was weighed once; this is
 * the same word again, about what it is now (as callback_replay does).
 */
CREATE FUNCTION refundx.break_say(b refundx.break, reason text) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	id bigint;
	i refundx.instruction;
BEGIN
	INSERT INTO refundx.evidence (channel_id, merchant_id, source, about, digest, verdict, proof, wire_no, code, message,
		   payment_no, channel_payment_id, channel_refund_id, amount, payer_amount, currency, occurred_at, received_at)
	SELECT n.channel_id, b.merchant_id, 'bill', b.about, sha256(convert_to(format('break %s, adopted', b.break_id), 'UTF8')),
		   refundx.break_verdict(b.bill_movement), true, b.wire_no, l.code,
		   format('%s, which %s has accepted: %s', refundx.break_where(b), refundx.desk_person(), break_say.reason),
		   l.payment_no, l.channel_payment_id, l.channel_refund_id, b.bill_amount, l.payer_amount, b.currency, l.occurred_at, refundx.desk_now()
	  FROM refundx.instruction n, refundx.break_line(b) l
	 WHERE n.merchant_id = b.merchant_id AND n.wire_no = b.wire_no AND n.kind = b.about
	ON CONFLICT DO NOTHING
	RETURNING evidence_id INTO id;
	IF id IS NOT NULL AND refundx.desk_settle(ARRAY[id]) > 0 THEN
		RAISE EXCEPTION 'somebody else holds a row of % "%"', b.about, b.wire_no USING ERRCODE = '55P03', HINT = 'Try again.';
	END IF;
	SELECT * INTO i FROM refundx.instruction n WHERE n.merchant_id = b.merchant_id AND n.wire_no = b.wire_no AND n.kind = b.about;
	IF EXISTS (SELECT FROM refundx.handed h WHERE h.evidence_id = id) THEN
		RETURN format('It becomes %s as soon as the application''s handler has followed.', refundx.break_verdict(b.bill_movement));
	ELSIF i.state NOT IN ('succeeded', 'accepted', 'abnormal', 'returned') THEN
		RAISE EXCEPTION '% "%" did not take what the bill says: it is %', b.about, b.wire_no, i.state USING ERRCODE = 'RX038',
			DETAIL = i.person_reason, HINT = format('refundx.evidence_log has what was weighed, of evidence %s.', id);
	END IF;
	RETURN format('It is %s.', i.state);
END
$$;
COMMENT ON FUNCTION refundx.break_say(refundx.break, text) IS 'Keeps the line of a break as evidence about what was adopted, and settles it';

CREATE FUNCTION refundx.break_adopt_refund(b refundx.break, s refundx.desk_subject, reason text) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	p record;
BEGIN
	SELECT q.payment_no, q.currency, c.name INTO p
	  FROM refundx.payment q JOIN refundx.channel c USING (channel_id) WHERE q.payment_id = s.payment_id;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'the payment of refund "%" is not known here', b.wire_no USING ERRCODE = 'RX002',
			DETAIL = (SELECT format('The bill names %s.', coalesce(nullif(concat_ws(' and ', 'payment ' || l.payment_no, 'the channel''s payment ' || l.channel_payment_id), ''), 'none'))
						FROM refundx.break_line(b) l),
			HINT = 'Record it first: SELECT refundx.payment_record(channel, payment_no, amount, currency, channel_payment_id => ...).';
	END IF;
	PERFORM refundx.refund_adopt(p.name, p.payment_no, b.wire_no, b.bill_amount, currency => b.currency);
	RETURN format('The refund of %s %s is in the sum of payment "%s".', refundx.format_amount(b.bill_amount, b.currency), b.currency, p.payment_no);
END
$$;
COMMENT ON FUNCTION refundx.break_adopt_refund(refundx.break, refundx.desk_subject, text) IS 'A refund made elsewhere takes its place in its payment''s sum';

CREATE FUNCTION refundx.break_adopt_payout(b refundx.break, account text, reason text) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	a record;
BEGIN
	SELECT c.account_id, c.currency INTO a FROM refundx.account c WHERE c.account_no = break_adopt_payout.account FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'account "%" does not exist', account USING ERRCODE = 'RX013';
	ELSIF a.currency <> b.currency THEN
		RAISE EXCEPTION 'account "%" is in %, the withdrawal in %', account, a.currency, b.currency USING ERRCODE = 'RX005';
	END IF;
	PERFORM refundx.break_adopt_withdrawal(b.channel_id, b.merchant_id, a.account_id, b.wire_no, b.bill_amount, b.currency,
		format('made elsewhere; %s has accepted %s', refundx.desk_person(), refundx.break_where(b)))
	 WHERE NOT EXISTS (SELECT FROM refundx.instruction i
						WHERE i.merchant_id = b.merchant_id AND i.wire_no = b.wire_no AND i.kind = b.about);
	RETURN format('The withdrawal of %s %s is one of account "%s".', refundx.format_amount(b.bill_amount, b.currency), b.currency, account);
END
$$;
COMMENT ON FUNCTION refundx.break_adopt_payout(refundx.break, text, text) IS 'A withdrawal made elsewhere takes its place in an account';

-- Made elsewhere, and here now.
CREATE FUNCTION refundx.break_adopt(b refundx.break, s refundx.desk_subject, account text, reason text) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	said text;
BEGIN
	IF refundx.break_verdict(b.bill_movement) IS NULL THEN
		PERFORM refundx.break_refuse(b, format('the bill says "%s", which pays nobody', b.bill_movement));
	ELSIF coalesce(b.bill_amount, 0) <= 0 THEN
		PERFORM refundx.break_refuse(b, 'the bill names no amount');
	END IF;
	IF b.about = 'withdrawal' AND account IS NULL THEN
		-- nobody of ours has paid it, so no account of ours moves; that it was is on record
		UPDATE refundx.external_refund x SET ignored_at = clock_timestamp(), ignored_by = refundx.desk_person()
		 WHERE x.merchant_id = b.merchant_id AND x.about = b.about AND x.wire_no = b.wire_no AND x.ignored_at IS NULL;
		RETURN 'It is on record as made elsewhere, and no account of ours has paid it; account => ''...'' names one that has.';
	END IF;
	said := CASE b.about WHEN 'refund' THEN refundx.break_adopt_refund(b, s, reason) ELSE refundx.break_adopt_payout(b, account, reason) END;
	said := said || ' ' || refundx.break_say(b, reason);
	UPDATE refundx.break k SET instruction_id = i.instruction_id
	  FROM refundx.instruction i
	 WHERE k.break_id = b.break_id AND i.merchant_id = b.merchant_id AND i.wire_no = b.wire_no AND i.kind = b.about;
	RETURN said;
END
$$;
COMMENT ON FUNCTION refundx.break_adopt(refundx.break, refundx.desk_subject, text, text) IS 'Adopts what was made elsewhere, and settles it with the line of the bill';

-- Our state is another one than the bill's: the bill's is the true one.
CREATE FUNCTION refundx.break_believe(b refundx.break, reason text, OUT note text, OUT incident text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	outcome constant text := CASE b.bill_movement WHEN 'paid' THEN 'succeeded' WHEN 'came_back' THEN 'returned' END;
	i refundx.instruction;
BEGIN
	SELECT * INTO i FROM refundx.instruction n WHERE n.instruction_id = b.instruction_id;
	IF i.instruction_id IS NULL THEN
		PERFORM refundx.break_refuse(b, 'it is about none of ours');
	ELSIF outcome IS NULL THEN
		PERFORM refundx.break_refuse(b, format('the bill says "%s", and only what was paid, or came back, can be taken from it', b.bill_movement));
	ELSIF b.bill_amount <> i.amount THEN
		PERFORM refundx.break_refuse(b, format('the bill has an amount of %s, and ours is one of %s', b.bill_amount, i.amount));
	ELSIF i.state = outcome THEN
		note := format('It is %s already.', i.state);
		RETURN;
	END IF;
	SELECT r.note, r.incident INTO note, incident
	  FROM refundx.desk_resolve(refundx.desk_lock('instruction', i.instruction_no, NULL),
								jsonb_build_object('outcome', outcome, 'evidence', refundx.break_where(b)), reason, NULL::refundx.operator_request) r;
END
$$;
COMMENT ON FUNCTION refundx.break_believe(refundx.break, text) IS 'Resolves what a break is about as the bill says';

CREATE FUNCTION refundx.break_close(b refundx.break, how text, reason text) RETURNS void
LANGUAGE sql VOLATILE PARALLEL UNSAFE
AS $$
	UPDATE refundx.break SET closed_at = refundx.desk_now(), closed_by = refundx.desk_person(), closed_how = $2, close_reason = $3
	 WHERE break_id = b.break_id
$$;
COMMENT ON FUNCTION refundx.break_close(refundx.break, text, text) IS 'Closes a break';

CREATE FUNCTION refundx.break_reopened(b refundx.break) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
BEGIN
	IF b.closed_at IS NULL THEN
		RAISE EXCEPTION 'break % is open', b.break_id USING ERRCODE = 'RX006';
	ELSIF b.closed_how = 'accepted' AND b.class <> 'fee_differs' AND b.instruction_id IS NOT NULL THEN
		RAISE EXCEPTION 'break % was accepted, and its money has moved', b.break_id USING ERRCODE = 'RX006',
			HINT = 'What became of it otherwise, refundx.resolve() says.';
	END IF;
	UPDATE refundx.break SET closed_at = NULL, closed_by = NULL, closed_how = NULL, close_reason = NULL WHERE break_id = b.break_id;
	UPDATE refundx.external_refund x SET ignored_at = NULL, ignored_by = NULL
	 WHERE b.closed_how = 'accepted' AND x.merchant_id = b.merchant_id AND x.about = b.about AND x.wire_no = b.wire_no;
	RETURN 'It is open again.';
END
$$;
COMMENT ON FUNCTION refundx.break_reopened(refundx.break) IS 'Opens a break again that was closed without moving money';

/*
 * What desk_run() does of it.
 */
CREATE FUNCTION refundx.break_act(action text, s refundx.desk_subject, arguments jsonb, reason text, OUT note text, OUT incident text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $$
DECLARE
	b refundx.break;
BEGIN
	SELECT * INTO b FROM refundx.break k WHERE k.break_id = s.id;
	IF b.closed_at IS NOT NULL AND action <> 'break_reopen' THEN
		RAISE EXCEPTION 'break % was % by %', b.break_id, b.closed_how, b.closed_by USING ERRCODE = 'RX006',
			DETAIL = format('At %s: %s.', b.closed_at, b.close_reason), HINT = 'refundx.break_reopen() opens it again.';
	END IF;
	IF action = 'break_accept' THEN
		IF arguments->>'account' IS NOT NULL AND (b.class, b.about) <> ('missing_here', 'withdrawal') THEN
			RAISE EXCEPTION 'account is for a withdrawal that was made elsewhere' USING ERRCODE = '22023',
				DETAIL = format('Break %s is of class %s, about a %s.', b.break_id, b.class, b.about);
		ELSIF b.class = 'missing_here' THEN
			note := refundx.break_adopt(b, s, arguments->>'account', reason);
		ELSIF b.class = 'state_differs' THEN
			SELECT r.note, r.incident INTO note, incident FROM refundx.break_believe(b, reason) r;
		ELSIF b.class = 'fee_differs' THEN
			note := 'The channel''s fee stands; no account of ours has moved.';
		ELSE
			PERFORM refundx.break_refuse(b, 'there is nothing of the channel''s to adopt');
		END IF;
		PERFORM refundx.break_close(b, 'accepted', reason);
	ELSIF action = 'break_resolve' THEN
		PERFORM refundx.break_close(b, 'resolved', format('%s: %s', arguments->>'reference', reason));
		note := 'It is off the desk, as cleared by ' || (arguments->>'reference') || '.';
	ELSIF action = 'break_ignore' THEN
		PERFORM refundx.break_close(b, 'ignored', reason);
		note := 'It is off the desk; nothing has moved.';
	ELSIF action = 'break_assign' THEN
		UPDATE refundx.break k SET assigned_to = arguments->>'who', assigned_at = refundx.desk_now() WHERE k.break_id = b.break_id;
		note := format('It is %s''s now.', arguments->>'who');
	ELSE
		note := refundx.break_reopened(b);
	END IF;
END
$$;
COMMENT ON FUNCTION refundx.break_act(text, refundx.desk_subject, jsonb, text) IS 'An operator''s act about a break; returns what happens now, in a sentence';
