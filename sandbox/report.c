/*-------------------------------------------------------------------------
 *
 * report.c
 *	  The ledger as others read it: JSON, tab-separated lines, counters.
 *
 * sandbox/report.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "transfer.h"

static json_t *
refund_row(const SbRefund *r)
{
	return json_pack("{ss ss ss ss ss ss ss sI sI ss ss si sb sb si sI sI}",
					 "no", r->no, "channel", r->channel->name,
					 "mchid", r->order->merchant->mchid, "sub_mchid", r->sub_mchid,
					 "refund_id", r->refund_id,
					 "transaction_id", r->order->transaction_id,
					 "out_trade_no", r->order->out_trade_no,
					 "total", (json_int_t) r->order->total,
					 "amount", (json_int_t) r->amount,
					 "status", refund_status_name(r->status), "outcome", r->outcome,
					 "paid_times", r->first->number_paid, "to_merchant", r->to_merchant,
					 "returned", r->returned,
					 "calls_since_start", r->calls,
					 "created_ms", (json_int_t) r->created,
					 "settled_ms", (json_int_t) r->settled);
}

static json_t *
sms_row(const SbSms *s)
{
	return json_pack("{ss ss ss ss ss ss sI}", "provider", s->provider, "phone", s->phone,
					 "out_id", s->out_id, "biz_id", s->biz_id, "template", s->template,
					 "param", s->param, "at_ms", (json_int_t) s->at);
}

/* Of one number only, unless only_no is NULL. */
json_t *
report_ledger(const char *only_no)
{
	const SbModel *m = &sandbox.model;
	json_t	   *refunds = json_array();
	json_t	   *sms = json_array();
	size_t		i;

	for (i = 0; i < m->refund_count; i++)
		if (only_no == NULL || strcmp(m->refund_list[i]->no, only_no) == 0)
			json_array_append_new(refunds, refund_row(m->refund_list[i]));
	for (i = 0; i < m->sms_count; i++)
		if (only_no == NULL || strcmp(m->sms_list[i]->out_id, only_no) == 0)
			json_array_append_new(sms, sms_row(m->sms_list[i]));
	return json_pack("{so so so}", "refunds", refunds, "transfers", report_transfers(only_no),
					 "sms", sms);
}

/* number, amount, status, how often it was paid; for COPY ... FROM PROGRAM */
void
report_tsv(Buf *out)
{
	const SbModel *m = &sandbox.model;
	size_t		i;

	for (i = 0; i < m->refund_count; i++)
		buf_addf(out, "%s\t%lld\t%s\t%d\n", m->refund_list[i]->no,
				 (long long) m->refund_list[i]->amount,
				 refund_status_name(m->refund_list[i]->status), m->refund_list[i]->first->number_paid);
}

/* The balance that transfers are paid from; null = there is always enough. */
static json_t *
merchant_stats(const SbMerchant *m)
{
	return json_pack("{ss sI sI sI si si so}", "channel", m->channel->name, "ok", (json_int_t) m->ok_total,
					 "failing", (json_int_t) m->failing_total,
					 "throttled", (json_int_t) m->throttled,
					 "peak_ok_per_second", m->peak_ok,
					 "peak_failing_per_second", m->peak_failing,
					 "balance", m->balance_known ? json_integer(m->balance) : json_null());
}

static json_t *
refund_stats(void)
{
	const SbModel *m = &sandbox.model;
	json_int_t	by_status[4] = {0};
	json_int_t	paid = 0,
				twice = 0;
	size_t		i;

	for (i = 0; i < m->refund_count; i++)
	{
		by_status[m->refund_list[i]->status]++;
		paid += m->refund_list[i]->paid_times * m->refund_list[i]->amount;
		twice += m->refund_list[i]->number_paid > 1;
	}
	return json_pack("{sI sI sI sI sI sI sI}", "count", (json_int_t) m->refund_count,
					 "PROCESSING", by_status[REFUND_PROCESSING],
					 "SUCCESS", by_status[REFUND_SUCCESS],
					 "CLOSED", by_status[REFUND_CLOSED],
					 "ABNORMAL", by_status[REFUND_ABNORMAL],
					 "paid_amount", paid, "paid_twice", twice);
}

json_t *
report_stats(void)
{
	const SbModel *m = &sandbox.model;
	json_t	   *merchants = json_object();
	size_t		i;

	for (i = 0; i < m->merchants.size; i++)
		if (m->merchants.slot[i].key != NULL)
			json_object_set_new(merchants, m->merchants.slot[i].key,
								merchant_stats(m->merchants.slot[i].value));
	return json_pack("{sI si so so so so s{sI ss} s{sI sI sI} s{sI sI sf}}",
					 "requests", (json_int_t) server_requests(), "held", server_held(),
					 "merchants", merchants, "refunds", refund_stats(),
					 "transfers", report_transfer_stats(),
					 "callbacks", callbacks_report(),
					 "sms", "accepted", (json_int_t) m->sms_count, "mode", sms_mode_name(m->sms_mode),
					 "ledger", "records", (json_int_t) ledger_sequence(),
					 "commits", (json_int_t) ledger_commits(),
					 "torn_bytes", (json_int_t) ledger_torn_bytes(),
					 "clock", "now_ms", (json_int_t) clock_now(),
					 "business_ms", (json_int_t) business_ms(), "speed", sandbox.opt.speed);
}
