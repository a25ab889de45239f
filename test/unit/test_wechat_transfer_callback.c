/*-------------------------------------------------------------------------
 *
 * test_wechat_transfer_callback.c
 *	  Callbacks about transfers: the three ends, duplicates, what a message
 *	  must have, and that nothing of the payee gets out of it.
 *
 * What is decided before the resource is opened (signature, clock, keys) is
 * the same for all messages: test_wechat_callback.c has it.
 *
 * test/unit/test_wechat_transfer_callback.c
 *
 *-------------------------------------------------------------------------
 */
#include "channel/channel_util.h"
#include "unit.h"
#include "wechatkit.h"

#define EVENT		"MCHTRANSFER.BILL.FINISHED"
#define BILL_NO		"1330000071100999991182020050700019480001"
#define PLAIN(state, more) \
	"{\"out_bill_no\":\"plfk2020042013\",\"transfer_bill_no\":\"" BILL_NO "\"," \
	"\"state\":\"" state "\",\"mch_id\":\"1900000100\",\"transfer_amount\":2000," \
	"\"openid\":\"" KIT_OPENID "\",\"create_time\":\"2015-05-20T13:29:35+08:00\"," \
	"\"update_time\":\"2023-08-15T20:33:22+08:00\"" more "}"
#define NONCE13		"fdasflkja484w"

static const Channel *wechat;
static void *config;
static ChannelEvidence e;
static HttpHeaders h;
static Buf	body = BUF_INIT;
static Buf	trace = BUF_INIT;

static void
add_finding(void *arg, FindingLevel level, const char *item, const char *text)
{
	(void) arg;
	buf_addf(&trace, "%d %s: %s\n", (int) level, item, text);
}

/* Sealed and signed as WeChat does; what reading it traces is in `trace`. */
static CallbackResult
receive_as(const char *event, const char *original, const char *plain)
{
	ChannelFindings findings = {add_finding, NULL};
	CallbackResult result;

	buf_reset(&body);
	buf_reset(&trace);
	http_headers_free(&h);
	kit_envelope_of(&body, event, original, KIT_APIV3_NEW, NONCE13, "mch_payment", plain, strlen(plain));
	kit_headers(&h, kit_public_key_pair, KIT_PUB_KEY_ID, KIT_NOW, "n", buf_str(&body), body.len);
	memset(&e, 0x55, sizeof(e));
	result = wechat->read_callback(config, &h, buf_str(&body), body.len, KIT_NOW, &findings, &e);
	lacks(buf_str(&trace), KIT_OPENID, "the trace does not say who");
	return result;
}

static CallbackResult
receive(const char *plain)
{
	return receive_as(EVENT, "mch_payment", plain);
}

static void
evidence(const char *plain, Verdict verdict, bool proof, const char *name)
{
	ok(receive(plain) == CALLBACK_EVIDENCE, "evidence: %s", name);
	ok(e.verdict == verdict && e.proof == proof && e.authentic, "%s of %s", proof ? "proof" : "a hint",
	   verdict_name(verdict));
	is_int(e.product, PRODUCT_TRANSFER, "about a transfer");
}

static void
no_evidence(CallbackResult want, CallbackResult got, const char *name)
{
	ok(got == want, "%s: %s, %s", callback_result_name(want), name, callback_result_name(got));
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof && e.wire_no[0] == '\0' && !e.has_amount,
	   "and leaves no evidence");
}

static void
test_good(void)
{
	evidence(PLAIN("SUCCESS", ",\"payment_method_type\":\"CFT\",\"new\":[{\"a\":null}]"),
			 VERDICT_SUCCEEDED, true, "paid");
	is_str(e.merchant, "1900000100", "the merchant");
	is_str(e.wire_no, "plfk2020042013", "the number");
	is_str(e.channel_refund_id, BILL_NO, "WeChat's number");
	ok(e.has_amount && e.amount == 2000 && !e.has_payer_amount, "the amount");
	is_str(e.currency, "", "which has no currency here");
	is_str(e.code, "SUCCESS", "the state");
	is_str(e.detail, "CFT", "the wallet that it went to");
	is_str(e.message, "", "and no words");
	is_str(e.request_id, "EV-2018022511223320873", "the notification's id");
	is_int(e.occurred_at, INT64_C(1692102802000000), "when it came about");
	is_int(e.http_status, 0, "no HTTP status");
	ok(e.payment_no[0] == '\0' && e.channel_payment_id[0] == '\0' && e.handover[0] == '\0',
	   "nothing that it does not have");
	evidence(PLAIN("FAIL", ",\"fail_reason\":\"PAYEE_ACCOUNT_ABNORMAL\""), VERDICT_DEAD, true, "failed");
	is_str(e.code, "FAIL", "its state");
	is_str(e.detail, "PAYEE_ACCOUNT_ABNORMAL", "its reason");
	has(e.message, "complete his identity", "in words");
	evidence(PLAIN("FAIL", ",\"payment_method_type\":\"CFT\""), VERDICT_DEAD, true, "without a reason");
	is_str(e.detail, "", "a wallet that nothing went to is not named");
	evidence(PLAIN("CANCELLED", ""), VERDICT_CANCELED, true, "canceled");
	evidence(PLAIN("SUCCESS", ",\"payment_method_type\":\"" KIT_OPENID "\""), VERDICT_SUCCEEDED, true,
			 "a wallet that is none");
	is_str(e.detail, "", "is not shown");

	/* "finished", says the event; the state does not agree */
	evidence(PLAIN("WAIT_USER_CONFIRM", ",\"package_info\":\"x\""), VERDICT_ASK, false, "not finished");
	is_str(e.handover, "", "from which nothing is handed over");
	evidence(PLAIN("ACCEPTED", ""), VERDICT_ASK, false, "not even begun");
	evidence(PLAIN("SUCCEEDED", ""), VERDICT_ASK, false, "a state that is not documented");

	evidence("{\"out_bill_no\":\"1\",\"state\":\"SUCCESS\",\"mch_id\":\"2\",\"transfer_amount\":0}",
			 VERDICT_SUCCEEDED, true, "the least");
	is_str(e.merchant, "2", "another merchant's, which the settler will see");
	is_int(e.occurred_at, INT64_C(1789992000000000), "the envelope's time, where there is no other");
}

static void
test_bad(void)
{
	static const struct
	{
		const char *plain;
		const char *words;
	}			bad[] = {
		{"{}", "no state"},
		{"[]", ""},
		{"", ""},
		{"{\"out_bill_no\":\"1\",\"mch_id\":\"2\",\"transfer_amount\":1}", "no state"},
		{"{\"state\":\"SUCCESS\",\"mch_id\":\"2\",\"transfer_amount\":1}", "no out_bill_no"},
		{"{\"out_bill_no\":\"1\",\"state\":\"SUCCESS\",\"mch_id\":\"2\"}", "no amount"},
		{"{\"out_bill_no\":\"1\",\"state\":\"SUCCESS\",\"mch_id\":\"2\",\"transfer_amount\":1.5}", "no amount"},
		{"{\"out_bill_no\":\"1\",\"state\":\"SUCCESS\",\"mch_id\":\"2\",\"transfer_amount\":-1}", "no amount"},
		{"{\"out_bill_no\":\"1\",\"state\":\"SUCCESS\",\"transfer_amount\":1}", "no mch_id"},
		{"{\"out_bill_no\":\"1\",\"state\":\"SUCCESS\",\"mchid\":\"2\",\"transfer_amount\":1}", "no mch_id"},
		{"{\"out_bill_no\":\"1\",\"state\":\"SUCCESS\",\"mch_id\":2,\"transfer_amount\":1}", "no mch_id"},
		{"{\"out_bill_no\":\"1\",\"state\":\"SUCCESS\",\"mch_id\":\"2\",\"transfer_amount\":1,"
		"\"transfer_amount\":2}", ""},
		{"{\"out_bill_no\":\"12345678901234567890123456789012345678901234567890123456789012345\","
		"\"state\":\"SUCCESS\",\"mch_id\":\"2\",\"transfer_amount\":1}", "no out_bill_no"},
		{"{\"out_bill_no\":\"1\",\"state\":\"SUCCESS\",\"transfer_amount\":1,\"mch_id\":"
		"\"12345678901234567890123456789012345678901234567890123456789012345\"}", "no mch_id"},
	};
	size_t		i;

	for (i = 0; i < lengthof_array(bad); i++)
	{
		no_evidence(CALLBACK_BAD_BODY, receive(bad[i].plain), bad[i].plain);
		has(buf_str(&trace), bad[i].words, "the trace says what is missing");
		has(buf_str(&trace), "2 transfer: ", "of the transfer");
	}
	no_evidence(CALLBACK_BAD_BODY, receive_as(EVENT, "refund", PLAIN("SUCCESS", "")),
				"an envelope that says it is a refund");
	no_evidence(CALLBACK_BAD_BODY, receive_as("REFUND.SUCCESS", "mch_payment", PLAIN("SUCCESS", "")),
				"and the other way round");
	no_evidence(CALLBACK_BAD_BODY, receive_as("REFUND.SUCCESS", "refund", PLAIN("SUCCESS", "")),
				"a transfer in a refund's envelope");
	no_evidence(CALLBACK_BAD_BODY,
				receive("{\"mchid\":\"1900000100\",\"out_refund_no\":\"r\",\"refund_status\":\"SUCCESS\","
						"\"amount\":{\"total\":1,\"refund\":1}}"), "a refund in a transfer's envelope");
	no_evidence(CALLBACK_NOT_OURS, receive_as("MCHTRANSFER.AUTHORIZATION.CONFIRMED", "mch_payment",
											  PLAIN("SUCCESS", "")), "an authorization");
	no_evidence(CALLBACK_NOT_OURS, receive_as("MCHTRANSFER.BILL.FINISHED2", "mch_payment",
											  PLAIN("SUCCESS", "")), "an event of a similar name");
	no_evidence(CALLBACK_NOT_OURS, receive_as("MCHTRANSFER.BILL.", "mch_payment", PLAIN("SUCCESS", "")),
				"a part of its name");
}

/* ---- duplicates ---- */

static bool
digest_differs(const char *plain)
{
	unsigned char first[32];

	receive(PLAIN("FAIL", ",\"fail_reason\":\"OVERDUE_CLOSE\""));
	memcpy(first, e.digest, 32);
	ok(receive(plain) == CALLBACK_EVIDENCE, "another message");
	return memcmp(first, e.digest, 32) != 0;
}

static void
test_digests(void)
{
	ok(!digest_differs(PLAIN("FAIL", ",\"fail_reason\":\"OVERDUE_CLOSE\",\"more\":1")),
	   "the same news, told with more words");
	ok(digest_differs(PLAIN("FAIL", ",\"fail_reason\":\"TRANSFER_RISK\"")), "another reason");
	ok(digest_differs(PLAIN("CANCELLED", "")), "another end");
	ok(digest_differs("{\"out_bill_no\":\"plfk2020042014\",\"transfer_bill_no\":\"" BILL_NO "\","
					  "\"state\":\"FAIL\",\"mch_id\":\"1900000100\",\"transfer_amount\":2000,"
					  "\"fail_reason\":\"OVERDUE_CLOSE\","
					  "\"update_time\":\"2023-08-15T20:33:22+08:00\"}"), "another number");
	ok(digest_differs("{\"out_bill_no\":\"plfk2020042013\",\"transfer_bill_no\":\"2\","
					  "\"state\":\"FAIL\",\"mch_id\":\"1900000100\",\"transfer_amount\":2000,"
					  "\"fail_reason\":\"OVERDUE_CLOSE\","
					  "\"update_time\":\"2023-08-15T20:33:22+08:00\"}"), "another of WeChat's numbers");
	ok(digest_differs("{\"out_bill_no\":\"plfk2020042013\",\"transfer_bill_no\":\"" BILL_NO "\","
					  "\"state\":\"FAIL\",\"mch_id\":\"1900000101\",\"transfer_amount\":2000,"
					  "\"fail_reason\":\"OVERDUE_CLOSE\","
					  "\"update_time\":\"2023-08-15T20:33:22+08:00\"}"), "another merchant");
	ok(digest_differs("{\"out_bill_no\":\"plfk2020042013\",\"transfer_bill_no\":\"" BILL_NO "\","
					  "\"state\":\"FAIL\",\"mch_id\":\"1900000100\",\"transfer_amount\":2001,"
					  "\"fail_reason\":\"OVERDUE_CLOSE\","
					  "\"update_time\":\"2023-08-15T20:33:22+08:00\"}"), "another amount");
	ok(digest_differs("{\"out_bill_no\":\"plfk2020042013\",\"transfer_bill_no\":\"" BILL_NO "\","
					  "\"state\":\"FAIL\",\"mch_id\":\"1900000100\",\"transfer_amount\":2000,"
					  "\"fail_reason\":\"OVERDUE_CLOSE\","
					  "\"update_time\":\"2023-08-15T20:33:23+08:00\"}"), "another time");
}

int
main(void)
{
	ChannelSource source = {KIT_CONFIG, kit_read_key, NULL};
	ChannelError err;

	wechat = channel_lookup("wechat");
	kit_start();
	config = wechat->open(&source, &err);
	if (!ok(config != NULL, "a configuration"))
		return unit_done();
	test_good();
	test_bad();
	test_digests();
	http_headers_free(&h);
	buf_free(&body);
	buf_free(&trace);
	wechat->close(config);
	kit_stop();
	return unit_done();
}
