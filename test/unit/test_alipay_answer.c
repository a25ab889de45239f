/*-------------------------------------------------------------------------
 *
 * test_alipay_answer.c
 *	  What Alipay's answers mean: every row of the verdict table, which bytes
 *	  are verified, and everything that must not be believed.
 *
 * test/unit/test_alipay_answer.c
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"
#include "alipaykit.h"
#include "channel/alipay.h"

#define NUMBERS "\"trade_no\":\"2014112611001004680073956707\",\"out_trade_no\":\"P1\""
#define REFUNDED \
	"{\"code\":\"10000\",\"msg\":\"Success\"," NUMBERS ",\"buyer_logon_id\":\"159****5620\"," \
	"\"fund_change\":\"Y\",\"refund_fee\":\"88.88\",\"gmt_refund_pay\":\"2026-09-21 22:13:20\"," \
	"\"refund_detail_item_list\":[{\"fund_channel\":\"ALIPAYACCOUNT\",\"amount\":\"0.80\"," \
	"\"real_amount\":\"0.80\"},{\"fund_channel\":\"MCOUPON\",\"amount\":\"0.19\"}]}"
#define QUERIED \
	"{\"code\":\"10000\",\"msg\":\"Success\"," NUMBERS ",\"out_request_no\":\"R1\"," \
	"\"total_amount\":\"1.00\",\"refund_amount\":\"0.99\",\"refund_status\":\"REFUND_SUCCESS\"}"

static const Channel *alipay;
static void *config;			/* public keys */
static void *cert_config;
static char sn[33];
static const ChannelInstruction instr = {
	.wire_no = "R1", .amount = 99, .currency = "CNY", .payment_no = "P1", .payment_amount = 100,
};

static ChannelEvidence
read_body(void *c, ChannelCall call, const ChannelInstruction *i, int status, const Buf *body)
{
	ChannelEvidence e;
	HttpAnswer	a;

	http_answer_init(&a);
	a.outcome = HTTP_ANSWERED;
	a.status = status;
	buf_add(&a.body, body->data, body->len);
	http_header_add(&a.headers, "trace_id", "0b2f1a");
	memset(&e, 0x55, sizeof(e));
	alipay->refund->read_answer(c, call, i, &a, AKIT_NOW, &e);
	http_answer_free(&a);
	return e;
}

static const char *
node_name(ChannelCall call)
{
	return call == CALL_SUBMIT ? AKIT_NODE : AKIT_QUERY_NODE;
}

/* A node as Alipay would send it: signed, under its call's name. */
static ChannelEvidence
read_node(ChannelCall call, const char *node)
{
	ChannelEvidence e;
	Buf			body = BUF_INIT;

	akit_answer(&body, akit_alipay, node_name(call), node, strlen(node), NULL);
	e = read_body(config, call, call == CALL_ECHO ? NULL : &instr, 200, &body);
	buf_free(&body);
	return e;
}

/* A body as it is. */
static ChannelEvidence
read_text(ChannelCall call, const char *text)
{
	ChannelEvidence e;
	Buf			body = BUF_INIT;

	buf_adds(&body, text);
	e = read_body(config, call, &instr, 200, &body);
	buf_free(&body);
	return e;
}

static void
nothing(const ChannelEvidence *e, const char *name)
{
	if (!ok(e->verdict == VERDICT_UNKNOWN && !e->proof && !e->authentic && !e->has_amount &&
			e->channel_payment_id[0] == '\0', "nothing is believed: %s", name))
		printf("#   %s, %s\n", verdict_name(e->verdict), e->message);
}

/* Every row of the table, through the reader and not past it. */
static void
test_every_row(void)
{
	int			i;

	for (i = 0; i < alipay->refund->verdict_count; i++)
	{
		const VerdictRule *rule = &alipay->refund->verdicts[i];
		char		code[64];
		char		node[1024];
		ChannelEvidence e;

		snprintf(code, sizeof(code), "%s", rule->code);
		if (code[strlen(code) - 1] == '*')
			strcpy(code + strlen(code) - 1, "X");
		if (strcmp(rule->code, ALIPAY_CHANGED) == 0 || strcmp(rule->code, ALIPAY_NOT_CHANGED) == 0)
			snprintf(node, sizeof(node), "{\"code\":\"10000\"," NUMBERS ",\"fund_change\":\"%s\"}",
					 strcmp(rule->code, ALIPAY_CHANGED) == 0 ? "Y" : "N");
		else if (strcmp(rule->code, ALIPAY_REFUNDED) == 0)
			snprintf(node, sizeof(node), "%s", QUERIED);
		else if (strspn(code, "0123456789") == strlen(code))
			snprintf(node, sizeof(node), "{\"code\":\"%s\",\"sub_code\":\"isv.x\"}", code);
		else
			snprintf(node, sizeof(node), "{\"code\":\"40004\",\"sub_code\":\"%s%s\"," NUMBERS "}",
					 i % 2 == 0 ? "ACQ." : "", code);
		e = read_node(rule->call, node);
		if (!ok(e.verdict == rule->verdict && e.authentic, "row %d: %s %s is %s", i,
				channel_call_name(rule->call), rule->code, verdict_name(rule->verdict)))
			printf("#   %s: %s\n", verdict_name(e.verdict), e.message);
		ok(e.proof == rule->signed_only, "and proof only if the row says so");
		ok(e.failing == (strstr(node, "\"10000\"") == NULL), "and failing only if it fails");
		ok(rule->comment[0] != '\0' && rule->source[0] != '\0', "with a comment and a source");
		ok(channel_judge(alipay->refund, rule->call, 200, rule->code) == rule, "and no row before it hides it");
	}
}

static void
test_submit(void)
{
	ChannelInstruction other = instr;
	ChannelEvidence e = read_node(CALL_SUBMIT, REFUNDED);
	Buf			body = BUF_INIT;

	ok(e.verdict == VERDICT_SUCCEEDED && e.proof && e.authentic, "fund_change=Y is proof");
	is_str(e.merchant, AKIT_APP, "the app");
	is_str(e.wire_no, "R1", "the number that was sent");
	is_str(e.channel_payment_id, "2014112611001004680073956707", "the trade");
	ok(!e.has_amount, "refund_fee is all refunds of the trade, and never this one's amount");
	ok(e.has_payer_amount && e.payer_amount == 80, "the payer gets all but the coupon");
	is_str(e.code, "fund_change=Y", "the code");
	is_str(e.request_id, "0b2f1a", "the trace_id");
	is_int(e.occurred_at, AKIT_NOW * INT64_C(1000000), "the time");

	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\"," NUMBERS ",\"fund_change\":\"Y\",\"refund_fee\":\"0.99\"}");
	ok(e.proof && e.verdict == VERDICT_SUCCEEDED && !e.has_payer_amount, "the only refund");
	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\"," NUMBERS ",\"fund_change\":\"Y\",\"refund_fee\":\"0.98\"}");
	ok(!e.proof && e.verdict == VERDICT_ASK, "less than this refund in all: ask");
	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\"," NUMBERS ",\"fund_change\":\"Y\",\"refund_fee\":\"x\"}");
	ok(!e.proof && e.verdict == VERDICT_ASK, "an unreadable total: ask");
	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\",\"fund_change\":\"Y\"}");
	ok(!e.proof && e.verdict == VERDICT_ASK, "without the trade: ask");
	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\"," NUMBERS ",\"fund_change\":\"N\",\"refund_fee\":\"0.99\"}");
	ok(!e.proof && e.verdict == VERDICT_ASK, "fund_change=N: ask");
	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\"," NUMBERS "}");
	ok(!e.proof && e.verdict == VERDICT_ASK, "no fund_change: ask");
	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\"," NUMBERS ",\"fund_change\":\"y\"}");
	ok(!e.proof && e.verdict == VERDICT_ASK, "another fund_change: ask");
	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\"," NUMBERS ",\"fund_change\":true}");
	ok(!e.proof && e.verdict == VERDICT_ASK, "no text: ask");

	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\",\"out_trade_no\":\"P2\",\"fund_change\":\"Y\"}");
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof && e.payment_no[0] == '\0', "another order's");
	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\"," NUMBERS ",\"out_request_no\":\"R2\",\"fund_change\":\"Y\"}");
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "another refund's");
	has(e.message, "another refund number", "and says so");
	other.channel_payment_id = "2014112611001004680073956707";
	other.payment_no = "our own";
	akit_answer(&body, akit_alipay, AKIT_NODE, REFUNDED, strlen(REFUNDED), NULL);
	e = read_body(config, CALL_SUBMIT, &other, 200, &body);
	ok(e.proof, "by trade_no, the order number is the shop's own matter");
	other.channel_payment_id = "2014112611001004680073956708";
	e = read_body(config, CALL_SUBMIT, &other, 200, &body);
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "another trade's");
	e = read_body(config, CALL_SUBMIT, NULL, 200, &body);
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "an answer without its call");
	e = read_body(config, CALL_QUERY, &instr, 200, &body);
	nothing(&e, "an answer to another method");
	buf_free(&body);
}

static void
test_refused(void)
{
	ChannelEvidence e = read_node(CALL_SUBMIT, "{\"code\":\"40004\",\"msg\":\"Business Failed\","
								  "\"sub_code\":\"ACQ.REFUND_AMT_NOT_EQUAL_TOTAL\",\"sub_msg\":\"words\","
								  "\"out_trade_no\":\"P1\",\"refund_fee\":\"0.00\",\"send_back_fee\":\"0.00\"}");

	ok(e.verdict == VERDICT_REFUSED && e.proof, "a signed refusal is proof");
	is_str(e.code, "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "with Alipay's code");
	is_str(e.message, "words", "and words");
	e = read_node(CALL_SUBMIT, "{\"code\":\"40004\",\"sub_code\":\"ACQ.TRADE_NOT_EXIST\"}");
	ok(e.verdict == VERDICT_REFUSED && !e.proof, "one that names no trade is a hint");
	e = read_node(CALL_SUBMIT, "{\"code\":\"40004\",\"sub_code\":\"ACQ.TRADE_NOT_EXIST\",\"out_trade_no\":\"P2\"}");
	ok(e.verdict == VERDICT_UNKNOWN, "one of another trade is nothing");
	e = read_node(CALL_SUBMIT, "{\"code\":\"40004\",\"sub_code\":\"ACQ.NEW_CODE\"," NUMBERS "}");
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof && e.authentic, "an unlisted code is unknown");
	e = read_node(CALL_SUBMIT, "{\"code\":\"40004\"," NUMBERS "}");
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "no sub_code");
	e = read_node(CALL_SUBMIT, "{\"code\":\"40004\",\"sub_code\":\"fund_change=Y\"," NUMBERS "}");
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "a name of ours is no code of theirs");
	e = read_node(CALL_SUBMIT, "{\"code\":\"50000\",\"sub_code\":\"ACQ.TRADE_NOT_EXIST\"," NUMBERS "}");
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "a sub_code of an unlisted code");
	e = read_node(CALL_SUBMIT, "{\"code\":40004,\"sub_code\":\"ACQ.TRADE_NOT_EXIST\"," NUMBERS "}");
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "a code that is no text");
	e = read_node(CALL_QUERY, "{\"code\":\"40004\",\"sub_code\":\"fund_change=Y\"," NUMBERS "}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "nor for a query");
	e = read_node(CALL_QUERY, "{\"code\":\"40004\",\"sub_code\":\"REFUND_SUCCESS\"," NUMBERS "}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "a failure named like a success");
	e = read_node(CALL_SUBMIT, "{\"code\":\"40004\",\"sub_code\":\"10000\"," NUMBERS "}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "or like another");
	e = read_node(CALL_QUERY, "{\"code\":\"40004\",\"sub_code\":\"10000\"," NUMBERS "}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "which would be a not-found");
	e = read_node(CALL_SUBMIT, "{\"code\":\"40005\",\"sub_code\":\"isv.app-call-limited\"}");
	ok(e.verdict == VERDICT_NOT_EXECUTED && e.retry_after == 60, "throttled: later");
	e = read_node(CALL_SUBMIT, "{\"code\":\"40004\",\"sub_code\":\"ACQ.REASON_TRADE_BEEN_FREEZEN\"," NUMBERS "}");
	ok(e.verdict == VERDICT_NOT_EXECUTED && e.retry_after == 3600, "a frozen trade: much later");
	e = read_node(CALL_SUBMIT, "{\"code\":\"40002\",\"sub_code\":\"isv.invalid-signature\",\"sub_msg\":"
				  "\"app_auth_token=SECRET&amp;biz_content\"}");
	ok(e.verdict == VERDICT_CONFIG && e.authentic, "our signature is wrong");
	lacks(e.message, "SECRET", "and the string that Alipay built is not kept");
}

static void
test_query(void)
{
	ChannelEvidence e = read_node(CALL_QUERY, QUERIED);

	ok(e.verdict == VERDICT_SUCCEEDED && e.proof, "REFUND_SUCCESS is proof");
	ok(e.has_amount && e.amount == 99, "of this refund's own amount");
	is_str(e.code, "REFUND_SUCCESS", "the status");
	e = read_node(CALL_QUERY, "{\"code\":\"10000\"," NUMBERS ",\"out_request_no\":\"R1\",\"refund_amount\":\"0.98\","
				  "\"refund_fee\":\"0.99\",\"refund_status\":\"REFUND_SUCCESS\"}");
	ok(e.has_amount && e.amount == 98, "another amount is said, for the settler to compare");
	e = read_node(CALL_QUERY, "{\"code\":\"10000\"," NUMBERS ",\"out_request_no\":\"R1\",\"refund_fee\":\"0.99\","
				  "\"refund_status\":\"REFUND_SUCCESS\"}");
	ok(!e.proof && !e.has_amount && e.verdict == VERDICT_UNKNOWN, "refund_fee is no substitute");
	e = read_node(CALL_QUERY, "{\"code\":\"10000\"," NUMBERS ",\"refund_amount\":\"0.99\","
				  "\"refund_status\":\"REFUND_SUCCESS\"}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "no number");
	e = read_node(CALL_QUERY, "{\"code\":\"10000\",\"out_request_no\":\"R1\",\"refund_amount\":\"0.99\","
				  "\"refund_status\":\"REFUND_SUCCESS\"}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "no trade");
	e = read_node(CALL_QUERY, "{\"code\":\"10000\",\"out_request_no\":\"R2\"," NUMBERS ",\"refund_amount\":\"0.99\","
				  "\"refund_status\":\"REFUND_SUCCESS\"}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "another number");
	e = read_node(CALL_QUERY, "{\"code\":\"10000\",\"msg\":\"Success\"}");
	ok(e.verdict == VERDICT_NOT_FOUND && !e.proof, "nothing at all is not found");
	e = read_node(CALL_QUERY, "{\"code\":\"10000\"," NUMBERS ",\"out_request_no\":\"R1\",\"refund_amount\":\"0.99\"}");
	ok(e.verdict == VERDICT_NOT_FOUND && !e.proof, "data without a status proves nothing");
	e = read_node(CALL_QUERY, "{\"code\":\"10000\"," NUMBERS ",\"out_request_no\":\"R1\",\"refund_status\":\"\"}");
	ok(e.verdict == VERDICT_NOT_FOUND, "an empty status likewise");
	e = read_node(CALL_QUERY, "{\"code\":\"10000\"," NUMBERS ",\"out_request_no\":\"R1\","
				  "\"refund_status\":\"REFUND_PROCESSING\",\"refund_amount\":\"0.99\"}");
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "an unlisted status is unknown");
	e = read_node(CALL_QUERY, "{\"code\":\"10000\"," NUMBERS ",\"out_request_no\":\"R1\",\"refund_status\":\"10000\"}");
	ok(e.verdict == VERDICT_UNKNOWN, "also one that is a name of ours");
	e = read_node(CALL_QUERY, "{\"code\":\"10000\"," NUMBERS ",\"refund_status\":7}");
	ok(e.verdict == VERDICT_UNKNOWN, "and one that is no text");

	e = read_node(CALL_QUERY, "{\"code\":\"10000\"," NUMBERS ",\"out_request_no\":\"R1\",\"refund_amount\":\"0.99\","
				  "\"refund_status\":\"REFUND_SUCCESS\",\"gmt_refund_pay\":\"2026-09-21 22:13:20\","
				  "\"deposit_back_info\":{\"has_deposit_back\":\"true\",\"dback_status\":\"F\"}}");
	ok(e.proof && e.verdict == VERDICT_SUCCEEDED, "the bank's refusal changes nothing");
	is_str(e.detail, "the bank refused; paid to the payer's Alipay balance", "but is told");
	is_int(e.occurred_at, AKIT_NOW * INT64_C(1000000), "the time");
	e = read_node(CALL_QUERY, "{\"code\":\"10000\"," NUMBERS ",\"out_request_no\":\"R1\",\"refund_amount\":\"0.99\","
				  "\"refund_status\":\"REFUND_SUCCESS\",\"refund_detail_item_list\":[{\"fund_channel\":\"BANKCARD\","
				  "\"amount\":\"0.98\"}]}");
	ok(e.proof && !e.has_payer_amount, "a list that does not add up tells nothing of the payer");
}

static void
test_transport(void)
{
	HttpAnswer	a;
	ChannelEvidence e;
	Buf			body = BUF_INIT;
	static const int statuses[] = {100, 201, 202, 204, 301, 400, 401, 403, 404, 429, 500, 502, 503, 504};
	size_t		i;

	http_answer_init(&a);
	a.outcome = HTTP_NOT_SENT;
	strcpy(a.error, "refused");
	alipay->refund->read_answer(config, CALL_SUBMIT, &instr, &a, AKIT_NOW, &e);
	ok(e.verdict == VERDICT_NOT_EXECUTED && !e.proof, "not sent is not executed");
	alipay->refund->read_answer(config, CALL_QUERY, &instr, &a, AKIT_NOW, &e);
	is_int(e.verdict, VERDICT_UNKNOWN, "of a query it says nothing");
	a.outcome = HTTP_SENT_UNKNOWN;
	alipay->refund->read_answer(config, CALL_SUBMIT, &instr, &a, AKIT_NOW, &e);
	is_int(e.verdict, VERDICT_UNKNOWN, "a time-out is unknown");
	is_str(e.wire_no, "R1", "but of our number");
	akit_answer(&body, akit_alipay, AKIT_NODE, REFUNDED, strlen(REFUNDED), NULL);
	for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
	{
		e = read_body(config, CALL_SUBMIT, &instr, statuses[i], &body);
		nothing(&e, "any status but 200, even with a signed body");
		is_int(e.http_status, statuses[i], "its status");
	}
	buf_free(&body);
}

static void
test_echo(void)
{
	ChannelEvidence e = read_node(CALL_ECHO, "{\"code\":\"40004\",\"sub_code\":\"ACQ.TRADE_NOT_EXIST\"}");

	ok(e.verdict == VERDICT_SUCCEEDED && e.authentic && !e.proof, "a signed no is what was hoped for");
	e = read_node(CALL_ECHO, "{\"code\":\"10000\",\"msg\":\"Success\"}");
	ok(e.verdict == VERDICT_SUCCEEDED && e.authentic && !e.proof, "an empty yes likewise");
	e = read_node(CALL_ECHO, "{\"code\":\"40006\",\"sub_code\":\"isv.insufficient-isv-permissions\"}");
	ok(e.verdict == VERDICT_CONFIG, "no right");
	e = read_text(CALL_ECHO, "{\"" AKIT_QUERY_NODE "\":{\"code\":\"40004\",\"sub_code\":\"ACQ.TRADE_NOT_EXIST\"}}");
	nothing(&e, "an unsigned one");
}

/* The gateway's own refusals, unsigned. */
static void
test_unsigned(void)
{
	ChannelEvidence e;

	e = read_text(CALL_SUBMIT, "{\"" AKIT_NODE "\":" REFUNDED "}");
	nothing(&e, "unsigned");
	has(e.message, "not signed", "and says so");
	e = read_text(CALL_SUBMIT, "{\"" AKIT_NODE "\":" REFUNDED ",\"sign\":\"\"}");
	nothing(&e, "an empty signature");
	e = read_text(CALL_SUBMIT, "{\"" AKIT_NODE "\":" REFUNDED ",\"sign\":7}");
	nothing(&e, "a number for a signature");
	e = read_text(CALL_SUBMIT, "{\"" AKIT_NODE "\":{\"code\":\"40004\",\"sub_code\":\"ACQ.TRADE_NOT_EXIST\"}}");
	nothing(&e, "an unsigned refusal");
	e = read_text(CALL_SUBMIT, "{\"error_response\":{\"code\":\"40002\",\"msg\":\"Invalid Arguments\","
				  "\"sub_code\":\"isv.invalid-app-id\",\"sub_msg\":\"x\"}}");
	ok(e.verdict == VERDICT_CONFIG && !e.proof && !e.authentic, "the gateway's refusal is taken at its word");
	is_str(e.code, "isv.invalid-app-id", "with its code");
	e = read_text(CALL_QUERY, "{\"error_response\":{\"code\":\"20001\",\"sub_code\":\"aop.invalid-app-auth-token\"}}");
	ok(e.verdict == VERDICT_CONFIG && !e.proof, "a token's");
	e = read_text(CALL_SUBMIT, "{\"" AKIT_NODE "\":{\"code\":\"40002\",\"sub_code\":\"isv.invalid-signature\"},"
				  "\"sign\":\"AAAA\"}");
	ok(e.verdict == VERDICT_CONFIG && !e.proof, "also behind a signature that is none");
	e = read_text(CALL_SUBMIT, "{\"error_response\":{\"code\":\"40002\",\"sub_code\":\"ACQ.INVALID_PARAMETER\"}}");
	nothing(&e, "a business code under a gateway's");
	e = read_text(CALL_SUBMIT, "{\"error_response\":{\"code\":\"40002\"}}");
	nothing(&e, "no sub_code");
	e = read_text(CALL_SUBMIT, "{\"error_response\":{\"code\":\"20000\",\"sub_code\":\"isp.unknow-error\"}}");
	nothing(&e, "20000 may have had its effect");
	e = read_text(CALL_SUBMIT, "{\"error_response\":{\"code\":\"40005\",\"sub_code\":\"isv.app-call-limited\"}}");
	nothing(&e, "an unsigned throttle");
	e = read_text(CALL_SUBMIT, "{\"error_response\":{\"code\":\"10000\",\"sub_code\":\"isv.x\",\"fund_change\":\"Y\"}}");
	nothing(&e, "an unsigned success");
}

/* Every byte of a signed answer matters: what is changed is believed nowhere. */
static void
test_forged(void)
{
	Buf			body = BUF_INIT;
	Buf			changed = BUF_INIT;
	ChannelEvidence e;
	size_t		i;
	int			wrong = 0;
	EVP_PKEY   *stranger = testkey_new(2048);

	akit_answer(&body, akit_alipay, AKIT_NODE, REFUNDED, strlen(REFUNDED), NULL);
	for (i = 0; i < body.len; i++)
	{
		buf_reset(&changed);
		buf_add(&changed, body.data, body.len);
		changed.data[i] ^= 0x01;
		e = read_body(config, CALL_SUBMIT, &instr, 200, &changed);
		wrong += e.proof || e.authentic;
	}
	is_int(wrong, 0, "a byte changed");
	for (i = 0; i < body.len; i++)
	{
		buf_reset(&changed);
		buf_add(&changed, body.data, i);
		e = read_body(config, CALL_SUBMIT, &instr, 200, &changed);
		wrong += e.proof || e.authentic;
	}
	is_int(wrong, 0, "cut short anywhere");
	buf_reset(&changed);
	akit_answer(&changed, stranger, AKIT_NODE, REFUNDED, strlen(REFUNDED), NULL);
	e = read_body(config, CALL_SUBMIT, &instr, 200, &changed);
	nothing(&e, "a stranger's key");
	buf_reset(&changed);
	akit_answer(&changed, akit_app, AKIT_NODE, REFUNDED, strlen(REFUNDED), NULL);
	e = read_body(config, CALL_SUBMIT, &instr, 200, &changed);
	nothing(&e, "our own key");
	buf_reset(&changed);
	akit_answer(&changed, akit_alipay_next, AKIT_NODE, REFUNDED, strlen(REFUNDED), NULL);
	e = read_body(config, CALL_SUBMIT, &instr, 200, &changed);
	ok(e.proof, "the next key of Alipay's");

	/* the same node twice, in both orders, and under both names */
	buf_reset(&changed);
	buf_addf(&changed, "{\"" AKIT_NODE "\":{\"code\":\"40004\"},%s", buf_str(&body) + 1);
	e = read_body(config, CALL_SUBMIT, &instr, 200, &changed);
	nothing(&e, "another node before it");
	buf_reset(&changed);
	buf_addf(&changed, "%.*s,\"" AKIT_NODE "\":{\"code\":\"40004\"}}", (int) body.len - 1, buf_str(&body));
	e = read_body(config, CALL_SUBMIT, &instr, 200, &changed);
	nothing(&e, "another node behind it");
	buf_reset(&changed);
	buf_addf(&changed, "%.*s,\"error_response\":{\"code\":\"40004\"}}", (int) body.len - 1, buf_str(&body));
	e = read_body(config, CALL_SUBMIT, &instr, 200, &changed);
	nothing(&e, "an error beside it");
	buf_reset(&changed);
	buf_addf(&changed, "%.*s,\"sign\":\"AAAA\"}", (int) body.len - 1, buf_str(&body));
	e = read_body(config, CALL_SUBMIT, &instr, 200, &changed);
	nothing(&e, "two signatures");
	buf_reset(&changed);
	buf_addf(&changed, "%.*s,\"alipay_trade_refund\\u005fresponse\":{}}", (int) body.len - 1, buf_str(&body));
	e = read_body(config, CALL_SUBMIT, &instr, 200, &changed);
	nothing(&e, "an escaped name");
	buf_reset(&changed);
	buf_addf(&changed, "%s{}", buf_str(&body));
	e = read_body(config, CALL_SUBMIT, &instr, 200, &changed);
	nothing(&e, "something behind it");
	buf_reset(&changed);
	buf_addf(&changed, " \n{ \"x\" : [1, {\"" AKIT_NODE "\":{}}] , %s \r\n", buf_str(&body) + 1);
	e = read_body(config, CALL_SUBMIT, &instr, 200, &changed);
	ok(e.proof, "a member more, the name nested in it, and white space do no harm");
	buf_free(&body);
	buf_free(&changed);
	EVP_PKEY_free(stranger);
}

/* What the scanner hands out, of bodies that are not signed. */
static void
scans(const char *body, const char *node, const char *name)
{
	AlipayNode	found;
	const char *why;
	char	   *heap = malloc(strlen(body) + 1);
	bool		good;

	/* no byte longer than the body, so that reading past it is seen */
	memcpy(heap, body, strlen(body));
	good = alipay_node_find(heap, strlen(body), "n", &found, &why);
	if (node == NULL)
		ok(!good && why[0] != '\0', "refused: %s", name);
	else if (!ok(good && found.len == strlen(node) && memcmp(found.data, node, found.len) == 0,
				 "found: %s", name))
		printf("#   %s\n", good ? "something else" : why);
	free(heap);
}

static void
test_scanner(void)
{
	char		deep[5000];
	int			i;

	scans("{\"n\":{}}", "{}", "an empty node");
	scans("{\"n\":{\"a\":{\"b\":[{},{}]}},\"sign\":\"x\"}", "{\"a\":{\"b\":[{},{}]}}", "nested");
	scans("{\"n\":{\"a\":\"}{\",\"{\":1}}", "{\"a\":\"}{\",\"{\":1}", "braces in texts and names");
	scans("{\"n\":{\"a\":\"\\\"}\"}}", "{\"a\":\"\\\"}\"}", "an escaped quote");
	scans("{\"n\":{\"a\":\"\\\\\"}}", "{\"a\":\"\\\\\"}", "an escaped backslash before a quote");
	scans("{\"n\":{\"a\":\"\\\\\\\"}\"}}", "{\"a\":\"\\\\\\\"}\"}", "both");
	scans("{\"n\":{\"sign\":\"sign\",\"b\":\"\\\"sign\\\":\\\"x\"}}",
		  "{\"sign\":\"sign\",\"b\":\"\\\"sign\\\":\\\"x\"}", "the word sign within");
	scans(" { \n\"n\"\t: {\"a\" : 1 }\r , \"sign\" : \"x\" } ", "{\"a\" : 1 }", "white space");
	scans("{\"n\":\"YWJj\"}", "\"YWJj\"", "a text, with its quotes");
	scans("{\"sign\":\"x\",\"n\":{}}", "{}", "the signature first");
	scans("{\"error_response\":{\"a\":1}}", "{\"a\":1}", "an error");
	scans("{\"o\":{\"n\":{}}}", NULL, "only nested");
	scans("{\"nn\":{}}", NULL, "a longer name");
	scans("{}", NULL, "nothing");
	scans("", NULL, "no bytes");
	scans("[]", NULL, "a list");
	scans("{\"n\":{}", NULL, "no end");
	scans("{\"n\":{", NULL, "no end of the node");
	scans("{\"n\":\"\\", NULL, "an escape at the end");
	scans("{\"n\":\"a\\\"}", NULL, "a text without end");
	scans("{\"n\":}", NULL, "no value");
	scans("{\"n\"{}}", NULL, "no colon");
	scans("{n:{}}", NULL, "no quotes");
	scans("{\"n\":{},}", NULL, "a comma at the end");
	scans("{\"n\":{} \"a\":1}", NULL, "no comma");
	scans("{\"n\":{}}x", NULL, "something behind");
	scans("{\"n\":{},\"n\":{}}", NULL, "twice");
	scans("{\"n\":{},\"error_response\":{}}", NULL, "two nodes");
	scans("{\"a\":1,\"a\":1,\"n\":{}}", NULL, "another name twice");
	scans("{\"\\u006e\":{}}", NULL, "an escaped name");
	scans("{\"n\":[]}", NULL, "a list for a node");
	scans("{\"n\":null}", NULL, "null");
	scans("{\"a\":tru,\"n\":{}}", "{}", "rubbish beside it is not its matter");
	for (i = 0; i < 4990; i++)
		deep[i] = '[';
	memcpy(deep, "{\"n\":{\"a\":", 10);
	deep[4990] = '\0';
	scans(deep, NULL, "brackets without end");
}

/* Slashes that were escaped behind the signature, or before it. */
static void
test_slashes(void)
{
	static const char plain_node[] = "{\"code\":\"10000\"," NUMBERS ",\"fund_change\":\"Y\",\"url\":\"a/b/c\"}";
	static const char sent[] = "{\"code\":\"10000\"," NUMBERS ",\"fund_change\":\"Y\",\"url\":\"a\\/b\\/c\"}";
	Buf			body = BUF_INIT;
	Buf			sig = BUF_INIT;
	ChannelEvidence e;
	size_t		i;

	akit_sign(akit_alipay, plain_node, strlen(plain_node), &sig);
	buf_addf(&body, "{\"" AKIT_NODE "\":%s,\"sign\":\"%s\"}", sent, buf_str(&sig));
	e = read_body(config, CALL_SUBMIT, &instr, 200, &body);
	ok(e.proof, "escaped behind the signature");
	e = read_node(CALL_SUBMIT, sent);
	ok(e.proof, "escaped before it");
	buf_reset(&body);
	buf_addf(&body, "{\"" AKIT_NODE "\":%s,\"sign\":\"", sent);
	for (i = 0; i < sig.len; i++)
		buf_addf(&body, "%s%c", sig.data[i] == '/' ? "\\" : "", sig.data[i]);
	buf_adds(&body, "\"}");
	e = read_body(config, CALL_SUBMIT, &instr, 200, &body);
	ok(e.proof, "in the signature too");

	/* an escaped backslash is no escaped slash */
	buf_reset(&body);
	buf_reset(&sig);
	akit_sign(akit_alipay, "{\"code\":\"10000\",\"x\":\"\\/\"}", strlen("{\"code\":\"10000\",\"x\":\"\\/\"}"), &sig);
	buf_addf(&body, "{\"" AKIT_NODE "\":{\"code\":\"10000\",\"x\":\"\\\\/\"},\"sign\":\"%s\"}", buf_str(&sig));
	e = read_body(config, CALL_SUBMIT, &instr, 200, &body);
	nothing(&e, "an escaped backslash before a slash");
	buf_free(&body);
	buf_free(&sig);
}

static void
test_parsed(void)
{
	ChannelEvidence e;

	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\",\"code\":\"40004\"," NUMBERS ",\"fund_change\":\"Y\"}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN && e.authentic, "a name twice within the node");
	e = read_node(CALL_SUBMIT, "{\"code\":[}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "signed rubbish");
	e = read_node(CALL_SUBMIT, "\"c2VjcmV0\"");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN && e.authentic, "an encrypted node");
	has(e.message, "encrypted", "is named");
	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\",\"out_trade_no\":\"P1\",\"trade_no\":"
				  "\"12345678901234567890123456789012345678901234567890123456789012345\",\"fund_change\":\"Y\"}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "a number that is too long");
}

static void
test_certificates(void)
{
	Buf			body = BUF_INIT;
	ChannelEvidence e;
	char		next[33];

	akit_sn("CN=" AKIT_CLASS ",C=CN", "1002", next);
	akit_answer(&body, akit_alipay, AKIT_NODE, REFUNDED, strlen(REFUNDED), sn);
	e = read_body(cert_config, CALL_SUBMIT, &instr, 200, &body);
	ok(e.proof, "signed with the certificate that it names");
	buf_reset(&body);
	akit_answer(&body, akit_alipay_next, AKIT_NODE, REFUNDED, strlen(REFUNDED), next);
	e = read_body(cert_config, CALL_SUBMIT, &instr, 200, &body);
	ok(e.proof, "with the new one beside it");
	buf_reset(&body);
	akit_answer(&body, akit_alipay, AKIT_NODE, REFUNDED, strlen(REFUNDED), next);
	e = read_body(cert_config, CALL_SUBMIT, &instr, 200, &body);
	nothing(&e, "with another than it names");
	buf_reset(&body);
	akit_answer(&body, akit_alipay, AKIT_NODE, REFUNDED, strlen(REFUNDED),
				"00000000000000000000000000000001");
	e = read_body(cert_config, CALL_SUBMIT, &instr, 200, &body);
	nothing(&e, "with one that we do not have");
	has(e.message, "00000000000000000000000000000001", "its SN is named");
	has(e.message, sn, "beside ours");
	has(e.message, "Download", "and what to do");
	buf_reset(&body);
	akit_answer(&body, akit_alipay, AKIT_NODE, REFUNDED, strlen(REFUNDED), NULL);
	e = read_body(cert_config, CALL_SUBMIT, &instr, 200, &body);
	nothing(&e, "with none that it names");
	buf_reset(&body);
	akit_answer(&body, akit_alipay, AKIT_NODE, REFUNDED, strlen(REFUNDED), "short");
	e = read_body(cert_config, CALL_SUBMIT, &instr, 200, &body);
	nothing(&e, "a short SN");
	buf_reset(&body);
	akit_answer(&body, akit_alipay, AKIT_NODE, REFUNDED, strlen(REFUNDED), sn);
	{
		HttpAnswer	a;

		http_answer_init(&a);
		a.outcome = HTTP_ANSWERED;
		a.status = 200;
		buf_add(&a.body, body.data, body.len);
		alipay->refund->read_answer(cert_config, CALL_SUBMIT, &instr, &a, AKIT_NOW + 101 * 86400, &e);
		http_answer_free(&a);
	}
	nothing(&e, "a certificate that has expired");
	has(e.message, "expired", "and says so");
	e = read_body(config, CALL_SUBMIT, &instr, 200, &body);
	ok(e.proof, "with public keys, an SN is no matter");
	buf_free(&body);
}

static void
test_digest(void)
{
	ChannelEvidence a = read_node(CALL_SUBMIT, REFUNDED);
	ChannelEvidence b = read_node(CALL_SUBMIT, REFUNDED);
	ChannelEvidence c = read_node(CALL_QUERY, QUERIED);

	ok(memcmp(a.digest, b.digest, 32) == 0, "the same answer at the same time");
	ok(memcmp(a.digest, c.digest, 32) != 0, "and another");
}

int
main(void)
{
	ChannelSource source = {AKIT_CONFIG, akit_read_key, NULL};
	ChannelSource cert_source = {AKIT_CERT_CONFIG, akit_read_key, NULL};
	ChannelError err;

	alipay = channel_lookup("alipay");
	akit_start();
	akit_sn("CN=" AKIT_CLASS ",C=CN", "1001", sn);
	config = alipay->open(&source, &err);
	cert_config = alipay->open(&cert_source, &err);
	if (!ok(config != NULL && cert_config != NULL, "both modes open"))
		return unit_done();
	test_every_row();
	test_submit();
	test_refused();
	test_query();
	test_transport();
	test_echo();
	test_unsigned();
	test_forged();
	test_scanner();
	test_slashes();
	test_parsed();
	test_certificates();
	test_digest();
	alipay->close(config);
	alipay->close(cert_config);
	akit_stop();
	return unit_done();
}
