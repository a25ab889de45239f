/*-------------------------------------------------------------------------
 *
 * fuzz_wechat_signed.c
 *	  Callbacks behind the signature: the harness signs, and if asked to also
 *	  encrypts, what the fuzzer made up.
 *
 * Input: one byte that says how, then, for 'p', the event's state up to a NUL.
 *	'e'	the rest is the envelope
 *	'p'	the rest is the plain refund, encrypted in a good envelope
 *
 * A signature costs most of a run's time, so the message is signed only once
 * the parser would be reached; everything else is decided before it anyway.
 *
 * test/fuzz/fuzz_wechat_signed.c
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>

#include "fuzz.h"

/* An event must not break the envelope's JSON that is printed around it. */
static void
tame(char *event)
{
	size_t		i;

	for (i = 0; event[i] != '\0'; i++)
		if (!isalnum((unsigned char) event[i]) && event[i] != '.' && event[i] != '_')
			event[i] = '_';
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	HttpHeaders headers = {0};
	ChannelEvidence e;
	ChannelEvidence again;
	CallbackResult r;
	Buf			body = BUF_INIT;

	fuzz_start();
	if (size < 1)
		return 0;
	if (*data == 'p')
	{
		char	   *state;
		char		event[64];

		data++;
		size--;
		state = fuzz_next(&data, &size);
		tame(state);
		snprintf(event, sizeof(event), "REFUND.%s", state);
		free(state);
		kit_envelope(&body, event, KIT_APIV3_OLD, "0123456789ab", "refund", data, size);
	}
	else
		buf_add(&body, data + 1, size - 1);
	kit_headers(&headers, kit_public_key_pair, KIT_PUB_KEY_ID, KIT_NOW, "n",
				buf_str(&body), body.len);
	r = fuzz_channel->read_callback(fuzz_config, &headers, buf_str(&body), body.len, KIT_NOW, NULL, &e);
	fuzz_require(r != CALLBACK_BAD_HEADERS && r != CALLBACK_BAD_TIME &&
				 r != CALLBACK_UNKNOWN_KEY && r != CALLBACK_BAD_SIGNATURE);
	fuzz_check_evidence(&e);
	if (r == CALLBACK_EVIDENCE)
	{
		fuzz_require(e.wire_no[0] != '\0' && e.merchant[0] != '\0' && e.has_amount);
		fuzz_require(e.verdict != VERDICT_UNKNOWN && e.proof == (e.verdict != VERDICT_ASK));
		fuzz_channel->read_callback(fuzz_config, &headers, buf_str(&body), body.len,
									KIT_NOW + 9, NULL, &again);
		fuzz_require(memcmp(e.digest, again.digest, sizeof(e.digest)) == 0);
	}
	else
		fuzz_require(!e.proof && !e.authentic);
	buf_free(&body);
	http_headers_free(&headers);
	return 0;
}
