/*-------------------------------------------------------------------------
 *
 * bill_parts.h
 *	  What the readers of bills are made of.
 *
 *	bill.c			names, the registry, and what every reader does alike
 *	bill_source.c	a file's bytes: as they are, or out of a gzip stream
 *	bill_zip.c		likewise, out of a ZIP
 *	bill_lines.c	lines of bytes, bounded, counted and hashed
 *	bill_text.c		what stands in a line: columns, amounts, times, numbers
 *
 * A source gives bytes, the lines come out of it, and a format's own reader
 * makes of them what bill.h promises.
 *
 * Private to src/channel/.  This header must not include postgres.h.
 *
 * src/channel/bill_parts.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_BILL_PARTS_H
#define REFUNDX_BILL_PARTS_H

#include "channel/bill.h"
#include "channel/channel_util.h"

#define BILL_LINE_MAX		(16 * 1024)	/* bytes of one line */
#define BILL_COLUMNS_MAX	64
#define BILL_LINES_MAX		INT64_C(100000000)
#define BILL_QUIET_LINES	20000	/* none of ours among so many: BILL_PAUSE */

/*
 * Text packs ten times smaller, and a file of equal lines perhaps a hundred
 * times.  What goes far beyond that is made to fill somebody's memory or disk.
 */
#define BILL_RATIO_MAX		250
#define BILL_RATIO_FREE		((int64_t) 32 * 1024 * 1024)	/* not asked below this size */

/* ---- what every part needs (bill.c) ---- */
/* Fill *err; always BILL_BAD, so that callers can return it. */
extern BillStep bill_bad(ChannelError *err, const char *hint, const char *fmt,...)
			__attribute__((format(printf, 3, 4)));

/* Whether what a channel gave out may be followed; *path is where its path begins. */
extern bool bill_url_good(const char *url, const char *const *known, const char *base,
						  size_t *path);

/* Of a download; a large bill takes a while. */
#define BILL_DOWNLOAD_TIMEOUT_MS	300000

/* What to do about a file that is not whole. */
#define BILL_AGAIN_HINT	"Fetch it again; if it comes like this again, it is the channel's to explain."

/* ---- bytes (bill_source.c, bill_zip.c) ---- */
typedef struct BillSource BillSource;

struct BillSource
{
	/* Up to size bytes; 0 = that was all; -1 and *err */
	int64_t		(*read) (BillSource *source, char *buf, size_t size, ChannelError *err);
	void		(*close) (BillSource *source);
	int64_t		at;				/* bytes of the file that were read, as it is packed */
};

/* Bytes of a file as it is given; fewer than size only at its end.  -1 and *err. */
extern int64_t bill_input_read(const BillInput *input, int64_t offset, void *buf, size_t size,
							   ChannelError *err);

/* Out of a gzip stream, if the file is one, else as it is. */
extern BillSource *bill_source_open(const BillInput *input, ChannelError *err);

/*
 * The one entry of a ZIP whose name `wanted` takes; its name is UTF-8 by then.
 * Of several, or of none, *err says which there are.
 */
extern bool bill_is_zip(const BillInput *input);
extern BillSource *bill_source_zip(const BillInput *input, int64_t max_size,
								   bool (*wanted) (const char *name), ChannelError *err);

/* ---- lines (bill_lines.c) ---- */
typedef struct BillLines
{
	BillSource *source;
	struct CryptoDigest *digest;
	char		algorithm[8];
	char		announced[BILL_HASH_MAX + 1];
	char	   *buf;			/* what is read and not handed out: at .. filled */
	size_t		cap;
	size_t		at;
	size_t		filled;
	size_t		line_max;
	bool		at_end;
	bool		marked;			/* it begins with a byte order mark */
	int64_t		packed;			/* the file's size */
	int64_t		size;			/* unpacked, so far */
	int64_t		max_size;
	int64_t		line_no;		/* of the line handed out last, from 1 on */
} BillLines;

/*
 * Takes the source over, also on failure (NULL is a failure that *err names
 * already).  The hash is made as the announced one is, else by `algorithm`.
 * line_max 0 is BILL_LINE_MAX.
 */
extern bool bill_lines_open(BillLines *lines, BillSource *source, const BillInput *input,
							const BillExpected *expected, const char *algorithm,
							size_t line_max, ChannelError *err);

/*
 * The next line without its line end, ended by a NUL and free to be changed:
 * BILL_LINE; BILL_END; BILL_BAD.  A byte order mark at the beginning is left out.
 */
extern BillStep bill_lines_next(BillLines *lines, char **line, size_t *len, ChannelError *err);

/* After BILL_END: its hash, which must be the announced one, and its size. */
extern bool bill_lines_finish(BillLines *lines, BillTotals *totals, ChannelError *err);
extern void bill_lines_close(BillLines *lines);

/* ---- readers (bill.c) ---- */
/* A format's own reader begins with this. */
struct BillReader
{
	BillLines	lines;
	BillStep	(*next) (BillReader *reader, BillLine *line, ChannelError *err);
	void		(*close) (BillReader *reader);
	BillTotals	totals;
	BillStep	ended;			/* BILL_END or BILL_BAD, for ever; BILL_LINE before */
	ChannelError why;			/* of BILL_BAD */
};

/* ---- what stands in a line (bill_text.c) ---- */
typedef struct BillField
{
	char	   *s;				/* NUL-terminated */
	size_t		len;
} BillField;

/* One column that is looked for; it had other names once. */
typedef struct BillColumn
{
	const char *names[4];
	bool		required;
} BillColumn;

/*
 * Where the columns stand in a header (-1: nowhere).  False if a required one is
 * missing, or a name is there twice.
 */
extern bool bill_columns_find(const BillColumn *columns, int count, const BillField *header,
							  int fields, int *at, ChannelError *err);

/* Cut at commas, and spaces and tabs around each field off; -1: too many. */
extern int	bill_split(char *line, size_t len, BillField *fields, int max);
extern void bill_trim(BillField *field);

/*
 * A decimal number, in 10^-places: exactly, or false.  Of at most 13 digits
 * before the point; a sign before them.
 */
extern bool bill_decimal(const BillField *field, int places, int64_t *out);

/* "0.60%", "0.6%" or "0.006": in millionths. */
extern bool bill_rate(const BillField *field, int64_t *out);

/* sum += v; false if it does not fit. */
extern bool bill_add(int64_t *sum, int64_t v);

/* Visible ASCII that fits, or nothing; else false. */
extern bool bill_copy_no(const BillField *field, char *dst, size_t dstsize);

/* Text for people, clipped between characters; what is no UTF-8 is left out. */
extern void bill_copy_text(const BillField *field, char *dst, size_t dstsize);

/* Text of GB18030 (which GBK is a part of) as UTF-8: false if it is none, or too long. */
extern void *bill_gb18030_open(void);	/* NULL: the C library cannot */
extern bool bill_gb18030(void *decoder, const char *s, size_t len, char *out, size_t outsize);
extern void bill_gb18030_close(void *decoder);

/* Whole, or not at all: exactly this text. */
extern bool bill_is(const BillField *field, const char *text);

/* The day that a bill is of, and how many of its lines are. */
typedef struct BillDay
{
	char		text[BILL_DAY_LEN + 1];
	int			utc_offset;
	int64_t		start;			/* unix microseconds */
	int64_t		end;
	int64_t		within;
	int64_t		elsewhere;
	char		other[BILL_DAY_LEN + 1];	/* the first of these */
	char		seen[BILL_DAY_LEN + 1]; /* the date parsed last, and what it came to */
	int64_t		seen_at;
} BillDay;

extern bool bill_day_open(BillDay *day, const char *text, int utc_offset, ChannelError *err);

/* "2026-11-27 09:00:01" of the day's zone: unix microseconds. */
extern bool bill_time(BillDay *day, const BillField *field, int64_t *out);
extern void bill_day_count(BillDay *day, int64_t at, const char *text);

/* Of most lines, or (strict) of all of them. */
extern bool bill_day_holds(const BillDay *day, bool strict, ChannelError *err);

/* ---- an account's movements (bill_text.c) ---- */
/* The first and the last of them: which is the earlier one is for the file to say. */
typedef struct BillLedger
{
	bool		any;
	int64_t		first_at;
	int64_t		first_balance;
	int64_t		first_change;
	int64_t		last_at;
	int64_t		last_balance;
	int64_t		last_change;
} BillLedger;

extern void bill_ledger_add(BillLedger *ledger, const BillLine *line);
extern void bill_ledger_end(const BillLedger *ledger, BillTotals *totals);

#endif							/* REFUNDX_BILL_PARTS_H */
