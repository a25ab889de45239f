/*-------------------------------------------------------------------------
 *
 * form.c
 *	  application/x-www-form-urlencoded: names and values, decoded.
 *
 * sandbox/form.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "form.h"

void
form_add(Form *f, const char *name, const char *value)
{
	if (f->count == FORM_MAX)
		return;
	f->item[f->count].name = must_strdup(name);
	f->item[f->count].value = must_strdup(value);
	f->count++;
}

static bool
parse_field(Form *f, const char *s, size_t len)
{
	const char *eq = memchr(s, '=', len);
	size_t		namelen = eq ? (size_t) (eq - s) : len;
	Buf			name = BUF_INIT,
				value = BUF_INIT;
	bool		ok = f->count < FORM_MAX && percent_decode(&name, s, namelen, true) &&
		(eq == NULL || percent_decode(&value, eq + 1, len - namelen - 1, true));

	if (ok)
		form_add(f, buf_str(&name), buf_str(&value));
	buf_free(&name);
	buf_free(&value);
	return ok;
}

bool
form_parse(Form *f, const char *s, size_t len)
{
	const char *end = s + len;

	while (s < end)
	{
		const char *amp = memchr(s, '&', (size_t) (end - s));
		size_t		n = amp ? (size_t) (amp - s) : (size_t) (end - s);

		if (n > 0 && !parse_field(f, s, n))
			return false;
		s += n + 1;
	}
	return true;
}

const char *
form_get(const Form *f, const char *name)
{
	int			i;

	for (i = 0; i < f->count; i++)
		if (strcmp(f->item[i].name, name) == 0)
			return f->item[i].value;
	return NULL;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const FormField *) a)->name, ((const FormField *) b)->name);
}

void
form_sort(Form *f)
{
	qsort(f->item, (size_t) f->count, sizeof(FormField), by_name);
}

bool
form_repeats(const Form *f)
{
	int			i;

	for (i = 1; i < f->count; i++)
		if (strcmp(f->item[i - 1].name, f->item[i].name) == 0)
			return true;
	return false;
}

static void
encode(Buf *out, const char *s)
{
	for (; *s; s++)
	{
		if (*s == ' ')
			buf_addc(out, '+');
		else
			percent_encode(out, s, 1);
	}
}

void
form_encode(const Form *f, Buf *out)
{
	int			i;

	for (i = 0; i < f->count; i++)
	{
		if (out->len > 0)
			buf_addc(out, '&');
		encode(out, f->item[i].name);
		buf_addc(out, '=');
		encode(out, f->item[i].value);
	}
}

void
form_free(Form *f)
{
	while (f->count > 0)
	{
		f->count--;
		free(f->item[f->count].name);
		free(f->item[f->count].value);
	}
}
