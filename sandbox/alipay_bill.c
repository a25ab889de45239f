/*-------------------------------------------------------------------------
 *
 * alipay_bill.c
 *	  Alipay's gateway v1: where a day's bill is to be had, and fetching it (6.1).
 *
 * The URL lives for half a minute and needs no signature: whoever knows it can
 * fetch the file, once or twice.
 *
 * sandbox/alipay_bill.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "alipay.h"
#include "books.h"

#define FILE_PATH		"/downloadBillFile.resource"
#define READY_MS		INT64_C(36000000)	/* 10:00 of the next day */
#define OLDEST_DAYS		(6 * 366)
#define URL_MS			30000

/* The bill_type as our word for the kind, or NULL. */
static const char *
kind_of(const char *type)
{
	if (type != NULL && strcmp(type, "trade") == 0)
		return "trade";
	if (type != NULL && strcmp(type, "signcustomer") == 0)
		return "account";
	return NULL;
}

static void
offer(SbRequest *req, const AlipayCall *c, const char *type, const char *date, SbSpoil spoil,
	  bool any, Buf *file)
{
	json_t	   *node = json_pack("{ss ss}", "code", "10000", "msg", "Success");
	const Offer *o = offer_make(c->m, file, spoil == SPOIL_EXPIRED ? 0 : URL_MS);

	json_object_set_new(node, "bill_download_url",
						json_sprintf("%s://127.0.0.1:%d" FILE_PATH "?bizType=%s&userId=" ALIPAY_SELLER_ID "0156"
									 "&fileType=csv.zip&bizDates=%.4s%.2s%.2s&downloadFileName=%s.csv.zip"
									 "&fileId=%%2F%s%%2F%.8s&timestamp=%lld&token=%s",
									 sandbox.opt.tls_cert ? "https" : "http", server_port(), type,
									 date, date + 5, date + 8, ALIPAY_SELLER_ID "0156", type, o->token,
									 (long long) business_ms(), o->token));
	if (!any)
		json_object_set_new(node, "bill_file_code", json_string("EMPTY_DATA_WITH_BILL_FILE"));
	alipay_answer(req, c, node, ANSWER_GOOD);
}

/* True: it has been answered that there is none, or no such. */
static bool
refused(SbRequest *req, const AlipayCall *c, const char *kind, const char *date, int64_t start,
		SbSpoil *spoil)
{
	int64_t		now = business_ms();

	*spoil = SPOIL_NONE;
	if (start + DAY_MS + READY_MS > now)
	{
		alipay_fail(req, c, "40004", "isp.bill_not_exist", "账单不存在");
		return true;
	}
	if (start < now - OLDEST_DAYS * DAY_MS)
	{
		alipay_fail(req, c, "40004", "BILL_DATE_BEFORE_REGISTRATION", "账单日期早于注册日期");
		return true;
	}
	*spoil = spoil_for(c->m, kind, date);
	if (*spoil == SPOIL_CREATING)
		alipay_fail(req, c, "40004", "isp.bill_not_exist", "账单不存在");
	else if (*spoil == SPOIL_LIMITED)
		alipay_fail(req, c, "40005", "isv.app-call-limited", "应用调用次数超限");
	else if (*spoil == SPOIL_ERROR)
		alipay_fail(req, c, "40004", "UNKNOWN_ERROR", "未知错误");
	else if (*spoil == SPOIL_NOTHING)
		alipay_fail(req, c, "40004", "NO_BILL_DATA", "没有账单数据");
	return req->answered;
}

void
alipay_bill_query(SbRequest *req, const AlipayCall *c)
{
	const char *type,
			   *date;
	const char *kind;
	int64_t		start;
	SbSpoil		spoil;
	bool		any;
	Buf			file = BUF_INIT;

	if (c->biz == NULL || !alipay_take_string(c->biz, "bill_type", 32, &type) ||
		!alipay_take_string(c->biz, "bill_date", 15, &date) || type == NULL || date == NULL ||
		!book_day(date, &start))
	{
		alipay_fail(req, c, "40004", "INVAILID_ARGUMENTS", "入参不合法");
		return;
	}
	kind = kind_of(type);
	if (kind == NULL)
		alipay_fail(req, c, "40004", "TYPE_NOT_SUPPORTED", "账单类型不支持");
	if (kind == NULL || refused(req, c, kind, date, start, &spoil))
		return;
	if (alipay_bill_zip(c->m, kind, date, start, spoil, &any, &file))
		offer(req, c, type, date, spoil, any, &file);
	else
		alipay_fail(req, c, "40004", "UNKNOWN_ERROR", "未知错误");
	buf_free(&file);
}

bool
alipay_bill_is_file(const SbRequest *req)
{
	return strcmp(buf_str(&req->path), FILE_PATH) == 0;
}

/* Nobody is asked who he is. */
void
alipay_bill_download(SbRequest *req)
{
	Buf			token = BUF_INIT;
	const Offer *o = NULL;

	req->call = "alipay.bill.download";
	log_wire(req);
	if (request_query_value(req, "token", &token))
		o = offer_find(buf_str(&token));
	if (o == NULL || strcmp(req->method, "GET") != 0)
	{
		buf_adds(&req->answer, "<html><body>下载链接已失效</body></html>");
		request_answer(req, 403, "text/html; charset=utf-8");
	}
	else
	{
		req->answer.limit = o->file.limit;
		buf_add(&req->answer, buf_str(&o->file), o->file.len);
		http_header_add(&req->answer_headers, "Content-Disposition", "attachment; filename=bill.csv.zip");
		request_answer(req, 200, "application/octet-stream");
	}
	buf_free(&token);
}
