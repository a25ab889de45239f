/*-------------------------------------------------------------------------
 *
 * handler.h
 *	  Functions of the application's that follow transitions.
 *
 * Whose evidence brings a transition that a handler follows is settled by the
 * runner (worker/runner.c), one instruction a transaction, with the handler's
 * call in it; the settler hands it over.  doc/handlers.md says what users are
 * promised.
 *
 * src/money/handler.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_HANDLER_H
#define REFUNDX_HANDLER_H

#include "base/sql.h"
#include "channel/channel.h"
#include "money/state.h"

/* ---- any session ---- */

/* Is this a handler's call, in the runner? */
extern bool handler_running(void);

/* ERROR RX026 in a handler: `function` is an operator's. */
extern void handler_refuse(const char *function);

/*
 * Does a handler follow this transition?  Remembered until refundx.handler changes.
 * With SPI connected.
 */
extern bool handlers_follow(ProductKind about, State to);
extern bool handlers_any(void);

/* Changes when they do, as far as this backend has heard. */
extern uint64 handlers_revision(void);

/* Is there anything for a runner to do, now or when evidence comes? */
extern bool handlers_need_runner(void);

/* A session has made a transition by itself: the runner is to call what follows it. */
extern void handlers_after(int64 instruction_id, ProductKind about, State to);

/* ---- the runner: calling one (handler_call.c) ---- */

typedef struct Handler
{
	int32		handler_id;
	ProductKind about;
	char	   *function_schema;
	char	   *function_name;
	char	   *role;
	bool		required;
	int			time_limit_ms;
	int			lock_limit_ms;
	int			retries;
	int64		backoff_us;
	bool		paused;
} Handler;

typedef struct HandlerError
{
	char	   *code;			/* SQLSTATE */
	char	   *message;
	char	   *context;		/* or NULL */
	bool		transient;		/* somebody held a lock: nothing is wrong with it */
	bool		timed_out;
} HandlerError;

/*
 * Call it for this instruction as it is now, but for the state, which is the
 * transition's.  True: it has succeeded, and its changes are part of the current
 * transaction.  False: they are undone.
 */
extern bool handler_call(const Handler *h, int64 instruction_id, State transition, HandlerError *error);

/* The instruction whose handler runs, so that the guard lets it pass; 0 = none. */
extern int64 handler_instruction(void);

/* Take away what a handler may have left in the session; first thing in a transaction. */
extern void handler_clean_session(void);

/* ---- the runner: an item of its list (handler_run.c) ---- */

/* What the runner says in shared memory before it calls, for the launcher. */
typedef void (*HandlerCallMark) (const Handler *h, int64 instruction_id, int64 evidence_id, int64 run_id);

typedef enum RunOutcome
{
	RUN_DONE,					/* off the list */
	RUN_LOCKED,					/* somebody holds a row: soon again */
	RUN_LATER					/* at next_at; 0 = when somebody says so */
} RunOutcome;

typedef struct RunItem
{
	int64		instruction_id;
	int64		evidence_id;	/* settle this; 0 = only call, by run_id */
	int64		run_id;
	bool		suspect;		/* found at start: it may have been under way when the server died */
} RunItem;

/* So often a suspect item is begun by itself. */
#define HANDLED_BEGUN_MAX	2

typedef struct RunResult
{
	RunOutcome	outcome;
	TimestampTz next_at;
	bool		settled;
	bool		called;			/* an application's code has run */
	int32		handler_id;		/* the last one that was called */
	bool		timed_out;		/* and it took too long */
} RunResult;

/* May the handler be called now, or does it rest?  0 = now. */
typedef TimestampTz (*HandlerRests) (int32 handler_id);

extern void handler_run_hooks(HandlerCallMark mark, HandlerRests rests);

/*
 * Before a suspect item is run, in a transaction of its own: count that it is begun.
 * False: it was begun too often, and a person has to look.
 */
extern bool handler_run_begin(const RunItem *item);

/* In the current transaction, which is to be committed whatever comes of it. */
extern void handler_run(const RunItem *item, RunResult *result);

/* The process that ran this call was ended, because it would not stop. */
extern void handler_run_was_ended(int64 instruction_id, int64 evidence_id, int64 run_id, int32 handler_id);

#endif							/* REFUNDX_HANDLER_H */
