/*-------------------------------------------------------------------------
 *
 * bill_lines.c
 *	  A bill's lines: bounded, counted, and hashed on the way.
 *
 * One buffer holds what was unpacked and not yet handed out.  It is as long as
 * a piece and the longest line together, so that memory stays the same
 * whatever the file's size is, and whatever it claims to be.
 *
 * src/channel/bill_lines.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "channel/bill_parts.h"
#include "crypto/crypto.h"

#define PIECE		((size_t) 256 * 1024)

static const char byte_order_mark[] = "\xef\xbb\xbf";

static bool lines_refill(BillLines *lines, ChannelError *err);

bool
bill_lines_open(BillLines *lines, BillSource *source, const BillInput *input,
				const BillExpected *expected, const char *algorithm, size_t line_max,
				ChannelError *err)
{
	const char *hash = expected->hash ? expected->hash : "";
	const char *colon = strchr(hash, ':');

	memset(lines, 0, sizeof(*lines));
	lines->source = source;
	if (source == NULL)
		return false;
	if (!str_copy(lines->announced, sizeof(lines->announced), hash) ||
		(colon != NULL && (size_t) (colon - hash) >= sizeof(lines->algorithm)))
		return channel_error(err, NULL, "the announced hash is none that is known");
	str_copy(lines->algorithm, sizeof(lines->algorithm), algorithm);
	if (colon != NULL)
	{
		memcpy(lines->algorithm, hash, (size_t) (colon - hash));
		lines->algorithm[colon - hash] = '\0';
	}
	lines->line_max = line_max > 0 ? line_max : BILL_LINE_MAX;
	lines->cap = PIECE + lines->line_max;
	lines->packed = input->size;
	lines->max_size = expected->max_size;
	lines->digest = crypto_digest_new(lines->algorithm);
	if (lines->digest == NULL)
		return channel_error(err, "It is \"sha1:\" or \"sha256:\" and hexadecimal digits.",
							 "the file's hash cannot be made by \"%s\"", lines->algorithm);
	lines->buf = malloc(lines->cap + 1);
	if (lines->buf == NULL)
		return channel_error(err, NULL, "there is not enough memory to read the file");
	return true;
}

void
bill_lines_close(BillLines *lines)
{
	if (lines->source != NULL)
		lines->source->close(lines->source);
	crypto_digest_free(lines->digest);
	free(lines->buf);
	memset(lines, 0, sizeof(*lines));
}

/* Read one more piece behind what is left; its size and shape are looked at first. */
static bool
lines_refill(BillLines *lines, ChannelError *err)
{
	int64_t		n;

	memmove(lines->buf, lines->buf + lines->at, lines->filled - lines->at);
	lines->filled -= lines->at;
	lines->at = 0;
	n = lines->source->read(lines->source, lines->buf + lines->filled, lines->cap - lines->filled,
							err);
	if (n < 0)
		return false;
	lines->at_end = n == 0;
	lines->size += n;
	if (lines->size > lines->max_size)
		return channel_error(err, "If the bill is really that large, raise the limit and load it again.",
							 "the file unpacks to more than the %lld bytes that are allowed",
							 (long long) lines->max_size);
	if (lines->size > BILL_RATIO_FREE && lines->size / BILL_RATIO_MAX > lines->packed)
		return channel_error(err, "No bill packs that well: it is made to fill memory or disk.",
							 "the file of %lld bytes unpacks to more than %lld",
							 (long long) lines->packed, (long long) lines->size);
	if (!crypto_digest_add(lines->digest, lines->buf + lines->filled, (size_t) n))
		return channel_error(err, NULL, "the file's hash could not be made");
	if (lines->filled == 0 && lines->size == n && n >= 3 &&
		memcmp(lines->buf, byte_order_mark, 3) == 0)
	{
		lines->at = 3;
		lines->marked = true;
	}
	lines->filled += (size_t) n;
	return true;
}

BillStep
bill_lines_next(BillLines *lines, char **line, size_t *len, ChannelError *err)
{
	char	   *end;
	size_t		searched = 0;
	size_t		left;

	for (;;)
	{
		left = lines->filled - lines->at;
		end = left > searched ? memchr(lines->buf + lines->at + searched, '\n', left - searched) : NULL;
		if (end != NULL || lines->at_end || left > lines->line_max)
			break;
		searched = left;
		if (!lines_refill(lines, err))
			return BILL_BAD;
	}
	if (end == NULL && left == 0)
		return BILL_END;
	*line = lines->buf + lines->at;
	*len = end != NULL ? (size_t) (end - *line) : left;
	if (*len > lines->line_max)
		return bill_bad(err, BILL_AGAIN_HINT, "line %lld has more than %lu bytes",
						(long long) lines->line_no + 1, (unsigned long) lines->line_max);
	lines->at += *len + (end != NULL);
	if (++lines->line_no > BILL_LINES_MAX)
		return bill_bad(err, NULL, "the file has more than %lld lines", (long long) BILL_LINES_MAX);
	if (*len > 0 && (*line)[*len - 1] == '\r')
		(*len)--;
	(*line)[*len] = '\0';
	return BILL_LINE;
}

/* Upper or lower case: channels differ, and the bytes are the same. */
bool
bill_lines_finish(BillLines *lines, BillTotals *totals, ChannelError *err)
{
	char		hex[CRYPTO_DIGEST_HEX_MAX + 1];
	const char *announced = strchr(lines->announced, ':');

	if (!crypto_digest_hex(lines->digest, hex))
		return channel_error(err, NULL, "the file's hash could not be made");
	totals->size = lines->size;
	str_copy(totals->hash, sizeof(totals->hash), lines->algorithm);
	memcpy(totals->hash + strlen(totals->hash), ":", 2);
	memcpy(totals->hash + strlen(totals->hash), hex, strlen(hex) + 1);
	if (lines->announced[0] == '\0')
		return true;
	announced = announced != NULL ? announced + 1 : lines->announced;
	if (strcasecmp(announced, hex) == 0)
		return true;
	return channel_error(err, BILL_AGAIN_HINT, "the file has the %s %s, and %.64s was announced",
						 lines->algorithm, hex, announced);
}
