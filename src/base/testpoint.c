/*-------------------------------------------------------------------------
 *
 * testpoint.c
 *	  Named places at which a test can make something happen; see testpoint.h.
 *
 * src/base/testpoint.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/pg_compat.h"

#include <signal.h>
#include <unistd.h>

#include "base/settings.h"
#include "base/testpoint.h"
#include "postmaster/interrupt.h"

#ifdef REFUNDX_TESTPOINTS

/* Is NAME:ACTION among the comma-separated entries of the setting? */
static bool
testpoint_asked(const char *name, const char *action)
{
	char		want[128];
	const char *hit;

	snprintf(want, sizeof(want), "%s:%s", name, action);
	hit = rx_test_point ? strstr(rx_test_point, want) : NULL;
	return hit != NULL && (hit == rx_test_point || hit[-1] == ',' || hit[-1] == ' ');
}

void
testpoint_reached(const char *name)
{
	if (rx_test_point == NULL || rx_test_point[0] == '\0')
		return;
	if (testpoint_asked(name, "crash"))
	{
		elog(LOG, "test point \"%s\": crash", name);
		kill(getpid(), SIGKILL);
	}
	if (testpoint_asked(name, "error"))
		elog(ERROR, "test point \"%s\": error", name);
	if (testpoint_asked(name, "wait"))
		elog(LOG, "test point \"%s\": waiting", name);
	while (testpoint_asked(name, "wait"))
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 100,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
	}
}

#endif							/* REFUNDX_TESTPOINTS */
