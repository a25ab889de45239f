/*-------------------------------------------------------------------------
 *
 * billkit.h
 *	  What the tests of bills share: files packed as channels pack them, and
 *	  a reader that reads them whole.
 *
 * test/unit/billkit.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_BILLKIT_H
#define REFUNDX_BILLKIT_H

#include <stdlib.h>

#include <zip.h>
#include <zlib.h>

#include "channel/bill.h"
#include "crypto/crypto.h"

#define BILLKIT_LINES	64

static const ChannelBill *kit_bill __attribute__((unused));
static BillExpected kit_expected __attribute__((unused)) = {
	.merchant = "", .day = "2026-11-27", .currency = "CNY", .hash = "",
	.max_size = 64 * 1024 * 1024
};

/* What came of the file read last. */
static BillLine kit_line[BILLKIT_LINES] __attribute__((unused));
static int	kit_line_count __attribute__((unused));
static BillTotals kit_totals __attribute__((unused));
static ChannelError kit_error __attribute__((unused));

static void __attribute__((unused))
kit_gzip(const void *data, size_t len, Buf *out)
{
	z_stream	z;
	char		piece[4096];
	int			status;

	memset(&z, 0, sizeof(z));
	if (deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		abort();
	z.next_in = (Bytef *) (uintptr_t) data;
	z.avail_in = (uInt) len;
	do
	{
		z.next_out = (Bytef *) piece;
		z.avail_out = sizeof(piece);
		status = deflate(&z, Z_FINISH);
		buf_add(out, piece, sizeof(piece) - z.avail_out);
	} while (status == Z_OK);
	deflateEnd(&z);
}

static void __attribute__((unused))
kit_hash(const char *algorithm, const void *data, size_t len, char out[BILL_HASH_MAX + 1])
{
	CryptoDigest *digest = crypto_digest_new(algorithm);
	char		hex[CRYPTO_DIGEST_HEX_MAX + 1];

	if (digest == NULL || !crypto_digest_add(digest, data, len) || !crypto_digest_hex(digest, hex))
		abort();
	snprintf(out, BILL_HASH_MAX + 1, "%s:%s", algorithm, hex);
	crypto_digest_free(digest);
}

/* Read to the end: BILL_END or BILL_BAD. */
static BillStep __attribute__((unused))
kit_read(const void *data, size_t len)
{
	BillInput	input = {data, -1, (int64_t) len};
	BillLine	line;
	BillReader *reader;
	BillStep	step;

	kit_line_count = 0;
	memset(&kit_totals, 0, sizeof(kit_totals));
	reader = kit_bill->open(&input, &kit_expected, &kit_error);
	if (reader == NULL)
		return BILL_BAD;
	while ((step = bill_next(reader, &line, &kit_error)) == BILL_LINE || step == BILL_PAUSE)
		if (step == BILL_LINE && kit_line_count < BILLKIT_LINES)
			kit_line[kit_line_count++] = line;
	if (step == BILL_END)
		kit_totals = *bill_totals(reader);
	bill_close(reader);
	return step;
}

static BillStep __attribute__((unused))
kit_read_text(const char *text)
{
	return kit_read(text, strlen(text));
}

/* It is refused, and the message says this. */
#define kit_refuses(data, len, part, name) \
	do { \
		is_int(kit_read((data), (len)), BILL_BAD, (name)); \
		has(kit_error.message, (part), (name)); \
	} while (0)

#define kit_refuses_text(text, part, name) kit_refuses((text), strlen(text), (part), (name))

#endif							/* REFUNDX_BILLKIT_H */
