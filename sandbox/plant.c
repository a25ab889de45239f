/*-------------------------------------------------------------------------
 *
 * plant.c
 *	  How the bills shall differ from what was asked for, and what is done at
 *	  a channel by hand.
 *
 * A plant is a record of the ledger that changes no money: the channel has
 * paid what it has paid, and only its bills say otherwise.  What is done by
 * hand does move money, and nobody is told of it.  The list of both is the
 * oracle of the tests of reconciliation.
 *
 * sandbox/plant.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "books.h"

static const char *const class_names[] = {
	[PLANT_MISSING] = "missing",
	[PLANT_AMOUNT] = "amount",
	[PLANT_STATE] = "state",
	[PLANT_TWICE] = "twice",
	[PLANT_FEE] = "fee",
	[PLANT_DAY] = "day",
	[PLANT_CONSOLE] = "console"
};
#define CLASS_COUNT ((int) (sizeof(class_names) / sizeof(class_names[0])))

#define BY_MAX			INT64_C(100000000)	/* how far an amount may be off */
#define DAYS_MAX		30
#define CONSOLE_AMOUNT	100		/* of a refund by hand that is drawn */

static SbPlant **plants;
static size_t plant_count;
static size_t plant_cap;
static OtherMove **moves;
static size_t move_count;
static size_t move_cap;

const SbPlant *
plant_of(const SbPlant *list, PlantClass class)
{
	for (; list != NULL; list = list->next)
		if (list->class == class)
			return list;
	return NULL;
}

int64_t
plant_sum(const SbPlant *list, PlantClass class)
{
	int64_t		sum = 0;

	for (; list != NULL; list = list->next)
		if (list->class == class)
			sum += list->by;
	return sum;
}

const OtherMove *
other_move_at(size_t i)
{
	return i < move_count ? moves[i] : NULL;
}

/* ---- applying records ---- */

static bool
parse_class(const char *s, PlantClass *out)
{
	int			i;

	for (i = 0; s != NULL && i < CLASS_COUNT; i++)
		if (strcmp(class_names[i], s) == 0)
		{
			*out = (PlantClass) i;
			return true;
		}
	return false;
}

void
apply_plant(const json_t *rec, int64_t seq)
{
	SbMerchant *m = model_merchant(record_string(rec, "mchid"));
	SbRefund   *r = m ? model_refund_by_id(m->mchid, record_string(rec, "refund_id")) : NULL;
	SbTransfer *t = m ? model_transfer_by_id(m->mchid, record_string(rec, "transfer_id")) : NULL;
	SbPlant    *p;
	SbPlant   **last;
	PlantClass	class;

	(void) seq;
	if ((r == NULL && t == NULL) || !parse_class(record_string(rec, "class"), &class))
		return;
	p = must_alloc(sizeof(*p));
	p->class = class;
	p->by = record_int(rec, "by");
	str_copy(p->status, sizeof(p->status), record_string(rec, "status"));
	p->merchant = m;
	p->refund = r;
	p->transfer = r ? NULL : t;
	for (last = r ? &r->plants : &t->plants; *last != NULL; last = &(*last)->next)
		;
	*last = p;
	if (plant_count == plant_cap)
	{
		plant_cap = plant_cap ? plant_cap * 2 : 64;
		plants = must_realloc(plants, plant_cap * sizeof(SbPlant *));
	}
	plants[plant_count++] = p;
}

void
apply_books(const json_t *rec, int64_t seq)
{
	SbMerchant *m = model_merchant(record_string(rec, "mchid"));

	(void) seq;
	if (m == NULL)
		return;
	if (json_is_integer(json_object_get(rec, "fee_rate")))
		m->fee_rate = record_int(rec, "fee_rate");
	if (json_is_integer(json_object_get(rec, "basic")))
		m->opening[BOOK_BASIC] = record_int(rec, "basic");
	if (json_is_integer(json_object_get(rec, "operation")))
		m->opening[BOOK_OPERATION] = record_int(rec, "operation");
}

void
apply_move(const json_t *rec, int64_t seq)
{
	SbMerchant *m = model_merchant(record_string(rec, "mchid"));
	OtherMove  *move;

	if (m == NULL)
		return;
	move = must_alloc(sizeof(*move));
	move->merchant = m;
	move->sequence = seq;
	move->at = record_int(rec, "wall");
	move->change = record_int(rec, "change");
	book_account_parse(record_string(rec, "account"), &move->account);
	str_copy(move->text, sizeof(move->text), record_string(rec, "text"));
	if (move_count == move_cap)
	{
		move_cap = move_cap ? move_cap * 2 : 64;
		moves = must_realloc(moves, move_cap * sizeof(OtherMove *));
	}
	moves[move_count++] = move;
}

/* ---- writing records ---- */

void
record_move(const SbMerchant *m, BookAccount account, int64_t change, const char *text)
{
	ledger_add(json_pack("{ss ss ss sI ss sI}", "e", "move", "mchid", m->mchid,
						 "account", account == BOOK_BASIC ? "basic" : "operation",
						 "change", (json_int_t) change, "text", text,
						 "wall", (json_int_t) business_ms()), false);
}

static void
record_plant(const SbRefund *r, const SbTransfer *t, PlantClass class, int64_t by,
			 const char *status)
{
	json_t	   *rec = json_pack("{ss ss ss ss sI ss}", "e", "plant",
								"mchid", r ? r->order->merchant->mchid : t->merchant->mchid,
								"class", class_names[class], "no", r ? r->no : t->no,
								"by", (json_int_t) by, "status", status);

	json_object_set_new(rec, r ? "refund_id" : "transfer_id", json_string(r ? r->refund_id : t->id));
	ledger_add(rec, false);
}

/* ---- planting ---- */

/* A whole number other than 0, at most `max` from it; absent: `otherwise`. */
static bool
read_by(const char *arg, int64_t max, int64_t otherwise, int64_t *out)
{
	char	   *end;

	*out = otherwise;
	if (arg == NULL)
		return true;
	*out = strtoll(arg, &end, 10);
	return *arg != '\0' && *end == '\0' && *out != 0 && *out >= -max && *out <= max;
}

/* What a class means for what it is about; NULL, or why it cannot be. */
static const char *
unfit(const SbRefund *r, const SbTransfer *t, PlantClass class, int64_t by)
{
	const SbPlant *list = r ? r->plants : t->plants;
	const SbChannel *channel = r ? r->channel : t->channel;

	if (class == PLANT_STATE && r != NULL && channel == &alipay_channel)
		return "Alipay's bills do not say what state a refund is in";
	if (class == PLANT_FEE && (t != NULL || channel == &stripe_channel))
		return "this has no fee";
	if (class == PLANT_AMOUNT && (r ? r->amount : t->amount) + plant_sum(list, PLANT_AMOUNT) + by <= 0)
		return "there must be something left of the amount";
	return NULL;
}

const char *
plant_make(SbRefund *r, SbTransfer *t, const char *class, const char *arg)
{
	PlantClass	c;
	int64_t		by = 0;
	const char *status = "";
	const char *why;

	if (!parse_class(class, &c) || c == PLANT_CONSOLE)
		return "the class must be missing, amount, state, twice, fee or day";
	if ((c == PLANT_AMOUNT && !read_by(arg, BY_MAX, 100, &by)) ||
		(c == PLANT_FEE && !read_by(arg, BY_MAX, 7, &by)) ||
		(c == PLANT_DAY && !read_by(arg, DAYS_MAX, 1, &by)))
		return "by how much must be a whole number: minor units, or up to 30 days";
	if (c == PLANT_STATE)
		status = arg ? arg : "FAIL";
	if (strcmp(status, "") != 0 && strcmp(status, "FAIL") != 0 && strcmp(status, "CHANGE") != 0 &&
		strcmp(status, "PROCESSING") != 0 && strcmp(status, "SUCCESS") != 0)
		return "the state must be SUCCESS, PROCESSING, FAIL or CHANGE";
	if ((why = unfit(r, t, c, by)) == NULL)
		record_plant(r, t, c, by, status);
	return why;
}

/* ---- by hand ---- */

static void
make_no(char no[SB_NO_MAX + 1], const char *wanted)
{
	if (strcmp(wanted, "-") == 0)
		snprintf(no, SB_NO_MAX + 1, "CONSOLE%014lld", (long long) ledger_sequence() + 1);
	else
		str_copy(no, SB_NO_MAX + 1, wanted);
}

/* In the shape that the channel's own ids have. */
static void
make_id(const SbMerchant *m, char id[SB_ID_MAX + 1])
{
	long long	n = (long long) ledger_sequence() + 1;

	if (m->channel == &wechat_channel)
		snprintf(id, SB_ID_MAX + 1, "50000999999999%015lld", n);
	else if (m->channel == &alipay_channel)
		snprintf(id, SB_ID_MAX + 1, "R%019lld", n);
	else
		snprintf(id, SB_ID_MAX + 1, "re_3Console%015lld", n);
}

const char *
console_refund(SbMerchant *m, const char *order, const char *no, int64_t amount)
{
	SbOrder    *o = model_order(m, order, order);
	char		own[SB_NO_MAX + 1],
				id[SB_ID_MAX + 1];
	NewRefund	n = {.no = own, .refund_id = id, .amount = amount};
	SbRefund   *r;

	make_id(m, id);
	if (m->channel == &stripe_channel && strcmp(no, "-") == 0)
		str_copy(own, sizeof(own), id); /* that is its number where nobody gives it one */
	else
		make_no(own, no);
	if (o == NULL)
		return "there is no such order: it must have been registered, or refunded before";
	if (own[0] == '\0' || (m->channel->number_per_order ? model_refund_of(o, own) :
						   model_refund(m->mchid, own)) != NULL)
		return "there is a refund of that number already, or it is too long";
	if (amount > o->total - o->taken)
		return "so much is not left of the order";
	if (m->channel == &stripe_channel && strcmp(no, "-") != 0)
		n.data = json_pack("{s{ss}}", "metadata", "refundx_no", own);
	r = refund_accept(o, &n, m->channel->outcomes, true);
	record_settle(r, REFUND_SUCCESS, false, REFUND_SUCCESS, 0);
	record_plant(r, NULL, PLANT_CONSOLE, 0, "");
	return NULL;
}

const char *
console_transfer(SbMerchant *m, const char *no, int64_t amount)
{
	char		own[SB_NO_MAX + 1],
				id[SB_ID_MAX + 1];
	NewTransfer n = {.no = own, .id = id, .digest = "", .amount = amount,
		.data = json_pack("{ss ss ss}", "appid", "", "remark", "", "openid", "")};
	TransferMove first = {.status = TRANSFER_PROCESSING, .step = -1};
	TransferMove paid = {.status = TRANSFER_SUCCESS, .step = -1};
	SbTransfer *t;

	make_no(own, no);
	snprintf(id, sizeof(id), m->channel == &alipay_channel ? "20261127110070%018lld" :
			 "1330000099999%026lld", (long long) ledger_sequence() + 1);
	if (m->channel->transfer_outcomes == NULL || own[0] == '\0' ||
		model_transfer(m->mchid, own) != NULL)
	{
		json_decref(n.data);
		return m->channel->transfer_outcomes == NULL ? "this channel has no transfers" :
			"there is a transfer of that number already, or it is too long";
	}
	t = record_transfer(m, &n, m->channel->transfer_outcomes[0].name, 0, &first);
	record_transfer_status(t, &paid);
	record_plant(NULL, t, PLANT_CONSOLE, 0, "");
	return NULL;
}

/* ---- by seed ---- */

/*
 * Depends on the seed, merchant and number only, as the draw of an outcome
 * does, and not on that.
 */
static bool
drawn(const SbMerchant *m, const char *no, uint64_t *h)
{
	*h = hash_string(no, hash_string(m->mchid, sandbox.opt.seed + 77));
	/* numbers that count up differ in a few bits only: let each count everywhere */
	*h = (*h ^ (*h >> 33)) * UINT64_C(0xff51afd7ed558ccd);
	*h ^= *h >> 33;
	return sandbox.opt.plant_percent > 0 &&
		(double) (*h % 10000) < sandbox.opt.plant_percent * 100;
}

void
plant_draw_refund(SbRefund *r)
{
	SbMerchant *m = r->order->merchant;
	uint64_t	h;
	PlantClass	class;

	if (!drawn(m, r->no, &h) || strncmp(r->no, "CONSOLE", 7) == 0 ||
		strncmp(r->no, "re_3Console", 11) == 0)
		return;
	class = (PlantClass) ((h >> 20) % (uint64_t) CLASS_COUNT);
	if (class == PLANT_CONSOLE && console_refund(m, r->order->transaction_id, "-", CONSOLE_AMOUNT) == NULL)
		return;
	if (class == PLANT_CONSOLE || plant_make(r, NULL, class_names[class], NULL) != NULL)
		record_plant(r, NULL, PLANT_MISSING, 0, "");
}

void
plant_draw_transfer(SbTransfer *t)
{
	uint64_t	h;
	PlantClass	class;

	if (!drawn(t->merchant, t->no, &h) || strncmp(t->no, "CONSOLE", 7) == 0)
		return;
	class = (PlantClass) ((h >> 20) % (uint64_t) CLASS_COUNT);
	/* money that comes back is no contradiction, but a bounce: not by chance */
	if (class == PLANT_STATE || class == PLANT_FEE)
		class = PLANT_TWICE;
	if (class == PLANT_CONSOLE && console_transfer(t->merchant, "-", CONSOLE_AMOUNT) == NULL)
		return;
	if (class == PLANT_CONSOLE || plant_make(NULL, t, class_names[class], NULL) != NULL)
		record_plant(NULL, t, PLANT_MISSING, 0, "");
}

/* ---- the oracle ---- */

static json_t *
plant_row(const SbPlant *p)
{
	int64_t		shift = plant_sum(p->refund ? p->refund->plants : p->transfer->plants, PLANT_DAY);
	int64_t		at = p->refund ? p->refund->created : p->transfer->created;
	char		day[40],
				said[40];

	format_time(at, day);
	format_time(at + shift * DAY_MS, said);
	day[10] = said[10] = '\0';
	return json_pack("{ss ss ss ss ss ss ss sI sI ss}", "class", class_names[p->class],
					 "about", p->refund ? "refund" : "transfer",
					 "no", p->refund ? p->refund->no : p->transfer->no,
					 "channel", p->merchant->channel->name, "mchid", p->merchant->mchid,
					 "day", day, "bill_day", said, "by", (json_int_t) p->by,
					 "amount", (json_int_t) (p->refund ? p->refund->amount : p->transfer->amount),
					 "state", p->status);
}

json_t *
plant_report(void)
{
	json_t	   *rows = json_array();
	size_t		i;

	for (i = 0; i < plant_count; i++)
		json_array_append_new(rows, plant_row(plants[i]));
	return json_pack("{so}", "plants", rows);
}
