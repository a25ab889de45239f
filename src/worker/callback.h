/*-------------------------------------------------------------------------
 *
 * callback.h
 *	  Callbacks, however they came: by the listener or through SQL.
 *
 * src/worker/callback.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_CALLBACK_H
#define REFUNDX_CALLBACK_H

#include "money/evidence.h"
#include "worker/keys.h"

/* In refundx.callback_count, what belongs to no channel of ours. */
#define CALLBACK_NO_CHANNEL		"-"

typedef struct Callback
{
	/* given; must outlive what is made of it */
	const OpenChannel *channel;
	const HttpHeaders *headers;
	const void *body;
	size_t		len;
	TimestampTz received_at;

	/* from callback_read() */
	CallbackResult result;
	ChannelEvidence evidence;
} Callback;

/* Can callbacks of this channel be judged: are its keys loaded? */
extern bool callback_channel_ready(const OpenChannel *channel);

/*
 * Verify and read it as of `now` (unix seconds).  No transaction is needed,
 * nothing is written and no ERROR raised, whatever the bytes are.  `trace` may
 * be NULL, or gets each step in words.
 */
extern void callback_read(Callback *c, int64 now, const ChannelFindings *trace);

/* What is kept of one that is CALLBACK_EVIDENCE; palloc'd parts. */
extern void callback_evidence_row(const Callback *c, EvidenceRow *row);

/* clock_now() as it was at that moment of the wall clock (unix us). */
extern TimestampTz callback_arrival(int64 wall_us);

/*
 * What was not kept, summed up in memory by channel and reason.  `result`
 * must be a static string; a channel that does not exist must not come here
 * by its name, or strangers could fill the memory with names.
 */
extern void callback_count(const char *channel, const char *result, int64 n);
extern bool callback_counted(void); /* is there anything to write? */

/* In a transaction: one row per channel and reason.  Then, if it committed: */
extern void callback_counts_write(void *arg);
extern void callback_counts_written(void);

/* "wx bad_signature 12, - too_large 1": since it was last asked; "" = none */
extern char *callback_counts_summary(void);

#endif							/* REFUNDX_CALLBACK_H */
