/*-------------------------------------------------------------------------
 *
 * settle.h
 *	  A batch of evidence on its way through settle.c and settle_write.c.
 *
 * src/money/settle.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_SETTLE_H
#define REFUNDX_SETTLE_H

#include "money/journal.h"
#include "money/weigh.h"

typedef enum PieceState
{
	PIECE_WAITING,				/* somebody else holds a row that it needs */
	PIECE_WEIGHED,
	PIECE_UNKNOWN_NUMBER,
	PIECE_PAYMENT_HINT,			/* names a payment, and no refund of it */
	PIECE_HANDED				/* a handler follows what it brings: the runner's */
} PieceState;

/* One piece of evidence. */
typedef struct Piece
{
	EvidenceFacts facts;
	int64		instruction_id; /* 0 = we have no such number */
	int64		payment_id;
	PieceState	state;
} Piece;

/* What a batch does to one locked payment.  Sorted by the key, which is first. */
typedef struct PaymentDelta
{
	int64		payment_id;
	bool		touched;
	int64		refunding;
	int64		refunded;
	int64		returned;
	int64		overpaid;
	int			parts;
	int64		left;			/* what can still be refunded */
} PaymentDelta;

/* One locked instruction.  Sorted by the key, which is first. */
typedef struct Subject
{
	int64		instruction_id;
	Instruction row;
	bool		touched;
	bool		hold;
	bool		reissue;		/* its failure policy wants another number for it */
	bool		needs_account;
	bool		handed;			/* to the runner, and so is what comes after */
} Subject;

typedef struct ChannelTiming
{
	int64		channel_id;		/* key, first */
	Timing		timing[PRODUCT_COUNT];
} ChannelTiming;

typedef struct Batch
{
	int64		now;
	Piece	   *pieces;			/* in order of arrival */
	int			npieces;
	Decision   *decisions;		/* one per piece */
	PaymentDelta *payments;
	int			npayments;
	Subject    *subjects;
	int			nsubjects;
	AccountBalance *balances;
	int			nbalances;
	JournalBatch journal;
	bool		journal_begun;
	int64		suspense_id;	/* of the merchant and currency of what was paid late; 0 =
								 * nothing was */
	ChannelTiming *timings;
	int			ntimings;
	int			moves;
	bool		for_runner;		/* which settles what handlers follow */
} Batch;

/* timing.c */
extern void timings_load(Batch *b);
extern const Timing *timing_of(const Batch *b, int32 channel_id, ProductKind product);

/* One for each product that the channel has. */
extern void timings_from_config(Timing timing[PRODUCT_COUNT], const Channel *channel,
								const char *config_json);

/* settle_write.c */
extern void settle_write(Batch *b);

#endif							/* REFUNDX_SETTLE_H */
