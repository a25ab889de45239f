/*-------------------------------------------------------------------------
 *
 * lost.h
 *	  When part of the past may be missing: ask before anything is sent.
 *
 * src/money/lost.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_LOST_H
#define REFUNDX_LOST_H

#include "base/sql.h"

/*
 * Put every open instruction through the state table's LOST: what is queued
 * or being sent becomes `unknown`, everything open is asked about now.  Each is
 * kept in refundx.recovery_asked.  Returns how many instructions.
 */
extern uint64 lost_mark_all(int64 recovery_id, const char *why);

/*
 * The same of some that were submitted since.  Whatever the lost part of the past
 * has sent of them, it sent before `gap_to`: so that is what a not-found has to be
 * later than.
 */
extern uint64 lost_mark_some(int64 recovery_id, const char *why, int64 gap_to, Column *ids);

/* SMS that were pending may have been sent: they go to a person.  How many. */
extern uint64 lost_stop_notices(const char *why);

#endif							/* REFUNDX_LOST_H */
