/*-------------------------------------------------------------------------
 *
 * arrival.h
 *	  Reading an insert-only table as a queue, by snapshots.
 *
 * src/money/arrival.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_ARRIVAL_H
#define REFUNDX_ARRIVAL_H

#include "base/sql.h"

typedef struct Arrival
{
	char	   *seen;			/* pg_snapshot as text: what has been read;
								 * malloc'd, so that it outlives transactions */
	char	   *reading;		/* the snapshot of the transaction that reads now */
} Arrival;

/*
 * Begin at now: everything visible to the active snapshot counts as seen.
 * The caller has read it by other means (its start-up scan), in this very
 * transaction and under this very snapshot.
 */
extern void arrival_begin(Arrival *a);

/* Begin where a former reader was, which has kept a->reading somewhere. */
extern void arrival_begin_at(Arrival *a, const char *snapshot);

/*
 * Run a statement whose last parameter is a pg_snapshot (as text) and which
 * reads from ARRIVAL(...): the rows that are visible now and were not before.  Call arrival_done() after the transaction that handled them
 * has committed; until then they will be found again.
 */
extern uint64 arrival_read(Arrival *a, Statement *s, Values *v);
extern void arrival_done(Arrival *a);

/*
 * For a reader whose rounds must be short, whatever has arrived: say what one round
 * reads, before it does.  `cut` is ARRIVAL_CUT(...), whose parameter is a pg_snapshot
 * as text; what the table has beyond that many rows is left for the next round, to
 * the last row of a transaction.  True if something is.  Whoever reads then keeps to
 * a->reading, for a statement sees more.
 */
extern bool arrival_read_part(Arrival *a, Statement *cut);

/*
 * Not visible in the old snapshot means: in progress then, or begun since.
 * Written as these two, and not as NOT pg_visible_in_snapshot(), because
 * they are index conditions: a transaction that stays open for hours keeps
 * the old snapshot's xmin where it is, and everything since would be read
 * again and again.
 *
 * The planner cannot know how little arrives between two rounds, and any other
 * way to read the table would look better to it.  So they are two queries,
 * with one index condition each (an OR could be the filter of another scan),
 * and whatever sorts, limits or joins stands outside:
 *
 *	  "WITH arrived AS MATERIALIZED (" ARRIVAL("seq", "refundx.event", "$1") ")"
 *	  " SELECT seq FROM arrived ORDER BY seq"
 */
#define ARRIVAL(columns, table, param) \
	"SELECT " columns " FROM " table \
	" WHERE xid = ANY (ARRAY(SELECT pg_snapshot_xip((" param ")::pg_snapshot)))" \
	" UNION ALL " \
	"SELECT " columns " FROM " table \
	" WHERE xid >= pg_snapshot_xmax((" param ")::pg_snapshot)"

/* ARRIVAL of what is visible in `reading` as well, and no further. */
#define ARRIVAL_PART(columns, table, seen, reading) \
	"SELECT " columns " FROM (" ARRIVAL("*", table, seen) ") arriving" \
	" WHERE xid < pg_snapshot_xmax((" reading ")::pg_snapshot)" \
	"   AND pg_visible_in_snapshot(xid, (" reading ")::pg_snapshot)"

/* The first transaction that a round does not read. */
#define ARRIVAL_CUT(table, param, rows) \
	"SELECT xid::text FROM " table \
	" WHERE xid >= pg_snapshot_xmax((" param ")::pg_snapshot) ORDER BY xid OFFSET " rows " LIMIT 1"

#endif							/* REFUNDX_ARRIVAL_H */
