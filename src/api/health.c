/*-------------------------------------------------------------------------
 *
 * health.c
 *	  What the processes are doing, and which installation this is.
 *
 * src/api/health.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/pg_compat.h"

#include "access/htup_details.h"
#if PG_VERSION_NUM >= 150000
#include "access/xlogrecovery.h"
#endif
#include "base/clock.h"
#include "base/settings.h"
#include "base/shmem.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define STATUS_COLUMNS	13

PG_FUNCTION_INFO_V1(refundx_worker_status);
PG_FUNCTION_INFO_V1(refundx_installation);

static void status_of_database(ReturnSetInfo *rsinfo, const DatabaseSlot *db);
static void status_of_worker(ReturnSetInfo *rsinfo, const DatabaseSlot *db, WorkerKind kind);
static const char *worker_state(const DatabaseSlot *db, WorkerKind kind);
static const char *worker_trouble(const DatabaseSlot *db, WorkerKind kind);
static void status_of_unseated(ReturnSetInfo *rsinfo, const DatabaseSlot *seated);

/*
 * refundx.worker_status() RETURNS SETOF (database text, kind text, pid int,
 *		port int, state text, since timestamptz, doing text, backlog bigint,
 *		active bigint, behind interval, done bigint, restarts bigint,
 *		problem text)
 *
 * One row for each configured database and kind of worker; a listener only
 * where there is a port, a runner where there are handlers.  The state is one of
 *	  up, starting, waiting to restart, down	plain words
 *	  idle			the clerk between two rounds
 *	  held			a command such as DROP DATABASE needs it gone
 *	  not installed there is no extension in the database
 * since is when that began, as far as is known.  The port is the one that the
 * listener has, else the one it should have.
 */
Datum
refundx_worker_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	DatabaseSlot *copy;
	Size		size;
	int			i;

	shmem_require();
	InitMaterializedSRF(fcinfo, 0);

	/* a copy, so that the lock is not held while rows are made */
	size = mul_size(rx_shared->ndatabases, sizeof(DatabaseSlot));
	copy = palloc(size);
	LWLockAcquire(rx_shared->lock, LW_SHARED);
	memcpy(copy, rx_shared->database, size);
	LWLockRelease(rx_shared->lock);

	for (i = 0; i < rx_shared->ndatabases; i++)
		if (copy[i].used)
			status_of_database(rsinfo, &copy[i]);
	status_of_unseated(rsinfo, copy);
	return (Datum) 0;
}

static void
status_of_database(ReturnSetInfo *rsinfo, const DatabaseSlot *db)
{
	int			k;

	for (k = 0; k < WORKER_KINDS; k++)
		if (db->worker[k].pid != 0 || (k == WORKER_LISTENER ? db->port != 0 : k == WORKER_RUNNER ? db->runner_wanted : true))
			status_of_worker(rsinfo, db, (WorkerKind) k);
}

static void
status_of_worker(ReturnSetInfo *rsinfo, const DatabaseSlot *db, WorkerKind kind)
{
	const WorkerSlot *w = &db->worker[kind];
	Datum		values[STATUS_COLUMNS] = {0};
	bool		nulls[STATUS_COLUMNS] = {0};
	TimestampTz since = w->pid != 0 ? w->started_at : w->stopped_at;
	const char *trouble = worker_trouble(db, kind);
	int			port = 0;

	if (kind == WORKER_LISTENER)
		port = db->bound_port != 0 ? db->bound_port : db->port;

	values[0] = CStringGetTextDatum(NameStr(db->name));
	values[1] = CStringGetTextDatum(worker_kind_name(kind));
	values[2] = Int32GetDatum((int32) w->pid);
	nulls[2] = w->pid == 0;
	values[3] = Int32GetDatum(port);
	nulls[3] = port == 0;
	values[4] = CStringGetTextDatum(worker_state(db, kind));
	values[5] = TimestampTzGetDatum(since);
	nulls[5] = since == 0;
	values[6] = CStringGetTextDatum(w->doing);
	nulls[6] = w->pid == 0 || w->doing[0] == '\0';
	values[7] = Int64GetDatum(w->backlog);
	values[8] = Int64GetDatum(w->active);
	nulls[7] = nulls[8] = w->pid == 0;
	if (w->pid != 0 && w->behind_since != 0)
		values[9] = DirectFunctionCall2(timestamp_mi,
										TimestampTzGetDatum(Max(clock_now(), w->behind_since)),
										TimestampTzGetDatum(w->behind_since));
	else
		nulls[9] = true;
	values[10] = Int64GetDatum(w->done);
	values[11] = Int64GetDatum(w->restarts);
	if (trouble != NULL)
		values[12] = CStringGetTextDatum(trouble);
	else
		nulls[12] = true;
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static const char *
worker_state(const DatabaseSlot *db, WorkerKind kind)
{
	const WorkerSlot *w = &db->worker[kind];

	if (w->pid != 0)
		return w->phase == PHASE_WORKING ? "up" : "starting";
	if (db->held_by != 0)
		return "held";
	if (!OidIsValid(db->dboid) || rx_shared->launcher_pid == 0)
		return "down";
	if (!db->present)
		return "not installed";
	if (w->start_after > GetCurrentTimestamp())
		return "waiting to restart";
	if (kind == WORKER_CLERK && w->phase == PHASE_LEFT)
		return "idle";
	return "down";
}

/* The worker's own problem says more than its database's. */
static const char *
worker_trouble(const DatabaseSlot *db, WorkerKind kind)
{
	if (db->worker[kind].problem[0] != '\0')
		return db->worker[kind].problem;
	if (db->problem[0] != '\0')
		return db->problem;
	if (rx_shared->launcher_pid == 0)
		return RecoveryInProgress() ?
			"this server is a standby; workers start when it is promoted" :
			"the launcher is not running; the server log says why";
	return NULL;
}

/*
 * Databases that are configured and have no slot: there is no room, or the
 * launcher has not got to them (it never does on a standby).
 */
static void
status_of_unseated(ReturnSetInfo *rsinfo, const DatabaseSlot *seated)
{
	DatabaseSetting settings[SETTINGS_MAX_DATABASES];
	char		err[160];
	int			n = settings_parse_databases(rx_databases, settings, err, sizeof(err));
	int			i;
	int			j;

	for (i = 0; i < n; i++)
	{
		DatabaseSlot *none;

		for (j = 0; j < rx_shared->ndatabases; j++)
			if (seated[j].used && strcmp(NameStr(seated[j].name), settings[i].name) == 0)
				break;
		if (j < rx_shared->ndatabases)
			continue;
		none = palloc0(sizeof(DatabaseSlot));
		namestrcpy(&none->name, settings[i].name);
		none->port = settings[i].port;
		if (n > rx_shared->ndatabases)
			snprintf(none->problem, sizeof(none->problem),
					 "there is room for %d databases only: raise refundx.max_databases and restart the server",
					 rx_shared->ndatabases);
		status_of_database(rsinfo, none);
		pfree(none);
	}
}

/*
 * refundx.installation() RETURNS (system_identifier bigint, database oid,
 *		timeline int)
 *
 * What a copy of this database does not share with it.
 */
Datum
refundx_installation(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {0};
	TimeLineID	timeline;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	if (RecoveryInProgress())
		(void) GetXLogReplayRecPtr(&timeline);
	else
		timeline = compat_current_timeline();

	values[0] = Int64GetDatum((int64) GetSystemIdentifier());
	values[1] = ObjectIdGetDatum(MyDatabaseId);
	values[2] = Int32GetDatum((int32) timeline);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
