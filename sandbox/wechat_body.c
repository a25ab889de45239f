/*-------------------------------------------------------------------------
 *
 * wechat_body.c
 *	  What WeChat Pay accepts as the body of a call (sections 1.2 and 2.1).
 *
 * Stricter than a real server where the documents leave room, because what is
 * let through here is what nobody will notice before production.
 *
 * sandbox/wechat_body.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "wechat.h"

#define REASON_MAX		80
#define URL_MAX			256
#define TRADE_NO_MAX	32

/* No null anywhere, and no character outside the basic plane. */
static bool
value_ok(json_t *v, const char **why)
{
	const char *key;
	json_t	   *item;
	size_t		i;

	if (json_is_null(v))
	{
		*why = "请求参数不能为null";
		return false;
	}
	if (json_is_string(v))
	{
		const char *s = json_string_value(v);

		for (i = 0; i < json_string_length(v); i++)
			if ((unsigned char) s[i] >= 0xf0)
			{
				*why = "仅支持1至3字节的UTF-8字符";
				return false;
			}
		return true;
	}
	json_array_foreach(v, i, item)
		if (!value_ok(item, why))
			return false;
	json_object_foreach(v, key, item)
		if (!value_ok(item, why))
			return false;
	return true;
}

json_t *
wechat_parse_body(const SbRequest *req, const char **why)
{
	const char *type = http_header_get(&req->headers, "Content-Type");
	json_t	   *body;

	if (type == NULL || strncasecmp(type, "application/json", 16) != 0 ||
		(type[16] != '\0' && type[16] != ';' && type[16] != ' '))
	{
		*why = "Content-Type必须为application/json";
		return NULL;
	}
	body = json_loadb(buf_str(&req->body), req->body.len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(body))
		*why = "请求体不是合法的JSON";
	else if (value_ok(body, why))
		return body;
	json_decref(body);
	return NULL;
}

/* A string field of 1..max bytes, or absent; false if it is anything else. */
bool
wechat_take_string(json_t *body, const char *name, size_t max, const char **out,
				   const char **field, const char **why)
{
	json_t	   *v = json_object_get(body, name);

	*out = json_string_value(v);
	if (v == NULL)
		return true;
	if (*out != NULL && json_string_length(v) >= 1 && json_string_length(v) <= max)
		return true;
	*field = name;
	*why = "字符串类型或长度不符合要求";
	return false;
}

static bool
take_fen(json_t *amount, const char *name, int64_t *out)
{
	json_t	   *v = json_object_get(amount, name);

	*out = json_integer_value(v);
	return json_is_integer(v) && *out >= 1 && *out <= INT64_C(100000000000);
}

bool
wechat_number_ok(const char *no)
{
	return *no != '\0' && strlen(no) <= SB_NO_MAX &&
		no[strspn(no, "0123456789abcdefghijklmnopqrstuvwxyz"
				  "ABCDEFGHIJKLMNOPQRSTUVWXYZ_-|*@")] == '\0';
}

/* Absolute, with a path, and neither query nor fragment (3.6). */
bool
wechat_notify_url_ok(const char *url)
{
	const char *host;

	if (strncmp(url, "https://", 8) == 0)
		host = url + 8;
	else if (strncmp(url, "http://", 7) == 0)
		host = url + 7;
	else
		return false;
	return *host != '/' && strchr(host, '/') != NULL && strpbrk(url, "?# ") == NULL;
}

/*
 * A number stands for its parameters.  We compare all of them, in canonical
 * form: whoever repeats a number must not have changed anything.
 */
bool
wechat_digest(json_t *body, char out[65])
{
	char	   *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
	bool		ok = text != NULL && sha256_hex(text, strlen(text), out);

	free(text);
	return ok;
}

static bool
read_amount(json_t *body, RefundCall *call, const char **field, const char **why)
{
	json_t	   *amount = json_object_get(body, "amount");
	const char *currency = json_string_value(json_object_get(amount, "currency"));

	*why = "金额必须为正整数，单位为分";
	*field = "amount/refund";
	if (!take_fen(amount, "refund", &call->refund))
		return false;
	*field = "amount/total";
	if (!take_fen(amount, "total", &call->total))
		return false;
	*field = "amount/currency";
	*why = "币种必须为CNY";
	return currency != NULL && strcmp(currency, "CNY") == 0;
}

/* False: the parameter *field is wrong, and *why says how. */
bool
wechat_read_refund_call(json_t *body, RefundCall *call, const char **field, const char **why)
{
	const char *reason,
			   *funds;

	memset(call, 0, sizeof(*call));
	if (!wechat_take_string(body, "out_refund_no", SB_NO_MAX, &call->out_refund_no, field, why) ||
		!wechat_take_string(body, "transaction_id", TRADE_NO_MAX, &call->transaction_id, field, why) ||
		!wechat_take_string(body, "out_trade_no", TRADE_NO_MAX, &call->out_trade_no, field, why) ||
		!wechat_take_string(body, "notify_url", URL_MAX, &call->notify_url, field, why) ||
		!wechat_take_string(body, "sub_mchid", SB_MCHID_MAX, &call->sub_mchid, field, why) ||
		!wechat_take_string(body, "reason", REASON_MAX, &reason, field, why) ||
		!wechat_take_string(body, "funds_account", TRADE_NO_MAX, &funds, field, why) ||
		!read_amount(body, call, field, why))
		return false;
	*field = "out_refund_no";
	*why = "商户退款单号只能是数字、大小写字母及_-|*@";
	if (call->out_refund_no == NULL || !wechat_number_ok(call->out_refund_no))
		return false;
	*field = "transaction_id";
	*why = "transaction_id和out_trade_no必须且只能填一个";
	if ((call->transaction_id == NULL) == (call->out_trade_no == NULL))
		return false;
	*field = "notify_url";
	*why = "notify_url必须为完整的URL，且不能携带参数";
	if (call->notify_url != NULL && !wechat_notify_url_ok(call->notify_url))
		return false;
	*field = "funds_account";
	*why = "资金账户不正确";
	if (funds != NULL && strcmp(funds, "AVAILABLE") != 0 && strcmp(funds, "UNSETTLED") != 0)
		return false;
	*field = "body";
	*why = "系统异常";
	return wechat_digest(body, call->digest);
}
