/*-------------------------------------------------------------------------
 *
 * alipay_answer.c
 *	  What Alipay's answers about refunds mean.
 *
 * Business failures come with HTTP 200 and are signed like successes, so a
 * refusal that verifies is proof (alipay_gateway.c verifies).
 *
 * Only the bytes that were verified are parsed.  An answer is about the call
 * that it answers: where it names another trade or number, nothing else in it
 * counts.  Where it names none, it is a hint at best.
 *
 * refund_fee is what was refunded of the trade so far, not what this refund
 * moved.  It is never taken for this refund's amount.
 *
 * src/channel/alipay_answer.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "channel/channel_answer.h"
#include "channel/alipay.h"

#define HELD_RETRY			3600	/* a frozen trade, a disabled account */

static bool copy_member(const json_t *object, const char *key, char *dst, size_t dstsize);
static bool answers_our_call(const json_t *node, const ChannelInstruction *instr,
							 ChannelEvidence *out);
static bool names_our_call(const ChannelInstruction *instr, const ChannelEvidence *out);
static void read_submit(const json_t *node, const ChannelInstruction *instr, ChannelEvidence *out);
static void read_query(const json_t *node, const ChannelInstruction *instr, ChannelEvidence *out);
static void read_payer(const json_t *node, int64_t most, ChannelEvidence *out);
static void read_deposit_back(const json_t *node, ChannelEvidence *out);
static void read_failure(ChannelCall call, const json_t *node, const ChannelInstruction *instr,
						 ChannelEvidence *out);
static void read_node(ChannelCall call, const json_t *node, const ChannelInstruction *instr,
					  ChannelEvidence *out);

/* A text that must fit whole; absent is "". */
static bool
copy_member(const json_t *object, const char *key, char *dst, size_t dstsize)
{
	const char *text = json_text(object, key);

	return str_copy(dst, dstsize, text ? text : "");
}

/* ---- what the node says ---- */

/*
 * Numbers that it names must be ours.  Absent ones are judged by the caller:
 * a query that finds nothing names nothing.
 */
static bool
answers_our_call(const json_t *node, const ChannelInstruction *instr, ChannelEvidence *out)
{
	const char *number = json_text(node, "out_request_no");

	if (!copy_member(node, "out_trade_no", out->payment_no, sizeof(out->payment_no)) ||
		!copy_member(node, "trade_no", out->channel_payment_id, sizeof(out->channel_payment_id)))
		answer_note(out, "the answer has a number that is too long");
	else if (number != NULL && number[0] != '\0' && strcmp(number, instr->wire_no) != 0)
		answer_note(out, "the answer is about another refund number");
	else if (out->channel_payment_id[0] != '\0' && instr->channel_payment_id != NULL &&
			 strcmp(out->channel_payment_id, instr->channel_payment_id) != 0)
		answer_note(out, "the answer is about another trade");
	else if (out->payment_no[0] != '\0' && instr->channel_payment_id == NULL &&
			 instr->payment_no != NULL && strcmp(out->payment_no, instr->payment_no) != 0)
		answer_note(out, "the answer is about another trade");
	else
		return true;
	return false;
}

/* It names the trade by the number that was sent. */
static bool
names_our_call(const ChannelInstruction *instr, const ChannelEvidence *out)
{
	return instr->channel_payment_id != NULL ? out->channel_payment_id[0] != '\0'
		: out->payment_no[0] != '\0';
}

static void
read_submit(const json_t *node, const ChannelInstruction *instr, ChannelEvidence *out)
{
	const char *change = json_text(node, "fund_change");
	const char *fee = json_text(node, "refund_fee");
	const char *paid_at = json_text(node, "gmt_refund_pay");
	const VerdictRule *rule;
	int64_t		total;

	text_clip(out->code, sizeof(out->code),
			  change == NULL ? ALIPAY_NO_CHANGE_SAID :
			  strcmp(change, "Y") == 0 ? ALIPAY_CHANGED :
			  strcmp(change, "N") == 0 ? ALIPAY_NOT_CHANGED : ALIPAY_NO_CHANGE_SAID);
	rule = channel_judge(&alipay_refunds, CALL_SUBMIT, 200, out->code);
	out->verdict = rule ? rule->verdict : VERDICT_UNKNOWN;
	answer_note(out, rule ? rule->comment : "");
	if (out->verdict != VERDICT_SUCCEEDED)
		return;

	/* all refunds of the trade are at least this one */
	if (!names_our_call(instr, out))
		answer_note(out, "refunded, but the answer does not name the trade: ask");
	else if (fee != NULL && (!alipay_parse_amount(fee, &total) || total < instr->amount))
		answer_note(out, "refunded, but refund_fee, all refunds of the trade, is less than this one: ask");
	else
	{
		out->proof = rule->signed_only;
		if (paid_at != NULL)
			alipay_parse_time(paid_at, &out->occurred_at);
		read_payer(node, instr->amount, out);
		return;
	}
	out->verdict = VERDICT_ASK;
}

static void
read_query(const json_t *node, const ChannelInstruction *instr, ChannelEvidence *out)
{
	const char *status = json_text(node, "refund_status");
	const char *amount = json_text(node, "refund_amount");
	const char *number = json_text(node, "out_request_no");
	const char *paid_at = json_text(node, "gmt_refund_pay");
	const VerdictRule *rule;

	/* a status that is no text is not absent */
	if (status == NULL && json_object_get(node, "refund_status") != NULL)
	{
		answer_note(out, "the answer's refund_status is no text");
		return;
	}
	text_clip(out->code, sizeof(out->code),
			  status == NULL || status[0] == '\0' ? ALIPAY_NO_STATUS : status);
	rule = status != NULL && strcmp(status, ALIPAY_REFUNDED) != 0 && status[0] != '\0' ? NULL :
		channel_judge(&alipay_refunds, CALL_QUERY, 200, out->code);
	out->verdict = rule ? rule->verdict : VERDICT_UNKNOWN;
	answer_note(out, rule ? rule->comment : "a refund_status that Alipay does not document");
	if (out->verdict != VERDICT_SUCCEEDED)
		return;

	/* the amount is compared by whoever settles: another one goes to a person */
	if (number == NULL || number[0] == '\0' || !names_our_call(instr, out))
		answer_note(out, "refunded, but the answer does not name the refund and its trade");
	else if (amount == NULL || !alipay_parse_amount(amount, &out->amount))
		answer_note(out, "refunded, but the answer has no refund_amount");
	else
	{
		out->has_amount = true;
		out->proof = rule->signed_only;
		if (paid_at != NULL)
			alipay_parse_time(paid_at, &out->occurred_at);
		read_payer(node, out->amount, out);
		read_deposit_back(node, out);
		return;
	}
	out->amount = 0;
	out->verdict = VERDICT_UNKNOWN;
}

/* A coupon's share goes back to whoever paid for it, not to the payer. */
static bool
is_discount(const char *channel)
{
	return strstr(channel, "COUPON") != NULL || strstr(channel, "DISCOUNT") != NULL ||
		strcmp(channel, "POINT") == 0;
}

/*
 * What the payer really gets: the sum over the accounts, if all of them are
 * listed in a way that we can read.  Otherwise it is left open.
 */
static void
read_payer(const json_t *node, int64_t most, ChannelEvidence *out)
{
	const json_t *list = json_object_get(node, "refund_detail_item_list");
	json_t	   *item;
	size_t		i;
	int64_t		all = 0;
	int64_t		payer = 0;
	int64_t		fen;

	if (!json_is_array(list) || json_array_size(list) == 0)
		return;
	json_array_foreach(list, i, item)
	{
		const char *channel = json_text(item, "fund_channel");
		const char *amount = json_text(item, "amount");

		if (channel == NULL || amount == NULL || !alipay_parse_amount(amount, &fen) ||
			fen > most - all)
			return;
		all += fen;
		if (!is_discount(channel))
			payer += fen;
	}
	if (all != most)
		return;
	out->has_payer_amount = true;
	out->payer_amount = payer;
}

/* The merchant's refund is done whatever the bank does; the payer may ask. */
static void
read_deposit_back(const json_t *node, ChannelEvidence *out)
{
	const char *status = json_text(json_object_get(node, "deposit_back_info"), "dback_status");

	if (status == NULL)
		return;
	if (strcmp(status, "F") == 0)
		str_copy(out->detail, sizeof(out->detail),
				 "the bank refused; paid to the payer's Alipay balance");
	else if (strcmp(status, "S") == 0)
		str_copy(out->detail, sizeof(out->detail), "the payer's bank card has received it");
	else if (strcmp(status, "P") == 0)
		str_copy(out->detail, sizeof(out->detail), "on its way to the payer's bank card");
}

/* Anything but 10000. */
static void
read_failure(ChannelCall call, const json_t *node, const ChannelInstruction *instr,
			 ChannelEvidence *out)
{
	const char *code = json_text(node, "code");
	const char *sub_code = json_text(node, "sub_code");
	const char *words = json_text(node, "sub_msg");
	const VerdictRule *rule;

	if (sub_code == NULL)
		sub_code = "";
	if (words == NULL)
		words = json_text(node, "msg");
	text_clip(out->code, sizeof(out->code), sub_code[0] != '\0' ? sub_code : code);
	rule = alipay_judge(&alipay_refunds, call, code, sub_code);
	out->verdict = rule ? rule->verdict : VERDICT_UNKNOWN;

	/*
	 * For a wrong signature sub_msg holds the whole string that Alipay built,
	 * with the refund's reason and the token: not for a log.
	 */
	answer_note(out, rule != NULL && rule->verdict == VERDICT_CONFIG ? rule->comment :
		 words != NULL ? words : rule ? rule->comment : "an answer that Alipay does not document");
	if (out->verdict == VERDICT_NOT_EXECUTED)
		out->retry_after = strcmp(rule->code, "40005") == 0 ? ALIPAY_THROTTLED_RETRY : HELD_RETRY;
	else if (strcmp(code, "40005") == 0)
		out->retry_after = ALIPAY_THROTTLED_RETRY;

	/* what does not say which trade it refuses may be the answer to another call */
	if (rule != NULL && rule->signed_only && instr != NULL)
		out->proof = names_our_call(instr, out);
}

static void
read_node(ChannelCall call, const json_t *node, const ChannelInstruction *instr,
		  ChannelEvidence *out)
{
	const char *code = json_text(node, "code");
	const VerdictRule *rule;

	if (code == NULL || code[0] == '\0')
	{
		answer_note(out, "the answer is signed, but has no code");
		return;
	}
	out->failing = strcmp(code, "10000") != 0;
	if (call != CALL_ECHO && !answers_our_call(node, instr, out))
	{
		answer_forget(out);
		return;
	}
	if (out->failing)
		read_failure(call, node, call == CALL_ECHO ? NULL : instr, out);
	else if (call == CALL_SUBMIT)
		read_submit(node, instr, out);
	else if (call == CALL_QUERY)
		read_query(node, instr, out);
	else
	{
		rule = channel_judge(&alipay_refunds, CALL_ECHO, 200, ALIPAY_NO_STATUS);
		out->verdict = rule ? rule->verdict : VERDICT_UNKNOWN;
		text_clip(out->code, sizeof(out->code), code);
		answer_note(out, rule ? rule->comment : "");
	}
}

void
alipay_read_answer(void *arg, ChannelCall call, const ChannelInstruction *instr,
				   const HttpAnswer *answer, int64_t now, ChannelEvidence *out)
{
	const AlipayConfig *config = arg;
	json_t	   *node;

	answer_begin(answer, config->app_id, "trace_id", out);
	node = alipay_gateway_answer(config, &alipay_refunds, call,
								 call == CALL_SUBMIT ? ALIPAY_NODE_REFUND : ALIPAY_NODE_QUERY,
								 answer, now, out);
	if (node != NULL && call != CALL_ECHO && (instr == NULL || instr->wire_no == NULL))
		answer_note(out, "an answer without its call");
	else if (node != NULL)
		read_node(call, node, instr, out);
	json_decref(node);
	answer_end(call, instr, answer, now, out);
}
