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

CallbackResult
wechat_verify(const WechatConfig *config, const HttpHeaders *headers,
			  const void *body, size_t len, int64_t now)
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
		return CALLBACK_BAD_HEADERS;
	if (signed_at > now + WECHAT_CLOCK_SKEW || signed_at < now - WECHAT_CLOCK_SKEW)
		return CALLBACK_BAD_TIME;

	/* an expired certificate is as good as none */
	key = wechat_find_key(config->keys, config->key_count, serial);
	if (key == NULL || (key->is_certificate && now > key->not_after))
		return CALLBACK_UNKNOWN_KEY;
	if (signature_good(key, timestamp, nonce, body, len, signature))
		return CALLBACK_EVIDENCE;

	/*
	 * Now and then WeChat sends a wrong signature on purpose, to see that it
	 * is noticed.  It is refused like any other and only counted apart, so
	 * that it wakes nobody.
	 */
	if (strncmp(signature, WECHAT_SIGNTEST_PREFIX, strlen(WECHAT_SIGNTEST_PREFIX)) == 0)
		return CALLBACK_SIGNATURE_TEST;
	return CALLBACK_BAD_SIGNATURE;
}
