/*-------------------------------------------------------------------------
 *
 * wechat.c
 *	  WeChat Pay v3: the limits of its refunds, what it takes, and how it is
 *	  acknowledged.
 *
 * The limits are documented with the call that creates a refund (page
 * 4013071036 of pay.weixin.qq.com/doc/v3/merchant/), unless noted otherwise.
 *
 * src/channel/wechat.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "channel/wechat.h"
#include "channel/wechat_bill.h"

#define DAY			86400
#define MAX_AGE		((int64_t) 365 * DAY)
#define MAX_PARTS	50
#define REASON_MAX	80
#define ORDER_NO_MAX	32

static bool wechat_acceptable(const ChannelInstruction *instr, int64_t now, ChannelError *err);
static bool amount_acceptable(const ChannelInstruction *instr, ChannelError *err);
static bool payment_acceptable(const ChannelInstruction *instr, int64_t now, ChannelError *err);
static bool reason_acceptable(const char *reason, ChannelError *err);
static void wechat_acknowledge(CallbackResult result, bool stored, ChannelReply *out);

static const char *const currencies[] = {"CNY", NULL};

/*
 * Delays between queries, in seconds.  An accepted refund is asked about each
 * minute for five minutes and then ever more rarely, as WeChat advises; a
 * wallet's takes about five minutes, a card's up to three days.  None of the
 * lists ends: the last delay repeats for as long as the refund is open.
 */
static const int poll_accepted[] = {60, 60, 60, 60, 60, 300, 600, 1200, 1800, 3600, 3 * 3600, 0};

/* Whether a call had its effect is asked soon: somebody waits for it. */
static const int poll_unknown[] = {2, 5, 15, 45, 60, 120, 300, 600, 1800, 3600, 0};

/* An abnormal refund moves when a person does something in the console. */
static const int poll_abnormal[] = {600, 1800, 3600, 6 * 3600, 0};

const ChannelProduct wechat_refunds = {
	.kind = PRODUCT_REFUND,
	.label = "WeChat Pay",
	.limits = {
		.number_max = 64,
		.number_charset =
		"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-|*@",
		.number_rule = "A WeChat Pay refund number has 1 to 64 characters of "
		"0-9, A-Z, a-z and _ - | * @.",
		.reason_max = REASON_MAX,
		.currencies = currencies,
		.max_parts = MAX_PARTS,
		.max_age = MAX_AGE,
		.part_spacing = 60,
		.calls_per_second = 150,
		.failing_per_second = 6,
		.not_found_after = 60,	/* a call that timed out may still land */
		.send_window = 0,		/* a number is idempotent for ever */
		.ask_window = 0,		/* queries have no age limit (4013071200) */
		.connect_timeout_ms = 3000,
		.call_timeout_ms = 15000,
		.poll_accepted = poll_accepted,
		.poll_unknown = poll_unknown,
		.poll_abnormal = poll_abnormal,
	},
	.verdicts = wechat_verdicts,
	.verdict_count = WECHAT_VERDICT_COUNT,
	.acceptable = wechat_acceptable,
	.freeze = wechat_freeze,
	.build = wechat_build,
	.divert_acceptable = wechat_divert_acceptable,
	.divert_freeze = wechat_divert_freeze,
	.read_answer = wechat_read_answer,
};

const Channel wechat_channel = {
	.kind = "wechat",
	.label = "WeChat Pay",
	.refund = &wechat_refunds,
	.transfer = &wechat_transfers,
	.bills = wechat_bills,
	.merchant = wechat_merchant,
	.open = wechat_open,
	.close = wechat_close,
	.check = wechat_check,
	.read_callback = wechat_read_callback,
	.acknowledge = wechat_acknowledge,
};

/* ---- what WeChat would refuse anyway ---- */

static bool
amount_acceptable(const ChannelInstruction *instr, ChannelError *err)
{
	if (instr->currency == NULL || strcmp(instr->currency, "CNY") != 0)
		return channel_error(err, "Domestic refunds of WeChat Pay are in CNY; the amount is in fen.",
							 "WeChat Pay does not refund in the currency \"%.8s\"",
							 instr->currency ? instr->currency : "");
	if (instr->amount < 1)
		return channel_error(err, "The amount is in fen; the least is 1.",
							 "a refund of %lld is not possible", (long long) instr->amount);
	if (instr->amount > instr->payment_amount)
		return channel_error(err, "All refunds of a payment together are within what was paid.",
							 "a refund of %lld is more than the %lld that were paid",
							 (long long) instr->amount, (long long) instr->payment_amount);
	return true;
}

static bool
payment_acceptable(const ChannelInstruction *instr, int64_t now, ChannelError *err)
{
	const char *id = instr->channel_payment_id ? instr->channel_payment_id : instr->payment_no;

	if (id == NULL || id[0] == '\0' || strlen(id) > ORDER_NO_MAX)
		return channel_error(err, "Give WeChat's transaction_id as the payment's channel_payment_id, "
							 "or use the out_trade_no as payment number.",
							 "\"%.70s\" is no payment of WeChat Pay: it must have 1 to %d bytes",
							 id ? id : "", ORDER_NO_MAX);
	if (instr->paid_at > 0 && now - instr->paid_at > MAX_AGE)
		return channel_error(err, "Pay the money back by a transfer, or outside WeChat Pay.",
							 "the payment is %lld days old; WeChat Pay refunds within %lld",
							 (long long) ((now - instr->paid_at) / DAY),
							 (long long) (MAX_AGE / DAY));
	if (instr->parts_before >= MAX_PARTS)
		return channel_error(err, "Pay the rest back by a transfer, or outside WeChat Pay.",
							 "this would be refund %d of the payment; WeChat Pay takes at most %d",
							 instr->parts_before + 1, MAX_PARTS);
	return true;
}

static bool
reason_acceptable(const char *reason, ChannelError *err)
{
	size_t		len = reason ? strlen(reason) : 0;

	if (len > REASON_MAX)
		return channel_error(err, "A Chinese character counts as three bytes.",
							 "the reason has %lu bytes; WeChat Pay takes at most %d",
							 (unsigned long) len, REASON_MAX);
	if (len > 0 && !utf8_valid(reason, len))
		return channel_error(err, NULL, "the reason is not valid UTF-8");
	if (len > 0 && utf8_has_four_bytes(reason, len))
		return channel_error(err, "WeChat Pay takes characters of at most three bytes in UTF-8.",
							 "the reason \"%s\" has an emoji or another character that "
							 "WeChat Pay does not take", reason);
	return true;
}

static bool
wechat_acceptable(const ChannelInstruction *instr, int64_t now, ChannelError *err)
{
	memset(err, 0, sizeof(*err));
	return channel_number_acceptable(&wechat_refunds, instr->wire_no, err) &&
		amount_acceptable(instr, err) &&
		payment_acceptable(instr, now, err) &&
		reason_acceptable(instr->reason, err) &&
		wechat_payment_data_acceptable(instr, err) &&
		(instr->notify_url == NULL || wechat_notify_url_acceptable(instr->notify_url, err));
}

/* ---- answers to callbacks ---- */

#define JSON_TYPE "application/json"

/*
 * A 2xx means "do not send it again", so it is given only for what is safely
 * kept, and for a self-test.  Anything else is pushed again, up to fifteen
 * times in a day; by then the query has told.
 */
static void
wechat_acknowledge(CallbackResult result, bool stored, ChannelReply *out)
{
	const char *why = NULL;

	memset(out, 0, sizeof(*out));
	out->status = 400;
	switch (result)
	{
		case CALLBACK_EVIDENCE:
			out->status = stored ? 204 : 503;
			why = stored ? NULL : "it could not be stored, send it again";
			break;
		case CALLBACK_TEST:
			out->status = 204;
			break;
		case CALLBACK_NOT_OURS:
			out->status = stored ? 204 : 404;
			why = stored ? NULL : "this address takes notifications of refunds and transfers only";
			break;
		case CALLBACK_BAD_HEADERS:
			out->status = 401;
			why = "a Wechatpay header is missing or malformed";
			break;
		case CALLBACK_BAD_TIME:
			out->status = 401;
			why = "Wechatpay-Timestamp is more than 300 seconds off";
			break;
		case CALLBACK_UNKNOWN_KEY:
			out->status = 401;
			why = "no key for this Wechatpay-Serial";
			break;
		case CALLBACK_BAD_SIGNATURE:
		case CALLBACK_SIGNATURE_TEST:
			out->status = 401;
			why = "the signature is wrong";
			break;
		case CALLBACK_BAD_BODY:
			out->status = 400;
			why = "the body cannot be read";
			break;
		case CALLBACK_BAD_CIPHER:
			out->status = 400;
			why = "the resource cannot be decrypted";
			break;
		case CALLBACK_OLD_PROTOCOL:
			out->status = 400;
			why = "this address takes API v3 only";
			break;
	}
	if (why == NULL)
		return;
	out->content_type = JSON_TYPE;
	snprintf(out->body, sizeof(out->body), "{\"code\":\"FAIL\",\"message\":\"%s\"}", why);
}
