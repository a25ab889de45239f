/*-------------------------------------------------------------------------
 *
 * wechat_answer.c
 *	  What WeChat's answers mean.
 *
 * Only a 2xx is signed, and only a signed one proves anything.  A 2xx that
 * does not verify may still have had its effect: it is unknown, and a query
 * tells.  Errors carry no signature; their verdict is a hint.  The state table
 * takes three of them at their word nevertheless, because they move no money
 * and the same number is sent again: not executed, hold, config.
 *
 * An answer is about the call that it answers, whatever it says: where the
 * number or the amount in it is not what we sent, nothing else in it counts.
 *
 * src/channel/wechat_answer.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "channel/channel_answer.h"
#include "channel/wechat.h"

#define QUERY_THROTTLE_WAIT		60	/* seconds, as documented */

/* "merchant": how WeChat begins the name of an account of the merchant's own */
#define MERCHANT_ACCOUNT		"\345\225\206\346\210\267"

static void read_success(const WechatConfig *config, ChannelCall call,
						 const ChannelInstruction *instr, const HttpAnswer *answer,
						 int64_t now, ChannelEvidence *out);
static bool answers_our_call(const json_t *refund, const ChannelInstruction *instr,
							 ChannelEvidence *out);
static bool copy_member(const json_t *object, const char *key, char *dst, size_t dstsize);

/* A text that must fit whole; absent is "". */
static bool
copy_member(const json_t *object, const char *key, char *dst, size_t dstsize)
{
	const char *text = json_text(object, key);

	return str_copy(dst, dstsize, text ? text : "");
}

/* ---- the refund object ---- */

/*
 * It is parsed leniently where nothing depends on it (WeChat adds members and
 * values as it likes), and strictly where money does.
 */
bool
wechat_read_refund(const json_t *refund, const char *status_key, ChannelEvidence *out)
{
	const json_t *amount = json_object_get(refund, "amount");
	const char *account = json_text(refund, "user_received_account");
	const char *success_time = json_text(refund, "success_time");
	const VerdictRule *rule;
	const char *code;
	int64_t		total;

	if (!copy_member(refund, status_key, out->code, sizeof(out->code)) || out->code[0] == '\0')
		answer_note(out, "the refund has no status");
	else if (!copy_member(refund, "out_refund_no", out->wire_no, sizeof(out->wire_no)) ||
			 out->wire_no[0] == '\0')
		answer_note(out, "the refund has no out_refund_no");
	else if (!json_amount(amount, "refund", &out->amount) || !json_amount(amount, "total", &total))
		answer_note(out, "the refund has no amounts");
	else if (!copy_member(refund, "out_trade_no", out->payment_no, sizeof(out->payment_no)) ||
			 !copy_member(refund, "transaction_id", out->channel_payment_id,
						  sizeof(out->channel_payment_id)) ||
			 !copy_member(refund, "refund_id", out->channel_refund_id,
						  sizeof(out->channel_refund_id)))
		answer_note(out, "the refund has a number that is too long");
	else if (!copy_member(amount, "currency", out->currency, sizeof(out->currency)))
		answer_note(out, "the refund has a currency that is none");
	else
	{
		out->has_amount = true;
		out->has_payer_amount = json_amount(amount, "payer_refund", &out->payer_amount);
		if (success_time == NULL || !parse_rfc3339(success_time, &out->occurred_at))
			out->occurred_at = 0;
		text_mask_digits(out->detail, sizeof(out->detail), account ? account : "");
		code = out->code;
		if (strcmp(code, "SUCCESS") == 0 && account != NULL &&
			strncmp(account, MERCHANT_ACCOUNT, strlen(MERCHANT_ACCOUNT)) == 0)
			code = WECHAT_SUCCESS_RETURNED;

		/* callbacks and queries have the same states */
		rule = channel_judge(&wechat_refunds, CALL_QUERY, 200, code);
		out->verdict = rule ? rule->verdict : VERDICT_UNKNOWN;
		out->proof = rule != NULL && rule->signed_only && out->authentic;
		return true;
	}
	return false;
}

static bool
answers_our_call(const json_t *refund, const ChannelInstruction *instr, ChannelEvidence *out)
{
	const json_t *amount = json_object_get(refund, "amount");
	int64_t		total = 0;

	json_amount(amount, "total", &total);
	if (strcmp(out->wire_no, instr->wire_no) != 0)
		answer_note(out, "the answer is about another refund number");
	else if (out->amount != instr->amount)
		answer_note(out, "the answer has another refund amount than was sent");
	else if (instr->payment_amount > 0 && total != instr->payment_amount)
		answer_note(out, "the answer has another payment amount than was sent");
	else if (out->currency[0] != '\0' && instr->currency != NULL &&
			 strcmp(out->currency, instr->currency) != 0)
		answer_note(out, "the answer has another currency than was sent");
	else if (out->channel_payment_id[0] != '\0' && instr->channel_payment_id != NULL &&
			 strcmp(out->channel_payment_id, instr->channel_payment_id) != 0)
		answer_note(out, "the answer is about another payment");
	else if (out->payment_no[0] != '\0' && instr->channel_payment_id == NULL &&
			 instr->payment_no != NULL && strcmp(out->payment_no, instr->payment_no) != 0)
		answer_note(out, "the answer is about another payment");
	else
		return true;
	return false;
}

/* ---- the three kinds of answers ---- */

/*
 * A gateway's 404 has no body, the service's has a code: a body that is not
 * the service's JSON gives no code, and the row without one is judged.
 */
void
wechat_read_error(const ChannelProduct *product, ChannelCall call, const HttpAnswer *answer,
				  ChannelEvidence *out)
{
	const VerdictRule *rule;
	json_t	   *body = NULL;
	const char *text;

	if (answer_is_json(&answer->headers))
		body = json_hostile_object(answer->body.data, answer->body.len);
	if (body != NULL)
	{
		copy_member(body, "code", out->code, sizeof(out->code));
		text = json_text(body, "message");
		if (product->kind == PRODUCT_TRANSFER)
			wechat_note_without_payee(out, text ? text : "");
		else
			answer_note(out, text ? text : "");
	}
	json_decref(body);
	rule = channel_judge(product, call, answer->status,
						 out->code[0] != '\0' ? out->code : NULL);
	out->verdict = rule ? rule->verdict : VERDICT_UNKNOWN;
	if (out->message[0] == '\0')
		answer_note(out, rule ? rule->comment : "an answer that WeChat Pay does not document");
	answer_retry_after(answer, out);
	if (answer->status == 429 && call == CALL_QUERY && out->retry_after < QUERY_THROTTLE_WAIT)
		out->retry_after = QUERY_THROTTLE_WAIT;
}

/* Any 2xx: what is not verified says nothing at all. */
bool
wechat_answer_verified(const WechatConfig *config, const HttpAnswer *answer, int64_t now,
					   ChannelEvidence *out)
{
	CallbackResult verified = wechat_verify(config, &answer->headers, answer->body.data,
											answer->body.len, now, NULL);

	out->authentic = verified == CALLBACK_EVIDENCE;
	if (!out->authentic)
		snprintf(out->message, sizeof(out->message),
				 "the answer does not verify (%s): its contents were not used",
				 callback_result_name(verified));
	return out->authentic;
}

static void
read_success(const WechatConfig *config, ChannelCall call, const ChannelInstruction *instr,
			 const HttpAnswer *answer, int64_t now, ChannelEvidence *out)
{
	const VerdictRule *rule;
	json_t	   *refund;

	if (!wechat_answer_verified(config, answer, now, out))
		return;
	if (call == CALL_ECHO || answer->status != 200)
	{
		rule = channel_judge(&wechat_refunds, call, answer->status, NULL);
		out->verdict = rule ? rule->verdict : VERDICT_UNKNOWN;
		answer_note(out, rule ? rule->comment : "an answer that WeChat Pay does not document");
		return;
	}
	refund = answer_is_json(&answer->headers) ?
		json_hostile_object(answer->body.data, answer->body.len) : NULL;
	if (refund == NULL)
		answer_note(out, "the answer is signed, but not a JSON object");
	else if (!wechat_read_refund(refund, "status", out) ||
			 instr == NULL || !answers_our_call(refund, instr, out))
		answer_forget(out);
	json_decref(refund);
}

void
wechat_read_answer(void *arg, ChannelCall call, const ChannelInstruction *instr,
				   const HttpAnswer *answer, int64_t now, ChannelEvidence *out)
{
	const WechatConfig *config = arg;

	answer_begin(answer, config->mchid, "Request-ID", out);
	out->failing = out->http_status >= 400;
	if (answer->outcome != HTTP_ANSWERED)
		answer_is_none(call, answer, out);
	else if (answer->status >= 200 && answer->status <= 299)
		read_success(config, call, instr, answer, now, out);
	else
		wechat_read_error(&wechat_refunds, call, answer, out);

	answer_end(call, instr, answer, now, out);
}
