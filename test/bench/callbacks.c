/*-------------------------------------------------------------------------
 *
 * callbacks.c
 *	  A flood of WeChat Pay callbacks, made beforehand and sent by one thread.
 *
 *	callbacks make KEY KEY_ID APIV3_KEY MCHID PATH FILE < refunds
 *	callbacks send PORT CONNECTIONS RATE FILE FIRST COUNT [LOG]
 *
 * "make" reads refunds (payment_no, transaction_id, refund_no, amount, total,
 * separated by tabs) and writes one complete HTTP request each: encrypted and
 * signed, so that sending costs next to nothing while the receiver is being
 * measured.  A signature is good for five minutes.
 *
 * "send" puts COUNT of them, from number FIRST on, through so many keep-alive
 * connections: as fast as they are answered, or RATE a second whether they
 * are answered or not (0 = the former).  It prints how many were answered with
 * 200, how many were not, and the seconds from the first to the last answer;
 * LOG gets one line each: number in the file, unix µs when it was sent, µs
 * until it was answered.
 *
 * test/bench/callbacks.c
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "crypto/crypto.h"

#define MAKERS			2
#define ANSWER_MAX		4096
#define GIVE_UP_AFTER_S	30		/* without any answer */

static void
die(const char *what)
{
	fprintf(stderr, "callbacks: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
	exit(1);
}

static int64_t
now_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* ------------------------------------------------------------------------
 * make
 * ------------------------------------------------------------------------
 */

typedef struct Maker
{
	pthread_t	thread;
	char	  **lines;
	Buf		   *out;			/* shared; one per line */
	int			from,
				count;
} Maker;

static CryptoKey *sign_key;
static unsigned char apiv3_key[32];
static const char *key_id;
static const char *mchid;
static const char *url_path;

static void
make_body(char *line, int n, const char *when, Buf *body)
{
	char	   *save = NULL;
	char	   *payment = strtok_r(line, "\t", &save);
	char	   *transaction = strtok_r(NULL, "\t", &save);
	char	   *refund = strtok_r(NULL, "\t", &save);
	char	   *amount = strtok_r(NULL, "\t", &save);
	char	   *total = strtok_r(NULL, "\t\n", &save);
	char		nonce[33];
	Buf			plain = BUF_INIT,
				sealed = BUF_INIT;

	if (total == NULL || !random_nonce(nonce))
		die("a line without five fields");
	nonce[12] = '\0';
	buf_addf(&plain,
			 "{\"out_trade_no\":\"%s\",\"transaction_id\":\"%s\",\"out_refund_no\":\"%s\","
			 "\"refund_id\":\"50300%018d\",\"refund_status\":\"SUCCESS\","
			 "\"user_received_account\":\"招商银行信用卡0403\","
			 "\"amount\":{\"total\":%s,\"refund\":%s,\"payer_total\":%s,\"payer_refund\":%s},"
			 "\"mchid\":\"%s\",\"success_time\":\"%s\"}",
			 payment, transaction, refund, n, total, amount, total, amount, mchid, when);
	if (!aes256gcm_encrypt(apiv3_key, nonce, strlen(nonce), "refund", 6, plain.data, plain.len, &sealed))
		die("could not encrypt");
	buf_addf(body,
			 "{\"id\":\"%s-%d\",\"create_time\":\"%s\",\"event_type\":\"REFUND.SUCCESS\","
			 "\"resource_type\":\"encrypt-resource\",\"summary\":\"退款成功\","
			 "\"resource\":{\"original_type\":\"refund\",\"algorithm\":\"AEAD_AES_256_GCM\","
			 "\"associated_data\":\"refund\",\"nonce\":\"%s\",\"ciphertext\":\"",
			 refund, n, when, nonce);
	base64_encode(body, sealed.data, sealed.len);
	buf_adds(body, "\"}}");
	buf_free(&plain);
	buf_free(&sealed);
}

static void
make_request(char *line, int n, Buf *out)
{
	time_t		now = time(NULL);
	struct tm	tm;
	char		when[40];
	char		nonce[33];
	Buf			body = BUF_INIT,
				text = BUF_INIT,
				sig = BUF_INIT;

	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S+00:00", &tm);
	make_body(line, n, when, &body);
	if (!random_nonce(nonce))
		die("no random numbers");
	buf_addf(&text, "%lld\n%s\n%s\n", (long long) now, nonce, buf_str(&body));
	if (!rsa_sign_sha256(sign_key, text.data, text.len, &sig))
		die("could not sign");
	buf_addf(out, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
			 "Accept: */*\r\nUser-Agent: Mozilla/4.0\r\nWechatpay-Timestamp: %lld\r\n"
			 "Wechatpay-Nonce: %s\r\nWechatpay-Serial: %s\r\n"
			 "Wechatpay-Signature-Type: WECHATPAY2-SHA256-RSA2048\r\nWechatpay-Signature: ",
			 url_path, (long long) now, nonce, key_id);
	base64_encode(out, sig.data, sig.len);
	buf_addf(out, "\r\nContent-Length: %zu\r\n\r\n", body.len);
	buf_add(out, body.data, body.len);
	if (out->failed)
		die("out of memory");
	buf_free(&body);
	buf_free(&text);
	buf_free(&sig);
}

static void *
make_some(void *arg)
{
	Maker	   *m = arg;
	int			i;

	for (i = m->from; i < m->count; i += MAKERS)
		make_request(m->lines[i], i, &m->out[i]);
	return NULL;
}

static void
read_file(const char *name, Buf *out)
{
	char		chunk[4096];
	size_t		n;
	FILE	   *f = fopen(name, "r");

	if (f == NULL)
		die(name);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_add(out, chunk, n);
	fclose(f);
}

static int
command_make(char **argv)
{
	Maker		makers[MAKERS];
	char	  **lines = NULL;
	char	   *line = NULL;
	size_t		size = 0;
	int			count = 0,
				cap = 0,
				i;
	char		err[200];
	Buf			pem = BUF_INIT,
				key = BUF_INIT;
	Buf		   *out;
	FILE	   *f;

	read_file(argv[0], &pem);
	read_file(argv[2], &key);
	if ((sign_key = crypto_private_key(pem.data, pem.len, err, sizeof(err))) == NULL)
		die(err);
	if (key.len < sizeof(apiv3_key))
		die("the APIv3 key is too short");
	memcpy(apiv3_key, key.data, sizeof(apiv3_key));
	key_id = argv[1];
	mchid = argv[3];
	url_path = argv[4];
	while (getline(&line, &size, stdin) > 0)
	{
		if (count == cap)
			lines = realloc(lines, (cap = cap ? cap * 2 : 1024) * sizeof(char *));
		lines[count++] = strdup(line);
	}
	out = calloc(count + 1, sizeof(Buf));
	for (i = 0; i < MAKERS; i++)
	{
		makers[i] = (Maker) {.lines = lines,.out = out,.from = i,.count = count};
		if ((errno = pthread_create(&makers[i].thread, NULL, make_some, &makers[i])) != 0)
			die("no thread");
	}
	for (i = 0; i < MAKERS; i++)
		pthread_join(makers[i].thread, NULL);
	if ((f = fopen(argv[5], "w")) == NULL)
		die(argv[5]);
	for (i = 0; i < count; i++)
	{
		uint32_t	len = (uint32_t) out[i].len;

		fwrite(&len, sizeof(len), 1, f);
		fwrite(out[i].data, 1, len, f);
	}
	if (ferror(f) || fclose(f) != 0)
		die(argv[5]);
	return 0;
}

/* ------------------------------------------------------------------------
 * send
 * ------------------------------------------------------------------------
 */

typedef struct Request
{
	const char *data;
	uint32_t	len;
} Request;

typedef struct Connection
{
	int			fd;
	int			number;			/* of the request under way; -1 = idle */
	int64_t		at;				/* unix us */
	int			got;
	char		answer[ANSWER_MAX + 1];
} Connection;

static Request *requests;
static int	first,
			last;				/* which of them are to be sent */
static int	next_number;
static int	answered = 0,
			refused = 0;
static int	epoll_fd;
static int	port;
static FILE *log_file = NULL;

static void
load_requests(const char *name)
{
	int			fd = open(name, O_RDONLY);
	struct stat st;
	char	   *p,
			   *end;
	int			n = 0,
				cap = 0;

	if (fd < 0 || fstat(fd, &st) != 0)
		die(name);
	p = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (p == MAP_FAILED)
		die(name);
	for (end = p + st.st_size; p < end; p += requests[n++].len)
	{
		if (n == cap)
			requests = realloc(requests, (cap = cap ? cap * 2 : 1024) * sizeof(Request));
		memcpy(&requests[n].len, p, sizeof(uint32_t));
		p += sizeof(uint32_t);
		requests[n].data = p;
	}
	if (last > n)
		die("the file has fewer callbacks than that");
}

static void
connection_open(Connection *c)
{
	struct sockaddr_in to = {.sin_family = AF_INET,.sin_port = htons(port)};
	struct epoll_event event = {.events = EPOLLIN,.data.ptr = c};
	int			on = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *) &to, sizeof(to)) != 0)
		die("could not connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	c->number = -1;
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
}

/* A callback is some 1.5 kB, and the last one was answered: it fits. */
static void
connection_send(Connection *c, int number)
{
	const Request *r = &requests[number];

	c->number = number;
	c->got = 0;
	c->at = now_us(CLOCK_REALTIME);
	if (send(c->fd, r->data, r->len, MSG_NOSIGNAL) != (ssize_t) r->len)
		die("a request did not fit into the socket's buffer");
}

/* Is the answer complete?  Then its status, else 0. */
static int
answer_status(Connection *c)
{
	char	   *end,
			   *length;
	int			body = 0;

	c->answer[c->got] = '\0';
	if ((end = strstr(c->answer, "\r\n\r\n")) == NULL)
		return 0;
	if ((length = strcasestr(c->answer, "\r\nContent-Length:")) != NULL && length < end)
		body = atoi(length + strlen("\r\nContent-Length:"));
	if (end + 4 + body > c->answer + c->got)
		return 0;
	return atoi(c->answer + strlen("HTTP/1.1 "));
}

/* True if it is free for the next one. */
static bool
connection_read(Connection *c)
{
	ssize_t		n = recv(c->fd, c->answer + c->got, ANSWER_MAX - c->got, 0);
	int			status;

	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0 && c->number < 0)
	{
		/* it was idle for too long: receivers do that */
		close(c->fd);
		connection_open(c);
		return false;
	}
	if (n <= 0)
		die("the receiver closed a connection without an answer");
	c->got += (int) n;
	if (c->number < 0 || (status = answer_status(c)) == 0)
		return false;
	if (status == 200 || status == 204)
		answered++;
	else
		refused++;
	if (log_file)
		fprintf(log_file, "%d\t%lld\t%lld\n", c->number, (long long) c->at,
				(long long) (now_us(CLOCK_REALTIME) - c->at));
	c->number = -1;
	return true;
}

/* How many ms until the next one is to be sent; 0 = now, -1 = not by time. */
static int
pace(int64_t started, int rate)
{
	int64_t		due;

	if (rate == 0 || next_number >= last)
		return -1;
	due = started + (int64_t) (next_number - first) * 1000000 / rate;
	due -= now_us(CLOCK_MONOTONIC);
	return due <= 0 ? 0 : (int) (due / 1000) + 1;
}

static void
send_all(Connection *all, int connections, int rate)
{
	struct epoll_event events[256];
	int64_t		started = now_us(CLOCK_MONOTONIC);
	int64_t		seen = started;
	int			turn = 0;
	int			i,
				n,
				wait;

	for (i = 0; rate == 0 && i < connections && next_number < last; i++)
		connection_send(&all[i], next_number++);
	while (answered + refused < last - first)
	{
		for (i = 0; pace(started, rate) == 0 && i < connections; i++, turn++)
			if (all[turn % connections].number < 0)
				connection_send(&all[turn % connections], next_number++);
		wait = pace(started, rate);
		n = epoll_wait(epoll_fd, events, 256, wait == 0 ? 1 : wait < 0 ? 1000 : wait);
		for (i = 0; i < n; i++)
		{
			Connection *c = events[i].data.ptr;

			if (connection_read(c) && rate == 0 && next_number < last)
				connection_send(c, next_number++);
		}
		if (n > 0)
			seen = now_us(CLOCK_MONOTONIC);
		else if (now_us(CLOCK_MONOTONIC) - seen > GIVE_UP_AFTER_S * 1000000LL)
			die("no answer any more");
	}
	printf("%d\t%d\t%.6f\n", answered, refused, (now_us(CLOCK_MONOTONIC) - started) / 1e6);
}

static int
command_send(int argc, char **argv)
{
	int			connections = atoi(argv[1]);
	Connection *all = calloc(connections, sizeof(Connection));
	int			i;

	port = atoi(argv[0]);
	first = next_number = atoi(argv[4]);
	last = first + atoi(argv[5]);
	load_requests(argv[3]);
	if (argc > 6 && (log_file = fopen(argv[6], "w")) == NULL)
		die(argv[6]);
	epoll_fd = epoll_create1(0);
	for (i = 0; i < connections; i++)
		connection_open(&all[i]);
	send_all(all, connections, atoi(argv[2]));
	return log_file && fclose(log_file) != 0 ? 1 : 0;
}

int
main(int argc, char **argv)
{
	if (argc == 8 && strcmp(argv[1], "make") == 0)
		return command_make(argv + 2);
	if ((argc == 8 || argc == 9) && strcmp(argv[1], "send") == 0)
		return command_send(argc - 2, argv + 2);
	fprintf(stderr, "see the head of callbacks.c\n");
	return 2;
}
