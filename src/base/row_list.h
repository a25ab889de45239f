/*-------------------------------------------------------------------------
 *
 * row_list.h
 *	  Rows of a list, written together.
 *
 * src/base/row_list.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_ROW_LIST_H
#define REFUNDX_ROW_LIST_H

#include "base/row_insert.h"

/*
 * Between `begin` and `end` row_insert() keeps its rows back, checked; `flush`
 * writes them, and `end` what is left.  Whoever wants to read one of them has to
 * flush first.  Not across a subtransaction's end.  After an ERROR in between call
 * `forget`, for the transaction's end has closed what was open.
 */
extern void row_list_begin(void);
extern void row_list_flush(void);
extern void row_list_end(void);
extern void row_list_forget(void);

/* For row_insert(): keep the row back; false where no list is open. */
extern bool row_list_add(RowTarget *t, const RowValues *v, RowTaken taken);

#endif							/* REFUNDX_ROW_LIST_H */
