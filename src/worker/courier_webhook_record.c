/*-------------------------------------------------------------------------
 *
 * courier_webhook_record.c
 *	  What became of what webhooks were told.
 *
 * What a receiver has acknowledged is delivered.  What it has not is waiting for
 * its next try, by the schedule or as late as the receiver asks for, or is a dead
 * letter after the last.  Whatever is finished lets the next one of the same
 * refund go.
 *
 * src/worker/courier_webhook_record.c
 *
 *-------------------------------------------------------------------------
 */
#include "worker/courier_webhook.h"

#include "base/clock.h"
#include "money/incident.h"
#include "utils/timestamp.h"

#define FAILURES_TO_TELL	5

static void write_results(Post *list, TimestampTz now);
static void release_next(Column *webhook, Column *seq, TimestampTz now);
static void write_endpoint(const Post *p, TimestampTz now);
static TimestampTz again_at(const Post *p, TimestampTz now);

void
posts_record(Post *list)
{
	TimestampTz now = clock_now();
	Column		webhook,
				seq;
	Post	   *p;

	if (list == NULL)
		return;
	write_results(list, now);
	column_init(&webhook, INT4OID);
	column_init(&seq, INT8OID);
	for (p = list; p != NULL; p = p->next)
	{
		column_int4(&webhook, p->to->webhook_id);
		column_int8(&seq, p->seq);
		write_endpoint(p, now);
	}
	release_next(&webhook, &seq, now);
}

/* 0: never again.  A receiver that is gone has not been tried. */
static TimestampTz
again_at(const Post *p, TimestampTz now)
{
	int64		seconds = webhook_wait(p->tries);

	if (p->result.outcome == WEBHOOK_GONE)
		return now;
	if (seconds < 0)
		return 0;
	seconds = Max(seconds, p->result.retry_after);
	return TimestampTzPlusMilliseconds(now, seconds * 1000 + courier_jitter(seconds * 100));
}

static void
write_results(Post *list, TimestampTz now)
{
	static Statement write = {
		"UPDATE refundx.webhook_delivery d"
		"   SET state = u.state, tries = u.tries, next_at = u.next_at, http_status = nullif(u.status, 0),"
		"       error = u.error, done_at = CASE WHEN u.state <> 'waiting' THEN $8 END"
		"  FROM ROWS FROM (unnest($1::int4[]), unnest($2::int8[]), unnest($3::text[]), unnest($4::int4[]),"
		"                  unnest($5::timestamptz[]), unnest($6::int4[]), unnest($7::text[]))"
		"    AS u(webhook_id, seq, state, tries, next_at, status, error)"
		" WHERE d.webhook_id = u.webhook_id AND d.seq = u.seq"
		/* it may have been given up or dropped meanwhile; an acknowledgement counts */
		"   AND (d.state = 'waiting' OR u.state = 'delivered')",
		ARGS(INT4ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID, INT4ARRAYOID,
			 TEXTARRAYOID, TIMESTAMPTZOID)
	};
	static const Oid types[] = {INT4OID, INT8OID, TEXTOID, INT4OID, TIMESTAMPTZOID, INT4OID, TEXTOID};
	Column		c[lengthof(types)];
	Values		v = {0};
	Post	   *p;
	int			i;

	for (i = 0; i < (int) lengthof(types); i++)
		column_init(&c[i], types[i]);
	for (p = list; p != NULL; p = p->next)
	{
		bool		delivered = p->result.outcome == WEBHOOK_DELIVERED;
		TimestampTz again = delivered ? 0 : again_at(p, now);

		column_int4(&c[0], p->to->webhook_id);
		column_int8(&c[1], p->seq);
		column_text(&c[2], delivered ? "delivered" : again != 0 ? "waiting" : "dead");
		column_int4(&c[3], p->result.outcome == WEBHOOK_GONE ? p->tries - 1 : p->tries);
		column_time(&c[4], again);
		column_int4(&c[5], p->result.status);
		column_words(&c[6], p->result.message);
	}
	for (i = 0; i < (int) lengthof(types); i++)
		values_column(&v, &c[i]);
	values_time(&v, now);
	statement_run(&write, &v);
}

/* Those that waited for one of these: of each refund the first. */
static void
release_next(Column *webhook, Column *seq, TimestampTz now)
{
	static Statement release = {
		"UPDATE refundx.webhook_delivery d SET next_at = $3"
		"  FROM (SELECT DISTINCT f.webhook_id, n.seq"
		"          FROM ROWS FROM (unnest($1::int4[]), unnest($2::int8[])) AS u(webhook_id, seq)"
		"          JOIN refundx.webhook_delivery f ON f.webhook_id = u.webhook_id AND f.seq = u.seq"
		"         CROSS JOIN LATERAL ("
		"           SELECT q.seq, q.next_at FROM refundx.webhook_delivery q"
		"            WHERE q.webhook_id = f.webhook_id AND q.aggregateid = f.aggregateid AND q.state = 'waiting'"
		"            ORDER BY q.seq LIMIT 1) n"
		"         WHERE n.next_at IS NULL) x"
		" WHERE d.webhook_id = x.webhook_id AND d.seq = x.seq",
		ARGS(INT4ARRAYOID, INT8ARRAYOID, TIMESTAMPTZOID)
	};
	Values		v = {0};

	values_column(&v, webhook);
	values_column(&v, seq);
	values_time(&v, now);
	statement_run(&release, &v);
}

/* ------------------------------------------------------------------------
 * The receiver
 * ------------------------------------------------------------------------
 */

void
endpoint_failing(Endpoint *e, const char *why)
{
	static Statement fails = {
		"UPDATE refundx.webhook SET failing_since = coalesce(failing_since, $2), last_error = $3"
		" WHERE webhook_id = $1 AND (failing_since IS NULL OR last_error IS DISTINCT FROM $3)",
		ARGS(INT4OID, TIMESTAMPTZOID, TEXTOID)
	};
	Values		v = {0};

	values_int4(&v, e->webhook_id);
	values_time(&v, clock_now());
	values_text(&v, words_as_text(why));
	statement_run(&fails, &v);
	e->failing = true;
}

static void
endpoint_works(Endpoint *e)
{
	static Statement works = {
		"UPDATE refundx.webhook SET failing_since = NULL, last_error = NULL WHERE webhook_id = $1", ARGS(INT4OID)
	};
	Values		v = {0};

	values_int4(&v, e->webhook_id);
	statement_run(&works, &v);
	e->failing = false;
	ereport(LOG, (errmsg("refundx: webhook \"%s\" works again", e->name)));
}

static void
endpoint_gone(const Endpoint *e, TimestampTz now)
{
	static Statement gone = {
		"UPDATE refundx.webhook SET paused = 'gone', paused_since = $2,"
		"       paused_reason = 'its receiver wants no more of them (HTTP 410)'"
		" WHERE webhook_id = $1 AND paused IS NULL", ARGS(INT4OID, TIMESTAMPTZOID)
	};
	Values		v = {0};

	values_int4(&v, e->webhook_id);
	values_time(&v, now);
	if (statement_run(&gone, &v) > 0)
		incident_add(&(Incident) {
			.kind = "webhook_gone",
			.subject = psprintf("webhook %s", e->name),
			.reason = "its receiver answered 410: it wants no more events",
			.done = "it is paused, and its events are kept: see refundx.webhook_resume()"
		});
}

static void
write_endpoint(const Post *p, TimestampTz now)
{
	Endpoint   *e = p->to;

	if (p->result.outcome == WEBHOOK_DELIVERED)
	{
		if (e->failing)
			endpoint_works(e);
		return;
	}
	endpoint_failing(e, p->result.message);
	if (p->result.outcome == WEBHOOK_GONE)
	{
		endpoint_gone(e, now);
		return;
	}
	if (e->failures == FAILURES_TO_TELL)
		incident_add(&(Incident) {
			.kind = "webhook_failing",
			.subject = psprintf("webhook %s", e->name),
			.reason = psprintf("its receiver fails again and again: %s", p->result.message),
			.done = "its events are kept, and tried again by themselves"
		});
	if (again_at(p, now) == 0)
		incident_add(&(Incident) {
			.kind = "webhook_dead_letter",
			.subject = psprintf("webhook %s, %s", e->name, p->number),
			.reason = psprintf("an event was not taken in %d tries: %s", p->tries, p->result.message),
			.done = "it is kept, and not sent again by itself: see refundx.webhook_redrive()"
		});
}

/*
 * A receiver that does not work is tried with one event at a time, so that the
 * others never come to their last try.  They are given up when they have waited for
 * as long as the schedule takes.
 */
void
give_up_old(void)
{
	static Statement give_up = {
		"UPDATE refundx.webhook_delivery d"
		"   SET state = 'dead', next_at = NULL, done_at = $1, error = 'its receiver did not work for so long: ' || w.last_error"
		"  FROM refundx.webhook w"
		" WHERE w.webhook_id = d.webhook_id AND w.removed_at IS NULL AND w.paused IS NULL"
		"   AND w.failing_since < $1 - make_interval(secs => $2)"
		"   AND d.state = 'waiting' AND d.created_at < $1 - make_interval(secs => $2)"
		" RETURNING w.name, d.webhook_id, d.seq", ARGS(TIMESTAMPTZOID, FLOAT8OID)
	};
	Column		webhook,
				seq;
	Values		v = {0};
	uint64		n;
	uint64		row;

	values_time(&v, clock_now());
	values_datum(&v, Float8GetDatum((double) webhook_patience()), false);
	n = statement_run(&give_up, &v);
	if (n == 0)
		return;
	incident_add(&(Incident) {
		.kind = "webhook_dead_letter",
		.subject = psprintf("webhook %s", row_text(0, 1)),
		.reason = psprintf("%llu events were not taken in three days, by this webhook or others as well", (unsigned long long) n),
		.done = "they are kept, and not sent again by themselves: see refundx.webhook_redrive()"
	});
	column_init(&webhook, INT4OID);
	column_init(&seq, INT8OID);
	for (row = 0; row < n; row++)
	{
		column_int4(&webhook, row_int4(row, 2));
		column_int8(&seq, row_int8(row, 3));
	}
	release_next(&webhook, &seq, clock_now());
}
