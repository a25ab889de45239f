/*-------------------------------------------------------------------------
 *
 * state.c
 *	  The one state machine of an instruction, as a table.
 *
 * Everything that moves a state asks this table: the dispatcher's claim, the
 * settler, refund_cancel, recovery.  The table is total: each (state, input)
 * pair has its row, so that a case nobody thought of cannot exist; a test
 * walks all of them.  refundx.state_table() shows it, doc/states.md is made
 * from it.
 *
 * Two rules run through it:
 *
 *	- Only proof reaches an end.  NOT_EXECUTED, HOLD, CONFIG and NOT_FOUND
 *	  lead back to `queued` with the same number, never to `failed`; a hint
 *	  leads to a query.
 *
 *	- Order does not matter.  Callbacks and answers overtake each other, so
 *	  an earlier stage that arrives after a later one (ACCEPTED after
 *	  SUCCEEDED) is stale, not a contradiction.  Only evidence of another
 *	  *end* contradicts.
 *
 * What would fail may be kept open instead, where the failure policy says so
 * (failure.c): then the input is STOPPED, and it leads to `stopped`.
 *
 * A named operator may say what no evidence of the channel's does (RESOLVE_*): who
 * wants to say it has to have a reason and, for an end without payment of
 * what was ever sent, a query that does not contradict and a second person;
 * see src/sql/43_desk.sql.  Nobody else makes `failed` or `canceled` into
 * `succeeded`.
 *
 * A queued instruction can meet any proof: it may have been sent before (and
 * put back), or by a database that this one was restored from.
 *
 * src/money/state.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "money/state.h"

#define MOVE(from, input, to, effect, comment) \
	{STATE_##from, INPUT_##input, REACTION_MOVE, STATE_##to, EFFECT_##effect, comment}
#define STAY(from, input, comment) \
	{STATE_##from, INPUT_##input, REACTION_STAY, STATE_##from, EFFECT_NONE, comment}
#define ASK(from, input, comment) \
	{STATE_##from, INPUT_##input, REACTION_ASK, STATE_##from, EFFECT_NONE, comment}
#define NO(from, input, comment) \
	{STATE_##from, INPUT_##input, REACTION_REFUSE, STATE_##from, EFFECT_NONE, comment}
#define CLASH(from, input, comment) \
	{STATE_##from, INPUT_##input, REACTION_CONTRADICTION, STATE_##from, EFFECT_NONE, comment}

static const Transition transitions[] = {
	/* ---- awaiting_approval: nothing was ever sent from here ---- */
	MOVE(AWAITING_APPROVAL, APPROVE, QUEUED, NONE, "a second person agreed"),
	MOVE(AWAITING_APPROVAL, CANCEL, CANCELED, RELEASE, "rejected, or withdrawn by the caller"),
	NO(AWAITING_APPROVAL, CLAIM, "not sent before it is approved"),
	MOVE(AWAITING_APPROVAL, LOST, UNKNOWN, NONE, "a new timeline: it may have been approved and sent in what was lost"),
	NO(AWAITING_APPROVAL, REISSUE, "its number was never used"),
	MOVE(AWAITING_APPROVAL, ACCEPTED, ACCEPTED, NONE, "sent by a database that this one was restored from"),
	MOVE(AWAITING_APPROVAL, SUCCEEDED, SUCCEEDED, PAY_OUT, "paid by a database that this one was restored from"),
	MOVE(AWAITING_APPROVAL, REFUSED, FAILED, RELEASE, "refused to a database that this one was restored from"),
	MOVE(AWAITING_APPROVAL, DEAD, FAILED, RELEASE, "closed for a database that this one was restored from"),
	MOVE(AWAITING_APPROVAL, ABNORMAL, ABNORMAL, NONE, "sent by a database that this one was restored from"),
	MOVE(AWAITING_APPROVAL, RETURNED, RETURNED, DIVERT, "sent and returned while this database did not know"),
	MOVE(AWAITING_APPROVAL, CANCELED, CANCELED, RELEASE, "canceled by the channel, signed"),
	MOVE(AWAITING_APPROVAL, REVERSED, FAILED, RELEASE, "sent by a database that this one was restored from, and given up"),
	STAY(AWAITING_APPROVAL, STOPPED, "not one that the failure policy speaks of: the end stands"),
	STAY(AWAITING_APPROVAL, NOT_EXECUTED, "an answer to nobody's call"),
	STAY(AWAITING_APPROVAL, HOLD, "an answer to nobody's call"),
	STAY(AWAITING_APPROVAL, CONFIG, "an answer to nobody's call"),
	STAY(AWAITING_APPROVAL, NOT_FOUND, "as it should be"),
	STAY(AWAITING_APPROVAL, NOT_FOUND_UNAPPROVED, "as it should be"),
	STAY(AWAITING_APPROVAL, UNANSWERED, "an answer to nobody's call"),
	ASK(AWAITING_APPROVAL, REFUSAL_HINT, "somebody may have sent it"),
	ASK(AWAITING_APPROVAL, ASK, "somebody may have sent it"),
	MOVE(AWAITING_APPROVAL, RESOLVE_SUCCEEDED, SUCCEEDED, PAY_OUT, "an operator has found that a database which this one was restored from paid it"),
	NO(AWAITING_APPROVAL, RESOLVE_FAILED, "nothing was sent from here: it can be rejected"),
	NO(AWAITING_APPROVAL, RESOLVE_CANCELED, "nothing was sent from here: it can be rejected"),
	NO(AWAITING_APPROVAL, RESOLVE_RETURNED, "nothing was sent from here: it can be rejected"),

	/* ---- queued ---- */
	NO(QUEUED, APPROVE, "it needs no approval"),
	MOVE(QUEUED, CANCEL, CANCELED, RELEASE, "only if it was never attempted; the caller checks that under the row's lock"),
	MOVE(QUEUED, CLAIM, SENDING, NONE, "committed before any I/O"),
	MOVE(QUEUED, LOST, UNKNOWN, NONE, "a new timeline: an attempt may have been lost with the old one"),
	NO(QUEUED, REISSUE, "the channel has not ended its number"),
	MOVE(QUEUED, ACCEPTED, ACCEPTED, NONE, "an earlier attempt had arrived"),
	MOVE(QUEUED, SUCCEEDED, SUCCEEDED, PAY_OUT, "an earlier attempt had arrived"),
	MOVE(QUEUED, REFUSED, FAILED, RELEASE, "an earlier attempt is refused for good"),
	MOVE(QUEUED, DEAD, FAILED, RELEASE, "an earlier attempt had arrived, and the channel has closed it"),
	MOVE(QUEUED, ABNORMAL, ABNORMAL, NONE, "an earlier attempt had arrived"),
	MOVE(QUEUED, RETURNED, RETURNED, DIVERT, "an earlier attempt had arrived, and came back"),
	MOVE(QUEUED, CANCELED, CANCELED, RELEASE, "canceled by the channel, signed"),
	MOVE(QUEUED, REVERSED, FAILED, RELEASE, "an earlier attempt had arrived, and the channel gave it up"),
	MOVE(QUEUED, STOPPED, STOPPED, NONE, "an earlier attempt has ended unpaid; the failure policy says how it goes on"),
	STAY(QUEUED, NOT_EXECUTED, "it is queued already"),
	STAY(QUEUED, HOLD, "it is queued already"),
	STAY(QUEUED, CONFIG, "it is queued already"),
	STAY(QUEUED, NOT_FOUND, "it is queued already"),
	STAY(QUEUED, NOT_FOUND_UNAPPROVED, "it is queued already"),
	STAY(QUEUED, UNANSWERED, "a late answer of an earlier call"),
	ASK(QUEUED, REFUSAL_HINT, "a late refusal of an earlier attempt"),
	ASK(QUEUED, ASK, "a hint: ask before it is sent"),
	MOVE(QUEUED, RESOLVE_SUCCEEDED, SUCCEEDED, PAY_OUT, "an operator has found that an earlier attempt was paid"),
	MOVE(QUEUED, RESOLVE_FAILED, FAILED, RELEASE, "an operator ends it; if it was ever sent, after a query that does not contradict"),
	MOVE(QUEUED, RESOLVE_CANCELED, CANCELED, RELEASE, "an operator ends it; if it was ever sent, after a query that does not contradict"),
	MOVE(QUEUED, RESOLVE_RETURNED, RETURNED, DIVERT, "an operator has found that it was paid and came back"),

	/* ---- sending ---- */
	NO(SENDING, APPROVE, "it is being sent"),
	NO(SENDING, CANCEL, "it may already have been executed"),
	NO(SENDING, CLAIM, "one attempt at a time"),
	MOVE(SENDING, LOST, UNKNOWN, NONE, "its worker died; never back to queued"),
	NO(SENDING, REISSUE, "the channel has not ended its number, and may be executing it"),
	MOVE(SENDING, ACCEPTED, ACCEPTED, NONE, "the channel has it"),
	MOVE(SENDING, SUCCEEDED, SUCCEEDED, PAY_OUT, "paid at once"),
	MOVE(SENDING, REFUSED, FAILED, RELEASE, "a signed no"),
	MOVE(SENDING, DEAD, FAILED, RELEASE, "this number is closed, unpaid"),
	MOVE(SENDING, ABNORMAL, ABNORMAL, NONE, "the payee cannot receive it"),
	MOVE(SENDING, RETURNED, RETURNED, DIVERT, "it went back to the merchant"),
	MOVE(SENDING, CANCELED, CANCELED, RELEASE, "canceled by the channel, signed"),
	MOVE(SENDING, REVERSED, FAILED, RELEASE, "the channel gave it up"),
	MOVE(SENDING, STOPPED, STOPPED, NONE, "ended unpaid; the failure policy says how it goes on"),
	MOVE(SENDING, NOT_EXECUTED, QUEUED, NONE, "certainly not executed: the same number, later"),
	MOVE(SENDING, HOLD, QUEUED, NONE, "the merchant must act; the same number, later"),
	MOVE(SENDING, CONFIG, QUEUED, NONE, "our keys, clock or rights; the same number, later"),
	STAY(SENDING, NOT_FOUND, "a query's answer from before this attempt"),
	STAY(SENDING, NOT_FOUND_UNAPPROVED, "a query's answer from before this attempt"),
	MOVE(SENDING, UNANSWERED, UNKNOWN, NONE, "a time-out, a 5xx, a bad signature, an unlisted code: ask"),
	MOVE(SENDING, REFUSAL_HINT, UNKNOWN, NONE, "an unsigned no: ask before it is believed"),
	ASK(SENDING, ASK, "the attempt's own answer is still to come; ask if it does not"),
	NO(SENDING, RESOLVE_SUCCEEDED, "it is on its way: its own answer comes first"),
	NO(SENDING, RESOLVE_FAILED, "it is on its way: its own answer comes first"),
	NO(SENDING, RESOLVE_CANCELED, "it is on its way: its own answer comes first"),
	NO(SENDING, RESOLVE_RETURNED, "it is on its way: its own answer comes first"),

	/* ---- unknown ---- */
	NO(UNKNOWN, APPROVE, "it may already have been executed"),
	NO(UNKNOWN, CANCEL, "it may already have been executed"),
	NO(UNKNOWN, CLAIM, "what may have been sent is asked about before it is sent again"),
	STAY(UNKNOWN, LOST, "it is asked about already"),
	NO(UNKNOWN, REISSUE, "nobody knows what became of its number; a new one could pay twice"),
	MOVE(UNKNOWN, ACCEPTED, ACCEPTED, NONE, "it had arrived"),
	MOVE(UNKNOWN, SUCCEEDED, SUCCEEDED, PAY_OUT, "it had arrived, and is paid"),
	MOVE(UNKNOWN, REFUSED, FAILED, RELEASE, "the refusal is confirmed"),
	MOVE(UNKNOWN, DEAD, FAILED, RELEASE, "this number is closed, unpaid"),
	MOVE(UNKNOWN, ABNORMAL, ABNORMAL, NONE, "the payee cannot receive it"),
	MOVE(UNKNOWN, RETURNED, RETURNED, DIVERT, "it went back to the merchant"),
	MOVE(UNKNOWN, CANCELED, CANCELED, RELEASE, "canceled by the channel, signed"),
	MOVE(UNKNOWN, REVERSED, FAILED, RELEASE, "it had arrived, and the channel gave it up"),
	MOVE(UNKNOWN, STOPPED, STOPPED, NONE, "ended unpaid; the failure policy says how it goes on"),
	STAY(UNKNOWN, NOT_EXECUTED, "true of that call only; an earlier one may have arrived"),
	STAY(UNKNOWN, HOLD, "the query was held up"),
	STAY(UNKNOWN, CONFIG, "the query was not allowed"),
	MOVE(UNKNOWN, NOT_FOUND, QUEUED, NONE, "the same number may be repeated; releases nothing"),
	MOVE(UNKNOWN, NOT_FOUND_UNAPPROVED, AWAITING_APPROVAL, NONE, "nothing was sent from what was lost: it waits for its second person again"),
	STAY(UNKNOWN, UNANSWERED, "asked again later"),
	STAY(UNKNOWN, REFUSAL_HINT, "asked about already"),
	ASK(UNKNOWN, ASK, "a hint"),
	MOVE(UNKNOWN, RESOLVE_SUCCEEDED, SUCCEEDED, PAY_OUT, "an operator has found that it is paid"),
	MOVE(UNKNOWN, RESOLVE_FAILED, FAILED, RELEASE, "an operator ends it, after a query that does not contradict"),
	MOVE(UNKNOWN, RESOLVE_CANCELED, CANCELED, RELEASE, "an operator ends it, after a query that does not contradict"),
	MOVE(UNKNOWN, RESOLVE_RETURNED, RETURNED, DIVERT, "an operator has found that it was paid and came back"),

	/* ---- accepted ---- */
	NO(ACCEPTED, APPROVE, "the channel has it"),
	NO(ACCEPTED, CANCEL, "the channel has it"),
	NO(ACCEPTED, CLAIM, "the channel has it"),
	STAY(ACCEPTED, LOST, "it is asked about already"),
	NO(ACCEPTED, REISSUE, "the channel has it under its number; a new one could pay twice"),
	STAY(ACCEPTED, ACCEPTED, "known"),
	MOVE(ACCEPTED, SUCCEEDED, SUCCEEDED, PAY_OUT, "paid"),
	MOVE(ACCEPTED, REFUSED, FAILED, RELEASE, "a signed no after the acceptance"),
	MOVE(ACCEPTED, DEAD, FAILED, RELEASE, "the channel has given up, unpaid"),
	MOVE(ACCEPTED, ABNORMAL, ABNORMAL, NONE, "the payee cannot receive it"),
	MOVE(ACCEPTED, RETURNED, RETURNED, DIVERT, "it went back to the merchant"),
	MOVE(ACCEPTED, CANCELED, CANCELED, RELEASE, "canceled by the channel, signed"),
	MOVE(ACCEPTED, REVERSED, FAILED, RELEASE, "the channel gave it up before it was paid"),
	MOVE(ACCEPTED, STOPPED, STOPPED, NONE, "ended unpaid; the failure policy says how it goes on"),
	STAY(ACCEPTED, NOT_EXECUTED, "a later call changes nothing"),
	STAY(ACCEPTED, HOLD, "the query was held up"),
	STAY(ACCEPTED, CONFIG, "the query was not allowed"),
	STAY(ACCEPTED, NOT_FOUND, "a not-found takes back no signed acceptance"),
	STAY(ACCEPTED, NOT_FOUND_UNAPPROVED, "a not-found takes back no signed acceptance"),
	STAY(ACCEPTED, UNANSWERED, "asked again later"),
	ASK(ACCEPTED, REFUSAL_HINT, "an unsigned no against a signed yes: ask"),
	ASK(ACCEPTED, ASK, "a hint"),
	MOVE(ACCEPTED, RESOLVE_SUCCEEDED, SUCCEEDED, PAY_OUT, "an operator has found that it is paid"),
	MOVE(ACCEPTED, RESOLVE_FAILED, FAILED, RELEASE, "an operator ends it, after a query that does not contradict"),
	MOVE(ACCEPTED, RESOLVE_CANCELED, CANCELED, RELEASE, "an operator ends it, after a query that does not contradict"),
	MOVE(ACCEPTED, RESOLVE_RETURNED, RETURNED, DIVERT, "an operator has found that it was paid and came back"),

	/* ---- abnormal ---- */
	NO(ABNORMAL, APPROVE, "the channel has it"),
	NO(ABNORMAL, CANCEL, "the channel has it"),
	NO(ABNORMAL, CLAIM, "the channel has it"),
	STAY(ABNORMAL, LOST, "it is asked about already"),
	NO(ABNORMAL, REISSUE, "the channel has the money; another number would pay it twice"),
	STAY(ABNORMAL, ACCEPTED, "stale, or tried again; the query will say"),
	MOVE(ABNORMAL, SUCCEEDED, SUCCEEDED, PAY_OUT, "paid after all, as a query says who received it"),
	MOVE(ABNORMAL, REFUSED, FAILED, RELEASE, "a signed no"),
	MOVE(ABNORMAL, DEAD, FAILED, RELEASE, "the channel has given up, unpaid"),
	STAY(ABNORMAL, ABNORMAL, "known"),
	MOVE(ABNORMAL, RETURNED, RETURNED, DIVERT, "diverted to the merchant's own account"),
	MOVE(ABNORMAL, CANCELED, CANCELED, RELEASE, "canceled by the channel, signed"),
	MOVE(ABNORMAL, REVERSED, FAILED, RELEASE, "the channel gave it up, and has paid it back to the merchant"),
	MOVE(ABNORMAL, STOPPED, STOPPED, NONE, "ended unpaid; the failure policy says how it goes on"),
	STAY(ABNORMAL, NOT_EXECUTED, "a later call changes nothing"),
	STAY(ABNORMAL, HOLD, "the query was held up"),
	STAY(ABNORMAL, CONFIG, "the query was not allowed"),
	STAY(ABNORMAL, NOT_FOUND, "a not-found takes back no signed answer"),
	STAY(ABNORMAL, NOT_FOUND_UNAPPROVED, "a not-found takes back no signed answer"),
	STAY(ABNORMAL, UNANSWERED, "asked again later"),
	ASK(ABNORMAL, REFUSAL_HINT, "ask"),
	ASK(ABNORMAL, ASK, "a hint"),
	MOVE(ABNORMAL, RESOLVE_SUCCEEDED, SUCCEEDED, PAY_OUT, "an operator has found that it is paid"),
	MOVE(ABNORMAL, RESOLVE_FAILED, FAILED, RELEASE, "an operator ends it, after a query that does not contradict"),
	MOVE(ABNORMAL, RESOLVE_CANCELED, CANCELED, RELEASE, "an operator ends it, after a query that does not contradict"),
	MOVE(ABNORMAL, RESOLVE_RETURNED, RETURNED, DIVERT, "an operator has found that it was paid and came back"),

	/*
	 * ---- stopped: the channel has ended its number, unpaid; the money stays
	 * frozen until somebody decides between another number and the end ----
	 */
	NO(STOPPED, APPROVE, "it waits for another decision"),
	MOVE(STOPPED, CANCEL, FAILED, RELEASE, "given up: the channel had ended its number, unpaid"),
	NO(STOPPED, CLAIM, "its number is not used again"),
	STAY(STOPPED, LOST, "its number is ended; another one is asked about before it is used"),
	MOVE(STOPPED, REISSUE, QUEUED, NONE, "the same instruction, with another number"),
	ASK(STOPPED, ACCEPTED, "stale if the number is dead; if it is not, the query says so"),
	MOVE(STOPPED, SUCCEEDED, SUCCEEDED, PAY_OUT, "paid after all, and nothing had been released"),
	STAY(STOPPED, REFUSED, "known"),
	STAY(STOPPED, DEAD, "known"),
	ASK(STOPPED, ABNORMAL, "stale if the number is dead; if it is not, the query says so"),
	MOVE(STOPPED, RETURNED, RETURNED, DIVERT, "it was paid and came back, and nothing had been released"),
	MOVE(STOPPED, CANCELED, CANCELED, RELEASE, "canceled by the channel, signed"),
	STAY(STOPPED, REVERSED, "known"),
	STAY(STOPPED, STOPPED, "known"),
	STAY(STOPPED, NOT_EXECUTED, "a later call changes nothing"),
	STAY(STOPPED, HOLD, "a later call changes nothing"),
	STAY(STOPPED, CONFIG, "a later call changes nothing"),
	STAY(STOPPED, NOT_FOUND, "as it should be"),
	STAY(STOPPED, NOT_FOUND_UNAPPROVED, "as it should be"),
	STAY(STOPPED, UNANSWERED, "a later call changes nothing"),
	STAY(STOPPED, REFUSAL_HINT, "known"),
	ASK(STOPPED, ASK, "a hint"),
	MOVE(STOPPED, RESOLVE_SUCCEEDED, SUCCEEDED, PAY_OUT, "an operator has found that it was paid all the same"),
	MOVE(STOPPED, RESOLVE_FAILED, FAILED, RELEASE, "an operator gives it up; the channel had ended its number, unpaid"),
	MOVE(STOPPED, RESOLVE_CANCELED, CANCELED, RELEASE, "an operator gives it up; the channel had ended its number, unpaid"),
	MOVE(STOPPED, RESOLVE_RETURNED, RETURNED, DIVERT, "an operator has found that it was paid and came back"),

	/* ---- succeeded: never becomes failed ---- */
	NO(SUCCEEDED, APPROVE, "it is paid"),
	NO(SUCCEEDED, CANCEL, "it is paid"),
	NO(SUCCEEDED, CLAIM, "it is paid"),
	STAY(SUCCEEDED, LOST, "it is finished"),
	NO(SUCCEEDED, REISSUE, "it is paid"),
	STAY(SUCCEEDED, ACCEPTED, "stale"),
	STAY(SUCCEEDED, SUCCEEDED, "known"),
	CLASH(SUCCEEDED, REFUSED, "paid, and refused"),
	CLASH(SUCCEEDED, DEAD, "paid, and closed unpaid"),
	STAY(SUCCEEDED, ABNORMAL, "stale: the stage before it"),
	MOVE(SUCCEEDED, RETURNED, RETURNED, RETURN, "it came back after it had arrived"),
	CLASH(SUCCEEDED, CANCELED, "paid, and canceled"),
	MOVE(SUCCEEDED, REVERSED, RETURNED, RETURN, "it failed after it had arrived: the money came back"),
	CLASH(SUCCEEDED, STOPPED, "paid, and ended unpaid"),
	STAY(SUCCEEDED, NOT_EXECUTED, "a later call changes nothing"),
	STAY(SUCCEEDED, HOLD, "a later call changes nothing"),
	STAY(SUCCEEDED, CONFIG, "a later call changes nothing"),
	STAY(SUCCEEDED, NOT_FOUND, "a not-found takes back no proof"),
	STAY(SUCCEEDED, NOT_FOUND_UNAPPROVED, "a not-found takes back no proof"),
	STAY(SUCCEEDED, UNANSWERED, "a later call changes nothing"),
	STAY(SUCCEEDED, REFUSAL_HINT, "an unsigned no takes back no proof"),
	ASK(SUCCEEDED, ASK, "a hint may announce a return"),
	STAY(SUCCEEDED, RESOLVE_SUCCEEDED, "an operator confirms that it is paid"),
	NO(SUCCEEDED, RESOLVE_FAILED, "what is paid never becomes failed; money that came back is returned"),
	NO(SUCCEEDED, RESOLVE_CANCELED, "what is paid never becomes canceled; money that came back is returned"),
	MOVE(SUCCEEDED, RESOLVE_RETURNED, RETURNED, RETURN, "an operator has found that it came back"),

	/* ---- failed ---- */
	NO(FAILED, APPROVE, "it has failed"),
	NO(FAILED, CANCEL, "it has failed; the money is released already"),
	NO(FAILED, CLAIM, "it has failed"),
	STAY(FAILED, LOST, "it is finished"),
	NO(FAILED, REISSUE, "its money was released; submit another one"),
	ASK(FAILED, ACCEPTED, "stale if the number is dead; if it is not, the query says so"),
	CLASH(FAILED, SUCCEEDED, "released, and paid after all"),
	STAY(FAILED, REFUSED, "known"),
	STAY(FAILED, DEAD, "known"),
	ASK(FAILED, ABNORMAL, "stale if the number is dead; if it is not, the query says so"),
	CLASH(FAILED, RETURNED, "released, yet it was paid and came back"),
	STAY(FAILED, CANCELED, "ended either way"),
	STAY(FAILED, REVERSED, "known"),
	STAY(FAILED, STOPPED, "known"),
	STAY(FAILED, NOT_EXECUTED, "a later call changes nothing"),
	STAY(FAILED, HOLD, "a later call changes nothing"),
	STAY(FAILED, CONFIG, "a later call changes nothing"),
	STAY(FAILED, NOT_FOUND, "as it should be"),
	STAY(FAILED, NOT_FOUND_UNAPPROVED, "as it should be"),
	STAY(FAILED, UNANSWERED, "a later call changes nothing"),
	STAY(FAILED, REFUSAL_HINT, "known"),
	ASK(FAILED, ASK, "a hint"),
	MOVE(FAILED, RESOLVE_SUCCEEDED, SUCCEEDED, PAY_LATE, "an operator has found that it was paid after all"),
	STAY(FAILED, RESOLVE_FAILED, "an operator confirms that it was not paid"),
	NO(FAILED, RESOLVE_CANCELED, "it has failed, and its money is released already"),
	NO(FAILED, RESOLVE_RETURNED, "its money was released when it failed: there is nothing to give back"),

	/* ---- returned ---- */
	NO(RETURNED, APPROVE, "it came back"),
	NO(RETURNED, CANCEL, "it came back"),
	NO(RETURNED, CLAIM, "it came back"),
	STAY(RETURNED, LOST, "it is finished"),
	NO(RETURNED, REISSUE, "it came back; submit another one"),
	STAY(RETURNED, ACCEPTED, "stale"),
	STAY(RETURNED, SUCCEEDED, "stale: the stage before it"),
	CLASH(RETURNED, REFUSED, "returned, and refused"),
	STAY(RETURNED, DEAD, "ended either way, and nothing is out"),
	STAY(RETURNED, ABNORMAL, "stale"),
	STAY(RETURNED, RETURNED, "known"),
	STAY(RETURNED, CANCELED, "ended either way, and nothing is out"),
	STAY(RETURNED, REVERSED, "known"),
	STAY(RETURNED, STOPPED, "ended either way, and nothing is out"),
	STAY(RETURNED, NOT_EXECUTED, "a later call changes nothing"),
	STAY(RETURNED, HOLD, "a later call changes nothing"),
	STAY(RETURNED, CONFIG, "a later call changes nothing"),
	STAY(RETURNED, NOT_FOUND, "a not-found takes back no proof"),
	STAY(RETURNED, NOT_FOUND_UNAPPROVED, "a not-found takes back no proof"),
	STAY(RETURNED, UNANSWERED, "a later call changes nothing"),
	STAY(RETURNED, REFUSAL_HINT, "an unsigned no takes back no proof"),
	STAY(RETURNED, ASK, "it is finished"),
	NO(RETURNED, RESOLVE_SUCCEEDED, "it came back, and its money is here"),
	NO(RETURNED, RESOLVE_FAILED, "it was paid and came back; its money is here"),
	NO(RETURNED, RESOLVE_CANCELED, "it was paid and came back; its money is here"),
	STAY(RETURNED, RESOLVE_RETURNED, "an operator confirms that it came back"),

	/* ---- canceled ---- */
	NO(CANCELED, APPROVE, "it was canceled"),
	STAY(CANCELED, CANCEL, "known"),
	NO(CANCELED, CLAIM, "it was canceled"),
	STAY(CANCELED, LOST, "it is finished"),
	NO(CANCELED, REISSUE, "its money was released; submit another one"),
	CLASH(CANCELED, ACCEPTED, "canceled and released, yet the channel has it"),
	CLASH(CANCELED, SUCCEEDED, "canceled and released, yet paid"),
	STAY(CANCELED, REFUSED, "ended either way"),
	STAY(CANCELED, DEAD, "ended either way"),
	CLASH(CANCELED, ABNORMAL, "canceled and released, yet the channel has it"),
	CLASH(CANCELED, RETURNED, "canceled and released, yet it was paid and came back"),
	STAY(CANCELED, CANCELED, "known"),
	STAY(CANCELED, REVERSED, "ended either way"),
	STAY(CANCELED, STOPPED, "ended either way"),
	STAY(CANCELED, NOT_EXECUTED, "a later call changes nothing"),
	STAY(CANCELED, HOLD, "a later call changes nothing"),
	STAY(CANCELED, CONFIG, "a later call changes nothing"),
	STAY(CANCELED, NOT_FOUND, "as it should be"),
	STAY(CANCELED, NOT_FOUND_UNAPPROVED, "as it should be"),
	STAY(CANCELED, UNANSWERED, "a later call changes nothing"),
	STAY(CANCELED, REFUSAL_HINT, "as it should be"),
	ASK(CANCELED, ASK, "a hint"),
	MOVE(CANCELED, RESOLVE_SUCCEEDED, SUCCEEDED, PAY_LATE, "an operator has found that it was paid after all"),
	NO(CANCELED, RESOLVE_FAILED, "it was canceled, and its money is released already"),
	STAY(CANCELED, RESOLVE_CANCELED, "an operator confirms that it was not paid"),
	NO(CANCELED, RESOLVE_RETURNED, "its money was released when it was canceled: there is nothing to give back"),
};

StaticAssertDecl(lengthof(transitions) == STATE_COUNT * INPUT_COUNT,
				 "the state table must have a row for every pair");

static const char *const state_names[STATE_COUNT] = {
	"awaiting_approval", "queued", "sending", "unknown", "accepted",
	"abnormal", "stopped", "succeeded", "failed", "returned", "canceled"
};

static const char *const input_names[INPUT_COUNT] = {
	"approve", "cancel", "claim", "lost", "reissue",
	"accepted", "succeeded", "refused", "dead", "abnormal", "returned", "channel_canceled", "reversed",
	"stopped",
	"not_executed", "hold", "config", "not_found", "not_found_unapproved", "unanswered",
	"refusal_hint", "ask",
	"resolve_succeeded", "resolve_failed", "resolve_canceled", "resolve_returned"
};

/*
 * The table is written in the order of the enums, row by row, which makes the
 * lookup an index.  The assertion keeps whoever edits it honest.
 */
const Transition *
state_transition(State from, Input input)
{
	const Transition *t = &transitions[(int) from * INPUT_COUNT + (int) input];

	if (t->from != from || t->input != input)
		elog(ERROR, "refundx state table is out of order at (%s, %s)",
			 state_names[from], input_names[input]);
	return t;
}

const Transition *
state_transition_at(int i)
{
	return i >= 0 && i < (int) lengthof(transitions) ? &transitions[i] : NULL;
}

const char *
state_name(State s)
{
	return state_names[s];
}

bool
state_from_name(const char *name, State *s)
{
	int			i;

	for (i = 0; i < STATE_COUNT; i++)
	{
		if (strcmp(name, state_names[i]) == 0)
		{
			*s = (State) i;
			return true;
		}
	}
	return false;
}

const char *
input_name(Input i)
{
	return input_names[i];
}

const char *
effect_name(Effect e)
{
	static const char *const names[] = {"none", "pay_out", "release", "divert", "return", "pay_late"};

	return names[e];
}

const char *
reaction_name(Reaction r)
{
	static const char *const names[] = {"refuse", "move", "stay", "ask", "contradiction"};

	return names[r];
}

/* Open: its money is frozen, and somebody owns what happens next. */
bool
state_is_open(State s)
{
	return s <= STATE_STOPPED;
}

Input
state_weigh(Verdict verdict, bool proof)
{
	switch (verdict)
	{
		case VERDICT_ACCEPTED:
			return proof ? INPUT_ACCEPTED : INPUT_ASK;
		case VERDICT_SUCCEEDED:
			return proof ? INPUT_SUCCEEDED : INPUT_ASK;
		case VERDICT_REFUSED:
			return proof ? INPUT_REFUSED : INPUT_REFUSAL_HINT;
		case VERDICT_DEAD:
			return proof ? INPUT_DEAD : INPUT_ASK;
		case VERDICT_ABNORMAL:
			return proof ? INPUT_ABNORMAL : INPUT_ASK;
		case VERDICT_RETURNED:
			return proof ? INPUT_RETURNED : INPUT_ASK;
		case VERDICT_CANCELED:
			return proof ? INPUT_CANCELED : INPUT_ASK;
		case VERDICT_REVERSED:
			return proof ? INPUT_REVERSED : INPUT_ASK;
		case VERDICT_NOT_EXECUTED:
			return INPUT_NOT_EXECUTED;
		case VERDICT_HOLD:
			return INPUT_HOLD;
		case VERDICT_CONFIG:
			return INPUT_CONFIG;
		case VERDICT_NOT_FOUND:
			return INPUT_NOT_FOUND;
		case VERDICT_ASK:
			return INPUT_ASK;
		case VERDICT_UNKNOWN:
			break;
	}
	return INPUT_UNANSWERED;
}
