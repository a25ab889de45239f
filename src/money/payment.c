/*-------------------------------------------------------------------------
 *
 * payment.c
 *	  Payments: what was paid, where, and whom to text about it.
 *
 * src/money/payment.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/money.h"

#include "base/clock.h"
#include "base/errors.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(refundx_payment_record);

static void payment_check_words(const PaymentWords *w);
static int64 account_by_no(const char *account_no, const char *currency);
static void payment_compare(const PaymentWords *w, int64 account_id);
static void contact_record(int64 payment_id, const PaymentWords *w);

void
channel_refuse(int sqlstate, const char *what, const ChannelError *err)
{
	ereport(ERROR,
			(errcode(sqlstate),
			 errmsg("%s: %s", what, err->message),
			 err->hint[0] ? errhint("%s", err->hint) : 0));
}

void
hide_statement(void *arg)
{
	errhidestmt(true);
}

const char *
argument_text(const char *name, const char *value, int max)
{
	const unsigned char *p;

	if (value == NULL || value[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be given", name)));
	if (strlen(value) > (size_t) max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is longer than %d bytes", name, max)));
	for (p = (const unsigned char *) value; *p; p++)
		if (*p < 0x20 || *p == 0x7f)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s has a control character in it", name)));
	return value;
}

void
channel_complain(const char *name)
{
	static Statement find = {
		"SELECT closed FROM refundx.channel WHERE name = $1", ARGS(TEXTOID)
	};
	Values		v = {0};

	values_text(&v, name);
	if (statement_run(&find, &v) == 1)
		ereport(ERROR,
				(errcode(ERRCODE_RX_CHANNEL_PAUSED),
				 errmsg("channel \"%s\" is closed", name),
				 errhint("Reopen it with refundx.channel_set('%s', closed => false).", name)));
	ereport(ERROR,
			(errcode(ERRCODE_RX_CHANNEL),
			 errmsg("channel \"%s\" does not exist", name),
			 errhint("Configured channels are in the view refundx.channels; refundx.channel_add() makes a new one.")));
}

/* Record a payment; true if it is new.  See money.h. */
bool
payment_record(const PaymentWords *w)
{
	static Statement insert = {
		"INSERT INTO refundx.payment (channel_id, payment_no, currency, paid, account_id,"
		"       channel_payment_id, paid_at, already_refunded, channel_data)"
		" SELECT channel_id, $2, $3, $4, $5, $6, $7, $8, $9::jsonb"
		"   FROM refundx.channel WHERE name = $1 AND NOT closed"
		" ON CONFLICT (channel_id, payment_no) DO NOTHING RETURNING payment_id",
		ARGS(TEXTOID, TEXTOID, TEXTOID, INT8OID, INT8OID, TEXTOID, TIMESTAMPTZOID, INT8OID, TEXTOID)
	};
	Values		v = {0};
	int64		account_id = 0;

	payment_check_words(w);
	if (w->account_no)
		account_id = account_by_no(w->account_no, w->currency);

	values_text(&v, w->channel);
	values_text(&v, w->payment_no);
	values_text(&v, w->currency);
	values_int8(&v, w->amount);
	values_datum(&v, Int64GetDatum(account_id), account_id == 0);
	values_text(&v, w->channel_payment_id);
	values_time(&v, w->paid_at);
	values_int8(&v, w->already_refunded);
	values_text(&v, w->channel_data);
	if (statement_run(&insert, &v) == 1)
	{
		contact_record(row_int8(0, 1), w);
		return true;
	}
	payment_compare(w, account_id);
	return false;
}

static void
payment_check_words(const PaymentWords *w)
{
	static Statement kind = {
		"SELECT kind FROM refundx.channel WHERE name = $1 AND NOT closed", ARGS(TEXTOID)
	};
	Values		v = {0};
	const Channel *channel;
	const char *const *c;

	argument_text("channel", w->channel, 32);
	argument_text("payment_no", w->payment_no, PAYMENT_NO_MAX);
	argument_text("currency", w->currency, 3);
	if (w->channel_payment_id)
		argument_text("channel_payment_id", w->channel_payment_id, CHANNEL_NO_MAX);
	if (w->amount <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_RX_BAD_AMOUNT),
				 errmsg("the amount paid must be positive, not %lld", (long long) w->amount),
				 errhint("Amounts are in the currency's minor unit: 12.34 CNY is 1234.")));
	if (w->already_refunded < 0 || w->already_refunded > w->amount)
		ereport(ERROR,
				(errcode(ERRCODE_RX_OVER_REFUND),
				 errmsg("already_refunded is %lld, which is not between 0 and the %lld paid",
						(long long) w->already_refunded, (long long) w->amount)));

	values_text(&v, w->channel);
	if (statement_run(&kind, &v) != 1)
		channel_complain(w->channel);
	channel = channel_lookup(row_text(0, 1));
	if (channel == NULL)
		channel_complain(w->channel);
	for (c = channel->refund->limits.currencies; *c != NULL; c++)
		if (strcmp(*c, w->currency) == 0)
			return;
	ereport(ERROR,
			(errcode(ERRCODE_RX_CURRENCY),
			 errmsg("%s does not take the currency \"%s\"", channel->label, w->currency),
			 errhint("Currencies are ISO 4217 codes in capitals.")));
}

static int64
account_by_no(const char *account_no, const char *currency)
{
	static Statement find = {
		"SELECT account_id, currency FROM refundx.account WHERE account_no = $1", ARGS(TEXTOID)
	};
	Values		v = {0};

	values_text(&v, account_no);
	if (statement_run(&find, &v) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_RX_UNKNOWN_ACCOUNT),
				 errmsg("account \"%s\" does not exist", account_no),
				 errhint("Open it with refundx.account_open().")));
	if (strcmp(row_text(0, 2), currency) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_RX_CURRENCY),
				 errmsg("account \"%s\" is in %s, the payment in %s",
						account_no, row_text(0, 2), currency)));
	return row_int8(0, 1);
}

/*
 * The payment is there already: an ERROR unless it says the same.  What the
 * caller left out does not count.  Telephone numbers are compared inside the
 * database and never printed; one that has been erased differs from nothing.
 */
static void
payment_compare(const PaymentWords *w, int64 account_id)
{
	static Statement differs = {
		"SELECT CASE"
		"   WHEN p.paid <> $3 THEN format('it was recorded with the amount %s, not %s', p.paid, $3)"
		"   WHEN p.currency <> $4 THEN format('it was recorded in %s, not %s', p.currency, $4)"
		"   WHEN p.channel_payment_id IS DISTINCT FROM coalesce($5, p.channel_payment_id) THEN"
		"        format('its channel_payment_id was recorded as %L, not %L', p.channel_payment_id, $5)"
		"   WHEN p.paid_at IS DISTINCT FROM coalesce($6, p.paid_at) THEN"
		"        format('its paid_at was recorded as %L, not %L', p.paid_at, $6)"
		"   WHEN $7 <> 0 AND p.already_refunded <> $7 THEN"
		"        format('its already_refunded was recorded as %s, not %s', p.already_refunded, $7)"
		"   WHEN p.account_id IS DISTINCT FROM coalesce($8, p.account_id) THEN 'it was recorded for another account'"
		"   WHEN p.channel_data IS DISTINCT FROM coalesce($9::jsonb, p.channel_data) THEN 'its channel_data was recorded differently'"
		"   WHEN c.phone <> $10 THEN 'its contact was recorded differently'"
		"   END"
		"  FROM refundx.channel ch"
		"  JOIN refundx.payment p ON p.channel_id = ch.channel_id AND p.payment_no = $2"
		"  LEFT JOIN refundx.payment_contact c ON c.payment_id = p.payment_id"
		" WHERE ch.name = $1",
		ARGS(TEXTOID, TEXTOID, INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, INT8OID, INT8OID,
			 TEXTOID, TEXTOID)
	};
	Values		v = {0};
	char	   *difference;

	values_text(&v, w->channel);
	values_text(&v, w->payment_no);
	values_int8(&v, w->amount);
	values_text(&v, w->currency);
	values_text(&v, w->channel_payment_id);
	values_time(&v, w->paid_at);
	values_int8(&v, w->already_refunded);
	values_datum(&v, Int64GetDatum(account_id), account_id == 0);
	values_text(&v, w->channel_data);
	values_text(&v, w->contact);
	if (statement_run(&differs, &v) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access to payment \"%s\"", w->payment_no),
				 errhint("Retry the transaction.")));
	difference = row_text(0, 1);
	if (difference != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_RX_NUMBER_REUSED),
				 errmsg("payment \"%s\" of channel \"%s\" is already recorded with other values",
						w->payment_no, w->channel),
				 errdetail("%s.", difference),
				 errhint("Recording the same values again is fine; another payment needs another number.")));
}

/* E.164 has at most 15 digits; the number itself is not repeated here. */
void
contact_check(const char *contact, const char *what, const char *number)
{
	const char *p;
	int			digits = 0;

	for (p = contact; *p; p++)
	{
		if (*p >= '0' && *p <= '9')
			digits++;
		else if (!(*p == '+' && p == contact))
			digits = 100;
	}
	if (digits < 5 || digits > 15)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the contact of %s \"%s\" is not a telephone number", what, number),
				 errhint("Give 5 to 15 digits, with an optional leading +.")));
}

static void
contact_record(int64 payment_id, const PaymentWords *w)
{
	static Statement insert = {
		"INSERT INTO refundx.payment_contact (payment_id, phone, language)"
		" VALUES ($1, $2, coalesce($3, 'zh-CN')) ON CONFLICT DO NOTHING",
		ARGS(INT8OID, TEXTOID, TEXTOID)
	};
	Values		v = {0};

	if (w->contact == NULL)
		return;
	contact_check(w->contact, "payment", w->payment_no);
	if (w->language)
		argument_text("language", w->language, 16);
	values_int8(&v, payment_id);
	values_text(&v, w->contact);
	values_text(&v, w->language);
	statement_run(&insert, &v);
}

/* SQL: payment_record(...) returns boolean; true if it is new. */
Datum
refundx_payment_record(PG_FUNCTION_ARGS)
{
	PaymentWords w = {0};
	ErrorContextCallback hide = {error_context_stack, hide_statement, NULL};
	bool		is_new;

	error_context_stack = &hide;

#define TEXT_ARG(i) (PG_ARGISNULL(i) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(i)))
	w.channel = TEXT_ARG(0);
	w.payment_no = TEXT_ARG(1);
	w.amount = PG_ARGISNULL(2) ? 0 : PG_GETARG_INT64(2);
	w.currency = TEXT_ARG(3);
	w.channel_payment_id = TEXT_ARG(4);
	w.paid_at = PG_ARGISNULL(5) ? 0 : PG_GETARG_TIMESTAMPTZ(5);
	w.already_refunded = PG_ARGISNULL(6) ? 0 : PG_GETARG_INT64(6);
	w.account_no = TEXT_ARG(7);
	w.contact = TEXT_ARG(8);
	w.language = TEXT_ARG(9);
	w.channel_data = PG_ARGISNULL(10) ? NULL :
		JsonbToCString(NULL, &PG_GETARG_JSONB_P(10)->root, VARSIZE(PG_GETARG_JSONB_P(10)));
#undef TEXT_ARG

	SPI_connect();
	is_new = payment_record(&w);
	SPI_finish();
	error_context_stack = hide.previous;
	PG_RETURN_BOOL(is_new);
}
