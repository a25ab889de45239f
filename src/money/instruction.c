/*-------------------------------------------------------------------------
 *
 * instruction.c
 *	  A new instruction: what submitting a refund and a withdrawal share.
 *
 * src/money/instruction.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/instruction.h"

#include "base/clock.h"
#include "base/row_find.h"
#include "base/row_insert.h"
#include "base/shmem.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "money/money.h"
#include "money/stop.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"

static const RowKey by_number = {
	"instruction", "instruction_instruction_no_key", {{"instruction_no", F_TEXTEQ}}
};

/*
 * Callers with one payment come here one after the other, under its lock, and
 * each sees what the one before it has committed; so a repeated call never gets
 * as far as the insert.
 */
bool
instruction_number_exists(const char *number)
{
	Datum		key = CStringGetTextDatum(number);

	return row_find(&by_number, &key) != NULL;
}

bool
instruction_numbers_exist_between(const char *low, const char *high)
{
	return row_find_between(&by_number, low, high);
}

/*
 * Another transaction has just taken it (for another payment or account), or this
 * one's snapshot is older.
 */
void
instruction_number_taken(const char *number)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access to number \"%s\"", number),
			 errdetail("Another transaction has taken it, which this one does not see."),
			 errhint("Retry the transaction.")));
}

static void
row_number_taken(TupleTableSlot *row)
{
	bool		isnull;
	int			number = SPI_fnumber(row->tts_tupleDescriptor, "instruction_no");

	instruction_number_taken(TextDatumGetCString(slot_getattr(row, number, &isnull)));
}

void
instruction_insert(NewInstruction *i)
{
	static RowTarget instruction = {"instruction", {
		"instruction_id", "kind", "instruction_no", "wire_no", "channel_id", "merchant_id",
			"payment_id", "account_id", "amount", "fee", "currency", "reason", "state", "is_open",
			"state_since", "due_at", "due_call", "attempts", "polls", "unexplained", "generation",
			"may_send", "submitted_at", "submitted_by", NULL
	}};
	RowValues	v = {0};
	Datum		zero = Int32GetDatum(0);
	bool		waits = i->state == STATE_AWAITING_APPROVAL;

	stop_check_submit(session_user_name());
	i->instruction_id = row_next_id(&instruction);
	i->due_at = waits ? 0 : clock_now();
	i->state_since = i->submitted_at = GetCurrentTimestamp();
	row_value(&v, Int64GetDatum(i->instruction_id), false);
	row_value_text(&v, product_name(i->kind));
	row_value_text(&v, i->number);
	row_value_text(&v, i->number);
	row_value(&v, Int32GetDatum(i->channel_id), false);
	row_value(&v, Int32GetDatum(i->merchant_id), false);
	row_value(&v, Int64GetDatum(i->payment_id), i->payment_id == 0);
	row_value(&v, Int64GetDatum(i->account_id), i->account_id == 0);
	row_value(&v, Int64GetDatum(i->amount), false);
	row_value(&v, Int64GetDatum(i->fee), false);
	row_value_text(&v, i->currency);
	row_value_text(&v, i->reason);
	row_value_text(&v, state_name(i->state));
	row_value(&v, BoolGetDatum(true), false);
	row_value(&v, TimestampTzGetDatum(i->state_since), false);
	row_value(&v, TimestampTzGetDatum(i->due_at), waits);
	row_value_text(&v, waits ? NULL : i->state == STATE_UNKNOWN ? "query" : "submit");
	row_value(&v, zero, false); /* attempts */
	row_value(&v, zero, false); /* polls */
	row_value(&v, zero, false); /* unexplained */
	row_value(&v, zero, false); /* generation */
	row_value(&v, BoolGetDatum(i->may_send), false);
	row_value(&v, TimestampTzGetDatum(i->submitted_at), false);
	row_value_text(&v, session_user_name());
	row_insert(&instruction, &v, row_number_taken);
}

void
nobody_serves_warning(void)
{
	static bool said = false;

	if (said || shmem_my_database() != NULL)
		return;
	said = true;
	ereport(WARNING,
			(errmsg("refunds and withdrawals of this database are queued, but no worker sends them"),
			 errhint("Add the database to refundx.databases, for example: ALTER SYSTEM SET refundx.databases = '%s:8443'; then reload.",
					 get_database_name(MyDatabaseId))));
}
