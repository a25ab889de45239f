/*
 * Views of stop-loss.
 */
CREATE VIEW refundx.pauses AS
	SELECT p.scope, refundx.pause_subject(p) AS subject, p.about, p.cause, p.reason, p.since, p.by_user, p.actor,
		   NULL::timestamptz AS probe_at
	  FROM refundx.pause p
	UNION ALL
	SELECT 'merchant', m.kind || ' ' || m.merchant_no, p.about, 'channel: ' || p.paused, p.reason, p.since, NULL, NULL, p.probe_at
	  FROM refundx.merchant_pause p JOIN refundx.merchant m USING (merchant_id)
	UNION ALL
	SELECT 'account', a.account_no, NULL, 'hold', a.hold, a.hold_since, a.hold_by, NULL, NULL
	  FROM refundx.account a WHERE a.hold IS NOT NULL;
COMMENT ON VIEW refundx.pauses IS 'What is not sent now, and why: paused by a person, by refundx (contradiction, invariant), by a channel''s answers, or an account on hold';
COMMENT ON COLUMN refundx.pauses.cause IS 'operator, contradiction, invariant: ended by refundx.resume(). channel: hold or config: ends by itself. hold: refundx.release(), or resolving what it says';
COMMENT ON COLUMN refundx.pauses.probe_at IS 'When one instruction tries again, of what ends by itself';

CREATE VIEW refundx.caps AS
	SELECT c.cap_id, c.scope,
		   CASE c.scope
		   WHEN 'merchant' THEN (SELECT m.kind || ' ' || m.merchant_no FROM refundx.merchant m WHERE m.merchant_id = c.merchant_id)
		   WHEN 'account' THEN (SELECT a.account_no FROM refundx.account a WHERE a.account_id = c.account_id)
		   WHEN 'role' THEN c.role_name END AS subject,
		   c.about, c.within, c.currency, c.max_amount, refundx.format_amount(c.max_amount, c.currency) AS max_amount_text,
		   CASE WHEN c.currency IS NOT NULL THEN u.amount::bigint END AS used_amount,
		   refundx.format_amount(u.amount::bigint, c.currency) AS used_amount_text,
		   c.max_number, u.number AS used_number, w.waiting, w.waiting_amount,
		   CASE WHEN w.waiting > 0 THEN 'full'
				WHEN u.amount >= c.alarm_at * c.max_amount OR u.number >= c.alarm_at * c.max_number THEN 'alarm'
				ELSE 'ok' END AS level,
		   u.first_at + c.within AS room_at, c.alarm_at, c.reason, c.set_at, c.set_by, c.actor
	  FROM refundx.cap c
	 CROSS JOIN LATERAL refundx.cap_used(c, clock_timestamp() + current_setting('refundx.clock_offset')::interval) u
	 CROSS JOIN LATERAL (
		SELECT count(*) AS waiting, coalesce(sum(i.amount), 0)::bigint AS waiting_amount
		  FROM refundx.cap_wait x JOIN refundx.instruction i USING (instruction_id)
		 WHERE x.cap_id = c.cap_id AND i.is_open) w
	 WHERE c.removed_at IS NULL;
COMMENT ON VIEW refundx.caps IS 'How much may be sent within a time, how much of it is used now, and what waits for room; minor units of currency';
COMMENT ON COLUMN refundx.caps.room_at IS 'When the oldest of what was sent leaves the window, so that room comes back; null: nothing is in it';
COMMENT ON COLUMN refundx.caps.level IS 'alarm: at least alarm_at of it is used; full: something waits for room';
