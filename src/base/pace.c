/*-------------------------------------------------------------------------
 *
 * pace.c
 *	  How many calls a merchant makes, over all databases of the server.
 *
 * A channel counts the calls of a merchant, whichever of our databases they
 * come from; so the count is in shared memory.  It counts a call when it
 * arrives, which is some time between its beginning and its end, and a stall
 * on the way lets many arrive at once.  So what is under way counts as now,
 * and what has ended for another second: then no second of the channel's has
 * more than its limit, whatever the delays.
 *
 * Failing calls have a limit of their own at some channels (six a second at
 * WeChat Pay).  Whether a call will fail shows only afterwards: so once one
 * has failed, whatever is under way counts as failing too.  What was under way
 * at that moment can still exceed the limit; the window of the schedule keeps
 * that small.
 *
 * The spinlocks are held for a few dozen instructions, and nothing in them can
 * raise an error.
 *
 * src/base/pace.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/pace.h"

#include "common/hashfn.h"
#include "storage/shmem.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define PACES		128			/* merchants that shared memory has room for */

static Pace *paces = NULL;

Size
pace_shmem_size(void)
{
	return mul_size(PACES, sizeof(Pace));
}

void
pace_shmem_init(void)
{
	bool		found;
	int			i;

	paces = ShmemInitStruct("refundx pace", pace_shmem_size(), &found);
	if (found)
		return;
	memset(paces, 0, pace_shmem_size());
	for (i = 0; i < PACES; i++)
		SpinLockInit(&paces[i].mutex);
}

static Pace *
own_pace(uint64 key)
{
	Pace	   *pace = MemoryContextAllocZero(TopMemoryContext, sizeof(Pace));

	SpinLockInit(&pace->mutex);
	pace->key = key;
	ereport(LOG,
			(errmsg("refundx: shared memory has room for the pace of %d merchants only", PACES),
			 errdetail("The calls of further ones are counted per database.")));
	return pace;
}

/* A place is taken for good: merchants are few, and none is ever deleted. */
Pace *
pace_of(const char *kind, const char *merchant_no)
{
	uint64		key = hash_bytes_extended((const unsigned char *) merchant_no, (int) strlen(merchant_no),
										  hash_bytes((const unsigned char *) kind, (int) strlen(kind)));
	int			i;

	if (key == 0)
		key = 1;
	for (i = 0; paces != NULL && i < PACES; i++)
	{
		bool		mine;

		SpinLockAcquire(&paces[i].mutex);
		if (paces[i].key == 0)
			paces[i].key = key;
		mine = paces[i].key == key;
		SpinLockRelease(&paces[i].mutex);
		if (mine)
			return &paces[i];
	}
	return own_pace(key);
}

static int
all_in_flight(const Pace *pace)
{
	int			n = 0;
	int			i;

	for (i = 0; i < SETTINGS_MAX_DATABASES; i++)
		n += pace->in_flight[i];
	return n;
}

static TimestampTz
calls_allow(const Pace *pace, int limit, int in_flight, TimestampTz now)
{
	int			others = Min(limit, PACE_CALLS_MAX) - in_flight;
	TimestampTz ended;

	if (limit <= 0)
		return 0;
	if (others <= 0)
		return now + USECS_PER_SEC / 10;
	if (pace->nended < others)
		return 0;
	ended = pace->ended[(pace->nended - others) % PACE_CALLS_MAX];
	return ended > now - USECS_PER_SEC ? ended + USECS_PER_SEC : 0;
}

static TimestampTz
failures_allow(const Pace *pace, const PaceLimits *limits, int in_flight, TimestampTz now)
{
	int			most = Max(limits->failing_per_second - 1, 1);
	int			recent = 0;
	TimestampTz oldest = 0;
	int			i;

	if (limits->failing_per_second <= 0)
		return 0;
	for (i = 0; i < Min(pace->nfailed, PACE_FAILURES_MAX); i++)
	{
		if (pace->failed[i] <= now - USECS_PER_SEC)
			continue;
		recent++;
		if (oldest == 0 || pace->failed[i] < oldest)
			oldest = pace->failed[i];
	}
	if (recent > 0 && recent + in_flight >= most)
		return oldest + USECS_PER_SEC;
	if (limits->may_fail && in_flight >= most)
		return now + USECS_PER_SEC / 10;
	return 0;
}

TimestampTz
pace_begin(Pace *pace, int database, const PaceLimits *limits, TimestampTz now)
{
	TimestampTz later;
	int			in_flight;

	SpinLockAcquire(&pace->mutex);
	in_flight = all_in_flight(pace);
	later = Max(calls_allow(pace, limits->calls_per_second, in_flight, now),
				failures_allow(pace, limits, in_flight, now));
	if (later == 0)
		pace->in_flight[database]++;
	SpinLockRelease(&pace->mutex);
	return later;
}

void
pace_end(Pace *pace, int database, bool failing, TimestampTz now)
{
	SpinLockAcquire(&pace->mutex);
	pace->in_flight[database]--;
	pace->ended[pace->nended++ % PACE_CALLS_MAX] = now;
	if (failing)
		pace->failed[pace->nfailed++ % PACE_FAILURES_MAX] = now;
	SpinLockRelease(&pace->mutex);
}

void
pace_undo(Pace *pace, int database)
{
	SpinLockAcquire(&pace->mutex);
	pace->in_flight[database]--;
	SpinLockRelease(&pace->mutex);
}

void
pace_go_on(Pace *pace, TimestampTz now)
{
	SpinLockAcquire(&pace->mutex);
	pace->ended[pace->nended++ % PACE_CALLS_MAX] = now;
	SpinLockRelease(&pace->mutex);
}

void
pace_forget_database(int database)
{
	int			i;

	for (i = 0; paces != NULL && i < PACES; i++)
	{
		SpinLockAcquire(&paces[i].mutex);
		paces[i].in_flight[database] = 0;
		SpinLockRelease(&paces[i].mutex);
	}
}
