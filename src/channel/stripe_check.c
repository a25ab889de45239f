/*-------------------------------------------------------------------------
 *
 * stripe_check.c
 *	  Everything wrong or right with a configuration, in plain words.
 *
 * open() stops at the first mistake; a person who sets a channel up wants all
 * of them at once.  The loading itself is open()'s, so the two cannot
 * disagree.
 *
 * src/channel/stripe_check.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "channel/stripe.h"

static void
check_secret_key(const ChannelSource *source, const StripeSettings *s,
				 const ChannelFindings *findings)
{
	char		key[STRIPE_SECRET_LEN_MAX + 1];
	StripeKeyKind kind;
	ChannelError err;

	if (!stripe_load_secret_key(source, s, key, &kind, &err))
	{
		finding_of_error(findings, "secret_key", &err);
		return;
	}
	explicit_bzero(key, sizeof(key));
	finding(findings, kind.live ? FINDING_OK : FINDING_WARNING, "secret_key",
			"a %s%s key%s", kind.live ? "live" : "test", kind.restricted ? ", restricted" : "",
			kind.live ? "" : ": no money moves");
	if (kind.restricted)
		finding(findings, FINDING_OK, "secret_key",
				"a restricted key must have the right to write refunds and to read them; to read "
				"the account, only for channel_check with call => true");
}

static void
check_webhook_secrets(const ChannelSource *source, const StripeSettings *s,
					  const ChannelFindings *findings)
{
	char		secret[STRIPE_SECRET_LEN_MAX + 1];
	ChannelError err;
	int			i;

	if (s->webhook_secret_count == 0)
		finding(findings, FINDING_WARNING, "webhook_secrets",
				"none, so events are not taken and results come by polling only. Add an endpoint "
				"in the Dashboard and put its signing secret (whsec_...) into a file");
	for (i = 0; i < s->webhook_secret_count; i++)
	{
		if (stripe_load_webhook_secret(source, s->webhook_secrets[i], secret, &err))
			finding(findings, FINDING_OK, "webhook_secrets", "\"%s\": a signing secret",
					s->webhook_secrets[i]);
		else
			finding_of_error(findings, "webhook_secrets", &err);
	}
	explicit_bzero(secret, sizeof(secret));
}

/*
 * Stripe is not told in a request where to send events: somebody has to enter
 * the address in the Dashboard, so it is said here which one.
 */
static void
check_addresses(const StripeSettings *s, const ChannelFindings *findings)
{
	size_t		len = s->public_base_url ? strlen(s->public_base_url) : 0;

	finding_of_base_url(findings, s->base_url, s->loopback, s->has_sandbox_settings);
	if (!s->loopback && strcmp(s->base_url, STRIPE_BASE_URL) != 0)
		finding(findings, FINDING_WARNING, "base_url",
				"it is not Stripe's own (" STRIPE_BASE_URL "): whoever answers there sees the "
				"secret key, and is believed");
	if (s->public_base_url == NULL)
	{
		finding(findings, s->webhook_secret_count > 0 ? FINDING_OK : FINDING_WARNING,
				"public_base_url",
				"not set; the endpoint's address in the Dashboard is the listener's, as it is "
				"reached from outside, with /v1/ and the channel's name");
		return;
	}
	finding_of_public_url(findings, stripe_channel.label, s->public_base_url, s->loopback);
	finding(findings, FINDING_OK, "endpoint",
			"enter %s%sv1/ and the channel's name in the Dashboard (Developers, Webhooks%s), for the events "
			"refund.created, refund.updated, refund.failed", s->public_base_url,
			len > 0 && s->public_base_url[len - 1] == '/' ? "" : "/",
			s->connect ? ", \"Connected accounts\"" : "");
}

void
stripe_check(const ChannelSource *source, int64_t now, const ChannelFindings *findings)
{
	StripeSettings s;
	ChannelError err;

	(void) now;					/* nothing of Stripe's has a date of expiry in it */
	if (!stripe_settings_parse(source->config_json, &s, &err))
	{
		finding_of_error(findings, "config", &err);
		return;
	}
	finding(findings, FINDING_OK, "config", "account %s%s, API version %s", s.account_id,
			s.connect ? ", connected (Stripe-Account is sent)" : "", s.api_version);
	if (s.test_mode)
		finding(findings, FINDING_WARNING, "test_mode", "no money moves");
	check_secret_key(source, &s, findings);
	check_webhook_secrets(source, &s, findings);
	check_addresses(&s, findings);
	stripe_settings_free(&s);
}
