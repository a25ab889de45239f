/*-------------------------------------------------------------------------
 *
 * courier.h
 *	  What the files of the courier share.
 *
 * src/worker/courier.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_COURIER_H
#define REFUNDX_COURIER_H

#include "money/arrival.h"
#include "net/http_client.h"
#include "notice/notice.h"
#include "worker/keys.h"
#include "worker/worker.h"

#define SENDER_QUEUE_MAX	500 /* notices in memory, per provider */
#define SENDER_CALLS_MAX	8	/* calls in flight, per provider */

typedef struct Waiting
{
	int64		notice_id;
	TimestampTz next_at;
} Waiting;

/*
 * A configured provider.  Its queue holds the notices that are due first, in
 * order; with `more`, the table has others, and none of them is due earlier
 * than the last one here.
 */
typedef struct Sender
{
	char		name[NAMEDATALEN];
	const NoticeProvider *provider;
	void	   *config;			/* NULL: see problem */
	int			revision;
	TimestampTz tried_at;		/* to open it */
	char		problem[300];
	char		paused[32];		/* as in the table; "" = not */
	bool		seen;			/* in the last refresh */
	TimestampTz probe_at;		/* while paused: when one message may try */
	int			probes;
	int			in_flight;
	int			nqueued;
	bool		more;
	Waiting		queue[SENDER_QUEUE_MAX];
} Sender;

/* A notice that is `sending`; in the courier's own memory context. */
typedef struct Delivery
{
	int64		notice_id;
	int64		payment_id;
	Sender	   *sender;
	int			tries;			/* this one included */
	NoticeResult result;		/* once it has ended */
	struct Delivery *next;		/* among those that have */
} Delivery;

/* What is known of a claimed notice, until it is sent; in the round's memory. */
typedef struct Claimed
{
	Delivery	delivery;
	char	   *phone;			/* NULL = none is known */
	char	   *language;
	char	   *template_json;	/* NULL = there is none */
	char	   *event;
	char	   *refund_no;
	char	   *payment_no;
	int64		amount;
	char	   *currency;
	char	   *merchant;
	char	   *reason;
	char	   *received_by;
	char	   *detail;			/* the channel's code for where it is */
	char	   *date;
} Claimed;

/* A delivery to a webhook: courier_webhook.h. */
typedef struct Post Post;

typedef struct Courier
{
	Worker	   *self;
	Arrival		arrival;
	HttpClient *client;
	MemoryContext memory;		/* deliveries */
	bool		may_send;
	bool		reload;
	TimestampTz looked_at;
	bool		skipped;		/* this round had no look */
	TimestampTz settings_at;	/* providers and permission were read */
	TimestampTz rescan_at;
	TimestampTz resume_at;		/* after a transaction that failed */
	bool		problem_shown;
	Arrival		relayed;
	TimestampTz relay_at;		/* not before */
	int64		relay_waits;	/* ms until it may; 0 = it has looked */
	bool		relay_more;
	bool		relay_dirty;	/* the table does not know how far we are */
	bool		relay_news;		/* this round's: something is to be kept */
	bool		relay_keeping;	/* and is */
	TimestampTz relay_kept_at;
	int64		logged_to;		/* the outbox's row of the last line */
	int64		logging_to;		/* likewise, once this transaction has committed */
	HttpClient *webhook_client;
	Post	   *posted;		/* what webhooks were told, to be recorded */
	bool		reload_webhooks;
	TimestampTz webhooks_at;	/* their configuration was read */
	TimestampTz webhooks_old_at;	/* looked for what has waited too long */
	TimestampTz webhooks_resume_at; /* after a transaction that failed */
	Delivery   *ended;			/* to be recorded */
	int64		done;

	/* this round's */
	Claimed    *claimed;
	int			nclaimed;
} Courier;

/* ---- courier_queue.c: providers, and what waits for them ---- */
extern void senders_refresh(bool force);	/* in a transaction */
extern int	senders_count(void);
extern Sender *sender_at(int i);
extern Sender *sender_by_name(const char *name);

extern void sender_offer(Sender *s, int64 notice_id, TimestampTz next_at);
extern void sender_refill(Sender *s);	/* in a transaction */
extern void senders_forget(void);	/* the queues; the table knows */

/* How many may be sent now, and when that changes (0 = not by time). */
extern int	sender_room(const Sender *s, TimestampTz now);
extern TimestampTz sender_next(const Sender *s);

/* Is it we who paused it, so that a probe may end the pause? */
extern bool sender_probing(const Sender *s);
extern void sender_paused(Sender *s, const char *why, TimestampTz now);
extern void sender_resumed(Sender *s);

extern int64 courier_jitter(int64 ms);

/* ---- courier_send.c ---- */
extern bool courier_may_send(void); /* in a transaction */
extern void courier_claim(void *arg);	/* in a transaction */
extern void courier_send(Courier *c);
extern void courier_collect(Courier *c);

/* ---- courier_record.c ---- */
extern void courier_record(Courier *c);

/* ---- courier_relay.c ---- */
extern void relay_start(Courier *c);	/* in a transaction */
extern void relay_round(Courier *c);

/* ---- courier_webhook.c ---- */
extern HttpClient *webhooks_client(char *err, size_t errsize);
extern void webhooks_fan_out(int64 after);	/* in a transaction */
extern void webhooks_round(Courier *c);
extern int64 webhooks_wait_ms(Courier *c);

/* ---- courier_log.c: in a transaction ---- */
extern int64 log_position(void);
extern bool log_transitions(Courier *c);	/* true: there is more */
extern void log_keep_position(int64 seq);

#endif							/* REFUNDX_COURIER_H */
