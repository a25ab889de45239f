/*-------------------------------------------------------------------------
 *
 * stripe_list.c
 *	  GET /v1/refunds: newest first, in pages.
 *
 * sandbox/stripe_list.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "stripe.h"

#define PAGE_DEFAULT	10
#define PAGE_MAX		100

typedef struct Item
{
	SbRefund   *r;
	int			filler;			/* 0 = r itself */
} Item;

typedef struct Items
{
	Item	   *item;
	size_t		count;
	size_t		cap;
} Items;

typedef struct ListCall
{
	const char *charge;
	const char *intent;
	const char *after;
	const char *before;
	int64_t		limit;
	int64_t		created_from;	/* unix seconds, both included */
	int64_t		created_to;
} ListCall;

/* ---- parameters ---- */

bool
stripe_created(json_t *params, int64_t *from, int64_t *to, StripeError *e)
{
	json_t	   *created = json_object_get(params, "created");
	int64_t		gt = -1,
				gte = 0,
				lt = INT64_MAX,
				lte = INT64_MAX;
	static const char *const names[] = {"gt", "gte", "lt", "lte", NULL};

	*from = 0;
	*to = INT64_MAX;
	if (created == NULL)
		return true;
	if (json_is_string(created))
	{
		if (!stripe_integer(params, "created", from, e))
			return false;
		*to = *from;
		return true;
	}
	if (!stripe_only(created, names, e) || !stripe_integer(created, "gt", &gt, e) ||
		!stripe_integer(created, "gte", &gte, e) || !stripe_integer(created, "lt", &lt, e) ||
		!stripe_integer(created, "lte", &lte, e))
		return false;
	*from = gt >= gte && gt < INT64_MAX ? gt + 1 : gte;
	*to = lt <= lte && lt > INT64_MIN && lt < INT64_MAX ? lt - 1 : lte;
	return true;
}

static bool
read_list_call(StripeCall *c, ListCall *call, StripeError *e)
{
	static const char *const names[] = {"charge", "payment_intent", "created", "limit",
	"starting_after", "ending_before", "expand", NULL};

	memset(call, 0, sizeof(*call));
	call->limit = PAGE_DEFAULT;
	if (!stripe_only(c->params, names, e) ||
		!stripe_string(c->params, "charge", &call->charge, e) ||
		!stripe_string(c->params, "payment_intent", &call->intent, e) ||
		!stripe_string(c->params, "starting_after", &call->after, e) ||
		!stripe_string(c->params, "ending_before", &call->before, e) ||
		!stripe_integer(c->params, "limit", &call->limit, e) ||
		!stripe_created(c->params, &call->created_from, &call->created_to, e) ||
		!stripe_expand(NULL, NULL, c->params, "data.", e))
		return false;
	if (call->limit < 1)
		stripe_fail(e, 400, "parameter_invalid_integer", "limit",
					"This value must be greater than or equal to 1.");
	else if (call->limit > PAGE_MAX)
		stripe_fail(e, 400, "parameter_invalid_integer", "limit",
					"This value must be less than or equal to %d.", PAGE_MAX);
	else if (call->after != NULL && call->before != NULL)
		stripe_fail(e, 400, NULL, NULL, "You may only specify one of these parameters: "
					"starting_after, ending_before.");
	else
		return true;
	return false;
}

/* ---- what there is ---- */

static void
add_item(Items *list, SbRefund *r, int filler)
{
	if (list->count == list->cap)
	{
		list->cap = list->cap ? list->cap * 2 : 64;
		list->item = must_realloc(list->item, list->cap * sizeof(Item));
	}
	list->item[list->count++] = (Item) {r, filler};
}

/* r, and before it the newer ones that only stand in its way. */
static void
add_refund(Items *list, SbRefund *r, const ListCall *call)
{
	int64_t		created = r->created / 1000;
	int			i;

	if (clock_now() < r->visible_at || created < call->created_from || created > call->created_to)
		return;
	for (i = stripe_fillers(r); i > 0; i--)
		add_item(list, r, i);
	add_item(list, r, 0);
}

static void
collect(const SbMerchant *m, const SbOrder *o, const ListCall *call, Items *list)
{
	SbRefund   *r;
	size_t		i;

	if (o != NULL)
		for (r = o->last; r != NULL; r = r->before)
			add_refund(list, r, call);
	else
		for (i = sandbox.model.refund_count; i > 0; i--)
		{
			r = sandbox.model.refund_list[i - 1];
			if (r->order->merchant == m)
				add_refund(list, r, call);
		}
}

/* "re_...f007" is the seventh in the way of "re_..." */
SbRefund *
stripe_filler(const SbMerchant *m, const char *id, int *i)
{
	char		base[SB_ID_MAX + 1];
	size_t		len = strlen(id);
	SbRefund   *r;

	if (len < 8 || len > SB_ID_MAX || id[len - 4] != 'f' || strspn(id + len - 3, "0123456789") != 3)
		return NULL;
	str_copy(base, sizeof(base), id);
	base[len - 4] = '\0';
	r = model_refund_by_id(m->mchid, base);
	*i = atoi(id + len - 3);
	return r != NULL && *i >= 1 && *i <= stripe_fillers(r) ? r : NULL;
}

/* Where the named one is; -1 = nowhere here. */
static int64_t
position(const SbMerchant *m, const Items *list, const char *id)
{
	int			filler = 0;
	SbRefund   *r = model_refund_by_id(m->mchid, id);
	size_t		i;

	if (r == NULL)
		r = stripe_filler(m, id, &filler);
	for (i = 0; r != NULL && i < list->count; i++)
		if (list->item[i].r == r && list->item[i].filler == filler)
			return (int64_t) i;
	return -1;
}

/* ---- the page ---- */

bool
stripe_find_page(const char *what, const StripePage *page, int64_t at, int64_t count,
				 int64_t *from, int64_t *to, bool *more, StripeError *e)
{
	const char *cursor = page->after ? page->after : page->before;

	if (cursor != NULL && at < 0)
	{
		stripe_fail(e, 400, "resource_missing", page->after ? "starting_after" : "ending_before",
					"No such %s: '%.80s'", what, cursor);
		return false;
	}
	if (page->before != NULL)
	{
		*from = at > page->limit ? at - page->limit : 0;
		*to = at;
		*more = *from > 0;
	}
	else
	{
		*from = at + 1;
		*to = count - *from > page->limit ? *from + page->limit : count;
		*more = *to < count;
	}
	return true;
}

static bool
find_page(const SbMerchant *m, const Items *list, const ListCall *call,
		  int64_t *from, int64_t *to, bool *more, StripeError *e)
{
	const char *cursor = call->after ? call->after : call->before;
	int64_t		at = cursor ? position(m, list, cursor) : -1;

	return stripe_find_page("refund", &(StripePage) {call->limit, call->after, call->before},
							at, (int64_t) list->count, from, to, more, e);
}

static json_t *
page_json(const StripeCall *c, const Items *list, int64_t from, int64_t to, bool more)
{
	json_t	   *data = json_array();
	StripeError ignored;

	for (; from < to; from++)
	{
		const Item *item = &list->item[from];
		json_t	   *o = item->filler ? stripe_filler_json(item->r, item->filler) :
			stripe_refund_json(item->r);

		stripe_expand(o, item->r->order, c->params, "data.", &ignored);
		json_array_append_new(data, o);
	}
	return json_pack("{ss so sb ss}", "object", "list", "data", data, "has_more", more,
					 "url", "/v1/refunds");
}

/*
 * The payment that is asked about; false: there is none such.  One that
 * nobody has refunded yet may well exist, unless orders are strict.
 */
static bool
find_payment(const SbMerchant *m, const ListCall *call, SbOrder **o, StripeError *e)
{
	const char *id = call->charge ? call->charge : call->intent;
	bool		possible = id != NULL &&
		(call->intent == NULL || stripe_id_ok(call->intent, "pi_")) &&
		(call->charge == NULL || stripe_id_ok(call->charge, "ch_") || stripe_id_ok(call->charge, "py_"));

	*o = NULL;
	if (id == NULL)
		return true;
	if (possible)
		*o = model_order(m, call->charge, call->charge ? NULL : call->intent);
	if (*o != NULL && call->charge && call->intent && strcmp((*o)->out_trade_no, call->intent) != 0)
		*o = NULL;
	if (*o != NULL || (possible && !sandbox.opt.strict_orders))
		return true;
	stripe_fail(e, 404, "resource_missing", call->charge ? "charge" : "payment_intent",
				"No such %s: '%.80s'", call->charge ? "charge" : "payment_intent", id);
	return false;
}

void
stripe_refund_list(StripeCall *c)
{
	ListCall	call;
	StripeError e;
	SbOrder    *o;
	Items		list = {NULL, 0, 0};
	int64_t		from,
				to;
	bool		more;

	if (!read_list_call(c, &call, &e) || !find_payment(c->m, &call, &o, &e))
	{
		stripe_error(c, &e, false);
		return;
	}
	if (o != NULL || (call.charge == NULL && call.intent == NULL))
		collect(c->m, o, &call, &list);
	if (find_page(c->m, &list, &call, &from, &to, &more, &e))
		stripe_answer(c, 200, page_json(c, &list, from, to, more), false);
	else
		stripe_error(c, &e, false);
	free(list.item);
}
