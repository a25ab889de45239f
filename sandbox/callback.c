/*-------------------------------------------------------------------------
 *
 * callback.c
 *	  What becomes due: refunds and transfers that settle, callbacks that are
 *	  pushed.
 *
 * Heaps, on the sandbox's clock.  An entry is only a reminder: it counts
 * if its object is still due at that very time, so that nothing ever has to
 * be taken out of the middle of a heap.
 *
 * A callback is pushed until the receiver acknowledges it, on the schedule and
 * in the way that the channel wants.  Every push is built afresh, with its own
 * time stamp and nonce where the channel has them.
 *
 * sandbox/callback.c
 *
 *-------------------------------------------------------------------------
 */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "transfer.h"

#define CALLBACK_TIMEOUT_MS		5000L	/* the receiver's five seconds */
#define SIGNATURES_PER_TURN		16	/* so that a flood does not stall requests */
#define PUSHES_PER_TURN			64
#define READY_FOR_MS			240000	/* receivers take a signature for 300 s */
#define ACK_BYTES				256	/* of the receiver's answer */

typedef struct HeapEntry
{
	int64_t		due;
	void	   *item;
} HeapEntry;

typedef struct Heap
{
	HeapEntry  *e;
	size_t		count;
	size_t		cap;
} Heap;

static Heap refund_heap;
static Heap transfer_heap;
static Heap callback_heap;

typedef struct Push
{
	SbCallback *cb;
	HttpRequest *request;
	struct curl_slist *headers;
	char		answer[ACK_BYTES];	/* its body, if it is not longer */
	size_t		answer_len;		/* more than ACK_BYTES: it was */
} Push;

static CURLM *multi;
static int	epoll_fd = -1;
static int64_t curl_deadline = -1;	/* monotonic ms */
static int	active;
static size_t prepare_next;		/* the first callback not looked at */
static int64_t prepared;

static struct
{
	int64_t		pushes;
	int64_t		acknowledged;
	int64_t		refused;		/* answered with something else */
	int64_t		unanswered;
	int64_t		given_up;
	int64_t		signtest_accepted;	/* the receiver believed a wrong signature */
}			counts;

static void
heap_push(Heap *h, int64_t due, void *item)
{
	size_t		i;

	if (h->count == h->cap)
	{
		h->cap = h->cap ? h->cap * 2 : 64;
		h->e = must_realloc(h->e, h->cap * sizeof(HeapEntry));
	}
	for (i = h->count++; i > 0 && h->e[(i - 1) / 2].due > due; i = (i - 1) / 2)
		h->e[i] = h->e[(i - 1) / 2];
	h->e[i].due = due;
	h->e[i].item = item;
}

static void
heap_pop(Heap *h)
{
	HeapEntry	last = h->e[--h->count];
	size_t		i = 0,
				child;

	while ((child = 2 * i + 1) < h->count)
	{
		if (child + 1 < h->count && h->e[child + 1].due < h->e[child].due)
			child++;
		if (h->e[child].due >= last.due)
			break;
		h->e[i] = h->e[child];
		i = child;
	}
	h->e[i] = last;
}

void
callbacks_schedule(SbCallback *cb)
{
	heap_push(&callback_heap, cb->due, cb);
}

void
refunds_schedule(SbRefund *r)
{
	heap_push(&refund_heap, r->next_at, r);
}

void
transfers_schedule(SbTransfer *t)
{
	heap_push(&transfer_heap, t->next_at, t);
}

/* Settle what is due.  Each settlement is a record; call before the commit. */
void
timers_run(void)
{
	int64_t		now = clock_now();

	while (refund_heap.count > 0 && refund_heap.e[0].due <= now)
	{
		HeapEntry	top = refund_heap.e[0];
		SbRefund   *r = top.item;

		heap_pop(&refund_heap);
		if (r->next_at == top.due && r->next_at > 0)
		{
			if (r->channel->refund_due != NULL)
				r->channel->refund_due(r);
			else
				refund_step(r);
		}
	}
	while (transfer_heap.count > 0 && transfer_heap.e[0].due <= now)
	{
		HeapEntry	top = transfer_heap.e[0];
		SbTransfer *t = top.item;

		heap_pop(&transfer_heap);
		if (t->next_at == top.due && t->next_at > 0)
			transfer_step(t);
	}
}

/* ---- pushing ---- */

static size_t
take_body(char *data, size_t size, size_t count, void *arg)
{
	Push	   *push = arg;
	size_t		len = size * count;

	if (push->answer_len <= ACK_BYTES && len <= ACK_BYTES - push->answer_len)
	{
		memcpy(push->answer + push->answer_len, data, len);
		push->answer_len += len;
	}
	else
		push->answer_len = ACK_BYTES + 1;
	return len;
}

static void
request_free(HttpRequest *request)
{
	if (request != NULL)
		http_request_free(request);
	free(request);
}

/* NULL if it cannot be signed. */
static HttpRequest *
build_request(SbCallback *cb)
{
	HttpRequest *request = must_alloc(sizeof(*request));

	http_request_init(request);
	if (cb->channel->build_callback(cb, request))
		return request;
	request_free(request);
	return NULL;
}

static void
push_free(Push *push)
{
	curl_slist_free_all(push->headers);
	request_free(push->request);
	free(push);
}

/*
 * One push has ended.  A probe with a wrong signature is not a delivery,
 * whatever the receiver said: the true one still has to come.
 */
static void
push_done(Push *push, CURLcode result, long status)
{
	SbCallback *cb = push->cb;
	bool		probe = cb->flavour == CALLBACK_SIGNTEST && cb->tries == 0;
	bool		ok = result == CURLE_OK &&
		cb->channel->acknowledged(status, push->answer,
								  push->answer_len > ACK_BYTES ? 0 : push->answer_len);
	int			again = cb->channel->retry_after(cb);
	bool		last = again == 0;
	SbRefund   *r = cb->refund;
	SbTransfer *t = cb->transfer;
	SbRequest  *waiting;
	int64_t		next;

	cb->in_flight = false;
	if (result != CURLE_OK)
		counts.unanswered++;
	else if (ok)
		counts.acknowledged++;
	else
		counts.refused++;
	if (probe && ok)
		counts.signtest_accepted++;
	if (probe)
		ok = false;
	if (!ok && last)
		counts.given_up++;
	log_line("callback %lld %s %s -> %ld%s%s", (long long) cb->id,
			 r ? r->no : t ? t->no : cb->kind, r ? refund_status_name(cb->says) : "", status,
			 result == CURLE_OK ? "" : " ", result == CURLE_OK ? "" : curl_easy_strerror(result));
	next = ok || last ? 0 : clock_now() + again * INT64_C(1000);
	record_try(cb, (int) status, next, ok || last);
	waiting = r ? r->waiting : t ? t->waiting : NULL;
	if (waiting != NULL)
		request_unhold(waiting);
}

static void
set_options(CURL *easy, Push *push)
{
	const HttpRequest *req = push->request;
	int			i;

	for (i = 0; i < req->headers.count; i++)
	{
		Buf			line = BUF_INIT;

		buf_addf(&line, "%s: %s", req->headers.item[i].name, req->headers.item[i].value);
		push->headers = curl_slist_append(push->headers, buf_str(&line));
		buf_free(&line);
	}
	push->headers = curl_slist_append(push->headers, "Expect:");
	curl_easy_setopt(easy, CURLOPT_URL, buf_str(&req->url));
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, push->headers);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, buf_str(&req->body));
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long) req->body.len);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, CALLBACK_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, push);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, push);
	if (sandbox.opt.callback_ca != NULL)
		curl_easy_setopt(easy, CURLOPT_CAINFO, sandbox.opt.callback_ca);
}

/* The request signed in advance, unless it has grown too old. */
static HttpRequest *
take_ready(SbCallback *cb)
{
	HttpRequest *request = cb->ready;

	if (request == NULL)
		return NULL;
	cb->ready = NULL;
	prepared--;
	if (wall_ms() - cb->ready_at < READY_FOR_MS)
		return request;
	request_free(request);
	return NULL;
}

static void
push_start(SbCallback *cb, HttpRequest *request)
{
	Push	   *push = must_alloc(sizeof(*push));
	CURL	   *easy = curl_easy_init();

	push->cb = cb;
	push->request = request;
	cb->in_flight = true;
	counts.pushes++;
	if (easy == NULL || request == NULL)
	{
		push_done(push, CURLE_FAILED_INIT, 0);
		curl_easy_cleanup(easy);
		push_free(push);
		return;
	}
	set_options(easy, push);
	curl_multi_add_handle(multi, easy);
	active++;
}

void
callbacks_send(void)
{
	int64_t		now = clock_now();
	int			signatures = 0,
				pushes = 0;

	while (callback_heap.count > 0 && callback_heap.e[0].due <= now &&
		   !sandbox.model.callbacks_paused && !sandbox.stopping &&
		   active < sandbox.opt.callback_connections &&
		   signatures < SIGNATURES_PER_TURN && pushes < PUSHES_PER_TURN)
	{
		HeapEntry	top = callback_heap.e[0];
		SbCallback *cb = top.item;
		HttpRequest *request;

		heap_pop(&callback_heap);
		if (cb->finished || cb->in_flight || cb->due != top.due)
			continue;
		request = take_ready(cb);
		if (request == NULL)
		{
			request = build_request(cb);
			signatures++;
		}
		push_start(cb, request);
		pushes++;
	}
}

/*
 * While callbacks are held back, sign them, a few in each turn: when they are
 * let go they leave as a flood, at a rate that signing would not allow.
 */
void
callbacks_prepare(void)
{
	int			signatures = 0;

	for (; sandbox.model.callbacks_paused && signatures < SIGNATURES_PER_TURN &&
		 prepare_next < sandbox.model.callback_count; prepare_next++)
	{
		SbCallback *cb = sandbox.model.callback_list[prepare_next];

		if (cb->finished || cb->in_flight || cb->ready != NULL)
			continue;
		cb->ready = build_request(cb);
		cb->ready_at = wall_ms();
		prepared += cb->ready != NULL;
		signatures++;
	}
}

/* What the channel signs with has changed: sign again. */
void
callbacks_sign_again(const SbMerchant *m)
{
	size_t		i;

	for (i = 0; i < sandbox.model.callback_count; i++)
	{
		SbCallback *cb = sandbox.model.callback_list[i];

		if (cb->merchant != m || cb->ready == NULL)
			continue;
		request_free(cb->ready);
		cb->ready = NULL;
		prepared--;
	}
	prepare_next = 0;
}

static void
collect_done(void)
{
	CURLMsg    *msg;
	int			left;

	while ((msg = curl_multi_info_read(multi, &left)) != NULL)
	{
		CURL	   *easy = msg->easy_handle;
		CURLcode	result = msg->data.result;
		Push	   *push = NULL;
		long		status = 0;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &push);
		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
		curl_multi_remove_handle(multi, easy);
		curl_easy_cleanup(easy);
		active--;
		push_done(push, result, status);
		push_free(push);
	}
}

/* ---- libcurl on our epoll descriptor ---- */

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct epoll_event ev = {0};

	(void) easy;
	(void) arg;
	if (what == CURL_POLL_REMOVE)
	{
		epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	if (what & CURL_POLL_IN)
		ev.events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		ev.events |= EPOLLOUT;
	ev.data.fd = fd;
	epoll_ctl(epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev);
	if (!known)
		curl_multi_assign(multi, fd, &epoll_fd);
	return 0;
}

static int
on_timer(CURLM *m, long ms, void *arg)
{
	(void) m;
	(void) arg;
	curl_deadline = ms < 0 ? -1 : mono_ms() + ms;
	return 0;
}

bool
callbacks_start(int fd, char *err, size_t errsize)
{
	epoll_fd = fd;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || (multi = curl_multi_init()) == NULL)
	{
		snprintf(err, errsize, "could not start libcurl");
		return false;
	}
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long) sandbox.opt.callback_connections);
	return true;
}

void
callbacks_socket_event(int fd, uint32_t events)
{
	int			mask = 0,
				running;

	if (events & (EPOLLIN | EPOLLHUP))
		mask |= CURL_CSELECT_IN;
	if (events & EPOLLOUT)
		mask |= CURL_CSELECT_OUT;
	if (events & EPOLLERR)
		mask |= CURL_CSELECT_ERR;
	curl_multi_socket_action(multi, fd, mask, &running);
	collect_done();
}

void
callbacks_timeout(void)
{
	int			running;

	if (curl_deadline < 0 || mono_ms() < curl_deadline)
		return;
	curl_deadline = -1;
	curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect_done();
}

/* best, or the ms until the heap's first is due if that is less; -1 = never */
static int64_t
sooner(int64_t best, const Heap *h)
{
	int64_t		ms = h->count > 0 ? clock_until(h->e[0].due) : -1;

	return best < 0 || (ms >= 0 && ms < best) ? ms : best;
}

/* ms until something of ours is due; -1 = nothing */
int64_t
callbacks_timeout_ms(void)
{
	int64_t		best = -1;

	if (sandbox.model.callbacks_paused && prepare_next < sandbox.model.callback_count)
		return 0;
	if (curl_deadline >= 0)
		best = curl_deadline > mono_ms() ? curl_deadline - mono_ms() : 0;
	best = sooner(best, &refund_heap);
	best = sooner(best, &transfer_heap);
	if (!sandbox.model.callbacks_paused && active < sandbox.opt.callback_connections)
		best = sooner(best, &callback_heap);
	return best;
}

/*
 * Pushes in flight are cut off.  Their callbacks are not finished in the
 * ledger, so they are pushed again after the next start.
 */
void
callbacks_stop(void)
{
	curl_multi_cleanup(multi);
	curl_global_cleanup();
}

json_t *
callbacks_report(void)
{
	size_t		i;
	json_int_t	pending = 0;

	for (i = 0; i < sandbox.model.callback_count; i++)
		if (!sandbox.model.callback_list[i]->finished)
			pending++;
	return json_pack("{sI sI sI si sI sI sI sI sI sI sb}",
					 "events", (json_int_t) sandbox.model.callback_count,
					 "pending", pending, "prepared", (json_int_t) prepared, "in_flight", active,
					 "pushes", (json_int_t) counts.pushes,
					 "acknowledged", (json_int_t) counts.acknowledged,
					 "refused", (json_int_t) counts.refused,
					 "unanswered", (json_int_t) counts.unanswered,
					 "given_up", (json_int_t) counts.given_up,
					 "signtest_accepted", (json_int_t) counts.signtest_accepted,
					 "paused", sandbox.model.callbacks_paused);
}
