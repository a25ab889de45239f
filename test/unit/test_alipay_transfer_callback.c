/*-------------------------------------------------------------------------
 *
 * test_alipay_transfer_callback.c
 *	  The message that a transfer has changed: what of it proves, what only
 *	  makes us ask, what is not ours, and that nothing of the payee is kept.
 *
 * The strings that are signed stand in these tests as literals, or are joined
 * here: the channel's own sorting is what is tested.
 *
 * test/unit/test_alipay_transfer_callback.c
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"
#include "alipaykit.h"
#include "channel/alipay.h"

#define ORDER	"20190801110070000006380000250621"
#define CONTENT(status, more) \
	"{\"out_biz_no\":\"W1\",\"product_code\":\"TRANS_BANKCARD_NO_PWD\",\"biz_scene\":\"DIRECT_TRANSFER\"," \
	"\"origin_interface\":\"alipay.fund.trans.uni.transfer\",\"order_id\":\"" ORDER "\"," \
	"\"status\":\"" status "\",\"action_type\":\"FINISH\",\"trans_amount\":\"23.00\"" more "}"

static const Channel *alipay;
static void *config;			/* certificates, pays withdrawals */
static void *keys_config;		/* public keys */
static Buf	report = BUF_INIT;
static ChannelEvidence e;

typedef struct Pair
{
	const char *name;
	const char *value;
} Pair;

static const Pair message[] = {
	{"app_id", AKIT_APP},
	{"biz_content", CONTENT("SUCCESS", ",\"pay_date\":\"2026-09-21 22:13:20\"")},
	{"charset", "UTF-8"},
	{"msg_method", "alipay.fund.trans.order.changed"},
	{"notify_id", "2026092100222221320000001"},
	{"sign_type", "RSA2"},
	{"utc_timestamp", "1790000000000"},
	{"version", "1.1"},
	{NULL, NULL}
};

static void
add_finding(void *arg, FindingLevel level, const char *item, const char *text)
{
	static const char *const levels[] = {"ok", "warning", "error"};

	(void) arg;
	buf_addf(&report, "%s %s: %s\n", levels[level], item, text);
}

static CallbackResult
receive(void *c, const Buf *form)
{
	HttpHeaders headers = {0};
	ChannelFindings trace = {add_finding, NULL};
	ChannelEvidence quiet;
	CallbackResult r;
	char	   *heap = malloc(form->len ? form->len : 1);

	/* no byte longer than the body, so that reading past it is seen */
	memcpy(heap, buf_str(form), form->len);
	buf_reset(&report);
	memset(&e, 0x55, sizeof(e));
	r = alipay->read_callback(c, &headers, heap, form->len, AKIT_NOW, &trace, &e);
	memset(&quiet, 0x55, sizeof(quiet));
	ok(alipay->read_callback(c, &headers, heap, form->len, AKIT_NOW + 90000, NULL, &quiet) == r &&
	   memcmp(&e, &quiet, sizeof(e)) == 0, "the same without a trace, a day later");
	free(heap);
	if (r != CALLBACK_EVIDENCE)
		ok(!e.proof && !e.authentic && e.wire_no[0] == '\0' && e.verdict == VERDICT_UNKNOWN &&
		   !e.has_amount, "no evidence in %s", callback_result_name(r));
	else
		ok(e.product == PRODUCT_TRANSFER && e.authentic, "evidence of a transfer");
	return r;
}

/* The message with one parameter changed (NULL: left out), signed with `key`. */
static CallbackResult
changed_by(void *c, EVP_PKEY *key, const char *name, const char *value)
{
	Buf			form = BUF_INIT;
	Buf			text = BUF_INIT;
	const Pair *p;
	CallbackResult r;

	for (p = message; p->name != NULL; p++)
	{
		const char *v = name != NULL && strcmp(p->name, name) == 0 ? value : p->value;

		if (v == NULL)
			continue;
		akit_param(&form, p->name, v);
		buf_addf(&text, "%s%s=%s", text.len > 0 ? "&" : "", p->name, v);
	}
	akit_form_sign(&form, key, buf_str(&text));
	r = receive(c, &form);
	buf_free(&form);
	buf_free(&text);
	return r;
}

static CallbackResult
changed(const char *name, const char *value)
{
	return changed_by(config, akit_alipay, name, value);
}

static CallbackResult
content(const char *biz_content)
{
	return changed("biz_content", biz_content);
}

static void
test_proof(void)
{
	ChannelReply reply;

	is_int(changed(NULL, NULL), CALLBACK_EVIDENCE, "a transfer's message");
	ok(e.verdict == VERDICT_SUCCEEDED && e.proof, "SUCCESS is proof");
	is_str(e.merchant, AKIT_APP, "of this app");
	is_str(e.wire_no, "W1", "about our number");
	is_str(e.channel_refund_id, ORDER, "with Alipay's own");
	ok(e.has_amount && e.amount == 2300, "of its own amount");
	is_str(e.code, "SUCCESS", "with the status");
	is_str(e.request_id, "2026092100222221320000001", "and the notify_id");
	is_int(e.occurred_at, AKIT_NOW * INT64_C(1000000), "when it was paid");
	ok(e.payment_no[0] == '\0' && e.channel_payment_id[0] == '\0' && e.detail[0] == '\0',
	   "of no payment, and nobody's name");
	has(buf_str(&report), "ok message: transfer W1: SUCCESS: proof", "as the trace says");
	alipay->acknowledge(CALLBACK_EVIDENCE, true, &reply);
	ok(reply.status == 200 && strcmp(reply.body, "success") == 0, "it is acknowledged when it is stored");
	alipay->acknowledge(CALLBACK_EVIDENCE, false, &reply);
	ok(reply.status == 503 && strcmp(reply.body, "fail") == 0, "and not before");

	is_int(content(CONTENT("REFUND", ",\"pay_date\":\"2026-09-20 22:13:20\",\"refund_date\":\"2026-09-21 22:13:20\"")),
		   CALLBACK_EVIDENCE, "a return");
	ok(e.verdict == VERDICT_RETURNED && e.proof && e.amount == 2300, "REFUND has come back");
	is_int(e.occurred_at, AKIT_NOW * INT64_C(1000000), "when it came back");
	is_int(content(CONTENT("DEALING", "")), CALLBACK_EVIDENCE, "on its way");
	ok(e.verdict == VERDICT_ACCEPTED && e.proof && e.occurred_at == 0, "DEALING is accepted");
	is_int(content(CONTENT("WAIT_PAY", "")), CALLBACK_EVIDENCE, "an order");
	ok(e.verdict == VERDICT_ACCEPTED && e.proof, "WAIT_PAY is accepted");
	is_int(content(CONTENT("CLOSED", "")), CALLBACK_EVIDENCE, "an end");
	ok(e.verdict == VERDICT_DEAD && e.proof, "CLOSED closes the number");
	is_int(content(CONTENT("FAIL", ",\"error_code\":\"PAYEE_CARD_INFO_ERROR\",\"fail_reason\":\"" AKIT_ZHANG
						   " 6222021234567894\",\"receiver_user_id\":\"" AKIT_USER "\",\"pay_date\":\"2026-09-21 22:13:20\"")),
		   CALLBACK_EVIDENCE, "a failure");
	ok(e.verdict == VERDICT_DEAD && e.proof && e.occurred_at == 0, "FAIL likewise");
	has(e.message, "(PAYEE_CARD_INFO_ERROR)", "with its code");
	lacks(e.message, AKIT_CARD, "and no word of Alipay's");
	lacks(buf_str(&report), AKIT_CARD, "nor in the trace");
	lacks(buf_str(&report), AKIT_ZHANG, "no name either");
	lacks(buf_str(&report), AKIT_USER, "nor account");
	is_int(changed("biz_content", CONTENT("SUCCESS", ",\"pay_date\":\"some day\"")), CALLBACK_EVIDENCE,
		   "a time that is none");
	ok(e.proof && e.occurred_at == 0, "is left out");
}

static void
test_hints(void)
{
	is_int(content(CONTENT("INIT", "")), CALLBACK_EVIDENCE, "a status that is not documented");
	ok(e.verdict == VERDICT_ASK && !e.proof, "makes us ask");
	has(buf_str(&report), "a hint", "and is said to be a hint");
	is_int(content(CONTENT("ORDER_NOT_EXIST", "")), CALLBACK_EVIDENCE, "a code for a status");
	ok(e.verdict == VERDICT_ASK && !e.proof, "likewise");
	is_int(content("{\"out_biz_no\":\"W\",\"product_code\":\"TRANS_ACCOUNT_NO_PWD\",\"status\":\"SUCCESS\","
				   "\"trans_amount\":\"0.10\"}"), CALLBACK_EVIDENCE, "a number of one character");
	ok(e.proof && e.amount == 10, "is one");
	is_int(content("{\"out_biz_no\":\"W1\",\"product_code\":\"TRANS_ACCOUNT_NO_PWD\",\"status\":\"SUCCESS\"}"),
		   CALLBACK_EVIDENCE, "without an amount");
	ok(e.verdict == VERDICT_ASK && !e.proof && !e.has_amount, "it makes us ask");
	is_int(changed("utc_timestamp", "1&version=1.1"), CALLBACK_EVIDENCE, "an ampersand in another parameter");
	ok(e.verdict == VERDICT_ASK && !e.proof, "makes us ask: the border may have been moved");
	is_int(content(CONTENT("SUCCESS", ",\"x\":\"a&b\"")), CALLBACK_EVIDENCE, "one within the content");
	ok(e.verdict == VERDICT_SUCCEEDED && e.proof, "does no harm");
	is_int(changed_by(keys_config, akit_alipay, NULL, NULL), CALLBACK_EVIDENCE, "for an app with public keys");
	ok(e.verdict == VERDICT_ASK && !e.proof, "which is never paid out of, it makes us ask");
	is_int(changed("app_id", "2014072300000000"), CALLBACK_EVIDENCE, "another app's");
	is_str(e.merchant, "2014072300000000", "is that app's");
	has(buf_str(&report), "warning merchant", "and is said");
}

static void
test_not_ours(void)
{
	ChannelReply reply;

	is_int(content("{\"out_biz_no\":\"W1\",\"product_code\":\"STD_RED_PACKET\",\"status\":\"SUCCESS\",\"trans_amount\":\"23.00\"}"),
		   CALLBACK_NOT_OURS, "a red packet's");
	is_int(content("{\"out_biz_no\":\"W1\",\"status\":\"SUCCESS\",\"trans_amount\":\"23.00\"}"),
		   CALLBACK_NOT_OURS, "no product");
	is_int(content("{\"out_biz_no\":\"W1\",\"product_code\":\"TRANS_ACCOUNT_NO_PWD\",\"status\":\"SUCCESS\","
				   "\"trans_amount\":\"23.00\",\"origin_interface\":\"alipay.fund.batch.create\"}"),
		   CALLBACK_NOT_OURS, "a batch's");
	alipay->acknowledge(CALLBACK_NOT_OURS, false, &reply);
	is_str(reply.body, "fail", "which is left to whoever made it");
	is_int(content("{\"out_biz_no\":\"W1\",\"product_code\":\"TRANS_ACCOUNT_NO_PWD\",\"status\":\"SUCCESS\","
				   "\"trans_amount\":\"23.00\",\"origin_interface\":\"\"}"),
		   CALLBACK_EVIDENCE, "an empty origin is none");
	ok(e.proof, "and proof");
	is_int(changed("msg_method", "alipay.fund.trans.other"), CALLBACK_NOT_OURS, "another message");
}

static void
test_bad(void)
{
	is_int(content(NULL), CALLBACK_BAD_BODY, "no content");
	is_int(content("rubbish"), CALLBACK_BAD_BODY, "no JSON");
	is_int(content("[]"), CALLBACK_BAD_BODY, "no object");
	is_int(content("{\"out_biz_no\":\"W1\",\"out_biz_no\":\"W2\",\"product_code\":\"TRANS_ACCOUNT_NO_PWD\","
				   "\"status\":\"SUCCESS\",\"trans_amount\":\"23.00\"}"), CALLBACK_BAD_BODY, "a number twice");
	is_int(content(CONTENT("", "")), CALLBACK_BAD_BODY, "an empty status");
	is_int(content(CONTENT("a b", "")), CALLBACK_BAD_BODY, "a status that is none");
	is_int(content("{\"out_biz_no\":\"W1\",\"product_code\":\"TRANS_ACCOUNT_NO_PWD\",\"trans_amount\":\"23.00\"}"),
		   CALLBACK_BAD_BODY, "no status");
	is_int(content("{\"product_code\":\"TRANS_ACCOUNT_NO_PWD\",\"status\":\"SUCCESS\",\"trans_amount\":\"23.00\"}"),
		   CALLBACK_BAD_BODY, "no number");
	is_int(content("{\"out_biz_no\":\"\",\"product_code\":\"TRANS_ACCOUNT_NO_PWD\",\"status\":\"SUCCESS\",\"trans_amount\":\"23.00\"}"),
		   CALLBACK_BAD_BODY, "an empty one");
	is_int(content("{\"out_biz_no\":\"W 1\",\"product_code\":\"TRANS_ACCOUNT_NO_PWD\",\"status\":\"SUCCESS\",\"trans_amount\":\"23.00\"}"),
		   CALLBACK_BAD_BODY, "one with a space");
	is_int(content("{\"out_biz_no\":\"W1\",\"product_code\":\"TRANS_ACCOUNT_NO_PWD\",\"status\":\"SUCCESS\",\"trans_amount\":23}"),
		   CALLBACK_BAD_BODY, "an amount that is no text");
	is_int(content("{\"out_biz_no\":\"W1\",\"product_code\":\"TRANS_ACCOUNT_NO_PWD\",\"status\":\"SUCCESS\",\"trans_amount\":\"-23\"}"),
		   CALLBACK_BAD_BODY, "a negative one");
	is_int(content("{\"out_biz_no\":\"W1\",\"product_code\":\"TRANS_ACCOUNT_NO_PWD\",\"status\":\"SUCCESS\",\"trans_amount\":\"1.00\","
				   "\"order_id\":\"12345678901234567890123456789012345678901234567890123456789012345\"}"),
		   CALLBACK_BAD_BODY, "an order_id that is too long");
	is_int(changed("app_id", NULL), CALLBACK_BAD_BODY, "nobody's");
	is_int(changed("notify_id", "a&b"), CALLBACK_BAD_BODY, "an id with an ampersand");
	is_int(changed_by(config, akit_app, NULL, NULL), CALLBACK_BAD_SIGNATURE, "signed by us");
	is_int(changed_by(config, akit_root, NULL, NULL), CALLBACK_BAD_SIGNATURE, "signed by a stranger");
}

/* Sent as it was signed, but for one parameter. */
static void
test_forged(void)
{
	Buf			form = BUF_INIT;
	Buf			text = BUF_INIT;
	const Pair *p;

	for (p = message; p->name != NULL; p++)
		buf_addf(&text, "%s%s=%s", text.len > 0 ? "&" : "", p->name, p->value);
	for (p = message; p->name != NULL; p++)
		akit_param(&form, p->name, strcmp(p->name, "biz_content") == 0 ? CONTENT("REFUND", "") : p->value);
	akit_form_sign(&form, akit_alipay, buf_str(&text));
	is_int(receive(config, &form), CALLBACK_BAD_SIGNATURE, "another content than was signed");
	buf_reset(&form);
	for (p = message; p->name != NULL; p++)
		akit_param(&form, p->name, p->value);
	is_int(receive(config, &form), CALLBACK_BAD_SIGNATURE, "unsigned");

	/* encrypted contents are not read */
	buf_reset(&form);
	buf_reset(&text);
	akit_param(&form, "app_id", AKIT_APP);
	akit_param(&form, "biz_content", "c2VjcmV0");
	akit_param(&form, "encrypt_type", "AES");
	akit_param(&form, "msg_method", "alipay.fund.trans.order.changed");
	akit_param(&form, "sign_type", "RSA2");
	akit_form_sign(&form, akit_alipay, "app_id=" AKIT_APP "&biz_content=c2VjcmV0&encrypt_type=AES"
				   "&msg_method=alipay.fund.trans.order.changed");
	is_int(receive(config, &form), CALLBACK_BAD_CIPHER, "an encrypted one");
	buf_free(&form);
	buf_free(&text);
}

/*
 * A message of another kind, some text of which is a stranger's: cut elsewhere,
 * it must not become a transfer's.
 */
static void
test_cut_elsewhere(void)
{
	static const char fake[] = "{\"out_biz_no\":\"W1\",\"product_code\":\"TRANS_ACCOUNT_NO_PWD\","
		"\"status\":\"SUCCESS\",\"trans_amount\":\"23.00\"}";
	Buf			form = BUF_INIT;
	Buf			text = BUF_INIT;
	CallbackResult r;

	/* a trade's: app_id, attach (say), notify_type; the stranger chose attach */
	buf_addf(&text, "app_id=" AKIT_APP "&attach=x&biz_content=%s&msg_method=alipay.fund.trans.order.changed"
			 "&notify_type=trade_status_sync", fake);
	akit_param(&form, "app_id", AKIT_APP "&attach=x");
	akit_param(&form, "biz_content", fake);
	akit_param(&form, "msg_method", "alipay.fund.trans.order.changed");
	akit_param(&form, "notify_type", "trade_status_sync");
	akit_param(&form, "sign_type", "RSA2");
	akit_form_sign(&form, akit_alipay, buf_str(&text));
	r = receive(config, &form);
	ok(r == CALLBACK_BAD_BODY, "the app's id takes nothing in");

	/* the rest of the message is swallowed by another value */
	buf_reset(&form);
	buf_reset(&text);
	buf_addf(&text, "app_id=" AKIT_APP "&biz_content=%s&charset=x&msg_method=alipay.fund.trans.order.changed"
			 "&version=1&msg_method=other&version=1.1", fake);
	akit_param(&form, "app_id", AKIT_APP);
	akit_param(&form, "biz_content", fake);
	akit_param(&form, "charset", "x");
	akit_param(&form, "msg_method", "alipay.fund.trans.order.changed");
	akit_param(&form, "version", "1&msg_method=other&version=1.1");
	akit_param(&form, "sign_type", "RSA2");
	akit_form_sign(&form, akit_alipay, buf_str(&text));
	r = receive(config, &form);
	ok(r == CALLBACK_EVIDENCE && e.verdict == VERDICT_ASK && !e.proof, "it makes us ask, no more");

	/* the stranger's text is the first of all */
	buf_reset(&form);
	buf_reset(&text);
	buf_addf(&text, "a=x&b&app_id=" AKIT_APP "&biz_content=%s&msg_method=alipay.fund.trans.order.changed", fake);
	akit_param(&form, "a", "x&b");
	akit_param(&form, "app_id", AKIT_APP);
	akit_param(&form, "biz_content", fake);
	akit_param(&form, "msg_method", "alipay.fund.trans.order.changed");
	akit_param(&form, "sign_type", "RSA2");
	akit_form_sign(&form, akit_alipay, buf_str(&text));
	r = receive(config, &form);
	ok(r == CALLBACK_EVIDENCE && e.verdict == VERDICT_ASK && !e.proof, "in front likewise");
	buf_free(&form);
	buf_free(&text);
}

static void
test_digest(void)
{
	ChannelEvidence first;

	changed(NULL, NULL);
	first = e;
	changed("utc_timestamp", "1790000360000");
	ok(memcmp(first.digest, e.digest, 32) == 0, "a second delivery is the same");
	changed("notify_id", "2026092100222221320000002");
	ok(memcmp(first.digest, e.digest, 32) != 0, "another message is not");
	content(CONTENT("REFUND", ""));
	ok(memcmp(first.digest, e.digest, 32) != 0, "nor another status");
	content("{\"out_biz_no\":\"W1\",\"product_code\":\"TRANS_BANKCARD_NO_PWD\",\"order_id\":\"" ORDER "\","
			"\"status\":\"SUCCESS\",\"trans_amount\":\"23.01\"}");
	ok(memcmp(first.digest, e.digest, 32) != 0, "nor another amount");
	content("{\"out_biz_no\":\"W2\",\"product_code\":\"TRANS_BANKCARD_NO_PWD\",\"order_id\":\"" ORDER "\","
			"\"status\":\"SUCCESS\",\"trans_amount\":\"23.00\"}");
	ok(memcmp(first.digest, e.digest, 32) != 0, "nor another number");
}

int
main(void)
{
	ChannelSource source = {AKIT_TRANSFERS(""), akit_read_key, NULL};
	ChannelSource keys_source = {AKIT_CONFIG, akit_read_key, NULL};
	ChannelError err;

	alipay = channel_lookup("alipay");
	akit_start();
	config = alipay->open(&source, &err);
	keys_config = alipay->open(&keys_source, &err);
	if (!ok(config != NULL && keys_config != NULL, "both open"))
		return unit_done();
	test_proof();
	test_hints();
	test_not_ours();
	test_bad();
	test_forged();
	test_cut_elsewhere();
	test_digest();
	alipay->close(config);
	alipay->close(keys_config);
	buf_free(&report);
	akit_stop();
	return unit_done();
}
