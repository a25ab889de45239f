/*-------------------------------------------------------------------------
 *
 * sql.c
 *	  Prepared statements over SPI; see sql.h.
 *
 * src/base/sql.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/sql.h"

#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

static uint64
statement_execute(Statement *s, Values *v, bool read_only)
{
	int			rc;

	if (s->plan == NULL)
	{
		/*
		 * Planned once, for any values: every statement here finds its rows
		 * by keys, and what differs from call to call (a batch of one or of
		 * hundreds) would only make the plan cache plan it again each time.
		 */
		SPIPlanPtr	plan = SPI_prepare_cursor(s->text, s->nargs, s->types,
											  CURSOR_OPT_GENERIC_PLAN);

		if (plan == NULL)
			elog(ERROR, "SPI_prepare failed: %s: %s", SPI_result_code_string(SPI_result), s->text);
		if (SPI_keepplan(plan) != 0)
			elog(ERROR, "SPI_keepplan failed");
		s->plan = plan;
	}
	Assert((v ? v->n : 0) == s->nargs);
	rc = SPI_execute_plan(s->plan, v ? v->value : NULL, v ? v->null : NULL, read_only, 0);
	if (rc < 0)
		elog(ERROR, "SPI_execute_plan failed: %s: %s", SPI_result_code_string(rc), s->text);
	return SPI_processed;
}

uint64
statement_run(Statement *s, Values *v)
{
	return statement_execute(s, v, false);
}

uint64
statement_read(Statement *s, Values *v)
{
	return statement_execute(s, v, true);
}

/* ---- arguments ---- */

void
values_reset(Values *v)
{
	v->n = 0;
}

void
values_datum(Values *v, Datum d, bool isnull)
{
	if (v->n >= STATEMENT_MAX_ARGS)
		elog(ERROR, "too many arguments for a statement");
	v->value[v->n] = isnull ? (Datum) 0 : d;
	v->null[v->n] = isnull ? 'n' : ' ';
	v->n++;
}

void
values_int8(Values *v, int64 i)
{
	values_datum(v, Int64GetDatum(i), false);
}

void
values_int4(Values *v, int32 i)
{
	values_datum(v, Int32GetDatum(i), false);
}

void
values_bool(Values *v, bool b)
{
	values_datum(v, BoolGetDatum(b), false);
}

void
values_text(Values *v, const char *s)
{
	values_datum(v, s ? CStringGetTextDatum(s) : (Datum) 0, s == NULL);
}

void
values_bytes(Values *v, const void *data, size_t len)
{
	bytea	   *b = palloc(VARHDRSZ + len);

	SET_VARSIZE(b, VARHDRSZ + len);
	memcpy(VARDATA(b), data, len);
	values_datum(v, PointerGetDatum(b), false);
}

void
values_time(Values *v, int64 timestamptz)
{
	values_datum(v, TimestampTzGetDatum(timestamptz), timestamptz == 0);
}

/* ---- results ---- */

static Datum
row_datum(uint64 row, int col, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, col, isnull);
}

bool
row_null(uint64 row, int col)
{
	bool		isnull;

	(void) row_datum(row, col, &isnull);
	return isnull;
}

/* A column's type; that of a domain is what it is made of. */
#ifdef USE_ASSERT_CHECKING
static bool
column_is(int col, Oid type)
{
	return getBaseType(SPI_gettypeid(SPI_tuptable->tupdesc, col)) == type;
}
#endif

int64
row_int8(uint64 row, int col)
{
	bool		isnull;
	Datum		d = row_datum(row, col, &isnull);

	Assert(column_is(col, INT8OID));
	return isnull ? 0 : DatumGetInt64(d);
}

int32
row_int4(uint64 row, int col)
{
	bool		isnull;
	Datum		d = row_datum(row, col, &isnull);

	Assert(column_is(col, INT4OID));
	return isnull ? 0 : DatumGetInt32(d);
}

bool
row_bool(uint64 row, int col)
{
	bool		isnull;
	Datum		d = row_datum(row, col, &isnull);

	return isnull ? false : DatumGetBool(d);
}

char *
row_text(uint64 row, int col)
{
	bool		isnull;
	Datum		d = row_datum(row, col, &isnull);

	Assert(column_is(col, TEXTOID));
	return isnull ? NULL : TextDatumGetCString(d);
}

int64
row_time(uint64 row, int col)
{
	bool		isnull;
	Datum		d = row_datum(row, col, &isnull);

	return isnull ? 0 : DatumGetTimestampTz(d);
}

bytea *
row_bytes(uint64 row, int col)
{
	bool		isnull;
	Datum		d = row_datum(row, col, &isnull);

	return isnull ? NULL : DatumGetByteaPCopy(d);
}

/* ---- columns ---- */

void
column_init(Column *c, Oid element_type)
{
	c->type = element_type;
	c->n = 0;
	c->cap = 64;
	c->value = palloc(c->cap * sizeof(Datum));
	c->null = palloc(c->cap * sizeof(bool));
}

static void
column_append(Column *c, Datum d, bool isnull)
{
	if (c->n == c->cap)
	{
		c->cap *= 2;
		c->value = repalloc(c->value, c->cap * sizeof(Datum));
		c->null = repalloc(c->null, c->cap * sizeof(bool));
	}
	c->value[c->n] = d;
	c->null[c->n] = isnull;
	c->n++;
}

void
column_int8(Column *c, int64 i)
{
	column_append(c, Int64GetDatum(i), false);
}

void
column_int4(Column *c, int32 i)
{
	column_append(c, Int32GetDatum(i), false);
}

void
column_bool(Column *c, bool b)
{
	column_append(c, BoolGetDatum(b), false);
}

void
column_text(Column *c, const char *s)
{
	column_append(c, s ? CStringGetTextDatum(s) : (Datum) 0, s == NULL);
}

char *
words_as_text(const char *s)
{
	char	   *copy = pstrdup(s);
	char	   *p;

	if (!pg_verify_mbstr(GetDatabaseEncoding(), s, strlen(s), true))
		for (p = copy; *p; p++)
			if ((unsigned char) *p >= 0x80 || (unsigned char) *p < 0x20)
				*p = '?';
	return copy;
}

void
column_words(Column *c, const char *s)
{
	if (s == NULL || s[0] == '\0')
		column_null(c);
	else
		column_text(c, words_as_text(s));
}

void
column_time(Column *c, int64 timestamptz)
{
	column_append(c, TimestampTzGetDatum(timestamptz), timestamptz == 0);
}

void
column_bytes(Column *c, const void *data, size_t len)
{
	bytea	   *b;

	if (data == NULL)
	{
		column_append(c, (Datum) 0, true);
		return;
	}
	b = palloc(VARHDRSZ + len);
	SET_VARSIZE(b, VARHDRSZ + len);
	memcpy(VARDATA(b), data, len);
	column_append(c, PointerGetDatum(b), false);
}

void
column_null(Column *c)
{
	column_append(c, (Datum) 0, true);
}

void
values_column(Values *v, Column *c)
{
	int16		len;
	bool		byval;
	char		align;
	int			lower = 1;
	ArrayType  *array;

	get_typlenbyvalalign(c->type, &len, &byval, &align);
	array = construct_md_array(c->value, c->null, 1, &c->n, &lower, c->type, len, byval, align);
	values_datum(v, PointerGetDatum(array), false);
}
