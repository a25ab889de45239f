/*-------------------------------------------------------------------------
 *
 * recover.h
 *	  A recovery: what is done when part of the past may be missing.
 *
 * src/money/recover.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_RECOVER_H
#define REFUNDX_RECOVER_H

#include "base/sql.h"

typedef struct Recovery
{
	int64		recovery_id;
	int64		asked;			/* how many refunds and withdrawals */
	int64		notices;		/* how many messages went to a person */
} Recovery;

/*
 * Begins one; another that is under way is superseded by it, and its gap becomes
 * part of this one's.  cause is that of refundx.recovery; since: up to when this
 * database knows what happened, 0 to find that out.  SPI must be connected.
 */
extern void recovery_begin(const char *cause, const char *why, int64 since, Recovery *r);

#endif							/* REFUNDX_RECOVER_H */
