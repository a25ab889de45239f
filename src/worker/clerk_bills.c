/*-------------------------------------------------------------------------
 *
 * clerk_bills.c
 *	  The clerk's part in bills: which are due, reading them, reconciling a day.
 *
 * The dispatcher has it started when a bill has been fetched.  Each bill is read in
 * a transaction of its own, and each day is reconciled in one, so that one that fails
 * (a full disk) keeps no other from its turn; it is tried again in the next round.  A
 * bad file is no failure: it goes to a person (money/bill_load.c).
 *
 * src/worker/clerk_bills.c
 *
 *-------------------------------------------------------------------------
 */
#include "worker/worker.h"

#include "base/clock.h"
#include "base/settings.h"
#include "base/sql.h"
#include "base/testpoint.h"
#include "money/bill.h"

/* Where in the round we are; every item once a round. */
typedef struct BillRound
{
	int64		bill_id;		/* read last */
	int32		merchant_id;	/* reconciled last; 0 = none */
	DateADT		day;
	char		text[64];		/* what is done now, for the health view */
	bool		more;
} BillRound;

static void
make_due(void *arg)
{
	static Statement make = {"SELECT refundx.bills_make_due($1)", ARGS(TIMESTAMPTZOID)};
	Values		v = {0};

	values_time(&v, clock_now());
	statement_run(&make, &v);
	if (row_int4(0, 1) > 0)
		wake_at_commit(WORKER_DISPATCHER);
}

static void
find_fetched(void *arg)
{
	static Statement next = {
		"SELECT bill_id, format('reading bill %s of %s', kind, day) FROM refundx.bill"
		" WHERE state = 'fetched' AND bill_id > $1 ORDER BY bill_id LIMIT 1", ARGS(INT8OID)
	};
	BillRound  *r = arg;
	Values		v = {0};

	values_int8(&v, r->bill_id);
	r->more = statement_run(&next, &v) == 1;
	if (!r->more)
		return;
	r->bill_id = row_int8(0, 1);
	strlcpy(r->text, row_text(0, 2), sizeof(r->text));
}

static void
read_fetched(void *arg)
{
	static Statement read = {"SELECT refundx.bill_read($1)", ARGS(INT8OID)};
	BillRound  *r = arg;
	Values		v = {0};

	values_int8(&v, r->bill_id);
	statement_run(&read, &v);
}

/*
 * The next day with bills that were loaded, or found empty, and not reconciled since;
 * not while another of its bills is still to be read.  What was loaded by hand is left
 * to that hand for a while.
 */
static void
find_day(void *arg)
{
	static Statement next = {
		"SELECT b.merchant_id, b.day FROM refundx.bill b"
		" WHERE b.reconciled_at IS NULL AND b.state IN ('loaded', 'empty')"
		"   AND (b.source = 'fetched' OR b.loaded_at < $1 - interval '5 minutes')"
		"   AND (b.day, b.merchant_id) > (coalesce($3, '-infinity'), $2)"
		"   AND NOT EXISTS (SELECT FROM refundx.bill o"
		"                    WHERE o.merchant_id = b.merchant_id AND o.day = b.day AND o.state = 'fetched')"
		" ORDER BY b.day, b.merchant_id LIMIT 1", ARGS(TIMESTAMPTZOID, INT4OID, DATEOID)
	};
	BillRound  *r = arg;
	Values		v = {0};
	bool		isnull;

	values_time(&v, clock_now());
	values_int4(&v, r->merchant_id);
	values_datum(&v, DateADTGetDatum(r->day), r->merchant_id == 0);
	r->more = statement_run(&next, &v) == 1;
	if (!r->more)
		return;
	r->merchant_id = row_int4(0, 1);
	r->day = DatumGetDateADT(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
}

static void
reconcile_day(void *arg)
{
	static Statement reconcile = {
		"SELECT refundx.bills_reconcile($1, $2, $3)", ARGS(TIMESTAMPTZOID, INT4OID, DATEOID)
	};
	BillRound  *r = arg;
	Values		v = {0};

	values_time(&v, clock_now());
	values_int4(&v, r->merchant_id);
	values_datum(&v, DateADTGetDatum(r->day), false);
	statement_run(&reconcile, &v);
	wake_at_commit(WORKER_SETTLER);
}

void
clerk_bills(Worker *self)
{
	BillRound	r = {0};

	bill_progress = &self->db->reading;
	pg_atomic_write_u64(&bill_progress->bill_id, 0);	/* of one that was killed at it */
	if (rx_fetch_bills)
		(void) worker_transaction(self, "refundx: bills that are due", make_due, NULL);
	while (worker_transaction(self, "refundx: bills to read", find_fetched, &r) && r.more)
	{
		worker_report(self, 0, 1, 0, r.text);
		TESTPOINT("clerk-bill-found");
		(void) worker_transaction(self, "refundx: reading a bill", read_fetched, &r);
		CHECK_FOR_INTERRUPTS();
	}
	while (worker_transaction(self, "refundx: days to reconcile", find_day, &r) && r.more)
	{
		worker_report(self, 0, 1, 0, "reconciling a day");
		(void) worker_transaction(self, "refundx: reconciling a day", reconcile_day, &r);
		CHECK_FOR_INTERRUPTS();
	}
}
