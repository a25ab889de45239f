/*-------------------------------------------------------------------------
 *
 * row_insert.h
 *	  Inserting one row of a table of ours without a plan.
 *
 * src/base/row_insert.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_ROW_INSERT_H
#define REFUNDX_ROW_INSERT_H

#include "base/pg_compat.h"

#define ROW_COLUMNS_MAX		32

/*
 * A table, and the columns that are given; whatever is not given is null, and
 * may be, or the first insert is an ERROR.  Written as
 *
 *	  static RowTarget target = {"event", {"seq", "xid", "at", ...}};
 *
 * The rest is what a backend remembers of it.
 */
typedef struct RowTarget
{
	const char *table;			/* in the schema refundx */
	const char *column[ROW_COLUMNS_MAX + 1];	/* NULL-terminated */

	Oid			relid;			/* of the table that the rest is about */
	AttrNumber	attnum[ROW_COLUMNS_MAX];
	Oid			domain[ROW_COLUMNS_MAX];	/* InvalidOid: the type is none */
	void	   *domain_extra[ROW_COLUMNS_MAX];
	Oid			sequence;		/* of the first column, if it is an identity */
} RowTarget;

typedef struct RowValues
{
	int			n;
	Datum		value[ROW_COLUMNS_MAX];
	bool		null[ROW_COLUMNS_MAX];
} RowValues;

/* In the order of the target's columns; the text form takes NULL for null. */
extern void row_value(RowValues *v, Datum value, bool null);
extern void row_value_text(RowValues *v, const char *s);

/* The next value of the sequence behind the first column. */
extern int64 row_next_id(RowTarget *t);

/*
 * Insert it: with the types' domains, the table's NOT NULLs, CHECKs, triggers
 * and indexes, as any INSERT; visible to what the transaction does next.  A
 * unique key that is there already is 23505, or `taken(arg)` raises something
 * better (it may be NULL).
 */
extern void row_insert(RowTarget *t, const RowValues *v, void (*taken) (void *arg), void *arg);

#endif							/* REFUNDX_ROW_INSERT_H */
