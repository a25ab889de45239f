/*-------------------------------------------------------------------------
 *
 * guard.h
 *	  Rows of the application's that do not change while a refund of them, or a
 *	  withdrawal, is in flight.  The head of guard.c says how.
 *
 * src/money/guard.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_GUARD_H
#define REFUNDX_GUARD_H

#include "base/sql.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/rel.h"

#define GUARD_KEY_MAX		512 /* bytes of a row's key, as text */
#define GUARD_ROWS_MAX		64	/* rows that one refund may lock */

/* What the triggers of a guarded table, or of a partition of one, say. */
typedef struct Guard
{
	int32		guard_id;
	char	   *key_column;
	int			ncolumns;
	char	  **column;			/* those that are guarded */
	bool		always;			/* those of rows are there, and fire always */
} Guard;

/* A row that is locked for an instruction. */
typedef struct GuardedRow
{
	int32		guard_id;
	Oid			relid;			/* the table as it was named */
	char	   *key;			/* as given, then as the row has it */
	Datum		expect;			/* jsonb, or 0 */
} GuardedRow;

typedef struct GuardedRows
{
	int			n;
	GuardedRow	row[GUARD_ROWS_MAX];
} GuardedRows;

/* An instruction that is open, and the row that it locks. */
typedef struct OpenLock
{
	int64		instruction_id;
	char	   *key;
} OpenLock;

/* ---- submitting: guard_submit.c; with SPI connected ---- */

/*
 * Lock the rows that the caller names (`given`, may be NULL), or those that the
 * payment's number leads to (NULL: there is no payment).  None for a number that
 * exists already.  ERROR RX023 if a row is not there or not as expected.
 */
extern void guard_lock_rows(Jsonb *given, const char *payment_no, const char *number, GuardedRows *rows);

/* Remember that the instruction, which is new, has locked them. */
extern void guard_record(const GuardedRows *rows, int64 instruction_id);

/*
 * For the runner, which goes by the order of locks too: those of the instruction, that
 * are still there.  False if somebody else holds one; it waits for nobody.
 */
extern bool guard_lock_again(int64 instruction_id);

/* ---- what guards a table: guard.c ---- */
extern bool guard_of_relation(Oid relid, Guard *g);

/* Is it a trigger of a guard?  Then its table and guard, and whether it fires always. */
extern bool guard_of_trigger(Oid trigger, Oid *relid, int32 *guard_id, bool *always);

/* Locks of a guard whose instruction is open and which nobody has lifted. */
extern List *guard_open_locks(int32 guard_id);

extern int	guard_others(List *locks);
extern char *guard_table_name(Oid relid);

/* ERROR RX022: it cannot be done to the table while the lock is held. */
extern void guard_refuse(Oid relid, const OpenLock *lock, int others, const char *what) pg_attribute_noreturn();

/* ---- commands that would get around it, refused: guard_ddl.c ---- */
extern void guard_trigger_dropped(Oid trigger);
extern void guard_trigger_altered(Oid trigger);
extern void guard_partition_truncated(Oid relid);
extern void guard_before_command(Node *stmt);

#endif							/* REFUNDX_GUARD_H */
