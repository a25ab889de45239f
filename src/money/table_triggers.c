/*-------------------------------------------------------------------------
 *
 * table_triggers.c
 *	  What the triggers and CHECKs of refundx's own tables call.
 *
 * They are the last word, behind whatever is wrong in the functions above
 * them, and hold for the owner at psql as well.
 *
 * src/money/table_triggers.c
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
#include "money/state.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/xid8.h"

PG_FUNCTION_INFO_V1(refundx_refuse_change);
PG_FUNCTION_INFO_V1(refundx_stamp_xid);
PG_FUNCTION_INFO_V1(refundx_journal_line_good);
PG_FUNCTION_INFO_V1(refundx_instruction_whole);
PG_FUNCTION_INFO_V1(refundx_payment_covers);

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
 * d_available, d_frozen, d_outside, available) returns boolean
 *
 * A suspense account has lines of two types, which no other account has; it alone
 * may go below zero.
 */
Datum
refundx_journal_line_good(PG_FUNCTION_ARGS)
{
	text	   *type = PG_GETARG_TEXT_PP(1);
	bool		suspense_in = text_is(type, "suspense_in");
	bool		by_reference = suspense_in || text_is(type, "credit") || text_is(type, "debit");
	bool		of_instruction = !by_reference && !text_is(type, "slot_out") && !text_is(type, "slot_in");

	if (PG_GETARG_INT64(7) < 0 && !suspense_in && !text_is(type, "suspense"))
		PG_RETURN_BOOL(false);
	/* all that a type can move balances: the signs of each add up to nothing */
	if (!journal_type_moves(VARDATA_ANY(type), VARSIZE_ANY_EXHDR(type), PG_GETARG_INT64(4),
							PG_GETARG_INT64(5), PG_GETARG_INT64(6)))
		PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(PG_GETARG_INT64(0) > 0 &&
				   by_reference != PG_ARGISNULL(2) && of_instruction != PG_ARGISNULL(3));
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
