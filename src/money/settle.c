/*-------------------------------------------------------------------------
 *
 * settle.c
 *	  The one function that turns evidence into states and postings.
 *
 * Answers, callbacks, queries, bills and operators all come through here, so
 * that there is one transaction, one order of locks, and one set of columns,
 * whoever brings the news.  It works on sets: a batch of hundreds costs a few
 * statements, not some per row.
 *
 *	1. Read the evidence that has not been weighed.
 *	2. Lock payments, then instructions, then (only where money will move)
 *	   accounts, each in key order, passing over what somebody else holds: an
 *	   application that sits on a row holds up that row and nothing else.
 *	   Each lock is followed by a statement of its own, whose snapshot is
 *	   younger than the lock.
 *	3. Decide in memory, in the order of arrival (weigh.c, state.c).  What a handler
 *	   of the application's follows is left to the runner (handler.h).
 *	4. Write journal, payments, instructions, events and notices.
 *
 * The event of each piece of evidence is its receipt: evidence_id is unique
 * in refundx.event, so that nothing is applied twice even if two sessions
 * settle at once, and whatever has no event is found again after a crash.
 *
 * src/money/settle.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/evidence.h"

#include "base/clock.h"
#include "base/shmem.h"
#include "money/external.h"
#include "money/handler.h"
#include "money/journal.h"
#include "money/payment_hint.h"
#include "money/settle.h"
#include "money/state.h"
#include "money/weigh.h"
#include "utils/builtins.h"

static void batch_read(Batch *b, Column *evidence_ids, SettleResult *result);
static void batch_lock_payments(Batch *b);
static void batch_lock_instructions(Batch *b);
static void batch_find_handed(Batch *b);
static void batch_lock_accounts(Batch *b);
static void batch_decide(Batch *b, SettleResult *result);
static void settle_batch(Column *evidence_ids, bool for_runner, SettleResult *result);

void
settle(Column *evidence_ids, SettleResult *result)
{
	settle_batch(evidence_ids, false, result);
}

void
settle_for_runner(int64 evidence_id, SettleResult *result)
{
	Column		ids;

	column_init(&ids, INT8OID);
	column_int8(&ids, evidence_id);
	settle_batch(&ids, true, result);
}

static void
settle_batch(Column *evidence_ids, bool for_runner, SettleResult *result)
{
	Batch		b = {.for_runner = for_runner};
	int			i;

	memset(result, 0, sizeof(*result));
	column_init(&result->waiting, INT8OID);
	if (evidence_ids->n == 0)
		return;

	b.now = clock_now();
	batch_read(&b, evidence_ids, result);
	if (b.npieces == 0)
		return;
	timings_load(&b);
	batch_lock_payments(&b);
	batch_lock_instructions(&b);
	batch_find_handed(&b);
	batch_lock_accounts(&b);
	batch_decide(&b, result);
	settle_write(&b);

	/* after the rest, whose due times would otherwise be written over these */
	for (i = 0; i < b.npieces; i++)
		if (b.pieces[i].state == PIECE_PAYMENT_HINT)
			payment_hint(&b.pieces[i].facts, b.now);

	/* the dispatcher schedules the next call, the courier sends the notice */
	wake_at_commit(WORKER_DISPATCHER);
	if (b.moves > 0)
		wake_at_commit(WORKER_COURIER);
}

static void
batch_read(Batch *b, Column *evidence_ids, SettleResult *result)
{
	static Statement read = {
		"SELECT e.evidence_id, e.channel_id, e.merchant_id, e.source, e.verdict, e.proof, e.wire_no,"
		"       e.attempt_started_at, e.received_at, e.code, e.message, e.detail, e.merchant_no,"
		"       e.payment_no, e.channel_payment_id, e.channel_refund_id, e.amount, e.payer_amount,"
		"       e.currency, e.retry_after, coalesce(i.instruction_id, f.instruction_id),"
		"       coalesce(i.payment_id, f.payment_id), e.about, i.instruction_id IS NULL AND f.instruction_id IS NOT NULL"
		"  FROM unnest($1) u(id)"
		"  JOIN refundx.evidence e ON e.evidence_id = u.id"
		"  LEFT JOIN refundx.event x ON x.evidence_id = e.evidence_id"
		"  LEFT JOIN refundx.instruction i ON i.merchant_id = e.merchant_id AND i.wire_no = e.wire_no"
		"   AND i.kind = e.about"
		"  LEFT JOIN refundx.former_number f ON f.merchant_id = e.merchant_id AND f.wire_no = e.wire_no"
		"   AND f.about = e.about"
		" WHERE x.evidence_id IS NULL"
		" ORDER BY e.evidence_id", ARGS(INT8ARRAYOID)
	};
	Values		v = {0};
	uint64		n;
	uint64		row;

	values_column(&v, evidence_ids);
	n = statement_run(&read, &v);
	b->pieces = palloc0(Max(n, 1) * sizeof(Piece));
	b->npieces = (int) n;
	result->known = evidence_ids->n - (int) n;
	for (row = 0; row < n; row++)
	{
		Piece	   *p = &b->pieces[row];
		EvidenceFacts *e = &p->facts;

		e->evidence_id = row_int8(row, 1);
		e->channel_id = row_int4(row, 2);
		e->merchant_id = row_int4(row, 3);
		e->source = row_text(row, 4);
		(void) verdict_from_name(row_text(row, 5), &e->verdict);
		e->proof = row_bool(row, 6);
		e->wire_no = row_text(row, 7);
		e->attempt_started_at = row_time(row, 8);
		e->received_at = row_time(row, 9);
		e->code = row_text(row, 10);
		e->message = row_text(row, 11);
		e->detail = row_text(row, 12);
		e->merchant_no = row_text(row, 13);
		e->payment_no = row_text(row, 14);
		e->channel_payment_id = row_text(row, 15);
		e->channel_refund_id = row_text(row, 16);
		e->has_amount = !row_null(row, 17);
		e->amount = row_int8(row, 17);
		e->has_payer_amount = !row_null(row, 18);
		e->payer_amount = row_int8(row, 18);
		e->currency = row_text(row, 19);
		e->retry_after = row_int4(row, 20);
		p->instruction_id = row_int8(row, 21);
		p->payment_id = row_int8(row, 22);
		if (!product_from_name(row_text(row, 23), &e->about))
			elog(ERROR, "evidence %lld is about something unknown", (long long) e->evidence_id);
		e->former = row_bool(row, 24);
	}
}

static int
compare_int8(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return x < y ? -1 : x > y ? 1 : 0;
}

/* The distinct non-zero ids among n, in key order, as an array argument. */
static void
distinct_ids(Column *out, int64 *ids, int n)
{
	int			i;

	qsort(ids, n, sizeof(int64), compare_int8);
	column_init(out, INT8OID);
	for (i = 0; i < n; i++)
		if (ids[i] != 0 && (i == 0 || ids[i] != ids[i - 1]))
			column_int8(out, ids[i]);
}

static void
batch_lock_payments(Batch *b)
{
	static Statement lock = {
		"SELECT payment_id, paid - refunding - refunded - returned - elsewhere - already_refunded"
		"  FROM refundx.payment WHERE payment_id = ANY ($1)"
		" ORDER BY payment_id FOR NO KEY UPDATE SKIP LOCKED", ARGS(INT8ARRAYOID)
	};
	int64	   *ids = palloc(b->npieces * sizeof(int64));
	Column		wanted;
	Values		v = {0};
	uint64		n;
	uint64		row;
	int			i;

	for (i = 0; i < b->npieces; i++)
		ids[i] = b->pieces[i].payment_id;
	distinct_ids(&wanted, ids, b->npieces);
	if (wanted.n == 0)
		return;
	values_column(&v, &wanted);
	n = statement_run(&lock, &v);
	b->payments = palloc0(Max(n, 1) * sizeof(PaymentDelta));
	b->npayments = (int) n;
	for (row = 0; row < n; row++)
	{
		b->payments[row].payment_id = row_int8(row, 1);
		b->payments[row].left = row_int8(row, 2);
	}
}

/* Binary search in an array of structs that begin with an int64 key, sorted. */
static void *
find_by_key(void *base, int n, size_t size, int64 key)
{
	return n > 0 ? bsearch(&key, base, n, size, compare_int8) : NULL;
}

static void
instruction_from_row(Subject *s, uint64 row)
{
	Instruction *i = &s->row;

	s->instruction_id = i->instruction_id = row_int8(row, 1);
	i->payment_id = row_int8(row, 2);
	i->account_id = row_int8(row, 3);
	i->channel_id = row_int4(row, 4);
	i->amount = row_int8(row, 5);
	i->currency = row_text(row, 6);
	i->may_send = row_bool(row, 7);
	i->attempts = row_int4(row, 8);
	i->first_attempt_at = row_time(row, 9);
	if (!state_from_name(row_text(row, 10), &i->state))
		elog(ERROR, "instruction %lld has an unknown state", (long long) i->instruction_id);
	i->detail = row_text(row, 11);
	i->state_since = row_time(row, 12);
	i->due_at = row_time(row, 13);
	i->due_call = row_text(row, 14);
	i->polls = row_int4(row, 15);
	i->unexplained = row_int4(row, 16);
	i->refusal = row_text(row, 17);
	i->last_attempt_at = row_time(row, 18);
	i->person_reason = row_text(row, 19);
	i->person_suggestion = row_text(row, 20);
	i->person_since = row_time(row, 21);
	i->has_payer_amount = !row_null(row, 22);
	i->payer_amount = row_int8(row, 22);
	i->channel_refund_id = row_text(row, 23);
	i->received_by = row_text(row, 24);
	i->payment_no = row_text(row, 25);
	i->channel_payment_id = row_text(row, 26);
	i->merchant_no = row_text(row, 27);
	i->generation = row_int4(row, 28);
	if (!product_from_name(row_text(row, 29), &i->product))
		elog(ERROR, "instruction %lld is of an unknown kind", (long long) i->instruction_id);
	i->fee = row_int8(row, 30);
	i->fee_back_on_failure = row_bool(row, 31);
	i->fee_back_on_return = row_bool(row, 32);
	i->cancel_requested = row_bool(row, 33);
	i->cap_account_id = row_int8(row, 34);
	i->unapproved = row_bool(row, 35);
	i->held = !row_null(row, 36);
	i->unproven = i->held && strcmp(row_text(row, 36), "unproven") == 0;
	i->on_hold = row_bool(row, 37);
	i->retries = row_int4(row, 38);
	i->reissues = row_int4(row, 39);
	failure_override_read(&i->override, row, 40);
}

static void
batch_lock_instructions(Batch *b)
{
	static Statement lock = {
		"SELECT i.instruction_id, i.payment_id, i.account_id, i.channel_id, i.amount, i.currency, i.may_send,"
		"       i.attempts, i.first_attempt_at, i.state, i.detail, i.state_since, i.due_at, i.due_call,"
		"       i.polls, i.unexplained, i.refusal, i.last_attempt_at, i.person_reason,"
		"       i.person_suggestion, i.person_since, i.payer_amount, i.channel_refund_id, i.received_by,"
		"       p.payment_no, p.channel_payment_id, m.merchant_no, i.generation, i.kind, i.fee,"
		"       coalesce(o.fee_back_on_failure, true), coalesce(o.fee_back_on_return, true), i.cancel_requested_at IS NOT NULL,"
		"       CASE WHEN o.capped_on IS NOT NULL THEN o.account_id END,"
		"       o.approval IS NOT NULL AND o.approved_at IS NULL, i.hold_by,"
		"       coalesce(p.hold, h.hold) IS NOT NULL, i.retries, i.reissues, " FAILURE_COLUMNS("f")
		"  FROM refundx.instruction i"
		"  LEFT JOIN refundx.payment p ON p.payment_id = i.payment_id"
		"  LEFT JOIN refundx.merchant m ON m.merchant_id = i.merchant_id"
		"  LEFT JOIN refundx.payout o ON o.instruction_id = i.instruction_id"
		"  LEFT JOIN refundx.account h ON h.account_id = o.account_id"
		"  LEFT JOIN refundx.failure_override f ON f.instruction_id = i.instruction_id"
		" WHERE i.instruction_id = ANY ($1)"
		" ORDER BY i.instruction_id FOR NO KEY UPDATE OF i SKIP LOCKED", ARGS(INT8ARRAYOID)
	};
	int64	   *ids = palloc(b->npieces * sizeof(int64));
	Column		wanted;
	Values		v = {0};
	uint64		n;
	uint64		row;
	int			i;

	for (i = 0; i < b->npieces; i++)
	{
		Piece	   *p = &b->pieces[i];

		ids[i] = p->payment_id == 0 ||
			find_by_key(b->payments, b->npayments, sizeof(PaymentDelta), p->payment_id)
			? p->instruction_id : 0;
	}
	distinct_ids(&wanted, ids, b->npieces);
	if (wanted.n == 0)
		return;
	values_column(&v, &wanted);
	n = statement_run(&lock, &v);
	b->subjects = palloc0(Max(n, 1) * sizeof(Subject));
	b->nsubjects = (int) n;
	for (row = 0; row < n; row++)
		instruction_from_row(&b->subjects[row], row);
}

static Subject *
subject_of(Batch *b, const Piece *p)
{
	return find_by_key(b->subjects, b->nsubjects, sizeof(Subject), p->instruction_id);
}

/*
 * Where what the account has not is taken from; 0 if there is none, for who
 * resolves makes it where it is needed (desk_suspense).  Only one instruction is
 * ever resolved at a time.
 */
static int64
suspense_account(const Instruction *i, const EvidenceFacts *e)
{
	static Statement find = {
		"SELECT account_id FROM refundx.account WHERE suspense_of = $1 AND currency = $2",
		ARGS(INT4OID, TEXTOID)
	};
	Values		v = {0};

	values_int4(&v, e->merchant_id);
	values_text(&v, i->currency);
	return statement_run(&find, &v) == 1 ? row_int8(0, 1) : 0;
}

/*
 * What comes for an instruction while the runner has something of it waits behind
 * that: otherwise a later word could take it past the transition that a handler
 * follows.
 */
static void
batch_find_handed(Batch *b)
{
	static Statement find = {
		"SELECT DISTINCT h.instruction_id FROM refundx.handed h WHERE h.instruction_id = ANY ($1)",
		ARGS(INT8ARRAYOID)
	};
	Column		ids;
	Values		v = {0};
	uint64		n;
	uint64		row;
	int			i;

	if (b->for_runner || b->nsubjects == 0 || !handlers_any())
		return;
	column_init(&ids, INT8OID);
	for (i = 0; i < b->nsubjects; i++)
		column_int8(&ids, b->subjects[i].instruction_id);
	values_column(&v, &ids);
	n = statement_run(&find, &v);
	for (row = 0; row < n; row++)
	{
		int64		id = row_int8(row, 1);
		Subject    *s = find_by_key(b->subjects, b->nsubjects, sizeof(Subject), id);

		s->handed = true;
	}
}

/*
 * Which accounts will be moved is known only after weighing, and weighing for
 * good must wait for the accounts' locks: so weigh copies first.
 */
static void
batch_lock_accounts(Batch *b)
{
	int64	   *ids;
	Column		wanted;
	Instruction *trial;
	int			i;

	if (b->nsubjects == 0)
		return;
	/* two for each: its own, and the one whose day's limit it counts on; and one for all */
	ids = palloc0((2 * b->nsubjects + 1) * sizeof(int64));
	trial = palloc(b->nsubjects * sizeof(Instruction));
	for (i = 0; i < b->nsubjects; i++)
		trial[i] = b->subjects[i].row;
	for (i = 0; i < b->npieces; i++)
	{
		Subject    *s = subject_of(b, &b->pieces[i]);
		Decision	d;
		int			at;

		if (s == NULL || s->row.account_id == 0)
			continue;
		at = (int) (s - b->subjects);
		weigh(&trial[at], &b->pieces[i].facts, timing_of(b, s->row.channel_id, s->row.product), b->now, &d);
		if (d.effect != EFFECT_NONE)
		{
			ids[2 * at] = s->row.account_id;
			ids[2 * at + 1] = s->row.cap_account_id;
			s->needs_account = true;
		}
		if (d.effect == EFFECT_PAY_LATE)
			ids[2 * b->nsubjects] = b->suspense_id = suspense_account(&s->row, &b->pieces[i].facts);
	}
	distinct_ids(&wanted, ids, 2 * b->nsubjects + 1);
	b->nbalances = journal_lock_many(&wanted, &b->balances);
}

static void
payment_delta(PaymentDelta *p, const Instruction *i, Effect effect, const EvidenceFacts *e)
{
	int64		fits;

	if (p == NULL || effect == EFFECT_NONE)
		return;
	p->touched = true;
	switch (effect)
	{
		case EFFECT_PAY_OUT:
			p->refunding -= i->amount;
			p->refunded += i->amount;
			break;
		case EFFECT_RELEASE:
			p->refunding -= i->amount;
			p->left += i->amount;
			/* refused before it was one; a dead number was one of the fifty */
			if (e->verdict != VERDICT_DEAD && e->verdict != VERDICT_REVERSED)
				p->parts--;
			break;
		case EFFECT_DIVERT:
			p->refunding -= i->amount;
			p->returned += i->amount;
			break;
		case EFFECT_RETURN:
			p->refunded -= i->amount;
			p->returned += i->amount;
			break;
		case EFFECT_PAY_LATE:
			/* its amount may have been given out again since it was released */
			fits = Min(i->amount, Max(p->left, 0));
			p->refunded += fits;
			p->overpaid += i->amount - fits;
			p->left -= fits;
			p->parts++;
			break;
		case EFFECT_NONE:
			break;
	}
}

/*
 * It had been released, with its fee or without, and was paid after all: from what
 * is available, and the rest from the merchant's suspense account.
 */
static void
post_late(Batch *b, const Instruction *i, const Decision *d, AccountBalance *balance)
{
	AccountBalance *suspense = find_by_key(b->balances, b->nbalances, sizeof(AccountBalance), b->suspense_id);
	int64		amount = i->amount;
	int64		taken;

	if (d->from != STATE_FAILED || i->fee_back_on_failure)
		amount += i->fee;
	taken = Min(amount, balance->available);
	if (taken > 0)
		journal_batch_add(&b->journal, balance, JOURNAL_PAY_LATE, taken, i->instruction_id);
	if (taken < amount && suspense == NULL)
		elog(ERROR, "the suspense account of merchant and currency is not locked");
	if (taken < amount)
		journal_batch_add(&b->journal, suspense, JOURNAL_SUSPENSE, amount - taken, i->instruction_id);
}

/*
 * The lines of what happened.  A fee was frozen with the amount, and follows it or
 * stays: it is earned when the amount is paid out; after a failure or a return
 * it goes back or not, as the withdrawal's terms say; what was canceled has cost
 * nothing.
 */
static void
post_effect(Batch *b, const Instruction *i, const Decision *d, AccountBalance *balance)
{
	JournalType type;
	bool		fee_back = true;
	int64		amount = i->amount;

	if (!journal_type_of_effect(d->effect, &type))
		return;
	if (!b->journal_begun)
		journal_batch_init(&b->journal);
	b->journal_begun = true;

	if (d->effect == EFFECT_PAY_LATE)
	{
		post_late(b, i, d, balance);
		return;
	}
	if (d->to == STATE_FAILED)
		fee_back = i->fee_back_on_failure;
	else if (d->to == STATE_RETURNED)
		fee_back = i->fee_back_on_return;
	if (type == JOURNAL_RELEASE && fee_back)
		amount += i->fee;
	journal_batch_add(&b->journal, balance, type, amount, i->instruction_id);
	if (i->fee == 0)
		return;
	if (type == JOURNAL_PAY_OUT || (type == JOURNAL_RELEASE && !fee_back))
		journal_batch_add(&b->journal, balance, JOURNAL_FEE, i->fee, i->instruction_id);
	else if (type == JOURNAL_RETURN && fee_back)
		journal_batch_add(&b->journal, balance, JOURNAL_FEE_RETURN, i->fee, i->instruction_id);
}

/* False: it brings a transition that a handler follows, and nothing is changed. */
static bool
weigh_or_hand(Batch *b, Subject *s, const EvidenceFacts *e, Decision *d)
{
	const Timing *timing = timing_of(b, s->row.channel_id, s->row.product);
	Instruction before;

	if (b->for_runner || !handlers_any())
	{
		weigh(&s->row, e, timing, b->now, d);
		return true;
	}
	if (s->handed)
		return false;
	before = s->row;
	weigh(&s->row, e, timing, b->now, d);
	if (d->from == d->to || !handlers_follow(s->row.product, d->to))
		return true;
	s->row = before;
	s->handed = true;
	return false;
}

static void
batch_decide(Batch *b, SettleResult *result)
{
	int			n;

	b->decisions = palloc0(b->npieces * sizeof(Decision));
	for (n = 0; n < b->npieces; n++)
	{
		Piece	   *p = &b->pieces[n];
		Decision   *d = &b->decisions[n];
		Subject    *s = subject_of(b, p);
		AccountBalance *balance = NULL;
		bool		all_locked = true;

		if (p->instruction_id == 0 && p->facts.wire_no[0] == '\0')
		{
			/* about a payment: nothing to weigh, see settle() */
			p->state = PIECE_PAYMENT_HINT;
			d->type = "asked";
			d->note = "a hint that names a payment and no refund: its refunds are asked about";
			result->applied++;
			continue;
		}
		if (p->instruction_id == 0)
		{
			if (!external_keep(&p->facts, &d->note))
			{
				p->state = PIECE_WAITING;
				column_int8(&result->waiting, p->facts.evidence_id);
				continue;
			}
			p->state = PIECE_UNKNOWN_NUMBER;
			d->type = "external";
			result->applied++;
			continue;
		}
		if (s != NULL && s->needs_account)
		{
			balance = find_by_key(b->balances, b->nbalances, sizeof(AccountBalance), s->row.account_id);
			all_locked = balance != NULL &&
				(s->row.cap_account_id == 0 ||
				 find_by_key(b->balances, b->nbalances, sizeof(AccountBalance), s->row.cap_account_id));
		}
		if (s == NULL || !all_locked)
		{
			p->state = PIECE_WAITING;
			column_int8(&result->waiting, p->facts.evidence_id);
			continue;
		}
		if (!weigh_or_hand(b, s, &p->facts, d))
		{
			p->state = PIECE_HANDED;
			result->handed++;
			continue;
		}
		p->state = PIECE_WEIGHED;
		s->touched = true;
		s->hold |= d->hold;
		s->reissue |= d->reissue;
		if (d->from != d->to)
		{
			b->moves++;
			result->moved_to = d->to;
			result->moved = true;
		}
		payment_delta(find_by_key(b->payments, b->npayments, sizeof(PaymentDelta), s->row.payment_id),
					  &s->row, d->effect, &p->facts);
		if (s->row.account_id != 0)
			post_effect(b, &s->row, d, balance);
		result->applied++;
	}
}
