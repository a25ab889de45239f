/*-------------------------------------------------------------------------
 *
 * aead.c
 *	  AES-256-GCM with nonces of any length.
 *
 * WeChat Pay's nonces are usually 12 bytes, but 13 and 16 have been seen, so
 * the length is set for every message.  The order of calls is OpenSSL's: the
 * cipher, then the nonce's length, then key and nonce.
 *
 * src/crypto/aead.c
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "crypto/crypto.h"

#define GCM_TAG_LEN		16
#define GCM_NONCE_MAX	128

static const EVP_CIPHER *gcm_algorithm(void);
static EVP_CIPHER_CTX *gcm_start(bool encrypt, const unsigned char key[32],
								 const void *nonce, size_t noncelen,
								 const void *aad, size_t aadlen);
static bool gcm_open(EVP_CIPHER_CTX *ctx, const unsigned char *in, size_t textlen,
					 unsigned char *text);
static bool gcm_seal(EVP_CIPHER_CTX *ctx, const unsigned char *in, size_t textlen,
					 unsigned char *sealed);

/* Fetched once, see digest.c. */
static const EVP_CIPHER *
gcm_algorithm(void)
{
	static EVP_CIPHER *fetched = NULL;

	if (fetched == NULL)
		fetched = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	return fetched ? fetched : EVP_aes_256_gcm();
}

/* A context that has key, nonce and associated data; NULL if it cannot. */
static EVP_CIPHER_CTX *
gcm_start(bool encrypt, const unsigned char key[32],
		  const void *nonce, size_t noncelen, const void *aad, size_t aadlen)
{
	EVP_CIPHER_CTX *ctx;
	int			n;

	if (noncelen < 1 || noncelen > GCM_NONCE_MAX || aadlen > INT_MAX)
		return NULL;
	ctx = EVP_CIPHER_CTX_new();
	if (ctx == NULL)
		return NULL;
	if (EVP_CipherInit_ex(ctx, gcm_algorithm(), NULL, NULL, NULL, encrypt) == 1 &&
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, (int) noncelen, NULL) == 1 &&
		EVP_CipherInit_ex(ctx, NULL, NULL, key, nonce, encrypt) == 1 &&
		(aadlen == 0 || EVP_CipherUpdate(ctx, NULL, &n, aad, (int) aadlen) == 1))
		return ctx;
	EVP_CIPHER_CTX_free(ctx);
	return NULL;
}

/* Decrypt `textlen` bytes at `in`, with the tag right behind them. */
static bool
gcm_open(EVP_CIPHER_CTX *ctx, const unsigned char *in, size_t textlen, unsigned char *text)
{
	unsigned char tag[GCM_TAG_LEN];
	int			n;

	memcpy(tag, in + textlen, GCM_TAG_LEN);
	return (textlen == 0 || EVP_DecryptUpdate(ctx, text, &n, in, (int) textlen) == 1) &&
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, GCM_TAG_LEN, tag) == 1 &&
		EVP_DecryptFinal_ex(ctx, text + textlen, &n) == 1;
}

static bool
gcm_seal(EVP_CIPHER_CTX *ctx, const unsigned char *in, size_t textlen, unsigned char *sealed)
{
	int			n;

	return (textlen == 0 || EVP_EncryptUpdate(ctx, sealed, &n, in, (int) textlen) == 1) &&
		EVP_EncryptFinal_ex(ctx, sealed + textlen, &n) == 1 &&
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, GCM_TAG_LEN, sealed + textlen) == 1;
}

bool
aes256gcm_decrypt(const unsigned char key[32], const void *nonce, size_t noncelen,
				  const void *aad, size_t aadlen, const void *in, size_t inlen, Buf *out)
{
	EVP_CIPHER_CTX *ctx;
	Buf			text = BUF_INIT;
	bool		ok = false;

	if (inlen < GCM_TAG_LEN || inlen > INT_MAX)
		return false;

	/* Into a buffer of our own: nobody sees a byte before the tag was right. */
	text.limit = inlen;
	buf_add(&text, in, inlen);
	if (text.failed)
		return false;

	ERR_set_mark();
	ctx = gcm_start(false, key, nonce, noncelen, aad, aadlen);
	if (ctx != NULL)
		ok = gcm_open(ctx, in, inlen - GCM_TAG_LEN, (unsigned char *) text.data);
	EVP_CIPHER_CTX_free(ctx);
	ERR_pop_to_mark();

	if (ok)
	{
		buf_add(out, text.data, inlen - GCM_TAG_LEN);
		ok = !out->failed;
	}
	buf_wipe(&text);
	return ok;
}

bool
aes256gcm_encrypt(const unsigned char key[32], const void *nonce, size_t noncelen,
				  const void *aad, size_t aadlen, const void *in, size_t inlen, Buf *out)
{
	static const unsigned char zeros[GCM_TAG_LEN];
	EVP_CIPHER_CTX *ctx;
	Buf			sealed = BUF_INIT;
	bool		ok = false;

	if (inlen > INT_MAX - GCM_TAG_LEN)
		return false;

	/* room for the text and its tag */
	sealed.limit = inlen + GCM_TAG_LEN;
	buf_add(&sealed, in, inlen);
	buf_add(&sealed, zeros, GCM_TAG_LEN);
	if (sealed.failed)
	{
		buf_wipe(&sealed);
		return false;
	}

	ERR_set_mark();
	ctx = gcm_start(true, key, nonce, noncelen, aad, aadlen);
	if (ctx != NULL)
		ok = gcm_seal(ctx, in, inlen, (unsigned char *) sealed.data);
	EVP_CIPHER_CTX_free(ctx);
	ERR_pop_to_mark();

	if (ok)
	{
		buf_add(out, sealed.data, sealed.len);
		ok = !out->failed;
	}
	buf_wipe(&sealed);
	return ok;
}
