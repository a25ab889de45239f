/*-------------------------------------------------------------------------
 *
 * settler.c
 *	  The worker that turns evidence into states and postings.
 *
 * It finds what to do by reading refundx.evidence as a queue, hands it to
 * settle() in batches, and comes back to what somebody else has locked.  It
 * never runs application code, and nothing of it knows the network: what a handler of
 * the application's follows, it hands over to the runner.
 *
 * Must survive: a crash at any line (evidence without an event is found
 * again at start), one piece of evidence that raises an error (the rest of
 * its batch is settled without it), an application that sits on a row for
 * hours, another session that settles the same evidence at the same moment.
 *
 * src/worker/settler.c
 *
 *-------------------------------------------------------------------------
 */
#include "worker/worker.h"

#include "base/settings.h"
#include "base/testpoint.h"
#include "money/arrival.h"
#include "money/evidence.h"
#include "money/handler.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* How long evidence waits whose row is locked, or which raised an error. */
#define RETRY_LOCKED_MS		100
#define RETRY_ERROR_MS		60000

/* A list of evidence ids that outlives transactions. */
typedef struct IdList
{
	int64	   *id;
	int			n;
	int			cap;
} IdList;

typedef struct Settler
{
	Worker	   *self;
	Arrival		arrival;
	IdList		pending;		/* to settle, oldest first */
	IdList		locked;			/* to try again at retry_locked_at */
	IdList		failed;			/* raised an error; at retry_failed_at */
	TimestampTz retry_locked_at;
	TimestampTz retry_failed_at;
	TimestampTz locked_since;	/* the oldest wait, for the health view */
	int			batch;			/* how many of pending to take now */
	int64		settled;
	uint64		handlers;		/* their revision at our last look */
} Settler;

static void list_add(IdList *l, int64 id);
static void list_drop(IdList *l, int n);
static void settler_start(void *arg);
static void settler_look(void *arg);
static void settler_round(void *arg);
static bool settler_one_by_one(Settler *s);
static void settler_retry(Settler *s);

void
settler_run(Worker *self)
{
	Settler		s = {.self = self,.handlers = PG_UINT64_MAX};

	while (!worker_transaction(self, "refundx: looking for evidence", settler_start, &s))
		worker_wait(self, 1000);

	for (;;)
	{
		int			before;
		int			waiting;

		CHECK_FOR_INTERRUPTS();
		settler_retry(&s);
		before = s.pending.n;
		waiting = s.locked.n;
		s.batch = rx_batch_size;
		if (worker_transaction(self, "refundx: settling", settler_round, &s))
		{
			if (s.batch > 0)
				TESTPOINT("settler-after-commit");
			arrival_done(&s.arrival);
			list_drop(&s.pending, s.batch);
			if (s.batch > 0)
				ConditionVariableBroadcast(&self->db->settled);
			if (s.failed.n == 0)
				worker_problem(self, NULL);
		}
		else
		{
			/*
			 * What the failed transaction appended is read again, by one that
			 * does nothing else: what cannot be settled may have come with it,
			 * and can be taken one by one only when it is on the list.
			 */
			s.pending.n = before;
			s.locked.n = waiting;
			if (worker_transaction(self, "refundx: looking for evidence", settler_look, &s))
				arrival_done(&s.arrival);
			else
				s.pending.n = before;
			if (!settler_one_by_one(&s))
				worker_wait(self, 1000);
		}
		if (s.locked.n == 0)
			s.locked_since = 0;
		else if (s.locked_since == 0)
			s.locked_since = GetCurrentTimestamp();
		self->slot->done = s.settled;
		worker_report(self, s.pending.n + s.locked.n + s.failed.n, 0, s.locked_since,
					  s.locked.n > 0 ? "waits for rows that others have locked" : "settling");
		worker_wait(self, s.pending.n > 0 ? 0 : s.locked.n > 0 ? RETRY_LOCKED_MS : -1);
	}
}

static void
list_add(IdList *l, int64 id)
{
	if (l->n == l->cap)
	{
		l->cap = Max(256, l->cap * 2);
		if (l->id == NULL)
			l->id = MemoryContextAlloc(TopMemoryContext, l->cap * sizeof(int64));
		else
			l->id = repalloc_huge(l->id, (Size) l->cap * sizeof(int64));
	}
	l->id[l->n++] = id;
}

static void
list_drop(IdList *l, int n)
{
	memmove(l->id, l->id + n, (Size) (l->n - n) * sizeof(int64));
	l->n -= n;
	/* a burst must not be remembered for ever */
	if (l->cap > 65536 && l->n < 1024)
	{
		l->cap = 1024;
		l->id = repalloc(l->id, l->cap * sizeof(int64));
	}
}

/*
 * Everything that was kept and never weighed, under the very snapshot from
 * which the arrival reader goes on.
 */
static void
settler_start(void *arg)
{
	static Statement unweighed = {
		"SELECT e.evidence_id FROM refundx.evidence e"
		" WHERE e.evidence_id > coalesce((SELECT weighed_to FROM refundx.watermark), 0)"
		"   AND NOT EXISTS (SELECT FROM refundx.event x WHERE x.evidence_id = e.evidence_id)"
		"   AND NOT EXISTS (SELECT FROM refundx.handed h WHERE h.evidence_id = e.evidence_id)"
		" ORDER BY e.evidence_id", NO_ARGS
	};
	Settler    *s = arg;
	uint64		n;
	uint64		row;

	s->pending.n = 0;
	arrival_begin(&s->arrival);
	n = statement_read(&unweighed, NULL);
	for (row = 0; row < n; row++)
		list_add(&s->pending, row_int8(row, 1));
	if (n > 0)
		ereport(LOG,
				(errmsg("refundx: %llu pieces of evidence were kept before the restart and are settled now",
						(unsigned long long) n)));
}

/*
 * Where there are handlers a runner is needed.  The launcher reads no table, so it is
 * told; without handlers this compares two numbers.
 */
static void
settler_look_for_handlers(Settler *s)
{
	DatabaseSlot *db = s->self->db;

	if (s->handlers == handlers_revision() && (db->runner_wanted || !handlers_any()))
		return;
	s->handlers = handlers_revision();
	if (db->runner_wanted || !handlers_need_runner())
		return;
	db->runner_wanted = true;
	wake_launcher();
}

/* Put what has arrived on the list. */
static void
settler_look(void *arg)
{
	static Statement arrived = {
		"WITH arrived AS MATERIALIZED (" ARRIVAL("evidence_id", "refundx.evidence", "$1") ")"
		" SELECT evidence_id FROM arrived ORDER BY evidence_id", ARGS(TEXTOID)
	};
	Settler    *s = arg;
	Values		v = {0};
	uint64		n;
	uint64		row;

	n = arrival_read(&s->arrival, &arrived, &v);
	for (row = 0; row < n; row++)
		list_add(&s->pending, row_int8(row, 1));
}

/* One transaction: see what has arrived, settle the oldest batch. */
static void
settler_round(void *arg)
{
	Settler    *s = arg;
	SettleResult result;
	Column		ids;
	int			i;

	settler_look_for_handlers(s);
	settler_look(s);
	s->batch = Min(s->batch, s->pending.n);
	if (s->batch == 0)
		return;
	column_init(&ids, INT8OID);
	for (i = 0; i < s->batch; i++)
		column_int8(&ids, s->pending.id[i]);
	settle(&ids, &result);
	for (i = 0; i < result.waiting.n; i++)
		list_add(&s->locked, DatumGetInt64(result.waiting.value[i]));
	s->settled += result.applied + result.handed;
	TESTPOINT("settler-before-commit");
}

typedef struct One
{
	int64		id;
	SettleResult result;
	bool		waits;
} One;

static void
settle_one(void *arg)
{
	One		   *one = arg;
	Column		ids;

	column_init(&ids, INT8OID);
	column_int8(&ids, one->id);
	settle(&ids, &one->result);
	one->waits = one->result.waiting.n > 0;
}

/*
 * Some piece of the batch raised an error.  Settle each by itself, so that
 * the others do not wait for it; false if even that got nowhere.
 */
static bool
settler_one_by_one(Settler *s)
{
	int			n = Min(s->pending.n, rx_batch_size);
	int			good = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		One			one = {.id = s->pending.id[i]};

		CHECK_FOR_INTERRUPTS();
		if (!worker_transaction(s->self, "refundx: settling one", settle_one, &one))
		{
			list_add(&s->failed, one.id);
			s->retry_failed_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), RETRY_ERROR_MS);
			worker_problem(s->self, "evidence %lld could not be settled: see the server's log",
						   (long long) one.id);
			continue;
		}
		good++;
		if (one.waits)
			list_add(&s->locked, one.id);
		else
			s->settled++;
	}
	list_drop(&s->pending, n);
	if (good > 0)
		ConditionVariableBroadcast(&s->self->db->settled);
	return good > 0;
}

/* Put back what it is time to try again. */
static void
settler_retry(Settler *s)
{
	TimestampTz now = GetCurrentTimestamp();
	int			i;

	if (s->locked.n > 0 && now >= s->retry_locked_at)
	{
		for (i = 0; i < s->locked.n; i++)
			list_add(&s->pending, s->locked.id[i]);
		s->locked.n = 0;
		s->retry_locked_at = TimestampTzPlusMilliseconds(now, RETRY_LOCKED_MS);
	}
	if (s->failed.n > 0 && now >= s->retry_failed_at)
	{
		for (i = 0; i < s->failed.n; i++)
			list_add(&s->pending, s->failed.id[i]);
		s->failed.n = 0;
	}
}
