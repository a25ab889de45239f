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

#include "channel/wechat.h"

#define QUERY_THROTTLE_WAIT		60	/* seconds, as documented */
#define RETRY_AFTER_MAX			86400

/* "merchant": how WeChat begins the name of an account of the merchant's own */
#define MERCHANT_ACCOUNT		"\345\225\206\346\210\267"

static bool is_json(const HttpHeaders *headers);
static void note(ChannelEvidence *out, const char *text);
static void read_transport(ChannelCall call, const HttpAnswer *answer, ChannelEvidence *out);
static void read_error(ChannelCall call, const HttpAnswer *answer, ChannelEvidence *out);
static void read_success(const WechatConfig *config, ChannelCall call,
						 const ChannelInstruction *instr, const HttpAnswer *answer,
						 int64_t now, ChannelEvidence *out);
static bool answers_our_call(const json_t *refund, const ChannelInstruction *instr,
							 ChannelEvidence *out);
static void forget(ChannelEvidence *out);
static bool copy_member(const json_t *object, const char *key, char *dst, size_t dstsize);
static void answer_digest(ChannelCall call, const HttpAnswer *answer, int64_t now,
						  ChannelEvidence *out);

/* "application/json", with or without parameters */
static bool
is_json(const HttpHeaders *headers)
{
	const char *type = http_header_get(headers, "Content-Type");
	size_t		n = strlen("application/json");

	return type != NULL && strncasecmp(type, "application/json", n) == 0 &&
		(type[n] == '\0' || type[n] == ';' || type[n] == ' ');
}

static void
note(ChannelEvidence *out, const char *text)
{
	text_clip(out->message, sizeof(out->message), text);
}

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
		note(out, "the refund has no status");
	else if (!copy_member(refund, "out_refund_no", out->wire_no, sizeof(out->wire_no)) ||
			 out->wire_no[0] == '\0')
		note(out, "the refund has no out_refund_no");
	else if (!json_amount(amount, "refund", &out->amount) || !json_amount(amount, "total", &total))
		note(out, "the refund has no amounts");
	else if (!copy_member(refund, "out_trade_no", out->payment_no, sizeof(out->payment_no)) ||
			 !copy_member(refund, "transaction_id", out->channel_payment_id,
						  sizeof(out->channel_payment_id)) ||
			 !copy_member(refund, "refund_id", out->channel_refund_id,
						  sizeof(out->channel_refund_id)))
		note(out, "the refund has a number that is too long");
	else if (!copy_member(amount, "currency", out->currency, sizeof(out->currency)))
		note(out, "the refund has a currency that is none");
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
		rule = channel_judge(&wechat_channel, CALL_QUERY, 200, code);
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
		note(out, "the answer is about another refund number");
	else if (out->amount != instr->amount)
		note(out, "the answer has another refund amount than was sent");
	else if (instr->payment_amount > 0 && total != instr->payment_amount)
		note(out, "the answer has another payment amount than was sent");
	else if (out->currency[0] != '\0' && instr->currency != NULL &&
			 strcmp(out->currency, instr->currency) != 0)
		note(out, "the answer has another currency than was sent");
	else if (out->channel_payment_id[0] != '\0' && instr->channel_payment_id != NULL &&
			 strcmp(out->channel_payment_id, instr->channel_payment_id) != 0)
		note(out, "the answer is about another payment");
	else if (out->payment_no[0] != '\0' && instr->channel_payment_id == NULL &&
			 instr->payment_no != NULL && strcmp(out->payment_no, instr->payment_no) != 0)
		note(out, "the answer is about another payment");
	else
		return true;
	return false;
}

/* ---- the three kinds of answers ---- */

static void
read_transport(ChannelCall call, const HttpAnswer *answer, ChannelEvidence *out)
{
	note(out, answer->error);
	if (answer->outcome == HTTP_NOT_SENT && call == CALL_SUBMIT)
		out->verdict = VERDICT_NOT_EXECUTED;
	str_copy(out->code, sizeof(out->code),
			 answer->outcome == HTTP_NOT_SENT ? "NOT_SENT" : "NO_ANSWER");
}

/*
 * A gateway's 404 has no body, the service's has a code: a body that is not
 * the service's JSON gives no code, and the row without one is judged.
 */
static void
read_error(ChannelCall call, const HttpAnswer *answer, ChannelEvidence *out)
{
	const char *retry_after = http_header_get(&answer->headers, "Retry-After");
	const VerdictRule *rule;
	json_t	   *body = NULL;
	const char *text;
	int64_t		seconds;

	if (is_json(&answer->headers))
		body = json_hostile_object(answer->body.data, answer->body.len);
	if (body != NULL)
	{
		copy_member(body, "code", out->code, sizeof(out->code));
		text = json_text(body, "message");
		note(out, text ? text : "");
	}
	json_decref(body);
	rule = channel_judge(&wechat_channel, call, answer->status,
						 out->code[0] != '\0' ? out->code : NULL);
	out->verdict = rule ? rule->verdict : VERDICT_UNKNOWN;
	if (out->message[0] == '\0')
		note(out, rule ? rule->comment : "an answer that WeChat Pay does not document");
	if (retry_after != NULL && parse_digits(retry_after, &seconds))
		out->retry_after = (int) (seconds > RETRY_AFTER_MAX ? RETRY_AFTER_MAX : seconds);
	if (answer->status == 429 && call == CALL_QUERY && out->retry_after < QUERY_THROTTLE_WAIT)
		out->retry_after = QUERY_THROTTLE_WAIT;
}

/* Any 2xx: what is not verified says nothing at all. */
static void
read_success(const WechatConfig *config, ChannelCall call, const ChannelInstruction *instr,
			 const HttpAnswer *answer, int64_t now, ChannelEvidence *out)
{
	CallbackResult verified = wechat_verify(config, &answer->headers, answer->body.data,
											answer->body.len, now, NULL);
	const VerdictRule *rule;
	json_t	   *refund;

	if (verified != CALLBACK_EVIDENCE)
	{
		snprintf(out->message, sizeof(out->message),
				 "the answer does not verify (%s): its contents were not used",
				 callback_result_name(verified));
		return;
	}
	out->authentic = true;
	if (call == CALL_ECHO || answer->status != 200)
	{
		rule = channel_judge(&wechat_channel, call, answer->status, NULL);
		out->verdict = rule ? rule->verdict : VERDICT_UNKNOWN;
		note(out, rule ? rule->comment : "an answer that WeChat Pay does not document");
		return;
	}
	refund = is_json(&answer->headers) ?
		json_hostile_object(answer->body.data, answer->body.len) : NULL;
	if (refund == NULL)
		note(out, "the answer is signed, but not a JSON object");
	else if (!wechat_read_refund(refund, "status", out) ||
			 instr == NULL || !answers_our_call(refund, instr, out))
		forget(out);
	json_decref(refund);
}

/*
 * Keep only that there was an answer, and why it was not used: what is left
 * of another refund's must not be taken for news of that one.
 */
static void
forget(ChannelEvidence *out)
{
	ChannelEvidence kept = {0};

	kept.authentic = out->authentic;
	kept.http_status = out->http_status;
	kept.failing = out->failing;
	memcpy(kept.merchant, out->merchant, sizeof(kept.merchant));
	memcpy(kept.message, out->message, sizeof(kept.message));
	memcpy(kept.request_id, out->request_id, sizeof(kept.request_id));
	*out = kept;
}

/*
 * Two answers are two events even if they say the same: a second "not found"
 * is news.  So the digest covers the call's own circumstances too.
 */
static void
answer_digest(ChannelCall call, const HttpAnswer *answer, int64_t now, ChannelEvidence *out)
{
	Buf			text = BUF_INIT;

	buf_addf(&text, "answer\n%s\n%s\n%s\n%s\n%d\n%s\n%lld\n%s\n%lld\n%lld\n",
			 channel_call_name(call), out->merchant, out->wire_no, verdict_name(out->verdict),
			 answer->status, out->code, (long long) out->amount, out->request_id,
			 (long long) now, (long long) answer->total_us);
	buf_add(&text, answer->body.data, answer->body.len);
	if (!text.failed)
		sha256(text.data, text.len, out->digest);
	buf_free(&text);
}

void
wechat_read_answer(void *arg, ChannelCall call, const ChannelInstruction *instr,
				   const HttpAnswer *answer, int64_t now, ChannelEvidence *out)
{
	const WechatConfig *config = arg;
	const char *request_id;

	memset(out, 0, sizeof(*out));
	out->http_status = answer->outcome == HTTP_ANSWERED ? answer->status : 0;
	out->failing = out->http_status >= 400;
	str_copy(out->merchant, sizeof(out->merchant), config->mchid);
	request_id = http_header_get(&answer->headers, "Request-ID");
	text_clip(out->request_id, sizeof(out->request_id), request_id ? request_id : "");

	if (answer->outcome != HTTP_ANSWERED)
		read_transport(call, answer, out);
	else if (answer->status >= 200 && answer->status <= 299)
		read_success(config, call, instr, answer, now, out);
	else
		read_error(call, answer, out);

	/* an answer belongs to its call, also when it does not name it */
	if (out->wire_no[0] == '\0' && call != CALL_ECHO && instr != NULL && instr->wire_no != NULL)
		str_copy(out->wire_no, sizeof(out->wire_no), instr->wire_no);
	answer_digest(call, answer, now, out);
}
