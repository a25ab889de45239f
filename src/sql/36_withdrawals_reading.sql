/*
 * What callers ask about one withdrawal: as for refunds, one's own.
 */
CREATE FUNCTION refundx.withdraw_get(withdrawal_no text) RETURNS refundx.withdrawal
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT (i.instruction_no, a.account_no, c.name, o.asked, i.fee, i.amount, i.currency,
			o.payee_masked, i.reason, i.state, i.detail, i.state_since, i.due_at, i.attempts,
			i.cancel_requested_at, o.approval, i.person_reason, i.submitted_at)::refundx.withdrawal
	  FROM refundx.instruction i
	  JOIN refundx.channel c USING (channel_id)
	  JOIN refundx.payout o ON o.instruction_id = i.instruction_id
	  LEFT JOIN refundx.account a ON a.account_id = o.account_id
	 WHERE i.instruction_no = $1 AND i.kind = 'withdrawal'
	   AND (i.submitted_by = session_user OR refundx.reads_all())
$$;
COMMENT ON FUNCTION refundx.withdraw_get(text) IS
'The withdrawal of that number, null if there is none (of one''s own: see reads_all); amounts in minor units';

CREATE FUNCTION refundx.withdraw_state(withdrawal_no text) RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT state FROM refundx.instruction
	 WHERE instruction_no = $1 AND kind = 'withdrawal'
	   AND (submitted_by = session_user OR refundx.reads_all())
$$;
COMMENT ON FUNCTION refundx.withdraw_state(text) IS
'The state of the withdrawal of that number, null if there is none (of one''s own: see reads_all)';

CREATE PROCEDURE refundx.withdraw_wait(
	withdrawal_no text, timeout interval DEFAULT '30 s', INOUT state text DEFAULT NULL)
LANGUAGE c
AS 'MODULE_PATHNAME', 'refundx_withdraw_wait';
COMMENT ON PROCEDURE refundx.withdraw_wait(text, interval, text) IS
'Waits until the withdrawal is neither queued, sending, unknown nor accepted, or it waits for approval, or the time is up, and returns its state so far. It commits while it waits, so it runs outside transaction blocks only.
Errors: RX012 unknown withdrawal, 25001 inside a transaction block, 22023.';

CREATE FUNCTION refundx.withdraw_explain(withdrawal_no text) RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_withdraw_explain';
COMMENT ON FUNCTION refundx.withdraw_explain(text) IS
'One sentence for support staff: what happened last, what happens next and when, and what is in the way. Times are in the session''s time zone. Errors: RX012 unknown withdrawal, 22023.';

CREATE FUNCTION refundx.withdraw_timeline(
	withdrawal_no text,
	OUT at timestamptz, OUT what text, OUT from_state text, OUT to_state text,
	OUT by text, OUT note text)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT * FROM refundx.instruction_timeline($1, 'withdrawal')
$$;
COMMENT ON FUNCTION refundx.withdraw_timeline(text) IS
'Everything that happened to a withdrawal, in order, as refund_timeline does. Empty if there is no such withdrawal';
