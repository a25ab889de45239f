/*-------------------------------------------------------------------------
 *
 * test_bill_fund.c
 *	  WeChat Pay's fund bills: movements, balances, what they mean.
 *
 * test/unit/test_bill_fund.c
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"
#include "billkit.h"

#define HEADER \
	"\xef\xbb\xbf" "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元)," \
	"账户结余(元),资金变更提交申请人,备注,业务凭证号\r\n"
#define SUMMARY "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额\r\n"
#define ROW(time, business, flow, type, way, amount, balance, voucher) \
	"`2026-11-27 " time ",`" business ",`" flow ",`" type ",`" type ",`" way ",`" amount ",`" balance \
	",`system,`a\\ b,`" voucher "\r\n"

static void
test_basic(void)
{
	static const char text[] = HEADER
		ROW("09:00:00", "4200", "f1", "交易", "收入", "10.00", "110.00", "o1")
		ROW("09:00:01", "4200", "f2", "扣除交易手续费", "支出", "0.06", "109.94", "o1")
		ROW("10:00:00", "5030", "f3", "退款", "支出", "3.00", "106.94", "r1")
		ROW("10:00:00", "5030", "f4", "退还交易手续费", "收入", "0.02", "106.96", "r1")
		ROW("11:00:00", "5031", "f5", "退款关闭", "收入", "2.00", "108.96", "r0")
		ROW("12:00:00", "9001", "f6", "提现", "支出", "50", "58.96", "")
		SUMMARY "`6.0,`3.0,`12.02,`3,`53.06\r\n";

	kit_bill = channel_bill("wechat", "fund_basic");
	is_int(kit_read_text(text), BILL_END, "the basic account's bill is read");
	is_str(kit_error.message, "", "and nothing said against it");
	is_int(kit_line_count, 4, "payments and their fees are counted only");
	is_int(kit_line[0].movement, BILL_PAID, "a refund went out");
	is_int(kit_line[0].product, PRODUCT_REFUND, "a refund");
	is_str(kit_line[0].wire_no, "r1", "its number");
	is_str(kit_line[0].channel_refund_id, "5030", "WeChat's number");
	is_int(kit_line[0].amount, 300, "its amount");
	is_int(kit_line[0].balance, 10694, "the balance after it");
	is_int(kit_line[0].balance_change, -300, "what it did to it");
	is_int(kit_line[1].movement, BILL_FEE, "a fee given back");
	is_int(kit_line[1].fee, -2000, "in thousandths of a fen");
	is_int(kit_line[2].movement, BILL_CAME_BACK, "a refund closed");
	is_int(kit_line[2].balance_change, 200, "which came in");
	is_int(kit_line[3].movement, BILL_OTHER, "a withdrawal of the merchant's own");
	is_int(kit_totals.lines, 6, "lines");
	is_int(kit_totals.opening, 10000, "opening");
	is_int(kit_totals.closing, 5896, "closing");
	is_int(kit_totals.in, 1202, "in");
	is_int(kit_totals.out, 5306, "out");
	is_int(kit_totals.opening + kit_totals.in - kit_totals.out, kit_totals.closing, "which is the proof");
	ok(!kit_totals.has_refunds && !kit_totals.has_transfers, "its silence means nothing");
}

static void
test_operation(void)
{
	static const char text[] = HEADER
		ROW("08:00:00", "c1", "c1f", "充值", "收入", "100.00", "100.00", "c1")
		ROW("09:00:00", "1330001", "1330001", "商家转账", "支出", "30.00", "70.00", "w1")
		ROW("09:30:00", "1330002", "1330002", "新业务", "支出", "20.00", "50.00", "w2")
		ROW("09:40:00", "1330003", "x", "新业务", "支出", "1.00", "49.00", "w3")
		ROW("10:00:00", "1330001", "1330001", "商家转账退回", "收入", "30.00", "79.00", "w1")
		SUMMARY "`5,`2,`130.00,`3,`51.00\r\n";

	kit_bill = channel_bill("wechat", "fund_operation");
	is_int(kit_read_text(text), BILL_END, "the operation account's bill is read");
	is_int(kit_line_count, 5, "five lines");
	is_int(kit_line[0].movement, BILL_OTHER, "a top-up is none of ours, whatever its numbers");
	is_int(kit_line[1].movement, BILL_PAID, "a transfer");
	is_int(kit_line[1].product, PRODUCT_TRANSFER, "a transfer");
	is_str(kit_line[1].wire_no, "w1", "by out_bill_no");
	is_str(kit_line[1].channel_refund_id, "1330001", "and transfer_bill_no");
	is_int(kit_line[2].product, PRODUCT_TRANSFER, "by its numbers, under a name that is new");
	is_int(kit_line[2].movement, BILL_PAID, "which was paid");
	is_int(kit_line[3].movement, BILL_OTHER, "and without them it is none");
	is_int(kit_line[4].movement, BILL_CAME_BACK, "it came back");
	is_int(kit_totals.refunds, 3, "three movements of transfers");
	ok(kit_totals.has_transfers, "its silence means something");
}

static void
test_newest_first(void)
{
	static const char text[] = HEADER
		ROW("11:00:00", "b", "f", "退款", "支出", "3.00", "95.00", "r2")
		ROW("10:00:00", "a", "e", "退款", "支出", "2.00", "98.00", "r1")
		SUMMARY "`2,`0,`0.00,`2,`5.00\r\n";

	kit_bill = channel_bill("wechat", "fund_basic");
	is_int(kit_read_text(text), BILL_END, "newest first");
	is_int(kit_totals.opening, 10000, "opening");
	is_int(kit_totals.closing, 9500, "closing");
}

static void
test_refusals(void)
{
#define ONE ROW("10:00:00", "a", "e", "退款", "支出", "2.00", "98.00", "r1")
	kit_bill = channel_bill("wechat", "fund_basic");
	kit_refuses_text(HEADER ONE SUMMARY "`2,`0,`0.00,`1,`2.00\r\n", "资金流水总笔数", "wrong number");
	kit_refuses_text(HEADER ONE SUMMARY "`1,`0,`0.00,`1,`2.01\r\n", "支出金额", "wrong sum");
	kit_refuses_text(HEADER ONE SUMMARY "`1,`1,`0.00,`1,`2.00\r\n", "收入笔数", "wrong number of one way");
	kit_refuses_text(HEADER ROW("10:00:00", "a", "e", "退款", "不明", "2.00", "98.00", "r1") SUMMARY
					 "`1,`0,`0.00,`1,`2.00\r\n", "line 2: \"收支类型\"", "neither in nor out");
	kit_refuses_text(HEADER ROW("10:00:00", "a", "e", "退款", "支出", "-2.00", "98.00", "r1") SUMMARY
					 "`1,`0,`0.00,`1,`2.00\r\n", "收支金额", "a negative amount");
	kit_refuses_text(HEADER ROW("10:00:00", "a", "e", "退款", "支出", "2.005", "98.00", "r1") SUMMARY
					 "`1,`0,`0.00,`1,`2.00\r\n", "收支金额", "a fraction of a fen");
	kit_refuses_text(HEADER "`2026-11-26 10:00:00,`a,`e,`退款,`退款,`支出,`2.00,`98.00,`s,`,`r1\r\n" ONE ONE
					 SUMMARY "`3,`0,`0.00,`3,`6.00\r\n", "2026-11-26", "one line of another day");
	kit_bill = channel_bill("wechat", "trade");
	kit_refuses_text(HEADER ONE SUMMARY "`1,`0,`0.00,`1,`2.00\r\n", "交易时间", "a fund bill is no trade bill");
}

int
main(void)
{
	test_basic();
	test_operation();
	test_newest_first();
	test_refusals();
	return unit_done();
}
