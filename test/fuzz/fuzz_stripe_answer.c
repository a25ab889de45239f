/*-------------------------------------------------------------------------
 *
 * fuzz_stripe_answer.c
 *	  Answers: any status, any body, to the first page of a list or a later.
 *
 * Input: the call ('s', 'q', 'e'), 'C' (with a cursor), 'I' (with a refund's
 * id), 'R' (replayed) or '-', three digits of status, then the body.
 *
 * test/fuzz/fuzz_stripe_answer.c
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz_stripe.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ChannelInstruction instr = {
		.wire_no = "R-1", .amount = 1000, .currency = "USD", .payment_no = "p1",
		.channel_payment_id = "pi_1", .payment_amount = 2000,
	};
	ChannelCall call;
	ChannelEvidence e;
	ChannelMoment moment = {SKIT_NOW, "0123456789abcdef0123456789abcdef", false};
	ChannelError err;
	HttpAnswer	answer;
	HttpRequest request;

	fuzz_start_stripe();
	if (size < 5)
		return 0;
	call = data[0] == 's' ? CALL_SUBMIT : data[0] == 'q' ? CALL_QUERY : CALL_ECHO;
	instr.cursor = data[1] == 'C' ? "7:re_77" : NULL;
	instr.channel_refund_id = data[1] == 'I' ? "re_1" : NULL;
	http_answer_init(&answer);
	answer.outcome = HTTP_ANSWERED;
	answer.status = (data[2] % 10) * 100 + (data[3] % 10) * 10 + data[4] % 10;
	buf_add(&answer.body, data + 5, size - 5);
	http_header_add(&answer.headers, "Content-Type", "application/json");
	if (data[1] == 'R')
		http_header_add(&answer.headers, "Idempotent-Replayed", "true");
	fuzz_channel->refund->read_answer(fuzz_config, call, &instr, &answer, SKIT_NOW, &e);
	fuzz_check_evidence(&e);

	/* what proves something proves it of our own refund, and of a whole 200 */
	if (e.proof)
		fuzz_require(answer.status == 200 && call != CALL_ECHO && e.amount == 1000 &&
					 strcmp(e.currency, "USD") == 0 && strcmp(e.wire_no, "R-1") == 0 &&
					 e.channel_refund_id[0] != '\0');
	if (e.verdict == VERDICT_SUCCEEDED && call != CALL_ECHO)
		fuzz_require(e.proof);
	if (e.verdict == VERDICT_NOT_FOUND)
		fuzz_require(call == CALL_QUERY && answer.status == 200);

	/* a next page can be asked for, and is another one */
	fuzz_require(e.more == (e.cursor[0] != '\0'));
	if (e.more)
	{
		fuzz_require(call == CALL_QUERY && !e.proof && e.verdict == VERDICT_UNKNOWN);
		fuzz_require(instr.cursor == NULL || strcmp(instr.cursor, e.cursor) != 0);
		instr.cursor = e.cursor;
		instr.channel_refund_id = NULL;
		http_request_init(&request);
		fuzz_require(fuzz_channel->refund->build(fuzz_config, CALL_QUERY, &instr, NULL, &moment, &request,
										 &err));
		http_request_free(&request);
	}
	http_answer_free(&answer);
	return 0;
}
