/*
 * What applications call.
 *
 * Amounts are bigint in the currency's minor unit (12.34 CNY is 1234), with
 * the ISO 4217 code beside them.  A repeated call with the same values is a
 * no-op; with other values it is an error.  Nothing is sent before the
 * caller's transaction has committed.
 *
 * SECURITY DEFINER functions pin search_path, or a caller could put objects of
 * their own in the way.  The procedures that commit while they wait are
 * SECURITY INVOKER without SET, or they could not.
 */
CREATE TYPE refundx.refund AS (
	refund_no	text,
	channel		text,
	payment_no	text,
	amount		bigint,
	currency	text,
	reason		text,
	state		text,
	detail		text,
	state_since	timestamptz,
	due_at		timestamptz,
	attempts	int,
	with_person	text,
	submitted_at timestamptz
);
COMMENT ON TYPE refundx.refund IS 'A refund as its functions return it; amount in minor units of currency';
COMMENT ON COLUMN refundx.refund.detail IS 'The channel''s code or status that led to the state';
COMMENT ON COLUMN refundx.refund.due_at IS 'When it is sent, or asked about, next';
COMMENT ON COLUMN refundx.refund.attempts IS 'How often it was sent; queries do not count';
COMMENT ON COLUMN refundx.refund.with_person IS 'Why a person has to look at it; null: nobody has to';

CREATE FUNCTION refundx.payment_record(
	channel text, payment_no text, amount bigint, currency text,
	channel_payment_id text DEFAULT NULL, paid_at timestamptz DEFAULT NULL,
	already_refunded bigint DEFAULT 0, account text DEFAULT NULL,
	contact text DEFAULT NULL, language text DEFAULT NULL, channel_data jsonb DEFAULT NULL)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_payment_record';
COMMENT ON FUNCTION refundx.payment_record(text, text, bigint, text, text, timestamptz, bigint, text, text, text, jsonb) IS
'Records what was paid; true if it is new, false if the same values were recorded before.
amount, already_refunded: minor units of currency (ISO 4217). paid_at: the channel''s window counts from it.
account: refunds are paid from it; it must be open, in the same currency. contact: telephone number to text, 5 to 15 digits with an optional leading +; language: of the text, default zh-CN.
channel_data: what the channel needs besides; doc/wechat.md, doc/alipay.md and doc/stripe.md say which members each takes. For a history, call it over a query.
Errors: RX003 recorded with other values, RX005 currency, RX008 unknown channel, RX013 unknown account, RX014 amount, RX001 already_refunded exceeds amount, RX018 channel closed, 22023 a text is missing, too long or malformed.';

CREATE FUNCTION refundx.refund_submit(
	channel text, payment_no text, refund_no text, amount bigint, reason text DEFAULT NULL,
	currency text DEFAULT NULL, payment_amount bigint DEFAULT NULL,
	channel_payment_id text DEFAULT NULL, paid_at timestamptz DEFAULT NULL,
	account text DEFAULT NULL, contact text DEFAULT NULL, language text DEFAULT NULL,
	channel_data jsonb DEFAULT NULL, guards jsonb DEFAULT NULL)
RETURNS refundx.refund
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_refund_submit';
COMMENT ON FUNCTION refundx.refund_submit(text, text, text, bigint, text, text, bigint, text, timestamptz, text, text, text, jsonb, jsonb) IS
'Freezes the amount and queues the refund, in the caller''s transaction: both or neither. Nothing is sent before it commits.
refund_no: the caller''s number, unique per database; the same call again returns the existing refund. amount: minor units.
payment_amount (with currency, and the rest as in payment_record) also records the payment on first sight.
guards: rows of guarded tables that must not change until the refund has ended, [{"table": "shop.orders", "key": "1001", "expect": {"amount": 100}}]; each is locked, and has to be as expected, where something is. Not given: the rows that guards with of_payments find by the payment''s number; an empty list: none.
Errors: RX001 exceeds what is left of the payment, RX002 unknown payment, RX003 number reused, RX004 account has not enough, RX005 currency, RX007 payment or account on hold, RX008 unknown channel, RX009 library not preloaded, RX010 the channel would refuse it (its window, its number of parts, its characters), RX011 no such guard, or its triggers are not enabled, RX014 amount, RX018 channel closed, RX019 account closed, RX023 a row of guards is not there, or not as expected, RX032 this login is paused, 40001 retry the transaction, 22023 a text is missing, too long or malformed.';

CREATE FUNCTION refundx.refund_adopt(
	channel text, payment_no text, refund_no text, amount bigint, reason text DEFAULT NULL,
	currency text DEFAULT NULL, payment_amount bigint DEFAULT NULL,
	channel_payment_id text DEFAULT NULL, paid_at timestamptz DEFAULT NULL,
	account text DEFAULT NULL, contact text DEFAULT NULL, language text DEFAULT NULL,
	channel_data jsonb DEFAULT NULL, guards jsonb DEFAULT NULL)
RETURNS refundx.refund
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_refund_adopt';
COMMENT ON FUNCTION refundx.refund_adopt(text, text, text, bigint, text, text, bigint, text, timestamptz, text, text, text, jsonb, jsonb) IS
'Takes on a refund that was under way before refundx came: the amount is frozen, the channel is asked about it, and it is not sent.
Arguments and errors as for refund_submit; amounts in minor units.';

CREATE FUNCTION refundx.refund_cancel(refund_no text, reason text DEFAULT NULL)
RETURNS refundx.refund
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_refund_cancel';
COMMENT ON FUNCTION refundx.refund_cancel(text, text) IS
'Cancels a refund that was never attempted and releases its money, in the caller''s transaction. Canceling a canceled one is a no-op.
Errors: RX006 it may have been sent, or is finished; RX007 it, its payment or its account is on hold; RX009 library not preloaded; RX012 unknown refund; 22023.';

CREATE FUNCTION refundx.account_open(account text, currency text, slots int DEFAULT 1)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_account_open';
COMMENT ON FUNCTION refundx.account_open(text, text, int) IS
'Opens an account from which money can be paid; true if it is new. currency: ISO 4217. slots: over how many rows its balance is spread, so that as many clients can take from it at once, 1 to 256; it never changes (doc/accounts.md says what it costs).
Errors: RX003 open already in another currency or with other slots, RX005 not a currency code, 40001, 22023.';

CREATE FUNCTION refundx.account_credit(account text, amount bigint, reference text, note text DEFAULT NULL)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_account_credit';
COMMENT ON FUNCTION refundx.account_credit(text, bigint, text, text) IS
'Puts amount (minor units) on the account; true if it was done now, false if the same reference did it before.
Errors: RX003 the reference was used for something else, RX013 unknown account, RX014 amount, RX019 account closed, 40001, 22023.';

CREATE FUNCTION refundx.account_debit(account text, amount bigint, reference text, note text DEFAULT NULL)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'refundx_account_debit';
COMMENT ON FUNCTION refundx.account_debit(text, bigint, text, text) IS
'Takes amount (minor units) off what is available of the account; true if it was done now, false if the same reference did it before.
Errors: RX003 the reference was used for something else, RX004 not enough available, RX007 account on hold, RX013 unknown account, RX014 amount, RX019 account closed, 40001, 22023.';
