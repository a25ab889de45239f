/*-------------------------------------------------------------------------
 *
 * test_crypto_aead.c
 *	  AES-256-GCM (the test cases of its specification), SHA-256 (FIPS 180),
 *	  HMAC (RFC 4231), nonces of every length, and tampering.
 *
 * test/unit/test_crypto_aead.c
 *
 *-------------------------------------------------------------------------
 */
#include <openssl/err.h>

#include "crypto/crypto.h"
#include "unit.h"

static void
unhex(Buf *b, const char *hex)
{
	buf_reset(b);
	if (!hex_decode(b, hex, strlen(hex)))
		ok(false, "a test vector is not hex");
}

/* McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B */
#define GCM_KEY		"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"
#define GCM_TEXT	"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72" \
					"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define GCM_AAD		"feedfacedeadbeeffeedfacedeadbeefabaddad2"

static const struct
{
	const char *name;
	const char *nonce;
	const char *sealed;
}			gcm_cases[] =
{
	{"case 16 (12-byte nonce)", "cafebabefacedbaddecaf888",
		"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
		"8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
	"76fc6ece0f4e1768cddf8853bb2d551b"},
	{"case 17 (8-byte nonce)", "cafebabefacedbad",
		"c3762df1ca787d32ae47c13bf19844cbaf1ae14d0b976afac52ff7d79bba9de0"
		"feb582d33934a4f0954cc2363bc73f7862ac430e64abe499f47c9b1f"
	"3a337dbf46a792c45e454913fe2ea8f2"},
	{"case 18 (60-byte nonce)",
		"9313225df88406e555909c5aff5269aa6a7a9538534f7da1e4c303d2a318a728"
		"c3c0c95156809539fcf0e2429a6b525416aedbf5a0de6a57a637b39b",
		"5a8def2f0c9e53f1f75d7853659e2a20eeb2b22aafde6419a058ab4f6f746bf4"
		"0fc0c3b780f244452da3ebf1c5d82cdea2418997200ef82e44ae7e3f"
	"a44a8266ee1c8eb0c8b5d4cf5ae9f19a"},
};

static void
test_gcm_vectors(void)
{
	Buf			key = BUF_INIT,
				nonce = BUF_INIT,
				text = BUF_INIT,
				aad = BUF_INIT,
				sealed = BUF_INIT,
				out = BUF_INIT;
	size_t		i;

	unhex(&key, GCM_KEY);
	unhex(&text, GCM_TEXT);
	unhex(&aad, GCM_AAD);
	for (i = 0; i < sizeof(gcm_cases) / sizeof(gcm_cases[0]); i++)
	{
		unhex(&nonce, gcm_cases[i].nonce);
		unhex(&sealed, gcm_cases[i].sealed);
		buf_reset(&out);
		ok(aes256gcm_encrypt((unsigned char *) key.data, nonce.data, nonce.len, aad.data, aad.len,
							 text.data, text.len, &out), "%s encrypts", gcm_cases[i].name);
		is_mem(out.data, out.len, sealed.data, sealed.len, gcm_cases[i].name);
		buf_reset(&out);
		ok(aes256gcm_decrypt((unsigned char *) key.data, nonce.data, nonce.len, aad.data, aad.len,
							 sealed.data, sealed.len, &out), "%s decrypts", gcm_cases[i].name);
		is_mem(out.data, out.len, text.data, text.len, gcm_cases[i].name);
	}
	buf_free(&key);
	buf_free(&nonce);
	buf_free(&text);
	buf_free(&aad);
	buf_free(&sealed);
	buf_free(&out);
}

static void
test_gcm_lengths(void)
{
	static const unsigned char key[32] = "0123456789abcdef0123456789abcdef";
	static const char nonce[129] =
	"0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz"
	"0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijk";
	static const size_t lengths[] = {1, 12, 13, 16, 127, 128};
	Buf			sealed = BUF_INIT;
	Buf			out = BUF_INIT;
	size_t		i;

	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
	{
		buf_reset(&sealed);
		buf_reset(&out);
		ok(aes256gcm_encrypt(key, nonce, lengths[i], "", 0, "refund", 6, &sealed) &&
		   aes256gcm_decrypt(key, nonce, lengths[i], NULL, 0, sealed.data, sealed.len, &out),
		   "a nonce of %lu bytes, no associated data", (unsigned long) lengths[i]);
		is_str(buf_str(&out), "refund", "gives the text back");
		buf_reset(&out);
		ok(lengths[i] == 1 ||
		   !aes256gcm_decrypt(key, nonce, lengths[i] - 1, NULL, 0, sealed.data, sealed.len, &out),
		   "and one byte of nonce less does not");
	}
	buf_reset(&out);
	ok(!aes256gcm_encrypt(key, nonce, 0, "", 0, "x", 1, &out), "no nonce at all is refused");
	ok(!aes256gcm_decrypt(key, nonce, 0, "", 0, sealed.data, sealed.len, &out), "likewise");
	ok(!aes256gcm_encrypt(key, nonce, 129, "", 0, "x", 1, &out), "129 bytes of nonce are refused");

	/* the empty text is a tag and nothing else */
	buf_reset(&sealed);
	ok(aes256gcm_encrypt(key, nonce, 12, "aad", 3, "", 0, &sealed), "the empty text");
	is_int(sealed.len, 16, "is sixteen bytes");
	ok(aes256gcm_decrypt(key, nonce, 12, "aad", 3, sealed.data, 16, &out), "which decrypt");
	is_int(out.len, 0, "to nothing");
	for (i = 0; i < 16; i++)
		ok(!aes256gcm_decrypt(key, nonce, 12, "aad", 3, sealed.data, i, &out),
		   "%lu bytes are too short", (unsigned long) i);
	buf_free(&sealed);
	buf_free(&out);
}

static void
test_gcm_tampering(void)
{
	unsigned char key[32] = "0123456789abcdef0123456789abcdef";
	char		nonce[13] = "abcdefghijkl";
	char		aad[7] = "refund";
	Buf			sealed = BUF_INIT;
	Buf			out = BUF_INIT;
	size_t		i;
	int			wrong = 0;

	buf_adds(&out, "before");
	aes256gcm_encrypt(key, nonce, 12, aad, 6, "amount=100", 10, &sealed);
#define TRY_FLIPPED(bytes, n) \
	for (i = 0; i < (n); i++) \
	{ \
		((char *) (bytes))[i] ^= 0x01; \
		if (aes256gcm_decrypt(key, nonce, 12, aad, 6, sealed.data, sealed.len, &out)) \
			wrong++; \
		((char *) (bytes))[i] ^= 0x01; \
	}
	TRY_FLIPPED(sealed.data, sealed.len);
	TRY_FLIPPED(key, sizeof(key));
	TRY_FLIPPED(nonce, (size_t) 12);
	TRY_FLIPPED(aad, (size_t) 6);
	is_int(wrong, 0, "no flipped byte of text, tag, key, nonce or associated data decrypts");
	is_str(buf_str(&out), "before", "and nothing was left behind");
	ok(aes256gcm_decrypt(key, nonce, 12, aad, 6, sealed.data, sealed.len, &out),
	   "the original still does");
	is_str(buf_str(&out), "beforeamount=100", "and is appended");
	is_int(ERR_peek_error(), 0, "OpenSSL's error queue is empty");
	buf_free(&sealed);
	buf_free(&out);
}

static void
is_digest(const unsigned char *digest, const char *hex, const char *name)
{
	Buf			b = BUF_INIT;

	hex_encode(&b, digest, 32);
	is_str(buf_str(&b), hex, name);
	buf_free(&b);
}

static void
test_digests(void)
{
	unsigned char d[32];
	unsigned char again[32];
	HmacKey    *kept;
	unsigned char key[131];

	ok(sha256("abc", 3, d), "sha256");
	is_digest(d, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "of \"abc\"");
	ok(sha256(NULL, 0, d), "sha256 of nothing");
	is_digest(d, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "is known");

	/* RFC 4231, cases 1, 2 and 6 */
	memset(key, 0x0b, 20);
	ok(hmac_sha256(key, 20, "Hi There", 8, d), "hmac_sha256");
	is_digest(d, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7", "case 1");
	ok(hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, d), "hmac_sha256");
	is_digest(d, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", "case 2");
	memset(key, 0xaa, 131);
	ok(hmac_sha256(key, 131, "Test Using Larger Than Block-Size Key - Hash Key First", 54, d),
	   "hmac_sha256");
	is_digest(d, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54", "case 6");
	kept = hmac_key_new("Jefe", 4);
	ok(kept != NULL, "hmac_key_new");
	ok(hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, d) &&
	   hmac_key_sha256(kept, "something else", 14, again) &&
	   hmac_key_sha256(kept, "what do ya want for nothing?", 28, again) && memcmp(d, again, 32) == 0,
	   "a kept key begins anew each time");
	hmac_key_free(kept);
	hmac_key_free(NULL);
	kept = hmac_key_new(NULL, 0);
	ok(kept != NULL && hmac_sha256(NULL, 0, "a", 1, d) && hmac_key_sha256(kept, "a", 1, again) &&
	   memcmp(d, again, 32) == 0, "an empty key may be kept");
	hmac_key_free(kept);
	ok(hmac_sha256(NULL, 0, NULL, 0, d), "an empty key and an empty text");
	is_digest(d, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad", "are legal");
}

static void
test_random(void)
{
	char		a[33],
				b[33];

	ok(random_nonce(a) && random_nonce(b), "nonces");
	is_int(strlen(a), 32, "have 32 characters");
	is_int(strspn(a, "0123456789abcdef"), 32, "all hex digits");
	ok(strcmp(a, b) != 0, "and differ");
	ok(equal_constant_time("abc", "abc", 3), "equal is equal");
	ok(!equal_constant_time("abc", "abd", 3), "different is different");
	ok(equal_constant_time(NULL, NULL, 0), "nothing equals nothing");
}

int
main(void)
{
	test_gcm_vectors();
	test_gcm_lengths();
	test_gcm_tampering();
	test_digests();
	test_random();
	return unit_done();
}
