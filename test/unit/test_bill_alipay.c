/*-------------------------------------------------------------------------
 *
 * test_bill_alipay.c
 *	  Alipay's bills: ZIP, GB18030, comment lines, totals, hostile files.
 *
 * test/unit/test_bill_alipay.c
 *
 *-------------------------------------------------------------------------
 */
#include <iconv.h>
#include <unistd.h>

#include "unit.h"
#include "billkit.h"

#define HEAD(title, day, next) \
	"#支付宝" title "明细查询\r\n#账号：[20880000000000000156]\r\n" \
	"#起始日期：[" day " 00:00:00]   终止日期：[" next " 00:00:00]\r\n" \
	"#-----------------------------------------" title "明细列表----------------------------------------\r\n"
#define TRADE_HEAD HEAD("业务", "2026年11月27日", "2026年11月28日")
#define ACCOUNT_HEAD HEAD("账务", "2026年11月27日", "2026年11月28日")
#define TRADE_COLUMNS \
	"支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户," \
	"订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）," \
	"券名称,商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注\r\n"
#define TRADE_ROW(order, type, name, amount, no, fee) \
	"202611270001\t,\t" order "\t," type "\t,\t" name "\t,2026-11-27 09:00:00\t,2026-11-27 10:00:00\t,\t,\t,\t,\t," \
	"*三(133****1111)\t," amount "\t," amount "\t,0.00,0.00,0.00,0.00,0.00,\t,0.00,0.00,\t" no "\t," fee ",0.00,\t\r\n"
#define TRADE_END \
	"#-----------------------------------------业务明细列表结束------------------------------------\r\n"
#define TRADE_TOTALS(n, sum, rn, rsum) \
	TRADE_END "#交易合计：" n "笔，商家实收共" sum "元，商家优惠共0.00元\r\n" \
	"#退款合计：" rn "笔，商家实收退款共" rsum "元，商家优惠退款共0.00元\r\n#导出时间：[2026年11月28日 06:27:10]\r\n"
#define TRADE \
	TRADE_HEAD TRADE_COLUMNS TRADE_ROW("o1", "交易", "茶𠀀", "20.00", "", "-0.12") \
	TRADE_ROW("o1", "退款", "茶", "-3.00", "r1", "0.02") TRADE_ROW("o2", "退款", "茶", "-1.50", "", "0.00") \
	TRADE_TOTALS("1", "20.00", "2", "-4.50")

#define ACCOUNT_COLUMNS \
	"账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,收入金额（+元）,支出金额（-元）,账户余额（元）," \
	"交易渠道,业务类型,备注\r\n"
#define ACCOUNT_ROW(time, business, order, in, out, balance, type) \
	"l1\t," business "\t," order "\t,\t,2026-11-27 " time "\t,\t," in "," out "," balance ",\t," type "\t,\t\r\n"
#define ACCOUNT_TOTALS(n, out, m, in) \
	"#-----------------------------------------账务明细列表结束------------------------------------\r\n" \
	"#支出合计：" n "笔，共" out "元\r\n#收入合计：" m "笔，共" in "元\r\n#导出时间：[2026年11月28日 06:27:10]\r\n"

/* A text of this file's as Alipay writes it. */
static void
to_gbk(const char *text, Buf *out)
{
	iconv_t		cd = iconv_open("GB18030", "UTF-8");
	char	   *from = (char *) (uintptr_t) text;
	size_t		left = strlen(text);
	char		piece[65536];
	char	   *to = piece;
	size_t		room = sizeof(piece);

	if (cd == (iconv_t) -1 || iconv(cd, &from, &left, &to, &room) == (size_t) -1)
		abort();
	iconv_close(cd);
	buf_add(out, piece, (size_t) (to - piece));
}

typedef struct Entry
{
	const char *name;			/* UTF-8; becomes GBK */
	const char *text;
	const char *password;
} Entry;

/* A ZIP in memory. */
static void
make_zip(const Entry *entries, int count, Buf *out)
{
	zip_error_t error;
	zip_source_t *source;
	zip_t	   *zip;
	zip_stat_t	st;
	Buf			names[8];
	Buf			texts[8];
	int			i;

	zip_error_init(&error);
	source = zip_source_buffer_create(NULL, 0, 0, &error);
	zip_source_keep(source);
	zip = zip_open_from_source(source, ZIP_TRUNCATE, &error);
	for (i = 0; i < count; i++)
	{
		zip_int64_t at;

		buf_init(&names[i]);
		buf_init(&texts[i]);
		to_gbk(entries[i].name, &names[i]);
		to_gbk(entries[i].text, &texts[i]);
		at = zip_file_add(zip, buf_str(&names[i]),
						  zip_source_buffer(zip, buf_str(&texts[i]), texts[i].len, 0), ZIP_FL_ENC_CP437);
		if (at < 0)
			abort();
		if (entries[i].password != NULL)
			zip_file_set_encryption(zip, (zip_uint64_t) at, ZIP_EM_TRAD_PKWARE, entries[i].password);
	}
	if (zip_close(zip) != 0)
		abort();
	zip_source_stat(source, &st);
	zip_source_open(source);
	for (zip_uint64_t left = st.size; left > 0;)
	{
		char		piece[4096];
		zip_int64_t n = zip_source_read(source, piece, sizeof(piece));

		if (n <= 0)
			abort();
		buf_add(out, piece, (size_t) n);
		left -= (zip_uint64_t) n;
	}
	zip_source_close(source);
	zip_source_free(source);
	for (i = 0; i < count; i++)
	{
		buf_free(&names[i]);
		buf_free(&texts[i]);
	}
}

static BillStep
read_gbk(const char *text)
{
	Buf			raw = BUF_INIT;
	BillStep	step;

	to_gbk(text, &raw);
	step = kit_read(raw.data, raw.len);
	buf_free(&raw);
	return step;
}

#define refuses_gbk(text, part, name) \
	do { \
		is_int(read_gbk(text), BILL_BAD, (name)); \
		has(kit_error.message, (part), (name)); \
	} while (0)

static void
refuses_zip(const Entry *entries, int count, const char *part, const char *name)
{
	Buf			zip = BUF_INIT;

	make_zip(entries, count, &zip);
	kit_refuses(zip.data, zip.len, part, name);
	buf_free(&zip);
}

static void
check_trade(const char *how)
{
	is_str(kit_error.message, "", how);
	is_int(kit_line_count, 2, "two refunds");
	is_str(kit_line[0].wire_no, "r1", "by its number");
	is_str(kit_line[0].payment_no, "o1", "of the order");
	is_str(kit_line[0].channel_payment_id, "202611270001", "of the trade");
	is_int(kit_line[0].amount, 300, "a negative amount is a refund's");
	is_int(kit_line[0].fee, -2000, "a fee given back");
	is_int(kit_line[0].movement, BILL_PAID, "paid");
	is_int(kit_line[0].occurred_at, INT64_C(1795744800) * 1000000, "when");
	is_str(kit_line[1].wire_no, "o2", "without a number it has the order's");
	is_int(kit_totals.lines, 3, "lines");
	is_int(kit_totals.amount, 450, "sum");
	ok(kit_totals.has_refunds && !kit_totals.has_transfers, "what it covers");
}

static void
test_trade(void)
{
	static const Entry both[] = {
		{"20880000000000000156_20261127_业务明细.csv", TRADE, NULL},
		{"20880000000000000156_20261127_业务明细(汇总).csv", "#x\r\n", NULL},
	};
	Buf			zip = BUF_INIT;
	Buf			packed = BUF_INIT;
	Buf			raw = BUF_INIT;
	Buf			marked = BUF_INIT;

	kit_bill = channel_bill("alipay", "trade");
	is_int(read_gbk(TRADE), BILL_END, "a file as it is");
	check_trade("plain");
	make_zip(both, 2, &zip);
	is_int(kit_read(zip.data, zip.len), BILL_END, "a ZIP");
	check_trade("zipped");
	to_gbk(TRADE, &raw);
	kit_gzip(raw.data, raw.len, &packed);
	is_int(kit_read(packed.data, packed.len), BILL_END, "packed by somebody");
	check_trade("gzipped");
	buf_adds(&marked, "\xef\xbb\xbf" TRADE);
	is_int(kit_read(marked.data, marked.len), BILL_END, "saved as UTF-8");
	check_trade("UTF-8");
	kit_expected.merchant = "2088000000000000";
	is_int(read_gbk(TRADE), BILL_END, "of this seller");
	kit_expected.merchant = "2088999999999999";
	refuses_gbk(TRADE, "2088999999999999", "of another seller");
	kit_expected.merchant = "2021000000000000";
	is_int(read_gbk(TRADE), BILL_END, "an app's number tells nothing");
	kit_expected.merchant = "";
	buf_free(&zip);
	buf_free(&packed);
	buf_free(&raw);
	buf_free(&marked);
}

static void
test_trade_refusals(void)
{
	kit_bill = channel_bill("alipay", "trade");
	refuses_gbk(TRADE_HEAD TRADE_COLUMNS TRADE_ROW("o1", "退款", "茶,绿", "-3.00", "r1", "0")
				TRADE_TOTALS("0", "0.00", "1", "-3.00"), "line 6 has 26 fields, and the header 25",
				"a comma in a name");
	has(kit_error.hint, "by hand", "and what to do");
	refuses_gbk(TRADE_HEAD TRADE_COLUMNS TRADE_ROW("o1", "退款", "茶", "-3.00", "r1", "0")
				TRADE_TOTALS("0", "0.00", "2", "-3.00"), "退款合计", "wrong number");
	refuses_gbk(TRADE_HEAD TRADE_COLUMNS TRADE_ROW("o1", "退款", "茶", "-3.00", "r1", "0")
				TRADE_TOTALS("0", "0.00", "1", "-3.01"), "退款合计", "wrong sum");
	refuses_gbk(TRADE_HEAD TRADE_COLUMNS TRADE_ROW("o1", "退款", "茶", "-3.00", "r1", "0")
				TRADE_TOTALS("1", "0.00", "1", "-3.00"), "交易合计", "wrong number of payments");
	refuses_gbk(TRADE_HEAD TRADE_COLUMNS TRADE_ROW("o1", "退款", "茶", "-3.00", "r1", "0") TRADE_END
				"#交易合计：0笔，商家实收共0.00元\r\n", "ends without \"退款合计\"", "half of the totals");
	refuses_gbk(TRADE_HEAD TRADE_COLUMNS TRADE_ROW("o1", "退款", "茶", "-3.00", "r1", "0"),
				"ends without its totals", "no end");
	refuses_gbk(TRADE_HEAD, "before the header", "no rows at all");
	refuses_gbk(TRADE_HEAD TRADE_COLUMNS TRADE_ROW("o1", "退款", "茶", "3.00", "r1", "0")
				TRADE_TOTALS("0", "0.00", "1", "3.00"), "is positive", "a refund that came in");
	refuses_gbk(TRADE_HEAD TRADE_COLUMNS TRADE_ROW("o1", "分账", "茶", "-3.00", "r1", "0")
				TRADE_TOTALS("0", "0.00", "1", "-3.00"), "业务类型", "neither a payment nor a refund");
	refuses_gbk(HEAD("业务", "2026年11月26日", "2026年11月27日") TRADE_COLUMNS, "of 2026-11-26",
				"another day");
	refuses_gbk(HEAD("业务", "2026年11月27日", "2026年12月01日") TRADE_COLUMNS, "more than a day",
				"several days");
	refuses_gbk(ACCOUNT_HEAD ACCOUNT_COLUMNS, "账务明细", "the account's bill is no bill of trades");
	refuses_gbk(TRADE_HEAD ACCOUNT_COLUMNS, "支付宝交易号", "other columns");
	refuses_gbk(TRADE TRADE_ROW("o1", "退款", "茶", "-3.00", "r1", "0"), "behind the end", "rows behind the end");
	kit_refuses_text(TRADE, "in another encoding", "UTF-8 without a mark is not Alipay's");
}

/* Wherever it is cut off before its last total, it is not a bill. */
static void
test_cut(void)
{
	Buf			raw = BUF_INIT;
	size_t		i;
	size_t		end;

	kit_bill = channel_bill("alipay", "trade");
	to_gbk(TRADE, &raw);
	end = (size_t) ((char *) memmem(raw.data, raw.len, "-4.5", 4) - raw.data) + 3;
	for (i = 0; i < end; i++)
		if (kit_read(raw.data, i) != BILL_BAD)
			break;
	is_int(i, end, "cut off anywhere, it is refused");
	buf_free(&raw);
}

static void
test_account(void)
{
	kit_bill = channel_bill("alipay", "account");
	is_int(read_gbk(ACCOUNT_HEAD ACCOUNT_COLUMNS
					ACCOUNT_ROW("09:00:00", "t1", "o1", "20.00", "", "120.00", "在线支付")
					ACCOUNT_ROW("09:00:01", "t1", "o1", "", "-0.12", "119.88", "收费")
					ACCOUNT_ROW("10:00:00", "t1", "o1", "", "-3.00", "116.88", "交易退款")
					ACCOUNT_ROW("10:30:00", "f1", "w1", "0.00", "15.00", "101.88", "转账")
					ACCOUNT_ROW("10:40:00", "f2", "w2", "0.00", "-5.00", "96.88", "转账")
					ACCOUNT_ROW("11:00:00", "f2", "w2", "5.00", "0.00", "101.88", "转账退回")
					ACCOUNT_ROW("12:00:00", "f3", "", "1.00", "", "102.88", "转账")
					ACCOUNT_ROW("13:00:00", "x", "", "2.00", "", "104.88", "新业务")
					ACCOUNT_TOTALS("4", "-23.12", "4", "28.00")), BILL_END, "the account's bill");
	is_str(kit_error.message, "", "and nothing said against it");
	is_int(kit_line_count, 7, "payments are counted only");
	is_int(kit_line[0].movement, BILL_FEE, "a fee");
	is_int(kit_line[0].fee, 12000, "which was taken");
	is_int(kit_line[1].movement, BILL_OTHER, "a refund is not named here");
	is_str(kit_line[1].wire_no, "", "it has no number");
	is_str(kit_line[1].payment_no, "o1", "only the order's");
	is_int(kit_line[2].movement, BILL_PAID, "a transfer");
	is_int(kit_line[2].product, PRODUCT_TRANSFER, "a transfer");
	is_str(kit_line[2].wire_no, "w1", "its number");
	is_str(kit_line[2].channel_refund_id, "f1", "Alipay's number");
	is_int(kit_line[2].balance_change, -1500, "went out, written without a minus");
	is_int(kit_line[3].balance_change, -500, "went out, written with one");
	is_int(kit_line[4].movement, BILL_CAME_BACK, "it bounced");
	is_int(kit_line[5].movement, BILL_OTHER, "somebody's transfer to us");
	is_int(kit_line[6].movement, BILL_OTHER, "what is not listed");
	is_str(kit_line[6].code, "新业务", "is shown");
	is_int(kit_totals.opening, 10000, "opening");
	is_int(kit_totals.closing, 10488, "closing");
	is_int(kit_totals.opening + kit_totals.in - kit_totals.out, kit_totals.closing, "which is the proof");
	is_int(read_gbk(ACCOUNT_HEAD ACCOUNT_COLUMNS ACCOUNT_TOTALS("0", "0.00", "0", "0.00")), BILL_END,
		   "a day without movements");
	ok(!kit_totals.has_balance, "says nothing of the balance");
	refuses_gbk(ACCOUNT_HEAD ACCOUNT_COLUMNS
				ACCOUNT_ROW("10:30:00", "f1", "w1", "1.00", "-15.00", "101.88", "转账")
				ACCOUNT_TOTALS("1", "-15.00", "1", "1.00"), "支出金额", "in and out at once");
	refuses_gbk(ACCOUNT_HEAD ACCOUNT_COLUMNS
				ACCOUNT_ROW("10:30:00", "f1", "w1", "", "-15.00", "101.88", "转账")
				ACCOUNT_TOTALS("1", "16.00", "0", "0.00"), "支出合计", "wrong sum");
	refuses_gbk(TRADE, "业务明细", "a bill of trades is no account's");
}

static void
test_zip(void)
{
	static const Entry hostile_path[] = {{"/etc/业务明细.csv", TRADE, NULL}};
	static const Entry up_path[] = {{"a/../../业务明细.csv", TRADE, NULL}};
	static const Entry drive[] = {{"C:/业务明细.csv", TRADE, NULL}};
	static const Entry strange_other[] = {{"a业务明细.csv", TRADE, NULL}, {"../evil", "x", NULL}};
	static const Entry log_line[] = {{"../a\nLOG:  forged", TRADE, NULL}};
	static const Entry two[] = {{"a业务明细.csv", TRADE, NULL}, {"b业务明细.csv", TRADE, NULL}};
	static const Entry none[] = {{"a业务明细(汇总).csv", TRADE, NULL}, {"readme.txt", "x", NULL}};
	static const Entry locked[] = {{"a业务明细.csv", TRADE, "secret"}};
	static const Entry good[] = {{"a业务明细.csv", TRADE, NULL}};
	static const Entry many[] = {{"1", "x", NULL}, {"2", "x", NULL}, {"3", "x", NULL}, {"4", "x", NULL},
	{"5", "x", NULL}, {"6", "x", NULL}, {"7", "x", NULL}, {"a业务明细.csv", TRADE, NULL}};
	Buf			zip = BUF_INIT;
	unsigned char *p;
	size_t		i;

	kit_bill = channel_bill("alipay", "trade");
	refuses_zip(hostile_path, 1, "/etc/", "an absolute path");
	refuses_zip(up_path, 1, "..", "a path upwards");
	refuses_zip(drive, 1, "C:", "a drive");
	refuses_zip(strange_other, 2, "../evil", "also of an entry that is not read");
	refuses_zip(log_line, 1, "../a?LOG", "a name that would begin a line of the log");
	refuses_zip(two, 2, "two bills", "two bills");
	refuses_zip(none, 2, "none of the ZIP's 2 entries", "no bill");
	refuses_zip(locked, 1, "is encrypted", "an encrypted one");

	make_zip(many, 8, &zip);
	is_int(kit_read(zip.data, zip.len), BILL_END, "eight entries are allowed");
	for (i = 0; i + 22 <= zip.len; i++)
		if (memcmp(zip.data + i, "PK\005\006", 4) == 0)
			zip.data[i + 10] = 9;
	kit_refuses(zip.data, zip.len, "more than 8 entries", "nine are not");
	buf_free(&zip);

	make_zip(good, 1, &zip);
	is_int(kit_read(zip.data, zip.len), BILL_END, "the good one");
	for (i = 1; i < zip.len; i += 7)
		is_int(kit_read(zip.data, zip.len - i), BILL_BAD, "cut off");
	kit_expected.max_size = 1000;
	kit_refuses(zip.data, zip.len, "1000 are allowed", "larger than allowed, as it claims itself");
	kit_expected.max_size = 64 * 1024 * 1024;

	/* the central directory's sizes: 4 GiB, then less than there is */
	p = memmem(zip.data, zip.len, "PK\001\002", 4);
	memcpy(p + 24, "\xfe\xff\xff\xff", 4);
	kit_refuses(zip.data, zip.len, "claims 4294967294 bytes", "4 GiB claimed");
	kit_expected.max_size = INT64_C(8) * 1024 * 1024 * 1024;
	is_int(kit_read(zip.data, zip.len), BILL_BAD, "also where so much is allowed: it is not there");
	kit_expected.max_size = 500;
	memcpy(p + 24, "\x10\x00\x00\x00", 4);
	kit_refuses(zip.data, zip.len, "and claims 16", "a claim is not believed");
	kit_expected.max_size = 64 * 1024 * 1024;
	buf_free(&zip);

	/* a byte of the packed text changed */
	make_zip(good, 1, &zip);
	for (i = 60; i < 200; i += 20)
	{
		zip.data[i] ^= 0x40;
		is_int(kit_read(zip.data, zip.len), BILL_BAD, "a byte was changed");
		zip.data[i] ^= 0x40;
	}
	buf_free(&zip);
	kit_refuses("PK\003\004", 4, "no end", "a beginning only");
	kit_refuses("PK\005\006\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22, "none of the ZIP's 0 entries", "an empty ZIP");
}

/* A ZIP at a descriptor, which others read from, too. */
static void
test_descriptor(void)
{
	static const Entry good[] = {{"a业务明细.csv", TRADE, NULL}};
	FILE	   *file = tmpfile();
	BillInput	input = {NULL, -1, 0};
	BillLine	line;
	BillReader *reader;
	ChannelError err;
	Buf			zip = BUF_INIT;
	int			count = 0;

	make_zip(good, 1, &zip);
	if (file == NULL || fwrite(zip.data, 1, zip.len, file) != zip.len || fflush(file) != 0)
		abort();
	input.fd = fileno(file);
	input.size = (int64_t) zip.len;
	reader = channel_bill("alipay", "trade")->open(&input, &kit_expected, &err);
	ok(reader != NULL, "a ZIP at a descriptor");
	while (bill_next(reader, &line, &err) == BILL_LINE)
		count++;
	is_int(count, 2, "is read");
	is_int(bill_totals(reader)->refunds, 2, "to its end");
	ok(bill_position(reader) > 0 && bill_position(reader) <= input.size, "which is somewhere in it");
	is_int(lseek(input.fd, 0, SEEK_CUR), zip.len, "and the descriptor stays where it was");
	bill_close(reader);
	fclose(file);
	buf_free(&zip);
}

int
main(void)
{
	test_trade();
	test_trade_refusals();
	test_cut();
	test_account();
	test_zip();
	test_descriptor();
	return unit_done();
}
