/*-------------------------------------------------------------------------
 *
 * crypto.h
 *	  Signatures, ciphers, digests, encodings and key files.
 *
 * Thin, non-throwing wrappers over OpenSSL 3.  Whatever comes from outside
 * may be malformed in any way; every function says so by returning false (or
 * NULL) and leaves OpenSSL's error queue empty, because the queue is shared
 * with the server's own TLS code in the same process.
 *
 * This header must not include postgres.h.
 *
 * src/crypto/crypto.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_CRYPTO_H
#define REFUNDX_CRYPTO_H

#include "base/buf.h"

/* ---- encodings (encode.c) ---- */
/*
 * The server exports functions of these two names, and the dynamic linker
 * would bind our calls to them.
 */
#define hex_encode refundx_hex_encode
#define hex_decode refundx_hex_decode
extern void hex_encode(Buf *out, const void *data, size_t len);	/* lower case */
extern bool hex_decode(Buf *out, const char *s, size_t len);
extern void base64_encode(Buf *out, const void *data, size_t len);	/* no line breaks */

/*
 * Strict RFC 4648 section 4: padding required, no white space, canonical
 * trailing bits.  False for anything else (SIGNTEST probes rely on that).
 */
extern bool base64_decode(Buf *out, const char *s, size_t len);

/* RFC 3986: everything but unreserved (A-Z a-z 0-9 - _ . ~) as %XX, upper case. */
extern void percent_encode(Buf *out, const char *s, size_t len);

/* ---- digests, MACs, randomness (digest.c) ---- */
extern bool sha256(const void *data, size_t len, unsigned char out[32]);
extern bool hmac_sha256(const void *key, size_t keylen,
						const void *data, size_t len, unsigned char out[32]);

/* The same with a key that is used again and again; NULL if there is no HMAC to be had. */
typedef struct HmacKey HmacKey;
extern HmacKey *hmac_key_new(const void *key, size_t keylen);
extern void hmac_key_free(HmacKey *key);
extern bool hmac_key_sha256(HmacKey *key, const void *data, size_t len, unsigned char out[32]);

extern bool random_bytes(void *out, size_t len);
extern bool random_nonce(char out[33]);		/* 32 lower-case hex digits and NUL */
extern bool equal_constant_time(const void *a, const void *b, size_t len);

/*
 * A digest of what comes piece by piece, however long it gets: "sha1" (of files,
 * where a channel announces it; no security rests on it) or "sha256".
 */
#define CRYPTO_DIGEST_HEX_MAX	64

typedef struct CryptoDigest CryptoDigest;

extern CryptoDigest *crypto_digest_new(const char *algorithm);	/* NULL: there is no such */
extern bool crypto_digest_add(CryptoDigest *digest, const void *data, size_t len);
extern bool crypto_digest_hex(CryptoDigest *digest, char out[CRYPTO_DIGEST_HEX_MAX + 1]);
extern void crypto_digest_free(CryptoDigest *digest);
/* ---- Merkle trees, RFC 6962 (merkle.c) ---- */
#define HASH_LEN			32
#define MERKLE_PATH_MAX		64

/* What stands beside one on the way to the root; `left`: on its left. */
typedef struct MerkleStep
{
	bool		left;
	unsigned char hash[HASH_LEN];
} MerkleStep;

extern bool merkle_leaf(const void *data, size_t len, unsigned char out[HASH_LEN]);
extern bool merkle_root(const unsigned char (*leaves)[HASH_LEN], size_t n,
						unsigned char out[HASH_LEN]);

/* From the leaf upwards; returns how many steps, -1 if there is no such leaf. */
extern int	merkle_path(const unsigned char (*leaves)[HASH_LEN], size_t n, size_t index,
						MerkleStep path[MERKLE_PATH_MAX]);

/* ---- RSA (rsa.c) ---- */
typedef struct CryptoKey CryptoKey;	/* a private or public RSA key, >= 2048 bits */

/* PEM, PKCS#8 or PKCS#1.  err gets plain words on NULL. */
extern CryptoKey *crypto_private_key(const char *pem, size_t len, char *err, size_t errsize);

/* PEM: SPKI "BEGIN PUBLIC KEY" or an X.509 "BEGIN CERTIFICATE". */
extern CryptoKey *crypto_public_key(const char *pem, size_t len, char *err, size_t errsize);

/*
 * The same, and also without armour: the DER in base64, on one line or
 * several, as the key tools of some channels export it.  A key of the wrong
 * half is named as that.
 */
extern CryptoKey *crypto_private_key_any(const char *text, size_t len, char *err, size_t errsize);
extern CryptoKey *crypto_public_key_any(const char *text, size_t len, char *err, size_t errsize);
extern void crypto_key_free(CryptoKey *key);
extern int	crypto_key_bits(const CryptoKey *key);

/* True if the two are halves of one pair (public may be from a certificate). */
extern bool crypto_key_pair_matches(const CryptoKey *priv, const CryptoKey *pub);

/* SHA-256 of the key's SPKI in DER, lower-case hex: what the database may know. */
extern bool crypto_key_fingerprint(const CryptoKey *key, char out[65]);

/* RSASSA-PKCS1-v1_5 over SHA-256. */
extern bool rsa_sign_sha256(const CryptoKey *priv, const void *data, size_t len, Buf *sig);
extern bool rsa_verify_sha256(const CryptoKey *pub, const void *data, size_t len,
							  const void *sig, size_t siglen);

/* RSAES-OAEP with SHA-1 and MGF1-SHA-1 (WeChat Pay's sensitive fields). */
extern bool rsa_oaep_encrypt(const CryptoKey *pub, const void *data, size_t len, Buf *out);
extern bool rsa_oaep_decrypt(const CryptoKey *priv, const void *data, size_t len, Buf *out);

/* A certificate's facts; false if it is not a readable PEM certificate. */
typedef struct CryptoCertificate
{
	char		serial[129];	/* upper-case hex */
	int64_t		not_before;		/* unix seconds */
	int64_t		not_after;
	char		subject[257];
} CryptoCertificate;

extern bool crypto_certificate_read(const char *pem, size_t len, CryptoCertificate *out);

/* ---- bundles of certificates (certificate.c) ---- */
#define CRYPTO_BUNDLE_MAX	32	/* certificates read of a file; more are ignored */

typedef struct CryptoBundle CryptoBundle;

typedef struct CryptoBundleFacts
{
	char		issuer[1025];	/* RFC 2253, UTF-8 */
	char		subject[1025];
	char		serial_decimal[257];
	char		signature_oid[65];	/* of the algorithm, dotted */
	int64_t		not_before;		/* unix seconds */
	int64_t		not_after;
	bool		self_issued;
} CryptoBundleFacts;

typedef enum CryptoChain
{
	CRYPTO_CHAIN_GOOD,
	CRYPTO_CHAIN_INCOMPLETE,	/* an issuer is neither in the file nor a root */
	CRYPTO_CHAIN_OTHER_ROOT,	/* it ends in a root, but in none of those given */
	CRYPTO_CHAIN_BAD			/* a wrong signature, or one that cannot be judged */
} CryptoChain;

/* The certificates of a PEM text in their order; NULL if there is none. */
extern CryptoBundle *crypto_bundle_read(const char *pem, size_t len);
extern void crypto_bundle_free(CryptoBundle *bundle);
extern int	crypto_bundle_count(const CryptoBundle *bundle);
extern bool crypto_bundle_facts(const CryptoBundle *bundle, int i, CryptoBundleFacts *out);
extern CryptoKey *crypto_bundle_key(const CryptoBundle *bundle, int i, char *err, size_t errsize);

/*
 * Whether the first of `bundle` descends from one of the self-issued among
 * `roots`.  Validity periods are not judged.
 */
extern CryptoChain crypto_chain_verify(const CryptoBundle *bundle, const CryptoBundle *roots,
									   char *why, size_t whysize);

/* For names that channels give things, never for security; false in FIPS mode. */
extern bool crypto_md5_hex(const void *data, size_t len, char out[33]);

/* ---- AEAD (aead.c) ---- */
/*
 * AES-256-GCM.  `in` is ciphertext followed by the 16-byte tag; the nonce may
 * be of any length from 1 to 128 bytes; aad may be empty.  Nothing is left in
 * `out` unless the tag was right.
 */
extern bool aes256gcm_decrypt(const unsigned char key[32],
							  const void *nonce, size_t noncelen,
							  const void *aad, size_t aadlen,
							  const void *in, size_t inlen, Buf *out);
extern bool aes256gcm_encrypt(const unsigned char key[32],
							  const void *nonce, size_t noncelen,
							  const void *aad, size_t aadlen,
							  const void *in, size_t inlen, Buf *out);

/* ---- key files (keyfile.c) ---- */
typedef enum KeyFileStatus
{
	KEY_FILE_OK,
	KEY_FILE_BAD_NAME,			/* empty, has a slash, starts with a dot */
	KEY_FILE_NO_DIRECTORY,		/* key directory unset or missing */
	KEY_FILE_MISSING,
	KEY_FILE_NOT_REGULAR,
	KEY_FILE_WRONG_OWNER,		/* neither this user nor root */
	KEY_FILE_MODE_TOO_OPEN,		/* group or world may read (0640 root-owned is fine,
								 * as for ssl_key_file) */
	KEY_FILE_TOO_LARGE,			/* over 64 KiB */
	KEY_FILE_UNREADABLE
} KeyFileStatus;

/*
 * Read directory/name.  `secret` asks for the strict mode check; public keys
 * and certificates only have to be unwritable by others.  err gets plain
 * words naming the file and the remedy, never any of its contents.
 */
extern KeyFileStatus key_file_read(const char *directory, const char *name, bool secret,
								   Buf *out, char *err, size_t errsize);

/* True if the text looks like key material that was pasted where a name belongs. */
extern bool looks_like_private_key(const char *s);

#endif							/* REFUNDX_CRYPTO_H */
