/*-------------------------------------------------------------------------
 *
 * stripe_config.c
 *	  A Stripe configuration: its text, its keys, and their rotation.
 *
 * Stripe's keys say themselves what they are: sk_live_, rk_test_, whsec_.
 * So a key in the wrong place is found when the channel is added, and is told
 * by its own name: above all a test key where money should move, which would
 * answer every refund with "no such payment".
 *
 * No message here repeats a value of the configuration, nor any part of a
 * file: only the names of settings and of files.
 *
 * src/channel/stripe_config.c
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel/stripe.h"

#define SECRET_LEN_MIN	16		/* all of Stripe's are longer */
#define PASTED_LEN_MIN	12		/* behind the prefix; no file's name is like that */

static const char *const known_settings[] = {
	"account_id", "secret_key", "webhook_secrets", "connect", "test_mode", "api_version",
	"base_url", "public_base_url", "not_found_after", "time_scale", NULL
};

#define KNOWN_SETTINGS_TEXT \
	"Known settings: account_id, secret_key, webhook_secrets, connect, test_mode, api_version, " \
	"base_url, public_base_url, not_found_after, time_scale."

static bool is_pasted_secret(const char *s);

static const char *const file_settings[] = {"secret_key", "webhook_secrets", NULL};

static const SettingRules rules = {
	.label = "Stripe",
	.known = known_settings,
	.known_text = KNOWN_SETTINGS_TEXT,
	.files = file_settings,
	.is_secret = is_pasted_secret,
};

/* ---- the text ---- */

static bool
starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

/*
 * A key is its prefix and many letters and digits, perhaps with what was
 * copied along with it ("Bearer ").  No file would be called that.
 */
static bool
is_pasted_secret(const char *s)
{
	static const char *const prefixes[] = {
		"sk_live_", "sk_test_", "sk_org_", "rk_live_", "rk_test_", "whsec_"
	};
	const char *p;
	size_t		i;
	size_t		k;

	for (i = 0; i < lengthof_array(prefixes); i++)
		for (p = strstr(s, prefixes[i]); p != NULL; p = strstr(p, prefixes[i]))
		{
			p += strlen(prefixes[i]);
			for (k = 0; isalnum((unsigned char) p[k]) || p[k] == '_'; k++)
				if (k + 1 >= PASTED_LEN_MIN)
					return true;
		}
	return false;
}

static bool
get_bool(const StripeSettings *s, const char *name, bool *out, ChannelError *err)
{
	const json_t *v = json_object_get(s->root, name);

	*out = json_is_true(v);
	if (v == NULL || json_is_boolean(v))
		return true;
	return channel_error(err, "Write it without quotes.",
						 "the setting \"%s\" must be true or false", name);
}

static bool
get_account(StripeSettings *s, ChannelError *err)
{
	const char *text;

	if (!setting_text(&rules, s->root, "account_id", true, &text, err))
		return false;
	if (!starts_with(text, "acct_") || text[5] == '\0' ||
		!stripe_is_id(text, CHANNEL_MERCHANT_MAX))
		return channel_error(err, "It is shown in the Dashboard under Settings, Account details; "
							 "for Connect it is the connected account's.",
							 "the setting \"account_id\" must be an account's id: acct_ and "
							 "letters and digits");
	return str_copy(s->account_id, sizeof(s->account_id), text);
}

/* One name, or several while a secret is being rolled: all are tried. */
static bool
get_webhook_secrets(StripeSettings *s, ChannelError *err)
{
	const json_t *v = json_object_get(s->root, "webhook_secrets");
	size_t		n = json_is_array(v) ? json_array_size(v) : 1;
	size_t		i;

	if (v == NULL)
		return true;
	if (n < 1 || n > STRIPE_SECRETS_MAX)
		return channel_error(err, "Leave it out if Stripe shall send no events here.",
							 "the setting \"webhook_secrets\" must name 1 to %d files",
							 STRIPE_SECRETS_MAX);
	for (i = 0; i < n; i++)
	{
		const json_t *item = json_is_array(v) ? json_array_get(v, i) : v;

		if (!json_is_string(item) || json_string_length(item) == 0)
			return channel_error(err, NULL, "the setting \"webhook_secrets\" must be a file name, "
								 "or a list of them");
		s->webhook_secrets[i] = json_string_value(item);
	}
	s->webhook_secret_count = (int) n;
	return true;
}

/* "2025-04-30.basil", or of earlier years "2023-10-16" (api/versioning). */
static bool
get_api_version(StripeSettings *s, ChannelError *err)
{
	const char *text;
	size_t		i;
	bool		good = true;

	if (!setting_text(&rules, s->root, "api_version", false, &text, err))
		return false;
	if (text == NULL)
		return str_copy(s->api_version, sizeof(s->api_version), STRIPE_API_VERSION);
	for (i = 0; good && i < 10; i++)
		good = i == 4 || i == 7 ? text[i] == '-' : isdigit((unsigned char) text[i]) != 0;
	if (good && text[10] != '\0')
		good = text[10] == '.' && text[11] != '\0' &&
			strspn(text + 11, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(text + 11);
	if (!good || strlen(text) > STRIPE_VERSION_MAX)
		return channel_error(err, "For example \"" STRIPE_API_VERSION "\", which is the default.",
							 "the setting \"api_version\" must be a version of Stripe's API");
	return str_copy(s->api_version, sizeof(s->api_version), text);
}

static bool
settings_fill(StripeSettings *s, ChannelError *err)
{
	UrlKind		base;

	if (!get_account(s, err) ||
		!setting_text(&rules, s->root, "secret_key", true, &s->secret_key, err) ||
		!get_webhook_secrets(s, err) ||
		!get_bool(s, "connect", &s->connect, err) ||
		!get_bool(s, "test_mode", &s->test_mode, err) ||
		!get_api_version(s, err) ||
		!setting_host(&rules, s->root, "base_url", STRIPE_BASE_URL, s->base_url, &base, err) ||
		!setting_text(&rules, s->root, "public_base_url", false, &s->public_base_url, err) ||
		!setting_sandbox(s->root, &s->has_sandbox_settings, err))
		return false;
	if (s->base_url[0] == '\0')
		str_copy(s->base_url, sizeof(s->base_url), STRIPE_BASE_URL);
	s->loopback = base == URL_LOOPBACK;
	return true;
}

bool
stripe_settings_parse(const char *config_json, StripeSettings *s, ChannelError *err)
{
	memset(s, 0, sizeof(*s));
	s->root = settings_parse(&rules, config_json, err);
	if (s->root == NULL)
		return false;
	if (settings_fill(s, err))
		return true;
	stripe_settings_free(s);
	return false;
}

void
stripe_settings_free(StripeSettings *s)
{
	json_decref(s->root);
	memset(s, 0, sizeof(*s));
}

bool
stripe_merchant(const char *config_json, char merchant[CHANNEL_MERCHANT_MAX + 1],
				ChannelError *err)
{
	StripeSettings s;

	merchant[0] = '\0';
	if (!stripe_settings_parse(config_json, &s, err))
		return false;
	str_copy(merchant, CHANNEL_MERCHANT_MAX + 1, s.account_id);
	stripe_settings_free(&s);
	return true;
}

/* ---- the keys ---- */

/*
 * The one line of a file.  Only what can stand in a header is taken: a key
 * with a newline within would be another header.
 */
static bool
read_line(const ChannelSource *source, const char *setting, const char *name,
		  char out[STRIPE_SECRET_LEN_MAX + 1], ChannelError *err)
{
	Buf			text = BUF_INIT;
	char		why[256] = "";
	size_t		len;
	size_t		i;
	bool		good;

	out[0] = '\0';
	if (!source->read_key(source->arg, name, true, &text, why, sizeof(why)))
	{
		buf_wipe(&text);
		return channel_error(err, NULL, "%s: %s", setting, why);
	}

	/* an editor's newline at the end is not part of the key */
	len = text.len;
	if (len > 0 && text.data[len - 1] == '\n')
		len--;
	if (len > 0 && text.data[len - 1] == '\r')
		len--;
	good = !text.failed && len > 0 && len <= STRIPE_SECRET_LEN_MAX;
	for (i = 0; good && i < len; i++)
		good = isalnum((unsigned char) text.data[i]) || strchr("_-+/=", text.data[i]) != NULL;
	/* strchr finds the end of its string too */
	good = good && memchr(text.data, '\0', len) == NULL;
	if (good)
	{
		memcpy(out, text.data, len);
		out[len] = '\0';
	}
	buf_wipe(&text);
	if (!good)
		channel_error(err, "Write into it the key as the Dashboard shows it, and nothing else.",
					  "%s: the file \"%s\" is not one line with a key of Stripe's", setting, name);
	return good;
}

/* What stands in the file of the secret key, when it is none. */
static bool
not_a_secret_key(const char *key, const char *name, ChannelError *err)
{
	if (starts_with(key, "pk_"))
		return channel_error(err, "It is for browsers. Name a file with the secret key (sk_...) or "
							 "a restricted one (rk_...).",
							 "secret_key: the file \"%s\" has a publishable key", name);
	if (starts_with(key, "whsec_"))
		return channel_error(err, "Name that file in \"webhook_secrets\", and here one with the "
							 "secret key (sk_...).",
							 "secret_key: the file \"%s\" has a webhook's signing secret", name);
	if (starts_with(key, "sk_org_"))
		return channel_error(err, "Make a restricted key (rk_...) in the account itself.",
							 "secret_key: the file \"%s\" has an organization's key, which belongs "
							 "to no account", name);
	return channel_error(err, "It begins with sk_live_, rk_live_, sk_test_ or rk_test_.",
						 "secret_key: the file \"%s\" has no secret key of Stripe's", name);
}

/* A key must be of the mode that the channel is for. */
static bool
mode_fits(const StripeSettings *s, const StripeKeyKind *kind, ChannelError *err)
{
	const char *name = s->secret_key;

	if (!kind->live && !s->test_mode && !s->loopback)
		return channel_error(err, "Name a file with a live key (sk_live_ or rk_live_), or set "
							 "\"test_mode\": true if no money shall move.",
							 "secret_key: the file \"%s\" has a test key in a live channel", name);
	if (kind->live && s->loopback)
		return channel_error(err, "Name a file with a test key (sk_test_...); a live key must not "
							 "leave for anything but Stripe.",
							 "secret_key: the file \"%s\" has a live key for a sandbox", name);
	if (kind->live && s->test_mode)
		return channel_error(err, "Name a file with a test key (sk_test_...), or take \"test_mode\" "
							 "out if money shall move.",
							 "secret_key: the file \"%s\" has a live key in a test channel", name);
	return true;
}

bool
stripe_load_secret_key(const ChannelSource *source, const StripeSettings *s,
					   char key[STRIPE_SECRET_LEN_MAX + 1], StripeKeyKind *kind,
					   ChannelError *err)
{
	bool		good;

	memset(kind, 0, sizeof(*kind));
	if (!read_line(source, "secret_key", s->secret_key, key, err))
		return false;
	kind->live = starts_with(key, "sk_live_") || starts_with(key, "rk_live_");
	kind->restricted = starts_with(key, "rk_");
	if (!kind->live && !starts_with(key, "sk_test_") && !starts_with(key, "rk_test_"))
		good = not_a_secret_key(key, s->secret_key, err);
	else if (strlen(key) < SECRET_LEN_MIN)
		good = channel_error(err, "Copy it again from the Dashboard; it shows a live key only once.",
							 "secret_key: the key in the file \"%s\" is cut off", s->secret_key);
	else
		good = mode_fits(s, kind, err);
	if (!good)
		explicit_bzero(key, STRIPE_SECRET_LEN_MAX + 1);
	return good;
}

bool
stripe_load_webhook_secret(const ChannelSource *source, const char *name,
						   char secret[STRIPE_SECRET_LEN_MAX + 1], ChannelError *err)
{
	bool		good;

	if (!read_line(source, "webhook_secrets", name, secret, err))
		return false;
	if (starts_with(secret, "sk_") || starts_with(secret, "rk_") || starts_with(secret, "pk_"))
		good = channel_error(err, "The signing secret is shown with the endpoint, under Developers, "
							 "Webhooks; it begins with whsec_.",
							 "webhook_secrets: the file \"%s\" has an API key", name);
	else if (!starts_with(secret, "whsec_") || strlen(secret) < SECRET_LEN_MIN)
		good = channel_error(err, "It is shown with the endpoint, under Developers, Webhooks, and "
							 "begins with whsec_.",
							 "webhook_secrets: the file \"%s\" has no signing secret", name);
	else
		good = true;
	if (!good)
		explicit_bzero(secret, STRIPE_SECRET_LEN_MAX + 1);
	return good;
}

void *
stripe_open(const ChannelSource *source, ChannelError *err)
{
	StripeSettings s;
	StripeConfig *config;
	StripeKeyKind kind;
	bool		good;
	int			i;

	if (!stripe_settings_parse(source->config_json, &s, err))
		return NULL;
	config = calloc(1, sizeof(StripeConfig));
	if (config == NULL)
	{
		channel_error(err, NULL, "out of memory");
		stripe_settings_free(&s);
		return NULL;
	}
	str_copy(config->account_id, sizeof(config->account_id), s.account_id);
	str_copy(config->api_version, sizeof(config->api_version), s.api_version);
	str_copy(config->base_url, sizeof(config->base_url), s.base_url);
	config->connect = s.connect;
	good = stripe_load_secret_key(source, &s, config->secret_key, &kind, err);
	config->livemode = kind.live;
	for (i = 0; good && i < s.webhook_secret_count; i++)
	{
		good = stripe_load_webhook_secret(source, s.webhook_secrets[i],
										  config->webhook_secrets[i], err);
		config->webhook_secret_count = i + 1;
	}
	stripe_settings_free(&s);
	if (good)
		return config;
	stripe_close(config);
	return NULL;
}

void
stripe_close(void *arg)
{
	StripeConfig *config = arg;

	if (config == NULL)
		return;
	explicit_bzero(config, sizeof(*config));
	free(config);
}
