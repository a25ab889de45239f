/*-------------------------------------------------------------------------
 *
 * bill_pack.c
 *	  A bill's file as it is kept: packed.
 *
 * What came packed (gzip, ZIP) is kept as it came, byte by byte.  What came
 * plain is packed as gzip, fast rather than small: the file is kept for the day
 * on which somebody doubts it, and a load should not take longer for it.
 *
 * src/channel/bill_pack.c
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "channel/bill_pack.h"

#define PACK_PIECE			(64 * 1024)
#define PACK_LEVEL			1
#define GZIP_WINDOW_BITS	(15 + 16)	/* zlib.h: with gzip's header */

struct BillPacker
{
	BillInput	input;
	int64_t		at;				/* how much of it has been taken */
	bool		as_it_came;
	bool		ended;			/* zlib has nothing more to give */
	bool		has_stream;
	z_stream	stream;
	unsigned char piece[PACK_PIECE];
};

/* Up to `size` bytes of the input, from where we are; -1 if it cannot be read. */
static int64_t
take(BillPacker *p, void *out, size_t size)
{
	int64_t		left = p->input.size - p->at;
	size_t		want = left < (int64_t) size ? (size_t) left : size;
	size_t		got = 0;

	if (p->input.data != NULL)
	{
		memcpy(out, (const char *) p->input.data + p->at, want);
		p->at += want;
		return (int64_t) want;
	}
	while (got < want)
	{
		ssize_t		n = pread(p->input.fd, (char *) out + got, want - got, p->at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;			/* it has become shorter than it was */
		got += n;
		p->at += n;
	}
	return (int64_t) got;
}

static bool
looks_packed(BillPacker *p)
{
	unsigned char head[4] = {0};

	if (take(p, head, sizeof(head)) < 2)
		return false;
	return (head[0] == 0x1f && head[1] == 0x8b) ||
		(head[0] == 'P' && head[1] == 'K' && head[2] == 3 && head[3] == 4);
}

BillPacker *
bill_packer_open(const BillInput *input)
{
	BillPacker *p = calloc(1, sizeof(BillPacker));

	if (p == NULL)
		return NULL;
	p->input = *input;
	p->as_it_came = looks_packed(p);
	p->at = 0;
	if (p->as_it_came)
		return p;
	if (deflateInit2(&p->stream, PACK_LEVEL, Z_DEFLATED, GZIP_WINDOW_BITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
	{
		free(p);
		return NULL;
	}
	p->has_stream = true;
	return p;
}

bool
bill_packer_as_it_came(const BillPacker *p)
{
	return p->as_it_came;
}

int64_t
bill_packer_read(BillPacker *p, void *out, size_t size)
{
	if (p->as_it_came)
		return take(p, out, size);
	p->stream.next_out = out;
	p->stream.avail_out = (uInt) size;
	while (p->stream.avail_out > 0 && !p->ended)
	{
		int			rc;

		if (p->stream.avail_in == 0 && p->at < p->input.size)
		{
			int64_t		n = take(p, p->piece, sizeof(p->piece));

			if (n < 0)
				return -1;
			p->stream.next_in = p->piece;
			p->stream.avail_in = (uInt) n;
		}
		rc = deflate(&p->stream, p->at < p->input.size ? Z_NO_FLUSH : Z_FINISH);
		p->ended = rc == Z_STREAM_END;
		if (rc != Z_OK && rc != Z_STREAM_END)
			return -1;
	}
	return (int64_t) (size - p->stream.avail_out);
}

void
bill_packer_close(BillPacker *p)
{
	if (p == NULL)
		return;
	if (p->has_stream)
		deflateEnd(&p->stream);
	free(p);
}
