/*-------------------------------------------------------------------------
 *
 * settle_write.c
 *	  Writing down what a batch of evidence came to.
 *
 * Journal first: its constraints and its unique index per (instruction, step)
 * are the last guard of the money, and if one of them fires, nothing else of
 * the batch has been done yet, and the whole of it is undone.  Events last:
 * they are the receipt for everything above.
 *
 * src/money/settle_write.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/sql.h"

#include "base/shmem.h"
#include "money/handler.h"
#include "money/notices.h"
#include "money/incident.h"
#include "money/settle.h"
#include "money/stop.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

static void write_caps(Batch *b);
static void write_payments(Batch *b);
static void write_instructions(Batch *b);
static void write_lifted(Batch *b);
static void write_holds(Batch *b);
static void write_events(Batch *b);
static void write_notices(Batch *b);
static void write_merchants(Batch *b);
static void write_reissues(Batch *b);
static void write_handed(Batch *b);
static void write_incidents(const Batch *b);

void
settle_write(Batch *b)
{
	if (b->journal_begun)
		journal_batch_write(&b->journal);
	write_caps(b);
	write_payments(b);
	write_instructions(b);
	write_lifted(b);
	write_holds(b);
	write_merchants(b);
	write_notices(b);
	write_handed(b);
	write_events(b);
	write_reissues(b);
	write_incidents(b);
}

/*
 * What came to nothing no longer counts on its day's limit; what was paid after
 * all counts again.  Several of one account in a batch are one line, of the
 * newest of them.
 */
static void
write_caps(Batch *b)
{
	static Statement give_back = {
		"WITH ended AS ("
		"  SELECT o.account_id, i.channel_id, o.capped_on AS day, sum(u.sign) AS withdrawals,"
		"         sum(u.sign * o.asked) AS amount, max(o.instruction_id) AS instruction_id"
		"    FROM unnest($1, $2) u(id, sign)"
		"    JOIN refundx.payout o ON o.instruction_id = u.id AND o.capped_on IS NOT NULL"
		"    JOIN refundx.instruction i ON i.instruction_id = u.id"
		"   GROUP BY 1, 2, 3)"
		" INSERT INTO refundx.cap_line (account_id, channel_id, day, n, withdrawals, amount, instruction_id)"
		" SELECT e.account_id, e.channel_id, e.day, l.n + 1, l.withdrawals - e.withdrawals,"
		"        l.amount - e.amount, e.instruction_id"
		"   FROM ended e"
		"   JOIN LATERAL (SELECT n, withdrawals, amount FROM refundx.cap_line l"
		"                  WHERE l.account_id = e.account_id AND l.channel_id = e.channel_id AND l.day = e.day"
		"                  ORDER BY n DESC LIMIT 1) l ON true",
		ARGS(INT8ARRAYOID, INT4ARRAYOID)
	};
	Column		ids;
	Column		signs;
	Values		v = {0};
	int			n;

	column_init(&ids, INT8OID);
	column_init(&signs, INT4OID);
	for (n = 0; n < b->npieces; n++)
	{
		Effect		effect = b->decisions[n].effect;

		if (b->pieces[n].state != PIECE_WEIGHED || b->pieces[n].facts.about != PRODUCT_TRANSFER ||
			(effect != EFFECT_RELEASE && effect != EFFECT_PAY_LATE))
			continue;
		column_int8(&ids, b->pieces[n].instruction_id);
		column_int4(&signs, effect == EFFECT_RELEASE ? 1 : -1);
	}
	if (ids.n == 0)
		return;
	values_column(&v, &ids);
	values_column(&v, &signs);
	statement_run(&give_back, &v);
}

static void
write_payments(Batch *b)
{
	static Statement update = {
		"UPDATE refundx.payment p"
		"   SET refunding = p.refunding + u.refunding, refunded = p.refunded + u.refunded,"
		"       returned = p.returned + u.returned, overpaid = p.overpaid + u.overpaid, parts = p.parts + u.parts,"
		/* it had been given out again before it turned out to be paid: nothing more, for now */
		"       hold = CASE WHEN u.overpaid > 0 THEN format('more was refunded of it than was paid, by %s (minor units): an amount had been given out again before it turned out to be paid', p.overpaid + u.overpaid) ELSE p.hold END,"
		"       hold_since = CASE WHEN u.overpaid > 0 THEN clock_timestamp() ELSE p.hold_since END,"
		"       hold_by = CASE WHEN u.overpaid > 0 THEN 'overpaid' ELSE p.hold_by END"
		"  FROM unnest($1, $2, $3, $4, $5, $6) u(id, refunding, refunded, returned, overpaid, parts)"
		" WHERE p.payment_id = u.id",
		ARGS(INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT4ARRAYOID)
	};
	Column		id,
				refunding,
				refunded,
				returned,
				overpaid,
				parts;
	Values		v = {0};
	int			n;

	column_init(&id, INT8OID);
	column_init(&refunding, INT8OID);
	column_init(&refunded, INT8OID);
	column_init(&returned, INT8OID);
	column_init(&overpaid, INT8OID);
	column_init(&parts, INT4OID);
	for (n = 0; n < b->npayments; n++)
	{
		PaymentDelta *p = &b->payments[n];

		if (!p->touched)
			continue;
		column_int8(&id, p->payment_id);
		column_int8(&refunding, p->refunding);
		column_int8(&refunded, p->refunded);
		column_int8(&returned, p->returned);
		column_int8(&overpaid, p->overpaid);
		column_int4(&parts, p->parts);
	}
	if (id.n == 0)
		return;
	values_column(&v, &id);
	values_column(&v, &refunding);
	values_column(&v, &refunded);
	values_column(&v, &returned);
	values_column(&v, &overpaid);
	values_column(&v, &parts);
	if (statement_run(&update, &v) != (uint64) id.n)
		elog(ERROR, "a locked payment vanished");
}

static void
write_instructions(Batch *b)
{
	static Statement update = {
		"UPDATE refundx.instruction i"
		"   SET state = u.state, is_open = refundx.state_is_open(u.state), detail = u.detail,"
		"       state_since = u.state_since,"
		"       due_at = u.due_at, due_call = u.due_call, polls = u.polls,"
		"       unexplained = u.unexplained, refusal = u.refusal, last_attempt_at = u.last_attempt_at,"
		"       person_reason = u.person_reason, person_suggestion = u.person_suggestion,"
		"       person_since = u.person_since, payer_amount = u.payer_amount,"
		"       channel_refund_id = u.channel_refund_id, received_by = u.received_by,"
		"       generation = u.generation, retries = u.retries"
		"  FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"
		"       u(id, state, detail, state_since, due_at, due_call, polls, unexplained, refusal,"
		"         last_attempt_at, person_reason, person_suggestion, person_since, payer_amount,"
		"         channel_refund_id, received_by, generation, retries)"
		" WHERE i.instruction_id = u.id",
		ARGS(INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID,
			 TEXTARRAYOID, INT4ARRAYOID, INT4ARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID,
			 TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
			 INT4ARRAYOID, INT4ARRAYOID)
	};
	static const Oid types[] = {
		INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, INT4OID, INT4OID,
		TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, INT8OID, TEXTOID, TEXTOID,
		INT4OID, INT4OID
	};
	Column		c[lengthof(types)];
	Values		v = {0};
	int			n;

	for (n = 0; n < (int) lengthof(types); n++)
		column_init(&c[n], types[n]);
	for (n = 0; n < b->nsubjects; n++)
	{
		Instruction *i = &b->subjects[n].row;

		if (!b->subjects[n].touched)
			continue;
		column_int8(&c[0], i->instruction_id);
		column_text(&c[1], state_name(i->state));
		column_text(&c[2], i->detail);
		column_time(&c[3], i->state_since);
		column_time(&c[4], i->due_at);
		column_text(&c[5], i->due_call);
		column_int4(&c[6], i->polls);
		column_int4(&c[7], i->unexplained);
		column_text(&c[8], i->refusal);
		column_time(&c[9], i->last_attempt_at);
		column_text(&c[10], i->person_reason);
		column_text(&c[11], i->person_suggestion);
		column_time(&c[12], i->person_since);
		if (i->has_payer_amount)
			column_int8(&c[13], i->payer_amount);
		else
			column_null(&c[13]);
		column_text(&c[14], i->channel_refund_id);
		column_text(&c[15], i->received_by);
		column_int4(&c[16], i->generation);
		column_int4(&c[17], i->retries);
	}
	if (c[0].n == 0)
		return;
	for (n = 0; n < (int) lengthof(types); n++)
		values_column(&v, &c[n]);
	if (statement_run(&update, &v) != (uint64) c[0].n)
		elog(ERROR, "a locked instruction vanished");
}

/* Holds of instructions themselves: seldom, so not columns of the update above. */
static void
write_lifted(Batch *b)
{
	static Statement lift = {
		"UPDATE refundx.instruction SET hold = NULL, hold_since = NULL, hold_by = NULL"
		" WHERE instruction_id = ANY ($1)", ARGS(INT8ARRAYOID)
	};
	Column		ids;
	Values		v = {0};
	int			n;

	column_init(&ids, INT8OID);
	for (n = 0; n < b->nsubjects; n++)
		if (b->subjects[n].touched && b->subjects[n].row.lift_hold)
			column_int8(&ids, b->subjects[n].instruction_id);
	if (ids.n == 0)
		return;
	values_column(&v, &ids);
	statement_run(&lift, &v);
}

/* A contradiction stops the payment and the account until it is resolved. */
static void
write_holds(Batch *b)
{
	static Statement hold_payment = {
		"UPDATE refundx.payment SET hold = $2, hold_since = $3, hold_by = 'contradiction'"
		" WHERE payment_id = $1 AND hold IS NULL",
		ARGS(INT8OID, TEXTOID, TIMESTAMPTZOID)
	};
	static Statement hold_account = {
		/* at the account's own row, which speaks for its slots */
		"UPDATE refundx.account SET hold = $2, hold_since = $3, hold_by = 'contradiction'"
		" WHERE account_id = (SELECT coalesce(slot_of, account_id) FROM refundx.account WHERE account_id = $1)"
		"   AND hold IS NULL",
		ARGS(INT8OID, TEXTOID, TIMESTAMPTZOID)
	};
	Column		contradicted;
	int			n;

	column_init(&contradicted, INT8OID);
	for (n = 0; n < b->nsubjects; n++)
	{
		Instruction *i = &b->subjects[n].row;
		Values		v = {0};

		if (!b->subjects[n].hold)
			continue;
		column_int8(&contradicted, i->instruction_id);
		values_int8(&v, i->payment_id);
		values_text(&v, i->person_reason);
		values_time(&v, b->now);
		statement_run(&hold_payment, &v);
		values_reset(&v);
		values_int8(&v, i->account_id);
		values_text(&v, i->person_reason);
		values_time(&v, b->now);
		statement_run(&hold_account, &v);
	}
	stop_contradictions(&contradicted, b->now);
}

static void
write_events(Batch *b)
{
	static Statement insert = {
		"INSERT INTO refundx.event (instruction_id, evidence_id, type, from_state, to_state, actor, note)"
		" SELECT u.instruction_id, u.evidence_id, u.type, u.from_state, u.to_state, session_user, u.note"
		"   FROM unnest($1, $2, $3, $4, $5, $6) WITH ORDINALITY"
		"        u(instruction_id, evidence_id, type, from_state, to_state, note, n)"
		"  ORDER BY u.n",
		ARGS(INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID)
	};
	Column		c[6];
	Values		v = {0};
	int			n;

	column_init(&c[0], INT8OID);
	column_init(&c[1], INT8OID);
	for (n = 2; n < 6; n++)
		column_init(&c[n], TEXTOID);
	for (n = 0; n < b->npieces; n++)
	{
		Piece	   *p = &b->pieces[n];
		Decision   *d = &b->decisions[n];
		bool		ours = p->state == PIECE_WEIGHED;

		if (p->state == PIECE_WAITING || p->state == PIECE_HANDED)
			continue;
		if (ours)
			column_int8(&c[0], p->instruction_id);
		else
			column_null(&c[0]);
		column_int8(&c[1], p->facts.evidence_id);
		column_text(&c[2], d->type);
		column_text(&c[3], ours ? state_name(d->from) : NULL);
		column_text(&c[4], ours ? state_name(d->to) : NULL);
		column_text(&c[5], d->note);
	}
	if (c[1].n == 0)
		return;
	for (n = 0; n < 6; n++)
		values_column(&v, &c[n]);
	statement_run(&insert, &v);
}

/* Not where a handler follows: then they come after it. */
static void
write_notices(Batch *b)
{
	Column		id,
				transition;
	int			n;

	column_init(&id, INT8OID);
	column_init(&transition, TEXTOID);
	for (n = 0; n < b->npieces; n++)
	{
		Decision   *d = &b->decisions[n];

		if (b->pieces[n].state != PIECE_WEIGHED || d->from == d->to || !(notice_follows(d->to) || d->ask_user) ||
			(b->for_runner && handlers_follow(b->pieces[n].facts.about, d->to)))
			continue;
		column_int8(&id, b->pieces[n].instruction_id);
		column_text(&transition, state_name(d->to));
	}
	notices_add(&id, &transition);
}

/*
 * What a handler follows is the runner's to settle.  Once: a settler that starts
 * finds it among what was never weighed, and hands it over again.
 */
static void
write_handed(Batch *b)
{
	static Statement insert = {
		"INSERT INTO refundx.handed (evidence_id, instruction_id)"
		" SELECT u.evidence_id, u.instruction_id"
		"   FROM unnest($1, $2) u(evidence_id, instruction_id)"
		" ON CONFLICT (evidence_id) DO NOTHING", ARGS(INT8ARRAYOID, INT8ARRAYOID)
	};
	Column		evidence,
				instruction;
	Values		v = {0};
	int			n;

	column_init(&evidence, INT8OID);
	column_init(&instruction, INT8OID);
	for (n = 0; n < b->npieces; n++)
	{
		if (b->pieces[n].state != PIECE_HANDED)
			continue;
		column_int8(&evidence, b->pieces[n].facts.evidence_id);
		column_int8(&instruction, b->pieces[n].instruction_id);
	}
	if (evidence.n == 0)
		return;
	values_column(&v, &evidence);
	values_column(&v, &instruction);
	statement_run(&insert, &v);
	wake_at_commit(WORKER_RUNNER);
}

/*
 * An empty balance or a wrong key concerns the merchant, not the row: pause
 * it, probe at growing intervals with one queued refund, resume on the first
 * answer that shows it works again.  It uses up no retry of anybody.
 */
static void
write_merchant(Batch *b, const EvidenceFacts *e, ProductKind about, bool pause)
{
	static Statement pause_it = {
		"INSERT INTO refundx.merchant_pause AS p (merchant_id, about, paused, reason, since, probes, probe_at)"
		" VALUES ($1, $6, $2, $3, $4, 1, $4 + make_interval(secs => 30 / $5))"
		" ON CONFLICT (merchant_id, about) DO UPDATE"
		"   SET paused = excluded.paused, reason = excluded.reason, probes = p.probes + 1,"
		"       probe_at = $4 + make_interval(secs => least(3600, 30 * 2 ^ least(p.probes, 7)) / $5)"
		" RETURNING probes, (SELECT merchant_no FROM refundx.merchant m WHERE m.merchant_id = p.merchant_id)",
		ARGS(INT4OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, FLOAT8OID, TEXTOID)
	};
	static Statement resume_it = {
		"DELETE FROM refundx.merchant_pause"
		" WHERE merchant_id = $1 AND about = $2", ARGS(INT4OID, TEXTOID)
	};
	int32		merchant_id = e->merchant_id;
	Values		v = {0};

	values_int4(&v, merchant_id);
	if (!pause)
	{
		values_text(&v, product_name(about));
		if (statement_run(&resume_it, &v) > 0)
			ereport(LOG, (errmsg("refundx: %ss of merchant %d work again; sending resumes",
								 product_name(about), merchant_id)));
		return;
	}
	values_text(&v, e->verdict == VERDICT_HOLD ? "hold" : "config");
	values_text(&v, psprintf("%s%s%s", e->code ? e->code : verdict_name(e->verdict),
							 e->message ? ": " : "", e->message ? e->message : ""));
	values_time(&v, b->now);
	values_datum(&v, Float8GetDatum((double) timing_of(b, e->channel_id, about)->scale), false);
	values_text(&v, product_name(about));
	/* one alarm, not one for each probe */
	if (statement_run(&pause_it, &v) > 0 && row_int4(0, 1) == 1)
	{
		const char *merchant_no = row_text(0, 2);
		Incident	paused = {
			.kind = "merchant_paused",
			.subject = psprintf("merchant %s", merchant_no),
			.reason = psprintf("%ss of merchant %s are paused (%s); the channel says %s", product_name(about), merchant_no,
							   e->verdict == VERDICT_HOLD ? "the merchant must act" : "keys, clock or rights",
							   e->code ? e->code : "nothing"),
			.done = "it is probed by itself, and resumes by itself: see refundx.merchants"
		};

		incident_add(&paused);
	}
}

static void
write_merchants(Batch *b)
{
	int			n;
	int			m;

	for (n = 0; n < b->npieces; n++)
	{
		const EvidenceFacts *e = &b->pieces[n].facts;
		bool		pause = e->verdict == VERDICT_HOLD || e->verdict == VERDICT_CONFIG;
		bool		newest = true;

		/* only calls of ours say anything about our keys and balance */
		if (b->pieces[n].state != PIECE_WEIGHED ||
			(strcmp(e->source, "answer") != 0 && strcmp(e->source, "query") != 0))
			continue;
		if (!pause && !(e->proof && strcmp(e->source, "answer") == 0))
			continue;
		for (m = n + 1; m < b->npieces && newest; m++)
		{
			const EvidenceFacts *later = &b->pieces[m].facts;

			if (b->pieces[m].state == PIECE_WEIGHED && later->merchant_id == e->merchant_id &&
				later->about == e->about &&
				strcmp(later->source, "answer") == 0 &&
				(later->proof || later->verdict == VERDICT_HOLD || later->verdict == VERDICT_CONFIG))
				newest = false;
		}
		if (newest)
			write_merchant(b, e, e->about, pause);
	}
}

/*
 * On top of the events that say why: each is one more transition, with an event of
 * its own.  Whatever the rest of the batch said of it has been weighed.
 */
static void
write_reissues(Batch *b)
{
	int			n;

	for (n = 0; n < b->nsubjects; n++)
	{
		Subject    *s = &b->subjects[n];
		char	   *why_not;

		if (!s->reissue || s->row.state != STATE_STOPPED || s->row.on_hold)
			continue;
		why_not = reissue_instruction(s->instruction_id, "by its failure policy");
		if (why_not == NULL)
		{
			Incident	given = {
				.kind = "reissued",
				.instruction_id = s->instruction_id,
				.reason = s->row.person_reason,
				.done = "it was given another number, by its failure policy: see refundx.wire_numbers"
			};

			incident_add(&given);
		}

		/* nobody has to look at it any more; or for another reason */
		s->row.person_reason = why_not ? reissue_refused(s->instruction_id, why_not) : NULL;
	}
}

/* What has become a person's with this batch, and why. */
static void
write_incidents(const Batch *b)
{
	int			n;

	for (n = 0; n < b->nsubjects; n++)
	{
		const Subject *s = &b->subjects[n];
		Incident	given = {
			.kind = s->hold ? "contradiction" : "with_person",
			.instruction_id = s->instruction_id,
			.reason = s->row.person_reason,
			.done = s->hold ? "nothing was moved; payment and account are on hold; a person has to decide"
			: "a person has to look: see refundx.desk"
		};

		if (s->touched && s->row.person_reason != NULL && s->row.person_since == b->now)
			incident_add(&given);
	}
}
