/*-------------------------------------------------------------------------
 *
 * books.c
 *	  Movements and trades, as the ledger and what was planted make them.
 *
 * Everything is computed anew for each bill, from the beginning of the ledger
 * on: there is no second account of the money that could go wrong.  A file
 * that is asked for twice is the same twice, unless something was planted in
 * between.
 *
 * sandbox/books.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "books.h"

bool
book_account_parse(const char *s, BookAccount *out)
{
	if (s == NULL || (strcmp(s, "basic") != 0 && strcmp(s, "operation") != 0))
		return false;
	*out = strcmp(s, "basic") == 0 ? BOOK_BASIC : BOOK_OPERATION;
	return true;
}

bool
book_day(const char *text, int64_t *start)
{
	struct tm	tm = {0};
	char		again[16];
	const char *end = strlen(text) == 10 ? strptime(text, "%Y-%m-%d", &tm) : NULL;
	time_t		t;

	if (end == NULL || *end != '\0')
		return false;
	t = timegm(&tm);
	gmtime_r(&t, &tm);
	strftime(again, sizeof(again), "%Y-%m-%d", &tm);
	*start = (int64_t) t * 1000 - BEIJING_MS;
	return strcmp(again, text) == 0;	/* no 30th of February */
}

/* Half up, of the amount: what is given back is negative likewise. */
int64_t
book_fee(const SbMerchant *m, int64_t amount)
{
	return (amount * m->fee_rate + 500000) / 1000000;
}

/* ---- when things happened ---- */

/* An account at Alipay moves when the refund is done; elsewhere when it is taken on. */
static int64_t
refund_time(const SbRefund *r)
{
	return r->channel == &alipay_channel && r->settled ? r->settled : r->created;
}

static int64_t
shift(const SbPlant *plants)
{
	return plant_sum(plants, PLANT_DAY) * DAY_MS;
}

/* What the payer himself paid, of what is counted as the amount. */
static int64_t
own_part(const SbOrder *o, int64_t amount)
{
	return o->total == o->payer_total ? amount : amount * o->payer_total / o->total;
}

/* A refund's amount in the bills, which is what was planted. */
static int64_t
refund_amount(const SbRefund *r)
{
	return r->amount + plant_sum(r->plants, PLANT_AMOUNT);
}

/* Stripe keeps its fee when a payment is refunded. */
static int64_t
refund_fee(const SbRefund *r)
{
	if (r->channel == &stripe_channel)
		return 0;
	return book_fee(r->order->merchant, own_part(r->order, refund_amount(r))) -
		plant_sum(r->plants, PLANT_FEE);
}

/* ---- movements ---- */

static void
add_movement(Movements *list, const Movement *m)
{
	if (m->change == 0)
		return;
	if (list->count == list->cap)
	{
		list->cap = list->cap ? list->cap * 2 : 256;
		list->item = must_realloc(list->item, list->cap * sizeof(Movement));
	}
	list->item[list->count++] = *m;
}

/* With its fee, each a movement of its own; and once more, if that is planted. */
static void
add_pair(Movements *list, Movement m, int64_t change, MoveKind fee_kind, int64_t fee_change,
		 bool twice)
{
	Movement	fee = m;

	m.change = change;
	fee.kind = fee_kind;
	fee.change = fee_change;
	for (int i = 0; i <= twice; i++)
	{
		m.copy = fee.copy = i;
		add_movement(list, &m);
		add_movement(list, &fee);
	}
}

static void
add_payment(Movements *list, const SbOrder *o)
{
	Movement	m = {.kind = MOVE_PAYMENT, .at = o->created, .sequence = o->sequence, .order = o};

	add_pair(list, m, o->payer_total, MOVE_PAYMENT_FEE, -book_fee(o->merchant, o->payer_total), false);
}

static void
add_refund(Movements *list, const SbRefund *r)
{
	int64_t		amount = own_part(r->order, refund_amount(r)),
				fee = refund_fee(r);
	bool		twice = plant_of(r->plants, PLANT_TWICE) != NULL;
	Movement	m = {.kind = MOVE_REFUND, .at = refund_time(r) + shift(r->plants),
		.sequence = r->sequence, .order = r->order, .refund = r};

	if (plant_of(r->plants, PLANT_MISSING) != NULL)
		return;
	add_pair(list, m, -amount, MOVE_REFUND_FEE, fee, twice);
	m.at = r->settled + shift(r->plants);
	if (r->status == REFUND_CLOSED)
	{
		m.kind = MOVE_REFUND_BACK;
		add_pair(list, m, amount, MOVE_REFUND_BACK_FEE, -fee, twice);
	}
	else if (r->status == REFUND_SUCCESS && r->to_merchant)
	{
		m.kind = MOVE_REFUND_HOME;
		add_pair(list, m, amount, MOVE_REFUND_BACK_FEE, -fee, twice);
	}
}

static void
add_transfer(Movements *list, const SbTransfer *t)
{
	int64_t		amount = t->amount + plant_sum(t->plants, PLANT_AMOUNT);
	bool		back = t->status == TRANSFER_FAIL || t->status == TRANSFER_CANCELLED ||
		t->status == TRANSFER_REFUND;
	bool		planted = plant_of(t->plants, PLANT_STATE) != NULL;
	bool		twice = plant_of(t->plants, PLANT_TWICE) != NULL;
	Movement	m = {.kind = MOVE_TRANSFER, .at = t->created + shift(t->plants),
		.sequence = t->sequence, .transfer = t};

	if (plant_of(t->plants, PLANT_MISSING) != NULL)
		return;
	add_pair(list, m, -amount, MOVE_TRANSFER, 0, twice);
	m.kind = MOVE_TRANSFER_BACK;
	m.at = back ? t->changed + shift(t->plants) : m.at + 1000;
	if (back != planted)
		add_pair(list, m, amount, MOVE_TRANSFER, 0, twice);
}

static int
by_time(const void *a, const void *b)
{
	const Movement *x = a,
			   *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	if (x->sequence != y->sequence)
		return x->sequence < y->sequence ? -1 : 1;
	if (x->copy != y->copy)
		return x->copy - y->copy;
	return (int) x->kind - (int) y->kind;
}

static void
sort_and_sum(Movements *list, int64_t until)
{
	int64_t		balance = list->opening;
	size_t		i;

	qsort(list->item, list->count, sizeof(Movement), by_time);
	for (i = 0; i < list->count && list->item[i].at < until; i++)
	{
		balance += list->item[i].change;
		list->item[i].balance = balance;
	}
	list->count = i;
}

void
book_movements(const SbMerchant *m, BookAccount account, int64_t until, Movements *out)
{
	const SbModel *model = &sandbox.model;
	bool		alone = m->channel != &wechat_channel;	/* there is one account only */
	const OtherMove *other;
	size_t		i;

	*out = (Movements) {.opening = m->opening[account]};
	for (i = 0; account == BOOK_BASIC && i < model->order_count; i++)
		if (model->order_list[i]->merchant == m)
			add_payment(out, model->order_list[i]);
	for (i = 0; account == BOOK_BASIC && i < model->refund_count; i++)
		if (model->refund_list[i]->order->merchant == m)
			add_refund(out, model->refund_list[i]);
	for (i = 0; (alone || account == BOOK_OPERATION) && i < model->transfer_count; i++)
		if (model->transfer_list[i]->merchant == m)
			add_transfer(out, model->transfer_list[i]);
	for (i = 0; (other = other_move_at(i)) != NULL; i++)
		if (other->merchant == m && (alone || other->account == account))
		{
			Movement	move = {.kind = MOVE_OTHER, .at = other->at, .sequence = other->sequence,
				.text = other->text, .change = other->change};

			add_movement(out, &move);
		}
	sort_and_sum(out, until);
}

/* ---- trades ---- */

static void
add_trade(Trades *list, const Trade *t)
{
	if (list->count == list->cap)
	{
		list->cap = list->cap ? list->cap * 2 : 256;
		list->item = must_realloc(list->item, list->cap * sizeof(Trade));
	}
	list->item[list->count++] = *t;
}

/* What it was at a time, and since when. */
static RefundStatus
status_at(const SbRefund *r, int64_t when, int64_t *since)
{
	*since = 0;
	if (r->first_settled == 0 || r->first_settled >= when)
		return REFUND_PROCESSING;
	*since = r->settled < when ? r->settled : r->first_settled;
	return r->settled < when ? r->status : r->first_status;
}

static void
add_refund_trade(Trades *list, const SbRefund *r, int64_t from, int64_t until, int64_t made_at)
{
	const SbPlant *state = plant_of(r->plants, PLANT_STATE);
	Trade		t = {.at = refund_time(r) + shift(r->plants), .sequence = r->sequence,
		.order = r->order, .refund = r, .amount = refund_amount(r)};

	if (t.at < from || t.at >= until || plant_of(r->plants, PLANT_MISSING) != NULL)
		return;
	t.settled = own_part(r->order, t.amount);
	t.fee = -refund_fee(r);
	t.status = status_at(r, made_at, &t.done_at);
	t.status_said = state ? state->status : NULL;
	if (t.done_at)
		t.done_at += shift(r->plants);
	add_trade(list, &t);
	t.copy = 1;
	if (plant_of(r->plants, PLANT_TWICE) != NULL)
		add_trade(list, &t);
}

static int
trade_by_time(const void *a, const void *b)
{
	const Trade *x = a,
			   *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	if (x->sequence != y->sequence)
		return x->sequence < y->sequence ? -1 : 1;
	return x->copy - y->copy;
}

void
book_trades(const SbMerchant *m, int64_t from, int64_t until, int64_t made_at, Trades *out)
{
	const SbModel *model = &sandbox.model;
	size_t		i;

	*out = (Trades) {NULL, 0, 0};
	for (i = 0; i < model->order_count; i++)
	{
		const SbOrder *o = model->order_list[i];
		Trade		t = {.at = o->created, .sequence = o->sequence, .order = o, .amount = o->total,
			.settled = o->payer_total, .fee = book_fee(m, o->payer_total), .done_at = o->created};

		if (o->merchant == m && o->created >= from && o->created < until)
			add_trade(out, &t);
	}
	for (i = 0; i < model->refund_count; i++)
		if (model->refund_list[i]->order->merchant == m)
			add_refund_trade(out, model->refund_list[i], from, until, made_at);
	qsort(out->item, out->count, sizeof(Trade), trade_by_time);
}
