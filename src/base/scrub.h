/*-------------------------------------------------------------------------
 *
 * scrub.h
 *	  Words that are to be shown, without what may not be.
 *
 * This header must not include postgres.h.
 *
 * src/base/scrub.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_SCRUB_H
#define REFUNDX_SCRUB_H

/*
 * In place: telephone numbers and card numbers keep a few digits, secrets their
 * prefix; control characters become spaces, so that it is one line.
 */
extern void scrub_text(char *text);

#endif							/* REFUNDX_SCRUB_H */
