/*-------------------------------------------------------------------------
 *
 * shmem.h
 *	  What the processes of refundx know of each other: shared memory, wake-up.
 *
 * Nothing that matters lives here: shared memory is rebuilt after a crash.
 * It holds who runs where (for latches, views, DROP DATABASE), and counters.
 *
 * Locking: `state->lock` protects the membership of slots and everything in
 * them that is not atomic.  Only the launcher adds and removes databases; a
 * worker writes its own WorkerSlot.  A reader that wakes somebody needs no
 * lock: procno is one int, and a stale one only wakes a stranger.
 *
 * src/base/shmem.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_SHMEM_H
#define REFUNDX_SHMEM_H

#include "base/pg_compat.h"
#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"

typedef enum WorkerKind
{
	WORKER_DISPATCHER,
	WORKER_LISTENER,
	WORKER_SETTLER,
	WORKER_RUNNER,
	WORKER_COURIER,
	WORKER_CLERK
} WorkerKind;

#define WORKER_KINDS	(WORKER_CLERK + 1)

extern const char *worker_kind_name(WorkerKind kind);	/* "dispatcher" */

/* How far a worker's present, or last, life has come. */
typedef enum WorkerPhase
{
	PHASE_NONE,					/* never started */
	PHASE_CONNECTING,			/* took its slot; not yet at work */
	PHASE_WORKING,
	PHASE_LEFT					/* went by itself, so its end is no failure */
} WorkerPhase;

typedef struct WorkerSlot
{
	pid_t		pid;			/* 0 = not running */
	WorkerPhase phase;
	pg_atomic_uint32 procno;	/* for its latch; WORKER_NO_PROC if none */
	pg_atomic_uint32 quiet;		/* 1 = commits do not wake it */
	TimestampTz started_at;
	TimestampTz stopped_at;		/* of its last run; 0 = never stopped */
	TimestampTz start_after;	/* the launcher's restart delay */
	int			quick_failures; /* in a row; sets the delay */
	int64		restarts;		/* since the server's start */
	TimestampTz last_round;		/* the last time it went through its loop */
	TimestampTz behind_since;	/* when the oldest work it still has came in; 0 = idle */
	int64		done;			/* items finished since its start */
	int64		backlog;		/* items it knows of and has not begun */
	int64		active;			/* items under way */
	char		doing[64];		/* what, for the health view */
	char		problem[256];	/* why it cannot work, plain words; "" = fine */
} WorkerSlot;

#define WORKER_NO_PROC	PG_UINT32_MAX

/*
 * The handler that the runner is calling: for the launcher, which ends a call that
 * does not end, and for the next runner, which hears of it here.
 */
typedef struct HandlerCallSlot
{
	int64		instruction_id; /* 0 = none */
	int64		evidence_id;
	int64		run_id;
	int32		handler_id;
	TimestampTz end_at;			/* the process is ended then */
	bool		ended;			/* and has been, by the launcher */
	int32		ended_handler;	/* whose call that was, and how often in a row: it rests */
	int			ended_times;
} HandlerCallSlot;

/* How far a bill has come that is being fetched or read; for whoever looks. */
typedef struct BillProgress
{
	pg_atomic_uint64 bill_id;	/* 0 = none */
	pg_atomic_uint64 done;		/* bytes fetched, or lines read */
} BillProgress;

#define BILLS_AT_ONCE	4		/* that a dispatcher fetches */

typedef struct DatabaseSlot
{
	bool		used;
	Oid			dboid;
	NameData	name;
	int			port;			/* 0 = no listener */
	int			bound_port;		/* what the listener really has */
	pid_t		held_by;		/* a backend that needs the workers gone (DROP
								 * DATABASE); 0 = nobody */
	bool		present;		/* the extension is installed there */
	bool		runner_wanted;	/* there are handlers, as the settler knows */
	bool		clerk_wanted;	/* before its interval is over: there is something to do */
	HandlerCallSlot call;
	BillProgress reading;		/* the clerk's */
	BillProgress fetching[BILLS_AT_ONCE];	/* the dispatcher's */
	char		problem[256];	/* why nothing runs there; "" = fine */
	WorkerSlot	worker[WORKER_KINDS];
	ConditionVariable settled;	/* broadcast after each commit of the settler */
} DatabaseSlot;

typedef struct SharedState
{
	LWLock	   *lock;
	pid_t		launcher_pid;
	pg_atomic_uint32 launcher_procno;
	ConditionVariable workers_changed;	/* a worker started or stopped */
	int			ndatabases;		/* array length: refundx.max_databases */
	DatabaseSlot database[FLEXIBLE_ARRAY_MEMBER];
} SharedState;

extern SharedState *rx_shared;	/* NULL if not preloaded */

extern void shmem_install_hooks(void);	/* from _PG_init while preloading */

/* ERROR (RX009) with a hint unless the library was preloaded. */
extern void shmem_require(void);

/* The slot of this process' database, or NULL (then nobody works there). */
extern DatabaseSlot *shmem_my_database(void);

/* In a worker: announce / withdraw oneself. */
extern void shmem_worker_started(DatabaseSlot *db, WorkerKind kind);
extern void shmem_worker_stopped(DatabaseSlot *db, WorkerKind kind);

extern void wake_worker(DatabaseSlot *db, WorkerKind kind);

/*
 * While a worker has nothing to do whatever is committed (sending is off), it
 * is not woken: it looks by itself now and then.
 */
extern void wake_not_wanted(DatabaseSlot *db, WorkerKind kind, bool quiet);
extern void wake_launcher(void);

/*
 * Wake these workers of this database when the current transaction commits.
 * A rolled back savepoint may leave a needless wake-up; nobody minds.  After
 * PREPARE TRANSACTION it is COMMIT PREPARED that wakes (worker/hooks.c).
 */
extern void wake_at_commit(WorkerKind kind);
extern void wake_install_callback(void);

#endif							/* REFUNDX_SHMEM_H */
