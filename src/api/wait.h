/*-------------------------------------------------------------------------
 *
 * wait.h
 *	  Waiting for a refund's outcome, in a procedure.
 *
 * src/api/wait.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_WAIT_H
#define REFUNDX_WAIT_H

#include "channel/channel.h"
#include "fmgr.h"

/* ERROR 25001 inside a transaction block. */
extern void wait_refuse_in_transaction(FunctionCallInfo fcinfo, const char *procedure, ProductKind kind);

/*
 * Until it is decided, or the time is up; its state so far.  With SPI connected,
 * non-atomically: it commits.
 */
extern char *wait_until_decided(ProductKind kind, const char *number, TimestampTz deadline);

/* What the procedures return: one column, state. */
extern Datum wait_state_row(const char *state);

#endif							/* REFUNDX_WAIT_H */
