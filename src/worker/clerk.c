/*-------------------------------------------------------------------------
 *
 * clerk.c
 *	  The short-lived worker that looks after what others may have missed.
 *
 * Started by the launcher every refundx.clerk_interval; does its rounds and
 * ends.  Everything it does is safe to do twice, and none of it moves money:
 *
 *	- an open instruction whose due time is long past gets an event, so that
 *	  the dispatcher looks at it again (the heap lost it, or never had it);
 *	- one that has no due time at all and no call under way gets one;
 *	- the watermark is raised up to which all evidence is weighed;
 *	- telephone numbers that nobody needs any more are erased;
 *	- whom a withdrawal paid is erased, some days after its end;
 *	- counts of refused callbacks older than a month are thrown away, and lines of
 *	  caps whose windows have long passed;
 *	- the channels' bills become due, and those that were fetched are read and
 *	  reconciled (clerk_bills.c);
 *	- a recovery that is under way is followed, and what it found is reported;
 *	- some invariants are checked, of some rows, and others of all rows: what breaks
 *	  one is paused;
 *	- the journal is sealed (clerk_seal.c), last, for that takes its time.
 *
 * src/worker/clerk.c
 *
 *-------------------------------------------------------------------------
 */
#include "worker/worker.h"

#include "base/clock.h"
#include "base/settings.h"
#include "base/sql.h"
#include "money/stop.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "worker/clerk_seal.h"

/* Its number, or its name. */
#define INVARIANT_MAX	32

/* So long a round begins with further ones. */
#define CHECK_MS		1000

static void overdue(void *arg);
static void raise_watermark(void *arg);
static void erase_contacts(void *arg);
static void erase_payees(void *arg);
static void forget_counts(void *arg);
static void follow_recovery(void *arg);
static void check_some(void *arg);
static void check_whole(Worker *self);

void
clerk_run(Worker *self)
{
	(void) worker_transaction(self, "refundx: overdue refunds", overdue, NULL);
	(void) worker_transaction(self, "refundx: the watermark", raise_watermark, NULL);
	clerk_bills(self);
	(void) worker_transaction(self, "refundx: erasing telephone numbers", erase_contacts, NULL);
	(void) worker_transaction(self, "refundx: erasing payees", erase_payees, NULL);
	(void) worker_transaction(self, "refundx: retention", forget_counts, NULL);
	(void) worker_transaction(self, "refundx: following a recovery", follow_recovery, NULL);
	if (rx_background_checks)
	{
		(void) worker_transaction(self, "refundx: checking invariants", check_some, NULL);
		check_whole(self);
	}
	clerk_seal(self);
}

/* Whether all that it asked is answered, and the bills of its gap are in. */
static void
follow_recovery(void *arg)
{
	static Statement step = {"SELECT refundx.recovery_step($1)", ARGS(TIMESTAMPTZOID)};
	Values		v = {0};

	values_time(&v, clock_now());
	statement_run(&step, &v);
}

/*
 * Some of refundx.check(), of some rows: what is open, what is new, and a part of
 * the rest, a further one each time.  What is found pauses what it is about.
 */
static void
check_some(void *arg)
{
	static Statement check = {"SELECT refundx.stop_check($1)", ARGS(TIMESTAMPTZOID)};
	Values		v = {0};

	values_time(&v, clock_now());
	statement_run(&check, &v);
}

/* ---- invariants, of all rows: the tables may be large, so each has a time limit ---- */

static void
check_begin(void *arg)
{
	static Statement begin = {"SELECT refundx.check_begin($1)", ARGS(TIMESTAMPTZOID)};
	char	   *invariant = arg;
	Values		v = {0};

	values_time(&v, clock_now());
	statement_run(&begin, &v);
	if (!row_null(0, 1))
		strlcpy(invariant, row_text(0, 1), INVARIANT_MAX);
}

static void
check_run(void *arg)
{
	static Statement run = {"SELECT refundx.check_run($1, $2)", ARGS(TEXTOID, TIMESTAMPTZOID)};
	Values		v = {0};

	/* by hand: a worker's statements have no limit.  Fires as an ERROR, like a cancel */
	enable_timeout_after(STATEMENT_TIMEOUT, rx_background_check_limit * 1000);
	values_text(&v, arg);
	values_time(&v, clock_now());
	statement_run(&run, &v);
	disable_timeout(STATEMENT_TIMEOUT, false);
}

static void
check_whole(Worker *self)
{
	char		invariant[INVARIANT_MAX];
	TimestampTz began = GetCurrentTimestamp();

	do
	{
		invariant[0] = '\0';
		if (!worker_transaction(self, "refundx: choosing an invariant", check_begin, invariant) || invariant[0] == '\0')
			return;
		if (!worker_transaction(self, "refundx: checking an invariant", check_run, invariant))
			disable_timeout(STATEMENT_TIMEOUT, false);
	} while (!TimestampDifferenceExceeds(began, GetCurrentTimestamp(), CHECK_MS));
}

/*
 * Two minutes are long past: the dispatcher itself comes back to what is due
 * within a second or so, unless a pause or a limit holds it, and then another
 * look costs nothing.
 */
static void
overdue(void *arg)
{
	static Statement remind = {
		"WITH late AS ("
		"  SELECT instruction_id, state, due_at FROM refundx.instruction i"
		"   WHERE is_open AND state <> 'awaiting_approval'"
		"     AND (due_at < $1 - interval '2 minutes'"
		"          OR due_at IS NULL AND state_since < $1 - interval '10 minutes')"
		"     AND NOT EXISTS (SELECT FROM refundx.merchant_paused m"
		"                      WHERE m.merchant_id = i.merchant_id AND m.about = i.kind)"
		"     AND ($2 AND refundx.held_back(i.instruction_id)) IS NOT TRUE"
		"     AND NOT EXISTS (SELECT FROM refundx.payment p"
		"                      WHERE p.payment_id = i.payment_id AND p.hold IS NOT NULL)"
		"     AND NOT EXISTS (SELECT FROM refundx.payout o JOIN refundx.account a ON a.account_id = o.account_id"
		"                      WHERE o.instruction_id = i.instruction_id AND a.hold IS NOT NULL)"
		"     AND NOT EXISTS (SELECT FROM refundx.handler_run r"
		"                      WHERE r.instruction_id = i.instruction_id AND r.is_open AND r.blocks)"
		"   ORDER BY instruction_id LIMIT 1000 FOR NO KEY UPDATE OF i SKIP LOCKED),"
		" due AS ("
		"  UPDATE refundx.instruction i"
		"     SET due_at = $1, due_call = CASE WHEN i.state = 'queued' THEN coalesce(i.due_call, 'submit') ELSE 'query' END"
		"    FROM late l WHERE i.instruction_id = l.instruction_id AND l.due_at IS NULL AND l.state <> 'sending')"
		" INSERT INTO refundx.event (instruction_id, type, from_state, to_state, actor, note)"
		" SELECT instruction_id, 'reminded', state, state, session_user, 'overdue' FROM late",
		ARGS(TIMESTAMPTZOID, BOOLOID)
	};
	static Statement armed = {"SELECT refundx.armed()", NO_ARGS};
	DatabaseSlot *db = shmem_my_database();
	Values		v = {0};
	bool		stops;
	uint64		n;

	/* with the dispatcher down or told not to send, everything is overdue */
	if (db == NULL || db->worker[WORKER_DISPATCHER].pid == 0 || !rx_dispatch)
		return;
	statement_run(&armed, NULL);
	if (!row_bool(0, 1))
		return;
	stops = STOPS_CLAIMS(stop_facts());
	values_time(&v, clock_now());
	values_bool(&v, stops);
	n = statement_run(&remind, &v);
	if (n > 0)
	{
		ereport(LOG, (errmsg("refundx: %llu refunds were overdue", (unsigned long long) n)));
		wake_at_commit(WORKER_DISPATCHER);
	}
}

/*
 * Up to which piece all evidence is weighed.  A number that was given out and
 * is not visible may be rolled back, or its transaction still be running.  So
 * the newest number is noted together with the next xid, in this order: whoever
 * has taken a number up to that one had an xid before it.  Once all transactions
 * before that xid have ended, what is visible up to the number is all there will
 * be, and what has no event among it is unweighed.
 */
static void
raise_watermark(void *arg)
{
	static Statement newest = {
		"SELECT last_value FROM refundx.evidence_evidence_id_seq WHERE is_called", NO_ARGS
	};
	static Statement raise = {
		"UPDATE refundx.watermark"
		"   SET weighed_to = coalesce((SELECT min(e.evidence_id) - 1 FROM refundx.evidence e"
		"                               WHERE e.evidence_id > weighed_to AND e.evidence_id <= next_id"
		"                                 AND NOT EXISTS (SELECT FROM refundx.event x"
		"                                                  WHERE x.evidence_id = e.evidence_id)), next_id),"
		"       next_id = NULL, next_xid = NULL"
		" WHERE next_xid <= pg_snapshot_xmin(pg_current_snapshot())", NO_ARGS
	};
	static Statement note = {
		"UPDATE refundx.watermark SET next_id = $1, next_xid = pg_snapshot_xmax(pg_current_snapshot())"
		" WHERE next_xid IS NULL AND $1 > weighed_to", ARGS(INT8OID)
	};
	Values		v = {0};
	int64		id;

	statement_run(&raise, NULL);
	if (statement_run(&newest, NULL) != 1)
		return;					/* there was none yet */
	id = row_int8(0, 1);

	/* a statement of its own: its snapshot is younger than the number */
	values_int8(&v, id);
	statement_run(&note, &v);
}

/*
 * A number is needed while a refund of its payment is open, while a notice is
 * to be sent, or waits for a handler, and as long as the payment can still be refunded.
 */
static void
erase_contacts(void *arg)
{
	static Statement erase = {
		"DELETE FROM refundx.payment_contact c USING refundx.payment p"
		" WHERE p.payment_id = c.payment_id"
		"   AND (p.refunding + p.refunded + p.returned + p.elsewhere + p.already_refunded = p.paid"
		"        OR coalesce(p.paid_at, p.recorded_at) < $1 - interval '366 days')"
		"   AND NOT EXISTS (SELECT FROM refundx.instruction i"
		"                    WHERE i.payment_id = p.payment_id"
		"                      AND (i.is_open OR EXISTS (SELECT FROM refundx.notice n"
		"                                                 WHERE n.instruction_id = i.instruction_id AND n.is_open)"
		"                           OR EXISTS (SELECT FROM refundx.handler_run r"
		"                                       WHERE r.instruction_id = i.instruction_id AND r.is_open)))",
		ARGS(TIMESTAMPTZOID)
	};
	Values		v = {0};
	uint64		n;

	values_time(&v, clock_now());
	n = statement_run(&erase, &v);
	if (n > 0)
		ereport(LOG, (errmsg("refundx: %llu telephone numbers erased", (unsigned long long) n)));
}

/*
 * Without its own key nobody can read what was sealed for it.  Not while it may
 * still be asked about: it could be that the money comes back, and the payee has
 * to be told.
 */
static void
erase_payees(void *arg)
{
	static Statement erase = {
		"WITH over AS ("
		"  SELECT o.instruction_id FROM refundx.payout o"
		"    JOIN refundx.instruction i ON i.instruction_id = o.instruction_id"
		"   WHERE o.erased_at IS NULL AND NOT i.is_open AND i.due_at IS NULL"
		"     AND i.state_since < $1 - make_interval(days => $2)"
		"     AND NOT EXISTS (SELECT FROM refundx.notice n"
		"                      WHERE n.instruction_id = i.instruction_id AND n.is_open)"
		"     AND NOT EXISTS (SELECT FROM refundx.handler_run r"
		"                      WHERE r.instruction_id = i.instruction_id AND r.is_open)"
		"   ORDER BY o.instruction_id LIMIT 10000 FOR NO KEY UPDATE OF o SKIP LOCKED),"
		" contacts AS ("
		"  DELETE FROM refundx.payout_contact c USING over v WHERE c.instruction_id = v.instruction_id)"
		" UPDATE refundx.payout o SET data_key = NULL, payee_sealed = NULL, erased_at = clock_timestamp()"
		"   FROM over v WHERE o.instruction_id = v.instruction_id",
		ARGS(TIMESTAMPTZOID, INT4OID)
	};
	static Statement erase_orders = {
		"WITH over AS ("
		"  SELECT d.instruction_id, d.nth FROM refundx.diversion d"
		"    JOIN refundx.instruction i ON i.instruction_id = d.instruction_id"
		"   WHERE d.erased_at IS NULL AND NOT i.is_open AND i.state_since < $1 - make_interval(days => $2)"
		"   ORDER BY d.instruction_id LIMIT 10000 FOR NO KEY UPDATE OF d SKIP LOCKED)"
		" UPDATE refundx.diversion d"
		"    SET data_key = NULL, order_sealed = NULL, request_sealed = NULL, erased_at = clock_timestamp()"
		"   FROM over v WHERE d.instruction_id = v.instruction_id AND d.nth = v.nth",
		ARGS(TIMESTAMPTZOID, INT4OID)
	};
	Values		v = {0};
	uint64		n;

	if (rx_payee_retention < 0)
		return;
	values_time(&v, clock_now());
	values_int4(&v, rx_payee_retention);
	n = statement_run(&erase, &v) + statement_run(&erase_orders, &v);
	if (n > 0)
		ereport(LOG, (errmsg("refundx: %llu payees erased", (unsigned long long) n)));
}

static void
forget_counts(void *arg)
{
	static Statement forget = {
		"DELETE FROM refundx.callback_count WHERE at < $1 - interval '31 days'", ARGS(TIMESTAMPTZOID)
	};
	static Statement forget_days = {
		"DELETE FROM refundx.cap_line WHERE day < ($1 - interval '31 days')::date", ARGS(TIMESTAMPTZOID)
	};
	/* what has left its window, and is of no cap any more; a day to look at it */
	static Statement forget_sent = {
		"DELETE FROM refundx.cap_sent s USING refundx.cap c"
		" WHERE c.cap_id = s.cap_id AND s.at < $1 - c.within - interval '1 day'"
		"   AND (c.removed_at IS NOT NULL"
		"        OR s.n < (SELECT max(n.n) FROM refundx.cap_sent n WHERE n.cap_id = s.cap_id))", ARGS(TIMESTAMPTZOID)
	};
	static Statement forget_waiting = {
		"DELETE FROM refundx.cap_wait w"
		" WHERE NOT EXISTS (SELECT FROM refundx.instruction i"
		"                    WHERE i.instruction_id = w.instruction_id AND i.state IN ('queued', 'accepted'))", NO_ARGS
	};
	static Statement forget_delivered = {
		"DELETE FROM refundx.webhook_delivery WHERE (webhook_id, seq) IN ("
		"  SELECT webhook_id, seq FROM refundx.webhook_delivery"
		"   WHERE state = 'delivered' AND done_at < $1 - interval '31 days' LIMIT 10000)", ARGS(TIMESTAMPTZOID)
	};
	Values		v = {0};

	values_time(&v, clock_now());
	statement_run(&forget, &v);
	statement_run(&forget_days, &v);
	statement_run(&forget_delivered, &v);
	if (stop_facts()->caps)
	{
		statement_run(&forget_sent, &v);
		statement_run(&forget_waiting, NULL);
	}
}
