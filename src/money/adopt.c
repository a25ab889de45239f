/*-------------------------------------------------------------------------
 *
 * adopt.c
 *	  A withdrawal that was made elsewhere takes its place here.
 *
 * Somebody paid it out in the channel's console, or this database did, before it
 * was restored; the channel's bill has it, and an operator says which account it
 * was paid from.  It is written as a withdrawal like any other, which is asked
 * about and never sent, with its amount frozen; the line of the bill, as evidence,
 * then settles it, by the settle function that settles all.
 *
 * Whom it paid nobody has told us: there is nothing to seal, and so nothing that
 * could ever be sent.  No limit of a day and no fee of ours applies to it, for
 * those are rules of what is submitted here.
 *
 * src/money/adopt.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/sql.h"

#include "base/errors.h"
#include "base/shmem.h"
#include "money/instruction.h"
#include "money/journal.h"
#include "money/money.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(refundx_break_adopt_withdrawal);

/*
 * Erased from the start: whom it paid is not known, as of one that was erased.
 */
static void
payout_insert(int64 instruction_id, int64 account_id, int64 amount)
{
	static Statement insert = {
		"INSERT INTO refundx.payout (instruction_id, account_id, asked, fee_back_on_failure, fee_back_on_return, actor, erased_at)"
		" VALUES ($1, $2, $3, true, false, $4, clock_timestamp())",
		ARGS(INT8OID, INT8OID, INT8OID, TEXTOID)
	};
	Values		v = {0};

	values_int8(&v, instruction_id);
	values_int8(&v, account_id);
	values_int8(&v, amount);
	values_text(&v, actor_name());
	statement_run(&insert, &v);
}

/*
 * SQL: break_adopt_withdrawal(channel_id int, merchant_id int, account_id bigint,
 * withdrawal_no text, amount bigint, currency text, note text) returns bigint
 *
 * The caller has seen to it that the account is of the currency.
 */
Datum
refundx_break_adopt_withdrawal(PG_FUNCTION_ARGS)
{
	int64		account_id = PG_GETARG_INT64(2);
	NewInstruction in = {
		.kind = PRODUCT_TRANSFER,
		.number = text_to_cstring(PG_GETARG_TEXT_PP(3)),
		.channel_id = PG_GETARG_INT32(0),
		.merchant_id = PG_GETARG_INT32(1),
		.amount = PG_GETARG_INT64(4),
		.currency = text_to_cstring(PG_GETARG_TEXT_PP(5)),
		.state = STATE_UNKNOWN,
		.may_send = false
	};

	shmem_require();
	SPI_connect();
	argument_text("withdrawal_no", in.number, CHANNEL_NO_MAX);
	if (instruction_number_exists(in.number))
		ereport(ERROR,
				(errcode(ERRCODE_RX_NUMBER_REUSED),
				 errmsg("number \"%s\" is already taken", in.number),
				 errdetail("A refund, or another merchant's withdrawal, has it here.")));
	in.account_id = journal_choose_slot(account_id, in.amount);
	instruction_insert(&in);
	payout_insert(in.instruction_id, account_id, in.amount);
	event_add(in.instruction_id, "adopted", NULL, state_name(in.state), text_to_cstring(PG_GETARG_TEXT_PP(6)));
	journal_post(in.account_id, JOURNAL_FREEZE, in.amount, in.instruction_id, NULL, NULL);
	SPI_finish();
	PG_RETURN_INT64(in.instruction_id);
}
