/*-------------------------------------------------------------------------
 *
 * row_find.c
 *	  Finding one row of a table of ours by a unique key, without a plan.
 *
 * A submit looks for a number, an account, its newest line and a payee.  As SQL
 * statements most of what they cost would be the starting and ending of an executor.
 *
 * src/base/row_find.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/row_find.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "base/relation.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* A table and its index, open. */
typedef struct Finder
{
	const RowKey *key;
	Relation	rel;
	Relation	index;
	int			nkeys;
	IndexScanDesc scan;
	TupleTableSlot *row;
} Finder;

#define KEPT_MAX	8

/* Finders that stay open while there is much to be found. */
static bool keeping = false;
static MemoryContext keep_memory = NULL;
static Finder kept[KEPT_MAX];
static int	nkept = 0;

/* `conditions` of the scan; 0: as many as the key has columns. */
static void
finder_open(Finder *f, const RowKey *key, Snapshot snapshot, int conditions)
{
	f->key = key;
	f->rel = table_open(relation_oid(key->table), AccessShareLock);
	f->index = index_open(relation_oid(key->index), AccessShareLock);
	for (f->nkeys = 0; f->nkeys < ROW_KEYS_MAX && key->part[f->nkeys].column != NULL; f->nkeys++)
		if (strcmp(key->part[f->nkeys].column,
				   NameStr(TupleDescAttr(RelationGetDescr(f->index), f->nkeys)->attname)) != 0)
			elog(ERROR, "refundx.%s is not by %s", key->index, key->part[f->nkeys].column);
	f->row = table_slot_create(f->rel, NULL);
	f->scan = compat_index_beginscan(f->rel, f->index, snapshot, conditions ? conditions : f->nkeys);
}

static void
finder_close(Finder *f)
{
	index_endscan(f->scan);
	ExecDropSingleTupleTableSlot(f->row);
	index_close(f->index, AccessShareLock);
	table_close(f->rel, AccessShareLock);
}

static Finder *
finder_of(const RowKey *key, Snapshot snapshot, Finder *own)
{
	MemoryContext here;
	int			i;

	for (i = 0; i < nkept; i++)
		if (kept[i].key == key)
			return &kept[i];
	if (!keeping || nkept == KEPT_MAX)
	{
		finder_open(own, key, snapshot, 0);
		return own;
	}
	here = MemoryContextSwitchTo(keep_memory);
	finder_open(&kept[nkept], key, snapshot, 0);
	MemoryContextSwitchTo(here);
	return &kept[nkept++];
}

void
row_find_keep(void)
{
	keeping = true;
	keep_memory = CurrentMemoryContext;
	nkept = 0;
}

void
row_find_keep_end(void)
{
	while (nkept > 0)
		finder_close(&kept[--nkept]);
	keeping = false;
}

void
row_find_keep_forget(void)
{
	keeping = false;
	nkept = 0;
}

/* The first row in this direction that the snapshot sees. */
static HeapTuple
find(const RowKey *key, const Datum *values, Snapshot snapshot, ScanDirection direction)
{
	Finder		own;
	Finder	   *f;
	ScanKeyData scan_key[ROW_KEYS_MAX];
	HeapTuple	row = NULL;
	int			i;

	snapshot = RegisterSnapshot(snapshot);
	f = finder_of(key, snapshot, &own);
	for (i = 0; i < f->nkeys; i++)
		ScanKeyInit(&scan_key[i], i + 1, BTEqualStrategyNumber, key->part[i].equal, values[i]);
	f->scan->xs_snapshot = snapshot;
	index_rescan(f->scan, scan_key, f->nkeys, NULL, 0);
	if (index_getnext_slot(f->scan, direction, f->row))
		row = ExecCopySlotHeapTuple(f->row);
	ExecClearTuple(f->row);
	UnregisterSnapshot(snapshot);
	if (f == &own)
		finder_close(f);
	return row;
}

HeapTuple
row_find(const RowKey *key, const Datum *values)
{
	CommandCounterIncrement();	/* also what this statement has written */
	return find(key, values, GetLatestSnapshot(), ForwardScanDirection);
}

HeapTuple
row_find_last(const RowKey *key, const Datum *values)
{
	CommandCounterIncrement();
	return find(key, values, IsolationUsesXactSnapshot() ? GetTransactionSnapshot() : GetLatestSnapshot(),
				BackwardScanDirection);
}

bool
row_find_between(const RowKey *key, const char *low, const char *high)
{
	Finder		f;
	ScanKeyData bound[2];
	Snapshot	snapshot;
	bool		found;

	CommandCounterIncrement();
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	finder_open(&f, key, snapshot, 2);
	ScanKeyInit(&bound[0], 1, BTGreaterEqualStrategyNumber, F_TEXT_GE, CStringGetTextDatum(low));
	ScanKeyInit(&bound[1], 1, BTLessEqualStrategyNumber, F_TEXT_LE, CStringGetTextDatum(high));
	index_rescan(f.scan, bound, 2, NULL, 0);
	found = index_getnext_slot(f.scan, ForwardScanDirection, f.row);
	ExecClearTuple(f.row);
	finder_close(&f);
	UnregisterSnapshot(snapshot);
	return found;
}

Datum
row_found(const RowKey *key, HeapTuple row, const char *column, bool *isnull)
{
	Relation	rel = table_open(relation_oid(key->table), AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	Datum		value = heap_getattr(row, SPI_fnumber(desc, column), desc, isnull);

	table_close(rel, AccessShareLock);
	return value;
}

int64
row_found_int8(const RowKey *key, HeapTuple row, const char *column)
{
	bool		isnull;

	return DatumGetInt64(row_found(key, row, column, &isnull));
}
