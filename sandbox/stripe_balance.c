/*-------------------------------------------------------------------------
 *
 * stripe_balance.c
 *	  GET /v1/balance_transactions: every movement of an account's money.
 *
 * Newest first, in pages.  A charge's fee is part of its own transaction, and
 * a refund gives none of it back.  The source may be expanded; it is then
 * said as of now, unless something else was planted about it.
 *
 * sandbox/stripe_balance.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "books.h"
#include "stripe.h"

#define PAGE_DEFAULT	10
#define PAGE_MAX		100

typedef struct BalanceCall
{
	const char *after;
	const char *before;
	const char *type;
	const char *source;
	const char *currency;
	int64_t		limit;
	int64_t		from;			/* unix seconds, both included */
	int64_t		to;
	bool		expand;			/* data.source */
} BalanceCall;

/* ---- one transaction ---- */

static const char *
type_of(const Movement *m)
{
	switch (m->kind)
	{
		case MOVE_PAYMENT:
			return "charge";
		case MOVE_REFUND:
			return "refund";
		case MOVE_REFUND_BACK:
			return "refund_failure";
		default:
			return "adjustment";
	}
}

/* The ids that the objects themselves name (stripe_objects.c). */
static void
id_of(const Movement *m, char id[SB_ID_MAX + 8])
{
	const char *copy = m->copy ? "twice" : "";

	if (m->kind == MOVE_REFUND)
		snprintf(id, SB_ID_MAX + 8, "txn_3%s%s", m->refund->refund_id + 3, copy);
	else if (m->refund != NULL)
		snprintf(id, SB_ID_MAX + 8, "txn_f%s%s", m->refund->refund_id + 3, copy);
	else if (m->order != NULL)
		snprintf(id, SB_ID_MAX + 8, "txn_3%s", m->order->transaction_id + 3);
	else
		snprintf(id, SB_ID_MAX + 8, "txn_0Adjustment%012lld", (long long) m->sequence);
}

static const char *
source_id(const Movement *m)
{
	return m->refund ? m->refund->refund_id : m->order ? m->order->transaction_id : NULL;
}

static const char *
currency_of(const Movement *m)
{
	if (m->order != NULL)
		return stripe_currency(m->order);
	return sandbox.opt.currency ? sandbox.opt.currency : "usd";
}

/* The refund as the list shows it: with what was planted about it. */
static json_t *
refund_said(const SbRefund *r)
{
	json_t	   *o = stripe_refund_json(r);
	const SbPlant *state = plant_of(r->plants, PLANT_STATE);
	int64_t		by = plant_sum(r->plants, PLANT_AMOUNT);

	if (by != 0)
		json_object_set_new(o, "amount", json_integer(r->amount + by));
	if (state != NULL)
		json_object_set_new(o, "status", json_string(strcmp(state->status, "SUCCESS") == 0 ? "succeeded" :
													 strcmp(state->status, "FAIL") == 0 ? "failed" : "pending"));
	return o;
}

static json_t *
source_json(const Movement *m, bool expand)
{
	const char *id = source_id(m);

	if (id == NULL)
		return json_null();
	if (!expand)
		return json_string(id);
	return m->refund ? refund_said(m->refund) : stripe_charge_json(m->order);
}

static json_t *
transaction_json(const Movement *m, bool expand)
{
	int64_t		fee = m->kind == MOVE_PAYMENT ? book_fee(m->order->merchant, m->change) : 0;
	json_t	   *fees = json_array();
	char		id[SB_ID_MAX + 8];

	id_of(m, id);
	if (fee != 0)
		json_array_append_new(fees, json_pack("{sI sn ss ss ss}", "amount", (json_int_t) fee,
											  "application", "currency", currency_of(m),
											  "description", "Stripe processing fees", "type", "stripe_fee"));
	return json_pack("{ss ss sI sI sI ss so* sn sI so sI ss so ss ss}",
					 "id", id, "object", "balance_transaction", "amount", (json_int_t) m->change,
					 "available_on", (json_int_t) (m->at / 1000 + 2 * 86400),
					 "created", (json_int_t) (m->at / 1000), "currency", currency_of(m),
					 "description", m->text && *m->text ? json_string(m->text) : json_null(),
					 "exchange_rate", "fee", (json_int_t) fee, "fee_details", fees,
					 "net", (json_int_t) (m->change - fee), "reporting_category", type_of(m),
					 "source", source_json(m, expand), "status", "available", "type", type_of(m));
}

/* ---- parameters ---- */

/* The one thing that can be expanded, with or without the list's "data." before it. */
static bool
read_expand(json_t *params, const char *name, bool *expand, StripeError *e)
{
	json_t	   *names = json_object_get(params, "expand");
	const char *key;
	json_t	   *value;

	*expand = false;
	if (names != NULL && !json_is_object(names))
	{
		stripe_fail(e, 400, NULL, "expand", "Invalid array: expand");
		return false;
	}
	json_object_foreach(names, key, value)
	{
		const char *s = json_string_value(value);

		if (s == NULL || strcmp(s, name) != 0)
		{
			stripe_fail(e, 400, NULL, "expand", "This property cannot be expanded (%.100s).", s ? s : key);
			return false;
		}
		*expand = true;
	}
	return true;
}

static bool
read_call(StripeCall *c, BalanceCall *call, StripeError *e)
{
	static const char *const names[] = {"created", "currency", "ending_before", "limit", "source",
	"starting_after", "type", "expand", NULL};

	memset(call, 0, sizeof(*call));
	call->limit = PAGE_DEFAULT;
	if (!stripe_only(c->params, names, e) ||
		!stripe_string(c->params, "starting_after", &call->after, e) ||
		!stripe_string(c->params, "ending_before", &call->before, e) ||
		!stripe_string(c->params, "type", &call->type, e) ||
		!stripe_string(c->params, "source", &call->source, e) ||
		!stripe_string(c->params, "currency", &call->currency, e) ||
		!stripe_integer(c->params, "limit", &call->limit, e) ||
		!stripe_created(c->params, &call->from, &call->to, e) ||
		!read_expand(c->params, "data.source", &call->expand, e))
		return false;
	if (call->limit < 1 || call->limit > PAGE_MAX)
		stripe_fail(e, 400, "parameter_invalid_integer", "limit",
					"This value must be between 1 and %d.", PAGE_MAX);
	else if (call->after != NULL && call->before != NULL)
		stripe_fail(e, 400, NULL, NULL, "You may only specify one of these parameters: "
					"starting_after, ending_before.");
	else
		return true;
	return false;
}

/* ---- the list ---- */

static bool
wanted(const Movement *m, const BalanceCall *call)
{
	int64_t		created = m->at / 1000;
	const char *source = source_id(m);

	return m->kind != MOVE_PAYMENT_FEE && created >= call->from && created <= call->to &&
		(call->type == NULL || strcmp(call->type, type_of(m)) == 0) &&
		(call->currency == NULL || strcmp(call->currency, currency_of(m)) == 0) &&
		(call->source == NULL || (source != NULL && strcmp(call->source, source) == 0));
}

/* Those that are wanted, newest first, in place. */
static void
keep_wanted(Movements *list, const BalanceCall *call)
{
	size_t		kept = 0,
				i;

	for (i = 0; i < list->count; i++)
		if (wanted(&list->item[i], call))
			list->item[kept++] = list->item[i];
	list->count = kept;
	for (i = 0; i < kept / 2; i++)
	{
		Movement	m = list->item[i];

		list->item[i] = list->item[kept - 1 - i];
		list->item[kept - 1 - i] = m;
	}
}

static int64_t
position(const Movements *list, const char *wanted_id)
{
	char		id[SB_ID_MAX + 8];
	size_t		i;

	for (i = 0; i < list->count; i++)
	{
		id_of(&list->item[i], id);
		if (strcmp(id, wanted_id) == 0)
			return (int64_t) i;
	}
	return -1;
}

static bool
find_page(const Movements *list, const BalanceCall *call, int64_t *from, int64_t *to, bool *more,
		  StripeError *e)
{
	const char *cursor = call->after ? call->after : call->before;
	int64_t		at = cursor ? position(list, cursor) : -1;

	return stripe_find_page("balance transaction", &(StripePage) {call->limit, call->after, call->before},
							at, (int64_t) list->count, from, to, more, e);
}

/* Is there something wrong with asking, for the day that `from` is in? */
static bool
spoilt(const StripeCall *c, const BalanceCall *call, StripeError *e)
{
	time_t		from = (time_t) call->from;
	struct tm	tm;
	char		day[16];

	gmtime_r(&from, &tm);
	strftime(day, sizeof(day), "%Y-%m-%d", &tm);
	switch (spoil_for(c->m, "balance", day))
	{
		case SPOIL_LIMITED:
			stripe_fail(e, 429, "rate_limit", NULL, "Request rate limit exceeded.");
			return true;
		case SPOIL_ERROR:
			stripe_fail(e, 500, NULL, NULL, "An unknown error occurred");
			return true;
		default:
			return false;
	}
}

void
stripe_balance_list(StripeCall *c)
{
	BalanceCall call;
	StripeError e;
	Movements	list;
	int64_t		from,
				to;
	bool		more;

	if (!read_call(c, &call, &e) || spoilt(c, &call, &e))
	{
		stripe_error(c, &e, false);
		return;
	}
	/* what was planted into a later day is not there before it */
	book_movements(c->m, BOOK_BASIC, business_ms() + 1, &list);
	keep_wanted(&list, &call);
	if (find_page(&list, &call, &from, &to, &more, &e))
	{
		json_t	   *data = json_array();

		for (; from < to; from++)
			json_array_append_new(data, transaction_json(&list.item[from], call.expand));
		c->req->answer.limit = (size_t) 64 * 1024 * 1024;
		stripe_answer(c, 200, json_pack("{ss so sb ss}", "object", "list", "data", data, "has_more", more,
										"url", "/v1/balance_transactions"), false);
	}
	else
		stripe_error(c, &e, false);
	free(list.item);
}

/*
 * A whole day, of UTC, as one page: what somebody would keep who has asked for
 * it.  `day` is the beginning of the day of that name in Beijing.
 */
bool
stripe_bill_text(const SbMerchant *m, const char *kind, int64_t day, SbSpoil spoil, Buf *out)
{
	int64_t		from = (day + BEIJING_MS) / 1000;
	BalanceCall call = {.from = from, .to = from + 86399};
	Movements	list;
	json_t	   *page;
	char	   *text;
	size_t		i;

	(void) spoil;
	if (strcmp(kind, "balance") != 0)
		return false;
	book_movements(m, BOOK_BASIC, (from + 86400) * 1000, &list);
	keep_wanted(&list, &call);
	page = json_pack("{ss s[] sb ss}", "object", "list", "data", "has_more", 0,
					 "url", "/v1/balance_transactions");
	for (i = 0; i < list.count; i++)
		json_array_append_new(json_object_get(page, "data"), transaction_json(&list.item[i], true));
	text = json_dumps(page, JSON_COMPACT);
	out->limit = (size_t) 1024 * 1024 * 1024;
	buf_adds(out, text ? text : "");
	buf_addc(out, '\n');
	free(text);
	json_decref(page);
	free(list.item);
	return i > 0 && !out->failed;
}

void
stripe_balance_retrieve(StripeCall *c, const char *id)
{
	static const char *const names[] = {"expand", NULL};
	Movements	list = {0};
	StripeError e;
	bool		expand;
	int64_t		at = -1;

	if (stripe_only(c->params, names, &e) && read_expand(c->params, "source", &expand, &e))
	{
		book_movements(c->m, BOOK_BASIC, business_ms() + 1, &list);
		at = position(&list, id);
		if (at < 0)
			stripe_fail(&e, 404, "resource_missing", "id", "No such balance transaction: '%.80s'", id);
	}
	if (at < 0)
		stripe_error(c, &e, false);
	else
		stripe_answer(c, 200, transaction_json(&list.item[at], expand), false);
	free(list.item);
}
