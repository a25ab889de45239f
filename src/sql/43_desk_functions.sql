/*
 * What those who sit at the desk call.  Each finds and locks what it is about, and
 * leaves the rest to desk_run().
 */
CREATE FUNCTION refundx.hold(kind text, name text, reason text, channel text DEFAULT NULL, dry_run boolean DEFAULT false)
RETURNS refundx.desk_answer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM refundx.desk_reason(reason);
	RETURN refundx.desk_run('hold', refundx.desk_lock(kind, name, channel), '{}', reason, dry_run);
END
$$;
COMMENT ON FUNCTION refundx.hold(text, text, text, text, boolean) IS
'Places a hold. kind is payment (no refund of it is accepted, sent or canceled), account (nothing is taken from it), refund or withdrawal (it is not sent); name is its number or name, channel the payment''s if two channels have its number. What was sent before is asked about and settled as before.
dry_run => true says what would happen, and changes nothing. Kept in the audit log with the reason.
Errors: RX002 unknown payment, RX006 it is on hold, or finished, RX012 unknown refund or withdrawal, RX013 unknown account, 22023 no reason.';

CREATE FUNCTION refundx.release(kind text, name text, reason text, channel text DEFAULT NULL, dry_run boolean DEFAULT false)
RETURNS refundx.desk_answer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM refundx.desk_reason(reason);
	RETURN refundx.desk_run('release', refundx.desk_lock(kind, name, channel), '{}', reason, dry_run);
END
$$;
COMMENT ON FUNCTION refundx.release(text, text, text, text, boolean) IS
'Lifts a hold: an operator''s, and that of an external refund which was more than was left. The hold of a contradiction is lifted by resolving what is contradicted. Arguments as for hold.
dry_run => true says what would happen, and changes nothing. Kept in the audit log with the reason.
Errors: RX002 unknown payment, RX006 it is not on hold, or a contradiction holds it, RX012 unknown refund or withdrawal, RX013 unknown account, 22023 no reason.';

CREATE FUNCTION refundx.query_now(no text, reason text, dry_run boolean DEFAULT false)
RETURNS refundx.desk_answer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM refundx.desk_reason(reason);
	RETURN refundx.desk_run('query_now', refundx.desk_lock('instruction', no, NULL), '{}', reason, dry_run);
END
$$;
COMMENT ON FUNCTION refundx.query_now(text, text, boolean) IS
'Asks the channel about a refund or withdrawal now, in whatever state it is, also when it is finished. It moves no money: what the channel answers does, by the state table.
dry_run => true says what would happen, and changes nothing. Kept in the audit log with the reason.
Errors: RX006 a call is under way, RX012 unknown refund or withdrawal, 22023 no reason.';

CREATE FUNCTION refundx.retry(no text, reason text, dry_run boolean DEFAULT false)
RETURNS refundx.desk_answer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM refundx.desk_reason(reason);
	RETURN refundx.desk_run('retry', refundx.desk_lock('instruction', no, NULL), '{}', reason, dry_run);
END
$$;
COMMENT ON FUNCTION refundx.retry(text, text, boolean) IS
'Sends a refund or withdrawal that is queued now, with the same number and the same bytes. One that is unknown is asked about first, and sent again only if the channel does not know it. Nobody has to look at it meanwhile.
dry_run => true says what would happen, and changes nothing. Kept in the audit log with the reason.
Errors: RX006 its state does not allow it, RX007 it, its payment or its account is on hold, RX012 unknown refund or withdrawal, 22023 no reason.';

CREATE FUNCTION refundx.callback_replay(evidence_id bigint, reason text, dry_run boolean DEFAULT false)
RETURNS refundx.desk_answer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	e record;
	s refundx.desk_subject;
BEGIN
	PERFORM refundx.desk_reason(reason);
	SELECT v.evidence_id, v.source, v.wire_no, v.about, c.name AS channel, i.instruction_no INTO e
	  FROM refundx.evidence v
	  JOIN refundx.channel c USING (channel_id)
	  LEFT JOIN refundx.instruction i ON i.merchant_id = v.merchant_id AND i.wire_no = v.wire_no AND i.kind = v.about
	 WHERE v.evidence_id = callback_replay.evidence_id;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'evidence % does not exist', evidence_id USING ERRCODE = 'RX029',
			HINT = 'refundx.evidence_log has what was kept.';
	ELSIF e.source NOT IN ('callback', 'bill') THEN
		RAISE EXCEPTION 'evidence % is no callback', evidence_id USING ERRCODE = 'RX029',
			DETAIL = format('It is %s.', CASE e.source WHEN 'answer' THEN 'the answer to a call' WHEN 'operator' THEN 'an operator''s word' ELSE 'of a ' || e.source END),
			HINT = 'refundx.query_now() asks again.';
	END IF;
	IF e.instruction_no IS NOT NULL THEN
		s := refundx.desk_lock('instruction', e.instruction_no, NULL);
	ELSE
		s.kind := e.about;
		s.name := e.wire_no;
		s.channel := e.channel;
	END IF;
	RETURN refundx.desk_run('callback_replay', s, jsonb_build_object('evidence', jsonb_build_array(evidence_id)), reason, dry_run);
END
$$;
COMMENT ON FUNCTION refundx.callback_replay(bigint, text, boolean) IS
'Weighs a callback that was kept once more, against what is known now: for one that came before its refund was known here, for instance. It was verified when it came. What it came to then stays in the history.
dry_run => true says what would happen, and changes nothing. Kept in the audit log with the reason.
Errors: RX029 there is no such callback, 22023 no reason.';

CREATE FUNCTION refundx.callback_replay(no text, reason text, dry_run boolean DEFAULT false)
RETURNS refundx.desk_answer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s refundx.desk_subject;
	ids bigint[];
BEGIN
	PERFORM refundx.desk_reason(reason);
	s := refundx.desk_lock('instruction', no, NULL);
	SELECT array_agg(e.evidence_id ORDER BY e.evidence_id) INTO ids
	  FROM refundx.instruction i
	  JOIN refundx.evidence e ON e.merchant_id = i.merchant_id AND e.wire_no = i.wire_no AND e.about = i.kind
	 WHERE i.instruction_id = s.id AND e.source IN ('callback', 'bill') AND coalesce(e.message, '') NOT LIKE 'evidence % again: %';
	IF ids IS NULL THEN
		RAISE EXCEPTION 'no callback about % "%" was kept', s.kind, s.name USING ERRCODE = 'RX029',
			HINT = 'refundx.query_now() asks the channel.';
	END IF;
	RETURN refundx.desk_run('callback_replay', s, jsonb_build_object('evidence', to_jsonb(ids)), reason, dry_run);
END
$$;
COMMENT ON FUNCTION refundx.callback_replay(text, text, boolean) IS
'The same with all callbacks about a refund or withdrawal, in the order in which they came.
Errors: RX012 unknown refund or withdrawal, RX029 there is no callback about it, 22023 no reason.';

CREATE FUNCTION refundx.notice_resend(notice_id bigint, reason text, dry_run boolean DEFAULT false)
RETURNS refundx.desk_answer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s refundx.desk_subject;
BEGIN
	PERFORM refundx.desk_reason(reason);
	SELECT 'notice', n.notice_id, n.notice_id::text INTO s.kind, s.id, s.name
	  FROM refundx.notice n WHERE n.notice_id = notice_resend.notice_id FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'notice % does not exist', notice_id USING ERRCODE = 'RX029', HINT = 'refundx.notices has them.';
	END IF;
	RETURN refundx.desk_run('notice_resend', s, '{}', reason, dry_run);
END
$$;
COMMENT ON FUNCTION refundx.notice_resend(bigint, text, boolean) IS
'Sends a message that was given up, or of which nobody knows whether it was sent, once more; somebody may then read it twice. One that was sent is not repeated.
dry_run => true says what would happen, and changes nothing. Kept in the audit log with the reason.
Errors: RX006 it was sent or waits to be, or the number is erased, RX011 its provider is gone, RX029 unknown notice, 22023 no reason.';

CREATE FUNCTION refundx.external_ignore(wire_no text, reason text, channel text DEFAULT NULL, about text DEFAULT 'refund', dry_run boolean DEFAULT false)
RETURNS refundx.desk_answer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s refundx.desk_subject;
	n int;
BEGIN
	PERFORM refundx.desk_reason(reason);
	SELECT count(*) INTO n FROM refundx.external_refund x JOIN refundx.channel c USING (channel_id)
	 WHERE x.wire_no = external_ignore.wire_no AND x.about = external_ignore.about AND c.name = coalesce(external_ignore.channel, c.name);
	IF n = 0 THEN
		RAISE EXCEPTION 'no % of number "%" was made elsewhere', about, wire_no USING ERRCODE = 'RX029',
			HINT = 'refundx.external_refunds has them.';
	ELSIF n > 1 THEN
		RAISE EXCEPTION '% "%" is of several channels', about, wire_no USING ERRCODE = '22023',
			HINT = 'Say which: channel => ''...''.';
	END IF;
	SELECT 'external ' || x.about, x.external_id, x.wire_no, c.name, x.payment_id INTO s.kind, s.id, s.name, s.channel, s.payment_id
	  FROM refundx.external_refund x JOIN refundx.channel c USING (channel_id)
	 WHERE x.wire_no = external_ignore.wire_no AND x.about = external_ignore.about AND c.name = coalesce(external_ignore.channel, c.name)
	   FOR NO KEY UPDATE OF x;
	RETURN refundx.desk_run('external_ignore', s, '{}', reason, dry_run);
END
$$;
COMMENT ON FUNCTION refundx.external_ignore(text, text, text, text, boolean) IS
'Takes a refund or withdrawal (about) that was made elsewhere off the desk, because somebody has found out who made it. It is not adopted (refund_adopt does that), and what it takes of its payment stays taken.
dry_run => true says what would happen, and changes nothing. Kept in the audit log with the reason.
Errors: RX006 it is off the desk, RX029 there is none of that number, 22023 no reason, or which channel.';
