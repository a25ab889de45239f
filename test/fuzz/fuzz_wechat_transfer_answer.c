/*-------------------------------------------------------------------------
 *
 * fuzz_wechat_transfer_answer.c
 *	  Answers about transfers: any status, any body, signed by the harness or
 *	  not.
 *
 * Input: the call ('s', 'q', 'c'), 'S' (signed) or 'u', three digits of
 * status, then the body.
 *
 * test/fuzz/fuzz_wechat_transfer_answer.c
 *
 *-------------------------------------------------------------------------
 */
#include "channel/channel_util.h"
#include "fuzz.h"

/* An openid of 20 or more that got out would be seen here. */
static void
check_words(const char *text)
{
	size_t		run = 0;
	bool		digit = false;

	for (; *text != '\0'; text++)
	{
		bool		word = (*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'z') ||
			(*text >= 'A' && *text <= 'Z') || *text == '_' || *text == '-';

		run = word ? run + 1 : 0;
		digit = word && (digit || (*text >= '0' && *text <= '9'));
		fuzz_require(run < 20 || !digit);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const ChannelInstruction instr = {.wire_no = "W1", .amount = 99, .currency = "CNY"};
	ChannelCall call;
	ChannelEvidence e;
	HttpAnswer	answer;
	bool		is_signed;

	fuzz_start();
	if (size < 5)
		return 0;
	call = data[0] == 's' ? CALL_SUBMIT : data[0] == 'q' ? CALL_QUERY : CALL_CANCEL;
	is_signed = data[1] == 'S';
	http_answer_init(&answer);
	answer.outcome = HTTP_ANSWERED;
	answer.status = (data[2] % 10) * 100 + (data[3] % 10) * 10 + data[4] % 10;
	buf_add(&answer.body, data + 5, size - 5);
	if (is_signed)
		kit_headers(&answer.headers, kit_public_key_pair, KIT_PUB_KEY_ID, KIT_NOW, "n",
					buf_str(&answer.body), answer.body.len);
	else
		http_header_add(&answer.headers, "Content-Type", "application/json");
	fuzz_channel->transfer->read_answer(fuzz_config, call, &instr, &answer, KIT_NOW, &e);
	fuzz_check_text(&e);
	fuzz_require(e.product == PRODUCT_TRANSFER && strcmp(e.wire_no, "W1") == 0);
	fuzz_require(is_signed || (!e.proof && !e.authentic && e.handover[0] == '\0'));

	/* what proves something proves it of our own call, and of a whole 200 */
	fuzz_require(!e.has_amount || e.amount == 99);
	if (e.proof)
		fuzz_require(answer.status == 200 && call != CALL_CANCEL && e.authentic &&
					 (e.has_amount || call == CALL_SUBMIT));
	if (call == CALL_CANCEL)
		fuzz_require(e.verdict == VERDICT_ASK || e.verdict == VERDICT_UNKNOWN);
	if (e.verdict == VERDICT_SUCCEEDED || e.verdict == VERDICT_DEAD || e.verdict == VERDICT_CANCELED)
		fuzz_require(e.proof);
	if (answer.status >= 300 && e.code[0] != '\0')
		check_words(e.message);
	http_answer_free(&answer);
	return 0;
}
