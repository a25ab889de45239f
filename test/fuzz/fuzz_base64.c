/*-------------------------------------------------------------------------
 *
 * fuzz_base64.c
 *	  Encodings: whatever decodes must encode to the same text again, and
 *	  must be what OpenSSL decodes it to.
 *
 * test/fuzz/fuzz_base64.c
 *
 *-------------------------------------------------------------------------
 */
#include <openssl/evp.h>

#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *) data;
	Buf			plain = BUF_INIT;
	Buf			back = BUF_INIT;
	bool		good = base64_decode(&plain, text, size);

	if (good)
	{
		unsigned char *other = malloc(size + 3);
		int			n;

		/* OpenSSL counts the padding as zero bytes */
		fuzz_require(other != NULL);
		n = EVP_DecodeBlock(other, data, (int) size);
		fuzz_require(n >= (int) plain.len && n <= (int) plain.len + 2);
		fuzz_require(plain.len == 0 || memcmp(other, plain.data, plain.len) == 0);
		free(other);
		base64_encode(&back, plain.data, plain.len);
		fuzz_require(back.len == size && (size == 0 || memcmp(back.data, data, size) == 0));
	}
	else
		fuzz_require(plain.len == 0);

	/* any bytes survive a round trip */
	buf_reset(&plain);
	buf_reset(&back);
	base64_encode(&back, data, size);
	fuzz_require(base64_decode(&plain, buf_str(&back), back.len));
	fuzz_require(plain.len == size && (size == 0 || memcmp(plain.data, data, size) == 0));
	buf_reset(&plain);
	buf_reset(&back);
	hex_encode(&back, data, size);
	fuzz_require(hex_decode(&plain, buf_str(&back), back.len));
	fuzz_require(plain.len == size && (size == 0 || memcmp(plain.data, data, size) == 0));
	buf_reset(&plain);
	if (hex_decode(&plain, text, size))
		fuzz_require(plain.len == size / 2);
	buf_reset(&plain);
	percent_encode(&plain, text, size);
	fuzz_require(!plain.failed && plain.len >= size);
	buf_free(&plain);
	buf_free(&back);
	return 0;
}
