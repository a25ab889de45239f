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

/*
 * The same snapshot as it would be if nobody had begun since `cut`: a transaction of
 * that number or a later one is not visible in it, and so is new in the next round.
 */
static void
remember_before(char **where, char *cut)
{
	static Statement before = {
		"SELECT least(pg_snapshot_xmin(s), $1::xid8)::text || ':' || least(pg_snapshot_xmax(s), $1::xid8)::text || ':'"
		"    || coalesce((SELECT string_agg(x::text, ',' ORDER BY x) FROM pg_snapshot_xip(s) x WHERE x < $1::xid8), '')"
		"  FROM pg_current_snapshot() s", ARGS(TEXTOID)
	};
	Values		v = {0};

	values_text(&v, cut);
	if (statement_read(&before, &v) != 1)
		elog(ERROR, "no snapshot");
	pfree(*where);
	*where = MemoryContextStrdup(TopMemoryContext, row_text(0, 1));
}

bool
arrival_read_part(Arrival *a, Statement *cut)
{
	Values		v = {0};
	char	   *at;

	arrival_remember(&a->reading);
	values_text(&v, a->seen);
	if (statement_read(cut, &v) == 0)
		return false;
	at = row_text(0, 1);

	/* a transaction is not divided: all of the first one, if it has so many rows */
	if (strtoull(at, NULL, 10) <= strtoull(strchr(a->seen, ':') + 1, NULL, 10))
		at = psprintf("%llu", strtoull(at, NULL, 10) + 1);
	remember_before(&a->reading, at);
	return true;
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
