/*-------------------------------------------------------------------------
 *
 * unit.h
 *	  A tiny harness for unit tests: TAP lines, a plan, an exit status.
 *
 * Each test/unit/test_*.c is a program.  Its checks print one TAP line each;
 * unit_done() prints the plan and gives main() its exit status.  A check that
 * fails says what it got, and the program goes on.
 *
 *		int
 *		main(void)
 *		{
 *			is_int(1 + 1, 2, "sums");
 *			return unit_done();
 *		}
 *
 * test/unit/unit.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_UNIT_H
#define REFUNDX_UNIT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int	unit_count = 0;
static int	unit_failed = 0;

static bool unit_ok(bool good, const char *file, int line, const char *fmt,...)
			__attribute__((format(printf, 4, 5), unused));
static bool unit_is_int(int64_t got, int64_t want, const char *file, int line, const char *name)
			__attribute__((unused));
static bool unit_is_str(const char *got, const char *want, const char *file, int line,
						const char *name) __attribute__((unused));
static bool unit_has(const char *got, const char *part, bool wanted, const char *file, int line,
					 const char *name) __attribute__((unused));
static bool unit_is_mem(const void *got, size_t gotlen, const void *want, size_t wantlen,
						const char *file, int line, const char *name) __attribute__((unused));
static int	unit_done(void) __attribute__((unused));

/* The name is printf's: ok(x == 3, "row %d", i). */
#define ok(good, ...)			unit_ok((good), __FILE__, __LINE__, __VA_ARGS__)
#define is_int(got, want, name) unit_is_int((int64_t) (got), (int64_t) (want), __FILE__, __LINE__, (name))
#define is_str(got, want, name) unit_is_str((got), (want), __FILE__, __LINE__, (name))
#define has(got, part, name)	unit_has((got), (part), true, __FILE__, __LINE__, (name))
#define lacks(got, part, name)	unit_has((got), (part), false, __FILE__, __LINE__, (name))
#define is_mem(got, gotlen, want, wantlen, name) \
	unit_is_mem((got), (gotlen), (want), (wantlen), __FILE__, __LINE__, (name))

static bool
unit_ok(bool good, const char *file, int line, const char *fmt,...)
{
	va_list		ap;

	unit_count++;
	printf("%s %d - ", good ? "ok" : "not ok", unit_count);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	if (!good)
	{
		unit_failed++;
		printf("#   failed at %s:%d\n", file, line);
	}
	fflush(stdout);
	return good;
}

static bool
unit_is_int(int64_t got, int64_t want, const char *file, int line, const char *name)
{
	if (unit_ok(got == want, file, line, "%s", name))
		return true;
	printf("#   got %lld, wanted %lld\n", (long long) got, (long long) want);
	return false;
}

static bool
unit_is_str(const char *got, const char *want, const char *file, int line, const char *name)
{
	bool		same = got == NULL || want == NULL ? got == want : strcmp(got, want) == 0;

	if (unit_ok(same, file, line, "%s", name))
		return true;
	printf("#   got    %s\n#   wanted %s\n", got ? got : "(null)", want ? want : "(null)");
	return false;
}

static bool
unit_has(const char *got, const char *part, bool wanted, const char *file, int line,
		 const char *name)
{
	if (unit_ok((got != NULL && strstr(got, part) != NULL) == wanted, file, line, "%s", name))
		return true;
	printf("#   got %s\n#   which %s %s\n", got ? got : "(null)",
		   wanted ? "lacks" : "contains", part);
	return false;
}

static bool
unit_is_mem(const void *got, size_t gotlen, const void *want, size_t wantlen,
			const char *file, int line, const char *name)
{
	size_t		i;
	const unsigned char *g = got;

	if (unit_ok(gotlen == wantlen && (gotlen == 0 || memcmp(got, want, gotlen) == 0),
				file, line, "%s", name))
		return true;
	printf("#   got %lu bytes, wanted %lu:", (unsigned long) gotlen, (unsigned long) wantlen);
	for (i = 0; i < gotlen && i < 64; i++)
		printf(" %02x", g[i]);
	printf("\n");
	return false;
}

/* A test without checks has not passed. */
static int
unit_done(void)
{
	printf("1..%d\n", unit_count);
	if (unit_failed > 0)
		printf("# %d of %d failed\n", unit_failed, unit_count);
	return unit_failed > 0 || unit_count == 0;
}

#endif							/* REFUNDX_UNIT_H */
