/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  Rows of the application's that do not change while a refund of them, or a
 *	  withdrawal, is in flight.
 *
 * What is locked.  A submit names rows (guard_submit.c): it locks each as a
 * foreign key would, and inserts a row into refundx.guard_lock, (guard, key,
 * instruction).  The lock holds for as long as the instruction is open: that is
 * looked up in the instruction itself.  So guard_lock is insert-only, settling
 * writes nothing of it, nothing can be forgotten there, and no row becomes a hot
 * one whose dead versions every reader walks while somebody holds xmin.
 *
 * What stands in the way.  Triggers on the application's table, made by
 * refundx.guard_add(), which fire AFTER each ROW and ALWAYS:
 *
 *	- UPDATE, WHEN the key or a guarded column IS DISTINCT: it sees the final
 *	  values, whatever BEFORE triggers did, and is not even called for others;
 *	- DELETE, also that of a cascade, and of a move between partitions;
 *	- TRUNCATE (a statement's trigger).
 *
 * What it must survive:
 *
 *	- A submit and a change at the same time.  Whoever has the row's lock first
 *	  goes first.  If that is the submit, the change waits at the row, and its
 *	  trigger must see the submit's lock, which was committed after the
 *	  change's snapshot was taken: so it is read with the latest snapshot.  With
 *	  the transaction's, the change would go through under REPEATABLE READ and
 *	  SERIALIZABLE, for a row that was only locked raises no 40001.
 *	- A change in any disguise: ON CONFLICT DO UPDATE, MERGE, cascades, a session
 *	  that calls itself a replica, the apply worker of a subscription.
 *	- Renames.  A guard is not found by the table's name but by its triggers,
 *	  whose arguments are (guard, key column, guarded columns); so it also comes
 *	  back from a dump.  Renaming such a column is refused (guard_ddl.c).
 *	- Commands that take the triggers, the rows or the partition away: guard_ddl.c.
 *
 * Who may pass: see may_pass().
 *
 * The order of locks is guarded rows, payment, instruction, account.  A trigger
 * here reads and waits for nothing.
 *
 * src/money/guard.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/guard.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/errors.h"
#include "base/relation.h"
#include "base/row_find.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "money/handler.h"
#include "money/state.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

PG_FUNCTION_INFO_V1(refundx_guard_row);
PG_FUNCTION_INFO_V1(refundx_guard_truncate);

/* The first columns of refundx.guard_lock, which only ever gets more of them. */
#define LOCK_GUARD_ID		1
#define LOCK_KEY			2
#define LOCK_INSTRUCTION_ID	3
#define LOCK_LIFTED_AT		4

#define ARGUMENTS_BEFORE_COLUMNS 2

typedef enum TriggerPart
{
	PART_NONE,					/* not a guard's */
	PART_ROW,
	PART_TRUNCATE
} TriggerPart;

static bool is_open(int64 instruction_id);
static bool may_pass(HeapTuple lock);
static bool row_is_locked(int32 guard_id, const char *key, bool stays, OpenLock *first, int *others);
static char *key_of(const TriggerData *trigger, HeapTuple row, const char *column);
static char *what_changes(const TriggerData *trigger);
static TriggerPart trigger_part(Form_pg_trigger trigger);
static char **trigger_arguments(Relation pg_trigger, HeapTuple trigger, int *n);

/* ------------------------------------------------------------------------
 * The triggers
 * ------------------------------------------------------------------------
 */

/* Trigger, after each row: refuse what a refund in flight depends on. */
Datum
refundx_guard_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	bool		stays = false;
	OpenLock	lock;
	char	   *key;
	int			others;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ||
		trigger->tg_trigger->tgnargs < ARGUMENTS_BEFORE_COLUMNS)
		elog(ERROR, "refundx.guard_row is the trigger function of refundx.guard_add()");

	key = key_of(trigger, trigger->tg_trigtuple, trigger->tg_trigger->tgargs[1]);
	if (key == NULL)
		PG_RETURN_POINTER(NULL);	/* nobody can have named it */
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
	{
		char	   *now = key_of(trigger, trigger->tg_newtuple, trigger->tg_trigger->tgargs[1]);

		stays = now != NULL && strcmp(key, now) == 0;
	}
	if (row_is_locked(pg_strtoint32(trigger->tg_trigger->tgargs[0]), key, stays, &lock, &others))
		guard_refuse(RelationGetRelid(trigger->tg_relation), &lock, others, what_changes(trigger));
	PG_RETURN_POINTER(NULL);
}

/* Trigger: TRUNCATE takes every row away, so any lock is in the way. */
Datum
refundx_guard_truncate(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	List	   *locks;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event) ||
		trigger->tg_trigger->tgnargs < 1)
		elog(ERROR, "refundx.guard_truncate is the trigger function of refundx.guard_add()");
	locks = guard_open_locks(pg_strtoint32(trigger->tg_trigger->tgargs[0]));
	if (locks != NIL)
		guard_refuse(RelationGetRelid(trigger->tg_relation), linitial(locks), guard_others(locks),
					 "the table cannot be truncated");
	PG_RETURN_POINTER(NULL);
}

/* As its type writes it; what a submit has stored was made the same way. */
static char *
key_of(const TriggerData *trigger, HeapTuple row, const char *column)
{
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	int			attnum = SPI_fnumber(desc, column);

	if (attnum <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_RX_CONFIG),
				 errmsg("table %s has no column \"%s\", which its guard was added with",
						guard_table_name(RelationGetRelid(trigger->tg_relation)), column),
				 errhint("Rename it back, or remove the guard with refundx.guard_drop() and add it anew.")));
	return SPI_getvalue(row, desc, attnum);
}

/*
 * Locks that this row has.  Other backends' are seen as they are now, this
 * transaction's own as well.  `stays`: it keeps its key, and is not deleted.
 */
static bool
row_is_locked(int32 guard_id, const char *key, bool stays, OpenLock *first, int *others)
{
	Relation	rel = table_open(relation_oid("guard_lock"), AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	bool		passes = false;
	int			n = 0;
	SysScanDesc scan;
	ScanKeyData scan_key[2];
	HeapTuple	lock;

	ScanKeyInit(&scan_key[0], LOCK_GUARD_ID, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(guard_id));
	ScanKeyInit(&scan_key[1], LOCK_KEY, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(key));
	scan = systable_beginscan(rel, relation_oid("guard_lock_of_row"), true, snapshot, 2, scan_key);
	while (!passes && HeapTupleIsValid(lock = systable_getnext(scan)))
	{
		TupleDesc	desc = RelationGetDescr(rel);
		bool		isnull;
		int64		id = DatumGetInt64(heap_getattr(lock, LOCK_INSTRUCTION_ID, desc, &isnull));

		/* that of a handler, which has ended perhaps, for it is settled already */
		passes = stays && handler_instruction() == id;
		if (passes || !heap_attisnull(lock, LOCK_LIFTED_AT, desc) || !is_open(id))
			continue;
		if (n++ == 0)
			first->instruction_id = id;
		passes = stays && may_pass(lock);
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	first->key = pstrdup(key);
	*others = n - 1;
	return n > 0 && !passes;
}

/*
 * Whose lock lets a change through, whatever other locks the row has: the
 * transaction's own, for an ORM writes what it holds at commit, when the refund
 * has been submitted.  (And that of the instruction whose handler runs: see above.)
 *
 * It may change the row, not take it away: the key is what the refund knows.
 */
static bool
may_pass(HeapTuple lock)
{
	return TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(lock->t_data));
}

static const RowKey instruction_by_id = {
	"instruction", "instruction_pkey", {{"instruction_id", F_INT8EQ}}
};

static bool
is_open(int64 instruction_id)
{
	Datum		key = Int64GetDatum(instruction_id);
	HeapTuple	row = row_find(&instruction_by_id, &key);
	bool		isnull;

	return row != NULL && DatumGetBool(row_found(&instruction_by_id, row, "is_open", &isnull));
}

/* ------------------------------------------------------------------------
 * Saying no
 * ------------------------------------------------------------------------
 */

/* "its column amount cannot change", of all those that would. */
static char *
what_changes(const TriggerData *trigger)
{
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	StringInfoData s;
	int			n = 0;
	int			i;

	if (!TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		return "the row cannot be deleted, nor moved to another partition";
	initStringInfo(&s);
	for (i = 1; i < trigger->tg_trigger->tgnargs; i++)
	{
		int			attnum = SPI_fnumber(desc, trigger->tg_trigger->tgargs[i]);
		Form_pg_attribute att;
		Datum		old;
		Datum		new;
		bool		old_null;
		bool		new_null;

		if (attnum <= 0)
			continue;
		att = TupleDescAttr(desc, attnum - 1);
		old = heap_getattr(trigger->tg_trigtuple, attnum, desc, &old_null);
		new = heap_getattr(trigger->tg_newtuple, attnum, desc, &new_null);
		if (old_null == new_null &&
			(old_null || datum_image_eq(old, new, att->attbyval, att->attlen)))
			continue;
		appendStringInfo(&s, "%s%s", n++ > 0 ? ", " : "", quote_identifier(NameStr(att->attname)));
	}
	return psprintf("its column%s %s cannot change", n > 1 ? "s" : "", s.data);
}

/* Instructions that have these locks, but for one; each one's stand together. */
int
guard_others(List *locks)
{
	int			n = 0;
	int			i;

	for (i = 1; i < list_length(locks); i++)
		n += ((OpenLock *) list_nth(locks, i))->instruction_id != ((OpenLock *) list_nth(locks, i - 1))->instruction_id;
	return n;
}

char *
guard_table_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid));
}

void
guard_refuse(Oid relid, const OpenLock *lock, int others, const char *what)
{
	Datum		key = Int64GetDatum(lock->instruction_id);
	HeapTuple	row = row_find(&instruction_by_id, &key);
	bool		isnull;
	char	   *kind;
	char	   *number;
	char	   *table = guard_table_name(relid);

	if (row == NULL)
		elog(ERROR, "instruction %lld vanished", (long long) lock->instruction_id);
	kind = TextDatumGetCString(row_found(&instruction_by_id, row, "kind", &isnull));
	number = TextDatumGetCString(row_found(&instruction_by_id, row, "instruction_no", &isnull));
	ereport(ERROR,
			(errcode(ERRCODE_RX_GUARDED),
			 errmsg("row \"%s\" of %s is locked by %s \"%s\"", lock->key, table, kind, number),
			 errdetail("The %s is %s since %s; until it%s has ended, %s.", kind,
					   TextDatumGetCString(row_found(&instruction_by_id, row, "state", &isnull)),
					   timestamptz_to_str(DatumGetTimestampTz(row_found(&instruction_by_id, row, "state_since", &isnull))),
					   others == 0 ? "" : psprintf(", with %d more in flight,", others), what),
			 errhint("SELECT refundx.%s_explain('%s') says what it waits for. An operator can lift the lock: refundx.guard_lift('%s', '%s', reason).",
					 strcmp(kind, "refund") == 0 ? "refund" : "withdraw", number, table, lock->key)));
}

/* ------------------------------------------------------------------------
 * Which guard, which locks
 * ------------------------------------------------------------------------
 */

static TriggerPart
trigger_part(Form_pg_trigger trigger)
{
	Oid			schema = get_namespace_oid("refundx", true);
	char	   *name;

	if (trigger->tgisinternal && !OidIsValid(trigger->tgparentid))
		return PART_NONE;		/* a constraint's */
	if (!OidIsValid(schema) || get_func_namespace(trigger->tgfoid) != schema)
		return PART_NONE;
	name = get_func_name(trigger->tgfoid);
	if (name != NULL && strcmp(name, "guard_row") == 0)
		return PART_ROW;
	return name != NULL && strcmp(name, "guard_truncate") == 0 ? PART_TRUNCATE : PART_NONE;
}

/* They stand one after the other, each with a zero at its end. */
static char **
trigger_arguments(Relation pg_trigger, HeapTuple trigger, int *n)
{
	char	  **argument = palloc0((Max(((Form_pg_trigger) GETSTRUCT(trigger))->tgnargs, 0) + 1) * sizeof(char *));
	bool		isnull;
	Datum		stored = heap_getattr(trigger, Anum_pg_trigger_tgargs, RelationGetDescr(pg_trigger), &isnull);
	char	   *p;
	char	   *end;

	*n = 0;
	if (isnull)
		return argument;
	p = VARDATA_ANY(DatumGetByteaPP(stored));
	end = p + VARSIZE_ANY_EXHDR(DatumGetByteaPP(stored));
	while (p < end && *n < ((Form_pg_trigger) GETSTRUCT(trigger))->tgnargs)
	{
		argument[(*n)++] = pnstrdup(p, strnlen(p, end - p));
		p += strnlen(p, end - p) + 1;
	}
	return argument;
}

/* Reads the catalog as it is now; a lock on the table, if any, is the caller's. */
bool
guard_of_relation(Oid relid, Guard *g)
{
	Relation	rel = table_open(TriggerRelationId, AccessShareLock);
	int			fire_always = 0;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	memset(g, 0, sizeof(*g));
	ScanKeyInit(&key, Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, TriggerRelidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_trigger trigger = (Form_pg_trigger) GETSTRUCT(tuple);
		char	  **argument;
		int			n;

		if (trigger_part(trigger) != PART_ROW)
			continue;
		argument = trigger_arguments(rel, tuple, &n);
		if (n < ARGUMENTS_BEFORE_COLUMNS)
			continue;
		g->guard_id = pg_strtoint32(argument[0]);
		g->key_column = argument[1];
		g->column = argument + ARGUMENTS_BEFORE_COLUMNS;
		g->ncolumns = n - ARGUMENTS_BEFORE_COLUMNS;
		fire_always += trigger->tgenabled == TRIGGER_FIRES_ALWAYS;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	g->always = fire_always == 2;	/* that of UPDATE, and that of DELETE */
	return g->key_column != NULL;
}

/* As this very command has left it. */
bool
guard_of_trigger(Oid trigger, Oid *relid, int32 *guard_id, bool *always)
{
	Relation	rel = table_open(TriggerRelationId, AccessShareLock);
	bool		found = false;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(trigger));
	scan = systable_beginscan(rel, TriggerOidIndexId, true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple) && trigger_part((Form_pg_trigger) GETSTRUCT(tuple)) != PART_NONE)
	{
		int			n;
		char	  **argument = trigger_arguments(rel, tuple, &n);

		found = n > 0;
		if (found)
			*guard_id = pg_strtoint32(argument[0]);
		*relid = ((Form_pg_trigger) GETSTRUCT(tuple))->tgrelid;
		*always = ((Form_pg_trigger) GETSTRUCT(tuple))->tgenabled == TRIGGER_FIRES_ALWAYS;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/* What this instruction locks of the guard, appended to `locks`. */
static List *
locks_of_instruction(Relation rel, Snapshot snapshot, int64 instruction_id, int32 guard_id, List *locks)
{
	SysScanDesc scan;
	ScanKeyData key[2];
	HeapTuple	tuple;

	ScanKeyInit(&key[0], LOCK_INSTRUCTION_ID, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(instruction_id));
	ScanKeyInit(&key[1], LOCK_GUARD_ID, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(guard_id));
	scan = systable_beginscan(rel, relation_oid("guard_lock_pkey"), true, snapshot, 2, key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		OpenLock   *lock;
		bool		isnull;

		if (!heap_attisnull(tuple, LOCK_LIFTED_AT, RelationGetDescr(rel)))
			continue;
		lock = palloc(sizeof(OpenLock));
		lock->instruction_id = instruction_id;
		lock->key = TextDatumGetCString(heap_getattr(tuple, LOCK_KEY, RelationGetDescr(rel), &isnull));
		locks = lappend(locks, lock);
	}
	systable_endscan(scan);
	return locks;
}

/*
 * By way of what is open, of which there is little: a guard's locks are all there
 * ever were.  Without SQL, because it is called in the midst of DDL of anybody, who
 * may have no right to read these tables, and a search_path of their own.
 */
List *
guard_open_locks(int32 guard_id)
{
	Oid			schema = get_namespace_oid("refundx", true);
	List	   *locks = NIL;
	Relation	instructions;
	Relation	rel;
	Snapshot	snapshot;
	SysScanDesc scan;
	HeapTuple	tuple;
	AttrNumber	id;

	/* DROP EXTENSION, which has its own conditions, has come as far as this */
	if (!OidIsValid(schema) || !OidIsValid(get_relname_relid("instruction_open", schema)) ||
		!OidIsValid(get_relname_relid("guard_lock_pkey", schema)))
		return NIL;

	rel = table_open(relation_oid("guard_lock"), AccessShareLock);
	instructions = table_open(relation_oid("instruction"), AccessShareLock);
	id = SPI_fnumber(RelationGetDescr(instructions), "instruction_id");
	CommandCounterIncrement();	/* also what this transaction has submitted */
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = systable_beginscan(instructions, relation_oid("instruction_open"), true, snapshot, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		locks = locks_of_instruction(rel, snapshot,
									 DatumGetInt64(heap_getattr(tuple, id, RelationGetDescr(instructions), &isnull)),
									 guard_id, locks);
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(instructions, AccessShareLock);
	table_close(rel, AccessShareLock);
	return locks;
}
