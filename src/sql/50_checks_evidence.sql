/*
 * The invariants of what was said, sent and told: one view each, as in
 * 50_check.sql.
 */

-- What the channel's books say was paid, against what is here, for what has been
-- reconciled: it is known as such, or it is a break.  Each kind of bill by itself, for
-- a trade bill and a fund bill tell of the same refund.
CREATE VIEW refundx.check_i07 AS
	WITH paid AS MATERIALIZED (
		-- what a fund bill says went out may have come back, and then was not paid
		SELECT b.merchant_id, b.kind, l.about, coalesce(l.wire_no, l.channel_refund_id) AS wire_no,
			   count(*) FILTER (WHERE l.movement = 'paid') - count(*) FILTER (WHERE l.movement = 'came_back') AS n,
			   max(l.amount) FILTER (WHERE l.movement = 'paid') AS amount
		  FROM refundx.bill b
		  JOIN refundx.merchant m USING (merchant_id)
		  JOIN refundx.bill_kinds() k ON k.channel_kind = m.kind AND k.kind = b.kind
		  JOIN refundx.bill_line l ON l.bill_id = b.bill_id AND (l.about = 'refund' AND k.has_refunds OR l.about = 'withdrawal' AND k.has_transfers)
		 WHERE b.state = 'loaded' AND b.reconciled_at IS NOT NULL AND l.movement IN ('paid', 'came_back')
		   AND coalesce(l.wire_no, l.channel_refund_id) IS NOT NULL
		 GROUP BY 1, 2, 3, 4
		HAVING count(*) FILTER (WHERE l.movement = 'paid') > count(*) FILTER (WHERE l.movement = 'came_back'))
	SELECT p.wire_no AS subject,
		   CASE WHEN i.instruction_id IS NULL THEN format('the %s bill says that a %s of %s was paid, which is not known here', p.kind, p.about, p.amount)
				WHEN p.n > 1 THEN format('the %s bill says that it was paid %s times', p.kind, p.n)
				WHEN i.amount <> p.amount THEN format('the %s bill says that %s was paid, it is one of %s', p.kind, p.amount, i.amount)
				ELSE format('the %s bill says that it was paid, and it is %s', p.kind, i.state) END AS finding
	  FROM paid p
	  LEFT JOIN refundx.former_number f ON f.merchant_id = p.merchant_id AND f.wire_no = p.wire_no AND f.about = p.about
	  LEFT JOIN refundx.instruction i ON i.merchant_id = p.merchant_id AND i.kind = p.about
	   AND (i.wire_no = p.wire_no OR i.instruction_id = f.instruction_id)
	 WHERE (i.instruction_id IS NULL OR p.n > 1 OR i.amount <> p.amount OR i.state IN ('failed', 'canceled') AND i.person_since IS NULL)
	   AND NOT EXISTS (SELECT FROM refundx.break k
						WHERE k.merchant_id = p.merchant_id AND k.about = p.about AND k.wire_no = p.wire_no)
	   AND NOT EXISTS (SELECT FROM refundx.other_day o
						WHERE o.merchant_id = p.merchant_id AND o.about = p.about AND o.wire_no = p.wire_no)
	   AND NOT (i.instruction_id IS NULL
				AND EXISTS (SELECT FROM refundx.external_refund e
							 WHERE e.merchant_id = p.merchant_id AND e.about = p.about AND e.wire_no = p.wire_no));
COMMENT ON VIEW refundx.check_i07 IS 'I7: what the channel''s bills say was paid is paid here, or open, once and of its own amount; or it is known not to be (a break, a refund made elsewhere, a contradiction)';

-- A second run finds what the first has kept, and adds nothing to it.
CREATE VIEW refundx.check_i22 AS
	SELECT 'bill ' || min(w.bill_id) AS subject, format('evidence %s is of %s of its lines', w.evidence_id, count(*)) AS finding
	  FROM refundx.bill_word w
	 GROUP BY w.evidence_id
	HAVING count(*) > 1
	UNION ALL
	SELECT w.wire_no, format('a bill''s line became evidence %s, which is not there, or speaks of another number', w.evidence_id)
	  FROM refundx.bill_word w
	  LEFT JOIN refundx.evidence e ON e.evidence_id = w.evidence_id
	 WHERE (e.source, e.merchant_id, e.wire_no) IS DISTINCT FROM ('bill', w.merchant_id, w.wire_no)
	UNION ALL
	SELECT k.wire_no, format('on %s it is %s breaks at once: %s', k.day, count(*), string_agg(k.class, ', ' ORDER BY k.class))
	  FROM refundx.break k
	 WHERE k.closed_at IS NULL
	 GROUP BY k.merchant_id, k.about, k.wire_no, k.day
	HAVING count(*) > 1
	UNION ALL
	SELECT o.wire_no, format('of %s it waits for another day''s bill, and is a break', o.day)
	  FROM refundx.other_day o
	  JOIN refundx.break k ON k.merchant_id = o.merchant_id AND k.about = o.about AND k.wire_no = o.wire_no AND k.day = o.day AND k.closed_at IS NULL;
COMMENT ON VIEW refundx.check_i22 IS 'I22: a bill''s line is told once, however often its day is reconciled, and ends in one class';

-- Copies of a callback have one digest, so one row, and a row is applied once.
CREATE VIEW refundx.check_i12 AS
	SELECT 'evidence ' || x.evidence_id AS subject, format('it was applied %s times', count(*)) AS finding
	  FROM refundx.event x
	 WHERE x.evidence_id IS NOT NULL
	 GROUP BY x.evidence_id
	HAVING count(*) > 1
	UNION ALL
	SELECT 'evidence ' || min(e.evidence_id), format('the same is kept %s times', count(*))
	  FROM refundx.evidence e
	 GROUP BY e.channel_id, e.digest
	HAVING count(*) > 1
	UNION ALL
	SELECT i.instruction_no, format('evidence %s was applied to it, and speaks of number %s of merchant %s', e.evidence_id, e.wire_no, e.merchant_id)
	  FROM refundx.event x
	  JOIN refundx.evidence e USING (evidence_id)
	  JOIN refundx.instruction i ON i.instruction_id = x.instruction_id
	 WHERE (e.merchant_id, e.wire_no) <> (i.merchant_id, i.wire_no)
	   AND NOT EXISTS (SELECT FROM refundx.former_number f
						WHERE f.instruction_id = i.instruction_id AND f.merchant_id = e.merchant_id AND f.wire_no = e.wire_no);
COMMENT ON VIEW refundx.check_i12 IS 'I12: what was said is kept once and applied once, to the refund or withdrawal that it speaks of, however many copies came';

-- Up to the watermark all evidence is weighed: what won has its transition, and
-- what came too late the line that says so.
CREATE VIEW refundx.check_i13 AS
	SELECT 'evidence ' || e.evidence_id AS subject, format('it is about number %s, and no event says what came of it', e.wire_no) AS finding
	  FROM refundx.evidence e
	 CROSS JOIN refundx.watermark w
	 WHERE e.evidence_id <= w.weighed_to
	   AND NOT EXISTS (SELECT FROM refundx.event x WHERE x.evidence_id = e.evidence_id)
	UNION ALL
	SELECT i.instruction_no, format('it became %s %s times', x.to_state, count(*))
	  FROM refundx.event x JOIN refundx.instruction i USING (instruction_id)
	 WHERE x.from_state <> x.to_state AND x.to_state IN ('succeeded', 'failed', 'returned', 'canceled')
	 GROUP BY i.instruction_no, x.to_state
	HAVING count(*) > 1;
COMMENT ON VIEW refundx.check_i13 IS 'I13: of what races one wins: an end is reached once, and whatever else was said is on record as having changed nothing';

CREATE VIEW refundx.check_i14 AS
	SELECT coalesce(i.instruction_no, 'evidence ' || e.evidence_id) AS subject,
		   CASE WHEN a.attempt_id IS NULL THEN format('evidence %s answers attempt %s, which was never committed', e.evidence_id, e.attempt_id)
				ELSE format('evidence %s was received before attempt %s had begun', e.evidence_id, e.attempt_id) END AS finding
	  FROM refundx.evidence e
	  LEFT JOIN refundx.attempt a ON a.attempt_id = e.attempt_id AND a.merchant_id = e.merchant_id AND a.wire_no = e.wire_no
	  LEFT JOIN refundx.instruction i ON i.merchant_id = e.merchant_id AND i.wire_no = e.wire_no
	 WHERE e.attempt_id IS NOT NULL
	   AND (a.attempt_id IS NULL OR e.received_at < a.started_at)
	UNION ALL
	SELECT i.instruction_no, format('it was sent %s times, and no attempt is on record', i.attempts)
	  FROM refundx.instruction i
	 WHERE i.attempts > 0
	   AND NOT EXISTS (SELECT FROM refundx.attempt t
						WHERE t.instruction_id = i.instruction_id AND t.call = 'submit' AND t.wire_no = i.wire_no);
COMMENT ON VIEW refundx.check_i14 IS 'I14: every answer is to an attempt that was committed, and began, before it came; what was sent has its attempts';

-- The caller's transaction brings all of these, or none.
CREATE VIEW refundx.check_i15 AS
	SELECT o.what || ' ' || o.id AS subject, 'its refund or withdrawal does not exist' AS finding
	  FROM (SELECT 'event' AS what, seq AS id, instruction_id FROM refundx.event WHERE instruction_id IS NOT NULL
			UNION ALL SELECT 'attempt', attempt_id, instruction_id FROM refundx.attempt
			UNION ALL SELECT 'request of', instruction_id, instruction_id FROM refundx.request
			UNION ALL SELECT 'notice', notice_id, instruction_id FROM refundx.notice
			UNION ALL SELECT 'payout of', instruction_id, instruction_id FROM refundx.payout
			UNION ALL SELECT 'contact of', instruction_id, instruction_id FROM refundx.payout_contact
			UNION ALL SELECT 'lock of guard', guard_id, instruction_id FROM refundx.guard_lock
			UNION ALL SELECT 'line of a day''s limit', n, instruction_id FROM refundx.cap_line) o
	 WHERE NOT EXISTS (SELECT FROM refundx.instruction i WHERE i.instruction_id = o.instruction_id)
	UNION ALL
	SELECT i.instruction_no, format('its history begins %s times', count(x.seq))
	  FROM refundx.instruction i
	  LEFT JOIN refundx.event x ON x.instruction_id = i.instruction_id AND x.from_state IS NULL AND x.to_state IS NOT NULL
	 GROUP BY i.instruction_id
	HAVING count(x.seq) <> 1
	UNION ALL
	SELECT i.instruction_no, 'nothing was frozen for it'
	  FROM refundx.instruction i
	 WHERE i.account_id IS NOT NULL
	   AND NOT EXISTS (SELECT FROM refundx.journal j WHERE j.instruction_id = i.instruction_id AND j.type = 'freeze');
COMMENT ON VIEW refundx.check_i15 IS 'I15: what a submit writes is there as a whole or not at all: nothing is left of one that was rolled back';

-- After a new timeline nothing goes out before a query that began since has been
-- answered, or proof has come.  A query's own start counts, not its answer's: one
-- that was under way before says nothing.
CREATE VIEW refundx.check_i21 AS
	SELECT i.instruction_no AS subject,
		   format('event %s said that it may have been sent before, and event %s sends it, unasked', l.seq, c.seq) AS finding
	  FROM refundx.event l
	  JOIN refundx.instruction i USING (instruction_id)
	 CROSS JOIN LATERAL (
		SELECT x.seq FROM refundx.event x
		 WHERE x.instruction_id = l.instruction_id AND x.seq > l.seq AND x.type = 'claimed'
		 ORDER BY x.seq LIMIT 1) c
	 WHERE l.type = 'lost' AND l.to_state = 'unknown'
	   AND NOT EXISTS (
		SELECT FROM refundx.event x
		  LEFT JOIN refundx.evidence e ON e.evidence_id = x.evidence_id
		 WHERE x.instruction_id = l.instruction_id AND x.seq > l.seq AND x.seq < c.seq
		   -- the tests' clock may go back, but not on a server that pays
		   AND (e.source = 'query' AND e.attempt_started_at >= l.at + least(current_setting('refundx.clock_offset')::interval, interval '0')
				OR e.source NOT IN ('query', 'answer', 'recovery') AND x.from_state <> x.to_state))
	UNION ALL
	-- what is new may have the number of one that was lost
	SELECT i.instruction_no, format('event %s sends it while recovery %s is under way, unasked', c.seq, r.recovery_id)
	  FROM refundx.recovery r
	  JOIN refundx.event c ON c.type = 'claimed' AND c.seq > r.event_seq AND (r.end_seq IS NULL OR c.seq <= r.end_seq)
	  JOIN refundx.instruction i ON i.instruction_id = c.instruction_id
	  LEFT JOIN refundx.recovery_merchant m ON m.recovery_id = r.recovery_id AND m.merchant_id = i.merchant_id
	 WHERE (m.event_seq IS NULL OR c.seq <= m.event_seq)
	   AND NOT EXISTS (SELECT FROM refundx.recovery_asked a
						WHERE a.recovery_id = r.recovery_id AND a.instruction_id = i.instruction_id);
COMMENT ON VIEW refundx.check_i21 IS 'I21: after a new timeline, a restore, or the arming of a copy, each number is asked about before it is sent, also what is submitted until the bills of the gap are in';

/*
 * Telephone numbers of the mainland, or with a plus; card numbers, by their first
 * digits and their check digit; keys.  Not what is part of a longer word: numbers
 * of refunds are made of digits, too.  Shown without its middle.
 */
CREATE FUNCTION refundx.personal_words(words text) RETURNS SETOF text
LANGUAGE sql IMMUTABLE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT t.word
	  FROM regexp_matches($1, '(?<![[:alnum:]_.-])(\+?[0-9]{8,19})(?![[:alnum:]_-])', 'g') m,
		   LATERAL (SELECT m[1] AS word) t
	 WHERE t.word ~ '^(0086|\+?86)?1[3-9][0-9]{9}$'
		OR t.word ~ '^\+[0-9]{8,15}$'
		OR t.word ~ '^(62|4|5[1-5]|2[2-7]|3[47])[0-9]{11,17}$'
		   AND (SELECT sum(CASE WHEN (length(t.word) - n) % 2 = 0 THEN d.digit
								ELSE d.digit * 2 - CASE WHEN d.digit > 4 THEN 9 ELSE 0 END END) % 10 = 0
				  FROM generate_series(1, length(t.word)) n, LATERAL (SELECT substr(t.word, n, 1)::int AS digit) d)
	UNION ALL
	SELECT k[1] FROM regexp_matches($1, '(-----BEGIN [A-Z ]*PRIVATE|(?:sk|rk)_live_[[:alnum:]]{4}|whsec_[[:alnum:]+/=]{8})', 'g') k
$$;
COMMENT ON FUNCTION refundx.personal_words(text) IS
'What in a text looks like a telephone number, a card number or a key, one row each; for refundx.check(). No errors of its own';

CREATE VIEW refundx.check_i25 WITH (security_barrier) AS
	SELECT t.subject, format('its %s has in it what nobody should read: %s****%s', t.what, left(w.word, 3), right(w.word, 2)) AS finding
	  FROM (SELECT 'event ' || x.seq AS subject, 'note' AS what, x.note AS words FROM refundx.event x WHERE x.note IS NOT NULL
			UNION ALL SELECT 'evidence ' || e.evidence_id, v.what, v.words FROM refundx.evidence e,
				LATERAL (VALUES ('code', e.code), ('message', e.message), ('detail', e.detail)) v(what, words)
			UNION ALL SELECT i.instruction_no, v.what, v.words FROM refundx.instruction i,
				LATERAL (VALUES ('detail', i.detail), ('refusal', i.refusal), ('hold', i.hold), ('person''s reason', i.person_reason),
						 ('person''s suggestion', i.person_suggestion), ('word on who received it', i.received_by)) v(what, words)
			UNION ALL SELECT p.payment_no, 'hold', p.hold FROM refundx.payment p WHERE p.hold IS NOT NULL
			UNION ALL SELECT 'audit ' || a.audit_id, v.what, v.words FROM refundx.audit a,
				LATERAL (VALUES ('reason', a.reason), ('detail', a.detail::text)) v(what, words)
			UNION ALL SELECT 'incident ' || n.incident_id, v.what, v.words FROM refundx.incident n,
				LATERAL (VALUES ('reason', n.reason), ('action', n.done)) v(what, words)
			UNION ALL SELECT 'notice ' || n.notice_id, v.what, v.words FROM refundx.notice n,
				LATERAL (VALUES ('message', n.message), ('outcome', n.outcome), ('masked number', n.phone_masked)) v(what, words)
			UNION ALL SELECT 'payout of ' || o.instruction_id, 'masked payee', o.payee_masked FROM refundx.payout o
			UNION ALL SELECT 'request ' || r.request_id, v.what, v.words FROM refundx.operator_request r,
				LATERAL (VALUES ('reason', r.reason), ('arguments', r.arguments::text)) v(what, words)
			UNION ALL SELECT 'outbox ' || o.seq, 'payload', o.payload::text FROM refundx.outbox o
			UNION ALL SELECT 'journal of account ' || j.account_id, 'note', j.note FROM refundx.journal j WHERE j.note IS NOT NULL
			UNION ALL SELECT 'channel ' || c.name, 'configuration', c.config::text FROM refundx.channel c
			UNION ALL SELECT 'provider ' || n.name, 'configuration', n.config::text FROM refundx.notice_provider n
			UNION ALL SELECT 'webhook ' || h.name, 'last error', h.last_error FROM refundx.webhook h) t
	 CROSS JOIN LATERAL refundx.personal_words(t.words) w(word)
	 WHERE t.words ~ '[0-9]{8}|-----BEGIN|_live_|whsec_'
	   -- a caller may number its refunds and payments as it likes
	   AND NOT EXISTS (SELECT FROM refundx.instruction i WHERE w.word IN (i.instruction_no, i.wire_no, i.channel_refund_id))
	   AND NOT EXISTS (SELECT FROM refundx.payment p WHERE w.word IN (p.payment_no, p.channel_payment_id))
	UNION ALL
	SELECT 'payout of ' || o.instruction_id, 'whom it pays is shown unmasked'
	  FROM refundx.payout o WHERE position('*' IN o.payee_masked) = 0
	UNION ALL
	SELECT 'notice ' || n.notice_id, 'whom it is for is shown unmasked'
	  FROM refundx.notice n WHERE position('*' IN n.phone_masked) = 0;
COMMENT ON VIEW refundx.check_i25 IS 'I25: no telephone number, card number or key stands in what people and receivers read: events, what channels said, audit, incidents, notices, the outbox, configurations; payees are masked. Names cannot be told from other words: those are for the tests';

-- Only what the courier says that it has passed on; see refundx.relay.
CREATE VIEW refundx.check_outbox AS
	SELECT i.instruction_no AS subject, format('event %s (%s) was passed on, and is not in the outbox', x.seq, x.to_state) AS finding
	  FROM refundx.event x
	  JOIN refundx.relay r ON x.at >= r.began_at AND pg_visible_in_snapshot(x.xid, r.seen)
	  JOIN refundx.instruction i USING (instruction_id)
	 WHERE x.to_state IS NOT NULL AND x.from_state IS DISTINCT FROM x.to_state
	   AND NOT EXISTS (SELECT FROM refundx.outbox o
						WHERE o.aggregateid = i.instruction_no AND (o.payload ->> 'sequence')::bigint = x.seq)
	UNION ALL
	SELECT o.aggregateid, format('row %s of the outbox tells of event %s, which did not happen', o.seq, o.payload ->> 'sequence')
	  FROM refundx.outbox o
	 WHERE NOT EXISTS (SELECT FROM refundx.event x
						 JOIN refundx.instruction i USING (instruction_id)
						WHERE i.instruction_no = o.aggregateid AND x.seq = (o.payload ->> 'sequence')::bigint
						  AND x.to_state = o.payload ->> 'to');
COMMENT ON VIEW refundx.check_outbox IS 'What the courier has passed on is in the outbox, each transition, and nothing else is';
