/*
 * What operators call about a break.  Each finds and locks it, and leaves the rest to
 * desk_run() (43_desk_run.sql) and break_act() (48_breaks.sql).
 */
CREATE FUNCTION refundx.break_accept(break_id bigint, reason text, account text DEFAULT NULL, dry_run boolean DEFAULT false)
RETURNS refundx.desk_answer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM refundx.not_in_handler('break_accept'), refundx.desk_reason(reason);
	RETURN refundx.desk_run('break_accept', refundx.break_lock(break_id),
							jsonb_strip_nulls(jsonb_build_object('account', account)), reason, dry_run);
END
$$;
COMMENT ON FUNCTION refundx.break_accept(bigint, text, text, boolean) IS
'Believes the channel''s bill. missing_here: the refund takes its place in its payment''s sum and, where the payment has an account, in the journal; it is not sent, the line of the bill is its evidence, and settles it. A withdrawal made elsewhere likewise, if account names who paid it; without, it is on record as made elsewhere, and no account of ours moves. state_differs: it is resolved as the bill says, if that is paid or came back. fee_differs: the channel''s fee stands, and nothing of ours moves. The other classes have nothing to adopt.
Above an amount a second person has to confirm (second_person_set). dry_run => true says what would happen, and changes nothing. Kept in the audit log with the reason.
Errors: RX001 it exceeds what is left of the payment, RX002 its payment is not known, RX003 its number is taken by another merchant''s, RX004 the account has not enough, RX005 the account is of another currency, RX006 it is closed, or the state table does not allow it, RX007 payment or account on hold, RX009 library not preloaded, RX013 unknown account, RX026 inside a handler, RX029 unknown break, RX038 its class cannot be accepted: the hint says what to do, 55P03 somebody else holds a row, 22023 no reason.';

CREATE FUNCTION refundx.break_resolve(break_id bigint, reference text, reason text, dry_run boolean DEFAULT false)
RETURNS refundx.desk_answer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM refundx.not_in_handler('break_resolve'), refundx.desk_reason(reason);
	IF coalesce(btrim(reference), '') = '' OR length(reference) > 200 THEN
		RAISE EXCEPTION 'reference must be given, in at most 200 characters' USING ERRCODE = '22023',
			HINT = 'By what it was cleared: the number of a booking, of a refund, of a case at the channel.';
	END IF;
	RETURN refundx.desk_run('break_resolve', refundx.break_lock(break_id), jsonb_build_object('reference', reference), reason, dry_run);
END
$$;
COMMENT ON FUNCTION refundx.break_resolve(bigint, text, text, boolean) IS
'Closes a break that was cleared by another act; reference names that: a booking, another refund, a case at the channel. Nothing moves by this.
Above an amount a second person has to confirm (second_person_set). dry_run => true says what would happen, and changes nothing. Kept in the audit log with the reason.
Errors: RX006 it is closed, RX026 inside a handler, RX029 unknown break, 22023 no reason or reference.';

CREATE FUNCTION refundx.break_ignore(break_id bigint, reason text, dry_run boolean DEFAULT false)
RETURNS refundx.desk_answer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM refundx.not_in_handler('break_ignore'), refundx.desk_reason(reason);
	RETURN refundx.desk_run('break_ignore', refundx.break_lock(break_id), '{}', reason, dry_run);
END
$$;
COMMENT ON FUNCTION refundx.break_ignore(bigint, text, boolean) IS
'Takes a break off the desk, because somebody knows why the two sides differ and that nothing is to be done. Nothing moves; a refund made elsewhere keeps what it takes of its payment. It is not opened again by the next reconciliation.
Above an amount a second person has to confirm (second_person_set). dry_run => true says what would happen, and changes nothing. Kept in the audit log with the reason.
Errors: RX006 it is closed, RX026 inside a handler, RX029 unknown break, 22023 no reason.';

CREATE FUNCTION refundx.break_assign(break_id bigint, who text, reason text, dry_run boolean DEFAULT false)
RETURNS refundx.desk_answer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM refundx.not_in_handler('break_assign'), refundx.desk_reason(reason);
	IF coalesce(btrim(who), '') = '' OR length(who) > 63 THEN
		RAISE EXCEPTION 'who must be given, in at most 63 characters' USING ERRCODE = '22023',
			HINT = 'A login, or whoever stands in refundx.actor.';
	END IF;
	RETURN refundx.desk_run('break_assign', refundx.break_lock(break_id), jsonb_build_object('who', who), reason, dry_run);
END
$$;
COMMENT ON FUNCTION refundx.break_assign(bigint, text, text, boolean) IS
'Gives a break to somebody, who looks into it: a login, or a name as in refundx.actor. Others may act all the same.
dry_run => true says what would happen, and changes nothing. Kept in the audit log with the reason.
Errors: RX006 it is closed, RX026 inside a handler, RX029 unknown break, 22023 no reason, or nobody.';

CREATE FUNCTION refundx.break_reopen(break_id bigint, reason text, dry_run boolean DEFAULT false)
RETURNS refundx.desk_answer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM refundx.not_in_handler('break_reopen'), refundx.desk_reason(reason);
	RETURN refundx.desk_run('break_reopen', refundx.break_lock(break_id), '{}', reason, dry_run);
END
$$;
COMMENT ON FUNCTION refundx.break_reopen(bigint, text, boolean) IS
'Opens a break again that was resolved, ignored or explained, or accepted without moving money. One by which money has moved stays accepted.
dry_run => true says what would happen, and changes nothing. Kept in the audit log with the reason.
Errors: RX006 it is open, or its money has moved, RX026 inside a handler, RX029 unknown break, 22023 no reason.';
