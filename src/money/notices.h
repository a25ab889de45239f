/*-------------------------------------------------------------------------
 *
 * notices.h
 *	  Messages that follow a transition: written with it, or with the last of its
 *	  handlers.
 *
 * src/money/notices.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_NOTICES_H
#define REFUNDX_NOTICES_H

#include "base/sql.h"
#include "money/state.h"

/* Is anybody told of this transition? */
extern bool notice_follows(State to);

/* Write the notices of these transitions, for whom there is a template and a contact. */
extern void notices_add(Column *instruction_ids, Column *transitions);

/* The notice of a transition whose handlers are done with; not while one is open. */
extern void notices_after_handlers(int64 instruction_id, const char *transition);

#endif							/* REFUNDX_NOTICES_H */
