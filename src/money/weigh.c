/*-------------------------------------------------------------------------
 *
 * weigh.c
 *	  What one piece of evidence does to one instruction: decided in memory.
 *
 * The state table (state.c) says where an input leads.  This file says which
 * input a piece of evidence is, which the table cannot know: whether it is
 * about this refund at all, whether a not-found came late enough to count,
 * and whether an unsigned refusal may be believed by now.
 *
 * No clock ends anything here: time only decides when to ask again.
 *
 * src/money/weigh.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/weigh_parts.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#define SECONDS(n)	((int64) (n) * USECS_PER_SEC)

/* After so many fruitless polls of an unknown outcome a person should know. */
#define POLLS_BEFORE_PERSON		10

/* What a channel may ask us to wait: a payee's limit of the day, for instance. */
#define RETRY_AFTER_MAX		(6 * 3600)

/* Likewise after it was sent so often, and the channel found nothing each time. */
#define GENERATIONS_BEFORE_PERSON	5

/* What a person is told while an abnormal refund is to be paid elsewhere. */
#define ELSEWHERE	"to be paid elsewhere: "

/* The reasons that are taken back when what they say is no longer so. */
#define EXHAUSTED	"it was tried as often as its failure policy allows"

static void move(Instruction *i, const Transition *t, int64 now);
static bool is_own_answer(const EvidenceFacts *e);
static char *mismatch(const Instruction *i, const EvidenceFacts *e);
static Input input_of(Instruction *i, const EvidenceFacts *e, const Timing *timing, int64 now,
					  char **note);
static void learn(Instruction *i, const EvidenceFacts *e);
static void schedule(Instruction *i, const EvidenceFacts *e, const Timing *timing, int64 now,
					 Reaction reaction);

void
weigh(Instruction *i, const EvidenceFacts *e, const Timing *timing, int64 now, Decision *d)
{
	const Transition *t;
	FailurePolicy policy;
	Input		says;
	Input		input;
	char	   *note = NULL;

	memset(d, 0, sizeof(*d));
	d->from = d->to = i->state;
	d->type = "noted";

	if (e->former)
	{
		weigh_former(i, e, mismatch(i, e), is_own_answer(e), now, d);
		return;
	}
	note = mismatch(i, e);
	if (note != NULL)
	{
		/* about something else under our number: never moves money */
		d->type = "mismatch";
		d->note = note;
		if (is_own_answer(e))
		{
			/* the attempt is over all the same, and what became of it is open */
			i->last_attempt_at = Max(i->last_attempt_at, e->received_at);
			i->unexplained++;
			if (i->state == STATE_SENDING)
				move(i, state_transition(i->state, INPUT_UNANSWERED), now);
			d->to = i->state;
		}
		to_person(i, note, i->product == PRODUCT_REFUND ?
				  "Compare the channel's console with refundx.refund_timeline(); the number may be used elsewhere too." :
				  "Compare the channel's console with refundx.withdraw_timeline(); the number may be used elsewhere too.",
				  now);
		schedule(i, e, timing, now, d->to != d->from ? REACTION_MOVE : REACTION_STAY);
		return;
	}

	says = input_of(i, e, timing, now, &note);
	policy = policy_of(i, timing);
	input = weigh_by_policy(i, e, says, &policy);
	t = state_transition(i->state, input);
	d->note = note ? note : (char *) t->comment;
	learn(i, e);

	switch (t->reaction)
	{
		case REACTION_MOVE:
			d->type = "moved";
			d->to = t->to;
			d->effect = t->effect;
			move(i, t, now);
			if (input == INPUT_NOT_FOUND)
				i->generation++;
			if (input == INPUT_NOT_FOUND || input == INPUT_NOT_EXECUTED)
				i->retries++;
			/* what ended it was the refusal; the not-found only confirmed it */
			if (input != INPUT_CANCEL)
				i->detail = says == INPUT_REFUSED && i->refusal ? i->refusal : e->code;
			/* a contradiction outlives the end: it is for a person to resolve */
			if (!state_is_open(t->to) && !i->on_hold)
				from_person(i);
			/* nothing is left to be sent, or to be resolved */
			if (!state_is_open(t->to))
				i->lift_hold |= i->held && !i->unproven;
			if (t->to == STATE_STOPPED)
				weigh_stopped(i, &policy, now, d);
			break;
		case REACTION_CONTRADICTION:
			d->type = "contradiction";
			d->hold = i->on_hold = true;
			to_person(i, psprintf("the channel says \"%s\", but the %s is %s: %s",
								  verdict_name(e->verdict), product_name(i->product), state_name(i->state), t->comment),
					  i->product == PRODUCT_REFUND ?
					  "Find out in the channel's console which is true; nothing was moved, and the payment is on hold." :
					  "Find out in the channel's console which is true; nothing was moved, and the account is on hold.",
					  now);
			break;
		case REACTION_ASK:
			d->type = "asked";
			break;
		case REACTION_STAY:
			/* what an accepted one waits for: the payee's confirmation, perhaps */
			if (input == INPUT_ACCEPTED && i->state == STATE_ACCEPTED && e->code)
				i->detail = e->code;
			break;
		case REACTION_REFUSE:	/* evidence is never refused, only noted */
			break;
	}
	if (i->unproven && input >= INPUT_REFUSED && input <= INPUT_REVERSED &&
		t->reaction == REACTION_STAY)
	{
		/* the proof that was missing: this number is dead */
		i->unproven = false;
		i->lift_hold = true;
	}
	schedule(i, e, timing, now, t->reaction);
}

static void
move(Instruction *i, const Transition *t, int64 now)
{
	i->state = t->to;
	i->state_since = now;
	i->polls = 0;
}

/* What ends an attempt: its answer, or word that its process is gone. */
static bool
is_own_answer(const EvidenceFacts *e)
{
	return strcmp(e->source, "answer") == 0 || strcmp(e->source, "recovery") == 0;
}

/*
 * Evidence is matched on number (the caller did), merchant, payment and the
 * instruction's own amount.  What it does not say cannot differ.
 */
static char *
mismatch(const Instruction *i, const EvidenceFacts *e)
{
	if (e->about != i->product)
		return psprintf("the evidence is about a %s of this number", product_name(e->about));
	if (e->merchant_no && i->merchant_no && strcmp(e->merchant_no, i->merchant_no) != 0)
		return psprintf("the evidence is of merchant %s, the %s of %s", e->merchant_no,
						product_name(i->product), i->merchant_no);
	if (e->has_amount && e->amount != i->amount)
		return psprintf("the evidence is about an amount of %lld, the %s is one of %lld",
						(long long) e->amount, product_name(i->product), (long long) i->amount);
	if (e->currency && strcmp(e->currency, i->currency) != 0)
		return psprintf("the evidence is in %s, the %s in %s", e->currency,
						product_name(i->product), i->currency);
	if (e->channel_payment_id && i->channel_payment_id)
	{
		if (strcmp(e->channel_payment_id, i->channel_payment_id) != 0)
			return psprintf("the evidence is about the channel's payment %s, the refund about %s",
							e->channel_payment_id, i->channel_payment_id);
	}
	else if (e->payment_no && i->payment_no && strcmp(e->payment_no, i->payment_no) != 0)
		return psprintf("the evidence is about payment %s, the refund about %s",
						e->payment_no, i->payment_no);
	return NULL;
}

/*
 * A not-found counts only if the query began long enough after the last
 * attempt ended: before that, the attempt may still be on its way inside the
 * channel.
 */
static Input
input_of_not_found(Instruction *i, const EvidenceFacts *e, const Timing *timing, int64 now, char **note)
{
	if (i->state != STATE_UNKNOWN)
		return INPUT_NOT_FOUND;
	if (e->attempt_started_at < i->last_attempt_at + timing->not_found_after_us)
	{
		*note = "not found, but asked too soon after the last attempt for that to count";
		return INPUT_UNANSWERED;
	}
	if (WINDOW_OVER(timing->ask_window_us, i->first_attempt_at, now))
	{
		*note = "not found, but the channel has forgotten by now whatever it had: that means nothing";
		to_person(i, *note, "Wait for a bill, or look the number up in the channel's console.", now);
		return INPUT_UNANSWERED;
	}
	if (!i->may_send)
	{
		*note = psprintf("the channel does not know this adopted %s", product_name(i->product));
		to_person(i, *note, i->product == PRODUCT_REFUND ?
				  "If it was never sent, allow it to be sent; if it was, find it in the channel's console." :
				  "The channel has spoken of it before: find it in its console. It is not sent from here.", now);
		return INPUT_UNANSWERED;
	}
	if (i->refusal != NULL)
	{
		if (i->unexplained > 0)
		{
			*note = psprintf("refused (%s) and not found, but %d earlier attempts were never explained",
							 i->refusal, i->unexplained);
			to_person(i, *note, "Wait for the next bill, or look the number up in the channel's console.", now);
			return INPUT_UNANSWERED;
		}
		*note = psprintf("refused (%s), and a query agrees", i->refusal);
		return INPUT_REFUSED;
	}
	if (WINDOW_OVER(timing->send_window_us, i->first_attempt_at, now))
	{
		*note = "not found, and the time in which this number may be sent again is over";
		to_person(i, *note, "Wait for a bill, or look the number up in the channel's console.", now);
		return INPUT_UNANSWERED;
	}
	return i->unapproved ? INPUT_NOT_FOUND_UNAPPROVED : INPUT_NOT_FOUND;
}

/*
 * The word of an operator who resolves it: what may be said, the state table was
 * asked before.  Giving up what is stopped is an operator's word as well, and goes by
 * input_by_policy().
 */
static bool
is_operators(const EvidenceFacts *e)
{
	return strcmp(e->source, "operator") == 0 && e->code != NULL && strcmp(e->code, "operator") == 0;
}

static Input
input_of_operator(const EvidenceFacts *e)
{
	switch (e->verdict)
	{
		case VERDICT_SUCCEEDED:
			return INPUT_RESOLVE_SUCCEEDED;
		case VERDICT_REFUSED:
			return INPUT_RESOLVE_FAILED;
		case VERDICT_CANCELED:
			return INPUT_RESOLVE_CANCELED;
		case VERDICT_RETURNED:
			return INPUT_RESOLVE_RETURNED;
		default:
			return INPUT_ASK;
	}
}

static Input
input_of(Instruction *i, const EvidenceFacts *e, const Timing *timing, int64 now, char **note)
{
	Input		input = state_weigh(e->verdict, e->proof);

	if (is_operators(e))
		return input_of_operator(e);

	/* The attempt is over with its own answer: no other word will end it. */
	if (i->state == STATE_SENDING && (input == INPUT_ASK || input == INPUT_NOT_FOUND) &&
		is_own_answer(e))
	{
		*note = "the call has ended, and its answer does not settle what became of it";
		return INPUT_UNANSWERED;
	}
	if (input == INPUT_NOT_FOUND)
		return input_of_not_found(i, e, timing, now, note);

	/*
	 * A query that is itself refused (there is no such payment) agrees with the
	 * refusal as well as one that finds nothing, under the same conditions.
	 */
	if (input == INPUT_REFUSAL_HINT && i->state == STATE_UNKNOWN && i->refusal != NULL &&
		strcmp(e->source, "query") == 0 && i->unexplained == 0 &&
		e->attempt_started_at >= i->last_attempt_at + timing->not_found_after_us)
	{
		*note = psprintf("refused (%s), and a query agrees (%s)", i->refusal, e->code ? e->code : "refused");
		return INPUT_REFUSED;
	}

	/*
	 * After abnormal, a success means what the query says about who received
	 * it: the merchant may have diverted it to an account of their own.  A bill
	 * does not say who did, either.
	 */
	if (input == INPUT_SUCCEEDED && i->state == STATE_ABNORMAL &&
		(strcmp(e->source, "callback") == 0 || strcmp(e->source, "abnormal") == 0 || strcmp(e->source, "bill") == 0))
	{
		*note = "succeeded after abnormal: a query will say who received it";
		return INPUT_ASK;
	}
	return input;
}

/* Keep what the evidence tells besides the outcome. */
static void
learn(Instruction *i, const EvidenceFacts *e)
{
	bool		answer = strcmp(e->source, "answer") == 0;
	Input		says = state_weigh(e->verdict, e->proof);

	if (is_operators(e))
		return;					/* explains no attempt */
	if (e->proof)
	{
		if (e->channel_refund_id)
			i->channel_refund_id = e->channel_refund_id;
		if (e->has_payer_amount)
		{
			i->has_payer_amount = true;
			i->payer_amount = e->payer_amount;
		}
		if (e->detail)
			i->received_by = e->detail;
	}
	if (answer && e->received_at > i->last_attempt_at)
		i->last_attempt_at = e->received_at;
	if (strcmp(e->source, "recovery") == 0)
	{
		i->unexplained++;
		i->last_attempt_at = Max(i->last_attempt_at, e->received_at);
	}

	/*
	 * The same number means the same refund: one proof of what became of it
	 * explains all attempts.  A signed word that tells no outcome explains
	 * none.
	 */
	if (says >= INPUT_ACCEPTED && says <= INPUT_REVERSED)
	{
		i->unexplained = 0;
		i->refusal = NULL;
	}
	else if (answer && says == INPUT_REFUSAL_HINT)
		i->refusal = e->code ? e->code : "refused";
	else if (answer && (says == INPUT_UNANSWERED || says == INPUT_ASK || says == INPUT_NOT_FOUND))
		i->unexplained++;
}

int64
poll_due(const Timing *timing, State state, int polls, int64 now)
{
	const int  *delays;
	int			n = 0;

	switch (state)
	{
		case STATE_ACCEPTED:
			delays = timing->limits->poll_accepted;
			break;
		case STATE_ABNORMAL:
			delays = timing->limits->poll_abnormal;
			break;
		default:
			delays = timing->limits->poll_unknown;
			break;
	}
	/* the last one repeats: polls thin out and never end */
	while (n < polls && delays[n + 1] != 0)
		n++;
	return now + SECONDS(delays[n]) / timing->scale;
}

/* How long a queued instruction waits before the same number is sent again. */
static int64
resend_due(const Instruction *i, const EvidenceFacts *e, const Timing *timing, int64 now)
{
	FailurePolicy policy = policy_of(i, timing);
	int			seconds = failure_retry_delay(&policy, i->attempts);

	if (e->retry_after > seconds)
		seconds = Min(e->retry_after, RETRY_AFTER_MAX);
	return now + SECONDS(seconds) / timing->scale;
}

/*
 * The channel has it, and goes on with it only when it gets the same request again.
 * That pays nobody twice: the number is the same, and the bytes are.
 */
static bool
repeats(const Instruction *i, const EvidenceFacts *e, const Timing *timing, int64 now)
{
	const char *const *code = timing->limits->repeat_while;

	if (code == NULL || e->code == NULL || !e->proof || !i->may_send || i->cancel_requested ||
		i->held || i->on_hold ||	/* nothing of it is sent: then ask, as of any other */
		WINDOW_OVER(timing->send_window_us, i->first_attempt_at, now))
		return false;
	while (*code != NULL && strcmp(*code, e->code) != 0)
		code++;
	return *code != NULL;
}

/*
 * A finished one is asked about no more, unless the channel may still send back
 * what had arrived (a bank card's transfer): then a few times more, ever later.
 * It is no safeguard of money here, so it may end; a bill has the last word.
 *
 * What an operator has ended without proof is asked about until the channel's
 * memory ends: it may have been paid all the same.
 */
static void
watch(Instruction *i, const Timing *timing, int64 now, bool query)
{
	const int  *delays = timing->limits->poll_succeeded;
	int			n = 0;

	if (query)
		i->polls++;
	i->due_at = 0;
	i->due_call = NULL;
	if (i->unproven && (i->state == STATE_FAILED || i->state == STATE_CANCELED))
	{
		if (WINDOW_OVER(timing->ask_window_us, i->first_attempt_at ? i->first_attempt_at : i->state_since, now))
			return;
		i->due_at = poll_due(timing, STATE_UNKNOWN, i->polls, now);
		i->due_call = "query";
		return;
	}
	if (i->state != STATE_SUCCEEDED || delays == NULL)
		return;
	while (n < i->polls && delays[n] != 0)
		n++;
	if (delays[n] == 0)
		return;
	i->due_at = now + SECONDS(delays[n]) / timing->scale;
	i->due_call = "query";
}

/* It is to be canceled, and that call has not been made or has not ended. */
static bool
cancel_due(const Instruction *i)
{
	return i->state == STATE_ACCEPTED && i->cancel_requested &&
		i->due_call != NULL && strcmp(i->due_call, "cancel") == 0;
}

/* Its policy allows no further sending of this number; a probe of a pause is not one. */
static bool
exhausted(const Instruction *i, const EvidenceFacts *e, const Timing *timing)
{
	FailurePolicy policy = policy_of(i, timing);

	return policy.retry_limit > 0 && i->retries > policy.retry_limit &&
		e->verdict != VERDICT_HOLD && e->verdict != VERDICT_CONFIG;
}

/* It is to be paid elsewhere, and that call has not been made or has not ended. */
static bool
divert_due(const Instruction *i)
{
	return i->state == STATE_ABNORMAL && i->due_call != NULL && strcmp(i->due_call, "abnormal") == 0;
}

/* What became of the call that was to send it elsewhere; a query has the last word. */
static void
tell_diverted(Instruction *i, const EvidenceFacts *e, int64 now)
{
	const char *code = e->code ? e->code : verdict_name(e->verdict);

	if (i->state != STATE_ABNORMAL)
		return;
	if (e->proof && (e->verdict == VERDICT_ACCEPTED || e->verdict == VERDICT_SUCCEEDED))
		to_person(i, ELSEWHERE "the channel has taken it on", "Nothing is to be done; a query will say who got it.", now);
	else if (e->verdict == VERDICT_UNKNOWN || e->verdict == VERDICT_ASK)
		to_person(i, psprintf(ELSEWHERE "nobody knows whether the channel has taken it on (%s)", code),
				  "It is asked about; if it stays abnormal, call refundx.refund_abnormal() again.", now);
	else
		to_person(i, psprintf(ELSEWHERE "the channel did not take it on (%s%s%s)", code,
							  e->message ? ": " : "", e->message ? e->message : ""),
				  "Mend what it says, and call refundx.refund_abnormal() again.", now);
}

/* It waits to be sent; or, once it has been asked back, for the channel's word. */
static void
schedule_queued(Instruction *i, const EvidenceFacts *e, const Timing *timing, int64 now,
				Reaction reaction)
{
	bool		query = strcmp(e->source, "query") == 0;

	if (i->cancel_requested)
	{
		/* it was attempted, and is not sent again; nor does a clock end it */
		to_person(i, "it was to be canceled after it had been attempted, and the channel does not know it",
				  "Find out in the channel's console that it was not paid; it is still being asked about.", now);
		i->due_at = poll_due(timing, STATE_UNKNOWN, ++i->polls, now);
		i->due_call = "query";
	}
	else if ((reaction == REACTION_MOVE || query) && exhausted(i, e, timing))
	{
		/* sent no more, and asked about all the same */
		to_person(i, psprintf(EXHAUSTED ": %d times", i->attempts),
				  "Look at the answers in refundx.attempts; allow more with refundx.failure_policy_for(). It is still being asked about.",
				  now);
		i->due_at = poll_due(timing, STATE_UNKNOWN, ++i->polls, now);
		i->due_call = "query";
	}
	else if (reaction == REACTION_MOVE)
	{
		/*
		 * Found nowhere: nothing to wait for, the first time.  What is
		 * lost again and again is sent ever more rarely.
		 */
		i->due_at = e->verdict == VERDICT_NOT_FOUND && i->generation <= 1 ? now
			: resend_due(i, e, timing, now);
		i->due_call = "submit";
		i->refusal = NULL;
		if (e->verdict == VERDICT_NOT_FOUND && i->generation == GENERATIONS_BEFORE_PERSON)
			to_person(i, psprintf("it was sent %d times, and each time the channel knew nothing of it", i->attempts),
					  "Look at the answers in refundx.attempts, and ask the channel; it is still being sent, ever more rarely.", now);
	}
	else if (query && e->verdict == VERDICT_NOT_FOUND && i->unexplained > 0 &&
			 WINDOW_OVER(timing->send_window_us, i->first_attempt_at, now))
	{
		/* it has waited too long to be sent again (dispatch_claim.c) */
		to_person(i, "the time in which this number may be sent again is over, and an earlier attempt was never explained",
				  "Wait for a bill, or look the number up in the channel's console.", now);
		i->due_at = poll_due(timing, STATE_UNKNOWN, ++i->polls, now);
		i->due_call = "query";
	}
	else if (query && e->verdict == VERDICT_NOT_FOUND)
	{
		/* a hint made us ask before sending; there is nothing there */
		if (i->person_reason && strncmp(i->person_reason, EXHAUSTED, strlen(EXHAUSTED)) == 0)
			from_person(i);		/* its policy allows more by now */
		i->due_at = now;
		i->due_call = "submit";
	}
	else if (query)
		i->due_at = poll_due(timing, STATE_UNKNOWN, ++i->polls, now);
}

/*
 * Nobody has said what became of it, for as long as its policy lets that be.  It
 * is asked about in time for that, and goes on being asked about.
 */
static void
show_unknown(Instruction *i, const Timing *timing, int64 now)
{
	FailurePolicy policy = policy_of(i, timing);
	int64		late = i->state_since + SECONDS(policy.unknown_after) / timing->scale;

	if (policy.unknown_after > 0 && now < late)
		i->due_at = Min(i->due_at, late);
	else if (policy.unknown_after > 0 ? i->person_reason == NULL : i->polls == POLLS_BEFORE_PERSON)
		to_person(i, "the channel has not said what became of it",
				  "Look the number up in the channel's console; it is still being asked about.", now);
}

/* The channel may have it, or has it: when it is asked about next. */
static void
schedule_sent(Instruction *i, const EvidenceFacts *e, const Timing *timing, int64 now,
			  Reaction reaction)
{
	bool		query = strcmp(e->source, "query") == 0;
	int64		countable;

	if (reaction != REACTION_MOVE && !query &&
		!(is_own_answer(e) && timing->limits->repeat_while != NULL))
		return;					/* a stale word changes no schedule */
	if (query)
		i->polls++;
	i->due_at = poll_due(timing, i->state, i->polls, now);
	i->due_call = "query";
	if (query && i->state == STATE_ACCEPTED && repeats(i, e, timing, now))
	{
		/* its answer is followed by the next query */
		i->due_at = now;
		i->due_call = "submit";
		return;
	}
	if (i->cancel_requested && i->state == STATE_ACCEPTED && reaction == REACTION_MOVE)
	{
		/* the caller could not wait for this moment: now there is something to cancel */
		i->due_at = now;
		i->due_call = "cancel";
		return;
	}

	/*
	 * Where only a late enough not-found can count, be there in time;
	 * where nothing else is expected, do not ask before.
	 */
	countable = i->last_attempt_at + timing->not_found_after_us;
	if (i->state == STATE_UNKNOWN && now < countable &&
		(i->due_at > countable || i->refusal != NULL))
		i->due_at = countable;
	if (i->state == STATE_UNKNOWN)
		show_unknown(i, timing, now);
	if (i->state == STATE_ABNORMAL &&
		(i->person_reason == NULL || strncmp(i->person_reason, ELSEWHERE, strlen(ELSEWHERE)) != 0))
		to_person(i, "the payee's card or account cannot receive the money; the channel holds it",
				  "Ask the payee for another card and call refund_abnormal(), or use the channel's own form; the outcome is picked up from there.",
				  now);
}

/*
 * Every open instruction leaves here with a due time, or stays with a person
 * and is polled all the same.
 */
static void
schedule(Instruction *i, const EvidenceFacts *e, const Timing *timing, int64 now, Reaction reaction)
{
	bool		query = strcmp(e->source, "query") == 0;
	bool		cancel = strcmp(e->source, "cancel") == 0;
	bool		divert = strcmp(e->source, "abnormal") == 0;

	/* its own answer is on its way, and attempts never overlap */
	if (i->state == STATE_SENDING)
		return;
	if (divert)
		tell_diverted(i, e, now);
	if ((cancel_due(i) || divert_due(i)) && !cancel && !divert && reaction != REACTION_MOVE)
		return;					/* word of an earlier call, or a hint: a query follows the cancel anyway */
	if (reaction == REACTION_ASK)
	{
		/* a query that only leads to a query must not become a loop, nor one that leads to a repeat */
		if (query)
			i->due_at = poll_due(timing, STATE_UNKNOWN, ++i->polls, now);
		else if (i->state == STATE_ACCEPTED && is_own_answer(e))
			i->due_at = poll_due(timing, STATE_ACCEPTED, i->polls, now);
		else
			i->due_at = now;
		i->due_call = "query";
		return;
	}
	if (!state_is_open(i->state))
	{
		watch(i, timing, now, query);
		return;
	}
	if (cancel)
	{
		/* whatever the channel made of it: only a query tells what became of it */
		i->due_at = poll_due(timing, STATE_UNKNOWN, i->polls, now);
		i->due_call = i->state == STATE_ACCEPTED && e->verdict == VERDICT_UNKNOWN ? "cancel" : "query";
		i->polls++;
		return;
	}
	if (divert && i->state == STATE_ABNORMAL)
	{
		i->polls = 0;
		i->due_at = poll_due(timing, STATE_UNKNOWN, i->polls, now);
		i->due_call = "query";
		return;
	}
	switch (i->state)
	{
		case STATE_AWAITING_APPROVAL:
			/* a person's, and nobody's to ask about: but what a hint made us ask wants an answer */
			if (reaction == REACTION_MOVE || (query && e->verdict == VERDICT_NOT_FOUND))
			{
				i->due_at = 0;
				i->due_call = NULL;
			}
			else if (query && i->due_call != NULL)
				i->due_at = poll_due(timing, STATE_UNKNOWN, ++i->polls, now);
			break;
		case STATE_QUEUED:
			schedule_queued(i, e, timing, now, reaction);
			break;
		case STATE_STOPPED:
			/* a person's; but a doubt, or a new timeline, wants its answer */
			if (reaction == REACTION_MOVE || (query && e->verdict != VERDICT_UNKNOWN))
			{
				i->due_at = 0;
				i->due_call = NULL;
			}
			else if (query && i->due_call != NULL)
				i->due_at = poll_due(timing, STATE_UNKNOWN, ++i->polls, now);
			break;
		case STATE_UNKNOWN:
		case STATE_ACCEPTED:
		case STATE_ABNORMAL:
			schedule_sent(i, e, timing, now, reaction);
			break;
		default:
			break;
	}
}
