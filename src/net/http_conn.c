/*-------------------------------------------------------------------------
 *
 * http_conn.c
 *	  The server's connections: who may come in, who is closed to make room,
 *	  and who took too long.
 *
 * libmicrohttpd's own time-out starts again with every byte, so a client that
 * sends one byte a second keeps its place for ever.  Here a request has a
 * time to be complete, counted from the accept (TLS included) or from its
 * request line on a kept-alive connection, and a client has the same time to
 * take its answer.
 *
 * A connection is closed by shutting its socket down: libmicrohttpd sees the
 * hang-up in its next round and cleans up after itself.  Until then it is
 * DOOMED and no longer counted as occupying a place.
 *
 * src/net/http_conn.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "net/http_conn.h"

/* How long a connection is safe when room is needed; see next_victim(). */
#define ARRIVAL_GRACE_MS	20
#define ANSWER_GRACE_MS		1000

static void unlink_conn(HttpConns *conns, HttpConn *conn);
static void append_conn(HttpConns *conns, HttpConn *conn, HttpConnState state);
static void cut(HttpConns *conns, HttpConn *conn);
static HttpConn *next_victim(const HttpConns *conns, int64_t *due_ms);
static bool address_is_full(const HttpConns *conns, const struct in6_addr *address);
static void take_address(HttpConn *conn, const struct sockaddr *addr);
static int	allowance_ms(const HttpConns *conns, HttpConnState state);

int64_t
http_conn_clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
unlink_conn(HttpConns *conns, HttpConn *conn)
{
	HttpConnList *list = &conns->list[conn->state];

	if (conn->prev)
		conn->prev->next = conn->next;
	else
		list->head = conn->next;
	if (conn->next)
		conn->next->prev = conn->prev;
	else
		list->tail = conn->prev;
	list->count--;
}

static void
append_conn(HttpConns *conns, HttpConn *conn, HttpConnState state)
{
	HttpConnList *list = &conns->list[state];

	conn->state = state;
	conn->since_ms = conns->now_ms;
	conn->prev = list->tail;
	conn->next = NULL;
	if (list->tail)
		list->tail->next = conn;
	else
		list->head = conn;
	list->tail = conn;
	list->count++;
}

/* Doomed is final: whatever libmicrohttpd still does with it. */
void
http_conn_move(HttpConns *conns, HttpConn *conn, HttpConnState state)
{
	if (conn->state == CONN_DOOMED || conn->state == state)
		return;
	unlink_conn(conns, conn);
	append_conn(conns, conn, state);
}

static void
cut(HttpConns *conns, HttpConn *conn)
{
	shutdown(conn->fd, SHUT_RDWR);
	http_conn_move(conns, conn, CONN_DOOMED);
}

/* ---- coming and going ---- */

HttpConn *
http_conn_open(HttpConns *conns, int fd, const struct sockaddr *addr)
{
	const HttpServerOptions *o = &conns->options;
	HttpConn   *conn = calloc(1, sizeof(*conn));
	bool		welcome;

	conns->stats.accepted++;
	conns->stats.open++;
	if (conn == NULL)
		return NULL;
	conn->fd = fd;
	take_address(conn, addr);
	welcome = !address_is_full(conns, &conn->address) &&
		(o->acquire_fd == NULL || o->acquire_fd());
	conn->accounted = welcome && o->acquire_fd != NULL;
	append_conn(conns, conn, CONN_ARRIVING);
	if (!welcome)
	{
		conns->stats.refused++;
		cut(conns, conn);
	}
	return conn;
}

void
http_conn_close(HttpConns *conns, HttpConn *conn)
{
	conns->stats.open--;
	if (conn == NULL)
		return;
	unlink_conn(conns, conn);
	if (conn->accounted && conns->options.release_fd)
		conns->options.release_fd();
	free(conn);
}

/*
 * Above four fifths of the bound, who goes to make room, and when?  The
 * oldest connection without a complete request; if there is none, one that
 * does not take its answer; if there is none either, the last fifth fills up,
 * and then libmicrohttpd stops accepting.  What waits for its answer is never
 * closed: it would be sent again, and cost more than was saved.
 *
 * A connection has a moment's grace.  In a burst many are accepted before the
 * first is read, and their requests may be complete in the kernel's buffers.
 */
static HttpConn *
next_victim(const HttpConns *conns, int64_t *due_ms)
{
	HttpConn   *arriving = conns->list[CONN_ARRIVING].head;
	HttpConn   *victim = conns->list[CONN_IDLE].head;
	int			max = conns->options.max_connections;

	if (conns->stats.open - conns->list[CONN_DOOMED].count <= max - max / 5)
		return NULL;
	if (victim == NULL || (arriving && arriving->since_ms < victim->since_ms))
		victim = arriving;
	if (victim)
	{
		*due_ms = victim->since_ms + ARRIVAL_GRACE_MS;
		return victim;
	}
	victim = conns->list[CONN_ANSWERING].head;
	if (victim)
		*due_ms = victim->since_ms + ANSWER_GRACE_MS;
	return victim;
}

static bool
address_is_full(const HttpConns *conns, const struct in6_addr *address)
{
	const HttpConn *conn;
	int			max = conns->options.max_per_address;
	int			count = 0;
	int			state;

	if (max <= 0)
		return false;
	for (state = 0; state < CONN_DOOMED; state++)
		for (conn = conns->list[state].head; conn; conn = conn->next)
			if (memcmp(&conn->address, address, sizeof(*address)) == 0 && ++count >= max)
				return true;
	return false;
}

static void
take_address(HttpConn *conn, const struct sockaddr *addr)
{
	if (addr == NULL)
		return;
	if (addr->sa_family == AF_INET6)
		conn->address = ((const struct sockaddr_in6 *) addr)->sin6_addr;
	else if (addr->sa_family == AF_INET)
	{
		conn->address.s6_addr[10] = conn->address.s6_addr[11] = 0xff;
		memcpy(&conn->address.s6_addr[12],
			   &((const struct sockaddr_in *) addr)->sin_addr, 4);
	}
}

/* ---- time ---- */

/* 0 = as long as it takes */
static int
allowance_ms(const HttpConns *conns, HttpConnState state)
{
	switch (state)
	{
		case CONN_ARRIVING:
		case CONN_ANSWERING:
			return conns->options.request_timeout_ms;
		case CONN_IDLE:
			return conns->options.idle_timeout_ms;
		case CONN_WAITING:
		case CONN_DOOMED:
			break;
	}
	return 0;
}

void
http_conn_expire(HttpConns *conns)
{
	HttpConn   *conn;
	int64_t		due;
	int			state;

	while ((conn = next_victim(conns, &due)) != NULL && due <= conns->now_ms)
	{
		conns->stats.evicted++;
		cut(conns, conn);
	}
	for (state = 0; state < CONN_STATE_COUNT; state++)
	{
		int			allowed = allowance_ms(conns, state);

		while (allowed > 0 && (conn = conns->list[state].head) != NULL &&
			   conns->now_ms - conn->since_ms >= allowed)
		{
			if (state == CONN_ARRIVING)
				conns->stats.timed_out++;
			cut(conns, conn);
		}
	}
}

int64_t
http_conn_next_expiry_ms(const HttpConns *conns)
{
	int64_t		next = -1;
	int			state;

	if (next_victim(conns, &next) == NULL)
		next = -1;
	for (state = 0; state < CONN_STATE_COUNT; state++)
	{
		const HttpConn *conn = conns->list[state].head;
		int			allowed = allowance_ms(conns, state);
		int64_t		due;

		if (allowed == 0 || conn == NULL)
			continue;
		due = conn->since_ms + allowed;
		if (next < 0 || due < next)
			next = due;
	}
	return next;
}
