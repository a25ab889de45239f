/*-------------------------------------------------------------------------
 *
 * courier_webhook.h
 *	  What the courier's two files about webhooks share.
 *
 * src/worker/courier_webhook.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_COURIER_WEBHOOK_H
#define REFUNDX_COURIER_WEBHOOK_H

#include "worker/courier.h"

#include "notice/webhook.h"

#define WEBHOOK_CALLS_MAX	8	/* in flight, per webhook that works */

/* A configured webhook, as this process knows it. */
typedef struct Endpoint
{
	int32		webhook_id;
	char		name[NAMEDATALEN];
	char	   *url;
	int			revision;
	WebhookSecret secret[WEBHOOK_SECRETS];
	int			nsecrets;		/* 0: see problem */
	char		problem[300];
	TimestampTz tried_at;		/* to read the secrets */
	bool		paused;
	bool		failing;		/* the table says so */
	bool		seen;			/* in the last refresh */
	int			failures;		/* in a row */
	TimestampTz rest_until;		/* it is left alone */
	bool		look;			/* something may be due */
	TimestampTz next_due;		/* otherwise, when something will be; 0 = never */
	int			in_flight;
	int64		flying[WEBHOOK_CALLS_MAX];
} Endpoint;

/* A delivery that is under way or has ended; in the courier's own memory context. */
struct Post
{
	Endpoint   *to;
	int64		seq;
	int			tries;			/* this one included */
	char		number[256];	/* of the refund or withdrawal */
	WebhookResult result;
	struct Post *next;
};

/* ---- courier_webhook.c ---- */
extern int	endpoints_count(void);
extern Endpoint *endpoint_at(int i);

/* ---- courier_webhook_record.c: in a transaction ---- */
extern void posts_record(Post *list);
extern void endpoint_failing(Endpoint *e, const char *why);
extern void give_up_old(void);

#endif							/* REFUNDX_COURIER_WEBHOOK_H */
