/*-------------------------------------------------------------------------
 *
 * refund.c
 *	  The life of a refund: accepted, settled, told.
 *
 * What is true of a refund is decided here and in the channel's file; what
 * the caller gets to see of it is decided by the outcome.
 *
 * sandbox/refund.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "books.h"

SbRefund *
refund_accept(SbOrder *order, const NewRefund *n, const SbOutcome *o, bool at_once)
{
	SbMerchant *m = order->merchant;
	int64_t		delay = clock_real_delay(sandbox.opt.callback_delay_ms);
	json_t	   *rec;
	SbRefund   *r;

	rec = json_pack("{ss ss ss ss ss ss ss ss sI ss ss sI sI}",
					"e", "refund", "channel", m->channel->name, "mchid", m->mchid,
					"no", n->no, "refund_id", n->refund_id,
					"transaction_id", order->transaction_id,
					"sub_mchid", n->sub_mchid ? n->sub_mchid : "",
					"digest", n->digest ? n->digest : "", "amount", (json_int_t) n->amount,
					"outcome", o->name, "notify_url", n->notify_url ? n->notify_url : "",
					"wall", (json_int_t) business_ms(),
					"visible_at",
					(json_int_t) (o->hidden ? clock_now() + sandbox.opt.not_found_ms : 0));
	if (n->data != NULL)
		json_object_set_new(rec, "data", n->data);
	if (!at_once)
	{
		json_object_set_new(rec, "next_at", json_integer(clock_now() + delay + 1));
		json_object_set_new(rec, "next", json_string(refund_status_name(o->first)));
	}
	ledger_add(rec, false);
	r = model_refund_by_id(m->mchid, n->refund_id);
	plant_draw_refund(r);
	return r;
}

void
refund_become(SbRefund *r, RefundStatus status, RefundStatus then, int64_t then_at,
			  bool to_merchant, int64_t told_in)
{
	const SbOutcome *o = outcome_named(r->channel, r->outcome);
	int64_t		due = clock_now() + told_in;
	char		event_id[33];
	int			i;

	record_settle(r, status, to_merchant, then, then_at);
	random_nonce(event_id);
	if (o->reversed && status == o->first && o->first != o->then)
		due += clock_real_delay(3 * (int64_t) sandbox.opt.callback_delay_ms + 100);
	for (i = 0; i < o->callbacks; i++)
		record_callback(r, status, o->flavour, due, event_id);
}

/* It takes its next step. */
void
refund_step(SbRefund *r)
{
	const SbOutcome *o = outcome_named(r->channel, r->outcome);
	RefundStatus status = r->next_status;

	if (status == o->first && o->then != o->first && r->status == REFUND_PROCESSING)
		refund_become(r, status, o->then,
					  clock_now() + clock_real_delay(sandbox.opt.callback_delay_ms) + 1, false, 0);
	else
		refund_become(r, status, status, 0, o->to_merchant && status == REFUND_SUCCESS, 0);
}

const char *
refund_url(const SbRefund *r)
{
	return r->notify_url ? r->notify_url : r->order->merchant->notify_url;
}

void
refund_hold_for_callback(SbRefund *r, SbRequest *req)
{
	if (refund_url(r) == NULL)
		return;
	request_wait(req, &r->waiting);
}
