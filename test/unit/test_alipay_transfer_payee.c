/*-------------------------------------------------------------------------
 *
 * test_alipay_transfer_payee.c
 *	  Whom Alipay's transfers pay: every way to name somebody, what is refused
 *	  and in which words, that no message repeats any of it, and what people
 *	  may see.
 *
 * test/unit/test_alipay_transfer_payee.c
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"
#include "alipaykit.h"
#include "channel/alipay.h"

#define ZHANG	AKIT_ZHANG
#define MAIL	"zhang.san@example.com"

static const Channel *alipay;
static ChannelPayee payee;
static ChannelError err;

static bool
read_payee(const char *json)
{
	memset(&payee, 0x55, sizeof(payee));
	return alipay->transfer->payee(json, &payee, &err);
}

/* What is taken, who it is, and what people may see of it. */
static void
taken(const char *json, const char *identity, const char *masked)
{
	if (!ok(read_payee(json), "taken: %s", json))
	{
		printf("#   %s\n", err.message);
		return;
	}
	is_str(payee.identity, identity, "its identity");
	is_str(payee.masked, masked, "as people see it");
	is_str(err.message, "", "and no error");
}

/* What is refused; `words` are in the message, `value` is nowhere. */
static void
refused(const char *json, const char *words, const char *value)
{
	ok(!read_payee(json), "refused: %s", json);
	has(err.message, words, "in plain words");
	ok(err.hint[0] != '\0' || strstr(err.message, "must be") != NULL, "with what to do");
	ok(payee.identity[0] == '\0' && payee.masked[0] == '\0', "and nothing of it is handed out");
	if (value != NULL)
	{
		lacks(err.message, value, "no value in the message");
		lacks(err.hint, value, "nor in the hint");
	}
}

static void
test_user(void)
{
	taken(AKIT_TO_USER, "alipay:user:" AKIT_USER, "user 2088****1234");
	taken("{\"user_id\":\"" AKIT_USER "\",\"name\":\"" ZHANG "\"}", "alipay:user:" AKIT_USER,
		  "user 2088****1234, \xe5\xbc\xa0**");
	refused("{\"user_id\":\"208812341234123\"}", "payee.user_id", "208812341234123");
	refused("{\"user_id\":\"20881234123412345\"}", "payee.user_id", "20881234123412345");
	refused("{\"user_id\":\"2089123412341234\"}", "payee.user_id", "2089123412341234");
	refused("{\"user_id\":\"208812341234123x\"}", "payee.user_id", "208812341234123x");
	refused("{\"user_id\":\" 2088123412341234\"}", "payee.user_id", AKIT_USER);
	refused("{\"user_id\":2088123412341234}", "payee.user_id must be a text", AKIT_USER);
	refused("{\"user_id\":\"\"}", "payee.user_id must be a text", NULL);
	refused("{\"user_id\":null}", "payee.user_id must be a text", NULL);
	refused("{\"user_id\":[\"2088123412341234\"]}", "payee.user_id must be a text", AKIT_USER);
}

static void
test_logon(void)
{
	char		json[512];
	char		mail[80];

	taken("{\"logon_id\":\"13800138000\",\"name\":\"" ZHANG "\"}", "alipay:account:13800138000",
		  "account 138****8000, \xe5\xbc\xa0**");
	taken("{\"logon_id\":\"" MAIL "\",\"name\":\"John Smith\"}", "alipay:account:" MAIL,
		  "account zh****@****com, J**");
	taken("{\"logon_id\":\"Zhang.San@Example.COM\",\"name\":\"x\"}", "alipay:account:" MAIL,
		  "account Zh****@****COM, **");
	taken("{\"logon_id\":\"a@b.cn\",\"name\":\"x\"}", "alipay:account:a@b.cn", "account ****@****n, **");
	taken("{\"logon_id\":\"0852-12345678\",\"name\":\"" ZHANG "\"}", "alipay:account:0852-12345678",
		  "account 085****5678, \xe5\xbc\xa0**");
	taken("{\"logon_id\":\"1-12345\",\"name\":\"x\"}", "alipay:account:1-12345", "account 1****45, **");
	taken("{\"logon_id\":\"zhangsanlaowu@example.com\",\"name\":\"x\"}", "alipay:account:zhangsanlaowu@example.com",
		  "account zha****@****com, **");
	taken("{\"logon_id\":\"AZ@bank.example.cn\",\"name\":\"x\"}", "alipay:account:az@bank.example.cn",
		  "account ****@****e.cn, **");
	taken("{\"logon_id\":\"00852-12345\",\"name\":\"x\"}", "alipay:account:00852-12345", "account 008****2345, **");
	taken("{\"logon_id\":\"1-123456789012345\",\"name\":\"x\"}", "alipay:account:1-123456789012345",
		  "account 1-12****2345, **");
	refused("{\"logon_id\":\"86-12345-\",\"name\":\"x\"}", "payee.logon_id", "12345");
	refused("{\"logon_id\":\"zhang@@example.com\",\"name\":\"x\"}", "payee.logon_id", "zhang");
	refused("{\"logon_id\":\"13800138000\"}", "payee.name is required with a logon_id", "13800138000");
	refused("{\"logon_id\":\"1380013800\",\"name\":\"x\"}", "payee.logon_id", "1380013800");
	refused("{\"logon_id\":\"138001380000\",\"name\":\"x\"}", "payee.logon_id", "138001380000");
	refused("{\"logon_id\":\"23800138000\",\"name\":\"x\"}", "payee.logon_id", "23800138000");
	refused("{\"logon_id\":\"+8613800138000\",\"name\":\"x\"}", "payee.logon_id", "8613800138000");
	refused("{\"logon_id\":\"138 0013 8000\",\"name\":\"x\"}", "payee.logon_id", "0013");
	refused("{\"logon_id\":\"123456-12345678\",\"name\":\"x\"}", "payee.logon_id", "123456");
	refused("{\"logon_id\":\"86-1234\",\"name\":\"x\"}", "payee.logon_id", "86-1234");
	refused("{\"logon_id\":\"86-1234567890123456\",\"name\":\"x\"}", "payee.logon_id", "1234567890123456");
	refused("{\"logon_id\":\"86-12345-6\",\"name\":\"x\"}", "payee.logon_id", "12345");
	refused("{\"logon_id\":\"-12345678\",\"name\":\"x\"}", "payee.logon_id", "12345678");
	refused("{\"logon_id\":\"zhang\",\"name\":\"x\"}", "payee.logon_id", "zhang");
	refused("{\"logon_id\":\"@example.com\",\"name\":\"x\"}", "payee.logon_id", "example");
	refused("{\"logon_id\":\"zhang@example\",\"name\":\"x\"}", "payee.logon_id", "zhang");
	refused("{\"logon_id\":\"zhang@.example\",\"name\":\"x\"}", "payee.logon_id", "zhang");
	refused("{\"logon_id\":\"zhang@example.\",\"name\":\"x\"}", "payee.logon_id", "zhang");
	refused("{\"logon_id\":\"zhang@a@example.com\",\"name\":\"x\"}", "payee.logon_id", "zhang");
	refused("{\"logon_id\":\"zhang san@example.com\",\"name\":\"x\"}", "payee.logon_id", "zhang");
	refused("{\"logon_id\":\"zh\xc3\xa4ng@example.com\",\"name\":\"x\"}", "payee.logon_id", "ng@");

	memset(mail, 'a', sizeof(mail));
	memcpy(mail + 52, "@example.com", 13);
	snprintf(json, sizeof(json), "{\"logon_id\":\"%s\",\"name\":\"x\"}", mail);
	ok(strlen(mail) == 64 && read_payee(json), "an address of 64 bytes");
	memset(mail, 'a', 53);
	memcpy(mail + 53, "@example.com", 13);
	snprintf(json, sizeof(json), "{\"logon_id\":\"%s\",\"name\":\"x\"}", mail);
	refused(json, "payee.logon_id", "example");
}

static void
test_open(void)
{
	char		json[512];
	char		id[130];

	taken("{\"open_id\":\"074a1CcTG1LelxKe4xQC0zgNdId0nxi95b5lsNpazWYoCo5\"}",
		  "alipay:openid:074a1CcTG1LelxKe4xQC0zgNdId0nxi95b5lsNpazWYoCo5", "openid 074a****oCo5");
	taken("{\"open_id\":\"_-aZ09\"}", "alipay:openid:_-aZ09", "openid _****09");
	taken("{\"open_id\":\"aaaabbbbccccdddd\"}", "alipay:openid:aaaabbbbccccdddd", "openid aaaa****dddd");
	taken("{\"open_id\":\"abcdefghijkl\"}", "alipay:openid:abcdefghijkl", "openid abc****ijkl");
	taken("{\"open_id\":\"a\"}", "alipay:openid:a", "openid ****");
	refused("{\"open_id\":\"a b\"}", "payee.open_id", "a b");
	refused("{\"open_id\":\"o\xc3\xa4\"}", "payee.open_id", "\xc3\xa4");
	memset(id, 'a', 129);
	id[129] = '\0';
	snprintf(json, sizeof(json), "{\"open_id\":\"%s\"}", id);
	refused(json, "payee.open_id", id);
	id[128] = '\0';
	snprintf(json, sizeof(json), "{\"open_id\":\"%s\"}", id);
	ok(read_payee(json) && strlen(payee.identity) == 128 + strlen("alipay:openid:"), "128 are not too many");
}

static void
test_card(void)
{
	taken(AKIT_TO_CARD, "alipay:card:" AKIT_CARD, "card ****7894, \xe5\xbc\xa0**");
	taken("{\"card_no\":\"6228480402564890018\",\"name\":\"" ZHANG "\",\"account_type\":\"personal\","
		  "\"inst_name\":\"\xe5\x86\x9c\xe8\xa1\x8c\"}", "alipay:card:6228480402564890018",
		  "card ****0018, \xe5\xbc\xa0**");
	taken("{\"card_no\":\"4222222222222\",\"name\":\"x\"}", "alipay:card:4222222222222", "card ****2222, **");
	refused("{\"card_no\":\"" AKIT_CARD "\"}", "payee.name is required with a card_no", AKIT_CARD);
	refused("{\"card_no\":\"6222021234567895\",\"name\":\"x\"}", "check digit", "6222021234567895");
	refused("{\"card_no\":\"6222021234567849\",\"name\":\"x\"}", "check digit", "6222021234567849");
	refused("{\"card_no\":\"2622021234567894\",\"name\":\"x\"}", "check digit", "2622021234567894");
	refused("{\"card_no\":\"6222 0212 3456 7894\",\"name\":\"x\"}", "payee.card_no must be", "0212");
	refused("{\"card_no\":\"622202123456789x\",\"name\":\"x\"}", "payee.card_no must be", "622202123456789");
	refused("{\"card_no\":\"000000000000\",\"name\":\"x\"}", "13 to 19 digits", "000000000000");
	refused("{\"card_no\":\"00000000000000000000\",\"name\":\"x\"}", "13 to 19 digits", "00000000");
	refused("{\"card_no\":6222021234567894,\"name\":\"x\"}", "payee.card_no must be a text", AKIT_CARD);
}

#define COMPANY(more) "{\"card_no\":\"123456\",\"name\":\"Shop\",\"account_type\":\"corporate\"" more "}"

static void
test_company(void)
{
	taken(COMPANY(",\"inst_name\":\"B\",\"bank_code\":\"308290003020\""), "alipay:card:123456",
		  "card ****56, S**");
	taken(COMPANY(",\"inst_name\":\"B\",\"inst_province\":\"P\",\"inst_city\":\"C\",\"inst_branch_name\":\"N\""),
		  "alipay:card:123456", "card ****56, S**");
	taken("{\"card_no\":\"12345678901234567890123456789012\",\"name\":\"S\",\"account_type\":\"corporate\","
		  "\"inst_name\":\"B\",\"bank_code\":\"12345678901234567890\"}",
		  "alipay:card:12345678901234567890123456789012", "card ****9012, **");
	refused(COMPANY(""), "payee.inst_name is required", "123456");
	refused(COMPANY(",\"bank_code\":\"308290003020\""), "payee.inst_name is required", "308290003020");
	refused(COMPANY(",\"inst_name\":\"B\""), "needs payee.bank_code", "123456");
	refused(COMPANY(",\"inst_name\":\"B\",\"inst_city\":\"C\",\"inst_branch_name\":\"N\""),
			"needs payee.bank_code", "123456");
	refused(COMPANY(",\"inst_name\":\"B\",\"inst_province\":\"P\",\"inst_branch_name\":\"N\""),
			"needs payee.bank_code", "123456");
	refused(COMPANY(",\"inst_name\":\"B\",\"inst_province\":\"P\",\"inst_city\":\"C\""),
			"needs payee.bank_code", "123456");
	refused("{\"card_no\":\"12345\",\"name\":\"S\",\"account_type\":\"corporate\",\"inst_name\":\"B\","
			"\"bank_code\":\"1\"}", "6 to 32 digits", "12345");
	refused("{\"card_no\":\"123456789012345678901234567890123\",\"name\":\"S\",\"account_type\":\"corporate\","
			"\"inst_name\":\"B\",\"bank_code\":\"1\"}", "6 to 32 digits", "1234567890");
	refused("{\"card_no\":\"12-3456\",\"name\":\"S\",\"account_type\":\"corporate\",\"inst_name\":\"B\","
			"\"bank_code\":\"1\"}", "6 to 32 digits", "12-3456");
	refused("{\"card_no\":\"123456\",\"account_type\":\"corporate\",\"inst_name\":\"B\",\"bank_code\":\"1\"}",
			"payee.name is required", "123456");
	refused(COMPANY(",\"inst_name\":\"B\",\"bank_code\":\"30829x\""), "payee.bank_code must be digits", "30829x");
	refused(COMPANY(",\"inst_name\":\"B\",\"bank_code\":\"123456789012345678901\""),
			"payee.bank_code must be digits", "1234567890");
	refused(COMPANY(",\"inst_name\":\"B\",\"bank_code\":308290003020"), "payee.bank_code", "308290003020");
	refused(COMPANY(",\"inst_name\":\"\",\"bank_code\":\"1\""), "payee.inst_name must be a text", NULL);
	refused("{\"card_no\":\"" AKIT_CARD "\",\"name\":\"x\",\"account_type\":\"Corporate\"}",
			"payee.account_type", "Corporate");
	refused("{\"card_no\":\"" AKIT_CARD "\",\"name\":\"x\",\"account_type\":2}", "payee.account_type", AKIT_CARD);
}

static void
test_members(void)
{
	char		json[512];
	char		text[200];

	refused("{}", "the payee has none of", NULL);
	refused("{\"name\":\"" ZHANG "\"}", "the payee has none of", ZHANG);
	refused("{\"user_id\":\"" AKIT_USER "\",\"card_no\":\"" AKIT_CARD "\",\"name\":\"x\"}",
			"more than one of", AKIT_CARD);
	refused("{\"user_id\":\"" AKIT_USER "\",\"open_id\":\"abc\"}", "more than one of", "abc");
	refused("{\"user_id\":\"" AKIT_USER "\",\"6222021234567894\":\"x\"}", "a member that Alipay does not take",
			AKIT_CARD);
	refused("{\"user_id\":\"" AKIT_USER "\",\"Name\":\"x\"}", "a member that Alipay does not take", "Name\"");
	refused("{\"user_id\":\"" AKIT_USER "\",\"bank_code\":\"1\"}", "payee.bank_code is for a card_no only", NULL);
	refused("{\"user_id\":\"" AKIT_USER "\",\"inst_name\":\"B\"}", "payee.inst_name is for a card_no only", NULL);
	refused("{\"open_id\":\"abc\",\"account_type\":\"personal\"}", "payee.account_type is for a card_no only", NULL);
	refused("[]", "not a JSON object", NULL);
	refused("", "not a JSON object", NULL);
	refused("\"" AKIT_CARD "\"", "not a JSON object", AKIT_CARD);
	refused("{\"user_id\":\"" AKIT_USER "\",\"user_id\":\"2088123412341235\"}", "names a member twice", AKIT_USER);
	refused("{\"user_id\":\"" AKIT_USER "\"}x", "not a JSON object", AKIT_USER);
	refused(NULL, "there is no payee", NULL);

	refused("{\"user_id\":\"" AKIT_USER "\",\"name\":\"\"}", "payee.name", NULL);
	refused("{\"user_id\":\"" AKIT_USER "\",\"name\":7}", "payee.name", NULL);
	refused("{\"user_id\":\"" AKIT_USER "\",\"name\":\"\\u0001b\"}", "payee.name", "\001");
	taken("{\"user_id\":\"" AKIT_USER "\",\"name\":\" b\"}", "alipay:user:" AKIT_USER, "user 2088****1234,  **");
	refused("{\"user_id\":\"" AKIT_USER "\",\"name\":\"a\\nb\"}", "payee.name", "a\nb");
	refused("{\"user_id\":\"" AKIT_USER "\",\"name\":\"a\\u007fb\"}", "payee.name", "\x7f");
	refused("{\"user_id\":\"" AKIT_USER "\",\"name\":\"\xf0\xa0\xae\xb7\"}", "payee.name", "\xf0\xa0");
	memset(text, 'n', 129);
	text[129] = '\0';
	snprintf(json, sizeof(json), "{\"user_id\":\"" AKIT_USER "\",\"name\":\"%s\"}", text);
	refused(json, "payee.name must be a text of 1 to 128 bytes", text);
	text[128] = '\0';
	snprintf(json, sizeof(json), "{\"user_id\":\"" AKIT_USER "\",\"name\":\"%s\"}", text);
	taken(json, "alipay:user:" AKIT_USER, "user 2088****1234, n**");
	memset(text, 'b', 129);
	text[129] = '\0';
	snprintf(json, sizeof(json), "{\"card_no\":\"" AKIT_CARD "\",\"name\":\"x\",\"inst_branch_name\":\"%s\"}", text);
	refused(json, "payee.inst_branch_name must be a text of 1 to 128 bytes", text);
	text[65] = '\0';
	snprintf(json, sizeof(json), "{\"card_no\":\"" AKIT_CARD "\",\"name\":\"x\",\"inst_city\":\"%s\"}", text);
	refused(json, "payee.inst_city must be a text of 1 to 64 bytes", text);
	snprintf(json, sizeof(json), "{\"card_no\":\"" AKIT_CARD "\",\"name\":\"x\",\"inst_province\":\"%s\"}", text);
	refused(json, "payee.inst_province must be a text of 1 to 64 bytes", text);
	snprintf(json, sizeof(json), "{\"card_no\":\"" AKIT_CARD "\",\"name\":\"x\",\"inst_name\":\"%s\"}", text);
	refused(json, "payee.inst_name must be a text of 1 to 64 bytes", text);
}

/* What goes into the request. */
static void
info(const char *json, const char *product, const char *wanted)
{
	AlipayPayee p;
	json_t	   *v;
	char	   *text;

	if (!ok(alipay_payee_parse(json, &p, &err), "read"))
		return;
	is_str(alipay_payee_product(&p), product, "its product");
	v = alipay_payee_info(&p);
	text = json_dumps(v, JSON_COMPACT);
	is_str(text, wanted, "its payee_info");
	free(text);
	json_decref(v);
	alipay_payee_free(&p);
}

static void
test_info(void)
{
	info(AKIT_TO_USER, "TRANS_ACCOUNT_NO_PWD",
		 "{\"identity\":\"" AKIT_USER "\",\"identity_type\":\"ALIPAY_USER_ID\"}");
	info("{\"logon_id\":\"Zhang@Example.com\",\"name\":\"" ZHANG "\"}", "TRANS_ACCOUNT_NO_PWD",
		 "{\"identity\":\"Zhang@Example.com\",\"identity_type\":\"ALIPAY_LOGON_ID\",\"name\":\"" ZHANG "\"}");
	info("{\"open_id\":\"abc\",\"name\":\"n\"}", "TRANS_ACCOUNT_NO_PWD",
		 "{\"identity\":\"abc\",\"identity_type\":\"ALIPAY_OPEN_ID\",\"name\":\"n\"}");
	info(AKIT_TO_CARD, "TRANS_BANKCARD_NO_PWD",
		 "{\"identity\":\"" AKIT_CARD "\",\"identity_type\":\"BANKCARD_ACCOUNT\",\"name\":\"" ZHANG "\","
		 "\"bankcard_ext_info\":{\"account_type\":\"2\"}}");
	info(COMPANY(",\"bank_code\":\"1\",\"inst_name\":\"B\",\"inst_province\":\"P\",\"inst_city\":\"C\","
				 "\"inst_branch_name\":\"N\""), "TRANS_BANKCARD_NO_PWD",
		 "{\"identity\":\"123456\",\"identity_type\":\"BANKCARD_ACCOUNT\",\"name\":\"Shop\","
		 "\"bankcard_ext_info\":{\"account_type\":\"1\",\"inst_name\":\"B\",\"inst_province\":\"P\","
		 "\"inst_city\":\"C\",\"inst_branch_name\":\"N\",\"bank_code\":\"1\"}}");
}

int
main(void)
{
	alipay = channel_lookup("alipay");
	test_user();
	test_logon();
	test_open();
	test_card();
	test_company();
	test_members();
	test_info();
	return unit_done();
}
