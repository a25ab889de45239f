/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  What every worker process has in common: its life, its one wait, its
 *	  transactions.
 *
 * src/worker/worker.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_WORKER_H
#define REFUNDX_WORKER_H

#include "base/pg_compat.h"
#include "base/shmem.h"

/* entry points named in the BackgroundWorker structs */
extern PGDLLEXPORT void refundx_launcher_main(Datum arg);
extern PGDLLEXPORT void refundx_worker_main(Datum arg);

/* from _PG_init, while preloading */
extern void launcher_register(void);
extern void hooks_install(void);	/* utility hook: DROP DATABASE, COMMIT PREPARED, ... */

/* What the launcher tells a worker, in bgw_extra. */
typedef struct WorkerStart
{
	Oid			dboid;
	Oid			roleid;
	int			slot;			/* index in rx_shared->database */
	WorkerKind	kind;
} WorkerStart;

/*
 * Where the extension is not installed, the launcher has the dispatcher look
 * again this often; CREATE EXTENSION makes it look at once.
 */
#define WORKER_PROBE_INTERVAL_MS	30000

#define WORKER_MAX_FDS	4

typedef struct Worker
{
	WorkerKind	kind;
	DatabaseSlot *db;
	WorkerSlot *slot;
	MemoryContext round;		/* reset by worker_wait() */
	WaitEventSet *set;
	int			fds[WORKER_MAX_FDS];
	int			nfds;
	bool		reloaded;		/* the configuration was reloaded in the last
								 * worker_wait(); the body looks and clears */
	bool		woken;			/* the latch was set: somebody has committed
								 * something for us.  Likewise */
} Worker;

/*
 * The bodies, one file each.  They are called connected to their database
 * under their role, with the settings they rely on forced and the extension
 * known to be present, outside any transaction.  They loop until told to stop
 * (worker_wait() and CHECK_FOR_INTERRUPTS leave by proc_exit); the clerk
 * returns when it is done, the runner when there is no handler any more.
 */
extern void dispatcher_run(Worker *self);
extern void listener_run(Worker *self);
extern void settler_run(Worker *self);
extern void runner_run(Worker *self);
extern void courier_run(Worker *self);
extern void clerk_run(Worker *self);
extern void clerk_bills(Worker *self);	/* a part of the clerk's round */

/* ---- loop.c: the one wait ---- */

/* Watch a readable descriptor (curl's or the HTTP server's epoll) for good. */
extern void worker_watch_fd(Worker *self, int fd);

/* Stop watching all descriptors (before they are closed). */
extern void worker_forget_fds(Worker *self);

/*
 * Wait for the latch, a descriptor or the time; -1 = refundx.poll_interval.
 * Never longer than refundx.poll_interval.  Handles reload, interrupts, the
 * death of the postmaster and a hold on the database; resets the latch before
 * it returns, so work must be looked for afterwards.
 */
extern void worker_wait(Worker *self, int64 timeout_ms);

/*
 * Run fn(arg) in a transaction of its own with SPI connected.  An ERROR is
 * logged, undone and remembered in the worker's slot; false is returned.
 * `what` shows in pg_stat_activity.
 */
extern bool worker_transaction(Worker *self, const char *what,
							   void (*fn) (void *arg), void *arg);

/* For the health view; NULL or "" = fine. */
extern void worker_problem(Worker *self, const char *fmt,...) pg_attribute_printf(2, 3);
extern void worker_report(Worker *self, int64 backlog, int64 active, TimestampTz behind_since,
						  const char *doing);

/* Hooks for HttpClientOptions/HttpServerOptions: count sockets as Postgres does. */
extern bool worker_acquire_fd(void);
extern void worker_release_fd(void);

#endif							/* REFUNDX_WORKER_H */
