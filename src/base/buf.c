/*-------------------------------------------------------------------------
 *
 * buf.c
 *	  A growable byte buffer on malloc; see buf.h for why it is not palloc.
 *
 * src/base/buf.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

void
buf_init(Buf *b)
{
	memset(b, 0, sizeof(*b));
}

void
buf_free(Buf *b)
{
	size_t		limit = b->limit;

	free(b->data);
	buf_init(b);
	b->limit = limit;
}

/*
 * Overwrite, then free.  The volatile pointer keeps the compiler from
 * dropping stores to memory that is about to be freed.
 */
void
buf_wipe(Buf *b)
{
	volatile char *p = b->data;
	size_t		i;

	for (i = 0; p != NULL && i < b->cap; i++)
		p[i] = 0;
	buf_free(b);
}

void
buf_reset(Buf *b)
{
	b->len = 0;
	b->failed = false;
	if (b->data)
		b->data[0] = '\0';
}

/* Make room for `more` bytes and the NUL; false once the buffer has failed. */
static bool
buf_reserve(Buf *b, size_t more)
{
	size_t		limit = b->limit ? b->limit : BUF_DEFAULT_LIMIT;
	size_t		want;
	char	   *data;

	if (b->failed)
		return false;
	/* b->len <= limit always, so neither side can wrap around */
	if (more > limit - b->len)
	{
		b->failed = true;
		return false;
	}
	if (b->len + more + 1 <= b->cap)
		return true;
	want = b->cap ? b->cap : 64;
	while (want < b->len + more + 1)
		want *= 2;
	data = realloc(b->data, want);
	if (data == NULL)
	{
		b->failed = true;
		return false;
	}
	b->data = data;
	b->cap = want;
	return true;
}

void
buf_add(Buf *b, const void *data, size_t len)
{
	if (!buf_reserve(b, len))
		return;
	if (len > 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void
buf_adds(Buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_addc(Buf *b, char c)
{
	buf_add(b, &c, 1);
}

void
buf_addf(Buf *b, const char *fmt,...)
{
	va_list		ap;
	int			n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
	{
		b->failed = true;
		return;
	}
	if (!buf_reserve(b, (size_t) n))
		return;
	va_start(ap, fmt);
	vsnprintf(b->data + b->len, (size_t) n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t) n;
}

const char *
buf_str(const Buf *b)
{
	return b->data ? b->data : "";
}

bool
str_copy(char *dst, size_t dstsize, const char *src)
{
	size_t		len = strlen(src);

	if (len >= dstsize)
	{
		dst[0] = '\0';
		return false;
	}
	memcpy(dst, src, len + 1);
	return true;
}
