/*-------------------------------------------------------------------------
 *
 * scrub.c
 *	  Words that are to be shown, without what may not be.
 *
 * What goes wrong is told in the words of whoever found it: an application's
 * error, a channel's message.  Those quote what they were given.  So digits that
 * may be a telephone or card number, and what looks like a key, are masked, rather
 * one too many than one too few: the number of a refund stands beside it in a
 * field of its own.
 *
 * src/base/scrub.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/scrub.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define DIGITS_MAX	24

/* Digits, perhaps in groups: "4111 1111 1111 1111", "138-0013-8000". */
typedef struct Digits
{
	int			n;
	char	   *at[DIGITS_MAX];
	bool		grouped;
	bool		plus;
} Digits;

static const char *const secrets[] = {
	"whsec_", "whsk_", "sk_live_", "sk_test_", "rk_live_", "rk_test_", "-----BEGIN ", "Bearer ", NULL
};

/* Past the digits that begin at p; more than DIGITS_MAX are no number of a person's. */
static char *
read_digits(char *p, bool groups, Digits *d)
{
	d->n = 0;
	d->grouped = false;
	for (;;)
	{
		if (isdigit((unsigned char) *p))
		{
			if (d->n < DIGITS_MAX)
				d->at[d->n] = p;
			d->n++;
			p++;
		}
		else if (groups && d->n > 0 && (*p == ' ' || *p == '-') && isdigit((unsigned char) p[1]))
		{
			d->grouped = true;
			p++;
		}
		else
			return p;
	}
}

static bool
is_card(const Digits *d)
{
	int			sum = 0;
	int			i;

	if (d->n < 13 || d->n > 19)
		return false;
	for (i = 0; i < d->n; i++)
	{
		int			digit = *d->at[d->n - 1 - i] - '0';

		if (i % 2 == 1)
			digit = digit * 2 > 9 ? digit * 2 - 9 : digit * 2;
		sum += digit;
	}
	return sum % 10 == 0;
}

static bool
is_phone(const Digits *d)
{
	int			first;

	if (d->plus)
		return d->n >= 8 && d->n <= 15;
	if (d->n == 11)
		first = 0;
	else if (d->n == 13 && *d->at[0] == '8' && *d->at[1] == '6')
		first = 2;
	else if (d->n == 15 && *d->at[0] == '0' && *d->at[1] == '0' && *d->at[2] == '8' && *d->at[3] == '6')
		first = 4;
	else
		return false;
	return *d->at[first] == '1' && *d->at[first + 1] >= '3';
}

static void
mask_digits(const Digits *d, int first, int last)
{
	int			i;

	for (i = first; i < d->n - last; i++)
		*d->at[i] = '*';
}

/* What is masked is passed over; otherwise the groups are looked at one by one. */
static char *
scrub_digits(char *p, bool plus)
{
	Digits		d = {.plus = plus};
	char	   *end = read_digits(p, true, &d);

	if (d.grouped && !is_card(&d) && !is_phone(&d))
		end = read_digits(p, false, &d);
	if (is_card(&d))
		mask_digits(&d, 0, 4);
	else if (is_phone(&d))
		mask_digits(&d, 3, d.n > 8 ? 4 : 2);
	return end;
}

/* The rest of the word behind a secret's prefix; 0 if none begins here. */
static size_t
secret_at(const char *p, size_t *prefix)
{
	int			i;

	for (i = 0; secrets[i] != NULL; i++)
	{
		size_t		len = strlen(secrets[i]);
		size_t		n = 0;

		if (strncmp(p, secrets[i], len) != 0)
			continue;
		*prefix = len;

		/* a PEM block is all of it: lines, and blanks within them */
		if (secrets[i][0] == '-')
			return strlen(p + len);
		while (isgraph((unsigned char) p[len + n]))
			n++;
		return n;
	}
	return 0;
}

void
scrub_text(char *text)
{
	char	   *p = text;

	while (*p != '\0')
	{
		size_t		prefix = 0;
		size_t		secret = secret_at(p, &prefix);

		if (secret > 0)
		{
			memset(p + prefix, '*', secret);
			p += prefix + secret;
		}
		else if (isdigit((unsigned char) *p))
			p = scrub_digits(p, p > text && p[-1] == '+');
		else
		{
			if (iscntrl((unsigned char) *p))
				*p = ' ';
			p++;
		}
	}
}
