/*-------------------------------------------------------------------------
 *
 * stripe.c
 *	  Stripe: its limits, what it takes, and how it is acknowledged.
 *
 * Stripe's idea of a repeatable call is another than WeChat's or Alipay's.
 * A refund has no number of ours; a call has an Idempotency-Key, which lives
 * for a day, and under which Stripe keeps the first answer, an error too.  So
 * the same key never tells more than it told the first time, and is worth
 * nothing tomorrow.  What a call became is therefore found out by listing the
 * refunds of the payment, where our number stands in the metadata; and only
 * when that shows nothing is it sent again, under a new key (a generation).
 *
 * src/channel/stripe.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "channel/stripe.h"

#define HOUR	3600

static bool stripe_acceptable(const ChannelInstruction *instr, int64_t now, ChannelError *err);
static bool amount_acceptable(const ChannelInstruction *instr, ChannelError *err);
static bool reason_acceptable(const char *reason, ChannelError *err);
static void stripe_acknowledge(CallbackResult result, bool stored, ChannelReply *out);

/*
 * Delays between queries, in seconds.  A card's refund succeeds at once; that
 * of a bank's payment method takes days, and one that waits for the merchant's
 * balance or for the customer may take weeks.  None of the lists ends.
 */
static const int poll_accepted[] = {60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 0};

/* Whether a call had its effect is asked soon: somebody waits for it. */
static const int poll_unknown[] = {2, 5, 15, 45, 60, 120, 300, 600, 1800, 3600, 0};

/* Stripe has no such state. */
static const int poll_abnormal[] = {3600, 6 * 3600, 0};

const ChannelProduct stripe_refunds = {
	.kind = PRODUCT_REFUND,
	.label = "Stripe",
	.limits = {
		.number_max = 64,
		.number_charset =
		"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
		.number_rule = "A refund number for Stripe has 1 to 64 visible characters of ASCII, "
		"without spaces: it goes into the metadata and into a header.",
		.reason_max = STRIPE_REASON_MAX,
		.currencies = stripe_currencies,
		.max_parts = 0,			/* none is documented */
		.max_age = 0,			/* likewise; a payment method's own is told by a refusal */
		.part_spacing = 1,		/* two at once end in lock_timeout (rate-limits) */

		/*
		 * 100 a second in live mode, which the shop's own calls share; 25 in
		 * test mode, where a 429 does no harm (rate-limits).
		 */
		.calls_per_second = 50,

		/*
		 * Stripe does not count errors against anybody.  Only a 429 counts as
		 * failing here, so this is a brake of our own: who is throttled ten
		 * times within a second waits for the next one.
		 */
		.failing_per_second = 10,

		/*
		 * Stripe's own libraries wait 80 s for an answer, so a call may go on
		 * for that long after we gave it up; and the list may lag behind.
		 */
		.not_found_after = 120,

		/*
		 * Keys are kept for at least 24 hours (api/idempotent_requests).
		 * Later the same key would be another refund.
		 */
		.send_window = 20 * HOUR,
		.ask_window = 0,		/* lists have no end */
		.connect_timeout_ms = 5000,
		.call_timeout_ms = 30000,
		.poll_accepted = poll_accepted,
		.poll_unknown = poll_unknown,
		.poll_abnormal = poll_abnormal,
	},
	.verdicts = stripe_verdicts,
	.verdict_count = STRIPE_VERDICT_COUNT,
	.acceptable = stripe_acceptable,
	.freeze = stripe_freeze,
	.build = stripe_build,
	.read_answer = stripe_read_answer,
};

const Channel stripe_channel = {
	.kind = "stripe",
	.label = "Stripe",
	.refund = &stripe_refunds,
	.bills = stripe_bills,
	.merchant = stripe_merchant,
	.open = stripe_open,
	.close = stripe_close,
	.check = stripe_check,
	.read_callback = stripe_read_callback,
	.acknowledge = stripe_acknowledge,
};

/* ---- what Stripe would refuse anyway ---- */

static bool
amount_acceptable(const ChannelInstruction *instr, ChannelError *err)
{
	const char *currency = instr->currency ? instr->currency : "";
	int64_t		amount;

	if (!stripe_currency_known(currency))
		return channel_error(err, "refundx.channel_kinds() lists its currencies.",
							 "Stripe does not refund in the currency \"%.8s\"", currency);
	if (instr->amount < 1)
		return channel_error(err, "The amount is in the currency's minor units; the least is 1.",
							 "a refund of %lld is not possible", (long long) instr->amount);
	if (instr->amount > instr->payment_amount)
		return channel_error(err, "All refunds of a payment together are within what was paid.",
							 "a refund of %lld is more than the %lld that were paid",
							 (long long) instr->amount, (long long) instr->payment_amount);
	if (instr->amount % stripe_amount_step(currency) != 0)
		return channel_error(err, strcmp(currency, "MGA") == 0 ?
							 "For Stripe, the ariary has no minor unit." :
							 "Of a currency with three decimals, Stripe wants the last to be 0.",
							 "a refund of %lld is not possible: amounts of %s are multiples of %d",
							 (long long) instr->amount, currency, stripe_amount_step(currency));
	if (!stripe_amount_to(currency, instr->amount, &amount))
		return channel_error(err, NULL, "a refund of %lld %s is too large",
							 (long long) instr->amount, currency);
	return true;
}

static bool
reason_acceptable(const char *reason, ChannelError *err)
{
	size_t		len = reason ? strlen(reason) : 0;

	if (len > STRIPE_REASON_MAX)
		return channel_error(err, "It goes into the refund's metadata, as refundx_reason.",
							 "the reason has %lu bytes; Stripe takes at most %d",
							 (unsigned long) len, STRIPE_REASON_MAX);
	if (len > 0 && !utf8_valid(reason, len))
		return channel_error(err, NULL, "the reason is not valid UTF-8");
	return true;
}

static bool
stripe_acceptable(const ChannelInstruction *instr, int64_t now, ChannelError *err)
{
	(void) now;
	memset(err, 0, sizeof(*err));
	return channel_number_acceptable(&stripe_refunds, instr->wire_no, err) &&
		amount_acceptable(instr, err) &&
		stripe_payment_id_acceptable(instr->channel_payment_id, err) &&
		reason_acceptable(instr->reason, err) &&
		stripe_payment_data_acceptable(instr->payment_data, err);
}

/* ---- answers to events ---- */

/*
 * A 2xx means "do not send it again".  Anything else is sent again for up to
 * three days in live mode, and an endpoint that goes on failing is disabled
 * (webhooks#retries), with the refunds' events as well.  Therefore what is
 * Stripe's but not about a refund is acknowledged: an endpoint gets whatever
 * was ticked in the Dashboard, and who else wants an event has an endpoint of
 * their own.
 */
static void
stripe_acknowledge(CallbackResult result, bool stored, ChannelReply *out)
{
	const char *why = NULL;

	memset(out, 0, sizeof(*out));
	out->status = 400;
	switch (result)
	{
		case CALLBACK_EVIDENCE:
			out->status = stored ? 200 : 503;
			why = stored ? NULL : "it could not be stored, send it again";
			break;
		case CALLBACK_TEST:
		case CALLBACK_NOT_OURS:
			out->status = 200;
			break;
		case CALLBACK_BAD_HEADERS:
			why = "Stripe-Signature is missing or malformed";
			break;
		case CALLBACK_BAD_TIME:
			why = "the time in Stripe-Signature is more than 300 seconds off";
			break;
		case CALLBACK_UNKNOWN_KEY:
			why = "this channel has no signing secret";
			break;
		case CALLBACK_BAD_SIGNATURE:
		case CALLBACK_SIGNATURE_TEST:
			why = "no signature in Stripe-Signature fits";
			break;
		case CALLBACK_BAD_BODY:
			why = "the event cannot be read, or is of the other mode (test, live)";
			break;
		case CALLBACK_BAD_CIPHER:
		case CALLBACK_OLD_PROTOCOL:
			why = "this address takes events of Stripe only";
			break;
	}
	if (why == NULL)
		return;
	out->content_type = "application/json";
	snprintf(out->body, sizeof(out->body), "{\"error\":\"%s\"}", why);
}
