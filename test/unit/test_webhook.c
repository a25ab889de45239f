/*-------------------------------------------------------------------------
 *
 * test_webhook.c
 *	  Webhooks: Standard Webhooks' own vector, the bytes of an event, what answers
 *	  mean, and where a URL may point.
 *
 * test/unit/test_webhook.c
 *
 *-------------------------------------------------------------------------
 */
#include "net/http_address.h"
#include "notice/cloudevent.h"
#include "notice/webhook.h"
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define SECRET	"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

static WebhookSecret secret;
static char err[160];

static void
signs(const char *id, int64_t timestamp, const char *body, const char *want, const char *name)
{
	Buf			out = BUF_INIT;

	ok(webhook_sign(&secret, 1, id, timestamp, body, strlen(body), &out), "%s: signed", name);
	is_str(buf_str(&out), want, name);
	buf_free(&out);
}

static void
refuses_secret(const char *text, const char *why)
{
	WebhookSecret s;

	ok(!webhook_secret_read(text, strlen(text), &s, err, sizeof(err)), "refused: %s", why);
	has(err, why, why);
	lacks(err, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "without saying it");
}

static void
means(HttpOutcome outcome, int status, WebhookOutcome want)
{
	HttpAnswer	a;
	WebhookResult r;

	http_answer_init(&a);
	a.outcome = outcome;
	a.status = status;
	snprintf(a.error, sizeof(a.error), "broken");
	webhook_classify(&a, &r);
	ok(r.outcome == want, "HTTP %d is %d, not %d", status, (int) want, (int) r.outcome);
	ok((r.message[0] == '\0') == (want == WEBHOOK_DELIVERED), "HTTP %d: words", status);
	http_answer_free(&a);
}

static void
address(const char *text, bool want)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		ok(http_address_is_public((struct sockaddr *) &v4) == want, "%s", text);
	else
		ok(inet_pton(AF_INET6, text, &v6.sin6_addr) == 1 &&
		   http_address_is_public((struct sockaddr *) &v6) == want, "%s", text);
}

static void
url(const char *text, bool anywhere, const char *why)
{
	err[0] = '\0';
	ok(http_url_acceptable(text, anywhere, err, sizeof(err)) == (why == NULL), "%s: %s", text, why ? "refused" : "accepted");
	if (why != NULL)
		has(err, why, text);
}

static void
test_signature(void)
{
	static const char event[] =
	"{\"specversion\":\"1.0\",\"id\":\"018f2c5e-0000-7000-8000-000000000001\",\"source\":\"urn:refundx:pg:orders\","
	"\"type\":\"refundx.refund.succeeded\",\"time\":\"2026-01-02T03:04:05Z\",\"datacontenttype\":\"application/json\","
	"\"data\":{\"refund_no\":\"R1\",\"status\":\"SUCCEEDED\"}}";
	WebhookSecret two[2];
	Buf			out = BUF_INIT;
	Buf			body = BUF_INIT;
	HttpRequest request;

	ok(webhook_secret_read(SECRET "\n", strlen(SECRET) + 1, &secret, err, sizeof(err)), "the secret is read");
	is_int(secret.len, 24, "24 bytes");
	signs("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, "{\"test\": 2432232314}",
		  "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "the libraries' own vector");
	signs("018f2c5e-0000-7000-8000-000000000001", 1767323045, event,
		  "v1,iap/SY8eEWIX/Of34JOMWDGUSFWvmPl6UObHGSbxLGw=", "a CloudEvent");

	two[0] = secret;
	ok(webhook_secret_read("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 38, &two[1], err, sizeof(err)), "another");
	ok(webhook_sign(two, 2, "a", 1, "{}", 2, &out), "both sign");
	has(buf_str(&out), "= v1,", "a blank between them");
	ok(!webhook_sign(two, 0, "a", 1, "{}", 2, &out), "none does not");
	buf_free(&out);

	http_request_init(&request);
	buf_adds(&body, event);
	ok(webhook_request("https://shop.example/hook", &secret, 1, "018f2c5e-0000-7000-8000-000000000001", 1767323045, &body, &request), "a request");
	is_str(http_header_get(&request.headers, "webhook-signature"), "v1,iap/SY8eEWIX/Of34JOMWDGUSFWvmPl6UObHGSbxLGw=", "signed");
	is_str(http_header_get(&request.headers, "webhook-timestamp"), "1767323045", "with its time");
	is_str(http_header_get(&request.headers, "Content-Type"), "application/cloudevents+json; charset=utf-8", "and its type");
	is_str(buf_str(&request.body), event, "and the bytes that were signed");
	http_request_free(&request);
	buf_free(&body);

	refuses_secret("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "begins with whsec_");
	refuses_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw!", "not base64");
	refuses_secret("whsec_AAAA", "24 to 64 bytes, not 3");
	refuses_secret("", "begins with whsec_");
}

static void
test_event(void)
{
	CloudEvent	e = {"018f2c5e-0000-7000-8000-000000000001", "urn:refundx:pg:orders", "refundx.refund.succeeded",
	"R\"1", "2026-01-02T03:04:05Z", 4711, "{\"amount\": 9007199254740993, \"refund_no\": \"退\"}"};
	Buf			out = BUF_INIT;

	ok(cloudevent_json(&e, &out), "an event");
	is_str(buf_str(&out),
		   "{\"specversion\":\"1.0\",\"id\":\"018f2c5e-0000-7000-8000-000000000001\",\"source\":\"urn:refundx:pg:orders\","
		   "\"type\":\"refundx.refund.succeeded\",\"subject\":\"R\\\"1\",\"time\":\"2026-01-02T03:04:05Z\","
		   "\"datacontenttype\":\"application/json\",\"partitionkey\":\"R\\\"1\",\"sequence\":\"00000000000000004711\","
		   "\"data\":{\"amount\":9007199254740993,\"refund_no\":\"退\"}}", "its bytes");
	buf_reset(&out);
	e.data = "[]";
	ok(!cloudevent_json(&e, &out), "data is an object");
	e.data = "{";
	ok(!cloudevent_json(&e, &out), "and JSON");
	buf_free(&out);
}

static void
test_answers(void)
{
	HttpAnswer	a;
	WebhookResult r;
	int			n;

	means(HTTP_ANSWERED, 200, WEBHOOK_DELIVERED);
	means(HTTP_ANSWERED, 204, WEBHOOK_DELIVERED);
	means(HTTP_ANSWERED, 302, WEBHOOK_FAILED);
	means(HTTP_ANSWERED, 400, WEBHOOK_FAILED);
	means(HTTP_ANSWERED, 410, WEBHOOK_GONE);
	means(HTTP_ANSWERED, 429, WEBHOOK_SLOW_DOWN);
	means(HTTP_ANSWERED, 500, WEBHOOK_FAILED);
	means(HTTP_ANSWERED, 502, WEBHOOK_SLOW_DOWN);
	means(HTTP_ANSWERED, 504, WEBHOOK_SLOW_DOWN);
	means(HTTP_NOT_SENT, 0, WEBHOOK_FAILED);
	means(HTTP_SENT_UNKNOWN, 0, WEBHOOK_FAILED);
	http_answer_init(&a);
	a.outcome = HTTP_ANSWERED;
	a.status = 429;
	http_header_add(&a.headers, "Retry-After", "120");
	webhook_classify(&a, &r);
	is_int(r.retry_after, 120, "Retry-After");
	http_answer_free(&a);

	is_int(webhook_wait(1), 5, "the second try after 5 s");
	is_int(webhook_wait(2), 300, "the third after 5 min");
	is_int(webhook_wait(9), 86400, "the last after a day");
	is_int(webhook_wait(10), -1, "and then no more");
	is_int(webhook_patience(), 5 + 300 + 1800 + (2 + 5 + 10 + 14 + 20 + 24) * 3600, "75 hours in all");
	for (n = 1; n < 40; n++)
		ok(webhook_rest(n, WEBHOOK_FAILED) >= webhook_rest(n - 1, WEBHOOK_FAILED) &&
		   webhook_rest(n, WEBHOOK_SLOW_DOWN) > webhook_rest(n, WEBHOOK_FAILED), "rest %d grows", n);
	is_int(webhook_rest(40, WEBHOOK_FAILED), 60, "to a minute");
	is_int(webhook_rest(40, WEBHOOK_SLOW_DOWN), 300, "or five");
}

static void
test_addresses(void)
{
	static const char *const private[] = {
		"0.0.0.0", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.255",
		"169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.168.1.1", "198.18.0.1",
		"198.19.255.255", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::7f00:1",
		"::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "2002:7f00:1::",
		"2001::1", "2001:db8::1", "fc00::1", "fdff::1", "fe80::1", "fec0::1", "ff02::1", NULL
	};
	static const char *const public[] = {
		"1.1.1.1", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1",
		"192.167.0.1", "198.17.0.1", "198.20.0.1", "223.255.255.255", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1",
		"2002:101:101::", "2001:4860:4860::8888", "2606:4700::1111", "fbff::1", NULL
	};
	int			i;

	for (i = 0; private[i]; i++)
		address(private[i], false);
	for (i = 0; public[i]; i++)
		address(public[i], true);

	url("https://shop.example.com/hook?x=1", false, NULL);
	url("https://1.1.1.1:8443/", false, NULL);
	url("https://[2606:4700::1111]/", false, NULL);
	url("http://shop.example.com/", false, "https://");
	url("http://shop.example.com/", true, "https://");
	url("http://127.0.0.1:8080/", true, NULL);
	url("https://10.0.0.1/", true, NULL);
	url("http://10.0.0.1/", true, "https://");
	url("https://127.0.0.1/", false, "private network");
	url("https://127.1/", false, "private network");
	url("https://0x7f000001/", false, "private network");
	url("https://2130706433/", false, "private network");
	url("https://0177.0.0.1/", false, "private network");
	url("https://[::1]/", false, "private network");
	url("https://[::ffff:169.254.169.254]/", false, "private network");
	url("https://[fe80::1%25eth0]/", false, "private network");
	url("https://localhost/", false, "private network");
	url("https://a.localhost/", false, "private network");
	url("https://shop/", false, "private network");
	url("https://metadata.google.internal/", false, "private network");
	url("https://localhost./", false, "private network");
	url("https://user:pw@shop.example.com/", false, "user name");
	url("ftp://shop.example.com/", false, "https://");
	url("https://shop.example.com/a b", false, "encoded");
	url("https://shop.example.com/#x", false, "encoded");
	url("", false, "empty");
	url("shop.example.com", false, "cannot be read");
}

int
main(void)
{
	test_signature();
	test_event();
	test_answers();
	test_addresses();
	return unit_done();
}
