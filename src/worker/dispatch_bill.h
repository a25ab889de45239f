/*-------------------------------------------------------------------------
 *
 * dispatch_bill.h
 *	  Fetching bills: the dispatcher's other business.
 *
 * src/worker/dispatch_bill.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_DISPATCH_BILL_H
#define REFUNDX_DISPATCH_BILL_H

#include "worker/dispatcher.h"

/* A round of it: start what is due (if anything may be sent), keep what has come. */
extern void bills_start(Dispatcher *d, bool may_send);
extern void bills_keep(Dispatcher *d);

/* Was that a call of ours?  Then it has been dealt with. */
extern bool bills_answered(Dispatcher *d, void *ticket, const HttpAnswer *answer);

#endif							/* REFUNDX_DISPATCH_BILL_H */
