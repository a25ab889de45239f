/*-------------------------------------------------------------------------
 *
 * alipay_text.c
 *	  Amounts in yuan and times of Beijing, as Alipay writes them.
 *
 * Money never becomes a floating point number: digits in, fen out.
 *
 * src/channel/alipay_text.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "channel/alipay.h"

#define BEIJING			(8 * 3600)
#define YUAN_DIGITS		15
#define TIME_MAX		40

void
alipay_amount_text(int64_t fen, char out[32])
{
	snprintf(out, 32, "%lld.%02d", (long long) (fen / 100), (int) (fen % 100));
}

bool
alipay_parse_amount(const char *s, int64_t *fen)
{
	int64_t		value = 0;
	size_t		whole = strspn(s, "0123456789");
	size_t		decimals = 0;
	size_t		i;

	*fen = 0;
	if (whole < 1 || whole > YUAN_DIGITS)
		return false;
	for (i = 0; i < whole; i++)
		value = value * 10 + (s[i] - '0');
	if (s[whole] == '.')
	{
		decimals = strspn(s + whole + 1, "0123456789");
		if (decimals < 1 || decimals > 2 || s[whole + 1 + decimals] != '\0')
			return false;
	}
	else if (s[whole] != '\0')
		return false;
	value *= 100;
	if (decimals > 0)
		value += (s[whole + 1] - '0') * 10;
	if (decimals > 1)
		value += s[whole + 2] - '0';
	*fen = value;
	return true;
}

/* The civil date of a day number, proleptic Gregorian; years start in March here. */
static void
civil_from_days(int64_t days, int *year, int *month, int *day)
{
	int64_t		z = days + 719468;
	int64_t		era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t		of_era = z - era * 146097;
	int64_t		y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t		of_year = of_era - (365 * y + y / 4 - y / 100);
	int64_t		m = (5 * of_year + 2) / 153;

	*day = (int) (of_year - (153 * m + 2) / 5 + 1);
	*month = (int) (m < 10 ? m + 3 : m - 9);
	*year = (int) (y + era * 400 + (*month <= 2));
}

void
alipay_time_text(int64_t unix_seconds, char out[32])
{
	int64_t		local = unix_seconds + BEIJING;
	int64_t		days = local / 86400;
	int			rest = (int) (local % 86400);
	int			year,
				month,
				day;

	if (rest < 0)
	{
		rest += 86400;
		days--;
	}
	civil_from_days(days, &year, &month, &day);
	if (year < 0 || year > 9999)
		year = month = day = rest = 0;	/* no clock says that; Alipay will refuse it */
	snprintf(out, 32, "%04d-%02d-%02d %02d:%02d:%02d", year, month, day,
			 rest / 3600, rest / 60 % 60, rest % 60);
}

bool
alipay_parse_time(const char *s, int64_t *out)
{
	char		text[TIME_MAX + 8];
	size_t		len = strlen(s);

	*out = 0;
	if (len < 19 || len > TIME_MAX || s[10] != ' ' ||
		strspn(s, "0123456789-: .") != len)
		return false;
	snprintf(text, sizeof(text), "%.10sT%s+08:00", s, s + 11);
	if (parse_rfc3339(text, out))
		return true;
	*out = 0;
	return false;
}

bool
alipay_is_number(const char *s)
{
	size_t		i;

	for (i = 0; s[i] != '\0'; i++)
		if (i >= CHANNEL_NO_MAX || s[i] <= ' ' || (unsigned char) s[i] >= 0x7f)
			return false;
	return i > 0;
}
