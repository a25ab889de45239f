/*-------------------------------------------------------------------------
 *
 * breaker_record.c
 *	  What people see of the breakers, and what a new dispatcher starts with.
 *
 * A breaker lives in the dispatcher's memory.  When it opens, is tried in vain or
 * closes, its row is written: seldom, for tries have growing intervals.  One
 * incident says that it opened, and one that it has closed.  A dispatcher that
 * starts takes open ones over and tries at once: nothing that matters is lost
 * if a row is not written.
 *
 * src/worker/breaker_record.c
 *
 *-------------------------------------------------------------------------
 */
#include "worker/dispatcher.h"

#include "base/clock.h"
#include "money/incident.h"
#include "utils/timestamp.h"

static const char *
about_of(const BreakerPlace *place)
{
	return place->silence ? "all" : product_name(place->product);
}

static const char *
call_of(const BreakerPlace *place)
{
	return place->silence ? "all" : channel_call_name(place->call);
}

/* $1 merchant, $2 about, $3 call, as all of the statements below. */
static void
place_values(Values *v, const BreakerPlace *place)
{
	values_reset(v);
	values_int4(v, place->merchant_id);
	values_text(v, about_of(place));
	values_text(v, call_of(place));
}

static void
say(const BreakerPlace *place, const Breaker *b, const char *merchant)
{
	const char *which = place->silence ? psprintf("calls of merchant %s", merchant) :
		psprintf("%s calls of %ss of merchant %s", channel_call_name(place->call), product_name(place->product), merchant);
	Incident	i = {
		.kind = b->open ? "breaker_opened" : "breaker_closed",
		.subject = psprintf("merchant %s", merchant)
	};

	if (b->open)
	{
		i.reason = place->silence ? psprintf("the last %d %s got no answer", b->errors_then, which) :
			psprintf("%d of the last %d %s were answered with an error, the last one with %s", b->errors_then, b->calls_then,
					 which, b->code[0] != '\0' ? b->code : "no code");
		i.done = "one call at a time tries at growing intervals; the others wait, and nothing is given up: see refundx.breakers";
	}
	else
	{
		i.reason = psprintf("%s are answered again, after %lld s", which,
							(long long) ((clock_now() - b->opened_at) / USECS_PER_SEC));
		i.done = "what waited is sent";
	}
	incident_add(&i);
}

static void
write_one(const BreakerPlace *place, const Breaker *b)
{
	static Statement before = {
		"SELECT m.kind || ' ' || m.merchant_no, b.opened_at IS NOT NULL AND b.closed_at IS NULL"
		"  FROM refundx.merchant m"
		"  LEFT JOIN refundx.breaker b ON b.merchant_id = m.merchant_id AND b.about = $2 AND b.call = $3"
		" WHERE m.merchant_id = $1", ARGS(INT4OID, TEXTOID, TEXTOID)
	};
	static Statement write = {
		"INSERT INTO refundx.breaker (merchant_id, about, call, opened_at, errors, calls, code, probes, probe_at, closed_at)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, CASE WHEN $10 THEN $9 END, CASE WHEN NOT $10 THEN $11 END)"
		" ON CONFLICT (merchant_id, about, call) DO UPDATE"
		"   SET opened_at = excluded.opened_at, errors = excluded.errors, calls = excluded.calls, code = excluded.code,"
		"       probes = excluded.probes, probe_at = excluded.probe_at, closed_at = excluded.closed_at",
		ARGS(INT4OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, INT4OID, INT4OID, TEXTOID, INT4OID, TIMESTAMPTZOID,
			 BOOLOID, TIMESTAMPTZOID)
	};
	Values		v = {0};
	char	   *merchant;
	bool		was_open;

	place_values(&v, place);
	if (statement_run(&before, &v) != 1)
		return;
	merchant = row_text(0, 1);
	was_open = row_bool(0, 2);
	/* it has opened and closed since the last time: that is nothing to tell */
	if (!b->open && !was_open)
		return;
	place_values(&v, place);
	values_time(&v, b->opened_at);
	values_int4(&v, b->errors_then);
	values_int4(&v, b->calls_then);
	values_text(&v, b->code[0] != '\0' ? words_as_text(b->code) : NULL);
	values_int4(&v, b->probes);
	values_time(&v, b->probe_at);
	values_bool(&v, b->open);
	values_time(&v, clock_now());
	statement_run(&write, &v);
	if (b->open != was_open)
		say(place, b, merchant);
}

void
breakers_write(void *arg)
{
	(void) schedule_breakers_changed(write_one);
}

void
breakers_load(void)
{
	static Statement read = {
		"SELECT merchant_id, about, call, opened_at, probes, errors, calls, code FROM refundx.breaker"
		" WHERE closed_at IS NULL", NO_ARGS
	};
	uint64		n = statement_read(&read, NULL);
	uint64		row;

	for (row = 0; row < n; row++)
	{
		BreakerPlace place = {.merchant_id = row_int4(row, 1)};

		place.silence = strcmp(row_text(row, 2), "all") == 0;
		if (!place.silence && (!product_from_name(row_text(row, 2), &place.product) ||
							   !channel_call_from_name(row_text(row, 3), &place.call) || place.call >= LANE_COUNT))
			continue;
		breaker_restore(schedule_breaker(&place), row_time(row, 4), row_int4(row, 5), row_int4(row, 6),
						row_int4(row, 7), row_text(row, 8));
	}
}
