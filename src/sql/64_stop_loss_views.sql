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

CREATE VIEW refundx.breakers AS
	SELECT m.kind, m.merchant_no, b.about, b.call, b.closed_at IS NULL AS open,
		   CASE b.about WHEN 'all' THEN 'silence' ELSE 'errors' END AS sign, b.opened_at, b.errors, b.calls,
		   b.code AS last_code, b.probes, b.probe_at, b.closed_at
	  FROM refundx.breaker b JOIN refundx.merchant m USING (merchant_id);
COMMENT ON VIEW refundx.breakers IS 'Calls of a merchant that are held back because nearly all of them came to nothing, or that were; one call tries at probe_at, and it closes by itself';
COMMENT ON COLUMN refundx.breakers.sign IS 'silence: no call was answered; errors: too many answers of this kind of call were errors';
COMMENT ON COLUMN refundx.breakers.errors IS 'Of so many calls, when it opened';
COMMENT ON COLUMN refundx.breakers.probes IS 'How often it was tried in vain';

CREATE VIEW refundx.paces AS
	SELECT m.kind, m.merchant_no, k.product AS about, k.calls_per_second AS channel_allows,
		   least(s.calls_per_second, k.calls_per_second) AS calls_per_second, k.failing_per_second,
		   coalesce(s.breaker_calls, 20) AS breaker_calls, coalesce(s.breaker_errors, 0.5) AS breaker_errors,
		   coalesce(s.breaker_longest, interval '1 min') AS breaker_longest, s.reason, s.set_at, s.set_by
	  FROM refundx.merchant m
	  JOIN refundx.channel_kinds() k ON k.kind = m.kind
	  LEFT JOIN refundx.pace_setting s ON s.merchant_id = m.merchant_id AND s.about = k.product;
COMMENT ON VIEW refundx.paces IS 'How fast each merchant is called, and when its breaker opens: the channel''s limits, and refundx.pace_set()';
COMMENT ON COLUMN refundx.paces.calls_per_second IS 'Over all databases of the server; null: no limit';
