/*-------------------------------------------------------------------------
 *
 * test_wechat_request.c
 *	  What WeChat Pay would refuse anyway, the frozen body, and the signed
 *	  requests, verified with OpenSSL's own call.
 *
 * test/unit/test_wechat_request.c
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"
#include "wechatkit.h"

static const Channel *wechat;
static void *config;
static void *partner;
static ChannelError err;

static const ChannelInstruction plain = {
	.wire_no = "r|1*2@3", .amount = 999, .currency = "CNY", .payment_no = "20150806125346",
	.payment_amount = 1000, .paid_at = KIT_NOW - 86400,
};
static const ChannelMoment moment = {KIT_NOW, "593bec0c930bf1afeb40b4a08c8fb242", false};

static void
refuses(ChannelInstruction instr, const char *words, const char *name)
{
	ok(!wechat->refund->acceptable(&instr, KIT_NOW, &err), "not acceptable: %s", name);
	has(err.message, words, "the value is named");
	ok(err.hint[0] != '\0', "with a hint");
}

static ChannelInstruction
with_reason(const char *reason)
{
	ChannelInstruction i = plain;

	i.reason = reason;
	return i;
}

static void
test_acceptable(void)
{
	ChannelInstruction i = plain;
	char		reason[100];

	ok(wechat->refund->acceptable(&i, KIT_NOW, &err), "a plain refund");
	i.amount = 1000;
	i.parts_before = 49;
	i.paid_at = KIT_NOW - 365 * 86400;
	ok(wechat->refund->acceptable(&i, KIT_NOW, &err), "all of it, the 50th, on the last day");
	i.paid_at = KIT_NOW - 365 * 86400 - 1;
	refuses(i, "365 days old", "one second later");
	i.paid_at = 0;
	ok(wechat->refund->acceptable(&i, KIT_NOW, &err), "an unknown time of payment");
	i.parts_before = 50;
	refuses(i, "refund 51", "the 51st");
	i = plain;
	i.amount = 1001;
	refuses(i, "1001 is more than the 1000", "more than was paid");
	i.amount = 0;
	refuses(i, "refund of 0", "nothing");
	i.amount = -5;
	refuses(i, "refund of -5", "less than nothing");
	i = plain;
	i.currency = "USD";
	refuses(i, "USD", "another currency");
	i.currency = NULL;
	refuses(i, "currency", "none");
	i = plain;
	i.wire_no = "r#1";
	refuses(i, "\"r#1\"", "a character of the number");
	i.wire_no = "";
	refuses(i, "empty", "an empty number");
	i = plain;
	i.payment_no = "123456789012345678901234567890123";
	refuses(i, "123456789012345678901234567890123", "a payment number of 33");
	i.channel_payment_id = "1008450740201411110005820873";
	ok(wechat->refund->acceptable(&i, KIT_NOW, &err), "which does not matter beside WeChat's own");
	i = plain;
	i.payment_no = NULL;
	refuses(i, "no payment", "none at all");

	memset(reason, 'x', sizeof(reason));
	reason[80] = '\0';
	i = with_reason(reason);
	ok(wechat->refund->acceptable(&i, KIT_NOW, &err), "80 bytes of reason");
	reason[80] = 'x';
	reason[81] = '\0';
	refuses(with_reason(reason), "81 bytes", "81 bytes");
	i = with_reason("\xe5\x95\x86\xe5\x93\x81");
	ok(wechat->refund->acceptable(&i, KIT_NOW, &err), "Chinese");
	refuses(with_reason("sorry \xf0\x9f\x98\x80"), "emoji", "an emoji");
	ok(!wechat->refund->acceptable(&(ChannelInstruction) {
		.wire_no = "1", .amount = 1, .currency = "CNY", .payment_no = "1", .payment_amount = 1,
		.reason = "\xff"
	}, KIT_NOW, &err), "no UTF-8");
	i = plain;
	i.notify_url = "https://pay.example.com/v1/wx";
	ok(wechat->refund->acceptable(&i, KIT_NOW, &err), "a callback address");
	i.notify_url = "http://pay.example.com/v1/wx";
	refuses(i, "not https", "a plain one");
	i.notify_url = "https://pay.example.com/v1/wx?a=b";
	refuses(i, "query", "one with a query");
	i.notify_url = "https://pay.example.com/";
	refuses(i, "no path", "one without a path");
	i.notify_url = "pay.example.com/v1";
	refuses(i, "absolute", "a relative one");
}

static void
freezes(void *cfg, ChannelInstruction instr, const char *want, const char *name)
{
	Buf			b = BUF_INIT;

	buf_adds(&b, "old contents");
	ok(wechat->refund->freeze(cfg, &instr, &b, &err), "freezes: %s", name);
	is_str(buf_str(&b), want, name);
	buf_free(&b);
}

static void
not_frozen(ChannelInstruction instr, const char *words, const char *name)
{
	Buf			b = BUF_INIT;

	ok(!wechat->refund->freeze(config, &instr, &b, &err), "not frozen: %s", name);
	has(err.message, words, "in plain words");
	buf_free(&b);
}

static ChannelInstruction
with_data(const char *data)
{
	ChannelInstruction i = plain;

	i.payment_data = data;
	return i;
}

static void
test_freeze(void)
{
	ChannelInstruction i = plain;

	freezes(config, plain, "{\"out_trade_no\":\"20150806125346\",\"out_refund_no\":\"r|1*2@3\","
			"\"amount\":{\"refund\":999,\"total\":1000,\"currency\":\"CNY\"}}", "the least");
	i.channel_payment_id = "1008450740201411110005820873";
	i.reason = "\xe9\x80\x80\xe6\xac\xbe \"1\"";
	i.notify_url = "https://pay.example.com/v1/wx";
	freezes(partner, i, "{\"sub_mchid\":\"1900000109\","
			"\"transaction_id\":\"1008450740201411110005820873\",\"out_refund_no\":\"r|1*2@3\","
			"\"reason\":\"\xe9\x80\x80\xe6\xac\xbe \\\"1\\\"\","
			"\"notify_url\":\"https://pay.example.com/v1/wx\","
			"\"amount\":{\"refund\":999,\"total\":1000,\"currency\":\"CNY\"}}", "a partner's");
	freezes(config, with_data("{\"openid\":\"x\",\"note\":null,\"funds_account\":\"AVAILABLE\","
							  "\"amount_from\":[{\"account\":\"AVAILABLE\",\"amount\":444},"
							  "{\"account\":\"UNAVAILABLE\",\"amount\":555}],"
							  "\"goods_detail\":[{\"merchant_goods_id\":\"g\",\"unit_price\":1,"
							  "\"refund_amount\":1,\"refund_quantity\":1}]}"),
			"{\"out_trade_no\":\"20150806125346\",\"out_refund_no\":\"r|1*2@3\","
			"\"funds_account\":\"AVAILABLE\",\"goods_detail\":[{\"merchant_goods_id\":\"g\","
			"\"unit_price\":1,\"refund_amount\":1,\"refund_quantity\":1}],"
			"\"amount\":{\"refund\":999,\"total\":1000,\"currency\":\"CNY\","
			"\"from\":[{\"account\":\"AVAILABLE\",\"amount\":444},"
			"{\"account\":\"UNAVAILABLE\",\"amount\":555}]}}", "the payment's data");
	i = plain;
	i.amount = i.payment_amount = INT64_C(9007199254740993);
	freezes(config, i, "{\"out_trade_no\":\"20150806125346\",\"out_refund_no\":\"r|1*2@3\","
			"\"amount\":{\"refund\":9007199254740993,\"total\":9007199254740993,"
			"\"currency\":\"CNY\"}}", "amounts beyond a double");

	not_frozen(with_reason("\xf0\x9f\x98\x80"), "emoji", "an emoji");
	not_frozen(with_reason("\xff"), "put together", "no UTF-8");
	not_frozen(with_data("[]"), "not a JSON object", "data that is a list");
	not_frozen(with_data("{\"funds_account\":null}"), "funds_account", "a null");
	not_frozen(with_data("{\"funds_account\":\"BASIC\"}"), "funds_account", "another account");
	not_frozen(with_data("{\"amount_from\":[{\"account\":\"AVAILABLE\",\"amount\":998}]}"),
			   "add up to 998", "parts that do not add up");
	not_frozen(with_data("{\"amount_from\":[{\"account\":\"X\",\"amount\":999}]}"),
			   "amount_from[0]", "a part of no account");
	not_frozen(with_data("{\"goods_detail\":[]}"), "goods_detail", "no goods");
	not_frozen(with_data("{\"goods_detail\":[{\"unit_price\":1}]}"), "merchant_goods_id", "no id");
	not_frozen(with_data("{\"goods_detail\":[{\"merchant_goods_id\":\"g\",\"unit_price\":1.5,"
						 "\"refund_amount\":1,\"refund_quantity\":1}]}"), "unit_price", "a fraction");
	not_frozen(with_data("{\"goods_detail\":[{\"merchant_goods_id\":\"g\",\"unit_price\":1,"
						 "\"refund_amount\":1,\"refund_quantity\":1,\"goods_name\":null}]}"),
			   "goods_name", "a null inside");
	not_frozen(with_data("{\"goods_detail\":[{\"merchant_goods_id\":\"\xf0\x9f\x98\x80\","
						 "\"unit_price\":1,\"refund_amount\":1,\"refund_quantity\":1}]}"),
			   "emoji", "an emoji inside");
	not_frozen(with_data("{\"goods_detail\":[{\"merchant_goods_id\":\"\\ud83d\\ude00\","
						 "\"unit_price\":1,\"refund_amount\":1,\"refund_quantity\":1}]}"),
			   "emoji", "an escaped emoji inside");
	i = plain;
	i.notify_url = "http://pay.example.com/x";
	not_frozen(i, "not https", "a plain callback address");
}

/* Verify a request's Authorization the way WeChat does. */
static void
signature_is_good(const HttpRequest *r, const char *base, int64_t at, const char *name)
{
	const char *auth = http_header_get(&r->headers, "Authorization");
	const char *sig = auth ? strstr(auth, "signature=\"") : NULL;
	Buf			text = BUF_INIT;
	Buf			raw = BUF_INIT;
	char		part[128];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	buf_addf(&text, "%s\n%s\n%lld\n%s\n%s\n", r->method, buf_str(&r->url) + strlen(base),
			 (long long) at, moment.nonce, buf_str(&r->body));
	is_int(strncmp(auth ? auth : "", "WECHATPAY2-SHA256-RSA2048 mchid=\"1900000100\",", 45), 0,
		   "the scheme, one space, the merchant");
	snprintf(part, sizeof(part), "timestamp=\"%lld\"", (long long) at);
	has(auth, part, "the time");
	has(auth, "nonce_str=\"593bec0c930bf1afeb40b4a08c8fb242\"", "the nonce");
	has(auth, "serial_no=\"" KIT_MERCHANT_SERIAL "\"", "the merchant's serial, upper case");
	if (sig != NULL)
		sig += strlen("signature=\"");
	ok(sig != NULL && base64_decode(&raw, sig, strcspn(sig, "\"")) && raw.len == 256 &&
	   EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, kit_merchant) == 1 &&
	   EVP_DigestVerify(ctx, (unsigned char *) raw.data, raw.len,
						(unsigned char *) text.data, text.len) == 1,
	   "%s: the signature over five lines verifies", name);
	EVP_MD_CTX_free(ctx);
	buf_free(&text);
	buf_free(&raw);
}

static void
test_build(void)
{
	HttpRequest r;
	Buf			frozen = BUF_INIT;
	ChannelMoment later = moment;
	const char *base = "https://api.mch.weixin.qq.com";

	http_request_init(&r);
	wechat->refund->freeze(config, &plain, &frozen, &err);
	ok(wechat->refund->build(config, CALL_SUBMIT, &plain, &frozen, &moment, &r, &err), "a submit");
	is_str(r.method, "POST", "is a POST");
	is_str(buf_str(&r.url), "https://api.mch.weixin.qq.com/v3/refund/domestic/refunds", "to here");
	is_mem(r.body.data, r.body.len, frozen.data, frozen.len, "of exactly the frozen bytes");
	is_str(http_header_get(&r.headers, "Accept"), "application/json", "Accept");
	is_str(http_header_get(&r.headers, "Content-Type"), "application/json", "Content-Type");
	is_str(http_header_get(&r.headers, "Wechatpay-Serial"), KIT_PUB_KEY_ID, "Wechatpay-Serial");
	ok(http_header_get(&r.headers, "User-Agent") != NULL, "User-Agent");
	ok(r.connect_timeout_ms == 3000 && r.total_timeout_ms == 15000, "timeouts");
	signature_is_good(&r, base, KIT_NOW, "submit");

	later.now += 60;
	later.use_backup = true;
	ok(wechat->refund->build(config, CALL_SUBMIT, &plain, &frozen, &later, &r, &err), "again, elsewhere");
	has(buf_str(&r.url), "https://api2.mch.weixin.qq.com/v3/", "at the backup host");
	is_mem(r.body.data, r.body.len, frozen.data, frozen.len, "the same bytes");
	signature_is_good(&r, "https://api2.mch.weixin.qq.com", KIT_NOW + 60, "a fresh signature");

	ok(wechat->refund->build(config, CALL_QUERY, &plain, NULL, &moment, &r, &err), "a query");
	is_str(r.method, "GET", "is a GET");
	is_str(buf_str(&r.url), "https://api.mch.weixin.qq.com/v3/refund/domestic/refunds/"
		   "r%7C1%2A2%403", "whose number is escaped once");
	is_int(r.body.len, 0, "without a body");
	ok(http_header_get(&r.headers, "Content-Type") == NULL, "and without its type");
	signature_is_good(&r, base, KIT_NOW, "query");
	ok(wechat->refund->build(partner, CALL_QUERY, &plain, NULL, &moment, &r, &err), "a partner's query");
	has(buf_str(&r.url), "r%7C1%2A2%403?sub_mchid=1900000109", "names the sub-merchant");
	signature_is_good(&r, "http://127.0.0.1:8080", KIT_NOW, "path and query");
	ok(wechat->refund->build(partner, CALL_QUERY, &plain, NULL, &later, &r, &err) &&
	   strncmp(buf_str(&r.url), "http://127.0.0.1:8080/", 22) == 0,
	   "a sandbox never falls back to WeChat");

	ok(wechat->refund->build(config, CALL_ECHO, NULL, NULL, &moment, &r, &err), "the self-test");
	is_str(buf_str(&r.url), "https://api.mch.weixin.qq.com/v3/security/echo", "has its address");
	has(buf_str(&r.body), "\"echo_message\":\"", "and its body");
	signature_is_good(&r, base, KIT_NOW, "echo");

	ok(!wechat->refund->build(config, CALL_SUBMIT, &plain, NULL, &moment, &r, &err), "nothing frozen");
	has(err.message, "frozen", "is said");
	ok(!wechat->refund->build(config, CALL_QUERY, NULL, NULL, &moment, &r, &err), "nothing asked about");
	is_int(r.url.len, 0, "leaves an empty request");
	http_request_free(&r);
	buf_free(&frozen);
}

static void
test_limits(void)
{
	const ChannelLimits *l = &wechat->refund->limits;

	is_int(l->number_max, 64, "numbers");
	is_int(l->reason_max, 80, "reasons");
	is_int(l->max_parts, 50, "parts");
	is_int(l->max_age, 365 * 86400, "age");
	is_int(l->part_spacing, 60, "spacing");
	is_int(l->calls_per_second, 150, "calls");
	is_int(l->failing_per_second, 6, "failing calls");
	is_int(l->not_found_after, 60, "not found");
	is_int(l->poll_accepted[0], 60, "polling of accepted ones starts after a minute");
	is_int(l->poll_accepted[10], 10800, "and thins out to three hours");
	is_int(l->poll_accepted[11], 0, "which repeat");
	is_int(l->poll_unknown[0], 2, "unknown ones are asked about at once");
	is_int(l->poll_abnormal[3], 21600, "abnormal ones rarely");
}

int
main(void)
{
	ChannelSource source = {KIT_CONFIG, kit_read_key, NULL};
	ChannelSource partners = {
		"{\"mchid\":\"1900000100\",\"merchant_serial\":\"" KIT_MERCHANT_SERIAL "\","
		"\"private_key\":\"apiclient_key.pem\",\"apiv3_key\":\"apiv3_new.key\","
		"\"sub_mchid\":\"1900000109\",\"base_url\":\"http://127.0.0.1:8080/\","
		"\"wechat_keys\":{\"" KIT_CERT_SERIAL "\":\"platform.pem\"}}", kit_read_key, NULL};

	wechat = channel_lookup("wechat");
	kit_start();
	config = wechat->open(&source, &err);
	partner = wechat->open(&partners, &err);
	if (!ok(config != NULL && partner != NULL, "two configurations %s", err.message))
		return unit_done();
	test_acceptable();
	test_freeze();
	test_build();
	test_limits();
	wechat->close(config);
	wechat->close(partner);
	kit_stop();
	return unit_done();
}
