/*-------------------------------------------------------------------------
 *
 * wechat_bill.c
 *	  WeChat Pay v3: asking for a day's bill, and fetching it (5.1, 5.2).
 *
 * What the answer's URL serves is what was there when it was asked for; it
 * needs our signature over its token, and its answer has none of theirs.
 *
 * sandbox/wechat_bill.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "books.h"
#include "wechat.h"

#define TRADE_PATH		"/v3/bill/tradebill"
#define FUND_PATH		"/v3/bill/fundflowbill"
#define FILE_PATH		"/v3/billdownload/file"
#define READY_MS		INT64_C(36000000)	/* 10:00 of the next day */
#define OLDEST_DAYS		92		/* three months */
#define FUND_PER_SECOND 3		/* with --limits */
#define URL_MS			INT64_C(300000)

typedef struct BillCall
{
	char		kind[24];		/* as in books.h */
	char		group[24];		/* as ctl spoil knows it: all trade bills are one */
	char		day[16];
	int64_t		start;
	bool		gzip;
} BillCall;

/* ---- what is asked for ---- */

/* The parameter's value as our word for the kind, or NULL. */
static const char *
kind_of(const SbRequest *req, bool trade)
{
	static const char *const words[][3] = {
		{"t", "ALL", "trade-all"}, {"t", "REFUND", "trade"}, {"t", "SUCCESS", "trade-success"},
		{"f", "BASIC", "fund_basic"}, {"f", "OPERATION", "fund_operation"}, {"f", "FEES", "fund_fees"}
	};
	Buf			value = BUF_INIT;
	const char *kind = NULL;
	size_t		i;

	if (!request_query_value(req, trade ? "bill_type" : "account_type", &value))
		kind = trade ? "trade-all" : "fund_basic";
	for (i = 0; kind == NULL && i < 6; i++)
		if (words[i][0][0] == (trade ? 't' : 'f') && strcmp(words[i][1], buf_str(&value)) == 0)
			kind = words[i][2];
	buf_free(&value);
	return kind;
}

/* NULL, or the parameter that is wrong. */
static const char *
read_bill_call(const SbRequest *req, bool trade, BillCall *call)
{
	Buf			value = BUF_INIT;
	const char *kind = kind_of(req, trade);
	bool		ok;

	memset(call, 0, sizeof(*call));
	if (kind == NULL)
		return trade ? "bill_type" : "account_type";
	str_copy(call->kind, sizeof(call->kind), kind);
	str_copy(call->group, sizeof(call->group), trade ? "trade" : kind);
	ok = request_query_value(req, "bill_date", &value) && book_day(buf_str(&value), &call->start);
	str_copy(call->day, sizeof(call->day), buf_str(&value));
	buf_free(&value);
	if (!ok)
		return "bill_date";
	call->gzip = request_query_value(req, "tar_type", &value);
	ok = !call->gzip || strcmp(buf_str(&value), "GZIP") == 0;
	buf_free(&value);
	return ok ? NULL : "tar_type";
}

/* True: it has been refused. */
static bool
too_often(SbRequest *req, SbMerchant *m)
{
	int64_t		second = wall_ms() / 1000;

	if (m->bill_second != second)
	{
		m->bill_second = second;
		m->bills_asked = 0;
	}
	if (m->bills_asked++ < FUND_PER_SECOND || !sandbox.opt.limits)
		return false;
	wechat_error(req, m, 429, "FREQUENCY_LIMITED", "频率限制", NULL);
	return true;
}

/* True: the day is not one of which there is a bill, now. */
static bool
not_now(SbRequest *req, SbMerchant *m, const BillCall *call)
{
	int64_t		now = business_ms();

	if (call->start + DAY_MS > now || call->start < now - OLDEST_DAYS * DAY_MS)
		wechat_error(req, m, 400, "INVALID_REQUEST", "账单日期超出可下载范围", NULL);
	else if (call->start + DAY_MS + READY_MS > now)
		wechat_error(req, m, 400, "STATEMENT_CREATING", "账单生成中，请稍后再试", NULL);
	else
		return false;
	return true;
}

/* ---- answers ---- */

static void
offer(SbRequest *req, SbMerchant *m, const BillCall *call, SbSpoil spoil, Buf *text)
{
	char		hash[41];
	char		url[256];
	Buf			packed = BUF_INIT;
	const Offer *o;

	packed.limit = text->limit;
	if (!sha1_hex(buf_str(text), text->len, hash) || (call->gzip && !gzip_pack(text, &packed)))
	{
		wechat_error(req, m, 500, "SYSTEM_ERROR", "系统异常，请稍后重试", NULL);
		return;
	}
	if (spoil == SPOIL_HASH)
		hash[0] = hash[0] == '0' ? '1' : '0';
	if (spoil == SPOIL_TORN)
		*(call->gzip ? &packed.len : &text->len) /= 2;
	o = offer_make(m, call->gzip ? &packed : text, spoil == SPOIL_EXPIRED ? 0 : URL_MS);
	snprintf(url, sizeof(url), "%s://127.0.0.1:%d" FILE_PATH "?token=%s%s",
			 sandbox.opt.tls_cert ? "https" : "http", server_port(), o->token,
			 call->gzip ? "&tartype=gzip" : "");
	wechat_answer(req, m, json_pack("{ss ss ss}", "hash_type", "SHA1", "hash_value", hash,
									"download_url", url), false);
	buf_free(&packed);
}

static void
ask(SbRequest *req, SbMerchant *m, bool trade)
{
	BillCall	call;
	const char *wrong = read_bill_call(req, trade, &call);
	SbSpoil		spoil;
	Buf			text = BUF_INIT;

	if (wrong != NULL)
	{
		wechat_error(req, m, 400, "PARAM_ERROR", "参数错误", wrong);
		return;
	}
	if ((!trade && too_often(req, m)) || not_now(req, m, &call))
		return;
	spoil = spoil_for(m, call.group, call.day);
	if (spoil == SPOIL_CREATING)
		wechat_error(req, m, 400, "STATEMENT_CREATING", "账单生成中，请稍后再试", NULL);
	else if (spoil == SPOIL_LIMITED)
		wechat_error(req, m, 429, "FREQUENCY_LIMITED", "频率限制", NULL);
	else if (spoil == SPOIL_ERROR)
		wechat_error(req, m, 500, "SYSTEM_ERROR", "系统异常，请稍后重试", NULL);
	else if (spoil == SPOIL_NOTHING || !wechat_bill_text(m, call.kind, call.start, spoil, &text))
		wechat_error(req, m, 400, "NO_STATEMENT_EXIST", "账单文件不存在", NULL);
	else
		offer(req, m, &call, spoil, &text);
	buf_free(&text);
}

/* Signed by the merchant, over the token too; not signed by WeChat Pay. */
static void
download(SbRequest *req, SbMerchant *m)
{
	Buf			token = BUF_INIT;
	const Offer *o = NULL;

	if (request_query_value(req, "token", &token))
		o = offer_find(buf_str(&token));
	buf_free(&token);
	if (o == NULL)
		wechat_error(req, m, 400, "INVALID_REQUEST", "下载地址已失效", NULL);
	else if (o->merchant != m)
		wechat_error(req, m, 403, "NO_AUTH", "商户号无权下载该账单", NULL);
	else
	{
		merchant_count(m, true);
		req->answer.limit = o->file.limit;
		buf_add(&req->answer, buf_str(&o->file), o->file.len);
		request_answer(req, 200, "application/octet-stream");
	}
}

/* ---- routing ---- */

bool
wechat_bill_identify(SbRequest *req)
{
	const char *path = buf_str(&req->path);

	if (strcmp(req->method, "GET") != 0)
		return false;
	if (strcmp(path, TRADE_PATH) == 0)
		req->call = "wechat.bill.trade";
	else if (strcmp(path, FUND_PATH) == 0)
		req->call = "wechat.bill.fund";
	else if (strcmp(path, FILE_PATH) == 0)
		req->call = "wechat.bill.download";
	return strncmp(req->call, "wechat.bill.", 12) == 0;
}

void
wechat_bill_dispatch(SbRequest *req, SbMerchant *m)
{
	if (strcmp(req->call, "wechat.bill.download") == 0)
		download(req, m);
	else
		ask(req, m, strcmp(req->call, "wechat.bill.trade") == 0);
}
