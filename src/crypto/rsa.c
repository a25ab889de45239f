/*-------------------------------------------------------------------------
 *
 * rsa.c
 *	  RSA keys from PEM, signatures, OAEP, and what a certificate says.
 *
 * A listener verifies thousands of signatures a second with the same few
 * keys, so each key keeps its EVP_PKEY_CTX, prepared for PKCS#1 v1.5 over
 * SHA-256: preparing one costs a third of a verification.  OpenSSL allows any
 * number of operations on a prepared context.  A key therefore belongs to one
 * thread, as everything in this process does.
 *
 * Only RSA of 2048 bits and more is taken.  Encrypted private keys are
 * refused rather than asked about: OpenSSL's default callback would read a
 * pass phrase from the terminal.
 *
 * src/crypto/rsa.c
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
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "crypto/crypto.h"

#define RSA_BITS_MIN	2048
#define RSA_BITS_MAX	16384

struct CryptoKey
{
	EVP_PKEY   *pkey;
	EVP_PKEY_CTX *prepared;		/* sign (private) or verify (public) */
	bool		is_private;
	int			bits;
};

static int	no_passphrase(char *buf, int size, int rwflag, void *u);
static CryptoKey *key_finish(EVP_PKEY *pkey, bool is_private, char *err, size_t errsize);
static EVP_PKEY_CTX *key_prepare(EVP_PKEY *pkey, bool is_private);
static X509 *certificate_parse(const char *pem, size_t len);
static bool oaep(const CryptoKey *key, bool encrypt, const void *data, size_t len, Buf *out);
static bool asn1_unix_time(const ASN1_TIME *t, int64_t *out);

static int
no_passphrase(char *buf, int size, int rwflag, void *u)
{
	(void) buf;
	(void) size;
	(void) rwflag;
	(void) u;
	return -1;
}

static EVP_PKEY_CTX *
key_prepare(EVP_PKEY *pkey, bool is_private)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);

	if (ctx == NULL)
		return NULL;
	if ((is_private ? EVP_PKEY_sign_init(ctx) : EVP_PKEY_verify_init(ctx)) == 1 &&
		EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
		EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1)
		return ctx;
	EVP_PKEY_CTX_free(ctx);
	return NULL;
}

/* Take over a parsed key if it is one that we use; frees it otherwise. */
static CryptoKey *
key_finish(EVP_PKEY *pkey, bool is_private, char *err, size_t errsize)
{
	CryptoKey  *key;

	if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_RSA)
	{
		snprintf(err, errsize, "it is not an RSA key");
		EVP_PKEY_free(pkey);
		return NULL;
	}
	if (EVP_PKEY_get_bits(pkey) < RSA_BITS_MIN || EVP_PKEY_get_bits(pkey) > RSA_BITS_MAX)
	{
		snprintf(err, errsize, "it is an RSA key of %d bits; from %d to %d are accepted",
				 EVP_PKEY_get_bits(pkey), RSA_BITS_MIN, RSA_BITS_MAX);
		EVP_PKEY_free(pkey);
		return NULL;
	}
	key = calloc(1, sizeof(CryptoKey));
	if (key != NULL)
	{
		key->pkey = pkey;
		key->is_private = is_private;
		key->bits = EVP_PKEY_get_bits(pkey);
		key->prepared = key_prepare(pkey, is_private);
	}
	if (key == NULL || key->prepared == NULL)
	{
		snprintf(err, errsize, "OpenSSL cannot use this key");
		free(key);
		EVP_PKEY_free(pkey);
		return NULL;
	}
	return key;
}

CryptoKey *
crypto_private_key(const char *pem, size_t len, char *err, size_t errsize)
{
	CryptoKey  *key = NULL;
	EVP_PKEY   *pkey = NULL;
	BIO		   *bio = NULL;

	ERR_set_mark();
	if (len <= INT_MAX)
		bio = BIO_new_mem_buf(len > 0 ? pem : "", (int) len);
	if (bio != NULL)
		pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	if (pkey != NULL)
		key = key_finish(pkey, true, err, errsize);
	else
		snprintf(err, errsize, "it is not an unencrypted private key in PEM format "
				 "(\"-----BEGIN PRIVATE KEY-----\")");
	BIO_free(bio);
	ERR_pop_to_mark();
	return key;
}

static X509 *
certificate_parse(const char *pem, size_t len)
{
	BIO		   *bio;
	X509	   *cert = NULL;

	if (len > INT_MAX)
		return NULL;
	bio = BIO_new_mem_buf(len > 0 ? pem : "", (int) len);
	if (bio != NULL)
		cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	return cert;
}

CryptoKey *
crypto_public_key(const char *pem, size_t len, char *err, size_t errsize)
{
	CryptoKey  *key = NULL;
	EVP_PKEY   *pkey = NULL;
	BIO		   *bio = NULL;
	X509	   *cert;

	ERR_set_mark();
	if (len <= INT_MAX)
		bio = BIO_new_mem_buf(len > 0 ? pem : "", (int) len);
	if (bio != NULL)
		pkey = PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
	if (pkey == NULL)
	{
		cert = certificate_parse(pem, len);
		if (cert != NULL)
			pkey = X509_get_pubkey(cert);
		X509_free(cert);
	}
	if (pkey != NULL)
		key = key_finish(pkey, false, err, errsize);
	else
		snprintf(err, errsize, "it is neither a public key nor a certificate in PEM format "
				 "(\"-----BEGIN PUBLIC KEY-----\" or \"-----BEGIN CERTIFICATE-----\")");
	BIO_free(bio);
	ERR_pop_to_mark();
	return key;
}

/* ---- keys without armour ---- */

/*
 * The DER inside base64 that has no armour around it; white space anywhere
 * and a byte order mark are an editor's doing.
 */
static bool
bare_der(const char *text, size_t len, Buf *der)
{
	Buf			packed = BUF_INIT;
	size_t		i = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
	bool		ok;

	/* of its final size at once, so that no piece of a key stays behind */
	packed.data = malloc(len + 1);
	if (packed.data == NULL)
		return false;
	packed.cap = len + 1;
	for (; i < len; i++)
		if (strchr(" \t\r\n", text[i]) == NULL)
			packed.data[packed.len++] = text[i];
	packed.data[packed.len] = '\0';
	ok = packed.len > 0 && base64_decode(der, packed.data, packed.len);
	buf_wipe(&packed);
	return ok;
}

/* A key file may hold any bytes, NULs among them. */
static bool
holds(const char *text, size_t len, const char *word)
{
	return text != NULL && memmem(text, len, word, strlen(word)) != NULL;
}

static EVP_PKEY *
der_private(const Buf *der)
{
	const unsigned char *p = (const unsigned char *) der->data;

	return d2i_AutoPrivateKey(NULL, &p, (long) der->len);
}

static EVP_PKEY *
der_public(const Buf *der)
{
	const unsigned char *p = (const unsigned char *) der->data;

	return d2i_PUBKEY(NULL, &p, (long) der->len);
}

CryptoKey *
crypto_private_key_any(const char *text, size_t len, char *err, size_t errsize)
{
	CryptoKey  *key = NULL;
	EVP_PKEY   *pkey = NULL;
	Buf			der = BUF_INIT;

	if (holds(text, len, "-----BEGIN"))
	{
		if (!holds(text, len, "PRIVATE KEY"))
		{
			snprintf(err, errsize, "it is not a private key, but something public "
					 "(a public key or a certificate)");
			return NULL;
		}
		return crypto_private_key(text, len, err, errsize);
	}
	ERR_set_mark();
	if (len == 0 || !bare_der(text, len, &der))
		snprintf(err, errsize, "it is neither a private key in PEM format nor one in bare base64");
	else if ((pkey = der_private(&der)) != NULL)
		key = key_finish(pkey, true, err, errsize);
	else if ((pkey = der_public(&der)) != NULL)
	{
		EVP_PKEY_free(pkey);
		snprintf(err, errsize, "it is not a private key, but a public one");
	}
	else
		snprintf(err, errsize, "its base64 holds no unencrypted private key (PKCS#1 or PKCS#8), "
				 "or only a part of one");
	buf_wipe(&der);
	ERR_pop_to_mark();
	return key;
}

CryptoKey *
crypto_public_key_any(const char *text, size_t len, char *err, size_t errsize)
{
	CryptoKey  *key = NULL;
	EVP_PKEY   *pkey = NULL;
	Buf			der = BUF_INIT;

	if (holds(text, len, "-----BEGIN"))
	{
		if (holds(text, len, "PRIVATE KEY"))
		{
			snprintf(err, errsize, "it is a private key, where a public one belongs");
			return NULL;
		}
		return crypto_public_key(text, len, err, errsize);
	}
	ERR_set_mark();
	if (len == 0 || !bare_der(text, len, &der))
		snprintf(err, errsize, "it is neither a public key in PEM format nor one in bare base64");
	else if ((pkey = der_public(&der)) != NULL)
		key = key_finish(pkey, false, err, errsize);
	else if ((pkey = der_private(&der)) != NULL)
	{
		EVP_PKEY_free(pkey);
		snprintf(err, errsize, "it is a private key, where a public one belongs");
	}
	else
		snprintf(err, errsize, "its base64 holds no public key, or only a part of one");
	buf_wipe(&der);
	ERR_pop_to_mark();
	return key;
}

void
crypto_key_free(CryptoKey *key)
{
	if (key == NULL)
		return;
	EVP_PKEY_CTX_free(key->prepared);
	EVP_PKEY_free(key->pkey);
	free(key);
}

int
crypto_key_bits(const CryptoKey *key)
{
	return key->bits;
}

bool
crypto_key_pair_matches(const CryptoKey *priv, const CryptoKey *pub)
{
	bool		same;

	ERR_set_mark();
	same = EVP_PKEY_eq(priv->pkey, pub->pkey) == 1;
	ERR_pop_to_mark();
	return same;
}

bool
crypto_key_fingerprint(const CryptoKey *key, char out[65])
{
	unsigned char *der = NULL;
	unsigned char digest[32];
	Buf			hex = BUF_INIT;
	bool		ok = false;
	int			len;

	out[0] = '\0';
	ERR_set_mark();
	len = i2d_PUBKEY(key->pkey, &der);
	if (len > 0 && sha256(der, (size_t) len, digest))
	{
		hex_encode(&hex, digest, sizeof(digest));
		ok = !hex.failed && str_copy(out, 65, buf_str(&hex));
	}
	buf_free(&hex);
	OPENSSL_free(der);
	ERR_pop_to_mark();
	return ok;
}

bool
rsa_sign_sha256(const CryptoKey *priv, const void *data, size_t len, Buf *sig)
{
	unsigned char digest[32];
	unsigned char raw[RSA_BITS_MAX / 8];
	size_t		rawlen = sizeof(raw);
	bool		ok;

	if (!priv->is_private || !sha256(data, len, digest))
		return false;
	ERR_set_mark();
	ok = EVP_PKEY_sign(priv->prepared, raw, &rawlen, digest, sizeof(digest)) == 1;
	ERR_pop_to_mark();
	if (ok)
		buf_add(sig, raw, rawlen);
	return ok && !sig->failed;
}

bool
rsa_verify_sha256(const CryptoKey *pub, const void *data, size_t len,
				  const void *sig, size_t siglen)
{
	unsigned char digest[32];
	bool		ok;

	/* a signature is exactly as long as the modulus */
	if (pub->is_private || siglen != (size_t) (pub->bits + 7) / 8 ||
		!sha256(data, len, digest))
		return false;
	ERR_set_mark();
	ok = EVP_PKEY_verify(pub->prepared, sig, siglen, digest, sizeof(digest)) == 1;
	ERR_pop_to_mark();
	return ok;
}

/* Rare (a person's name now and then), so nothing is kept prepared. */
static bool
oaep(const CryptoKey *key, bool encrypt, const void *data, size_t len, Buf *out)
{
	EVP_PKEY_CTX *ctx;
	unsigned char raw[RSA_BITS_MAX / 8];
	size_t		rawlen = sizeof(raw);
	bool		ok = false;

	if (key->is_private == encrypt)
		return false;
	ERR_set_mark();
	ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
	if (ctx != NULL &&
		(encrypt ? EVP_PKEY_encrypt_init(ctx) : EVP_PKEY_decrypt_init(ctx)) == 1 &&
		EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
		EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha1()) == 1 &&
		EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha1()) == 1)
		ok = (encrypt ? EVP_PKEY_encrypt(ctx, raw, &rawlen, data, len)
			  : EVP_PKEY_decrypt(ctx, raw, &rawlen, data, len)) == 1;
	EVP_PKEY_CTX_free(ctx);
	ERR_pop_to_mark();
	if (ok)
		buf_add(out, raw, rawlen);
	OPENSSL_cleanse(raw, sizeof(raw));
	return ok && !out->failed;
}

bool
rsa_oaep_encrypt(const CryptoKey *pub, const void *data, size_t len, Buf *out)
{
	return oaep(pub, true, len > 0 ? data : "", len, out);
}

bool
rsa_oaep_decrypt(const CryptoKey *priv, const void *data, size_t len, Buf *out)
{
	return oaep(priv, false, len > 0 ? data : "", len, out);
}

static bool
asn1_unix_time(const ASN1_TIME *t, int64_t *out)
{
	struct tm	tm;

	if (t == NULL || ASN1_TIME_to_tm(t, &tm) != 1)
		return false;
	*out = (int64_t) timegm(&tm);
	return true;
}

bool
crypto_certificate_read(const char *pem, size_t len, CryptoCertificate *out)
{
	X509	   *cert;
	BIGNUM	   *serial = NULL;
	char	   *hex = NULL;
	bool		ok = false;

	memset(out, 0, sizeof(*out));
	ERR_set_mark();
	cert = certificate_parse(pem, len);
	if (cert != NULL)
		serial = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
	if (serial != NULL)
		hex = BN_bn2hex(serial);	/* upper case, two digits a byte */
	if (hex != NULL)
	{
		X509_NAME_oneline(X509_get_subject_name(cert), out->subject, sizeof(out->subject));
		ok = str_copy(out->serial, sizeof(out->serial), hex) &&
			asn1_unix_time(X509_get0_notBefore(cert), &out->not_before) &&
			asn1_unix_time(X509_get0_notAfter(cert), &out->not_after);
	}
	OPENSSL_free(hex);
	BN_free(serial);
	X509_free(cert);
	ERR_pop_to_mark();
	if (!ok)
		memset(out, 0, sizeof(*out));
	return ok;
}
