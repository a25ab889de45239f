/*
 * Types of columns.
 *
 * They are domains, and not CHECKs of the tables, because of what a CHECK
 * costs: each statement that writes a row reads every CHECK of its table from
 * the catalogs and plans it anew, while a session prepares a domain's once.
 * For a submit, which is five small statements, that was a third of its CPU
 * time.  What compares columns stays with the tables, as one CHECK that calls a
 * function of these very types: an expression, or a conversion, would be read
 * and planned word by word.
 */
CREATE DOMAIN refundx.minor_units AS bigint
	CONSTRAINT minor_units_not_negative CHECK (VALUE >= 0);
COMMENT ON DOMAIN refundx.minor_units IS 'An amount of which there may be nothing, in the minor unit of its currency';

CREATE DOMAIN refundx.positive_minor_units AS bigint
	CONSTRAINT minor_units_positive CHECK (VALUE > 0);
COMMENT ON DOMAIN refundx.positive_minor_units IS 'An amount of which there is something, in the minor unit of its currency';

CREATE DOMAIN refundx.currency_code AS text
	CONSTRAINT currency_code_iso CHECK (VALUE ~ '^[A-Z]{3}$');
COMMENT ON DOMAIN refundx.currency_code IS 'A currency by ISO 4217';

CREATE DOMAIN refundx.instruction_kind AS text COLLATE "C"
	CONSTRAINT instruction_kind_known CHECK (VALUE IN ('refund', 'withdrawal'));
COMMENT ON DOMAIN refundx.instruction_kind IS 'What an instruction is';

CREATE DOMAIN refundx.instruction_state AS text
	CONSTRAINT instruction_state_known CHECK (VALUE IN
		('awaiting_approval', 'queued', 'sending', 'unknown', 'accepted', 'abnormal',
		 'stopped', 'succeeded', 'failed', 'returned', 'canceled'));
COMMENT ON DOMAIN refundx.instruction_state IS 'A state of the state table';

CREATE DOMAIN refundx.channel_call AS text
	CONSTRAINT channel_call_known CHECK (VALUE IN ('submit', 'query', 'cancel', 'abnormal'));
COMMENT ON DOMAIN refundx.channel_call IS 'A call to a channel';

CREATE DOMAIN refundx.evidence_source AS text
	CONSTRAINT evidence_source_known CHECK (VALUE IN
		('answer', 'query', 'cancel', 'abnormal', 'callback', 'bill', 'operator', 'recovery'));
COMMENT ON DOMAIN refundx.evidence_source IS 'Where evidence comes from';

CREATE DOMAIN refundx.journal_type AS text
	CONSTRAINT journal_type_known CHECK (VALUE IN
		('credit', 'debit', 'freeze', 'release', 'pay_out', 'return', 'fee', 'fee_return',
		 'slot_out', 'slot_in', 'pay_late', 'suspense', 'suspense_in'));
COMMENT ON DOMAIN refundx.journal_type IS 'What a line of the journal does';

CREATE FUNCTION refundx.journal_line_good(version bigint, type refundx.journal_type, reference text,
	instruction_id bigint, d_available bigint, d_frozen bigint, d_outside bigint, available bigint) RETURNS boolean
LANGUAGE c IMMUTABLE
AS 'MODULE_PATHNAME', 'refundx_journal_line_good';
COMMENT ON FUNCTION refundx.journal_line_good(bigint, refundx.journal_type, text, bigint, bigint, bigint, bigint, bigint) IS
'Constraint of the journal: the line balances (d_available + d_frozen + d_outside = 0, minor units), each amount goes where its type says, nothing is below zero but a suspense account, its version is positive, and it is a credit or debit by reference, a move between slots of neither, or else an instruction''s';

CREATE FUNCTION refundx.instruction_whole(kind refundx.instruction_kind, payment_id bigint,
	person_reason text, person_since timestamptz, state refundx.instruction_state, is_open boolean) RETURNS boolean
LANGUAGE c IMMUTABLE
AS 'MODULE_PATHNAME', 'refundx_instruction_whole';
COMMENT ON FUNCTION refundx.instruction_whole(refundx.instruction_kind, bigint, text, timestamptz, refundx.instruction_state, boolean) IS
'Constraint of instructions: a refund, and nothing else, is of a payment; what is with a person is so since some time, for a reason; is_open is what its state says';

CREATE FUNCTION refundx.payment_covers(paid refundx.positive_minor_units, refunding refundx.minor_units,
	refunded refundx.minor_units, returned refundx.minor_units, elsewhere refundx.minor_units,
	already_refunded refundx.minor_units) RETURNS boolean
LANGUAGE c IMMUTABLE
AS 'MODULE_PATHNAME', 'refundx_payment_covers';
COMMENT ON FUNCTION refundx.payment_covers(refundx.positive_minor_units, refundx.minor_units, refundx.minor_units, refundx.minor_units, refundx.minor_units, refundx.minor_units) IS
'Constraint of payments: refunding + refunded + returned + elsewhere + already_refunded <= paid (minor units)';

CREATE FUNCTION refundx.actor() RETURNS text
LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_actor';
COMMENT ON FUNCTION refundx.actor() IS
'Who acts, where many share a login: the setting refundx.actor, null if it is not set. Error: 42501 the login does not have the role refundx_delegate';

CREATE FUNCTION refundx.state_is_open(state text) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'refundx_state_is_open';
COMMENT ON FUNCTION refundx.state_is_open(text) IS
'Whether an instruction in this state still has its money frozen, and somebody who owns what happens next';
