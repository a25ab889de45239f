/*-------------------------------------------------------------------------
 *
 * handler_run.c
 *	  One item of the runner's list: a settlement with its handlers, or a call that
 *	  was put off.
 *
 * A settlement:
 *
 *	1. The guarded rows of the instruction are locked, for the handler will want to
 *	   change them, and they are first in the order of locks.
 *	2. The evidence is settled, as the settler would have done it.
 *	3. The handlers of the transition are called, in the order in which they were
 *	   added, each in a subtransaction of its own.
 *	4. One commit.  So a handler's changes are there exactly if the transition is:
 *	   a crash before the commit leaves neither, and the evidence is found again.
 *
 * If a best_effort handler fails, its changes are undone, and a run is recorded in
 * the same transaction, which is called again by itself later.  If a required one
 * fails, everything from 2 on is undone (a subtransaction around it), and what
 * commits is the record of that: the evidence stays unweighed, the instruction open,
 * its money frozen.
 *
 * Nothing here waits for a row: what somebody else holds is passed over, and comes
 * again.  Only the handler itself may wait, as long as its lock_limit says.
 *
 * The calls of one instruction are made in the order of its transitions: one that
 * comes after a call which has failed waits behind it.  Other instructions do not.
 *
 * src/money/handler_run.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/handler_run.h"

#include "access/xact.h"
#include "base/clock.h"
#include "money/evidence.h"
#include "money/guard.h"
#include "money/incident.h"
#include "money/money.h"
#include "money/notices.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#define PAUSED_LOOK_US	(INT64CONST(60) * USECS_PER_SEC)

/* A settlement under way. */
typedef struct Settlement
{
	int64		instruction_id;
	int64		evidence_id;
	Run		   *runs;			/* of this evidence */
	int			nruns;
	bool		behind;			/* an earlier call of the instruction is still open */
	RunResult  *result;
	State		to;

	/* why it cannot be: a required handler ... */
	const Handler *failed;
	HandlerError error;			/* ... failed, or */
	const char *put_off;		/* is in this state */
} Settlement;

static HandlerCallMark mark_call = NULL;
static HandlerRests rests_until = NULL;

static void run_settlement(const RunItem *item, RunResult *result);
static bool settle_and_call(Settlement *s);
static bool call_inside(Settlement *s, const Handler *h);
static void run_call(const RunItem *item, RunResult *result);
static bool call(const Handler *h, int64 instruction_id, int64 evidence_id, int64 run_id, State to,
				 RunResult *result, HandlerError *error);

void
handler_run_hooks(HandlerCallMark mark, HandlerRests rests)
{
	mark_call = mark;
	rests_until = rests;
}

/*
 * A function may take the server down with it: one in C, or one that needs so much
 * memory that the kernel ends the process.  What was not committed is found again at
 * start, and would do it again, for ever.  So what is found at start is counted
 * before it is run, and that is committed.
 */
bool
handler_run_begin(const RunItem *item)
{
	static Statement give_up = {
		"UPDATE refundx.handler_run SET state = 'with_person', next_at = NULL, code = '57P02',"
		"       message = 'the server, or the runner, died each time when it was called'"
		" WHERE run_id = $1 AND is_open", ARGS(INT8OID)
	};
	Values		v = {0};
	int			begun;

	begun = record_begun(item, true);
	if (begun <= HANDLED_BEGUN_MAX)
		return true;
	if (begun > HANDLED_BEGUN_MAX + 1)
		return false;			/* that has been said */
	if (item->run_id != 0)
	{
		values_int8(&v, item->run_id);
		statement_run(&give_up, &v);
	}
	incident_add(&(Incident) {
		.kind = "handler_crashed",
		.instruction_id = item->instruction_id,
		.sqlstate = "57P02",
		.reason = "the server, or the runner, died each time when its handlers were called",
		.done = "not called again by itself: refundx.handler_pause(), then handler_retry()"
	});
	return false;
}

void
handler_run(const RunItem *item, RunResult *result)
{
	memset(result, 0, sizeof(*result));
	handler_clean_session();
	if (item->suspect)
		(void) record_begun(item, false);	/* it has come to an end, if this commits */
	if (item->evidence_id != 0)
		run_settlement(item, result);
	else
		run_call(item, result);
}

/*
 * handler_resume() wakes what it sees waiting.  What was put off at that very moment
 * finds out by itself.
 */
static TimestampTz
paused_until(void)
{
	return clock_now() + PAUSED_LOOK_US;
}

static void
later(RunResult *result, TimestampTz next_at)
{
	result->outcome = RUN_LATER;
	result->next_at = next_at;
}

/* ------------------------------------------------------------------------
 * A settlement
 * ------------------------------------------------------------------------
 */

static Run *
run_of_handler(const Settlement *s, int32 handler_id)
{
	int			i;

	for (i = 0; i < s->nruns; i++)
		if (s->runs[i].handler_id == handler_id)
			return &s->runs[i];
	return NULL;
}

/*
 * The oldest of the instruction, unless this very piece is gone; 0 = it is.  `stuck`: it
 * has taken the server down too often, and what is behind it waits too.
 */
static int64
next_evidence(const RunItem *item, bool *stuck)
{
	static Statement find = {
		"SELECT h.evidence_id, h.begun, EXISTS (SELECT FROM refundx.handed d WHERE d.evidence_id = $2)"
		"  FROM refundx.handed h WHERE h.instruction_id = $1 ORDER BY h.evidence_id LIMIT 1",
		ARGS(INT8OID, INT8OID)
	};
	Values		v = {0};

	values_int8(&v, item->instruction_id);
	values_int8(&v, item->evidence_id);
	if (statement_run(&find, &v) != 1 || !row_bool(0, 3))
		return 0;
	*stuck = row_int4(0, 2) > HANDLED_BEGUN_MAX;
	return row_int8(0, 1);
}

/* False: a required handler is not to be called yet. */
static bool
may_settle(const Settlement *s)
{
	bool		may = true;
	int			i;

	for (i = 0; i < s->nruns; i++)
	{
		const Run  *r = &s->runs[i];

		if (!r->is_open || !r->blocks || (r->next_at != 0 && r->next_at <= clock_now()))
			continue;
		may = false;
		later(s->result, r->next_at);
		if (r->next_at == 0)
			break;
	}
	return may;
}

static void
run_settlement(const RunItem *item, RunResult *result)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	Settlement	s = {.instruction_id = item->instruction_id,.result = result};
	bool		settled;
	bool		stuck = false;

	s.evidence_id = next_evidence(item, &stuck);
	if (s.evidence_id == 0)
		return;					/* with an older item of the list */
	if (stuck)
	{
		later(result, 0);
		return;
	}
	if (!guard_lock_again(s.instruction_id))
	{
		result->outcome = RUN_LOCKED;
		return;
	}
	s.runs = runs_of_evidence(s.evidence_id, &s.nruns);
	if (!may_settle(&s))
		return;
	s.behind = earlier_open(s.instruction_id, 0, s.evidence_id);

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	settled = settle_and_call(&s);
	if (settled)
		ReleaseCurrentSubTransaction();
	else
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;

	result->settled = settled;
	if (settled && s.evidence_id != item->evidence_id)
		result->outcome = RUN_LOCKED;	/* that was an older one: now this */
	if (settled || s.failed == NULL)
		return;
	if (s.put_off != NULL)
		record_put_off(s.instruction_id, s.evidence_id, s.to, s.failed, true, s.put_off, paused_until());
	else
	{
		Run		   *r = run_of_handler(&s, s.failed->handler_id);

		later(result, record_failure(s.instruction_id, s.evidence_id, r ? r->run_id : 0, r ? r->tries : 0, s.to,
									 s.failed, &s.error, true));
	}
}

/* False: nothing of it is to stand. */
static bool
settle_and_call(Settlement *s)
{
	static Statement take_off = {
		"DELETE FROM refundx.handed WHERE evidence_id = $1", ARGS(INT8OID)
	};
	SettleResult r;
	Values		v = {0};
	int			n = 0;
	int			i;

	settle_for_runner(s->evidence_id, &r);
	if (r.waiting.n > 0)
	{
		s->result->outcome = RUN_LOCKED;
		return false;
	}
	if (r.moved)
	{
		Handler    *h;

		s->to = r.moved_to;
		h = handlers_of(s->instruction_id, s->to, &n);
		for (i = 0; i < n; i++)
			if (!call_inside(s, &h[i]))
				return false;
	}
	record_pointless(s->instruction_id, s->evidence_id, r.moved);
	if (r.moved)
		notices_after_handlers(s->instruction_id, state_name(s->to));
	values_int8(&v, s->evidence_id);
	statement_run(&take_off, &v);
	return true;
}

/* False: the settlement has to wait for this one. */
static bool
call_inside(Settlement *s, const Handler *h)
{
	Run		   *r = run_of_handler(s, h->handler_id);
	TimestampTz rests = rests_until ? rests_until(h->handler_id) : 0;
	HandlerError error;

	if (r != NULL && (!r->is_open || !r->blocks))
		return true;			/* waived, or called by itself */
	if (h->paused || s->behind || rests != 0)
	{
		if (!h->required)
		{
			record_put_off(s->instruction_id, s->evidence_id, s->to, h, false, h->paused ? "paused" : "due",
						   h->paused ? paused_until() : Max(rests, clock_now()));
			return true;
		}
		later(s->result, h->paused ? paused_until() : s->behind ? 0 : rests);
		if (h->paused)
		{
			s->failed = h;
			s->put_off = "paused";
		}
		return false;
	}
	if (call(h, s->instruction_id, s->evidence_id, 0, s->to, s->result, &error))
	{
		record_success(s->instruction_id, r ? r->run_id : 0, h);
		return true;
	}
	if (!h->required)
	{
		(void) record_failure(s->instruction_id, s->evidence_id, r ? r->run_id : 0, r ? r->tries : 0, s->to, h, &error, false);
		return true;
	}
	s->failed = h;
	s->error = error;
	return false;
}

static bool
call(const Handler *h, int64 instruction_id, int64 evidence_id, int64 run_id, State to,
	 RunResult *result, HandlerError *error)
{
	bool		succeeded;

	if (mark_call)
		mark_call(h, instruction_id, evidence_id, run_id);
	succeeded = handler_call(h, instruction_id, to, error);
	if (mark_call)
		mark_call(NULL, 0, 0, 0);
	result->called = true;
	result->handler_id = h->handler_id;
	result->timed_out = !succeeded && error->timed_out;
	return succeeded;
}

/* ------------------------------------------------------------------------
 * A call that was put off
 * ------------------------------------------------------------------------
 */

typedef struct Call
{
	Run			run;
	int64		instruction_id;
	int64		evidence_id;
	State		to;
	bool		unsettled;
} Call;

static bool
read_call(int64 run_id, Call *c)
{
	static Statement find = {
		"SELECT " RUN_COLUMNS ", r.instruction_id, r.evidence_id, r.transition,"
		"       EXISTS (SELECT FROM refundx.handed d WHERE d.evidence_id = r.evidence_id)"
		"  FROM refundx.handler_run r WHERE r.run_id = $1 FOR NO KEY UPDATE OF r SKIP LOCKED", ARGS(INT8OID)
	};
	Values		v = {0};

	values_int8(&v, run_id);
	if (statement_run(&find, &v) != 1)
		return false;
	run_from_row(&c->run, 0);
	c->instruction_id = row_int8(0, 8);
	c->evidence_id = row_int8(0, 9);
	if (!state_from_name(row_text(0, 10), &c->to))
		elog(ERROR, "run %lld follows an unknown transition", (long long) run_id);
	c->unsettled = row_bool(0, 11);
	return true;
}

static void
pause_run(int64 run_id)
{
	static Statement pause = {
		"UPDATE refundx.handler_run SET state = 'paused', next_at = $2 WHERE run_id = $1", ARGS(INT8OID, TIMESTAMPTZOID)
	};
	Values		v = {0};

	values_int8(&v, run_id);
	values_time(&v, paused_until());
	statement_run(&pause, &v);
}

static void
run_call(const RunItem *item, RunResult *result)
{
	TimestampTz rests;
	HandlerError error;
	Handler		h;
	Call		c;

	if (!read_call(item->run_id, &c))
	{
		result->outcome = RUN_LOCKED;
		return;
	}
	if (!c.run.is_open || c.run.blocks)
		return;					/* waived; or its settlement's */
	if (c.run.next_at == 0 || c.run.next_at > clock_now())
	{
		later(result, c.run.next_at);
		return;
	}
	if (c.unsettled || earlier_open(c.instruction_id, c.run.run_id, 0))
	{
		later(result, 0);
		return;
	}
	if (!handler_by_id(c.run.handler_id, &h))
	{
		record_pointless(c.instruction_id, 0, true);
		notices_after_handlers(c.instruction_id, state_name(c.to));
		return;
	}
	if (h.paused)
	{
		pause_run(c.run.run_id);
		later(result, paused_until());
		return;
	}
	rests = rests_until ? rests_until(h.handler_id) : 0;
	if (rests != 0)
	{
		later(result, rests);
		return;
	}
	if (!guard_lock_again(c.instruction_id))
	{
		result->outcome = RUN_LOCKED;
		return;
	}
	if (call(&h, c.instruction_id, c.evidence_id, c.run.run_id, c.to, result, &error))
	{
		record_success(c.instruction_id, c.run.run_id, &h);
		notices_after_handlers(c.instruction_id, state_name(c.to));
		return;
	}
	later(result, record_failure(c.instruction_id, c.evidence_id, c.run.run_id, c.run.tries, c.to, &h, &error, false));
}

/* ------------------------------------------------------------------------
 * A call that would not end
 * ------------------------------------------------------------------------
 */

void
handler_run_was_ended(int64 instruction_id, int64 evidence_id, int64 run_id, int32 handler_id)
{
	static Statement find_run = {
		"SELECT r.run_id, r.tries FROM refundx.handler_run r"
		" WHERE r.run_id = $1 OR $1 = 0 AND r.evidence_id = $2 AND r.handler_id = $3", ARGS(INT8OID, INT8OID, INT4OID)
	};
	static Statement find_transition = {
		"SELECT h.transition FROM refundx.handler h WHERE h.handler_id = $1", ARGS(INT4OID)
	};
	HandlerError error = {
		.code = "57014",
		.message = "it did not stop at its time limit, and its process was ended",
		.timed_out = true
	};
	Values		v = {0};
	int			tries = 0;
	State		to;
	Handler		h;

	if (!handler_by_id(handler_id, &h))
		return;
	values_int4(&v, handler_id);
	if (statement_run(&find_transition, &v) != 1 || !state_from_name(row_text(0, 1), &to))
		return;
	values_reset(&v);
	values_int8(&v, run_id);
	values_int8(&v, evidence_id);
	values_int4(&v, handler_id);
	if (statement_run(&find_run, &v) == 1)
	{
		run_id = row_int8(0, 1);
		tries = row_int4(0, 2);
	}
	(void) record_failure(instruction_id, evidence_id, run_id, tries, to, &h, &error, evidence_id != 0 && h.required);
}
