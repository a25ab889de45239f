/*-------------------------------------------------------------------------
 *
 * test_channel.c
 *	  What all channels share: names, the registry, the judge, the number
 *	  rule, text that is cut, times, addresses, JSON from strangers.
 *
 * test/unit/test_channel.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "channel/channel_util.h"
#include "unit.h"

#define LITERAL(s)	(s), sizeof(s) - 1

static void
test_names(void)
{
	Verdict		v;
	int			i;

	for (i = 0; i < VERDICT_COUNT; i++)
		ok(verdict_from_name(verdict_name((Verdict) i), &v) && (int) v == i,
		   "the verdict \"%s\" has one name", verdict_name((Verdict) i));
	v = VERDICT_SUCCEEDED;
	ok(!verdict_from_name("success", &v) && v == VERDICT_UNKNOWN, "another name is unknown");
	ok(!verdict_from_name(NULL, &v), "and so is none");
	is_str(verdict_name((Verdict) 99), "unknown", "a verdict out of range is unknown");
	is_str(verdict_name((Verdict) -1), "unknown", "on both sides");
	is_int(VERDICT_UNKNOWN, 0, "what nobody judged is unknown");
	is_str(channel_call_name(CALL_SUBMIT), "submit", "calls");
	is_str(channel_call_name(CALL_ECHO), "echo", "have names");
	for (i = 0; i < CALLBACK_RESULT_COUNT; i++)
		ok(strcmp(callback_result_name((CallbackResult) i), "unknown") != 0,
		   "callback result \"%s\"", callback_result_name((CallbackResult) i));
	is_str(callback_result_name(CALLBACK_BAD_SIGNATURE), "bad_signature", "as documented");
}

static void
test_registry(void)
{
	const Channel *wechat = channel_lookup("wechat");
	int			i;

	ok(wechat != NULL, "there is WeChat");
	ok(channel_lookup("nonesuch") == NULL && channel_lookup(NULL) == NULL &&
	   channel_lookup("") == NULL, "and no other");
	for (i = 0; channel_at(i) != NULL; i++)
		ok(channel_lookup(channel_at(i)->kind) == channel_at(i), "channel %d is found", i);
	ok(i > 0 && channel_at(-1) == NULL, "the list ends on both sides");
	is_str(wechat->label, "WeChat Pay", "its label");
}

static void
test_judge(void)
{
	static const VerdictRule rules[] = {
		{CALL_SUBMIT, 404, "GONE", VERDICT_REFUSED, false, "", ""},
		{CALL_SUBMIT, 404, NULL, VERDICT_UNKNOWN, false, "", ""},
		{CALL_SUBMIT, 0, "ANYWHERE", VERDICT_HOLD, false, "", ""},
		{CALL_QUERY, 404, "GONE", VERDICT_NOT_FOUND, false, "", ""},
	};
	ChannelProduct c = *channel_lookup("wechat")->refund;

	c.verdicts = rules;
	c.verdict_count = 4;
	ok(channel_judge(&c, CALL_SUBMIT, 404, "GONE") == &rules[0], "the specific row first");
	ok(channel_judge(&c, CALL_SUBMIT, 404, "OTHER") == &rules[1], "then the general one");
	ok(channel_judge(&c, CALL_SUBMIT, 404, NULL) == &rules[1], "also without a code");
	ok(channel_judge(&c, CALL_SUBMIT, 599, "ANYWHERE") == &rules[2], "a row for any status");
	ok(channel_judge(&c, CALL_QUERY, 404, "GONE") == &rules[3], "per call");
	ok(channel_judge(&c, CALL_QUERY, 404, "OTHER") == NULL, "and nothing for the unlisted");
	ok(channel_judge(&c, CALL_ECHO, 404, "GONE") == NULL, "in no call");
}

static void
test_numbers(void)
{
	const Channel *wechat = channel_lookup("wechat");
	ChannelError err;
	char		no[80];
	int			c;

	ok(channel_number_acceptable(wechat->refund, "aZ09_-|*@", &err), "every kind of character");
	memset(no, 'x', 64);
	no[64] = '\0';
	ok(channel_number_acceptable(wechat->refund, no, &err), "64 characters");
	memset(no, 'x', 65);
	no[65] = '\0';
	ok(!channel_number_acceptable(wechat->refund, no, &err), "65 are too many");
	has(err.message, "65 bytes", "and the message says so");
	has(err.hint, "1 to 64", "with the rule");
	ok(!channel_number_acceptable(wechat->refund, "", &err), "none are too few");
	ok(!channel_number_acceptable(wechat->refund, NULL, &err), "likewise");
	for (c = 1; c < 256; c++)
	{
		bool		fine = c < 128 && strchr(wechat->refund->limits.number_charset, c) != NULL;

		no[0] = 'r';
		no[1] = (char) c;
		no[2] = '\0';
		if (channel_number_acceptable(wechat->refund, no, &err) != fine ||
			(!fine && !utf8_valid(err.message, strlen(err.message))))
			ok(false, "character %d", c);
	}
	ok(true, "every byte is judged, and no message is broken text");
}

static void
test_text(void)
{
	char		out[16];

	is_int(utf8_clip("abc", 3, 10), 3, "what fits stays");
	is_int(utf8_clip("a\xe5\x95\x86", 4, 3), 1, "a character is not cut");
	is_int(utf8_clip("a\xe5\x95\x86", 4, 4), 4, "nor dropped if it fits");
	text_clip(out, 6, "ab\xe5\x95\x86\xe6\x88\xb7");
	is_str(out, "ab\xe5\x95\x86", "text_clip keeps whole characters");
	text_clip(out, sizeof(out), "ab\xe5\x95");
	is_str(out, "ab", "and repairs what was cut before");
	text_clip(out, sizeof(out), "ab\xff" "cd");
	is_str(out, "ab", "nothing behind a byte that is no UTF-8");
	text_clip(out, 1, "abc");
	is_str(out, "", "no room at all");
	ok(utf8_valid("\xf0\x9f\x98\x80", 4) && utf8_has_four_bytes("\xf0\x9f\x98\x80", 4),
	   "an emoji is valid, and has four bytes");
	ok(!utf8_valid("\xc0\x80", 2) && !utf8_valid("\xe0\x80\x80", 3) &&
	   !utf8_valid("\xed\xa0\x80", 3) && !utf8_valid("\xf4\x90\x80\x80", 4) &&
	   !utf8_valid("\xf5\x80\x80\x80", 4) && !utf8_valid("\xe5\x95", 2) && !utf8_valid("\x80", 1),
	   "overlong, surrogate, beyond, cut and stray bytes are not");
	text_mask_digits(out, sizeof(out), "card 0403");
	is_str(out, "card 0403", "four digits stay");
	text_mask_digits(out, sizeof(out), "13800138000");
	is_str(out, "****8000", "a number is masked");
	text_mask_digits(out, sizeof(out), "a12345b6789");
	is_str(out, "a****2345b6789", "each by itself");
}

static void
time_is(const char *text, int64_t want)
{
	int64_t		got = -1;

	ok(parse_rfc3339(text, &got) && got == want, "%s", text);
}

static void
time_refused(const char *text)
{
	int64_t		got;

	ok(!parse_rfc3339(text, &got), "no time: \"%s\"", text);
}

static void
test_times(void)
{
	int64_t		v;

	time_is("1970-01-01T00:00:00Z", 0);
	time_is("2018-06-08T10:34:56+08:00", INT64_C(1528425296000000));
	time_is("2015-05-20T13:29:35.120+08:00", INT64_C(1432099775120000));
	time_is("2015-05-20T05:29:35.1234567Z", INT64_C(1432099775123456));
	time_is("2000-02-29T00:00:00Z", INT64_C(951782400000000));
	time_is("1969-12-31T23:59:59Z", INT64_C(-1000000));
	time_is("2026-01-01t00:00:00-00:30", INT64_C(1767227400000000));
	time_refused("");
	time_refused("2018-06-08T10:34:56");
	time_refused("2018-06-08 10:34:56+08:00");
	time_refused("2018-13-08T10:34:56Z");
	time_refused("2018-02-29T10:34:56Z");
	time_refused("1900-02-29T10:34:56Z");
	time_refused("2018-06-31T10:34:56Z");
	time_refused("2018-06-08T24:00:00Z");
	time_refused("2018-06-08T10:60:00Z");
	time_refused("2018-06-08T10:34:61Z");
	time_refused("2018-06-08T10:34:56.Z");
	time_refused("2018-06-08T10:34:56+0800");
	time_refused("2018-06-08T10:34:56+08:00x");
	time_refused("2018-06-08T10:34:56+24:00");
	time_refused("0000-06-08T10:34:56Z");
	ok(parse_digits("0", &v) && v == 0 && parse_digits("999999999999999999", &v) &&
	   v == INT64_C(999999999999999999), "digits");
	ok(!parse_digits("", &v) && !parse_digits("-1", &v) && !parse_digits("1 ", &v) &&
	   !parse_digits("+1", &v) && !parse_digits("0x1", &v) &&
	   !parse_digits("1000000000000000000", &v), "and what is none");
}

static void
test_urls(void)
{
	static const struct
	{
		const char *url;
		UrlKind		kind;
	}			cases[] = {
		{"https://api.mch.weixin.qq.com", URL_HTTPS},
		{"https://pay.example.com:8443/x", URL_HTTPS},
		{"http://pay.example.com/x", URL_PLAIN},
		{"http://127.0.0.1:8080", URL_LOOPBACK},
		{"https://127.0.0.1", URL_LOOPBACK},
		{"http://127.255.0.9/x", URL_LOOPBACK},
		{"http://localhost:1", URL_LOOPBACK},
		{"http://[::1]:80/x", URL_LOOPBACK},
		{"http://127.evil.example", URL_PLAIN},
		{"http://127.0.0.1.evil.example", URL_PLAIN},
		{"http://127.0.0.1@evil.example", URL_BAD},
		{"http://localhost.evil.example", URL_PLAIN},
		{"http://127.0.0.999", URL_PLAIN},
		{"http://127.0.0.1\\evil.example", URL_BAD},
		{"http://evil example", URL_BAD},
		{"http://", URL_BAD},
		{"https:///path", URL_BAD},
		{"ftp://127.0.0.1", URL_BAD},
		{"HTTPS://127.0.0.1", URL_BAD},
		{"https://h:0", URL_BAD},
		{"https://h:65536", URL_BAD},
		{"https://h:", URL_BAD},
		{"https://[::1", URL_BAD},
		{"", URL_BAD},
	};
	UrlParts	parts;
	size_t		i;

	for (i = 0; i < lengthof_array(cases); i++)
		is_int(url_examine(cases[i].url, NULL), cases[i].kind, cases[i].url);
	url_examine("https://h:1/a?b", &parts);
	is_int(parts.path, 11, "where the path starts");
	ok(parts.has_query, "a query is seen");
	url_examine("https://192.168.1.1/", &parts);
	ok(parts.private_host, "a private address is seen");
	url_examine("https://pay.example.com/", &parts);
	ok(!parts.private_host && !parts.has_query, "a public one is not");
}

static void
test_json(void)
{
	char		deep[200];
	json_t	   *j;
	int64_t		n;

	ok((j = json_hostile_object(LITERAL("{\"a\":1}"))) != NULL, "an object");
	ok(json_amount(j, "a", &n) && n == 1, "has its amount");
	ok(!json_amount(j, "b", &n) && n == 0 && !json_amount(NULL, "a", &n), "and no other");
	json_decref(j);
	j = json_hostile_object(LITERAL("{\"a\":-1,\"b\":1.0,\"c\":\"1\",\"d\":null}"));
	ok(j != NULL && !json_amount(j, "a", &n) && !json_amount(j, "b", &n) &&
	   !json_amount(j, "c", &n) && !json_amount(j, "d", &n),
	   "negative, fraction, text and null are no amounts");
	json_decref(j);
	ok(json_hostile_object(LITERAL("{\"a\":1,\"a\":2}")) == NULL, "a member twice");
	ok(json_hostile_object(LITERAL("{} x")) == NULL, "something behind it");
	ok(json_hostile_object(LITERAL("[]")) == NULL, "a list");
	ok(json_hostile_object(LITERAL("{\"a\":\"\\u0000\"}")) == NULL, "a NUL");
	ok(json_hostile_object(LITERAL("{\"a\":\"\xff\"}")) == NULL, "no UTF-8");
	ok(json_hostile_object(LITERAL("{\"a\":1")) == NULL, "cut off");
	ok(json_hostile_object(NULL, 0) == NULL && json_hostile_object(LITERAL("")) == NULL, "nothing");
	ok(json_hostile_object(LITERAL("{\"a\":99999999999999999999}")) == NULL, "an integer of 67 bits");
	memset(deep, '[', sizeof(deep));
	memcpy(deep, "{\"a\":", 5);
	ok(json_hostile_object(deep, sizeof(deep)) == NULL, "too deep");
	j = json_hostile_object(LITERAL("{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[\"}"));
	ok(j != NULL, "but brackets in a text are no depth");
	json_decref(j);
}

static void
test_sandbox_settings(void)
{
	const Channel *wechat = channel_lookup("wechat");

	is_int(channel_not_found_after(wechat->refund, "{}"), 60, "a minute, by default");
	is_int(channel_not_found_after(wechat->refund, "{\"base_url\":\"http://127.0.0.1:9\","
								   "\"not_found_after\":2}"), 2, "less for a sandbox");
	is_int(channel_not_found_after(wechat->refund, "{\"base_url\":\"https://pay.example.com\","
								   "\"not_found_after\":2}"), 60, "but nowhere else");
	is_int(channel_not_found_after(wechat->refund, "{\"not_found_after\":2}"), 60,
		   "nor where base_url is WeChat's own");
	is_int(channel_not_found_after(wechat->refund, NULL), 60, "nothing is no sandbox");
	ok(channel_time_scale("{\"base_url\":\"http://localhost:9\",\"time_scale\":60}") == 60.0,
	   "a fast clock for a sandbox");
	ok(channel_time_scale("{\"base_url\":\"https://pay.example.com\",\"time_scale\":60}") == 1.0 &&
	   channel_time_scale("{\"base_url\":\"http://localhost:9\",\"time_scale\":0}") == 1.0 &&
	   channel_time_scale("rubbish") == 1.0, "and nobody else");
}

int
main(void)
{
	test_names();
	test_registry();
	test_judge();
	test_numbers();
	test_text();
	test_times();
	test_urls();
	test_json();
	test_sandbox_settings();
	return unit_done();
}
