/*-------------------------------------------------------------------------
 *
 * alipay_transfer.c
 *	  Alipay's gateway v1: transfers to accounts and to bank cards (4).
 *
 * Only in certificate mode.  A number is the app's, for both kinds: the same
 * number with the same parameters is the same transfer, with others it is
 * PAYMENT_INFO_INCONSISTENCY.
 *
 * sandbox/alipay_transfer.c
 *
 *-------------------------------------------------------------------------
 */
#include <assert.h>
#include <string.h>

#include "alipay.h"
#include "transfer.h"

#define METHOD			"alipay.fund.trans.uni.transfer"
#define PRODUCT(t)		((t)->to_card ? "TRANS_BANKCARD_NO_PWD" : "TRANS_ACCOUNT_NO_PWD")
#define SCENE			"DIRECT_TRANSFER"

/* ---- what is said of a transfer ---- */

/* Alipay's words (4.2); DEALING is the only one of its own. */
static const char *
status_word(TransferStatus s)
{
	return s == TRANSFER_PROCESSING ? "DEALING" : transfer_status_name(s);
}

/* The order of the money, beside that of the transfer. */
static void
set_fund_order(json_t *node, const SbTransfer *t)
{
	char		id[SB_ID_MAX + 8];

	snprintf(id, sizeof(id), "%.8s02%s", t->id, t->id + 10);
	json_object_set_new(node, "pay_fund_order_id", json_string(id));
}

static const char *
words_for(const char *code)
{
	if (strcmp(code, "PAYEE_CARD_INFO_ERROR") == 0)
		return "收款卡信息或姓名有误";
	return "收款账户不可用";
}

static void
set_reason(json_t *node, const SbTransfer *t, const char *code, const char *text)
{
	if (t->reason[0] == '\0')
		return;
	json_object_set_new(node, code, json_string(t->reason));
	json_object_set_new(node, text, json_string(words_for(t->reason)));
}

/* There is a slash in it, for those outcomes that escape one. */
static json_t *
created_node(const SbTransfer *t)
{
	json_t	   *node = json_pack("{ss ss ss ss ss}", "code", "10000", "msg", "Success",
								 "out_biz_no", t->no, "order_id", t->id,
								 "status", status_word(t->status));
	Buf			settle = BUF_INIT;

	buf_addf(&settle, "%.8s/%s", t->id, t->id + 8);
	json_object_set_new(node, "settle_serial_no", json_string(buf_str(&settle)));
	buf_free(&settle);
	set_fund_order(node, t);
	alipay_set_time(node, "trans_date", t->paid_at ? t->paid_at : t->created);
	if (t->status == TRANSFER_FAIL)
		json_object_set_new(node, "sub_status", json_string(t->reason));
	return node;
}

static json_t *
found_node(const SbTransfer *t)
{
	json_t	   *node = json_pack("{ss ss ss ss ss}", "code", "10000", "msg", "Success",
								 "out_biz_no", t->no, "order_id", t->id,
								 "status", status_word(t->status));

	alipay_set_yuan(node, "trans_amount", t->amount);
	alipay_set_yuan(node, "order_fee", 0);
	set_fund_order(node, t);
	if (t->paid_at)
		alipay_set_time(node, "pay_date", t->paid_at);
	if (t->to_card)
		alipay_set_time(node, "arrival_time_end", t->created + INT64_C(7200000));
	else
		json_object_set_new(node, "receiver_user_id", json_string(ALIPAY_BUYER_ID));
	set_reason(node, t, "error_code", "fail_reason");
	return node;
}

/*
 * The content of alipay.fund.trans.order.changed (4.4): what was true when it
 * happened, which is in cb->data.  `foreign`: truly signed, of another amount.
 */
json_t *
alipay_transfer_told(const SbCallback *cb)
{
	const SbTransfer *t = cb->transfer;
	const char *name = json_string_value(json_object_get(cb->data, "status"));
	const char *reason = json_string_value(json_object_get(cb->data, "reason"));
	int64_t		at = json_integer_value(json_object_get(cb->data, "at"));
	bool		foreign = json_is_true(json_object_get(cb->data, "foreign"));
	TransferStatus status = TRANSFER_SUCCESS;
	json_t	   *biz;

	transfer_status_parse(name, &status);
	biz = json_pack("{ss ss ss ss ss ss ss}", "out_biz_no", t->no, "product_code", PRODUCT(t),
					"biz_scene", SCENE, "origin_interface", METHOD, "order_id", t->id,
					"status", status_word(status),
					"action_type", transfer_is_final(status) ? "FINISH" : "CREATE");
	alipay_set_yuan(biz, "trans_amount", t->amount + (foreign ? 100 : 0));
	if (t->paid_at)
	{
		set_fund_order(biz, t);
		alipay_set_time(biz, "pay_date", t->paid_at);
	}
	if (status == TRANSFER_REFUND)
		alipay_set_time(biz, "refund_date", at);
	if (reason != NULL && *reason)
	{
		json_object_set_new(biz, "sub_order_status", json_string(status_word(status)));
		json_object_set_new(biz, "sub_order_error_code", json_string(reason));
		json_object_set_new(biz, "sub_order_fail_reason", json_string(words_for(reason)));
	}
	return biz;
}

/* A success that never was. */
static json_t *
forged_node(const UniTransfer *call)
{
	return json_pack("{ss ss ss ss ss}", "code", "10000", "msg", "Success",
					 "out_biz_no", call->no, "order_id", "20261127110070000099990000000001",
					 "status", "SUCCESS");
}

static json_t *
refusal_node(const SbOutcome *o)
{
	return alipay_error_node(o->code, o->sub_code, o->message);
}

/* ---- alipay.fund.trans.uni.transfer ---- */

static SbTransfer *
accept(const AlipayCall *c, const UniTransfer *call, const SbOutcome *o)
{
	char		id[SB_ID_MAX + 1];
	char		day[40];
	NewTransfer n = {.no = call->no, .id = id, .digest = call->digest,
		.notify_url = form_get(&c->form, "notify_url"),
		.amount = call->amount, .to_card = call->to_card};

	alipay_time(business_ms(), day);
	snprintf(id, sizeof(id), "%.4s%.2s%.2s110070%018lld", day, day + 5, day + 8,
			 (long long) ledger_sequence() + 1);
	return transfer_accept(c->m, &n, o);
}

/* A fault before the effect: nothing has been accepted. */
static void
strike(SbRequest *req, const AlipayCall *c, const UniTransfer *call, const SbOutcome *o,
	   const char *key)
{
	assert(o->fault == FAULT_ERROR || o->fault == FAULT_HANG || o->fault == FAULT_RESET ||
		   o->fault == FAULT_HOLD);
	record_miss(c->m, key, o->name);
	if (outcome_fault(req, false, o))
		return;
	if (o->status != 0)
	{
		merchant_count(c->m, false);
		buf_adds(&req->answer, "<html><body>503 Service Temporarily Unavailable</body></html>");
		request_answer(req, o->status, "text/html");
	}
	else if (o->trick == TRICK_UNSIGNED_SUCCESS)
		alipay_answer(req, c, forged_node(call), ANSWER_UNSIGNED);
	else if (o->trick == TRICK_DUPLICATE_NODE)
		alipay_answer_twice(req, c, refusal_node(o), forged_node(call));
	else
		alipay_answer(req, c, refusal_node(o),
					  o->trick == TRICK_UNSIGNED_REFUSAL ? ANSWER_UNSIGNED : ANSWER_GOOD);
}

/* It has been accepted, and now the caller gets to see of it what he shall. */
static void
answer_accepted(SbRequest *req, const AlipayCall *c, SbTransfer *t, const SbOutcome *o)
{
	const SbOutcome *shown = o->effect_first || o->fault == FAULT_NONE ? o :
		&alipay_transfer_outcomes[0];

	if (shown->fault == FAULT_GARBAGE)
		merchant_count(c->m, true);
	if (outcome_fault(req, true, shown))
		return;
	if (shown->fault == FAULT_AFTER_CALLBACK)
		transfer_hold_for_callback(t, req);
	alipay_answer(req, c, shown->fault == FAULT_ERROR ? refusal_node(shown) : created_node(t),
				  alipay_flaw_of(shown));
	if (shown->fault == FAULT_AFTER_CALLBACK)
		transfer_hurry(t);
}

static void
repeat(SbRequest *req, const AlipayCall *c, const UniTransfer *call, SbTransfer *t)
{
	t->calls++;
	if (strcmp(t->digest, call->digest) != 0)
		alipay_fail(req, c, "40004", "PAYMENT_INFO_INCONSISTENCY", "两次请求商户单号一样，但是参数不一致");
	else
		alipay_answer(req, c, created_node(t), ANSWER_GOOD);
}

static bool
notify_url_ok(const char *url)
{
	return url == NULL ||
		(strlen(url) <= 256 &&
		 (strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0));
}

static void
transfer(SbRequest *req, const AlipayCall *c)
{
	UniTransfer call;
	const char *field;
	const char *wrong = alipay_read_transfer(c->biz, &call, &field);
	char		key[SB_NO_MAX + 16];
	const SbOutcome *o;
	SbTransfer *t;

	if (wrong != NULL)
	{
		char		message[96];

		snprintf(message, sizeof(message), "参数有误: %s", field);
		alipay_fail(req, c, "40004", wrong, message);
		return;
	}
	if (!notify_url_ok(form_get(&c->form, "notify_url")))
	{
		alipay_fail(req, c, "40004", "INVALID_PARAMETER", "参数有误: notify_url");
		return;
	}
	t = model_transfer(c->m->mchid, call.no);
	if (t != NULL)
	{
		repeat(req, c, &call, t);
		return;
	}
	transfer_key(call.no, key);
	o = outcome_choose(alipay_transfer_outcomes, c->m, key, call.amount);
	if (!req->released && outcome_strikes(c->m, key, o))
		strike(req, c, &call, o, key);
	else if (!transfer_funded(c->m, call.amount))
		alipay_fail(req, c, "40004", "PAYER_BALANCE_NOT_ENOUGH", "付款方余额不足");
	else
	{
		t = accept(c, &call, o);
		t->calls++;
		answer_accepted(req, c, t, o);
	}
}

/* ---- alipay.fund.trans.common.query ---- */

/* By pay_fund_order_id, else by order_id, else by out_biz_no and what it was for (4.2). */
static bool
find(const AlipayCall *c, SbTransfer **t)
{
	const char *fund,
			   *order,
			   *no,
			   *product,
			   *scene;
	char		id[SB_ID_MAX + 1];

	if (c->biz == NULL || !alipay_take_string(c->biz, "pay_fund_order_id", 64, &fund) ||
		!alipay_take_string(c->biz, "order_id", 64, &order) ||
		!alipay_take_string(c->biz, "out_biz_no", SB_NO_MAX, &no) ||
		!alipay_take_string(c->biz, "product_code", 64, &product) ||
		!alipay_take_string(c->biz, "biz_scene", 64, &scene))
		return false;
	*t = NULL;
	if (fund != NULL && strlen(fund) > 10)
	{
		snprintf(id, sizeof(id), "%.8s11%.*s", fund, SB_ID_MAX - 10, fund + 10);
		*t = fund[8] == '0' && fund[9] == '2' ? model_transfer_by_id(c->m->mchid, id) : NULL;
	}
	else if (order != NULL)
		*t = model_transfer_by_id(c->m->mchid, order);
	else if (no == NULL || product == NULL || scene == NULL)
		return fund != NULL;
	else
	{
		*t = model_transfer(c->m->mchid, no);
		if (*t != NULL && (strcmp(product, PRODUCT(*t)) != 0 || strcmp(scene, SCENE) != 0))
			*t = NULL;
	}
	return true;
}

static void
query(SbRequest *req, const AlipayCall *c)
{
	SbTransfer *t;

	if (!find(c, &t))
		alipay_fail(req, c, "40004", "INVALID_PARAMETER", "参数有误");
	else if (t == NULL || clock_now() < t->visible_at)
		alipay_fail(req, c, "40004", "ORDER_NOT_EXIST", "转账订单不存在");
	else
		alipay_answer(req, c, found_node(t), ANSWER_GOOD);
}

void
alipay_transfer_handle(SbRequest *req, const AlipayCall *c)
{
	/* Money that goes out wants certificates (1.6). */
	if (!c->by_certificate)
		alipay_fail(req, c, "40001", "isv.missing-app-cert-sn", "缺少应用公钥证书序列号");
	else if (strcmp(c->method, METHOD) == 0)
		transfer(req, c);
	else
		query(req, c);
}
