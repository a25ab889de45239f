/*-------------------------------------------------------------------------
 *
 * test_notice_text.c
 *	  Placeholders, masks and amounts.
 *
 * test/unit/test_notice_text.c
 *
 *-------------------------------------------------------------------------
 */
#include "notice/notice_util.h"
#include "unit.h"

static const NoticeParam params[] = {
	{"amount", "12.50"}, {"refund_no", "R\"1"}, {"merchant", "{amount}"}
};

static const char *
render(const char *text)
{
	static Buf	out;
	static char failure[300];
	ChannelError err = {"", ""};

	buf_free(&out);
	buf_init(&out);
	if (notice_render(text, params, 3, &out, &err))
		return buf_str(&out);
	snprintf(failure, sizeof(failure), "ERROR %s", err.message);
	return failure;
}

static const char *
mask(const char *phone)
{
	static char out[32];

	notice_mask_phone(phone, out, sizeof(out));
	return out;
}

static const char *
amount(int64_t units, const char *currency)
{
	static char out[40];

	notice_format_amount(units, currency, out, sizeof(out));
	return out;
}

static const char *
words(const char *src, size_t size)
{
	static char out[300];

	memset(out, '#', sizeof(out));
	notice_copy_words(out, size, src);
	return out;
}

int
main(void)
{
	Buf			out = BUF_INIT;
	ChannelError err;
	char		tiny[4];

	is_str(render("退款{amount}元"), "退款12.50元", "a placeholder");
	is_str(render("{amount}{amount}"), "12.5012.50", "twice");
	is_str(render(""), "", "nothing");
	is_str(render("a {{b} }"), "a {b} }", "braces");
	is_str(render("{merchant}"), "{amount}", "a value is not rendered again");
	has(render("{phone}"), "no placeholder {phone}", "an unknown one is named");
	has(render("{amount"), "ERROR", "one without an end");
	has(render("{}"), "ERROR", "one without a name");
	has(render("{AMOUNT}"), "ERROR", "one in capitals");
	has(render("{"), "ERROR", "a brace at the end");
	has(render("{aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}"), "ERROR", "a long one");
	ok(notice_render_escaped("{refund_no}", params, 3, notice_escape_json, &out, &err), "escaped");
	is_str(buf_str(&out), "R\\\"1", "... for JSON");
	buf_reset(&out);
	notice_escape_json(&out, "a\\\n\001退", 7);
	is_str(buf_str(&out), "a\\\\\\u000a\\u0001退", "control characters");
	buf_free(&out);
	ok(notice_text_uses("x{{y}{secret}", "secret"), "a text that uses a name");
	ok(!notice_text_uses("{{secret}", "secret"), "one that does not");

	is_str(mask("13800138000"), "138****8000", "a mainland number");
	is_str(mask("+15551234567"), "+155****4567", "one from abroad");
	is_str(mask("+86 138-0013-8000"), "+861****8000", "with separators");
	is_str(mask("12345678"), "****5678", "a shorter one shows less");
	is_str(mask("1234567"), "****", "a short one nothing");
	is_str(mask(""), "****", "none");
	is_str(mask("11111111111111111111111111111111111111111111111111"), "111****1111", "a long one");
	notice_mask_phone("13800138000", tiny, sizeof(tiny));
	is_str(tiny, "", "a mask that does not fit is left out");

	is_str(amount(12345, "CNY"), "123.45", "CNY");
	is_str(amount(5, "USD"), "0.05", "cents");
	is_str(amount(0, "CNY"), "0.00", "nothing");
	is_str(amount(12345, "JPY"), "12345", "JPY has no minor unit");
	is_str(amount(12345, "KRW"), "12345", "nor has KRW");
	is_str(amount(12345, "KWD"), "12.345", "KWD has three digits");
	is_str(amount(1, "CLF"), "0.0001", "CLF has four");
	is_str(amount(-150, "EUR"), "-1.50", "negative");
	is_str(amount(INT64_MIN, "CNY"), "-92233720368547758.08", "the smallest");
	is_str(amount(INT64_MAX, "JPY"), "9223372036854775807", "the largest");

	is_str(words("call 13800138000 now", 100), "call **** now", "a number in words");
	is_str(words("+86 138-0013-8000!", 100), "+****!", "with separators");
	is_str(words("Permits:10, code 123456", 100), "Permits:10, code 123456", "small numbers stay");
	is_str(words("a\nb\tc", 100), "a b c", "control characters");
	is_str(words("触发天级流控", 8), "触发", "cut between characters");
	is_str(words("ab", 3), "ab", "just fits");
	return unit_done();
}
