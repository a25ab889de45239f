/*-------------------------------------------------------------------------
 *
 * merchant.c
 *	  How often a merchant calls: peaks, and the limits of channels that
 *	  have some per second.
 *
 * sandbox/merchant.c
 *
 *-------------------------------------------------------------------------
 */
#include "sandbox.h"

static void
new_second(SbMerchant *m)
{
	int64_t		second = wall_ms() / 1000;

	if (m->second == second)
		return;
	m->second = second;
	m->ok_now = 0;
	m->failing_now = 0;
}

void
merchant_count(SbMerchant *m, bool ok)
{
	if (m == NULL)
		return;
	new_second(m);
	if (ok)
	{
		m->ok_total++;
		if (++m->ok_now > m->peak_ok)
			m->peak_ok = m->ok_now;
	}
	else
	{
		m->failing_total++;
		if (++m->failing_now > m->peak_failing)
			m->peak_failing = m->failing_now;
	}
}

/* Only with --limits; 0 = no such limit.  True is counted as throttled. */
bool
merchant_over_limit(SbMerchant *m, int ok_per_second, int failing_per_second)
{
	bool		over;

	new_second(m);
	over = sandbox.opt.limits &&
		((ok_per_second > 0 && m->ok_now >= ok_per_second) ||
		 (failing_per_second > 0 && m->failing_now >= failing_per_second));
	m->throttled += over;
	return over;
}
