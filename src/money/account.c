/*-------------------------------------------------------------------------
 *
 * account.c
 *	  Opening, crediting and debiting accounts, and the guards of the tables.
 *
 * src/money/account.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/pg_compat.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "base/errors.h"
#include "commands/trigger.h"
#include "common/int.h"
#include "money/journal.h"
#include "money/money.h"
#include "money/state.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/xid8.h"

PG_FUNCTION_INFO_V1(refundx_account_open);
PG_FUNCTION_INFO_V1(refundx_account_credit);
PG_FUNCTION_INFO_V1(refundx_account_debit);
PG_FUNCTION_INFO_V1(refundx_refuse_change);
PG_FUNCTION_INFO_V1(refundx_stamp_xid);
PG_FUNCTION_INFO_V1(refundx_journal_line_good);
PG_FUNCTION_INFO_V1(refundx_instruction_whole);
PG_FUNCTION_INFO_V1(refundx_payment_covers);

static bool account_move(FunctionCallInfo fcinfo, JournalType type);
static bool reference_known(int64 account_id, const char *account_no, const char *reference,
							JournalType type, int64 amount);

static char *
required_text(FunctionCallInfo fcinfo, int i, const char *name, int max)
{
	char	   *value = PG_ARGISNULL(i) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(i));

	(void) argument_text(name, value, max);
	return value;
}

/* SQL: account_open(account text, currency text) returns boolean (true if new) */
Datum
refundx_account_open(PG_FUNCTION_ARGS)
{
	static Statement insert = {
		"INSERT INTO refundx.account (account_no, currency) VALUES ($1, $2)"
		" ON CONFLICT (account_no) DO NOTHING", ARGS(TEXTOID, TEXTOID)
	};
	static Statement find = {
		"SELECT currency FROM refundx.account WHERE account_no = $1", ARGS(TEXTOID)
	};
	char	   *account_no = required_text(fcinfo, 0, "account", PAYMENT_NO_MAX);
	char	   *currency = required_text(fcinfo, 1, "currency", 3);
	Values		v = {0};
	bool		is_new;
	const char *p;

	for (p = currency; *p >= 'A' && *p <= 'Z'; p++)
		;
	if (p - currency != 3)
		ereport(ERROR,
				(errcode(ERRCODE_RX_CURRENCY),
				 errmsg("\"%s\" is not an ISO 4217 currency code", currency),
				 errhint("Three capital letters, such as CNY.")));

	SPI_connect();
	values_text(&v, account_no);
	values_text(&v, currency);
	is_new = statement_run(&insert, &v) == 1;
	if (!is_new)
	{
		v.n = 1;
		if (statement_run(&find, &v) == 1 && strcmp(row_text(0, 1), currency) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_RX_NUMBER_REUSED),
					 errmsg("account \"%s\" is already open, in %s", account_no, row_text(0, 1)),
					 errhint("An account has one currency; open another account for %s.", currency)));
	}
	SPI_finish();
	PG_RETURN_BOOL(is_new);
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
 * The reference makes it idempotent: the account is locked first, so that
 * two callers with the same reference meet here and not at the constraint.
 */
static bool
account_move(FunctionCallInfo fcinfo, JournalType type)
{
	static Statement lock = {
		"SELECT account_id FROM refundx.account WHERE account_no = $1 FOR NO KEY UPDATE", ARGS(TEXTOID)
	};
	char	   *account_no = required_text(fcinfo, 0, "account", PAYMENT_NO_MAX);
	int64		amount = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT64(1);
	char	   *reference = required_text(fcinfo, 2, "reference", REFERENCE_MAX);
	char	   *note = PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3));
	Values		v = {0};
	int64		account_id;
	bool		known;

	if (amount <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_RX_BAD_AMOUNT),
				 errmsg("the amount must be positive, not %lld", (long long) amount),
				 errhint("Amounts are in the currency's minor unit; to take money off an account call refundx.account_debit().")));
	SPI_connect();
	values_text(&v, account_no);
	if (statement_run(&lock, &v) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_RX_UNKNOWN_ACCOUNT),
				 errmsg("account \"%s\" does not exist", account_no),
				 errhint("Open it with refundx.account_open().")));
	account_id = row_int8(0, 1);
	known = reference_known(account_id, account_no, reference, type, amount);
	if (!known)
		journal_post(account_id, type, amount, 0, reference, note);
	SPI_finish();
	return !known;
}

static bool
reference_known(int64 account_id, const char *account_no, const char *reference,
				JournalType type, int64 amount)
{
	static Statement find = {
		"SELECT type, abs(d_available) FROM refundx.journal WHERE account_id = $1 AND reference = $2",
		ARGS(INT8OID, TEXTOID)
	};
	Values		v = {0};

	values_int8(&v, account_id);
	values_text(&v, reference);
	if (statement_run(&find, &v) == 0)
		return false;
	if (strcmp(row_text(0, 1), journal_type_name(type)) != 0 || row_int8(0, 2) != amount)
		ereport(ERROR,
				(errcode(ERRCODE_RX_NUMBER_REUSED),
				 errmsg("reference \"%s\" of account \"%s\" was used for something else",
						reference, account_no),
				 errdetail("It was a %s of %lld, now it is a %s of %lld.",
						   row_text(0, 1), (long long) row_int8(0, 2),
						   journal_type_name(type), (long long) amount)));
	return true;
}

/* Trigger: what is written once is not rewritten. */
Datum
refundx_refuse_change(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "refundx.refuse_change is a trigger function");
	ereport(ERROR,
			(errcode(ERRCODE_RX_APPEND_ONLY),
			 errmsg("rows of refundx.%s are not %s",
					RelationGetRelationName(trigger->tg_relation),
					TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? "changed" : "deleted"),
			 errdetail("They are the record of what happened to money."),
			 errhint("A correction is a new row: see the functions in doc/operations.md.")));
}

/*
 * Rows of another transaction are rows of another database: a dump is being
 * restored here.  A copy must not pay, whatever this database was armed for
 * before; once in each (sub)transaction that brings such rows.
 */
static void
disarm(const char *relation)
{
	static Statement forget = {"DELETE FROM refundx.installation", NO_ARGS};
	static FullTransactionId done = {0};
	static SubTransactionId done_sub = InvalidSubTransactionId;

	if (FullTransactionIdEquals(done, GetTopFullTransactionId()) &&
		done_sub == GetCurrentSubTransactionId())
		return;
	SPI_connect();
	if (statement_run(&forget, NULL) > 0)
		ereport(WARNING,
				(errmsg("refundx is not armed any more: refundx.%s gets rows from a dump", relation),
				 errhint("Nothing is sent from here before SELECT refundx.arm(reason).")));
	SPI_finish();
	done = GetTopFullTransactionId();
	done_sub = GetCurrentSubTransactionId();
}

/*
 * Trigger: stamp a row with its own transaction.  The readers of the arrival
 * queue (arrival.c) compare xid8 with snapshots of this cluster; an xid8 that
 * a dump brought from another one would be seen for ever, or never.
 */
Datum
refundx_stamp_xid(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	int			col;
	Datum		xid;
	bool		isnull = false;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		elog(ERROR, "refundx.stamp_xid is a trigger function for INSERT");
	desc = RelationGetDescr(trigger->tg_relation);
	col = SPI_fnumber(desc, "xid");
	if (col <= 0)
		elog(ERROR, "refundx.%s has no column xid", RelationGetRelationName(trigger->tg_relation));

	/* the column's default has done it already in all but a restore */
	xid = heap_getattr(trigger->tg_trigtuple, col, desc, &isnull);
	if (!isnull && U64FromFullTransactionId(DatumGetFullTransactionId(xid)) ==
		U64FromFullTransactionId(GetTopFullTransactionId()))
		PG_RETURN_POINTER(trigger->tg_trigtuple);
	if (!isnull)
		disarm(RelationGetRelationName(trigger->tg_relation));
	xid = FullTransactionIdGetDatum(GetTopFullTransactionId());
	isnull = false;
	PG_RETURN_POINTER(heap_modify_tuple_by_cols(trigger->tg_trigtuple, desc, 1, &col, &xid, &isnull));
}

/* ------------------------------------------------------------------------
 * What the columns of a row must be to each other: CHECKs call these
 * ------------------------------------------------------------------------
 */

static bool
text_is(text *t, const char *word)
{
	size_t		len = strlen(word);

	return VARSIZE_ANY_EXHDR(t) == len && memcmp(VARDATA_ANY(t), word, len) == 0;
}

/*
 * SQL: journal_line_good(version, type, reference, instruction_id,
 * d_available, d_frozen, d_outside) returns boolean
 */
Datum
refundx_journal_line_good(PG_FUNCTION_ARGS)
{
	text	   *type = PG_GETARG_TEXT_PP(1);
	bool		by_reference = text_is(type, "credit") || text_is(type, "debit");
	int64		sum;

	/* a sum that overflows is not zero */
	if (pg_add_s64_overflow(PG_GETARG_INT64(4), PG_GETARG_INT64(5), &sum) ||
		pg_add_s64_overflow(sum, PG_GETARG_INT64(6), &sum) || sum != 0)
		PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(PG_GETARG_INT64(0) > 0 &&
				   by_reference != PG_ARGISNULL(2) && by_reference == PG_ARGISNULL(3));
}

/*
 * SQL: instruction_whole(kind, payment_id, person_reason, person_since, state,
 * is_open) returns boolean
 */
Datum
refundx_instruction_whole(PG_FUNCTION_ARGS)
{
	State		state;

	if (!state_from_name(text_to_cstring(PG_GETARG_TEXT_PP(4)), &state))
		PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(text_is(PG_GETARG_TEXT_PP(0), "refund") != PG_ARGISNULL(1) &&
				   PG_ARGISNULL(2) == PG_ARGISNULL(3) &&
				   state_is_open(state) == PG_GETARG_BOOL(5));
}

/*
 * SQL: payment_covers(paid, refunding, refunded, returned, elsewhere,
 * already_refunded) returns boolean
 */
Datum
refundx_payment_covers(PG_FUNCTION_ARGS)
{
	int64		left = PG_GETARG_INT64(0);
	int			i;

	/* none of them is negative, so what is left only shrinks */
	for (i = 1; i <= 5; i++)
		if (pg_sub_s64_overflow(left, PG_GETARG_INT64(i), &left) || left < 0)
			PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(true);
}
