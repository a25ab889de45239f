/*-------------------------------------------------------------------------
 *
 * seal_proof.c
 *	  The proof of one refund or withdrawal: for an auditor who trusts only SHA-256,
 *	  and the public key of the statements.
 *
 * For each journal line of it: its text, the way from there to the root of its seal, the
 * seal's text, the way from there to the root of its day, and the day's statement with
 * its signature.  test/proof has scripts that check it; doc/seals.md says how.
 *
 * src/money/seal_proof.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/seal_day.h"

#include "base/clock.h"
#include "base/errors.h"
#include "fmgr.h"
#include "utils/json.h"

PG_FUNCTION_INFO_V1(refundx_journal_proof);

/* The lines, each with where it is sealed. */
#define MAX_LINES	64

typedef struct Proven
{
	char	   *text;
	int64		account_id;
	int64		version;
	int64		seal_no;		/* 0 = not sealed */
} Proven;

static int
read_proven(const char *number, Proven *out)
{
	static Statement read = {
		"SELECT " SEAL_LINE_SELECT ", d.seal_no"
		"  FROM (SELECT n.instruction_id FROM refundx.instruction n WHERE n.instruction_no = $1) q"
		"  JOIN refundx.journal j ON j.instruction_id = q.instruction_id"
		SEAL_LINE_OF_ACCOUNT("j.account_id")
		SEAL_LINE_OF_INSTRUCTION
		"  LEFT JOIN LATERAL (SELECT s.seal_no, s.from_version FROM refundx.sealed s"
		"                      WHERE s.account_id = j.account_id AND s.to_version >= j.version"
		"                      ORDER BY s.to_version LIMIT 1) d ON d.from_version <= j.version"
		" ORDER BY j.account_id, j.version LIMIT 64", ARGS(TEXTOID)
	};
	Values		v = {0};
	uint64		n;
	uint64		i;

	values_text(&v, number);
	n = statement_read(&read, &v);
	for (i = 0; i < n; i++)
	{
		StringInfoData text;
		SealLine	line;

		initStringInfo(&text);
		seal_line_read(i, &line);
		seal_line_text(&line, &text);
		out[i].text = text.data;
		out[i].account_id = seal_line_account(&line);
		out[i].version = seal_line_version(&line);
		out[i].seal_no = row_int8(i, SEAL_LINE_COLUMNS + 1);
	}
	return (int) n;
}

static void
add_string(StringInfo out, const char *name, const char *value)
{
	appendStringInfo(out, "\"%s\": ", name);
	if (value != NULL)
		escape_json(out, value);
	else
		appendStringInfoString(out, "null");
}

static void
add_path(StringInfo out, const char *name, const SealHash *leaves, int n, int index)
{
	MerkleStep	path[MERKLE_PATH_MAX];
	int			len = merkle_path(leaves, n, index, path);
	int			i;
	int			k;

	if (len < 0)
		elog(ERROR, "there is no way from leaf %d of %d", index, n);
	appendStringInfo(out, "\"%s\": [", name);
	for (i = 0; i < len; i++)
	{
		appendStringInfo(out, "%s[\"%s\", \"", i > 0 ? ", " : "", path[i].left ? "left" : "right");
		for (k = 0; k < HASH_LEN; k++)
			appendStringInfo(out, "%02x", path[i].hash[k]);
		appendStringInfoString(out, "\"]");
	}
	appendStringInfoChar(out, ']');
}

/* Which leaf of the seal the line is; -1 if it is none. */
static int
leaf_of(const Seal *seal, const Proven *line)
{
	int			leaf = 0;
	int			i;

	for (i = 0; i < seal->nparts; leaf += seal->parts[i++].lines)
	{
		const SealPart *part = &seal->parts[i];

		if (part->account_id == line->account_id && line->version >= part->from &&
			line->version < part->from + part->lines)
			return leaf + (int) (line->version - part->from);
	}
	return -1;
}

static void
add_seal(StringInfo out, const Proven *line)
{
	StringInfoData text;
	bytea	   *ranges;
	bytea	   *leaves;
	Seal		seal;
	int			leaf;

	if (!seal_read(line->seal_no, &seal, &ranges, &leaves) || ranges == NULL || leaves == NULL ||
		VARSIZE_ANY_EXHDR(leaves) != (Size) seal.lines * HASH_LEN ||
		!seal_parts(ranges, seal.lines, &seal.parts, &seal.nparts) || (leaf = leaf_of(&seal, line)) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_RX_NOT_PROVABLE),
				 errmsg("seal " INT64_FORMAT " is not what it was", line->seal_no),
				 errhint("See SELECT * FROM refundx.journal_verify().")));
	seal_hash_bytes(VARDATA_ANY(ranges), VARSIZE_ANY_EXHDR(ranges), seal.ranges_hash);
	initStringInfo(&text);
	seal_text(&seal, &text);
	add_path(out, "path", (const SealHash *) VARDATA_ANY(leaves), seal.lines, leaf);
	appendStringInfoString(out, ", ");
	add_string(out, "seal", text.data);
}

/* The day's statement, or what it would say by now: that one is signed later. */
static void
add_day(StringInfo out, int64 seal_no)
{
	static Statement read = {
		"SELECT d.statement, encode(d.signature, 'base64'), d.key_print, d.seal_no,"
		"       coalesce((SELECT max(p.seal_no) FROM refundx.day_seal p WHERE p.day < d.day), 0)"
		"  FROM refundx.day_seal d WHERE d.seal_no >= $1 ORDER BY d.day LIMIT 1", ARGS(INT8OID)
	};
	Values		v = {0};
	Day			day = {0};
	SealHash   *leaves;
	char	   *signature = NULL;
	char	   *print = NULL;
	int			n;

	values_int8(&v, seal_no);
	if (statement_read(&read, &v) == 1)
	{
		day.statement = row_text(0, 1);
		signature = row_text(0, 2);
		print = row_text(0, 3);
		day.to = row_int8(0, 4);
		day.from = row_int8(0, 5) + 1;
	}
	else
	{
		if (!day_next(&day))
			elog(ERROR, "there are no seals");
		day.day = Max(day.day, day_of(clock_now()));
		day_close(&day);
		day.statement = day_statement(&day);
	}
	day_tree(day.from, day.to, &leaves, &n);
	add_path(out, "day_path", (const SealHash *) leaves, n, (int) (seal_no - day.from));
	appendStringInfoString(out, ", ");
	add_string(out, "statement", day.statement);
	appendStringInfoString(out, ", ");
	add_string(out, "signature", signature);
	appendStringInfoString(out, ", ");
	add_string(out, "key", print);
}

static void
nothing_to_prove(const char *number)
{
	static Statement find = {"SELECT FROM refundx.instruction WHERE instruction_no = $1", ARGS(TEXTOID)};
	Values		v = {0};

	values_text(&v, number);
	if (statement_read(&find, &v) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_RX_UNKNOWN_REFUND),
				 errmsg("there is no refund or withdrawal \"%s\"", number)));
	ereport(ERROR,
			(errcode(ERRCODE_RX_NOT_PROVABLE),
			 errmsg("\"%s\" has no journal lines", number),
			 errdetail("It is not paid from an account of refundx.")));
}

/*
 * SQL: journal_proof(number text) returns text: JSON
 */
Datum
refundx_journal_proof(PG_FUNCTION_ARGS)
{
	char	   *number = text_to_cstring(PG_GETARG_TEXT_PP(0));
	MemoryContext context = CurrentMemoryContext;
	StringInfoData out;
	Proven		line[MAX_LINES];
	text	   *result;
	int			n;
	int			i;

	SPI_connect();
	n = read_proven(number, line);
	if (n == 0)
		nothing_to_prove(number);
	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	add_string(&out, "number", number);
	appendStringInfoString(&out, ", \"lines\": [");
	for (i = 0; i < n; i++)
	{
		if (line[i].seal_no == 0)
			ereport(ERROR,
					(errcode(ERRCODE_RX_NOT_PROVABLE),
					 errmsg("\"%s\" has a journal line that is not sealed yet", number),
					 errhint("The clerk seals every refundx.clerk_interval; refundx.journal_seal() does it now.")));
		appendStringInfoString(&out, i > 0 ? ", {" : "{");
		add_string(&out, "line", line[i].text);
		appendStringInfoString(&out, ", ");
		add_seal(&out, &line[i]);
		appendStringInfoString(&out, ", ");
		add_day(&out, line[i].seal_no);
		appendStringInfoChar(&out, '}');
	}
	appendStringInfoString(&out, "]}");
	MemoryContextSwitchTo(context);
	result = cstring_to_text(out.data);
	SPI_finish();
	PG_RETURN_TEXT_P(result);
}
