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
#include "money/handler.h"

#include "access/xact.h"
#include "base/clock.h"
#include "money/evidence.h"
#include "money/guard.h"
#include "money/incident.h"
#include "money/money.h"
#include "money/notices.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#define BACKOFF_MAX_US		(INT64CONST(3600) * USECS_PER_SEC)
#define TRANSIENT_MAX_US	(INT64CONST(60) * USECS_PER_SEC)

#define RUN_COLUMNS "r.run_id, r.handler_id, r.state, r.is_open, r.blocks, r.tries, r.next_at"

/* A row of refundx.handler_run. */
typedef struct Run
{
	int64		run_id;
	int32		handler_id;
	char	   *state;
	bool		is_open;
	bool		blocks;
	int			tries;
	TimestampTz next_at;		/* 0 = when a person says so */
} Run;

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
static Statement begun_evidence = {
	"UPDATE refundx.handed SET begun = CASE WHEN $2 THEN begun + 1 ELSE 0 END"
	" WHERE evidence_id = $1 AND (begun <= $3 OR NOT $2) RETURNING begun", ARGS(INT8OID, BOOLOID, INT4OID)
};
static Statement begun_run = {
	"UPDATE refundx.handler_run SET begun = CASE WHEN $2 THEN begun + 1 ELSE 0 END"
	" WHERE run_id = $1 AND is_open AND (begun <= $3 OR NOT $2) RETURNING begun", ARGS(INT8OID, BOOLOID, INT4OID)
};

static bool
count_begun(const RunItem *item, bool up)
{
	Values		v = {0};

	values_int8(&v, item->evidence_id != 0 ? item->evidence_id : item->run_id);
	values_bool(&v, up);
	values_int4(&v, HANDLED_BEGUN_MAX);
	return statement_run(item->evidence_id != 0 ? &begun_evidence : &begun_run, &v) == 1 &&
		row_int4(0, 1) <= HANDLED_BEGUN_MAX;
}

bool
handler_run_begin(const RunItem *item)
{
	static Statement give_up = {
		"UPDATE refundx.handler_run SET state = 'with_person', next_at = NULL, code = '57P02',"
		"       message = 'the server, or the runner, died each time when it was called'"
		" WHERE run_id = $1 AND is_open", ARGS(INT8OID)
	};
	Values		v = {0};

	if (count_begun(item, true))
		return true;
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
		(void) count_begun(item, false);	/* it has come to an end, if this commits */
	if (item->evidence_id != 0)
		run_settlement(item, result);
	else
		run_call(item, result);
}

static void
later(RunResult *result, TimestampTz next_at)
{
	result->outcome = RUN_LATER;
	result->next_at = next_at;
}

/* ------------------------------------------------------------------------
 * Handlers and runs, read
 * ------------------------------------------------------------------------
 */

#define HANDLER_COLUMNS \
	"h.handler_id, h.about, h.function_schema, h.function_name, h.role, h.mode = 'required'," \
	" (extract(epoch FROM h.time_limit) * 1000)::int, (extract(epoch FROM h.lock_limit) * 1000)::int," \
	" h.retries, (extract(epoch FROM h.backoff) * 1000000)::int8, h.paused IS NOT NULL"

static void
handler_from_row(Handler *h, uint64 row)
{
	h->handler_id = row_int4(row, 1);
	if (!product_from_name(row_text(row, 2), &h->about))
		elog(ERROR, "handler %d follows something unknown", h->handler_id);
	h->function_schema = row_text(row, 3);
	h->function_name = row_text(row, 4);
	h->role = row_text(row, 5);
	h->required = row_bool(row, 6);
	h->time_limit_ms = row_int4(row, 7);
	h->lock_limit_ms = row_int4(row, 8);
	h->retries = row_int4(row, 9);
	h->backoff_us = row_int8(row, 10);
	h->paused = row_bool(row, 11);
}

/* Those that follow it, in the order in which they are called. */
static Handler *
handlers_of(int64 instruction_id, State to, int *n)
{
	static Statement find = {
		"SELECT " HANDLER_COLUMNS
		"  FROM refundx.instruction i JOIN refundx.handler h ON h.about = i.kind"
		" WHERE i.instruction_id = $1 AND h.transition = $2 AND h.removed_at IS NULL"
		" ORDER BY h.handler_id", ARGS(INT8OID, TEXTOID)
	};
	Values		v = {0};
	Handler    *h;
	int			i;

	values_int8(&v, instruction_id);
	values_text(&v, state_name(to));
	*n = (int) statement_run(&find, &v);
	h = palloc0(Max(*n, 1) * sizeof(Handler));
	for (i = 0; i < *n; i++)
		handler_from_row(&h[i], i);
	return h;
}

static bool
handler_by_id(int32 handler_id, Handler *h)
{
	static Statement find = {
		"SELECT " HANDLER_COLUMNS " FROM refundx.handler h WHERE h.handler_id = $1 AND h.removed_at IS NULL",
		ARGS(INT4OID)
	};
	Values		v = {0};

	values_int4(&v, handler_id);
	if (statement_run(&find, &v) != 1)
		return false;
	handler_from_row(h, 0);
	return true;
}

static void
run_from_row(Run *r, uint64 row)
{
	r->run_id = row_int8(row, 1);
	r->handler_id = row_int4(row, 2);
	r->state = row_text(row, 3);
	r->is_open = row_bool(row, 4);
	r->blocks = row_bool(row, 5);
	r->tries = row_int4(row, 6);
	r->next_at = row_time(row, 7);
}

/* Locked: a person who retries or waives one waits for what comes of it. */
static void
runs_of_evidence(Settlement *s)
{
	static Statement find = {
		"SELECT " RUN_COLUMNS " FROM refundx.handler_run r WHERE r.evidence_id = $1 ORDER BY r.run_id FOR NO KEY UPDATE",
		ARGS(INT8OID)
	};
	Values		v = {0};
	int			i;

	values_int8(&v, s->evidence_id);
	s->nruns = (int) statement_run(&find, &v);
	s->runs = palloc0(Max(s->nruns, 1) * sizeof(Run));
	for (i = 0; i < s->nruns; i++)
		run_from_row(&s->runs[i], i);
}

static Run *
run_of_handler(const Settlement *s, int32 handler_id)
{
	int			i;

	for (i = 0; i < s->nruns; i++)
		if (s->runs[i].handler_id == handler_id)
			return &s->runs[i];
	return NULL;
}

/* A call of this instruction that comes before this run, or before this evidence. */
static bool
earlier_open(int64 instruction_id, int64 run_id, int64 evidence_id)
{
	static Statement find = {
		"SELECT FROM refundx.handler_run r"
		" WHERE r.instruction_id = $1 AND r.is_open AND ($2 = 0 OR r.run_id < $2)"
		"   AND ($3 = 0 OR r.evidence_id IS DISTINCT FROM $3) LIMIT 1", ARGS(INT8OID, INT8OID, INT8OID)
	};
	Values		v = {0};

	values_int8(&v, instruction_id);
	values_int8(&v, run_id);
	values_int8(&v, evidence_id);
	return statement_run(&find, &v) > 0;
}

/* ------------------------------------------------------------------------
 * What comes of a call, written
 * ------------------------------------------------------------------------
 */

static void
note_event(int64 instruction_id, const char *type, const Handler *h, const char *more)
{
	event_add(instruction_id, type, NULL, NULL,
			  psprintf("%s.%s%s%s", h->function_schema, h->function_name, more ? ": " : "", more ? more : ""));
}

static void
record_success(int64 instruction_id, int64 run_id, const Handler *h)
{
	static Statement close = {
		"UPDATE refundx.handler_run SET state = 'succeeded', next_at = NULL, closed_at = clock_timestamp(), blocks = false"
		" WHERE run_id = $1", ARGS(INT8OID)
	};
	Values		v = {0};

	if (run_id != 0)
	{
		values_int8(&v, run_id);
		statement_run(&close, &v);
	}
	note_event(instruction_id, "handled", h, NULL);
}

/* It is not called now, and nothing is wrong with it. */
static void
record_put_off(const Settlement *s, const Handler *h, bool blocks, const char *state, TimestampTz next_at)
{
	static Statement put_off = {
		"INSERT INTO refundx.handler_run AS r (instruction_id, transition, handler_id, evidence_id, blocks, state, next_at)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7)"
		" ON CONFLICT (evidence_id, handler_id) DO UPDATE"
		"   SET state = excluded.state, next_at = excluded.next_at, blocks = excluded.blocks",
		ARGS(INT8OID, TEXTOID, INT4OID, INT8OID, BOOLOID, TEXTOID, TIMESTAMPTZOID)
	};
	Values		v = {0};

	values_int8(&v, s->instruction_id);
	values_text(&v, state_name(s->to));
	values_int4(&v, h->handler_id);
	values_int8(&v, s->evidence_id);
	values_bool(&v, blocks);
	values_text(&v, state);
	values_time(&v, next_at);
	statement_run(&put_off, &v);
}

/*
 * While its settlement waits there is nothing to ask the channel about: it has
 * spoken.  When all tries are used up the instruction is with a person.
 */
static void
instruction_waits(int64 instruction_id, const Handler *h, const HandlerError *e, bool person)
{
	static Statement wait = {
		"WITH l AS (SELECT instruction_id FROM refundx.instruction WHERE instruction_id = $1 AND is_open"
		"              FOR NO KEY UPDATE SKIP LOCKED)"
		" UPDATE refundx.instruction i"
		"    SET due_at = NULL, due_call = NULL,"
		"        person_reason = CASE WHEN $2 THEN $3 ELSE i.person_reason END,"
		"        person_suggestion = CASE WHEN $2 THEN $4 ELSE i.person_suggestion END,"
		"        person_since = CASE WHEN $2 THEN clock_timestamp() ELSE i.person_since END"
		"   FROM l WHERE i.instruction_id = l.instruction_id", ARGS(INT8OID, BOOLOID, TEXTOID, TEXTOID)
	};
	Values		v = {0};

	values_int8(&v, instruction_id);
	values_bool(&v, person);
	values_text(&v, psprintf("the channel has answered, but the handler %s.%s fails: %s (%s)",
							 h->function_schema, h->function_name, e->message, e->code));
	values_text(&v, "Mend the cause, then call refundx.handler_retry(number, reason); refundx.handler_waive(number, reason) settles without it.");
	statement_run(&wait, &v);
}

/* Returns when it is tried again; 0 = when a person says so. */
static TimestampTz
record_failure(int64 instruction_id, int64 evidence_id, int64 run_id, int tries, State to,
			   const Handler *h, const HandlerError *e, bool blocks)
{
	static Statement insert = {
		"INSERT INTO refundx.handler_run AS r (instruction_id, transition, handler_id, evidence_id, blocks, state,"
		"       tries, next_at, code, message, context, first_failed_at, failed_at)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, clock_timestamp(), clock_timestamp())",
		ARGS(INT8OID, TEXTOID, INT4OID, INT8OID, BOOLOID, TEXTOID, INT4OID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID)
	};
	static Statement update = {
		"UPDATE refundx.handler_run"
		"   SET blocks = $2, state = $3, tries = $4, next_at = $5, code = $6, message = $7, context = $8,"
		"       first_failed_at = coalesce(first_failed_at, clock_timestamp()), failed_at = clock_timestamp()"
		" WHERE run_id = $1",
		ARGS(INT8OID, BOOLOID, TEXTOID, INT4OID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID)
	};
	bool		person = !e->transient && ++tries > h->retries;
	int64		pause = h->backoff_us;
	int64		longest = e->transient ? TRANSIENT_MAX_US : BACKOFF_MAX_US;
	TimestampTz next_at = 0;
	Values		v = {0};
	int			i;

	if (e->transient)
		tries++;
	for (i = 1; i < tries && pause < longest; i++)
		pause *= 2;
	if (!person)
		next_at = clock_now() + Min(pause, longest);

	if (run_id != 0)
		values_int8(&v, run_id);
	else
	{
		values_int8(&v, instruction_id);
		values_text(&v, state_name(to));
		values_int4(&v, h->handler_id);
		values_int8(&v, evidence_id);
	}
	values_bool(&v, blocks);
	values_text(&v, person ? "with_person" : "retrying");
	values_int4(&v, tries);
	values_time(&v, next_at);
	values_text(&v, e->code);
	values_text(&v, e->message);
	values_text(&v, e->context);
	statement_run(run_id != 0 ? &update : &insert, &v);

	/* the first time, and when it is given up: in between the view says it */
	if (run_id == 0 || tries == 1 || person)
	{
		note_event(instruction_id, "handler_failed", h, psprintf("%s (%s)", e->message, e->code));
		incident_add(&(Incident) {
			.kind = "handler_failed",
			.instruction_id = instruction_id,
			.subject = psprintf("%s.%s", h->function_schema, h->function_name),
			.sqlstate = e->code,
			.reason = e->message,
			.done = person ? "not called again by itself: refundx.handler_retry() or handler_waive()" :
				blocks ? "undone with the settlement; tried again" : "undone; the settlement stands; tried again"
		});
	}
	if (blocks)
		instruction_waits(instruction_id, h, e, person);
	return next_at;
}

/* ------------------------------------------------------------------------
 * A settlement
 * ------------------------------------------------------------------------
 */

/* The oldest of the instruction, unless this very piece is gone; 0 = it is. */
static int64
next_evidence(const RunItem *item)
{
	static Statement find = {
		"SELECT min(h.evidence_id), bool_or(h.evidence_id = $2) FROM refundx.handed h WHERE h.instruction_id = $1",
		ARGS(INT8OID, INT8OID)
	};
	Values		v = {0};

	values_int8(&v, item->instruction_id);
	values_int8(&v, item->evidence_id);
	statement_run(&find, &v);
	return row_bool(0, 2) ? row_int8(0, 1) : 0;
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

	s.evidence_id = next_evidence(item);
	if (s.evidence_id == 0)
		return;					/* with an older item of the list */
	if (!guard_lock_again(s.instruction_id))
	{
		result->outcome = RUN_LOCKED;
		return;
	}
	runs_of_evidence(&s);
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
		record_put_off(&s, s.failed, true, s.put_off, 0);
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
		notices_after_handlers(s->instruction_id, state_name(s->to));
	}
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
			record_put_off(s, h, false, h->paused ? "paused" : "due", h->paused ? 0 : Max(rests, clock_now()));
			return true;
		}
		later(s->result, h->paused || s->behind ? 0 : rests);
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
		"UPDATE refundx.handler_run SET state = 'paused', next_at = NULL WHERE run_id = $1", ARGS(INT8OID)
	};
	Values		v = {0};

	values_int8(&v, run_id);
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
		return;
	if (h.paused)
	{
		pause_run(c.run.run_id);
		later(result, 0);
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
