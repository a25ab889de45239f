/*-------------------------------------------------------------------------
 *
 * journal.c
 *	  Accounts and their journal (流水): append-only, double entry.
 *
 * The account's row is a lock and is never updated; the balance is the
 * account's newest line.  Updating a hot row would leave a dead version each
 * time, and while anything holds back the xmin horizon (a pg_dump is enough)
 * each reader walks them all.
 *
 * A line is written under the account's lock, and says what was there before
 * it by its version: (account, version) is the key, so two lines can never
 * continue from the same one, whatever is wrong above this file.
 *
 * "Account" is here a row of the table: an account's own, or a further slot of
 * it, which has a journal of its own.  slot.c chooses among them.
 *
 * src/money/journal.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/journal.h"
#include "money/money.h"
#include "money/stop.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "base/errors.h"
#include "base/relation.h"
#include "base/row_find.h"
#include "base/row_list.h"
#include "common/int.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* How a type moves an amount: (available, frozen, outside), each -1, 0, 1. */
static const struct
{
	const char *name;
	int			available;
	int			frozen;
	int			outside;
}			types[] = {
	[JOURNAL_CREDIT] = {"credit", 1, 0, -1},
	[JOURNAL_DEBIT] = {"debit", -1, 0, 1},
	[JOURNAL_FREEZE] = {"freeze", -1, 1, 0},
	[JOURNAL_RELEASE] = {"release", 1, -1, 0},
	[JOURNAL_PAY_OUT] = {"pay_out", 0, -1, 1},
	[JOURNAL_RETURN] = {"return", 1, 0, -1},
	[JOURNAL_FEE] = {"fee", 0, -1, 1},
	[JOURNAL_FEE_RETURN] = {"fee_return", 1, 0, -1},
	[JOURNAL_SLOT_OUT] = {"slot_out", -1, 0, 1},
	[JOURNAL_SLOT_IN] = {"slot_in", 1, 0, -1},
	[JOURNAL_PAY_LATE] = {"pay_late", -1, 0, 1},
	[JOURNAL_SUSPENSE] = {"suspense", -1, 0, 1},
	[JOURNAL_SUSPENSE_IN] = {"suspense_in", 1, 0, -1},
};

const char *
journal_type_name(JournalType type)
{
	return types[type].name;
}

bool
journal_type_moves(const char *name, size_t len, int64 available, int64 frozen, int64 outside)
{
	int			i;

	for (i = 0; i < lengthof(types); i++)
	{
		int64		amount;

		if (strlen(types[i].name) != len || memcmp(types[i].name, name, len) != 0)
			continue;
		/* one of the two moves in each type, by the amount */
		amount = types[i].available != 0 ? available : frozen;
		if (amount == PG_INT64_MIN)
			return false;
		amount *= types[i].available != 0 ? types[i].available : types[i].frozen;
		return amount > 0 && available == amount * types[i].available &&
			frozen == amount * types[i].frozen && outside == amount * types[i].outside;
	}
	return false;
}

bool
journal_type_of_effect(Effect effect, JournalType *type)
{
	switch (effect)
	{
		case EFFECT_PAY_OUT:
			*type = JOURNAL_PAY_OUT;
			return true;
		case EFFECT_RELEASE:
		case EFFECT_DIVERT:
			*type = JOURNAL_RELEASE;
			return true;
		case EFFECT_RETURN:
			*type = JOURNAL_RETURN;
			return true;
		case EFFECT_PAY_LATE:
			*type = JOURNAL_PAY_LATE;
			return true;
		case EFFECT_NONE:
			break;
	}
	return false;
}

/* Onto the next line; false if there is not enough, or too much for a bigint. */
static bool
balance_move(AccountBalance *balance, JournalType type, int64 amount)
{
	bool		overflow;

	balance->version++;
	overflow = pg_add_s64_overflow(balance->available, amount * types[type].available,
								   &balance->available);
	overflow |= pg_add_s64_overflow(balance->frozen, amount * types[type].frozen, &balance->frozen);
	return !overflow && balance->frozen >= 0 &&
		(balance->available >= 0 || type == JOURNAL_SUSPENSE || type == JOURNAL_SUSPENSE_IN);
}

/*
 * There is another line of the same version, or was enough after all when we
 * looked again: under the account's lock only an older snapshot explains that.
 */
static void
line_not_seen(int64 account_id)
{
	static Statement find = {
		"SELECT account_no FROM refundx.account"
		" WHERE account_id = (SELECT coalesce(slot_of, account_id) FROM refundx.account WHERE account_id = $1)",
		ARGS(INT8OID)
	};
	Values		v = {0};

	values_int8(&v, account_id);
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access to account \"%s\"",
					statement_run(&find, &v) == 1 ? row_text(0, 1) : "?"),
			 errdetail("Its journal has a line that this transaction's snapshot does not see."),
			 errhint("Retry the transaction.")));
}

static void
line_taken(TupleTableSlot *row)
{
	bool		isnull;
	int			account_id = SPI_fnumber(row->tts_tupleDescriptor, "account_id");

	line_not_seen(DatumGetInt64(slot_getattr(row, account_id, &isnull)));
}

/*
 * The account has not enough, or its balance would pass the range of bigint;
 * find out what there is, over all its slots, and say so.
 */
void
journal_complain(int64 account_id, JournalType type, int64 amount)
{
	static Statement balance = {
		"SELECT a.account_no, a.currency,"
		"       least(coalesce(sum(j.available), 0), 9223372036854775807)::bigint,"
		"       least(coalesce(sum(j.frozen), 0), 9223372036854775807)::bigint"
		"  FROM refundx.account a"
		"  JOIN refundx.account s ON s.account_id = a.account_id OR s.slot_of = a.account_id"
		"  LEFT JOIN LATERAL (SELECT available, frozen FROM refundx.journal"
		"                      WHERE account_id = s.account_id"
		"                      ORDER BY version DESC LIMIT 1) j ON true"
		" WHERE a.account_id = (SELECT coalesce(slot_of, account_id) FROM refundx.account WHERE account_id = $1)"
		" GROUP BY a.account_no, a.currency", ARGS(INT8OID)
	};
	Values		v = {0};
	char	   *account_no;
	char	   *currency;
	int64		available;
	int64		frozen;

	row_list_flush();			/* what this list has taken is told as well */
	values_int8(&v, account_id);
	if (statement_run(&balance, &v) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_RX_UNKNOWN_ACCOUNT),
				 errmsg("account %lld does not exist", (long long) account_id)));
	account_no = row_text(0, 1);
	currency = row_text(0, 2);
	available = row_int8(0, 3);
	frozen = row_int8(0, 4);

	if (types[type].available < 0 && available < amount)
		ereport(ERROR,
				(errcode(ERRCODE_RX_NOT_ENOUGH),
				 errmsg("account \"%s\" has not enough available", account_no),
				 errdetail("%lld %s (minor units) are needed; %lld are available and %lld are frozen.",
						   (long long) amount, currency, (long long) available, (long long) frozen),
				 errhint("Credit the account with refundx.account_credit(), or wait until what is frozen is settled.")));

	if (types[type].available > 0 && available > PG_INT64_MAX - amount)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("account \"%s\" cannot hold that much", account_no),
				 errdetail("%lld %s (minor units) are available, and another %lld are beyond the range of bigint.",
						   (long long) available, currency, (long long) amount)));

	line_not_seen(account_id);
	pg_unreachable();
}

/* ------------------------------------------------------------------------
 * One line, in a caller's transaction
 *
 * These do what
 *
 *		SELECT ... FROM refundx.account WHERE account_id = $1 FOR NO KEY UPDATE
 *		SELECT ... FROM refundx.journal WHERE account_id = $1
 *		 ORDER BY version DESC LIMIT 1
 *
 * would, without an executor for each: a submit has to be as cheap as it can,
 * and these are one row each, found by the primary key.
 * ------------------------------------------------------------------------
 */

/* Some columns of an account's row, found where the table's definition has them. */
static void
read_account(TupleTableSlot *slot, AccountRow *row)
{
	static Oid	relid = InvalidOid;
	static int	account_no,
				slot_of,
				slots,
				hold,
				closed;
	TupleDesc	desc = slot->tts_tupleDescriptor;
	bool		isnull;
	Datum		d;

	if (relid != relation_oid("account"))
	{
		account_no = SPI_fnumber(desc, "account_no");
		slot_of = SPI_fnumber(desc, "slot_of");
		slots = SPI_fnumber(desc, "slots");
		hold = SPI_fnumber(desc, "hold");
		closed = SPI_fnumber(desc, "closed");
		relid = relation_oid("account");
	}
	d = slot_getattr(slot, account_no, &isnull);
	row->account_no = isnull ? NULL : TextDatumGetCString(d);
	d = slot_getattr(slot, slot_of, &isnull);
	row->slot_of = isnull ? 0 : DatumGetInt64(d);
	row->slots = DatumGetInt32(slot_getattr(slot, slots, &isnull));
	d = slot_getattr(slot, hold, &isnull);
	row->hold = isnull ? NULL : TextDatumGetCString(d);
	d = slot_getattr(slot, closed, &isnull);
	row->closed = isnull ? NULL : TextDatumGetCString(d);
}

/*
 * Lock the version that is the newest once we have the lock: a hold that was
 * placed, or an account that was closed, while we waited counts.
 */
static bool
lock_version(Relation account, ItemPointer tid, Snapshot snapshot, JournalLock lock,
			 TupleTableSlot *slot)
{
	TM_FailureData failure;
	TM_Result	result;

	/* what an executor would say, on a standby too, before it locks a row */
	PreventCommandIfReadOnly("UPDATE");
	result = table_tuple_lock(account, tid, snapshot, slot, GetCurrentCommandId(false),
							  LockTupleNoKeyExclusive,
							  lock == JOURNAL_LOCK_FREE ? LockWaitSkip : LockWaitBlock,
							  TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure);
	if (result != TM_Ok && !(result == TM_WouldBlock && lock == JOURNAL_LOCK_FREE))
		elog(ERROR, "a row of refundx.account cannot be locked: %d", result);
	return result == TM_Ok;
}

/* The row of which a version is at tid.  False if somebody else has it, and we do not wait. */
static bool
account_row_at(ItemPointer tid, JournalLock lock, AccountRow *row)
{
	Relation	account = table_open(relation_oid("account"), RowShareLock);
	TupleTableSlot *slot = table_slot_create(account, NULL);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	bool		locked = lock_version(account, tid, snapshot, lock, slot);

	if (locked)
		read_account(slot, row);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	table_close(account, NoLock);
	return locked;
}

bool
journal_account_row(int64 account_id, JournalLock lock, AccountRow *row)
{
	static const RowKey by_id = {"account", "account_pkey", {{"account_id", F_INT8EQ}}};
	Datum		key = Int64GetDatum(account_id);
	HeapTuple	found = row_find(&by_id, &key);
	Relation	account;
	TupleTableSlot *slot;

	memset(row, 0, sizeof(*row));
	if (found == NULL)
		return false;
	row->ours = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(found->t_data));
	if (lock != JOURNAL_LOCK_NOT)
		return account_row_at(&found->t_self, lock, row);
	account = table_open(relation_oid("account"), AccessShareLock);
	slot = MakeSingleTupleTableSlot(RelationGetDescr(account), &TTSOpsHeapTuple);
	ExecStoreHeapTuple(found, slot, false);
	read_account(slot, row);
	ExecDropSingleTupleTableSlot(slot);
	table_close(account, AccessShareLock);
	return true;
}

/*
 * After a contradiction callers may put money in, and do nothing else; the
 * hold stands at the account's own row, and is read by slots with no lock: who
 * reads it before it is committed comes before it.  Who closes an account has
 * all its rows, so that one is the row's own.  It is closed to what is new; an
 * instruction that is open ends as it would.
 */
void
journal_refuse(const AccountRow *row, JournalType type)
{
	AccountRow	own = *row;

	if (row->slot_of != 0 && !journal_account_row(row->slot_of, JOURNAL_LOCK_NOT, &own))
		elog(ERROR, "account %lld vanished", (long long) row->slot_of);
	if (row->closed != NULL && (type == JOURNAL_CREDIT || types[type].available < 0))
		ereport(ERROR,
				(errcode(ERRCODE_RX_ACCOUNT_CLOSED),
				 errmsg("account \"%s\" is closed: %s", own.account_no, row->closed),
				 errdetail("What is open is still settled; nothing new is taken from it or put on it."),
				 errhint("An operator reopens it with refundx.account_reopen().")));
	if (own.hold != NULL && type != JOURNAL_CREDIT)
		ereport(ERROR,
				(errcode(ERRCODE_RX_ON_HOLD),
				 errmsg("account \"%s\" is on hold: %s", own.account_no, own.hold),
				 errdetail("Nothing is taken from it until an operator has resolved this.")));
	if (types[type].available < 0)
		stop_check_account(own.account_no);
}

/*
 * The account's newest line, all zero if it has none.  Read with a snapshot
 * that is younger than the lock, so that it sees the line of whoever we waited
 * for.  Where the transaction's snapshot is fixed it may not; then the line
 * that is made from this one meets another of its version, which is a 40001.
 */
void
journal_newest_line(int64 account_id, AccountBalance *balance)
{
	static const RowKey by_account = {"journal", "journal_pkey", {{"account_id", F_INT8EQ}}};
	Datum		key = Int64GetDatum(account_id);
	HeapTuple	line = row_find_last(&by_account, &key);

	memset(balance, 0, sizeof(*balance));
	balance->account_id = account_id;
	if (line != NULL)
	{
		balance->version = row_found_int8(&by_account, line, "version");
		balance->available = row_found_int8(&by_account, line, "available");
		balance->frozen = row_found_int8(&by_account, line, "frozen");
	}
}

void
journal_append(AccountBalance *balance, JournalType type, int64 amount,
			   int64 instruction_id, const char *reference, const char *note)
{
	static RowTarget line = {"journal", {
		"account_id", "version", "type", "instruction_id", "reference", "note",
			"d_available", "d_frozen", "d_outside", "available", "frozen", "at", "by", NULL
	}};
	RowValues	v = {0};

	if (!balance_move(balance, type, amount))
		journal_complain(balance->account_id, type, amount);
	row_value(&v, Int64GetDatum(balance->account_id), false);
	row_value(&v, Int64GetDatum(balance->version), false);
	row_value_text(&v, types[type].name);
	row_value(&v, Int64GetDatum(instruction_id), instruction_id == 0);
	row_value_text(&v, reference);
	row_value_text(&v, note);
	row_value(&v, Int64GetDatum(amount * types[type].available), false);
	row_value(&v, Int64GetDatum(amount * types[type].frozen), false);
	row_value(&v, Int64GetDatum(amount * types[type].outside), false);
	row_value(&v, Int64GetDatum(balance->available), false);
	row_value(&v, Int64GetDatum(balance->frozen), false);
	row_value(&v, TimestampTzGetDatum(GetCurrentTimestamp()), false);
	row_value_text(&v, session_user_name());
	row_insert(&line, &v, line_taken);
}

void
journal_lock(int64 account_id, ItemPointer seen_at, JournalType type, int64 amount, AccountBalance *balance)
{
	AccountRow	row = {0};

	if (seen_at != NULL)
		(void) account_row_at(seen_at, JOURNAL_LOCK_WAIT, &row);
	else if (!journal_account_row(account_id, JOURNAL_LOCK_WAIT, &row))
		journal_complain(account_id, type, amount);
	journal_refuse(&row, type);
	journal_newest_line(account_id, balance);
}

void
journal_post(int64 account_id, JournalType type, int64 amount,
			 int64 instruction_id, const char *reference, const char *note)
{
	AccountBalance balance;

	journal_lock(account_id, NULL, type, amount, &balance);
	journal_append(&balance, type, amount, instruction_id, reference, note);
}

int
journal_lock_many(Column *account_ids, AccountBalance **balances)
{
	static Statement lock = {
		"SELECT account_id FROM refundx.account WHERE account_id = ANY ($1)"
		" ORDER BY account_id FOR NO KEY UPDATE SKIP LOCKED", ARGS(INT8ARRAYOID)
	};

	/* again a statement of its own, for a snapshot younger than the locks */
	static Statement newest = {
		"SELECT a.id, coalesce(l.version, 0), coalesce(l.available, 0), coalesce(l.frozen, 0)"
		"  FROM unnest($1) WITH ORDINALITY a(id, n)"
		"  LEFT JOIN LATERAL (SELECT version, available, frozen FROM refundx.journal"
		"                      WHERE account_id = a.id ORDER BY version DESC LIMIT 1) l ON true"
		" ORDER BY a.n", ARGS(INT8ARRAYOID)
	};
	Values		v = {0};
	Column		locked;
	uint64		n;
	uint64		i;

	*balances = NULL;
	if (account_ids->n == 0)
		return 0;
	values_column(&v, account_ids);
	n = statement_run(&lock, &v);
	if (n == 0)
		return 0;
	column_init(&locked, INT8OID);
	for (i = 0; i < n; i++)
		column_int8(&locked, row_int8(i, 1));

	values_reset(&v);
	values_column(&v, &locked);
	n = statement_run(&newest, &v);
	*balances = palloc(n * sizeof(AccountBalance));
	for (i = 0; i < n; i++)
	{
		AccountBalance *b = &(*balances)[i];

		b->account_id = row_int8(i, 1);
		b->version = row_int8(i, 2);
		b->available = row_int8(i, 3);
		b->frozen = row_int8(i, 4);
	}
	return (int) n;
}

void
journal_batch_init(JournalBatch *batch)
{
	column_init(&batch->account_id, INT8OID);
	column_init(&batch->version, INT8OID);
	column_init(&batch->type, TEXTOID);
	column_init(&batch->instruction_id, INT8OID);
	column_init(&batch->d_available, INT8OID);
	column_init(&batch->d_frozen, INT8OID);
	column_init(&batch->d_outside, INT8OID);
	column_init(&batch->available, INT8OID);
	column_init(&batch->frozen, INT8OID);
}

void
journal_batch_add(JournalBatch *batch, AccountBalance *balance, JournalType type,
				  int64 amount, int64 instruction_id)
{
	/* the table's own constraints are the last word: nothing is filtered here */
	(void) balance_move(balance, type, amount);
	column_int8(&batch->account_id, balance->account_id);
	column_int8(&batch->version, balance->version);
	column_text(&batch->type, types[type].name);
	column_int8(&batch->instruction_id, instruction_id);
	column_int8(&batch->d_available, amount * types[type].available);
	column_int8(&batch->d_frozen, amount * types[type].frozen);
	column_int8(&batch->d_outside, amount * types[type].outside);
	column_int8(&batch->available, balance->available);
	column_int8(&batch->frozen, balance->frozen);
}

void
journal_batch_write(JournalBatch *batch)
{
	static Statement post = {
		"INSERT INTO refundx.journal (account_id, version, type, instruction_id,"
		"       d_available, d_frozen, d_outside, available, frozen)"
		" SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)",
		ARGS(INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID,
			 INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID)
	};
	Values		v = {0};

	if (batch->account_id.n == 0)
		return;
	values_column(&v, &batch->account_id);
	values_column(&v, &batch->version);
	values_column(&v, &batch->type);
	values_column(&v, &batch->instruction_id);
	values_column(&v, &batch->d_available);
	values_column(&v, &batch->d_frozen);
	values_column(&v, &batch->d_outside);
	values_column(&v, &batch->available);
	values_column(&v, &batch->frozen);
	statement_run(&post, &v);
}
