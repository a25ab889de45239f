/*-------------------------------------------------------------------------
 *
 * courier_webhook.c
 *	  The courier tells webhooks what stands in the outbox.
 *
 *	1. Fan out: a delivery for each new row of the outbox and each webhook that
 *	   wants it, in the transaction that has derived the row.
 *	2. Read what is due; send; take the answers.
 *	3. Record what became of them (courier_webhook_record.c).
 *
 * At least once: a delivery is waiting until its receiver has acknowledged it, and
 * that is recorded after it happened.  A crash in between sends it again, with
 * the same id.  In order per refund: of one refund only the first that is waiting is
 * ever due.
 *
 * A dead receiver delays only itself: each has its own rows, its own few calls, and
 * one that fails is left alone for longer and longer, with one call at a time to
 * see whether it is back.  The connections are not those of the SMS providers.
 *
 * src/worker/courier_webhook.c
 *
 *-------------------------------------------------------------------------
 */
#include "worker/courier_webhook.h"

#include "base/clock.h"
#include "base/settings.h"
#include "base/testpoint.h"
#include "commands/dbcommands.h"
#include "crypto/crypto.h"
#include "miscadmin.h"
#include "net/http_address.h"
#include "notice/cloudevent.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define REFRESH_EVERY_MS	1000
#define AFTER_FAILURE_MS	1000
#define OPEN_AGAIN_MS		30000
#define OLD_EVERY_MS		60000
#define CONNECTIONS_MAX		(32 * WEBHOOK_CALLS_MAX)	/* webhook_add() takes 32: nobody queues up behind another */

/* What is read of a delivery until it is sent; in the round's memory. */
typedef struct Letter
{
	Post		post;
	CloudEvent	event;
	struct Letter *next;
} Letter;

static Endpoint **endpoints = NULL; /* never freed, so pointers to them stay good */
static int	nendpoints = 0;
static Letter *letters = NULL;		/* of this round */

static void webhooks_work(void *arg);
static void endpoints_refresh(bool force);
static Endpoint *endpoint_by_id(int32 webhook_id);
static void endpoint_open(Endpoint *e, char *const file[WEBHOOK_SECRETS]);
static int	endpoint_room(const Endpoint *e, TimestampTz now);
static bool endpoint_wants(const Endpoint *e, TimestampTz now);
static void read_due(Courier *c, Endpoint *e, TimestampTz now);
static void read_next_due(Endpoint *e, TimestampTz now);
static void send_letters(Courier *c);
static void collect(Courier *c);
static void landed(Post *list, MemoryContext memory);

int
endpoints_count(void)
{
	return nendpoints;
}

Endpoint *
endpoint_at(int i)
{
	return endpoints[i];
}

/* Called by libcurl: nothing of Postgres here. */
static bool
address_allowed(const struct sockaddr *addr)
{
	return rx_webhook_private_networks || http_address_is_public(addr);
}

HttpClient *
webhooks_client(char *err, size_t errsize)
{
	HttpClientOptions options = {
		.max_connections = CONNECTIONS_MAX,
		.max_per_host = CONNECTIONS_MAX,
		.ca_file = rx_ca_file && rx_ca_file[0] ? rx_ca_file : NULL,
		.user_agent = "refundx/1.0",
		.allow_plain_loopback = true,
		.address_allowed = address_allowed,
		.acquire_fd = worker_acquire_fd,
		.release_fd = worker_release_fd,
	};

	return http_client_create(&options, err, errsize);
}

/* ------------------------------------------------------------------------
 * Fan out: in the transaction that has derived the outbox's rows
 * ------------------------------------------------------------------------
 */

void
webhooks_fan_out(int64 after)
{
	static Statement insert = {
		"INSERT INTO refundx.webhook_delivery (webhook_id, seq, aggregateid, next_at, created_at)"
		" SELECT w.webhook_id, o.seq, o.aggregateid,"
		"        CASE WHEN row_number() OVER (PARTITION BY w.webhook_id, o.aggregateid ORDER BY o.seq) = 1"
		"              AND NOT EXISTS (SELECT FROM refundx.webhook_delivery d"
		"                               WHERE d.webhook_id = w.webhook_id AND d.aggregateid = o.aggregateid"
		"                                 AND d.state = 'waiting') THEN $2 END, $2"
		"   FROM refundx.outbox o CROSS JOIN refundx.webhook w"
		"  WHERE o.seq > $1 AND w.removed_at IS NULL"
		"    AND EXISTS (SELECT FROM unnest(w.types) t WHERE o.type LIKE replace(t, '*', '%'))"
		"  ORDER BY o.seq", ARGS(INT8OID, TIMESTAMPTZOID)
	};
	Values		v = {0};
	int			i;

	values_int8(&v, after);
	values_time(&v, clock_now());
	if (statement_run(&insert, &v) == 0)
		return;
	for (i = 0; i < nendpoints; i++)
		endpoints[i]->look = true;
}

/* ------------------------------------------------------------------------
 * A round
 * ------------------------------------------------------------------------
 */

void
webhooks_round(Courier *c)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		wanted = c->posted != NULL || c->reload_webhooks ||
		TimestampDifferenceExceeds(c->webhooks_at, now, REFRESH_EVERY_MS);
	int			i;

	http_client_run(c->webhook_client);
	collect(c);
	if (now < c->webhooks_resume_at)
		return;
	for (i = 0; i < nendpoints && !wanted; i++)
		wanted = c->posted != NULL || (c->may_send && rx_dispatch && endpoint_wants(endpoints[i], clock_now()));
	if (!wanted && c->posted == NULL)
		return;
	if (c->posted != NULL)
		TESTPOINT("courier-webhook-before-record");
	letters = NULL;
	if (worker_transaction(c->self, "refundx: telling webhooks", webhooks_work, c))
	{
		Post	   *over = c->posted;

		c->posted = NULL;
		landed(over, c->memory);
		send_letters(c);
		return;
	}
	for (i = 0; i < nendpoints; i++)
		endpoints[i]->look = true;
	c->webhooks_resume_at = TimestampTzPlusMilliseconds(now, AFTER_FAILURE_MS);
}

static void
webhooks_work(void *arg)
{
	Courier    *c = arg;
	TimestampTz real = GetCurrentTimestamp();
	TimestampTz now = clock_now();
	int			i;

	posts_record(c->posted);
	if (c->reload_webhooks || TimestampDifferenceExceeds(c->webhooks_at, real, REFRESH_EVERY_MS))
	{
		endpoints_refresh(c->reload_webhooks);
		c->reload_webhooks = false;
		c->webhooks_at = real;
	}
	if (TimestampDifferenceExceeds(c->webhooks_old_at, real, OLD_EVERY_MS))
	{
		give_up_old();
		c->webhooks_old_at = real;
	}
	if (!c->may_send || !rx_dispatch)
		return;
	for (i = 0; i < nendpoints; i++)
		if (endpoint_wants(endpoints[i], now))
			read_due(c, endpoints[i], now);
}

/* Until something is to be done, in ms; -1 = not by time. */
int64
webhooks_wait_ms(Courier *c)
{
	TimestampTz now = clock_now();
	int64		wait = http_client_timeout_ms(c->webhook_client);
	int64		pause = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), c->webhooks_resume_at);
	int			i;

	if (pause > 0)
		return wait < 0 ? pause : Min(wait, pause);
	for (i = 0; i < nendpoints; i++)
	{
		const Endpoint *e = endpoints[i];
		TimestampTz at = e->look ? now : e->next_due;

		if (at == 0 || !c->may_send || !rx_dispatch || endpoint_room(e, Max(now, e->rest_until)) == 0)
			continue;
		at = Max(at, e->rest_until);
		if (wait < 0 || TimestampDifferenceMilliseconds(now, at) < wait)
			wait = TimestampDifferenceMilliseconds(now, at);
	}
	return c->posted != NULL ? 0 : wait;
}

/* ------------------------------------------------------------------------
 * Configuration
 * ------------------------------------------------------------------------
 */

static Endpoint *
endpoint_by_id(int32 webhook_id)
{
	Size		size = (nendpoints + 1) * sizeof(Endpoint *);
	Endpoint   *e;
	int			i;

	for (i = 0; i < nendpoints; i++)
		if (endpoints[i]->webhook_id == webhook_id)
			return endpoints[i];
	e = MemoryContextAllocZero(TopMemoryContext, sizeof(Endpoint));
	endpoints = endpoints ? repalloc(endpoints, size) : MemoryContextAlloc(TopMemoryContext, size);
	e->webhook_id = webhook_id;
	endpoints[nendpoints++] = e;
	return e;
}

static void
endpoints_refresh(bool force)
{
	static Statement read = {
		"SELECT webhook_id, name, url, secret_file, old_secret_file, revision, paused IS NOT NULL,"
		"       failing_since IS NOT NULL"
		"  FROM refundx.webhook WHERE removed_at IS NULL ORDER BY webhook_id", NO_ARGS
	};
	TimestampTz now = GetCurrentTimestamp();
	uint64		n = statement_run(&read, NULL);
	SPITupleTable *rows = SPI_tuptable;
	uint64		row;
	int			i;

	for (i = 0; i < nendpoints; i++)
		endpoints[i]->seen = false;
	for (row = 0; row < n; row++)
	{
		Endpoint   *e;
		char	   *files[WEBHOOK_SECRETS];
		int			revision;

		SPI_tuptable = rows;	/* endpoint_open() may have run a statement */
		e = endpoint_by_id(row_int4(row, 1));
		revision = row_int4(row, 6);
		e->seen = true;
		e->paused = row_bool(row, 7);
		e->failing = row_bool(row, 8);
		if (revision != e->revision)
		{
			/* somebody has changed something, and wants to see what comes of it */
			e->failures = 0;
			e->rest_until = 0;
			e->look = true;
		}
		else if (!force && (e->problem[0] == '\0' || !TimestampDifferenceExceeds(e->tried_at, now, OPEN_AGAIN_MS)))
			continue;
		e->revision = revision;
		e->tried_at = now;
		strlcpy(e->name, row_text(row, 2), sizeof(e->name));
		if (e->url != NULL)
			pfree(e->url);
		e->url = MemoryContextStrdup(TopMemoryContext, row_text(row, 3));
		files[0] = row_text(row, 4);
		files[1] = row_text(row, 5);
		endpoint_open(e, files);
	}
}

/* A file that cannot be read after a reload does not take a working secret away. */
static void
endpoint_open(Endpoint *e, char *const file[WEBHOOK_SECRETS])
{
	WebhookSecret secret[WEBHOOK_SECRETS];
	char		why[sizeof(e->problem)] = "";
	bool		good = http_url_acceptable(e->url, rx_webhook_private_networks, why, sizeof(why));
	bool		allowed = good;
	int			n = 0;
	int			i;

	for (i = 0; i < WEBHOOK_SECRETS && good; i++)
	{
		Buf			text = BUF_INIT;

		if (file[i] == NULL)
			continue;
		good = key_file_read(rx_key_directory, file[i], true, &text, why, sizeof(why)) == KEY_FILE_OK &&
			webhook_secret_read(buf_str(&text), text.len, &secret[n], why, sizeof(why));
		buf_wipe(&text);
		n++;
	}
	if (good)
	{
		memcpy(e->secret, secret, sizeof(e->secret));
		e->nsecrets = n;
		e->look = true;
	}
	else if (!allowed)
		e->nsecrets = 0;
	explicit_bzero(secret, sizeof(secret));
	if (!good && strcmp(e->problem, why) != 0)
	{
		ereport(WARNING, (errmsg("refundx: webhook \"%s\": %s", e->name, why)));
		endpoint_failing(e, why);
	}
	strlcpy(e->problem, why, sizeof(e->problem));
}

/* ------------------------------------------------------------------------
 * What is due
 * ------------------------------------------------------------------------
 */

static int
endpoint_room(const Endpoint *e, TimestampTz now)
{
	if (!e->seen || e->paused || e->nsecrets == 0 || now < e->rest_until)
		return 0;
	return Max(0, (e->failures > 0 ? 1 : WEBHOOK_CALLS_MAX) - e->in_flight);
}

static bool
endpoint_wants(const Endpoint *e, TimestampTz now)
{
	return endpoint_room(e, now) > 0 && (e->look || (e->next_due != 0 && e->next_due <= now));
}

static void
read_due(Courier *c, Endpoint *e, TimestampTz now)
{
	static Statement read = {
		"SELECT d.seq, d.tries, o.id::text, 'refundx.' || o.type, o.aggregateid,"
		"       to_char(o.at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),"
		"       (o.payload->>'sequence')::bigint, o.payload::text"
		"  FROM refundx.webhook_delivery d JOIN refundx.outbox o USING (seq)"
		" WHERE d.webhook_id = $1 AND d.state = 'waiting' AND d.next_at <= $2 AND d.seq <> ALL ($3)"
		" ORDER BY d.next_at, d.seq LIMIT $4", ARGS(INT4OID, TIMESTAMPTZOID, INT8ARRAYOID, INT4OID)
	};
	int			room = endpoint_room(e, now);
	MemoryContext old;
	Column		flying;
	Values		v = {0};
	uint64		n;
	uint64		row;
	int			i;

	column_init(&flying, INT8OID);
	for (i = 0; i < e->in_flight; i++)
		column_int8(&flying, e->flying[i]);
	values_int4(&v, e->webhook_id);
	values_time(&v, now);
	values_column(&v, &flying);
	values_int4(&v, room);
	n = statement_run(&read, &v);

	old = MemoryContextSwitchTo(c->self->round);
	for (row = 0; row < n; row++)
	{
		Letter	   *l = palloc0(sizeof(Letter));

		l->post.to = e;
		l->post.seq = row_int8(row, 1);
		l->post.tries = row_int4(row, 2) + 1;
		l->event.id = row_text(row, 3);
		l->event.type = row_text(row, 4);
		l->event.subject = row_text(row, 5);
		l->event.time = row_text(row, 6);
		l->event.sequence = row_int8(row, 7);
		l->event.data = row_text(row, 8);
		strlcpy(l->post.number, l->event.subject, sizeof(l->post.number));
		l->next = letters;
		letters = l;
	}
	MemoryContextSwitchTo(old);
	e->look = n == (uint64) room;
	if (!e->look)
		read_next_due(e, now);
}

static void
read_next_due(Endpoint *e, TimestampTz now)
{
	static Statement read = {
		"SELECT min(next_at) FROM refundx.webhook_delivery"
		" WHERE webhook_id = $1 AND state = 'waiting' AND next_at > $2", ARGS(INT4OID, TIMESTAMPTZOID)
	};
	Values		v = {0};

	values_int4(&v, e->webhook_id);
	values_time(&v, now);
	statement_run(&read, &v);
	e->next_due = row_time(0, 1);
}

/* ------------------------------------------------------------------------
 * There and back
 * ------------------------------------------------------------------------
 */

static bool
start(Courier *c, Letter *l, Post *p, char *words, size_t wordssize)
{
	HttpRequest request;
	Buf			source = BUF_INIT;
	Buf			body = BUF_INIT;
	const char *database = NameStr(c->self->db->name);
	bool		sent;

	buf_adds(&source, "urn:refundx:pg:");
	percent_encode(&source, database, strlen(database));
	l->event.source = buf_str(&source);
	http_request_init(&request);
	snprintf(words, wordssize, "the event cannot be put into a request");
	sent = cloudevent_json(&l->event, &body) &&
		webhook_request(p->to->url, p->to->secret, p->to->nsecrets, l->event.id, clock_wall(), &body, &request) &&
		http_client_send(c->webhook_client, &request, p, words, wordssize);
	http_request_free(&request);
	buf_free(&source);
	buf_free(&body);
	return sent;
}

static void
ended(Courier *c, Post *p)
{
	Endpoint   *e = p->to;
	int			rest;

	if (p->result.outcome == WEBHOOK_DELIVERED)
	{
		e->failures = 0;
		e->rest_until = 0;
	}
	else
	{
		e->failures++;
		rest = Max(webhook_rest(e->failures, p->result.outcome), p->result.retry_after);
		e->rest_until = TimestampTzPlusMilliseconds(clock_now(), (int64) rest * 1000 + courier_jitter(rest * 100));
	}
	p->next = c->posted;
	c->posted = p;
}

static void
send_letters(Courier *c)
{
	Letter	   *l;

	for (l = letters; l != NULL; l = l->next)
	{
		Post	   *p = MemoryContextAlloc(c->memory, sizeof(Post));
		char		words[160];

		*p = l->post;
		p->to->flying[p->to->in_flight++] = p->seq;
		if (start(c, l, p, words, sizeof(words)))
			continue;
		p->result.outcome = WEBHOOK_FAILED;
		strlcpy(p->result.message, words, sizeof(p->result.message));
		ended(c, p);
	}
	letters = NULL;
}

static void
collect(Courier *c)
{
	HttpAnswer	answer;
	void	   *ticket;

	while (http_client_next(c->webhook_client, &ticket, &answer))
	{
		Post	   *p = ticket;

		webhook_classify(&answer, &p->result);
		http_answer_free(&answer);
		ended(c, p);
	}
}

/* It is recorded: so it is no longer in flight. */
static void
landed(Post *list, MemoryContext memory)
{
	while (list != NULL)
	{
		Post	   *next = list->next;
		Endpoint   *e = list->to;
		int			i;

		for (i = 0; i < e->in_flight && e->flying[i] != list->seq; i++)
			;
		if (i < e->in_flight)
			e->flying[i] = e->flying[--e->in_flight];
		if (list->result.outcome == WEBHOOK_GONE)
			e->paused = true;
		e->look = true;
		pfree(list);
		list = next;
	}
}
