/*-------------------------------------------------------------------------
 *
 * digest.c
 *	  Digests, HMAC, random bytes, and comparison in constant time.
 *
 * OpenSSL 3 looks an algorithm up by name at every use unless it is fetched
 * once and kept, which costs more than hashing a callback does.
 *
 * src/crypto/digest.c
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "crypto/crypto.h"

static const EVP_MD *sha256_algorithm(void);

/*
 * The fetched algorithm lives as long as the process.  If fetching fails, the
 * implicit one still works, only slower.
 */
static const EVP_MD *
sha256_algorithm(void)
{
	static EVP_MD *fetched = NULL;

	if (fetched == NULL)
		fetched = EVP_MD_fetch(NULL, "SHA256", NULL);
	return fetched ? fetched : EVP_sha256();
}

bool
sha256(const void *data, size_t len, unsigned char out[32])
{
	unsigned int outlen = 0;
	bool		ok;

	ERR_set_mark();
	ok = EVP_Digest(len > 0 ? data : "", len, out, &outlen, sha256_algorithm(), NULL) == 1 &&
		outlen == 32;
	ERR_pop_to_mark();
	return ok;
}

bool
hmac_sha256(const void *key, size_t keylen,
			const void *data, size_t len, unsigned char out[32])
{
	unsigned int outlen = 0;
	bool		ok;

	if (keylen > INT_MAX)
		return false;
	ERR_set_mark();
	/* an empty key is a legal key, but OpenSSL takes NULL for "no key given" */
	ok = HMAC(sha256_algorithm(), keylen > 0 ? key : "", (int) keylen,
			  len > 0 ? data : (const void *) "", len, out, &outlen) != NULL &&
		outlen == 32;
	ERR_pop_to_mark();
	return ok;
}

/*
 * The key has been taken in once, which is most of what an HMAC of a few bytes costs.
 */
HmacKey *
hmac_key_new(const void *key, size_t keylen)
{
	EVP_MAC    *mac;
	EVP_MAC_CTX *ctx = NULL;
	OSSL_PARAM	params[2];

	ERR_set_mark();
	mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	if (mac != NULL)
		ctx = EVP_MAC_CTX_new(mac);
	EVP_MAC_free(mac);
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, "SHA256", 0);
	params[1] = OSSL_PARAM_construct_end();
	if (ctx != NULL &&
		EVP_MAC_init(ctx, keylen > 0 ? key : (const void *) "", keylen, params) != 1)
	{
		EVP_MAC_CTX_free(ctx);
		ctx = NULL;
	}
	ERR_pop_to_mark();
	return (HmacKey *) ctx;
}

void
hmac_key_free(HmacKey *key)
{
	EVP_MAC_CTX_free((EVP_MAC_CTX *) key);
}

bool
hmac_key_sha256(HmacKey *key, const void *data, size_t len, unsigned char out[32])
{
	EVP_MAC_CTX *ctx = (EVP_MAC_CTX *) key;
	size_t		outlen = 0;
	bool		ok;

	ERR_set_mark();
	/* without a key: from the beginning, with the one that it has */
	ok = EVP_MAC_init(ctx, NULL, 0, NULL) == 1 &&
		EVP_MAC_update(ctx, len > 0 ? data : (const void *) "", len) == 1 &&
		EVP_MAC_final(ctx, out, &outlen, 32) == 1 && outlen == 32;
	ERR_pop_to_mark();
	return ok;
}

/*
 * Drawing a few bytes costs as much as drawing a thousand, and sealing one payee
 * takes 56: so they are drawn in advance.  What was handed out is wiped here, and a
 * process that was forked draws its own, as does each thread.
 */
#define POOL_SIZE	1024
#define POOL_TAKE_MAX	64

static bool
random_from_pool(void *out, size_t len)
{
	static __thread unsigned char pool[POOL_SIZE];
	static __thread size_t left = 0;
	static __thread pid_t owner = 0;

	if (owner != getpid())
	{
		owner = getpid();
		left = 0;
	}
	if (left < len)
	{
		left = 0;
		if (RAND_bytes(pool, POOL_SIZE) != 1)
			return false;
		left = POOL_SIZE;
	}
	left -= len;
	memcpy(out, pool + left, len);
	OPENSSL_cleanse(pool + left, len);
	return true;
}

bool
random_bytes(void *out, size_t len)
{
	bool		ok;

	if (len > INT_MAX)
		return false;
	ERR_set_mark();
	ok = len <= POOL_TAKE_MAX ? random_from_pool(out, len) : RAND_bytes(out, (int) len) == 1;
	ERR_pop_to_mark();
	return ok;
}

bool
random_nonce(char out[33])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char raw[16];
	int			i;

	out[0] = '\0';
	if (!random_bytes(raw, sizeof(raw)))
		return false;
	for (i = 0; i < 16; i++)
	{
		out[2 * i] = digits[raw[i] >> 4];
		out[2 * i + 1] = digits[raw[i] & 0x0f];
	}
	out[32] = '\0';
	return true;
}

bool
equal_constant_time(const void *a, const void *b, size_t len)
{
	return len == 0 || CRYPTO_memcmp(a, b, len) == 0;
}

/* ---- piece by piece ---- */

struct CryptoDigest
{
	EVP_MD_CTX *ctx;
};

CryptoDigest *
crypto_digest_new(const char *algorithm)
{
	const EVP_MD *md = strcmp(algorithm, "sha1") == 0 ? EVP_sha1() :
		strcmp(algorithm, "sha256") == 0 ? EVP_sha256() : NULL;
	CryptoDigest *digest;

	if (md == NULL)
		return NULL;
	digest = calloc(1, sizeof(*digest));
	if (digest == NULL)
		return NULL;
	ERR_set_mark();
	digest->ctx = EVP_MD_CTX_new();
	if (digest->ctx == NULL || EVP_DigestInit_ex(digest->ctx, md, NULL) != 1)
	{
		crypto_digest_free(digest);
		digest = NULL;
	}
	ERR_pop_to_mark();
	return digest;
}

bool
crypto_digest_add(CryptoDigest *digest, const void *data, size_t len)
{
	bool		ok;

	ERR_set_mark();
	ok = len == 0 || EVP_DigestUpdate(digest->ctx, data, len) == 1;
	ERR_pop_to_mark();
	return ok;
}

bool
crypto_digest_hex(CryptoDigest *digest, char out[CRYPTO_DIGEST_HEX_MAX + 1])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned int len = 0;
	unsigned int i;
	bool		ok;

	out[0] = '\0';
	ERR_set_mark();
	ok = EVP_DigestFinal_ex(digest->ctx, raw, &len) == 1 && 2 * len <= CRYPTO_DIGEST_HEX_MAX;
	ERR_pop_to_mark();
	if (!ok)
		return false;
	for (i = 0; i < len; i++)
	{
		out[2 * i] = digits[raw[i] >> 4];
		out[2 * i + 1] = digits[raw[i] & 0x0f];
	}
	out[2 * len] = '\0';
	return true;
}

void
crypto_digest_free(CryptoDigest *digest)
{
	if (digest == NULL)
		return;
	EVP_MD_CTX_free(digest->ctx);
	free(digest);
}
