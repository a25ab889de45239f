/*-------------------------------------------------------------------------
 *
 * dispatch_claim.c
 *	  Claiming due instructions: committed before any I/O.
 *
 * In one transaction for the whole batch: lock the rows that are still as the
 * schedule believes (passing over what an application has locked, a cancel
 * for instance), freeze the request's bytes of each that has none yet, write
 * the attempts, move submits to `sending`.  The calls are put together in
 * malloc'd memory, for they outlive the transaction.
 *
 * What a pause or a cap keeps back is let go again; the room that the others
 * take in caps is taken in this same transaction (money/stop.c).
 *
 * src/worker/dispatch_claim.c
 *
 *-------------------------------------------------------------------------
 */
#include "worker/dispatcher.h"

#include "base/clock.h"
#include "money/incident.h"
#include "money/stop.h"
#include "utils/timestamp.h"

#define STUCK	"cannot be put into a request"

static void read_claimable(Dispatcher *d);
static Call *call_from_row(uint64 row);
static bool too_late(const Call *c, TimestampTz first_attempt_at, int unexplained);
static bool open_request(Call *c, uint64 row, char *why, size_t whysize);
static bool freeze_request(Call *c, uint64 row, char *why, size_t whysize);
static void ask_first(Column *ids);
static void ask_instead(Column *ids);
static void tell_person(Column *ids, Column *reasons);
static void keep_back(Dispatcher *d, bool may_submit);
static void write_requests(Dispatcher *d);
static void write_attempts(Dispatcher *d);
static void write_sending(Dispatcher *d);
static void give_back_unclaimed(Dispatcher *d);

void
call_list_add(CallList *list, Call *call)
{
	call->next = NULL;
	if (list->last)
		list->last->next = call;
	else
		list->first = call;
	list->last = call;
	list->n++;
}

Call *
call_list_take(CallList *list)
{
	Call	   *call = list->first;

	if (call == NULL)
		return NULL;
	list->first = call->next;
	if (list->first == NULL)
		list->last = NULL;
	list->n--;
	return call;
}

void
call_free(Call *call)
{
	free(call->wire_no);
	free(call->number);
	free(call->payment_no);
	free(call->channel_payment_id);
	free(call->payment_data);
	free(call->transfer_data);
	explicit_bzero(call->data_key, sizeof(call->data_key));
	free(call->notify_url);
	free(call->channel_refund_id);
	buf_wipe(&call->frozen);
	buf_free(&call->body);
	free(call);
}

/* worker_transaction: claims what d->chosen names into d->claimed. */
void
dispatch_claim(void *arg)
{
	Dispatcher *d = arg;
	bool		may_submit;

	memset(d->look_at, 0, sizeof(d->look_at));
	dispatch_abandon_of_finished(d);
	may_submit = stop_claims_begin();
	read_claimable(d);
	keep_back(d, may_submit);
	if (d->claimed.n > 0)
	{
		write_requests(d);
		divert_write_requests(&d->claimed);
		write_attempts(d);
		write_sending(d);
	}
	give_back_unclaimed(d);
}

static void
read_claimable(Dispatcher *d)
{
	/*
	 * A payment on hold sends nothing, nor does an account its withdrawals, nor
	 * is what an operator holds itself sent; but all are still asked about.
	 * The claim itself is the state table's (queued, claim) -> sending; what
	 * is accepted already, and has to be sent again, stays accepted.
	 */
	static Statement read = {
		"SELECT i.instruction_id, u.call, i.channel_id, i.merchant_id, i.wire_no, i.amount, i.currency,"
		"       p.payment_no, p.channel_payment_id, p.paid, p.channel_data::text, r.notify_url, r.body,"
		"       i.reason, p.parts, i.channel_refund_id, i.generation, i.first_attempt_at, i.unexplained, i.kind,"
		"       o.transfer_data::text, o.key_print, o.data_key, o.payee_sealed, i.state = 'accepted',"
		"       i.instruction_no, d.nth, d.key_print, d.data_key, d.order_sealed, d.request_sealed,"
		"       u.call = 'submit' AND i.state = 'queued'"
		"       AND EXISTS (SELECT FROM refundx.recovery r WHERE r.state IN ('asking', 'books'))"
		"       AND refundx.recovery_asks(i.instruction_id, i.merchant_id)"
		"  FROM unnest($1, $2) u(id, call)"
		"  JOIN refundx.instruction i ON i.instruction_id = u.id"
		"  LEFT JOIN refundx.payment p ON p.payment_id = i.payment_id"
		"  LEFT JOIN refundx.request r ON r.instruction_id = i.instruction_id AND r.wire_no = i.wire_no"
		"  LEFT JOIN refundx.payout o ON o.instruction_id = i.instruction_id"
		"  LEFT JOIN refundx.account a ON a.account_id = o.account_id"
		"  LEFT JOIN LATERAL (SELECT * FROM refundx.diversion d"
		"                      WHERE u.call = 'abnormal' AND d.instruction_id = i.instruction_id"
		"                      ORDER BY d.nth DESC LIMIT 1) d ON true"
		" WHERE i.due_call = u.call"
		"   AND (u.call = 'query' AND i.state <> 'sending'"
		"        OR u.call = 'cancel' AND i.state = 'accepted' AND i.cancel_requested_at IS NOT NULL"
		"        OR u.call = 'abnormal' AND i.state = 'abnormal' AND p.hold IS NULL AND i.hold IS NULL"
		"        OR u.call = 'submit' AND i.state IN ('queued', 'accepted') AND i.may_send"
		"           AND p.hold IS NULL AND a.hold IS NULL AND i.hold IS NULL"
		"           AND i.cancel_requested_at IS NULL)"
		" ORDER BY i.instruction_id FOR NO KEY UPDATE OF i SKIP LOCKED",
		ARGS(INT8ARRAYOID, TEXTARRAYOID)
	};
	Column		id,
				call,
				lost,
				late,
				stuck,
				reason;
	Values		v = {0};
	uint64		n;
	uint64		row;
	int			i;

	column_init(&id, INT8OID);
	column_init(&call, TEXTOID);
	column_init(&lost, INT8OID);
	column_init(&late, INT8OID);
	column_init(&stuck, INT8OID);
	column_init(&reason, TEXTOID);
	for (i = 0; i < d->nchosen; i++)
	{
		column_int8(&id, d->chosen[i]->instruction_id);
		column_text(&call, channel_call_name(d->chosen[i]->call));
	}
	values_column(&v, &id);
	values_column(&v, &call);
	n = statement_run(&read, &v);
	for (row = 0; row < n; row++)
	{
		Call	   *c = call_from_row(row);
		char		why[256] = "";

		if (row_bool(row, 32))
		{
			column_int8(&lost, c->instruction_id);
			call_free(c);
			continue;
		}
		if (c->call == CALL_SUBMIT && too_late(c, row_time(row, 18), row_int4(row, 19)))
		{
			column_int8(&late, c->instruction_id);
			call_free(c);
			continue;
		}
		if (!open_request(c, row, why, sizeof(why)) ||
			(c->call == CALL_SUBMIT && c->frozen.len == 0 && !freeze_request(c, row, why, sizeof(why))))
		{
			/* nothing was attempted: it stays as it is, and is tried again */
			column_int8(&stuck, c->instruction_id);
			column_text(&reason, psprintf(STUCK ": %s", why));
			call_free(c);
			continue;
		}
		call_list_add(&d->claimed, c);
	}
	ask_first(&lost);
	ask_instead(&late);
	tell_person(&stuck, &reason);
}

/* Also one that sends it elsewhere, of what the payee cannot receive. */
static bool
sends_money(const Call *c)
{
	return c->call == CALL_SUBMIT || c->call == CALL_ABNORMAL;
}

/*
 * Submits that may not go because of a pause or a cap, or because one is just being
 * placed; the others have their room.
 */
static void
keep_back(Dispatcher *d, bool may_submit)
{
	const StopFacts *stops = stop_facts();
	CallList	all = d->claimed;
	Column		ids;
	Call	   *c;
	uint64		n;
	uint64		row;
	int			i;

	if (may_submit && !STOPS_CLAIMS(stops))
		return;
	column_init(&ids, INT8OID);
	for (c = all.first; c; c = c->next)
		if (sends_money(c))
			column_int8(&ids, c->instruction_id);
	if (ids.n == 0)
		return;
	n = may_submit ? stop_take(&ids, clock_now()) : 0;
	memset(&d->claimed, 0, sizeof(d->claimed));
	while ((c = call_list_take(&all)) != NULL)
	{
		for (row = 0; row < n && row_int8(row, 1) != c->instruction_id; row++)
			;
		if (!sends_money(c) || (may_submit && row == n))
		{
			call_list_add(&d->claimed, c);
			continue;
		}
		for (i = 0; i < d->nchosen && d->chosen[i]->instruction_id != c->instruction_id; i++)
			;
		if (i < d->nchosen)
			d->look_at[i] = may_submit ? row_time(row, 2) : 0;
		call_free(c);
	}
}

/*
 * Only a person can bring back what is missing; once it is there, sending it
 * takes this back (write_sending).  Told once, however often it is tried.
 */
static void
tell_person(Column *ids, Column *reasons)
{
	static Statement tell = {
		"UPDATE refundx.instruction i"
		"   SET person_reason = u.reason, person_since = coalesce(i.person_since, $3), person_suggestion ="
		"       'Put the key file back that refundx.payee_keys names, or mend the channel''s setting; it is tried again by itself. What was never sent can be canceled.'"
		"  FROM unnest($1, $2) u(id, reason)"
		" WHERE i.instruction_id = u.id AND i.person_reason IS DISTINCT FROM u.reason"
		" RETURNING i.instruction_id, i.person_reason",
		ARGS(INT8ARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID)
	};
	Values		v = {0};
	uint64		n;
	uint64		row;

	if (ids->n == 0)
		return;
	values_column(&v, ids);
	values_column(&v, reasons);
	values_time(&v, clock_now());
	n = statement_run(&tell, &v);
	for (row = 0; row < n; row++)
		incident_add(&(Incident) {
			.kind = "with_person",
			.instruction_id = row_int8(row, 1),
			.reason = row_text(row, 2),
			.done = "it is tried again by itself; a person has to look: see refundx.desk"
		});
}

/*
 * What was frozen for a withdrawal is sealed, and so is whom it pays.  Where the
 * seal cannot be opened nothing may be sent; asking needs neither.
 */
static bool
open_request(Call *c, uint64 row, char *why, size_t whysize)
{
	Buf			sealed = c->frozen;
	bool		good;

	if (c->call == CALL_ABNORMAL)
		return divert_prepare(c, row, 27, row_text(row, 26), why, whysize);
	if (c->product != PRODUCT_TRANSFER)
		return true;
	buf_init(&c->frozen);
	/* these were sealed for the caller's number, which outlives the channel's */
	c->has_data_key = payee_data_key(row_text(row, 26), row_null(row, 22) ? "" : row_text(row, 22), row_bytes(row, 23),
									 c->data_key, why, whysize);
	good = c->has_data_key;
	if (good && sealed.len > 0)
	{
		good = payee_bytes_open(c->data_key, "request", c->wire_no, sealed.data, sealed.len, &c->frozen);
		if (!good)
			snprintf(why, whysize, "its request does not open with its key: the row was changed");
	}
	buf_free(&sealed);
	return good || c->call != CALL_SUBMIT;
}

/* The business bytes, before the first attempt; written with it. */
static bool
freeze_request(Call *c, uint64 row, char *why, size_t whysize)
{
	ChannelInstruction instr = {0};
	OpenChannel *channel = keys_by_id(c->channel_id);
	const ChannelProduct *product = channel ? channel_product(channel->channel, c->product) : NULL;
	bytea	   *sealed = row_bytes(row, 24);
	ChannelError err = {{0}};
	Buf			payee = BUF_INIT;
	char		url[300];
	bool		good;

	instr.wire_no = c->wire_no;
	instr.amount = c->amount;
	instr.currency = c->currency;
	instr.payment_no = c->payment_no;
	instr.channel_payment_id = c->channel_payment_id;
	instr.payment_amount = c->payment_amount;
	instr.payment_data = c->payment_data;
	instr.transfer_data = c->transfer_data;
	instr.reason = row_text(row, 14);
	instr.parts_before = Max(row_int4(row, 15) - 1, 0);
	if (channel && keys_notify_url(channel, url, sizeof(url)))
		instr.notify_url = c->notify_url = strdup(url);

	snprintf(why, whysize, "its channel's keys cannot be read");
	good = product != NULL && channel->config != NULL;
	if (good && c->product == PRODUCT_TRANSFER)
	{
		good = sealed != NULL &&
			payee_bytes_open(c->data_key, "payee", row_text(row, 26), VARDATA_ANY(sealed), VARSIZE_ANY_EXHDR(sealed), &payee);
		snprintf(why, whysize, "whom to pay does not open with its key: the row was changed");
		instr.payee = buf_str(&payee);
	}
	if (good && !product->freeze(channel->config, &instr, &c->frozen, &err))
	{
		strlcpy(why, err.message, whysize);
		good = false;
	}
	buf_wipe(&payee);
	return good;
}

/*
 * After the channel's window a number is never sent again, unless every attempt
 * is known not to have been executed: then it is as good as new.  What was
 * accepted is known to have been, and may have waited for a pause to end.
 */
static bool
too_late(const Call *c, TimestampTz first_attempt_at, int unexplained)
{
	OpenChannel *channel = keys_by_id(c->channel_id);

	return (c->repeat || unexplained > 0) && channel != NULL &&
		WINDOW_OVER(channel->timing[c->product].send_window_us, first_attempt_at, clock_now());
}

/* A recovery is under way, and whoever was lost may have used their numbers. */
static void
ask_first(Column *ids)
{
	static Statement ask = {"SELECT refundx.recovery_ask($1)", ARGS(INT8ARRAYOID)};
	Values		v = {0};

	if (ids->n == 0)
		return;
	values_column(&v, ids);
	statement_run(&ask, &v);
}

/* They have waited in the queue past their window: the answer decides who goes on. */
static void
ask_instead(Column *ids)
{
	static Statement ask = {
		"WITH asked AS ("
		"  UPDATE refundx.instruction SET due_call = 'query', due_at = $2"
		"   WHERE instruction_id = ANY ($1) RETURNING instruction_id, state)"
		" INSERT INTO refundx.event (instruction_id, type, from_state, to_state, actor, note)"
		" SELECT instruction_id, 'asked', state, state, session_user,"
		"        'the time in which this number may be sent again is over' FROM asked",
		ARGS(INT8ARRAYOID, TIMESTAMPTZOID)
	};
	Values		v = {0};

	if (ids->n == 0)
		return;
	values_column(&v, ids);
	values_time(&v, clock_now());
	statement_run(&ask, &v);
}

static char *
strdup_or_null(const char *s)
{
	return s ? strdup(s) : NULL;
}

static Call *
call_from_row(uint64 row)
{
	Call	   *c = calloc(1, sizeof(Call));
	bytea	   *body;

	if (c == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	c->instruction_id = row_int8(row, 1);
	if (!product_from_name(row_text(row, 20), &c->product) ||
		!channel_call_from_name(row_text(row, 2), &c->call))
		elog(ERROR, "instruction %lld is of an unknown kind", (long long) c->instruction_id);
	c->channel_id = row_int4(row, 3);
	c->merchant_id = row_int4(row, 4);
	c->wire_no = strdup_or_null(row_text(row, 5));
	c->amount = row_int8(row, 6);
	strlcpy(c->currency, row_text(row, 7), sizeof(c->currency));
	c->payment_no = strdup_or_null(row_text(row, 8));
	c->channel_payment_id = strdup_or_null(row_text(row, 9));
	c->payment_amount = row_int8(row, 10);
	c->payment_data = strdup_or_null(row_text(row, 11));
	c->transfer_data = strdup_or_null(row_text(row, 21));
	c->repeat = c->call == CALL_SUBMIT && row_bool(row, 25);
	c->notify_url = strdup_or_null(row_text(row, 12));
	c->channel_refund_id = strdup_or_null(row_text(row, 16));
	c->generation = row_int4(row, 17);
	body = row_bytes(row, 13);
	if (body)
		buf_add(&c->frozen, VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body));
	c->use_backup = dispatch_use_backup(c->channel_id, GetCurrentTimestamp());
	c->started_at = clock_now();
	return c;
}

/* A withdrawal's bytes say whom it pays: they are kept sealed. */
static void
request_column(Column *body, const Call *c)
{
	Buf			sealed = BUF_INIT;

	if (c->product != PRODUCT_TRANSFER)
	{
		column_bytes(body, c->frozen.data, c->frozen.len);
		return;
	}
	if (!payee_bytes_seal(c->data_key, "request", c->wire_no, c->frozen.data, c->frozen.len, &sealed))
	{
		buf_free(&sealed);
		elog(ERROR, "the request of a withdrawal could not be sealed");
	}
	column_bytes(body, sealed.data, sealed.len);
	buf_free(&sealed);
}

/*
 * The bytes of a wire number are kept before the first attempt and never
 * change: whoever kept them first is right.
 */
static void
write_requests(Dispatcher *d)
{
	static Statement insert = {
		"INSERT INTO refundx.request (instruction_id, wire_no, body, notify_url)"
		" SELECT * FROM unnest($1, $2, $3, $4) ON CONFLICT DO NOTHING",
		ARGS(INT8ARRAYOID, TEXTARRAYOID, BYTEAARRAYOID, TEXTARRAYOID)
	};
	Column		id,
				wire_no,
				body,
				notify_url;
	Values		v = {0};
	Call	   *c;

	column_init(&id, INT8OID);
	column_init(&wire_no, TEXTOID);
	column_init(&body, BYTEAOID);
	column_init(&notify_url, TEXTOID);
	for (c = d->claimed.first; c; c = c->next)
	{
		if (c->call != CALL_SUBMIT)
			continue;
		column_int8(&id, c->instruction_id);
		column_text(&wire_no, c->wire_no);
		request_column(&body, c);
		column_text(&notify_url, c->notify_url);
	}
	if (id.n == 0)
		return;
	values_column(&v, &id);
	values_column(&v, &wire_no);
	values_column(&v, &body);
	values_column(&v, &notify_url);
	statement_run(&insert, &v);
}

static void
write_attempts(Dispatcher *d)
{
	static Statement insert = {
		"INSERT INTO refundx.attempt (instruction_id, payment_id, merchant_id, call, wire_no, backup_host, started_at)"
		" SELECT u.id, i.payment_id, i.merchant_id, u.call, i.wire_no, u.backup, u.started_at"
		"   FROM unnest($1, $2, $3, $4) u(id, call, backup, started_at)"
		"   JOIN refundx.instruction i ON i.instruction_id = u.id"
		" RETURNING instruction_id, attempt_id",
		ARGS(INT8ARRAYOID, TEXTARRAYOID, BOOLARRAYOID, TIMESTAMPTZARRAYOID)
	};
	Column		id,
				call,
				backup,
				started_at;
	Values		v = {0};
	Call	   *c;
	uint64		n;
	uint64		row;

	column_init(&id, INT8OID);
	column_init(&call, TEXTOID);
	column_init(&backup, BOOLOID);
	column_init(&started_at, TIMESTAMPTZOID);
	for (c = d->claimed.first; c; c = c->next)
	{
		column_int8(&id, c->instruction_id);
		column_text(&call, channel_call_name(c->call));
		column_bool(&backup, c->use_backup);
		column_time(&started_at, c->started_at);
	}
	values_column(&v, &id);
	values_column(&v, &call);
	values_column(&v, &backup);
	values_column(&v, &started_at);
	n = statement_run(&insert, &v);
	if (n != (uint64) d->claimed.n)
		elog(ERROR, "a claimed instruction vanished");
	for (row = 0; row < n; row++)
	{
		for (c = d->claimed.first; c && c->instruction_id != row_int8(row, 1); c = c->next)
			;
		if (c)
			c->attempt_id = row_int8(row, 2);
	}
}

static void
write_sending(Dispatcher *d)
{
	static Statement update = {
		"WITH moved AS ("
		"  UPDATE refundx.instruction i"
		"     SET state = $2, state_since = $3, attempts = attempts + 1,"
		"         first_attempt_at = coalesce(first_attempt_at, $3), due_at = NULL, due_call = NULL,"
		/* it could not be sent for a while, and now it can */
		"         person_reason = CASE WHEN person_reason NOT LIKE '" STUCK "%' THEN person_reason END,"
		"         person_suggestion = CASE WHEN person_reason NOT LIKE '" STUCK "%' THEN person_suggestion END,"
		"         person_since = CASE WHEN person_reason NOT LIKE '" STUCK "%' THEN person_since END"
		"   WHERE instruction_id = ANY ($1) RETURNING instruction_id)"
		" INSERT INTO refundx.event (instruction_id, type, from_state, to_state, actor)"
		" SELECT instruction_id, 'claimed', $4, $2, session_user FROM moved",
		ARGS(INT8ARRAYOID, TEXTOID, TIMESTAMPTZOID, TEXTOID)
	};
	static Statement count = {
		"UPDATE refundx.instruction SET attempts = attempts + 1 WHERE instruction_id = ANY ($1)",
		ARGS(INT8ARRAYOID)
	};
	const Transition *t = state_transition(STATE_QUEUED, INPUT_CLAIM);
	Column		id;
	Column		again;
	Values		v = {0};
	Call	   *c;

	column_init(&id, INT8OID);
	column_init(&again, INT8OID);
	for (c = d->claimed.first; c; c = c->next)
		if (c->call == CALL_SUBMIT)
			column_int8(c->repeat ? &again : &id, c->instruction_id);
	if (again.n > 0)
	{
		values_column(&v, &again);
		statement_run(&count, &v);
		values_reset(&v);
	}
	if (id.n == 0)
		return;
	values_column(&v, &id);
	values_text(&v, state_name(t->to));
	values_time(&v, clock_now());
	values_text(&v, state_name(t->from));
	if (statement_run(&update, &v) != (uint64) id.n)
		elog(ERROR, "a claimed instruction vanished");
}

/* What somebody holds, or what has changed meanwhile, is looked at again. */
static void
give_back_unclaimed(Dispatcher *d)
{
	TimestampTz now = clock_now();
	int			i;

	for (i = 0; i < d->nchosen; i++)
	{
		Due		   *due = d->chosen[i];
		Call	   *c;

		for (c = d->claimed.first; c && c->instruction_id != due->instruction_id; c = c->next)
			;
		if (c == NULL)
			schedule_call_undone(due, d->look_at[i] != 0 ? d->look_at[i] : now + USECS_PER_SEC);
	}
}
