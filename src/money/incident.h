/*-------------------------------------------------------------------------
 *
 * incident.h
 *	  Something went wrong: one row, and one line in the log with the same id.
 *
 * src/money/incident.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_INCIDENT_H
#define REFUNDX_INCIDENT_H

#include "base/pg_compat.h"

/* Words are cut to what a line takes, and telephone and card numbers masked. */
typedef struct Incident
{
	const char *kind;			/* a word, as "handler_failed" */
	int64		instruction_id; /* 0 = about none */
	const char *subject;		/* a merchant, an account; NULL = none */
	const char *sqlstate;		/* five characters; NULL = it was no error */
	const char *reason;			/* in words */
	const char *done;			/* what was done about it */
} Incident;

/*
 * In the caller's transaction, which must be able to commit: the row goes with it,
 * and the line is written after it.  Returns the id.  SPI is not needed, nor any right.
 */
extern int64 incident_add(const Incident *i);

#endif							/* REFUNDX_INCIDENT_H */
