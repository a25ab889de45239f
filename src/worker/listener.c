/*-------------------------------------------------------------------------
 *
 * listener.c
 *	  The worker that receives the channels' callbacks.
 *
 * A round:
 *
 *	1. Take the requests that are there, and never wait for more.  Verify each,
 *	   outside any transaction; what cannot be kept is answered at once.
 *	2. Keep the others as evidence, in one commit.
 *	3. Answer them.  Meanwhile the next requests have come in: while the disk
 *	   is busy with one batch, the next one grows, so the rate takes care of
 *	   the size of the batches and a single callback waits for nobody.
 *
 * An answer waits for the commit of its evidence, and for nothing else.  This
 * worker knows no business and may do no more than insert evidence, for it is
 * the one that strangers reach.
 *
 * Must survive: any bytes; a flood; slow clients; one piece of evidence that
 * raises an error (the others of its batch are kept without it); a table that
 * somebody has locked (503, and the channel sends it again); a crash between
 * any two steps (what was committed is settled, what was not is sent again);
 * a port that is taken; a certificate that is wrong after a reload (the old
 * one stays in use).
 *
 * What may not be done here: wait for anybody while a transaction is open,
 * log a stranger's bytes, write a row for a message that was not verified.
 *
 * src/worker/listener.c
 *
 *-------------------------------------------------------------------------
 */
#include "worker/worker.h"

#include "base/clock.h"
#include "base/settings.h"
#include "base/testpoint.h"
#include "crypto/crypto.h"
#include "net/http_server.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"
#include "worker/callback.h"

#define KEYS_EVERY_MS		2000	/* a new revision is noticed after this */
#define KEYS_AGAIN_MS		500		/* an unknown name is looked up this often */
#define OPEN_AGAIN_MS		2000
#define COUNT_EVERY_MS		1000
#define LOG_EVERY_MS		60000

/*
 * Channels give up on an answer after five seconds, and send again.  So we do
 * not try for longer to keep a batch piece by piece.
 */
#define KEEP_SINGLY_FOR_MS	3000

#define CALLBACK_PATH		"/v1/"

/* What an open server was made with: if it changes, a new one is made. */
typedef struct Opening
{
	HttpServerOptions options;
	char		address[64];
	Buf			certificate;
	Buf			key;
	unsigned char digest[32];	/* of the two */
} Opening;

/* One request that is to be kept. */
typedef struct Pending
{
	HttpServerRequest *request;
	Callback	callback;
	bool		stored;
} Pending;

typedef struct Listener
{
	Worker	   *self;
	HttpServer *server;			/* NULL: see problem */
	Opening		opened;			/* without the keys */
	HttpServerStats counted;	/* what of its stats has been counted */
	TimestampTz open_after;
	char		problem[256];	/* why it does not listen */
	bool		keys_loaded;
	TimestampTz keys_read_at;
	TimestampTz counts_written_at;
	TimestampTz logged_at;
	bool		problem_shown;
	int64		kept;

	/* this round's */
	Pending   **pending;
	int			npending;
} Listener;

/* Not on the stack: the exit callback may run when that has been unwound. */
static Listener listener;

static void listener_exit(int code, Datum arg);
static void listener_look_around(Listener *l);
static void show_problem(Listener *l);
static int64 next_wait_ms(Listener *l);

static void load_keys(Listener *l, bool force);
static void load_keys_in(void *arg);

static void open_server(Listener *l);
static bool make_opening(Opening *o, int port, char *err, size_t errsize);
static bool read_tls_file(const char *path, bool secret, Buf *out, char *err, size_t errsize);
static void opening_free(Opening *o);
static bool opening_same(const Opening *a, const Opening *b);
static void reopen_server(Listener *l);
static void close_server(Listener *l);

static void take_requests(Listener *l);
static void take_request(Listener *l, HttpServerRequest *r);
static OpenChannel *find_channel(Listener *l, const char *path);
static void answer_text(Listener *l, HttpServerRequest *r, int status, const char *text);
static void answer_reply(Listener *l, HttpServerRequest *r, const Channel *channel,
						 CallbackResult result, bool stored);

static void keep_batch(Listener *l);
static void keep_all(void *arg);
static void keep_one(void *arg);

static void count_refusals(Listener *l);

void
listener_run(Worker *self)
{
	Listener   *l = &listener;

	l->self = self;
	before_shmem_exit(listener_exit, (Datum) 0);

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		listener_look_around(l);
		if (l->server != NULL)
		{
			http_server_run(l->server);
			take_requests(l);
			keep_batch(l);
			count_refusals(l);
		}
		self->slot->done = l->kept;
		worker_wait(self, next_wait_ms(l));
	}
}

/* However it ends, whoever waits for an answer gets one: 503, send it again. */
static void
listener_exit(int code, Datum arg)
{
	HttpServer *server = listener.server;

	listener.server = NULL;
	http_server_stop(server);
}

/* A reload, channels that changed, a server that is not open yet. */
static void
listener_look_around(Listener *l)
{
	TimestampTz now = GetCurrentTimestamp();

	if (l->self->reloaded)
	{
		l->self->reloaded = false;
		load_keys(l, true);
		reopen_server(l);
	}
	else if (!l->keys_loaded || l->self->woken ||
			 TimestampDifferenceExceeds(l->keys_read_at, now, KEYS_EVERY_MS))
	{
		/* whoever adds or changes a channel wakes us */
		l->self->woken = false;
		load_keys(l, false);
	}
	if (l->server == NULL && now >= l->open_after)
		open_server(l);
}

/* What the health view says: first of all that nobody listens. */
static void
show_problem(Listener *l)
{
	const OpenChannel *bad = NULL;
	int			i;

	for (i = 0; i < keys_count() && bad == NULL; i++)
		if (keys_at(i)->seen && !callback_channel_ready(keys_at(i)))
			bad = keys_at(i);

	if (l->server == NULL && l->problem[0] != '\0')
		worker_problem(l->self, "%s", l->problem);
	else if (bad != NULL)
		worker_problem(l->self, "callbacks of channel \"%s\" cannot be verified: %s",
					   bad->name, bad->problem);
	else if (l->problem_shown)
		worker_problem(l->self, NULL);
	l->problem_shown = bad != NULL || (l->server == NULL && l->problem[0] != '\0');
}

static int64
next_wait_ms(Listener *l)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		wait;

	if (l->server == NULL)
		return TimestampDifferenceMilliseconds(now, l->open_after) + 1;
	wait = http_server_timeout_ms(l->server);
	if (callback_counted() && (wait < 0 || wait > COUNT_EVERY_MS))
		wait = COUNT_EVERY_MS;
	return wait;
}

/* ------------------------------------------------------------------------
 * Keys
 * ------------------------------------------------------------------------
 */

static void
load_keys(Listener *l, bool force)
{
	l->keys_read_at = GetCurrentTimestamp();
	if (worker_transaction(l->self, "refundx: reading channels", load_keys_in, &force))
		l->keys_loaded = true;
	show_problem(l);
}

static void
load_keys_in(void *arg)
{
	keys_refresh(*(bool *) arg);
}

/* ------------------------------------------------------------------------
 * The server
 * ------------------------------------------------------------------------
 */

static void
open_server(Listener *l)
{
	Opening		o;
	char		err[sizeof(l->problem)] = "";
	HttpServer *server = NULL;

	l->open_after = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), OPEN_AGAIN_MS);
	if (make_opening(&o, l->self->db->port, err, sizeof(err)))
		server = http_server_start(&o.options, err, sizeof(err));
	if (server == NULL)
	{
		if (strcmp(err, l->problem) != 0)
			ereport(LOG,
					(errmsg("refundx cannot receive callbacks: %s", err)));
		strlcpy(l->problem, err, sizeof(l->problem));
		worker_report(l->self, 0, 0, 0, "does not listen");
	}
	else
	{
		l->server = server;
		l->problem[0] = '\0';
		memset(&l->counted, 0, sizeof(l->counted));
		worker_watch_fd(l->self, http_server_fd(server));
		l->self->db->bound_port = http_server_port(server);
		ereport(LOG,
				(errmsg("refundx receives callbacks on %s port %d (%s)",
						o.address, http_server_port(server),
						o.options.tls_certificate ? "TLS" : "plain HTTP")));
	}
	opening_free(&o);
	o.options.address = o.options.tls_certificate = o.options.tls_key = NULL;
	l->opened = o;
	show_problem(l);
}

/*
 * What the settings ask for.  Sockets are counted with the server's files,
 * which leaves strangers a third of them; if the connections' bound were
 * higher than that, slow clients would fill it without ever coming near the
 * mark at which they are closed.
 */
static bool
make_opening(Opening *o, int port, char *err, size_t errsize)
{
	bool		tls = rx_tls_certificate_file[0] != '\0' || rx_tls_key_file[0] != '\0';
	Buf			both = BUF_INIT;
	bool		good = true;

	memset(o, 0, sizeof(*o));
	strlcpy(o->address, rx_listen_address, sizeof(o->address));
	o->options.address = o->address;
	o->options.port = port;
	o->options.max_connections = Max(5, Min(rx_listen_max_connections, max_safe_fds / 3 - 16));
	o->options.max_body = (size_t) rx_listen_max_body * 1024;
	o->options.request_timeout_ms = rx_listen_request_timeout;
	o->options.acquire_fd = worker_acquire_fd;
	o->options.release_fd = worker_release_fd;
	if (!tls)
		return true;

	if (rx_tls_certificate_file[0] == '\0' || rx_tls_key_file[0] == '\0')
	{
		snprintf(err, errsize, "TLS needs both refundx.tls_certificate_file and refundx.tls_key_file");
		return false;
	}
	if (!read_tls_file(rx_tls_certificate_file, false, &o->certificate, err, errsize) ||
		!read_tls_file(rx_tls_key_file, true, &o->key, err, errsize))
		return false;
	buf_add(&both, o->certificate.data, o->certificate.len);
	buf_addc(&both, '\0');
	buf_add(&both, o->key.data, o->key.len);
	good = !both.failed && sha256(both.data, both.len, o->digest);
	buf_wipe(&both);
	if (!good)
		snprintf(err, errsize, "out of memory");
	o->options.tls_certificate = buf_str(&o->certificate);
	o->options.tls_key = buf_str(&o->key);
	return good;
}

/* A path, absolute or in the data directory, which is where we are. */
static bool
read_tls_file(const char *path, bool secret, Buf *out, char *err, size_t errsize)
{
	const char *slash = strrchr(path, '/');
	char		directory[MAXPGPATH];

	if (slash == NULL)
		strlcpy(directory, ".", sizeof(directory));
	else
		snprintf(directory, sizeof(directory), "%.*s", (int) (slash - path + 1), path);
	return key_file_read(directory, slash ? slash + 1 : path, secret,
						 out, err, errsize) == KEY_FILE_OK;
}

static void
opening_free(Opening *o)
{
	buf_free(&o->certificate);
	buf_wipe(&o->key);
}

static bool
opening_same(const Opening *a, const Opening *b)
{
	return strcmp(a->address, b->address) == 0 &&
		a->options.max_connections == b->options.max_connections &&
		a->options.max_body == b->options.max_body &&
		a->options.request_timeout_ms == b->options.request_timeout_ms &&
		memcmp(a->digest, b->digest, sizeof(a->digest)) == 0;
}

/*
 * After a reload.  The port cannot be had twice, so the new server is first
 * tried on any other: what cannot work does not take the old one away.
 */
static void
reopen_server(Listener *l)
{
	Opening		o;
	char		err[sizeof(l->problem)] = "";
	HttpServer *trial = NULL;
	bool		changed = true;

	l->open_after = 0;
	if (l->server == NULL)
		return;
	if (make_opening(&o, 0, err, sizeof(err)))
	{
		changed = !opening_same(&o, &l->opened);
		if (changed)
			trial = http_server_start(&o.options, err, sizeof(err));
	}
	opening_free(&o);
	if (!changed)
		return;
	if (trial == NULL)
	{
		ereport(LOG,
				(errmsg("refundx goes on receiving callbacks as before the reload: %s", err)));
		return;
	}
	http_server_stop(trial);
	close_server(l);
}

static void
close_server(Listener *l)
{
	HttpServer *server = l->server;

	worker_forget_fds(l->self);
	l->server = NULL;
	l->self->db->bound_port = 0;
	http_server_stop(server);
}

/* ------------------------------------------------------------------------
 * Requests
 * ------------------------------------------------------------------------
 */

static void
take_requests(Listener *l)
{
	HttpServerRequest *r;
	int			max = rx_batch_size;
	int			n = 0;

	l->npending = 0;
	l->pending = NULL;
	while (n < max && (r = http_server_next(l->server)) != NULL)
	{
		if (n++ == 0)
			l->pending = palloc(max * sizeof(Pending *));
		take_request(l, r);
	}
}

/* Answer it, or put it among those that are to be kept. */
static void
take_request(Listener *l, HttpServerRequest *r)
{
	const char *path = http_server_request_path(r);
	const char *method = http_server_request_method(r);
	const OpenChannel *channel;
	Pending    *p;

	if (strcmp(path, "/health") == 0 && strcmp(method, "GET") == 0)
	{
		answer_text(l, r, l->keys_loaded ? 200 : 503, l->keys_loaded ? "ok\n" : "starting\n");
		return;
	}
	if (!l->keys_loaded)
	{
		callback_count(CALLBACK_NO_CHANNEL, "not_ready", 1);
		answer_text(l, r, 503, "not ready, send it again\n");
		return;
	}
	channel = find_channel(l, path);
	if (channel == NULL)
	{
		callback_count(CALLBACK_NO_CHANNEL, "unknown_channel", 1);
		answer_text(l, r, 404, "no such channel\n");
		return;
	}
	if (strcmp(method, "POST") != 0)
	{
		callback_count(channel->name, "bad_method", 1);
		answer_text(l, r, 405, "callbacks come by POST\n");
		return;
	}
	if (!callback_channel_ready(channel))
	{
		callback_count(channel->name, "keys_missing", 1);
		answer_text(l, r, 503, "the channel's keys are not loaded, send it again\n");
		return;
	}

	p = palloc(sizeof(Pending));
	p->request = r;
	p->stored = false;
	p->callback.channel = channel;
	p->callback.headers = http_server_request_headers(r);
	p->callback.body = buf_str(http_server_request_body(r));
	p->callback.len = http_server_request_body(r)->len;
	p->callback.received_at = callback_arrival(http_server_request_arrived_us(r));
	callback_read(&p->callback, clock_wall(), NULL);
	if (p->callback.result == CALLBACK_EVIDENCE)
	{
		l->pending[l->npending++] = p;
		return;
	}
	callback_count(channel->name, callback_result_name(p->callback.result), 1);
	ereport(DEBUG1,
			(errmsg_internal("refundx: a callback for channel \"%s\" was not kept: %s",
							 channel->name, callback_result_name(p->callback.result))));
	answer_reply(l, r, channel->channel, p->callback.result, false);
	pfree(p);
}

/* A name that we do not know may be that of a channel added just now. */
static OpenChannel *
find_channel(Listener *l, const char *path)
{
	const char *name = path + strlen(CALLBACK_PATH);
	OpenChannel *channel;

	if (strncmp(path, CALLBACK_PATH, strlen(CALLBACK_PATH)) != 0)
		return NULL;
	channel = keys_by_name(name);
	if (channel == NULL && name[0] != '\0' && strlen(name) < NAMEDATALEN &&
		TimestampDifferenceExceeds(l->keys_read_at, GetCurrentTimestamp(), KEYS_AGAIN_MS))
	{
		load_keys(l, false);
		channel = keys_by_name(name);
	}
	return channel;
}

static void
answer_text(Listener *l, HttpServerRequest *r, int status, const char *text)
{
	http_server_answer(l->server, r, status, "text/plain", text, strlen(text));
}

static void
answer_reply(Listener *l, HttpServerRequest *r, const Channel *channel,
			 CallbackResult result, bool stored)
{
	ChannelReply reply;

	channel->acknowledge(result, stored, &reply);
	http_server_answer(l->server, r, reply.status, reply.content_type,
					   reply.body, strlen(reply.body));
}

/* ------------------------------------------------------------------------
 * Evidence
 * ------------------------------------------------------------------------
 */

/*
 * One commit for all; if that fails, one for each, so that nobody suffers
 * from another's message.  From the commit to the answers nothing can come
 * between but a crash, after which the channel sends it again, and it is
 * known already.
 */
static void
keep_batch(Listener *l)
{
	TimestampTz since = GetCurrentTimestamp();
	bool		stored;
	int			i;

	if (l->npending == 0)
		return;
	stored = worker_transaction(l->self, "refundx: keeping callbacks", keep_all, l);
	for (i = 0; i < l->npending; i++)
	{
		Pending    *p = l->pending[i];

		p->stored = stored;
		if (stored || TimestampDifferenceExceeds(since, GetCurrentTimestamp(), KEEP_SINGLY_FOR_MS))
			continue;
		p->stored = worker_transaction(l->self, "refundx: keeping a callback", keep_one, p);
	}
	TESTPOINT("listener-after-commit");
	for (i = 0; i < l->npending; i++)
	{
		Pending    *p = l->pending[i];
		const OpenChannel *channel = p->callback.channel;

		if (p->stored)
			l->kept++;
		else
			callback_count(channel->name, "not_stored", 1);
		answer_reply(l, p->request, channel->channel, CALLBACK_EVIDENCE, p->stored);
	}
	http_server_run(l->server); /* out with them, before anything else */
}

static void
keep_all(void *arg)
{
	Listener   *l = arg;
	EvidenceRow *rows = palloc(l->npending * sizeof(EvidenceRow));
	int			i;

	for (i = 0; i < l->npending; i++)
		callback_evidence_row(&l->pending[i]->callback, &rows[i]);
	evidence_insert_many(rows, l->npending);
	TESTPOINT("listener-before-commit");
}

static void
keep_one(void *arg)
{
	Pending    *p = arg;
	EvidenceRow row;

	callback_evidence_row(&p->callback, &row);
	evidence_insert_many(&row, 1);
	TESTPOINT("listener-before-commit-of-one");
}

/* ------------------------------------------------------------------------
 * Counts
 * ------------------------------------------------------------------------
 */

static void
count_refusals(Listener *l)
{
	TimestampTz now = GetCurrentTimestamp();
	HttpServerStats s;

	/* what the server itself has refused never became a request */
	http_server_stats(l->server, &s);
	callback_count(CALLBACK_NO_CHANNEL, "too_large", s.too_large - l->counted.too_large);
	callback_count(CALLBACK_NO_CHANNEL, "malformed", s.malformed - l->counted.malformed);
	callback_count(CALLBACK_NO_CHANNEL, "timed_out", s.timed_out - l->counted.timed_out);
	callback_count(CALLBACK_NO_CHANNEL, "evicted", s.evicted - l->counted.evicted);
	callback_count(CALLBACK_NO_CHANNEL, "no_room", s.refused - l->counted.refused);
	l->counted = s;
	worker_report(l->self, 0, s.open, 0, "receiving callbacks");

	if (!callback_counted())
		return;
	if (TimestampDifferenceExceeds(l->counts_written_at, now, COUNT_EVERY_MS))
	{
		l->counts_written_at = now;
		if (worker_transaction(l->self, "refundx: counting callbacks", callback_counts_write, NULL))
			callback_counts_written();
	}
	if (TimestampDifferenceExceeds(l->logged_at, now, LOG_EVERY_MS))
	{
		l->logged_at = now;
		ereport(LOG,
				(errmsg("refundx: callbacks that were not kept: %s", callback_counts_summary())));
	}
}
