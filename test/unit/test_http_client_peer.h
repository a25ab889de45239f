/*-------------------------------------------------------------------------
 *
 * test_http_client_peer.h
 *	  A badly behaved HTTP server in a process of its own, for
 *	  test_http_client.c: the request's path says how to misbehave.
 *
 *		/ok			200, "fine", kept alive
 *		/echo		200, the request's own bytes as the body
 *		/count		200, how many requests have been read so far
 *		/conns		200, how many connections have been accepted so far
 *		/hold		no answer, ever
 *		/reset		the connection is reset
 *		/close		the connection is closed
 *		/half		a tenth of the body that was announced, then closed
 *		/big		2 MiB, length announced
 *		/chunks		chunks without end
 *		/headers	100 header lines
 *		/garbage	not HTTP
 *		/moved		302 to /ok
 *		/interim	103, then 200 with other headers
 *		/trailer	chunked, with a trailer that looks like a header
 *		/gzip		a Content-Encoding that is not undone
 *
 * test/unit/test_http_client_peer.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_TEST_HTTP_CLIENT_PEER_H
#define REFUNDX_TEST_HTTP_CLIENT_PEER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PEER_MAX_CONNS	1100
#define PEER_BUFFER		16384

typedef struct PeerConn
{
	int			fd;
	size_t		len;
	bool		endless;		/* keeps getting chunks */
	bool		mute;			/* reads, never answers again */
	char		buf[PEER_BUFFER];
} PeerConn;

typedef struct Peer
{
	PeerConn   *conn[PEER_MAX_CONNS];
	int			conns;
	int			requests;
	int			accepted;
} Peer;

static void
peer_write(int fd, const char *data, size_t len)
{
	while (len > 0)
	{
		ssize_t		n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		data += n;
		len -= (size_t) n;
	}
}

static void
peer_answer(int fd, const char *more_headers, const char *body, size_t len)
{
	char		head[512];
	int			n = snprintf(head, sizeof(head),
							 "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n%s\r\n", len, more_headers);

	peer_write(fd, head, (size_t) n);
	peer_write(fd, body, len);
}

static void
peer_reset(int fd)
{
	struct linger hard = {1, 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
}

static void
peer_send_big(int fd)
{
	char		block[4096];
	int			i;

	memset(block, 'x', sizeof(block));
	peer_write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2097152\r\n\r\n", 44);
	for (i = 0; i < 512; i++)
		peer_write(fd, block, sizeof(block));
}

static void
peer_send_headers(int fd)
{
	char		line[64];
	int			i;

	peer_write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", 36);
	for (i = 0; i < 100; i++)
		peer_write(fd, line, (size_t) snprintf(line, sizeof(line), "X-%d: %d\r\n", i, i));
	peer_write(fd, "\r\n", 2);
}

#define PEER_SAY(fd, text)	peer_write((fd), (text), sizeof(text) - 1)

/* False: close the connection. */
static bool
peer_serve(Peer *peer, PeerConn *c, const char *path, size_t request_len)
{
	char		number[32];
	int			fd = c->fd;

	if (strcmp(path, "/echo") == 0 || strncmp(path, "/as/is/", 7) == 0)
		peer_answer(fd, "X-Kind: echo\r\n", c->buf, request_len);
	else if (strcmp(path, "/count") == 0 || strcmp(path, "/conns") == 0)
	{
		snprintf(number, sizeof(number), "%d",
				 path[2] == 'o' && path[3] == 'n' ? peer->accepted : peer->requests);
		peer_answer(fd, "", number, strlen(number));
	}
	else if (strcmp(path, "/hold") == 0)
		c->mute = true;
	else if (strcmp(path, "/reset") == 0 || strcmp(path, "/close") == 0)
	{
		if (path[1] == 'r')
			peer_reset(fd);
		return false;
	}
	else if (strcmp(path, "/half") == 0)
	{
		PEER_SAY(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789");
		return false;
	}
	else if (strcmp(path, "/big") == 0)
		peer_send_big(fd);
	else if (strcmp(path, "/chunks") == 0)
	{
		PEER_SAY(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
		c->endless = true;
	}
	else if (strcmp(path, "/headers") == 0)
		peer_send_headers(fd);
	else if (strcmp(path, "/garbage") == 0)
	{
		PEER_SAY(fd, "\001\002\003 what is this?\r\n\r\n");
		return false;
	}
	else if (strcmp(path, "/moved") == 0)
		PEER_SAY(fd, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
	else if (strcmp(path, "/interim") == 0)
		PEER_SAY(fd, "HTTP/1.1 103 Early Hints\r\nX-Early: yes\r\n\r\n"
				 "HTTP/1.1 200 OK\r\nX-Late:\t yes \r\nContent-Length: 2\r\n\r\nok");
	else if (strcmp(path, "/trailer") == 0)
		PEER_SAY(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Signature\r\n"
				 "\r\n2\r\nok\r\n0\r\nX-Signature: forged\r\n\r\n");
	else if (strcmp(path, "/gzip") == 0)
		peer_answer(fd, "Content-Encoding: gzip\r\n", "not gzip", 8);
	else
		peer_answer(fd, "", "fine", 4);
	return true;
}

/* Length of a complete request at the buffer's start, or 0. */
static size_t
peer_request_length(const PeerConn *c)
{
	const char *end = memmem(c->buf, c->len, "\r\n\r\n", 4);
	const char *length;
	size_t		head;
	size_t		body = 0;

	if (end == NULL)
		return 0;
	head = (size_t) (end - c->buf) + 4;
	length = memmem(c->buf, head, "Content-Length: ", 16);
	if (length)
		body = strtoul(length + 16, NULL, 10);
	return c->len >= head + body ? head + body : 0;
}

static bool
peer_read(Peer *peer, PeerConn *c)
{
	char		path[256];
	size_t		len;
	ssize_t		n = recv(c->fd, c->buf + c->len, sizeof(c->buf) - 1 - c->len, 0);

	if (n <= 0)
		return false;
	if (c->mute)
		return true;
	c->len += (size_t) n;
	c->buf[c->len] = '\0';
	while ((len = peer_request_length(c)) > 0)
	{
		peer->requests++;
		if (sscanf(c->buf, "%*15s %255s", path) != 1 || !peer_serve(peer, c, path, len))
			return false;
		memmove(c->buf, c->buf + len, c->len - len);
		c->len -= len;
		c->buf[c->len] = '\0';
	}
	return true;
}

static void
peer_drop(Peer *peer, int i)
{
	close(peer->conn[i]->fd);
	free(peer->conn[i]);
	peer->conn[i] = peer->conn[--peer->conns];
}

static void
peer_accept(Peer *peer, int listener)
{
	int			fd = accept(listener, NULL, NULL);
	PeerConn   *c = fd >= 0 ? calloc(1, sizeof(*c)) : NULL;

	if (c == NULL)
		return;
	c->fd = fd;
	peer->accepted++;
	peer->conn[peer->conns++] = c;
}

static void
peer_loop(int listener)
{
	static Peer peer;
	static struct pollfd pfd[PEER_MAX_CONNS + 1];
	int			i;

	for (;;)
	{
		pfd[0].fd = listener;
		pfd[0].events = peer.conns < PEER_MAX_CONNS ? POLLIN : 0;
		for (i = 0; i < peer.conns; i++)
		{
			pfd[i + 1].fd = peer.conn[i]->fd;
			pfd[i + 1].events = peer.conn[i]->endless ? POLLIN | POLLOUT : POLLIN;
		}
		if (poll(pfd, (nfds_t) peer.conns + 1, -1) < 0)
			continue;
		/* from the end: peer_drop() puts the last one into the gap */
		for (i = peer.conns - 1; i >= 0; i--)
		{
			bool		keep = true;

			if (pfd[i + 1].revents & (POLLIN | POLLHUP | POLLERR))
				keep = peer_read(&peer, peer.conn[i]);
			else if (pfd[i + 1].revents & POLLOUT)
				keep = send(peer.conn[i]->fd, "4\r\nabcd\r\n", 9, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 ||
					errno == EAGAIN;
			if (!keep)
				peer_drop(&peer, i);
		}
		if (pfd[0].revents & POLLIN)
			peer_accept(&peer, listener);
	}
}

/* A listening socket on a free port of 127.0.0.1. */
static int
peer_listen(int *port)
{
	struct sockaddr_in addr;
	socklen_t	len = sizeof(addr);
	int			fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memset(&addr, 0, sizeof(addr));
	addr.sin_family = AF_INET;
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *) &addr, len) < 0 || listen(fd, 511) < 0 ||
		getsockname(fd, (struct sockaddr *) &addr, &len) < 0)
	{
		perror("listen");
		exit(2);
	}
	*port = ntohs(addr.sin_port);
	return fd;
}

static pid_t
peer_start(int *port)
{
	int			listener = peer_listen(port);
	pid_t		pid = fork();

	if (pid == 0)
	{
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		peer_loop(listener);
		_exit(0);
	}
	close(listener);
	return pid;
}

static void
peer_stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

#endif							/* REFUNDX_TEST_HTTP_CLIENT_PEER_H */
