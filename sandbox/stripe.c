/*-------------------------------------------------------------------------
 *
 * stripe.c
 *	  Stripe's API v1: who calls, what is called, and how it is answered.
 *
 * The order of the checks is Stripe's as far as its reference tells: the key,
 * the account, the URL, what the Idempotency-Key remembers, and only then the
 * parameters and the execution.
 *
 * sandbox/stripe.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "books.h"
#include "stripe.h"

#define LIMIT_CALLS		100		/* a second and account */

static bool
stripe_mine(const SbRequest *req)
{
	return strncmp(buf_str(&req->path), "/v1/", 4) == 0;
}

/* ---- ids ---- */

/* prefix and 24 random characters */
void
stripe_id(const char *prefix, char out[SB_ID_MAX + 1])
{
	static const char alphabet[] =
		"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	unsigned char bytes[24] = {0};
	size_t		n = strlen(prefix),
				i;

	random_bytes(bytes, sizeof(bytes));
	str_copy(out, SB_ID_MAX + 1, prefix);
	for (i = 0; i < sizeof(bytes); i++)
		out[n + i] = alphabet[bytes[i] % 62];
	out[n + sizeof(bytes)] = '\0';
}

bool
stripe_id_ok(const char *id, const char *prefix)
{
	size_t		n = strlen(prefix);

	return strncmp(id, prefix, n) == 0 && id[n] != '\0' && strlen(id) <= SB_ID_MAX &&
		id[n + strspn(id + n, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_"
					  "abcdefghijklmnopqrstuvwxyz")] == '\0';
}

/* ---- answers ---- */

/* YYYY-MM-DD, and since 2024 a release's name after a point. */
static bool
version_ok(const char *v)
{
	static const char shape[] = "0000-00-00";
	size_t		i;

	for (i = 0; i < sizeof(shape) - 1; i++)
		if (shape[i] == '0' ? v[i] < '0' || v[i] > '9' : v[i] != shape[i])
			return false;
	return v[i] == '\0' ||
		(v[i] == '.' && v[i + 1] != '\0' &&
		 v[i + 1 + strspn(v + i + 1, "abcdefghijklmnopqrstuvwxyz_")] == '\0');
}

static void
add_headers(StripeCall *c)
{
	HttpHeaders *h = &c->req->answer_headers;
	const char *version = http_header_get(&c->req->headers, "Stripe-Version");

	http_header_add(h, "Request-Id", c->request_id);
	http_header_add(h, "Stripe-Version", version && version_ok(version) ? version : STRIPE_API_VERSION);
	http_header_add(h, "Cache-Control", "no-cache, no-store");
	if (c->key != NULL)
		http_header_add(h, "Idempotency-Key", c->key);
	if (c->connected)
		http_header_add(h, "Stripe-Account", c->m->mchid);
}

void
stripe_answer(StripeCall *c, int status, json_t *body, bool store)
{
	char	   *text = json_dumps(body, JSON_INDENT(2));

	json_decref(body);
	if (store && c->key != NULL)
		stripe_keep(c, status, text ? text : "{}");
	add_headers(c);
	merchant_count(c->m, status < 400);
	buf_adds(&c->req->answer, text ? text : "{}");
	buf_addc(&c->req->answer, '\n');
	free(text);
	request_answer(c->req, status, "application/json");
}

void
stripe_fail(StripeError *e, int status, const char *code, const char *param,
			const char *fmt,...)
{
	va_list		ap;

	*e = (StripeError) {.status = status, .code = code, .param = param};
	va_start(ap, fmt);
	vsnprintf(e->message, sizeof(e->message), fmt, ap);
	va_end(ap);
}

/* For the libraries: whether it makes sense to try again by itself. */
static void
advise(StripeCall *c, const StripeError *e, bool store)
{
	if (store && e->status >= 500)
		http_header_add(&c->req->answer_headers, "Stripe-Should-Retry", "false");
	else if (e->status == 409 || (e->code != NULL && strcmp(e->code, "lock_timeout") == 0))
		http_header_add(&c->req->answer_headers, "Stripe-Should-Retry", "true");
}

static json_t *
error_json(const StripeCall *c, const StripeError *e)
{
	json_t	   *error = json_object();
	json_t	   *message = json_string(e->message);

	if (e->code != NULL)
	{
		json_object_set_new(error, "code", json_string(e->code));
		json_object_set_new(error, "doc_url", json_sprintf("https://stripe.com/docs/error-codes/%s", e->code));
	}
	/* a cut character would make it no text at all */
	if (message == NULL)
		message = json_string("Invalid request");
	json_object_set_new(error, "message", message);
	if (e->param != NULL)
		json_object_set_new(error, "param", json_string(e->param));
	if (c->m != NULL)
		json_object_set_new(error, "request_log_url",
							json_sprintf("https://dashboard.stripe.com/%s/test/logs/%s",
										 c->m->mchid, c->request_id));
	json_object_set_new(error, "type", json_string(e->type ? e->type :
												   e->status >= 500 ? "api_error" : "invalid_request_error"));
	return json_pack("{so}", "error", error);
}

void
stripe_error(StripeCall *c, const StripeError *e, bool store)
{
	advise(c, e, store);
	stripe_answer(c, e->status, error_json(c, e), store);
}

/* ---- who calls ---- */

/* The key of "Bearer KEY" or of "Basic base64(KEY:)", or false. */
static bool
presented_key(const SbRequest *req, char out[160])
{
	const char *header = http_header_get(&req->headers, "Authorization");
	Buf			plain = BUF_INIT;
	bool		ok = false;

	if (header == NULL)
		return false;
	if (strncasecmp(header, "Bearer ", 7) == 0)
		return str_copy(out, 160, header + 7) && *out;
	if (strncasecmp(header, "Basic ", 6) == 0 &&
		base64_decode(&plain, header + 6, strlen(header + 6)) &&
		strlen(buf_str(&plain)) == plain.len)
	{
		plain.data[strcspn(buf_str(&plain), ":")] = '\0';
		ok = str_copy(out, 160, plain.data) && *out;
	}
	buf_wipe(&plain);
	return ok;
}

static SbMerchant *
owner_of(const char *key)
{
	const Map  *all = &sandbox.model.merchants;
	size_t		i;

	for (i = 0; i < all->size; i++)
	{
		SbMerchant *m = all->slot[i].value;
		const char *own;

		if (all->slot[i].key == NULL || m->channel != &stripe_channel)
			continue;
		own = stripe_keys(m)->secret_key;
		if (strlen(own) == strlen(key) && equal_constant_time(own, key, strlen(own)))
			return m;
	}
	return NULL;
}

/*
 * The account that is acted upon.  The first account, whose key files have no
 * prefix, is the platform of the others: its key opens them too, with
 * Stripe-Account.
 */
static SbMerchant *
acted_upon(StripeCall *c, SbMerchant *owner, const char *key, StripeError *e)
{
	const char *wanted = http_header_get(&c->req->headers, "Stripe-Account");
	SbMerchant *m = wanted ? model_merchant_of(&stripe_channel, wanted) : owner;

	if (m != NULL && (m == owner || owner->prefix[0] == '\0'))
	{
		c->connected = m != owner;
		return m;
	}
	stripe_fail(e, 403, "account_invalid", NULL,
				"The provided key '%.8s*********%s' does not have access to account '%.40s' (or that "
				"account does not exist). Application access may have been revoked.",
				key, key + strlen(key) - 4, wanted);
	return NULL;
}

static SbMerchant *
authenticate(StripeCall *c, StripeError *e)
{
	char		key[160];
	SbMerchant *owner;

	if (!presented_key(c->req, key))
	{
		stripe_fail(e, 401, NULL, NULL,
					"You did not provide an API key. You need to provide your API key in the "
					"Authorization header, using Bearer auth (e.g. 'Authorization: Bearer "
					"YOUR_SECRET_KEY').");
		http_header_add(&c->req->answer_headers, "WWW-Authenticate", "Basic realm=\"Stripe\"");
		return NULL;
	}
	owner = owner_of(key);
	if (owner == NULL)
	{
		size_t		len = strlen(key);

		stripe_fail(e, 401, NULL, NULL, "Invalid API Key provided: %.8s*********%s",
					key, len > 12 ? key + len - 4 : "");
		http_header_add(&c->req->answer_headers, "WWW-Authenticate", "Basic realm=\"Stripe\"");
		return NULL;
	}
	return acted_upon(c, owner, key, e);
}

/* ---- what is called ---- */

typedef struct Route
{
	const char *method;
	const char *path;			/* '*' stands for an id at its place */
	const char *call;
	void		(*handle) (StripeCall *c, const char *id);
} Route;

static void
route_list(StripeCall *c, const char *id)
{
	(void) id;
	stripe_refund_list(c);
}

static void
route_create(StripeCall *c, const char *id)
{
	(void) id;
	stripe_refund_create(c);
}

static void
route_account(StripeCall *c, const char *id)
{
	StripeError e;

	if (id[0] == '\0' || strcmp(id, c->m->mchid) == 0)
		stripe_answer(c, 200, stripe_account_json(c->m), false);
	else
	{
		stripe_fail(&e, 403, "account_invalid", NULL,
					"The provided key does not have access to account '%s' (or that account does not "
					"exist). Application access may have been revoked.", id);
		stripe_error(c, &e, false);
	}
}

static void
route_balance(StripeCall *c, const char *id)
{
	(void) id;
	stripe_answer(c, 200, stripe_balance_json(c->m), false);
}

static void
route_balance_list(StripeCall *c, const char *id)
{
	(void) id;
	stripe_balance_list(c);
}

static void
route_payment(StripeCall *c, const char *id)
{
	bool		intent = strncmp(id, "pi_", 3) == 0;
	SbOrder    *o = model_order(c->m, intent ? NULL : id, intent ? id : NULL);
	StripeError e;

	if (o != NULL)
		stripe_answer(c, 200, intent ? stripe_intent_json(o) : stripe_charge_json(o), false);
	else
	{
		stripe_fail(&e, 404, "resource_missing", intent ? "intent" : "id", "No such %s: '%s'",
					intent ? "payment_intent" : "charge", id);
		stripe_error(c, &e, false);
	}
}

static const Route routes[] = {
	{"POST", "/v1/refunds", "stripe.refund.create", route_create},
	{"GET", "/v1/refunds", "stripe.refund.list", route_list},
	{"GET", "/v1/refunds/*", "stripe.refund.retrieve", stripe_refund_retrieve},
	{"POST", "/v1/refunds/*", "stripe.refund.update", stripe_refund_update},
	{"POST", "/v1/refunds/*/cancel", "stripe.refund.cancel", stripe_refund_cancel},
	{"GET", "/v1/charges/*", "stripe.charge.retrieve", route_payment},
	{"GET", "/v1/payment_intents/*", "stripe.payment_intent.retrieve", route_payment},
	{"GET", "/v1/account", "stripe.account", route_account},
	{"GET", "/v1/accounts/*", "stripe.account", route_account},
	{"GET", "/v1/balance", "stripe.balance", route_balance},
	{"GET", "/v1/balance_transactions", "stripe.balance_transaction.list", route_balance_list},
	{"GET", "/v1/balance_transactions/*", "stripe.balance_transaction.retrieve", stripe_balance_retrieve},
};

/* Does path fit, and which id stands in it? */
static bool
path_fits(const char *path, const char *pattern, char id[SB_ID_MAX + 1])
{
	const char *star = strchr(pattern, '*');
	size_t		head = star ? (size_t) (star - pattern) : strlen(pattern),
				len;

	id[0] = '\0';
	if (strncmp(path, pattern, head) != 0)
		return false;
	if (star == NULL)
		return path[head] == '\0';
	len = strcspn(path + head, "/");
	if (len == 0 || len > SB_ID_MAX || strcmp(path + head + len, star + 1) != 0)
		return false;
	memcpy(id, path + head, len);
	id[len] = '\0';
	return stripe_id_ok(id, "");
}

static const Route *
find_route(const SbRequest *req, char id[SB_ID_MAX + 1])
{
	size_t		i;

	for (i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
		if (strcmp(routes[i].method, req->method) == 0 &&
			path_fits(buf_str(&req->path), routes[i].path, id))
			return &routes[i];
	return NULL;
}

static bool
is_form(const SbRequest *req)
{
	static const char form[] = "application/x-www-form-urlencoded";
	const char *type = http_header_get(&req->headers, "Content-Type");

	return req->body.len == 0 || (type != NULL && strncasecmp(type, form, sizeof(form) - 1) == 0);
}

/* The parameters of the body, or of the query; NULL and *why. */
static json_t *
read_params(const SbRequest *req, bool post, const char **why)
{
	const char *query = req->query ? req->query : "";

	if (!post)
		return stripe_form(query, strlen(query), why);
	*why = "Invalid request (check that your POST content type is "
		"application/x-www-form-urlencoded).";
	return is_form(req) ? stripe_form(buf_str(&req->body), req->body.len, why) : NULL;
}

/* For the logs: whose refund this claims to be about, before anything is checked. */
static void
identify(StripeCall *c, const Route *route, const char *id)
{
	SbRequest  *req = c->req;
	const char *account = http_header_get(&req->headers, "Stripe-Account");
	const char *no = id;
	char		key[160];
	SbMerchant *m = presented_key(req, key) ? owner_of(key) : NULL;
	SbRefund   *r;

	req->call = route ? route->call : "stripe.other";
	if (account == NULL)
		account = m ? m->mchid : "";
	str_copy(req->mchid, sizeof(req->mchid), account);
	if (strcmp(req->call, "stripe.refund.create") == 0)
		no = stripe_number(json_object_get(c->params, "metadata"));
	else if (strcmp(req->call, "stripe.refund.list") == 0)
	{
		no = json_string_value(json_object_get(c->params, "payment_intent"));
		if (no == NULL)
			no = json_string_value(json_object_get(c->params, "charge"));
	}
	else if ((r = model_refund_by_id(req->mchid, id)) != NULL)
		no = r->no;
	if (no != NULL && req->no[0] == '\0')
		str_copy(req->no, sizeof(req->no), no);
}

static void
hash_params(StripeCall *c)
{
	char	   *text = json_dumps(c->params, JSON_COMPACT | JSON_SORT_KEYS);
	unsigned char digest[32] = {0};
	Buf			hex = BUF_INIT;

	if (text != NULL)
		sha256(text, strlen(text), digest);
	hex_encode(&hex, digest, sizeof(digest));
	str_copy(c->digest, sizeof(c->digest), buf_str(&hex));
	buf_free(&hex);
	free(text);
}

static bool
key_ok(const char *key)
{
	size_t		i;

	for (i = 0; key[i] != '\0'; i++)
		if (key[i] < ' ' || key[i] > '~')
			return false;
	return i >= 1 && i <= STRIPE_KEY_MAX;
}

/* Everything that is wrong before the endpoint is reached. */
static bool
admissible(StripeCall *c, const Route *route, const char *why, StripeError *e)
{
	const char *version = http_header_get(&c->req->headers, "Stripe-Version");
	const char *key = http_header_get(&c->req->headers, "Idempotency-Key");

	if ((c->m = authenticate(c, e)) == NULL)
		return false;
	str_copy(c->req->mchid, sizeof(c->req->mchid), c->m->mchid);
	if (version != NULL && !version_ok(version))
		stripe_fail(e, 400, NULL, NULL, "Invalid Stripe API version: %.40s", version);
	else if (route == NULL)
		stripe_fail(e, 404, NULL, NULL, "Unrecognized request URL (%s: %.200s). Please see "
					"https://stripe.com/docs or we can help at https://support.stripe.com/.",
					c->req->method, buf_str(&c->req->path));
	else if (c->params == NULL)
		stripe_fail(e, 400, NULL, NULL, "%s", why);
	else if (key != NULL && !key_ok(key))
		stripe_fail(e, 400, NULL, NULL, "Idempotency keys must be of 1 to %d printable ASCII "
					"characters, and yours has %zu bytes", STRIPE_KEY_MAX, strlen(key));
	else if (merchant_over_limit(c->m, LIMIT_CALLS, 0))
		stripe_fail(e, 429, "rate_limit", NULL, "Request rate limit exceeded. Learn more about rate "
					"limits here https://stripe.com/docs/rate-limits.");
	else
		return true;
	return false;
}

static void
stripe_handle(SbRequest *req)
{
	StripeCall	c = {.req = req};
	bool		post = strcmp(req->method, "POST") == 0;
	const char *key = http_header_get(&req->headers, "Idempotency-Key");
	const char *why = "";
	char		id[SB_ID_MAX + 1] = "";
	char		random[SB_ID_MAX + 1];
	const Route *route = find_route(req, id);
	StripeError e;

	stripe_id("", random);
	snprintf(c.request_id, sizeof(c.request_id), "req_%.14s", random);
	c.params = read_params(req, post, &why);
	identify(&c, route, id);
	log_wire(req);
	if (!admissible(&c, route, why, &e))
		stripe_error(&c, &e, false);
	else
	{
		/* "Don't send idempotency keys in GET requests: it has no effect." */
		c.key = post ? key : NULL;
		hash_params(&c);
		if (c.key == NULL || !stripe_keyed(&c))
			route->handle(&c, id);
	}
	json_decref(c.params);
}

const SbChannel stripe_channel = {
	.name = "stripe",
	.mine = stripe_mine,
	.handle = stripe_handle,
	.outcomes = stripe_outcomes,
	.number_per_order = true,
	.default_merchant = "acct_1SandboxRefundx0",
	.merchant_ok = stripe_merchant_ok,
	.make_merchant = stripe_make_merchant,
	.load_merchant = stripe_load_merchant,
	.write_configs = stripe_write_configs,
	.callback_data = stripe_callback_data,
	.build_callback = stripe_build_callback,
	.acknowledged = stripe_acknowledged,
	.retry_after = stripe_retry_after,
	.refund_due = stripe_refund_due,
	.refund_settle = stripe_refund_settle,
	.merchant_switch = stripe_merchant_switch,
	.apply = stripe_apply,
	.bill_text = stripe_bill_text
};
