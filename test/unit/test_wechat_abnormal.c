/*-------------------------------------------------------------------------
 *
 * test_wechat_abnormal.c
 *	  An abnormal refund that goes elsewhere: what may be ordered, the frozen request
 *	  with card and name opened again by the holder of WeChat's key, the request, and
 *	  what the answers mean.
 *
 * test/unit/test_wechat_abnormal.c
 *
 *-------------------------------------------------------------------------
 */
#include "channel/channel_util.h"
#include "unit.h"
#include "wechatkit.h"

#define ZHANG_SAN	"\xe5\xbc\xa0\xe4\xb8\x89"
#define CARD		"6225880112345678"
#define TO_MERCHANT "{\"to\": \"merchant\"}"
#define TO_USER		"{\"to\": \"user\", \"bank_type\": \"CMB_DEBIT\", \"card\": \"" CARD "\", \"name\": \"" ZHANG_SAN "\"}"
#define URL			"https://api.mch.weixin.qq.com/v3/refund/domestic/refunds/50000000382019052709732678859/apply-abnormal-refund"

static const Channel *wechat;
static const ChannelProduct *refund;
static void *config;
static ChannelError err;

static const ChannelInstruction plain = {
	.wire_no = "R-1", .amount = 1000, .currency = "CNY", .payment_no = "P1", .payment_amount = 5000,
	.channel_refund_id = "50000000382019052709732678859",
};
static const ChannelMoment moment = {KIT_NOW, "593bec0c930bf1afeb40b4a08c8fb242", false};

/* What the holder of the key reads in a member. */
static void
opened(EVP_PKEY *pkey, const char *secret, char *out, size_t outsize)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
	Buf			raw = BUF_INIT;
	unsigned char text[512];
	size_t		len = sizeof(text);

	testkey_need(secret != NULL && base64_decode(&raw, secret, strlen(secret)), "base64");
	testkey_need(EVP_PKEY_decrypt_init(ctx) == 1 &&
				 EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
				 EVP_PKEY_decrypt(ctx, text, &len, (unsigned char *) raw.data, raw.len) == 1, "decrypt");
	snprintf(out, outsize, "%.*s", (int) len, (char *) text);
	EVP_PKEY_CTX_free(ctx);
	buf_free(&raw);
}

static void
refused(const char *order, const char *words, const char *name)
{
	char		masked[129];
	Buf			b = BUF_INIT;

	ok(!refund->divert_acceptable(order, masked, &err), "refused: %s", name);
	has(err.message, words, "in plain words");
	lacks(err.message, CARD, "which do not say the card");
	lacks(err.message, ZHANG_SAN, "nor the name");
	ok(!refund->divert_freeze(config, &plain, order, &b, &err), "nor is it frozen");
	is_int(b.len, 0, "and nothing is left");
	buf_free(&b);
}

static void
test_orders(void)
{
	char		masked[129];

	ok(refund->divert_acceptable(TO_MERCHANT, masked, &err), "to the merchant");
	is_str(masked, "the merchant's own account", "which people see");
	ok(refund->divert_acceptable(TO_USER, masked, &err), "to a card %s", err.message);
	is_str(masked, "CMB_DEBIT ****5678", "of which people see the end");
	refused("", "merchant or to the user", "no order");
	refused("{\"to\": \"me\"}", "merchant or to the user", "somebody else");
	refused("{\"to\": \"merchant\", \"card\": \"" CARD "\"}", "takes no", "a card for the merchant");
	refused("{\"to\": \"user\"}", "bank_type", "no card");
	refused("{\"to\": \"user\", \"bank_type\": \"CMB_CREDIT\", \"card\": \"" CARD "\", \"name\": \"" ZHANG_SAN "\"}",
			"bank_type", "a credit card");
	refused("{\"to\": \"user\", \"bank_type\": \"CMB_DEBIT\", \"card\": \"6225 8801 1234 5678\", \"name\": \"" ZHANG_SAN "\"}",
			"card", "blanks in the number");
	refused("{\"to\": \"user\", \"bank_type\": \"CMB_DEBIT\", \"card\": \"12345678901\", \"name\": \"" ZHANG_SAN "\"}",
			"card", "too few digits");
	refused("{\"to\": \"user\", \"bank_type\": \"CMB_DEBIT\", \"card\": \"" CARD "\", \"name\": \"\"}", "name", "no name");
	refused("{\"to\": \"user\", \"bank_type\": \"CMB_DEBIT\", \"card\": \"" CARD "\", \"name\": \"\\n\"}", "name", "no name either");
	ok(channel_product(channel_lookup("alipay"), PRODUCT_REFUND)->divert_freeze == NULL, "Alipay has no such call");
	ok(wechat->transfer->divert_freeze == NULL, "nor have transfers");
}

static void
test_request(void)
{
	ChannelInstruction unknown = plain;
	Buf			frozen = BUF_INIT;
	HttpRequest r;
	json_t	   *body;
	char		text[512];

	http_request_init(&r);
	ok(refund->divert_freeze(config, &plain, TO_MERCHANT, &frozen, &err), "frozen %s", err.message);
	is_str(buf_str(&frozen), "{\"out_refund_no\":\"R-1\",\"type\":\"MERCHANT_BANK_CARD\"}", "to the merchant");
	ok(refund->build(config, CALL_ABNORMAL, &plain, &frozen, &moment, &r, &err), "built %s", err.message);
	is_str(buf_str(&r.url), URL, "with WeChat's own number");
	is_str(r.method, "POST", "posted");
	is_str(buf_str(&r.body), buf_str(&frozen), "as it was frozen");
	is_str(http_header_get(&r.headers, "Wechatpay-Serial"), KIT_PUB_KEY_ID, "the key of the answer");

	ok(refund->divert_freeze(config, &plain, TO_USER, &frozen, &err), "frozen %s", err.message);
	lacks(buf_str(&frozen), CARD, "the card is not in it");
	lacks(buf_str(&frozen), ZHANG_SAN, "nor the name");
	ok(refund->build(config, CALL_ABNORMAL, &plain, &frozen, &moment, &r, &err), "built %s", err.message);
	is_str(http_header_get(&r.headers, "Wechatpay-Serial"), KIT_PUB_KEY_ID, "the key that was used");
	body = json_loadb(r.body.data, r.body.len, 0, NULL);
	is_str(json_text(body, "out_refund_no"), "R-1", "the number");
	is_str(json_text(body, "type"), "USER_BANK_CARD", "to a card");
	is_str(json_text(body, "bank_type"), "CMB_DEBIT", "of that bank");
	opened(kit_public_key_pair, json_text(body, "bank_account"), text, sizeof(text));
	is_str(text, CARD, "WeChat can read the card");
	opened(kit_public_key_pair, json_text(body, "real_name"), text, sizeof(text));
	is_str(text, ZHANG_SAN, "and the name");
	is_int(json_object_size(body), 5, "and there is nothing more");
	json_decref(body);

	unknown.channel_refund_id = NULL;
	ok(!refund->build(config, CALL_ABNORMAL, &unknown, &frozen, &moment, &r, &err), "not without WeChat's number");
	unknown.channel_refund_id = "5/../x?y";
	ok(refund->build(config, CALL_ABNORMAL, &unknown, &frozen, &moment, &r, &err), "a hostile one");
	has(buf_str(&r.url), "/refunds/5%2F..%2Fx%3Fy/apply", "is escaped");
	buf_reset(&frozen);
	ok(!refund->build(config, CALL_ABNORMAL, &plain, &frozen, &moment, &r, &err), "not without its request");
	http_request_free(&r);
	buf_free(&frozen);
}

/* An answer with this status and body, signed if it is a 200. */
static void
means(int status, const char *text, Verdict verdict, bool proof, const char *name)
{
	HttpAnswer	answer;
	ChannelEvidence e;

	memset(&answer, 0, sizeof(answer));
	answer.outcome = HTTP_ANSWERED;
	answer.status = status;
	buf_adds(&answer.body, text);
	if (status == 200)
		kit_headers(&answer.headers, kit_public_key_pair, KIT_PUB_KEY_ID, KIT_NOW, "nonce", text, strlen(text));
	else
		http_header_add(&answer.headers, "Content-Type", "application/json");
	refund->read_answer(config, CALL_ABNORMAL, &plain, &answer, KIT_NOW, &e);
	is_str(verdict_name(e.verdict), verdict_name(verdict), name);
	is_int(e.proof, proof, proof ? "which is proof" : "which is none");
	http_answer_free(&answer);
}

#define REFUND(status, account) \
	"{\"refund_id\":\"50000000382019052709732678859\",\"out_refund_no\":\"R-1\",\"out_trade_no\":\"P1\"," \
	"\"user_received_account\":\"" account "\",\"status\":\"" status "\"," \
	"\"amount\":{\"total\":5000,\"refund\":1000,\"currency\":\"CNY\"}}"

static void
test_answers(void)
{
	means(200, REFUND("PROCESSING", "x"), VERDICT_ACCEPTED, true, "taken on");
	means(200, REFUND("SUCCESS", "x"), VERDICT_SUCCEEDED, true, "paid to the card");
	means(200, REFUND("SUCCESS", "\345\225\206\346\210\267\345\237\272\346\234\254\350\264\246\346\210\267"),
		  VERDICT_RETURNED, true, "paid to the merchant");
	means(200, REFUND("ABNORMAL", "x"), VERDICT_ABNORMAL, true, "not there either");
	means(400, "{\"code\":\"PARAM_ERROR\"}", VERDICT_REFUSED, false, "the card is wrong");
	means(400, "{\"code\":\"INVALID_REQUEST\"}", VERDICT_REFUSED, false, "not abnormal any more");
	means(404, "{\"code\":\"RESOURCE_NOT_EXISTS\"}", VERDICT_REFUSED, false, "unknown there");
	means(401, "{\"code\":\"SIGN_ERROR\"}", VERDICT_CONFIG, false, "our keys");
	means(429, "{\"code\":\"FREQUENCY_LIMITED\"}", VERDICT_UNKNOWN, false, "throttled");
	means(500, "{\"code\":\"SYSTEM_ERROR\"}", VERDICT_UNKNOWN, false, "nobody knows");
	means(418, "{\"code\":\"TEAPOT\"}", VERDICT_UNKNOWN, false, "what nobody has listed");
}

int
main(void)
{
	ChannelSource source = {KIT_CONFIG, kit_read_key, NULL};

	wechat = channel_lookup("wechat");
	refund = wechat->refund;
	kit_start();
	config = wechat->open(&source, &err);
	if (!ok(config != NULL, "a configuration %s", err.message))
		return unit_done();
	test_orders();
	test_request();
	test_answers();
	wechat->close(config);
	kit_stop();
	return unit_done();
}
