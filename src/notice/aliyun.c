/*-------------------------------------------------------------------------
 *
 * aliyun.c
 *	  SMS through Alibaba Cloud (Dysmsapi 2017-05-25, SendSms), signed with
 *	  ACS3-HMAC-SHA256.
 *
 * All parameters stand in the query, the body is empty, and no Content-Type
 * is sent, because one would have to be signed.  The query is built in the
 * order and the encoding that the signature wants, so the URL that is sent
 * carries exactly the string that was signed.  The URL holds the recipient's
 * number: it must never be logged.
 *
 * configuration:
 *		access_key_id		text
 *		access_key_secret	name of a key file
 *		security_token		name of a key file (STS); optional
 *		endpoint			"https://dysmsapi.aliyuncs.com" unless given
 *
 * a template:
 *		sign	approved signature, without its brackets
 *		code	"SMS_..."
 *		params	{"variable": "placeholder, or text with {placeholders}"}
 *
 * src/notice/aliyun.c
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/crypto.h"
#include "notice/notice_util.h"

#define DEFAULT_ENDPOINT	"https://dysmsapi.aliyuncs.com"
#define ALGORITHM			"ACS3-HMAC-SHA256"
#define CONNECT_TIMEOUT_MS	2000
#define TOTAL_TIMEOUT_MS	5000
#define MAX_ANSWER			((size_t) 64 * 1024)
#define MAX_VARIABLES		20
#define BIZ_ID_CHARS		"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ^_-."

typedef struct AliyunConfig
{
	Buf			key_id;
	Buf			secret;
	Buf			token;
	Buf			endpoint;
	Buf			host;
} AliyunConfig;

/*
 * What the codes mean (help.aliyun.com 101346, 101347, 48054).  A code that
 * is not listed is final for the message, and for nothing else.
 */
static const NoticeRule rules[] = {
	{"OK", NOTICE_ACCEPTED},
	{"Throttling*", NOTICE_RETRY_SAFE},
	{"ServiceUnavailable", NOTICE_RETRY_SAFE},
	{"SignatureNonceUsed", NOTICE_RETRY_SAFE},
	{"InvalidTimeStamp.Expired", NOTICE_RETRY_SAFE},
	{"isp.SYSTEM_ERROR", NOTICE_AMBIGUOUS},
	{"isp.GATEWAY_ERROR", NOTICE_AMBIGUOUS},
	{"InternalError*", NOTICE_AMBIGUOUS},
	{"isv.BUSINESS_LIMIT_CONTROL", NOTICE_LIMITED},
	{"isv.DAY_LIMIT_CONTROL", NOTICE_LIMITED},
	{"isv.MONTH_LIMIT_CONTROL", NOTICE_LIMITED},
	{"isv.MOBILE_NUMBER_ILLEGAL", NOTICE_FINAL_NUMBER},
	{"isv.MOBILE_COUNT_OVER_LIMIT", NOTICE_FINAL_NUMBER},
	{"isv.DOMESTIC_NUMBER_NOT_SUPPORTED", NOTICE_FINAL_NUMBER},
	{"isv.BLACK_KEY_CONTROL_LIMIT", NOTICE_FINAL_NUMBER},
	{"isv.SMS_TEST_NUMBER_LIMIT", NOTICE_FINAL_NUMBER},
	{"isv.SMS_TEMPLATE_ILLEGAL", NOTICE_FINAL_CONFIG},
	{"isv.SMS_SIGNATURE_ILLEGAL", NOTICE_FINAL_CONFIG},
	{"isv.SMS_SIGN_ILLEGAL", NOTICE_FINAL_CONFIG},
	{"isv.SIGN_STATE_ILLEGAL", NOTICE_FINAL_CONFIG},
	{"isv.SMS_SIGNATURE_SCENE_ILLEGAL", NOTICE_FINAL_CONFIG},
	{"isv.TEMPLATE_MISSING_PARAMETERS", NOTICE_FINAL_CONFIG},
	{"isv.TEMPLATE_PARAMS_ILLEGAL", NOTICE_FINAL_CONFIG},
	{"isv.INVALID_JSON_PARAM", NOTICE_FINAL_CONFIG},
	{"isv.INVALID_PARAMETERS", NOTICE_FINAL_CONFIG},
	{"isv.PARAM_LENGTH_LIMIT", NOTICE_FINAL_CONFIG},
	{"isv.PARAM_NOT_SUPPORT_URL", NOTICE_FINAL_CONFIG},
	{"isv.SMS_CONTENT_ILLEGAL", NOTICE_FINAL_CONFIG},
	{"isv.EXTEND_CODE_ERROR", NOTICE_FINAL_CONFIG},
	{"isv.DENY_IP_RANGE", NOTICE_FINAL_CONFIG},
	{"isp.RAM_PERMISSION_DENY", NOTICE_FINAL_CONFIG},
	{"isv.PRODUCT_UN_SUBSCRIPT", NOTICE_FINAL_CONFIG},
	{"isv.PRODUCT_UNSUBSCRIBE", NOTICE_FINAL_CONFIG},
	{"isv.ACCOUNT_NOT_EXISTS", NOTICE_FINAL_CONFIG},
	{"isv.ACCOUNT_ABNORMAL", NOTICE_FINAL_CONFIG},
	{"SignatureDoesNotMatch", NOTICE_FINAL_CONFIG},
	{"InvalidAccessKeyId*", NOTICE_FINAL_CONFIG},
	{"isv.AMOUNT_NOT_ENOUGH", NOTICE_BALANCE},
	{"isv.OUT_OF_SERVICE", NOTICE_BALANCE}
};

#define RULE_COUNT	((int) (sizeof(rules) / sizeof(rules[0])))

/* The message of a limit names its window. */
static const struct
{
	const char *word;
	int			seconds;
}			windows[] =
{
	{"分钟级", 60}, {"小时级", 3600}, {"天级", 86400}
};

static void *aliyun_open(const ChannelSource *source, ChannelError *err);
static void aliyun_close(void *arg);
static void aliyun_check(const ChannelSource *source, int64_t now,
						 const ChannelFindings *findings);
static bool aliyun_template_acceptable(const char *template_json, ChannelError *err);
static bool aliyun_build(void *arg, const NoticeMessage *message, const ChannelMoment *moment,
						 HttpRequest *out, ChannelError *err);
static void aliyun_classify(void *arg, const HttpAnswer *answer, NoticeResult *out);

static bool fill_config(AliyunConfig *config, json_t *json, const ChannelSource *source,
						ChannelError *err);
static bool set_endpoint(AliyunConfig *config, const char *endpoint, ChannelError *err);
static json_t *parse_template(const char *template_json, ChannelError *err);
static bool template_param(json_t *template, const NoticeMessage *message, Buf *out,
						   ChannelError *err);
static bool variable_value(const char *text, const NoticeMessage *message, Buf *out,
						   ChannelError *err);
static bool phone_acceptable(const char *phone, ChannelError *err);
static void add_parameter(Buf *query, const char *name, const char *value);
static int	limit_window(const char *code, const char *message);

const NoticeProvider aliyun_provider = {
	.kind = "aliyun",
	.label = "Alibaba Cloud SMS",
	.open = aliyun_open,
	.close = aliyun_close,
	.check = aliyun_check,
	.template_acceptable = aliyun_template_acceptable,
	.build = aliyun_build,
	.classify = aliyun_classify
};

/* ---- configuration ---- */

static void *
aliyun_open(const ChannelSource *source, ChannelError *err)
{
	static const char *const known[] = {"access_key_id", "access_key_secret", "endpoint",
	"security_token", NULL};
	AliyunConfig *config;
	json_t	   *json = notice_json_object(source->config_json, "configuration", known, err);

	if (json == NULL)
		return NULL;
	config = calloc(1, sizeof(*config));
	if (config == NULL)
		notice_fail(err, NULL, "out of memory");
	else if (!fill_config(config, json, source, err))
	{
		aliyun_close(config);
		config = NULL;
	}
	json_decref(json);
	return config;
}

static bool
fill_config(AliyunConfig *config, json_t *json, const ChannelSource *source, ChannelError *err)
{
	const char *key_id;
	const char *secret;
	const char *token;
	const char *endpoint;
	const char *p;

	if (!notice_json_string(json, "access_key_id", true, &key_id, err) ||
		!notice_json_string(json, "access_key_secret", true, &secret, err) ||
		!notice_json_string(json, "security_token", false, &token, err) ||
		!notice_json_string(json, "endpoint", false, &endpoint, err))
		return false;
	for (p = key_id; *p; p++)
		if (!isalnum((unsigned char) *p) && *p != '.' && *p != '_' && *p != '-')
			return notice_fail(err, NULL, "\"access_key_id\" has a character that no key id has");
	buf_adds(&config->key_id, key_id);
	if (!set_endpoint(config, endpoint ? endpoint : DEFAULT_ENDPOINT, err) ||
		!notice_read_secret(source, "access_key_secret", secret, &config->secret, err) ||
		(token && !notice_read_secret(source, "security_token", token, &config->token, err)))
		return false;
	if (config->key_id.failed || config->endpoint.failed || config->host.failed)
		return notice_fail(err, NULL, "out of memory");
	return true;
}

/* Scheme, host and port; the host in small letters, as it is signed. */
static bool
set_endpoint(AliyunConfig *config, const char *endpoint, ChannelError *err)
{
	const char *host;
	const char *p;

	if (!notice_url_acceptable(endpoint, "endpoint", err))
		return false;
	host = strstr(endpoint, "://") + 3;
	if (host[strcspn(host, "/?#{")] != '\0')
		return notice_fail(err, "For example " DEFAULT_ENDPOINT,
						   "the endpoint is more than a scheme and a host");
	for (p = host; *p; p++)
		buf_addc(&config->host, (char) tolower((unsigned char) *p));
	buf_add(&config->endpoint, endpoint, (size_t) (host - endpoint));
	buf_adds(&config->endpoint, buf_str(&config->host));
	return true;
}

static void
aliyun_close(void *arg)
{
	AliyunConfig *config = arg;

	if (config == NULL)
		return;
	buf_free(&config->key_id);
	buf_wipe(&config->secret);
	buf_wipe(&config->token);
	buf_free(&config->endpoint);
	buf_free(&config->host);
	free(config);
}

static void
aliyun_check(const ChannelSource *source, int64_t now, const ChannelFindings *findings)
{
	(void) now;
	notice_check_by_opening(&aliyun_provider, source, findings);
}

/* ---- templates ---- */

static json_t *
parse_template(const char *template_json, ChannelError *err)
{
	static const char *const known[] = {"sign", "code", "params", NULL};
	json_t	   *template = notice_json_object(template_json, "template", known, err);
	json_t	   *params;
	const char *text;
	const char *key;
	json_t	   *value;
	bool		good;

	if (template == NULL)
		return NULL;
	params = json_object_get(template, "params");
	good = notice_json_string(template, "sign", true, &text, err) &&
		notice_json_string(template, "code", true, &text, err);
	if (good && params && (!json_is_object(params) || json_object_size(params) > MAX_VARIABLES))
		good = notice_fail(err, NULL, "\"params\" is not an object of at most %d variables",
						   MAX_VARIABLES);
	if (good && params)
	{
		json_object_foreach(params, key, value)
		{
			if (!json_is_string(value))
				good = notice_fail(err, NULL, "variable \"%.40s\" is not a string", key);
			else if (!notice_text_acceptable(json_string_value(value), notice_placeholders,
											 NULL, err))
				good = false;
			if (!good)
				break;
		}
	}
	if (good)
		return template;
	json_decref(template);
	return NULL;
}

static bool
aliyun_template_acceptable(const char *template_json, ChannelError *err)
{
	json_t	   *template = parse_template(template_json, err);

	json_decref(template);
	return template != NULL;
}

/* "amount" is short for "{amount}". */
static bool
variable_value(const char *text, const NoticeMessage *message, Buf *out, ChannelError *err)
{
	char		braced[64];

	if (notice_is_placeholder(text))
	{
		snprintf(braced, sizeof(braced), "{%s}", text);
		text = braced;
	}
	return notice_render(text, message->params, message->param_count, out, err);
}

/* TemplateParam: an object in a string, every value a string; "" if empty. */
static bool
template_param(json_t *template, const NoticeMessage *message, Buf *out, ChannelError *err)
{
	json_t	   *params = json_object_get(template, "params");
	json_t	   *filled;
	const char *key;
	json_t	   *value;
	bool		good = true;
	char	   *text;

	if (params == NULL || json_object_size(params) == 0)
		return true;
	filled = json_object();
	json_object_foreach(params, key, value)
	{
		Buf			b = BUF_INIT;

		good = variable_value(json_string_value(value), message, &b, err);
		/* fails for a value that is not UTF-8 */
		if (good && json_object_set_new(filled, key, json_stringn(buf_str(&b), b.len)) != 0)
			good = notice_fail(err, NULL, "variable \"%.40s\" cannot be written as JSON", key);
		buf_free(&b);
		if (!good)
			break;
	}
	text = good ? json_dumps(filled, JSON_COMPACT) : NULL;
	if (text)
		buf_adds(out, text);
	else if (good)
		good = notice_fail(err, NULL, "out of memory");
	free(text);
	json_decref(filled);
	return good;
}

/* ---- building ---- */

static bool
phone_acceptable(const char *phone, ChannelError *err)
{
	size_t		len = strlen(phone);
	const char *digits = phone[0] == '+' ? phone + 1 : phone;

	/* a comma would make it two recipients */
	if (len < 5 || len > 20 || digits[strspn(digits, "0123456789")] != '\0')
		return notice_fail(err, NULL, "the recipient's number is not a phone number");
	return true;
}

static void
add_parameter(Buf *query, const char *name, const char *value)
{
	buf_addf(query, "%s%s=", query->len > 0 ? "&" : "", name);
	percent_encode(query, value, strlen(value));
}

static bool
aliyun_build(void *arg, const NoticeMessage *message, const ChannelMoment *moment,
			 HttpRequest *out, ChannelError *err)
{
	AliyunConfig *config = arg;
	json_t	   *template = parse_template(message->template_json, err);
	Buf			param = BUF_INIT;
	Buf			query = BUF_INIT;
	bool		good = false;

	if (template == NULL)
		return false;
	if (phone_acceptable(message->phone, err) && template_param(template, message, &param, err))
	{
		AliyunCall	call = {
			.key_id = buf_str(&config->key_id),
			.secret = buf_str(&config->secret),
			.token = config->token.len > 0 ? buf_str(&config->token) : NULL,
			.host = buf_str(&config->host),
			.action = "SendSms",
			.version = "2017-05-25",
			.nonce = moment->nonce,
			.now = moment->now
		};

		/* in the order of their names, as the signature wants them */
		if (message->notice_id && message->notice_id[0])
			add_parameter(&query, "OutId", message->notice_id);
		add_parameter(&query, "PhoneNumbers", message->phone);
		add_parameter(&query, "SignName", json_string_value(json_object_get(template, "sign")));
		add_parameter(&query, "TemplateCode", json_string_value(json_object_get(template, "code")));
		if (param.len > 0)
			add_parameter(&query, "TemplateParam", buf_str(&param));

		call.query = buf_str(&query);
		str_copy(out->method, sizeof(out->method), "POST");
		buf_addf(&out->url, "%s/?%s", buf_str(&config->endpoint), buf_str(&query));
		out->connect_timeout_ms = CONNECT_TIMEOUT_MS;
		out->total_timeout_ms = TOTAL_TIMEOUT_MS;
		out->max_answer = MAX_ANSWER;
		good = aliyun_sign(&call, &out->headers) && !query.failed && !param.failed &&
			!out->url.failed;
		if (!good)
			notice_fail(err, NULL, "the request cannot be signed");
	}
	buf_wipe(&query);
	buf_wipe(&param);
	json_decref(template);
	return good;
}

/*
 * The canonical request names its headers in order; a token, where there is
 * one, stands between the date and the nonce.
 */
bool
aliyun_sign(const AliyunCall *call, HttpHeaders *headers)
{
	const char *token_name = call->token ? "x-acs-security-token;" : "";
	time_t		seconds = (time_t) call->now;
	unsigned char digest[32];
	struct tm	tm;
	char		date[32];
	Buf			empty = BUF_INIT;
	Buf			names = BUF_INIT;
	Buf			text = BUF_INIT;
	Buf			value = BUF_INIT;
	bool		good;

	if (gmtime_r(&seconds, &tm) == NULL ||
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0 ||
		!sha256("", 0, digest))
		return false;
	hex_encode(&empty, digest, sizeof(digest));
	buf_addf(&names, "host;x-acs-action;x-acs-content-sha256;x-acs-date;%s"
			 "x-acs-signature-nonce;x-acs-version", token_name);

	buf_addf(&text, "POST\n/\n%s\nhost:%s\nx-acs-action:%s\nx-acs-content-sha256:%s\n"
			 "x-acs-date:%s\n", call->query, call->host, call->action, buf_str(&empty), date);
	if (call->token)
		buf_addf(&text, "x-acs-security-token:%s\n", call->token);
	buf_addf(&text, "x-acs-signature-nonce:%s\nx-acs-version:%s\n\n%s\n%s",
			 call->nonce, call->version, buf_str(&names), buf_str(&empty));

	good = !text.failed && sha256(buf_str(&text), text.len, digest);
	buf_wipe(&text);
	buf_adds(&text, ALGORITHM "\n");
	hex_encode(&text, digest, sizeof(digest));
	good = good && !text.failed &&
		hmac_sha256(call->secret, strlen(call->secret), buf_str(&text), text.len, digest);

	buf_addf(&value, ALGORITHM " Credential=%s,SignedHeaders=%s,Signature=", call->key_id,
			 buf_str(&names));
	hex_encode(&value, digest, sizeof(digest));
	good = good && !value.failed && !names.failed && !empty.failed &&
		http_header_add(headers, "Host", call->host) &&
		http_header_add(headers, "x-acs-action", call->action) &&
		http_header_add(headers, "x-acs-content-sha256", buf_str(&empty)) &&
		http_header_add(headers, "x-acs-date", date) &&
		(call->token == NULL ||
		 http_header_add(headers, "x-acs-security-token", call->token)) &&
		http_header_add(headers, "x-acs-signature-nonce", call->nonce) &&
		http_header_add(headers, "x-acs-version", call->version) &&
		http_header_add(headers, "Accept", "application/json") &&
		http_header_add(headers, "Authorization", buf_str(&value));
	buf_free(&empty);
	buf_free(&names);
	buf_free(&text);
	buf_free(&value);
	return good;
}

/* ---- answers ---- */

static void
aliyun_classify(void *arg, const HttpAnswer *answer, NoticeResult *out)
{
	json_t	   *json;
	const char *code;
	const char *words;
	const char *biz_id;
	const NoticeRule *rule;

	(void) arg;
	memset(out, 0, sizeof(*out));
	if (notice_unanswered(answer, out))
		return;
	json = json_loadb(buf_str(&answer->body), answer->body.len, JSON_REJECT_DUPLICATES, NULL);
	code = json_string_value(json_object_get(json, "Code"));
	words = json_string_value(json_object_get(json, "Message"));
	biz_id = json_string_value(json_object_get(json, "BizId"));
	if (code == NULL)
	{
		/* not the provider's own answer: who knows what became of it */
		snprintf(out->code, sizeof(out->code), "HTTP %d", answer->status);
		json_decref(json);
		return;
	}
	rule = notice_rule_lookup(rules, RULE_COUNT, code);
	if (rule)
		out->outcome = rule->outcome;
	else
		out->outcome = answer->status >= 500 ? NOTICE_AMBIGUOUS : NOTICE_FINAL_NUMBER;
	if (out->outcome == NOTICE_ACCEPTED && answer->status != 200)
		out->outcome = NOTICE_AMBIGUOUS;
	notice_copy_words(out->code, sizeof(out->code), code);
	notice_copy_words(out->message, sizeof(out->message), words ? words : "");
	if (biz_id && biz_id[strspn(biz_id, BIZ_ID_CHARS)] == '\0')
		str_copy(out->provider_id, sizeof(out->provider_id), biz_id);
	out->retry_after = notice_retry_after(answer);
	if (out->outcome == NOTICE_LIMITED && out->retry_after == 0)
		out->retry_after = limit_window(code, words ? words : "");
	json_decref(json);
}

static int
limit_window(const char *code, const char *message)
{
	size_t		i;

	for (i = 0; i < sizeof(windows) / sizeof(windows[0]); i++)
		if (strstr(message, windows[i].word) != NULL)
			return windows[i].seconds;
	return strcmp(code, "isv.DAY_LIMIT_CONTROL") == 0 ? 86400 : 0;
}
