/*-------------------------------------------------------------------------
 *
 * stripe_objects.c
 *	  Refunds, charges, payment intents, accounts and balances as the API
 *	  shows them.
 *
 * What we know nothing about is null or absent, as it is with Stripe for a
 * plain card payment.
 *
 * sandbox/stripe_objects.c
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <string.h>

#include "stripe.h"

static const char *
data_text(const SbRefund *r, const char *name)
{
	return json_string_value(json_object_get(r->data, name));
}

const char *
stripe_status(const SbRefund *r)
{
	switch (r->status)
	{
		case REFUND_PROCESSING:
			return "pending";
		case REFUND_SUCCESS:
			return "succeeded";
		case REFUND_ABNORMAL:
			return "requires_action";
		case REFUND_CLOSED:
			break;
	}
	return json_is_true(json_object_get(r->data, "canceled")) ? "canceled" : "failed";
}

/*
 * A payment's currency.  It is made on first sight, and a refund does not
 * name one, so the payment's id does: pi_3Nxxx_JPY or ch_3NxxxJPY, and
 * otherwise --currency.
 */
static bool
currency_in(const char *id, char out[4])
{
	static const char known[] = "USD EUR GBP JPY KRW CNY HKD TWD SGD AUD CAD CHF SEK NOK DKK "
		"NZD THB MYR PHP VND IDR INR BRL MXN PLN CZK HUF CLP ISK UGX KWD BHD JOD OMR TND ";
	size_t		len = strlen(id);
	int			i;

	if (len < 4)
		return false;
	for (i = 0; i < 3; i++)
	{
		if (!isupper((unsigned char) id[len - 3 + i]))
			return false;
		out[i] = (char) tolower((unsigned char) id[len - 3 + i]);
	}
	out[3] = '\0';
	for (i = 0; known[i] != '\0'; i += 4)
		if (memcmp(known + i, id + len - 3, 3) == 0)
			return true;
	return false;
}

const char *
stripe_currency(const SbOrder *o)
{
	static char out[4];

	if (currency_in(o->out_trade_no, out) || currency_in(o->transaction_id, out))
		return out;
	return sandbox.opt.currency ? sandbox.opt.currency : "usd";
}

static json_t *
text_or_null(const char *s)
{
	return s ? json_string(s) : json_null();
}

/* What a refund that is not there any more leaves out, and others have. */
static void
add_status_fields(json_t *o, const SbRefund *r)
{
	const char *status = stripe_status(r);
	const char *why = data_text(r, "failure_reason");
	bool		sent = r->status == REFUND_SUCCESS;

	json_object_set_new(o, "destination_details",
						json_pack("{s{ss* ss ss ss} ss}", "card",
								  "reference", sent ? "123456789012" : NULL,
								  "reference_status", sent ? "available" : "pending",
								  "reference_type", "acquirer_reference_number",
								  "type", sent ? "refund" : "pending", "type", "card"));
	if (strcmp(status, "failed") == 0)
	{
		json_object_set_new(o, "failure_reason", json_string(why ? why : "unknown"));
		json_object_set_new(o, "failure_balance_transaction",
							json_sprintf("txn_f%s", r->refund_id + 3));
	}
	else if (strcmp(status, "pending") == 0)
		json_object_set_new(o, "pending_reason",
							json_string(outcome_named(r->channel, r->outcome)->trick == TRICK_UNFUNDED ?
										"insufficient_funds" : "processing"));
	else if (strcmp(status, "requires_action") == 0)
		json_object_set_new(o, "next_action",
							json_pack("{s{s{si ss}, sI} ss}", "display_details", "email_sent",
									  "email_sent_at", (int) (r->created / 1000), "email_sent_to",
									  "payer@example.com", "expires_at",
									  (json_int_t) (r->created / 1000 + 45 * 86400),
									  "type", "display_details"));
}

static json_t *
refund_base(const SbRefund *r, const char *id, int64_t amount, const char *status)
{
	const SbOrder *o = r->order;

	return json_pack("{ss ss sI so ss sI ss ss so so sn so sn ss sn}",
					 "id", id, "object", "refund", "amount", (json_int_t) amount,
					 "balance_transaction", json_sprintf("txn_3%s", id + 3),
					 "charge", o->transaction_id, "created", (json_int_t) (r->created / 1000),
					 "currency", stripe_currency(o), "payment_intent", o->out_trade_no,
					 "metadata", json_object(), "reason", text_or_null(data_text(r, "reason")),
					 "receipt_number", "customer", json_null(),
					 "source_transfer_reversal", "status", status, "transfer_reversal");
}

json_t *
stripe_refund_json(const SbRefund *r)
{
	json_t	   *o = refund_base(r, r->refund_id, r->amount, stripe_status(r));
	json_t	   *metadata = json_object_get(r->data, "metadata");

	if (json_is_object(metadata))
		json_object_set_new(o, "metadata", json_deep_copy(metadata));
	add_status_fields(o, r);
	return o;
}

int
stripe_fillers(const SbRefund *r)
{
	return (int) json_integer_value(json_object_get(r->data, "fillers"));
}

/*
 * A refund that somebody else asked for and gave up, newer than r: it moves
 * no money and is there only to be in the way.
 */
json_t *
stripe_filler_json(const SbRefund *r, int i)
{
	char		id[SB_ID_MAX + 1];
	json_t	   *o;

	snprintf(id, sizeof(id), "%.40sf%03d", r->refund_id, i);
	o = refund_base(r, id, 1, "canceled");
	json_object_set_new(o, "reason", json_string("requested_by_customer"));
	return o;
}

json_t *
stripe_charge_json(const SbOrder *o)
{
	json_int_t	created = (json_int_t) (o->created / 1000);

	return json_pack("{ss ss sI sI sI sn sn so s{s{snsnsnsn} snsnsn} ss sb sI ss sn sb"
					 " s{} sb so ss s{ss s{ss s{sn} ss ss}} sb s{} ss}",
					 "id", o->transaction_id, "object", "charge",
					 "amount", (json_int_t) o->total, "amount_captured", (json_int_t) o->total,
					 "amount_refunded", (json_int_t) o->taken, "application", "application_fee",
					 "balance_transaction", json_sprintf("txn_3%s", o->transaction_id + 3),
					 "billing_details", "address", "city", "country", "line1", "postal_code",
					 "email", "name", "phone",
					 "calculated_statement_descriptor", "REFUNDX SANDBOX", "captured", 1,
					 "created", created, "currency", stripe_currency(o), "customer",
					 "disputed", 0, "fraud_details", "livemode", 0,
					 "payment_intent", json_string(o->out_trade_no), "payment_method", "pm_sandbox",
					 "payment_method_details", "type", "card", "card", "brand", "visa",
					 "checks", "address_line1_check", "country", "US", "last4", "4242",
					 "refunded", o->taken >= o->total, "metadata", "status", "succeeded");
}

json_t *
stripe_intent_json(const SbOrder *o)
{
	return json_pack("{ss ss sI sI sI ss sI ss sn ss sb s{} s[s] ss}",
					 "id", o->out_trade_no, "object", "payment_intent",
					 "amount", (json_int_t) o->total, "amount_capturable", (json_int_t) 0,
					 "amount_received", (json_int_t) o->total, "capture_method", "automatic",
					 "created", (json_int_t) (o->created / 1000), "currency", stripe_currency(o),
					 "customer", "latest_charge", o->transaction_id, "livemode", 0,
					 "metadata", "payment_method_types", "card", "status", "succeeded");
}

json_t *
stripe_account_json(const SbMerchant *m)
{
	return json_pack("{ss ss s{ssss} ss s{ssss} sb ss sI ss sb ss s{} sb s{s{ss ss}} ss}",
					 "id", m->mchid, "object", "account",
					 "business_profile", "name", "refundx sandbox", "url", "https://shop.example.com",
					 "business_type", "company",
					 "capabilities", "card_payments", "active", "transfers", "active",
					 "charges_enabled", 1, "country", "US", "created", (json_int_t) 1700000000,
					 "default_currency", sandbox.opt.currency ? sandbox.opt.currency : "usd",
					 "details_submitted", 1, "email", "sandbox@example.com", "metadata",
					 "payouts_enabled", 1, "settings", "dashboard", "display_name",
					 "refundx sandbox", "timezone", "Etc/UTC", "type", "standard");
}

/* Nobody's money: what counts is only that it is there. */
json_t *
stripe_balance_json(const SbMerchant *m)
{
	const char *currency = sandbox.opt.currency ? sandbox.opt.currency : "usd";

	(void) m;
	return json_pack("{ss s[{sI ss s{sI}}] sb s[{sI ss s{sI}}]}", "object", "balance",
					 "available", "amount", (json_int_t) 100000000, "currency", currency,
					 "source_types", "card", (json_int_t) 100000000, "livemode", 0,
					 "pending", "amount", (json_int_t) 0, "currency", currency,
					 "source_types", "card", (json_int_t) 0);
}

/* ---- expand[] ---- */

static json_t *
transaction_json(json_t *refund, const SbOrder *o)
{
	json_int_t	amount = json_integer_value(json_object_get(refund, "amount"));

	return json_pack("{sO ss sI sI sO ss sI s[] sI sO ss ss}",
					 "id", json_object_get(refund, "balance_transaction"),
					 "object", "balance_transaction", "amount", -amount,
					 "available_on", (json_int_t) (o->created / 1000),
					 "created", json_object_get(refund, "created"),
					 "currency", stripe_currency(o), "fee", (json_int_t) 0, "fee_details",
					 "net", -amount, "source", json_object_get(refund, "id"),
					 "status", "available", "type", "refund");
}

/* The property that `name` asks for, or NULL. */
static const char *
expandable(const char *name, const char *base)
{
	static const char *const known[] = {"charge", "payment_intent", "balance_transaction"};
	size_t		i;

	if (name == NULL || strncmp(name, base, strlen(base)) != 0)
		return NULL;
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(name + strlen(base), known[i]) == 0)
			return known[i];
	return NULL;
}

static json_t *
expanded(json_t *refund, const SbOrder *o, const char *property)
{
	if (strcmp(property, "charge") == 0)
		return stripe_charge_json(o);
	if (strcmp(property, "payment_intent") == 0)
		return stripe_intent_json(o);
	return transaction_json(refund, o);
}

/* refund NULL: only look whether the names are right, before anything happens */
bool
stripe_expand(json_t *refund, const SbOrder *o, json_t *params, const char *base, StripeError *e)
{
	json_t	   *names = json_object_get(params, "expand");
	const char *key;
	json_t	   *value;

	if (names != NULL && !json_is_object(names))
	{
		stripe_fail(e, 400, NULL, "expand", "Invalid array: expand");
		return false;
	}
	json_object_foreach(names, key, value)
	{
		const char *property = expandable(json_string_value(value), base);

		if (property == NULL)
		{
			stripe_fail(e, 400, NULL, "expand", "This property cannot be expanded (%.100s).",
						json_is_string(value) ? json_string_value(value) : key);
			return false;
		}
		if (refund != NULL)
			json_object_set_new(refund, property, expanded(refund, o, property));
	}
	return true;
}
