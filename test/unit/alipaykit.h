/*-------------------------------------------------------------------------
 *
 * alipaykit.h
 *	  An Alipay of one's own for tests and fuzzers: keys, certificates, and
 *	  messages signed as Alipay does.
 *
 * The signatures are made with OpenSSL's EVP_DigestSign and not with ours, so
 * that one mistake cannot stand on both sides.  The names do not clash with
 * wechatkit.h's: a fuzz target has both.
 *
 * test/unit/alipaykit.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_ALIPAYKIT_H
#define REFUNDX_ALIPAYKIT_H

#include <string.h>

#include <openssl/x509v3.h>

#include "channel/channel.h"
#include "crypto/crypto.h"
#include "testkeys.h"

#define AKIT_NOW		1790000000	/* 2026-09-21 22:13:20 in Beijing */
#define AKIT_APP		"2014072300007148"
#define AKIT_SUB		"2021000000000001"
#define AKIT_SELLER		"2088101117955611"
#define AKIT_NODE		"alipay_trade_refund_response"
#define AKIT_QUERY_NODE "alipay_trade_fastpay_refund_query_response"
#define AKIT_TRANSFER_NODE "alipay_fund_trans_uni_transfer_response"
#define AKIT_TRANSFER_QUERY_NODE "alipay_fund_trans_common_query_response"
#define AKIT_CONFIG \
	"{\"app_id\":\"" AKIT_APP "\",\"private_key\":\"app.key\"," \
	"\"alipay_public_key\":[\"alipay.pub\",\"alipay_next.pub\"],\"seller_id\":\"" AKIT_SELLER "\"}"
#define AKIT_CERT_CONFIG \
	"{\"app_id\":\"" AKIT_APP "\",\"private_key\":\"app.key\"," \
	"\"app_certificate\":\"app.crt\",\"alipay_certificates\":[\"alipay.crt\",\"alipay_next.crt\"]," \
	"\"root_certificate\":\"root.crt\"}"

/* It pays withdrawals; `members` are those of the setting. */
#define AKIT_TRANSFERS(members) \
	"{\"app_id\":\"" AKIT_APP "\",\"private_key\":\"app.key\"," \
	"\"app_certificate\":\"app.crt\",\"alipay_certificates\":[\"alipay.crt\",\"alipay_next.crt\"]," \
	"\"root_certificate\":\"root.crt\",\"transfer\":{" members "}}"

/* Payees; the card's number passes the check and is nobody's. */
#define AKIT_CARD		"6222021234567894"
#define AKIT_USER		"2088123412341234"
#define AKIT_ZHANG		"\xe5\xbc\xa0\xe4\xb8\x89"
#define AKIT_TO_USER	"{\"user_id\":\"" AKIT_USER "\"}"
#define AKIT_TO_CARD	"{\"card_no\":\"" AKIT_CARD "\",\"name\":\"" AKIT_ZHANG "\"}"

/* A key directory in memory. */
typedef struct AkitFile
{
	const char *name;
	Buf			text;
} AkitFile;

static EVP_PKEY *akit_app;
static EVP_PKEY *akit_alipay;
static EVP_PKEY *akit_alipay_next;
static EVP_PKEY *akit_root;
static EVP_PKEY *akit_between;
static AkitFile akit_files[64];
static int	akit_file_count;

static Buf *
akit_file(const char *name)
{
	int			i;

	for (i = 0; i < akit_file_count; i++)
		if (strcmp(akit_files[i].name, name) == 0)
			return &akit_files[i].text;
	testkey_need(akit_file_count < 64, "files");
	akit_files[akit_file_count].name = name;
	return &akit_files[akit_file_count++].text;
}

static bool __attribute__((unused))
akit_read_key(void *arg, const char *name, bool secret, Buf *out, char *err, size_t errsize)
{
	int			i;

	(void) arg;
	(void) secret;
	for (i = 0; i < akit_file_count; i++)
	{
		if (strcmp(akit_files[i].name, name) != 0)
			continue;
		buf_add(out, buf_str(&akit_files[i].text), akit_files[i].text.len);
		return true;
	}
	snprintf(err, errsize, "there is no file \"%s\"", name);
	return false;
}

/* One certificate, appended to a bundle: CN=<subject>, issued by CN=<issuer>. */
static void __attribute__((unused))
akit_certificate(const char *subject, const char *issuer, EVP_PKEY *key, EVP_PKEY *issuer_key,
				 const char *serial_decimal, int64_t not_after, Buf *out)
{
	X509	   *cert = X509_new();
	X509_NAME  *name = X509_NAME_new();
	X509_NAME  *by = X509_NAME_new();
	X509_EXTENSION *ca;
	BIGNUM	   *serial = NULL;
	BIO		   *bio = BIO_new(BIO_s_mem());

	testkey_need(BN_dec2bn(&serial, serial_decimal) > 0, "serial");
	BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert));
	X509_set_version(cert, 2);
	ASN1_TIME_set(X509_getm_notBefore(cert), (time_t) (AKIT_NOW - 86400));
	ASN1_TIME_set(X509_getm_notAfter(cert), (time_t) not_after);
	X509_NAME_add_entry_by_txt(name, "C", MBSTRING_ASC, (const unsigned char *) "CN", -1, -1, 0);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *) subject, -1, -1, 0);
	X509_NAME_add_entry_by_txt(by, "C", MBSTRING_ASC, (const unsigned char *) "CN", -1, -1, 0);
	X509_NAME_add_entry_by_txt(by, "CN", MBSTRING_UTF8, (const unsigned char *) issuer, -1, -1, 0);
	X509_set_subject_name(cert, name);
	X509_set_issuer_name(cert, by);
	X509_set_pubkey(cert, key);
	ca = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints,
							 key == akit_root || key == akit_between ? "critical,CA:TRUE" : "CA:FALSE");
	X509_add_ext(cert, ca, -1);
	X509_EXTENSION_free(ca);
	testkey_need(X509_sign(cert, issuer_key, EVP_sha256()) > 0, "sign the certificate");
	testkey_need(PEM_write_bio_X509(bio, cert) == 1, "certificate");
	testkey_bio_to_buf(bio, out);
	BN_free(serial);
	X509_NAME_free(name);
	X509_NAME_free(by);
	X509_free(cert);
}

#define AKIT_CLASS	"Test Authority \xe6\x94\xaf Class 1"
#define AKIT_ROOT	"Test Root R1"

static void __attribute__((unused))
akit_start(void)
{
	int64_t		year = AKIT_NOW + INT64_C(365) * 86400;
	Buf		   *f;

	akit_app = testkey_new(2048);
	akit_alipay = testkey_new(2048);
	akit_alipay_next = testkey_new(2048);
	akit_root = testkey_new(2048);
	akit_between = testkey_new(2048);
	testkey_private_pem(akit_app, akit_file("app.key"));
	testkey_public_pem(akit_app, akit_file("app.pub"));
	testkey_public_pem(akit_alipay, akit_file("alipay.pub"));
	testkey_public_pem(akit_alipay_next, akit_file("alipay_next.pub"));
	akit_certificate(AKIT_ROOT, AKIT_ROOT, akit_root, akit_root, "1", year, akit_file("root.crt"));
	f = akit_file("app.crt");
	akit_certificate("shop-" AKIT_APP, AKIT_CLASS, akit_app, akit_between,
					 "42701552708448241360226107228231049510", year, f);
	akit_certificate(AKIT_CLASS, AKIT_ROOT, akit_between, akit_root, "2", year, f);
	f = akit_file("alipay.crt");
	akit_certificate("Alipay", AKIT_CLASS, akit_alipay, akit_between, "1001",
					 AKIT_NOW + INT64_C(100) * 86400, f);
	akit_certificate(AKIT_CLASS, AKIT_ROOT, akit_between, akit_root, "2", year, f);
	f = akit_file("alipay_next.crt");
	akit_certificate("Alipay", AKIT_CLASS, akit_alipay_next, akit_between, "1002", year, f);
	akit_certificate(AKIT_CLASS, AKIT_ROOT, akit_between, akit_root, "2", year, f);
	buf_adds(akit_file("token"), "201510BBb507dc9f5efe41a0b98ae22f01519X62\n");
}

static void __attribute__((unused))
akit_stop(void)
{
	int			i;

	for (i = 0; i < akit_file_count; i++)
		buf_free(&akit_files[i].text);
	EVP_PKEY_free(akit_app);
	EVP_PKEY_free(akit_alipay);
	EVP_PKEY_free(akit_alipay_next);
	EVP_PKEY_free(akit_root);
	EVP_PKEY_free(akit_between);
}

/* A certificate's SN by another way than ours: from the parts, with EVP_Digest. */
static void __attribute__((unused))
akit_sn(const char *issuer_rfc2253, const char *serial_decimal, char out[33])
{
	unsigned char digest[16];
	char		text[512];
	int			i;

	snprintf(text, sizeof(text), "%s%s", issuer_rfc2253, serial_decimal);
	testkey_need(EVP_Digest(text, strlen(text), digest, NULL, EVP_md5(), NULL) == 1, "MD5");
	for (i = 0; i < 16; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static void __attribute__((unused))
akit_sign(EVP_PKEY *pkey, const void *text, size_t len, Buf *base64)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char sig[512];
	size_t		siglen = sizeof(sig);

	testkey_need(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pkey) == 1 &&
				 EVP_DigestSign(ctx, sig, &siglen, text, len) == 1, "sign");
	EVP_MD_CTX_free(ctx);
	base64_encode(base64, sig, siglen);
}

static bool __attribute__((unused))
akit_verify(EVP_PKEY *pkey, const char *text, size_t len, const Buf *sig)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool		good = EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, pkey) == 1 &&
		EVP_DigestVerify(ctx, (const unsigned char *) sig->data, sig->len,
						 (const unsigned char *) text, len) == 1;

	EVP_MD_CTX_free(ctx);
	return good;
}

/* An answer around a node: {"name":node[,"alipay_cert_sn":"sn"],"sign":"..."} */
static void __attribute__((unused))
akit_answer(Buf *out, EVP_PKEY *pkey, const char *name, const char *node, size_t len,
			const char *sn)
{
	buf_addf(out, "{\"%s\":", name);
	buf_add(out, node, len);
	if (sn != NULL)
		buf_addf(out, ",\"alipay_cert_sn\":\"%s\"", sn);
	buf_adds(out, ",\"sign\":\"");
	akit_sign(pkey, node, len, out);
	buf_adds(out, "\"}");
}

/* One parameter more of a form. */
static void __attribute__((unused))
akit_param(Buf *form, const char *name, const char *value)
{
	buf_addf(form, "%s%s=", form->len > 0 ? "&" : "", name);
	percent_encode(form, value, strlen(value));
}

/* The decoded value of a parameter of a query or a form; NULL if it has none. */
static __attribute__((unused)) const char *
akit_value(const char *form, const char *name)
{
	static char text[4096];
	char		start[64];
	const char *p;
	size_t		n = 0;

	snprintf(start, sizeof(start), "%s=", name);
	for (p = form; p != NULL; p = strchr(p, '&') ? strchr(p, '&') + 1 : NULL)
		if (strncmp(p, start, strlen(start)) == 0)
			break;
	if (p == NULL)
		return NULL;
	for (p += strlen(start); *p != '\0' && *p != '&'; p++)
	{
		unsigned int c = (unsigned char) *p;

		if (*p == '%')
		{
			testkey_need(sscanf(p + 1, "%2x", &c) == 1, "escape");
			p += 2;
		}
		testkey_need(n + 1 < sizeof(text), "a value of a form");
		text[n++] = (char) c;
	}
	text[n] = '\0';
	return text;
}

/* Form and signature over what the test says is the signed string. */
static void __attribute__((unused))
akit_form_sign(Buf *form, EVP_PKEY *pkey, const char *signed_string)
{
	Buf			sig = BUF_INIT;

	akit_sign(pkey, signed_string, strlen(signed_string), &sig);
	akit_param(form, "sign", buf_str(&sig));
	buf_free(&sig);
}

#endif							/* REFUNDX_ALIPAYKIT_H */
