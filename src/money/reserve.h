/*-------------------------------------------------------------------------
 *
 * reserve.h
 *	  Reserving the amount of a refund in its payment.
 *
 * src/money/reserve.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_RESERVE_H
#define REFUNDX_RESERVE_H

#include "money/money.h"

/* What a caller says of a refund. */
typedef struct RefundWords
{
	PaymentWords payment;		/* amount 0: the payment is known already */
	const char *refund_no;
	int64		amount;
	const char *reason;
	bool		adopt;			/* under way already: ask, do not send */
} RefundWords;

/* The payment's row after the reservation. */
typedef struct Reserved
{
	int64		payment_id;
	int32		channel_id;
	int32		merchant_id;
	int64		account_id;		/* 0 = none */
	char	   *currency;
	const Channel *channel;
	ChannelInstruction instr;
} Reserved;

/*
 * Lock the payment and reserve the amount; false if there is no such payment
 * or it does not have the amount left, or is on hold.  40001 where the
 * transaction's snapshot does not see the payment as it is now.
 */
extern bool reserve(const RefundWords *w, Reserved *r);

/* Find out why nothing could be reserved, and say it. */
extern void reserve_complain(const RefundWords *w);

/* Take back this call's own reservation; the row is still locked. */
extern void unreserve(const RefundWords *w, const Reserved *r);

#endif							/* REFUNDX_RESERVE_H */
