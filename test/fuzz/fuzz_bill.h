/*-------------------------------------------------------------------------
 *
 * fuzz_bill.h
 *	  What the fuzz targets of bills share: a file read to its end, and what
 *	  holds for whatever comes of it.
 *
 * test/fuzz/fuzz_bill.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_FUZZ_BILL_H
#define REFUNDX_FUZZ_BILL_H

#include "fuzz.h"

#include "channel/bill_parts.h"

static void __attribute__((unused))
fuzz_check_line(const BillLine *line)
{
	fuzz_require_text(line->wire_no);
	fuzz_require_text(line->payment_no);
	fuzz_require_text(line->channel_payment_id);
	fuzz_require_text(line->channel_refund_id);
	fuzz_require_text(line->currency);
	fuzz_require_text(line->code);
	fuzz_require(line->line_no > 0 && line->amount >= 0 && line->payer_amount >= 0);
	fuzz_require((int) line->movement >= 0 && line->movement < BILL_MOVEMENT_COUNT);
	fuzz_require((int) line->product >= 0 && line->product < PRODUCT_COUNT);
	fuzz_require(strlen(line->currency) == 3);
	fuzz_require(utf8_valid(line->code, strlen(line->code)));
}

/* A refused file says why, in a message that a database takes. */
static void __attribute__((unused))
fuzz_check_refused(const ChannelError *err)
{
	fuzz_require_text(err->message);
	fuzz_require_text(err->hint);
	fuzz_require(err->message[0] != '\0' && utf8_valid(err->message, strlen(err->message)));
	fuzz_require(strpbrk(err->message, "\r\n\t\033") == NULL);
}

static void __attribute__((unused))
fuzz_read_bill(const ChannelBill *bill, const uint8_t *data, size_t size)
{
	static const BillExpected expected = {"1900000100", "2026-11-27", "CNY", "", 4 * 1024 * 1024};
	BillInput	input = {data, -1, (int64_t) size};
	BillLine	line;
	BillReader *reader;
	BillStep	step;
	ChannelError err;
	const BillTotals *totals;
	int64_t		count = 0;

	reader = bill->open(&input, &expected, &err);
	if (reader == NULL)
	{
		fuzz_check_refused(&err);
		return;
	}
	while ((step = bill_next(reader, &line, &err)) == BILL_LINE || step == BILL_PAUSE)
	{
		fuzz_require(bill_totals(reader) == NULL);
		if (step != BILL_LINE)
			continue;
		fuzz_check_line(&line);
		count++;
	}
	totals = bill_totals(reader);
	fuzz_require(bill_next(reader, &line, &err) == step);
	fuzz_require(bill_position(reader) >= 0 && bill_position(reader) <= (int64_t) size);
	if (step == BILL_BAD)
	{
		fuzz_check_refused(&err);
		fuzz_require(totals == NULL);
	}
	else
	{
		fuzz_require(totals != NULL && totals->lines >= count && totals->refunds <= count);
		fuzz_require(totals->amount >= 0 && totals->in >= 0 && totals->out >= 0);
		fuzz_require(totals->hash[0] != '\0' && totals->size <= expected.max_size);
	}
	bill_close(reader);
}

#endif							/* REFUNDX_FUZZ_BILL_H */
