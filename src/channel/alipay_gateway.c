/*-------------------------------------------------------------------------
 *
 * alipay_gateway.c
 *	  The envelope of every call: requests signed, answers verified.
 *
 * Signed is every parameter but the signature itself, sorted by name, joined
 * as name=value with '&', the values as they are and not as they are escaped
 * for the way.  The common parameters travel in the query, so that the
 * gateway knows the charset before it decodes the body.  The token that lets
 * us act for a sub-merchant travels in the body: addresses end in logs.
 *
 * An answer that does not verify is unknown, whatever it says: the money may
 * have moved all the same, and a query tells.  One kind is taken at its word
 * nevertheless: the gateway's refusal of the call itself (a key, a right or a
 * parameter of ours is wrong: code 2000x or 4000x with a sub_code "isv." or
 * "aop."), because Alipay cannot sign for an app that it does not know, the
 * call was not passed on, and all that follows is a pause and the same number
 * again.
 *
 * src/channel/alipay_gateway.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel/alipay.h"
#include "channel/channel_answer.h"

#define USER_AGENT			"refundx/1"
#define ANSWER_MAX			((size_t) 256 * 1024)
#define PARAM_COUNT			10
#define BUSINESS_PREFIX		"ACQ."
#define OVERDRAFT_PREFIX	"OVERDRAFT_"
#define QUOTA_PREFIX		"PERM_PAY_"

typedef struct RequestParam
{
	const char *name;
	const char *value;
	bool		in_body;
} RequestParam;

static bool sign(const AlipayConfig *config, const RequestParam *param, int count, Buf *base64);
static bool compose(const AlipayConfig *config, const char *method, const char *timestamp,
					const Buf *content, HttpRequest *out);
static const AlipayKey *key_of_answer(const AlipayConfig *config, const AlipayNode *node,
									  int64_t now, ChannelEvidence *out);
static bool verified(const AlipayConfig *config, const AlipayNode *node, int64_t now,
					 ChannelEvidence *out);
static const char *business_code(const char *code);
static bool is_failure(const char *code);
static void read_unverified(const ChannelProduct *product, ChannelCall call,
							const AlipayNode *node, ChannelEvidence *out);
static json_t *read_ok(const AlipayConfig *config, const ChannelProduct *product,
					   ChannelCall call, const char *name, const HttpAnswer *answer, int64_t now,
					   ChannelEvidence *out);

/* ---- requests ---- */

bool
alipay_dump(json_t *body, Buf *out)
{
	char	   *text = json_dumps(body, JSON_COMPACT);

	buf_reset(out);
	if (text != NULL)
		buf_adds(out, text);
	free(text);
	return text != NULL && !out->failed && out->len > 0;
}

/* The parameters are in the order of their names already. */
static bool
sign(const AlipayConfig *config, const RequestParam *param, int count, Buf *base64)
{
	Buf			text = BUF_INIT;
	Buf			raw = BUF_INIT;
	bool		good;
	int			i;

	for (i = 0; i < count; i++)
		if (param[i].value[0] != '\0')
			buf_addf(&text, "%s%s=%s", text.len > 0 ? "&" : "", param[i].name, param[i].value);
	good = !text.failed && rsa_sign_sha256(config->private_key, text.data, text.len, &raw);
	if (good)
		base64_encode(base64, raw.data, raw.len);
	buf_wipe(&text);			/* the token is in it */
	buf_free(&raw);
	return good && !base64->failed;
}

static bool
compose(const AlipayConfig *config, const char *method, const char *timestamp,
		const Buf *content, HttpRequest *out)
{
	const RequestParam param[PARAM_COUNT] = {
		{"alipay_root_cert_sn", config->root_sn, false},
		{"app_auth_token", config->token, true},
		{"app_cert_sn", config->app_sn, false},
		{"app_id", config->app_id, false},
		{"biz_content", buf_str(content), true},
		{"charset", "utf-8", false},
		{"method", method, false},
		{"sign_type", "RSA2", false},
		{"timestamp", timestamp, false},
		{"version", "1.0", false},
	};
	Buf			signature = BUF_INIT;
	const char *separator = "?";
	int			i;
	bool		good = sign(config, param, PARAM_COUNT, &signature);

	buf_addf(&out->url, "%s" ALIPAY_GATEWAY_PATH, config->base_url);
	for (i = 0; i < PARAM_COUNT; i++)
	{
		Buf		   *to = param[i].in_body ? &out->body : &out->url;

		if (param[i].value[0] == '\0')
			continue;
		if (param[i].in_body)
			buf_adds(to, to->len > 0 ? "&" : "");
		else
			buf_adds(to, separator);
		if (!param[i].in_body)
			separator = "&";
		buf_addf(to, "%s=", param[i].name);
		percent_encode(to, param[i].value, strlen(param[i].value));
	}
	buf_adds(&out->url, "&sign=");
	percent_encode(&out->url, buf_str(&signature), signature.len);
	buf_free(&signature);
	return good && !out->url.failed && !out->body.failed;
}

/* *out must be empty; it is left so on failure. */
bool
alipay_gateway_request(const AlipayConfig *config, const char *method, const Buf *content,
					   const ChannelMoment *moment, const ChannelLimits *limits,
					   HttpRequest *out)
{
	char		timestamp[32];
	bool		good;

	alipay_time_text(moment->now, timestamp);
	strcpy(out->method, "POST");
	good = !content->failed && strlen(buf_str(content)) == content->len &&
		compose(config, method, timestamp, content, out) &&
		http_header_add(&out->headers, "Accept", "application/json") &&
		http_header_add(&out->headers, "User-Agent", USER_AGENT) &&
		http_header_add(&out->headers, "alipay-request-id", moment->nonce) &&
		http_header_add(&out->headers, "Content-Type",
						"application/x-www-form-urlencoded;charset=utf-8");
	out->connect_timeout_ms = limits->connect_timeout_ms;
	out->total_timeout_ms = limits->call_timeout_ms;
	out->max_answer = ANSWER_MAX;
	if (good)
		return true;
	http_request_free(out);
	http_request_init(out);
	return false;
}

/* ---- whose answer it is ---- */

/*
 * The key to verify with; NULL, and what to do in the message, if it is none
 * of ours.  In public-key mode an answer does not name its key: then this is
 * the first, and the caller tries the others too.
 */
static const AlipayKey *
key_of_answer(const AlipayConfig *config, const AlipayNode *node, int64_t now,
			  ChannelEvidence *out)
{
	char		have[4 * (ALIPAY_SN_LEN + 2)] = "";
	int			i;

	if (!config->certificates)
		return &config->keys[0];
	if (node->sn == NULL || node->snlen != ALIPAY_SN_LEN ||
		strspn(node->sn, "0123456789abcdef") < ALIPAY_SN_LEN)
	{
		answer_note(out, "the answer names no certificate (alipay_cert_sn): its contents were not used. "
			 "Does the app use public keys in the open platform?");
		return NULL;
	}
	for (i = 0; i < config->key_count; i++)
	{
		if (memcmp(config->keys[i].sn, node->sn, ALIPAY_SN_LEN) == 0)
		{
			if (now <= config->keys[i].not_after)
				return &config->keys[i];
			snprintf(out->message, sizeof(out->message),
					 "the answer is signed with Alipay's certificate %.32s, which has expired: "
					 "its contents were not used", config->keys[i].sn);
			return NULL;
		}
		snprintf(have + strlen(have), sizeof(have) - strlen(have), "%s%s", i > 0 ? ", " : "",
				 config->keys[i].sn);
	}
	snprintf(out->message, sizeof(out->message),
			 "signed with Alipay's certificate %.32s; \"alipay_certificates\" has %.66s%s. Download "
			 "the new one from the open platform and list it beside the old one",
			 node->sn, have, strlen(have) > 66 ? ", ..." : "");
	return NULL;
}

static bool
verified(const AlipayConfig *config, const AlipayNode *node, int64_t now, ChannelEvidence *out)
{
	const AlipayKey *key;
	int			i;

	if (node->sign == NULL || node->signlen == 0)
	{
		answer_note(out, "the answer is not signed: its contents were not used");
		return false;
	}
	key = key_of_answer(config, node, now, out);
	if (key == NULL)
		return false;
	if (config->certificates)
	{
		if (alipay_node_verify(node, key->key))
			return true;
	}
	else
		for (i = 0; i < config->key_count; i++)
			if (alipay_node_verify(node, config->keys[i].key))
				return true;
	answer_note(out, "the answer's signature does not fit: its contents were not used");
	return false;
}

/* ---- codes ---- */

/*
 * Without the prefix that Alipay gives or leaves out, and families under one
 * name.
 */
static const char *
business_code(const char *code)
{
	size_t		prefix = strlen(BUSINESS_PREFIX);

	if (strncmp(code, BUSINESS_PREFIX, prefix) == 0)
		code += prefix;
	if (strncmp(code, OVERDRAFT_PREFIX, strlen(OVERDRAFT_PREFIX)) == 0)
		return OVERDRAFT_PREFIX "*";
	if (strncmp(code, QUOTA_PREFIX, strlen(QUOTA_PREFIX)) == 0 && strstr(code, "_QUOTA_") != NULL)
		return QUOTA_PREFIX "*";
	return code;
}

/* The table's names for what is no failure: no sub_code may be taken for one. */
bool
alipay_is_status(const char *code)
{
	static const char *const statuses[] = {
		ALIPAY_REFUNDED, "SUCCESS", "DEALING", "WAIT_PAY", "FAIL", "CLOSED", "REFUND"
	};
	size_t		i;

	for (i = 0; i < lengthof_array(statuses); i++)
		if (strcmp(code, statuses[i]) == 0)
			return true;
	return false;
}

static bool
is_failure(const char *code)
{
	return code[0] >= 'A' && code[0] <= 'Z' && !alipay_is_status(code) &&
		strspn(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_*") == strlen(code);
}

/* A failure is judged by its sub_code alone if it has failed as business. */
const VerdictRule *
alipay_judge(const ChannelProduct *product, ChannelCall call, const char *code,
			 const char *sub_code)
{
	if (strcmp(code, "40004") == 0)
	{
		sub_code = business_code(sub_code);
		return is_failure(sub_code) ? channel_judge(product, call, 200, sub_code) : NULL;
	}
	if (strcmp(code, ALIPAY_NO_STATUS) == 0 || strspn(code, "0123456789") != strlen(code))
		return NULL;
	return channel_judge(product, call, 200, code);
}

/* ---- answers ---- */

/*
 * Of an answer that does not verify, only the codes are looked at, and only
 * those of the gateway's own refusals count.
 */
static void
read_unverified(const ChannelProduct *product, ChannelCall call, const AlipayNode *node,
				ChannelEvidence *out)
{
	json_t	   *object = node->is_object ? json_hostile_object(node->data, node->len) : NULL;
	const char *code = json_text(object, "code");
	const char *sub_code = json_text(object, "sub_code");
	const VerdictRule *rule;
	char		text[sizeof(out->message) + 160];

	if (code != NULL && strlen(code) == 5 && strspn(code, "0123456789") == 5)
	{
		bool		gateway = sub_code != NULL && alipay_is_code(sub_code) &&
			(strncmp(sub_code, "isv.", 4) == 0 || strncmp(sub_code, "aop.", 4) == 0);

		rule = gateway ? alipay_judge(product, call, code, sub_code) : NULL;
		snprintf(text, sizeof(text), "%s (it says %s%s%.64s)", out->message, code,
				 gateway ? " " : "", gateway ? sub_code : "");
		if (rule != NULL && rule->verdict == VERDICT_CONFIG)
		{
			out->verdict = VERDICT_CONFIG;
			text_clip(out->code, sizeof(out->code), sub_code);
			snprintf(text, sizeof(text), "%s %s: %s; this answer is not signed, or does not verify",
					 code, out->code, rule->comment);
		}
		answer_note(out, text);
	}
	json_decref(object);
}

/* A 200: what is not verified says next to nothing. */
static json_t *
read_ok(const AlipayConfig *config, const ChannelProduct *product, ChannelCall call,
		const char *name, const HttpAnswer *answer, int64_t now, ChannelEvidence *out)
{
	const char *why;
	AlipayNode	node;
	json_t	   *object;

	if (!alipay_node_find(answer->body.data, answer->body.len, name, &node, &why))
	{
		snprintf(out->message, sizeof(out->message), "the answer is unreadable: %s", why);
		return NULL;
	}
	if (!verified(config, &node, now, out))
	{
		read_unverified(product, call, &node, out);
		return NULL;
	}
	out->authentic = true;
	object = node.is_object ? json_hostile_object(node.data, node.len) : NULL;
	if (object == NULL)
		answer_note(out, node.is_object ? "the answer is signed, but its node is not a JSON object" :
					"the answer is encrypted, which nobody asked for");
	return object;
}

json_t *
alipay_gateway_answer(const AlipayConfig *config, const ChannelProduct *product,
					  ChannelCall call, const char *name, const HttpAnswer *answer, int64_t now,
					  ChannelEvidence *out)
{
	if (answer->outcome != HTTP_ANSWERED)
		answer_is_none(call, answer, out);
	else if (answer->status == 200)
		return read_ok(config, product, call, name, answer, now, out);
	else
	{
		/* whatever stands before the gateway says this, and knows nothing */
		out->failing = answer->status >= 400;
		snprintf(out->message, sizeof(out->message),
				 "HTTP %d: Alipay answers with 200 even if it refuses; this is not its word",
				 answer->status);
		answer_retry_after(answer, out);
	}
	return NULL;
}
