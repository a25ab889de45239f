/*-------------------------------------------------------------------------
 *
 * test_wechat_transfer.c
 *	  Transfers: the setting, whom they can pay, what WeChat would refuse
 *	  anyway, and that no message ever says who was to be paid.
 *
 * test/unit/test_wechat_transfer.c
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"
#include "wechatkit.h"

/* "Zhang San", and a character of four bytes */
#define ZHANG		"\xe5\xbc\xa0"
#define SAN			"\xe4\xb8\x89"
#define RARE		"\xf0\xa0\xae\xb7"
#define PAYEE		"{\"openid\":\"" KIT_OPENID "\"}"
#define NAMED		"{\"openid\":\"" KIT_OPENID "\",\"name\":\"" ZHANG SAN "\"}"

static const Channel *wechat;
static const ChannelProduct *transfer;
static ChannelError err;
static ChannelPayee payee;
static Buf	report = BUF_INIT;

static const ChannelInstruction plain = {
	.wire_no = "W20260921x1", .amount = 1000, .currency = "CNY", .reason = "wages",
	.payee = PAYEE, .transfer_defaults = true,
};

/* ---- the setting ---- */

static const char *
config_with(const char *setting)
{
	static char text[4096];

	snprintf(text, sizeof(text),
			 "{\"mchid\":\"1900000100\",\"merchant_serial\":\"" KIT_MERCHANT_SERIAL "\","
			 "\"private_key\":\"apiclient_key.pem\",\"apiv3_key\":\"apiv3_new.key\","
			 "\"wechat_keys\":{\"" KIT_PUB_KEY_ID "\":\"pub_key.pem\"},\"transfer\":%s}", setting);
	return text;
}

static void
opens(const char *setting, const char *name)
{
	ChannelSource source = {config_with(setting), kit_read_key, NULL};
	void	   *config = wechat->open(&source, &err);

	ok(config != NULL, "opens: %s %s", name, config ? "" : err.message);
	wechat->close(config);
}

static void
setting_refused(const char *setting, const char *words, const char *name)
{
	char		merchant[CHANNEL_MERCHANT_MAX + 1];

	ok(!wechat->merchant(config_with(setting), merchant, &err), "refused: %s", name);
	has(err.message, words, "in plain words");
	ok(err.hint[0] != '\0', "with a hint");
}

/* The setting with one member more, or with another remark. */
static const char *
setting(const char *more)
{
	static char text[2048];
	bool		remark = strstr(more, "\"remark\"") != NULL;

	snprintf(text, sizeof(text), "{\"appid\":\"" KIT_APPID "\",\"scene_id\":\"1005\","
			 "\"report_infos\":" KIT_REPORT_INFOS "%s%s%s}", remark ? "" : ",\"remark\":\"wages\"",
			 more[0] ? "," : "", more);
	return text;
}

static const char *
repeated(const char *name, const char *one, int n)
{
	static char text[1024];
	int			i;

	snprintf(text, sizeof(text), "\"%s\":\"", name);
	for (i = 0; i < n; i++)
		strcat(text, one);
	strcat(text, "\"");
	return text;
}

static const char *
reports(const char *list)
{
	static char text[2048];

	snprintf(text, sizeof(text), "{\"appid\":\"" KIT_APPID "\",\"scene_id\":\"1005\","
			 "\"remark\":\"wages\",\"report_infos\":%s}", list);
	return text;
}

static void
test_settings(void)
{
	int			i;
	char		list[2048] = "[";

	opens(setting(""), "the least");
	setting_refused("{\"appid\":\"" KIT_APPID "\",\"scene_id\":\"1005\","
					"\"report_infos\":" KIT_REPORT_INFOS "}", "transfer.remark is missing",
					"without a remark");
	opens(setting("\"recv_style\":\"RED_PACKET\",\"user_recv_perception\":\"x\""), "with a style");
	opens(setting("\"recv_style\":\"CONFIRM_PAGE\""), "with the other style");
	opens(setting(repeated("remark", SAN, 32)), "a remark of 32 characters, 96 bytes");
	setting_refused(setting(repeated("remark", "x", 33)), "transfer.remark must be a text of 1 to 32",
					"33 characters");
	setting_refused(setting("\"remark\":\"\""), "transfer.remark", "an empty remark");
	setting_refused(setting("\"remark\":null"), "transfer.remark", "a null for a remark");
	setting_refused(setting("\"remark\":\"a\\nb\""), "transfer.remark", "a newline");
	setting_refused(setting("\"remark\":\"a\\u0085\""), "transfer.remark", "a C1 control character");
	setting_refused(setting("\"remark\":\"a\\u007f\""), "transfer.remark", "a DEL");
	setting_refused(setting("\"remark\":\"a\\u2028\""), "transfer.remark", "a line separator");
	setting_refused(setting("\"remark\":\"" RARE "\""), "transfer.remark", "four bytes");
	opens(setting("\"remark\":\"a\\u00a0\\u2027\\u202a\""), "and their neighbours");
	opens(setting(repeated("user_recv_perception", SAN, 32)), "a perception of 32 characters");
	setting_refused(setting(repeated("user_recv_perception", SAN, 33)),
					"transfer.user_recv_perception", "of 33");
	setting_refused(setting("\"recv_style\":\"red\""), "transfer.recv_style", "another style");
	setting_refused(setting("\"recv_style\":{\"type\":\"RED_PACKET\"}"), "transfer.recv_style",
					"WeChat's own form of it");
	setting_refused("[]", "must be an object", "a list");
	setting_refused("null", "must be an object", "null");
	setting_refused("{}", "transfer.appid", "nothing");
	setting_refused(setting("\"mchid\":\"1\""), "transfer has a member that", "a member unknown here");
	lacks(err.message, "mchid", "which is not repeated");
	has(err.hint, "scene_id", "but those that are known are");
	setting_refused("{\"appid\":\"" KIT_APPID "\"}", "transfer.scene_id is missing", "no scene");
	setting_refused("{\"appid\":\"" KIT_APPID "\",\"scene_id\":\"1005\"}",
					"transfer.report_infos is missing", "no report");
	setting_refused("{\"appid\":\"" KIT_APPID "\",\"scene_id\":\"10 05\",\"report_infos\":"
					KIT_REPORT_INFOS "}", "transfer.scene_id is no number", "a space in the scene");
	setting_refused("{\"appid\":\"" KIT_APPID "\",\"scene_id\":1005,\"report_infos\":"
					KIT_REPORT_INFOS "}", "transfer.scene_id", "a scene that is no text");
	setting_refused("{\"appid\":\"wx 1\",\"scene_id\":\"1005\",\"report_infos\":" KIT_REPORT_INFOS "}",
					"transfer.appid", "a space in the appid");
	setting_refused("{\"appid\":\"012345678901234567890123456789012\",\"scene_id\":\"1005\","
					"\"report_infos\":" KIT_REPORT_INFOS "}", "transfer.appid", "an appid of 33");

	setting_refused(reports("[]"), "transfer.report_infos must be a list of 1 to 10", "no report in it");
	setting_refused(reports("{}"), "transfer.report_infos must be a list", "no list");
	setting_refused(reports("[1]"), "transfer.report_infos[0] must have", "no object in it");
	setting_refused(reports("[{\"info_type\":\"a\"}]"), "[0] must have an info_type and an info_content",
					"half of a report");
	setting_refused(reports("[{\"info_type\":\"a\",\"x\":\"b\"}]"),
					"[0] must have an info_type and an info_content", "the other half called otherwise");
	setting_refused(reports("[{\"x\":\"a\",\"info_content\":\"b\"}]"),
					"[0] must have an info_type and an info_content", "and the one");
	setting_refused(reports("[{\"info_type\":\"a\",\"info_content\":\"b\",\"x\":1}]"), "nothing else",
					"more than one");
	setting_refused(reports("[{\"info_type\":\"a\",\"info_content\":\"b\"},"
							"{\"info_type\":\"a\",\"info_content\":\"\"}]"),
					"transfer.report_infos[1].info_content must be a text of 1 to 32", "an empty one");
	setting_refused(reports("[{\"info_type\":\"1234567890123456\",\"info_content\":\"b\"}]"),
					"info_type must be a text of 1 to 15", "a type of 16");
	opens(reports("[{\"info_type\":\"123456789012345\","
				  "\"info_content\":\"12345678901234567890123456789012\"}]"), "15 and 32");
	setting_refused(reports("[{\"info_type\":\"a\","
							"\"info_content\":\"123456789012345678901234567890123\"}]"),
					"info_content must be a text of 1 to 32", "33");
	setting_refused(reports("[{\"info_type\":\"a\",\"info_content\":\"b\"},"
							"{\"info_type\":\"c\",\"info_content\":\"b\"},"
							"{\"info_type\":\"a\",\"info_content\":\"d\"}]"),
					"report_infos[2] has an info_type that stood there before", "a type twice");
	for (i = 0; i < 10; i++)
		sprintf(list + strlen(list), "{\"info_type\":\"%d\",\"info_content\":\"b\"},", i);
	list[strlen(list) - 1] = ']';
	opens(reports(list), "ten reports");
	list[strlen(list) - 1] = '\0';
	strcat(list, ",{\"info_type\":\"a\",\"info_content\":\"b\"}]");
	setting_refused(reports(list), "1 to 10", "eleven");

	setting_refused(KIT_TRANSFER ",\"sub_mchid\":\"1900000109\"", "exclude each other",
					"with a sub-merchant");
}

static void
add_finding(void *arg, FindingLevel level, const char *item, const char *text)
{
	static const char *const levels[] = {"ok", "warning", "error"};

	(void) arg;
	if (strcmp(item, "transfer") == 0)
		buf_addf(&report, "%s: %s\n", levels[level], text);
}

static const char *
check(const char *json)
{
	ChannelSource source = {json, kit_read_key, NULL};
	ChannelFindings findings = {add_finding, NULL};

	buf_reset(&report);
	wechat->check(&source, KIT_NOW, &findings);
	return buf_str(&report);
}

static void
test_check(void)
{
	has(check(KIT_TRANSFER_CONFIG), "ok: withdrawals are paid for appid " KIT_APPID ", scene 1005",
		"channel_check says what transfers are paid for");
	has(buf_str(&report), "IP addresses", "and what only WeChat can tell");
	lacks(buf_str(&report), "warning", "without a warning");
	is_str(check(KIT_CONFIG), "", "nothing of it where there is no such setting");
}

/* ---- the payee ---- */

static void
pays(const char *json, const char *identity, const char *masked, const char *name)
{
	memset(&payee, 0x55, sizeof(payee));
	ok(transfer->payee(json, &payee, &err), "a payee: %s %s", name, err.message);
	is_str(payee.identity, identity, "who it is");
	is_str(payee.masked, masked, "and what people see");
}

/* No message may hold what stands in the payee. */
static void
says_nothing(void)
{
	lacks(err.message, KIT_OPENID, "the openid is not repeated");
	lacks(err.hint, KIT_OPENID, "nor in the hint");
	lacks(err.message, ZHANG, "nor a name");
	lacks(err.message, "secret", "nor anything else");
	lacks(err.hint, "secret", "nor there");
}

static void
pays_not(const char *json, const char *words, const char *name)
{
	memset(&payee, 0x55, sizeof(payee));
	ok(!transfer->payee(json, &payee, &err), "no payee: %s", name);
	has(err.message, words, "the member is named");
	ok(err.hint[0] != '\0', "with a hint");
	ok(payee.identity[0] == '\0' && payee.masked[0] == '\0', "and nothing is left of it");
	says_nothing();
}

static const char *
named(const char *one, int n)
{
	static char text[1024];

	snprintf(text, sizeof(text), "{\"openid\":\"" KIT_OPENID "\",%s}", repeated("name", one, n));
	return text;
}

static const char *
openid_of(int n)
{
	static char text[256];
	int			i;

	strcpy(text, "{\"openid\":\"");
	for (i = 0; i < n; i++)
		strcat(text, i == 0 ? "o" : "Z");
	strcat(text, "\"}");
	return text;
}

static void
test_payee(void)
{
	pays(PAYEE, "wechat::" KIT_OPENID, "openid o-MY****6Xoy", "an openid");
	pays(NAMED, "wechat::" KIT_OPENID, "openid o-MY****6Xoy, " ZHANG "**", "with a name");
	pays("{\"appid\":\"wx1\",\"openid\":\"" KIT_OPENID "\"}", "wechat:wx1:" KIT_OPENID,
		 "openid o-MY****6Xoy", "of another app");
	pays(named(ZHANG, 1), "wechat::" KIT_OPENID, "openid o-MY****6Xoy, " ZHANG "**",
		 "a name of one character looks like any other");
	pays(named("A", 64), "wechat::" KIT_OPENID, "openid o-MY****6Xoy, A**", "one of 64");
	pays(named(RARE, 53), "wechat::" KIT_OPENID, "openid o-MY****6Xoy, " RARE "**",
		 "rare characters, 212 bytes");
	pays(named(ZHANG, 64), "wechat::" KIT_OPENID, "openid o-MY****6Xoy, " ZHANG "**", "64 Chinese ones");
	pays_not(named("A", 65), "payee.name", "65 characters");
	pays_not(named(RARE, 54), "payee.name", "216 bytes, more than are encrypted");
	pays_not(named("", 0), "payee.name", "an empty name");
	pays_not(named("\\n", 1), "payee.name", "a control character");
	pays_not(named("\\u009f", 2), "payee.name", "a C1 one");
	pays_not("{\"openid\":\"" KIT_OPENID "\",\"name\":5}", "payee.name", "a name that is no text");
	pays_not("{\"openid\":\"" KIT_OPENID "\",\"name\":null}", "payee.name", "null");

	pays(openid_of(20), "wechat::oZZZZZZZZZZZZZZZZZZZ", "openid oZZZ****ZZZZ", "20 characters");
	ok(transfer->payee(openid_of(64), &payee, &err), "64 characters");
	pays_not(openid_of(19), "payee.openid", "19");
	pays_not(openid_of(65), "payee.openid", "65");
	pays_not("{\"openid\":\"13800138000\"}", "payee.openid", "a telephone number");
	pays_not("{\"openid\":\"" KIT_OPENID " \"}", "payee.openid", "a space");
	pays_not("{\"openid\":\"secret;secret;secret;sec\"}", "payee.openid", "another character");
	pays_not("{\"openid\":\"" ZHANG ZHANG ZHANG ZHANG ZHANG ZHANG ZHANG ZHANG "\"}", "payee.openid",
			 "letters that are none of these");
	pays_not("{\"openid\":17}", "payee.openid", "a number");
	pays_not("{}", "payee.openid", "nobody");
	pays_not("{\"name\":\"" ZHANG SAN "\"}", "payee.openid", "a name alone");

	pays_not("{\"openid\":\"" KIT_OPENID "\",\"appid\":\"\"}", "payee.appid", "an empty appid");
	pays("{\"openid\":\"" KIT_OPENID "\",\"appid\":\"a\"}", "wechat:a:" KIT_OPENID,
		 "openid o-MY****6Xoy", "one of one letter");
	pays_not("{\"openid\":\"" KIT_OPENID "\",\"appid\":\"secret secret\"}", "payee.appid", "no appid");
	pays_not("{\"openid\":\"" KIT_OPENID "\",\"appid\":\"012345678901234567890123456789012\"}",
			 "payee.appid", "one of 33");
	pays("{\"openid\":\"" KIT_OPENID "\",\"appid\":\"01234567890123456789012345678901\"}",
		 "wechat:01234567890123456789012345678901:" KIT_OPENID, "openid o-MY****6Xoy", "one of 32");
	pays_not("{\"openid\":\"" KIT_OPENID "\",\"secret\":1}", "payee has a member", "another member");
	pays_not("{\"openid\":\"" KIT_OPENID "\",\"secret\":1,\"name\":\"a\"}", "payee has a member",
			 "beside a name");
	pays_not("", "not a JSON object", "nothing");
	pays_not("[\"" KIT_OPENID "\"]", "not a JSON object", "a list");
	pays_not("{\"openid\":\"" KIT_OPENID "\",\"openid\":\"secret\"}", "not a JSON object", "one twice");
	pays_not("{\"openid\":\"" KIT_OPENID "\"} secret", "not a JSON object", "something behind it");
	pays_not(NULL, "missing", "none at all");
}

/* ---- what is acceptable ---- */

static void
accepts(ChannelInstruction instr, const char *name)
{
	ok(transfer->acceptable(&instr, KIT_NOW, &err), "acceptable: %s %s", name, err.message);
}

static void
refuses(ChannelInstruction instr, const char *words, const char *name)
{
	ok(!transfer->acceptable(&instr, KIT_NOW, &err), "not acceptable: %s", name);
	has(err.message, words, "in plain words");
	ok(err.hint[0] != '\0', "with a hint");
	says_nothing();
}

static void
test_amounts(void)
{
	ChannelInstruction i = plain;

	accepts(i, "a plain one");
	i.amount = 10;
	accepts(i, "0.10, the least");
	i.amount = 9;
	refuses(i, "a transfer of 9", "one fen less");
	i.amount = -10;
	refuses(i, "a transfer of -10", "less than nothing");
	i.amount = 199999;
	accepts(i, "1999.99 without a name");
	i.amount = 200000;
	refuses(i, "payee.name is missing", "2000.00 without a name");
	i.payee = NAMED;
	accepts(i, "with one");
	i.amount = INT64_C(100000000000);
	accepts(i, "what a merchant may pay is his own agreement with WeChat");
	i.amount = 30;
	accepts(i, "0.30 with a name");
	i.amount = 29;
	refuses(i, "payee.name is given", "0.29 with a name");
	i.payee = PAYEE;
	accepts(i, "0.29 without");
	i = plain;
	i.currency = "USD";
	refuses(i, "\"USD\"", "another currency");
	i.currency = NULL;
	refuses(i, "currency", "none");
}

static void
test_numbers_and_reasons(void)
{
	ChannelInstruction i = plain;
	char		reason[200] = "";
	int			k;

	i.wire_no = "0123456789abcdefghijABCDEFGHIJzZ";
	accepts(i, "a number of 32");
	i.wire_no = "0123456789abcdefghijABCDEFGHIJzZ1";
	refuses(i, "33 bytes", "one of 33");
	i.wire_no = "W-1";
	refuses(i, "\"W-1\"", "a character that refunds may have");
	has(err.hint, "1 to 32 characters of 0-9, A-Z and a-z", "with the rule");
	i.wire_no = "";
	refuses(i, "empty", "an empty one");

	i = plain;
	for (k = 0; k < 32; k++)
		strcat(reason, SAN);
	i.reason = reason;
	accepts(i, "a reason of 32 characters");
	strcat(reason, SAN);
	refuses(i, "1 to 32 characters", "one of 33");
	i.reason = RARE;
	refuses(i, "reason", "a character of four bytes");
	i.reason = "a\tb";
	refuses(i, "reason", "a control character");
	i.reason = "\xff";
	refuses(i, "reason", "no UTF-8");
	i.reason = "\xe5\x95";
	refuses(i, "reason", "half a character");
	i.reason = NULL;
	accepts(i, "none, where the settings have a remark");
	i.reason = "";
	accepts(i, "an empty one is none");
	i.transfer_defaults = false;
	refuses(i, "no setting transfer.remark", "none, where there are no settings");

	i = plain;
	i.notify_url = "https://pay.example.com/v1/wx";
	accepts(i, "a callback address");
	i.notify_url = "http://pay.example.com/v1/wx";
	refuses(i, "not https", "a plain one");
	i = plain;
	i.payee = "{\"openid\":\"secret\"}";
	refuses(i, "payee.openid", "a payee that is none");
	i.payee = NULL;
	refuses(i, "payee is missing", "nobody");
}

static void
test_data(void)
{
	ChannelInstruction i = plain;
	const char *whole = "{\"scene_id\":\"1000\",\"report_infos\":" KIT_REPORT_INFOS "}";

	i.transfer_data = "{}";
	accepts(i, "channel_data with nothing in it");
	i.transfer_data = whole;
	accepts(i, "a scene of its own");
	i.transfer_data = "{\"report_infos\":" KIT_REPORT_INFOS "}";
	accepts(i, "a report for the settings' scene");
	i.transfer_data = "{\"user_recv_perception\":\"x\",\"recv_style\":\"CONFIRM_PAGE\"}";
	accepts(i, "what is shown");
	i.transfer_data = "{\"scene_id\":\"1000\"}";
	refuses(i, "channel_data.report_infos is missing", "a scene without its report");
	i.transfer_data = "{\"recv_style\":\"RED_PACKET\"}";
	i.amount = 20000;
	accepts(i, "a red packet of 200.00");
	i.amount = 20001;
	refuses(i, "channel_data.recv_style", "one of 200.01");
	i.amount = 1000;
	i.transfer_data = "{\"recv_style\":\"secret\"}";
	refuses(i, "channel_data.recv_style", "another style");
	i.transfer_data = "{\"scene_id\":\"secret secret\",\"report_infos\":" KIT_REPORT_INFOS "}";
	refuses(i, "channel_data.scene_id", "no scene");
	i.transfer_data = "{\"secret\":1}";
	refuses(i, "channel_data has a member", "another member");
	i.transfer_data = "{\"appid\":\"" KIT_APPID "\"}";
	refuses(i, "channel_data has a member", "what only the settings may have");
	i.transfer_data = "secret";
	refuses(i, "channel_data is not a JSON object", "no object");
	i.transfer_data = "{\"report_infos\":[{\"info_type\":\"a\",\"info_content\":\"secret\\n\"}]}";
	refuses(i, "channel_data.report_infos[0].info_content", "a report that WeChat would refuse");

	i = plain;
	i.transfer_defaults = false;
	refuses(i, "no setting \"transfer\"", "no scene anywhere");
	has(err.hint, "transfer.scene_id", "and the hint names the setting");
	i.transfer_data = whole;
	refuses(i, "the appid of the transfer is missing", "no appid anywhere");
	i.payee = "{\"openid\":\"" KIT_OPENID "\",\"appid\":\"" KIT_APPID "\"}";
	accepts(i, "everything in the withdrawal itself");
	i.transfer_data = "{\"report_infos\":" KIT_REPORT_INFOS "}";
	refuses(i, "the scene of the transfer is missing", "a report without a scene");
}

static void
test_limits(void)
{
	const ChannelLimits *l = &transfer->limits;
	int			i;

	is_int(transfer->kind, PRODUCT_TRANSFER, "its kind");
	ok(wechat->transfer == transfer && channel_product(wechat, PRODUCT_TRANSFER) == transfer,
	   "the channel has it");
	ok(transfer->can_cancel, "it can be canceled");
	is_int(l->number_max, 32, "numbers");
	is_int(l->reason_max, 96, "reasons: 32 characters of three bytes");
	ok(strcmp(l->currencies[0], "CNY") == 0 && l->currencies[1] == NULL, "one currency");
	is_int(l->max_parts, 0, "no parts");
	is_int(l->max_age, 0, "no age");
	is_int(l->part_spacing, 0, "no spacing");
	is_int(l->calls_per_second, 100, "calls");
	is_int(l->failing_per_second, 6, "failing calls");
	is_int(l->not_found_after, 300, "not found: a signature's life");
	is_int(l->send_window, 47 * 3600, "three natural days are at least two");
	is_int(l->ask_window, 29 * 86400, "thirty are at least 29");
	is_int(l->poll_accepted[0], 5, "what the payee confirms is seen soon");
	for (i = 0; l->poll_accepted[i + 1] != 0; i++)
		ok(l->poll_accepted[i] < l->poll_accepted[i + 1], "and ever more rarely");
	is_int(l->poll_accepted[i], 3600, "each hour at last");
	is_int(l->poll_unknown[0], 2, "unknown ones are asked about at once");
	is_int(l->poll_abnormal[0], 3600, "abnormal ones there are none");
	ok(l->connect_timeout_ms == 3000 && l->call_timeout_ms == 15000, "timeouts");
}

int
main(void)
{
	wechat = channel_lookup("wechat");
	transfer = wechat->transfer;
	kit_start();
	test_settings();
	test_check();
	test_payee();
	test_amounts();
	test_numbers_and_reasons();
	test_data();
	test_limits();
	buf_free(&report);
	kit_stop();
	return unit_done();
}
