/*-------------------------------------------------------------------------
 *
 * stripe_keyed.c
 *	  What Idempotency-Keys remember, and what else Stripe's own ledger
 *	  records say.
 *
 * As the API reference has it: the status and body of the first request with
 * a key are kept once its execution has begun, errors and 500s among them,
 * and every later request with the key gets them again.  Parameters that fail
 * validation, and conflicts with a request that is still running, are not
 * kept.  Other parameters under the same key are an error.  Keys are forgotten
 * after 24 hours.
 *
 * sandbox/stripe_keyed.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "stripe.h"

typedef struct Kept
{
	char	   *path;
	char		digest[65];
	char		request_id[32];
	int			status;
	char	   *body;
	int64_t		at;				/* sandbox clock */
} Kept;

static Map	kept;				/* account/key -> Kept */

#define NAME_SIZE	(SB_MCHID_MAX + STRIPE_KEY_MAX + 2)

static const char *
name_of(char out[NAME_SIZE], const char *mchid, const char *key)
{
	snprintf(out, NAME_SIZE, "%.*s/%.*s", SB_MCHID_MAX, mchid, STRIPE_KEY_MAX, key);
	return out;
}

/* ---- writing and applying records ---- */

void
stripe_keep(StripeCall *c, int status, const char *body)
{
	ledger_add(json_pack("{ss ss ss ss ss ss ss si ss}", "e", "stripe_key", "channel", "stripe",
						 "mchid", c->m->mchid, "key", c->key, "path", buf_str(&c->req->path),
						 "digest", c->digest, "request", c->request_id,
						 "status", status, "body", body), false);
}

void
stripe_set(SbRefund *r, json_t *set)
{
	ledger_add(json_pack("{ss ss ss ss so}", "e", "stripe_set", "channel", "stripe",
						 "mchid", r->order->merchant->mchid, "refund_id", r->refund_id,
						 "set", set), false);
}

static const char *
text(const json_t *rec, const char *name)
{
	const char *s = json_string_value(json_object_get(rec, name));

	return s ? s : "";
}

static void
apply_key(const json_t *rec)
{
	char		name[NAME_SIZE];
	Kept	   *k = map_get(&kept, name_of(name, text(rec, "mchid"), text(rec, "key")));

	if (k == NULL)
	{
		k = must_alloc(sizeof(*k));
		map_put(&kept, name, k);
	}
	free(k->path);
	free(k->body);
	k->path = must_strdup(text(rec, "path"));
	k->body = must_strdup(text(rec, "body"));
	str_copy(k->digest, sizeof(k->digest), text(rec, "digest"));
	str_copy(k->request_id, sizeof(k->request_id), text(rec, "request"));
	k->status = (int) json_integer_value(json_object_get(rec, "status"));
	k->at = json_integer_value(json_object_get(rec, "t"));
}

static void
apply_set(const json_t *rec)
{
	SbRefund   *r = model_refund_by_id(text(rec, "mchid"), text(rec, "refund_id"));
	json_t	   *set = json_object_get(rec, "set");

	if (r != NULL && json_is_object(r->data) && json_is_object(set))
		json_object_update(r->data, set);
}

static void
apply_sign(const json_t *rec)
{
	SbMerchant *m = model_merchant_of(&stripe_channel, text(rec, "mchid"));

	if (m != NULL)
		str_copy(stripe_keys(m)->sign, sizeof(stripe_keys(m)->sign), text(rec, "sign"));
}

void
stripe_apply(const json_t *rec, int64_t sequence)
{
	(void) sequence;
	if (strcmp(text(rec, "e"), "stripe_key") == 0)
		apply_key(rec);
	else if (strcmp(text(rec, "e"), "stripe_set") == 0)
		apply_set(rec);
	else if (strcmp(text(rec, "e"), "stripe_sign") == 0)
		apply_sign(rec);
}

/* ---- a request with a key ---- */

/* Is this held request one of the same key?  Then that key is in use. */
static bool
same_key(const SbRequest *other, const void *arg)
{
	const StripeCall *c = arg;
	const char *key = http_header_get(&other->headers, "Idempotency-Key");

	return other != c->req && other->call != NULL && strncmp(other->call, "stripe.", 7) == 0 &&
		other->hold != HOLD_UNTIL_RESET && key != NULL && strcmp(key, c->key) == 0 &&
		strcmp(other->mchid, c->m->mchid) == 0;
}

static void
replay(StripeCall *c, const Kept *k)
{
	HttpHeaders *h = &c->req->answer_headers;

	http_header_add(h, "Idempotent-Replayed", "true");
	http_header_add(h, "Original-Request", k->request_id);
	if (k->status >= 400)
		http_header_add(h, "Stripe-Should-Retry", "false");
	stripe_answer(c, k->status, json_loads(k->body, 0, NULL), false);
}

bool
stripe_keyed(StripeCall *c)
{
	char		name[NAME_SIZE];
	StripeError e;
	Kept	   *k;

	if (server_any_held(same_key, c))
	{
		stripe_fail(&e, 409, "idempotency_key_in_use", NULL,
					"There is currently another in-progress request using this Idempotent Key "
					"(that probably means you submitted twice, and the other request is still "
					"going through): %s. Please try again later.", c->key);
		stripe_error(c, &e, false);
		return true;
	}
	k = map_get(&kept, name_of(name, c->m->mchid, c->key));
	if (k == NULL || clock_now() - k->at >= STRIPE_KEY_LIFE_MS)
		return false;
	if (strcmp(k->path, buf_str(&c->req->path)) == 0 && strcmp(k->digest, c->digest) == 0)
	{
		replay(c, k);
		return true;
	}
	if (strcmp(k->path, buf_str(&c->req->path)) != 0)
		stripe_fail(&e, 400, NULL, NULL,
					"Keys for idempotent requests can only be used for the same endpoint they were "
					"first used for ('%.80s' vs '%.80s'). Try using a key other than '%.100s' if you "
					"meant to execute a different request.", buf_str(&c->req->path), k->path, c->key);
	else
		stripe_fail(&e, 400, NULL, NULL,
					"Keys for idempotent requests can only be used with the same parameters they were "
					"first used with. Try using a key other than '%.255s' if you meant to execute a "
					"different request.", c->key);
	e.type = "idempotency_error";
	stripe_error(c, &e, false);
	return true;
}
