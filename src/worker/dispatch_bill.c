/*-------------------------------------------------------------------------
 *
 * dispatch_bill.c
 *	  Fetching bills: asking the channel, downloading, keeping the file.
 *
 * The clerk says which are due (refundx.bill); the dispatcher is the only one that
 * calls channels, so it fetches them, a few at a time, within the merchant's pace.
 *
 *	due -> asked			committed before anything is sent
 *	asked -> fetched		the file is in refundx.bill_chunk; the clerk reads it
 *		  -> empty			the channel says that there was no business
 *		  -> due			it is being made, or nothing came of it: again later
 *		  -> with_person	the channel refuses, or nothing has come of it for a day
 *
 * A file goes from the socket into a temporary file, and from there in pieces into
 * the table: it is never in memory as a whole.  The URL of a download lives for
 * seconds and has a token in it; it is in this process' memory and nowhere else.
 *
 * Must survive: a crash at any point (what is `asked` and in nobody's hands is
 * asked for again; the half of a file has no name), a URL that has expired (asked
 * again), a channel that says "later" for days, somebody who loads the same bill
 * by hand meanwhile (his row is locked: passed over, never waited for).
 *
 * src/worker/dispatch_bill.c
 *
 *-------------------------------------------------------------------------
 */
#include "worker/dispatch_bill.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/settings.h"
#include "base/temp_file.h"
#include "base/testpoint.h"
#include "crypto/crypto.h"
#include "money/bill.h"
#include "money/incident.h"
#include "utils/timestamp.h"

#define LOOK_EVERY_US		USECS_PER_SEC
#define PAGES_MAX			10000
#define URLS_MAX			3		/* that expire, until it counts as a failure */
#define SOONEST_US			(60 * USECS_PER_SEC)	/* after a failure; then twice that */
#define LATEST_US			(3600 * USECS_PER_SEC)
#define PATIENCE_US			(24 * 3600 * USECS_PER_SEC) /* then it is a person's */

typedef enum BillOutcome
{
	OUTCOME_NONE,				/* a call is under way */
	OUTCOME_FILE,
	OUTCOME_EMPTY,
	OUTCOME_NOT_YET,
	OUTCOME_REFUSED,
	OUTCOME_FAILED
} BillOutcome;

/* One that is being fetched. */
typedef struct BillCall
{
	int64		bill_id;		/* 0 = free */
	int32		channel_id;
	int32		merchant_id;
	const ChannelBill *how;
	char		day[BILL_DAY_LEN + 1];
	bool		begun;			/* claimed, and asked for */
	bool		downloading;
	bool		paced;			/* counts as under way in the merchant's pace */
	BillOffer	offer;
	char		cursor[BILL_CURSOR_MAX + 1];
	int			pages;
	int			urls;			/* that had expired */
	int			fd;
	BillOutcome outcome;
	char		why[257];
	TimestampTz keep_at;		/* when its end is written; later after a failure of that */
} BillCall;

static BillCall calls[BILLS_AT_ONCE];
static TimestampTz looked_at = 0;
static bool more_due = false;	/* more was due than could be taken: one of a merchant at a time */

static void ask(Dispatcher *d, BillCall *c);

/* ------------------------------------------------------------------------
 * Sending
 * ------------------------------------------------------------------------
 */

static void
end(BillCall *c, BillOutcome outcome, const char *why)
{
	c->outcome = outcome;
	strlcpy(c->why, why, sizeof(c->why));
	c->keep_at = 0;
}

static void
send_request(Dispatcher *d, BillCall *c, HttpRequest *request)
{
	char		why[160];

	if (!http_client_send(d->client, request, c, why, sizeof(why)))
		end(c, OUTCOME_FAILED, why);
}

/* NULL, and the call has ended, if its channel's keys cannot be read. */
static OpenChannel *
channel_of(BillCall *c, ChannelMoment *moment, char nonce[33])
{
	OpenChannel *channel = keys_by_id(c->channel_id);

	if (channel == NULL || channel->config == NULL)
		end(c, OUTCOME_FAILED, "the channel's keys cannot be read");
	else if (!random_nonce(nonce))
		end(c, OUTCOME_FAILED, "no random numbers");
	else
	{
		moment->now = clock_wall();
		moment->nonce = nonce;
		moment->use_backup = dispatch_use_backup(c->channel_id, GetCurrentTimestamp());
		return channel;
	}
	return NULL;
}

static void
ask(Dispatcher *d, BillCall *c)
{
	ChannelMoment moment;
	ChannelError err = {{0}};
	HttpRequest request;
	char		nonce[33];
	OpenChannel *channel = channel_of(c, &moment, nonce);

	if (channel == NULL)
		return;
	c->downloading = false;
	http_request_init(&request);
	if (!c->how->ask(channel->config, c->day, c->cursor, &moment, &request, &err))
		end(c, OUTCOME_REFUSED, err.message);
	else
		send_request(d, c, &request);
	http_request_free(&request);
}

static void
download(Dispatcher *d, BillCall *c)
{
	ChannelMoment moment;
	ChannelError err = {{0}};
	HttpRequest request;
	char		nonce[33];
	OpenChannel *channel = channel_of(c, &moment, nonce);
	size_t		most = (size_t) rx_bill_max_download * 1024 * 1024;

	if (channel == NULL)
		return;
	c->downloading = true;
	http_request_init(&request);
	if (!c->how->download(channel->config, &c->offer, &moment, &request, &err))
		end(c, OUTCOME_REFUSED, err.message);
	else if (ftruncate(c->fd, 0) != 0 || lseek(c->fd, 0, SEEK_SET) != 0)
		end(c, OUTCOME_FAILED, "the temporary file cannot be emptied");
	else
	{
		request.sink_fd = c->fd;
		request.max_answer = most;
		send_request(d, c, &request);
	}
	http_request_free(&request);
}

/* ------------------------------------------------------------------------
 * Answers
 * ------------------------------------------------------------------------
 */

static void
take_page(Dispatcher *d, BillCall *c, const HttpAnswer *answer)
{
	Buf			page = BUF_INIT;
	struct stat st;
	bool		written = bill_add_page(answer, &page) &&
	write(c->fd, page.data, page.len) == (ssize_t) page.len && fstat(c->fd, &st) == 0;

	buf_free(&page);
	if (!written)
		end(c, OUTCOME_FAILED, "a page of it could not be written to a file (disk full?)");
	else if (st.st_size > (off_t) rx_bill_max_download * 1024 * 1024)
		end(c, OUTCOME_REFUSED, "it is larger than refundx.bill_max_download");
	else if (!c->offer.more)
		end(c, OUTCOME_FILE, "");
	else if (++c->pages >= PAGES_MAX || strcmp(c->cursor, c->offer.cursor) == 0)
		end(c, OUTCOME_FAILED, "its pages do not come to an end");
	else
	{
		strlcpy(c->cursor, c->offer.cursor, sizeof(c->cursor));
		ask(d, c);
	}
}

static void
take_offer(Dispatcher *d, BillCall *c, const HttpAnswer *answer)
{
	OpenChannel *channel = keys_by_id(c->channel_id);

	memset(&c->offer, 0, sizeof(c->offer));
	if (channel == NULL || channel->config == NULL)
	{
		end(c, OUTCOME_FAILED, "the channel's keys cannot be read");
		return;
	}
	c->how->read_offer(channel->config, answer, clock_wall(), &c->offer);
	switch (c->offer.answer)
	{
		case BILL_READY:
			download(d, c);
			break;
		case BILL_PAGE:
			take_page(d, c, answer);
			break;
		case BILL_EMPTY:
			end(c, c->pages > 0 ? OUTCOME_FILE : OUTCOME_EMPTY, c->offer.message);
			break;
		case BILL_NOT_YET:
			end(c, OUTCOME_NOT_YET, c->offer.message[0] ? c->offer.message : "it is being made");
			break;
		case BILL_REFUSED:
			end(c, OUTCOME_REFUSED, c->offer.message[0] ? c->offer.message : "the channel refuses it");
			break;
		case BILL_UNKNOWN:
			end(c, OUTCOME_FAILED, c->offer.message[0] ? c->offer.message :
				answer->error[0] ? answer->error : "the channel's answer says nothing");
			break;
	}
}

/* What is refused now, a new URL may bring: these live for seconds. */
static void
take_file(Dispatcher *d, BillCall *c, const HttpAnswer *answer)
{
	if (answer->outcome == HTTP_ANSWERED && answer->status == 200)
		end(c, OUTCOME_FILE, "");
	else if (answer->outcome != HTTP_ANSWERED)
		end(c, OUTCOME_FAILED, answer->error);
	else if (answer->status < 500 && ++c->urls < URLS_MAX)
		ask(d, c);
	else
	{
		snprintf(c->why, sizeof(c->why), "its download was answered with HTTP %d", answer->status);
		c->outcome = OUTCOME_FAILED;
		c->keep_at = 0;
	}
}

static bool
answered_with_error(const HttpAnswer *answer)
{
	return answer->outcome == HTTP_ANSWERED && answer->status >= 400;
}

bool
bills_answered(Dispatcher *d, void *ticket, const HttpAnswer *answer)
{
	BillCall   *c = ticket;

	if (c < calls || c >= calls + BILLS_AT_ONCE)
		return false;
	if (c->downloading)
		take_file(d, c, answer);
	else
		take_offer(d, c, answer);
	if (c->outcome == OUTCOME_NONE)
		schedule_other_goes_on(c->merchant_id, clock_now());
	else if (c->paced)
	{
		schedule_other_ended(c->merchant_id, answered_with_error(answer), clock_now());
		c->paced = false;
	}
	return true;
}

/* ------------------------------------------------------------------------
 * Claiming: in a worker_transaction
 * ------------------------------------------------------------------------
 */

static BillCall *
free_call(void)
{
	int			i;

	for (i = 0; i < BILLS_AT_ONCE; i++)
		if (calls[i].bill_id == 0)
			return &calls[i];
	return NULL;
}

/* One of a merchant at a time. */
static bool
is_busy(int32 merchant_id)
{
	int			i;

	for (i = 0; i < BILLS_AT_ONCE; i++)
		if (calls[i].bill_id != 0 && calls[i].merchant_id == merchant_id)
			return true;
	return false;
}

/* May it go now?  It counts from then on. */
static bool
prepare(uint64 row)
{
	OpenChannel *channel = keys_by_id(row_int4(row, 2));
	const ChannelBill *how;
	BillCall   *c = free_call();

	if (c == NULL || is_busy(row_int4(row, 3)) || channel == NULL || channel->config == NULL)
		return false;
	how = channel_bill(channel->channel->kind, row_text(row, 4));
	if (how == NULL || how->ask == NULL ||
		schedule_other_begins(row_int4(row, 3), &channel->channel->refund->limits, clock_now()) != 0)
		return false;
	memset(c, 0, sizeof(*c));
	c->bill_id = row_int8(row, 1);
	c->channel_id = row_int4(row, 2);
	c->merchant_id = row_int4(row, 3);
	c->how = how;
	c->paced = true;
	c->fd = -1;
	strlcpy(c->day, row_text(row, 5), sizeof(c->day));
	return true;
}

static void
bills_claim(void *arg)
{
	static Statement due = {
		"SELECT b.bill_id, b.channel_id, b.merchant_id, b.kind, to_char(b.day, 'YYYY-MM-DD')"
		"  FROM refundx.bill b"
		" WHERE b.state IN ('due', 'asked') AND b.due_at <= $1 AND b.bill_id <> ALL ($2)"
		"   AND NOT EXISTS (SELECT FROM refundx.merchant_paused p"
		"                    WHERE p.merchant_id = b.merchant_id AND p.paused = 'config')"
		" ORDER BY b.due_at, b.bill_id LIMIT 100", ARGS(TIMESTAMPTZOID, INT8ARRAYOID)
	};
	static Statement claim = {
		"UPDATE refundx.bill SET state = 'asked', tries = tries + 1"
		" WHERE bill_id = (SELECT bill_id FROM refundx.bill WHERE bill_id = $1 AND state IN ('due', 'asked')"
		"                   FOR UPDATE SKIP LOCKED)", ARGS(INT8OID)
	};
	Values		v = {0};
	Column		ours;
	uint64		n,
				row,
				taken = 0;
	int			i;

	column_init(&ours, INT8OID);
	for (i = 0; i < BILLS_AT_ONCE; i++)
		column_int8(&ours, calls[i].bill_id);
	values_time(&v, clock_now());
	values_column(&v, &ours);
	n = statement_run(&due, &v);
	for (row = 0; row < n && free_call() != NULL; row++)
		if (prepare(row))
			taken++;
	more_due = n > taken;

	for (i = 0; i < BILLS_AT_ONCE; i++)
	{
		BillCall   *c = &calls[i];

		if (c->bill_id == 0 || c->begun)
			continue;
		values_reset(&v);
		values_int8(&v, c->bill_id);
		if (statement_run(&claim, &v) == 1)
			c->fd = temp_file_open();
	}
}

/* Nothing of it was sent, or all of it has been kept. */
static void
forget(BillCall *c)
{
	if (c->paced)
		schedule_other_ended(c->merchant_id, false, clock_now());
	temp_file_close(c->fd);
	memset(c, 0, sizeof(*c));
}

static void
show_progress(Dispatcher *d)
{
	int			i;

	for (i = 0; i < BILLS_AT_ONCE; i++)
	{
		BillProgress *p = &d->self->db->fetching[i];
		struct stat st;

		if (calls[i].bill_id != 0 && calls[i].fd >= 0 && fstat(calls[i].fd, &st) == 0)
			pg_atomic_write_u64(&p->done, (uint64) st.st_size);
		if (pg_atomic_read_u64(&p->bill_id) != (uint64) calls[i].bill_id)
			pg_atomic_write_u64(&p->bill_id, (uint64) calls[i].bill_id);
	}
}

void
bills_start(Dispatcher *d, bool may_send)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		claimed;
	int			i;

	show_progress(d);
	if (!may_send || (now >= looked_at && now - looked_at < LOOK_EVERY_US) || free_call() == NULL)
		return;
	looked_at = now;
	claimed = worker_transaction(d->self, "refundx: bills that are due", bills_claim, d);
	for (i = 0; i < BILLS_AT_ONCE; i++)
	{
		BillCall   *c = &calls[i];

		/* what could not be committed is not sent */
		if (c->bill_id == 0 || c->begun)
			continue;
		if (!claimed || c->fd < 0)
			forget(c);
		else
		{
			c->begun = true;
			ask(d, c);
		}
	}
}

/* ------------------------------------------------------------------------
 * Keeping what came of it: in a worker_transaction
 * ------------------------------------------------------------------------
 */

static void
to_person(const BillCall *c, const char *reason)
{
	static Statement set = {
		"UPDATE refundx.bill SET state = 'with_person', due_at = NULL, error = $2, person_reason = $2,"
		"       person_since = $3, person_suggestion = $4 WHERE bill_id = $1",
		ARGS(INT8OID, TEXTOID, TIMESTAMPTZOID, TEXTOID)
	};
	OpenChannel *channel = keys_by_id(c->channel_id);
	const char *name = channel ? channel->name : "";
	Values		v = {0};
	Incident	incident = {
		.kind = "bill_not_had",
		.subject = psprintf("%s/%s/%s", name, c->how->kind, c->day),
		.reason = reason,
		.done = "it is with a person; nobody asks for it any more"
	};

	values_int8(&v, c->bill_id);
	values_text(&v, words_as_text(reason));
	values_time(&v, clock_now());
	values_text(&v, psprintf("Look into the channel's console. Then have it fetched again with refundx.bill_fetch('%s', '%s', '%s', 'reason'), or load the file by hand with refundx.bill_load().",
							 name, c->how->kind, c->day));
	statement_run(&set, &v);
	(void) incident_add(&incident);
}

static void
try_later(const BillCall *c, TimestampTz at, TimestampTz failing_since)
{
	static Statement set = {
		"UPDATE refundx.bill SET state = 'due', due_at = $2, failing_since = $3, error = $4 WHERE bill_id = $1",
		ARGS(INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID)
	};
	Values		v = {0};

	values_int8(&v, c->bill_id);
	values_time(&v, at);
	values_time(&v, failing_since);
	values_text(&v, words_as_text(c->why));
	statement_run(&set, &v);
}

static void
keep_failure(const BillCall *c, TimestampTz failing_since, int64 scale)
{
	TimestampTz now = clock_now();
	int64		since = failing_since != 0 ? now - failing_since : 0;

	if (since >= PATIENCE_US / scale)
		to_person(c, psprintf("nothing has come of asking for it for a day: %s", c->why));
	else
		/* as long again as it has been failing */
		try_later(c, now + Min(Max(since, SOONEST_US / scale), LATEST_US / scale),
				  failing_since != 0 ? failing_since : now);
}

/* Not a failure; but nobody waits for ever. */
static void
keep_not_yet(const BillCall *c, TimestampTz since, int64 scale)
{
	TimestampTz now = clock_now();

	if (since != 0 && now - since >= PATIENCE_US)
		to_person(c, psprintf("for a day the channel has been saying: %s", c->why));
	else
		try_later(c, now + (int64) c->how->retry_after * USECS_PER_SEC / scale, since != 0 ? since : now);
}

static void
keep_file(const BillCall *c)
{
	static Statement set = {
		"UPDATE refundx.bill SET state = 'fetched', due_at = NULL, failing_since = NULL, error = NULL,"
		"       announced_hash = nullif($2, ''), fetched_at = $3 WHERE bill_id = $1",
		ARGS(INT8OID, TEXTOID, TIMESTAMPTZOID)
	};
	BillInput	input = {.fd = c->fd};
	struct stat st;
	Values		v = {0};

	if (fstat(c->fd, &st) != 0)
		ereport(ERROR, (errcode_for_file_access(), errmsg("a temporary file cannot be read: %m")));
	input.size = st.st_size;
	bill_file_keep(c->bill_id, &input);
	values_int8(&v, c->bill_id);
	values_text(&v, c->offer.hash);
	values_time(&v, clock_now());
	statement_run(&set, &v);
	wake_at_commit(WORKER_CLERK);
}

static void
keep_empty(const BillCall *c)
{
	static Statement set = {
		"UPDATE refundx.bill SET state = 'empty', due_at = NULL, failing_since = NULL, error = NULL, fetched_at = $2"
		" WHERE bill_id = $1", ARGS(INT8OID, TIMESTAMPTZOID)
	};
	Values		v = {0};

	values_int8(&v, c->bill_id);
	values_time(&v, clock_now());
	statement_run(&set, &v);
	wake_at_commit(WORKER_CLERK);
}

typedef struct Keeping
{
	BillCall   *call;
	bool		done;
} Keeping;

static void
bill_keep(void *arg)
{
	static Statement find = {
		"SELECT state, failing_since FROM refundx.bill WHERE bill_id = $1 FOR UPDATE SKIP LOCKED", ARGS(INT8OID)
	};
	Keeping    *k = arg;
	BillCall   *c = k->call;
	OpenChannel *channel = keys_by_id(c->channel_id);
	int64		scale = channel ? Max(channel->timing[PRODUCT_REFUND].scale, 1) : 1;
	TimestampTz failing_since;
	Values		v = {0};

	k->done = false;
	values_int8(&v, c->bill_id);
	if (statement_run(&find, &v) != 1)
		return;					/* somebody has it: later */
	k->done = true;
	failing_since = row_time(0, 2);
	if (strcmp(row_text(0, 1), "asked") != 0)
		return;					/* somebody has loaded it by hand */
	switch (c->outcome)
	{
		case OUTCOME_FILE:
			keep_file(c);
			break;
		case OUTCOME_EMPTY:
			keep_empty(c);
			break;
		case OUTCOME_NOT_YET:
			keep_not_yet(c, failing_since, scale);
			break;
		case OUTCOME_REFUSED:
			to_person(c, c->why);
			break;
		case OUTCOME_FAILED:
			keep_failure(c, failing_since, scale);
			break;
		case OUTCOME_NONE:
			break;
	}
}

void
bills_keep(Dispatcher *d)
{
	TimestampTz now = GetCurrentTimestamp();
	int			i;

	for (i = 0; i < BILLS_AT_ONCE; i++)
	{
		Keeping		k = {.call = &calls[i]};

		if (calls[i].bill_id == 0 || calls[i].outcome == OUTCOME_NONE || calls[i].keep_at > now)
			continue;
		TESTPOINT("dispatcher-bill-came");
		if (worker_transaction(d->self, "refundx: keeping a bill", bill_keep, &k) && k.done)
		{
			forget(&calls[i]);
			/* a month to catch up on: the next at once, not in a second */
			if (more_due)
			{
				looked_at = 0;
				SetLatch(MyLatch);
			}
			TESTPOINT("dispatcher-bill-kept");
		}
		else
			calls[i].keep_at = now + USECS_PER_SEC;
	}
}
