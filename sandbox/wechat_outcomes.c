/*-------------------------------------------------------------------------
 *
 * wechat_outcomes.c
 *	  What can become of a WeChat Pay refund, as a table.
 *
 * A developer at psql picks a row by the amount of the refund; a chaos run
 * draws rows by seed.  A new kind of trouble is a new row.
 *
 * sandbox/wechat_outcomes.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "wechat.h"

#define TABLE_SIZE ((int) (sizeof(table) / sizeof(table[0])))

static const WechatOutcome table[] = {
	{.magic = 0, .name = "normal",
		.first = REFUND_SUCCESS, .then = REFUND_SUCCESS, .callbacks = 1,
	.text = "200 PROCESSING, then SUCCESS by callback"},
	{.magic = 9001, .name = "user_account_abnormal",
		.fault = FAULT_ERROR, .when = WHEN_ALWAYS,
		.status = 403, .code = "USER_ACCOUNT_ABNORMAL", .message = "用户账户异常",
		.weight = 3,
	.text = "403 USER_ACCOUNT_ABNORMAL, for good: nothing is paid"},
	{.magic = 9002, .name = "paid_no_answer",
		.fault = FAULT_HANG, .effect_first = true,
		.first = REFUND_SUCCESS, .then = REFUND_SUCCESS, .callbacks = 1, .weight = 5,
	.text = "accepted, but the call is never answered"},
	{.magic = 9003, .name = "timeout_before_effect",
		.fault = FAULT_HANG,
		.first = REFUND_SUCCESS, .then = REFUND_SUCCESS, .callbacks = 1, .weight = 5,
	.text = "the first call hangs and has no effect; a repeat works"},
	{.magic = 9004, .name = "abnormal",
		.first = REFUND_ABNORMAL, .then = REFUND_ABNORMAL, .callbacks = 1,
	.text = "accepted, then ABNORMAL by callback; stays so until somebody settles it"},
	{.magic = 9005, .name = "five_callbacks",
		.first = REFUND_SUCCESS, .then = REFUND_SUCCESS, .callbacks = 5, .weight = 5,
	.text = "accepted; the callback is pushed five times, at once"},
	{.magic = 9006, .name = "callback_first",
		.fault = FAULT_AFTER_CALLBACK, .effect_first = true,
		.first = REFUND_SUCCESS, .then = REFUND_SUCCESS, .callbacks = 1, .weight = 5,
	.text = "the callback comes before the answer of the call (held up to 3 s)"},
	{.magic = 9007, .name = "error_after_effect",
		.fault = FAULT_ERROR, .effect_first = true,
		.status = 500, .code = "SYSTEM_ERROR", .message = "系统异常，请稍后重试",
		.first = REFUND_SUCCESS, .then = REFUND_SUCCESS, .callbacks = 1, .weight = 5,
	.text = "500 SYSTEM_ERROR, although it was accepted"},
	{.magic = 9008, .name = "bad_signature",
		.fault = FAULT_BAD_SIGNATURE, .effect_first = true,
		.first = REFUND_SUCCESS, .then = REFUND_SUCCESS, .callbacks = 1, .weight = 5,
	.text = "accepted, answered 200 with a wrong signature"},
	{.magic = 9009, .name = "not_enough",
		.fault = FAULT_ERROR, .when = WHEN_UNTIL_TOPUP,
		.status = 403, .code = "NOT_ENOUGH", .message = "商户余额不足",
		.first = REFUND_SUCCESS, .then = REFUND_SUCCESS, .callbacks = 1,
	.text = "403 NOT_ENOUGH until a top-up that comes after the first refusal"},
	{.magic = 9010, .name = "throttled",
		.fault = FAULT_ERROR,
		.status = 429, .code = "FREQUENCY_LIMITED", .message = "频率限制",
		.first = REFUND_SUCCESS, .then = REFUND_SUCCESS, .callbacks = 1, .weight = 5,
	.text = "429 FREQUENCY_LIMITED on the first call"},
	{.magic = 9011, .name = "closed",
		.first = REFUND_CLOSED, .then = REFUND_CLOSED, .callbacks = 1, .weight = 3,
	.text = "accepted, then CLOSED by callback: not paid, the number is dead"},
	{.magic = 9012, .name = "not_found_then_found",
		.hidden = true,
		.first = REFUND_SUCCESS, .then = REFUND_SUCCESS, .callbacks = 1, .weight = 5,
	.text = "accepted; queries answer 404 for a while"},
	{.magic = 9013, .name = "no_callback",
		.first = REFUND_SUCCESS, .then = REFUND_SUCCESS, .callbacks = 0, .weight = 5,
	.text = "accepted, SUCCESS, and never a callback"},
	{.magic = 9014, .name = "signtest",
		.first = REFUND_SUCCESS, .then = REFUND_SUCCESS, .callbacks = 1,
		.flavour = CALLBACK_SIGNTEST, .weight = 3,
	.text = "the first push carries a WECHATPAY/SIGNTEST signature, the next a true one"},
	{.magic = 9015, .name = "sign_error",
		.fault = FAULT_ERROR,
		.status = 401, .code = "SIGN_ERROR", .message = "签名错误",
		.first = REFUND_SUCCESS, .then = REFUND_SUCCESS, .callbacks = 1,
	.text = "401 SIGN_ERROR on the first call"},
	{.magic = 9016, .name = "success_at_once",
		.at_once = true,
		.first = REFUND_SUCCESS, .then = REFUND_SUCCESS, .callbacks = 1, .weight = 5,
	.text = "SUCCESS already in the answer, and a callback"},
	{.magic = 9017, .name = "reversed_callbacks",
		.reversed = true,
		.first = REFUND_ABNORMAL, .then = REFUND_SUCCESS, .callbacks = 1, .weight = 5,
	.text = "ABNORMAL, then SUCCESS; the callbacks come the other way round"},
	{.magic = 9018, .name = "held_after_effect",
		.fault = FAULT_HOLD, .effect_first = true,
		.first = REFUND_SUCCESS, .then = REFUND_SUCCESS, .callbacks = 1,
	.text = "accepted; the answer is held until released"},
	{.magic = 9019, .name = "held_before_effect",
		.fault = FAULT_HOLD,
		.first = REFUND_SUCCESS, .then = REFUND_SUCCESS, .callbacks = 1,
	.text = "held until released, and only then accepted, even if the caller has gone"},
	{.magic = 9020, .name = "reset_before_effect",
		.fault = FAULT_RESET,
		.first = REFUND_SUCCESS, .then = REFUND_SUCCESS, .callbacks = 1, .weight = 5,
	.text = "the first call is reset and has no effect"},
	{.magic = 9021, .name = "reset_after_effect",
		.fault = FAULT_RESET, .effect_first = true,
		.first = REFUND_SUCCESS, .then = REFUND_SUCCESS, .callbacks = 1, .weight = 5,
	.text = "accepted, then the connection is reset"},
	{.magic = 9022, .name = "unavailable",
		.fault = FAULT_ERROR,
		.status = 503, .code = "SERVICE_UNAVAILABLE", .message = "服务不可用",
		.first = REFUND_SUCCESS, .then = REFUND_SUCCESS, .callbacks = 1, .weight = 5,
	.text = "503 on the first call, without effect"},
	{.magic = 9023, .name = "garbage",
		.fault = FAULT_GARBAGE, .effect_first = true,
		.first = REFUND_SUCCESS, .then = REFUND_SUCCESS, .callbacks = 1, .weight = 5,
	.text = "accepted, answered 200 with bytes that are no JSON"},
	{.magic = 9024, .name = "to_merchant",
		.to_merchant = true,
		.first = REFUND_ABNORMAL, .then = REFUND_SUCCESS, .callbacks = 1, .weight = 3,
	.text = "ABNORMAL, then SUCCESS into the merchant's own account: the payer got nothing"},
};

const WechatOutcome *
wechat_outcome_named(const char *name)
{
	int			i;

	for (i = 0; i < TABLE_SIZE; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return &table[0];
}

/*
 * In a chaos run the draw depends on the seed and the number only, not on
 * the order of arrival: the same numbers meet the same fate in every run.
 */
static const WechatOutcome *
draw(const char *mchid, const char *no)
{
	uint64_t	h = hash_string(no, hash_string(mchid, sandbox.opt.seed));
	int			total = 0,
				pick,
				i;

	if ((double) (h % 10000) >= sandbox.opt.chaos_percent * 100)
		return &table[0];
	for (i = 0; i < TABLE_SIZE; i++)
		total += table[i].weight;
	pick = (int) ((h >> 24) % (uint64_t) total);
	for (i = 0; pick >= table[i].weight; i++)
		pick -= table[i].weight;
	return &table[i];
}

const WechatOutcome *
wechat_outcome_choose(const char *mchid, const char *no, int64_t amount)
{
	int			i;

	if (sandbox.opt.chaos)
		return draw(mchid, no);
	for (i = 1; i < TABLE_SIZE; i++)
		if (table[i].magic == amount % 10000)
			return &table[i];
	return &table[0];
}

void
wechat_print_outcomes(FILE *out)
{
	int			i;

	fprintf(out, "| fen %% 10000 | name | what happens | weight in chaos |\n|---|---|---|---|\n");
	for (i = 0; i < TABLE_SIZE; i++)
	{
		if (table[i].magic)
			fprintf(out, "| %d ", table[i].magic);
		else
			fprintf(out, "| others ");
		fprintf(out, "| `%s` | %s | %d |\n", table[i].name, table[i].text, table[i].weight);
	}
}
