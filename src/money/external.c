/*-------------------------------------------------------------------------
 *
 * external.c
 *	  Verified evidence about a refund that is not ours.
 *
 * Somebody refunded in the channel's console, or another system did, or we
 * did, before this database was restored from a backup: then it may be the
 * only trace.  It is kept, counted against what is left of the payment, so
 * that we do not pay it again, and handed to a person.
 *
 * src/money/external.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/sql.h"

#include "money/external.h"

#include "money/incident.h"
#include "utils/builtins.h"

static bool payment_learned(int64 payment_id, const EvidenceFacts *e);
static int64 count_against(int64 payment_id, const EvidenceFacts *e);

/*
 * The channel's own id of the payment decides where both sides have it, as in
 * weigh(): our payment_no need not be the order number that the channel tells.
 *
 * Sub-merchants of one provider may have orders of the same number: what names
 * another merchant than the channel's is about no payment here, and an order
 * number means the one of the channel at whose address it came in.
 */
int64
payment_of_evidence(const EvidenceFacts *e)
{
	static Statement find = {
		"SELECT payment_id FROM ("
		"  SELECT 1 AS choice, p.channel_id, p.payment_id"
		"    FROM refundx.payment p JOIN refundx.channel c USING (channel_id)"
		"   WHERE c.merchant_id = $1 AND p.channel_payment_id = $3"
		"  UNION ALL"
		"  SELECT 2, p.channel_id, p.payment_id"
		"    FROM refundx.payment p JOIN refundx.channel c USING (channel_id)"
		"   WHERE c.merchant_id = $1 AND p.payment_no = $2"
		"     AND ($3 IS NULL OR p.channel_payment_id IS NULL)) x"
		" WHERE EXISTS (SELECT FROM refundx.merchant m"
		"                WHERE m.merchant_id = $1 AND m.merchant_no = coalesce($4, m.merchant_no))"
		" ORDER BY choice, channel_id <> $5, payment_id LIMIT 1",
		ARGS(INT4OID, TEXTOID, TEXTOID, TEXTOID, INT4OID)
	};
	Values		v = {0};

	values_int4(&v, e->merchant_id);
	values_text(&v, e->payment_no);
	values_text(&v, e->channel_payment_id);
	values_text(&v, e->merchant_no);
	values_int4(&v, e->channel_id);
	return statement_run(&find, &v) == 1 ? row_int8(0, 1) : 0;
}

/*
 * Find the payment and lock it; -1 if it is there and somebody holds it, 0 if
 * it is not known.  SKIP LOCKED because the batch already holds locks that
 * come after payments in the order.
 */
static int64
lock_payment(const EvidenceFacts *e)
{
	static Statement lock = {
		"SELECT payment_id FROM refundx.payment WHERE payment_id = $1 FOR NO KEY UPDATE SKIP LOCKED",
		ARGS(INT8OID)
	};
	int64		payment_id = payment_of_evidence(e);
	Values		v = {0};

	if (payment_id == 0)
		return 0;
	values_int8(&v, payment_id);
	return statement_run(&lock, &v) == 1 ? payment_id : -1;
}

static void
tell(const EvidenceFacts *e)
{
	incident_add(&(Incident) {
		.kind = "made_elsewhere",
		.subject = e->wire_no,
		.reason = psprintf("the channel speaks of a %s that was not made here", product_name(e->about)),
		.done = "it is kept, and counted against its payment where that is known; a person has to find out who made it"
	});
}

/*
 * What is known of it may not have named the payment: the line of a fund bill does
 * not, and that of the day's trade bill, which may come later, does.
 */
bool
external_keep(const EvidenceFacts *e, char **note)
{
	static Statement insert = {
		"INSERT INTO refundx.external_refund AS x (channel_id, merchant_id, wire_no, payment_id, amount,"
		"       evidence_id, person_reason, person_suggestion, about)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
		" ON CONFLICT (merchant_id, about, wire_no) DO UPDATE"
		"   SET payment_id = excluded.payment_id, amount = coalesce(excluded.amount, x.amount),"
		"       evidence_id = excluded.evidence_id, person_reason = excluded.person_reason"
		" WHERE x.payment_id IS NULL AND excluded.payment_id IS NOT NULL"
		" RETURNING xmax = 0",
		ARGS(INT4OID, INT4OID, TEXTOID, INT8OID, INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID)
	};
	static Statement set_counted = {
		"UPDATE refundx.external_refund SET counted = $3"
		" WHERE merchant_id = $1 AND about = 'refund' AND wire_no = $2",
		ARGS(INT4OID, TEXTOID, INT8OID)
	};
	Values		v = {0};
	int64		payment_id;
	int64		counted;

	/*
	 * Only what the channel has paid, or has taken on, is money.  Of a callback
	 * that is but a hint nobody can ask here, for the number is not ours; it may
	 * be the only trace all the same.
	 */
	if (!(e->proof ? e->verdict == VERDICT_ACCEPTED || e->verdict == VERDICT_SUCCEEDED ||
		  e->verdict == VERDICT_ABNORMAL
		  : e->verdict == VERDICT_ASK && strcmp(e->source, "callback") == 0))
	{
		*note = "a number that is not known here; it moved no money";
		return true;
	}
	/* a transfer is of no payment, whatever numbers it names */
	payment_id = e->about == PRODUCT_REFUND ? lock_payment(e) : 0;
	if (payment_id < 0)
		return false;

	values_int4(&v, e->channel_id);
	values_int4(&v, e->merchant_id);
	values_text(&v, e->wire_no);
	values_datum(&v, Int64GetDatum(payment_id), payment_id == 0);
	values_datum(&v, Int64GetDatum(e->amount), !e->has_amount);
	values_int8(&v, e->evidence_id);
	values_text(&v, e->about == PRODUCT_TRANSFER ? "the channel speaks of a withdrawal that was not made here"
				: payment_id ? "the channel speaks of a refund that was not made here"
				: "the channel speaks of a refund, and of a payment, that are not known here");
	values_text(&v, "Find out who made it: the channel's console, another system, or this database before a restore.");
	values_text(&v, product_name(e->about));
	if (statement_run(&insert, &v) == 0 && !payment_learned(payment_id, e))
	{
		*note = psprintf("a %s made elsewhere; known", product_name(e->about));
		return true;
	}
	if (row_bool(0, 1))
		tell(e);
	counted = payment_id && e->has_amount ? count_against(payment_id, e) : 0;
	if (counted > 0)
	{
		values_reset(&v);
		values_int4(&v, e->merchant_id);
		values_text(&v, e->wire_no);
		values_int8(&v, counted);
		statement_run(&set_counted, &v);
	}
	*note = e->about == PRODUCT_TRANSFER ? "a withdrawal made elsewhere"
		: psprintf("a refund made elsewhere; %lld counted against the payment", (long long) counted);
	return true;
}

/*
 * A fund bill says of a refund only that money went out; the trade bill, which comes
 * a moment later, of which payment it is.
 */
static bool
payment_learned(int64 payment_id, const EvidenceFacts *e)
{
	static Statement learn = {
		"UPDATE refundx.external_refund SET payment_id = $3, amount = coalesce($4, amount), evidence_id = $5,"
		"       person_reason = 'the channel speaks of a refund that was not made here'"
		" WHERE merchant_id = $1 AND about = 'refund' AND wire_no = $2 AND payment_id IS NULL AND ignored_at IS NULL",
		ARGS(INT4OID, TEXTOID, INT8OID, INT8OID, INT8OID)
	};
	Values		v = {0};

	if (payment_id == 0)
		return false;
	values_int4(&v, e->merchant_id);
	values_text(&v, e->wire_no);
	values_int8(&v, payment_id);
	values_datum(&v, Int64GetDatum(e->amount), !e->has_amount);
	values_int8(&v, e->evidence_id);
	return statement_run(&learn, &v) == 1;
}

/*
 * Count as much as the payment has left.  If that is less than the refund,
 * more has left the channel than was paid: stop the payment.
 */
static int64
count_against(int64 payment_id, const EvidenceFacts *e)
{
	static Statement count = {
		"UPDATE refundx.payment p"
		"   SET elsewhere = p.elsewhere + least($2, l.amount),"
		"       hold = CASE WHEN $2 > l.amount THEN coalesce(p.hold, $3) ELSE p.hold END,"
		"       hold_since = CASE WHEN $2 > l.amount AND p.hold IS NULL THEN clock_timestamp() ELSE p.hold_since END,"
		"       hold_by = CASE WHEN $2 > l.amount AND p.hold IS NULL THEN 'external' ELSE p.hold_by END"
		"  FROM (SELECT paid - refunding - refunded - returned - elsewhere - already_refunded AS amount"
		"          FROM refundx.payment WHERE payment_id = $1) l"
		" WHERE p.payment_id = $1"
		" RETURNING least($2, l.amount)",
		ARGS(INT8OID, INT8OID, TEXTOID)
	};
	Values		v = {0};

	values_int8(&v, payment_id);
	values_int8(&v, e->amount);
	values_text(&v, psprintf("refund %s, made elsewhere, exceeds what was left of the payment", e->wire_no));
	return statement_run(&count, &v) == 1 ? row_int8(0, 1) : 0;
}

/* The payment is locked first, as everywhere. */
void
external_adopted(int32 channel_id, int32 merchant_id, const char *payment_no, const char *wire_no)
{
	static Statement give_back = {
		"WITH p AS ("
		"  SELECT payment_id FROM refundx.payment"
		"   WHERE channel_id = $1 AND payment_no = $2 FOR NO KEY UPDATE),"
		" x AS ("
		"  SELECT e.external_id, e.payment_id, e.counted"
		"    FROM p JOIN refundx.external_refund e USING (payment_id)"
		"   WHERE e.merchant_id = $3 AND e.about = 'refund' AND e.wire_no = $4 AND e.counted > 0 FOR UPDATE OF e),"
		" u AS ("
		"  UPDATE refundx.external_refund e SET counted = 0 FROM x WHERE e.external_id = x.external_id)"
		" UPDATE refundx.payment p SET elsewhere = p.elsewhere - x.counted"
		"   FROM x WHERE p.payment_id = x.payment_id",
		ARGS(INT4OID, TEXTOID, INT4OID, TEXTOID)
	};
	Values		v = {0};

	values_int4(&v, channel_id);
	values_text(&v, payment_no);
	values_int4(&v, merchant_id);
	values_text(&v, wire_no);
	statement_run(&give_back, &v);
}
