/*-------------------------------------------------------------------------
 *
 * row_target.h
 *	  A table of ours that rows are written to without a plan.
 *
 * src/base/row_target.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_ROW_TARGET_H
#define REFUNDX_ROW_TARGET_H

#include "base/pg_compat.h"

#include "executor/executor.h"

#define ROW_COLUMNS_MAX		32

/*
 * A table, and those of its columns that matter.  Written as
 *
 *	  static RowTarget target = {"event", {"seq", "xid", "at", ...}};
 *
 * Rows to insert must be given every column that cannot be null or has a
 * default; the first use makes sure of that.  A target with `existing` set is
 * for rows that are there already, of which some columns are read or changed.
 *
 * The rest is what a backend remembers of the table.
 */
typedef struct RowTarget
{
	const char *table;			/* in the schema refundx */
	const char *column[ROW_COLUMNS_MAX + 1];	/* NULL-terminated */
	bool		existing;

	struct RowTarget *next;		/* of all that are remembered */
	Oid			relid;			/* of the table that the rest is about */
	bool		complete;
	bool		changed;		/* the table has, since then */
	MemoryContext memory;		/* of domain_extra and checks */
	AttrNumber	attnum[ROW_COLUMNS_MAX];
	Oid			domain[ROW_COLUMNS_MAX];	/* InvalidOid: the type is none */
	void	   *domain_extra[ROW_COLUMNS_MAX];
	Oid			sequence;		/* of the first identity column among them */
	ExprState **checks;			/* the table's CHECKs, or NULL */
} RowTarget;

/* Values of the target's columns, in their order; fewer are the first ones. */
typedef struct RowValues
{
	int			n;
	Datum		value[ROW_COLUMNS_MAX];
	bool		null[ROW_COLUMNS_MAX];
} RowValues;

/* The text form takes NULL for null. */
extern void row_value(RowValues *v, Datum value, bool null);
extern void row_value_text(RowValues *v, const char *s);

/* Open the table, RowExclusiveLock'ed; close it with NoLock. */
extern Relation row_target_open(RowTarget *t);

/* The next value of the identity column's sequence. */
extern int64 row_next_id(RowTarget *t);

/* A column of a row of the table, by its place in the target. */
extern Datum row_column(const RowTarget *t, int i, TupleTableSlot *row, bool *isnull);

/* What the executor's functions want to know while rows are written. */
typedef struct RowWriter
{
	RowTarget  *target;
	Relation	rel;
	EState	   *estate;
	ResultRelInfo *result;		/* with the indexes, open */
	TupleTableSlot *slot;		/* the row to be written */
	MemoryContext caller;
} RowWriter;

/*
 * Between these two the current memory context is the writer's own, and is
 * freed at the end.  `speculative`: unique keys may be there already.
 */
extern void row_writer_begin(RowWriter *w, RowTarget *t, bool speculative);
extern void row_writer_end(RowWriter *w);

/* Into the slot: a row with these values, or one that is there, changed. */
extern void row_writer_new(RowWriter *w, const RowValues *v);
extern void row_writer_change(RowWriter *w, TupleTableSlot *row, const RowValues *v);

/*
 * An ERROR unless the slot's row has been written: a trigger that somebody has
 * added may have suppressed it, and nothing here is prepared for that.
 */
extern void row_writer_written(RowWriter *w);

#endif							/* REFUNDX_ROW_TARGET_H */
