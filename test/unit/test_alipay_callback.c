/*-------------------------------------------------------------------------
 *
 * test_alipay_callback.c
 *	  Alipay's notifications: both conventions of signing, what is a refund's
 *	  and what a payment's, what is never believed, and how it is answered.
 *
 * The strings that are signed stand in these tests as literals: the channel's
 * own sorting is what is tested.
 *
 * test/unit/test_alipay_callback.c
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"
#include "alipaykit.h"
#include "channel/alipay.h"

static const Channel *alipay;
static void *config;
static void *cert_config;
static Buf	report = BUF_INIT;
static ChannelEvidence e;

/* A partial refund's notification: name, value, in the order of the names. */
typedef struct Pair
{
	const char *name;
	const char *value;
} Pair;

static const Pair partial[] = {
	{"app_id", AKIT_APP},
	{"body", "a 100% \xe4\xb8\xad\xe6\x96\x87+b"},
	{"buyer_id", "2088102116773037"},
	{"buyer_logon_id", "159****5620"},
	{"charset", "utf-8"},
	{"fund_bill_list", "[{\"amount\":\"1.00\",\"fundChannel\":\"ALIPAYACCOUNT\"}]"},
	{"gmt_refund", "2026-09-21 22:13:20.123"},
	{"notify_id", "ac05099524730693a8b330c5ecf72da9786"},
	{"notify_time", "2026-09-21 22:13:25"},
	{"notify_type", "trade_status_sync"},
	{"out_biz_no", "R1"},
	{"out_trade_no", "P1"},
	{"refund_fee", "0.99"},
	{"seller_id", AKIT_SELLER},
	{"sign_type", "RSA2"},
	{"subject", ""},
	{"total_amount", "1.00"},
	{"trade_no", "2014112611001004680073956707"},
	{"trade_status", "TRADE_SUCCESS"},
	{"version", "1.0"},
	{NULL, NULL}
};

static const Pair deposit[] = {
	{"app_id", AKIT_APP},
	{"biz_content", "{\"trade_no\":\"T1\",\"out_trade_no\":\"P1\",\"out_request_no\":\"R1\","
		"\"dback_status\":\"F\",\"dback_amount\":\"0.99\",\"bank_ack_time\":\"2026-09-21 22:13:20\"}"},
	{"charset", "UTF-8"},
	{"msg_method", "alipay.trade.refund.depositback.completed"},
	{"notify_id", "n1"},
	{"sign_type", "RSA2"},
	{"utc_timestamp", "1790000000000"},
	{"version", "1.1"},
	{NULL, NULL}
};

/* How to sign, and what to change before. */
typedef struct How
{
	EVP_PKEY   *key;
	bool		with_type;
	bool		without_empty;
	const char *sn;				/* sent, never signed */
	const char *name;			/* this parameter ... */
	const char *value;			/* ... has this value, or is left out if NULL */
	const char *late_name;		/* likewise, but after it was signed */
	const char *late_value;
} How;

static const char *
value_of(const Pair *p, const char *name, const char *value)
{
	return name != NULL && strcmp(p->name, name) == 0 ? value : p->value;
}

static void
make(const Pair *pairs, const How *how, Buf *form)
{
	Buf			text = BUF_INIT;
	const Pair *p;

	buf_reset(form);
	for (p = pairs; p->name != NULL; p++)
	{
		const char *v = value_of(p, how->name, how->value);

		if (v == NULL || (!how->with_type && strcmp(p->name, "sign_type") == 0) ||
			(how->without_empty && v[0] == '\0'))
			continue;
		buf_addf(&text, "%s%s=%s", text.len > 0 ? "&" : "", p->name, v);
	}
	akit_form_sign(form, how->key ? how->key : akit_alipay, buf_str(&text));
	if (how->sn != NULL)
		akit_param(form, "alipay_cert_sn", how->sn);

	/* sent in another order than sorted */
	for (; p-- != pairs;)
	{
		const char *v = value_of(p, how->name, how->value);

		if (how->late_name != NULL && strcmp(p->name, how->late_name) == 0)
			v = how->late_value;
		if (v != NULL)
			akit_param(form, p->name, v);
	}
	buf_free(&text);
}

static void
add_finding(void *arg, FindingLevel level, const char *item, const char *text)
{
	static const char *const levels[] = {"ok", "warning", "error"};

	(void) arg;
	buf_addf(&report, "%s %s: %s\n", levels[level], item, text);
}

static CallbackResult
receive(void *c, const void *body, size_t len)
{
	HttpHeaders headers = {0};
	ChannelFindings trace = {add_finding, NULL};
	ChannelEvidence quiet;
	CallbackResult r;
	char	   *heap = malloc(len ? len : 1);

	/* no byte longer than the body, so that reading past it is seen */
	memcpy(heap, body, len);
	buf_reset(&report);
	memset(&e, 0x55, sizeof(e));
	r = alipay->read_callback(c, &headers, heap, len, AKIT_NOW, &trace, &e);
	memset(&quiet, 0x55, sizeof(quiet));
	ok(alipay->read_callback(c, &headers, heap, len, AKIT_NOW, NULL, &quiet) == r &&
	   memcmp(&e, &quiet, sizeof(e)) == 0, "the same without a trace");
	free(heap);
	if (r != CALLBACK_EVIDENCE)
		ok(!e.proof && !e.authentic && e.wire_no[0] == '\0' && e.verdict == VERDICT_UNKNOWN,
		   "no evidence in %s", callback_result_name(r));
	return r;
}

static CallbackResult
receive_how(void *c, const Pair *pairs, const How *how)
{
	Buf			form = BUF_INIT;
	CallbackResult r;

	make(pairs, how, &form);
	r = receive(c, buf_str(&form), form.len);
	buf_free(&form);
	return r;
}

static CallbackResult
changed(const char *name, const char *value)
{
	How			how = {.name = name, .value = value};

	return receive_how(config, partial, &how);
}

static void
test_refund(void)
{
	How			how = {0};

	is_int(receive_how(config, partial, &how), CALLBACK_EVIDENCE, "a partial refund's");
	ok(e.verdict == VERDICT_ASK && !e.proof && e.authentic, "is a hint");
	is_str(e.merchant, AKIT_APP, "of this app");
	is_str(e.wire_no, "R1", "about the number");
	is_str(e.payment_no, "P1", "of the order");
	is_str(e.channel_payment_id, "2014112611001004680073956707", "of the trade");
	ok(!e.has_amount && !e.has_payer_amount, "without an amount: refund_fee is cumulative");
	is_str(e.code, "TRADE_SUCCESS", "the trade's state");
	is_int(e.occurred_at, AKIT_NOW * INT64_C(1000000) + 123000, "when");
	is_int(e.http_status, 0, "no status");

	is_int(changed("trade_status", "TRADE_CLOSED"), CALLBACK_EVIDENCE, "a full refund's");
	is_int(changed("out_biz_no", NULL), CALLBACK_EVIDENCE, "without a number");
	is_str(e.wire_no, "", "it is about the payment");
	is_str(e.payment_no, "P1", "which it names");
	is_int(changed("out_biz_no", ""), CALLBACK_EVIDENCE, "with an empty number");
	is_str(e.wire_no, "", "likewise");
	is_int(changed("out_biz_no", "2014112611001004680073956707"), CALLBACK_EVIDENCE,
		   "with the trade's for a number");
	is_str(e.wire_no, "", "likewise");
	is_int(changed("gmt_refund", NULL), CALLBACK_EVIDENCE, "without a time");
	is_int(e.occurred_at, 0, "it has none");
	is_int(changed("refund_fee", NULL), CALLBACK_EVIDENCE, "without an amount");
	is_int(changed("out_trade_no", NULL), CALLBACK_EVIDENCE, "with the trade's number alone");
	is_int(changed("trade_no", NULL), CALLBACK_EVIDENCE, "with the order's alone");

	is_int(changed("refund_fee", "1.01"), CALLBACK_BAD_BODY, "more refunded than paid");
	is_int(changed("refund_fee", "x"), CALLBACK_BAD_BODY, "an amount that is none");
	is_int(changed("refund_fee", "-1"), CALLBACK_BAD_BODY, "a negative one");
	is_int(changed("gmt_refund", "yesterday"), CALLBACK_BAD_BODY, "a time that is none");
	is_int(changed("trade_status", NULL), CALLBACK_BAD_BODY, "no state");
	is_int(changed("out_biz_no", "R 1"), CALLBACK_BAD_BODY, "a number with a space");
	is_int(changed("out_biz_no", "R1&x"), CALLBACK_BAD_BODY, "one with an ampersand");
	is_int(changed("out_biz_no", "\xe4\xb8\xad"), CALLBACK_BAD_BODY, "one that is not ASCII");
	is_int(changed("out_biz_no", "12345678901234567890123456789012345678901234567890123456789012345"),
		   CALLBACK_BAD_BODY, "one of 65 characters");
}

/* A payment must never be taken for a refund, nor be acknowledged. */
static void
test_payment(void)
{
	static const Pair payment[] = {
		{"app_id", AKIT_APP}, {"gmt_payment", "2026-09-21 22:13:20"}, {"notify_id", "n"},
		{"notify_type", "trade_status_sync"}, {"out_trade_no", "P1"}, {"refund_fee", "0.00"},
		{"seller_id", AKIT_SELLER}, {"sign_type", "RSA2"}, {"total_amount", "1.00"},
		{"trade_no", "T1"}, {"trade_status", "TRADE_SUCCESS"}, {NULL, NULL}
	};
	How			how = {.name = "refund_fee", .value = NULL};

	is_int(receive_how(config, payment, &how), CALLBACK_NOT_OURS, "a payment's");
	has(buf_str(&report), "about the payment, not about a refund", "and says so");
	how.value = "0.00";
	is_int(receive_how(config, payment, &how), CALLBACK_NOT_OURS, "with a refund of nothing");
	how.value = "0.01";
	is_int(receive_how(config, payment, &how), CALLBACK_EVIDENCE, "with a refund of a fen it is one");
	how.name = "trade_status";
	how.value = "TRADE_CLOSED";
	is_int(receive_how(config, payment, &how), CALLBACK_NOT_OURS, "closed unpaid");
	how.name = "notify_type";
	how.value = "other";
	is_int(receive_how(config, payment, &how), CALLBACK_NOT_OURS, "another kind");
	how.value = NULL;
	is_int(receive_how(config, payment, &how), CALLBACK_NOT_OURS, "no kind");
}

static void
test_conventions(void)
{
	How			how = {0};
	unsigned char first[32];

	receive_how(config, partial, &how);
	has(buf_str(&report), "sorted parameters without sign_type (", "without sign_type");
	memcpy(first, e.digest, 32);
	how.with_type = true;
	is_int(receive_how(config, partial, &how), CALLBACK_EVIDENCE, "with sign_type");
	has(buf_str(&report), "sorted parameters with sign_type (", "is said");
	how.without_empty = true;
	is_int(receive_how(config, partial, &how), CALLBACK_EVIDENCE, "without empty values too");
	has(buf_str(&report), "with sign_type, without empty values (", "is said");
	how.with_type = false;
	is_int(receive_how(config, partial, &how), CALLBACK_EVIDENCE, "and without both");
	ok(memcmp(first, e.digest, 32) == 0, "it means the same in every convention");
	how.key = akit_alipay_next;
	is_int(receive_how(config, partial, &how), CALLBACK_EVIDENCE, "the next key of Alipay's");
	how.key = akit_app;
	is_int(receive_how(config, partial, &how), CALLBACK_BAD_SIGNATURE, "our own key");
	how.key = NULL;
	how.sn = "anything";
	is_int(receive_how(config, partial, &how), CALLBACK_EVIDENCE, "an SN is not signed");
	is_int(changed("sign_type", "RSA"), CALLBACK_OLD_PROTOCOL, "SHA-1");
	is_int(changed("sign_type", "rsa2"), CALLBACK_BAD_SIGNATURE, "another word");
	is_int(changed("sign_type", NULL), CALLBACK_BAD_SIGNATURE, "none");
}

static void
test_changed_on_the_way(void)
{
	How			how = {.late_name = "out_biz_no", .late_value = "R2"};
	Buf			form = BUF_INIT;
	Buf			other = BUF_INIT;
	const char *at;
	size_t		i;
	int			wrong = 0;

	is_int(receive_how(config, partial, &how), CALLBACK_BAD_SIGNATURE, "another number");
	has(buf_str(&report), "in either convention", "and says so");
	how.late_value = NULL;
	is_int(receive_how(config, partial, &how), CALLBACK_BAD_SIGNATURE, "one lost");
	how.late_name = "subject";
	is_int(receive_how(config, partial, &how), CALLBACK_BAD_SIGNATURE, "even an empty one");
	how.late_name = NULL;
	make(partial, &how, &form);
	buf_add(&other, form.data, form.len);
	buf_adds(&other, "&_url=/notify");
	is_int(receive(config, buf_str(&other), other.len), CALLBACK_BAD_SIGNATURE, "one added");
	buf_reset(&other);
	buf_add(&other, form.data, form.len);
	buf_adds(&other, "&out_biz_no=R1");
	is_int(receive(config, buf_str(&other), other.len), CALLBACK_BAD_BODY, "one twice");

	for (i = 0; i < form.len; i += 3)
	{
		HttpHeaders headers = {0};
		CallbackResult r;

		buf_reset(&other);
		buf_add(&other, form.data, form.len);
		other.data[i] ^= 0x02;
		r = alipay->read_callback(config, &headers, other.data, other.len, AKIT_NOW, NULL, &e);
		if (r == CALLBACK_EVIDENCE && strcmp(e.wire_no, "R1") == 0 && e.verdict == VERDICT_ASK)
			continue;			/* the case of an escape, for instance */
		wrong += r == CALLBACK_EVIDENCE || r == CALLBACK_TEST || r == CALLBACK_NOT_OURS;
	}
	is_int(wrong, 0, "a byte changed anywhere");

	/* the classics of frameworks */
	at = strstr(buf_str(&form), "%2B");
	testkey_need(at != NULL, "a plus");
	buf_reset(&other);
	for (at = buf_str(&form); *at != '\0'; at++)
	{
		if (strncmp(at, "%2B", 3) == 0)
		{
			buf_addc(&other, '+');
			at += 2;
		}
		else
			buf_addc(&other, *at);
	}
	ok(receive(config, buf_str(&other), other.len) == CALLBACK_BAD_SIGNATURE, "escapes lost");
	buf_free(&form);
	buf_free(&other);
}

static void
bad(const char *body, size_t len, const char *name)
{
	CallbackResult r = receive(config, body, len);

	ok(r == CALLBACK_BAD_BODY || r == CALLBACK_BAD_SIGNATURE, "%s is %s", name, callback_result_name(r));
	has(buf_str(&report), "error ", "and says why");
}

static void
test_malformed(void)
{
	Buf			form = BUF_INIT;
	int			i;

	bad("", 0, "nothing");
	bad("a", 1, "no equals sign");
	bad("=a", 2, "no name");
	bad("a=%", 3, "a broken escape");
	bad("a=%4", 4, "half an escape");
	bad("a=%4g", 5, "a wrong digit");
	bad("a=%00", 5, "a NUL");
	bad("a=\0b", 4, "a bare NUL");
	bad("a%3Db=c", 7, "a name with an equals sign");
	bad("a=1&&b=2", 8, "an empty part");
	bad("sign=AAAA&sign_type=RSA2", 24, "nothing but a signature");
	bad("sign=&sign_type=RSA2&a=b", 24, "an empty signature");
	bad("sign_type=RSA2&a=b", 18, "no signature");
	bad("sign=not base64&sign_type=RSA2", 30, "one with spaces");
	has(buf_str(&report), "decoded twice", "which has a known cause");
	for (i = 0; i < 256; i++)
		buf_addf(&form, "%sp%d=", i > 0 ? "&" : "", i);
	bad(buf_str(&form), form.len, "256 parameters, unsigned");
	lacks(buf_str(&report), "more than 256", "are read");
	buf_adds(&form, "&q=");
	bad(buf_str(&form), form.len, "257");
	has(buf_str(&report), "more than 256", "are not");
	buf_reset(&form);
	buf_adds(&form, "a=");
	while (form.len < 64 * 1024)
		buf_addc(&form, 'a');
	bad(buf_str(&form), form.len, "64 KiB, unsigned");
	lacks(buf_str(&report), "64 KiB", "are read");
	buf_addc(&form, 'a');
	bad(buf_str(&form), form.len, "a byte more");
	has(buf_str(&report), "64 KiB", "is not");
	buf_free(&form);
}

static void
test_merchant(void)
{
	How			how = {0};
	void	   *sub;
	ChannelError err;
	ChannelSource source = {"{\"app_id\":\"" AKIT_APP "\",\"private_key\":\"app.key\","
		"\"alipay_public_key\":\"alipay.pub\",\"app_auth_token\":\"token\",\"auth_app_id\":\"" AKIT_SUB
		"\"}", akit_read_key, NULL};
	static const Pair of_sub[] = {
		{"app_id", AKIT_APP}, {"auth_app_id", AKIT_SUB}, {"notify_type", "trade_status_sync"},
		{"out_biz_no", "R1"}, {"out_trade_no", "P1"}, {"sign_type", "RSA2"},
		{"trade_status", "TRADE_SUCCESS"}, {NULL, NULL}
	};

	is_int(changed("app_id", "2014072300000000"), CALLBACK_EVIDENCE, "another app's");
	is_str(e.merchant, "2014072300000000", "is that app's");
	has(buf_str(&report), "warning merchant", "and is said");
	is_int(changed("app_id", NULL), CALLBACK_BAD_BODY, "nobody's");
	is_int(changed("seller_id", "2088000000000000"), CALLBACK_EVIDENCE, "another seller's");
	is_str(e.merchant, AKIT_APP "/2088000000000000", "is that seller's");
	is_int(changed("seller_id", NULL), CALLBACK_EVIDENCE, "one that names no seller");
	is_str(e.merchant, AKIT_APP, "is ours");

	sub = alipay->open(&source, &err);
	is_int(receive_how(sub, of_sub, &how), CALLBACK_EVIDENCE, "the sub-merchant's");
	is_str(e.merchant, AKIT_APP, "is ours");
	is_int(receive_how(config, of_sub, &how), CALLBACK_EVIDENCE, "for a channel of the app itself");
	is_str(e.merchant, AKIT_APP "/" AKIT_SUB, "it is another's");
	how.name = "auth_app_id";
	how.value = "2021000000000002";
	is_int(receive_how(sub, of_sub, &how), CALLBACK_EVIDENCE, "another sub-merchant's");
	is_str(e.merchant, AKIT_APP "/2021000000000002", "is that one's");
	alipay->close(sub);
}

static void
test_messages(void)
{
	static const Pair check[] = {
		{"biz_content", "<XML>x</XML>"}, {"charset", "GBK"}, {"service", "alipay.service.check"},
		{"sign_type", "RSA2"}, {NULL, NULL}
	};
	How			how = {.with_type = true};

	is_int(receive_how(config, deposit, &how), CALLBACK_EVIDENCE, "a deposit-back");
	ok(e.verdict == VERDICT_ASK && !e.proof && e.authentic && !e.has_amount, "is a hint");
	is_str(e.wire_no, "R1", "about the number");
	is_str(e.code, "dback_status=F", "with its status");
	has(e.detail, "Alipay balance", "in words");
	is_int(e.occurred_at, AKIT_NOW * INT64_C(1000000), "when");
	how.name = "biz_content";
	how.value = "{\"out_request_no\":\"R1\",\"dback_status\":\"X\"}";
	is_int(receive_how(config, deposit, &how), CALLBACK_BAD_BODY, "another status");
	how.value = "{\"dback_status\":\"S\"}";
	is_int(receive_how(config, deposit, &how), CALLBACK_BAD_BODY, "no number");
	how.value = "{\"out_request_no\":\"R1\",\"out_request_no\":\"R2\",\"dback_status\":\"S\"}";
	is_int(receive_how(config, deposit, &how), CALLBACK_BAD_BODY, "a number twice");
	how.value = "rubbish";
	is_int(receive_how(config, deposit, &how), CALLBACK_BAD_BODY, "no JSON");
	how.value = NULL;
	is_int(receive_how(config, deposit, &how), CALLBACK_BAD_BODY, "no content");
	how.name = "msg_method";
	how.value = "alipay.fund.trans.order.changed";
	is_int(receive_how(config, deposit, &how), CALLBACK_NOT_OURS, "a transfer's message");
	how.name = "version";
	how.value = "1.1";
	how.late_name = "biz_content";
	how.late_value = "{}";
	is_int(receive_how(config, deposit, &how), CALLBACK_BAD_SIGNATURE, "one that was changed");
	how = (How) {.with_type = true};
	is_int(receive_how(config, check, &how), CALLBACK_TEST, "the gateway's self-test");
	how.key = akit_app;
	is_int(receive_how(config, check, &how), CALLBACK_BAD_SIGNATURE, "only if it verifies");
}

/*
 * Whoever holds a signed message can cut its string elsewhere.  All that can
 * come of it is a question, or nothing.
 */
static void
test_cut_elsewhere(void)
{
	const char *string = "app_id=" AKIT_APP "&body=x&gmt_refund=2026-09-21 22:13:20&"
		"notify_type=trade_status_sync&out_trade_no=P1&trade_status=TRADE_SUCCESS";
	Buf			form = BUF_INIT;

	/* the body's text, which a payer may choose, becomes a parameter */
	akit_param(&form, "app_id", AKIT_APP);
	akit_param(&form, "body", "x");
	akit_param(&form, "gmt_refund", "2026-09-21 22:13:20");
	akit_param(&form, "notify_type", "trade_status_sync");
	akit_param(&form, "out_trade_no", "P1");
	akit_param(&form, "trade_status", "TRADE_SUCCESS");
	akit_param(&form, "sign_type", "RSA2");
	akit_form_sign(&form, akit_alipay, string);
	is_int(receive(config, buf_str(&form), form.len), CALLBACK_EVIDENCE, "a text cut in two");
	ok(e.verdict == VERDICT_ASK && !e.proof && !e.has_amount, "makes us ask, no more");

	/* a parameter that counts becomes part of another one that counts */
	buf_reset(&form);
	akit_param(&form, "app_id", AKIT_APP);
	akit_param(&form, "body", "x");
	akit_param(&form, "gmt_refund", "2026-09-21 22:13:20&notify_type=trade_status_sync&out_trade_no=P1"
			   "&trade_status=TRADE_SUCCESS");
	akit_param(&form, "sign_type", "RSA2");
	akit_form_sign(&form, akit_alipay, string);
	ok(receive(config, buf_str(&form), form.len) != CALLBACK_EVIDENCE, "two joined say nothing");
	buf_reset(&form);
	akit_param(&form, "app_id", AKIT_APP "&body=x&gmt_refund=2026-09-21 22:13:20");
	akit_param(&form, "notify_type", "trade_status_sync");
	akit_param(&form, "out_trade_no", "P1");
	akit_param(&form, "trade_status", "TRADE_SUCCESS");
	akit_param(&form, "sign_type", "RSA2");
	akit_form_sign(&form, akit_alipay, string);
	is_int(receive(config, buf_str(&form), form.len), CALLBACK_BAD_BODY, "nor with the app's id");
	buf_free(&form);
}

static void
test_encrypted(void)
{
	static const Pair encrypted[] = {
		{"app_id", AKIT_APP}, {"biz_content", "c2VjcmV0"}, {"encrypt_type", "AES"},
		{"msg_method", "alipay.trade.refund.depositback.completed"}, {"sign_type", "RSA2"}, {NULL, NULL}
	};
	How			how = {0};

	is_int(receive_how(config, encrypted, &how), CALLBACK_BAD_CIPHER, "encrypted contents");
	has(buf_str(&report), "switch the encryption", "and what to do");
}

static void
test_certificates(void)
{
	How			how = {0};
	char		sn[33];
	char		next[33];

	akit_sn("CN=" AKIT_CLASS ",C=CN", "1001", sn);
	akit_sn("CN=" AKIT_CLASS ",C=CN", "1002", next);
	is_int(receive_how(cert_config, partial, &how), CALLBACK_EVIDENCE, "without an SN");
	how.sn = sn;
	is_int(receive_how(cert_config, partial, &how), CALLBACK_EVIDENCE, "with it");
	has(buf_str(&report), sn, "which is said");
	how.sn = next;
	is_int(receive_how(cert_config, partial, &how), CALLBACK_BAD_SIGNATURE, "with another's");
	how.key = akit_alipay_next;
	is_int(receive_how(cert_config, partial, &how), CALLBACK_EVIDENCE, "which signed it");
	how.sn = "00000000000000000000000000000001";
	is_int(receive_how(cert_config, partial, &how), CALLBACK_UNKNOWN_KEY, "one that we do not have");
}

/* Deliveries of one message are one piece of evidence; other messages others. */
static void
test_digest(void)
{
	static const Pair variants[] = {
		{"out_biz_no", "R2"}, {"refund_fee", "1.00"}, {"gmt_refund", "2026-09-21 22:13:21"},
		{"trade_status", "TRADE_CLOSED"}, {"notify_id", "other"}, {"trade_no", "T2"},
		{"out_trade_no", "P2"}, {"app_id", AKIT_SUB}
	};
	unsigned char first[32];
	size_t		i;

	changed(NULL, NULL);
	memcpy(first, e.digest, 32);
	changed("notify_time", "2026-09-22 23:13:25");
	ok(memcmp(first, e.digest, 32) == 0, "sent again a day later");
	for (i = 0; i < sizeof(variants) / sizeof(variants[0]); i++)
	{
		changed(variants[i].name, variants[i].value);
		ok(memcmp(first, e.digest, 32) != 0, "another %s", variants[i].name);
	}
}

static void
test_trace(void)
{
	changed(NULL, NULL);
	has(buf_str(&report), "ok parameters: 21, \"app_id=" AKIT_APP "&body=***&buyer_id=***&buyer_logon_id=***",
		"names, and what is nobody's secret");
	lacks(buf_str(&report), "2088102116773037", "the payer's number is not shown");
	lacks(buf_str(&report), "159", "nor the account");
	has(buf_str(&report), "ok key: public key ", "the key");
	has(buf_str(&report), "ok signature: it is Alipay's", "the signature");
	has(buf_str(&report), "a refund numbered R1 of the trade 2014112611001004680073956707: a hint",
		"what it means");
	has(buf_str(&report), "ok merchant", "whose it is");
	receive(config, "a\n=%0a%ff%e4&sign=AAAA&sign_type=RSA2", 38);
	lacks(buf_str(&report), "\xff", "strangers' bytes are not repeated");
}

static void
test_acknowledge(void)
{
	ChannelReply reply;
	int			r;

	for (r = 0; r < CALLBACK_RESULT_COUNT; r++)
	{
		int			stored;

		for (stored = 0; stored < 2; stored++)
		{
			bool		good = (r == CALLBACK_EVIDENCE && stored) || r == CALLBACK_TEST;

			memset(&reply, 0x55, sizeof(reply));
			alipay->acknowledge((CallbackResult) r, stored != 0, &reply);
			ok(strcmp(reply.body, good ? "success" : "fail") == 0 &&
			   (reply.status == 200) == good && reply.status >= 200 && reply.status <= 599 &&
			   strcmp(reply.content_type, "text/plain") == 0, "%s, %s: %s",
			   callback_result_name((CallbackResult) r), stored ? "stored" : "not stored", reply.body);
		}
	}
}

int
main(void)
{
	ChannelSource source = {AKIT_CONFIG, akit_read_key, NULL};
	ChannelSource cert_source = {AKIT_CERT_CONFIG, akit_read_key, NULL};
	ChannelError err;

	alipay = channel_lookup("alipay");
	akit_start();
	config = alipay->open(&source, &err);
	cert_config = alipay->open(&cert_source, &err);
	if (!ok(config != NULL && cert_config != NULL, "both modes open"))
		return unit_done();
	test_refund();
	test_payment();
	test_conventions();
	test_changed_on_the_way();
	test_malformed();
	test_merchant();
	test_messages();
	test_cut_elsewhere();
	test_encrypted();
	test_certificates();
	test_digest();
	test_trace();
	test_acknowledge();
	alipay->close(config);
	alipay->close(cert_config);
	buf_free(&report);
	akit_stop();
	return unit_done();
}
