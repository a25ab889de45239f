/*
 * Views of withdrawals.  Whom they pay is masked in all of them.
 */
CREATE VIEW refundx.withdrawals WITH (security_barrier) AS
	SELECT i.instruction_no AS withdrawal_no, a.account_no AS account, c.name AS channel, o.asked AS amount,
		   i.fee, i.amount AS net, i.currency, refundx.format_amount(i.amount, i.currency) AS net_text,
		   o.payee_masked AS payee, i.reason, i.state, i.is_open, i.detail, i.state_since, i.due_at, i.due_call,
		   i.attempts, i.polls, i.cancel_requested_at, o.approval, i.person_reason AS with_person,
		   i.person_suggestion AS suggestion, i.person_since AS with_person_since, i.channel_refund_id AS channel_transfer_id,
		   i.wire_no, i.first_attempt_at, i.last_attempt_at, i.submitted_at, i.submitted_by, o.actor, o.erased_at
	  FROM refundx.instruction i
	  JOIN refundx.channel c USING (channel_id)
	  JOIN refundx.payout o ON o.instruction_id = i.instruction_id
	  LEFT JOIN refundx.account a ON a.account_id = o.account_id
	 WHERE i.kind = 'withdrawal'
	   AND (i.submitted_by = session_user OR (SELECT refundx.reads_all()));
COMMENT ON VIEW refundx.withdrawals IS 'Withdrawals, to an application its own; refundx.withdraw_explain(withdrawal_no) says what one waits for';
COMMENT ON COLUMN refundx.withdrawals.amount IS 'What was asked for; minor units of currency';
COMMENT ON COLUMN refundx.withdrawals.net IS 'What the payee gets; net + fee is what the account pays';
COMMENT ON COLUMN refundx.withdrawals.payee IS 'Masked; null once it was forgotten';
COMMENT ON COLUMN refundx.withdrawals.detail IS 'The channel''s code or status that led to the state, or that it waits in';
COMMENT ON COLUMN refundx.withdrawals.due_at IS 'When due_call (submit, query or cancel) is made next';
COMMENT ON COLUMN refundx.withdrawals.actor IS 'Who submitted it, where many share the login submitted_by';
COMMENT ON COLUMN refundx.withdrawals.erased_at IS 'When whom it paid was erased; it can no longer be sent again';

CREATE VIEW refundx.withdrawals_by_state AS
	SELECT c.name AS channel, i.state, i.currency, count(*) AS withdrawals, sum(i.amount)::bigint AS net,
		   min(i.state_since) AS oldest, count(*) FILTER (WHERE i.person_since IS NOT NULL) AS with_person
	  FROM refundx.instruction i JOIN refundx.channel c USING (channel_id)
	 WHERE i.kind = 'withdrawal'
	 GROUP BY c.name, i.state, i.currency;
COMMENT ON VIEW refundx.withdrawals_by_state IS 'How many withdrawals of each channel are in each state, and how much they pay; minor units of currency';

CREATE VIEW refundx.awaiting_approval AS
	SELECT i.instruction_no AS withdrawal_no, a.account_no AS account, c.name AS channel, o.asked AS amount,
		   i.fee, i.amount AS net, i.currency, o.payee_masked AS payee, i.reason, o.approval,
		   coalesce(o.actor, i.submitted_by) AS submitted_by_person, i.submitted_by, i.submitted_at,
		   clock_timestamp() - i.submitted_at AS age
	  FROM refundx.instruction i
	  JOIN refundx.channel c USING (channel_id)
	  JOIN refundx.payout o ON o.instruction_id = i.instruction_id
	  LEFT JOIN refundx.account a ON a.account_id = o.account_id
	 WHERE i.is_open AND i.state = 'awaiting_approval';
COMMENT ON VIEW refundx.awaiting_approval IS 'Withdrawals that wait for a second person, frozen, and why: refundx.approve(withdrawal_no, reason) or refundx.reject(withdrawal_no, reason), by another person than who submitted them';

CREATE VIEW refundx.awaiting_payee AS
	SELECT i.instruction_no AS withdrawal_no, c.name AS channel, i.amount AS net, i.currency, o.payee_masked AS payee,
		   i.detail, e.since, clock_timestamp() - e.since AS age, i.cancel_requested_at, i.submitted_by
	  FROM refundx.instruction i
	  JOIN refundx.channel c USING (channel_id)
	  JOIN refundx.payout o ON o.instruction_id = i.instruction_id
	  JOIN LATERAL (
		SELECT min(e.received_at) AS since FROM refundx.evidence e
		 WHERE e.merchant_id = i.merchant_id AND e.wire_no = i.wire_no AND e.about = i.kind
		   AND e.handover IS NOT NULL AND e.code = i.detail) e ON e.since IS NOT NULL
	 WHERE i.is_open AND i.kind = 'withdrawal' AND i.state = 'accepted';
COMMENT ON VIEW refundx.awaiting_payee IS 'Withdrawals that the payee must still confirm in the channel''s app, and since when; the login that submitted one gets what the app needs from refundx.withdraw_package(withdrawal_no)';

CREATE VIEW refundx.in_transit AS
	SELECT c.name AS channel, i.currency,
		   CASE WHEN w.age < interval '1 hour' THEN 'under an hour'
				WHEN w.age < interval '1 day' THEN 'under a day'
				WHEN w.age < interval '3 days' THEN 'under three days'
				ELSE 'three days and more' END AS age,
		   count(*) AS withdrawals, sum(i.amount)::bigint AS net,
		   refundx.format_amount(sum(i.amount)::bigint, i.currency) AS net_text, min(i.first_attempt_at) AS oldest
	  FROM refundx.instruction i
	  JOIN refundx.channel c USING (channel_id)
	 CROSS JOIN LATERAL (SELECT clock_timestamp() - i.first_attempt_at AS age) w
	 WHERE i.is_open AND i.kind = 'withdrawal' AND i.first_attempt_at IS NOT NULL
	 GROUP BY c.name, i.currency, 3;
COMMENT ON VIEW refundx.in_transit IS 'Money on the way: withdrawals that were sent and are not finished, per channel and age since they were sent first; minor units of currency';

CREATE VIEW refundx.bounced AS
	SELECT i.instruction_no AS withdrawal_no, a.account_no AS account, c.name AS channel, i.amount AS net, i.fee,
		   i.currency, o.payee_masked AS payee, i.detail, x.note, i.state_since AS returned_at,
		   s.at AS had_succeeded_at, o.fee_back_on_return AS fee_back
	  FROM refundx.instruction i
	  JOIN refundx.channel c USING (channel_id)
	  JOIN refundx.payout o ON o.instruction_id = i.instruction_id
	  LEFT JOIN refundx.account a ON a.account_id = o.account_id
	  LEFT JOIN LATERAL (SELECT note FROM refundx.event x WHERE x.instruction_id = i.instruction_id
						  AND x.to_state = 'returned' AND x.from_state <> 'returned' ORDER BY seq LIMIT 1) x ON true
	  LEFT JOIN LATERAL (SELECT at FROM refundx.event x WHERE x.instruction_id = i.instruction_id
						  AND x.to_state = 'succeeded' AND x.from_state <> 'succeeded' ORDER BY seq LIMIT 1) s ON true
	 WHERE i.kind = 'withdrawal' AND i.state = 'returned';
COMMENT ON VIEW refundx.bounced IS 'Withdrawals whose money came back (退票), with when they had arrived; the account has been credited once; minor units of currency';

CREATE VIEW refundx.withdraw_policies AS
	SELECT c.name AS channel, a.account_no AS account, p.minimum, p.maximum, p.day_amount, p.day_count, p.day_zone,
		   p.fee_fixed, (p.fee_ppm / 10000.0)::numeric(7, 4) AS fee_percent, p.fee_cap, p.fee_on_top, p.fee_back_on_failure,
		   p.fee_back_on_return, p.approve_above, p.approve_new_payee
	  FROM refundx.withdraw_policy p
	  JOIN refundx.channel c USING (channel_id)
	  LEFT JOIN refundx.account a ON a.account_id = p.account_id;
COMMENT ON VIEW refundx.withdraw_policies IS 'Rules of withdrawals (refundx.withdraw_policy_set); a row with an account stands in place of its channel''s; amounts in minor units of the account''s currency, null: no limit';
