/*-------------------------------------------------------------------------
 *
 * reserve.c
 *	  Reserving the amount of a refund in its payment.
 *
 * A payment's row is where its refunds queue up: whoever reserves holds it
 * until the end of the transaction, and the next one finds what is left.  What
 * is left is checked here, for the sake of the message; behind it stands the
 * table's constraint.
 *
 * src/money/reserve.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/reserve.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/relation.h"
#include "base/row_target.h"
#include "miscadmin.h"
#include "money/channel_facts.h"
#include "money/external.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* The payment's columns, those first that a reservation changes. */
enum
{
	P_REFUNDING,
	P_PARTS,
	P_PAYMENT_ID,
	P_CHANNEL_ID,
	P_PAYMENT_NO,
	P_CURRENCY,
	P_PAID,
	P_REFUNDED,
	P_RETURNED,
	P_ELSEWHERE,
	P_ALREADY_REFUNDED,
	P_HOLD,
	P_ACCOUNT_ID,
	P_PAID_AT,
	P_CHANNEL_PAYMENT_ID,
	P_CHANNEL_DATA
};

static RowTarget payment = {"payment", {
	"refunding", "parts", "payment_id", "channel_id", "payment_no", "currency", "paid",
		"refunded", "returned", "elsewhere", "already_refunded", "hold", "account_id",
		"paid_at", "channel_payment_id", "channel_data", NULL
},.existing = true};

static bool reserve_in(Relation rel, const RefundWords *w, Reserved *r);
static bool has_left(TupleTableSlot *row, const RefundWords *w, const Reserved *r);
static bool lock_payment(Relation rel, ItemPointer tid, Snapshot snapshot, TupleTableSlot *row,
						 bool *newer);
static void change_payment(TupleTableSlot *row, const RefundWords *w);
static void reserved_from_row(TupleTableSlot *row, const RefundWords *w, Reserved *r);

/* ---- a column of the payment's row ---- */

static bool
is_null(TupleTableSlot *row, int column)
{
	bool		isnull;

	(void) row_column(&payment, column, row, &isnull);
	return isnull;
}

static int64
get_int8(TupleTableSlot *row, int column)
{
	bool		isnull;
	Datum		d = row_column(&payment, column, row, &isnull);

	return isnull ? 0 : DatumGetInt64(d);
}

static int32
get_int4(TupleTableSlot *row, int column)
{
	bool		isnull;
	Datum		d = row_column(&payment, column, row, &isnull);

	return isnull ? 0 : DatumGetInt32(d);
}

static char *
get_text(TupleTableSlot *row, int column)
{
	bool		isnull;
	Datum		d = row_column(&payment, column, row, &isnull);

	return isnull ? NULL : TextDatumGetCString(d);
}

/* ---- reserving ---- */

bool
reserve(const RefundWords *w, Reserved *r)
{
	const ChannelFacts *c = channel_facts(w->payment.channel);
	Relation	rel;
	bool		done;

	if (c == NULL || c->closed)
		return false;
	r->channel_id = c->channel_id;
	r->merchant_id = c->merchant_id;
	r->channel = c->channel;
	if (w->adopt)
		external_adopted(c->channel_id, c->merchant_id, w->payment.payment_no, w->refund_no);
	rel = row_target_open(&payment);
	done = reserve_in(rel, w, r);
	table_close(rel, NoLock);
	return done;
}

/*
 * This does what
 *
 *		UPDATE refundx.payment
 *		   SET refunding = refunding + amount, parts = parts + 1
 *		 WHERE channel_id = ... AND payment_no = ... AND (has_left)
 *		RETURNING ...
 *
 * would, without an executor (see row_target.c), and as that does: what has
 * not the amount left is not locked, and what somebody else has changed
 * meanwhile is looked at once more when it is locked.
 */
static bool
reserve_in(Relation rel, const RefundWords *w, Reserved *r)
{
	TupleTableSlot *seen = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsHeapTuple);
	TupleTableSlot *locked = table_slot_create(rel, NULL);
	Snapshot	snapshot;
	SysScanDesc scan;
	ScanKeyData key[2];
	HeapTuple	tuple;
	bool		newer = false;
	bool		done = false;

	/* what this transaction has written itself counts as well */
	CommandCounterIncrement();
	snapshot = RegisterSnapshot(IsolationUsesXactSnapshot() ? GetTransactionSnapshot()
								: GetLatestSnapshot());
	ScanKeyInit(&key[0], payment.attnum[P_CHANNEL_ID], BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(r->channel_id));
	ScanKeyInit(&key[1], payment.attnum[P_PAYMENT_NO], BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(w->payment.payment_no));
	scan = systable_beginscan(rel, relation_oid("payment_channel_id_payment_no_key"), true,
							  snapshot, 2, key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		ExecStoreHeapTuple(tuple, seen, false);
		done = has_left(seen, w, r) &&
			lock_payment(rel, &tuple->t_self, snapshot, locked, &newer) &&
			(!newer || has_left(locked, w, r));
		ExecClearTuple(seen);
	}
	systable_endscan(scan);
	if (done)
	{
		change_payment(locked, w);
		reserved_from_row(locked, w, r);
	}
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(seen);
	ExecDropSingleTupleTableSlot(locked);
	return done;
}

/* Is it the payment that is meant, and may the amount be taken from it? */
static bool
has_left(TupleTableSlot *row, const RefundWords *w, const Reserved *r)
{
	return get_int4(row, P_CHANNEL_ID) == r->channel_id &&
		strcmp(get_text(row, P_PAYMENT_NO), w->payment.payment_no) == 0 &&
		is_null(row, P_HOLD) &&
		(w->payment.currency == NULL || strcmp(get_text(row, P_CURRENCY), w->payment.currency) == 0) &&
		w->amount <= get_int8(row, P_PAID) - get_int8(row, P_REFUNDING) - get_int8(row, P_REFUNDED) -
		get_int8(row, P_RETURNED) - get_int8(row, P_ELSEWHERE) - get_int8(row, P_ALREADY_REFUNDED);
}

/*
 * Lock the row, waiting for whoever has it, and fetch it into `row`; `newer`
 * if that is not the version that was seen.  False if it is gone.  Where the
 * snapshot is the transaction's a newer version is a 40001, as for any UPDATE.
 */
static bool
lock_payment(Relation rel, ItemPointer tid, Snapshot snapshot, TupleTableSlot *row, bool *newer)
{
	TM_FailureData failure;
	TM_Result	result;
	uint8		flags = TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS;

	if (!IsolationUsesXactSnapshot())
		flags |= TUPLE_LOCK_FLAG_FIND_LAST_VERSION;
	/* what an executor would say, on a standby too, before it locks a row */
	PreventCommandIfReadOnly("UPDATE");
	result = table_tuple_lock(rel, tid, snapshot, row, GetCurrentCommandId(false),
							  LockTupleNoKeyExclusive, LockWaitBlock, flags, &failure);
	if ((result == TM_Updated || result == TM_Deleted) && IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update")));
	if (result != TM_Ok && result != TM_Deleted)
		elog(ERROR, "could not lock a payment: result %d", (int) result);
	*newer = result == TM_Ok && failure.traversed;
	return result == TM_Ok;
}

static void
change_payment(TupleTableSlot *row, const RefundWords *w)
{
	RowWriter	writer;
	RowValues	v = {0};
	EPQState	epq;

	row_value(&v, Int64GetDatum(get_int8(row, P_REFUNDING) + w->amount), false);
	row_value(&v, Int32GetDatum(get_int4(row, P_PARTS) + 1), false);
	row_writer_begin(&writer, &payment, false);
	row_writer_change(&writer, row, &v);
	compat_eval_plan_qual_init(&epq, writer.estate);
	ExecSimpleRelationUpdate(writer.result, writer.estate, &epq, row, writer.slot);
	row_writer_written(&writer);
	EvalPlanQualEnd(&epq);
	row_writer_end(&writer);
	CommandCounterIncrement();
}

/* From the row as it was just before. */
static void
reserved_from_row(TupleTableSlot *row, const RefundWords *w, Reserved *r)
{
	bool		isnull;
	Datum		data = row_column(&payment, P_CHANNEL_DATA, row, &isnull);

	r->payment_id = get_int8(row, P_PAYMENT_ID);
	r->account_id = get_int8(row, P_ACCOUNT_ID);
	r->currency = get_text(row, P_CURRENCY);

	r->instr.wire_no = w->refund_no;
	r->instr.amount = w->amount;
	r->instr.currency = r->currency;
	r->instr.payment_no = w->payment.payment_no;
	r->instr.payment_amount = get_int8(row, P_PAID);
	r->instr.paid_at = is_null(row, P_PAID_AT) ? 0 :
		timestamptz_to_unix_us(get_int8(row, P_PAID_AT)) / USECS_PER_SEC;
	r->instr.parts_before = get_int4(row, P_PARTS);
	r->instr.channel_payment_id = get_text(row, P_CHANNEL_PAYMENT_ID);
	if (!isnull)
	{
		Jsonb	   *jsonb = DatumGetJsonbP(data);

		r->instr.payment_data = JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));
	}
	r->instr.reason = w->reason;
}

/* Find out why nothing could be reserved, and say it. */
void
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
void
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
