/*
 * Guards, and what is locked by what.
 */
CREATE VIEW refundx.locks WITH (security_barrier) AS
	SELECT coalesce(x.relid::regclass::text, g.relation) AS table_name, l.key,
		   CASE WHEN i.kind = 'refund' THEN i.instruction_no END AS refund_no,
		   CASE WHEN i.kind = 'withdrawal' THEN i.instruction_no END AS withdrawal_no,
		   i.state, i.state_since, i.submitted_at AS locked_at, i.submitted_by AS locked_by,
		   l.lifted_at, l.lifted_by
	  FROM refundx.instruction i
	  JOIN refundx.guard_lock l USING (instruction_id)
	  JOIN refundx.guard g USING (guard_id)
	  LEFT JOIN refundx.guard_trigger x ON x.guard_id = l.guard_id AND x.root AND x.event = 'update'
	 WHERE i.is_open
	   AND (i.submitted_by = session_user OR (SELECT refundx.reads_all()));
COMMENT ON VIEW refundx.locks IS 'Rows of guarded tables that refunds and withdrawals in flight lock; to an application those of its own';
COMMENT ON COLUMN refundx.locks.key IS 'The row''s key';
COMMENT ON COLUMN refundx.locks.lifted_at IS 'Since when an operator has let the row change all the same; null: it is locked';

CREATE VIEW refundx.guards AS
	SELECT coalesce(x.relid::regclass::text, g.relation) AS table_name, g.key_column AS key, g.columns, g.of_payments,
		   (SELECT count(*) FROM refundx.instruction i JOIN refundx.guard_lock l USING (instruction_id)
			 WHERE i.is_open AND l.guard_id = g.guard_id AND l.lifted_at IS NULL) AS locks,
		   CASE WHEN (SELECT count(*) FROM refundx.guard_trigger r WHERE r.guard_id = g.guard_id AND r.root) < 3
				THEN 'its triggers are gone, and it guards nothing'
				WHEN EXISTS (SELECT FROM refundx.guard_trigger r WHERE r.guard_id = g.guard_id AND NOT r.always)
				THEN 'not all of its triggers are enabled always, and no row of it can be locked' END AS problem,
		   g.added_at, g.added_by
	  FROM refundx.guard g
	  LEFT JOIN refundx.guard_trigger x ON x.guard_id = g.guard_id AND x.root AND x.event = 'update'
	 WHERE g.dropped_at IS NULL;
COMMENT ON VIEW refundx.guards IS 'Tables with a guard';
COMMENT ON COLUMN refundx.guards.of_payments IS 'The regular expression by which it finds a payment''s row; null: it does not follow payments';
COMMENT ON COLUMN refundx.guards.locks IS 'How many locks are on its rows';
COMMENT ON COLUMN refundx.guards.problem IS 'What is wrong with it; null: nothing';
