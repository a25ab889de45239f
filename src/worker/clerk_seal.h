/*-------------------------------------------------------------------------
 *
 * clerk_seal.h
 *	  The clerk seals the journal.
 *
 * src/worker/clerk_seal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_CLERK_SEAL_H
#define REFUNDX_CLERK_SEAL_H

#include "worker/worker.h"

/* One round: what is there is sealed, for as long as a round may take. */
extern void clerk_seal(Worker *self);

#endif							/* REFUNDX_CLERK_SEAL_H */
