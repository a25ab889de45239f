/*-------------------------------------------------------------------------
 *
 * notice.h
 *	  What a notice provider (SMS) is to refundx: two pure functions.
 *
 * No provider is idempotent on send, so the outcome decides whether a message
 * may be sent again at all: at most once, and an ambiguous send is not
 * repeated.
 *
 * This header must not include postgres.h.
 *
 * src/notice/notice.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_NOTICE_H
#define REFUNDX_NOTICE_H

#include "base/http_message.h"
#include "channel/channel.h"	/* ChannelSource, ChannelError, ChannelFindings, ChannelMoment */

typedef enum NoticeOutcome
{
	NOTICE_AMBIGUOUS = 0,		/* may have been sent: never again */
	NOTICE_ACCEPTED,
	NOTICE_RETRY_SAFE,			/* certainly not submitted: may be tried again */
	NOTICE_LIMITED,				/* per-number cap: retry after the window, or drop */
	NOTICE_FINAL_NUMBER,		/* this recipient can never work */
	NOTICE_FINAL_CONFIG,		/* the same for every message: stop the provider */
	NOTICE_BALANCE				/* arrears: stop the provider */
} NoticeOutcome;

extern const char *notice_outcome_name(NoticeOutcome o);

/* A named value for a template. */
typedef struct NoticeParam
{
	const char *name;
	const char *value;
} NoticeParam;

typedef struct NoticeMessage
{
	const char *phone;
	const char *notice_id;		/* ours; comes back in receipts */
	const char *template_json;	/* the template's own settings, a JSON object:
								 * sign, code, text, params: {provider's name: ours} */
	const char *language;		/* "zh-CN" */
	const NoticeParam *params;	/* all placeholders that refundx offers */
	int			param_count;
} NoticeMessage;

typedef struct NoticeResult
{
	NoticeOutcome outcome;
	char		code[65];
	char		message[257];	/* provider's words; never contains the number */
	char		provider_id[65];
	int			retry_after;	/* seconds, 0 = unsaid */
} NoticeResult;

typedef struct NoticeProvider
{
	const char *kind;			/* "aliyun", "http" */
	const char *label;
	void	   *(*open) (const ChannelSource *source, ChannelError *err);
	void		(*close) (void *config);
	void		(*check) (const ChannelSource *source, int64_t now,
						  const ChannelFindings *findings);

	/* Is this template usable with this provider?  Asked when it is configured. */
	bool		(*template_acceptable) (const char *template_json, ChannelError *err);
	bool		(*build) (void *config, const NoticeMessage *message,
						  const ChannelMoment *moment, HttpRequest *out, ChannelError *err);
	void		(*classify) (void *config, const HttpAnswer *answer, NoticeResult *out);
} NoticeProvider;

extern const NoticeProvider *notice_provider_lookup(const char *kind);
extern const NoticeProvider *notice_provider_at(int i);

/* ---- text.c ---- */
/*
 * Replace {name} by the parameter's value ("{{" is a literal brace).  False,
 * with *err naming it, for a placeholder that does not exist.
 */
extern bool notice_render(const char *text, const NoticeParam *params, int param_count,
						  Buf *out, ChannelError *err);

/* 13800138000 -> 138****8000; "+15551234567" -> "+155****4567"; short -> "****". */
extern void notice_mask_phone(const char *phone, char *out, size_t outsize);

/* 12345, "CNY" -> "123.45"; "JPY" has no minor unit, "KWD" three digits. */
extern void notice_format_amount(int64_t amount, const char *currency, char *out, size_t outsize);

#endif							/* REFUNDX_NOTICE_H */
