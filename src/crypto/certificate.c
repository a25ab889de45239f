/*-------------------------------------------------------------------------
 *
 * certificate.c
 *	  Bundles of X.509 certificates: what each says, and whether it descends
 *	  from a root that somebody chose.
 *
 * A chain is judged against the roots given and nothing else: what this
 * machine trusts for TLS has no say in whom a payment channel belongs to.
 * Times are not judged here, because a configuration is opened without a
 * clock; whoever uses a certificate looks at its validity when it uses it.
 *
 * A bundle may hold certificates that we can read but not verify with (SM2
 * among Alipay's roots).  They are listed, and never build a chain.
 *
 * src/crypto/certificate.c
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include "crypto/crypto.h"

#define CHAIN_DEPTH_MAX		8

struct CryptoBundle
{
	X509	   *cert[CRYPTO_BUNDLE_MAX];
	int			count;
};

static int	no_passphrase(char *buf, int size, int rwflag, void *u);
static bool name_rfc2253(const X509_NAME *name, Buf *out);
static bool time_unix(const ASN1_TIME *t, int64_t *out);
static bool serial_decimal(const X509 *cert, char *out, size_t outsize);
static bool signature_oid(const X509 *cert, char *out, size_t outsize);
static CryptoChain chain_status(int error);

/* A certificate is never encrypted; OpenSSL must not ask the terminal. */
static int
no_passphrase(char *buf, int size, int rwflag, void *u)
{
	(void) buf;
	(void) size;
	(void) rwflag;
	(void) u;
	return -1;
}

CryptoBundle *
crypto_bundle_read(const char *pem, size_t len)
{
	CryptoBundle *bundle = calloc(1, sizeof(CryptoBundle));
	BIO		   *bio = NULL;
	X509	   *cert;

	ERR_set_mark();
	if (bundle != NULL && len <= INT_MAX)
		bio = BIO_new_mem_buf(len > 0 ? pem : "", (int) len);
	while (bio != NULL && bundle->count < CRYPTO_BUNDLE_MAX &&
		   (cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL)
		bundle->cert[bundle->count++] = cert;
	BIO_free(bio);
	ERR_pop_to_mark();
	if (bundle != NULL && bundle->count > 0)
		return bundle;
	free(bundle);
	return NULL;
}

void
crypto_bundle_free(CryptoBundle *bundle)
{
	int			i;

	if (bundle == NULL)
		return;
	for (i = 0; i < bundle->count; i++)
		X509_free(bundle->cert[i]);
	free(bundle);
}

int
crypto_bundle_count(const CryptoBundle *bundle)
{
	return bundle->count;
}

/* ---- what a certificate says ---- */

/*
 * Most specific part first, commas without spaces, and UTF-8 as it is: the
 * default would spell it as \XX, and digests over the text would differ.
 */
static bool
name_rfc2253(const X509_NAME *name, Buf *out)
{
	BIO		   *bio = BIO_new(BIO_s_mem());
	char	   *data;
	long		len;
	bool		ok;

	if (bio == NULL)
		return false;
	ok = X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0;
	len = BIO_get_mem_data(bio, &data);
	if (ok && len > 0)
		buf_add(out, data, (size_t) len);
	BIO_free(bio);
	return ok && !out->failed;
}

static bool
time_unix(const ASN1_TIME *t, int64_t *out)
{
	struct tm	tm;

	if (t == NULL || ASN1_TIME_to_tm(t, &tm) != 1)
		return false;
	*out = (int64_t) timegm(&tm);
	return true;
}

static bool
serial_decimal(const X509 *cert, char *out, size_t outsize)
{
	BIGNUM	   *serial = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
	char	   *text = NULL;
	bool		ok = false;

	/* printing takes quadratic time, and a serial number has at most 20 bytes */
	if (serial != NULL && BN_num_bytes(serial) <= 64)
		text = BN_bn2dec(serial);
	if (text != NULL)
		ok = str_copy(out, outsize, text);
	OPENSSL_free(text);
	BN_free(serial);
	return ok;
}

static bool
signature_oid(const X509 *cert, char *out, size_t outsize)
{
	const X509_ALGOR *algorithm = NULL;
	const ASN1_OBJECT *object = NULL;
	int			n;

	X509_get0_signature(NULL, &algorithm, cert);
	if (algorithm == NULL)
		return false;
	X509_ALGOR_get0(&object, NULL, NULL, algorithm);
	n = object ? OBJ_obj2txt(out, (int) outsize, object, 1) : -1;
	return n > 0 && (size_t) n < outsize;
}

bool
crypto_bundle_facts(const CryptoBundle *bundle, int i, CryptoBundleFacts *out)
{
	X509	   *cert;
	Buf			issuer = BUF_INIT;
	Buf			subject = BUF_INIT;
	bool		ok;

	memset(out, 0, sizeof(*out));
	if (i < 0 || i >= bundle->count)
		return false;
	cert = bundle->cert[i];
	ERR_set_mark();
	ok = name_rfc2253(X509_get_issuer_name(cert), &issuer) &&
		name_rfc2253(X509_get_subject_name(cert), &subject) &&
		str_copy(out->issuer, sizeof(out->issuer), buf_str(&issuer)) &&
		str_copy(out->subject, sizeof(out->subject), buf_str(&subject)) &&
		strlen(out->issuer) == issuer.len && strlen(out->subject) == subject.len &&
		serial_decimal(cert, out->serial_decimal, sizeof(out->serial_decimal)) &&
		signature_oid(cert, out->signature_oid, sizeof(out->signature_oid)) &&
		time_unix(X509_get0_notBefore(cert), &out->not_before) &&
		time_unix(X509_get0_notAfter(cert), &out->not_after);
	out->self_issued = ok && strcmp(out->issuer, out->subject) == 0;
	buf_free(&issuer);
	buf_free(&subject);
	ERR_pop_to_mark();
	if (!ok)
		memset(out, 0, sizeof(*out));
	return ok;
}

CryptoKey *
crypto_bundle_key(const CryptoBundle *bundle, int i, char *err, size_t errsize)
{
	CryptoKey  *key = NULL;
	BIO		   *bio;
	char	   *data;
	long		len;

	if (i < 0 || i >= bundle->count)
	{
		snprintf(err, errsize, "there is no such certificate");
		return NULL;
	}
	ERR_set_mark();
	bio = BIO_new(BIO_s_mem());
	if (bio != NULL && PEM_write_bio_X509(bio, bundle->cert[i]) == 1 &&
		(len = BIO_get_mem_data(bio, &data)) > 0)
		key = crypto_public_key(data, (size_t) len, err, errsize);
	else
		snprintf(err, errsize, "out of memory");
	BIO_free(bio);
	ERR_pop_to_mark();
	return key;
}

/* ---- MD5, for names only ---- */

/*
 * Alipay names certificates by an MD5.  Nothing is secured by it: the
 * certificate itself is verified.
 */
bool
crypto_md5_hex(const void *data, size_t len, char out[33])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	size_t		n = 0;
	Buf			hex = BUF_INIT;
	bool		ok;

	out[0] = '\0';
	ERR_set_mark();
	ok = EVP_Q_digest(NULL, "MD5", NULL, data, len, digest, &n) == 1 && n == 16;
	ERR_pop_to_mark();
	if (ok)
	{
		hex_encode(&hex, digest, n);
		ok = !hex.failed && str_copy(out, 33, buf_str(&hex));
		buf_free(&hex);
	}
	return ok;
}

/* ---- chains ---- */

static CryptoChain
chain_status(int error)
{
	switch (error)
	{
		case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
		case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
		case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
			return CRYPTO_CHAIN_INCOMPLETE;
		case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
			return CRYPTO_CHAIN_OTHER_ROOT;
		default:
			return CRYPTO_CHAIN_BAD;
	}
}

/*
 * The first certificate of `bundle`, by way of the others and of those among
 * `roots` that are not self-issued, to one of `roots` that is.
 */
CryptoChain
crypto_chain_verify(const CryptoBundle *bundle, const CryptoBundle *roots,
					char *why, size_t whysize)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *between = sk_X509_new_null();
	CryptoChain status = CRYPTO_CHAIN_BAD;
	bool		good = store != NULL && ctx != NULL && between != NULL;
	int			i;

	ERR_set_mark();
	why[0] = '\0';
	for (i = 1; good && i < bundle->count; i++)
		good = sk_X509_push(between, bundle->cert[i]) > 0;
	for (i = 0; good && i < roots->count; i++)
	{
		if (X509_NAME_cmp(X509_get_issuer_name(roots->cert[i]),
						  X509_get_subject_name(roots->cert[i])) == 0)
			good = X509_STORE_add_cert(store, roots->cert[i]) == 1;
		else
			good = sk_X509_push(between, roots->cert[i]) > 0;
	}
	if (good)
		good = X509_STORE_CTX_init(ctx, store, bundle->cert[0], between) == 1;
	if (good)
	{
		X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);

		X509_VERIFY_PARAM_set_depth(param, CHAIN_DEPTH_MAX);
		X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_CHECK_TIME);
		if (X509_verify_cert(ctx) == 1)
			status = CRYPTO_CHAIN_GOOD;
		else
		{
			int			error = X509_STORE_CTX_get_error(ctx);

			status = chain_status(error);
			snprintf(why, whysize, "%s", X509_verify_cert_error_string(error));
		}
	}
	else
		snprintf(why, whysize, "out of memory");
	sk_X509_free(between);		/* the certificates are the bundles' */
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	ERR_pop_to_mark();
	return status;
}
