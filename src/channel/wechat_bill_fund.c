/*-------------------------------------------------------------------------
 *
 * wechat_bill_fund.c
 *	  WeChat Pay's fund bills: what moved one of the merchant's accounts
 *	  (4013071249).
 *
 * A row is a movement: how much came in or went out, and what the account had
 * after it.  This is what the channel's money did, where the trade bill is
 * what it meant to do: a refund that was closed later comes in again here, on
 * the day on which that happened, and a transfer that nobody can ask about any
 * more stands here, once as having gone out, and a second time if it came back
 * (4012715211).  What the two come to is not decided here.
 *
 * Payments and what WeChat takes for them are most of such a file, and are
 * counted only.
 *
 * src/channel/wechat_bill_fund.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "channel/wechat_bill.h"

typedef enum FundColumn
{
	AT_TIME,
	AT_BUSINESS_ID,
	AT_FLOW_ID,
	AT_TYPE,
	AT_DIRECTION,
	AT_AMOUNT,
	AT_BALANCE,
	AT_VOUCHER
} FundColumn;

static const BillColumn fund_columns[] = {
	[AT_TIME] = {{"记账时间"}, true},
	[AT_BUSINESS_ID] = {{"微信支付业务单号"}, true},
	[AT_FLOW_ID] = {{"资金流水单号"}, true},
	[AT_TYPE] = {{"业务类型"}, true},
	[AT_DIRECTION] = {{"收支类型"}, true},
	[AT_AMOUNT] = {{"收支金额(元)", "收支金额（元）", "收支金额"}, true},
	[AT_BALANCE] = {{"账户结余(元)", "账户结余（元）", "账户结余"}, true},
	[AT_VOUCHER] = {{"业务凭证号"}, true},
};

typedef enum FundSum
{
	SUM_ALL,
	SUM_IN_COUNT,
	SUM_IN,
	SUM_OUT_COUNT,
	SUM_OUT
} FundSum;

static const BillColumn summary_columns[] = {
	[SUM_ALL] = {{"资金流水总笔数"}, true},
	[SUM_IN_COUNT] = {{"收入笔数"}, true},
	[SUM_IN] = {{"收入金额"}, true},
	[SUM_OUT_COUNT] = {{"支出笔数"}, true},
	[SUM_OUT] = {{"支出金额"}, true},
};

/*
 * What a 业务类型 is to us.  The set is open: what is not listed is none of
 * ours, unless its numbers say that it is a transfer.
 */
typedef enum FundMeaning
{
	FUND_PAYMENT,				/* counted, not told */
	FUND_REFUND,
	FUND_FEE_BACK,
	FUND_TRANSFER,
	FUND_OTHER
} FundMeaning;

static const struct
{
	const char *word;
	FundMeaning meaning;
}			types[] = {
	{"交易", FUND_PAYMENT},
	{"扣除交易手续费", FUND_PAYMENT},
	{"退款", FUND_REFUND},
	{"退款关闭", FUND_REFUND},
	{"退款退回", FUND_REFUND},
	{"充值退款", FUND_REFUND},
	{"退还交易手续费", FUND_FEE_BACK},
	{"商家转账", FUND_TRANSFER},
	{"商家转账退回", FUND_TRANSFER},
	{"商家转账退款", FUND_TRANSFER},
	{"商家转账到零钱", FUND_TRANSFER},
	{"转账", FUND_TRANSFER},
	{"转账退回", FUND_TRANSFER},
	{"企业付款", FUND_TRANSFER},
	{"企业付款到零钱", FUND_TRANSFER},
	{"充值", FUND_OTHER},
	{"提现", FUND_OTHER},
};

static bool basic_header(WechatBill *bill, ChannelError *err);
static bool operation_header(WechatBill *bill, ChannelError *err);
static BillStep fund_row(WechatBill *bill, const BillField *fields, BillLine *line,
						 ChannelError *err);
static bool fund_sums(WechatBill *bill, const BillField *fields, const int *at,
					  ChannelError *err);

static const WechatBillFormat basic_format = {
	.columns = fund_columns,
	.column_count = lengthof_array(fund_columns),
	.summary = summary_columns,
	.summary_count = lengthof_array(summary_columns),
	.ledger = true,
	.header = basic_header,
	.row = fund_row,
	.sums = fund_sums,
};

static const WechatBillFormat operation_format = {
	.columns = fund_columns,
	.column_count = lengthof_array(fund_columns),
	.summary = summary_columns,
	.summary_count = lengthof_array(summary_columns),
	.ledger = true,
	.header = operation_header,
	.row = fund_row,
	.sums = fund_sums,
};

/*
 * Silence about a refund means nothing here: it stands in the bill of the day
 * on which the money went, and of the account that it went from.
 */
static bool
basic_header(WechatBill *bill, ChannelError *err)
{
	(void) err;
	bill->reader.totals.has_refunds = false;
	bill->reader.totals.has_transfers = false;
	return true;
}

static bool
operation_header(WechatBill *bill, ChannelError *err)
{
	(void) err;
	bill->reader.totals.has_refunds = false;
	bill->reader.totals.has_transfers = true;
	return true;
}

/* ---- rows ---- */

static FundMeaning
meaning_of(const WechatBill *bill, const BillField *fields)
{
	const BillField *type = wechat_bill_field(bill, fields, AT_TYPE);
	const BillField *business = wechat_bill_field(bill, fields, AT_BUSINESS_ID);
	const BillField *voucher = wechat_bill_field(bill, fields, AT_VOUCHER);
	size_t		i;

	for (i = 0; i < lengthof_array(types); i++)
		if (bill_is(type, types[i].word))
			return types[i].meaning;

	/* a transfer's movement has its transfer_bill_no for both numbers (4012715211) */
	if (bill->reader.totals.has_transfers && business->len > 0 && voucher->len > 0 &&
		bill_is(wechat_bill_field(bill, fields, AT_FLOW_ID), business->s))
		return FUND_TRANSFER;
	return FUND_OTHER;
}

/* The amount with its sign, and what it does to the file's sums. */
static BillStep
read_movement(WechatBill *bill, const BillField *fields, BillLine *line, ChannelError *err)
{
	const BillField *direction = wechat_bill_field(bill, fields, AT_DIRECTION);
	BillTotals *totals = &bill->reader.totals;
	bool		in = bill_is(direction, "收入");

	if (!in && !bill_is(direction, "支出"))
		return wechat_bill_wrong(bill, AT_DIRECTION, "is neither 收入 nor 支出", err);
	if (!wechat_bill_fen(wechat_bill_field(bill, fields, AT_AMOUNT), &line->amount) ||
		line->amount < 0)
		return wechat_bill_wrong(bill, AT_AMOUNT, "is no amount", err);
	if (!wechat_bill_fen(wechat_bill_field(bill, fields, AT_BALANCE), &line->balance))
		return wechat_bill_wrong(bill, AT_BALANCE, "is no amount", err);
	line->has_balance = true;
	line->balance_change = in ? line->amount : -line->amount;
	bill->sums[in ? SUM_IN_COUNT : SUM_OUT_COUNT]++;
	if (!bill_add(in ? &totals->in : &totals->out, line->amount))
		return wechat_bill_wrong(bill, AT_AMOUNT, "is too large", err);
	return BILL_LINE;
}

static void
set_meaning(FundMeaning meaning, BillLine *line)
{
	bool		in = line->balance_change > 0;

	line->product = meaning == FUND_TRANSFER ? PRODUCT_TRANSFER : PRODUCT_REFUND;
	line->movement = BILL_OTHER;
	if (meaning == FUND_REFUND || meaning == FUND_TRANSFER)
		line->movement = in ? BILL_CAME_BACK : BILL_PAID;
	else if (meaning == FUND_FEE_BACK)
	{
		line->movement = BILL_FEE;
		line->has_fee = true;
		line->fee = -line->balance_change * 1000;
	}
}

/*
 * A number that does not fit, or has other characters than numbers have, is not
 * one of ours: the row counts without it.
 */
static void
copy_numbers(const WechatBill *bill, const BillField *fields, BillLine *line)
{
	bill_copy_no(wechat_bill_field(bill, fields, AT_VOUCHER), line->wire_no,
				 sizeof(line->wire_no));
	bill_copy_no(wechat_bill_field(bill, fields, AT_BUSINESS_ID), line->channel_refund_id,
				 sizeof(line->channel_refund_id));
}

static BillStep
fund_row(WechatBill *bill, const BillField *fields, BillLine *line, ChannelError *err)
{
	const BillField *time = wechat_bill_field(bill, fields, AT_TIME);
	BillTotals *totals = &bill->reader.totals;
	FundMeaning meaning = meaning_of(bill, fields);

	memset(line, 0, sizeof(*line));
	if (read_movement(bill, fields, line, err) == BILL_BAD)
		return BILL_BAD;
	if (!bill_time(&bill->day, time, &line->occurred_at))
		return wechat_bill_wrong(bill, AT_TIME, "is no time", err);
	bill_day_count(&bill->day, line->occurred_at, time->s);
	bill_ledger_add(&bill->ledger, line);
	memcpy(totals->currency, "CNY", 4);
	if (meaning == FUND_PAYMENT)
		return BILL_PAUSE;

	memcpy(line->currency, "CNY", 4);
	set_meaning(meaning, line);
	copy_numbers(bill, fields, line);
	bill_copy_text(wechat_bill_field(bill, fields, AT_TYPE), line->code, sizeof(line->code));
	if (meaning == FUND_REFUND || meaning == FUND_TRANSFER)
		totals->refunds++;
	if (line->movement == BILL_PAID && !bill_add(&totals->amount, line->amount))
		return wechat_bill_wrong(bill, AT_AMOUNT, "is too large", err);
	return BILL_LINE;
}

static bool
fund_sums(WechatBill *bill, const BillField *fields, const int *at, ChannelError *err)
{
	BillTotals *totals = &bill->reader.totals;
	const int64_t counted[] = {
		[SUM_ALL] = totals->lines,
		[SUM_IN_COUNT] = bill->sums[SUM_IN_COUNT],
		[SUM_IN] = totals->in,
		[SUM_OUT_COUNT] = bill->sums[SUM_OUT_COUNT],
		[SUM_OUT] = totals->out,
	};
	size_t		i;

	for (i = 0; i < lengthof_array(counted); i++)
		if (!wechat_bill_agrees(bill, fields, at[i], summary_columns[i].names[0], counted[i],
								i == SUM_IN || i == SUM_OUT ? 2 : 0, err))
			return false;
	bill_ledger_end(&bill->ledger, totals);
	return true;
}

BillReader *
wechat_bill_basic_open(const BillInput *input, const BillExpected *expected, ChannelError *err)
{
	return wechat_bill_open(&basic_format, input, expected, err);
}

BillReader *
wechat_bill_operation_open(const BillInput *input, const BillExpected *expected,
						   ChannelError *err)
{
	return wechat_bill_open(&operation_format, input, expected, err);
}
