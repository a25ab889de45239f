/*-------------------------------------------------------------------------
 *
 * stripe_answer.c
 *	  What Stripe's answers mean.
 *
 * Answers carry no signature: what authenticates them is TLS, to the host that
 * the configuration names.  A whole refund object in a 200 is proof.  Errors
 * are hints, see stripe_verdict.c.
 *
 * An answer is about the call that it answers, whatever it says: where the
 * number, the payment or the amount in it is not ours, nothing else in it
 * counts.
 *
 * That a list does not hold our refund allows another one to be paid.  So a
 * list proves absence only if every entry of it could be read, every one is of
 * our payment, and the pages lead on to an end.
 *
 * src/channel/stripe_answer.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "channel/channel_answer.h"
#include "channel/stripe.h"


static void judge(ChannelCall call, int status, const char *code, ChannelEvidence *out);

/* The rule for a code; its comment stands in where Stripe has no words. */
static void
judge(ChannelCall call, int status, const char *code, ChannelEvidence *out)
{
	const VerdictRule *rule = channel_judge(&stripe_refunds, call, status, code);

	out->verdict = rule ? rule->verdict : VERDICT_UNKNOWN;
	out->proof = rule != NULL && rule->signed_only && out->authentic;
	if (out->message[0] == '\0')
		answer_note(out, rule ? rule->comment : "an answer that refundx has no rule for");
}

/* ---- refunds ---- */

/* Whether the refund is of the payment that was asked about; NULL if it is. */
static const char *
other_payment(const StripeRefund *refund, const ChannelInstruction *instr)
{
	const char *id = instr->channel_payment_id;
	const char *has;

	if (id == NULL || id[0] == '\0')
		return NULL;
	has = strncmp(id, "pi_", 3) == 0 ? refund->payment_intent : refund->charge;
	if (has[0] != '\0' && strcmp(has, id) != 0)
		return "the answer is about another payment";
	return NULL;
}

static const char *
other_call(const StripeRefund *refund, const ChannelInstruction *instr)
{
	if (strcmp(refund->number, instr->wire_no) != 0)
		return "the answer is about another refund number";
	if (instr->channel_refund_id != NULL && instr->channel_refund_id[0] != '\0' &&
		strcmp(refund->id, instr->channel_refund_id) != 0)
		return "the answer is about another refund id";
	if (refund->status[0] == '\0')
		return "the refund has no status";
	if (!refund->has_amount)
		return "the answer has an amount that its currency cannot have";
	if (refund->amount != instr->amount)
		return "the answer has another refund amount than was sent";
	if (instr->currency != NULL && strcmp(refund->currency, instr->currency) != 0)
		return "the answer has another currency than was sent";
	return other_payment(refund, instr);
}

/* A refund that was read: ours or not, and what it means. */
static void
take_refund(ChannelCall call, const StripeRefund *refund, const ChannelInstruction *instr,
			ChannelEvidence *out)
{
	const char *why = other_call(refund, instr);

	if (why != NULL)
	{
		answer_note(out, why);
		return;
	}
	stripe_refund_tell(refund, out);
	if (instr->channel_payment_id != NULL)
		str_copy(out->channel_payment_id, sizeof(out->channel_payment_id),
				 instr->channel_payment_id);
	judge(call, 200, refund->status, out);
}

/* ---- lists ---- */

/* Nothing is paid, and nothing will be.  What has no status may well stand. */
static bool
is_void(const StripeRefund *refund)
{
	return strcmp(refund->status, "failed") == 0 || strcmp(refund->status, "canceled") == 0;
}

/*
 * Two refunds of one number that both stand would be money paid twice; one
 * that failed, and one made after it, are one refund and its history.  The
 * list has the newest first.
 */
static bool
choose(StripeRefund *found, bool *any, const StripeRefund *refund, ChannelEvidence *out)
{
	if (*any && !is_void(found) && !is_void(refund))
	{
		snprintf(out->message, sizeof(out->message),
				 "Stripe has two refunds of this number: %.64s and %.64s", found->id, refund->id);
		return false;
	}
	if (!*any || (is_void(found) && !is_void(refund)))
		*found = *refund;
	*any = true;
	return true;
}

/* False, with the reason in out->message, if the page cannot be relied on. */
static bool
read_page(const json_t *data, const ChannelInstruction *instr, const char *after,
		  StripeRefund *found, bool *any, char last[CHANNEL_NO_MAX + 1], ChannelEvidence *out)
{
	StripeRefund refund;
	const char *why;
	json_t	   *item;
	size_t		i;

	if (json_array_size(data) > STRIPE_PAGE)
	{
		answer_note(out, "the list has more refunds than were asked for");
		return false;
	}
	json_array_foreach(data, i, item)
	{
		bool		good = stripe_refund_read(item, &refund, &why);

		if (good && (why = other_payment(&refund, instr)) != NULL)
			good = false;
		if (good && after != NULL && strcmp(refund.id, after) == 0)
		{
			good = false;
			why = "the list does not lead on: it comes back to where it was";
		}
		if (!good)
		{
			answer_note(out, why);
			return false;
		}
		str_copy(last, CHANNEL_NO_MAX + 1, refund.id);
		if (strcmp(refund.number, instr->wire_no) == 0 &&
			!choose(found, any, &refund, out))
			return false;
	}
	return true;
}

/* Not on this page: is there another one? */
static void
next_page(const json_t *list, int page, const char *last, ChannelEvidence *out)
{
	if (!json_is_true(json_object_get(list, "has_more")))
	{
		str_copy(out->code, sizeof(out->code), STRIPE_NOT_LISTED);
		judge(CALL_QUERY, 200, STRIPE_NOT_LISTED, out);
	}
	else if (last[0] == '\0')
		answer_note(out, "the list does not lead on: an empty page, and more to come");
	else if (!stripe_cursor_write(page + 1, last, out->cursor, sizeof(out->cursor)))
		answer_note(out, page >= STRIPE_PAGES_MAX ?
			 "the payment has more refunds than are looked through" :
			 "the list has an id that is too long to go on from");
	else
		out->more = true;
}

static void
read_list(const json_t *list, const ChannelInstruction *instr, ChannelEvidence *out)
{
	const json_t *data = json_object_get(list, "data");
	StripeRefund found;
	char		last[CHANNEL_NO_MAX + 1] = "";
	const char *after;
	bool		any = false;
	int			page;

	if (!json_is_array(data) || !json_is_boolean(json_object_get(list, "has_more")) ||
		!stripe_cursor_read(instr->cursor, &page, &after))
		answer_note(out, "the list of refunds is not a whole one");
	else if (!read_page(data, instr, after, &found, &any, last, out))
		return;
	else if (any)
		take_refund(CALL_QUERY, &found, instr, out);
	else
		next_page(list, page, last, out);
}

/* ---- the kinds of answers ---- */

/* {"error": {"type": ..., "code": ..., "message": ...}} (api/errors) */
static void
read_error_body(const HttpAnswer *answer, ChannelEvidence *out)
{
	json_t	   *body = json_hostile_object(answer->body.data, answer->body.len);
	const json_t *error = json_object_get(body, "error");
	const json_t *code = json_object_get(error, "code");
	const char *text;

	text = json_is_string(code) ? json_string_value(code) :
		code == NULL || json_is_null(code) ? json_text(error, "type") : NULL;
	if (text != NULL && !stripe_is_id(text, sizeof(out->code) - 1))
		text = NULL;
	str_copy(out->code, sizeof(out->code), text ? text : "");
	text = json_text(error, "message");
	stripe_words(out->message, sizeof(out->message), text ? text : "");
	json_decref(body);
}

static void
read_error(ChannelCall call, const HttpAnswer *answer, ChannelEvidence *out)
{
	const char *replayed = http_header_get(&answer->headers, "Idempotent-Replayed");

	if (answer_is_json(&answer->headers))
		read_error_body(answer, out);
	judge(call, answer->status, out->code[0] != '\0' ? out->code : NULL, out);
	if (replayed != NULL && strcasecmp(replayed, "true") == 0 &&
		(out->verdict == VERDICT_HOLD || out->verdict == VERDICT_CONFIG ||
		 out->verdict == VERDICT_NOT_EXECUTED))
		judge(call, answer->status, STRIPE_REPLAYED, out);
	answer_retry_after(answer, out);
}

static void
read_account(const StripeConfig *config, const json_t *account, ChannelEvidence *out)
{
	const char *kind = json_text(account, "object");
	const char *id = json_text(account, "id");

	if (kind == NULL || strcmp(kind, "account") != 0 || id == NULL ||
		!stripe_is_id(id, CHANNEL_MERCHANT_MAX))
		answer_note(out, "the answer is no account");
	else if (strcmp(id, config->account_id) != 0)
	{
		snprintf(out->message, sizeof(out->message),
				 "the key belongs to the account %s, the configuration names %s", id,
				 config->account_id);
		str_copy(out->code, sizeof(out->code), STRIPE_OTHER_ACCOUNT);
		judge(CALL_ECHO, 200, STRIPE_OTHER_ACCOUNT, out);
	}
	else
		judge(CALL_ECHO, 200, NULL, out);
}

static void
read_success(const StripeConfig *config, ChannelCall call, const ChannelInstruction *instr,
			 const HttpAnswer *answer, ChannelEvidence *out)
{
	json_t	   *object = answer->status == 200 && answer_is_json(&answer->headers) ?
		json_hostile_object(answer->body.data, answer->body.len) : NULL;
	const char *kind = json_text(object, "object");
	StripeRefund refund;
	const char *why;

	if (object == NULL)
	{
		answer_note(out, "the answer is no JSON object of Stripe's");
		return;
	}
	out->authentic = true;
	if (call == CALL_ECHO)
		read_account(config, object, out);
	else if (instr == NULL || instr->wire_no == NULL)
		answer_note(out, "the answer is to no refund's call");
	else if (call == CALL_QUERY && kind != NULL && strcmp(kind, "list") == 0)
		read_list(object, instr, out);
	else if (stripe_refund_read(object, &refund, &why))
		take_refund(call, &refund, instr, out);
	else
		answer_note(out, why);
	json_decref(object);
	if (out->verdict == VERDICT_UNKNOWN && out->code[0] == '\0' && !out->more)
		answer_forget(out);
}

void
stripe_read_answer(void *arg, ChannelCall call, const ChannelInstruction *instr,
				   const HttpAnswer *answer, int64_t now, ChannelEvidence *out)
{
	const StripeConfig *config = arg;

	answer_begin(answer, config->account_id, "Request-Id", out);

	/* Stripe minds being called too often, not being asked what it must refuse */
	out->failing = out->http_status == 429;
	if (answer->outcome != HTTP_ANSWERED)
		answer_is_none(call, answer, out);
	else if (answer->status >= 200 && answer->status <= 299)
		read_success(config, call, instr, answer, out);
	else
		read_error(call, answer, out);

	answer_end(call, instr, answer, now, out);
}
