/*-------------------------------------------------------------------------
 *
 * wechat_bill_request.c
 *	  WeChat Pay's bills: which there are, how one is asked for (4013071227,
 *	  4013071235), and how it is downloaded (4013071238).
 *
 * The answer to the question is signed and has the file's hash; the file itself
 * is not signed.  So what is downloaded is what WeChat meant if its hash is the
 * one that was announced, and only then.
 *
 * The download is signed with our key as any other call is, and goes to a URL
 * that somebody else wrote: it is built for WeChat's own hosts only.
 *
 * src/channel/wechat_bill_request.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "channel/channel_answer.h"
#include "channel/wechat_bill.h"

#define TRADE_PATH	"/v3/bill/tradebill?bill_date=%s&bill_type=REFUND&tar_type=GZIP"
#define FUND_PATH	"/v3/bill/fundflowbill?bill_date=%s&account_type=%s&tar_type=GZIP"

static bool ask_trade(void *config, const char *day, const char *cursor,
					  const ChannelMoment *moment, HttpRequest *out, ChannelError *err);
static bool ask_basic(void *config, const char *day, const char *cursor,
					  const ChannelMoment *moment, HttpRequest *out, ChannelError *err);
static bool ask_operation(void *config, const char *day, const char *cursor,
						  const ChannelMoment *moment, HttpRequest *out, ChannelError *err);
static void read_offer(void *config, const HttpAnswer *answer, int64_t now, BillOffer *out);
static bool download(void *config, const BillOffer *offer, const ChannelMoment *moment,
					 HttpRequest *out, ChannelError *err);

/* Where bills are downloaded from (core/http/Constant of WeChat's own SDK). */
static const char *const known_hosts[] = {
	"api.mch.weixin.qq.com", "api2.mch.weixin.qq.com", "api.wechatpay.cn", "api2.wechatpay.cn", NULL
};

/* Made from 09:00 on, there at 10:00; of the last three months. */
#define WECHAT_BILL_TIMES \
	.utc_offset = WECHAT_BILL_OFFSET, \
	.ready_at = 10 * 3600, \
	.retry_after = 1800, \
	.max_age_days = 90

static const ChannelBill trade_bill = {
	.kind = "trade",
	.label = "WeChat Pay's trade bill",
	.has_refunds = true,
	WECHAT_BILL_TIMES,
	.delay_days = 1,			/* taken on around midnight */
	.ask = ask_trade,
	.read_offer = read_offer,
	.download = download,
	.by_acceptance = true,
	.open = wechat_bill_trade_open,
};

static const ChannelBill fund_basic_bill = {
	.kind = "fund_basic",
	.label = "WeChat Pay's fund bill of the basic account",
	.is_ledger = true,
	WECHAT_BILL_TIMES,
	.delay_days = 4,			/* a card's refund takes up to three days */
	.by_acceptance = true,
	.paid_is_taken = true,		/* of refunds; of transfers, until it comes back */
	.ask = ask_basic,
	.read_offer = read_offer,
	.download = download,
	.open = wechat_bill_basic_open,
};

static const ChannelBill fund_operation_bill = {
	.kind = "fund_operation",
	.label = "WeChat Pay's fund bill of the operation account",
	.has_transfers = true,
	.is_ledger = true,
	WECHAT_BILL_TIMES,
	.delay_days = 2,			/* the payee has a day to confirm */
	.by_acceptance = true,
	.paid_is_taken = true,
	.ask = ask_operation,
	.read_offer = read_offer,
	.download = download,
	.open = wechat_bill_operation_open,
};

const ChannelBill *const wechat_bills[] = {
	&trade_bill,
	&fund_basic_bill,
	&fund_operation_bill,
	NULL
};

/* ---- requests ---- */

static const char *
base_of(const WechatConfig *config, const ChannelMoment *moment)
{
	return moment->use_backup && config->backup_url[0] != '\0' ? config->backup_url : config->base_url;
}

/* A GET whose path and query are what `fmt` makes of them. */
static bool
ask(void *arg, const char *day, const char *path, const ChannelMoment *moment, HttpRequest *out,
	ChannelError *err)
{
	const WechatConfig *config = arg;
	const char *base = base_of(config, moment);
	BillDay		checked;

	memset(err, 0, sizeof(*err));
	http_request_free(out);
	http_request_init(out);
	if (!bill_day_open(&checked, day, WECHAT_BILL_OFFSET, err))
		return false;
	if (moment->nonce == NULL || moment->nonce[0] == '\0')
		return channel_error(err, NULL, "a request to WeChat Pay needs a nonce");
	strcpy(out->method, "GET");
	buf_addf(&out->url, "%s%s", base, path);
	return wechat_finish_request(config, &wechat_refunds.limits, config->use_key, strlen(base),
								 moment, out, err);
}

static bool
ask_trade(void *config, const char *day, const char *cursor, const ChannelMoment *moment,
		  HttpRequest *out, ChannelError *err)
{
	char		path[128];

	(void) cursor;				/* one file has all */
	snprintf(path, sizeof(path), TRADE_PATH, day);
	return ask(config, day, path, moment, out, err);
}

static bool
ask_basic(void *config, const char *day, const char *cursor, const ChannelMoment *moment,
		  HttpRequest *out, ChannelError *err)
{
	char		path[128];

	(void) cursor;
	snprintf(path, sizeof(path), FUND_PATH, day, "BASIC");
	return ask(config, day, path, moment, out, err);
}

static bool
ask_operation(void *config, const char *day, const char *cursor, const ChannelMoment *moment,
			  HttpRequest *out, ChannelError *err)
{
	char		path[128];

	(void) cursor;
	snprintf(path, sizeof(path), FUND_PATH, day, "OPERATION");
	return ask(config, day, path, moment, out, err);
}

/* WeChat's own hosts, or what the configuration calls so. */
static bool
url_good(const WechatConfig *config, const char *url, size_t *path)
{
	return bill_url_good(url, known_hosts, config->base_url, path) ||
		bill_url_good(url, known_hosts, config->backup_url, path);
}

static bool
download(void *arg, const BillOffer *offer, const ChannelMoment *moment, HttpRequest *out,
		 ChannelError *err)
{
	const WechatConfig *config = arg;
	size_t		path;

	memset(err, 0, sizeof(*err));
	http_request_free(out);
	http_request_init(out);
	if (!url_good(config, offer->url, &path))
		return channel_error(err, "It is not followed: our signature would go with it.",
							 "WeChat Pay's bill is said to be at a host that is not WeChat Pay's");
	if (moment->nonce == NULL || moment->nonce[0] == '\0')
		return channel_error(err, NULL, "a request to WeChat Pay needs a nonce");
	strcpy(out->method, "GET");
	buf_adds(&out->url, offer->url);
	if (!wechat_finish_request(config, &wechat_refunds.limits, config->use_key, path, moment, out, err))
		return false;
	out->max_answer = BILL_PACKED_MAX;
	out->total_timeout_ms = BILL_DOWNLOAD_TIMEOUT_MS;
	return true;
}

/* ---- the offer ---- */

/* "SHA1" and 40 digits: as the readers compare it. */
static bool
read_hash(const json_t *body, BillOffer *out)
{
	const char *type = json_text(body, "hash_type");
	const char *value = json_text(body, "hash_value");

	if (type == NULL || value == NULL || strcmp(type, "SHA1") != 0 || strlen(value) != 40 ||
		strspn(value, "0123456789abcdefABCDEF") != 40)
		return false;
	snprintf(out->hash, sizeof(out->hash), "sha1:%s", value);
	return true;
}

static void
read_success(const WechatConfig *config, const HttpAnswer *answer, int64_t now, BillOffer *out)
{
	ChannelEvidence e;
	json_t	   *body;
	size_t		path;
	const char *url;

	answer_begin(answer, config->mchid, "Request-ID", &e);
	if (!wechat_answer_verified(config, answer, now, &e))
	{
		text_clip(out->message, sizeof(out->message), e.message);
		return;
	}
	body = answer->status == 200 && answer_is_json(&answer->headers) ?
		json_hostile_object(answer->body.data, answer->body.len) : NULL;
	url = json_text(body, "download_url");
	out->answer = BILL_REFUSED;
	if (body == NULL)
		str_copy(out->message, sizeof(out->message), "the answer is signed, but not a JSON object");
	else if (!read_hash(body, out))
		str_copy(out->message, sizeof(out->message), "the answer has no SHA-1 of the file");
	else if (url == NULL || !str_copy(out->url, sizeof(out->url), url))
		str_copy(out->message, sizeof(out->message), "the answer has no download_url");
	else if (!url_good(config, url, &path))
		str_copy(out->message, sizeof(out->message),
				 "the answer's download_url is at a host that is not WeChat Pay's");
	else
		out->answer = BILL_READY;
	if (out->answer != BILL_READY)
		out->url[0] = '\0';
	json_decref(body);
}

/* What is not listed is for a person, unless it passes by itself. */
static void
read_failure(const HttpAnswer *answer, BillOffer *out)
{
	json_t	   *body = answer_is_json(&answer->headers) ?
		json_hostile_object(answer->body.data, answer->body.len) : NULL;
	const char *code = json_text(body, "code");
	const char *words = json_text(body, "message");

	text_clip(out->code, sizeof(out->code), code ? code : "");
	text_clip(out->message, sizeof(out->message), words ? words : "");
	if (answer->status == 400 && strcmp(out->code, "NO_STATEMENT_EXIST") == 0)
		out->answer = BILL_EMPTY;
	else if (answer->status == 400 && strcmp(out->code, "STATEMENT_CREATING") == 0)
		out->answer = BILL_NOT_YET;
	else if (answer->status >= 400 && answer->status < 500 && answer->status != 429)
		out->answer = BILL_REFUSED;
	if (out->message[0] == '\0')
		snprintf(out->message, sizeof(out->message), "HTTP %d without WeChat Pay's words",
				 answer->status);
	json_decref(body);
}

static void
read_offer(void *config, const HttpAnswer *answer, int64_t now, BillOffer *out)
{
	memset(out, 0, sizeof(*out));
	out->answer = BILL_UNKNOWN;
	if (answer->outcome != HTTP_ANSWERED)
		text_clip(out->message, sizeof(out->message), answer->error);
	else if (answer->status >= 200 && answer->status <= 299)
		read_success(config, answer, now, out);
	else
		read_failure(answer, out);
}
