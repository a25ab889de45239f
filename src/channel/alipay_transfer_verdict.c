/*-------------------------------------------------------------------------
 *
 * alipay_transfer_verdict.c
 *	  The verdict of every status and code of Alipay's transfers, as data.
 *
 * The rules behind the table, besides those of alipay_verdict.c:
 *
 * - A number is idempotent: the same out_biz_no with the same bytes has the
 *   same outcome.  So what may be executed is asked about or sent again under
 *   its number, and never under another one.
 * - What Alipay says of the payer concerns everybody that the merchant pays: a
 *   hold.  What it says of a payee must stop nobody else, so that nobody can
 *   stop a merchant by what he is: it is refused, or waits alone.
 * - "Not executed" stands only where Alipay says that it refuses before it
 *   pays.  A code that speaks of a fault on the way is unknown.
 * - A status is the transfer's own, in the answer, in the query and in the
 *   message alipay.fund.trans.order.changed, which is judged by the query's
 *   rows.
 *
 * The sources are the pages of open.alipay.com on the method of that name, and
 * the error model that its v3 SDK generates from them; "gateway" is the page of
 * common result codes.  Misspelled codes are Alipay's own.
 *
 * src/channel/alipay_transfer_verdict.c
 *
 *-------------------------------------------------------------------------
 */
#include "channel/alipay.h"

#define TRANSFER	ALIPAY_METHOD_TRANSFER
#define QUERY		ALIPAY_METHOD_TRANSFER_QUERY
#define GATEWAY		"gateway"

#define SIGNED		true
#define UNSIGNED	false

#define FINAL(code, comment) \
	{CALL_SUBMIT, 200, code, VERDICT_REFUSED, SIGNED, comment, TRANSFER}
#define HOLD(code, comment) \
	{CALL_SUBMIT, 200, code, VERDICT_HOLD, UNSIGNED, comment, TRANSFER}
#define ALONE(code, comment) \
	{CALL_SUBMIT, 200, code, VERDICT_NOT_EXECUTED, UNSIGNED, comment, TRANSFER}
#define OPEN(code, comment) \
	{CALL_SUBMIT, 200, code, VERDICT_UNKNOWN, UNSIGNED, comment, TRANSFER}

#define STATUS_ROWS(call, source) \
	{call, 200, "SUCCESS", VERDICT_SUCCEEDED, SIGNED, \
	"paid; a transfer to a bank card may still come back", source}, \
	{call, 200, "DEALING", VERDICT_ACCEPTED, SIGNED, \
	"on its way to the bank", source}, \
	{call, 200, "WAIT_PAY", VERDICT_ACCEPTED, SIGNED, \
	"Alipay has the order, and has not paid it yet", source}, \
	{call, 200, "FAIL", VERDICT_DEAD, SIGNED, \
	"it has failed, unpaid; its number is used up", source}, \
	{call, 200, "CLOSED", VERDICT_DEAD, SIGNED, \
	"closed, unpaid; its number is used up", source}, \
	{call, 200, "REFUND", VERDICT_RETURNED, SIGNED, \
	"the bank has sent it back to the merchant's account", source}

/* The gateway's own refusals: it has not passed the call on. */
#define CONFIG_ROWS(call) \
	{call, 200, "20001", VERDICT_CONFIG, UNSIGNED, \
	"the token for acting for a sub-merchant is wrong or has expired", GATEWAY}, \
	{call, 200, "40001", VERDICT_CONFIG, UNSIGNED, \
	"a common parameter is missing: transfers need certificate mode", GATEWAY}, \
	{call, 200, "40002", VERDICT_CONFIG, UNSIGNED, \
	"our key, app_id, certificate or clock is wrong", GATEWAY}, \
	{call, 200, "40003", VERDICT_CONFIG, UNSIGNED, \
	"the app is not online, or this address is not on its white list", GATEWAY}, \
	{call, 200, "40006", VERDICT_CONFIG, UNSIGNED, \
	"the app lacks the right to call this: transfers are a product of their own", GATEWAY}

const VerdictRule alipay_transfer_verdicts[] = {
	/* ---- transfer: 10000 ---- */
	STATUS_ROWS(CALL_SUBMIT, TRANSFER),
	{CALL_SUBMIT, 200, ALIPAY_NO_STATUS, VERDICT_ASK, UNSIGNED,
	"taken, without a word on what became of it: a query tells", TRANSFER},

	/* ---- transfer: refused for good, for the payee ---- */
	FINAL("PAYEE_NOT_EXIST", "there is no such payee"),
	FINAL("PAYEE_ACCOUNT_NOT_EXSIT", "the payee has no balance account"),
	FINAL("PAYEE_ACCOUNT_STATUS_ERROR", "the payee's account is not in order"),
	FINAL("PAYEE_USERINFO_STATUS_ERROR", "the payee's account is not in order"),
	FINAL("PAYEE_ACC_OCUPIED", "several accounts have this logon_id: another way to name the payee"),
	FINAL("PAYEE_USER_INFO_ERROR", "the name is not the payee's"),
	FINAL("PAYEE_CERT_INFO_ERROR", "the payee is another person than was said"),
	FINAL("PAYEE_USER_TYPE_ERROR", "this kind of account cannot be paid"),
	FINAL("PAYEE_NOT_RELNAME_CERTIFY", "the payee's identity is not verified"),
	FINAL("PERM_AML_NOT_REALNAME_REV", "the payee must complete their identity at Alipay first"),
	FINAL("PERMIT_NON_BANK_LIMIT_PAYEE", "the payee's identity is incomplete, or they have no balance account"),
	FINAL("PERMIT_LIMIT_PAYEE", "the payee may not receive"),
	FINAL("BLOCK_USER_FORBBIDEN_RECIEVE", "the payee may not receive"),
	FINAL("NO_ACCOUNT_USER_FORBBIDEN_RECIEVE", "the payee may not receive"),
	FINAL("NO_ACCOUNT_RECEIVE_PERMISSION", "this account may not receive: another one"),
	FINAL("RELEASE_USER_FORBBIDEN_RECIEVE", "the payee's telephone number has changed hands"),
	FINAL("PAYEE_CARD_INFO_ERROR", "card and name do not belong together"),
	FINAL("CARD_BIN_ERROR", "the card number is wrong, or not a debit card's"),
	FINAL("INVALID_CARDNO", "the card number is wrong"),
	FINAL("PAYER_PAYEE_CANNOT_SAME", "the payee is the merchant itself"),
	FINAL("PAYEE_TRUSTEESHIP_ACC_OVER_LIMIT", "the payee's account cannot take more"),
	FINAL("TRUSTEESHIP_RECIEVE_QUOTA_LIMIT", "the payee's account cannot take more"),

	/* ---- transfer: refused for good, for what was asked ---- */
	FINAL("INVALID_PARAMETER", "malformed: a mistake in the data, or ours"),
	FINAL("EXCEED_LIMIT_SM_AMOUNT", "more than one transfer may have"),
	FINAL("EXCEED_LIMIT_PERSONAL_SM_AMOUNT", "more than one transfer to a person may have"),
	FINAL("EXCEED_LIMIT_ENT_SM_AMOUNT", "more than one transfer to a company may have"),
	FINAL("EXCEED_LIMIT_SM_MIN_AMOUNT", "less than a transfer must have"),
	FINAL("CURRENCY_NOT_SUPPORT", "not in this currency"),
	FINAL("REMARK_HAS_SENSITIVE_WORD", "the reason has a word that Alipay does not take"),
	FINAL("MEMO_REQUIRED_IN_TRANSFER_ERROR", "from 50000 yuan on a reason is required"),
	FINAL("TRANSFER_SCENE_NAME_ILLEGAL", "the contract does not have this transfer_scene_name"),
	FINAL("SECURITY_CHECK_FAILED", "Alipay's risk control does not let it pass"),
	{CALL_SUBMIT, 200, "PAYMENT_TIME_EXPIRE", VERDICT_DEAD, SIGNED,
	"the order has expired unpaid; only another number can be paid", TRANSFER},

	/* ---- transfer: this number contradicts what it was used for before ---- */
	OPEN("PAYMENT_INFO_INCONSISTENCY", "this number was used for something else: the query shows whether it was paid"),
	OPEN("BIZ_UNIQUE_EXCEPTION", "this number was used for something else: the query shows whether it was paid"),

	/* ---- transfer: not executed; the merchant, or time, must mend it ---- */
	HOLD("PAYER_BALANCE_NOT_ENOUGH", "the merchant's balance is too low: top up"),
	HOLD("BALANCE_IS_NOT_ENOUGH", "the merchant's balance is too low: top up"),
	HOLD("PAYMENT_MONEY_NOT_ENOUGH", "the merchant's balance is too low: top up"),
	HOLD("EXCEED_LIMIT_DM_AMOUNT", "all that may be paid out in a day"),
	HOLD("EXCEED_LIMIT_DM_MAX_AMOUNT", "all that may be paid out in a day"),
	HOLD("EXCEED_LIMIT_MM_AMOUNT", "all that may be paid out in a month"),
	HOLD("EXCEED_LIMIT_MM_MAX_AMOUNT", "all that may be paid out in a month"),
	HOLD("PERM_PAY_*", "all that may be paid from the balance in a day or a month (PERM_PAY_..._QUOTA_...)"),
	HOLD("PRODUCT_NOT_SIGN", "transfers are not in the merchant's contract"),
	HOLD("PAYER_STATUS_ERROR", "the merchant's account is not in order"),
	HOLD("PAYER_USER_INFO_ERROR", "the merchant's own data do not fit"),
	HOLD("PAYER_NOT_EXIST", "the account to pay from does not exist"),
	HOLD("PAYER_CERTIFY_CHECK_FAIL", "the merchant must complete its identity at Alipay"),
	HOLD("PAYER_PERMLIMIT_CHECK_FAILURE", "the merchant may not pay out: Alipay's support"),
	HOLD("PERMIT_PAYER_FORBIDDEN", "the merchant may not pay from its balance: Alipay's support"),
	HOLD("PERMIT_CHECK_PERM_LIMITED", "the merchant must complete its identity at Alipay"),
	HOLD("PERMIT_CHECK_PERM_IDENTITY_THEFT", "the merchant must verify its identity at Alipay"),
	HOLD("PAYCARD_UNABLE_PAYMENT", "paying from the balance is switched off"),
	HOLD("MONEY_PAY_CLOSED", "paying from the balance is switched off"),
	HOLD("NO_AVAILABLE_PAYMENT_TOOLS", "the merchant has nothing to pay with"),
	HOLD("NO_ACCOUNT_PAYMENT_PERMISSION", "the merchant may not pay from this account"),
	HOLD("NO_PERMISSION_ACCOUNT", "the merchant may not pay from this account"),
	HOLD("INVALID_PAYER_ACCOUNT", "this account is not among those to pay from"),
	HOLD("NOT_IN_WHITE_LIST", "the merchant is not on Alipay's list for this"),
	ALONE("EXCEED_LIMIT_DC_RECEIVED", "this payee has had all transfers of a day: the same number again, hours later"),
	ALONE("EXCEED_LIMIT_UNRN_DM_AMOUNT", "this payee, unverified, has had all of a day: the same number again, hours later"),
	{CALL_SUBMIT, 200, "40005", VERDICT_NOT_EXECUTED, UNSIGNED,
	"throttled, not executed: the same number, later", GATEWAY},

	/* ---- transfer: may have had its effect ---- */
	OPEN("SYSTEM_ERROR", "may have been paid: ask, or the same number again"),
	OPEN("REQUEST_PROCESSING", "an earlier attempt is still at work: ask"),
	OPEN("BANK_RESPONSE_ERROR", "the bank has not said: ask"),
	OPEN("MRCHPROD_QUERY_ERROR", "Alipay could not look the contract up: ask"),
	OPEN("PROCESS_FAIL", "Alipay does not say at which point: ask"),
	OPEN("PAYMENT_FAIL", "Alipay does not say at which point: ask"),
	OPEN("INST_PAY_UNABLE", "the bank cannot be reached; Alipay does not say that nothing was tried: ask"),
	OPEN("RESOURCE_LIMIT_EXCEED", "too many at once; Alipay does not say that it was not taken: ask"),
	{CALL_SUBMIT, 200, "10003", VERDICT_UNKNOWN, UNSIGNED,
	"a payment's code, which means nothing of a transfer: ask", GATEWAY},
	{CALL_SUBMIT, 200, "20000", VERDICT_UNKNOWN, UNSIGNED,
	"the service is unavailable; may have had its effect: ask", GATEWAY},
	CONFIG_ROWS(CALL_SUBMIT),

	/* ---- transfer query ---- */
	STATUS_ROWS(CALL_QUERY, QUERY),
	{CALL_QUERY, 200, "ORDER_NOT_EXIST", VERDICT_NOT_FOUND, UNSIGNED,
	"no such order, or still on its way; minutes later the same number may be sent again", QUERY},
	{CALL_QUERY, 200, "SYSTEM_ERROR", VERDICT_UNKNOWN, UNSIGNED,
	"ask again", QUERY},
	{CALL_QUERY, 200, "INVALID_PARAMETER", VERDICT_UNKNOWN, UNSIGNED,
	"the question is malformed, which says nothing of the transfer", QUERY},
	{CALL_QUERY, 200, "NO_ORDER_PERMISSION", VERDICT_UNKNOWN, UNSIGNED,
	"another merchant's order: is this the app that paid it?", QUERY},
	{CALL_QUERY, 200, "40005", VERDICT_UNKNOWN, UNSIGNED,
	"throttled: ask again later", GATEWAY},
	{CALL_QUERY, 200, "10003", VERDICT_UNKNOWN, UNSIGNED,
	"a payment's code, which means nothing of a transfer", GATEWAY},
	{CALL_QUERY, 200, "20000", VERDICT_UNKNOWN, UNSIGNED,
	"the service is unavailable: ask again", GATEWAY},
	CONFIG_ROWS(CALL_QUERY),

	/* ---- the self-test: a query about a transfer that does not exist ---- */
	{CALL_ECHO, 200, "ORDER_NOT_EXIST", VERDICT_SUCCEEDED, UNSIGNED,
	"Alipay took our signature, its own verified here, and it knows no such transfer", QUERY},
	{CALL_ECHO, 200, "40005", VERDICT_UNKNOWN, UNSIGNED,
	"throttled: try again in a minute", GATEWAY},
	{CALL_ECHO, 200, "20000", VERDICT_UNKNOWN, UNSIGNED,
	"the service is unavailable: try again", GATEWAY},
	CONFIG_ROWS(CALL_ECHO),
};

/* alipay_transfer.c names the number in a constant initializer */
_Static_assert(lengthof_array(alipay_transfer_verdicts) == ALIPAY_TRANSFER_VERDICT_COUNT,
			   "ALIPAY_TRANSFER_VERDICT_COUNT must be the number of rules");
