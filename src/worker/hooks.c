/*-------------------------------------------------------------------------
 *
 * hooks.c
 *	  What backends do to, and for, the workers when certain commands run.
 *
 * - DROP DATABASE, ALTER DATABASE ... RENAME or SET TABLESPACE, and CREATE
 *	 DATABASE with one of our databases as TEMPLATE need a database without
 *	 sessions.  The workers would be in the way, so the command first puts a
 *	 hold on the database and waits until they have left.
 * - DROP EXTENSION (by its name, with its schema, or by DROP OWNED) and ALTER
 *	 EXTENSION ... UPDATE take exclusive locks on tables that the workers lock
 *	 in an order of their own: a hold again, for a deadlock could choose the
 *	 DROP as its victim.
 * - DROP EXTENSION is refused while an instruction is open or the journal is
 *	 not empty, unless refundx.allow_drop is on.
 * - What would take a guard from rows that are locked for something in flight is
 *	 refused (money/guard_ddl.c).
 * - CREATE EXTENSION, CREATE DATABASE and ALTER DATABASE have the launcher look
 *	 as soon as they have committed, and COMMIT PREPARED wakes the workers for what the prepared transaction
 *	 has left them to do.
 *
 * A hold ends with the transaction, however that ends, because the workers
 * could not do anything before: the lock on the database, or on the tables,
 * is held until then.  When the command itself fails the hold ends at once,
 * for the failure may be caught in a subtransaction.
 *
 * Holds are a courtesy, not a lock: if the workers do not leave in time, or
 * are started in the instant between a look at the catalogs and the hold, the
 * command finds them there, and says so itself.  So nothing here fails a
 * command that would otherwise work, and only somebody who may execute the
 * command can make the workers go away with it.
 *
 * Every utility command of the server comes through here, also where the
 * extension does not exist: look at the node's tag first, and nothing else.
 *
 * src/worker/hooks.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/pg_compat.h"

#include <signal.h>

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "base/errors.h"
#include "base/settings.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_trigger.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "executor/tuptable.h"
#include "money/guard.h"
#include "nodes/parsenodes.h"
#include "storage/procarray.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/worker.h"

#define HOLD_WAIT_MS		10000	/* for the workers to leave, at most */
#define HOLD_TERMINATE_MS	500 /* then those that are busy are terminated */

static ProcessUtility_hook_type prev_ProcessUtility = NULL;
static object_access_hook_type prev_object_access = NULL;

/* What the current transaction has done; looked at when it ends. */
static bool holding = false;
static bool extension_created = false;
static bool extension_dropped = false;
static bool databases_changed = false;

static void hooks_utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
						  ProcessUtilityContext context, ParamListInfo params,
						  QueryEnvironment *queryEnv, DestReceiver *dest,
						  QueryCompletion *qc);
static void hooks_object_access(ObjectAccessType access, Oid classId, Oid objectId,
								int subId, void *arg);
static void hooks_xact_callback(XactEvent event, void *arg);

static void make_way(Node *stmt);
static void wake_after_commit_prepared(void);
static Oid	database_to_hold(Node *stmt);
static Oid	named_database(const char *name);
static const char *template_of(CreatedbStmt *stmt);
static bool touches_extension(Node *stmt, bool *drops);
static bool names_include(List *names, const char *name);
static bool roles_own_extension(List *roles, Oid extension);

static void hold_database(Oid dboid);
static DatabaseSlot *take_hold(Oid dboid, TimestampTz deadline);
static DatabaseSlot *find_database(Oid dboid);
static bool workers_have_left(DatabaseSlot *db, bool terminate);
static void wait_for_change(TimestampTz until);
static void release_holds(void);
static void probe_my_database(void);
static void forget_extension(void);

static void refuse_drop_if_used(void);
static void refuse_drop_of_table(Oid relid, LOCKMODE lockmode);
static bool has_row(Oid relid, const char *flag, LOCKMODE lockmode);

void
hooks_install(void)
{
	prev_ProcessUtility = ProcessUtility_hook;
	ProcessUtility_hook = hooks_utility;
	prev_object_access = object_access_hook;
	object_access_hook = hooks_object_access;
	RegisterXactCallback(hooks_xact_callback, NULL);
}

/* ------------------------------------------------------------------------
 * Commands
 * ------------------------------------------------------------------------
 */

static void
hooks_utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
			  ProcessUtilityContext context, ParamListInfo params,
			  QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	ProcessUtility_hook_type next =
		prev_ProcessUtility ? prev_ProcessUtility : standard_ProcessUtility;
	bool		was_holding = holding;
	bool		wakes;

	switch (nodeTag(pstmt->utilityStmt))
	{
		case T_DropdbStmt:
		case T_RenameStmt:
		case T_AlterDatabaseStmt:
		case T_CreatedbStmt:
		case T_DropStmt:
		case T_DropOwnedStmt:
		case T_AlterExtensionStmt:
			if (IsA(pstmt->utilityStmt, RenameStmt))
				guard_before_command(pstmt->utilityStmt);
			PG_TRY();
			{
				make_way(pstmt->utilityStmt);
				next(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);
			}
			PG_CATCH();
			{
				if (holding && !was_holding)
					release_holds();
				PG_RE_THROW();
			}
			PG_END_TRY();
			break;

		case T_TransactionStmt:
			wakes = castNode(TransactionStmt, pstmt->utilityStmt)->kind == TRANS_STMT_COMMIT_PREPARED;
			next(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);
			if (wakes)
				wake_after_commit_prepared();
			break;

		case T_CreateTrigStmt:
		case T_AlterTableStmt:
			guard_before_command(pstmt->utilityStmt);
			next(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);
			break;

		default:
			next(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);
			break;
	}
}

/* Before a command that cannot work, or not well, beside the workers. */
static void
make_way(Node *stmt)
{
	bool		drops;

	switch (nodeTag(stmt))
	{
		case T_DropStmt:
		case T_DropOwnedStmt:
		case T_AlterExtensionStmt:
			if (touches_extension(stmt, &drops))
			{
				if (drops)
					refuse_drop_if_used();
				hold_database(MyDatabaseId);
			}
			break;
		default:
			hold_database(database_to_hold(stmt));
			break;
	}
}

/* What the prepared transaction has done is visible now, to all. */
static void
wake_after_commit_prepared(void)
{
	DatabaseSlot *db = shmem_my_database();

	if (db == NULL)
		return;
	wake_worker(db, WORKER_DISPATCHER);
	wake_worker(db, WORKER_SETTLER);
	wake_worker(db, WORKER_RUNNER);
	wake_worker(db, WORKER_COURIER);
	probe_my_database();		/* it may have been CREATE EXTENSION */
}

/*
 * The database that this command wants to have for itself, or InvalidOid.
 * What the command will refuse for lack of rights is none: or anybody could
 * stop the workers with DROP DATABASE, again and again.
 */
static Oid
database_to_hold(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_DropdbStmt:
			return named_database(((DropdbStmt *) stmt)->dbname);
		case T_CreatedbStmt:
			return named_database(template_of((CreatedbStmt *) stmt));
		case T_RenameStmt:
			if (((RenameStmt *) stmt)->renameType == OBJECT_DATABASE)
				return named_database(((RenameStmt *) stmt)->subname);
			return InvalidOid;
		case T_AlterDatabaseStmt:
			{
				ListCell   *lc;

				foreach(lc, ((AlterDatabaseStmt *) stmt)->options)
					if (strcmp(lfirst_node(DefElem, lc)->defname, "tablespace") == 0)
						return named_database(((AlterDatabaseStmt *) stmt)->dbname);
				return InvalidOid;
			}
		default:
			return InvalidOid;
	}
}

static Oid
named_database(const char *name)
{
	Oid			dboid = name != NULL ? get_database_oid(name, true) : InvalidOid;

	if (OidIsValid(dboid) && !compat_database_ownercheck(dboid, GetUserId()))
		return InvalidOid;
	return dboid;
}

/* The default, template1, is never ours: workers do not run in templates. */
static const char *
template_of(CreatedbStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, "template") == 0 && option->arg != NULL)
			return defGetString(option);
	}
	return NULL;
}

/*
 * Will this command drop or change the extension?  Not exact: other commands
 * can reach it through CASCADE.  They go without a hold, and are refused where
 * they must be, by hooks_object_access().
 */
static bool
touches_extension(Node *stmt, bool *drops)
{
	bool		named = false;
	Oid			extension;

	*drops = true;
	if (IsA(stmt, AlterExtensionStmt))
	{
		*drops = false;
		named = strcmp(((AlterExtensionStmt *) stmt)->extname, "refundx") == 0;
	}
	else if (IsA(stmt, DropOwnedStmt))
		named = true;
	else
	{
		DropStmt   *drop = (DropStmt *) stmt;

		if (drop->removeType == OBJECT_EXTENSION ||
			(drop->removeType == OBJECT_SCHEMA && drop->behavior == DROP_CASCADE))
			named = names_include(drop->objects, "refundx");
	}
	if (!named)
		return false;

	extension = get_extension_oid("refundx", true);
	if (!OidIsValid(extension) || !compat_extension_ownercheck(extension, GetUserId()))
		return false;
	return !IsA(stmt, DropOwnedStmt) ||
		roles_own_extension(((DropOwnedStmt *) stmt)->roles, extension);
}

static bool
names_include(List *names, const char *name)
{
	ListCell   *lc;

	foreach(lc, names)
		if (strcmp(strVal(lfirst(lc)), name) == 0)
			return true;
	return false;
}

static bool
roles_own_extension(List *roles, Oid extension)
{
	ListCell   *lc;

	foreach(lc, roles)
	{
		Oid			role = get_rolespec_oid(lfirst(lc), true);

		if (OidIsValid(role) && compat_extension_ownercheck(extension, role))
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------------
 * Holds
 * ------------------------------------------------------------------------
 */

/*
 * Make the workers of a database leave, and keep them out until this
 * transaction ends.  An idle worker leaves when it is woken; one that is busy
 * is terminated after a moment, which only aborts a transaction of its own.
 */
static void
hold_database(Oid dboid)
{
	TimestampTz start = GetCurrentTimestamp();
	TimestampTz patience = TimestampTzPlusMilliseconds(start, HOLD_TERMINATE_MS);
	TimestampTz deadline = TimestampTzPlusMilliseconds(start, HOLD_WAIT_MS);
	DatabaseSlot *db;
	int			k;

	if (!OidIsValid(dboid) || rx_shared == NULL)
		return;
	db = take_hold(dboid, deadline);
	if (db == NULL)
		return;

	for (k = 0; k < WORKER_KINDS; k++)
		wake_worker(db, (WorkerKind) k);
	ConditionVariablePrepareToSleep(&rx_shared->workers_changed);
	while (!workers_have_left(db, GetCurrentTimestamp() >= patience))
	{
		TimestampTz now = GetCurrentTimestamp();

		if (now >= deadline)
			break;				/* let the command say who is still there */
		wait_for_change(now < patience ? patience :
						Min(deadline, TimestampTzPlusMilliseconds(now, HOLD_TERMINATE_MS)));
	}
	ConditionVariableCancelSleep();
}

/* If another backend has the hold, wait for it. */
static DatabaseSlot *
take_hold(Oid dboid, TimestampTz deadline)
{
	for (;;)
	{
		DatabaseSlot *db;
		bool		taken = false;

		LWLockAcquire(rx_shared->lock, LW_EXCLUSIVE);
		db = find_database(dboid);
		if (db != NULL && (db->held_by == 0 || db->held_by == MyProcPid))
		{
			db->held_by = MyProcPid;
			taken = holding = true;
		}
		LWLockRelease(rx_shared->lock);
		if (db == NULL || taken)
			return db;
		if (GetCurrentTimestamp() >= deadline)
			return NULL;
		wait_for_change(TimestampTzPlusMilliseconds(GetCurrentTimestamp(), 100));
		ConditionVariableCancelSleep();
	}
}

/* Called under the lock. */
static DatabaseSlot *
find_database(Oid dboid)
{
	int			i;

	for (i = 0; i < rx_shared->ndatabases; i++)
		if (rx_shared->database[i].used && rx_shared->database[i].dboid == dboid)
			return &rx_shared->database[i];
	return NULL;
}

/* A pid in a slot is alive: the lock keeps its owner from leaving. */
static bool
workers_have_left(DatabaseSlot *db, bool terminate)
{
	bool		left = true;
	int			k;

	LWLockAcquire(rx_shared->lock, LW_SHARED);
	for (k = 0; k < WORKER_KINDS; k++)
	{
		pid_t		pid = db->worker[k].pid;

		if (pid == 0 || pid == MyProcPid)
			continue;
		left = false;
		if (terminate)
			kill(pid, SIGTERM);
	}
	LWLockRelease(rx_shared->lock);
	return left;
}

static void
wait_for_change(TimestampTz until)
{
	static uint32 wait_event = 0;
	long		timeout = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);

	if (wait_event == 0)
		wait_event = compat_wait_event("RefundxWorkersLeave");
	(void) ConditionVariableTimedSleep(&rx_shared->workers_changed, Max(timeout, 1),
									   wait_event);
}

/* Also called at commit: nothing in it may fail. */
static void
release_holds(void)
{
	int			i;

	LWLockAcquire(rx_shared->lock, LW_EXCLUSIVE);
	for (i = 0; i < rx_shared->ndatabases; i++)
		if (rx_shared->database[i].held_by == MyProcPid)
			rx_shared->database[i].held_by = 0;
	LWLockRelease(rx_shared->lock);
	holding = false;
	ConditionVariableBroadcast(&rx_shared->workers_changed);
	wake_launcher();
}

/*
 * Have the launcher look for the extension now.  Also called at commit.
 */
static void
probe_my_database(void)
{
	DatabaseSlot *db;
	bool		wanted = false;

	LWLockAcquire(rx_shared->lock, LW_EXCLUSIVE);
	db = find_database(MyDatabaseId);
	if (db != NULL && !db->present)
	{
		db->worker[WORKER_DISPATCHER].start_after = 0;
		wanted = true;
	}
	LWLockRelease(rx_shared->lock);
	if (wanted)
		wake_launcher();
}

/* A dropped extension needs no workers: they would only come to look. */
static void
forget_extension(void)
{
	DatabaseSlot *db;

	LWLockAcquire(rx_shared->lock, LW_EXCLUSIVE);
	db = find_database(MyDatabaseId);
	if (db != NULL)
		db->present = false;
	LWLockRelease(rx_shared->lock);
}

/*
 * XACT_EVENT_COMMIT comes when the transaction is visible to others, and
 * before its locks are released: a worker that is quick waits for them for a
 * moment.  An ERROR would be a PANIC here: shared memory and latches only.
 *
 * After PREPARE TRANSACTION nobody holds anything: the workers come back, and
 * run into the locks of the prepared transaction until it is decided.
 */
static void
hooks_xact_callback(XactEvent event, void *arg)
{
	if (!holding && !extension_created && !extension_dropped && !databases_changed)
		return;
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			if (extension_dropped)
				forget_extension();
			if (extension_created || extension_dropped)
				probe_my_database();
			if (databases_changed)
				wake_launcher();
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			break;
		default:
			return;
	}
	extension_created = extension_dropped = databases_changed = false;
	if (holding)
		release_holds();
}

/* ------------------------------------------------------------------------
 * Drops
 * ------------------------------------------------------------------------
 */

/*
 * However the extension is dropped, it comes by here; but last of all its
 * members, when the tables are gone.  So the tables are looked into when their
 * own turn comes: under the exclusive lock that DROP has taken by then, which
 * makes it the look that counts.
 *
 * Any extension that is created may have brought ours in with it (CASCADE),
 * so all of them cause a look.
 */
static void
hooks_object_access(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	if (prev_object_access)
		prev_object_access(access, classId, objectId, subId, arg);

	if (access == OAT_POST_CREATE && classId == ExtensionRelationId)
		extension_created = true;
	else if ((access == OAT_POST_CREATE || access == OAT_POST_ALTER) &&
			 classId == DatabaseRelationId)
		databases_changed = true;
	else if (access == OAT_DROP && classId == ExtensionRelationId)
	{
		char	   *name = get_extension_name(objectId);

		if (name != NULL && strcmp(name, "refundx") == 0)
			extension_dropped = true;
	}
	else if (access == OAT_DROP && classId == RelationRelationId && subId == 0)
		refuse_drop_of_table(objectId, NoLock);
	else if (access == OAT_DROP && classId == TriggerRelationId)
		guard_trigger_dropped(objectId);
	else if (access == OAT_POST_ALTER && classId == TriggerRelationId)
		guard_trigger_altered(objectId);
	else if (access == OAT_TRUNCATE && classId == RelationRelationId)
		guard_partition_truncated(objectId);
}

/* The early look, before anything is locked and the workers are sent away. */
static void
refuse_drop_if_used(void)
{
	static const char *const tables[] = {"journal", "instruction"};
	Oid			schema = get_namespace_oid("refundx", true);
	int			i;

	for (i = 0; i < (int) lengthof(tables) && OidIsValid(schema); i++)
	{
		Oid			relid = get_relname_relid(tables[i], schema);

		if (OidIsValid(relid))
			refuse_drop_of_table(relid, AccessShareLock);
	}
}

static void
refuse_drop_of_table(Oid relid, LOCKMODE lockmode)
{
	char	   *name;
	Oid			extension;
	bool		journal;

	if (rx_allow_drop || get_rel_relkind(relid) != RELKIND_RELATION)
		return;
	name = get_rel_name(relid);
	if (name == NULL)
		return;
	journal = strcmp(name, "journal") == 0;
	if (!journal && strcmp(name, "instruction") != 0)
		return;
	extension = getExtensionOfObject(RelationRelationId, relid);
	if (!OidIsValid(extension) || extension != get_extension_oid("refundx", true))
		return;

	if (has_row(relid, journal ? NULL : "is_open", lockmode))
		ereport(ERROR,
				(errcode(ERRCODE_RX_DROP_REFUSED),
				 journal ? errmsg("cannot drop extension refundx: its journal is not empty")
				 : errmsg("cannot drop extension refundx: instructions are open"),
				 journal ? errdetail("The journal is the record of the money that was moved.")
				 : errdetail("The channel may pay, or may have paid, what they ask for."),
				 errhint("Keep a dump of it, then SET refundx.allow_drop = on in the session that drops it.")));
}

/*
 * Is there a row, or one with this flag set?  A plain scan, for in the midst
 * of a DROP the table has lost its indexes and whatever else depends on it.
 * GetLatestSnapshot(), for the transaction's own may be older than the rows.
 */
static bool
has_row(Oid relid, const char *flag, LOCKMODE lockmode)
{
	AttrNumber	attnum = flag != NULL ? get_attnum(relid, flag) : InvalidAttrNumber;
	Relation	rel = table_open(relid, lockmode);
	TupleTableSlot *row = table_slot_create(rel, NULL);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);
	bool		found = false;

	while (!found && table_scan_getnextslot(scan, ForwardScanDirection, row))
	{
		bool		isnull = false;

		CHECK_FOR_INTERRUPTS();
		found = attnum == InvalidAttrNumber ||
			(DatumGetBool(slot_getattr(row, attnum, &isnull)) && !isnull);
	}
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(row);
	table_close(rel, NoLock);	/* if we locked it, until the end */
	return found;
}
