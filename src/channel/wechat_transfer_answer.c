/*-------------------------------------------------------------------------
 *
 * wechat_transfer_answer.c
 *	  What WeChat's answers and callbacks about transfers mean.
 *
 * As with refunds, only a 2xx is signed and only a signed one proves anything,
 * and an answer about another number, amount or merchant is no answer.
 *
 * Answers and callbacks carry the payee's openid, and answers to queries his
 * name, encrypted for us.  Neither is read here: what this file copies ends in
 * tables and views.  WeChat's own words for an error are copied, but without
 * anything that could be an openid.
 *
 * src/channel/wechat_transfer_answer.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "channel/channel_answer.h"
#include "channel/wechat.h"

#define WORD_MAX	64

static bool read_transfer(const json_t *transfer, ChannelCall call, ChannelEvidence *out);
static bool answers_our_call(const json_t *transfer, const ChannelInstruction *instr,
							 ChannelEvidence *out);
static void read_success(const WechatConfig *config, ChannelCall call,
						 const ChannelInstruction *instr, const HttpAnswer *answer,
						 int64_t now, ChannelEvidence *out);
static bool callback_digest(ChannelEvidence *out);

/* ---- words for people ---- */

/*
 * A word of 20 or more that is written as openids are: with digits, or in both
 * cases.  Names of members and codes, as WeChat's messages have them, are not.
 */
static bool
could_be_openid(const char *s, size_t len)
{
	bool		lower = false;
	bool		upper = false;
	bool		digit = false;
	size_t		i;

	/* not isupper() and its like: what a letter is does not depend on a locale */
	for (i = 0; i < len; i++)
	{
		lower |= s[i] >= 'a' && s[i] <= 'z';
		upper |= s[i] >= 'A' && s[i] <= 'Z';
		digit |= s[i] >= '0' && s[i] <= '9';
	}
	return len >= WECHAT_OPENID_MIN && (digit || (lower && upper));
}

void
wechat_note_without_payee(ChannelEvidence *out, const char *text)
{
	char		kept[sizeof(out->message) + WORD_MAX];
	size_t		n = 0;

	while (*text != '\0' && n < sizeof(out->message))
	{
		size_t		len = strspn(text, WECHAT_WORD_CHARSET);

		if (could_be_openid(text, len))
		{
			memcpy(kept + n, "****", 4);
			n += 4;
		}
		else if (len > WORD_MAX)
			break;
		else
		{
			memcpy(kept + n, text, len > 0 ? len : 1);
			n += len > 0 ? len : 1;
		}
		text += len > 0 ? len : 1;
	}
	kept[n] = '\0';
	answer_note(out, kept);
}

/* A code of WeChat's: capitals, digits and "_".  Anything else is not shown. */
static const char *
code_member(const json_t *object, const char *key)
{
	const char *text = json_text(object, key);
	size_t		len = text ? strlen(text) : 0;

	if (len == 0 || len > WORD_MAX || strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != len)
		return NULL;
	return text;
}

/* Why it failed: WeChat's word for it, and ours. */
static void
note_failure(const json_t *transfer, ChannelEvidence *out)
{
	const char *reason = code_member(transfer, "fail_reason");
	const char *words = reason ? wechat_fail_reason(reason) : NULL;

	if (reason == NULL)
		return;
	text_clip(out->detail, sizeof(out->detail), reason);
	snprintf(out->message, sizeof(out->message), "%s: %s", reason,
			 words ? words : "a reason that WeChat Pay does not document");
}

/* ---- the transfer object ---- */

/* A text that must fit whole; absent is "". */
static bool
copy_member(const json_t *object, const char *key, char *dst, size_t dstsize)
{
	const char *text = json_text(object, key);

	return str_copy(dst, dstsize, text ? text : "");
}

static void
read_time(const json_t *transfer, ChannelEvidence *out)
{
	const char *text = json_text(transfer, "update_time");

	if (text == NULL)
		text = json_text(transfer, "create_time");
	if (text == NULL || !parse_rfc3339(text, &out->occurred_at))
		out->occurred_at = 0;
}

/*
 * Lenient where nothing depends on it, strict where money does.  The answers
 * to a submit and to a cancel have no amount; the others must.  package_info
 * is nothing to us, but half of one would be nothing to anybody.
 */
static bool
read_transfer(const json_t *transfer, ChannelCall call, ChannelEvidence *out)
{
	const VerdictRule *rule;

	out->has_amount = json_amount(transfer, "transfer_amount", &out->amount);
	if (!copy_member(transfer, "state", out->code, sizeof(out->code)) || out->code[0] == '\0')
		answer_note(out, "the transfer has no state");
	else if (!copy_member(transfer, "out_bill_no", out->wire_no, sizeof(out->wire_no)) ||
			 out->wire_no[0] == '\0')
		answer_note(out, "the transfer has no out_bill_no");
	else if (!copy_member(transfer, "transfer_bill_no", out->channel_refund_id,
						  sizeof(out->channel_refund_id)))
		answer_note(out, "the transfer has a number that is too long");
	else if (!out->has_amount &&
			 (call == CALL_QUERY || json_object_get(transfer, "transfer_amount") != NULL))
		answer_note(out, "the transfer has no amount");
	else
	{
		rule = channel_judge(&wechat_transfers, call, 200, out->code);
		out->verdict = rule ? rule->verdict : VERDICT_UNKNOWN;
		out->proof = rule != NULL && rule->signed_only && out->authentic;
		read_time(transfer, out);
		if (out->verdict == VERDICT_DEAD)
			note_failure(transfer, out);
		if (out->verdict == VERDICT_ACCEPTED &&
			!copy_member(transfer, "package_info", out->handover, sizeof(out->handover)))
			answer_note(out, "its package_info is too long to be kept");
		return true;
	}
	return false;
}

static bool
answers_our_call(const json_t *transfer, const ChannelInstruction *instr, ChannelEvidence *out)
{
	const char *mch_id = json_text(transfer, "mch_id");

	if (instr == NULL || instr->wire_no == NULL || strcmp(out->wire_no, instr->wire_no) != 0)
		answer_note(out, "the answer is about another transfer number");
	else if (out->has_amount && out->amount != instr->amount)
		answer_note(out, "the answer has another transfer amount than was sent");
	else if (mch_id != NULL && strcmp(mch_id, out->merchant) != 0)
		answer_note(out, "the answer is about another merchant");
	else
		return true;
	return false;
}

/* ---- answers ---- */

static void
read_success(const WechatConfig *config, ChannelCall call, const ChannelInstruction *instr,
			 const HttpAnswer *answer, int64_t now, ChannelEvidence *out)
{
	const VerdictRule *rule;
	json_t	   *transfer;

	if (!wechat_answer_verified(config, answer, now, out))
		return;
	if (answer->status != 200)
	{
		rule = channel_judge(&wechat_transfers, call, answer->status, NULL);
		out->verdict = rule ? rule->verdict : VERDICT_UNKNOWN;
		answer_note(out, rule ? rule->comment : "an answer that WeChat Pay does not document");
		return;
	}
	transfer = answer_is_json(&answer->headers) ?
		json_hostile_object(answer->body.data, answer->body.len) : NULL;
	if (transfer == NULL)
		answer_note(out, "the answer is signed, but not a JSON object");
	else if (!read_transfer(transfer, call, out) || !answers_our_call(transfer, instr, out))
		answer_forget(out);
	json_decref(transfer);
}

void
wechat_transfer_read_answer(void *arg, ChannelCall call, const ChannelInstruction *instr,
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
		wechat_read_error(&wechat_transfers, call, answer, out);
	out->product = PRODUCT_TRANSFER;
	answer_end(call, instr, answer, now, out);
}

/* ---- callbacks ---- */

/*
 * They come when a transfer has ended.  One that names another state than the
 * three ends proves nothing: "finished" and the state are two statements of
 * one fact.
 */
CallbackResult
wechat_read_transfer_callback(const Buf *plain, ChannelEvidence *out)
{
	json_t	   *transfer = json_hostile_object(plain->data, plain->len);
	const char *method;
	bool		good;

	out->product = PRODUCT_TRANSFER;
	good = transfer != NULL && read_transfer(transfer, CALL_QUERY, out);
	if (good && (!copy_member(transfer, "mch_id", out->merchant, sizeof(out->merchant)) ||
				 out->merchant[0] == '\0'))
	{
		answer_note(out, "the transfer has no mch_id");
		good = false;
	}
	if (good && out->verdict == VERDICT_SUCCEEDED &&
		(method = code_member(transfer, "payment_method_type")) != NULL)
		text_clip(out->detail, sizeof(out->detail), method);
	json_decref(transfer);
	if (!good)
		return CALLBACK_BAD_BODY;
	if (out->verdict == VERDICT_UNKNOWN || out->verdict == VERDICT_ACCEPTED)
	{
		out->verdict = VERDICT_ASK;
		out->proof = false;
		out->handover[0] = '\0';
	}
	return callback_digest(out) ? CALLBACK_EVIDENCE : CALLBACK_BAD_BODY;
}

/* What it means; called before occurred_at falls back to the envelope's time. */
static bool
callback_digest(ChannelEvidence *out)
{
	Buf			text = BUF_INIT;
	bool		good;

	buf_addf(&text, "transfer callback\n%s\n%s\n%s\n%s\n%lld\n%s\n%s\n%lld\n",
			 out->merchant, out->wire_no, out->code, verdict_name(out->verdict),
			 (long long) out->amount, out->channel_refund_id, out->detail,
			 (long long) out->occurred_at);
	good = !text.failed && sha256(text.data, text.len, out->digest);
	buf_free(&text);
	return good;
}
