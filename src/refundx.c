/*-------------------------------------------------------------------------
 *
 * refundx.c
 *	  Where the library begins.
 *
 * Preloaded (shared_preload_libraries), it gets shared memory, the launcher
 * and the hooks.  Loaded later, by the first call of one of its functions, it
 * has none of them: reading works, and whatever would need the workers says so
 * (shmem_require()).
 *
 * Nothing here may start a thread or a library that does (no curl_global_init,
 * no TLS): this runs in the postmaster, which forks.
 *
 * src/refundx.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/pg_compat.h"

#include "base/settings.h"
#include "base/shmem.h"
#include "fmgr.h"
#include "worker/worker.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	settings_define();

	/* in the postmaster, so that every backend inherits it, or just here */
	wake_install_callback();

	if (process_shared_preload_libraries_in_progress)
	{
		shmem_install_hooks();
		launcher_register();
		hooks_install();
	}
}
