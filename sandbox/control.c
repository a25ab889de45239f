/*-------------------------------------------------------------------------
 *
 * control.c
 *	  /sandbox/...: reading the ledger, and giving the world a push.
 *
 * The server listens on loopback only, so whoever can reach this may use it.
 *
 * sandbox/control.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "books.h"
#include "transfer.h"

typedef struct Route
{
	const char *method;
	const char *path;
	void		(*handle) (SbRequest *req, json_t *body);
} Route;

static void
fail(SbRequest *req, int status, const char *why)
{
	request_answer_json(req, status, json_pack("{sb ss}", "ok", 0, "error", why));
}

static void
done(SbRequest *req, const char *what, int64_t count)
{
	request_answer_json(req, 200, json_pack("{sb sI}", "ok", 1, what, (json_int_t) count));
}

static const char *
text_field(json_t *body, const char *name)
{
	return json_string_value(json_object_get(body, name));
}

/* The refund that the body names; NULL when the request has been answered. */
static SbRefund *
named_refund(SbRequest *req, json_t *body)
{
	const char *no = text_field(body, "no");
	const char *mchid = text_field(body, "mchid");
	SbRefund   *r = no == NULL ? NULL : model_refund_any(mchid, no);

	if (r == NULL)
		fail(req, 404, no ? "there is no such refund" : "\"no\" is required");
	return r;
}

/*
 * The transfer that the body names, unless a refund has the number; NULL
 * without an answer.
 */
static SbTransfer *
meant_transfer(json_t *body)
{
	const char *no = text_field(body, "no");
	const char *mchid = text_field(body, "mchid");

	return no == NULL || model_refund_any(mchid, no) != NULL ? NULL : model_transfer_any(mchid, no);
}

/* The same, or NULL when the request has been answered. */
static SbTransfer *
named_transfer(SbRequest *req, json_t *body)
{
	const char *no = text_field(body, "no");
	SbTransfer *t = no ? model_transfer_any(text_field(body, "mchid"), no) : NULL;

	if (t == NULL)
		fail(req, 404, no ? "there is no such transfer" : "\"no\" is required");
	return t;
}

static void
get_ledger(SbRequest *req, json_t *body)
{
	Buf			no = BUF_INIT;
	bool		one = request_query_value(req, "no", &no);

	(void) body;
	request_answer_json(req, 200, report_ledger(one ? buf_str(&no) : NULL));
	buf_free(&no);
}

static void
get_tsv(SbRequest *req, json_t *body)
{
	(void) body;
	req->answer.limit = (size_t) 1024 * 1024 * 1024;
	report_tsv(&req->answer);
	request_answer(req, 200, "text/tab-separated-values; charset=utf-8");
}

static void
get_transfers_tsv(SbRequest *req, json_t *body)
{
	(void) body;
	req->answer.limit = (size_t) 1024 * 1024 * 1024;
	report_transfers_tsv(&req->answer);
	request_answer(req, 200, "text/tab-separated-values; charset=utf-8");
}

static void
get_stats(SbRequest *req, json_t *body)
{
	(void) body;
	request_answer_json(req, 200, report_stats());
}

static void
post_release(SbRequest *req, json_t *body)
{
	const char *no = text_field(body, "no");

	if (no == NULL)
		fail(req, 400, "\"no\" is required: a number, or \"all\"");
	else
		done(req, "released", server_release(strcmp(no, "all") == 0 ? NULL : no, channel_rerun));
}

static void
post_topup(SbRequest *req, json_t *body)
{
	const char *mchid = text_field(body, "mchid");
	const Map  *all = &sandbox.model.merchants;
	int64_t		count = 0;
	size_t		i;

	for (i = 0; i < all->size; i++)
		if (all->slot[i].key != NULL && (mchid == NULL || strcmp(mchid, all->slot[i].key) == 0))
		{
			ledger_add(json_pack("{ss ss}", "e", "topup", "mchid", all->slot[i].key), false);
			count++;
		}
	if (count == 0)
		fail(req, 404, "there is no such merchant");
	else
		done(req, "merchants", count);
}

static void
tell_done(SbRequest *req, const char *why, const char *what)
{
	if (why != NULL)
		fail(req, 409, why);
	else
		done(req, what, 1);
}

static void
settle_transfer(SbRequest *req, SbTransfer *t, json_t *body)
{
	TransferStatus status;

	if (!transfer_status_parse(text_field(body, "status"), &status))
		fail(req, 400, "\"status\" of a transfer must be SUCCESS, FAIL, CANCELLED or REFUND");
	else
		tell_done(req, transfer_settle(t, status), "settled");
}

static void
post_settle(SbRequest *req, json_t *body)
{
	SbTransfer *t = meant_transfer(body);
	SbRefund   *r = t ? NULL : named_refund(req, body);
	RefundStatus status;
	const char *why;

	if (t != NULL)
		settle_transfer(req, t, body);
	if (r == NULL)
		return;
	if (!refund_status_parse(text_field(body, "status"), &status))
	{
		fail(req, 400, "\"status\" must be SUCCESS, CLOSED or ABNORMAL");
		return;
	}
	why = r->channel->refund_settle == NULL ? "this channel settles at once" :
		r->channel->refund_settle(r, status);
	if (why != NULL)
		fail(req, 409, why);
	else
		done(req, "settled", 1);
}

static void
push_transfer(SbRequest *req, SbTransfer *t, json_int_t n)
{
	if (!transfer_is_final(t->status))
		fail(req, 409, "the transfer is not final: there is nothing to say");
	else if (transfer_url(t) == NULL)
		fail(req, 409, "there is no URL for its callbacks: it was asked for without one");
	else if (n < 1 || n > 1000)
		fail(req, 400, "\"times\" must be between 1 and 1000");
	else
	{
		transfer_tell(t, (int) n, clock_now());
		done(req, "callbacks", n);
	}
}

static void
post_callback(SbRequest *req, json_t *body)
{
	SbTransfer *t = meant_transfer(body);
	SbRefund   *r = t ? NULL : named_refund(req, body);
	json_t	   *times = json_object_get(body, "times");
	json_int_t	n = times ? json_integer_value(times) : 1;
	char		event_id[33];
	json_int_t	i;

	if (t != NULL)
		push_transfer(req, t, n);
	if (r == NULL)
		return;
	if (r->status == REFUND_PROCESSING)
		fail(req, 409, "the refund is not settled: there is nothing to say");
	else if (refund_url(r) == NULL)
		fail(req, 409, "there is no URL for its callbacks: it was asked for without one");
	else if (n < 1 || n > 1000)
		fail(req, 400, "\"times\" must be between 1 and 1000");
	else
	{
		random_nonce(event_id);
		for (i = 0; i < n; i++)
			record_callback(r, r->status, CALLBACK_TRUE, clock_now(), event_id);
		done(req, "callbacks", n);
	}
}

/* What the payee of a transfer does, and what his bank does. */
static void
post_confirm(SbRequest *req, json_t *body)
{
	SbTransfer *t = named_transfer(req, body);

	if (t != NULL)
		tell_done(req, transfer_confirm(t), "confirmed");
}

static void
post_decline(SbRequest *req, json_t *body)
{
	SbTransfer *t = named_transfer(req, body);

	if (t != NULL)
		tell_done(req, transfer_decline(t), "declined");
}

static void
post_bounce(SbRequest *req, json_t *body)
{
	SbTransfer *t = named_transfer(req, body);

	if (t != NULL)
		tell_done(req, transfer_bounce(t), "bounced");
}

/* The account that a merchant's transfers are paid from. */
static void
post_balance(SbRequest *req, json_t *body)
{
	const char *mchid = text_field(body, "mchid");
	json_t	   *fen = json_object_get(body, "fen");
	json_t	   *add = json_object_get(body, "add");
	json_int_t	n = json_integer_value(add ? add : fen);
	SbMerchant *m = mchid ? model_merchant(mchid) : NULL;

	if (m == NULL || m->channel->transfer_outcomes == NULL)
		fail(req, 404, "\"mchid\" must name a merchant of this sandbox that can make transfers");
	else if (!json_is_integer(add ? add : fen) && !(add == NULL && json_is_null(fen)))
		fail(req, 400, "\"fen\" must be a whole number, or null for always enough; or \"add\" a whole number");
	else if (n < 0 || n > INT64_C(100000000000000))
		fail(req, 400, "the balance must not be negative, nor more than 1000000000000.00");
	else
	{
		record_balance(m, add ? m->balance_known : json_is_integer(fen), add ? m->balance + n : n);
		if (add && n > 0)
			record_move(m, BOOK_OPERATION, n, "");
		request_answer_json(req, 200, json_pack("{sb so}", "ok", 1, "balance", m->balance_known ?
												json_integer(m->balance) : json_null()));
	}
}

static void
take_url(SbRequest *req, json_t *body, void (*record) (const SbMerchant *m, const char *url))
{
	const char *mchid = text_field(body, "mchid");
	const char *url = text_field(body, "url");
	SbMerchant *m = mchid ? model_merchant(mchid) : NULL;

	if (m == NULL)
		fail(req, 404, "\"mchid\" must name a merchant of this sandbox");
	else if (url == NULL || strlen(url) > 256 ||
			 (*url && strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0))
		fail(req, 400, "\"url\" must be an http or https URL, or empty for none");
	else
	{
		record(m, url);
		done(req, "merchants", 1);
	}
}

/* Where the callbacks go that bring no URL of their own. */
static void
post_notify_url(SbRequest *req, json_t *body)
{
	take_url(req, body, record_notify_url);
}

/* Where messages to the application's gateway go. */
static void
post_gateway_url(SbRequest *req, json_t *body)
{
	take_url(req, body, record_gateway_url);
}

/* Something else about a refund, in the channel's own words. */
static void
post_tell(SbRequest *req, json_t *body)
{
	SbRefund   *r = named_refund(req, body);
	const char *what = text_field(body, "what");
	const char *why;

	if (r == NULL)
		return;
	if (what == NULL)
		fail(req, 400, "\"what\" is required");
	else if ((why = r->channel->tell_refund ? r->channel->tell_refund(r, what) :
			  "this channel has nothing else to tell") != NULL)
		fail(req, 409, why);
	else
		done(req, "callbacks", 1);
}

/* The notification of a payment, as its receiver also gets it. */
static void
post_payment_notify(SbRequest *req, json_t *body)
{
	const char *mchid = text_field(body, "mchid");
	const char *order = text_field(body, "order");
	SbMerchant *m = mchid ? model_merchant(mchid) : NULL;
	SbOrder    *o = m && order ? model_order(m, order, order) : NULL;
	const char *why;

	if (o == NULL)
		fail(req, 404, m ? "\"order\" must name an order that was registered or refunded" :
			 "\"mchid\" must name a merchant of this sandbox");
	else if ((why = m->channel->tell_payment ? m->channel->tell_payment(m, o) :
			  "this channel does not notify of payments") != NULL)
		fail(req, 409, why);
	else
		done(req, "callbacks", 1);
}

/* The channel changes something for a merchant. */
static void
post_switch(SbRequest *req, json_t *body)
{
	const char *mchid = text_field(body, "mchid");
	const char *what = text_field(body, "what");
	SbMerchant *m = mchid ? model_merchant(mchid) : NULL;
	const char *why;

	if (m == NULL || what == NULL)
		fail(req, m ? 400 : 404, m ? "\"what\" is required" :
			 "\"mchid\" must name a merchant of this sandbox");
	else if ((why = m->channel->merchant_switch ? m->channel->merchant_switch(m, what) :
			  "this channel has nothing to switch") != NULL)
		fail(req, 409, why);
	else
		done(req, "merchants", 1);
}

static void
post_pause(SbRequest *req, json_t *body)
{
	json_t	   *on = json_object_get(body, "on");

	if (!json_is_boolean(on))
	{
		fail(req, 400, "\"on\" must be true or false");
		return;
	}
	ledger_add(json_pack("{ss sb}", "e", "pause", "on", json_is_true(on)), false);
	done(req, "paused", json_is_true(on));
}

static void
post_advance(SbRequest *req, json_t *body)
{
	json_t	   *seconds = json_object_get(body, "seconds");
	double		s = json_number_value(seconds);

	if (!json_is_number(seconds) || s < 0 || s > 1e9)
	{
		fail(req, 400, "\"seconds\" must be a number, and not negative");
		return;
	}
	ledger_add(json_pack("{ss sI}", "e", "advance", "ms", (json_int_t) (s * 1000)), false);
	done(req, "now_ms", clock_now());
}

static void
post_sms(SbRequest *req, json_t *body)
{
	const char *mode = text_field(body, "mode");
	SmsMode		parsed;

	if (!sms_mode_parse(mode, &parsed))
	{
		fail(req, 400, "\"mode\" must be ok, hang, down or 500");
		return;
	}
	ledger_add(json_pack("{ss ss}", "e", "sms_mode", "mode", mode), false);
	request_answer_json(req, 200, json_pack("{sb ss}", "ok", 1, "mode", mode));
}

/* Register an order before it is refunded: needed with --strict-orders. */
static void
post_orders(SbRequest *req, json_t *body)
{
	const char *mchid = text_field(body, "mchid");
	const char *transaction_id = text_field(body, "transaction_id");
	const char *out_trade_no = text_field(body, "out_trade_no");
	json_int_t	total = json_integer_value(json_object_get(body, "total"));
	json_t	   *payer = json_object_get(body, "payer_total");
	json_int_t	payer_total = payer ? json_integer_value(payer) : total;
	SbMerchant *m = mchid ? model_merchant(mchid) : NULL;

	if (m == NULL)
		fail(req, 404, "\"mchid\" must name a merchant of this sandbox");
	else if (transaction_id == NULL || out_trade_no == NULL ||
			 strlen(transaction_id) > SB_ID_MAX || strlen(out_trade_no) > SB_ID_MAX)
		fail(req, 400, "\"transaction_id\" and \"out_trade_no\" are required, of up to 64 characters");
	else if (total < 1 || total > INT64_C(100000000000) || payer_total < 0 || payer_total > total)
		fail(req, 400, "\"total\" must be positive, and \"payer_total\" not more");
	else if (model_order(m, transaction_id, out_trade_no) != NULL)
		fail(req, 409, "there is such an order already");
	else
	{
		record_order(m, transaction_id, out_trade_no, total, payer_total);
		done(req, "orders", 1);
	}
}

static const Route routes[] = {
	{"GET", "/sandbox/ledger", get_ledger},
	{"GET", "/sandbox/ledger.tsv", get_tsv},
	{"GET", "/sandbox/transfers.tsv", get_transfers_tsv},
	{"GET", "/sandbox/stats", get_stats},
	{"POST", "/sandbox/release", post_release},
	{"POST", "/sandbox/topup", post_topup},
	{"POST", "/sandbox/settle", post_settle},
	{"POST", "/sandbox/callback", post_callback},
	{"POST", "/sandbox/tell", post_tell},
	{"POST", "/sandbox/payment_notify", post_payment_notify},
	{"POST", "/sandbox/notify_url", post_notify_url},
	{"POST", "/sandbox/gateway_url", post_gateway_url},
	{"POST", "/sandbox/confirm", post_confirm},
	{"POST", "/sandbox/decline", post_decline},
	{"POST", "/sandbox/bounce", post_bounce},
	{"POST", "/sandbox/balance", post_balance},
	{"POST", "/sandbox/switch", post_switch},
	{"POST", "/sandbox/pause_callbacks", post_pause},
	{"POST", "/sandbox/advance", post_advance},
	{"POST", "/sandbox/sms", post_sms},
	{"POST", "/sandbox/orders", post_orders},
};

static bool
control_mine(const SbRequest *req)
{
	return strncmp(buf_str(&req->path), "/sandbox/", 9) == 0;
}

static void
control_handle(SbRequest *req)
{
	bool		known = false;
	json_t	   *body = NULL;
	size_t		i;

	if (req->body.len > 0)
		body = json_loadb(req->body.data, req->body.len, JSON_REJECT_DUPLICATES, NULL);
	if (req->body.len > 0 && !json_is_object(body))
		fail(req, 400, "the body must be a JSON object");
	else if (books_control(req, body))
		known = true;
	for (i = 0; i < sizeof(routes) / sizeof(routes[0]) && !req->answered; i++)
	{
		if (strcmp(routes[i].path, buf_str(&req->path)) != 0)
			continue;
		known = true;
		if (strcmp(routes[i].method, req->method) != 0)
			continue;
		routes[i].handle(req, body);
	}
	if (!req->answered)
		fail(req, known ? 405 : 404, known ? "wrong method" : "no such command");
	json_decref(body);
}

const SbChannel control_channel = {
	.name = "control",
	.mine = control_mine,
	.handle = control_handle
};
