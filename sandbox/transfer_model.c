/*-------------------------------------------------------------------------
 *
 * transfer_model.c
 *	  Transfers in the model and in the ledger, and how others read them.
 *
 * As in model.c, nothing changes but by a record, live and at replay alike.
 * So does the balance that transfers are paid from: accepting one takes from
 * it, and what fails, is cancelled or bounces gives back.
 *
 * sandbox/transfer_model.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "books.h"
#include "transfer.h"

#define model (sandbox.model)

static const char *const status_names[] = {
	[TRANSFER_ACCEPTED] = "ACCEPTED",
	[TRANSFER_PROCESSING] = "PROCESSING",
	[TRANSFER_WAITING] = "WAIT_USER_CONFIRM",
	[TRANSFER_TRANSFERING] = "TRANSFERING",
	[TRANSFER_SUCCESS] = "SUCCESS",
	[TRANSFER_FAIL] = "FAIL",
	[TRANSFER_CANCELING] = "CANCELING",
	[TRANSFER_CANCELLED] = "CANCELLED",
	[TRANSFER_REFUND] = "REFUND"
};
#define STATUS_COUNT ((int) (sizeof(status_names) / sizeof(status_names[0])))

const char *
transfer_status_name(TransferStatus s)
{
	return status_names[s];
}

bool
transfer_status_parse(const char *s, TransferStatus *out)
{
	int			i;

	for (i = 0; s != NULL && i < STATUS_COUNT; i++)
		if (strcmp(status_names[i], s) == 0)
		{
			*out = (TransferStatus) i;
			return true;
		}
	return false;
}

/* ---- looking things up ---- */

#define KEY_MAX	(SB_MCHID_MAX + SB_ID_MAX + 8)

static const char *
make_key(char key[KEY_MAX], const char *mchid, const char *id)
{
	snprintf(key, KEY_MAX, "%.*s/%.*s", SB_MCHID_MAX, mchid, SB_ID_MAX, id);
	return key;
}

SbTransfer *
model_transfer(const char *mchid, const char *no)
{
	char		key[KEY_MAX];

	return map_get(&model.transfers, make_key(key, mchid, no));
}

SbTransfer *
model_transfer_any(const char *mchid, const char *no)
{
	return mchid ? model_transfer(mchid, no) : map_get(&model.transfer_numbers, no);
}

SbTransfer *
model_transfer_by_id(const char *mchid, const char *id)
{
	char		key[KEY_MAX];

	return map_get(&model.transfer_ids, make_key(key, mchid, id));
}

/* ---- applying records ---- */

static void
set_next(SbTransfer *t, const json_t *rec)
{
	t->step = (int) record_int(rec, "step");
	t->next_at = record_int(rec, "next_at");
	str_copy(t->next_reason, sizeof(t->next_reason), record_string(rec, "next_reason"));
	if (t->next_at > 0 && transfer_status_parse(record_string(rec, "next"), &t->next_status))
		transfers_schedule(t);
	else
		t->next_at = 0;
}

static void
add_to_list(SbTransfer *t)
{
	if (model.transfer_count == model.transfer_cap)
	{
		model.transfer_cap = model.transfer_cap ? model.transfer_cap * 2 : 64;
		model.transfer_list = must_realloc(model.transfer_list,
										   model.transfer_cap * sizeof(SbTransfer *));
	}
	model.transfer_list[model.transfer_count++] = t;
}

void
apply_transfer(const json_t *rec, int64_t seq)
{
	SbMerchant *m = model_merchant(record_string(rec, "mchid"));
	const char *url = record_string(rec, "notify_url");
	SbTransfer *t;
	char		key[KEY_MAX];

	if (m == NULL || m->channel->transfer_outcomes == NULL)
		return;
	t = must_alloc(sizeof(*t));
	t->channel = m->channel;
	t->merchant = m;
	t->sequence = seq;
	str_copy(t->no, sizeof(t->no), record_string(rec, "no"));
	str_copy(t->id, sizeof(t->id), record_string(rec, "transfer_id"));
	str_copy(t->digest, sizeof(t->digest), record_string(rec, "digest"));
	str_copy(t->outcome, sizeof(t->outcome), record_string(rec, "outcome"));
	t->notify_url = *url ? must_strdup(url) : NULL;
	t->data = json_incref(json_object_get(rec, "data"));
	t->amount = record_int(rec, "amount");
	t->to_card = json_is_true(json_object_get(rec, "to_card"));
	t->created = t->changed = record_int(rec, "wall");
	t->accepted_at = record_int(rec, "t");
	t->visible_at = record_int(rec, "visible_at");
	transfer_status_parse(record_string(rec, "status"), &t->status);
	m->balance -= t->amount;
	map_put(&model.transfers, make_key(key, m->mchid, t->no), t);
	if (map_get(&model.transfer_numbers, t->no) == NULL)
		map_put(&model.transfer_numbers, t->no, t);
	map_put(&model.transfer_ids, make_key(key, m->mchid, t->id), t);
	add_to_list(t);
	set_next(t, rec);
}

static bool
gives_back(TransferStatus s)
{
	return s == TRANSFER_FAIL || s == TRANSFER_CANCELLED || s == TRANSFER_REFUND;
}

/*
 * Money that goes out, and money that comes back, is counted and not derived
 * from the state, so that a fault of our own that paid twice would show.
 */
void
apply_transfer_status(const json_t *rec, int64_t seq)
{
	SbTransfer *t = model_transfer_by_id(record_string(rec, "mchid"), record_string(rec, "transfer_id"));
	TransferStatus status;

	(void) seq;
	if (t == NULL || !transfer_status_parse(record_string(rec, "status"), &status))
		return;
	if (gives_back(status) && !gives_back(t->status))
		t->merchant->balance += t->amount;
	if (status == TRANSFER_SUCCESS)
	{
		t->paid_times++;
		t->paid_at = record_int(rec, "wall");
	}
	if (status == TRANSFER_REFUND)
		t->bounced_times++;
	t->status = status;
	t->changed = record_int(rec, "wall");
	str_copy(t->reason, sizeof(t->reason), record_string(rec, "reason"));
	set_next(t, rec);
}

/* What it shall be, not by how much it changes: a person says it. */
void
apply_balance(const json_t *rec, int64_t seq)
{
	SbMerchant *m = model_merchant(record_string(rec, "mchid"));

	if (m == NULL)
		return;
	m->balance_known = json_is_integer(json_object_get(rec, "fen"));
	m->balance = record_int(rec, "fen");
	m->balance_at = seq;
}

/* ---- writing records ---- */

static void
add_next(json_t *rec, const TransferMove *move)
{
	json_object_set_new(rec, "step", json_integer(move->step));
	if (move->next_at <= 0)
		return;
	json_object_set_new(rec, "next_at", json_integer(move->next_at));
	json_object_set_new(rec, "next", json_string(transfer_status_name(move->next)));
	if (move->next_reason != NULL)
		json_object_set_new(rec, "next_reason", json_string(move->next_reason));
}

SbTransfer *
record_transfer(SbMerchant *m, const NewTransfer *n, const char *outcome, int64_t visible_at,
				const TransferMove *first)
{
	json_t	   *rec = json_pack("{ss ss ss ss ss ss sI sb ss ss ss sI sI}",
								"e", "transfer", "channel", m->channel->name, "mchid", m->mchid,
								"no", n->no, "transfer_id", n->id, "digest", n->digest,
								"amount", (json_int_t) n->amount, "to_card", n->to_card,
								"outcome", outcome, "notify_url", n->notify_url ? n->notify_url : "",
								"status", transfer_status_name(first->status),
								"visible_at", (json_int_t) visible_at,
								"wall", (json_int_t) business_ms());
	SbTransfer *t;

	if (n->data != NULL)
		json_object_set_new(rec, "data", n->data);
	add_next(rec, first);
	ledger_add(rec, false);
	t = model_transfer_by_id(m->mchid, n->id);
	plant_draw_transfer(t);
	return t;
}

void
record_transfer_status(SbTransfer *t, const TransferMove *move)
{
	json_t	   *rec = json_pack("{ss ss ss ss ss sI}", "e", "transfer_status",
								"mchid", t->merchant->mchid, "no", t->no, "transfer_id", t->id,
								"status", transfer_status_name(move->status),
								"wall", (json_int_t) business_ms());

	if (move->reason != NULL)
		json_object_set_new(rec, "reason", json_string(move->reason));
	add_next(rec, move);
	ledger_add(rec, false);
}

void
record_balance(const SbMerchant *m, bool known, int64_t fen)
{
	json_t	   *rec = json_pack("{ss ss}", "e", "balance", "mchid", m->mchid);

	if (known)
		json_object_set_new(rec, "fen", json_integer(fen));
	ledger_add(rec, false);
}

/* ---- reading ---- */

static json_int_t
paid_out(const SbTransfer *t)
{
	return t->paid_times * t->amount;
}

static json_int_t
bounced(const SbTransfer *t)
{
	return t->bounced_times * t->amount;
}

static json_t *
transfer_row(const SbTransfer *t)
{
	return json_pack("{ss ss ss ss ss sI ss ss ss si si sI sI sI si sI sI}",
					 "type", "transfer", "no", t->no, "channel", t->channel->name,
					 "mchid", t->merchant->mchid, "transfer_id", t->id,
					 "amount", (json_int_t) t->amount,
					 "payee", t->to_card ? "card" : "account",
					 "status", transfer_status_name(t->status), "outcome", t->outcome,
					 "paid_times", t->paid_times, "bounced_times", t->bounced_times,
					 "paid_out", paid_out(t), "bounced", bounced(t),
					 "net", paid_out(t) - bounced(t),
					 "calls_since_start", t->calls,
					 "created_ms", (json_int_t) t->created, "changed_ms", (json_int_t) t->changed);
}

json_t *
report_transfers(const char *only_no)
{
	json_t	   *rows = json_array();
	size_t		i;

	for (i = 0; i < model.transfer_count; i++)
		if (only_no == NULL || strcmp(model.transfer_list[i]->no, only_no) == 0)
		{
			json_t	   *row = transfer_row(model.transfer_list[i]);

			json_object_set_new(row, "reason", json_string(model.transfer_list[i]->reason));
			json_array_append_new(rows, row);
		}
	return rows;
}

/* number, amount, status, how often it was paid, and how often it came back */
void
report_transfers_tsv(Buf *out)
{
	size_t		i;

	for (i = 0; i < model.transfer_count; i++)
	{
		const SbTransfer *t = model.transfer_list[i];

		buf_addf(out, "%s\t%lld\t%s\t%d\t%d\n", t->no, (long long) t->amount,
				 transfer_status_name(t->status), t->paid_times, t->bounced_times);
	}
}

json_t *
report_transfer_stats(void)
{
	json_int_t	count[STATUS_COUNT] = {0};
	json_int_t	paid = 0,
				back = 0,
				twice = 0;
	json_t	   *out = json_object();
	size_t		i;

	for (i = 0; i < model.transfer_count; i++)
	{
		const SbTransfer *t = model.transfer_list[i];

		count[t->status]++;
		paid += paid_out(t);
		back += bounced(t);
		twice += t->paid_times > 1 || t->bounced_times > t->paid_times;
	}
	json_object_set_new(out, "count", json_integer((json_int_t) model.transfer_count));
	for (i = 0; i < (size_t) STATUS_COUNT; i++)
		json_object_set_new(out, status_names[i], json_integer(count[i]));
	json_object_set_new(out, "paid_out", json_integer(paid));
	json_object_set_new(out, "bounced", json_integer(back));
	json_object_set_new(out, "net", json_integer(paid - back));
	json_object_set_new(out, "paid_twice", json_integer(twice));
	return out;
}
