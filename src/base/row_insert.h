/*-------------------------------------------------------------------------
 *
 * row_insert.h
 *	  Inserting rows into a table of ours without a plan.
 *
 * src/base/row_insert.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_ROW_INSERT_H
#define REFUNDX_ROW_INSERT_H

#include "base/row_target.h"

/*
 * Insert it: with the types' domains, the table's NOT NULLs, CHECKs, triggers
 * and indexes, as any INSERT; visible to what the transaction does next.  A
 * unique key that is there already is 23505, or `taken(arg)` raises something
 * better (it may be NULL).
 */
extern void row_insert(RowTarget *t, const RowValues *v, void (*taken) (void *arg), void *arg);

/*
 * Many rows in one go: between these two row_insert keeps what it has opened, for
 * each table that it writes to.  Not across a subtransaction's end.  `end` closes
 * it all; after an ERROR call `forget`, for the transaction's end has closed it.
 */
extern void row_insert_keep_begin(void);
extern void row_insert_keep_end(void);
extern void row_insert_keep_forget(void);

/*
 * Insert the writer's row unless the unique index `arbiter` has its key: then
 * nothing happens, and this is false.  The writer was begun as speculative.
 * Any other unique key that is there already is 23505.
 */
extern bool row_insert_if_new(RowWriter *w, Oid arbiter);

#endif							/* REFUNDX_ROW_INSERT_H */
