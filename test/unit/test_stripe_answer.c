/*-------------------------------------------------------------------------
 *
 * test_stripe_answer.c
 *	  What Stripe's answers mean: every row of the verdict table, lists and
 *	  their pages, and everything that must not be believed.
 *
 * test/unit/test_stripe_answer.c
 *
 *-------------------------------------------------------------------------
 */
#include "channel/stripe.h"
#include "stripekit.h"
#include "unit.h"

#define ERROR_BODY(type, code) \
	"{\"error\":{\"type\":\"" type "\",\"code\":\"" code "\",\"message\":\"m\"}}"
#define LIST(items, more) \
	"{\"object\":\"list\",\"url\":\"/v1/refunds\",\"has_more\":" more ",\"data\":[" items "]}"

/* An entry of a list: of our payment, of another number. */
#define ENTRY(id, no, status) \
	"{\"id\":\"" id "\",\"object\":\"refund\",\"amount\":1000,\"currency\":\"usd\",\"created\":1," \
	"\"charge\":\"ch_1NirD82eZvKYlo2CIvbtLWuY\",\"payment_intent\":\"pi_1GszsK2eZvKYlo2CfhZyoZLp\"," \
	"\"metadata\":" no ",\"status\":\"" status "\"}"
#define NO(no)	"{\"refundx_no\":\"" no "\"}"

static const Channel *stripe;
static void *config;
static const ChannelInstruction instr = {
	.wire_no = "R-1", .amount = 1000, .currency = "USD", .payment_no = "P-1",
	.channel_payment_id = "pi_1GszsK2eZvKYlo2CfhZyoZLp", .payment_amount = 2000,
};

static void
make_answer(HttpAnswer *a, int status, const char *body)
{
	http_answer_init(a);
	a->outcome = HTTP_ANSWERED;
	a->status = status;
	buf_adds(&a->body, body);
	http_header_add(&a->headers, "Content-Type", "application/json");
	http_header_add(&a->headers, "Request-Id", "req_1Nispe2eZvKYlo");
}

static ChannelEvidence
read_with(ChannelCall call, const ChannelInstruction *i, HttpAnswer *a)
{
	ChannelEvidence e;

	memset(&e, 0x55, sizeof(e));
	stripe->refund->read_answer(config, call, i, a, SKIT_NOW, &e);
	http_answer_free(a);
	return e;
}

static ChannelEvidence
read_simple(ChannelCall call, int status, const char *body)
{
	HttpAnswer	a;

	make_answer(&a, status, body);
	return read_with(call, &instr, &a);
}

static ChannelEvidence
read_query(const ChannelInstruction *i, const char *body)
{
	HttpAnswer	a;

	make_answer(&a, 200, body);
	return read_with(CALL_QUERY, i, &a);
}

static ChannelEvidence
read_replayed(int status, const char *body)
{
	HttpAnswer	a;

	make_answer(&a, status, body);
	http_header_add(&a.headers, "Idempotent-Replayed", "true");
	return read_with(CALL_SUBMIT, &instr, &a);
}

/* ---- every row of the table, through the reader and not past it ---- */

static void
body_for(const VerdictRule *rule, int status, Buf *body)
{
	const char *code = rule->code;

	buf_reset(body);
	if (rule->call == CALL_ECHO && status == 200)
		buf_addf(body, "{\"id\":\"%s\",\"object\":\"account\"}",
				 code ? "acct_other" : SKIT_ACCOUNT);
	else if (status == 200 && strcmp(code, STRIPE_NOT_LISTED) == 0)
		buf_adds(body, LIST("", "false"));
	else if (status == 200)
	{
		char		text[2048];

		snprintf(text, sizeof(text), SKIT_REFUND("%s", ""), code);
		buf_adds(body, text);
	}
	else if (code != NULL && strcmp(code, STRIPE_REPLAYED) == 0)
		buf_adds(body, ERROR_BODY("invalid_request_error", "balance_insufficient"));
	else if (code != NULL && strstr(code, "_error") != NULL)
		buf_addf(body, "{\"error\":{\"type\":\"%s\",\"message\":\"m\"}}", code);
	else if (code != NULL)
		buf_addf(body, "{\"error\":{\"type\":\"invalid_request_error\",\"code\":\"%s\"}}", code);
	else
		buf_adds(body, "{}");
}

static void
test_every_row(void)
{
	Buf			body = BUF_INIT;
	int			i;

	for (i = 0; i < stripe->refund->verdict_count; i++)
	{
		const VerdictRule *rule = &stripe->refund->verdicts[i];
		int			status = rule->http_status ? rule->http_status : 400;
		ChannelEvidence e;

		body_for(rule, status, &body);
		e = rule->code != NULL && strcmp(rule->code, STRIPE_REPLAYED) == 0 ?
			read_replayed(status, buf_str(&body)) :
			read_simple(rule->call, status, buf_str(&body));
		ok(e.verdict == rule->verdict, "row %d: %s %d %s is %s", i,
		   channel_call_name(rule->call), rule->http_status,
		   rule->code ? rule->code : "(any)", verdict_name(rule->verdict));
		ok(e.proof == rule->signed_only, "and proof only of a refund");
		is_int(e.http_status, status, "its status");
		ok(rule->comment[0] != '\0' && rule->source[0] != '\0', "with a comment and a source");
		ok(channel_judge(stripe->refund, rule->call, rule->http_status, rule->code) == rule,
		   "and no row before it hides it");
	}
	buf_free(&body);
}

/* ---- a refund ---- */

static void
test_success(void)
{
	ChannelEvidence e = read_simple(CALL_SUBMIT, 200,
									SKIT_REFUND("succeeded", ",\"destination_details\":{\"type\":\"card\","
												"\"card\":{\"reference\":\"4242424242424242\"}}"));

	ok(e.verdict == VERDICT_SUCCEEDED && e.proof && e.authentic, "a success is proof");
	is_str(e.merchant, SKIT_ACCOUNT, "the account");
	is_str(e.wire_no, "R-1", "the number");
	is_str(e.channel_refund_id, "re_1Nispe2eZvKYlo2Cd31jOCgZ", "the refund's id");
	is_str(e.channel_payment_id, instr.channel_payment_id, "the payment, as it is recorded");
	ok(e.has_amount && e.amount == 1000 && !e.has_payer_amount, "one amount");
	is_str(e.currency, "USD", "its currency, as ISO has it");
	is_str(e.code, "succeeded", "the status");
	is_str(e.detail, "card", "where it went, without its number");
	is_str(e.request_id, "req_1Nispe2eZvKYlo", "the Request-Id");
	is_int(e.occurred_at, INT64_C(1692942318000000), "the time");
	ok(!e.failing && !e.more && e.cursor[0] == '\0', "and no more of it");

	e = read_simple(CALL_SUBMIT, 200, SKIT_REFUND("pending", ",\"pending_reason\":\"insufficient_funds\""));
	has(e.message, "pending: insufficient_funds; the Stripe balance is too low", "why it is pending");
	is_str(e.detail, "", "nobody has received it");
	e = read_simple(CALL_SUBMIT, 200, SKIT_REFUND("pending", ",\"pending_reason\":\"charge_pending\""));
	has(e.message, "has not settled yet", "or the payment is");
	e = read_simple(CALL_SUBMIT, 200, SKIT_REFUND("requires_action", ""));
	has(e.message, "the customer must act", "who must act");
	e = read_simple(CALL_QUERY, 200, SKIT_REFUND("failed", ",\"failure_reason\":\"expired_or_canceled_card\""));
	has(e.message, "failed: expired_or_canceled_card; the money is back", "why it failed");
	e = read_simple(CALL_QUERY, 200, SKIT_REFUND("failed", ",\"failure_reason\":\"card 4242424242424242\""));
	has(e.message, "card ****4242;", "without a long number");
	e = read_simple(CALL_QUERY, 200, SKIT_REFUND("canceled", ",\"failure_reason\":\"merchant_request\""));
	has(e.message, "canceled: merchant_request", "why it was canceled");
	e = read_simple(CALL_QUERY, 200, SKIT_REFUND("frobnicated", ""));
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "an unlisted status is unknown");
	is_str(e.code, "frobnicated", "and is told");
}

/* A 2xx that proves nothing. */
static void
not_believed(const char *body, const char *name)
{
	ChannelCall call;

	for (call = CALL_SUBMIT; call <= CALL_QUERY; call++)
	{
		ChannelEvidence e = read_simple(call, 200, body);

		ok(e.verdict == VERDICT_UNKNOWN && !e.proof && !e.more, "not believed: %s", name);
		ok(!e.has_amount && e.code[0] == '\0' && e.channel_refund_id[0] == '\0', "and not used");
		is_str(e.wire_no, "R-1", "though we know what was asked");
	}
}

/* SKIT_REFUND with one part replaced. */
static const char *
changed(const char *from, const char *to)
{
	static char text[2048];
	const char *body = SKIT_REFUND("succeeded", "");
	const char *at = strstr(body, from);

	if (at == NULL)
		abort();
	snprintf(text, sizeof(text), "%.*s%s%s", (int) (at - body), body, to, at + strlen(from));
	return text;
}

static void
test_not_believed(void)
{
	HttpAnswer	a;
	ChannelEvidence e;

	not_believed("", "nothing");
	not_believed("[1]", "a list");
	not_believed("{}", "an empty object");
	not_believed(changed("\"refund\"", "\"charge\""), "another object");
	not_believed(changed("\"id\":\"re_1Nispe2eZvKYlo2Cd31jOCgZ\",", ""), "no id");
	not_believed(changed("re_1Nispe", "re 1Nispe"), "no id of Stripe's");
	not_believed(changed("\"status\":\"succeeded\",", ""), "no status");
	not_believed(changed("\"succeeded\"", "null"), "a status of null");
	not_believed(changed("\"succeeded\"", "7"), "a status that is no text");
	not_believed(changed("\"amount\":1000,", ""), "no amount");
	not_believed(changed("1000", "-1000"), "a negative one");
	not_believed(changed("1000", "1000.0"), "a fraction");
	not_believed(changed("1000", "\"1000\""), "a text");
	not_believed(changed("\"currency\":\"usd\",", ""), "no currency");
	not_believed(changed("usd", "us"), "half a currency");
	not_believed(changed("usd", "u5d"), "none");
	not_believed(changed("{\"refundx_no\":\"R-1\"}", "{}"), "no number");
	not_believed(changed("{\"refundx_no\":\"R-1\"}", "null"), "no metadata");
	not_believed(changed("{\"refundx_no\":\"R-1\"}", "[]"), "metadata that is none");
	not_believed(changed("\"R-1\"", "1"), "a number that is no text");
	not_believed(changed("R-1", "R-2"), "another number");
	not_believed(changed("R-1", "R-1 "), "nearly ours");
	not_believed(changed("1000", "1001"), "another amount");
	not_believed(changed("usd", "eur"), "another currency");
	not_believed(changed("pi_1Gszs", "pi_2Gszs"), "another payment");
	not_believed(changed("\"pi_1GszsK2eZvKYlo2CfhZyoZLp\"", "7"), "a payment that is none");
	not_believed(changed("\"status\"", "\"id\":\"re_2\",\"status\""), "a member twice");

	make_answer(&a, 200, SKIT_REFUND("succeeded", ""));
	free(a.headers.item[0].value);
	a.headers.item[0].value = strdup("text/html");
	e = read_with(CALL_SUBMIT, &instr, &a);
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof && !e.authentic, "another content type");
	e = read_simple(CALL_SUBMIT, 201, SKIT_REFUND("succeeded", ""));
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "another 2xx");
	e = read_simple(CALL_SUBMIT, 302, SKIT_REFUND("succeeded", ""));
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "a redirect");
	e = read_simple(CALL_SUBMIT, 200, LIST(ENTRY("re_1", NO("R-1"), "succeeded"), "false"));
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "a list is no answer to a submit");
	make_answer(&a, 200, SKIT_REFUND("succeeded", ""));
	e = read_with(CALL_SUBMIT, NULL, &a);
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof, "an answer to nobody");
}

static void
test_payments(void)
{
	ChannelInstruction i = instr;
	ChannelEvidence e;

	i.channel_payment_id = "ch_1NirD82eZvKYlo2CIvbtLWuY";
	e = read_query(&i, SKIT_REFUND("succeeded", ""));
	ok(e.verdict == VERDICT_SUCCEEDED && e.proof, "a payment known by its charge");
	is_str(e.channel_payment_id, i.channel_payment_id, "is told by its charge");
	i.channel_payment_id = "ch_2";
	e = read_query(&i, SKIT_REFUND("succeeded", ""));
	ok(e.verdict == VERDICT_UNKNOWN, "another charge");
	has(e.message, "another payment", "in plain words");
	e = read_query(&instr, changed("\"pi_1GszsK2eZvKYlo2CfhZyoZLp\"",
								   "{\"id\":\"pi_1GszsK2eZvKYlo2CfhZyoZLp\",\"object\":\"payment_intent\"}"));
	ok(e.verdict == VERDICT_SUCCEEDED, "a payment that is expanded");
	e = read_query(&instr, changed("\"pi_1GszsK2eZvKYlo2CfhZyoZLp\"", "null"));
	ok(e.verdict == VERDICT_SUCCEEDED, "what it does not say cannot differ");
	i = instr;
	i.channel_refund_id = "re_1Nispe2eZvKYlo2Cd31jOCgZ";
	e = read_query(&i, SKIT_REFUND("succeeded", ""));
	ok(e.verdict == VERDICT_SUCCEEDED && e.proof, "a refund asked for by its id");
	i.channel_refund_id = "re_2";
	e = read_query(&i, SKIT_REFUND("succeeded", ""));
	ok(e.verdict == VERDICT_UNKNOWN, "another refund than was asked for");

	/* one that was made in the Dashboard, and adopted here under its id */
	i = instr;
	i.wire_no = "re_1Nispe2eZvKYlo2Cd31jOCgZ";
	e = read_query(&i, changed("{\"refundx_no\":\"R-1\"}", "{}"));
	ok(e.verdict == VERDICT_SUCCEEDED && e.proof, "an adopted refund");
	e = read_query(&i, SKIT_REFUND("succeeded", ""));
	ok(e.verdict == VERDICT_UNKNOWN, "but not one that has a number");

	/* another unit on the wire */
	i = instr;
	i.currency = "ISK";
	i.amount = 10;
	e = read_query(&i, changed("usd", "isk"));
	ok(e.verdict == VERDICT_SUCCEEDED && e.amount == 10, "1000 of Stripe's are 10 kronur");
	i.amount = 1000;
	e = read_query(&i, changed("usd", "isk"));
	ok(e.verdict == VERDICT_UNKNOWN, "and not 1000");
	i.currency = "MGA";
	i.amount = 100000;
	e = read_query(&i, changed("usd", "mga"));
	ok(e.verdict == VERDICT_SUCCEEDED && e.amount == 100000, "1000 ariary are 100000 of ISO's");
	e = read_query(&instr, changed("usd", "xts"));
	has(e.message, "cannot have", "an amount in no currency");
	ok(e.verdict == VERDICT_UNKNOWN, "is none");
}

/* ---- lists ---- */

static void
test_lists(void)
{
	ChannelInstruction i = instr;
	ChannelEvidence e;

	e = read_query(&i, LIST(ENTRY("re_3", NO("R-3"), "succeeded") "," ENTRY("re_1", NO("R-1"), "pending"),
							"true"));
	ok(e.verdict == VERDICT_ACCEPTED && e.proof && !e.more, "found on the page");
	is_str(e.channel_refund_id, "re_1", "with its id");
	e = read_query(&i, LIST("", "false"));
	ok(e.verdict == VERDICT_NOT_FOUND && !e.proof && !e.more, "an empty list: not found");
	is_str(e.wire_no, "R-1", "of our number");
	is_str(e.code, STRIPE_NOT_LISTED, "in the table's words");
	e = read_query(&i, LIST(ENTRY("re_3", NO("R-3"), "succeeded") "," ENTRY("re_2", "{}", "succeeded"),
							"false"));
	ok(e.verdict == VERDICT_NOT_FOUND, "the last page, without ours");
	e = read_query(&i, LIST(ENTRY("re_2", NO("r-1"), "succeeded") "," ENTRY("re_3", NO("R-11"), "succeeded"),
							"false"));
	ok(e.verdict == VERDICT_NOT_FOUND, "numbers are compared exactly");

	e = read_query(&i, LIST("{\"id\":\"re_2\",\"object\":\"refund\",\"amount\":1,\"currency\":\"usd\","
							"\"status\":null}," ENTRY("re_1", NO("R-1"), "succeeded"), "false"));
	ok(e.verdict == VERDICT_SUCCEEDED, "an old refund without a status is no obstacle");

	/* page after page */
	e = read_query(&i, LIST(ENTRY("re_9", NO("R-9"), "succeeded") "," ENTRY("re_8", "null", "failed"),
							"true"));
	ok(e.more && e.verdict == VERDICT_UNKNOWN && !e.proof, "more to come");
	is_str(e.cursor, "2:re_8", "from the last id on");
	i.cursor = "2:re_8";
	e = read_query(&i, LIST(ENTRY("re_7", NO("R-7"), "succeeded"), "true"));
	ok(e.more, "and on");
	is_str(e.cursor, "3:re_7", "the third page");
	e = read_query(&i, LIST(ENTRY("re_1", NO("R-1"), "succeeded"), "true"));
	ok(e.verdict == VERDICT_SUCCEEDED && !e.more, "found on the second page");
	e = read_query(&i, LIST("", "false"));
	ok(e.verdict == VERDICT_NOT_FOUND, "or not");

	/* a list that never ends */
	e = read_query(&i, LIST("", "true"));
	ok(e.verdict == VERDICT_UNKNOWN && !e.more, "an empty page with more behind it");
	has(e.message, "does not lead on", "in plain words");
	e = read_query(&i, LIST(ENTRY("re_8", NO("R-8"), "succeeded"), "true"));
	ok(e.verdict == VERDICT_UNKNOWN && !e.more, "the same page again");
	e = read_query(&i, LIST(ENTRY("re_7", NO("R-7"), "succeeded") "," ENTRY("re_8", NO("R-8"), "succeeded"),
							"false"));
	ok(e.verdict == VERDICT_UNKNOWN, "or one that goes back");
	i.cursor = "99:re_8";
	e = read_query(&i, LIST(ENTRY("re_7", NO("R-7"), "succeeded"), "true"));
	ok(e.more, "the last page but one");
	is_str(e.cursor, "100:re_7", "leads to the last");
	i.cursor = "100:re_8";
	e = read_query(&i, LIST(ENTRY("re_7", NO("R-7"), "succeeded"), "true"));
	ok(e.verdict == VERDICT_UNKNOWN && !e.more, "where it ends");
	has(e.message, "more refunds than are looked through", "in plain words");
	i.cursor = "rubbish";
	e = read_query(&i, LIST("", "false"));
	ok(e.verdict == VERDICT_UNKNOWN, "no not-found from a place that is none");
}

/* That ours is missing must be certain: it allows another refund. */
static void
no_not_found(const char *body, const char *name)
{
	ChannelEvidence e = read_query(&instr, body);

	ok(e.verdict == VERDICT_UNKNOWN && !e.more && !e.proof, "no not-found: %s", name);
	ok(e.message[0] != '\0', "and says why");
}

static void
test_bad_lists(void)
{
	Buf			body = BUF_INIT;
	ChannelEvidence e;
	int			i;

	no_not_found("{\"object\":\"list\",\"data\":[]}", "no has_more");
	no_not_found("{\"object\":\"list\",\"has_more\":0,\"data\":[]}", "has_more that is no boolean");
	no_not_found("{\"object\":\"list\",\"has_more\":false}", "no data");
	no_not_found("{\"object\":\"list\",\"has_more\":false,\"data\":{}}", "data that are no list");
	no_not_found("{\"object\":\"search_result\",\"has_more\":false,\"data\":[]}", "another list");
	no_not_found("{\"object\":\"list\",\"has_more\":false,\"data\":[]", "cut off");
	no_not_found(LIST("null", "false"), "an entry that is nothing");
	no_not_found(LIST("{\"object\":\"charge\",\"id\":\"ch_1\"}", "false"), "an entry that is no refund");
	no_not_found(LIST(ENTRY("re_2", "7", "succeeded"), "false"), "metadata that cannot be read");
	no_not_found(LIST(ENTRY("re_2", "{\"refundx_no\":[]}", "succeeded"), "false"), "a number that is none");
	no_not_found("{\"object\":\"list\",\"has_more\":false,\"data\":[{\"id\":\"re_2\",\"object\":\"refund\","
				 "\"amount\":1,\"currency\":\"usd\",\"status\":\"succeeded\",\"payment_intent\":\"pi_other\"}]}",
				 "a refund of another payment");
	no_not_found(LIST(ENTRY("re_2", NO("R-1"), "succeeded") "," ENTRY("re_1", NO("R-1"), "pending"),
					  "false"), "two refunds of our number");
	e = read_query(&instr, LIST(ENTRY("re_2", NO("R-1"), "succeeded") "," ENTRY("re_1", NO("R-1"), "pending"),
								"false"));
	has(e.message, "two refunds of this number: re_2 and re_1", "which a person must see");

	/* but what failed before is history */
	e = read_query(&instr, LIST(ENTRY("re_1", NO("R-1"), "failed") "," ENTRY("re_2", NO("R-1"), "succeeded"),
								"false"));
	ok(e.verdict == VERDICT_SUCCEEDED, "one that stands beside one that failed");
	is_str(e.channel_refund_id, "re_2", "is the one");
	e = read_query(&instr, LIST(ENTRY("re_2", NO("R-1"), "pending") "," ENTRY("re_1", NO("R-1"), "canceled"),
								"false"));
	is_str(e.channel_refund_id, "re_2", "in either order");
	e = read_query(&instr, LIST(ENTRY("re_2", NO("R-1"), "failed") "," ENTRY("re_1", NO("R-1"), "canceled"),
								"false"));
	is_str(e.channel_refund_id, "re_2", "of two that failed the newest");
	ok(e.verdict == VERDICT_REVERSED && e.proof, "with its status");

	/* more than was asked for */
	buf_adds(&body, "{\"object\":\"list\",\"has_more\":false,\"data\":[");
	for (i = 0; i < 101; i++)
		buf_addf(&body, "%s{\"id\":\"re_%d\",\"object\":\"refund\",\"amount\":1,\"currency\":\"usd\","
				 "\"status\":\"succeeded\"}", i ? "," : "", i + 10);
	buf_adds(&body, "]}");
	no_not_found(buf_str(&body), "101 entries");
	buf_free(&body);
	e = read_query(&instr, "{\"object\":\"list\",\"has_more\":true,\"data\":[{\"id\":\""
				   "re_123456789012345678901234567890123456789012345678901234567890\","
				   "\"object\":\"refund\",\"amount\":1,\"currency\":\"usd\",\"status\":\"succeeded\"}]}");
	ok(!e.more && e.verdict == VERDICT_UNKNOWN, "an id too long to go on from");
	e = read_query(&instr, LIST(ENTRY("re_1", NO("R-1"), "succeeded"), "false"));
	ok(e.verdict == VERDICT_SUCCEEDED && e.channel_payment_id[0] == 'p', "after all that, a good one");
}

/* ---- errors ---- */

static void
test_errors(void)
{
	HttpAnswer	a;
	ChannelEvidence e;

	e = read_simple(CALL_SUBMIT, 400, "{\"error\":{\"code\":\"charge_already_refunded\",\"doc_url\":\"x\","
					"\"message\":\"Charge ch_1 has already been refunded.\",\"type\":\"invalid_request_error\"}}");
	ok(e.verdict == VERDICT_REFUSED && !e.proof && !e.authentic, "a refusal is a hint");
	is_str(e.code, "charge_already_refunded", "its code");
	is_str(e.message, "Charge ch_1 has already been refunded.", "its words");
	is_str(e.wire_no, "R-1", "our number");
	is_str(e.request_id, "req_1Nispe2eZvKYlo", "the Request-Id of an error");
	ok(!e.failing, "and Stripe counts it against nobody");
	e = read_simple(CALL_SUBMIT, 400, "{\"error\":{\"code\":null,\"param\":\"amount\",\"message\":"
					"\"Refund amount ($20.00) is greater than charge amount ($10.00)\","
					"\"type\":\"invalid_request_error\"}}");
	ok(e.verdict == VERDICT_REFUSED, "one without a code");
	is_str(e.code, "invalid_request_error", "has its type");
	is_int(read_simple(CALL_SUBMIT, 400, ERROR_BODY("invalid_request_error", "a_new_code")).verdict,
		   VERDICT_UNKNOWN, "an unlisted code is unknown, not failed");
	is_int(read_simple(CALL_SUBMIT, 404, ERROR_BODY("invalid_request_error", "resource_missing")).verdict,
		   VERDICT_REFUSED, "no such payment, on submit");
	is_int(read_simple(CALL_QUERY, 404, ERROR_BODY("invalid_request_error", "resource_missing")).verdict,
		   VERDICT_REFUSED, "on query it is no not-found: the key may be another account's");
	is_int(read_simple(CALL_QUERY, 404, "").verdict, VERDICT_UNKNOWN, "a gateway's 404");
	is_int(read_simple(CALL_SUBMIT, 418, "").verdict, VERDICT_UNKNOWN, "a status likewise");
	is_int(read_simple(CALL_SUBMIT, 401, "<html>").verdict, VERDICT_UNKNOWN, "a 401 that is not Stripe's");
	is_int(read_simple(CALL_SUBMIT, 403, "").verdict, VERDICT_UNKNOWN, "a 403 that is not Stripe's");
	is_int(read_simple(CALL_SUBMIT, 402, ERROR_BODY("card_error", "")).verdict, VERDICT_UNKNOWN,
		   "a 402 without a code");
	is_int(read_simple(CALL_SUBMIT, 400, "{\"error\":{\"code\":7,\"type\":\"invalid_request_error\"}}").verdict,
		   VERDICT_UNKNOWN, "a code that is no text");
	is_int(read_simple(CALL_SUBMIT, 400, "{\"error\":\"x\"}").verdict, VERDICT_UNKNOWN, "an error that is none");
	e = read_simple(CALL_SUBMIT, 401, "{\"error\":{\"type\":\"invalid_request_error\",\"message\":"
					"\"Invalid API Key provided: " SKIT_LIVE_KEY ", sk_test_****abcd\"}}");
	is_int(e.verdict, VERDICT_CONFIG, "a wrong key");
	is_str(e.message, "Invalid API Key provided: sk_****, sk_****", "without the key");
	e = read_simple(CALL_SUBMIT, 400, "{\"error\":{\"type\":\"invalid_request_error\",\"message\":"
					"\"task_1 whsec_abc account 000123456789\"}}");
	is_str(e.message, "task_1 whsec_**** account ****6789", "nor other secrets");

	e = read_simple(CALL_SUBMIT, 429, ERROR_BODY("invalid_request_error", "rate_limit"));
	ok(e.verdict == VERDICT_NOT_EXECUTED && e.failing, "throttled: certainly not executed");
	e = read_simple(CALL_SUBMIT, 429, ERROR_BODY("invalid_request_error", "lock_timeout"));
	ok(e.verdict == VERDICT_UNKNOWN && e.failing, "a lock: not certainly");
	ok(read_simple(CALL_SUBMIT, 429, "").verdict == VERDICT_UNKNOWN, "nor somebody's 429");
	e = read_simple(CALL_QUERY, 429, ERROR_BODY("invalid_request_error", "rate_limit"));
	ok(e.verdict == VERDICT_UNKNOWN && e.failing, "a query that is throttled");
	ok(!read_simple(CALL_SUBMIT, 500, "").failing, "other errors do not count as failing");
	is_int(read_simple(CALL_SUBMIT, 409, ERROR_BODY("idempotency_error", "idempotency_key_in_use")).verdict,
		   VERDICT_UNKNOWN, "a call with the same key is under way");
	is_int(read_simple(CALL_SUBMIT, 400, "{\"error\":{\"type\":\"idempotency_error\",\"message\":\"Keys "
					   "for idempotent requests can only be used with the same parameters\"}}").verdict,
		   VERDICT_UNKNOWN, "the key was used with other parameters");
	make_answer(&a, 429, ERROR_BODY("invalid_request_error", "rate_limit"));
	http_header_add(&a.headers, "Retry-After", "7");
	is_int(read_with(CALL_SUBMIT, &instr, &a).retry_after, 7, "when to come again");
	make_answer(&a, 429, "");
	http_header_add(&a.headers, "Retry-After", "99999999999");
	is_int(read_with(CALL_SUBMIT, &instr, &a).retry_after, 86400, "within a day");
}

/* An answer that Stripe kept for the key says what was. */
static void
test_replayed(void)
{
	const char *empty = ERROR_BODY("invalid_request_error", "balance_insufficient");
	ChannelEvidence e;

	is_int(read_simple(CALL_SUBMIT, 400, empty).verdict, VERDICT_HOLD, "an empty balance holds the merchant");
	e = read_replayed(400, empty);
	is_int(e.verdict, VERDICT_UNKNOWN, "replayed, it says nothing about the balance of now");
	is_str(e.code, "balance_insufficient", "but is told as it is");
	is_int(read_replayed(500, "").verdict, VERDICT_UNKNOWN, "a 500 that is replayed");
	is_int(read_replayed(400, ERROR_BODY("invalid_request_error", "charge_disputed")).verdict,
		   VERDICT_REFUSED, "a refusal stays a hint");
	is_int(read_replayed(403, ERROR_BODY("invalid_request_error", "account_invalid")).verdict,
		   VERDICT_UNKNOWN, "rights of before");
	e = read_replayed(200, SKIT_REFUND("succeeded", ""));
	ok(e.verdict == VERDICT_SUCCEEDED && e.proof, "a refund that is replayed is the refund");
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
	ok(e.verdict == VERDICT_NOT_EXECUTED && e.http_status == 0, "what was not sent was not executed");
	is_str(e.code, "NOT_SENT", "its code");
	http_answer_init(&a);
	a.outcome = HTTP_SENT_UNKNOWN;
	a.status = 200;
	buf_adds(&a.body, SKIT_REFUND("succeeded", ""));
	e = read_with(CALL_SUBMIT, &instr, &a);
	ok(e.verdict == VERDICT_UNKNOWN && !e.proof && e.http_status == 0, "half an answer is none");
	is_str(e.code, "NO_ANSWER", "its code");
	http_answer_init(&a);
	a.outcome = HTTP_NOT_SENT;
	is_int(read_with(CALL_QUERY, &instr, &a).verdict, VERDICT_UNKNOWN, "a query that was not sent");
}

static void
test_echo(void)
{
	HttpAnswer	a;
	ChannelEvidence e;

	make_answer(&a, 200, "{\"id\":\"" SKIT_ACCOUNT "\",\"object\":\"account\",\"country\":\"US\"}");
	e = read_with(CALL_ECHO, NULL, &a);
	ok(e.verdict == VERDICT_SUCCEEDED && e.authentic && !e.proof, "the key is the account's");
	make_answer(&a, 200, "{\"id\":\"acct_other\",\"object\":\"account\"}");
	e = read_with(CALL_ECHO, NULL, &a);
	is_int(e.verdict, VERDICT_CONFIG, "or another's");
	has(e.message, "acct_other, the configuration names " SKIT_ACCOUNT, "which is told");
	make_answer(&a, 200, "{\"id\":\"x\",\"object\":\"customer\"}");
	e = read_with(CALL_ECHO, NULL, &a);
	ok(e.verdict == VERDICT_UNKNOWN, "no account");
	has(e.message, "is no account", "in plain words");
}

int
main(void)
{
	ChannelSource source = {SKIT_CONFIG, skit_read_key, NULL};
	ChannelError err;

	stripe = channel_lookup("stripe");
	config = stripe->open(&source, &err);
	if (config == NULL)
		return 1;
	test_every_row();
	test_success();
	test_not_believed();
	test_payments();
	test_lists();
	test_bad_lists();
	test_errors();
	test_replayed();
	test_transport();
	test_echo();
	stripe->close(config);
	return unit_done();
}
