/*-------------------------------------------------------------------------
 *
 * wechat_bill.c
 *	  The shape of WeChat Pay's bills: a header, rows, and a summary.
 *
 * UTF-8 with a byte order mark, lines ended by CRLF.  The first line names the
 * columns; then each row has a backtick before every field, and no quotes: a
 * comma within a text is written otherwise (as a backslash and a space), so
 * that a comma and a backtick together are always a border.  The first line
 * without a backtick is the summary's header, and the line after it the
 * summary, which is the last (4013071246, 4013071249).
 *
 * A file without its summary was cut off, or was still being written when it
 * was fetched: it is refused as a whole, for what is missing would be taken
 * for refunds that the channel does not know.
 *
 * src/channel/wechat_bill.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "channel/wechat_bill.h"

#define SUMMARY_COLUMNS_MAX	16

static int	split_row(char *line, size_t len, BillField *fields, int max);
static void unescape(BillField *field);
static BillStep wechat_bill_next(BillReader *reader, BillLine *line, ChannelError *err);
static BillStep read_summary(WechatBill *bill, char *header, size_t len, ChannelError *err);
static void wechat_bill_close(BillReader *reader);

/* ---- rows ---- */

/*
 * WeChat's escapes (4013071246): a backslash before what it would otherwise
 * mean, "\ " for a comma, "\140" for a backtick, \n \r \t.  Undone in place.
 */
static void
unescape(BillField *field)
{
	char	   *from = field->s;
	char	   *end = from + field->len;
	char	   *to = from;

	while (from < end)
	{
		if (*from != '\\' || from + 1 == end)
			*to++ = *from++;
		else if (end - from >= 4 && memcmp(from, "\\140", 4) == 0)
		{
			*to++ = '`';
			from += 4;
		}
		else
		{
			char		c = from[1];

			*to++ = c == ' ' ? ',' : c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
			from += 2;
		}
	}
	field->len = (size_t) (to - field->s);
	*to = '\0';
}

/* -1: no row, or too many fields. */
static int
split_row(char *line, size_t len, BillField *fields, int max)
{
	char	   *end = line + len;
	int			n;

	if (len == 0 || line[0] != '`')
		return -1;
	line++;
	for (n = 0; n < max; n++)
	{
		char	   *comma = memchr(line, ',', (size_t) (end - line));

		while (comma != NULL && comma[1] != '`')
			comma = memchr(comma + 1, ',', (size_t) (end - comma - 1));
		fields[n].s = line;
		fields[n].len = (size_t) ((comma ? comma : end) - line);
		fields[n].s[fields[n].len] = '\0';
		if (comma == NULL)
			return n + 1;
		line = comma + 2;
	}
	return -1;
}

const BillField *
wechat_bill_field(const WechatBill *bill, const BillField *fields, int column)
{
	return bill->at[column] < 0 ? NULL : &fields[bill->at[column]];
}

BillStep
wechat_bill_wrong(const WechatBill *bill, int column, const char *what, ChannelError *err)
{
	return bill_bad(err, BILL_AGAIN_HINT, "line %lld: \"%s\" %s",
					(long long) bill->reader.lines.line_no, bill->format->columns[column].names[0], what);
}

bool
wechat_bill_fen(const BillField *field, int64_t *out)
{
	return bill_decimal(field, 2, out);
}

bool
wechat_bill_fine(const BillField *field, int64_t *out)
{
	return bill_decimal(field, 5, out);
}

/* ---- the summary ---- */

bool
wechat_bill_agrees(const WechatBill *bill, const BillField *fields, int at, const char *name,
				   int64_t counted, int places, ChannelError *err)
{
	int64_t		said;

	if (at < 0)
		return true;
	if (!bill_decimal(&fields[at], places, &said))
		return channel_error(err, BILL_AGAIN_HINT, "line %lld: \"%s\" is no number",
							 (long long) bill->reader.lines.line_no, name);
	if (said == counted)
		return true;
	return channel_error(err, BILL_AGAIN_HINT,
						 "the summary's \"%s\" is %.40s, and its rows come to another "
						 "sum: lines are missing, or are there twice", name, fields[at].s);
}

static BillStep
read_summary(WechatBill *bill, char *header, size_t len, ChannelError *err)
{
	BillField	names[SUMMARY_COLUMNS_MAX];
	BillField	values[SUMMARY_COLUMNS_MAX];
	int			at[SUMMARY_COLUMNS_MAX];
	char	   *line;
	BillStep	step;
	int			count = bill_split(header, len, names, SUMMARY_COLUMNS_MAX);

	if (count < 0 || !bill_columns_find(bill->format->summary, bill->format->summary_count, names,
										count, at, err))
		return bill_bad(err, BILL_AGAIN_HINT, "line %lld is neither a row nor the summary's header",
						(long long) bill->reader.lines.line_no);
	step = bill_lines_next(&bill->reader.lines, &line, &len, err);
	if (step == BILL_END)
		return bill_bad(err, BILL_AGAIN_HINT, "the file ends before its summary: it is cut off");
	if (step == BILL_BAD)
		return step;
	if (split_row(line, len, values, SUMMARY_COLUMNS_MAX) != count)
		return bill_bad(err, BILL_AGAIN_HINT, "line %lld is not the summary that its header announces",
						(long long) bill->reader.lines.line_no);
	return bill->format->sums(bill, values, at, err) ? BILL_END : BILL_BAD;
}

/* Only what holds as a whole counts: the summary, the days, the end, the hash. */
static BillStep
read_end(WechatBill *bill, char *line, size_t len, ChannelError *err)
{
	BillStep	step = read_summary(bill, line, len, err);

	if (step == BILL_BAD)
		return step;
	do
		step = bill_lines_next(&bill->reader.lines, &line, &len, err);
	while (step == BILL_LINE && len == 0);
	if (step == BILL_LINE)
		return bill_bad(err, BILL_AGAIN_HINT, "line %lld stands behind the summary",
						(long long) bill->reader.lines.line_no);
	if (step == BILL_BAD || !bill_day_holds(&bill->day, bill->format->ledger, err) ||
		!bill_lines_finish(&bill->reader.lines, &bill->reader.totals, err))
		return BILL_BAD;
	return BILL_END;
}

/* ---- the file ---- */

static BillStep
wechat_bill_next(BillReader *reader, BillLine *line, ChannelError *err)
{
	WechatBill *bill = (WechatBill *) reader;
	BillField	fields[BILL_COLUMNS_MAX];
	BillStep	step;
	char	   *text;
	size_t		len;
	int			quiet;
	int			i;

	for (quiet = 0; quiet < BILL_QUIET_LINES; quiet++)
	{
		step = bill_lines_next(&bill->reader.lines, &text, &len, err);
		if (step == BILL_END)
			return bill_bad(err, "It is cut off, or was fetched while it was being made: fetch it "
							"again later.", "the file ends without its summary, after %lld lines",
							(long long) bill->reader.lines.line_no);
		if (step == BILL_BAD)
			return step;
		if (len == 0 || text[0] != '`')
			return read_end(bill, text, len, err);
		if (split_row(text, len, fields, BILL_COLUMNS_MAX) != bill->columns)
			return bill_bad(err, BILL_AGAIN_HINT, "line %lld does not have the %d columns of the header",
							(long long) bill->reader.lines.line_no, bill->columns);
		if (memchr(text, '\\', len) != NULL)
			for (i = 0; i < bill->columns; i++)
				unescape(&fields[i]);
		bill->reader.totals.lines++;
		step = bill->format->row(bill, fields, line, err);
		if (step == BILL_LINE)
			line->line_no = bill->reader.lines.line_no;
		if (step != BILL_PAUSE)
			return step;
	}
	return BILL_PAUSE;
}

static void
wechat_bill_close(BillReader *reader)
{
	WechatBill *bill = (WechatBill *) reader;

	bill_lines_close(&bill->reader.lines);
	free(bill);
}

static bool
read_header(WechatBill *bill, ChannelError *err)
{
	BillField	header[BILL_COLUMNS_MAX];
	char	   *line;
	size_t		len;
	BillStep	step = bill_lines_next(&bill->reader.lines, &line, &len, err);

	if (step == BILL_END)
		return channel_error(err, BILL_AGAIN_HINT, "the file is empty");
	if (step == BILL_BAD)
		return false;
	bill->columns = bill_split(line, len, header, BILL_COLUMNS_MAX);
	if (bill->columns < 0)
		return channel_error(err, BILL_AGAIN_HINT, "the file's first line has more than %d columns",
							 BILL_COLUMNS_MAX);
	return bill_columns_find(bill->format->columns, bill->format->column_count, header,
							 bill->columns, bill->at, err) &&
		bill->format->header(bill, err);
}

BillReader *
wechat_bill_open(const WechatBillFormat *format, const BillInput *input,
				 const BillExpected *expected, ChannelError *err)
{
	WechatBill *bill = calloc(1, sizeof(*bill));

	memset(err, 0, sizeof(*err));
	if (bill == NULL)
	{
		channel_error(err, NULL, "there is not enough memory to read the file");
		return NULL;
	}
	bill->reader.next = wechat_bill_next;
	bill->reader.close = wechat_bill_close;
	bill->reader.ended = BILL_LINE;
	bill->format = format;
	str_copy(bill->merchant, sizeof(bill->merchant), expected->merchant ? expected->merchant : "");
	if (bill_day_open(&bill->day, expected->day, WECHAT_BILL_OFFSET, err) &&
		bill_lines_open(&bill->reader.lines, bill_source_open(input, err), input, expected, "sha1", 0, err) &&
		read_header(bill, err))
		return &bill->reader;
	wechat_bill_close(&bill->reader);
	return NULL;
}
