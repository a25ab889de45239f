/*-------------------------------------------------------------------------
 *
 * text.c
 *	  What a notice says: placeholders, amounts, and what may not be said.
 *
 * src/notice/text.c
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "notice/notice_util.h"

#define NAME_MAX_LEN	32
#define NUMBER_MIN_LEN	7		/* digits that may be somebody's number */

const char *const notice_placeholders[] = {
	"refund_no",
	"withdrawal_no",			/* the same: the number of what it is about */
	"payment_no",
	"amount",					/* what the payer really gets, formatted */
	"currency",
	"event",
	"merchant",
	"reason",					/* as the application gave it */
	"received_by",				/* which account got it, masked, as the channel says */
	"failure",					/* why the channel has ended it, in words */
	"date",						/* of the event, YYYY-MM-DD */
	NULL
};

/* ISO 4217 currencies whose minor unit is not a hundredth. */
static const struct
{
	char		code[4];
	int			exponent;
}			exponents[] =
{
	{"BHD", 3}, {"BIF", 0}, {"CLF", 4}, {"CLP", 0}, {"DJF", 0}, {"GNF", 0},
	{"IQD", 3}, {"ISK", 0}, {"JOD", 3}, {"JPY", 0}, {"KMF", 0}, {"KRW", 0},
	{"KWD", 3}, {"LYD", 3}, {"OMR", 3}, {"PYG", 0}, {"RWF", 0}, {"TND", 3},
	{"UGX", 0}, {"UYI", 0}, {"UYW", 4}, {"VND", 0}, {"VUV", 0}, {"XAF", 0},
	{"XOF", 0}, {"XPF", 0}
};

static const char *next_name(const char *p, char *name, ChannelError *err);
static bool name_in(const char *name, const char *const *names);
static const NoticeParam *param_lookup(const NoticeParam *params, int count, const char *name);
static size_t number_length(const char *s, size_t *digits);

/* ---- placeholders ---- */

/*
 * Read "{name}" at p; the position after it, or NULL and *err.  Only the name
 * is quoted in errors: the rest of a text may hold anything.
 */
static const char *
next_name(const char *p, char *name, ChannelError *err)
{
	size_t		len = strspn(p + 1, "abcdefghijklmnopqrstuvwxyz0123456789_");

	if (p[1 + len] != '}' || len == 0 || len >= NAME_MAX_LEN)
	{
		notice_fail(err, "Write {name}, with a name in small letters, or {{ for a brace.",
					"the text has a brace that does not begin a placeholder");
		return NULL;
	}
	memcpy(name, p + 1, len);
	name[len] = '\0';
	return p + len + 2;
}

bool
notice_render_escaped(const char *text, const NoticeParam *params, int param_count,
					  NoticeEscape escape, Buf *out, ChannelError *err)
{
	const char *p = text;
	char		name[NAME_MAX_LEN];

	while (*p)
	{
		const NoticeParam *param;
		size_t		plain = strcspn(p, "{");

		buf_add(out, p, plain);
		p += plain;
		if (*p == '\0')
			break;
		if (p[1] == '{')
		{
			buf_addc(out, '{');
			p += 2;
			continue;
		}
		p = next_name(p, name, err);
		if (p == NULL)
			return false;
		param = param_lookup(params, param_count, name);
		if (param == NULL || param->value == NULL)
			return notice_fail(err, NULL, "there is no placeholder {%s}", name);
		if (escape)
			escape(out, param->value, strlen(param->value));
		else
			buf_adds(out, param->value);
	}
	if (out->failed)
		return notice_fail(err, NULL, "the text is too long");
	return true;
}

bool
notice_render(const char *text, const NoticeParam *params, int param_count,
			  Buf *out, ChannelError *err)
{
	return notice_render_escaped(text, params, param_count, NULL, out, err);
}

static const NoticeParam *
param_lookup(const NoticeParam *params, int count, const char *name)
{
	int			i;

	for (i = 0; i < count; i++)
		if (strcmp(params[i].name, name) == 0)
			return &params[i];
	return NULL;
}

bool
notice_text_acceptable(const char *text, const char *const *names,
					   const char *const *more, ChannelError *err)
{
	char		name[NAME_MAX_LEN];
	const char *p = text;

	while ((p = strchr(p, '{')) != NULL)
	{
		if (p[1] == '{')
		{
			p += 2;
			continue;
		}
		p = next_name(p, name, err);
		if (p == NULL)
			return false;
		if (!name_in(name, names) && !name_in(name, more))
			return notice_fail(err, "refund_no, payment_no, amount, currency, event and "
							   "merchant can be used.", "there is no placeholder {%s}", name);
	}
	return true;
}

bool
notice_text_uses(const char *text, const char *name)
{
	char		found[NAME_MAX_LEN];
	const char *p = text;
	ChannelError err;

	while (p != NULL && (p = strchr(p, '{')) != NULL)
	{
		if (p[1] == '{')
		{
			p += 2;
			continue;
		}
		p = next_name(p, found, &err);
		if (p != NULL && strcmp(found, name) == 0)
			return true;
	}
	return false;
}

bool
notice_is_placeholder(const char *name)
{
	return name_in(name, notice_placeholders);
}

static bool
name_in(const char *name, const char *const *names)
{
	for (; names && *names; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

/* The inside of a JSON string.  "/" needs no escape; bytes over 0x7f are UTF-8. */
void
notice_escape_json(Buf *out, const char *s, size_t len)
{
	size_t		i;

	for (i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) s[i];

		if (c == '"' || c == '\\')
		{
			buf_addc(out, '\\');
			buf_addc(out, (char) c);
		}
		else if (c < 0x20 || c == 0x7f)
			buf_addf(out, "\\u%04x", c);
		else
			buf_addc(out, (char) c);
	}
}

/* ---- numbers ---- */

void
notice_mask_phone(const char *phone, char *out, size_t outsize)
{
	char		digits[32];
	char		masked[48];
	size_t		n = 0;
	const char *p;

	for (p = phone; *p && n < sizeof(digits) - 1; p++)
		if (isdigit((unsigned char) *p))
			digits[n++] = *p;
	digits[n] = '\0';
	if (n >= 11)
		snprintf(masked, sizeof(masked), "%s%.3s****%s", phone[0] == '+' ? "+" : "",
				 digits, digits + n - 4);
	else if (n >= 8)
		snprintf(masked, sizeof(masked), "****%s", digits + n - 4);
	else
		snprintf(masked, sizeof(masked), "****");
	if (outsize > 0)
		str_copy(out, outsize, masked);
}

/* Digits, perhaps grouped by single blanks, dots or dashes. */
static size_t
number_length(const char *s, size_t *digits)
{
	size_t		i = 0;

	*digits = 0;
	while (isdigit((unsigned char) s[i]))
	{
		i++;
		++*digits;
		if (s[i] != '\0' && strchr(" -.", s[i]) && isdigit((unsigned char) s[i + 1]))
			i++;
	}
	return i;
}

void
notice_copy_words(char *dst, size_t dstsize, const char *src)
{
	Buf			words = BUF_INIT;
	size_t		digits;
	size_t		len;

	while (*src)
	{
		len = number_length(src, &digits);
		if (len == 0)
		{
			unsigned char c = (unsigned char) *src++;

			buf_addc(&words, c < 0x20 || c == 0x7f ? ' ' : (char) c);
			continue;
		}
		if (digits >= NUMBER_MIN_LEN)
			buf_adds(&words, "****");
		else
			buf_add(&words, src, len);
		src += len;
	}
	len = words.failed ? 0 : words.len;
	if (len >= dstsize)
	{
		len = dstsize - 1;
		while (len > 0 && ((unsigned char) words.data[len] & 0xc0) == 0x80)
			len--;				/* not in the middle of a character */
	}
	memcpy(dst, buf_str(&words), len);
	dst[len] = '\0';
	buf_free(&words);
}

void
notice_format_amount(int64_t amount, const char *currency, char *out, size_t outsize)
{
	uint64_t	units = amount < 0 ? -(uint64_t) amount : (uint64_t) amount;
	const char *sign = amount < 0 ? "-" : "";
	uint64_t	scale = 1;
	int			exponent = 2;
	char		text[32];
	size_t		i;

	for (i = 0; i < sizeof(exponents) / sizeof(exponents[0]); i++)
		if (strcmp(exponents[i].code, currency) == 0)
			exponent = exponents[i].exponent;
	for (i = 0; i < (size_t) exponent; i++)
		scale *= 10;
	if (exponent == 0)
		snprintf(text, sizeof(text), "%s%llu", sign, (unsigned long long) units);
	else
		snprintf(text, sizeof(text), "%s%llu.%0*llu", sign, (unsigned long long) (units / scale),
				 exponent, (unsigned long long) (units % scale));
	if (outsize > 0)
		str_copy(out, outsize, text);
}
