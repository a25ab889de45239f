/*-------------------------------------------------------------------------
 *
 * wechat_bill.h
 *	  What the files about WeChat Pay's bills share.
 *
 *	wechat_bill.c			a file's shape: header, rows, summary
 *	wechat_bill_trade.c		the trade bill (4013071246)
 *	wechat_bill_fund.c		the fund bills (4013071249)
 *	wechat_bill_request.c	asking for one, and downloading it
 *
 * Private to src/channel/.  This header must not include postgres.h.
 *
 * src/channel/wechat_bill.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_WECHAT_BILL_H
#define REFUNDX_WECHAT_BILL_H

#include "channel/bill_parts.h"
#include "channel/wechat.h"

#define WECHAT_BILL_OFFSET	(8 * 3600)	/* Beijing, all year */
#define WECHAT_BILL_COLUMNS	24

typedef struct WechatBill WechatBill;

/* What is special about one kind. */
typedef struct WechatBillFormat
{
	const BillColumn *columns;
	int			column_count;	/* at most WECHAT_BILL_COLUMNS */
	const BillColumn *summary;	/* columns of the last row */
	int			summary_count;
	bool		ledger;

	/* What the header says about the file as a whole. */
	bool		(*header) (WechatBill *bill, ChannelError *err);

	/* A row: BILL_LINE, or BILL_PAUSE if it is none of ours, or BILL_BAD. */
	BillStep	(*row) (WechatBill *bill, const BillField *fields, BillLine *line,
						ChannelError *err);

	/* The summary row against what was counted; at[] as in summary. */
	bool		(*sums) (WechatBill *bill, const BillField *fields, const int *at,
						 ChannelError *err);
} WechatBillFormat;

#define WECHAT_BILL_SUMS	8

struct WechatBill
{
	BillReader	reader;
	BillDay		day;
	BillLedger	ledger;			/* of fund bills */
	const WechatBillFormat *format;
	char		merchant[CHANNEL_MERCHANT_MAX + 1];
	int			at[WECHAT_BILL_COLUMNS];
	int			columns;		/* that the header has */
	int64_t		sums[WECHAT_BILL_SUMS]; /* a format's own */
};

/* wechat_bill.c */
extern BillReader *wechat_bill_open(const WechatBillFormat *format, const BillInput *input,
									const BillExpected *expected, ChannelError *err);

/* The field of a column, or NULL if this file does not have it. */
extern const BillField *wechat_bill_field(const WechatBill *bill, const BillField *fields,
										  int column);

/* BILL_BAD: "line 12: ..." of a column, without what stands in it. */
extern BillStep wechat_bill_wrong(const WechatBill *bill, int column, const char *what,
								  ChannelError *err);

/* Fen, exactly; in thousandths of a fen for fees. */
extern bool wechat_bill_fen(const BillField *field, int64_t *out);
extern bool wechat_bill_fine(const BillField *field, int64_t *out);

/* One of the summary's numbers, which may be written as "45.0". */
extern bool wechat_bill_agrees(const WechatBill *bill, const BillField *fields, int at,
							   const char *name, int64_t counted, int places, ChannelError *err);

/* wechat_bill_trade.c, wechat_bill_fund.c */
extern BillReader *wechat_bill_trade_open(const BillInput *input, const BillExpected *expected,
										  ChannelError *err);
extern BillReader *wechat_bill_basic_open(const BillInput *input, const BillExpected *expected,
										  ChannelError *err);
extern BillReader *wechat_bill_operation_open(const BillInput *input,
											  const BillExpected *expected, ChannelError *err);

/* wechat_bill_request.c */
extern const struct ChannelBill *const wechat_bills[];

#endif							/* REFUNDX_WECHAT_BILL_H */
