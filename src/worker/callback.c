/*-------------------------------------------------------------------------
 *
 * callback.c
 *	  Callbacks, however they came: by the listener or through SQL.
 *
 * Both verify with the same code and keep the same evidence.  What could not
 * be verified is not kept, or strangers could fill the disk; it is counted.
 *
 * src/worker/callback.c
 *
 *-------------------------------------------------------------------------
 */
#include "worker/callback.h"

#include <time.h>

#include "base/clock.h"
#include "lib/stringinfo.h"
#include "utils/memutils.h"

typedef struct Count
{
	char		channel[NAMEDATALEN];
	const char *result;			/* static */
	int64		unwritten;
	int64		unlogged;
} Count;

static Count *counts = NULL;	/* in TopMemoryContext */
static int	ncounts = 0;

/*
 * Headers that say nothing about the message, or that hold a proxy's or an
 * application's own credentials.
 */
static const char *const not_kept[] = {
	"accept", "accept-encoding", "accept-language", "authorization", "connection",
	"content-length", "cookie", "expect", "host", "proxy-authorization", "transfer-encoding",
};

static Jsonb *headers_kept(const HttpHeaders *headers);
static bool header_kept(const HttpHeaders *headers, int i);
static void ascii_value(JsonbValue *out, const char *s, bool lower);

bool
callback_channel_ready(const OpenChannel *channel)
{
	return channel->channel != NULL && channel->config != NULL;
}

void
callback_read(Callback *c, int64 now, const ChannelFindings *trace)
{
	c->result = c->channel->channel->read_callback(c->channel->config, c->headers,
												   c->body, c->len, now, trace, &c->evidence);
}

/*
 * Evidence belongs to the channel at whose address it arrived, under that
 * channel's merchant; what the message itself says about the merchant is
 * beside it, and the settler compares the two.
 */
void
callback_evidence_row(const Callback *c, EvidenceRow *row)
{
	memset(row, 0, sizeof(*row));
	row->channel_id = c->channel->channel_id;
	row->merchant_id = c->channel->merchant_id;
	row->source = "callback";
	row->what = &c->evidence;
	row->received_at = c->received_at;
	row->headers = headers_kept(c->headers);
	row->body = c->body ? c->body : "";
	row->body_len = c->len;
}

TimestampTz
callback_arrival(int64 wall_us)
{
	struct timespec ts;
	int64		age;

	clock_gettime(CLOCK_REALTIME, &ts);
	age = (int64) ts.tv_sec * 1000000 + ts.tv_nsec / 1000 - wall_us;

	/* the wall clock may have been set meanwhile */
	return clock_now() - Min(Max(age, 0), USECS_PER_MINUTE);
}

/* ------------------------------------------------------------------------
 * Headers
 * ------------------------------------------------------------------------
 */

/*
 * An object of the headers that let somebody verify the body again, names in
 * lower case.  It is ASCII whatever the header was, so that the database's
 * encoding cannot object to it.
 */
static Jsonb *
headers_kept(const HttpHeaders *headers)
{
	JsonbParseState *state = NULL;
	JsonbValue	word;
	int			i;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (i = 0; i < headers->count; i++)
	{
		if (!header_kept(headers, i))
			continue;
		ascii_value(&word, headers->item[i].name, true);
		pushJsonbValue(&state, WJB_KEY, &word);
		ascii_value(&word, headers->item[i].value, false);
		pushJsonbValue(&state, WJB_VALUE, &word);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* Of several with one name the first, which is the one that was looked at. */
static bool
header_kept(const HttpHeaders *headers, int i)
{
	const char *name = headers->item[i].name;
	int			k;

	for (k = 0; k < (int) lengthof(not_kept); k++)
		if (pg_strcasecmp(name, not_kept[k]) == 0)
			return false;
	for (k = 0; k < i; k++)
		if (pg_strcasecmp(name, headers->item[k].name) == 0)
			return false;
	return true;
}

static void
ascii_value(JsonbValue *out, const char *s, bool lower)
{
	int			len = (int) strlen(s);
	char	   *copy = palloc(len);
	int			i;

	for (i = 0; i < len; i++)
		copy[i] = (unsigned char) (s[i] - ' ') <= '~' - ' ' ? s[i] : '?';
	for (i = 0; lower && i < len; i++)
		copy[i] = pg_ascii_tolower((unsigned char) copy[i]);
	out->type = jbvString;
	out->val.string.val = copy;
	out->val.string.len = len;
}

/* ------------------------------------------------------------------------
 * Counting
 * ------------------------------------------------------------------------
 */

void
callback_count(const char *channel, const char *result, int64 n)
{
	Count	   *c = NULL;
	int			i;

	if (n <= 0)
		return;
	for (i = 0; i < ncounts && c == NULL; i++)
		if (strcmp(counts[i].result, result) == 0 && strcmp(counts[i].channel, channel) == 0)
			c = &counts[i];
	if (c == NULL)
	{
		Size		size = (ncounts + 1) * sizeof(Count);

		counts = counts ? repalloc(counts, size) : MemoryContextAlloc(TopMemoryContext, size);
		c = &counts[ncounts++];
		memset(c, 0, sizeof(*c));
		strlcpy(c->channel, channel, sizeof(c->channel));
		c->result = result;
	}
	c->unwritten += n;
	c->unlogged += n;
}

bool
callback_counted(void)
{
	int			i;

	for (i = 0; i < ncounts; i++)
		if (counts[i].unwritten > 0)
			return true;
	return false;
}

void
callback_counts_write(void *arg)
{
	static Statement insert = {
		"INSERT INTO refundx.callback_count (channel, result, n)"
		" SELECT * FROM ROWS FROM (unnest($1::text[]), unnest($2::text[]), unnest($3::int8[])) AS a",
		ARGS(TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID)
	};
	Column		channel,
				result,
				n;
	Values		v = {0};
	int			i;

	column_init(&channel, TEXTOID);
	column_init(&result, TEXTOID);
	column_init(&n, INT8OID);
	for (i = 0; i < ncounts; i++)
	{
		if (counts[i].unwritten == 0)
			continue;
		column_text(&channel, counts[i].channel);
		column_text(&result, counts[i].result);
		column_int8(&n, counts[i].unwritten);
	}
	values_column(&v, &channel);
	values_column(&v, &result);
	values_column(&v, &n);
	statement_run(&insert, &v);
}

void
callback_counts_written(void)
{
	int			i;

	for (i = 0; i < ncounts; i++)
		counts[i].unwritten = 0;
}

char *
callback_counts_summary(void)
{
	StringInfoData out;
	int			i;

	initStringInfo(&out);
	for (i = 0; i < ncounts; i++)
	{
		if (counts[i].unlogged == 0)
			continue;
		appendStringInfo(&out, "%s%s %s " INT64_FORMAT, out.len > 0 ? ", " : "",
						 counts[i].channel, counts[i].result, counts[i].unlogged);
		counts[i].unlogged = 0;
	}
	return out.data;
}
