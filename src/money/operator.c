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
#include "utils/array.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(refundx_desk_wake);
PG_FUNCTION_INFO_V1(refundx_desk_settle);

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
