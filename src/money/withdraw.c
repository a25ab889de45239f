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
 * mistake freezes nothing; then the rows; and the account last, because its lock
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
#include "base/row_insert.h"
#include "base/shmem.h"
#include "funcapi.h"
#include "money/journal.h"
#include "money/policy.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(refundx_withdraw_submit);
PG_FUNCTION_INFO_V1(refundx_withdraw_submit_many);

static void check_words(const WithdrawWords *w);
static bool existing_same(const WithdrawWords *w);
static void find_account(const WithdrawWords *w, Withdrawal *d);
static void find_channel(const WithdrawWords *w, Withdrawal *d);
static char *approval_needed(const WithdrawWords *w, const Withdrawal *d);
static int64 payee_row(const char *kind, const SealedPayee *p);
static void payout_insert(const WithdrawWords *w, const Withdrawal *d);
static void contact_insert(const WithdrawWords *w, int64 instruction_id);
static void lock_cap_account(int64 account_id);

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
	Datum		result;

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

	SPI_connect();
	(void) withdraw_one(&w);
	nobody_serves_warning();
	result = withdrawal_datum(fcinfo, w.withdrawal_no);
	SPI_finish();
	error_context_stack = hide.previous;
	return result;
}

/* True if it is new; false if there is one that says the same. */
bool
withdraw_one(const WithdrawWords *w)
{
	Withdrawal	d = {0};
	ChannelError err = {{0}};
	NewInstruction *in = &d.in;

	check_words(w);
	if (instruction_number_exists(w->withdrawal_no))
	{
		if (!existing_same(w))
			instruction_number_taken((void *) w->withdrawal_no);
		return false;
	}
	find_channel(w, &d);
	find_account(w, &d);
	payee_seal(d.product, d.channel->kind, w->withdrawal_no, w->payee, &d.payee);
	policy_of(in->channel_id, d.account_id, &d.policy);
	policy_check_amount(&d.policy, w->amount, in->currency);
	policy_fee(&d.policy, w->amount, &in->amount, &in->fee);

	d.instr.wire_no = w->withdrawal_no;
	d.instr.amount = in->amount;
	d.instr.currency = in->currency;
	d.instr.reason = w->reason;
	d.instr.payee = w->payee;
	d.instr.transfer_data = w->transfer_data;
	d.instr.transfer_defaults = d.has_defaults;
	if (!d.product->acceptable(&d.instr, timestamptz_to_unix_us(clock_now()) / USECS_PER_SEC, &err))
		channel_refuse(ERRCODE_RX_CHANNEL_REFUSES, d.product->label, &err);

	d.payee_id = payee_row(d.channel->kind, &d.payee);
	d.approval = approval_needed(w, &d);
	in->kind = PRODUCT_TRANSFER;
	in->number = w->withdrawal_no;
	in->reason = w->reason;
	in->may_send = true;
	in->state = d.approval ? STATE_AWAITING_APPROVAL : STATE_QUEUED;

	/* a day's limit is the account's own row's, whatever its slots: in key order */
	if (POLICY_HAS_CAP(&d.policy))
		lock_cap_account(d.account_id);
	in->account_id = journal_choose_slot(d.account_id, in->amount + in->fee);
	instruction_insert(in);
	if (POLICY_HAS_CAP(&d.policy))
	{
		d.capped_on = policy_count(&d.policy, d.account_id, in->channel_id, w->amount,
								   in->instruction_id, in->currency);
		d.capped = true;
	}
	payout_insert(w, &d);
	contact_insert(w, in->instruction_id);
	event_add(in->instruction_id, "submitted", NULL, state_name(in->state), d.approval);
	journal_post(in->account_id, JOURNAL_FREEZE, in->amount + in->fee, in->instruction_id, NULL, NULL);
	wake_at_commit(WORKER_DISPATCHER);
	return true;
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
 * erased differs from nothing, and so does an erased payee.
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
		"   END, o.key_print, o.data_key, o.payee_sealed"
		"  FROM refundx.instruction i"
		"  JOIN refundx.channel c USING (channel_id)"
		"  LEFT JOIN refundx.payout o ON o.instruction_id = i.instruction_id"
		"  LEFT JOIN refundx.account a ON a.account_id = o.account_id"
		" WHERE i.instruction_no = $1",
		ARGS(TEXTOID, TEXTOID, TEXTOID, INT8OID, TEXTOID, TEXTOID)
	};
	Values		v = {0};
	char	   *difference;

	values_text(&v, w->withdrawal_no);
	values_text(&v, w->channel);
	values_text(&v, w->account_no);
	values_int8(&v, w->amount);
	values_text(&v, w->reason);
	values_text(&v, w->transfer_data);
	if (statement_run(&find, &v) != 1)
		return false;
	difference = row_text(0, 1);
	if (difference == NULL &&
		!payee_same(w->withdrawal_no, row_null(0, 2) ? "" : row_text(0, 2), row_bytes(0, 3),
					row_bytes(0, 4), w->payee))
		difference = "it pays somebody else";
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
find_account(const WithdrawWords *w, Withdrawal *d)
{
	static Statement find = {
		"SELECT account_id, currency::text FROM refundx.account WHERE account_no = $1", ARGS(TEXTOID)
	};
	Values		v = {0};
	const char *const *c;

	values_text(&v, w->account_no);
	if (statement_run(&find, &v) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_RX_UNKNOWN_ACCOUNT),
				 errmsg("account \"%s\" does not exist", w->account_no),
				 errhint("Open it with refundx.account_open().")));
	d->account_id = row_int8(0, 1);
	d->in.currency = row_text(0, 2);
	for (c = d->product->limits.currencies; *c != NULL; c++)
		if (strcmp(*c, d->in.currency) == 0)
			return;
	ereport(ERROR,
			(errcode(ERRCODE_RX_CURRENCY),
			 errmsg("%s does not pay out in %s, the currency of account \"%s\"",
					d->product->label, d->in.currency, w->account_no)));
}

/* The payee as a number of ours; new ones get one. */
static int64
payee_row(const char *kind, const SealedPayee *p)
{
	static Statement find = {
		"SELECT payee_id FROM refundx.payee WHERE kind = $1 AND fingerprint = ANY ($2)"
		" ORDER BY payee_id LIMIT 1", ARGS(TEXTOID, BYTEAARRAYOID)
	};
	static Statement insert = {
		"INSERT INTO refundx.payee (kind, fingerprint) VALUES ($1, $2)"
		" ON CONFLICT DO NOTHING RETURNING payee_id", ARGS(TEXTOID, BYTEAOID)
	};
	Column		prints;
	Values		v = {0};
	int			i;

	column_init(&prints, BYTEAOID);
	for (i = 0; i < p->fingerprints; i++)
		column_bytes(&prints, p->fingerprint[i], sizeof(p->fingerprint[i]));
	values_text(&v, kind);
	values_column(&v, &prints);
	if (statement_run(&find, &v) == 1)
		return row_int8(0, 1);
	values_reset(&v);
	values_text(&v, kind);
	values_bytes(&v, p->fingerprint[0], sizeof(p->fingerprint[0]));
	if (statement_run(&insert, &v) == 1)
		return row_int8(0, 1);

	/* somebody else has just paid the same payee for the first time */
	values_reset(&v);
	values_text(&v, kind);
	values_column(&v, &prints);
	if (statement_run(&find, &v) == 1)
		return row_int8(0, 1);
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
	row_insert(&payout, &v, NULL, NULL);
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
