/*-------------------------------------------------------------------------
 *
 * alipay.c
 *	  Alipay, gateway v1: the limits of its refunds, what they take, and how
 *	  its notifications are acknowledged.
 *
 * The limits are documented with alipay.trade.refund, unless noted otherwise.
 *
 * src/channel/alipay.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "channel/alipay.h"
#include "channel/alipay_bill.h"

#define REASON_MAX		256
#define AMOUNT_MAX		INT64_C(999999999999999)	/* price(16): 13 digits, point, 2 */

static bool amount_acceptable(const ChannelInstruction *instr, ChannelError *err);
static bool payment_acceptable(const ChannelInstruction *instr, ChannelError *err);
static bool reason_acceptable(const char *reason, ChannelError *err);
static bool alipay_acceptable(const ChannelInstruction *instr, int64_t now, ChannelError *err);
static void alipay_acknowledge(CallbackResult result, bool stored, ChannelReply *out);

static const char *const currencies[] = {"CNY", NULL};

/*
 * Delays between queries, in seconds.  A refund is synchronous: none is ever
 * "accepted" by Alipay's own word, so the first and the last list are there
 * for completeness only.  A query before ten seconds have passed proves no
 * absence, so an unknown outcome is asked about then, and ever more rarely.
 * None of the lists ends: the last delay repeats as long as the refund is open.
 */
static const int poll_accepted[] = {10, 30, 120, 600, 3600, 0};
static const int poll_unknown[] = {10, 30, 120, 600, 3600, 0};
static const int poll_abnormal[] = {600, 1800, 3600, 6 * 3600, 0};

const ChannelProduct alipay_refunds = {
	.kind = PRODUCT_REFUND,
	.label = "Alipay",
	.limits = {
		/*
		 * 64 characters.  The documented example and every order number of
		 * Alipay's have letters, digits and '_'; '-' is taken too, for there
		 * are many UUIDs.  Anything else would have to be tried out with money.
		 */
		.number_max = 64,
		.number_charset =
		"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-",
		.number_rule = "An Alipay out_request_no has 1 to 64 characters of "
		"0-9, A-Z, a-z, _ and -.",
		.reason_max = REASON_MAX,
		.currencies = currencies,
		.max_parts = 0,			/* none documented */
		.max_age = 0,			/* 3, 6 or 12 months by contract, which we do not know:
								 * Alipay says TRADE_HAS_FINISHED */
		.part_spacing = 3,
		.calls_per_second = 50, /* not documented, and by contract: a guess on the
								 * low side; 40005 says when it is too much */
		.failing_per_second = 0,	/* none documented */
		.not_found_after = 10,	/* documented with the refund query */
		.send_window = 0,		/* a number is idempotent within its trade for ever;
								 * the refund window ends by TRADE_HAS_FINISHED */
		.ask_window = 0,		/* queries have no documented age limit */
		.connect_timeout_ms = 3000,
		.call_timeout_ms = 15000,
		.poll_accepted = poll_accepted,
		.poll_unknown = poll_unknown,
		.poll_abnormal = poll_abnormal,
	},
	.verdicts = alipay_verdicts,
	.verdict_count = ALIPAY_VERDICT_COUNT,
	.acceptable = alipay_acceptable,
	.freeze = alipay_freeze,
	.build = alipay_build,
	.read_answer = alipay_read_answer,
};

const Channel alipay_channel = {
	.kind = "alipay",
	.label = "Alipay",
	.refund = &alipay_refunds,
	.transfer = &alipay_transfers,
	.bills = alipay_bills,
	.merchant = alipay_merchant,
	.open = alipay_open,
	.close = alipay_close,
	.check = alipay_check,
	.read_callback = alipay_read_callback,
	.acknowledge = alipay_acknowledge,
};

/* ---- what Alipay would refuse anyway ---- */

static bool
amount_acceptable(const ChannelInstruction *instr, ChannelError *err)
{
	if (instr->currency == NULL || strcmp(instr->currency, "CNY") != 0)
		return channel_error(err, "Refunds of Alipay are in CNY; the amount is in fen.",
							 "Alipay does not refund in the currency \"%.8s\"",
							 instr->currency ? instr->currency : "");
	if (instr->amount < 1 || instr->amount > AMOUNT_MAX)
		return channel_error(err, "The amount is in fen; the least is 1.",
							 "a refund of %lld is not possible", (long long) instr->amount);
	if (instr->amount > instr->payment_amount)
		return channel_error(err, "All refunds of a payment together are within what was paid.",
							 "a refund of %lld is more than the %lld that were paid",
							 (long long) instr->amount, (long long) instr->payment_amount);
	return true;
}

static bool
payment_acceptable(const ChannelInstruction *instr, ChannelError *err)
{
	const char *id = instr->channel_payment_id ? instr->channel_payment_id : instr->payment_no;

	if (id == NULL || !utf8_valid(id, strlen(id)) || !alipay_is_number(id))
		return channel_error(err, "Give Alipay's trade_no as the payment's channel_payment_id, "
							 "or use the out_trade_no as payment number.",
							 "this is no payment of Alipay: its trade_no or out_trade_no must have "
							 "1 to 64 visible ASCII characters");
	return true;
}

/*
 * The length is documented as 256 without a unit: bytes are the safe reading.
 * A gateway that converts a text on its way verifies another string than was
 * signed, and answers isv.invalid-signature, which would stop all refunds of
 * the merchant: so no characters that it may not know.
 */
static bool
reason_acceptable(const char *reason, ChannelError *err)
{
	size_t		len = reason ? strlen(reason) : 0;

	if (len > REASON_MAX)
		return channel_error(err, "A Chinese character counts as three bytes.",
							 "the reason has %lu bytes; Alipay takes at most %d",
							 (unsigned long) len, REASON_MAX);
	if (len > 0 && !utf8_valid(reason, len))
		return channel_error(err, NULL, "the reason is not valid UTF-8");
	if (len > 0 && utf8_has_four_bytes(reason, len))
		return channel_error(err, "Leave out characters of four bytes in UTF-8.",
							 "the reason has an emoji or another character that is not sent "
							 "to Alipay");
	return true;
}

static bool
alipay_acceptable(const ChannelInstruction *instr, int64_t now, ChannelError *err)
{
	(void) now;
	memset(err, 0, sizeof(*err));
	return channel_number_acceptable(&alipay_refunds, instr->wire_no, err) &&
		amount_acceptable(instr, err) &&
		payment_acceptable(instr, err) &&
		reason_acceptable(instr->reason, err) &&
		alipay_payment_data_acceptable(instr, err);
}

/* ---- answers to notifications ---- */

/*
 * Alipay reads the body and nothing else: exactly these seven bytes end the
 * deliveries, everything else is sent again, up to eight times in a day.  So
 * they are given only for what is safely kept, and for a self-test.  A
 * notification of a payment is not ours to acknowledge: whoever handles
 * payments would never hear of it.  The status is for the operator's proxy.
 */
static void
alipay_acknowledge(CallbackResult result, bool stored, ChannelReply *out)
{
	memset(out, 0, sizeof(*out));
	out->content_type = "text/plain";
	if ((result == CALLBACK_EVIDENCE && stored) || result == CALLBACK_TEST)
	{
		out->status = 200;
		strcpy(out->body, "success");
		return;
	}
	strcpy(out->body, "fail");
	switch (result)
	{
		case CALLBACK_EVIDENCE:
			out->status = 503;	/* it could not be stored: again, please */
			break;
		case CALLBACK_NOT_OURS:
			out->status = 404;
			break;
		case CALLBACK_BAD_HEADERS:
		case CALLBACK_BAD_BODY:
		case CALLBACK_BAD_CIPHER:
		case CALLBACK_OLD_PROTOCOL:
			out->status = 400;
			break;
		default:
			out->status = 401;	/* the signature */
			break;
	}
}
