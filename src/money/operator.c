/*-------------------------------------------------------------------------
 *
 * operator.c
 *	  What the operator's desk (src/sql/43_desk.sql) needs of C.
 *
 * A person's word is evidence like any other: it is written down, and the same
 * settle function weighs it, in the operator's own session.  Who calls this has
 * locked payment, instruction and account, so that nothing is passed over.
 *
 * src/money/operator.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/evidence.h"

#include "base/shmem.h"
#include "catalog/pg_type.h"
#include "money/journal.h"
#include "utils/array.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(refundx_desk_wake);
PG_FUNCTION_INFO_V1(refundx_desk_settle);
PG_FUNCTION_INFO_V1(refundx_desk_gather);
PG_FUNCTION_INFO_V1(refundx_desk_suspense_in);

/* SQL: desk_wake() returns void */
Datum
refundx_desk_wake(PG_FUNCTION_ARGS)
{
	wake_at_commit(WORKER_DISPATCHER);
	wake_at_commit(WORKER_SETTLER);
	wake_at_commit(WORKER_COURIER);
	PG_RETURN_VOID();
}

/* SQL: desk_settle(evidence bigint[]) returns int */
Datum
refundx_desk_settle(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	Datum	   *ids;
	bool	   *nulls;
	int			n;
	int			i;
	int			waiting;
	Column		column;
	SettleResult result;

	deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &ids, &nulls, &n);
	SPI_connect();
	column_init(&column, INT8OID);
	for (i = 0; i < n; i++)
		if (!nulls[i])
			column_int8(&column, DatumGetInt64(ids[i]));
	settle(&column, &result);
	waiting = result.waiting.n;
	SPI_finish();
	PG_RETURN_INT32(waiting);
}

/*
 * SQL: desk_gather(account_id bigint, slot_id bigint, amount bigint) returns void
 *
 * Before something is taken from a slot that the whole account may have: move there
 * what it lacks, from the other slots, all of which the caller has locked.
 */
Datum
refundx_desk_gather(PG_FUNCTION_ARGS)
{
	int64		account_id = PG_GETARG_INT64(0);

	SPI_connect();
	if (journal_has_slots(account_id))
		(void) journal_gather(account_id, PG_GETARG_INT64(1), PG_GETARG_INT64(2));
	SPI_finish();
	PG_RETURN_VOID();
}

/* SQL: desk_suspense_in(account_id bigint, amount bigint, reference text, note text) returns void */
Datum
refundx_desk_suspense_in(PG_FUNCTION_ARGS)
{
	SPI_connect();
	journal_post(PG_GETARG_INT64(0), JOURNAL_SUSPENSE_IN, PG_GETARG_INT64(1), 0,
				 text_to_cstring(PG_GETARG_TEXT_PP(2)), text_to_cstring(PG_GETARG_TEXT_PP(3)));
	SPI_finish();
	PG_RETURN_VOID();
}
