/*-------------------------------------------------------------------------
 *
 * stripe_account.c
 *	  A Stripe account's keys: made at init, read back by every other command.
 *
 * Both sides have the same secrets here: the API key and two webhook secrets,
 * the newer one and the one before it, so that a roll can be played.
 *
 * sandbox/stripe_account.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "keys.h"
#include "stripe.h"

#define SECRET_KEY	"stripe_secret.key"
#define HOOK_NEW	"stripe_webhook.secret"
#define HOOK_OLD	"stripe_webhook_old.secret"

bool
stripe_merchant_ok(const char *id)
{
	size_t		len = strlen(id);

	return len >= 13 && len <= 29 && strncmp(id, "acct_", 5) == 0 && stripe_id_ok(id, "acct_");
}

/* prefix and 48 random characters */
static bool
put_secret(const char *dir, const char *prefix, const char *name, const char *kind)
{
	char		a[SB_ID_MAX + 1],
				b[SB_ID_MAX + 1];
	Buf			text = BUF_INIT;
	bool		ok;

	stripe_id("", a);
	stripe_id("", b);
	buf_addf(&text, "%s%s%s", kind, a, b);
	ok = keys_put(dir, "keys", prefix, name, buf_str(&text), text.len, 0600);
	buf_wipe(&text);
	return ok;
}

json_t *
stripe_make_merchant(const char *dir, const char *id, const char *prefix)
{
	(void) id;
	if (!put_secret(dir, prefix, SECRET_KEY, "sk_test_") ||
		!put_secret(dir, prefix, HOOK_NEW, "whsec_") ||
		!put_secret(dir, prefix, HOOK_OLD, "whsec_"))
		return NULL;
	return json_object();
}

static bool
get_secret(const SbMerchant *m, const char *dir, const char *name, char *out, size_t size,
		   char *err, size_t errsize)
{
	Buf			text = BUF_INIT;
	bool		ok = keys_read(dir, "keys", m->prefix, name, &text, err, errsize);

	if (ok)
	{
		text.data[strcspn(buf_str(&text), " \t\r\n")] = '\0';
		ok = str_copy(out, size, text.data) && *out;
		if (!ok)
			snprintf(err, errsize, "%s%s holds no secret", m->prefix, name);
	}
	buf_wipe(&text);
	return ok;
}

bool
stripe_load_merchant(SbMerchant *m, const char *dir, json_t *entry, char *err, size_t errsize)
{
	StripeKeys *k = must_alloc(sizeof(*k));

	(void) entry;
	m->keys = k;
	str_copy(k->sign, sizeof(k->sign), "new");
	return get_secret(m, dir, SECRET_KEY, k->secret_key, sizeof(k->secret_key), err, errsize) &&
		get_secret(m, dir, HOOK_NEW, k->webhook_new, sizeof(k->webhook_new), err, errsize) &&
		get_secret(m, dir, HOOK_OLD, k->webhook_old, sizeof(k->webhook_old), err, errsize);
}

/* The newest webhook secret first: that is how they are listed in a console. */
bool
stripe_write_configs(const SbMerchant *m, const char *url)
{
	char		name[64],
				key[96],
				hook_new[96],
				hook_old[96];
	json_t	   *config;
	bool		ok;

	snprintf(name, sizeof(name), m->prefix[0] ? "channel-stripe-%s.json" : "channel-stripe.json",
			 m->mchid);
	snprintf(key, sizeof(key), "%s" SECRET_KEY, m->prefix);
	snprintf(hook_new, sizeof(hook_new), "%s" HOOK_NEW, m->prefix);
	snprintf(hook_old, sizeof(hook_old), "%s" HOOK_OLD, m->prefix);
	config = json_pack("{ss ss s[ss] ss sb si sf}", "account_id", m->mchid, "secret_key", key,
					   "webhook_secrets", hook_new, hook_old, "base_url", url,
					   "test_mode", 1, "not_found_after", sandbox.opt.not_found_after,
					   "time_scale", sandbox.opt.speed);
	ok = keys_put_json(sandbox.opt.data, name, config, 0644);
	json_decref(config);
	return ok;
}
