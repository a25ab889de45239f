/*-------------------------------------------------------------------------
 *
 * webhook.h
 *	  Webhooks as Standard Webhooks 1.0 signs them, and what answers mean.
 *
 * This header must not include postgres.h.
 *
 * src/notice/webhook.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_WEBHOOK_H
#define REFUNDX_WEBHOOK_H

#include "base/http_message.h"

#define WEBHOOK_SECRET_MIN	24	/* bytes, once decoded */
#define WEBHOOK_SECRET_MAX	64
#define WEBHOOK_SECRETS		2	/* the present one, and the former while it is replaced */
#define WEBHOOK_TIMEOUT_MS	15000
#define WEBHOOK_CONNECT_MS	5000

typedef struct WebhookSecret
{
	unsigned char key[WEBHOOK_SECRET_MAX];
	size_t		len;
} WebhookSecret;

/* "whsec_" and base64, as in its file; err gets plain words, and none of it. */
extern bool webhook_secret_read(const char *text, size_t len, WebhookSecret *out,
								char *err, size_t errsize);

/* "v1,<base64>" for each secret, with a blank between them. */
extern bool webhook_sign(const WebhookSecret *secrets, int n, const char *id, int64_t timestamp,
						 const char *body, size_t len, Buf *out);

/* The whole request.  False if it cannot be signed. */
extern bool webhook_request(const char *url, const WebhookSecret *secrets, int n, const char *id,
							int64_t timestamp, const Buf *body, HttpRequest *out);

typedef enum WebhookOutcome
{
	WEBHOOK_DELIVERED,
	WEBHOOK_FAILED,
	WEBHOOK_SLOW_DOWN,			/* the receiver says that it is too much */
	WEBHOOK_GONE				/* it wants no more of them, ever */
} WebhookOutcome;

typedef struct WebhookResult
{
	WebhookOutcome outcome;
	int			status;			/* 0 = no answer */
	int			retry_after;	/* seconds; 0 = it does not say */
	char		message[200];	/* in words; "" once delivered */
} WebhookResult;

extern void webhook_classify(const HttpAnswer *answer, WebhookResult *out);

/*
 * How long to wait after the n-th try, in seconds, without the jitter; -1 = that was
 * the last.
 */
extern int	webhook_wait(int tries);

/* All of these waits together. */
extern int	webhook_patience(void);

/* How long an endpoint is left alone that has failed n times in a row. */
extern int	webhook_rest(int failures, WebhookOutcome last);

#endif							/* REFUNDX_WEBHOOK_H */
