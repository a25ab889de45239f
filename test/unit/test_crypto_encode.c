/*-------------------------------------------------------------------------
 *
 * test_crypto_encode.c
 *	  Hex, base64 and percent encoding: vectors of RFC 4648 and RFC 3986, and
 *	  everything that a strict decoder has to refuse.
 *
 * test/unit/test_crypto_encode.c
 *
 *-------------------------------------------------------------------------
 */
#include "crypto/crypto.h"
#include "unit.h"

static void
base64_pair(const char *plain, const char *encoded)
{
	Buf			b = BUF_INIT;

	base64_encode(&b, plain, strlen(plain));
	is_str(buf_str(&b), encoded, "base64_encode");
	buf_reset(&b);
	ok(base64_decode(&b, encoded, strlen(encoded)), "base64_decode(\"%s\")", encoded);
	is_mem(buf_str(&b), b.len, plain, strlen(plain), "round trip");
	buf_free(&b);
}

static void
base64_refused(const char *s, size_t len, const char *why)
{
	Buf			b = BUF_INIT;

	buf_adds(&b, "before");
	ok(!base64_decode(&b, s, len), "base64 refused: %s", why);
	is_str(buf_str(&b), "before", "and the buffer is as it was");
	buf_free(&b);
}

static void
test_base64(void)
{
	unsigned char all[256];
	Buf			text = BUF_INIT;
	Buf			back = BUF_INIT;
	int			i;

	/* RFC 4648, section 10 */
	base64_pair("", "");
	base64_pair("f", "Zg==");
	base64_pair("fo", "Zm8=");
	base64_pair("foo", "Zm9v");
	base64_pair("foob", "Zm9vYg==");
	base64_pair("fooba", "Zm9vYmE=");
	base64_pair("foobar", "Zm9vYmFy");

	for (i = 0; i < 256; i++)
		all[i] = (unsigned char) i;
	base64_encode(&text, all, sizeof(all));
	ok(base64_decode(&back, buf_str(&text), text.len), "all byte values decode");
	is_mem(buf_str(&back), back.len, all, sizeof(all), "all byte values survive");
	buf_free(&text);
	buf_free(&back);

	base64_refused("Zg", 2, "no padding");
	base64_refused("Zg=", 3, "half the padding");
	base64_refused("Z===", 4, "three pads");
	base64_refused("====", 4, "only pads");
	base64_refused("=", 1, "one pad");
	base64_refused("Zg==Zg==", 8, "padding in the middle");
	base64_refused("Zm9=Zm9v", 8, "one pad in the middle");
	base64_refused("Zh==", 4, "unused bits set, two pads");
	base64_refused("Zm9=", 4, "unused bits set, one pad");
	base64_refused("Zm 9", 4, "white space");
	base64_refused("Zm9v\n", 5, "a newline at the end");
	base64_refused("Zm9v\r\n\r\n", 8, "newlines to a multiple of four");
	base64_refused("Zm9-", 4, "the URL alphabet");
	base64_refused("Zm9_", 4, "the URL alphabet");
	base64_refused("Zm\0v", 4, "a NUL");
	base64_refused("Zm\xc3\xa9", 4, "not ASCII");
	base64_refused("Z=9v", 4, "a pad within the quantum");
	base64_refused("Zg=A", 4, "a letter after the pad");
}

static void
test_hex(void)
{
	Buf			b = BUF_INIT;

	hex_encode(&b, "\x00\x0f\xf0\xff", 4);
	is_str(buf_str(&b), "000ff0ff", "hex_encode");
	buf_reset(&b);
	ok(hex_decode(&b, "000fF0Ff", 8), "hex_decode takes both cases");
	is_mem(buf_str(&b), b.len, "\x00\x0f\xf0\xff", 4, "and gives the bytes");
	ok(!hex_decode(&b, "abc", 3), "an odd length is refused");
	ok(!hex_decode(&b, "abcg", 4), "a letter beyond f is refused");
	ok(!hex_decode(&b, "ab c", 4), "a space is refused");
	is_mem(buf_str(&b), b.len, "\x00\x0f\xf0\xff", 4, "and nothing was appended");
	buf_free(&b);
}

static void
test_percent(void)
{
	Buf			b = BUF_INIT;

	percent_encode(&b, "AZaz09-_.~", 10);
	is_str(buf_str(&b), "AZaz09-_.~", "unreserved characters stay");
	buf_reset(&b);
	percent_encode(&b, "a|b*c@d/e f%", 12);
	is_str(buf_str(&b), "a%7Cb%2Ac%40d%2Fe%20f%25", "everything else is escaped, upper case");
	buf_reset(&b);
	percent_encode(&b, "\xe9\x80\x80\0", 4);
	is_str(buf_str(&b), "%E9%80%80%00", "bytes, not characters");
	buf_free(&b);
}

int
main(void)
{
	test_base64();
	test_hex();
	test_percent();
	return unit_done();
}
