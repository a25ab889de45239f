/*-------------------------------------------------------------------------
 *
 * alipay_transfer_body.c
 *	  What Alipay accepts as the business content of a transfer (4.1).
 *
 * What is "required in practice" is required here, for that is how people
 * find out.
 *
 * sandbox/alipay_transfer_body.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "alipay.h"

#define INVALID				"INVALID_PARAMETER"
#define AMOUNT_MIN			10
#define AMOUNT_MAX			INT64_C(10000000000)
#define REMARK_REQUIRED_FROM 5000000
#define CHARACTER_BYTES		4

/* A string of 1..max characters; absent only if it may be. */
static bool
take_text(json_t *o, const char *name, size_t max, bool required, const char **out)
{
	return alipay_take_string(o, name, CHARACTER_BYTES * max, out) &&
		(*out == NULL ? !required : utf8_length(*out) <= max);
}

static bool
is_one_of(const char *s, const char *const *list)
{
	for (; *list != NULL; list++)
		if (strcmp(*list, s) == 0)
			return true;
	return false;
}

static bool
card_ok(json_t *payee)
{
	static const char *const texts[] = {
		"inst_name", "inst_province", "inst_city", "inst_branch_name", "bank_code", NULL
	};
	json_t	   *info = json_object_get(payee, "bankcard_ext_info");
	const char *type,
			   *text;
	int			i;

	if (!json_is_object(info) || !take_text(info, "account_type", 1, true, &type) ||
		(strcmp(type, "1") != 0 && strcmp(type, "2") != 0))
		return false;
	for (i = 0; texts[i] != NULL; i++)
		/* a company's account cannot be found without its bank's name */
		if (!take_text(info, texts[i], 128, i == 0 && *type == '1', &text))
			return false;
	return true;
}

/* NULL, or which part of payee_info is wrong. */
static const char *
payee_wrong(json_t *biz, bool to_card)
{
	static const char *const kinds[] = {
		"ALIPAY_USER_ID", "ALIPAY_LOGON_ID", "ALIPAY_OPEN_ID", NULL
	};
	json_t	   *payee = json_object_get(biz, "payee_info");
	const char *identity,
			   *type,
			   *name;

	if (!json_is_object(payee))
		return "payee_info";
	if (!take_text(payee, "identity", 128, true, &identity))
		return "payee_info.identity";
	if (!take_text(payee, "identity_type", 64, true, &type) ||
		(to_card ? strcmp(type, "BANKCARD_ACCOUNT") != 0 : !is_one_of(type, kinds)))
		return "payee_info.identity_type";
	if (!take_text(payee, "name", 128, to_card || strcmp(type, "ALIPAY_LOGON_ID") == 0, &name))
		return "payee_info.name";
	if (strcmp(type, "ALIPAY_USER_ID") == 0 &&
		(strlen(identity) != 16 || strncmp(identity, "2088", 4) != 0 ||
		 identity[strspn(identity, "0123456789")] != '\0'))
		return "payee_info.identity";
	return to_card && !card_ok(payee) ? "payee_info.bankcard_ext_info" : NULL;
}

/* NULL, or what is wrong with what the scene of a newer contract reports. */
static const char *
scene_wrong(json_t *biz)
{
	static const char *const scenes[] = {
		"现金营销", "企业退款", "佣金报酬", "业务结算", "二手回收", "公益补助", "行政补贴和退款", "保险理赔", NULL
	};
	json_t	   *list = json_object_get(biz, "transfer_scene_report_infos");
	json_t	   *item;
	const char *name,
			   *text;
	size_t		i;

	if (!take_text(biz, "transfer_scene_name", 64, false, &name) ||
		(name != NULL && !is_one_of(name, scenes)))
		return "transfer_scene_name";
	if (list != NULL && !json_is_array(list))
		return "transfer_scene_report_infos";
	json_array_foreach(list, i, item)
		if (!take_text(item, "info_type", 64, true, &text) ||
			!take_text(item, "info_content", 256, true, &text))
			return "transfer_scene_report_infos";
	return NULL;
}

/* A number stands for its parameters: all of them count, in any order. */
static bool
digest(json_t *biz, char out[65])
{
	char	   *text = json_dumps(biz, JSON_COMPACT | JSON_SORT_KEYS);
	bool		ok = text != NULL && sha256_hex(text, strlen(text), out);

	free(text);
	return ok;
}

/* business_params is JSON within JSON. */
static bool
params_ok(json_t *biz)
{
	const char *text;
	json_t	   *params;

	if (!take_text(biz, "business_params", 2048, false, &text))
		return false;
	params = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
	json_decref(params);
	return text == NULL || params != NULL;
}

const char *
alipay_read_transfer(json_t *biz, UniTransfer *call, const char **field)
{
	const char *text;

	memset(call, 0, sizeof(*call));
	*field = "biz_content";
	if (biz == NULL)
		return INVALID;
	*field = "out_biz_no";
	if (!take_text(biz, "out_biz_no", SB_NO_MAX, true, &call->no) || strlen(call->no) > SB_NO_MAX)
		return INVALID;
	*field = "trans_amount";
	if (!alipay_take_yuan(biz, "trans_amount", &call->amount) ||
		call->amount < AMOUNT_MIN || call->amount > AMOUNT_MAX)
		return INVALID;
	*field = "product_code";
	if (!take_text(biz, "product_code", 64, true, &call->product))
		return INVALID;
	call->to_card = strcmp(call->product, "TRANS_BANKCARD_NO_PWD") == 0;
	if (!call->to_card && strcmp(call->product, "TRANS_ACCOUNT_NO_PWD") != 0)
		return "PRODUCT_NOT_SIGN";
	*field = "biz_scene";
	if (!take_text(biz, "biz_scene", 64, true, &text) || strcmp(text, "DIRECT_TRANSFER") != 0)
		return INVALID;
	*field = "order_title";
	if (!take_text(biz, "order_title", 128, true, &text))
		return INVALID;
	*field = "remark";
	if (!take_text(biz, "remark", 200, false, &text))
		return INVALID;
	if (text == NULL && call->amount >= REMARK_REQUIRED_FROM)
		return "MEMO_REQUIRED_IN_TRANSFER_ERROR";
	*field = "business_params";
	if (!params_ok(biz))
		return INVALID;
	*field = "passback_params";
	if (!take_text(biz, "passback_params", 512, false, &text))
		return INVALID;
	if ((*field = payee_wrong(biz, call->to_card)) != NULL || (*field = scene_wrong(biz)) != NULL)
		return INVALID;
	*field = "biz_content";
	return digest(biz, call->digest) ? NULL : "SYSTEM_ERROR";
}
