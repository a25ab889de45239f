/*-------------------------------------------------------------------------
 *
 * seal_day.h
 *	  The days' statements over the seals.
 *
 * src/money/seal_day.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_SEAL_DAY_H
#define REFUNDX_SEAL_DAY_H

#include "money/seal.h"
#include "utils/date.h"

typedef struct Day
{
	DateADT		day;
	int64		from;			/* its seals; to < from: it has none */
	int64		to;
	char	   *previous;		/* the statement before; NULL = none */
	char	   *statement;
} Day;

extern DateADT day_of(TimestampTz at);	/* in UTC */
extern char *day_text(DateADT day);

/* The day after the last statement, and where its seals begin; false if there are none. */
extern bool day_next(Day *day);
extern void day_close(Day *day);
extern char *day_statement(const Day *day);

/* The leaves of the tree over seals from .. to. */
extern void day_tree(int64 from, int64 to, SealHash **leaves, int *n);

/*
 * Make the statements that are missing, up to that day, of days that are over; returns
 * how many.  ERROR RX040 if refundx.seal_key cannot be used.
 */
extern int	days_make(DateADT up_to);

#endif							/* REFUNDX_SEAL_DAY_H */
