/*-------------------------------------------------------------------------
 *
 * notice_util.h
 *	  What notice providers share: private to src/notice.
 *
 * This header must not include postgres.h.
 *
 * src/notice/notice_util.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_NOTICE_UTIL_H
#define REFUNDX_NOTICE_UTIL_H

#include "base/json.h"

#include "notice/notice.h"

#define NOTICE_MAX_PARAMS	16	/* what refundx offers, and a provider's own */

/* One row of a provider's table of codes.  A '*' at the end fits any rest. */
typedef struct NoticeRule
{
	const char *code;
	NoticeOutcome outcome;
} NoticeRule;

extern const NoticeProvider aliyun_provider;
extern const NoticeProvider http_template_provider;

/* The placeholders that refundx offers for every message; NULL-terminated. */
extern const char *const notice_placeholders[];

/* ---- notice.c ---- */
extern bool notice_fail(ChannelError *err, const char *hint, const char *fmt,...)
			__attribute__((format(printf, 3, 4)));
extern const NoticeRule *notice_rule_lookup(const NoticeRule *rules, int count, const char *code);

/* A JSON object with no keys but these; NULL and *err otherwise.  `what` names
 * it in errors. */
extern json_t *notice_json_object(const char *text, const char *what,
								  const char *const *known, ChannelError *err);

/* A string member: *value NULL if absent; false if it is something else, or
 * absent and required. */
extern bool notice_json_string(json_t *object, const char *key, bool required,
							   const char **value, ChannelError *err);

/* "https://host[:port]..." or plain http to a loopback literal. */
extern bool notice_url_acceptable(const char *url, const char *what, ChannelError *err);

/* Read a key file's one line, without the white space around it. */
extern bool notice_read_secret(const ChannelSource *source, const char *key, const char *name,
							   Buf *out, ChannelError *err);
extern int	notice_retry_after(const HttpAnswer *answer);

/* The outcome of what never became an answer; false if it is one. */
extern bool notice_unanswered(const HttpAnswer *answer, NoticeResult *out);

/* open(), turned into findings: what most of a check is. */
extern void notice_check_by_opening(const NoticeProvider *provider, const ChannelSource *source,
									const ChannelFindings *findings);

/* ---- text.c ---- */
typedef void (*NoticeEscape) (Buf *out, const char *s, size_t len);

/* notice_render, with each value escaped for where it stands. */
extern bool notice_render_escaped(const char *text, const NoticeParam *params, int param_count,
								  NoticeEscape escape, Buf *out, ChannelError *err);

/* Does the text use only these names (two lists, either may be NULL)? */
extern bool notice_text_acceptable(const char *text, const char *const *names,
								   const char *const *more, ChannelError *err);
extern bool notice_is_placeholder(const char *name);
extern bool notice_text_uses(const char *text, const char *name);
extern void notice_escape_json(Buf *out, const char *s, size_t len);

/*
 * A provider's words into a fixed field: whatever might be a number is
 * masked, control characters become blanks, and it ends between characters.
 */
extern void notice_copy_words(char *dst, size_t dstsize, const char *src);

/* ---- aliyun.c: exposed for its published vectors ---- */
typedef struct AliyunCall
{
	const char *key_id;
	const char *secret;
	const char *token;			/* STS, or NULL */
	const char *host;
	const char *action;
	const char *version;
	const char *query;			/* canonical */
	const char *nonce;
	int64_t		now;			/* unix seconds */
} AliyunCall;

/* Fills the x-acs headers and Authorization of a POST without a body. */
extern bool aliyun_sign(const AliyunCall *call, HttpHeaders *headers);

#endif							/* REFUNDX_NOTICE_UTIL_H */
