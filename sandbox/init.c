/*-------------------------------------------------------------------------
 *
 * init.c
 *	  A new sandbox: keys for both sides, and configurations to use them.
 *
 * DIR/keys is what a merchant has, and can be refundx.key_directory as it is.
 * DIR/private is what the channel has.  Key directories are flat, so the
 * files of a channel's second merchant and of those after it begin with
 * "<mchid>-"; their configurations' names have the mchid too.
 *
 * sandbox/init.c
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "books.h"
#include "keys.h"

static bool
make_dir(const char *dir, const char *sub)
{
	char		path[PATH_SIZE];

	snprintf(path, sizeof(path), "%s%s", dir, sub);
	if (mkdir(path, 0700) == 0)
		return true;
	fprintf(stderr, "refundx-sandbox: could not create %s: %s\n", path, strerror(errno));
	return false;
}

static int
count_of(const InitMerchant *list, int count, const SbChannel *channel)
{
	int			n = 0,
				i;

	for (i = 0; i < count; i++)
		n += list[i].channel == channel;
	return n;
}

/* What refundx seals the payees of withdrawals with: no channel's, and none knows it. */
static bool
make_payee_key(const char *dir)
{
	char		hex[2 * 32 + 2];

	if (!random_nonce(hex) || !random_nonce(hex + 32))
		return false;
	hex[64] = '\n';
	return keys_put(dir, "keys", "", "payee.key", hex, 65, 0600);
}

/* What was asked for can be made; else says why. */
static bool
list_ok(const InitMerchant *list, int count)
{
	int			i,
				j;

	for (i = 0; i < count; i++)
	{
		if (strlen(list[i].id) > SB_MCHID_MAX || !list[i].channel->merchant_ok(list[i].id))
		{
			fprintf(stderr, "refundx-sandbox: \"%s\" is no merchant number\n", list[i].id);
			return false;
		}
		for (j = 0; j < i; j++)
			if (strcmp(list[i].id, list[j].id) == 0)
			{
				fprintf(stderr, "refundx-sandbox: \"%s\" is named twice\n", list[i].id);
				return false;
			}
	}
	return true;
}

static bool
make_merchant(const char *dir, const SbChannel *channel, const char *id, bool first, json_t *out)
{
	char		prefix[SB_MCHID_MAX + 2] = "";
	json_t	   *entry;

	if (!first)
		snprintf(prefix, sizeof(prefix), "%.*s-", SB_MCHID_MAX, id);
	entry = channel->make_merchant(dir, id, prefix);
	if (entry == NULL)
		return false;
	json_object_set_new(entry, "channel", json_string(channel->name));
	json_object_set_new(entry, "mchid", json_string(id));
	json_object_set_new(entry, "prefix", json_string(prefix));
	json_array_append_new(out, entry);
	return true;
}

static bool
make_merchants(const char *dir, const InitMerchant *list, int count, json_t *out)
{
	const SbChannel *channel;
	bool		ok = true;
	int			c,
				i;

	for (c = 0; ok && (channel = channel_at(c)) != NULL; c++)
	{
		bool		first = true;

		if (channel->default_merchant == NULL)
			continue;
		if (count_of(list, count, channel) == 0)
			ok = make_merchant(dir, channel, channel->default_merchant, true, out);
		for (i = 0; ok && i < count; i++)
			if (list[i].channel == channel)
			{
				ok = make_merchant(dir, channel, list[i].id, first, out);
				first = false;
			}
	}
	return ok;
}

int
init_command(const char *dir, const InitMerchant *list, int count, int port)
{
	char		id[33],
				secret[33],
				err[256];
	json_t	   *merchants = json_array();
	json_t	   *all;
	bool		ok;

	if (!list_ok(list, count) ||
		!make_dir(dir, "") || !make_dir(dir, "/keys") || !make_dir(dir, "/private") ||
		!make_merchants(dir, list, count, merchants) ||
		!random_nonce(id) || !random_nonce(secret))
		return 1;
	memcpy(id, "LTAIsandbox", 11);
	id[24] = '\0';
	all = json_pack("{so ss}", "merchants", merchants, "sms_access_key_id", id);
	ok = keys_put(dir, "keys", "", "sms_access_key", secret, 30, 0600) &&
		make_payee_key(dir) &&
		keys_put_json(dir, "sandbox.json", all, 0600);
	json_decref(all);
	sandbox.opt.data = dir;
	if (ok && !load_keys(dir, err, sizeof(err)))
	{
		fprintf(stderr, "refundx-sandbox: %s\n", err);
		ok = false;
	}
	return ok && write_configs(port) ? 0 : 1;
}

/* ---- reading it all back ---- */

static bool
load_merchant(const char *dir, json_t *entry, char *err, size_t errsize)
{
	SbMerchant *m = must_alloc(sizeof(*m));
	const char *channel,
			   *mchid,
			   *prefix;

	if (json_unpack(entry, "{ss ss ss}", "channel", &channel, "mchid", &mchid,
					"prefix", &prefix) != 0 ||
		(m->channel = channel_by_name(channel)) == NULL || m->channel->load_merchant == NULL)
	{
		snprintf(err, errsize, "sandbox.json is damaged");
		return false;
	}
	m->fee_rate = FEE_RATE;
	m->opening[BOOK_BASIC] = m->opening[BOOK_OPERATION] = OPENING;
	str_copy(m->mchid, sizeof(m->mchid), mchid);
	str_copy(m->prefix, sizeof(m->prefix), prefix);
	if (!m->channel->load_merchant(m, dir, entry, err, errsize))
		return false;
	map_put(&sandbox.model.merchants, m->mchid, m);
	return true;
}

bool
load_keys(const char *dir, char *err, size_t errsize)
{
	char		path[PATH_SIZE];
	json_t	   *all;
	json_t	   *entry;
	const char *id;
	size_t		i;
	bool		ok;

	snprintf(path, sizeof(path), "%s/sandbox.json", dir);
	all = json_load_file(path, 0, NULL);
	id = json_string_value(json_object_get(all, "sms_access_key_id"));
	if (id == NULL || !str_copy(sandbox.sms_access_key_id, sizeof(sandbox.sms_access_key_id), id))
	{
		snprintf(err, errsize, "%s is missing or damaged: run refundx-sandbox init first", path);
		json_decref(all);
		return false;
	}
	ok = keys_read(dir, "keys", "", "sms_access_key", &sandbox.sms_secret, err, errsize);
	json_array_foreach(json_object_get(all, "merchants"), i, entry)
		ok = ok && load_merchant(dir, entry, err, errsize);
	json_decref(all);
	return ok;
}

/* ---- configurations for refundx ---- */

bool
write_configs(int port)
{
	const Map  *all = &sandbox.model.merchants;
	char		url[64];
	char		path[PATH_SIZE];
	json_t	   *sms;
	size_t		i;
	bool		ok = true;

	snprintf(url, sizeof(url), "%s://127.0.0.1:%d", sandbox.opt.tls_cert ? "https" : "http", port);
	for (i = 0; i < all->size; i++)
		if (all->slot[i].key != NULL)
		{
			const SbMerchant *m = all->slot[i].value;

			ok = ok && m->channel->write_configs(m, url);
		}
	sms = json_pack("{ss ss ss}", "access_key_id", sandbox.sms_access_key_id,
					"access_key_secret", "sms_access_key", "endpoint", url);
	ok = ok && keys_put_json(sandbox.opt.data, "sms.json", sms, 0644);
	json_decref(sms);
	snprintf(path, sizeof(path), "%s/url", sandbox.opt.data);
	return ok && write_file(path, url, strlen(url), 0644);
}
