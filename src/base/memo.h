/*-------------------------------------------------------------------------
 *
 * memo.h
 *	  What a backend remembers of a table of ours, until somebody changes it.
 *
 * Tables of configuration change rarely and are asked all the time.  A trigger on
 * such a table sends a relation-cache invalidation (CacheInvalidateRelcache) for
 * each statement that may have changed it, and everybody forgets what it
 * remembers.
 *
 * src/base/memo.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_MEMO_H
#define REFUNDX_MEMO_H

#include "base/pg_compat.h"

/* Written as a static: {"guard", forget_guards} */
typedef struct Memo
{
	const char *table;			/* in the schema refundx; a literal */
	void		(*forget) (void);	/* what is remembered; must not fail */

	/* the rest is memo.c's */
	Oid			relid;
	uint64		changes;
	bool		known;
	struct Memo *next;
} Memo;

/*
 * Before the table is read: what to compare memo_changes() with afterwards.  If
 * they differ, what was read may be of before the change, and is not to be
 * remembered.
 */
extern uint64 memo_read(Memo *m);

/* How often the table has changed, as far as this backend has heard. */
#define memo_changes(m)		((m)->changes)

#endif							/* REFUNDX_MEMO_H */
