/*-------------------------------------------------------------------------
 *
 * row_insert.c
 *	  Inserting rows into a table of ours without a plan; see row_target.c.
 *
 * src/base/row_insert.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/row_insert.h"

#include "access/xact.h"

#define KEPT_MAX	8

/* Writers that are kept open, where many rows are inserted in one go. */
static bool keeping = false;
static MemoryContext keep_memory = NULL;
static RowWriter kept[KEPT_MAX];
static int	nkept = 0;

void
row_insert_keep_begin(void)
{
	keeping = true;
	keep_memory = CurrentMemoryContext;
	nkept = 0;
}

void
row_insert_keep_forget(void)
{
	keeping = false;
	nkept = 0;
}

void
row_insert_keep_end(void)
{
	MemoryContext here = CurrentMemoryContext;

	while (nkept > 0)
		row_writer_end(&kept[--nkept]);
	keeping = false;
	MemoryContextSwitchTo(here);
}

/* The target's writer, as row_writer_begin() leaves it. */
static RowWriter *
writer_of(RowTarget *t, RowWriter *own)
{
	int			i;

	for (i = 0; i < nkept; i++)
	{
		RowWriter  *w = &kept[i];

		if (w->target != t)
			continue;
		w->caller = MemoryContextSwitchTo(w->estate->es_query_cxt);
		w->estate->es_output_cid = GetCurrentCommandId(true);
		return w;
	}
	if (keeping && nkept < KEPT_MAX)
	{
		/* the caller may reset its own memory after each row */
		MemoryContext here = MemoryContextSwitchTo(keep_memory);

		own = &kept[nkept++];
		row_writer_begin(own, t, false);
		own->caller = here;
		return own;
	}
	row_writer_begin(own, t, false);
	return own;
}

/* Its end, or only that of one row. */
static void
writer_done(RowWriter *w, const RowWriter *own)
{
	if (w == own)
	{
		row_writer_end(w);
		return;
	}
	ExecClearTuple(w->slot);
	ResetPerTupleExprContext(w->estate);
	MemoryContextSwitchTo(w->caller);
}

void
row_insert(RowTarget *t, const RowValues *v, void (*taken) (void *arg), void *arg)
{
	MemoryContext here = CurrentMemoryContext;
	RowWriter	own;

	PG_TRY();
	{
		RowWriter  *w = writer_of(t, &own);

		row_writer_new(w, v);
		ExecSimpleRelationInsert(w->result, w->estate, w->slot);
		row_writer_written(w);
		writer_done(w, &own);
	}
	PG_CATCH();
	{
		/* nothing is recovered here: one ERROR takes the place of another */
		MemoryContextSwitchTo(here);
		if (taken != NULL && geterrcode() == ERRCODE_UNIQUE_VIOLATION)
		{
			FlushErrorState();
			taken(arg);
		}
		PG_RE_THROW();
	}
	PG_END_TRY();
	CommandCounterIncrement();
}
