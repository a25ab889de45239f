/*-------------------------------------------------------------------------
 *
 * wechat_transfer_outcomes.c
 *	  What can become of a WeChat Pay transfer, as a table (4.2, 4.3).
 *
 * The same numbers as those of refunds mean the same; from 9301 on is what
 * only transfers have, at both channels that have them.  A row whose fault
 * shows a transfer must have effect_first, and every row has a path.
 *
 * sandbox/wechat_transfer_outcomes.c
 *
 *-------------------------------------------------------------------------
 */
#include "transfer.h"
#include "wechat.h"

static const TransferPath normal = {
	.step = {{TRANSFER_WAITING, STEP_NOW}, {TRANSFER_SUCCESS, STEP_PAYEE}}
};
static const TransferPath never_confirmed = {
	.step = {{TRANSFER_WAITING, STEP_NOW}, {TRANSFER_SUCCESS, STEP_COMMAND}}
};
static const TransferPath fails = {
	.step = {{TRANSFER_WAITING, STEP_NOW}, {TRANSFER_FAIL, STEP_DELAY}}, .reason = "PAYEE_ACCOUNT_ABNORMAL"
};
static const TransferPath unconfirmed = {	/* as in the variant without confirmation */
	.step = {{TRANSFER_ACCEPTED, STEP_NOW}, {TRANSFER_SUCCESS, STEP_DELAY}}
};
static const TransferPath at_once = {
	.step = {{TRANSFER_SUCCESS, STEP_NOW}}
};
static const TransferPath declined = {
	.step = {{TRANSFER_WAITING, STEP_NOW}, {TRANSFER_FAIL, STEP_DELAY}}, .reason = "OTHER_FAIL_REASON_TYPE"
};
static const TransferPath slow = {
	.step = {{TRANSFER_ACCEPTED, STEP_NOW}, {TRANSFER_PROCESSING, STEP_DELAY},
	{TRANSFER_WAITING, STEP_HOUR}, {TRANSFER_SUCCESS, STEP_PAYEE}}
};
static const TransferPath unfunded = {
	.step = {{TRANSFER_PROCESSING, STEP_NOW}, {TRANSFER_WAITING, STEP_FUNDS}, {TRANSFER_SUCCESS, STEP_PAYEE}}
};
static const TransferPath fails_after_confirm = {
	.step = {{TRANSFER_WAITING, STEP_NOW}, {TRANSFER_TRANSFERING, STEP_PAYEE}, {TRANSFER_FAIL, STEP_DELAY}},
	.reason = "REALNAME_ACCOUNT_RECEIVED_QUOTA_EXCEED"
};
static const TransferPath transfering_long = {
	.step = {{TRANSFER_WAITING, STEP_NOW}, {TRANSFER_TRANSFERING, STEP_PAYEE}, {TRANSFER_SUCCESS, STEP_HOUR}}
};
static const TransferPath cancel_lost = {
	.step = {{TRANSFER_WAITING, STEP_NOW}, {TRANSFER_SUCCESS, STEP_COMMAND}}, .lost_cancel = true
};
static const TransferPath cancel_slow = {
	.step = {{TRANSFER_WAITING, STEP_NOW}, {TRANSFER_SUCCESS, STEP_COMMAND}}, .slow_cancel = true
};
static const TransferPath wrong_name = {
	.step = {{TRANSFER_PROCESSING, STEP_NOW}, {TRANSFER_FAIL, STEP_DELAY}}, .reason = "NAME_NOT_CORRECT"
};
static const TransferPath late = {
	.step = {{TRANSFER_WAITING, STEP_NOW}, {TRANSFER_SUCCESS, STEP_PAYEE}}, .late = true
};
static const TransferPath foreign = {
	.step = {{TRANSFER_WAITING, STEP_NOW}, {TRANSFER_SUCCESS, STEP_PAYEE}}, .foreign = true
};

#define NORMAL .path = &normal, .callbacks = 1

const SbOutcome wechat_transfer_outcomes[] = {
	{.magic = 0, .name = "normal", NORMAL,
	.text = "200 WAIT_USER_CONFIRM with package_info; the payee confirms by himself (--payee): SUCCESS by callback"},
	{.magic = 9001, .name = "user_error", NORMAL,
		.fault = FAULT_ERROR, .when = WHEN_ALWAYS,
		.status = 403, .code = "USER_ERROR", .message = "收款用户账户异常", .weight = 3,
	.text = "403 USER_ERROR, for good: nothing is paid"},
	{.magic = 9002, .name = "paid_no_answer", NORMAL,
		.fault = FAULT_HANG, .effect_first = true, .weight = 5,
	.text = "accepted, but the call is never answered"},
	{.magic = 9003, .name = "timeout_before_effect", NORMAL,
		.fault = FAULT_HANG, .weight = 5,
	.text = "the first call hangs and has no effect; a repeat works"},
	{.magic = 9004, .name = "never_confirmed", .path = &never_confirmed, .callbacks = 1,
	.text = "accepted, but the payee never confirms by himself: ctl confirm or decline, or FAIL OVERDUE_CLOSE after 24 hours"},
	{.magic = 9005, .name = "five_callbacks", .path = &normal, .callbacks = 5, .weight = 5,
	.text = "accepted; the callback is pushed five times, at once"},
	{.magic = 9006, .name = "callback_first", .path = &unconfirmed, .callbacks = 1,
		.fault = FAULT_AFTER_CALLBACK, .effect_first = true, .weight = 5,
	.text = "the callback says SUCCESS before the call is answered with ACCEPTED (held up to 3 s)"},
	{.magic = 9007, .name = "error_after_effect", NORMAL,
		.fault = FAULT_ERROR, .effect_first = true,
		.status = 500, .code = "SYSTEM_ERROR", .message = "系统异常，请稍后重试", .weight = 5,
	.text = "500 SYSTEM_ERROR, although it was accepted"},
	{.magic = 9008, .name = "bad_signature", NORMAL,
		.fault = FAULT_BAD_SIGNATURE, .effect_first = true, .weight = 5,
	.text = "accepted, answered 200 with a wrong signature"},
	{.magic = 9009, .name = "not_enough", NORMAL,
		.fault = FAULT_ERROR, .when = WHEN_UNTIL_TOPUP,
		.status = 403, .code = "NOT_ENOUGH", .message = "运营账户余额不足",
	.text = "403 NOT_ENOUGH until a ctl balance that comes after the first refusal"},
	{.magic = 9010, .name = "throttled", NORMAL,
		.fault = FAULT_ERROR,
		.status = 429, .code = "FREQUENCY_LIMIT_EXCEED", .message = "频率超限", .weight = 5,
	.text = "429 FREQUENCY_LIMIT_EXCEED on the first call"},
	{.magic = 9011, .name = "fail_later", .path = &fails, .callbacks = 1, .weight = 3,
	.text = "accepted, then FAIL PAYEE_ACCOUNT_ABNORMAL by callback: not paid, the number is dead"},
	{.magic = 9012, .name = "not_found_then_found", NORMAL,
		.hidden = true, .weight = 5,
	.text = "accepted; queries answer 404 for a while"},
	{.magic = 9013, .name = "no_callback", .path = &normal, .callbacks = 0, .weight = 5,
	.text = "accepted, SUCCESS, and never a callback"},
	{.magic = 9014, .name = "signtest", NORMAL,
		.flavour = CALLBACK_SIGNTEST, .weight = 3,
	.text = "the first push carries a WECHATPAY/SIGNTEST signature, the next a true one"},
	{.magic = 9015, .name = "sign_error", NORMAL,
		.fault = FAULT_ERROR,
		.status = 401, .code = "SIGN_ERROR", .message = "签名错误",
	.text = "401 SIGN_ERROR on the first call"},
	{.magic = 9016, .name = "success_at_once", .path = &at_once, .callbacks = 1, .weight = 5,
	.text = "SUCCESS already in the answer, as if the payee had confirmed at once, and a callback"},
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
		.status = 503, .code = "SERVICE_UNAVAILABLE", .message = "服务不可用", .weight = 5,
	.text = "503 on the first call, without effect"},
	{.magic = 9023, .name = "garbage", NORMAL,
		.fault = FAULT_GARBAGE, .effect_first = true, .weight = 5,
	.text = "accepted, answered 200 with bytes that are no JSON"},
	{.magic = 9301, .name = "declined", .path = &declined, .callbacks = 1, .weight = 3,
	.text = "accepted, then the payee declines: FAIL OTHER_FAIL_REASON_TYPE by callback"},
	{.magic = 9302, .name = "slow", .path = &slow, .callbacks = 1,
	.text = "ACCEPTED, then PROCESSING for an hour, and only then WAIT_USER_CONFIRM"},
	{.magic = 9303, .name = "processing_until_funds", .path = &unfunded, .callbacks = 1,
	.text = "200 PROCESSING, and not on from there until ctl balance and then a repeat of the call; FAIL OVERDUE_CLOSE after 24 hours"},
	{.magic = 9304, .name = "fails_after_confirm", .path = &fails_after_confirm, .callbacks = 1, .weight = 3,
	.text = "the payee confirms, TRANSFERING, then FAIL REALNAME_ACCOUNT_RECEIVED_QUOTA_EXCEED"},
	{.magic = 9305, .name = "transfering_long", .path = &transfering_long, .callbacks = 1,
	.text = "the payee confirms, TRANSFERING for an hour, then SUCCESS"},
	{.magic = 9306, .name = "cancel_lost", .path = &cancel_lost, .callbacks = 1,
	.text = "as 9004; if it is cancelled: CANCELING, then TRANSFERING and SUCCESS after all"},
	{.magic = 9307, .name = "cancel_slow", .path = &cancel_slow, .callbacks = 1,
	.text = "as 9004; if it is cancelled: CANCELING for an hour, then CANCELLED"},
	{.magic = 9308, .name = "wrong_name", .path = &wrong_name, .callbacks = 1, .weight = 3,
	.text = "PROCESSING, then FAIL NAME_NOT_CORRECT"},
	{.magic = 9309, .name = "late_callback", .path = &late, .callbacks = 1, .weight = 3,
	.text = "SUCCESS; the callback comes an hour late"},
	{.magic = 9310, .name = "foreign_callback", .path = &foreign, .callbacks = 2, .weight = 3,
	.text = "SUCCESS; two callbacks, both truly signed, but one names another merchant and amount"},
	{.magic = 9314, .name = "error_before_effect", NORMAL,
		.fault = FAULT_ERROR,
		.status = 500, .code = "SYSTEM_ERROR", .message = "系统异常，请稍后重试", .weight = 5,
	.text = "500 SYSTEM_ERROR on the first call, without effect"},
	{.magic = 9319, .name = "no_auth", NORMAL,
		.fault = FAULT_ERROR,
		.status = 403, .code = "NO_AUTH", .message = "商户无此转账场景权限",
	.text = "403 NO_AUTH on the first call"},
	{.magic = 9321, .name = "invalid_request", NORMAL,
		.fault = FAULT_ERROR, .when = WHEN_ALWAYS,
		.status = 400, .code = "INVALID_REQUEST", .message = "超出用户收款额度", .weight = 3,
	.text = "400 INVALID_REQUEST, for good: nothing is paid"},
	{.name = NULL}
};
