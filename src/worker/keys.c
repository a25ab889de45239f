/*-------------------------------------------------------------------------
 *
 * keys.c
 *	  Configured channels with their keys loaded, in one process' memory.
 *
 * Keys are files; the database holds their names.  They are read when a
 * channel is first used, when its configuration has changed (its revision),
 * and at each reload, which is how a rotated file is picked up.  A file that
 * cannot be read after a reload does not take a working key away.
 *
 * src/worker/keys.c
 *
 *-------------------------------------------------------------------------
 */
#include "worker/keys.h"

#include "base/json.h"

#include "base/settings.h"
#include "crypto/crypto.h"
#include "money/settle.h"

/* Each malloc'd by itself, so that pointers to them stay good; never freed. */
static OpenChannel **channels = NULL;
static int	nchannels = 0;

static void keys_open(OpenChannel *c, const char *config_json);

bool
keys_read_file(void *arg, const char *name, bool secret, Buf *out, char *err, size_t errsize)
{
	return key_file_read(rx_key_directory ? rx_key_directory : "", name, secret,
						 out, err, errsize) == KEY_FILE_OK;
}

static OpenChannel *
keys_slot(int32 channel_id)
{
	OpenChannel **grown;
	OpenChannel *c = keys_by_id(channel_id);

	if (c != NULL)
		return c;
	c = calloc(1, sizeof(OpenChannel));
	grown = realloc(channels, (nchannels + 1) * sizeof(OpenChannel *));
	if (grown != NULL)
		channels = grown;
	if (c == NULL || grown == NULL)
	{
		free(c);
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	}
	c->channel_id = channel_id;
	channels[nchannels++] = c;
	return c;
}

void
keys_refresh(bool force)
{
	static Statement read = {
		"SELECT channel_id, name, kind, merchant_id, merchant_no, revision, closed, config::text"
		"  FROM refundx.channel_settings ORDER BY channel_id", NO_ARGS
	};
	uint64		n = statement_run(&read, NULL);
	uint64		row;
	int			i;

	for (i = 0; i < nchannels; i++)
		channels[i]->seen = false;
	for (row = 0; row < n; row++)
	{
		OpenChannel *c = keys_slot(row_int4(row, 1));
		int			revision = row_int4(row, 6);
		const Channel *channel = channel_lookup(row_text(row, 3));

		c->seen = true;
		c->closed = row_bool(row, 7);
		if (channel == NULL)
		{
			snprintf(c->problem, sizeof(c->problem), "kind \"%s\" is not built in", row_text(row, 3));
			continue;
		}
		if (c->revision == revision && !force && (c->config != NULL || c->problem[0] != '\0'))
			continue;
		strlcpy(c->name, row_text(row, 2), sizeof(c->name));
		c->channel = channel;
		c->merchant_id = row_int4(row, 4);
		strlcpy(c->merchant_no, row_text(row, 5), sizeof(c->merchant_no));
		c->revision = revision;
		keys_open(c, row_text(row, 8));
	}
}

static void
keys_open(OpenChannel *c, const char *config_json)
{
	ChannelSource source = {config_json, keys_read_file, NULL};
	ChannelError err = {{0}};
	json_t	   *config;
	const char *base;
	void	   *opened;

	timings_from_config(c->timing, c->channel, config_json);
	config = json_loads(config_json, 0, NULL);
	base = json_string_value(json_object_get(config, "public_base_url"));
	strlcpy(c->public_base_url, base ? base : "", sizeof(c->public_base_url));
	json_decref(config);

	opened = c->channel->open(&source, &err);
	if (opened == NULL)
	{
		snprintf(c->problem, sizeof(c->problem), "%s", err.message);
		ereport(WARNING,
				(errmsg("refundx: channel \"%s\": %s", c->name, err.message),
				 err.hint[0] ? errhint("%s", err.hint) : 0));
		return;
	}
	if (c->config != NULL)
		c->channel->close(c->config);
	c->config = opened;
	c->problem[0] = '\0';
}

OpenChannel *
keys_by_id(int32 channel_id)
{
	int			i;

	for (i = 0; i < nchannels; i++)
		if (channels[i]->channel_id == channel_id)
			return channels[i];
	return NULL;
}

OpenChannel *
keys_by_name(const char *name)
{
	int			i;

	for (i = 0; i < nchannels; i++)
		if (channels[i]->seen && strcmp(channels[i]->name, name) == 0)
			return channels[i];
	return NULL;
}

int
keys_count(void)
{
	return nchannels;
}

OpenChannel *
keys_at(int i)
{
	return channels[i];
}

bool
keys_notify_url(const OpenChannel *c, char *out, size_t outsize)
{
	const char *base = c->public_base_url[0] ? c->public_base_url : rx_public_base_url;
	size_t		len = base ? strlen(base) : 0;

	while (len > 0 && base[len - 1] == '/')
		len--;
	if (len == 0)
		return false;
	return snprintf(out, outsize, "%.*s/v1/%s", (int) len, base, c->name) < (int) outsize;
}
