/*-------------------------------------------------------------------------
 *
 * alipay_bill_account.c
 *	  Alipay's bill of the account (signcustomer): what moved its balance.
 *
 * It has transfers, by our numbers, and what came back of them.  A refund
 * stands here by its trade's numbers and not by its own, so that it is told as
 * a movement that is nobody's: the bill of trades has it by its number.
 * Payments are most of such a file, and are counted only.
 *
 * src/channel/alipay_bill_account.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "channel/alipay_bill.h"

typedef enum AccountColumn
{
	AT_BUSINESS,
	AT_ORDER,
	AT_TIME,
	AT_IN,
	AT_OUT,
	AT_BALANCE,
	AT_TYPE
} AccountColumn;

static const BillColumn account_columns[] = {
	[AT_BUSINESS] = {{"业务流水号"}, true},
	[AT_ORDER] = {{"商户订单号"}, true},
	[AT_TIME] = {{"发生时间"}, true},
	[AT_IN] = {{"收入金额（+元）", "收入金额(+元)", "收入（+元）"}, true},
	[AT_OUT] = {{"支出金额（-元）", "支出金额(-元)", "支出（-元）"}, true},
	[AT_BALANCE] = {{"账户余额（元）", "账户余额(元)"}, true},
	[AT_TYPE] = {{"业务类型"}, true},
};

enum
{
	WENT_OUT,
	CAME_IN
};

typedef enum AccountMeaning
{
	ACCOUNT_PAYMENT,			/* counted, not told */
	ACCOUNT_REFUND,
	ACCOUNT_FEE,
	ACCOUNT_TRANSFER,
	ACCOUNT_BOUNCE,
	ACCOUNT_OTHER
} AccountMeaning;

/* What a 业务类型 is to us; the set is open, and what is not listed is other. */
static const struct
{
	const char *word;
	AccountMeaning meaning;
}			types[] = {
	{"在线支付", ACCOUNT_PAYMENT},
	{"交易付款", ACCOUNT_PAYMENT},
	{"交易", ACCOUNT_PAYMENT},
	{"交易退款", ACCOUNT_REFUND},
	{"退款", ACCOUNT_REFUND},
	{"退款(交易退款)", ACCOUNT_REFUND},
	{"退款（交易退款）", ACCOUNT_REFUND},
	{"收费", ACCOUNT_FEE},
	{"退费", ACCOUNT_FEE},
	{"转账", ACCOUNT_TRANSFER},
	{"单笔转账", ACCOUNT_TRANSFER},
	{"转账到支付宝账户", ACCOUNT_TRANSFER},
	{"转账到银行卡", ACCOUNT_TRANSFER},
	{"转账退回", ACCOUNT_BOUNCE},
	{"转账退款", ACCOUNT_BOUNCE},
	{"转账退票", ACCOUNT_BOUNCE},
	{"退票", ACCOUNT_BOUNCE},
};

static BillStep account_row(AlipayBill *bill, const BillField *fields, BillLine *line,
							ChannelError *err);

static const AlipayBillFormat account_format = {
	.title = "支付宝账务明细",
	.other_title = "支付宝业务明细",
	.detail = "账务明细",
	.columns = account_columns,
	.column_count = lengthof_array(account_columns),
	.totals = {
		[WENT_OUT] = {"支出合计", true},
		[CAME_IN] = {"收入合计", false},
	},
	.has_transfers = true,
	.ledger = true,
	.row = account_row,
};

static AccountMeaning
meaning_of(const char *word)
{
	size_t		i;

	for (i = 0; i < lengthof_array(types); i++)
		if (strcmp(word, types[i].word) == 0)
			return types[i].meaning;
	return ACCOUNT_OTHER;
}

/* What went out may be written with its minus or without; a row does only one. */
static BillStep
read_movement(AlipayBill *bill, const BillField *fields, BillLine *line, ChannelError *err)
{
	const BillField *balance = alipay_bill_field(bill, fields, AT_BALANCE);
	BillTotals *totals = &bill->reader.totals;
	int64_t		in;
	int64_t		out;

	if (!alipay_bill_fen(alipay_bill_field(bill, fields, AT_IN), &in) || in < 0)
		return alipay_bill_wrong(bill, AT_IN, "is no amount", err);
	if (!alipay_bill_fen(alipay_bill_field(bill, fields, AT_OUT), &out))
		return alipay_bill_wrong(bill, AT_OUT, "is no amount", err);
	if (!bill_decimal(balance, 2, &line->balance))
		return alipay_bill_wrong(bill, AT_BALANCE, "is no amount", err);
	out = out < 0 ? -out : out;
	if (in > 0 && out > 0)
		return alipay_bill_wrong(bill, AT_OUT, "is there, and the row came in", err);
	line->has_balance = true;
	line->balance_change = in - out;
	line->amount = in + out;
	if (in > 0)
		bill->counts[CAME_IN]++;
	if (out > 0)
		bill->counts[WENT_OUT]++;
	if (!bill_add(&totals->in, in) || !bill_add(&totals->out, out))
		return alipay_bill_wrong(bill, AT_IN, "is too large", err);
	bill->sums[CAME_IN] = totals->in;
	bill->sums[WENT_OUT] = totals->out;
	return BILL_LINE;
}

/* A transfer to us is none of ours, nor is a return that goes out. */
static void
set_meaning(AccountMeaning meaning, BillLine *line)
{
	bool		in = line->balance_change > 0;

	line->product = PRODUCT_REFUND;
	line->movement = BILL_OTHER;
	if (meaning == ACCOUNT_TRANSFER || meaning == ACCOUNT_BOUNCE)
	{
		line->product = PRODUCT_TRANSFER;
		if (meaning == ACCOUNT_TRANSFER && !in)
			line->movement = BILL_PAID;
		else if (meaning == ACCOUNT_BOUNCE && in)
			line->movement = BILL_CAME_BACK;
	}
	else if (meaning == ACCOUNT_FEE)
	{
		line->movement = BILL_FEE;
		line->has_fee = true;
		line->fee = -line->balance_change * 1000;
	}
}

static BillStep
account_row(AlipayBill *bill, const BillField *fields, BillLine *line, ChannelError *err)
{
	const BillField *time = alipay_bill_field(bill, fields, AT_TIME);
	const BillField *order = alipay_bill_field(bill, fields, AT_ORDER);
	const BillField *business = alipay_bill_field(bill, fields, AT_BUSINESS);
	BillTotals *totals = &bill->reader.totals;
	char		word[ALIPAY_WORD_MAX + 1];
	AccountMeaning meaning;

	if (read_movement(bill, fields, line, err) == BILL_BAD)
		return BILL_BAD;
	if (!bill_time(&bill->day, time, &line->occurred_at))
		return alipay_bill_wrong(bill, AT_TIME, "is no time", err);
	bill_day_count(&bill->day, line->occurred_at, time->s);
	bill_ledger_add(&bill->ledger, line);
	alipay_bill_word(bill, alipay_bill_field(bill, fields, AT_TYPE), word);
	meaning = meaning_of(word);
	if (meaning == ACCOUNT_PAYMENT)
		return BILL_PAUSE;

	text_clip(line->code, sizeof(line->code), word);
	text_plain(line->code);
	set_meaning(meaning, line);
	if (line->product == PRODUCT_TRANSFER)
	{
		bill_copy_no(order, line->wire_no, sizeof(line->wire_no));
		bill_copy_no(business, line->channel_refund_id, sizeof(line->channel_refund_id));
		if (line->movement != BILL_OTHER)
			totals->refunds++;
	}
	else
	{
		bill_copy_no(order, line->payment_no, sizeof(line->payment_no));
		bill_copy_no(business, line->channel_payment_id, sizeof(line->channel_payment_id));
	}
	if (line->movement == BILL_PAID && !bill_add(&totals->amount, line->amount))
		return alipay_bill_wrong(bill, AT_OUT, "is too large", err);
	return BILL_LINE;
}

static bool
is_detail(const char *name)
{
	return alipay_bill_is_detail(name, account_format.detail);
}

BillReader *
alipay_bill_account_open(const BillInput *input, const BillExpected *expected,
						 ChannelError *err)
{
	return alipay_bill_open(&account_format, is_detail, input, expected, err);
}
