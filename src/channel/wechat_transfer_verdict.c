/*-------------------------------------------------------------------------
 *
 * wechat_transfer_verdict.c
 *	  The verdict of every code of every call about a transfer, as data; and
 *	  why transfers fail.
 *
 * The rules behind the table:
 *
 * - What is not listed is unknown, never failed: another number for the same
 *   payout is allowed only once a query has said FAIL or CANCELLED
 *   (4012716434).
 * - A 200 is signed, so its state is proof.  The answer to a submit has no
 *   amount, and needs none: WeChat refuses a number that comes again with
 *   other parameters (4013778940).
 * - Errors are not signed: a refusal is a hint, and a query has to agree.
 * - An answer to a cancel, whatever it says, ends nothing: WeChat has taken the
 *   wish down, and a query tells what became of it (4012716458).
 * - The first row that fits counts, so a row without a code stands behind
 *   those with one.
 *
 * The sources are pages of pay.weixin.qq.com/doc/v3/merchant/, by number.
 *
 * src/channel/wechat_transfer_verdict.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "channel/wechat.h"

#define CREATE		"4012716434"	/* create a transfer */
#define QUERY		"4012716437"	/* query it by our number */
#define CANCEL		"4012716458"	/* cancel it */
#define GUIDE		"4012715211"	/* development guide: the states */
#define FAQ			"4013778940"	/* transfer questions and answers */
#define DIRECT		"4014399371"	/* the transfer that needs no confirmation */
#define RULES		"4012081709"	/* rules of the API */
#define SIGNING		"4012072670"	/* signature errors */

#define SIGNED		true
#define UNSIGNED	false

const VerdictRule wechat_transfer_verdicts[] = {
	/* ---- submit: what it accepted ---- */
	{CALL_SUBMIT, 200, "ACCEPTED", VERDICT_ACCEPTED, SIGNED,
	"accepted; if it stays so, look at the operation account's balance", CREATE},
	{CALL_SUBMIT, 200, "PROCESSING", VERDICT_ACCEPTED, SIGNED,
	"locking the funds; if it stays so, top up: after a day without, it fails", CREATE},
	{CALL_SUBMIT, 200, "WAIT_USER_CONFIRM", VERDICT_ACCEPTED, SIGNED,
	"funds locked; the payee has a day to confirm", CREATE},
	{CALL_SUBMIT, 200, "TRANSFERING", VERDICT_ACCEPTED, SIGNED,
	"confirmed, under way", CREATE},
	{CALL_SUBMIT, 200, "CANCELING", VERDICT_ACCEPTED, SIGNED,
	"being canceled, which may still come out as a transfer", GUIDE},
	{CALL_SUBMIT, 200, "SUCCESS", VERDICT_SUCCEEDED, SIGNED,
	"the payee has the money", CREATE},
	{CALL_SUBMIT, 200, "FAIL", VERDICT_DEAD, SIGNED,
	"failed, nothing was paid; a new number is needed", CREATE},
	{CALL_SUBMIT, 200, "CANCELLED", VERDICT_CANCELED, SIGNED,
	"canceled, nothing was paid", CREATE},
	{CALL_SUBMIT, 202, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"received, not processed: the same number again", RULES},

	/* ---- submit: what it refused ---- */
	{CALL_SUBMIT, 400, "PARAM_ERROR", VERDICT_REFUSED, UNSIGNED,
	"malformed: a mistake in the data, or a name sealed with a key that WeChat has given up", CREATE},
	{CALL_SUBMIT, 400, "INVALID_REQUEST", VERDICT_REFUSED, UNSIGNED,
	"a business rule (limits, openid, name, scene), or our own number, taken earlier: a query tells",
	CREATE},
	{CALL_SUBMIT, 400, "ALREADY_EXISTS", VERDICT_ASK, UNSIGNED,
	"this number is finished already: a query tells how", CREATE},
	{CALL_SUBMIT, 400, "ORDER_CLOSED", VERDICT_ASK, UNSIGNED,
	"this number is closed: a query tells how", DIRECT},
	{CALL_SUBMIT, 401, "SIGN_ERROR", VERDICT_CONFIG, UNSIGNED,
	"our key, serial number or clock is wrong; not processed", SIGNING},
	{CALL_SUBMIT, 403, "NO_AUTH", VERDICT_CONFIG, UNSIGNED,
	"the merchant lacks the right to transfer", CREATE},
	{CALL_SUBMIT, 403, "NOT_ENOUGH", VERDICT_HOLD, UNSIGNED,
	"the operation account's balance is too low: top up, then the same number", CREATE},
	{CALL_SUBMIT, 0, "USER_ERROR", VERDICT_REFUSED, UNSIGNED,
	"the payee is restricted or not known by his real name; or the merchant is restricted", FAQ},

	/* ---- submit: what may have had its effect ---- */
	{CALL_SUBMIT, 404, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"not documented for this call: a gateway or a wrong address answered", RULES},
	{CALL_SUBMIT, 429, "FREQUENCY_LIMIT_EXCEED", VERDICT_UNKNOWN, UNSIGNED,
	"throttled, and documented as \"result unclear\"", CREATE},
	{CALL_SUBMIT, 429, "RATELIMIT_EXCEEDED", VERDICT_UNKNOWN, UNSIGNED,
	"throttled, this call or this number, and documented as \"result unclear\"", CREATE},
	{CALL_SUBMIT, 429, "FREQUENCY_LIMIT", VERDICT_UNKNOWN, UNSIGNED,
	"throttled, this call or this number, and documented as \"result unclear\"", CREATE},
	{CALL_SUBMIT, 429, "FREQUENCY_LIMITED", VERDICT_UNKNOWN, UNSIGNED,
	"throttled; may have been accepted", RULES},
	{CALL_SUBMIT, 429, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"throttled; may have been accepted", RULES},
	{CALL_SUBMIT, 500, "SYSTEM_ERROR", VERDICT_UNKNOWN, UNSIGNED,
	"may have been accepted: the same number, the same parameters", GUIDE},
	{CALL_SUBMIT, 500, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"may have been accepted", RULES},
	{CALL_SUBMIT, 501, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"may have been accepted", RULES},
	{CALL_SUBMIT, 502, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"may have been accepted", RULES},
	{CALL_SUBMIT, 503, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"may have been accepted", RULES},

	/* ---- query (and callbacks, whose state has the last three values) ---- */
	{CALL_QUERY, 200, "ACCEPTED", VERDICT_ACCEPTED, SIGNED,
	"accepted; if it stays so, look at the operation account's balance", QUERY},
	{CALL_QUERY, 200, "PROCESSING", VERDICT_ACCEPTED, SIGNED,
	"locking the funds; if it stays so, top up: after a day without, it fails", QUERY},
	{CALL_QUERY, 200, "WAIT_USER_CONFIRM", VERDICT_ACCEPTED, SIGNED,
	"funds locked; the payee has a day to confirm", QUERY},
	{CALL_QUERY, 200, "TRANSFERING", VERDICT_ACCEPTED, SIGNED,
	"confirmed, under way", QUERY},
	{CALL_QUERY, 200, "CANCELING", VERDICT_ACCEPTED, SIGNED,
	"being canceled, which may still come out as a transfer", GUIDE},
	{CALL_QUERY, 200, "SUCCESS", VERDICT_SUCCEEDED, SIGNED,
	"the payee has the money", QUERY},
	{CALL_QUERY, 200, "FAIL", VERDICT_DEAD, SIGNED,
	"failed, nothing was paid; fail_reason says why; a new number is needed", QUERY},
	{CALL_QUERY, 200, "CANCELLED", VERDICT_CANCELED, SIGNED,
	"canceled, nothing was paid", QUERY},
	{CALL_QUERY, 202, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"not processed: ask again", RULES},
	{CALL_QUERY, 400, "PARAM_ERROR", VERDICT_UNKNOWN, UNSIGNED,
	"a question that WeChat does not understand says nothing of the transfer", QUERY},
	{CALL_QUERY, 400, "INVALID_REQUEST", VERDICT_UNKNOWN, UNSIGNED,
	"this number belongs to another interface (the old batches): look in the merchant platform", FAQ},
	{CALL_QUERY, 401, "SIGN_ERROR", VERDICT_CONFIG, UNSIGNED,
	"our key, serial number or clock is wrong", SIGNING},
	{CALL_QUERY, 403, "NO_AUTH", VERDICT_CONFIG, UNSIGNED,
	"the merchant lacks the right to ask", QUERY},
	{CALL_QUERY, 404, "NOT_FOUND", VERDICT_NOT_FOUND, UNSIGNED,
	"WeChat knows no transfer of this number within the last 30 days", QUERY},
	{CALL_QUERY, 404, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"another code or none: a gateway or a wrong address answered", RULES},
	{CALL_QUERY, 429, "FREQUENCY_LIMITED", VERDICT_UNKNOWN, UNSIGNED,
	"throttled: ask again after a minute", QUERY},
	{CALL_QUERY, 429, "FREQUENCY_LIMIT_EXCEED", VERDICT_UNKNOWN, UNSIGNED,
	"throttled: ask again after a minute", QUERY},
	{CALL_QUERY, 429, "RATELIMIT_EXCEEDED", VERDICT_UNKNOWN, UNSIGNED,
	"throttled: ask again after a minute", QUERY},
	{CALL_QUERY, 429, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"throttled: ask again after a minute", QUERY},
	{CALL_QUERY, 500, "SYSTEM_ERROR", VERDICT_UNKNOWN, UNSIGNED,
	"ask again", QUERY},
	{CALL_QUERY, 501, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"ask again", RULES},
	{CALL_QUERY, 502, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"ask again", RULES},
	{CALL_QUERY, 503, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"ask again", RULES},

	/* ---- cancel: a query decides, whatever the answer ---- */
	{CALL_CANCEL, 200, "CANCELING", VERDICT_ASK, UNSIGNED,
	"taken down; it may still come out as a transfer", CANCEL},
	{CALL_CANCEL, 200, "CANCELLED", VERDICT_ASK, UNSIGNED,
	"canceled, says the answer; the query is what counts", CANCEL},
	{CALL_CANCEL, 200, NULL, VERDICT_ASK, UNSIGNED,
	"another state than documented", CANCEL},
	{CALL_CANCEL, 400, "PARAM_ERROR", VERDICT_ASK, UNSIGNED,
	"not canceled by this call", CANCEL},
	{CALL_CANCEL, 400, "INVALID_REQUEST", VERDICT_ASK, UNSIGNED,
	"too late, perhaps: the payee has confirmed, or it is finished", CANCEL},
	{CALL_CANCEL, 401, "SIGN_ERROR", VERDICT_ASK, UNSIGNED,
	"our key, serial number or clock is wrong, as the query will be told too", SIGNING},
	{CALL_CANCEL, 403, "NO_AUTH", VERDICT_ASK, UNSIGNED,
	"the merchant lacks the right to cancel", RULES},
	{CALL_CANCEL, 404, "NOT_FOUND", VERDICT_ASK, UNSIGNED,
	"WeChat knows no transfer of this number", RULES},
	{CALL_CANCEL, 429, "FREQUENCY_LIMIT_EXCEED", VERDICT_UNKNOWN, UNSIGNED,
	"throttled, and documented as \"result unclear\"", CANCEL},
	{CALL_CANCEL, 429, "RATELIMIT_EXCEEDED", VERDICT_UNKNOWN, UNSIGNED,
	"throttled, and documented as \"result unclear\"", CANCEL},
	{CALL_CANCEL, 429, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"throttled; may have been taken down", RULES},
	{CALL_CANCEL, 500, "SYSTEM_ERROR", VERDICT_ASK, UNSIGNED,
	"may have been taken down", CANCEL},
	{CALL_CANCEL, 502, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"may have been taken down", RULES},
	{CALL_CANCEL, 503, NULL, VERDICT_UNKNOWN, UNSIGNED,
	"may have been taken down", RULES},
};

/* wechat_transfer.c names the number in a constant initializer */
_Static_assert(lengthof_array(wechat_transfer_verdicts) == WECHAT_TRANSFER_VERDICT_COUNT,
			   "WECHAT_TRANSFER_VERDICT_COUNT must be the number of rules");

/* ---- why a transfer failed (4013774966) ---- */

static const struct
{
	const char *reason;
	const char *words;
}			fail_reasons[] = {
	{"ACCOUNT_FROZEN", "the payee's account is frozen"},
	{"ACCOUNT_NOT_EXIST", "the payee's account does not exist"},
	{"BANK_CARD_ACCOUNT_ABNORMAL", "the payee's bank card is closed, frozen or reported lost"},
	{"BANK_CARD_BANK_INFO_WRONG", "the bank or branch of the payee's card is wrong"},
	{"BANK_CARD_CARD_INFO_WRONG", "the holder or number of the payee's card is wrong"},
	{"BANK_CARD_COLLECTIONS_ABOVE_QUOTA", "the payee's card has reached what it may receive"},
	{"BANK_CARD_PARAM_ERROR", "the payee's card is wrong"},
	{"BANK_CARD_STATUS_ABNORMAL", "the payee's card does not take money"},
	{"BLOCK_B2C_USERLIMITAMOUNT_BSRULE_MONTH", "the payee has reached what he may receive this month"},
	{"BLOCK_B2C_USERLIMITAMOUNT_MONTH", "the payee's account is at risk and receives no more this month"},
	{"BUDGET_NOT_ENOUGH", "the budget has not enough left"},
	{"DAY_RECEIVED_COUNT_EXCEED", "the payee has been paid as often as the merchant allows in a day"},
	{"DAY_RECEIVED_QUOTA_EXCEED", "the payee has been paid as much as the merchant allows in a day"},
	{"EXCEEDED_ESTIMATED_AMOUNT", "the amount is beyond the one reserved"},
	{"ID_CARD_NOT_CORRECT", "the payee's identity card does not match"},
	{"MCH_CANCEL", "the merchant canceled it"},
	{"MERCHANT_NOT_CONFIRM", "the merchant's employee did not confirm it in time"},
	{"MERCHANT_REJECT", "the merchant's employee rejected it"},
	{"NAME_NOT_CORRECT", "the name is not the one under which WeChat knows the payee"},
	{"OPENID_INVALID", "the openid is malformed, or belongs to another appid"},
	{"OTHER_FAIL_REASON_TYPE", "WeChat gives no reason"},
	{"OVERDUE_CLOSE", "closed because its time was over"},
	{"PAYEE_ACCOUNT_ABNORMAL", "the payee has to complete his identity in WeChat Pay"},
	{"PAYER_ACCOUNT_ABNORMAL", "the merchant's account is restricted: see the merchant platform"},
	{"PRODUCT_AUTH_CHECK_FAIL", "the merchant's right to transfer is missing or frozen"},
	{"REALNAME_ACCOUNT_RECEIVED_QUOTA_EXCEED", "the payee's account is restricted: WeChat Pay tells him more"},
	{"REAL_NAME_CHECK_FAIL", "the payee has not proved his identity to WeChat Pay"},
	{"RECEIVE_ACCOUNT_NOT_CONFIGURE", "the receiving account is not set up for the scene in the merchant platform"},
	{"RELATED_ORDER_TRANSFER_AMOUNT_EXCEED", "more than may be paid for the order"},
	{"RELATED_ORDER_TRANSFER_COUNT_EXCEED", "more often than may be paid for the order"},
	{"RESERVATION_INFO_NOT_MATCH", "it differs from what was reserved"},
	{"RESERVATION_SCENE_NOT_MATCH", "its scene differs from the one reserved"},
	{"RESERVATION_STATE_INVALID", "the reservation is not usable"},
	{"TRANSFER_QUOTA_EXCEED", "more than the merchant allows at a time"},
	{"TRANSFER_REMARK_SET_FAIL", "the remark was not taken: change it"},
	{"TRANSFER_RISK", "WeChat stopped it as a risk"},
	{"TRANSFER_SCENE_INVALID", "the merchant does not have this scene"},
	{"TRANSFER_SCENE_UNAVAILABLE", "the scene is not available now"},
};

const char *
wechat_fail_reason(const char *reason)
{
	size_t		i;

	for (i = 0; i < lengthof_array(fail_reasons); i++)
		if (strcmp(fail_reasons[i].reason, reason) == 0)
			return fail_reasons[i].words;
	return NULL;
}
