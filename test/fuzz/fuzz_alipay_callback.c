/*-------------------------------------------------------------------------
 *
 * fuzz_alipay_callback.c
 *	  Notifications as strangers send them: any body, no signature.
 *
 * test/fuzz/fuzz_alipay_callback.c
 *
 *-------------------------------------------------------------------------
 */
#include "channel/channel_util.h"
#include "fuzz_alipay.h"

static void
ignore_finding(void *arg, FindingLevel level, const char *item, const char *text)
{
	(void) arg;
	(void) level;
	fuzz_require(item[0] != '\0' && text[0] != '\0');
	fuzz_require(utf8_valid(text, strlen(text)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	HttpHeaders headers = {0};
	ChannelFindings trace = {ignore_finding, NULL};
	ChannelEvidence e;
	ChannelReply reply;
	CallbackResult r;
	char	   *body;
	void	   *config;

	fuzz_alipay_start();
	config = size > 0 && data[0] == 'C' ? fuzz_cert_config : fuzz_config;

	/* on the heap and no byte longer, so that reading past the end is seen */
	body = malloc(size ? size : 1);
	fuzz_require(body != NULL);
	if (size > 0)
		memcpy(body, data, size);
	r = fuzz_channel->read_callback(config, &headers, body, size, AKIT_NOW, &trace, &e);

	/* nobody can guess a signature */
	fuzz_require(r != CALLBACK_EVIDENCE && r != CALLBACK_TEST && r != CALLBACK_NOT_OURS);
	fuzz_require(!e.proof && !e.authentic);
	fuzz_check_alipay(&e);
	fuzz_channel->acknowledge(r, false, &reply);
	fuzz_require(reply.status >= 400 && strcmp(reply.body, "fail") == 0);
	free(body);
	return 0;
}
