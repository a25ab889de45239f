/*-------------------------------------------------------------------------
 *
 * test_bill_pack.c
 *	  How a bill's file is kept: as it came, or packed.
 *
 * test/unit/test_bill_pack.c
 *
 *-------------------------------------------------------------------------
 */
#include <unistd.h>

#include "unit.h"
#include "billkit.h"
#include "channel/bill_pack.h"

/* All of it, in pieces of `size`; false if it cannot be read. */
static bool
pack(const BillInput *input, size_t size, Buf *out, bool *as_it_came)
{
	BillPacker *p = bill_packer_open(input);
	char	   *piece = malloc(size);
	int64_t		n;

	if (p == NULL || piece == NULL)
		abort();
	*as_it_came = bill_packer_as_it_came(p);
	while ((n = bill_packer_read(p, piece, size)) > 0)
		buf_add(out, piece, (size_t) n);
	if (n == 0)
		is_int(bill_packer_read(p, piece, size), 0, "an end is an end");
	bill_packer_close(p);
	free(piece);
	return n == 0;
}

static void
unpack(const Buf *packed, Buf *out)
{
	z_stream	z;
	char		piece[4096];
	int			status;

	memset(&z, 0, sizeof(z));
	if (inflateInit2(&z, 15 + 16) != Z_OK)
		abort();
	z.next_in = (Bytef *) packed->data;
	z.avail_in = (uInt) packed->len;
	do
	{
		z.next_out = (Bytef *) piece;
		z.avail_out = sizeof(piece);
		status = inflate(&z, Z_NO_FLUSH);
		buf_add(out, piece, sizeof(piece) - z.avail_out);
	} while (status == Z_OK);
	is_int(status, Z_STREAM_END, "a whole gzip file");
	inflateEnd(&z);
}

static void
test_plain(size_t len, size_t size)
{
	char	   *text = malloc(len + 1);
	Buf			packed = BUF_INIT;
	Buf			again = BUF_INIT;
	bool		as_it_came;
	size_t		i;
	BillInput	input = {.data = text,.size = (int64_t) len};

	for (i = 0; i < len; i++)
		text[i] = (char) (i * 7 % 251);
	ok(pack(&input, size, &packed, &as_it_came), "%zu plain bytes in pieces of %zu", len, size);
	ok(!as_it_came, "were packed here");
	unpack(&packed, &again);
	is_mem(again.data, again.len, text, len, "the same bytes");
	buf_free(&packed);
	buf_free(&again);
	free(text);
}

static void
test_as_it_came(const char *bytes, size_t len, const char *what)
{
	FILE	   *file = tmpfile();
	Buf			out = BUF_INIT;
	bool		as_it_came;
	BillInput	input = {.fd = fileno(file),.size = (int64_t) len};

	fwrite(bytes, 1, len, file);
	fflush(file);
	ok(pack(&input, 3, &out, &as_it_came) && as_it_came, "%s comes packed", what);
	is_mem(out.data, out.len, bytes, len, "and is kept byte by byte");
	buf_free(&out);

	/* somebody shortens it while it is read */
	if (ftruncate(fileno(file), (off_t) len - 1) != 0)
		abort();
	ok(!pack(&input, 3, &out, &as_it_came), "a file that has become shorter is no file");
	buf_free(&out);
	fclose(file);
}

int
main(void)
{
	test_plain(0, 10);
	test_plain(1, 10);
	test_plain(100000, 7);
	test_plain(1000000, 1024 * 1024);
	test_as_it_came("\x1f\x8b\x08 and so on", 13, "gzip");
	test_as_it_came("PK\x03\x04 and so on", 14, "a ZIP");
	return unit_done();
}
