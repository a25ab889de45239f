/*-------------------------------------------------------------------------
 *
 * row_find.c
 *	  Finding one row of a table of ours by a unique key, without a plan.
 *
 * A submit looks for a number, an account and a payee.  As SQL statements most of
 * what they cost would be the starting and ending of an executor.
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
#include "access/xact.h"
#include "base/relation.h"
#include "executor/spi.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

HeapTuple
row_find(const RowKey *key, const Datum *values)
{
	Relation	rel = table_open(relation_oid(key->table), AccessShareLock);
	Oid			index = relation_oid(key->index);
	ScanKeyData scan_key[ROW_KEYS_MAX];
	Snapshot	snapshot;
	SysScanDesc scan;
	HeapTuple	row;
	int			n;

	CommandCounterIncrement();	/* also what this statement has written */
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	for (n = 0; n < ROW_KEYS_MAX && key->part[n].column != NULL; n++)
		ScanKeyInit(&scan_key[n], SPI_fnumber(RelationGetDescr(rel), key->part[n].column),
					BTEqualStrategyNumber, key->part[n].equal, values[n]);
	scan = systable_beginscan(rel, index, true, snapshot, n, scan_key);
	row = systable_getnext(scan);
	if (HeapTupleIsValid(row))
		row = heap_copytuple(row);
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	return row;
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
