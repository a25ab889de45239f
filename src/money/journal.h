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
#include "storage/itemptr.h"

typedef enum JournalType
{
	JOURNAL_CREDIT,				/* outside -> available */
	JOURNAL_DEBIT,				/* available -> outside */
	JOURNAL_FREEZE,				/* available -> frozen */
	JOURNAL_RELEASE,			/* frozen -> available */
	JOURNAL_PAY_OUT,			/* frozen -> outside */
	JOURNAL_RETURN,				/* outside -> available */
	JOURNAL_FEE,				/* frozen -> outside: what the merchant keeps of an
								 * instruction */
	JOURNAL_FEE_RETURN,			/* outside -> available */
	JOURNAL_SLOT_OUT,			/* available -> outside, and there ... */
	JOURNAL_SLOT_IN,			/* ... -> available of another slot of the account */
	JOURNAL_PAY_LATE,			/* available -> outside: it had been released, and was
								 * paid after all */
	JOURNAL_SUSPENSE,			/* available -> outside, of a suspense account: what the
								 * account of that one did not have; it may go below zero */
	JOURNAL_SUSPENSE_IN			/* outside -> available of a suspense account: settled */
} JournalType;

typedef struct AccountBalance
{
	int64		account_id;
	int64		version;
	int64		available;
	int64		frozen;
} AccountBalance;

/*
 * Post one line in the caller's transaction: locks the account, reads its
 * newest line with the latest snapshot, writes the next.  ERROR RX004, saying
 * what is available, if the account does not have it; RX007 if it is on hold;
 * RX019 if it is closed, and this is not about an instruction that is open.
 * Above READ COMMITTED a concurrent line is a serialization failure (40001),
 * as for any UPDATE.  instruction_id 0 = none; reference NULL = none.
 *
 * account_id is an account's, or one of its slots': the line is that row's.
 */
extern void journal_post(int64 account_id, JournalType type, int64 amount,
						 int64 instruction_id, const char *reference, const char *note);

/*
 * Its first half: lock the account, and read its newest line.  While the lock is
 * held, journal_append() may write any number of lines after it.  seen_at: where
 * this statement has seen a version of the account's row, which saves looking for
 * it again; or NULL.
 */
extern void journal_lock(int64 account_id, ItemPointer seen_at, JournalType type, int64 amount, AccountBalance *balance);

/* ---- slots of an account (slot.c) ---- */

/*
 * Which row of an account a freeze of this amount is charged to: the account's
 * own, unless it was opened with slots.  Then the row that is returned is
 * locked already and has the amount, where the account has it at all; ERROR
 * as from journal_post if not.  Call it right before what names the row, for
 * the sake of how long the lock is held, and post the freeze to what it
 * returns.  account_id must be an account's own.
 */
extern int64 journal_choose_slot(int64 account_id, int64 amount);

/* Was it opened with more than one?  Its key says so. */
#define journal_has_slots(account_id)	((account_id) < 0)

/*
 * The slot to which lines with this reference go, always the same one, so that
 * a repeated reference meets its first line.
 */
extern int64 journal_home_slot(int64 account_id, const char *reference);

/*
 * Lock that slot and see that it has the amount: true.  False, and not
 * locked, if it has not.  Waits for whoever has it.
 */
extern bool journal_lock_with(int64 slot_id, int64 amount);

/*
 * Lock all slots of an account, in the order of their numbers, of which its own
 * row is the first.  The caller holds none of the others, or the deadlock
 * detector may have to decide.
 */
extern void journal_lock_slots(int64 account_id);

/*
 * The slots are locked: move what is available among them until slot_id has
 * the amount; 0 = whichever needs the least moving.  Returns it.  ERROR RX004 if all
 * together have not enough.
 */
extern int64 journal_gather(int64 account_id, int64 slot_id, int64 amount);

/* ---- for slot.c: one row of an account, without a plan ---- */

typedef enum JournalLock
{
	JOURNAL_LOCK_NOT,			/* only look */
	JOURNAL_LOCK_FREE,			/* unless somebody else has it */
	JOURNAL_LOCK_WAIT
} JournalLock;

typedef struct AccountRow
{
	char	   *account_no;		/* NULL for a slot */
	int64		slot_of;		/* 0: an account's own row */
	int32		slots;
	char	   *hold;			/* NULL = none */
	char	   *closed;
	bool		ours;			/* written by this very transaction */
} AccountRow;

/* False if there is no such row, or it is not to be had. */
extern bool journal_account_row(int64 account_id, JournalLock lock, AccountRow *row);

/* ERROR RX007 or RX019 if the row, which is locked, may not be posted to. */
extern void journal_refuse(const AccountRow *row, JournalType type);
extern void journal_newest_line(int64 account_id, AccountBalance *balance);

/* Write the line that comes after the balance, which it moves. */
extern void journal_append(AccountBalance *balance, JournalType type, int64 amount,
						   int64 instruction_id, const char *reference, const char *note);

/* The ERROR for what the account (or slot) cannot do; says what it has. */
extern void journal_complain(int64 account_id, JournalType type, int64 amount)
			pg_attribute_noreturn();

/* ---- in sets, for the settler ---- */

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

/* Does a line of the type of this name (len bytes) move an amount like this? */
extern bool journal_type_moves(const char *name, size_t len, int64 available, int64 frozen,
							   int64 outside);

/* Which line an effect of the state table is; false if it posts nothing. */
extern bool journal_type_of_effect(Effect effect, JournalType *type);

#endif							/* REFUNDX_JOURNAL_H */
