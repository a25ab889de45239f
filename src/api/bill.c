/*-------------------------------------------------------------------------
 *
 * bill.c
 *	  How far the workers are with the bills that they fetch and read.
 *
 * src/api/bill.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/pg_compat.h"

#include "base/shmem.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(refundx_bill_progress);

static void
put_progress(ReturnSetInfo *rsinfo, const char *doing, BillProgress *p)
{
	bool		nulls[3] = {false};
	uint64		bill_id = pg_atomic_read_u64(&p->bill_id);
	Datum		values[3] = {
		Int64GetDatum((int64) bill_id), CStringGetTextDatum(doing), Int64GetDatum((int64) pg_atomic_read_u64(&p->done))
	};

	if (bill_id != 0)
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* SQL: bill_progress(); of a worker that is not there nothing is said. */
Datum
refundx_bill_progress(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	DatabaseSlot *db = shmem_my_database();
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	if (db == NULL)
		return (Datum) 0;
	if (db->worker[WORKER_CLERK].pid != 0)
		put_progress(rsinfo, "reading", &db->reading);
	for (i = 0; db->worker[WORKER_DISPATCHER].pid != 0 && i < BILLS_AT_ONCE; i++)
		put_progress(rsinfo, "fetching", &db->fetching[i]);
	return (Datum) 0;
}
