/*
 * What is done about failures: rules per channel, and for single refunds and
 * withdrawals; and the numbers that they had before.
 */

/* Null is what is so where nobody has said anything (failure_defaults()). */
CREATE TABLE refundx.failure_policy (
	channel_id	int NOT NULL REFERENCES refundx.channel,
	about		refundx.instruction_kind NOT NULL,
	on_failure	text CHECK (on_failure IN ('end', 'reissue', 'operator', 'ask_user')),
	retry_limit	int CHECK (retry_limit BETWEEN 0 AND 1000),
	retry_first	int CHECK (retry_first BETWEEN 1 AND 86400),
	retry_factor numeric(4,2) CHECK (retry_factor BETWEEN 1 AND 10),
	retry_max	int CHECK (retry_max BETWEEN 1 AND 86400),
	reissue_limit int CHECK (reissue_limit BETWEEN 0 AND 20),
	unknown_after int CHECK (unknown_after BETWEEN 0 AND 2592000),
	PRIMARY KEY (channel_id, about)
);
COMMENT ON TABLE refundx.failure_policy IS 'What is done about failures of a channel''s refunds or withdrawals; times in seconds, null: the default';

/* The same of one instruction: null is what its channel's says. */
CREATE TABLE refundx.failure_override (
	instruction_id bigint PRIMARY KEY,
	on_failure	text CHECK (on_failure IN ('end', 'reissue', 'operator', 'ask_user')),
	retry_limit	int CHECK (retry_limit BETWEEN 0 AND 1000),
	retry_first	int CHECK (retry_first BETWEEN 1 AND 86400),
	retry_factor numeric(4,2) CHECK (retry_factor BETWEEN 1 AND 10),
	retry_max	int CHECK (retry_max BETWEEN 1 AND 86400),
	reissue_limit int CHECK (reissue_limit BETWEEN 0 AND 20),
	unknown_after int CHECK (unknown_after BETWEEN 0 AND 2592000)
);
COMMENT ON TABLE refundx.failure_override IS 'What of its channel''s failure policy is otherwise for one refund or withdrawal; times in seconds';

/*
 * Each was the wire_no of its instruction, and has been replaced: the channel had
 * ended it, unpaid, and evidence_id is the word that said so.  Evidence that comes
 * late is still matched by it.
 */
CREATE TABLE refundx.former_number (
	merchant_id	int NOT NULL,
	wire_no		text COLLATE "C" NOT NULL,
	instruction_id bigint NOT NULL,
	payment_id	bigint,
	about		refundx.instruction_kind NOT NULL,
	verdict		text NOT NULL,
	evidence_id	bigint NOT NULL,
	attempts	int NOT NULL,
	first_attempt_at timestamptz,
	replaced_at	timestamptz NOT NULL DEFAULT clock_timestamp(),
	replaced_by	text NOT NULL DEFAULT session_user,
	PRIMARY KEY (merchant_id, wire_no)
);
CREATE INDEX former_number_of ON refundx.former_number (instruction_id);
COMMENT ON TABLE refundx.former_number IS 'Numbers that channels have ended, unpaid, and that others have replaced (reissue); insert-only';
COMMENT ON COLUMN refundx.former_number.verdict IS 'What ended it: refused, dead or reversed; as its evidence says';

/*
 * Abnormal refunds that an operator sends elsewhere.  data_key is the order's own key,
 * sealed by a key file; the order and the request that is made of it are sealed by
 * data_key: erasing is one column, as of a payout.
 */
CREATE TABLE refundx.diversion (
	instruction_id bigint NOT NULL,
	nth			int NOT NULL,
	to_whom		text NOT NULL,
	key_print	text,
	data_key	bytea,
	order_sealed bytea,
	request_sealed bytea,
	reason		text NOT NULL,
	asked_at	timestamptz NOT NULL DEFAULT clock_timestamp(),
	asked_by	text NOT NULL DEFAULT session_user,
	actor		text DEFAULT refundx.actor(),
	erased_at	timestamptz,
	PRIMARY KEY (instruction_id, nth)
);
CREATE INDEX diversion_unerased ON refundx.diversion (instruction_id) WHERE erased_at IS NULL;
COMMENT ON TABLE refundx.diversion IS 'Abnormal refunds sent elsewhere: to whom, masked and sealed, and erased some time after the end';
COMMENT ON COLUMN refundx.diversion.to_whom IS 'As people may see it: the bank and the last digits of a card, or the merchant''s own account';
