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


#define SUCCESS_HEADER \
	"交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态," \
	"付款银行,货币种类,应结订单金额,代金券金额,商品名称,商户数据包,手续费,费率,订单金额,费率备注\r\n"
#define HISTORIC_HEADER \
	"交易时间,公众账号ID,商户号,子商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态," \
	"付款银行,货币种类,总金额,企业红包金额,微信退款单号,商户退款单号,退款金额,企业红包退款金额," \
	"退款类型,退款状态,商品名称,商户数据包,手续费,费率\r\n"
#define HISTORIC_SUMMARY "总交易单数,总交易额,总退款金额,总企业红包退款金额,手续费总金额\r\n"
#define ONE(summary) BOM ALL_HEADER REFUND("r1", "5030001", "SUCCESS") SUMMARY summary
#define GOOD ONE("`1.0,`0.0,`2.50,`0.50,`-0.015,`0.0,`3.00\r\n")

static void
test_layouts(void)
{
	is_int(kit_read_text(
			BOM REFUND_HEADER
			"`2026-11-20 10:00:00,`wx1,`1900000100,`0,`,`4200000001,`o1,`u,`JSAPI,`REFUND,`OTHERS,`CNY,`0.00,"
			"`0.00,`2026-11-27 10:00:00,`2026-11-27 10:05:00,`5030001,`r1,`2.50,`0.00,`ORIGINAL,`SUCCESS,`tea,`,"
			"`0.00000,`0.60%,`0.00,`2.50,`\r\n"
			"`2026-11-20 10:00:00,`wx1,`1900000100,`0,`,`4200000001,`o1,`u,`JSAPI,`REFUND,`OTHERS,`CNY,`0.00,"
			"`0.00,`2026-11-27 11:00:00,`,`5030002,`r2,`1.00,`0.00,`ORIGINAL,`PROCESSING,`tea,`,"
			"`0.00000,`x,`0.00,`1.00,`\r\n"
			SUMMARY "`2.0,`0.00,`3.50,`0.00,`0.00000,`0.00,`3.50\r\n"), BILL_END, "REFUND is read");
	is_str(kit_error.message, "", "and nothing said against it");
	is_int(kit_line[0].occurred_at, INT64_C(1795745100) * 1000000, "paid, when it was paid");
	is_int(kit_line[1].occurred_at, INT64_C(1795748400) * 1000000, "under way, when it was taken on");
	ok(kit_line[0].has_rate && !kit_line[1].has_rate, "a rate that is none is left out");

	is_int(kit_read_text(
			BOM SUCCESS_HEADER
			"`2026-11-27 09:30:00,`wx1,`1900000100,`0,`,`4200000001,`o1,`u,`JSAPI,`SUCCESS,`OTHERS,`CNY,`10.00,"
			"`0.00,`tea,`,`0.06000,`0.60%,`10.00,`\r\n"
			"总交易单数,应结订单总金额,手续费总金额,订单总金额\r\n`1,`10.00,`0.06,`10.00\r\n"), BILL_END,
		   "SUCCESS is read");
	ok(!kit_totals.has_refunds, "and says nothing about refunds");
	is_int(kit_totals.lines, 1, "one payment");

	is_int(kit_read_text(
			BOM HISTORIC_HEADER
			"`2026-11-27 10:00:00,`wx1,`1900000100,`0,`,`4200000001,`o1,`u,`JSAPI,`REFUND,`OTHERS,`CNY,`0.00,"
			"`0.00,`5030001,`r1,`2.50,`0.00,`ORIGINAL,`SUCCESS,`tea,`,`0.00000,`0.60%\r\n"
			HISTORIC_SUMMARY "`1,`0.00,`2.50,`0.00,`0.00000"), BILL_END, "a layout of earlier years");
	is_int(kit_line[0].amount, 250, "its only amount");
	ok(!kit_line[0].has_payer_amount, "what the payer gets is not said");
	is_int(kit_read_text(BOM ALL_HEADER SUMMARY "`0.0,`0.00,`0.00,`0.00,`0.00000,`0.00,`0.00\r\n"), BILL_END,
		   "no rows");
	kit_refuses_text(BOM "交易时间,微信订单号,商户订单号,交易状态,应结订单金额,商户退款单号\r\n",
					 "1 of the four columns", "half of the refund's columns");
	kit_refuses_text(BOM "交易时间,微信订单号,商户订单号,交易状态,应结订单金额,总金额\r\n", "twice",
					 "the old name and the new");
	kit_refuses_text("", "empty", "an empty file");
	kit_refuses_text("<html>token expired</html>", "no column", "something else");
}

static void
test_escapes(void)
{
	is_int(kit_read_text(
			BOM ALL_HEADER
			"`2026-11-27 10:00:00,`wx1,`1900000100,`0,`,`4200000001,`o\\\\1,`u,`JSAPI,`REFUND,`OTHERS,`CNY,`0.00,"
			"`0.00,`5030001,`a\\140b|*@,`2.50,`0.50,`ORIGINAL,`SUCCESS,`tea\\ green \\` \\140 \\\" \\' \\n, raw,`,"
			"`-0.01500,`0.60%,`0.00,`3.00,`\\\r\n"
			SUMMARY "`1.0,`0.0,`2.50,`0.50,`-0.015,`0.0,`3.00\r\n"), BILL_END, "escapes");
	is_str(kit_error.message, "", "and nothing said against it");
	is_str(kit_line[0].wire_no, "a`b|*@", "an octal backtick");
	is_str(kit_line[0].payment_no, "o\\1", "a backslash");

	is_int(kit_read_text(
			BOM ALL_HEADER REFUND("退款一号", "5030001", "SUCCESS") SUMMARY
			"`1.0,`0.0,`2.50,`0.50,`-0.015,`0.0,`3.00\r\n"), BILL_END, "a number that is none of ours");
	is_str(kit_line[0].wire_no, "", "is left out");
	is_str(kit_line[0].channel_refund_id, "5030001", "WeChat's stands for it");
	kit_refuses_text(ONE("`1.0,`0.0,`2.50,`0.50,`-0.015,`0.0,`3.00\r\n") "x\r\n", "behind the summary",
					 "a line behind the summary");
	kit_refuses_text(BOM ALL_HEADER REFUND("0", "0", "SUCCESS") SUMMARY
					 "`1.0,`0.0,`2.50,`0.50,`-0.015,`0.0,`3.00\r\n", "商户退款单号", "a refund without a number");
}

static void
test_totals(void)
{
	static const struct
	{
		const char *summary;
		const char *says;
	}			wrong[] = {
		{"`2.0,`0.0,`2.50,`0.50,`-0.015,`0.0,`3.00\r\n", "总交易单数"},
		{"`1.5,`0.0,`2.50,`0.50,`-0.015,`0.0,`3.00\r\n", "总交易单数"},
		{"`1.0,`0.1,`2.50,`0.50,`-0.015,`0.0,`3.00\r\n", "应结订单总金额"},
		{"`1.0,`0.0,`2.51,`0.50,`-0.015,`0.0,`3.00\r\n", "退款总金额"},
		{"`1.0,`0.0,`2.50,`0.51,`-0.015,`0.0,`3.00\r\n", "充值券退款总金额"},
		{"`1.0,`0.0,`2.50,`0.50,`-0.01501,`0.0,`3.00\r\n", "手续费总金额"},
		{"`1.0,`0.0,`2.50,`0.50,`0.015,`0.0,`3.00\r\n", "手续费总金额"},
		{"`1.0,`0.0,`2.50,`0.50,`-0.015,`1.0,`3.00\r\n", "订单总金额"},
		{"`1.0,`0.0,`2.50,`0.50,`-0.015,`0.0,`30.00\r\n", "申请退款总金额"},
		{"`1.0,`0.0,`x,`0.50,`-0.015,`0.0,`3.00\r\n", "is no number"},
		{"`1.0,`0.0,`2.50,`0.50\r\n", "not the summary"},
		{"1.0,0.0,2.50,0.50,-0.015,0.0,3.00\r\n", "not the summary"},
		{"", "before its summary"},
	};
	Buf			text = BUF_INIT;
	size_t		i;

	is_int(kit_read_text(GOOD), BILL_END, "the good one");
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
	{
		buf_reset(&text);
		buf_adds(&text, BOM ALL_HEADER REFUND("r1", "5030001", "SUCCESS") SUMMARY);
		buf_adds(&text, wrong[i].summary);
		kit_refuses(text.data, text.len, wrong[i].says, wrong[i].says);
	}

	/* half-updated: wherever it was cut off, it is not a bill */
	buf_reset(&text);
	buf_adds(&text, BOM ALL_HEADER PAYMENT REFUND("r1", "5030001", "SUCCESS") REFUND("r2", "5030002", "SUCCESS")
			 SUMMARY "`3.0,`10.00,`5.00,`1.00,`0.03000,`10.00,`6.00\r\n");
	is_int(kit_read(text.data, text.len), BILL_END, "whole");
	for (i = 0; i + 5 < text.len; i++)
		if (kit_read(text.data, i) != BILL_BAD)
			break;
	is_int(i + 5, text.len, "cut off anywhere before its last digits, it is refused");
	buf_free(&text);
}

static void
test_rows(void)
{
	kit_expected.merchant = "1900000199";
	kit_refuses_text(GOOD, "merchant 1900000100", "another merchant's");
	kit_expected.merchant = "1900000100";
	is_int(kit_read_text(GOOD), BILL_END, "this merchant's");
	kit_expected.merchant = "";
	kit_expected.day = "2026-11-26";
	kit_refuses_text(GOOD, "other days than 2026-11-26: the first of these is of 2026-11-27", "another day's");
	kit_expected.day = "2026-13-01";
	kit_refuses_text(GOOD, "is no day", "no day");
	kit_expected.day = "2026-11-27";
	kit_refuses_text(BOM ALL_HEADER "`1,`2,`3\r\n", "line 2 does not have the 27 columns", "a short row");
	kit_refuses_text(BOM ALL_HEADER
					 "`2026-11-27 10:00:00,`wx1,`1900000100,`0,`,`4200000001,`o1,`u,`JSAPI,`REFUND,`OTHERS,`USD,"
					 "`0.00,`0.00,`5030001,`r1,`2.50,`0.50,`ORIGINAL,`SUCCESS,`tea,`,`-0.01500,`0.60%,`0.00,`3.00,`\r\n",
					 "货币种类", "another currency");
	kit_refuses_text(BOM ALL_HEADER
					 "`2026-11-27 10:00:00,`wx1,`1900000100,`0,`,`4200000001,`o1,`u,`JSAPI,`REFUND,`OTHERS,`CNY,"
					 "`0.00,`0.00,`5030001,`r1,`-2.50,`0.50,`ORIGINAL,`SUCCESS,`tea,`,`-0.01500,`0.60%,`0.00,`3.00,`\r\n",
					 "退款金额", "a negative refund");
	kit_refuses_text(BOM ALL_HEADER
					 "`2026-11-27 10:00:00,`wx1,`1900000100,`0,`,`4200000001,`o1,`u,`JSAPI,`REFUND,`OTHERS,`CNY,"
					 "`0.00,`0.00,`5030001,`r1,`99999999999999.00,`0.50,`ORIGINAL,`SUCCESS,`tea,`,`-0.01500,`0.60%,"
					 "`0.00,`3.00,`\r\n", "退款金额", "more money than there is");
	kit_refuses_text(BOM ALL_HEADER
					 "`2026-11-27 25:00:00,`wx1,`1900000100,`0,`,`4200000001,`o1,`u,`JSAPI,`REFUND,`OTHERS,`CNY,"
					 "`0.00,`0.00,`5030001,`r1,`2.50,`0.50,`ORIGINAL,`SUCCESS,`tea,`,`-0.01500,`0.60%,`0.00,`3.00,`\r\n",
					 "交易时间", "no time");
}

/* ---- files that are made to hurt ---- */

static void
test_packed(void)
{
	Buf			packed = BUF_INIT;
	Buf			plain = BUF_INIT;
	size_t		whole;
	size_t		i;

	kit_gzip(GOOD, strlen(GOOD), &packed);
	whole = packed.len;
	is_int(kit_read(packed.data, whole), BILL_END, "packed");
	for (i = 2; i < whole; i += 11)
		is_int(kit_read(packed.data, i), BILL_BAD, "cut off");
	has(kit_error.message, "ends in its middle", "and it says so");
	packed.data[whole - 6] ^= 1;
	kit_refuses(packed.data, whole, "damaged", "another checksum");
	packed.data[whole - 6] ^= 1;
	packed.data[40] ^= 0x55;
	is_int(kit_read(packed.data, whole), BILL_BAD, "a byte was changed");
	packed.data[40] ^= 0x55;
	buf_addc(&packed, '\0');
	kit_refuses(packed.data, packed.len, "behind the gzip stream", "something behind it");
	packed.len--;
	kit_gzip("x", 1, &packed);
	kit_refuses(packed.data, packed.len, "behind the gzip stream", "a second stream");
	buf_reset(&packed);

	/* bombs: of zeros, of lines, and one that stays below the limit but not the ratio */
	plain.limit = 128 * 1024 * 1024;
	for (i = 0; i < 72 * 1024; i++)
		buf_add(&plain, "0000000000000000000000000000000000000000000000000000000000000000"
				"0000000000000000000000000000000000000000000000000000000000000000"
				"0000000000000000000000000000000000000000000000000000000000000000"
				"0000000000000000000000000000000000000000000000000000000000000000"
				"0000000000000000000000000000000000000000000000000000000000000000"
				"0000000000000000000000000000000000000000000000000000000000000000"
				"0000000000000000000000000000000000000000000000000000000000000000"
				"0000000000000000000000000000000000000000000000000000000000000000"
				"0000000000000000000000000000000000000000000000000000000000000000"
				"0000000000000000000000000000000000000000000000000000000000000000"
				"0000000000000000000000000000000000000000000000000000000000000000"
				"0000000000000000000000000000000000000000000000000000000000000000"
				"0000000000000000000000000000000000000000000000000000000000000000"
				"0000000000000000000000000000000000000000000000000000000000000000"
				"0000000000000000000000000000000000000000000000000000000000000000"
				"000000000000000000000000000000000000000000000000000000000000000", 1023);
	kit_gzip(plain.data, plain.len, &packed);
	kit_refuses(packed.data, packed.len, "more than 16384 bytes", "a bomb of one line");
	buf_reset(&packed);
	buf_reset(&plain);
	buf_adds(&plain, BOM ALL_HEADER);
	while (plain.len < 80 * 1024 * 1024)
		buf_adds(&plain, PAYMENT PAYMENT PAYMENT PAYMENT PAYMENT PAYMENT PAYMENT PAYMENT);
	kit_gzip(plain.data, plain.len, &packed);
	kit_refuses(packed.data, packed.len, "more than the 67108864 bytes", "a bomb of lines, by the limit");
	kit_expected.max_size = INT64_C(1) << 40;
	kit_refuses(packed.data, packed.len, "unpacks to more than", "and by how well it is packed");
	kit_expected.max_size = 64 * 1024 * 1024;
	buf_free(&plain);
	buf_free(&packed);
}

static void
test_lines(void)
{
	Buf			text = BUF_INIT;
	BillInput	input;
	BillLine	line;
	BillReader *reader;
	ChannelError err;
	FILE	   *file = tmpfile();
	size_t		i;

	buf_adds(&text, BOM);
	for (i = 0; i < 17000; i++)
		buf_addc(&text, 'x');
	buf_addc(&text, '\n');
	kit_refuses(text.data, text.len, "line 1 has more than 16384 bytes", "a long line");
	buf_reset(&text);
	for (i = 0; i < 70; i++)
		buf_adds(&text, "a,");
	kit_refuses(text.data, text.len, "more than 64 columns", "many columns");

	/* a descriptor, wherever it stands, and one that is shorter than was said */
	buf_reset(&text);
	buf_adds(&text, GOOD);
	if (file == NULL || fwrite(text.data, 1, text.len, file) != text.len || fflush(file) != 0)
		abort();
	input.data = NULL;
	input.fd = fileno(file);
	input.size = (int64_t) text.len;
	reader = kit_bill->open(&input, &kit_expected, &err);
	is_int(bill_next(reader, &line, &err), BILL_LINE, "from a descriptor");
	ok(bill_totals(reader) == NULL, "nothing counts before the end");
	is_int(bill_next(reader, &line, &err), BILL_END, "its end");
	is_int(bill_next(reader, &line, &err), BILL_END, "which stays the end");
	is_int(bill_position(reader), text.len, "all of it was read");
	bill_close(reader);
	input.size += 10;
	reader = kit_bill->open(&input, &kit_expected, &err);
	if (reader != NULL)
	{
		while (bill_next(reader, &line, &err) == BILL_LINE)
			 /* to the end */ ;
		is_int(bill_next(reader, &line, &err), BILL_BAD, "which stays bad");
	}
	has(err.message, "was said to have", "a file that is shorter than was said");
	bill_close(reader);
	bill_close(NULL);
	fclose(file);
	buf_free(&text);
}

static void
test_registry(void)
{
	static const char *const kinds[] = {"trade", "fund_basic", "fund_operation", NULL};
	int			i;

	for (i = 0; kinds[i] != NULL; i++)
		is_str(channel_bill_at("wechat", i)->kind, kinds[i], "a kind of WeChat's");
	ok(channel_bill_at("wechat", 3) == NULL && channel_bill_at("wechat", -1) == NULL &&
	   channel_bill_at("none", 0) == NULL && channel_bill("wechat", "none") == NULL, "and no other");
	is_str(bill_movement_name(BILL_CAME_BACK), "came_back", "a movement's name");
	is_str(bill_movement_name((BillMovement) 99), "unknown", "what is none");
}

int
main(void)
{
	kit_bill = channel_bill("wechat", "trade");
	test_all();
	test_layouts();
	test_escapes();
	test_totals();
	test_rows();
	test_packed();
	test_lines();
	test_registry();
	return unit_done();
}
