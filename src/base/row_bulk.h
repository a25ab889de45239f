/*-------------------------------------------------------------------------
 *
 * row_bulk.h
 *	  Rows by the million, into a table of ours.
 *
 * src/base/row_bulk.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_ROW_BULK_H
#define REFUNDX_ROW_BULK_H

#include "base/row_target.h"

typedef struct RowBulk RowBulk;

/* Everything is freed at the end, or with the caller's memory context. */
extern RowBulk *row_bulk_begin(RowTarget *t);

/*
 * The next row: all columns null; set those of the target by their place with
 * row_bulk_value() and row_bulk_text(), before the next row is begun.
 */
extern void row_bulk_next(RowBulk *b);
extern void row_bulk_value(RowBulk *b, int column, Datum value);
extern void row_bulk_text(RowBulk *b, int column, const char *s);	/* NULL and "" = null */

/* Writes what is left; returns how many rows there were. */
extern uint64 row_bulk_end(RowBulk *b);

#endif							/* REFUNDX_ROW_BULK_H */
