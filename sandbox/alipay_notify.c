/*-------------------------------------------------------------------------
 *
 * alipay_notify.c
 *	  What Alipay tells by itself: of trades (5), which have no notification
 *	  of a refund but one of the trade that was refunded (2.5), and messages
 *	  to the application's gateway (2.6).
 *
 * Alipay sends the first to the URL that came with the payment, and the second
 * to one that is set in the app's console.  Here they are those of
 * `ctl notify-url` and of `ctl gateway-url`; without the second, both go to the
 * first, for refundx has one listener.
 *
 * sandbox/alipay_notify.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "alipay.h"

/* ---- what is to be told, frozen when it happens ---- */

static json_t *
trade_data(const SbOrder *o, const AlipayKeys *k)
{
	return json_pack("{ss ss sI sI sb sI}", "trade_no", o->transaction_id,
					 "out_trade_no", o->out_trade_no, "total", (json_int_t) o->total,
					 "created", (json_int_t) o->created,
					 "by_certificate", k->by_certificate, "at", (json_int_t) wall_ms());
}

/*
 * refund_fee is what of the trade has been refunded by now.  The status says
 * whether that is all of it, and nothing else: TRADE_SUCCESS after a partial
 * refund looks like a payment.
 */
json_t *
alipay_callback_data(const SbRefund *r, RefundStatus says)
{
	const SbOrder *o = r->order;
	json_t	   *data = trade_data(o, alipay_keys(o->merchant));

	(void) says;
	json_object_set_new(data, "refunded", json_integer(o->taken));
	json_object_set_new(data, "out_biz_no", json_string(r->no));
	json_object_set_new(data, "refunded_at", json_integer(r->settled));
	json_object_set(data, "by_certificate", json_object_get(r->data, "by_certificate"));
	return data;
}

void
alipay_tell_deposit_back(SbRefund *r, const char *status, int64_t due)
{
	const SbMerchant *m = r->order->merchant;
	const char *url = m->gateway_url ? m->gateway_url : refund_url(r);
	char		event_id[33];

	if (url == NULL)
		return;
	random_nonce(event_id);
	record_event(r->order->merchant, r, "depositback", url, event_id, due,
				 json_pack("{ss sI}", "status", status, "at", (json_int_t) wall_ms()));
}

const char *
alipay_tell_refund(SbRefund *r, const char *what)
{
	if (strcmp(what, "depositback-S") != 0 && strcmp(what, "depositback-F") != 0)
		return "it must be depositback-S or depositback-F";
	if (refund_url(r) == NULL && r->order->merchant->gateway_url == NULL)
		return "there is no URL for it: ctl gateway-url, or notify-url";
	alipay_tell_deposit_back(r, what + sizeof("depositback-") - 1, clock_now());
	return NULL;
}

const char *
alipay_tell_payment(SbMerchant *m, SbOrder *o)
{
	char		event_id[33];

	if (m->notify_url == NULL)
		return "there is no URL for it: ctl notify-url";
	random_nonce(event_id);
	record_event(m, NULL, "payment", m->notify_url, event_id, clock_now(),
				 trade_data(o, alipay_keys(m)));
	return NULL;
}

/* ---- one delivery ---- */

static json_int_t
number_of(const json_t *data, const char *name)
{
	return json_integer_value(json_object_get(data, name));
}

static const char *
text_of(const json_t *data, const char *name)
{
	const char *s = json_string_value(json_object_get(data, name));

	return s ? s : "";
}

static void
add_yuan(Form *f, const char *name, int64_t fen)
{
	char		text[32];

	alipay_yuan(fen, text);
	form_add(f, name, text);
}

static void
add_time(Form *f, const char *name, int64_t ms, bool with_ms)
{
	char		text[44];

	alipay_time(ms, text);
	if (with_ms)
		snprintf(text + 19, sizeof(text) - 19, ".%03d", (int) (ms % 1000));
	form_add(f, name, text);
}

/*
 * Values have characters that go wrong when they are decoded twice or not at
 * all.  `foreign`: a message that is none of this seller's business (5.3).
 */
static void
add_trade(Form *f, const json_t *data, bool foreign)
{
	char		amount[32];
	Buf			list = BUF_INIT;

	alipay_yuan(number_of(data, "total") + (foreign ? 100 : 0), amount);
	form_add(f, "trade_no", text_of(data, "trade_no"));
	form_add(f, "out_trade_no", text_of(data, "out_trade_no"));
	form_add(f, "total_amount", amount);
	form_add(f, "receipt_amount", amount);
	form_add(f, "invoice_amount", amount);
	form_add(f, "buyer_pay_amount", amount);
	form_add(f, "point_amount", "0.00");
	form_add(f, "subject", "T恤 100% cotton & more=less+1");
	form_add(f, "passback_params", "merchantBizType%3d3C%26merchantBizNo%3d2016");
	buf_addf(&list, "[{\"amount\":\"%s\",\"fundChannel\":\"ALIPAYACCOUNT\"}]", amount);
	form_add(f, "fund_bill_list", buf_str(&list));
	buf_free(&list);
	form_add(f, "buyer_id", ALIPAY_BUYER_ID);
	form_add(f, "buyer_logon_id", ALIPAY_BUYER_LOGON);
	form_add(f, "seller_id", foreign ? ALIPAY_OTHER_SELLER : ALIPAY_SELLER_ID);
	form_add(f, "seller_email", "seller@sandbox.example");
	add_time(f, "gmt_create", number_of(data, "created"), false);
	add_time(f, "gmt_payment", number_of(data, "created"), false);
}

static void
add_refund(Form *f, const json_t *data)
{
	bool		all = number_of(data, "refunded") >= number_of(data, "total");

	add_yuan(f, "refund_fee", number_of(data, "refunded"));
	form_add(f, "out_biz_no", text_of(data, "out_biz_no"));
	add_time(f, "gmt_refund", number_of(data, "refunded_at"), true);
	if (all)
		add_time(f, "gmt_close", number_of(data, "refunded_at"), false);
	form_add(f, "trade_status", all ? "TRADE_CLOSED" : "TRADE_SUCCESS");
}

static void
fill_trade(const SbCallback *cb, Form *f)
{
	const SbOutcome *o = cb->refund ? outcome_named(cb->channel, cb->refund->outcome) : NULL;

	add_time(f, "notify_time", wall_ms(), false);
	form_add(f, "notify_type", "trade_status_sync");
	form_add(f, "notify_id", cb->event_id);
	form_add(f, "app_id", cb->merchant->mchid);
	form_add(f, "auth_app_id", cb->merchant->mchid);
	form_add(f, "charset", "utf-8");
	form_add(f, "version", "1.0");
	form_add(f, "sign_type", "RSA2");
	add_trade(f, cb->data, o != NULL && o->trick == TRICK_FOREIGN_SELLER && cb->id % 2 == 1);
	if (cb->refund != NULL)
		add_refund(f, cb->data);
	else
		form_add(f, "trade_status", "TRADE_SUCCESS");
	if (o != NULL && o->trick == TRICK_EMPTY_VALUE)
		form_add(f, "body", "");
}

static json_t *
deposit_back_told(const SbCallback *cb)
{
	const SbRefund *r = cb->refund;
	char		ack[40],
				amount[32];

	alipay_time(number_of(cb->data, "at"), ack);
	alipay_yuan(r->amount, amount);
	return json_pack("{ss ss ss ss ss ss}", "trade_no", r->order->transaction_id,
					 "out_trade_no", r->order->out_trade_no, "out_request_no", r->no,
					 "dback_status", text_of(cb->data, "status"), "dback_amount", amount,
					 "bank_ack_time", ack);
}

/* A message to the application's gateway (2.6); steals biz. */
static void
fill_message(const SbCallback *cb, Form *f, const char *method, json_t *biz, bool foreign)
{
	const char *app = foreign ? ALIPAY_OTHER_APP : cb->merchant->mchid;
	char	   *text = json_dumps(biz, JSON_COMPACT);
	char		now[24];

	snprintf(now, sizeof(now), "%lld", (long long) wall_ms());
	form_add(f, "notify_id", cb->event_id);
	form_add(f, "utc_timestamp", now);
	form_add(f, "msg_method", method);
	form_add(f, "app_id", app);
	form_add(f, "msg_type", "sys");
	form_add(f, "msg_app_id", app);
	form_add(f, "version", "1.1");
	form_add(f, "charset", "utf-8");
	form_add(f, "sign_type", "RSA2");
	form_add(f, "biz_content", text ? text : "{}");
	free(text);
	json_decref(biz);
}

static bool
is_message(const SbCallback *cb)
{
	return strcmp(cb->kind, "depositback") == 0 || strcmp(cb->kind, "transfer") == 0;
}

/*
 * Trade notifications are signed without sign_type, the application gateway's
 * messages with it (5.2).  Implementations disagree about empty values, so
 * copies of a message with one are signed in one way and the other in turn.
 */
static bool
sign_form(const SbCallback *cb, Form *f, bool by_certificate)
{
	const AlipayKeys *k = alipay_keys(cb->merchant);
	bool		wrong = cb->flavour == CALLBACK_SIGNTEST && cb->tries == 0;
	Buf			text = BUF_INIT,
				sign = BUF_INIT;
	bool		ok;

	form_sort(f);
	alipay_signed_text(f, is_message(cb), cb->id % 2 == 0, &text);
	if (wrong)
		buf_addc(&text, ' ');
	ok = alipay_sign(k->own[k->active], &text, &sign);
	form_add(f, "sign", buf_str(&sign));
	if (by_certificate)
		form_add(f, "alipay_cert_sn", k->own_sn[k->active]);	/* not signed (1.6) */
	buf_free(&text);
	buf_free(&sign);
	return ok;
}

bool
alipay_build_callback(const SbCallback *cb, HttpRequest *out)
{
	Form	   *f = must_alloc(sizeof(*f));
	bool		ok;

	if (strcmp(cb->kind, "depositback") == 0)
		fill_message(cb, f, "alipay.trade.refund.depositback.completed", deposit_back_told(cb), false);
	else if (cb->transfer != NULL)
		fill_message(cb, f, "alipay.fund.trans.order.changed", alipay_transfer_told(cb),
					 json_is_true(json_object_get(cb->data, "foreign")));
	else
		fill_trade(cb, f);
	ok = sign_form(cb, f, cb->transfer != NULL ||
				   json_is_true(json_object_get(cb->data, "by_certificate")));
	str_copy(out->method, sizeof(out->method), "POST");
	buf_adds(&out->url, cb->url);
	form_encode(f, &out->body);
	http_header_add(&out->headers, "Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
	http_header_add(&out->headers, "User-Agent", "Mozilla/4.0");
	form_free(f);
	free(f);
	return ok && !out->body.failed;
}

/* Exactly these seven bytes (5.4). */
bool
alipay_acknowledged(long status, const char *body, size_t len)
{
	return status == 200 && len == 7 && memcmp(body, "success", 7) == 0;
}

int
alipay_retry_after(const SbCallback *cb)
{
	static const int schedule[] = {240, 600, 600, 3600, 7200, 21600, 54000};	/* 5.4 */

	if (cb->tries >= (int) (sizeof(schedule) / sizeof(schedule[0])))
		return 0;
	if (cb->tries == 0 && is_message(cb))
		return 120;				/* the application gateway's first */
	return schedule[cb->tries];
}
