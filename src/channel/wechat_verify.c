/*-------------------------------------------------------------------------
 *
 * wechat_verify.c
 *	  Whether WeChat signed some bytes: the same for answers and callbacks.
 *
 * Signed are three lines: time, nonce, and the body as it came over the wire,
 * each ended by a newline.  The lines are joined by newlines, so a nonce that
 * contained one would let a stranger move the border between nonce and body;
 * header values are therefore held to visible ASCII.
 *
 * The checks stand in the order of their cost: a flood of rubbish ends before
 * the first modular exponentiation.
 *
 * src/channel/wechat_verify.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>
#include <strings.h>

#include "channel/wechat.h"

#define HEADER_VALUE_MAX	128
#define SIGNATURE_MAX		4096	/* base64 of the longest RSA signature, and more */

static bool single_header(const HttpHeaders *headers, const char *name, size_t max,
						  const char **value);
static bool signature_good(const WechatKey *key, const char *timestamp, const char *nonce,
						   const void *body, size_t len, const char *signature);

/*
 * The one header of this name.  *value is NULL if there is none.  False if
 * there are several, or if it holds anything but visible ASCII: two readers
 * could take it for two things.
 */
static bool
single_header(const HttpHeaders *headers, const char *name, size_t max, const char **value)
{
	int			i;
	size_t		k;

	*value = NULL;
	for (i = 0; i < headers->count; i++)
	{
		if (strcasecmp(headers->item[i].name, name) != 0)
			continue;
		if (*value != NULL)
			return false;
		*value = headers->item[i].value;
	}
	if (*value == NULL)
		return true;
	for (k = 0; (*value)[k] != '\0'; k++)
		if (k >= max || (*value)[k] <= ' ' || (*value)[k] >= 0x7f)
			return false;
	return k > 0;
}

static bool
signature_good(const WechatKey *key, const char *timestamp, const char *nonce,
			   const void *body, size_t len, const char *signature)
{
	Buf			raw = BUF_INIT;
	Buf			text = BUF_INIT;
	bool		good;

	raw.limit = SIGNATURE_MAX;
	good = base64_decode(&raw, signature, strlen(signature));
	if (good)
	{
		buf_addf(&text, "%s\n%s\n", timestamp, nonce);
		buf_add(&text, body, len);
		buf_addc(&text, '\n');
		good = !text.failed &&
			rsa_verify_sha256(key->key, text.data, text.len, raw.data, raw.len);
	}
	buf_free(&raw);
	buf_free(&text);
	return good;
}

/* The string that was signed, and what it was checked with. */
static void
trace_signature(const ChannelFindings *trace, const WechatKey *key, const char *timestamp,
				const char *nonce, size_t len, int64_t signed_at, int64_t now)
{
	finding(trace, FINDING_OK, "time", "signed at %lld, %lld s %s this server's clock; at most %d s count",
			(long long) signed_at, (long long) (signed_at > now ? signed_at - now : now - signed_at),
			signed_at > now ? "after" : "before", WECHAT_CLOCK_SKEW);
	finding(trace, FINDING_OK, "key", "%s, %s of %d bits", key->serial,
			key->is_certificate ? "a platform certificate" : "a public key",
			crypto_key_bits(key->key));
	finding(trace, FINDING_OK, "signed string",
			"\"%s\\n%s\\n\", the body's %lu bytes, \"\\n\"",
			timestamp, nonce, (unsigned long) len);
}

CallbackResult
wechat_verify(const WechatConfig *config, const HttpHeaders *headers,
			  const void *body, size_t len, int64_t now, const ChannelFindings *trace)
{
	const char *timestamp,
			   *nonce,
			   *signature,
			   *serial,
			   *type;
	const WechatKey *key;
	int64_t		signed_at;

	if (headers->overflow ||
		!single_header(headers, "Wechatpay-Timestamp", 12, &timestamp) || timestamp == NULL ||
		!single_header(headers, "Wechatpay-Nonce", HEADER_VALUE_MAX, &nonce) || nonce == NULL ||
		!single_header(headers, "Wechatpay-Signature", SIGNATURE_MAX, &signature) ||
		signature == NULL ||
		!single_header(headers, "Wechatpay-Serial", HEADER_VALUE_MAX, &serial) || serial == NULL ||
		!single_header(headers, "Wechatpay-Signature-Type", HEADER_VALUE_MAX, &type) ||
		!parse_digits(timestamp, &signed_at) ||
		(type != NULL && strcmp(type, WECHAT_SIGNATURE_TYPE) != 0))
	{
		finding(trace, FINDING_ERROR, "headers",
				"Wechatpay-Timestamp, -Nonce, -Signature and -Serial must be there once each, "
				"as WeChat sent them%s",
				headers->overflow ? "; there are more headers than are read" : "");
		return CALLBACK_BAD_HEADERS;
	}
	if (signed_at > now + WECHAT_CLOCK_SKEW || signed_at < now - WECHAT_CLOCK_SKEW)
	{
		finding(trace, FINDING_ERROR, "time",
				"signed at %lld, which is %lld s off; at most %d s count",
				(long long) signed_at, (long long) (signed_at - now), WECHAT_CLOCK_SKEW);
		return CALLBACK_BAD_TIME;
	}

	/* an expired certificate is as good as none */
	key = wechat_find_key(config->keys, config->key_count, serial);
	if (key == NULL || (key->is_certificate && now > key->not_after))
	{
		finding(trace, FINDING_ERROR, "key", key == NULL ?
				"Wechatpay-Serial names %.64s, which is not in \"wechat_keys\"" :
				"Wechatpay-Serial names %.64s, a certificate that has expired", serial);
		return CALLBACK_UNKNOWN_KEY;
	}
	if (trace != NULL)
		trace_signature(trace, key, timestamp, nonce, len, signed_at, now);
	if (signature_good(key, timestamp, nonce, body, len, signature))
	{
		finding(trace, FINDING_OK, "signature", "it is WeChat's");
		return CALLBACK_EVIDENCE;
	}

	/*
	 * Now and then WeChat sends a wrong signature on purpose, to see that it
	 * is noticed.  It is refused like any other and only counted apart, so
	 * that it wakes nobody.
	 */
	if (strncmp(signature, WECHAT_SIGNTEST_PREFIX, strlen(WECHAT_SIGNTEST_PREFIX)) == 0)
	{
		finding(trace, FINDING_ERROR, "signature",
				"it is wrong, and on purpose: WeChat tests whether that is noticed");
		return CALLBACK_SIGNATURE_TEST;
	}
	finding(trace, FINDING_ERROR, "signature",
			"it does not fit these bytes: they were changed on the way (parsed and written "
			"again, perhaps), or \"%s\" is given another key's file", key->serial);
	return CALLBACK_BAD_SIGNATURE;
}
