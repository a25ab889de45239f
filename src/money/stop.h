/*-------------------------------------------------------------------------
 *
 * stop.h
 *	  Stop-loss: what keeps something from being submitted or sent.
 *
 * src/money/stop.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_STOP_H
#define REFUNDX_STOP_H

#include "base/sql.h"

/* What there is of it in this database; all false nearly always. */
typedef struct StopFacts
{
	bool		everything;
	bool		merchants;
	bool		accounts;
	bool		roles;
	bool		caps;
} StopFacts;

#define STOPS_CLAIMS(f) ((f)->everything || (f)->merchants || (f)->accounts || (f)->roles || (f)->caps)

/*
 * As of what is committed now, remembered until somebody changes it.  With SPI
 * connected.  Good until the next statement.
 */
extern const StopFacts *stop_facts(void);

/* ERROR RX032 if this login is paused: it submits nothing. */
extern void stop_check_submit(const char *login);

/* ERROR RX007 if this account is paused: nothing is taken from it. */
extern void stop_check_account(const char *account_no);

/*
 * Before a claim: from now on until the end of the transaction no person places a
 * pause or sets a cap, and stop_facts() knows of those that have been.  False:
 * somebody is just doing that, so no submit may be claimed.
 */
extern bool stop_claims_begin(void);

/*
 * These instructions have just been contradicted: counts it, and pauses their
 * merchants if that is too often.
 */
extern void stop_contradictions(Column *instruction_ids, int64 at);

/*
 * Which of these queued instructions, whose rows the caller has locked, may not be
 * sent, and when to look again; the others are counted against the caps.  Rows
 * of two columns, read with row_int8(row, 1) and row_time(row, 2).
 */
extern uint64 stop_take(Column *instruction_ids, int64 at);

#endif							/* REFUNDX_STOP_H */
