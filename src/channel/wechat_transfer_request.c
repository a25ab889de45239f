/*-------------------------------------------------------------------------
 *
 * wechat_transfer_request.c
 *	  The frozen request of a transfer, and requests about it.
 *
 * A payee's name goes to WeChat encrypted with one of WeChat's keys, and the
 * header Wechatpay-Serial says with which.  Encrypting it again would give
 * other bytes, and the payee is no longer known when a number is sent again.
 * So the ciphertext is frozen like everything else, and with it the serial of
 * its key: where there is a name, the frozen request is
 *
 *		Wechatpay-Serial: PUB_KEY_ID_0119000001002026010100001
 *		{"appid":...}
 *
 * and build() sends the second line with the first as its header.  The body of
 * a request without a name stands alone, and goes with whatever key is used at
 * the time.
 *
 * A key must therefore stay in "wechat_keys" as long as a frozen name is under
 * way: WeChat signs its answer with the key that was named.  If it has been
 * removed nothing is lost: the answer is unknown, and a query, which names the
 * new key, tells.
 *
 * src/channel/wechat_transfer_request.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "channel/wechat.h"

#define TRANSFERS_PATH		"/v3/fund-app/mch-transfer/transfer-bills"
#define SERIAL_CHARSET \
	"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"

static bool set_text(json_t *body, const char *name, const char *text);
static bool add_name(const WechatConfig *config, json_t *body, const WechatPayee *payee,
					 ChannelError *err);
static bool fill_body(const WechatConfig *config, const ChannelInstruction *instr, json_t *body,
					  const WechatPayee *payee, const WechatScene *scene, ChannelError *err);

/* ---- the frozen request ---- */

static bool
set_text(json_t *body, const char *name, const char *text)
{
	return json_object_set_new(body, name, json_string(text)) == 0;
}

static bool
add_name(const WechatConfig *config, json_t *body, const WechatPayee *payee, ChannelError *err)
{
	const WechatKey *key = wechat_find_key(config->keys, config->key_count, config->use_key);
	Buf			sealed = BUF_INIT;
	Buf			text = BUF_INIT;
	bool		good;

	good = key != NULL &&
		rsa_oaep_encrypt(key->key, payee->name, strlen(payee->name), &sealed);
	if (good)
	{
		base64_encode(&text, sealed.data, sealed.len);
		good = !text.failed && set_text(body, "user_name", buf_str(&text));
	}
	buf_free(&sealed);
	buf_free(&text);
	return good || channel_error(err, "It is encrypted with the key that \"use_key\" names.",
								 "payee.name could not be encrypted for WeChat Pay");
}

/* What acceptable() could not see, for it does not know the configuration. */
static bool
complete(const WechatConfig *config, const ChannelInstruction *instr, const WechatPayee *payee,
		 const WechatScene *scene, const char **appid, const char **remark, ChannelError *err)
{
	*appid = payee->appid[0] != '\0' ? payee->appid : json_text(config->transfer, "appid");
	*remark = instr->reason != NULL && instr->reason[0] != '\0' ? instr->reason :
		json_text(config->transfer, "remark");
	if (config->sub_mchid[0] != '\0')
		return channel_error(err, "Add a channel without sub_mchid.",
							 "WeChat Pay's transfers are not for the sub-merchant of a partner");
	if (*appid == NULL)
		return channel_error(err, "Set transfer.appid with channel_set().",
							 "the appid of the transfer is missing");
	if (*remark == NULL)
		return channel_error(err, "Set transfer.remark with channel_set(), or give withdrawals a reason.",
							 "the transfer has no reason, and the channel no setting transfer.remark; "
							 "WeChat Pay asks for one of them");
	if (scene->id == NULL || scene->report_infos == NULL)
		return channel_error(err, "Set transfer.scene_id and transfer.report_infos with channel_set().",
							 "the scene of the transfer is missing");
	return true;
}

static bool
fill_body(const WechatConfig *config, const ChannelInstruction *instr, json_t *body,
		  const WechatPayee *payee, const WechatScene *scene, ChannelError *err)
{
	const char *appid;
	const char *remark;

	if (!complete(config, instr, payee, scene, &appid, &remark, err))
		return false;
	if (!set_text(body, "appid", appid) || !set_text(body, "out_bill_no", instr->wire_no) ||
		!set_text(body, "transfer_scene_id", scene->id) ||
		!set_text(body, "openid", payee->openid))
		return false;
	if (payee->name[0] != '\0' && !add_name(config, body, payee, err))
		return false;
	if (json_object_set_new(body, "transfer_amount", json_integer((json_int_t) instr->amount)) != 0 ||
		!set_text(body, "transfer_remark", remark))
		return false;
	if (instr->notify_url != NULL &&
		(!wechat_notify_url_acceptable(instr->notify_url, err) ||
		 !set_text(body, "notify_url", instr->notify_url)))
		return false;
	if (scene->perception != NULL && !set_text(body, "user_recv_perception", scene->perception))
		return false;
	if (json_object_set(body, "transfer_scene_report_infos", scene->report_infos) != 0)
		return false;
	return scene->style == NULL ||
		json_object_set_new(body, "user_recv_style", json_pack("{s:s}", "type", scene->style)) == 0;
}

bool
wechat_transfer_freeze(void *arg, const ChannelInstruction *instr, Buf *request, ChannelError *err)
{
	const WechatConfig *config = arg;
	WechatPayee payee;
	WechatScene scene;
	json_t	   *data = NULL;
	json_t	   *body = json_object();
	char	   *text = NULL;
	bool		good;

	memset(err, 0, sizeof(*err));
	buf_reset(request);
	good = body != NULL && wechat_payee_read(instr->payee, &payee, err) &&
		wechat_transfer_data(instr->transfer_data, instr->amount, &data, &scene, err);
	if (good)
	{
		wechat_scene_complete(&scene, config->transfer, instr->amount);
		good = fill_body(config, instr, body, &payee, &scene, err);
	}
	if (good)
		text = json_dumps(body, JSON_COMPACT);
	if (text != NULL && payee.name[0] != '\0')
		buf_addf(request, WECHAT_SERIAL_LINE "%s\n", config->use_key);
	if (text != NULL)
		buf_adds(request, text);
	good = text != NULL && !request->failed;
	if (!good && err->message[0] == '\0')
		channel_error(err, "All texts must be valid UTF-8.",
					  "the transfer's request could not be put together");
	free(text);
	json_decref(data);
	json_decref(body);
	explicit_bzero(&payee, sizeof(payee));
	return good;
}

/* ---- requests ---- */

/* The serial that was frozen, "" if none was, and where the body begins. */
bool
wechat_split_frozen(const Buf *frozen, char serial[WECHAT_SERIAL_MAX + 1], size_t *body)
{
	size_t		prefix = strlen(WECHAT_SERIAL_LINE);
	size_t		len;

	serial[0] = '\0';
	*body = 0;
	if (frozen == NULL || frozen->failed || frozen->len == 0)
		return false;
	if (frozen->data[0] == '{')
		return true;
	if (frozen->len <= prefix || memcmp(frozen->data, WECHAT_SERIAL_LINE, prefix) != 0)
		return false;
	len = strspn(frozen->data + prefix, SERIAL_CHARSET);
	if (len == 0 || len > WECHAT_SERIAL_MAX || prefix + len + 1 >= frozen->len ||
		frozen->data[prefix + len] != '\n' || frozen->data[prefix + len + 1] != '{')
		return false;
	memcpy(serial, frozen->data + prefix, len);
	serial[len] = '\0';
	*body = prefix + len + 1;
	return true;
}

/* The number is letters and digits; it is escaped all the same. */
static void
compose_url(ChannelCall call, const ChannelInstruction *instr, const char *base, Buf *url)
{
	buf_reset(url);
	buf_adds(url, base);
	buf_adds(url, TRANSFERS_PATH);
	if (call == CALL_SUBMIT)
		return;
	buf_adds(url, "/out-bill-no/");
	percent_encode(url, instr->wire_no, strlen(instr->wire_no));
	if (call == CALL_CANCEL)
		buf_adds(url, "/cancel");
}

bool
wechat_transfer_build(void *arg, ChannelCall call, const ChannelInstruction *instr,
					  const Buf *frozen, const ChannelMoment *moment,
					  HttpRequest *out, ChannelError *err)
{
	const WechatConfig *config = arg;
	const char *base = config->base_url;
	char		serial[WECHAT_SERIAL_MAX + 1] = "";
	size_t		body = 0;

	memset(err, 0, sizeof(*err));
	http_request_free(out);
	http_request_init(out);
	if (moment->nonce == NULL || moment->nonce[0] == '\0')
		return channel_error(err, NULL, "a request to WeChat Pay needs a nonce");
	if (call == CALL_ECHO)
		return channel_error(err, NULL, "WeChat Pay's self-test belongs to refunds");
	if (call == CALL_SUBMIT && !wechat_split_frozen(frozen, serial, &body))
		return channel_error(err, NULL, "a transfer without its frozen request cannot be sent");
	if (call != CALL_SUBMIT && (instr == NULL || instr->wire_no == NULL || instr->wire_no[0] == '\0'))
		return channel_error(err, NULL, "a transfer without a number cannot be asked about");

	if (moment->use_backup && config->backup_url[0] != '\0')
		base = config->backup_url;
	strcpy(out->method, call == CALL_QUERY ? "GET" : "POST");
	compose_url(call, instr, base, &out->url);
	if (call == CALL_SUBMIT)
		buf_add(&out->body, frozen->data + body, frozen->len - body);
	else if (call == CALL_CANCEL)
		buf_adds(&out->body, "{}");
	return wechat_finish_request(config, &wechat_transfers.limits,
								 serial[0] != '\0' ? serial : config->use_key,
								 strlen(base), moment, out, err);
}
