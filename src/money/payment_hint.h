/*-------------------------------------------------------------------------
 *
 * payment_hint.h
 *	  Hints that name a payment, and no refund of it.
 *
 * src/money/payment_hint.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_PAYMENT_HINT_H
#define REFUNDX_PAYMENT_HINT_H

#include "money/weigh.h"

extern void payment_hint(const EvidenceFacts *e, int64 now);

#endif							/* REFUNDX_PAYMENT_HINT_H */
