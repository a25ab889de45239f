/*-------------------------------------------------------------------------
 *
 * guard_ddl.c
 *	  Commands that would get around a guard, refused while it holds a row.
 *
 * A guard is its triggers, and whatever takes them from a row takes one of these
 * ways, on which the object access hook (worker/hooks.c) sees it:
 *
 *	- The trigger is dropped: by DROP TRIGGER, with its table or schema or owner,
 *	  with a column that it looks at, and in a partition that is detached, which
 *	  loses the copy of its parent's trigger.
 *	- It is disabled, or enabled in another way than ALWAYS.
 *	- A partition is truncated: TRUNCATE triggers are not copied to partitions.
 *
 * In a partition only the rows count that are there, or one refund in flight would
 * be in the way of all maintenance; of a whole table every lock does.
 *
 * The commands hold locks by then that keep a submit out (it takes RowExclusiveLock
 * on the table and on the partition), so what is looked at is what counts.
 *
 * Three commands are stopped before they begin, because of them that hook tells
 * too little, or too late: CREATE OR REPLACE TRIGGER over a guard's, renaming a
 * column that a guard names, and DETACH ... CONCURRENTLY, whose first half commits.
 *
 * refundx.allow_drop, which only a superuser can set, lets all of it pass, and
 * the server's log has it.
 *
 * src/money/guard_ddl.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/guard.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/errors.h"
#include "base/settings.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

static void refuse_while_locked(Oid relid, int32 guard_id, const char *what);
static OpenLock *lock_in_partition(Oid relid, const char *key_column, List *locks);
static Oid	index_of_key(Relation rel, AttrNumber attnum);
static bool has_key(Relation rel, Oid index, AttrNumber attnum, char *key);

void
guard_trigger_dropped(Oid trigger)
{
	Oid			relid;
	int32		guard_id;
	bool		always;

	if (guard_of_trigger(trigger, &relid, &guard_id, &always))
		refuse_while_locked(relid, guard_id, "its trigger cannot be dropped, nor the table or partition with it");
}

/* A restore enables them when the locks are there already. */
void
guard_trigger_altered(Oid trigger)
{
	Oid			relid;
	int32		guard_id;
	bool		always;

	if (guard_of_trigger(trigger, &relid, &guard_id, &always) && !always)
		refuse_while_locked(relid, guard_id, "its trigger must fire always");
}

/*
 * Called before the partition is locked.  Locking it here does what TRUNCATE is
 * about to do, if it may.
 */
void
guard_partition_truncated(Oid relid)
{
	Guard		g;

	if (!get_rel_relispartition(relid) || !guard_of_relation(relid, &g) ||
		pg_class_aclcheck(relid, GetUserId(), ACL_TRUNCATE) != ACLCHECK_OK)
		return;
	LockRelationOid(relid, AccessExclusiveLock);
	refuse_while_locked(relid, g.guard_id, "the partition cannot be truncated");
}

static bool
names_column(const Guard *g, const char *column)
{
	int			i;

	if (strcmp(g->key_column, column) == 0)
		return true;
	for (i = 0; i < g->ncolumns; i++)
		if (strcmp(g->column[i], column) == 0)
			return true;
	return false;
}

static void
before_rename(RenameStmt *stmt)
{
	Oid			relid;
	Guard		g;

	if (stmt->renameType != OBJECT_COLUMN || stmt->relation == NULL)
		return;
	relid = RangeVarGetRelid(stmt->relation, NoLock, true);
	if (OidIsValid(relid) && guard_of_relation(relid, &g) && names_column(&g, stmt->subname))
		ereport(ERROR,
				(errcode(ERRCODE_RX_GUARDED),
				 errmsg("column %s of %s is named by its guard", stmt->subname, guard_table_name(relid)),
				 errhint("Remove the guard with refundx.guard_drop(), rename the column, and add the guard anew.")));
}

static void
before_replace_trigger(CreateTrigStmt *stmt)
{
	Oid			relid;
	Oid			trigger;
	int32		guard_id;
	bool		always;

	if (!stmt->replace || stmt->relation == NULL)
		return;
	relid = RangeVarGetRelid(stmt->relation, NoLock, true);
	trigger = OidIsValid(relid) ? get_trigger_oid(relid, stmt->trigname, true) : InvalidOid;
	if (OidIsValid(trigger) && guard_of_trigger(trigger, &relid, &guard_id, &always))
		ereport(ERROR,
				(errcode(ERRCODE_RX_GUARDED),
				 errmsg("trigger %s of %s is its guard's", stmt->trigname, guard_table_name(relid)),
				 errhint("refundx.guard_drop() removes a guard.")));
}

static void
before_detach(AlterTableStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
		Oid			relid;
		Guard		g;

		if (cmd->subtype != AT_DetachPartition || !((PartitionCmd *) cmd->def)->concurrent)
			continue;
		relid = RangeVarGetRelid(((PartitionCmd *) cmd->def)->name, NoLock, true);
		if (OidIsValid(relid) && guard_of_relation(relid, &g))
			refuse_while_locked(relid, g.guard_id, "the partition cannot be detached");
	}
}

void
guard_before_command(Node *stmt)
{
	if (IsA(stmt, RenameStmt))
		before_rename((RenameStmt *) stmt);
	else if (IsA(stmt, CreateTrigStmt))
		before_replace_trigger((CreateTrigStmt *) stmt);
	else if (IsA(stmt, AlterTableStmt))
		before_detach((AlterTableStmt *) stmt);
}

static void
refuse_while_locked(Oid relid, int32 guard_id, const char *what)
{
	List	   *locks = guard_open_locks(guard_id);
	OpenLock   *lock;
	Guard		g;

	if (locks == NIL)
		return;
	if (get_rel_relispartition(relid) && guard_of_relation(relid, &g))
		lock = lock_in_partition(relid, g.key_column, locks);
	else
		lock = linitial(locks);
	if (lock == NULL)
		return;
	if (rx_allow_drop)
	{
		ereport(LOG,
				(errmsg("refundx.allow_drop: %s changes although a refund or withdrawal in flight locks row \"%s\"",
						guard_table_name(relid), lock->key)));
		return;
	}
	guard_refuse(relid, lock, guard_others(locks), what);
}

/* ------------------------------------------------------------------------
 * Is a locked row in this partition?
 * ------------------------------------------------------------------------
 */

/* Without an index on the key nobody can tell quickly: then it may be there. */
static OpenLock *
lock_in_partition(Oid relid, const char *key_column, List *locks)
{
	AttrNumber	attnum = get_attnum(relid, key_column);
	OpenLock   *found = NULL;
	Relation	rel;
	Oid			index;
	ListCell   *lc;

	if (get_rel_relkind(relid) != RELKIND_RELATION)
		return NULL;			/* its rows are in its own partitions */
	rel = table_open(relid, AccessShareLock);
	index = attnum > 0 ? index_of_key(rel, attnum) : InvalidOid;
	foreach(lc, locks)
	{
		OpenLock   *lock = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		if (OidIsValid(index) && !has_key(rel, index, attnum, lock->key))
			continue;
		found = lock;
		break;
	}
	table_close(rel, NoLock);
	return found;
}

static Oid
index_of_key(Relation rel, AttrNumber attnum)
{
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;
		bool		fits = form->indisvalid && form->indisunique && form->indkey.values[0] == attnum &&
		index->rd_rel->relam == BTREE_AM_OID && RelationGetIndexPredicate(index) == NIL;

		index_close(index, NoLock);
		if (fits)
			return lfirst_oid(lc);
	}
	return InvalidOid;
}

/* As systable_beginscan() does, but with the index's own order and collation. */
static bool
has_key(Relation rel, Oid indexid, AttrNumber attnum, char *key)
{
	Relation	index = index_open(indexid, AccessShareLock);
	TupleTableSlot *row = table_slot_create(rel, NULL);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	Oid			type = index->rd_opcintype[0];
	Oid			equal = get_opfamily_member(index->rd_opfamily[0], type, type, BTEqualStrategyNumber);
	Oid			input;
	Oid			param;
	bool		found;
	IndexScanDesc scan;
	ScanKeyData scan_key;

	getTypeInputInfo(get_atttype(RelationGetRelid(rel), attnum), &input, &param);
	ScanKeyEntryInitialize(&scan_key, 0, 1, BTEqualStrategyNumber, InvalidOid, index->rd_indcollation[0],
						   get_opcode(equal), OidInputFunctionCall(input, key, param, -1));
	scan = compat_index_beginscan(rel, index, snapshot, 1);
	index_rescan(scan, &scan_key, 1, NULL, 0);
	found = index_getnext_slot(scan, ForwardScanDirection, row);
	index_endscan(scan);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(row);
	index_close(index, NoLock);
	return found;
}
