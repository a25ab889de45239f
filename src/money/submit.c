/*-------------------------------------------------------------------------
 *
 * submit.c
 *	  What callers do to a refund in their own transaction: submit, adopt.
 *
 * Everything here can roll back.  A submit freezes the amount and queues the
 * refund, or neither; nothing is sent before the caller's commit, because the
 * dispatcher only sees what is committed.
 *
 * The order of locks is payment, instruction, account, as everywhere.  The
 * submit updates the payment first, which locks it and reserves the amount in
 * one step: two concurrent refunds of 60 on 100 queue up behind each other at
 * that row, and the second one finds 60 taken.  The check is in the UPDATE's
 * WHERE, for the sake of the message; behind it stands the table's constraint.
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
#include "money/channel_facts.h"
#include "money/external.h"
#include "money/instruction.h"
#include "money/journal.h"
#include "money/state.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(refundx_refund_submit);
PG_FUNCTION_INFO_V1(refundx_refund_adopt);

/* What a caller says of a refund. */
typedef struct RefundWords
{
	PaymentWords payment;		/* amount 0: the payment is known already */
	const char *refund_no;
	int64		amount;
	const char *reason;
	bool		adopt;			/* under way already: ask, do not send */
} RefundWords;

/* The payment's row after the reservation. */
typedef struct Reserved
{
	int64		payment_id;
	int32		channel_id;
	int32		merchant_id;
	int64		account_id;		/* 0 = none */
	char	   *currency;
	const Channel *channel;
	ChannelInstruction instr;
} Reserved;

static Datum submit(FunctionCallInfo fcinfo, RefundWords *w);
static bool reserve(const RefundWords *w, Reserved *r);
static void reserve_complain(const RefundWords *w);
static void unreserve(const RefundWords *w, const Reserved *r);
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
	ErrorContextCallback hide = {error_context_stack, hide_statement, NULL};
	Datum		result;

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
			instruction_number_taken((void *) w->refund_no);
	}
	else
	{
		if (r.account_id != 0)
			r.account_id = journal_choose_slot(r.account_id, w->amount);
		new_instruction(w, &r, &in);
		instruction_insert(&in);

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
 * Lock the payment and reserve the amount; false if there is no such payment
 * or it does not have the amount left, or is on hold.
 */
static bool
reserve(const RefundWords *w, Reserved *r)
{
	static Statement update = {
		"UPDATE refundx.payment"
		"   SET refunding = refunding + $3, parts = parts + 1"
		" WHERE channel_id = $1 AND payment_no = $2 AND hold IS NULL"
		"   AND currency = coalesce($4, currency)"
		"   AND $3 <= paid - refunding - refunded - returned - elsewhere - already_refunded"
		" RETURNING payment_id, account_id, currency, paid, paid_at, parts, channel_payment_id,"
		"           channel_data::text",
		ARGS(INT4OID, TEXTOID, INT8OID, TEXTOID)
	};
	const ChannelFacts *c = channel_facts(w->payment.channel);
	Values		v = {0};

	if (c == NULL || c->closed)
		return false;
	r->channel_id = c->channel_id;
	r->merchant_id = c->merchant_id;
	r->channel = c->channel;
	if (w->adopt)
		external_adopted(c->channel_id, c->merchant_id, w->payment.payment_no, w->refund_no);
	values_int4(&v, c->channel_id);
	values_text(&v, w->payment.payment_no);
	values_int8(&v, w->amount);
	values_text(&v, w->payment.currency);
	if (statement_run(&update, &v) != 1)
		return false;
	r->payment_id = row_int8(0, 1);
	r->account_id = row_int8(0, 2);
	r->currency = row_text(0, 3);

	r->instr.wire_no = w->refund_no;
	r->instr.amount = w->amount;
	r->instr.currency = r->currency;
	r->instr.payment_no = w->payment.payment_no;
	r->instr.payment_amount = row_int8(0, 4);
	r->instr.paid_at = row_null(0, 5) ? 0 : timestamptz_to_unix_us(row_time(0, 5)) / USECS_PER_SEC;
	r->instr.parts_before = row_int4(0, 6) - 1;
	r->instr.channel_payment_id = row_text(0, 7);
	r->instr.payment_data = row_text(0, 8);
	r->instr.reason = w->reason;
	return true;
}

/* Find out why nothing could be reserved, and say it. */
static void
reserve_complain(const RefundWords *w)
{
	static Statement find = {
		"SELECT p.hold, p.currency, p.paid, p.refunding, p.refunded, p.returned + p.elsewhere,"
		"       p.already_refunded"
		"  FROM refundx.channel c LEFT JOIN refundx.payment p"
		"    ON p.channel_id = c.channel_id AND p.payment_no = $2"
		" WHERE c.name = $1 AND NOT c.closed", ARGS(TEXTOID, TEXTOID)
	};
	Values		v = {0};
	int64		left;

	values_text(&v, w->payment.channel);
	values_text(&v, w->payment.payment_no);
	if (statement_run(&find, &v) != 1)
		channel_complain(w->payment.channel);
	if (row_null(0, 2))
		ereport(ERROR,
				(errcode(ERRCODE_RX_UNKNOWN_PAYMENT),
				 errmsg("payment \"%s\" of channel \"%s\" is not known",
						w->payment.payment_no, w->payment.channel),
				 errhint("Record it with refundx.payment_record(), or give payment_amount and currency to refundx.refund_submit().")));
	if (!row_null(0, 1))
		ereport(ERROR,
				(errcode(ERRCODE_RX_ON_HOLD),
				 errmsg("payment \"%s\" is on hold: %s", w->payment.payment_no, row_text(0, 1)),
				 errdetail("No refund of it is accepted until an operator has resolved this.")));
	if (w->payment.currency && strcmp(w->payment.currency, row_text(0, 2)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_RX_CURRENCY),
				 errmsg("payment \"%s\" is in %s, not in %s",
						w->payment.payment_no, row_text(0, 2), w->payment.currency)));
	left = row_int8(0, 3) - row_int8(0, 4) - row_int8(0, 5) - row_int8(0, 6) - row_int8(0, 7);
	if (left >= w->amount)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access to payment \"%s\"", w->payment.payment_no),
				 errhint("Retry the transaction.")));
	ereport(ERROR,
			(errcode(ERRCODE_RX_OVER_REFUND),
			 errmsg("refund \"%s\" of %lld exceeds the %lld left of payment \"%s\"",
					w->refund_no, (long long) w->amount, (long long) left, w->payment.payment_no),
			 errdetail("Of %lld paid, %lld are being refunded, %lld are refunded, and %lld were refunded elsewhere or before or came back (minor units of %s).",
					   (long long) row_int8(0, 3), (long long) row_int8(0, 4), (long long) row_int8(0, 5),
					   (long long) (row_int8(0, 6) + row_int8(0, 7)), row_text(0, 2))));
}

/* Take back this call's own reservation; the row is still locked. */
static void
unreserve(const RefundWords *w, const Reserved *r)
{
	static Statement update = {
		"UPDATE refundx.payment SET refunding = refunding - $2, parts = parts - 1"
		" WHERE payment_id = $1", ARGS(INT8OID, INT8OID)
	};
	Values		v = {0};

	values_int8(&v, r->payment_id);
	values_int8(&v, w->amount);
	if (statement_run(&update, &v) != 1)
		elog(ERROR, "payment %lld vanished", (long long) r->payment_id);
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
