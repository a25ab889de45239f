/*-------------------------------------------------------------------------
 *
 * loop.c
 *	  What every worker has in common: its life, its one wait, its
 *	  transactions.
 *
 * Rules that everything called from here keeps:
 *
 * - One wait, worker_wait(), reached often.  A worker that does not reach
 *	 CHECK_FOR_INTERRUPTS() holds up DROP DATABASE of every database in the
 *	 cluster (its ProcSignalBarrier), and the server's shutdown.
 * - No transaction, snapshot or lock is held in it: bodies open transactions
 *	 only through worker_transaction(), which has ended them when it returns.
 * - Every transaction begins with a share lock on the extension, so DROP
 *	 EXTENSION cannot take the tables away in the middle of one.  The worker
 *	 does not queue for that lock: behind a DROP there is nothing to do.
 *
 * A worker ends in one of two ways.  It leaves (leave()) when it is not wanted
 * here any more: the database is held or gone, the extension is dropped, the
 * port has changed, the clerk's round is over.  Everything else is a failure,
 * and the launcher waits longer each time before it starts it again.
 *
 * src/worker/loop.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/pg_compat.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/settings.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/worker.h"

/* The version of the extension script that this library belongs to. */
#ifndef REFUNDX_VERSION
#define REFUNDX_VERSION		"1.0"
#endif

#define SAME_ERROR_EVERY_MS		60000	/* logged once in this time */

static void (*const bodies[WORKER_KINDS]) (Worker *self) = {
	dispatcher_run, listener_run, settler_run, runner_run, courier_run, clerk_run
};

static Worker me;
static NameData my_database;
static int	my_port;			/* the listener's, when it started */
static Oid	my_extension;

static emit_log_hook_type prev_emit_log = NULL;

/* The transaction of which slot->problem speaks; "" = none. */
static char failing[64];

static bool take_slot(const WorkerStart *start);
static void worker_gone(int code, Datum arg);
static void leave(void) pg_attribute_noreturn();
static void leave_if_unwanted(void);
static void worker_context(void *arg);
static void keep_last_words(ErrorData *error);

static void keep_freed_memory(void);
static void force_settings(void);
static void force_synchronous_commit(void);

static void begin_transaction(const char *what);
static void find_extension(void);
static bool extension_lookup(Oid *oid, char *version, size_t size);
static bool guard_extension(void);
static void extension_is_gone(void);

static void build_wait_set(void);
static void transaction_failed(const char *what, MemoryContext context);

/* ------------------------------------------------------------------------
 * A worker's life
 * ------------------------------------------------------------------------
 */

void
refundx_worker_main(Datum arg)
{
	WorkerStart start;
	ErrorContextCallback context;

	memcpy(&start, MyBgworkerEntry->bgw_extra, sizeof(start));
	Assert(start.slot < rx_shared->ndatabases && start.kind < WORKER_KINDS);
	me.kind = start.kind;
	me.db = &rx_shared->database[start.slot];
	me.slot = &me.db->worker[start.kind];

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);		/* not bgworker_die: it works in the handler */
	BackgroundWorkerUnblockSignals();

	/*
	 * Whoever holds the database waits for pid to be 0 and then expects
	 * nobody in it.  So this must run after the callback by which
	 * InitPostgres() takes us out of the ProcArray; callbacks run last in,
	 * first out, so it is registered before the connection is made.
	 */
	on_shmem_exit(worker_gone, (Datum) 0);
	if (!take_slot(&start))
		proc_exit(0);
	prev_emit_log = emit_log_hook;
	emit_log_hook = keep_last_words;

	keep_freed_memory();
	force_settings();
	BackgroundWorkerInitializeConnectionByOid(start.dboid, start.roleid, 0);
	force_synchronous_commit();
	pgstat_report_appname(MyBgworkerEntry->bgw_name);

	context.callback = worker_context;
	context.arg = NULL;
	context.previous = error_context_stack;
	error_context_stack = &context;

	me.round = AllocSetContextCreate(TopMemoryContext, "refundx worker round",
									 ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(me.round);

	PG_TRY();
	{
		find_extension();
		bodies[me.kind] (&me);
	}
	PG_CATCH();
	{
		/* the end of this worker, but let the health view say why */
		MemoryContextSwitchTo(me.round);
		worker_problem(&me, "%s", CopyErrorData()->message);
		PG_RE_THROW();
	}
	PG_END_TRY();
	leave();
}

/*
 * Take the seat that the launcher meant.  Not if it is taken: a launcher that
 * was restarted may have asked for us twice.  Not if the database was held,
 * or given up, after the launcher looked: whoever holds it sets held_by first
 * and looks at the pids then, both under this lock, so either we see the hold
 * or it sees us.
 */
static bool
take_slot(const WorkerStart *start)
{
	bool		taken = false;

	LWLockAcquire(rx_shared->lock, LW_EXCLUSIVE);
	if (me.slot->pid == 0)
	{
		if (me.db->used && me.db->dboid == start->dboid && me.db->held_by == 0)
		{
			me.slot->pid = MyProcPid;
			me.slot->phase = PHASE_CONNECTING;
			my_database = me.db->name;
			my_port = me.db->port;
			taken = true;
		}
		else
			me.slot->phase = PHASE_LEFT;
	}
	LWLockRelease(rx_shared->lock);
	if (taken)
		shmem_worker_started(me.db, me.kind);
	return taken;
}

/* Runs at every exit; does nothing if the slot was never ours. */
static void
worker_gone(int code, Datum arg)
{
	if (me.kind == WORKER_LISTENER && me.slot->pid == MyProcPid)
		me.db->bound_port = 0;
	if (me.kind == WORKER_RUNNER && me.slot->pid == MyProcPid)
		me.db->call.end_at = 0;	/* that call will not be ended: the next runner is not meant */
	shmem_worker_stopped(me.db, me.kind);
}

/* Go quietly: no failure, no delay. */
static void
leave(void)
{
	LWLockAcquire(rx_shared->lock, LW_EXCLUSIVE);
	me.slot->phase = PHASE_LEFT;
	LWLockRelease(rx_shared->lock);
	pgstat_report_stat(true);
	proc_exit(0);
}

/* Read without the lock: whoever changes one of these wakes us afterwards. */
static void
leave_if_unwanted(void)
{
	DatabaseSlot *db = me.db;

	if (!db->used || db->dboid != MyDatabaseId || db->held_by != 0 || !db->present ||
		(me.kind == WORKER_LISTENER && db->port != my_port))
		leave();
}

static void
worker_context(void *arg)
{
	errcontext("refundx %s of database \"%s\"", worker_kind_name(me.kind),
			   NameStr(my_database));
}

/*
 * Of a FATAL error, such as a database that lets our role not connect, the log
 * alone would know.  Without the lock, which may be held here; only we write
 * our slot.
 */
static void
keep_last_words(ErrorData *error)
{
	if (error->elevel >= FATAL && error->message != NULL)
		strlcpy(me.slot->problem, error->message, sizeof(me.slot->problem));
	if (prev_emit_log)
		prev_emit_log(error);
}

/*
 * Every round takes some hundred kB and frees them.  Without this the C
 * library gives them back to the system each time, and faults them in again.
 */
static void
keep_freed_memory(void)
{
#ifdef __GLIBC__
	mallopt(M_TRIM_THRESHOLD, 4 * 1024 * 1024);
	mallopt(M_TOP_PAD, 512 * 1024);
#endif
}

/* ------------------------------------------------------------------------
 * Settings
 * ------------------------------------------------------------------------
 */

/*
 * Whatever ALTER DATABASE or ALTER ROLE says, our SQL means what it meant
 * when it was written.  statement_timeout and its like are armed by the main
 * loop of ordinary backends only, but functions look at them too.
 *
 * Plans are kept for as long as the worker lives, and the first are made when
 * the tables may be empty.  One that reads the whole table then would go on
 * doing so, in every round, until the next ANALYZE.
 */
static void
force_settings(void)
{
	static const char *const forced[][2] = {
		{"client_min_messages", "notice"},
		{"default_transaction_deferrable", "off"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"enable_seqscan", "off"},
		{"idle_in_transaction_session_timeout", "0"},
		{"jit", "off"},
		{"lock_timeout", "2s"},
		{"row_security", "off"},
		{"search_path", "pg_catalog, pg_temp"},
		{"session_replication_role", "origin"},
		{"statement_timeout", "0"},
	};
	int			i;

	for (i = 0; i < (int) lengthof(forced); i++)
		SetConfigOption(forced[i][0], forced[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

/*
 * What is committed before a byte goes out must be on disk.  A site's stronger
 * level stays; also looked at after each reload.
 */
static void
force_synchronous_commit(void)
{
	if (synchronous_commit <= SYNCHRONOUS_COMMIT_LOCAL_FLUSH)
		SetConfigOption("synchronous_commit", "on", PGC_SUSET, PGC_S_OVERRIDE);
}

/* ------------------------------------------------------------------------
 * The extension
 * ------------------------------------------------------------------------
 */

static void
begin_transaction(const char *what)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	pgstat_report_activity(STATE_RUNNING, what);
}

/*
 * Is the extension installed here, in our version?  If not, leave: the
 * launcher lets the dispatcher look again later.  The time of that look is
 * set before this one, so that CREATE EXTENSION, which makes it "now" when it
 * has committed, cannot be overtaken.
 */
static void
find_extension(void)
{
	char		version[64];
	char		problem[sizeof(me.db->problem)] = "";
	bool		was_present;
	bool		found;

	if (me.kind == WORKER_DISPATCHER)
	{
		LWLockAcquire(rx_shared->lock, LW_EXCLUSIVE);
		me.slot->start_after = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
														   WORKER_PROBE_INTERVAL_MS);
		LWLockRelease(rx_shared->lock);
	}

	begin_transaction("refundx: looking for the extension");
	found = extension_lookup(&my_extension, version, sizeof(version));
	CommitTransactionCommand();
	pgstat_report_activity(STATE_IDLE, NULL);
	MemoryContextSwitchTo(me.round);

	if (!found)
		strlcpy(problem, "the extension is not installed: CREATE EXTENSION refundx",
				sizeof(problem));
	else if (strcmp(version, REFUNDX_VERSION) != 0)
		snprintf(problem, sizeof(problem),
				 "the library is version %s, the extension is %s: ALTER EXTENSION refundx UPDATE, or restart the server",
				 REFUNDX_VERSION, version);

	LWLockAcquire(rx_shared->lock, LW_EXCLUSIVE);
	was_present = me.db->present;
	me.db->present = (problem[0] == '\0');
	strlcpy(me.db->problem, problem, sizeof(me.db->problem));
	if (problem[0] == '\0')
	{
		me.slot->phase = PHASE_WORKING;
		me.slot->start_after = 0;
	}
	LWLockRelease(rx_shared->lock);

	if (problem[0] != '\0')
		leave();
	if (!was_present)
		wake_launcher();		/* the others may come */
}

/* Look in pg_extension, with a snapshot of now. */
static bool
extension_lookup(Oid *oid, char *version, size_t size)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tup;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("refundx"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tup = systable_getnext(scan);
	*oid = InvalidOid;
	if (HeapTupleIsValid(tup))
	{
		bool		isnull;
		Datum		value = heap_getattr(tup, Anum_pg_extension_extversion,
										 RelationGetDescr(rel), &isnull);

		*oid = ((Form_pg_extension) GETSTRUCT(tup))->oid;
		strlcpy(version, isnull ? "" : TextDatumGetCString(value), size);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return OidIsValid(*oid);
}

/*
 * Keep the extension from being dropped until this transaction ends.  False
 * if somebody is dropping it right now.  If it was dropped, also if it is
 * back under another oid, this worker has nothing to do here: it leaves.
 */
static bool
guard_extension(void)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, my_extension, 0);
	if (LockAcquire(&tag, AccessShareLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	AcceptInvalidationMessages();
	if (get_extension_oid("refundx", true) != my_extension)
		extension_is_gone();
	return true;
}

static void
extension_is_gone(void)
{
	AbortCurrentTransaction();
	LWLockAcquire(rx_shared->lock, LW_EXCLUSIVE);
	me.db->present = false;
	me.db->worker[WORKER_DISPATCHER].start_after = 0;
	LWLockRelease(rx_shared->lock);
	leave();
}

/* ------------------------------------------------------------------------
 * The one wait
 * ------------------------------------------------------------------------
 */

void
worker_watch_fd(Worker *self, int fd)
{
	if (self->nfds >= WORKER_MAX_FDS)
		elog(ERROR, "a worker watches at most %d descriptors", WORKER_MAX_FDS);
	self->fds[self->nfds++] = fd;
	if (self->set != NULL)
		AddWaitEventToSet(self->set, WL_SOCKET_READABLE, fd, NULL, NULL);
}

/* A wait set cannot forget one descriptor, so the next wait makes a new one. */
void
worker_forget_fds(Worker *self)
{
	self->nfds = 0;
	if (self->set != NULL)
	{
		FreeWaitEventSet(self->set);
		self->set = NULL;
	}
}

static void
build_wait_set(void)
{
	int			i;

	me.set = compat_create_wait_event_set(2 + WORKER_MAX_FDS);
	AddWaitEventToSet(me.set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(me.set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (i = 0; i < me.nfds; i++)
		AddWaitEventToSet(me.set, WL_SOCKET_READABLE, me.fds[i], NULL, NULL);
}

void
worker_wait(Worker *self, int64 timeout_ms)
{
	static uint32 wait_event = 0;
	WaitEvent	event;

	Assert(!IsTransactionState());
	MemoryContextSwitchTo(self->round);
	MemoryContextReset(self->round);

	if (wait_event == 0)
		wait_event = compat_wait_event("RefundxWorkerMain");
	if (self->set == NULL)
		build_wait_set();
	if (timeout_ms < 0 || timeout_ms > rx_poll_interval)
		timeout_ms = rx_poll_interval;

	/* sends at most once a second; without it autovacuum never sees our rows */
	pgstat_report_stat(false);

	/*
	 * Once before sleeping too: a hold that was set while we worked has set
	 * the latch, but the body may have reset it.
	 */
	leave_if_unwanted();
	(void) WaitEventSetWait(self->set, (long) timeout_ms, &event, 1, wait_event);

	/* not reset blindly: a latch set just now must still be seen as set */
	if (MyLatch->is_set)
	{
		ResetLatch(MyLatch);
		self->woken = true;
	}

	QueryCancelPending = false; /* a worker that waits has no query to cancel */
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
		force_synchronous_commit();
		self->reloaded = true;
	}
	leave_if_unwanted();
	self->slot->last_round = GetCurrentTimestamp();
}

/* ------------------------------------------------------------------------
 * Transactions
 * ------------------------------------------------------------------------
 */

bool
worker_transaction(Worker *self, const char *what, void (*fn) (void *arg), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool done = false;

	PG_TRY();
	{
		begin_transaction(what);
		if (guard_extension())
		{
			SPI_connect();
			PushActiveSnapshot(GetTransactionSnapshot());
			fn(arg);
			PopActiveSnapshot();
			SPI_finish();
			CommitTransactionCommand();
			done = true;
		}
		else
			AbortCurrentTransaction();
	}
	PG_CATCH();
	{
		transaction_failed(what, context);
	}
	PG_END_TRY();

	MemoryContextSwitchTo(context);
	pgstat_report_activity(STATE_IDLE, NULL);
	if (done && failing[0] != '\0' && strncmp(failing, what, sizeof(failing) - 1) == 0)
		worker_problem(self, NULL);
	return done;
}

/*
 * After an ERROR: say it, undo it, remember it for the health view.  What
 * fails again and again is retried again and again, but logged once a minute.
 * (A FATAL error, such as pg_terminate_backend(), does not come here.)
 */
static void
transaction_failed(const char *what, MemoryContext context)
{
	static char logged[sizeof(me.slot->problem)];
	static TimestampTz logged_at = 0;
	char		problem[sizeof(me.slot->problem)];
	ErrorData  *error;
	TimestampTz now = GetCurrentTimestamp();

	HOLD_INTERRUPTS();
	QueryCancelPending = false; /* it has been obeyed */
	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	snprintf(problem, sizeof(problem), "%s: %s", what, error->message);

	/* whatever was being done: two steps may fail of the same cause in turn */
	if (strncmp(error->message, logged, sizeof(logged) - 1) != 0 ||
		TimestampDifferenceExceeds(logged_at, now, SAME_ERROR_EVERY_MS))
	{
		EmitErrorReport();
		strlcpy(logged, error->message, sizeof(logged));
		logged_at = now;
	}
	FreeErrorData(error);
	AbortOutOfAnyTransaction(); /* also out of a subtransaction */
	MemoryContextSwitchTo(context);
	FlushErrorState();

	worker_problem(&me, "%s", problem);
	strlcpy(failing, what, sizeof(failing));
	RESUME_INTERRUPTS();
}

/* ------------------------------------------------------------------------
 * What the health view shows
 * ------------------------------------------------------------------------
 */

void
worker_problem(Worker *self, const char *fmt,...)
{
	char		text[sizeof(self->slot->problem)] = "";
	va_list		args;

	if (fmt != NULL)
	{
		va_start(args, fmt);
		vsnprintf(text, sizeof(text), fmt, args);
		va_end(args);
	}
	failing[0] = '\0';
	if (strcmp(self->slot->problem, text) == 0)
		return;					/* only we write it, so no lock to compare */
	LWLockAcquire(rx_shared->lock, LW_EXCLUSIVE);
	strlcpy(self->slot->problem, text, sizeof(self->slot->problem));
	LWLockRelease(rx_shared->lock);
}

/*
 * Called in every round, so without the lock, which every committing backend
 * shares: the numbers are single aligned words that only we write.  The text
 * needs the lock, when it changes.
 */
void
worker_report(Worker *self, int64 backlog, int64 active, TimestampTz behind_since,
			  const char *doing)
{
	WorkerSlot *slot = self->slot;

	if (doing == NULL)
		doing = "";
	slot->backlog = backlog;
	slot->active = active;
	slot->behind_since = behind_since;
	if (strncmp(slot->doing, doing, sizeof(slot->doing) - 1) != 0)
	{
		LWLockAcquire(rx_shared->lock, LW_EXCLUSIVE);
		strlcpy(slot->doing, doing, sizeof(slot->doing));
		LWLockRelease(rx_shared->lock);
	}
}

/* ------------------------------------------------------------------------
 * Sockets
 *
 * A server that runs out of descriptors cannot open a WAL segment, and that
 * is a PANIC.  So ours are counted with those that Postgres knows.
 * ------------------------------------------------------------------------
 */

bool
worker_acquire_fd(void)
{
	return AcquireExternalFD();
}

void
worker_release_fd(void)
{
	ReleaseExternalFD();
}
