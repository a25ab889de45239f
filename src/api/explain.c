/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  What a refund waits for, in one sentence for support staff.
 *
 * The sentence says what happened last, what happens next and when, and what
 * stands in the way if something does.  It is made from the rows and from
 * what the dispatcher itself goes by, so that it does not promise what nobody
 * is going to do.
 *
 * src/api/explain.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/sql.h"

#include "base/clock.h"
#include "base/errors.h"
#include "base/settings.h"
#include "base/shmem.h"
#include "lib/stringinfo.h"
#include "money/money.h"
#include "money/state.h"
#include "notice/notice.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(refundx_refund_explain);
PG_FUNCTION_INFO_V1(refundx_withdraw_explain);

/* Everything that the sentence is made from. */
typedef struct Facts
{
	ProductKind kind;
	State		state;
	const char *label;			/* "WeChat Pay" */
	int64		spacing_us;		/* between the starts of a payment's refunds */
	char	   *since;			/* "14:02", with the date unless today */
	char	   *detail;
	char	   *message;		/* the channel's words, of what moved it */
	char	   *note;			/* ours, likewise */
	int64		due_at;
	char	   *due_call;
	int			attempts;
	bool		may_send;
	char	   *refusal;
	char	   *person_reason;
	char	   *person_suggestion;
	char	   *amount;			/* "12.34 CNY": what the payer gets */
	char	   *received_by;
	char	   *paused;
	char	   *paused_reason;
	int64		probe_at;
	char	   *stop;			/* a person's pause, or refundx's own, in words */
	char	   *cap;			/* which has no room for it, in words */
	int64		room_at;		/* when it is likely to have some */
	char	   *breaker;		/* which holds it back, in words */
	int64		breaker_probe_at;
	char	   *hold;
	bool		armed;
	bool		callback;		/* one has come */
	bool		handover;		/* the payee has something to confirm */
	bool		cancel_requested;
	char	   *approval;		/* why a second person has to agree */
	const char *number;
	char	   *bill;			/* what the channel's bill says of it, in words; NULL = nothing */
	char	   *handler;		/* one that waits, in words; NULL = none */
	bool		handler_blocks; /* and the settlement with it */
	char	   *ahead;			/* refund of the same payment that is undecided */
	int64		last_start;		/* of a refund of the same payment */
} Facts;

static Datum explain(FunctionCallInfo fcinfo, ProductKind kind);
static bool facts_read(ProductKind kind, const char *number, Facts *f);
static void say_queued(const Facts *f, StringInfo s);
static void say_unknown(const Facts *f, StringInfo s);
static void say_accepted(const Facts *f, StringInfo s);
static void say_finished(const Facts *f, StringInfo s);
static void say_person(const Facts *f, StringInfo s);
static void handler_read(Facts *f);
static void bill_read(Facts *f);
static const char *obstacle(const Facts *f);
static char *in_time(int64 at);

/* SQL: refund_explain(refund_no text) returns text */
Datum
refundx_refund_explain(PG_FUNCTION_ARGS)
{
	return explain(fcinfo, PRODUCT_REFUND);
}

/* SQL: withdraw_explain(withdrawal_no text) returns text */
Datum
refundx_withdraw_explain(PG_FUNCTION_ARGS)
{
	return explain(fcinfo, PRODUCT_TRANSFER);
}

static Datum
explain(FunctionCallInfo fcinfo, ProductKind kind)
{
	char	   *number = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	Facts		f = {0};
	StringInfoData s;
	text	   *result;

	argument_text(kind == PRODUCT_REFUND ? "refund_no" : "withdrawal_no", number, CHANNEL_NO_MAX);
	SPI_connect();
	if (!facts_read(kind, number, &f))
		ereport(ERROR,
				(errcode(ERRCODE_RX_UNKNOWN_REFUND),
				 errmsg("%s \"%s\" does not exist", product_name(kind), number)));
	handler_read(&f);
	bill_read(&f);
	initStringInfo(&s);
	switch (f.state)
	{
		case STATE_AWAITING_APPROVAL:
			appendStringInfo(&s, "It waits since %s for a second person to approve it%s%s", f.since,
							 f.approval ? ": " : "", f.approval ? f.approval : "");
			break;
		case STATE_QUEUED:
			say_queued(&f, &s);
			break;
		case STATE_SENDING:
			appendStringInfo(&s, "It is being sent to %s since %s (attempt %d)", f.label, f.since, f.attempts);
			if (obstacle(&f))
				appendStringInfo(&s, ", but %s", obstacle(&f));
			break;
		case STATE_UNKNOWN:
			say_unknown(&f, &s);
			break;
		case STATE_ACCEPTED:
			say_accepted(&f, &s);
			break;
		case STATE_ABNORMAL:
			appendStringInfo(&s, "%s has had the money since %s, but the payee cannot receive it; it stays frozen here",
							 f.label, f.since);
			break;
		case STATE_STOPPED:
			appendStringInfo(&s, "%s ended its number at %s%s%s%s; nothing was paid, and the money stays frozen until it is decided how it goes on",
							 f.label, f.since, f.detail ? " (" : "", f.detail ? f.detail : "", f.detail ? ")" : "");
			break;
		default:
			say_finished(&f, &s);
			break;
	}
	if (f.bill)
		appendStringInfo(&s, "; %s", f.bill);
	if (f.handler)
		appendStringInfo(&s, "; %s", f.handler);
	say_person(&f, &s);
	appendStringInfoChar(&s, '.');

	/* SPI_finish() takes everything else with it */
	result = SPI_palloc(s.len + VARHDRSZ);
	SET_VARSIZE(result, s.len + VARHDRSZ);
	memcpy(VARDATA(result), s.data, s.len);
	SPI_finish();
	PG_RETURN_TEXT_P(result);
}

static bool
facts_read(ProductKind kind, const char *number, Facts *f)
{
	static Statement find = {
		"SELECT i.state, c.kind,"
		"       to_char(i.state_since, CASE WHEN i.state_since::date = current_date THEN 'HH24:MI'"
		"                                   ELSE 'YYYY-MM-DD HH24:MI' END),"
		"       i.detail, moved.message, moved.note, i.due_at, i.due_call, i.attempts, i.may_send, i.refusal,"
		"       i.person_reason, i.person_suggestion, coalesce(i.payer_amount, i.amount), i.currency,"
		"       i.received_by, m.paused, m.reason, m.probe_at,"
		"       coalesce('it is on hold: ' || i.hold, 'its payment is on hold: ' || p.hold), refundx.armed(),"
		"       EXISTS (SELECT FROM refundx.evidence e"
		"                WHERE e.merchant_id = i.merchant_id AND e.wire_no = i.wire_no AND e.source = 'callback'),"
		"       (SELECT o.instruction_no FROM refundx.instruction o"
		"         WHERE o.payment_id = i.payment_id AND o.is_open AND o.instruction_id <> i.instruction_id"
		"           AND o.state IN ('sending', 'unknown')"
		"         ORDER BY o.instruction_id LIMIT 1),"
		"       (SELECT max(a.started_at) FROM refundx.instruction o"
		"          JOIN refundx.attempt a ON a.instruction_id = o.instruction_id AND a.call = 'submit'"
		"         WHERE o.payment_id = i.payment_id AND o.instruction_id <> i.instruction_id),"
		"       c.config::text, i.cancel_requested_at IS NOT NULL, o.approval,"
		"       EXISTS (SELECT FROM refundx.evidence e WHERE e.merchant_id = i.merchant_id"
		"                AND e.wire_no = i.wire_no AND e.about = i.kind AND e.handover IS NOT NULL AND e.code = i.detail),"
		"       (SELECT refundx.pause_text(s) FROM refundx.pauses_of(i.instruction_id) s LIMIT 1),"
		"       CASE WHEN k.cap_id IS NULL THEN NULL"
		"            WHEN w.amount > k.max_amount THEN 'it is larger than ' || refundx.cap_text(k)"
		"            ELSE 'it waits for room in ' || refundx.cap_text(k) END, w.room_at,"
		"       CASE b.about WHEN 'all' THEN 'does not answer' ELSE 'answers most calls with errors' END, b.probe_at"
		"  FROM refundx.instruction i"
		"  JOIN refundx.channel c USING (channel_id)"
		"  LEFT JOIN refundx.merchant_pause m ON m.merchant_id = i.merchant_id AND m.about = i.kind"
		"  LEFT JOIN refundx.payment p USING (payment_id)"
		"  LEFT JOIN refundx.payout o ON o.instruction_id = i.instruction_id"
		"  LEFT JOIN LATERAL (SELECT * FROM refundx.breaker b"
		"                      WHERE b.merchant_id = i.merchant_id AND b.closed_at IS NULL AND b.about IN ('all', i.kind)"
		"                        AND b.call IN ('all', i.due_call) ORDER BY b.probe_at DESC LIMIT 1) b ON true"
		"  LEFT JOIN refundx.cap_wait w ON w.instruction_id = i.instruction_id"
		"  LEFT JOIN refundx.cap k ON k.cap_id = w.cap_id AND k.removed_at IS NULL"
		"  LEFT JOIN LATERAL (SELECT e.message, x.note FROM refundx.event x"
		"                       LEFT JOIN refundx.evidence e ON e.evidence_id = x.evidence_id"
		"                      WHERE x.instruction_id = i.instruction_id AND x.to_state = i.state"
		"                        AND x.from_state IS DISTINCT FROM x.to_state"
		"                      ORDER BY x.seq DESC LIMIT 1) moved ON true"
		" WHERE (i.submitted_by = session_user OR refundx.reads_all()) AND i.instruction_no = $1"
		"   AND i.kind = $2", ARGS(TEXTOID, TEXTOID)
	};
	const Channel *channel;
	Values		v = {0};
	char		amount[64];

	values_text(&v, number);
	values_text(&v, product_name(kind));
	if (statement_run(&find, &v) != 1)
		return false;
	f->kind = kind;
	f->number = number;
	channel = channel_lookup(row_text(0, 2));
	if (channel == NULL || !state_from_name(row_text(0, 1), &f->state))
		elog(ERROR, "%s \"%s\" has a state or channel that is not built in", product_name(kind), number);
	f->label = channel->label;
	f->spacing_us = (int64) (channel->refund->limits.part_spacing * (double) USECS_PER_SEC /
							 channel_time_scale(row_text(0, 25)));
	f->since = row_text(0, 3);
	f->detail = row_text(0, 4);
	f->message = row_text(0, 5);
	f->note = row_text(0, 6);
	f->due_at = row_time(0, 7);
	f->due_call = row_text(0, 8);
	f->attempts = row_int4(0, 9);
	f->may_send = row_bool(0, 10);
	f->refusal = row_text(0, 11);
	f->person_reason = row_text(0, 12);
	f->person_suggestion = row_text(0, 13);
	notice_format_amount(row_int8(0, 14), row_text(0, 15), amount, sizeof(amount));
	f->amount = psprintf("%s %s", amount, row_text(0, 15));
	f->received_by = row_text(0, 16);
	f->paused = row_text(0, 17);
	f->paused_reason = row_text(0, 18);
	f->probe_at = row_time(0, 19);
	f->hold = row_text(0, 20);
	f->armed = row_bool(0, 21);
	f->callback = row_bool(0, 22);
	f->ahead = row_text(0, 23);
	f->last_start = row_time(0, 24);
	f->cancel_requested = row_bool(0, 26);
	f->approval = row_text(0, 27);
	f->handover = row_bool(0, 28);
	f->stop = row_text(0, 29);
	f->cap = row_text(0, 30);
	f->room_at = row_time(0, 31);
	f->breaker = row_text(0, 32);
	f->breaker_probe_at = row_time(0, 33);
	if (row_null(0, 33))
		f->breaker = NULL;
	return true;
}

/*
 * The bill is the channel's last word: that it does not agree comes first, then that
 * it is what proved this, then that it agrees with what had proved it before.  Lines
 * have no index by number, so only bills of the days around it are looked through,
 * and only for one that is finished.
 */
static void
bill_read(Facts *f)
{
	static Statement find = {
		"SELECT coalesce("
		"  (SELECT format('the bill of %s does not agree (%s, break %s in refundx.breaks)', b.day, replace(b.class, '_', ' '), b.break_id)"
		"     FROM refundx.break b WHERE b.instruction_id = i.instruction_id AND b.closed_at IS NULL"
		"    ORDER BY b.break_id LIMIT 1),"
		"  (SELECT 'proven by the bill of ' || coalesce("
		"            (SELECT max(w.day) FROM refundx.bill_word w WHERE w.instruction_id = i.instruction_id AND w.evidence_id = e.evidence_id),"
		"            (SELECT max(b.day) FROM refundx.break b WHERE b.instruction_id = i.instruction_id AND b.closed_how = 'accepted'))"
		"     FROM refundx.event x JOIN refundx.evidence e USING (evidence_id)"
		"    WHERE x.instruction_id = i.instruction_id AND x.to_state = i.state AND x.from_state <> x.to_state AND e.source = 'bill'"
		"    ORDER BY x.seq DESC LIMIT 1),"
		"  (SELECT format('the bill of %s agrees', min(b.day))"
		"     FROM refundx.bill_line l JOIN refundx.bill b USING (bill_id)"
		"    WHERE i.state IN ('succeeded', 'returned') AND l.movement = 'paid'"
		"      AND l.wire_no = i.wire_no AND l.about = i.kind AND l.amount = i.amount"
		"      AND l.bill_id = ANY (ARRAY(SELECT n.bill_id FROM refundx.bill n"
		"                                  WHERE n.merchant_id = i.merchant_id AND n.state = 'loaded'"
		"                                    AND n.day BETWEEN i.submitted_at::date - 1 AND i.state_since::date + 2))"
		"   HAVING count(*) > 0))"
		"  FROM refundx.instruction i WHERE i.instruction_no = $1 AND i.kind = $2", ARGS(TEXTOID, TEXTOID)
	};
	Values		v = {0};

	values_text(&v, f->number);
	values_text(&v, product_name(f->kind));
	if (statement_run(&find, &v) == 1)
		f->bill = row_text(0, 1);
}

/* Why nothing at all is sent or asked here; NULL if nothing is in the way. */
static const char *
obstacle(const Facts *f)
{
	DatabaseSlot *db = shmem_my_database();

	if (!f->armed)
		return "nothing is sent or asked here, because this database is not armed for this server (see refundx.arm)";
	if (!rx_dispatch)
		return "nothing is sent or asked here, because refundx.dispatch is off";
	if (db == NULL)
		return "no worker serves this database (see refundx.databases)";
	if (db->worker[WORKER_DISPATCHER].pid == 0)
		return "the dispatcher is not running (see refundx.health)";
	return NULL;
}

/* "in 40 s", "in 5 min", "now" */
static char *
in_time(int64 at)
{
	int64		seconds = (at - clock_now() + USECS_PER_SEC - 1) / USECS_PER_SEC;

	if (at == 0 || seconds <= 0)
		return "now";
	if (seconds <= 120)
		return psprintf("in %d s", (int) seconds);
	if (seconds <= 120 * 60)
		return psprintf("in %d min", (int) (seconds / 60));
	if (seconds <= 48 * 3600)
		return psprintf("in %d h", (int) (seconds / 3600));
	return psprintf("in %d days", (int) (seconds / 86400));
}

static void
say_queued(const Facts *f, StringInfo s)
{
	int64		spaced = f->last_start + f->spacing_us;
	const char *why = obstacle(f);

	if (f->attempts > 0)
		appendStringInfo(s, "%s did not execute it at %s%s%s, so the same number may be sent again",
						 f->label, f->since, f->detail ? ": " : "", f->detail ? f->detail : "");
	else
		appendStringInfo(s, "It is queued since %s", f->since);

	if (f->hold)
		appendStringInfo(s, "; it is not sent while %s", f->hold);
	else if (f->stop)
		appendStringInfo(s, "; it is not sent, for %s", f->stop);
	else if (why)
		appendStringInfo(s, "; %s", why);
	else if (f->paused)
		appendStringInfo(s, "; it is not sent while the merchant is paused (%s: %s); one %s tries again %s",
						 f->paused, f->paused_reason ? f->paused_reason : "no reason given",
						 product_name(f->kind), in_time(f->probe_at));
	else if (f->due_call && strcmp(f->due_call, "query") == 0)
		appendStringInfo(s, "; %s is asked about it %s, before it is sent", f->label, in_time(f->due_at));
	else if (f->breaker)
		appendStringInfo(s, "; %s %s, so one call at a time tries, the next %s", f->label, f->breaker, in_time(f->breaker_probe_at));
	else if (f->cap)
		appendStringInfo(s, "; %s, where there is likely to be some %s", f->cap, in_time(f->room_at));
	else if (f->ahead)
		appendStringInfo(s, "; it waits until %s has answered about refund %s of the same payment", f->label, f->ahead);
	else if (f->last_start != 0 && spaced > clock_now() && spaced > f->due_at)
		appendStringInfo(s, "; it is sent %s, because refunds of one payment start %d s apart",
						 in_time(spaced), (int) (f->spacing_us / USECS_PER_SEC));
	else
		appendStringInfo(s, "; it is sent %s", in_time(f->due_at));
}

static void
say_unknown(const Facts *f, StringInfo s)
{
	if (!f->may_send)
		appendStringInfo(s, "It was taken on at %s as sent by somebody else", f->since);
	else if (f->refusal)
		appendStringInfo(s, "%s refused it at %s (%s) without a signature, so a query has to agree",
						 f->label, f->since, f->refusal);
	else
		appendStringInfo(s, "Whether %s has executed it is not known since %s%s%s%s",
						 f->label, f->since,
						 f->message || f->detail ? " (" : "",
						 f->message ? f->message : f->detail ? f->detail : "",
						 f->message || f->detail ? ")" : "");
	if (obstacle(f))
		appendStringInfo(s, "; %s", obstacle(f));
	else
		appendStringInfo(s, "; it is asked about %s, and not sent again before that has an answer", in_time(f->due_at));
}

static void
say_accepted(const Facts *f, StringInfo s)
{
	appendStringInfo(s, "%s accepted it at %s; ", f->label, f->since);
	if (f->cancel_requested)
		appendStringInfoString(s, "it is asked to give it up, and only its word ends it; ");
	else if (f->handover)
		appendStringInfo(s, "it waits for the payee to confirm (%s); ", f->detail ? f->detail : "no status");
	else
		appendStringInfo(s, "%s; ", f->callback ? "a callback has come, without an end" : "no callback yet");
	if (f->handler_blocks)
		appendStringInfoString(s, "the channel has answered since");
	else if (obstacle(f))
		appendStringInfoString(s, obstacle(f));
	else
		appendStringInfo(s, "it will be asked again %s", in_time(f->due_at));
}

static void
say_finished(const Facts *f, StringInfo s)
{
	if (f->detail && strcmp(f->detail, "operator") == 0)
	{
		appendStringInfo(s, "An operator resolved it as %s at %s%s%s", state_name(f->state), f->since,
						 f->message ? ": " : "", f->message ? f->message : "");
		return;
	}
	switch (f->state)
	{
		case STATE_SUCCEEDED:
			appendStringInfo(s, "%s paid %s at %s%s%s", f->label, f->amount, f->since,
							 f->received_by ? " to " : "", f->received_by ? f->received_by : "");
			break;
		case STATE_FAILED:
			appendStringInfo(s, "%s refused it for good at %s%s%s%s; nothing was paid, and its amount is free again",
							 f->label, f->since, f->detail ? " (" : "", f->detail ? f->detail : "",
							 f->detail ? ")" : "");
			break;
		case STATE_RETURNED:
			appendStringInfo(s, "The money came back from %s at %s; it is here, and counts as returned",
							 f->label, f->since);
			break;
		default:
			if (f->attempts > 0)
				appendStringInfo(s, "%s canceled it at %s; nothing was paid, and its amount is free again",
								 f->label, f->since);
			else
				appendStringInfo(s, "It was canceled at %s before it was ever sent%s%s; its amount is free again",
								 f->since, f->detail ? ": " : "", f->detail ? f->detail : "");
			break;
	}
}

/* What is said of a handler that waits, if there is one. */
static void
handler_read(Facts *f)
{
	static Statement find = {
		"SELECT h.function_schema || '.' || h.function_name, r.transition, r.blocks, r.state, r.next_at"
		"  FROM refundx.handler_run r"
		"  JOIN refundx.handler h USING (handler_id)"
		"  JOIN refundx.instruction i USING (instruction_id)"
		" WHERE i.instruction_no = $1 AND r.is_open ORDER BY r.run_id LIMIT 1", ARGS(TEXTOID)
	};
	const char *when;
	char	   *state;
	Values		v = {0};

	values_text(&v, f->number);
	if (statement_run(&find, &v) != 1)
		return;
	state = row_text(0, 4);
	if (strcmp(state, "paused") == 0)
		when = "which is paused";
	else if (strcmp(state, "with_person") == 0)
		when = "which has failed and is not called again by itself (refundx.handler_failures)";
	else
		when = psprintf("which %s called %s", strcmp(state, "retrying") == 0 ? "has failed and is" : "is", in_time(row_time(0, 5)));
	f->handler_blocks = row_bool(0, 3);
	f->handler = psprintf("%s the handler %s, of %s, %s", f->handler_blocks ? "it is settled after" : "its notice waits for",
						  row_text(0, 1), row_text(0, 2), when);
}

static void
say_person(const Facts *f, StringInfo s)
{
	if (f->person_reason == NULL)
		return;
	appendStringInfo(s, "; it is with a person: %s", f->person_reason);
	if (f->person_suggestion)
	{
		appendStringInfo(s, " (%s)", f->person_suggestion);
		/* their full stop would end our sentence */
		if (s->len >= 2 && s->data[s->len - 2] == '.')
		{
			s->data[s->len - 2] = ')';
			s->data[--s->len] = '\0';
		}
	}
}
