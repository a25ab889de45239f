/*-------------------------------------------------------------------------
 *
 * transfer.c
 *	  The life of a transfer: accepted, along the path of its outcome, told.
 *
 * A path says what a transfer becomes, and when.  Commands (a payee confirms,
 * a merchant cancels, a person settles) take it off its path, or along it
 * sooner.  What waits for somebody who never comes fails after 24 hours of the
 * sandbox's clock, as at WeChat Pay.
 *
 * sandbox/transfer.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "transfer.h"

#define HOUR_MS			INT64_C(3600000)
#define WAIT_MS			(24 * HOUR_MS)
#define OVERDUE			"OVERDUE_CLOSE"
#define OFF_PATH		(-1)

const SbOutcome *
transfer_outcome(const SbTransfer *t)
{
	return outcome_in(t->channel->transfer_outcomes, t->outcome);
}

static const TransferPath *
path_for(const SbOutcome *o, bool to_card)
{
	return to_card && o->card_path != NULL ? o->card_path : o->path;
}

static const TransferPath *
path_of(const SbTransfer *t)
{
	return path_for(transfer_outcome(t), t->to_card);
}

/* The step after `step`; STEP_END past the last, and off the path. */
static const TransferStep *
step_after(const TransferPath *p, int step)
{
	static const TransferStep none = {TRANSFER_ACCEPTED, STEP_END};

	return step >= 0 && step + 1 < PATH_STEPS ? &p->step[step + 1] : &none;
}

static const char *
reason_on(const TransferPath *p, TransferStatus s)
{
	return s == TRANSFER_FAIL || s == TRANSFER_REFUND ? p->reason : NULL;
}

bool
transfer_is_final(TransferStatus s)
{
	return s == TRANSFER_SUCCESS || s == TRANSFER_FAIL || s == TRANSFER_CANCELLED ||
		s == TRANSFER_REFUND;
}

bool
transfer_funded(const SbMerchant *m, int64_t amount)
{
	return !m->balance_known || m->balance >= amount;
}

void
transfer_key(const char *no, char key[SB_NO_MAX + 16])
{
	snprintf(key, SB_NO_MAX + 16, "transfer/%.*s", SB_NO_MAX, no);
}

/* ---- what comes next by itself ---- */

static int64_t
delay_ms(void)
{
	return clock_real_delay(sandbox.opt.callback_delay_ms);
}

static void
next_in(TransferMove *move, int64_t ms, TransferStatus becomes, const char *reason)
{
	move->next_at = clock_now() + ms + 1;
	move->next = becomes;
	move->next_reason = reason;
}

static void
plan_payee(const SbChannel *channel, const TransferStep *n, TransferMove *move)
{
	if (n->when == STEP_PAYEE && sandbox.opt.payee == PAYEE_CONFIRMS)
		next_in(move, delay_ms(), n->becomes, NULL);
	else if (n->when == STEP_PAYEE && sandbox.opt.payee == PAYEE_DECLINES)
		next_in(move, delay_ms(), TRANSFER_FAIL, channel->transfer_fail_reason);
	else
		next_in(move, WAIT_MS, TRANSFER_FAIL, OVERDUE);
}

static void
plan(const SbChannel *channel, const TransferPath *p, TransferMove *move)
{
	const TransferStep *n = step_after(p, move->step);
	const char *reason = reason_on(p, n->becomes);

	switch (n->when)
	{
		case STEP_END:
		case STEP_NOW:
			break;
		case STEP_DELAY:
			next_in(move, delay_ms(), n->becomes, reason);
			break;
		case STEP_HOUR:
			next_in(move, HOUR_MS, n->becomes, reason);
			break;
		case STEP_TWO_DAYS:
			next_in(move, 2 * WAIT_MS, n->becomes, reason);
			break;
		case STEP_PAYEE:
		case STEP_COMMAND:
		case STEP_FUNDS:
			plan_payee(channel, n, move);
			break;
	}
}

/* ---- telling ---- */

/* Its own; else the application gateway's; else the merchant's. */
const char *
transfer_url(const SbTransfer *t)
{
	if (t->notify_url != NULL)
		return t->notify_url;
	return t->merchant->gateway_url ? t->merchant->gateway_url : t->merchant->notify_url;
}

/* What it says is frozen now: the transfer may go on before it is pushed. */
static void
tell(SbTransfer *t, int copies, int64_t due, CallbackFlavour flavour, bool foreign)
{
	const char *url = transfer_url(t);
	char		event_id[33];
	int			i;

	if (url == NULL)
		return;
	random_nonce(event_id);
	for (i = 0; i < copies; i++)
		record_flavoured_event(t->merchant, NULL, "transfer", url, event_id, due,
							   json_pack("{ss ss ss sI sb}", "transfer_id", t->id,
										 "status", transfer_status_name(t->status),
										 "reason", t->reason, "at", (json_int_t) t->changed,
										 "foreign", foreign && i % 2 == 1), flavour);
}

void
transfer_tell(SbTransfer *t, int copies, int64_t due)
{
	tell(t, copies, due, CALLBACK_TRUE, false);
}

/* As its outcome wants it told. */
static void
tell_outcome(SbTransfer *t, int64_t told_in)
{
	const SbOutcome *o = transfer_outcome(t);
	const TransferPath *p = path_of(t);
	int64_t		due = clock_now() + told_in;

	if (!transfer_is_final(t->status) || (t->status == TRANSFER_REFUND && p->quiet_bounce))
		return;
	if (p->late)
		due += HOUR_MS;
	/* what comes after it on the path is told first */
	if (o->reversed && step_after(p, t->step)->when != STEP_END)
		due += clock_real_delay(3 * (int64_t) sandbox.opt.callback_delay_ms + 100);
	tell(t, o->callbacks, due, o->flavour, p->foreign);
}

void
transfer_hold_for_callback(SbTransfer *t, SbRequest *req)
{
	if (transfer_url(t) != NULL)
		request_wait(req, &t->waiting);
}

/* ---- moving ---- */

static void
move_to(SbTransfer *t, TransferStatus status, const char *reason, int step, int64_t told_in)
{
	const TransferPath *p = path_of(t);
	TransferMove move = {.status = status, .reason = reason, .step = step};
	const TransferStep *n = step_after(p, step);

	plan(t->channel, p, &move);
	if (step == OFF_PATH && status == TRANSFER_TRANSFERING)
		next_in(&move, delay_ms(), TRANSFER_SUCCESS, NULL);
	record_transfer_status(t, &move);
	tell_outcome(t, told_in);
	if (n->when == STEP_NOW)
		move_to(t, n->becomes, reason_on(p, n->becomes), step + 1, told_in);
}

/*
 * What ends at once is told as much later as what does not: the caller has
 * its answer by then, unless the outcome wants it otherwise.
 */
SbTransfer *
transfer_accept(SbMerchant *m, const NewTransfer *n, const SbOutcome *o)
{
	const TransferPath *p = path_for(o, n->to_card);
	TransferStatus first = p->step[0].becomes;
	bool		at_once = transfer_is_final(first);
	TransferMove move = {.status = at_once ? TRANSFER_PROCESSING : first};
	SbTransfer *t;

	if (!at_once)
		plan(m->channel, p, &move);
	t = record_transfer(m, n, o->name, o->hidden ? clock_now() + sandbox.opt.not_found_ms : 0,
						&move);
	if (at_once)
		move_to(t, first, reason_on(p, first), 0,
				o->fault == FAULT_AFTER_CALLBACK ? 0 : delay_ms());
	return t;
}

/*
 * What was to come has come: the next step of its path, or what becomes of it
 * because nobody took that.
 */
void
transfer_step(SbTransfer *t)
{
	const TransferStep *n = step_after(path_of(t), t->step);
	bool		on_path = n->when != STEP_END && n->becomes == t->next_status;
	char		reason[sizeof(t->next_reason)];

	str_copy(reason, sizeof(reason), t->next_reason);
	move_to(t, t->next_status, *reason ? reason : NULL, on_path ? t->step + 1 : OFF_PATH, 0);
}

void
transfer_hurry(SbTransfer *t)
{
	if (t->next_at > 0)
		transfer_step(t);
}

/* Locking the money is tried again when the call is (4.2). */
void
transfer_asked_again(SbTransfer *t)
{
	const TransferStep *n = step_after(path_of(t), t->step);

	if (n->when == STEP_FUNDS && t->merchant->balance_at > t->sequence)
		move_to(t, n->becomes, NULL, t->step + 1, 0);
}

void
transfer_cancel(SbTransfer *t)
{
	const TransferPath *p = path_of(t);
	TransferMove move = {.status = TRANSFER_CANCELING, .step = OFF_PATH};

	if (p->lost_cancel)
		next_in(&move, delay_ms(), TRANSFER_TRANSFERING, NULL);
	else
		next_in(&move, p->slow_cancel ? HOUR_MS : delay_ms(), TRANSFER_CANCELLED, "MCH_CANCEL");
	record_transfer_status(t, &move);
}

/* ---- a person's doing ---- */

const char *
transfer_confirm(SbTransfer *t)
{
	const TransferStep *n = step_after(path_of(t), t->step);

	if (t->status != TRANSFER_WAITING)
		return "nobody is asked to confirm the transfer";
	if (n->when == STEP_PAYEE || n->when == STEP_COMMAND)
		move_to(t, n->becomes, reason_on(path_of(t), n->becomes), t->step + 1, 0);
	else
		move_to(t, TRANSFER_SUCCESS, NULL, OFF_PATH, 0);
	return NULL;
}

const char *
transfer_decline(SbTransfer *t)
{
	if (t->status != TRANSFER_WAITING)
		return "nobody is asked to confirm the transfer";
	move_to(t, TRANSFER_FAIL, t->channel->transfer_fail_reason, OFF_PATH, 0);
	return NULL;
}

const char *
transfer_bounce(SbTransfer *t)
{
	if (!t->to_card)
		return "only a transfer to a bank card can bounce";
	if (t->status != TRANSFER_SUCCESS)
		return "the transfer has not succeeded, or has bounced already";
	move_to(t, TRANSFER_REFUND, t->channel->transfer_fail_reason, OFF_PATH, 0);
	return NULL;
}

const char *
transfer_settle(SbTransfer *t, TransferStatus status)
{
	if (status == TRANSFER_REFUND)
		return transfer_bounce(t);
	if (transfer_is_final(t->status))
		return "the transfer is final already";
	if (!transfer_is_final(status) || (status == TRANSFER_CANCELLED && t->channel != &wechat_channel))
		return "the transfer cannot become that";
	move_to(t, status, status == TRANSFER_FAIL ? t->channel->transfer_fail_reason : NULL,
			OFF_PATH, 0);
	return NULL;
}
