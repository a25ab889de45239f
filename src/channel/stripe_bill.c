/*-------------------------------------------------------------------------
 *
 * stripe_bill.c
 *	  Stripe's bill: the day's balance transactions, a page on each line.
 *
 * Stripe makes no file.  What moved the account's balance is listed
 * (api/balance_transactions), newest first, and the pages are kept as they
 * came, one on a line.  Each says whether another follows, so that a file of
 * which a page is missing is known for that.
 *
 * A movement has its own object expanded, where our number stands in the
 * metadata, and where its state is that of when it was asked for.  A movement
 * whose object was not expanded has happened, but what came of it is not said.
 *
 * Amounts of a movement are in the currency of the balance, those of a refund
 * in the payment's; each line has the refund's own.
 *
 * src/channel/stripe_bill.c
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "channel/bill_parts.h"
#include "channel/stripe.h"

#define LATEST	INT64_C(253402300799)	/* seconds: the end of the year 9999 */

typedef struct StripeBill
{
	BillReader	reader;
	BillDay		day;
	json_t	   *page;
	json_t	   *items;			/* of the page */
	size_t		item;			/* the next one */
	bool		any;			/* there was a page */
	bool		more;			/* and the last one says that another follows */
	char		last[CHANNEL_NO_MAX + 1];	/* the id before this one */
} StripeBill;

/* What a movement's type is to us (reports/balance-transaction-types). */
typedef enum StripeMeaning
{
	STRIPE_PAYMENT,				/* counted, not told */
	STRIPE_REFUND,
	STRIPE_REFUND_BACK,
	STRIPE_PAYOUT,
	STRIPE_PAYOUT_BACK,
	STRIPE_FEE,
	STRIPE_OTHER
} StripeMeaning;

static const struct
{
	const char *type;
	StripeMeaning meaning;
}			types[] = {
	{"charge", STRIPE_PAYMENT},
	{"payment", STRIPE_PAYMENT},
	{"refund", STRIPE_REFUND},
	{"payment_refund", STRIPE_REFUND},
	{"refund_failure", STRIPE_REFUND_BACK},
	{"payout", STRIPE_PAYOUT},
	{"payout_cancel", STRIPE_PAYOUT_BACK},
	{"payout_failure", STRIPE_PAYOUT_BACK},
	{"stripe_fee", STRIPE_FEE},
	{"stripe_fx_fee", STRIPE_FEE},
	{"tax_fee", STRIPE_FEE},
};

/* A refund's state when it was asked for; what is not listed decides nothing. */
static const struct
{
	const char *status;
	BillMovement movement;
}			statuses[] = {
	{"succeeded", BILL_PAID},
	{"failed", BILL_FAILED},
	{"canceled", BILL_FAILED},
};

static BillStep stripe_bill_next(BillReader *reader, BillLine *line, ChannelError *err);
static void stripe_bill_close(BillReader *reader);

/* ---- a movement ---- */

static BillStep
wrong(const StripeBill *bill, const char *what, ChannelError *err)
{
	return bill_bad(err, BILL_AGAIN_HINT, "page %lld, movement %lu: %s",
					(long long) bill->reader.lines.line_no, (unsigned long) bill->item, what);
}

static StripeMeaning
meaning_of(const char *type)
{
	size_t		i;

	for (i = 0; i < lengthof_array(types); i++)
		if (strcmp(types[i].type, type) == 0)
			return types[i].meaning;
	return STRIPE_OTHER;
}

/* A member with a sign, in ISO 4217 minor units of this currency. */
static bool
read_signed(const json_t *object, const char *key, const char *currency, int64_t *out)
{
	const json_t *v = json_object_get(object, key);
	int64_t		amount = (int64_t) json_integer_value(v);
	bool		negative = amount < 0;

	*out = 0;
	if (!json_is_integer(v) || amount == INT64_MIN ||
		!stripe_amount_from(currency, negative ? -amount : amount, out))
		return false;
	if (negative)
		*out = -*out;
	return true;
}

static bool
read_currency(const json_t *object, char out[4])
{
	const char *text = json_text(object, "currency");
	int			i;

	if (text == NULL || strlen(text) != 3)
		return false;
	for (i = 0; i < 3; i++)
		out[i] = (char) toupper((unsigned char) text[i]);
	out[3] = '\0';
	return stripe_currency_known(out);
}

/* The sums are of one currency: the merchant's, or else that of the first movement. */
static bool
add_movement(StripeBill *bill, const BillLine *line)
{
	BillTotals *totals = &bill->reader.totals;

	totals->lines++;
	if (totals->currency[0] == '\0')
		memcpy(totals->currency, line->currency, sizeof(totals->currency));
	if (strcmp(totals->currency, line->currency) != 0)
		return true;
	return line->balance_change < 0 ? bill_add(&totals->out, -line->balance_change) :
		bill_add(&totals->in, line->balance_change);
}

/* What every movement has. */
static BillStep
read_movement(StripeBill *bill, const json_t *item, BillLine *line, ChannelError *err)
{
	const char *id = json_text(item, "id");
	int64_t		created;
	int64_t		fee;

	if (id == NULL || !stripe_is_id(id, CHANNEL_NO_MAX))
		return wrong(bill, "it has no id", err);
	if (strcmp(id, bill->last) == 0)
		return wrong(bill, "it is the same as the one before it", err);
	str_copy(bill->last, sizeof(bill->last), id);
	if (!read_currency(item, line->currency))
		return wrong(bill, "it has no currency", err);
	if (!read_signed(item, "net", line->currency, &line->balance_change) ||
		!read_signed(item, "amount", line->currency, &line->amount))
		return wrong(bill, "it has no amounts", err);
	line->has_fee = read_signed(item, "fee", line->currency, &fee) &&
		!__builtin_mul_overflow(fee, INT64_C(1000), &line->fee);
	if (!json_amount(item, "created", &created) || created > LATEST)
		return wrong(bill, "it has no time", err);
	line->occurred_at = created * 1000000;
	bill_day_count(&bill->day, line->occurred_at, "");
	if (!add_movement(bill, line))
		return wrong(bill, "its amount is too large", err);
	line->amount = line->amount < 0 ? -line->amount : line->amount;
	return BILL_LINE;
}

/* What is refunded, to whom and with what success: the refund's own to say. */
static BillStep
read_refund(StripeBill *bill, const json_t *source, bool back, BillLine *line, ChannelError *err)
{
	StripeRefund refund;
	const char *why;
	size_t		i;

	line->movement = back ? BILL_CAME_BACK : BILL_UNDER_WAY;
	if (json_is_string(source))
	{
		const char *id = json_string_value(source);

		if (!stripe_is_id(id, CHANNEL_NO_MAX))
			return wrong(bill, "its refund has no id", err);
		str_copy(line->channel_refund_id, sizeof(line->channel_refund_id), id);
		return BILL_LINE;
	}
	if (!stripe_refund_read(source, &refund, &why))
		return wrong(bill, why, err);
	str_copy(line->wire_no, sizeof(line->wire_no), refund.number);
	str_copy(line->channel_refund_id, sizeof(line->channel_refund_id), refund.id);
	str_copy(line->channel_payment_id, sizeof(line->channel_payment_id),
			 refund.payment_intent[0] != '\0' ? refund.payment_intent : refund.charge);
	if (refund.has_amount)
	{
		line->amount = refund.amount;
		memcpy(line->currency, refund.currency, sizeof(line->currency));
	}
	for (i = 0; !back && i < lengthof_array(statuses); i++)
		if (strcmp(refund.status, statuses[i].status) == 0)
			line->movement = statuses[i].movement;
	return BILL_LINE;
}

/*
 * A payout to the merchant's own bank is nobody's withdrawal; it is only if our
 * number is on it.
 */
static void
read_payout(const json_t *source, bool back, BillLine *line)
{
	const char *id = json_is_string(source) ? json_string_value(source) : json_text(source, "id");
	const char *no = json_text(json_object_get(source, "metadata"), "refundx_no");

	line->product = PRODUCT_TRANSFER;
	line->movement = BILL_OTHER;
	if (id != NULL && stripe_is_id(id, CHANNEL_NO_MAX))
		str_copy(line->channel_refund_id, sizeof(line->channel_refund_id), id);
	if (no == NULL || no[0] == '\0' || strlen(no) > CHANNEL_NO_MAX ||
		strspn(no, stripe_refunds.limits.number_charset) != strlen(no))
		return;
	str_copy(line->wire_no, sizeof(line->wire_no), no);
	line->movement = back ? BILL_CAME_BACK : BILL_PAID;
}

static BillStep
read_item(StripeBill *bill, const json_t *item, BillLine *line, ChannelError *err)
{
	const char *type = json_text(item, "type");
	const json_t *source = json_object_get(item, "source");
	BillTotals *totals = &bill->reader.totals;
	StripeMeaning meaning;

	memset(line, 0, sizeof(*line));
	if (type == NULL || !stripe_is_id(type, sizeof(line->code) - 1))
		return wrong(bill, "it has no type", err);
	if (read_movement(bill, item, line, err) == BILL_BAD)
		return BILL_BAD;
	meaning = meaning_of(type);
	if (meaning == STRIPE_PAYMENT)
		return BILL_PAUSE;
	str_copy(line->code, sizeof(line->code), type);
	line->line_no = totals->lines;
	line->product = PRODUCT_REFUND;
	line->movement = meaning == STRIPE_FEE ? BILL_FEE : BILL_OTHER;
	if ((meaning == STRIPE_REFUND || meaning == STRIPE_REFUND_BACK) && source != NULL &&
		!json_is_null(source))
	{
		if (read_refund(bill, source, meaning == STRIPE_REFUND_BACK, line, err) == BILL_BAD)
			return BILL_BAD;
		totals->refunds++;
		if ((line->movement == BILL_PAID || line->movement == BILL_UNDER_WAY) &&
			strcmp(line->currency, totals->currency) == 0 && !bill_add(&totals->amount, line->amount))
			return wrong(bill, "its amount is too large", err);
	}
	else if (meaning == STRIPE_PAYOUT || meaning == STRIPE_PAYOUT_BACK)
		read_payout(source, meaning == STRIPE_PAYOUT_BACK, line);
	return BILL_LINE;
}

/* ---- pages ---- */

static BillStep
read_page(StripeBill *bill, ChannelError *err)
{
	char	   *text;
	size_t		len;
	BillStep	step;
	const json_t *more;

	json_decref(bill->page);
	bill->page = NULL;
	do
		step = bill_lines_next(&bill->reader.lines, &text, &len, err);
	while (step == BILL_LINE && len == 0);
	if (step == BILL_BAD)
		return step;
	if (step == BILL_END)
	{
		if (!bill->any || bill->more)
			return bill_bad(err, "Pages are missing: fetch it again.", bill->any ?
							"the file ends in its middle: its last page says that another follows" :
							"the file is empty");
		return bill_day_holds(&bill->day, true, err) &&
			bill_lines_finish(&bill->reader.lines, &bill->reader.totals, err) ? BILL_END : BILL_BAD;
	}
	if (bill->any && !bill->more)
		return bill_bad(err, BILL_AGAIN_HINT, "page %lld stands behind the last one",
						(long long) bill->reader.lines.line_no);
	bill->page = json_hostile_object(text, len);
	bill->items = json_object_get(bill->page, "data");
	more = json_object_get(bill->page, "has_more");
	if (!json_is_array(bill->items) || !json_is_boolean(more))
		return bill_bad(err, "The file has the answers of GET /v1/balance_transactions, one on each "
						"line.", "line %lld is not a page of balance transactions",
						(long long) bill->reader.lines.line_no);
	bill->item = 0;
	bill->any = true;
	bill->more = json_is_true(more);
	return BILL_LINE;
}

static BillStep
stripe_bill_next(BillReader *reader, BillLine *line, ChannelError *err)
{
	StripeBill *bill = (StripeBill *) reader;
	BillStep	step;
	int			quiet;

	for (quiet = 0; quiet < BILL_QUIET_LINES; quiet++)
	{
		while (bill->page == NULL || bill->item >= json_array_size(bill->items))
		{
			step = read_page(bill, err);
			if (step != BILL_LINE)
				return step;
		}
		step = read_item(bill, json_array_get(bill->items, bill->item++), line, err);
		if (step != BILL_PAUSE)
			return step;
	}
	return BILL_PAUSE;
}

static void
stripe_bill_close(BillReader *reader)
{
	StripeBill *bill = (StripeBill *) reader;

	json_decref(bill->page);
	bill_lines_close(&reader->lines);
	free(bill);
}

BillReader *
stripe_bill_open(const BillInput *input, const BillExpected *expected, ChannelError *err)
{
	StripeBill *bill = calloc(1, sizeof(*bill));

	memset(err, 0, sizeof(*err));
	if (bill == NULL)
	{
		channel_error(err, NULL, "there is not enough memory to read the file");
		return NULL;
	}
	bill->reader.next = stripe_bill_next;
	bill->reader.close = stripe_bill_close;
	bill->reader.ended = BILL_LINE;
	bill->reader.totals.has_refunds = true;
	if (expected->currency != NULL && !str_copy(bill->reader.totals.currency,
												sizeof(bill->reader.totals.currency),
												expected->currency))
		bill->reader.totals.currency[0] = '\0';
	if (bill_day_open(&bill->day, expected->day, 0, err) &&
		bill_lines_open(&bill->reader.lines, bill_source_open(input, err), input, expected, "sha256",
						STRIPE_PAGE_MAX, err))
		return &bill->reader;
	stripe_bill_close(&bill->reader);
	return NULL;
}
