/*-------------------------------------------------------------------------
 *
 * fuzz_notice.c
 *	  Notices: answers of a provider, configurations, templates and texts.
 *
 * The first byte chooses which; the rest is in parts, each ended by a NUL.
 * What comes out must be valid UTF-8, for it goes into the database, and may
 * not hold anything like a phone number.
 *
 * test/fuzz/fuzz_notice.c
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>

#include "channel/channel_util.h"
#include "fuzz.h"
#include "notice/notice_util.h"

#define PHONE	"+8613800138000"

static bool
read_key(void *arg, const char *name, bool secret, Buf *out, char *err, size_t errsize)
{
	(void) arg;
	(void) secret;
	if (name[0] == 'x')
	{
		snprintf(err, errsize, "it is missing");
		return false;
	}
	buf_adds(out, "a-secret");
	return true;
}

static void
check_text(const char *s)
{
	fuzz_require(utf8_valid(s, strlen(s)));
}

static void
check_result(const NoticeResult *r)
{
	const char *p;
	int			digits = 0;

	fuzz_require_text(r->code);
	fuzz_require_text(r->message);
	fuzz_require_text(r->provider_id);
	check_text(r->code);
	check_text(r->message);
	check_text(r->provider_id);
	fuzz_require(r->retry_after >= 0);
	for (p = r->message; *p; p++)
	{
		digits = isdigit((unsigned char) *p) ? digits + 1 : 0;
		fuzz_require(digits < 7);
	}
}

static void
fuzz_classify(const NoticeProvider *provider, void *config, const uint8_t *data, size_t size)
{
	HttpAnswer	answer;
	NoticeResult result;

	http_answer_init(&answer);
	answer.outcome = HTTP_ANSWERED;
	answer.status = size > 0 ? 200 + data[0] % 4 * 100 : 200;
	buf_add(&answer.body, data, size);
	memset(&result, 0xff, sizeof(result));
	provider->classify(config, &answer, &result);
	check_result(&result);
	http_answer_free(&answer);
}

static void
fuzz_build(const NoticeProvider *provider, void *config, const char *template_json,
		   const char *value)
{
	NoticeParam params[] = {{"amount", "1.00"}, {"refund_no", value}};
	NoticeMessage message = {.phone = PHONE, .notice_id = "n", .template_json = template_json,
	.language = "zh-CN", .params = params, .param_count = 2};
	ChannelMoment moment = {.now = 1698315752, .nonce = "0123456789abcdef0123456789abcdef"};
	ChannelError err = {"", ""};
	HttpRequest r;
	size_t		i;

	http_request_init(&r);
	if (!provider->build(config, &message, &moment, &r, &err))
		check_text(err.message);
	else
	{
		fuzz_require(!r.url.failed && !r.body.failed && r.url.len > 0);
		for (i = 0; i < r.url.len; i++)
			fuzz_require(r.url.data[i] > ' ' && r.url.data[i] <= '~');
	}
	http_request_free(&r);
}

/* A configuration, a template and a value, all of them a stranger's. */
static void
fuzz_configured(const NoticeProvider *provider, const uint8_t *data, size_t size)
{
	char	   *json = fuzz_next(&data, &size);
	char	   *template_json = fuzz_next(&data, &size);
	char	   *value = fuzz_next(&data, &size);
	ChannelSource source = {json, read_key, NULL};
	ChannelError err = {"", ""};
	void	   *config = provider->open(&source, &err);

	check_text(err.message);
	fuzz_require((config == NULL) == (err.message[0] != '\0'));
	if (config)
	{
		fuzz_build(provider, config, template_json, value);
		fuzz_classify(provider, config, data, size);
	}
	provider->close(config);
	err.message[0] = '\0';
	if (!provider->template_acceptable(template_json, &err))
		check_text(err.message);
	free(json);
	free(template_json);
	free(value);
}

static void
fuzz_text(const uint8_t *data, size_t size)
{
	char	   *text = fuzz_next(&data, &size);
	char	   *value = fuzz_next(&data, &size);
	NoticeParam params[] = {{"amount", value}};
	ChannelError err = {"", ""};
	Buf			out = BUF_INIT;
	char		small[40];

	if (!notice_render_escaped(text, params, 1, notice_escape_json, &out, &err))
		fuzz_require(err.message[0] != '\0');
	buf_free(&out);
	notice_mask_phone(text, small, sizeof(small));
	fuzz_require(strstr(small, "****") != NULL);
	if (utf8_valid(text, strlen(text)))
	{
		notice_copy_words(small, sizeof(small), text);
		check_text(small);
	}
	notice_format_amount((int64_t) strtoull(text, NULL, 0), value, small, sizeof(small));
	fuzz_require(small[0] != '\0');
	free(text);
	free(value);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	switch (data[0] % 4)
	{
		case 0:
			fuzz_classify(&aliyun_provider, NULL, data + 1, size - 1);
			break;
		case 1:
			fuzz_configured(&aliyun_provider, data + 1, size - 1);
			break;
		case 2:
			fuzz_configured(&http_template_provider, data + 1, size - 1);
			break;
		default:
			fuzz_text(data + 1, size - 1);
			break;
	}
	return 0;
}
