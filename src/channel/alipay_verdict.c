/*-------------------------------------------------------------------------
 *
 * alipay_verdict.c
 *	  The verdict of every code of every Alipay call, as data.
 *
 * The rules behind the table:
 *
 * - What is not listed is unknown, never failed.
 * - Every answer is signed, errors too; one that does not verify is unknown,
 *   whatever stands here, except that the gateway's refusals of the call
 *   itself are taken at their word (alipay_answer.c says why).
 * - A row that says "signed" proves.  A refusal that our own earlier success
 *   may have caused does not: a query has to agree.
 * - What concerns one trade or one payer must not stop the merchant: only
 *   what the merchant has to mend is a hold.
 * - Codes stand here without their prefix "ACQ.", which Alipay gives or leaves
 *   out; a trailing '*' stands for the rest of a family.
 * - The first row that fits counts.
 *
 * The sources are the pages of open.alipay.com on the method of that name;
 * "gateway" is its page of common result codes.
 *
 * src/channel/alipay_verdict.c
 *
 *-------------------------------------------------------------------------
 */
#include "channel/alipay.h"

#define REFUND		ALIPAY_METHOD_REFUND
#define QUERY		ALIPAY_METHOD_QUERY
#define GATEWAY		"gateway"

#define SIGNED		true
#define UNSIGNED	false

#define FINAL(code, comment) \
	{CALL_SUBMIT, 200, code, VERDICT_REFUSED, SIGNED, comment, REFUND}
#define NOT_ALONE(code, comment) \
	{CALL_SUBMIT, 200, code, VERDICT_REFUSED, UNSIGNED, comment, REFUND}
#define HOLD(code, comment) \
	{CALL_SUBMIT, 200, code, VERDICT_HOLD, UNSIGNED, comment, REFUND}

/* The gateway's own refusals: it has not passed the call on. */
#define CONFIG_ROWS(call) \
	{call, 200, "20001", VERDICT_CONFIG, UNSIGNED, \
	"the token for acting for a sub-merchant is wrong or has expired", GATEWAY}, \
	{call, 200, "40001", VERDICT_CONFIG, UNSIGNED, \
	"a common parameter is missing; in certificate mode, the certificate's", GATEWAY}, \
	{call, 200, "40002", VERDICT_CONFIG, UNSIGNED, \
	"our key, app_id, certificate or clock is wrong", GATEWAY}, \
	{call, 200, "40003", VERDICT_CONFIG, UNSIGNED, \
	"the app is not online, or this address is not on its white list", GATEWAY}, \
	{call, 200, "40006", VERDICT_CONFIG, UNSIGNED, \
	"the app lacks the right to call this", GATEWAY}

const VerdictRule alipay_verdicts[] = {
	/* ---- refund: 10000 ---- */
	{CALL_SUBMIT, 200, ALIPAY_CHANGED, VERDICT_SUCCEEDED, SIGNED,
	"refunded by this call", REFUND},
	{CALL_SUBMIT, 200, ALIPAY_NOT_CHANGED, VERDICT_ASK, UNSIGNED,
	"this call moved nothing; an earlier one may have: a query tells", REFUND},
	{CALL_SUBMIT, 200, ALIPAY_NO_CHANGE_SAID, VERDICT_ASK, UNSIGNED,
	"accepted, without a word on whether money moved: a query tells", REFUND},

	/* ---- refund: refused for good ---- */
	FINAL("TRADE_HAS_FINISHED", "the refund window of the contract is over"),
	FINAL("TRADE_NOT_EXIST", "no such trade of this app: a mistake in the data"),
	FINAL("TRADE_NOT_ALLOW_REFUND", "the trade does not allow refunds"),
	FINAL("REFUND_AMT_NOT_EQUAL_TOTAL", "the amount is more than what is left, or must be all"),
	FINAL("REFUND_FEE_ERROR", "the amount is malformed or too much"),
	FINAL("INVALID_PARAMETER", "malformed: a mistake in the data, or ours"),
	FINAL("CURRENCY_NOT_SUPPORT", "not in this currency"),
	FINAL("NOT_ALLOW_PARTIAL_REFUND", "only the whole trade can be refunded"),
	FINAL("ONLINE_TRADE_VOUCHER_NOT_ALLOW_REFUND", "a voucher that cannot be refunded"),
	FINAL("BUYER_NOT_EXIST", "the payer's account does not exist any more"),
	FINAL("BUYER_ERROR", "the payer's account does not fit"),
	FINAL("USER_NOT_MATCH_ERR", "the payer is another one than the trade's"),
	FINAL("CUSTOMER_VALIDATE_ERROR", "the payer's account does not pass Alipay's check"),
	FINAL("ALLOC_AMOUNT_VALIDATE_ERROR", "the amounts of the split do not add up"),
	FINAL("TRADE_SETTLE_ERROR", "the trade's settlement does not allow it"),
	FINAL("ENTERPRISE_PAY_BIZ_ERROR", "the enterprise payment does not allow it"),
	FINAL("REFUND_ROYALTY_PAYEE_ACCOUNT_NOT_EXIST", "who received the split has no account"),

	/* ---- refund: refused, but perhaps because an earlier attempt was not ---- */
	NOT_ALONE("TRADE_HAS_CLOSE", "closed: never paid, or refunded in full already"),
	NOT_ALONE("TRADE_STATUS_ERROR", "the trade's state; perhaps by our own refund"),
	NOT_ALONE("REASON_TRADE_STATUS_INVALID", "the trade's state; perhaps by our own refund"),
	NOT_ALONE("REASON_TRADE_REFUND_FEE_ERR", "more than was paid, all refunds together"),
	{CALL_SUBMIT, 200, "DISCORDANT_REPEAT_REQUEST", VERDICT_UNKNOWN, UNSIGNED,
	"this number was refunded with another amount: the query shows which", REFUND},

	/* ---- refund: not executed; the merchant, or time, must mend it ---- */
	HOLD("SELLER_BALANCE_NOT_ENOUGH", "the merchant's balance is too low: top up"),
	HOLD("REFUND_ACCOUNT_NOT_EXIST", "the account that refunds are paid from does not exist"),
	HOLD("REFUNDALLOC_UNAUTH_LIMIT", "the merchant may not take back splits"),
	HOLD("OVERDRAFT_*", "the merchant's overdraft does not cover it"),
	{CALL_SUBMIT, 200, "REASON_TRADE_BEEN_FREEZEN", VERDICT_NOT_EXECUTED, UNSIGNED,
	"this trade is frozen: Alipay's support; the same number again each hour", REFUND},
	{CALL_SUBMIT, 200, "BUYER_ENABLE_STATUS_FORBID", VERDICT_NOT_EXECUTED, UNSIGNED,
	"the payer's account is disabled: the same number again each hour", REFUND},
	{CALL_SUBMIT, 200, "40005", VERDICT_NOT_EXECUTED, UNSIGNED,
	"throttled, not executed: the same number, later", GATEWAY},

	/* ---- refund: may have had its effect ---- */
	{CALL_SUBMIT, 200, "SYSTEM_ERROR", VERDICT_UNKNOWN, UNSIGNED,
	"may have succeeded: ask", REFUND},
	{CALL_SUBMIT, 200, "REFUND_CHARGE_ERROR", VERDICT_UNKNOWN, UNSIGNED,
	"the fee could not be refunded: ask, then the same number again", REFUND},
	{CALL_SUBMIT, 200, "10003", VERDICT_UNKNOWN, UNSIGNED,
	"a payment's code, which means nothing of a refund: ask", GATEWAY},
	{CALL_SUBMIT, 200, "20000", VERDICT_UNKNOWN, UNSIGNED,
	"the service is unavailable; may have had its effect: ask", GATEWAY},
	CONFIG_ROWS(CALL_SUBMIT),

	/* ---- refund query ---- */
	{CALL_QUERY, 200, ALIPAY_REFUNDED, VERDICT_SUCCEEDED, SIGNED,
	"refunded", QUERY},
	{CALL_QUERY, 200, ALIPAY_NO_STATUS, VERDICT_NOT_FOUND, UNSIGNED,
	"no refund_status: not received, failed, or asked too soon; the same refund is issued again", QUERY},
	{CALL_QUERY, 200, "TRADE_NOT_EXIST", VERDICT_NOT_FOUND, UNSIGNED,
	"no such trade, so no such refund; the same refund, issued again, is told so", QUERY},
	{CALL_QUERY, 200, "SYSTEM_ERROR", VERDICT_UNKNOWN, UNSIGNED,
	"ask again", QUERY},
	{CALL_QUERY, 200, "INVALID_PARAMETER", VERDICT_UNKNOWN, UNSIGNED,
	"the question is malformed, which says nothing of the refund", QUERY},
	{CALL_QUERY, 200, "ENTERPRISE_PAY_BIZ_ERROR", VERDICT_UNKNOWN, UNSIGNED,
	"ask again", QUERY},
	{CALL_QUERY, 200, "40005", VERDICT_UNKNOWN, UNSIGNED,
	"throttled: ask again later", GATEWAY},
	{CALL_QUERY, 200, "10003", VERDICT_UNKNOWN, UNSIGNED,
	"a payment's code, which means nothing of a refund", GATEWAY},
	{CALL_QUERY, 200, "20000", VERDICT_UNKNOWN, UNSIGNED,
	"the service is unavailable: ask again", GATEWAY},
	CONFIG_ROWS(CALL_QUERY),

	/* ---- the self-test: a refund query about a trade that does not exist ---- */
	{CALL_ECHO, 200, ALIPAY_NO_STATUS, VERDICT_SUCCEEDED, UNSIGNED,
	"Alipay took our signature, and its own verified here", QUERY},
	{CALL_ECHO, 200, "TRADE_NOT_EXIST", VERDICT_SUCCEEDED, UNSIGNED,
	"Alipay took our signature, its own verified here, and it knows no such trade", QUERY},
	{CALL_ECHO, 200, "40005", VERDICT_UNKNOWN, UNSIGNED,
	"throttled: try again in a minute", GATEWAY},
	{CALL_ECHO, 200, "20000", VERDICT_UNKNOWN, UNSIGNED,
	"the service is unavailable: try again", GATEWAY},
	CONFIG_ROWS(CALL_ECHO),
};

/* alipay.c names the number in a constant initializer */
_Static_assert(lengthof_array(alipay_verdicts) == ALIPAY_VERDICT_COUNT,
			   "ALIPAY_VERDICT_COUNT must be the number of rules");
