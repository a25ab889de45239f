/*-------------------------------------------------------------------------
 *
 * seal_block.c
 *	  What a seal is made of: its parts, its text, its hash.
 *
 * src/money/seal_block.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/seal.h"

#include "base/clock.h"
#include "port/pg_bswap.h"

#define PART_BYTES	20

void
seal_ranges(const SealPart *parts, int n, StringInfo out)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		uint64		account = pg_hton64((uint64) parts[i].account_id);
		uint64		from = pg_hton64((uint64) parts[i].from);
		uint32		lines = pg_hton32((uint32) parts[i].lines);

		appendBinaryStringInfo(out, (char *) &account, sizeof(account));
		appendBinaryStringInfo(out, (char *) &from, sizeof(from));
		appendBinaryStringInfo(out, (char *) &lines, sizeof(lines));
	}
}

bool
seal_parts(const bytea *ranges, int lines, SealPart **parts, int *n)
{
	const char *p = VARDATA_ANY(ranges);
	Size		len = VARSIZE_ANY_EXHDR(ranges);
	int64		sum = 0;
	int			i;

	if (len % PART_BYTES != 0 || len == 0 || len / PART_BYTES > SEAL_LINES_MAX)
		return false;
	*n = (int) (len / PART_BYTES);
	*parts = palloc(*n * sizeof(SealPart));
	for (i = 0; i < *n; i++, p += PART_BYTES)
	{
		SealPart   *part = &(*parts)[i];
		uint64		account;
		uint64		from;
		uint32		count;

		memcpy(&account, p, sizeof(account));
		memcpy(&from, p + 8, sizeof(from));
		memcpy(&count, p + 16, sizeof(count));
		part->account_id = (int64) pg_ntoh64(account);
		part->from = (int64) pg_ntoh64(from);
		part->lines = (int32) pg_ntoh32(count);
		if (part->lines < 1 || part->lines > SEAL_LINES_MAX || part->from > PG_INT64_MAX - part->lines)
			return false;
		sum += part->lines;
	}
	return sum == lines;
}

void
seal_add_hash(StringInfo out, const char *name, const SealHash hash)
{
	int			i;

	appendStringInfo(out, "%s=", name);
	for (i = 0; i < HASH_LEN; i++)
		appendStringInfo(out, "%02x", hash[i]);
	appendStringInfoChar(out, '\n');
}

static void
add_time(StringInfo out, const char *name, TimestampTz at)
{
	appendStringInfo(out, "%s=", name);
	if (at != 0)
		appendStringInfo(out, INT64_FORMAT, timestamptz_to_unix_us(at));
	appendStringInfoChar(out, '\n');
}

/* As doc/seals.md says it; it may never change, as a line's text may not. */
void
seal_text(const Seal *seal, StringInfo out)
{
	appendStringInfo(out, "refundx seal 1\nseal=" INT64_FORMAT "\n", seal->seal_no);
	seal_add_hash(out, "previous", seal->previous);
	seal_add_hash(out, "root", seal->root);
	seal_add_hash(out, "ranges", seal->ranges_hash);
	appendStringInfo(out, "lines=%d\n", seal->lines);
	add_time(out, "horizon", seal->horizon);
	add_time(out, "sealed_at", seal->sealed_at);
}

void
seal_hash_bytes(const void *data, size_t len, SealHash out)
{
	if (!sha256(data, len, out))
		elog(ERROR, "SHA-256 failed");
}

void
seal_hash(const Seal *seal, SealHash out)
{
	StringInfoData text;

	initStringInfo(&text);
	seal_text(seal, &text);
	seal_hash_bytes(text.data, text.len, out);
	pfree(text.data);
}

void
seal_root(SealHash *leaves, int n, SealHash out)
{
	if (!merkle_root((const unsigned char (*)[HASH_LEN]) leaves, n, out))
		elog(ERROR, "SHA-256 failed");
}

bool
seal_read(int64 seal_no, Seal *seal, bytea **ranges, bytea **leaves)
{
	static Statement read = {
		"SELECT sealed_at, horizon, lines, previous, root, hash, ranges, leaves"
		"  FROM refundx.seal WHERE seal_no = $1", ARGS(INT8OID)
	};
	Values		v = {0};
	bytea	   *hashes[3];
	int			i;

	values_int8(&v, seal_no);
	memset(seal, 0, sizeof(*seal));
	if (statement_read(&read, &v) != 1)
		return false;
	seal->seal_no = seal_no;
	seal->sealed_at = row_time(0, 1);
	seal->horizon = row_time(0, 2);
	seal->lines = row_int4(0, 3);
	for (i = 0; i < 3; i++)
	{
		hashes[i] = row_bytes(0, 4 + i);
		/* the owner may have dropped the constraints as well */
		if (hashes[i] == NULL || VARSIZE_ANY_EXHDR(hashes[i]) != HASH_LEN)
			hashes[i] = NULL;
	}
	if (hashes[0])
		memcpy(seal->previous, VARDATA_ANY(hashes[0]), HASH_LEN);
	if (hashes[1])
		memcpy(seal->root, VARDATA_ANY(hashes[1]), HASH_LEN);
	if (hashes[2])
		memcpy(seal->hash, VARDATA_ANY(hashes[2]), HASH_LEN);
	*ranges = row_bytes(0, 7);
	*leaves = row_bytes(0, 8);
	SPI_freetuptable(SPI_tuptable);
	return true;
}
