/*-------------------------------------------------------------------------
 *
 * weigh_stopped.c
 *	  What has failed and is not to end there; and word of numbers that were replaced.
 *
 * src/money/weigh_stopped.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/weigh_parts.h"

#include "utils/builtins.h"

/*
 * What would fail, and release the money, is stopped instead, unless the policy is
 * to end it; or it was to be given up anyway; or nobody has agreed to it yet.  What
 * is stopped already ends by an operator's word only, which is a decision and not
 * one more piece of news.
 */
Input
weigh_by_policy(const Instruction *i, const EvidenceFacts *e, Input input, const FailurePolicy *policy)
{
	const Transition *t = state_transition(i->state, input);

	if (i->state == STATE_STOPPED && strcmp(e->source, "operator") == 0 &&
		(input == INPUT_REFUSED || input == INPUT_DEAD || input == INPUT_REVERSED))
		return INPUT_CANCEL;
	if (t->reaction != REACTION_MOVE || t->to != STATE_FAILED || t->effect != EFFECT_RELEASE ||
		i->state == STATE_AWAITING_APPROVAL || i->state == STATE_STOPPED ||
		i->cancel_requested || i->unapproved || strcmp(e->source, "operator") == 0 ||
		policy->on_failure == FAILURE_END)
		return input;
	return INPUT_STOPPED;
}

/* Its number has ended.  With a person in any case; another number takes that back. */
void
weigh_stopped(Instruction *i, const FailurePolicy *policy, int64 now, Decision *d)
{
	const char *code = i->detail ? i->detail : "no code";
	const char *what = product_name(i->product);
	const char *choice = psprintf("Try again with another number (refundx.reissue), or release the money (refundx.%s_continue: give_up).",
								  i->product == PRODUCT_REFUND ? "refund" : "withdraw");

	from_person(i);
	d->ask_user = policy->on_failure == FAILURE_ASK_USER;
	if (d->ask_user)
		to_person(i, psprintf("the channel has ended it unpaid (%s); whom it pays is asked how to go on", code),
				  psprintf("The application says what they decide: refundx.%s_continue, reissue or give_up.",
						   i->product == PRODUCT_REFUND ? "refund" : "withdraw"), now);
	else if (policy->on_failure == FAILURE_OPERATOR)
		to_person(i, psprintf("the channel has ended it unpaid (%s); the money stays frozen", code), choice, now);
	else if (!i->may_send)
		to_person(i, psprintf("the channel has ended it unpaid (%s), and an adopted %s gets no other number", code, what),
				  "Release the money (refundx.refund_continue: give_up), and submit another one.", now);
	else if (i->reissues >= policy->reissue_limit)
		to_person(i, psprintf("the channel has ended it unpaid (%s), and so it did with %d number%s before: that is the limit",
							  code, i->reissues, i->reissues == 1 ? "" : "s"), choice, now);
	else if (i->on_hold)
		to_person(i, psprintf("the channel has ended it unpaid (%s), and its payment or account is on hold", code),
				  choice, now);
	else
	{
		to_person(i, psprintf("the channel has ended it unpaid (%s); it is to get another number", code), choice, now);
		d->reissue = true;
	}
}

/*
 * Word of a number that the instruction had before.  The channel has ended that
 * number, with proof, so all but one thing is stale: that it was paid.  Nothing
 * here touches what belongs to the present number, its attempts or its due time.
 */
void
weigh_former(Instruction *i, const EvidenceFacts *e, char *mismatch, bool own_call, int64 now, Decision *d)
{
	Input		says = state_weigh(e->verdict, e->proof);

	d->note = mismatch;
	if (d->note != NULL)
	{
		d->type = "mismatch";
		to_person(i, d->note, "Find its former number in the channel's console; the number may be used elsewhere too.", now);
	}
	else if (says == INPUT_SUCCEEDED || says == INPUT_RETURNED)
	{
		d->type = "contradiction";
		d->hold = i->on_hold = true;
		d->note = psprintf("the channel says \"%s\" of number %s, which it had ended, and which another number has replaced",
						   verdict_name(e->verdict), e->wire_no);
		to_person(i, d->note,
				  i->product == PRODUCT_REFUND ?
				  "Find out in the channel's console whether both were paid; what is not sent yet is not sent, for the payment is on hold." :
				  "Find out in the channel's console whether both were paid; what is not sent yet is not sent, for the account is on hold.",
				  now);
	}
	else if ((says == INPUT_ACCEPTED || says == INPUT_ABNORMAL) && !own_call && strcmp(e->source, "query") != 0)
	{
		/* most likely it was overtaken by the word that ended the number */
		d->note = psprintf("the channel says \"%s\" of number %s, which it had ended", verdict_name(e->verdict), e->wire_no);
		to_person(i, d->note, "Make sure in the channel's console that the former number is closed.", now);
	}
	else
		d->note = psprintf("word of number %s, which another number has replaced", e->wire_no);
}
