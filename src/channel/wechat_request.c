/*-------------------------------------------------------------------------
 *
 * wechat_request.c
 *	  The frozen body of a refund, and signed requests.
 *
 * The body is made once, at submit, and stored.  Whatever is sent for a
 * number later is these bytes: WeChat takes the same number with other
 * parameters for a mistake, or worse.  Only the signature is new each time,
 * because it covers the time.
 *
 * Signed are five lines, each ended by a newline, also the last: method, path
 * with query exactly as on the request line, time, nonce, body.  The URL is
 * therefore composed once, and the path that is signed is cut out of it.
 *
 * src/channel/wechat_request.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel/wechat.h"

#define REFUNDS_PATH		"/v3/refund/domestic/refunds"
#define ECHO_PATH			"/v3/security/echo"
#define USER_AGENT			"refundx/1"
#define NOTIFY_URL_MAX		256
#define GOODS_MAX			200
#define ANSWER_MAX			((size_t) 256 * 1024)

static bool add_payment_data(json_t *body, json_t *amount, const ChannelInstruction *instr,
							 ChannelError *err);
static bool goods_acceptable(const json_t *goods, ChannelError *err);
static bool from_acceptable(const json_t *from, int64_t refund, ChannelError *err);
static json_t *amount_object(const ChannelInstruction *instr);
static bool bytes_acceptable(const Buf *request, ChannelError *err);
static bool sign(const WechatConfig *config, HttpRequest *out, size_t path,
				 const ChannelMoment *moment);
static void compose_url(const WechatConfig *config, ChannelCall call,
						const ChannelInstruction *instr, const char *base, Buf *url);

/* ---- the frozen body ---- */

bool
wechat_notify_url_acceptable(const char *url, ChannelError *err)
{
	UrlParts	parts;
	UrlKind		kind = url_examine(url, &parts);
	const char *hint = "It is public_base_url and the channel's name: https, reachable from "
		"outside, with a path, without a query.";

	if (strlen(url) > NOTIFY_URL_MAX)
		return channel_error(err, hint, "the callback address has %lu bytes; WeChat Pay takes %d",
							 (unsigned long) strlen(url), NOTIFY_URL_MAX);
	if (kind == URL_BAD)
		return channel_error(err, hint, "the callback address is not an absolute URL");
	if (kind == URL_PLAIN)
		return channel_error(err, hint, "the callback address is not https");
	if (parts.has_query)
		return channel_error(err, hint, "the callback address has a query");
	if (url[parts.path] != '/' || url[parts.path + 1] == '\0')
		return channel_error(err, hint, "the callback address has no path");
	return true;
}

/* What the application may say of goods: numbers WeChat would refuse otherwise. */
static bool
goods_acceptable(const json_t *goods, ChannelError *err)
{
	static const char *const required[] = {"unit_price", "refund_amount", "refund_quantity"};
	static const struct
	{
		const char *name;
		size_t		max;
	}			texts[] = {{"merchant_goods_id", 32}, {"wechatpay_goods_id", 32}, {"goods_name", 256}};
	json_t	   *item;
	size_t		i,
				k;
	int64_t		n;

	if (!json_is_array(goods) || json_array_size(goods) < 1 || json_array_size(goods) > GOODS_MAX)
		return channel_error(err, NULL, "goods_detail must be a list of 1 to %d goods", GOODS_MAX);
	json_array_foreach(goods, i, item)
	{
		if (json_text(item, "merchant_goods_id") == NULL)
			return channel_error(err, NULL, "goods_detail[%lu] has no merchant_goods_id",
								 (unsigned long) i);
		for (k = 0; k < lengthof_array(texts); k++)
		{
			const json_t *v = json_object_get(item, texts[k].name);

			if (v != NULL && (!json_is_string(v) || json_string_length(v) < 1 ||
							  json_string_length(v) > texts[k].max))
				return channel_error(err, NULL,
									 "goods_detail[%lu].%s must be a text of 1 to %lu bytes",
									 (unsigned long) i, texts[k].name,
									 (unsigned long) texts[k].max);
		}
		for (k = 0; k < lengthof_array(required); k++)
			if (!json_amount(item, required[k], &n))
				return channel_error(err, NULL,
									 "goods_detail[%lu].%s must be a whole number, not negative",
									 (unsigned long) i, required[k]);
		if (json_object_size(item) > lengthof_array(required) + lengthof_array(texts))
			return channel_error(err, NULL,
								 "goods_detail[%lu] has a member that WeChat Pay does not know",
								 (unsigned long) i);
	}
	return true;
}

static bool
from_acceptable(const json_t *from, int64_t refund, ChannelError *err)
{
	json_t	   *item;
	size_t		i;
	int64_t		n;
	int64_t		sum = 0;

	if (!json_is_array(from) || json_array_size(from) < 1 || json_array_size(from) > 8)
		return channel_error(err, NULL, "amount_from must be a list of accounts and amounts");
	json_array_foreach(from, i, item)
	{
		const char *account = json_text(item, "account");

		if (account == NULL ||
			(strcmp(account, "AVAILABLE") != 0 && strcmp(account, "UNAVAILABLE") != 0) ||
			!json_amount(item, "amount", &n) || n > refund || json_object_size(item) != 2)
			return channel_error(err, NULL,
								 "amount_from[%lu] must have an account (AVAILABLE or UNAVAILABLE) "
								 "and an amount within the refund's", (unsigned long) i);
		sum += n;
	}
	if (sum != refund)
		return channel_error(err, NULL, "the amounts in amount_from add up to %lld, not to %lld",
							 (long long) sum, (long long) refund);
	return true;
}

/* Of the payment's channel_data, the three members that are about refunds. */
static bool
add_payment_data(json_t *body, json_t *amount, const ChannelInstruction *instr, ChannelError *err)
{
	json_t	   *data;
	json_t	   *v;
	bool		good = true;

	if (instr->payment_data == NULL)
		return true;
	data = json_hostile_object(instr->payment_data, strlen(instr->payment_data));
	if (data == NULL)
		return channel_error(err, NULL, "the payment's channel_data is not a JSON object");
	v = json_object_get(data, "funds_account");
	if (v != NULL)
	{
		const char *account = json_string_value(v);

		good = account != NULL &&
			(strcmp(account, "AVAILABLE") == 0 || strcmp(account, "UNSETTLED") == 0);
		if (!good)
			channel_error(err, "Leave it out unless WeChat told you to give it.",
						  "funds_account must be AVAILABLE or UNSETTLED");
		else
			good = json_object_set(body, "funds_account", v) == 0;
	}
	v = json_object_get(data, "amount_from");
	if (good && v != NULL)
		good = from_acceptable(v, instr->amount, err) && json_object_set(amount, "from", v) == 0;
	v = json_object_get(data, "goods_detail");
	if (good && v != NULL)
		good = goods_acceptable(v, err) && json_object_set(body, "goods_detail", v) == 0;
	json_decref(data);
	return good;
}

/* Whether the payment's channel_data can go into a refund of this amount. */
bool
wechat_payment_data_acceptable(const ChannelInstruction *instr, ChannelError *err)
{
	json_t	   *body;
	json_t	   *amount;
	bool		good;

	if (instr->payment_data == NULL)
		return true;
	body = json_object();
	amount = json_object();
	good = body != NULL && amount != NULL && add_payment_data(body, amount, instr, err);
	json_decref(body);
	json_decref(amount);
	return good;
}

static json_t *
amount_object(const ChannelInstruction *instr)
{
	return json_pack("{s:I, s:I, s:s}",
					 "refund", (json_int_t) instr->amount,
					 "total", (json_int_t) instr->payment_amount,
					 "currency", instr->currency);
}

/* WeChat takes no character beyond the basic plane. */
static bool
bytes_acceptable(const Buf *request, ChannelError *err)
{
	if (request->failed || request->len == 0)
		return channel_error(err, NULL, "the refund's request could not be put together");
	if (utf8_has_four_bytes(request->data, request->len))
		return channel_error(err, "WeChat Pay takes characters of at most three bytes in UTF-8.",
							 "the refund's reason or goods have an emoji or another character "
							 "that WeChat Pay does not take");
	return true;
}

bool
wechat_freeze(void *arg, const ChannelInstruction *instr, Buf *request, ChannelError *err)
{
	const WechatConfig *config = arg;
	json_t	   *body = json_object();
	json_t	   *amount = amount_object(instr);
	char	   *text = NULL;
	bool		good;

	memset(err, 0, sizeof(*err));
	good = body != NULL && amount != NULL;
	if (good && config->sub_mchid[0] != '\0')
		good = json_object_set_new(body, "sub_mchid", json_string(config->sub_mchid)) == 0;

	/* exactly one of the two */
	if (good && instr->channel_payment_id != NULL)
		good = json_object_set_new(body, "transaction_id",
								   json_string(instr->channel_payment_id)) == 0;
	else if (good)
		good = json_object_set_new(body, "out_trade_no", json_string(instr->payment_no)) == 0;
	good = good && json_object_set_new(body, "out_refund_no", json_string(instr->wire_no)) == 0;
	if (good && instr->reason != NULL && instr->reason[0] != '\0')
		good = json_object_set_new(body, "reason", json_string(instr->reason)) == 0;
	if (good && instr->notify_url != NULL)
		good = wechat_notify_url_acceptable(instr->notify_url, err) &&
			json_object_set_new(body, "notify_url", json_string(instr->notify_url)) == 0;
	good = good && add_payment_data(body, amount, instr, err) &&
		json_object_set(body, "amount", amount) == 0;
	if (good)
		text = json_dumps(body, JSON_COMPACT);
	if (text != NULL)
	{
		buf_reset(request);
		buf_adds(request, text);
		good = bytes_acceptable(request, err);
	}
	else if (err->message[0] == '\0')
		channel_error(err, "All texts must be valid UTF-8.",
					  "the refund's request could not be put together");
	good = good && text != NULL;
	free(text);
	json_decref(amount);
	json_decref(body);
	return good;
}

/* ---- requests ---- */

/*
 * A refund's number may contain '|', '*' and '@'.  It is escaped once, and the
 * same text is sent and signed.
 */
static void
compose_url(const WechatConfig *config, ChannelCall call, const ChannelInstruction *instr,
			const char *base, Buf *url)
{
	buf_reset(url);
	buf_adds(url, base);
	switch (call)
	{
		case CALL_SUBMIT:
			buf_adds(url, REFUNDS_PATH);
			break;
		case CALL_QUERY:
			buf_adds(url, REFUNDS_PATH "/");
			percent_encode(url, instr->wire_no, strlen(instr->wire_no));
			if (config->sub_mchid[0] != '\0')
				buf_addf(url, "?sub_mchid=%s", config->sub_mchid);
			break;
		case CALL_CANCEL:		/* of transfers only */
		case CALL_ABNORMAL:		/* wechat_abnormal.c */
			break;
		case CALL_ECHO:
			buf_adds(url, ECHO_PATH);
			break;
	}
}

/* Add the Authorization header for what the request holds by now. */
static bool
sign(const WechatConfig *config, HttpRequest *out, size_t path, const ChannelMoment *moment)
{
	Buf			text = BUF_INIT;
	Buf			raw = BUF_INIT;
	Buf			header = BUF_INIT;
	bool		good;

	buf_addf(&text, "%s\n%s\n%lld\n%s\n", out->method, buf_str(&out->url) + path,
			 (long long) moment->now, moment->nonce);
	buf_add(&text, out->body.data, out->body.len);
	buf_addc(&text, '\n');
	good = !text.failed &&
		rsa_sign_sha256(config->private_key, text.data, text.len, &raw);
	if (good)
	{
		buf_addf(&header, "WECHATPAY2-SHA256-RSA2048 mchid=\"%s\",nonce_str=\"%s\",signature=\"",
				 config->mchid, moment->nonce);
		base64_encode(&header, raw.data, raw.len);
		buf_addf(&header, "\",timestamp=\"%lld\",serial_no=\"%s\"",
				 (long long) moment->now, config->merchant_serial);
		good = !header.failed && http_header_add(&out->headers, "Authorization", buf_str(&header));
	}
	buf_free(&text);
	buf_free(&raw);
	buf_free(&header);
	return good;
}

bool
wechat_finish_request(const WechatConfig *config, const ChannelLimits *limits,
					  const char *serial, size_t path, const ChannelMoment *moment,
					  HttpRequest *out, ChannelError *err)
{
	bool		good;

	/* without Accept or User-Agent WeChat refuses before it looks at anything else */
	good = http_header_add(&out->headers, "Accept", "application/json") &&
		http_header_add(&out->headers, "User-Agent", USER_AGENT) &&
		http_header_add(&out->headers, "Wechatpay-Serial", serial);
	if (good && strcmp(out->method, "GET") != 0)
		good = http_header_add(&out->headers, "Content-Type", "application/json");
	good = good && !out->url.failed && !out->body.failed && sign(config, out, path, moment);
	out->connect_timeout_ms = limits->connect_timeout_ms;
	out->total_timeout_ms = limits->call_timeout_ms;
	out->max_answer = ANSWER_MAX;
	if (good)
		return true;
	http_request_free(out);
	http_request_init(out);
	return channel_error(err, NULL, "the request could not be signed");
}

bool
wechat_build(void *arg, ChannelCall call, const ChannelInstruction *instr,
			 const Buf *frozen, const ChannelMoment *moment,
			 HttpRequest *out, ChannelError *err)
{
	const WechatConfig *config = arg;
	const char *base = config->base_url;

	memset(err, 0, sizeof(*err));
	http_request_free(out);
	http_request_init(out);
	if (moment->nonce == NULL || moment->nonce[0] == '\0')
		return channel_error(err, NULL, "a request to WeChat Pay needs a nonce");
	if (call == CALL_ABNORMAL)
		return wechat_divert_build(config, instr, frozen, moment, out, err);
	if (call == CALL_SUBMIT && (frozen == NULL || frozen->failed || frozen->len == 0))
		return channel_error(err, NULL, "a refund without its frozen request cannot be sent");
	if (call == CALL_QUERY && (instr == NULL || instr->wire_no == NULL || instr->wire_no[0] == '\0'))
		return channel_error(err, NULL, "a refund without a number cannot be asked about");

	if (moment->use_backup && config->backup_url[0] != '\0')
		base = config->backup_url;
	strcpy(out->method, call == CALL_QUERY ? "GET" : "POST");
	compose_url(config, call, instr, base, &out->url);
	if (call == CALL_SUBMIT)
		buf_add(&out->body, frozen->data, frozen->len);
	else if (call == CALL_ECHO)
		buf_addf(&out->body, "{\"echo_message\":\"%s\"}", moment->nonce);

	return wechat_finish_request(config, &wechat_refunds.limits, config->use_key, strlen(base),
								 moment, out, err);
}
