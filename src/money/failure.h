/*-------------------------------------------------------------------------
 *
 * failure.h
 *	  What is done about a failure: how the same number is tried again, and what
 *	  comes after a definite no.
 *
 * src/money/failure.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_FAILURE_H
#define REFUNDX_FAILURE_H

#include "postgres.h"

/* After the channel has ended a number, unpaid. */
typedef enum FailureAction
{
	FAILURE_END,				/* failed; the money is released */
	FAILURE_REISSUE,			/* the same instruction, with another number */
	FAILURE_OPERATOR,			/* stopped, for an operator */
	FAILURE_ASK_USER			/* stopped; whom it pays is told, and the application decides */
} FailureAction;

#define FAILURE_ACTION_COUNT	(FAILURE_ASK_USER + 1)

/* "end", "reissue", "operator", "ask_user" */
extern const char *failure_action_name(FailureAction a);
extern bool failure_action_from_name(const char *name, FailureAction *a);

typedef struct FailurePolicy
{
	int			retry_limit;	/* how often the same number is sent again; 0 = no limit */
	int			retry_first;	/* seconds before it is sent again the first time */
	int			retry_factor;	/* hundredths: each further wait is so much longer */
	int			retry_max;		/* seconds: no wait is longer */
	FailureAction on_failure;
	int			reissue_limit;	/* how many further numbers one instruction may get */
	int			unknown_after;	/* seconds after which an unknown one is shown to a
								 * person; 0 = after ten queries in vain */
} FailurePolicy;

/* The same, where null is "as before"; a row of refundx.failure_policy or _override. */
typedef struct FailureOverride
{
	bool		given;			/* there is such a row */
	bool		null[7];		/* in the order of FAILURE_COLUMNS */
	FailurePolicy policy;
} FailureOverride;

extern const FailurePolicy failure_default;

/* Seven columns of a row f of one of the two tables, after whether there is one. */
#define FAILURE_COLUMNS(f) \
	f ".on_failure IS NOT NULL OR " f ".retry_limit IS NOT NULL OR " f ".retry_first IS NOT NULL" \
	" OR " f ".retry_factor IS NOT NULL OR " f ".retry_max IS NOT NULL OR " f ".reissue_limit IS NOT NULL" \
	" OR " f ".unknown_after IS NOT NULL," \
	" " f ".retry_limit, " f ".retry_first, (" f ".retry_factor * 100)::int, " f ".retry_max," \
	" " f ".on_failure, " f ".reissue_limit, " f ".unknown_after"
#define FAILURE_COLUMN_COUNT	8

/* Read them from a result's row, beginning with that column. */
extern void failure_override_read(FailureOverride *o, uint64 row, int column);
extern void failure_override_apply(FailurePolicy *p, const FailureOverride *o);

/* How many seconds the n-th sending of a number (the first is 1) is followed by. */
extern int	failure_retry_delay(const FailurePolicy *p, int attempts);

/*
 * reissue.c.  Give a stopped instruction, which is locked, another number; NULL,
 * or a sentence that says why it gets none.
 */
extern char *reissue_instruction(int64 instruction_id, const char *why);

/* It was to get another number by itself, and gets none: a person is told why.  Returns the reason. */
extern char *reissue_refused(int64 instruction_id, const char *why_not);

/* End a stopped instruction, which is locked with its payment: failed, released. */
extern void stopped_give_up(int64 instruction_id, const char *why);

#endif							/* REFUNDX_FAILURE_H */
