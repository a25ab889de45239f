/*-------------------------------------------------------------------------
 *
 * fuzz_wechat_answer.c
 *	  Answers: any status, any body, signed by the harness or not.
 *
 * Input: the call ('s', 'q', 'e'), 'S' (signed) or 'u', three digits of
 * status, then the body.
 *
 * test/fuzz/fuzz_wechat_answer.c
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const ChannelInstruction instr = {
		.wire_no = "r1", .amount = 99, .currency = "CNY", .payment_no = "p1",
		.payment_amount = 100,
	};
	ChannelCall call;
	ChannelEvidence e;
	HttpAnswer	answer;
	bool		is_signed;

	fuzz_start();
	if (size < 5)
		return 0;
	call = data[0] == 's' ? CALL_SUBMIT : data[0] == 'q' ? CALL_QUERY : CALL_ECHO;
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
	fuzz_channel->refund->read_answer(fuzz_config, call, &instr, &answer, KIT_NOW, &e);
	fuzz_check_evidence(&e);
	fuzz_require(is_signed || (!e.proof && !e.authentic));

	/* what proves something proves it of our own call, and of a whole 200 */
	if (e.proof)
		fuzz_require(answer.status == 200 && call != CALL_ECHO && e.amount == 99 &&
					 strcmp(e.wire_no, "r1") == 0);
	if (e.verdict == VERDICT_SUCCEEDED && call != CALL_ECHO)
		fuzz_require(e.proof);
	http_answer_free(&answer);
	return 0;
}
