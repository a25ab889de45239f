/*-------------------------------------------------------------------------
 *
 * instruction.h
 *	  A new instruction: what submitting a refund and a withdrawal share.
 *
 * src/money/instruction.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_INSTRUCTION_H
#define REFUNDX_INSTRUCTION_H

#include "base/sql.h"
#include "channel/channel.h"
#include "money/state.h"

typedef struct NewInstruction
{
	ProductKind kind;
	const char *number;
	int32		channel_id;
	int32		merchant_id;
	int64		payment_id;		/* 0 = none */
	int64		account_id;		/* 0 = none */
	int64		amount;			/* minor units: what the payee gets */
	int64		fee;
	const char *currency;
	const char *reason;			/* or NULL */
	State		state;			/* queued, unknown (adopted), awaiting_approval */
	bool		may_send;

	/* what the row got besides */
	int64		instruction_id;
	TimestampTz due_at;			/* 0 = none */
	TimestampTz state_since;
	TimestampTz submitted_at;
} NewInstruction;

/*
 * Is there an instruction of this number, in what is committed by now or has been
 * written by this transaction?
 */
extern bool instruction_number_exists(const char *number);

/* Is there any from `low` to `high`, in the order of bytes? */
extern bool instruction_numbers_exist_between(const char *low, const char *high);

/* ERROR 40001 if the number has just been taken by somebody we cannot see. */
extern void instruction_insert(NewInstruction *i);

/* ERROR 40001: the number is there, and this transaction cannot see it. */
extern void instruction_number_taken(const char *number) pg_attribute_noreturn();

/*
 * Queued, but nobody will send it: a WARNING, once per session, where a newcomer
 * sees it.
 */
extern void nobody_serves_warning(void);

#endif							/* REFUNDX_INSTRUCTION_H */
