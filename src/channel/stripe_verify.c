/*-------------------------------------------------------------------------
 *
 * stripe_verify.c
 *	  Whether Stripe signed an event (webhooks/signature).
 *
 *	Stripe-Signature: t=<unix seconds>,v1=<hex>[,v1=<hex>]...[,v0=<hex>]
 *
 * Signed is the time as it stands there, a dot, and the body as it came over
 * the wire: HMAC-SHA-256, and its key is the whole secret, "whsec_" included.
 * There are several v1 while a secret is being rolled, one per secret that
 * still counts; and we may have several secrets.  One that fits is enough.
 * v0 is for Stripe's own tests, and is not looked at.
 *
 * src/channel/stripe_verify.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>
#include <strings.h>

#include "channel/stripe.h"

#define HEADER_MAX		2048
#define TIMESTAMP_MAX	12
#define SIGNATURES_MAX	16
#define SIGNATURE_HEX	64

typedef struct SignatureHeader
{
	char		timestamp[TIMESTAMP_MAX + 1];
	int64_t		signed_at;
	const char *v1[SIGNATURES_MAX]; /* of SIGNATURE_HEX characters each */
	int			count;			/* of those; others cannot fit anything */
	int			seen;			/* v1 of any length */
} SignatureHeader;

static const char *single_header(const HttpHeaders *headers);
static bool parse_header(const char *text, SignatureHeader *out);

/*
 * The one header of this name; NULL if there is none, or several, or if it
 * holds anything but visible ASCII: two readers could take it for two things.
 */
static const char *
single_header(const HttpHeaders *headers)
{
	const char *value = NULL;
	int			i;
	size_t		k;

	for (i = 0; i < headers->count; i++)
	{
		if (strcasecmp(headers->item[i].name, "Stripe-Signature") != 0)
			continue;
		if (value != NULL)
			return NULL;
		value = headers->item[i].value;
	}
	for (k = 0; value != NULL && value[k] != '\0'; k++)
		if (k >= HEADER_MAX || value[k] <= ' ' || value[k] >= 0x7f)
			return NULL;
	return value;
}

/* One t, one v1 or more, and whatever else; the pointers go into `text`. */
static bool
parse_header(const char *text, SignatureHeader *out)
{
	const char *p = text;

	memset(out, 0, sizeof(*out));
	for (;;)
	{
		size_t		len = strcspn(p, ",");

		if (len >= 2 && strncmp(p, "t=", 2) == 0)
		{
			if (out->timestamp[0] != '\0' || len - 2 > TIMESTAMP_MAX || len == 2)
				return false;
			memcpy(out->timestamp, p + 2, len - 2);
		}
		else if (len >= 3 && strncmp(p, "v1=", 3) == 0)
		{
			if (++out->seen > SIGNATURES_MAX)
				return false;
			if (len - 3 == SIGNATURE_HEX)
				out->v1[out->count++] = p + 3;
		}
		else if (memchr(p, '=', len) == NULL)
			return false;
		if (p[len] == '\0')
			break;
		p += len + 1;
	}
	return out->seen > 0 && parse_digits(out->timestamp, &out->signed_at);
}

/* Which of the header's v1 was made with this secret, from 1; 0 if none. */
static int
matches(const SignatureHeader *header, const char *secret, const Buf *text)
{
	unsigned char mac[32];
	Buf			hex = BUF_INIT;
	int			found = 0;
	int			i;

	if (hmac_sha256(secret, strlen(secret), text->data, text->len, mac))
		hex_encode(&hex, mac, sizeof(mac));
	if (!hex.failed && hex.len == SIGNATURE_HEX)
		for (i = 0; i < header->count; i++)
			if (equal_constant_time(header->v1[i], hex.data, SIGNATURE_HEX) && found == 0)
				found = i + 1;
	buf_wipe(&hex);
	return found;
}

static CallbackResult
verify_body(const StripeConfig *config, const SignatureHeader *header,
			const void *body, size_t len, const ChannelFindings *trace)
{
	Buf			text = BUF_INIT;
	int			which = 0;
	int			i = 0;

	buf_addf(&text, "%s.", header->timestamp);
	buf_add(&text, body, len);
	while (!text.failed && which == 0 && i < config->webhook_secret_count)
		which = matches(header, config->webhook_secrets[i++], &text);
	buf_free(&text);
	if (which == 0)
	{
		finding(trace, FINDING_ERROR, "signature",
				"none of the header's %d fits these bytes with any of the %d secrets: they were "
				"changed on the way (parsed and written again, perhaps), or the secret is that of "
				"another endpoint (each has its own), or was rolled",
				header->seen, config->webhook_secret_count);
		return CALLBACK_BAD_SIGNATURE;
	}
	finding(trace, FINDING_OK, "key", "secret %d of %d in \"webhook_secrets\"", i,
			config->webhook_secret_count);
	finding(trace, FINDING_OK, "signature", "it is Stripe's: v1 number %d of %d", which,
			header->seen);
	return CALLBACK_EVIDENCE;
}

CallbackResult
stripe_verify(const StripeConfig *config, const HttpHeaders *headers,
			  const void *body, size_t len, int64_t now, const ChannelFindings *trace)
{
	const char *value = headers->overflow ? NULL : single_header(headers);
	SignatureHeader header;

	if (value == NULL || !parse_header(value, &header))
	{
		finding(trace, FINDING_ERROR, "headers",
				"Stripe-Signature must be there once, as Stripe sent it: t=<seconds>,v1=<hex>%s",
				headers->overflow ? "; there are more headers than are read" : "");
		return CALLBACK_BAD_HEADERS;
	}
	if (header.signed_at > now + STRIPE_CLOCK_SKEW || header.signed_at < now - STRIPE_CLOCK_SKEW)
	{
		finding(trace, FINDING_ERROR, "time",
				"signed at %lld, which is %lld s off; at most %d s count",
				(long long) header.signed_at, (long long) (header.signed_at - now),
				STRIPE_CLOCK_SKEW);
		return CALLBACK_BAD_TIME;
	}
	finding(trace, FINDING_OK, "time",
			"signed at %lld, %lld s %s this server's clock; at most %d s count",
			(long long) header.signed_at,
			(long long) (header.signed_at > now ? header.signed_at - now : now - header.signed_at),
			header.signed_at > now ? "after" : "before", STRIPE_CLOCK_SKEW);
	finding(trace, FINDING_OK, "signed string", "\"%s.\" and the body's %lu bytes",
			header.timestamp, (unsigned long) len);
	if (config->webhook_secret_count == 0)
	{
		finding(trace, FINDING_ERROR, "key",
				"the channel has no \"webhook_secrets\": name a file with the endpoint's signing "
				"secret (whsec_...)");
		return CALLBACK_UNKNOWN_KEY;
	}
	return verify_body(config, &header, body, len, trace);
}
