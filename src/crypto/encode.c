/*-------------------------------------------------------------------------
 *
 * encode.c
 *	  Hex, base64 and percent encoding.
 *
 * OpenSSL's own base64 decoder skips white space and accepts lengths that
 * RFC 4648 forbids.  What we decode arrives unsigned from strangers, and two
 * spellings of one signature would be two messages, so the decoder here takes
 * exactly the canonical form and nothing else.
 *
 * Every function appends to its buffer.  A decoder that fails leaves the
 * buffer as it found it.
 *
 * src/crypto/encode.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "crypto/crypto.h"

static const char hex_lower[] = "0123456789abcdef";
static const char hex_upper[] = "0123456789ABCDEF";
static const char base64_alphabet[] =
"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int	hex_value(unsigned char c);
static int	base64_value(unsigned char c);
static void buf_truncate(Buf *b, size_t len);

/* Back to a former length; a failed buffer stays failed. */
static void
buf_truncate(Buf *b, size_t len)
{
	b->len = len;
	if (b->data)
		b->data[len] = '\0';
}

void
hex_encode(Buf *out, const void *data, size_t len)
{
	const unsigned char *p = data;
	size_t		i;

	for (i = 0; i < len; i++)
	{
		char		pair[2];

		pair[0] = hex_lower[p[i] >> 4];
		pair[1] = hex_lower[p[i] & 0x0f];
		buf_add(out, pair, 2);
	}
}

static int
hex_value(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
hex_decode(Buf *out, const char *s, size_t len)
{
	size_t		start = out->len;
	size_t		i;

	if (len % 2 != 0)
		return false;
	for (i = 0; i < len; i += 2)
	{
		int			hi = hex_value((unsigned char) s[i]);
		int			lo = hex_value((unsigned char) s[i + 1]);

		if (hi < 0 || lo < 0)
		{
			buf_truncate(out, start);
			return false;
		}
		buf_addc(out, (char) (hi << 4 | lo));
	}
	return !out->failed;
}

void
base64_encode(Buf *out, const void *data, size_t len)
{
	const unsigned char *p = data;
	char		quad[4];

	for (; len >= 3; len -= 3, p += 3)
	{
		quad[0] = base64_alphabet[p[0] >> 2];
		quad[1] = base64_alphabet[(p[0] & 0x03) << 4 | p[1] >> 4];
		quad[2] = base64_alphabet[(p[1] & 0x0f) << 2 | p[2] >> 6];
		quad[3] = base64_alphabet[p[2] & 0x3f];
		buf_add(out, quad, 4);
	}
	if (len == 0)
		return;
	quad[0] = base64_alphabet[p[0] >> 2];
	quad[1] = base64_alphabet[(p[0] & 0x03) << 4 | (len == 2 ? p[1] >> 4 : 0)];
	quad[2] = len == 2 ? base64_alphabet[(p[1] & 0x0f) << 2] : '=';
	quad[3] = '=';
	buf_add(out, quad, 4);
}

static int
base64_value(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	if (c == '/')
		return 63;
	return -1;
}

/*
 * Padding counts only at the very end, and the bits that it leaves unused
 * must be zero: "QQ==" is "A", "QR==" is nothing.
 */
bool
base64_decode(Buf *out, const char *s, size_t len)
{
	size_t		start = out->len;
	size_t		pad = 0;
	size_t		i;

	if (len % 4 != 0)
		return false;
	if (len > 0 && s[len - 1] == '=')
		pad = s[len - 2] == '=' ? 2 : 1;

	for (i = 0; i < len; i += 4)
	{
		int			want = (i + 4 == len) ? 4 - (int) pad : 4;
		uint32_t	bits = 0;
		unsigned char triple[3];
		int			j;

		for (j = 0; j < 4; j++)
		{
			int			v = j < want ? base64_value((unsigned char) s[i + j]) : 0;

			if (v < 0)
				goto malformed;
			bits = bits << 6 | (uint32_t) v;
		}
		if ((want == 2 && (bits & 0xffff) != 0) || (want == 3 && (bits & 0xff) != 0))
			goto malformed;
		triple[0] = (unsigned char) (bits >> 16);
		triple[1] = (unsigned char) (bits >> 8);
		triple[2] = (unsigned char) bits;
		buf_add(out, triple, (size_t) want - 1);
	}
	return !out->failed;

malformed:
	buf_truncate(out, start);
	return false;
}

void
percent_encode(Buf *out, const char *s, size_t len)
{
	size_t		i;

	for (i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) s[i];

		if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			c == '-' || c == '_' || c == '.' || c == '~')
			buf_addc(out, (char) c);
		else
		{
			char		escape[3] = {'%', hex_upper[c >> 4], hex_upper[c & 0x0f]};

			buf_add(out, escape, 3);
		}
	}
}
