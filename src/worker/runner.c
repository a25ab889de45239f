/*-------------------------------------------------------------------------
 *
 * runner.c
 *	  The worker that settles what a handler of the application's follows.
 *
 * What is on its list: evidence that the settler has handed over (refundx.handed),
 * and calls that were put off (refundx.handler_run): of handlers that failed, are
 * paused, or follow what a session did.  Each item is one transaction
 * (money/handler_run.c).  It is the only worker in which an application's code
 * runs; so it runs where there are handlers, and nothing but them waits for it.
 *
 * Must survive: a crash at any line (what was not committed is found again at
 * start), a handler that fails, that takes too long, that catches its cancel and goes
 * on (the launcher ends this process; the next one finds in shared memory which it
 * was, and puts that call off like one that failed), an application that holds the
 * row which a handler needs, for hours.
 *
 * Nobody waits for somebody else's failure: an item that has to wait has a time on
 * the list, and the others go on.  A handler that takes too long several times in a
 * row rests, longer each time, so that the others' items do not wait for its time
 * limit over and over.
 *
 * src/worker/runner.c
 *
 *-------------------------------------------------------------------------
 */
#include "worker/worker.h"

#include "base/clock.h"
#include "base/settings.h"
#include "base/testpoint.h"
#include "money/arrival.h"
#include "money/handler.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define RETRY_LOCKED_MS		50		/* doubled, up to the next */
#define RETRY_LOCKED_MAX_MS 1000
#define RETRY_ERROR_MS		1000	/* likewise */
#define RETRY_ERROR_MAX_MS	60000
#define WHEN_SOMEBODY_SAYS	PG_INT64_MAX

/* A handler that took too long so often in a row rests. */
#define TIMEOUTS_BEFORE_REST 3
#define REST_FIRST_MS		1000
#define REST_LAST_MS		60000

typedef struct Entry
{
	RunItem		what;
	TimestampTz not_before;		/* by the tests' clock; 0 = now */
	int			waits;			/* in a row, for a row of somebody else's */
	int			errors;			/* in a row, of our own transaction */
	bool		done;
} Entry;

/* A handler that has taken too long lately. */
typedef struct Slow
{
	int32		handler_id;
	int			timeouts;		/* in a row */
	TimestampTz rests_until;
} Slow;

typedef struct Runner
{
	Worker	   *self;
	Arrival		handed;
	Arrival		runs;
	Entry	   *item;
	int			n;
	int			cap;
	int			done;			/* of them */
	int			at;				/* the one that is being run */
	bool		starting;		/* the list is made: what is on it may have ended the last process */
	bool		may_begin;
	RunResult	result;
} Runner;

#define SLOW_MAX	64

static Slow slow[SLOW_MAX];
static int	nslow = 0;
static Worker *worker = NULL;

static void runner_start(void *arg);
static void runner_look(void *arg);
static void runner_one(void *arg);
static void call_was_ended(void *arg);
static void mark_call(const Handler *h, int64 instruction_id, int64 evidence_id, int64 run_id);
static TimestampTz rests_until(int32 handler_id);
static Slow *slow_of(int32 handler_id, bool add);
static void rest(Slow *s, int timeouts);
static void note_time(const RunResult *r);
static void list_add(Runner *r, int64 instruction_id, int64 evidence_id, int64 run_id, TimestampTz not_before);
static void list_wake(Runner *r, int64 instruction_id);
static bool list_next(Runner *r, TimestampTz *next_at);
static bool may_begin(Runner *r);
static void item_over(Runner *r, bool committed);
static bool not_wanted(Runner *r);
static void report(Runner *r, TimestampTz next_at);

void
runner_run(Worker *self)
{
	Runner		r = {.self = self};

	worker = self;
	handler_run_hooks(mark_call, rests_until);

	/*
	 * Of a deadlock with an application the handler is to be the victim: it is tried
	 * again, and nobody's purchase fails.
	 */
	SetConfigOption("deadlock_timeout", "10ms", PGC_SUSET, PGC_S_OVERRIDE);

	while (self->db->call.instruction_id != 0 &&
		   !worker_transaction(self, "refundx: a handler that did not end", call_was_ended, &r))
		worker_wait(self, 1000);
	mark_call(NULL, 0, 0, 0);
	while (!worker_transaction(self, "refundx: looking for what handlers follow", runner_start, &r))
		worker_wait(self, 1000);

	for (;;)
	{
		TimestampTz next_at;
		int64		wait = -1;

		CHECK_FOR_INTERRUPTS();
		if (worker_transaction(self, "refundx: looking for what handlers follow", runner_look, &r))
		{
			arrival_done(&r.handed);
			arrival_done(&r.runs);
		}
		while (list_next(&r, &next_at))
		{
			bool		committed;

			if (r.item[r.at].what.suspect && !may_begin(&r))
				continue;
			committed = worker_transaction(self, "refundx: settling with handlers", runner_one, &r);

			if (committed)
				TESTPOINT("runner-after-commit");
			item_over(&r, committed);
			self->slot->last_round = GetCurrentTimestamp();
			if (MyLatch->is_set)
				break;			/* see what has come; also a hold, a reload */
		}
		report(&r, next_at);
		if (not_wanted(&r))
			return;
		if (list_next(&r, &next_at))
			wait = 0;
		else if (next_at != WHEN_SOMEBODY_SAYS)
			wait = Max(TimestampDifferenceMilliseconds(clock_now(), next_at), 0) + 1;
		worker_wait(self, wait);
	}
}

/* ------------------------------------------------------------------------
 * What there is to do
 * ------------------------------------------------------------------------
 */

static void
list_add(Runner *r, int64 instruction_id, int64 evidence_id, int64 run_id, TimestampTz not_before)
{
	Entry	   *item;

	if (r->n == r->cap)
	{
		r->cap = Max(256, r->cap * 2);
		r->item = r->item == NULL ? MemoryContextAlloc(TopMemoryContext, r->cap * sizeof(Entry)) :
			repalloc_huge(r->item, (Size) r->cap * sizeof(Entry));
	}
	item = &r->item[r->n++];
	memset(item, 0, sizeof(*item));
	item->what.instruction_id = instruction_id;
	item->what.evidence_id = evidence_id;
	item->what.run_id = run_id;
	item->not_before = not_before;
	item->what.suspect = r->starting;
}

/* What waits behind something of this instruction may go on. */
static void
list_wake(Runner *r, int64 instruction_id)
{
	int			i;

	for (i = 0; i < r->n; i++)
		if (!r->item[i].done && r->item[i].what.instruction_id == instruction_id)
			r->item[i].not_before = 0;
}

/* The first that is due, into r->at; otherwise, when the next one is. */
static bool
list_next(Runner *r, TimestampTz *next_at)
{
	TimestampTz now = clock_now();
	int			i;

	*next_at = WHEN_SOMEBODY_SAYS;
	for (i = 0; i < r->n; i++)
	{
		const Entry *item = &r->item[i];

		if (item->done)
			continue;
		if (item->not_before <= now)
		{
			r->at = i;
			return true;
		}
		*next_at = Min(*next_at, item->not_before);
	}
	return false;
}

static void
list_compact(Runner *r)
{
	int			n = 0;
	int			i;

	if (r->done < 256 || r->done < r->n / 2)
		return;
	for (i = 0; i < r->n; i++)
		if (!r->item[i].done)
			r->item[n++] = r->item[i];
	r->n = n;
	r->done = 0;
}

/* Everything that is there, under the very snapshot from which the readers go on. */
static void
runner_start(void *arg)
{
	static Statement handed = {
		"SELECT h.instruction_id, h.evidence_id FROM refundx.handed h ORDER BY h.evidence_id", NO_ARGS
	};
	static Statement runs = {
		"SELECT r.instruction_id, r.run_id, r.next_at FROM refundx.handler_run r"
		" WHERE r.is_open AND NOT r.blocks ORDER BY r.run_id", NO_ARGS
	};
	Runner	   *r = arg;
	uint64		n;
	uint64		row;

	r->n = r->done = 0;
	r->starting = true;
	arrival_begin(&r->handed);
	arrival_begin(&r->runs);
	n = statement_read(&handed, NULL);
	for (row = 0; row < n; row++)
		list_add(r, row_int8(row, 1), row_int8(row, 2), 0, 0);
	n = statement_read(&runs, NULL);
	for (row = 0; row < n; row++)
		list_add(r, row_int8(row, 1), 0, row_int8(row, 2), row_null(row, 3) ? WHEN_SOMEBODY_SAYS : row_time(row, 3));
	r->starting = false;
}

static void
see_run(Runner *r, int64 instruction_id, int64 run_id, TimestampTz not_before)
{
	int			i;

	for (i = 0; i < r->n; i++)
		if (!r->item[i].done && r->item[i].what.run_id == run_id)
		{
			r->item[i].not_before = not_before;
			return;
		}
	list_add(r, instruction_id, 0, run_id, not_before);
}

/*
 * What has come.  A run that has changed may be what something else of its
 * instruction waits for.
 */
static void
runner_look(void *arg)
{
	static Statement handed = {
		"WITH arrived AS MATERIALIZED (" ARRIVAL("evidence_id, instruction_id", "refundx.handed", "$1") ")"
		" SELECT instruction_id, evidence_id FROM arrived ORDER BY evidence_id", ARGS(TEXTOID)
	};
	static Statement runs = {
		"WITH arrived AS MATERIALIZED ("
		ARRIVAL("run_id, instruction_id, is_open, blocks, next_at", "refundx.handler_run", "$1") ")"
		" SELECT instruction_id, run_id, is_open AND NOT blocks, next_at FROM arrived ORDER BY run_id", ARGS(TEXTOID)
	};
	Runner	   *r = arg;
	Values		v = {0};
	uint64		n;
	uint64		row;

	n = arrival_read(&r->handed, &handed, &v);
	for (row = 0; row < n; row++)
	{
		list_wake(r, row_int8(row, 1)); /* a person has it tried again */
		list_add(r, row_int8(row, 1), row_int8(row, 2), 0, 0);
	}
	values_reset(&v);
	n = arrival_read(&r->runs, &runs, &v);
	for (row = 0; row < n; row++)
	{
		list_wake(r, row_int8(row, 1));
		if (row_bool(row, 3))
			see_run(r, row_int8(row, 1), row_int8(row, 2), row_null(row, 4) ? WHEN_SOMEBODY_SAYS : row_time(row, 4));
	}
}

/*
 * Handlers were removed and all is done: the settler has another runner started
 * when there is need.  First the flag, then the look: what is added after the look
 * finds the flag down, and raises it.
 */
static void
look_for_need(void *arg)
{
	*(bool *) arg = handlers_need_runner();
}

static bool
not_wanted(Runner *r)
{
	static uint64 seen = PG_UINT64_MAX;
	bool		needed = true;

	if (r->n > r->done || (seen == handlers_revision() && r->self->db->runner_wanted))
		return false;
	seen = handlers_revision();
	r->self->db->runner_wanted = false;
	if (!worker_transaction(r->self, "refundx: looking for handlers", look_for_need, &needed) || needed)
		r->self->db->runner_wanted = true;
	return !needed;
}

/* ------------------------------------------------------------------------
 * One item
 * ------------------------------------------------------------------------
 */

/* Our own transaction has failed: it is tried again, later each time. */
static void
item_failed(Entry *item)
{
	int64		ms = Min((int64) RETRY_ERROR_MS << Min(item->errors, 10), RETRY_ERROR_MAX_MS);

	item->not_before = clock_now() + ms * 1000;
	item->errors++;
}

static void
count_it(void *arg)
{
	Runner	   *r = arg;

	r->may_begin = handler_run_begin(&r->item[r->at].what);
}

/* Of what was found at start: a call that takes the server down is not made for ever. */
static bool
may_begin(Runner *r)
{
	Entry	   *item = &r->item[r->at];

	if (!worker_transaction(r->self, "refundx: counting calls", count_it, r))
	{
		item_failed(item);
		return false;
	}
	if (!r->may_begin)
	{
		item->what.suspect = false; /* once a person says so, it is new */
		item->not_before = WHEN_SOMEBODY_SAYS;
	}
	return r->may_begin;
}

static void
runner_one(void *arg)
{
	Runner	   *r = arg;

	handler_run(&r->item[r->at].what, &r->result);
	if (r->result.called)
		TESTPOINT("runner-before-commit");
}

static void
item_over(Runner *r, bool committed)
{
	Entry	   *item = &r->item[r->at];
	TimestampTz now = clock_now();

	if (!committed)
	{
		mark_call(NULL, 0, 0, 0);
		item_failed(item);
		return;
	}
	item->what.suspect = false;
	item->errors = 0;
	note_time(&r->result);
	if (r->result.outcome == RUN_LOCKED && !r->result.settled)
	{
		item->not_before = now + Min(RETRY_LOCKED_MS << Min(item->waits, 10), RETRY_LOCKED_MAX_MS) * INT64CONST(1000);
		item->waits++;
	}
	else if (r->result.outcome == RUN_LATER)
	{
		item->waits = 0;
		item->not_before = r->result.next_at != 0 ? r->result.next_at : WHEN_SOMEBODY_SAYS;
	}
	else if (r->result.outcome == RUN_DONE)
	{
		item->done = true;
		r->done++;
		list_wake(r, item->what.instruction_id);
	}
	if (r->result.settled)
	{
		r->self->slot->done++;
		ConditionVariableBroadcast(&r->self->db->settled);
	}
	list_compact(r);
}

static void
report(Runner *r, TimestampTz next_at)
{
	int			waiting = r->n - r->done;
	bool		locked = false;
	int			i;

	for (i = 0; i < r->n && !locked; i++)
		locked = !r->item[i].done && r->item[i].waits > 0;
	worker_report(r->self, waiting, 0, 0,
				  locked ? "waits for rows that others have locked" :
				  waiting > 0 && next_at == WHEN_SOMEBODY_SAYS ? "waits for what persons decide" : "calling handlers");
}

/* ------------------------------------------------------------------------
 * Calls that take too long
 * ------------------------------------------------------------------------
 */

/* For the launcher, which ends the process at twice the limit; NULL: it is over. */
static void
mark_call(const Handler *h, int64 instruction_id, int64 evidence_id, int64 run_id)
{
	HandlerCallSlot *call = &worker->db->call;

	LWLockAcquire(rx_shared->lock, LW_EXCLUSIVE);
	call->instruction_id = instruction_id;
	call->evidence_id = evidence_id;
	call->run_id = run_id;
	call->handler_id = h ? h->handler_id : 0;
	call->ended = false;
	call->end_at = h ? TimestampTzPlusMilliseconds(GetCurrentTimestamp(), 2 * (int64) h->time_limit_ms) : 0;
	LWLockRelease(rx_shared->lock);
}

/* The runner before this one ended in the midst of a call. */
static void
call_was_ended(void *arg)
{
	Runner	   *r = arg;
	HandlerCallSlot *call = &r->self->db->call;

	if (!call->ended)
		return;					/* for another reason: it is run again */
	call->ended_times = call->ended_handler == call->handler_id ? Min(call->ended_times + 1, 100) : 1;
	call->ended_handler = call->handler_id;
	rest(slow_of(call->handler_id, true), TIMEOUTS_BEFORE_REST + call->ended_times - 1);
	handler_run_was_ended(call->instruction_id, call->evidence_id, call->run_id, call->handler_id);
}

static Slow *
slow_of(int32 handler_id, bool add)
{
	int			i;

	for (i = 0; i < nslow; i++)
		if (slow[i].handler_id == handler_id)
			return &slow[i];
	if (!add || nslow == SLOW_MAX)
		return NULL;
	memset(&slow[nslow], 0, sizeof(Slow));
	slow[nslow].handler_id = handler_id;
	return &slow[nslow++];
}

/* It took too long so often in a row. */
static void
rest(Slow *s, int timeouts)
{
	int64		ms;

	if (s == NULL)
		return;
	s->timeouts = timeouts;
	if (timeouts < TIMEOUTS_BEFORE_REST)
		return;
	ms = Min((int64) REST_FIRST_MS << Min(timeouts - TIMEOUTS_BEFORE_REST, 10), REST_LAST_MS);
	s->rests_until = clock_now() + ms * 1000;
	worker_problem(worker, "handler %d takes longer than its time limit, and rests", s->handler_id);
}

static TimestampTz
rests_until(int32 handler_id)
{
	const Slow *s = slow_of(handler_id, false);

	return s != NULL && s->rests_until > clock_now() ? s->rests_until : 0;
}

/* When its rest is over one call is a probe: if that too is late, it rests longer. */
static void
note_time(const RunResult *r)
{
	HandlerCallSlot *call = &worker->db->call;
	Slow	   *s;

	if (!r->called)
		return;
	if (!r->timed_out && call->ended_handler == r->handler_id)
		call->ended_times = 0;
	s = slow_of(r->handler_id, r->timed_out);
	if (s == NULL)
		return;
	if (!r->timed_out)
	{
		*s = slow[--nslow];
		if (nslow == 0)
			worker_problem(worker, NULL);
		return;
	}
	rest(s, s->timeouts + 1);
}
