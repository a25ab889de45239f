/*-------------------------------------------------------------------------
 *
 * handler_run.h
 *	  What the runner reads and writes of handlers and their calls
 *	  (handler_record.c), for handler_run.c.
 *
 * src/money/handler_run.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_HANDLER_RUN_H
#define REFUNDX_HANDLER_RUN_H

#include "money/handler.h"

/* The columns of a Run, from refundx.handler_run r. */
#define RUN_COLUMNS "r.run_id, r.handler_id, r.state, r.is_open, r.blocks, r.tries, r.next_at"

/* A row of refundx.handler_run. */
typedef struct Run
{
	int64		run_id;
	int32		handler_id;
	char	   *state;
	bool		is_open;
	bool		blocks;
	int			tries;
	TimestampTz next_at;		/* 0 = when a person says so */
} Run;

extern void run_from_row(Run *r, uint64 row);

/* Those of this evidence, but of handlers that were removed, locked: a person who retries or waives one waits for what comes of it. */
extern Run *runs_of_evidence(int64 evidence_id, int *n);

/*
 * Is a call of this instruction open that comes before this run (0 = any), or is not of
 * this evidence (0 = any)?
 */
extern bool earlier_open(int64 instruction_id, int64 run_id, int64 evidence_id);

/* Those that follow it, in the order in which they are called. */
extern Handler *handlers_of(int64 instruction_id, State to, int *n);
extern bool handler_by_id(int32 handler_id, Handler *h);

/* run_id: that of its row, if it has one; 0 = none. */
extern void record_success(int64 instruction_id, int64 run_id, const Handler *h);

/* It is not called now, and nothing is wrong with it. */
extern void record_put_off(int64 instruction_id, int64 evidence_id, State to, const Handler *h,
						   bool blocks, const char *state, TimestampTz next_at);

/* Returns when it is tried again; 0 = when a person says so. */
extern TimestampTz record_failure(int64 instruction_id, int64 evidence_id, int64 run_id, int tries, State to,
								  const Handler *h, const HandlerError *e, bool blocks);

/*
 * Close what nothing will come of: calls of handlers that are gone (handler_remove() does
 * it for what it sees, and one may have been recorded at the same moment), and those for
 * evidence which is settled now, and has not made the transition after all.
 */
extern void record_pointless(int64 instruction_id, int64 evidence_id, bool moved);

/* How often a suspect item was begun by now, or (up = false) that it has ended; 0 = it is not there. */
extern int	record_begun(const RunItem *item, bool up);

#endif							/* REFUNDX_HANDLER_RUN_H */
