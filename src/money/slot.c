/*-------------------------------------------------------------------------
 *
 * slot.c
 *	  An account's balance, spread over several rows.
 *
 * A lock is held until the commit has been flushed, so one account's row takes
 * no more freezes a second than the disk takes flushes in a row.  An account
 * that was opened with slots has as many rows, each with a journal, a balance
 * and a lock of its own, and a freeze takes a row that nobody has just now.
 *
 * What this must survive:
 *
 * - No slot has enough, all together have: then all are locked, in the order of
 *	 their numbers, and what is available is moved (slot_out, slot_in) into one
 *	 of them.  The account's own row is the first: who has it may wait for any.
 * - Two callers do so at once: neither may hold a slot while it waits for
 *	 another out of order.  A row's lock can only be given back by rolling back
 *	 what took it, so whatever may turn out to be of no use is locked in a
 *	 subtransaction.  (A caller who charges one account several times in a
 *	 transaction holds what it has charged, as with several accounts; then the
 *	 deadlock detector may have to decide.)
 * - The last coin: nobody is refused what the account has.  Before RX004 every
 *	 slot has been locked and read.
 *
 * src/money/slot.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/journal.h"

#include "access/xact.h"
#include "base/relation.h"
#include "common/int.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

/* An account and its slots: id[0] is its own row. */
typedef struct Slots
{
	int64		account_id;		/* 0: nothing is remembered here */
	int			n;
	int64	   *id;
} Slots;

/* ------------------------------------------------------------------------
 * Which slots an account has
 *
 * That never changes, so a backend remembers it, of as many accounts as have
 * room.  Not of one that this very transaction has opened, for that may yet be
 * rolled back; and not beyond the table itself, for DROP and CREATE EXTENSION
 * make another one, with other accounts of the same keys.  Of an account without
 * slots, which are most, nothing is remembered: its key tells.
 * ------------------------------------------------------------------------
 */
#define REMEMBERED	64

static Slots *remembered = NULL;

static Slots *
place_of(int64 account_id)
{
	static Oid	relid = InvalidOid;
	int			i;

	if (remembered == NULL)
		remembered = MemoryContextAllocZero(TopMemoryContext, REMEMBERED * sizeof(Slots));
	if (relid != relation_oid("account"))
	{
		for (i = 0; i < REMEMBERED; i++)
			remembered[i].account_id = 0;
		relid = relation_oid("account");
	}
	return &remembered[-account_id % REMEMBERED];
}

/* The account's own row and the others, by their slot number. */
static int64 *
read_slots(int64 account_id, int n)
{
	static Statement find = {
		"SELECT account_id FROM refundx.account WHERE slot_of = $1 ORDER BY slot", ARGS(INT8OID)
	};
	int64	   *id = palloc(n * sizeof(int64));
	Values		v = {0};
	int			i;

	values_int8(&v, account_id);
	if (statement_run(&find, &v) != (uint64) n - 1)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("account %lld has slots that this transaction's snapshot does not see",
						(long long) account_id),
				 errhint("Retry the transaction.")));
	id[0] = account_id;
	for (i = 1; i < n; i++)
		id[i] = row_int8(i - 1, 1);
	return id;
}

static void
remember(Slots *place, const Slots *s)
{
	place->account_id = 0;
	if (place->id != NULL)
		pfree(place->id);
	place->id = NULL;			/* if the next line fails */
	place->id = MemoryContextAlloc(TopMemoryContext, s->n * sizeof(int64));
	memcpy(place->id, s->id, s->n * sizeof(int64));
	place->n = s->n;
	place->account_id = s->account_id;
}

/* Of an account that has them. */
static Slots
slots_of(int64 account_id)
{
	Slots	   *place = place_of(account_id);
	Slots		s = {account_id};
	AccountRow	row;

	if (place->account_id == account_id)
		return *place;
	if (!journal_account_row(account_id, JOURNAL_LOCK_NOT, &row))
		elog(ERROR, "account %lld vanished", (long long) account_id);
	s.n = row.slots;
	s.id = read_slots(account_id, s.n);
	if (!row.ours)
		remember(place, &s);
	return s;
}

/*
 * FNV-1a.  Not one of the server's hash functions: they may change with its
 * version, and a reference must find its slot after an upgrade or a restore.
 */
static uint32
hash_reference(const char *reference)
{
	uint32		h = 2166136261U;

	for (; *reference != '\0'; reference++)
		h = (h ^ (unsigned char) *reference) * 16777619U;
	return h ^ (h >> 16);		/* its low bits alone are not spread as well */
}

int64
journal_home_slot(int64 account_id, const char *reference)
{
	Slots		s;

	if (!journal_has_slots(account_id))
		return account_id;
	s = slots_of(account_id);
	return s.id[hash_reference(reference) % s.n];
}

/* ------------------------------------------------------------------------
 * Locking a slot that has enough
 * ------------------------------------------------------------------------
 */

static bool
lock_with(int64 slot_id, int64 amount, JournalLock how)
{
	AccountRow	row;
	AccountBalance balance;

	if (!journal_account_row(slot_id, how, &row))
		return false;
	journal_newest_line(slot_id, &balance);
	return balance.available >= amount;
}

/*
 * The same, in a subtransaction: if the slot is of no use, its lock is given
 * back.  An ERROR has to end the subtransaction too, for whoever catches it
 * knows of none.
 */
static bool
lock_with_or_leave(int64 slot_id, int64 amount, JournalLock how)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool enough = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		enough = lock_with(slot_id, amount, how);
		if (enough)
			ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		ReThrowError(error);
	}
	PG_END_TRY();
	if (!enough)
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return enough;
}

bool
journal_lock_with(int64 slot_id, int64 amount)
{
	return lock_with_or_leave(slot_id, amount, JOURNAL_LOCK_WAIT);
}

#define PLENTY	16				/* times the amount */

/*
 * A slot that has enough by its newest line, and that nobody has locked; 0 if
 * there is none.  *locked is one that has enough and is locked, 0 if none;
 * each backend begins with another slot, and *first_is_poor says of that one
 * that it has not enough.
 *
 * Between looking and locking somebody may have taken what was there.  To be
 * able to give the lock back then costs a subtransaction, and with it a
 * transaction number; where there is plenty we do without.
 */
static int64
free_slot_with(const Slots *s, int64 amount, int64 *locked, bool *first_is_poor)
{
	int			first = compat_my_procno() % s->n;
	int			i;

	*locked = 0;
	for (i = 0; i < s->n; i++)
	{
		int64		id = s->id[(first + i) % s->n];
		AccountBalance balance;
		bool		ok;

		journal_newest_line(id, &balance);
		if (i == 0)
			*first_is_poor = balance.available < amount;
		if (balance.available < amount)
			continue;
		if (balance.available / PLENTY > amount)
			ok = lock_with(id, amount, JOURNAL_LOCK_FREE);
		else
			ok = lock_with_or_leave(id, amount, JOURNAL_LOCK_FREE);
		if (ok)
			return id;
		if (*locked == 0)
			*locked = id;
	}
	return 0;
}

/*
 * We have this slot, but have waited for it, or have looked in vain where we
 * look first: so half of what is here is moved to one that is free and has
 * less, for the next one not to do the same.  One large credit comes to one slot, and is
 * spread over all of them in this way, as far as there are clients for it.
 * Unless half is not times the amount: then it would be moved again soon.
 * Nobody is waited for; returns the slot to charge.
 */
static int64
spread(const Slots *s, int64 slot_id, int64 amount, int64 times)
{
	int			first = compat_my_procno() % s->n;
	AccountBalance from;
	AccountBalance to;
	AccountRow	row;
	int64		half;
	int			i;

	journal_newest_line(slot_id, &from);
	half = from.available / 2;
	if (half / times < amount)
		return slot_id;
	for (i = 0; i < s->n; i++)
	{
		int64		id = s->id[(first + i) % s->n];

		if (id == slot_id)
			continue;
		journal_newest_line(id, &to);
		if (to.available >= half || !journal_account_row(id, JOURNAL_LOCK_FREE, &row))
			continue;
		journal_newest_line(id, &to);
		journal_append(&from, JOURNAL_SLOT_OUT, half, 0, NULL, NULL);
		journal_append(&to, JOURNAL_SLOT_IN, half, 0, NULL, NULL);
		return id;
	}
	return slot_id;
}

int64
journal_choose_slot(int64 account_id, int64 amount)
{
	Slots		s;
	int			tries;
	int64		locked;
	int64		id;
	bool		first_is_poor;

	if (!journal_has_slots(account_id))
		return account_id;
	s = slots_of(account_id);

	/* whoever we have waited for may have left too little: so look again */
	for (tries = 0; tries < s.n; tries++)
	{
		id = free_slot_with(&s, amount, &locked, &first_is_poor);
		if (id != 0)
			return first_is_poor ? spread(&s, id, amount, PLENTY) : id;
		if (locked == 0)
			break;
		if (lock_with_or_leave(locked, amount, JOURNAL_LOCK_WAIT))
			return spread(&s, locked, amount, 1);
	}
	journal_lock_slots(account_id);
	return journal_gather(account_id, 0, amount);
}

/* ------------------------------------------------------------------------
 * Moving money between slots
 * ------------------------------------------------------------------------
 */

void
journal_lock_slots(int64 account_id)
{
	Slots		s = slots_of(account_id);
	AccountRow	row;
	int			i;

	for (i = 0; i < s.n; i++)
	{
		if (!journal_account_row(s.id[i], JOURNAL_LOCK_WAIT, &row))
			elog(ERROR, "account %lld vanished", (long long) s.id[i]);
		journal_refuse(&row, JOURNAL_SLOT_OUT);
	}
}

/* The most available first. */
static int
compare_available(const void *a, const void *b)
{
	int64		x = ((const AccountBalance *) a)->available;
	int64		y = ((const AccountBalance *) b)->available;

	return x > y ? -1 : x < y ? 1 : 0;
}

int64
journal_gather(int64 account_id, int64 slot_id, int64 amount)
{
	Slots		s = slots_of(account_id);
	AccountBalance *b = palloc(s.n * sizeof(AccountBalance));
	AccountBalance *into = NULL;
	int64		missing;
	int64		others = 0;
	int			i;

	for (i = 0; i < s.n; i++)
		journal_newest_line(s.id[i], &b[i]);
	qsort(b, s.n, sizeof(AccountBalance), compare_available);
	for (i = 0; i < s.n; i++)
		if (into == NULL && (slot_id == 0 || b[i].account_id == slot_id))
			into = &b[i];
		else if (pg_add_s64_overflow(others, b[i].available, &others))
			others = PG_INT64_MAX;
	if (into == NULL)
		elog(ERROR, "account %lld has no slot %lld", (long long) account_id, (long long) slot_id);
	slot_id = into->account_id;
	missing = amount - into->available;
	if (missing > others)
		journal_complain(account_id, JOURNAL_FREEZE, amount);
	if (missing <= 0)
		return slot_id;

	amount = missing;
	for (i = 0; i < s.n && missing > 0; i++)
	{
		int64		part = Min(missing, b[i].available);

		if (&b[i] == into || part == 0)
			continue;
		journal_append(&b[i], JOURNAL_SLOT_OUT, part, 0, NULL, NULL);
		missing -= part;
	}
	journal_append(into, JOURNAL_SLOT_IN, amount, 0, NULL, NULL);
	return slot_id;
}
