/*-------------------------------------------------------------------------
 *
 * echo.c
 *	  Asking a channel's echo endpoint, from an operator's session.
 *
 * The only place in which a backend itself talks to the network: nothing of
 * an echo moves money, and whoever sets up a channel wants the answer on the
 * screen.  The wait is interruptible, and bounded by the channel's own
 * time-out.  The caller's transaction stays open meanwhile, which is one
 * reason why this happens on request only.
 *
 * src/api/echo.c
 *
 *-------------------------------------------------------------------------
 */
#include "api/config.h"

#include "base/clock.h"
#include "base/settings.h"
#include "net/http_client.h"
#include "storage/fd.h"
#include "utils/timestamp.h"

#define SLICE_MS		1000	/* between two looks at interrupts */
#define GRACE_MS		2000	/* for the client to give up by itself */

/* All that must be given back, whatever happens. */
typedef struct EchoCall
{
	const Channel *channel;
	void	   *config;
	HttpClient *client;
	HttpRequest request;
	HttpAnswer	answer;
	bool		answered;
} EchoCall;

static bool echo_start(EchoCall *e, const ChannelSource *source, const ChannelFindings *findings);
static void echo_wait(EchoCall *e);
static void echo_report(EchoCall *e, const ChannelFindings *findings);
static void echo_end(EchoCall *e);
static void make_nonce(char nonce[33]);

static bool
acquire_fd(void)
{
	return AcquireExternalFD();
}

void
echo_call(const Channel *channel, const ChannelSource *source, const ChannelFindings *findings)
{
	EchoCall   *e = palloc0(sizeof(EchoCall));

	e->channel = channel;
	http_request_init(&e->request);
	http_answer_init(&e->answer);
	PG_TRY();
	{
		if (echo_start(e, source, findings))
		{
			echo_wait(e);
			echo_report(e, findings);
		}
	}
	PG_FINALLY();
	{
		echo_end(e);
	}
	PG_END_TRY();
}

static bool
echo_start(EchoCall *e, const ChannelSource *source, const ChannelFindings *findings)
{
	HttpClientOptions options = {0};
	ChannelMoment moment = {0};
	ChannelError err = {{0}};
	char		why[256] = "";
	char		nonce[33];

	e->config = e->channel->open(source, &err);
	if (e->config == NULL)
	{
		finding_add(findings, FINDING_ERROR, "echo", "not called: %s", err.message);
		return false;
	}
	make_nonce(nonce);
	moment.now = clock_wall();
	moment.nonce = nonce;
	if (!e->channel->refund->build(e->config, CALL_ECHO, NULL, NULL, &moment, &e->request, &err))
	{
		finding_add(findings, FINDING_ERROR, "echo", "not called: %s", err.message);
		return false;
	}
	options.max_connections = 1;
	options.ca_file = rx_ca_file && rx_ca_file[0] ? rx_ca_file : NULL;
	options.user_agent = "refundx";
	options.allow_plain_loopback = true;
	options.acquire_fd = acquire_fd;
	options.release_fd = ReleaseExternalFD;
	e->client = http_client_create(&options, why, sizeof(why));
	if (e->client == NULL || !http_client_send(e->client, &e->request, NULL, why, sizeof(why)))
	{
		finding_add(findings, FINDING_ERROR, "echo", "not called: %s", why);
		return false;
	}
	return true;
}

/* Until there is an answer; the deadline is for a client that never ends. */
static void
echo_wait(EchoCall *e)
{
	TimestampTz deadline = GetCurrentTimestamp() +
	((int64) e->request.total_timeout_ms + e->request.connect_timeout_ms + GRACE_MS) * 1000;

	while (GetCurrentTimestamp() < deadline)
	{
		int64		due = http_client_timeout_ms(e->client);
		void	   *ticket;

		(void) WaitLatchOrSocket(MyLatch,
								 WL_LATCH_SET | WL_SOCKET_READABLE | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
								 http_client_fd(e->client),
								 due >= 0 ? Min(due, SLICE_MS) : SLICE_MS,
								 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		http_client_run(e->client);
		if (http_client_next(e->client, &ticket, &e->answer))
		{
			e->answered = true;
			return;
		}
	}
}

static void
echo_report(EchoCall *e, const ChannelFindings *findings)
{
	ChannelEvidence said = {0};

	if (!e->answered)
	{
		finding_add(findings, FINDING_ERROR, "echo", "%s gave no answer in time", e->channel->label);
		return;
	}
	if (e->answer.outcome != HTTP_ANSWERED)
	{
		finding_add(findings, FINDING_ERROR, "echo", "%s", e->answer.error);
		return;
	}
	e->channel->refund->read_answer(e->config, CALL_ECHO, NULL, &e->answer, clock_wall(), &said);
	if (said.verdict == VERDICT_SUCCEEDED && said.authentic)
		finding_add(findings, FINDING_OK, "echo",
					"%s answered in %lld ms, and the answer is authentic",
					e->channel->label, (long long) (e->answer.total_us / 1000));
	else
		finding_add(findings, FINDING_ERROR, "echo", "HTTP %d %s%s%s", e->answer.status,
					said.code[0] ? said.code : verdict_name(said.verdict),
					said.message[0] ? ": " : "", said.message);
}

static void
echo_end(EchoCall *e)
{
	if (e->client != NULL)
		http_client_destroy(e->client);
	if (e->config != NULL)
		e->channel->close(e->config);
	http_request_free(&e->request);
	http_answer_free(&e->answer);
}

static void
make_nonce(char nonce[33])
{
	unsigned char bytes[16];
	int			i;

	if (!pg_strong_random(bytes, sizeof(bytes)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a nonce")));
	for (i = 0; i < 16; i++)
		snprintf(nonce + 2 * i, 3, "%02x", bytes[i]);
}
