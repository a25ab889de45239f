/*-------------------------------------------------------------------------
 *
 * alipay_bill.c
 *	  The shape of Alipay's bills: comment lines, a header, rows, totals.
 *
 * A ZIP with a file of details and one of their summary; a person may have
 * unpacked it, or saved it as UTF-8 with a byte order mark.  Otherwise it is
 * GB18030.  Neither a comma, a tab nor a line end is part of a character of
 * that, so that a file is cut into fields first, and only the few fields that
 * say something in Chinese are made UTF-8: a product's name may be damaged
 * without harm.
 *
 * Lines that begin with '#' are Alipay's own: the title, whose file it is and
 * of which day, and behind the rows what they come to.  Alipay announces no
 * hash, so that these totals are all that tells a whole file from a part of
 * one: without them nothing counts.
 *
 * Texts are not quoted.  A comma in one makes a row longer than the header,
 * and nobody can tell which of its commas are borders: such a row is refused.
 *
 * src/channel/alipay_bill.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel/alipay_bill.h"

#define COMMENT_MAX		1024

static BillStep alipay_bill_next(BillReader *reader, BillLine *line, ChannelError *err);
static void alipay_bill_close(BillReader *reader);

/* ---- text ---- */

static bool
is_ascii(const char *s, size_t len)
{
	size_t		i;

	for (i = 0; i < len; i++)
		if ((unsigned char) s[i] >= 0x80 || s[i] == '\0')
			return false;
	return true;
}

/* As UTF-8, whole; false if it is none or does not fit. */
static bool
to_utf8(const AlipayBill *bill, const char *s, size_t len, char *out, size_t outsize)
{
	if (!is_ascii(s, len) && bill->decoder != NULL)
		return bill_gb18030(bill->decoder, s, len, out, outsize);
	if (len >= outsize || strlen(s) != len || !utf8_valid(s, len))
		return false;
	memcpy(out, s, len + 1);
	return true;
}

void
alipay_bill_word(const AlipayBill *bill, const BillField *field, char out[ALIPAY_WORD_MAX + 1])
{
	if (!to_utf8(bill, field->s, field->len, out, ALIPAY_WORD_MAX + 1))
		out[0] = '\0';
}

const BillField *
alipay_bill_field(const AlipayBill *bill, const BillField *fields, int column)
{
	static char nothing[] = "";
	static const BillField none = {nothing, 0};

	return bill->at[column] < 0 ? &none : &fields[bill->at[column]];
}

BillStep
alipay_bill_wrong(const AlipayBill *bill, int column, const char *what, ChannelError *err)
{
	return bill_bad(err, BILL_AGAIN_HINT, "line %lld: \"%s\" %s",
					(long long) bill->reader.lines.line_no,
					bill->format->columns[column].names[0], what);
}

bool
alipay_bill_fen(const BillField *field, int64_t *out)
{
	*out = 0;
	return field->len == 0 || bill_decimal(field, 2, out);
}

bool
alipay_bill_is_detail(const char *name, const char *detail)
{
	size_t		len = strlen(name);

	return strstr(name, detail) != NULL && strstr(name, "汇总") == NULL &&
		len > 4 && strcmp(name + len - 4, ".csv") == 0;
}

/* ---- comment lines ---- */

/* "2026年10月03日" anywhere behind `word`: as "2026-10-03". */
static bool
find_date(const char *comment, const char *word, char out[BILL_DAY_LEN + 1])
{
	const char *p = strstr(comment, word);
	char		text[40];
	int			year,
				month,
				day;

	p = p != NULL ? strchr(p, '[') : NULL;
	if (p == NULL || sscanf(p + 1, "%4d年%2d月%2d日", &year, &month, &day) != 3 ||
		year < 1000 || month < 1 || month > 12 || day < 1 || day > 31)
		return false;
	snprintf(text, sizeof(text), "%04d-%02d-%02d", year, month, day);
	return str_copy(out, BILL_DAY_LEN + 1, text);
}

/* It begins on its day, and ends on it or with it. */
static bool
dates_good(const AlipayBill *bill, const char *comment, ChannelError *err)
{
	char		from[BILL_DAY_LEN + 1];
	char		to[BILL_DAY_LEN + 1];
	BillDay		last;
	ChannelError ignored;

	if (!find_date(comment, "起始日期", from))
		return true;
	if (strcmp(from, bill->day.text) != 0)
		return channel_error(err, "Load it as the bill of the day that it is of.",
							 "the file is of %s, and not of %s", from, bill->day.text);
	if (find_date(comment, "终止日期", to) && strcmp(to, from) != 0 &&
		(!bill_day_open(&last, to, ALIPAY_BILL_OFFSET, &ignored) || last.start != bill->day.end))
		return channel_error(err, "Fetch the bills of single days.",
							 "the file is of %s to %s, which is more than a day", from, to);
	return true;
}

/*
 * The account is the seller's number with "0156" behind it.  An app's number,
 * by which most channels know their merchant, tells nothing about it.
 */
static bool
account_good(const AlipayBill *bill, const char *comment, ChannelError *err)
{
	const char *p = strstr(comment, "账号");

	p = p != NULL ? strchr(p, '[') : NULL;
	if (p == NULL || strncmp(bill->merchant, "2088", 4) != 0 ||
		strncmp(p + 1, bill->merchant, strlen(bill->merchant)) == 0)
		return true;
	return channel_error(err, "Load it for the channel of that merchant.",
						 "the file is of the account %.20s, and not of %s", p + 1, bill->merchant);
}

/* "#退款合计：1笔，商家实收退款共-3000.00元，...": the number, and the first sum. */
static bool
total_good(AlipayBill *bill, int i, const char *comment, ChannelError *err)
{
	const AlipayTotal *total = &bill->format->totals[i];
	const char *words = strstr(comment, total->word);
	const char *count = words + strlen(total->word);
	const char *sum = strstr(count, "共");
	char		digits[40];
	BillField	field = {digits, 0};
	int64_t		said_count;
	int64_t		said_sum;

	count += strspn(count, ": \t");
	if (strncmp(count, "：", 3) == 0)
		count += 3;
	field.len = strspn(count, "0123456789");
	if (sum == NULL || field.len >= sizeof(digits) || strncmp(count + field.len, "笔", 3) != 0)
		return channel_error(err, BILL_AGAIN_HINT, "line %lld: the totals cannot be read",
							 (long long) bill->reader.lines.line_no);
	memcpy(digits, count, field.len);
	digits[field.len] = '\0';
	if (!bill_decimal(&field, 0, &said_count))
		said_count = -1;
	sum += strlen("共");
	field.len = strspn(sum, "+-.0123456789");
	if (field.len >= sizeof(digits))
		field.len = sizeof(digits) - 1;
	memcpy(digits, sum, field.len);
	digits[field.len] = '\0';
	if (!bill_decimal(&field, 2, &said_sum))
		return channel_error(err, BILL_AGAIN_HINT, "line %lld: the totals cannot be read",
							 (long long) bill->reader.lines.line_no);
	bill->agreed[i] = true;
	if (said_count != bill->counts[i])
		return channel_error(err, BILL_AGAIN_HINT, "\"%s\" says %lld, and there are %lld such rows: "
							 "lines are missing, or are there twice", total->word,
							 (long long) said_count, (long long) bill->counts[i]);
	if (said_sum == bill->sums[i] || (total->either_sign && said_sum == -bill->sums[i]))
		return true;
	return channel_error(err, BILL_AGAIN_HINT, "\"%s\" says %s, and the rows come to another sum",
						 total->word, digits);
}

static bool
read_comment(AlipayBill *bill, const char *line, size_t len, bool behind, ChannelError *err)
{
	char		comment[3 * COMMENT_MAX];
	int			i;

	if (len > COMMENT_MAX || !to_utf8(bill, line, len, comment, sizeof(comment)))
		return channel_error(err, "Alipay's files are in GB18030.",
							 "line %lld cannot be read: it is too long, or in another encoding",
							 (long long) bill->reader.lines.line_no);
	if (!behind && strstr(comment, bill->format->other_title) != NULL)
		return channel_error(err, "Load it as the other kind of bill.",
							 "the file is not \"%s\", but \"%s\"", bill->format->title,
							 bill->format->other_title);
	if (!behind && strstr(comment, bill->format->title) != NULL)
		bill->titled = true;
	if (!behind)
		return dates_good(bill, comment, err) && account_good(bill, comment, err);
	for (i = 0; i < ALIPAY_BILL_TOTALS; i++)
		if (strstr(comment, bill->format->totals[i].word) != NULL)
			return total_good(bill, i, comment, err);
	return true;
}

/* ---- rows ---- */

static bool
read_header(AlipayBill *bill, const char *line, size_t len, ChannelError *err)
{
	BillField	header[BILL_COLUMNS_MAX];
	char	   *text = malloc(2 * len + 1);
	bool		good = text != NULL && to_utf8(bill, line, len, text, 2 * len + 1);

	if (!good)
		channel_error(err, "Alipay's files are in GB18030.",
					  "line %lld cannot be read: it is in another encoding",
					  (long long) bill->reader.lines.line_no);
	if (good)
	{
		bill->columns = bill_split(text, strlen(text), header, BILL_COLUMNS_MAX);
		good = bill->columns > 0 ||
			channel_error(err, BILL_AGAIN_HINT, "the header has more than %d columns", BILL_COLUMNS_MAX);
	}
	good = good && bill_columns_find(bill->format->columns, bill->format->column_count, header,
									 bill->columns, bill->at, err);
	free(text);
	return good;
}

/* Everything before the first row. */
static bool
read_beginning(AlipayBill *bill, ChannelError *err)
{
	BillStep	step;
	char	   *line;
	size_t		len;

	while ((step = bill_lines_next(&bill->reader.lines, &line, &len, err)) == BILL_LINE)
	{
		if (bill->reader.lines.line_no == 1 && bill->reader.lines.marked)
		{
			bill_gb18030_close(bill->decoder);
			bill->decoder = NULL;
		}
		if (len == 0)
			continue;
		if (line[0] != '#')
			return read_header(bill, line, len, err);
		if (!read_comment(bill, line, len, false, err))
			return false;
	}
	return step == BILL_END && channel_error(err, BILL_AGAIN_HINT,
											 "the file ends before the header of its rows");
}

/* Everything behind the last one: it must be whole, and agree. */
static BillStep
read_end(AlipayBill *bill, char *line, size_t len, ChannelError *err)
{
	BillStep	step = BILL_LINE;
	int			i;

	for (; step == BILL_LINE; step = bill_lines_next(&bill->reader.lines, &line, &len, err))
	{
		if (len > 0 && line[0] != '#')
			return bill_bad(err, BILL_AGAIN_HINT, "line %lld stands behind the end of the rows",
							(long long) bill->reader.lines.line_no);
		if (len > 0 && !read_comment(bill, line, len, true, err))
			return BILL_BAD;
	}
	if (step == BILL_BAD)
		return step;
	for (i = 0; i < ALIPAY_BILL_TOTALS; i++)
		if (!bill->agreed[i])
			return bill_bad(err, "It is cut off, or was fetched while it was being made: fetch it again "
							"later.", "the file ends without \"%s\"", bill->format->totals[i].word);
	if (!bill_day_holds(&bill->day, bill->format->ledger, err) ||
		!bill_lines_finish(&bill->reader.lines, &bill->reader.totals, err))
		return BILL_BAD;
	if (bill->format->ledger)
		bill_ledger_end(&bill->ledger, &bill->reader.totals);
	return BILL_END;
}

static BillStep
alipay_bill_next(BillReader *reader, BillLine *line, ChannelError *err)
{
	AlipayBill *bill = (AlipayBill *) reader;
	BillField	fields[BILL_COLUMNS_MAX];
	BillStep	step;
	char	   *text;
	size_t		len;
	int			quiet;
	int			n;

	for (quiet = 0; quiet < BILL_QUIET_LINES; quiet++)
	{
		step = bill_lines_next(&reader->lines, &text, &len, err);
		if (step == BILL_END)
			return bill_bad(err, "It is cut off, or was fetched while it was being made: fetch it "
							"again later.", "the file ends without its totals, after %lld lines",
							(long long) reader->lines.line_no);
		if (step == BILL_BAD)
			return step;
		if (len == 0)
			continue;
		if (text[0] == '#')
			return read_end(bill, text, len, err);
		n = bill_split(text, len, fields, BILL_COLUMNS_MAX);
		if (n != bill->columns)
			return bill_bad(err, "A comma within a text makes a row longer. Take it out by hand, and "
							"load the file with bill_load().",
							"line %lld has %d fields, and the header %d", (long long) reader->lines.line_no,
							n, bill->columns);
		reader->totals.lines++;
		memcpy(reader->totals.currency, "CNY", 4);
		memset(line, 0, sizeof(*line));
		memcpy(line->currency, "CNY", 4);
		step = bill->format->row(bill, fields, line, err);
		if (step == BILL_LINE)
			line->line_no = reader->lines.line_no;
		if (step != BILL_PAUSE)
			return step;
	}
	return BILL_PAUSE;
}

/* ---- the file ---- */

static void
alipay_bill_close(BillReader *reader)
{
	AlipayBill *bill = (AlipayBill *) reader;

	bill_lines_close(&reader->lines);
	bill_gb18030_close(bill->decoder);
	free(bill);
}

BillReader *
alipay_bill_open(const AlipayBillFormat *format, bool (*wanted) (const char *name),
				 const BillInput *input, const BillExpected *expected, ChannelError *err)
{
	AlipayBill *bill = calloc(1, sizeof(*bill));
	BillSource *source;

	memset(err, 0, sizeof(*err));
	if (bill == NULL)
	{
		channel_error(err, NULL, "there is not enough memory to read the file");
		return NULL;
	}
	bill->reader.next = alipay_bill_next;
	bill->reader.close = alipay_bill_close;
	bill->reader.ended = BILL_LINE;
	bill->reader.totals.has_refunds = format->has_refunds;
	bill->reader.totals.has_transfers = format->has_transfers;
	bill->format = format;
	bill->decoder = bill_gb18030_open();
	str_copy(bill->merchant, sizeof(bill->merchant), expected->merchant ? expected->merchant : "");
	if (bill->decoder == NULL)
		channel_error(err, "Install the C library's character sets (gconv) on this server.",
					  "this server's C library cannot read GB18030, in which Alipay's bills are");
	else if (bill_day_open(&bill->day, expected->day, ALIPAY_BILL_OFFSET, err))
	{
		source = bill_is_zip(input) ? bill_source_zip(input, expected->max_size, wanted, err) :
			bill_source_open(input, err);
		if (bill_lines_open(&bill->reader.lines, source, input, expected, "sha256", 0, err) &&
			read_beginning(bill, err))
			return &bill->reader;
	}
	alipay_bill_close(&bill->reader);
	return NULL;
}
