/*-------------------------------------------------------------------------
 *
 * http_client.h
 *	  Many HTTP calls at once, from one thread, on one epoll descriptor.
 *
 * libcurl's multi interface behind four calls.  The client never waits: the
 * caller puts its descriptor into a WaitEventSet and calls http_client_run()
 * when it is readable or when the deadline has come.
 *
 * No Postgres function is ever called from libcurl's callbacks, and signals
 * are masked around libcurl, whose resolver is a thread that would otherwise
 * run Postgres' signal handlers.
 *
 * This header must not include postgres.h.
 *
 * src/net/http_client.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_HTTP_CLIENT_H
#define REFUNDX_HTTP_CLIENT_H

#include "base/http_message.h"

struct sockaddr;
typedef struct HttpClient HttpClient;

typedef struct HttpClientOptions
{
	int			max_connections;	/* in all; 0 = 256 */
	int			max_per_host;		/* 0 = 64 */
	const char *ca_file;			/* NULL = the system's */
	const char *user_agent;			/* used unless the request brings one */

	/*
	 * https only, unless the host is a loopback literal (127.0.0.0/8, ::1,
	 * localhost): the sandbox.  No redirects, no proxy from the environment.
	 */
	bool		allow_plain_loopback;

	/*
	 * Asked of each address before a socket is opened for it, whatever its name
	 * is; NULL = any.  Called where no Postgres function may be.
	 */
	bool		(*address_allowed) (const struct sockaddr *addr);

	/* Accounting of descriptors (AcquireExternalFD); may be NULL. */
	bool		(*acquire_fd) (void);
	void		(*release_fd) (void);
} HttpClientOptions;

/* NULL when libcurl or epoll cannot be had; err gets plain words. */
extern HttpClient *http_client_create(const HttpClientOptions *options, char *err, size_t errsize);
extern void http_client_destroy(HttpClient *client);	/* does not wait for the resolver */

/*
 * Start a call.  Takes what it needs of the request; the caller may free it
 * on return.  False (nothing was sent, err says why) if it cannot be started.
 * `ticket` comes back with the answer.
 */
extern bool http_client_send(HttpClient *client, const HttpRequest *request, void *ticket,
							 char *err, size_t errsize);

extern int	http_client_fd(HttpClient *client);		/* epoll; readable = run */
extern int64_t http_client_timeout_ms(HttpClient *client);	/* until run is due; -1 = none */
extern void http_client_run(HttpClient *client);	/* never blocks */

/* The next finished call; false if there is none.  Caller frees the answer. */
extern bool http_client_next(HttpClient *client, void **ticket, HttpAnswer *answer);
extern int	http_client_active(const HttpClient *client);

#endif							/* REFUNDX_HTTP_CLIENT_H */
