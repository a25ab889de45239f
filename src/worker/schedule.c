/*-------------------------------------------------------------------------
 *
 * schedule.c
 *	  When each open instruction is due, and whether it may go now.
 *
 * Due times live here, in the dispatcher's memory, and not in an index: an
 * index on due times would make every update of an instruction leave a dead
 * entry at the very end that everybody reads.  The heap is rebuilt from the
 * open rows at start, so nothing is lost with the process.
 *
 * A pause, a limit or a breaker is not a state.  It is a reason why a due
 * row does not go, and it is decided here, by three paces:
 *
 *	merchant	calls a second; failing calls a second; a pause with probes
 *	payment		one refund at a time until the channel has answered or been
 *				asked about it, and a minute between two starts
 *	channel		(the caller's) connections
 *
 * Calls under way are also bounded by a window that opens with each success
 * and closes to a crack on a failure: a channel that has begun to refuse
 * everything must not be sent a hundred more before that is noticed, for it
 * punishes failing calls (six a second, at WeChat).
 *
 * src/worker/schedule.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/pg_compat.h"

#include "base/clock.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/schedule.h"

#define FIRST_WINDOW	5
#define LARGEST_WINDOW	4096

static HTAB *dues = NULL;
static HTAB *merchants = NULL;
static HTAB *payments = NULL;
static pairingheap *heap = NULL;

static int	due_compare(const pairingheap_node *a, const pairingheap_node *b, void *arg);
static MerchantPace *merchant_pace(int32 merchant_id);
static PaymentPace *payment_pace(int64 payment_id);
static TimestampTz merchant_allows(MerchantPace *m, const Due *d, const ChannelLimits *limits,
								   TimestampTz now);
static TimestampTz payment_allows(const Due *d, const ChannelLimits *limits, int64 scale,
								  TimestampTz now);
static bool state_undecided(State s);

static HTAB *
make_table(const char *name, Size keysize, Size entrysize)
{
	HASHCTL		ctl = {.keysize = keysize,.entrysize = entrysize,.hcxt = TopMemoryContext};

	return hash_create(name, 1024, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

void
schedule_init(void)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	dues = make_table("refundx due", sizeof(int64), sizeof(Due));
	merchants = make_table("refundx merchants", sizeof(int32), sizeof(MerchantPace));
	payments = make_table("refundx payments", sizeof(int64), sizeof(PaymentPace));
	heap = pairingheap_allocate(due_compare, NULL);
	MemoryContextSwitchTo(old);
}

void
schedule_clear(void)
{
	hash_destroy(dues);
	hash_destroy(merchants);
	hash_destroy(payments);
	pairingheap_free(heap);
	schedule_init();
}

/* a pairing heap has its greatest on top: the earliest is the greatest */
static int
due_compare(const pairingheap_node *a, const pairingheap_node *b, void *arg)
{
	const Due  *x = pairingheap_const_container(Due, node, a);
	const Due  *y = pairingheap_const_container(Due, node, b);

	if (x->due_at != y->due_at)
		return x->due_at < y->due_at ? 1 : -1;
	return x->instruction_id < y->instruction_id ? 1 : x->instruction_id > y->instruction_id ? -1 : 0;
}

static MerchantPace *
merchant_pace(int32 merchant_id)
{
	bool		found;
	MerchantPace *m = hash_search(merchants, &merchant_id, HASH_ENTER, &found);

	if (!found)
	{
		memset((char *) m + sizeof(int32), 0, sizeof(*m) - sizeof(int32));
		m->window = FIRST_WINDOW;
	}
	return m;
}

static PaymentPace *
payment_pace(int64 payment_id)
{
	bool		found;
	PaymentPace *p = hash_search(payments, &payment_id, HASH_ENTER, &found);

	if (!found)
	{
		p->last_start = 0;
		p->last_instruction = 0;
		p->undecided = 0;
	}
	return p;
}

/* Its create call has been neither answered nor asked about. */
static bool
state_undecided(State s)
{
	return s == STATE_SENDING || s == STATE_UNKNOWN;
}

static void
count_undecided(Due *d, State before, State after)
{
	if (d->payment_id != 0 && state_undecided(before) != state_undecided(after))
		payment_pace(d->payment_id)->undecided += state_undecided(after) ? 1 : -1;
}

void
schedule_set(int64 instruction_id, State state, bool is_open, ChannelCall call,
			 TimestampTz due_at, int32 merchant_id, int32 channel_id, int64 payment_id)
{
	bool		found;
	Due		   *d;

	/* a finished row may still be asked about, because of a hint */
	if (!is_open && due_at == 0)
	{
		d = hash_search(dues, &instruction_id, HASH_FIND, NULL);
		if (d == NULL)
			return;
		count_undecided(d, d->state, state);
		d->state = state;
		if (d->queued)
			pairingheap_remove(heap, &d->node);
		d->queued = false;
		if (!d->in_flight)
			hash_search(dues, &instruction_id, HASH_REMOVE, NULL);
		return;
	}

	d = hash_search(dues, &instruction_id, HASH_ENTER, &found);
	if (!found)
	{
		d->queued = d->in_flight = d->held = false;
		d->payment_id = payment_id;
		d->state = STATE_QUEUED;
	}
	count_undecided(d, d->state, state);
	d->state = state;
	d->call = call;
	d->merchant_id = merchant_id;
	d->channel_id = channel_id;
	if (d->queued)
		pairingheap_remove(heap, &d->node);
	d->queued = false;
	d->due_at = due_at;
	/* nothing is due while its call is under way: attempts never overlap */
	if (!d->in_flight && due_at != 0 && state != STATE_SENDING)
	{
		pairingheap_add(heap, &d->node);
		d->queued = true;
	}
}

void
schedule_merchant(int32 merchant_id, bool paused, TimestampTz probe_at)
{
	MerchantPace *m = merchant_pace(merchant_id);
	bool		sooner = m->paused && (!paused || probe_at < m->probe_at);
	HASH_SEQ_STATUS scan;
	Due		   *d;

	m->paused = paused;
	m->probe_at = probe_at;
	if (!paused)
		m->probing = false;
	if (!sooner)
		return;

	/* what was put off until the pause would end need not wait for that */
	hash_seq_init(&scan, dues);
	while ((d = hash_seq_search(&scan)) != NULL)
	{
		if (!d->held || d->merchant_id != merchant_id)
			continue;
		d->held = false;
		if (d->queued)
		{
			pairingheap_remove(heap, &d->node);
			d->queued = false;
			schedule_again(d, paused ? probe_at : clock_now());
		}
	}
}

void
schedule_payment_started(int64 payment_id, int64 instruction_id, TimestampTz at)
{
	PaymentPace *p;

	if (payment_id == 0)
		return;
	p = payment_pace(payment_id);
	p->last_start = at;
	p->last_instruction = instruction_id;
}

/* How many answers of the last second were failures. */
static int
recent_failures(const MerchantPace *m, TimestampTz now, TimestampTz *oldest)
{
	int			n = 0;
	int			i;

	*oldest = 0;
	for (i = 0; i < Min(m->nfailures, (int) lengthof(m->failures)); i++)
	{
		if (m->failures[i] > now - USECS_PER_SEC)
		{
			n++;
			if (*oldest == 0 || m->failures[i] < *oldest)
				*oldest = m->failures[i];
		}
	}
	return n;
}

/* 0 = it may go; otherwise when to look again. */
static TimestampTz
merchant_allows(MerchantPace *m, const Due *d, const ChannelLimits *limits, TimestampTz now)
{
	TimestampTz oldest;
	int			failures;
	int			risky = Max(limits->failing_per_second - 1, 1);

	if (m->paused && d->call == CALL_SUBMIT)
	{
		if (m->probing || now < m->probe_at)
			return Max(m->probe_at, now + USECS_PER_SEC);
	}
	if (m->in_flight >= m->window)
		return now + 20 * 1000;
	if (m->second + USECS_PER_SEC <= now)
	{
		m->second = now;
		m->calls = 0;
	}
	if (limits->calls_per_second > 0 && m->calls >= limits->calls_per_second)
		return m->second + USECS_PER_SEC;
	/* while it refuses some, whatever is under way may be refused as well */
	failures = limits->failing_per_second > 0 ? recent_failures(m, now, &oldest) : 0;
	if (failures >= risky)
		return oldest + USECS_PER_SEC;
	if (failures > 0 && failures + m->in_flight >= risky)
		return now + 20 * 1000;

	/* asking about an unknown number is likely to be answered with a 404 */
	if (limits->failing_per_second > 0 && d->state == STATE_UNKNOWN && m->in_flight >= risky)
		return now + 100 * 1000;
	return 0;
}

static TimestampTz
payment_allows(const Due *d, const ChannelLimits *limits, int64 scale, TimestampTz now)
{
	PaymentPace *p;
	TimestampTz next;

	if (d->payment_id == 0 || d->call != CALL_SUBMIT)
		return 0;
	p = hash_search(payments, &d->payment_id, HASH_FIND, NULL);
	if (p == NULL)
		return 0;
	if (p->undecided > 0)
		return now + 200 * 1000;
	next = p->last_start + limits->part_spacing * USECS_PER_SEC / scale;
	if (p->last_instruction != d->instruction_id && now < next)
		return next;
	return 0;
}

Due *
schedule_next(TimestampTz now, const ChannelLimits *(*limits_of) (int32 channel_id),
			  int64 scale_of(int32 channel_id))
{
	while (!pairingheap_is_empty(heap))
	{
		Due		   *d = pairingheap_container(Due, node, pairingheap_first(heap));
		const ChannelLimits *limits;
		TimestampTz later;

		if (d->due_at > now)
			return NULL;
		limits = limits_of(d->channel_id);
		if (limits == NULL)
			later = now + 5 * USECS_PER_SEC;	/* its keys cannot be read */
		else
		{
			later = merchant_allows(merchant_pace(d->merchant_id), d, limits, now);
			if (later == 0)
				later = payment_allows(d, limits, scale_of(d->channel_id), now);
		}
		pairingheap_remove_first(heap);
		d->queued = false;
		d->held = later != 0 && limits != NULL && d->call == CALL_SUBMIT &&
			merchant_pace(d->merchant_id)->paused;
		if (later == 0)
			return d;
		schedule_again(d, later);
	}
	return NULL;
}

Due *
schedule_find(int64 instruction_id)
{
	return hash_search(dues, &instruction_id, HASH_FIND, NULL);
}

void
schedule_again(Due *d, TimestampTz due_at)
{
	d->due_at = due_at;
	if (!d->queued)
		pairingheap_add(heap, &d->node);
	d->queued = true;
}

void
schedule_call_began(Due *d, TimestampTz now)
{
	MerchantPace *m = merchant_pace(d->merchant_id);

	d->in_flight = true;
	m->in_flight++;
	m->calls++;
	if (m->paused && d->call == CALL_SUBMIT)
		m->probing = true;
	if (d->call == CALL_SUBMIT)
	{
		count_undecided(d, d->state, STATE_SENDING);
		d->state_before = d->state;
		d->state = STATE_SENDING;
		schedule_payment_started(d->payment_id, d->instruction_id, now);
	}
}

void
schedule_call_ended(Due *d, int http_status, TimestampTz now)
{
	MerchantPace *m = merchant_pace(d->merchant_id);

	d->in_flight = false;
	m->in_flight--;
	if (d->call == CALL_SUBMIT)
		m->probing = false;

	/* "A minute apart" is the channel's to measure: count from the answer. */
	if (d->call == CALL_SUBMIT)
		schedule_payment_started(d->payment_id, d->instruction_id, now);
	if (http_status >= 400)
	{
		m->failures[m->nfailures++ % lengthof(m->failures)] = now;
		if (m->nfailures >= 2 * (int) lengthof(m->failures))
			m->nfailures -= (int) lengthof(m->failures);
		m->window = 2;
	}
	else if (http_status > 0 && m->window < LARGEST_WINDOW)
		m->window++;

	/* it finished while its call was under way */
	if (!state_is_open(d->state))
		hash_search(dues, &d->instruction_id, HASH_REMOVE, NULL);
}

void
schedule_call_undone(Due *d, TimestampTz later)
{
	MerchantPace *m = merchant_pace(d->merchant_id);

	d->in_flight = false;
	m->in_flight--;
	if (d->call == CALL_SUBMIT)
	{
		m->probing = false;
		/* unless its row has moved on by itself meanwhile */
		if (d->state == STATE_SENDING)
		{
			count_undecided(d, d->state, d->state_before);
			d->state = d->state_before;
		}
	}
	if (state_is_open(d->state))
		schedule_again(d, later);
	else
		hash_search(dues, &d->instruction_id, HASH_REMOVE, NULL);
}

TimestampTz
schedule_first(void)
{
	if (pairingheap_is_empty(heap))
		return 0;
	return pairingheap_container(Due, node, pairingheap_first(heap))->due_at;
}

int64
schedule_count(void)
{
	return hash_get_num_entries(dues);
}

void
schedule_tidy(TimestampTz now)
{
	HASH_SEQ_STATUS scan;
	PaymentPace *p;

	hash_seq_init(&scan, payments);
	while ((p = hash_seq_search(&scan)) != NULL)
		if (p->undecided <= 0 && p->last_start < now - 600 * USECS_PER_SEC)
			hash_search(payments, &p->payment_id, HASH_REMOVE, NULL);
}
