/*-------------------------------------------------------------------------
 *
 * wechat_bill_trade.c
 *	  WeChat Pay's trade bill: payments and refunds (4013071246).
 *
 * It is asked for with refunds only; ALL and SUCCESS, and the names that the
 * columns had in earlier years, are read likewise.  A refund stands in the
 * bill of the day on which WeChat took it on, with the state that it had when
 * the bill was made, and never again in a later one.
 *
 * src/channel/wechat_bill_trade.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "channel/wechat_bill.h"

typedef enum TradeColumn
{
	AT_TIME,
	AT_ASKED,
	AT_SUCCEEDED,
	AT_MERCHANT,
	AT_TRANSACTION,
	AT_ORDER,
	AT_STATE,
	AT_CURRENCY,
	AT_SETTLED,
	AT_REFUND_ID,
	AT_REFUND_NO,
	AT_REFUNDED,
	AT_COUPON,
	AT_REFUND_STATE,
	AT_FEE,
	AT_RATE,
	AT_TOTAL,
	AT_APPLIED
} TradeColumn;

static const BillColumn trade_columns[] = {
	[AT_TIME] = {{"交易时间"}, true},
	[AT_ASKED] = {{"退款申请时间"}, false},
	[AT_SUCCEEDED] = {{"退款成功时间"}, false},
	[AT_MERCHANT] = {{"商户号"}, false},
	[AT_TRANSACTION] = {{"微信订单号"}, true},
	[AT_ORDER] = {{"商户订单号"}, true},
	[AT_STATE] = {{"交易状态"}, true},
	[AT_CURRENCY] = {{"货币种类"}, false},
	[AT_SETTLED] = {{"应结订单金额", "总金额"}, true},
	[AT_REFUND_ID] = {{"微信退款单号"}, false},
	[AT_REFUND_NO] = {{"商户退款单号"}, false},
	[AT_REFUNDED] = {{"退款金额"}, false},
	[AT_COUPON] = {{"充值券退款金额", "代金券或立减优惠退款金额", "企业红包退款金额"}, false},
	[AT_REFUND_STATE] = {{"退款状态"}, false},
	[AT_FEE] = {{"手续费"}, false},
	[AT_RATE] = {{"费率"}, false},
	[AT_TOTAL] = {{"订单金额"}, false},
	[AT_APPLIED] = {{"申请退款金额"}, false},
};

/* The summary's columns, and which column of the rows each is the sum of. */
static const BillColumn summary_columns[] = {
	{{"总交易单数"}, true},
	{{"应结订单总金额", "总交易额", "总金额"}, true},
	{{"退款总金额", "总退款金额"}, false},
	{{"充值券退款总金额", "总代金券或立减优惠退款金额", "总企业红包退款金额"}, false},
	{{"手续费总金额"}, false},
	{{"订单总金额"}, false},
	{{"申请退款总金额"}, false},
};

static const TradeColumn summed[] = {
	AT_TIME,					/* of the first, it is their number */
	AT_SETTLED, AT_REFUNDED, AT_COUPON, AT_FEE, AT_TOTAL, AT_APPLIED
};

/* What a refund's state in the bill says of it; what is not listed proves nothing. */
static const struct
{
	const char *word;
	BillMovement movement;
}			states[] = {
	{"SUCCESS", BILL_PAID},
	{"PROCESSING", BILL_UNDER_WAY},
	{"CHANGE", BILL_ABNORMAL},
	{"FAIL", BILL_FAILED},
};

static bool trade_header(WechatBill *bill, ChannelError *err);
static BillStep trade_row(WechatBill *bill, const BillField *fields, BillLine *line,
						  ChannelError *err);
static bool trade_sums(WechatBill *bill, const BillField *fields, const int *at,
					   ChannelError *err);

static const WechatBillFormat trade_format = {
	.columns = trade_columns,
	.column_count = lengthof_array(trade_columns),
	.summary = summary_columns,
	.summary_count = lengthof_array(summary_columns),
	.ledger = false,
	.header = trade_header,
	.row = trade_row,
	.sums = trade_sums,
};

/* Refunds are said by all their columns, or (SUCCESS) not at all. */
static bool
trade_header(WechatBill *bill, ChannelError *err)
{
	static const TradeColumn needed[] = {AT_REFUND_ID, AT_REFUND_NO, AT_REFUNDED, AT_REFUND_STATE};
	size_t		i;
	size_t		there = 0;

	for (i = 0; i < lengthof_array(needed); i++)
		there += bill->at[needed[i]] >= 0;
	bill->reader.totals.has_refunds = there == lengthof_array(needed);
	if (there == 0 || bill->reader.totals.has_refunds)
		return true;
	return channel_error(err, "It is in a layout that is not known.",
						 "the file has %d of the four columns that say which refunds there were",
						 (int) there);
}

/* ---- rows ---- */

/* Every row adds to the sums, whatever it is. */
static BillStep
add_row(WechatBill *bill, const BillField *fields, ChannelError *err)
{
	const BillField *field;
	int64_t		v;
	size_t		i;

	for (i = 1; i < lengthof_array(summed); i++)
	{
		field = wechat_bill_field(bill, fields, summed[i]);
		if (field == NULL)
			continue;
		if (!wechat_bill_fine(field, &v))
			return wechat_bill_wrong(bill, summed[i], "is no amount", err);
		if (!bill_add(&bill->sums[i], v))
			return wechat_bill_wrong(bill, summed[i], "is too large", err);
	}
	return BILL_LINE;
}

/* A refund that there is none of has the number 0, or none. */
static bool
is_no_number(const BillField *field)
{
	return field->len == 0 || (field->len == 1 && field->s[0] == '0');
}

/*
 * A number that does not fit, or has other characters than numbers have, is not
 * one of ours: somebody made it in the console, and WeChat's own stands for it.
 */
static BillStep
copy_numbers(WechatBill *bill, const BillField *fields, BillLine *line, ChannelError *err)
{
	const struct
	{
		TradeColumn column;
		char	   *dst;
	}			numbers[] = {
		{AT_REFUND_NO, line->wire_no},
		{AT_REFUND_ID, line->channel_refund_id},
		{AT_ORDER, line->payment_no},
		{AT_TRANSACTION, line->channel_payment_id},
	};
	size_t		i;

	for (i = 0; i < lengthof_array(numbers); i++)
	{
		const BillField *field = wechat_bill_field(bill, fields, numbers[i].column);

		if (!is_no_number(field))
			bill_copy_no(field, numbers[i].dst, CHANNEL_NO_MAX + 1);
	}
	if (line->wire_no[0] == '\0' && line->channel_refund_id[0] == '\0')
		return wechat_bill_wrong(bill, AT_REFUND_NO, "is no number, nor is WeChat Pay's own", err);
	return BILL_LINE;
}

/*
 * What was asked for is the refund's amount (the API's amount.refund); what was
 * taken of the settlement is what the payer gets without coupons.  Files of
 * earlier years have only the one.
 */
static BillStep
copy_amounts(WechatBill *bill, const BillField *fields, BillLine *line, ChannelError *err)
{
	const BillField *applied = wechat_bill_field(bill, fields, AT_APPLIED);
	const BillField *refunded = wechat_bill_field(bill, fields, AT_REFUNDED);
	const BillField *fee = wechat_bill_field(bill, fields, AT_FEE);
	const BillField *rate = wechat_bill_field(bill, fields, AT_RATE);

	if (!wechat_bill_fen(refunded, &line->payer_amount) || line->payer_amount < 0)
		return wechat_bill_wrong(bill, AT_REFUNDED, "is no amount of a refund", err);
	line->has_payer_amount = applied != NULL;
	line->amount = line->payer_amount;
	if (applied != NULL && (!wechat_bill_fen(applied, &line->amount) || line->amount < 0))
		return wechat_bill_wrong(bill, AT_APPLIED, "is no amount of a refund", err);
	if (applied == NULL)
		line->payer_amount = 0;
	line->has_fee = fee != NULL && wechat_bill_fine(fee, &line->fee);
	line->has_rate = rate != NULL && bill_rate(rate, &line->rate);
	return BILL_LINE;
}

/* When it was taken on, by the column that says so; that says which day it is of. */
static BillStep
copy_times(WechatBill *bill, const BillField *fields, BillLine *line, ChannelError *err)
{
	int			column = bill->at[AT_ASKED] >= 0 ? AT_ASKED : AT_TIME;
	const BillField *asked = wechat_bill_field(bill, fields, column);
	const BillField *succeeded = wechat_bill_field(bill, fields, AT_SUCCEEDED);
	int64_t		at;

	if (!bill_time(&bill->day, asked, &at))
		return wechat_bill_wrong(bill, column, "is no time", err);
	bill_day_count(&bill->day, at, asked->s);
	if (line->movement != BILL_PAID || succeeded == NULL ||
		!bill_time(&bill->day, succeeded, &line->occurred_at))
		line->occurred_at = at;
	return BILL_LINE;
}

static BillMovement
movement_of(const BillField *state)
{
	size_t		i;

	for (i = 0; i < lengthof_array(states); i++)
		if (bill_is(state, states[i].word))
			return states[i].movement;
	return BILL_UNDER_WAY;
}

static BillStep
read_refund(WechatBill *bill, const BillField *fields, BillLine *line, ChannelError *err)
{
	const BillField *state = wechat_bill_field(bill, fields, AT_REFUND_STATE);
	BillTotals *totals = &bill->reader.totals;

	memset(line, 0, sizeof(*line));
	line->product = PRODUCT_REFUND;
	line->movement = movement_of(state);
	bill_copy_text(state, line->code, sizeof(line->code));
	memcpy(line->currency, "CNY", 4);
	if (copy_numbers(bill, fields, line, err) == BILL_BAD ||
		copy_amounts(bill, fields, line, err) == BILL_BAD ||
		copy_times(bill, fields, line, err) == BILL_BAD)
		return BILL_BAD;
	totals->refunds++;
	if ((line->movement == BILL_PAID || line->movement == BILL_UNDER_WAY) &&
		!bill_add(&totals->amount, line->amount))
		return wechat_bill_wrong(bill, AT_REFUNDED, "is too large", err);
	return BILL_LINE;
}

static BillStep
trade_row(WechatBill *bill, const BillField *fields, BillLine *line, ChannelError *err)
{
	const BillField *merchant = wechat_bill_field(bill, fields, AT_MERCHANT);
	const BillField *currency = wechat_bill_field(bill, fields, AT_CURRENCY);
	const BillField *state = wechat_bill_field(bill, fields, AT_STATE);
	int64_t		at;

	if (merchant != NULL && bill->merchant[0] != '\0' && !bill_is(merchant, bill->merchant))
		return bill_bad(err, "Load it for the channel of that merchant.",
						"line %lld is of the merchant %.40s, and not of %s",
						(long long) bill->reader.lines.line_no, merchant->s, bill->merchant);
	if (currency != NULL && !bill_is(currency, "CNY"))
		return wechat_bill_wrong(bill, AT_CURRENCY, "is not CNY, the only one of domestic payments",
								 err);
	memcpy(bill->reader.totals.currency, "CNY", 4);
	if (add_row(bill, fields, err) == BILL_BAD)
		return BILL_BAD;
	if (bill->reader.totals.has_refunds &&
		(!is_no_number(wechat_bill_field(bill, fields, AT_REFUND_NO)) ||
		 !is_no_number(wechat_bill_field(bill, fields, AT_REFUND_ID))))
		return read_refund(bill, fields, line, err);
	if (bill_is(state, "REFUND"))
		return wechat_bill_wrong(bill, AT_REFUND_NO, "is not there, and the line is a refund", err);
	if (!bill_time(&bill->day, wechat_bill_field(bill, fields, AT_TIME), &at))
		return wechat_bill_wrong(bill, AT_TIME, "is no time", err);
	bill_day_count(&bill->day, at, wechat_bill_field(bill, fields, AT_TIME)->s);
	return BILL_PAUSE;
}

static bool
trade_sums(WechatBill *bill, const BillField *fields, const int *at, ChannelError *err)
{
	size_t		i;

	if (!wechat_bill_agrees(bill, fields, at[0], summary_columns[0].names[0],
							bill->reader.totals.lines, 0, err))
		return false;
	for (i = 1; i < lengthof_array(summed); i++)
		if (bill->at[summed[i]] >= 0 &&
			!wechat_bill_agrees(bill, fields, at[i], summary_columns[i].names[0], bill->sums[i], 5,
								err))
			return false;
	return true;
}

BillReader *
wechat_bill_trade_open(const BillInput *input, const BillExpected *expected, ChannelError *err)
{
	return wechat_bill_open(&trade_format, input, expected, err);
}
