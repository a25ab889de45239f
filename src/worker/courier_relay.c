/*-------------------------------------------------------------------------
 *
 * courier_relay.c
 *	  The courier passes on what others have committed: events, and incidents.
 *
 * Events become rows of the outbox and lines of the log, incidents become lines.
 * It reads the tables as queues (money/arrival.c), and keeps in refundx.relay the
 * snapshot up to which it has passed everything on; once a second, for each time leaves
 * a dead version of that row, which somebody else's snapshot may keep.  What it tells
 * is committed already, and carries an id of its own: after a crash what is derived
 * once more is found to be there, lines may come again, and nothing is lost.
 *
 * src/worker/courier_relay.c
 *
 *-------------------------------------------------------------------------
 */
#include "worker/courier.h"

#include "base/testpoint.h"
#include "money/outbox.h"
#include "utils/timestamp.h"

#define RELAY_EVERY_MS		50
#define REST_MAX_MS			5000
#define KEEP_EVERY_MS		1000
#define AFTER_FAILURE_MS	1000

static int64 relay_rest(TimestampTz began);
static void relay_all(void *arg);
static uint64 log_incidents(const Arrival *a);
static void keep_seen(const Arrival *a);

/* Go on where the last courier was, not at what is there now. */
void
relay_start(Courier *c)
{
	static Statement read = {"SELECT seen::text FROM refundx.relay", NO_ARGS};
	static Statement begin = {
		"INSERT INTO refundx.relay (seen) VALUES (pg_current_snapshot()) RETURNING seen::text", NO_ARGS
	};

	if (statement_run(&read, NULL) != 1)
		statement_run(&begin, NULL);
	arrival_begin_at(&c->relayed, row_text(0, 1));
	c->logged_to = log_position();
}

/*
 * Whoever submits and whoever settles come first: this takes a tenth of one processor,
 * nine times as long as it took it rests.  What a burst has left is passed on when
 * the burst is over; and in short rounds, for one of seconds would take half of the
 * processor that the others have meanwhile, and its commit their disk.
 */
static int64
relay_rest(TimestampTz began)
{
	int64		took = TimestampDifferenceMilliseconds(began, GetCurrentTimestamp());

	return Max(RELAY_EVERY_MS, Min(9 * took, REST_MAX_MS));
}

void
relay_round(Courier *c)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		rest;

	c->relay_waits = 0;
	if (now < c->relay_at)
	{
		c->relay_waits = TimestampDifferenceMilliseconds(now, c->relay_at) + 1;
		return;
	}
	if (worker_transaction(c->self, "refundx: passing on what has happened", relay_all, c))
	{
		arrival_done(&c->relayed);
		c->logged_to = c->logging_to;
		c->relay_dirty = c->relay_news && !c->relay_keeping;
		if (c->relay_keeping)
			c->relay_kept_at = now;
		rest = relay_rest(now);
		c->relay_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), rest);
		if (c->relay_more)
			c->relay_waits = rest;
	}
	else
		c->relay_at = TimestampTzPlusMilliseconds(now, AFTER_FAILURE_MS);
}

static void
relay_all(void *arg)
{
	static Statement cut = {ARRIVAL_CUT("refundx.event", "$1", "2000"), ARGS(TEXTOID)};
	Courier    *c = arg;
	bool		more = arrival_read_part(&c->relayed, &cut);
	bool		news = log_incidents(&c->relayed) > 0;
	int64		after;

	if (outbox_derive(&c->relayed, &after) > 0)
	{
		webhooks_fan_out(after);
		news = true;
	}
	c->relay_more = log_transitions(c) || more;
	news = news || c->logging_to != c->logged_to;

	/* only where something has come: an idle database writes nothing */
	c->relay_news = news || c->relay_dirty;
	c->relay_keeping = c->relay_news &&
		TimestampDifferenceExceeds(c->relay_kept_at, GetCurrentTimestamp(), KEEP_EVERY_MS);
	if (c->relay_keeping)
	{
		keep_seen(&c->relayed);
		log_keep_position(c->logging_to);
	}
	if (news)
		TESTPOINT("courier-relayed");
}

static void
keep_seen(const Arrival *a)
{
	static Statement update = {"UPDATE refundx.relay SET seen = $1::pg_snapshot", ARGS(TEXTOID)};
	Values		v = {0};

	values_text(&v, a->reading);
	if (statement_run(&update, &v) != 1)
		elog(ERROR, "refundx.relay has lost its row");
}

static uint64
log_incidents(const Arrival *a)
{
	static Statement arrived = {
		"WITH arrived AS MATERIALIZED ("
		ARRIVAL_PART("incident_id, at, kind, instruction_id, subject, sqlstate, reason, done, by_user, actor",
					 "refundx.incident", "$1", "$2") ")"
		" SELECT a.incident_id, a.kind,"
		"        concat_ws(', ', (SELECT i.kind || ' ' || i.instruction_no FROM refundx.instruction i"
		"                          WHERE i.instruction_id = a.instruction_id), a.subject),"
		"        a.sqlstate, a.reason, a.done, concat_ws(', as ', a.actor, a.by_user)"
		/* what a dump brought has been told elsewhere */
		"   FROM arrived a WHERE a.at >= (SELECT began_at FROM refundx.relay) ORDER BY a.incident_id",
		ARGS(TEXTOID, TEXTOID)
	};
	Values		v = {0};
	uint64		n;
	uint64		row;

	values_text(&v, a->seen);
	values_text(&v, a->reading);
	n = statement_run(&arrived, &v);

	for (row = 0; row < n; row++)
	{
		char	   *about = row_text(row, 3);
		char	   *state = row_text(row, 4);

		ereport(WARNING,
				(state ? errcode(MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4])) : 0,
				 errmsg("refundx: incident %lld: %s%s%s: %s; done: %s; by %s",
						(long long) row_int8(row, 1), row_text(row, 2), about[0] ? ", " : "", about,
						row_text(row, 5), row_text(row, 6), row_text(row, 7)),
				 errhidecontext(true), errhidestmt(true)));
	}
	return n;
}
