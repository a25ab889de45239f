/*-------------------------------------------------------------------------
 *
 * test_stripe_config.c
 *	  Stripe's configuration: what is taken, what is refused and in which
 *	  words, keys of every kind and mode, and what channel_check says.
 *
 * test/unit/test_stripe_config.c
 *
 *-------------------------------------------------------------------------
 */
#include "stripekit.h"
#include "unit.h"

static const Channel *stripe;
static Buf	report = BUF_INIT;

static void *
open_json(const char *json, ChannelError *err)
{
	ChannelSource source = {json, skit_read_key, NULL};

	return stripe->open(&source, err);
}

/* SKIT_CONFIG with one part replaced. */
static const char *
changed(const char *from, const char *to)
{
	static char text[2048];
	const char *at = strstr(SKIT_CONFIG, from);

	if (at == NULL)
		abort();
	snprintf(text, sizeof(text), "%.*s%s%s", (int) (at - SKIT_CONFIG), SKIT_CONFIG, to,
			 at + strlen(from));
	return text;
}

/* ... with more behind its last member. */
static const char *
with(const char *members)
{
	static char text[2048];

	snprintf(text, sizeof(text), "%.*s,%s}", (int) strlen(SKIT_CONFIG) - 1, SKIT_CONFIG, members);
	return text;
}

/* ... with another key's file, and more. */
static const char *
with_key(const char *file, const char *members)
{
	static char text[2048];

	snprintf(text, sizeof(text), "{\"account_id\":\"" SKIT_ACCOUNT "\",\"secret_key\":\"%s\"%s%s}",
			 file, members[0] ? "," : "", members);
	return text;
}

static void
opens(const char *json, const char *name)
{
	ChannelError err = {"", ""};
	void	   *config = open_json(json, &err);

	if (!ok(config != NULL, "%s", name))
		printf("#   %s\n", err.message);
	stripe->close(config);
}

static void
refused(const char *json, const char *words, const char *name)
{
	ChannelError err = {"", ""};
	void	   *config = open_json(json, &err);

	ok(config == NULL, "refused: %s", name);
	has(err.message, words, "in plain words");
	ok(strstr(err.message, "51Nispe") == NULL && strstr(err.hint, "51Nispe") == NULL &&
	   strstr(err.message, "newnew") == NULL, "without the key");
	stripe->close(config);
}

static void
hinted(const char *json, const char *words, const char *name)
{
	ChannelError err = {"", ""};

	stripe->close(open_json(json, &err));
	has(err.hint, words, name);
}

static void
add_finding(void *arg, FindingLevel level, const char *item, const char *text)
{
	static const char *const levels[] = {"ok", "warning", "error"};

	(void) arg;
	buf_addf(&report, "%s %s: %s\n", levels[level], item, text);
}

static const char *
check(const char *json)
{
	ChannelSource source = {json, skit_read_key, NULL};
	ChannelFindings findings = {add_finding, NULL};

	buf_reset(&report);
	stripe->check(&source, SKIT_NOW, &findings);
	return buf_str(&report);
}

static void
test_settings(void)
{
	char		merchant[CHANNEL_MERCHANT_MAX + 1];
	ChannelError err;

	opens(SKIT_CONFIG, "a live key, two signing secrets");
	opens(changed("[\"whsec_new.key\",\"whsec_old.key\"]", "\"whsec_new.key\""), "one secret");
	opens(with_key("stripe.key", ""), "none");
	opens(with("\"connect\":true,\"test_mode\":false,\"api_version\":\"2023-10-16\","
			   "\"base_url\":\"https://api.stripe.com/\",\"public_base_url\":\"https://a.example/cb\","
			   "\"not_found_after\":1,\"time_scale\":60"), "every setting");
	ok(stripe->merchant(SKIT_CONFIG, merchant, &err), "the merchant, without any key");
	is_str(merchant, SKIT_ACCOUNT, "is the account");
	ok(!stripe->merchant("{}", merchant, &err) && merchant[0] == '\0', "nothing has none");

	refused("", "not a JSON object", "nothing");
	refused("[]", "not a JSON object", "a list");
	refused(with("\"api_key\":\"x\""), "\"api_key\"", "an unknown setting, by name");
	hinted(with("\"api_key\":\"x\""), "account_id, secret_key, webhook_secrets", "and the known ones are listed");
	refused(with("\"connect\":\"yes\""), "\"connect\" must be true or false", "connect");
	refused(with("\"test_mode\":1"), "\"test_mode\" must be true or false", "test_mode");
	refused("{\"secret_key\":\"stripe.key\"}", "\"account_id\" is missing", "no account");
	refused("{\"account_id\":\"" SKIT_ACCOUNT "\"}", "\"secret_key\" is missing", "no key");
	refused(changed(SKIT_ACCOUNT, "acct_"), "account's id", "an empty account");
	refused(changed(SKIT_ACCOUNT, "cus_1032D82eZvKYlo2C"), "account's id", "a customer");
	refused(changed(SKIT_ACCOUNT, "acct_1 2"), "account's id", "a space in it");
	refused(changed(SKIT_ACCOUNT, "acct_111111111122222222223333333333444444444455555555556666666666"),
			"account's id", "65 characters of it");
	refused(with("\"api_version\":\"latest\""), "\"api_version\"", "no version");
	refused(with("\"api_version\":\"2025-04-30.\""), "\"api_version\"", "half a version");
	refused(with("\"api_version\":\"2025-04-30.Basil\\r\\nX: 1\""), "\"api_version\"", "a header in it");
	refused(with("\"base_url\":\"http://api.stripe.com\""), "not https", "plain http");
	refused(with("\"base_url\":\"https://api.stripe.com/v1\""), "without a path", "a path");
	refused(with("\"not_found_after\":-1"), "not_found_after", "a negative wait");
	refused(changed("[\"whsec_new.key\",\"whsec_old.key\"]", "[]"), "1 to 8 files", "no secret in the list");
	refused(changed("[\"whsec_new.key\",\"whsec_old.key\"]",
					"[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]"), "1 to 8 files", "nine");
	refused(changed("[\"whsec_new.key\",\"whsec_old.key\"]", "[7]"), "a file name", "a number");
}

static void
test_pasted(void)
{
	refused(changed("stripe.key", SKIT_LIVE_KEY), "where the name of a file belongs", "a key pasted");
	refused(changed("stripe.key", "rk_live_51Nispe2eZvKYlo2Cd"), "name of a file", "a restricted one");
	refused(changed("stripe.key", "Bearer " SKIT_LIVE_KEY "\\n"), "name of a file", "with what stood around it");
	refused(changed("whsec_old.key", SKIT_SECRET_OLD), "name of a file", "a signing secret in the list");
	refused(with("\"" SKIT_LIVE_KEY "\":\"secret_key\""), "name of a setting", "on the wrong side");
	hinted(changed("stripe.key", SKIT_LIVE_KEY), "refundx.key_directory", "and where it belongs");
	refused(changed("stripe.key", "sk_live.key"), "no file", "but a file may be named after it");
	refused(changed("stripe.key", "sk_live_shop.key"), "no file", "with an extension");
}

/* Each mistake has its own message, and its own hint. */
static void
test_keys(void)
{
	refused(with_key("test.key", ""), "has a test key in a live channel", "a test key, live");
	hinted(with_key("test.key", ""), "sk_live_", "and what to do");
	refused(with_key("restricted_test.key", ""), "has a test key in a live channel",
			"a restricted test key, live");
	refused(with_key("test.key", "\"base_url\":\"https://stripe.example.com\""),
			"has a test key in a live channel", "at another host");
	opens(with_key("test.key", "\"test_mode\":true"), "a test key in test mode");
	opens(with_key("restricted_test.key", "\"test_mode\":true"), "a restricted one");
	opens(with_key("test.key", "\"base_url\":\"http://127.0.0.1:9\""), "a test key for a sandbox");
	refused(with_key("stripe.key", "\"test_mode\":true"), "has a live key in a test channel",
			"a live key in test mode");
	hinted(with_key("stripe.key", "\"test_mode\":true"), "take \"test_mode\" out", "and what to do");
	refused(with_key("stripe.key", "\"base_url\":\"http://127.0.0.1:9\""),
			"has a live key for a sandbox", "a live key for a sandbox");
	opens(with_key("restricted.key", ""), "a restricted live key");
	refused(with_key("publishable.key", ""), "has a publishable key", "a publishable key");
	hinted(with_key("publishable.key", ""), "It is for browsers", "and what it is for");
	refused(with_key("whsec_new.key", ""), "has a webhook's signing secret", "a signing secret");
	refused(with_key("organization.key", ""), "an organization's key", "an organization's key");
	refused(with_key("short.key", ""), "is cut off", "half a key");
	refused(with_key("rubbish.key", ""), "has no secret key of Stripe's", "rubbish");
	refused(with_key("two_lines.key", ""), "is not one line", "two lines");
	refused(with_key("spaces.key", ""), "is not one line", "a space");
	refused(with_key("empty.key", ""), "is not one line", "nothing");
	refused(with_key("none.key", ""), "there is no file", "no file");
	refused(with_key("stripe.key", "\"webhook_secrets\":\"test.key\""), "has an API key",
			"an API key as a signing secret");
	refused(with_key("stripe.key", "\"webhook_secrets\":\"rubbish.key\""), "has no signing secret",
			"rubbish as a signing secret");
	refused(with_key("stripe.key", "\"webhook_secrets\":[\"whsec_new.key\",\"none.key\"]"),
			"there is no file", "the second file is missing");
}

static void
test_check(void)
{
	const char *text = check(with("\"public_base_url\":\"https://pay.example.com/cb\""));

	lacks(text, "error", "a good configuration has no error");
	lacks(text, "warning", "and no warning");
	has(text, "ok config: account " SKIT_ACCOUNT ", API version 2025-04-30.basil", "its account and version");
	has(text, "ok secret_key: a live key\n", "the key's kind");
	has(text, "ok webhook_secrets: \"whsec_old.key\": a signing secret", "each secret");
	has(text, "enter https://pay.example.com/cb/v1/ and the channel's name", "which address to enter");
	has(text, "refund.created, refund.updated, refund.failed", "for which events");
	text = check(with("\"connect\":true,\"public_base_url\":\"https://pay.example.com/\""));
	has(text, "Stripe-Account is sent", "a connected account");
	has(text, "enter https://pay.example.com/v1/", "one slash is enough");
	has(text, "Connected accounts", "where its endpoint is");

	text = check(SKIT_CONFIG);
	has(text, "ok public_base_url: not set; the endpoint's address", "no address");
	text = check(with_key("restricted.key", ""));
	has(text, "a live, restricted key", "a restricted key");
	has(text, "right to write refunds", "and its rights");
	has(text, "warning webhook_secrets: none", "no secrets");
	has(text, "by polling only", "and what that means");
	text = check(with_key("test.key", "\"test_mode\":true,\"not_found_after\":1"));
	has(text, "warning test_mode: no money moves", "test mode");
	has(text, "warning secret_key: a test key: no money moves", "of the key too");
	has(text, "warning sandbox", "what counts for a sandbox only");
	text = check(with_key("test.key", "\"base_url\":\"http://127.0.0.1:9\""));
	has(text, "warning base_url: http://127.0.0.1:9 is a sandbox", "a sandbox");
	text = check(with_key("test.key", "\"webhook_secrets\":[\"none.key\",\"test.key\"]"));
	has(text, "error secret_key: secret_key: the file \"test.key\" has a test key in a live channel. Name",
		"all errors at once: the key");
	has(text, "error webhook_secrets: webhook_secrets: there is no file \"none.key\"", "a secret");
	has(text, "has an API key", "and the other");
	text = check(with("\"base_url\":\"https://stripe.example.com\""));
	has(text, "warning base_url: it is not Stripe's own", "another host");
	text = check(with("\"public_base_url\":\"http://pay.example.com\""));
	has(text, "error public_base_url: it is not https", "a plain address");
	has(check("{}"), "error config: the setting \"account_id\" is missing", "no configuration");
	lacks(buf_str(&report), "ok config", "is nothing else");
	text = check(SKIT_CONFIG);
	lacks(text, "newnew", "no secret in a report");
	lacks(text, "51Nispe", "nor a key");
}

int
main(void)
{
	stripe = channel_lookup("stripe");
	test_settings();
	test_pasted();
	test_keys();
	test_check();
	buf_free(&report);
	return unit_done();
}
