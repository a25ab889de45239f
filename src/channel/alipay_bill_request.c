/*-------------------------------------------------------------------------
 *
 * alipay_bill_request.c
 *	  Alipay's bills: which there are, and how one is asked for
 *	  (alipay.data.dataservice.bill.downloadurl.query).
 *
 * The answer is signed and has a URL that lives for half a minute; nobody's
 * signature goes with the download, and what comes is not signed.  So what
 * vouches for the file is where it was fetched from: only Alipay's own hosts,
 * and only under TLS, also where the URL says http.
 *
 * src/channel/alipay_bill_request.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>
#include <strings.h>

#include "channel/alipay_bill.h"
#include "channel/channel_answer.h"

#define METHOD_BILL		"alipay.data.dataservice.bill.downloadurl.query"
#define NODE_BILL		"alipay_data_dataservice_bill_downloadurl_query_response"
#define USER_AGENT		"refundx/1"

static bool ask_trade(void *config, const char *day, const char *cursor,
					  const ChannelMoment *moment, HttpRequest *out, ChannelError *err);
static bool ask_account(void *config, const char *day, const char *cursor,
						const ChannelMoment *moment, HttpRequest *out, ChannelError *err);
static void read_offer(void *config, const HttpAnswer *answer, int64_t now, BillOffer *out);
static bool download(void *config, const BillOffer *offer, const ChannelMoment *moment,
					 HttpRequest *out, ChannelError *err);

static const char *const known_hosts[] = {".alipay.com", ".alipaydev.com", NULL};

/* There at nine or ten the next morning; of years back. */
#define ALIPAY_BILL_TIMES \
	.utc_offset = ALIPAY_BILL_OFFSET, \
	.ready_at = 10 * 3600, \
	.retry_after = 1800, \
	.max_age_days = 2190

static const ChannelBill trade_bill = {
	.kind = "trade",
	.label = "Alipay's bill of trades",
	.has_refunds = true,
	ALIPAY_BILL_TIMES,
	.delay_days = 1,
	.ask = ask_trade,
	.read_offer = read_offer,
	.download = download,
	.open = alipay_bill_trade_open,
};

static const ChannelBill account_bill = {
	.kind = "account",
	.label = "Alipay's bill of the account",
	.has_transfers = true,
	.is_ledger = true,
	ALIPAY_BILL_TIMES,
	.delay_days = 3,			/* a transfer to a bank card */
	.ask = ask_account,
	.read_offer = read_offer,
	.download = download,
	.open = alipay_bill_account_open,
};

const ChannelBill *const alipay_bills[] = {
	&trade_bill,
	&account_bill,
	NULL
};

/* ---- requests ---- */

static bool
ask(void *config, const char *type, const char *day, const ChannelMoment *moment,
	HttpRequest *out, ChannelError *err)
{
	Buf			content = BUF_INIT;
	BillDay		checked;
	bool		good;

	memset(err, 0, sizeof(*err));
	http_request_free(out);
	http_request_init(out);
	if (!bill_day_open(&checked, day, ALIPAY_BILL_OFFSET, err))
		return false;
	if (moment->nonce == NULL || moment->nonce[0] == '\0')
		return channel_error(err, NULL, "a request to Alipay needs a nonce");
	buf_addf(&content, "{\"bill_type\":\"%s\",\"bill_date\":\"%s\"}", type, day);
	good = alipay_gateway_request(config, METHOD_BILL, &content, moment, &alipay_refunds.limits, out);
	buf_free(&content);
	return good || channel_error(err, NULL, "the request could not be signed");
}

static bool
ask_trade(void *config, const char *day, const char *cursor, const ChannelMoment *moment,
		  HttpRequest *out, ChannelError *err)
{
	(void) cursor;				/* one file has all */
	return ask(config, "trade", day, moment, out, err);
}

static bool
ask_account(void *config, const char *day, const char *cursor, const ChannelMoment *moment,
			HttpRequest *out, ChannelError *err)
{
	(void) cursor;
	return ask(config, "signcustomer", day, moment, out, err);
}

/* A URL of http at a host of Alipay's is one of https; a sandbox's stays. */
static bool
safe_url(const AlipayConfig *config, const char *url, Buf *out)
{
	size_t		path;

	if (bill_url_good(url, known_hosts, config->base_url, &path))
		buf_adds(out, url);
	else if (strncmp(url, "http://", 7) == 0)
	{
		buf_addf(out, "https://%s", url + 7);
		if (!bill_url_good(buf_str(out), known_hosts, "", &path))
			return false;
	}
	else
		return false;
	return !out->failed;
}

static bool
download(void *arg, const BillOffer *offer, const ChannelMoment *moment, HttpRequest *out,
		 ChannelError *err)
{
	const AlipayConfig *config = arg;

	(void) moment;				/* nothing is signed */
	memset(err, 0, sizeof(*err));
	http_request_free(out);
	http_request_init(out);
	strcpy(out->method, "GET");
	if (!safe_url(config, offer->url, &out->url))
	{
		http_request_free(out);
		http_request_init(out);
		return channel_error(err, "It is not followed: nothing would vouch for what comes from there.",
							 "Alipay's bill is said to be at a host that is not Alipay's");
	}
	out->connect_timeout_ms = alipay_refunds.limits.connect_timeout_ms;
	out->total_timeout_ms = BILL_DOWNLOAD_TIMEOUT_MS;
	out->max_answer = BILL_PACKED_MAX;
	if (http_header_add(&out->headers, "User-Agent", USER_AGENT))
		return true;
	http_request_free(out);
	http_request_init(out);
	return channel_error(err, NULL, "the request could not be put together");
}

/* ---- the offer ---- */

/*
 * Codes that say something about the day; Alipay gives them with "isp." or
 * without, in one case or the other.
 */
static const struct
{
	const char *code;
	BillAnswer	answer;
}			codes[] = {
	{"bill_not_exist", BILL_NOT_YET},
	{"no_bill_data", BILL_EMPTY},
	{"bill_date_before_registration", BILL_EMPTY},	/* nobody was there to do business */
	{"unknown_error", BILL_UNKNOWN},
	{"unknow-error", BILL_UNKNOWN},
	{"system_error", BILL_UNKNOWN},
};

static BillAnswer
answer_of(const char *code, const char *sub_code)
{
	size_t		i;

	if (strncmp(sub_code, "isp.", 4) == 0 || strncmp(sub_code, "aop.", 4) == 0)
		sub_code += 4;
	for (i = 0; i < lengthof_array(codes); i++)
		if (strcasecmp(sub_code, codes[i].code) == 0)
			return codes[i].answer;
	return strcmp(code, "20000") == 0 || strcmp(code, "40005") == 0 ? BILL_UNKNOWN : BILL_REFUSED;
}

static void
read_url(const AlipayConfig *config, const json_t *node, BillOffer *out)
{
	const char *file = json_text(node, "bill_file_code");
	const char *url = json_text(node, "bill_download_url");
	Buf			safe = BUF_INIT;

	text_clip(out->code, sizeof(out->code), file ? file : "10000");
	out->answer = BILL_REFUSED;
	if (file != NULL && (strcmp(file, "EMPTY_DATA_WITH_BILL_FILE") == 0 ||
						 strcmp(file, "NO_BILL_DATA") == 0))
		out->answer = BILL_EMPTY;
	else if (url == NULL || url[0] == '\0')
		str_copy(out->message, sizeof(out->message), "the answer has no bill_download_url");
	else if (!safe_url(config, url, &safe) || !str_copy(out->url, sizeof(out->url), buf_str(&safe)))
		str_copy(out->message, sizeof(out->message),
				 "the answer's bill_download_url is at a host that is not Alipay's");
	else
		out->answer = BILL_READY;
	buf_free(&safe);
}

static void
read_offer(void *arg, const HttpAnswer *answer, int64_t now, BillOffer *out)
{
	const AlipayConfig *config = arg;
	ChannelEvidence e;
	json_t	   *node;
	const char *code;
	const char *sub_code;
	const char *words;

	memset(out, 0, sizeof(*out));
	out->answer = BILL_UNKNOWN;
	answer_begin(answer, config->app_id, "trace_id", &e);
	node = alipay_gateway_answer(config, &alipay_refunds, CALL_ECHO, NODE_BILL, answer, now, &e);
	if (node == NULL)
	{
		if (e.verdict == VERDICT_CONFIG)
			out->answer = BILL_REFUSED;
		text_clip(out->code, sizeof(out->code), e.code);
		text_clip(out->message, sizeof(out->message), e.message);
		return;
	}
	code = json_text(node, "code");
	sub_code = json_text(node, "sub_code");
	words = json_text(node, "sub_msg");
	if (code == NULL)
		str_copy(out->message, sizeof(out->message), "the answer is signed, but has no code");
	else if (strcmp(code, "10000") == 0)
		read_url(config, node, out);
	else
	{
		out->answer = answer_of(code, sub_code ? sub_code : "");
		text_clip(out->code, sizeof(out->code), sub_code ? sub_code : code);

		/* sub_msg of a wrong signature holds all that was signed, with the token */
		text_clip(out->message, sizeof(out->message),
				  words == NULL || strncmp(out->code, "isv.", 4) == 0 ? "" : words);
	}
	json_decref(node);
}
