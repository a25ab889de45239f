/*-------------------------------------------------------------------------
 *
 * buf.h
 *	  A growable byte buffer on malloc, for the floors that know no Postgres.
 *
 * channel/, notice/, crypto/ and net/ are linked into the extension, into the
 * sandbox, into the unit tests and into the fuzzers alike, so they cannot use
 * palloc.  Nothing here ever throws: a buffer that could not grow (out of
 * memory, or past its limit) remembers that in `failed`, ignores whatever is
 * appended afterwards, and the caller looks once, at the end.
 *
 * This header must not include postgres.h.
 *
 * src/base/buf.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_BUF_H
#define REFUNDX_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Buf
{
	char	   *data;			/* NUL-terminated; NULL until first used */
	size_t		len;			/* bytes, without the NUL */
	size_t		cap;			/* bytes allocated */
	size_t		limit;			/* longest len allowed; 0 = BUF_DEFAULT_LIMIT */
	bool		failed;			/* something did not fit: contents unusable */
} Buf;

#define BUF_DEFAULT_LIMIT	((size_t) 16 * 1024 * 1024)
#define BUF_INIT			{NULL, 0, 0, 0, false}

extern void buf_init(Buf *b);
extern void buf_free(Buf *b);		/* also makes it ready for use again */
extern void buf_wipe(Buf *b);		/* buf_free, after overwriting: for keys */
extern void buf_reset(Buf *b);		/* empty, keeps the memory */
extern void buf_add(Buf *b, const void *data, size_t len);
extern void buf_adds(Buf *b, const char *s);
extern void buf_addc(Buf *b, char c);
extern void buf_addf(Buf *b, const char *fmt,...) __attribute__((format(printf, 2, 3)));
extern const char *buf_str(const Buf *b);	/* never NULL: "" when empty */

/* strlcpy with a verdict: false, and dst = "", when src does not fit. */
extern bool str_copy(char *dst, size_t dstsize, const char *src);

#endif							/* REFUNDX_BUF_H */
