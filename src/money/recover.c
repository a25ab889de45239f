/*-------------------------------------------------------------------------
 *
 * recover.c
 *	  A recovery: what is done when part of the past may be missing.
 *
 * After a restore, a promotion, or the arming of a copy there is a gap: from the
 * last moment that this database knows of to the moment at which it went on.  In
 * the gap whoever had the data may have sent anything.  What has to be survived:
 *
 *	- what is open here was sent there: it is asked about before it is sent
 *	  (lost.c).  Each waits for its own answer, and for nobody else's;
 *	- what is not here at all was sent there, and its caller, who never heard of a
 *	  commit that was lost, submits it again: until the gap's bills are in, what
 *	  is submitted is asked about, too, before it is sent the first time
 *	  (worker/dispatch_claim.c), and not canceled before (decide.c);
 *	- what is not here, and is never submitted again: the gap's bills bring it,
 *	  as a refund made elsewhere;
 *	- it happens again before it is over.
 *
 * So nothing stops while a recovery is under way but what itself may have been
 * sent; and that until its own answer has come.  The clerk follows it
 * (src/sql/52_recover.sql), and reports when all have been answered, and again when
 * the bills are in.
 *
 * src/money/recover.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/recover.h"

#include "base/clock.h"
#include "base/errors.h"
#include "base/shmem.h"
#include "money/handler.h"
#include "money/lost.h"
#include "money/money.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(refundx_recovery_ask);

static int64 supersede(const char *why, bool *any);

void
recovery_begin(const char *cause, const char *why, int64 since, Recovery *r)
{
	static Statement insert = {
		"INSERT INTO refundx.recovery (cause, timeline, reason, began_at, gap_from, gap_to, event_seq)"
		" SELECT $1, t.timeline, $2, $3, least($3, coalesce($4, refundx.recovery_known_to($1, $3)), $5), $3, s.last_value"
		"   FROM refundx.this_installation() t, refundx.event_seq_seq s RETURNING recovery_id",
		ARGS(TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID)
	};
	static Statement count = {
		"UPDATE refundx.recovery SET asked = $2, notices = $3 WHERE recovery_id = $1",
		ARGS(INT8OID, INT8OID, INT8OID)
	};
	static Statement no_claims = {"LOCK TABLE refundx.pause IN EXCLUSIVE MODE", NO_ARGS};
	/* what a merchant has made is looked for once an hour only: its first may be younger */
	static Statement look_again = {"UPDATE refundx.bill_plan SET looked_at = NULL WHERE first_day IS NULL", NO_ARGS};
	bool		any;
	int64		gap_from;
	Values		v = {0};

	/*
	 * As of a pause: what is being claimed is claimed, and asked about; whoever
	 * claims after this has committed sees it.  The dispatcher itself, at its start,
	 * is nobody's other.
	 */
	if (strcmp(cause, "timeline") != 0)
		statement_run(&no_claims, NULL);
	gap_from = supersede(why, &any);
	values_text(&v, cause);
	values_text(&v, why);
	values_time(&v, clock_now());
	values_datum(&v, TimestampTzGetDatum(since), since == 0);
	values_datum(&v, TimestampTzGetDatum(gap_from), !any);
	statement_run(&insert, &v);
	r->recovery_id = row_int8(0, 1);
	r->asked = (int64) lost_mark_all(r->recovery_id, why);
	r->notices = (int64) lost_stop_notices(why);
	statement_run(&look_again, NULL);
	values_reset(&v);
	values_int8(&v, r->recovery_id);
	values_int8(&v, r->asked);
	values_int8(&v, r->notices);
	statement_run(&count, &v);
}

/* What the one before has not found out is this one's to find out. */
static int64
supersede(const char *why, bool *any)
{
	static Statement end = {
		"UPDATE refundx.recovery SET state = 'superseded', done_at = $1, done_by = session_user,"
		"       done_reason = 'another recovery began: ' || $2, end_seq = (SELECT last_value FROM refundx.event_seq_seq)"
		" WHERE state IN ('asking', 'books') RETURNING gap_from", ARGS(TIMESTAMPTZOID, TEXTOID)
	};
	Values		v = {0};

	values_time(&v, clock_now());
	values_text(&v, why);
	*any = statement_run(&end, &v) == 1;
	return *any ? row_time(0, 1) : 0;
}

/*
 * SQL: recovery_ask(instructions bigint[]) returns bigint
 *
 * For the dispatcher, which holds their rows: they are to be sent the first time,
 * and their numbers may have been used in the gap.
 */
Datum
refundx_recovery_ask(PG_FUNCTION_ARGS)
{
	static Statement under_way = {
		"SELECT recovery_id, gap_to FROM refundx.recovery WHERE state IN ('asking', 'books') FOR SHARE", NO_ARGS
	};
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	Column		ids;
	Datum	   *id;
	int			n;
	int64		asked = 0;

	deconstruct_array(array, INT8OID, 8, true, TYPALIGN_DOUBLE, &id, NULL, &n);
	column_init(&ids, INT8OID);
	for (int i = 0; i < n; i++)
		column_int8(&ids, DatumGetInt64(id[i]));
	SPI_connect();
	if (statement_run(&under_way, NULL) == 1)
		asked = (int64) lost_mark_some(row_int8(0, 1), "its number may have been used in what was lost", row_time(0, 2), &ids);
	SPI_finish();
	PG_RETURN_INT64(asked);
}
