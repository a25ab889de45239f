/*-------------------------------------------------------------------------
 *
 * keys.h
 *	  Making key files for both sides, and reading them back.
 *
 * `sub` is "keys" (what a merchant has) or "private" (what the channel has);
 * file names begin with the merchant's prefix.  Whatever fails says why on
 * stderr, or in err.
 *
 * sandbox/keys.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_SANDBOX_KEYS_H
#define REFUNDX_SANDBOX_KEYS_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "sandbox.h"

#define PATH_SIZE	1024

extern bool keys_put(const char *dir, const char *sub, const char *prefix, const char *name,
					 const void *data, size_t len, int mode);
extern bool keys_put_bio(const char *dir, const char *sub, const char *prefix, const char *name,
						 BIO *bio, int mode);	/* steals bio */
extern bool keys_put_private(const char *dir, const char *sub, const char *prefix,
							 const char *name, EVP_PKEY *key);	/* PKCS#8 */
extern bool keys_put_public(const char *dir, const char *sub, const char *prefix,
							const char *name, EVP_PKEY *key);

/*
 * RSA keys of 2048 bits: the only slow part of an init, so all of a merchant's
 * are made at once, on several processors.  False: none of them is there.
 */
extern bool keys_make(EVP_PKEY **keys, int count);
extern void keys_free(EVP_PKEY **keys, int count);

/*
 * A certificate for five years, its random serial of forty hex digits.
 * issuer NULL: signed by itself.
 */
typedef struct KeysName			/* NULL: it has none */
{
	const char *country;
	const char *organisation;
	const char *unit;
	const char *who;
} KeysName;

extern X509 *keys_certificate(EVP_PKEY *key, const KeysName *name,
							  X509 *issuer, EVP_PKEY *issuer_key, bool ca);

typedef CryptoKey *(*KeyReader) (const char *pem, size_t len, char *err, size_t errsize);

extern CryptoKey *keys_load(const char *dir, const char *sub, const char *prefix, const char *name,
							KeyReader reader, char *err, size_t errsize);
extern bool keys_read(const char *dir, const char *sub, const char *prefix, const char *name,
					  Buf *out, char *err, size_t errsize);

/* DIR/name, for people and for refundx. */
extern bool keys_put_json(const char *dir, const char *name, json_t *value, int mode);

#endif							/* REFUNDX_SANDBOX_KEYS_H */
