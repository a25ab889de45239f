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

#endif							/* REFUNDX_EXTERNAL_H */
