/*-------------------------------------------------------------------------
 *
 * stripe_bill_request.c
 *	  Stripe's bill: how a day's balance transactions are asked for
 *	  (api/balance_transactions/list).
 *
 * They are there as soon as they happen.  A day is one of UTC, and is asked
 * for some time after its end, because a movement is listed a moment after it
 * was made.
 *
 * src/channel/stripe_bill_request.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "channel/bill_parts.h"
#include "channel/channel_answer.h"
#include "channel/stripe.h"

static bool ask(void *config, const char *day, const char *cursor, const ChannelMoment *moment,
				HttpRequest *out, ChannelError *err);
static void read_offer(void *config, const HttpAnswer *answer, int64_t now, BillOffer *out);
static bool download(void *config, const BillOffer *offer, const ChannelMoment *moment,
					 HttpRequest *out, ChannelError *err);

static const ChannelBill balance_bill = {
	.kind = "balance",
	.label = "Stripe's balance transactions",
	.has_refunds = true,
	.is_ledger = true,
	.utc_offset = 0,
	.ready_at = 3600,
	.retry_after = 600,
	.max_age_days = 365,
	.delay_days = 1,
	.by_acceptance = true,
	.ask = ask,
	.read_offer = read_offer,
	.download = download,
	.open = stripe_bill_open,
};

const ChannelBill *const stripe_bills[] = {
	&balance_bill,
	NULL
};

/*
 * The page behind the movement `cursor`.  Their objects come with them, for our
 * numbers are in these.
 */
static bool
ask(void *arg, const char *day, const char *cursor, const ChannelMoment *moment, HttpRequest *out,
	ChannelError *err)
{
	const StripeConfig *config = arg;
	BillDay		range;

	(void) moment;				/* nothing is signed, and there is no other host */
	memset(err, 0, sizeof(*err));
	http_request_free(out);
	http_request_init(out);
	if (!bill_day_open(&range, day, 0, err))
		return false;
	if (cursor != NULL && cursor[0] != '\0' && !stripe_is_id(cursor, CHANNEL_NO_MAX))
		return channel_error(err, NULL, "the list cannot go on from this place");
	buf_addf(&out->url, "%s/v1/balance_transactions?created%%5Bgte%%5D=%lld&created%%5Blt%%5D=%lld"
			 "&limit=%d&expand%%5B%%5D=data.source", config->base_url,
			 (long long) (range.start / 1000000), (long long) (range.end / 1000000), STRIPE_PAGE);
	if (cursor != NULL && cursor[0] != '\0')
		buf_addf(&out->url, "&starting_after=%s", cursor);
	if (!stripe_finish_get(config, out, err))
		return false;
	out->max_answer = STRIPE_PAGE_MAX;
	return true;
}

static bool
download(void *config, const BillOffer *offer, const ChannelMoment *moment, HttpRequest *out,
		 ChannelError *err)
{
	(void) config;
	(void) offer;
	(void) moment;
	http_request_free(out);
	http_request_init(out);
	return channel_error(err, NULL, "Stripe's bill comes with the answer; there is nothing to download");
}

/* ---- the offer ---- */

static void
read_list(const json_t *list, BillOffer *out)
{
	const json_t *data = json_object_get(list, "data");
	const json_t *more = json_object_get(list, "has_more");
	size_t		n = json_array_size(data);
	const char *last = n > 0 ? json_text(json_array_get(data, n - 1), "id") : NULL;

	if (!json_is_array(data) || !json_is_boolean(more) || n > STRIPE_PAGE)
		str_copy(out->message, sizeof(out->message), "the list of movements is not a whole one");
	else if (n == 0)
		out->answer = BILL_EMPTY;
	else if (!json_is_true(more))
		out->answer = BILL_PAGE;
	else if (last == NULL || !stripe_is_id(last, CHANNEL_NO_MAX))
		str_copy(out->message, sizeof(out->message), "the list does not lead on: its last movement has "
				 "no id");
	else
	{
		out->answer = BILL_PAGE;
		out->more = true;
		str_copy(out->cursor, sizeof(out->cursor), last);
	}
}

/* A 4xx other than a throttle is for a person: the key, its rights, the account. */
static void
read_offer(void *config, const HttpAnswer *answer, int64_t now, BillOffer *out)
{
	json_t	   *body;
	const json_t *error;
	const char *code;
	const char *words;

	(void) config;
	(void) now;
	memset(out, 0, sizeof(*out));
	out->answer = BILL_UNKNOWN;
	if (answer->outcome != HTTP_ANSWERED)
	{
		text_clip(out->message, sizeof(out->message), answer->error);
		return;
	}
	body = answer_is_json(&answer->headers) ?
		json_hostile_object(answer->body.data, answer->body.len) : NULL;
	error = json_object_get(body, "error");
	if (answer->status == 200 && body != NULL)
		read_list(body, out);
	else
	{
		code = json_text(error, "code") ? json_text(error, "code") : json_text(error, "type");
		words = json_text(error, "message");
		text_clip(out->code, sizeof(out->code), code ? code : "");
		if (words != NULL)
			stripe_words(out->message, sizeof(out->message), words);
		else
			snprintf(out->message, sizeof(out->message), "HTTP %d without Stripe's words",
					 answer->status);
		if (answer->status >= 400 && answer->status < 500 && answer->status != 429 &&
			answer->status != 409)
			out->answer = BILL_REFUSED;
	}
	json_decref(body);
}
