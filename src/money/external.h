/*-------------------------------------------------------------------------
 *
 * external.h
 *	  Verified evidence about a refund that is not ours.
 *
 * src/money/external.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_EXTERNAL_H
#define REFUNDX_EXTERNAL_H

#include "money/weigh.h"

/* The payment that it names; 0 if we know none such. */
extern int64 payment_of_evidence(const EvidenceFacts *e);

/*
 * Keep it and count it against its payment; *note says what was done.  False
 * if somebody else holds the payment's row: come back later.
 */
extern bool external_keep(const EvidenceFacts *e, char **note);

/*
 * A refund that was made elsewhere is adopted for a payment: what was counted
 * against the payment for it is given back, for the adopter reserves it anew.
 */
extern void external_adopted(int32 channel_id, int32 merchant_id, const char *payment_no,
							 const char *wire_no);

#endif							/* REFUNDX_EXTERNAL_H */
