/*-------------------------------------------------------------------------
 *
 * test_wechat_answer.c
 *	  What WeChat's answers mean: every row of the verdict table, and
 *	  everything that must not be believed.
 *
 * test/unit/test_wechat_answer.c
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"
#include "wechatkit.h"

#define REFUND_BODY(status, account) \
	"{\"refund_id\":\"50000000382019052709732678859\",\"out_refund_no\":\"1217752501201407033233368018\"," \
	"\"transaction_id\":\"1217752501201407033233368018\",\"out_trade_no\":\"1217752501201407033233368018\"," \
	"\"channel\":\"ORIGINAL\",\"user_received_account\":\"" account "\"," \
	"\"success_time\":\"2020-12-01T16:18:12+08:00\",\"create_time\":\"2020-12-01T16:18:12+08:00\"," \
	"\"status\":\"" status "\",\"funds_account\":\"UNSETTLED\"," \
	"\"amount\":{\"total\":100,\"refund\":99,\"payer_total\":90,\"payer_refund\":89," \
	"\"settlement_refund\":99,\"settlement_total\":100,\"discount_refund\":10,\"currency\":\"CNY\"}," \
	"\"a_new_member\":{\"x\":[1,2,null]}}"
#define CARD		"\xe6\x8b\x9b\xe5\x95\x86\xe9\x93\xb6\xe8\xa1\x8c\xe4\xbf\xa1\xe7\x94\xa8\xe5\x8d\xa1" "0403"
#define MERCHANT	"\xe5\x95\x86\xe6\x88\xb7\xe5\x9f\xba\xe6\x9c\xac\xe8\xb4\xa6\xe6\x88\xb7"

static const Channel *wechat;
static void *config;
static const ChannelInstruction instr = {
	.wire_no = "1217752501201407033233368018", .amount = 99, .currency = "CNY",
	.payment_no = "1217752501201407033233368018", .payment_amount = 100,
};

/* Sign what the answer holds by now; the caller may then damage it. */
static void
make_answer(HttpAnswer *a, int status, const char *body, bool is_signed)
{
	http_answer_init(a);
	a->outcome = HTTP_ANSWERED;
	a->status = status;
	buf_adds(&a->body, body);
	if (is_signed)
		kit_headers(&a->headers, kit_public_key_pair, KIT_PUB_KEY_ID, KIT_NOW, "nonce", body,
					strlen(body));
	else
		http_header_add(&a->headers, "Content-Type", "application/json; charset=utf-8");
	http_header_add(&a->headers, "Request-ID", "08F78BB3A5-268443699");
}

static ChannelEvidence
read_with(ChannelCall call, const ChannelInstruction *i, HttpAnswer *a)
{
	ChannelEvidence e;

	memset(&e, 0x55, sizeof(e));
	wechat->refund->read_answer(config, call, i, a, KIT_NOW, &e);
	http_answer_free(a);
	return e;
}

static ChannelEvidence
read_simple(ChannelCall call, int status, const char *body, bool is_signed)
{
	HttpAnswer	a;

	make_answer(&a, status, body, is_signed);
	return read_with(call, &instr, &a);
}

/* Every row of the table, through the reader and not past it. */
static void
test_every_row(void)
{
	int			i;

	for (i = 0; i < wechat->refund->verdict_count; i++)
	{
		const VerdictRule *rule = &wechat->refund->verdicts[i];
		int			status = rule->http_status ? rule->http_status : 403;
		bool		returned = rule->code && strstr(rule->code, "/merchant") != NULL;
		char		body[2048];
		ChannelEvidence e;

		if (status == 200 && rule->call != CALL_ECHO)
			/* the account stands before the status */
			snprintf(body, sizeof(body), REFUND_BODY("%s", "%s"),
					 returned ? MERCHANT : CARD, returned ? "SUCCESS" : rule->code);
		else if (rule->code != NULL)
			snprintf(body, sizeof(body), "{\"code\":\"%s\",\"message\":\"m\"}", rule->code);
		else
			snprintf(body, sizeof(body), "{}");
		e = read_simple(rule->call, status, body, status < 300);
		ok(e.verdict == rule->verdict, "row %d: %s %d %s is %s", i,
		   channel_call_name(rule->call), rule->http_status,
		   rule->code ? rule->code : "(any)", verdict_name(rule->verdict));
		ok(e.proof == rule->signed_only, "and proof only if it is signed");
		is_int(e.http_status, status, "its status");
		ok(rule->comment[0] != '\0' && rule->source[0] != '\0', "with a comment and a source");
		ok(channel_judge(wechat->refund, rule->call, rule->http_status, rule->code) == rule,
		   "and no row before it hides it");
	}
}

static void
test_success(void)
{
	ChannelEvidence e = read_simple(CALL_QUERY, 200, REFUND_BODY("SUCCESS", CARD), true);

	is_int(e.verdict, VERDICT_SUCCEEDED, "a success");
	ok(e.proof && e.authentic, "is proof");
	is_str(e.merchant, "1900000100", "the merchant");
	is_str(e.wire_no, instr.wire_no, "the number");
	is_str(e.channel_refund_id, "50000000382019052709732678859", "WeChat's number");
	is_str(e.channel_payment_id, "1217752501201407033233368018", "the payment's");
	ok(e.has_amount && e.amount == 99 && e.has_payer_amount && e.payer_amount == 89, "amounts");
	is_str(e.currency, "CNY", "the currency");
	is_str(e.code, "SUCCESS", "the status");
	is_str(e.detail, CARD, "four digits of a card are no secret");
	is_str(e.request_id, "08F78BB3A5-268443699", "the Request-ID");
	is_int(e.occurred_at, INT64_C(1606810692000000), "the time");
	e = read_simple(CALL_QUERY, 200, REFUND_BODY("SUCCESS", "x6225880212340403"), true);
	is_str(e.detail, "x****0403", "sixteen are");
	e = read_simple(CALL_QUERY, 200, REFUND_BODY("SUCCESS", MERCHANT), true);
	is_int(e.verdict, VERDICT_RETURNED, "the merchant's own account");
	ok(e.proof, "is proof too");
	is_str(e.code, "SUCCESS", "with WeChat's own word for it");
	e = read_simple(CALL_QUERY, 200, REFUND_BODY("PROCESSING", MERCHANT), true);
	is_int(e.verdict, VERDICT_ACCEPTED, "which matters at the end only");
	e = read_simple(CALL_QUERY, 200, REFUND_BODY("FROBNICATED", CARD), true);
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof && e.authentic, "an unlisted status is unknown");
}

/* A 2xx that proves nothing. */
static void
test_not_believed(void)
{
	HttpAnswer	a;
	ChannelEvidence e;
	int			i;
	int			wrong = 0;
	const char *good = REFUND_BODY("SUCCESS", CARD);

	e = read_simple(CALL_SUBMIT, 200, good, false);
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof && !e.authentic, "without a signature");
	has(e.message, "does not verify (bad_headers)", "and says so");
	is_str(e.wire_no, instr.wire_no, "though we know what was asked");
	ok(!e.has_amount && e.channel_refund_id[0] == '\0', "nothing of it was used");

	for (i = 0; i < (int) strlen(good); i++)
	{
		make_answer(&a, 200, good, true);
		a.body.data[i] ^= 0x01;
		e = read_with(CALL_SUBMIT, &instr, &a);
		wrong += e.verdict != VERDICT_UNKNOWN || e.proof;
	}
	is_int(wrong, 0, "no flipped byte of the body is believed");
	for (i = 1; i < 6; i++)
	{
		make_answer(&a, 200, good, true);
		a.headers.item[i].value[0] ^= 0x02;
		e = read_with(CALL_SUBMIT, &instr, &a);
		ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "header %d damaged", i);
	}

	make_answer(&a, 200, good, true);
	free(a.headers.item[0].value);
	a.headers.item[0].value = strdup("text/xml");
	e = read_with(CALL_SUBMIT, &instr, &a);
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "another content type");
	e = read_simple(CALL_SUBMIT, 200, "[1]", true);
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "signed, but no object");
	e = read_simple(CALL_SUBMIT, 200, "", true);
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "signed, but empty");
	e = read_simple(CALL_SUBMIT, 200, "{\"status\":\"SUCCESS\"}", true);
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "signed, but not whole");
	e = read_simple(CALL_SUBMIT, 204, "", true);
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "204 is not documented for it");
	e = read_simple(CALL_SUBMIT, 202, "", true);
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "202 is not processed");
}

static void
mismatch(ChannelInstruction other, const char *words, const char *name)
{
	HttpAnswer	a;
	ChannelEvidence e;

	make_answer(&a, 200, REFUND_BODY("SUCCESS", CARD), true);
	e = read_with(CALL_QUERY, &other, &a);
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "not our call's: %s", name);
	has(e.message, words, "in plain words");
	is_str(e.wire_no, other.wire_no, "it is our call's answer all the same");
	ok(!e.has_amount && e.code[0] == '\0' && e.channel_refund_id[0] == '\0',
	   "and nothing of the other's is left");
}

static void
test_other_calls(void)
{
	ChannelInstruction i = instr;

	i.wire_no = "1217752501201407033233368019";
	mismatch(i, "another refund number", "the number");
	i = instr;
	i.amount = 98;
	mismatch(i, "another refund amount", "the amount");
	i = instr;
	i.payment_amount = 101;
	mismatch(i, "another payment amount", "the total");
	i = instr;
	i.currency = "USD";
	mismatch(i, "another currency", "the currency");
	i = instr;
	i.payment_no = "1217752501201407033233368019";
	mismatch(i, "another payment", "the payment's number");
	i = instr;
	i.channel_payment_id = "1217752501201407033233368019";
	mismatch(i, "another payment", "WeChat's payment");
}

static void
test_errors(void)
{
	HttpAnswer	a;
	ChannelEvidence e;

	e = read_simple(CALL_SUBMIT, 403, "{\"code\":\"NOT_ENOUGH\",\"message\":\"no money\"}", false);
	is_int(e.verdict, VERDICT_HOLD, "an empty balance holds the merchant");
	is_str(e.code, "NOT_ENOUGH", "its code");
	is_str(e.message, "no money", "its words");
	is_str(e.wire_no, instr.wire_no, "our number");
	ok(!e.proof && !e.authentic, "and is no proof");
	is_str(e.request_id, "08F78BB3A5-268443699", "the Request-ID of an error");

	is_int(read_simple(CALL_SUBMIT, 404, "{\"code\":\"RESOURCE_NOT_EXISTS\"}", false).verdict,
		   VERDICT_REFUSED, "404 on submit: no such payment");
	is_int(read_simple(CALL_QUERY, 404, "{\"code\":\"RESOURCE_NOT_EXISTS\"}", false).verdict,
		   VERDICT_NOT_FOUND, "404 on query: no such refund");
	is_int(read_simple(CALL_SUBMIT, 404, "", false).verdict, VERDICT_UNKNOWN,
		   "404 of a gateway, on submit");
	is_int(read_simple(CALL_QUERY, 404, "", false).verdict, VERDICT_UNKNOWN, "and on query");
	is_int(read_simple(CALL_SUBMIT, 403, "{\"code\":\"A_NEW_CODE\"}", false).verdict,
		   VERDICT_UNKNOWN, "an unlisted code is unknown, not failed");
	is_int(read_simple(CALL_SUBMIT, 418, "", false).verdict, VERDICT_UNKNOWN, "a status likewise");
	is_int(read_simple(CALL_SUBMIT, 301, "", false).verdict, VERDICT_UNKNOWN, "a redirect");
	is_int(read_simple(CALL_SUBMIT, 401, "", false).verdict, VERDICT_UNKNOWN,
		   "a 401 without SIGN_ERROR is not WeChat's");
	e = read_simple(CALL_SUBMIT, 400, "{\"code\":\"PARAM_ERROR\",\"message\":17}", false);
	is_int(e.verdict, VERDICT_REFUSED, "a message that is no text");
	e = read_simple(CALL_SUBMIT, 400, "{\"code\":{}}", false);
	is_int(e.verdict, VERDICT_UNKNOWN, "a code that is no text");

	make_answer(&a, 403, "<html>USER_ACCOUNT_ABNORMAL</html>", false);
	is_int(read_with(CALL_SUBMIT, &instr, &a).verdict, VERDICT_UNKNOWN, "a proxy's page");
	make_answer(&a, 403, "{\"code\":\"USER_ACCOUNT_ABNORMAL\"}", false);
	free(a.headers.item[0].value);
	a.headers.item[0].value = strdup("text/html");
	is_int(read_with(CALL_SUBMIT, &instr, &a).verdict, VERDICT_UNKNOWN, "of another type");

	e = read_simple(CALL_QUERY, 429, "{\"code\":\"FREQUENCY_LIMITED\"}", false);
	ok(e.verdict == VERDICT_UNKNOWN && e.retry_after == 60, "a throttled query waits a minute");
	make_answer(&a, 503, "", false);
	http_header_add(&a.headers, "Retry-After", "7");
	is_int(read_with(CALL_SUBMIT, &instr, &a).retry_after, 7, "Retry-After");
	make_answer(&a, 503, "", false);
	http_header_add(&a.headers, "Retry-After", "999999999999");
	is_int(read_with(CALL_SUBMIT, &instr, &a).retry_after, 86400, "which is bounded");
	make_answer(&a, 503, "", false);
	http_header_add(&a.headers, "Retry-After", "-1");
	is_int(read_with(CALL_SUBMIT, &instr, &a).retry_after, 0, "and never negative");
}

static void
test_transport(void)
{
	HttpAnswer	a;
	ChannelEvidence e;

	http_answer_init(&a);
	a.outcome = HTTP_NOT_SENT;
	strcpy(a.error, "could not connect");
	e = read_with(CALL_SUBMIT, &instr, &a);
	ok(e.verdict == VERDICT_NOT_EXECUTED && !e.proof, "not sent is not executed");
	is_str(e.message, "could not connect", "and says why");
	is_str(e.wire_no, instr.wire_no, "for our number");
	is_int(e.http_status, 0, "no status");
	http_answer_init(&a);
	a.outcome = HTTP_NOT_SENT;
	is_int(read_with(CALL_QUERY, &instr, &a).verdict, VERDICT_UNKNOWN,
		   "a query that was not sent says nothing");
	http_answer_init(&a);
	a.outcome = HTTP_SENT_UNKNOWN;
	a.status = 200;
	strcpy(a.error, "timed out");
	e = read_with(CALL_SUBMIT, &instr, &a);
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "a time-out is unknown, never failed");
	is_int(e.http_status, 0, "whatever status stood there");
}

static void
test_digests(void)
{
	ChannelEvidence a = read_simple(CALL_QUERY, 404, "{\"code\":\"RESOURCE_NOT_EXISTS\"}", false);
	ChannelEvidence b;
	HttpAnswer	answer;

	make_answer(&answer, 404, "{\"code\":\"RESOURCE_NOT_EXISTS\"}", false);
	wechat->refund->read_answer(config, CALL_QUERY, &instr, &answer, KIT_NOW, &b);
	ok(memcmp(a.digest, b.digest, 32) == 0, "one answer read twice has one digest");
	wechat->refund->read_answer(config, CALL_QUERY, &instr, &answer, KIT_NOW + 60, &b);
	ok(memcmp(a.digest, b.digest, 32) != 0, "a minute later it is another answer");
	http_answer_free(&answer);
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
	test_every_row();
	test_success();
	test_not_believed();
	test_other_calls();
	test_errors();
	test_transport();
	test_digests();
	wechat->close(config);
	kit_stop();
	return unit_done();
}
