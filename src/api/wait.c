/*-------------------------------------------------------------------------
 *
 * wait.c
 *	  Waiting for a refund's outcome.
 *
 * A procedure, because whoever waits must not hold a transaction: it commits
 * after each look, so that the next one sees what has happened meanwhile, and
 * so that it holds up neither vacuum nor anybody's locks.  The settler wakes
 * it after each of its commits; the time-out of a second is for a settler
 * that is not there.
 *
 * src/api/wait.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/sql.h"

#include "access/htup_details.h"
#include "api/wait.h"
#include "base/errors.h"
#include "base/shmem.h"
#include "money/money.h"
#include "money/state.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define SLICE_MS		1000

PG_FUNCTION_INFO_V1(refundx_refund_wait);
PG_FUNCTION_INFO_V1(refundx_withdraw_wait);

static Datum wait_for(FunctionCallInfo fcinfo, ProductKind kind);
static char *look(ProductKind kind, const char *number);
static bool is_undecided(const char *state_text);
static void sleep_until_settled(DatabaseSlot *db, TimestampTz deadline);

/*
 * SQL: PROCEDURE refund_wait(refund_no text, timeout interval, INOUT state text)
 */
Datum
refundx_refund_wait(PG_FUNCTION_ARGS)
{
	return wait_for(fcinfo, PRODUCT_REFUND);
}

/*
 * SQL: PROCEDURE withdraw_wait(withdrawal_no text, timeout interval, INOUT state text)
 */
Datum
refundx_withdraw_wait(PG_FUNCTION_ARGS)
{
	return wait_for(fcinfo, PRODUCT_TRANSFER);
}

void
wait_refuse_in_transaction(FunctionCallInfo fcinfo, const char *procedure, ProductKind kind)
{
	if (!castNode(CallContext, fcinfo->context)->atomic)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
			 errmsg("%s cannot run inside a transaction block", procedure),
			 errdetail("The %s is sent after its transaction has committed, and what happens to it is seen by a new one only.",
					   product_name(kind)),
			 strcmp(procedure, "refund_now") == 0 ?
			 errhint("CALL refundx.refund_now() by itself; or call refundx.refund_submit() in your transaction, commit, then CALL refundx.refund_wait().") :
			 errhint("Commit first, then CALL refundx.%s() by itself.", procedure)));
}

static Datum
wait_for(FunctionCallInfo fcinfo, ProductKind kind)
{
	char	   *number = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	TimestampTz deadline = GetCurrentTimestamp();
	char	   *state;

	wait_refuse_in_transaction(fcinfo, kind == PRODUCT_REFUND ? "refund_wait" : "withdraw_wait", kind);
	argument_text(kind == PRODUCT_REFUND ? "refund_no" : "withdrawal_no", number, CHANNEL_NO_MAX);
	if (!PG_ARGISNULL(1))
		deadline = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
														   TimestampTzGetDatum(deadline),
														   PG_GETARG_DATUM(1)));
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	state = wait_until_decided(kind, number, deadline);
	SPI_finish();
	return wait_state_row(state);
}

char *
wait_until_decided(ProductKind kind, const char *number, TimestampTz deadline)
{
	DatabaseSlot *db = shmem_my_database();
	char	   *state;

	/* on the list before we look, so that no wake-up falls in between */
	if (db != NULL)
		ConditionVariablePrepareToSleep(&db->settled);
	for (;;)
	{
		state = look(kind, number);
		if (!is_undecided(state) || GetCurrentTimestamp() >= deadline)
			break;
		SPI_commit();
		SPI_start_transaction();	/* does nothing where SPI_commit() did it */
		sleep_until_settled(db, deadline);
	}
	ConditionVariableCancelSleep();
	return state;
}

static char *
look(ProductKind kind, const char *number)
{
	static Statement refund = {"SELECT refundx.refund_state($1)", ARGS(TEXTOID)};
	static Statement withdrawal = {"SELECT refundx.withdraw_state($1)", ARGS(TEXTOID)};
	Values		v = {0};

	values_text(&v, number);
	statement_run(kind == PRODUCT_REFUND ? &refund : &withdrawal, &v);
	if (row_null(0, 1))
		ereport(ERROR,
				(errcode(ERRCODE_RX_UNKNOWN_REFUND),
				 errmsg("%s \"%s\" does not exist", product_name(kind), number)));
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}

/* Abnormal, stopped and unapproved are open, but wait for a person: nobody should sit and wait too. */
static bool
is_undecided(const char *state_text)
{
	State		state;

	return state_from_name(state_text, &state) && state_is_open(state) && state != STATE_ABNORMAL &&
		state != STATE_STOPPED && state != STATE_AWAITING_APPROVAL;
}

static void
sleep_until_settled(DatabaseSlot *db, TimestampTz deadline)
{
	long		ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);

	ms = Max(1, Min(ms, SLICE_MS));
	if (db != NULL)
	{
		(void) ConditionVariableTimedSleep(&db->settled, ms, PG_WAIT_EXTENSION);
		return;
	}
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

Datum
wait_state_row(const char *state)
{
	TupleDesc	desc = CreateTemplateTupleDesc(1);
	Datum		value = CStringGetTextDatum(state);
	bool		null = false;

	TupleDescInitEntry(desc, 1, "state", TEXTOID, -1, 0);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), &value, &null));
}
