/*-------------------------------------------------------------------------
 *
 * dispatch_divert.c
 *	  The call that sends an abnormal refund elsewhere: its request.
 *
 * As of a submit, the request's bytes are kept before the first attempt, and a
 * repetition sends the same.  They say whose card it is, so they are kept sealed,
 * with the key of the order that they come from (money/abnormal.c).
 *
 * src/worker/dispatch_divert.c
 *
 *-------------------------------------------------------------------------
 */
#include "worker/dispatcher.h"

/*
 * The columns of a claim, from `column` on: the order's nth, key_print, data_key,
 * order_sealed, request_sealed; then the refund's own number.
 */
bool
divert_prepare(Call *c, uint64 row, int column, const char *number, char *why, size_t whysize)
{
	OpenChannel *channel = keys_by_id(c->channel_id);
	const ChannelProduct *product = channel ? channel_product(channel->channel, c->product) : NULL;
	bytea	   *order_sealed = row_bytes(row, column + 3);
	bytea	   *request_sealed = row_bytes(row, column + 4);
	ChannelInstruction instr = {0};
	ChannelError err = {{0}};
	Buf			order = BUF_INIT;
	bool		good = false;

	buf_wipe(&c->frozen);		/* the refund's own request */
	buf_init(&c->frozen);
	c->order = row_int4(row, column);
	c->has_data_key = payee_data_key(number, row_null(row, column + 1) ? "" : row_text(row, column + 1),
									 row_bytes(row, column + 2), c->data_key, why, whysize);
	if (!c->has_data_key)
		return false;
	if (request_sealed != NULL)
	{
		good = payee_bytes_open(c->data_key, "diverted", number, VARDATA_ANY(request_sealed),
								VARSIZE_ANY_EXHDR(request_sealed), &c->frozen);
		snprintf(why, whysize, "its request does not open with its key: the row was changed");
		return good;
	}
	snprintf(why, whysize, "its channel's keys cannot be read");
	if (product == NULL || channel->config == NULL || product->divert_freeze == NULL || order_sealed == NULL)
		return false;
	instr.wire_no = c->wire_no;
	instr.amount = c->amount;
	instr.currency = c->currency;
	instr.channel_refund_id = c->channel_refund_id;
	snprintf(why, whysize, "where it is to be paid does not open with its key: the row was changed");
	good = payee_bytes_open(c->data_key, "diversion", number, VARDATA_ANY(order_sealed),
							VARSIZE_ANY_EXHDR(order_sealed), &order);
	if (good && !product->divert_freeze(channel->config, &instr, buf_str(&order), &c->frozen, &err))
	{
		strlcpy(why, err.message, whysize);
		good = false;
	}
	buf_wipe(&order);
	c->order_fresh = good;
	c->number = good ? strdup(number) : NULL;
	return good;
}

/* Of those that were put together just now, before their attempts. */
void
divert_write_requests(const CallList *claimed)
{
	static Statement keep = {
		"UPDATE refundx.diversion d SET request_sealed = u.request"
		"  FROM unnest($1, $2, $3) u(instruction_id, nth, request)"
		" WHERE d.instruction_id = u.instruction_id AND d.nth = u.nth AND d.request_sealed IS NULL",
		ARGS(INT8ARRAYOID, INT4ARRAYOID, BYTEAARRAYOID)
	};
	Column		id,
				nth,
				request;
	Values		v = {0};
	const Call *c;

	column_init(&id, INT8OID);
	column_init(&nth, INT4OID);
	column_init(&request, BYTEAOID);
	for (c = claimed->first; c; c = c->next)
	{
		Buf			sealed = BUF_INIT;

		if (c->call != CALL_ABNORMAL || !c->order_fresh)
			continue;
		if (!payee_bytes_seal(c->data_key, "diverted", c->number, c->frozen.data, c->frozen.len, &sealed))
			elog(ERROR, "the request of an abnormal refund could not be sealed");
		column_int8(&id, c->instruction_id);
		column_int4(&nth, c->order);
		column_bytes(&request, sealed.data, sealed.len);
		buf_free(&sealed);
	}
	if (id.n == 0)
		return;
	values_column(&v, &id);
	values_column(&v, &nth);
	values_column(&v, &request);
	if (statement_run(&keep, &v) != (uint64) id.n)
		elog(ERROR, "the order of an abnormal refund vanished");
}
