/*-------------------------------------------------------------------------
 *
 * bill.c
 *	  Bills: their names, the registry, and what every reader does alike.
 *
 * src/channel/bill.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "channel/bill_parts.h"

static const char *const movement_names[BILL_MOVEMENT_COUNT] = {
	[BILL_PAID] = "paid",
	[BILL_UNDER_WAY] = "under_way",
	[BILL_ABNORMAL] = "abnormal",
	[BILL_FAILED] = "failed",
	[BILL_CAME_BACK] = "came_back",
	[BILL_FEE] = "fee",
	[BILL_OTHER] = "other",
};

const char *
bill_movement_name(BillMovement m)
{
	if ((int) m < 0 || (int) m >= BILL_MOVEMENT_COUNT)
		return "unknown";
	return movement_names[m];
}

/* ---- the registry: each channel lists its own ---- */

const ChannelBill *
channel_bill_at(const char *channel_kind, int i)
{
	const Channel *channel = channel_lookup(channel_kind);
	int			k;

	if (channel == NULL || channel->bills == NULL || i < 0)
		return NULL;
	for (k = 0; k < i && channel->bills[k] != NULL; k++)
		 /* the list may be shorter */ ;
	return channel->bills[k];
}

const ChannelBill *
channel_bill(const char *channel_kind, const char *bill_kind)
{
	const ChannelBill *bill;
	int			i;

	for (i = 0; (bill = channel_bill_at(channel_kind, i)) != NULL; i++)
		if (bill_kind != NULL && strcmp(bill->kind, bill_kind) == 0)
			return bill;
	return NULL;
}

/* ---- pages ---- */

/* JSON has line ends between its words only: within a string they are escaped. */
bool
bill_add_page(const HttpAnswer *answer, Buf *file)
{
	size_t		start = file->len;
	size_t		i;

	buf_add(file, answer->body.data, answer->body.len);
	if (file->failed)
		return false;
	for (i = start; i < file->len; i++)
		if (file->data[i] == '\n' || file->data[i] == '\r')
			file->data[i] = ' ';
	buf_addc(file, '\n');
	return !file->failed;
}

/* ---- hosts ---- */

/*
 * The URL that a channel gives out is followed with our signature on it, or for
 * what will be proof: only to where the channel is known to be.  `known` are
 * hosts, or with a dot at their beginning all below one; `base` is how the
 * configuration names the channel's own, for a sandbox.
 */
bool
bill_url_good(const char *url, const char *const *known, const char *base, size_t *path)
{
	UrlParts	parts;
	UrlKind		kind = url_examine(url, &parts);
	size_t		len = strlen(base);
	size_t		host;
	size_t		i;

	*path = parts.path;
	if (kind == URL_BAD || url[parts.path] != '/' || strchr(url, '#') != NULL)
		return false;
	if (len > 0 && parts.path == len && strncasecmp(url, base, len) == 0)
		return true;
	if (strncmp(url, "https://", 8) != 0)
		return false;
	host = parts.path - 8;
	for (i = 0; known[i] != NULL; i++)
	{
		len = strlen(known[i]);
		if (known[i][0] == '.' ? host > len && strncasecmp(url + parts.path - len, known[i], len) == 0
			: host == len && strncasecmp(url + 8, known[i], len) == 0)
			return true;
	}
	return false;
}

/* ---- readers ---- */

/* An end is an end: nothing is read behind it, and it is said again. */
BillStep
bill_next(BillReader *reader, BillLine *line, ChannelError *err)
{
	BillStep	step;

	memset(err, 0, sizeof(*err));
	if (reader->ended != BILL_LINE)
	{
		*err = reader->why;
		return reader->ended;
	}
	step = reader->next(reader, line, err);
	if (step == BILL_END || step == BILL_BAD)
	{
		reader->ended = step;
		reader->why = *err;
	}
	return step;
}

int64_t
bill_position(const BillReader *reader)
{
	return reader->lines.source->at;
}

const BillTotals *
bill_totals(const BillReader *reader)
{
	return reader->ended == BILL_END ? &reader->totals : NULL;
}

void
bill_close(BillReader *reader)
{
	if (reader != NULL)
		reader->close(reader);
}

BillStep
bill_bad(ChannelError *err, const char *hint, const char *fmt,...)
{
	char		text[1024];
	va_list		ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	channel_error(err, hint, "%s", text);
	return BILL_BAD;
}
