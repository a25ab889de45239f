/*-------------------------------------------------------------------------
 *
 * wechat_auth.c
 *	  Who is calling, and how WeChat Pay signs what it says (1.2 to 1.5).
 *
 * The checks come in the order that was seen at the real host: the headers
 * that every call must have, then the clock, then the signature.  Answers
 * other than 2xx carry no signature.
 *
 * sandbox/wechat_auth.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "wechat.h"

#define SCHEME			"WECHATPAY2-SHA256-RSA2048"
#define SKEW_SECONDS	300
#define LIMIT_OK		150		/* calls a second and merchant */
#define LIMIT_FAILING	6
#define LIMIT_TRANSFERS 100		/* the same of transfers (4.1, 4.4); failing ones are as good */

/* ---- answers ---- */

static void
add_request_id(SbRequest *req)
{
	char		nonce[33];
	Buf			id = BUF_INIT;

	random_nonce(nonce);
	for (char *p = nonce; *p; p++)
		if (*p >= 'a')
			*p -= 'a' - 'A';
	buf_addf(&id, "08%.18s-%u", nonce, 268435456U + (unsigned) (ledger_sequence() % 1000000));
	http_header_add(&req->answer_headers, "Request-ID", buf_str(&id));
	buf_free(&id);
}

/* Errors are unsigned.  `field` names the parameter at fault, or is NULL. */
void
wechat_error(SbRequest *req, SbMerchant *m, int status, const char *code,
			 const char *message, const char *field)
{
	json_t	   *body = json_pack("{ss ss}", "code", code, "message", message);

	if (field != NULL)
	{
		Buf			path = BUF_INIT;

		buf_addf(&path, "/%s", field);
		json_object_set_new(body, "detail",
							json_pack("{ss ss ss}", "field", buf_str(&path),
									  "issue", message, "location", "body"));
		buf_free(&path);
	}
	add_request_id(req);
	merchant_count(m, status >= 200 && status < 300);
	request_answer_json(req, status, body);
}

/*
 * Sign body into headers.  With probe, the signature is one of the two kinds
 * of deliberate nonsense that WeChat Pay sends to see whether anybody checks
 * (1.6): the prefix over the start of a signature (valid base64, wrong), or
 * glued before it (no base64 at all).  Returns an error or NULL.
 */
const char *
wechat_sign(const CryptoKey *key, const char *serial, bool probe, int64_t id,
			const Buf *body, HttpHeaders *headers)
{
	static const char prefix[] = "WECHATPAY/SIGNTEST/";
	char		nonce[33];
	char		timestamp[24];
	Buf			text = BUF_INIT,
				sig = BUF_INIT,
				b64 = BUF_INIT;
	bool		ok;

	snprintf(timestamp, sizeof(timestamp), "%lld", (long long) (wall_ms() / 1000));
	ok = random_nonce(nonce);
	buf_addf(&text, "%s\n%s\n", timestamp, nonce);
	buf_add(&text, buf_str(body), body->len);
	buf_addc(&text, '\n');
	if (probe)
		buf_adds(&b64, prefix);
	ok = ok && rsa_sign_sha256(key, buf_str(&text), text.len, &sig);
	if (ok)
		base64_encode(&b64, sig.data, sig.len);
	if (ok && probe && id % 2 == 0)
	{
		size_t		n = sizeof(prefix) - 1;

		memmove(b64.data + n, b64.data + 2 * n, b64.len - 2 * n + 1);
		b64.len -= n;
	}
	http_header_add(headers, "Wechatpay-Timestamp", timestamp);
	http_header_add(headers, "Wechatpay-Nonce", nonce);
	http_header_add(headers, "Wechatpay-Signature", buf_str(&b64));
	http_header_add(headers, "Wechatpay-Serial", serial);
	http_header_add(headers, "Wechatpay-Signature-Type", SCHEME);
	buf_free(&text);
	buf_free(&sig);
	buf_free(&b64);
	return ok ? NULL : "could not sign";
}

/* Without the header a merchant is answered as before there were public keys. */
bool
wechat_response_key(const SbRequest *req, const SbMerchant *m,
					const CryptoKey **key, const char **serial)
{
	const char *wanted = http_header_get(&req->headers, "Wechatpay-Serial");

	if (wanted == NULL || strcmp(wanted, wechat_keys(m)->platform_serial) == 0)
	{
		*key = wechat_keys(m)->platform_key;
		*serial = wechat_keys(m)->platform_serial;
		return true;
	}
	*key = wechat_keys(m)->pub_key;
	*serial = wechat_keys(m)->pub_key_id;
	return strcmp(wanted, wechat_keys(m)->pub_key_id) == 0;
}

/* A signed 200; steals body.  bad_signature: signed, but over other bytes. */
void
wechat_answer(SbRequest *req, SbMerchant *m, json_t *body, bool bad_signature)
{
	char	   *text = json_dumps(body, JSON_COMPACT);
	const CryptoKey *key;
	const char *serial;
	Buf			other = BUF_INIT;

	json_decref(body);
	buf_adds(&req->answer, text ? text : "{}");
	free(text);
	if (bad_signature)
		buf_addf(&other, "%s ", buf_str(&req->answer));
	add_request_id(req);
	merchant_count(m, true);
	if (!wechat_response_key(req, m, &key, &serial) ||
		wechat_sign(key, serial, false, 0, bad_signature ? &other : &req->answer,
					&req->answer_headers) != NULL)
		request_reset(req);
	else
		request_answer(req, 200, "application/json; charset=utf-8");
	buf_free(&other);
}

/* ---- the Authorization header ---- */

typedef struct Credentials
{
	char		mchid[SB_MCHID_MAX + 1];
	char		nonce_str[129];
	char		signature[1025];
	char		timestamp[24];
	char		serial_no[129];
} Credentials;

/* Exactly five key="value" pairs, in any order, each once. */
static bool
parse_authorization(const char *s, Credentials *c)
{
	const struct
	{
		const char *name;
		char	   *to;
		size_t		size;
	}			fields[] = {
		{"mchid", c->mchid, sizeof(c->mchid)},
		{"nonce_str", c->nonce_str, sizeof(c->nonce_str)},
		{"signature", c->signature, sizeof(c->signature)},
		{"timestamp", c->timestamp, sizeof(c->timestamp)},
		{"serial_no", c->serial_no, sizeof(c->serial_no)}
	};
	int			found = 0;

	memset(c, 0, sizeof(*c));
	if (strncmp(s, SCHEME " ", sizeof(SCHEME)) != 0)
		return false;
	for (s += sizeof(SCHEME);; s++)
	{
		size_t		len = strcspn(s, "="),
					vlen,
					i;

		if (s[len] != '=' || s[len + 1] != '"')
			return false;
		vlen = strcspn(s + len + 2, "\"");
		for (i = 0; i < 5; i++)
			if (strlen(fields[i].name) == len && memcmp(fields[i].name, s, len) == 0)
				break;
		s += len + 2;
		if (i == 5 || fields[i].to[0] != '\0' || vlen == 0 ||
			vlen >= fields[i].size || s[vlen] != '"')
			return false;
		memcpy(fields[i].to, s, vlen);
		found++;
		s += vlen + 1;
		if (*s != ',')
			return *s == '\0' && found == 5;
	}
}

/* Who the request says it is from, true or not: for wire.log. */
void
wechat_claim(SbRequest *req)
{
	const char *header = http_header_get(&req->headers, "Authorization");
	Credentials c;

	if (header != NULL && parse_authorization(header, &c))
		str_copy(req->mchid, sizeof(req->mchid), c.mchid);
}

static bool
timestamp_ok(const char *s)
{
	int64_t		now = wall_ms() / 1000;
	long long	then = atoll(s);

	return strlen(s) <= 12 && s[strspn(s, "0123456789")] == '\0' &&
		then >= now - SKEW_SECONDS && then <= now + SKEW_SECONDS;
}

/* Five lines over the raw request target and the raw body (1.3). */
static bool
signature_ok(const SbRequest *req, const SbMerchant *m, const Credentials *c)
{
	Buf			text = BUF_INIT,
				sig = BUF_INIT;
	bool		ok;

	buf_addf(&text, "%s\n%s\n%s\n%s\n", req->method, buf_str(&req->uri), c->timestamp, c->nonce_str);
	buf_add(&text, buf_str(&req->body), req->body.len);
	buf_addc(&text, '\n');
	ok = !text.failed && base64_decode(&sig, c->signature, strlen(c->signature)) &&
		rsa_verify_sha256(wechat_keys(m)->certificate, text.data, text.len, sig.data, sig.len);
	buf_free(&text);
	buf_free(&sig);
	return ok;
}

static bool
has_required_headers(const SbRequest *req)
{
	const char *accept = http_header_get(&req->headers, "Accept");
	const char *agent = http_header_get(&req->headers, "User-Agent");

	return agent != NULL && *agent != '\0' && accept != NULL &&
		(strstr(accept, "application/json") != NULL || strstr(accept, "*/*") != NULL);
}

/* True: it has been answered. */
static bool
over_limit(SbRequest *req, SbMerchant *m)
{
	bool		transfer = strncmp(req->call, "wechat.transfer.", 16) == 0;

	if (!merchant_over_limit(m, transfer ? LIMIT_TRANSFERS : LIMIT_OK, transfer ? 0 : LIMIT_FAILING))
		return false;
	wechat_error(req, m, 429, transfer ? "FREQUENCY_LIMIT_EXCEED" : "FREQUENCY_LIMITED", "频率限制", NULL);
	return true;
}

SbMerchant *
wechat_authenticate(SbRequest *req)
{
	const char *header = http_header_get(&req->headers, "Authorization");
	Credentials c;
	SbMerchant *m;
	const CryptoKey *key;
	const char *serial;
	const char *why = NULL;

	if (!has_required_headers(req))
	{
		wechat_error(req, NULL, 400, "INVALID_REQUEST", "Http头缺少Accept或User-Agent", NULL);
		return NULL;
	}
	if (header == NULL || !parse_authorization(header, &c))
	{
		wechat_error(req, NULL, 401, "SIGN_ERROR", "Http头Authorization值格式错误", NULL);
		return NULL;
	}
	m = model_merchant_of(&wechat_channel, c.mchid);
	if (!timestamp_ok(c.timestamp))
		why = "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟";
	else if (m == NULL || strcmp(c.serial_no, wechat_keys(m)->serial) != 0)
		why = "商户证书序列号有误";
	else if (!signature_ok(req, m, &c))
		why = "签名错误，请检查后再试";
	if (why != NULL)
	{
		wechat_error(req, m, 401, "SIGN_ERROR", why, NULL);
		return NULL;
	}
	if (over_limit(req, m))
		return NULL;
	if (!wechat_response_key(req, m, &key, &serial))
	{
		wechat_error(req, m, 400, "PARAM_ERROR", "平台证书序列号Wechatpay-Serial错误", NULL);
		return NULL;
	}
	return m;
}
