/*-------------------------------------------------------------------------
 *
 * test_notice_http.c
 *	  The HTTP gateway that a configuration describes, and the registry.
 *
 * test/unit/test_notice_http.c
 *
 *-------------------------------------------------------------------------
 */
#include "notice/notice_util.h"
#include "unit.h"

static const NoticeProvider *http;
static ChannelError err;
static int	findings[3];

static bool
read_key(void *arg, const char *name, bool secret, Buf *out, char *why, size_t size)
{
	(void) arg;
	(void) secret;
	if (strcmp(name, "gateway.key") != 0)
	{
		snprintf(why, size, "file \"%s\" is missing", name);
		return false;
	}
	buf_adds(out, " s3\"cret \n");
	return true;
}

static void *
open_config(const char *json)
{
	ChannelSource source = {json, read_key, NULL};

	memset(&err, 0, sizeof(err));
	return http->open(&source, &err);
}

static bool
build(const char *config_json, const char *refund_no, HttpRequest *out)
{
	NoticeParam params[] = {{"amount", "12.50"}, {"refund_no", refund_no}};
	NoticeMessage message = {
		.phone = "+8613800138000", .notice_id = "n1",
		.template_json = "{\"text\":\"退款 {amount} \\\"{refund_no}\\\"\",\"sign\":\"A&B\"}",
		.language = "zh-CN", .params = params, .param_count = 2
	};
	ChannelMoment moment = {.now = 1, .nonce = "0"};
	void	   *config = open_config(config_json);
	bool		good;

	http_request_init(out);
	if (config == NULL)
		return false;
	good = http->build(config, &message, &moment, out, &err);
	http->close(config);
	return good;
}

static void
test_build(void)
{
	HttpRequest r;

	ok(build("{\"url\":\"https://sms.example.com/send?to={phone}\",\"content_type\":\"application/json\","
			 "\"headers\":{\"Authorization\":\"Bearer {secret}\"},\"secret\":\"gateway.key\","
			 "\"body\":\"{{\\\"to\\\":\\\"{phone}\\\",\\\"m\\\":\\\"{text}\\\",\\\"k\\\":\\\"{secret}\\\"}\"}",
			 "R\n1", &r), "JSON: %s", err.message);
	is_str(buf_str(&r.url), "https://sms.example.com/send?to=%2B8613800138000", "the URL is encoded");
	is_str(http_header_get(&r.headers, "Authorization"), "Bearer s3\"cret", "the secret in a header");
	is_str(http_header_get(&r.headers, "Content-Type"), "application/json", "the body's type");
	is_str(buf_str(&r.body), "{\"to\":\"+8613800138000\",\"m\":\"退款 12.50 \\\"R\\u000a1\\\"\","
		   "\"k\":\"s3\\\"cret\"}", "the body, escaped for JSON");
	http_request_free(&r);

	ok(build("{\"url\":\"https://sms.example.com/\",\"content_type\":\"application/x-www-form-urlencoded\","
			 "\"body\":\"to={phone}&s={sign}\"}", "R1", &r), "a form: %s", err.message);
	is_str(buf_str(&r.body), "to=%2B8613800138000&s=A%26B", "the body, escaped for a form");
	http_request_free(&r);

	ok(build("{\"url\":\"http://127.0.0.1:9/cgi?to={phone}&text={text}\",\"method\":\"GET\"}", "R1", &r),
	   "everything in the query: %s", err.message);
	is_str(r.method, "GET", "method");
	has(buf_str(&r.url), "&text=%E9%80%80%E6%AC%BE%2012.50%20%22R1%22", "the text");
	is_int(r.headers.count, 0, "no headers");
	http_request_free(&r);

	ok(!build("{\"url\":\"https://x/\",\"headers\":{\"X-No\":\"{refund_no}\"}}", "R1\r\nX: y", &r),
	   "a value with a line break in a header: %s", err.message);
	http_request_free(&r);
}

static void
test_configurations(void)
{
	static const char *const bad[] = {
		"{}", "{\"url\":\"http://example.com/\"}", "{\"url\":\"https://{phone}.example.com/\"}",
		"{\"url\":\"https://x/?k={secret}\",\"secret\":\"gateway.key\"}",
		"{\"url\":\"https://x/{nonsense}\"}", "{\"url\":\"https://x/{\"}",
		"{\"url\":\"https://x/#f\"}", "{\"url\":\"https://u:p@x/\"}",
		"{\"url\":\"https://x/\",\"method\":\"DELETE\"}",
		"{\"url\":\"https://x/\",\"method\":\"GET\",\"body\":\"x\"}",
		"{\"url\":\"https://x/\",\"body\":\"{secret}\"}",
		"{\"url\":\"https://x/\",\"headers\":{\"X-A\":\"{secret}\"}}",
		"{\"url\":\"https://x/\",\"headers\":{\"X A\":\"1\"}}",
		"{\"url\":\"https://x/\",\"headers\":{\"XA\":1}}", "{\"url\":\"https://x/\",\"headers\":[]}",
		"{\"url\":\"https://x/\",\"escape\":\"xml\"}", "{\"url\":\"https://x/\",\"success\":[]}",
		"{\"url\":\"https://x/\",\"success\":{\"status\":[500]}}",
		"{\"url\":\"https://x/\",\"success\":{\"status\":[]}}",
		"{\"url\":\"https://x/\",\"success\":{\"status\":[\"200\"]}}",
		"{\"url\":\"https://x/\",\"success\":{\"json_path\":\"a\"}}",
		"{\"url\":\"https://x/\",\"success\":{\"regex\":\"a\"}}",
		"{\"url\":\"https://x/\",\"secret\":\"missing.key\"}",
		"{\"url\":\"https://x/\",\"content_type\":\"a\\r\\nb: c\"}",
		"{\"url\":\"https://x/\",\"password\":\"hunter2\"}", NULL
	};
	int			i;

	for (i = 0; bad[i]; i++)
	{
		void	   *config = open_config(bad[i]);

		ok(config == NULL && err.message[0], "refused: %s", err.message);
		http->close(config);
	}
	ok(!http->template_acceptable("{\"sign\":\"S\"}", &err), "a template that says nothing");
	ok(!http->template_acceptable("{\"text\":\"{phone}\"}", &err), "one that tells the number");
	ok(http->template_acceptable("{\"text\":\"{amount}\"}", &err), "a good one");
}

static void
count_finding(void *arg, FindingLevel level, const char *item, const char *text)
{
	(void) arg;
	(void) item;
	printf("# finding %d: %s\n", level, text);
	findings[level]++;
}

static void
check_config(const char *json)
{
	ChannelSource source = {json, read_key, NULL};
	ChannelFindings sink = {count_finding, NULL};

	memset(findings, 0, sizeof(findings));
	http->check(&source, 1, &sink);
}

static NoticeOutcome
classify(const char *success, HttpOutcome outcome, int status, const char *body, NoticeResult *out)
{
	char		json[300];
	HttpAnswer	answer;
	void	   *config;

	snprintf(json, sizeof(json), "{\"url\":\"https://x/\"%s%s}", success[0] ? ",\"success\":" : "",
			 success);
	config = open_config(json);
	http_answer_init(&answer);
	answer.outcome = outcome;
	answer.status = status;
	buf_adds(&answer.body, body);
	http->classify(config, &answer, out);
	http->close(config);
	http_answer_free(&answer);
	return out->outcome;
}

static void
test_answers(void)
{
	static const char *const path = "{\"status\":[200,201],\"json_path\":\"r.0.code\",\"equals\":\"0\"}";
	NoticeResult r;

#define IS(success, status, body, outcome) \
	is_int(classify(success, HTTP_ANSWERED, status, body, &r), outcome, #status " " body)
	IS("", 200, "", NOTICE_ACCEPTED);
	IS("", 202, "", NOTICE_AMBIGUOUS);
	IS("{\"status\":[202]}", 202, "", NOTICE_ACCEPTED);
	IS(path, 200, "{\"r\":[{\"code\":0}]}", NOTICE_ACCEPTED);
	IS(path, 201, "{\"r\":[{\"code\":\"0\"}]}", NOTICE_ACCEPTED);
	IS(path, 200, "{\"r\":[{\"code\":1}],\"msg\":\"no 13800138000\"}", NOTICE_AMBIGUOUS);
	is_str(r.code, "1", "what the gateway said");
	is_str(r.message, "no ****", "in its words, without the number");
	IS(path, 200, "{\"r\":[]}", NOTICE_AMBIGUOUS);
	IS(path, 200, "{\"r\":{}}", NOTICE_AMBIGUOUS);
	IS(path, 200, "nonsense", NOTICE_AMBIGUOUS);
	IS(path, 500, "{\"r\":[{\"code\":0}]}", NOTICE_AMBIGUOUS);
	IS("{\"json_path\":\"a\",\"equals\":\"\"}", 200, "{}", NOTICE_AMBIGUOUS);
	IS("", 401, "", NOTICE_FINAL_CONFIG);
	is_str(r.code, "HTTP 401", "a status in place of a code");
	IS("", 402, "", NOTICE_BALANCE);
	IS("", 429, "", NOTICE_RETRY_SAFE);
	IS("", 400, "", NOTICE_AMBIGUOUS);
	IS("", 503, "", NOTICE_AMBIGUOUS);
	is_int(classify("", HTTP_NOT_SENT, 0, "", &r), NOTICE_RETRY_SAFE, "not sent");
	is_int(classify("", HTTP_SENT_UNKNOWN, 0, "", &r), NOTICE_AMBIGUOUS, "no answer");
}

int
main(void)
{
	int			i;

	http = notice_provider_lookup("http");
	if (http == NULL)
		return 2;
	test_build();
	test_configurations();
	test_answers();
	check_config("{\"url\":\"https://x/\"}");
	ok(findings[FINDING_OK] == 1 && findings[FINDING_WARNING] == 1, "a check that warns");
	check_config("{\"url\":\"https://x/\",\"secret\":\"missing.key\"}");
	ok(findings[FINDING_ERROR] == 1 && findings[FINDING_OK] == 0, "a check that finds an error");

	for (i = 0; notice_provider_at(i); i++)
		ok(notice_provider_lookup(notice_provider_at(i)->kind) == notice_provider_at(i),
		   "provider %s", notice_provider_at(i)->kind);
	ok(i >= 2 && notice_provider_at(-1) == NULL, "the registry ends");
	ok(notice_provider_lookup("pigeon") == NULL, "an unknown one");
	is_str(notice_outcome_name(NOTICE_RETRY_SAFE), "retry_safe", "an outcome's name");
	is_str(notice_outcome_name(NOTICE_BALANCE), "balance", "and another");
	return unit_done();
}
