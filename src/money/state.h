/*-------------------------------------------------------------------------
 *
 * state.h
 *	  The one state machine of an instruction (a refund; later a withdrawal).
 *
 * src/money/state.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_STATE_H
#define REFUNDX_STATE_H

#include "channel/verdict.h"

typedef enum State
{
	STATE_AWAITING_APPROVAL,
	STATE_QUEUED,				/* due to be sent; not being sent */
	STATE_SENDING,				/* an attempt is committed; it may be on the wire */
	STATE_UNKNOWN,				/* may have been executed: ask */
	STATE_ACCEPTED,				/* the channel has it; wait for the outcome */
	STATE_ABNORMAL,				/* the channel has the money, the payee cannot get it */
	STATE_STOPPED,				/* its number has ended unpaid; it is to be decided
								 * whether it gets another one */
	STATE_SUCCEEDED,			/* paid out */
	STATE_FAILED,				/* refused or dead: never paid, money released */
	STATE_RETURNED,				/* paid, and came back */
	STATE_CANCELED				/* ended before it was executed, money released */
} State;

#define STATE_COUNT		(STATE_CANCELED + 1)

/*
 * What can happen to an instruction.  Evidence has been weighed before it
 * becomes an input (state_weigh): the inputs that move money are proof, or
 * what proof amounts to.
 */
typedef enum Input
{
	/* commands */
	INPUT_APPROVE,
	INPUT_CANCEL,				/* by the caller */
	INPUT_CLAIM,				/* by the dispatcher, before any I/O */
	INPUT_LOST,					/* the worker died, or a new timeline: an attempt may
								 * have been made that nobody knows the end of */
	INPUT_REISSUE,				/* another number, by the failure policy or a person */
	/* proof */
	INPUT_ACCEPTED,
	INPUT_SUCCEEDED,
	INPUT_REFUSED,				/* signed, or unsigned and confirmed by a query */
	INPUT_DEAD,
	INPUT_ABNORMAL,
	INPUT_RETURNED,
	INPUT_CANCELED,				/* by the channel, signed */
	INPUT_REVERSED,				/* the channel gave it up; what that means depends on
								 * whether it had been paid */
	INPUT_STOPPED,				/* refused, dead or reversed, and the failure policy
								 * does not let it end there */
	/* answers that move no money, whether signed or not */
	INPUT_NOT_EXECUTED,
	INPUT_HOLD,
	INPUT_CONFIG,
	INPUT_NOT_FOUND,			/* counted: the query began late enough */
	INPUT_NOT_FOUND_UNAPPROVED, /* likewise, and nobody had agreed to it yet */
	INPUT_UNANSWERED,			/* verdict unknown */
	/* hints */
	INPUT_REFUSAL_HINT,			/* an unsigned no */
	INPUT_ASK,					/* anything else that is worth a query */
	/* the word of a named operator, who has found out (desk_resolve) */
	INPUT_RESOLVE_SUCCEEDED,
	INPUT_RESOLVE_FAILED,
	INPUT_RESOLVE_CANCELED,
	INPUT_RESOLVE_RETURNED
} Input;

#define INPUT_COUNT		(INPUT_RESOLVE_RETURNED + 1)

/* What a transition does to the money. */
typedef enum Effect
{
	EFFECT_NONE,
	EFFECT_PAY_OUT,				/* frozen -> out; refunding -> refunded */
	EFFECT_RELEASE,				/* frozen -> available; refunding -> nothing */
	EFFECT_DIVERT,				/* frozen -> available; refunding -> returned: the
								 * channel gave it back to the merchant */
	EFFECT_RETURN,				/* out -> available; refunded -> returned */
	EFFECT_PAY_LATE				/* available -> out, and what is not available from the
								 * merchant's suspense account; nothing -> refunded */
} Effect;

typedef enum Reaction
{
	REACTION_REFUSE,			/* a command that this state does not allow: error */
	REACTION_MOVE,				/* to another state */
	REACTION_STAY,				/* recorded, nothing to do */
	REACTION_ASK,				/* stay, and query now */
	REACTION_CONTRADICTION		/* finished, and the evidence says otherwise: alarm,
								 * hold, move nothing */
} Reaction;

typedef struct Transition
{
	State		from;
	Input		input;
	Reaction	reaction;
	State		to;				/* equals from unless REACTION_MOVE */
	Effect		effect;
	const char *comment;
} Transition;

/* Never NULL: the table has a row for every pair. */
extern const Transition *state_transition(State from, Input input);
extern const Transition *state_transition_at(int i);	/* NULL past the end */

extern const char *state_name(State s);
extern bool state_from_name(const char *name, State *s);
extern const char *input_name(Input i);
extern const char *effect_name(Effect e);
extern const char *reaction_name(Reaction r);
extern bool state_is_open(State s);

/*
 * Which input a piece of evidence is.  `proof` as the channel declared it;
 * NOT_FOUND is weighed by the caller, who knows the times.
 */
extern Input state_weigh(Verdict verdict, bool proof);

#endif							/* REFUNDX_STATE_H */
