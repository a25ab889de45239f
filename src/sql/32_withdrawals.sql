/*
 * What applications call to pay somebody out.
 */
CREATE TYPE refundx.withdrawal AS (
	withdrawal_no text,
	account		text,
	channel		text,
	amount		bigint,
	fee			bigint,
	net			bigint,
	currency	text,
	payee		text,
	reason		text,
	state		text,
	detail		text,
	state_since	timestamptz,
	due_at		timestamptz,
	attempts	int,
	cancel_requested_at timestamptz,
	approval	text,
	with_person	text,
	submitted_at timestamptz
);
COMMENT ON TYPE refundx.withdrawal IS 'A withdrawal as its functions return it; amounts in minor units of currency';
COMMENT ON COLUMN refundx.withdrawal.amount IS 'What was asked for';
COMMENT ON COLUMN refundx.withdrawal.fee IS 'What the account pays for it: inside the amount, or on top of it';
COMMENT ON COLUMN refundx.withdrawal.net IS 'What the payee gets; net + fee is what the account pays';
COMMENT ON COLUMN refundx.withdrawal.payee IS 'Masked; null once it was erased';
COMMENT ON COLUMN refundx.withdrawal.detail IS 'The channel''s code or status that led to the state, or that it waits in';
COMMENT ON COLUMN refundx.withdrawal.due_at IS 'When it is sent, or asked about, next';
COMMENT ON COLUMN refundx.withdrawal.attempts IS 'How often it was sent; queries do not count';
COMMENT ON COLUMN refundx.withdrawal.cancel_requested_at IS 'Since when the channel is asked to give it up; a success still wins';
COMMENT ON COLUMN refundx.withdrawal.approval IS 'Why a second person has (had) to agree; null: nobody has to';
COMMENT ON COLUMN refundx.withdrawal.with_person IS 'Why a person has to look at it; null: nobody has to';

CREATE FUNCTION refundx.withdraw_submit(
	account text, withdrawal_no text, amount bigint, channel text, payee jsonb,
	reason text DEFAULT NULL, contact text DEFAULT NULL, language text DEFAULT NULL,
	channel_data jsonb DEFAULT NULL, guards jsonb DEFAULT NULL)
RETURNS refundx.withdrawal
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_withdraw_submit';
COMMENT ON FUNCTION refundx.withdraw_submit(text, text, bigint, text, jsonb, text, text, text, jsonb, jsonb) IS
'Freezes the amount (and a fee) on the account and queues a payment to payee, in the caller''s transaction: both or neither. Nothing is sent before it commits. By the channel''s policy it may wait for a second person instead (awaiting_approval).
withdrawal_no: the caller''s number, unique per database over refunds and withdrawals; the same call again returns the existing withdrawal. amount: minor units of the account''s currency.
payee: whom to pay; doc/wechat.md and doc/alipay.md say which members it has. It is stored masked and sealed, and never shown. reason: shown to the payee, as the channel allows. contact: telephone number to text, 5 to 15 digits with an optional leading +; language: of the text, default zh-CN. channel_data: what the channel needs besides. guards: rows of guarded tables that must not change until it has ended, as for refund_submit.
Errors: RX003 number reused, RX004 not enough available, RX005 currency, RX007 account on hold, RX008 unknown channel, RX009 library not preloaded, RX010 the channel would refuse it (the message names the member), RX011 no key to seal the payee with, or no such guard, RX013 unknown account, RX014 amount, RX018 channel closed, RX019 account closed, RX020 a limit of the policy, RX023 a row of guards is not there, or not as expected, RX032 this login is paused, 40001 retry the transaction, 22023 a text is missing, too long or malformed.';

CREATE TYPE refundx.withdrawal_order AS (
	account		text,
	withdrawal_no text,
	amount		bigint,
	channel		text,
	payee		jsonb,
	reason		text,
	contact		text,
	language	text,
	channel_data jsonb
);
COMMENT ON TYPE refundx.withdrawal_order IS 'One withdrawal of a list: what withdraw_submit takes but for guards, in the same order';

CREATE FUNCTION refundx.withdraw_submit_many(withdrawals refundx.withdrawal_order[])
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_withdraw_submit_many';
COMMENT ON FUNCTION refundx.withdraw_submit_many(refundx.withdrawal_order[]) IS
'Submits a list of withdrawals, as withdraw_submit does each, in the order of their accounts; all or none. Returns how many are new: those that had been submitted before with the same values are not counted. Amounts in minor units.
From JSON: SELECT refundx.withdraw_submit_many(array_agg(o)) FROM jsonb_populate_recordset(NULL::refundx.withdrawal_order, ''[{"account": ...}, ...]'') o.
Errors as for withdraw_submit; the error''s context names the withdrawal.';

CREATE FUNCTION refundx.withdraw_cancel(withdrawal_no text, reason text DEFAULT NULL)
RETURNS refundx.withdrawal
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_withdraw_cancel';
COMMENT ON FUNCTION refundx.withdraw_cancel(text, text) IS
'Cancels a withdrawal that was never attempted and releases its money, in the caller''s transaction. One that was attempted stays as it is, frozen, and the channel is asked to give it up: only the channel''s word ends it, and a success wins. Canceling a canceled one is a no-op.
Errors: RX006 it is finished, or the channel takes nothing back; RX007 it or its account is on hold; RX009 library not preloaded; RX012 unknown withdrawal; 22023.';

CREATE FUNCTION refundx.approve(withdrawal_no text, reason text)
RETURNS refundx.withdrawal
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_withdraw_approve';
COMMENT ON FUNCTION refundx.approve(text, text) IS
'Lets a withdrawal that waits for a second person be sent. Who approves is another person than who submitted: refundx.actor where it is set (by a login with the role refundx_delegate), and session_user otherwise. Kept in the audit log with the reason.
Errors: RX006 it does not wait for that, RX009 library not preloaded, RX012 unknown withdrawal, RX021 it is one''s own, 42501 the login may not act for others, 22023 no reason.';

CREATE FUNCTION refundx.reject(withdrawal_no text, reason text)
RETURNS refundx.withdrawal
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_withdraw_reject';
COMMENT ON FUNCTION refundx.reject(text, text) IS
'Cancels a withdrawal that waits for a second person, and releases its money. Kept in the audit log with the reason.
Errors: RX006 it does not wait for that, RX009 library not preloaded, RX012 unknown withdrawal, RX021 it is one''s own (whoever submitted it calls withdraw_cancel), 42501 the login may not act for others, 22023 no reason.';

CREATE FUNCTION refundx.withdraw_package(withdrawal_no text) RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT e.handover
	  FROM refundx.instruction i
	  JOIN refundx.evidence e ON e.merchant_id = i.merchant_id AND e.wire_no = i.wire_no
	   AND e.about = i.kind AND e.proof AND e.handover IS NOT NULL
	 WHERE i.instruction_no = $1 AND i.kind = 'withdrawal'
	   AND i.submitted_by = session_user
	   AND i.state = 'accepted' AND i.cancel_requested_at IS NULL
	 ORDER BY e.evidence_id DESC LIMIT 1
$$;
COMMENT ON FUNCTION refundx.withdraw_package(text) IS
'What the application has to hand to the payee, who must confirm (WeChat''s package_info), to the login that submitted the withdrawal and to nobody else. Null: there is none (yet), it is finished, or it is being canceled. At WeChat the payee has 24 hours';
