/*-------------------------------------------------------------------------
 *
 * stripe_callback.c
 *	  Events: a stranger's bytes, until their signature says otherwise.
 *
 * Stripe delivers events in any order (webhooks, "Event ordering"), up to
 * three days late, and an event holds the refund as it was when the event was
 * made: a "succeeded" may come in after the "failed" that followed it.  So an
 * event about a refund of ours is a hint, whatever it says: it makes us ask,
 * and what the query answers is the truth of that moment.  No order of events
 * can then contradict anything.
 *
 * A refund without a number of ours was made in the Dashboard or by another
 * system.  Nobody is going to ask about it, so its event is proof, of one
 * thing only: that Stripe has taken it on (accepted), which is what counts
 * against the payment.  "Accepted" is also what no later word contradicts, if
 * an operator adopts the refund under its id.
 *
 * The digest covers what the message means, without the event's id and type:
 * one change of a refund is told by up to three events (refund.updated,
 * refund.failed, charge.refund.updated), and each of them may be delivered
 * again and again.
 *
 * src/channel/stripe_callback.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "channel/stripe.h"

#define YEAR_9999	INT64_C(253402300799)

static CallbackResult read_event(const StripeConfig *config, const json_t *event,
								 const ChannelFindings *trace, ChannelEvidence *out);
static CallbackResult whose(const StripeConfig *config, const json_t *event,
							const ChannelFindings *trace);
static CallbackResult read_refund_event(const json_t *object, const ChannelFindings *trace,
										ChannelEvidence *out);
static CallbackResult read_charge_event(const json_t *object, const ChannelFindings *trace,
										ChannelEvidence *out);
static bool event_digest(ChannelEvidence *out, const char *more);

/* The events about a refund; what is not here may be about anything. */
static const char *const refund_events[] = {
	"refund.created", "refund.updated", "refund.failed", "charge.refund.updated"
};

static CallbackResult
bad_body(const ChannelFindings *trace, const char *why)
{
	finding(trace, FINDING_ERROR, "event", "%s", why);
	return CALLBACK_BAD_BODY;
}

CallbackResult
stripe_read_callback(void *arg, const HttpHeaders *headers, const void *body, size_t len,
					 int64_t now, const ChannelFindings *trace, ChannelEvidence *out)
{
	const StripeConfig *config = arg;
	CallbackResult result;
	json_t	   *event;

	memset(out, 0, sizeof(*out));
	result = stripe_verify(config, headers, body, len, now, trace);
	if (result != CALLBACK_EVIDENCE)
		return result;
	event = json_hostile_object(body, len);
	if (event == NULL)
		return bad_body(trace, "the body is not a JSON object");
	out->authentic = true;
	str_copy(out->merchant, sizeof(out->merchant), config->account_id);
	result = read_event(config, event, trace, out);
	json_decref(event);

	/* what is no evidence must not be mistaken for one */
	if (result != CALLBACK_EVIDENCE)
		memset(out, 0, sizeof(*out));
	return result;
}

/* ---- the event ---- */

/*
 * Of this account and mode, or of another one.  An endpoint of Connect gets
 * the events of all connected accounts, and in live mode the test events too
 * (connect/webhooks): those are Stripe's, and not ours.  Otherwise an event of
 * the other mode is somebody's mistake, and is told as one.
 */
static CallbackResult
whose(const StripeConfig *config, const json_t *event, const ChannelFindings *trace)
{
	const char *account = json_text(event, "account");
	const json_t *livemode = json_object_get(event, "livemode");

	if (!json_is_boolean(livemode))
		return bad_body(trace, "the event does not say whether it is live");
	if (account == NULL && config->connect)
	{
		finding(trace, FINDING_WARNING, "account", "the event is of the platform itself, not of %s",
				config->account_id);
		return CALLBACK_NOT_OURS;
	}
	if (account != NULL && strcmp(account, config->account_id) != 0)
	{
		finding(trace, FINDING_WARNING, "account",
				"the event is of the account %.64s, this channel is of %s", account,
				config->account_id);
		return CALLBACK_NOT_OURS;
	}
	if (json_is_true(livemode) != config->livemode)
	{
		finding(trace, config->connect ? FINDING_WARNING : FINDING_ERROR, "livemode",
				config->livemode ? "a test event for a live channel" :
				"a live event for a test channel");
		return config->connect ? CALLBACK_NOT_OURS : CALLBACK_BAD_BODY;
	}
	return CALLBACK_EVIDENCE;
}

static CallbackResult
read_event(const StripeConfig *config, const json_t *event, const ChannelFindings *trace,
		   ChannelEvidence *out)
{
	const char *kind = json_text(event, "object");
	const char *id = json_text(event, "id");
	const char *type = json_text(event, "type");
	const json_t *object = json_object_get(json_object_get(event, "data"), "object");
	CallbackResult result;
	int64_t		created;
	size_t		i;

	if (kind == NULL || strcmp(kind, "event") != 0)
		return bad_body(trace, "the body is no event, or a thin one: "
						"give the endpoint the payload style \"Snapshot\"");
	if (id == NULL || !stripe_is_id(id, sizeof(out->request_id) - 1) || type == NULL)
		return bad_body(trace, "the event has no id or no type");
	finding(trace, FINDING_OK, "event", "%.64s, %.64s", type, id);
	str_copy(out->request_id, sizeof(out->request_id), id);
	result = whose(config, event, trace);
	if (result != CALLBACK_EVIDENCE)
		return result;

	result = CALLBACK_NOT_OURS;
	for (i = 0; i < lengthof_array(refund_events); i++)
		if (strcmp(type, refund_events[i]) == 0)
			result = read_refund_event(object, trace, out);
	if (strcmp(type, "charge.refunded") == 0)
		result = read_charge_event(object, trace, out);
	if (result == CALLBACK_NOT_OURS)
		finding(trace, FINDING_OK, "meaning", "not about a refund: acknowledged, and not kept");
	if (result == CALLBACK_EVIDENCE)
		out->occurred_at = json_amount(event, "created", &created) && created <= YEAR_9999 ?
			created * 1000000 : 0;
	return result;
}

/* ---- what it is about ---- */

/*
 * A refund of ours names no payment here: Stripe's payment has two ids, and
 * which of them is recorded only the query knows.
 */
static CallbackResult
read_refund_event(const json_t *object, const ChannelFindings *trace, ChannelEvidence *out)
{
	StripeRefund refund;
	const char *why;
	bool		stands;

	if (!stripe_refund_read(object, &refund, &why))
		return bad_body(trace, why);
	if (refund.status[0] == '\0')
		return bad_body(trace, "the refund has no status");
	stripe_refund_tell(&refund, out);
	out->verdict = VERDICT_ASK;
	if (refund.ours)
	{
		finding(trace, FINDING_OK, "meaning", "refund %s (%s) is %s: a hint, so Stripe is asked",
				refund.number, refund.id, refund.status);
		return event_digest(out, refund.words) ? CALLBACK_EVIDENCE : CALLBACK_BAD_BODY;
	}
	str_copy(out->channel_payment_id, sizeof(out->channel_payment_id),
			 refund.payment_intent[0] != '\0' ? refund.payment_intent : refund.charge);
	stands = strcmp(refund.status, "succeeded") == 0 || strcmp(refund.status, "pending") == 0 ||
		strcmp(refund.status, "requires_action") == 0;
	if (stands && refund.has_amount)
	{
		out->verdict = VERDICT_ACCEPTED;
		out->proof = true;
	}
	finding(trace, FINDING_OK, "meaning", "refund %s, which has no number of ours, is %s: %s",
			refund.id, refund.status, out->proof ? "it counts against its payment" :
			"it moves no money");
	return event_digest(out, refund.words) ? CALLBACK_EVIDENCE : CALLBACK_BAD_BODY;
}

/* charge.refunded has the charge, and not which refund it was. */
static CallbackResult
read_charge_event(const json_t *object, const ChannelFindings *trace, ChannelEvidence *out)
{
	const char *kind = json_text(object, "object");
	const char *id = json_text(object, "id");
	const json_t *intent = json_object_get(object, "payment_intent");
	const char *payment = json_is_object(intent) ? json_text(intent, "id") :
		json_string_value(intent);
	char		more[96];
	int64_t		refunded;

	if (kind == NULL || strcmp(kind, "charge") != 0 || id == NULL ||
		!stripe_is_id(id, CHANNEL_NO_MAX) ||
		!json_amount(object, "amount_refunded", &refunded))
		return bad_body(trace, "the event has no charge, or the charge no amount");
	if (payment == NULL)
		payment = id;
	if (!stripe_is_id(payment, CHANNEL_NO_MAX))
		return bad_body(trace, "the charge's payment cannot be read");
	out->verdict = VERDICT_ASK;
	str_copy(out->code, sizeof(out->code), "charge.refunded");
	str_copy(out->channel_payment_id, sizeof(out->channel_payment_id), payment);
	finding(trace, FINDING_OK, "meaning",
			"something of the payment %s was refunded: a hint, so all its refunds are asked about",
			payment);
	snprintf(more, sizeof(more), "%s %lld", id, (long long) refunded);
	return event_digest(out, more) ? CALLBACK_EVIDENCE : CALLBACK_BAD_BODY;
}

/* Called before occurred_at becomes the event's own time. */
static bool
event_digest(ChannelEvidence *out, const char *more)
{
	Buf			text = BUF_INIT;
	bool		good;

	buf_addf(&text, "event\n%s\n%s\n%s\n%s\n%lld\n%s\n%s\n%s\n%lld\n%s\n",
			 out->merchant, out->wire_no, out->code, verdict_name(out->verdict),
			 (long long) (out->has_amount ? out->amount : -1), out->currency,
			 out->channel_refund_id, out->channel_payment_id, (long long) out->occurred_at, more);
	good = !text.failed && sha256(text.data, text.len, out->digest);
	buf_free(&text);
	return good;
}
