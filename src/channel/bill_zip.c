/*-------------------------------------------------------------------------
 *
 * bill_zip.c
 *	  A bill's bytes out of a ZIP.
 *
 * The reading is libzip's; what it is let loose on is looked at first.  Its
 * memory grows with the number of entries that the end of the file claims, so
 * that a file which claims many is refused before libzip sees it.  Nothing is
 * ever written to where an entry's name points; a ZIP with such a name is
 * refused all the same, because no channel makes one.  What an entry says of
 * its own size is not believed: the reader counts.
 *
 * Entry names are in GBK, as Windows of China writes them, or in UTF-8.
 *
 * src/channel/bill_zip.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zip.h>

#include "channel/bill_parts.h"

#define ENTRIES_MAX		8		/* a bill has two */
#define NAME_MAX_BYTES	512
#define END_MIN			22		/* the end of central directory record, and its */
#define END_MAX			(END_MIN + 65535)	/* comment */

typedef struct ZipFile
{
	BillInput	input;
	int64_t		at;				/* where libzip reads next */
	zip_error_t error;
} ZipFile;

typedef struct ZipSource
{
	BillSource	source;
	ZipFile		file;
	zip_t	   *zip;
	zip_file_t *entry;
	uint64_t	claimed;		/* its size, by the ZIP */
	uint64_t	got;			/* and what came of it */
	void	   *decoder;		/* of the entries' names */
} ZipSource;

static zip_int64_t zip_callback(void *arg, void *data, zip_uint64_t len, zip_source_cmd_t cmd);
static bool end_good(const BillInput *input, ChannelError *err);
static bool open_zip(ZipSource *z, ChannelError *err);
static bool choose_entry(ZipSource *z, int64_t max_size, bool (*wanted) (const char *name),
						 ChannelError *err);
static int64_t zip_read(BillSource *source, char *buf, size_t size, ChannelError *err);
static void zip_done(BillSource *source);

bool
bill_is_zip(const BillInput *input)
{
	unsigned char magic[4] = {0, 0, 0, 0};
	ChannelError ignored;

	return bill_input_read(input, 0, magic, 4, &ignored) == 4 &&
		(memcmp(magic, "PK\003\004", 4) == 0 || memcmp(magic, "PK\005\006", 4) == 0);
}

/* ---- how libzip reads the file ---- */

/*
 * No library's callback may run anything that can throw: this one reads memory,
 * or with pread.
 */
static zip_int64_t
zip_callback(void *arg, void *data, zip_uint64_t len, zip_source_cmd_t cmd)
{
	ZipFile    *file = arg;
	ChannelError ignored;
	zip_stat_t *st;
	int64_t		n;

	switch (cmd)
	{
		case ZIP_SOURCE_OPEN:
			file->at = 0;
			return 0;
		case ZIP_SOURCE_READ:
			n = bill_input_read(&file->input, file->at, data, (size_t) len, &ignored);
			if (n < 0)
				zip_error_set(&file->error, ZIP_ER_READ, 0);
			else
				file->at += n;
			return n;
		case ZIP_SOURCE_SEEK:
			n = zip_source_seek_compute_offset((zip_uint64_t) file->at,
											   (zip_uint64_t) file->input.size, data, len,
											   &file->error);
			if (n < 0)
				return -1;
			file->at = n;
			return 0;
		case ZIP_SOURCE_TELL:
			return file->at;
		case ZIP_SOURCE_STAT:
			st = data;
			zip_stat_init(st);
			st->size = (zip_uint64_t) file->input.size;
			st->valid |= ZIP_STAT_SIZE;
			return sizeof(*st);
		case ZIP_SOURCE_ERROR:
			return zip_error_to_data(&file->error, data, len);
		case ZIP_SOURCE_CLOSE:
		case ZIP_SOURCE_FREE:
			return 0;
		case ZIP_SOURCE_SUPPORTS:
			return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ,
												  ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT,
												  ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE,
												  ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL,
												  ZIP_SOURCE_SUPPORTS, -1);
		default:
			zip_error_set(&file->error, ZIP_ER_OPNOTSUPP, 0);
			return -1;
	}
}

/* ---- before libzip sees it ---- */

/*
 * The last 64 KiB hold the record that says how many entries there are; libzip
 * may take any that looks like one, so that all must be modest.  The 64-bit
 * forms are for files and numbers that no bill has.
 */
static bool
end_good(const BillInput *input, ChannelError *err)
{
	int64_t		len = input->size < END_MAX ? input->size : END_MAX;
	unsigned char *tail = malloc((size_t) len + 1);
	bool		found = false;
	bool		good = true;
	int64_t		i;

	if (tail == NULL)
		return channel_error(err, NULL, "there is not enough memory to read the file");
	good = bill_input_read(input, input->size - len, tail, (size_t) len, err) == len;
	for (i = 0; good && i + 4 <= len; i++)
	{
		if (memcmp(tail + i, "PK\006\007", 4) == 0 || memcmp(tail + i, "PK\006\006", 4) == 0)
			good = channel_error(err, BILL_AGAIN_HINT, "the ZIP is one of the 64-bit kind, which no "
								 "bill needs");
		if (memcmp(tail + i, "PK\005\006", 4) != 0 || i + END_MIN > len)
			continue;
		found = true;
		if (tail[i + 10] + tail[i + 11] * 256 > ENTRIES_MAX ||
			tail[i + 8] + tail[i + 9] * 256 > ENTRIES_MAX)
			good = channel_error(err, BILL_AGAIN_HINT, "the ZIP has more than %d entries", ENTRIES_MAX);
	}
	free(tail);
	if (good && !found)
		return channel_error(err, BILL_AGAIN_HINT, "the ZIP has no end: the file is cut off");
	return good;
}

static bool
open_zip(ZipSource *z, ChannelError *err)
{
	zip_error_t error;
	zip_source_t *source;

	zip_error_init(&error);
	source = zip_source_function_create(zip_callback, &z->file, &error);
	if (source != NULL)
		z->zip = zip_open_from_source(source, ZIP_RDONLY, &error);
	if (z->zip == NULL)
	{
		channel_error(err, BILL_AGAIN_HINT, "the ZIP cannot be read: %s", zip_error_strerror(&error));
		zip_source_free(source);
	}
	zip_error_fini(&error);
	return z->zip != NULL;
}

/* ---- its entries ---- */

/*
 * As UTF-8; bytes of GBK may look like a backslash, so that only the name
 * that was made readable can be judged.
 */
static bool
entry_name(ZipSource *z, zip_int64_t i, char *out, size_t outsize, ChannelError *err)
{
	const char *raw = zip_get_name(z->zip, (zip_uint64_t) i, ZIP_FL_ENC_RAW);
	size_t		len = raw ? strlen(raw) : 0;

	if (raw == NULL || len >= outsize / 4)
		return channel_error(err, BILL_AGAIN_HINT, "an entry of the ZIP has no name, or a very long one");
	if (utf8_valid(raw, len))
		str_copy(out, outsize, raw);
	else if (!bill_gb18030(z->decoder, raw, len, out, outsize))
		return channel_error(err, BILL_AGAIN_HINT, "an entry of the ZIP has a name that is neither in "
							 "GBK nor in UTF-8");
	return true;
}

static bool
name_good(const char *name)
{
	const char *part = name;

	if (name[0] == '\0' || name[0] == '/' || strchr(name, '\\') != NULL || strchr(name, ':') != NULL)
		return false;
	while (part != NULL)
	{
		part += *part == '/';
		if (part[0] == '.' && part[1] == '.' && (part[2] == '\0' || part[2] == '/'))
			return false;
		part = strchr(part, '/');
	}
	return true;
}

/* Nothing about any entry may be strange, also of those that are not read. */
static bool
entry_good(ZipSource *z, zip_int64_t i, const char *name, int64_t max_size, uint64_t *size,
		   ChannelError *err)
{
	zip_stat_t	st;

	if (!name_good(name))
		return channel_error(err, "It would lie outside of where it is unpacked; nothing was "
							 "unpacked.", "the ZIP has an entry with the path \"%.100s\"", name);
	if (zip_stat_index(z->zip, (zip_uint64_t) i, ZIP_FL_UNCHANGED, &st) != 0 ||
		(st.valid & (ZIP_STAT_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD)) !=
		(ZIP_STAT_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD))
		return channel_error(err, BILL_AGAIN_HINT, "the ZIP's entry \"%.100s\" cannot be read", name);
	if (st.encryption_method != ZIP_EM_NONE)
		return channel_error(err, "Bills are not encrypted.", "the ZIP's entry \"%.100s\" is encrypted",
							 name);
	if (st.comp_method != ZIP_CM_STORE && st.comp_method != ZIP_CM_DEFLATE)
		return channel_error(err, BILL_AGAIN_HINT, "the ZIP's entry \"%.100s\" is packed in another way "
							 "than bills are", name);
	if (st.size > (zip_uint64_t) max_size)
		return channel_error(err, "If the bill is really that large, raise the limit and load it again.",
							 "the ZIP's entry \"%.60s\" claims %llu bytes; %lld are allowed", name,
							 (unsigned long long) st.size, (long long) max_size);
	*size = st.size;
	return true;
}

static bool
choose_entry(ZipSource *z, int64_t max_size, bool (*wanted) (const char *name), ChannelError *err)
{
	zip_int64_t count = zip_get_num_entries(z->zip, 0);
	zip_int64_t chosen = -1;
	zip_int64_t i;
	char		name[NAME_MAX_BYTES];
	uint64_t	size = 0;

	if (count > ENTRIES_MAX)
		return channel_error(err, BILL_AGAIN_HINT, "the ZIP has more than %d entries", ENTRIES_MAX);
	for (i = 0; i < count; i++)
	{
		if (!entry_name(z, i, name, sizeof(name), err) ||
			!entry_good(z, i, name, max_size, &size, err))
			return false;
		if (!wanted(name))
			continue;
		if (chosen >= 0)
			return channel_error(err, BILL_AGAIN_HINT, "the ZIP has two bills; \"%.100s\" is the second",
								 name);
		chosen = i;
		z->claimed = size;
	}
	if (chosen < 0)
		return channel_error(err, "Look whether it is a bill of this kind.",
							 "none of the ZIP's %d entries is the bill", (int) count);
	z->entry = zip_fopen_index(z->zip, (zip_uint64_t) chosen, 0);
	if (z->entry == NULL)
		return channel_error(err, BILL_AGAIN_HINT, "the ZIP cannot be read: %s", zip_strerror(z->zip));
	return true;
}

/* ---- reading ---- */

/* At its end libzip has compared the checksum, but not what it said of its size. */
static int64_t
zip_read(BillSource *source, char *buf, size_t size, ChannelError *err)
{
	ZipSource  *z = (ZipSource *) source;
	size_t		got = 0;

	while (got < size)
	{
		zip_int64_t n = zip_fread(z->entry, buf + got, (zip_uint64_t) (size - got));

		if (n < 0)
		{
			channel_error(err, BILL_AGAIN_HINT, "the ZIP's entry is damaged: %s",
						  zip_error_strerror(zip_file_get_error(z->entry)));
			return -1;
		}
		if (n == 0 && z->got != z->claimed)
		{
			channel_error(err, BILL_AGAIN_HINT, "the ZIP's entry has %llu bytes, and claims %llu",
						  (unsigned long long) z->got, (unsigned long long) z->claimed);
			return -1;
		}
		if (n == 0)
			break;
		got += (size_t) n;
		z->got += (uint64_t) n;
	}
	source->at = z->file.at;
	return (int64_t) got;
}

static void
zip_done(BillSource *source)
{
	ZipSource  *z = (ZipSource *) source;

	if (z->entry != NULL)
		zip_fclose(z->entry);
	if (z->zip != NULL)
		zip_discard(z->zip);
	zip_error_fini(&z->file.error);
	bill_gb18030_close(z->decoder);
	free(z);
}

BillSource *
bill_source_zip(const BillInput *input, int64_t max_size, bool (*wanted) (const char *name),
				ChannelError *err)
{
	ZipSource  *z = calloc(1, sizeof(*z));

	if (z == NULL)
	{
		channel_error(err, NULL, "there is not enough memory to read the file");
		return NULL;
	}
	z->source.read = zip_read;
	z->source.close = zip_done;
	z->file.input = *input;
	zip_error_init(&z->file.error);
	z->decoder = bill_gb18030_open();
	if (end_good(input, err) && open_zip(z, err) && choose_entry(z, max_size, wanted, err))
		return &z->source;
	zip_done(&z->source);
	return NULL;
}
