/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  Shared memory, and waking workers; see shmem.h.
 *
 * src/base/shmem.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/pace.h"
#include "base/pg_compat.h"

#include "access/xact.h"
#include "base/errors.h"
#include "base/settings.h"
#include "base/shmem.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"

SharedState *rx_shared = NULL;

static shmem_startup_hook_type prev_shmem_startup_hook = NULL;
#ifdef COMPAT_HAVE_SHMEM_REQUEST_HOOK
static shmem_request_hook_type prev_shmem_request_hook = NULL;
#endif

/* Workers to wake at commit, one bit per kind. */
static uint32 wake_pending = 0;

static void shmem_request(void);
static void shmem_startup(void);
static void wake_xact_callback(XactEvent event, void *arg);

const char *
worker_kind_name(WorkerKind kind)
{
	static const char *const names[WORKER_KINDS] = {
		"dispatcher", "listener", "settler", "runner", "courier", "clerk"
	};

	return names[kind];
}

static Size
shmem_size(void)
{
	return add_size(offsetof(SharedState, database),
					mul_size(rx_max_databases, sizeof(DatabaseSlot)));
}

void
shmem_install_hooks(void)
{
#ifdef COMPAT_HAVE_SHMEM_REQUEST_HOOK
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = shmem_request;
#else
	shmem_request();
#endif
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
}

static void
shmem_request(void)
{
#ifdef COMPAT_HAVE_SHMEM_REQUEST_HOOK
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
#endif
	RequestAddinShmemSpace(add_size(shmem_size(), pace_shmem_size()));
	RequestNamedLWLockTranche("refundx", 1);
}

static void
init_progress(BillProgress *p)
{
	pg_atomic_init_u64(&p->bill_id, 0);
	pg_atomic_init_u64(&p->done, 0);
}

static void
shmem_startup(void)
{
	bool		found;
	int			i;
	int			k;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	rx_shared = ShmemInitStruct("refundx", shmem_size(), &found);
	if (!found)
	{
		memset(rx_shared, 0, shmem_size());
		rx_shared->lock = &(GetNamedLWLockTranche("refundx"))->lock;
		rx_shared->ndatabases = rx_max_databases;
		pg_atomic_init_u32(&rx_shared->launcher_procno, WORKER_NO_PROC);
		ConditionVariableInit(&rx_shared->workers_changed);
		for (i = 0; i < rx_max_databases; i++)
		{
			ConditionVariableInit(&rx_shared->database[i].settled);
			init_progress(&rx_shared->database[i].reading);
			for (k = 0; k < BILLS_AT_ONCE; k++)
				init_progress(&rx_shared->database[i].fetching[k]);
			for (k = 0; k < WORKER_KINDS; k++)
			{
				pg_atomic_init_u32(&rx_shared->database[i].worker[k].procno, WORKER_NO_PROC);
				pg_atomic_init_u32(&rx_shared->database[i].worker[k].quiet, 0);
			}
		}
	}
	pace_shmem_init();
	LWLockRelease(AddinShmemInitLock);
}

void
shmem_require(void)
{
	if (rx_shared == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_RX_NOT_READY),
				 errmsg("refundx is not preloaded"),
				 errdetail("Nothing would ever be sent: its workers run only if the library is loaded at server start."),
				 errhint("Add refundx to shared_preload_libraries in postgresql.conf and restart the server.")));
}

/*
 * Slots move only when refundx.databases changes, so the index found last is
 * nearly always right; it is checked, not trusted.
 */
DatabaseSlot *
shmem_my_database(void)
{
	static int	last = 0;
	DatabaseSlot *found = NULL;
	int			i;

	if (rx_shared == NULL || !OidIsValid(MyDatabaseId))
		return NULL;

	LWLockAcquire(rx_shared->lock, LW_SHARED);
	for (i = 0; i < rx_shared->ndatabases; i++)
	{
		int			at = (last + i) % rx_shared->ndatabases;

		if (rx_shared->database[at].used && rx_shared->database[at].dboid == MyDatabaseId)
		{
			last = at;
			found = &rx_shared->database[at];
			break;
		}
	}
	LWLockRelease(rx_shared->lock);
	return found;
}

void
shmem_worker_started(DatabaseSlot *db, WorkerKind kind)
{
	WorkerSlot *w = &db->worker[kind];

	LWLockAcquire(rx_shared->lock, LW_EXCLUSIVE);
	w->pid = MyProcPid;
	w->started_at = w->last_round = GetCurrentTimestamp();
	w->behind_since = 0;
	w->done = w->backlog = w->active = 0;
	w->doing[0] = w->problem[0] = '\0';
	if (kind == WORKER_CLERK)
		db->clerk_wanted = false;
	pg_atomic_write_u32(&w->quiet, 0);
	pg_atomic_write_u32(&w->procno, (uint32) compat_my_procno());
	LWLockRelease(rx_shared->lock);
	ConditionVariableBroadcast(&rx_shared->workers_changed);
}

void
shmem_worker_stopped(DatabaseSlot *db, WorkerKind kind)
{
	WorkerSlot *w = &db->worker[kind];

	LWLockAcquire(rx_shared->lock, LW_EXCLUSIVE);
	if (w->pid == MyProcPid)
	{
		w->pid = 0;
		w->stopped_at = GetCurrentTimestamp();
		pg_atomic_write_u32(&w->procno, WORKER_NO_PROC);
		if (kind == WORKER_DISPATCHER)
			pace_forget_database((int) (db - rx_shared->database));
	}
	LWLockRelease(rx_shared->lock);
	ConditionVariableBroadcast(&rx_shared->workers_changed);
	wake_launcher();
}

static void
wake_procno(uint32 procno)
{
	if (procno != WORKER_NO_PROC && procno < (uint32) ProcGlobal->allProcCount)
		SetLatch(&ProcGlobal->allProcs[procno].procLatch);
}

void
wake_worker(DatabaseSlot *db, WorkerKind kind)
{
	if (pg_atomic_read_u32(&db->worker[kind].quiet) == 0)
		wake_procno(pg_atomic_read_u32(&db->worker[kind].procno));
}

void
wake_not_wanted(DatabaseSlot *db, WorkerKind kind, bool quiet)
{
	pg_atomic_write_u32(&db->worker[kind].quiet, quiet ? 1 : 0);
}

void
wake_launcher(void)
{
	wake_procno(pg_atomic_read_u32(&rx_shared->launcher_procno));
}

void
wake_at_commit(WorkerKind kind)
{
	wake_pending |= 1u << kind;
}

/*
 * The clerk is not there most of the time: the launcher starts it.  One that is
 * running may have gone past what is new, so it is started again after its end.
 */
static void
start_clerk(DatabaseSlot *db)
{
	LWLockAcquire(rx_shared->lock, LW_EXCLUSIVE);
	db->clerk_wanted = true;
	LWLockRelease(rx_shared->lock);
	wake_launcher();
}

/*
 * Registered once per backend, never once per transaction: the list of
 * callbacks only grows, and every transaction walks it.
 */
void
wake_install_callback(void)
{
	static bool installed = false;

	if (!installed)
	{
		RegisterXactCallback(wake_xact_callback, NULL);
		installed = true;
	}
}

/*
 * At XACT_EVENT_COMMIT the transaction is durable and visible, and an ERROR
 * would be a PANIC: so only shared memory and latches here.  LWLockAcquire
 * (in shmem_my_database) neither allocates nor fails.
 */
static void
wake_xact_callback(XactEvent event, void *arg)
{
	uint32		pending = wake_pending;
	DatabaseSlot *db;
	int			k;

	if (pending == 0)
		return;
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			wake_pending = 0;
			db = shmem_my_database();
			for (k = 0; db != NULL && k < WORKER_KINDS; k++)
				if (pending & (1u << k))
				{
					if (k == WORKER_CLERK)
						start_clerk(db);
					else
						wake_worker(db, (WorkerKind) k);
				}
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			wake_pending = 0;
			break;
		default:
			break;
	}
}
