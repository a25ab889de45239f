/*-------------------------------------------------------------------------
 *
 * seal_line.c
 *	  The canonical text of a journal line: what is hashed.
 *
 * It is the same for whoever makes it, in any language, from the columns
 * alone: doc/seals.md describes it for auditors, so it may never change.  A new
 * form would be a new first line, beside this one.  Integers are in decimal,
 * times are microseconds since 1970 in UTC, and texts have their length in
 * front, so that no text, whatever is in it, can look like something else.
 *
 * src/money/seal_line.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/seal.h"

#include "access/htup_details.h"
#include "base/clock.h"
#include "utils/builtins.h"

#define FIRST_LINE	"refundx journal line 1\n"

typedef enum FieldType
{
	FIELD_INT8,
	FIELD_INT4,
	FIELD_TEXT,
	FIELD_TIME
} FieldType;

static const struct
{
	const char *name;
	FieldType	type;
}			fields[SEAL_LINE_COLUMNS] = {
	{"account_id", FIELD_INT8},
	{"version", FIELD_INT8},
	{"account", FIELD_TEXT},
	{"slot", FIELD_INT4},
	{"currency", FIELD_TEXT},
	{"type", FIELD_TEXT},
	{"instruction_id", FIELD_INT8},
	{"kind", FIELD_TEXT},
	{"number", FIELD_TEXT},
	{"reference", FIELD_TEXT},
	{"d_available", FIELD_INT8},
	{"d_frozen", FIELD_INT8},
	{"d_outside", FIELD_INT8},
	{"available", FIELD_INT8},
	{"frozen", FIELD_INT8},
	{"note", FIELD_TEXT},
	{"at", FIELD_TIME},
	{"by", FIELD_TEXT},
};

void
seal_line_read(uint64 row, SealLine *line)
{
	TupleDesc	desc = SPI_tuptable->tupdesc;
	Datum		value[MaxTupleAttributeNumber];
	bool		null[MaxTupleAttributeNumber];

	Assert(desc->natts >= SEAL_LINE_COLUMNS);
	heap_deform_tuple(SPI_tuptable->vals[row], desc, value, null);
	memcpy(line->value, value, sizeof(line->value));
	memcpy(line->null, null, sizeof(line->null));
}

int64
seal_line_account(const SealLine *line)
{
	return DatumGetInt64(line->value[SEAL_LINE_ACCOUNT]);
}

int64
seal_line_version(const SealLine *line)
{
	return DatumGetInt64(line->value[SEAL_LINE_VERSION]);
}

static void
add_int(StringInfo out, int64 value)
{
	char		digits[24];

	appendBinaryStringInfo(out, digits, pg_lltoa(value, digits));
}

void
seal_line_text(const SealLine *line, StringInfo out)
{
	int			i;

	appendStringInfoString(out, FIRST_LINE);
	for (i = 0; i < SEAL_LINE_COLUMNS; i++)
	{
		appendStringInfoString(out, fields[i].name);
		appendStringInfoChar(out, '=');
		if (!line->null[i])
		{
			Datum		value = line->value[i];

			switch (fields[i].type)
			{
				case FIELD_INT8:
					add_int(out, DatumGetInt64(value));
					break;
				case FIELD_INT4:
					add_int(out, DatumGetInt32(value));
					break;
				case FIELD_TIME:
					add_int(out, timestamptz_to_unix_us(DatumGetTimestampTz(value)));
					break;
				case FIELD_TEXT:
					{
						text	   *t = DatumGetTextPP(value);

						add_int(out, VARSIZE_ANY_EXHDR(t));
						appendStringInfoChar(out, ':');
						appendBinaryStringInfo(out, VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t));
						break;
					}
			}
		}
		appendStringInfoChar(out, '\n');
	}
}

void
seal_line_hash(const SealLine *line, SealHash out)
{
	static StringInfoData text = {0};

	/* kept: a line is a few hundred bytes, and there are millions */
	if (text.data == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		initStringInfo(&text);
		MemoryContextSwitchTo(old);
	}
	resetStringInfo(&text);
	seal_line_text(line, &text);
	if (!merkle_leaf(text.data, text.len, out))
		elog(ERROR, "SHA-256 failed");
}
