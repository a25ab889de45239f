/*-------------------------------------------------------------------------
 *
 * http_client.c
 *	  Many HTTP calls at once on one epoll descriptor; see http_client.h.
 *
 * libcurl's sockets live in a private epoll set, whose one descriptor the
 * caller nests in its WaitEventSet: Postgres 15 cannot take a socket out of a
 * set again.  libcurl's timer is only remembered; it becomes the caller's
 * time-out.
 *
 * Calls beyond a host's or the client's share wait in our own lines, not in
 * libcurl's.  libcurl would count the waiting as connecting and give up, and
 * one slow host would fill the line for all.  The time-outs of a call begin
 * when it leaves the line; a call that has waited in it for its whole
 * time-out ends as not sent.
 *
 * Signals are blocked around everything that may make libcurl start its
 * resolver's thread, which would otherwise run Postgres' handlers.  The old
 * mask is restored, never an empty one: Postgres keeps SIGURG blocked.
 *
 * src/net/http_client.c
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "net/http_call.h"

#define DEFAULT_MAX_CONNECTIONS	256
#define DEFAULT_MAX_PER_HOST	64
#define MAX_IDLE_CALLS			64	/* easy handles kept for reuse */
#define EVENTS_PER_ROUND		64
#define ROUNDS_PER_RUN			8
#define OWN_DESCRIPTORS			3	/* epoll, and libcurl's wake-up pair */
#define WATCHDOG_INTERVAL_US	INT64_C(1000000)
#define WATCHDOG_GRACE_US		INT64_C(3000000)

/* One line per scheme, host and port. */
struct HttpHost
{
	HttpHost   *next;
	char		key[HTTP_HOST_KEY_MAX];
	int			running;
	HttpCallList waiting;
};

struct HttpClient
{
	HttpClientOptions options;	/* its strings are our own copies */
	CURLM	   *multi;
	int			epfd;
	int			descriptors;	/* acquired for ourselves */
	int64_t		timer_us;		/* when libcurl wants to be called; -1 = not */
	int64_t		watchdog_us;	/* when to look for calls that are overdue */
	HttpHost   *hosts;
	HttpHost   *turn;			/* whose line moves first next time */
	HttpCallList running;
	HttpCallList finished;
	HttpCallList idle;
	int			waiting;		/* over all lines */
};

static int64_t now_us(void);
static void block_signals(sigset_t *old);
static void restore_signals(const sigset_t *old);
static bool libcurl_ready(char *err, size_t errsize);
static bool take_options(HttpClient *client, const HttpClientOptions *options);
static bool take_descriptors(HttpClient *client);
static bool set_up_multi(HttpClient *client);
static void free_calls(HttpCallList *list);
static HttpHost *host_lookup(HttpClient *client, const char *key);
static void host_forget_unused(HttpClient *client);
static HttpCall *take_call(HttpClient *client);
static void put_call(HttpClient *client, HttpCall *call);
static void start_call(HttpClient *client, HttpCall *call);
static void start_waiting(HttpClient *client);
static void end_call(HttpClient *client, HttpCall *call, CURLcode rc);
static void drive_sockets(HttpClient *client);
static void drive_timer(HttpClient *client);
static void harvest(HttpClient *client);
static void watchdog(HttpClient *client);
static void give_up_waiting(HttpClient *client, int64_t now);
static int	on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *marked);
static int	on_timer(CURLM *multi, long timeout_ms, void *arg);

static int64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void
block_signals(sigset_t *old)
{
	sigset_t	all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, old);
}

static void
restore_signals(const sigset_t *old)
{
	pthread_sigmask(SIG_SETMASK, old, NULL);
}

/* ---- creating and destroying ---- */

/* In the process that uses it, never in the postmaster: no state over fork. */
static bool
libcurl_ready(char *err, size_t errsize)
{
	static bool done = false;
	CURLcode	rc;

	if (done)
		return true;
	rc = curl_global_init(CURL_GLOBAL_DEFAULT);
	if (rc != CURLE_OK)
	{
		snprintf(err, errsize, "libcurl cannot be initialised: %s", curl_easy_strerror(rc));
		return false;
	}
	done = true;
	return true;
}

HttpClient *
http_client_create(const HttpClientOptions *options, char *err, size_t errsize)
{
	HttpClient *client = calloc(1, sizeof(*client));
	sigset_t	old;
	bool		ok;

	if (client == NULL)
	{
		snprintf(err, errsize, "out of memory");
		return NULL;
	}
	client->epfd = -1;
	client->timer_us = -1;
	block_signals(&old);
	ok = libcurl_ready(err, errsize);
	if (ok && !(take_options(client, options) && take_descriptors(client) &&
				set_up_multi(client)))
	{
		snprintf(err, errsize, "cannot set up the HTTP client: %s", strerror(errno));
		ok = false;
	}
	restore_signals(&old);
	if (ok)
		return client;
	http_client_destroy(client);
	return NULL;
}

static bool
take_options(HttpClient *client, const HttpClientOptions *options)
{
	HttpClientOptions *o = &client->options;

	*o = *options;
	o->ca_file = options->ca_file ? strdup(options->ca_file) : NULL;
	o->user_agent = options->user_agent ? strdup(options->user_agent) : NULL;
	if (o->max_connections <= 0)
		o->max_connections = DEFAULT_MAX_CONNECTIONS;
	if (o->max_per_host <= 0)
		o->max_per_host = DEFAULT_MAX_PER_HOST;
	return (o->ca_file != NULL) == (options->ca_file != NULL) &&
		(o->user_agent != NULL) == (options->user_agent != NULL);
}

static bool
take_descriptors(HttpClient *client)
{
	while (client->options.acquire_fd && client->descriptors < OWN_DESCRIPTORS)
	{
		if (!client->options.acquire_fd())
			return false;
		client->descriptors++;
	}
	client->epfd = epoll_create1(EPOLL_CLOEXEC);
	return client->epfd >= 0;
}

static bool
set_up_multi(HttpClient *client)
{
	long		max = client->options.max_connections;

	client->multi = curl_multi_init();
	return client->multi != NULL &&
		curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
		curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client) == CURLM_OK &&
		curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
		curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client) == CURLM_OK &&
		curl_multi_setopt(client->multi, CURLMOPT_PIPELINING, (long) CURLPIPE_NOTHING) == CURLM_OK &&
		/* idle connections count too; libcurl closes the oldest for a new one */
		curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, max) == CURLM_OK &&
		curl_multi_setopt(client->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, max) == CURLM_OK;
}

void
http_client_destroy(HttpClient *client)
{
	HttpCall   *call;
	HttpHost   *host;
	sigset_t	old;

	if (client == NULL)
		return;
	block_signals(&old);
	for (call = client->running.head; call; call = call->next)
		curl_multi_remove_handle(client->multi, call->easy);
	free_calls(&client->running);
	free_calls(&client->finished);
	free_calls(&client->idle);
	while ((host = client->hosts) != NULL)
	{
		client->hosts = host->next;
		free_calls(&host->waiting);
		free(host);
	}
	if (client->multi)
		curl_multi_cleanup(client->multi);
	restore_signals(&old);
	if (client->epfd >= 0)
		close(client->epfd);
	for (; client->descriptors > 0; client->descriptors--)
		if (client->options.release_fd)
			client->options.release_fd();
	free((char *) client->options.ca_file);
	free((char *) client->options.user_agent);
	free(client);
}

static void
free_calls(HttpCallList *list)
{
	HttpCall   *call;

	while ((call = list->head) != NULL)
	{
		http_call_remove(list, call);
		http_call_free(call);
	}
}

/* ---- lines and the pool ---- */

static HttpHost *
host_lookup(HttpClient *client, const char *key)
{
	HttpHost   *host;

	for (host = client->hosts; host; host = host->next)
		if (strcmp(host->key, key) == 0)
			return host;
	host_forget_unused(client);
	host = calloc(1, sizeof(*host));
	if (host == NULL)
		return NULL;
	str_copy(host->key, sizeof(host->key), key);
	host->next = client->hosts;
	client->hosts = host;
	return host;
}

/* A new host comes seldom; hosts no longer used go then. */
static void
host_forget_unused(HttpClient *client)
{
	HttpHost  **link = &client->hosts;
	HttpHost   *host;

	client->turn = NULL;
	while ((host = *link) != NULL)
	{
		if (host->running > 0 || host->waiting.count > 0)
		{
			link = &host->next;
			continue;
		}
		*link = host->next;
		free(host);
	}
}

static HttpCall *
take_call(HttpClient *client)
{
	HttpCall   *call = client->idle.tail;

	if (call == NULL)
		return http_call_create(&client->options);
	http_call_remove(&client->idle, call);
	return call;
}

static void
put_call(HttpClient *client, HttpCall *call)
{
	if (client->idle.count >= MAX_IDLE_CALLS)
	{
		http_call_free(call);
		return;
	}
	http_call_clear(call);
	http_call_append(&client->idle, call);
}

/* ---- sending ---- */

bool
http_client_send(HttpClient *client, const HttpRequest *request, void *ticket,
				 char *err, size_t errsize)
{
	HttpTarget	target;
	HttpHost   *host;
	HttpCall   *call;
	sigset_t	old;

	if (!http_call_target(&client->options, request, &target, err, errsize))
		return false;
	host = host_lookup(client, target.key);
	call = host ? take_call(client) : NULL;
	if (call == NULL)
	{
		snprintf(err, errsize, "out of memory");
		return false;
	}
	if (!http_call_prepare(call, request, &target, err, errsize))
	{
		put_call(client, call);
		return false;
	}
	call->ticket = ticket;
	call->host = host;
	call->queued_us = now_us();
	call->give_up_us = call->queued_us + (int64_t) call->total_timeout_ms * 1000;
	if (client->running.count == 0 && client->waiting == 0)
		client->watchdog_us = call->queued_us + WATCHDOG_INTERVAL_US;
	http_call_append(&host->waiting, call);
	client->waiting++;
	block_signals(&old);
	start_waiting(client);
	restore_signals(&old);
	return true;
}

/* Let the lines move, each host in turn, as far as the bounds allow. */
static void
start_waiting(HttpClient *client)
{
	HttpHost   *host = client->turn ? client->turn : client->hosts;
	int			idle_hosts = 0;
	int			hosts = 0;
	HttpHost   *h;

	if (client->waiting == 0)
		return;
	for (h = client->hosts; h; h = h->next)
		hosts++;
	while (client->waiting > 0 && idle_hosts < hosts &&
		   client->running.count < client->options.max_connections)
	{
		HttpCall   *call = host->waiting.head;

		if (call != NULL && host->running < client->options.max_per_host)
		{
			start_call(client, call);
			idle_hosts = 0;
		}
		else
			idle_hosts++;
		host = host->next ? host->next : client->hosts;
	}
	client->turn = host;
}

static void
start_call(HttpClient *client, HttpCall *call)
{
	HttpHost   *host = call->host;
	CURLMcode	rc;

	http_call_remove(&host->waiting, call);
	client->waiting--;
	http_call_append(&client->running, call);
	host->running++;
	call->give_up_us = now_us() + (int64_t) call->total_timeout_ms * 1000 + WATCHDOG_GRACE_US;
	rc = curl_multi_add_handle(client->multi, call->easy);
	if (rc != CURLM_OK)
	{
		snprintf(call->errbuf, sizeof(call->errbuf), "%s", curl_multi_strerror(rc));
		end_call(client, call, CURLE_FAILED_INIT);
	}
}

static void
end_call(HttpClient *client, HttpCall *call, CURLcode rc)
{
	/* before the handle is removed: that would forget what is asked here */
	http_call_finish(call, rc);
	curl_multi_remove_handle(client->multi, call->easy);
	http_call_remove(&client->running, call);
	call->host->running--;
	http_call_append(&client->finished, call);
}

/* ---- running ---- */

int
http_client_fd(HttpClient *client)
{
	return client->epfd;
}

int64_t
http_client_timeout_ms(HttpClient *client)
{
	int64_t		due = client->timer_us;
	int64_t		left;

	if (client->finished.count > 0)
		return 0;
	if (client->running.count > 0 || client->waiting > 0)
		if (due < 0 || client->watchdog_us < due)
			due = client->watchdog_us;
	if (due < 0)
		return -1;
	left = due - now_us();
	return left <= 0 ? 0 : (left + 999) / 1000;
}

void
http_client_run(HttpClient *client)
{
	sigset_t	old;

	block_signals(&old);
	drive_sockets(client);
	drive_timer(client);
	harvest(client);
	watchdog(client);
	start_waiting(client);
	/* what was just started asks for its first step at once */
	drive_timer(client);
	restore_signals(&old);
}

static void
drive_sockets(HttpClient *client)
{
	struct epoll_event event[EVENTS_PER_ROUND];
	int			running;
	int			round;
	int			n;
	int			i;

	for (round = 0; round < ROUNDS_PER_RUN; round++)
	{
		n = epoll_wait(client->epfd, event, EVENTS_PER_ROUND, 0);
		for (i = 0; i < n; i++)
		{
			int			action = 0;

			if (event[i].events & EPOLLIN)
				action |= CURL_CSELECT_IN;
			if (event[i].events & EPOLLOUT)
				action |= CURL_CSELECT_OUT;
			if (event[i].events & (EPOLLERR | EPOLLHUP))
				action |= CURL_CSELECT_ERR;
			curl_multi_socket_action(client->multi, event[i].data.fd, action, &running);
		}
		if (n < EVENTS_PER_ROUND)
			break;
	}
}

static void
drive_timer(HttpClient *client)
{
	int			running;

	if (client->timer_us < 0 || now_us() < client->timer_us)
		return;
	client->timer_us = -1;		/* on_timer may set it anew */
	curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

static void
harvest(HttpClient *client)
{
	CURLMsg    *msg;
	int			left;

	while ((msg = curl_multi_info_read(client->multi, &left)) != NULL)
	{
		CURLcode	rc = msg->data.result;
		char	   *private = NULL;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &private);
		end_call(client, (HttpCall *) private, rc);
	}
}

/*
 * Nothing is left to libcurl's timers alone: a call that never came back
 * would be a refund that nobody asks about.  Once a second whatever is
 * overdue ends here.
 */
static void
watchdog(HttpClient *client)
{
	HttpCall   *call;
	HttpCall   *next;
	int64_t		now;

	if (client->running.count == 0 && client->waiting == 0)
		return;
	now = now_us();
	if (now < client->watchdog_us)
		return;
	client->watchdog_us = now + WATCHDOG_INTERVAL_US;
	for (call = client->running.head; call; call = next)
	{
		next = call->next;
		if (now >= call->give_up_us)
			end_call(client, call, CURLE_OPERATION_TIMEDOUT);
	}
	give_up_waiting(client, now);
}

static void
give_up_waiting(HttpClient *client, int64_t now)
{
	HttpHost   *host;
	HttpCall   *call;
	HttpCall   *next;

	for (host = client->hosts; host; host = host->next)
		for (call = host->waiting.head; call; call = next)
		{
			next = call->next;
			if (now < call->give_up_us)
				continue;
			http_call_remove(&host->waiting, call);
			client->waiting--;
			call->answer.outcome = HTTP_NOT_SENT;
			call->answer.total_us = now - call->queued_us;
			snprintf(call->answer.error, sizeof(call->answer.error),
					 "not sent: no connection was free within %d ms", call->total_timeout_ms);
			http_call_append(&client->finished, call);
		}
}

bool
http_client_next(HttpClient *client, void **ticket, HttpAnswer *answer)
{
	HttpCall   *call = client->finished.head;

	if (call == NULL)
		return false;
	http_call_remove(&client->finished, call);
	*ticket = call->ticket;
	*answer = call->answer;
	http_answer_init(&call->answer);	/* the caller's now */
	put_call(client, call);
	return true;
}

int
http_client_active(const HttpClient *client)
{
	return client->running.count + client->waiting + client->finished.count;
}

/* ---- libcurl's callbacks ---- */

/*
 * An epoll_ctl that fails is not reported: libcurl would give up the whole
 * multi handle.  The one call times out instead.
 */
static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *marked)
{
	HttpClient *client = arg;
	struct epoll_event event;

	(void) easy;
	memset(&event, 0, sizeof(event));
	event.data.fd = fd;
	if (what == CURL_POLL_REMOVE)
	{
		epoll_ctl(client->epfd, EPOLL_CTL_DEL, fd, &event);
		return 0;
	}
	if (what & CURL_POLL_IN)
		event.events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		event.events |= EPOLLOUT;
	if (marked == NULL)
	{
		/* EEXIST: libcurl hands a socket over without removing it first */
		if (epoll_ctl(client->epfd, EPOLL_CTL_ADD, fd, &event) == 0 ||
			(errno == EEXIST && epoll_ctl(client->epfd, EPOLL_CTL_MOD, fd, &event) == 0))
			curl_multi_assign(client->multi, fd, client);
	}
	else if (epoll_ctl(client->epfd, EPOLL_CTL_MOD, fd, &event) < 0 && errno == ENOENT)
		epoll_ctl(client->epfd, EPOLL_CTL_ADD, fd, &event);
	return 0;
}

static int
on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	HttpClient *client = arg;

	(void) multi;
	client->timer_us = timeout_ms < 0 ? -1 : now_us() + (int64_t) timeout_ms * 1000;
	return 0;
}
