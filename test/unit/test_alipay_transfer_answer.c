/*-------------------------------------------------------------------------
 *
 * test_alipay_transfer_answer.c
 *	  What Alipay's answers about transfers mean: every row of the verdict
 *	  table, what proves and what does not, and that nothing of the payee is
 *	  kept.
 *
 * test/unit/test_alipay_transfer_answer.c
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"
#include "alipaykit.h"
#include "channel/alipay.h"

#define ORDER	"20190801110070000006380000250621"
#define PAID \
	"{\"code\":\"10000\",\"msg\":\"Success\",\"out_biz_no\":\"W1\",\"order_id\":\"" ORDER "\"," \
	"\"pay_fund_order_id\":\"20190801110070001506380000251556\",\"status\":\"SUCCESS\"," \
	"\"trans_date\":\"2026-09-21 22:13:20\"}"
#define QUERIED(status, more) \
	"{\"code\":\"10000\",\"msg\":\"Success\",\"out_biz_no\":\"W1\",\"order_id\":\"" ORDER "\"," \
	"\"trans_amount\":\"23.00\",\"status\":\"" status "\"" more "}"

static const Channel *alipay;
static const ChannelProduct *transfer;
static void *config;
static char sn[33];
static const ChannelInstruction instr = {.wire_no = "W1", .amount = 2300, .currency = "CNY"};

static ChannelEvidence
read_body(ChannelCall call, const ChannelInstruction *i, int status, const Buf *body)
{
	ChannelEvidence e;
	HttpAnswer	a;

	http_answer_init(&a);
	a.outcome = HTTP_ANSWERED;
	a.status = status;
	buf_add(&a.body, body->data, body->len);
	http_header_add(&a.headers, "trace_id", "0b2f1a");
	memset(&e, 0x55, sizeof(e));
	transfer->read_answer(config, call, i, &a, AKIT_NOW, &e);
	http_answer_free(&a);
	if (e.product != PRODUCT_TRANSFER || (e.proof && !e.authentic) || e.payment_no[0] != '\0' ||
		e.channel_payment_id[0] != '\0')
		ok(false, "evidence of a transfer, and proof only if it is authentic");
	return e;
}

static const char *
node_name(ChannelCall call)
{
	return call == CALL_SUBMIT ? AKIT_TRANSFER_NODE : AKIT_TRANSFER_QUERY_NODE;
}

/* A node as Alipay would send it. */
static ChannelEvidence
read_for(ChannelCall call, const ChannelInstruction *i, const char *node)
{
	ChannelEvidence e;
	Buf			body = BUF_INIT;

	akit_answer(&body, akit_alipay, node_name(call), node, strlen(node), sn);
	e = read_body(call, i, 200, &body);
	buf_free(&body);
	return e;
}

static ChannelEvidence
read_node(ChannelCall call, const char *node)
{
	return read_for(call, call == CALL_ECHO ? NULL : &instr, node);
}

/* A body as it is. */
static ChannelEvidence
read_text(ChannelCall call, const char *text)
{
	ChannelEvidence e;
	Buf			body = BUF_INIT;

	buf_adds(&body, text);
	e = read_body(call, &instr, 200, &body);
	buf_free(&body);
	return e;
}

static void
nothing(const ChannelEvidence *e, const char *name)
{
	if (!ok(e->verdict == VERDICT_UNKNOWN && !e->proof && !e->authentic && !e->has_amount &&
			e->channel_refund_id[0] == '\0', "nothing is believed: %s", name))
		printf("#   %s, %s\n", verdict_name(e->verdict), e->message);
}

static void
test_every_row(void)
{
	int			i;

	for (i = 0; i < transfer->verdict_count; i++)
	{
		const VerdictRule *rule = &transfer->verdicts[i];
		char		code[64];
		char		node[1024];
		ChannelEvidence e;

		snprintf(code, sizeof(code), "%s", rule->code);
		if (strcmp(code, "PERM_PAY_*") == 0)
			strcpy(code, "PERM_PAY_USER_DAILY_QUOTA_ORG_BALANCE_LIMIT");
		if (strcmp(code, "10000") == 0)
			snprintf(node, sizeof(node), "{\"code\":\"10000\",\"out_biz_no\":\"W1\"}");
		else if (alipay_is_status(code))
			snprintf(node, sizeof(node), "{\"code\":\"10000\",\"out_biz_no\":\"W1\",\"trans_amount\":\"23.00\","
					 "\"status\":\"%s\"}", code);
		else if (strspn(code, "0123456789") == strlen(code))
			snprintf(node, sizeof(node), "{\"code\":\"%s\",\"sub_code\":\"isv.x\"}", code);
		else
			snprintf(node, sizeof(node), "{\"code\":\"40004\",\"sub_code\":\"%s%s\",\"out_biz_no\":\"W1\"}",
					 i % 2 == 0 ? "" : "ACQ.", code);
		e = read_node(rule->call, node);
		if (!ok(e.verdict == rule->verdict && e.authentic, "row %d: %s %s is %s", i,
				channel_call_name(rule->call), rule->code, verdict_name(rule->verdict)))
			printf("#   %s: %s\n", verdict_name(e.verdict), e.message);
		ok(e.proof == rule->signed_only, "and proof only if the row says so");
		ok(e.failing == (strstr(node, "\"10000\"") == NULL), "and failing only if it fails");
		ok(rule->comment[0] != '\0' && rule->source[0] != '\0', "with a comment and a source");
		ok(channel_judge(transfer, rule->call, 200, rule->code) == rule, "and no row before it hides it");
		ok(strcmp(e.message, rule->comment) == 0, "in the row's own words");
	}
}

/* What must not depend on whoever is paid, or on what may have been executed. */
static void
test_table(void)
{
	int			i;
	int			held = 0;

	for (i = 0; i < transfer->verdict_count; i++)
	{
		const VerdictRule *rule = &transfer->verdicts[i];

		if (rule->verdict == VERDICT_HOLD)
		{
			held++;
			ok(strncmp(rule->code, "PAYEE", 5) != 0 && strstr(rule->code, "RECEIVE") == NULL &&
			   strstr(rule->code, "RECIEVE") == NULL && strstr(rule->code, "UNRN") == NULL,
			   "no payee can stop the merchant: %s", rule->code);
		}
		if (strstr(rule->comment, "ask") != NULL)
			ok(!rule->signed_only, "what is to be asked about proves nothing: %s", rule->code);
	}
	ok(held > 10, "the merchant's own troubles are holds");
}

static void
test_submit(void)
{
	ChannelInstruction other = instr;
	ChannelEvidence e = read_node(CALL_SUBMIT, PAID);

	ok(e.verdict == VERDICT_SUCCEEDED && e.proof && e.authentic, "SUCCESS is proof");
	is_str(e.merchant, AKIT_APP, "of the app");
	is_str(e.wire_no, "W1", "of the number that was sent");
	is_str(e.channel_refund_id, ORDER, "with Alipay's own");
	ok(!e.has_amount && e.amount == 0 && !e.has_payer_amount, "it says no amount");
	is_str(e.code, "SUCCESS", "the status");
	is_str(e.request_id, "0b2f1a", "the trace_id");
	is_int(e.occurred_at, AKIT_NOW * INT64_C(1000000), "the time");
	is_int(e.http_status, 200, "the HTTP status");

	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\",\"out_biz_no\":\"W1\",\"status\":\"DEALING\"}");
	ok(e.verdict == VERDICT_ACCEPTED && e.proof, "DEALING is accepted");
	is_str(e.code, "DEALING", "which is the detail");
	is_int(e.occurred_at, 0, "and no time of payment");
	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\",\"out_biz_no\":\"W1\",\"status\":\"FAIL\",\"trans_date\":\"2026-09-21 22:13:20\"}");
	ok(e.verdict == VERDICT_DEAD && e.proof && e.occurred_at == 0, "FAIL closes the number");
	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\",\"out_biz_no\":\"W1\",\"status\":\"SUCCESS\",\"trans_amount\":\"22.00\"}");
	ok(e.proof && e.has_amount && e.amount == 2200, "an amount that is there is handed on to be compared");
	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\",\"out_biz_no\":\"W1\",\"status\":\"SUCCESS\",\"trans_amount\":\"x\"}");
	ok(!e.proof && e.verdict == VERDICT_ASK && !e.has_amount, "one that is none: ask");
	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\",\"out_biz_no\":\"W1\",\"status\":\"SUCCESS\",\"trans_amount\":23}");
	ok(!e.proof && e.verdict == VERDICT_ASK && !e.has_amount, "or no text");

	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\",\"status\":\"SUCCESS\"}");
	ok(!e.proof && e.verdict == VERDICT_ASK, "without our number: ask");
	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\",\"out_biz_no\":\"\",\"status\":\"FAIL\"}");
	ok(!e.proof && e.verdict == VERDICT_ASK, "with an empty one likewise");
	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\",\"out_biz_no\":\"W2\",\"order_id\":\"" ORDER "\",\"status\":\"SUCCESS\"}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN && e.authentic && e.channel_refund_id[0] == '\0', "another's");
	has(e.message, "another transfer", "and says so");
	is_str(e.wire_no, "W1", "it stays the answer of this call");
	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\",\"out_biz_no\":\"W1\"}");
	ok(!e.proof && e.verdict == VERDICT_ASK, "no status: ask");
	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\",\"out_biz_no\":\"W1\",\"status\":\"\"}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "an empty one");
	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\",\"out_biz_no\":\"W1\",\"status\":7}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "one that is no text");
	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\",\"out_biz_no\":\"W1\",\"status\":\"success\"}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "in small letters");
	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\",\"out_biz_no\":\"W1\",\"status\":\"10000\"}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "a name of ours");
	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\",\"out_biz_no\":\"W1\",\"status\":\"PAYEE_NOT_EXIST\"}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "a code for a status");
	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\",\"out_biz_no\":\"W1\",\"status\":\"REFUND_SUCCESS\"}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "a refund's status");

	other.channel_refund_id = ORDER;
	e = read_for(CALL_SUBMIT, &other, PAID);
	ok(e.proof, "Alipay's number as it is known");
	e = read_for(CALL_SUBMIT, &other, "{\"code\":\"10000\",\"out_biz_no\":\"W1\",\"status\":\"SUCCESS\"}");
	ok(e.proof && e.channel_refund_id[0] == '\0', "or not said");
	other.channel_refund_id = "";
	e = read_for(CALL_SUBMIT, &other, PAID);
	ok(e.proof, "or not known");
	other.channel_refund_id = "20190801110070000006380000250622";
	e = read_for(CALL_SUBMIT, &other, PAID);
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN && e.channel_refund_id[0] == '\0', "another order's");
	has(e.message, "another order", "and says so");
	e = read_node(CALL_SUBMIT, "{\"code\":\"10000\",\"out_biz_no\":\"W1\",\"order_id\":\"a b\",\"status\":\"SUCCESS\"}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "an order_id that is none");
	e = read_for(CALL_SUBMIT, NULL, PAID);
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "an answer without its call");
	other.wire_no = NULL;
	e = read_for(CALL_SUBMIT, &other, PAID);
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "or without its number");
}

static void
test_query(void)
{
	ChannelEvidence e = read_node(CALL_QUERY, QUERIED("SUCCESS", ",\"pay_date\":\"2026-09-21 22:13:20\""));

	ok(e.verdict == VERDICT_SUCCEEDED && e.proof, "SUCCESS is proof");
	ok(e.has_amount && e.amount == 2300, "of the transfer's own amount");
	is_str(e.channel_refund_id, ORDER, "with Alipay's number");
	is_int(e.occurred_at, AKIT_NOW * INT64_C(1000000), "and when");
	e = read_node(CALL_QUERY, QUERIED("REFUND", ",\"pay_date\":\"2026-09-21 22:13:20\""));
	ok(e.verdict == VERDICT_RETURNED && e.proof && e.has_amount && e.amount == 2300, "REFUND has come back");
	is_int(e.occurred_at, 0, "not when it was paid");
	e = read_node(CALL_QUERY, QUERIED("WAIT_PAY", ""));
	ok(e.verdict == VERDICT_ACCEPTED && e.proof, "WAIT_PAY is accepted");
	is_str(e.code, "WAIT_PAY", "which is the detail");
	e = read_node(CALL_QUERY, QUERIED("CLOSED", ""));
	ok(e.verdict == VERDICT_DEAD && e.proof, "CLOSED closes the number");
	e = read_node(CALL_QUERY, QUERIED("FAIL", ",\"error_code\":\"PAYEE_CARD_INFO_ERROR\",\"fail_reason\":\"\xe5\xbc\xa0\xe4\xb8\x89 6222021234567894\""));
	ok(e.verdict == VERDICT_DEAD && e.proof, "FAIL likewise");
	has(e.message, "(PAYEE_CARD_INFO_ERROR)", "with Alipay's code");
	lacks(e.message, AKIT_CARD, "and none of its words, which may name the payee");
	lacks(e.message, AKIT_ZHANG, "not even a name");
	e = read_node(CALL_QUERY, QUERIED("FAIL", ",\"error_code\":\"6222 0212\""));
	lacks(e.message, "6222", "what is no code is not shown");
	e = read_node(CALL_QUERY, QUERIED("DEALING", ",\"receiver_user_id\":\"" AKIT_USER "\""));
	ok(e.verdict == VERDICT_ACCEPTED && e.proof, "DEALING is accepted");
	lacks(e.message, AKIT_USER, "who receives is not looked at");
	is_str(e.detail, "", "nor kept");

	e = read_node(CALL_QUERY, "{\"code\":\"10000\",\"out_biz_no\":\"W1\",\"trans_amount\":\"22.99\",\"status\":\"SUCCESS\"}");
	ok(e.has_amount && e.amount == 2299, "another amount is said, for the settler to compare");
	e = read_node(CALL_QUERY, "{\"code\":\"10000\",\"out_biz_no\":\"W1\",\"status\":\"SUCCESS\"}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN && !e.has_amount, "no amount, no success");
	e = read_node(CALL_QUERY, "{\"code\":\"10000\",\"out_biz_no\":\"W1\",\"status\":\"REFUND\"}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "nor a return");
	e = read_node(CALL_QUERY, "{\"code\":\"10000\",\"out_biz_no\":\"W1\",\"status\":\"FAIL\"}");
	ok(e.proof && e.verdict == VERDICT_DEAD && !e.has_amount, "what was not paid needs none");
	e = read_node(CALL_QUERY, "{\"code\":\"10000\",\"out_biz_no\":\"W1\",\"status\":\"DEALING\"}");
	ok(e.proof && e.verdict == VERDICT_ACCEPTED, "nor what is on its way");
	e = read_node(CALL_QUERY, "{\"code\":\"10000\",\"out_biz_no\":\"W1\",\"trans_amount\":\"-1\",\"status\":\"FAIL\"}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN && e.amount == 0, "but none that cannot be read");
	e = read_node(CALL_QUERY, "{\"code\":\"10000\",\"order_id\":\"" ORDER "\",\"trans_amount\":\"23.00\",\"status\":\"SUCCESS\"}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN && !e.has_amount, "no number, also by Alipay's");
	e = read_node(CALL_QUERY, "{\"code\":\"10000\",\"out_biz_no\":\"W2\",\"trans_amount\":\"23.00\",\"status\":\"SUCCESS\"}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN && !e.has_amount, "another number");
	e = read_node(CALL_QUERY, "{\"code\":\"10000\"}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "nothing at all is not a not-found");
	e = read_node(CALL_QUERY, QUERIED("", ""));
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "nor an empty status");
	e = read_node(CALL_QUERY, QUERIED("INIT", ""));
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "an unlisted status is unknown");
	e = read_node(CALL_QUERY, QUERIED("ORDER_NOT_EXIST", ""));
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "also one that is a code");
	e = read_node(CALL_QUERY, "{\"code\":\"40004\",\"sub_code\":\"ORDER_NOT_EXIST\"}");
	ok(!e.proof && e.verdict == VERDICT_NOT_FOUND, "the code is a not-found");
	e = read_node(CALL_QUERY, "{\"code\":\"40004\",\"sub_code\":\"ORDER_NOT_EXIST\",\"out_biz_no\":\"W2\"}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "of this transfer only");
}

static void
test_refused(void)
{
	static const char *const names[] = {"SUCCESS", "DEALING", "WAIT_PAY", "FAIL", "CLOSED", "REFUND", "REFUND_SUCCESS", "10000"};
	ChannelEvidence e = read_node(CALL_SUBMIT, "{\"code\":\"40004\",\"msg\":\"Business Failed\",\"sub_code\":\"PAYEE_CARD_INFO_ERROR\","
								  "\"sub_msg\":\"\xe5\xbc\xa0\xe4\xb8\x89 6222021234567894\",\"out_biz_no\":\"W1\"}");
	size_t		i;

	ok(e.verdict == VERDICT_REFUSED && e.proof, "a signed refusal that names the number is proof");
	is_str(e.code, "PAYEE_CARD_INFO_ERROR", "with Alipay's code");
	is_str(e.message, "card and name do not belong together", "and our words");
	e = read_node(CALL_SUBMIT, "{\"code\":\"40004\",\"sub_code\":\"PAYEE_NOT_EXIST\"}");
	ok(e.verdict == VERDICT_REFUSED && !e.proof, "one that names none is a hint");
	e = read_node(CALL_SUBMIT, "{\"code\":\"40004\",\"sub_code\":\"PAYEE_NOT_EXIST\",\"out_biz_no\":\"\"}");
	ok(e.verdict == VERDICT_REFUSED && !e.proof, "an empty one likewise");
	e = read_node(CALL_SUBMIT, "{\"code\":\"40004\",\"sub_code\":\"PAYEE_NOT_EXIST\",\"out_biz_no\":\"W2\"}");
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "one of another transfer is nothing");
	e = read_node(CALL_SUBMIT, "{\"code\":\"40004\",\"sub_code\":\"PAYMENT_TIME_EXPIRE\",\"out_biz_no\":\"W1\"}");
	ok(e.verdict == VERDICT_DEAD && e.proof, "an expired order is closed");
	e = read_node(CALL_SUBMIT, "{\"code\":\"40004\",\"sub_code\":\"PAYMENT_TIME_EXPIRE\"}");
	ok(e.verdict == VERDICT_REFUSED && !e.proof, "if it is this one; otherwise a hint, as other refusals");
	e = read_node(CALL_SUBMIT, "{\"code\":\"40004\",\"sub_code\":\"NEW_CODE\",\"out_biz_no\":\"W1\"}");
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof && e.authentic, "an unlisted code is unknown");
	is_str(e.code, "NEW_CODE", "and named");
	e = read_node(CALL_SUBMIT, "{\"code\":\"40004\",\"out_biz_no\":\"W1\"}");
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "no sub_code");
	is_str(e.code, "40004", "then it is the code");
	e = read_node(CALL_SUBMIT, "{\"code\":\"40004\",\"sub_code\":\"a card: 6222021234567894\",\"out_biz_no\":\"W1\"}");
	is_str(e.code, "?", "what is no code is not shown");
	e = read_node(CALL_SUBMIT, "{\"code\":\"50000\",\"sub_code\":\"PAYEE_NOT_EXIST\",\"out_biz_no\":\"W1\"}");
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "a sub_code of an unlisted code");
	e = read_node(CALL_SUBMIT, "{\"code\":40004,\"sub_code\":\"PAYEE_NOT_EXIST\",\"out_biz_no\":\"W1\"}");
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof && !e.failing, "a code that is no text");
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		char		node[256];

		snprintf(node, sizeof(node), "{\"code\":\"40004\",\"sub_code\":\"%s\",\"out_biz_no\":\"W1\",\"trans_amount\":\"23.00\"}", names[i]);
		e = read_node(CALL_SUBMIT, node);
		ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "a failure named %s", names[i]);
		e = read_node(CALL_QUERY, node);
		ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "also of a query");
	}
	e = read_node(CALL_QUERY, "{\"code\":\"40004\",\"sub_code\":\"PAYEE_NOT_EXIST\",\"out_biz_no\":\"W1\"}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "a query refuses nothing");

	e = read_node(CALL_SUBMIT, "{\"code\":\"40004\",\"sub_code\":\"PAYER_BALANCE_NOT_ENOUGH\",\"out_biz_no\":\"W1\"}");
	ok(e.verdict == VERDICT_HOLD && !e.proof && e.retry_after == 0, "an empty balance holds the merchant");
	e = read_node(CALL_SUBMIT, "{\"code\":\"40004\",\"sub_code\":\"PERM_PAY_CUSTOMER_MONTH_QUOTA_ORG_BALANCE_LIMIT\"}");
	ok(e.verdict == VERDICT_HOLD, "a quota of the merchant's too");
	e = read_node(CALL_SUBMIT, "{\"code\":\"40004\",\"sub_code\":\"PERM_PAY_SOMETHING_ELSE\"}");
	ok(e.verdict == VERDICT_UNKNOWN, "only a quota");
	e = read_node(CALL_SUBMIT, "{\"code\":\"40004\",\"sub_code\":\"EXCEED_LIMIT_DC_RECEIVED\",\"out_biz_no\":\"W1\"}");
	ok(e.verdict == VERDICT_NOT_EXECUTED && e.retry_after == 6 * 3600, "a payee's limit waits alone, for hours");
	e = read_node(CALL_SUBMIT, "{\"code\":\"40005\",\"sub_code\":\"isv.app-call-limited\"}");
	ok(e.verdict == VERDICT_NOT_EXECUTED && e.retry_after == 60, "throttled: later");
	e = read_node(CALL_QUERY, "{\"code\":\"40005\",\"sub_code\":\"isv.app-call-limited\"}");
	ok(e.verdict == VERDICT_UNKNOWN && e.retry_after == 60, "a query likewise");
	e = read_node(CALL_SUBMIT, "{\"code\":\"40001\",\"sub_code\":\"isv.missing-app-cert-sn\"}");
	ok(e.verdict == VERDICT_CONFIG, "no certificates");
	is_str(e.code, "isv.missing-app-cert-sn", "as Alipay says");
}

static void
test_unverified(void)
{
	static const int statuses[] = {201, 204, 301, 400, 403, 404, 429, 500, 502, 503};
	HttpAnswer	a;
	ChannelEvidence e;
	Buf			body = BUF_INIT;
	Buf			changed = BUF_INIT;
	size_t		i;
	int			wrong = 0;

	nothing((e = read_text(CALL_SUBMIT, "{\"" AKIT_TRANSFER_NODE "\":" PAID "}"), &e), "unsigned");
	nothing((e = read_text(CALL_SUBMIT, "{\"" AKIT_TRANSFER_NODE "\":{\"code\":\"40004\",\"sub_code\":\"PAYEE_NOT_EXIST\","
						   "\"out_biz_no\":\"W1\"}}"), &e), "an unsigned refusal");
	nothing((e = read_text(CALL_SUBMIT, "{\"error_response\":{\"code\":\"40005\",\"sub_code\":\"isv.x\"}}"), &e),
			"an unsigned throttle");
	nothing((e = read_text(CALL_QUERY, "{\"" AKIT_TRANSFER_QUERY_NODE "\":{\"code\":\"40004\",\"sub_code\":\"ORDER_NOT_EXIST\"}}"), &e),
			"an unsigned not-found");
	e = read_text(CALL_SUBMIT, "{\"error_response\":{\"code\":\"40001\",\"sub_code\":\"isv.missing-app-cert-sn\"}}");
	ok(e.verdict == VERDICT_CONFIG && !e.proof && !e.authentic, "the gateway's refusal is taken at its word");
	nothing((e = read_text(CALL_SUBMIT, "{\"error_response\":{\"code\":\"40001\",\"sub_code\":\"isv.x 6222021234567894\"}}"), &e),
			"what is no code");
	lacks(e.message, AKIT_CARD, "and it is not shown");
	nothing((e = read_text(CALL_SUBMIT, "rubbish"), &e), "no JSON");

	akit_answer(&body, akit_alipay, AKIT_TRANSFER_NODE, PAID, strlen(PAID), sn);
	e = read_body(CALL_SUBMIT, &instr, 200, &body);
	ok(e.proof, "a signed one is proof");
	e = read_body(CALL_QUERY, &instr, 200, &body);
	nothing(&e, "but no answer to another method");
	for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
	{
		e = read_body(CALL_SUBMIT, &instr, statuses[i], &body);
		nothing(&e, "any status but 200");
	}
	for (i = 0; i < body.len; i++)
	{
		buf_reset(&changed);
		buf_add(&changed, body.data, body.len);
		changed.data[i] ^= 0x01;
		e = read_body(CALL_SUBMIT, &instr, 200, &changed);
		wrong += e.proof || e.authentic;
	}
	is_int(wrong, 0, "a byte changed");
	buf_reset(&changed);
	akit_answer(&changed, akit_app, AKIT_TRANSFER_NODE, PAID, strlen(PAID), sn);
	e = read_body(CALL_SUBMIT, &instr, 200, &changed);
	nothing(&e, "our own key");
	buf_reset(&changed);
	akit_answer(&changed, akit_alipay, AKIT_TRANSFER_NODE, PAID, strlen(PAID), NULL);
	e = read_body(CALL_SUBMIT, &instr, 200, &changed);
	nothing(&e, "one that names no certificate");
	buf_free(&body);
	buf_free(&changed);

	http_answer_init(&a);
	a.outcome = HTTP_NOT_SENT;
	transfer->read_answer(config, CALL_SUBMIT, &instr, &a, AKIT_NOW, &e);
	ok(e.verdict == VERDICT_NOT_EXECUTED && e.product == PRODUCT_TRANSFER, "not sent is not executed");
	a.outcome = HTTP_SENT_UNKNOWN;
	transfer->read_answer(config, CALL_SUBMIT, &instr, &a, AKIT_NOW, &e);
	ok(e.verdict == VERDICT_UNKNOWN && strcmp(e.wire_no, "W1") == 0, "a time-out is unknown");
}

static void
test_codes(void)
{
	char		text[70];
	ChannelEvidence e = read_node(CALL_SUBMIT, "{\"code\":\"40004\",\"sub_code\":\"X\",\"out_biz_no\":\"W1\"}");

	is_str(e.code, "X", "a code of one letter");
	memset(text, 'A', 65);
	text[65] = '\0';
	ok(!alipay_is_code(text) && !alipay_is_code(""), "none of 65, nor of none");
	text[64] = '\0';
	ok(alipay_is_code(text) && alipay_is_code("A") && alipay_is_code("isv.a-b_9"), "of 64, and of one");
	ok(!alipay_is_code("A B") && !alipay_is_code("\xe5\xbc\xa0"), "of letters that codes have");
}

static void
test_parsed(void)
{
	ChannelEvidence e = read_node(CALL_SUBMIT, "{\"code\":\"10000\",\"code\":\"40004\",\"out_biz_no\":\"W1\",\"status\":\"SUCCESS\"}");

	ok(!e.proof && e.verdict == VERDICT_UNKNOWN && e.authentic, "a name twice within the node");
	e = read_node(CALL_SUBMIT, "{\"out_biz_no\":\"W1\",\"status\":\"SUCCESS\"}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "no code");
	has(e.message, "no code", "is said");
	e = read_node(CALL_SUBMIT, "{\"code\":\"\",\"out_biz_no\":\"W1\",\"status\":\"SUCCESS\"}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN, "an empty one");
	has(e.message, "no code", "is none");
	e = read_node(CALL_SUBMIT, "{\"code\":\"4\",\"out_biz_no\":\"W1\"}");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN && strcmp(e.code, "4") == 0, "a short one is one");
	e = read_node(CALL_SUBMIT, "\"c2VjcmV0\"");
	ok(!e.proof && e.verdict == VERDICT_UNKNOWN && e.authentic, "an encrypted node");
}

static void
test_echo(void)
{
	ChannelEvidence e = read_node(CALL_ECHO, "{\"code\":\"40004\",\"sub_code\":\"ORDER_NOT_EXIST\"}");

	ok(e.verdict == VERDICT_SUCCEEDED && e.authentic && !e.proof, "a signed no is what was hoped for");
	e = read_node(CALL_ECHO, "{\"code\":\"40006\",\"sub_code\":\"isv.insufficient-isv-permissions\"}");
	ok(e.verdict == VERDICT_CONFIG, "no right");
	e = read_node(CALL_ECHO, QUERIED("SUCCESS", ""));
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof && !e.has_amount, "a transfer that cannot be");
}

static void
test_digest(void)
{
	ChannelEvidence a = read_node(CALL_SUBMIT, PAID);
	ChannelEvidence b = read_node(CALL_SUBMIT, PAID);
	ChannelEvidence c = read_node(CALL_QUERY, QUERIED("SUCCESS", ""));

	ok(memcmp(a.digest, b.digest, 32) == 0, "the same answer at the same time");
	ok(memcmp(a.digest, c.digest, 32) != 0, "and another");
}

int
main(void)
{
	ChannelSource source = {AKIT_TRANSFERS(""), akit_read_key, NULL};
	ChannelError err;

	alipay = channel_lookup("alipay");
	transfer = alipay->transfer;
	akit_start();
	akit_sn("CN=" AKIT_CLASS ",C=CN", "1001", sn);
	config = alipay->open(&source, &err);
	if (!ok(config != NULL, "opens"))
		return unit_done();
	test_every_row();
	test_table();
	test_submit();
	test_query();
	test_refused();
	test_unverified();
	test_codes();
	test_parsed();
	test_echo();
	test_digest();
	alipay->close(config);
	akit_stop();
	return unit_done();
}
