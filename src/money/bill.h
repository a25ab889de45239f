/*-------------------------------------------------------------------------
 *
 * bill.h
 *	  The bills of the channels, as rows.
 *
 * src/money/bill.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_MONEY_BILL_H
#define REFUNDX_MONEY_BILL_H

#include "base/shmem.h"
#include "base/sql.h"
#include "channel/bill.h"
#include "utils/date.h"

#define BILL_CHUNK_BYTES	(1024 * 1024)

/* One day's bill of a merchant: what it is called, and how it is read. */
typedef struct BillOfDay
{
	const ChannelBill *how;
	int32		channel_id;
	int32		merchant_id;
	char	   *channel;		/* its name */
	char	   *merchant_no;
	char	   *currency;		/* of lines that say none */
	DateADT		day;
	char		day_text[BILL_DAY_LEN + 1];
} BillOfDay;

/* The row that stands for the day; locked. */
typedef struct BillRow
{
	int64		bill_id;
	char	   *state;
	char	   *hash;			/* NULL: no file of it was read */
	bool		has_file;
} BillRow;

/* bill.c: with SPI connected */

/* ERROR 22023, RX008, RX035 if there is no such bill. */
extern void bill_day_named(BillOfDay *d, const char *channel, const char *kind, DateADT day);

/* Of a row.  False if the channel or the kind is not there any more. */
extern bool bill_day_of(BillOfDay *d, int64 bill_id);

/* For messages: "trade" bill of channel "wx" for 2026-11-26. */
extern const char *bill_day_words(const BillOfDay *d);

/* The day's row, made if there is none; nobody else has it until we commit. */
extern void bill_lock_day(const BillOfDay *d, BillRow *row);

/* A row for a file that has come for the day, where `row` has one already. */
extern int64 bill_row_new(const BillOfDay *d);
extern void bill_supersede(const BillOfDay *d, const BillRow *old, int64 by);
extern void bill_set_loaded(int64 bill_id, const BillOfDay *d, const BillTotals *totals, const char *source);
extern void bill_set_person(int64 bill_id, const BillOfDay *d, const ChannelError *err);

/*
 * bill_lines.c: read the file; its lines become rows if `bill_id` is not 0.  After
 * false the caller undoes its (sub)transaction.  Where others see how far it is, if
 * bill_progress is set.
 */
extern BillProgress *bill_progress;
extern bool bill_read(const BillOfDay *d, const BillInput *input, const char *announced_hash,
					  int64 bill_id, bool tell, BillTotals *totals, ChannelError *err);

/* bill_file.c: the file in pieces. */
extern void bill_file_keep(int64 bill_id, const BillInput *input);
extern void bill_file_open(int64 bill_id, BillInput *out);	/* close the descriptor */

/*
 * bill_load.c: read what was fetched, in the clerk.  In a transaction of its own: it
 * may undo a part of it.  A bad file goes to a person, which is no ERROR.
 */
extern void bill_load_fetched(int64 bill_id);

#endif							/* REFUNDX_MONEY_BILL_H */
