/*-------------------------------------------------------------------------
 *
 * alipay_transfer_outcomes.c
 *	  What can become of an Alipay transfer, as a table (4.1, 4.3).
 *
 * The same numbers as those of refunds mean the same; from 9301 on is what
 * only transfers have, at both channels that have them.  What goes to an
 * account at Alipay is paid at once; what goes to a bank card is DEALING
 * first, and may bounce.  A row whose fault shows a transfer must have
 * effect_first, and every row has a path.
 *
 * sandbox/alipay_transfer_outcomes.c
 *
 *-------------------------------------------------------------------------
 */
#include "alipay.h"
#include "transfer.h"

#define BOUNCED "PAYEE_CARD_INFO_ERROR"

static const TransferPath account = {
	.step = {{TRANSFER_SUCCESS, STEP_NOW}}
};
static const TransferPath card = {
	.step = {{TRANSFER_PROCESSING, STEP_NOW}, {TRANSFER_SUCCESS, STEP_DELAY}}
};
static const TransferPath account_fails = {
	.step = {{TRANSFER_FAIL, STEP_NOW}}, .reason = "PAYEE_ACC_OCUPIED"
};
static const TransferPath card_fails = {
	.step = {{TRANSFER_PROCESSING, STEP_NOW}, {TRANSFER_FAIL, STEP_DELAY}}, .reason = BOUNCED
};
static const TransferPath bounce = {
	.step = {{TRANSFER_PROCESSING, STEP_NOW}, {TRANSFER_SUCCESS, STEP_DELAY}, {TRANSFER_REFUND, STEP_DELAY}},
	.reason = BOUNCED
};
static const TransferPath late_bounce = {
	.step = {{TRANSFER_PROCESSING, STEP_NOW}, {TRANSFER_SUCCESS, STEP_DELAY}, {TRANSFER_REFUND, STEP_TWO_DAYS}},
	.reason = BOUNCED
};
static const TransferPath quiet_bounce = {
	.step = {{TRANSFER_PROCESSING, STEP_NOW}, {TRANSFER_SUCCESS, STEP_DELAY}, {TRANSFER_REFUND, STEP_DELAY}},
	.reason = BOUNCED, .quiet_bounce = true
};
static const TransferPath slow = {
	.step = {{TRANSFER_PROCESSING, STEP_NOW}, {TRANSFER_SUCCESS, STEP_HOUR}}
};
static const TransferPath account_late = {
	.step = {{TRANSFER_SUCCESS, STEP_NOW}}, .late = true
};
static const TransferPath card_late = {
	.step = {{TRANSFER_PROCESSING, STEP_NOW}, {TRANSFER_SUCCESS, STEP_DELAY}}, .late = true
};
static const TransferPath account_foreign = {
	.step = {{TRANSFER_SUCCESS, STEP_NOW}}, .foreign = true
};
static const TransferPath card_foreign = {
	.step = {{TRANSFER_PROCESSING, STEP_NOW}, {TRANSFER_SUCCESS, STEP_DELAY}}, .foreign = true
};

#define PATHS .path = &account, .card_path = &card
#define NORMAL PATHS, .callbacks = 1
#define REFUSED(c, m) .code = "40004", .sub_code = c, .message = m

const SbOutcome alipay_transfer_outcomes[] = {
	{.magic = 0, .name = "normal", NORMAL,
	.text = "10000 SUCCESS; to a card DEALING, then SUCCESS; a message to the application gateway"},
	{.magic = 9001, .name = "payee_not_exist", NORMAL,
		.fault = FAULT_ERROR, .when = WHEN_ALWAYS,
		REFUSED("PAYEE_NOT_EXIST", "收款账号不存在或姓名有误"), .weight = 3,
	.text = "40004 PAYEE_NOT_EXIST, for good: nothing is paid"},
	{.magic = 9002, .name = "paid_no_answer", NORMAL,
		.fault = FAULT_HANG, .effect_first = true, .weight = 5,
	.text = "accepted, but the call is never answered"},
	{.magic = 9003, .name = "timeout_before_effect", NORMAL,
		.fault = FAULT_HANG, .weight = 5,
	.text = "the first call hangs and has no effect; a repeat works"},
	{.magic = 9005, .name = "five_messages", PATHS, .callbacks = 5, .weight = 5,
	.text = "accepted; the message is pushed five times, at once"},
	{.magic = 9006, .name = "message_first", NORMAL,
		.fault = FAULT_AFTER_CALLBACK, .effect_first = true, .weight = 5,
	.text = "the message says SUCCESS before the call is answered (held up to 3 s; to a card with DEALING)"},
	{.magic = 9007, .name = "error_after_effect", NORMAL,
		.fault = FAULT_ERROR, .effect_first = true,
		REFUSED("SYSTEM_ERROR", "系统繁忙"), .weight = 5,
	.text = "40004 SYSTEM_ERROR, although it was accepted"},
	{.magic = 9008, .name = "bad_signature", NORMAL,
		.fault = FAULT_BAD_SIGNATURE, .effect_first = true, .weight = 5,
	.text = "accepted, answered 10000 with a wrong signature"},
	{.magic = 9009, .name = "not_enough", NORMAL,
		.fault = FAULT_ERROR, .when = WHEN_UNTIL_TOPUP,
		REFUSED("PAYER_BALANCE_NOT_ENOUGH", "付款方余额不足"),
	.text = "40004 PAYER_BALANCE_NOT_ENOUGH until a ctl balance that comes after the first refusal"},
	{.magic = 9010, .name = "throttled", NORMAL,
		.fault = FAULT_ERROR,
		.code = "40005", .sub_code = "isv.app-call-limited", .message = "应用调用次数超限", .weight = 5,
	.text = "40005 on the first call"},
	{.magic = 9011, .name = "fail_later", .path = &account_fails, .card_path = &card_fails,
		.callbacks = 1, .weight = 3,
	.text = "10000 FAIL at once; to a card DEALING, then FAIL: not paid, the number is dead"},
	{.magic = 9012, .name = "not_found_then_found", NORMAL,
		.hidden = true, .fault = FAULT_ERROR, .effect_first = true,
		.code = "20000", .sub_code = "isp.unknow-error", .message = "系统繁忙", .weight = 5,
	.text = "20000 although it was accepted; queries answer ORDER_NOT_EXIST for a while"},
	{.magic = 9013, .name = "no_message", PATHS, .callbacks = 0, .weight = 5,
	.text = "accepted, SUCCESS, and never a message"},
	{.magic = 9014, .name = "forged_message", NORMAL,
		.flavour = CALLBACK_SIGNTEST, .weight = 3,
	.text = "the first push of the message has a wrong signature, the next a true one"},
	{.magic = 9015, .name = "sign_error", NORMAL,
		.fault = FAULT_ERROR,
		.code = "40002", .sub_code = "isv.invalid-signature", .message = "验签出错",
	.text = "40002 isv.invalid-signature on the first call"},
	{.magic = 9016, .name = "success_at_once", .path = &account, .callbacks = 1, .weight = 5,
	.text = "SUCCESS already in the answer, to a card too"},
	{.magic = 9017, .name = "reversed_messages", .path = &account, .card_path = &bounce, .callbacks = 1,
		.reversed = true, .weight = 3,
	.text = "to a card: SUCCESS, then REFUND; the messages come the other way round"},
	{.magic = 9018, .name = "held_after_effect", NORMAL,
		.fault = FAULT_HOLD, .effect_first = true,
	.text = "accepted; the answer is held until released"},
	{.magic = 9019, .name = "held_before_effect", NORMAL,
		.fault = FAULT_HOLD,
	.text = "held until released, and only then accepted, even if the caller has gone"},
	{.magic = 9020, .name = "reset_before_effect", NORMAL,
		.fault = FAULT_RESET, .weight = 5,
	.text = "the first call is reset and has no effect"},
	{.magic = 9021, .name = "reset_after_effect", NORMAL,
		.fault = FAULT_RESET, .effect_first = true, .weight = 5,
	.text = "accepted, then the connection is reset"},
	{.magic = 9022, .name = "unavailable", NORMAL,
		.fault = FAULT_ERROR,
		.code = "20000", .sub_code = "isp.unknow-error", .message = "系统繁忙", .weight = 5,
	.text = "20000 isp.unknow-error on the first call, without effect"},
	{.magic = 9023, .name = "garbage", NORMAL,
		.fault = FAULT_GARBAGE, .effect_first = true, .weight = 5,
	.text = "accepted, answered 200 with bytes that are no JSON"},
	{.magic = 9102, .name = "unsigned_refusal", NORMAL,
		.fault = FAULT_ERROR, .trick = TRICK_UNSIGNED_REFUSAL,
		REFUSED("PAYEE_NOT_EXIST", "收款账号不存在或姓名有误"), .weight = 5,
	.text = "a final refusal without a signature on the first call, without effect; a repeat works"},
	{.magic = 9103, .name = "slashes", NORMAL,
		.trick = TRICK_SLASHES, .weight = 5,
	.text = "accepted; the answer has \\/ for /, and is signed as it is sent"},
	{.magic = 9104, .name = "duplicate_node", NORMAL,
		.fault = FAULT_ERROR, .trick = TRICK_DUPLICATE_NODE,
		REFUSED("SYSTEM_ERROR", "系统繁忙"), .weight = 5,
	.text = "the first answer has its node twice: a signed SYSTEM_ERROR, and a forged success; no effect"},
	{.magic = 9105, .name = "unknown_certificate", NORMAL,
		.trick = TRICK_UNKNOWN_CERTIFICATE, .weight = 3,
	.text = "accepted; the answer is signed with a certificate that nobody was given"},
	{.magic = 9109, .name = "slashes_plain", NORMAL,
		.trick = TRICK_SLASHES_PLAIN, .weight = 3,
	.text = "accepted; the answer has \\/ for /, but is signed as if it had /"},
	{.magic = 9111, .name = "unsigned_success", NORMAL,
		.fault = FAULT_ERROR, .trick = TRICK_UNSIGNED_SUCCESS, .weight = 5,
	.text = "a success without a signature on the first call, without effect; a repeat works"},
	{.magic = 9112, .name = "error_node", NORMAL,
		.fault = FAULT_ERROR, .effect_first = true, .trick = TRICK_ERROR_NODE,
		.code = "20000", .sub_code = "aop.unknow-error", .message = "系统繁忙", .weight = 3,
	.text = "accepted; answered 20000 in error_response, signed"},
	{.magic = 9113, .name = "odd_answer", NORMAL,
		.trick = TRICK_ODD_ANSWER, .weight = 3,
	.text = "accepted; the answer is full of white space, braces and the word sign"},
	{.magic = 9115, .name = "unlisted_code", NORMAL,
		.fault = FAULT_ERROR,
		REFUSED("NOBODY_KNOWS_THIS", "未知错误"), .weight = 3,
	.text = "40004 with a code that is in no list, on the first call, without effect"},
	{.magic = 9116, .name = "http_503", NORMAL,
		.fault = FAULT_ERROR, .status = 503, .weight = 5,
	.text = "HTTP 503 and a page of HTML on the first call, without effect"},
	{.magic = 9302, .name = "slow", .path = &account, .card_path = &slow, .callbacks = 1,
	.text = "to a card: DEALING for an hour, then SUCCESS"},
	{.magic = 9308, .name = "wrong_name", NORMAL,
		.fault = FAULT_ERROR, .when = WHEN_ALWAYS,
		REFUSED("PAYEE_CARD_INFO_ERROR", "收款卡信息或姓名有误"), .weight = 3,
	.text = "40004 PAYEE_CARD_INFO_ERROR, for good: nothing is paid"},
	{.magic = 9309, .name = "late_message", .path = &account_late, .card_path = &card_late,
		.callbacks = 1, .weight = 3,
	.text = "SUCCESS; the message comes an hour late"},
	{.magic = 9310, .name = "foreign_message", .path = &account_foreign, .card_path = &card_foreign,
		.callbacks = 2, .weight = 3,
	.text = "SUCCESS; two messages, both truly signed, but one names another app and amount"},
	{.magic = 9311, .name = "bounce", .path = &account, .card_path = &bounce, .callbacks = 1, .weight = 5,
	.text = "to a card: SUCCESS, and soon after that REFUND: paid once, bounced once; a message of each"},
	{.magic = 9312, .name = "late_bounce", .path = &account, .card_path = &late_bounce, .callbacks = 1,
	.text = "to a card: SUCCESS, and REFUND two days later"},
	{.magic = 9313, .name = "quiet_bounce", .path = &account, .card_path = &quiet_bounce, .callbacks = 1,
	.text = "to a card: SUCCESS, and soon after that REFUND, of which there is no message"},
	{.magic = 9314, .name = "error_before_effect", NORMAL,
		.fault = FAULT_ERROR,
		REFUSED("SYSTEM_ERROR", "系统繁忙"), .weight = 5,
	.text = "40004 SYSTEM_ERROR on the first call, without effect"},
	{.magic = 9315, .name = "request_processing", NORMAL,
		.fault = FAULT_ERROR, .effect_first = true,
		REFUSED("REQUEST_PROCESSING", "请求处理中，请稍后"), .weight = 3,
	.text = "40004 REQUEST_PROCESSING, although it was accepted"},
	{.magic = 9316, .name = "daily_limit", NORMAL,
		.fault = FAULT_ERROR, .when = WHEN_TODAY,
		REFUSED("EXCEED_LIMIT_DM_AMOUNT", "日累计额度超限"),
	.text = "40004 EXCEED_LIMIT_DM_AMOUNT until the next day, in Beijing, of the sandbox's clock"},
	{.magic = 9317, .name = "monthly_limit", NORMAL,
		.fault = FAULT_ERROR, .when = WHEN_THIS_MONTH,
		REFUSED("EXCEED_LIMIT_MM_AMOUNT", "月累计额度超限"),
	.text = "40004 EXCEED_LIMIT_MM_AMOUNT until the next month"},
	{.magic = 9318, .name = "single_limit", NORMAL,
		.fault = FAULT_ERROR, .when = WHEN_ALWAYS,
		REFUSED("EXCEED_LIMIT_SM_AMOUNT", "单笔额度超限"), .weight = 3,
	.text = "40004 EXCEED_LIMIT_SM_AMOUNT, for good: nothing is paid"},
	{.magic = 9319, .name = "not_signed", NORMAL,
		.fault = FAULT_ERROR,
		REFUSED("PRODUCT_NOT_SIGN", "产品未签约"),
	.text = "40004 PRODUCT_NOT_SIGN on the first call"},
	{.magic = 9320, .name = "expired", NORMAL,
		.fault = FAULT_ERROR, .when = WHEN_ALWAYS,
		REFUSED("PAYMENT_TIME_EXPIRE", "请求已过期，请更换单号"), .weight = 3,
	.text = "40004 PAYMENT_TIME_EXPIRE, for good: nothing is paid, and only another number helps"},
	{.name = NULL}
};
