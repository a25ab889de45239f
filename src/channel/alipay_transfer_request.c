/*-------------------------------------------------------------------------
 *
 * alipay_transfer_request.c
 *	  The frozen biz_content of a transfer, and of the query about it.
 *
 * biz_content is made once, before the first attempt, and stored.  Whatever is
 * sent for a number later is these bytes: the same out_biz_no with other
 * parameters is PAYMENT_INFO_INCONSISTENCY, and another out_biz_no is a second
 * payment.
 *
 * A transfer is asked about by its out_biz_no together with its product_code and
 * biz_scene.  The payee, which decides the product, is not at hand then: both
 * are read from the frozen bytes.  What was never sent from here (a withdrawal
 * that was adopted) has none; then it is asked about by Alipay's order_id, which
 * needs nothing else, or by what the withdrawal's channel_data says, and at last
 * as a transfer to an Alipay account.
 *
 * src/channel/alipay_transfer_request.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "channel/alipay.h"

#define TITLE_MAX		128
#define SCENE_MAX		64
#define INFOS_MAX		10		/* neither the number nor the lengths are documented */
#define INFO_TYPE_MAX	64
#define INFO_CONTENT_MAX 256

/* What the payee and the merchant see in their bills if nobody says anything. */
#define DEFAULT_TITLE	"\xe6\x8f\x90\xe7\x8e\xb0"	/* ti xian: withdrawal */

static bool code_good(const json_t *v);
static bool infos_good(const json_t *infos);
static json_t *parse(const char *text);
static const json_t *option(const json_t *own, const json_t *defaults, const char *name);
static bool set_text(json_t *body, const char *name, const json_t *value, const char *otherwise);
static bool set_options(json_t *body, const json_t *own, const json_t *defaults);
static json_t *content_of(const AlipayConfig *config, const ChannelInstruction *instr,
						  const AlipayPayee *payee, const json_t *own);
static bool query_content(const AlipayConfig *config, const ChannelInstruction *instr,
						  const Buf *frozen, Buf *out);
static bool echo_content(const char *nonce, Buf *out);

/* ---- what a configuration or a withdrawal says ---- */

static bool
code_good(const json_t *v)
{
	const char *s = json_string_value(v);

	return s != NULL && s[0] != '\0' && strlen(s) <= SCENE_MAX &&
		strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == strlen(s);
}

static bool
infos_good(const json_t *infos)
{
	json_t	   *item;
	size_t		i;

	if (!json_is_array(infos) || json_array_size(infos) < 1 || json_array_size(infos) > INFOS_MAX)
		return false;
	json_array_foreach(infos, i, item)
		if (json_object_size(item) != 2 ||
			!alipay_text_good(json_object_get(item, "info_type"), INFO_TYPE_MAX) ||
			!alipay_text_good(json_object_get(item, "info_content"), INFO_CONTENT_MAX))
			return false;
	return true;
}

/* `where` names the object in messages; none of them repeats a value. */
bool
alipay_transfer_options_good(const json_t *options, const char *where, bool of_one, ChannelError *err)
{
	const json_t *scene = json_object_get(options, "biz_scene");
	const json_t *title = json_object_get(options, "order_title");
	const json_t *name = json_object_get(options, "transfer_scene_name");
	const json_t *infos = json_object_get(options, "transfer_scene_report_infos");
	const json_t *alias = json_object_get(options, "payer_show_name_use_alias");
	const json_t *product = of_one ? json_object_get(options, "product_code") : NULL;
	size_t		known = (scene != NULL) + (title != NULL) + (name != NULL) + (infos != NULL) +
		(alias != NULL) + (product != NULL);

	if (scene != NULL && !code_good(scene))
		return channel_error(err, "Alipay's own value is " ALIPAY_SCENE ".",
							 "%s.biz_scene must be a text of 1 to %d of A-Z, 0-9 and _", where, SCENE_MAX);
	if (title != NULL && !alipay_text_good(title, TITLE_MAX))
		return channel_error(err, "A Chinese character counts as three bytes.",
							 "%s.order_title must be a text of 1 to %d bytes, without control "
							 "characters and emoji", where, TITLE_MAX);
	if ((name != NULL) != (infos != NULL))
		return channel_error(err, "The contract says which scenes there are, and what each has to report.",
							 "%s has only one of transfer_scene_name and transfer_scene_report_infos",
							 where);
	if (name != NULL && !alipay_text_good(name, SCENE_MAX))
		return channel_error(err, NULL, "%s.transfer_scene_name must be a text of 1 to %d bytes",
							 where, SCENE_MAX);
	if (infos != NULL && !infos_good(infos))
		return channel_error(err, NULL, "%s.transfer_scene_report_infos must be a list of 1 to %d objects "
							 "with info_type (1 to %d bytes) and info_content (1 to %d bytes), and "
							 "nothing else", where, INFOS_MAX, INFO_TYPE_MAX, INFO_CONTENT_MAX);
	if (alias != NULL && !json_is_boolean(alias))
		return channel_error(err, "The alias is set up in Alipay's console.",
							 "%s.payer_show_name_use_alias must be true or false", where);
	if (product != NULL && (!json_is_string(product) ||
							(strcmp(json_string_value(product), ALIPAY_TO_ACCOUNT) != 0 &&
							 strcmp(json_string_value(product), ALIPAY_TO_CARD) != 0)))
		return channel_error(err, "Leave it out: it follows from the payee.",
							 "%s.product_code must be " ALIPAY_TO_ACCOUNT " or " ALIPAY_TO_CARD, where);
	if (json_object_size(options) != known)
		return channel_error(err, "It may have biz_scene, order_title, transfer_scene_name with "
							 "transfer_scene_report_infos, and payer_show_name_use_alias.",
							 "%s has a member that transfers of Alipay do not take", where);
	return true;
}

static json_t *
parse(const char *text)
{
	return text != NULL ? json_hostile_object(text, strlen(text)) : NULL;
}

/* The withdrawal's own, else the configuration's. */
static const json_t *
option(const json_t *own, const json_t *defaults, const char *name)
{
	const json_t *v = json_object_get(own, name);

	return v != NULL ? v : json_object_get(defaults, name);
}

static bool
set_text(json_t *body, const char *name, const json_t *value, const char *otherwise)
{
	const char *text = json_is_string(value) ? json_string_value(value) : otherwise;

	return json_object_set_new(body, name, json_string(text)) == 0;
}

/* A scene and what it reports belong together: both come from the same side. */
static bool
set_options(json_t *body, const json_t *own, const json_t *defaults)
{
	const json_t *of = json_object_get(own, "transfer_scene_name") != NULL ? own : defaults;
	json_t	   *name = json_object_get(of, "transfer_scene_name");
	json_t	   *infos = json_object_get(of, "transfer_scene_report_infos");

	if (json_is_true(option(own, defaults, "payer_show_name_use_alias")) &&
		json_object_set_new(body, "business_params",
							json_string("{\"payer_show_name_use_alias\":\"true\"}")) != 0)
		return false;
	return name == NULL || infos == NULL ||
		(json_object_set(body, "transfer_scene_name", name) == 0 &&
		 json_object_set(body, "transfer_scene_report_infos", infos) == 0);
}

/* ---- the bytes of biz_content ---- */

/* The caller's; NULL if it could not be put together. */
static json_t *
content_of(const AlipayConfig *config, const ChannelInstruction *instr, const AlipayPayee *payee,
		   const json_t *own)
{
	json_t	   *body = json_object();
	char		amount[32];
	bool		good;

	alipay_amount_text(instr->amount, amount);
	good = body != NULL &&
		json_object_set_new(body, "out_biz_no", json_string(instr->wire_no)) == 0 &&
		json_object_set_new(body, "trans_amount", json_string(amount)) == 0 &&
		json_object_set_new(body, "product_code", json_string(alipay_payee_product(payee))) == 0 &&
		set_text(body, "biz_scene", option(own, config->transfer, "biz_scene"), ALIPAY_SCENE) &&
		set_text(body, "order_title", option(own, config->transfer, "order_title"), DEFAULT_TITLE) &&
		json_object_set_new(body, "payee_info", alipay_payee_info(payee)) == 0 &&
		(instr->reason == NULL || instr->reason[0] == '\0' ||
		 json_object_set_new(body, "remark", json_string(instr->reason)) == 0) &&
		set_options(body, own, config->transfer);
	if (good)
		return body;
	json_decref(body);
	return NULL;
}

bool
alipay_transfer_freeze(void *arg, const ChannelInstruction *instr, Buf *request, ChannelError *err)
{
	const AlipayConfig *config = arg;
	AlipayPayee payee;
	json_t	   *own;
	json_t	   *body;
	bool		good;

	memset(err, 0, sizeof(*err));
	buf_reset(request);
	if (config->transfer == NULL)
		return channel_error(err, "Give its configuration \"transfer\": {}.",
							 "the channel pays no withdrawals any more: its configuration has no "
							 "setting \"transfer\"");
	if (instr->wire_no == NULL)
		return channel_error(err, NULL, "a transfer needs a number");
	if (!alipay_payee_parse(instr->payee, &payee, err))
		return false;
	own = parse(instr->transfer_data);
	body = instr->transfer_data != NULL && own == NULL ? NULL :
		content_of(config, instr, &payee, own);
	good = body != NULL && alipay_dump(body, request) &&
		!utf8_has_four_bytes(request->data, request->len);
	if (!good)
	{
		buf_reset(request);
		channel_error(err, "All texts must be valid UTF-8, without characters of four bytes.",
					  "the transfer's request could not be put together");
	}
	json_decref(body);
	json_decref(own);
	alipay_payee_free(&payee);
	return good;
}

static bool
query_content(const AlipayConfig *config, const ChannelInstruction *instr, const Buf *frozen,
			  Buf *out)
{
	json_t	   *sent = frozen != NULL && !frozen->failed ?
		json_hostile_object(frozen->data, frozen->len) : NULL;
	json_t	   *own = sent == NULL ? parse(instr->transfer_data) : NULL;
	const json_t *of = sent != NULL ? sent : own;
	const json_t *scene = option(of, sent == NULL ? config->transfer : NULL, "biz_scene");
	json_t	   *body = json_object();
	bool		good = body != NULL;

	if (sent == NULL && instr->channel_refund_id != NULL && instr->channel_refund_id[0] != '\0')
		good = good &&
			json_object_set_new(body, "order_id", json_string(instr->channel_refund_id)) == 0;
	else
		good = good &&
			set_text(body, "product_code", json_object_get(of, "product_code"), ALIPAY_TO_ACCOUNT) &&
			set_text(body, "biz_scene", scene, ALIPAY_SCENE) &&
			json_object_set_new(body, "out_biz_no", json_string(instr->wire_no)) == 0;
	good = good && alipay_dump(body, out);
	json_decref(body);
	json_decref(own);
	json_decref(sent);
	return good;
}

/* Nobody has a transfer of this number: the nonce is random. */
static bool
echo_content(const char *nonce, Buf *out)
{
	json_t	   *body = json_pack("{s:s,s:s,s:s+}", "product_code", ALIPAY_TO_ACCOUNT,
								 "biz_scene", ALIPAY_SCENE, "out_biz_no", "refundx_echo_", nonce);
	bool		good = body != NULL && alipay_dump(body, out);

	json_decref(body);
	return good;
}

/* ---- requests ---- */

bool
alipay_transfer_build(void *arg, ChannelCall call, const ChannelInstruction *instr,
					  const Buf *frozen, const ChannelMoment *moment, HttpRequest *out,
					  ChannelError *err)
{
	const AlipayConfig *config = arg;
	Buf			content = BUF_INIT;
	bool		good;

	memset(err, 0, sizeof(*err));
	http_request_free(out);
	http_request_init(out);
	if (call == CALL_CANCEL)
		return channel_error(err, NULL, "a transfer of Alipay's cannot be canceled");
	if (moment->nonce == NULL || moment->nonce[0] == '\0')
		return channel_error(err, NULL, "a request to Alipay needs a nonce");
	if (call == CALL_SUBMIT && (frozen == NULL || frozen->failed || frozen->len == 0))
		return channel_error(err, NULL, "a transfer without its frozen request cannot be sent");
	if (call == CALL_QUERY && (instr == NULL || instr->wire_no == NULL || instr->wire_no[0] == '\0'))
		return channel_error(err, NULL, "a transfer without a number cannot be asked about");

	if (call == CALL_SUBMIT)
		buf_add(&content, frozen->data, frozen->len);
	good = (call == CALL_SUBMIT ? !content.failed
			: call == CALL_QUERY ? query_content(config, instr, frozen, &content)
			: echo_content(moment->nonce, &content)) &&
		alipay_gateway_request(config, call == CALL_SUBMIT ? ALIPAY_METHOD_TRANSFER
							   : ALIPAY_METHOD_TRANSFER_QUERY,
							   &content, moment, &alipay_transfers.limits, out);
	buf_wipe(&content);			/* the payee is in it */
	return good || channel_error(err, NULL, "the request could not be signed");
}
