/*-------------------------------------------------------------------------
 *
 * wechat_transfer_data.c
 *	  What a transfer is for: the setting "transfer", and the channel_data of
 *	  a withdrawal.
 *
 * The two have four members in common.  The setting is the rule of the house,
 * the channel_data its exception; whatever WeChat would refuse is refused when
 * it is written down, and not when somebody is to be paid.
 *
 * What has to be reported differs from scene to scene.  So a withdrawal that
 * names a scene of its own brings its report too, and inherits nothing: half
 * of one scene and half of another would be refused, or shown to the payee.
 *
 * Lengths and names are those of page 4012716434 of
 * pay.weixin.qq.com/doc/v3/merchant/; what each scene reports is on pages
 * 4013774588 to 4013774595.  Those texts are WeChat's to change, and are not
 * checked here.  No message repeats a value: it is shown
 * to whoever submits a withdrawal, and ends in a log.
 *
 * src/channel/wechat_transfer_data.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "channel/wechat.h"

#define SCENE_ID_MAX		36
#define INFO_TYPE_MAX		15
#define INFO_CONTENT_MAX	32
#define REPORT_INFOS_MAX	10	/* ours; no scene has more than 3 */
#define PERCEPTION_MAX		32	/* ours; they are fixed texts, the longest has 6 */

#define SCENE_HINT \
	"For example {\"scene_id\": \"1005\", \"report_infos\": [{\"info_type\": \"...\", " \
	"\"info_content\": \"...\"}]}; doc/wechat.md has what each scene reports."

static const char *const data_members[] = {
	"scene_id", "report_infos", "user_recv_perception", "recv_style", NULL
};

static const char *const setting_members[] = {
	"appid", "remark", "scene_id", "report_infos", "user_recv_perception", "recv_style", NULL
};

/* ---- texts ---- */

/* A C0 or C1 control character, DEL, or a separator of lines or paragraphs. */
static bool
is_control(const unsigned char *s)
{
	return s[0] < 0x20 || s[0] == 0x7f || (s[0] == 0xc2 && s[1] >= 0x80 && s[1] <= 0x9f) ||
		(s[0] == 0xe2 && s[1] == 0x80 && (s[2] == 0xa8 || s[2] == 0xa9));
}

bool
wechat_text_plain(const char *s, size_t max)
{
	const unsigned char *p = (const unsigned char *) s;
	size_t		chars = 0;

	if (!utf8_valid(s, strlen(s)))
		return false;
	for (; *p != '\0'; p++)
	{
		if (is_control(p))
			return false;
		chars += (*p & 0xc0) != 0x80;
	}
	return chars >= 1 && chars <= max;
}

bool
wechat_appid_good(const char *s)
{
	size_t		len = strlen(s);

	return len >= 1 && len <= WECHAT_APPID_MAX && strspn(s, WECHAT_WORD_CHARSET) == len;
}

/* Absent is good, and NULL. */
static bool
text_member(const json_t *object, const char *where, const char *name, size_t max,
			const char **out, ChannelError *err)
{
	const json_t *v = json_object_get(object, name);
	const char *text = json_string_value(v);

	*out = text;
	if (v == NULL ||
		(text != NULL && wechat_text_plain(text, max) && !utf8_has_four_bytes(text, strlen(text))))
		return true;
	return channel_error(err, "Neither control characters nor emoji are taken; a Chinese "
						 "character counts as one.",
						 "%s.%s must be a text of 1 to %lu characters", where, name,
						 (unsigned long) max);
}

/*
 * A member that is not known is not named either: what stands on the wrong
 * side of a colon may be a name or a key.
 */
static bool
known_members_only(const json_t *object, const char *where, const char *const *known,
				   const char *hint, ChannelError *err)
{
	const char *name;
	json_t	   *value;
	size_t		i;

	json_object_foreach((json_t *) object, name, value)
	{
		for (i = 0; known[i] != NULL; i++)
			if (strcmp(name, known[i]) == 0)
				break;
		if (known[i] == NULL)
			return channel_error(err, hint, "%s has a member that WeChat Pay's transfers do not know",
								 where);
	}
	return true;
}

/* ---- what the two have in common ---- */

/* A type stands once in a report (4013774588). */
static bool
type_repeated(const json_t *infos, size_t i)
{
	const char *type = json_text(json_array_get(infos, i), "info_type");
	size_t		k;

	for (k = 0; k < i; k++)
		if (strcmp(json_text(json_array_get(infos, k), "info_type"), type) == 0)
			return true;
	return false;
}

static bool
report_infos_good(json_t *infos, const char *where, ChannelError *err)
{
	const char *text;
	json_t	   *item;
	char		place[64];
	size_t		i;

	if (!json_is_array(infos) || json_array_size(infos) < 1 ||
		json_array_size(infos) > REPORT_INFOS_MAX)
		return channel_error(err, SCENE_HINT, "%s.report_infos must be a list of 1 to %d reports",
							 where, REPORT_INFOS_MAX);
	json_array_foreach(infos, i, item)
	{
		snprintf(place, sizeof(place), "%s.report_infos[%lu]", where, (unsigned long) i);
		if (!json_is_object(item) || json_object_size(item) != 2 ||
			json_text(item, "info_type") == NULL || json_text(item, "info_content") == NULL)
			return channel_error(err, SCENE_HINT, "%s must have an info_type and an info_content, "
								 "and nothing else", place);
		if (!text_member(item, place, "info_type", INFO_TYPE_MAX, &text, err) ||
			!text_member(item, place, "info_content", INFO_CONTENT_MAX, &text, err))
			return false;
		if (type_repeated(infos, i))
			return channel_error(err, SCENE_HINT, "%s has an info_type that stood there before", place);
	}
	return true;
}

static bool
scene_read(const json_t *object, const char *where, WechatScene *scene, ChannelError *err)
{
	memset(scene, 0, sizeof(*scene));
	if (!text_member(object, where, "scene_id", SCENE_ID_MAX, &scene->id, err) ||
		!text_member(object, where, "user_recv_perception", PERCEPTION_MAX,
					 &scene->perception, err) ||
		!text_member(object, where, "recv_style", 32, &scene->style, err))
		return false;
	if (scene->id != NULL && strspn(scene->id, WECHAT_WORD_CHARSET) != strlen(scene->id))
		return channel_error(err, "The scenes that WeChat has granted are in the merchant platform, "
							 "with their numbers: \"1005\".",
							 "%s.scene_id is no number of a scene", where);
	if (scene->style != NULL && strcmp(scene->style, "CONFIRM_PAGE") != 0 &&
		strcmp(scene->style, "RED_PACKET") != 0)
		return channel_error(err, "Leave it out for WeChat's own page of confirmation.",
							 "%s.recv_style must be CONFIRM_PAGE or RED_PACKET", where);
	scene->report_infos = json_object_get(object, "report_infos");
	return scene->report_infos == NULL || report_infos_good(scene->report_infos, where, err);
}

/* ---- the setting ---- */

bool
wechat_transfer_settings(const json_t *transfer, ChannelError *err)
{
	const char *hint = "It may have appid, scene_id, report_infos, remark, user_recv_perception "
		"and recv_style.";
	const char *appid;
	const char *remark;
	WechatScene scene;

	if (!json_is_object(transfer))
		return channel_error(err, hint, "the setting \"transfer\" must be an object");
	if (!known_members_only(transfer, "transfer", setting_members, hint, err) ||
		!text_member(transfer, "transfer", "appid", WECHAT_APPID_MAX, &appid, err) ||
		!text_member(transfer, "transfer", "remark", WECHAT_REMARK_MAX, &remark, err) ||
		!scene_read(transfer, "transfer", &scene, err))
		return false;
	if (appid == NULL || !wechat_appid_good(appid))
		return channel_error(err, "It is the appid of the app, mini program or official account "
							 "that shows the payee the page of confirmation, and is bound to the "
							 "merchant.",
							 "transfer.appid must be an appid of 1 to %d letters and digits",
							 WECHAT_APPID_MAX);
	if (scene.id == NULL)
		return channel_error(err, SCENE_HINT, "transfer.scene_id is missing");
	if (scene.report_infos == NULL)
		return channel_error(err, SCENE_HINT, "transfer.report_infos is missing");
	/* 4012716434: transfer_remark is required.  Without one here, each reason would be. */
	if (remark == NULL)
		return channel_error(err, "WeChat Pay takes no transfer without a remark, and shows it to the "
							 "payee; this one is for withdrawals that have no reason.",
							 "transfer.remark is missing: a text of 1 to %d characters",
							 WECHAT_REMARK_MAX);
	return true;
}

/* ---- the withdrawal's channel_data ---- */

bool
wechat_transfer_data(const char *text, int64_t amount, json_t **data, WechatScene *scene,
					 ChannelError *err)
{
	const char *hint = "For WeChat Pay it may have scene_id, report_infos, user_recv_perception "
		"and recv_style.";

	memset(scene, 0, sizeof(*scene));
	*data = NULL;
	if (text == NULL)
		return true;
	*data = json_hostile_object(text, strlen(text));
	if (*data == NULL)
		return channel_error(err, hint, "channel_data is not a JSON object");
	if (!known_members_only(*data, "channel_data", data_members, hint, err) ||
		!scene_read(*data, "channel_data", scene, err))
		return false;
	if (scene->id != NULL && scene->report_infos == NULL)
		return channel_error(err, SCENE_HINT,
							 "channel_data.report_infos is missing: each scene has a report of its own");
	if (scene->style != NULL && strcmp(scene->style, "RED_PACKET") == 0 &&
		amount > WECHAT_RED_PACKET_MAX)
		return channel_error(err, "Leave recv_style out, or pay less at a time.",
							 "channel_data.recv_style: a red packet holds at most %d fen",
							 WECHAT_RED_PACKET_MAX);
	return true;
}

/*
 * A style is what the payee sees, no more: where the settings have one that
 * does not fit this amount, WeChat's own page does.
 */
void
wechat_scene_complete(WechatScene *scene, const json_t *transfer, int64_t amount)
{
	WechatScene rule;
	ChannelError err;

	if (scene->id != NULL || transfer == NULL || !scene_read(transfer, "transfer", &rule, &err))
		return;
	scene->id = rule.id;
	if (scene->report_infos == NULL)
		scene->report_infos = rule.report_infos;
	if (scene->perception == NULL)
		scene->perception = rule.perception;
	if (scene->style == NULL && rule.style != NULL &&
		(strcmp(rule.style, "RED_PACKET") != 0 || amount <= WECHAT_RED_PACKET_MAX))
		scene->style = rule.style;
}
