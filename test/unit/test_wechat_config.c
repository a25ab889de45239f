/*-------------------------------------------------------------------------
 *
 * test_wechat_config.c
 *	  WeChat Pay's configuration: what is taken, what is refused and in which
 *	  words, both kinds of keys, and what channel_check says.
 *
 * test/unit/test_wechat_config.c
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"
#include "wechatkit.h"

static const Channel *wechat;
static Buf	report = BUF_INIT;

static void *
open_json(const char *json, ChannelError *err)
{
	ChannelSource source = {json, kit_read_key, NULL};

	return wechat->open(&source, err);
}

/* KIT_CONFIG with one part replaced. */
static const char *
changed(const char *from, const char *to)
{
	static char text[2048];
	const char *at = strstr(KIT_CONFIG, from);

	testkey_need(at != NULL, from);
	snprintf(text, sizeof(text), "%.*s%s%s", (int) (at - KIT_CONFIG), KIT_CONFIG, to,
			 at + strlen(from));
	return text;
}

/* ... with more behind its last member. */
static const char *
with(const char *members)
{
	static char text[2048];

	snprintf(text, sizeof(text), "%.*s,%s}", (int) strlen(KIT_CONFIG) - 1, KIT_CONFIG, members);
	return text;
}

static void
opens(const char *json, const char *name)
{
	ChannelError err = {"", ""};
	void	   *config = open_json(json, &err);

	if (!ok(config != NULL, "%s", name))
		printf("#   %s\n", err.message);
	wechat->close(config);
}

static void
refused(const char *json, const char *words, const char *name)
{
	ChannelError err = {"", ""};
	void	   *config = open_json(json, &err);

	ok(config == NULL, "refused: %s", name);
	has(err.message, words, "in plain words");
	wechat->close(config);
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
	ChannelSource source = {json, kit_read_key, NULL};
	ChannelFindings findings = {add_finding, NULL};

	buf_reset(&report);
	wechat->check(&source, now, &findings);
	return buf_str(&report);
}

static void
test_settings(void)
{
	char		merchant[CHANNEL_MERCHANT_MAX + 1];
	ChannelError err;

	opens(KIT_CONFIG, "both kinds of keys, two APIv3 keys");
	opens(changed("[\"apiv3_new.key\",\"apiv3_old.key\"]", "\"apiv3_new.key\""), "one APIv3 key");
	opens(with("\"merchant_certificate\":\"apiclient_cert.pem\",\"sub_mchid\":\"1900000109\","
			   "\"use_key\":\"" KIT_CERT_SERIAL "\",\"public_base_url\":\"https://a.example/cb\","
			   "\"base_url\":\"http://127.0.0.1:8080\",\"not_found_after\":1,\"time_scale\":60"),
		  "every setting");
	opens(changed(KIT_MERCHANT_SERIAL, "408b07e79b8269fec3d5d3e6ab8ed163a6a380db"),
		  "a serial in lower case");
	ok(wechat->merchant(KIT_CONFIG, merchant, &err), "the merchant, without any key");
	is_str(merchant, "1900000100", "is the mchid");
	ok(wechat->merchant(with("\"sub_mchid\":\"1900000109\""), merchant, &err), "a partner's");
	is_str(merchant, "1900000100", "is the calling one");
	ok(!wechat->merchant("{}", merchant, &err) && merchant[0] == '\0', "nothing has none");

	refused("", "not a JSON object", "nothing");
	refused("[]", "not a JSON object", "a list");
	refused("{\"mchid\":\"1\",\"mchid\":\"2\"}", "twice", "a setting twice");
	refused(with("\"mch_key\":\"x\""), "\"mch_key\"", "an unknown setting, by name");
	open_json(with("\"mch_key\":\"x\""), &err);
	has(err.hint, "merchant_serial, private_key", "and the known ones are listed");
	refused(changed("\"mchid\":\"1900000100\",", ""), "\"mchid\" is missing", "no mchid");
	refused(changed("\"1900000100\"", "1900000100"), "\"mchid\" must be a text", "a number");
	refused(changed("1900000100", "19x"), "digits", "letters in the mchid");
	refused(changed(KIT_MERCHANT_SERIAL, "nonsense"), "merchant_serial", "no serial");
	refused(changed("\"private_key\":\"apiclient_key.pem\",", ""), "\"private_key\" is missing",
			"no private key");
	refused(changed("[\"apiv3_new.key\",\"apiv3_old.key\"]", "[]"), "apiv3_key", "no APIv3 key");
	refused(changed("[\"apiv3_new.key\",\"apiv3_old.key\"]", "[1]"), "apiv3_key", "not a name");
	refused(changed(KIT_PUB_KEY_ID, "PUB_KEY_ID_"), "no serial of a key", "an id without digits");
	refused(changed("\"pub_key.pem\"", "7"), "file name", "a key that is no name");
	refused("{\"mchid\":\"1\",\"merchant_serial\":\"" KIT_MERCHANT_SERIAL "\",\"private_key\":\"k\","
			"\"apiv3_key\":\"a\",\"wechat_keys\":{}}", "wechat_keys", "no key of WeChat's");
	refused(with("\"use_key\":\"PUB_KEY_ID_1\""), "not in \"wechat_keys\"", "another use_key");
	refused(with("\"base_url\":\"http://pay.example.com\""), "not https", "plain http");
	refused(with("\"base_url\":\"https://pay.example.com/v3\""), "without a path", "a path");
	refused(with("\"base_url\":\"https://pay.example.com?x\""), "without a path", "a query");
	refused(with("\"base_url\":\"http://127.0.0.1:1\",\"backup_url\":\"https://b.example\""),
			"sandbox", "a sandbox with a real backup");
	refused(with("\"backup_url\":\"http://127.0.0.1:1\""), "sandbox", "and the other way round");
	refused(with("\"not_found_after\":-1"), "not_found_after", "a negative wait");
	refused(with("\"time_scale\":0.5"), "time_scale", "a slow clock");
}

/* A pasted key is refused before anything else, and never repeated. */
static void
pasted(const char *json, const char *name)
{
	ChannelError err = {"", ""};
	char		merchant[CHANNEL_MERCHANT_MAX + 1];

	ok(open_json(json, &err) == NULL, "a pasted key: %s", name);
	has(err.message, "has a key where", "is named as what it is");
	lacks(err.message, "SECRET", "and not repeated");
	lacks(err.hint, "SECRET", "not even in the hint");
	has(err.hint, "refundx.key_directory", "the hint says where it belongs");
	ok(!wechat->merchant(json, merchant, &err), "not by merchant() either");
	lacks(check_at(json, KIT_NOW), "SECRET", "nor by check()");
}

static void
test_pasted(void)
{
	pasted(changed("apiclient_key.pem", "-----BEGIN PRIVATE KEY-----\\nMIISECRET"), "PEM");
	pasted("{\"private_key\":\"-----BEGIN PRIVATE KEY-----\nMIISECRET", "in broken JSON");
	pasted("-----BEGIN RSA PRIVATE KEY-----SECRET", "instead of JSON");
	pasted(changed("\"apiv3_new.key\"", "\"SECRETSECRETSECRETSECRETSECRET00\""), "32 letters");
	pasted(changed("apiclient_key.pem", "SECRETSECRETSECRETSECRETSECRET00"), "elsewhere");
	pasted("{\"apiv3_key\":\"SECRETSECRETSECRETSECRETSECRET00\",\"nonsense\":1}",
		   "before the unknown setting is complained of");
	pasted("{\"SECRETSECRETSECRETSECRETSECRET00\":\"apiv3_key\"}", "as the name of a setting");
	opens(changed("\"apiv3_old.key\"", "\"apiv3_new.key\""), "a file's name is none");
}

static void
test_key_files(void)
{
	EVP_PKEY   *other = testkey_new(2048);

	buf_adds(kit_file("short.key"), "0123456789abcdef");
	buf_adds(kit_file("crlf.key"), KIT_APIV3_NEW "\r\n");
	buf_adds(kit_file("spaces.key"), " " KIT_APIV3_NEW);
	testkey_private_pem(other, kit_file("other_key.pem"));
	testkey_certificate_pem(other, "7777777777777777", KIT_NOW - 1, KIT_NOW + 1,
							kit_file("other_cert.pem"));

	refused(changed("apiclient_key.pem", "absent.pem"), "no file \"absent.pem\"", "missing");
	refused(changed("apiclient_key.pem", "pub_key.pem"), "private key", "a public for a private");
	refused(changed("apiv3_new.key", "short.key"), "has 16 bytes", "an APIv3 key of 16 bytes");
	refused(changed("apiv3_new.key", "spaces.key"), "has 33 bytes", "one with a space");
	opens(changed("apiv3_new.key", "crlf.key"), "a line end behind it is no part of it");
	refused(changed("\"pub_key.pem\"", "\"apiclient_key.pem\""), "neither a public key",
			"a private key for a public one");
	refused(changed("\"pub_key.pem\"", "\"platform.pem\""), "is a certificate",
			"a certificate for a public key");
	refused(changed("\"platform.pem\"", "\"pub_key.pem\""), "not a certificate",
			"a public key for a certificate");
	refused(changed("\"platform.pem\"", "\"other_cert.pem\""), "has the serial number 7777777777777777",
			"a certificate of another serial");
	refused(with("\"merchant_certificate\":\"other_cert.pem\""),
			"merchant_serial is " KIT_MERCHANT_SERIAL, "another merchant certificate");
	refused(changed("apiclient_key.pem\"", "other_key.pem\",\"merchant_certificate\":"
					"\"apiclient_cert.pem\""), "does not belong to the certificate",
			"a private key of another certificate");
	EVP_PKEY_free(other);
}

static void
test_check(void)
{
	const char *full = "\"merchant_certificate\":\"apiclient_cert.pem\","
		"\"public_base_url\":\"https://pay.example.com/cb\"";
	const char *text = check_at(with(full), KIT_NOW);

	lacks(text, "error", "a good configuration has no error");
	lacks(text, "warning", "and no warning");
	has(text, "ok config: merchant 1900000100", "names the merchant");
	has(text, "ok private_key: 2048 bits, fingerprint ", "the private key");
	has(text, "ok apiv3_key: \"apiv3_old.key\": 32 bytes", "each APIv3 key");
	has(text, "ok wechat_keys: " KIT_PUB_KEY_ID ": a public key", "the public key");
	has(text, KIT_CERT_SERIAL " is valid for 100 more days", "the certificate");
	has(text, "ok use_key: WeChat is asked to sign with " KIT_PUB_KEY_ID, "what is asked for");
	lacks(text, KIT_APIV3_NEW, "and no secret");

	has(check_at(with(full), KIT_NOW + 71 * 86400), "warning wechat_keys: the platform certificate "
		KIT_CERT_SERIAL " expires in 29 days", "29 days before");
	lacks(check_at(with(full), KIT_NOW + 70 * 86400), "warning wechat_keys", "not 30 days before");
	has(check_at(with(full), KIT_NOW + 99 * 86400), "expires in 1 day.", "one day before");
	has(check_at(with(full), KIT_NOW + 101 * 86400), "error wechat_keys: the platform certificate "
		KIT_CERT_SERIAL " has expired", "after");
	has(check_at(with(full), KIT_NOW - 2000), "error merchant_certificate: the merchant's API "
		"certificate is not valid yet", "before");
	has(check_at(with(full), KIT_NOW + 380 * 86400), "warning merchant_certificate", "the merchant's");

	has(check_at(KIT_CONFIG, KIT_NOW), "warning merchant_certificate: not given", "without it");
	has(check_at(KIT_CONFIG, KIT_NOW), "warning public_base_url: not set", "without callbacks");
	has(check_at(with("\"public_base_url\":\"http://pay.example.com\""), KIT_NOW),
		"error public_base_url: it is not https", "plain http");
	has(check_at(with("\"public_base_url\":\"https://127.0.0.1/x\""), KIT_NOW),
		"error public_base_url: it is an address of this machine", "loopback");
	has(check_at(with("\"public_base_url\":\"https://10.0.0.1/x\""), KIT_NOW),
		"warning public_base_url: its host looks like one of a private", "a private address");
	has(check_at(with("\"public_base_url\":\"https://a.example/?x\""), KIT_NOW),
		"error public_base_url: it has a query", "a query");
	has(check_at(with("\"public_base_url\":\"pay.example.com\""), KIT_NOW),
		"error public_base_url: it is not an absolute URL", "no scheme");
	text = check_at(with("\"public_base_url\":\"http://127.0.0.1:1/x\",\"time_scale\":9,"
						 "\"base_url\":\"http://127.0.0.1:2\""), KIT_NOW);
	has(text, "ok public_base_url: on this machine", "a sandbox may be called at home");
	has(text, "warning base_url", "but says that it is one");
	has(check_at(with("\"time_scale\":9"), KIT_NOW), "warning sandbox:", "its settings elsewhere");
	has(check_at(with("\"base_url\":\"https://proxy.example\""), KIT_NOW),
		"warning backup_url: there is none", "another host has no backup");

	/* all complaints at once */
	text = check_at(changed("apiclient_key.pem\",\"apiv3_key\":[\"apiv3_new.key\"",
							"absent.pem\",\"apiv3_key\":[\"short.key\""), KIT_NOW);
	has(text, "error private_key: private_key: there is no file \"absent.pem\"", "the first");
	has(text, "error apiv3_key: apiv3_key: the file \"short.key\" has 16 bytes", "and the second");
	has(check_at(with("\"use_key\":\"PUB_KEY_ID_1\""), KIT_NOW), "error use_key", "use_key");
	has(check_at("{}", KIT_NOW), "error config: the setting \"mchid\" is missing", "nothing");
}

int
main(void)
{
	wechat = channel_lookup("wechat");
	kit_start();
	test_settings();
	test_pasted();
	test_key_files();
	test_check();
	kit_stop();
	buf_free(&report);
	return unit_done();
}
