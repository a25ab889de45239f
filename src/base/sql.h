/*-------------------------------------------------------------------------
 *
 * sql.h
 *	  Prepared statements over SPI, and the values they take and give.
 *
 * src/base/sql.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_SQL_H
#define REFUNDX_SQL_H

#include "base/pg_compat.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"

#define STATEMENT_MAX_ARGS	32

/*
 * A statement prepared on its first use in a backend and kept.  The plan
 * cache revalidates it, also after DROP and CREATE EXTENSION.  Written as
 *
 *	  static Statement find = {"SELECT ... $1, $2", ARGS(INT8OID, TEXTOID)};
 */
typedef struct Statement
{
	const char *text;
	Oid			types[STATEMENT_MAX_ARGS];
	int			nargs;
	SPIPlanPtr	plan;
} Statement;

#define ARGS(...)	{__VA_ARGS__}, lengthof(((Oid[]) {__VA_ARGS__})), NULL
#define NO_ARGS		{0}, 0, NULL

typedef struct Values
{
	int			n;
	Datum		value[STATEMENT_MAX_ARGS];
	char		null[STATEMENT_MAX_ARGS];	/* ' ' or 'n', as SPI wants */
} Values;

/* Append one argument; the text and pointer forms take NULL for SQL's null. */
extern void values_reset(Values *v);
extern void values_datum(Values *v, Datum d, bool isnull);
extern void values_int8(Values *v, int64 i);
extern void values_int4(Values *v, int32 i);
extern void values_bool(Values *v, bool b);
extern void values_text(Values *v, const char *s);
extern void values_bytes(Values *v, const void *data, size_t len);
extern void values_time(Values *v, int64 timestamptz);	/* 0 = null */

/*
 * Run it with SPI connected; returns SPI_processed, the rows are in
 * SPI_tuptable.  An unexpected SPI result is an ERROR.
 */
extern uint64 statement_run(Statement *s, Values *v);

/* The same with read_only set: sees the active snapshot, takes no new one. */
extern uint64 statement_read(Statement *s, Values *v);

/* ---- results: column numbers count from 1 ---- */
extern bool row_null(uint64 row, int col);
extern int64 row_int8(uint64 row, int col);		/* 0 if null */
extern int32 row_int4(uint64 row, int col);
extern bool row_bool(uint64 row, int col);
extern char *row_text(uint64 row, int col);		/* palloc'd; NULL if null */
extern int64 row_time(uint64 row, int col);		/* TimestampTz; 0 if null */
extern bytea *row_bytes(uint64 row, int col);	/* palloc'd; NULL if null */

/* ---- arrays for unnest(): built up element by element ---- */
typedef struct Column
{
	Oid			type;
	int			n;
	int			cap;
	Datum	   *value;
	bool	   *null;
} Column;

extern void column_init(Column *c, Oid element_type);
extern void column_int8(Column *c, int64 i);
extern void column_int4(Column *c, int32 i);
extern void column_bool(Column *c, bool b);
extern void column_text(Column *c, const char *s);	/* NULL = null */
extern void column_time(Column *c, int64 timestamptz);	/* 0 = null */
extern void column_bytes(Column *c, const void *data, size_t len);	/* NULL = null */
extern void column_null(Column *c);

/*
 * A stranger's words, which may be in any bytes: what cannot be stored as text
 * must not be able to fail the transaction that keeps them.  Empty = null.
 */
extern void column_words(Column *c, const char *s);
extern char *words_as_text(const char *s);	/* palloc'd */
extern void values_column(Values *v, Column *c);

#endif							/* REFUNDX_SQL_H */
