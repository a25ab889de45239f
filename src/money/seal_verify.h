/*-------------------------------------------------------------------------
 *
 * seal_verify.h
 *	  What the parts of journal_verify() share.
 *
 * src/money/seal_verify.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_SEAL_VERIFY_H
#define REFUNDX_SEAL_VERIFY_H

#include "money/seal.h"

typedef struct Verify Verify;

/* A finding about a line, or (account_id 0) about a seal.  The texts live as long as the seal. */
extern void verify_found(Verify *v, int64 seal_no, int64 account_id, int64 version,
						 const char *what, const char *detail);

/* ---- seal_day.c: the days' statements against the seals from .. to ---- */
extern void verify_days(Verify *v, int64 from, int64 to, int64 last);

#endif							/* REFUNDX_SEAL_VERIFY_H */
