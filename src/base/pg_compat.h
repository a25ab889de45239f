/*-------------------------------------------------------------------------
 *
 * pg_compat.h
 *	  Everything in which PostgreSQL 14 to 18 differ for us, in one place.
 *
 * src/base/pg_compat.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_PG_COMPAT_H
#define REFUNDX_PG_COMPAT_H

#include "postgres.h"

#include "access/xlog.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/guc.h"
#include "utils/wait_event.h"
#if PG_VERSION_NUM >= 160000
#include "utils/guc_hooks.h"
#endif
#if PG_VERSION_NUM >= 180000
#include "storage/waiteventset.h"
#endif

#if PG_VERSION_NUM < 140000
#error "refundx needs PostgreSQL 14 or later"
#endif

/* 15 introduced MarkGUCPrefixReserved */
#if PG_VERSION_NUM < 150000
#define MarkGUCPrefixReserved(prefix)	EmitWarningsOnPlaceholders(prefix)
#endif

/* 15 gave materialized set-returning functions their name; 14 has no helper */
#if PG_VERSION_NUM < 150000
extern void compat_materialized_srf(FunctionCallInfo fcinfo);
#define InitMaterializedSRF(fcinfo, flags)	compat_materialized_srf(fcinfo)
#endif

/* 17 made the process number a global of its own */
#if PG_VERSION_NUM >= 170000
#define compat_my_procno()	MyProcNumber
#else
#define compat_my_procno()	(MyProc->pgprocno)
#endif

/* 17 ties wait sets to a resource owner instead of a memory context */
#if PG_VERSION_NUM >= 170000
#define compat_create_wait_event_set(n)	CreateWaitEventSet(NULL, (n))
#else
#define compat_create_wait_event_set(n)	CreateWaitEventSet(TopMemoryContext, (n))
#endif

/* 17 lets extensions name their wait events */
#if PG_VERSION_NUM >= 170000
#define compat_wait_event(name)	WaitEventExtensionNew(name)
#else
#define compat_wait_event(name)	PG_WAIT_EXTENSION
#endif

/* 15 replaced the global ThisTimeLineID */
#if PG_VERSION_NUM >= 150000
#define compat_current_timeline()	GetWALInsertionTimeLine()
#else
#define compat_current_timeline()	ThisTimeLineID
#endif

/* 16 has one ownership check for all kinds of objects */
#if PG_VERSION_NUM >= 160000
#define compat_database_ownercheck(oid, role) \
	object_ownercheck(DatabaseRelationId, (oid), (role))
#define compat_extension_ownercheck(oid, role) \
	object_ownercheck(ExtensionRelationId, (oid), (role))
#else
#define compat_database_ownercheck(oid, role)	pg_database_ownercheck((oid), (role))
#define compat_extension_ownercheck(oid, role)	pg_extension_ownercheck((oid), (role))
#endif

/* 15 has a hook in which alone shared memory may be asked for */
#if PG_VERSION_NUM >= 150000
#define COMPAT_HAVE_SHMEM_REQUEST_HOOK 1
#endif

/* 18 asks whether a deferrable primary key would do */
#if PG_VERSION_NUM >= 180000
#define compat_primary_key_index(rel)	RelationGetPrimaryKeyIndex((rel), false)
#else
#define compat_primary_key_index(rel)	RelationGetPrimaryKeyIndex(rel)
#endif

/* 17 wants the relation itself */
#if PG_VERSION_NUM >= 170000
#define compat_identity_sequence(rel, attnum)	getIdentitySequence((rel), (attnum), false)
#else
#define compat_identity_sequence(rel, attnum)	getIdentitySequence(RelationGetRelid(rel), (attnum), false)
#endif

/* 18 renamed the prepared CHECKs of a table, and has some that do not count */
#if PG_VERSION_NUM >= 180000
#define compat_check_enforced(check)	((check)->ccenforced)
#else
#define compat_check_enforced(check)	true
#define ri_CheckConstraintExprs			ri_ConstraintExprs
#endif

/* 16 wants to know which of the query's tables are written to: none of a query */
#if PG_VERSION_NUM >= 160000
#define compat_eval_plan_qual_init(epq, estate) \
	EvalPlanQualInit((epq), (estate), NULL, NIL, -1, NIL)
#else
#define compat_eval_plan_qual_init(epq, estate) \
	EvalPlanQualInit((epq), (estate), NULL, NIL, -1)
#endif

/* 16 has indexes that summarize, which some updates alone concern */
#if PG_VERSION_NUM >= 160000
#define compat_insert_index_tuples(result, slot, estate, no_error, conflict, arbiters) \
	ExecInsertIndexTuples((result), (slot), (estate), false, (no_error), (conflict), (arbiters), false)
#else
#define compat_insert_index_tuples(result, slot, estate, no_error, conflict, arbiters) \
	ExecInsertIndexTuples((result), (slot), (estate), false, (no_error), (conflict), (arbiters))
#endif

/* 18 counts what an index scan does */
#if PG_VERSION_NUM >= 180000
#define compat_index_beginscan(rel, index, snapshot, nkeys) \
	index_beginscan((rel), (index), (snapshot), NULL, (nkeys), 0)
#else
#define compat_index_beginscan(rel, index, snapshot, nkeys) \
	index_beginscan((rel), (index), (snapshot), (nkeys), 0)
#endif

/* 18 can leave out the row itself, where it is there already */
#if PG_VERSION_NUM >= 180000
#define compat_check_index_constraints(result, slot, estate, conflict, self, arbiters) \
	ExecCheckIndexConstraints((result), (slot), (estate), (conflict), (self), (arbiters))
#else
#define compat_check_index_constraints(result, slot, estate, conflict, self, arbiters) \
	ExecCheckIndexConstraints((result), (slot), (estate), (conflict), (arbiters))
#endif

#endif							/* REFUNDX_PG_COMPAT_H */
