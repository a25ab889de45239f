/*-------------------------------------------------------------------------
 *
 * arrival.c
 *	  Reading an insert-only table as a queue, by snapshots.
 *
 * Each row carries the xid8 of its transaction.  A reader remembers the
 * snapshot with which it read last; what is new is what is visible now and
 * was not visible then.  That sees a transaction which commits late, even a
 * prepared one, exactly once, and holds up nobody: a cursor on a sequence
 * would skip it, a cursor on xmin would wait for it.  No row is updated or
 * deleted to take it off the queue, so there are no dead rows to walk while
 * somebody else holds back the xmin horizon.
 *
 * The rows and the remembered snapshot must come from one snapshot, so the
 * statements run read-only, under the active snapshot of the transaction.
 *
 * src/money/arrival.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/arrival.h"

#include "utils/memutils.h"

static Statement current_snapshot = {"SELECT pg_current_snapshot()::text", NO_ARGS};

static void
arrival_remember(char **where)
{
	if (statement_read(&current_snapshot, NULL) != 1)
		elog(ERROR, "no snapshot");
	if (*where)
		pfree(*where);
	*where = MemoryContextStrdup(TopMemoryContext, row_text(0, 1));
}

void
arrival_begin(Arrival *a)
{
	arrival_remember(&a->seen);
}

void
arrival_begin_at(Arrival *a, const char *snapshot)
{
	if (a->seen)
		pfree(a->seen);
	a->seen = MemoryContextStrdup(TopMemoryContext, snapshot);
}

uint64
arrival_read(Arrival *a, Statement *s, Values *v)
{
	arrival_remember(&a->reading);
	values_text(v, a->seen);
	return statement_read(s, v);
}

void
arrival_done(Arrival *a)
{
	char	   *old = a->seen;

	if (a->reading == NULL)
		return;
	a->seen = a->reading;
	a->reading = NULL;
	if (old)
		pfree(old);
}
