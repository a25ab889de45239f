/*-------------------------------------------------------------------------
 *
 * courier.c
 *	  The worker that tells others: last of all, and the least anxious.
 *
 * A round:
 *
 *	1. See which notices have come (refundx.notice, read as a queue).
 *	2. Claim what is due: `sending` is committed before a byte is sent.
 *	3. Send; take what the providers have answered; record it.
 *	4. Wait, on the latch and on curl's descriptor, holding nothing.
 *
 * No provider recognises a message that it has been given twice, so at most
 * once: whatever may have been sent is `ambiguous` and never sent again.
 *
 * Must survive: a crash between any two steps (`sending` without an outcome
 * becomes `ambiguous`), ten thousand messages for a provider that hangs (they
 * wait in the table, a few hundred in memory, eight in flight), a provider
 * that refuses everything (it is paused, and probed with one message at
 * growing intervals), a copy of the database and a new timeline (nothing is
 * sent; arming decides about what was pending).
 *
 * What may not be done here: lock a row of money's tables, keep a transaction
 * open while waiting, or let a telephone number out: numbers are read at the
 * claim, live until the request is built, and stand in no log and no error.
 *
 * src/worker/courier.c
 *
 *-------------------------------------------------------------------------
 */
#include "worker/courier.h"

#include "base/clock.h"
#include "base/settings.h"
#include "base/testpoint.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define SETTINGS_EVERY_MS	1000
#define LOOK_EVERY_MS		20	/* curl wakes us often; SMS are in no hurry */
#define RESCAN_EVERY_MS		60000	/* what others have changed in the table */
#define AFTER_FAILURE_MS	1000
#define ARRIVALS_MAX		1000
#define CALLS_MAX			64

/* Two couriers of one database would take each other's calls for dead: "rfxc". */
#define COURIER_LOCK		INT64CONST(0x72667863)

static void courier_start(void *arg);
static void courier_round(Courier *c);
static bool anything_due(void);
static void failed(Courier *c);
static void courier_look(void *arg);
static void read_arrivals(Courier *c);
static void fail_orphans(void);
static void show_problem(Courier *c);
static void report(Courier *c);
static int64 next_wait_ms(Courier *c);

void
courier_run(Worker *self)
{
	Courier		c = {.self = self};
	HttpClientOptions options = {
		.max_connections = CALLS_MAX,
		.max_per_host = SENDER_CALLS_MAX,
		.ca_file = rx_ca_file && rx_ca_file[0] ? rx_ca_file : NULL,
		.user_agent = "refundx/1.0",
		.allow_plain_loopback = true,
		.acquire_fd = worker_acquire_fd,
		.release_fd = worker_release_fd,
	};
	char		err[160];

	c.memory = AllocSetContextCreate(TopMemoryContext, "refundx deliveries",
									 ALLOCSET_DEFAULT_SIZES);
	c.client = http_client_create(&options, err, sizeof(err));
	if (c.client == NULL)
		elog(ERROR, "refundx: no HTTP client: %s", err);
	c.webhook_client = webhooks_client(err, sizeof(err));
	if (c.webhook_client == NULL)
		elog(ERROR, "refundx: no HTTP client: %s", err);
	while (!worker_transaction(self, "refundx: reading open notices", courier_start, &c))
		worker_wait(self, AFTER_FAILURE_MS);
	worker_watch_fd(self, http_client_fd(c.client));
	worker_watch_fd(self, http_client_fd(c.webhook_client));

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (self->reloaded)
		{
			self->reloaded = false;
			c.reload = c.reload_webhooks = true;
		}
		relay_round(&c);
		if (GetCurrentTimestamp() >= c.resume_at)
			courier_round(&c);
		webhooks_round(&c);
		http_client_run(c.client);
		courier_collect(&c);
		report(&c);
		worker_wait(self, next_wait_ms(&c));
	}
}

/*
 * What was `sending` in a former life may have been sent.  The arrival reader
 * goes on from this transaction's snapshot; what was queued before is left to
 * the refill of the queues.
 */
static void
courier_start(void *arg)
{
	static Statement only_one = {"SELECT pg_try_advisory_lock($1)", ARGS(INT8OID)};
	static Statement lost = {
		"UPDATE refundx.notice SET state = 'ambiguous', outcome = 'ambiguous', done_at = $1,"
		"       message = 'the process that sent it ended before the provider''s answer was kept'"
		" WHERE is_open AND state = 'sending'", ARGS(TIMESTAMPTZOID)
	};
	Courier    *c = arg;
	Values		v = {0};
	uint64		n;

	values_int8(&v, COURIER_LOCK);
	statement_run(&only_one, &v);
	if (!row_bool(0, 1))
		elog(ERROR, "another courier of this database is running");

	values_reset(&v);
	values_time(&v, clock_now());
	n = statement_run(&lost, &v);
	if (n > 0)
		ereport(LOG,
				(errmsg("refundx: %llu messages were being sent when their process ended; they are not sent again",
						(unsigned long long) n)));
	relay_start(c);
	arrival_begin(&c->arrival);
	senders_forget();
}

/* ------------------------------------------------------------------------
 * A round
 * ------------------------------------------------------------------------
 */

static void
courier_round(Courier *c)
{
	TimestampTz now = GetCurrentTimestamp();

	courier_record(c);
	if (c->ended != NULL)
	{
		failed(c);
		return;
	}
	c->skipped = !c->reload && !TimestampDifferenceExceeds(c->looked_at, now, LOOK_EVERY_MS);
	if (!c->skipped)
	{
		c->looked_at = now;
		if (!worker_transaction(c->self, "refundx: looking for notices", courier_look, c))
		{
			failed(c);
			return;
		}
		arrival_done(&c->arrival);
		show_problem(c);
	}
	if (!c->may_send || !rx_dispatch || !anything_due())
		return;
	if (!worker_transaction(c->self, "refundx: claiming notices", courier_claim, c))
	{
		failed(c);
		return;
	}
	TESTPOINT("courier-after-claim");
	courier_send(c);
}

static bool
anything_due(void)
{
	TimestampTz now = clock_now();
	int			i;

	for (i = 0; i < senders_count(); i++)
		if (sender_room(sender_at(i), now) > 0)
			return true;
	return false;
}

/* The table is what counts: read it again, after a moment. */
static void
failed(Courier *c)
{
	senders_forget();
	c->resume_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), AFTER_FAILURE_MS);
}

static void
courier_look(void *arg)
{
	Courier    *c = arg;
	TimestampTz now = GetCurrentTimestamp();
	int			i;

	if (c->reload || TimestampDifferenceExceeds(c->settings_at, now, SETTINGS_EVERY_MS))
	{
		senders_refresh(c->reload);
		c->may_send = courier_may_send();
		c->reload = false;
		c->settings_at = now;
	}
	if (TimestampDifferenceExceeds(c->rescan_at, now, RESCAN_EVERY_MS))
	{
		fail_orphans();
		senders_forget();
		c->rescan_at = now;
	}
	read_arrivals(c);
	for (i = 0; i < senders_count(); i++)
		if (sender_at(i)->more && sender_at(i)->nqueued == 0)
			sender_refill(sender_at(i));
}

/* A flood is not read into memory: the queues are refilled from the table. */
static void
read_arrivals(Courier *c)
{
	static Statement arrived = {
		"WITH arrived AS MATERIALIZED ("
		ARRIVAL("notice_id, provider, next_at, state", "refundx.notice", "$2") ")"
		" SELECT notice_id, provider, next_at FROM arrived WHERE state = 'queued'"
		" ORDER BY notice_id LIMIT $1", ARGS(INT8OID, TEXTOID)
	};
	Values		v = {0};
	uint64		n;
	uint64		row;
	int			i;

	values_int8(&v, ARRIVALS_MAX);
	n = arrival_read(&c->arrival, &arrived, &v);
	for (row = 0; row < n; row++)
	{
		char	   *name = row_text(row, 2);
		Sender	   *s = name ? sender_by_name(name) : NULL;

		if (s != NULL)
			sender_offer(s, row_int8(row, 1), row_time(row, 3));
	}
	if (n < ARRIVALS_MAX)
		return;
	for (i = 0; i < senders_count(); i++)
		sender_at(i)->more = true;
}

/* Nobody would ever send these. */
static void
fail_orphans(void)
{
	static Statement fail = {
		"UPDATE refundx.notice n SET state = 'failed', code = 'no_provider', done_at = $1,"
		"       message = 'there is no SMS provider of this name'"
		" WHERE n.is_open AND n.state = 'queued'"
		"   AND NOT EXISTS (SELECT FROM refundx.notice_provider p WHERE p.name = n.provider)",
		ARGS(TIMESTAMPTZOID)
	};
	Values		v = {0};

	values_time(&v, clock_now());
	statement_run(&fail, &v);
}

/* ------------------------------------------------------------------------
 * What others see
 * ------------------------------------------------------------------------
 */

static void
show_problem(Courier *c)
{
	const Sender *bad = NULL;
	int			i;

	for (i = 0; i < senders_count() && bad == NULL; i++)
	{
		const Sender *s = sender_at(i);

		if (s->seen && (s->config == NULL || s->paused[0] != '\0'))
			bad = s;
	}
	if (bad != NULL && bad->config == NULL)
		worker_problem(c->self, "SMS provider \"%s\" cannot be used: %s", bad->name, bad->problem);
	else if (bad != NULL)
		worker_problem(c->self, "SMS provider \"%s\" is paused: %s", bad->name, bad->paused);
	else if (c->problem_shown)
		worker_problem(c->self, NULL);
	c->problem_shown = bad != NULL;
}

static void
report(Courier *c)
{
	TimestampTz oldest = 0;
	int64		backlog = 0;
	int			i;

	for (i = 0; i < senders_count(); i++)
	{
		const Sender *s = sender_at(i);

		backlog += s->nqueued;
		if (s->nqueued > 0 && (oldest == 0 || s->queue[0].next_at < oldest))
			oldest = s->queue[0].next_at;
	}
	if (oldest > clock_now())
		oldest = 0;
	c->self->slot->done = c->done;
	worker_report(c->self, backlog, http_client_active(c->client), oldest,
				  !rx_dispatch ? "refundx.dispatch is off" :
				  !c->may_send ? "not armed, or on a new timeline" : "sending messages");
}

static int64
next_wait_ms(Courier *c)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		wait = http_client_timeout_ms(c->client);
	int			i;

	if (wait < 0 || wait > rx_poll_interval)
		wait = rx_poll_interval;
	if (c->relay_waits > 0)
		wait = Min(wait, c->relay_waits);
	if (webhooks_wait_ms(c) >= 0)
		wait = Min(wait, webhooks_wait_ms(c));
	if (now < c->resume_at)
		return Min(wait, TimestampDifferenceMilliseconds(now, c->resume_at) + 1);
	if (c->ended != NULL)
		return 0;

	/* the latch that woke us may have meant a look that was not due yet */
	if (c->skipped)
		wait = Min(wait, LOOK_EVERY_MS);
	if (!c->may_send || !rx_dispatch)
		return wait;
	for (i = 0; i < senders_count(); i++)
	{
		TimestampTz next = sender_next(sender_at(i));

		if (next != 0)
			wait = Min(wait, TimestampDifferenceMilliseconds(clock_now(), next));
	}
	return wait;
}
