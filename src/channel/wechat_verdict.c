/*-------------------------------------------------------------------------
 *
 * wechat_verdict.c
 *	  The verdict of every code of every WeChat Pay call, as data.
 *
 * The rules behind the table:
 *
 * - What is not listed is unknown, never failed.
 * - A 200 is signed, so its status is proof.  Errors are not signed: a refusal
 *   is a hint, and a query has to agree before anything is released.
 * - The same code may mean two things: RESOURCE_NOT_EXISTS on a submit is the
 *   payment that does not exist, on a query it is the refund.
 * - The first row that fits counts, so a row without a code stands behind
 *   those with one.
 *
 * The sources are pages of pay.weixin.qq.com/doc/v3/merchant/, by number.
 *
 * src/channel/wechat_verdict.c
 *
 *-------------------------------------------------------------------------
 */
#include "channel/wechat.h"

#define CREATE		"4013071036"	/* create a refund */
#define QUERY		"4013071041"	/* query a refund */
#define PRACTICE	"4014959631"	/* refund best practice */
#define FAQ			"4013071200"	/* refund questions and answers */
#define RULES		"4012081709"	/* rules of the API */
#define SIGNING		"4012072670"	/* signature errors */
#define ABNORMAL	"4013071193"	/* an abnormal refund goes elsewhere */
#define ECHO_PAGE	"4014551946"	/* the self-test */

#define SIGNED		true
#define UNSIGNED	false

const VerdictRule wechat_verdicts[] = {
	/* ---- submit: what it accepted ---- */
	{CALL_SUBMIT, 200, "PROCESSING", VERDICT_ACCEPTED, SIGNED,
	"accepted, under way", CREATE},
	{CALL_SUBMIT, 200, "SUCCESS", VERDICT_SUCCEEDED, SIGNED,
	"the payer has the money", CREATE},
	{CALL_SUBMIT, 200, WECHAT_SUCCESS_RETURNED, VERDICT_RETURNED, SIGNED,
	"finished, but paid to the merchant's own account", FAQ},
	{CALL_SUBMIT, 200, "ABNORMAL", VERDICT_ABNORMAL, SIGNED,
	"the payee's account does not take it; the money is with WeChat", CREATE},
	{CALL_SUBMIT, 200, "CLOSED", VERDICT_DEAD, SIGNED,
	"closed unpaid; a new number is needed", FAQ},
	{CALL_SUBMIT, 202, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"received, not processed: the same number again", RULES},

	/* ---- submit: what it refused ---- */
	{CALL_SUBMIT, 400, "PARAM_ERROR", VERDICT_REFUSED, UNSIGNED,
	"malformed: a mistake in the data, or ours", CREATE},
	{CALL_SUBMIT, 400, "INVALID_REQUEST", VERDICT_REFUSED, UNSIGNED,
	"a business rule; or our own number, accepted earlier: a query tells", PRACTICE},
	{CALL_SUBMIT, 401, "SIGN_ERROR", VERDICT_CONFIG, UNSIGNED,
	"our key, serial number or clock is wrong; not processed", SIGNING},
	{CALL_SUBMIT, 403, "NOT_ENOUGH", VERDICT_HOLD, UNSIGNED,
	"the merchant's balance is too low: top up, then the same number", CREATE},
	{CALL_SUBMIT, 403, "USER_ACCOUNT_ABNORMAL", VERDICT_REFUSED, UNSIGNED,
	"the payer's account is closed: refund by other means", CREATE},
	{CALL_SUBMIT, 403, "NO_AUTH", VERDICT_CONFIG, UNSIGNED,
	"the merchant lacks the right to refund", CREATE},
	{CALL_SUBMIT, 404, "MCH_NOT_EXISTS", VERDICT_CONFIG, UNSIGNED,
	"the merchant number is wrong", CREATE},
	{CALL_SUBMIT, 404, "RESOURCE_NOT_EXISTS", VERDICT_REFUSED, UNSIGNED,
	"the payment does not exist, or is not paid", CREATE},
	{CALL_SUBMIT, 404, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"no code: a gateway or a wrong address answered, not the refund service", RULES},
	{CALL_SUBMIT, 0, "TRADE_OVERDUE", VERDICT_REFUSED, UNSIGNED,
	"paid more than a year ago; the HTTP status is not documented", FAQ},
	{CALL_SUBMIT, 0, "REFUND_FEE_MISMATCH", VERDICT_UNKNOWN, UNSIGNED,
	"this number exists with another amount: ask, and look for the mistake", FAQ},

	/* ---- submit: what may have had its effect ---- */
	{CALL_SUBMIT, 429, "FREQUENCY_LIMITED", VERDICT_UNKNOWN, UNSIGNED,
	"throttled, and documented as \"being accepted\": ask", CREATE},
	{CALL_SUBMIT, 429, "RATELIMIT_EXCEEDED", VERDICT_UNKNOWN, UNSIGNED,
	"throttled; may have been accepted", RULES},
	{CALL_SUBMIT, 429, "FREQUENCY_LIMIT_EXCEED", VERDICT_UNKNOWN, UNSIGNED,
	"throttled; may have been accepted", RULES},
	{CALL_SUBMIT, 429, "FREQUENCY_LIMIT", VERDICT_UNKNOWN, UNSIGNED,
	"throttled; may have been accepted", RULES},
	{CALL_SUBMIT, 429, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"throttled; may have been accepted", RULES},
	{CALL_SUBMIT, 500, "SYSTEM_ERROR", VERDICT_UNKNOWN, UNSIGNED,
	"timed out within WeChat: the same number, the same parameters", CREATE},
	{CALL_SUBMIT, 501, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"may have been accepted", RULES},
	{CALL_SUBMIT, 502, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"may have been accepted", RULES},
	{CALL_SUBMIT, 503, "SERVICE_UNAVAILABLE", VERDICT_UNKNOWN, UNSIGNED,
	"may have been accepted", RULES},
	{CALL_SUBMIT, 503, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"may have been accepted", RULES},

	/* ---- query (and callbacks, whose refund_status has the same values) ---- */
	{CALL_QUERY, 200, "PROCESSING", VERDICT_ACCEPTED, SIGNED,
	"accepted, under way", QUERY},
	{CALL_QUERY, 200, "SUCCESS", VERDICT_SUCCEEDED, SIGNED,
	"the payer has the money", QUERY},
	{CALL_QUERY, 200, WECHAT_SUCCESS_RETURNED, VERDICT_RETURNED, SIGNED,
	"finished, but paid to the merchant's own account", FAQ},
	{CALL_QUERY, 200, "ABNORMAL", VERDICT_ABNORMAL, SIGNED,
	"the payee's account does not take it; the money is with WeChat", QUERY},
	{CALL_QUERY, 200, "CLOSED", VERDICT_DEAD, SIGNED,
	"closed unpaid; a new number is needed", FAQ},
	{CALL_QUERY, 202, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"not processed: ask again", RULES},
	{CALL_QUERY, 401, "SIGN_ERROR", VERDICT_CONFIG, UNSIGNED,
	"our key, serial number or clock is wrong", SIGNING},
	{CALL_QUERY, 404, "RESOURCE_NOT_EXISTS", VERDICT_NOT_FOUND, UNSIGNED,
	"WeChat knows no refund of this number", QUERY},
	{CALL_QUERY, 404, "MCH_NOT_EXISTS", VERDICT_CONFIG, UNSIGNED,
	"the merchant number is wrong", QUERY},
	{CALL_QUERY, 404, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"no code: a gateway or a wrong address answered, not the refund service", RULES},
	{CALL_QUERY, 429, "FREQUENCY_LIMITED", VERDICT_UNKNOWN, UNSIGNED,
	"throttled: ask again after a minute", QUERY},
	{CALL_QUERY, 429, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"throttled: ask again after a minute", QUERY},
	{CALL_QUERY, 500, "SYSTEM_ERROR", VERDICT_UNKNOWN, UNSIGNED,
	"timed out within WeChat: ask again", QUERY},
	{CALL_QUERY, 501, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"ask again", RULES},
	{CALL_QUERY, 502, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"ask again", RULES},
	{CALL_QUERY, 503, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"ask again", RULES},

	/* ---- an abnormal refund goes elsewhere; a query tells who got it ---- */
	{CALL_ABNORMAL, 200, "PROCESSING", VERDICT_ACCEPTED, SIGNED,
	"taken on, under way", ABNORMAL},
	{CALL_ABNORMAL, 200, "SUCCESS", VERDICT_SUCCEEDED, SIGNED,
	"paid to the card that was given", ABNORMAL},
	{CALL_ABNORMAL, 200, WECHAT_SUCCESS_RETURNED, VERDICT_RETURNED, SIGNED,
	"paid to the merchant's own account", ABNORMAL},
	{CALL_ABNORMAL, 200, "ABNORMAL", VERDICT_ABNORMAL, SIGNED,
	"it cannot be paid there either", ABNORMAL},
	{CALL_ABNORMAL, 200, "CLOSED", VERDICT_DEAD, SIGNED,
	"closed unpaid; a new number is needed", ABNORMAL},
	{CALL_ABNORMAL, 400, "PARAM_ERROR", VERDICT_REFUSED, UNSIGNED,
	"the card, the name or the bank is wrong", ABNORMAL},
	{CALL_ABNORMAL, 400, "INVALID_REQUEST", VERDICT_REFUSED, UNSIGNED,
	"it is not abnormal any more, or goes elsewhere already: a query tells", ABNORMAL},
	{CALL_ABNORMAL, 401, "SIGN_ERROR", VERDICT_CONFIG, UNSIGNED,
	"our key, serial number or clock is wrong; not processed", SIGNING},
	{CALL_ABNORMAL, 403, "NO_AUTH", VERDICT_CONFIG, UNSIGNED,
	"the merchant lacks the right to do this", ABNORMAL},
	{CALL_ABNORMAL, 404, "RESOURCE_NOT_EXISTS", VERDICT_REFUSED, UNSIGNED,
	"WeChat knows no refund of this number of its own", ABNORMAL},
	{CALL_ABNORMAL, 404, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"no code: a gateway or a wrong address answered, not the refund service", RULES},
	{CALL_ABNORMAL, 429, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"throttled; may have been taken on", RULES},
	{CALL_ABNORMAL, 500, "SYSTEM_ERROR", VERDICT_UNKNOWN, UNSIGNED,
	"timed out within WeChat: the same parameters, or ask", ABNORMAL},

	/* ---- the self-test, which moves nothing ---- */
	{CALL_ECHO, 200, NULL, VERDICT_SUCCEEDED, UNSIGNED,
	"WeChat took our signature, and its own verified here", ECHO_PAGE},
	{CALL_ECHO, 204, NULL, VERDICT_SUCCEEDED, UNSIGNED,
	"WeChat took our signature, and its own verified here", ECHO_PAGE},
	{CALL_ECHO, 401, "SIGN_ERROR", VERDICT_CONFIG, UNSIGNED,
	"our key, serial number or clock is wrong", SIGNING},
	{CALL_ECHO, 400, "PARAM_ERROR", VERDICT_CONFIG, UNSIGNED,
	"the key named in Wechatpay-Serial is not this merchant's", ECHO_PAGE},
	{CALL_ECHO, 400, "INVALID_REQUEST", VERDICT_CONFIG, UNSIGNED,
	"a header is missing", RULES},
	{CALL_ECHO, 403, "NO_AUTH", VERDICT_CONFIG, UNSIGNED,
	"the merchant lacks the right to do this", RULES},
	{CALL_ECHO, 404, "MCH_NOT_EXISTS", VERDICT_CONFIG, UNSIGNED,
	"the merchant number is wrong", RULES},
	{CALL_ECHO, 429, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"throttled: try again in a minute", RULES},
};

/* wechat.c names the number in a constant initializer */
_Static_assert(lengthof_array(wechat_verdicts) == WECHAT_VERDICT_COUNT,
			   "WECHAT_VERDICT_COUNT must be the number of rules");
