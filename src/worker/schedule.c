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
 *	merchant	calls a second and failing calls a second, over all databases of
 *				the server (base/pace.c); a pause with probes
 *	payment		one refund at a time until the channel has answered or been
 *				asked about it, and a minute between two starts
 *	channel		(the caller's) connections
 *
 * And by breakers (breaker.c): a channel that does not answer at all, several
 * times in a row, or nearly always with an error, is tried by one call at growing
 * intervals.  Thousands of futile calls would take from the other channels
 * what they need.
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

static int	share = LARGEST_WINDOW;	/* see schedule_share() */
static int	database = 0;		/* our slot, in the paces that databases share */

static HTAB *dues = NULL;
static HTAB *merchants = NULL;
static HTAB *payments = NULL;

static int	due_compare(const pairingheap_node *a, const pairingheap_node *b, void *arg);
static MerchantPace *merchant_pace(int32 merchant_id);
static PaymentPace *payment_pace(int64 payment_id);
static TimestampTz merchant_allows(MerchantPace *m, const Due *d, const ChannelLimits *limits,
								   TimestampTz now);
static TimestampTz payment_allows(const Due *d, const ChannelLimits *limits, int64 scale,
								  TimestampTz now);
static bool state_undecided(State s);
static void count_undecided(Due *d, State before, State after);

static HTAB *
make_table(const char *name, Size keysize, Size entrysize)
{
	HASHCTL		ctl = {.keysize = keysize,.entrysize = entrysize,.hcxt = TopMemoryContext};

	return hash_create(name, 1024, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

void
schedule_init(int database_slot)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	dues = make_table("refundx due", sizeof(int64), sizeof(Due));
	merchants = make_table("refundx merchants", sizeof(int32), sizeof(MerchantPace));
	payments = make_table("refundx payments", sizeof(int64), sizeof(PaymentPace));
	database = database_slot;
	pace_forget_database(database);
	MemoryContextSwitchTo(old);
}

/* All lanes of a merchant, one after the other. */
static Lane *
lane_at(MerchantPace *m, int i)
{
	return &m->lane[i / LANE_COUNT][i % LANE_COUNT];
}

void
schedule_clear(void)
{
	HASH_SEQ_STATUS scan;
	MerchantPace *m;
	int			call;

	hash_seq_init(&scan, merchants);
	while ((m = hash_seq_search(&scan)) != NULL)
	{
		for (call = 0; call < PRODUCT_COUNT * LANE_COUNT; call++)
			pairingheap_free(lane_at(m, call)->heap);
	}
	hash_destroy(dues);
	hash_destroy(merchants);
	hash_destroy(payments);
	schedule_init(database);
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
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
		int			call;

		memset((char *) m + sizeof(int32), 0, sizeof(*m) - sizeof(int32));
		m->window = FIRST_WINDOW;
		m->scale = 1;
		for (call = 0; call < PRODUCT_COUNT; call++)
			m->breaker[call] = (BreakerSettings) {BREAKER_CALLS, BREAKER_ERRORS, BREAKER_LONGEST};
		for (call = 0; call < PRODUCT_COUNT * LANE_COUNT; call++)
			lane_at(m, call)->heap = pairingheap_allocate(due_compare, NULL);
		MemoryContextSwitchTo(old);
	}
	return m;
}

static Lane *
lane_of(const Due *d)
{
	return &merchant_pace(d->merchant_id)->lane[d->product][d->call];
}

static void
enqueue(Due *d)
{
	pairingheap_add(lane_of(d)->heap, &d->node);
	d->queued = true;
}

static void
dequeue(Due *d)
{
	if (d->queued)
		pairingheap_remove(lane_of(d)->heap, &d->node);
	d->queued = false;
}

/* Something about the merchant has changed: look again. */
static void
unblock(MerchantPace *m)
{
	int			call;

	for (call = 0; call < PRODUCT_COUNT * LANE_COUNT; call++)
		lane_at(m, call)->blocked_until = 0;
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
		p->refunds = 0;
	}
	return p;
}

/*
 * A payment is remembered for as long as one of its refunds is in the schedule.
 * What came before is in the tables, and comes with the next one.
 */
static void
enter(Due *d, int64 payment_id)
{
	d->queued = d->in_flight = false;
	d->payment_id = payment_id;
	d->state = STATE_QUEUED;
	if (payment_id != 0)
		payment_pace(payment_id)->refunds++;
}

static void
leave(Due *d)
{
	int64		payment_id = d->payment_id;
	PaymentPace *p;

	count_undecided(d, d->state, STATE_QUEUED);
	hash_search(dues, &d->instruction_id, HASH_REMOVE, NULL);
	if (payment_id == 0)
		return;
	p = payment_pace(payment_id);
	if (--p->refunds <= 0)
		hash_search(payments, &payment_id, HASH_REMOVE, NULL);
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
schedule_set(int64 instruction_id, ProductKind product, State state, bool is_open,
			 ChannelCall call, TimestampTz due_at, int32 merchant_id, int32 channel_id, int64 payment_id)
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
		dequeue(d);
		d->due_at = 0;
		if (!d->in_flight)
			leave(d);
		return;
	}

	d = hash_search(dues, &instruction_id, HASH_ENTER, &found);
	if (!found)
		enter(d, payment_id);
	dequeue(d);					/* before its lane changes */
	count_undecided(d, d->state, state);
	d->state = state;
	d->product = product;
	d->call = call;
	d->merchant_id = merchant_id;
	d->channel_id = channel_id;
	d->due_at = due_at;
	/* nothing is due while its call is under way: attempts never overlap */
	if (!d->in_flight && due_at != 0 && state != STATE_SENDING)
		enqueue(d);
}

void
schedule_merchant(int32 merchant_id, const char *kind, const char *merchant_no)
{
	MerchantPace *m = merchant_pace(merchant_id);

	if (m->pace == NULL)
		m->pace = pace_of(kind, merchant_no);
}

void
schedule_settings(int32 merchant_id, ProductKind product, int calls_per_second,
				  const BreakerSettings *breaker)
{
	MerchantPace *m = merchant_pace(merchant_id);

	if (m->own_rate[product] != calls_per_second)
		unblock(m);
	m->own_rate[product] = calls_per_second;
	m->breaker[product] = *breaker;
}

void
schedule_pause(int32 merchant_id, ProductKind product, bool paused, TimestampTz probe_at)
{
	MerchantPace *m = merchant_pace(merchant_id);
	Pause	   *p = &m->pause[product];

	if (p->paused == paused && p->probe_at == probe_at)
		return;
	p->paused = paused;
	p->probe_at = probe_at;
	if (!paused)
		p->probing = false;
	unblock(m);
}

void
schedule_payment_started(int64 payment_id, int64 instruction_id, TimestampTz at)
{
	PaymentPace *p;

	p = hash_search(payments, &payment_id, HASH_FIND, NULL);
	if (p == NULL || at < p->last_start)
		return;
	p->last_start = at;
	p->last_instruction = instruction_id;
}

/*
 * When the next call may begin; 0 = now.  A tenth of the limit may come at
 * once, the rest evenly, so that no second, wherever it begins, has more.
 */
static TimestampTz
tokens_allow(MerchantPace *m, int limit, TimestampTz now)
{
	double		burst = Max(limit / 10.0, 1.0);
	double		rate = Max(limit - burst, 1.0);

	m->calls_per_second = limit;
	if (limit <= 0)
		return 0;
	m->tokens = m->tokens_at == 0 ? burst :
		Min(burst, m->tokens + (now - m->tokens_at) * rate / USECS_PER_SEC);
	m->tokens_at = now;
	if (m->tokens >= 1.0)
		return 0;
	return now + Max((TimestampTz) ((1.0 - m->tokens) * USECS_PER_SEC / rate), 1000);
}

/* The channel's limit, or a lower one of our own; 0 = none. */
static int
rate_of(const MerchantPace *m, const Due *d, const ChannelLimits *limits)
{
	int			own = m->own_rate[d->product];

	return own > 0 && (limits->calls_per_second <= 0 || own < limits->calls_per_second) ? own :
		limits->calls_per_second;
}

/* 0 = it may go; otherwise when to look again. */
static TimestampTz
merchant_allows(MerchantPace *m, const Due *d, const ChannelLimits *limits, TimestampTz now)
{
	const Pause *p = &m->pause[d->product];
	TimestampTz later;

	if (p->paused && d->call == CALL_SUBMIT && (p->probing || now < p->probe_at))
		return Max(p->probe_at, now + USECS_PER_SEC);
	if (m->silence.open && (m->in_flight > 0 || now < m->silence.probe_at))
		return Max(m->silence.probe_at, now + USECS_PER_SEC / 10);
	later = breaker_allows(&m->lane[d->product][d->call].errors, now);
	if (later != 0)
		return later;

	/* an answer unblocks; the times are only the safety net */
	if (m->in_flight >= Min(m->window, share))
		return now + USECS_PER_SEC;
	return tokens_allow(m, rate_of(m, d, limits), now);
}

/*
 * The last word is the pace that all databases share: if it allows the call,
 * the call counts from then on.
 */
static TimestampTz
pace_allows(MerchantPace *m, const Due *d, const ChannelLimits *limits, TimestampTz now)
{
	PaceLimits	pace = {rate_of(m, d, limits), limits->failing_per_second,
		/* asking about an unknown number is likely to be answered with a 404 */
		d->state == STATE_UNKNOWN
	};

	if (m->pace == NULL)
		return now + USECS_PER_SEC / 10;
	return pace_begin(m->pace, database, &pace, now);
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

/* The lane whose first is due and not blocked, and among them the earliest. */
static Lane *
first_lane(TimestampTz now)
{
	HASH_SEQ_STATUS scan;
	MerchantPace *m;
	Lane	   *first = NULL;
	TimestampTz earliest = 0;
	int			call;

	hash_seq_init(&scan, merchants);
	while ((m = hash_seq_search(&scan)) != NULL)
	{
		for (call = 0; call < PRODUCT_COUNT * LANE_COUNT; call++)
		{
			Lane	   *lane = lane_at(m, call);
			Due		   *d;

			if (pairingheap_is_empty(lane->heap) || lane->blocked_until > now)
				continue;
			d = pairingheap_container(Due, node, pairingheap_first(lane->heap));
			if (d->due_at > now || (first != NULL && d->due_at >= earliest))
				continue;
			first = lane;
			earliest = d->due_at;
		}
	}
	return first;
}

/*
 * A merchant that may not be called blocks its lane, however long; nothing in
 * it is touched until then.  A payment that must wait puts off only its own.
 */
Due *
schedule_next(TimestampTz now,
			  const ChannelLimits *(*limits_of) (int32 channel_id, ProductKind product),
			  int64 scale_of(int32 channel_id))
{
	Lane	   *lane;

	while ((lane = first_lane(now)) != NULL)
	{
		Due		   *d = pairingheap_container(Due, node, pairingheap_first(lane->heap));
		const ChannelLimits *limits = limits_of(d->channel_id, d->product);
		TimestampTz later;

		if (limits == NULL)
		{
			/* its keys cannot be read; another channel's of the merchant may */
			schedule_again(d, now + USECS_PER_SEC);
			continue;
		}
		merchant_pace(d->merchant_id)->scale = scale_of(d->channel_id);
		lane->blocked_until = merchant_allows(merchant_pace(d->merchant_id), d, limits, now);
		if (lane->blocked_until > now)
			continue;
		later = payment_allows(d, limits, scale_of(d->channel_id), now);
		if (later != 0)
		{
			schedule_again(d, later);
			continue;
		}
		lane->blocked_until = pace_allows(merchant_pace(d->merchant_id), d, limits, now);
		if (lane->blocked_until > now)
			continue;
		dequeue(d);
		return d;
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
	dequeue(d);
	d->due_at = due_at;
	enqueue(d);
}

void
schedule_call_began(Due *d, TimestampTz now)
{
	MerchantPace *m = merchant_pace(d->merchant_id);

	d->in_flight = true;
	d->under_way = d->call;
	d->began_at = now;
	m->in_flight++;
	m->tokens -= 1.0;
	if (m->pause[d->product].paused && d->call == CALL_SUBMIT)
		m->pause[d->product].probing = true;
	breaker_call_began(&m->lane[d->product][d->call].errors, d->instruction_id);
	if (d->call == CALL_SUBMIT)
	{
		count_undecided(d, d->state, STATE_SENDING);
		d->state_before = d->state;
		d->state = STATE_SENDING;
		schedule_payment_started(d->payment_id, d->instruction_id, now);
	}
}

/*
 * One more may be under way, up to twice what the channel's own limit keeps
 * busy at the pace of its answers: what begins to fail is noticed before much
 * more than that has been sent after it.
 */
static void
widen(MerchantPace *m, int64 took)
{
	int64		most;

	m->latency = m->latency == 0 ? took : (7 * m->latency + took) / 8;
	most = 2 * (int64) m->calls_per_second * m->latency / USECS_PER_SEC;
	most = m->calls_per_second > 0 ? Min(Max(most, FIRST_WINDOW), LARGEST_WINDOW) : LARGEST_WINDOW;
	m->window = (int) Min(m->window + 1, most);
}

void
schedule_share(int calls)
{
	share = Max(calls, FIRST_WINDOW);
}

int
schedule_silent(void)
{
	HASH_SEQ_STATUS scan;
	MerchantPace *m;
	int			n = 0;

	hash_seq_init(&scan, merchants);
	while ((m = hash_seq_search(&scan)) != NULL)
	{
		if (m->silence.open)
			n++;
	}
	return n;
}

/* One after the other; place is filled in for it.  NULL at the end. */
static Breaker *
breaker_at(MerchantPace *m, int i, BreakerPlace *place)
{
	place->merchant_id = m->merchant_id;
	place->silence = i == PRODUCT_COUNT * LANE_COUNT;
	place->product = place->silence ? PRODUCT_REFUND : (ProductKind) (i / LANE_COUNT);
	place->call = place->silence ? CALL_SUBMIT : (ChannelCall) (i % LANE_COUNT);
	return place->silence ? &m->silence : i < PRODUCT_COUNT * LANE_COUNT ? &lane_at(m, i)->errors : NULL;
}

Breaker *
schedule_breaker(const BreakerPlace *place)
{
	MerchantPace *m = merchant_pace(place->merchant_id);

	return place->silence ? &m->silence : &m->lane[place->product][place->call].errors;
}

bool
schedule_breakers_changed(void (*each) (const BreakerPlace *place, const Breaker *b))
{
	HASH_SEQ_STATUS scan;
	MerchantPace *m;
	bool		any = false;

	hash_seq_init(&scan, merchants);
	while ((m = hash_seq_search(&scan)) != NULL)
	{
		BreakerPlace place;
		Breaker    *b;
		int			i;

		for (i = 0; (b = breaker_at(m, i, &place)) != NULL; i++)
		{
			if (!b->changed)
				continue;
			any = true;
			if (each != NULL)
				each(&place, b);
		}
	}
	return any;
}

void
schedule_breakers_written(void)
{
	HASH_SEQ_STATUS scan;
	MerchantPace *m;

	hash_seq_init(&scan, merchants);
	while ((m = hash_seq_search(&scan)) != NULL)
	{
		BreakerPlace place;
		Breaker    *b;
		int			i;

		for (i = 0; (b = breaker_at(m, i, &place)) != NULL; i++)
			b->changed = false;
	}
}

void
schedule_call_ended(Due *d, const CallOutcome *outcome, TimestampTz now)
{
	MerchantPace *m = merchant_pace(d->merchant_id);

	d->in_flight = false;
	m->in_flight--;
	pace_end(m->pace, database, outcome->failing, now);
	if (d->under_way == CALL_SUBMIT)
	{
		m->pause[d->product].probing = false;

		/* "A minute apart" is the channel's to measure: count from the answer. */
		schedule_payment_started(d->payment_id, d->instruction_id, now);
	}
	breaker_silence(&m->silence, outcome, now, m->scale);
	breaker_call_ended(&m->lane[d->product][d->under_way].errors, d->instruction_id, outcome,
					   &m->breaker[d->product], now, m->scale);
	if (outcome->failing)
		m->window = 2;
	else if (outcome->answered)
		widen(m, now - d->began_at);
	else
		/* what hung may hang again, and holds its connection for as long as the time-out */
		m->window = Max(m->window / 2, FIRST_WINDOW);
	unblock(m);

	/* it finished while its call was under way */
	if (!state_is_open(d->state))
		leave(d);
}

void
schedule_call_goes_on(Due *d, TimestampTz now)
{
	MerchantPace *m = merchant_pace(d->merchant_id);

	pace_go_on(m->pace, now);
	m->tokens -= 1.0;
}

/* What is asked for may not be there, and is then answered with an error. */
TimestampTz
schedule_other_begins(int32 merchant_id, const ChannelLimits *limits, TimestampTz now)
{
	MerchantPace *m = merchant_pace(merchant_id);
	PaceLimits	pace = {limits->calls_per_second, limits->failing_per_second, true};

	if (m->pace == NULL)
		return now + USECS_PER_SEC / 10;
	return pace_begin(m->pace, database, &pace, now);
}

void
schedule_other_goes_on(int32 merchant_id, TimestampTz now)
{
	pace_go_on(merchant_pace(merchant_id)->pace, now);
}

void
schedule_other_ended(int32 merchant_id, bool failing, TimestampTz now)
{
	pace_end(merchant_pace(merchant_id)->pace, database, failing, now);
}

void
schedule_call_undone(Due *d, TimestampTz later)
{
	MerchantPace *m = merchant_pace(d->merchant_id);

	d->in_flight = false;
	m->in_flight--;
	pace_undo(m->pace, database);
	breaker_call_undone(&m->lane[d->product][d->under_way].errors, d->instruction_id);
	unblock(m);
	if (d->under_way == CALL_SUBMIT)
	{
		m->pause[d->product].probing = false;
		/* unless its row has moved on by itself meanwhile */
		if (d->state == STATE_SENDING)
		{
			count_undecided(d, d->state, d->state_before);
			d->state = d->state_before;
		}
	}
	if (state_is_open(d->state) || d->due_at != 0)
		schedule_again(d, later);	/* also what is finished, and is asked about */
	else
		leave(d);
}

TimestampTz
schedule_first(void)
{
	HASH_SEQ_STATUS scan;
	MerchantPace *m;
	TimestampTz first = 0;
	int			call;

	hash_seq_init(&scan, merchants);
	while ((m = hash_seq_search(&scan)) != NULL)
	{
		for (call = 0; call < PRODUCT_COUNT * LANE_COUNT; call++)
		{
			Lane	   *lane = lane_at(m, call);
			TimestampTz at;

			if (pairingheap_is_empty(lane->heap))
				continue;
			at = pairingheap_container(Due, node, pairingheap_first(lane->heap))->due_at;
			at = Max(at, lane->blocked_until);
			if (first == 0 || at < first)
				first = at;
		}
	}
	return first;
}

int64
schedule_count(void)
{
	return hash_get_num_entries(dues);
}
