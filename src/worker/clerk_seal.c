/*-------------------------------------------------------------------------
 *
 * clerk_seal.c
 *	  The clerk seals the journal: a seal at a time, with a twenty-fifth of a processor.
 *
 * Whoever submits comes first: after each seal we rest 24 times the processor's time that
 * it took, so that on two processors nobody loses more than two in a hundred, however
 * much there is to be sealed.  A line takes four or five microseconds: that is enough
 * for 8,000 lines a second.  What a burst has left is sealed when the burst is over.
 *
 * Each seal is a transaction of its own, so that nothing is lost when the clerk is
 * killed, and nothing is held for long.  What is left when its time is over is sealed
 * in the next round.
 *
 * src/worker/clerk_seal.c
 *
 *-------------------------------------------------------------------------
 */
#include "worker/clerk_seal.h"

#include <time.h>

#include "base/clock.h"
#include "base/settings.h"
#include "base/sql.h"
#include "money/seal_day.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define REST_PER_WORK	24

typedef struct Round
{
	Sealer		sealer;
	int			lines;			/* of the last seal */
} Round;

static void
find(void *arg)
{
	sealer_find(&((Round *) arg)->sealer);
}

static void
write_one(void *arg)
{
	Round	   *r = arg;

	r->lines = sealer_write(&r->sealer);
}

static void
done(void *arg)
{
	sealer_done(&((Round *) arg)->sealer);
}

static void
make_days(void *arg)
{
	if (days_make(day_of(clock_now()) - 1) > 0)
		ereport(LOG, (errmsg("refundx: the day's statement over the journal's seals is made")));
}

/* What this process has used of a processor, in us. */
static int64
used_us(void)
{
	struct timespec used;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0)
		return 0;
	return (int64) used.tv_sec * USECS_PER_SEC + used.tv_nsec / 1000;
}

/* Rest, and come to worker_wait() often: somebody may want us gone. */
static void
rest(Worker *self, int64 used_before)
{
	int64		left = REST_PER_WORK * (used_us() - used_before) / 1000;
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), left);

	while (left > 0 && !self->db->clerk_wanted)
	{
		worker_wait(self, left);
		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);
	}
}

/* All of the queue; false if it failed, or there was no time for it. */
static bool
seal_queue(Worker *self, Round *r, TimestampTz end_at)
{
	for (;;)
	{
		int64		used_before = used_us();

		if (!worker_transaction(self, "refundx: sealing the journal", write_one, r))
			return false;
		if (r->lines == 0)
			return true;
		/* a file of a bill has come: a new clerk reads it at once, and seals on */
		if (GetCurrentTimestamp() >= end_at || self->db->clerk_wanted)
			return false;
		worker_report(self, r->sealer.n - r->sealer.next, 0, 0, "sealing the journal");
		rest(self, used_before);
	}
}

void
clerk_seal(Worker *self)
{
	TimestampTz end_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), (int64) rx_clerk_interval * 1000);
	Round		r = {{0}};

	r.sealer.context = TopMemoryContext;
	do
	{
		if (!worker_transaction(self, "refundx: looking for what is to be sealed", find, &r) ||
			!seal_queue(self, &r, end_at) ||
			!worker_transaction(self, "refundx: what has been sealed", done, &r))
			break;
	} while (r.sealer.more);
	(void) worker_transaction(self, "refundx: the day's statement", make_days, NULL);
	worker_report(self, 0, 0, 0, NULL);
	if (r.sealer.account)
		pfree(r.sealer.account);
}
