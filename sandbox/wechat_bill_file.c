/*-------------------------------------------------------------------------
 *
 * wechat_bill_file.c
 *	  WeChat Pay's bills as files: of trades, and of an account's money (5.3).
 *
 * UTF-8 with a byte order mark, CRLF after every line, no quotes: a backtick
 * before every value, and the comma between them is a separator because a
 * comma in a text is escaped.  A row of headings, the lines, a row of headings
 * of the summary, and the summary.
 *
 * sandbox/wechat_bill_file.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "books.h"
#include "wechat.h"

#define BOM				"\xef\xbb\xbf"
#define OTHER_MCHID		"1900009999"
#define HOUR_MS			INT64_C(3600000)
#define MADE_AT			(9 * HOUR_MS)	/* of the next day (5.1) */

typedef enum TradeKind
{
	KIND_ALL,
	KIND_REFUND,
	KIND_SUCCESS
} TradeKind;

/* ---- one row ---- */

static void
end_line(Buf *out)
{
	buf_adds(out, "\r\n");
}

/* A value: what separates it from the one before it, and the backtick. */
static void
put(Buf *out, const char *s)
{
	if (out->len > 0 && out->data[out->len - 1] != '\n')
		buf_addc(out, ',');
	buf_addc(out, '`');
	buf_adds(out, s);
}

/*
 * What somebody has written, escaped (5.3): a backtick and a quote are
 * escaped in one way in payments and in another in refunds.
 */
static void
put_text(Buf *out, const char *s, bool refund)
{
	put(out, "");
	for (; *s; s++)
		switch (*s)
		{
			case '\\': buf_adds(out, "\\\\"); break;
			case '"': buf_adds(out, "\\\""); break;
			case ',': buf_adds(out, "\\ "); break;
			case '\n': buf_adds(out, "\\n"); break;
			case '\r': buf_adds(out, "\\r"); break;
			case '\t': buf_adds(out, "\\t"); break;
			case '`': buf_adds(out, refund ? "\\140" : "\\`"); break;
			case '\'': buf_adds(out, refund ? "'" : "\\'"); break;
			default: buf_addc(out, *s);
		}
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

	put(out, yuan(fen, text));
}

/* Fees have five decimals. */
static void
put_fee(Buf *out, int64_t fen)
{
	char		text[32];

	put(out, yuan(fen, text));
	buf_adds(out, "000");
}

/* The summary's numbers have as many decimals as they need, and one at least. */
static void
put_short(Buf *out, int64_t fen)
{
	char		text[32];
	size_t		len;

	yuan(fen, text);
	len = strlen(text);
	if (text[len - 1] == '0')
		text[len - 1] = '\0';
	put(out, text);
}

static void
put_time(Buf *out, int64_t ms, SbSpoil spoil)
{
	char		text[40];

	if (ms == 0)
	{
		put(out, "");
		return;
	}
	format_time(ms - (spoil == SPOIL_OTHER_DAY ? DAY_MS : 0), text);
	text[10] = ' ';
	text[19] = '\0';
	put(out, text);
}

/* ---- trades ---- */

/* What was sold, and what the merchant wrote beside it: also what must be escaped. */
static const char *const goods[][2] = {
	{"T恤", ""},
	{"米,面\"油`", "{\"店\":\"一\",\"n\":2}"},
	{"a\\b\t杯", "'甲'\r\n`乙`"},
	{"纪念品", "x,y,,z"}
};

/* The headings; those of years ago say the same in other words, and less (5.3). */
static void
add_headings(Buf *out, TradeKind kind, bool historic)
{
	buf_adds(out, historic ?
			 "交易时间,公众账号ID,商户号,子商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,"
			 "付款银行,货币种类,总金额,企业红包金额" :
			 "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,"
			 "付款银行,货币种类,应结订单金额,代金券金额");
	if (kind == KIND_REFUND)
		buf_adds(out, ",退款申请时间,退款成功时间");
	if (kind != KIND_SUCCESS)
		buf_adds(out, historic ? ",微信退款单号,商户退款单号,退款金额,企业红包退款金额,退款类型,退款状态" :
				 ",微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态");
	buf_adds(out, ",商品名称,商户数据包,手续费,费率");
	if (!historic)
		buf_adds(out, kind == KIND_SUCCESS ? ",订单金额,费率备注" : ",订单金额,申请退款金额,费率备注");
	end_line(out);
}

static const char *
refund_status_said(const Trade *t)
{
	if (t->status_said != NULL)
		return t->status_said;
	switch (t->status)
	{
		case REFUND_SUCCESS:
			/* the card was dead, and the money is the merchant's again */
			return t->refund->to_merchant ? "CHANGE" : "SUCCESS";
		case REFUND_CLOSED:
			return "FAIL";
		case REFUND_ABNORMAL:
			return "CHANGE";
		case REFUND_PROCESSING:
			break;
	}
	return "PROCESSING";
}

static void
add_refund_columns(Buf *out, const Trade *t)
{
	const SbRefund *r = t->refund;

	put(out, r ? r->refund_id : "0");
	put(out, r ? r->no : "0");
	put_yuan(out, r ? t->settled : 0);
	put_yuan(out, 0);
	put(out, r ? "ORIGINAL" : "");
	put(out, r ? refund_status_said(t) : "");
}

static void
add_rate(Buf *out, const SbMerchant *m)
{
	char		text[32];

	snprintf(text, sizeof(text), "%lld.%02d%%", (long long) (m->fee_rate / 10000),
			 (int) (m->fee_rate % 10000 / 100));
	put(out, text);
}

static void
add_trade_row(Buf *out, const SbMerchant *m, const Trade *t, TradeKind kind, SbSpoil spoil)
{
	const SbOrder *o = t->order;
	const char *const *sold = goods[hash_string(o->transaction_id, 5) % 4];
	bool		historic = spoil == SPOIL_HISTORIC;
	const char *status = refund_status_said(t);

	put_time(out, t->at, spoil);
	put(out, "wx0123456789abcdef");
	put(out, spoil == SPOIL_FOREIGN ? OTHER_MCHID : m->mchid);
	put(out, t->refund ? t->refund->sub_mchid : "");
	put(out, "");
	put(out, o->transaction_id);
	put(out, o->out_trade_no);
	put(out, "o-MYE42l80oelYMDE34nYD456Xoy");
	put(out, "JSAPI");
	put(out, t->refund ? "REFUND" : "SUCCESS");
	put(out, "OTHERS");
	put(out, "CNY");
	put_yuan(out, t->refund ? 0 : t->settled);
	put_yuan(out, t->refund ? 0 : t->amount - t->settled);
	if (kind == KIND_REFUND)
	{
		put_time(out, t->at, spoil);
		put_time(out, strcmp(status, "SUCCESS") == 0 ? t->done_at ? t->done_at : t->at : 0, spoil);
	}
	if (kind != KIND_SUCCESS)
		add_refund_columns(out, t);
	put_text(out, sold[0], t->refund != NULL);
	put_text(out, sold[1], t->refund != NULL);
	put_fee(out, t->fee);
	add_rate(out, m);
	if (!historic)
	{
		put_yuan(out, t->refund ? 0 : t->amount);
		if (kind != KIND_SUCCESS)
			put_yuan(out, t->refund ? t->amount : 0);
		put(out, "");
	}
	end_line(out);
}

typedef struct TradeSums
{
	int64_t		count;
	int64_t		settled;
	int64_t		refunded;
	int64_t		fee;
	int64_t		total;
	int64_t		asked;
} TradeSums;

static void
add_trade_summary(Buf *out, const TradeSums *s, TradeKind kind, bool historic)
{
	if (historic)
		buf_adds(out, kind == KIND_SUCCESS ? "总交易单数,总交易额,手续费总金额" :
				 "总交易单数,总交易额,总退款金额,总企业红包退款金额,手续费总金额");
	else
		buf_adds(out, kind == KIND_SUCCESS ? "总交易单数,应结订单总金额,手续费总金额,订单总金额" :
				 "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额");
	end_line(out);
	put_short(out, s->count * 100);
	put_short(out, s->settled);
	if (kind != KIND_SUCCESS)
	{
		put_short(out, s->refunded);
		put_short(out, 0);
	}
	put_short(out, s->fee);
	if (!historic)
	{
		put_short(out, s->total);
		if (kind != KIND_SUCCESS)
			put_short(out, s->asked);
	}
	end_line(out);
}

static bool
trade_bill(const SbMerchant *m, TradeKind kind, int64_t day, SbSpoil spoil, Buf *out)
{
	TradeSums	s = {0};
	Trades		list;
	size_t		i;

	book_trades(m, day, day + DAY_MS, day + DAY_MS + MADE_AT, &list);
	buf_adds(out, BOM);
	add_headings(out, kind, spoil == SPOIL_HISTORIC);
	for (i = 0; i < list.count; i++)
	{
		const Trade *t = &list.item[i];

		if (kind != KIND_ALL && (kind == KIND_REFUND) != (t->refund != NULL))
			continue;
		add_trade_row(out, m, t, kind, spoil);
		s.count++;
		s.settled += t->refund ? 0 : t->settled;
		s.total += t->refund ? 0 : t->amount;
		s.refunded += t->refund ? t->settled : 0;
		s.asked += t->refund ? t->amount : 0;
		s.fee += t->fee;
	}
	free(list.item);
	if (spoil == SPOIL_TOTALS)
		s.refunded += 1;
	add_trade_summary(out, &s, kind, spoil == SPOIL_HISTORIC);
	return s.count > 0;
}

/* ---- an account's money ---- */

/* name, type; in or out is the sign of the amount */
static const char *const fund_words[][2] = {
	[MOVE_PAYMENT] = {"交易", "交易"},
	[MOVE_PAYMENT_FEE] = {"交易", "扣除交易手续费"},
	[MOVE_REFUND] = {"退款", "退款"},
	[MOVE_REFUND_FEE] = {"退款", "退还交易手续费"},
	[MOVE_REFUND_BACK] = {"退款", "退款关闭"},
	[MOVE_REFUND_BACK_FEE] = {"退款", "扣除交易手续费"},
	[MOVE_REFUND_HOME] = {"退款", "退款退回"},
	[MOVE_TRANSFER] = {"商家转账", "商家转账"},
	[MOVE_TRANSFER_BACK] = {"商家转账", "商家转账退回"},
	[MOVE_OTHER] = {"账户", "充值"}
};

/* The business's number, and ours for it. */
static void
fund_numbers(const Movement *m, const char **business, const char **voucher)
{
	*business = *voucher = "";
	if (m->refund != NULL)
	{
		*business = m->refund->refund_id;
		*voucher = m->refund->no;
	}
	else if (m->transfer != NULL)
	{
		*business = m->transfer->id;
		*voucher = m->transfer->no;
	}
	else if (m->order != NULL)
	{
		*business = m->order->transaction_id;
		*voucher = m->order->out_trade_no;
	}
}

static void
add_fund_row(Buf *out, const SbMerchant *merchant, const Movement *m, SbSpoil spoil)
{
	const char *type = m->kind == MOVE_OTHER && m->change < 0 ? "提现" : fund_words[m->kind][1];
	const char *business,
			   *voucher;
	char		flow[SB_ID_MAX + 1],
				own[SB_ID_MAX + 1];

	fund_numbers(m, &business, &voucher);
	snprintf(flow, sizeof(flow), "%.32s%d%014lld", merchant->mchid, (int) m->kind,
			 (long long) m->sequence);
	snprintf(own, sizeof(own), "90000%023lld", (long long) m->sequence);
	put_time(out, m->at, spoil);
	put(out, *business ? business : own);
	put(out, m->transfer ? m->transfer->id : flow);
	put(out, fund_words[m->kind][0]);
	put(out, type);
	put(out, m->change > 0 ? "收入" : "支出");
	put_yuan(out, m->change > 0 ? m->change : -m->change);
	put_yuan(out, m->balance);
	put(out, m->kind == MOVE_OTHER ? merchant->mchid : "system");
	put_text(out, m->text ? m->text : "", m->refund != NULL);
	put(out, voucher);
	end_line(out);
}

static bool
fund_bill(const SbMerchant *merchant, BookAccount account, int64_t day, SbSpoil spoil, Buf *out)
{
	int64_t		count[2] = {0},
				sum[2] = {0};
	Movements	list;
	size_t		i;

	book_movements(merchant, account, day + DAY_MS, &list);
	buf_adds(out, BOM "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),"
			 "资金变更提交申请人,备注,业务凭证号");
	end_line(out);
	for (i = 0; i < list.count; i++)
	{
		const Movement *m = &list.item[i];
		int			in = m->change > 0;

		if (m->at < day)
			continue;
		add_fund_row(out, merchant, m, spoil);
		count[in]++;
		sum[in] += in ? m->change : -m->change;
	}
	free(list.item);
	buf_adds(out, "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额");
	end_line(out);
	put_short(out, (count[0] + count[1]) * 100);
	put_short(out, count[1] * 100);
	put_short(out, sum[1]);
	put_short(out, count[0] * 100);
	put_short(out, sum[0] + (spoil == SPOIL_TOTALS));
	end_line(out);
	return count[0] + count[1] > 0;
}

bool
wechat_bill_text(const SbMerchant *m, const char *kind, int64_t day, SbSpoil spoil, Buf *out)
{
	bool		any;

	out->limit = (size_t) 1024 * 1024 * 1024;
	if (strcmp(kind, "trade") == 0)
		any = trade_bill(m, KIND_REFUND, day, spoil, out);
	else if (strcmp(kind, "trade-all") == 0)
		any = trade_bill(m, KIND_ALL, day, spoil, out);
	else if (strcmp(kind, "trade-success") == 0)
		any = trade_bill(m, KIND_SUCCESS, day, spoil, out);
	else if (strcmp(kind, "fund_basic") == 0)
		any = fund_bill(m, BOOK_BASIC, day, spoil, out);
	else
		any = strcmp(kind, "fund_operation") == 0 && fund_bill(m, BOOK_OPERATION, day, spoil, out);
	if (spoil == SPOIL_CUT && !out->failed && out->len > 0)
		out->len = out->len * 3 / 5;
	return any && !out->failed;
}
