/*-------------------------------------------------------------------------
 *
 * state.c
 *	  What the code decides by, as rows: the state table, the verdicts of
 *	  every channel, and what each channel allows.
 *
 * src/api/state.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/pg_compat.h"

#include "catalog/pg_type.h"
#include "channel/bill.h"
#include "fmgr.h"
#include "money/state.h"
#include "notice/notice.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(refundx_state_table);
PG_FUNCTION_INFO_V1(refundx_state_is_open);
PG_FUNCTION_INFO_V1(refundx_verdict_table);
PG_FUNCTION_INFO_V1(refundx_channel_kinds);
PG_FUNCTION_INFO_V1(refundx_bill_kinds);
PG_FUNCTION_INFO_V1(refundx_mask_phone);
PG_FUNCTION_INFO_V1(refundx_format_amount);

#define COLUMNS_MAX		16

/* One row under construction. */
typedef struct Row
{
	int			n;
	Datum		value[COLUMNS_MAX];
	bool		null[COLUMNS_MAX];
} Row;

static void
row_add(Row *row, Datum value, bool null)
{
	Assert(row->n < COLUMNS_MAX);
	row->value[row->n] = value;
	row->null[row->n++] = null;
}

static void
row_words(Row *row, const char *text)
{
	row_add(row, text ? CStringGetTextDatum(text) : (Datum) 0, text == NULL);
}

/* Zero is "no limit", or "any": null. */
static void
row_number(Row *row, int i)
{
	row_add(row, Int32GetDatum(i), i == 0);
}

static void
row_seconds(Row *row, int64 seconds)
{
	Interval   *interval = palloc0(sizeof(Interval));

	if (seconds % 86400 == 0)
		interval->day = (int32) (seconds / 86400);
	else
		interval->time = seconds * USECS_PER_SEC;
	row_add(row, IntervalPGetDatum(interval), seconds == 0);
}

static void
row_put(Row *row, ReturnSetInfo *rsinfo)
{
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row->value, row->null);
}

/* What channels do, one after the other; NULL past the end. */
static const ChannelProduct *
product_at(int i, const Channel **channel)
{
	int			c;
	int			kind;

	for (c = 0; (*channel = channel_at(c)) != NULL; c++)
		for (kind = 0; kind < PRODUCT_COUNT; kind++)
			if (channel_product(*channel, (ProductKind) kind) != NULL && i-- == 0)
				return channel_product(*channel, (ProductKind) kind);
	return NULL;
}

/* SQL: state_is_open(state) returns boolean; a word that is no state is not open. */
Datum
refundx_state_is_open(PG_FUNCTION_ARGS)
{
	State		state;

	PG_RETURN_BOOL(state_from_name(text_to_cstring(PG_GETARG_TEXT_PP(0)), &state) &&
				   state_is_open(state));
}

/*
 * SQL: state_table() returns setof (from_state, input, reaction, to_state,
 * effect, comment)
 */
Datum
refundx_state_table(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const Transition *t;
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	for (i = 0; (t = state_transition_at(i)) != NULL; i++)
	{
		Row			row = {0};

		row_words(&row, state_name(t->from));
		row_words(&row, input_name(t->input));
		row_words(&row, reaction_name(t->reaction));
		row_words(&row, state_name(t->to));
		row_words(&row, effect_name(t->effect));
		row_words(&row, t->comment);
		row_put(&row, rsinfo);
	}
	return (Datum) 0;
}

/*
 * SQL: verdict_table() returns setof (kind, product, call, n, http_status, code,
 * verdict, signed_only, comment, source)
 *
 * The first row that fits an answer decides, so the order is part of it.
 */
Datum
refundx_verdict_table(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const ChannelProduct *product;
	const Channel *channel;
	int			i;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	for (i = 0; (product = product_at(i, &channel)) != NULL; i++)
	{
		for (n = 0; n < product->verdict_count; n++)
		{
			const VerdictRule *rule = &product->verdicts[n];
			Row			row = {0};

			row_words(&row, channel->kind);
			row_words(&row, product_name(product->kind));
			row_words(&row, channel_call_name(rule->call));
			row_number(&row, n + 1);
			row_number(&row, rule->http_status);
			row_words(&row, rule->code);
			row_words(&row, verdict_name(rule->verdict));
			row_add(&row, BoolGetDatum(rule->signed_only), false);
			row_words(&row, rule->comment);
			row_words(&row, rule->source);
			row_put(&row, rsinfo);
		}
	}
	return (Datum) 0;
}

/*
 * SQL: channel_kinds() returns setof (kind, product, label, currencies, number_rule,
 * max_parts, max_age, part_spacing, calls_per_second, failing_per_second,
 * not_found_after, send_window, ask_window, call_timeout)
 */
Datum
refundx_channel_kinds(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const ChannelProduct *product;
	const Channel *channel;
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	for (i = 0; (product = product_at(i, &channel)) != NULL; i++)
	{
		const ChannelLimits *l = &product->limits;
		Datum	   *currencies;
		int			n = 0;
		Row			row = {0};
		Interval   *timeout = palloc0(sizeof(Interval));

		while (l->currencies[n] != NULL)
			n++;
		currencies = palloc(Max(n, 1) * sizeof(Datum));
		for (n = 0; l->currencies[n] != NULL; n++)
			currencies[n] = CStringGetTextDatum(l->currencies[n]);
		row_words(&row, channel->kind);
		row_words(&row, product_name(product->kind));
		row_words(&row, channel->label);
		row_add(&row, PointerGetDatum(construct_array(currencies, n, TEXTOID, -1, false, TYPALIGN_INT)),
				false);
		row_words(&row, l->number_rule);
		row_number(&row, l->max_parts);
		row_seconds(&row, l->max_age);
		row_seconds(&row, l->part_spacing);
		row_number(&row, l->calls_per_second);
		row_number(&row, l->failing_per_second);
		row_seconds(&row, l->not_found_after);
		row_seconds(&row, l->send_window);
		row_seconds(&row, l->ask_window);
		timeout->time = (int64) l->call_timeout_ms * 1000;
		row_add(&row, IntervalPGetDatum(timeout), false);
		row_put(&row, rsinfo);
	}
	return (Datum) 0;
}

/*
 * SQL: bill_kinds() returns setof (channel_kind, kind, label, has_refunds,
 * has_transfers, is_ledger, utc_offset, ready_at, retry_after, max_age_days,
 * delay_days, by_acceptance, paid_is_taken, fetchable)
 */
Datum
refundx_bill_kinds(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const Channel *channel;
	int			c;

	InitMaterializedSRF(fcinfo, 0);
	for (c = 0; (channel = channel_at(c)) != NULL; c++)
	{
		const ChannelBill *bill;
		int			i;

		for (i = 0; (bill = channel_bill_at(channel->kind, i)) != NULL; i++)
		{
			Row			row = {0};

			row_words(&row, channel->kind);
			row_words(&row, bill->kind);
			row_words(&row, bill->label);
			row_add(&row, BoolGetDatum(bill->has_refunds), false);
			row_add(&row, BoolGetDatum(bill->has_transfers), false);
			row_add(&row, BoolGetDatum(bill->is_ledger), false);
			row_add(&row, Int32GetDatum(bill->utc_offset), false);
			row_add(&row, Int32GetDatum(bill->ready_at), false);
			row_add(&row, Int32GetDatum(bill->retry_after), false);
			row_add(&row, Int32GetDatum(bill->max_age_days), false);
			row_add(&row, Int32GetDatum(bill->delay_days), false);
			row_add(&row, BoolGetDatum(bill->by_acceptance), false);
			row_add(&row, BoolGetDatum(bill->paid_is_taken), false);
			row_add(&row, BoolGetDatum(bill->ask != NULL), false);
			row_put(&row, rsinfo);
		}
	}
	return (Datum) 0;
}

/* SQL: mask_phone(phone text) returns text */
Datum
refundx_mask_phone(PG_FUNCTION_ARGS)
{
	char		masked[64];

	notice_mask_phone(text_to_cstring(PG_GETARG_TEXT_PP(0)), masked, sizeof(masked));
	PG_RETURN_TEXT_P(cstring_to_text(masked));
}

/* SQL: format_amount(amount bigint, currency text) returns text */
Datum
refundx_format_amount(PG_FUNCTION_ARGS)
{
	char		formatted[64];

	notice_format_amount(PG_GETARG_INT64(0), text_to_cstring(PG_GETARG_TEXT_PP(1)),
						 formatted, sizeof(formatted));
	PG_RETURN_TEXT_P(cstring_to_text(formatted));
}
