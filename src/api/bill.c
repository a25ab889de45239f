/*-------------------------------------------------------------------------
 *
 * bill.c
 *	  What there is to know about bills without reading a table: the kinds that
 *	  channels make, and how far the workers are with one.
 *
 * src/api/bill.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/pg_compat.h"

#include "base/shmem.h"
#include "channel/bill.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(refundx_bill_kinds);
PG_FUNCTION_INFO_V1(refundx_bill_progress);

static Datum
seconds(int64 s)
{
	Interval   *i = palloc0(sizeof(Interval));

	i->time = s * USECS_PER_SEC;
	return IntervalPGetDatum(i);
}

static void
put_kind(ReturnSetInfo *rsinfo, const char *channel_kind, const ChannelBill *b)
{
	bool		nulls[12] = {false};
	Datum		values[12] = {
		CStringGetTextDatum(channel_kind), CStringGetTextDatum(b->kind), CStringGetTextDatum(b->label),
		BoolGetDatum(b->has_refunds), BoolGetDatum(b->has_transfers), BoolGetDatum(b->is_ledger),
		BoolGetDatum(b->ask != NULL), seconds(b->utc_offset), seconds(b->ready_at), seconds(b->retry_after),
		Int32GetDatum(b->max_age_days), Int32GetDatum(b->delay_days)
	};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* SQL: bill_kinds() */
Datum
refundx_bill_kinds(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const Channel *channel;
	const ChannelBill *b;
	int			i,
				k;

	InitMaterializedSRF(fcinfo, 0);
	for (i = 0; (channel = channel_at(i)) != NULL; i++)
		for (k = 0; (b = channel_bill_at(channel->kind, k)) != NULL; k++)
			put_kind(rsinfo, channel->kind, b);
	return (Datum) 0;
}

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
