/*-------------------------------------------------------------------------
 *
 * account.c
 *	  Opening, crediting and debiting accounts.
 *
 * src/money/account.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/pg_compat.h"

#include "base/errors.h"
#include "money/journal.h"
#include "money/money.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(refundx_account_open);
PG_FUNCTION_INFO_V1(refundx_account_credit);
PG_FUNCTION_INFO_V1(refundx_account_debit);

#define SLOTS_MAX	256			/* as in the table's CHECK */

/* What a caller says of a credit or a debit. */
typedef struct MoveWords
{
	JournalType type;
	const char *account_no;
	int64		amount;
	const char *reference;
	const char *note;
} MoveWords;

static void open_already(const char *account_no, const char *currency, int32 slots);
static bool account_move(FunctionCallInfo fcinfo, JournalType type);
static bool lock_home(const MoveWords *w, int64 account_id, int64 slot_id);
static bool reference_known(const MoveWords *w, int64 slot_id);

static char *
required_text(FunctionCallInfo fcinfo, int i, const char *name, int max)
{
	char	   *value = PG_ARGISNULL(i) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(i));

	(void) argument_text(name, value, max);
	return value;
}

/*
 * SQL: account_open(account text, currency text, slots int) returns boolean
 * (true if new)
 */
Datum
refundx_account_open(PG_FUNCTION_ARGS)
{
	static Statement insert = {
		"INSERT INTO refundx.account (account_id, account_no, currency, slots)"
		" SELECT CASE WHEN $3 = 1 THEN n ELSE -n END, $1, $2, $3"
		"   FROM nextval('refundx.account_account_id_seq') n"
		" ON CONFLICT (account_no) DO NOTHING RETURNING account_id", ARGS(TEXTOID, TEXTOID, INT4OID)
	};
	static Statement insert_slots = {
		"INSERT INTO refundx.account (account_id, currency, slot_of, slot)"
		" SELECT -nextval('refundx.account_account_id_seq'), $1, $2, n"
		"   FROM generate_series(1, $3 - 1) n", ARGS(TEXTOID, INT8OID, INT4OID)
	};
	char	   *account_no = required_text(fcinfo, 0, "account", PAYMENT_NO_MAX);
	char	   *currency = required_text(fcinfo, 1, "currency", 3);
	int32		slots = PG_ARGISNULL(2) ? 0 : PG_GETARG_INT32(2);
	Values		v = {0};
	int64		account_id;
	bool		is_new;
	const char *p;

	for (p = currency; *p >= 'A' && *p <= 'Z'; p++)
		;
	if (p - currency != 3)
		ereport(ERROR,
				(errcode(ERRCODE_RX_CURRENCY),
				 errmsg("\"%s\" is not an ISO 4217 currency code", currency),
				 errhint("Three capital letters, such as CNY.")));
	if (slots < 1 || slots > SLOTS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an account has 1 to %d slots, not %d", SLOTS_MAX, slots),
				 errhint("As many as clients take from it at once; 1 for most accounts.")));

	SPI_connect();
	values_text(&v, account_no);
	values_text(&v, currency);
	values_int4(&v, slots);
	is_new = statement_run(&insert, &v) == 1;
	if (!is_new)
		open_already(account_no, currency, slots);
	else if (slots > 1)
	{
		account_id = row_int8(0, 1);
		values_reset(&v);
		values_text(&v, currency);
		values_int8(&v, account_id);
		values_int4(&v, slots);
		statement_run(&insert_slots, &v);
	}
	SPI_finish();
	PG_RETURN_BOOL(is_new);
}

/* An ERROR unless it is open with the same words. */
static void
open_already(const char *account_no, const char *currency, int32 slots)
{
	static Statement find = {
		"SELECT currency, slots FROM refundx.account WHERE account_no = $1", ARGS(TEXTOID)
	};
	Values		v = {0};

	values_text(&v, account_no);
	if (statement_run(&find, &v) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access to account \"%s\"", account_no),
				 errhint("Retry the transaction.")));
	if (strcmp(row_text(0, 1), currency) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_RX_NUMBER_REUSED),
				 errmsg("account \"%s\" is already open, in %s", account_no, row_text(0, 1)),
				 errhint("An account has one currency; open another account for %s.", currency)));
	if (row_int4(0, 2) != slots)
		ereport(ERROR,
				(errcode(ERRCODE_RX_NUMBER_REUSED),
				 errmsg("account \"%s\" is already open, with %d slots", account_no, row_int4(0, 2)),
				 errhint("The number of an account's slots does not change.")));
}

Datum
refundx_account_credit(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(account_move(fcinfo, JOURNAL_CREDIT));
}

Datum
refundx_account_debit(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(account_move(fcinfo, JOURNAL_DEBIT));
}

/*
 * SQL: account_credit(account, amount, reference, note), likewise debit.
 * The reference makes it idempotent: it decides which slot of the account the
 * line goes to, and that is locked first, so that two callers with the same
 * reference meet here and not at the constraint.
 */
static bool
account_move(FunctionCallInfo fcinfo, JournalType type)
{
	static Statement find = {
		"SELECT account_id FROM refundx.account WHERE account_no = $1", ARGS(TEXTOID)
	};
	MoveWords	w = {type};
	Values		v = {0};
	int64		account_id;
	int64		slot_id;
	bool		known;

	w.account_no = required_text(fcinfo, 0, "account", PAYMENT_NO_MAX);
	w.amount = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT64(1);
	w.reference = required_text(fcinfo, 2, "reference", REFERENCE_MAX);
	w.note = PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3));
	if (w.amount <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_RX_BAD_AMOUNT),
				 errmsg("the amount must be positive, not %lld", (long long) w.amount),
				 errhint("Amounts are in the currency's minor unit; to take money off an account call refundx.account_debit().")));
	SPI_connect();
	values_text(&v, w.account_no);
	if (statement_run(&find, &v) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_RX_UNKNOWN_ACCOUNT),
				 errmsg("account \"%s\" does not exist", w.account_no),
				 errhint("Open it with refundx.account_open().")));
	account_id = row_int8(0, 1);
	slot_id = journal_home_slot(account_id, w.reference);
	known = lock_home(&w, account_id, slot_id);
	if (!known)
		journal_post(slot_id, type, w.amount, 0, w.reference, w.note);
	SPI_finish();
	return !known;
}

/*
 * Lock the slot of this reference; true if the reference is known.  A debit of
 * more than is in the slot takes it from the others, for which all have to be
 * locked, in their order: this one is not held meanwhile, and somebody may
 * have used the reference.
 */
static bool
lock_home(const MoveWords *w, int64 account_id, int64 slot_id)
{
	AccountRow	row;

	if (w->type == JOURNAL_DEBIT && journal_has_slots(account_id) &&
		!journal_lock_with(slot_id, w->amount))
	{
		if (reference_known(w, slot_id))
			return true;
		journal_lock_slots(account_id);
		if (reference_known(w, slot_id))
			return true;
		(void) journal_gather(account_id, slot_id, w->amount);
		return false;
	}
	if (!journal_account_row(slot_id, JOURNAL_LOCK_WAIT, &row))
		elog(ERROR, "account \"%s\" vanished", w->account_no);
	return reference_known(w, slot_id);
}

static bool
reference_known(const MoveWords *w, int64 slot_id)
{
	static Statement find = {
		"SELECT type, abs(d_available) FROM refundx.journal WHERE account_id = $1 AND reference = $2",
		ARGS(INT8OID, TEXTOID)
	};
	Values		v = {0};

	values_int8(&v, slot_id);
	values_text(&v, w->reference);
	if (statement_run(&find, &v) == 0)
		return false;
	if (strcmp(row_text(0, 1), journal_type_name(w->type)) != 0 || row_int8(0, 2) != w->amount)
		ereport(ERROR,
				(errcode(ERRCODE_RX_NUMBER_REUSED),
				 errmsg("reference \"%s\" of account \"%s\" was used for something else",
						w->reference, w->account_no),
				 errdetail("It was a %s of %lld, now it is a %s of %lld.",
						   row_text(0, 1), (long long) row_int8(0, 2),
						   journal_type_name(w->type), (long long) w->amount)));
	return true;
}
