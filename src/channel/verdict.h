/*-------------------------------------------------------------------------
 *
 * verdict.h
 *	  What a channel's answer means, in the words the state table knows.
 *
 * This header must not include postgres.h.
 *
 * src/channel/verdict.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_VERDICT_H
#define REFUNDX_VERDICT_H

/*
 * VERDICT_UNKNOWN is zero on purpose: whatever nobody has judged is unknown,
 * never failed.
 */
typedef enum Verdict
{
	VERDICT_UNKNOWN = 0,		/* may or may not have had its effect: ask */
	VERDICT_ACCEPTED,			/* the channel has taken it on; not final */
	VERDICT_SUCCEEDED,			/* the money has arrived */
	VERDICT_REFUSED,			/* a definite no; nothing was or will be paid */
	VERDICT_DEAD,				/* this number is closed, unpaid; another may be used */
	VERDICT_ABNORMAL,			/* the channel has the money, the payee's card is dead */
	VERDICT_RETURNED,			/* the money came back to the merchant */
	VERDICT_CANCELED,			/* canceled by the channel, signed */
	VERDICT_REVERSED,			/* given up, and the merchant has the money, whether or
								 * not it had arrived before: failed, or returned */
	VERDICT_NOT_EXECUTED,		/* certainly not executed; the same number, later */
	VERDICT_HOLD,				/* the merchant must act (balance empty) */
	VERDICT_CONFIG,				/* our keys, clock or rights are wrong */
	VERDICT_NOT_FOUND,			/* a query knows no such number */
	VERDICT_ASK					/* carries no outcome, but a query is worth it now */
} Verdict;

#define VERDICT_COUNT	(VERDICT_ASK + 1)

extern const char *verdict_name(Verdict v);		/* "unknown", "accepted", ... */

/* False if the name is none of ours; *v is then VERDICT_UNKNOWN. */
extern bool verdict_from_name(const char *name, Verdict *v);

#endif							/* REFUNDX_VERDICT_H */
