/*-------------------------------------------------------------------------
 *
 * test_wechat_callback.c
 *	  WeChat Pay's callbacks: good ones in every shape, duplicates, and every
 *	  way in which one can be bad.
 *
 * test/unit/test_wechat_callback.c
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"
#include "wechatkit.h"

#define PLAIN(status, more) \
	"{\"mchid\":\"1900000100\",\"transaction_id\":\"1008450740201411110005820873\"," \
	"\"out_trade_no\":\"20150806125346\",\"refund_id\":\"50200207182018070300011301001\"," \
	"\"out_refund_no\":\"7752501201407033233368018\",\"refund_status\":\"" status "\"," \
	"\"success_time\":\"2018-06-08T10:34:56+08:00\",\"user_received_account\":\"card 0403\"," \
	"\"amount\":{\"total\":999,\"refund\":999,\"payer_total\":999,\"payer_refund\":998}" more "}"
#define NONCE12		"fdasflkja484"

static const Channel *wechat;
static void *config;
static void *partner;
static ChannelEvidence e;
static HttpHeaders h;
static Buf	body = BUF_INIT;

/* ---- how a message is made: sealed, then signed, then perhaps damaged ---- */

static void
seal(const char *event, const char *key, const char *nonce, const char *aad, const char *plain)
{
	buf_reset(&body);
	kit_envelope(&body, event, key, nonce, aad, plain, strlen(plain));
}

static void
sign_at(int64_t at, const char *nonce)
{
	http_headers_free(&h);
	kit_headers(&h, kit_public_key_pair, KIT_PUB_KEY_ID, at, nonce, buf_str(&body), body.len);
}

static void
sign_body(const char *text)
{
	buf_reset(&body);
	buf_adds(&body, text);
	sign_at(KIT_NOW, "n");
}

static CallbackResult
receive_with(void *cfg)
{
	memset(&e, 0x55, sizeof(e));
	return wechat->read_callback(cfg, &h, buf_str(&body), body.len, KIT_NOW, NULL, &e);
}

static CallbackResult
receive(void)
{
	return receive_with(config);
}

static void
good_one(void)
{
	seal("REFUND.SUCCESS", KIT_APIV3_NEW, NONCE12, "refund", PLAIN("SUCCESS", ""));
	sign_at(KIT_NOW, "EcMPnFjSPfMMWHzC");
}

static void
set_header(const char *name, const char *value)
{
	int			i;

	for (i = 0; i < h.count; i++)
	{
		if (strcmp(h.item[i].name, name) != 0)
			continue;
		free(h.item[i].value);
		h.item[i].value = strdup(value);
		return;
	}
}

static void
drop_header(const char *name)
{
	int			i;

	for (i = 0; i < h.count; i++)
		if (strcmp(h.item[i].name, name) == 0)
			strcpy(h.item[i].name, "X");
}

static void
result_is(CallbackResult want, const char *name)
{
	CallbackResult got = receive();

	ok(got == want, "%s: %s", name, callback_result_name(want));
	if (got != want)
		printf("#   got %s\n", callback_result_name(got));
	if (want != CALLBACK_EVIDENCE)
		ok(e.verdict == VERDICT_UNKNOWN && !e.proof && e.wire_no[0] == '\0' && !e.has_amount,
		   "and leaves no evidence");
}

/* ---- good ones ---- */

static void
test_good(void)
{
	static const struct
	{
		const char *event;
		const char *plain;
		Verdict		verdict;
	}			cases[] = {
		{"REFUND.SUCCESS", PLAIN("SUCCESS", ""), VERDICT_SUCCEEDED},
		{"REFUND.ABNORMAL", PLAIN("ABNORMAL", ""), VERDICT_ABNORMAL},
		{"REFUND.CLOSED", PLAIN("CLOSED", ""), VERDICT_DEAD},
		{"REFUND.PROCESSING", PLAIN("PROCESSING", ""), VERDICT_ACCEPTED},
		{"REFUND.SUCCESS", PLAIN("SUCCESS", ",\"new\":[{\"a\":null}]"), VERDICT_SUCCEEDED},
	};
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		seal(cases[i].event, KIT_APIV3_NEW, NONCE12, "refund", cases[i].plain);
		sign_at(KIT_NOW, "n");
		result_is(CALLBACK_EVIDENCE, cases[i].event);
		ok(e.verdict == cases[i].verdict && e.proof && e.authentic, "proof of %s",
		   verdict_name(cases[i].verdict));
	}
	good_one();
	receive();
	is_str(e.merchant, "1900000100", "the merchant");
	is_str(e.wire_no, "7752501201407033233368018", "the number");
	is_str(e.payment_no, "20150806125346", "the payment");
	is_str(e.channel_payment_id, "1008450740201411110005820873", "WeChat's payment");
	is_str(e.channel_refund_id, "50200207182018070300011301001", "WeChat's refund");
	ok(e.has_amount && e.amount == 999 && e.has_payer_amount && e.payer_amount == 998, "amounts");
	is_str(e.currency, "", "which have no currency here");
	is_str(e.code, "SUCCESS", "the status");
	is_str(e.detail, "card 0403", "who received it");
	is_str(e.request_id, "EV-2018022511223320873", "the notification's id");
	is_int(e.occurred_at, INT64_C(1528425296000000), "the time");
	is_int(e.http_status, 0, "no HTTP status");

	seal("REFUND.SUCCESS", KIT_APIV3_NEW, NONCE12, "refund",
		 "{\"mchid\":\"1\",\"out_refund_no\":\"r\",\"refund_status\":\"SUCCESS\","
		 "\"user_received_account\":\"\xe5\x95\x86\xe6\x88\xb7\xe8\xb4\xa6\xe6\x88\xb7\","
		 "\"amount\":{\"total\":1,\"refund\":1}}");
	sign_at(KIT_NOW, "n");
	result_is(CALLBACK_EVIDENCE, "the least");
	ok(e.verdict == VERDICT_RETURNED && e.proof, "paid to the merchant's own account is returned");
	is_int(e.occurred_at, INT64_C(1789992000000000), "the envelope's time, where there is no other");
	ok(!e.has_payer_amount, "an amount that it does not give");

	seal("REFUND.FROZEN", KIT_APIV3_NEW, NONCE12, "refund", PLAIN("FROZEN", ""));
	sign_at(KIT_NOW, "n");
	result_is(CALLBACK_EVIDENCE, "a state that is not documented");
	ok(e.verdict == VERDICT_ASK && !e.proof, "is worth a question, and proves nothing");
}

static void
test_ciphers(void)
{
	static const char *const nonces[] = {"n", "123456789012", "1234567890123", "1234567890123456"};
	size_t		i;

	for (i = 0; i < 4; i++)
	{
		seal("REFUND.SUCCESS", KIT_APIV3_NEW, nonces[i], "refund", PLAIN("SUCCESS", ""));
		sign_at(KIT_NOW, "n");
		ok(receive() == CALLBACK_EVIDENCE, "a GCM nonce of %d bytes", (int) strlen(nonces[i]));
	}
	seal("REFUND.SUCCESS", KIT_APIV3_NEW, NONCE12, "", PLAIN("SUCCESS", ""));
	sign_at(KIT_NOW, "n");
	result_is(CALLBACK_EVIDENCE, "empty associated data");
	seal("REFUND.SUCCESS", KIT_APIV3_NEW, NONCE12, NULL, PLAIN("SUCCESS", ""));
	sign_at(KIT_NOW, "n");
	result_is(CALLBACK_EVIDENCE, "no associated data");
	seal("REFUND.SUCCESS", KIT_APIV3_OLD, NONCE12, "refund", PLAIN("SUCCESS", ""));
	sign_at(KIT_NOW, "n");
	result_is(CALLBACK_EVIDENCE, "the old APIv3 key");
	seal("REFUND.SUCCESS", "thirdthirdthirdthirdthirdthird00", NONCE12, "refund", PLAIN("SUCCESS", ""));
	sign_at(KIT_NOW, "n");
	result_is(CALLBACK_BAD_CIPHER, "an APIv3 key that we do not have");
}

static void
test_keys(void)
{
	seal("REFUND.SUCCESS", KIT_APIV3_NEW, NONCE12, "refund", PLAIN("SUCCESS", ""));
	http_headers_free(&h);
	kit_headers(&h, kit_certificate_pair, KIT_CERT_SERIAL, KIT_NOW, "n", buf_str(&body), body.len);
	result_is(CALLBACK_EVIDENCE, "signed with the certificate, beside the public key");
	set_header("Wechatpay-Serial", "5157f09efdc096de15ebe81a47057a7200000001");
	result_is(CALLBACK_EVIDENCE, "its serial in lower case");
	set_header("Wechatpay-Serial", KIT_PUB_KEY_ID);
	result_is(CALLBACK_BAD_SIGNATURE, "under the other key's serial");
	set_header("Wechatpay-Serial", "PUB_KEY_ID_1");
	result_is(CALLBACK_UNKNOWN_KEY, "an unknown serial");

	http_headers_free(&h);
	kit_headers(&h, kit_certificate_pair, KIT_CERT_SERIAL, KIT_NOW + 101 * 86400, "n",
				buf_str(&body), body.len);
	is_int(wechat->read_callback(config, &h, buf_str(&body), body.len, KIT_NOW + 101 * 86400, NULL, &e),
		   CALLBACK_UNKNOWN_KEY, "an expired certificate is as good as none");
}

/* ---- bad ones ---- */

static void
test_clock(void)
{
	static const struct
	{
		int			offset;
		CallbackResult want;
	}			edges[] = {
		{0, CALLBACK_EVIDENCE}, {299, CALLBACK_EVIDENCE}, {300, CALLBACK_EVIDENCE},
		{301, CALLBACK_BAD_TIME}, {-299, CALLBACK_EVIDENCE}, {-300, CALLBACK_EVIDENCE},
		{-301, CALLBACK_BAD_TIME}, {-KIT_NOW, CALLBACK_BAD_TIME},
	};
	size_t		i;

	good_one();
	for (i = 0; i < sizeof(edges) / sizeof(edges[0]); i++)
	{
		sign_at(KIT_NOW + edges[i].offset, "n");
		ok(receive() == edges[i].want, "signed %d s from now: %s", edges[i].offset,
		   callback_result_name(edges[i].want));
	}
}

static void
test_headers(void)
{
	static const char *const needed[] = {
		"Wechatpay-Timestamp", "Wechatpay-Nonce", "Wechatpay-Signature", "Wechatpay-Serial"};
	static const char *const times[] = {
		"", "-1", "+1790000000", " 1790000000", "1790000000 ", "1790000000.0", "0x6ab1", "now",
		"17900000000000000000000000"};
	Buf			long_value = BUF_INIT;
	size_t		i;

	for (i = 0; i < 4; i++)
	{
		good_one();
		drop_header(needed[i]);
		result_is(CALLBACK_BAD_HEADERS, needed[i]);
		good_one();
		set_header(needed[i], "");
		result_is(CALLBACK_BAD_HEADERS, "empty");
		good_one();
		http_header_add(&h, needed[i], http_header_get(&h, needed[i]));
		result_is(CALLBACK_BAD_HEADERS, "twice");
	}
	for (i = 0; i < sizeof(times) / sizeof(times[0]); i++)
	{
		good_one();
		set_header("Wechatpay-Timestamp", times[i]);
		result_is(CALLBACK_BAD_HEADERS, "a time that is none");
	}
	good_one();
	drop_header("Wechatpay-Signature-Type");
	result_is(CALLBACK_EVIDENCE, "without a signature type");
	set_header("X", "WECHATPAY2-SM2-WITH-SM3");
	good_one();
	set_header("Wechatpay-Signature-Type", "WECHATPAY2-SM2-WITH-SM3");
	result_is(CALLBACK_BAD_HEADERS, "of another signature type");
	good_one();
	h.overflow = true;
	result_is(CALLBACK_BAD_HEADERS, "with headers that did not fit");
	good_one();
	for (i = 0; i < 5000; i++)
		buf_addc(&long_value, 'A');
	set_header("Wechatpay-Signature", buf_str(&long_value));
	result_is(CALLBACK_BAD_HEADERS, "with a signature of 5000 characters");
	set_header("Wechatpay-Nonce", buf_str(&long_value));
	result_is(CALLBACK_BAD_HEADERS, "with a nonce of 5000 characters");
	buf_free(&long_value);

	/* the border between nonce and body must not be movable */
	seal("REFUND.SUCCESS", KIT_APIV3_NEW, NONCE12, "refund", PLAIN("SUCCESS", ""));
	{
		Buf			inner = BUF_INIT;

		buf_adds(&inner, "{}\n");
		buf_add(&inner, body.data, body.len);
		http_headers_free(&h);
		kit_headers(&h, kit_public_key_pair, KIT_PUB_KEY_ID, KIT_NOW, "n", inner.data, inner.len);
		set_header("Wechatpay-Nonce", "n\n{}");
		result_is(CALLBACK_BAD_HEADERS, "with a line of the body moved into the nonce");
		buf_free(&inner);
	}
}

static void
test_tampering(void)
{
	size_t		i,
				k;
	int			believed = 0;

	good_one();
	for (i = 0; i < body.len; i++)
	{
		body.data[i] ^= 0x01;
		believed += receive() != CALLBACK_BAD_SIGNATURE;
		body.data[i] ^= 0x01;
	}
	is_int(believed, 0, "no flipped byte of the body is believed");
	for (i = 0; i < (size_t) h.count; i++)
	{
		if (strncmp(h.item[i].name, "Wechatpay-", 10) != 0)
			continue;
		for (k = 0; h.item[i].value[k] != '\0'; k++)
		{
			h.item[i].value[k] ^= 0x01;
			believed += receive() == CALLBACK_EVIDENCE;
			h.item[i].value[k] ^= 0x01;
		}
	}
	is_int(believed, 0, "nor one of any header");
	body.len--;
	result_is(CALLBACK_BAD_SIGNATURE, "the last byte cut");
	body.len++;
	result_is(CALLBACK_EVIDENCE, "the original");
	buf_addc(&body, ' ');
	result_is(CALLBACK_BAD_SIGNATURE, "a space behind it");
}

static void
test_signature_probes(void)
{
	Buf			sig = BUF_INIT;
	Buf			longer = BUF_INIT;
	Buf			raw = BUF_INIT;

	/* the documentation's shape: 344 characters of valid base64 */
	good_one();
	buf_adds(&sig, "WECHATPAY/SIGNTEST/");
	buf_add(&sig, http_header_get(&h, "Wechatpay-Signature") + sig.len, 344 - sig.len);
	ok(base64_decode(&raw, buf_str(&sig), sig.len) && raw.len == 256, "a probe of 256 bytes");
	set_header("Wechatpay-Signature", buf_str(&sig));
	result_is(CALLBACK_SIGNATURE_TEST, "a probe that decodes");

	/* the shape in the wild: the prefix before a whole signature */
	good_one();
	buf_addf(&longer, "WECHATPAY/SIGNTEST/%s", http_header_get(&h, "Wechatpay-Signature"));
	is_int(longer.len, 363, "a probe of 363 characters");
	set_header("Wechatpay-Signature", buf_str(&longer));
	result_is(CALLBACK_SIGNATURE_TEST, "a probe that does not decode");
	good_one();
	result_is(CALLBACK_EVIDENCE, "the true one behind it");
	set_header("Wechatpay-Signature", "QUJD");
	result_is(CALLBACK_BAD_SIGNATURE, "a short signature");
	set_header("Wechatpay-Signature", "!!!!");
	result_is(CALLBACK_BAD_SIGNATURE, "no base64");
	buf_free(&sig);
	buf_free(&longer);
	buf_free(&raw);
}

static void
test_bodies(void)
{
	sign_body("");
	result_is(CALLBACK_BAD_BODY, "an empty body");
	sign_body("{\"event_type\":\"REFUND.SUCC");
	result_is(CALLBACK_BAD_BODY, "truncated JSON");
	sign_body("[]");
	result_is(CALLBACK_BAD_BODY, "a list");
	sign_body("{}");
	result_is(CALLBACK_BAD_BODY, "no event");
	sign_body("{\"event_type\":\"REFUND.SUCCESS\"}");
	result_is(CALLBACK_BAD_BODY, "no resource");
	sign_body("{\"event_type\":\"REFUND.SUCCESS\",\"event_type\":\"X\"}");
	result_is(CALLBACK_BAD_BODY, "a member twice");
	sign_body("{\"event_type\":\"REFUND.SUCCESS\",\"resource\":{\"algorithm\":\"AEAD_SM4_GCM\","
			  "\"ciphertext\":\"\",\"nonce\":\"n\"}}");
	result_is(CALLBACK_BAD_BODY, "another algorithm");
	sign_body("{\"event_type\":\"REFUND.SUCCESS\",\"resource\":{\"algorithm\":\"AEAD_AES_256_GCM\","
			  "\"ciphertext\":\"QUJD\",\"nonce\":\"\"}}");
	result_is(CALLBACK_BAD_BODY, "an empty nonce");
	sign_body("{\"event_type\":\"REFUND.SUCCESS\",\"resource\":{\"algorithm\":\"AEAD_AES_256_GCM\","
			  "\"ciphertext\":\"QUJD\",\"nonce\":\"n\",\"associated_data\":7}}");
	result_is(CALLBACK_BAD_BODY, "associated data that is no text");
	sign_body("{\"event_type\":\"REFUND.SUCCESS\",\"resource\":{\"algorithm\":\"AEAD_AES_256_GCM\","
			  "\"ciphertext\":\"QUJD\",\"nonce\":\"n\"}}");
	result_is(CALLBACK_BAD_CIPHER, "a ciphertext shorter than its tag");
	sign_body("{\"event_type\":\"REFUND.SUCCESS\",\"resource\":{\"algorithm\":\"AEAD_AES_256_GCM\","
			  "\"ciphertext\":\"bad base64\",\"nonce\":\"n\"}}");
	result_is(CALLBACK_BAD_CIPHER, "a ciphertext that is no base64");

	sign_body("<xml><return_code>SUCCESS</return_code></xml>");
	result_is(CALLBACK_OLD_PROTOCOL, "XML, signed");
	http_headers_free(&h);
	result_is(CALLBACK_OLD_PROTOCOL, "XML of v2, without headers");
	buf_reset(&body);
	buf_adds(&body, "\xef\xbb\xbf \r\n<xml/>");
	result_is(CALLBACK_OLD_PROTOCOL, "XML behind a byte order mark");
	buf_reset(&body);
	buf_adds(&body, "{}");
	result_is(CALLBACK_BAD_HEADERS, "JSON without headers");
	buf_reset(&body);
	result_is(CALLBACK_BAD_HEADERS, "nothing at all");
}

static void
plain_is_bad(const char *event, const char *plain, const char *name)
{
	seal(event, KIT_APIV3_NEW, NONCE12, "refund", plain);
	sign_at(KIT_NOW, "n");
	result_is(CALLBACK_BAD_BODY, name);
}

static void
test_plains(void)
{
	plain_is_bad("REFUND.SUCCESS", PLAIN("CLOSED", ""), "event and status disagree");
	plain_is_bad("REFUND.CLOSED", PLAIN("SUCCESS", ""), "the other way round");
	plain_is_bad("REFUND.SUCCESS", "", "an empty resource");
	plain_is_bad("REFUND.SUCCESS", "[]", "a list inside");
	plain_is_bad("REFUND.SUCCESS", "{\"status\":\"SUCCESS\"}", "an answer's field name");
	plain_is_bad("REFUND.SUCCESS", "{\"mchid\":\"1\",\"out_refund_no\":\"r\","
				 "\"refund_status\":\"SUCCESS\"}", "no amounts");
	plain_is_bad("REFUND.SUCCESS", "{\"mchid\":\"1\",\"out_refund_no\":\"r\","
				 "\"refund_status\":\"SUCCESS\",\"amount\":{\"total\":\"1\",\"refund\":1}}",
				 "an amount as a text");
	plain_is_bad("REFUND.SUCCESS", "{\"mchid\":\"1\",\"out_refund_no\":\"r\","
				 "\"refund_status\":\"SUCCESS\",\"amount\":{\"total\":1,\"refund\":-1}}",
				 "a negative amount");
	plain_is_bad("REFUND.SUCCESS", "{\"out_refund_no\":\"r\",\"refund_status\":\"SUCCESS\","
				 "\"amount\":{\"total\":1,\"refund\":1}}", "no merchant");
	plain_is_bad("REFUND.SUCCESS", "{\"mchid\":\"1\",\"refund_status\":\"SUCCESS\","
				 "\"amount\":{\"total\":1,\"refund\":1}}", "no number");
	plain_is_bad("REFUND.SUCCESS", "{\"mchid\":\"1\",\"refund_status\":\"SUCCESS\","
				 "\"out_refund_no\":\"12345678901234567890123456789012345678901234567890123456789012345\","
				 "\"amount\":{\"total\":1,\"refund\":1}}", "a number of 65 characters");
}

static void
test_others(void)
{
	sign_body("{\"id\":\"1\",\"event_type\":\"TRANSACTION.SUCCESS\",\"resource\":{}}");
	result_is(CALLBACK_NOT_OURS, "a payment");
	sign_body("{\"event_type\":\"MCHTRANSFER.AUTHORIZATION.CONFIRMED\"}");
	result_is(CALLBACK_NOT_OURS, "a transfer");
	sign_body("{\"event_type\":\"SECURITY_ECHO.SUCCESS\"}");
	result_is(CALLBACK_TEST, "a self-test");
	set_header("Wechatpay-Nonce", "other");
	result_is(CALLBACK_BAD_SIGNATURE, "a self-test that nobody signed");
}

static void
test_partners(void)
{
	const char *plain = "{\"sp_mchid\":\"1900000100\",\"sub_mchid\":\"1900000109\","
		"\"out_refund_no\":\"r\",\"refund_status\":\"SUCCESS\",\"amount\":{\"total\":1,\"refund\":1}}";

	seal("REFUND.SUCCESS", KIT_APIV3_NEW, NONCE12, "refund", plain);
	http_headers_free(&h);
	kit_headers(&h, kit_certificate_pair, KIT_CERT_SERIAL, KIT_NOW, "n", buf_str(&body), body.len);
	is_int(receive_with(partner), CALLBACK_EVIDENCE, "a partner's refund");
	is_str(e.merchant, "1900000100", "belongs to the one that calls");
	is_int(receive_with(config), CALLBACK_EVIDENCE, "and at an ordinary merchant's");
	is_str(e.merchant, "1900000100/1900000109", "is somebody else's");
	seal("REFUND.SUCCESS", KIT_APIV3_NEW, NONCE12, "refund", PLAIN("SUCCESS", ""));
	http_headers_free(&h);
	kit_headers(&h, kit_certificate_pair, KIT_CERT_SERIAL, KIT_NOW, "n", buf_str(&body), body.len);
	is_int(receive_with(partner), CALLBACK_EVIDENCE, "an ordinary one at a partner's");
	is_str(e.merchant, "1900000100/", "is not its own either");
}

static void
test_duplicates(void)
{
	unsigned char first[32];

	good_one();
	receive();
	memcpy(first, e.digest, 32);

	/* the same refund in another envelope, with another key, nonce and time */
	buf_reset(&body);
	seal("REFUND.SUCCESS", KIT_APIV3_OLD, "other nonce", NULL, PLAIN("SUCCESS", ",\"x\":1"));
	http_headers_free(&h);
	kit_headers(&h, kit_certificate_pair, KIT_CERT_SERIAL, KIT_NOW + 200, "m", buf_str(&body), body.len);
	result_is(CALLBACK_EVIDENCE, "the same message again");
	ok(memcmp(first, e.digest, 32) == 0, "has the same digest");

#define DIFFERS(from, to, name) \
	do { \
		char		text[1024]; \
		const char *at = strstr(PLAIN("SUCCESS", ""), from); \
		snprintf(text, sizeof(text), "%.*s%s%s", (int) (strlen(PLAIN("SUCCESS", "")) - strlen(at)), \
				 PLAIN("SUCCESS", ""), to, at + strlen(from)); \
		seal("REFUND.SUCCESS", KIT_APIV3_NEW, NONCE12, "refund", text); \
		sign_at(KIT_NOW, "n"); \
		result_is(CALLBACK_EVIDENCE, name); \
		ok(memcmp(first, e.digest, 32) != 0, "has another digest"); \
	} while (0)
	DIFFERS("1900000100", "1900000101", "another merchant");
	DIFFERS("7752501201407033233368018", "7752501201407033233368019", "another number");
	DIFFERS("50200207182018070300011301001", "50200207182018070300011301002", "another refund_id");
	DIFFERS("\"refund\":999", "\"refund\":998", "another amount");
	DIFFERS("\"total\":999", "\"total\":998", "another total");
	DIFFERS("\"payer_refund\":998", "\"payer_refund\":997", "another payer's amount");
	DIFFERS("10:34:56+08:00", "10:34:57+08:00", "another time");
	seal("REFUND.ABNORMAL", KIT_APIV3_NEW, NONCE12, "refund", PLAIN("ABNORMAL", ""));
	sign_at(KIT_NOW, "n");
	result_is(CALLBACK_EVIDENCE, "another state");
	ok(memcmp(first, e.digest, 32) != 0, "has another digest");
	seal("REFUND.SUCCESS", KIT_APIV3_NEW, NONCE12, "refund",
		 "{\"mchid\":\"1900000100\",\"transaction_id\":\"1008450740201411110005820873\","
		 "\"out_trade_no\":\"20150806125346\",\"refund_id\":\"50200207182018070300011301001\","
		 "\"out_refund_no\":\"7752501201407033233368018\",\"refund_status\":\"SUCCESS\","
		 "\"success_time\":\"2018-06-08T02:34:56.000Z\",\"user_received_account\":\"card 0403\","
		 "\"amount\":{\"payer_refund\":998,\"refund\":999,\"total\":999}}");
	sign_at(KIT_NOW, "n");
	result_is(CALLBACK_EVIDENCE, "the same written differently");
	ok(memcmp(first, e.digest, 32) == 0, "means the same");
}

static void
test_acknowledgements(void)
{
	static const struct
	{
		CallbackResult result;
		bool		stored;
		int			status;
	}			cases[] = {
		{CALLBACK_EVIDENCE, true, 204}, {CALLBACK_EVIDENCE, false, 503},
		{CALLBACK_NOT_OURS, true, 204}, {CALLBACK_NOT_OURS, false, 404},
		{CALLBACK_TEST, false, 204}, {CALLBACK_BAD_HEADERS, false, 401},
		{CALLBACK_BAD_TIME, false, 401}, {CALLBACK_UNKNOWN_KEY, false, 401},
		{CALLBACK_BAD_SIGNATURE, false, 401}, {CALLBACK_SIGNATURE_TEST, false, 401},
		{CALLBACK_BAD_BODY, false, 400}, {CALLBACK_BAD_CIPHER, false, 400},
		{CALLBACK_OLD_PROTOCOL, false, 400}, {(CallbackResult) 99, false, 400},
	};
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		ChannelReply reply;

		wechat->acknowledge(cases[i].result, cases[i].stored, &reply);
		ok(reply.status == cases[i].status, "%s, %sstored: %d",
		   callback_result_name(cases[i].result), cases[i].stored ? "" : "not ", cases[i].status);
		if (cases[i].status == 204)
			ok(reply.content_type == NULL && reply.body[0] == '\0', "without a body");
		else if (cases[i].result != (CallbackResult) 99)
			has(reply.body, "{\"code\":\"FAIL\",\"message\":\"", "with WeChat's way of saying no");
	}
}

int
main(void)
{
	ChannelSource source = {KIT_CONFIG, kit_read_key, NULL};
	ChannelSource partners = {
		"{\"mchid\":\"1900000100\",\"merchant_serial\":\"" KIT_MERCHANT_SERIAL "\","
		"\"private_key\":\"apiclient_key.pem\",\"apiv3_key\":\"apiv3_new.key\","
		"\"sub_mchid\":\"1900000109\","
		"\"wechat_keys\":{\"" KIT_CERT_SERIAL "\":\"platform.pem\"}}", kit_read_key, NULL};
	ChannelError err;

	wechat = channel_lookup("wechat");
	kit_start();
	config = wechat->open(&source, &err);
	partner = wechat->open(&partners, &err);
	if (!ok(config != NULL && partner != NULL, "two configurations"))
		return unit_done();
	test_good();
	test_ciphers();
	test_keys();
	test_clock();
	test_headers();
	test_tampering();
	test_signature_probes();
	test_bodies();
	test_plains();
	test_others();
	test_partners();
	test_duplicates();
	test_acknowledgements();
	wechat->close(config);
	wechat->close(partner);
	http_headers_free(&h);
	buf_free(&body);
	kit_stop();
	return unit_done();
}
