/*-------------------------------------------------------------------------
 *
 * channel_settings.c
 *	  What channels share in reading their configuration.
 *
 * src/channel/channel_settings.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "channel/channel_settings.h"
#include "crypto/crypto.h"

static bool
is_secret(const SettingRules *rules, const char *s)
{
	return looks_like_private_key(s) || (rules->is_secret != NULL && rules->is_secret(s));
}

static bool
secret_anywhere(const SettingRules *rules, const json_t *v)
{
	const char *key;
	json_t	   *item;
	size_t		i;

	if (json_is_string(v))
		return is_secret(rules, json_string_value(v));
	json_array_foreach(v, i, item)
		if (secret_anywhere(rules, item))
			return true;
	json_object_foreach((json_t *) v, key, item)
		if (secret_anywhere(rules, item))
			return true;
	return false;
}

/* Before anything else is said about it. */
static bool
nothing_pasted(const SettingRules *rules, json_t *root, ChannelError *err)
{
	size_t		i;

	for (i = 0; rules->files[i] != NULL; i++)
		if (secret_anywhere(rules, json_object_get(root, rules->files[i])))
			return channel_error(err, SETTING_FILE_HINT,
								 "the configuration has a key where the name of a file belongs");
	return true;
}

static bool
known_only(const SettingRules *rules, json_t *root, ChannelError *err)
{
	const char *name;
	json_t	   *value;
	size_t		i;

	json_object_foreach(root, name, value)
	{
		for (i = 0; rules->known[i] != NULL; i++)
			if (strcmp(name, rules->known[i]) == 0)
				break;
		if (rules->known[i] != NULL)
			continue;
		/* a pasted secret may even stand on the wrong side of the colon */
		if (is_secret(rules, name))
			return channel_error(err, SETTING_FILE_HINT,
								 "the configuration has a key where the name of a setting belongs");
		return channel_error(err, rules->known_text, "%s has no setting \"%.64s\"",
							 rules->label, name);
	}
	return true;
}

json_t *
settings_parse(const SettingRules *rules, const char *config_json, ChannelError *err)
{
	json_t	   *root;

	memset(err, 0, sizeof(*err));
	if (config_json == NULL)
	{
		channel_error(err, rules->known_text, "there is no configuration");
		return NULL;
	}
	if (looks_like_private_key(config_json))
	{
		channel_error(err, SETTING_FILE_HINT,
					  "the configuration has a key where the name of a file belongs");
		return NULL;
	}
	root = json_hostile_object(config_json, strlen(config_json));
	if (root == NULL)
	{
		channel_error(err, rules->known_text,
					  "the configuration is not a JSON object, or names a setting twice");
		return NULL;
	}
	if (nothing_pasted(rules, root, err) && known_only(rules, root, err))
		return root;
	json_decref(root);
	return NULL;
}

bool
setting_text(const SettingRules *rules, json_t *root, const char *name, bool required,
			 const char **out, ChannelError *err)
{
	const json_t *v = json_object_get(root, name);

	*out = NULL;
	if (v == NULL && required)
		return channel_error(err, rules->known_text, "the setting \"%s\" is missing", name);
	if (v == NULL)
		return true;
	if (!json_is_string(v) || json_string_length(v) == 0 || json_string_length(v) > 255)
		return channel_error(err, NULL,
							 "the setting \"%s\" must be a text of 1 to 255 bytes", name);
	*out = json_string_value(v);
	return true;
}

bool
setting_host(const SettingRules *rules, json_t *root, const char *name, const char *example,
			 char out[CHANNEL_URL_MAX + 1], UrlKind *kind, ChannelError *err)
{
	const char *text;
	char		hint[CHANNEL_URL_MAX + 32];
	UrlParts	parts;
	size_t		len;

	out[0] = '\0';
	*kind = URL_BAD;
	if (!setting_text(rules, root, name, false, &text, err))
		return false;
	if (text == NULL)
		return true;
	*kind = url_examine(text, &parts);
	len = strlen(text);
	if (*kind == URL_PLAIN)
		return channel_error(err, "Plain http is for a sandbox on this machine (127.0.0.1).",
							 "the setting \"%s\" is not https", name);
	snprintf(hint, sizeof(hint), "For example \"%s\".", example);
	if (*kind == URL_BAD || parts.has_query ||
		(parts.path < len && strcmp(text + parts.path, "/") != 0))
		return channel_error(err, hint,
							 "the setting \"%s\" must be https://host or https://host:port, "
							 "without a path", name);
	memcpy(out, text, parts.path);
	out[parts.path] = '\0';
	return true;
}

/* They are read by channel_not_found_after() and channel_time_scale(). */
bool
setting_sandbox(const json_t *root, bool *any, ChannelError *err)
{
	const json_t *wait = json_object_get(root, "not_found_after");
	const json_t *scale = json_object_get(root, "time_scale");

	if (wait != NULL && (!json_is_integer(wait) || json_integer_value(wait) < 0 ||
						 json_integer_value(wait) > 86400))
		return channel_error(err, NULL,
							 "the setting \"not_found_after\" must be 0 to 86400 seconds");
	if (scale != NULL && (!json_is_number(scale) || json_number_value(scale) < 1.0 ||
						  json_number_value(scale) > 1000000.0))
		return channel_error(err, NULL,
							 "the setting \"time_scale\" must be a number from 1 to 1000000");
	*any = wait != NULL || scale != NULL;
	return true;
}
