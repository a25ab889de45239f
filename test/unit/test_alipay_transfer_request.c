/*-------------------------------------------------------------------------
 *
 * test_alipay_transfer_request.c
 *	  What Alipay is sent to pay a withdrawal: the setting "transfer", what is
 *	  refused before anything is sent, the frozen biz_content, the query that
 *	  is read from it, and the signed string as documented.
 *
 * test/unit/test_alipay_transfer_request.c
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"
#include "alipaykit.h"
#include "channel/alipay.h"

#define TITLE	"\xe6\x8f\x90\xe7\x8e\xb0"
#define SCENE \
	"\"transfer_scene_name\":\"S\",\"transfer_scene_report_infos\":[{\"info_type\":\"T\"," \
	"\"info_content\":\"C\"}]"
#define OTHER_SCENE \
	"\"transfer_scene_name\":\"S2\",\"transfer_scene_report_infos\":[{\"info_type\":\"T2\"," \
	"\"info_content\":\"C2\"}]"

static const Channel *alipay;
static const ChannelProduct *transfer;
static Buf	frozen = BUF_INIT;
static ChannelError err;

static ChannelInstruction
instruction(void)
{
	ChannelInstruction i = {
		.wire_no = "W1", .amount = 2300, .currency = "CNY", .payee = AKIT_TO_USER,
		.transfer_defaults = true,
	};

	return i;
}

static void *
open_json(const char *json)
{
	ChannelSource source = {json, akit_read_key, NULL};
	void	   *config = alipay->open(&source, &err);

	if (!ok(config != NULL, "opens"))
		printf("#   %s\n", err.message);
	return config;
}

static void
config_refused(const char *json, const char *words, const char *name)
{
	ChannelSource source = {json, akit_read_key, NULL};
	char		merchant[CHANNEL_MERCHANT_MAX + 1];
	void	   *config = alipay->open(&source, &err);

	ok(config == NULL, "refused: %s", name);
	has(err.message, words, "in plain words");
	ok(!alipay->merchant(json, merchant, &err), "when the channel is added, too");
	alipay->close(config);
}

static const char *
freeze_with(void *config, const ChannelInstruction *i)
{
	if (!transfer->freeze(config, i, &frozen, &err))
	{
		ok(frozen.len == 0, "nothing is left of what was not frozen");
		return err.message;
	}
	return buf_str(&frozen);
}

static void
add_finding(void *arg, FindingLevel level, const char *item, const char *text)
{
	buf_addf(arg, "%d %s: %s\n", (int) level, item, text);
}

static void
test_setting(void)
{
	ChannelSource source = {AKIT_TRANSFERS(""), akit_read_key, NULL};
	Buf			report = BUF_INIT;
	ChannelFindings findings = {add_finding, &report};
	char		json[2048];
	char		text[300];

	alipay->close(open_json(AKIT_TRANSFERS("")));
	alipay->close(open_json(AKIT_TRANSFERS("\"biz_scene\":\"DIRECT_TRANSFER\",\"order_title\":\"" TITLE "\","
										   "\"payer_show_name_use_alias\":true," SCENE)));
	alipay->check(&source, AKIT_NOW, &findings);
	has(buf_str(&report), "0 transfer: ", "the check says that it pays withdrawals");
	lacks(buf_str(&report), "2 ", "and finds nothing wrong");
	buf_reset(&report);
	source.config_json = AKIT_CERT_CONFIG;
	alipay->check(&source, AKIT_NOW, &findings);
	lacks(buf_str(&report), " transfer: ", "without the setting it does not");

	buf_reset(&report);
	snprintf(json, sizeof(json), "%.*s,\"app_auth_token\":\"token\",\"auth_app_id\":\"" AKIT_SUB "\"}",
			 (int) strlen(AKIT_TRANSFERS("")) - 1, AKIT_TRANSFERS(""));
	source.config_json = json;
	alipay->check(&source, AKIT_NOW, &findings);
	has(buf_str(&report), "1 transfer: ", "for a sub-merchant it warns");
	buf_free(&report);

	snprintf(json, sizeof(json), "%.*s,\"transfer\":{}}", (int) strlen(AKIT_CONFIG) - 1, AKIT_CONFIG);
	config_refused(json, "\"transfer\" needs certificate mode", "with public keys");
	has(err.hint, "app_certificate", "with what to give");
	snprintf(json, sizeof(json), "%.*s,\"transfer\":true}", (int) strlen(AKIT_CERT_CONFIG) - 1,
			 AKIT_CERT_CONFIG);
	config_refused(json, "\"transfer\" must be an object", "no object");
	config_refused(AKIT_TRANSFERS("\"order_titel\":\"x\""), "transfer has a member", "an unknown member");
	config_refused(AKIT_TRANSFERS("\"product_code\":\"TRANS_ACCOUNT_NO_PWD\""), "transfer has a member",
				   "the product, which follows from each payee");
	config_refused(AKIT_TRANSFERS("\"biz_scene\":\"direct\""), "transfer.biz_scene", "a scene in small letters");
	config_refused(AKIT_TRANSFERS("\"biz_scene\":\"\""), "transfer.biz_scene", "an empty scene");
	config_refused(AKIT_TRANSFERS("\"biz_scene\":1"), "transfer.biz_scene", "a scene that is no text");
	config_refused(AKIT_TRANSFERS("\"biz_scene\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""),
				   "transfer.biz_scene", "a scene of 65");
	config_refused(AKIT_TRANSFERS("\"order_title\":\"\""), "transfer.order_title", "an empty title");
	config_refused(AKIT_TRANSFERS("\"order_title\":7"), "transfer.order_title", "a title that is no text");
	config_refused(AKIT_TRANSFERS("\"order_title\":\"a\\tb\""), "transfer.order_title", "a tab");
	config_refused(AKIT_TRANSFERS("\"order_title\":\"\xf0\x9f\x98\x80\""), "transfer.order_title", "an emoji");
	memset(text, '-', 129);		/* letters alone would look like a key */
	text[129] = '\0';
	snprintf(json, sizeof(json), "%.*s{\"order_title\":\"%s\"}}", (int) strlen(AKIT_TRANSFERS("")) - 3,
			 AKIT_TRANSFERS(""), text);
	config_refused(json, "transfer.order_title must be a text of 1 to 128 bytes", "a title of 129 bytes");
	text[128] = '\0';
	snprintf(json, sizeof(json), "%.*s{\"order_title\":\"%s\"}}", (int) strlen(AKIT_TRANSFERS("")) - 3,
			 AKIT_TRANSFERS(""), text);
	alipay->close(open_json(json));
	config_refused(AKIT_TRANSFERS("\"payer_show_name_use_alias\":\"true\""), "payer_show_name_use_alias",
				   "a text for a boolean");
	config_refused(AKIT_TRANSFERS("\"transfer_scene_name\":\"S\""), "only one of", "a scene without its report");
	config_refused(AKIT_TRANSFERS("\"transfer_scene_report_infos\":[{\"info_type\":\"T\",\"info_content\":\"C\"}]"),
				   "only one of", "a report without its scene");
	config_refused(AKIT_TRANSFERS("\"transfer_scene_name\":\"\",\"transfer_scene_report_infos\":[]"),
				   "transfer_scene_name must be", "an empty scene");
	config_refused(AKIT_TRANSFERS("\"transfer_scene_name\":\"S\",\"transfer_scene_report_infos\":[]"),
				   "transfer_scene_report_infos must be", "an empty report");
	config_refused(AKIT_TRANSFERS("\"transfer_scene_name\":\"S\",\"transfer_scene_report_infos\":{}"),
				   "transfer_scene_report_infos must be", "a report that is no list");
	config_refused(AKIT_TRANSFERS("\"transfer_scene_name\":\"S\",\"transfer_scene_report_infos\":[{\"info_type\":\"T\"}]"),
				   "transfer_scene_report_infos must be", "an item without contents");
	config_refused(AKIT_TRANSFERS("\"transfer_scene_name\":\"S\",\"transfer_scene_report_infos\":"
								  "[{\"info_content\":\"T\",\"x\":\"y\"}]"),
				   "transfer_scene_report_infos must be", "an item without a type");
	config_refused(AKIT_TRANSFERS("\"transfer_scene_name\":\"S\",\"transfer_scene_report_infos\":"
								  "[{\"info_type\":\"T\",\"info_content\":\"C\",\"x\":\"y\"}]"),
				   "transfer_scene_report_infos must be", "an item with more");
	config_refused(AKIT_TRANSFERS("\"transfer_scene_name\":\"S\",\"transfer_scene_report_infos\":"
								  "[{\"info_type\":\"T\",\"info_content\":\"C\"},7]"),
				   "transfer_scene_report_infos must be", "an item that is no object");
}

/* The longest texts and the longest list, and one more. */
static void
test_bounds(void)
{
	char		type[66];
	char		content[258];
	char		text[4096];
	json_t	   *options = json_object();
	json_t	   *infos = json_array();
	int			i;

	memset(type, 't', 64);
	type[64] = '\0';
	memset(content, 'c', 256);
	content[256] = '\0';
	for (i = 0; i < 10; i++)
		json_array_append_new(infos, json_pack("{s:s,s:s}", "info_type", type, "info_content", content));
	json_object_set_new(options, "transfer_scene_name", json_string(type));
	json_object_set_new(options, "transfer_scene_report_infos", infos);
	json_object_set_new(options, "biz_scene",
						json_string("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
	ok(alipay_transfer_options_good(options, "x", false, &err), "all as long as they may be");
	json_array_append_new(infos, json_pack("{s:s,s:s}", "info_type", "t", "info_content", "c"));
	ok(!alipay_transfer_options_good(options, "x", false, &err), "eleven items");
	json_array_clear(infos);
	content[256] = 'c';
	content[257] = '\0';
	json_array_append_new(infos, json_pack("{s:s,s:s}", "info_type", type, "info_content", content));
	ok(!alipay_transfer_options_good(options, "x", false, &err), "257 bytes of contents");
	json_array_clear(infos);
	type[64] = 't';
	type[65] = '\0';
	json_array_append_new(infos, json_pack("{s:s,s:s}", "info_type", type, "info_content", "c"));
	ok(!alipay_transfer_options_good(options, "x", false, &err), "a type of 65");
	json_array_clear(infos);
	json_array_append_new(infos, json_pack("{s:s,s:s}", "info_type", "t", "info_content", "c"));
	ok(alipay_transfer_options_good(options, "x", false, &err), "and short");
	json_object_set_new(options, "transfer_scene_name", json_string(type));
	ok(!alipay_transfer_options_good(options, "x", false, &err), "a scene of 65");
	snprintf(text, sizeof(text), "%s%s", err.message, err.hint);
	lacks(text, "tttt", "none of which is repeated");
	json_decref(options);
}

static bool
acceptable(const ChannelInstruction *i)
{
	bool		good = transfer->acceptable(i, AKIT_NOW, &err);

	if (good != (err.message[0] == '\0'))
		ok(false, "an error, and only then");
	return good;
}

static void
test_acceptable(void)
{
	ChannelInstruction i = instruction();
	char		text[400];

	ok(acceptable(&i), "an ordinary withdrawal");
	i.transfer_defaults = false;
	ok(!acceptable(&i), "for a channel that pays none");
	has(err.message, "\"transfer\"", "names the setting");
	has(err.hint, "\"transfer\": {}", "and what to give");
	i = instruction();
	i.wire_no = "aZ09_-";
	ok(acceptable(&i), "every kind of character");
	i.wire_no = "a.b";
	ok(!acceptable(&i), "no others");
	i.wire_no = "";
	ok(!acceptable(&i), "no number");
	has(err.message, "withdrawal number", "of a withdrawal");
	memset(text, 'a', 65);
	text[65] = '\0';
	i.wire_no = text;
	ok(!acceptable(&i), "65 are too many");
	text[64] = '\0';
	ok(acceptable(&i), "64 are not");

	i = instruction();
	i.currency = "USD";
	ok(!acceptable(&i), "another currency");
	i.currency = NULL;
	ok(!acceptable(&i), "or none");
	i = instruction();
	i.amount = 9;
	ok(!acceptable(&i), "0.09 yuan is too little");
	i.amount = 10;
	ok(acceptable(&i), "0.10 is not");
	i.reason = "wages";
	i.amount = INT64_C(10000000000);
	ok(acceptable(&i), "a hundred millions");
	i.amount++;
	ok(!acceptable(&i), "and no more");

	i = instruction();
	i.amount = 4999999;
	ok(acceptable(&i), "49999.99 yuan without a reason");
	i.amount = 5000000;
	ok(!acceptable(&i), "50000 need one");
	has(err.message, "needs a reason", "which is said");
	i.reason = "";
	ok(!acceptable(&i), "an empty one is none");
	i.reason = "wages";
	ok(acceptable(&i), "with one");
	memset(text, 'a', 201);
	text[201] = '\0';
	i.reason = text;
	ok(!acceptable(&i), "a reason of 201 bytes");
	text[200] = '\0';
	ok(acceptable(&i), "of 200");
	i.reason = "\xf0\x9f\x98\x80";
	ok(!acceptable(&i), "an emoji");
	i.reason = "a\nb";
	ok(!acceptable(&i), "a line break");
	i.reason = "\xff";
	ok(!acceptable(&i), "not UTF-8");
}

static void
test_acceptable_data(void)
{
	ChannelInstruction i = instruction();

	i.payee = NULL;
	ok(!acceptable(&i), "no payee");
	i.payee = "{\"card_no\":\"6222021234567895\",\"name\":\"x\"}";
	ok(!acceptable(&i), "a card that is none");
	has(err.message, "payee.card_no", "names the member");
	lacks(err.message, "6222", "and not what stands in it");
	i = instruction();
	i.transfer_data = "{}";
	ok(acceptable(&i), "nothing in channel_data");
	i.transfer_data = "{\"order_title\":\"t\",\"biz_scene\":\"X\",\"payer_show_name_use_alias\":false," SCENE ","
		"\"product_code\":\"TRANS_ACCOUNT_NO_PWD\"}";
	ok(acceptable(&i), "everything in it");
	i.transfer_data = "{\"product_code\":\"TRANS_BANKCARD_NO_PWD\"}";
	ok(!acceptable(&i), "a card's product for an account");
	has(err.message, "does not fit the payee", "is said");
	i.payee = AKIT_TO_CARD;
	ok(acceptable(&i), "and for a card");
	i.transfer_data = "{\"product_code\":\"TRANS_ACCOUNT_NO_PWD\"}";
	ok(!acceptable(&i), "an account's for a card");
	i.transfer_data = "{\"product_code\":\"STD_RED_PACKET\"}";
	ok(!acceptable(&i), "another product");
	i.transfer_data = "{\"product_code\":1}";
	ok(!acceptable(&i), "one that is no text");
	i.transfer_data = "{\"mine\":1}";
	ok(!acceptable(&i), "a member that is not taken");
	has(err.message, "channel_data has a member", "is said");
	i.transfer_data = "[]";
	ok(!acceptable(&i), "no object");
	i.transfer_data = "{\"order_title\":\"\"}";
	ok(!acceptable(&i), "an empty title");
	has(err.message, "channel_data.order_title", "is named");
}

static void
test_freeze(void)
{
	void	   *config = open_json(AKIT_TRANSFERS(""));
	void	   *full = open_json(AKIT_TRANSFERS("\"biz_scene\":\"CONF\",\"order_title\":\"conf\","
												"\"payer_show_name_use_alias\":true," SCENE));
	void	   *none = open_json(AKIT_CERT_CONFIG);
	ChannelInstruction i = instruction();
	Buf			once = BUF_INIT;

	is_str(freeze_with(config, &i), "{\"out_biz_no\":\"W1\",\"trans_amount\":\"23.00\","
		   "\"product_code\":\"TRANS_ACCOUNT_NO_PWD\",\"biz_scene\":\"DIRECT_TRANSFER\","
		   "\"order_title\":\"" TITLE "\",\"payee_info\":{\"identity\":\"" AKIT_USER "\","
		   "\"identity_type\":\"ALIPAY_USER_ID\"}}", "to an account, with nothing said");
	buf_adds(&once, buf_str(&frozen));
	is_str(freeze_with(config, &i), buf_str(&once), "the same twice");
	i.payee = AKIT_TO_CARD;
	i.amount = 5000001;
	i.reason = "wages";
	is_str(freeze_with(full, &i), "{\"out_biz_no\":\"W1\",\"trans_amount\":\"50000.01\","
		   "\"product_code\":\"TRANS_BANKCARD_NO_PWD\",\"biz_scene\":\"CONF\",\"order_title\":\"conf\","
		   "\"payee_info\":{\"identity\":\"" AKIT_CARD "\",\"identity_type\":\"BANKCARD_ACCOUNT\","
		   "\"name\":\"" AKIT_ZHANG "\",\"bankcard_ext_info\":{\"account_type\":\"2\"}},\"remark\":\"wages\","
		   "\"business_params\":\"{\\\"payer_show_name_use_alias\\\":\\\"true\\\"}\"," SCENE "}",
		   "to a card, as the configuration says");
	i.transfer_data = "{\"biz_scene\":\"OWN\",\"order_title\":\"own\",\"payer_show_name_use_alias\":false,"
		OTHER_SCENE "}";
	is_str(freeze_with(full, &i), "{\"out_biz_no\":\"W1\",\"trans_amount\":\"50000.01\","
		   "\"product_code\":\"TRANS_BANKCARD_NO_PWD\",\"biz_scene\":\"OWN\",\"order_title\":\"own\","
		   "\"payee_info\":{\"identity\":\"" AKIT_CARD "\",\"identity_type\":\"BANKCARD_ACCOUNT\","
		   "\"name\":\"" AKIT_ZHANG "\",\"bankcard_ext_info\":{\"account_type\":\"2\"}},\"remark\":\"wages\","
		   OTHER_SCENE "}", "as the withdrawal says");
	i.transfer_data = "{\"order_title\":\"own\"}";
	has(freeze_with(full, &i), "\"biz_scene\":\"CONF\",\"order_title\":\"own\"", "each where it says something");
	has(buf_str(&frozen), SCENE, "and the rest from the configuration");
	i.reason = "";
	lacks(freeze_with(config, &i), "remark", "an empty reason is none");
	i.notify_url = "https://a.example/cb";
	lacks(freeze_with(config, &i), "notify_url", "a transfer has no notify_url");

	i = instruction();
	has(freeze_with(none, &i), "\"transfer\"", "not for a channel that pays none");
	i.payee = NULL;
	has(freeze_with(config, &i), "there is no payee", "not without a payee");
	i.payee = "{\"user_id\":\"1\"}";
	has(freeze_with(config, &i), "payee.user_id", "nor to nobody");
	i = instruction();
	i.wire_no = NULL;
	has(freeze_with(config, &i), "number", "nor without a number");
	i = instruction();
	i.transfer_data = "rubbish";
	has(freeze_with(config, &i), "could not be put together", "nor with data that cannot be read");
	i = instruction();
	i.reason = "\xff";
	has(freeze_with(config, &i), "could not be put together", "nor with a reason that is not UTF-8");
	i.reason = "\xf0\x9f\x98\x80";
	has(freeze_with(config, &i), "could not be put together", "nor with an emoji");
	alipay->close(config);
	alipay->close(full);
	alipay->close(none);
	buf_free(&once);
}

static void
test_submit(void)
{
	void	   *config = open_json(AKIT_TRANSFERS(""));
	ChannelInstruction i = instruction();
	ChannelMoment moment = {AKIT_NOW, "0123456789abcdef0123456789abcdef", false};
	HttpRequest r;
	Buf			sig = BUF_INIT;
	char		sn[33],
				root[33],
				string[2048];

	http_request_init(&r);
	akit_sn("CN=" AKIT_CLASS ",C=CN", "42701552708448241360226107228231049510", sn);
	akit_sn("CN=" AKIT_ROOT ",C=CN", "1", root);
	i.payee = AKIT_TO_CARD;
	freeze_with(config, &i);
	i.payee = NULL;				/* it is gone by then */
	ok(transfer->build(config, CALL_SUBMIT, &i, &frozen, &moment, &r, &err), "built");
	is_str(err.message, "", "without an error");
	is_str(r.method, "POST", "a POST");
	has(buf_str(&r.url), "&method=alipay.fund.trans.uni.transfer&", "its method");
	is_str(akit_value(buf_str(&r.body), "biz_content"), buf_str(&frozen), "the frozen bytes, in the body");
	lacks(buf_str(&r.url), AKIT_CARD, "and nothing of them in the address, which ends in logs");
	is_int(r.total_timeout_ms, transfer->limits.call_timeout_ms, "the product's own time");
	snprintf(string, sizeof(string), "alipay_root_cert_sn=%s&app_cert_sn=%s&app_id=" AKIT_APP
			 "&biz_content=%s&charset=utf-8&method=alipay.fund.trans.uni.transfer&sign_type=RSA2"
			 "&timestamp=2026-09-21 22:13:20&version=1.0", root, sn, buf_str(&frozen));
	ok(base64_decode(&sig, akit_value(strchr(buf_str(&r.url), '?') + 1, "sign"),
					 strlen(akit_value(strchr(buf_str(&r.url), '?') + 1, "sign"))) &&
	   akit_verify(akit_app, string, strlen(string), &sig), "signed is the documented string");
	ok(!transfer->build(config, CALL_SUBMIT, &i, NULL, &moment, &r, &err) && r.url.len == 0,
	   "nothing frozen, nothing sent");
	buf_addc(&frozen, '\0');
	buf_adds(&frozen, "x");
	ok(!transfer->build(config, CALL_SUBMIT, &i, &frozen, &moment, &r, &err) && r.url.len == 0 &&
	   r.body.len == 0, "nor what would be cut short");
	buf_reset(&frozen);
	ok(!transfer->build(config, CALL_SUBMIT, &i, &frozen, &moment, &r, &err), "nor nothing");
	ok(!transfer->build(config, CALL_CANCEL, &i, &frozen, &moment, &r, &err), "there is no cancel");
	ok(!transfer->can_cancel, "and it is not said that there is");
	freeze_with(config, &(ChannelInstruction) {.wire_no = "W1", .amount = 10, .payee = AKIT_TO_USER});
	moment.nonce = "";
	ok(!transfer->build(config, CALL_SUBMIT, &i, &frozen, &moment, &r, &err), "no nonce");
	moment.nonce = NULL;
	ok(!transfer->build(config, CALL_SUBMIT, &i, &frozen, &moment, &r, &err), "none at all");
	alipay->close(config);
	buf_free(&sig);
	http_request_free(&r);
}

/* The biz_content of a query. */
static const char *
query(void *config, const ChannelInstruction *i, const char *sent)
{
	ChannelMoment moment = {AKIT_NOW, "0123456789abcdef0123456789abcdef", false};
	static HttpRequest r;
	Buf			bytes = BUF_INIT;
	const char *text = NULL;

	http_request_init(&r);
	if (sent != NULL)
		buf_adds(&bytes, sent);
	if (transfer->build(config, CALL_QUERY, i, sent ? &bytes : NULL, &moment, &r, &err))
	{
		has(buf_str(&r.url), "&method=alipay.fund.trans.common.query&", "its method");
		text = akit_value(buf_str(&r.body), "biz_content");
	}
	http_request_free(&r);
	buf_free(&bytes);
	return text;
}

#define ASK(product, scene) \
	"{\"product_code\":\"" product "\",\"biz_scene\":\"" scene "\",\"out_biz_no\":\"W1\"}"

static void
test_query(void)
{
	void	   *config = open_json(AKIT_TRANSFERS("\"biz_scene\":\"CONF\""));
	void	   *none = open_json(AKIT_CERT_CONFIG);
	ChannelInstruction i = instruction();
	ChannelMoment moment = {AKIT_NOW, "0123456789abcdef0123456789abcdef", false};
	HttpRequest r;
	char		sent[1024];

	i.payee = AKIT_TO_CARD;
	i.transfer_data = "{\"biz_scene\":\"OWN\"}";
	snprintf(sent, sizeof(sent), "%s", freeze_with(config, &i));
	i.payee = NULL;
	is_str(query(config, &i, sent), ASK("TRANS_BANKCARD_NO_PWD", "OWN"), "as it was sent");
	i.channel_refund_id = "20190801110070000006380000250621";
	is_str(query(config, &i, sent), ASK("TRANS_BANKCARD_NO_PWD", "OWN"), "also when Alipay's number is known");
	is_str(query(config, &i, NULL), "{\"order_id\":\"20190801110070000006380000250621\"}",
		   "which is used where nothing was sent from here");
	is_str(query(config, &i, "rubbish"), "{\"order_id\":\"20190801110070000006380000250621\"}",
		   "or where that cannot be read");
	i.channel_refund_id = "";
	is_str(query(config, &i, NULL), ASK("TRANS_ACCOUNT_NO_PWD", "OWN"), "else the withdrawal's data");
	i.transfer_data = "{\"product_code\":\"TRANS_BANKCARD_NO_PWD\"}";
	is_str(query(config, &i, NULL), ASK("TRANS_BANKCARD_NO_PWD", "CONF"), "which may name the product");
	i.transfer_data = NULL;
	is_str(query(config, &i, NULL), ASK("TRANS_ACCOUNT_NO_PWD", "CONF"), "else an account, as configured");
	is_str(query(none, &i, NULL), ASK("TRANS_ACCOUNT_NO_PWD", "DIRECT_TRANSFER"), "or by Alipay's own scene");
	is_str(query(none, &i, sent), ASK("TRANS_BANKCARD_NO_PWD", "OWN"),
		   "what was sent is asked about when the setting is gone");
	i.wire_no = "";
	ok(query(config, &i, sent) == NULL, "about nothing");
	i.wire_no = NULL;
	ok(query(config, &i, sent) == NULL, "or less");
	ok(query(config, NULL, sent) == NULL, "or nobody");

	http_request_init(&r);
	ok(transfer->build(config, CALL_ECHO, NULL, NULL, &moment, &r, &err), "the self-test");
	has(buf_str(&r.url), "&method=alipay.fund.trans.common.query&", "is a query");
	is_str(akit_value(buf_str(&r.body), "biz_content"), "{\"product_code\":\"TRANS_ACCOUNT_NO_PWD\","
		   "\"biz_scene\":\"DIRECT_TRANSFER\",\"out_biz_no\":\"refundx_echo_0123456789abcdef0123456789abcdef\"}",
		   "about nobody's transfer");
	http_request_free(&r);
	alipay->close(config);
	alipay->close(none);
}

static void
test_limits(void)
{
	const ChannelLimits *l = &transfer->limits;
	int			days = 0;
	int			n = 0;

	is_int(transfer->kind, PRODUCT_TRANSFER, "it is a transfer");
	ok(channel_product(alipay, PRODUCT_TRANSFER) == transfer, "of this channel");
	while (n < 10 && l->poll_succeeded[n] != 0)
		days += l->poll_succeeded[n++] / 86400;
	ok(n == 4 && days == 15, "what has arrived is asked about again, and not for ever");
	ok(l->send_window == 0 && l->ask_window == 0, "no window is documented");
	ok(alipay->refund->limits.poll_succeeded == NULL, "a refund is not");
	ok(l->poll_accepted[0] > 0 && l->poll_unknown[0] > 0 && l->poll_abnormal[0] > 0, "no list is empty");
	is_int(l->not_found_after, 180, "a not-found counts after minutes");
}

int
main(void)
{
	alipay = channel_lookup("alipay");
	transfer = alipay->transfer;
	akit_start();
	test_setting();
	test_bounds();
	test_acceptable();
	test_acceptable_data();
	test_freeze();
	test_submit();
	test_query();
	test_limits();
	buf_free(&frozen);
	akit_stop();
	return unit_done();
}
