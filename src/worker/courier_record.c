/*-------------------------------------------------------------------------
 *
 * courier_record.c
 *	  What became of a message: sent, to be tried again, or not at all.
 *
 * Only what was certainly not sent is tried again.  A refusal that is the same
 * for every message (keys, balance) concerns the provider: it is paused, and
 * the message goes back to the queue without having used up a try.
 *
 * src/worker/courier_record.c
 *
 *-------------------------------------------------------------------------
 */
#include "worker/courier.h"

#include "base/clock.h"
#include "base/testpoint.h"
#include "money/incident.h"
#include "utils/timestamp.h"

#define TRIES_MAX		3
#define AFTER_CONFIG_MS	60000

/* Until the second try, and the third. */
static const int again_after[] = {15, 120};
static const int again_after_limit[] = {60, 3600};

typedef struct Fate
{
	const char *state;			/* "sent", "queued", "failed", "ambiguous" */
	TimestampTz next_at;		/* if queued */
	int			untried;		/* 1: this was no try */
} Fate;

/* A list, decided about: the argument of the transaction. */
typedef struct Record
{
	Courier    *courier;
	Fate   *fates;		/* in the order of courier->ended */
	int			n;
} Record;

static void decide(const Delivery *d, TimestampTz now, Fate *out);
static TimestampTz again_at(const Delivery *d, const int *delays, TimestampTz now);
static void record_all(void *arg);
static void write_results(const Record *r, TimestampTz now);
static void write_given_up(uint64 n);
static void write_pauses(const Record *r, TimestampTz now);
static void erase_contacts(const Record *r);
static void take_effect(Record *r, TimestampTz now);
static void stop_or_go_on(Sender *s, const NoticeResult *result, TimestampTz now);
static const char *pause_of(NoticeOutcome outcome);
static bool works_again(const Delivery *d);

/* If the transaction fails, c->ended stays as it is, and is tried again. */
void
courier_record(Courier *c)
{
	Record		r = {.courier = c};
	TimestampTz now = clock_now();
	Delivery   *d;

	if (c->ended == NULL)
		return;
	for (d = c->ended; d != NULL; d = d->next)
		r.n++;
	r.fates = palloc0(r.n * sizeof(Fate));
	r.n = 0;
	for (d = c->ended; d != NULL; d = d->next)
		decide(d, now, &r.fates[r.n++]);
	TESTPOINT("courier-before-record");
	if (worker_transaction(c->self, "refundx: recording notices", record_all, &r))
		take_effect(&r, now);
}

/* ------------------------------------------------------------------------
 * Deciding
 * ------------------------------------------------------------------------
 */

static void
decide(const Delivery *d, TimestampTz now, Fate *out)
{
	const int  *delays = again_after;

	switch (d->result.outcome)
	{
		case NOTICE_ACCEPTED:
			out->state = "sent";
			return;
		case NOTICE_FINAL_NUMBER:
			out->state = "failed";
			return;
		case NOTICE_FINAL_CONFIG:
		case NOTICE_BALANCE:

			/*
			 * Behind the others, so that the probe is not always the same
			 * message: what is wrong may be this one's template.
			 */
			out->state = "queued";
			out->next_at = d->result.outcome == NOTICE_BALANCE ? now :
				TimestampTzPlusMilliseconds(now, AFTER_CONFIG_MS);
			out->untried = 1;
			return;
		case NOTICE_LIMITED:
			delays = again_after_limit;
			/* FALLTHROUGH */
		case NOTICE_RETRY_SAFE:
			out->state = d->tries < TRIES_MAX ? "queued" : "failed";
			out->next_at = again_at(d, delays, now);
			return;
		case NOTICE_AMBIGUOUS:
			break;
	}
	out->state = "ambiguous";
}

/* What the provider says, or the list; and up to a quarter more by chance. */
static TimestampTz
again_at(const Delivery *d, const int *delays, TimestampTz now)
{
	int64		seconds = delays[Min(Max(d->tries, 1), 2) - 1];

	if (d->result.retry_after > 0)
		seconds = d->result.retry_after;
	return TimestampTzPlusMilliseconds(now, seconds * 1000 +
									   courier_jitter(seconds * 250));
}

static const char *
pause_of(NoticeOutcome outcome)
{
	return outcome == NOTICE_BALANCE ? "balance" : outcome == NOTICE_FINAL_CONFIG ? "config" : NULL;
}

/* The provider has judged the message itself: so keys and balance are good. */
static bool
works_again(const Delivery *d)
{
	return sender_probing(d->sender) &&
		(d->result.outcome == NOTICE_ACCEPTED ||
		 (d->result.outcome == NOTICE_LIMITED && d->result.code[0] != '\0'));
}

/* ------------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------------
 */

static void
record_all(void *arg)
{
	Record	   *r = arg;
	TimestampTz now = clock_now();

	write_results(r, now);
	write_pauses(r, now);
	erase_contacts(r);
}

/*
 * arm() may have given a notice to a person while it was under way.  If we
 * know how it ended, that is better.
 */
static void
write_results(const Record *r, TimestampTz now)
{
	static Statement write = {
		"UPDATE refundx.notice n"
		"   SET state = u.state, tries = n.tries - u.untried,"
		"       next_at = coalesce(u.next_at, n.next_at), outcome = u.outcome, code = u.code,"
		"       message = u.message, provider_id = u.provider_id,"
		"       done_at = CASE WHEN u.state <> 'queued' THEN $9 END"
		"  FROM ROWS FROM (unnest($1::int8[]), unnest($2::text[]), unnest($3::int4[]),"
		"                  unnest($4::timestamptz[]), unnest($5::text[]), unnest($6::text[]),"
		"                  unnest($7::text[]), unnest($8::text[]))"
		"    AS u(notice_id, state, untried, next_at, outcome, code, message, provider_id)"
		" WHERE n.notice_id = u.notice_id"
		"   AND (n.state = 'sending' OR n.state = 'with_person' AND u.state <> 'queued')"
		" RETURNING n.instruction_id, n.transition, n.state, n.code, n.message",
		ARGS(INT8ARRAYOID, TEXTARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID,
			 TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID)
	};
	static const Oid types[] = {INT8OID, TEXTOID, INT4OID, TIMESTAMPTZOID, TEXTOID, TEXTOID,
	TEXTOID, TEXTOID};
	Column		c[lengthof(types)];
	Values		v = {0};
	Delivery   *d;
	int			i;

	for (i = 0; i < (int) lengthof(types); i++)
		column_init(&c[i], types[i]);
	for (d = r->courier->ended, i = 0; d != NULL; d = d->next, i++)
	{
		const Fate *fate = &r->fates[i];

		column_int8(&c[0], d->notice_id);
		column_text(&c[1], fate->state);
		column_int4(&c[2], fate->untried);
		column_time(&c[3], strcmp(fate->state, "queued") == 0 ? fate->next_at : 0);
		column_text(&c[4], notice_outcome_name(d->result.outcome));
		column_words(&c[5], d->result.code);
		column_words(&c[6], d->result.message);
		column_words(&c[7], d->result.provider_id);
	}
	for (i = 0; i < (int) lengthof(types); i++)
		values_column(&v, &c[i]);
	values_time(&v, now);
	write_given_up(statement_run(&write, &v));
}

/* Of what has just been written: what will not be tried again. */
static void
write_given_up(uint64 n)
{
	uint64		row;

	for (row = 0; row < n; row++)
	{
		const char *state = row_text(row, 3);
		bool		failed = strcmp(state, "failed") == 0;
		char	   *code = row_text(row, 4);
		char	   *message = row_text(row, 5);
		Incident	given_up = {
			.kind = "notice_given_up",
			.instruction_id = row_int8(row, 1),
			.reason = psprintf("the message \"%s\" %s: %s %s", row_text(row, 2),
							   failed ? "was not sent" : "may have been sent, or not",
							   code ? code : "", message ? message : ""),
			.done = "it is not sent again; the money is not concerned"
		};

		if (failed || strcmp(state, "ambiguous") == 0)
			incident_add(&given_up);
	}
}

static void
write_pauses(const Record *r, TimestampTz now)
{
	static Statement pause = {
		"UPDATE refundx.notice_provider SET paused = $2, paused_since = $3"
		" WHERE name = $1 AND paused IS NULL", ARGS(TEXTOID, TEXTOID, TIMESTAMPTZOID)
	};
	static Statement resume = {
		"UPDATE refundx.notice_provider SET paused = NULL, paused_since = NULL"
		" WHERE name = $1 AND paused IN ('balance', 'config')", ARGS(TEXTOID)
	};
	Delivery   *d;

	for (d = r->courier->ended; d != NULL; d = d->next)
	{
		const char *why = pause_of(d->result.outcome);
		Values		v = {0};

		values_text(&v, d->sender->name);
		if (works_again(d))
			statement_run(&resume, &v);
		else if (why != NULL && d->sender->paused[0] == '\0')
		{
			values_text(&v, why);
			values_time(&v, now);
			if (statement_run(&pause, &v) > 0)
				incident_add(&(Incident) {
					.kind = "sms_provider_paused",
					.reason = psprintf("SMS provider \"%s\" is paused: %s %s", d->sender->name,
									   d->result.code, d->result.message),
					.done = "nothing is lost: one message is tried now and then, and when it goes through the others follow"
				});
		}
	}
}

/* As soon as nobody needs a number any more; the clerk looks after the rest. */
static void
erase_contacts(const Record *r)
{
	static Statement erase = {
		"DELETE FROM refundx.payment_contact c USING refundx.payment p"
		" WHERE c.payment_id = ANY ($1) AND p.payment_id = c.payment_id"
		"   AND p.refunding + p.refunded + p.returned + p.elsewhere + p.already_refunded = p.paid"
		"   AND NOT EXISTS (SELECT FROM refundx.instruction i"
		"                    WHERE i.payment_id = p.payment_id"
		"                      AND (i.is_open OR EXISTS (SELECT FROM refundx.notice n"
		"                                                 WHERE n.instruction_id = i.instruction_id"
		"                                                   AND n.is_open)))",
		ARGS(INT8ARRAYOID)
	};
	Column		payments;
	Values		v = {0};
	Delivery   *d;
	int			i;

	column_init(&payments, INT8OID);
	for (d = r->courier->ended, i = 0; d != NULL; d = d->next, i++)
		if (d->payment_id != 0 && strcmp(r->fates[i].state, "queued") != 0)
			column_int8(&payments, d->payment_id);
	if (payments.n == 0)
		return;
	values_column(&v, &payments);
	statement_run(&erase, &v);
}

/* It is committed: so it holds in memory too, and may be said. */
static void
take_effect(Record *r, TimestampTz now)
{
	Courier    *c = r->courier;
	Delivery   *d = c->ended;
	int			i;

	c->ended = NULL;
	for (i = 0; d != NULL; i++)
	{
		Delivery   *next = d->next;
		Sender	   *s = d->sender;

		if (strcmp(r->fates[i].state, "queued") == 0)
			sender_offer(s, d->notice_id, r->fates[i].next_at);
		else
			c->done++;
		if (works_again(d))
		{
			ereport(LOG, (errmsg("refundx: SMS provider \"%s\" works again", s->name)));
			sender_resumed(s);
		}
		else
			stop_or_go_on(s, &d->result, now);
		pfree(d);
		d = next;
	}
}

/*
 * One incident when it is paused (write_pauses); then each probe that does not end the pause
 * puts off the next.
 */
static void
stop_or_go_on(Sender *s, const NoticeResult *result, TimestampTz now)
{
	const char *why = pause_of(result->outcome);

	if (s->paused[0] == '\0' && why != NULL)
		sender_paused(s, why, now);
	else if (sender_probing(s) && now >= s->probe_at &&
			 (why != NULL || result->outcome == NOTICE_AMBIGUOUS ||
			  result->outcome == NOTICE_RETRY_SAFE))
		sender_paused(s, why, now);
}
