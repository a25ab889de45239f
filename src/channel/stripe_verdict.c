/*-------------------------------------------------------------------------
 *
 * stripe_verdict.c
 *	  The verdict of every status and error of every Stripe call, as data.
 *
 * The rules behind the table:
 *
 * - What is not listed is unknown, never failed.
 * - A refund object in a 200 is proof: it comes from Stripe's host, over TLS.
 * - An error proves nothing about earlier attempts.  A refusal is a hint, and
 *	 a query has to agree before anything is released.
 * - An error's code is its "code", or its "type" where it has none.
 * - An error that Stripe kept for the Idempotency-Key and gives again
 *	 (Idempotent-Replayed) says what was, not what is.  Where the state table
 *	 would take such an error at its word (not executed, hold, config), the row
 *	 "replayed error" counts instead: a query follows, and then a new key.
 * - A list is of one payment.  If Stripe does not know the payment, the key may
 *	 be another account's: that is no "not found", which would allow a second
 *	 refund.
 * - The first row that fits counts.
 *
 * The sources are pages of docs.stripe.com.
 *
 * src/channel/stripe_verdict.c
 *
 *-------------------------------------------------------------------------
 */
#include "channel/stripe.h"

#define OBJECT		"api/refunds/object"
#define CREATE		"api/refunds/create"
#define CANCEL		"api/refunds/cancel"
#define LIST		"api/refunds/list"
#define REFUNDS		"refunds"
#define CODES		"error-codes"
#define ERRORS		"api/errors"
#define LOW_LEVEL	"error-low-level"
#define KEYS		"keys"
#define IDEMPOTENCY "api/idempotent_requests"
#define RATES		"rate-limits"
#define ACCOUNT		"api/accounts/retrieve"

#define PROOF	true
#define HINT	false

const VerdictRule stripe_verdicts[] = {
	/* ---- submit: the refund that it made ---- */
	{CALL_SUBMIT, 200, "pending", VERDICT_ACCEPTED, PROOF,
	"accepted, under way", OBJECT},
	{CALL_SUBMIT, 200, "requires_action", VERDICT_ACCEPTED, PROOF,
	"accepted; the customer must act", OBJECT},
	{CALL_SUBMIT, 200, "succeeded", VERDICT_SUCCEEDED, PROOF,
	"it has been paid; it may still fail later", OBJECT},
	{CALL_SUBMIT, 200, "failed", VERDICT_REVERSED, PROOF,
	"given up, and the money is back in the Stripe balance", REFUNDS},
	{CALL_SUBMIT, 200, "canceled", VERDICT_CANCELED, PROOF,
	"canceled while it waited for the customer", CANCEL},

	/* ---- submit: what it refused ---- */
	{CALL_SUBMIT, 0, "charge_already_refunded", VERDICT_REFUSED, HINT,
	"the payment has been refunded; perhaps by an earlier attempt of ours: a query tells", CODES},
	{CALL_SUBMIT, 0, "charge_disputed", VERDICT_REFUSED, HINT,
	"the payment is disputed: the bank takes the money back itself", CODES},
	{CALL_SUBMIT, 0, "refund_disputed_payment", VERDICT_REFUSED, HINT,
	"the payment is disputed: the bank takes the money back itself", CODES},
	{CALL_SUBMIT, 0, "charge_not_refundable", VERDICT_REFUSED, HINT,
	"this payment cannot be refunded: by other means", CODES},
	{CALL_SUBMIT, 0, "resource_missing", VERDICT_REFUSED, HINT,
	"no such payment in this account and mode", CODES},
	{CALL_SUBMIT, 0, "payment_intent_unexpected_state", VERDICT_REFUSED, HINT,
	"the payment has not succeeded, so there is nothing to refund", CODES},
	{CALL_SUBMIT, 0, "amount_too_large", VERDICT_REFUSED, HINT,
	"more than is left of the payment", CODES},
	{CALL_SUBMIT, 0, "amount_too_small", VERDICT_REFUSED, HINT,
	"less than the payment method takes", CODES},
	{CALL_SUBMIT, 0, "invalid_charge_amount", VERDICT_REFUSED, HINT,
	"not an amount of this currency", CODES},
	{CALL_SUBMIT, 0, "invalid_charge_amount_no_decimal_compatible", VERDICT_REFUSED, HINT,
	"this currency has no fractions", "currencies"},
	{CALL_SUBMIT, 0, "parameter_invalid_integer", VERDICT_REFUSED, HINT,
	"malformed: a mistake in the data, or ours", CODES},
	{CALL_SUBMIT, 0, "parameter_missing", VERDICT_REFUSED, HINT,
	"malformed, or this payment method needs what is not given (instructions_email)", CODES},
	{CALL_SUBMIT, 0, "parameter_unknown", VERDICT_REFUSED, HINT,
	"malformed: a mistake in the data, or ours", CODES},
	{CALL_SUBMIT, 0, "parameter_invalid_empty", VERDICT_REFUSED, HINT,
	"malformed: a mistake in the data, or ours", CODES},
	{CALL_SUBMIT, 400, "invalid_request_error", VERDICT_REFUSED, HINT,
	"refused without a code: most often more than is left of the payment", ERRORS},
	{CALL_SUBMIT, 0, "balance_insufficient", VERDICT_HOLD, HINT,
	"the Stripe balance is too low: top up, then the same number", CODES},

	/* ---- submit: our keys and rights ---- */
	{CALL_SUBMIT, 401, "invalid_request_error", VERDICT_CONFIG, HINT,
	"the secret key is wrong; not processed", KEYS},
	{CALL_SUBMIT, 401, "authentication_error", VERDICT_CONFIG, HINT,
	"the secret key is wrong; not processed", KEYS},
	{CALL_SUBMIT, 0, "api_key_expired", VERDICT_CONFIG, HINT,
	"the secret key was rolled or has expired", CODES},
	{CALL_SUBMIT, 0, "platform_api_key_expired", VERDICT_CONFIG, HINT,
	"the platform's key has expired", CODES},
	{CALL_SUBMIT, 0, "secret_key_required", VERDICT_CONFIG, HINT,
	"the key is a publishable one", CODES},
	{CALL_SUBMIT, 0, "account_invalid", VERDICT_CONFIG, HINT,
	"the key may not act for the account in Stripe-Account", CODES},
	{CALL_SUBMIT, 403, "invalid_request_error", VERDICT_CONFIG, HINT,
	"the restricted key lacks the right to write refunds, or the address is not allowed", KEYS},

	/* ---- submit: throttled ---- */
	{CALL_SUBMIT, 429, "rate_limit", VERDICT_NOT_EXECUTED, HINT,
	"throttled before anything began, and before the key was used", LOW_LEVEL},
	{CALL_SUBMIT, 429, "lock_timeout", VERDICT_UNKNOWN, HINT,
	"another call holds the payment; how far this one came is not said", RATES},
	{CALL_SUBMIT, 429, NULL, VERDICT_UNKNOWN, HINT,
	"throttled by whom is not said: ask", RATES},

	/* ---- submit: what may have had its effect ---- */
	{CALL_SUBMIT, 409, NULL, VERDICT_UNKNOWN, HINT,
	"a call with the same key is under way, or another one is in its way: ask", IDEMPOTENCY},
	{CALL_SUBMIT, 0, "idempotency_key_in_use", VERDICT_UNKNOWN, HINT,
	"a call with the same key is under way: ask", CODES},
	{CALL_SUBMIT, 0, "idempotency_error", VERDICT_UNKNOWN, HINT,
	"this key was used with other parameters, so the number is used elsewhere too: look for the "
	"mistake", IDEMPOTENCY},
	{CALL_SUBMIT, 0, STRIPE_REPLAYED, VERDICT_UNKNOWN, HINT,
	"an answer of before, kept for the key: ask, and then it is sent with a new key", IDEMPOTENCY},
	{CALL_SUBMIT, 500, NULL, VERDICT_UNKNOWN, HINT,
	"indeterminate, also when it is replayed: ask", LOW_LEVEL},
	{CALL_SUBMIT, 502, NULL, VERDICT_UNKNOWN, HINT,
	"indeterminate: ask", LOW_LEVEL},
	{CALL_SUBMIT, 503, NULL, VERDICT_UNKNOWN, HINT,
	"indeterminate: ask", LOW_LEVEL},
	{CALL_SUBMIT, 504, NULL, VERDICT_UNKNOWN, HINT,
	"indeterminate: ask", LOW_LEVEL},

	/* ---- query: the refund, by itself or in the list of its payment ---- */
	{CALL_QUERY, 200, "pending", VERDICT_ACCEPTED, PROOF,
	"accepted, under way", OBJECT},
	{CALL_QUERY, 200, "requires_action", VERDICT_ACCEPTED, PROOF,
	"accepted; the customer must act", OBJECT},
	{CALL_QUERY, 200, "succeeded", VERDICT_SUCCEEDED, PROOF,
	"it has been paid; it may still fail later", OBJECT},
	{CALL_QUERY, 200, "failed", VERDICT_REVERSED, PROOF,
	"given up, and the money is back in the Stripe balance", REFUNDS},
	{CALL_QUERY, 200, "canceled", VERDICT_CANCELED, PROOF,
	"canceled while it waited for the customer", CANCEL},
	{CALL_QUERY, 200, STRIPE_NOT_LISTED, VERDICT_NOT_FOUND, HINT,
	"read to its end, the list of the payment's refunds has none of this number", LIST},
	{CALL_QUERY, 0, "resource_missing", VERDICT_REFUSED, HINT,
	"no such payment or refund in this account and mode; is the key the account's?", CODES},
	{CALL_QUERY, 401, "invalid_request_error", VERDICT_CONFIG, HINT,
	"the secret key is wrong", KEYS},
	{CALL_QUERY, 0, "api_key_expired", VERDICT_CONFIG, HINT,
	"the secret key was rolled or has expired", CODES},
	{CALL_QUERY, 0, "account_invalid", VERDICT_CONFIG, HINT,
	"the key may not act for the account in Stripe-Account", CODES},
	{CALL_QUERY, 403, "invalid_request_error", VERDICT_CONFIG, HINT,
	"the restricted key lacks the right to read refunds", KEYS},
	{CALL_QUERY, 429, NULL, VERDICT_UNKNOWN, HINT,
	"throttled: ask again", RATES},
	{CALL_QUERY, 500, NULL, VERDICT_UNKNOWN, HINT,
	"ask again", LOW_LEVEL},

	/* ---- the self-test, which moves nothing: GET /v1/account ---- */
	{CALL_ECHO, 200, STRIPE_OTHER_ACCOUNT, VERDICT_CONFIG, HINT,
	"the key belongs to another account than \"account_id\"", ACCOUNT},
	{CALL_ECHO, 200, NULL, VERDICT_SUCCEEDED, HINT,
	"the key is right, and belongs to the account", ACCOUNT},
	{CALL_ECHO, 401, NULL, VERDICT_CONFIG, HINT,
	"the secret key is wrong", KEYS},
	{CALL_ECHO, 0, "account_invalid", VERDICT_CONFIG, HINT,
	"the key may not act for the account in Stripe-Account", CODES},
	{CALL_ECHO, 403, NULL, VERDICT_CONFIG, HINT,
	"the restricted key lacks the right to read the account; it may do for refunds", KEYS},
	{CALL_ECHO, 429, NULL, VERDICT_UNKNOWN, HINT,
	"throttled: try again", RATES},
};

/* stripe.c names the number in a constant initializer */
_Static_assert(lengthof_array(stripe_verdicts) == STRIPE_VERDICT_COUNT,
			   "STRIPE_VERDICT_COUNT must be the number of rules");
