/*-------------------------------------------------------------------------
 *
 * channel.c
 *	  The registry of channels, and what all of them share.
 *
 * src/channel/channel.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "channel/channel_util.h"

extern const Channel alipay_channel;
extern const Channel wechat_channel;
extern const Channel stripe_channel;

/* A new channel is one file and one line here. */
static const Channel *const channels[] = {
	&wechat_channel,
	&alipay_channel,
	&stripe_channel,
};

static const char *const call_names[CHANNEL_CALL_COUNT] = {
	[CALL_SUBMIT] = "submit",
	[CALL_QUERY] = "query",
	[CALL_CANCEL] = "cancel",
	[CALL_ABNORMAL] = "abnormal",
	[CALL_ECHO] = "echo",
};

static const char *const product_names[PRODUCT_COUNT] = {
	[PRODUCT_REFUND] = "refund",
	[PRODUCT_TRANSFER] = "withdrawal",
};

static const char *const callback_names[CALLBACK_RESULT_COUNT] = {
	[CALLBACK_EVIDENCE] = "evidence",
	[CALLBACK_NOT_OURS] = "not_ours",
	[CALLBACK_TEST] = "test",
	[CALLBACK_BAD_HEADERS] = "bad_headers",
	[CALLBACK_BAD_TIME] = "bad_time",
	[CALLBACK_UNKNOWN_KEY] = "unknown_key",
	[CALLBACK_BAD_SIGNATURE] = "bad_signature",
	[CALLBACK_SIGNATURE_TEST] = "signature_test",
	[CALLBACK_BAD_BODY] = "bad_body",
	[CALLBACK_BAD_CIPHER] = "bad_cipher",
	[CALLBACK_OLD_PROTOCOL] = "old_protocol",
};

const char *
channel_call_name(ChannelCall call)
{
	if ((int) call < 0 || (int) call >= CHANNEL_CALL_COUNT)
		return "unknown";
	return call_names[call];
}

bool
channel_call_from_name(const char *name, ChannelCall *call)
{
	int			i;

	for (i = 0; i < CHANNEL_CALL_COUNT; i++)
	{
		if (strcmp(name, call_names[i]) == 0)
		{
			*call = (ChannelCall) i;
			return true;
		}
	}
	return false;
}

const char *
product_name(ProductKind kind)
{
	return product_names[kind];
}

bool
product_from_name(const char *name, ProductKind *kind)
{
	int			i;

	for (i = 0; i < PRODUCT_COUNT; i++)
	{
		if (strcmp(name, product_names[i]) == 0)
		{
			*kind = (ProductKind) i;
			return true;
		}
	}
	return false;
}

const char *
callback_result_name(CallbackResult r)
{
	if ((int) r < 0 || (int) r >= CALLBACK_RESULT_COUNT)
		return "unknown";
	return callback_names[r];
}

const Channel *
channel_at(int i)
{
	if (i < 0 || i >= (int) lengthof_array(channels))
		return NULL;
	return channels[i];
}

const Channel *
channel_lookup(const char *kind)
{
	size_t		i;

	for (i = 0; kind != NULL && i < lengthof_array(channels); i++)
		if (strcmp(channels[i]->kind, kind) == 0)
			return channels[i];
	return NULL;
}

const ChannelProduct *
channel_product(const Channel *channel, ProductKind kind)
{
	return kind == PRODUCT_TRANSFER ? channel->transfer : channel->refund;
}

const VerdictRule *
channel_judge(const ChannelProduct *product, ChannelCall call, int http_status, const char *code)
{
	int			i;

	for (i = 0; i < product->verdict_count; i++)
	{
		const VerdictRule *rule = &product->verdicts[i];

		if (rule->call == call &&
			(rule->http_status == 0 || rule->http_status == http_status) &&
			(rule->code == NULL || (code != NULL && strcmp(rule->code, code) == 0)))
			return rule;
	}
	return NULL;
}

/*
 * A number that the channel would refuse is refused before anything is
 * frozen.  The message shows the number only if it is printable and short:
 * it is the caller's own, but it ends in a log.
 */
bool
channel_number_acceptable(const ChannelProduct *product, const char *no, ChannelError *err)
{
	const ChannelLimits *limits = &product->limits;
	const char *noun = product_name(product->kind);
	size_t		len = no ? strlen(no) : 0;

	if (len == 0)
		return channel_error(err, limits->number_rule, "%s needs a %s number, and it is empty",
							 product->label, noun);
	if (len > (size_t) limits->number_max)
		return channel_error(err, limits->number_rule,
							 "the number \"%.70s%s\" has %lu bytes; %s takes at most %d",
							 no, len > 70 ? "..." : "", (unsigned long) len,
							 product->label, limits->number_max);
	if (strspn(no, limits->number_charset) != len)
		return channel_error(err, limits->number_rule,
							 "the number \"%s\" has a character that %s does not take",
							 no, product->label);
	return true;
}

/*
 * Only a sandbox, which is on this machine, may shorten a wait that guards
 * money.  A production configuration that asks for it is not obeyed.
 */
static const json_t *
sandbox_setting(json_t *config, const char *key)
{
	const char *base = json_text(config, "base_url");

	if (base == NULL || url_examine(base, NULL) != URL_LOOPBACK)
		return NULL;
	return json_object_get(config, key);
}

int
channel_not_found_after(const ChannelProduct *product, const char *config_json)
{
	int			seconds = product->limits.not_found_after;
	json_t	   *config = json_hostile_object(config_json, config_json ? strlen(config_json) : 0);
	const json_t *v = sandbox_setting(config, "not_found_after");

	if (json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) < seconds)
		seconds = (int) json_integer_value(v);
	json_decref(config);
	return seconds;
}

double
channel_time_scale(const char *config_json)
{
	double		scale = 1.0;
	json_t	   *config = json_hostile_object(config_json, config_json ? strlen(config_json) : 0);
	const json_t *v = sandbox_setting(config, "time_scale");

	if (json_is_number(v) && json_number_value(v) >= 1.0 && json_number_value(v) <= 1000000.0)
		scale = json_number_value(v);
	json_decref(config);
	return scale;
}
