/*-------------------------------------------------------------------------
 *
 * handler.c
 *	  Handlers, as every session sees them: which transitions they follow.
 *
 * The settler asks that for each transition that it is about to make, and a
 * session for each cancel.  The answer is a bit of a mask which is remembered
 * until refundx.handler changes: where there are no handlers, nothing is asked.
 * As with channels (channel_facts.c), who changes the table sends a relation-cache
 * invalidation, and what an invalidation has overtaken is not remembered.
 *
 * src/money/handler.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/handler.h"

#include "base/errors.h"
#include "base/memo.h"
#include "base/shmem.h"
#include "commands/trigger.h"
#include "money/money.h"
#include "money/notices.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(refundx_handler_running);
PG_FUNCTION_INFO_V1(refundx_not_in_handler);
PG_FUNCTION_INFO_V1(refundx_handlers_changed);
PG_FUNCTION_INFO_V1(refundx_handler_release);

static bool known = false;
static uint32 followed[PRODUCT_COUNT];	/* a bit for each state */

static void
forget(void)
{
	known = false;
}

static Memo handlers = {"handler", forget};

/*
 * With the latest snapshot: a handler is one for all, also for who has an older one.
 */
static void
read_followed(void)
{
	static Statement find = {
		"SELECT h.about, h.transition FROM refundx.handler h WHERE h.removed_at IS NULL", NO_ARGS
	};
	uint64		before;
	uint64		n;
	uint64		row;

	before = memo_read(&handlers);
	PushActiveSnapshot(GetLatestSnapshot());
	n = statement_read(&find, NULL);
	PopActiveSnapshot();
	memset(followed, 0, sizeof(followed));
	for (row = 0; row < n; row++)
	{
		ProductKind about;
		State		state;

		if (!product_from_name(row_text(row, 1), &about) || !state_from_name(row_text(row, 2), &state))
			elog(ERROR, "a handler follows something unknown");
		followed[about] |= 1u << state;
	}
	known = before == memo_changes(&handlers);
}

bool
handlers_follow(ProductKind about, State to)
{
	if (!known)
		read_followed();
	return (followed[about] & (1u << to)) != 0;
}

bool
handlers_any(void)
{
	int			about;

	if (!known)
		read_followed();
	for (about = 0; about < PRODUCT_COUNT; about++)
		if (followed[about] != 0)
			return true;
	return false;
}

uint64
handlers_revision(void)
{
	return memo_changes(&handlers);
}

/* Of handlers that were removed, something may be left. */
bool
handlers_need_runner(void)
{
	static Statement find = {
		"SELECT EXISTS (SELECT FROM refundx.handed) OR EXISTS (SELECT FROM refundx.handler_run WHERE is_open)",
		NO_ARGS
	};

	if (handlers_any())
		return true;
	statement_run(&find, NULL);
	return row_bool(0, 1);
}

/*
 * The session's own transaction does not call them: it is somebody else's, with their
 * role and their patience.  The runner does, in a transaction of its own, once this
 * one has committed.
 */
void
handlers_after(int64 instruction_id, ProductKind about, State to)
{
	static Statement due = {
		"INSERT INTO refundx.handler_run (instruction_id, transition, handler_id, blocks, state, next_at)"
		" SELECT $1, h.transition, h.handler_id, false, 'due', clock_timestamp()"
		"   FROM refundx.handler h"
		"  WHERE h.about = $2 AND h.transition = $3 AND h.removed_at IS NULL"
		"  ORDER BY h.handler_id", ARGS(INT8OID, TEXTOID, TEXTOID)
	};
	Values		v = {0};

	if (!handlers_follow(about, to))
		return;
	values_int8(&v, instruction_id);
	values_text(&v, product_name(about));
	values_text(&v, state_name(to));
	statement_run(&due, &v);
	wake_at_commit(WORKER_SETTLER);	/* which has a runner started if there is none */
	wake_at_commit(WORKER_RUNNER);
}

void
handler_refuse(const char *function)
{
	if (!handler_running())
		return;
	ereport(ERROR,
			(errcode(ERRCODE_RX_IN_HANDLER),
			 errmsg("refundx.%s cannot be called in a handler", function),
			 errdetail("It is an operator's: a person's decision, for a reason."),
			 errhint("Keep in a table of your own what is to be done, and do it in a session of its own.")));
}

/* SQL: handler_running() returns boolean */
Datum
refundx_handler_running(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(handler_running());
}

/* SQL: not_in_handler(function text) returns void */
Datum
refundx_not_in_handler(PG_FUNCTION_ARGS)
{
	handler_refuse(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_VOID();
}

/* Trigger, after any statement that may have changed refundx.handler or refundx.handler_run. */
Datum
refundx_handlers_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "refundx.handlers_changed is a trigger function");
	if (strcmp(RelationGetRelationName(trigger->tg_relation), "handler") == 0)
	{
		CacheInvalidateRelcache(trigger->tg_relation);
		wake_at_commit(WORKER_SETTLER);
	}
	wake_at_commit(WORKER_RUNNER);
	PG_RETURN_POINTER(NULL);
}

/* SQL: handler_release(instruction_id bigint, transition text) returns void */
Datum
refundx_handler_release(PG_FUNCTION_ARGS)
{
	SPI_connect();
	notices_after_handlers(PG_GETARG_INT64(0), text_to_cstring(PG_GETARG_TEXT_PP(1)));
	SPI_finish();
	PG_RETURN_VOID();
}
