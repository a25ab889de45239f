/*-------------------------------------------------------------------------
 *
 * test_notice_aliyun.c
 *	  Alibaba Cloud SMS: the published signature vector, one made with the
 *	  same code for SendSms, and what its answers mean.
 *
 * test/unit/test_notice_aliyun.c
 *
 *-------------------------------------------------------------------------
 */
#include "notice/notice_util.h"
#include "unit.h"

#define NOW		INT64_C(1698315752)	/* 2023-10-26T10:22:32Z */
#define NONCE	"3156853299f313e23d1673dc12e1703d"
#define CONFIG	"{\"access_key_id\":\"YourAccessKeyId\",\"access_key_secret\":\"sms.key\"}"

static const NoticeProvider *aliyun;
static ChannelError err;

static bool
read_key(void *arg, const char *name, bool secret, Buf *out, char *why, size_t size)
{
	(void) arg;
	if (secret && strcmp(name, "sms.key") == 0)
		buf_adds(out, "YourAccessKeySecret\n");
	else if (secret && strcmp(name, "sts.token") == 0)
		buf_adds(out, "TOKEN");
	else if (strcmp(name, "two.lines") == 0)
		buf_adds(out, "one\ntwo\n");
	else
	{
		snprintf(why, size, "file \"%s\" is missing", name);
		return false;
	}
	return true;
}

static void *
open_config(const char *json)
{
	ChannelSource source = {json, read_key, NULL};

	memset(&err, 0, sizeof(err));
	return aliyun->open(&source, &err);
}

static bool
build(const char *config_json, const char *phone, const char *template_json, HttpRequest *out)
{
	static const NoticeParam params[] = {
		{"amount", "12.50"}, {"refund_no", "R 1&2"}, {"merchant", "bad \xff utf"}
	};
	NoticeMessage message = {
		.phone = phone, .notice_id = "123", .template_json = template_json,
		.language = "zh-CN", .params = params, .param_count = 3
	};
	ChannelMoment moment = {.now = NOW, .nonce = NONCE};
	void	   *config = open_config(config_json);
	bool		good;

	http_request_init(out);
	if (config == NULL)
		return false;
	good = aliyun->build(config, &message, &moment, out, &err);
	aliyun->close(config);
	return good;
}

static void
test_vectors(void)
{
	AliyunCall	call = {
		.key_id = "YourAccessKeyId", .secret = "YourAccessKeySecret",
		.host = "ecs.cn-shanghai.aliyuncs.com", .action = "RunInstances",
		.version = "2014-05-26", .nonce = NONCE, .now = NOW,
		.query = "ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai"
	};
	HttpHeaders headers;
	HttpRequest r;

	memset(&headers, 0, sizeof(headers));
	ok(aliyun_sign(&call, &headers), "the published vector is signed");
	is_str(http_header_get(&headers, "Authorization"),
		   "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;"
		   "x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,Signature="
		   "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0", "ACS3-1");
	http_headers_free(&headers);

	ok(build(CONFIG, "15300000001", "{\"sign\":\"阿里云短信测试专用\",\"code\":\"SMS_71390007\","
			 "\"params\":{\"customer\":\"test\"}}", &r), "SendSms is built: %s", err.message);
	has(http_header_get(&r.headers, "Authorization"),
		"Signature=aae8d87559e596be09e1cd5dc78011d61295602125c564fc6e487733a10dea62", "ACS3-2");
	is_str(r.method, "POST", "method");
	is_str(http_header_get(&r.headers, "x-acs-date"), "2023-10-26T10:22:32Z", "date");
	is_str(http_header_get(&r.headers, "Host"), "dysmsapi.aliyuncs.com", "the host that is signed");
	ok(http_header_get(&r.headers, "Content-Type") == NULL, "no Content-Type");
	is_int(r.body.len, 0, "no body");
	has(buf_str(&r.url), "https://dysmsapi.aliyuncs.com/?OutId=123&PhoneNumbers=15300000001&SignName=%E9",
		"everything stands in the query");
	http_request_free(&r);
}

static void
test_build(void)
{
	HttpRequest r;

	ok(build("{\"access_key_id\":\"ID\",\"access_key_secret\":\"sms.key\",\"security_token\":\"sts.token\","
			 "\"endpoint\":\"http://127.0.0.1:8080\"}", "+8613800138000",
			 "{\"sign\":\"S\",\"code\":\"C\",\"params\":{\"money\":\"amount\",\"no\":\"#{refund_no}\"}}",
			 &r), "with a token, at a sandbox: %s", err.message);
	has(buf_str(&r.url), "http://127.0.0.1:8080/?OutId=123&PhoneNumbers=%2B8613800138000&",
		"the number is encoded");
	has(buf_str(&r.url), "TemplateParam=%7B%22money%22%3A%2212.50%22%2C%22no%22%3A%22%23R%201%262%22%7D",
		"variables: a placeholder, and a text with one");
	is_str(http_header_get(&r.headers, "Host"), "127.0.0.1:8080", "the port is signed too");
	is_str(http_header_get(&r.headers, "x-acs-security-token"), "TOKEN", "the token");
	has(http_header_get(&r.headers, "Authorization"), "x-acs-date;x-acs-security-token;x-acs-signature-nonce",
		"is signed");
	http_request_free(&r);

	ok(!build(CONFIG, "13800138000,13900139000", "{\"sign\":\"S\",\"code\":\"C\"}", &r),
	   "two numbers in one are refused");
	lacks(err.message, "138", "without printing them");
	http_request_free(&r);
	ok(!build(CONFIG, "13800138000", "{\"sign\":\"S\",\"code\":\"C\",\"params\":{\"a\":\"{merchant}\"}}", &r),
	   "a value that is not UTF-8 is refused: %s", err.message);
	http_request_free(&r);
}

static void
test_configurations(void)
{
	static const char *const bad[] = {
		"", "[]", "{", "null", "{\"access_key_id\":\"x\"}",
		"{\"access_key_id\":1,\"access_key_secret\":\"sms.key\"}",
		"{\"access_key_id\":\"a b\",\"access_key_secret\":\"sms.key\"}",
		"{\"access_key_id\":\"x\",\"access_key_secret\":\"sms.key\",\"colour\":\"red\"}",
		"{\"access_key_id\":\"x\",\"access_key_secret\":\"other.key\"}",
		"{\"access_key_id\":\"x\",\"access_key_secret\":\"two.lines\"}",
		"{\"access_key_id\":\"x\",\"access_key_secret\":\"sms.key\",\"endpoint\":\"http://example.com\"}",
		"{\"access_key_id\":\"x\",\"access_key_secret\":\"sms.key\",\"endpoint\":\"https://a/b\"}",
		"{\"access_key_id\":\"x\",\"access_key_secret\":\"sms.key\",\"endpoint\":\"https://u@a\"}",
		"{\"access_key_id\":\"x\",\"access_key_secret\":\"sms.key\",\"endpoint\":\"http://127.0.0.1.evil.com\"}",
		"{\"access_key_id\":\"x\",\"access_key_secret\":\"sms.key\",\"endpoint\":\"\"}",
		NULL
	};
	static const char *const bad_templates[] = {
		"", "[]", "{}", "{\"sign\":\"S\"}", "{\"sign\":\"\",\"code\":\"C\"}",
		"{\"sign\":\"S\",\"code\":\"C\",\"extra\":1}", "{\"sign\":\"S\",\"code\":\"C\",\"params\":[]}",
		"{\"sign\":\"S\",\"code\":\"C\",\"params\":{\"a\":1}}",
		"{\"sign\":\"S\",\"code\":\"C\",\"params\":{\"a\":\"{phone}\"}}", NULL
	};
	int			i;

	for (i = 0; bad[i]; i++)
	{
		void	   *config = open_config(bad[i]);

		ok(config == NULL && err.message[0], "refused: %s", err.message);
		aliyun->close(config);
	}
	ok(open_config("{\"access_key_id\":\"x\",\"access_key_secret\":\"lTAI5tQQQQexampleSECRETexample\"}") == NULL,
	   "a secret where a file's name belongs: %s", err.message);
	lacks(err.message, "SECRET", "is not printed");
	for (i = 0; bad_templates[i]; i++)
	{
		memset(&err, 0, sizeof(err));
		ok(!aliyun->template_acceptable(bad_templates[i], &err) && err.message[0],
		   "template refused: %s", err.message);
	}
	ok(aliyun->template_acceptable("{\"sign\":\"S\",\"code\":\"C\",\"params\":{\"a\":\"{amount} {currency}\"}}",
								   &err), "a good template");
}

static NoticeResult
classify(HttpOutcome outcome, int status, const char *body)
{
	HttpAnswer	answer;
	NoticeResult result;

	http_answer_init(&answer);
	answer.outcome = outcome;
	answer.status = status;
	buf_adds(&answer.body, body);
	if (outcome != HTTP_ANSWERED)
		str_copy(answer.error, sizeof(answer.error), "words");
	aliyun->classify(NULL, &answer, &result);
	http_answer_free(&answer);
	return result;
}

static void
test_answers(void)
{
	static const struct
	{
		int			status;
		const char *code;
		NoticeOutcome outcome;
	}			cases[] =
	{
		{200, "OK", NOTICE_ACCEPTED},
		{500, "OK", NOTICE_AMBIGUOUS},
		{400, "Throttling.User", NOTICE_RETRY_SAFE},
		{503, "ServiceUnavailable", NOTICE_RETRY_SAFE},
		{500, "InternalError", NOTICE_AMBIGUOUS},
		{200, "isp.SYSTEM_ERROR", NOTICE_AMBIGUOUS},
		{200, "isv.BUSINESS_LIMIT_CONTROL", NOTICE_LIMITED},
		{200, "isv.MOBILE_NUMBER_ILLEGAL", NOTICE_FINAL_NUMBER},
		{200, "isv.SMS_TEMPLATE_ILLEGAL", NOTICE_FINAL_CONFIG},
		{404, "InvalidAccessKeyId.NotFound", NOTICE_FINAL_CONFIG},
		{400, "SignatureDoesNotMatch", NOTICE_FINAL_CONFIG},
		{200, "isv.AMOUNT_NOT_ENOUGH", NOTICE_BALANCE},
		{200, "isv.NEVER_HEARD_OF", NOTICE_FINAL_NUMBER},
		{500, "NeverHeardOf", NOTICE_AMBIGUOUS},
	};
	char		body[200];
	NoticeResult r;
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		snprintf(body, sizeof(body), "{\"Code\":\"%s\",\"Message\":\"m\"}", cases[i].code);
		r = classify(HTTP_ANSWERED, cases[i].status, body);
		is_int(r.outcome, cases[i].outcome, cases[i].code);
		is_str(r.code, cases[i].code, "... by its name");
	}
	r = classify(HTTP_ANSWERED, 200, "{\"Code\":\"OK\",\"Message\":\"OK\",\"BizId\":\"9006^0\"}");
	is_str(r.provider_id, "9006^0", "the provider's id");
	r = classify(HTTP_ANSWERED, 200, "{\"Code\":\"isv.BUSINESS_LIMIT_CONTROL\","
				 "\"Message\":\"触发小时级流控Permits:5 for 13800138000\"}");
	is_int(r.retry_after, 3600, "the window of a limit");
	is_str(r.message, "触发小时级流控Permits:5 for ****", "its words, without the number");
	is_int(classify(HTTP_NOT_SENT, 0, "").outcome, NOTICE_RETRY_SAFE, "not sent");
	is_int(classify(HTTP_SENT_UNKNOWN, 0, "").outcome, NOTICE_AMBIGUOUS, "no answer");
	is_int(classify(HTTP_ANSWERED, 500, "").outcome, NOTICE_AMBIGUOUS, "500 without a body");
	is_int(classify(HTTP_ANSWERED, 200, "<html>").outcome, NOTICE_AMBIGUOUS, "a page instead");
	is_int(classify(HTTP_ANSWERED, 200, "{\"Code\":1}").outcome, NOTICE_AMBIGUOUS, "a code that is none");
	is_int(classify(HTTP_ANSWERED, 200, "{\"Code\":\"isv.X\",\"Code\":\"OK\"}").outcome, NOTICE_AMBIGUOUS,
		   "two codes");
}

int
main(void)
{
	aliyun = notice_provider_lookup("aliyun");
	if (aliyun == NULL)
		return 2;
	test_vectors();
	test_build();
	test_configurations();
	test_answers();
	return unit_done();
}
