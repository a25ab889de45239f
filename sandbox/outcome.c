/*-------------------------------------------------------------------------
 *
 * outcome.c
 *	  Which row of its channel's table becomes of a refund or a transfer, and
 *	  the faults that look alike at every channel.
 *
 * A developer at psql picks a row by the amount of the refund; a chaos run
 * draws rows by seed.  A new kind of trouble is a new row.
 *
 * sandbox/outcome.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "sandbox.h"

const SbOutcome *
outcome_in(const SbOutcome *table, const char *name)
{
	const SbOutcome *o;

	for (o = table; o->name != NULL; o++)
		if (strcmp(o->name, name) == 0)
			return o;
	return table;
}

const SbOutcome *
outcome_named(const SbChannel *channel, const char *name)
{
	return outcome_in(channel->outcomes, name);
}

/*
 * In a chaos run the draw depends on the seed and the number only, not on
 * the order of arrival: the same numbers meet the same fate in every run.
 */
static const SbOutcome *
draw(const SbOutcome *table, const SbMerchant *m, const char *key)
{
	uint64_t	h = hash_string(key, hash_string(m->mchid, sandbox.opt.seed));
	int			total = 0,
				pick,
				i;

	if ((double) (h % 10000) >= sandbox.opt.chaos_percent * 100)
		return &table[0];
	for (i = 0; table[i].name != NULL; i++)
		total += table[i].weight;
	pick = (int) ((h >> 24) % (uint64_t) total);
	for (i = 0; pick >= table[i].weight; i++)
		pick -= table[i].weight;
	return &table[i];
}

const SbOutcome *
outcome_choose(const SbOutcome *table, const SbMerchant *m, const char *key, int64_t amount)
{
	int			i;

	if (sandbox.opt.chaos)
		return draw(table, m, key);
	for (i = 1; table[i].name != NULL; i++)
		if (table[i].magic == amount % 10000)
			return &table[i];
	return &table[0];
}

/* Do the two times, on the sandbox's clock, begin with the same `len` characters? */
static bool
same_date(int64_t a, int64_t b, size_t len)
{
	char		one[40],
				two[40];

	format_time(a, one);
	format_time(b, two);
	return strncmp(one, two, len) == 0;
}

bool
outcome_strikes(const SbMerchant *m, const char *key, const SbOutcome *o)
{
	const SbMiss *miss = model_miss(m->mchid, key);

	if (o->fault == FAULT_NONE || o->effect_first)
		return false;
	switch (o->when)
	{
		case WHEN_ALWAYS:
			return true;
		case WHEN_UNTIL_TOPUP:
			return miss == NULL || (o->path ? m->balance_at : m->funded_at) < miss->first;
		case WHEN_TODAY:
			return miss == NULL || same_date(miss->first_at, clock_now(), 10);
		case WHEN_THIS_MONTH:
			return miss == NULL || same_date(miss->first_at, clock_now(), 7);
		case WHEN_FIRST:
			break;
	}
	return miss == NULL;
}

bool
outcome_fault(SbRequest *req, bool accepted, const SbOutcome *o)
{
	switch (o->fault)
	{
		case FAULT_HANG:
			server_hold(req, HOLD_UNTIL_RESET, sandbox.opt.hold_ms);
			return true;
		case FAULT_RESET:
			request_reset(req);
			return true;
		case FAULT_GARBAGE:
			buf_adds(&req->answer, "<html>\x01 {\"status\": \"SUC");
			request_answer(req, 200, "application/json");
			return true;
		case FAULT_HOLD:
			server_hold(req, accepted ? HOLD_ANSWER : HOLD_EFFECT, 0);
			return !accepted;
		default:
			return false;
	}
}

void
outcome_print(const SbOutcome *table, FILE *out)
{
	const SbOutcome *o;

	fprintf(out, "| fen %% 10000 | name | what happens | weight in chaos |\n|---|---|---|---|\n");
	for (o = table; o->name != NULL; o++)
	{
		if (o->magic)
			fprintf(out, "| %d ", o->magic);
		else
			fprintf(out, "| others ");
		fprintf(out, "| `%s` | %s | %d |\n", o->name, o->text, o->weight);
	}
}
