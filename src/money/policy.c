/*-------------------------------------------------------------------------
 *
 * policy.c
 *	  The rules of withdrawals: limits, fees, who must agree.
 *
 * They are rows of refundx.withdraw_policy, and change rarely: what a backend has
 * read it remembers, until somebody changes that table (as in channel_facts.c).
 *
 * A limit per day is checked under the lock of the account's own row, by the
 * newest line of what the day has seen so far, so two withdrawals cannot both
 * find room for one.  An account with slots loses by this what its slots are for:
 * its withdrawals through that channel pass one lock.
 *
 * src/money/policy.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/policy.h"

#include "access/xact.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/memo.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/inval.h"

#define REMEMBERED_MAX	32
#define PPM				INT64CONST(1000000)

static const Policy no_rules = {
	.minimum = -1,.maximum = -1,.day_amount = -1,.day_count = -1,.day_zone = "Asia/Shanghai",
	.fee_cap = -1,.fee_back_on_failure = true,.approve_above = -1
};

typedef struct Remembered
{
	int32		channel_id;
	bool		of_accounts;	/* some account has rules of its own here */
	Policy		policy;			/* the channel's */
} Remembered;

static Remembered remembered[REMEMBERED_MAX];
static int	nremembered = 0;

static void
forget(void)
{
	nremembered = 0;
}

static Memo rules = {"withdraw_policy", forget};

static int64
limit_of(uint64 row, int col)
{
	return row_null(row, col) ? -1 : row_int8(row, col);
}

static void
policy_from_row(uint64 row, Policy *p)
{
	p->minimum = limit_of(row, 1);
	p->maximum = limit_of(row, 2);
	p->day_amount = limit_of(row, 3);
	p->day_count = limit_of(row, 4);
	strlcpy(p->day_zone, row_text(row, 5), sizeof(p->day_zone));
	p->fee_fixed = row_int8(row, 6);
	p->fee_ppm = row_int4(row, 7);
	p->fee_cap = limit_of(row, 8);
	p->fee_on_top = row_bool(row, 9);
	p->fee_back_on_failure = row_bool(row, 10);
	p->fee_back_on_return = row_bool(row, 11);
	p->approve_above = limit_of(row, 12);
	p->approve_new_payee = row_bool(row, 13);
}

#define POLICY_COLUMNS \
	"minimum, maximum, day_amount, day_count::int8, day_zone, fee_fixed::int8, fee_ppm, fee_cap," \
	" fee_on_top, fee_back_on_failure, fee_back_on_return, approve_above, approve_new_payee"

/* 0 = the channel's own; false if there is no such row. */
static bool
policy_read(int32 channel_id, int64 account_id, Policy *out)
{
	static Statement find = {
		"SELECT " POLICY_COLUMNS " FROM refundx.withdraw_policy"
		" WHERE channel_id = $1 AND coalesce(account_id, 0) = $2", ARGS(INT4OID, INT8OID)
	};
	Values		v = {0};

	values_int4(&v, channel_id);
	values_int8(&v, account_id);
	if (statement_run(&find, &v) != 1)
		return false;
	policy_from_row(0, out);
	return true;
}

static void
channel_read(int32 channel_id, Remembered *r)
{
	static Statement count = {
		"SELECT EXISTS (SELECT FROM refundx.withdraw_policy WHERE channel_id = $1 AND account_id IS NOT NULL)",
		ARGS(INT4OID)
	};
	Values		v = {0};

	values_int4(&v, channel_id);
	statement_run(&count, &v);
	r->channel_id = channel_id;
	r->of_accounts = row_bool(0, 1);
	if (!policy_read(channel_id, 0, &r->policy))
		r->policy = no_rules;
}

void
policy_of(int32 channel_id, int64 account_id, Policy *out)
{
	Remembered	fresh;
	const Remembered *r = NULL;
	uint64		before;
	int			i;

	AcceptInvalidationMessages();
	for (i = 0; i < nremembered && r == NULL && !IsolationUsesXactSnapshot(); i++)
		if (remembered[i].channel_id == channel_id)
			r = &remembered[i];
	if (r == NULL)
	{
		before = memo_read(&rules);
		channel_read(channel_id, &fresh);
		r = &fresh;
		if (before == memo_changes(&rules) && !IsolationUsesXactSnapshot() && nremembered < REMEMBERED_MAX)
			remembered[nremembered++] = fresh;
	}
	*out = r->policy;
	if (r->of_accounts)
		(void) policy_read(channel_id, account_id, out);
}

/* ---- fees ---- */

/*
 * asked * ppm / 1000000, half a unit and more counting as one, without a product
 * that could pass the range of bigint.
 */
static int64
share_of(int64 asked, int32 ppm)
{
	int64		whole = asked / PPM;
	int64		rest = asked % PPM;

	return whole * ppm + (rest * ppm + PPM / 2) / PPM;
}

void
policy_fee(const Policy *p, int64 asked, int64 *net, int64 *fee)
{
	int64		f = share_of(asked, p->fee_ppm);

	/* a fixed fee is the least of it, and the cap the most of the whole */
	f = f > PG_INT64_MAX - p->fee_fixed ? PG_INT64_MAX : f + p->fee_fixed;
	if (p->fee_cap >= 0)
		f = Min(f, p->fee_cap);
	*fee = f;
	*net = p->fee_on_top ? asked : asked - f;
	if (*net <= 0 || *net > PG_INT64_MAX - f)
		ereport(ERROR,
				(errcode(ERRCODE_RX_LIMIT),
				 errmsg("of a withdrawal of %lld nothing would be left after the fee of %lld",
						(long long) asked, (long long) f),
				 errhint("See refundx.withdraw_policies; amounts are in the currency's minor unit.")));
}

/* ---- limits ---- */

void
policy_check_amount(const Policy *p, int64 asked, const char *currency)
{
	if (p->minimum >= 0 && asked < p->minimum)
		ereport(ERROR,
				(errcode(ERRCODE_RX_LIMIT),
				 errmsg("the amount %lld is below the minimum of %lld", (long long) asked, (long long) p->minimum),
				 errdetail("Both in minor units of %s.", currency),
				 errhint("See refundx.withdraw_policies.")));
	if (p->maximum >= 0 && asked > p->maximum)
		ereport(ERROR,
				(errcode(ERRCODE_RX_LIMIT),
				 errmsg("the amount %lld is above the %lld that one withdrawal may have",
						(long long) asked, (long long) p->maximum),
				 errdetail("Both in minor units of %s.", currency),
				 errhint("See refundx.withdraw_policies.")));
}

int32
policy_count(const Policy *p, int64 account_id, int32 channel_id, int64 asked,
			 int64 instruction_id, const char *currency)
{
	static Statement so_far = {
		"SELECT d.day, coalesce(l.n, 0), coalesce(l.withdrawals, 0), coalesce(l.amount, 0)"
		"  FROM (SELECT ($3 AT TIME ZONE $4)::date AS day) d"
		"  LEFT JOIN LATERAL (SELECT n, withdrawals, amount FROM refundx.cap_line"
		"                      WHERE account_id = $1 AND channel_id = $2 AND day = d.day"
		"                      ORDER BY n DESC LIMIT 1) l ON true",
		ARGS(INT8OID, INT4OID, TIMESTAMPTZOID, TEXTOID)
	};
	static Statement insert = {
		"INSERT INTO refundx.cap_line (account_id, channel_id, day, n, withdrawals, amount, instruction_id)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
		ARGS(INT8OID, INT4OID, DATEOID, INT8OID, INT8OID, INT8OID, INT8OID)
	};
	Values		v = {0};
	bool		isnull;
	Datum		day;
	int64		n;
	int64		withdrawals;
	int64		amount;

	values_int8(&v, account_id);
	values_int4(&v, channel_id);
	values_time(&v, clock_now());
	values_text(&v, p->day_zone);
	statement_run(&so_far, &v);
	day = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	n = row_int8(0, 2);
	withdrawals = row_int8(0, 3);
	amount = row_int8(0, 4);
	if (p->day_count >= 0 && withdrawals >= p->day_count)
		ereport(ERROR,
				(errcode(ERRCODE_RX_LIMIT),
				 errmsg("the account has made %lld withdrawals today, and %lld are allowed",
						(long long) withdrawals, (long long) p->day_count),
				 errhint("The day is that of %s; see refundx.withdraw_policies.", p->day_zone)));
	if (p->day_amount >= 0 && asked > p->day_amount - amount)
		ereport(ERROR,
				(errcode(ERRCODE_RX_LIMIT),
				 errmsg("the amount %lld is more than the %lld left of today's limit",
						(long long) asked, (long long) (p->day_amount - amount)),
				 errdetail("Of %lld a day, %lld were asked for today (minor units of %s).",
						   (long long) p->day_amount, (long long) amount, currency),
				 errhint("The day is that of %s; see refundx.withdraw_policies.", p->day_zone)));

	values_reset(&v);
	values_int8(&v, account_id);
	values_int4(&v, channel_id);
	values_datum(&v, day, false);
	values_int8(&v, n + 1);
	values_int8(&v, withdrawals + 1);
	values_int8(&v, amount + asked);
	values_int8(&v, instruction_id);
	/* under the lock only an older snapshot explains that there is such a line */
	if (statement_run(&insert, &v) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access to the day's limit of an account"),
				 errhint("Retry the transaction.")));
	return DatumGetDateADT(day);
}

void
policy_uncount(int64 instruction_id)
{
	static Statement give_back = {
		"INSERT INTO refundx.cap_line (account_id, channel_id, day, n, withdrawals, amount, instruction_id)"
		" SELECT l.account_id, l.channel_id, l.day, l.n + 1, l.withdrawals - 1, l.amount - o.asked, $1"
		"   FROM refundx.payout o JOIN refundx.instruction i USING (instruction_id)"
		"   JOIN LATERAL (SELECT * FROM refundx.cap_line l"
		"                  WHERE l.account_id = o.account_id AND l.channel_id = i.channel_id"
		"                    AND l.day = o.capped_on ORDER BY n DESC LIMIT 1) l ON true"
		"  WHERE o.instruction_id = $1"
		/* under the lock there is such a line for an older snapshot only: so it is a 40001 */
		" ON CONFLICT DO NOTHING", ARGS(INT8OID)
	};
	Values		v = {0};

	values_int8(&v, instruction_id);
	statement_run(&give_back, &v);
}
