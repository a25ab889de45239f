/*-------------------------------------------------------------------------
 *
 * channel_util.c
 *	  What channels share among themselves: errors, text, times, hosts.
 *
 * Whatever is cut to fit a fixed field is cut between characters: the text
 * goes into a database that would refuse half of one, and an error raised
 * there would come from a stranger's bytes.
 *
 * src/channel/channel_util.c
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "channel/channel_util.h"

/*
 * jansson recurses for nested values.  No channel nests deeper than this, and
 * the server's stack is not ours to fill.
 */
#define JSON_DEPTH_MAX	32

static int	utf8_length(const unsigned char *s, size_t len);
static bool two_digits(const char *s, int lo, int hi, int *out);
static int64_t days_from_civil(int year, int month, int day);
static bool parse_offset(const char *s, int *seconds);
static bool host_is_loopback(const char *host, size_t len);
static bool host_is_private(const char *host, size_t len);
static bool json_too_deep(const char *data, size_t len);

bool
channel_error(ChannelError *err, const char *hint, const char *fmt,...)
{
	char		text[1024];
	va_list		ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_clip(err->message, sizeof(err->message), text);
	text_clip(err->hint, sizeof(err->hint), hint ? hint : "");
	text_plain(err->message);
	return false;
}

/* ---- text ---- */

/* What is quoted of a stranger's text must not begin a line of a log. */
void
text_plain(char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char) *s < ' ' || *s == 0x7f)
			*s = '?';
}

/* Bytes of the valid UTF-8 character at s; 0 if there is none. */
static int
utf8_length(const unsigned char *s, size_t len)
{
	int			n,
				i;

	if (len == 0)
		return 0;
	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if ((size_t) n > len)
		return 0;
	for (i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* overlong forms, surrogates, and what lies beyond U+10FFFF */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
		(s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

bool
utf8_valid(const char *s, size_t len)
{
	size_t		i = 0;

	while (i < len)
	{
		int			n = utf8_length((const unsigned char *) s + i, len - i);

		if (n == 0)
			return false;
		i += (size_t) n;
	}
	return true;
}

bool
utf8_has_four_bytes(const char *s, size_t len)
{
	size_t		i;

	for (i = 0; i < len; i++)
		if ((unsigned char) s[i] >= 0xf0)
			return true;
	return false;
}

size_t
utf8_clip(const char *s, size_t len, size_t max)
{
	if (len <= max)
		max = len;
	/* the first byte left out must start a character */
	while (max > 0 && max < len && ((unsigned char) s[max] & 0xc0) == 0x80)
		max--;
	return max;
}

void
text_clip(char *dst, size_t dstsize, const char *src)
{
	size_t		len = strlen(src);
	size_t		keep = utf8_clip(src, len, dstsize - 1);

	/*
	 * The source may itself be the product of a cut between bytes: drop what
	 * is left of a last character.
	 */
	if (keep > 0 && !utf8_valid(src, keep))
	{
		size_t		i = 0;
		int			n;

		while (i < keep &&
			   (n = utf8_length((const unsigned char *) src + i, keep - i)) > 0)
			i += (size_t) n;
		keep = i;
	}
	memcpy(dst, src, keep);
	dst[keep] = '\0';
}

/*
 * Card and telephone numbers have at least five digits; their last four are
 * what a payee recognises them by.
 */
void
text_mask_digits(char *dst, size_t dstsize, const char *src)
{
	char		text[512];
	size_t		n = 0;

	while (*src != '\0' && n + 9 < sizeof(text))
	{
		size_t		digits = strspn(src, "0123456789");

		if (digits >= 5)
		{
			memcpy(text + n, "****", 4);
			memcpy(text + n + 4, src + digits - 4, 4);
			n += 8;
			src += digits;
		}
		else
			text[n++] = *src++;
	}
	text[n] = '\0';
	text_clip(dst, dstsize, text);
}

/* ---- numbers and times ---- */

bool
parse_digits(const char *s, int64_t *out)
{
	int64_t		v = 0;
	int			n;

	for (n = 0; s[n] != '\0'; n++)
	{
		if (s[n] < '0' || s[n] > '9' || n >= 18)
			return false;
		v = v * 10 + (s[n] - '0');
	}
	*out = v;
	return n > 0;
}

static bool
two_digits(const char *s, int lo, int hi, int *out)
{
	if (s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9')
		return false;
	*out = (s[0] - '0') * 10 + (s[1] - '0');
	return *out >= lo && *out <= hi;
}

/* Days since 1970-01-01, proleptic Gregorian; year >= 0. */
static int64_t
days_from_civil(int year, int month, int day)
{
	int64_t		y = month <= 2 ? year - 1 : year;
	int64_t		m = month <= 2 ? month + 9 : month - 3;

	/* the year starts in March here, so that the leap day is its last */
	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static bool
parse_offset(const char *s, int *seconds)
{
	int			hours,
				minutes;

	*seconds = 0;
	if ((s[0] == 'Z' || s[0] == 'z') && s[1] == '\0')
		return true;
	if (strlen(s) != 6 || (s[0] != '+' && s[0] != '-') || s[3] != ':' ||
		!two_digits(s + 1, 0, 23, &hours) || !two_digits(s + 4, 0, 59, &minutes))
		return false;
	*seconds = (hours * 60 + minutes) * 60;
	if (s[0] == '-')
		*seconds = -*seconds;
	return true;
}

bool
parse_rfc3339(const char *s, int64_t *out)
{
	static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int			century,
				year,
				month,
				day,
				hour,
				minute,
				second,
				offset;
	int64_t		micros = 0;
	int64_t		scale = 100000;
	bool		leap;

	if (strlen(s) < 20 ||
		!two_digits(s, 0, 99, &century) || !two_digits(s + 2, 0, 99, &year) || s[4] != '-' ||
		!two_digits(s + 5, 1, 12, &month) || s[7] != '-' ||
		!two_digits(s + 8, 1, 31, &day) || (s[10] != 'T' && s[10] != 't') ||
		!two_digits(s + 11, 0, 23, &hour) || s[13] != ':' ||
		!two_digits(s + 14, 0, 59, &minute) || s[16] != ':' ||
		!two_digits(s + 17, 0, 60, &second))
		return false;
	year += century * 100;
	leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	if (year < 1 || day > month_days[month - 1] + (month == 2 && leap))
		return false;
	s += 19;
	if (*s == '.')
	{
		if (!isdigit((unsigned char) *++s))
			return false;
		for (; *s >= '0' && *s <= '9'; s++)
		{
			micros += (*s - '0') * scale;
			scale /= 10;		/* digits beyond the sixth add nothing */
		}
	}
	if (!parse_offset(s, &offset))
		return false;
	*out = ((days_from_civil(year, month, day) * 24 + hour) * 60 + minute) * 60 + second - offset;
	*out = *out * 1000000 + micros;
	return true;
}

/* ---- addresses ---- */

static bool
host_is_loopback(const char *host, size_t len)
{
	char		name[64];
	int			a,
				b,
				c,
				d,
				n = 0;

	if (len == 0 || len >= sizeof(name))
		return false;
	memcpy(name, host, len);
	name[len] = '\0';
	if (strcasecmp(name, "localhost") == 0 || strcmp(name, "[::1]") == 0)
		return true;

	/* a literal only: "127.evil.example" is somebody else's name */
	return strspn(name, "0123456789.") == len &&
		sscanf(name, "%3d.%3d.%3d.%3d%n", &a, &b, &c, &d, &n) == 4 &&
		n == (int) len && a == 127 && b <= 255 && c <= 255 && d <= 255;
}

/* Only an early warning for people: nothing depends on its completeness. */
static bool
host_is_private(const char *host, size_t len)
{
	char		name[256];
	int			a,
				b;

	if (len == 0 || len >= sizeof(name))
		return false;
	memcpy(name, host, len);
	name[len] = '\0';
	if (strspn(name, "0123456789.") == len && sscanf(name, "%3d.%3d.", &a, &b) == 2)
		return a == 10 || (a == 172 && b >= 16 && b <= 31) || (a == 192 && b == 168) ||
			(a == 169 && b == 254) || a == 0;
	if (name[0] == '[')
		return strncasecmp(name, "[fc", 3) == 0 || strncasecmp(name, "[fd", 3) == 0 ||
			strncasecmp(name, "[fe80:", 6) == 0;
	return strchr(name, '.') == NULL;
}

/*
 * Strict on purpose: no user name, no white space, nothing that two parsers
 * could read as two hosts.
 */
UrlKind
url_examine(const char *url, UrlParts *parts)
{
	UrlParts	mine;
	bool		tls;
	const char *host;
	const char *port;
	size_t		hostlen;
	size_t		i;
	int64_t		port_number;

	if (parts == NULL)
		parts = &mine;
	memset(parts, 0, sizeof(*parts));
	parts->path = strlen(url);
	for (i = 0; url[i] != '\0'; i++)
	{
		if ((unsigned char) url[i] <= ' ' || (unsigned char) url[i] >= 0x7f || url[i] == '\\' ||
			url[i] == '"')
			return URL_BAD;
		if (url[i] == '?' || url[i] == '#')
			parts->has_query = true;
	}
	tls = strncmp(url, "https://", 8) == 0;
	if (!tls && strncmp(url, "http://", 7) != 0)
		return URL_BAD;
	host = url + (tls ? 8 : 7);
	if (host[0] == '[')
	{
		hostlen = 1 + strspn(host + 1, "0123456789abcdefABCDEF:.");
		if (host[hostlen++] != ']')
			return URL_BAD;
	}
	else
		hostlen = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._");
	if (hostlen == 0)
		return URL_BAD;
	port = host + hostlen;
	if (*port == ':')
	{
		char		digits[8];
		size_t		n = strspn(port + 1, "0123456789");

		if (n < 1 || n > 5)
			return URL_BAD;
		memcpy(digits, port + 1, n);
		digits[n] = '\0';
		if (!parse_digits(digits, &port_number) || port_number < 1 || port_number > 65535)
			return URL_BAD;
		port += n + 1;
	}
	if (*port != '\0' && *port != '/' && *port != '?' && *port != '#')
		return URL_BAD;
	parts->path = (size_t) (port - url);
	parts->private_host = host_is_private(host, hostlen);
	parts->kind = host_is_loopback(host, hostlen) ? URL_LOOPBACK : tls ? URL_HTTPS : URL_PLAIN;
	return parts->kind;
}

/* ---- JSON ---- */

const char *
json_text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

bool
json_amount(const json_t *object, const char *key, int64_t *out)
{
	const json_t *v = json_object_get(object, key);

	*out = 0;
	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return false;
	*out = (int64_t) json_integer_value(v);
	return true;
}

/* Brackets outside strings; what is malformed otherwise, jansson refuses. */
static bool
json_too_deep(const char *data, size_t len)
{
	int			depth = 0;
	bool		in_string = false;
	size_t		i;

	for (i = 0; i < len; i++)
	{
		if (in_string)
		{
			if (data[i] == '\\')
				i++;
			else if (data[i] == '"')
				in_string = false;
		}
		else if (data[i] == '"')
			in_string = true;
		else if (data[i] == '{' || data[i] == '[')
		{
			if (++depth > JSON_DEPTH_MAX)
				return true;
		}
		else if (data[i] == '}' || data[i] == ']')
			depth--;
	}
	return false;
}

json_t *
json_hostile_object(const char *data, size_t len)
{
	json_t	   *root;

	if (data == NULL || json_too_deep(data, len))
		return NULL;
	root = json_loadb(data, len, JSON_REJECT_DUPLICATES, NULL);
	if (root != NULL && !json_is_object(root))
	{
		json_decref(root);
		return NULL;
	}
	return root;
}
