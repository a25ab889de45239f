/*-------------------------------------------------------------------------
 *
 * keys.h
 *	  Configured channels with their keys loaded, in one process' memory.
 *
 * src/worker/keys.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_KEYS_H
#define REFUNDX_KEYS_H

#include "base/sql.h"
#include "channel/channel.h"
#include "money/weigh.h"

typedef struct OpenChannel
{
	int32		channel_id;
	char		name[NAMEDATALEN];
	const Channel *channel;
	void	   *config;			/* NULL: see problem */
	int32		merchant_id;
	char		merchant_no[CHANNEL_MERCHANT_MAX + 1];
	int			revision;
	bool		closed;
	Timing		timing[PRODUCT_COUNT];
	char		public_base_url[200];	/* its own, or ""; see keys_notify_url() */
	char		problem[512];	/* why its keys could not be loaded; "" = fine */
	bool		seen;			/* in the last refresh */
} OpenChannel;

/*
 * Read refundx.channel_settings (in a transaction, SPI connected), opening
 * what is new or changed.  `force` opens everything again: key files may have
 * been rotated.  A channel whose keys cannot be loaded stays listed with its
 * problem; the others work.
 */
extern void keys_refresh(bool force);

extern OpenChannel *keys_by_id(int32 channel_id);
extern OpenChannel *keys_by_name(const char *name);
extern int	keys_count(void);
extern OpenChannel *keys_at(int i);

/* Where this channel's callbacks go; false if no base URL is configured. */
extern bool keys_notify_url(const OpenChannel *c, char *out, size_t outsize);

/* ChannelSource.read_key: a file under refundx.key_directory. */
extern bool keys_read_file(void *arg, const char *name, bool secret,
						   Buf *out, char *err, size_t errsize);

#endif							/* REFUNDX_KEYS_H */
