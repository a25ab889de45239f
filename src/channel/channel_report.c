/*-------------------------------------------------------------------------
 *
 * channel_report.c
 *	  Reports for people: lines that several channels say alike.
 *
 * src/channel/channel_report.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "channel/channel_settings.h"

#define DAY				86400
#define EXPIRY_WARNING	30		/* days */

void
finding(const ChannelFindings *findings, FindingLevel level, const char *item,
		const char *fmt,...)
{
	char		text[1024];
	char		clipped[640];
	va_list		ap;

	if (findings == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_clip(clipped, sizeof(clipped), text);
	findings->add(findings->arg, level, item, clipped);
}

void
finding_of_error(const ChannelFindings *findings, const char *item, const ChannelError *err)
{
	if (err->hint[0] != '\0')
		finding(findings, FINDING_ERROR, item, "%s. %s", err->message, err->hint);
	else
		finding(findings, FINDING_ERROR, item, "%s", err->message);
}

void
finding_of_validity(const ChannelFindings *findings, int64_t now, const char *item,
					const char *what, int64_t not_before, int64_t not_after, const char *remedy)
{
	long long	days = (long long) ((not_after - now) / DAY);

	if (now > not_after)
		finding(findings, FINDING_ERROR, item, "%s has expired. %s", what, remedy);
	else if (now < not_before)
		finding(findings, FINDING_ERROR, item,
				"%s is not valid yet: either it is new, or this machine's clock is wrong", what);
	else if (days < EXPIRY_WARNING)
		finding(findings, FINDING_WARNING, item, "%s expires in %lld day%s. %s", what, days,
				days == 1 ? "" : "s", remedy);
	else
		finding(findings, FINDING_OK, item, "%s is valid for %lld more days", what, days);
}

void
finding_of_public_url(const ChannelFindings *findings, const char *label, const char *url,
					  bool loopback)
{
	const char *item = "public_base_url";
	UrlParts	parts;
	UrlKind		kind;

	if (url == NULL)
	{
		finding(findings, FINDING_WARNING, item,
				"not set, so requests ask for no callbacks and results come by polling only. "
				"Give the https address at which the listener is reached from outside");
		return;
	}
	kind = url_examine(url, &parts);
	if (kind == URL_BAD)
		finding(findings, FINDING_ERROR, item, "it is not an absolute URL (https://host/path)");
	else if (parts.has_query)
		finding(findings, FINDING_ERROR, item, "it has a query or a fragment, which %s refuses",
				label);
	else if (kind == URL_LOOPBACK && !loopback)
		finding(findings, FINDING_ERROR, item,
				"it is an address of this machine, which %s cannot reach", label);
	else if (kind == URL_PLAIN)
		finding(findings, FINDING_ERROR, item,
				"it is not https: put a reverse proxy with TLS before the listener");
	else if (parts.private_host)
		finding(findings, FINDING_WARNING, item,
				"its host looks like one of a private network, which %s cannot reach", label);
	else if (strlen(url) > 180)
		finding(findings, FINDING_WARNING, item,
				"it is long: with the channel's name behind it, it must stay within 256 bytes");
	else
		finding(findings, FINDING_OK, item, "%s",
				kind == URL_LOOPBACK ? "on this machine, as the sandbox is" : "https");
}

void
finding_of_base_url(const ChannelFindings *findings, const char *base_url, bool loopback,
					bool sandbox_settings)
{
	if (loopback)
		finding(findings, FINDING_WARNING, "base_url",
				"%s is a sandbox on this machine: no money moves", base_url);
	else
		finding(findings, FINDING_OK, "base_url", "%s", base_url);
	if (sandbox_settings && !loopback)
		finding(findings, FINDING_WARNING, "sandbox",
				"not_found_after and time_scale count for a sandbox on this machine only, "
				"and are ignored here");
}
