/*-------------------------------------------------------------------------
 *
 * wechat_transfer_body.c
 *	  What WeChat Pay accepts as the body of a transfer (4.1).
 *
 * As with refunds (wechat_body.c), stricter than a real server where the
 * documents leave room.  The payee's name comes encrypted (1.8).  It is
 * compared in clear, for no two encryptions are alike, and kept encrypted.
 *
 * sandbox/wechat_transfer_body.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "wechat.h"

#define BILL_NO_MAX			32
#define AMOUNT_MIN			10
#define AMOUNT_MAX			INT64_C(100000000000)
#define NAME_FORBIDDEN_BELOW 30
#define NAME_REQUIRED_FROM	200000
#define RED_PACKET_MAX		20000
#define SECRET_MAX			1024	/* of a field that comes encrypted */
#define REPORTS_MAX			3

/* What a scene has to report: exactly these, in any order. */
static const struct
{
	const char *scene;
	const char *report[REPORTS_MAX];
}			scenes[] =
{
	{"1000", {"活动名称", "奖励说明"}},
	{"1002", {"补贴类型"}},
	{"1004", {"保险产品备案编号", "保险名称", "保险操作单号"}},
	{"1005", {"岗位类型", "报酬说明"}},
	{"1009", {"采购商品名称"}},
	{"1010", {"回收商品名称"}},
	{"1011", {"赔付原因"}},
	{"1013", {"公益活动名称", "公益活动备案编号"}},
};
#define SCENE_COUNT ((int) (sizeof(scenes) / sizeof(scenes[0])))

static bool
fail(WechatWrong *wrong, const char *code, const char *field, const char *why)
{
	*wrong = (WechatWrong) {code, field, why};
	return false;
}

/* A string of 1..max characters that has to be there. */
static bool
take_text(json_t *body, const char *name, size_t max, const char **out, WechatWrong *wrong)
{
	wrong->code = "PARAM_ERROR";
	if (!wechat_take_string(body, name, 3 * max, out, &wrong->field, &wrong->why))
		return false;
	if (*out == NULL)
		return fail(wrong, "PARAM_ERROR", name, "缺少必填参数");
	return utf8_length(*out) <= max || fail(wrong, "PARAM_ERROR", name, "字符串长度不符合要求");
}

static bool
take_optional(json_t *body, const char *name, size_t max, const char **out, WechatWrong *wrong)
{
	wrong->code = "PARAM_ERROR";
	return wechat_take_string(body, name, max, out, &wrong->field, &wrong->why);
}

/* ---- the parts of the body ---- */

static bool
read_reports(json_t *body, const char *scene, WechatWrong *wrong)
{
	static const char field[] = "transfer_scene_report_infos";
	json_t	   *list = json_object_get(body, field);
	json_t	   *item;
	unsigned	seen = 0;
	size_t		i;
	int			s = 0,
				n;

	while (s < SCENE_COUNT && strcmp(scenes[s].scene, scene) != 0)
		s++;
	if (s == SCENE_COUNT)
		return fail(wrong, "PARAM_ERROR", "transfer_scene_id", "转账场景不存在");
	if (!json_is_array(list))
		return fail(wrong, "PARAM_ERROR", field, "缺少必填参数");
	json_array_foreach(list, i, item)
	{
		const char *type,
				   *content;

		if (!take_text(item, "info_type", 15, &type, wrong) ||
			!take_text(item, "info_content", 32, &content, wrong))
			return false;
		for (n = 0; n < REPORTS_MAX && scenes[s].report[n] != NULL; n++)
			if (strcmp(scenes[s].report[n], type) == 0)
				break;
		if (n == REPORTS_MAX || scenes[s].report[n] == NULL || (seen & (1u << n)))
			return fail(wrong, "PARAM_ERROR", field, "报备信息类型与转账场景不符");
		seen |= 1u << n;
	}
	for (n = 0; n < REPORTS_MAX && scenes[s].report[n] != NULL; n++)
		if (!(seen & (1u << n)))
			return fail(wrong, "PARAM_ERROR", field, "未填写转账场景要求的报备信息");
	return true;
}

static bool
read_amount(json_t *body, TransferCall *call, WechatWrong *wrong)
{
	json_t	   *v = json_object_get(body, "transfer_amount");
	json_t	   *style = json_object_get(body, "user_recv_style");
	const char *type = json_string_value(json_object_get(style, "type"));

	call->amount = json_integer_value(v);
	if (!json_is_integer(v) || call->amount < AMOUNT_MIN || call->amount > AMOUNT_MAX)
		return fail(wrong, "PARAM_ERROR", "transfer_amount", "转账金额必须为整数，单位为分，不得低于0.1元");
	if (style == NULL)
		return true;
	if (type == NULL || (strcmp(type, "CONFIRM_PAGE") != 0 && strcmp(type, "RED_PACKET") != 0))
		return fail(wrong, "PARAM_ERROR", "user_recv_style/type", "收款方式不正确");
	return strcmp(type, "RED_PACKET") != 0 || call->amount <= RED_PACKET_MAX ||
		fail(wrong, "PARAM_ERROR", "user_recv_style/type", "红包金额不得超过200元");
}

static bool
decrypt(const CryptoKey *ours, const char *secret, Buf *plain)
{
	Buf			cipher = BUF_INIT;
	bool		ok = base64_decode(&cipher, secret, strlen(secret)) &&
		rsa_oaep_decrypt(ours, cipher.data, cipher.len, plain) && plain->len > 0;

	buf_free(&cipher);
	return ok;
}

/*
 * The digest is over the body with the name in clear.  A name of which only
 * a digest is left cannot be read in the ledger.
 */
static bool
read_name(const SbRequest *req, const SbMerchant *m, json_t *body, TransferCall *call,
		  WechatWrong *wrong)
{
	json_t	   *clear = json_copy(body);
	json_t	   *name;
	const CryptoKey *key;
	const char *serial;
	Buf			plain = BUF_INIT;
	bool		ok;

	if (call->user_name == NULL)
		ok = call->amount < NAME_REQUIRED_FROM ||
			fail(wrong, "PARAM_ERROR", "user_name", "转账金额大于等于2000元时，收款用户姓名必填");
	else if (call->amount < NAME_FORBIDDEN_BELOW)
		ok = fail(wrong, "PARAM_ERROR", "user_name", "转账金额小于0.3元时，不允许填写收款用户姓名");
	else if (http_header_get(&req->headers, "Wechatpay-Serial") == NULL)
		ok = fail(wrong, "INVALID_REQUEST", NULL, "Http头缺少Wechatpay-Serial");
	else
	{
		wechat_response_key(req, m, &key, &serial);
		name = decrypt(key, call->user_name, &plain) ? json_stringn(plain.data, plain.len) : NULL;
		ok = name != NULL ||
			fail(wrong, "PARAM_ERROR", "user_name", "请确认待处理的消息是否为加密后的密文");
		json_object_set_new(clear, "user_name", name ? name : json_null());
	}
	ok = ok && (wechat_digest(clear, call->digest) || fail(wrong, "SYSTEM_ERROR", NULL, "系统异常"));
	json_decref(clear);
	buf_wipe(&plain);
	return ok;
}

/* False: *wrong says how. */
bool
wechat_read_transfer_call(const SbRequest *req, SbMerchant *m, json_t *body,
						  TransferCall *call, WechatWrong *wrong)
{
	const char *perception;

	memset(call, 0, sizeof(*call));
	if (!take_text(body, "out_bill_no", BILL_NO_MAX, &call->out_bill_no, wrong) ||
		!take_text(body, "appid", 32, &call->appid, wrong) ||
		!take_text(body, "transfer_scene_id", 36, &call->scene, wrong) ||
		!take_text(body, "openid", 64, &call->openid, wrong) ||
		!take_text(body, "transfer_remark", 32, &call->remark, wrong) ||
		!take_optional(body, "user_name", SECRET_MAX, &call->user_name, wrong) ||
		!take_optional(body, "notify_url", 256, &call->notify_url, wrong) ||
		!take_optional(body, "user_recv_perception", 64, &perception, wrong))
		return false;
	if (call->out_bill_no[strspn(call->out_bill_no, "0123456789abcdefghijklmnopqrstuvwxyz"
								 "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] != '\0')
		return fail(wrong, "PARAM_ERROR", "out_bill_no", "商户单号只能由数字、大小写字母组成");
	if (call->notify_url != NULL && !wechat_notify_url_ok(call->notify_url))
		return fail(wrong, "PARAM_ERROR", "notify_url", "notify_url必须为完整的URL，且不能携带参数");
	return read_amount(body, call, wrong) && read_reports(body, call->scene, wrong) &&
		read_name(req, m, body, call, wrong);
}

json_t *
wechat_encrypt_for_merchant(const CryptoKey *ours, const SbMerchant *m, const char *secret)
{
	Buf			plain = BUF_INIT,
				again = BUF_INIT,
				b64 = BUF_INIT;
	json_t	   *out = NULL;

	if (decrypt(ours, secret, &plain) &&
		rsa_oaep_encrypt(wechat_keys(m)->certificate, buf_str(&plain), plain.len, &again))
	{
		base64_encode(&b64, again.data, again.len);
		out = json_string(buf_str(&b64));
	}
	buf_wipe(&plain);
	buf_free(&again);
	buf_free(&b64);
	return out;
}
