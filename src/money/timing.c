/*-------------------------------------------------------------------------
 *
 * timing.c
 *	  A channel's times, as its configuration has them.
 *
 * The times are the channel's (its limits).  A configuration may shorten two
 * of them, and only if it talks to a sandbox on loopback: `not_found_after`
 * (seconds) and `time_scale` (how much faster that world's clock runs).
 *
 * src/money/timing.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/sql.h"

#include "money/settle.h"
#include "utils/timestamp.h"

void
timings_from_config(Timing timing[PRODUCT_COUNT], const Channel *channel, const char *config_json)
{
	int			kind;

	for (kind = 0; kind < PRODUCT_COUNT; kind++)
	{
		const ChannelProduct *product = channel_product(channel, (ProductKind) kind);
		Timing	   *t = &timing[kind];

		memset(t, 0, sizeof(*t));
		t->policy = failure_default;
		t->scale = channel_time_scale(config_json);
		if (product == NULL)
			continue;
		t->limits = &product->limits;
		t->not_found_after_us = channel_not_found_after(product, config_json) * USECS_PER_SEC;
		t->send_window_us = product->limits.send_window * USECS_PER_SEC / t->scale;
		t->ask_window_us = product->limits.ask_window * USECS_PER_SEC / t->scale;
	}
}

/* A handful of channels per database: all of them, once a batch. */
void
timings_load(Batch *b)
{
	static Statement read = {
		"SELECT c.channel_id::int8, c.kind, c.config::text, " FAILURE_COLUMNS("r") ", " FAILURE_COLUMNS("w")
		"  FROM refundx.channel c"
		"  LEFT JOIN refundx.failure_policy r ON r.channel_id = c.channel_id AND r.about = 'refund'"
		"  LEFT JOIN refundx.failure_policy w ON w.channel_id = c.channel_id AND w.about = 'withdrawal'"
		" ORDER BY c.channel_id", NO_ARGS
	};
	uint64		n = statement_run(&read, NULL);
	uint64		row;
	int			kind;

	b->timings = palloc0(Max(n, 1) * sizeof(ChannelTiming));
	b->ntimings = (int) n;
	for (row = 0; row < n; row++)
	{
		const Channel *channel = channel_lookup(row_text(row, 2));

		if (channel == NULL)
			elog(ERROR, "channel kind \"%s\" is not built in", row_text(row, 2));
		b->timings[row].channel_id = row_int8(row, 1);
		timings_from_config(b->timings[row].timing, channel, row_text(row, 3));
		for (kind = 0; kind < PRODUCT_COUNT; kind++)
		{
			FailureOverride own = {0};

			failure_override_read(&own, row, 4 + kind * FAILURE_COLUMN_COUNT);
			failure_override_apply(&b->timings[row].timing[kind].policy, &own);
		}
	}
}

const Timing *
timing_of(const Batch *b, int32 channel_id, ProductKind product)
{
	int			i;

	for (i = 0; i < b->ntimings; i++)
		if (b->timings[i].channel_id == channel_id && b->timings[i].timing[product].limits != NULL)
			return &b->timings[i].timing[product];
	elog(ERROR, "channel %d is not configured", channel_id);
}
