/*-------------------------------------------------------------------------
 *
 * policy.h
 *	  The rules of withdrawals: limits, fees, who must agree.
 *
 * src/money/policy.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_POLICY_H
#define REFUNDX_POLICY_H

#include "base/sql.h"

/* Amounts are minor units; -1 = no such limit. */
typedef struct Policy
{
	int64		minimum;
	int64		maximum;
	int64		day_amount;
	int64		day_count;
	char		day_zone[64];
	int64		fee_fixed;
	int32		fee_ppm;		/* millionths of the amount asked for */
	int64		fee_cap;
	bool		fee_on_top;		/* the account pays it besides; otherwise the payee
								 * gets less */
	bool		fee_back_on_failure;
	bool		fee_back_on_return;
	int64		approve_above;
	bool		approve_new_payee;
} Policy;

/* The account's own rules, or else the channel's, or else none at all. */
extern void policy_of(int32 channel_id, int64 account_id, Policy *out);

/*
 * Split what was asked for into what the payee gets and the fee; their sum is
 * what the account pays, to the unit.  ERROR RX020 if nothing would be left.
 */
extern void policy_fee(const Policy *p, int64 asked, int64 *net, int64 *fee);

/* ERROR RX020 if the amount is outside the limits of one withdrawal. */
extern void policy_check_amount(const Policy *p, int64 asked, const char *currency);

/* Is there a limit per day? */
#define POLICY_HAS_CAP(p)	((p)->day_amount >= 0 || (p)->day_count >= 0)

/*
 * Count it on the day's limit of the account, whose own row the caller has locked;
 * returns the day (DateADT).  ERROR RX020, saying what is left, if that is more
 * than the day allows.
 */
extern int32 policy_count(const Policy *p, int64 account_id, int32 channel_id,
						  int64 asked, int64 instruction_id, const char *currency);

/* It came to nothing: it no longer counts.  Under the same lock. */
extern void policy_uncount(int64 instruction_id);

#endif							/* REFUNDX_POLICY_H */
