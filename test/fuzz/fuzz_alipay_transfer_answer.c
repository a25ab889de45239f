/*-------------------------------------------------------------------------
 *
 * fuzz_alipay_transfer_answer.c
 *	  Answers about transfers: any body, and any node signed by the harness.
 *
 * Input: the call ('s', 'q', 'e'), then 'c' (the rest is the node, signed) or
 * 'b' (the rest is the whole body), then the rest.
 *
 * test/fuzz/fuzz_alipay_transfer_answer.c
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz_alipay.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const ChannelInstruction instr = {.wire_no = "W1", .amount = 2300, .currency = "CNY"};
	const char *p;
	ChannelCall call;
	ChannelEvidence e;
	HttpAnswer	answer;
	bool		is_signed;

	fuzz_alipay_start();
	if (size < 2)
		return 0;
	call = data[0] == 's' ? CALL_SUBMIT : data[0] == 'q' ? CALL_QUERY : CALL_ECHO;
	is_signed = data[1] == 'c';
	http_answer_init(&answer);
	answer.outcome = HTTP_ANSWERED;
	answer.status = 200;
	if (is_signed)
		akit_answer(&answer.body, akit_alipay,
					call == CALL_SUBMIT ? AKIT_TRANSFER_NODE : AKIT_TRANSFER_QUERY_NODE,
					(const char *) data + 2, size - 2, fuzz_sn);
	else
		buf_add(&answer.body, data + 2, size - 2);
	fuzz_channel->transfer->read_answer(fuzz_transfer_config, call,
										call == CALL_ECHO ? NULL : &instr, &answer, AKIT_NOW, &e);
	fuzz_check_alipay(&e);
	fuzz_require(e.product == PRODUCT_TRANSFER);

	/* nobody can guess a signature, and unsigned words move nothing */
	if (!is_signed)
		fuzz_require(!e.proof && !e.authentic &&
					 (e.verdict == VERDICT_UNKNOWN || e.verdict == VERDICT_CONFIG));
	if (e.verdict == VERDICT_SUCCEEDED && call != CALL_ECHO)
		fuzz_require(e.proof && (call == CALL_SUBMIT || e.has_amount) && strcmp(e.wire_no, "W1") == 0);
	if (e.verdict == VERDICT_RETURNED)
		fuzz_require(e.proof && call != CALL_ECHO);
	if (e.verdict == VERDICT_DEAD || e.verdict == VERDICT_ACCEPTED)
		fuzz_require(e.proof && call != CALL_ECHO);
	fuzz_require(call == CALL_SUBMIT || (e.verdict != VERDICT_REFUSED && e.verdict != VERDICT_HOLD &&
										 e.verdict != VERDICT_NOT_EXECUTED));
	fuzz_require(call == CALL_QUERY || e.verdict != VERDICT_NOT_FOUND);
	fuzz_require(call != CALL_ECHO || !e.proof);

	/* of a verified answer no word of Alipay's is kept, only what is a code */
	if (e.authentic)
		for (p = e.code; *p != '\0'; p++)
			fuzz_require((unsigned char) *p > ' ' && (unsigned char) *p < 0x7f);
	fuzz_require(e.detail[0] == '\0' && e.payment_no[0] == '\0' && e.channel_payment_id[0] == '\0');
	http_answer_free(&answer);
	return 0;
}
