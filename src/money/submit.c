/*-------------------------------------------------------------------------
 *
 * submit.c
 *	  What callers do to a refund in their own transaction: submit, adopt,
 *	  cancel.
 *
 * Everything here can roll back.  A submit freezes the amount and queues the
 * refund, or neither; nothing is sent before the caller's commit, because the
 * dispatcher only sees what is committed.
 *
 * The order of locks is payment, instruction, account, as everywhere.  The
 * submit reserves the amount in the payment first (reserve.c), which locks it:
 * two concurrent refunds of 60 on 100 queue up behind each other at that row,
 * and the second one finds 60 taken.
 *
 * src/money/submit.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/money.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/relation.h"
#include "base/row_insert.h"
#include "base/shmem.h"
#include "catalog/namespace.h"
#include "commands/dbcommands.h"
#include "money/journal.h"
#include "money/reserve.h"
#include "money/state.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(refundx_refund_submit);
PG_FUNCTION_INFO_V1(refundx_refund_adopt);
PG_FUNCTION_INFO_V1(refundx_refund_cancel);

/* What the table added to a new instruction. */
typedef struct Inserted
{
	int64		instruction_id; /* 0 = none was: the number exists already */
	TimestampTz due_at;
	TimestampTz state_since;
	TimestampTz submitted_at;
} Inserted;

static Datum submit(FunctionCallInfo fcinfo, RefundWords *w);
static bool existing_same(const RefundWords *w);
static State first_state(const RefundWords *w);
static bool number_exists(const char *refund_no);
static void number_taken(void *words);
static void instruction_insert(const RefundWords *w, const Reserved *r, Inserted *in);
static Datum refund_datum_new(FunctionCallInfo fcinfo, const RefundWords *w, const Reserved *r,
							  const Inserted *in);
static Datum refund_datum(FunctionCallInfo fcinfo, const char *refund_no);
static void nobody_serves_warning(void);

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
	Inserted	in = {0};
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
	else if (number_exists(w->refund_no))
	{
		/* give back what this call reserved, and compare */
		unreserve(w, &r);
		if (!existing_same(w))
			number_taken(w);
	}
	else
	{
		instruction_insert(w, &r, &in);

		/*
		 * Only a refund that is new is held against what the channel would
		 * refuse: a repeated call for one from last year returns that one.
		 */
		if (!w->adopt &&
			!r.channel->acceptable(&r.instr, timestamptz_to_unix_us(clock_now()) / USECS_PER_SEC, &err))
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

/*
 * Is there a refund of this number?  Callers of one payment come here one
 * after the other, under its lock, and each sees what the one before it has
 * committed; so a repeated call never gets as far as the insert.
 */
static bool
number_exists(const char *refund_no)
{
	Relation	instruction = table_open(relation_oid("instruction"), AccessShareLock);
	Oid			index = relation_oid("instruction_instruction_no_key");
	Snapshot	snapshot;
	SysScanDesc scan;
	ScanKeyData key;
	bool		found;

	CommandCounterIncrement();	/* also what this statement has submitted */
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	ScanKeyInit(&key, SPI_fnumber(RelationGetDescr(instruction), "instruction_no"),
				BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(refund_no));
	scan = systable_beginscan(instruction, index, true, snapshot, 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(instruction, AccessShareLock);
	return found;
}

/*
 * The number is there, and this transaction cannot see it: another one has
 * just taken it (for another payment), or this one's snapshot is older.
 */
static void
number_taken(void *arg)
{
	const RefundWords *w = arg;

	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access to refund \"%s\"", w->refund_no),
			 errhint("Retry the transaction.")));
}

static void
instruction_insert(const RefundWords *w, const Reserved *r, Inserted *in)
{
	static RowTarget instruction = {"instruction", {
		"instruction_id", "kind", "instruction_no", "wire_no", "channel_id", "merchant_id",
			"payment_id", "account_id", "amount", "currency", "reason", "state", "is_open",
			"state_since", "due_at", "due_call", "attempts", "polls", "unexplained", "generation",
			"may_send", "submitted_at", "submitted_by", NULL
	}};
	RowValues	v = {0};
	Datum		zero = Int32GetDatum(0);

	in->instruction_id = row_next_id(&instruction);
	in->due_at = clock_now();
	in->state_since = in->submitted_at = GetCurrentTimestamp();
	row_value(&v, Int64GetDatum(in->instruction_id), false);
	row_value_text(&v, "refund");
	row_value_text(&v, w->refund_no);
	row_value_text(&v, w->refund_no);
	row_value(&v, Int32GetDatum(r->channel_id), false);
	row_value(&v, Int32GetDatum(r->merchant_id), false);
	row_value(&v, Int64GetDatum(r->payment_id), false);
	row_value(&v, Int64GetDatum(r->account_id), r->account_id == 0);
	row_value(&v, Int64GetDatum(w->amount), false);
	row_value_text(&v, r->currency);
	row_value_text(&v, w->reason);
	row_value_text(&v, state_name(first_state(w)));
	row_value(&v, BoolGetDatum(true), false);
	row_value(&v, TimestampTzGetDatum(in->state_since), false);
	row_value(&v, TimestampTzGetDatum(in->due_at), false);
	row_value_text(&v, w->adopt ? "query" : "submit");
	row_value(&v, zero, false); /* attempts */
	row_value(&v, zero, false); /* polls */
	row_value(&v, zero, false); /* unexplained */
	row_value(&v, zero, false); /* generation */
	row_value(&v, BoolGetDatum(!w->adopt), false);
	row_value(&v, TimestampTzGetDatum(in->submitted_at), false);
	row_value_text(&v, session_user_name());
	row_insert(&instruction, &v, number_taken, (void *) w);
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
				 const Inserted *in)
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
static Datum
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

/*
 * Queued, but nobody will send it: say so, once per session, where a
 * newcomer sees it.
 */
static void
nobody_serves_warning(void)
{
	static bool said = false;

	if (said || shmem_my_database() != NULL)
		return;
	said = true;
	ereport(WARNING,
			(errmsg("refunds of this database are queued, but no worker sends them"),
			 errhint("Add the database to refundx.databases, for example: ALTER SYSTEM SET refundx.databases = '%s:8443'; then reload.",
					 get_database_name(MyDatabaseId))));
}

/*
 * SQL: refund_cancel(refund_no, reason) returns refundx.refund.
 *
 * Only a refund that was never attempted is canceled here: under the row's
 * lock, which the dispatcher's claim needs as well.  Everything else is the
 * channel's to say.
 */
Datum
refundx_refund_cancel(PG_FUNCTION_ARGS)
{
	/* payment, instruction, account: the order of locks */
	static Statement lock_payment = {
		"SELECT p.payment_id, p.hold FROM refundx.instruction i JOIN refundx.payment p USING (payment_id)"
		" WHERE i.instruction_no = $1 AND (i.submitted_by = session_user OR refundx.reads_all())"
		"   FOR NO KEY UPDATE OF p", ARGS(TEXTOID)
	};
	static Statement lock = {
		"SELECT instruction_id, state, attempts, account_id, amount, state_since::text, kind"
		"  FROM refundx.instruction WHERE instruction_no = $1 FOR NO KEY UPDATE", ARGS(TEXTOID)
	};
	static Statement cancel = {
		"UPDATE refundx.instruction SET state = 'canceled', is_open = false, state_since = clock_timestamp(),"
		"       detail = $2, due_at = NULL, due_call = NULL,"
		"       person_reason = NULL, person_suggestion = NULL, person_since = NULL"
		" WHERE instruction_id = $1", ARGS(INT8OID, TEXTOID)
	};
	static Statement release = {
		"UPDATE refundx.payment SET refunding = refunding - $2, parts = parts - 1 WHERE payment_id = $1",
		ARGS(INT8OID, INT8OID)
	};
	char	   *refund_no = TEXT_ARG(0);
	char	   *reason = TEXT_ARG(1);
	Values		v = {0};
	const Transition *t;
	State		state;
	int64		payment_id;
	int64		instruction_id;
	int64		account_id;
	int64		amount;
	char	   *hold;
	Datum		result;

	shmem_require();
	argument_text("refund_no", refund_no, CHANNEL_NO_MAX);
	SPI_connect();
	values_text(&v, refund_no);
	if (statement_run(&lock_payment, &v) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_RX_UNKNOWN_REFUND),
				 errmsg("refund \"%s\" does not exist", refund_no)));
	payment_id = row_int8(0, 1);
	hold = row_text(0, 2);
	statement_run(&lock, &v);
	instruction_id = row_int8(0, 1);
	account_id = row_int8(0, 4);
	amount = row_int8(0, 5);
	if (!state_from_name(row_text(0, 2), &state))
		elog(ERROR, "refund \"%s\" has an unknown state", refund_no);

	t = state_transition(state, INPUT_CANCEL);
	if (t->reaction == REACTION_REFUSE || (t->reaction == REACTION_MOVE && row_int4(0, 3) > 0))
		ereport(ERROR,
				(errcode(ERRCODE_RX_STATE),
				 errmsg("refund \"%s\" cannot be canceled", refund_no),
				 errdetail("It is %s since %s, after %d attempts: %s.", state_name(state), row_text(0, 6),
						   row_int4(0, 3),
						   t->reaction == REACTION_REFUSE ? t->comment : "the channel may have executed one of them"),
				 errhint("SELECT refundx.refund_explain('%s') says what it waits for.", refund_no)));
	if (t->reaction == REACTION_MOVE)
	{
		if (hold != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_RX_ON_HOLD),
					 errmsg("the payment of refund \"%s\" is on hold: %s", refund_no, hold)));
		values_reset(&v);
		values_int8(&v, instruction_id);
		values_text(&v, reason);
		statement_run(&cancel, &v);
		values_reset(&v);
		values_int8(&v, payment_id);
		values_int8(&v, amount);
		statement_run(&release, &v);
		if (account_id != 0)
			journal_post(account_id, JOURNAL_RELEASE, amount, instruction_id, NULL, NULL);
		event_add(instruction_id, "canceled", state_name(state), state_name(t->to), reason);
		wake_at_commit(WORKER_DISPATCHER);
	}
	result = refund_datum(fcinfo, refund_no);
	SPI_finish();
	return result;
}
