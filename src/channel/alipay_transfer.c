/*-------------------------------------------------------------------------
 *
 * alipay_transfer.c
 *	  Alipay's transfers, which pay withdrawals: their limits, and what they
 *	  take.
 *
 * The limits are documented with alipay.fund.trans.uni.transfer, unless noted
 * otherwise.  Transfers need an app in certificate mode, and a contract of
 * their own.
 *
 * src/channel/alipay_transfer.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "channel/alipay.h"

#define REASON_MAX			200
#define AMOUNT_MIN			INT64_C(10)				/* 0.10 yuan */
#define AMOUNT_MAX			INT64_C(10000000000)	/* 100000000.00 yuan */
#define REASON_FROM			INT64_C(5000000)		/* 50000.00 yuan */

static bool configured(const ChannelInstruction *instr, ChannelError *err);
static bool amount_acceptable(const ChannelInstruction *instr, ChannelError *err);
static bool reason_acceptable(const ChannelInstruction *instr, ChannelError *err);
static bool data_acceptable(const ChannelInstruction *instr, ChannelError *err);
static bool transfer_acceptable(const ChannelInstruction *instr, int64_t now, ChannelError *err);

static const char *const currencies[] = {"CNY", NULL};

/*
 * Delays between queries, in seconds.  An Alipay account is paid at once, or not
 * at all; a bank takes from minutes to days.  Only the last list ends: it is for
 * what has been paid to a bank card, which the bank may send back (no time is
 * documented: days).  The message order.changed tells it sooner.
 */
static const int poll_accepted[] = {60, 600, 1800, 3600, 4 * 3600, 0};
static const int poll_unknown[] = {10, 30, 120, 600, 3600, 0};
static const int poll_abnormal[] = {600, 1800, 3600, 6 * 3600, 0};
static const int poll_succeeded[] = {86400, 2 * 86400, 4 * 86400, 8 * 86400, 0};

const ChannelProduct alipay_transfers = {
	.kind = PRODUCT_TRANSFER,
	.label = "Alipay",
	.limits = {
		/* 64 characters, of which kind is not documented: those of refunds */
		.number_max = 64,
		.number_charset =
		"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-",
		.number_rule = "An Alipay out_biz_no has 1 to 64 characters of "
		"0-9, A-Z, a-z, _ and -.",
		.reason_max = REASON_MAX,
		.currencies = currencies,
		.calls_per_second = 50, /* not documented, and by contract: as for refunds */

		/*
		 * With ORDER_NOT_EXIST is documented that the transfer may still be on
		 * its way: "query again minutes later, or transfer again with the same
		 * out_biz_no".  A not-found may release money that was refused before, so
		 * these are some minutes.
		 */
		.not_found_after = 180,
		.send_window = 0,		/* none documented: a number is idempotent for ever;
								 * what expires says PAYMENT_TIME_EXPIRE */
		.ask_window = 0,		/* none documented */
		.connect_timeout_ms = 3000,
		.call_timeout_ms = 15000,
		.poll_accepted = poll_accepted,
		.poll_unknown = poll_unknown,
		.poll_abnormal = poll_abnormal,
		.poll_succeeded = poll_succeeded,
	},
	.verdicts = alipay_transfer_verdicts,
	.verdict_count = ALIPAY_TRANSFER_VERDICT_COUNT,
	.can_cancel = false,
	.payee = alipay_payee,
	.acceptable = transfer_acceptable,
	.freeze = alipay_transfer_freeze,
	.build = alipay_transfer_build,
	.read_answer = alipay_transfer_read_answer,
};

/* ---- what Alipay would refuse anyway ---- */

static bool
configured(const ChannelInstruction *instr, ChannelError *err)
{
	if (instr->transfer_defaults)
		return true;
	return channel_error(err, "Give its configuration \"transfer\": {}, if the app has transfers in its "
						 "contract and uses certificates.",
						 "the channel pays no withdrawals: its configuration has no setting "
						 "\"transfer\"");
}

static bool
amount_acceptable(const ChannelInstruction *instr, ChannelError *err)
{
	if (instr->currency == NULL || strcmp(instr->currency, "CNY") != 0)
		return channel_error(err, "Transfers of Alipay are in CNY; the amount is in fen.",
							 "Alipay does not transfer in the currency \"%.8s\"",
							 instr->currency ? instr->currency : "");
	if (instr->amount < AMOUNT_MIN || instr->amount > AMOUNT_MAX)
		return channel_error(err, "The amount is in fen: 10 (0.10 yuan) to 10000000000.",
							 "a transfer of %lld is not possible", (long long) instr->amount);
	return true;
}

/* It is the remark, which the payee and the regulator see; bytes, as always. */
static bool
reason_acceptable(const ChannelInstruction *instr, ChannelError *err)
{
	const char *reason = instr->reason ? instr->reason : "";
	size_t		len = strlen(reason);
	json_t	   *text;
	bool		good;

	if (len == 0 && instr->amount >= REASON_FROM)
		return channel_error(err, "Alipay shows it to the payee as the transfer's remark.",
							 "from 50000 yuan on a withdrawal needs a reason");
	if (len > REASON_MAX)
		return channel_error(err, "A Chinese character counts as three bytes.",
							 "the reason has %lu bytes; Alipay takes at most %d",
							 (unsigned long) len, REASON_MAX);
	text = json_string(reason); /* NULL if it is no UTF-8 */
	good = text != NULL && (len == 0 || alipay_text_good(text, REASON_MAX));
	json_decref(text);
	return good || channel_error(err, "Leave out line breaks, emoji, and characters of four bytes in UTF-8.",
								 "the reason is not valid UTF-8, or has a character that is not sent to "
								 "Alipay");
}

/*
 * The product follows from the payee; who says it all the same must be right:
 * a query without the payee at hand goes by it.
 */
static bool
data_acceptable(const ChannelInstruction *instr, ChannelError *err)
{
	AlipayPayee payee;
	json_t	   *data = NULL;
	const char *product;
	bool		good = true;

	if (!alipay_payee_parse(instr->payee, &payee, err))
		return false;
	if (instr->transfer_data != NULL)
	{
		data = json_hostile_object(instr->transfer_data, strlen(instr->transfer_data));
		product = json_text(data, "product_code");
		if (data == NULL)
			good = channel_error(err, NULL, "the withdrawal's channel_data is not a JSON object");
		else if (!alipay_transfer_options_good(data, "channel_data", true, err))
			good = false;
		else if (product != NULL && strcmp(product, alipay_payee_product(&payee)) != 0)
			good = channel_error(err, "Leave it out: it follows from the payee.",
								 "channel_data.product_code does not fit the payee");
	}
	json_decref(data);
	alipay_payee_free(&payee);
	return good;
}

static bool
transfer_acceptable(const ChannelInstruction *instr, int64_t now, ChannelError *err)
{
	(void) now;
	memset(err, 0, sizeof(*err));
	return configured(instr, err) &&
		channel_number_acceptable(&alipay_transfers, instr->wire_no, err) &&
		amount_acceptable(instr, err) &&
		reason_acceptable(instr, err) &&
		data_acceptable(instr, err);
}
