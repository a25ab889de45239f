/*-------------------------------------------------------------------------
 *
 * stop.c
 *	  Stop-loss: what keeps something from being submitted or sent.
 *
 * Pauses and caps are rows that change rarely, and there are none nearly
 * always: what a backend has read of them it remembers, until somebody changes
 * one of the two tables (as in channel_facts.c).  So they cost a submit and a
 * claim a look at five booleans.
 *
 * A submit goes by what is committed when it looks; who pauses a role at the
 * same moment may come after it, and then what it has queued is not sent.  A
 * claim must not be overtaken: it takes refundx.pause in a mode that conflicts
 * with that of whoever pauses or sets a cap, and taking a lock brings the
 * invalidations of those who had it before.  It does not wait: whoever pauses
 * and then does not commit holds up submits, and nothing else.
 *
 * src/money/stop.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/stop.h"

#include "access/xact.h"
#include "base/errors.h"
#include "base/memo.h"
#include "base/relation.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/timestamp.h"

static StopFacts known;
static bool remembered = false;

static void
forget(void)
{
	remembered = false;
}

static Memo pauses = {"pause", forget};
static Memo caps = {"cap", forget};

const StopFacts *
stop_facts(void)
{
	static Statement read = {
		"SELECT count(*) FILTER (WHERE scope = 'everything') > 0, count(*) FILTER (WHERE scope = 'merchant') > 0,"
		"       count(*) FILTER (WHERE scope = 'account') > 0, count(*) FILTER (WHERE scope = 'role') > 0,"
		"       EXISTS (SELECT FROM refundx.cap WHERE removed_at IS NULL)"
		"  FROM refundx.pause", NO_ARGS
	};
	uint64		before;

	AcceptInvalidationMessages();
	if (remembered && !IsolationUsesXactSnapshot())
		return &known;

	/* what comes between the statement's snapshot and here must not be lost */
	before = memo_read(&pauses) + memo_read(&caps);
	statement_run(&read, NULL);
	known.everything = row_bool(0, 1);
	known.merchants = row_bool(0, 2);
	known.accounts = row_bool(0, 3);
	known.roles = row_bool(0, 4);
	known.caps = row_bool(0, 5);
	remembered = before == memo_changes(&pauses) + memo_changes(&caps) && !IsolationUsesXactSnapshot();
	return &known;
}

void
stop_check_submit(const char *login)
{
	static Statement find = {
		"SELECT p.role_name, refundx.pause_text(p) FROM refundx.pause p"
		" WHERE p.scope = 'role' AND refundx.same_login($1, p.role_name) ORDER BY p.pause_id LIMIT 1",
		ARGS(TEXTOID)
	};
	Values		v = {0};

	if (!stop_facts()->roles)
		return;
	values_text(&v, login);
	if (statement_run(&find, &v) == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_RX_ROLE_PAUSED),
			 errmsg("%s may not submit now: %s", login, row_text(0, 2)),
			 errdetail("What it has submitted before and was not sent waits, too."),
			 errhint("An operator ends this with refundx.resume('role', '%s', reason).", row_text(0, 1))));
}

void
stop_check_account(const char *account_no)
{
	static Statement find = {
		"SELECT refundx.pause_text(p) FROM refundx.pause p JOIN refundx.account a USING (account_id)"
		" WHERE a.account_no = $1", ARGS(TEXTOID)
	};
	Values		v = {0};

	if (!stop_facts()->accounts)
		return;
	values_text(&v, account_no);
	if (statement_run(&find, &v) == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_RX_ON_HOLD),
			 errmsg("%s", row_text(0, 1)),
			 errdetail("Nothing is taken from it meanwhile."),
			 errhint("An operator ends this with refundx.resume('account', '%s', reason).", account_no)));
}

bool
stop_claims_begin(void)
{
	return ConditionalLockRelationOid(relation_oid("pause"), RowShareLock);
}

void
stop_contradictions(Column *instruction_ids, int64 at)
{
	static Statement count = {
		"SELECT refundx.stop_contradictions($1, $2)", ARGS(INT8ARRAYOID, TIMESTAMPTZOID)
	};
	Values		v = {0};

	if (instruction_ids->n == 0)
		return;
	values_column(&v, instruction_ids);
	values_time(&v, at);
	statement_run(&count, &v);
}

uint64
stop_take(Column *instruction_ids, int64 at)
{
	static Statement take = {
		"SELECT instruction_id, look_at FROM refundx.stop_take($1, $2)", ARGS(INT8ARRAYOID, TIMESTAMPTZOID)
	};
	Values		v = {0};

	values_column(&v, instruction_ids);
	values_time(&v, at);
	return statement_run(&take, &v);
}
