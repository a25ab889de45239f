/*
 * Views.  The tables are private and may change; these are what is read.
 *
 * They read with the owner's rights.  No telephone number is in any of them
 * but masked, and security_barrier keeps a reader's own conditions from being
 * evaluated on rows and columns that the view does not show.  Amounts are in
 * minor units; where people read them, *_text stands beside them.
 */
CREATE VIEW refundx.channel_settings AS
	SELECT c.channel_id, c.name, c.kind, c.merchant_id, m.merchant_no, c.revision, c.closed, c.config
	  FROM refundx.channel c JOIN refundx.merchant m USING (merchant_id);
COMMENT ON VIEW refundx.channel_settings IS 'Channels as the workers need them; key files are named, no key is in it';

CREATE VIEW refundx.refunds WITH (security_barrier) AS
	SELECT i.instruction_no AS refund_no, c.name AS channel, p.payment_no, i.amount, i.currency,
		   refundx.format_amount(i.amount, i.currency) AS amount_text,
		   i.reason, i.state, i.is_open, i.detail, i.state_since, i.due_at, i.due_call,
		   i.attempts, i.polls, i.person_reason AS with_person, i.person_suggestion AS suggestion,
		   i.person_since AS with_person_since, i.payer_amount,
		   refundx.format_amount(i.payer_amount, i.currency) AS payer_amount_text,
		   i.received_by, i.channel_refund_id, a.account_no AS account, i.wire_no, i.may_send,
		   i.first_attempt_at, i.last_attempt_at, i.submitted_at, i.submitted_by
	  FROM refundx.instruction i
	  JOIN refundx.channel c USING (channel_id)
	  LEFT JOIN refundx.payment p ON p.payment_id = i.payment_id
	  LEFT JOIN refundx.account_name a ON a.account_id = i.account_id
	 WHERE i.kind = 'refund'
	   AND (i.submitted_by = session_user OR (SELECT refundx.reads_all()));
COMMENT ON VIEW refundx.refunds IS 'Refunds, to an application its own; refundx.refund_explain(refund_no) says what one waits for';
COMMENT ON COLUMN refundx.refunds.amount IS 'Minor units of currency; amount_text is the same for people';
COMMENT ON COLUMN refundx.refunds.payer_amount IS 'What the payer really gets, where the channel says so; minor units';
COMMENT ON COLUMN refundx.refunds.detail IS 'The channel''s code or status that led to the state';
COMMENT ON COLUMN refundx.refunds.due_at IS 'When due_call (submit or query) is made next; null: a call is under way, or it is finished';
COMMENT ON COLUMN refundx.refunds.with_person IS 'Why a person has to look at it; suggestion says what to do';
COMMENT ON COLUMN refundx.refunds.wire_no IS 'The number that the channel sees';
COMMENT ON COLUMN refundx.refunds.may_send IS 'False for an adopted refund: it is asked about, not sent';

CREATE VIEW refundx.inflight AS
	SELECT refund_no, channel, payment_no, amount, currency, amount_text, state, detail,
		   state_since, clock_timestamp() - submitted_at AS age, due_at, due_call, attempts, polls, with_person
	  FROM refundx.refunds WHERE is_open;
COMMENT ON VIEW refundx.inflight IS 'Refunds that are not finished: their amounts are frozen, and each has a due time or is with a person';

CREATE VIEW refundx.unknown AS
	SELECT CASE WHEN i.kind = 'refund' THEN i.instruction_no END AS refund_no,
		   CASE WHEN i.kind = 'withdrawal' THEN i.instruction_no END AS withdrawal_no, c.name AS channel, i.wire_no, i.amount, i.currency,
		   i.state_since, clock_timestamp() - i.state_since AS unknown_for, i.attempts, i.polls,
		   i.unexplained, i.refusal, e.source AS last_source, e.http_status, e.code, e.message,
		   e.received_at AS last_heard, i.due_at, i.person_reason AS with_person
	  FROM refundx.instruction i
	  JOIN refundx.channel c USING (channel_id)
	  LEFT JOIN LATERAL (
		SELECT * FROM refundx.evidence e
		 WHERE e.merchant_id = i.merchant_id AND e.wire_no = i.wire_no AND e.about = i.kind
		 ORDER BY e.evidence_id DESC LIMIT 1) e ON true
	 WHERE i.is_open AND i.state = 'unknown';
COMMENT ON VIEW refundx.unknown IS 'Refunds and withdrawals that may or may not have been executed, with the last that was heard; they are asked about, never sent again before';
COMMENT ON COLUMN refundx.unknown.unexplained IS 'Attempts of which nobody knows whether they were executed';
COMMENT ON COLUMN refundx.unknown.refusal IS 'The code of an unsigned refusal that a query has still to confirm';

CREATE VIEW refundx.payments WITH (security_barrier) AS
	SELECT c.name AS channel, p.payment_no, p.currency, p.paid,
		   refundx.format_amount(p.paid, p.currency) AS paid_text,
		   p.refunding, p.refunded, p.returned, p.elsewhere, p.already_refunded,
		   p.paid - p.refunding - p.refunded - p.returned - p.elsewhere - p.already_refunded AS refundable,
		   refundx.format_amount(p.paid - p.refunding - p.refunded - p.returned - p.elsewhere - p.already_refunded,
								 p.currency) AS refundable_text,
		   p.parts, a.account_no AS account, p.channel_payment_id, p.paid_at, p.hold,
		   EXISTS (SELECT FROM refundx.payment_contact t WHERE t.payment_id = p.payment_id) AS has_contact,
		   p.recorded_at
	  FROM refundx.payment p
	  JOIN refundx.channel c USING (channel_id)
	  LEFT JOIN refundx.account a ON a.account_id = p.account_id
	 WHERE (SELECT refundx.reads_all())
		OR p.recorded_by = session_user
		OR EXISTS (SELECT FROM refundx.instruction i
					WHERE i.payment_id = p.payment_id AND i.submitted_by = session_user);
COMMENT ON VIEW refundx.payments IS 'Payments, to an application those that it has recorded or refunded: what was paid, how much is being refunded, has been, and is left; minor units of currency';
COMMENT ON COLUMN refundx.payments.refunding IS 'Frozen for refunds that are not finished';
COMMENT ON COLUMN refundx.payments.returned IS 'Came back after it was refunded; reserved for a reissue';
COMMENT ON COLUMN refundx.payments.elsewhere IS 'Refunded by others, as evidence showed: see refundx.external_refunds';
COMMENT ON COLUMN refundx.payments.hold IS 'Why no refund of it is accepted or sent until a person has resolved that';

-- The further slots are only looked for where there are any.
CREATE VIEW refundx.accounts WITH (security_barrier) AS
	SELECT a.account_no AS account, a.currency, b.available,
		   refundx.format_amount(b.available, a.currency) AS available_text,
		   b.frozen, refundx.format_amount(b.frozen, a.currency) AS frozen_text,
		   b.version, a.slots, a.hold, a.closed, b.moved_at, a.opened_at
	  FROM refundx.account a
	  LEFT JOIN LATERAL (
		SELECT * FROM refundx.journal j WHERE j.account_id = a.account_id
		 ORDER BY j.version DESC LIMIT 1) j ON true
	  LEFT JOIN LATERAL (
		SELECT sum(j.available) AS available, sum(j.frozen) AS frozen, sum(j.version) AS version, max(j.at) AS at
		  FROM refundx.account s
		 CROSS JOIN LATERAL (
			SELECT * FROM refundx.journal j WHERE j.account_id = s.account_id
			 ORDER BY j.version DESC LIMIT 1) j
		 WHERE a.slots > 1 AND s.slot_of = a.account_id) o ON true
	 CROSS JOIN LATERAL (
		-- slots together may hold more than a bigint does: then it is shown as full
		SELECT least(coalesce(j.available, 0) + coalesce(o.available, 0), 9223372036854775807)::bigint AS available,
			   least(coalesce(j.frozen, 0) + coalesce(o.frozen, 0), 9223372036854775807)::bigint AS frozen,
			   (coalesce(j.version, 0) + coalesce(o.version, 0))::bigint AS version,
			   greatest(j.at, o.at) AS moved_at) b
	 WHERE a.slot = 0
	   AND (a.opened_by = session_user OR (SELECT refundx.reads_all()));
COMMENT ON VIEW refundx.accounts IS 'Accounts, to an application those that it has opened, with their balance, which is their newest journal line, summed over their slots; minor units of currency';
COMMENT ON COLUMN refundx.accounts.version IS 'How many journal lines it has';
COMMENT ON COLUMN refundx.accounts.slots IS 'Over how many rows its balance is spread';
COMMENT ON COLUMN refundx.accounts.hold IS 'Why nothing is taken from it until a person has resolved that';
COMMENT ON COLUMN refundx.accounts.closed IS 'Why it was closed; null: it is open';

CREATE VIEW refundx.journal_lines AS
	SELECT a.account_no AS account, s.slot, j.version, j.at, j.type, CASE WHEN i.kind = 'refund' THEN i.instruction_no END AS refund_no,
		   CASE WHEN i.kind = 'withdrawal' THEN i.instruction_no END AS withdrawal_no, j.reference,
		   j.d_available, j.d_frozen, j.d_outside, j.available, j.frozen, a.currency, j.note, j.by
	  FROM refundx.journal j
	  JOIN refundx.account s USING (account_id)
	  JOIN refundx.account a ON a.account_id = coalesce(s.slot_of, s.account_id)
	  LEFT JOIN refundx.instruction i ON i.instruction_id = j.instruction_id;
COMMENT ON VIEW refundx.journal_lines IS '流水: one line for each change of an account, with the balance after it; d_* sum to zero; minor units of currency';
COMMENT ON COLUMN refundx.journal_lines.slot IS 'Which part of the account, if it was opened with slots; version, available and frozen are that slot''s';
COMMENT ON COLUMN refundx.journal_lines.type IS 'slot_out and slot_in move money between slots; all others are the account''s';

CREATE VIEW refundx.attempts AS
	SELECT a.attempt_id, CASE WHEN i.kind = 'refund' THEN i.instruction_no END AS refund_no,
		   CASE WHEN i.kind = 'withdrawal' THEN i.instruction_no END AS withdrawal_no, c.name AS channel, a.call, a.wire_no, a.backup_host,
		   a.started_at, e.received_at AS ended_at, e.received_at - a.started_at AS took,
		   e.http_status, e.code, e.verdict, e.proof, e.message, e.request_id
	  FROM refundx.attempt a
	  JOIN refundx.instruction i USING (instruction_id)
	  JOIN refundx.channel c ON c.channel_id = i.channel_id
	  LEFT JOIN LATERAL (
		SELECT * FROM refundx.evidence e
		 WHERE e.wire_no = a.wire_no AND e.merchant_id = a.merchant_id AND e.attempt_id = a.attempt_id
		 LIMIT 1) e ON true;
COMMENT ON VIEW refundx.attempts IS 'Every call to a channel, committed before it was made, with its answer; no ended_at: under way, or lost in a crash';

CREATE VIEW refundx.evidence_log AS
	SELECT e.evidence_id, e.received_at, c.name AS channel, e.source, e.wire_no, CASE WHEN i.kind = 'refund' THEN i.instruction_no END AS refund_no,
		   CASE WHEN i.kind = 'withdrawal' THEN i.instruction_no END AS withdrawal_no,
		   e.verdict, e.proof, e.http_status, e.code, e.message, e.detail, e.payment_no,
		   e.channel_payment_id, e.channel_refund_id, e.amount, e.payer_amount, e.currency,
		   e.occurred_at, e.request_id, encode(e.digest, 'hex') AS digest,
		   x.at AS weighed_at, x.type AS outcome, x.note
	  FROM refundx.evidence e
	  JOIN refundx.channel c USING (channel_id)
	  LEFT JOIN refundx.former_number f ON f.merchant_id = e.merchant_id AND f.wire_no = e.wire_no AND f.about = e.about
	  LEFT JOIN refundx.instruction i ON i.instruction_id = coalesce(f.instruction_id,
			(SELECT l.instruction_id FROM refundx.instruction l
			  WHERE l.merchant_id = e.merchant_id AND l.wire_no = e.wire_no AND l.kind = e.about))
	  LEFT JOIN refundx.event x ON x.evidence_id = e.evidence_id;
COMMENT ON VIEW refundx.evidence_log IS 'What channels said, and what it came to; no weighed_at: waits for the settler, or for a row that somebody has locked';
COMMENT ON COLUMN refundx.evidence_log.proof IS 'Whether it may move money; otherwise it only makes us ask';

CREATE VIEW refundx.events AS
	SELECT x.seq, x.at, CASE WHEN i.kind = 'refund' THEN i.instruction_no END AS refund_no,
		   CASE WHEN i.kind = 'withdrawal' THEN i.instruction_no END AS withdrawal_no, x.type, x.from_state, x.to_state,
		   x.actor, x.note, x.evidence_id
	  FROM refundx.event x
	  LEFT JOIN refundx.instruction i USING (instruction_id);
COMMENT ON VIEW refundx.events IS 'What happened, one row for each transition and each piece of evidence weighed';

CREATE VIEW refundx.notices WITH (security_barrier) AS
	SELECT n.notice_id, CASE WHEN i.kind = 'refund' THEN i.instruction_no END AS refund_no,
		   CASE WHEN i.kind = 'withdrawal' THEN i.instruction_no END AS withdrawal_no, n.transition, n.sink, n.provider, n.state, n.tries,
		   n.next_at, coalesce(n.phone_masked, refundx.mask_phone(coalesce(t.phone, d.phone))) AS phone,
		   n.outcome, n.code, n.message, n.provider_id, n.created_at, n.done_at
	  FROM refundx.notice n
	  JOIN refundx.instruction i USING (instruction_id)
	  LEFT JOIN refundx.payment_contact t ON t.payment_id = i.payment_id
	  LEFT JOIN refundx.payout_contact d ON d.instruction_id = i.instruction_id;
COMMENT ON VIEW refundx.notices IS 'Messages to payers and payees, at most one per refund or withdrawal, transition and sink; a state of ambiguous may have been sent and is not repeated';
COMMENT ON COLUMN refundx.notices.phone IS 'Masked';

CREATE VIEW refundx.channels AS
	SELECT c.name, c.kind, m.merchant_no, c.closed, c.config, c.revision, c.created_at,
		   (SELECT string_agg(p.about || 's: ' || p.paused, ', ' ORDER BY p.about)
			  FROM refundx.merchant_paused p WHERE p.merchant_id = m.merchant_id) AS merchant_paused
	  FROM refundx.channel c JOIN refundx.merchant m USING (merchant_id);
COMMENT ON VIEW refundx.channels IS 'Configured channels; config names key files, no key is in it';

CREATE VIEW refundx.merchants AS
	SELECT m.kind, m.merchant_no, r.paused, r.reason AS paused_reason, r.since AS paused_since,
		   r.probe_at, r.probes, w.paused AS withdrawals_paused, w.reason AS withdrawals_paused_reason,
		   w.since AS withdrawals_paused_since, w.probe_at AS withdrawals_probe_at,
		   (SELECT array_agg(c.name ORDER BY c.name) FROM refundx.channel c
			 WHERE c.merchant_id = m.merchant_id) AS channels
	  FROM refundx.merchant m
	  LEFT JOIN refundx.merchant_paused r ON r.merchant_id = m.merchant_id AND r.about = 'refund'
	  LEFT JOIN refundx.merchant_paused w ON w.merchant_id = m.merchant_id AND w.about = 'withdrawal';
COMMENT ON VIEW refundx.merchants IS 'Merchants as channels know them; what is paused is probed at probe_at, and resumes by itself unless refundx.pause() or refundx itself paused it';
COMMENT ON COLUMN refundx.merchants.paused IS 'Why no refund of it is sent; its withdrawals are paid from another balance and have a pause of their own';

CREATE VIEW refundx.verdicts AS SELECT * FROM refundx.verdict_table();
COMMENT ON VIEW refundx.verdicts IS 'What each answer of a channel means; the first row (n) that fits decides, null fits everything, unlisted is unknown';

CREATE VIEW refundx.states AS SELECT * FROM refundx.state_table();
COMMENT ON VIEW refundx.states IS 'The state table: what each state makes of each thing that can happen';

CREATE VIEW refundx.callbacks AS
	SELECT k.channel, k.result, sum(k.n)::bigint AS n, min(k.at) AS first_at, max(k.at) AS last_at
	  FROM refundx.callback_count k GROUP BY k.channel, k.result;
COMMENT ON VIEW refundx.callbacks IS 'Callbacks that were refused or ignored, by reason; those that were kept are in refundx.evidence_log';

CREATE VIEW refundx.external_refunds AS
	SELECT c.name AS channel, x.about, x.wire_no, p.payment_no, x.amount, x.counted, x.seen_at,
		   x.person_reason AS with_person, x.person_suggestion AS suggestion, x.evidence_id, x.ignored_at, x.ignored_by
	  FROM refundx.external_refund x
	  JOIN refundx.channel c USING (channel_id)
	  LEFT JOIN refundx.payment p USING (payment_id);
COMMENT ON VIEW refundx.external_refunds IS 'Refunds and withdrawals (about) that were not made here, as evidence showed; counted: how much of the payment they take up, in minor units';

CREATE VIEW refundx.audit_log AS
	SELECT audit_id, at, by_user, actor, action, subject, reason, detail FROM refundx.audit;
COMMENT ON VIEW refundx.audit_log IS 'What operators did, and why';
