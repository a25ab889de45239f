/*-------------------------------------------------------------------------
 *
 * test_bill_wechat.c
 *	  WeChat Pay's trade bill: layouts, escapes, checks, hostile files.
 *
 * test/unit/test_bill_wechat.c
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"
#include "billkit.h"

#define BOM		"\xef\xbb\xbf"
#define ALL_HEADER \
	"交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态," \
	"付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额," \
	"退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注\r\n"
#define REFUND_HEADER \
	"交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态," \
	"付款银行,货币种类,应结订单金额,代金券金额,退款申请时间,退款成功时间,微信退款单号,商户退款单号," \
	"退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注\r\n"
#define SUMMARY \
	"总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额\r\n"
#define PAYMENT \
	"`2026-11-27 09:30:00,`wx1,`1900000100,`0,`,`4200000001,`o1,`u,`JSAPI,`SUCCESS,`OTHERS,`CNY,`10.00," \
	"`0.00,`0,`0,`0.00,`0.00,`,`,`tea,`,`0.06000,`0.60%,`10.00,`0.00,`\r\n"
#define REFUND(no, id, state) \
	"`2026-11-27 10:00:00,`wx1,`1900000100,`0,`,`4200000001,`o1,`u,`JSAPI,`REFUND,`OTHERS,`CNY,`0.00," \
	"`0.00,`" id ",`" no ",`2.50,`0.50,`ORIGINAL,`" state ",`tea,`,`-0.01500,`0.60%,`0.00,`3.00,`\r\n"

static void
test_all(void)
{
	static const char text[] = BOM ALL_HEADER PAYMENT REFUND("r1", "5030001", "SUCCESS")
		REFUND("r2", "5030002", "PROCESSING") REFUND("r3", "5030003", "CHANGE")
		REFUND("r4", "5030004", "FAIL") REFUND("r5", "5030005", "LATER") SUMMARY
		"`6.0,`10.00,`12.5,`2.50,`-0.015,`10.0,`15.00\r\n";
	char		hash[BILL_HASH_MAX + 1];
	Buf			packed = BUF_INIT;

	is_int(kit_read_text(text), BILL_END, "ALL is read");
	is_str(kit_error.message, "", "and nothing said against it");
	is_int(kit_line_count, 5, "five lines are ours");
	is_int(kit_line[0].line_no, 3, "line number");
	is_str(kit_line[0].wire_no, "r1", "number");
	is_str(kit_line[0].channel_refund_id, "5030001", "WeChat's number");
	is_str(kit_line[0].payment_no, "o1", "payment");
	is_str(kit_line[0].channel_payment_id, "4200000001", "WeChat's payment");
	is_int(kit_line[0].amount, 300, "what was applied for is the amount");
	is_int(kit_line[0].payer_amount, 250, "what the payer gets");
	is_int(kit_line[0].fee, -1500, "a fee given back, in thousandths of a fen");
	is_int(kit_line[0].rate, 6000, "its rate in millionths");
	is_int(kit_line[0].occurred_at, INT64_C(1795744800) * 1000000, "when, by Beijing's clock");
	is_int(kit_line[0].movement, BILL_PAID, "SUCCESS");
	is_int(kit_line[1].movement, BILL_UNDER_WAY, "PROCESSING");
	is_int(kit_line[2].movement, BILL_ABNORMAL, "CHANGE");
	is_int(kit_line[3].movement, BILL_FAILED, "FAIL");
	is_int(kit_line[4].movement, BILL_UNDER_WAY, "an unknown state decides nothing");
	is_str(kit_line[4].code, "LATER", "and is shown");
	is_int(kit_totals.lines, 6, "all lines");
	is_int(kit_totals.refunds, 5, "refunds");
	is_int(kit_totals.amount, 900, "paid and under way");
	is_int(kit_totals.size, sizeof(text) - 1, "size");
	ok(kit_totals.has_refunds && !kit_totals.has_transfers, "what it covers");
	kit_hash("sha1", text, sizeof(text) - 1, hash);
	is_str(kit_totals.hash, hash, "hash of all bytes, the mark too");

	kit_gzip(text, sizeof(text) - 1, &packed);
	kit_expected.hash = hash;
	is_int(kit_read(packed.data, packed.len), BILL_END, "packed, with the announced hash");
	is_int(kit_line_count, 5, "and the same");
	kit_expected.hash = "sha1:0000000000000000000000000000000000000000";
	kit_refuses(packed.data, packed.len, "was announced", "another hash");
	kit_expected.hash = "";
	buf_free(&packed);
}

int
main(void)
{
	kit_bill = channel_bill("wechat", "trade");
	test_all();
	return unit_done();
}
