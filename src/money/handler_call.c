/*-------------------------------------------------------------------------
 *
 * handler_call.c
 *	  Calling a function of the application's, in the runner.
 *
 * It runs as a role of the application's, in a subtransaction of the transaction
 * that settles money.  It may be wrong, slow, or hostile: whoever may replace the
 * function must not get the runner's rights, nor keep it busy, nor leave it
 * anything.
 *
 *	- As the role: SECURITY_LOCAL_USERID_CHANGE, in which SET ROLE, RESET ROLE and
 *	  SET SESSION AUTHORIZATION are refused.  Not SECURITY_RESTRICTED_OPERATION,
 *	  in which an application could use neither temporary tables nor constraints
 *	  that are deferred.
 *
 *	- Nothing of it may run after it, when the role is the runner's again.
 *	  Deferred triggers would, at commit: so they are fired here, by SET
 *	  CONSTRAINTS ALL IMMEDIATE; and once more as a restricted operation, where
 *	  a trigger that tries to defer another one fails, so that none is left.
 *	  A cursor WITH HOLD would, for it is read to its end at commit: all are closed.
 *
 *	- Settings that it has changed, by SET too, are as they were: with them it
 *	  could take our commits off the disk (synchronous_commit), or our names
 *	  somewhere else (search_path).
 *
 *	- Temporary tables, prepared statements and advisory locks of sessions are
 *	  gone before the next one is called.
 *
 *	- A worker has no statement_timeout: it is armed here by hand, over the
 *	  function and its deferred triggers.  A cancel can be caught; then the
 *	  launcher ends the process (see HandlerCallSlot).
 *
 *	- Waits for locks are short; and the runner, not the application, is whom a
 *	  deadlock is told to (deadlock_timeout is 10 ms here, see runner.c).
 *
 * src/money/handler_call.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/handler.h"

#include "access/xact.h"
#include "base/scrub.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "commands/prepare.h"
#include "commands/trigger.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "storage/lock.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/portal.h"
#include "utils/resowner.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

/* What is kept of an error. */
#define MESSAGE_MAX		1000
#define CONTEXT_MAX		2000

static int64 running = 0;		/* the instruction whose handler runs */
static bool constraints_set = false;	/* in this transaction */

static Datum argument_of(const Handler *h, int64 instruction_id, State transition, Oid *type);
static Oid	role_of(const Handler *h);
static void call_as(const Handler *h, Oid role, Datum argument, Oid type);
static void fire_deferred(void);
static void defer_again(void);
static void keep_error(const Handler *h, const ErrorData *e, int64 took_ms, HandlerError *error);

bool
handler_running(void)
{
	return running != 0;
}

int64
handler_instruction(void)
{
	return running;
}

/* Settings for the function's own statements; forced ones are for ours. */
static void
settings_for(const Handler *h)
{
	char		limit[32];

	snprintf(limit, sizeof(limit), "%dms", h->lock_limit_ms);
	SetConfigOption("lock_timeout", limit, PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("row_security", "on", PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("enable_seqscan", "on", PGC_USERSET, PGC_S_SESSION);
}

static void
finish_call(void)
{
	disable_timeout(STATEMENT_TIMEOUT, false);
	QueryCancelPending = false;
	running = 0;
}

bool
handler_call(const Handler *h, int64 instruction_id, State transition, HandlerError *error)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	TimestampTz started = GetCurrentTimestamp();
	int			settings = NewGUCNestLevel();
	volatile bool succeeded = false;
	Oid			user;
	int			security;
	Oid			type;
	Datum		argument = argument_of(h, instruction_id, transition, &type);

	defer_again();
	GetUserIdAndSecContext(&user, &security);
	settings_for(h);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		Oid			role = role_of(h);

		running = instruction_id;
		SetUserIdAndSecContext(role, security | SECURITY_LOCAL_USERID_CHANGE);
		enable_timeout_after(STATEMENT_TIMEOUT, h->time_limit_ms);
		call_as(h, role, argument, type);
		fire_deferred();
		SetUserIdAndSecContext(role, security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
		fire_deferred();
		PortalHashTableDeleteAll();
		finish_call();
		SetUserIdAndSecContext(user, security);
		ReleaseCurrentSubTransaction();
		succeeded = true;
	}
	PG_CATCH();
	{
		ErrorData  *e;

		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(context);
		e = CopyErrorData();
		FlushErrorState();
		finish_call();
		RollbackAndReleaseCurrentSubTransaction();
		RESUME_INTERRUPTS();
		MemoryContextSwitchTo(context);
		keep_error(h, e, TimestampDifferenceMilliseconds(started, GetCurrentTimestamp()), error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	AtEOXact_GUC(false, settings);
	return succeeded;
}

/* ------------------------------------------------------------------------
 * What it is called with, and as whom
 * ------------------------------------------------------------------------
 */

/*
 * The row as it is now, but in the state that the handler follows: one that is tried
 * again may find the refund returned by then, and is still to take in the success.
 */
static Datum
argument_of(const Handler *h, int64 instruction_id, State transition, Oid *type)
{
	static Statement refund = {
		"SELECT ROW(i.instruction_no, c.name, p.payment_no, i.amount, i.currency, i.reason, $2, i.detail,"
		"           i.state_since, i.due_at, i.attempts, i.person_reason, i.submitted_at)::refundx.refund"
		"  FROM refundx.instruction i"
		"  JOIN refundx.channel c USING (channel_id)"
		"  LEFT JOIN refundx.payment p USING (payment_id)"
		" WHERE i.instruction_id = $1", ARGS(INT8OID, TEXTOID)
	};
	static Statement withdrawal = {
		"SELECT ROW(i.instruction_no, a.account_no, c.name, o.asked, i.fee, i.amount, i.currency,"
		"           o.payee_masked, i.reason, $2, i.detail, i.state_since, i.due_at, i.attempts,"
		"           i.cancel_requested_at, o.approval, i.person_reason, i.submitted_at)::refundx.withdrawal"
		"  FROM refundx.instruction i"
		"  JOIN refundx.channel c USING (channel_id)"
		"  JOIN refundx.payout o ON o.instruction_id = i.instruction_id"
		"  LEFT JOIN refundx.account a ON a.account_id = o.account_id"
		" WHERE i.instruction_id = $1", ARGS(INT8OID, TEXTOID)
	};
	Values		v = {0};
	bool		isnull;
	Datum		row;

	values_int8(&v, instruction_id);
	values_text(&v, state_name(transition));
	if (statement_run(h->about == PRODUCT_REFUND ? &refund : &withdrawal, &v) != 1)
		elog(ERROR, "instruction %lld vanished", (long long) instruction_id);
	*type = SPI_gettypeid(SPI_tuptable->tupdesc, 1);
	row = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	return datumCopy(row, false, -1);
}

static Oid
role_of(const Handler *h)
{
	Oid			role = get_role_oid(h->role, true);

	if (!OidIsValid(role))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role \"%s\", as which the handler runs, does not exist", h->role)));
	if (superuser_arg(role))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\", as which the handler runs, is a superuser", h->role)));
	return role;
}

/* Exactly this function, and no other that would do for the argument. */
static void
call_as(const Handler *h, Oid role, Datum argument, Oid type)
{
	List	   *name = list_make2(makeString(h->function_schema), makeString(h->function_name));
	char	   *quoted = quote_qualified_identifier(h->function_schema, h->function_name);
	int			rc;

	if (!OidIsValid(LookupFuncName(name, 1, &type, true)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function %s(refundx.%s) does not exist", quoted, product_name(h->about))));
	rc = SPI_execute_with_args(psprintf("SELECT %s($1)", quoted), 1, &type, &argument, NULL, false, 0);
	if (rc != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_with_args failed: %s", SPI_result_code_string(rc));
	SPI_freetuptable(SPI_tuptable);
}

/* ------------------------------------------------------------------------
 * Deferred triggers
 * ------------------------------------------------------------------------
 */

static void
set_constraints(List *constraints, bool deferred)
{
	ConstraintsSetStmt *stmt = makeNode(ConstraintsSetStmt);

	stmt->constraints = constraints;
	stmt->deferred = deferred;
	AfterTriggerSetState(stmt);
}

static void
fire_deferred(void)
{
	constraints_set = true;
	set_constraints(NIL, false);
	CommandCounterIncrement();
}

/*
 * A second handler in one transaction would find all constraints immediate, and there
 * is no command that makes them what they were.  So those that are initially
 * deferred are named; as whom does not matter, for nothing of anybody's runs by that,
 * but whoever does it needs the right to see all schemas.
 */
static void
defer_again(void)
{
	static Statement find = {
		"SELECT n.nspname::text, c.conname::text"
		"  FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace"
		" GROUP BY 1, 2 HAVING bool_and(c.condeferrable AND c.condeferred)", NO_ARGS
	};
	List	   *names = NIL;
	Oid			user;
	int			security;
	uint64		n;
	uint64		row;

	if (!constraints_set)
		return;
	n = statement_run(&find, NULL);
	for (row = 0; row < n; row++)
		names = lappend(names, makeRangeVar(row_text(row, 1), row_text(row, 2), -1));
	if (names == NIL)
		return;
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	set_constraints(names, true);
	SetUserIdAndSecContext(user, security);
}

/* ------------------------------------------------------------------------
 * Afterwards
 * ------------------------------------------------------------------------
 */

static void
keep_error(const Handler *h, const ErrorData *e, int64 took_ms, HandlerError *error)
{
	memset(error, 0, sizeof(*error));
	error->code = pstrdup(unpack_sql_state(e->sqlerrcode));
	error->timed_out = e->sqlerrcode == ERRCODE_QUERY_CANCELED && took_ms >= h->time_limit_ms;
	error->transient = e->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		e->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED || e->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE;
	error->message = error->timed_out ?
		psprintf("it took longer than its time limit of %d ms", h->time_limit_ms) :
		pnstrdup(e->message ? e->message : "", pg_mbcliplen(e->message ? e->message : "", e->message ? strlen(e->message) : 0, MESSAGE_MAX));
	scrub_text(error->message);
	if (e->context)
	{
		error->context = pnstrdup(e->context, pg_mbcliplen(e->context, strlen(e->context), CONTEXT_MAX));
		scrub_text(error->context);
	}
}

/* Outside of any handler, at the beginning of a transaction. */
void
handler_clean_session(void)
{
	Oid			temp;
	Oid			toast;

	constraints_set = false;
	LockReleaseAll(USER_LOCKMETHOD, true);
	DropAllPreparedStatements();
	GetTempNamespaceState(&temp, &toast);
	if (OidIsValid(temp))
		ResetTempTableNamespace();
}
