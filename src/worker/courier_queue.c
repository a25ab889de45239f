/*-------------------------------------------------------------------------
 *
 * courier_queue.c
 *	  SMS providers as configured, and the notices that wait for each.
 *
 * Each provider has a queue of its own, so that one that hangs does not hold
 * up another.  A queue is bounded: it has the notices that are due first, and
 * whatever does not fit stays in the table until the queue is empty.
 *
 * src/worker/courier_queue.c
 *
 *-------------------------------------------------------------------------
 */
#include "worker/courier.h"

#include "base/clock.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define OPEN_AGAIN_MS		30000
#define PROBE_FIRST_S		30
#define PROBE_LAST_S		1800

static Sender **senders = NULL; /* never freed, so pointers to them stay good */
static int	nsenders = 0;

static Sender *sender_add(const char *name);
static void sender_open(Sender *s, const char *config_json);
static void sender_pause_seen(Sender *s, const char *paused);

int
senders_count(void)
{
	return nsenders;
}

Sender *
sender_at(int i)
{
	return senders[i];
}

Sender *
sender_by_name(const char *name)
{
	int			i;

	for (i = 0; i < nsenders; i++)
		if (strcmp(senders[i]->name, name) == 0)
			return senders[i];
	return NULL;
}

static Sender *
sender_add(const char *name)
{
	Size		size = (nsenders + 1) * sizeof(Sender *);
	Sender	   *s = MemoryContextAllocZero(TopMemoryContext, sizeof(Sender));

	senders = senders ? repalloc(senders, size) : MemoryContextAlloc(TopMemoryContext, size);
	strlcpy(s->name, name, sizeof(s->name));
	s->more = true;
	senders[nsenders++] = s;
	return s;
}

/* ------------------------------------------------------------------------
 * Configurations
 * ------------------------------------------------------------------------
 */

void
senders_refresh(bool force)
{
	static Statement read = {
		"SELECT name, kind, config::text, revision, coalesce(paused, '')"
		"  FROM refundx.notice_provider ORDER BY name", NO_ARGS
	};
	TimestampTz now = GetCurrentTimestamp();
	uint64		n = statement_run(&read, NULL);
	uint64		row;
	int			i;

	for (i = 0; i < nsenders; i++)
		senders[i]->seen = false;
	for (row = 0; row < n; row++)
	{
		char	   *name = row_text(row, 1);
		char	   *kind = row_text(row, 2);
		int			revision = row_int4(row, 4);
		Sender	   *s = sender_by_name(name);
		bool		changed;

		if (s == NULL)
			s = sender_add(name);
		s->seen = true;
		changed = s->revision != revision;
		if (changed || force ||
			(s->config == NULL && TimestampDifferenceExceeds(s->tried_at, now, OPEN_AGAIN_MS)))
		{
			/* what is open belongs to the kind that opened it */
			if (s->config != NULL && strcmp(s->provider->kind, kind) != 0 && s->in_flight > 0)
				continue;
			s->tried_at = now;
			s->revision = revision;
			if (s->config != NULL && strcmp(s->provider->kind, kind) != 0)
			{
				s->provider->close(s->config);
				s->config = NULL;
			}
			s->provider = notice_provider_lookup(kind);
			if (s->provider != NULL)
				sender_open(s, row_text(row, 3));
			else
				snprintf(s->problem, sizeof(s->problem), "kind \"%.40s\" is not built in", kind);
		}
		sender_pause_seen(s, row_text(row, 5));

		/* whatever was wrong may be mended */
		if ((changed || force) && sender_probing(s))
			s->probe_at = clock_now();
	}
}

/* A file that cannot be read after a reload does not take a working key away. */
static void
sender_open(Sender *s, const char *config_json)
{
	ChannelSource source = {config_json, keys_read_file, NULL};
	ChannelError err = {{0}};
	void	   *opened = s->provider->open(&source, &err);

	if (opened == NULL)
	{
		if (strcmp(s->problem, err.message) != 0)
			ereport(WARNING,
					(errmsg("refundx: SMS provider \"%s\": %s", s->name, err.message),
					 err.hint[0] ? errhint("%s", err.hint) : 0));
		strlcpy(s->problem, err.message, sizeof(s->problem));
		return;
	}
	if (s->config != NULL)
		s->provider->close(s->config);
	s->config = opened;
	s->problem[0] = '\0';
}

/* ------------------------------------------------------------------------
 * Pauses
 * ------------------------------------------------------------------------
 */

/* What the table says: an operator may have paused it, or ended a pause. */
static void
sender_pause_seen(Sender *s, const char *paused)
{
	if (strcmp(s->paused, paused) == 0)
		return;
	strlcpy(s->paused, paused, sizeof(s->paused));
	s->probes = 0;
	s->probe_at = clock_now();
}

bool
sender_probing(const Sender *s)
{
	return strcmp(s->paused, "config") == 0 || strcmp(s->paused, "balance") == 0;
}

/* Also after each probe that was in vain; why NULL = as before. */
void
sender_paused(Sender *s, const char *why, TimestampTz now)
{
	int64		ms = Min((int64) PROBE_FIRST_S << Min(s->probes, 10), PROBE_LAST_S) * 1000;

	if (why != NULL)
		strlcpy(s->paused, why, sizeof(s->paused));
	s->probes++;
	s->probe_at = TimestampTzPlusMilliseconds(now, ms + courier_jitter(ms / 10));
}

void
sender_resumed(Sender *s)
{
	s->paused[0] = '\0';
	s->probes = 0;
}

/* ------------------------------------------------------------------------
 * Queues
 * ------------------------------------------------------------------------
 */

/*
 * Let it wait here, if nothing in the table may be due before it.  So the
 * invariant of Sender holds: what is not here is not due before what is.
 */
void
sender_offer(Sender *s, int64 notice_id, TimestampTz next_at)
{
	int			at = s->nqueued;

	if (s->more && (s->nqueued == 0 || next_at >= s->queue[s->nqueued - 1].next_at))
		return;
	if (s->nqueued == SENDER_QUEUE_MAX)
	{
		s->more = true;
		if (next_at >= s->queue[s->nqueued - 1].next_at)
			return;
		at = --s->nqueued;
	}
	while (at > 0 && s->queue[at - 1].next_at > next_at)
		at--;
	memmove(&s->queue[at + 1], &s->queue[at], (s->nqueued - at) * sizeof(Waiting));
	s->queue[at].notice_id = notice_id;
	s->queue[at].next_at = next_at;
	s->nqueued++;
}

/* Only into an empty queue, so that nothing is in it twice. */
void
sender_refill(Sender *s)
{
	static Statement read = {
		"SELECT notice_id, next_at FROM refundx.notice"
		" WHERE is_open AND state = 'queued' AND provider = $1"
		" ORDER BY next_at, notice_id LIMIT $2", ARGS(TEXTOID, INT8OID)
	};
	Values		v = {0};
	uint64		n;
	uint64		row;

	Assert(s->nqueued == 0);
	values_text(&v, s->name);
	values_int8(&v, SENDER_QUEUE_MAX);
	n = statement_read(&read, &v);
	for (row = 0; row < n; row++)
	{
		s->queue[row].notice_id = row_int8(row, 1);
		s->queue[row].next_at = row_time(row, 2);
	}
	s->nqueued = (int) n;
	s->more = n == SENDER_QUEUE_MAX;
}

void
senders_forget(void)
{
	int			i;

	for (i = 0; i < nsenders; i++)
	{
		senders[i]->nqueued = 0;
		senders[i]->more = true;
	}
}

int
sender_room(const Sender *s, TimestampTz now)
{
	int			room = SENDER_CALLS_MAX - s->in_flight;
	int			due = 0;

	if (!s->seen || s->config == NULL)
		return 0;
	if (s->paused[0] != '\0')
		room = sender_probing(s) && s->in_flight == 0 && now >= s->probe_at ? 1 : 0;
	while (due < s->nqueued && due < room && s->queue[due].next_at <= now)
		due++;
	return due;
}

TimestampTz
sender_next(const Sender *s)
{
	TimestampTz next;

	if (!s->seen || s->config == NULL || s->nqueued == 0 || s->in_flight >= SENDER_CALLS_MAX)
		return 0;
	next = s->queue[0].next_at;
	if (s->paused[0] == '\0')
		return next;
	return sender_probing(s) && s->in_flight == 0 ? Max(next, s->probe_at) : 0;
}

/* A random part of so many milliseconds. */
int64
courier_jitter(int64 ms)
{
	uint32		random = 0;

	(void) pg_strong_random(&random, sizeof(random));
	return ms > 0 ? (int64) (random % (uint64) ms) : 0;
}
