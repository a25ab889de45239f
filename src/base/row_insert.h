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

/* Raises what is better than 23505 where the row's unique key is there already. */
typedef void (*RowTaken) (TupleTableSlot *row);

/*
 * Insert it: with the types' domains, the table's NOT NULLs, CHECKs, triggers
 * and indexes, as any INSERT; visible to what the transaction does next, unless it
 * is one of a list (row_list.h).  `taken` may be NULL.
 */
extern void row_insert(RowTarget *t, const RowValues *v, RowTaken taken);

/*
 * Insert the writer's row unless the unique index `arbiter` has its key: then
 * nothing happens, and this is false.  The writer was begun as speculative.
 * Any other unique key that is there already is 23505.
 */
extern bool row_insert_if_new(RowWriter *w, Oid arbiter);

#endif							/* REFUNDX_ROW_INSERT_H */
