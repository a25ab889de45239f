/*
 * What is done about failures, as rows; and every number that a channel knows.
 */
CREATE VIEW refundx.failure_policies AS
	SELECT c.name AS channel, k.product AS about, NULL::text AS no,
		   coalesce(p.on_failure, d.on_failure) AS on_failure,
		   coalesce(p.retry_limit, d.retry_limit) AS retry_limit,
		   make_interval(secs => coalesce(p.retry_first, d.retry_first)) AS retry_first,
		   coalesce(p.retry_factor, d.retry_factor) AS retry_factor,
		   make_interval(secs => coalesce(p.retry_max, d.retry_max)) AS retry_max,
		   coalesce(p.reissue_limit, d.reissue_limit) AS reissue_limit,
		   make_interval(secs => coalesce(p.unknown_after, d.unknown_after)) AS unknown_after,
		   ARRAY(SELECT x.key FROM jsonb_each_text(to_jsonb(p) - '{channel_id,about}'::text[]) x
				  WHERE x.value IS NOT NULL ORDER BY x.key) AS set
	  FROM refundx.channel c
	  JOIN refundx.channel_kinds() k ON k.kind = c.kind
	 CROSS JOIN refundx.failure_defaults() d
	  LEFT JOIN refundx.failure_policy p ON p.channel_id = c.channel_id AND p.about = k.product
	UNION ALL
	SELECT c.name, i.kind, i.instruction_no, f.on_failure, f.retry_limit, make_interval(secs => f.retry_first), f.retry_factor,
		   make_interval(secs => f.retry_max), f.reissue_limit, make_interval(secs => f.unknown_after),
		   ARRAY(SELECT x.key FROM jsonb_each_text(to_jsonb(o) - 'instruction_id') x
				  WHERE x.value IS NOT NULL ORDER BY x.key)
	  FROM refundx.failure_override o
	  JOIN refundx.instruction i USING (instruction_id)
	  JOIN refundx.channel c USING (channel_id)
	 CROSS JOIN refundx.failure_policy_of(o.instruction_id) f
	 WHERE i.is_open;
COMMENT ON VIEW refundx.failure_policies IS 'What is done about failures: of each channel''s refunds and withdrawals, and of open ones (no) that have rules of their own; what counts, the defaults included';
COMMENT ON COLUMN refundx.failure_policies.set IS 'Which of them were set; all others are the channel''s, or the default';

CREATE VIEW refundx.wire_numbers WITH (security_barrier) AS
	SELECT i.kind AS about, i.instruction_no AS no, n.nth, n.wire_no, n.live, n.verdict, n.attempts,
		   n.first_attempt_at, n.replaced_at, n.replaced_by
	  FROM refundx.instruction i
	 CROSS JOIN LATERAL (
		SELECT row_number() OVER (ORDER BY f.replaced_at) AS nth, f.wire_no, false AS live, f.verdict, f.attempts,
			   f.first_attempt_at, f.replaced_at, f.replaced_by
		  FROM refundx.former_number f WHERE f.instruction_id = i.instruction_id
		UNION ALL
		SELECT coalesce(i.reissues, 0) + 1, i.wire_no, i.is_open AND i.state <> 'stopped', NULL, i.attempts,
			   i.first_attempt_at, NULL, NULL) n
	 WHERE i.submitted_by = session_user OR (SELECT refundx.reads_all());
COMMENT ON VIEW refundx.wire_numbers IS 'Every number under which a channel knows a refund or withdrawal, to an application of its own; at most one of each is live';
COMMENT ON COLUMN refundx.wire_numbers.verdict IS 'What the channel ended it with, unpaid, before another one replaced it';
