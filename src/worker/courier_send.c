/*-------------------------------------------------------------------------
 *
 * courier_send.c
 *	  The courier's way out: claim, build, send, take the answer.
 *
 * What is read at the claim lives until the request has been built, and the
 * telephone number is overwritten then.
 *
 * src/worker/courier_send.c
 *
 *-------------------------------------------------------------------------
 */
#include "worker/courier.h"

#include "base/clock.h"
#include "channel/channel.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

static int	take_due(Column *ids);
static void read_claimed(Courier *c, uint64 n);
static void mark_sending(const Courier *c);
static bool start_delivery(Courier *c, Claimed *claimed, Delivery *d);
static bool build_request(const Claimed *claimed, HttpRequest *request, ChannelError *err);
static void not_sent(Delivery *d, NoticeOutcome outcome, const char *code, const char *message);
static void hide_number(char *text, const char *phone);
static void ended(Courier *c, Delivery *d);

/*
 * Only where it was armed, and not between a promotion and the moment when
 * the dispatcher has decided about what was pending at it.
 */
bool
courier_may_send(void)
{
	static Statement ask = {
		"SELECT refundx.armed() AND EXISTS"
		" (SELECT FROM refundx.installation WHERE timeline = $1)", ARGS(INT4OID)
	};
	Values		v = {0};

	values_int4(&v, (int) compat_current_timeline());
	statement_run(&ask, &v);
	return row_bool(0, 1);
}

/*
 * Nobody else sends, but others change: an operator, arm().  So the state is
 * looked at under the row's lock; a row that is locked is left for the next
 * rescan.  Money's tables are only read.
 */
void
courier_claim(void *arg)
{
	static Statement read = {
		"SELECT n.notice_id, n.provider, n.tries, n.transition,"
		"       coalesce(c.phone, d.phone), coalesce(c.language, d.language),"
		"       (SELECT t.template::text FROM refundx.notice_template t"
		"         WHERE t.about = i.kind AND t.transition = n.transition AND t.provider = n.provider"
		"           AND t.language IN (coalesce(c.language, d.language), '*')"
		"         ORDER BY t.language = '*' LIMIT 1),"
		"       i.instruction_no, coalesce(i.payer_amount, i.amount), i.currency, i.reason,"
		"       i.received_by, to_char(i.state_since, 'YYYY-MM-DD'), p.payment_id, p.payment_no,"
		"       m.merchant_no, i.detail"
		"  FROM refundx.notice n"
		"  JOIN refundx.instruction i ON i.instruction_id = n.instruction_id"
		"  LEFT JOIN refundx.payment p ON p.payment_id = i.payment_id"
		"  LEFT JOIN refundx.payment_contact c ON c.payment_id = i.payment_id"
		"  LEFT JOIN refundx.payout_contact d ON d.instruction_id = i.instruction_id"
		"  LEFT JOIN refundx.merchant m ON m.merchant_id = i.merchant_id"
		" WHERE n.notice_id = ANY ($1) AND n.state = 'queued'"
		" ORDER BY n.notice_id FOR NO KEY UPDATE OF n SKIP LOCKED",
		ARGS(INT8ARRAYOID)
	};
	Courier    *c = arg;
	Column		ids;
	Values		v = {0};

	c->nclaimed = 0;
	c->may_send = courier_may_send();
	if (!c->may_send)
		return;
	column_init(&ids, INT8OID);
	if (take_due(&ids) == 0)
		return;
	values_column(&v, &ids);
	read_claimed(c, statement_run(&read, &v));
	if (c->nclaimed > 0)
		mark_sending(c);
}

/* Off the queues: if the claim fails, these are read again from the table. */
static int
take_due(Column *ids)
{
	TimestampTz now = clock_now();
	int			i;
	int			k;

	for (i = 0; i < senders_count(); i++)
	{
		Sender	   *s = sender_at(i);
		int			room = sender_room(s, now);

		for (k = 0; k < room; k++)
			column_int8(ids, s->queue[k].notice_id);
		s->nqueued -= room;
		memmove(s->queue, s->queue + room, s->nqueued * sizeof(Waiting));
	}
	return ids->n;
}

static void
read_claimed(Courier *c, uint64 n)
{
	MemoryContext old = MemoryContextSwitchTo(c->self->round);
	uint64		row;

	c->claimed = palloc0(Max(n, 1) * sizeof(Claimed));
	for (row = 0; row < n; row++)
	{
		Claimed    *k = &c->claimed[c->nclaimed];
		char	   *provider = row_text(row, 2);

		k->delivery.sender = provider ? sender_by_name(provider) : NULL;
		if (k->delivery.sender == NULL)
			continue;
		k->delivery.notice_id = row_int8(row, 1);
		k->delivery.tries = row_int4(row, 3) + 1;
		k->event = row_text(row, 4);
		k->phone = row_text(row, 5);
		k->language = row_text(row, 6);
		k->template_json = row_text(row, 7);
		k->refund_no = row_text(row, 8);
		k->amount = row_int8(row, 9);
		k->currency = row_text(row, 10);
		k->reason = row_text(row, 11);
		k->received_by = row_text(row, 12);
		k->date = row_text(row, 13);
		k->delivery.payment_id = row_int8(row, 14);
		k->payment_no = row_text(row, 15);
		k->merchant = row_text(row, 16);
		k->detail = row_text(row, 17);
		c->nclaimed++;
	}
	MemoryContextSwitchTo(old);
}

static void
mark_sending(const Courier *c)
{
	static Statement mark = {
		"UPDATE refundx.notice n"
		"   SET state = 'sending', tries = n.tries + 1, phone_masked = u.masked"
		"  FROM unnest($1, $2) u(notice_id, masked)"
		" WHERE n.notice_id = u.notice_id", ARGS(INT8ARRAYOID, TEXTARRAYOID)
	};
	Column		ids,
				masks;
	Values		v = {0};
	int			i;

	column_init(&ids, INT8OID);
	column_init(&masks, TEXTOID);
	for (i = 0; i < c->nclaimed; i++)
	{
		const char *phone = c->claimed[i].phone;
		char		masked[64] = "";

		if (phone != NULL)
			notice_mask_phone(phone, masked, sizeof(masked));
		column_int8(&ids, c->claimed[i].delivery.notice_id);
		column_words(&masks, masked);
	}
	values_column(&v, &ids);
	values_column(&v, &masks);
	statement_run(&mark, &v);
}

/* ------------------------------------------------------------------------
 * Sending
 * ------------------------------------------------------------------------
 */

/* Everything claimed is either on its way afterwards, or has ended. */
void
courier_send(Courier *c)
{
	int			i;

	for (i = 0; i < c->nclaimed; i++)
	{
		Claimed    *claimed = &c->claimed[i];
		Delivery   *d = MemoryContextAlloc(c->memory, sizeof(Delivery));

		*d = claimed->delivery;
		if (start_delivery(c, claimed, d))
			d->sender->in_flight++;
		else
			ended(c, d);
		if (claimed->phone != NULL)
			explicit_bzero(claimed->phone, strlen(claimed->phone));
	}
	c->nclaimed = 0;
}

static bool
start_delivery(Courier *c, Claimed *claimed, Delivery *d)
{
	HttpRequest request;
	ChannelError err = {{0}};
	char		words[160] = "";
	bool		sent = false;

	http_request_init(&request);
	if (claimed->phone == NULL)
		not_sent(d, NOTICE_FINAL_NUMBER, "no_contact", "no telephone number is known, or it has been erased");
	else if (claimed->template_json == NULL)
		not_sent(d, NOTICE_FINAL_NUMBER, "no_template", "there is no text for this event and language");
	else if (!build_request(claimed, &request, &err))
	{
		hide_number(err.message, claimed->phone);
		not_sent(d, NOTICE_FINAL_NUMBER, "not_built", err.message);
	}
	else
	{
		sent = http_client_send(c->client, &request, d, words, sizeof(words));
		hide_number(words, claimed->phone);
		if (!sent)
			not_sent(d, NOTICE_RETRY_SAFE, "not_started", words);
	}
	http_request_free(&request);
	return sent;
}

static bool
build_request(const Claimed *claimed, HttpRequest *request, ChannelError *err)
{
	const Sender *s = claimed->delivery.sender;
	char		amount[64];
	char		notice_id[32];
	char		nonce[33];
	unsigned char random[16];
	int			i;
	const NoticeParam params[] = {
		{"refund_no", claimed->refund_no},
		{"withdrawal_no", claimed->refund_no},
		{"payment_no", claimed->payment_no ? claimed->payment_no : ""},
		{"amount", amount},
		{"currency", claimed->currency},
		{"event", claimed->event},
		{"merchant", claimed->merchant ? claimed->merchant : ""},
		{"reason", claimed->reason ? claimed->reason : ""},
		{"received_by", claimed->received_by ? claimed->received_by : ""},
		{"failure", channel_failure_words(claimed->detail, claimed->language)},
		{"date", claimed->date},
	};
	NoticeMessage message = {
		.phone = claimed->phone,
		.notice_id = notice_id,
		.template_json = claimed->template_json,
		.language = claimed->language,
		.params = params,
		.param_count = lengthof(params),
	};
	ChannelMoment moment = {.now = clock_wall(), .nonce = nonce};

	notice_format_amount(claimed->amount, claimed->currency, amount, sizeof(amount));
	snprintf(notice_id, sizeof(notice_id), INT64_FORMAT, claimed->delivery.notice_id);
	if (!pg_strong_random(random, sizeof(random)))
	{
		snprintf(err->message, sizeof(err->message), "no random numbers");
		return false;
	}
	for (i = 0; i < (int) sizeof(random); i++)
		snprintf(nonce + 2 * i, 3, "%02x", random[i]);
	return s->config != NULL && s->provider->build(s->config, &message, &moment, request, err);
}

/* It came to nothing before a byte was sent. */
static void
not_sent(Delivery *d, NoticeOutcome outcome, const char *code, const char *message)
{
	memset(&d->result, 0, sizeof(d->result));
	d->result.outcome = outcome;
	strlcpy(d->result.code, code, sizeof(d->result.code));
	strlcpy(d->result.message, message, sizeof(d->result.message));
}

/* Whatever quotes what it was given must not quote that. */
static void
hide_number(char *text, const char *phone)
{
	size_t		len = strlen(phone);
	char	   *hit;

	while (len > 0 && (hit = strstr(text, phone)) != NULL)
		memset(hit, '*', len);
}

/* ------------------------------------------------------------------------
 * Answers
 * ------------------------------------------------------------------------
 */

void
courier_collect(Courier *c)
{
	HttpAnswer	answer;
	void	   *ticket;

	while (http_client_next(c->client, &ticket, &answer))
	{
		Delivery   *d = ticket;

		memset(&d->result, 0, sizeof(d->result));
		d->sender->in_flight--;
		d->sender->provider->classify(d->sender->config, &answer, &d->result);
		http_answer_free(&answer);
		ended(c, d);
	}
}

static void
ended(Courier *c, Delivery *d)
{
	d->next = c->ended;
	c->ended = d;
}
