/*-------------------------------------------------------------------------
 *
 * weigh_parts.h
 *	  What the files of weighing share, and nobody else needs.
 *
 * src/money/weigh_parts.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_WEIGH_PARTS_H
#define REFUNDX_WEIGH_PARTS_H

#include "money/weigh.h"

/* The policy that counts for this instruction. */
static inline FailurePolicy
policy_of(const Instruction *i, const Timing *timing)
{
	FailurePolicy p = timing->policy;

	failure_override_apply(&p, &i->override);
	return p;
}

static inline void
to_person(Instruction *i, const char *reason, const char *suggestion, int64 now)
{
	if (i->person_reason && strcmp(i->person_reason, reason) == 0)
		return;
	i->person_reason = (char *) reason;
	i->person_suggestion = (char *) suggestion;
	i->person_since = now;
}

static inline void
from_person(Instruction *i)
{
	i->person_reason = NULL;
	i->person_suggestion = NULL;
	i->person_since = 0;
}

/* ---- weigh_stopped.c ---- */

/* INPUT_STOPPED in place of what would fail, if the policy says so. */
extern Input weigh_by_policy(const Instruction *i, const EvidenceFacts *e, Input input,
							 const FailurePolicy *policy);

/* It has just become `stopped`: whom to tell, and whether it is reissued. */
extern void weigh_stopped(Instruction *i, const FailurePolicy *policy, int64 now, Decision *d);

/* Evidence about a number that the instruction had before; mismatch NULL = it fits. */
extern void weigh_former(Instruction *i, const EvidenceFacts *e, char *mismatch, bool own_call,
						 int64 now, Decision *d);

#endif							/* REFUNDX_WEIGH_PARTS_H */
