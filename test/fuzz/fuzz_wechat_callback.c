/*-------------------------------------------------------------------------
 *
 * fuzz_wechat_callback.c
 *	  Callbacks as strangers send them: any headers, any body, no signature.
 *
 * Input: five header values, each ended by a NUL, then the body.
 *
 * test/fuzz/fuzz_wechat_callback.c
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {
		"Wechatpay-Timestamp", "Wechatpay-Nonce", "Wechatpay-Signature", "Wechatpay-Serial",
		"Wechatpay-Signature-Type"};
	HttpHeaders headers = {0};
	ChannelEvidence e;
	ChannelReply reply;
	CallbackResult r;
	char	   *body;
	size_t		i;

	fuzz_start();
	for (i = 0; i < 5; i++)
	{
		char	   *value = fuzz_next(&data, &size);

		/* "-" leaves the header out, "+" gives what passes the check before it */
		if (strcmp(value, "+") == 0 && i == 0)
			http_header_add(&headers, names[i], "1790000000");
		else if (strcmp(value, "+") == 0 && i == 3)
			http_header_add(&headers, names[i], KIT_PUB_KEY_ID);
		else if (strcmp(value, "-") != 0)
			http_header_add(&headers, names[i], value);
		free(value);
	}

	/* on the heap and no byte longer, so that reading past the end is seen */
	body = malloc(size ? size : 1);
	fuzz_require(body != NULL);
	if (size > 0)
		memcpy(body, data, size);
	r = fuzz_channel->read_callback(fuzz_config, &headers, body, size, KIT_NOW, NULL, &e);

	/* nobody can guess a signature */
	fuzz_require(r != CALLBACK_EVIDENCE && r != CALLBACK_TEST && r != CALLBACK_NOT_OURS);
	fuzz_require(!e.proof && !e.authentic);
	fuzz_check_evidence(&e);
	fuzz_channel->acknowledge(r, false, &reply);
	fuzz_require(reply.status >= 400 && reply.status <= 499);
	free(body);
	http_headers_free(&headers);
	return 0;
}
