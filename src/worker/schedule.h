/*-------------------------------------------------------------------------
 *
 * schedule.h
 *	  When each open instruction is due, and whether it may go now.
 *
 * src/worker/schedule.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_SCHEDULE_H
#define REFUNDX_SCHEDULE_H

#include "base/pace.h"
#include "base/pg_compat.h"
#include "channel/channel.h"
#include "datatype/timestamp.h"
#include "lib/pairingheap.h"
#include "money/state.h"
#include "worker/breaker.h"

/* An instruction that is due at some time: a line of the dispatcher's heap. */
typedef struct Due
{
	int64		instruction_id; /* hash key, first */
	pairingheap_node node;
	bool		queued;			/* is in its lane's heap */
	TimestampTz due_at;
	ProductKind product;
	ChannelCall call;
	State		state;
	State		state_before;	/* of a submit under way: if nothing comes of it */
	int32		merchant_id;
	int32		channel_id;
	int64		payment_id;
	bool		in_flight;		/* a call of ours is under way */
	ChannelCall under_way;		/* and which: what is due next may change meanwhile */
	TimestampTz began_at;		/* of that call */
} Due;

/* CALL_SUBMIT, CALL_QUERY, CALL_CANCEL, CALL_ABNORMAL */
#define LANE_COUNT	(CALL_ABNORMAL + 1)

/* What is due of one merchant and one call, earliest first. */
typedef struct Lane
{
	pairingheap *heap;
	TimestampTz blocked_until;	/* the merchant's pace allows none before */
	Breaker		errors;			/* opens on a burst of them */
} Lane;

/* Of a merchant's refunds, or of its transfers. */
typedef struct Pause
{
	bool		paused;
	TimestampTz probe_at;		/* while paused: when one may try */
	bool		probing;		/* that one is under way */
} Pause;

/*
 * A merchant's pace, as this process keeps it.  What the channel counts, which is
 * over all databases, is in `pace`.
 */
typedef struct MerchantPace
{
	int32		merchant_id;	/* hash key, first */
	Pace	   *pace;			/* NULL until the merchant has been read */
	Lane		lane[PRODUCT_COUNT][LANE_COUNT];	/* by what it does, and call */
	Pause		pause[PRODUCT_COUNT];
	double		tokens;			/* calls that may begin now */
	TimestampTz tokens_at;		/* when that was reckoned */
	int			calls_per_second;	/* the channel's limit, as last seen */
	int			window;			/* calls that may be under way */
	int64		latency;		/* of an answer, smoothed, in microseconds */
	int			in_flight;
	Breaker		silence;		/* opens when no call is answered any more */
	BreakerSettings breaker[PRODUCT_COUNT]; /* of its lanes */
	int			own_rate[PRODUCT_COUNT];	/* calls a second that we allow; 0 = as the channel */
	int64		scale;			/* of the sandbox's clock, as last seen */
} MerchantPace;

/* One payment's refunds: one at a time until answered, and a minute apart. */
typedef struct PaymentPace
{
	int64		payment_id;		/* hash key, first */
	TimestampTz last_start;
	int64		last_instruction;
	int			undecided;		/* of its refunds, in sending or unknown */
	int			refunds;		/* of its refunds, in the schedule */
} PaymentPace;

extern void schedule_init(int database);	/* its slot */
extern void schedule_clear(void);

/* Enter or move an instruction; not open = forget it. */
extern void schedule_set(int64 instruction_id, ProductKind product, State state, bool is_open,
						 ChannelCall call, TimestampTz due_at, int32 merchant_id, int32 channel_id,
						 int64 payment_id);
extern void schedule_merchant(int32 merchant_id, const char *kind, const char *merchant_no);
extern void schedule_settings(int32 merchant_id, ProductKind product, int calls_per_second,
							  const BreakerSettings *breaker);
extern void schedule_pause(int32 merchant_id, ProductKind product, bool paused, TimestampTz probe_at);

/*
 * A refund of the payment was started then, or answered.  Nothing if none of its
 * refunds is in the schedule.
 */
extern void schedule_payment_started(int64 payment_id, int64 instruction_id, TimestampTz at);

/*
 * The next one that is due now and may go now by every pace; it is taken out
 * of the schedule, and limits are asked per channel.  NULL if there is none.
 */
extern Due *schedule_next(TimestampTz now,
						  const ChannelLimits *(*limits_of) (int32 channel_id, ProductKind product),
						  int64 scale_of(int32 channel_id));

/*
 * How many calls one merchant may have under way: a share, so that a channel
 * that hangs does not take all connections.
 */
extern void schedule_share(int calls);

/* How many merchants do not answer at all. */
extern int	schedule_silent(void);

/* Which breaker: of a merchant's silence, or of the errors of one kind of call. */
typedef struct BreakerPlace
{
	int32		merchant_id;
	bool		silence;
	ProductKind product;
	ChannelCall call;
} BreakerPlace;

extern Breaker *schedule_breaker(const BreakerPlace *place);

/* For each that has changed since schedule_breakers_written(); true if there is one. */
extern bool schedule_breakers_changed(void (*each) (const BreakerPlace *place, const Breaker *b));
extern void schedule_breakers_written(void);

extern Due *schedule_find(int64 instruction_id);
extern void schedule_again(Due *due, TimestampTz due_at);	/* back into the schedule */
extern void schedule_call_began(Due *due, TimestampTz now);

/* Another request of the same call. */
extern void schedule_call_goes_on(Due *due, TimestampTz now);

extern void schedule_call_ended(Due *due, const CallOutcome *outcome, TimestampTz now);

/* It was not made after all: as before, and due again later. */
extern void schedule_call_undone(Due *due, TimestampTz later);

/*
 * A call that is of no instruction (a bill): may it begin by the merchant's pace?  0 =
 * yes, and it is followed by schedule_other_ended(); otherwise when to ask again.
 */
extern TimestampTz schedule_other_begins(int32 merchant_id, const ChannelLimits *limits, TimestampTz now);
extern void schedule_other_goes_on(int32 merchant_id, TimestampTz now);	/* another request of it */
extern void schedule_other_ended(int32 merchant_id, bool failing, TimestampTz now);

extern TimestampTz schedule_first(void);	/* when the first is due; 0 = none */
extern int64 schedule_count(void);

#endif							/* REFUNDX_SCHEDULE_H */
