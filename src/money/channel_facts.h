/*-------------------------------------------------------------------------
 *
 * channel_facts.h
 *	  What a backend remembers of the configured channels.
 *
 * src/money/channel_facts.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_CHANNEL_FACTS_H
#define REFUNDX_CHANNEL_FACTS_H

#include "base/sql.h"
#include "channel/channel.h"

typedef struct ChannelFacts
{
	NameData	name;			/* hash key, first */
	int32		channel_id;
	int32		merchant_id;
	const Channel *channel;
	bool		closed;
	bool		transfer_defaults;	/* the configuration has something about transfers */
} ChannelFacts;

/*
 * The channel of that name; NULL if there is none.  With SPI connected.  Good
 * until the next statement: copy what has to live longer.
 */
extern const ChannelFacts *channel_facts(const char *name);

#endif							/* REFUNDX_CHANNEL_FACTS_H */
