/*-------------------------------------------------------------------------
 *
 * aliyun.c
 *	  Alibaba Cloud SMS: SendSms, with the V3 signature (ACS3-HMAC-SHA256).
 *
 * The signature is recomputed from what arrived: parameters are decoded and
 * encoded again, so that a caller whose encoding is not canonical is caught.
 *
 * sandbox/aliyun.c
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "sms.h"

#define SCHEME			"ACS3-HMAC-SHA256"
#define SKEW_SECONDS	900
#define MAX_PARAMS		64

typedef struct Param
{
	Buf			name;
	Buf			value;
} Param;

typedef struct Params
{
	Param		item[MAX_PARAMS];
	int			count;
} Params;

static Map	nonces;				/* used ones; a used nonce is refused */

/* ---- answers ---- */

static void
answer_code(SbRequest *req, int status, const char *code, const char *message, const char *biz_id)
{
	char		nonce[33];
	Buf			id = BUF_INIT;
	json_t	   *body;

	random_nonce(nonce);
	for (char *p = nonce; *p; p++)
		*p = (char) toupper((unsigned char) *p);
	buf_addf(&id, "%.8s-%.4s-%.4s-%.4s-%.12s", nonce, nonce + 8, nonce + 12, nonce + 16, nonce + 20);
	body = json_pack("{ss ss ss}", "Code", code, "Message", message, "RequestId", buf_str(&id));
	if (biz_id != NULL)
		json_object_set_new(body, "BizId", json_string(biz_id));
	http_header_add(&req->answer_headers, "x-acs-request-id", buf_str(&id));
	buf_free(&id);
	request_answer_json(req, status, body);
}

static void
aliyun_ok(SbRequest *req, const char *message_id)
{
	answer_code(req, 200, "OK", "OK", message_id);
}

static void
aliyun_error(SbRequest *req, const SmsOutcome *o)
{
	answer_code(req, o->status, o->code, o->message, NULL);
}

static const SmsProvider aliyun_provider = {"aliyun", aliyun_ok, aliyun_error};

/* ---- parameters ---- */

/* Everything that percent-decodes; false if something does not. */
static bool
read_params(Params *out, const char *s, bool form)
{
	while (s != NULL && *s)
	{
		size_t		len = strcspn(s, "&"),
					eq = strcspn(s, "=&");
		Param	   *p = &out->item[out->count];

		if (out->count == MAX_PARAMS)
			return false;
		if (len > 0)
		{
			buf_init(&p->name);
			buf_init(&p->value);
			out->count++;
			if (!percent_decode(&p->name, s, eq, form) ||
				(eq < len && !percent_decode(&p->value, s + eq + 1, len - eq - 1, form)))
				return false;
		}
		s += len;
		if (*s == '&')
			s++;
	}
	return true;
}

static void
free_params(Params *p)
{
	while (p->count > 0)
	{
		p->count--;
		buf_free(&p->item[p->count].name);
		buf_free(&p->item[p->count].value);
	}
}

static const char *
param(const Params *p, const char *name)
{
	int			i;

	for (i = 0; i < p->count; i++)
		if (strcmp(buf_str(&p->item[i].name), name) == 0)
			return buf_str(&p->item[i].value);
	return "";
}

static int
compare_params(const void *a, const void *b)
{
	int			c = strcmp(buf_str(&((const Param *) a)->name), buf_str(&((const Param *) b)->name));

	return c ? c : strcmp(buf_str(&((const Param *) a)->value), buf_str(&((const Param *) b)->value));
}

/* ---- the signature ---- */

static void
add_canonical_query(Buf *out, const char *query)
{
	Params	   *p = must_alloc(sizeof(*p));
	int			i;

	if (!read_params(p, query, false))
		out->failed = true;
	qsort(p->item, (size_t) p->count, sizeof(Param), compare_params);
	for (i = 0; i < p->count; i++)
	{
		if (i > 0)
			buf_addc(out, '&');
		percent_encode(out, buf_str(&p->item[i].name), p->item[i].name.len);
		buf_addc(out, '=');
		percent_encode(out, buf_str(&p->item[i].value), p->item[i].value.len);
	}
	free_params(p);
	free(p);
}

/* Is name in the semicolon-separated list?  Without regard to case. */
static bool
list_has(const char *list, const char *name)
{
	size_t		n = strlen(name);

	for (;;)
	{
		size_t		len = strcspn(list, ";");

		if (len == n && strncasecmp(list, name, n) == 0)
			return true;
		if (list[len] == '\0')
			return false;
		list += len + 1;
	}
}

/* Is the first name of list a smaller than that of b? */
static bool
name_before(const char *a, const char *b)
{
	size_t		la = strcspn(a, ";"),
				lb = strcspn(b, ";");
	int			c = memcmp(a, b, la < lb ? la : lb);

	return c < 0 || (c == 0 && la < lb);
}

/* Sorted, and all that must be signed is. */
static bool
signed_headers_ok(const SbRequest *req, const char *list)
{
	static const char *const must[] = {
		"host", "x-acs-action", "x-acs-version", "x-acs-date",
		"x-acs-signature-nonce", "x-acs-content-sha256"
	};
	const char *previous = "";
	const char *s;
	int			i;

	for (i = 0; i < (int) (sizeof(must) / sizeof(must[0])); i++)
		if (!list_has(list, must[i]) || http_header_get(&req->headers, must[i]) == NULL)
			return false;
	for (i = 0; i < req->headers.count; i++)
	{
		const char *name = req->headers.item[i].name;

		if ((strncasecmp(name, "x-acs-", 6) == 0 || strcasecmp(name, "content-type") == 0) &&
			!list_has(list, name))
			return false;
	}
	for (s = list; *s; previous = s, s += strcspn(s, ";"), s += *s == ';')
		if (!name_before(previous, s))
			return false;
	return true;
}

static bool
add_canonical_headers(Buf *out, const SbRequest *req, const char *list)
{
	while (*list)
	{
		size_t		len = strcspn(list, ";");
		char		name[64];
		const char *value;

		if (len >= sizeof(name))
			return false;
		memcpy(name, list, len);
		name[len] = '\0';
		value = http_header_get(&req->headers, name);
		if (value == NULL)
			return false;
		buf_addf(out, "%s:%s\n", name, value);
		list += len;
		list += *list == ';';
	}
	return true;
}

static bool
add_sha256(Buf *out, const char *data, size_t len)
{
	unsigned char digest[32];

	if (!sha256(data, len, digest))
		return false;
	hex_encode(out, digest, sizeof(digest));
	return true;
}

static bool
signature_ok(const SbRequest *req, const char *list, const char *signature)
{
	Buf			canon = BUF_INIT,
				text = BUF_INIT,
				mac = BUF_INIT,
				body_hash = BUF_INIT;
	unsigned char digest[32];
	const char *claimed = http_header_get(&req->headers, "x-acs-content-sha256");
	bool		ok;

	ok = add_sha256(&body_hash, buf_str(&req->body), req->body.len) &&
		strcmp(claimed, buf_str(&body_hash)) == 0;
	buf_addf(&canon, "%s\n%s\n", req->method, buf_str(&req->path));
	add_canonical_query(&canon, req->query);
	buf_addc(&canon, '\n');
	ok = ok && add_canonical_headers(&canon, req, list);
	buf_addf(&canon, "\n%s\n%s", list, buf_str(&body_hash));
	buf_adds(&text, SCHEME "\n");
	ok = ok && !canon.failed && add_sha256(&text, canon.data, canon.len) &&
		hmac_sha256(sandbox.sms_secret.data, sandbox.sms_secret.len, text.data, text.len, digest);
	if (ok)
		hex_encode(&mac, digest, sizeof(digest));
	ok = ok && strlen(signature) == mac.len &&
		equal_constant_time(signature, mac.data, mac.len);
	buf_free(&canon);
	buf_free(&text);
	buf_free(&mac);
	buf_free(&body_hash);
	return ok;
}

static bool
date_ok(const char *s)
{
	struct tm	tm = {0};
	const char *end = strptime(s, "%Y-%m-%dT%H:%M:%SZ", &tm);
	int64_t		now = wall_ms() / 1000,
				then;

	if (end == NULL || *end != '\0')
		return false;
	then = (int64_t) timegm(&tm);
	return then >= now - SKEW_SECONDS && then <= now + SKEW_SECONDS;
}

/* Copy what stands between start and one of the stops; false if it is not there. */
static bool
cut(const char *s, const char *start, const char *stops, char *out, size_t size)
{
	const char *p = strstr(s, start);
	size_t		len;

	if (p == NULL)
		return false;
	p += strlen(start);
	len = strcspn(p, stops);
	if (len == 0 || len >= size)
		return false;
	memcpy(out, p, len);
	out[len] = '\0';
	return true;
}

/* False when the request has been answered. */
static bool
authenticate(SbRequest *req)
{
	const char *header = http_header_get(&req->headers, "Authorization");
	char		key_id[129],
				list[1024],
				signature[129];
	const char *nonce;

	if (header == NULL || strncmp(header, SCHEME " Credential=", sizeof(SCHEME) + 11) != 0 ||
		!cut(header, " Credential=", ",", key_id, sizeof(key_id)) ||
		!cut(header, ",SignedHeaders=", ",", list, sizeof(list)) ||
		!cut(header, ",Signature=", ",", signature, sizeof(signature)))
		answer_code(req, 400, "MissingAuthorization", "Authorization is missing or malformed.", NULL);
	else if (strcmp(key_id, sandbox.sms_access_key_id) != 0)
		answer_code(req, 404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.", NULL);
	else if (!signed_headers_ok(req, list) || !signature_ok(req, list, signature))
		answer_code(req, 400, "SignatureDoesNotMatch",
					"Specified signature is not matched with our calculation.", NULL);
	else if (!date_ok(http_header_get(&req->headers, "x-acs-date")))
		answer_code(req, 400, "InvalidTimeStamp.Expired",
					"Specified time stamp or date value is expired.", NULL);
	else
	{
		nonce = http_header_get(&req->headers, "x-acs-signature-nonce");
		if (map_get(&nonces, nonce) == NULL)
		{
			map_put(&nonces, nonce, &nonces);
			return true;
		}
		answer_code(req, 400, "SignatureNonceUsed", "Specified signature nonce was used already.", NULL);
	}
	return false;
}

/* ---- SendSms ---- */

/* A JSON object whose values are all strings. */
static bool
template_param_ok(const char *s)
{
	json_t	   *o = *s ? json_loads(s, JSON_REJECT_DUPLICATES, NULL) : NULL;
	bool		ok = *s == '\0' || json_is_object(o);
	const char *key;
	json_t	   *value;

	json_object_foreach(o, key, value)
		ok = ok && json_is_string(value);
	json_decref(o);
	return ok;
}

static void
send_sms(SbRequest *req, const Params *p)
{
	SmsCall		call = {
		.phones = param(p, "PhoneNumbers"),
		.template_code = param(p, "TemplateCode"),
		.param = param(p, "TemplateParam"),
		.out_id = param(p, "OutId")
	};

	if (call.phones[0] == '\0')
		answer_code(req, 400, "MissingPhoneNumbers", "PhoneNumbers is mandatory for this action.", NULL);
	else if (param(p, "SignName")[0] == '\0')
		answer_code(req, 400, "MissingSignName", "SignName is mandatory for this action.", NULL);
	else if (call.template_code[0] == '\0')
		answer_code(req, 400, "MissingTemplateCode", "TemplateCode is mandatory for this action.", NULL);
	else if (!template_param_ok(call.param))
		answer_code(req, 200, "isv.INVALID_JSON_PARAM", "JSON参数不合法，只接受字符串值", NULL);
	else
		sms_submit(req, &aliyun_provider, &call);
}

static bool
aliyun_mine(const SbRequest *req)
{
	return strcmp(buf_str(&req->path), "/") == 0 &&
		http_header_get(&req->headers, "x-acs-action") != NULL;
}

static void
aliyun_handle(SbRequest *req)
{
	const char *action = http_header_get(&req->headers, "x-acs-action");
	const char *version = http_header_get(&req->headers, "x-acs-version");
	const char *type = http_header_get(&req->headers, "Content-Type");
	Params	   *p = must_alloc(sizeof(*p));
	bool		ok = read_params(p, req->query, false);

	if (type != NULL && strncasecmp(type, "application/x-www-form-urlencoded", 33) == 0)
		ok = ok && read_params(p, buf_str(&req->body), true);
	req->call = "aliyun.SendSms";
	str_copy(req->no, sizeof(req->no), param(p, "OutId"));
	log_wire(req);
	if (sms_provider_is_off(req, &aliyun_provider))
		;
	else if (!ok)
		answer_code(req, 400, "InvalidParameter", "A parameter is not encoded properly.", NULL);
	else if (!authenticate(req))
		;
	else if (strcmp(action, "SendSms") != 0 || version == NULL || strcmp(version, "2017-05-25") != 0)
		answer_code(req, 404, "InvalidAction.NotFound", "Specified api is not found.", NULL);
	else
		send_sms(req, p);
	free_params(p);
	free(p);
}

const SbChannel aliyun_channel = {
	.name = "aliyun",
	.mine = aliyun_mine,
	.handle = aliyun_handle,
	.print_outcomes = sms_print_outcomes
};
