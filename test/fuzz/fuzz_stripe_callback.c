/*-------------------------------------------------------------------------
 *
 * fuzz_stripe_callback.c
 *	  Events as strangers send them: any header, any body, no signature.
 *
 * Input: the value of Stripe-Signature up to a NUL, then the body.  A '@' in
 * the value becomes a time that passes the check before the signature.
 *
 * test/fuzz/fuzz_stripe_callback.c
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz_stripe.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	HttpHeaders headers = {0};
	ChannelEvidence e;
	ChannelReply reply;
	CallbackResult r;
	Buf			text = BUF_INIT;
	char	   *value;
	char	   *body;
	size_t		i;

	fuzz_start_stripe();
	value = fuzz_next(&data, &size);
	for (i = 0; value[i] != '\0'; i++)
	{
		if (value[i] == '@')
			buf_adds(&text, "1790000000");
		else
			buf_addc(&text, value[i]);
	}
	http_header_add(&headers, "Stripe-Signature", buf_str(&text));
	buf_free(&text);
	free(value);

	/* on the heap and no byte longer, so that reading past the end is seen */
	body = malloc(size ? size : 1);
	fuzz_require(body != NULL);
	if (size > 0)
		memcpy(body, data, size);
	r = fuzz_channel->read_callback(fuzz_config, &headers, body, size, SKIT_NOW, NULL, &e);

	/* nobody can guess a signature */
	fuzz_require(r == CALLBACK_BAD_HEADERS || r == CALLBACK_BAD_TIME || r == CALLBACK_BAD_SIGNATURE);
	fuzz_require(!e.proof && !e.authentic);
	fuzz_check_evidence(&e);
	fuzz_channel->acknowledge(r, false, &reply);
	fuzz_require(reply.status == 400);
	free(body);
	http_headers_free(&headers);
	return 0;
}
