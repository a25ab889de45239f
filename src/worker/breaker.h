/*-------------------------------------------------------------------------
 *
 * breaker.h
 *	  When calls are held back because nearly all of them come to nothing.
 *
 * src/worker/breaker.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_BREAKER_H
#define REFUNDX_BREAKER_H

#include "base/pg_compat.h"
#include "channel/channel.h"
#include "datatype/timestamp.h"

#define BREAKER_CALLS_MAX	64
#define BREAKER_CALLS		20	/* of which so many ... */
#define BREAKER_ERRORS		0.5 /* ... are errors: then it opens */
#define BREAKER_LONGEST		60	/* seconds between two tries, at most */

typedef struct BreakerSettings
{
	int			calls;			/* the last so many count; 0 = it never opens */
	double		errors;			/* a share of them */
	int			longest;		/* seconds */
} BreakerSettings;

typedef struct Breaker
{
	bool		open;
	bool		changed;		/* and not yet written down: breaker_record.c */
	uint64		history;		/* of the last calls, a bit each: 1 = an error */
	int			calls;			/* how many of them are known */
	int			in_a_row;		/* without any answer */
	TimestampTz opened_at;
	TimestampTz probe_at;		/* while open: when one may try */
	int			probes;			/* that have failed */
	int64		probe_id;		/* the one that is under way; 0 = none */
	int			good;			/* probes that have not failed, in a row */
	int			errors_then;	/* when it opened */
	int			calls_then;
	char		code[64];		/* of the last error */
} Breaker;

/* Outcomes of a call that has ended. */
typedef struct CallOutcome
{
	bool		answered;		/* at all */
	bool		failing;		/* it counts against the channel's limit of failing calls */
	bool		error;			/* the channel, or what we are to it, does not work */
	const char *code;			/* or NULL */
} CallOutcome;

/* 0 = a call may begin; otherwise when to ask again. */
extern TimestampTz breaker_allows(const Breaker *b, TimestampTz now);

extern void breaker_call_began(Breaker *b, int64 id);
extern void breaker_call_undone(Breaker *b, int64 id);

/* Answered calls of one kind: opens on a burst of errors. */
extern void breaker_call_ended(Breaker *b, int64 id, const CallOutcome *o, const BreakerSettings *s,
							   TimestampTz now, int64 scale);

/* All calls of a merchant: opens when none is answered any more. */
extern void breaker_silence(Breaker *b, const CallOutcome *o, TimestampTz now, int64 scale);

/* As it was when another process wrote it down: tried at once. */
extern void breaker_restore(Breaker *b, TimestampTz opened_at, int probes, int errors, int calls, const char *code);

/* Is the answer of this call an error in that sense? */
extern bool breaker_error(ChannelCall call, const ChannelEvidence *e);

#endif							/* REFUNDX_BREAKER_H */
