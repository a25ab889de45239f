/*
 * The operator's desk: one view for each kind of item that waits for a person, all
 * with the same columns, which refundx.desk (69_desk.sql) puts together, worst first.
 *
 * Who has another kind of item adds a view of these columns, and a line there:
 *
 *	severity	how bad, 1 is worst: the list is in doc/desk.md
 *	what		the kind of item, in a word or three
 *	subject		its number or name, as the functions take it
 *	channel, state, since, amount (minor units), currency
 *	reason		what happened
 *	evidence	what that is known from
 *	suggestion	what to do, in words
 *	call		the same as a statement to paste; what the reader must put in stands
 *				in it as 'why' and 'what you saw'
 */

-- A view's functions are called with the rights of who reads it: these are SECURITY
-- DEFINER, and granted to whoever may read the desk.
-- The last that was said about a number, in a line.
CREATE FUNCTION refundx.desk_evidence(merchant_id int, wire_no text, about text) RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('evidence %s (%s, %s): %s', e.evidence_id, e.source, CASE WHEN e.proof THEN 'proof' ELSE 'a hint' END,
				  concat_ws(', ', e.verdict, e.code, 'HTTP ' || e.http_status, to_char(e.received_at, 'YYYY-MM-DD HH24:MI:SS')))
	  FROM refundx.evidence e
	 WHERE e.merchant_id = $1 AND e.wire_no = $2 AND e.about = $3
	 ORDER BY e.evidence_id DESC LIMIT 1
$$;
COMMENT ON FUNCTION refundx.desk_evidence(int, text, text) IS 'The last piece of evidence about a number, in a line';

-- A statement to paste.
CREATE FUNCTION refundx.desk_call(function text, VARIADIC arguments text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL UNSAFE
AS $$
	SELECT format('SELECT * FROM refundx.%s(%s);', $1, (SELECT string_agg(quote_literal(a), ', ' ORDER BY n) FROM unnest($2) WITH ORDINALITY u (a, n)))
$$;
COMMENT ON FUNCTION refundx.desk_call(text, text[]) IS 'A call of an operator''s function, to paste';

-- What lifts the hold of a contradiction.
CREATE FUNCTION refundx.desk_contradiction_call(payment_id bigint, account_id bigint) RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT refundx.desk_call('resolve', i.instruction_no, CASE WHEN i.is_open OR i.state IN ('failed', 'canceled') THEN 'succeeded' ELSE i.state END, 'what you saw', 'why')
	  FROM refundx.desk_contradicted($1, $2) i LIMIT 1
$$;
COMMENT ON FUNCTION refundx.desk_contradiction_call(bigint, bigint) IS 'The call that resolves what a payment, or an account, is on hold for';

CREATE VIEW refundx.desk_instructions AS
	SELECT CASE WHEN k.contradicted THEN 10 WHEN NOT i.is_open THEN 40 ELSE 50 END AS severity,
		   i.kind::text AS what, i.instruction_no AS subject, c.name AS channel, i.state::text AS state,
		   i.person_since AS since, (i.amount + i.fee)::bigint AS amount, i.currency, i.person_reason AS reason,
		   refundx.desk_evidence(i.merchant_id, i.wire_no, i.kind) AS evidence, i.person_suggestion AS suggestion,
		   CASE WHEN i.is_open AND EXISTS (SELECT FROM refundx.handler_run r WHERE r.instruction_id = i.instruction_id AND r.is_open AND r.blocks)
				THEN format('SELECT refundx.handler_retry(%L, %L);', i.instruction_no, 'why')
				WHEN k.contradicted THEN refundx.desk_call('resolve', i.instruction_no,
						CASE WHEN i.is_open OR i.state IN ('failed', 'canceled') THEN 'succeeded' ELSE i.state END, 'what you saw', 'why')
				WHEN i.state = 'stopped' THEN refundx.desk_call('reissue', i.instruction_no, 'why')
				WHEN i.state = 'queued' AND i.cancel_requested_at IS NOT NULL THEN refundx.desk_call('resolve', i.instruction_no, 'canceled', 'what you saw', 'why')
				WHEN NOT i.may_send AND i.state = 'unknown' THEN refundx.desk_call('resolve', i.instruction_no, 'succeeded', 'what you saw', 'why')
				WHEN i.state = 'queued' THEN refundx.desk_call('retry', i.instruction_no, 'why')
				ELSE refundx.desk_call('query_now', i.instruction_no, 'why') END AS call
	  FROM refundx.instruction i
	  JOIN refundx.channel c USING (channel_id)
	 CROSS JOIN LATERAL (
		SELECT (SELECT max(x.seq) FROM refundx.event x
									WHERE x.instruction_id = i.instruction_id AND x.type = 'contradiction')
				> coalesce((SELECT max(r.seq) FROM refundx.event r
							 WHERE r.instruction_id = i.instruction_id AND r.type = 'resolved'), 0) AS contradicted) k
	 WHERE i.person_since IS NOT NULL;
COMMENT ON VIEW refundx.desk_instructions IS 'The desk''s refunds and withdrawals';

-- Their own hold, where evidence says nothing against them, is what somebody chose.
CREATE VIEW refundx.desk_holds AS
	SELECT CASE WHEN p.hold_by IN ('contradiction', 'external', 'overpaid') THEN 20 ELSE 60 END AS severity, 'payment on hold' AS what,
		   p.payment_no AS subject, c.name AS channel, NULL::text AS state, p.hold_since AS since,
		   (p.paid - p.refunded - p.returned - p.elsewhere - p.already_refunded)::bigint AS amount, p.currency::text AS currency,
		   p.hold AS reason, 'placed by ' || coalesce(p.hold_by, 'nobody knows') AS evidence,
		   CASE p.hold_by WHEN 'contradiction' THEN 'Resolve the refund that is contradicted; until then no refund of the payment is accepted or sent.'
						  ELSE 'Resolve what it says; until then no refund of the payment is accepted or sent.' END AS suggestion,
		   CASE p.hold_by WHEN 'contradiction' THEN refundx.desk_contradiction_call(p.payment_id, NULL)
						  ELSE refundx.desk_call('release', 'payment', p.payment_no, 'why', c.name) END AS call
	  FROM refundx.payment p JOIN refundx.channel c USING (channel_id)
	 WHERE p.hold IS NOT NULL
	UNION ALL
	SELECT CASE WHEN a.hold_by = 'contradiction' THEN 20 ELSE 60 END, 'account on hold', a.account_no, NULL, NULL, a.hold_since,
		   b.available + b.frozen, a.currency, a.hold, 'placed by ' || coalesce(a.hold_by, 'nobody knows'),
		   CASE a.hold_by WHEN 'contradiction' THEN 'Resolve what is contradicted; until then nothing is taken from the account.'
						  ELSE 'Resolve what it says; until then nothing is taken from the account.' END,
		   CASE a.hold_by WHEN 'contradiction' THEN refundx.desk_contradiction_call(NULL, a.account_id)
						  ELSE refundx.desk_call('release', 'account', a.account_no, 'why') END
	  FROM refundx.account a CROSS JOIN LATERAL refundx.desk_balance(a.account_id) b
	 WHERE a.hold IS NOT NULL
	UNION ALL
	SELECT 60, i.kind || ' on hold', i.instruction_no, c.name, i.state, i.hold_since, i.amount + i.fee, i.currency, i.hold,
		   'placed by ' || i.hold_by, 'Release it, or cancel it if it was never sent.',
		   refundx.desk_call('release', i.kind, i.instruction_no, 'why')
	  FROM refundx.instruction i JOIN refundx.channel c USING (channel_id)
	 WHERE i.hold IS NOT NULL AND i.hold_by NOT IN ('resolve', 'unproven');
COMMENT ON VIEW refundx.desk_holds IS 'The desk''s payments, accounts, refunds and withdrawals on hold';

CREATE VIEW refundx.desk_external AS
	SELECT 30 AS severity, 'external ' || x.about AS what, x.wire_no::text AS subject, c.name::text AS channel, NULL::text AS state,
		   x.seen_at AS since, x.amount, e.currency, x.person_reason AS reason,
		   refundx.desk_evidence(x.merchant_id, x.wire_no, x.about) AS evidence, x.person_suggestion AS suggestion,
		   CASE WHEN x.about = 'refund' AND p.payment_id IS NOT NULL AND x.amount IS NOT NULL
				THEN format('SELECT refundx.refund_adopt(%L, %L, %L, %s);', c.name, p.payment_no, x.wire_no, x.amount) || E'  -- or:\n'
				ELSE '' END
		   || format('SELECT * FROM refundx.external_ignore(%L, %L, %L, %L);', x.wire_no, 'why', c.name, x.about) AS call
	  FROM refundx.external_refund x
	  JOIN refundx.channel c USING (channel_id)
	  JOIN refundx.evidence e ON e.evidence_id = x.evidence_id
	  LEFT JOIN refundx.payment p ON p.payment_id = x.payment_id
	 WHERE x.ignored_at IS NULL
	   AND NOT EXISTS (SELECT FROM refundx.instruction i
						WHERE i.merchant_id = x.merchant_id AND i.kind = x.about AND i.wire_no = x.wire_no)
	   -- the bill has it as well: then it is one item, the break
	   AND NOT EXISTS (SELECT FROM refundx.break b
						WHERE b.merchant_id = x.merchant_id AND b.about = x.about AND b.wire_no = x.wire_no AND b.closed_at IS NULL);
COMMENT ON VIEW refundx.desk_external IS 'The desk''s refunds and withdrawals that were made elsewhere';

CREATE VIEW refundx.desk_merchants AS
	SELECT 40 AS severity, 'merchant''s ' || p.about || 's paused' AS what, m.merchant_no AS subject, m.kind AS channel,
		   p.paused AS state, p.since, w.amount, w.currency, p.reason,
		   concat_ws('; ', coalesce(w.n, 0) || ' wait', 'tried again at ' || p.probe_at) AS evidence,
		   CASE p.paused WHEN 'hold' THEN 'Do what the channel asks the merchant for, such as to fill up the balance.'
						 WHEN 'config' THEN 'See refundx.channel_check(): keys, clock, rights.'
						 WHEN 'operator' THEN 'An operator paused it, and resumes it.'
						 ELSE 'refundx paused it: find out what the reason says, and resume it then.' END AS suggestion,
		   CASE WHEN p.paused IN ('hold', 'config') THEN
		   (SELECT string_agg(format('SELECT * FROM refundx.channel_check(%L);', c.name), ' ' ORDER BY c.name)
			  FROM refundx.channel c WHERE c.merchant_id = p.merchant_id)
		   ELSE format('SELECT refundx.resume(''merchant'', %L, %L, about => %L);', m.merchant_no, 'why', p.about) END AS call
	  FROM refundx.merchant_paused p
	  JOIN refundx.merchant m USING (merchant_id)
	  LEFT JOIN LATERAL (
		-- of one currency, or it is not summed
		SELECT count(*) AS n, CASE WHEN min(i.currency) = max(i.currency) THEN sum(i.amount)::bigint END AS amount,
			   CASE WHEN min(i.currency) = max(i.currency) THEN min(i.currency) END AS currency
		  FROM refundx.instruction i
		 WHERE i.is_open AND i.state = 'queued' AND i.merchant_id = p.merchant_id AND i.kind = p.about) w ON true;
COMMENT ON VIEW refundx.desk_merchants IS 'The desk''s merchants that are paused, and how much waits for each';

CREATE VIEW refundx.desk_pauses AS
	SELECT 40 AS severity, concat_ws(' ', p.scope, 'paused') AS what, coalesce(refundx.pause_subject(p), 'everything') AS subject, NULL::text AS channel,
		   p.cause AS state, p.since, NULL::bigint AS amount, NULL::text AS currency, p.reason, NULL::text AS evidence,
		   CASE p.cause WHEN 'operator' THEN 'An operator paused it, and resumes it.'
						ELSE 'refundx paused it: find out what the reason says, and resume it then.' END AS suggestion,
		   format('SELECT refundx.resume(%L, %L, %L);', p.scope, refundx.pause_subject(p), 'why') AS call
	  FROM refundx.pause p
	 WHERE p.scope <> 'merchant';
COMMENT ON VIEW refundx.desk_pauses IS 'The desk''s pauses of accounts, roles and everything';

CREATE VIEW refundx.desk_notices WITH (security_barrier) AS
	SELECT 90 AS severity, 'notice' AS what, i.instruction_no::text AS subject, n.provider AS channel, n.state, n.done_at AS since,
		   NULL::bigint AS amount, NULL::text AS currency, coalesce(n.message, n.outcome) AS reason,
		   format('notice %s: %s, to %s, %s', n.notice_id, n.transition, coalesce(n.phone_masked, 'nobody yet'), concat_ws(' ', n.code, n.tries || ' tries')) AS evidence,
		   CASE i.kind WHEN 'refund' THEN 'Find out at the provider whether it was sent; tell the payer otherwise.'
					   ELSE 'Find out at the provider whether it was sent; tell the payee otherwise.' END AS suggestion,
		   format('SELECT * FROM refundx.notice_resend(%s, %L);', n.notice_id, 'why') AS call
	  FROM refundx.notice n JOIN refundx.instruction i USING (instruction_id)
	 WHERE n.state IN ('with_person', 'ambiguous', 'failed');
COMMENT ON VIEW refundx.desk_notices IS 'The desk''s messages that were given up, or may have been sent';

CREATE VIEW refundx.operator_requests AS
	SELECT r.request_id, r.at, coalesce(r.actor, r.by_user) AS asked_by, r.by_user, r.action, r.kind, r.subject, r.channel,
		   r.arguments->>'outcome' AS resolve_as, r.arguments->>'evidence' AS seen, r.reason, r.amount, r.currency, r.why,
		   r.asked_at,
		   CASE WHEN r.outcome IS NOT NULL THEN r.outcome
				WHEN r.action = 'resolve' AND r.asked_at IS NOT NULL AND NOT i.is_open THEN 'overtaken: it is ' || i.state
				WHEN r.asked_at IS NULL THEN 'waits for a second person'
				WHEN q.answers IS NULL THEN 'waits for the channel''s answer'
				WHEN q.answers && ARRAY['accepted', 'succeeded', 'abnormal', 'returned'] THEN 'contradicted by the channel'
				WHEN q.answers && ARRAY['not_found', 'refused', 'dead', 'canceled', 'reversed'] THEN 'waits for a second person'
				ELSE 'waits for the channel''s answer' END AS status,
		   r.done_at, r.done_by
	  FROM refundx.operator_request r
	  LEFT JOIN refundx.instruction i ON i.instruction_id = r.instruction_id
	  LEFT JOIN LATERAL (
		SELECT array_agg(e.verdict) AS answers FROM refundx.evidence e
		 WHERE r.asked_at IS NOT NULL AND r.done_at IS NULL AND e.merchant_id = i.merchant_id AND e.wire_no = i.wire_no
		   AND e.about = i.kind AND e.source = 'query' AND e.attempt_started_at >= r.asked_at) q ON true;
COMMENT ON VIEW refundx.operator_requests IS 'What operators have asked for that a second person has to confirm, and what became of it; amounts in minor units';
COMMENT ON COLUMN refundx.operator_requests.why IS 'Why a second person has to agree';
COMMENT ON COLUMN refundx.operator_requests.asked_at IS 'A query of the channel that began after this has to be answered first; null: none has';

CREATE VIEW refundx.desk_requests AS
	SELECT 25 AS severity, 'request ' || r.request_id AS what, r.subject, r.channel, r.status AS state, r.at AS since, r.amount, r.currency,
		   format('%s wants to %s %s %s%s: %s', r.asked_by, r.action, r.kind, r.subject, ' as ' || r.resolve_as, r.reason) AS reason,
		   concat_ws('; ', r.why, r.seen) AS evidence,
		   CASE WHEN r.status LIKE 'waits for a second%' THEN 'Another person confirms it, or anybody declines it.'
				WHEN r.status LIKE 'waits%' THEN 'Wait for the channel''s answer.'
				ELSE 'Decline it.' END AS suggestion,
		   format('SELECT * FROM refundx.%s(%s, %L);', CASE WHEN r.status LIKE 'waits%' THEN 'confirm' ELSE 'decline' END, r.request_id, 'why') AS call
	  FROM refundx.operator_requests r
	 WHERE r.done_at IS NULL;
COMMENT ON VIEW refundx.desk_requests IS 'The desk''s requests that a second person has to confirm';

CREATE VIEW refundx.desk_approvals AS
	SELECT 70 AS severity, 'approval' AS what, i.instruction_no::text AS subject, c.name::text AS channel, i.state::text AS state,
		   i.submitted_at AS since, (i.amount + i.fee)::bigint AS amount, i.currency,
		   coalesce(o.approval, 'a second person has to agree') AS reason,
		   format('submitted by %s, to %s', coalesce(o.actor, i.submitted_by), coalesce(o.payee_masked, 'nobody known')) AS evidence,
		   'Another person than who submitted it approves or rejects it.' AS suggestion,
		   format('SELECT * FROM refundx.approve(%L, %L);  -- or reject', i.instruction_no, 'why') AS call
	  FROM refundx.instruction i
	  JOIN refundx.channel c USING (channel_id)
	  JOIN refundx.payout o ON o.instruction_id = i.instruction_id
	 WHERE i.is_open AND i.state = 'awaiting_approval';
COMMENT ON VIEW refundx.desk_approvals IS 'The desk''s withdrawals that wait for a second person';

-- A receiver that fails is tried again by itself; what was given up, and a receiver that
-- wants no more, are for a person.
CREATE VIEW refundx.desk_webhooks AS
	SELECT 80 AS severity, 'webhook' AS what, w.name::text AS subject, NULL::text AS channel, w.state,
		   coalesce(w.paused_since, w.failing_since, d.since) AS since, NULL::bigint AS amount, NULL::text AS currency,
		   CASE WHEN w.paused IS NOT NULL THEN format('it is paused (%s): %s', w.paused, coalesce(w.paused_reason, w.last_error, 'no reason given'))
				ELSE format('%s events were given up: %s', w.dead, coalesce(w.last_error, 'it failed, and works again')) END AS reason,
		   format('%s events given up, %s wait', w.dead, w.waiting) AS evidence,
		   CASE WHEN w.paused IS NOT NULL THEN 'Mend the receiver, and resume it; what waits is sent then.'
				ELSE 'Mend the receiver, and have the events sent again.' END AS suggestion,
		   CASE WHEN w.paused IS NOT NULL THEN format('SELECT refundx.webhook_resume(%L, %L);', w.name, 'why')
				ELSE format('SELECT refundx.webhook_redrive(%L, %L, %L);', w.name, d.since, 'why') END AS call
	  FROM refundx.webhooks w
	 CROSS JOIN LATERAL (
		SELECT min(q.happened_at) AS since FROM refundx.webhook_deliveries q WHERE q.webhook = w.name AND q.state = 'dead') d
	 WHERE w.paused IS NOT NULL OR w.dead > 0;
COMMENT ON VIEW refundx.desk_webhooks IS 'The desk''s webhooks that are paused, or whose events were given up';

CREATE VIEW refundx.desk_suspense AS
	SELECT 15 AS severity, 'suspense account below zero' AS what, a.account_no::text AS subject, m.kind AS channel, NULL::text AS state,
		   l.since, -b.available AS amount, a.currency::text AS currency,
		   'refunds or withdrawals were paid after their money had been released, and their accounts did not have it' AS reason,
		   l.which AS evidence, 'Get it back, or write it off; then say so.' AS suggestion,
		   format('SELECT * FROM refundx.suspense_settle(%L, %s, %L, %L);', a.account_no, -b.available, 'booking number', 'why') AS call
	  FROM refundx.account a
	  JOIN refundx.merchant m ON m.merchant_id = a.suspense_of
	 CROSS JOIN LATERAL refundx.desk_balance(a.account_id) b
	 CROSS JOIN LATERAL (
		SELECT min(j.at) AS since, string_agg(i.kind || ' ' || i.instruction_no, ', ' ORDER BY j.version) AS which
		  FROM refundx.journal j JOIN refundx.instruction i USING (instruction_id)
		 WHERE j.account_id = a.account_id AND j.type = 'suspense') l
	 WHERE a.suspense_of IS NOT NULL AND b.available < 0;
COMMENT ON VIEW refundx.desk_suspense IS 'The desk''s suspense accounts that are below zero';
