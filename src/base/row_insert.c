/*-------------------------------------------------------------------------
 *
 * row_insert.c
 *	  Inserting one row of a table of ours without a plan.
 *
 * A submit inserts three rows, one each of instruction, journal and event.  As
 * SQL statements a third of what they cost is the starting and ending of an
 * executor for a constant row.  Here the row goes where the executor's last
 * step would put it (ExecSimpleRelationInsert, which logical replication uses
 * as well): triggers, constraints and indexes are the same.
 *
 * What an executor does besides, this does too: the domains of the columns are
 * checked.  What it does not do: defaults.  A column with a default must be
 * among those that are given; the first insert makes sure of that, so that a
 * default which is added later cannot be forgotten silently.
 *
 * Permissions are the caller's affair: these are the rows that the extension's
 * functions write as the owner.
 *
 * src/base/row_insert.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/row_insert.h"

#include "access/table.h"
#include "access/xact.h"
#include "base/relation.h"
#include "catalog/dependency.h"
#include "commands/sequence.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

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

/*
 * Column numbers of a table never change, so they are looked up once for each
 * table that bears the name (after DROP and CREATE EXTENSION it is another).
 */
static void
resolve(RowTarget *t, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	int			i;

	t->relid = InvalidOid;
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
		if (i == 0)
			t->sequence = att->attidentity != '\0' ? compat_identity_sequence(rel, attnum) : InvalidOid;
	}
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && (att->atthasdef || att->attidentity != '\0' || att->attnotnull) &&
			!is_given(t, att->attnum))
			elog(ERROR, "refundx.%s.%s needs a value", t->table, NameStr(att->attname));
	}
	t->relid = RelationGetRelid(rel);
}

static Relation
open_target(RowTarget *t)
{
	Relation	rel = table_open(relation_oid(t->table), RowExclusiveLock);

	if (t->relid != RelationGetRelid(rel))
		resolve(t, rel);
	return rel;
}

int64
row_next_id(RowTarget *t)
{
	table_close(open_target(t), NoLock);
	return nextval_internal(t->sequence, false);
}

static void
fill_slot(RowTarget *t, const RowValues *v, TupleTableSlot *slot)
{
	int			i;

	ExecStoreAllNullTuple(slot);
	for (i = 0; i < v->n; i++)
	{
		if (OidIsValid(t->domain[i]))
			domain_check(v->value[i], v->null[i], t->domain[i], &t->domain_extra[i], TopMemoryContext);
		slot->tts_values[t->attnum[i] - 1] = v->value[i];
		slot->tts_isnull[t->attnum[i] - 1] = v->null[i];
	}
}

static void
insert_into(Relation rel, RowTarget *t, const RowValues *v)
{
	EState	   *estate = CreateExecutorState();
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);
	ResultRelInfo *result = makeNode(ResultRelInfo);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsVirtual);

	/* no range table: index 0, as for a relation of which only triggers fire */
	InitResultRelInfo(result, rel, 0, NULL, 0);
	fill_slot(t, v, slot);
	ExecOpenIndices(result, false);
	ExecSimpleRelationInsert(result, estate, slot);
	ExecCloseIndices(result);
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextSwitchTo(old);
	FreeExecutorState(estate);
}

void
row_insert(RowTarget *t, const RowValues *v, void (*taken) (void *arg), void *arg)
{
	Relation	rel = open_target(t);
	MemoryContext here = CurrentMemoryContext;

	PG_TRY();
	{
		insert_into(rel, t, v);
	}
	PG_CATCH();
	{
		/* nothing is recovered here: one ERROR takes the place of another */
		MemoryContextSwitchTo(here);
		if (taken != NULL && geterrcode() == ERRCODE_UNIQUE_VIOLATION)
		{
			FlushErrorState();
			taken(arg);
		}
		PG_RE_THROW();
	}
	PG_END_TRY();
	table_close(rel, NoLock);
	CommandCounterIncrement();
}
