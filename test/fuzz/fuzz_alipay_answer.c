/*-------------------------------------------------------------------------
 *
 * fuzz_alipay_answer.c
 *	  Answers: any body, and any node signed by the harness.
 *
 * Input: the call ('s', 'q', 'e'), then 'n' (the rest is the node, signed with
 * the public key's pair), 'c' (likewise, in certificate mode) or 'b' (the rest
 * is the whole body), then the rest.
 *
 * test/fuzz/fuzz_alipay_answer.c
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz_alipay.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const ChannelInstruction instr = {
		.wire_no = "R1", .amount = 99, .currency = "CNY", .payment_no = "P1",
		.payment_amount = 100,
	};
	ChannelCall call;
	ChannelEvidence e;
	HttpAnswer	answer;
	bool		is_signed;

	fuzz_alipay_start();
	if (size < 2)
		return 0;
	call = data[0] == 's' ? CALL_SUBMIT : data[0] == 'q' ? CALL_QUERY : CALL_ECHO;
	is_signed = data[1] == 'n' || data[1] == 'c';
	http_answer_init(&answer);
	answer.outcome = HTTP_ANSWERED;
	answer.status = 200;
	if (is_signed)
		akit_answer(&answer.body, akit_alipay, call == CALL_SUBMIT ? AKIT_NODE : AKIT_QUERY_NODE,
					(const char *) data + 2, size - 2, data[1] == 'c' ? fuzz_sn : NULL);
	else
		buf_add(&answer.body, data + 2, size - 2);
	fuzz_channel->refund->read_answer(data[1] == 'c' ? fuzz_cert_config : fuzz_config, call,
							  call == CALL_ECHO ? NULL : &instr, &answer, AKIT_NOW, &e);
	fuzz_check_alipay(&e);

	/* nobody can guess a signature, and unsigned words move nothing */
	if (!is_signed)
		fuzz_require(!e.proof && !e.authentic &&
					 (e.verdict == VERDICT_UNKNOWN || e.verdict == VERDICT_CONFIG));
	if (e.verdict == VERDICT_SUCCEEDED && call != CALL_ECHO)
		fuzz_require(e.proof && (call == CALL_SUBMIT || e.has_amount) &&
					 strcmp(e.wire_no, "R1") == 0 && strcmp(e.payment_no, "P1") == 0);
	fuzz_require(call == CALL_SUBMIT || (e.verdict != VERDICT_REFUSED && e.verdict != VERDICT_HOLD &&
										 e.verdict != VERDICT_NOT_EXECUTED));
	fuzz_require(call == CALL_QUERY || e.verdict != VERDICT_NOT_FOUND);
	http_answer_free(&answer);
	return 0;
}
