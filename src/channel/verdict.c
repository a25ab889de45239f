/*-------------------------------------------------------------------------
 *
 * verdict.c
 *	  The names of verdicts, as SQL and the views spell them.
 *
 * src/channel/verdict.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "channel/verdict.h"

static const char *const verdict_names[VERDICT_COUNT] = {
	[VERDICT_UNKNOWN] = "unknown",
	[VERDICT_ACCEPTED] = "accepted",
	[VERDICT_SUCCEEDED] = "succeeded",
	[VERDICT_REFUSED] = "refused",
	[VERDICT_DEAD] = "dead",
	[VERDICT_ABNORMAL] = "abnormal",
	[VERDICT_RETURNED] = "returned",
	[VERDICT_CANCELED] = "canceled",
	[VERDICT_REVERSED] = "reversed",
	[VERDICT_NOT_EXECUTED] = "not_executed",
	[VERDICT_HOLD] = "hold",
	[VERDICT_CONFIG] = "config",
	[VERDICT_NOT_FOUND] = "not_found",
	[VERDICT_ASK] = "ask",
};

const char *
verdict_name(Verdict v)
{
	if ((int) v < 0 || (int) v >= VERDICT_COUNT)
		return verdict_names[VERDICT_UNKNOWN];
	return verdict_names[v];
}

bool
verdict_from_name(const char *name, Verdict *v)
{
	int			i;

	for (i = 0; i < VERDICT_COUNT; i++)
	{
		if (name != NULL && strcmp(name, verdict_names[i]) == 0)
		{
			*v = (Verdict) i;
			return true;
		}
	}
	*v = VERDICT_UNKNOWN;
	return false;
}
