/*-------------------------------------------------------------------------
 *
 * dispatcher.c
 *	  The worker that calls the channels.
 *
 * A round:
 *
 *	1. See which instructions have changed (refundx.event, read as a queue),
 *	   and enter them into the schedule.
 *	2. Take what is due and may go, and claim it: `sending` and the attempt are
 *	   committed before a byte is sent.  What cannot be committed is not sent.
 *	3. Send; take what has been answered.
 *	4. Keep the answers as evidence, in one commit.  The settler makes states
 *	   and postings of it; this worker moves no money.
 *	5. Fetch bills, which is a business of its own (dispatch_bill.c).
 *	6. Wait, on the latch and on curl's descriptor, holding nothing.
 *
 * Must survive: a crash between any two of these (an attempt without an
 * answer is found at start and becomes `unknown`, never `queued`), a new
 * timeline (what was sent in the part that was lost is asked about first), a
 * copy of the database (not armed: nothing is sent), a channel that hangs,
 * lies or refuses everything, keys that cannot be read.
 *
 * What may not be done here: hold a transaction, a snapshot or a lock while
 * waiting for the network; decide what an answer means for the money.
 *
 * src/worker/dispatcher.c
 *
 *-------------------------------------------------------------------------
 */
#include "worker/dispatch_bill.h"

#include "base/clock.h"
#include "base/settings.h"
#include "base/testpoint.h"
#include "money/evidence.h"
#include "money/stop.h"
#include "utils/timestamp.h"

#define KEYS_EVERY_US		USECS_PER_SEC
#define LOOK_EVERY_US		USECS_PER_SEC	/* even if nobody wakes us */

/* Two dispatchers of one database would break every pace: "rfxd". */
#define DISPATCHER_LOCK		INT64CONST(0x72667864)

static void dispatcher_start(void *arg);
static bool may_send(const Dispatcher *d);
static void look(Dispatcher *d);
static void dispatcher_look(void *arg);
static void show_problems(Dispatcher *d);
static void load_open(void);
static void load_merchants(void);
static void abandon_lost_attempts(void);
static void choose(Dispatcher *d);
static void claim_and_send(Dispatcher *d);
static void keep_answers(Dispatcher *d);
static int64 next_wait_ms(Dispatcher *d);

void
dispatcher_run(Worker *self)
{
	Dispatcher	d = {.self = self};
	HttpClientOptions options = {
		.max_connections = rx_max_calls,
		.max_per_host = rx_max_calls,
		.ca_file = rx_ca_file && rx_ca_file[0] ? rx_ca_file : NULL,
		.user_agent = "refundx/1.0",
		.allow_plain_loopback = true,
		.acquire_fd = worker_acquire_fd,
		.release_fd = worker_release_fd,
	};
	char		err[160];

	d.client = http_client_create(&options, err, sizeof(err));
	if (d.client == NULL)
		elog(ERROR, "refundx: no HTTP client: %s", err);
	schedule_init((int) (self->db - rx_shared->database));
	while (!worker_transaction(self, "refundx: reading open refunds", dispatcher_start, &d))
	{
		schedule_clear();
		worker_wait(self, 1000);
	}
	worker_watch_fd(self, http_client_fd(d.client));

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (self->reloaded)
		{
			self->reloaded = false;
			d.reload_keys = true;
		}
		look(&d);
		claim_and_send(&d);
		bills_start(&d, may_send(&d));
		http_client_run(d.client);
		dispatch_collect(&d);
		keep_answers(&d);
		bills_keep(&d);
		self->slot->done = d.sent;
		worker_report(self, schedule_count(), d.in_flight, 0,
					  !rx_dispatch ? "refundx.dispatch is off" :
					  !d.armed ? "not armed: see refundx.arm()" : "calling channels");
		worker_wait(self, next_wait_ms(&d));
	}
}

/* ------------------------------------------------------------------------
 * Start
 * ------------------------------------------------------------------------
 */

static void
dispatcher_start(void *arg)
{
	static Statement only_one = {"SELECT pg_try_advisory_lock($1)", ARGS(INT8OID)};
	static Statement recover = {"SELECT refundx.recover_timeline()", NO_ARGS};
	Dispatcher *d = arg;
	Values		v = {0};

	values_int8(&v, DISPATCHER_LOCK);
	statement_run(&only_one, &v);
	if (!row_bool(0, 1))
		elog(ERROR, "another dispatcher of this database is running");

	/*
	 * The order: first what the crash left behind, then what is open.  Both
	 * are written in this transaction and so not seen by its snapshot, but
	 * the settler's events about them are, later, by the arrival reader.
	 */
	statement_run(&recover, NULL);
	abandon_lost_attempts();
	keys_refresh(true);
	d->keys_read_at = GetCurrentTimestamp();
	arrival_begin(&d->arrival);
	load_merchants();
	breakers_load();
	load_open();
}

/*
 * Attempts whose answer nobody has kept: the process that made them is gone.
 * They may or may not have been executed; their evidence says just that, and
 * the settler makes `unknown` of it.
 */
static void
abandon(uint64 n)
{
	EvidenceRow *rows = palloc0(Max(n, 1) * sizeof(EvidenceRow));
	ChannelEvidence *what = palloc0(Max(n, 1) * sizeof(ChannelEvidence));
	uint64		row;

	for (row = 0; row < n; row++)
	{
		EvidenceRow *r = &rows[row];

		r->attempt_id = row_int8(row, 1);
		r->source = strcmp(row_text(row, 2), "submit") == 0 ? "recovery" : row_text(row, 2);
		if (!product_from_name(row_text(row, 7), &what[row].product))
			elog(ERROR, "an instruction is of an unknown kind");
		r->wire_no = row_text(row, 3);
		r->attempt_started_at = row_time(row, 4);
		r->channel_id = row_int4(row, 5);
		r->merchant_id = row_int4(row, 6);
		r->received_at = clock_now();
		r->what = &what[row];
		strlcpy(what[row].message, "the process that made this call ended before its answer was kept",
				sizeof(what[row].message));
		evidence_answer_digest(&what[row], r->attempt_id);
	}
	evidence_insert_many(rows, (int) n);
	if (n > 0)
		ereport(LOG,
				(errmsg("refundx: %llu calls were under way when their process ended; their refunds are asked about",
						(unsigned long long) n)));
}

#define LOST_ATTEMPTS(which) \
	"SELECT a.attempt_id, a.call, a.wire_no, a.started_at, i.channel_id, i.merchant_id, i.kind" \
	"  FROM refundx.instruction i" \
	"  JOIN refundx.attempt a ON a.instruction_id = i.instruction_id" \
	" WHERE " which \
	"   AND NOT EXISTS (SELECT FROM refundx.evidence e" \
	"                    WHERE e.channel_id = i.channel_id" \
	"                      AND e.digest = " ATTEMPT_DIGEST("a.attempt_id") ")"

static void
abandon_lost_attempts(void)
{
	static Statement find = {LOST_ATTEMPTS("(i.is_open OR i.hold IS NOT NULL)"), NO_ARGS};

	abandon(statement_run(&find, NULL));
}

/*
 * What is finished is not looked through at start, for it may be millions of rows.
 * The few of them that are asked about once more are looked at when that is due:
 * a call may have been lost when they had just ended.
 */
void
dispatch_abandon_of_finished(Dispatcher *d)
{
	static Statement find = {LOST_ATTEMPTS("i.instruction_id = ANY ($1)"), ARGS(INT8ARRAYOID)};
	Column		ids;
	Values		v = {0};
	int			i;

	column_init(&ids, INT8OID);
	for (i = 0; i < d->nchosen; i++)
		if (!state_is_open(d->chosen[i]->state))
			column_int8(&ids, d->chosen[i]->instruction_id);
	if (ids.n == 0)
		return;
	values_column(&v, &ids);
	abandon(statement_run(&find, &v));
}

/*
 * What the schedule wants to know of i and its payment p.  Last: of a refund
 * that is to be sent, another one of its payment that was sent, and when it was
 * answered last; the spacing of a payment's refunds outlives a restart, and what
 * the schedule has forgotten.
 */
#define SCHEDULE_COLUMNS \
	"i.instruction_id, i.state, i.is_open, i.due_call, i.due_at, i.merchant_id, i.channel_id, payment_id, i.kind," \
	" CASE WHEN i.state = 'queued' AND p.parts > 1 THEN" \
	"  (SELECT max(greatest(a.started_at, o.last_attempt_at))" \
	"     FROM refundx.instruction o" \
	"     JOIN refundx.attempt a ON a.instruction_id = o.instruction_id AND a.call = 'submit'" \
	"    WHERE o.payment_id = i.payment_id AND o.instruction_id <> i.instruction_id) END"

/* Rows of those columns.  True if all their channels are known here. */
static bool
schedule_rows(uint64 n)
{
	bool		known = true;
	uint64		row;

	for (row = 0; row < n; row++)
	{
		char	   *call = row_text(row, 4);
		State		state;
		ChannelCall due_call = CALL_SUBMIT;
		ProductKind product;

		if (!state_from_name(row_text(row, 2), &state) || !product_from_name(row_text(row, 9), &product))
			continue;
		if (call != NULL)
			(void) channel_call_from_name(call, &due_call);
		schedule_set(row_int8(row, 1), product, state, row_bool(row, 3), due_call,
					 call ? row_time(row, 5) : 0,
					 row_int4(row, 6), row_int4(row, 7), row_int8(row, 8));
		if (!row_null(row, 10))
			schedule_payment_started(row_int8(row, 8), 0, row_time(row, 10));
		known = known && keys_by_id(row_int4(row, 7)) != NULL;
	}
	return known;
}

static void
load_open(void)
{
	static Statement open = {
		"SELECT " SCHEDULE_COLUMNS
		"  FROM refundx.instruction i LEFT JOIN refundx.payment p USING (payment_id) WHERE i.is_open", NO_ARGS
	};

	/* what has arrived, and may still come back: while it can be asked about */
	static Statement watched = {
		"SELECT " SCHEDULE_COLUMNS
		"  FROM refundx.payout o JOIN refundx.instruction i ON i.instruction_id = o.instruction_id"
		"  LEFT JOIN refundx.payment p USING (payment_id)"
		" WHERE o.erased_at IS NULL AND NOT i.is_open AND i.due_at IS NOT NULL", NO_ARGS
	};

	/* what an operator has ended without proof */
	static Statement unproven = {
		"SELECT " SCHEDULE_COLUMNS
		"  FROM refundx.instruction i LEFT JOIN refundx.payment p USING (payment_id)"
		" WHERE i.hold IS NOT NULL AND NOT i.is_open AND i.due_at IS NOT NULL", NO_ARGS
	};

	(void) schedule_rows(statement_read(&open, NULL));
	(void) schedule_rows(statement_read(&watched, NULL));
	(void) schedule_rows(statement_read(&unproven, NULL));
}

static void
load_merchants(void)
{
	static Statement read = {
		"SELECT m.merchant_id, m.kind, m.merchant_no, a.about, $1 OR p.paused IS NOT NULL,"
		"       CASE WHEN $1 OR p.paused NOT IN ('hold', 'config') THEN 'infinity' ELSE p.probe_at END,"
		"       s.calls_per_second, s.breaker_calls, (s.breaker_errors * 1000)::int, extract(epoch FROM s.breaker_longest)::int"
		"  FROM refundx.merchant m CROSS JOIN (VALUES ('refund'), ('withdrawal')) a(about)"
		"  LEFT JOIN refundx.merchant_paused p ON p.merchant_id = m.merchant_id AND p.about = a.about"
		"  LEFT JOIN refundx.pace_setting s ON s.merchant_id = m.merchant_id AND s.about = a.about", ARGS(BOOLOID)
	};
	Values		v = {0};
	uint64		n;
	uint64		row;

	values_bool(&v, stop_facts()->everything);
	n = statement_read(&read, &v);
	for (row = 0; row < n; row++)
	{
		ProductKind product;

		schedule_merchant(row_int4(row, 1), row_text(row, 2), row_text(row, 3));
		if (!product_from_name(row_text(row, 4), &product))
			continue;
		schedule_pause(row_int4(row, 1), product, row_bool(row, 5), row_time(row, 6));
		schedule_settings(row_int4(row, 1), product, row_int4(row, 7), &(BreakerSettings) {
			row_null(row, 8) ? BREAKER_CALLS : row_int4(row, 8),
			row_null(row, 9) ? BREAKER_ERRORS : row_int4(row, 9) / 1000.0,
			row_null(row, 10) ? BREAKER_LONGEST : row_int4(row, 10)
		});
	}
}

/* ------------------------------------------------------------------------
 * A round
 * ------------------------------------------------------------------------
 */

static bool
may_send(const Dispatcher *d)
{
	return rx_dispatch && d->armed;
}

/*
 * See what is new, if there may be something: not after each packet of an
 * answer.  Every commit of a submit wakes us too; while nothing may be sent
 * anyway we ask not to be woken, for the waking is a cost of the submit's.
 * Before we look for the first time after that, we ask for it again, so that
 * nothing falls between.
 */
static void
look(Dispatcher *d)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz since = now >= d->looked_at ? now - d->looked_at : PG_INT64_MAX;

	if (d->quiet == may_send(d))
	{
		d->quiet = !may_send(d);
		wake_not_wanted(d->self->db, WORKER_DISPATCHER, d->quiet);
		pg_memory_barrier();
		d->self->woken = true;
	}
	if (!d->self->woken && !d->reload_keys && since < LOOK_EVERY_US)
		return;
	d->looked_at = now;
	d->self->woken = false;
	if (worker_transaction(d->self, "refundx: looking for work", dispatcher_look, d))
		arrival_done(&d->arrival);
	else
		d->self->woken = true;	/* there is still something to see */
}

static void
dispatcher_look(void *arg)
{
	/* the ids first, as one array: nobody can guess how many will have arrived */
	static Statement changed = {
		"SELECT " SCHEDULE_COLUMNS
		"  FROM refundx.instruction i LEFT JOIN refundx.payment p USING (payment_id)"
		" WHERE i.instruction_id = ANY (ARRAY(" ARRIVAL("instruction_id", "refundx.event", "$1") "))",
		ARGS(TEXTOID)
	};
	static Statement armed = {"SELECT refundx.armed()", NO_ARGS};
	Dispatcher *d = arg;
	TimestampTz now = GetCurrentTimestamp();
	Values		v = {0};
	bool		known;

	load_merchants();
	known = schedule_rows(arrival_read(&d->arrival, &changed, &v));

	/*
	 * Settings change rarely; a second is soon enough to notice.  But the
	 * first refund of a new channel should not have to wait for that.
	 */
	if (!known || d->reload_keys || now - d->keys_read_at >= KEYS_EVERY_US || !d->armed)
	{
		keys_refresh(d->reload_keys);
		d->reload_keys = false;
		d->keys_read_at = now;
		statement_run(&armed, NULL);
		d->armed = row_bool(0, 1);
		show_problems(d);
	}
}

/*
 * A channel whose keys cannot be read sends nothing, or soon will not; one that
 * does not answer is hardly tried.
 */
static void
show_problems(Dispatcher *d)
{
	OpenChannel *bad = NULL;
	int			silent = schedule_silent();
	int			i;

	for (i = 0; i < keys_count() && bad == NULL; i++)
		if (keys_at(i)->seen && !keys_at(i)->closed && keys_at(i)->problem[0] != '\0')
			bad = keys_at(i);
	if (bad != NULL)
		worker_problem(d->self, "channel \"%s\": %s", bad->name, bad->problem);
	else if (silent > 0)
		worker_problem(d->self, "%d merchant%s get%s no answer from the channel; each is tried by one call at growing intervals",
					   silent, silent == 1 ? "" : "s", silent == 1 ? "s" : "");
	else if (d->problem_shown)
		worker_problem(d->self, NULL);
	d->problem_shown = bad != NULL || silent > 0;
}

static const ChannelLimits *
limits_of(int32 channel_id, ProductKind kind)
{
	OpenChannel *c = keys_by_id(channel_id);
	const ChannelProduct *product = c != NULL && c->config != NULL ? channel_product(c->channel, kind) : NULL;

	return product != NULL ? &product->limits : NULL;
}

static int64
scale_of(int32 channel_id)
{
	OpenChannel *c = keys_by_id(channel_id);

	return c != NULL ? Max(c->timing[PRODUCT_REFUND].scale, 1) : 1;
}

static void
choose(Dispatcher *d)
{
	TimestampTz now = clock_now();
	int			room = rx_max_calls - d->in_flight;

	d->nchosen = 0;
	if (!may_send(d))
		return;
	schedule_share(keys_count() > 1 ? rx_max_calls / 2 : rx_max_calls);
	while (d->nchosen < Min(room, DISPATCH_BATCH_MAX))
	{
		Due		   *due = schedule_next(now, limits_of, scale_of);

		if (due == NULL)
			break;
		/* counted from here on, so that the paces hold within a batch too */
		schedule_call_began(due, now);
		d->chosen[d->nchosen++] = due;
	}
}

static void
claim_and_send(Dispatcher *d)
{
	Call	   *call;
	int			i;

	for (;;)
	{
		choose(d);
		if (d->nchosen == 0)
			return;
		if (!worker_transaction(d->self, "refundx: claiming", dispatch_claim, d))
		{
			/* nothing was committed, so nothing may be sent */
			while ((call = call_list_take(&d->claimed)) != NULL)
				call_free(call);
			for (i = 0; i < d->nchosen; i++)
				if (d->chosen[i]->in_flight)
					schedule_call_undone(d->chosen[i], clock_now() + USECS_PER_SEC);
			return;
		}
		TESTPOINT("dispatcher-claimed");
		while ((call = call_list_take(&d->claimed)) != NULL)
			dispatch_send(d, call);
		if (d->nchosen < DISPATCH_BATCH_MAX)
			return;
	}
}

static void
keep_answers(Dispatcher *d)
{
	Call	   *call;
	TimestampTz now = clock_now();

	if (d->ended.n == 0)
		return;
	TESTPOINT("dispatcher-answered");
	if (!worker_transaction(d->self, "refundx: keeping answers", dispatch_keep, d))
		return;					/* they stay in the list for the next round */
	TESTPOINT("dispatcher-kept");
	while ((call = call_list_take(&d->ended)) != NULL)
	{
		Due		   *due = schedule_find(call->instruction_id);
		CallOutcome outcome = {
			.answered = call->evidence.http_status > 0,
			.failing = call->evidence.failing,
			.error = breaker_error(call->call, &call->evidence),
			.code = call->evidence.code[0] != '\0' ? call->evidence.code : NULL
		};

		if (due != NULL)
			schedule_call_ended(due, &outcome, now);
		d->in_flight--;
		call_free(call);
	}
	/* if this fails, the next answer brings us here again */
	if (schedule_breakers_changed(NULL) &&
		worker_transaction(d->self, "refundx: breakers", breakers_write, NULL))
		schedule_breakers_written();
}

static int64
next_wait_ms(Dispatcher *d)
{
	TimestampTz now = clock_now();
	TimestampTz first = schedule_first();
	int64		curl = http_client_timeout_ms(d->client);
	int64		wait = -1;

	if (d->ended.n > 0)
		return 100;				/* their commit has failed: not at once again */
	if (first != 0 && may_send(d) && d->in_flight < rx_max_calls)
		wait = Max((first - now + 999) / 1000, 0);
	if (curl >= 0 && (wait < 0 || curl < wait))
		wait = curl;
	return wait;
}
