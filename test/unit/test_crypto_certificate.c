/*-------------------------------------------------------------------------
 *
 * test_crypto_certificate.c
 *	  Bundles of certificates: what they say, chains to a root that was
 *	  chosen, and bytes that are none.
 *
 * test/unit/test_crypto_certificate.c
 *
 *-------------------------------------------------------------------------
 */
#include <openssl/err.h>

#include "unit.h"
#include "alipaykit.h"

static int64_t year;

static CryptoBundle *
bundle(const char *name)
{
	Buf		   *f = akit_file(name);

	return crypto_bundle_read(buf_str(f), f->len);
}

static CryptoChain
chain(const char *name, const char *roots, char *why)
{
	CryptoBundle *b = bundle(name);
	CryptoBundle *r = bundle(roots);
	CryptoChain c = crypto_chain_verify(b, r, why, 128);

	crypto_bundle_free(b);
	crypto_bundle_free(r);
	return c;
}

static void
test_facts(void)
{
	CryptoBundle *b = bundle("app.crt");
	CryptoBundleFacts facts;
	char		err[256] = "";
	CryptoKey  *key;
	Buf			text = BUF_INIT;
	int			i;

	is_int(crypto_bundle_count(b), 2, "two certificates");
	ok(crypto_bundle_facts(b, 0, &facts), "the first");
	is_str(facts.issuer, "CN=" AKIT_CLASS ",C=CN", "its issuer, most specific first, UTF-8 as it is");
	is_str(facts.subject, "CN=shop-" AKIT_APP ",C=CN", "its subject");
	is_str(facts.serial_decimal, "42701552708448241360226107228231049510", "its number, in decimal");
	is_str(facts.signature_oid, "1.2.840.113549.1.1.11", "its algorithm");
	ok(facts.not_before == AKIT_NOW - 86400 && facts.not_after == year, "its times");
	ok(!facts.self_issued, "of another");
	key = crypto_bundle_key(b, 0, err, sizeof(err));
	ok(key != NULL && crypto_key_bits(key) == 2048, "its key");
	crypto_key_free(key);
	ok(!crypto_bundle_facts(b, 2, &facts) && !crypto_bundle_facts(b, -1, &facts), "no third");
	ok(crypto_bundle_key(b, 2, err, sizeof(err)) == NULL && err[0] != '\0', "no key of it");
	crypto_bundle_free(b);
	b = bundle("root.crt");
	ok(crypto_bundle_facts(b, 0, &facts) && facts.self_issued, "a root issued itself");
	crypto_bundle_free(b);
	crypto_bundle_free(NULL);

	ok(crypto_bundle_read("", 0) == NULL, "nothing");
	ok(crypto_bundle_read("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 59) == NULL,
	   "rubbish in armour");
	for (i = 0; i < 40; i++)
		buf_add(&text, akit_file("root.crt")->data, akit_file("root.crt")->len);
	b = crypto_bundle_read(buf_str(&text), text.len);
	is_int(crypto_bundle_count(b), CRYPTO_BUNDLE_MAX, "a bound on how many");
	crypto_bundle_free(b);
	buf_free(&text);
}

static void
test_chains(void)
{
	char		why[128];
	Buf		   *f;

	is_int(chain("app.crt", "root.crt", why), CRYPTO_CHAIN_GOOD, "by way of the file");
	is_int(chain("root.crt", "root.crt", why), CRYPTO_CHAIN_GOOD, "a root descends from itself");
	akit_certificate("x", AKIT_CLASS, akit_app, akit_between, "5", year, akit_file("leaf"));
	is_int(chain("leaf", "root.crt", why), CRYPTO_CHAIN_INCOMPLETE, "without the one between");
	has(why, "issuer", "in OpenSSL's words");
	akit_certificate("self", "self", akit_root, akit_root, "6", year, akit_file("self"));
	is_int(chain("self", "root.crt", why), CRYPTO_CHAIN_OTHER_ROOT, "another root");
	f = akit_file("other");
	akit_certificate("x", "self", akit_app, akit_root, "7", year, f);
	akit_certificate("self", "self", akit_root, akit_root, "6", year, f);
	is_int(chain("other", "root.crt", why), CRYPTO_CHAIN_OTHER_ROOT, "that comes along");
	f = akit_file("forged");
	akit_certificate("x", AKIT_CLASS, akit_app, akit_alipay, "8", year, f);
	akit_certificate(AKIT_CLASS, AKIT_ROOT, akit_between, akit_root, "2", year, f);
	is_int(chain("forged", "root.crt", why), CRYPTO_CHAIN_BAD, "signed by another under that name");
	f = akit_file("no_ca");
	akit_certificate("y", "x", akit_alipay, akit_app, "9", year, f);
	akit_certificate("x", AKIT_CLASS, akit_app, akit_between, "5", year, f);
	akit_certificate(AKIT_CLASS, AKIT_ROOT, akit_between, akit_root, "2", year, f);
	ok(chain("no_ca", "root.crt", why) != CRYPTO_CHAIN_GOOD, "issued by what is no authority");
	f = akit_file("between_roots");
	akit_certificate(AKIT_CLASS, AKIT_ROOT, akit_between, akit_root, "2", year, f);
	ok(chain("leaf", "between_roots", why) != CRYPTO_CHAIN_GOOD, "an intermediate is no root");
	akit_certificate(AKIT_ROOT, AKIT_ROOT, akit_root, akit_root, "1", year, f);
	is_int(chain("leaf", "between_roots", why), CRYPTO_CHAIN_GOOD, "but leads to one beside it");
	akit_certificate("old", AKIT_ROOT, akit_app, akit_root, "4", AKIT_NOW - 1000, akit_file("old"));
	is_int(chain("old", "root.crt", why), CRYPTO_CHAIN_GOOD, "validity is the caller's to judge");
}

static void
test_md5(void)
{
	char		hex[33];

	ok(crypto_md5_hex("", 0, hex), "MD5 of nothing");
	is_str(hex, "d41d8cd98f00b204e9800998ecf8427e", "RFC 1321");
	ok(crypto_md5_hex("abc", 3, hex), "MD5");
	is_str(hex, "900150983cd24fb0d6963f7d28e17f72", "RFC 1321");
}

int
main(void)
{
	akit_start();
	year = AKIT_NOW + INT64_C(365) * 86400;
	test_facts();
	test_chains();
	test_md5();
	ok(ERR_peek_error() == 0, "nothing is left in OpenSSL's queue");
	akit_stop();
	return unit_done();
}
