/*-------------------------------------------------------------------------
 *
 * wechat_transfer.c
 *	  WeChat Pay v3: transfers to a payee's wallet (4).
 *
 * The payee has to confirm in his app, with the package_info that only the
 * answer of the create call has.  A call that is repeated with the same
 * parameters gets it again; a query does not tell it.
 *
 * sandbox/wechat_transfer.c
 *
 *-------------------------------------------------------------------------
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "transfer.h"
#include "wechat.h"

#define BILLS_PATH		"/v3/fund-app/mch-transfer/transfer-bills"
#define BY_NO			BILLS_PATH "/out-bill-no/"
#define BY_ID			BILLS_PATH "/transfer-bill-no/"
#define CANCEL			"/cancel"
#define DAY_MS			INT64_C(86400000)
#define REPEAT_MS		(3 * DAY_MS)	/* so long a number may be repeated (4.2) */
#define QUERY_MS		(30 * DAY_MS)	/* and so long asked about (4.4) */

/* ---- what is said of a transfer ---- */

/* With milliseconds, as in the documents' samples of transfers (1.2). */
static void
set_time(json_t *o, const char *name, int64_t ms)
{
	char		whole[40],
				text[48];

	format_time(ms, whole);
	snprintf(text, sizeof(text), "%.19s.%03d%s", whole, (int) (ms % 1000), whole + 19);
	json_object_set_new(o, name, json_string(text));
}

/* Opaque, the same for the same transfer, and of no use to anybody else. */
static void
set_package(json_t *o, const SbTransfer *t)
{
	unsigned char digest[32] = {0};
	Buf			text = BUF_INIT,
				b64 = BUF_INIT;

	buf_addf(&text, "package %s %s", t->merchant->mchid, t->id);
	sha256(buf_str(&text), text.len, digest);
	base64_encode(&b64, digest, sizeof(digest));
	json_object_set_new(o, "package_info", json_string(buf_str(&b64)));
	buf_free(&text);
	buf_free(&b64);
}

static json_t *
created_json(const SbTransfer *t)
{
	json_t	   *o = json_pack("{ss ss ss}", "out_bill_no", t->no, "transfer_bill_no", t->id,
							  "state", transfer_status_name(t->status));

	set_time(o, "create_time", t->created);
	if (t->status == TRANSFER_WAITING)
		set_package(o, t);
	if (t->status == TRANSFER_FAIL && t->reason[0])
		json_object_set_new(o, "fail_reason", json_string(t->reason));
	return o;
}

static const char *
remembered(const SbTransfer *t, const char *name)
{
	return json_string_value(json_object_get(t->data, name));
}

/* The name, which came encrypted for us, encrypted for the merchant. */
static void
set_name(json_t *o, const SbTransfer *t)
{
	const WechatKeys *k = wechat_keys(t->merchant);
	const char *secret = remembered(t, "user_name");
	const char *serial = remembered(t, "user_name_key");
	json_t	   *name;

	if (secret == NULL || serial == NULL)
		return;
	name = wechat_encrypt_for_merchant(strcmp(serial, k->pub_key_id) == 0 ? k->pub_key : k->platform_key,
									   t->merchant, secret);
	if (name != NULL)
		json_object_set_new(o, "user_name", name);
}

static json_t *
found_json(const SbTransfer *t)
{
	json_t	   *o = json_pack("{ss ss ss ss ss sI ss ss}", "mch_id", t->merchant->mchid,
							  "out_bill_no", t->no, "transfer_bill_no", t->id,
							  "appid", remembered(t, "appid"),
							  "state", transfer_status_name(t->status),
							  "transfer_amount", (json_int_t) t->amount,
							  "transfer_remark", remembered(t, "remark"),
							  "openid", remembered(t, "openid"));

	if ((t->status == TRANSFER_FAIL || t->status == TRANSFER_CANCELLED) && t->reason[0])
		json_object_set_new(o, "fail_reason", json_string(t->reason));
	set_name(o, t);
	set_time(o, "create_time", t->created);
	set_time(o, "update_time", t->changed);
	return o;
}

/*
 * `foreign`: truly signed, but of another merchant, and of another amount.
 * What it said when it happened is in cb->data.
 */
json_t *
wechat_transfer_told(const SbCallback *cb)
{
	const SbTransfer *t = cb->transfer;
	const char *status = json_string_value(json_object_get(cb->data, "status"));
	const char *reason = json_string_value(json_object_get(cb->data, "reason"));
	bool		foreign = json_is_true(json_object_get(cb->data, "foreign"));
	json_t	   *o = json_pack("{ss ss ss ss sI ss}", "out_bill_no", t->no,
							  "transfer_bill_no", t->id, "state", status ? status : "SUCCESS",
							  "mch_id", foreign ? "1900009999" : t->merchant->mchid,
							  "transfer_amount", (json_int_t) (t->amount + (foreign ? 100 : 0)),
							  "openid", remembered(t, "openid"));

	if (reason != NULL && *reason)
		json_object_set_new(o, "fail_reason", json_string(reason));
	set_time(o, "create_time", t->created);
	set_time(o, "update_time", json_integer_value(json_object_get(cb->data, "at")));
	if (status != NULL && strcmp(status, "SUCCESS") == 0)
		json_object_set_new(o, "payment_method_type", json_string("CFT"));
	return o;
}

/* ---- create ---- */

static SbTransfer *
accept(const SbRequest *req, SbMerchant *m, const TransferCall *call, const SbOutcome *o)
{
	char		id[SB_ID_MAX + 1];
	NewTransfer n = {.no = call->out_bill_no, .id = id, .digest = call->digest,
		.notify_url = call->notify_url, .amount = call->amount};
	const CryptoKey *key;
	const char *serial;

	snprintf(id, sizeof(id), "1330%09llu%027lld",
			 (unsigned long long) (hash_string(m->mchid, 2) % 1000000000),
			 (long long) ledger_sequence() + 1);
	n.data = json_pack("{ss ss ss}", "appid", call->appid, "openid", call->openid,
					   "remark", call->remark);
	if (call->user_name != NULL)
	{
		wechat_response_key(req, m, &key, &serial);
		json_object_set_new(n.data, "user_name", json_string(call->user_name));
		json_object_set_new(n.data, "user_name_key", json_string(serial));
	}
	return transfer_accept(m, &n, o);
}

/*
 * t is NULL when nothing has been accepted.  A row of the table whose fault
 * shows a transfer must have effect_first.
 */
static void
apply_fault(SbRequest *req, SbMerchant *m, SbTransfer *t, const SbOutcome *o)
{
	assert(t != NULL || o->fault == FAULT_ERROR || o->fault == FAULT_HANG ||
		   o->fault == FAULT_RESET || o->fault == FAULT_HOLD);
	if (o->fault == FAULT_GARBAGE)
		merchant_count(m, true);
	if (outcome_fault(req, t != NULL, o))
		return;
	if (o->fault == FAULT_ERROR)
	{
		wechat_error(req, m, o->status, o->code, o->message, NULL);
		return;
	}
	if (o->fault == FAULT_AFTER_CALLBACK)
		transfer_hold_for_callback(t, req);
	wechat_answer(req, m, created_json(t), o->fault == FAULT_BAD_SIGNATURE);
	if (o->fault == FAULT_AFTER_CALLBACK)
		transfer_hurry(t);
}

/* The same transfer, for three days, and as long as it is not final (4.2). */
static void
repeat(SbRequest *req, SbMerchant *m, SbTransfer *t, const TransferCall *call)
{
	t->calls++;
	if (strcmp(t->digest, call->digest) != 0)
		wechat_error(req, m, 400, "INVALID_REQUEST", "商户单号已存在但信息不一致", NULL);
	else if (clock_now() >= t->accepted_at + REPEAT_MS)
		wechat_error(req, m, 400, "INVALID_REQUEST", "对应单号已超出重试期", NULL);
	else if (transfer_is_final(t->status))
		wechat_error(req, m, 400, "ALREADY_EXISTS", "单据已终态，请查询", NULL);
	else
	{
		transfer_asked_again(t);
		wechat_answer(req, m, created_json(t), false);
	}
}

static void
create(SbRequest *req, SbMerchant *m, json_t *body)
{
	TransferCall call;
	WechatWrong wrong;
	char		key[SB_NO_MAX + 16];
	const SbOutcome *o;
	SbTransfer *t;

	if (!wechat_read_transfer_call(req, m, body, &call, &wrong))
	{
		wechat_error(req, m, 400, wrong.code, wrong.why, wrong.field);
		return;
	}
	t = model_transfer(m->mchid, call.out_bill_no);
	if (t != NULL)
	{
		repeat(req, m, t, &call);
		return;
	}
	transfer_key(call.out_bill_no, key);
	o = outcome_choose(wechat_transfer_outcomes, m, key, call.amount);
	if (!req->released && outcome_strikes(m, key, o))
	{
		record_miss(m, key, o->name);
		apply_fault(req, m, NULL, o);
	}
	else if (!transfer_funded(m, call.amount))
		wechat_error(req, m, 403, "NOT_ENOUGH", "运营账户余额不足", NULL);
	else
	{
		t = accept(req, m, &call, o);
		t->calls++;
		if (o->effect_first)
			apply_fault(req, m, t, o);
		else
			wechat_answer(req, m, created_json(t), false);
	}
}

/* ---- query, cancel ---- */

static void
query(SbRequest *req, SbMerchant *m, const SbTransfer *t)
{
	int64_t		now = clock_now();

	if (t == NULL || now < t->visible_at || now >= t->accepted_at + QUERY_MS)
		wechat_error(req, m, 404, "NOT_FOUND", "记录不存在", NULL);
	else
		wechat_answer(req, m, found_json(t), false);
}

static bool
can_be_cancelled(TransferStatus s)
{
	return s == TRANSFER_ACCEPTED || s == TRANSFER_PROCESSING || s == TRANSFER_WAITING;
}

/* 200 says only that it was asked for; a query tells what became of it (4.4). */
static void
cancel(SbRequest *req, SbMerchant *m, SbTransfer *t)
{
	json_t	   *o;

	if (t == NULL || clock_now() < t->visible_at)
	{
		wechat_error(req, m, 404, "NOT_FOUND", "记录不存在", NULL);
		return;
	}
	if (can_be_cancelled(t->status))
		transfer_cancel(t);
	if (t->status != TRANSFER_CANCELING && t->status != TRANSFER_CANCELLED)
	{
		wechat_error(req, m, 400, "INVALID_REQUEST", "当前单据状态不允许撤销", NULL);
		return;
	}
	o = json_pack("{ss ss ss}", "out_bill_no", t->no, "transfer_bill_no", t->id,
				  "state", transfer_status_name(t->status));
	set_time(o, "update_time", t->changed);
	wechat_answer(req, m, o, false);
}

/* ---- routing ---- */

/* What follows `prefix` in the path, without the suffix, decoded, as the number. */
static bool
take_number(SbRequest *req, const char *prefix, const char *suffix)
{
	const char *path = buf_str(&req->path);
	size_t		from = strlen(prefix),
				tail = strlen(suffix),
				len = strlen(path);
	Buf			decoded = BUF_INIT;
	bool		ok;

	if (strncmp(path, prefix, from) != 0 || len <= from + tail ||
		strcmp(path + len - tail, suffix) != 0 ||
		memchr(path + from, '/', len - from - tail) != NULL)
		return false;
	ok = percent_decode(&decoded, path + from, len - from - tail, false);
	if (ok)
		str_copy(req->no, sizeof(req->no), buf_str(&decoded));
	buf_free(&decoded);
	return ok;
}

bool
wechat_transfer_identify(SbRequest *req, json_t *body)
{
	const char *no = json_string_value(json_object_get(body, "out_bill_no"));
	bool		post = strcmp(req->method, "POST") == 0;
	bool		get = strcmp(req->method, "GET") == 0;

	if (post && strcmp(buf_str(&req->path), BILLS_PATH) == 0)
	{
		req->call = "wechat.transfer.create";
		if (no != NULL)
			str_copy(req->no, sizeof(req->no), no);
	}
	else if (post && take_number(req, BY_NO, CANCEL))
		req->call = "wechat.transfer.cancel";
	else if (get && take_number(req, BY_NO, ""))
		req->call = "wechat.transfer.query";
	else if (get && take_number(req, BY_ID, ""))
		req->call = "wechat.transfer.query_id";
	else
		return false;
	return true;
}

bool
wechat_transfer_bare(const SbRequest *req)
{
	return strcmp(req->call, "wechat.transfer.cancel") == 0 && req->body.len == 0;
}

void
wechat_transfer_dispatch(SbRequest *req, SbMerchant *m, json_t *body)
{
	if (strcmp(req->call, "wechat.transfer.create") == 0)
		create(req, m, body);
	else if (strcmp(req->call, "wechat.transfer.query_id") == 0)
		query(req, m, model_transfer_by_id(m->mchid, req->no));
	else if (strcmp(req->call, "wechat.transfer.query") == 0)
		query(req, m, model_transfer(m->mchid, req->no));
	else
		cancel(req, m, model_transfer(m->mchid, req->no));
}
