/*-------------------------------------------------------------------------
 *
 * row_target.c
 *	  A table of ours that rows are written to without a plan.
 *
 * A submit changes a payment and inserts three rows, one each of instruction,
 * journal and event.  As SQL statements a third of what they cost is the
 * starting and ending of an executor.  Here a row goes where the executor's
 * last step would put it (ExecSimpleRelationInsert and its sisters, which
 * logical replication uses as well): triggers, constraints and indexes are the
 * same.
 *
 * What an executor does besides, this does too: a read-only transaction is
 * refused, and the domains of the columns are checked.  What it does not do:
 * defaults.  A column with a default must be among those that are given; the
 * first use makes sure of that, so that a default which is added later cannot
 * be forgotten silently.
 *
 * A table's CHECKs are prepared once, and not by every statement: reading them
 * from the catalogs and planning them costs as much as inserting into two
 * indexes.  They are prepared anew when the table has changed.
 *
 * Permissions are the caller's affair: most of these are rows that the
 * extension's functions write as the owner.
 *
 * src/base/row_target.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/row_target.h"

#include "access/table.h"
#include "access/xact.h"
#include "base/relation.h"
#include "catalog/dependency.h"
#include "commands/sequence.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

static RowTarget *remembered = NULL;

void
row_value(RowValues *v, Datum value, bool null)
{
	if (v->n >= ROW_COLUMNS_MAX)
		elog(ERROR, "too many columns for a row");
	v->value[v->n] = null ? (Datum) 0 : value;
	v->null[v->n] = null;
	v->n++;
}

void
row_value_text(RowValues *v, const char *s)
{
	row_value(v, s ? CStringGetTextDatum(s) : (Datum) 0, s == NULL);
}

/* ------------------------------------------------------------------------
 * What is remembered
 * ------------------------------------------------------------------------
 */

static void
table_changed(Datum arg, Oid relid)
{
	RowTarget  *t;

	for (t = remembered; t != NULL; t = t->next)
		if (relid == InvalidOid || relid == t->relid)
			t->changed = true;
}

/* Is the column among those that are given? */
static bool
is_given(const RowTarget *t, AttrNumber attnum)
{
	int			i;

	for (i = 0; t->column[i] != NULL; i++)
		if (t->attnum[i] == attnum)
			return true;
	return false;
}

static void
resolve_columns(RowTarget *t, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	int			i;

	t->sequence = InvalidOid;
	for (i = 0; t->column[i] != NULL; i++)
	{
		AttrNumber	attnum = get_attnum(RelationGetRelid(rel), t->column[i]);
		Form_pg_attribute att;

		if (attnum <= 0)
			elog(ERROR, "refundx.%s has no column \"%s\"", t->table, t->column[i]);
		att = TupleDescAttr(desc, attnum - 1);
		t->attnum[i] = attnum;
		t->domain[i] = get_typtype(att->atttypid) == TYPTYPE_DOMAIN ? att->atttypid : InvalidOid;
		t->domain_extra[i] = NULL;
		if (att->attidentity != '\0' && !OidIsValid(t->sequence))
			t->sequence = compat_identity_sequence(rel, attnum);
	}
	for (i = 0; i < desc->natts && !t->existing; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && (att->atthasdef || att->attidentity != '\0' || att->attnotnull) &&
			!is_given(t, att->attnum))
			elog(ERROR, "refundx.%s.%s needs a value", t->table, NameStr(att->attname));
	}
}

/* As ExecConstraints() would prepare them, only to stay. */
static void
resolve_checks(RowTarget *t, Relation rel)
{
	TupleConstr *constr = RelationGetDescr(rel)->constr;
	MemoryContext old;
	int			i;

	t->checks = NULL;
	if (constr == NULL || constr->num_check == 0)
		return;
	old = MemoryContextSwitchTo(t->memory);
	t->checks = palloc0(constr->num_check * sizeof(ExprState *));
	for (i = 0; i < constr->num_check; i++)
		if (compat_check_enforced(&constr->check[i]))
			t->checks[i] = ExecInitExpr(expression_planner(stringToNode(constr->check[i].ccbin)), NULL);
	MemoryContextSwitchTo(old);
}

static void
resolve(RowTarget *t, Relation rel)
{
	if (remembered == NULL)
		CacheRegisterRelcacheCallback(table_changed, (Datum) 0);
	if (t->memory == NULL)
	{
		t->next = remembered;
		remembered = t;
	}
	else
	{
		/* somebody up the stack may be using it; not longer than this, though */
		MemoryContextSetParent(t->memory, TopTransactionContext);
	}
	t->memory = AllocSetContextCreate(CacheMemoryContext, "refundx row target", ALLOCSET_SMALL_SIZES);
	t->complete = t->changed = false;	/* what changes it from here on, counts */
	t->relid = RelationGetRelid(rel);
	resolve_columns(t, rel);
	resolve_checks(t, rel);
	t->complete = true;
}

Relation
row_target_open(RowTarget *t)
{
	Relation	rel = table_open(relation_oid(t->table), RowExclusiveLock);

	if (!t->complete || t->changed || t->relid != RelationGetRelid(rel))
		resolve(t, rel);
	return rel;
}

int64
row_next_id(RowTarget *t)
{
	table_close(row_target_open(t), NoLock);
	return nextval_internal(t->sequence, false);
}

Datum
row_column(const RowTarget *t, int i, TupleTableSlot *row, bool *isnull)
{
	return slot_getattr(row, t->attnum[i], isnull);
}

/* ------------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------------
 */

void
row_writer_begin(RowWriter *w, RowTarget *t, bool speculative)
{
	PreventCommandIfReadOnly(t->existing ? "UPDATE" : "INSERT");
	w->target = t;
	w->rel = row_target_open(t);
	w->estate = CreateExecutorState();
	w->caller = MemoryContextSwitchTo(w->estate->es_query_cxt);
	w->estate->es_output_cid = GetCurrentCommandId(true);
	w->result = makeNode(ResultRelInfo);
	w->slot = MakeSingleTupleTableSlot(RelationGetDescr(w->rel), &TTSOpsVirtual);

	/* no range table: index 0, as for a relation of which only triggers fire */
	InitResultRelInfo(w->result, w->rel, 0, NULL, 0);
	w->result->ri_CheckConstraintExprs = t->checks;
	ExecOpenIndices(w->result, speculative);
}

void
row_writer_end(RowWriter *w)
{
	ExecCloseIndices(w->result);
	ExecDropSingleTupleTableSlot(w->slot);
	MemoryContextSwitchTo(w->caller);
	FreeExecutorState(w->estate);
	table_close(w->rel, NoLock);
}

static void
set_columns(RowWriter *w, const RowValues *v)
{
	RowTarget  *t = w->target;
	int			i;

	for (i = 0; i < v->n; i++)
	{
		if (OidIsValid(t->domain[i]))
			domain_check(v->value[i], v->null[i], t->domain[i], &t->domain_extra[i], t->memory);
		w->slot->tts_values[t->attnum[i] - 1] = v->value[i];
		w->slot->tts_isnull[t->attnum[i] - 1] = v->null[i];
	}
}

void
row_writer_new(RowWriter *w, const RowValues *v)
{
	ExecStoreAllNullTuple(w->slot);
	set_columns(w, v);
}

/* The new row points into the old one's slot, which has to live as long. */
void
row_writer_change(RowWriter *w, TupleTableSlot *row, const RowValues *v)
{
	int			natts = RelationGetDescr(w->rel)->natts;

	slot_getallattrs(row);
	ExecClearTuple(w->slot);
	memcpy(w->slot->tts_values, row->tts_values, natts * sizeof(Datum));
	memcpy(w->slot->tts_isnull, row->tts_isnull, natts * sizeof(bool));
	set_columns(w, v);
	ExecStoreVirtualTuple(w->slot);
}

void
row_writer_written(RowWriter *w)
{
	if (!ItemPointerIsValid(&w->slot->tts_tid))
		elog(ERROR, "a trigger has kept a row out of refundx.%s", w->target->table);
}
