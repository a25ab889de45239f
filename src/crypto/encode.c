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

/* A digit's value and one; 0 = none. */
static const uint8_t base64_values[256] = {
	['A'] = 1, ['B'] = 2, ['C'] = 3, ['D'] = 4, ['E'] = 5, ['F'] = 6, ['G'] = 7,
	['H'] = 8, ['I'] = 9, ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14,
	['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21,
	['V'] = 22, ['W'] = 23, ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28,
	['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35,
	['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42,
	['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49,
	['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
	['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63,
	['/'] = 64
};

static int	hex_value(unsigned char c);
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

/* Four digits as 24 bits; false if one of them is none. */
static bool
base64_quad(const char *s, uint32_t *bits)
{
	uint8_t		a = base64_values[(unsigned char) s[0]];
	uint8_t		b = base64_values[(unsigned char) s[1]];
	uint8_t		c = base64_values[(unsigned char) s[2]];
	uint8_t		d = base64_values[(unsigned char) s[3]];

	if (a == 0 || b == 0 || c == 0 || d == 0)
		return false;
	*bits = (uint32_t) (a - 1) << 18 | (uint32_t) (b - 1) << 12 |
		(uint32_t) (c - 1) << 6 | (uint32_t) (d - 1);
	return true;
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
	unsigned char bytes[192];
	size_t		n = 0;
	size_t		i;
	uint32_t	bits;

	if (len % 4 != 0)
		return false;
	if (len > 0 && s[len - 1] == '=')
		pad = s[len - 2] == '=' ? 2 : 1;

	for (i = 0; i + (pad ? 4 : 0) < len; i += 4)
	{
		if (!base64_quad(s + i, &bits))
			goto malformed;
		bytes[n++] = (unsigned char) (bits >> 16);
		bytes[n++] = (unsigned char) (bits >> 8);
		bytes[n++] = (unsigned char) bits;
		if (n == sizeof(bytes))
		{
			buf_add(out, bytes, n);
			n = 0;
		}
	}
	if (pad > 0)
	{
		char		quad[4] = {s[i], s[i + 1], pad == 2 ? 'A' : s[i + 2], 'A'};

		if (!base64_quad(quad, &bits) || (bits & (pad == 2 ? 0xffff : 0xff)) != 0)
			goto malformed;
		bytes[n++] = (unsigned char) (bits >> 16);
		if (pad == 1)
			bytes[n++] = (unsigned char) (bits >> 8);
	}
	buf_add(out, bytes, n);
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
