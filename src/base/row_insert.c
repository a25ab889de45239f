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

#include "access/tableam.h"
#include "access/xact.h"
#include "base/row_list.h"
#include "commands/trigger.h"
#include "storage/lmgr.h"
#include "utils/snapmgr.h"

void
row_insert(RowTarget *t, const RowValues *v, RowTaken taken)
{
	MemoryContext here = CurrentMemoryContext;
	RowWriter	w;

	if (row_list_add(t, v, taken))
		return;
	row_writer_begin(&w, t, false);
	PG_TRY();
	{
		row_writer_new(&w, v);
		ExecSimpleRelationInsert(w.result, w.estate, w.slot);
		row_writer_written(&w);
	}
	PG_CATCH();
	{
		/* nothing is recovered here: one ERROR takes the place of another */
		MemoryContextSwitchTo(here);
		if (taken != NULL && geterrcode() == ERRCODE_UNIQUE_VIOLATION)
		{
			FlushErrorState();
			taken(w.slot);
		}
		PG_RE_THROW();
	}
	PG_END_TRY();
	row_writer_end(&w);
	CommandCounterIncrement();
}

/* ------------------------------------------------------------------------
 * Rows that may be there already: what ExecInsert() does for ON CONFLICT DO
 * NOTHING, step by step.  As SQL that takes a statement's snapshot, an array
 * for each column of a batch, and the right to read the table, where a target
 * is named.
 * ------------------------------------------------------------------------
 */

/*
 * The key is there.  Above READ COMMITTED somebody who does not see the row
 * must not rely on it; but what this transaction has written itself it sees.
 */
static void
require_visible(RowWriter *w, ItemPointer tid)
{
	TupleTableSlot *row;

	if (!IsolationUsesXactSnapshot())
		return;
	CommandCounterIncrement();
	row = table_slot_create(w->rel, NULL);
	if (!table_tuple_fetch_row_version(w->rel, tid, GetTransactionSnapshot(), row))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update")));
	ExecDropSingleTupleTableSlot(row);
}

/* False if somebody else's row of the same key has come in between. */
static bool
insert_speculatively(RowWriter *w, List *arbiters)
{
	TransactionId xid = GetCurrentTransactionId();
	uint32		token = SpeculativeInsertionLockAcquire(xid);
	bool		conflict = false;
	List	   *recheck;

	table_tuple_insert_speculative(w->rel, w->slot, GetCurrentCommandId(true), 0, NULL, token);
	recheck = compat_insert_index_tuples(w->result, w->slot, w->estate, true, &conflict, arbiters);
	table_tuple_complete_speculative(w->rel, w->slot, token, !conflict);
	SpeculativeInsertionLockRelease(xid);
	if (!conflict)
		ExecARInsertTriggers(w->estate, w->result, w->slot, recheck, NULL);
	list_free(recheck);
	return !conflict;
}

bool
row_insert_if_new(RowWriter *w, Oid arbiter)
{
	TriggerDesc *triggers = w->result->ri_TrigDesc;
	List	   *arbiters = list_make1_oid(arbiter);
	ItemPointerData conflict;
	ItemPointerData none;

	ItemPointerSetInvalid(&none);
	if (triggers && triggers->trig_insert_before_row &&
		!ExecBRInsertTriggers(w->estate, w->result, w->slot))
		row_writer_written(w);	/* it is not */
	if (RelationGetDescr(w->rel)->constr)
		ExecConstraints(w->result, w->slot, w->estate);
	do
	{
		CHECK_FOR_INTERRUPTS();
		if (!compat_check_index_constraints(w->result, w->slot, w->estate, &conflict, &none, arbiters))
		{
			require_visible(w, &conflict);
			return false;
		}
	} while (!insert_speculatively(w, arbiters));
	return true;
}
