/*-------------------------------------------------------------------------
 *
 * row_bulk.c
 *	  Rows by the million, into a table of ours.
 *
 * As COPY does it: a thousand rows at a time are put on their pages together,
 * through a ring of buffers that leaves the cache to others, and then into the
 * indexes.  Memory is a batch's, whatever the number of rows, because nothing of
 * a row outlives its batch: a table with a trigger for each row is refused, as
 * an after-trigger's queue would grow with every one.
 *
 * A range index (BRIN) of a column that is the same in all rows is told of one row
 * on each page: of the others it would learn nothing.
 *
 * The columns' types are the caller's affair: a domain's CHECK would cost as much
 * as the row, so a column with a domain is refused as well.
 *
 * src/base/row_bulk.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/row_bulk.h"

#include "access/heapam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "base/pg_compat.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#define ROWS_MAX		1000
#define BATCH_BYTES		(64 * 1024)

struct RowBulk
{
	RowWriter	w;
	MemoryContext batch;		/* what the rows of the batch point into */
	BulkInsertState ring;
	bool		once_a_page;	/* for the indexes */
	BlockNumber indexed;		/* the last page that they were told of */
	int			n;
	size_t		bytes;
	uint64		total;
	TupleTableSlot *current;	/* begun, and not whole yet */
	TupleTableSlot *row[ROWS_MAX];	/* made when first needed */
};

/* Are all indexes of ranges, over the target's first column, which the rows share? */
static bool
ranges_only(const RowWriter *w)
{
	int			i;

	for (i = 0; i < w->result->ri_NumIndices; i++)
	{
		Relation	index = w->result->ri_IndexRelationDescs[i];
		IndexInfo  *info = w->result->ri_IndexRelationInfo[i];

		if (index->rd_rel->relam != BRIN_AM_OID || info->ii_NumIndexAttrs != 1 ||
			info->ii_IndexAttrNumbers[0] != w->target->attnum[0] || info->ii_Predicate != NIL)
			return false;
	}
	return true;
}

static void
refuse_what_costs(const RowWriter *w)
{
	const TriggerDesc *triggers = w->result->ri_TrigDesc;
	int			i;

	if (triggers != NULL && (triggers->trig_insert_before_row || triggers->trig_insert_after_row))
		elog(ERROR, "refundx.%s has a trigger for each row that is inserted", w->target->table);
	for (i = 0; w->target->column[i] != NULL; i++)
		if (OidIsValid(w->target->domain[i]))
			elog(ERROR, "refundx.%s.%s is of a domain", w->target->table, w->target->column[i]);
}

RowBulk *
row_bulk_begin(RowTarget *t)
{
	RowBulk    *b = palloc0(sizeof(RowBulk));
	MemoryContext here = CurrentMemoryContext;

	row_writer_begin(&b->w, t, false);
	b->batch = AllocSetContextCreate(CurrentMemoryContext, "refundx rows", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(here);
	refuse_what_costs(&b->w);
	b->ring = GetBulkInsertState();
	b->once_a_page = ranges_only(&b->w);
	b->indexed = InvalidBlockNumber;
	return b;
}

static void
index_rows(RowBulk *b)
{
	RowWriter  *w = &b->w;
	int			i;

	for (i = 0; i < b->n; i++)
	{
		TupleTableSlot *row = b->row[i];

		if (w->result->ri_NumIndices > 0 &&
			!(b->once_a_page && ItemPointerGetBlockNumber(&row->tts_tid) == b->indexed))
		{
			list_free(compat_insert_index_tuples(w->result, row, w->estate, false, NULL, NIL));
			b->indexed = ItemPointerGetBlockNumber(&row->tts_tid);
		}
		ExecClearTuple(row);
	}
	ResetPerTupleExprContext(w->estate);
}

static void
write_batch(RowBulk *b)
{
	MemoryContext here;

	if (b->n == 0)
		return;
	CHECK_FOR_INTERRUPTS();
	here = MemoryContextSwitchTo(b->batch);
	table_multi_insert(b->w.rel, b->row, b->n, b->w.estate->es_output_cid, 0, b->ring);
	MemoryContextSwitchTo(b->w.estate->es_query_cxt);
	index_rows(b);
	MemoryContextSwitchTo(here);
	MemoryContextReset(b->batch);
	b->n = 0;
	b->bytes = 0;
}

/* The row that was begun last is whole. */
static void
finish_row(RowBulk *b)
{
	TupleTableSlot *row = b->current;

	if (row == NULL)
		return;
	ExecStoreVirtualTuple(row);
	if (RelationGetDescr(b->w.rel)->constr)
		ExecConstraints(b->w.result, row, b->w.estate);
	b->n++;
	b->total++;
	b->current = NULL;
}

void
row_bulk_next(RowBulk *b)
{
	int			natts = RelationGetDescr(b->w.rel)->natts;
	TupleTableSlot *row;

	finish_row(b);
	if (b->n == ROWS_MAX || b->bytes >= BATCH_BYTES)
		write_batch(b);
	if (b->row[b->n] == NULL)
	{
		MemoryContext here = MemoryContextSwitchTo(b->w.estate->es_query_cxt);

		b->row[b->n] = MakeSingleTupleTableSlot(RelationGetDescr(b->w.rel), &TTSOpsVirtual);
		MemoryContextSwitchTo(here);
	}
	row = b->row[b->n];
	memset(row->tts_isnull, true, natts * sizeof(bool));
	b->current = row;
}

void
row_bulk_value(RowBulk *b, int column, Datum value)
{
	int			at = b->w.target->attnum[column] - 1;

	b->current->tts_values[at] = value;
	b->current->tts_isnull[at] = false;
	b->bytes += 8;
}

/* With the short header that it has on the page, so that it is copied there as it is. */
void
row_bulk_text(RowBulk *b, int column, const char *s)
{
	size_t		len = s != NULL ? strlen(s) : 0;
	char	   *value;

	if (len == 0)
		return;
	if (len + VARHDRSZ_SHORT > VARATT_SHORT_MAX)
		elog(ERROR, "a text of %zu bytes is too long here", len);
	value = MemoryContextAlloc(b->batch, len + VARHDRSZ_SHORT);
	SET_VARSIZE_SHORT(value, len + VARHDRSZ_SHORT);
	memcpy(value + VARHDRSZ_SHORT, s, len);
	row_bulk_value(b, column, PointerGetDatum(value));
	b->bytes += len;
}

uint64
row_bulk_end(RowBulk *b)
{
	uint64		total;
	int			i;

	finish_row(b);
	write_batch(b);
	FreeBulkInsertState(b->ring);
	for (i = 0; i < ROWS_MAX && b->row[i] != NULL; i++)
		ExecDropSingleTupleTableSlot(b->row[i]);
	total = b->total;
	MemoryContextDelete(b->batch);
	row_writer_end(&b->w);
	pfree(b);
	CommandCounterIncrement();
	return total;
}
