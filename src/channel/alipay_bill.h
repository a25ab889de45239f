/*-------------------------------------------------------------------------
 *
 * alipay_bill.h
 *	  What the files about Alipay's bills share.
 *
 *	alipay_bill.c			a file's shape: comment lines, header, rows, totals
 *	alipay_bill_trade.c		the bill of trades
 *	alipay_bill_account.c	the bill of the account (signcustomer)
 *	alipay_bill_request.c	asking for one, and downloading it
 *
 * Private to src/channel/.  This header must not include postgres.h.
 *
 * src/channel/alipay_bill.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_ALIPAY_BILL_H
#define REFUNDX_ALIPAY_BILL_H

#include "channel/alipay.h"
#include "channel/bill_parts.h"

#define ALIPAY_BILL_OFFSET	(8 * 3600)	/* Beijing, all year */
#define ALIPAY_BILL_COLUMNS	16
#define ALIPAY_BILL_TOTALS	2
#define ALIPAY_WORD_MAX		64

typedef struct AlipayBill AlipayBill;

/* One line of totals at the end: what it begins with, and what was counted. */
typedef struct AlipayTotal
{
	const char *word;
	bool		either_sign;	/* the sum may be written with a minus or without */
} AlipayTotal;

/* What is special about one kind. */
typedef struct AlipayBillFormat
{
	const char *title;			/* in its first line */
	const char *other_title;	/* in that of the other kind */
	const char *detail;			/* in the name of the ZIP's entry */
	const BillColumn *columns;
	int			column_count;	/* at most ALIPAY_BILL_COLUMNS */
	AlipayTotal totals[ALIPAY_BILL_TOTALS];
	bool		has_refunds;
	bool		has_transfers;
	bool		ledger;

	/* A row: BILL_LINE, or BILL_PAUSE if it is none of ours, or BILL_BAD. */
	BillStep	(*row) (AlipayBill *bill, const BillField *fields, BillLine *line,
						ChannelError *err);
} AlipayBillFormat;

struct AlipayBill
{
	BillReader	reader;
	BillDay		day;
	BillLedger	ledger;			/* of the account's bill */
	const AlipayBillFormat *format;
	void	   *decoder;		/* NULL if the file is UTF-8 already */
	char		merchant[CHANNEL_MERCHANT_MAX + 1];
	int			at[ALIPAY_BILL_COLUMNS];
	int			columns;		/* that the header has */
	bool		titled;			/* its first line was the right one */
	int64_t		counts[ALIPAY_BILL_TOTALS];
	int64_t		sums[ALIPAY_BILL_TOTALS];	/* fen */
	bool		agreed[ALIPAY_BILL_TOTALS];
};

/* alipay_bill.c */
extern BillReader *alipay_bill_open(const AlipayBillFormat *format,
									bool (*wanted) (const char *name), const BillInput *input,
									const BillExpected *expected, ChannelError *err);

/* The field of a column; an empty one if this file does not have it. */
extern const BillField *alipay_bill_field(const AlipayBill *bill, const BillField *fields,
										  int column);

/* BILL_BAD: "line 12: ..." of a column, without what stands in it. */
extern BillStep alipay_bill_wrong(const AlipayBill *bill, int column, const char *what,
								  ChannelError *err);

/* A word of the channel's, as UTF-8; "" if it is none. */
extern void alipay_bill_word(const AlipayBill *bill, const BillField *field,
							 char out[ALIPAY_WORD_MAX + 1]);

/* Fen; an empty field is 0. */
extern bool alipay_bill_fen(const BillField *field, int64_t *out);

/* Whether an entry's name, in UTF-8, is that of the details and not of the summary. */
extern bool alipay_bill_is_detail(const char *name, const char *detail);

/* alipay_bill_trade.c, alipay_bill_account.c */
extern BillReader *alipay_bill_trade_open(const BillInput *input, const BillExpected *expected,
										  ChannelError *err);
extern BillReader *alipay_bill_account_open(const BillInput *input, const BillExpected *expected,
											ChannelError *err);

/* alipay_bill_request.c */
extern const struct ChannelBill *const alipay_bills[];

#endif							/* REFUNDX_ALIPAY_BILL_H */
