/*-------------------------------------------------------------------------
 *
 * test_alipay_request.c
 *	  What Alipay is sent: the frozen biz_content, the signed string as
 *	  documented, and what is refused before anything is sent.
 *
 * test/unit/test_alipay_request.c
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"
#include "alipaykit.h"
#include "channel/alipay.h"

static const Channel *alipay;
static Buf	frozen = BUF_INIT;
static ChannelError err;

static ChannelInstruction
instruction(void)
{
	ChannelInstruction i = {
		.wire_no = "R1", .amount = 10, .currency = "CNY", .payment_no = "20150320010101001",
		.payment_amount = 5000,
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

static const char *
freeze(void *config, const ChannelInstruction *i)
{
	if (!alipay->refund->freeze(config, i, &frozen, &err))
		return err.message;
	return buf_str(&frozen);
}

static bool
signed_by_app(const HttpRequest *r, const char *string)
{
	Buf			sig = BUF_INIT;
	const char *text = akit_value(strchr(buf_str(&r->url), '?') + 1, "sign");
	bool		good = text != NULL && base64_decode(&sig, text, strlen(text)) &&
		akit_verify(akit_app, string, strlen(string), &sig);

	buf_free(&sig);
	return good;
}

static void
test_text(void)
{
	static const struct
	{
		const char *text;
		int64_t		fen;		/* -1 = refused */
	}			amounts[] = {
		{"0", 0}, {"0.01", 1}, {"0.1", 10}, {"12.30", 1230}, {"88.88", 8888}, {"007.5", 750},
		{"999999999999999.99", INT64_C(99999999999999999)}, {"9999999999999999", -1},
		{"", -1}, {".5", -1}, {"1.", -1}, {"1.234", -1}, {"-1", -1}, {"+1", -1}, {" 1", -1},
		{"1 ", -1}, {"1e3", -1}, {"1,00", -1}, {"0x10", -1}, {"1.2.3", -1}, {"1.2x", -1}
	};
	char		text[32];
	int64_t		t;
	size_t		i;

	for (i = 0; i < sizeof(amounts) / sizeof(amounts[0]); i++)
	{
		int64_t		fen;
		bool		good = alipay_parse_amount(amounts[i].text, &fen);

		ok(good == (amounts[i].fen >= 0) && (!good || fen == amounts[i].fen), "amount \"%s\"",
		   amounts[i].text);
	}
	alipay_amount_text(1, text);
	is_str(text, "0.01", "a fen");
	alipay_amount_text(INT64_C(99999999999), text);
	is_str(text, "999999999.99", "a lot");
	alipay_amount_text(1230, text);
	is_str(text, "12.30", "two decimals always");

	alipay_time_text(0, text);
	is_str(text, "1970-01-01 08:00:00", "the epoch in Beijing");
	alipay_time_text(AKIT_NOW, text);
	is_str(text, "2026-09-21 22:13:20", "some day in Beijing");
	alipay_time_text(1709222400, text);
	is_str(text, "2024-03-01 00:00:00", "the day after a leap day");
	alipay_time_text(1709222399, text);
	is_str(text, "2024-02-29 23:59:59", "a leap day");
	alipay_time_text(4107542399, text);
	is_str(text, "2100-03-01 07:59:59", "no leap day in 2100");
	ok(alipay_parse_time("2026-09-21 22:13:20", &t) && t == AKIT_NOW * INT64_C(1000000), "and back");
	ok(alipay_parse_time("2026-09-21 22:13:20.123", &t) &&
	   t == AKIT_NOW * INT64_C(1000000) + 123000, "with a fraction");
	ok(!alipay_parse_time("2026-09-21T22:13:20", &t) && !alipay_parse_time("2026-09-21", &t) &&
	   !alipay_parse_time("", &t) && !alipay_parse_time("2026-13-21 22:13:20", &t) &&
	   !alipay_parse_time("2026-09-21 22:13:20+08:00", &t) && t == 0, "nothing else");
}

static void
test_freeze(void *config)
{
	ChannelInstruction i = instruction();
	Buf			once = BUF_INIT;

	is_str(freeze(config, &i), "{\"out_trade_no\":\"20150320010101001\",\"refund_amount\":\"0.10\","
		   "\"out_request_no\":\"R1\",\"query_options\":[\"refund_detail_item_list\",\"deposit_back_info\"]}",
		   "by out_trade_no");
	i.channel_payment_id = "2014112611001004680073956707";
	i.reason = "\xe4\xb8\xad\xe6\x96\x87/\"a\" & b";
	i.amount = 123456;
	is_str(freeze(config, &i), "{\"trade_no\":\"2014112611001004680073956707\",\"refund_amount\":\"1234.56\","
		   "\"out_request_no\":\"R1\",\"refund_reason\":\"\xe4\xb8\xad\xe6\x96\x87/\\\"a\\\" & b\","
		   "\"query_options\":[\"refund_detail_item_list\",\"deposit_back_info\"]}",
		   "by trade_no, alone, with a reason as it is");
	buf_adds(&once, buf_str(&frozen));
	freeze(config, &i);
	is_str(buf_str(&once), buf_str(&frozen), "the same twice");
	i.notify_url = "https://a.example/cb";
	lacks(freeze(config, &i), "notify_url", "a refund has no notify_url");
	i.reason = "\xff";
	has(freeze(config, &i), "could not be put together", "not UTF-8");
	buf_free(&once);
}

static void
test_payment_data(void *config)
{
	ChannelInstruction i = instruction();
	static const char *const bad[] = {
		"[]", "{", "{\"store_id\":1}", "{\"store_id\":\"\"}",
		"{\"store_id\":\"123456789012345678901234567890123\"}",
		"{\"refund_goods_detail\":{}}", "{\"refund_goods_detail\":[]}",
		"{\"refund_goods_detail\":[1]}", "{\"refund_goods_detail\":[{}]}",
		"{\"refund_goods_detail\":[{\"goods_id\":\"a\",\"refund_amount\":1}]}",
		"{\"refund_goods_detail\":[{\"goods_id\":\"a\",\"refund_amount\":\"0.11\"}]}",
		"{\"refund_goods_detail\":[{\"goods_id\":\"a\",\"refund_amount\":\"0.06\"},"
		"{\"goods_id\":\"b\",\"refund_amount\":\"0.05\"}]}",
		"{\"refund_goods_detail\":[{\"goods_id\":\"a\",\"price\":\"0.01\"}]}",
		"{\"refund_royalty_parameters\":[{\"trans_in\":\"2088\"}]}",
		"{\"refund_royalty_parameters\":[{\"amount\":\"0.11\"}]}",
		"{\"refund_royalty_parameters\":[{\"amount\":0.1}]}",
		"{\"refund_royalty_parameters\":[{\"amount\":\"0.01\",\"x\":\"y\"}]}",
		"{\"store_id\":\"\xf0\x9f\x98\x80\"}",
	};
	size_t		k;

	i.payment_data = "{\"mine\":{\"x\":[1,2]},\"store_id\":\"S1\",\"operator_id\":\"o\","
		"\"related_settle_confirm_no\":\"c\","
		"\"refund_goods_detail\":[{\"goods_id\":\"a\",\"refund_amount\":\"0.10\"}],"
		"\"refund_royalty_parameters\":[{\"royalty_type\":\"transfer\",\"trans_in\":\"2088\","
		"\"amount\":\"0.05\",\"desc\":\"d\"}]}";
	ok(alipay->refund->acceptable(&i, AKIT_NOW, &err), "channel_data about refunds");
	has(freeze(config, &i), "\"out_request_no\":\"R1\",\"store_id\":\"S1\",\"operator_id\":\"o\","
		"\"related_settle_confirm_no\":\"c\",\"refund_goods_detail\":[{\"goods_id\":\"a\","
		"\"refund_amount\":\"0.10\"}],\"refund_royalty_parameters\":[{\"royalty_type\":\"transfer\"",
		"goes into the request");
	lacks(buf_str(&frozen), "mine", "the application's own does not");
	for (k = 0; k < sizeof(bad) / sizeof(bad[0]); k++)
	{
		i.payment_data = bad[k];
		ok(!alipay->refund->acceptable(&i, AKIT_NOW, &err) && err.message[0] != '\0', "refused: %s", bad[k]);
		ok(!alipay->refund->freeze(config, &i, &frozen, &err), "and not frozen");
	}
}

static void
test_acceptable(void)
{
	ChannelInstruction i = instruction();
	char		text[400];

	ok(alipay->refund->acceptable(&i, AKIT_NOW, &err), "an ordinary refund");
	i.paid_at = 1;
	ok(alipay->refund->acceptable(&i, AKIT_NOW, &err), "however old: the contract says how long");
	i.parts_before = 1000;
	ok(alipay->refund->acceptable(&i, AKIT_NOW, &err), "however many parts");
	i.wire_no = "aZ09_-";
	ok(alipay->refund->acceptable(&i, AKIT_NOW, &err), "every kind of character");
	i.wire_no = "a*";
	ok(!alipay->refund->acceptable(&i, AKIT_NOW, &err), "no others");
	memset(text, 'a', 65);
	text[65] = '\0';
	i.wire_no = text;
	ok(!alipay->refund->acceptable(&i, AKIT_NOW, &err), "65 are too many");
	text[64] = '\0';
	ok(alipay->refund->acceptable(&i, AKIT_NOW, &err), "64 are not");
	i = instruction();
	i.currency = "USD";
	ok(!alipay->refund->acceptable(&i, AKIT_NOW, &err), "another currency");
	i = instruction();
	i.amount = 0;
	ok(!alipay->refund->acceptable(&i, AKIT_NOW, &err), "nothing");
	i.amount = 5001;
	ok(!alipay->refund->acceptable(&i, AKIT_NOW, &err), "more than was paid");
	i.amount = 5000;
	ok(alipay->refund->acceptable(&i, AKIT_NOW, &err), "all of it");
	i.payment_amount = i.amount = INT64_C(1000000000000000);
	ok(!alipay->refund->acceptable(&i, AKIT_NOW, &err), "more than price(16) holds");
	i = instruction();
	memset(text, 'a', 257);
	text[257] = '\0';
	i.reason = text;
	ok(!alipay->refund->acceptable(&i, AKIT_NOW, &err), "a reason of 257 bytes");
	text[256] = '\0';
	ok(alipay->refund->acceptable(&i, AKIT_NOW, &err), "of 256");
	i.reason = "\xf0\x9f\x98\x80";
	ok(!alipay->refund->acceptable(&i, AKIT_NOW, &err), "an emoji");
	i.reason = "\xff";
	ok(!alipay->refund->acceptable(&i, AKIT_NOW, &err), "not UTF-8");
	i = instruction();
	i.payment_no = "has a space";
	ok(!alipay->refund->acceptable(&i, AKIT_NOW, &err), "no order number");
	i.channel_payment_id = "2014112611001004680073956707";
	ok(alipay->refund->acceptable(&i, AKIT_NOW, &err), "unless Alipay's own number is there");
	i.channel_payment_id = "";
	ok(!alipay->refund->acceptable(&i, AKIT_NOW, &err), "an empty one is none");
}

static void
test_submit(void *config)
{
	ChannelInstruction i = instruction();
	ChannelMoment moment = {AKIT_NOW, "0123456789abcdef0123456789abcdef", false};
	HttpRequest r;
	HttpRequest again;
	char		string[2048];

	http_request_init(&r);
	http_request_init(&again);
	i.reason = "\xe4\xb8\xad\xe6\x96\x87/a b+c%";
	freeze(config, &i);
	ok(alipay->refund->build(config, CALL_SUBMIT, &i, &frozen, &moment, &r, &err), "built");
	is_str(r.method, "POST", "a POST");
	has(buf_str(&r.url), "https://openapi.alipay.com/gateway.do?app_id=" AKIT_APP
		"&charset=utf-8&method=alipay.trade.refund&sign_type=RSA2&timestamp=2026-09-21%2022%3A13%3A20"
		"&version=1.0&sign=", "common parameters in the query");
	ok(strspn(strstr(buf_str(&r.url), "&sign=") + 6, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			  "abcdefghijklmnopqrstuvwxyz%") == strlen(strstr(buf_str(&r.url), "&sign=") + 6),
	   "the signature is escaped");
	is_str(akit_value(buf_str(&r.body), "biz_content"), buf_str(&frozen), "the frozen bytes in the body");
	is_str(http_header_get(&r.headers, "Content-Type"),
		   "application/x-www-form-urlencoded;charset=utf-8", "a form");
	snprintf(string, sizeof(string), "app_id=" AKIT_APP "&biz_content=%s&charset=utf-8"
			 "&method=alipay.trade.refund&sign_type=RSA2&timestamp=2026-09-21 22:13:20&version=1.0",
			 buf_str(&frozen));
	ok(signed_by_app(&r, string), "signed is the documented string");
	ok(alipay->refund->build(config, CALL_SUBMIT, &i, &frozen, &moment, &again, &err), "again");
	is_str(buf_str(&again.url), buf_str(&r.url), "the same moment, the same request");

	/* the string that the documentation's SDK makes of these parameters */
	buf_reset(&frozen);
	buf_adds(&frozen, "{\"trade_no\":\"1\",\"refund_amount\":\"0.10\",\"out_request_no\":"
			 "\"\xe4\xb8\xad\xe6\x96\x87/a b\"}");
	moment.now = 1795368433;	/* 2026-11-23 01:27:13 */
	ok(alipay->refund->build(config, CALL_SUBMIT, &i, &frozen, &moment, &r, &err), "the vector's");
	ok(signed_by_app(&r, "app_id=2014072300007148&biz_content={\"trade_no\":\"1\",\"refund_amount\":"
					 "\"0.10\",\"out_request_no\":\"\xe4\xb8\xad\xe6\x96\x87/a b\"}&charset=utf-8"
					 "&method=alipay.trade.refund&sign_type=RSA2&timestamp=2026-11-23 01:27:13"
					 "&version=1.0"), "gives the vector's string");
	ok(!alipay->refund->build(config, CALL_SUBMIT, &i, NULL, &moment, &r, &err) &&
	   r.url.len == 0, "nothing frozen, nothing sent");
	moment.nonce = NULL;
	ok(!alipay->refund->build(config, CALL_SUBMIT, &i, &frozen, &moment, &r, &err), "no nonce");
	http_request_free(&r);
	http_request_free(&again);
}

static void
test_query(void *config)
{
	ChannelInstruction i = instruction();
	ChannelMoment moment = {AKIT_NOW, "0123456789abcdef0123456789abcdef", false};
	HttpRequest r;

	http_request_init(&r);
	ok(alipay->refund->build(config, CALL_QUERY, &i, NULL, &moment, &r, &err), "a query");
	has(buf_str(&r.url), "&method=alipay.trade.fastpay.refund.query&", "its method");
	is_str(akit_value(buf_str(&r.body), "biz_content"), "{\"out_trade_no\":\"20150320010101001\","
		   "\"out_request_no\":\"R1\",\"query_options\":[\"refund_detail_item_list\",\"gmt_refund_pay\","
		   "\"deposit_back_info\"]}", "by order number");
	i.channel_payment_id = "2014";
	alipay->refund->build(config, CALL_QUERY, &i, NULL, &moment, &r, &err);
	has(akit_value(buf_str(&r.body), "biz_content"), "{\"trade_no\":\"2014\",\"out_request_no\"",
		"by trade number");
	i.wire_no = "";
	ok(!alipay->refund->build(config, CALL_QUERY, &i, NULL, &moment, &r, &err), "about nothing");
	ok(alipay->refund->build(config, CALL_ECHO, NULL, NULL, &moment, &r, &err), "the self-test");
	has(buf_str(&r.url), "&method=alipay.trade.fastpay.refund.query&", "is a query");
	has(akit_value(buf_str(&r.body), "biz_content"),
		"\"out_trade_no\":\"refundx_echo_0123456789abcdef0123456789abcdef\"", "about nobody's order");
	http_request_free(&r);
}

static void
test_certificates(void)
{
	void	   *config = open_json(AKIT_CERT_CONFIG);
	ChannelInstruction i = instruction();
	ChannelMoment moment = {AKIT_NOW, "0123456789abcdef0123456789abcdef", false};
	HttpRequest r;
	char		sn[33],
				root[33],
				string[2048];

	http_request_init(&r);
	akit_sn("CN=" AKIT_CLASS ",C=CN", "42701552708448241360226107228231049510", sn);
	akit_sn("CN=" AKIT_ROOT ",C=CN", "1", root);
	freeze(config, &i);
	ok(alipay->refund->build(config, CALL_SUBMIT, &i, &frozen, &moment, &r, &err), "built");
	snprintf(string, sizeof(string), "alipay_root_cert_sn=%s&app_cert_sn=%s&app_id=" AKIT_APP
			 "&biz_content=%s&charset=utf-8&method=alipay.trade.refund&sign_type=RSA2"
			 "&timestamp=2026-09-21 22:13:20&version=1.0", root, sn, buf_str(&frozen));
	ok(signed_by_app(&r, string), "both SNs are signed");
	snprintf(string, sizeof(string), "?alipay_root_cert_sn=%s&app_cert_sn=%s&app_id", root, sn);
	has(buf_str(&r.url), string, "and sent");
	alipay->close(config);
	http_request_free(&r);
}

static void
test_sub_merchant(void)
{
	void	   *config = open_json("{\"app_id\":\"" AKIT_APP "\",\"private_key\":\"app.key\","
								   "\"alipay_public_key\":\"alipay.pub\",\"app_auth_token\":\"token\","
								   "\"auth_app_id\":\"" AKIT_SUB "\"}");
	ChannelInstruction i = instruction();
	ChannelMoment moment = {AKIT_NOW, "0123456789abcdef0123456789abcdef", false};
	HttpRequest r;
	char		string[2048];

	http_request_init(&r);
	freeze(config, &i);
	ok(alipay->refund->build(config, CALL_SUBMIT, &i, &frozen, &moment, &r, &err), "built");
	snprintf(string, sizeof(string), "app_auth_token=201510BBb507dc9f5efe41a0b98ae22f01519X62"
			 "&app_id=" AKIT_APP "&biz_content=%s&charset=utf-8&method=alipay.trade.refund"
			 "&sign_type=RSA2&timestamp=2026-09-21 22:13:20&version=1.0", buf_str(&frozen));
	ok(signed_by_app(&r, string), "the token is signed");
	lacks(buf_str(&r.url), "201510BB", "and not in the address, which ends in logs");
	is_str(akit_value(buf_str(&r.body), "app_auth_token"), "201510BBb507dc9f5efe41a0b98ae22f01519X62",
		   "but in the body");
	is_str(akit_value(buf_str(&r.body), "biz_content"), buf_str(&frozen), "beside the content");
	alipay->close(config);
	http_request_free(&r);
}

int
main(void)
{
	void	   *config;

	alipay = channel_lookup("alipay");
	akit_start();
	test_text();
	config = open_json(AKIT_CONFIG);
	test_freeze(config);
	test_payment_data(config);
	test_acceptable();
	test_submit(config);
	test_query(config);
	alipay->close(config);
	test_certificates();
	test_sub_merchant();
	buf_free(&frozen);
	akit_stop();
	return unit_done();
}
