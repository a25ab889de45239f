/*-------------------------------------------------------------------------
 *
 * bill_text.c
 *	  What stands in a bill's line: columns, amounts, times, numbers.
 *
 * Columns are found by their names, for channels add some and rename others.
 * Money never becomes a floating point number: digits in, whole units out,
 * exactly or not at all.
 *
 * src/channel/bill_text.c
 *
 *-------------------------------------------------------------------------
 */
#include <iconv.h>
#include <stdio.h>
#include <string.h>

#include "channel/bill_parts.h"

#define WHOLE_DIGITS_MAX	13
#define DAY_MICROS			(INT64_C(86400) * 1000000)

static bool is_digit(char c);
static int	two(const char *s);

/* ---- columns ---- */

void
bill_trim(BillField *field)
{
	while (field->len > 0 && (field->s[0] == ' ' || field->s[0] == '\t'))
	{
		field->s++;
		field->len--;
	}
	while (field->len > 0 &&
		   (field->s[field->len - 1] == ' ' || field->s[field->len - 1] == '\t'))
		field->s[--field->len] = '\0';
}

int
bill_split(char *line, size_t len, BillField *fields, int max)
{
	char	   *end = line + len;
	int			n;

	for (n = 0; n < max; n++)
	{
		char	   *comma = memchr(line, ',', (size_t) (end - line));

		fields[n].s = line;
		fields[n].len = (size_t) ((comma ? comma : end) - line);
		fields[n].s[fields[n].len] = '\0';
		bill_trim(&fields[n]);
		if (comma == NULL)
			return n + 1;
		line = comma + 1;
	}
	return -1;
}

bool
bill_is(const BillField *field, const char *text)
{
	size_t		len = strlen(text);

	return field->len == len && memcmp(field->s, text, len) == 0;
}

/* Of a column's old and new names a header has one. */
static bool
column_find(const BillColumn *column, const BillField *header, int fields, int *at,
			ChannelError *err)
{
	size_t		k;
	int			i;

	*at = -1;
	for (k = 0; k < lengthof_array(column->names) && column->names[k] != NULL; k++)
		for (i = 0; i < fields; i++)
		{
			if (!bill_is(&header[i], column->names[k]))
				continue;
			if (*at >= 0)
				return channel_error(err, "It is in a layout that is not known.",
									 "the file has the column \"%s\" twice", column->names[0]);
			*at = i;
		}
	return true;
}

bool
bill_columns_find(const BillColumn *columns, int count, const BillField *header, int fields,
				  int *at, ChannelError *err)
{
	int			i;

	for (i = 0; i < count; i++)
	{
		if (!column_find(&columns[i], header, fields, &at[i], err))
			return false;
		if (at[i] < 0 && columns[i].required)
			return channel_error(err, "Look whether it is a file of this kind: its first line names "
								 "its columns.",
								 "the file has no column \"%s\"", columns[i].names[0]);
	}
	return true;
}

/* ---- amounts ---- */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool
bill_decimal(const BillField *field, int places, int64_t *out)
{
	const char *s = field->s;
	const char *end = s + field->len;
	bool		negative = false;
	int64_t		v = 0;
	int			digits = 0;
	int			decimals = 0;

	if (s < end && (*s == '-' || *s == '+'))
		negative = *s++ == '-';
	for (; s < end && is_digit(*s); s++)
	{
		if (++digits > WHOLE_DIGITS_MAX)
			return false;
		v = v * 10 + (*s - '0');
	}
	if (digits == 0)
		return false;
	if (s < end && *s == '.')
	{
		if (++s == end)
			return false;
		for (; s < end && is_digit(*s); s++)
		{
			if (decimals < places)
			{
				v = v * 10 + (*s - '0');
				decimals++;
			}
			else if (*s != '0')
				return false;
		}
	}
	if (s != end)
		return false;
	for (; decimals < places; decimals++)
		v *= 10;
	*out = negative ? -v : v;
	return true;
}

bool
bill_rate(const BillField *field, int64_t *out)
{
	BillField	number = *field;
	bool		percent = number.len > 0 && number.s[number.len - 1] == '%';

	number.len -= percent;
	if (number.len > 12)
		return false;			/* then 13 digits and their decimals would not fit */
	return bill_decimal(&number, percent ? 4 : 6, out);
}

bool
bill_add(int64_t *sum, int64_t v)
{
	return !__builtin_add_overflow(*sum, v, sum);
}

/* ---- numbers and texts ---- */

bool
bill_copy_no(const BillField *field, char *dst, size_t dstsize)
{
	size_t		i;

	dst[0] = '\0';
	if (field->len >= dstsize)
		return false;
	for (i = 0; i < field->len; i++)
		if (field->s[i] <= ' ' || (unsigned char) field->s[i] >= 0x7f)
			return false;
	memcpy(dst, field->s, field->len);
	dst[field->len] = '\0';
	return true;
}

void
bill_copy_text(const BillField *field, char *dst, size_t dstsize)
{
	text_clip(dst, dstsize, field->s);
	text_plain(dst);
}

/* A C library without its converters has none; then only ASCII is read. */
void *
bill_gb18030_open(void)
{
	iconv_t		cd = iconv_open("UTF-8", "GB18030");

	return cd == (iconv_t) -1 ? NULL : cd;
}

void
bill_gb18030_close(void *decoder)
{
	if (decoder != NULL)
		iconv_close(decoder);
}

bool
bill_gb18030(void *decoder, const char *s, size_t len, char *out, size_t outsize)
{
	char	   *from = (char *) (uintptr_t) s;
	char	   *to = out;
	size_t		room = outsize - 1;
	bool		good;

	out[0] = '\0';
	if (decoder == NULL)
		return false;
	iconv(decoder, NULL, NULL, NULL, NULL);
	good = iconv(decoder, &from, &len, &to, &room) != (size_t) -1 && len == 0;
	*to = '\0';
	return good && utf8_valid(out, (size_t) (to - out));
}

/* ---- times ---- */

/* -1 if these are not two digits. */
static int
two(const char *s)
{
	return is_digit(s[0]) && is_digit(s[1]) ? (s[0] - '0') * 10 + (s[1] - '0') : -1;
}

/* A million lines are of one day or two, so that a date is worked out once. */
static bool
date_at(BillDay *day, const char *s)
{
	char		text[32];

	if (memcmp(s, day->seen, BILL_DAY_LEN) == 0)
		return true;
	snprintf(text, sizeof(text), "%.10sT00:00:00Z", s);
	if (!parse_rfc3339(text, &day->seen_at))
	{
		day->seen[0] = '\0';
		return false;
	}
	day->seen_at -= (int64_t) day->utc_offset * 1000000;
	memcpy(day->seen, s, BILL_DAY_LEN);
	day->seen[BILL_DAY_LEN] = '\0';
	return true;
}

bool
bill_time(BillDay *day, const BillField *field, int64_t *out)
{
	const char *s = field->s;
	int			hour,
				minute,
				second;

	*out = 0;
	if (field->len < 19 || s[10] != ' ' || s[13] != ':' || s[16] != ':')
		return false;
	hour = two(s + 11);
	minute = two(s + 14);
	second = two(s + 17);
	if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 ||
		(field->len > 19 && s[19] != '.') || !date_at(day, s))
		return false;
	*out = day->seen_at + (int64_t) ((hour * 60 + minute) * 60 + second) * 1000000;
	return true;
}

bool
bill_day_open(BillDay *day, const char *text, int utc_offset, ChannelError *err)
{
	memset(day, 0, sizeof(*day));
	day->utc_offset = utc_offset;
	if (text == NULL || strlen(text) != BILL_DAY_LEN || !date_at(day, text))
		return channel_error(err, "Write it as 2026-11-27.", "\"%.20s\" is no day of a bill",
							 text ? text : "");
	str_copy(day->text, sizeof(day->text), text);
	day->start = day->seen_at;
	day->end = day->start + DAY_MICROS;
	return true;
}

void
bill_day_count(BillDay *day, int64_t at, const char *text)
{
	if (at >= day->start && at < day->end)
		day->within++;
	else if (day->elsewhere++ == 0)
		snprintf(day->other, sizeof(day->other), "%.10s", text);
}

bool
bill_day_holds(const BillDay *day, bool strict, ChannelError *err)
{
	if (strict ? day->elsewhere == 0 : day->elsewhere <= day->within)
		return true;
	return channel_error(err, "Load it as the bill of the day that it is of.",
						 "%lld of its lines are of other days than %s%s%s",
						 (long long) day->elsewhere, day->text,
						 day->other[0] != '\0' ? ": the first of these is of " : "", day->other);
}

/* ---- an account's movements ---- */

void
bill_ledger_add(BillLedger *ledger, const BillLine *line)
{
	if (!ledger->any)
	{
		ledger->any = true;
		ledger->first_at = line->occurred_at;
		ledger->first_balance = line->balance;
		ledger->first_change = line->balance_change;
	}
	ledger->last_at = line->occurred_at;
	ledger->last_balance = line->balance;
	ledger->last_change = line->balance_change;
}

/*
 * Some files have the newest movement first.  A balance is bounded by what a
 * decimal may be, so that the differences fit.
 */
void
bill_ledger_end(const BillLedger *ledger, BillTotals *totals)
{
	bool		newest_first = ledger->first_at > ledger->last_at;

	totals->has_balance = ledger->any;
	if (!ledger->any)
		return;
	totals->opening = newest_first ? ledger->last_balance - ledger->last_change :
		ledger->first_balance - ledger->first_change;
	totals->closing = newest_first ? ledger->first_balance : ledger->last_balance;
}
