/*-------------------------------------------------------------------------
 *
 * submit.c
 *	  What callers do to a refund in their own transaction: submit, adopt.
 *
 * Everything here can roll back.  A submit freezes the amount and queues the
 * refund, or neither; nothing is sent before the caller's commit, because the
 * dispatcher only sees what is committed.
 *
 * The order of locks is guarded rows, payment, instruction, account, as
 * everywhere.  The submit reserves the amount in the payment first (reserve.c), which locks it:
 * two concurrent refunds of 60 on 100 queue up behind each other at that row,
 * and the second one finds 60 taken.
 *
 * src/money/submit.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/money.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/shmem.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "money/guard.h"
#include "money/instruction.h"
#include "money/journal.h"
#include "money/reserve.h"
#include "money/state.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(refundx_refund_submit);
PG_FUNCTION_INFO_V1(refundx_refund_adopt);

static Datum submit(FunctionCallInfo fcinfo, RefundWords *w);
static bool existing_same(const RefundWords *w);
static State first_state(const RefundWords *w);
static void new_instruction(const RefundWords *w, const Reserved *r, NewInstruction *in);
static Datum refund_datum_new(FunctionCallInfo fcinfo, const RefundWords *w, const Reserved *r,
							  const NewInstruction *in);

#define TEXT_ARG(i) (PG_ARGISNULL(i) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(i)))

static void
words_from_arguments(FunctionCallInfo fcinfo, RefundWords *w)
{
	w->payment.channel = TEXT_ARG(0);
	w->payment.payment_no = TEXT_ARG(1);
	w->refund_no = TEXT_ARG(2);
	w->amount = PG_ARGISNULL(3) ? 0 : PG_GETARG_INT64(3);
	w->reason = TEXT_ARG(4);
	w->payment.currency = TEXT_ARG(5);
	w->payment.amount = PG_ARGISNULL(6) ? 0 : PG_GETARG_INT64(6);
	w->payment.channel_payment_id = TEXT_ARG(7);
	w->payment.paid_at = PG_ARGISNULL(8) ? 0 : PG_GETARG_TIMESTAMPTZ(8);
	w->payment.account_no = TEXT_ARG(9);
	w->payment.contact = TEXT_ARG(10);
	w->payment.language = TEXT_ARG(11);
	w->payment.channel_data = PG_ARGISNULL(12) ? NULL :
		JsonbToCString(NULL, &PG_GETARG_JSONB_P(12)->root, VARSIZE(PG_GETARG_JSONB_P(12)));
	if (PG_ARGISNULL(6) == false && w->payment.amount <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_RX_BAD_AMOUNT),
				 errmsg("payment_amount must be positive, not %lld", (long long) w->payment.amount)));
}

/*
 * SQL: refund_submit(channel, payment_no, refund_no, amount, ...) returns
 * refundx.refund.
 */
Datum
refundx_refund_submit(PG_FUNCTION_ARGS)
{
	RefundWords w = {{0}};

	return submit(fcinfo, &w);
}

/*
 * SQL: refund_adopt(...), the same arguments: a refund that somebody has sent
 * already.  It is reserved like any other, and asked about; it is not sent.
 */
Datum
refundx_refund_adopt(PG_FUNCTION_ARGS)
{
	RefundWords w = {{0}};

	w.adopt = true;
	return submit(fcinfo, &w);
}

static Datum
submit(FunctionCallInfo fcinfo, RefundWords *w)
{
	Reserved	r = {0};
	ChannelError err = {{0}};
	NewInstruction in = {0};
	GuardedRows guarded;
	ErrorContextCallback hide = {error_context_stack, hide_statement, NULL};
	Datum		result;

	/* on a standby that is the reason, whatever it has replayed by now */
	PreventCommandIfReadOnly(w->adopt ? "refundx.refund_adopt()" : "refundx.refund_submit()");
	error_context_stack = &hide;
	words_from_arguments(fcinfo, w);
	shmem_require();
	argument_text("channel", w->payment.channel, 32);
	argument_text("payment_no", w->payment.payment_no, PAYMENT_NO_MAX);
	argument_text("refund_no", w->refund_no, CHANNEL_NO_MAX);
	if (w->amount <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_RX_BAD_AMOUNT),
				 errmsg("the amount to refund must be positive, not %lld", (long long) w->amount),
				 errhint("Amounts are in the currency's minor unit: 12.34 CNY is 1234.")));

	SPI_connect();
	guard_lock_rows(PG_ARGISNULL(13) ? NULL : PG_GETARG_JSONB_P(13), w->payment.payment_no, w->refund_no, &guarded);
	if (w->payment.amount > 0)
		(void) payment_record(&w->payment);

	if (!reserve(w, &r))
	{
		/* a repeat of a refund that took the last of the payment, perhaps */
		if (!existing_same(w))
			reserve_complain(w);
	}
	else if (instruction_number_exists(w->refund_no))
	{
		/* give back what this call reserved, and compare */
		unreserve(w, &r);
		if (!existing_same(w))
			instruction_number_taken(w->refund_no);
	}
	else
	{
		if (r.account_id != 0)
			r.account_id = journal_choose_slot(r.account_id, w->amount);
		new_instruction(w, &r, &in);
		instruction_insert(&in);
		guard_record(&guarded, in.instruction_id);

		/*
		 * Only a refund that is new is held against what the channel would
		 * refuse: a repeated call for one from last year returns that one.
		 */
		if (!w->adopt &&
			!r.channel->refund->acceptable(&r.instr, timestamptz_to_unix_us(clock_now()) / USECS_PER_SEC, &err))
			channel_refuse(ERRCODE_RX_CHANNEL_REFUSES, r.channel->label, &err);
		if (r.account_id != 0)
			journal_post(r.account_id, JOURNAL_FREEZE, w->amount, in.instruction_id, NULL, NULL);
		event_add(in.instruction_id, w->adopt ? "adopted" : "submitted", NULL,
				  state_name(first_state(w)), NULL);
		wake_at_commit(WORKER_DISPATCHER);
		nobody_serves_warning();
	}
	result = in.instruction_id != 0 ? refund_datum_new(fcinfo, w, &r, &in) :
		refund_datum(fcinfo, w->refund_no);
	SPI_finish();
	error_context_stack = hide.previous;
	return result;
}

/*
 * Is there a refund with this number that says the same?  False if there is
 * none; ERROR if it says something else.
 */
static bool
existing_same(const RefundWords *w)
{
	static Statement find = {
		"SELECT CASE"
		"   WHEN i.kind <> 'refund' THEN 'it is the number of a ' || i.kind"
		"   WHEN c.name <> $2 THEN format('it is a refund through channel %L, not %L', c.name, $2)"
		"   WHEN p.payment_no <> $3 THEN format('it is a refund of payment %L, not %L', p.payment_no, $3)"
		"   WHEN i.amount <> $4 THEN format('its amount is %s, not %s', i.amount, $4)"
		"   WHEN i.currency <> coalesce($5, i.currency) THEN format('its currency is %s, not %s', i.currency, $5)"
		"   WHEN i.reason IS DISTINCT FROM $6 THEN 'it has another reason'"
		"   END"
		"  FROM refundx.instruction i"
		"  JOIN refundx.channel c USING (channel_id)"
		"  LEFT JOIN refundx.payment p USING (payment_id)"
		" WHERE i.instruction_no = $1",
		ARGS(TEXTOID, TEXTOID, TEXTOID, INT8OID, TEXTOID, TEXTOID)
	};
	Values		v = {0};
	char	   *difference;

	values_text(&v, w->refund_no);
	values_text(&v, w->payment.channel);
	values_text(&v, w->payment.payment_no);
	values_int8(&v, w->amount);
	values_text(&v, w->payment.currency);
	values_text(&v, w->reason);
	if (statement_run(&find, &v) != 1)
		return false;
	difference = row_text(0, 1);
	if (difference != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_RX_NUMBER_REUSED),
				 errmsg("refund number \"%s\" is already taken", w->refund_no),
				 errdetail("Submitted before, %s.", difference),
				 errhint("The same call again returns the existing refund; another refund needs another number.")));
	return true;
}

static State
first_state(const RefundWords *w)
{
	return w->adopt ? STATE_UNKNOWN : STATE_QUEUED;
}

static void
new_instruction(const RefundWords *w, const Reserved *r, NewInstruction *in)
{
	in->kind = PRODUCT_REFUND;
	in->number = w->refund_no;
	in->channel_id = r->channel_id;
	in->merchant_id = r->merchant_id;
	in->payment_id = r->payment_id;
	in->account_id = r->account_id;
	in->amount = w->amount;
	in->currency = r->currency;
	in->reason = w->reason;
	in->state = first_state(w);
	in->may_send = !w->adopt;
}

static TupleDesc
refund_descriptor(FunctionCallInfo fcinfo)
{
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be refundx.refund");
	return BlessTupleDesc(desc);
}

/* The same as refund_datum() of a refund that is new, without reading it again. */
static Datum
refund_datum_new(FunctionCallInfo fcinfo, const RefundWords *w, const Reserved *r,
				 const NewInstruction *in)
{
	TupleDesc	desc = refund_descriptor(fcinfo);
	Datum		values[13];
	bool		nulls[13] = {false};

	if (desc->natts != lengthof(values))
		elog(ERROR, "refundx.refund has %d attributes", desc->natts);
	values[0] = CStringGetTextDatum(w->refund_no);
	values[1] = CStringGetTextDatum(w->payment.channel);
	values[2] = CStringGetTextDatum(w->payment.payment_no);
	values[3] = Int64GetDatum(w->amount);
	values[4] = CStringGetTextDatum(r->currency);
	nulls[5] = w->reason == NULL;
	values[5] = nulls[5] ? (Datum) 0 : CStringGetTextDatum(w->reason);
	values[6] = CStringGetTextDatum(state_name(first_state(w)));
	nulls[7] = true;			/* detail */
	values[8] = TimestampTzGetDatum(in->state_since);
	values[9] = TimestampTzGetDatum(in->due_at);
	values[10] = Int32GetDatum(0);	/* attempts */
	nulls[11] = true;			/* with_person */
	values[12] = TimestampTzGetDatum(in->submitted_at);
	return PointerGetDatum(SPI_returntuple(heap_form_tuple(desc, values, nulls), desc));
}

/* The row of refundx.refunds as a composite, for the caller's ORM. */
Datum
refund_datum(FunctionCallInfo fcinfo, const char *refund_no)
{
	static Statement find = {
		"SELECT i.instruction_no, c.name, p.payment_no, i.amount, i.currency, i.reason, i.state,"
		"       i.detail, i.state_since, i.due_at, i.attempts, i.person_reason, i.submitted_at"
		"  FROM refundx.instruction i"
		"  JOIN refundx.channel c USING (channel_id)"
		"  LEFT JOIN refundx.payment p USING (payment_id)"
		" WHERE i.instruction_no = $1", ARGS(TEXTOID)
	};
	Values		v = {0};
	HeapTuple	row;

	values_text(&v, refund_no);
	if (statement_run(&find, &v) != 1)
		elog(ERROR, "refund \"%s\" vanished", refund_no);
	row = SPI_copytuple(SPI_tuptable->vals[0]);
	return PointerGetDatum(SPI_returntuple(row, refund_descriptor(fcinfo)));
}
