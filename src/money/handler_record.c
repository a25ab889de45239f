/*-------------------------------------------------------------------------
 *
 * handler_record.c
 *	  What the runner reads and writes of handlers and their calls.
 *
 * A row of refundx.handler_run is there only for what is not done with the
 * settlement: it is inserted when a call fails or is put off, and closed when it has
 * succeeded or is waived.  How often and when it is tried again is decided here.
 *
 * src/money/handler_record.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/handler_run.h"

#include "base/clock.h"
#include "money/incident.h"
#include "money/money.h"
#include "utils/timestamp.h"

#define BACKOFF_MAX_US		(INT64CONST(3600) * USECS_PER_SEC)
#define TRANSIENT_MAX_US	(INT64CONST(60) * USECS_PER_SEC)

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

Handler *
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

bool
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

void
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

Run *
runs_of_evidence(int64 evidence_id, int *n)
{
	static Statement find = {
		"SELECT " RUN_COLUMNS " FROM refundx.handler_run r JOIN refundx.handler h USING (handler_id)"
		" WHERE r.evidence_id = $1 AND h.removed_at IS NULL ORDER BY r.run_id FOR NO KEY UPDATE OF r",
		ARGS(INT8OID)
	};
	Values		v = {0};
	Run		   *runs;
	int			i;

	values_int8(&v, evidence_id);
	*n = (int) statement_run(&find, &v);
	runs = palloc0(Max(*n, 1) * sizeof(Run));
	for (i = 0; i < *n; i++)
		run_from_row(&runs[i], i);
	return runs;
}

bool
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

void
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

void
record_put_off(int64 instruction_id, int64 evidence_id, State to, const Handler *h,
			   bool blocks, const char *state, TimestampTz next_at)
{
	static Statement put_off = {
		"INSERT INTO refundx.handler_run AS r (instruction_id, transition, handler_id, evidence_id, blocks, state, next_at)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7)"
		" ON CONFLICT (evidence_id, handler_id) DO UPDATE"
		"   SET state = excluded.state, next_at = excluded.next_at, blocks = excluded.blocks",
		ARGS(INT8OID, TEXTOID, INT4OID, INT8OID, BOOLOID, TEXTOID, TIMESTAMPTZOID)
	};
	Values		v = {0};

	values_int8(&v, instruction_id);
	values_text(&v, state_name(to));
	values_int4(&v, h->handler_id);
	values_int8(&v, evidence_id);
	values_bool(&v, blocks);
	values_text(&v, state);
	values_time(&v, next_at);
	statement_run(&put_off, &v);
}

void
record_pointless(int64 instruction_id, int64 evidence_id, bool moved)
{
	static Statement close = {
		"UPDATE refundx.handler_run r SET state = 'waived', next_at = NULL, closed_at = clock_timestamp(),"
		"       closed_by = session_user,"
		"       reason = CASE WHEN h.removed_at IS NULL THEN 'the transition did not take place' ELSE 'the handler was removed' END"
		"  FROM refundx.handler h"
		" WHERE r.instruction_id = $1 AND r.is_open AND h.handler_id = r.handler_id"
		"   AND (h.removed_at IS NOT NULL OR r.evidence_id = $2 AND (r.blocks OR NOT $3))",
		ARGS(INT8OID, INT8OID, BOOLOID)
	};
	Values		v = {0};

	values_int8(&v, instruction_id);
	values_int8(&v, evidence_id);
	values_bool(&v, moved);
	statement_run(&close, &v);
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

TimestampTz
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
 * What may have taken the server down
 * ------------------------------------------------------------------------
 */

static Statement begun_evidence = {
	"UPDATE refundx.handed SET begun = CASE WHEN $2 THEN least(begun + 1, $3) ELSE 0 END"
	" WHERE evidence_id = $1 RETURNING begun", ARGS(INT8OID, BOOLOID, INT4OID)
};
static Statement begun_run = {
	"UPDATE refundx.handler_run SET begun = CASE WHEN $2 THEN least(begun + 1, $3) ELSE 0 END"
	" WHERE run_id = $1 AND is_open RETURNING begun", ARGS(INT8OID, BOOLOID, INT4OID)
};

int
record_begun(const RunItem *item, bool up)
{
	Values		v = {0};

	values_int8(&v, item->evidence_id != 0 ? item->evidence_id : item->run_id);
	values_bool(&v, up);
	values_int4(&v, HANDLED_BEGUN_MAX + 2);
	return statement_run(item->evidence_id != 0 ? &begun_evidence : &begun_run, &v) == 1 ? row_int4(0, 1) : 0;
}
