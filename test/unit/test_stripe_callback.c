/*-------------------------------------------------------------------------
 *
 * test_stripe_callback.c
 *	  Stripe's events: good ones, duplicates, signatures that are forged,
 *	  expired and rolled, and every way in which an event can be bad.
 *
 * test/unit/test_stripe_callback.c
 *
 *-------------------------------------------------------------------------
 */
#include "stripekit.h"
#include "unit.h"

#define CHARGE \
	"{\"id\":\"ch_1NirD82eZvKYlo2CIvbtLWuY\",\"object\":\"charge\",\"amount\":2000," \
	"\"amount_refunded\":1000,\"currency\":\"usd\",\"payment_intent\":\"pi_1GszsK2eZvKYlo2CfhZyoZLp\"," \
	"\"refunded\":false}"
#define FOREIGN(status) \
	"{\"id\":\"re_9\",\"object\":\"refund\",\"amount\":700,\"charge\":\"ch_9\",\"created\":5," \
	"\"currency\":\"jpy\",\"metadata\":{},\"payment_intent\":\"pi_9\",\"status\":\"" status "\"}"
#define SIXTY_FOUR	"0123456789012345678901234567890123456789012345678901234567890123"

static const Channel *stripe;
static void *config;
static void *connected;
static void *mute;
static ChannelEvidence e;
static HttpHeaders h;
static Buf	body = BUF_INIT;
static Buf	steps = BUF_INIT;

/* ---- how an event is made: written, then signed, then perhaps damaged ---- */

static void
event(const char *type, const char *object)
{
	buf_reset(&body);
	skit_event(&body, "evt_1Nispe", type, object, true, "");
}

static void
sign_with(const char *secret, int64_t at)
{
	http_headers_free(&h);
	skit_headers(&h, secret, at, buf_str(&body), body.len);
}

static void
sign(void)
{
	sign_with(SKIT_SECRET_NEW, SKIT_NOW);
}

static void
set_signature(const char *value)
{
	http_headers_free(&h);
	http_header_add(&h, "stripe-signature", value);
}

static CallbackResult
receive_with(void *cfg)
{
	memset(&e, 0x55, sizeof(e));
	return stripe->read_callback(cfg, &h, buf_str(&body), body.len, SKIT_NOW, NULL, &e);
}

static void
result_of(void *cfg, CallbackResult want, const char *name)
{
	CallbackResult got = receive_with(cfg);

	ok(got == want, "%s: %s", name, callback_result_name(want));
	if (got != want)
		printf("#   got %s\n", callback_result_name(got));
	if (want != CALLBACK_EVIDENCE)
		ok(e.verdict == VERDICT_UNKNOWN && !e.proof && !e.authentic && e.wire_no[0] == '\0' &&
		   !e.has_amount, "and leaves no evidence");
}

static void
result_is(CallbackResult want, const char *name)
{
	result_of(config, want, name);
}

static void
good_one(void)
{
	event("refund.updated", SKIT_REFUND("succeeded", ""));
	sign();
}

/* ---- good ones ---- */

static void
test_ours(void)
{
	static const char *const types[] = {"refund.created", "refund.updated", "refund.failed",
	"charge.refund.updated"};
	size_t		i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
	{
		event(types[i], SKIT_REFUND("failed", ""));
		sign();
		result_is(CALLBACK_EVIDENCE, types[i]);
		ok(e.verdict == VERDICT_ASK && !e.proof && e.authentic, "is a hint, whatever it says");
	}
	good_one();
	result_is(CALLBACK_EVIDENCE, "a success");
	ok(e.verdict == VERDICT_ASK && !e.proof, "is a hint too");
	is_str(e.merchant, SKIT_ACCOUNT, "the account");
	is_str(e.wire_no, "R-1", "the number");
	is_str(e.channel_refund_id, "re_1Nispe2eZvKYlo2Cd31jOCgZ", "the refund's id");
	is_str(e.channel_payment_id, "", "no payment: it may be recorded under its other id");
	ok(e.has_amount && e.amount == 1000, "the amount");
	is_str(e.currency, "USD", "the currency");
	is_str(e.code, "succeeded", "the status");
	is_str(e.request_id, "evt_1Nispe", "the event");
	is_int(e.occurred_at, INT64_C(1692942400000000), "the event's time");
	is_int(e.http_status, 0, "no status");
}

/* Made in the Dashboard: nobody is going to ask about it. */
static void
test_foreign(void)
{
	static const char *const standing[] = {FOREIGN("pending"), FOREIGN("requires_action"),
	FOREIGN("succeeded")};
	static const char *const gone[] = {FOREIGN("failed"), FOREIGN("canceled"), FOREIGN("new")};
	size_t		i;

	for (i = 0; i < 3; i++)
	{
		event("refund.created", standing[i]);
		sign();
		result_is(CALLBACK_EVIDENCE, "a refund without a number of ours");
		ok(e.verdict == VERDICT_ACCEPTED && e.proof, "is proof that Stripe has taken it on");
	}
	is_str(e.wire_no, "re_9", "under its own id");
	is_str(e.channel_payment_id, "pi_9", "of its payment");
	ok(e.has_amount && e.amount == 700, "with its amount");
	for (i = 0; i < 3; i++)
	{
		event("refund.updated", gone[i]);
		sign();
		result_is(CALLBACK_EVIDENCE, "one that does not stand");
		ok(e.verdict == VERDICT_ASK && !e.proof, "moves no money");
	}
	event("refund.created", "{\"id\":\"re_9\",\"object\":\"refund\",\"amount\":150,\"charge\":\"ch_9\","
		  "\"currency\":\"isk\",\"metadata\":{},\"payment_intent\":null,\"status\":\"succeeded\"}");
	sign();
	result_is(CALLBACK_EVIDENCE, "an amount that is none");
	ok(!e.proof && !e.has_amount, "proves nothing");
	is_str(e.channel_payment_id, "ch_9", "of a payment without a PaymentIntent");
	event("refund.created", "{\"id\":\"re_9\",\"object\":\"refund\",\"amount\":1,\"currency\":\"usd\","
		  "\"metadata\":{\"refundx_no\":\"a number of somebody else\"},\"status\":\"succeeded\"}");
	sign();
	result_is(CALLBACK_EVIDENCE, "a number that cannot be ours");
	is_str(e.wire_no, "re_9", "is none");
	event("refund.created", "{\"id\":\"re_9\",\"object\":\"refund\",\"amount\":1,\"currency\":\"usd\","
		  "\"metadata\":{\"refundx_no\":\"" SIXTY_FOUR "5\"},\"status\":\"succeeded\"}");
	sign();
	result_is(CALLBACK_EVIDENCE, "nor one of 65 characters");
	is_str(e.wire_no, "re_9", "is one");
	event("refund.created", "{\"id\":\"re_9\",\"object\":\"refund\",\"amount\":1,\"currency\":\"usd\","
		  "\"metadata\":{\"refundx_no\":\"" SIXTY_FOUR "\"},\"status\":\"succeeded\"}");
	sign();
	result_is(CALLBACK_EVIDENCE, "one of 64");
	ok(strcmp(e.wire_no, SIXTY_FOUR) == 0 && !e.proof, "is ours");
	event("refund.created", "{\"id\":\"re_9\",\"object\":\"refund\",\"amount\":1,\"currency\":\"usd\","
		  "\"metadata\":{\"refundx_no\":\"\"},\"status\":\"succeeded\"}");
	sign();
	result_is(CALLBACK_EVIDENCE, "an empty one");
	is_str(e.wire_no, "re_9", "is not");
}

static void
test_charge(void)
{
	unsigned char digest[32];

	event("charge.refunded", CHARGE);
	sign();
	result_is(CALLBACK_EVIDENCE, "charge.refunded");
	ok(e.verdict == VERDICT_ASK && !e.proof && !e.has_amount, "is a hint");
	is_str(e.wire_no, "", "about no refund");
	is_str(e.channel_payment_id, "pi_1GszsK2eZvKYlo2CfhZyoZLp", "but a payment");
	memcpy(digest, e.digest, 32);
	event("charge.refunded", "{\"id\":\"ch_1NirD82eZvKYlo2CIvbtLWuY\",\"object\":\"charge\","
		  "\"amount_refunded\":2000,\"payment_intent\":\"pi_1GszsK2eZvKYlo2CfhZyoZLp\"}");
	sign();
	receive_with(config);
	ok(memcmp(digest, e.digest, 32) != 0, "of which more is another event");
	event("charge.refunded", "{\"id\":\"ch_1\",\"object\":\"charge\",\"amount_refunded\":1,"
		  "\"payment_intent\":null}");
	sign();
	result_is(CALLBACK_EVIDENCE, "without a PaymentIntent");
	is_str(e.channel_payment_id, "ch_1", "the charge");
	event("charge.refunded", "{\"id\":\"ch_1\",\"object\":\"charge\",\"amount_refunded\":1,"
		  "\"payment_intent\":{\"id\":\"pi_3\"}}");
	sign();
	receive_with(config);
	is_str(e.channel_payment_id, "pi_3", "one that is expanded");
	event("charge.refunded", SKIT_REFUND("succeeded", ""));
	sign();
	result_is(CALLBACK_BAD_BODY, "a refund where a charge should be");
	event("charge.refunded", "{\"id\":\"ch 1\",\"object\":\"charge\",\"amount_refunded\":1}");
	sign();
	result_is(CALLBACK_BAD_BODY, "an id that is none");
}

/* The same news, however often and under whatever name. */
static void
test_duplicates(void)
{
	unsigned char first[32];

	good_one();
	receive_with(config);
	memcpy(first, e.digest, 32);
	sign_with(SKIT_SECRET_OLD, SKIT_NOW - 200);
	result_is(CALLBACK_EVIDENCE, "again, signed anew");
	is_mem(e.digest, 32, first, 32, "is the same evidence");
	buf_reset(&body);
	skit_event(&body, "evt_2", "charge.refund.updated", SKIT_REFUND("succeeded", ""), true, "");
	sign();
	receive_with(config);
	is_mem(e.digest, 32, first, 32, "another event about it too");
	event("refund.updated", SKIT_REFUND("failed", ""));
	sign();
	receive_with(config);
	ok(memcmp(e.digest, first, 32) != 0, "another status is not");
	event("refund.updated", SKIT_REFUND("pending", ",\"pending_reason\":\"insufficient_funds\""));
	sign();
	receive_with(config);
	memcpy(first, e.digest, 32);
	event("refund.updated", SKIT_REFUND("pending", ",\"pending_reason\":\"processing\""));
	sign();
	receive_with(config);
	ok(memcmp(e.digest, first, 32) != 0, "nor another reason");
}

/* ---- signatures ---- */

static void
test_signatures(void)
{
	char		mac_new[65];
	char		mac_old[65];
	char		value[2600];
	size_t		i;
	int			wrong = 0;

	good_one();
	result_is(CALLBACK_EVIDENCE, "the new secret");
	sign_with(SKIT_SECRET_OLD, SKIT_NOW);
	result_is(CALLBACK_EVIDENCE, "the old secret, while it is rolled");
	sign_with("whsec_gonegonegonegonegonegonegone", SKIT_NOW);
	result_is(CALLBACK_BAD_SIGNATURE, "a secret that is gone");
	sign_with(SKIT_SECRET_NEW + strlen("whsec_"), SKIT_NOW);
	result_is(CALLBACK_BAD_SIGNATURE, "the key is the whole secret, whsec_ included");
	sign();
	result_of(mute, CALLBACK_UNKNOWN_KEY, "a channel without secrets");

	skit_mac(SKIT_SECRET_NEW, SKIT_NOW, buf_str(&body), body.len, mac_new);
	skit_mac(SKIT_SECRET_OLD, SKIT_NOW, buf_str(&body), body.len, mac_old);
	snprintf(value, sizeof(value), "t=%d,v1=%064d,v1=%s,v0=%064d", SKIT_NOW, 0, mac_old, 0);
	set_signature(value);
	result_is(CALLBACK_EVIDENCE, "several signatures, one of which fits");
	snprintf(value, sizeof(value), "v1=%s,v1=%s,t=%d,x=y", mac_old, mac_new, SKIT_NOW);
	set_signature(value);
	result_is(CALLBACK_EVIDENCE, "in any order, with others");
	snprintf(value, sizeof(value), "t=%d,v0=%s", SKIT_NOW, mac_new);
	set_signature(value);
	result_is(CALLBACK_BAD_HEADERS, "v0 is not looked at");
	snprintf(value, sizeof(value), "t=%d,v0=%s,v1=%064d", SKIT_NOW, mac_new, 0);
	set_signature(value);
	result_is(CALLBACK_BAD_SIGNATURE, "not even beside v1");
	snprintf(value, sizeof(value), "t=%d,v1=%.63s", SKIT_NOW, mac_new);
	set_signature(value);
	result_is(CALLBACK_BAD_SIGNATURE, "one digit short");
	snprintf(value, sizeof(value), "t=%d,v1=%s0", SKIT_NOW, mac_new);
	set_signature(value);
	result_is(CALLBACK_BAD_SIGNATURE, "one too many");
	snprintf(value, sizeof(value), "t=%d,v1=", SKIT_NOW);
	set_signature(value);
	result_is(CALLBACK_BAD_SIGNATURE, "none");
	snprintf(value, sizeof(value), "t=%d,v1=%s", SKIT_NOW + 1, mac_new);
	set_signature(value);
	result_is(CALLBACK_BAD_SIGNATURE, "another time than was signed");
	snprintf(value, sizeof(value), "t=0%d,v1=%s", SKIT_NOW, mac_new);
	set_signature(value);
	result_is(CALLBACK_BAD_SIGNATURE, "another spelling of the time");
	for (i = 0; i < 64; i++)
	{
		snprintf(value, sizeof(value), "t=%d,v1=%s", SKIT_NOW, mac_new);
		value[strlen(value) - 1 - i] ^= 0x01;
		set_signature(value);
		wrong += receive_with(config) != CALLBACK_BAD_SIGNATURE;
	}
	is_int(wrong, 0, "no digit may differ");
	sign();
	for (i = 0; i < body.len; i++)
	{
		body.data[i] ^= 0x01;
		wrong += receive_with(config) != CALLBACK_BAD_SIGNATURE;
		body.data[i] ^= 0x01;
	}
	is_int(wrong, 0, "no byte of the body may differ");
	result_is(CALLBACK_EVIDENCE, "and with all of them in place it is good");
}

static void
test_time(void)
{
	good_one();
	sign_with(SKIT_SECRET_NEW, SKIT_NOW - 300);
	result_is(CALLBACK_EVIDENCE, "300 seconds old");
	sign_with(SKIT_SECRET_NEW, SKIT_NOW - 301);
	result_is(CALLBACK_BAD_TIME, "301");
	sign_with(SKIT_SECRET_NEW, SKIT_NOW + 300);
	result_is(CALLBACK_EVIDENCE, "300 seconds ahead");
	sign_with(SKIT_SECRET_NEW, SKIT_NOW + 301);
	result_is(CALLBACK_BAD_TIME, "301");
}

static void
test_headers(void)
{
	static const char *const bad[] = {
		"", "t", "t=", "t=1790000000", "v1=00", "t=,v1=00", "t=179000000x,v1=00", "t=-1,v1=00",
		"t=1790000000,t=1790000000,v1=00", "t=1790000000,v1", "t=1790000000,,v1=00",
		"t=1790000000,v1=00,", "t=1790000000 ,v1=00", "t=1790000000000,v1=00", "t=\x7f,v1=00",
	};
	Buf			many = BUF_INIT;
	size_t		i;

	good_one();
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		set_signature(bad[i]);
		result_is(CALLBACK_BAD_HEADERS, bad[i]);
	}
	http_headers_free(&h);
	result_is(CALLBACK_BAD_HEADERS, "no header");
	sign();
	http_header_add(&h, "Stripe-Signature", "t=1790000000,v1=00");
	result_is(CALLBACK_BAD_HEADERS, "two of them");
	buf_adds(&many, "t=1790000000");
	for (i = 0; i < 17; i++)
		buf_adds(&many, ",v1=0000000000000000000000000000000000000000000000000000000000000000");
	set_signature(buf_str(&many));
	result_is(CALLBACK_BAD_HEADERS, "17 signatures");
	buf_reset(&many);
	buf_adds(&many, "t=1790000000,v1=00,x=");
	for (i = 0; i < 3000; i++)
		buf_addc(&many, 'x');
	set_signature(buf_str(&many));
	result_is(CALLBACK_BAD_HEADERS, "3000 characters");
	buf_free(&many);
	sign();
	h.overflow = true;
	result_is(CALLBACK_BAD_HEADERS, "more headers than are read");
}

/* ---- bodies ---- */

static void
bad_body(const char *text, const char *name)
{
	buf_reset(&body);
	buf_adds(&body, text);
	sign();
	result_is(CALLBACK_BAD_BODY, name);
}

static void
test_bodies(void)
{
	static const char *const refunds[] = {
		"{}", "null", "[]", "{\"object\":\"refund\"}", CHARGE,
		"{\"object\":\"refund\",\"id\":\"re_1\",\"amount\":1,\"currency\":\"usd\"}",
		"{\"object\":\"refund\",\"id\":\"re_1\",\"status\":\"pending\",\"currency\":\"usd\"}",
		"{\"object\":\"refund\",\"id\":\"re_1\",\"status\":\"pending\",\"amount\":1}",
		"{\"object\":\"refund\",\"id\":\"re_1\",\"status\":\"pending\",\"amount\":1.5,\"currency\":\"usd\"}",
		"{\"object\":\"refund\",\"id\":\"re/1\",\"status\":\"pending\",\"amount\":1,\"currency\":\"usd\"}",
		"{\"object\":\"refund\",\"id\":\"re_1\",\"status\":\"pending\",\"amount\":1,\"currency\":\"usd\","
		"\"metadata\":{\"refundx_no\":17}}",
	};
	size_t		i;

	bad_body("", "nothing");
	bad_body("[]", "a list");
	bad_body("{", "cut off");
	bad_body("{\"object\":\"event\",\"object\":\"event\"}", "a member twice");
	bad_body("{\"object\":\"refund\"}", "no event");
	bad_body("{\"id\":\"evt_1\",\"object\":\"v2.core.event\",\"type\":\"v1.refund.updated\",\"livemode\":true}",
			 "a thin event");
	bad_body("{\"object\":\"event\",\"type\":\"refund.updated\",\"livemode\":true}", "no id");
	bad_body("{\"object\":\"event\",\"id\":\"evt_1\",\"livemode\":true}", "no type");
	bad_body("{\"object\":\"event\",\"id\":\"evt_1\",\"type\":\"refund.updated\"}", "no mode");
	bad_body("{\"object\":\"event\",\"id\":\"evt_1\",\"type\":\"refund.updated\",\"livemode\":\"true\"}",
			 "a mode that is none");
	bad_body("{\"object\":\"event\",\"id\":\"evt_1\",\"type\":\"refund.updated\",\"livemode\":true}",
			 "no data");
	for (i = 0; i < sizeof(refunds) / sizeof(refunds[0]); i++)
	{
		event("refund.updated", refunds[i]);
		sign();
		result_is(CALLBACK_BAD_BODY, refunds[i]);
	}
	event("payment_intent.succeeded", "{\"object\":\"payment_intent\"}");
	sign();
	result_is(CALLBACK_NOT_OURS, "a payment");
	event("charge.dispute.created", "{}");
	sign();
	result_is(CALLBACK_NOT_OURS, "a dispute");
	event("refund.created.more", SKIT_REFUND("pending", ""));
	sign();
	result_is(CALLBACK_NOT_OURS, "an event that is not known");
}

static void
as_of(bool live, const char *more)
{
	buf_reset(&body);
	skit_event(&body, "evt_1", "refund.updated", SKIT_REFUND("succeeded", ""), live, more);
	sign();
}

static void
test_account_and_mode(void)
{
	as_of(false, "");
	result_is(CALLBACK_BAD_BODY, "a test event for a live channel");
	as_of(true, ",\"account\":\"" SKIT_ACCOUNT "\"");
	result_is(CALLBACK_EVIDENCE, "our account, by name");
	result_of(connected, CALLBACK_EVIDENCE, "a connected account");
	as_of(true, ",\"account\":\"acct_other\"");
	result_is(CALLBACK_NOT_OURS, "another account");
	result_of(connected, CALLBACK_NOT_OURS, "another connected account");
	as_of(true, "");
	result_of(connected, CALLBACK_NOT_OURS, "the platform itself");
	as_of(false, ",\"account\":\"" SKIT_ACCOUNT "\"");
	result_of(connected, CALLBACK_NOT_OURS, "a live endpoint of Connect gets test events too");
}

/* ---- in words ---- */

static void
add_step(void *arg, FindingLevel level, const char *item, const char *text)
{
	static const char *const levels[] = {"ok", "warning", "error"};

	(void) arg;
	buf_addf(&steps, "%s %s: %s\n", levels[level], item, text);
}

static const char *
trace_with(void *cfg)
{
	ChannelFindings findings = {add_step, NULL};

	buf_reset(&steps);
	stripe->read_callback(cfg, &h, buf_str(&body), body.len, SKIT_NOW, &findings, &e);
	lacks(buf_str(&steps), "whsec_new", "no secret in a trace");
	return buf_str(&steps);
}

static void
test_trace(void)
{
	const char *text;
	char		line[128];

	good_one();
	sign_with(SKIT_SECRET_OLD, SKIT_NOW - 20);
	text = trace_with(config);
	has(text, "ok time: signed at 1789999980, 20 s before this server's clock; at most 300 s", "the clocks");
	snprintf(line, sizeof(line), "ok signed string: \"1789999980.\" and the body's %lu bytes",
			 (unsigned long) body.len);
	has(text, line, "what was signed");
	has(text, "ok key: secret 2 of 2 in \"webhook_secrets\"", "with which secret");
	has(text, "ok signature: it is Stripe's: v1 number 1 of 1", "by which signature");
	has(text, "ok event: refund.updated, evt_1Nispe", "the event");
	has(text, "ok meaning: refund R-1 (re_1Nispe2eZvKYlo2Cd31jOCgZ) is succeeded: a hint", "what it means");
	event("refund.created", FOREIGN("pending"));
	sign();
	has(trace_with(config), "re_9, which has no number of ours, is pending: it counts", "one that is not ours");
	event("charge.refunded", CHARGE);
	sign();
	has(trace_with(config), "all its refunds are asked about", "a payment");
	event("invoice.paid", "{}");
	sign();
	has(trace_with(config), "ok meaning: not about a refund", "something else");
	event("refund.updated", "{}");
	sign();
	has(trace_with(config), "error event: it is no refund", "a bad one");
	sign_with("whsec_gonegonegonegonegonegonegone", SKIT_NOW);
	has(trace_with(config), "error signature: none of the header's 1 fits these bytes with any of the 2", "forged");
	sign_with(SKIT_SECRET_NEW, SKIT_NOW - 4000);
	has(trace_with(config), "error time: signed at 1789996000, which is -4000 s off", "old");
	set_signature("x");
	has(trace_with(config), "error headers: Stripe-Signature must be there once", "no signature");
	sign();
	has(trace_with(mute), "error key: the channel has no \"webhook_secrets\"", "no secrets");
	as_of(false, "");
	has(trace_with(config), "error livemode: a test event for a live channel", "the other mode");
	as_of(true, ",\"account\":\"acct_other\"");
	has(trace_with(config), "warning account: the event is of the account acct_other", "another account");
	buf_reset(&body);
	buf_adds(&body, "{\"id\":\"evt_1\",\"object\":\"v2.core.event\"}");
	sign();
	has(trace_with(config), "payload style \"Snapshot\"", "a thin event");
}

static void
test_acknowledge(void)
{
	ChannelReply r;
	int			i;

	stripe->acknowledge(CALLBACK_EVIDENCE, true, &r);
	ok(r.status == 200 && r.content_type == NULL && r.body[0] == '\0', "200 for what is kept");
	stripe->acknowledge(CALLBACK_EVIDENCE, false, &r);
	is_int(r.status, 503, "503 for what could not be kept");
	for (i = 0; i < 2; i++)
	{
		stripe->acknowledge(CALLBACK_NOT_OURS, i == 1, &r);
		is_int(r.status, 200, "200 for what is not about a refund, or the endpoint gets disabled");
		stripe->acknowledge(CALLBACK_TEST, i == 1, &r);
		is_int(r.status, 200, "and for a test");
	}
	for (i = CALLBACK_BAD_HEADERS; i < CALLBACK_RESULT_COUNT; i++)
	{
		stripe->acknowledge((CallbackResult) i, false, &r);
		ok(r.status == 400 && strcmp(r.content_type, "application/json") == 0 &&
		   strncmp(r.body, "{\"error\":\"", 10) == 0, "400 for %s", callback_result_name((CallbackResult) i));
	}
}

int
main(void)
{
	ChannelSource source = {SKIT_CONFIG, skit_read_key, NULL};
	ChannelError err;

	stripe = channel_lookup("stripe");
	config = stripe->open(&source, &err);
	source.config_json = "{\"account_id\":\"" SKIT_ACCOUNT "\",\"secret_key\":\"stripe.key\","
		"\"connect\":true,\"webhook_secrets\":\"whsec_new.key\"}";
	connected = stripe->open(&source, &err);
	source.config_json = "{\"account_id\":\"" SKIT_ACCOUNT "\",\"secret_key\":\"stripe.key\"}";
	mute = stripe->open(&source, &err);
	if (config == NULL || connected == NULL || mute == NULL)
		return 1;
	test_ours();
	test_foreign();
	test_charge();
	test_duplicates();
	test_signatures();
	test_time();
	test_headers();
	test_bodies();
	test_account_and_mode();
	test_trace();
	test_acknowledge();
	stripe->close(config);
	stripe->close(connected);
	stripe->close(mute);
	http_headers_free(&h);
	buf_free(&body);
	buf_free(&steps);
	return unit_done();
}
