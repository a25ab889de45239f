/*-------------------------------------------------------------------------
 *
 * test_alipay_config.c
 *	  Alipay's configuration: what is taken, what is refused and in which
 *	  words, keys in every shape that the consoles export, chains of
 *	  certificates, and what channel_check says.
 *
 * test/unit/test_alipay_config.c
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"
#include "alipaykit.h"
#include "channel/alipay.h"

static const Channel *alipay;
static Buf	report = BUF_INIT;

static void *
open_json(const char *json, ChannelError *err)
{
	ChannelSource source = {json, akit_read_key, NULL};

	return alipay->open(&source, err);
}

/* A configuration with one part replaced. */
static const char *
changed_in(const char *config, const char *from, const char *to)
{
	static char texts[2][2048];
	static int	turn;
	char	   *text = texts[turn = !turn]; /* so that a changed one can be changed */
	const char *at = strstr(config, from);

	testkey_need(at != NULL, from);
	snprintf(text, sizeof(texts[0]), "%.*s%s%s", (int) (at - config), config, to, at + strlen(from));
	return text;
}

static const char *
changed(const char *from, const char *to)
{
	return changed_in(AKIT_CONFIG, from, to);
}

static const char *
changed_cert(const char *from, const char *to)
{
	return changed_in(AKIT_CERT_CONFIG, from, to);
}

/* ... with more behind its last member. */
static const char *
with(const char *members)
{
	static char text[2048];

	snprintf(text, sizeof(text), "%.*s,%s}", (int) strlen(AKIT_CONFIG) - 1, AKIT_CONFIG, members);
	return text;
}

static void
opens(const char *json, const char *name)
{
	ChannelError err = {"", ""};
	void	   *config = open_json(json, &err);

	if (!ok(config != NULL, "%s", name))
		printf("#   %s\n", err.message);
	alipay->close(config);
}

static void
refused(const char *json, const char *words, const char *hint, const char *name)
{
	ChannelError err = {"", ""};
	void	   *config = open_json(json, &err);

	ok(config == NULL, "refused: %s", name);
	has(err.message, words, "in plain words");
	if (hint != NULL)
		has(err.hint, hint, "and a hint");
	alipay->close(config);
}

static void
add_finding(void *arg, FindingLevel level, const char *item, const char *text)
{
	static const char *const levels[] = {"ok", "warning", "error"};

	(void) arg;
	buf_addf(&report, "%s %s: %s\n", levels[level], item, text);
}

static const char *
check_at(const char *json, int64_t now)
{
	ChannelSource source = {json, akit_read_key, NULL};
	ChannelFindings findings = {add_finding, NULL};

	buf_reset(&report);
	alipay->check(&source, now, &findings);
	return buf_str(&report);
}

static void
test_settings(void)
{
	char		merchant[CHANNEL_MERCHANT_MAX + 1];
	ChannelError err;

	opens(AKIT_CONFIG, "public keys");
	opens(AKIT_CERT_CONFIG, "certificates");
	opens(changed("[\"alipay.pub\",\"alipay_next.pub\"]", "\"alipay.pub\""), "one public key");
	opens(with("\"app_public_key\":\"app.pub\",\"app_auth_token\":\"token\",\"auth_app_id\":\"" AKIT_SUB
			   "\",\"public_base_url\":\"https://a.example/cb\",\"base_url\":\"http://127.0.0.1:1\","
			   "\"not_found_after\":1,\"time_scale\":60"), "every setting");
	ok(alipay->merchant(AKIT_CONFIG, merchant, &err), "the merchant, without any key");
	is_str(merchant, AKIT_APP, "is the app");
	ok(!alipay->merchant("{}", merchant, &err) && merchant[0] == '\0', "nothing has none");

	refused("", "not a JSON object", NULL, "nothing");
	refused("{\"app_id\":\"1\",\"app_id\":\"2\"}", "twice", NULL, "a setting twice");
	refused(with("\"mchid\":\"x\""), "\"mchid\"", "alipay_certificates", "an unknown setting");
	refused("{}", "\"app_id\" is missing", NULL, "no app_id");
	refused(changed("\"" AKIT_APP "\"", "2014072300007148"), "\"app_id\" must be a text", NULL, "a number");
	refused(changed(AKIT_APP, "201407230000714"), "must be an app's id", "APPID", "15 digits");
	refused(changed(AKIT_APP, "20140723000071489"), "must be an app's id", "APPID", "17 digits");
	refused(changed(AKIT_APP, "1014072300007148"), "must be an app's id", "APPID", "not 20...");
	refused(changed(AKIT_APP, "201407230000714x"), "must be an app's id", "APPID", "a letter");
	refused(changed(AKIT_APP, AKIT_SELLER), "a merchant's number, not an app's", "PID", "the PID");
	refused(changed("\"private_key\":\"app.key\",", ""), "\"private_key\" is missing", NULL, "no key");
	refused(with("\"root_certificate\":\"root.crt\""), "both Alipay's public key and certificates",
			"drop \"alipay_public_key\"", "both modes");
	refused("{\"app_id\":\"" AKIT_APP "\",\"private_key\":\"app.key\"}", "neither", "alipay_public_key",
			"no mode");
	refused(changed_cert("\"app_certificate\":\"app.crt\",", ""), "\"app_certificate\" is missing", NULL,
			"a part of the certificates");
	refused(changed_cert(",\"root_certificate\":\"root.crt\"", ""), "\"root_certificate\" is missing", NULL,
			"another part");
	refused(changed_cert("\"alipay_certificates\":[\"alipay.crt\",\"alipay_next.crt\"],", ""),
			"\"alipay_certificates\" is missing", "alipayCertPublicKey_RSA2.crt", "the third");
	refused(changed("[\"alipay.pub\",\"alipay_next.pub\"]", "[]"), "alipay_public_key", NULL, "none");
	refused(changed("[\"alipay.pub\",\"alipay_next.pub\"]", "[1]"), "alipay_public_key", NULL, "no name");
	refused(changed("[\"alipay.pub\",\"alipay_next.pub\"]", "[\"a\",\"b\",\"c\",\"d\",\"e\"]"),
			"alipay_public_key", NULL, "too many");
	refused(with("\"app_auth_token\":\"token\""), "only one of", "auth_app_id", "a token alone");
	refused(with("\"auth_app_id\":\"" AKIT_SUB "\""), "only one of", NULL, "a sub-merchant alone");
	refused(with("\"auth_app_id\":\"" AKIT_SELLER "\""), "merchant's number", NULL, "a PID for it");
	refused(changed("\"" AKIT_SELLER "\"", "\"shop\""), "seller_id", "2088", "a seller's name");
	refused(changed("\"" AKIT_SELLER "\"", "[]"), "seller_id", NULL, "no seller");
	opens(changed("\"" AKIT_SELLER "\"", "[\"" AKIT_SELLER "\",\"2088000000000000\"]"), "two sellers");
	refused(with("\"base_url\":\"http://pay.example.com\""), "not https", NULL, "plain http");
	refused(with("\"base_url\":\"https://openapi.alipay.com/gateway.do\""), "without a path",
			"https://openapi.alipay.com", "the path, which is added");
	refused(with("\"not_found_after\":-1"), "not_found_after", NULL, "a negative wait");
}

/* A pasted key or token is refused before anything else, and never repeated. */
static void
pasted(const char *json, const char *name)
{
	ChannelError err = {"", ""};
	char		merchant[CHANNEL_MERCHANT_MAX + 1];

	ok(open_json(json, &err) == NULL, "pasted: %s", name);
	has(err.message, "has a key where", "is named as what it is");
	lacks(err.message, "SECRET", "and not repeated");
	has(err.hint, "refundx.key_directory", "the hint says where it belongs");
	ok(!alipay->merchant(json, merchant, &err), "not by merchant() either");
	lacks(check_at(json, AKIT_NOW), "SECRET", "nor by check()");
}

static void
test_pasted(void)
{
	char		bare[400];

	pasted(changed("app.key", "-----BEGIN PRIVATE KEY-----\\nMIISECRET"), "PEM");
	memset(bare, 'A', sizeof(bare) - 1);
	bare[sizeof(bare) - 1] = '\0';
	memcpy(bare, "MIIEvSECRET", 11);
	pasted(changed("app.key", bare), "one line of base64");
	pasted(with("\"auth_app_id\":\"" AKIT_SUB "\",\"app_auth_token\":\"201510BBb507dc9f5efe41a0b98SECRET9X62\""),
		   "the token");
	opens(changed("app.key", "app.key"), "a file's name is none");
}

/* The same key in each of the shapes that the consoles export. */
static void
test_shapes(void)
{
	BIO		   *bio = BIO_new(BIO_s_mem());
	unsigned char *der = NULL;
	int			len;
	Buf		   *f;
	Buf			text = BUF_INIT;
	size_t		i;

	/* PKCS#1, armoured */
	testkey_need(PEM_write_bio_PrivateKey_traditional(bio, akit_app, NULL, NULL, 0, NULL, NULL) == 1,
				 "PKCS#1");
	testkey_bio_to_buf(bio, akit_file("pkcs1.pem"));
	has(buf_str(akit_file("pkcs1.pem")), "BEGIN RSA PRIVATE KEY", "it is PKCS#1");

	/* PKCS#1, bare */
	len = i2d_PrivateKey(akit_app, &der);
	testkey_need(len > 0, "DER");
	base64_encode(akit_file("pkcs1.txt"), der, (size_t) len);
	OPENSSL_free(der);

	/* PKCS#8, bare: what is between the armour; on one line, and wrapped */
	buf_adds(&text, strchr(buf_str(akit_file("app.key")), '\n') + 1);
	testkey_need(strstr(buf_str(&text), "\n-----END") != NULL, "armour");
	text.len = (size_t) (strstr(buf_str(&text), "\n-----END") - buf_str(&text));
	f = akit_file("pkcs8.txt");
	for (i = 0; i < text.len; i++)
		if (text.data[i] != '\n')
			buf_addc(f, text.data[i]);
	buf_adds(akit_file("crlf.txt"), "\xef\xbb\xbf");
	for (i = 0; i < text.len; i++)
		buf_addf(akit_file("crlf.txt"), "%s%c", text.data[i] == '\n' ? "\r" : "", text.data[i]);
	buf_adds(akit_file("crlf.txt"), "\r\n");
	buf_add(akit_file("half.txt"), buf_str(f), 400);
	buf_free(&text);

	der = NULL;
	len = i2d_PUBKEY(akit_alipay, &der);
	base64_encode(akit_file("alipay.txt"), der, (size_t) len);
	OPENSSL_free(der);
	der = NULL;
	len = i2d_PUBKEY(akit_app, &der);
	base64_encode(akit_file("app_pub.txt"), der, (size_t) len);
	OPENSSL_free(der);
	buf_adds(akit_file("rubbish"), "this is no key\n");
	buf_adds(akit_file("empty"), "");

	opens(changed("app.key", "pkcs1.pem"), "PKCS#1 with armour");
	opens(changed("app.key", "pkcs1.txt"), "PKCS#1 without");
	opens(changed("app.key", "app.key"), "PKCS#8 with armour");
	opens(changed("app.key", "pkcs8.txt"), "PKCS#8 without");
	opens(changed("app.key", "crlf.txt"), "wrapped, with CRLF and a byte order mark");
	opens(changed("alipay.pub", "alipay.txt"), "Alipay's key without armour");

	refused(changed("app.key", "absent"), "no file \"absent\"", NULL, "missing");
	refused(changed("app.key", "half.txt"), "only a part", "PKCS#1 or PKCS#8", "cut off");
	refused(changed("app.key", "rubbish"), "neither a private key", NULL, "no key");
	refused(changed("app.key", "empty"), "neither a private key", NULL, "an empty file");
	refused(changed("app.key", "app.pub"), "something public", NULL, "a public key for a private");
	refused(changed("app.key", "app_pub.txt"), "but a public one", NULL, "without armour too");
	refused(changed("app.key", "app.crt"), "something public", NULL, "a certificate for a private key");
	refused(changed("alipay.pub", "app.key"), "a private key, where a public one belongs", NULL,
			"a private for a public");
	refused(changed("alipay.pub", "pkcs8.txt"), "a private key, where a public one belongs", NULL,
			"without armour too");
	refused(changed("alipay.pub", "rubbish"), "neither a public key", "open platform", "no public key");
	refused(changed("alipay.pub", "alipay.crt"), "is a certificate, not a public key", "certificate mode",
			"a certificate for a public key");
}

/* The classic: the key that the app gives to Alipay, instead of the one it gets. */
static void
test_own_key(void)
{
	refused(changed("alipay.pub", "app.pub"), "\"app.pub\" is the app's own public key, not Alipay's",
			"Copy the second one", "the app's own public key");
	refused(changed("alipay.pub", "app_pub.txt"), "own public key", NULL, "without armour too");
	refused(changed("alipay_next.pub", "app.pub"), "own public key", NULL, "also in the second place");
	refused(with("\"app_public_key\":\"alipay.pub\""), "does not belong to the app's public key", NULL,
			"Alipay's for the app's");
	refused(with("\"app_public_key\":\"rubbish\""), "app_public_key: the file", NULL, "no key at all");
	refused(changed_cert("\"alipay.crt\"", "\"app.crt\""), "the app's own certificate", "alipayCert",
			"the app's own certificate");
}

static void
test_tokens(void)
{
	const char *sub = "\"auth_app_id\":\"" AKIT_SUB "\",\"app_auth_token\":\"%s\"";
	static const char *const names[] = {"empty", "rubbish", "two_lines"};
	char		text[256];
	size_t		i;

	buf_adds(akit_file("two_lines"), "a\nb\n");
	for (i = 0; i < 3; i++)
	{
		snprintf(text, sizeof(text), sub, names[i]);
		refused(with(text), "app_auth_token: the file", "nothing else", names[i]);
	}
}

static void
test_chains(void)
{
	int64_t		year = AKIT_NOW + INT64_C(365) * 86400;
	EVP_PKEY   *stranger = testkey_new(2048);
	Buf		   *f;

	akit_certificate("Alipay", AKIT_CLASS, akit_alipay, akit_between, "1001", year, akit_file("leaf.crt"));
	akit_certificate("Other Root", "Other Root", akit_root, akit_root, "9", year, akit_file("other_root.crt"));
	f = akit_file("foreign.crt");
	akit_certificate("Alipay", AKIT_ROOT, akit_alipay, akit_between, "1003", year, f);
	akit_certificate("self", "self", akit_between, akit_between, "8", year, akit_file("self.crt"));
	akit_certificate("shop-" AKIT_SUB, AKIT_CLASS, akit_app, akit_between, "3001", year,
					 akit_file("other_app.crt"));
	akit_certificate(AKIT_CLASS, AKIT_ROOT, akit_between, akit_root, "2", year, akit_file("other_app.crt"));
	akit_certificate("shop-" AKIT_APP, AKIT_CLASS, stranger, akit_between, "3002", year,
					 akit_file("other_key.crt"));
	akit_certificate(AKIT_CLASS, AKIT_ROOT, akit_between, akit_root, "2", year, akit_file("other_key.crt"));
	akit_certificate("shop " AKIT_SELLER, AKIT_CLASS, akit_app, akit_between, "3003", year,
					 akit_file("pid.crt"));
	akit_certificate(AKIT_CLASS, AKIT_ROOT, akit_between, akit_root, "2", year, akit_file("pid.crt"));
	f = akit_file("roots.crt");
	akit_certificate(AKIT_ROOT, AKIT_ROOT, akit_root, akit_root, "1", year, f);
	akit_certificate(AKIT_CLASS, AKIT_ROOT, akit_between, akit_root, "2", year, f);

	refused(changed_cert("\"alipay.crt\"", "\"leaf.crt\""), "chain of \"leaf.crt\" is incomplete",
			"Download it again", "no issuer");
	opens(changed_in(changed_cert("\"alipay.crt\"", "\"leaf.crt\""), "root.crt", "roots.crt"),
		  "the issuer may stand with the root");
	refused(changed_cert("root.crt", "other_root.crt"), "is incomplete", NULL, "another root");
	refused(changed_cert("\"alipay.crt\"", "\"self.crt\""), "does not end in a root", "same app's page",
			"one that ends in itself");
	refused(changed_cert("\"alipay.crt\"", "\"foreign.crt\""), "alipay_certificates", NULL,
			"a signature of another");
	refused(changed_cert("\"app.crt\"", "\"other_app.crt\""), "is another app's", "Take the certificate",
			"another app's certificate");
	opens(changed_cert("\"app.crt\"", "\"pid.crt\""), "a PID in it is no app");
	refused(changed_cert("\"app.crt\"", "\"other_key.crt\""), "does not belong to the certificate", NULL,
			"a certificate of another key");
	refused(changed_cert("root.crt", "leaf.crt"), "holds no root", "alipayRootCert.crt", "a leaf for a root");
	refused(changed_cert("root.crt", "alipay.pub"), "not a certificate", "alipayRootCert.crt",
			"a key for a root");
	refused(changed_cert("\"app.crt\"", "\"rubbish\""), "not a certificate", "appCertPublicKey", "rubbish");
	EVP_PKEY_free(stranger);
}

/* Values computed elsewhere from Alipay's own certificates, whose parts these are. */
static void
test_sn(void)
{
	CryptoBundleFacts facts = {
		.issuer = "CN=Ant Financial Certification Authority Class 1 R1,"
		"OU=Certification Authority,O=Ant Financial,C=CN",
		.serial_decimal = "42701552708448241360226107228231049510",
	};
	EVP_PKEY   *elliptic = EVP_EC_gen("P-256");
	int64_t		year = AKIT_NOW + INT64_C(365) * 86400;
	char		sn[33];
	char		first[33];
	char		second[33];
	char		line[256];
	Buf		   *f = akit_file("many_roots.crt");

	ok(alipay_sn(&facts, sn), "an SN");
	is_str(sn, "866efef280dec9137a87d047ac446315", "of an app's certificate");
	facts.issuer[strlen("CN=Ant Financial Certification Authority Class ")] = '2';
	strcpy(facts.serial_decimal, "42701552432456004857627230056898180491");
	ok(alipay_sn(&facts, sn), "an SN");
	is_str(sn, "7513daaaa48aa3ba2e4018d84402479c", "of Alipay's");

	/* the root file: all of RSA in their order, none else */
	testkey_need(elliptic != NULL, "an elliptic key");
	akit_certificate("Root E", "Root E", elliptic, elliptic, "11", year, f);
	akit_certificate(AKIT_ROOT, AKIT_ROOT, akit_root, akit_root, "1", year, f);
	akit_certificate("Root Z", "Root Z", akit_between, akit_between, "12", year, f);
	akit_sn("CN=" AKIT_ROOT ",C=CN", "1", first);
	akit_sn("CN=Root Z,C=CN", "12", second);
	snprintf(line, sizeof(line), "ok root_certificate: SN %s_%s\n", first, second);
	has(check_at(changed_cert("root.crt", "many_roots.crt"), AKIT_NOW), line, "the roots' SN");
	opens(changed_cert("root.crt", "many_roots.crt"), "a root among others");
	f = akit_file("elliptic.crt");
	akit_certificate("Root E", "Root E", elliptic, elliptic, "11", year, f);
	refused(changed_cert("root.crt", "elliptic.crt"), "holds no root", NULL, "no root of RSA");
	EVP_PKEY_free(elliptic);
}

static void
test_check(void)
{
	const char *full = "\"public_base_url\":\"https://pay.example.com/cb\",\"app_public_key\":\"app.pub\"";
	const char *text = check_at(with(full), AKIT_NOW);
	char		line[256];
	char		sn[33];

	lacks(text, "error", "a good configuration has no error");
	lacks(text, "warning", "and no warning");
	has(text, "ok config: app " AKIT_APP, "names the app");
	has(text, "ok mode: public key", "the mode");
	has(text, "ok private_key: 2048 bits, fingerprint ", "the private key");
	has(text, "ok app_public_key: it belongs", "its other half");
	has(text, "ok alipay_public_key: \"alipay_next.pub\": 2048 bits, fingerprint ", "each of Alipay's");
	has(text, "ok base_url: https://openapi.alipay.com", "the address");

	text = check_at(AKIT_CERT_CONFIG, AKIT_NOW);
	has(text, "ok mode: certificates", "the other mode");
	akit_sn("CN=" AKIT_ROOT ",C=CN", "1", sn);
	snprintf(line, sizeof(line), "ok root_certificate: SN %s", sn);
	has(text, line, "the root's SN");
	akit_sn("CN=" AKIT_CLASS ",C=CN", "42701552708448241360226107228231049510", sn);
	snprintf(line, sizeof(line), "the app's certificate (SN %s) is valid for 365 more days", sn);
	has(text, line, "the app's");
	akit_sn("CN=" AKIT_CLASS ",C=CN", "1001", sn);
	snprintf(line, sizeof(line), "Alipay's certificate (SN %s) is valid for 100 more days", sn);
	has(text, line, "Alipay's");
	has(text, "warning seller_id", "a seller would be better");
	has(check_at(AKIT_CERT_CONFIG, AKIT_NOW + 71 * 86400), "expires in 29 days", "29 days before");
	has(check_at(AKIT_CERT_CONFIG, AKIT_NOW + 101 * 86400), "error alipay_certificates: Alipay's certificate",
		"after");
	has(check_at(AKIT_CERT_CONFIG, AKIT_NOW - 2 * 86400), "not valid yet", "before");

	has(check_at(with("\"base_url\":\"https://openapi-sandbox.dl.alipaydev.com\""), AKIT_NOW),
		"warning base_url: it is Alipay's own sandbox", "Alipay's sandbox");
	has(check_at(with("\"base_url\":\"http://127.0.0.1:1\""), AKIT_NOW), "warning base_url", "ours");
	has(check_at(with("\"time_scale\":9"), AKIT_NOW), "warning sandbox:", "its settings elsewhere");
	text = check_at(with("\"auth_app_id\":\"" AKIT_SUB "\",\"app_auth_token\":\"token\""), AKIT_NOW);
	has(text, "for the sub-merchant's app " AKIT_SUB, "a sub-merchant");
	has(text, "ok app_auth_token: 40 characters", "the token's length");
	lacks(text, "201510BB", "and not the token");

	/* all complaints at once */
	text = check_at(changed("app.key\",\"alipay_public_key\":[\"alipay.pub\"",
							"absent\",\"alipay_public_key\":[\"rubbish\""), AKIT_NOW);
	has(text, "error private_key: private_key: there is no file \"absent\"", "the first");
	has(text, "error alipay_public_key: alipay_public_key: the file \"rubbish\"", "and the second");
	has(check_at(changed("alipay.pub", "app.pub"), AKIT_NOW), "error alipay_public_key: alipay_public_key: "
		"the file \"app.pub\" is the app's own", "the app's own key");
	has(check_at(changed_cert("\"alipay.crt\"", "\"leaf.crt\""), AKIT_NOW), "error alipay_certificates",
		"a chain");
	has(check_at("{}", AKIT_NOW), "error config: the setting \"app_id\" is missing", "nothing");
}

int
main(void)
{
	alipay = channel_lookup("alipay");
	akit_start();
	test_settings();
	test_pasted();
	test_shapes();
	test_own_key();
	test_tokens();
	test_chains();
	test_sn();
	test_check();
	akit_stop();
	buf_free(&report);
	return unit_done();
}
