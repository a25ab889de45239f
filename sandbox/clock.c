/*-------------------------------------------------------------------------
 *
 * clock.c
 *	  The sandbox's own clock, which may run fast and may be moved.
 *
 * Everything that becomes due (retries, settlements) is due on this clock.
 * Signatures use the wall clock, because whoever checks them has no other.
 * Business times (when a refund was accepted, which day's bill it is in) use
 * the wall clock moved by what ctl advance has moved, and never run fast: a
 * caller whose own clock was moved as far agrees with them.
 *
 * sandbox/clock.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <time.h>

#include "sandbox.h"

static double speed = 1;
static int64_t base_mono;		/* when the clock showed base_time */
static int64_t base_time;

static int64_t
read_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
wall_us(void)
{
	return read_us(CLOCK_REALTIME);
}

int64_t
wall_ms(void)
{
	return wall_us() / 1000;
}

int64_t
mono_ms(void)
{
	return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t
business_ms(void)
{
	return wall_ms() + sandbox.model.advanced_ms;
}

/*
 * A restarted sandbox goes on from the newest time in its ledger, which a
 * fast clock may have carried into the future; it never goes back.
 */
void
clock_start(int64_t at_least, double new_speed)
{
	base_time = wall_ms();
	if (base_time < at_least)
		base_time = at_least;
	base_mono = mono_ms();
	speed = new_speed;
}

int64_t
clock_now(void)
{
	return base_time + (int64_t) ((double) (mono_ms() - base_mono) * speed);
}

void
clock_advance(int64_t ms)
{
	base_time += ms;
}

int64_t
clock_real_delay(int64_t real_ms)
{
	return (int64_t) ((double) real_ms * speed);
}

int64_t
clock_until(int64_t due)
{
	int64_t		left = due - clock_now();

	/* Round up, or the loop would wake a little early and spin. */
	return left <= 0 ? 0 : (int64_t) ((double) left / speed) + 1;
}

/* Beijing time, as WeChat Pay prints it. */
void
format_time(int64_t ms, char out[40])
{
	time_t		t = (time_t) (ms / 1000) + 8 * 3600;
	struct tm	tm;

	gmtime_r(&t, &tm);
	strftime(out, 40, "%Y-%m-%dT%H:%M:%S+08:00", &tm);
}
