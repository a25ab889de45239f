/*-------------------------------------------------------------------------
 *
 * alipay.c
 *	  Alipay's gateway v1: refunds, and the questions about them.
 *
 * A refund is one of a trade: the same out_request_no may name refunds of
 * two trades (2.3).  It is paid when it is accepted; there is no state
 * between.
 *
 * sandbox/alipay.c
 *
 *-------------------------------------------------------------------------
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "alipay.h"
#include "books.h"

#define GATEWAY			"/gateway.do"
#define SPACING_MS		3000	/* between two refunds of a trade (2.3) */
#define OTHER_AMOUNT	100		/* what TRICK_OTHER_REFUND takes */
#define REASON_MAX		256
#define TOTAL_MARK		"-T"

static bool
alipay_mine(const SbRequest *req)
{
	return strcmp(buf_str(&req->path), GATEWAY) == 0 || alipay_bill_is_file(req);
}

/* ---- what a call asks for (2.1, 3) ---- */

typedef struct TradeCall
{
	const char *trade_no;		/* or NULL */
	const char *out_trade_no;	/* or NULL */
	const char *no;				/* out_request_no, or what stands for it */
	bool		whole;			/* it had none, so it is for the whole trade */
	const char *reason;			/* or NULL */
	const char *token;			/* app_auth_token, or "" */
	int64_t		amount;
	bool		wants_details;	/* query_options */
	bool		wants_time;
	bool		wants_deposit_back;
	char		key[2 * SB_ID_MAX + 8];
} TradeCall;

static bool
take_options(json_t *biz, TradeCall *call)
{
	json_t	   *options = json_object_get(biz, "query_options");
	json_t	   *item;
	size_t		i;

	if (options != NULL && !json_is_array(options))
		return false;
	json_array_foreach(options, i, item)
	{
		const char *s = json_string_value(item);

		if (s == NULL)
			return false;
		call->wants_details |= strcmp(s, "refund_detail_item_list") == 0;
		call->wants_time |= strcmp(s, "gmt_refund_pay") == 0;
		call->wants_deposit_back |= strcmp(s, "deposit_back_info") == 0;
	}
	return true;
}

/* NULL, or which parameter is wrong. */
static const char *
read_trade_call(const AlipayCall *c, bool is_refund, bool wants_no, TradeCall *call)
{
	const char *token = form_get(&c->form, "app_auth_token");
	const char *trade;

	memset(call, 0, sizeof(*call));
	call->token = token ? token : "";
	if (c->biz == NULL)
		return "biz_content";
	if (!alipay_take_string(c->biz, "trade_no", SB_ID_MAX, &call->trade_no))
		return "trade_no";
	if (!alipay_take_string(c->biz, "out_trade_no", SB_ID_MAX, &call->out_trade_no) ||
		(call->trade_no == NULL && call->out_trade_no == NULL))
		return "out_trade_no";
	if (!alipay_take_string(c->biz, "out_request_no", SB_NO_MAX, &call->no) ||
		(wants_no && call->no == NULL))
		return "out_request_no";
	if (!alipay_take_string(c->biz, "refund_reason", REASON_MAX, &call->reason))
		return "refund_reason";
	if (is_refund && !alipay_take_yuan(c->biz, "refund_amount", &call->amount))
		return "refund_amount";
	if (!take_options(c->biz, call))
		return "query_options";
	if (is_refund && call->no == NULL)
	{
		/* out_trade_no stands for it, and so only the whole can be refunded */
		call->whole = true;
		call->no = call->out_trade_no ? call->out_trade_no : call->trade_no;
	}
	trade = call->trade_no ? call->trade_no : call->out_trade_no;
	snprintf(call->key, sizeof(call->key), "%zu/%s/%s", strlen(trade), trade, call->no ? call->no : "");
	return NULL;
}

static void
fail_parameter(SbRequest *req, const AlipayCall *c, const char *name)
{
	char		message[80];

	snprintf(message, sizeof(message), "参数无效: %s", name);
	alipay_fail(req, c, "40004", "ACQ.INVALID_PARAMETER", message);
}

/* ---- trades ---- */

/*
 * A refund does not tell its trade's total.  An order that is made on first
 * sight has the usual one (--order-total), or what its number says: "...-T"
 * and the total in fen.
 */
static int64_t
total_of(const TradeCall *call)
{
	const char *no = call->out_trade_no ? call->out_trade_no : call->trade_no;
	const char *mark = strstr(no, TOTAL_MARK);
	const char *next;
	int64_t		total;

	while (mark != NULL && (next = strstr(mark + 1, TOTAL_MARK)) != NULL)
		mark = next;
	if (mark != NULL && strlen(mark) > 2 && strlen(mark) < 14 &&
		mark[2 + strspn(mark + 2, "0123456789")] == '\0' && (total = atoll(mark + 2)) > 0)
		return total;
	return sandbox.opt.order_total > call->amount ? sandbox.opt.order_total : call->amount;
}

/* The trade, or NULL; trade_no wins, but both must be of one trade. */
static SbOrder *
known_order(const SbMerchant *m, const TradeCall *call)
{
	if (call->trade_no != NULL)
		return model_order(m, call->trade_no, NULL);
	return model_order(m, NULL, call->out_trade_no);
}

/* Made on first sight, unless that is switched off. */
static SbOrder *
find_order(SbMerchant *m, const TradeCall *call)
{
	SbOrder    *o = known_order(m, call);
	const char *known = call->trade_no ? call->trade_no : call->out_trade_no;
	uint64_t	h = hash_string(known, hash_string(m->mchid, 1));
	char		trade_no[SB_ID_MAX + 1],
				out_trade_no[SB_ID_MAX + 1];

	if (o != NULL || sandbox.opt.strict_orders ||
		(call->out_trade_no != NULL && model_order(m, NULL, call->out_trade_no) != NULL))
		return o;
	if (call->trade_no != NULL)
		str_copy(trade_no, sizeof(trade_no), call->trade_no);
	else
		snprintf(trade_no, sizeof(trade_no), "20261127220014%014llu",
				 (unsigned long long) (h % UINT64_C(100000000000000)));
	if (call->out_trade_no != NULL)
		str_copy(out_trade_no, sizeof(out_trade_no), call->out_trade_no);
	else
		snprintf(out_trade_no, sizeof(out_trade_no), "T%020llu", (unsigned long long) h);
	return record_order(m, trade_no, out_trade_no, total_of(call), total_of(call));
}

/* ---- what is said of a refund (2.2) ---- */

static void
add_details(json_t *node, const SbRefund *r)
{
	char		amount[32];

	alipay_yuan(r->amount, amount);
	json_object_set_new(node, "send_back_fee", json_string(amount));
	json_object_set_new(node, "refund_detail_item_list",
						json_pack("[{ss ss ss}]", "fund_channel", "ALIPAYACCOUNT",
								  "amount", amount, "real_amount", amount));
}

static json_t *
refund_node(const SbRefund *r, bool changed, bool details)
{
	const SbOrder *o = r->order;
	json_t	   *node = json_pack("{ss ss ss ss ss ss ss ss}",
								 "code", "10000", "msg", "Success",
								 "buyer_logon_id", ALIPAY_BUYER_LOGON,
								 "buyer_user_id", ALIPAY_BUYER_ID,
								 "fund_change", changed ? "Y" : "N",
								 "out_trade_no", o->out_trade_no, "trade_no", o->transaction_id,
								 "store_name", "望湘园联洋店/A1");

	alipay_set_yuan(node, "refund_fee", o->taken);		/* of the trade, not of this refund */
	alipay_set_time(node, "gmt_refund_pay", r->settled);
	if (details)
		add_details(node, r);
	return node;
}

/* A refusal, in the shape of the documents' sample. */
static json_t *
refusal_node(const char *code, const char *sub_code, const char *sub_msg, const TradeCall *call)
{
	json_t	   *node = alipay_error_node(code, sub_code, sub_msg);

	if (strcmp(code, "40004") == 0)
	{
		if (call->out_trade_no != NULL)
			json_object_set_new(node, "out_trade_no", json_string(call->out_trade_no));
		json_object_set_new(node, "refund_fee", json_string("0.00"));
		json_object_set_new(node, "send_back_fee", json_string("0.00"));
	}
	return node;
}

/* A success that never was. */
static json_t *
forged_node(const TradeCall *call)
{
	json_t	   *node = json_pack("{ss ss ss}", "code", "10000", "msg", "Success", "fund_change", "Y");

	if (call->out_trade_no != NULL)
		json_object_set_new(node, "out_trade_no", json_string(call->out_trade_no));
	if (call->trade_no != NULL)
		json_object_set_new(node, "trade_no", json_string(call->trade_no));
	alipay_set_yuan(node, "refund_fee", call->amount);
	return node;
}

static void
refuse(SbRequest *req, const AlipayCall *c, const TradeCall *call,
	   const char *sub_code, const char *sub_msg)
{
	alipay_answer(req, c, refusal_node("40004", sub_code, sub_msg, call), ANSWER_GOOD);
}

/* ---- the effect ---- */

static SbRefund *
accept_refund(const AlipayCall *c, SbOrder *order, const TradeCall *call, const SbOutcome *o)
{
	int64_t		delay = clock_real_delay(sandbox.opt.callback_delay_ms);
	char		id[SB_ID_MAX + 1];
	NewRefund	n = {.no = call->no, .refund_id = id, .sub_mchid = call->token, .amount = call->amount};
	SbRefund   *r;

	snprintf(id, sizeof(id), "R%019lld", (long long) ledger_sequence() + 1);
	n.data = json_pack("{sb sb ss}", "by_certificate", c->by_certificate,
					   "deposit_back", call->wants_deposit_back,
					   "reason", call->reason ? call->reason : "");
	r = refund_accept(order, &n, o, true);
	if (o->fault == FAULT_AFTER_CALLBACK)
		delay = 0;
	else if (o->trick == TRICK_LATE_NOTIFICATION)
		delay += 4 * delay + clock_real_delay(500);
	refund_become(r, REFUND_SUCCESS, REFUND_SUCCESS, 0, false, delay);
	if (o->trick == TRICK_DEPOSIT_BACK_FAILS)
		alipay_tell_deposit_back(r, "F", clock_now() + 2 * delay);
	return r;
}

/* Somebody at the merchant's console was there first, with a number of his own. */
static void
other_refund(const AlipayCall *c, SbOrder *order, const TradeCall *call)
{
	TradeCall	other = *call;
	char		no[SB_NO_MAX + 1];

	snprintf(no, sizeof(no), "CONSOLE-%016llx", (unsigned long long) hash_string(call->no, 3));
	if (model_refund_of(order, no) != NULL)
		return;
	other.no = no;
	other.amount = OTHER_AMOUNT;
	accept_refund(c, order, &other, &alipay_outcomes[0]);
}

/* ---- alipay.trade.refund ---- */

static void
answer_refund(SbRequest *req, const AlipayCall *c, const TradeCall *call, SbRefund *r,
			  const SbOutcome *o)
{
	if (o->fault == FAULT_ERROR)
		alipay_answer(req, c, refusal_node(o->code, o->sub_code, o->message, call), alipay_flaw_of(o));
	else
		alipay_answer(req, c, refund_node(r, o->trick != TRICK_NO_CHANGE, call->wants_details),
					  alipay_flaw_of(o));
}

/* A fault before the effect: nothing has been accepted. */
static void
strike(SbRequest *req, const AlipayCall *c, const TradeCall *call, const SbOutcome *o)
{
	assert(o->fault == FAULT_ERROR || o->fault == FAULT_HANG || o->fault == FAULT_RESET ||
		   o->fault == FAULT_HOLD);
	record_miss(c->m, call->key, o->name);
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
		alipay_answer_twice(req, c, refusal_node(o->code, o->sub_code, o->message, call),
							forged_node(call));
	else
		alipay_answer(req, c, refusal_node(o->code, o->sub_code, o->message, call),
					  o->trick == TRICK_UNSIGNED_REFUSAL ? ANSWER_UNSIGNED : ANSWER_GOOD);
}

/* Refused by the trade's state: true, and it has been answered. */
static bool
order_refuses(SbRequest *req, const AlipayCall *c, const SbOrder *order, const TradeCall *call)
{
	if (order == NULL)
		refuse(req, c, call, "ACQ.TRADE_NOT_EXIST", "交易不存在");
	else if (call->amount > order->total || (call->whole && call->amount != order->total))
		refuse(req, c, call, "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "退款金额大于支付金额，或部分退款时未传退款请求号");
	else if (order->taken >= order->total)
		refuse(req, c, call, "ACQ.TRADE_HAS_CLOSE", "交易已经关闭");
	else if (call->amount > order->total - order->taken)
		refuse(req, c, call, "ACQ.REASON_TRADE_REFUND_FEE_ERR", "退款金额无效");
	else if (sandbox.opt.limits && order->parts > 0 &&
			 clock_now() - order->last_refund_at < SPACING_MS)
	{
		c->m->throttled++;
		alipay_fail(req, c, "40005", "isv.app-call-limited", "同一笔交易的退款间隔不得小于3秒");
	}
	else
		return false;
	return true;
}

static void
repeat_refund(SbRequest *req, const AlipayCall *c, const TradeCall *call, SbRefund *r)
{
	r->calls++;
	if (r->amount == call->amount)
		alipay_answer(req, c, refund_node(r, false, call->wants_details), ANSWER_GOOD);
	else
		refuse(req, c, call, "ACQ.DISCORDANT_REPEAT_REQUEST", "同一笔退款请求号的退款金额不一致");
}

static void
refund(SbRequest *req, const AlipayCall *c)
{
	TradeCall	call;
	const char *wrong = read_trade_call(c, true, false, &call);
	const SbOutcome *o;
	SbOrder    *order;
	SbRefund   *r;

	if (wrong != NULL)
	{
		fail_parameter(req, c, wrong);
		return;
	}
	str_copy(req->no, sizeof(req->no), call.no);
	order = known_order(c->m, &call);
	r = order ? model_refund_of(order, call.no) : NULL;
	if (r != NULL)
	{
		repeat_refund(req, c, &call, r);
		return;
	}
	o = outcome_choose(alipay_outcomes, c->m, call.key, call.amount);
	if (!req->released && outcome_strikes(c->m, call.key, o))
	{
		strike(req, c, &call, o);
		return;
	}
	order = find_order(c->m, &call);
	if (order_refuses(req, c, order, &call))
		return;
	if (o->trick == TRICK_OTHER_REFUND && order->total - order->taken >= call.amount + OTHER_AMOUNT)
		other_refund(c, order, &call);
	r = accept_refund(c, order, &call, o);
	r->calls++;
	if (o->fault == FAULT_GARBAGE)
		merchant_count(c->m, true);
	if (o->effect_first && outcome_fault(req, true, o))
		return;
	if (o->fault == FAULT_AFTER_CALLBACK)
		refund_hold_for_callback(r, req);
	answer_refund(req, c, &call, r, o->effect_first ? o : o->fault ? &alipay_outcomes[0] : o);
}

/* ---- alipay.trade.fastpay.refund.query (3) ---- */

static json_t *
deposit_back_info(const SbRefund *r)
{
	const SbOutcome *o = outcome_named(&alipay_channel, r->outcome);
	bool		fails = o->trick == TRICK_DEPOSIT_BACK_FAILS;
	json_t	   *info = json_pack("{ss ss}", "has_deposit_back", fails ? "true" : "false",
								 "dback_status", fails ? "F" : "S");

	alipay_set_yuan(info, "dback_amount", r->amount);
	alipay_set_time(info, "bank_ack_time", r->settled);
	return info;
}

static json_t *
query_node(const SbRefund *r, const TradeCall *call)
{
	json_t	   *node = json_pack("{ss ss ss ss ss ss}", "code", "10000", "msg", "Success",
								 "out_request_no", r->no,
								 "out_trade_no", r->order->out_trade_no,
								 "trade_no", r->order->transaction_id,
								 "refund_status", "REFUND_SUCCESS");
	const char *reason = json_string_value(json_object_get(r->data, "reason"));

	if (reason != NULL && *reason)
		json_object_set_new(node, "refund_reason", json_string(reason));
	alipay_set_yuan(node, "total_amount", r->order->total);
	alipay_set_yuan(node, "refund_amount", r->amount); /* of this refund */
	if (call->wants_time)
		alipay_set_time(node, "gmt_refund_pay", r->settled);
	if (call->wants_details)
		add_details(node, r);
	if (call->wants_deposit_back)
		json_object_set_new(node, "deposit_back_info", deposit_back_info(r));
	return node;
}

/*
 * 10000 says only that the question was understood.  Without refund_status
 * the refund may have failed, may never have come, or may be on its way.
 */
static void
query_refund(SbRequest *req, const AlipayCall *c)
{
	TradeCall	call;
	const char *wrong = read_trade_call(c, false, true, &call);
	SbOrder    *order;
	SbRefund   *r;

	if (wrong != NULL)
	{
		fail_parameter(req, c, wrong);
		return;
	}
	order = known_order(c->m, &call);
	r = order ? model_refund_of(order, call.no) : NULL;
	if (r != NULL && strcmp(r->sub_mchid, call.token) != 0)
		order = NULL, r = NULL;
	if (order == NULL && sandbox.opt.strict_orders)
		alipay_fail(req, c, "40004", "ACQ.TRADE_NOT_EXIST", "交易不存在");
	else if (r == NULL)
		alipay_answer(req, c, alipay_error_node("10000", NULL, NULL), ANSWER_GOOD);
	else if (clock_now() < r->visible_at)
		alipay_answer(req, c, json_pack("{ss ss ss ss ss}", "code", "10000", "msg", "Success",
										"out_request_no", r->no,
										"out_trade_no", order->out_trade_no,
										"trade_no", order->transaction_id), ANSWER_GOOD);
	else
		alipay_answer(req, c, query_node(r, &call), ANSWER_GOOD);
}

/* ---- alipay.trade.query, and a certificate by its number (1.6) ---- */

static void
query_trade(SbRequest *req, const AlipayCall *c)
{
	TradeCall	call;
	const char *wrong = read_trade_call(c, false, false, &call);
	SbOrder    *order = wrong ? NULL : known_order(c->m, &call);
	json_t	   *node;

	if (wrong != NULL)
		fail_parameter(req, c, wrong);
	else if (order == NULL)
		alipay_fail(req, c, "40004", "ACQ.TRADE_NOT_EXIST", "交易不存在");
	else
	{
		node = json_pack("{ss ss ss ss ss ss ss}", "code", "10000", "msg", "Success",
						 "trade_no", order->transaction_id, "out_trade_no", order->out_trade_no,
						 "buyer_logon_id", ALIPAY_BUYER_LOGON, "buyer_user_id", ALIPAY_BUYER_ID,
						 "trade_status", order->taken >= order->total ? "TRADE_CLOSED" : "TRADE_SUCCESS");
		alipay_set_yuan(node, "total_amount", order->total);
		alipay_set_time(node, "send_pay_date", order->created);
		alipay_answer(req, c, node, ANSWER_GOOD);
	}
}

static void
download_certificate(SbRequest *req, const AlipayCall *c)
{
	const AlipayKeys *k = alipay_keys(c->m);
	const char *sn = json_string_value(json_object_get(c->biz, "alipay_cert_sn"));
	Buf			b64 = BUF_INIT;
	int			i;

	for (i = 0; sn != NULL && i < 2; i++)
		if (strcmp(sn, k->own_sn[i]) == 0)
			break;
	if (sn == NULL || i == 2)
	{
		alipay_fail(req, c, "40004", "CERT_NOT_EXIST", "证书不存在");
		return;
	}
	base64_encode(&b64, k->own_pem[i].data, k->own_pem[i].len);
	alipay_answer(req, c, json_pack("{ss ss ss}", "code", "10000", "msg", "Success",
									"alipay_cert_content", buf_str(&b64)), ANSWER_GOOD);
	buf_free(&b64);
}

/* ---- routing ---- */

static void
alipay_handle(SbRequest *req)
{
	AlipayCall	c;

	if (alipay_bill_is_file(req))
	{
		alipay_bill_download(req);
		return;
	}
	alipay_read_call(req, &c);
	log_wire(req);
	if (strcmp(req->method, "POST") != 0 && strcmp(req->method, "GET") != 0)
		request_answer(req, 405, NULL);
	else if (req->released ? c.m != NULL : alipay_authenticate(req, &c))
	{
		if (strcmp(c.method, "alipay.trade.refund") == 0)
			refund(req, &c);
		else if (strcmp(c.method, "alipay.trade.fastpay.refund.query") == 0)
			query_refund(req, &c);
		else if (strcmp(c.method, "alipay.trade.query") == 0)
			query_trade(req, &c);
		else if (strncmp(c.method, "alipay.fund.trans.", 18) == 0)
			alipay_transfer_handle(req, &c);
		else if (strncmp(c.method, "alipay.data.", 12) == 0)
			alipay_bill_query(req, &c);
		else
			download_certificate(req, &c);
	}
	alipay_call_free(&c);
}

/* ---- which key signs ---- */

static const char *
alipay_merchant_switch(SbMerchant *m, const char *what)
{
	if (strcmp(what, "key-1") != 0 && strcmp(what, "key-2") != 0)
		return "it must be key-1 or key-2";
	ledger_add(json_pack("{ss ss ss si}", "e", "alipay_key", "channel", "alipay",
						 "mchid", m->mchid, "key", what[4] - '0'), false);
	return NULL;
}

static void
alipay_apply(const json_t *record, int64_t sequence)
{
	const char *mchid = json_string_value(json_object_get(record, "mchid"));
	SbMerchant *m = mchid ? model_merchant_of(&alipay_channel, mchid) : NULL;
	json_int_t	key = json_integer_value(json_object_get(record, "key"));

	(void) sequence;
	if (m == NULL || (key != 1 && key != 2))
		return;
	alipay_keys(m)->active = (int) key - 1;
	callbacks_sign_again(m);
}

const SbChannel alipay_channel = {
	.name = "alipay",
	.mine = alipay_mine,
	.handle = alipay_handle,
	.outcomes = alipay_outcomes,
	.number_per_order = true,
	.transfer_outcomes = alipay_transfer_outcomes,
	.transfer_fail_reason = "PAYEE_CARD_INFO_ERROR",
	.default_merchant = "2021000000000001",
	.merchant_ok = alipay_app_id_ok,
	.make_merchant = alipay_make_app,
	.load_merchant = alipay_load_app,
	.write_configs = alipay_write_configs,
	.callback_data = alipay_callback_data,
	.build_callback = alipay_build_callback,
	.acknowledged = alipay_acknowledged,
	.retry_after = alipay_retry_after,
	.tell_refund = alipay_tell_refund,
	.tell_payment = alipay_tell_payment,
	.merchant_switch = alipay_merchant_switch,
	.bill_text = alipay_bill_text,
	.apply = alipay_apply
};
