/*-------------------------------------------------------------------------
 *
 * pace.h
 *	  How many calls a merchant makes, over all databases of the server.
 *
 * src/base/pace.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_PACE_H
#define REFUNDX_PACE_H

#include "base/pg_compat.h"
#include "base/settings.h"
#include "datatype/timestamp.h"
#include "storage/spin.h"

#define PACE_CALLS_MAX		256 /* no channel's limit of calls a second is greater */
#define PACE_FAILURES_MAX	16

typedef struct Pace
{
	slock_t		mutex;
	uint64		key;			/* of channel kind and merchant; 0 = free */
	int32		in_flight[SETTINGS_MAX_DATABASES];	/* calls under way, by database slot */
	TimestampTz ended[PACE_CALLS_MAX];	/* of the latest calls, a ring */
	int64		nended;
	TimestampTz failed[PACE_FAILURES_MAX];	/* of the latest failing ones, a ring */
	int64		nfailed;
} Pace;

/* What a channel allows a merchant; 0 = no limit. */
typedef struct PaceLimits
{
	int			calls_per_second;
	int			failing_per_second;
	bool		may_fail;		/* this call is likely to be answered with an error */
} PaceLimits;

/* while preloading, from shmem.c */
extern Size pace_shmem_size(void);
extern void pace_shmem_init(void);

/*
 * The merchant's pace.  Never NULL: where shared memory has no room for another
 * merchant (that is logged), it is this process' own.
 */
extern Pace *pace_of(const char *kind, const char *merchant_no);

/*
 * May a call begin?  0 = yes, and it counts as under way from now on; otherwise
 * when to ask again.  Each that may is followed by one of the two below.
 */
extern TimestampTz pace_begin(Pace *pace, int database, const PaceLimits *limits, TimestampTz now);
extern void pace_end(Pace *pace, int database, bool failing, TimestampTz now);
extern void pace_undo(Pace *pace, int database);	/* it was not made */

/* Another request of a call that is under way. */
extern void pace_go_on(Pace *pace, TimestampTz now);

/* A dispatcher has gone, and its calls with it. */
extern void pace_forget_database(int database);

#endif							/* REFUNDX_PACE_H */
