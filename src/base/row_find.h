/*-------------------------------------------------------------------------
 *
 * row_find.h
 *	  Finding one row of a table of ours by a unique key, without a plan.
 *
 * src/base/row_find.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_ROW_FIND_H
#define REFUNDX_ROW_FIND_H

#include "base/pg_compat.h"

#include "access/htup.h"

#define ROW_KEYS_MAX	3

/*
 * Its text columns have the collation "C".  Written as a static:
 *
 *	  {"account", "account_account_no_key", {{"account_no", F_TEXTEQ}}}
 */
typedef struct RowKey
{
	const char *table;			/* in the schema refundx */
	const char *index;			/* a unique one, likewise */
	struct						/* the index's columns, or the first of them, in its order */
	{
		const char *column;
		RegProcedure equal;		/* of the column's type */
	}			part[ROW_KEYS_MAX];
} RowKey;

/*
 * The row with this key, in what is committed by now or was written by this
 * transaction; palloc'd, NULL if there is none.  Nothing is locked, and no right is
 * asked for: whoever calls this acts for the extension.
 */
extern HeapTuple row_find(const RowKey *key, const Datum *values);

/*
 * Is there any with a key from `low` to `high`, both counted?  Of an index by one
 * column of text, in the order of bytes.  As row_find sees it.
 */
extern bool row_find_between(const RowKey *key, const char *low, const char *high);

/*
 * The last of the rows that begin with this key, in the index's order.  As any
 * statement sees it: where the transaction's snapshot is fixed, that one's.
 */
extern HeapTuple row_find_last(const RowKey *key, const Datum *values);

/* A column of it; what it points to lives as long as the row. */
extern Datum row_found(const RowKey *key, HeapTuple row, const char *column, bool *isnull);
extern int64 row_found_int8(const RowKey *key, HeapTuple row, const char *column);	/* not null */

/*
 * Many rows in one go: between these two what row_find has opened stays open.  Not
 * across a subtransaction's end.  After an ERROR in between call `forget`.
 */
extern void row_find_keep(void);
extern void row_find_keep_end(void);
extern void row_find_keep_forget(void);

#endif							/* REFUNDX_ROW_FIND_H */
