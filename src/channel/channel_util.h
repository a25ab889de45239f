/*-------------------------------------------------------------------------
 *
 * channel_util.h
 *	  What channels share among themselves: errors, text, times, hosts.
 *
 * Private to src/channel/.  This header must not include postgres.h.
 *
 * src/channel/channel_util.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_CHANNEL_UTIL_H
#define REFUNDX_CHANNEL_UTIL_H

#include "base/json.h"

#include "channel/channel.h"

#define lengthof_array(a)	(sizeof(a) / sizeof((a)[0]))

/* Fill *err (hint may be NULL).  Always false, so that callers can return it. */
extern bool channel_error(ChannelError *err, const char *hint, const char *fmt,...)
			__attribute__((format(printf, 3, 4)));

/* ---- text ---- */
/*
 * Length of the longest prefix of at most `max` bytes that does not end within
 * a UTF-8 character.
 */
extern size_t utf8_clip(const char *s, size_t len, size_t max);
extern void text_clip(char *dst, size_t dstsize, const char *src);	/* strlcpy by characters */
extern void text_plain(char *s);	/* control characters become question marks */
extern bool utf8_valid(const char *s, size_t len);
extern bool utf8_has_four_bytes(const char *s, size_t len);

/* Copy, with all but the last four of any five or more digits as "****". */
extern void text_mask_digits(char *dst, size_t dstsize, const char *src);

/* ---- numbers and times ---- */
/* A decimal number of 1 to 18 digits and nothing else. */
extern bool parse_digits(const char *s, int64_t *out);

/* RFC 3339, with or without a fraction, "Z" or an offset: unix microseconds. */
extern bool parse_rfc3339(const char *s, int64_t *out);

/* ---- addresses ---- */
typedef enum UrlKind
{
	URL_BAD,					/* not scheme://host[:port][/path] */
	URL_HTTPS,
	URL_PLAIN,					/* http, and the host is not loopback */
	URL_LOOPBACK				/* http or https to 127/8, ::1, localhost */
} UrlKind;

typedef struct UrlParts
{
	UrlKind		kind;
	size_t		path;			/* where the path starts; the length if there is none */
	bool		has_query;		/* a '?' or '#' anywhere */
	bool		private_host;	/* an address or name that only a local net knows */
} UrlParts;

extern UrlKind url_examine(const char *url, UrlParts *parts);	/* parts may be NULL */

/* ---- JSON ---- */
/* A member's text; NULL if it is absent or no string. */
extern const char *json_text(const json_t *object, const char *key);

/* True and *out only if the member is an integer >= 0. */
extern bool json_amount(const json_t *object, const char *key, int64_t *out);

/* A JSON object from a stranger: no duplicate keys, no NUL, nothing behind it. */
extern json_t *json_hostile_object(const char *data, size_t len);

#endif							/* REFUNDX_CHANNEL_UTIL_H */
