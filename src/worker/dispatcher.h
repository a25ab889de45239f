/*-------------------------------------------------------------------------
 *
 * dispatcher.h
 *	  What the files of the dispatcher share.
 *
 * src/worker/dispatcher.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_DISPATCHER_H
#define REFUNDX_DISPATCHER_H

#include "money/arrival.h"
#include "money/payee.h"
#include "net/http_client.h"
#include "worker/keys.h"
#include "worker/schedule.h"
#include "worker/worker.h"

/* An attempt that is committed and whose outcome is not: malloc'd. */
typedef struct Call
{
	int64		instruction_id;
	int64		attempt_id;
	int32		channel_id;
	int32		merchant_id;
	ProductKind product;
	ChannelCall call;
	bool		repeat;			/* a submit of what is accepted already */
	char	   *wire_no;
	int64		amount;
	char		currency[4];
	char	   *payment_no;
	char	   *channel_payment_id;
	int64		payment_amount;
	char	   *payment_data;
	char	   *transfer_data;
	bool		has_data_key;	/* of a withdrawal: what seals its request */
	unsigned char data_key[PAYEE_DATA_KEY_LEN];
	int			order;			/* CALL_ABNORMAL: which order, from 1 on */
	bool		order_fresh;	/* its request has just been put together */
	char	   *number;			/* the refund's own, then */
	char	   *notify_url;
	char	   *channel_refund_id;
	int			generation;
	char		cursor[CHANNEL_NO_MAX + 1]; /* "" = the first page */
	int			pages;
	Buf			frozen;			/* the request's business bytes */
	bool		use_backup;
	TimestampTz started_at;
	/* once it has ended: */
	ChannelEvidence evidence;
	Buf			body;			/* of the answer */
	TimestampTz ended_at;
	struct Call *next;			/* in a list */
} Call;

typedef struct CallList
{
	Call	   *first;
	Call	   *last;
	int			n;
} CallList;

/* A channel's hosts: which one is tried. */
typedef struct HostChoice
{
	int32		channel_id;
	int			connect_failures;	/* in a row, on the host in use */
	bool		use_backup;
	TimestampTz back_at;		/* when the primary is tried again */
} HostChoice;

#define DISPATCH_BATCH_MAX	256

typedef struct Dispatcher
{
	Worker	   *self;
	Arrival		arrival;
	HttpClient *client;
	bool		armed;
	bool		quiet;			/* we have asked not to be woken */
	bool		reload_keys;
	bool		problem_shown;	/* in the health view */
	TimestampTz looked_at;
	TimestampTz keys_read_at;
	Due		   *chosen[DISPATCH_BATCH_MAX]; /* due, and allowed to go */
	TimestampTz look_at[DISPATCH_BATCH_MAX];	/* of each that was not claimed; 0 = soon */
	int			nchosen;
	CallList	claimed;		/* committed in the last claim, to be sent */
	CallList	ended;			/* answered or failed, to be kept as evidence */
	int			in_flight;
	int64		sent;
} Dispatcher;

extern void call_list_add(CallList *list, Call *call);
extern Call *call_list_take(CallList *list);
extern void call_free(Call *call);

/* dispatcher.c: in a worker_transaction */
extern void dispatch_abandon_of_finished(Dispatcher *d);

/* dispatch_claim.c: in a worker_transaction */
extern void dispatch_claim(void *arg);

/* dispatch_divert.c: in the same transaction */
extern bool divert_prepare(Call *c, uint64 row, int column, const char *number, char *why, size_t whysize);
extern void divert_write_requests(const CallList *claimed);

/* breaker_record.c: in a worker_transaction */
extern void breakers_write(void *arg);
extern void breakers_load(void);

/* dispatch_call.c */
extern void dispatch_send(Dispatcher *d, Call *call);
extern void dispatch_collect(Dispatcher *d);
extern void dispatch_keep(void *arg);	/* in a worker_transaction */
extern bool dispatch_use_backup(int32 channel_id, TimestampTz now);

#endif							/* REFUNDX_DISPATCHER_H */
