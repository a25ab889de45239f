/*-------------------------------------------------------------------------
 *
 * guard_submit.c
 *	  The rows that a submit locks, before anything else.
 *
 * Each row is locked FOR NO KEY UPDATE, by a key that is unique, with the rights of
 * the table's owner, as a foreign key's check does: the caller needs no right on
 * the table, and foreign keys that point to the row are not in the way.  Where
 * the caller says what it has read, the row as it is now is held against that.
 * What the row has instead is not said: it may be a person's.
 *
 * Rows are locked in the order of guards and keys, so that two callers with the same
 * rows do not wait for each other.
 *
 * A repeated call locks nothing: the row may have changed, for its first call
 * was the one that had to look.
 *
 * Who names no rows and has no guard that follows payments pays for the look at
 * one flag.
 *
 * src/money/guard_submit.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/guard.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "base/errors.h"
#include "base/memo.h"
#include "base/relation.h"
#include "base/row_insert.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "money/instruction.h"
#include "money/money.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/typcache.h"
#include "utils/varlena.h"

/* A guard that follows payments: their number leads to the row. */
typedef struct Follower
{
	int32		guard_id;
	Oid			relid;
	char	   *pattern;
} Follower;

/* A guard's statement, kept for as long as its text stays the same. */
typedef struct RowStatement
{
	struct RowStatement *next;
	Statement	statement;
} RowStatement;

static void rows_given(Jsonb *given, GuardedRows *rows);
static void rows_of_payment(const char *payment_no, GuardedRows *rows);
static void add_row(GuardedRows *rows, Oid relid, int32 guard_id, char *key, Datum expect);
static int	compare_rows(const void *a, const void *b);
static bool lock_row(GuardedRow *row, const char *number);
static Statement *row_statement(Oid relid, const Guard *g);
static void compare_column(StringInfo s, Oid relid, const char *column);
static void check_expected_members(const GuardedRow *row, const Guard *g);
static void check_triggers(Oid relid);

void
guard_lock_rows(Jsonb *given, const char *payment_no, const char *number, GuardedRows *rows)
{
	int			i;
	int			n = 0;

	rows->n = 0;
	if (given != NULL)
		rows_given(given, rows);
	else if (payment_no != NULL)
		rows_of_payment(payment_no, rows);
	if (rows->n == 0)
		return;
	if (instruction_number_exists(number))
	{
		rows->n = 0;
		return;
	}
	qsort(rows->row, rows->n, sizeof(GuardedRow), compare_rows);
	for (i = 0; i < rows->n; i++)
	{
		/* the same row twice is locked once, but held against both */
		if (!lock_row(&rows->row[i], number))
		{
			rows->n = 0;
			return;
		}
		if (n > 0 && rows->row[n - 1].guard_id == rows->row[i].guard_id &&
			strcmp(rows->row[n - 1].key, rows->row[i].key) == 0)
			continue;
		rows->row[n++] = rows->row[i];
	}
	rows->n = n;
}

void
guard_record(const GuardedRows *rows, int64 instruction_id)
{
	static RowTarget target = {"guard_lock", {"guard_id", "key", "instruction_id", NULL}};
	int			i;

	for (i = 0; i < rows->n; i++)
	{
		RowValues	v = {0};

		row_value(&v, Int32GetDatum(rows->row[i].guard_id), false);
		row_value_text(&v, rows->row[i].key);
		row_value(&v, Int64GetDatum(instruction_id), false);
		row_insert(&target, &v, NULL);
	}
}

/* ------------------------------------------------------------------------
 * Which rows
 * ------------------------------------------------------------------------
 */

static void
add_row(GuardedRows *rows, Oid relid, int32 guard_id, char *key, Datum expect)
{
	GuardedRow *row;

	if (rows->n >= GUARD_ROWS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("guards has more than %d rows", GUARD_ROWS_MAX)));
	argument_text("key", key, GUARD_KEY_MAX);
	row = &rows->row[rows->n++];
	row->guard_id = guard_id;
	row->relid = relid;
	row->key = key;
	row->expect = expect;
}

static int
compare_rows(const void *a, const void *b)
{
	const GuardedRow *x = a;
	const GuardedRow *y = b;

	return x->guard_id != y->guard_id ? (x->guard_id < y->guard_id ? -1 : 1) : strcmp(x->key, y->key);
}

/* The table must be guarded; only then is anything of it told or locked. */
static Oid
guarded_table(const char *name, int32 *guard_id)
{
	List	   *names = textToQualifiedNameList(cstring_to_text(name));
	Oid			relid = RangeVarGetRelid(makeRangeVarFromNameList(names), NoLock, true);
	Guard		g;

	if (!OidIsValid(relid) || !guard_of_relation(relid, &g))
		ereport(ERROR,
				(errcode(ERRCODE_RX_CONFIG),
				 errmsg("table \"%s\" has no guard", name),
				 errhint("Write it with its schema, such as shop.orders; refundx.guard_add() puts a guard on a table.")));
	*guard_id = g.guard_id;
	return relid;
}

/* {"table": ..., "key": ..., "expect": {...}}, or a list of them. */
static void
rows_given(Jsonb *given, GuardedRows *rows)
{
	static Statement read = {
		"SELECT g->>'table', CASE WHEN jsonb_typeof(g->'key') IN ('string', 'number') THEN g->>'key' END,"
		"       g->'expect',"
		"       CASE WHEN jsonb_typeof(g) <> 'object' THEN 'each of its members must be an object'"
		"            WHEN NOT g ? 'table' THEN 'a table is missing'"
		"            WHEN jsonb_typeof(g->'expect') <> 'object' THEN 'expect must be an object'"
		"            ELSE (SELECT format('a row has no member %I', m) FROM jsonb_object_keys("
		"                         CASE jsonb_typeof(g) WHEN 'object' THEN g ELSE '{}' END) m"
		"                   WHERE m NOT IN ('table', 'key', 'expect') LIMIT 1) END"
		"  FROM jsonb_array_elements(CASE jsonb_typeof($1) WHEN 'array' THEN $1 ELSE jsonb_build_array($1) END) g",
		ARGS(JSONBOID)
	};
	Values		v = {0};
	uint64		n;
	uint64		i;
	struct
	{
		char	   *table;
		char	   *key;
		Datum		expect;
	}		   *said;

	values_datum(&v, JsonbPGetDatum(given), false);
	n = statement_run(&read, &v);
	said = palloc0(Max(n, 1) * sizeof(*said));
	for (i = 0; i < n; i++)
	{
		bool		isnull;
		Datum		expect;

		if (!row_null(i, 4))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("guards cannot be used: %s", row_text(i, 4)),
					 errhint("It is a list of rows: [{\"table\": \"shop.orders\", \"key\": \"1001\", \"expect\": {\"amount\": 100}}].")));
		said[i].table = row_text(i, 1);
		said[i].key = row_text(i, 2);
		expect = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 3, &isnull);
		said[i].expect = isnull ? (Datum) 0 : SPI_datumTransfer(expect, false, -1);
	}
	for (i = 0; i < n; i++)
	{
		int32		guard_id;
		Oid			relid = guarded_table(argument_text("table", said[i].table, 2 * NAMEDATALEN), &guard_id);

		add_row(rows, relid, guard_id, said[i].key, said[i].expect);
	}
}

/* ---- guards that follow payments ---- */

static List *followers = NIL;
static bool followers_known = false;

/* The list itself stays until it is read again: somebody may be walking it. */
static void
forget(void)
{
	followers_known = false;
}

static Memo guards = {"guard", forget};

static void
forget_followers(void)
{
	ListCell   *lc;

	foreach(lc, followers)
		pfree(((Follower *) lfirst(lc))->pattern);
	list_free_deep(followers);
	followers = NIL;
}

/*
 * Remembered until refundx.guard changes, unless it did so meanwhile.  Read with the
 * latest snapshot, or a guard would not hold for who has an older one, and could not be
 * remembered.  By relid: a guard's name for its table may be older than a rename.
 */
static List *
read_followers(void)
{
	static Statement find = {
		"SELECT g.guard_id, t.relid::int8, g.of_payments"
		"  FROM (VALUES (1)) one"
		"  LEFT JOIN refundx.guard g ON g.of_payments IS NOT NULL AND g.dropped_at IS NULL"
		"  LEFT JOIN refundx.guard_trigger t ON t.guard_id = g.guard_id AND t.root AND t.event = 'update'",
		NO_ARGS
	};
	List	   *found = NIL;
	uint64		before;
	uint64		n;
	uint64		i;
	MemoryContext old;

	before = memo_read(&guards);
	PushActiveSnapshot(GetLatestSnapshot());
	n = statement_read(&find, NULL);
	PopActiveSnapshot();
	forget_followers();
	old = MemoryContextSwitchTo(TopMemoryContext);
	for (i = 0; i < n; i++)
		if (!row_null(i, 1))
		{
			Follower   *f = palloc(sizeof(Follower));

			f->guard_id = row_int4(i, 1);
			f->relid = row_null(i, 2) ? InvalidOid : (Oid) row_int8(i, 2);
			f->pattern = row_text(i, 3);
			found = lappend(found, f);
		}
	MemoryContextSwitchTo(old);
	followers = found;
	followers_known = before == memo_changes(&guards);
	return found;
}

static void
rows_of_payment(const char *payment_no, GuardedRows *rows)
{
	static Statement find = {
		"SELECT substring($1 FROM $2)", ARGS(TEXTOID, TEXTOID)
	};
	List	   *following = followers_known ? followers : read_followers();
	ListCell   *lc;

	foreach(lc, following)
	{
		const Follower *f = lfirst(lc);
		Values		v = {0};
		Guard		g;

		values_text(&v, payment_no);
		values_text(&v, f->pattern);
		if (statement_run(&find, &v) != 1 || row_null(0, 1))
			continue;			/* not a payment of that table's */
		if (!OidIsValid(f->relid) || !guard_of_relation(f->relid, &g) || g.guard_id != f->guard_id)
			ereport(ERROR,
					(errcode(ERRCODE_RX_CONFIG),
					 errmsg("guard %d, which follows payments, has lost its triggers", f->guard_id),
					 errhint("See refundx.guards; refundx.guard_add() puts a new one on the table.")));
		add_row(rows, f->relid, f->guard_id, row_text(0, 1), (Datum) 0);
	}
}

/* ------------------------------------------------------------------------
 * Locking one
 * ------------------------------------------------------------------------
 */

static Oid
owner_of(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "relation %u is gone", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * False if the number is taken by now: a repeated call has waited here for the
 * first one, which may have changed the row.
 *
 * The lock on the table, and on the partition that the row is in, is that of an
 * UPDATE: one for a SELECT would let somebody disable the triggers meanwhile.
 */
static bool
lock_row(GuardedRow *row, const char *number)
{
	Values		v = {0};
	Guard		g;
	Statement  *lock;
	Oid			user;
	Oid			found_in;
	int			context;
	uint64		n;
	int			i;

	LockRelationOid(row->relid, RowExclusiveLock);
	if (!guard_of_relation(row->relid, &g) || g.guard_id != row->guard_id)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access to the guard of %s", guard_table_name(row->relid)),
				 errdetail("It was removed, or another has taken its place."),
				 errhint("Retry the transaction.")));
	check_expected_members(row, &g);
	lock = row_statement(row->relid, &g);
	values_text(&v, row->key);
	values_datum(&v, row->expect, row->expect == (Datum) 0);

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(owner_of(row->relid),
						   context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	n = statement_run(lock, &v);
	SetUserIdAndSecContext(user, context);

	if (n > 1)
		ereport(ERROR,
				(errcode(ERRCODE_RX_CONFIG),
				 errmsg("table %s has more than one row with %s \"%s\"", guard_table_name(row->relid), g.key_column, row->key),
				 errhint("A guard needs a unique index on its key.")));
	if (n == 0 && instruction_number_exists(number))
		return false;
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_RX_ROW_DIFFERS),
				 errmsg("table %s has no row with %s \"%s\"", guard_table_name(row->relid), g.key_column, row->key)));
	row->key = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	argument_text("key", row->key, GUARD_KEY_MAX);
	found_in = (Oid) row_int8(0, 2);
	for (i = 0; i < g.ncolumns; i++)
		if (!row_bool(0, 3 + i))
			break;
	if (found_in != row->relid)
		LockRelationOid(found_in, RowExclusiveLock);
	check_triggers(found_in);
	if (i == g.ncolumns)
		return true;
	if (instruction_number_exists(number))
		return false;
	ereport(ERROR,
			(errcode(ERRCODE_RX_ROW_DIFFERS),
			 errmsg("row \"%s\" of %s is not as expected: its column %s is another",
					row->key, guard_table_name(row->relid), g.column[i]),
			 errhint("Somebody has changed it since it was read. Read it again, and decide anew.")));
	return false;
}

static void
check_expected_members(const GuardedRow *row, const Guard *g)
{
	static Statement find = {
		"SELECT m FROM jsonb_object_keys($1) m WHERE m <> ALL ($2) LIMIT 1",
		ARGS(JSONBOID, TEXTARRAYOID)
	};
	Values		v = {0};
	Column		columns;
	int			i;

	if (row->expect == (Datum) 0)
		return;
	column_init(&columns, TEXTOID);
	for (i = 0; i < g->ncolumns; i++)
		column_text(&columns, g->column[i]);
	values_datum(&v, row->expect, false);
	values_column(&v, &columns);
	if (statement_run(&find, &v) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("expect names \"%s\", which is not a guarded column of %s", row_text(0, 1), guard_table_name(row->relid)),
				 errhint("What is not guarded may change a moment later.")));
}

static void
check_triggers(Oid relid)
{
	Guard		g;

	if (guard_of_relation(relid, &g) && g.always)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_RX_CONFIG),
			 errmsg("the guard's triggers of %s are not enabled", guard_table_name(relid)),
			 errhint("ALTER TABLE %s ENABLE ALWAYS TRIGGER ... for each trigger whose name begins with refundx_guard.",
					 guard_table_name(relid))));
}

/*
 * The key, the partition, and for each guarded column whether it is as expected.
 * Made from the catalogs each time, which is little beside the rest, and planned
 * only when it has become another.
 */
static Statement *
row_statement(Oid relid, const Guard *g)
{
	static RowStatement *kept = NULL;
	AttrNumber	key = get_attnum(relid, g->key_column);
	StringInfoData s;
	RowStatement *r;
	int			i;

	if (key <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_RX_CONFIG),
				 errmsg("table %s has no column \"%s\", which its guard was added with", guard_table_name(relid), g->key_column)));
	initStringInfo(&s);
	appendStringInfo(&s, "SELECT t.%s, t.tableoid::int8", quote_identifier(g->key_column));
	for (i = 0; i < g->ncolumns; i++)
		compare_column(&s, relid, g->column[i]);
	appendStringInfo(&s, " FROM %s %s t WHERE t.%s = $1::%s FOR NO KEY UPDATE",
					 get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE ? "" : "ONLY",
					 guard_table_name(relid), quote_identifier(g->key_column),
					 format_type_extended(get_atttype(relid, key), -1, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));

	for (r = kept; r != NULL; r = r->next)
		if (strcmp(r->statement.text, s.data) == 0)
			return &r->statement;
	r = MemoryContextAllocZero(TopMemoryContext, sizeof(RowStatement));
	r->statement.text = MemoryContextStrdup(TopMemoryContext, s.data);
	r->statement.types[0] = TEXTOID;
	r->statement.types[1] = JSONBOID;
	r->statement.nargs = 2;
	r->next = kept;
	kept = r;
	return &r->statement;
}

/*
 * By the type's own equality, if it is one of Postgres' types, so that 100 is
 * 100.00; as text otherwise, for operators of others are not called with the rights of
 * whoever owns the table.
 */
static void
compare_column(StringInfo s, Oid relid, const char *column)
{
	AttrNumber	attnum = get_attnum(relid, column);
	Oid			type;
	Oid			equal;
	const char *as;
	const char *text;

	if (attnum <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_RX_CONFIG),
				 errmsg("table %s has no column \"%s\", which its guard was added with", guard_table_name(relid), column)));
	type = getBaseType(get_atttype(relid, attnum));
	equal = lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
	as = format_type_extended(type, -1, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
	text = OidIsValid(equal) && get_func_namespace(get_opcode(equal)) == PG_CATALOG_NAMESPACE ? "" : "::text";
	appendStringInfo(s, ", CASE WHEN $2 ? %s THEN t.%s%s IS NOT DISTINCT FROM ($2 ->> %s)::%s%s ELSE true END",
					 quote_literal_cstr(column), quote_identifier(column), text,
					 quote_literal_cstr(column), as, text);
}

/* ------------------------------------------------------------------------
 * Locking them again, to settle
 * ------------------------------------------------------------------------
 */

/* False if somebody else has the row; one that is gone is nobody's. */
static bool
lock_if_free(Oid relid, const Guard *g, const char *key)
{
	AttrNumber	attnum = get_attnum(relid, g->key_column);
	StringInfoData s;
	Oid			user;
	int			context;
	Oid			type = TEXTOID;
	Datum		value = CStringGetTextDatum(key);
	bool		locked;

	if (attnum <= 0 || !ConditionalLockRelationOid(relid, RowExclusiveLock))
		return attnum <= 0;
	initStringInfo(&s);
	appendStringInfo(&s, "SELECT FROM %s %s t WHERE t.%s = $1::%s",
					 get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE ? "" : "ONLY",
					 guard_table_name(relid), quote_identifier(g->key_column),
					 format_type_extended(get_atttype(relid, attnum), -1, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(owner_of(relid),
						   context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	locked = SPI_execute_with_args(psprintf("%s FOR NO KEY UPDATE SKIP LOCKED", s.data), 1, &type, &value, NULL, false, 0) >= 0 &&
		SPI_processed > 0;
	if (!locked)
		locked = SPI_execute_with_args(s.data, 1, &type, &value, NULL, false, 0) >= 0 && SPI_processed == 0;
	SetUserIdAndSecContext(user, context);
	return locked;
}

bool
guard_lock_again(int64 instruction_id)
{
	static Statement find = {
		"SELECT l.key, x.relid::oid::int8, l.guard_id"
		"  FROM refundx.guard_lock l"
		"  JOIN refundx.guard_trigger x ON x.guard_id = l.guard_id AND x.root AND x.event = 'update'"
		" WHERE l.instruction_id = $1 ORDER BY l.guard_id, l.key", ARGS(INT8OID)
	};
	Values		v = {0};
	uint64		n;
	uint64		row;
	GuardedRow *rows;

	values_int8(&v, instruction_id);
	n = statement_run(&find, &v);
	rows = palloc0(Max(n, 1) * sizeof(GuardedRow));
	for (row = 0; row < n; row++)
	{
		rows[row].key = row_text(row, 1);
		rows[row].relid = (Oid) row_int8(row, 2);
		rows[row].guard_id = row_int4(row, 3);
	}
	for (row = 0; row < n; row++)
	{
		Guard		g;

		if (!guard_of_relation(rows[row].relid, &g) || g.guard_id != rows[row].guard_id)
			continue;			/* it was taken off meanwhile */
		if (!lock_if_free(rows[row].relid, &g, rows[row].key))
			return false;
	}
	return true;
}
