/*-------------------------------------------------------------------------
 *
 * memo.c
 *	  What a backend remembers of a table of ours, until somebody changes it.
 *
 * One callback for all of them: a backend has room for ten, of which the server
 * takes three and other extensions want some, and who finds none is FATAL.
 *
 * The table's oid has to be known before the table is read for the first time, or a
 * change that is told of during that very read would be taken for another table's.
 *
 * src/base/memo.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/memo.h"

#include "base/relation.h"
#include "utils/inval.h"

static Memo *memos = NULL;

static void
changed(Datum arg, Oid relid)
{
	Memo	   *m;

	for (m = memos; m != NULL; m = m->next)
	{
		if (relid != InvalidOid && relid != m->relid)
			continue;
		m->changes++;
		m->forget();
	}
}

uint64
memo_read(Memo *m)
{
	/* DROP and CREATE EXTENSION give it another */
	m->relid = relation_oid(m->table);
	if (!m->known)
	{
		if (memos == NULL)
			CacheRegisterRelcacheCallback(changed, (Datum) 0);
		m->next = memos;
		memos = m;
		m->known = true;
	}
	return m->changes;
}
