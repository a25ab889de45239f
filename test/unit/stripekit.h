/*-------------------------------------------------------------------------
 *
 * stripekit.h
 *	  A Stripe of one's own for tests and fuzzers: keys, and events signed as
 *	  Stripe does.
 *
 * The signatures are made with OpenSSL's HMAC() and not with ours, so that one
 * mistake cannot stand on both sides.
 *
 * test/unit/stripekit.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_STRIPEKIT_H
#define REFUNDX_STRIPEKIT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "channel/channel.h"

#define SKIT_NOW		1790000000
#define SKIT_ACCOUNT	"acct_1032D82eZvKYlo2C"
#define SKIT_LIVE_KEY	"sk_live_51Nispe2eZvKYlo2CdLiveLiveLive"
#define SKIT_TEST_KEY	"sk_test_51Nispe2eZvKYlo2CdTestTestTest"
#define SKIT_SECRET_NEW "whsec_newnewnewnewnewnewnewnewnewnew01"
#define SKIT_SECRET_OLD "whsec_oldoldoldoldoldoldoldoldoldold02"
#define SKIT_CONFIG \
	"{\"account_id\":\"" SKIT_ACCOUNT "\",\"secret_key\":\"stripe.key\"," \
	"\"webhook_secrets\":[\"whsec_new.key\",\"whsec_old.key\"]}"

/* A refund as Stripe writes it: status, and what stands behind the last member. */
#define SKIT_REFUND(status, more) \
	"{\"id\":\"re_1Nispe2eZvKYlo2Cd31jOCgZ\",\"object\":\"refund\",\"amount\":1000," \
	"\"balance_transaction\":\"txn_1Nispe2eZvKYlo2CYezqFhEx\",\"charge\":\"ch_1NirD82eZvKYlo2CIvbtLWuY\"," \
	"\"created\":1692942318,\"currency\":\"usd\",\"metadata\":{\"refundx_no\":\"R-1\"}," \
	"\"payment_intent\":\"pi_1GszsK2eZvKYlo2CfhZyoZLp\",\"reason\":null,\"receipt_number\":null," \
	"\"source_transfer_reversal\":null,\"status\":\"" status "\",\"transfer_reversal\":null" more "}"

/* The key directory. */
typedef struct SkitFile
{
	const char *name;
	const char *text;
} SkitFile;

static const SkitFile skit_files[] = {
	{"stripe.key", SKIT_LIVE_KEY "\n"},
	{"test.key", SKIT_TEST_KEY},
	{"restricted.key", "rk_live_51Nispe2eZvKYlo2CdRestricted\r\n"},
	{"restricted_test.key", "rk_test_51Nispe2eZvKYlo2CdRestricted"},
	{"publishable.key", "pk_live_51Nispe2eZvKYlo2CdPublic"},
	{"organization.key", "sk_org_live_51Nispe2eZvKYlo2CdOrg"},
	{"short.key", "sk_live_1"},
	{"rubbish.key", "hello"},
	{"two_lines.key", SKIT_LIVE_KEY "\nX-Evil: 1\n"},
	{"spaces.key", " " SKIT_LIVE_KEY},
	{"empty.key", ""},
	{"whsec_new.key", SKIT_SECRET_NEW "\n"},
	{"whsec_old.key", SKIT_SECRET_OLD},
	{NULL, NULL}
};

static bool __attribute__((unused))
skit_read_key(void *arg, const char *name, bool secret, Buf *out, char *err, size_t errsize)
{
	int			i;

	(void) arg;
	(void) secret;
	for (i = 0; skit_files[i].name != NULL; i++)
	{
		if (strcmp(skit_files[i].name, name) != 0)
			continue;
		buf_adds(out, skit_files[i].text);
		return true;
	}
	snprintf(err, errsize, "there is no file \"%s\"", name);
	return false;
}

/* The 64 hex digits of a v1. */
static void __attribute__((unused))
skit_mac(const char *secret, int64_t at, const void *body, size_t len, char out[65])
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned int maclen = 0;
	Buf			text = BUF_INIT;
	int			i;

	buf_addf(&text, "%lld.", (long long) at);
	buf_add(&text, body, len);
	if (HMAC(EVP_sha256(), secret, (int) strlen(secret), (unsigned char *) text.data, text.len,
			 mac, &maclen) == NULL || maclen != 32)
	{
		fprintf(stderr, "HMAC failed\n");
		abort();
	}
	for (i = 0; i < 32; i++)
		snprintf(out + 2 * i, 3, "%02x", mac[i]);
	buf_free(&text);
}

/* Stripe-Signature over these bytes, with one secret. */
static void __attribute__((unused))
skit_headers(HttpHeaders *h, const char *secret, int64_t at, const void *body, size_t len)
{
	char		mac[65];
	char		value[128];

	skit_mac(secret, at, body, len, mac);
	snprintf(value, sizeof(value), "t=%lld,v1=%s", (long long) at, mac);
	http_header_add(h, "Content-Type", "application/json; charset=utf-8");
	http_header_add(h, "Stripe-Signature", value);
}

/* An event of this account around an object. */
static void __attribute__((unused))
skit_event(Buf *out, const char *id, const char *type, const char *object, bool live,
		   const char *more)
{
	buf_addf(out, "{\"id\":\"%s\",\"object\":\"event\",\"api_version\":\"2025-04-30.basil\","
			 "\"created\":1692942400,\"data\":{\"object\":%s},\"livemode\":%s,"
			 "\"pending_webhooks\":1,\"request\":{\"id\":null,\"idempotency_key\":null},"
			 "\"type\":\"%s\"%s}", id, object, live ? "true" : "false", type, more);
}

#endif							/* REFUNDX_STRIPEKIT_H */
