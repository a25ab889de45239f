/*-------------------------------------------------------------------------
 *
 * test_stripe_request.c
 *	  What is sent to Stripe: the frozen form, keys and generations, queries
 *	  and their pages; what is acceptable; and every edge of the currencies.
 *
 * test/unit/test_stripe_request.c
 *
 *-------------------------------------------------------------------------
 */
#include "channel/stripe.h"
#include "stripekit.h"
#include "unit.h"

static const Channel *stripe;
static void *config;
static void *connected;

static const ChannelMoment moment = {.now = SKIT_NOW, .nonce = "0123456789abcdef0123456789abcdef"};
static const ChannelInstruction instr = {
	.wire_no = "R-1", .amount = 1000, .currency = "USD", .payment_no = "P-1",
	.channel_payment_id = "pi_1GszsK2eZvKYlo2CfhZyoZLp", .payment_amount = 2000,
};

static void
frozen_is(ChannelInstruction i, const char *want, const char *name)
{
	Buf			form = BUF_INIT;
	ChannelError err = {"", ""};

	ok(stripe->refund->freeze(config, &i, &form, &err), "freezes: %s", name);
	is_str(buf_str(&form), want, name);
	buf_free(&form);
}

static void
not_frozen(ChannelInstruction i, const char *words, const char *name)
{
	Buf			form = BUF_INIT;
	ChannelError err = {"", ""};

	ok(!stripe->refund->freeze(config, &i, &form, &err), "does not freeze: %s", name);
	has(err.message, words, "in plain words");
	buf_free(&form);
}

static void
acceptable(ChannelInstruction i, const char *name)
{
	ChannelError err = {"", ""};

	if (!ok(stripe->refund->acceptable(&i, SKIT_NOW, &err), "acceptable: %s", name))
		printf("#   %s\n", err.message);
}

static void
refused(ChannelInstruction i, const char *words, const char *name)
{
	ChannelError err = {"", ""};

	ok(!stripe->refund->acceptable(&i, SKIT_NOW, &err), "refused: %s", name);
	has(err.message, words, "in plain words");
}

/* ---- the form ---- */

static void
test_freeze(void)
{
	ChannelInstruction i = instr;
	Buf			again = BUF_INIT;
	Buf			form = BUF_INIT;
	ChannelError err;
	int			n;

	frozen_is(i, "payment_intent=pi_1GszsK2eZvKYlo2CfhZyoZLp&amount=1000&metadata%5Brefundx_no%5D=R-1",
			  "a PaymentIntent");
	i.channel_payment_id = "ch_1NirD82eZvKYlo2CIvbtLWuY";
	frozen_is(i, "charge=ch_1NirD82eZvKYlo2CIvbtLWuY&amount=1000&metadata%5Brefundx_no%5D=R-1", "a charge");
	i.channel_payment_id = "py_1";
	frozen_is(i, "charge=py_1&amount=1000&metadata%5Brefundx_no%5D=R-1", "a payment of another method");
	i = instr;
	i.wire_no = "a&b=c%+#\"";
	i.reason = "\xe9\x80\x80\xe6\xac\xbe & more\n";
	i.payment_data = "{\"reverse_transfer\":true,\"reason\":\"requested_by_customer\","
		"\"refund_application_fee\":false}";
	frozen_is(i, "payment_intent=pi_1GszsK2eZvKYlo2CfhZyoZLp&amount=1000"
			  "&metadata%5Brefundx_no%5D=a%26b%3Dc%25%2B%23%22"
			  "&metadata%5Brefundx_reason%5D=%E9%80%80%E6%AC%BE%20%26%20more%0A"
			  "&reason=requested_by_customer&refund_application_fee=false&reverse_transfer=true",
			  "everything, escaped");

	/* whatever differs between two attempts must not be in it */
	ok(stripe->refund->freeze(config, &i, &form, &err), "frozen once");
	for (n = 0; n < 3; n++)
	{
		i.generation = n;
		i.parts_before = n;
		i.channel_refund_id = n ? "re_1" : NULL;
		i.cursor = n ? "2:re_1" : NULL;
		i.notify_url = n ? "https://a.example/v1/x" : NULL;
		ok(stripe->refund->freeze(n ? connected : config, &i, &again, &err), "and again");
		is_mem(again.data, again.len, form.data, form.len, "the same bytes");
	}
	buf_free(&again);
	buf_free(&form);

	i = instr;
	i.channel_payment_id = NULL;
	not_frozen(i, "no id of Stripe's", "no payment");
	i = instr;
	i.currency = "XXX";
	not_frozen(i, "cannot be said to Stripe", "no currency");
	i = instr;
	i.wire_no = "";
	not_frozen(i, "empty", "no number");
	i = instr;
	i.reason = "\xff";
	not_frozen(i, "UTF-8", "a reason that is no text");
	i = instr;
	i.payment_data = "{\"reason\":\"other\"}";
	not_frozen(i, "duplicate, fraudulent", "another reason");
}

/* ---- requests ---- */

static const char *
header(const HttpRequest *r, const char *name)
{
	return http_header_get(&r->headers, name);
}

static void
test_submit(void)
{
	ChannelInstruction i = instr;
	HttpRequest r;
	Buf			form = BUF_INIT;
	ChannelError err;
	char		no[65];

	http_request_init(&r);
	stripe->refund->freeze(config, &i, &form, &err);
	ok(stripe->refund->build(config, CALL_SUBMIT, &i, &form, &moment, &r, &err), "a submit");
	is_str(r.method, "POST", "is a POST");
	is_str(buf_str(&r.url), "https://api.stripe.com/v1/refunds", "to the refunds");
	is_mem(r.body.data, r.body.len, form.data, form.len, "of the frozen bytes");
	is_str(header(&r, "Authorization"), "Bearer " SKIT_LIVE_KEY, "with the key");
	is_str(header(&r, "Stripe-Version"), "2025-04-30.basil", "the pinned version");
	is_str(header(&r, "Content-Type"), "application/x-www-form-urlencoded", "as a form");
	is_str(header(&r, "Idempotency-Key"), "refundx-R-1-0", "the first generation");
	ok(header(&r, "Stripe-Account") == NULL, "for the account itself");
	ok(r.total_timeout_ms == stripe->refund->limits.call_timeout_ms && r.max_answer > 0, "bounded");
	i.generation = 1;
	stripe->refund->build(connected, CALL_SUBMIT, &i, &form, &moment, &r, &err);
	is_str(header(&r, "Idempotency-Key"), "refundx-R-1-1", "the next generation, another key");
	is_mem(r.body.data, r.body.len, form.data, form.len, "with the same bytes");
	is_str(header(&r, "Stripe-Account"), SKIT_ACCOUNT, "for a connected account");
	is_str(header(&r, "Stripe-Version"), "2024-06-20", "the configured version");
	memset(no, '~', 64);
	no[64] = '\0';
	i.wire_no = no;
	i.generation = 2147483647;
	stripe->refund->build(config, CALL_SUBMIT, &i, &form, &moment, &r, &err);
	ok(header(&r, "Idempotency-Key") != NULL && strlen(header(&r, "Idempotency-Key")) <= 255,
	   "no key is too long");
	i = instr;
	ok(!stripe->refund->build(config, CALL_SUBMIT, &i, NULL, &moment, &r, &err), "nothing without frozen bytes");
	i.wire_no = "a\r\nb";
	ok(!stripe->refund->build(config, CALL_SUBMIT, &i, &form, &moment, &r, &err), "no header in a number");
	ok(r.headers.count == 0 && r.url.len == 0, "and nothing is left of it");
	i = instr;
	i.generation = -1;
	ok(!stripe->refund->build(config, CALL_SUBMIT, &i, &form, &moment, &r, &err), "no negative generation");
	ok(!stripe->refund->build(config, CALL_SUBMIT, NULL, &form, &moment, &r, &err), "nothing for nobody");
	buf_free(&form);
	http_request_free(&r);
}

static void
query_is(ChannelInstruction i, const char *want, const char *name)
{
	HttpRequest r;
	ChannelError err = {"", ""};

	http_request_init(&r);
	ok(stripe->refund->build(config, CALL_QUERY, &i, NULL, &moment, &r, &err), "a query: %s", name);
	is_str(buf_str(&r.url), want, name);
	is_str(r.method, "GET", "is a GET");
	ok(r.body.len == 0 && header(&r, "Idempotency-Key") == NULL, "without a body or a key");
	http_request_free(&r);
}

static void
no_query(ChannelInstruction i, const char *words, const char *name)
{
	HttpRequest r;
	ChannelError err = {"", ""};

	http_request_init(&r);
	ok(!stripe->refund->build(config, CALL_QUERY, &i, NULL, &moment, &r, &err), "no query: %s", name);
	has(err.message, words, "in plain words");
	http_request_free(&r);
}

static void
test_query(void)
{
	ChannelInstruction i = instr;
	HttpRequest r;
	ChannelError err;

	query_is(i, "https://api.stripe.com/v1/refunds?payment_intent=pi_1GszsK2eZvKYlo2CfhZyoZLp&limit=100",
			 "the list of a PaymentIntent");
	i.cursor = "2:re_9";
	query_is(i, "https://api.stripe.com/v1/refunds?payment_intent=pi_1GszsK2eZvKYlo2CfhZyoZLp&limit=100"
			 "&starting_after=re_9", "its next page");
	i.channel_payment_id = "ch_1";
	i.cursor = NULL;
	query_is(i, "https://api.stripe.com/v1/refunds?charge=ch_1&limit=100", "the list of a charge");
	i.channel_refund_id = "re_1Nispe2eZvKYlo2Cd31jOCgZ";
	query_is(i, "https://api.stripe.com/v1/refunds/re_1Nispe2eZvKYlo2Cd31jOCgZ", "one that is known");
	i.channel_refund_id = "../x?y";
	query_is(i, "https://api.stripe.com/v1/refunds/..%2Fx%3Fy", "whatever it is called");
	i = instr;
	i.channel_payment_id = NULL;
	no_query(i, "no id of Stripe's", "without a payment");
	i = instr;
	i.wire_no = NULL;
	no_query(i, "without a number", "without a number");
	i = instr;
	i.cursor = "re_9";
	no_query(i, "cannot go on", "a cursor that is none");
	i.cursor = "101:re_9";
	no_query(i, "cannot go on", "a page too many");
	i.cursor = "2:re_9&limit=1";
	no_query(i, "cannot go on", "a parameter in a cursor");

	http_request_init(&r);
	ok(stripe->refund->build(connected, CALL_ECHO, NULL, NULL, &moment, &r, &err), "the self-test");
	is_str(buf_str(&r.url), "https://api.stripe.com/v1/account", "asks for the account");
	is_str(header(&r, "Stripe-Account"), SKIT_ACCOUNT, "for the connected one");
	http_request_free(&r);
}

/* ---- what is acceptable ---- */

static void
test_acceptable(void)
{
	ChannelInstruction i = instr;
	char		text[520];

	acceptable(i, "an ordinary one");
	i.paid_at = 1;
	i.parts_before = 4000;
	acceptable(i, "an old payment with many parts: Stripe has no such limits");
	i = instr;
	memset(text, '!', 64);
	text[64] = '\0';
	i.wire_no = text;
	acceptable(i, "a number of 64 characters");
	text[64] = '!';
	text[65] = '\0';
	refused(i, "has 65 bytes", "of 65");
	i.wire_no = "a b";
	refused(i, "a character", "a space in it");
	i.wire_no = "a\xc3\xa9";
	refused(i, "a character", "beyond ASCII");
	i = instr;
	i.channel_payment_id = NULL;
	refused(i, "no id of Stripe's", "a payment without an id");
	i.channel_payment_id = "";
	refused(i, "no id of Stripe's", "an empty one");
	i.channel_payment_id = "P-1";
	refused(i, "no payment of Stripe's", "a number of the shop's");
	i.channel_payment_id = "re_1";
	refused(i, "no payment of Stripe's", "a refund");
	i.channel_payment_id = "pi_";
	refused(i, "no payment of Stripe's", "a prefix");
	i.channel_payment_id = "pi_1&charge=ch_2";
	refused(i, "no payment of Stripe's", "a parameter in it");
	i.channel_payment_id = "pi_1_secret_2";
	refused(i, "client secret", "a client secret");
	i = instr;
	i.amount = 2001;
	refused(i, "more than the 2000", "more than was paid");
	i.amount = 0;
	refused(i, "not possible", "nothing");
	i = instr;
	i.currency = "usd";
	refused(i, "currency \"usd\"", "a currency in small letters");
	i.currency = NULL;
	refused(i, "currency", "no currency");
	i = instr;
	memset(text, 'r', 500);
	text[500] = '\0';
	i.reason = text;
	acceptable(i, "a reason of 500 bytes");
	text[500] = 'r';
	text[501] = '\0';
	refused(i, "501 bytes", "of 501");
	i.reason = "\xff";
	refused(i, "UTF-8", "no text");
	i.reason = "\xf0\x9f\x98\x80";
	acceptable(i, "an emoji");
	i = instr;
	i.payment_data = "{}";
	acceptable(i, "no channel_data");
	i.payment_data = "{\"reason\":\"duplicate\",\"reverse_transfer\":false,\"refund_application_fee\":true}";
	acceptable(i, "all of it");
	i.payment_data = "{\"reason\":\"fraudulent\"}";
	acceptable(i, "a reason of Stripe's");
	i.payment_data = "{\"reason\":7}";
	refused(i, "reason must be", "a number");
	i.payment_data = "{\"reverse_transfer\":\"true\"}";
	refused(i, "reverse_transfer must be true or false", "a text");
	i.payment_data = "{\"refund_application_fees\":true}";
	refused(i, "none of a Stripe refund", "a word spelled wrong");
	i.payment_data = "[]";
	refused(i, "not a JSON object", "a list");
	is_int(stripe->refund->limits.send_window, 72000, "sent again for 20 hours");
	is_int(stripe->refund->limits.not_found_after, 120, "and not found after two minutes");
}

/* ---- currencies ---- */

static void
amount_is(const char *currency, int64_t iso, int64_t want)
{
	int64_t		there;
	int64_t		back;

	ok(stripe_amount_to(currency, iso, &there) && there == want, "%lld %s is %lld at Stripe",
	   (long long) iso, currency, (long long) want);
	ok(stripe_amount_from(currency, want, &back) && back == iso, "and back");
}

static void
test_currencies(void)
{
	static const char *const zero[] = {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "PYG", "RWF",
	"VND", "VUV", "XAF", "XOF", "XPF"};
	static const char *const three[] = {"BHD", "JOD", "KWD", "OMR", "TND"};
	ChannelInstruction i = instr;
	int64_t		n;
	size_t		k;

	amount_is("USD", 1000, 1000);
	amount_is("EUR", 1, 1);
	amount_is("USD", INT64_MAX, INT64_MAX);
	amount_is("HUF", 1045, 1045);	/* special in payouts only */
	amount_is("TWD", 80045, 80045);
	for (k = 0; k < lengthof_array(zero); k++)
		amount_is(zero[k], 501, 501);
	amount_is("ISK", 5, 500);
	amount_is("UGX", 5, 500);
	amount_is("MGA", 500, 5);
	for (k = 0; k < lengthof_array(three); k++)
	{
		amount_is(three[k], 5120, 5120);
		ok(!stripe_amount_to(three[k], 5124, &n), "but not 5124 %s", three[k]);
		i.currency = three[k];
		i.amount = 1001;
		refused(i, "multiples of 10", "a third decimal");
		i.amount = 1010;
		acceptable(i, "a third decimal of 0");
	}
	ok(stripe_amount_from("KWD", 5124, &n) && n == 5124, "what Stripe says it refunded counts");
	ok(!stripe_amount_to("MGA", 501, &n) && n == 0, "no part of an ariary");
	ok(!stripe_amount_from("ISK", 550, &n) && n == 0, "no part of a krona");
	ok(!stripe_amount_from("UGX", 1, &n), "no part of a shilling");
	ok(!stripe_amount_to("ISK", INT64_MAX / 100 + 1, &n), "no overflow");
	ok(stripe_amount_to("ISK", INT64_MAX / 100, &n), "up to there");
	ok(!stripe_amount_from("MGA", INT64_MAX / 100 + 1, &n), "nor back");
	ok(!stripe_amount_to("USD", -1, &n) && !stripe_amount_from("USD", -1, &n), "nothing negative");
	ok(!stripe_amount_to("XTS", 1, &n) && !stripe_amount_from("XTS", 1, &n) &&
	   !stripe_amount_from("", 1, &n), "nothing of other currencies");
	i.currency = "MGA";
	i.amount = 150;
	refused(i, "multiples of 100", "half an ariary");
	i.currency = "ISK";
	i.amount = i.payment_amount = INT64_MAX;
	refused(i, "too large", "more than can be said");
	i = instr;
	i.currency = "ISK";
	i.amount = 7;
	frozen_is(i, "payment_intent=pi_1GszsK2eZvKYlo2CfhZyoZLp&amount=700&metadata%5Brefundx_no%5D=R-1",
			  "seven kronur");
	for (k = 0; stripe_currencies[k] != NULL; k++)
	{
		if (strlen(stripe_currencies[k]) != 3 ||
			(k > 0 && strcmp(stripe_currencies[k - 1], stripe_currencies[k]) >= 0))
			ok(false, "%s is out of order", stripe_currencies[k]);
	}
	ok(k > 130, "%d currencies, each once", (int) k);
}

int
main(void)
{
	ChannelSource source = {SKIT_CONFIG, skit_read_key, NULL};
	ChannelError err;

	stripe = channel_lookup("stripe");
	config = stripe->open(&source, &err);
	source.config_json = "{\"account_id\":\"" SKIT_ACCOUNT "\",\"secret_key\":\"stripe.key\","
		"\"connect\":true,\"api_version\":\"2024-06-20\"}";
	connected = stripe->open(&source, &err);
	if (config == NULL || connected == NULL)
		return 1;
	test_freeze();
	test_submit();
	test_query();
	test_acceptable();
	test_currencies();
	stripe->close(config);
	stripe->close(connected);
	return unit_done();
}
