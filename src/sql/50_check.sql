/*
 * The invariants, each one query that returns what breaks it.
 *
 * They hold at every commit, with workers running, so refundx.check()
 * (51_check.sql) asks them all with one snapshot.  Each is a view of its own
 * (subject, finding), so that it can be asked alone.  They read whole tables:
 * once a day, and after anything unusual.
 *
 * refundx.clock_offset moves the tests' clock; due times go by that clock.
 */
CREATE VIEW refundx.check_i01 AS
	SELECT a.currency AS subject,
		   format('%s postings sum to %s, not to zero', count(*), sum(j.d_available + j.d_frozen + j.d_outside)) AS finding
	  FROM refundx.journal j JOIN refundx.account a USING (account_id)
	 GROUP BY a.currency
	HAVING sum(j.d_available + j.d_frozen + j.d_outside) <> 0
		OR bool_or(j.d_available + j.d_frozen + j.d_outside <> 0);
COMMENT ON VIEW refundx.check_i01 IS 'I1: postings sum to zero, each one and per currency';

CREATE VIEW refundx.check_i02 AS
	SELECT p.payment_no AS subject,
		   format('refunding %s, refunded %s, returned %s, elsewhere %s; its refunds say %s, %s, %s, %s',
				  p.refunding, p.refunded + p.overpaid, p.returned, p.elsewhere,
				  r.refunding, r.refunded, r.returned, x.elsewhere) AS finding, p.payment_id
	  FROM refundx.payment p
	 CROSS JOIN LATERAL (
		SELECT coalesce(sum(i.amount) FILTER (WHERE i.is_open), 0) AS refunding,
			   coalesce(sum(i.amount) FILTER (WHERE i.state = 'succeeded'), 0) AS refunded,
			   coalesce(sum(i.amount) FILTER (WHERE i.state = 'returned'), 0) AS returned
		  FROM refundx.instruction i WHERE i.payment_id = p.payment_id) r
	 CROSS JOIN LATERAL (
		SELECT coalesce(sum(e.counted), 0) AS elsewhere
		  FROM refundx.external_refund e WHERE e.payment_id = p.payment_id) x
	 WHERE (p.refunding, p.refunded + p.overpaid, p.returned, p.elsewhere)
		   IS DISTINCT FROM (r.refunding, r.refunded, r.returned, x.elsewhere)
		OR p.refunding + p.refunded + p.returned + p.elsewhere + p.already_refunded > p.paid;
COMMENT ON VIEW refundx.check_i02 IS 'I2: what a payment has in flight and paid is the sum over its refunds, and never more than was paid, but for what was paid after all and is on record as such (overpaid)';

CREATE VIEW refundx.check_i03 AS
	SELECT a.name AS subject,
		   format('line %s: available %s, frozen %s', j.version, j.available, j.frozen) AS finding
	  FROM refundx.journal j JOIN refundx.account_name a USING (account_id) JOIN refundx.account r USING (account_id)
	 WHERE j.available < 0 AND r.suspense_of IS NULL OR j.frozen < 0
		OR (j.type IN ('suspense', 'suspense_in')) <> (r.suspense_of IS NOT NULL);
COMMENT ON VIEW refundx.check_i03 IS 'I3: no balance is negative but a suspense account''s, and only that has such lines';

CREATE VIEW refundx.check_i04 AS
	SELECT a.name AS subject,
		   format('frozen is %s, its open instructions sum to %s', coalesce(j.frozen, 0), o.amount) AS finding, a.account_id
	  FROM refundx.account_name a
	  LEFT JOIN LATERAL (
		SELECT frozen FROM refundx.journal j WHERE j.account_id = a.account_id
		 ORDER BY version DESC LIMIT 1) j ON true
	 CROSS JOIN LATERAL (
		SELECT coalesce(sum(i.amount + i.fee), 0) AS amount FROM refundx.instruction i
		 WHERE i.account_id = a.account_id AND i.is_open) o
	 WHERE coalesce(j.frozen, 0) <> o.amount;
COMMENT ON VIEW refundx.check_i04 IS 'I4: what is frozen on an account (each of its slots) is the sum of its open instructions, their fees included';

CREATE VIEW refundx.check_i05 AS
	SELECT a.name AS subject,
		   format('line %s (available %s, frozen %s) does not continue from line %s (%s, %s)',
				  j.version, j.available, j.frozen, j.before, j.available_before, j.frozen_before) AS finding
	  FROM (SELECT j.*,
				   coalesce(lag(version) OVER w, 0) AS before,
				   coalesce(lag(available) OVER w, 0) AS available_before,
				   coalesce(lag(frozen) OVER w, 0) AS frozen_before
			  FROM refundx.journal j
			WINDOW w AS (PARTITION BY account_id ORDER BY version)) j
	  JOIN refundx.account_name a USING (account_id)
	 WHERE j.version <> j.before + 1
		OR j.available <> j.available_before + j.d_available
		OR j.frozen <> j.frozen_before + j.d_frozen
	UNION ALL
	SELECT a.account_no, format('moves between its slots sum to %s, not to zero', sum(j.d_available))
	  FROM refundx.journal j JOIN refundx.account_name a USING (account_id)
	 WHERE j.type IN ('slot_out', 'slot_in')
	 GROUP BY a.own_id, a.account_no
	HAVING sum(j.d_available) <> 0;
COMMENT ON VIEW refundx.check_i05 IS 'I5: each journal line continues from the one before it: no gap, balances add up; and what leaves one slot of an account arrives at another';

CREATE VIEW refundx.check_i06 AS
	SELECT i.instruction_no AS subject,
		   format('it is %s, and its journal lines are: %s', i.state, coalesce(j.lines, 'none')) AS finding, i.instruction_id
	  FROM refundx.instruction i
	 CROSS JOIN LATERAL (
		SELECT coalesce(sum(-s.d_available), 0) AS amount FROM refundx.journal s
		 WHERE s.instruction_id = i.instruction_id AND s.type = 'suspense') x
	 CROSS JOIN LATERAL (
		SELECT string_agg(l.type || CASE WHEN greatest(abs(l.d_available), abs(l.d_frozen)) = l.amount
										 THEN '' ELSE ' of another amount' END,
						  ', ' ORDER BY l.version) AS lines
		  FROM (SELECT j.*, CASE j.type
					   WHEN 'freeze' THEN i.amount + i.fee
					   WHEN 'fee' THEN i.fee
					   WHEN 'fee_return' THEN i.fee
					   -- what was released, and less what the account did not have
					   WHEN 'pay_late' THEN i.amount + CASE WHEN bool_or(j.type = 'fee') OVER () THEN 0 ELSE i.fee END - x.amount
					   -- with the fee, unless that is kept
					   WHEN 'release' THEN i.amount + CASE WHEN bool_or(j.type = 'fee') OVER () THEN 0 ELSE i.fee END
					   ELSE i.amount END AS amount
				  FROM refundx.journal j
				 WHERE j.instruction_id = i.instruction_id AND j.account_id = i.account_id) l) k
	 CROSS JOIN LATERAL (
		-- an account that had nothing has no line of what was paid late: the suspense account has
		SELECT CASE WHEN x.amount > 0 AND k.lines NOT LIKE '%pay_late%'
					THEN CASE WHEN x.amount = i.amount + CASE WHEN k.lines ~ '^freeze, release, fee(,|$)' THEN 0 ELSE i.fee END
							  THEN regexp_replace(k.lines, '^freeze, release(, fee)?', '\&, pay_late')
							  ELSE k.lines || ', suspense of another amount' END
					ELSE k.lines END AS lines) j
	 WHERE i.account_id IS NOT NULL
	   AND NOT coalesce(CASE
			WHEN i.is_open THEN j.lines = 'freeze'
			WHEN i.fee = 0 THEN
				CASE i.state
				WHEN 'succeeded' THEN j.lines IN ('freeze, pay_out', 'freeze, release, pay_late')
				WHEN 'returned' THEN j.lines IN ('freeze, release', 'freeze, pay_out, return',
												 'freeze, release, pay_late, return')
				ELSE j.lines = 'freeze, release' END
			ELSE
				CASE i.state
				WHEN 'succeeded' THEN j.lines IN ('freeze, pay_out, fee', 'freeze, release, pay_late',
												  'freeze, release, fee, pay_late')
				WHEN 'returned' THEN j.lines IN ('freeze, release', 'freeze, release, fee',
												 'freeze, release, pay_late, return', 'freeze, release, fee, pay_late, return',
												 'freeze, release, pay_late, return, fee_return',
												 'freeze, release, fee, pay_late, return, fee_return',
												 'freeze, pay_out, fee, return',
												 'freeze, pay_out, fee, return, fee_return')
				ELSE j.lines IN ('freeze, release', 'freeze, release, fee') END
		   END, false);
COMMENT ON VIEW refundx.check_i06 IS 'I6: what was paid has exactly one posting out, what failed or was canceled exactly one release, what was paid after that another one out (late, and in part from the suspense account), what is open neither; a fee is taken with the payment or kept at the end, released otherwise, and given back only if it was taken; all of them of the instruction''s own amount and fee';

-- The row does not say on which side the fee was, so both are right; nothing else is.
CREATE VIEW refundx.check_i08 AS
	SELECT i.instruction_no AS subject,
		   format('%s was asked for, the payee gets %s, and the fee is %s', o.asked, i.amount, i.fee) AS finding
	  FROM refundx.instruction i JOIN refundx.payout o USING (instruction_id)
	 WHERE o.asked NOT IN (i.amount, i.amount + i.fee)
	UNION ALL
	SELECT i.instruction_no, format('it is a %s, and has a fee of %s', i.kind, i.fee)
	  FROM refundx.instruction i
	 WHERE i.kind <> 'withdrawal' AND i.fee <> 0;
COMMENT ON VIEW refundx.check_i08 IS 'I8: what the payee gets and the fee are what was asked for, or the fee is on top of it, to the unit; only withdrawals have a fee';

CREATE VIEW refundx.check_i09 AS
	SELECT i.instruction_no AS subject, format('attempt %s was made without a frozen request', a.attempt_id) AS finding
	  FROM refundx.attempt a JOIN refundx.instruction i USING (instruction_id)
	 WHERE a.call = 'submit'
	   AND NOT EXISTS (SELECT FROM refundx.request r
						WHERE r.instruction_id = a.instruction_id AND r.wire_no = a.wire_no)
	UNION ALL
	SELECT min(i.instruction_no), format('wire number %s is used %s times', i.wire_no, count(*))
	  FROM refundx.instruction i GROUP BY i.merchant_id, i.wire_no HAVING count(*) > 1
	UNION ALL
	SELECT i.instruction_no, format('request %s was frozen for a number that it has not', r.wire_no)
	  FROM refundx.request r JOIN refundx.instruction i USING (instruction_id)
	 WHERE r.wire_no <> i.wire_no
	   AND NOT EXISTS (SELECT FROM refundx.former_number f
						WHERE f.instruction_id = i.instruction_id AND f.wire_no = r.wire_no)
	UNION ALL
	-- a number is replaced only by reissue, which keeps it
	SELECT i.instruction_no, format('it had %s numbers before %s, and %s are kept', coalesce(i.reissues, 0), i.wire_no, f.n)
	  FROM refundx.instruction i
	 CROSS JOIN LATERAL (SELECT count(*) AS n FROM refundx.former_number f WHERE f.instruction_id = i.instruction_id) f
	 WHERE f.n <> coalesce(i.reissues, 0) OR (f.n = 0) <> (i.wire_no = i.instruction_no)
	UNION ALL
	SELECT i.instruction_no, format('wire number %s is live, and was ended as one of another', i.wire_no)
	  FROM refundx.instruction i JOIN refundx.former_number f ON f.merchant_id = i.merchant_id AND f.wire_no = i.wire_no
	UNION ALL
	-- no byte goes out under a number after another one has replaced it
	SELECT i.instruction_no, format('attempt %s used number %s, which had been replaced', a.attempt_id, a.wire_no)
	  FROM refundx.former_number f
	  JOIN refundx.attempt a ON a.instruction_id = f.instruction_id AND a.wire_no = f.wire_no
	  JOIN refundx.instruction i ON i.instruction_id = f.instruction_id
	 WHERE EXISTS (SELECT FROM refundx.attempt n
					WHERE n.instruction_id = a.instruction_id AND n.attempt_id < a.attempt_id
					  AND (n.wire_no = i.wire_no
						   OR EXISTS (SELECT FROM refundx.former_number l
									   WHERE l.instruction_id = n.instruction_id AND l.wire_no = n.wire_no
										 AND l.replaced_at > f.replaced_at)));
COMMENT ON VIEW refundx.check_i09 IS 'I9: a wire number is one refund''s or withdrawal''s, what is sent for it was frozen first, and one is live at a time';

CREATE VIEW refundx.check_i10 AS
	SELECT i.instruction_no AS subject,
		   format('attempt %s began before attempt %s had ended', l.next_id, l.attempt_id) AS finding
	  FROM (SELECT a.instruction_id, a.attempt_id, e.received_at AS ended_at,
				   lead(a.attempt_id) OVER w AS next_id, lead(a.started_at) OVER w AS next_at
			  FROM refundx.attempt a
			  LEFT JOIN refundx.evidence e
				ON e.wire_no = a.wire_no AND e.merchant_id = a.merchant_id AND e.attempt_id = a.attempt_id
			WINDOW w AS (PARTITION BY a.instruction_id ORDER BY a.attempt_id)) l
	  JOIN refundx.instruction i USING (instruction_id)
	 WHERE l.next_id IS NOT NULL AND (l.ended_at IS NULL OR l.ended_at > l.next_at);
COMMENT ON VIEW refundx.check_i10 IS 'I10: one attempt of a refund or withdrawal at a time, each ended before the next';

CREATE VIEW refundx.check_i11 AS
	WITH steps AS (
		SELECT x.instruction_id, x.seq, x.type, x.from_state, x.to_state,
			   lag(x.to_state) OVER w AS before,
			   lead(x.seq) OVER w IS NULL AS last
		  FROM refundx.event x
		 WHERE x.instruction_id IS NOT NULL AND x.to_state IS NOT NULL
		WINDOW w AS (PARTITION BY x.instruction_id ORDER BY x.seq)
	), allowed AS (
		SELECT DISTINCT from_state, to_state FROM refundx.state_table() WHERE reaction = 'move'
	)
	SELECT i.instruction_no AS subject,
		   format('event %s (%s) goes from %s to %s, after %s', s.seq, s.type, coalesce(s.from_state, 'nothing'),
				  s.to_state, coalesce(s.before, 'nothing')) AS finding
	  FROM steps s JOIN refundx.instruction i USING (instruction_id)
	 WHERE s.from_state IS DISTINCT FROM s.before
		OR s.from_state IS NULL AND (s.type, s.to_state) NOT IN
		   (('submitted', 'queued'), ('submitted', 'awaiting_approval'), ('adopted', 'unknown'))
		OR s.from_state <> s.to_state
		   AND NOT EXISTS (SELECT FROM allowed a
							WHERE a.from_state = s.from_state AND a.to_state = s.to_state)
	UNION ALL
	SELECT i.instruction_no, format('it is %s, its history ends with %s', i.state, coalesce(s.to_state, 'nothing'))
	  FROM refundx.instruction i
	  LEFT JOIN steps s ON s.instruction_id = i.instruction_id AND s.last
	 WHERE s.to_state IS DISTINCT FROM i.state;
COMMENT ON VIEW refundx.check_i11 IS 'I11: the history of each refund and withdrawal is a path of the state table, and ends where it is';

-- A guard's triggers see every change, so what can break this is that they are gone
-- or do not fire.  In partitions as well: each has copies of the row triggers.
CREATE VIEW refundx.check_i16 AS
	WITH used AS (
		SELECT g.guard_id, g.relation, g.dropped_at, min(i.instruction_no) AS by
		  FROM refundx.instruction i
		  JOIN refundx.guard_lock l ON l.instruction_id = i.instruction_id AND l.lifted_at IS NULL
		  JOIN refundx.guard g ON g.guard_id = l.guard_id
		 WHERE i.is_open
		 GROUP BY g.guard_id)
	SELECT u.relation AS subject, format('%s locks a row of it, and its guard has lost its triggers', u.by) AS finding
	  FROM used u
	 WHERE u.dropped_at IS NOT NULL
		OR (SELECT count(*) FROM refundx.guard_trigger t WHERE t.guard_id = u.guard_id AND t.root) <> 3
	UNION ALL
	SELECT p.relid::regclass::text, format('%s locks a row of the table, and triggers of its guard do not fire here', u.by)
	  FROM used u
	  JOIN refundx.guard_trigger r ON r.guard_id = u.guard_id AND r.root AND r.event = 'update'
	 CROSS JOIN LATERAL (SELECT r.relid UNION SELECT t.relid FROM pg_partition_tree(r.relid) t) p
	 WHERE (SELECT count(*) FROM refundx.guard_trigger t
			 WHERE t.guard_id = u.guard_id AND t.relid = p.relid AND t.event <> 'truncate' AND t.always) <> 2;
COMMENT ON VIEW refundx.check_i16 IS 'I16: the triggers that guard a row which something in flight locks are there, and fire always';

CREATE VIEW refundx.check_i17 AS
	SELECT i.instruction_no AS subject, format('a notice says %s, which it never became', n.transition) AS finding
	  FROM refundx.notice n JOIN refundx.instruction i USING (instruction_id)
	 WHERE NOT EXISTS (SELECT FROM refundx.event x
						WHERE x.instruction_id = n.instruction_id AND x.to_state = n.transition
						  AND x.from_state IS DISTINCT FROM x.to_state);
COMMENT ON VIEW refundx.check_i17 IS 'I17: notices exist for transitions that happened only (and, by their key, at most one for each)';

CREATE VIEW refundx.check_i18 AS
	SELECT i.instruction_no AS subject,
		   CASE WHEN i.due_at IS NULL
				THEN format('it is %s since %s, with no due time and no person', i.state, i.state_since)
				ELSE format('it is %s and was due at %s', i.state, i.due_at) END AS finding
	  FROM refundx.instruction i
	  LEFT JOIN refundx.merchant_paused m ON m.merchant_id = i.merchant_id AND m.about = i.kind
	  LEFT JOIN refundx.payment p USING (payment_id)
	 CROSS JOIN (SELECT clock_timestamp() + current_setting('refundx.clock_offset')::interval
						- interval '15 min' AS at) late
	 WHERE i.is_open AND i.person_since IS NULL AND i.state <> 'awaiting_approval'
	   -- the runner has it, and a time for it
	   AND NOT EXISTS (SELECT FROM refundx.handler_run r WHERE r.instruction_id = i.instruction_id AND r.is_open AND r.blocks)
	   AND (i.due_at IS NULL AND (i.state <> 'sending' OR i.state_since < late.at)
			AND NOT (i.state <> 'sending' AND EXISTS (
				-- a query of it is under way
				SELECT FROM refundx.attempt a
				 WHERE a.instruction_id = i.instruction_id AND a.started_at >= late.at))
			OR i.due_at < late.at AND current_setting('refundx.dispatch')::boolean AND refundx.armed()
			   AND m.paused IS NULL AND p.hold IS NULL AND i.hold IS NULL AND NOT refundx.held_back(i.instruction_id)
			   AND NOT EXISTS (
				SELECT FROM refundx.payout o JOIN refundx.account a ON a.account_id = o.account_id
				 WHERE o.instruction_id = i.instruction_id AND a.hold IS NOT NULL));
COMMENT ON VIEW refundx.check_i18 IS 'I18: every open refund and withdrawal has a due time that is not long past, or is with a person, or waits for approval (a pause, a cap, a breaker, a hold and refundx.dispatch = off excuse it)';

CREATE VIEW refundx.check_i19 AS
	SELECT a.name AS subject,
		   format('line %s is of an instruction that is not of this account', j.version) AS finding
	  FROM refundx.journal j
	  JOIN refundx.account_name a USING (account_id)
	  LEFT JOIN refundx.instruction i ON i.instruction_id = j.instruction_id AND i.account_id = j.account_id
	 WHERE j.instruction_id IS NOT NULL AND i.instruction_id IS NULL AND j.type <> 'suspense'
	UNION ALL
	SELECT i.instruction_no, 'its payment is of another account'
	  FROM refundx.instruction i
	  JOIN refundx.payment p USING (payment_id)
	  LEFT JOIN refundx.account_name a ON a.account_id = i.account_id
	 WHERE a.own_id IS DISTINCT FROM p.account_id
	UNION ALL
	SELECT i.instruction_no, 'its money is frozen on another account than the one that pays it'
	  FROM refundx.instruction i
	  JOIN refundx.payout o USING (instruction_id)
	  LEFT JOIN refundx.account_name a ON a.account_id = i.account_id
	 WHERE a.own_id IS DISTINCT FROM o.account_id;
COMMENT ON VIEW refundx.check_i19 IS 'I19: no freeze without an owner, no owner without a freeze';

-- From when the cap was set: what was sent before is not its doing.
CREATE VIEW refundx.cap_overrun AS
	SELECT refundx.cap_text(c) AS subject, format('at %s it had let out %s and %s within its time', s.at, used.amount, used.number) AS finding,
		   c.cap_id, s.at
	  FROM refundx.cap c
	  JOIN refundx.cap_sent s ON s.cap_id = c.cap_id AND s.at >= c.set_at
	 CROSS JOIN LATERAL (
		SELECT f.n, f.total - f.amount AS before FROM refundx.cap_sent f
		 WHERE f.cap_id = c.cap_id AND f.at > s.at - c.within ORDER BY f.at, f.n LIMIT 1) f
	 CROSS JOIN LATERAL (
		SELECT s.total - f.before - coalesce(sum(a.amount), 0) AS amount, s.n - f.n + 1 - count(a.n) AS number
		  FROM refundx.cap_sent a
		 WHERE a.cap_id = c.cap_id AND a.again_at > s.at - c.within AND a.n <= s.n) used
	 WHERE used.amount > c.max_amount OR used.number > c.max_number;
COMMENT ON VIEW refundx.cap_overrun IS 'Where more was sent within a window than its cap allowed';

-- The clerk forgets days after a month, so of older ones a line may be missing.
CREATE VIEW refundx.check_i23 AS
	SELECT concat_ws(', ', coalesce(a.account_no, 'account row ' || d.account_id), c.name, d.day) AS subject,
		   format('the day''s last line says %s withdrawals of %s; what counts are %s of %s',
				  coalesce(d.withdrawals::text, 'no'), coalesce(d.amount::text, 'nothing'),
				  coalesce(w.withdrawals, 0), coalesce(w.amount, 0)) AS finding
	  FROM (SELECT DISTINCT ON (account_id, channel_id, day) account_id, channel_id, day, withdrawals, amount
			  FROM refundx.cap_line ORDER BY account_id, channel_id, day, n DESC) d
	  FULL JOIN (
		SELECT o.account_id, i.channel_id, o.capped_on AS day, count(*) AS withdrawals, sum(o.asked) AS amount
		  FROM refundx.payout o JOIN refundx.instruction i USING (instruction_id)
		 WHERE o.capped_on IS NOT NULL AND i.state NOT IN ('failed', 'canceled')
		 GROUP BY 1, 2, 3) w USING (account_id, channel_id, day)
	  LEFT JOIN refundx.account a USING (account_id)
	  LEFT JOIN refundx.channel c USING (channel_id)
	 WHERE (coalesce(d.withdrawals, 0), coalesce(d.amount, 0)) IS DISTINCT FROM
		   (coalesce(w.withdrawals, 0), coalesce(w.amount, 0))
	   AND (d.day IS NOT NULL
			OR w.day >= (clock_timestamp() + current_setting('refundx.clock_offset')::interval
						 - interval '30 days')::date)
	UNION ALL
	SELECT subject, finding FROM refundx.cap_overrun
	UNION ALL
	SELECT refundx.cap_text(c), format('line %s does not continue from line %s', s.n, s.before_n)
	  FROM (SELECT s.*, lag(s.n) OVER w AS before_n, lag(s.at) OVER w AS before_at, lag(s.total) OVER w AS before
			  FROM refundx.cap_sent s WINDOW w AS (PARTITION BY s.cap_id ORDER BY s.n)) s
	  JOIN refundx.cap c USING (cap_id)
	 WHERE s.before_n IS NOT NULL
	   AND (s.n <> s.before_n + 1 OR s.at < s.before_at OR s.total <> s.before + s.amount)
	UNION ALL
	SELECT i.instruction_no, format('it was sent at %s and took no room in %s', a.started_at, refundx.cap_text(c))
	  FROM refundx.cap c
	  JOIN refundx.attempt a ON a.call = 'submit' AND a.started_at >= c.set_at
	   AND a.started_at > clock_timestamp() + current_setting('refundx.clock_offset')::interval - c.within
	  JOIN refundx.instruction i ON i.instruction_id = a.instruction_id
	 WHERE c.removed_at IS NULL AND refundx.cap_concerns(c, i)
	   -- a login may have become a member meanwhile
	   AND (c.scope <> 'role' OR i.submitted_by = c.role_name)
	   AND NOT EXISTS (SELECT FROM refundx.cap_sent s
						WHERE s.instruction_id = i.instruction_id AND s.cap_id = c.cap_id AND s.at >= a.started_at);
COMMENT ON VIEW refundx.check_i23 IS 'I23: what an account has used of a day''s limit is the sum of its withdrawals of that day which have not failed and were not canceled; and what was sent in any window is within each cap, each number once, with a line for everything that was sent';

CREATE VIEW refundx.check_i24 AS
	SELECT i.instruction_no AS subject,
		   format('evidence %s contradicts it, and %s', x.evidence_id,
				  CASE WHEN i.person_since IS NULL THEN 'it is with nobody' ELSE 'its payment or account is not on hold' END) AS finding, i.instruction_id
	  FROM refundx.event x
	  JOIN refundx.instruction i USING (instruction_id)
	  LEFT JOIN refundx.payment p USING (payment_id)
	  LEFT JOIN refundx.account_name n ON n.account_id = i.account_id
	  LEFT JOIN refundx.account a ON a.account_id = n.own_id
	 WHERE x.type = 'contradiction'
	   AND (i.person_since IS NULL OR p.payment_id IS NOT NULL AND p.hold IS NULL
			OR a.account_id IS NOT NULL AND a.hold IS NULL)
	   AND NOT EXISTS (SELECT FROM refundx.event r
						WHERE r.instruction_id = i.instruction_id AND r.type = 'resolved' AND r.seq > x.seq);
COMMENT ON VIEW refundx.check_i24 IS 'I24: a finished refund or withdrawal that evidence contradicts has a hold, and is with a person';

-- By its own attempts: what evidence alone has moved on was sent by a database
-- that this one was restored from, and approved there.
CREATE VIEW refundx.check_approval AS
	SELECT i.instruction_no AS subject,
		   format('it was sent, and nobody had approved it, although %s', o.approval) AS finding, i.instruction_id
	  FROM refundx.instruction i JOIN refundx.payout o USING (instruction_id)
	 WHERE o.approval IS NOT NULL
	   AND (i.state = 'queued' AND o.approved_at IS NULL
			OR EXISTS (SELECT FROM refundx.attempt a
						WHERE a.instruction_id = i.instruction_id AND a.call = 'submit'
						  AND (o.approved_at IS NULL OR a.started_at < o.approved_at)));
COMMENT ON VIEW refundx.check_approval IS 'A withdrawal that needs a second person is neither queued nor sent before one has approved it';

-- The tables have no foreign keys on a refund's or withdrawal's way (see their head).
-- A call is open for as long as something waits for it, and for no longer.
CREATE VIEW refundx.check_handlers AS
	SELECT i.instruction_no AS subject, format('the runner has evidence %s, which is weighed', d.evidence_id) AS finding
	  FROM refundx.handed d
	  JOIN refundx.event x ON x.evidence_id = d.evidence_id
	  JOIN refundx.instruction i ON i.instruction_id = d.instruction_id
	UNION ALL
	SELECT i.instruction_no, format('a settlement waits for handler %s, and has taken place', r.handler_id)
	  FROM refundx.handler_run r
	  JOIN refundx.event x ON x.evidence_id = r.evidence_id
	  JOIN refundx.instruction i ON i.instruction_id = r.instruction_id
	 WHERE r.is_open AND r.blocks
	UNION ALL
	SELECT i.instruction_no, format('a settlement waits for handler %s, and nobody is to make it', r.handler_id)
	  FROM refundx.handler_run r JOIN refundx.instruction i USING (instruction_id)
	 WHERE r.is_open AND r.blocks AND NOT EXISTS (SELECT FROM refundx.handed d WHERE d.evidence_id = r.evidence_id)
	UNION ALL
	SELECT i.instruction_no, format('a notice says %s, which a handler has not followed', r.transition)
	  FROM refundx.handler_run r
	  JOIN refundx.notice n ON n.instruction_id = r.instruction_id AND n.transition = r.transition
	  JOIN refundx.instruction i ON i.instruction_id = r.instruction_id
	 WHERE r.is_open
	UNION ALL
	SELECT 'call ' || r.run_id, 'its handler, or its refund or withdrawal, does not exist'
	  FROM refundx.handler_run r
	 WHERE NOT EXISTS (SELECT FROM refundx.handler h WHERE h.handler_id = r.handler_id)
		OR NOT EXISTS (SELECT FROM refundx.instruction i WHERE i.instruction_id = r.instruction_id)
	UNION ALL
	SELECT 'evidence ' || d.evidence_id, 'the runner has it, and it does not exist'
	  FROM refundx.handed d
	 WHERE NOT EXISTS (SELECT FROM refundx.evidence e WHERE e.evidence_id = d.evidence_id);
COMMENT ON VIEW refundx.check_handlers IS 'Handlers: what a settlement or a notice waits for is waited for, and nothing else is; calls have their handler and their refund or withdrawal';

CREATE VIEW refundx.check_orphans AS
	SELECT i.instruction_no AS subject, 'its channel, merchant, payment or account does not exist' AS finding
	  FROM refundx.instruction i
	  LEFT JOIN refundx.channel c ON c.channel_id = i.channel_id AND c.merchant_id = i.merchant_id
	  LEFT JOIN refundx.payment p ON p.payment_id = i.payment_id AND p.channel_id = i.channel_id
	  LEFT JOIN refundx.account a ON a.account_id = i.account_id
	 WHERE c.channel_id IS NULL OR i.payment_id IS NOT NULL AND p.payment_id IS NULL
		OR i.account_id IS NOT NULL AND a.account_id IS NULL
	UNION ALL
	SELECT p.payment_no, 'its channel or account does not exist'
	  FROM refundx.payment p
	  LEFT JOIN refundx.channel c USING (channel_id)
	  LEFT JOIN refundx.account a ON a.account_id = p.account_id
	 WHERE c.channel_id IS NULL OR p.account_id IS NOT NULL AND a.account_no IS NULL
	UNION ALL
	SELECT coalesce(a.account_no, 'account row ' || s.account_id),
		   CASE WHEN a.account_id IS NULL THEN 'its account does not exist'
				ELSE 'it has another currency than its account, or is closed alone' END
	  FROM refundx.account s
	  LEFT JOIN refundx.account a ON a.account_id = s.slot_of
	 WHERE s.slot > 0
	   AND (a.account_id IS NULL OR (s.currency, s.closed) IS DISTINCT FROM (a.currency, a.closed))
	UNION ALL
	SELECT a.account_no, format('it has %s slots, and %s rows', a.slots, 1 + s.n)
	  FROM refundx.account a
	 CROSS JOIN LATERAL (SELECT count(*) AS n FROM refundx.account s WHERE s.slot_of = a.account_id) s
	 WHERE a.slot = 0 AND a.slots <> 1 + s.n
	UNION ALL
	SELECT i.instruction_no, CASE i.kind WHEN 'withdrawal' THEN 'what only a withdrawal has is missing'
							 ELSE 'it has what only a withdrawal has' END
	  FROM refundx.instruction i
	  LEFT JOIN refundx.payout o USING (instruction_id)
	 WHERE (i.kind = 'withdrawal') <> (o.instruction_id IS NOT NULL)
	UNION ALL
	SELECT 'payout of ' || o.instruction_id, 'its payee does not exist'
	  FROM refundx.payout o
	 WHERE o.payee_id IS NOT NULL
	   AND NOT EXISTS (SELECT FROM refundx.payee p WHERE p.payee_id = o.payee_id)
	UNION ALL
	SELECT 'event ' || x.seq, format('its evidence %s does not exist', x.evidence_id)
	  FROM refundx.event x
	 WHERE x.evidence_id IS NOT NULL
	   AND NOT EXISTS (SELECT FROM refundx.evidence e WHERE e.evidence_id = x.evidence_id)
	UNION ALL
	SELECT 'lock of row ' || l.key, format('its guard %s does not exist', l.guard_id)
	  FROM refundx.guard_lock l
	 WHERE NOT EXISTS (SELECT FROM refundx.guard g WHERE g.guard_id = l.guard_id)
	UNION ALL
	SELECT 'evidence ' || e.evidence_id, 'its channel does not exist'
	  FROM refundx.evidence e
	 WHERE NOT EXISTS (SELECT FROM refundx.channel c WHERE c.channel_id = e.channel_id);
COMMENT ON VIEW refundx.check_orphans IS 'Rows whose parents are missing, and withdrawals without what belongs to one; the tables that a refund or withdrawal passes through have no foreign keys';
