/*-------------------------------------------------------------------------
 *
 * row_list.c
 *	  Rows of a list, written together.
 *
 * A list of a thousand withdrawals writes four thousand rows.  Written one by
 * one, each of them finds its page, locks it, makes a WAL record and is a
 * command of its own.  Here they are put on their pages together, as COPY does
 * it, a hundred at a time.
 *
 * What concerns the row alone is done when it is added: types, triggers before
 * it, CHECKs.  So an ERROR comes while the caller can still say which entry of
 * the list is wrong; except for a unique key, which is only found when it is
 * written.
 *
 * The tables are written one after the other, in the order of their first rows.
 * No table of ours refers to another by a foreign key that would mind.
 *
 * src/base/row_list.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/row_list.h"

#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "base/row_find.h"
#include "commands/trigger.h"

#define TABLES_MAX	8
#define ROWS_MAX	100

typedef struct KeptRows
{
	RowWriter	w;
	TupleTableSlot *own;		/* the writer's */
	RowTaken	taken;
	int			n;
	TupleTableSlot *row[ROWS_MAX];	/* made when first needed */
} KeptRows;

static bool is_open = false;
static MemoryContext memory = NULL;
static KeptRows *kept[TABLES_MAX];
static int	ntables = 0;

void
row_list_begin(void)
{
	if (is_open)
		elog(ERROR, "a list within a list");
	is_open = true;
	memory = CurrentMemoryContext;
	ntables = 0;
	row_find_keep();
}

void
row_list_forget(void)
{
	is_open = false;
	ntables = 0;
	row_find_keep_forget();
}

static KeptRows *
rows_of(RowTarget *t)
{
	MemoryContext here;
	KeptRows   *k;
	int			i;

	for (i = 0; i < ntables; i++)
		if (kept[i]->w.target == t)
			return kept[i];
	if (ntables == TABLES_MAX)
		elog(ERROR, "too many tables in one list");

	/* the caller may reset its own memory after each entry */
	here = MemoryContextSwitchTo(memory);
	k = palloc0(sizeof(KeptRows));
	row_writer_begin(&k->w, t, false);
	k->own = k->w.slot;
	kept[ntables++] = k;
	MemoryContextSwitchTo(here);
	return k;
}

bool
row_list_add(RowTarget *t, const RowValues *v, RowTaken taken)
{
	MemoryContext here = CurrentMemoryContext;
	KeptRows   *k;
	RowWriter  *w;
	TriggerDesc *triggers;

	if (!is_open)
		return false;
	k = rows_of(t);
	if (k->n == ROWS_MAX)
		row_list_flush();
	w = &k->w;
	triggers = w->result->ri_TrigDesc;
	k->taken = taken;

	MemoryContextSwitchTo(w->estate->es_query_cxt);
	if (k->row[k->n] == NULL)
		k->row[k->n] = MakeSingleTupleTableSlot(RelationGetDescr(w->rel), &TTSOpsHeapTuple);
	w->slot = k->row[k->n];
	row_writer_new(w, v);
	if (triggers && triggers->trig_insert_before_row &&
		!ExecBRInsertTriggers(w->estate, w->result, w->slot))
		row_writer_written(w);	/* it is not */
	if (RelationGetDescr(w->rel)->constr)
		ExecConstraints(w->result, w->slot, w->estate);
	ExecMaterializeSlot(w->slot);
	k->n++;
	ResetPerTupleExprContext(w->estate);
	MemoryContextSwitchTo(here);
	return true;
}

/*
 * Into the indexes, one index after the other: a hundred entries of one find its
 * pages in the processor's cache, where a hundred rows' of all of them would push each
 * other out.  For this the executor is told of one index at a time.
 */
static void
index_rows(KeptRows *k, volatile int *at)
{
	ResultRelInfo *result = k->w.result;
	int			n = result->ri_NumIndices;
	RelationPtr indexes = result->ri_IndexRelationDescs;
	IndexInfo **infos = result->ri_IndexRelationInfo;
	int			i;
	int			x;

	for (x = 0; x < n; x++)
	{
		result->ri_NumIndices = 1;
		result->ri_IndexRelationDescs = indexes + x;
		result->ri_IndexRelationInfo = infos + x;
		for (i = 0; i < k->n; i++)
		{
			*at = i;
			(void) compat_insert_index_tuples(result, k->row[i], k->w.estate, false, NULL, NIL);
		}
	}
	result->ri_NumIndices = n;
	result->ri_IndexRelationDescs = indexes;
	result->ri_IndexRelationInfo = infos;
}

static void
write_rows(KeptRows *k)
{
	RowWriter  *w = &k->w;
	MemoryContext here = CurrentMemoryContext;
	volatile int i = -1;

	PG_TRY();
	{
		w->estate->es_output_cid = GetCurrentCommandId(true);
		MemoryContextSwitchTo(GetPerTupleMemoryContext(w->estate));
		table_multi_insert(w->rel, k->row, k->n, w->estate->es_output_cid, 0, NULL);
		MemoryContextSwitchTo(w->estate->es_query_cxt);
		for (i = 0; i < k->n; i++)
		{
			w->slot = k->row[i];
			row_writer_written(w);
		}
		index_rows(k, &i);
		for (i = 0; i < k->n; i++)
		{
			ExecARInsertTriggers(w->estate, w->result, k->row[i], NIL, NULL);
			ExecClearTuple(k->row[i]);
		}
		ResetPerTupleExprContext(w->estate);
		k->n = 0;
	}
	PG_CATCH();
	{
		/* nothing is recovered here: one ERROR takes the place of another */
		MemoryContextSwitchTo(here);
		if (k->taken != NULL && i >= 0 && geterrcode() == ERRCODE_UNIQUE_VIOLATION)
		{
			FlushErrorState();
			k->taken(k->row[i]);
		}
		PG_RE_THROW();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(here);
}

/* Nothing to do where no list is open. */
void
row_list_flush(void)
{
	int			i;

	for (i = 0; i < ntables; i++)
		if (kept[i]->n > 0)
			write_rows(kept[i]);
	if (ntables == 0)
		return;
	CommandCounterIncrement();

	/* the commit has less to wait for if the WAL writer begins meanwhile */
	XLogSetAsyncXactLSN(XactLastRecEnd);
}

void
row_list_end(void)
{
	MemoryContext here = CurrentMemoryContext;

	row_list_flush();
	while (ntables > 0)
	{
		KeptRows   *k = kept[--ntables];
		int			i;

		MemoryContextSwitchTo(k->w.estate->es_query_cxt);
		for (i = 0; i < ROWS_MAX && k->row[i] != NULL; i++)
			ExecDropSingleTupleTableSlot(k->row[i]);
		k->w.slot = k->own;
		row_writer_end(&k->w);
	}
	is_open = false;
	MemoryContextSwitchTo(here);
	row_find_keep_end();
}
