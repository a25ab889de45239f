/*-------------------------------------------------------------------------
 *
 * test_crypto_rsa.c
 *	  RSA keys, signatures, OAEP and certificates.
 *
 * What we sign is verified by OpenSSL's own high-level call, and the other
 * way round, so that one mistake cannot stand on both sides.
 *
 * test/unit/test_crypto_rsa.c
 *
 *-------------------------------------------------------------------------
 */
#include <openssl/ec.h>
#include <openssl/err.h>

#include "crypto/crypto.h"
#include "testkeys.h"
#include "unit.h"

static EVP_PKEY *pair;
static CryptoKey *priv;
static CryptoKey *pub;
static char err[256];

static bool
openssl_verifies(const void *data, size_t len, const Buf *sig)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool		good;

	good = EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, pair) == 1 &&
		EVP_DigestVerify(ctx, (unsigned char *) sig->data, sig->len, data, len) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return good;
}

static void
test_signatures(void)
{
	Buf			sig = BUF_INIT;
	Buf			again = BUF_INIT;
	char		text[] = "POST\n/v3/refund/domestic/refunds\n1554208460\nnonce\n{}\n";
	size_t		i;
	int			wrong = 0;

	ok(rsa_sign_sha256(priv, text, strlen(text), &sig), "signs");
	is_int(sig.len, 256, "256 bytes");
	ok(openssl_verifies(text, strlen(text), &sig), "OpenSSL's own call verifies it");
	ok(rsa_verify_sha256(pub, text, strlen(text), sig.data, sig.len), "and so do we");
	for (i = 0; i < sig.len; i++)
	{
		sig.data[i] ^= 0x80;
		wrong += rsa_verify_sha256(pub, text, strlen(text), sig.data, sig.len);
		sig.data[i] ^= 0x80;
	}
	for (i = 0; i < strlen(text); i++)
	{
		text[i] ^= 0x01;
		wrong += rsa_verify_sha256(pub, text, strlen(text), sig.data, sig.len);
		text[i] ^= 0x01;
	}
	is_int(wrong, 0, "no flipped byte of signature or text verifies");
	ok(!rsa_verify_sha256(pub, text, strlen(text), sig.data, 255), "too short is refused");
	ok(!rsa_verify_sha256(pub, text, strlen(text), sig.data, 0), "nothing is refused");
	ok(!rsa_verify_sha256(priv, text, strlen(text), sig.data, sig.len),
	   "a private key does not verify");
	ok(!rsa_sign_sha256(pub, text, strlen(text), &again), "a public key does not sign");
	ok(rsa_verify_sha256(pub, text, strlen(text), sig.data, sig.len),
	   "after all those failures the same key still verifies");
	ok(rsa_sign_sha256(priv, text, strlen(text), &again), "and the other still signs");
	is_mem(again.data, again.len, sig.data, sig.len, "the same bytes: v1.5 has no salt");
	is_int(ERR_peek_error(), 0, "OpenSSL's error queue is empty");
	buf_free(&sig);
	buf_free(&again);
}

static void
test_queue_of_others(void)
{
	/* what somebody else left in the queue is not ours to remove */
	ERR_put_error(ERR_LIB_SSL, 0, 42, __FILE__, __LINE__);
	ok(crypto_private_key("rubbish", 7, err, sizeof(err)) == NULL, "rubbish is no key");
	ok(!rsa_verify_sha256(pub, "x", 1, "y", 1), "nor a signature");
	is_int(ERR_GET_REASON(ERR_get_error()), 42, "another's error is still there");
	is_int(ERR_peek_error(), 0, "and nothing of ours");
}

static void
test_oaep(void)
{
	char		long_text[215];
	Buf			sealed = BUF_INIT;
	Buf			out = BUF_INIT;

	memset(long_text, 'x', sizeof(long_text));
	ok(rsa_oaep_encrypt(pub, "\xe5\xbc\xa0\xe4\xb8\x89", 6, &sealed), "OAEP encrypts");
	ok(rsa_oaep_decrypt(priv, sealed.data, sealed.len, &out), "and decrypts");
	is_str(buf_str(&out), "\xe5\xbc\xa0\xe4\xb8\x89", "the same text");
	sealed.data[10] ^= 1;
	buf_reset(&out);
	ok(!rsa_oaep_decrypt(priv, sealed.data, sealed.len, &out), "a flipped byte does not");
	is_int(out.len, 0, "and leaves nothing");
	buf_reset(&sealed);
	ok(rsa_oaep_encrypt(pub, long_text, 214, &sealed), "214 bytes fit into 2048 bits");
	buf_reset(&sealed);
	ok(!rsa_oaep_encrypt(pub, long_text, 215, &sealed), "215 do not");
	ok(!rsa_oaep_encrypt(priv, "x", 1, &sealed), "a private key does not encrypt");
	ok(!rsa_oaep_decrypt(pub, long_text, 214, &out), "a public key does not decrypt");
	is_int(ERR_peek_error(), 0, "OpenSSL's error queue is empty");
	buf_free(&sealed);
	buf_free(&out);
}

/* A key that must be refused: NULL, words, and an empty queue. */
static void
refused(bool private_half, const Buf *pem, const char *words, const char *name)
{
	CryptoKey  *key;

	err[0] = '\0';
	key = private_half ? crypto_private_key(buf_str(pem), pem->len, err, sizeof(err))
		: crypto_public_key(buf_str(pem), pem->len, err, sizeof(err));
	ok(key == NULL, "refused: %s", name);
	has(err, words, "in plain words");
	is_int(ERR_peek_error(), 0, "OpenSSL's error queue is empty");
	crypto_key_free(key);
}

static void
test_refused_keys(void)
{
	EVP_PKEY   *small = testkey_new(1024);
	EVP_PKEY   *ec = EVP_EC_gen("P-256");
	BIO		   *bio = BIO_new(BIO_s_mem());
	Buf			pem = BUF_INIT;

	refused(true, &pem, "private key", "nothing");
	refused(false, &pem, "public key", "nothing");
	testkey_private_pem(small, &pem);
	refused(true, &pem, "1024 bits", "1024 bits, private");
	buf_reset(&pem);
	testkey_public_pem(small, &pem);
	refused(false, &pem, "1024 bits", "1024 bits, public");
	refused(true, &pem, "private key", "a public key as a private one");
	buf_reset(&pem);
	testkey_private_pem(ec, &pem);
	refused(true, &pem, "not an RSA key", "an elliptic curve");
	refused(false, &pem, "public key", "a private key as a public one");
	buf_reset(&pem);
	PEM_write_bio_PKCS8PrivateKey(bio, pair, EVP_aes_256_cbc(), "secret", 6, NULL, NULL);
	testkey_bio_to_buf(bio, &pem);
	refused(true, &pem, "unencrypted", "an encrypted key, without asking the terminal");
	buf_reset(&pem);
	testkey_private_pem(pair, &pem);
	pem.len /= 2;
	refused(true, &pem, "private key", "half a key");
	lacks(err, "MII", "without repeating it");
	EVP_PKEY_free(small);
	EVP_PKEY_free(ec);
	buf_free(&pem);
}

static void
test_formats(void)
{
	EVP_PKEY   *other = testkey_new(2048);
	BIO		   *bio = BIO_new(BIO_s_mem());
	Buf			pem = BUF_INIT;
	CryptoKey  *key;
	CryptoKey  *stranger;
	char		a[65],
				b[65];

	PEM_write_bio_PrivateKey_traditional(bio, pair, NULL, NULL, 0, NULL, NULL);
	testkey_bio_to_buf(bio, &pem);
	has(buf_str(&pem), "BEGIN RSA PRIVATE KEY", "PKCS#1");
	key = crypto_private_key(pem.data, pem.len, err, sizeof(err));
	ok(key != NULL && crypto_key_pair_matches(key, pub), "is read");
	crypto_key_free(key);
	buf_reset(&pem);
	testkey_public_pem(other, &pem);
	stranger = crypto_public_key(pem.data, pem.len, err, sizeof(err));
	ok(!crypto_key_pair_matches(priv, stranger), "a stranger's key does not match");
	is_int(crypto_key_bits(priv), 2048, "bits");
	ok(crypto_key_fingerprint(priv, a) && crypto_key_fingerprint(pub, b), "fingerprints");
	is_str(a, b, "are the same for both halves");
	is_int(strlen(a), 64, "64 digits");
	ok(crypto_key_fingerprint(stranger, b) && strcmp(a, b) != 0, "and another's differs");
	crypto_key_free(stranger);
	EVP_PKEY_free(other);
	buf_free(&pem);
}

static void
test_certificates(void)
{
	Buf			pem = BUF_INIT;
	CryptoCertificate facts;
	CryptoKey  *key;
	size_t		i;

	testkey_certificate_pem(pair, "0B37CCBE3FE46A2F4BB6C36E59E5B16B0A0B7D8C", 1700000000,
							2524608000, &pem);
	ok(crypto_certificate_read(pem.data, pem.len, &facts), "a certificate is read");
	is_str(facts.serial, "0B37CCBE3FE46A2F4BB6C36E59E5B16B0A0B7D8C",
		   "its serial keeps the leading zero");
	is_int(facts.not_before, 1700000000, "its beginning");
	is_int(facts.not_after, 2524608000, "its end, beyond 2049");
	has(facts.subject, "CN=refundx test", "its subject");
	key = crypto_public_key(pem.data, pem.len, err, sizeof(err));
	ok(key != NULL && crypto_key_pair_matches(priv, key), "its key matches the private one");
	crypto_key_free(key);
	for (i = 0; i < pem.len; i += 37)
		crypto_certificate_read(pem.data, i, &facts);
	ok(!crypto_certificate_read(pem.data, pem.len / 2, &facts), "half a certificate is none");
	is_str(facts.serial, "", "and leaves nothing");
	is_int(ERR_peek_error(), 0, "OpenSSL's error queue is empty");
	buf_free(&pem);
}

int
main(void)
{
	Buf			pem = BUF_INIT;

	pair = testkey_new(2048);
	testkey_private_pem(pair, &pem);
	priv = crypto_private_key(pem.data, pem.len, err, sizeof(err));
	buf_reset(&pem);
	testkey_public_pem(pair, &pem);
	pub = crypto_public_key(pem.data, pem.len, err, sizeof(err));
	buf_free(&pem);
	if (!ok(priv != NULL && pub != NULL, "a pair of keys"))
		return unit_done();

	test_signatures();
	test_queue_of_others();
	test_oaep();
	test_refused_keys();
	test_formats();
	test_certificates();
	crypto_key_free(priv);
	crypto_key_free(pub);
	EVP_PKEY_free(pair);
	return unit_done();
}
