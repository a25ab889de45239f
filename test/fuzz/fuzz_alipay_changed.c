/*-------------------------------------------------------------------------
 *
 * fuzz_alipay_changed.c
 *	  The message that a transfer has changed, behind the signature: the
 *	  harness signs the biz_content that the fuzzer made up.
 *
 * Input: 'k' (for a channel with public keys) or any other byte, then the
 * biz_content, up to a NUL, then the value of another parameter.
 *
 * test/fuzz/fuzz_alipay_changed.c
 *
 *-------------------------------------------------------------------------
 */
#include "channel/channel_util.h"
#include "fuzz_alipay.h"

/* Whoever is paid stands in no word of the trace. */
static void
check_finding(void *arg, FindingLevel level, const char *item, const char *text)
{
	(void) level;
	fuzz_require(item[0] != '\0' && text[0] != '\0');
	fuzz_require(utf8_valid(text, strlen(text)));
	fuzz_require(strcmp(item, "parameters") != 0 || strstr(text, "biz_content=***") != NULL ||
				 ((const char *) arg)[0] == '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	HttpHeaders headers = {0};
	ChannelEvidence e;
	CallbackResult r;
	Buf			text = BUF_INIT;
	Buf			form = BUF_INIT;
	char	   *content;
	char	   *more;
	bool		keys;

	fuzz_alipay_start();
	if (size < 1)
		return 0;
	keys = *data == 'k';
	data++;
	size--;
	content = fuzz_next(&data, &size);
	more = fuzz_next(&data, &size);
	{
		ChannelFindings trace = {check_finding, content};

		akit_param(&form, "app_id", AKIT_APP);
		akit_param(&form, "biz_content", content);
		akit_param(&form, "charset", more);
		akit_param(&form, "msg_method", "alipay.fund.trans.order.changed");
		akit_param(&form, "notify_id", "n1");
		akit_param(&form, "sign_type", "RSA2");
		buf_addf(&text, "app_id=" AKIT_APP "&biz_content=%s&charset=%s"
				 "&msg_method=alipay.fund.trans.order.changed&notify_id=n1&sign_type=RSA2", content, more);
		akit_form_sign(&form, akit_alipay, buf_str(&text));
		r = fuzz_channel->read_callback(keys ? fuzz_config : fuzz_transfer_config, &headers,
										buf_str(&form), form.len, AKIT_NOW, &trace, &e);
	}
	fuzz_check_alipay(&e);
	fuzz_require(r == CALLBACK_EVIDENCE || r == CALLBACK_NOT_OURS || r == CALLBACK_BAD_BODY ||
				 form.len > 64 * 1024);
	if (r == CALLBACK_EVIDENCE)
	{
		fuzz_require(e.authentic && e.product == PRODUCT_TRANSFER && e.wire_no[0] != '\0' &&
					 strcmp(e.merchant, AKIT_APP) == 0 && e.detail[0] == '\0');
		fuzz_require(e.proof ? e.has_amount && !keys && strchr(more, '&') == NULL
					 : e.verdict == VERDICT_ASK);
		fuzz_require(!e.proof || e.verdict == VERDICT_SUCCEEDED || e.verdict == VERDICT_ACCEPTED ||
					 e.verdict == VERDICT_DEAD || e.verdict == VERDICT_RETURNED);
	}
	else
		fuzz_require(!e.proof && !e.authentic && e.verdict == VERDICT_UNKNOWN);
	buf_free(&text);
	buf_free(&form);
	free(content);
	free(more);
	return 0;
}
