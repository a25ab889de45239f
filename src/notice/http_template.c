/*-------------------------------------------------------------------------
 *
 * http_template.c
 *	  Any SMS gateway that takes one HTTP request, described by its
 *	  configuration.
 *
 *		url				"https://host/path?to={phone}"; values are encoded
 *		method			"POST" unless given; "GET" and "PUT" are possible
 *		headers			{"name": "text with {placeholders}"}
 *		body			text with {placeholders}
 *		content_type	of the body
 *		escape			how values stand in the body: "json", "form" or "none";
 *						unless given, what content_type suggests
 *		secret			name of a key file, used as {secret} in headers and body;
 *						not in the URL, which proxies log
 *		success			{"status": [200], "json_path": "result.0.code",
 *						"equals": "0"}
 *
 * Beside refundx's own, {phone}, {text}, {sign}, {code}, {notice_id} and
 * {language} can be used.  A template is {"text", "sign", "code"}; {text} is
 * its text with the placeholders filled in.
 *
 * Nothing is known of such a gateway but how it says yes.  What is not that,
 * and not an answer whose meaning HTTP itself fixes, may have been sent, and
 * is not sent again.
 *
 * src/notice/http_template.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "crypto/crypto.h"
#include "notice/notice_util.h"

#define CONNECT_TIMEOUT_MS	2000
#define TOTAL_TIMEOUT_MS	5000
#define MAX_ANSWER			((size_t) 64 * 1024)
#define MAX_CONFIG_HEADERS	16
#define MAX_STATUSES		8
#define MAX_PATH_DEPTH		8
#define MAX_URL				8192

typedef struct TemplateConfig
{
	json_t	   *json;			/* the strings below are its own */
	const char *url;
	const char *method;
	const char *body;
	const char *content_type;
	json_t	   *headers;
	NoticeEscape escape;
	Buf			secret;
	int			status[MAX_STATUSES];
	int			status_count;
	const char *json_path;
	const char *equals;
} TemplateConfig;

static const char *const config_keys[] = {"url", "method", "headers", "body", "content_type",
"escape", "success", "secret", NULL};
static const char *const template_keys[] = {"text", "sign", "code", NULL};
static const char *const success_keys[] = {"status", "json_path", "equals", NULL};

static const char *const url_names[] = {"phone", "text", "sign", "code", "notice_id",
"language", NULL};
static const char *const all_names[] = {"phone", "text", "sign", "code", "notice_id",
"language", "secret", NULL};

/* Statuses that mean the same everywhere; all others are ambiguous. */
static const struct
{
	int			status;
	NoticeOutcome outcome;
}			status_rules[] =
{
	{401, NOTICE_FINAL_CONFIG},
	{402, NOTICE_BALANCE},
	{403, NOTICE_FINAL_CONFIG},
	{404, NOTICE_FINAL_CONFIG},
	{405, NOTICE_FINAL_CONFIG},
	{415, NOTICE_FINAL_CONFIG},
	{429, NOTICE_RETRY_SAFE}
};

static void *template_open(const ChannelSource *source, ChannelError *err);
static void template_close(void *arg);
static void template_check(const ChannelSource *source, int64_t now,
						   const ChannelFindings *findings);
static bool template_acceptable(const char *template_json, ChannelError *err);
static bool template_build(void *arg, const NoticeMessage *message, const ChannelMoment *moment,
						   HttpRequest *out, ChannelError *err);
static void template_classify(void *arg, const HttpAnswer *answer, NoticeResult *out);

static bool fill_config(TemplateConfig *config, const ChannelSource *source, ChannelError *err);
static bool read_request(TemplateConfig *config, ChannelError *err);
static bool read_url(TemplateConfig *config, ChannelError *err);
static bool read_headers(TemplateConfig *config, ChannelError *err);
static bool read_escape(TemplateConfig *config, const char *escape, ChannelError *err);
static bool read_success(TemplateConfig *config, ChannelError *err);
static bool uses_secret(const TemplateConfig *config);
static json_t *parse_template(const char *template_json, ChannelError *err);
static int	collect_params(const TemplateConfig *config, const NoticeMessage *message,
						   json_t *template, const char *text, NoticeParam *params);
static bool build_headers(const TemplateConfig *config, const NoticeParam *params, int count,
						  HttpRequest *out, ChannelError *err);
static json_t *follow_path(json_t *json, const char *path);
static bool value_as_text(json_t *value, char *out, size_t outsize);

const NoticeProvider http_template_provider = {
	.kind = "http",
	.label = "HTTP gateway",
	.open = template_open,
	.close = template_close,
	.check = template_check,
	.template_acceptable = template_acceptable,
	.build = template_build,
	.classify = template_classify
};

/* ---- configuration ---- */

static void *
template_open(const ChannelSource *source, ChannelError *err)
{
	TemplateConfig *config = calloc(1, sizeof(*config));

	if (config == NULL)
	{
		notice_fail(err, NULL, "out of memory");
		return NULL;
	}
	config->json = notice_json_object(source->config_json, "configuration", config_keys, err);
	if (config->json != NULL && fill_config(config, source, err))
		return config;
	template_close(config);
	return NULL;
}

static bool
fill_config(TemplateConfig *config, const ChannelSource *source, ChannelError *err)
{
	const char *secret;

	if (!read_request(config, err) || !read_url(config, err) ||
		!read_headers(config, err) || !read_success(config, err) ||
		!notice_json_string(config->json, "secret", false, &secret, err))
		return false;
	if (secret == NULL && uses_secret(config))
		return notice_fail(err, "Name a key file as \"secret\".",
						   "{secret} is used, but there is none");
	return secret == NULL ||
		notice_read_secret(source, "secret", secret, &config->secret, err);
}

static bool
read_request(TemplateConfig *config, ChannelError *err)
{
	const char *escape;

	if (!notice_json_string(config->json, "url", true, &config->url, err) ||
		!notice_json_string(config->json, "method", false, &config->method, err) ||
		!notice_json_string(config->json, "body", false, &config->body, err) ||
		!notice_json_string(config->json, "content_type", false, &config->content_type, err) ||
		!notice_json_string(config->json, "escape", false, &escape, err))
		return false;
	if (config->content_type && strpbrk(config->content_type, "\r\n") != NULL)
		return notice_fail(err, NULL, "\"content_type\" has a line break");
	if (config->method == NULL)
		config->method = "POST";
	if (strcmp(config->method, "POST") != 0 && strcmp(config->method, "GET") != 0 &&
		strcmp(config->method, "PUT") != 0)
		return notice_fail(err, NULL, "\"method\" is not GET, POST or PUT");
	if (config->body && strcmp(config->method, "GET") == 0)
		return notice_fail(err, NULL, "a GET request has no \"body\"");
	if (config->body && !notice_text_acceptable(config->body, notice_placeholders, all_names, err))
		return false;
	return read_escape(config, escape, err);
}

/* A placeholder may not choose the host. */
static bool
read_url(TemplateConfig *config, ChannelError *err)
{
	const char *host;

	if (!notice_url_acceptable(config->url, "URL", err))
		return false;
	host = strstr(config->url, "://") + 3;
	if (memchr(config->url, '{', (size_t) (host - config->url) + strcspn(host, "/?")) != NULL)
		return notice_fail(err, NULL, "the URL's host is not a fixed one");
	if (strchr(host, '#') != NULL)
		return notice_fail(err, NULL, "the URL has a fragment, which is never sent");
	if (notice_text_uses(config->url, "secret"))
		return notice_fail(err, "URLs are logged on their way; use a header or the body.",
						   "{secret} cannot be used in the URL");
	return notice_text_acceptable(config->url, notice_placeholders, url_names, err);
}

static bool
read_headers(TemplateConfig *config, ChannelError *err)
{
	const char *name;
	json_t	   *value;

	config->headers = json_object_get(config->json, "headers");
	if (config->headers == NULL)
		return true;
	if (!json_is_object(config->headers) ||
		json_object_size(config->headers) > MAX_CONFIG_HEADERS)
		return notice_fail(err, NULL, "\"headers\" is not an object of at most %d headers",
						   MAX_CONFIG_HEADERS);
	json_object_foreach(config->headers, name, value)
	{
		if (name[0] == '\0' || name[strspn(name, "abcdefghijklmnopqrstuvwxyz"
										   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")] != '\0')
			return notice_fail(err, NULL, "\"%.40s\" is not a header's name", name);
		if (!json_is_string(value))
			return notice_fail(err, NULL, "header \"%.40s\" is not a string", name);
		if (!notice_text_acceptable(json_string_value(value), notice_placeholders, all_names, err))
			return false;
	}
	return true;
}

static bool
read_escape(TemplateConfig *config, const char *escape, ChannelError *err)
{
	const char *type = config->content_type ? config->content_type : "";

	if (escape == NULL)
		escape = strcasestr(type, "json") ? "json" :
			strcasestr(type, "x-www-form-urlencoded") ? "form" : "none";
	if (strcmp(escape, "json") == 0)
		config->escape = notice_escape_json;
	else if (strcmp(escape, "form") == 0)
		config->escape = percent_encode;
	else if (strcmp(escape, "none") != 0)
		return notice_fail(err, NULL, "\"escape\" is not \"json\", \"form\" or \"none\"");
	return true;
}

static bool
read_success(TemplateConfig *config, ChannelError *err)
{
	json_t	   *success = json_object_get(config->json, "success");
	json_t	   *statuses = json_object_get(success, "status");
	const char *key;
	json_t	   *value;
	size_t		i;
	int			k;

	if (success && !json_is_object(success))
		return notice_fail(err, NULL, "\"success\" is not an object");
	json_object_foreach(success, key, value)
	{
		for (k = 0; success_keys[k] && strcmp(success_keys[k], key) != 0; k++)
			;
		if (success_keys[k] == NULL)
			return notice_fail(err, NULL, "\"success\" has a key that is not known: \"%.40s\"", key);
	}
	if (!notice_json_string(success, "json_path", false, &config->json_path, err) ||
		!notice_json_string(success, "equals", false, &config->equals, err))
		return false;
	if ((config->json_path == NULL) != (config->equals == NULL))
		return notice_fail(err, NULL, "\"json_path\" and \"equals\" go together");
	if (statuses == NULL)
	{
		config->status[config->status_count++] = 200;
		return true;
	}
	if (!json_is_array(statuses) || json_array_size(statuses) == 0 ||
		json_array_size(statuses) > MAX_STATUSES)
		return notice_fail(err, NULL, "\"status\" is not a list of one to %d statuses", MAX_STATUSES);
	json_array_foreach(statuses, i, value)
	{
		json_int_t	status = json_integer_value(value);

		if (status < 200 || status > 299)
			return notice_fail(err, NULL, "a status in \"status\" is not between 200 and 299");
		config->status[config->status_count++] = (int) status;
	}
	return true;
}

static bool
uses_secret(const TemplateConfig *config)
{
	const char *name;
	json_t	   *value;

	if (config->body && notice_text_uses(config->body, "secret"))
		return true;
	json_object_foreach(config->headers, name, value)
	{
		if (notice_text_uses(json_string_value(value), "secret"))
			return true;
	}
	return false;
}

static void
template_close(void *arg)
{
	TemplateConfig *config = arg;

	if (config == NULL)
		return;
	buf_wipe(&config->secret);
	json_decref(config->json);
	free(config);
}

static void
template_check(const ChannelSource *source, int64_t now, const ChannelFindings *findings)
{
	ChannelError err;
	TemplateConfig *config = template_open(source, &err);

	(void) now;
	if (config && config->json_path == NULL)
		findings->add(findings->arg, FINDING_WARNING, "success",
					  "only the HTTP status is looked at; many gateways say no with 200");
	template_close(config);
	notice_check_by_opening(&http_template_provider, source, findings);
}

/* ---- templates ---- */

static json_t *
parse_template(const char *template_json, ChannelError *err)
{
	json_t	   *template = notice_json_object(template_json, "template", template_keys, err);
	const char *text;
	const char *code;
	const char *sign;
	bool		good;

	if (template == NULL)
		return NULL;
	good = notice_json_string(template, "text", false, &text, err) &&
		notice_json_string(template, "code", false, &code, err) &&
		notice_json_string(template, "sign", false, &sign, err);
	if (good && text == NULL && code == NULL)
		good = notice_fail(err, NULL, "the template has neither a \"text\" nor a \"code\"");
	if (good && text)
		good = notice_text_acceptable(text, notice_placeholders, NULL, err);
	if (good)
		return template;
	json_decref(template);
	return NULL;
}

static bool
template_acceptable(const char *template_json, ChannelError *err)
{
	json_t	   *template = parse_template(template_json, err);

	json_decref(template);
	return template != NULL;
}

/* ---- building ---- */

static int
collect_params(const TemplateConfig *config, const NoticeMessage *message, json_t *template,
			   const char *text, NoticeParam *params)
{
	const char *sign = json_string_value(json_object_get(template, "sign"));
	const char *code = json_string_value(json_object_get(template, "code"));
	NoticeParam own[] = {
		{"phone", message->phone},
		{"text", text},
		{"sign", sign ? sign : ""},
		{"code", code ? code : ""},
		{"notice_id", message->notice_id ? message->notice_id : ""},
		{"language", message->language ? message->language : ""},
		{"secret", buf_str(&config->secret)}
	};
	int			count = (int) (sizeof(own) / sizeof(own[0]));
	int			i;

	memcpy(params, own, sizeof(own));
	for (i = 0; i < message->param_count && count < NOTICE_MAX_PARAMS; i++)
		params[count++] = message->params[i];
	return count;
}

static bool
template_build(void *arg, const NoticeMessage *message, const ChannelMoment *moment,
			   HttpRequest *out, ChannelError *err)
{
	TemplateConfig *config = arg;
	json_t	   *template = parse_template(message->template_json, err);
	const char *wording;
	NoticeParam params[NOTICE_MAX_PARAMS];
	Buf			text = BUF_INIT;
	int			count;
	bool		good;

	(void) moment;
	if (template == NULL)
		return false;
	wording = json_string_value(json_object_get(template, "text"));
	good = notice_render(wording ? wording : "", message->params, message->param_count,
						 &text, err);
	if (good)
	{
		count = collect_params(config, message, template, buf_str(&text), params);
		str_copy(out->method, sizeof(out->method), config->method);
		out->connect_timeout_ms = CONNECT_TIMEOUT_MS;
		out->total_timeout_ms = TOTAL_TIMEOUT_MS;
		out->max_answer = MAX_ANSWER;
		out->url.limit = MAX_URL;
		good = notice_render_escaped(config->url, params, count, percent_encode, &out->url, err) &&
			build_headers(config, params, count, out, err) &&
			(config->body == NULL ||
			 notice_render_escaped(config->body, params, count, config->escape, &out->body, err));
	}
	buf_wipe(&text);
	json_decref(template);
	return good;
}

/* A line break in a value would begin a header of its own. */
static bool
build_headers(const TemplateConfig *config, const NoticeParam *params, int count,
			  HttpRequest *out, ChannelError *err)
{
	const char *name;
	json_t	   *value;
	Buf			line = BUF_INIT;
	bool		good = true;

	if (config->content_type && http_header_get(&out->headers, "Content-Type") == NULL)
		good = http_header_add(&out->headers, "Content-Type", config->content_type);
	json_object_foreach(config->headers, name, value)
	{
		const char *p;

		if (!good)
			break;
		buf_reset(&line);
		good = notice_render(json_string_value(value), params, count, &line, err);
		for (p = buf_str(&line); good && *p; p++)
			if ((unsigned char) *p < ' ' || *p == 0x7f)
				good = notice_fail(err, NULL, "header \"%.40s\" would have a control character", name);
		if (good && !http_header_add(&out->headers, name, buf_str(&line)))
			good = notice_fail(err, NULL, "out of memory");
	}
	buf_wipe(&line);
	return good;
}

/* ---- answers ---- */

static void
template_classify(void *arg, const HttpAnswer *answer, NoticeResult *out)
{
	static const char *const word_keys[] = {"message", "msg", "Message", "error", "description",
	NULL};
	TemplateConfig *config = arg;
	bool		status_fits = false;
	bool		said = false;
	char		found[65] = "";
	json_t	   *json;
	const char *words = NULL;
	size_t		i;
	int			k;

	memset(out, 0, sizeof(*out));
	if (notice_unanswered(answer, out))
		return;
	json = json_loadb(buf_str(&answer->body), answer->body.len,
					  JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	for (k = 0; k < config->status_count; k++)
		if (config->status[k] == answer->status)
			status_fits = true;
	if (config->json_path)
		said = value_as_text(follow_path(json, config->json_path), found, sizeof(found));

	if (status_fits &&
		(config->json_path == NULL || (said && strcmp(found, config->equals) == 0)))
		out->outcome = NOTICE_ACCEPTED;
	for (i = 0; i < sizeof(status_rules) / sizeof(status_rules[0]); i++)
		if (status_rules[i].status == answer->status)
			out->outcome = status_rules[i].outcome;

	if (found[0])
		notice_copy_words(out->code, sizeof(out->code), found);
	else
		snprintf(out->code, sizeof(out->code), "HTTP %d", answer->status);
	for (k = 0; word_keys[k] && words == NULL; k++)
		words = json_string_value(json_object_get(json, word_keys[k]));
	notice_copy_words(out->message, sizeof(out->message), words ? words : "");
	out->retry_after = notice_retry_after(answer);
	json_decref(json);
}

/* "a.0.b": members of objects, and elements of arrays by their number. */
static json_t *
follow_path(json_t *json, const char *path)
{
	char		name[64];
	int			depth;

	for (depth = 0; json && *path && depth < MAX_PATH_DEPTH; depth++)
	{
		size_t		len = strcspn(path, ".");

		if (len == 0 || len >= sizeof(name))
			return NULL;
		memcpy(name, path, len);
		name[len] = '\0';
		if (json_is_array(json))
			json = name[strspn(name, "0123456789")] == '\0' ?
				json_array_get(json, strtoul(name, NULL, 10)) : NULL;
		else
			json = json_object_get(json, name);
		path += len + (path[len] == '.' ? 1 : 0);
	}
	return *path == '\0' ? json : NULL;
}

static bool
value_as_text(json_t *value, char *out, size_t outsize)
{
	out[0] = '\0';
	if (json_is_string(value))
		return str_copy(out, outsize, json_string_value(value));
	if (json_is_integer(value))
		return snprintf(out, outsize, "%" JSON_INTEGER_FORMAT, json_integer_value(value)) > 0;
	if (json_is_boolean(value))
		return str_copy(out, outsize, json_is_true(value) ? "true" : "false");
	return false;
}
