/*
 * What the code decides by, as rows; and how amounts and numbers are shown.
 */
CREATE FUNCTION refundx.state_table(
	OUT from_state text, OUT input text, OUT reaction text, OUT to_state text,
	OUT effect text, OUT comment text)
RETURNS SETOF record
LANGUAGE c IMMUTABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_state_table';
COMMENT ON FUNCTION refundx.state_table() IS
'The state table that everything goes through: one row for each state and each thing that can happen (doc/states.md). effect: what it does to the money';

CREATE FUNCTION refundx.verdict_table(
	OUT kind text, OUT product text, OUT call text, OUT n int, OUT http_status int, OUT code text,
	OUT verdict text, OUT signed_only boolean, OUT comment text, OUT source text)
RETURNS SETOF record
LANGUAGE c IMMUTABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_verdict_table';
COMMENT ON FUNCTION refundx.verdict_table() IS
'What each answer of a channel means: the first row (n) that fits decides, null fits everything, and what no row fits is unknown. source: where the channel documents it';

CREATE FUNCTION refundx.channel_kinds(
	OUT kind text, OUT product text, OUT label text, OUT currencies text[], OUT number_rule text,
	OUT max_parts int, OUT max_age interval, OUT part_spacing interval,
	OUT calls_per_second int, OUT failing_per_second int, OUT not_found_after interval,
	OUT send_window interval, OUT ask_window interval, OUT call_timeout interval)
RETURNS SETOF record
LANGUAGE c IMMUTABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_channel_kinds';
COMMENT ON FUNCTION refundx.channel_kinds() IS
'The channels that are built in, and what each allows; null: no limit. Pace is per merchant';

CREATE FUNCTION refundx.bill_kinds(
	OUT channel_kind text, OUT kind text, OUT label text, OUT has_refunds boolean, OUT has_transfers boolean,
	OUT is_ledger boolean, OUT utc_offset int, OUT ready_at int, OUT retry_after int, OUT max_age_days int,
	OUT delay_days int, OUT by_acceptance boolean, OUT paid_is_taken boolean, OUT fetchable boolean)
RETURNS SETOF record
LANGUAGE c IMMUTABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_bill_kinds';
COMMENT ON FUNCTION refundx.bill_kinds() IS
'The bills that each channel makes. has_refunds, has_transfers: what it covers, so that its silence about one means something. is_ledger: of an account''s money (opening + movements = closing). utc_offset, ready_at (after the day''s end, where the channel is), retry_after: seconds. delay_days: so far from its own day a line may stand. by_acceptance: a line''s own day is that on which the channel took it on, not that on which it was paid. paid_is_taken: "paid" is written when the money leaves the merchant''s account, and whether it has arrived is told elsewhere. fetchable: it can be asked for; others are loaded by hand';

CREATE FUNCTION refundx.mask_phone(phone text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_mask_phone';
COMMENT ON FUNCTION refundx.mask_phone(text) IS
'A telephone number as it may be shown: 138****8000';

CREATE FUNCTION refundx.format_amount(amount bigint, currency text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_format_amount';
COMMENT ON FUNCTION refundx.format_amount(bigint, text) IS
'An amount in minor units as people write it: 1234, CNY is 12.34';

CREATE VIEW refundx.account_name AS
	SELECT s.account_id, s.slot, coalesce(s.slot_of, s.account_id) AS own_id, a.account_no,
		   a.account_no || CASE WHEN s.slot > 0 THEN format(' (slot %s)', s.slot) ELSE '' END AS name
	  FROM refundx.account s
	  LEFT JOIN refundx.account a ON a.account_id = coalesce(s.slot_of, s.account_id);
COMMENT ON VIEW refundx.account_name IS 'For each row of an account, its own or a further slot''s: which account that is (own_id, account_no), and how people name the row';
