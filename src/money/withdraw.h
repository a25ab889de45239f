/*-------------------------------------------------------------------------
 *
 * withdraw.h
 *	  What the files of a withdrawal's submit share.
 *
 * src/money/withdraw.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_WITHDRAW_H
#define REFUNDX_WITHDRAW_H

#include "money/channel_facts.h"
#include "money/instruction.h"
#include "money/journal.h"
#include "money/money.h"
#include "money/payee.h"
#include "money/policy.h"
#include "utils/jsonb.h"

/* What a caller says of a withdrawal; NULL is "not said". */
typedef struct WithdrawWords
{
	const char *account_no;
	const char *withdrawal_no;
	int64		amount;			/* asked for, minor units */
	const char *channel;
	const char *payee;			/* JSON text: never in a message */
	const char *reason;
	const char *contact;		/* a telephone number: never in a message */
	const char *language;
	const char *transfer_data;	/* JSON text */
	Jsonb	   *guards;			/* rows to lock; NULL: none */
	int			place;			/* in a list */
	bool		repeated;		/* its number is there more than once */
	bool		is_new;			/* it has been looked for: there is none of its number */
} WithdrawWords;

/* What becomes of them. */
typedef struct Withdrawal
{
	NewInstruction in;
	const Channel *channel;
	const ChannelProduct *product;
	bool		has_defaults;
	int64		account_id;		/* the account's own; in.account_id may be a slot */
	ItemPointerData account_at; /* where its row was seen */
	ChannelInstruction instr;
	SealedPayee payee;
	int64		payee_id;
	Policy		policy;
	char	   *approval;
	bool		capped;
	int32		capped_on;		/* DateADT */
} Withdrawal;

/* What the withdrawals of a list have in common. */
typedef struct WithdrawBatch
{
	AccountBalance balance;		/* of the account that was charged last, which is locked */
	char		account_no[PAYMENT_NO_MAX + 1]; /* what was found last: it never changes */
	int64		account_id;
	ItemPointerData account_at;
	char		currency[4];
} WithdrawBatch;

/* With SPI connected. */
extern bool withdraw_one(const WithdrawWords *w, Withdrawal *d, WithdrawBatch *batch);

#endif							/* REFUNDX_WITHDRAW_H */
