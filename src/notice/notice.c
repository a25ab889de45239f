/*-------------------------------------------------------------------------
 *
 * notice.c
 *	  The registry of notice providers, and what they share.
 *
 * src/notice/notice.c
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"
#include "notice/notice_util.h"

/* A new provider is one file and one line here. */
static const NoticeProvider *const providers[] = {
	&aliyun_provider,
	&http_template_provider
};

#define PROVIDER_COUNT	((int) (sizeof(providers) / sizeof(providers[0])))

static bool is_loopback(const char *host, size_t len);
static bool looks_like_secret(const char *name);
static void mend_text(char *s);

const NoticeProvider *
notice_provider_at(int i)
{
	return i >= 0 && i < PROVIDER_COUNT ? providers[i] : NULL;
}

const NoticeProvider *
notice_provider_lookup(const char *kind)
{
	int			i;

	for (i = 0; i < PROVIDER_COUNT; i++)
		if (strcmp(providers[i]->kind, kind) == 0)
			return providers[i];
	return NULL;
}

const char *
notice_outcome_name(NoticeOutcome o)
{
	switch (o)
	{
		case NOTICE_AMBIGUOUS:
			return "ambiguous";
		case NOTICE_ACCEPTED:
			return "accepted";
		case NOTICE_RETRY_SAFE:
			return "retry_safe";
		case NOTICE_LIMITED:
			return "limited";
		case NOTICE_FINAL_NUMBER:
			return "final_number";
		case NOTICE_FINAL_CONFIG:
			return "final_config";
		case NOTICE_BALANCE:
			return "balance";
	}
	return "ambiguous";
}

bool
notice_fail(ChannelError *err, const char *hint, const char *fmt,...)
{
	va_list		ap;

	va_start(ap, fmt);
	vsnprintf(err->message, sizeof(err->message), fmt, ap);
	va_end(ap);
	mend_text(err->message);
	snprintf(err->hint, sizeof(err->hint), "%s", hint ? hint : "");
	return false;
}

/* Names are quoted up to a length, which may end within a character. */
static void
mend_text(char *s)
{
	while (*s)
	{
		unsigned char c = (unsigned char) *s;
		size_t		len = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
		size_t		i = 1;

		while (i < len && ((unsigned char) s[i] & 0xc0) == 0x80)
			i++;
		if (i < len || c < ' ' || c == 0x7f || (c & 0xc0) == 0x80)
			memset(s, '?', i);
		s += i;
	}
}

const NoticeRule *
notice_rule_lookup(const NoticeRule *rules, int count, const char *code)
{
	int			i;

	for (i = 0; i < count; i++)
	{
		size_t		len = strlen(rules[i].code);

		if (rules[i].code[len - 1] == '*' ?
			strncmp(rules[i].code, code, len - 1) == 0 :
			strcmp(rules[i].code, code) == 0)
			return &rules[i];
	}
	return NULL;
}

/* ---- configurations ---- */

json_t *
notice_json_object(const char *text, const char *what, const char *const *known,
				   ChannelError *err)
{
	json_t	   *object = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
	const char *key;
	json_t	   *value;
	int			i;

	if (!json_is_object(object))
	{
		notice_fail(err, NULL, "the %s is not a JSON object", what);
		json_decref(object);
		return NULL;
	}
	json_object_foreach(object, key, value)
	{
		for (i = 0; known[i] && strcmp(known[i], key) != 0; i++)
			;
		if (known[i] == NULL)
		{
			/* a secret in the wrong place must not be printed, not even as a key */
			notice_fail(err, NULL, "the %s has a key that is not known: \"%.24s\"", what,
						looks_like_secret(key) ? "..." : key);
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

bool
notice_json_string(json_t *object, const char *key, bool required, const char **value,
				   ChannelError *err)
{
	json_t	   *member = json_object_get(object, key);

	*value = NULL;
	if (member == NULL)
		return !required || notice_fail(err, NULL, "\"%s\" is missing", key);
	if (!json_is_string(member))
		return notice_fail(err, NULL, "\"%s\" is not a string", key);
	*value = json_string_value(member);
	if (required && **value == '\0')
		return notice_fail(err, NULL, "\"%s\" is empty", key);
	return true;
}

bool
notice_url_acceptable(const char *url, const char *what, ChannelError *err)
{
	const char *host = strstr(url, "://");
	const char *p;
	size_t		len;

	for (p = url; *p; p++)
		if (*p <= ' ' || *p > '~')
			return notice_fail(err, NULL, "the %s has a character that must be encoded", what);
	host = host ? host + 3 : url + strlen(url);
	len = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
	if (len == 0 || strlen(host) < len || memchr(host, '@', strcspn(host, "/?#")) != NULL)
		return notice_fail(err, NULL, "the %s does not name a host", what);
	if (strncmp(url, "https://", 8) == 0 ||
		(strncmp(url, "http://", 7) == 0 && is_loopback(host, len)))
		return true;
	return notice_fail(err, "Plain http is for a sandbox on this machine only.",
					   "the %s must begin with https://", what);
}

static bool
is_loopback(const char *host, size_t len)
{
	char		text[64];
	struct in_addr v4;

	if (len >= sizeof(text))
		return false;
	memcpy(text, host, len);
	text[len] = '\0';
	if (inet_pton(AF_INET, text, &v4) == 1)
		return (ntohl(v4.s_addr) >> 24) == 127;
	return strcmp(text, "localhost") == 0 || strcmp(text, "[::1]") == 0;
}

/*
 * A secret pasted where a file's name belongs would be quoted by the error
 * that the file is missing.
 */
static bool
looks_like_secret(const char *name)
{
	size_t		len = strlen(name);

	return looks_like_private_key(name) || len > 64 ||
		(len >= 20 && strpbrk(name, ".-_") == NULL);
}

bool
notice_read_secret(const ChannelSource *source, const char *key, const char *name,
				   Buf *out, ChannelError *err)
{
	char		reason[200] = "";
	Buf			raw = BUF_INIT;
	const char *s;
	size_t		len;
	bool		good;

	if (looks_like_secret(name))
		return notice_fail(err, "Put it into a file of mode 0600 in refundx.key_directory, "
						   "and name the file here.",
						   "\"%s\" seems to hold the secret itself, not a file's name", key);
	if (source->read_key == NULL ||
		!source->read_key(source->arg, name, true, &raw, reason, sizeof(reason)))
	{
		buf_wipe(&raw);
		return notice_fail(err, NULL, "%.200s", reason[0] ? reason : "the key file cannot be read");
	}
	s = buf_str(&raw);
	len = raw.len;
	while (len > 0 && isspace((unsigned char) *s))
		s++, len--;
	while (len > 0 && isspace((unsigned char) s[len - 1]))
		len--;
	buf_add(out, s, len);
	good = len > 0 && !raw.failed && !out->failed && strlen(buf_str(out)) == len &&
		strpbrk(buf_str(out), "\r\n") == NULL;
	buf_wipe(&raw);
	if (!good)
	{
		buf_wipe(out);
		return notice_fail(err, NULL, "key file \"%s\" does not hold one line of text", name);
	}
	return true;
}

void
notice_check_by_opening(const NoticeProvider *provider, const ChannelSource *source,
						const ChannelFindings *findings)
{
	ChannelError err = {"", ""};
	void	   *config = provider->open(source, &err);
	char		text[sizeof(err.message) + sizeof(err.hint) + 2];

	if (config)
	{
		provider->close(config);
		findings->add(findings->arg, FINDING_OK, "configuration",
					  "it is complete, and its key files can be read");
		return;
	}
	snprintf(text, sizeof(text), "%s%s%s", err.message, err.hint[0] ? " " : "", err.hint);
	findings->add(findings->arg, FINDING_ERROR, "configuration", text);
}

/* ---- answers ---- */

bool
notice_unanswered(const HttpAnswer *answer, NoticeResult *out)
{
	if (answer->outcome == HTTP_ANSWERED)
		return false;
	out->outcome = answer->outcome == HTTP_NOT_SENT ? NOTICE_RETRY_SAFE : NOTICE_AMBIGUOUS;
	notice_copy_words(out->message, sizeof(out->message), answer->error);
	return true;
}

/* Seconds only; the form with a date is not worth a clock here. */
int
notice_retry_after(const HttpAnswer *answer)
{
	const char *value = http_header_get(&answer->headers, "Retry-After");
	char	   *end;
	long		seconds;

	if (value == NULL || !isdigit((unsigned char) *value))
		return 0;
	seconds = strtol(value, &end, 10);
	return *end == '\0' && seconds >= 0 && seconds <= 86400 ? (int) seconds : 0;
}
