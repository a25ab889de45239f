/*-------------------------------------------------------------------------
 *
 * fuzz_wechat_transfer_signed.c
 *	  Callbacks about transfers behind the signature: the harness encrypts and
 *	  signs what the fuzzer made up.
 *
 * Input: the plain transfer.
 *
 * test/fuzz/fuzz_wechat_transfer_signed.c
 *
 *-------------------------------------------------------------------------
 */
#include "channel/channel_util.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	HttpHeaders headers = {0};
	ChannelEvidence e;
	ChannelEvidence again;
	CallbackResult r;
	Buf			body = BUF_INIT;

	fuzz_start();
	kit_envelope_of(&body, "MCHTRANSFER.BILL.FINISHED", "mch_payment", KIT_APIV3_OLD,
					"fdasflkja484w", "mch_payment", data, size);
	kit_headers(&headers, kit_public_key_pair, KIT_PUB_KEY_ID, KIT_NOW, "n",
				buf_str(&body), body.len);
	r = fuzz_channel->read_callback(fuzz_config, &headers, buf_str(&body), body.len, KIT_NOW, NULL, &e);
	fuzz_require(r == CALLBACK_EVIDENCE || r == CALLBACK_BAD_BODY);
	fuzz_check_text(&e);
	if (r == CALLBACK_EVIDENCE)
	{
		fuzz_require(e.product == PRODUCT_TRANSFER && e.authentic);
		fuzz_require(e.wire_no[0] != '\0' && e.merchant[0] != '\0' && e.has_amount);
		fuzz_require(e.handover[0] == '\0');

		/* an end is proof; anything else is a question */
		fuzz_require(e.proof == (strcmp(e.code, "SUCCESS") == 0 || strcmp(e.code, "FAIL") == 0 ||
								 strcmp(e.code, "CANCELLED") == 0));
		fuzz_require(e.proof == (e.verdict != VERDICT_ASK) && e.verdict != VERDICT_UNKNOWN);
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
