/*-------------------------------------------------------------------------
 *
 * wechat_transfer.c
 *	  WeChat Pay's transfers to a payee's wallet: their limits, whom they can
 *	  pay, and what WeChat would refuse anyway.
 *
 * This is the mode in which the payee confirms: an accepted transfer waits
 * until he has done so in the merchant's app, for a day at most.  Until then
 * it can be canceled.
 *
 * The numbers below are pages of pay.weixin.qq.com/doc/v3/merchant/: 4012716434
 * creates a transfer, 4013778940 answers questions about transfers.  What a
 * merchant may pay at a time and in a day (200.00 and 50,000.00 to begin with)
 * is his own agreement with WeChat, which can be raised: WeChat refuses it, not
 * this file.
 *
 * Messages name the member that is wrong, and never what stands in it.
 *
 * src/channel/wechat_transfer.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "channel/wechat.h"

#define HOUR				3600
#define DAY					86400
#define AMOUNT_MIN			10	/* fen (4013778940) */
#define NAME_FROM			30	/* fen; none is taken below (4013778940) */
#define NAME_NEEDED_FROM	200000	/* fen (4012716434) */
#define REMARK_BYTES_MAX	(3 * WECHAT_REMARK_MAX)

#define PAYEE_HINT \
	"A payee is {\"openid\": \"...\", \"name\": \"...\", \"appid\": \"...\"}; name and appid may be " \
	"left out."

static bool payee_fill(const json_t *json, WechatPayee *payee, ChannelError *err);

static const char *const currencies[] = {"CNY", NULL};

/*
 * Delays between queries.  The payee is looking at the app: what he confirms
 * in the first minutes should be seen soon, also where no callback comes
 * through.  What he leaves is closed after a day, or later (4012715211).  The
 * last delay repeats.
 */
static const int poll_accepted[] = {5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 0};
static const int poll_unknown[] = {2, 5, 15, 45, 60, 120, 300, 600, 1800, 3600, 0};
static const int poll_abnormal[] = {3600, 0};	/* no transfer is ever abnormal */

/*
 * "ACCEPTED: send it again with the same parameters", and so with PROCESSING, once
 * there is money in the account (4012715211); and package_info, without which the
 * payee cannot confirm, is documented with that call's answer only.
 */
static const char *const repeat_while[] = {"ACCEPTED", "PROCESSING", NULL};

const ChannelProduct wechat_transfers = {
	.kind = PRODUCT_TRANSFER,
	.label = "WeChat Pay",
	.limits = {
		.number_max = 32,
		.number_charset = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
		.number_rule = "A WeChat Pay transfer number has 1 to 32 characters of 0-9, A-Z and a-z.",
		.reason_max = REMARK_BYTES_MAX,
		.currencies = currencies,
		.calls_per_second = 100,

		/*
		 * Documented for refunds only.  The pace is the merchant's, so what
		 * one of the two does must not use up what the other has.
		 */
		.failing_per_second = 6,

		/*
		 * A copy of the request that is still under way somewhere is worth
		 * nothing after 300 s: WeChat refuses an older signature.  A refusal
		 * and a not-found after that time together release money; sending the
		 * same number again would be harmless any time.
		 */
		.not_found_after = WECHAT_CLOCK_SKEW,

		/*
		 * "Three natural days" (4013778940).  If the day of the first attempt
		 * is one of them they may be 48 hours and a second; an hour of that is
		 * for clocks, and for a call that takes its time.
		 */
		.send_window = 2 * DAY - HOUR,

		/* 30 days (4012716437), likewise less the one that may have been short */
		.ask_window = 29 * DAY,
		.connect_timeout_ms = 3000,
		.call_timeout_ms = 15000,
		.repeat_while = repeat_while,
		.poll_accepted = poll_accepted,
		.poll_unknown = poll_unknown,
		.poll_abnormal = poll_abnormal,
	},
	.verdicts = wechat_transfer_verdicts,
	.verdict_count = WECHAT_TRANSFER_VERDICT_COUNT,
	.can_cancel = true,
	.payee = wechat_transfer_payee,
	.acceptable = wechat_transfer_acceptable,
	.freeze = wechat_transfer_freeze,
	.build = wechat_transfer_build,
	.read_answer = wechat_transfer_read_answer,
};

/* ---- the payee ---- */

/*
 * The documents say no more of an openid than "string(64)".  All that WeChat
 * gives out have 28 letters, digits, "_" and "-"; a telephone number or a user
 * name in its place is a mistake that is better found here.
 */
static bool
openid_good(const char *s)
{
	size_t		len = strlen(s);

	return len >= WECHAT_OPENID_MIN && len <= WECHAT_OPENID_MAX &&
		strspn(s, WECHAT_WORD_CHARSET) == len;
}

static bool
payee_fill(const json_t *json, WechatPayee *payee, ChannelError *err)
{
	const json_t *openid = json_object_get(json, "openid");
	const json_t *name = json_object_get(json, "name");
	const json_t *appid = json_object_get(json, "appid");
	const char *text;

	if (json_object_size(json) !=
		(size_t) (openid != NULL) + (size_t) (name != NULL) + (size_t) (appid != NULL))
		return channel_error(err, PAYEE_HINT, "payee has a member that WeChat Pay does not know");
	text = json_string_value(openid);
	if (text == NULL || !openid_good(text) || !str_copy(payee->openid, sizeof(payee->openid), text))
		return channel_error(err, "It is the payee's openid under the appid that shows him the page of "
							 "confirmation: 28 letters, digits, \"_\" and \"-\".",
							 "payee.openid is no openid: it must have %d to %d letters, digits, "
							 "\"_\" and \"-\"", WECHAT_OPENID_MIN, WECHAT_OPENID_MAX);
	text = json_string_value(name);
	if (name != NULL &&
		(text == NULL || !wechat_text_plain(text, WECHAT_NAME_MAX) ||
		 !str_copy(payee->name, sizeof(payee->name), text)))
		return channel_error(err, "It is the name under which the payee is known to WeChat; leave it "
							 "out if it is not to be checked.",
							 "payee.name must have 1 to %d characters (and at most %d bytes), none of "
							 "them a control character", WECHAT_NAME_MAX, WECHAT_NAME_BYTES_MAX);
	text = json_string_value(appid);
	if (appid != NULL &&
		(text == NULL || !wechat_appid_good(text) ||
		 !str_copy(payee->appid, sizeof(payee->appid), text)))
		return channel_error(err, "Leave it out unless the openid belongs to another app than the "
							 "setting transfer.appid names.",
							 "payee.appid must be an appid of 1 to %d letters and digits",
							 WECHAT_APPID_MAX);
	return true;
}

bool
wechat_payee_read(const char *payee_json, WechatPayee *payee, ChannelError *err)
{
	json_t	   *json;
	bool		good;

	memset(payee, 0, sizeof(*payee));
	if (payee_json == NULL)
		return channel_error(err, PAYEE_HINT, "the payee is missing");
	json = json_hostile_object(payee_json, strlen(payee_json));
	if (json == NULL)
		return channel_error(err, PAYEE_HINT, "payee is not a JSON object, or names a member twice");
	good = payee_fill(json, payee, err);
	json_decref(json);
	if (!good)
		explicit_bzero(payee, sizeof(*payee));
	return good;
}

/*
 * Of the name the first character is left, and not how many there were: with
 * two characters that would be half of what is hidden.
 */
static void
mask(const WechatPayee *payee, char *dst, size_t dstsize)
{
	size_t		len = strlen(payee->openid);
	size_t		first = 1;

	while (((unsigned char) payee->name[first] & 0xc0) == 0x80)
		first++;
	if (payee->name[0] == '\0')
		snprintf(dst, dstsize, "openid %.4s****%s", payee->openid, payee->openid + len - 4);
	else
		snprintf(dst, dstsize, "openid %.4s****%s, %.*s**", payee->openid,
				 payee->openid + len - 4, (int) first, payee->name);
}

bool
wechat_transfer_payee(const char *payee_json, ChannelPayee *out, ChannelError *err)
{
	WechatPayee payee;

	memset(out, 0, sizeof(*out));
	memset(err, 0, sizeof(*err));
	if (!wechat_payee_read(payee_json, &payee, err))
		return false;
	snprintf(out->identity, sizeof(out->identity), "wechat:%s:%s", payee.appid, payee.openid);
	mask(&payee, out->masked, sizeof(out->masked));
	explicit_bzero(&payee, sizeof(payee));
	return true;
}

/* ---- what WeChat would refuse anyway ---- */

static bool
amount_acceptable(const ChannelInstruction *instr, ChannelError *err)
{
	if (instr->currency == NULL || strcmp(instr->currency, "CNY") != 0)
		return channel_error(err, "Transfers of WeChat Pay are in CNY; the amount is in fen.",
							 "WeChat Pay does not transfer in the currency \"%.8s\"",
							 instr->currency ? instr->currency : "");
	if (instr->amount < AMOUNT_MIN)
		return channel_error(err, "The amount is in fen.",
							 "a transfer of %lld is not possible; WeChat Pay's least is %d",
							 (long long) instr->amount, AMOUNT_MIN);
	return true;
}

static bool
name_acceptable(const WechatPayee *payee, int64_t amount, ChannelError *err)
{
	if (payee->name[0] == '\0' && amount >= NAME_NEEDED_FROM)
		return channel_error(err, "Give the name under which the payee is known to WeChat.",
							 "payee.name is missing: WeChat Pay asks for it from %d fen on",
							 NAME_NEEDED_FROM);
	if (payee->name[0] != '\0' && amount < NAME_FROM)
		return channel_error(err, "Leave it out.",
							 "payee.name is given: WeChat Pay does not take it below %d fen",
							 NAME_FROM);
	return true;
}

/*
 * It becomes the remark, which WeChat requires and shows to the payee; the
 * settings have one in its place.
 */
static bool
reason_acceptable(const ChannelInstruction *instr, ChannelError *err)
{
	const char *hint = "It is shown to the payee. A Chinese character counts as one; neither control "
		"characters nor emoji are taken.";

	if (instr->reason == NULL || instr->reason[0] == '\0')
		return instr->transfer_defaults ||
			channel_error(err, hint, "the reason is missing, and the channel has no setting "
						  "transfer.remark");
	if (!wechat_text_plain(instr->reason, WECHAT_REMARK_MAX) ||
		utf8_has_four_bytes(instr->reason, strlen(instr->reason)))
		return channel_error(err, hint, "the reason is not a text of 1 to %d characters as WeChat Pay "
							 "takes them", WECHAT_REMARK_MAX);
	return true;
}

static bool
data_acceptable(const ChannelInstruction *instr, const WechatPayee *payee, ChannelError *err)
{
	WechatScene scene;
	json_t	   *data;
	bool		good = wechat_transfer_data(instr->transfer_data, instr->amount, &data, &scene, err);

	if (good && !instr->transfer_defaults && scene.id == NULL)
		good = channel_error(err, "Set transfer.scene_id and transfer.report_infos with channel_set(), "
							 "or give scene_id and report_infos in channel_data.",
							 "the scene of the transfer is missing: the channel has no setting "
							 "\"transfer\", and channel_data no scene_id");
	if (good && !instr->transfer_defaults && payee->appid[0] == '\0')
		good = channel_error(err, "Set transfer.appid with channel_set(), or give payee.appid.",
							 "the appid of the transfer is missing: the channel has no setting "
							 "\"transfer\", and the payee no appid");
	json_decref(data);
	return good;
}

bool
wechat_transfer_acceptable(const ChannelInstruction *instr, int64_t now, ChannelError *err)
{
	WechatPayee payee;
	bool		good;

	(void) now;
	memset(err, 0, sizeof(*err));
	good = channel_number_acceptable(&wechat_transfers, instr->wire_no, err) &&
		amount_acceptable(instr, err) &&
		wechat_payee_read(instr->payee, &payee, err) &&
		name_acceptable(&payee, instr->amount, err) &&
		reason_acceptable(instr, err) &&
		data_acceptable(instr, &payee, err) &&
		(instr->notify_url == NULL || wechat_notify_url_acceptable(instr->notify_url, err));
	explicit_bzero(&payee, sizeof(payee));
	return good;
}
