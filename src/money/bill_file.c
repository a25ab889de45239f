/*-------------------------------------------------------------------------
 *
 * bill_file.c
 *	  A bill's file in the database: in pieces, packed.
 *
 * src/money/bill_file.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/bill.h"

#include "base/temp_file.h"
#include "channel/bill_pack.h"
#include "utils/memutils.h"

static void
add_chunk(int64 bill_id, int n, const void *data, size_t len)
{
	static Statement add = {
		"INSERT INTO refundx.bill_chunk (bill_id, n, bytes) VALUES ($1, $2, $3)", ARGS(INT8OID, INT4OID, BYTEAOID)
	};
	Values		v = {0};

	values_int8(&v, bill_id);
	values_int4(&v, n);
	values_bytes(&v, data, len);
	statement_run(&add, &v);
}

static void
set_size(int64 bill_id, bool as_it_came, int64 size)
{
	static Statement set = {
		"UPDATE refundx.bill SET packing = $2, size = $3 WHERE bill_id = $1", ARGS(INT8OID, TEXTOID, INT8OID)
	};
	Values		v = {0};

	values_int8(&v, bill_id);
	values_text(&v, as_it_came ? "as it came" : "gzip");
	values_int8(&v, size);
	statement_run(&set, &v);
}

void
bill_file_keep(int64 bill_id, const BillInput *input)
{
	MemoryContext one = AllocSetContextCreate(CurrentMemoryContext, "refundx bill chunk", ALLOCSET_DEFAULT_SIZES);
	MemoryContext here = CurrentMemoryContext;
	BillPacker *packer = bill_packer_open(input);
	char	   *piece;
	int64		size = 0;
	int64		got = -1;
	int			n = 0;

	if (packer == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	PG_TRY();
	{
		piece = palloc(BILL_CHUNK_BYTES);
		while ((got = bill_packer_read(packer, piece, BILL_CHUNK_BYTES)) > 0)
		{
			MemoryContextSwitchTo(one);
			add_chunk(bill_id, n++, piece, got);
			MemoryContextSwitchTo(here);
			MemoryContextReset(one);
			size += got;
			CHECK_FOR_INTERRUPTS();
		}
		pfree(piece);
		if (got < 0)
			ereport(ERROR, (errcode_for_file_access(), errmsg("the bill's file cannot be read to its end: %m")));
		set_size(bill_id, bill_packer_as_it_came(packer), size);
	}
	PG_FINALLY();
	{
		bill_packer_close(packer);
	}
	PG_END_TRY();
	MemoryContextDelete(one);
}

/* One piece after the other, so that the whole is never in memory. */
static bool
read_chunk(int64 bill_id, int n, int fd, int64 *size)
{
	static Statement find = {
		"SELECT bytes FROM refundx.bill_chunk WHERE bill_id = $1 AND n = $2", ARGS(INT8OID, INT4OID)
	};
	Values		v = {0};
	bytea	   *bytes;

	values_int8(&v, bill_id);
	values_int4(&v, n);
	if (statement_run(&find, &v) != 1)
		return false;
	bytes = row_bytes(0, 1);
	temp_file_write(fd, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	*size += VARSIZE_ANY_EXHDR(bytes);
	pfree(bytes);
	SPI_freetuptable(SPI_tuptable);
	return true;
}

void
bill_file_open(int64 bill_id, BillInput *out)
{
	MemoryContext one = AllocSetContextCreate(CurrentMemoryContext, "refundx bill chunk", ALLOCSET_DEFAULT_SIZES);
	MemoryContext here = MemoryContextSwitchTo(one);
	int			n = 0;

	memset(out, 0, sizeof(*out));
	out->fd = temp_file_open();
	PG_TRY();
	{
		while (read_chunk(bill_id, n, out->fd, &out->size))
		{
			MemoryContextReset(one);
			CHECK_FOR_INTERRUPTS();
			n++;
		}
	}
	PG_CATCH();
	{
		temp_file_close(out->fd);
		PG_RE_THROW();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(here);
	MemoryContextDelete(one);
}
