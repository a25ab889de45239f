/*-------------------------------------------------------------------------
 *
 * test_wechat_transfer_answer.c
 *	  What WeChat's answers about transfers mean: every row of the verdict
 *	  table, everything that must not be believed, and nothing of the payee.
 *
 * test/unit/test_wechat_transfer_answer.c
 *
 *-------------------------------------------------------------------------
 */
#include "channel/wechat.h"
#include "unit.h"
#include "wechatkit.h"

#define BILL_NO		"1330000071100999991182020050700019480001"
#define CREATED(state, more) \
	"{\"out_bill_no\":\"plfk2020042013\",\"transfer_bill_no\":\"" BILL_NO "\"," \
	"\"create_time\":\"2015-05-20T13:29:35.120+08:00\",\"state\":\"" state "\"" more "}"
#define QUERIED(state, more) \
	"{\"mch_id\":\"1900000100\",\"out_bill_no\":\"plfk2020042013\"," \
	"\"transfer_bill_no\":\"" BILL_NO "\",\"appid\":\"" KIT_APPID "\",\"state\":\"" state "\"," \
	"\"transfer_amount\":400000,\"transfer_remark\":\"\xe6\x96\xb0\xe4\xbc\x9a\xe5\x91\x98\"," \
	"\"openid\":\"" KIT_OPENID "\",\"user_name\":\"757b340b45ebef5467rter35gf464344v3542sdf4t6re4tb4\"," \
	"\"create_time\":\"2015-05-20T13:29:35.120+08:00\"," \
	"\"update_time\":\"2015-05-20T13:30:35.120+08:00\",\"a_new_member\":{\"x\":[1,2,null]}" more "}"
#define CANCELED(state) \
	"{\"out_bill_no\":\"plfk2020042013\",\"transfer_bill_no\":\"" BILL_NO "\"," \
	"\"state\":\"" state "\",\"update_time\":\"2015-05-20T13:29:35.120+08:00\"}"
#define CREATED_AT	INT64_C(1432099775120000)
#define UPDATED_AT	INT64_C(1432099835120000)

static const Channel *wechat;
static const ChannelProduct *transfer;
static void *config;
static const ChannelInstruction instr = {
	.wire_no = "plfk2020042013", .amount = 400000, .currency = "CNY",
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

/* Whether anything of it could say who was paid. */
static bool
mentions_payee(const ChannelEvidence *e)
{
	const char *fields[] = {e->merchant, e->wire_no, e->payment_no, e->channel_payment_id,
		e->channel_refund_id, e->currency, e->code, e->message, e->detail, e->request_id,
		e->handover, e->cursor};
	size_t		i;

	for (i = 0; i < lengthof_array(fields); i++)
		if (strstr(fields[i], KIT_OPENID) != NULL || strstr(fields[i], "MYE42l80oely") != NULL ||
			strstr(fields[i], "757b340b45ebef5467") != NULL)
			return true;
	return false;
}

static ChannelEvidence
read_with(ChannelCall call, const ChannelInstruction *i, HttpAnswer *a)
{
	ChannelEvidence e;

	memset(&e, 0x55, sizeof(e));
	transfer->read_answer(config, call, i, a, KIT_NOW, &e);
	http_answer_free(a);
	if (mentions_payee(&e) || e.product != PRODUCT_TRANSFER)
		ok(false, "evidence of a transfer that says nothing of the payee");
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

	for (i = 0; i < transfer->verdict_count; i++)
	{
		const VerdictRule *rule = &transfer->verdicts[i];
		int			status = rule->http_status ? rule->http_status : 403;
		char		body[2048];
		ChannelEvidence e;

		if (status == 200)
			snprintf(body, sizeof(body), QUERIED("%s", ""), rule->code ? rule->code : "ANOTHER");
		else if (rule->code != NULL)
			snprintf(body, sizeof(body), "{\"code\":\"%s\",\"message\":\"m\"}", rule->code);
		else
			snprintf(body, sizeof(body), "{}");
		e = read_simple(rule->call, status, body, status < 300);
		ok(e.verdict == rule->verdict, "row %d: %s %d %s is %s", i,
		   channel_call_name(rule->call), rule->http_status,
		   rule->code ? rule->code : "(any)", verdict_name(rule->verdict));
		ok(e.proof == rule->signed_only, "and proof only if it is signed");
		ok(e.failing == (status >= 400), "it fails, or does not");
		is_int(e.http_status, status, "its status");
		ok(rule->comment[0] != '\0' && strlen(rule->source) == 10, "with a comment and a page");
		ok(channel_judge(transfer, rule->call, rule->http_status, rule->code) == rule,
		   "and no row before it hides it");
		ok(rule->signed_only == (rule->http_status == 200 && rule->call != CALL_CANCEL),
		   "a state is proof, and nothing else is");
		if (rule->call == CALL_CANCEL)
			ok(rule->verdict == VERDICT_ASK || rule->verdict == VERDICT_UNKNOWN,
			   "a cancel's answer ends nothing");
	}
}

static void
test_created(void)
{
	ChannelEvidence e = read_simple(CALL_SUBMIT, 200, CREATED("WAIT_USER_CONFIRM",
															  ",\"package_info\":\"affffddafdfafddffda==\""),
									true);

	ok(e.verdict == VERDICT_ACCEPTED && e.proof && e.authentic, "a transfer that waits for its payee");
	is_str(e.code, "WAIT_USER_CONFIRM", "says for whom it waits");
	is_str(e.handover, "affffddafdfafddffda==", "and what the app needs for it");
	is_str(e.merchant, "1900000100", "the merchant");
	is_str(e.wire_no, instr.wire_no, "the number");
	is_str(e.channel_refund_id, BILL_NO, "WeChat's number");
	ok(!e.has_amount && e.amount == 0, "an amount that it does not give");
	ok(!e.has_payer_amount && e.currency[0] == '\0' && e.payment_no[0] == '\0' &&
	   e.channel_payment_id[0] == '\0', "and nothing that only refunds have");
	is_int(e.occurred_at, CREATED_AT, "when it was made");
	is_str(e.request_id, "08F78BB3A5-268443699", "the Request-ID");
	e = read_simple(CALL_SUBMIT, 200, CREATED("ACCEPTED", ""), true);
	ok(e.verdict == VERDICT_ACCEPTED && e.handover[0] == '\0', "nothing to hand over yet");
	e = read_simple(CALL_SUBMIT, 200, CREATED("ACCEPTED", ",\"transfer_amount\":400000"), true);
	ok(e.has_amount && e.amount == 400000 && e.proof, "an amount that it gives all the same");
	e = read_simple(CALL_SUBMIT, 200, CREATED("SUCCESS", ",\"package_info\":\"x\""), true);
	ok(e.verdict == VERDICT_SUCCEEDED && e.handover[0] == '\0', "nor when it is over");
	e = read_simple(CALL_SUBMIT, 200, CREATED("WAIT_USER_CONFIRM", ",\"package_info\":7"), true);
	ok(e.verdict == VERDICT_ACCEPTED && e.handover[0] == '\0', "nor what is no text");
}

/* Half of a package_info would be of no use. */
static void
test_handover(void)
{
	int			len;

	for (len = 1023; len <= 1026; len++)
	{
		Buf			body = BUF_INIT;
		ChannelEvidence e;
		size_t		head;

		buf_adds(&body, "{\"out_bill_no\":\"plfk2020042013\",\"state\":\"WAIT_USER_CONFIRM\","
				 "\"package_info\":\"");
		head = body.len;
		while (body.len < head + (size_t) len)
			buf_addc(&body, 'p');
		buf_adds(&body, "\"}");
		e = read_simple(CALL_SUBMIT, 200, buf_str(&body), true);
		is_int(strspn(e.handover, "p"), len <= 1024 ? len : 0, "whole, or not at all");
		ok((strstr(e.message, "package_info") != NULL) == (len > 1024), "which is said");
		ok(e.verdict == VERDICT_ACCEPTED && e.proof, "and the state counts either way");
		buf_free(&body);
	}
}

static void
test_queried(void)
{
	ChannelEvidence e = read_simple(CALL_QUERY, 200, QUERIED("SUCCESS", ""), true);

	ok(e.verdict == VERDICT_SUCCEEDED && e.proof && e.authentic, "a success");
	ok(e.has_amount && e.amount == 400000, "the amount");
	is_str(e.code, "SUCCESS", "the state");
	is_str(e.detail, "", "no detail");
	is_str(e.message, "", "no message");
	is_int(e.occurred_at, UPDATED_AT, "when it came about");
	e = read_simple(CALL_QUERY, 200, QUERIED("SUCCESS", ",\"fail_reason\":\"NAME_NOT_CORRECT\""), true);
	ok(e.detail[0] == '\0' && e.message[0] == '\0', "a reason of what has not failed is none");
	e = read_simple(CALL_QUERY, 200, QUERIED("FAIL", ",\"fail_reason\":\"NAME_NOT_CORRECT\""), true);
	ok(e.verdict == VERDICT_DEAD && e.proof, "a failure");
	is_str(e.code, "FAIL", "whose state can still be judged");
	is_str(e.detail, "NAME_NOT_CORRECT", "with its reason");
	has(e.message, "NAME_NOT_CORRECT: the name is not the one", "and what that means");
	e = read_simple(CALL_QUERY, 200, QUERIED("FAIL", ",\"fail_reason\":\"A_NEW_REASON\""), true);
	is_str(e.detail, "A_NEW_REASON", "a reason that is new");
	has(e.message, "does not document", "is said to be");
	e = read_simple(CALL_QUERY, 200, QUERIED("FAIL", ",\"fail_reason\":\"" KIT_OPENID "\""), true);
	ok(e.verdict == VERDICT_DEAD && e.detail[0] == '\0', "one that is no code is not shown");
	e = read_simple(CALL_QUERY, 200, QUERIED("FAIL", ",\"fail_reason\":\"A234567890123456789012345678901234567890"
											 "123456789012345678901234\""), true);
	is_int(strlen(e.detail), 64, "one of 64 characters is");
	e = read_simple(CALL_QUERY, 200, QUERIED("FAIL", ",\"fail_reason\":\"A234567890123456789012345678901234567890"
											 "1234567890123456789012345\""), true);
	is_int(strlen(e.detail), 0, "one of 65 is not");
	e = read_simple(CALL_QUERY, 200, QUERIED("FAIL", ""), true);
	ok(e.verdict == VERDICT_DEAD && e.message[0] == '\0', "none at all");
	e = read_simple(CALL_QUERY, 200, QUERIED("CANCELLED", ""), true);
	ok(e.verdict == VERDICT_CANCELED && e.proof, "a cancelation is what the query says");
	e = read_simple(CALL_QUERY, 200, QUERIED("WAIT_USER_CONFIRM", ",\"package_info\":\"x\""), true);
	is_str(e.handover, "x", "a package_info in a query's answer is as good");
	e = read_simple(CALL_QUERY, 200, QUERIED("FROBNICATED", ""), true);
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof && e.authentic, "an unlisted state is unknown");
	e = read_simple(CALL_QUERY, 200, QUERIED("CANCELED", ""), true);
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "a state is spelt as WeChat spells it");
	is_str(wechat_fail_reason("TRANSFER_RISK"), "WeChat stopped it as a risk", "a reason in words");
	ok(wechat_fail_reason("TRANSFER") == NULL, "a part of one is none");
}

static void
test_canceled(void)
{
	ChannelEvidence e = read_simple(CALL_CANCEL, 200, CANCELED("CANCELLED"), true);

	ok(e.verdict == VERDICT_ASK && !e.proof && e.authentic, "\"canceled\" is to be asked about");
	is_str(e.code, "CANCELLED", "its state");
	is_str(e.wire_no, instr.wire_no, "its number");
	e = read_simple(CALL_CANCEL, 200, CANCELED("CANCELING"), true);
	ok(e.verdict == VERDICT_ASK && !e.proof, "so is \"canceling\"");
	e = read_simple(CALL_CANCEL, 200, CANCELED("SUCCESS"), true);
	ok(e.verdict == VERDICT_ASK && !e.proof, "and any other word");
	e = read_simple(CALL_CANCEL, 200, CANCELED("CANCELLED"), false);
	ok(e.verdict == VERDICT_UNKNOWN && !e.authentic, "one that nobody signed");
	e = read_simple(CALL_CANCEL, 400, "{\"code\":\"INVALID_REQUEST\"}", false);
	is_int(e.verdict, VERDICT_ASK, "a refusal refuses the cancelation, not the transfer");
}

/* ---- what must not be believed ---- */

static void
not_believed(ChannelCall call, int status, const char *body, bool is_signed, const char *name)
{
	ChannelEvidence e = read_simple(call, status, body, is_signed);

	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "proves nothing: %s", name);
	ok(!e.has_amount && e.channel_refund_id[0] == '\0' && e.handover[0] == '\0' && e.code[0] == '\0',
	   "and nothing of it was used");
	is_str(e.wire_no, instr.wire_no, "though we know what was asked");
	ok(e.message[0] != '\0', "and why");
}

static void
test_not_believed(void)
{
	HttpAnswer	a;
	ChannelEvidence e;
	const char *good = QUERIED("SUCCESS", "");
	int			wrong = 0;
	int			i;

	not_believed(CALL_SUBMIT, 200, CREATED("WAIT_USER_CONFIRM", ",\"package_info\":\"x\""), false,
				 "without a signature");
	for (i = 0; i < (int) strlen(good); i++)
	{
		make_answer(&a, 200, good, true);
		a.body.data[i] ^= 0x01;
		e = read_with(CALL_QUERY, &instr, &a);
		wrong += e.verdict != VERDICT_UNKNOWN || e.proof;
	}
	is_int(wrong, 0, "no flipped byte of the body is believed");
	for (i = 1; i < 6; i++)
	{
		make_answer(&a, 200, good, true);
		a.headers.item[i].value[0] ^= 0x02;
		e = read_with(CALL_QUERY, &instr, &a);
		ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "header %d damaged", i);
	}
	make_answer(&a, 200, good, true);
	free(a.headers.item[0].value);
	a.headers.item[0].value = strdup("text/xml");
	e = read_with(CALL_QUERY, &instr, &a);
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "another content type");
	not_believed(CALL_QUERY, 200, "[1]", true, "no object");
	not_believed(CALL_QUERY, 200, "", true, "nothing");
	not_believed(CALL_QUERY, 204, "", true, "204 is not documented");
	e = read_simple(CALL_QUERY, 299, "", true);
	ok(e.verdict == VERDICT_UNKNOWN && e.authentic, "nor is 299, though somebody signed it");
	e = read_simple(CALL_QUERY, 300, "", true);
	ok(e.verdict == VERDICT_UNKNOWN && !e.authentic, "300 is not even looked at");
	not_believed(CALL_SUBMIT, 202, CREATED("SUCCESS", ""), true, "202 is not processed");
	not_believed(CALL_CANCEL, 202, "", true, "for a cancel neither");
	not_believed(CALL_QUERY, 200, "{\"out_bill_no\":\"plfk2020042013\",\"transfer_amount\":400000}", true,
				 "no state");
	not_believed(CALL_QUERY, 200, "{\"state\":\"SUCCESS\",\"transfer_amount\":400000}", true, "no number");
	not_believed(CALL_QUERY, 200, "{\"out_bill_no\":\"plfk2020042013\",\"state\":\"SUCCESS\"}", true,
				 "a query without an amount");
	not_believed(CALL_QUERY, 200, "{\"out_bill_no\":\"plfk2020042013\",\"state\":\"SUCCESS\","
				 "\"transfer_amount\":\"400000\"}", true, "an amount that is a text");
	not_believed(CALL_SUBMIT, 200, CREATED("SUCCESS", ",\"transfer_amount\":400000.0"), true,
				 "one that is no integer, where none was needed");
	not_believed(CALL_SUBMIT, 200, CREATED("SUCCESS", ",\"transfer_amount\":-400000"), true, "a negative one");
	not_believed(CALL_SUBMIT, 200, "{\"out_bill_no\":\"plfk2020042013\",\"state\":\"SUCCESS\","
				 "\"transfer_bill_no\":\"12345678901234567890123456789012345678901234567890123456789012345\"}",
				 true, "a number of WeChat's that is too long");
	not_believed(CALL_SUBMIT, 200, CREATED("SUCCESS", ",\"state\":\"FAIL\""), true, "two states");
}

static void
test_other_calls(void)
{
	HttpAnswer	a;
	ChannelEvidence e;
	ChannelInstruction i = instr;

	not_believed(CALL_QUERY, 200, "{\"out_bill_no\":\"plfk2020042014\",\"state\":\"SUCCESS\","
				 "\"transfer_amount\":400000}", true, "another number");
	not_believed(CALL_CANCEL, 200, "{\"out_bill_no\":\"plfk2020042014\",\"state\":\"CANCELLED\"}", true,
				 "another's cancelation");
	not_believed(CALL_QUERY, 200, "{\"out_bill_no\":\"plfk2020042013\",\"state\":\"SUCCESS\","
				 "\"transfer_amount\":400001}", true, "another amount");
	not_believed(CALL_SUBMIT, 200, CREATED("SUCCESS", ",\"transfer_amount\":399999"), true,
				 "another amount in a submit's answer");
	not_believed(CALL_QUERY, 200, "{\"mch_id\":\"1900000101\",\"out_bill_no\":\"plfk2020042013\","
				 "\"state\":\"SUCCESS\",\"transfer_amount\":400000}", true, "another merchant");
	e = read_simple(CALL_QUERY, 200, "{\"out_bill_no\":\"plfk2020042013\",\"state\":\"SUCCESS\","
					"\"transfer_amount\":400000}", true);
	ok(e.verdict == VERDICT_SUCCEEDED && e.proof, "the least that a query's answer must have");
	is_int(e.occurred_at, 0, "without a time");

	i.wire_no = NULL;
	make_answer(&a, 200, QUERIED("SUCCESS", ""), true);
	e = read_with(CALL_QUERY, &i, &a);
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "an answer to nothing that was asked");
	make_answer(&a, 200, QUERIED("SUCCESS", ""), true);
	e = read_with(CALL_QUERY, NULL, &a);
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "or by nobody");
}

/* ---- errors ---- */

static void
message_is(const char *said, const char *kept, const char *name)
{
	char		body[4096];
	ChannelEvidence e;

	snprintf(body, sizeof(body), "{\"code\":\"PARAM_ERROR\",\"message\":\"%s\"}", said);
	e = read_simple(CALL_SUBMIT, 400, body, false);
	is_str(e.message, kept, name);
}

/* Run together with other words, and just where the text is cut. */
static void
test_words(void)
{
	char		text[1024];
	char		body[2048];
	int			pad;
	int			shown = 0;

	message_is("openid " KIT_OPENID " is wrong", "openid **** is wrong", "an openid is not repeated");
	message_is(KIT_OPENID, "****", "alone");
	message_is("[" KIT_OPENID "],[" KIT_OPENID "]", "[****],[****]", "twice");
	message_is("transfer_scene_report_infos", "transfer_scene_report_infos", "a member's name is");
	message_is("TRANSFER_SCENE_UNAVAILABLE", "TRANSFER_SCENE_UNAVAILABLE", "a code is");
	message_is("Wechatpay-Serial 1900000100", "Wechatpay-Serial 1900000100", "a header and a number are");
	message_is("1234567890123456789", "1234567890123456789", "19 characters are");
	message_is("12345678901234567890", "****", "20 are not");
	message_is("\xe5\xbc\xa0" KIT_OPENID "\xe4\xb8\x89", "\xe5\xbc\xa0****\xe4\xb8\x89", "between Chinese");
	for (pad = 200; pad < 300; pad++)
	{
		ChannelEvidence e;

		memset(text, ' ', sizeof(text));
		strcpy(text + pad, KIT_OPENID);
		snprintf(body, sizeof(body), "{\"code\":\"PARAM_ERROR\",\"message\":\"%s\"}", text);
		e = read_simple(CALL_SUBMIT, 400, body, false);
		shown += strstr(e.message, "o-MY") != NULL;
	}
	is_int(shown, 0, "nor where the text is cut");

	/* a word without end is not kept, for who knows what it would have been */
	strcpy(text, "see ");
	memset(text + 4, 'A', 64);
	text[68] = '\0';
	message_is(text, text, "a word of 64 characters is");
	text[68] = 'A';
	text[69] = '\0';
	message_is(text, "see ", "one of 65 is not, nor what follows");
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
	ok(!e.proof && !e.authentic, "and is no proof");
	is_str(e.request_id, "08F78BB3A5-268443699", "the Request-ID of an error");
	e = read_simple(CALL_SUBMIT, 400, "{\"code\":\"PARAM_ERROR\",\"message\":\"m\",\"detail\":"
					"{\"field\":\"/openid\",\"value\":\"" KIT_OPENID "\"}}", false);
	ok(e.verdict == VERDICT_REFUSED && !mentions_payee(&e), "the value in an error's detail is not read");
	is_int(read_simple(CALL_SUBMIT, 400, "{\"code\":\"ALREADY_EXISTS\"}", false).verdict, VERDICT_ASK,
		   "our number, finished: ask");
	is_int(read_simple(CALL_SUBMIT, 404, "{\"code\":\"NOT_FOUND\"}", false).verdict, VERDICT_UNKNOWN,
		   "404 on submit is nobody's answer");
	is_int(read_simple(CALL_QUERY, 404, "{\"code\":\"NOT_FOUND\"}", false).verdict, VERDICT_NOT_FOUND,
		   "404 on query: no such transfer");
	is_int(read_simple(CALL_QUERY, 404, "{\"code\":\"RESOURCE_NOT_EXISTS\"}", false).verdict,
		   VERDICT_UNKNOWN, "which refunds call otherwise");
	is_int(read_simple(CALL_QUERY, 404, "", false).verdict, VERDICT_UNKNOWN, "404 of a gateway");
	is_int(read_simple(CALL_QUERY, 400, "{\"code\":\"INVALID_REQUEST\"}", false).verdict,
		   VERDICT_UNKNOWN, "a refused question says nothing of the transfer");
	is_int(read_simple(CALL_SUBMIT, 403, "{\"code\":\"A_NEW_CODE\"}", false).verdict,
		   VERDICT_UNKNOWN, "an unlisted code is unknown, not failed");
	is_int(read_simple(CALL_SUBMIT, 418, "", false).verdict, VERDICT_UNKNOWN, "a status likewise");
	is_int(read_simple(CALL_SUBMIT, 301, "", false).verdict, VERDICT_UNKNOWN, "a redirect");
	is_int(read_simple(CALL_CANCEL, 500, "", false).verdict, VERDICT_UNKNOWN, "a cancel's 500");
	is_int(read_simple(CALL_SUBMIT, 401, "", false).verdict, VERDICT_UNKNOWN,
		   "a 401 without SIGN_ERROR is not WeChat's");
	make_answer(&a, 403, "{\"code\":\"USER_ERROR\"}", false);
	free(a.headers.item[0].value);
	a.headers.item[0].value = strdup("text/html");
	is_int(read_with(CALL_SUBMIT, &instr, &a).verdict, VERDICT_UNKNOWN, "a proxy's page");
	e = read_simple(CALL_QUERY, 429, "{\"code\":\"FREQUENCY_LIMITED\"}", false);
	ok(e.verdict == VERDICT_UNKNOWN && e.retry_after == 60, "a throttled query waits a minute");
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
	is_str(e.wire_no, instr.wire_no, "for our number");
	http_answer_init(&a);
	a.outcome = HTTP_NOT_SENT;
	is_int(read_with(CALL_CANCEL, &instr, &a).verdict, VERDICT_UNKNOWN,
		   "a cancel that was not sent says nothing of the transfer");
	http_answer_init(&a);
	a.outcome = HTTP_SENT_UNKNOWN;
	a.status = 200;
	e = read_with(CALL_SUBMIT, &instr, &a);
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "a time-out is unknown, never failed");
	is_int(e.http_status, 0, "whatever status stood there");
}

static void
test_digests(void)
{
	ChannelEvidence a = read_simple(CALL_QUERY, 404, "{\"code\":\"NOT_FOUND\"}", false);
	ChannelEvidence b;
	HttpAnswer	answer;

	make_answer(&answer, 404, "{\"code\":\"NOT_FOUND\"}", false);
	transfer->read_answer(config, CALL_QUERY, &instr, &answer, KIT_NOW, &b);
	ok(memcmp(a.digest, b.digest, 32) == 0, "one answer read twice has one digest");
	transfer->read_answer(config, CALL_QUERY, &instr, &answer, KIT_NOW + 60, &b);
	ok(memcmp(a.digest, b.digest, 32) != 0, "a minute later it is another answer");
	transfer->read_answer(config, CALL_CANCEL, &instr, &answer, KIT_NOW, &b);
	ok(memcmp(a.digest, b.digest, 32) != 0, "as is the answer to another call");
	http_answer_free(&answer);
}

int
main(void)
{
	ChannelSource source = {KIT_CONFIG, kit_read_key, NULL};
	ChannelError err;

	wechat = channel_lookup("wechat");
	transfer = wechat->transfer;
	kit_start();
	config = wechat->open(&source, &err);
	if (!ok(config != NULL, "a configuration"))
		return unit_done();
	test_every_row();
	test_created();
	test_handover();
	test_queried();
	test_canceled();
	test_not_believed();
	test_other_calls();
	test_words();
	test_errors();
	test_transport();
	test_digests();
	wechat->close(config);
	kit_stop();
	return unit_done();
}
