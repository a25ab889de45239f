/*-------------------------------------------------------------------------
 *
 * dispatch_call.c
 *	  Sending what has been claimed, and keeping what was answered.
 *
 * Nothing here decides about money.  An answer becomes evidence, with the
 * verdict that the channel's own file reads in it; a call that could not be
 * made, or got no answer, becomes evidence too, so that every attempt ends.
 *
 * src/worker/dispatch_call.c
 *
 *-------------------------------------------------------------------------
 */
#include "worker/dispatch_bill.h"

#include "base/clock.h"
#include "crypto/crypto.h"
#include "money/evidence.h"
#include "utils/timestamp.h"

/* After so many connections in a row that failed, the other host is tried. */
#define CONNECT_FAILURES_TO_SWITCH	3
#define BACK_TO_PRIMARY_US			(60 * USECS_PER_SEC)

#define MAX_HOSTS	256

/* Of a query: at a hundred refunds a page, more than any payment has. */
#define PAGES_MAX	100

static HostChoice hosts[MAX_HOSTS];
static int	nhosts = 0;

static void send_page(Dispatcher *d, Call *call);
static bool next_page(Dispatcher *d, Call *call);
static void end_unsent(Dispatcher *d, Call *call, Verdict verdict, const char *why);
static void host_result(int32 channel_id, HttpOutcome outcome, TimestampTz now);

/* NULL: its keys cannot be read, or the channel no longer does such things. */
static const ChannelProduct *
product_of(const Call *call, const OpenChannel *channel)
{
	return channel != NULL && channel->config != NULL ?
		channel_product(channel->channel, call->product) : NULL;
}

static void
instruction_of(const Call *call, ChannelInstruction *instr)
{
	memset(instr, 0, sizeof(*instr));
	instr->wire_no = call->wire_no;
	instr->amount = call->amount;
	instr->currency = call->currency;
	instr->payment_no = call->payment_no;
	instr->channel_payment_id = call->channel_payment_id;
	instr->payment_amount = call->payment_amount;
	instr->payment_data = call->payment_data;
	instr->transfer_data = call->transfer_data;
	instr->notify_url = call->notify_url;
	instr->channel_refund_id = call->channel_refund_id;
	instr->generation = call->generation;
	instr->cursor = call->cursor[0] != '\0' ? call->cursor : NULL;
}

/* Takes the call over; its attempt is committed. */
void
dispatch_send(Dispatcher *d, Call *call)
{
	d->in_flight++;
	send_page(d, call);
}

/* One request of the call: all of it, or a query's next page. */
static void
send_page(Dispatcher *d, Call *call)
{
	OpenChannel *channel = keys_by_id(call->channel_id);
	const ChannelProduct *product = product_of(call, channel);
	ChannelInstruction instr;
	ChannelMoment moment;
	ChannelError err = {{0}};
	HttpRequest request;
	char		nonce[33];
	char		why[256] = "";
	bool		sent;

	if (product == NULL)
	{
		end_unsent(d, call, VERDICT_CONFIG, "the channel's keys cannot be read");
		return;
	}
	if (!random_nonce(nonce))
	{
		end_unsent(d, call, VERDICT_NOT_EXECUTED, "no random numbers");
		return;
	}
	instruction_of(call, &instr);
	moment.now = clock_wall();
	moment.nonce = nonce;
	moment.use_backup = call->use_backup;
	http_request_init(&request);
	if (!product->build(channel->config, call->call, &instr, &call->frozen, &moment,
						&request, &err))
	{
		http_request_free(&request);
		end_unsent(d, call, VERDICT_CONFIG, err.message);
		return;
	}
	request.connect_timeout_ms = product->limits.connect_timeout_ms;
	request.total_timeout_ms = Max(product->limits.call_timeout_ms / channel->timing[call->product].scale, 500);
	sent = http_client_send(d->client, &request, call, why, sizeof(why));
	http_request_free(&request);
	if (!sent)
		end_unsent(d, call, VERDICT_NOT_EXECUTED, why);
}

/* The attempt is on record, but nothing of it left this process. */
static void
end_unsent(Dispatcher *d, Call *call, Verdict verdict, const char *why)
{
	call->evidence.verdict = verdict;
	call->evidence.proof = false;
	strlcpy(call->evidence.message, why, sizeof(call->evidence.message));
	strlcpy(call->evidence.code, "NOT_SENT", sizeof(call->evidence.code));
	call->ended_at = clock_now();
	call_list_add(&d->ended, call);
}

/*
 * What was asked about may stand on a later page of the answer.  All pages are
 * one attempt: if this process dies in between, the whole query is made again.
 * Each page is a call to the channel's pace.
 */
static bool
next_page(Dispatcher *d, Call *call)
{
	Due		   *due = schedule_find(call->instruction_id);

	if (!call->evidence.more)
		return false;
	if (call->call != CALL_QUERY || call->evidence.cursor[0] == '\0' ||
		strcmp(call->cursor, call->evidence.cursor) == 0 || ++call->pages > PAGES_MAX)
	{
		int			http_status = call->evidence.http_status;

		/* what was not read to the end says nothing; but the host answered: no silence */
		memset(&call->evidence, 0, sizeof(call->evidence));
		call->evidence.http_status = http_status;
		strlcpy(call->evidence.code, "TOO_MANY_PAGES", sizeof(call->evidence.code));
		strlcpy(call->evidence.message, "the channel's list of refunds does not come to an end",
				sizeof(call->evidence.message));
		return false;
	}
	strlcpy(call->cursor, call->evidence.cursor, sizeof(call->cursor));
	memset(&call->evidence, 0, sizeof(call->evidence));
	if (due != NULL)
		schedule_call_goes_on(due, call->ended_at);
	send_page(d, call);
	return true;
}

/*
 * What a channel answers about a transfer may say whom it pays (WeChat's queries
 * name the openid).  It is kept for evidence all the same, under the withdrawal's
 * own key, and so it is erased with that; without the key it is not kept.
 */
static void
seal_answer(Call *c)
{
	Buf			sealed = BUF_INIT;

	if (c->product != PRODUCT_TRANSFER || c->body.len == 0)
		return;
	if (!c->has_data_key ||
		!payee_bytes_seal(c->data_key, "answer", c->wire_no, c->body.data, c->body.len, &sealed))
		buf_free(&sealed);
	buf_wipe(&c->body);
	c->body = sealed;
}

void
dispatch_collect(Dispatcher *d)
{
	HttpAnswer	answer;
	void	   *ticket;

	while (http_client_next(d->client, &ticket, &answer))
	{
		Call	   *call = ticket;
		OpenChannel *channel;
		const ChannelProduct *product;
		ChannelInstruction instr;

		if (bills_answered(d, ticket, &answer))
		{
			http_answer_free(&answer);
			continue;
		}
		channel = keys_by_id(call->channel_id);
		product = product_of(call, channel);
		call->ended_at = clock_now();
		d->sent++;
		host_result(call->channel_id, answer.outcome, GetCurrentTimestamp());
		if (product == NULL)
		{
			/* its keys went away meanwhile: what cannot be verified is unknown */
			call->evidence.verdict = VERDICT_UNKNOWN;
			strlcpy(call->evidence.message, "the channel's keys cannot be read", sizeof(call->evidence.message));
		}
		else
		{
			instruction_of(call, &instr);
			product->read_answer(channel->config, call->call, &instr, &answer,
								 clock_wall(), &call->evidence);
			if (next_page(d, call))
			{
				http_answer_free(&answer);
				continue;
			}
		}
		call->body = answer.body;
		buf_init(&answer.body);
		http_answer_free(&answer);
		seal_answer(call);
		call_list_add(&d->ended, call);
	}
}

/* worker_transaction: the ended calls as evidence, in one commit. */
void
dispatch_keep(void *arg)
{
	Dispatcher *d = arg;
	EvidenceRow *rows = palloc0(d->ended.n * sizeof(EvidenceRow));
	Call	   *c;
	int			n = 0;

	for (c = d->ended.first; c; c = c->next)
	{
		EvidenceRow *r = &rows[n++];

		r->channel_id = c->channel_id;
		r->merchant_id = c->merchant_id;
		r->source = c->call == CALL_SUBMIT ? "answer" : channel_call_name(c->call);
		c->evidence.product = c->product;
		evidence_answer_digest(&c->evidence, c->attempt_id);
		r->what = &c->evidence;
		/* our own number: an answer belongs to its call, whatever it says */
		r->wire_no = c->wire_no;
		r->attempt_id = c->attempt_id;
		r->attempt_started_at = c->started_at;
		r->received_at = c->ended_at;
		r->body = c->body.len > 0 ? c->body.data : NULL;
		r->body_len = c->body.len;
	}
	evidence_insert_many(rows, n);
}

/* ------------------------------------------------------------------------
 * Which host: the primary, unless it cannot be reached
 * ------------------------------------------------------------------------
 */

static HostChoice *
host_choice(int32 channel_id)
{
	int			i;

	for (i = 0; i < nhosts; i++)
		if (hosts[i].channel_id == channel_id)
			return &hosts[i];
	if (nhosts == MAX_HOSTS)
		return NULL;
	memset(&hosts[nhosts], 0, sizeof(HostChoice));
	hosts[nhosts].channel_id = channel_id;
	return &hosts[nhosts++];
}

bool
dispatch_use_backup(int32 channel_id, TimestampTz now)
{
	HostChoice *h = host_choice(channel_id);

	if (h == NULL || !h->use_backup)
		return false;
	if (now >= h->back_at)
	{
		h->use_backup = false;
		h->connect_failures = CONNECT_FAILURES_TO_SWITCH - 1;	/* one more decides */
	}
	return h->use_backup;
}

static void
host_result(int32 channel_id, HttpOutcome outcome, TimestampTz now)
{
	HostChoice *h = host_choice(channel_id);

	if (h == NULL)
		return;
	if (outcome != HTTP_NOT_SENT)
	{
		h->connect_failures = 0;
		return;
	}
	if (++h->connect_failures < CONNECT_FAILURES_TO_SWITCH)
		return;
	h->connect_failures = 0;
	h->use_backup = !h->use_backup;
	h->back_at = now + BACK_TO_PRIMARY_US;
	ereport(LOG,
			(errmsg("refundx: channel %d cannot be reached; trying its %s host",
					channel_id, h->use_backup ? "backup" : "primary")));
}
