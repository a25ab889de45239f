/*-------------------------------------------------------------------------
 *
 * alipay_bill_trade.c
 *	  Alipay's bill of trades: payments and refunds.
 *
 * A refund's amounts are negative, and its number stands under the name of a
 * batch, which is what refunds once were made in.  A refund that was asked for
 * without a number has the order's, as in Alipay's queries.
 *
 * src/channel/alipay_bill_trade.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "channel/alipay_bill.h"

typedef enum TradeColumn
{
	AT_TRADE,
	AT_ORDER,
	AT_TYPE,
	AT_CREATED,
	AT_FINISHED,
	AT_AMOUNT,
	AT_RECEIVED,
	AT_REFUND_NO,
	AT_FEE
} TradeColumn;

static const BillColumn trade_columns[] = {
	[AT_TRADE] = {{"支付宝交易号"}, true},
	[AT_ORDER] = {{"商户订单号"}, true},
	[AT_TYPE] = {{"业务类型"}, true},
	[AT_CREATED] = {{"创建时间"}, true},
	[AT_FINISHED] = {{"完成时间"}, false},
	[AT_AMOUNT] = {{"订单金额（元）", "订单金额(元)"}, true},
	[AT_RECEIVED] = {{"商家实收（元）", "商家实收(元)"}, true},
	[AT_REFUND_NO] = {{"退款批次号/请求号", "退款批次号", "退款请求号"}, true},
	[AT_FEE] = {{"服务费（元）", "服务费(元)"}, false},
};

enum
{
	PAYMENTS,
	REFUNDS
};

static BillStep trade_row(AlipayBill *bill, const BillField *fields, BillLine *line,
						  ChannelError *err);

static const AlipayBillFormat trade_format = {
	.title = "支付宝业务明细",
	.other_title = "支付宝账务明细",
	.detail = "业务明细",
	.columns = trade_columns,
	.column_count = lengthof_array(trade_columns),
	.totals = {
		[PAYMENTS] = {"交易合计", false},
		[REFUNDS] = {"退款合计", false},
	},
	.has_refunds = true,
	.row = trade_row,
};

/* Of a refund, when it was paid; of the day that this is in. */
static BillStep
read_time(AlipayBill *bill, const BillField *fields, BillLine *line, ChannelError *err)
{
	const BillField *finished = alipay_bill_field(bill, fields, AT_FINISHED);
	int			column = finished->len > 0 ? AT_FINISHED : AT_CREATED;
	const BillField *field = alipay_bill_field(bill, fields, column);

	if (!bill_time(&bill->day, field, &line->occurred_at))
		return alipay_bill_wrong(bill, column, "is no time", err);
	bill_day_count(&bill->day, line->occurred_at, field->s);
	return BILL_LINE;
}

static BillStep
read_refund(AlipayBill *bill, const BillField *fields, int64_t amount, BillLine *line,
			ChannelError *err)
{
	const BillField *fee = alipay_bill_field(bill, fields, AT_FEE);
	BillTotals *totals = &bill->reader.totals;

	if (amount > 0)
		return alipay_bill_wrong(bill, AT_AMOUNT, "is positive, and the row is a refund", err);
	line->product = PRODUCT_REFUND;
	line->movement = BILL_PAID;
	line->amount = -amount;
	bill_copy_no(alipay_bill_field(bill, fields, AT_ORDER), line->payment_no,
				 sizeof(line->payment_no));
	bill_copy_no(alipay_bill_field(bill, fields, AT_TRADE), line->channel_payment_id,
				 sizeof(line->channel_payment_id));
	if (!bill_copy_no(alipay_bill_field(bill, fields, AT_REFUND_NO), line->wire_no,
					  sizeof(line->wire_no)) || line->wire_no[0] == '\0')
		memcpy(line->wire_no, line->payment_no, sizeof(line->wire_no));
	if (line->wire_no[0] == '\0' && line->channel_payment_id[0] == '\0')
		return alipay_bill_wrong(bill, AT_REFUND_NO, "is no number, nor is the trade's", err);

	/* what Alipay gives back is positive */
	line->has_fee = fee->len > 0 && bill_decimal(fee, 5, &line->fee);
	line->fee = -line->fee;
	totals->refunds++;
	if (!bill_add(&totals->amount, line->amount))
		return alipay_bill_wrong(bill, AT_AMOUNT, "is too large", err);
	return BILL_LINE;
}

static BillStep
trade_row(AlipayBill *bill, const BillField *fields, BillLine *line, ChannelError *err)
{
	char		word[ALIPAY_WORD_MAX + 1];
	int64_t		amount;
	int64_t		received;
	int			which;

	alipay_bill_word(bill, alipay_bill_field(bill, fields, AT_TYPE), word);
	which = strcmp(word, "交易") == 0 ? PAYMENTS : strcmp(word, "退款") == 0 ? REFUNDS : -1;
	if (which < 0)
		return alipay_bill_wrong(bill, AT_TYPE, "is neither 交易 nor 退款", err);
	if (!bill_decimal(alipay_bill_field(bill, fields, AT_AMOUNT), 2, &amount))
		return alipay_bill_wrong(bill, AT_AMOUNT, "is no amount", err);
	if (!bill_decimal(alipay_bill_field(bill, fields, AT_RECEIVED), 2, &received))
		return alipay_bill_wrong(bill, AT_RECEIVED, "is no amount", err);
	bill->counts[which]++;
	if (!bill_add(&bill->sums[which], received))
		return alipay_bill_wrong(bill, AT_RECEIVED, "is too large", err);
	if (read_time(bill, fields, line, err) == BILL_BAD)
		return BILL_BAD;
	if (which == PAYMENTS)
		return BILL_PAUSE;
	text_clip(line->code, sizeof(line->code), word);
	return read_refund(bill, fields, amount, line, err);
}

static bool
is_detail(const char *name)
{
	return alipay_bill_is_detail(name, trade_format.detail);
}

BillReader *
alipay_bill_trade_open(const BillInput *input, const BillExpected *expected, ChannelError *err)
{
	return alipay_bill_open(&trade_format, is_detail, input, expected, err);
}
