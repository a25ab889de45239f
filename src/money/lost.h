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
 * or being sent becomes `unknown`, everything open is asked about now, and
 * SMS that were pending go to a person (*notices: how many).  Returns how
 * many instructions.
 */
extern uint64 lost_mark_all(const char *why, int64 *notices);

#endif							/* REFUNDX_LOST_H */
