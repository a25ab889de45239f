/*-------------------------------------------------------------------------
 *
 * bill_source.c
 *	  A bill's bytes: as they are, or out of a gzip stream.
 *
 * What a file is, is told by its first bytes and by nothing else: a channel
 * that was asked for gzip may send it unpacked, and a person may load either.
 *
 * src/channel/bill_source.c
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zlib.h>

#include "channel/bill_parts.h"

#define PACKED_PIECE	((size_t) 64 * 1024)
#define GZIP_WINDOW		(15 + 16)	/* the largest window, and a gzip header around it */

typedef struct FileSource
{
	BillSource	source;
	BillInput	input;
	bool		packed;
	bool		at_end;			/* of the gzip stream */
	z_stream	z;
	char	   *piece;
} FileSource;

static int64_t plain_read(BillSource *source, char *buf, size_t size, ChannelError *err);
static int64_t gzip_read(BillSource *source, char *buf, size_t size, ChannelError *err);
static void file_close(BillSource *source);
static bool gzip_begin(FileSource *file, ChannelError *err);
static bool gzip_refill(FileSource *file, ChannelError *err);

int64_t
bill_input_read(const BillInput *input, int64_t offset, void *buf, size_t size, ChannelError *err)
{
	size_t		got = 0;

	if (offset >= input->size)
		return 0;
	if ((int64_t) size > input->size - offset)
		size = (size_t) (input->size - offset);
	if (input->data != NULL)
	{
		memcpy(buf, (const char *) input->data + offset, size);
		return (int64_t) size;
	}
	while (got < size)
	{
		ssize_t		n = pread(input->fd, (char *) buf + got, size - got,
							  (off_t) (offset + (int64_t) got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
		{
			channel_error(err, NULL, "the file could not be read: %s", strerror(errno));
			return -1;
		}
		if (n == 0)
		{
			channel_error(err, BILL_AGAIN_HINT, "the file has %lld bytes, and was said to have %lld",
						  (long long) (offset + (int64_t) got), (long long) input->size);
			return -1;
		}
		got += (size_t) n;
	}
	return (int64_t) got;
}

static int64_t
plain_read(BillSource *source, char *buf, size_t size, ChannelError *err)
{
	FileSource *file = (FileSource *) source;
	int64_t		n = bill_input_read(&file->input, file->source.at, buf, size, err);

	if (n > 0)
		file->source.at += n;
	return n;
}

/* ---- gzip ---- */

static bool
gzip_refill(FileSource *file, ChannelError *err)
{
	int64_t		n = bill_input_read(&file->input, file->source.at, file->piece, PACKED_PIECE, err);

	if (n < 0)
		return false;
	if (n == 0)
		return channel_error(err, BILL_AGAIN_HINT, "the gzip stream ends in its middle, after "
							 "%lld bytes: the file is cut off", (long long) file->source.at);
	file->source.at += n;
	file->z.next_in = (Bytef *) file->piece;
	file->z.avail_in = (uInt) n;
	return true;
}

/*
 * zlib checks the stream's own length and checksum at its end.  One stream is
 * one bill: what stands behind it would be read by some and not by others.
 */
static int64_t
gzip_read(BillSource *source, char *buf, size_t size, ChannelError *err)
{
	FileSource *file = (FileSource *) source;
	int			status;

	if (file->at_end)
		return 0;
	file->z.next_out = (Bytef *) buf;
	file->z.avail_out = (uInt) size;
	while (file->z.avail_out > 0 && !file->at_end)
	{
		if (file->z.avail_in == 0 && !gzip_refill(file, err))
			return -1;
		status = inflate(&file->z, Z_NO_FLUSH);
		if (status == Z_STREAM_END)
			file->at_end = true;
		else if (status != Z_OK)
		{
			channel_error(err, BILL_AGAIN_HINT, "the gzip stream is damaged: %s",
						  file->z.msg ? file->z.msg : "it cannot be unpacked");
			return -1;
		}
	}
	if (file->at_end && (file->z.avail_in > 0 || file->source.at < file->input.size))
	{
		channel_error(err, BILL_AGAIN_HINT, "something stands behind the gzip stream, which ends "
					  "before byte %lld of %lld",
					  (long long) (file->source.at - (int64_t) file->z.avail_in + 1),
					  (long long) file->input.size);
		return -1;
	}
	return (int64_t) (size - file->z.avail_out);
}

static bool
gzip_begin(FileSource *file, ChannelError *err)
{
	file->piece = malloc(PACKED_PIECE);
	if (file->piece == NULL || inflateInit2(&file->z, GZIP_WINDOW) != Z_OK)
		return channel_error(err, NULL, "there is not enough memory to unpack the file");
	file->packed = true;
	file->source.read = gzip_read;
	return true;
}

static void
file_close(BillSource *source)
{
	FileSource *file = (FileSource *) source;

	if (file->packed)
		inflateEnd(&file->z);
	free(file->piece);
	free(file);
}

BillSource *
bill_source_open(const BillInput *input, ChannelError *err)
{
	FileSource *file = calloc(1, sizeof(*file));
	unsigned char magic[2] = {0, 0};

	if (file == NULL)
	{
		channel_error(err, NULL, "there is not enough memory to read the file");
		return NULL;
	}
	file->source.read = plain_read;
	file->source.close = file_close;
	file->input = *input;
	if (bill_input_read(input, 0, magic, sizeof(magic), err) < 0 ||
		(magic[0] == 0x1f && magic[1] == 0x8b && !gzip_begin(file, err)))
	{
		file_close(&file->source);
		return NULL;
	}
	return &file->source;
}
