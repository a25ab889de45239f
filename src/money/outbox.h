/*-------------------------------------------------------------------------
 *
 * outbox.h
 *	  The outbox: one row for each committed transition, for others to read.
 *
 * src/money/outbox.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_OUTBOX_H
#define REFUNDX_OUTBOX_H

#include "money/arrival.h"

/*
 * Write a row for each transition among the events that have arrived since
 * `a->seen`, up to `a->reading`; whoever calls keeps `a->reading` in the same
 * transaction, and is the only one who does this.  Returns how many, and in *after
 * the seq of the last row before them.
 */
extern uint64 outbox_derive(const Arrival *a, int64 *after);

#endif							/* REFUNDX_OUTBOX_H */
