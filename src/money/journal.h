/*-------------------------------------------------------------------------
 *
 * journal.h
 *	  Accounts and their journal (流水).
 *
 * src/money/journal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_JOURNAL_H
#define REFUNDX_JOURNAL_H

#include "base/sql.h"
#include "money/state.h"

typedef enum JournalType
{
	JOURNAL_CREDIT,				/* outside -> available */
	JOURNAL_DEBIT,				/* available -> outside */
	JOURNAL_FREEZE,				/* available -> frozen */
	JOURNAL_RELEASE,			/* frozen -> available */
	JOURNAL_PAY_OUT,			/* frozen -> outside */
	JOURNAL_RETURN				/* outside -> available */
} JournalType;

/*
 * Post one line in the caller's transaction: locks the account, reads its
 * newest line with the latest snapshot, writes the next.  ERROR RX004, saying
 * what is available, if the account does not have it.  Above READ COMMITTED a
 * concurrent line is a serialization failure (40001), as for any UPDATE.
 * instruction_id 0 = none; reference NULL = none.
 */
extern void journal_post(int64 account_id, JournalType type, int64 amount,
						 int64 instruction_id, const char *reference, const char *note);

/* ---- in sets, for the settler ---- */

typedef struct AccountBalance
{
	int64		account_id;
	int64		version;
	int64		available;
	int64		frozen;
} AccountBalance;

/*
 * Lock these accounts, passing over those that somebody else holds; returns
 * how many were locked and fills balances, ordered by account_id.
 */
extern int	journal_lock_many(Column *account_ids, AccountBalance **balances);

typedef struct JournalBatch
{
	Column		account_id,
				version,
				type,
				instruction_id,
				d_available,
				d_frozen,
				d_outside,
				available,
				frozen;
} JournalBatch;

extern void journal_batch_init(JournalBatch *batch);

/* Append the line of an effect, and move the balance in memory. */
extern void journal_batch_add(JournalBatch *batch, AccountBalance *balance, JournalType type,
							  int64 amount, int64 instruction_id);
extern void journal_batch_write(JournalBatch *batch);

extern const char *journal_type_name(JournalType type);

/* Which line an effect of the state table is; false if it posts nothing. */
extern bool journal_type_of_effect(Effect effect, JournalType *type);

#endif							/* REFUNDX_JOURNAL_H */
