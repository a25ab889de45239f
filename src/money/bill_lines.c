/*-------------------------------------------------------------------------
 *
 * bill_lines.c
 *	  A bill's lines: out of the file, into the table.
 *
 * The channel's reader (src/channel) gives one line after the other, in bounded
 * memory, and says at the end whether the file's own checks hold.  Until then
 * nothing counts: lines are written as they come, and the transaction, or the
 * caller's subtransaction, is undone if the end does not come.
 *
 * The reader's memory is not Postgres': it is given back whatever happens.
 *
 * src/money/bill_lines.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/bill.h"

#include "base/clock.h"
#include "base/row_bulk.h"
#include "base/settings.h"
#include "base/shmem.h"

/* How often somebody who looks sees how far it has come, and who waits is told. */
#define SHOW_EVERY		10000
#define TELL_EVERY		500000

BillProgress *bill_progress = NULL;

/* in the order of the target's columns */
enum
{
	AT_BILL_ID, AT_LINE_NO, AT_ABOUT, AT_MOVEMENT, AT_WIRE_NO, AT_PAYMENT_NO, AT_CHANNEL_PAYMENT_ID,
	AT_CHANNEL_REFUND_ID, AT_AMOUNT, AT_PAYER_AMOUNT, AT_FEE, AT_RATE, AT_BALANCE, AT_BALANCE_CHANGE,
	AT_CURRENCY, AT_OCCURRED_AT, AT_CODE
};

static RowTarget bill_line = {"bill_line", {
	"bill_id", "line_no", "about", "movement", "wire_no", "payment_no", "channel_payment_id",
	"channel_refund_id", "amount", "payer_amount", "fee", "rate", "balance", "balance_change",
	"currency", "occurred_at", "code", NULL
}};

static void
write_line(RowBulk *rows, int64 bill_id, const BillOfDay *d, const BillLine *line)
{
	row_bulk_next(rows);
	row_bulk_value(rows, AT_BILL_ID, Int64GetDatum(bill_id));
	row_bulk_value(rows, AT_LINE_NO, Int32GetDatum((int32) line->line_no));
	row_bulk_text(rows, AT_ABOUT, product_name(line->product));
	row_bulk_text(rows, AT_MOVEMENT, bill_movement_name(line->movement));
	row_bulk_text(rows, AT_WIRE_NO, line->wire_no);
	row_bulk_text(rows, AT_PAYMENT_NO, line->payment_no);
	row_bulk_text(rows, AT_CHANNEL_PAYMENT_ID, line->channel_payment_id);
	row_bulk_text(rows, AT_CHANNEL_REFUND_ID, line->channel_refund_id);
	row_bulk_value(rows, AT_AMOUNT, Int64GetDatum(line->amount));
	if (line->has_payer_amount)
		row_bulk_value(rows, AT_PAYER_AMOUNT, Int64GetDatum(line->payer_amount));
	if (line->has_fee)
		row_bulk_value(rows, AT_FEE, Int64GetDatum(line->fee));
	if (line->has_rate)
		row_bulk_value(rows, AT_RATE, Int64GetDatum(line->rate));
	if (line->has_balance)
		row_bulk_value(rows, AT_BALANCE, Int64GetDatum(line->balance));
	if (line->has_balance || line->balance_change != 0)
		row_bulk_value(rows, AT_BALANCE_CHANGE, Int64GetDatum(line->balance_change));
	row_bulk_text(rows, AT_CURRENCY, line->currency[0] ? line->currency : d->currency);
	if (line->occurred_at != 0)
		row_bulk_value(rows, AT_OCCURRED_AT, TimestampTzGetDatum(unix_us_to_timestamptz(line->occurred_at)));
	row_bulk_text(rows, AT_CODE, line->code);
}

static void
show_progress(const BillOfDay *d, int64 n, bool tell)
{
	CHECK_FOR_INTERRUPTS();
	if (bill_progress != NULL)
		pg_atomic_write_u64(&bill_progress->done, (uint64) n);
	if (tell && n % TELL_EVERY == 0)
		ereport(NOTICE, (errmsg("%s: " INT64_FORMAT " lines read", bill_day_words(d), n)));
}

/* True at the file's end, if all its checks hold. */
static bool
read_lines(const BillOfDay *d, BillReader *reader, int64 bill_id, bool tell, BillTotals *totals, ChannelError *err)
{
	RowBulk    *rows = bill_id != 0 ? row_bulk_begin(&bill_line) : NULL;
	BillLine	line;
	BillStep	step;
	int64		n = 0;

	while ((step = bill_next(reader, &line, err)) == BILL_LINE || step == BILL_PAUSE)
	{
		if (step == BILL_PAUSE)
		{
			show_progress(d, n, false);
			continue;
		}
		if (line.line_no < 1 || line.line_no > PG_INT32_MAX)
		{
			strlcpy(err->message, "it has too many lines", sizeof(err->message));
			step = BILL_BAD;
			break;
		}
		if (rows != NULL)
			write_line(rows, bill_id, d, &line);
		if (++n % SHOW_EVERY == 0)
			show_progress(d, n, tell);
	}
	if (step == BILL_BAD)
		return false;			/* what was written is undone, and freed, by the caller */
	if (rows != NULL)
		(void) row_bulk_end(rows);
	*totals = *bill_totals(reader);
	return true;
}

bool
bill_read(const BillOfDay *d, const BillInput *input, const char *announced_hash,
		  int64 bill_id, bool tell, BillTotals *totals, ChannelError *err)
{
	BillExpected expected = {
		.merchant = d->merchant_no,
		.day = d->day_text,
		.currency = d->currency,
		.hash = announced_hash ? announced_hash : "",
		.max_size = (int64) rx_bill_max_size * 1024 * 1024
	};
	BillReader *reader;
	volatile bool good = false;

	memset(err, 0, sizeof(*err));
	reader = d->how->open(input, &expected, err);
	if (reader == NULL)
		return false;
	if (bill_progress != NULL)
	{
		pg_atomic_write_u64(&bill_progress->done, 0);
		pg_atomic_write_u64(&bill_progress->bill_id, (uint64) bill_id);
	}
	PG_TRY();
	{
		good = read_lines(d, reader, bill_id, tell, totals, err);
	}
	PG_FINALLY();
	{
		bill_close(reader);
		if (bill_progress != NULL)
			pg_atomic_write_u64(&bill_progress->bill_id, 0);
	}
	PG_END_TRY();
	return good;
}
