/*-------------------------------------------------------------------------
 *
 * clock.h
 *	  The one clock.
 *
 * Due times, windows and ages go by clock_now(), which tests can move
 * (refundx.clock_offset).  What is signed or compared with a stranger's time
 * stamp goes by clock_wall(), which nobody moves.
 *
 * src/base/clock.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_CLOCK_H
#define REFUNDX_CLOCK_H

#include "datatype/timestamp.h"

extern TimestampTz clock_now(void);
extern int64 clock_wall(void);	/* unix seconds */

extern int64 timestamptz_to_unix_us(TimestampTz t);
extern TimestampTz unix_us_to_timestamptz(int64 us);

#endif							/* REFUNDX_CLOCK_H */
