/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  Keeps the workers of every configured database running.
 *
 * One static background worker, connected to no database: it reads only the
 * shared catalogs (pg_database, pg_authid).  The workers are dynamic and never
 * restart by themselves; only the launcher restarts them, later each time when
 * they fail quickly.  See README.md in this directory for a worker's life.
 *
 * What it must survive:
 *
 * - CREATE EXTENSION, committed: the hook has the database probed at once.
 *	 Rolled back: the probe, if any, finds nothing and goes.
 * - DROP EXTENSION: the workers have left before (hooks.c); committed, one
 *	 probe finds nothing; rolled back, they come back.
 * - DROP DATABASE, RENAME, SET TABLESPACE, use as TEMPLATE: while a database
 *	 is held nothing is started there and its slot is not touched.  The hold
 *	 ends with the transaction of its backend, however that ends; the launcher
 *	 clears one whose backend is gone all the same.
 * - DROP DATABASE ... WITH (FORCE), or pg_terminate_backend() of any worker:
 *	 a failure like others; it is restarted, unless the database is gone.
 * - a database dropped and created again under the same name: another oid, so
 *	 the slot is given up, and taken again when its last worker has left.
 * - reload: databases come and go, a changed port makes the listener leave.
 * - max_worker_processes exhausted, a role or a database missing, a database
 *	 that allows no connections: a problem in words, logged when it changes,
 *	 looked at again; never an error.
 * - its own end (pg_terminate_backend): the workers go on; the postmaster
 *	 starts a new launcher, which finds them in shared memory.
 * - a handler of the application's that does not end: the runner is terminated.
 * - a crash of the server: shared memory and the dynamic workers are gone, it
 *	 starts from nothing.
 * - a standby: it is not started before the promotion.
 *
 * It may not: touch a table, wait for a lock or for a worker, or loop without
 * a pause.  An ERROR ends it; the postmaster starts it again.
 *
 * src/worker/launcher.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/pg_compat.h"

#include <signal.h>

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "base/settings.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/procarray.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/worker.h"

#define LAUNCHER_RESTART_S		5
#define LOOK_INTERVAL_MS		5000	/* at pg_database, if nothing wakes us */
#define RESPAWN_GAP_MS			500 /* between two starts of one worker */
#define RESTART_DELAY_MAX_MS	60000
#define HEALTHY_LIFE_MS			60000	/* forgets earlier failures */
#define NO_ROOM_DELAY_MS		5000

/* pg_database.datconnlimit of a database whose DROP was interrupted */
#define INVALID_DATABASE		(-2)

/* What we know of a worker and nobody else needs to. */
typedef struct Seat
{
	BackgroundWorkerHandle *handle; /* NULL if not started by this launcher */
	bool		running;		/* at our last look */
	TimestampTz asked_at;		/* when we last had it started */
} Seat;

/* An entry of refundx.databases, and what the catalog says about it. */
typedef struct Target
{
	DatabaseSetting setting;
	Oid			dboid;			/* InvalidOid if nothing can run there */
	const char *problem;
	bool		seated;
} Target;

static Seat (*seats)[WORKER_KINDS];
static Oid	role_oid[WORKER_KINDS];

static void launcher_gone(int code, Datum arg);
static void launcher_wait(TimestampTz until);
static TimestampTz launcher_round(void);

static int	read_targets(Target *targets);
static void look_up_databases(Target *targets, int n);
static void look_up_roles(void);

static void clear_orphaned_holds(void);
static void retire_slots(Target *targets, int n);
static void fill_slots(Target *targets, int n);
static void refresh_slot(DatabaseSlot *db, Target *t);

static TimestampTz tend_seat(int slot, WorkerKind kind);
static bool seat_alive(int slot, WorkerKind kind);
static bool seat_wanted(DatabaseSlot *db, WorkerKind kind);
static TimestampTz watch_call(DatabaseSlot *db);
static TimestampTz seat_due(int slot, WorkerKind kind);
static void account_for_end(int slot, WorkerKind kind);
static void start_worker(int slot, WorkerKind kind);
static void seat_problem(int slot, WorkerKind kind, const char *problem, const char *hint);

/* ------------------------------------------------------------------------
 * In the postmaster
 * ------------------------------------------------------------------------
 */

void
launcher_register(void)
{
	BackgroundWorker bgw;

	memset(&bgw, 0, sizeof(bgw));
	snprintf(bgw.bgw_name, BGW_MAXLEN, "refundx launcher");
	snprintf(bgw.bgw_type, BGW_MAXLEN, "refundx launcher");
	snprintf(bgw.bgw_library_name, sizeof(bgw.bgw_library_name), "refundx");
	snprintf(bgw.bgw_function_name, BGW_MAXLEN, "refundx_launcher_main");
	bgw.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	bgw.bgw_start_time = BgWorkerStart_RecoveryFinished;
	bgw.bgw_restart_time = LAUNCHER_RESTART_S;
	RegisterBackgroundWorker(&bgw);
}

/* ------------------------------------------------------------------------
 * In the launcher
 * ------------------------------------------------------------------------
 */

void
refundx_launcher_main(Datum arg)
{
	MemoryContext round;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	on_shmem_exit(launcher_gone, (Datum) 0);
	LWLockAcquire(rx_shared->lock, LW_EXCLUSIVE);
	rx_shared->launcher_pid = MyProcPid;
	pg_atomic_write_u32(&rx_shared->launcher_procno, (uint32) compat_my_procno());
	LWLockRelease(rx_shared->lock);

	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pgstat_report_appname(MyBgworkerEntry->bgw_name);

	seats = MemoryContextAllocZero(TopMemoryContext,
								   sizeof(*seats) * rx_shared->ndatabases);
	round = AllocSetContextCreate(TopMemoryContext, "refundx launcher round",
								  ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		TimestampTz next;

		MemoryContextSwitchTo(round);
		next = launcher_round();
		MemoryContextReset(round);
		launcher_wait(next);
	}
}

static void
launcher_gone(int code, Datum arg)
{
	LWLockAcquire(rx_shared->lock, LW_EXCLUSIVE);
	if (rx_shared->launcher_pid == MyProcPid)
	{
		rx_shared->launcher_pid = 0;
		pg_atomic_write_u32(&rx_shared->launcher_procno, WORKER_NO_PROC);
	}
	LWLockRelease(rx_shared->lock);
}

/*
 * The latch is set by a worker that starts or ends (bgw_notify_pid), by one
 * that leaves (shmem_worker_stopped), by the hooks, and by a reload.
 */
static void
launcher_wait(TimestampTz until)
{
	static uint32 wait_event = 0;
	long		timeout;

	if (wait_event == 0)
		wait_event = compat_wait_event("RefundxLauncherMain");

	/* +1: not awake just before the time, to go round once more for nothing */
	timeout = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until) + 1;
	timeout = Min(timeout, LOOK_INTERVAL_MS);
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 timeout, wait_event);
	ResetLatch(MyLatch);

	QueryCancelPending = false; /* there is no query to cancel */
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

/*
 * Make what runs agree with what is configured.  Returns when to look again,
 * at the latest.
 */
static TimestampTz
launcher_round(void)
{
	Target		targets[SETTINGS_MAX_DATABASES];
	TimestampTz next = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LOOK_INTERVAL_MS);
	int			n;
	int			i;
	int			k;

	n = read_targets(targets);

	LWLockAcquire(rx_shared->lock, LW_EXCLUSIVE);
	clear_orphaned_holds();
	retire_slots(targets, n);
	fill_slots(targets, n);
	LWLockRelease(rx_shared->lock);

	for (i = 0; i < rx_shared->ndatabases; i++)
	{
		TimestampTz end_at = watch_call(&rx_shared->database[i]);

		if (end_at != 0 && end_at < next)
			next = end_at;
		for (k = 0; k < WORKER_KINDS; k++)
		{
			TimestampTz due = tend_seat(i, (WorkerKind) k);

			if (due != 0 && due < next)
				next = due;
		}
	}
	return next;
}

/* ------------------------------------------------------------------------
 * The launcher: what is configured, and what the catalogs say of it
 * ------------------------------------------------------------------------
 */

static int
read_targets(Target *targets)
{
	DatabaseSetting settings[SETTINGS_MAX_DATABASES];
	char		err[160];
	int			n;
	int			i;

	/* the check hook has accepted it: this cannot fail */
	n = Max(settings_parse_databases(rx_databases, settings, err, sizeof(err)), 0);
	for (i = 0; i < n; i++)
	{
		targets[i].setting = settings[i];
		targets[i].dboid = InvalidOid;
		targets[i].problem = "there is no database of this name";
		targets[i].seated = false;
	}
	if (n == 0)
		return 0;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	pgstat_report_activity(STATE_RUNNING, "refundx: looking for databases and roles");
	look_up_databases(targets, n);
	look_up_roles();
	CommitTransactionCommand();
	pgstat_report_activity(STATE_IDLE, NULL);
	return n;
}

/*
 * Without a database there is no index access and no syscache to rely on; the
 * shared catalogs can be read from end to end, as autovacuum's launcher does.
 */
static void
look_up_databases(Target *targets, int n)
{
	Relation	rel = table_open(DatabaseRelationId, AccessShareLock);
	TableScanDesc scan = table_beginscan_catalog(rel, 0, NULL);
	HeapTuple	tup;
	int			i;

	while ((tup = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tup);

		for (i = 0; i < n; i++)
			if (strcmp(NameStr(form->datname), targets[i].setting.name) == 0)
				break;
		if (i == n)
			continue;
		if (form->datconnlimit == INVALID_DATABASE)
			targets[i].problem = "a DROP DATABASE of it was interrupted; drop it again";
		else if (form->datistemplate)
			targets[i].problem = "it is a template; a copy of it must not pay";
		else if (!form->datallowconn)
			targets[i].problem = "it does not allow connections";
		else
		{
			targets[i].dboid = form->oid;
			targets[i].problem = NULL;
		}
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
}

/* A worker's role must be known before it connects. */
static void
look_up_roles(void)
{
	Relation	rel = table_open(AuthIdRelationId, AccessShareLock);
	TableScanDesc scan = table_beginscan_catalog(rel, 0, NULL);
	HeapTuple	tup;
	int			k;

	memset(role_oid, 0, sizeof(role_oid));
	while ((tup = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_authid form = (Form_pg_authid) GETSTRUCT(tup);
		const char *name = NameStr(form->rolname);

		if (strncmp(name, "refundx_", 8) != 0)
			continue;
		for (k = 0; k < WORKER_KINDS; k++)
			if (strcmp(name + 8, worker_kind_name((WorkerKind) k)) == 0)
				role_oid[k] = form->oid;
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
}

/* ------------------------------------------------------------------------
 * The launcher: the slots of databases.  Called under the exclusive lock.
 * ------------------------------------------------------------------------
 */

/*
 * A hold ends in its backend's transaction callback (hooks.c), also when that
 * backend is terminated.  This is for the day when somebody finds a way past.
 */
static void
clear_orphaned_holds(void)
{
	int			i;

	for (i = 0; i < rx_shared->ndatabases; i++)
	{
		DatabaseSlot *db = &rx_shared->database[i];

		if (db->held_by != 0 && BackendPidGetProc(db->held_by) == NULL)
			db->held_by = 0;
	}
}

/*
 * Give up the slots of databases that are no longer configured, or no longer
 * the same.  Their workers see it and leave; until then nobody else gets the
 * slot.  A held database is left alone: its catalog rows are about to change.
 */
static void
retire_slots(Target *targets, int n)
{
	int			i;
	int			j;
	int			k;

	for (i = 0; i < rx_shared->ndatabases; i++)
	{
		DatabaseSlot *db = &rx_shared->database[i];

		if (!db->used)
			continue;
		for (j = 0; j < n; j++)
			if (strcmp(NameStr(db->name), targets[j].setting.name) == 0)
				break;
		if (j < n && (db->held_by != 0 || db->dboid == targets[j].dboid))
		{
			targets[j].seated = true;
			if (db->held_by == 0)
				refresh_slot(db, &targets[j]);
			continue;
		}
		if (db->held_by != 0)
			continue;
		db->used = false;
		db->present = false;
		for (k = 0; k < WORKER_KINDS; k++)
			wake_worker(db, (WorkerKind) k);
	}
}

static void
fill_slots(Target *targets, int n)
{
	static bool complained = false;
	bool		no_room = false;
	int			i = 0;
	int			j;

	for (j = 0; j < n; j++)
	{
		DatabaseSlot *db = NULL;
		int			k;

		if (targets[j].seated)
			continue;
		for (; i < rx_shared->ndatabases && db == NULL; i++)
		{
			DatabaseSlot *candidate = &rx_shared->database[i];
			bool		empty = !candidate->used;

			for (k = 0; k < WORKER_KINDS; k++)
				if (candidate->worker[k].pid != 0 || seats[i][k].handle != NULL)
					empty = false;
			if (empty)
				db = candidate;
		}
		if (db == NULL)
		{
			no_room = true;
			break;
		}
		for (k = 0; k < WORKER_KINDS; k++)
		{
			WorkerSlot *w = &db->worker[k];

			w->phase = PHASE_NONE;
			w->quick_failures = 0;
			w->restarts = w->done = w->backlog = w->active = 0;
			w->started_at = w->stopped_at = w->start_after = 0;
			w->last_round = w->behind_since = 0;
			w->doing[0] = w->problem[0] = '\0';
		}
		db->bound_port = 0;
		db->held_by = 0;
		db->present = false;
		db->runner_wanted = false;
		memset(&db->call, 0, sizeof(db->call));
		db->problem[0] = '\0';
		namestrcpy(&db->name, targets[j].setting.name);
		db->dboid = targets[j].dboid;
		db->used = true;
		refresh_slot(db, &targets[j]);
	}

	/* a slot that is being given up will be free in a moment: say so only if none is */
	if (no_room && n > rx_shared->ndatabases && !complained)
		ereport(LOG,
				(errmsg("refundx.databases names %d databases, but there is room for %d",
						n, rx_shared->ndatabases),
				 errhint("Raise refundx.max_databases and restart the server.")));
	complained = no_room && n > rx_shared->ndatabases;
}

/* The port, and what is wrong with a database nobody can connect to. */
static void
refresh_slot(DatabaseSlot *db, Target *t)
{
	if (db->port != t->setting.port)
	{
		db->port = t->setting.port;
		wake_worker(db, WORKER_LISTENER);
	}
	if (t->problem != NULL && strcmp(db->problem, t->problem) != 0)
	{
		strlcpy(db->problem, t->problem, sizeof(db->problem));
		ereport(LOG,
				(errmsg("refundx cannot work in database \"%s\": %s",
						NameStr(db->name), t->problem)));
	}
	else if (t->problem == NULL && !OidIsValid(role_oid[WORKER_DISPATCHER]))
		strlcpy(db->problem, "the extension is not installed: CREATE EXTENSION refundx",
				sizeof(db->problem));
}

/* ------------------------------------------------------------------------
 * The launcher: the workers
 * ------------------------------------------------------------------------
 */

/*
 * Note a worker's end, start it when it is wanted and due.  Returns when it
 * will be due, 0 if there is nothing to wait for.
 */
static TimestampTz
tend_seat(int slot, WorkerKind kind)
{
	DatabaseSlot *db = &rx_shared->database[slot];
	Seat	   *seat = &seats[slot][kind];
	bool		alive = seat_alive(slot, kind);
	TimestampTz due;

	if (seat->running && !alive)
		account_for_end(slot, kind);
	seat->running = alive;
	if (alive || !seat_wanted(db, kind))
		return 0;

	due = seat_due(slot, kind);
	if (due > GetCurrentTimestamp())
		return due;
	start_worker(slot, kind);
	return 0;
}

/*
 * Running, or about to: what the postmaster says of the worker that we asked
 * for, and what shared memory says of one that an earlier launcher asked for.
 */
static bool
seat_alive(int slot, WorkerKind kind)
{
	Seat	   *seat = &seats[slot][kind];
	bool		alive = false;
	pid_t		pid;

	if (seat->handle != NULL)
	{
		switch (GetBackgroundWorkerPid(seat->handle, &pid))
		{
			case BGWH_STARTED:
			case BGWH_NOT_YET_STARTED:
				alive = true;
				break;
			case BGWH_STOPPED:
				pfree(seat->handle);
				seat->handle = NULL;
				break;
			case BGWH_POSTMASTER_DIED:
				proc_exit(1);
		}
	}
	return alive || rx_shared->database[slot].worker[kind].pid != 0;
}

/*
 * held_by may change right after we have looked: a worker that starts looks
 * again, under the lock, before it connects (loop.c).
 */
static bool
seat_wanted(DatabaseSlot *db, WorkerKind kind)
{
	if (!db->used || !OidIsValid(db->dboid) || db->held_by != 0)
		return false;
	if (!db->present)
		return kind == WORKER_DISPATCHER && OidIsValid(role_oid[kind]);
	if (kind == WORKER_RUNNER)
		return db->runner_wanted;
	return kind != WORKER_LISTENER || db->port != 0;
}

/*
 * A handler that has caught the cancel at its time limit is ended with its process at
 * twice that.  Returns when that is, 0 if none is called.
 */
static TimestampTz
watch_call(DatabaseSlot *db)
{
	TimestampTz end_at;
	bool		over;

	/* a glance without the lock: only the runner writes it, and we look again */
	if (db->call.end_at == 0)
		return 0;
	LWLockAcquire(rx_shared->lock, LW_EXCLUSIVE);
	end_at = db->call.end_at;
	over = end_at != 0 && end_at <= GetCurrentTimestamp();
	if (over && db->worker[WORKER_RUNNER].pid != 0)
	{
		db->call.ended = true;
		kill(db->worker[WORKER_RUNNER].pid, SIGTERM);
	}
	LWLockRelease(rx_shared->lock);
	return over ? TimestampTzPlusMilliseconds(GetCurrentTimestamp(), RESPAWN_GAP_MS) : end_at;
}

static TimestampTz
seat_due(int slot, WorkerKind kind)
{
	WorkerSlot *w = &rx_shared->database[slot].worker[kind];
	TimestampTz due;

	LWLockAcquire(rx_shared->lock, LW_SHARED);
	due = w->start_after;
	if (kind == WORKER_CLERK && w->started_at != 0 && !rx_shared->database[slot].clerk_wanted)
		due = Max(due, TimestampTzPlusMilliseconds(w->started_at,
												   (int64) rx_clerk_interval * 1000));
	LWLockRelease(rx_shared->lock);
	return Max(due, TimestampTzPlusMilliseconds(seats[slot][kind].asked_at, RESPAWN_GAP_MS));
}

/*
 * A worker has ended.  If it did not leave by itself it failed, and whoever
 * fails quickly is restarted later each time: 1 s, 2, 4 ... 60.
 */
static void
account_for_end(int slot, WorkerKind kind)
{
	WorkerSlot *w = &rx_shared->database[slot].worker[kind];
	int64		delay;

	LWLockAcquire(rx_shared->lock, LW_EXCLUSIVE);
	if (w->phase == PHASE_LEFT)
		w->quick_failures = 0;
	else if (kind == WORKER_RUNNER && rx_shared->database[slot].call.ended)
	{
		/* by us, for the sake of the others, who do not wait longer for it */
		w->quick_failures = 0;
		w->restarts++;
	}
	else
	{
		if (w->phase == PHASE_WORKING &&
			w->stopped_at - w->started_at >= (int64) HEALTHY_LIFE_MS * 1000)
			w->quick_failures = 0;
		delay = (int64) 1000 << Min(w->quick_failures, 10);
		w->start_after = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													 Min(delay, RESTART_DELAY_MAX_MS));
		w->quick_failures++;
		w->restarts++;
		if (w->phase != PHASE_WORKING && w->problem[0] == '\0')
			strlcpy(w->problem, "it could not start; the server log says why",
					sizeof(w->problem));
	}
	LWLockRelease(rx_shared->lock);
}

static void
start_worker(int slot, WorkerKind kind)
{
	DatabaseSlot *db = &rx_shared->database[slot];
	Seat	   *seat = &seats[slot][kind];
	BackgroundWorker bgw;
	WorkerStart start = {0};
	MemoryContext old;
	bool		registered;

	if (!OidIsValid(role_oid[kind]))
	{
		seat_problem(slot, kind,
					 psprintf("role refundx_%s does not exist", worker_kind_name(kind)),
					 "CREATE EXTENSION refundx creates it.");
		return;
	}

	start.dboid = db->dboid;
	start.roleid = role_oid[kind];
	start.slot = slot;
	start.kind = kind;

	memset(&bgw, 0, sizeof(bgw));
	snprintf(bgw.bgw_name, BGW_MAXLEN, "refundx %s (%s)", worker_kind_name(kind),
			 NameStr(db->name));
	snprintf(bgw.bgw_type, BGW_MAXLEN, "refundx %s", worker_kind_name(kind));
	snprintf(bgw.bgw_library_name, sizeof(bgw.bgw_library_name), "refundx");
	snprintf(bgw.bgw_function_name, BGW_MAXLEN, "refundx_worker_main");
	bgw.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	bgw.bgw_start_time = BgWorkerStart_RecoveryFinished;
	bgw.bgw_restart_time = BGW_NEVER_RESTART;
	bgw.bgw_main_arg = Int32GetDatum(slot);
	bgw.bgw_notify_pid = MyProcPid;
	StaticAssertStmt(sizeof(start) <= BGW_EXTRALEN, "WorkerStart does not fit");
	memcpy(bgw.bgw_extra, &start, sizeof(start));

	/* its end says nothing about a life that has not begun */
	LWLockAcquire(rx_shared->lock, LW_EXCLUSIVE);
	db->worker[kind].phase = PHASE_NONE;
	LWLockRelease(rx_shared->lock);

	old = MemoryContextSwitchTo(TopMemoryContext);	/* where the handle lives */
	registered = RegisterDynamicBackgroundWorker(&bgw, &seat->handle);
	MemoryContextSwitchTo(old);
	seat->asked_at = GetCurrentTimestamp();
	seat->running = registered;
	if (!registered)
	{
		seat->handle = NULL;
		seat_problem(slot, kind,
					 psprintf("no free worker process: max_worker_processes is %d",
							  max_worker_processes),
					 "Raise max_worker_processes and restart the server.");
	}
}

/* Why a worker cannot be started; logged when it is news, tried again later. */
static void
seat_problem(int slot, WorkerKind kind, const char *problem, const char *hint)
{
	DatabaseSlot *db = &rx_shared->database[slot];
	WorkerSlot *w = &db->worker[kind];
	bool		news;

	LWLockAcquire(rx_shared->lock, LW_EXCLUSIVE);
	news = strcmp(w->problem, problem) != 0;
	strlcpy(w->problem, problem, sizeof(w->problem));
	w->start_after = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), NO_ROOM_DELAY_MS);
	LWLockRelease(rx_shared->lock);
	if (news)
		ereport(LOG,
				(errmsg("cannot start the refundx %s of database \"%s\": %s",
						worker_kind_name(kind), NameStr(db->name), problem),
				 errhint("%s", hint)));
}
