/*-------------------------------------------------------------------------
 *
 * alipay_answer.c
 *	  What Alipay's answers mean.
 *
 * Business failures come with HTTP 200 and are signed like successes, so a
 * refusal that verifies is proof.  What does not verify is unknown, whatever
 * it says: the refund may have gone through all the same, and a query tells.
 * One kind is taken at its word nevertheless: the gateway's refusal of the
 * call itself (a key, a right or a parameter of ours is wrong: code 2000x or
 * 4000x with a sub_code "isv." or "aop."), because Alipay cannot sign for an
 * app that it does not know, the call was not passed on, and all that follows
 * is a pause and the same number again.
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
#define THROTTLED_RETRY		60
#define BUSINESS_PREFIX		"ACQ."
#define OVERDRAFT_PREFIX	"OVERDRAFT_"

static bool copy_member(const json_t *object, const char *key, char *dst, size_t dstsize);
static const AlipayKey *key_of_answer(const AlipayConfig *config, const AlipayNode *node,
									  int64_t now, ChannelEvidence *out);
static bool verified(const AlipayConfig *config, const AlipayNode *node, int64_t now,
					 ChannelEvidence *out);
static const char *business_code(const char *code);
static bool is_failure(const char *code);
static const VerdictRule *judge(ChannelCall call, const char *code, const char *sub_code);
static void read_unverified(ChannelCall call, const AlipayNode *node, ChannelEvidence *out);
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
static void read_ok(const AlipayConfig *config, ChannelCall call, const ChannelInstruction *instr,
					const HttpAnswer *answer, int64_t now, ChannelEvidence *out);

/* A text that must fit whole; absent is "". */
static bool
copy_member(const json_t *object, const char *key, char *dst, size_t dstsize)
{
	const char *text = json_text(object, key);

	return str_copy(dst, dstsize, text ? text : "");
}

/* ---- whose answer it is ---- */

/*
 * The key to verify with; NULL, and what to do in the message, if it is none
 * of ours.  In public-key mode an answer does not name its key: then this is
 * the first, and the caller tries the others too.
 */
static const AlipayKey *
key_of_answer(const AlipayConfig *config, const AlipayNode *node, int64_t now,
			  ChannelEvidence *out)
{
	char		have[4 * (ALIPAY_SN_LEN + 2)] = "";
	int			i;

	if (!config->certificates)
		return &config->keys[0];
	if (node->sn == NULL || node->snlen != ALIPAY_SN_LEN ||
		strspn(node->sn, "0123456789abcdef") < ALIPAY_SN_LEN)
	{
		answer_note(out, "the answer names no certificate (alipay_cert_sn): its contents were not used. "
			 "Does the app use public keys in the open platform?");
		return NULL;
	}
	for (i = 0; i < config->key_count; i++)
	{
		if (memcmp(config->keys[i].sn, node->sn, ALIPAY_SN_LEN) == 0)
		{
			if (now <= config->keys[i].not_after)
				return &config->keys[i];
			snprintf(out->message, sizeof(out->message),
					 "the answer is signed with Alipay's certificate %.32s, which has expired: "
					 "its contents were not used", config->keys[i].sn);
			return NULL;
		}
		snprintf(have + strlen(have), sizeof(have) - strlen(have), "%s%s", i > 0 ? ", " : "",
				 config->keys[i].sn);
	}
	snprintf(out->message, sizeof(out->message),
			 "signed with Alipay's certificate %.32s; \"alipay_certificates\" has %.66s%s. Download "
			 "the new one from the open platform and list it beside the old one",
			 node->sn, have, strlen(have) > 66 ? ", ..." : "");
	return NULL;
}

static bool
verified(const AlipayConfig *config, const AlipayNode *node, int64_t now, ChannelEvidence *out)
{
	const AlipayKey *key;
	int			i;

	if (node->sign == NULL || node->signlen == 0)
	{
		answer_note(out, "the answer is not signed: its contents were not used");
		return false;
	}
	key = key_of_answer(config, node, now, out);
	if (key == NULL)
		return false;
	if (config->certificates)
	{
		if (alipay_node_verify(node, key->key))
			return true;
	}
	else
		for (i = 0; i < config->key_count; i++)
			if (alipay_node_verify(node, config->keys[i].key))
				return true;
	answer_note(out, "the answer's signature does not fit: its contents were not used");
	return false;
}

/* ---- codes ---- */

static const char *
business_code(const char *code)
{
	size_t		prefix = strlen(BUSINESS_PREFIX);

	if (strncmp(code, BUSINESS_PREFIX, prefix) == 0)
		code += prefix;
	return strncmp(code, OVERDRAFT_PREFIX, strlen(OVERDRAFT_PREFIX)) == 0 ? "OVERDRAFT_*" : code;
}

/*
 * Letters and '_', and none of the table's names for what is no failure: no
 * sub_code may be taken for one of those.
 */
static bool
is_failure(const char *code)
{
	return code[0] >= 'A' && code[0] <= 'Z' && strcmp(code, ALIPAY_REFUNDED) != 0 &&
		strspn(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_*") == strlen(code);
}

/* A failure is judged by its sub_code alone if it has failed as business. */
static const VerdictRule *
judge(ChannelCall call, const char *code, const char *sub_code)
{
	if (strcmp(code, "40004") == 0)
	{
		sub_code = business_code(sub_code);
		return is_failure(sub_code) ? channel_judge(&alipay_refunds, call, 200, sub_code) : NULL;
	}
	if (strcmp(code, ALIPAY_NO_STATUS) == 0 || strspn(code, "0123456789") != strlen(code))
		return NULL;
	return channel_judge(&alipay_refunds, call, 200, code);
}

/*
 * Of an answer that does not verify, only the codes are looked at, and only
 * those of the gateway's own refusals count.
 */
static void
read_unverified(ChannelCall call, const AlipayNode *node, ChannelEvidence *out)
{
	json_t	   *object = node->is_object ? json_hostile_object(node->data, node->len) : NULL;
	const char *code = json_text(object, "code");
	const char *sub_code = json_text(object, "sub_code");
	const VerdictRule *rule;
	char		text[sizeof(out->message) + 160];

	if (code != NULL && strlen(code) == 5 && strspn(code, "0123456789") == 5)
	{
		bool		gateway = sub_code != NULL && strlen(sub_code) < sizeof(out->code) &&
			(strncmp(sub_code, "isv.", 4) == 0 || strncmp(sub_code, "aop.", 4) == 0);

		rule = gateway ? judge(call, code, sub_code) : NULL;
		snprintf(text, sizeof(text), "%s (it says %s%s%.64s)", out->message, code,
				 gateway ? " " : "", gateway ? sub_code : "");
		if (rule != NULL && rule->verdict == VERDICT_CONFIG)
		{
			out->verdict = VERDICT_CONFIG;
			text_clip(out->code, sizeof(out->code), sub_code);
			snprintf(text, sizeof(text), "%s %s: %s; this answer is not signed, or does not verify",
					 code, out->code, rule->comment);
		}
		answer_note(out, text);
	}
	json_decref(object);
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
	rule = judge(call, code, sub_code);
	out->verdict = rule ? rule->verdict : VERDICT_UNKNOWN;

	/*
	 * For a wrong signature sub_msg holds the whole string that Alipay built,
	 * with the refund's reason and the token: not for a log.
	 */
	answer_note(out, rule != NULL && rule->verdict == VERDICT_CONFIG ? rule->comment :
		 words != NULL ? words : rule ? rule->comment : "an answer that Alipay does not document");
	if (out->verdict == VERDICT_NOT_EXECUTED)
		out->retry_after = strcmp(rule->code, "40005") == 0 ? THROTTLED_RETRY : HELD_RETRY;
	else if (strcmp(code, "40005") == 0)
		out->retry_after = THROTTLED_RETRY;

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

/* A 200: what is not verified says next to nothing. */
static void
read_ok(const AlipayConfig *config, ChannelCall call, const ChannelInstruction *instr,
		const HttpAnswer *answer, int64_t now, ChannelEvidence *out)
{
	const char *name = call == CALL_SUBMIT ? ALIPAY_NODE_REFUND : ALIPAY_NODE_QUERY;
	const char *why;
	AlipayNode	node;
	json_t	   *object;

	if (!alipay_node_find(answer->body.data, answer->body.len, name, &node, &why))
	{
		snprintf(out->message, sizeof(out->message), "the answer is unreadable: %s", why);
		return;
	}
	if (!verified(config, &node, now, out))
	{
		read_unverified(call, &node, out);
		return;
	}
	out->authentic = true;
	object = node.is_object ? json_hostile_object(node.data, node.len) : NULL;
	if (object == NULL)
		answer_note(out, node.is_object ? "the answer is signed, but its node is not a JSON object" :
			 "the answer is encrypted, which nobody asked for");
	else if (call != CALL_ECHO && (instr == NULL || instr->wire_no == NULL))
		answer_note(out, "an answer without its call");
	else
		read_node(call, object, instr, out);
	json_decref(object);
}

void
alipay_read_answer(void *arg, ChannelCall call, const ChannelInstruction *instr,
				   const HttpAnswer *answer, int64_t now, ChannelEvidence *out)
{
	const AlipayConfig *config = arg;

	answer_begin(answer, config->app_id, "trace_id", out);
	if (answer->outcome != HTTP_ANSWERED)
		answer_is_none(call, answer, out);
	else if (answer->status == 200)
		read_ok(config, call, instr, answer, now, out);
	else
	{
		/* whatever stands before the gateway says this, and knows nothing */
		out->failing = answer->status >= 400;
		snprintf(out->message, sizeof(out->message),
				 "HTTP %d: Alipay answers with 200 even if it refuses; this is not its word",
				 answer->status);
		answer_retry_after(answer, out);
	}

	answer_end(call, instr, answer, now, out);
}
