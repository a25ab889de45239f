/*-------------------------------------------------------------------------
 *
 * wechat_abnormal.c
 *	  An abnormal refund goes elsewhere: to another card of the payer's, or to the
 *	  merchant's own account (page 4013071193).
 *
 * The card's number and its owner's name go to WeChat encrypted, with the key that
 * the header Wechatpay-Serial names; so that header's value is frozen with them,
 * as with a transfer's name (wechat_transfer_request.c).  No message says what
 * stands in either.
 *
 * The call is made with WeChat's own number of the refund, and the same parameters
 * again are the same call.
 *
 * src/channel/wechat_abnormal.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel/wechat.h"

#define REFUNDS_PATH		"/v3/refund/domestic/refunds/"
#define ABNORMAL_PATH		"/apply-abnormal-refund"
#define CARD_MIN			12
#define CARD_MAX			19

/* Where the money is to go. */
typedef struct Diversion
{
	bool		to_merchant;
	char		bank_type[17];
	char		card[CARD_MAX + 1];
	char		name[WECHAT_NAME_BYTES_MAX + 1];
} Diversion;

/* Debit cards of these, and no other. */
static const char *const banks[] = {
	"CMB_DEBIT", "COMM_DEBIT", "ABC_DEBIT", "CCB_DEBIT", "ICBC_DEBIT", "BOC_DEBIT", "PAB_DEBIT",
	"SPDB_DEBIT", "CITIC_DEBIT", "CEB_DEBIT", "CMBC_DEBIT", "CIB_DEBIT", "GDB_DEBIT", "PSBC_DEBIT",
	"NBCB_DEBIT"
};

static bool
is_bank(const char *type)
{
	size_t		i;

	for (i = 0; type != NULL && i < lengthof_array(banks); i++)
		if (strcmp(type, banks[i]) == 0)
			return true;
	return false;
}

static bool
read_card(const json_t *order, Diversion *d, ChannelError *err)
{
	const char *bank_type = json_text(order, "bank_type");
	const char *card = json_text(order, "card");
	const char *name = json_text(order, "name");
	size_t		len = card ? strlen(card) : 0;

	if (!is_bank(bank_type))
		return channel_error(err, "Debit cards of CMB, COMM, ABC, CCB, ICBC, BOC, PAB, SPDB, CITIC, CEB, CMBC, "
							 "CIB, GDB, PSBC and NBCB: the bank's code and _DEBIT, such as CMB_DEBIT.",
							 "WeChat Pay does not pay an abnormal refund to cards of this bank_type");
	if (len < CARD_MIN || len > CARD_MAX || strspn(card, "0123456789") != len)
		return channel_error(err, "12 to 19 digits, without blanks.", "card is not a card's number");
	if (name == NULL || name[0] == '\0' || strlen(name) > WECHAT_NAME_BYTES_MAX ||
		!wechat_text_plain(name, WECHAT_NAME_BYTES_MAX) || utf8_has_four_bytes(name, strlen(name)))
		return channel_error(err, "The name of the card's owner, as the bank has it.", "name is not a name");
	str_copy(d->bank_type, sizeof(d->bank_type), bank_type);
	str_copy(d->card, sizeof(d->card), card);
	str_copy(d->name, sizeof(d->name), name);
	return true;
}

static bool
read_order(const char *order_json, Diversion *d, ChannelError *err)
{
	json_t	   *order = order_json ? json_hostile_object(order_json, strlen(order_json)) : NULL;
	const char *to = order ? json_text(order, "to") : NULL;
	bool		good;

	memset(d, 0, sizeof(*d));
	memset(err, 0, sizeof(*err));
	if (to != NULL && strcmp(to, "merchant") == 0)
	{
		d->to_merchant = true;
		good = json_object_size(order) == 1 ||
			channel_error(err, NULL, "what goes to the merchant takes no bank_type, card or name");
	}
	else if (to != NULL && strcmp(to, "user") == 0)
		good = read_card(order, d, err);
	else
		good = channel_error(err, NULL, "an abnormal refund goes to the merchant or to the user");
	json_decref(order);
	return good;
}

bool
wechat_divert_acceptable(const char *order_json, char masked[129], ChannelError *err)
{
	Diversion	d;
	bool		good = read_order(order_json, &d, err);

	masked[0] = '\0';
	if (good && d.to_merchant)
		snprintf(masked, 129, "the merchant's own account");
	else if (good)
		snprintf(masked, 129, "%s ****%s", d.bank_type, d.card + strlen(d.card) - 4);
	explicit_bzero(&d, sizeof(d));
	return good;
}

static bool
add_encrypted(const WechatConfig *config, json_t *body, const char *member, const char *plain)
{
	const WechatKey *key = wechat_find_key(config->keys, config->key_count, config->use_key);
	Buf			sealed = BUF_INIT;
	Buf			text = BUF_INIT;
	bool		good = key != NULL && rsa_oaep_encrypt(key->key, plain, strlen(plain), &sealed);

	if (good)
	{
		base64_encode(&text, sealed.data, sealed.len);
		good = !text.failed && json_object_set_new(body, member, json_string(buf_str(&text))) == 0;
	}
	buf_free(&sealed);
	buf_free(&text);
	return good;
}

bool
wechat_divert_freeze(void *arg, const ChannelInstruction *instr, const char *order_json,
					 Buf *request, ChannelError *err)
{
	const WechatConfig *config = arg;
	json_t	   *body = json_object();
	char	   *text = NULL;
	Diversion	d;
	bool		good = read_order(order_json, &d, err) && body != NULL;

	buf_reset(request);
	if (good && config->sub_mchid[0] != '\0')
		good = json_object_set_new(body, "sub_mchid", json_string(config->sub_mchid)) == 0;
	good = good &&
		json_object_set_new(body, "out_refund_no", json_string(instr->wire_no)) == 0 &&
		json_object_set_new(body, "type", json_string(d.to_merchant ? "MERCHANT_BANK_CARD" : "USER_BANK_CARD")) == 0;
	if (good && !d.to_merchant)
		good = json_object_set_new(body, "bank_type", json_string(d.bank_type)) == 0 &&
			add_encrypted(config, body, "bank_account", d.card) &&
			add_encrypted(config, body, "real_name", d.name);
	if (good)
		text = json_dumps(body, JSON_COMPACT);
	if (text != NULL && !d.to_merchant)
		buf_addf(request, WECHAT_SERIAL_LINE "%s\n", config->use_key);
	if (text != NULL)
		buf_adds(request, text);
	good = text != NULL && !request->failed;
	if (!good && err->message[0] == '\0')
		channel_error(err, "They are encrypted with the key that \"use_key\" names.",
					  "card and name could not be put into a request to WeChat Pay");
	free(text);
	json_decref(body);
	explicit_bzero(&d, sizeof(d));
	return good;
}

bool
wechat_divert_build(const WechatConfig *config, const ChannelInstruction *instr, const Buf *frozen,
					const ChannelMoment *moment, HttpRequest *out, ChannelError *err)
{
	const char *base = moment->use_backup && config->backup_url[0] != '\0' ?
		config->backup_url : config->base_url;
	char		serial[WECHAT_SERIAL_MAX + 1];
	size_t		body;

	if (!wechat_split_frozen(frozen, serial, &body))
		return channel_error(err, NULL, "an abnormal refund cannot go elsewhere without its frozen request");
	if (instr == NULL || instr->channel_refund_id == NULL || instr->channel_refund_id[0] == '\0')
		return channel_error(err, NULL, "WeChat's own number of the refund is not known");
	strcpy(out->method, "POST");
	buf_reset(&out->url);
	buf_adds(&out->url, base);
	buf_adds(&out->url, REFUNDS_PATH);
	percent_encode(&out->url, instr->channel_refund_id, strlen(instr->channel_refund_id));
	buf_adds(&out->url, ABNORMAL_PATH);
	buf_add(&out->body, frozen->data + body, frozen->len - body);
	return wechat_finish_request(config, &wechat_refunds.limits,
								 serial[0] != '\0' ? serial : config->use_key,
								 strlen(base), moment, out, err);
}
