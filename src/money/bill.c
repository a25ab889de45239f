/*-------------------------------------------------------------------------
 *
 * bill.c
 *	  The bills of the channels, as rows: which is meant, which one counts.
 *
 * A day has one bill that counts.  Whoever loads it holds its row, so two who load
 * the same day at once come one after the other, and the second finds what the
 * first has loaded.  A file that takes the place of another gets a row of its own:
 * the old one and its lines stay, and count no more.
 *
 * src/money/bill.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/bill.h"

#include "base/clock.h"
#include "base/errors.h"
#include "money/channel_facts.h"
#include "money/incident.h"
#include "money/money.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

/* ------------------------------------------------------------------------
 * Which bill is meant
 * ------------------------------------------------------------------------
 */

static void
say_day(BillOfDay *d, DateADT day)
{
	int			y,
				m,
				dom;

	d->day = day;
	j2date(day + POSTGRES_EPOCH_JDATE, &y, &m, &dom);
	snprintf(d->day_text, sizeof(d->day_text), "%04u-%02u-%02u",
			 (unsigned) y % 10000, (unsigned) m % 100, (unsigned) dom % 100);
}

static void
complain_of_kind(const char *channel, const Channel *kind, const char *bill)
{
	StringInfoData kinds;
	const ChannelBill *b;
	int			i;

	initStringInfo(&kinds);
	for (i = 0; (b = channel_bill_at(kind->kind, i)) != NULL; i++)
		appendStringInfo(&kinds, "%s%s", i > 0 ? ", " : "", b->kind);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s makes no bill of kind \"%s\"", kind->label, bill),
			 errhint("Kinds of channel \"%s\": %s.", channel, kinds.len > 0 ? kinds.data : "none")));
}

/* What is remembered of a channel has no room for what only bills want to know. */
static void
read_merchant(BillOfDay *d)
{
	static Statement find = {
		"SELECT m.merchant_no, coalesce(c.config ->> 'currency', 'CNY')"
		"  FROM refundx.channel c JOIN refundx.merchant m USING (merchant_id) WHERE c.channel_id = $1",
		ARGS(INT4OID)
	};
	Values		v = {0};

	values_int4(&v, d->channel_id);
	if (statement_run(&find, &v) != 1)
		elog(ERROR, "channel %d has no merchant", d->channel_id);
	d->merchant_no = row_text(0, 1);
	d->currency = row_text(0, 2);
}

/* A day that is not over has no bill yet: its day, in the channel's own time. */
static void
refuse_unfinished_day(const BillOfDay *d)
{
	int64		now = timestamptz_to_unix_us(clock_now()) / USECS_PER_SEC + d->how->utc_offset;
	int64		today = now / SECS_PER_DAY - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE);

	if (d->day >= today)
		ereport(ERROR,
				(errcode(ERRCODE_RX_BILL_DAY),
				 errmsg("there is no bill for %s yet: the day is not over", d->day_text),
				 errhint("A day ends at midnight where the channel is.")));
}

void
bill_day_named(BillOfDay *d, const char *channel, const char *kind, DateADT day)
{
	const ChannelFacts *facts = channel_facts(channel);

	memset(d, 0, sizeof(*d));
	if (facts == NULL)
		channel_complain(channel);
	d->how = channel_bill(facts->channel->kind, kind);
	if (d->how == NULL)
		complain_of_kind(channel, facts->channel, kind);
	d->channel = pstrdup(channel);
	d->channel_id = facts->channel_id;
	d->merchant_id = facts->merchant_id;
	if (DATE_NOT_FINITE(day))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("day must be one day")));
	say_day(d, day);
	refuse_unfinished_day(d);
	read_merchant(d);
}

bool
bill_day_of(BillOfDay *d, int64 bill_id)
{
	static Statement find = {
		"SELECT c.channel_id, b.merchant_id, c.name, c.kind, b.kind, b.day"
		"  FROM refundx.bill b JOIN refundx.channel c USING (channel_id) WHERE bill_id = $1", ARGS(INT8OID)
	};
	Values		v = {0};
	bool		isnull;

	memset(d, 0, sizeof(*d));
	values_int8(&v, bill_id);
	if (statement_run(&find, &v) != 1)
		return false;
	d->channel_id = row_int4(0, 1);
	d->merchant_id = row_int4(0, 2);
	d->channel = row_text(0, 3);
	d->how = channel_bill(row_text(0, 4), row_text(0, 5));
	say_day(d, DatumGetDateADT(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 6, &isnull)));
	if (d->how != NULL)
		read_merchant(d);
	return d->how != NULL;
}

const char *
bill_day_words(const BillOfDay *d)
{
	return psprintf("bill \"%s\" of channel \"%s\" for %s", d->how->kind, d->channel, d->day_text);
}

/* ------------------------------------------------------------------------
 * The row that stands for a day
 * ------------------------------------------------------------------------
 */

static void
values_day(Values *v, const BillOfDay *d)
{
	values_int4(v, d->merchant_id);
	values_text(v, d->how->kind);
	values_datum(v, DateADTGetDatum(d->day), false);
}

int64
bill_row_new(const BillOfDay *d)
{
	static Statement add = {
		"INSERT INTO refundx.bill (merchant_id, kind, day, channel_id, source, due_at)"
		" VALUES ($1, $2, $3, $4, 'by hand', $5) ON CONFLICT DO NOTHING RETURNING bill_id",
		ARGS(INT4OID, TEXTOID, DATEOID, INT4OID, TIMESTAMPTZOID)
	};
	Values		v = {0};

	values_day(&v, d);
	values_int4(&v, d->channel_id);
	values_time(&v, clock_now());
	return statement_run(&add, &v) == 1 ? row_int8(0, 1) : 0;
}

void
bill_lock_day(const BillOfDay *d, BillRow *row)
{
	static Statement find = {
		"SELECT bill_id, state, hash, size IS NOT NULL FROM refundx.bill"
		" WHERE merchant_id = $1 AND kind = $2 AND day = $3 AND NOT again AND state <> 'superseded'"
		" FOR UPDATE", ARGS(INT4OID, TEXTOID, DATEOID)
	};

	memset(row, 0, sizeof(*row));
	for (;;)
	{
		Values		v = {0};

		CHECK_FOR_INTERRUPTS();
		values_day(&v, d);
		if (statement_run(&find, &v) == 1)
		{
			row->bill_id = row_int8(0, 1);
			row->state = row_text(0, 2);
			row->hash = row_text(0, 3);
			row->has_file = row_bool(0, 4);
			return;
		}
		/* waits for whoever is inserting it; then it is there, or it is ours */
		row->bill_id = bill_row_new(d);
		if (row->bill_id != 0)
		{
			row->state = "due";
			return;
		}
	}
}

void
bill_supersede(const BillOfDay *d, const BillRow *old, int64 by)
{
	static Statement set = {
		"UPDATE refundx.bill SET state = 'superseded', due_at = NULL,"
		"       person_reason = NULL, person_suggestion = NULL, person_since = NULL"
		" WHERE bill_id = $1", ARGS(INT8OID)
	};
	Values		v = {0};
	Incident	incident = {
		.kind = "bill_superseded",
		.subject = psprintf("%s/%s/%s", d->channel, d->how->kind, d->day_text),
		.reason = "another file was loaded for a day whose bill had been loaded",
		.done = "the later one counts; its day is reconciled again"
	};

	values_int8(&v, old->bill_id);
	statement_run(&set, &v);
	if (strcmp(old->state, "loaded") == 0)
		(void) incident_add(&incident);
}

void
bill_set_loaded(int64 bill_id, const BillOfDay *d, const BillTotals *t, const char *source)
{
	static Statement set = {
		"UPDATE refundx.bill SET state = 'loaded', again = false, channel_id = $2, source = $3, hash = $4, unpacked = $5,"
		"       lines = $6, refunds = $7, amount = $8, opening = $9, closing = $10, came_in = $11,"
		"       went_out = $12, currency = nullif($13, ''), has_refunds = $15, has_transfers = $16,"
		"       loaded_at = $14, loaded_by = session_user,"
		"       fetched_at = coalesce(fetched_at, $14), reconciled_at = NULL, due_at = NULL,"
		"       failing_since = NULL, error = NULL, person_reason = NULL, person_suggestion = NULL, person_since = NULL"
		" WHERE bill_id = $1",
		ARGS(INT8OID, INT4OID, TEXTOID, TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID,
			 INT8OID, INT8OID, TEXTOID, TIMESTAMPTZOID, BOOLOID, BOOLOID)
	};
	Values		v = {0};

	values_int8(&v, bill_id);
	values_int4(&v, d->channel_id);
	values_text(&v, source);
	values_text(&v, t->hash);
	values_int8(&v, t->size);
	values_int8(&v, t->lines);
	values_int8(&v, t->refunds);
	values_int8(&v, t->amount);
	values_datum(&v, Int64GetDatum(t->opening), !t->has_balance);
	values_datum(&v, Int64GetDatum(t->closing), !t->has_balance);
	values_int8(&v, t->in);
	values_int8(&v, t->out);
	values_text(&v, t->currency);
	values_time(&v, clock_now());
	values_bool(&v, t->has_refunds);
	values_bool(&v, t->has_transfers);
	statement_run(&set, &v);
}

void
bill_set_person(int64 bill_id, const BillOfDay *d, const ChannelError *err)
{
	static Statement set = {
		"UPDATE refundx.bill SET state = 'with_person', person_reason = $2, person_suggestion = $3, error = $2,"
		"       person_since = $4, due_at = NULL WHERE bill_id = $1", ARGS(INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID)
	};
	Values		v = {0};
	Incident	incident = {
		.kind = "bill_refused",
		.subject = psprintf("%s/%s/%s", d->channel, d->how->kind, d->day_text),
		.sqlstate = "RX034",
		.reason = err->message,
		.done = "nothing of it counts; it is with a person"
	};

	values_int8(&v, bill_id);
	values_text(&v, words_as_text(err->message));
	values_text(&v, psprintf("%s%sHave it fetched again with refundx.bill_fetch('%s', '%s', '%s', 'reason'), or load the file by hand with refundx.bill_load().",
							 err->hint[0] ? words_as_text(err->hint) : "", err->hint[0] ? " " : "",
							 d->channel, d->how->kind, d->day_text));
	values_time(&v, clock_now());
	statement_run(&set, &v);
	(void) incident_add(&incident);
}
