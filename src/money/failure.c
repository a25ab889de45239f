/*-------------------------------------------------------------------------
 *
 * failure.c
 *	  Failure policies: what they say where nobody has said anything, and how the
 *	  settler reads them.
 *
 * A policy never makes a failure of what is unknown, and never sends a second
 * number while the first may be paid: it says how patient the retries are, and
 * whether the channel's definite no ends an instruction or leaves it open, its
 * money frozen, until somebody has decided (state `stopped`).
 *
 * src/money/failure.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/sql.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "money/failure.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(refundx_failure_defaults);

const FailurePolicy failure_default = {
	.retry_limit = 0,
	.retry_first = 2,			/* 2 s, 4 ... 8.5 min */
	.retry_factor = 200,
	.retry_max = 512,
	.on_failure = FAILURE_END,
	.reissue_limit = 3,
	.unknown_after = 0,
};

static const char *const action_names[FAILURE_ACTION_COUNT] = {
	"end", "reissue", "operator", "ask_user"
};

const char *
failure_action_name(FailureAction a)
{
	return action_names[a];
}

bool
failure_action_from_name(const char *name, FailureAction *a)
{
	int			i;

	for (i = 0; name != NULL && i < FAILURE_ACTION_COUNT; i++)
	{
		if (strcmp(name, action_names[i]) == 0)
		{
			*a = (FailureAction) i;
			return true;
		}
	}
	return false;
}

void
failure_override_read(FailureOverride *o, uint64 row, int column)
{
	FailurePolicy *p = &o->policy;
	int			i;

	o->given = row_bool(row, column);
	if (!o->given)
		return;
	for (i = 0; i < (int) lengthof(o->null); i++)
		o->null[i] = row_null(row, column + 1 + i);
	p->retry_limit = row_int4(row, column + 1);
	p->retry_first = row_int4(row, column + 2);
	p->retry_factor = row_int4(row, column + 3);
	p->retry_max = row_int4(row, column + 4);
	if (!o->null[4] && !failure_action_from_name(row_text(row, column + 5), &p->on_failure))
		elog(ERROR, "a failure policy has an action that is not built in");
	p->reissue_limit = row_int4(row, column + 6);
	p->unknown_after = row_int4(row, column + 7);
}

void
failure_override_apply(FailurePolicy *p, const FailureOverride *o)
{
	if (!o->given)
		return;
	if (!o->null[0])
		p->retry_limit = o->policy.retry_limit;
	if (!o->null[1])
		p->retry_first = o->policy.retry_first;
	if (!o->null[2])
		p->retry_factor = o->policy.retry_factor;
	if (!o->null[3])
		p->retry_max = o->policy.retry_max;
	if (!o->null[4])
		p->on_failure = o->policy.on_failure;
	if (!o->null[5])
		p->reissue_limit = o->policy.reissue_limit;
	if (!o->null[6])
		p->unknown_after = o->policy.unknown_after;
	/* each is right by itself; of two that were set apart the greater bound counts */
	p->retry_max = Max(p->retry_max, p->retry_first);
}

int
failure_retry_delay(const FailurePolicy *p, int attempts)
{
	double		seconds = p->retry_first;

	while (--attempts > 0 && seconds < p->retry_max)
	{
		double		longer = seconds * p->retry_factor / 100.0;

		if (longer <= seconds)
			break;				/* a factor of 1: always the same */
		seconds = longer;
	}
	return (int) Min(seconds, (double) p->retry_max);
}

/* SQL: failure_defaults(OUT retry_limit ...) returns record */
Datum
refundx_failure_defaults(PG_FUNCTION_ARGS)
{
	const FailurePolicy *p = &failure_default;
	TupleDesc	desc;
	Datum		values[7];
	bool		nulls[7] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != lengthof(values))
		elog(ERROR, "return type must be a record of %d columns", (int) lengthof(values));
	values[0] = CStringGetTextDatum(failure_action_name(p->on_failure));
	values[1] = Int32GetDatum(p->retry_limit);
	values[2] = Int32GetDatum(p->retry_first);
	values[3] = DirectFunctionCall3(numeric_in, CStringGetDatum(psprintf("%d.%02d", p->retry_factor / 100, p->retry_factor % 100)),
									ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	values[4] = Int32GetDatum(p->retry_max);
	values[5] = Int32GetDatum(p->reissue_limit);
	values[6] = Int32GetDatum(p->unknown_after);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}
