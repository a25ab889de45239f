/*-------------------------------------------------------------------------
 *
 * breaker.c
 *	  When calls are held back because nearly all of them come to nothing.
 *
 * Each futile call is an attempt, evidence and a settlement, and makes a refund
 * unknown that was merely queued.  Two signs open a breaker:
 *
 *	silence		of a merchant: so many calls in a row without any answer, of
 *				whatever kind.  The first answer closes it.
 *	errors		of a merchant's submits, queries or cancels, refunds and withdrawals
 *				apart: a share of the last calls that were answered.  A channel
 *				may pay nothing and answer queries all the same, so one does not
 *				hold up the other.  Three good answers in a row close it.
 *
 * While it is open one call at a time tries, after 1, 2, 4 ... 60 s, with what is
 * due next: no call is made for the sake of it, and none uses up anything of its
 * refund's, which is queued or unknown as it would be otherwise.
 *
 * src/worker/breaker.c
 *
 *-------------------------------------------------------------------------
 */
#include "worker/breaker.h"

#include "port/pg_bitutils.h"
#include "utils/timestamp.h"

/*
 * So many calls without an answer: more than the three that make a channel try
 * its other host.
 */
#define SILENT_MAX	8
#define GOOD_TO_CLOSE	3

static void
set_probe(Breaker *b, int longest, TimestampTz now, int64 scale)
{
	int			wait = Min(1 << Min(b->probes, 12), longest);

	b->probe_at = now + wait * USECS_PER_SEC / scale;
	b->good = 0;
	b->changed = true;
}

static void
open_it(Breaker *b, int errors, int calls, int longest, TimestampTz now, int64 scale)
{
	b->open = true;
	b->opened_at = now;
	b->probes = 0;
	b->probe_id = 0;
	b->errors_then = errors;
	b->calls_then = calls;
	set_probe(b, longest, now, scale);
}

static void
close_it(Breaker *b)
{
	b->open = false;
	b->history = 0;
	b->calls = 0;
	b->in_a_row = 0;
	b->changed = true;
}

static void
failed(Breaker *b, int longest, TimestampTz now, int64 scale)
{
	b->probes = Min(b->probes + 1, 1000000);
	set_probe(b, longest, now, scale);
}

TimestampTz
breaker_allows(const Breaker *b, TimestampTz now)
{
	if (b->open && (b->probe_id != 0 || now < b->probe_at))
		return Max(b->probe_at, now + USECS_PER_SEC / 10);
	return 0;
}

void
breaker_call_began(Breaker *b, int64 id)
{
	if (b->open)
		b->probe_id = id;
}

void
breaker_call_undone(Breaker *b, int64 id)
{
	if (b->probe_id == id)
		b->probe_id = 0;
}

static void
keep_code(Breaker *b, const CallOutcome *o)
{
	strlcpy(b->code, o->code ? o->code : o->answered ? "" : "no answer", sizeof(b->code));
}

void
breaker_call_ended(Breaker *b, int64 id, const CallOutcome *o, const BreakerSettings *s,
				   TimestampTz now, int64 scale)
{
	int			errors;

	if (o->error)
		keep_code(b, o);
	if (b->open)
	{
		/* what was under way when it opened says nothing new */
		if (b->probe_id != id)
			return;
		b->probe_id = 0;
		if (!o->answered || o->error)
			failed(b, s->longest, now, scale);
		else if (++b->good >= GOOD_TO_CLOSE || s->calls == 0)
			close_it(b);
		return;
	}
	if (!o->answered || s->calls == 0)
		return;					/* that is the other sign */
	b->history = b->history << 1 | (o->error ? 1 : 0);
	b->calls = Min(b->calls + 1, BREAKER_CALLS_MAX);
	if (b->calls < s->calls)
		return;
	errors = pg_popcount64(s->calls == BREAKER_CALLS_MAX ? b->history :
						   b->history & ((UINT64CONST(1) << s->calls) - 1));
	if (o->error && errors >= s->errors * s->calls)
		open_it(b, errors, s->calls, s->longest, now, scale);
}

void
breaker_silence(Breaker *b, const CallOutcome *o, TimestampTz now, int64 scale)
{
	if (o->answered)
	{
		b->in_a_row = 0;
		if (b->open)
			close_it(b);
		return;
	}
	keep_code(b, o);
	if (b->open)
		failed(b, BREAKER_LONGEST, now, scale);
	else if (++b->in_a_row >= SILENT_MAX)
		open_it(b, b->in_a_row, b->in_a_row, BREAKER_LONGEST, now, scale);
}

void
breaker_restore(Breaker *b, TimestampTz opened_at, int probes, int errors, int calls, const char *code)
{
	b->open = true;
	b->opened_at = opened_at;
	b->probes = probes;
	b->errors_then = errors;
	b->calls_then = calls;
	strlcpy(b->code, code ? code : "", sizeof(b->code));
}

/*
 * What the channel cannot do, and what it will not do because of our keys, clock or
 * rights.  Of a submit also what leaves it unknown; a query may well be told
 * nothing, and that is no error.  A refusal, a limit and an empty balance are
 * answers, and have reactions of their own.
 */
bool
breaker_error(ChannelCall call, const ChannelEvidence *e)
{
	return e->http_status >= 500 || e->verdict == VERDICT_CONFIG ||
		(call != CALL_QUERY && e->verdict == VERDICT_UNKNOWN);
}
