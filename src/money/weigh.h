/*-------------------------------------------------------------------------
 *
 * weigh.h
 *	  What one piece of evidence does to one instruction: decided in memory.
 *
 * src/money/weigh.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_WEIGH_H
#define REFUNDX_WEIGH_H

#include "postgres.h"

#include "channel/channel.h"
#include "money/failure.h"
#include "money/state.h"

/* A channel's times, as this configuration has them. */
typedef struct Timing
{
	const ChannelLimits *limits;
	int64		not_found_after_us;
	int64		scale;			/* the sandbox's clock runs this much faster */
	int64		send_window_us; /* from the first attempt on; 0 = no end */
	int64		ask_window_us;
	FailurePolicy policy;		/* the channel's; an instruction may have its own */
} Timing;

/* Is a window that began with the first attempt over? */
#define WINDOW_OVER(window_us, first_attempt_at, now) \
	((window_us) > 0 && (first_attempt_at) != 0 && (now) > (first_attempt_at) + (window_us))

/* The columns of refundx.instruction that evidence can change. */
typedef struct Instruction
{
	/* fixed */
	int64		instruction_id;
	int64		payment_id;		/* 0 = none */
	int64		account_id;		/* 0 = none */
	int32		channel_id;
	ProductKind product;
	int64		amount;
	int64		fee;			/* frozen with the amount */
	bool		fee_back_on_failure;
	bool		fee_back_on_return;
	int64		cap_account_id; /* whose day's limit it counts on; 0 = none */
	char	   *currency;
	char	   *payment_no;		/* NULL = none */
	char	   *channel_payment_id; /* NULL = not recorded */
	char	   *merchant_no;
	bool		may_send;
	bool		cancel_requested;	/* the channel is asked to give it up */
	bool		unapproved;		/* a second person has to agree, and has not */
	bool		held;			/* an operator holds it, or resolves it */
	bool		unproven;		/* it was ended without proof that it was not paid */
	bool		on_hold;		/* its payment or account is */
	int			reissues;		/* how many numbers it had before this one */
	FailureOverride override;	/* what its own policy says in place of the channel's */
	int			attempts;
	int64		first_attempt_at;
	/* changing */
	State		state;
	char	   *detail;
	int64		state_since;
	int64		due_at;			/* 0 = none */
	char	   *due_call;		/* submit, query, NULL */
	int			polls;
	int			unexplained;
	int			generation;
	int			retries;		/* how often the same number was to be sent once more */
	char	   *refusal;
	int64		last_attempt_at;
	char	   *person_reason;
	char	   *person_suggestion;
	int64		person_since;
	bool		has_payer_amount;
	int64		payer_amount;
	char	   *channel_refund_id;
	char	   *received_by;
	bool		lift_hold;		/* its own hold is over */
} Instruction;

/* One row of refundx.evidence, without its raw bytes. */
typedef struct EvidenceFacts
{
	int64		evidence_id;
	int32		channel_id;
	int32		merchant_id;
	char	   *source;
	ProductKind about;
	Verdict		verdict;
	bool		proof;
	char	   *wire_no;
	bool		former;			/* a number that the instruction had before */
	int64		attempt_started_at;
	int64		received_at;
	char	   *code;
	char	   *message;
	char	   *detail;
	char	   *merchant_no;
	char	   *payment_no;
	char	   *channel_payment_id;
	char	   *channel_refund_id;
	bool		has_amount;
	int64		amount;
	bool		has_payer_amount;
	int64		payer_amount;
	char	   *currency;
	int			retry_after;
} EvidenceFacts;

/* What weighing came to: one event row. */
typedef struct Decision
{
	const char *type;			/* moved, noted, asked, contradiction, mismatch */
	State		from;
	State		to;
	Effect		effect;
	char	   *note;
	bool		hold;			/* put the payment and the account on hold */
	bool		reissue;		/* give it another number, at the end of the batch */
	bool		ask_user;		/* tell whom it pays that it is stopped */
} Decision;

/*
 * Weigh evidence against an instruction as of `now`; changes *i in memory and
 * says what must be written.  Touches no table.
 */
extern void weigh(Instruction *i, const EvidenceFacts *e, const Timing *timing,
				  int64 now, Decision *d);

/* When an open instruction in this state is asked about next. */
extern int64 poll_due(const Timing *timing, State state, int polls, int64 now);

#endif							/* REFUNDX_WEIGH_H */
