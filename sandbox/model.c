/*-------------------------------------------------------------------------
 *
 * model.c
 *	  The state of the simulated world, as the sum of the ledger's records.
 *
 * Nothing else changes it: record_*() writes a record, and model_apply() does
 * what the record says, when it is written and again at every replay.
 * Records are ours, but a file can be edited: one that names what does not
 * exist is ignored.
 *
 * sandbox/model.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "books.h"
#include "transfer.h"

#define model (sandbox.model)

static const char *const status_names[] = {
	[REFUND_PROCESSING] = "PROCESSING",
	[REFUND_SUCCESS] = "SUCCESS",
	[REFUND_CLOSED] = "CLOSED",
	[REFUND_ABNORMAL] = "ABNORMAL"
};

static const char *const mode_names[] = {
	[SMS_OK] = "ok",
	[SMS_HANG] = "hang",
	[SMS_DOWN] = "down",
	[SMS_500] = "500"
};

static int
find_name(const char *const *names, int count, const char *s)
{
	int			i;

	for (i = 0; s != NULL && i < count; i++)
		if (strcmp(names[i], s) == 0)
			return i;
	return -1;
}

const char *
refund_status_name(RefundStatus s)
{
	return status_names[s];
}

bool
refund_status_parse(const char *s, RefundStatus *out)
{
	int			i = find_name(status_names, 4, s);

	if (i >= 0)
		*out = (RefundStatus) i;
	return i >= 0;
}

const char *
sms_mode_name(SmsMode m)
{
	return mode_names[m];
}

bool
sms_mode_parse(const char *s, SmsMode *out)
{
	int			i = find_name(mode_names, 4, s);

	if (i >= 0)
		*out = (SmsMode) i;
	return i >= 0;
}

void
model_init(void)
{
	memset(&model, 0, sizeof(model));
}

/* ---- looking things up ---- */

#define KEY_MAX	(SB_MCHID_MAX + 2 * SB_ID_MAX + 16)

static const char *
make_key(char key[KEY_MAX], const char *mchid, const char *what, const char *id)
{
	snprintf(key, KEY_MAX, "%.*s/%.*s%.*s", SB_MCHID_MAX, mchid, SB_ID_MAX + 8, what,
			 SB_ID_MAX, id);
	return key;
}

SbMerchant *
model_merchant(const char *mchid)
{
	return map_get(&model.merchants, mchid);
}

SbMerchant *
model_merchant_of(const SbChannel *channel, const char *mchid)
{
	SbMerchant *m = model_merchant(mchid);

	return m != NULL && m->channel == channel ? m : NULL;
}

SbOrder *
model_order(const SbMerchant *m, const char *transaction_id, const char *out_trade_no)
{
	char		key[KEY_MAX];
	SbOrder    *o = NULL;

	if (transaction_id != NULL)
		o = map_get(&model.orders, make_key(key, m->mchid, "t/", transaction_id));
	if (o == NULL && out_trade_no != NULL)
		o = map_get(&model.orders, make_key(key, m->mchid, "o/", out_trade_no));
	return o;
}

SbRefund *
model_refund(const char *mchid, const char *no)
{
	char		key[KEY_MAX];

	return map_get(&model.refunds, make_key(key, mchid, "", no));
}

/* With its length, because either may have a slash in it. */
static const char *
order_key(char key[KEY_MAX], const SbOrder *o, const char *no)
{
	char		what[SB_ID_MAX + 24];

	snprintf(what, sizeof(what), "%zu/%s/", strlen(o->transaction_id), o->transaction_id);
	return make_key(key, o->merchant->mchid, what, no);
}

SbRefund *
model_refund_of(const SbOrder *o, const char *no)
{
	char		key[KEY_MAX];

	return map_get(&model.refunds, order_key(key, o, no));
}

SbRefund *
model_refund_any(const char *mchid, const char *no)
{
	SbRefund   *r = map_get(&model.numbers, no);
	size_t		i;

	if (r == NULL || mchid == NULL || strcmp(r->order->merchant->mchid, mchid) == 0)
		return r;
	for (i = 0; i < model.refund_count; i++)
	{
		r = model.refund_list[i];
		if (strcmp(r->no, no) == 0 && strcmp(r->order->merchant->mchid, mchid) == 0)
			return r;
	}
	return NULL;
}

SbRefund *
model_refund_by_id(const char *mchid, const char *refund_id)
{
	char		key[KEY_MAX];

	return map_get(&model.refund_ids, make_key(key, mchid, "", refund_id));
}

/* The key of a miss may be an order and a number: longer than an id. */
static const char *
miss_key(char full[KEY_MAX], const char *mchid, const char *key)
{
	snprintf(full, KEY_MAX, "%.*s/%.*s", SB_MCHID_MAX, mchid, 2 * SB_ID_MAX + 8, key);
	return full;
}

const SbMiss *
model_miss(const char *mchid, const char *key)
{
	char		full[KEY_MAX];

	return map_get(&model.misses, miss_key(full, mchid, key));
}

/* ---- applying records ---- */

static void *
list_add(void ***list, size_t *count, size_t *cap, void *item)
{
	if (*count == *cap)
	{
		*cap = *cap ? *cap * 2 : 64;
		*list = must_realloc(*list, *cap * sizeof(void *));
	}
	return (*list)[(*count)++] = item;
}

static void
apply_order(const json_t *rec, int64_t seq)
{
	SbMerchant *m = model_merchant(record_string(rec, "mchid"));
	SbOrder    *o;
	char		key[KEY_MAX];

	if (m == NULL)
		return;
	o = must_alloc(sizeof(*o));
	o->merchant = m;
	str_copy(o->transaction_id, sizeof(o->transaction_id), record_string(rec, "transaction_id"));
	str_copy(o->out_trade_no, sizeof(o->out_trade_no), record_string(rec, "out_trade_no"));
	o->total = record_int(rec, "total");
	o->payer_total = record_int(rec, "payer_total");
	o->created = record_int(rec, "wall");
	o->sequence = seq;
	map_put(&model.orders, make_key(key, m->mchid, "t/", o->transaction_id), o);
	map_put(&model.orders, make_key(key, m->mchid, "o/", o->out_trade_no), o);
	list_add((void ***) &model.order_list, &model.order_count, &model.order_cap, o);
}

static void
refund_set_next(SbRefund *r, const json_t *rec)
{
	r->next_at = record_int(rec, "next_at");
	if (r->next_at > 0 && refund_status_parse(record_string(rec, "next"), &r->next_status))
		refunds_schedule(r);
	else
		r->next_at = 0;
}

static void
apply_refund(const json_t *rec, int64_t seq)
{
	SbMerchant *m = model_merchant(record_string(rec, "mchid"));
	SbOrder    *o = m ? model_order(m, record_string(rec, "transaction_id"), NULL) : NULL;
	const SbChannel *channel = channel_by_name(record_string(rec, "channel"));
	const char *url = record_string(rec, "notify_url");
	SbRefund   *r,
			   *earlier;
	char		key[KEY_MAX];

	if (o == NULL || channel == NULL || channel->outcomes == NULL)
		return;
	r = must_alloc(sizeof(*r));
	r->channel = channel;
	r->order = o;
	str_copy(r->no, sizeof(r->no), record_string(rec, "no"));
	str_copy(r->refund_id, sizeof(r->refund_id), record_string(rec, "refund_id"));
	str_copy(r->sub_mchid, sizeof(r->sub_mchid), record_string(rec, "sub_mchid"));
	str_copy(r->digest, sizeof(r->digest), record_string(rec, "digest"));
	str_copy(r->outcome, sizeof(r->outcome), record_string(rec, "outcome"));
	r->notify_url = *url ? must_strdup(url) : NULL;
	r->data = json_incref(json_object_get(rec, "data"));
	r->amount = record_int(rec, "amount");
	r->created = record_int(rec, "wall");
	r->sequence = seq;
	r->visible_at = record_int(rec, "visible_at");
	r->status = REFUND_PROCESSING;
	o->taken += r->amount;
	o->parts++;
	o->last_refund_at = record_int(rec, "t");
	r->before = o->last;
	o->last = r;
	if (channel->number_per_order)
		order_key(key, o, r->no);
	else
		make_key(key, m->mchid, "", r->no);
	earlier = map_get(&model.refunds, key);
	r->first = earlier ? earlier->first : r;
	map_put(&model.refunds, key, r);
	if (map_get(&model.numbers, r->no) == NULL)
		map_put(&model.numbers, r->no, r);
	map_put(&model.refund_ids, make_key(key, m->mchid, "", r->refund_id), r);
	list_add((void ***) &model.refund_list, &model.refund_count, &model.refund_cap, r);
	refund_set_next(r, rec);
}

/*
 * paid_times counts money going out to the payer.  It is counted and not
 * derived, so that a fault of our own that paid twice would show.
 */
static void
apply_settle(const json_t *rec, int64_t seq)
{
	SbRefund   *r = model_refund_by_id(record_string(rec, "mchid"), record_string(rec, "refund_id"));
	RefundStatus status;

	(void) seq;
	if (r == NULL || !refund_status_parse(record_string(rec, "status"), &status))
		return;
	if (status == REFUND_CLOSED && r->status != REFUND_CLOSED)
	{
		r->order->taken -= r->amount;
		r->order->parts--;
	}
	r->returned = r->status == REFUND_SUCCESS && status == REFUND_CLOSED;
	r->status = status;
	r->settled = record_int(rec, "wall");
	if (r->first_settled == 0)
	{
		r->first_settled = r->settled;
		r->first_status = status;
	}
	r->to_merchant = json_is_true(json_object_get(rec, "to_merchant"));
	if (status == REFUND_SUCCESS && !r->to_merchant)
	{
		r->paid_times++;
		r->first->number_paid++;
	}
	refund_set_next(r, rec);
}

static void
apply_miss(const json_t *rec, int64_t seq)
{
	char		key[KEY_MAX];
	SbMiss	   *miss;

	miss_key(key, record_string(rec, "mchid"), record_string(rec, "no"));
	miss = map_get(&model.misses, key);
	if (miss == NULL)
	{
		miss = must_alloc(sizeof(*miss));
		miss->first = seq;
		miss->first_at = record_int(rec, "t");
		map_put(&model.misses, key, miss);
	}
	miss->count++;
}

static void
apply_callback(const json_t *rec, int64_t seq)
{
	SbMerchant *m = model_merchant(record_string(rec, "mchid"));
	SbCallback *cb;

	(void) seq;
	if (m == NULL)
		return;
	cb = must_alloc(sizeof(*cb));
	cb->merchant = m;
	cb->channel = m->channel;
	cb->kind = must_strdup(record_string(rec, "kind"));
	cb->refund = model_refund_by_id(m->mchid, record_string(rec, "refund_id"));
	cb->url = must_strdup(record_string(rec, "url"));
	cb->data = json_incref(json_object_get(rec, "data"));
	str_copy(cb->event_id, sizeof(cb->event_id), record_string(rec, "event_id"));
	refund_status_parse(record_string(rec, "says"), &cb->says);
	cb->flavour = json_is_true(json_object_get(rec, "signtest")) ? CALLBACK_SIGNTEST : CALLBACK_TRUE;
	cb->due = record_int(rec, "due");
	/* ids are positions, so that a record of a try finds its callback */
	list_add((void ***) &model.callback_list, &model.callback_count, &model.callback_cap, cb);
	cb->id = (int64_t) model.callback_count;
	cb->transfer = strcmp(cb->kind, "transfer") == 0 ?
		model_transfer_by_id(m->mchid, record_string(cb->data, "transfer_id")) : NULL;
	cb->finished = (cb->refund == NULL && strcmp(cb->kind, "refund") == 0) ||
		(cb->transfer == NULL && strcmp(cb->kind, "transfer") == 0);
	if (!cb->finished)
		callbacks_schedule(cb);
}

static void
apply_try(const json_t *rec, int64_t seq)
{
	int64_t		id = record_int(rec, "callback");
	SbCallback *cb;

	(void) seq;
	if (id < 1 || (size_t) id > model.callback_count)
		return;
	cb = model.callback_list[id - 1];
	cb->tries++;
	cb->due = record_int(rec, "due");
	cb->finished = json_is_true(json_object_get(rec, "finished"));
	if (!cb->finished)
		callbacks_schedule(cb);
	else
	{
		/* nobody asks for it again, and there may be very many */
		json_decref(cb->data);
		cb->data = NULL;
	}
}

static void
apply_notify_url(const json_t *rec, int64_t seq)
{
	SbMerchant *m = model_merchant(record_string(rec, "mchid"));
	const char *url = record_string(rec, "url");
	char	  **place;

	(void) seq;
	if (m == NULL)
		return;
	place = strcmp(record_string(rec, "e"), "gateway_url") == 0 ? &m->gateway_url : &m->notify_url;
	free(*place);
	*place = *url ? must_strdup(url) : NULL;
}

static void
apply_sms(const json_t *rec, int64_t seq)
{
	SbSms	   *sms = must_alloc(sizeof(*sms));

	sms->id = seq;
	str_copy(sms->provider, sizeof(sms->provider), record_string(rec, "provider"));
	str_copy(sms->phone, sizeof(sms->phone), record_string(rec, "phone"));
	str_copy(sms->out_id, sizeof(sms->out_id), record_string(rec, "out_id"));
	str_copy(sms->biz_id, sizeof(sms->biz_id), record_string(rec, "biz_id"));
	str_copy(sms->template, sizeof(sms->template), record_string(rec, "template"));
	sms->param = must_strdup(record_string(rec, "param"));
	sms->at = record_int(rec, "wall");
	list_add((void ***) &model.sms_list, &model.sms_count, &model.sms_cap, sms);
}

static void
apply_topup(const json_t *rec, int64_t seq)
{
	SbMerchant *m = model_merchant(record_string(rec, "mchid"));

	if (m != NULL)
		m->funded_at = seq;
}

static void
apply_sms_mode(const json_t *rec, int64_t seq)
{
	(void) seq;
	sms_mode_parse(record_string(rec, "mode"), &model.sms_mode);
}

static void
apply_pause(const json_t *rec, int64_t seq)
{
	(void) seq;
	model.callbacks_paused = json_is_true(json_object_get(rec, "on"));
}

static void
apply_advance(const json_t *rec, int64_t seq)
{
	(void) seq;
	model.advanced_ms += record_int(rec, "ms");
	/* the time itself is kept by "t", which every record has */
	if (sandbox.live)
		clock_advance(record_int(rec, "ms"));
	else
		model.last_time += record_int(rec, "ms");
}

static const struct
{
	const char *event;
	void		(*apply) (const json_t *rec, int64_t seq);
}			appliers[] =
{
	{"order", apply_order},
	{"refund", apply_refund},
	{"settle", apply_settle},
	{"miss", apply_miss},
	{"callback", apply_callback},
	{"try", apply_try},
	{"notify_url", apply_notify_url},
	{"gateway_url", apply_notify_url},
	{"transfer", apply_transfer},
	{"transfer_status", apply_transfer_status},
	{"balance", apply_balance},
	{"sms", apply_sms},
	{"topup", apply_topup},
	{"sms_mode", apply_sms_mode},
	{"pause", apply_pause},
	{"advance", apply_advance},
	{"books", apply_books},
	{"move", apply_move},
	{"plant", apply_plant},
	{"spoil", apply_spoil},
};

void
model_apply(json_t *record, int64_t seq)
{
	const char *event = record_string(record, "e");
	const SbChannel *channel;
	size_t		i;

	if (record_int(record, "t") > model.last_time)
		model.last_time = record_int(record, "t");
	for (i = 0; i < sizeof(appliers) / sizeof(appliers[0]); i++)
		if (strcmp(appliers[i].event, event) == 0)
		{
			appliers[i].apply(record, seq);
			return;
		}
	channel = channel_by_name(record_string(record, "channel"));
	if (channel != NULL && channel->apply != NULL)
		channel->apply(record, seq);
}

/* ---- writing records ---- */

SbOrder *
record_order(SbMerchant *m, const char *transaction_id, const char *out_trade_no,
			 int64_t total, int64_t payer_total)
{
	ledger_add(json_pack("{ss ss ss ss sI sI sI}", "e", "order", "mchid", m->mchid,
						 "transaction_id", transaction_id, "out_trade_no", out_trade_no,
						 "total", (json_int_t) total, "payer_total", (json_int_t) payer_total,
						 "wall", (json_int_t) business_ms()),
			   false);
	return model_order(m, transaction_id, out_trade_no);
}

void
record_miss(const SbMerchant *m, const char *key, const char *outcome)
{
	ledger_add(json_pack("{ss ss ss ss}", "e", "miss", "mchid", m->mchid, "no", key,
						 "outcome", outcome), false);
}

/* then_at > 0: and then it becomes `then`, by itself */
void
record_settle(SbRefund *r, RefundStatus status, bool to_merchant,
			  RefundStatus then, int64_t then_at)
{
	json_t	   *rec = json_pack("{ss ss ss ss ss sb sI}", "e", "settle",
								"mchid", r->order->merchant->mchid, "no", r->no,
								"refund_id", r->refund_id,
								"status", refund_status_name(status),
								"to_merchant", to_merchant, "wall", (json_int_t) business_ms());

	if (then_at > 0)
	{
		json_object_set_new(rec, "next_at", json_integer(then_at));
		json_object_set_new(rec, "next", json_string(refund_status_name(then)));
	}
	ledger_add(rec, false);
}

static SbCallback *
add_callback(SbMerchant *m, SbRefund *r, const char *kind, const char *url, const char *event_id,
			 int64_t due, json_t *data, RefundStatus says, CallbackFlavour flavour)
{
	json_t	   *rec = json_pack("{ss ss ss ss ss ss ss sb sI}", "e", "callback",
								"mchid", m->mchid, "kind", kind,
								"refund_id", r ? r->refund_id : "", "url", url,
								"event_id", event_id, "says", refund_status_name(says),
								"signtest", flavour == CALLBACK_SIGNTEST,
								"due", (json_int_t) due);

	if (r != NULL)
		json_object_set_new(rec, "no", json_string(r->no));
	if (data != NULL)
		json_object_set_new(rec, "data", data);
	ledger_add(rec, false);
	return model.callback_list[model.callback_count - 1];
}

SbCallback *
record_callback(SbRefund *r, RefundStatus says, CallbackFlavour flavour,
				int64_t due, const char *event_id)
{
	const char *url = refund_url(r);
	json_t	   *data = NULL;

	if (url == NULL)
		return NULL;
	if (r->channel->callback_data != NULL)
		data = r->channel->callback_data(r, says);
	return add_callback(r->order->merchant, r, "refund", url, event_id, due, data, says, flavour);
}

SbCallback *
record_event(SbMerchant *m, SbRefund *r, const char *kind, const char *url,
			 const char *event_id, int64_t due, json_t *data)
{
	return record_flavoured_event(m, r, kind, url, event_id, due, data, CALLBACK_TRUE);
}

SbCallback *
record_flavoured_event(SbMerchant *m, SbRefund *r, const char *kind, const char *url,
					   const char *event_id, int64_t due, json_t *data, CallbackFlavour flavour)
{
	return add_callback(m, r, kind, url, event_id, due, data,
						r ? r->status : REFUND_PROCESSING, flavour);
}

void
record_notify_url(const SbMerchant *m, const char *url)
{
	ledger_add(json_pack("{ss ss ss}", "e", "notify_url", "mchid", m->mchid, "url", url), false);
}

void
record_gateway_url(const SbMerchant *m, const char *url)
{
	ledger_add(json_pack("{ss ss ss}", "e", "gateway_url", "mchid", m->mchid, "url", url), false);
}

/* Lazy: a try that is forgotten is a callback pushed twice, which is allowed. */
void
record_try(SbCallback *cb, int http_status, int64_t next_due, bool finished)
{
	ledger_add(json_pack("{ss sI si sI sb}", "e", "try", "callback", (json_int_t) cb->id,
						 "status", http_status, "due", (json_int_t) next_due,
						 "finished", finished), true);
}
