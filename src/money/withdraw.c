/*-------------------------------------------------------------------------
 *
 * withdraw.c
 *	  Submitting withdrawals, in the caller's transaction.
 *
 * A withdrawal is an instruction like a refund, without a payment: the amount and
 * the fee move from available to frozen, and it is queued, or waits for a second
 * person; or neither.  What is sent, how it is asked about and settled is the
 * same code.
 *
 * The order: first everything that can be said without a lock (what the caller
 * gave, the payee, limits of one withdrawal, what the channel takes), so that a
 * mistake freezes nothing; then the rows, guarded ones first; and the account last, because its lock
 * is what everybody else of that account waits for until we have committed.
 *
 * Nothing here may say whom a withdrawal pays: the payee's JSON goes to the
 * channel's reader and into the seal, and the statement is hidden in every error.
 *
 * src/money/withdraw.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/withdraw.h"

#include "access/htup_details.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/row_find.h"
#include "base/row_list.h"
#include "base/shmem.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "money/guard.h"
#include "money/journal.h"
#include "money/policy.h"
#include "utils/array.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(refundx_withdraw_submit);
PG_FUNCTION_INFO_V1(refundx_withdraw_submit_many);

static void check_words(const WithdrawWords *w);
static bool existing_same(const WithdrawWords *w);
static void find_account(const WithdrawWords *w, Withdrawal *d, WithdrawBatch *batch);
static void find_channel(const WithdrawWords *w, Withdrawal *d);
static bool paid_elsewhere(const NewInstruction *in);
static char *approval_needed(const WithdrawWords *w, const Withdrawal *d);
static int64 payee_row(const char *kind, const SealedPayee *p);
static void payout_insert(const WithdrawWords *w, const Withdrawal *d);
static void contact_insert(const WithdrawWords *w, int64 instruction_id);
static void lock_cap_account(int64 account_id);
static void freeze(const Withdrawal *d, WithdrawBatch *batch);
static void say_which(void *arg);
static void submit_new(const WithdrawWords *w, Withdrawal *d, WithdrawBatch *batch);
static char *json_words(Jsonb *j);
static Datum withdrawal_datum_new(FunctionCallInfo fcinfo, const WithdrawWords *w, const Withdrawal *d);

#define TEXT_ARG(i) (PG_ARGISNULL(i) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(i)))

static char *
json_words(Jsonb *j)
{
	return JsonbToCString(NULL, &j->root, VARSIZE(j));
}

/*
 * SQL: withdraw_submit(account, withdrawal_no, amount, channel, payee, ...)
 * returns refundx.withdrawal
 */
Datum
refundx_withdraw_submit(PG_FUNCTION_ARGS)
{
	WithdrawWords w = {0};
	ErrorContextCallback hide = {error_context_stack, hide_statement, NULL};
	Withdrawal	d = {0};
	Datum		result;

	PreventCommandIfReadOnly("refundx.withdraw_submit()");
	error_context_stack = &hide;
	shmem_require();
	w.account_no = TEXT_ARG(0);
	w.withdrawal_no = TEXT_ARG(1);
	w.amount = PG_ARGISNULL(2) ? 0 : PG_GETARG_INT64(2);
	w.channel = TEXT_ARG(3);
	w.payee = PG_ARGISNULL(4) ? NULL : json_words(PG_GETARG_JSONB_P(4));
	w.reason = TEXT_ARG(5);
	w.contact = TEXT_ARG(6);
	w.language = TEXT_ARG(7);
	w.transfer_data = PG_ARGISNULL(8) ? NULL : json_words(PG_GETARG_JSONB_P(8));
	w.guards = PG_ARGISNULL(9) ? NULL : PG_GETARG_JSONB_P(9);

	SPI_connect();
	result = withdraw_one(&w, &d, NULL) ? withdrawal_datum_new(fcinfo, &w, &d) :
		withdrawal_datum(fcinfo, w.withdrawal_no);
	nobody_serves_warning();
	SPI_finish();
	error_context_stack = hide.previous;
	return result;
}

/* ------------------------------------------------------------------------
 * Many at once
 * ------------------------------------------------------------------------
 */

/* Attributes of refundx.withdrawal_order, in this order. */
enum
{
	ORDER_ACCOUNT,
	ORDER_WITHDRAWAL_NO,
	ORDER_AMOUNT,
	ORDER_CHANNEL,
	ORDER_PAYEE,
	ORDER_REASON,
	ORDER_CONTACT,
	ORDER_LANGUAGE,
	ORDER_CHANNEL_DATA,
	ORDER_COUNT
};

static void
words_from_order(HeapTupleHeader order, WithdrawWords *w)
{
	TupleDesc	desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(order), HeapTupleHeaderGetTypMod(order));
	HeapTupleData tuple = {0};
	Datum		value[ORDER_COUNT];
	bool		null[ORDER_COUNT];

	if (desc->natts != ORDER_COUNT)
		elog(ERROR, "refundx.withdrawal_order has %d attributes", desc->natts);
	tuple.t_len = HeapTupleHeaderGetDatumLength(order);
	tuple.t_data = order;
	heap_deform_tuple(&tuple, desc, value, null);
	ReleaseTupleDesc(desc);

#define ORDER_TEXT(i) (null[i] ? NULL : TextDatumGetCString(value[i]))
	w->account_no = ORDER_TEXT(ORDER_ACCOUNT);
	w->withdrawal_no = ORDER_TEXT(ORDER_WITHDRAWAL_NO);
	w->amount = null[ORDER_AMOUNT] ? 0 : DatumGetInt64(value[ORDER_AMOUNT]);
	w->channel = ORDER_TEXT(ORDER_CHANNEL);
	w->payee = null[ORDER_PAYEE] ? NULL : json_words(DatumGetJsonbP(value[ORDER_PAYEE]));
	w->reason = ORDER_TEXT(ORDER_REASON);
	w->contact = ORDER_TEXT(ORDER_CONTACT);
	w->language = ORDER_TEXT(ORDER_LANGUAGE);
	w->transfer_data = null[ORDER_CHANNEL_DATA] ? NULL : json_words(DatumGetJsonbP(value[ORDER_CHANNEL_DATA]));
#undef ORDER_TEXT
}

/* By account, so that two callers take the locks in one order; else as given. */
static int
compare_orders(const void *a, const void *b)
{
	const WithdrawWords *x = a;
	const WithdrawWords *y = b;
	int			c = strcmp(x->account_no ? x->account_no : "", y->account_no ? y->account_no : "");

	return c != 0 ? c : x->place - y->place;
}

static const char *
number_or_empty(const WithdrawWords *w)
{
	return w->withdrawal_no ? w->withdrawal_no : "";
}

static int
compare_numbers(const void *a, const void *b)
{
	return strcmp(number_or_empty(*(WithdrawWords *const *) a), number_or_empty(*(WithdrawWords *const *) b));
}

/*
 * Rows of a list are kept back: what is there twice has to look for itself.  The
 * others have been looked for once all are known to be new: a list's numbers mostly
 * follow each other, and then there is none between its first and its last.  If
 * somebody else takes one meanwhile, the unique index finds it, as it would a moment
 * after any look.
 */
static void
look_numbers_up(WithdrawWords *w, int n)
{
	WithdrawWords **by_number = palloc(Max(n, 1) * sizeof(WithdrawWords *));
	int			i;

	for (i = 0; i < n; i++)
		by_number[i] = &w[i];
	qsort(by_number, n, sizeof(WithdrawWords *), compare_numbers);
	for (i = 1; i < n; i++)
		if (compare_numbers(&by_number[i - 1], &by_number[i]) == 0)
			by_number[i - 1]->repeated = by_number[i]->repeated = true;
	if (n > 1 &&
		!instruction_numbers_exist_between(number_or_empty(by_number[0]), number_or_empty(by_number[n - 1])))
		for (i = 0; i < n; i++)
			w[i].is_new = !w[i].repeated;
	pfree(by_number);
}

/*
 * SQL: withdraw_submit_many(withdrawals refundx.withdrawal_order[]) returns
 * bigint: how many are new.
 *
 * All of them or none, like any statement.  What is opened and locked once is
 * kept for the next, and rows are written together (row_list.h); a context of its
 * own keeps a long list from growing memory.
 */
Datum
refundx_withdraw_submit_many(PG_FUNCTION_ARGS)
{
	ErrorContextCallback hide = {error_context_stack, hide_statement, NULL};
	WithdrawBatch batch = {{0}};
	MemoryContext each;
	MemoryContext old;
	WithdrawWords *w;
	ArrayType  *array;
	Datum	   *order;
	bool	   *null;
	int			n;
	int			i;
	volatile int64 is_new = 0;	/* also after a longjmp */

	PreventCommandIfReadOnly("refundx.withdraw_submit_many()");
	error_context_stack = &hide;
	shmem_require();
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("withdrawals must be given")));
	array = PG_GETARG_ARRAYTYPE_P(0);
	deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_DOUBLE, &order, &null, &n);
	w = palloc0(Max(n, 1) * sizeof(WithdrawWords));
	for (i = 0; i < n; i++)
	{
		if (null[i])
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("withdrawal %d of the list is null", i + 1)));
		words_from_order(DatumGetHeapTupleHeader(order[i]), &w[i]);
		w[i].place = i;
	}
	qsort(w, n, sizeof(WithdrawWords), compare_orders);
	look_numbers_up(w, n);

	SPI_connect();
	each = AllocSetContextCreate(CurrentMemoryContext, "refundx withdrawal", ALLOCSET_DEFAULT_SIZES);
	row_list_begin();
	PG_TRY();
	{
		for (i = 0; i < n; i++)
		{
			Withdrawal	d = {0};

			CHECK_FOR_INTERRUPTS();
			old = MemoryContextSwitchTo(each);
			is_new += withdraw_one(&w[i], &d, &batch);
			MemoryContextSwitchTo(old);
			MemoryContextReset(each);
		}
		row_list_end();
	}
	PG_CATCH();
	{
		row_list_forget();
		PG_RE_THROW();
	}
	PG_END_TRY();
	nobody_serves_warning();
	SPI_finish();
	error_context_stack = hide.previous;
	PG_RETURN_INT64(is_new);
}

/* ------------------------------------------------------------------------
 * One
 * ------------------------------------------------------------------------
 */

/*
 * True if it is new; false if there is one that says the same.  `batch` is NULL, or
 * what a list of them has in common.
 */
bool
withdraw_one(const WithdrawWords *w, Withdrawal *d, WithdrawBatch *batch)
{
	ErrorContextCallback which = {error_context_stack, say_which, (void *) w};

	error_context_stack = &which;
	check_words(w);
	if (w->repeated)
		row_list_flush();
	if (w->is_new || !instruction_number_exists(w->withdrawal_no))
	{
		submit_new(w, d, batch);
		error_context_stack = which.previous;
		return true;
	}
	if (!existing_same(w))
		instruction_number_taken(w->withdrawal_no);
	error_context_stack = which.previous;
	return false;
}

/* Of a list, or in a log where the statement is hidden. */
static void
say_which(void *arg)
{
	const WithdrawWords *w = arg;

	if (w->withdrawal_no != NULL)
		errcontext("withdrawal \"%s\"", w->withdrawal_no);
	else
		errcontext("withdrawal %d of the call", w->place + 1);
}

static void
submit_new(const WithdrawWords *w, Withdrawal *d, WithdrawBatch *batch)
{
	ChannelError err = {{0}};
	NewInstruction *in = &d->in;
	GuardedRows guarded;

	find_channel(w, d);
	find_account(w, d, batch);
	payee_seal(d->product, d->channel->kind, w->withdrawal_no, w->payee, &d->payee);
	policy_of(in->channel_id, d->account_id, &d->policy);
	policy_check_amount(&d->policy, w->amount, in->currency);
	policy_fee(&d->policy, w->amount, &in->amount, &in->fee);

	d->instr.wire_no = w->withdrawal_no;
	d->instr.amount = in->amount;
	d->instr.currency = in->currency;
	d->instr.reason = w->reason;
	d->instr.payee = w->payee;
	d->instr.transfer_data = w->transfer_data;
	d->instr.transfer_defaults = d->has_defaults;
	if (!d->product->acceptable(&d->instr, timestamptz_to_unix_us(clock_now()) / USECS_PER_SEC, &err))
		channel_refuse(ERRCODE_RX_CHANNEL_REFUSES, d->product->label, &err);

	guard_lock_rows(w->guards, NULL, w->withdrawal_no, &guarded);
	d->payee_id = payee_row(d->channel->kind, &d->payee);
	d->approval = approval_needed(w, d);
	in->kind = PRODUCT_TRANSFER;
	in->number = w->withdrawal_no;
	in->reason = w->reason;
	in->may_send = !paid_elsewhere(in);
	in->state = !in->may_send ? STATE_UNKNOWN : d->approval ? STATE_AWAITING_APPROVAL : STATE_QUEUED;

	/* a day's limit is the account's own row's, whatever its slots: in key order */
	if (POLICY_HAS_CAP(&d->policy))
		lock_cap_account(d->account_id);
	if (batch != NULL && journal_has_slots(d->account_id))
		row_list_flush();		/* slots are chosen by what is in them */
	in->account_id = journal_choose_slot(d->account_id, in->amount + in->fee);
	instruction_insert(in);
	guard_record(&guarded, in->instruction_id);
	if (POLICY_HAS_CAP(&d->policy))
	{
		d->capped_on = policy_count(&d->policy, d->account_id, in->channel_id, w->amount,
								   in->instruction_id, in->currency);
		d->capped = true;
	}
	payout_insert(w, d);
	contact_insert(w, in->instruction_id);
	event_add(in->instruction_id, in->may_send ? "submitted" : "adopted", NULL, state_name(in->state),
			  in->may_send ? d->approval : "the channel has spoken of a withdrawal of this number");
	freeze(d, batch);
	wake_at_commit(WORKER_DISPATCHER);
}

/*
 * The channel has told of a withdrawal of this number, which was not known here:
 * made by this database before it was restored, most likely, and now the caller
 * repeats it.  It is asked about, and not sent: a channel that forgets its numbers
 * would pay it twice.
 */
static bool
paid_elsewhere(const NewInstruction *in)
{
	static const RowKey by_number = {
		"external_refund", "external_refund_merchant_id_about_wire_no_key",
		{{"merchant_id", F_INT4EQ}, {"about", F_TEXTEQ}, {"wire_no", F_TEXTEQ}}
	};
	Datum		key[3];

	key[0] = Int32GetDatum(in->merchant_id);
	key[1] = CStringGetTextDatum("withdrawal");
	key[2] = CStringGetTextDatum(in->number);
	return row_find(&by_number, key) != NULL;
}

/*
 * Within a list the account stays locked, so its newest line is the one that we
 * have written; not so for slots, among which money may be moved.
 */
static void
freeze(const Withdrawal *d, WithdrawBatch *batch)
{
	const NewInstruction *in = &d->in;
	int64		amount = in->amount + in->fee;
	AccountBalance own = {0};
	AccountBalance *balance = batch ? &batch->balance : &own;
	ItemPointerData at = d->account_at;

	if (journal_has_slots(d->account_id))
	{
		row_list_flush();		/* choosing one may have moved money into it */
		journal_post(in->account_id, JOURNAL_FREEZE, amount, in->instruction_id, NULL, NULL);
		return;
	}
	if (balance->account_id != in->account_id)
		journal_lock(in->account_id, &at, JOURNAL_FREEZE, amount, balance);
	journal_append(balance, JOURNAL_FREEZE, amount, in->instruction_id, NULL, NULL);
}

static void
check_words(const WithdrawWords *w)
{
	argument_text("account", w->account_no, PAYMENT_NO_MAX);
	argument_text("withdrawal_no", w->withdrawal_no, CHANNEL_NO_MAX);
	argument_text("channel", w->channel, 32);
	if (w->language)
		argument_text("language", w->language, 16);
	if (w->amount <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_RX_BAD_AMOUNT),
				 errmsg("the amount to withdraw must be positive, not %lld", (long long) w->amount),
				 errhint("Amounts are in the currency's minor unit: 12.34 CNY is 1234.")));
	if (w->payee == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("payee must be given"),
				 errhint("An object that says whom to pay; doc/wechat.md and doc/alipay.md say what it has.")));
}

/*
 * Is there a withdrawal of this number that says the same?  False if there is
 * none that we can see; ERROR if it says something else.  A contact that was
 * erased differs from nothing, and so does an erased payee.  Whoever may not read
 * it is not told what it says.
 */
static bool
existing_same(const WithdrawWords *w)
{
	static Statement find = {
		"SELECT CASE"
		"   WHEN i.kind <> 'withdrawal' THEN 'it is the number of a ' || i.kind"
		"   WHEN c.name <> $2 THEN format('it is a withdrawal through channel %L, not %L', c.name, $2)"
		"   WHEN a.account_no <> $3 THEN format('it is a withdrawal from account %L, not %L', a.account_no, $3)"
		"   WHEN o.asked <> $4 THEN format('its amount is %s, not %s', o.asked, $4)"
		"   WHEN i.reason IS DISTINCT FROM $5 THEN 'it has another reason'"
		"   WHEN o.transfer_data IS DISTINCT FROM $6::jsonb THEN 'it has other channel_data'"
		"   END, o.key_print, o.data_key, o.payee_sealed, i.submitted_by = session_user OR refundx.reads_all()"
		"  FROM refundx.instruction i"
		"  JOIN refundx.channel c USING (channel_id)"
		"  LEFT JOIN refundx.payout o ON o.instruction_id = i.instruction_id"
		"  LEFT JOIN refundx.account a ON a.account_id = o.account_id"
		" WHERE i.instruction_no = $1",
		ARGS(TEXTOID, TEXTOID, TEXTOID, INT8OID, TEXTOID, TEXTOID)
	};
	Values		v = {0};
	char	   *difference;
	bool		mine;

	values_text(&v, w->withdrawal_no);
	values_text(&v, w->channel);
	values_text(&v, w->account_no);
	values_int8(&v, w->amount);
	values_text(&v, w->reason);
	values_text(&v, w->transfer_data);
	if (statement_run(&find, &v) != 1)
		return false;
	difference = row_text(0, 1);
	mine = row_bool(0, 5);
	if (difference == NULL &&
		!payee_same(w->withdrawal_no, row_null(0, 2) ? "" : row_text(0, 2), row_bytes(0, 3),
					row_bytes(0, 4), w->payee))
		difference = "it pays somebody else";
	if (difference != NULL && !mine)
		difference = "by another login, it says something else";
	if (difference != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_RX_NUMBER_REUSED),
				 errmsg("withdrawal number \"%s\" is already taken", w->withdrawal_no),
				 errdetail("Submitted before, %s.", difference),
				 errhint("The same call again returns the existing withdrawal; another one needs another number.")));
	return true;
}

static void
find_channel(const WithdrawWords *w, Withdrawal *d)
{
	const ChannelFacts *c = channel_facts(w->channel);

	if (c == NULL || c->closed)
		channel_complain(w->channel);
	d->channel = c->channel;
	d->product = c->channel->transfer;
	d->has_defaults = c->transfer_defaults;
	d->in.channel_id = c->channel_id;
	d->in.merchant_id = c->merchant_id;
	if (d->product == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_RX_CHANNEL_REFUSES),
				 errmsg("%s pays no withdrawals here", c->channel->label),
				 errhint("refundx.channel_kinds() lists what each channel does.")));
}

static void
find_account(const WithdrawWords *w, Withdrawal *d, WithdrawBatch *batch)
{
	static const RowKey by_no = {"account", "account_account_no_key", {{"account_no", F_TEXTEQ}}};
	const char *const *c;
	HeapTuple	account;
	Datum		key;
	bool		isnull;

	if (batch != NULL && strcmp(batch->account_no, w->account_no) == 0)
	{
		d->account_id = batch->account_id;
		d->account_at = batch->account_at;
		d->in.currency = pstrdup(batch->currency);
	}
	else
	{
		key = CStringGetTextDatum(w->account_no);
		account = row_find(&by_no, &key);
		if (account == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_RX_UNKNOWN_ACCOUNT),
					 errmsg("account \"%s\" does not exist", w->account_no),
					 errhint("Open it with refundx.account_open().")));
		d->account_id = row_found_int8(&by_no, account, "account_id");
		d->account_at = account->t_self;
		d->in.currency = TextDatumGetCString(row_found(&by_no, account, "currency", &isnull));
	}
	if (batch != NULL)
	{
		strlcpy(batch->account_no, w->account_no, sizeof(batch->account_no));
		batch->account_id = d->account_id;
		batch->account_at = d->account_at;
		strlcpy(batch->currency, d->in.currency, sizeof(batch->currency));
	}
	for (c = d->product->limits.currencies; *c != NULL; c++)
		if (strcmp(*c, d->in.currency) == 0)
			return;
	ereport(ERROR,
			(errcode(ERRCODE_RX_CURRENCY),
			 errmsg("%s does not pay out in %s, the currency of account \"%s\"",
					d->product->label, d->in.currency, w->account_no)));
}

/* 0 if nobody was paid under any of these hashes. */
static int64
payee_known(const char *kind, const SealedPayee *p)
{
	static const RowKey by_print = {
		"payee", "payee_fingerprint_kind_key", {{"fingerprint", F_BYTEAEQ}, {"kind", F_TEXTEQ}}
	};
	HeapTuple	row = NULL;
	bool		isnull;
	int			i;

	for (i = 0; i < p->fingerprints && row == NULL; i++)
	{
		Datum		key[2];
		bytea	   *print = palloc(VARHDRSZ + sizeof(p->fingerprint[i]));

		SET_VARSIZE(print, VARHDRSZ + sizeof(p->fingerprint[i]));
		memcpy(VARDATA(print), p->fingerprint[i], sizeof(p->fingerprint[i]));
		key[0] = PointerGetDatum(print);
		key[1] = CStringGetTextDatum(kind);
		row = row_find(&by_print, key);
	}
	return row ? DatumGetInt64(row_found(&by_print, row, "payee_id", &isnull)) : 0;
}

/* The payee as a number of ours; new ones get one. */
static int64
payee_row(const char *kind, const SealedPayee *p)
{
	static Statement insert = {
		"INSERT INTO refundx.payee (kind, fingerprint) VALUES ($1, $2)"
		" ON CONFLICT DO NOTHING RETURNING payee_id", ARGS(TEXTOID, BYTEAOID)
	};
	int64		payee_id = payee_known(kind, p);
	Values		v = {0};

	if (payee_id != 0)
		return payee_id;
	values_text(&v, kind);
	values_bytes(&v, p->fingerprint[0], sizeof(p->fingerprint[0]));
	if (statement_run(&insert, &v) == 1)
		return row_int8(0, 1);

	/* somebody else has just paid the same payee for the first time */
	payee_id = payee_known(kind, p);
	if (payee_id != 0)
		return payee_id;
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access to a payee"),
			 errhint("Retry the transaction.")));
}

/* Why a second person has to agree; NULL if nobody has to. */
static char *
approval_needed(const WithdrawWords *w, const Withdrawal *d)
{
	static Statement paid_before = {
		"SELECT FROM refundx.payout o JOIN refundx.instruction i USING (instruction_id)"
		" WHERE o.payee_id = $1 AND o.account_id = $2 AND i.state = 'succeeded' LIMIT 1",
		ARGS(INT8OID, INT8OID)
	};
	Values		v = {0};

	if (d->policy.approve_above >= 0 && w->amount > d->policy.approve_above)
		return psprintf("the amount is above %lld", (long long) d->policy.approve_above);
	if (!d->policy.approve_new_payee)
		return NULL;
	values_int8(&v, d->payee_id);
	values_int8(&v, d->account_id);
	return statement_run(&paid_before, &v) == 0 ? "the account has never paid this payee before" : NULL;
}

static void
payout_insert(const WithdrawWords *w, const Withdrawal *d)
{
	static RowTarget payout = {"payout", {
		"instruction_id", "account_id", "payee_id", "payee_masked", "key_print", "data_key", "payee_sealed",
			"asked", "fee_back_on_failure", "fee_back_on_return", "capped_on", "transfer_data",
			"approval", "actor", NULL
	}};
	RowValues	v = {0};

	row_value(&v, Int64GetDatum(d->in.instruction_id), false);
	row_value(&v, Int64GetDatum(d->account_id), false);
	row_value(&v, Int64GetDatum(d->payee_id), false);
	row_value_text(&v, d->payee.masked);
	row_value_text(&v, d->payee.key_print);
	row_value(&v, PointerGetDatum(d->payee.data_key), false);
	row_value(&v, PointerGetDatum(d->payee.sealed), false);
	row_value(&v, Int64GetDatum(w->amount), false);
	row_value(&v, BoolGetDatum(d->policy.fee_back_on_failure), false);
	row_value(&v, BoolGetDatum(d->policy.fee_back_on_return), false);
	row_value(&v, DateADTGetDatum(d->capped_on), !d->capped);
	row_value(&v, w->transfer_data ? DirectFunctionCall1(jsonb_in, CStringGetDatum(w->transfer_data)) : (Datum) 0,
			  w->transfer_data == NULL);
	row_value_text(&v, d->approval);
	row_value_text(&v, actor_name());
	row_insert(&payout, &v, NULL);
}

static void
contact_insert(const WithdrawWords *w, int64 instruction_id)
{
	static Statement insert = {
		"INSERT INTO refundx.payout_contact (instruction_id, phone, language)"
		" VALUES ($1, $2, coalesce($3, 'zh-CN'))", ARGS(INT8OID, TEXTOID, TEXTOID)
	};
	Values		v = {0};

	if (w->contact == NULL)
		return;
	contact_check(w->contact, "withdrawal", w->withdrawal_no);
	values_int8(&v, instruction_id);
	values_text(&v, w->contact);
	values_text(&v, w->language);
	statement_run(&insert, &v);
}

static void
lock_cap_account(int64 account_id)
{
	AccountRow	row;

	if (!journal_account_row(account_id, JOURNAL_LOCK_WAIT, &row))
		elog(ERROR, "account %lld vanished", (long long) account_id);
}

/* The same as withdrawal_datum() of one that is new, without reading it again. */
static Datum
withdrawal_datum_new(FunctionCallInfo fcinfo, const WithdrawWords *w, const Withdrawal *d)
{
	const NewInstruction *in = &d->in;
	TupleDesc	desc;
	Datum		value[18];
	bool		null[18] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != lengthof(value))
		elog(ERROR, "return type must be refundx.withdrawal");
	value[0] = CStringGetTextDatum(w->withdrawal_no);
	value[1] = CStringGetTextDatum(w->account_no);
	value[2] = CStringGetTextDatum(w->channel);
	value[3] = Int64GetDatum(w->amount);
	value[4] = Int64GetDatum(in->fee);
	value[5] = Int64GetDatum(in->amount);
	value[6] = CStringGetTextDatum(in->currency);
	value[7] = CStringGetTextDatum(d->payee.masked);
	null[8] = w->reason == NULL;
	value[8] = null[8] ? (Datum) 0 : CStringGetTextDatum(w->reason);
	value[9] = CStringGetTextDatum(state_name(in->state));
	null[10] = true;			/* detail */
	value[11] = TimestampTzGetDatum(in->state_since);
	null[12] = in->due_at == 0;
	value[12] = TimestampTzGetDatum(in->due_at);
	value[13] = Int32GetDatum(0);	/* attempts */
	null[14] = true;			/* cancel_requested_at */
	null[15] = d->approval == NULL;
	value[15] = null[15] ? (Datum) 0 : CStringGetTextDatum(d->approval);
	null[16] = true;			/* with_person */
	value[17] = TimestampTzGetDatum(in->submitted_at);
	return PointerGetDatum(SPI_returntuple(heap_form_tuple(BlessTupleDesc(desc), value, null), desc));
}
