/*-------------------------------------------------------------------------
 *
 * testpoint.h
 *	  Named places at which a test can make something happen.
 *
 * refundx.test_point = 'NAME:ACTION[, ...]' with ACTION one of
 *	  crash	   kill -9 of this process, which the postmaster answers with a
 *			   restart of the whole server
 *	  error	   ereport(ERROR)
 *	  wait	   stay until the setting no longer names the place (a reload)
 *
 * Compiled in only with TESTPOINTS=1; otherwise the macro is nothing.
 *
 * src/base/testpoint.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_TESTPOINT_H
#define REFUNDX_TESTPOINT_H

#ifdef REFUNDX_TESTPOINTS
extern void testpoint_reached(const char *name);
#define TESTPOINT(name)		testpoint_reached(name)
#else
#define TESTPOINT(name)		((void) 0)
#endif

#endif							/* REFUNDX_TESTPOINT_H */
