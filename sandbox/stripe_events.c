/*-------------------------------------------------------------------------
 *
 * stripe_events.c
 *	  Events, and the webhooks that carry them.
 *
 * An event is a snapshot: what its object was when it happened, the same bytes
 * in every delivery.  Only the signature's time differs.  It goes to the
 * account's webhook URL (ctl webhook-url); without one there are none.
 *
 * sandbox/stripe_events.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "stripe.h"

#define LATE_MS			INT64_C(3600000)
#define STALE_SECONDS	600		/* receivers take a signature for 300 s */

/* ---- what happens ---- */

/* With which secret this refund's events are signed; "" = as the account's are. */
static const char *
signed_how(const SbOutcome *o)
{
	return o->trick == TRICK_OLD_SECRET ? "old" : o->trick == TRICK_BOTH_SECRETS ? "both" :
		o->trick == TRICK_STALE ? "stale" : "";
}

/* Steals object and previous. */
static json_t *
event_data(const SbRefund *r, const char *type, json_t *object, json_t *previous)
{
	const char *request = json_string_value(json_object_get(r->data, "request"));
	const char *key = json_string_value(json_object_get(r->data, "key"));
	json_t	   *data = json_pack("{ss so sI sb ss so* ss* ss*}", "type", type, "object", object,
								 "created", (json_int_t) (wall_ms() / 1000), "livemode", 0,
								 "sign", signed_how(outcome_named(r->channel, r->outcome)),
								 "previous", previous, "request", request, "key", key);

	if (json_is_true(json_object_get(r->data, "connected")))
		json_object_set_new(data, "account", json_string(r->order->merchant->mchid));
	return data;
}

/* As often as the outcome wants, all with one id.  Steals data. */
static void
push(SbRefund *r, const SbOutcome *o, const char *url, json_t *data, int64_t due)
{
	const char *type = json_string_value(json_object_get(data, "type"));
	char		id[SB_ID_MAX + 1];
	int			i;

	stripe_id("evt_1", id);
	for (i = 0; i < o->callbacks; i++)
		record_flavoured_event(r->order->merchant, r, type, url, id, due, json_incref(data), o->flavour);
	json_decref(data);
}

static void
tell(SbRefund *r, const char *type, json_t *object, json_t *previous, int64_t due)
{
	const SbOutcome *o = outcome_named(r->channel, r->outcome);
	const char *url = refund_url(r);
	json_t	   *data = event_data(r, type, object, previous);

	if (o->trick == TRICK_LATE)
		due += LATE_MS;
	if (url != NULL && o->trick == TRICK_LIVE_EVENT)
	{
		json_t	   *live = json_copy(data);

		json_object_set_new(live, "livemode", json_true());
		push(r, o, url, live, due);
	}
	if (url != NULL)
		push(r, o, url, json_incref(data), due);
	json_decref(data);
}

/* When the first word of a refund is told: after the last, if that is the trouble. */
void
stripe_tell_created(SbRefund *r)
{
	const SbOutcome *o = outcome_named(r->channel, r->outcome);
	int64_t		due = clock_now();

	if (o->reversed)
		due += clock_real_delay(3 * (int64_t) sandbox.opt.callback_delay_ms + 100);
	tell(r, "refund.created", stripe_refund_json(r), NULL, due);
	tell(r, "charge.refunded", stripe_charge_json(r->order),
		 json_pack("{sI}", "amount_refunded", (json_int_t) (r->order->taken - r->amount)), due);
}

void
stripe_tell_changed(SbRefund *r, json_t *previous)
{
	int64_t		due = clock_now();

	tell(r, "refund.updated", stripe_refund_json(r), json_incref(previous), due);
	if (strcmp(stripe_status(r), "failed") == 0 && json_object_get(previous, "status") != NULL)
		tell(r, "refund.failed", stripe_refund_json(r), json_incref(previous), due);
	json_decref(previous);
}

/* For ctl callback: somebody wants it told again, as it is now. */
json_t *
stripe_callback_data(const SbRefund *r, RefundStatus says)
{
	(void) says;
	return event_data(r, "refund.updated", stripe_refund_json(r), NULL);
}

/* ---- deliveries ---- */

static json_t *
event_json(const SbCallback *cb)
{
	const json_t *d = cb->data;
	json_t	   *data = json_pack("{sO}", "object", json_object_get(d, "object"));
	json_t	   *account = json_object_get(d, "account");
	json_t	   *event;

	if (json_object_get(d, "previous") != NULL)
		json_object_set(data, "previous_attributes", json_object_get(d, "previous"));
	event = json_pack("{so ss ss sO so sO si s{sO? sO?} sO}",
					  "id", json_sprintf("%s%s", strncmp(cb->event_id, "evt_", 4) ? "evt_" : "",
										 cb->event_id),
					  "object", "event", "api_version", STRIPE_API_VERSION,
					  "created", json_object_get(d, "created"), "data", data,
					  "livemode", json_object_get(d, "livemode"), "pending_webhooks", 1,
					  "request", "id", json_object_get(d, "request"),
					  "idempotency_key", json_object_get(d, "key"),
					  "type", json_object_get(d, "type"));
	if (event != NULL && account != NULL)
		json_object_set(event, "account", account);
	return event;
}

/* ",NAME=" and the HMAC of "t.body" under this secret */
static void
add_signature(Buf *header, const char *name, const char *secret, const Buf *text)
{
	unsigned char mac[32] = {0};

	hmac_sha256(secret, strlen(secret), buf_str(text), text->len, mac);
	buf_addf(header, ",%s=", name);
	hex_encode(header, mac, sizeof(mac));
}

/*
 * t, then one v1 for each secret that is valid while secrets are rolled, then
 * the v0 that test mode also sends, and that nobody may believe.
 */
static void
sign(const SbCallback *cb, const Buf *body, Buf *header)
{
	const StripeKeys *k = stripe_keys(cb->merchant);
	const char *how = json_string_value(json_object_get(cb->data, "sign"));
	bool		probe = cb->flavour == CALLBACK_SIGNTEST && cb->tries == 0;
	long long	t = (long long) (wall_ms() / 1000);
	Buf			text = BUF_INIT;

	if (how != NULL && strcmp(how, "stale") == 0)
	{
		if (probe)
			t -= STALE_SECONDS;
		probe = false;
		how = k->sign;
	}
	if (how == NULL || *how == '\0')
		how = k->sign;
	buf_addf(&text, "%lld.", t);
	buf_add(&text, buf_str(body), body->len);
	buf_addf(header, "t=%lld", t);
	if (probe)
		add_signature(header, "v1", "whsec_of_another_endpoint", &text);
	else
	{
		if (strcmp(how, "new") != 0)
			add_signature(header, "v1", k->webhook_old, &text);
		if (strcmp(how, "old") != 0)
			add_signature(header, "v1", k->webhook_new, &text);
	}
	add_signature(header, "v0", "test mode", &text);
	buf_free(&text);
}

bool
stripe_build_callback(const SbCallback *cb, HttpRequest *out)
{
	json_t	   *event = event_json(cb);
	char	   *text = event ? json_dumps(event, JSON_INDENT(2)) : NULL;
	Buf			header = BUF_INIT;

	json_decref(event);
	if (text == NULL)
		return false;
	str_copy(out->method, sizeof(out->method), "POST");
	buf_adds(&out->url, cb->url);
	buf_adds(&out->body, text);
	free(text);
	sign(cb, &out->body, &header);
	http_header_add(&out->headers, "Content-Type", "application/json; charset=utf-8");
	http_header_add(&out->headers, "Accept", "*/*; q=0.5, application/xml");
	http_header_add(&out->headers, "Cache-Control", "no-cache");
	http_header_add(&out->headers, "User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)");
	http_header_add(&out->headers, "Stripe-Signature", buf_str(&header));
	buf_free(&header);
	return true;
}

bool
stripe_acknowledged(long status, const char *body, size_t len)
{
	(void) body;
	(void) len;
	return status >= 200 && status < 300;
}

/* Rolling a webhook secret: both are valid for a time, and then the new one only. */
const char *
stripe_merchant_switch(SbMerchant *m, const char *what)
{
	if (strcmp(what, "secret-new") != 0 && strcmp(what, "secret-old") != 0 &&
		strcmp(what, "secret-both") != 0)
		return "it must be secret-new, secret-old or secret-both";
	ledger_add(json_pack("{ss ss ss ss}", "e", "stripe_sign", "channel", "stripe",
						 "mchid", m->mchid, "sign", what + 7), false);
	return NULL;
}

/* "Up to three days, with an exponential back off"; the steps are not published. */
int
stripe_retry_after(const SbCallback *cb)
{
	static const int schedule[] = {
		10, 60, 300, 1800, 7200, 18000, 36000, 43200, 43200, 43200, 43200
	};

	return cb->tries < (int) (sizeof(schedule) / sizeof(schedule[0])) ? schedule[cb->tries] : 0;
}
