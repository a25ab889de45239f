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

void
row_insert(RowTarget *t, const RowValues *v, void (*taken) (void *arg), void *arg)
{
	MemoryContext here = CurrentMemoryContext;
	RowWriter	w;

	PG_TRY();
	{
		row_writer_begin(&w, t, false);
		row_writer_new(&w, v);
		ExecSimpleRelationInsert(w.result, w.estate, w.slot);
		row_writer_written(&w);
		row_writer_end(&w);
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
