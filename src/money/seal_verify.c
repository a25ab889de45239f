/*-------------------------------------------------------------------------
 *
 * seal_verify.c
 *	  Is the journal what was sealed?  And if not, where.
 *
 * Seal by seal: it names the one before it by its hash, its text has the hash that
 * it says, its leaves have the root that it says, and each line of the journal has
 * the hash that is its leaf.  A line that differs is located by that leaf: by account
 * and version.  What else the owner of the tables may have done:
 *
 *	- a line removed: there is a leaf and no line;
 *	- a line added: there is a line where the sealed versions have a gap, or before
 *	  the first; or it took the place of another, which then stands elsewhere; or it
 *	  is dated long before the moment when all that was committed had been sealed;
 *	- lines exchanged or moved: a line is the one that was sealed as another version;
 *	- seals removed at the end: refundx.sealed, or a day's statement, knows of them.
 *	  Who removes those, too, is found by a statement that was kept elsewhere.
 *
 * Memory is that of one seal, whatever was done.
 *
 * src/money/seal_verify.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/seal_verify.h"

#include "base/errors.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define FINDINGS_PER_SEAL	100

/* So far apart two lines of one account are seen to have changed places. */
#define MOVED_MAX	64

/* Nobody prepares a transaction and commits it a day later; but who does is asked. */
#define LATE_AFTER	USECS_PER_DAY

typedef struct Finding
{
	int64		seal_no;
	int64		account_id;		/* 0 = it is about no line */
	int64		version;
	const char *what;
	const char *detail;
} Finding;

struct Verify
{
	ReturnSetInfo *result;
	Finding		finding[FINDINGS_PER_SEAL];
	int			n;
	int64		not_listed;		/* of this seal */
	int64		seals;			/* what was verified */
	int64		lines;
	int64		found;
};

/* A line that is not what was sealed in its place. */
typedef struct Mismatch
{
	int			leaf;
	int			part;
	int64		version;
	int64		row;			/* of SPI's result; -1 = there is no line */
	int64		sealed_as;		/* the version that it was sealed as; 0 = none */
	bool		stands_elsewhere;	/* what was sealed here */
} Mismatch;

PG_FUNCTION_INFO_V1(refundx_seal_findings);

static void verify_seal(Verify *v, int64 seal_no, const SealHash previous, SealHash out);
static bool verify_block(Verify *v, Seal *seal, bytea *ranges, bytea *leaves, const SealHash previous);
static void verify_lines(Verify *v, const Seal *seal);
static void explain_mismatches(Verify *v, const Seal *seal, Mismatch *m, int n);
static void verify_between(Verify *v, const Seal *seal);
static void verify_index(Verify *v, int64 from, int64 to, int64 last);
static void emit_findings(Verify *v);

void
verify_found(Verify *v, int64 seal_no, int64 account_id, int64 version, const char *what, const char *detail)
{
	Finding    *f = &v->finding[v->n];

	v->found++;
	if (v->n == FINDINGS_PER_SEAL)
	{
		v->not_listed++;
		return;
	}
	f->seal_no = seal_no;
	f->account_id = account_id;
	f->version = version;
	f->what = what;
	f->detail = detail;
	v->n++;
}

static void
emit_findings(Verify *v)
{
	static Statement name = {
		"SELECT name FROM refundx.account_name WHERE account_id = $1", ARGS(INT8OID)
	};
	int			i;

	if (v->not_listed > 0 && v->n == FINDINGS_PER_SEAL)
	{
		Finding    *last = &v->finding[v->n - 1];

		last->detail = psprintf("%s; and " INT64_FORMAT " more findings of this seal", last->detail, v->not_listed);
	}
	for (i = 0; i < v->n; i++)
	{
		Finding    *f = &v->finding[i];
		Datum		values[6] = {0};
		bool		nulls[6] = {0};
		Values		args = {0};

		values[0] = Int64GetDatum(f->seal_no);
		nulls[1] = nulls[2] = nulls[3] = f->account_id == 0;
		if (f->account_id != 0)
		{
			values_int8(&args, f->account_id);
			values[1] = Int64GetDatum(f->account_id);
			nulls[2] = statement_read(&name, &args) != 1 || row_null(0, 1);
			if (!nulls[2])
				values[2] = CStringGetTextDatum(row_text(0, 1));
			values[3] = Int64GetDatum(f->version);
		}
		values[4] = CStringGetTextDatum(f->what);
		values[5] = CStringGetTextDatum(f->detail);
		tuplestore_putvalues(v->result->setResult, v->result->setDesc, values, nulls);
	}
	v->n = 0;
	v->not_listed = 0;
}

/* ------------------------------------------------------------------------
 * The chain
 * ------------------------------------------------------------------------
 */

/*
 * One seal.  `previous` is the hash that the one before it has; `out` becomes the one
 * that this has by its own account, so that one change is one finding.
 */
static void
verify_seal(Verify *v, int64 seal_no, const SealHash previous, SealHash out)
{
	bytea	   *ranges;
	bytea	   *leaves;
	Seal		seal;

	if (!seal_read(seal_no, &seal, &ranges, &leaves))
		elog(ERROR, "seal " INT64_FORMAT " is not there any more", seal_no);
	if (verify_block(v, &seal, ranges, leaves, previous))
	{
		verify_lines(v, &seal);
		verify_between(v, &seal);
	}
	v->seals++;
	v->lines += seal.lines;
	memcpy(out, seal.hash, HASH_LEN);
	emit_findings(v);
}

/* False if its lines cannot be looked for: nobody knows which they were. */
static bool
verify_block(Verify *v, Seal *seal, bytea *ranges, bytea *leaves, const SealHash previous)
{
	SealHash		hash;
	SealHash		root;

	if (memcmp(previous, seal->previous, HASH_LEN) != 0)
		verify_found(v, seal->seal_no, 0, 0, "chain broken", "it does not follow from the seal before it");
	if (ranges == NULL || leaves == NULL || seal->lines < 1 || seal->lines > SEAL_LINES_MAX ||
		VARSIZE_ANY_EXHDR(leaves) != (Size) seal->lines * HASH_LEN ||
		!seal_parts(ranges, seal->lines, &seal->parts, &seal->nparts))
	{
		verify_found(v, seal->seal_no, 0, 0, "seal changed", "its lines and their hashes do not fit together");
		return false;
	}
	seal->leaves = (SealHash *) VARDATA_ANY(leaves);
	seal_hash_bytes(VARDATA_ANY(ranges), VARSIZE_ANY_EXHDR(ranges), seal->ranges_hash);
	seal_hash(seal, hash);
	if (memcmp(hash, seal->hash, HASH_LEN) != 0)
		verify_found(v, seal->seal_no, 0, 0, "seal changed", "its hash is not that of what it says");
	seal_root(seal->leaves, seal->lines, root);
	if (memcmp(root, seal->root, HASH_LEN) != 0)
		verify_found(v, seal->seal_no, 0, 0, "seal changed", "the hashes of its lines do not have its root");
	return true;
}

/* ------------------------------------------------------------------------
 * Its lines
 * ------------------------------------------------------------------------
 */

static uint64
read_sealed_lines(const Seal *seal)
{
	static Statement lines = {
		"SELECT " SEAL_LINE_SELECT ", q.n"
		"  FROM unnest($1, $2, $3) WITH ORDINALITY q(account_id, first, last, n)"
		SEAL_LINE_OF_ACCOUNT("q.account_id")
		" CROSS JOIN LATERAL (SELECT * FROM refundx.journal x"
		"                      WHERE x.account_id = q.account_id AND x.version BETWEEN q.first AND q.last"
		"                      ORDER BY x.version LIMIT $4) j"
		SEAL_LINE_OF_INSTRUCTION, ARGS(INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8OID)
	};
	Values		v = {0};
	Column		account;
	Column		first;
	Column		last;
	int			i;

	column_init(&account, INT8OID);
	column_init(&first, INT8OID);
	column_init(&last, INT8OID);
	for (i = 0; i < seal->nparts; i++)
	{
		column_int8(&account, seal->parts[i].account_id);
		column_int8(&first, seal->parts[i].from);
		column_int8(&last, seal->parts[i].from + seal->parts[i].lines - 1);
	}
	values_column(&v, &account);
	values_column(&v, &first);
	values_column(&v, &last);
	values_int8(&v, SEAL_LINES_MAX);
	return statement_read(&lines, &v);
}

static void
verify_lines(Verify *v, const Seal *seal)
{
	uint64		n = read_sealed_lines(seal);
	int64	   *row_of_leaf = palloc(seal->lines * sizeof(int64));
	int		   *base = palloc(seal->nparts * sizeof(int));
	Mismatch   *mismatch = palloc(seal->lines * sizeof(Mismatch));
	SPITupleTable *rows = SPI_tuptable;
	int			mismatches = 0;
	int			leaf = 0;
	uint64		row;
	int			i;

	for (i = 0; i < seal->nparts; leaf += seal->parts[i++].lines)
		base[i] = leaf;
	for (i = 0; i < seal->lines; i++)
		row_of_leaf[i] = -1;
	for (row = 0; row < n; row++)
	{
		const SealPart *part = &seal->parts[row_int8(row, SEAL_LINE_COLUMNS + 1) - 1];
		SealLine	line;
		SealHash		hash;

		seal_line_read(row, &line);
		leaf = base[part - seal->parts] + (int) (seal_line_version(&line) - part->from);
		row_of_leaf[leaf] = (int64) row;
		seal_line_hash(&line, hash);
		if (memcmp(hash, seal->leaves[leaf], HASH_LEN) != 0)
			continue;
		row_of_leaf[leaf] = -2;
		if (seal->horizon != 0 && DatumGetTimestampTz(line.value[SEAL_LINE_AT]) < seal->horizon - LATE_AFTER)
			verify_found(v, seal->seal_no, part->account_id, seal_line_version(&line), "added",
						 psprintf("it is dated %s, but was not there when all that was committed before %s was sealed",
								  timestamptz_to_str(DatumGetTimestampTz(line.value[SEAL_LINE_AT])),
								  pstrdup(timestamptz_to_str(seal->horizon))));
	}
	for (i = 0; i < seal->nparts; i++)
		for (leaf = base[i]; leaf < base[i] + seal->parts[i].lines; leaf++)
			if (row_of_leaf[leaf] != -2)
				mismatch[mismatches++] = (Mismatch) {
				.leaf = leaf, .part = i, .row = row_of_leaf[leaf],
				.version = seal->parts[i].from + (leaf - base[i])};
	explain_mismatches(v, seal, mismatch, mismatches);
	SPI_freetuptable(rows);
}

/*
 * A line that stands in another's place: its text with that one's version has the
 * hash that was sealed there.
 */
static void
find_moved(const Seal *seal, Mismatch *all, int n, Mismatch *m)
{
	int			first = Max(0, (int) (m - all) - MOVED_MAX);
	int			last = Min(n - 1, (int) (m - all) + MOVED_MAX);
	SealLine	line;
	int			i;

	seal_line_read((uint64) m->row, &line);
	for (i = first; i <= last; i++)
	{
		Mismatch   *other = &all[i];
		SealHash		hash;

		if (other == m || other->part != m->part || other->stands_elsewhere)
			continue;
		line.value[SEAL_LINE_VERSION] = Int64GetDatum(other->version);
		seal_line_hash(&line, hash);
		if (memcmp(hash, seal->leaves[other->leaf], HASH_LEN) != 0)
			continue;
		m->sealed_as = other->version;
		other->stands_elsewhere = true;
		return;
	}
}

static void
explain_mismatches(Verify *v, const Seal *seal, Mismatch *m, int n)
{
	int			i;

	/* beyond what is listed nobody needs to be told what exactly it was */
	for (i = 0; i < n && i < 4 * FINDINGS_PER_SEAL; i++)
		if (m[i].row >= 0)
			find_moved(seal, m, n, &m[i]);
	for (i = 0; i < n; i++)
	{
		int64		account_id = seal->parts[m[i].part].account_id;
		int64		version = m[i].version;
		const char *what;
		const char *detail;

		if (m[i].sealed_as != 0)
		{
			what = "reordered";
			detail = psprintf("this is the line that was sealed as version " INT64_FORMAT, m[i].sealed_as);
			verify_found(v, seal->seal_no, account_id, version, what, detail);
			if (!m[i].stands_elsewhere)
				verify_found(v, seal->seal_no, account_id, version, "missing",
							 "the line that was sealed in this place is nowhere near it");
		}
		else if (m[i].row >= 0)
		{
			what = m[i].stands_elsewhere ? "added" : "changed";
			detail = m[i].stands_elsewhere ? "the line that was sealed in this place stands elsewhere" :
				"the line is not the one that was sealed";
			verify_found(v, seal->seal_no, account_id, version, what, detail);
		}
		else if (!m[i].stands_elsewhere)
			verify_found(v, seal->seal_no, account_id, version, "missing", "the line that was sealed is not there");
	}
}

/*
 * What lies between a part and the one before it of the same account: nothing, or
 * lines were missing when it was sealed, and whatever is there now came later.  And
 * refundx.sealed must say what the seal says.
 */
static void
verify_between(Verify *v, const Seal *seal)
{
	static Statement between = {
		"SELECT q.account_id, q.first, coalesce(p.to_version, 0), d.seal_no = $4 AND d.from_version = q.first, x.version"
		"  FROM unnest($1, $2, $3) q(account_id, first, last)"
		"  LEFT JOIN LATERAL (SELECT s.to_version FROM refundx.sealed s"
		"                      WHERE s.account_id = q.account_id AND s.to_version < q.first"
		"                      ORDER BY s.to_version DESC LIMIT 1) p ON true"
		"  LEFT JOIN LATERAL (SELECT s.seal_no, s.from_version FROM refundx.sealed s"
		"                      WHERE s.account_id = q.account_id AND s.to_version = q.last LIMIT 1) d ON true"
		"  LEFT JOIN LATERAL (SELECT j.version FROM refundx.journal j"
		"                      WHERE j.account_id = q.account_id AND j.version < q.first"
		"                        AND j.version > coalesce(p.to_version, (-9223372036854775808)::bigint)"
		"                      ORDER BY j.version LIMIT 101) x ON true"
		" WHERE x.version IS NOT NULL OR coalesce(p.to_version, 0) <> q.first - 1"
		"    OR (d.seal_no = $4 AND d.from_version = q.first) IS NOT TRUE"
		" LIMIT 1000", ARGS(INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8OID)
	};
	Values		args = {0};
	Column		account;
	Column		first;
	Column		last;
	uint64		n;
	uint64		i;

	column_init(&account, INT8OID);
	column_init(&first, INT8OID);
	column_init(&last, INT8OID);
	for (i = 0; i < (uint64) seal->nparts; i++)
	{
		column_int8(&account, seal->parts[i].account_id);
		column_int8(&first, seal->parts[i].from);
		column_int8(&last, seal->parts[i].from + seal->parts[i].lines - 1);
	}
	values_column(&args, &account);
	values_column(&args, &first);
	values_column(&args, &last);
	values_int8(&args, seal->seal_no);
	n = statement_read(&between, &args);
	for (i = 0; i < n; i++)
	{
		int64		account_id = row_int8(i, 1);
		int64		from = row_int8(i, 2);
		int64		before = row_int8(i, 3);

		if (!row_bool(i, 4))
			verify_found(v, seal->seal_no, account_id, from, "seal changed",
						 "refundx.sealed does not say what the seal says");
		if (!row_null(i, 5))
			verify_found(v, seal->seal_no, account_id, row_int8(i, 5), "added",
						 "it was not there when the lines after it were sealed");
		else if (before < from - 1)
			verify_found(v, seal->seal_no, account_id, before + 1, "missing",
						 before + 1 == from - 1 ? "it was not there any more when it was to be sealed" :
						 psprintf("it and all up to version " INT64_FORMAT " were not there any more when they were to be sealed",
								  from - 1));
	}
	SPI_freetuptable(SPI_tuptable);
}

/* ------------------------------------------------------------------------
 * All of it
 * ------------------------------------------------------------------------
 */

/*
 * refundx.sealed has as many rows of each seal as that has parts: more would hide
 * what was added between them.  And it knows of seals that are gone.
 */
static void
verify_index(Verify *v, int64 from, int64 to, int64 last)
{
	static Statement more = {
		"SELECT d.seal_no FROM refundx.sealed d LEFT JOIN refundx.seal s ON s.seal_no = d.seal_no"
		" WHERE s.seal_no IS NOT NULL AND d.seal_no BETWEEN $1 AND $2"
		" GROUP BY d.seal_no, s.parts HAVING count(*) <> s.parts ORDER BY 1 LIMIT 100", ARGS(INT8OID, INT8OID)
	};
	static Statement gone = {
		"SELECT min(seal_no), max(seal_no) FROM refundx.sealed WHERE seal_no > $1 OR seal_no < 1", ARGS(INT8OID)
	};
	Values		args = {0};
	uint64		n;
	uint64		i;

	values_int8(&args, from);
	values_int8(&args, to);
	n = statement_read(&more, &args);
	for (i = 0; i < n; i++)
		verify_found(v, row_int8(i, 1), 0, 0, "seal changed", "refundx.sealed has not as many rows of it as it has parts");
	emit_findings(v);
	if (to < last)
		return;
	values_reset(&args);
	values_int8(&args, last);
	statement_read(&gone, &args);
	if (!row_null(0, 1))
		verify_found(v, row_int8(0, 1), 0, 0, "seal missing",
					 psprintf("the last seal is " INT64_FORMAT ", but refundx.sealed speaks of seals " INT64_FORMAT " to " INT64_FORMAT,
							  last, row_int8(0, 1), row_int8(0, 2)));
	emit_findings(v);
}

/* The first seal from that one on, or the last up to it; 0 = none. */
static int64
seal_number(bool first, int64 bound)
{
	static Statement least = {"SELECT coalesce(min(seal_no), 0) FROM refundx.seal WHERE seal_no >= $1", ARGS(INT8OID)};
	static Statement greatest = {"SELECT coalesce(max(seal_no), 0) FROM refundx.seal WHERE seal_no <= $1", ARGS(INT8OID)};
	Values		args = {0};

	values_int8(&args, bound);
	statement_read(first ? &least : &greatest, &args);
	return row_int8(0, 1);
}

/* The hash that the first is to follow. */
static void
hash_before(int64 seal_no, SealHash out)
{
	bytea	   *ranges;
	bytea	   *leaves;
	Seal		seal;

	memset(out, 0, HASH_LEN);
	if (seal_no > 1 && seal_read(seal_no - 1, &seal, &ranges, &leaves))
		memcpy(out, seal.hash, HASH_LEN);
}

/* Seals that are not there are one finding. */
static void
verify_gap(Verify *v, int64 from, int64 next, SealHash previous)
{
	verify_found(v, from, 0, 0, "seal missing",
				 next == from + 1 ? "there is no such seal" :
				 psprintf("neither it nor any up to seal " INT64_FORMAT " is there", next - 1));
	emit_findings(v);
	hash_before(next, previous);
}

static void
verify_chain(Verify *v, int64 from, int64 to)
{
	SealHash		previous;
	int64		i = from;

	hash_before(from, previous);
	while (i <= to)
	{
		int64		next;

		CHECK_FOR_INTERRUPTS();
		/* a level of its own, with which all that a seal took is freed */
		SPI_connect();
		next = seal_number(true, i);
		if (next == 0 || next > to)
			next = to + 1;
		if (next > i)
			verify_gap(v, i, next, previous);
		if (next <= to)
			verify_seal(v, next, previous, previous);
		SPI_finish();
		i = next + 1;
	}
}

/*
 * SQL: seal_findings(from_seal bigint, to_seal bigint, tell boolean)
 *		RETURNS TABLE (seal_no, account_id, account, version, finding, detail)
 *
 * to_seal null: to the last.  tell: a NOTICE of what was verified.
 */
Datum
refundx_seal_findings(PG_FUNCTION_ARGS)
{
	int64		from = PG_ARGISNULL(0) ? 1 : PG_GETARG_INT64(0);
	Verify	   *v;
	int64		last;
	int64		to;

	InitMaterializedSRF(fcinfo, 0);
	v = palloc0(sizeof(Verify));
	v->result = (ReturnSetInfo *) fcinfo->resultinfo;
	SPI_connect();
	last = seal_number(false, PG_INT64_MAX);
	to = PG_ARGISNULL(1) ? last : PG_GETARG_INT64(1);
	if (from < 1 || (to < from && !PG_ARGISNULL(1)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there are no seals from " INT64_FORMAT " to " INT64_FORMAT, from, to),
				 errhint("Seals are numbered from 1; null means to the last.")));
	if (from > Max(last, 1) || to > last)
		ereport(ERROR,
				(errcode(ERRCODE_RX_UNKNOWN_SEAL),
				 errmsg("seal " INT64_FORMAT " does not exist", from > Max(last, 1) ? from : to),
				 errdetail("The last seal is " INT64_FORMAT ".", last)));
	verify_chain(v, from, to);
	verify_index(v, from, to, last);
	verify_days(v, from, to, last);
	emit_findings(v);
	if (PG_GETARG_BOOL(2))
		ereport(NOTICE,
				(errmsg("verified " INT64_FORMAT " seals over " INT64_FORMAT " journal lines: " INT64_FORMAT " findings",
						v->seals, v->lines, v->found)));
	SPI_finish();
	return (Datum) 0;
}
