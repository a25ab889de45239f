/*-------------------------------------------------------------------------
 *
 * stripe_refund.c
 *	  The refund object (api/refunds/object), in answers and events alike.
 *
 * It is parsed leniently where nothing depends on it (Stripe adds members and
 * values as it likes, and events come in the version of their endpoint), and
 * strictly where money does.
 *
 * src/channel/stripe_refund.c
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "channel/stripe.h"

#define YEAR_9999	INT64_C(253402300799)

bool
stripe_is_id(const char *s, size_t max)
{
	size_t		len = strlen(s);

	return len >= 1 && len <= max &&
		strspn(s, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_") == len;
}

/*
 * Stripe's words may quote our key (masked by it, but who knows) or an account
 * number.  Keys lose all behind their prefix, long numbers all but four digits.
 */
void
stripe_words(char *dst, size_t dstsize, const char *src)
{
	static const char *const prefixes[] = {"sk_", "rk_", "pk_", "whsec_"};
	char		text[512];
	size_t		n = 0;
	bool		inside = false; /* a word: a prefix within one is none */

	while (*src != '\0' && n + 12 < sizeof(text))
	{
		size_t		i;
		size_t		len = 0;

		for (i = 0; !inside && i < lengthof_array(prefixes) && len == 0; i++)
			if (strncmp(src, prefixes[i], strlen(prefixes[i])) == 0)
				len = strlen(prefixes[i]);
		if (len > 0)
		{
			memcpy(text + n, src, len);
			memcpy(text + n + len, "****", 4);
			n += len + 4;
			while (isalnum((unsigned char) *src) || *src == '_' || *src == '*')
				src++;
			continue;
		}
		inside = isalnum((unsigned char) *src) || *src == '_';
		text[n++] = *src++;
	}
	text[n] = '\0';
	text_mask_digits(dst, dstsize, text);
}

/* An id, or the object that it was expanded to; "" if it is absent or null. */
static bool
read_reference(const json_t *object, const char *key, char out[CHANNEL_NO_MAX + 1])
{
	const json_t *v = json_object_get(object, key);
	const char *id;

	out[0] = '\0';
	if (v == NULL || json_is_null(v))
		return true;
	id = json_is_object(v) ? json_text(v, "id") : json_string_value(v);
	return id != NULL && stripe_is_id(id, CHANNEL_NO_MAX) &&
		str_copy(out, CHANNEL_NO_MAX + 1, id);
}

/*
 * Our number.  Metadata is anybody's to write, so what cannot be a number of
 * ours is none.  False if the metadata is no metadata.
 */
static bool
read_number(const json_t *object, StripeRefund *out)
{
	const json_t *metadata = json_object_get(object, "metadata");
	const json_t *v = json_object_get(metadata, "refundx_no");
	const char *no = json_string_value(v);

	str_copy(out->number, sizeof(out->number), out->id);
	if (metadata != NULL && !json_is_null(metadata) && !json_is_object(metadata))
		return false;
	if (v == NULL)
		return true;
	if (no == NULL)
		return false;
	if (no[0] != '\0' && strlen(no) <= CHANNEL_NO_MAX &&
		strspn(no, stripe_refunds.limits.number_charset) == strlen(no))
	{
		out->ours = true;
		str_copy(out->number, sizeof(out->number), no);
	}
	return true;
}

/*
 * It may be null, as old ones are.  Such a refund says nothing, but it must
 * not make the whole list of a payment unreadable.
 */
static bool
read_status(const json_t *object, StripeRefund *out)
{
	const json_t *v = json_object_get(object, "status");
	const char *status = json_string_value(v);

	if (v == NULL || json_is_null(v))
		return true;
	return status != NULL && stripe_is_id(status, sizeof(out->status) - 1) &&
		str_copy(out->status, sizeof(out->status), status);
}

static bool
read_money(const json_t *object, StripeRefund *out)
{
	const char *currency = json_text(object, "currency");
	int64_t		amount;
	int			i;

	if (currency == NULL || strlen(currency) != 3 || !json_amount(object, "amount", &amount))
		return false;
	for (i = 0; i < 3; i++)
	{
		if (!isalpha((unsigned char) currency[i]))
			return false;
		out->currency[i] = (char) toupper((unsigned char) currency[i]);
	}
	out->currency[3] = '\0';
	out->has_amount = stripe_amount_from(out->currency, amount, &out->amount);
	return true;
}

/* Why it is as it is; the words are Stripe's, with ours around them. */
static void
read_words(const json_t *object, StripeRefund *out)
{
	const char *failure = json_text(object, "failure_reason");
	const char *pending = json_text(object, "pending_reason");
	char		text[256] = "";

	if (strcmp(out->status, "requires_action") == 0)
		str_copy(text, sizeof(text), "the customer must act before the refund can go on");
	else if (strcmp(out->status, "failed") == 0)
		snprintf(text, sizeof(text), "failed: %.64s; the money is back in the Stripe balance",
				 failure ? failure : "no reason given");
	else if (strcmp(out->status, "canceled") == 0 && failure != NULL)
		snprintf(text, sizeof(text), "canceled: %.64s", failure);
	else if (strcmp(out->status, "pending") == 0 && pending != NULL)
		snprintf(text, sizeof(text), "pending: %.64s%s", pending,
				 strcmp(pending, "insufficient_funds") == 0 ?
				 "; the Stripe balance is too low, top it up" :
				 strcmp(pending, "charge_pending") == 0 ?
				 "; the payment itself has not settled yet" : "");
	stripe_words(out->words, sizeof(out->words), text);
}

bool
stripe_refund_read(const json_t *object, StripeRefund *out, const char **why)
{
	const char *kind = json_text(object, "object");
	const char *id = json_text(object, "id");
	const char *destination = json_text(json_object_get(object, "destination_details"), "type");

	memset(out, 0, sizeof(*out));
	*why = "";
	if (kind == NULL || strcmp(kind, "refund") != 0)
		*why = "it is no refund";
	else if (id == NULL || !stripe_is_id(id, CHANNEL_NO_MAX) ||
			 !str_copy(out->id, sizeof(out->id), id))
		*why = "the refund has no id";
	else if (!read_status(object, out))
		*why = "the refund has a status that is none";
	else if (!read_money(object, out))
		*why = "the refund has no amount or no currency";
	else if (!read_number(object, out))
		*why = "the refund's metadata cannot be read";
	else if (!read_reference(object, "payment_intent", out->payment_intent) ||
			 !read_reference(object, "charge", out->charge))
		*why = "the refund's payment cannot be read";
	else
	{
		if (!json_amount(object, "created", &out->created) || out->created > YEAR_9999)
			out->created = 0;
		read_words(object, out);

		/* only what kind it is: the rest are references to cards and banks */
		if (destination != NULL && stripe_is_id(destination, 64))
			str_copy(out->destination, sizeof(out->destination), destination);
		return true;
	}
	return false;
}

void
stripe_refund_tell(const StripeRefund *refund, ChannelEvidence *out)
{
	str_copy(out->code, sizeof(out->code), refund->status);
	str_copy(out->wire_no, sizeof(out->wire_no), refund->number);
	str_copy(out->channel_refund_id, sizeof(out->channel_refund_id), refund->id);
	str_copy(out->currency, sizeof(out->currency), refund->currency);
	str_copy(out->message, sizeof(out->message), refund->words);
	out->has_amount = refund->has_amount;
	out->amount = refund->amount;
	out->occurred_at = refund->created * 1000000;

	/* who received it is known when somebody has */
	if (strcmp(refund->status, "succeeded") == 0)
		str_copy(out->detail, sizeof(out->detail), refund->destination);
}
