/*-------------------------------------------------------------------------
 *
 * channel_facts.c
 *	  What a backend remembers of the configured channels.
 *
 * Every submit needs its channel's id, merchant and kind, and they change a
 * few times a year: a join for them would be a good part of a submit's time.
 *
 * Who changes refundx.channel, by whatever means, sends a relation-cache
 * invalidation for it (a statement trigger does that, with the transaction's
 * commit), and all backends forget what they know before their next statement.
 * Two things must not get into the memory:
 *
 *	- what an invalidation has overtaken: it may arrive between the statement's
 *	  snapshot and the moment we remember its row.  So the count of
 *	  invalidations is taken before the snapshot, and must be the same after.
 *	- what an old snapshot sees, where the transaction's isolation fixes it:
 *	  there nothing is remembered.
 *
 * src/money/channel_facts.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/memo.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "money/channel_facts.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(refundx_channels_changed);

static HTAB *known = NULL;

static void
forget(void)
{
	HASH_SEQ_STATUS scan;
	ChannelFacts *f;

	hash_seq_init(&scan, known);
	while ((f = hash_seq_search(&scan)) != NULL)
		hash_search(known, &f->name, HASH_REMOVE, NULL);
}

static Memo channels = {"channel", forget};

static void
begin(void)
{
	HASHCTL		ctl = {.keysize = NAMEDATALEN,.entrysize = sizeof(ChannelFacts),.hcxt = TopMemoryContext};

	known = hash_create("refundx channels", 16, &ctl, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

static bool
read_facts(const char *name, ChannelFacts *f)
{
	static Statement find = {
		"SELECT c.channel_id, c.merchant_id, c.kind, c.closed, c.config ? 'transfer'"
		"  FROM refundx.channel c WHERE c.name = $1", ARGS(TEXTOID)
	};
	Values		v = {0};

	values_text(&v, name);
	if (statement_run(&find, &v) != 1)
		return false;
	f->channel_id = row_int4(0, 1);
	f->merchant_id = row_int4(0, 2);
	f->channel = channel_lookup(row_text(0, 3));
	if (f->channel == NULL)
		elog(ERROR, "channel kind \"%s\" is not built in", row_text(0, 3));
	f->closed = row_bool(0, 4);
	f->transfer_defaults = row_bool(0, 5);
	return true;
}

const ChannelFacts *
channel_facts(const char *name)
{
	static ChannelFacts unremembered;
	ChannelFacts *f;
	uint64		before;

	if (known == NULL)
		begin();
	if (strlen(name) >= NAMEDATALEN)
		return NULL;
	AcceptInvalidationMessages();
	f = hash_search(known, name, HASH_FIND, NULL);
	if (f != NULL && !IsolationUsesXactSnapshot())
		return f;

	before = memo_read(&channels);
	if (!read_facts(name, &unremembered))
		return NULL;
	strlcpy(NameStr(unremembered.name), name, NAMEDATALEN);
	if (before != memo_changes(&channels) || IsolationUsesXactSnapshot())
		return &unremembered;
	f = hash_search(known, name, HASH_ENTER, NULL);
	*f = unremembered;
	return f;
}

/* Trigger, after any statement that may have changed refundx.channel. */
Datum
refundx_channels_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "refundx.channels_changed is a trigger function");
	CacheInvalidateRelcache(trigger->tg_relation);
	PG_RETURN_POINTER(NULL);
}
