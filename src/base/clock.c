/*-------------------------------------------------------------------------
 *
 * clock.c
 *	  The one clock; see clock.h.
 *
 * src/base/clock.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/pg_compat.h"

#include <time.h>

#include "base/clock.h"
#include "base/settings.h"
#include "utils/timestamp.h"

#define EPOCH_DIFF_US \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

TimestampTz
clock_now(void)
{
	return GetCurrentTimestamp() + (int64) rx_clock_offset * USECS_PER_SEC;
}

int64
clock_wall(void)
{
	return (int64) time(NULL);
}

int64
timestamptz_to_unix_us(TimestampTz t)
{
	return t + EPOCH_DIFF_US;
}

TimestampTz
unix_us_to_timestamptz(int64 us)
{
	return us - EPOCH_DIFF_US;
}
