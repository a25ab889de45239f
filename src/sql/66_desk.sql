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

-- The last that was said about a number, in a line.
CREATE FUNCTION refundx.desk_evidence(merchant_id int, wire_no text, about text) RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE
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

CREATE VIEW refundx.desk_instructions AS
	SELECT CASE WHEN k.contradicted THEN 10 WHEN NOT i.is_open THEN 40 ELSE 50 END AS severity,
		   i.kind::text AS what, i.instruction_no AS subject, c.name AS channel, i.state::text AS state,
		   i.person_since AS since, (i.amount + i.fee)::bigint AS amount, i.currency, i.person_reason AS reason,
		   refundx.desk_evidence(i.merchant_id, i.wire_no, i.kind) AS evidence, i.person_suggestion AS suggestion,
		   CASE WHEN i.is_open AND EXISTS (SELECT FROM refundx.handler_run r WHERE r.instruction_id = i.instruction_id AND r.is_open AND r.blocks)
				THEN format('SELECT refundx.handler_retry(%L, %L);', i.instruction_no, 'why')
				WHEN i.state = 'queued' AND i.cancel_requested_at IS NULL THEN refundx.desk_call('retry', i.instruction_no, 'why')
				ELSE refundx.desk_call('query_now', i.instruction_no, 'why') END AS call
	  FROM refundx.instruction i
	  JOIN refundx.channel c USING (channel_id)
	 CROSS JOIN LATERAL (
		SELECT NOT i.is_open AND (SELECT max(x.seq) FROM refundx.event x
									WHERE x.instruction_id = i.instruction_id AND x.type = 'contradiction')
				> coalesce((SELECT max(r.seq) FROM refundx.event r
							 WHERE r.instruction_id = i.instruction_id AND r.type = 'resolved'), 0) AS contradicted) k
	 WHERE i.person_since IS NOT NULL;
COMMENT ON VIEW refundx.desk_instructions IS 'The desk''s refunds and withdrawals';

-- Their own hold, where evidence says nothing against them, is what somebody chose.
CREATE VIEW refundx.desk_holds AS
	SELECT CASE WHEN p.hold_by IN ('contradiction', 'external') THEN 20 ELSE 60 END AS severity, 'payment on hold' AS what,
		   p.payment_no AS subject, c.name AS channel, NULL::text AS state, p.hold_since AS since,
		   (p.paid - p.refunded - p.returned - p.elsewhere - p.already_refunded)::bigint AS amount, p.currency::text AS currency,
		   p.hold AS reason, 'placed by ' || coalesce(p.hold_by, 'nobody knows') AS evidence,
		   CASE p.hold_by WHEN 'contradiction' THEN 'Resolve the refund that is contradicted; until then no refund of the payment is accepted or sent.'
						  ELSE 'Resolve what it says; until then no refund of the payment is accepted or sent.' END AS suggestion,
		   refundx.desk_call('release', 'payment', p.payment_no, 'why', c.name) AS call
	  FROM refundx.payment p JOIN refundx.channel c USING (channel_id)
	 WHERE p.hold IS NOT NULL
	UNION ALL
	SELECT CASE WHEN a.hold_by = 'contradiction' THEN 20 ELSE 60 END, 'account on hold', a.account_no, NULL, NULL, a.hold_since,
		   b.available + b.frozen, a.currency, a.hold, 'placed by ' || coalesce(a.hold_by, 'nobody knows'),
		   CASE a.hold_by WHEN 'contradiction' THEN 'Resolve what is contradicted; until then nothing is taken from the account.'
						  ELSE 'Resolve what it says; until then nothing is taken from the account.' END,
		   refundx.desk_call('release', 'account', a.account_no, 'why')
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
						WHERE i.merchant_id = x.merchant_id AND i.kind = x.about AND i.wire_no = x.wire_no);
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
