/*-------------------------------------------------------------------------
 *
 * alipay_transfer_answer.c
 *	  What Alipay's answers about transfers mean.
 *
 * An answer names the transfer by our number, and its status is the transfer's
 * own: signed, it proves.  One that names another number is nothing; one that
 * names none is a hint.  What an answer says of the amount is handed on, for
 * whoever settles compares it; a query's success without one proves nothing,
 * for trans_amount is documented to be there.
 *
 * No word of Alipay's own is kept, neither sub_msg nor fail_reason: they are
 * written for the merchant, and may name the payee.  The codes say it all.
 *
 * src/channel/alipay_transfer_answer.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "channel/alipay.h"
#include "channel/channel_answer.h"

#define PAYEE_LIMIT_RETRY	(6 * 3600)	/* a payee's limits are a day's */

static void copy_code(const char *code, char *dst, size_t dstsize);
static bool answers_our_call(const json_t *node, const ChannelInstruction *instr,
							 ChannelEvidence *out);
static void read_failure(ChannelCall call, const json_t *node, ChannelEvidence *out);
static void read_echo(const json_t *node, ChannelEvidence *out);
static void read_transfer(ChannelCall call, const json_t *node, ChannelEvidence *out);

/* Letters, digits and what joins them; anything else is no code and not shown. */
bool
alipay_is_code(const char *s)
{
	size_t		len = strlen(s);

	return len >= 1 && len <= 64 &&
		strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") == len;
}

static void
copy_code(const char *code, char *dst, size_t dstsize)
{
	str_copy(dst, dstsize, alipay_is_code(code) ? code : "?");
}

/* The table's words, and the code that Alipay gives as the reason. */
void
alipay_transfer_note(const char *comment, const char *reason, ChannelEvidence *out)
{
	if (reason != NULL && alipay_is_code(reason))
		snprintf(out->message, sizeof(out->message), "%.160s (%.64s)", comment, reason);
	else
		text_clip(out->message, sizeof(out->message), comment);
}

/* ---- whose answer it is ---- */

static bool
answers_our_call(const json_t *node, const ChannelInstruction *instr, ChannelEvidence *out)
{
	const char *number = json_text(node, "out_biz_no");
	const char *order = json_text(node, "order_id");

	if (number != NULL && number[0] != '\0' && strcmp(number, instr->wire_no) != 0)
		answer_note(out, "the answer is about another transfer");
	else if (!alipay_copy_number(order, out->channel_refund_id, sizeof(out->channel_refund_id)))
		answer_note(out, "the answer has an order_id that is none");
	else if (out->channel_refund_id[0] != '\0' && instr->channel_refund_id != NULL &&
			 instr->channel_refund_id[0] != '\0' &&
			 strcmp(out->channel_refund_id, instr->channel_refund_id) != 0)
		answer_note(out, "the answer is about another order of Alipay's");
	else
		return true;
	return false;
}

/* ---- what it says ---- */

/* Anything but 10000. */
static void
read_failure(ChannelCall call, const json_t *node, ChannelEvidence *out)
{
	const char *code = json_text(node, "code");
	const char *sub_code = json_text(node, "sub_code");
	const char *number = json_text(node, "out_biz_no");
	const VerdictRule *rule;

	if (sub_code == NULL)
		sub_code = "";
	copy_code(sub_code[0] != '\0' ? sub_code : code, out->code, sizeof(out->code));
	rule = alipay_judge(&alipay_transfers, call, code, sub_code);
	out->verdict = rule ? rule->verdict : VERDICT_UNKNOWN;
	answer_note(out, rule ? rule->comment : "an answer that Alipay does not document");
	if (strcmp(code, "40005") == 0)
		out->retry_after = ALIPAY_THROTTLED_RETRY;
	else if (out->verdict == VERDICT_NOT_EXECUTED)
		out->retry_after = PAYEE_LIMIT_RETRY;

	/* what does not say which transfer it refuses may be the answer to another call */
	if (rule != NULL && rule->signed_only)
		out->proof = number != NULL && number[0] != '\0';

	/*
	 * So one that closes the number is a refusal like the others then: a hint,
	 * until a query agrees.  To ask only would find nothing and send the same
	 * number again, for ever.
	 */
	if (out->verdict == VERDICT_DEAD && !out->proof)
		out->verdict = VERDICT_REFUSED;
}

static void
read_echo(const json_t *node, ChannelEvidence *out)
{
	if (out->failing)
	{
		read_failure(CALL_ECHO, node, out);
		return;
	}
	copy_code(json_text(node, "code"), out->code, sizeof(out->code));
	answer_note(out, "Alipay knows a transfer that does not exist");
}

/* 10000: the status tells. */
static void
read_transfer(ChannelCall call, const json_t *node, ChannelEvidence *out)
{
	const json_t *status_value = json_object_get(node, "status");
	const json_t *amount_value = json_object_get(node, "trans_amount");
	const char *status = json_string_value(status_value);
	const char *amount = json_string_value(amount_value);
	const char *number = json_text(node, "out_biz_no");
	const char *paid_at = json_text(node, call == CALL_SUBMIT ? "trans_date" : "pay_date");
	const VerdictRule *rule = NULL;

	/* only one that is not there at all is absent; a query always has one */
	copy_code(status_value == NULL ? ALIPAY_NO_STATUS : status ? status : "",
			  out->code, sizeof(out->code));
	if (status != NULL ? alipay_is_status(status) : status_value == NULL)
		rule = channel_judge(&alipay_transfers, call, 200, out->code);
	alipay_transfer_note(rule ? rule->comment : "a status that Alipay does not document",
						 json_text(node, "error_code"), out);
	if (rule == NULL)
		return;
	out->verdict = rule->verdict;
	if (!rule->signed_only)
		return;

	/* whoever settles compares the amount; one that cannot be read is no amount */
	if (number == NULL || number[0] == '\0')
		answer_note(out, "the answer does not name the transfer");
	else if (amount_value != NULL &&
			 (amount == NULL || !alipay_parse_amount(amount, &out->amount)))
		answer_note(out, "the answer's trans_amount is no amount");
	else if (amount_value == NULL && call == CALL_QUERY &&
			 (out->verdict == VERDICT_SUCCEEDED || out->verdict == VERDICT_RETURNED))
		answer_note(out, "the answer has no trans_amount");
	else
	{
		out->has_amount = amount_value != NULL;
		out->proof = true;
		if (paid_at != NULL && out->verdict == VERDICT_SUCCEEDED)
			alipay_parse_time(paid_at, &out->occurred_at);
		return;
	}
	out->amount = 0;
	out->verdict = call == CALL_SUBMIT ? VERDICT_ASK : VERDICT_UNKNOWN;
}

void
alipay_transfer_read_answer(void *arg, ChannelCall call, const ChannelInstruction *instr,
							const HttpAnswer *answer, int64_t now, ChannelEvidence *out)
{
	const AlipayConfig *config = arg;
	const char *code;
	json_t	   *node;

	answer_begin(answer, config->app_id, "trace_id", out);
	node = alipay_gateway_answer(config, &alipay_transfers, call,
								 call == CALL_SUBMIT ? ALIPAY_NODE_TRANSFER :
								 ALIPAY_NODE_TRANSFER_QUERY, answer, now, out);
	code = json_text(node, "code");
	out->failing = out->failing || (code != NULL && strcmp(code, "10000") != 0);
	if (node != NULL && (code == NULL || code[0] == '\0'))
		answer_note(out, "the answer is signed, but has no code");
	else if (node != NULL && call == CALL_ECHO)
		read_echo(node, out);
	else if (node != NULL && (instr == NULL || instr->wire_no == NULL))
		answer_note(out, "an answer without its call");
	else if (node != NULL && !answers_our_call(node, instr, out))
		answer_forget(out);
	else if (node != NULL && out->failing)
		read_failure(call, node, out);
	else if (node != NULL)
		read_transfer(call, node, out);
	json_decref(node);
	out->product = PRODUCT_TRANSFER;
	answer_end(call, instr, answer, now, out);
}
