/*-------------------------------------------------------------------------
 *
 * alipay_bill_file.c
 *	  Alipay's bills as files: of trades, and of the account (6.2).
 *
 * A ZIP with two entries, details and summary, whose names and contents are
 * GB18030: commas, CRLF, a TAB after most values so that a spreadsheet leaves
 * long numbers alone, and lines that begin with '#' before and after.
 *
 * sandbox/alipay_bill_file.c
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "alipay.h"
#include "books.h"

#define OTHER_PID		"2088000000000099"
#define ACCOUNT_SUFFIX	"0156"
#define FILE_LIMIT		((size_t) 1024 * 1024 * 1024)

/* ---- lines, in UTF-8 ---- */

static void
end_line(Buf *out)
{
	buf_adds(out, "\r\n");
}

/* A value of a row; padded: with the TAB after it. */
static void
put(Buf *out, const char *s, bool padded)
{
	if (out->len > 0 && out->data[out->len - 1] != '\n')
		buf_addc(out, ',');
	buf_adds(out, s);
	if (padded)
		buf_addc(out, '\t');
}

static const char *
yuan(int64_t fen, char text[32])
{
	int64_t		n = fen < 0 ? -fen : fen;

	snprintf(text, 32, "%s%lld.%02d", fen < 0 ? "-" : "", (long long) (n / 100), (int) (n % 100));
	return text;
}

static void
put_yuan(Buf *out, int64_t fen)
{
	char		text[32];

	put(out, yuan(fen, text), false);
}

static void
put_time(Buf *out, int64_t ms, SbSpoil spoil)
{
	char		text[40];

	alipay_time(ms - (spoil == SPOIL_OTHER_DAY ? DAY_MS : 0), text);
	put(out, text, true);
}

/* "2026年10月03日 00:00:00" */
static void
add_chinese_time(Buf *out, int64_t ms)
{
	char		text[40];

	alipay_time(ms, text);
	buf_addf(out, "%.4s年%.2s月%.2s日 %s", text, text + 5, text + 8, text + 11);
}

static void
add_head(Buf *out, const char *title, const char *list, int64_t day, SbSpoil spoil)
{
	int64_t		start = day - (spoil == SPOIL_OTHER_DAY ? DAY_MS : 0);

	buf_addf(out, "#支付宝%s查询\r\n", title);
	buf_addf(out, "#账号：[%s" ACCOUNT_SUFFIX "]\r\n",
			 spoil == SPOIL_FOREIGN ? OTHER_PID : ALIPAY_SELLER_ID);
	buf_adds(out, "#起始日期：[");
	add_chinese_time(out, start);
	buf_adds(out, "]   终止日期：[");
	add_chinese_time(out, start + DAY_MS);
	buf_addf(out, "]\r\n#-----------------------------------------%s列表----------------------------------------\r\n",
			 list);
}

static void
add_end(Buf *out, const char *list)
{
	buf_addf(out, "#-----------------------------------------%s列表结束------------------------------------\r\n",
			 list);
}

/* Made at nine of the next day, whenever it is asked for: the file is always the same. */
static void
add_exported(Buf *out, int64_t day)
{
	buf_adds(out, "#导出时间：[");
	add_chinese_time(out, day + DAY_MS + INT64_C(32400000));
	buf_adds(out, "]\r\n");
}

/* ---- trades ---- */

static const char *const goods[] = {"T恤", "米 5kg 東北", "咖啡杯・大", "𠮷野家套餐"};

static void
add_trade_headings(Buf *out, bool historic)
{
	buf_adds(out, "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,"
			 "对方账户,订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,"
			 "券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）");
	buf_adds(out, historic ? ",备注\r\n" : ",分润（元）,备注\r\n");
}

static void
add_trade_row(Buf *out, const Trade *t, SbSpoil spoil)
{
	const SbOrder *o = t->order;
	int64_t		sign = t->refund ? -1 : 1;
	const char *reason = t->refund ? json_string_value(json_object_get(t->refund->data, "reason")) : NULL;
	int			i;

	put(out, o->transaction_id, true);
	put(out, o->out_trade_no, true);
	put(out, t->refund ? "退款" : "交易", true);
	put(out, goods[hash_string(o->transaction_id, 5) % 4], true);
	put_time(out, o->created, spoil);
	put_time(out, t->at, spoil);
	put(out, "", true);
	put(out, "望湘园联洋店", true);
	put(out, "", true);
	put(out, "", true);
	put(out, "*张三(" ALIPAY_BUYER_LOGON ")", true);
	put_yuan(out, sign * t->amount);
	put_yuan(out, sign * t->settled);
	for (i = 0; i < 3; i++)
		put_yuan(out, 0);
	put_yuan(out, sign * (t->amount - t->settled));
	put_yuan(out, 0);
	put(out, "", true);
	put_yuan(out, 0);
	put_yuan(out, 0);
	put(out, t->refund ? t->refund->no : "", true);
	put_yuan(out, -t->fee);		/* taken: negative; given back: positive */
	if (spoil != SPOIL_HISTORIC)
		put_yuan(out, 0);
	/* nothing escapes a comma here: a text that has one is left out */
	put(out, reason && strchr(reason, ',') == NULL ? reason : "", false);
	end_line(out);
}

typedef struct TradeSums
{
	int			count;
	int64_t		settled;
	int64_t		discount;
	int64_t		fee;
} TradeSums;

static void
add_trade_totals(Buf *out, const TradeSums *paid, const TradeSums *back, SbSpoil spoil)
{
	char		a[32],
				b[32];

	buf_addf(out, "#交易合计：%d笔，商家实收共%s元，商家优惠共%s元\r\n", paid->count,
			 yuan(paid->settled, a), yuan(paid->discount, b));
	buf_addf(out, "#退款合计：%d笔，商家实收退款共%s元，商家优惠退款共%s元\r\n", back->count,
			 yuan(-back->settled - (spoil == SPOIL_TOTALS), a), yuan(-back->discount, b));
}

static void
add_trade_summary(Buf *out, const TradeSums *paid, const TradeSums *back, int64_t day, SbSpoil spoil)
{
	char		text[4][32];

	add_head(out, "业务汇总", "业务汇总", day, spoil);
	buf_adds(out, "门店编号,门店名称,交易订单总笔数,退款订单总笔数,订单金额（元）,商家实收（元）,支付宝优惠（元）,"
			 "商家优惠（元）,卡消费金额（元）,服务费（元）,分润（元）,实收净额（元）\r\n");
	buf_addf(out, "合计\t,\t,%d\t,%d\t,%s,%s,0.00,%s,0.00,%s,0.00,%s\r\n", paid->count, back->count,
			 yuan(paid->settled + paid->discount - back->settled - back->discount, text[0]),
			 yuan(paid->settled - back->settled, text[1]), yuan(paid->discount - back->discount, text[2]),
			 yuan(-paid->fee - back->fee, text[3]), text[1]);
	add_end(out, "业务汇总");
	add_exported(out, day);
}

/* True: there was business that day. */
static bool
trade_bill(const SbMerchant *m, int64_t day, SbSpoil spoil, Buf *out, Buf *summary)
{
	TradeSums	sums[2] = {{0}};
	Trades		list;
	size_t		i;

	book_trades(m, day, day + DAY_MS, day + DAY_MS, &list);
	add_head(out, "业务明细", "业务明细", day, spoil);
	add_trade_headings(out, spoil == SPOIL_HISTORIC);
	for (i = 0; i < list.count; i++)
	{
		const Trade *t = &list.item[i];
		TradeSums  *s = &sums[t->refund != NULL];

		add_trade_row(out, t, spoil);
		s->count++;
		s->settled += t->settled;
		s->discount += t->amount - t->settled;
		s->fee += t->fee;
	}
	free(list.item);
	add_end(out, "业务明细");
	add_trade_totals(out, &sums[0], &sums[1], spoil);
	add_exported(out, day);
	add_trade_summary(summary, &sums[0], &sums[1], day, spoil);
	return sums[0].count + sums[1].count > 0;
}

/* ---- the account ---- */

static const char *const move_words[] = {
	[MOVE_PAYMENT] = "在线支付",
	[MOVE_PAYMENT_FEE] = "收费",
	[MOVE_REFUND] = "交易退款",
	[MOVE_REFUND_FEE] = "退费",
	[MOVE_REFUND_BACK] = "交易退款退回",
	[MOVE_REFUND_HOME] = "交易退款退回",
	[MOVE_REFUND_BACK_FEE] = "收费",
	[MOVE_TRANSFER] = "转账",
	[MOVE_TRANSFER_BACK] = "转账退回",
	[MOVE_OTHER] = "充值"
};

/*
 * A refund's line names the trade, and not the refund: so it is with them.
 */
static void
add_move_row(Buf *out, const Movement *m, SbSpoil spoil)
{
	const char *type = m->kind == MOVE_OTHER && m->change < 0 ? "提现" : move_words[m->kind];
	char		flow[48];

	snprintf(flow, sizeof(flow), "%017lld%02d", (long long) m->sequence, (int) m->kind);
	put(out, flow, true);
	put(out, m->order ? m->order->transaction_id : m->transfer ? m->transfer->id : flow, true);
	put(out, m->order ? m->order->out_trade_no : m->transfer ? m->transfer->no : "", true);
	put(out, m->order ? goods[hash_string(m->order->transaction_id, 5) % 4] : "", true);
	put_time(out, m->at, spoil);
	put(out, m->order ? ALIPAY_BUYER_LOGON : "", true);
	if (m->change > 0)
	{
		char		text[32];

		put(out, "+", false);
		buf_adds(out, yuan(m->change, text));
		put(out, "0.00", false);
	}
	else
	{
		put(out, "0.00", false);
		put_yuan(out, m->change);
	}
	put_yuan(out, m->balance);
	put(out, "支付宝", true);
	put(out, type, true);
	put(out, m->text && strchr(m->text, ',') == NULL ? m->text : "", false);
	end_line(out);
}

static void
add_account_totals(Buf *out, const int *count, const int64_t *sum, SbSpoil spoil)
{
	char		text[32];

	buf_addf(out, "#支出合计：%d笔，共%s元\r\n", count[0], yuan(sum[0] + (spoil == SPOIL_TOTALS), text));
	buf_addf(out, "#收入合计：%d笔，共%s元\r\n", count[1], yuan(sum[1], text));
}

static bool
account_bill(const SbMerchant *merchant, int64_t day, SbSpoil spoil, Buf *out, Buf *summary)
{
	int			count[2] = {0};
	int64_t		sum[2] = {0};
	Movements	list;
	size_t		i;

	book_movements(merchant, BOOK_BASIC, day + DAY_MS, &list);
	add_head(out, "账务明细", "账务明细", day, spoil);
	buf_adds(out, "账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,收入金额（+元）,支出金额（-元）,"
			 "账户余额（元）,交易渠道,业务类型,备注\r\n");
	for (i = 0; i < list.count; i++)
	{
		const Movement *m = &list.item[i];
		int			in = m->change > 0;

		if (m->at < day)
			continue;
		add_move_row(out, m, spoil);
		count[in]++;
		sum[in] += m->change;
	}
	free(list.item);
	add_end(out, "账务明细");
	add_account_totals(out, count, sum, spoil);
	add_exported(out, day);
	add_head(summary, "账务汇总", "账务汇总", day, spoil);
	add_account_totals(summary, count, sum, SPOIL_NONE);
	add_end(summary, "账务汇总");
	add_exported(summary, day);
	return count[0] + count[1] > 0;
}

/* ---- packing ---- */

/* UTF-8 into GB18030; false if that cannot be. */
static bool
to_gb18030(const Buf *in, Buf *out)
{
	iconv_t		cd = iconv_open("GB18030", "UTF-8");
	char	   *from = (char *) buf_str(in);
	size_t		left = in->len;
	bool		ok = cd != (iconv_t) -1;

	while (ok && left > 0)
	{
		char		chunk[8192];
		char	   *to = chunk;
		size_t		room = sizeof(chunk);

		ok = iconv(cd, &from, &left, &to, &room) != (size_t) -1 || errno == E2BIG;
		buf_add(out, chunk, sizeof(chunk) - room);
	}
	if (cd != (iconv_t) -1)
		iconv_close(cd);
	return ok && !out->failed;
}

/* One file of the archive.  Its name's bytes are GB18030, and nothing says so. */
static bool
add_entry(zip_t *zip, const Buf *name, const Buf *content)
{
	Buf			raw = BUF_INIT;
	zip_source_t *source = zip_source_buffer(zip, buf_str(content), content->len, 0);
	bool		ok = source != NULL && to_gb18030(name, &raw);

	ok = ok && zip_file_add(zip, buf_str(&raw), source, ZIP_FL_ENC_GUESS) >= 0;
	if (!ok && source != NULL)
		zip_source_free(source);
	buf_free(&raw);
	return ok;
}

/* The archive's bytes, into out. */
static bool
close_into(zip_t *zip, zip_source_t *archive, Buf *out)
{
	zip_stat_t	st;
	bool		ok;

	zip_source_keep(archive);
	if (zip_close(zip) != 0)
	{
		zip_discard(zip);
		zip_source_free(archive);
		return false;
	}
	zip_stat_init(&st);
	ok = zip_source_open(archive) == 0;
	if (ok)
	{
		char		chunk[65536];
		zip_int64_t n;

		while ((n = zip_source_read(archive, chunk, sizeof(chunk))) > 0)
			buf_add(out, chunk, (size_t) n);
		ok = n == 0 && !out->failed;
		zip_source_close(archive);
	}
	zip_source_free(archive);
	return ok;
}

/* Details and summary, both in GB18030 already. */
static bool
pack(const char *stem, const char *const *words, const Buf *parts, SbSpoil spoil, Buf *out)
{
	zip_source_t *archive = zip_source_buffer_create(NULL, 0, 0, NULL);
	zip_t	   *zip = archive ? zip_open_from_source(archive, ZIP_TRUNCATE, NULL) : NULL;
	bool		ok = zip != NULL;
	int			i;

	for (i = 0; ok && i < 2; i++)
	{
		Buf			name = BUF_INIT;

		buf_addf(&name, "%s%s_%s.csv", spoil == SPOIL_PATHS ? "/etc/../" : "", stem, words[i]);
		ok = add_entry(zip, &name, &parts[i]);
		buf_free(&name);
	}
	if (ok)
		return close_into(zip, archive, out);
	if (zip != NULL)
		zip_discard(zip);
	else if (archive != NULL)
		zip_source_free(archive);
	return false;
}

/* Both files, in UTF-8; true: there was business. */
static bool
write_both(const SbMerchant *m, const char *kind, int64_t day, SbSpoil spoil, Buf *parts)
{
	parts[0].limit = parts[1].limit = FILE_LIMIT;
	return strcmp(kind, "trade") == 0 ? trade_bill(m, day, spoil, &parts[0], &parts[1]) :
		account_bill(m, day, spoil, &parts[0], &parts[1]);
}

bool
alipay_bill_text(const SbMerchant *m, const char *kind, int64_t day, SbSpoil spoil, Buf *out)
{
	Buf			parts[2] = {BUF_INIT, BUF_INIT};
	bool		known = strcmp(kind, "trade") == 0 || strcmp(kind, "account") == 0;
	bool		any = known && write_both(m, kind, day, spoil, parts);

	out->limit = FILE_LIMIT;
	any = any && to_gb18030(&parts[0], out);
	buf_free(&parts[0]);
	buf_free(&parts[1]);
	return any;
}

/* *any: there was business.  False: it could not be made. */
bool
alipay_bill_zip(const SbMerchant *m, const char *kind, const char *date, int64_t day, SbSpoil spoil,
				bool *any, Buf *out)
{
	static const char *const words[2][2] = {{"业务明细", "业务明细(汇总)"}, {"账务明细", "账务汇总"}};
	Buf			parts[2] = {BUF_INIT, BUF_INIT};
	Buf			raw[2] = {BUF_INIT, BUF_INIT};
	Buf			stem = BUF_INIT;
	bool		ok = true;
	int			i;

	out->limit = FILE_LIMIT;
	*any = write_both(m, kind, day, spoil, parts);
	for (i = 0; i < 2; i++)
	{
		raw[i].limit = FILE_LIMIT;
		ok = ok && to_gb18030(&parts[i], &raw[i]);
	}
	if (spoil == SPOIL_CUT)
		raw[0].len = raw[0].len * 3 / 5;
	buf_addf(&stem, ALIPAY_SELLER_ID ACCOUNT_SUFFIX "_%.4s%.2s%.2s", date, date + 5, date + 8);
	ok = ok && pack(buf_str(&stem), words[strcmp(kind, "trade") != 0], raw, spoil, out);
	for (i = 0; i < 2; i++)
	{
		buf_free(&parts[i]);
		buf_free(&raw[i]);
	}
	buf_free(&stem);
	if (spoil == SPOIL_TORN)
		out->len /= 2;
	return ok;
}
