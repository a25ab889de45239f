/*-------------------------------------------------------------------------
 *
 * channel_settings.h
 *	  What channels share in reading their configuration, and reporting on it.
 *
 * No message made here repeats a value of the configuration, only the names
 * of settings and of files: what stands there may be a key that was pasted.
 *
 * Private to src/channel/.  This header must not include postgres.h.
 *
 * src/channel/channel_settings.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_CHANNEL_SETTINGS_H
#define REFUNDX_CHANNEL_SETTINGS_H

#include "channel/channel_util.h"

#define CHANNEL_URL_MAX		256

/* What to do with a key that was pasted into a configuration. */
#define SETTING_FILE_HINT \
	"Put it into a file of its own under refundx.key_directory (owned by the server's user, " \
	"mode 0600), name that file here, and replace the key if others may have seen it."

/* What a channel's configuration may have. */
typedef struct SettingRules
{
	const char *label;			/* "WeChat Pay" */
	const char *const *known;	/* NULL-terminated */
	const char *known_text;		/* the same for a hint: "Known settings: ..." */
	const char *const *files;	/* those that name files; NULL-terminated */
	bool		(*is_secret) (const char *s);	/* besides private keys; or NULL */
} SettingRules;

/*
 * The configuration as an object; NULL and *err if it is none, has a setting
 * that the channel does not know, or a key where the name of a file belongs.
 * It is looked at for keys before it is parsed, because a parser's complaint
 * would quote it.
 */
extern json_t *settings_parse(const SettingRules *rules, const char *config_json,
							  ChannelError *err);

/* A string of 1 to 255 bytes; *out is NULL if it is absent and not required. */
extern bool setting_text(const SettingRules *rules, json_t *root, const char *name,
						 bool required, const char **out, ChannelError *err);

/*
 * scheme://host[:port], with or without a slash behind it, and nothing more;
 * "" and URL_BAD if it is absent.  Plain http only to this machine.
 */
extern bool setting_host(const SettingRules *rules, json_t *root, const char *name,
						 const char *example, char out[CHANNEL_URL_MAX + 1], UrlKind *kind,
						 ChannelError *err);

/* not_found_after and time_scale, which count for a sandbox only; *any if there. */
extern bool setting_sandbox(const json_t *root, bool *any, ChannelError *err);

/* ---- reports: channel_check, callback_inspect ---- */
extern void finding_of_error(const ChannelFindings *findings, const char *item,
							 const ChannelError *err);

/* `what` is valid from not_before to not_after; a warning from 30 days before its end. */
extern void finding_of_validity(const ChannelFindings *findings, int64_t now, const char *item,
								const char *what, int64_t not_before, int64_t not_after,
								const char *remedy);

/* Whether callbacks can find us; url may be NULL, loopback = the channel is a sandbox. */
extern void finding_of_public_url(const ChannelFindings *findings, const char *label,
								  const char *url, bool loopback);

/* base_url, and settings that a channel other than a sandbox ignores. */
extern void finding_of_base_url(const ChannelFindings *findings, const char *base_url,
								bool loopback, bool sandbox_settings);

#endif							/* REFUNDX_CHANNEL_SETTINGS_H */
