/*-------------------------------------------------------------------------
 *
 * wechat.c
 *	  WeChat Pay v3: refunds and their queries, and which call is which.
 *
 * What is true of a refund is decided in accept_refund() and settle(); what
 * the caller gets to see of it is decided by the outcome (wechat_outcomes.c).
 *
 * sandbox/wechat.c
 *
 *-------------------------------------------------------------------------
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "books.h"
#include "wechat.h"

#define REFUNDS_PATH	"/v3/refund/domestic/refunds"
#define ABNORMAL_SUFFIX "/apply-abnormal-refund"
#define MAX_PARTS		50

static bool
wechat_mine(const SbRequest *req)
{
	return strncmp(buf_str(&req->path), "/v3/", 4) == 0;
}

/* ---- what the API says of a refund (2.1) ---- */

int64_t
wechat_payer_part(const SbRefund *r)
{
	return r->amount * r->order->payer_total / r->order->total;
}

const char *
wechat_received_account(const SbRefund *r)
{
	return r->to_merchant ? "商户基本账户" : "支付用户零钱";
}

static json_t *
refund_json(const SbRefund *r)
{
	const SbOrder *o = r->order;
	char		created[40],
				settled[40];
	json_t	   *body;

	format_time(r->created, created);
	format_time(r->settled, settled);
	body = json_pack("{ss ss ss ss ss ss ss ss ss s{sI sI sI sI sI sI sI ss s[]}}",
					 "refund_id", r->refund_id, "out_refund_no", r->no,
					 "transaction_id", o->transaction_id, "out_trade_no", o->out_trade_no,
					 "channel", "ORIGINAL", "user_received_account", wechat_received_account(r),
					 "create_time", created, "status", refund_status_name(r->status),
					 "funds_account", "AVAILABLE",
					 "amount",
					 "total", (json_int_t) o->total, "refund", (json_int_t) r->amount,
					 "payer_total", (json_int_t) o->payer_total,
					 "payer_refund", (json_int_t) wechat_payer_part(r),
					 "settlement_refund", (json_int_t) wechat_payer_part(r),
					 "settlement_total", (json_int_t) o->payer_total,
					 "discount_refund", (json_int_t) (r->amount - wechat_payer_part(r)),
					 "currency", "CNY", "from");
	if (r->status == REFUND_SUCCESS)
		json_object_set_new(body, "success_time", json_string(settled));
	return body;
}

/* ---- the effect ---- */

/* The order's own ids, where the caller named only one of the two. */
static void
make_ids(const SbMerchant *m, const RefundCall *call, char transaction_id[SB_ID_MAX + 1],
		 char out_trade_no[SB_ID_MAX + 1])
{
	const char *known = call->transaction_id ? call->transaction_id : call->out_trade_no;
	uint64_t	h = hash_string(known, hash_string(m->mchid, 1));

	if (call->transaction_id)
		str_copy(transaction_id, SB_ID_MAX + 1, known);
	else
		snprintf(transaction_id, SB_ID_MAX + 1, "42000%023llu", (unsigned long long) h);
	if (call->out_trade_no)
		str_copy(out_trade_no, SB_ID_MAX + 1, known);
	else
		snprintf(out_trade_no, SB_ID_MAX + 1, "T%020llu", (unsigned long long) h);
}

/* The order, made on first sight unless that is switched off. */
static SbOrder *
find_order(SbMerchant *m, const RefundCall *call)
{
	SbOrder    *o = model_order(m, call->transaction_id, call->out_trade_no);
	char		transaction_id[SB_ID_MAX + 1],
				out_trade_no[SB_ID_MAX + 1];

	if (o != NULL || sandbox.opt.strict_orders)
		return o;
	make_ids(m, call, transaction_id, out_trade_no);
	return record_order(m, transaction_id, out_trade_no, call->total, call->total);
}

static const char *
wechat_refund_settle(SbRefund *r, RefundStatus status)
{
	if (r->status == REFUND_SUCCESS || r->status == REFUND_CLOSED)
		return "the refund is final already";
	if (status == REFUND_PROCESSING || status == r->status)
		return "the refund cannot become that";
	refund_become(r, status, status, 0, false, 0);
	return NULL;
}

static SbRefund *
accept_refund(SbMerchant *m, SbOrder *order, const RefundCall *call, const SbOutcome *o)
{
	bool		now = o->at_once || o->fault == FAULT_AFTER_CALLBACK;
	char		refund_id[SB_ID_MAX + 1];
	NewRefund	n = {.no = call->out_refund_no, .refund_id = refund_id,
		.sub_mchid = call->sub_mchid, .digest = call->digest,
		.notify_url = call->notify_url, .amount = call->refund};
	SbRefund   *r;

	snprintf(refund_id, sizeof(refund_id), "50000%09llu%015lld",
			 (unsigned long long) (hash_string(m->mchid, 2) % 1000000000),
			 (long long) ledger_sequence() + 1);
	r = refund_accept(order, &n, o, now);
	if (o->at_once)
		refund_become(r, o->first, o->first, 0, false, 0);
	return r;
}

/* ---- create ---- */

/*
 * r is NULL when nothing has been accepted.  A row of the table whose fault
 * shows a refund must have effect_first.
 */
static void
apply_fault(SbRequest *req, SbMerchant *m, SbRefund *r, const SbOutcome *o)
{
	assert(r != NULL || o->fault == FAULT_ERROR || o->fault == FAULT_HANG ||
		   o->fault == FAULT_RESET || o->fault == FAULT_HOLD);
	if (o->fault == FAULT_GARBAGE)
		merchant_count(m, true);
	if (outcome_fault(req, r != NULL, o))
		return;
	if (o->fault == FAULT_ERROR)
	{
		wechat_error(req, m, o->status, o->code, o->message, NULL);
		return;
	}
	if (o->fault == FAULT_AFTER_CALLBACK)
		refund_hold_for_callback(r, req);
	wechat_answer(req, m, refund_json(r), o->fault == FAULT_BAD_SIGNATURE);
	if (o->fault == FAULT_AFTER_CALLBACK)
		refund_become(r, o->first, o->first, 0, false, 0);
}

/* Why the order does not allow it; NULL if it does. */
static const char *
order_refuses(const SbOrder *o, const RefundCall *call)
{
	if (o->total != call->total)
		return "您的请求参数与订单信息不一致";
	if (call->refund > o->total - o->taken)
		return "申请退款金额超过订单可退金额";
	if (o->parts >= MAX_PARTS)
		return "部分退款次数超限";
	return NULL;
}

static void
repeat_refund(SbRequest *req, SbMerchant *m, SbRefund *r, const RefundCall *call)
{
	r->calls++;
	if (strcmp(r->digest, call->digest) == 0)
		wechat_answer(req, m, refund_json(r), false);
	else
		wechat_error(req, m, 400, "INVALID_REQUEST", "订单号重复，请求参数与原退款单不一致", NULL);
}

static void
create_refund(SbRequest *req, SbMerchant *m, json_t *body)
{
	RefundCall	call;
	const char *field,
			   *why;
	const SbOutcome *o;
	SbOrder    *order;
	SbRefund   *r;

	if (!wechat_read_refund_call(body, &call, &field, &why))
	{
		wechat_error(req, m, 400, "PARAM_ERROR", why, field);
		return;
	}
	r = model_refund(m->mchid, call.out_refund_no);
	if (r != NULL)
	{
		repeat_refund(req, m, r, &call);
		return;
	}
	if (call.refund > call.total)
	{
		wechat_error(req, m, 400, "PARAM_ERROR", "退款金额大于订单金额", "amount/refund");
		return;
	}
	o = outcome_choose(wechat_outcomes, m, call.out_refund_no, call.refund);
	if (!req->released && outcome_strikes(m, call.out_refund_no, o))
	{
		record_miss(m, call.out_refund_no, o->name);
		apply_fault(req, m, NULL, o);
		return;
	}
	order = find_order(m, &call);
	why = order ? order_refuses(order, &call) : NULL;
	if (order == NULL)
		wechat_error(req, m, 404, "RESOURCE_NOT_EXISTS", "订单不存在", NULL);
	else if (why != NULL)
		wechat_error(req, m, 400, "INVALID_REQUEST", why, NULL);
	else
	{
		r = accept_refund(m, order, &call, o);
		r->calls++;
		if (o->effect_first)
			apply_fault(req, m, r, o);
		else
			wechat_answer(req, m, refund_json(r), false);
	}
}

/* ---- query, abnormal refund, echo, certificates ---- */

static void
query_refund(SbRequest *req, SbMerchant *m)
{
	SbRefund   *r = req->no[0] ? model_refund(m->mchid, req->no) : NULL;
	Buf			sub = BUF_INIT;

	request_query_value(req, "sub_mchid", &sub);
	if (r == NULL || clock_now() < r->visible_at || strcmp(buf_str(&sub), r->sub_mchid) != 0)
		wechat_error(req, m, 404, "RESOURCE_NOT_EXISTS", "退款单不存在", NULL);
	else
		wechat_answer(req, m, refund_json(r), false);
	buf_free(&sub);
}

/* It must have been encrypted, with the key that Wechatpay-Serial names (1.8). */
static bool
decrypts(SbRequest *req, SbMerchant *m, const char *secret, Buf *plain)
{
	const CryptoKey *key;
	const char *serial;
	Buf			cipher = BUF_INIT;
	bool		good;

	good = http_header_get(&req->headers, "Wechatpay-Serial") != NULL && secret != NULL &&
		wechat_response_key(req, m, &key, &serial) &&
		base64_decode(&cipher, secret, strlen(secret)) &&
		rsa_oaep_decrypt(key, cipher.data, cipher.len, plain) && plain->len > 0;
	buf_free(&cipher);
	return good;
}

/* Debit cards of some banks only, number and name encrypted; the field that is wrong, or NULL. */
static const char *
card_wrong(SbRequest *req, SbMerchant *m, json_t *body)
{
	static const char *const banks =
		" CMB COMM ABC CCB ICBC BOC PAB SPDB CITIC CEB CMBC CIB GDB PSBC NBCB ";
	const char *bank = json_string_value(json_object_get(body, "bank_type"));
	size_t		len = bank ? strlen(bank) : 0;
	char		name[24];
	Buf			card = BUF_INIT;
	Buf			owner = BUF_INIT;
	const char *wrong = NULL;

	if (len <= 6 || len > 16 || strcmp(bank + len - 6, "_DEBIT") != 0)
		return "bank_type";
	snprintf(name, sizeof(name), " %.*s ", (int) len - 6, bank);
	if (strstr(banks, name) == NULL)
		return "bank_type";
	if (!decrypts(req, m, json_string_value(json_object_get(body, "bank_account")), &card) ||
		strspn(buf_str(&card), "0123456789") != card.len)
		wrong = "bank_account";
	else if (!decrypts(req, m, json_string_value(json_object_get(body, "real_name")), &owner))
		wrong = "real_name";
	buf_wipe(&card);
	buf_wipe(&owner);
	return wrong;
}

/* To another card, or to the merchant: an abnormal refund goes on (2.6). */
static void
abnormal_refund(SbRequest *req, SbMerchant *m, const char *refund_id, json_t *body)
{
	const char *no = json_string_value(json_object_get(body, "out_refund_no"));
	const char *type = json_string_value(json_object_get(body, "type"));
	SbRefund   *r = model_refund_by_id(m->mchid, refund_id);
	bool		to_merchant;

	if (no == NULL || type == NULL)
	{
		wechat_error(req, m, 400, "PARAM_ERROR", "缺少必填参数", no ? "type" : "out_refund_no");
		return;
	}
	to_merchant = strcmp(type, "MERCHANT_BANK_CARD") == 0;
	if (!to_merchant && strcmp(type, "USER_BANK_CARD") != 0)
		wechat_error(req, m, 400, "PARAM_ERROR", "异常退款处理方式不正确", "type");
	else if (!to_merchant && card_wrong(req, m, body) != NULL)
		wechat_error(req, m, 400, "PARAM_ERROR", "请确认待处理的消息是否为加密后的密文", card_wrong(req, m, body));
	else if (r == NULL)
		wechat_error(req, m, 404, "RESOURCE_NOT_EXISTS", "退款单不存在", NULL);
	else if (strcmp(r->no, no) != 0 || r->status != REFUND_ABNORMAL)
		wechat_error(req, m, 400, "INVALID_REQUEST", "退款单状态不允许此操作", NULL);
	else
	{
		refund_become(r, REFUND_SUCCESS, REFUND_SUCCESS, 0, to_merchant, 0);
		wechat_answer(req, m, refund_json(r), false);
	}
}

static void
tell_echo(SbMerchant *m, const char *url, const char *message)
{
	char		event_id[33];

	random_nonce(event_id);
	record_event(m, NULL, "echo", url, event_id, clock_now(), json_pack("{ss}", "message", message));
}

static void
echo(SbRequest *req, SbMerchant *m, json_t *body)
{
	const char *message = json_string_value(json_object_get(body, "echo_message"));
	const char *secret = json_string_value(json_object_get(body, "encrypted_echo_message"));
	const char *url = json_string_value(json_object_get(body, "notify_url"));
	json_t	   *answer;
	const CryptoKey *key;
	const char *serial;
	Buf			cipher = BUF_INIT,
				plain = BUF_INIT,
				again = BUF_INIT,
				b64 = BUF_INIT;

	if (message == NULL || (url != NULL && !wechat_notify_url_ok(url)))
	{
		wechat_error(req, m, 400, "PARAM_ERROR", "参数错误", message ? "notify_url" : "echo_message");
		return;
	}
	answer = json_pack("{ss}", "echo_message", message);
	if (secret != NULL)
	{
		/* It comes encrypted for us, and goes back encrypted for the merchant. */
		wechat_response_key(req, m, &key, &serial);
		if (base64_decode(&cipher, secret, strlen(secret)) &&
			rsa_oaep_decrypt(key, cipher.data, cipher.len, &plain) &&
			rsa_oaep_encrypt(wechat_keys(m)->certificate, buf_str(&plain), plain.len, &again))
		{
			base64_encode(&b64, again.data, again.len);
			json_object_set_new(answer, "encrypted_echo_message", json_string(buf_str(&b64)));
		}
		else
		{
			json_decref(answer);
			answer = NULL;
		}
	}
	if (answer == NULL)
		wechat_error(req, m, 400, "PARAM_ERROR", "请确认待处理的消息是否为加密后的密文",
					 "encrypted_echo_message");
	else
	{
		if (url != NULL)
			tell_echo(m, url, message);
		wechat_answer(req, m, answer, false);
	}
	buf_free(&cipher);
	buf_free(&plain);
	buf_free(&again);
	buf_free(&b64);
}

static void
certificates(SbRequest *req, SbMerchant *m)
{
	const WechatKeys *k = wechat_keys(m);
	CryptoCertificate cert;
	char		from[40],
				to[40];

	if (sandbox.opt.no_certificates ||
		!crypto_certificate_read(k->platform_pem.data, k->platform_pem.len, &cert))
	{
		wechat_error(req, m, 404, "RESOURCE_NOT_EXISTS", "无可用的平台证书", NULL);
		return;
	}
	format_time(cert.not_before * 1000, from);
	format_time(cert.not_after * 1000, to);
	wechat_answer(req, m,
				  json_pack("{s[{ss ss ss so}]}", "data", "serial_no", k->platform_serial,
							"effective_time", from, "expire_time", to, "encrypt_certificate",
							wechat_encrypt_resource(m, "certificate", 12, k->platform_pem.data,
													k->platform_pem.len)), false);
}

/* ---- routing ---- */

typedef void (*BodyHandler) (SbRequest *req, SbMerchant *m, json_t *body);

/* The refund_id in .../refunds/{refund_id}/apply-abnormal-refund, or false. */
static bool
abnormal_path(const char *rest, char refund_id[SB_ID_MAX + 1])
{
	size_t		len = strlen(rest),
				tail = sizeof(ABNORMAL_SUFFIX) - 1;

	if (len <= tail || len - tail > SB_ID_MAX || strcmp(rest + len - tail, ABNORMAL_SUFFIX) != 0)
		return false;
	memcpy(refund_id, rest, len - tail);
	refund_id[len - tail] = '\0';
	return true;
}

/* Name the call and the number for wire.log, before anything is checked. */
static json_t *
identify(SbRequest *req, const char **why)
{
	const char *path = buf_str(&req->path);
	size_t		n = sizeof(REFUNDS_PATH) - 1;
	bool		post = strcmp(req->method, "POST") == 0;
	char		refund_id[SB_ID_MAX + 1];
	json_t	   *body = post ? wechat_parse_body(req, why) : NULL;
	const char *no = json_string_value(json_object_get(body, "out_refund_no"));

	req->call = "wechat.other";
	wechat_claim(req);
	if (no != NULL)
		str_copy(req->no, sizeof(req->no), no);
	if (strcmp(path, REFUNDS_PATH) == 0 && post)
		req->call = "wechat.refund.create";
	else if (strncmp(path, REFUNDS_PATH "/", n + 1) == 0 && !post)
	{
		Buf			decoded = BUF_INIT;

		req->call = "wechat.refund.query";
		if (percent_decode(&decoded, path + n + 1, strlen(path + n + 1), false))
			str_copy(req->no, sizeof(req->no), buf_str(&decoded));
		buf_free(&decoded);
	}
	else if (strncmp(path, REFUNDS_PATH "/", n + 1) == 0 && abnormal_path(path + n + 1, refund_id))
		req->call = "wechat.refund.abnormal";
	else if (wechat_transfer_identify(req, body) || wechat_bill_identify(req))
		return body;
	else if (strcmp(path, "/v3/security/echo") == 0 && post)
		req->call = "wechat.echo";
	else if (strcmp(path, "/v3/certificates") == 0 && !post)
		req->call = "wechat.certificates";
	return body;
}

static void
dispatch(SbRequest *req, SbMerchant *m, json_t *body)
{
	const char *rest = buf_str(&req->path) + sizeof(REFUNDS_PATH);
	char		refund_id[SB_ID_MAX + 1];

	if (strcmp(req->call, "wechat.refund.create") == 0)
		create_refund(req, m, body);
	else if (strcmp(req->call, "wechat.refund.query") == 0)
		query_refund(req, m);
	else if (strcmp(req->call, "wechat.refund.abnormal") == 0 && abnormal_path(rest, refund_id))
		abnormal_refund(req, m, refund_id, body);
	else if (strncmp(req->call, "wechat.transfer.", 16) == 0)
		wechat_transfer_dispatch(req, m, body);
	else if (strncmp(req->call, "wechat.bill.", 12) == 0)
		wechat_bill_dispatch(req, m);
	else if (strcmp(req->call, "wechat.echo") == 0)
		echo(req, m, body);
	else
		certificates(req, m);
}

static void
wechat_handle(SbRequest *req)
{
	const char *why = "请求体不是合法的JSON";
	json_t	   *body = identify(req, &why);
	SbMerchant *m;

	log_wire(req);
	if (strcmp(req->call, "wechat.other") == 0)
		request_answer(req, strcmp(req->method, "GET") == 0 || strcmp(req->method, "POST") == 0 ? 404 : 405,
					   NULL);	/* the gateway's: no body (1.9) */
	else if ((m = req->released ? model_merchant_of(&wechat_channel, req->mchid) : wechat_authenticate(req)) != NULL)
	{
		if (strcmp(req->method, "POST") == 0 && body == NULL && !wechat_transfer_bare(req))
			wechat_error(req, m, 400, "PARAM_ERROR", why, NULL);
		else
			dispatch(req, m, body);
	}
	json_decref(body);
}

const SbChannel wechat_channel = {
	.name = "wechat",
	.mine = wechat_mine,
	.handle = wechat_handle,
	.outcomes = wechat_outcomes,
	.transfer_outcomes = wechat_transfer_outcomes,
	.transfer_fail_reason = "OTHER_FAIL_REASON_TYPE",
	.default_merchant = "1900000100",
	.merchant_ok = wechat_merchant_ok,
	.make_merchant = wechat_make_merchant,
	.load_merchant = wechat_load_merchant,
	.write_configs = wechat_write_configs,
	.build_callback = wechat_build_callback,
	.acknowledged = wechat_acknowledged,
	.retry_after = wechat_retry_after,
	.refund_settle = wechat_refund_settle,
	.bill_text = wechat_bill_text
};
