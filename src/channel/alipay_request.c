/*-------------------------------------------------------------------------
 *
 * alipay_request.c
 *	  The frozen biz_content of a refund, and of the query about it.
 *
 * biz_content is made once, at submit, and stored.  Whatever is sent for a
 * number later is these bytes: the same out_request_no with another amount is
 * a contradiction to Alipay, and another out_request_no is a second refund.
 *
 * src/channel/alipay_request.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel/alipay.h"

#define GOODS_MAX		200
#define ROYALTIES_MAX	32

static bool text_member(const json_t *object, const char *name, size_t max);
static bool amount_member(const json_t *object, const char *name, int64_t most, int64_t *sum);
static bool goods_acceptable(const json_t *goods, int64_t amount, ChannelError *err);
static bool royalties_acceptable(const json_t *royalties, int64_t amount, ChannelError *err);
static bool add_payment_data(json_t *body, const ChannelInstruction *instr, ChannelError *err);
static bool set_trade(json_t *body, const ChannelInstruction *instr);
static bool query_content(const ChannelInstruction *instr, Buf *out);
static bool echo_content(const char *nonce, Buf *out);

/* ---- the payment's channel_data ---- */

/* Absent, or a text of 1 to max bytes. */
static bool
text_member(const json_t *object, const char *name, size_t max)
{
	const json_t *v = json_object_get(object, name);

	return v == NULL || (json_is_string(v) && json_string_length(v) >= 1 &&
						 json_string_length(v) <= max);
}

/* Absent, or an amount in yuan as a text; it is added to *sum. */
static bool
amount_member(const json_t *object, const char *name, int64_t most, int64_t *sum)
{
	const json_t *v = json_object_get(object, name);
	int64_t		fen;

	if (v == NULL)
		return true;
	if (!json_is_string(v) || !alipay_parse_amount(json_string_value(v), &fen) || fen > most)
		return false;
	*sum += fen;
	return true;
}

static bool
goods_acceptable(const json_t *goods, int64_t amount, ChannelError *err)
{
	json_t	   *item;
	size_t		i;
	int64_t		sum = 0;

	if (!json_is_array(goods) || json_array_size(goods) < 1 || json_array_size(goods) > GOODS_MAX)
		return channel_error(err, NULL, "refund_goods_detail must be a list of 1 to %d goods",
							 GOODS_MAX);
	json_array_foreach(goods, i, item)
	{
		size_t		known = (json_object_get(item, "goods_id") != NULL) +
			(json_object_get(item, "refund_amount") != NULL) +
			(json_object_get(item, "out_item_id") != NULL) +
			(json_object_get(item, "out_sku_id") != NULL);

		if (!json_is_object(item) || json_object_size(item) != known || known == 0 ||
			!text_member(item, "goods_id", 64) || !text_member(item, "out_item_id", 64) ||
			!text_member(item, "out_sku_id", 64))
			return channel_error(err, NULL,
								 "refund_goods_detail[%lu] may have goods_id, out_item_id, out_sku_id "
								 "(texts of 1 to 64 bytes) and refund_amount, and nothing else",
								 (unsigned long) i);
		if (!amount_member(item, "refund_amount", amount, &sum))
			return channel_error(err, NULL,
								 "refund_goods_detail[%lu].refund_amount must be yuan as a text "
								 "(\"12.30\"), within the refund", (unsigned long) i);
	}
	if (sum > amount)
		return channel_error(err, NULL, "the amounts in refund_goods_detail add up to more than the "
							 "refund");
	return true;
}

static bool
royalties_acceptable(const json_t *royalties, int64_t amount, ChannelError *err)
{
	static const struct
	{
		const char *name;
		size_t		max;
	}			texts[] = {
		{"royalty_type", 32}, {"trans_out", 64}, {"trans_out_type", 64}, {"trans_in", 64},
		{"trans_in_type", 64}, {"desc", 256}, {"royalty_scene", 256}
	};
	json_t	   *item;
	size_t		i,
				k;
	int64_t		sum = 0;

	if (!json_is_array(royalties) || json_array_size(royalties) < 1 ||
		json_array_size(royalties) > ROYALTIES_MAX)
		return channel_error(err, NULL, "refund_royalty_parameters must be a list of 1 to %d splits",
							 ROYALTIES_MAX);
	json_array_foreach(royalties, i, item)
	{
		size_t		known = json_object_get(item, "amount") != NULL;
		bool		good = json_is_object(item) && known == 1;

		for (k = 0; k < lengthof_array(texts); k++)
		{
			known += json_object_get(item, texts[k].name) != NULL;
			good = good && text_member(item, texts[k].name, texts[k].max);
		}
		if (!good || json_object_size(item) != known)
			return channel_error(err, NULL,
								 "refund_royalty_parameters[%lu] must have an amount, and may have "
								 "royalty_type, trans_out, trans_out_type, trans_in, trans_in_type, "
								 "desc and royalty_scene as texts", (unsigned long) i);
		if (!amount_member(item, "amount", amount, &sum))
			return channel_error(err, NULL,
								 "refund_royalty_parameters[%lu].amount must be yuan as a text "
								 "(\"12.30\"), within the refund", (unsigned long) i);
	}
	if (sum > amount)
		return channel_error(err, NULL, "the amounts in refund_royalty_parameters add up to more than "
							 "the refund");
	return true;
}

/*
 * Of the payment's channel_data, the members that are about refunds; the rest
 * is the application's own.
 */
static bool
add_payment_data(json_t *body, const ChannelInstruction *instr, ChannelError *err)
{
	static const struct
	{
		const char *name;
		size_t		max;
	}			texts[] = {
		{"store_id", 32}, {"terminal_id", 32}, {"operator_id", 30}, {"related_settle_confirm_no", 64}
	};
	json_t	   *data;
	json_t	   *v;
	bool		good = true;
	size_t		i;

	if (instr->payment_data == NULL)
		return true;
	data = json_hostile_object(instr->payment_data, strlen(instr->payment_data));
	if (data == NULL)
		return channel_error(err, NULL, "the payment's channel_data is not a JSON object");
	for (i = 0; good && i < lengthof_array(texts); i++)
	{
		v = json_object_get(data, texts[i].name);
		if (v == NULL)
			continue;
		good = text_member(data, texts[i].name, texts[i].max);
		if (!good)
			channel_error(err, NULL, "%s must be a text of 1 to %lu bytes", texts[i].name,
						  (unsigned long) texts[i].max);
		else
			good = json_object_set(body, texts[i].name, v) == 0;
	}
	v = json_object_get(data, "refund_goods_detail");
	if (good && v != NULL)
		good = goods_acceptable(v, instr->amount, err) &&
			json_object_set(body, "refund_goods_detail", v) == 0;
	v = json_object_get(data, "refund_royalty_parameters");
	if (good && v != NULL)
		good = royalties_acceptable(v, instr->amount, err) &&
			json_object_set(body, "refund_royalty_parameters", v) == 0;
	json_decref(data);
	return good;
}

bool
alipay_payment_data_acceptable(const ChannelInstruction *instr, ChannelError *err)
{
	json_t	   *body = json_object();
	Buf			text = BUF_INIT;
	bool		good = body != NULL && add_payment_data(body, instr, err);

	if (good)
	{
		good = alipay_dump(body, &text) && !utf8_has_four_bytes(text.data, text.len);
		if (!good)
			channel_error(err, "Leave out characters of four bytes in UTF-8.",
						  "the payment's channel_data has an emoji or another character that is "
						  "not sent to Alipay");
	}
	buf_free(&text);
	json_decref(body);
	return good;
}

/* ---- the bytes of biz_content ---- */

/* Exactly one of the two: Alipay's own number would win anyway. */
static bool
set_trade(json_t *body, const ChannelInstruction *instr)
{
	if (instr->channel_payment_id != NULL)
		return json_object_set_new(body, "trade_no", json_string(instr->channel_payment_id)) == 0;
	return instr->payment_no != NULL &&
		json_object_set_new(body, "out_trade_no", json_string(instr->payment_no)) == 0;
}

bool
alipay_freeze(void *config, const ChannelInstruction *instr, Buf *request, ChannelError *err)
{
	json_t	   *body = json_object();
	char		amount[32];
	bool		good;

	(void) config;
	memset(err, 0, sizeof(*err));
	alipay_amount_text(instr->amount, amount);
	good = body != NULL && instr->wire_no != NULL && set_trade(body, instr) &&
		json_object_set_new(body, "refund_amount", json_string(amount)) == 0 &&
		json_object_set_new(body, "out_request_no", json_string(instr->wire_no)) == 0;
	if (good && instr->reason != NULL && instr->reason[0] != '\0')
		good = json_object_set_new(body, "refund_reason", json_string(instr->reason)) == 0;
	good = good && add_payment_data(body, instr, err) &&
		json_object_set_new(body, "query_options",
							json_pack("[s,s]", "refund_detail_item_list", "deposit_back_info")) == 0 &&
		alipay_dump(body, request);
	if (good && utf8_has_four_bytes(request->data, request->len))
		good = channel_error(err, "Leave out characters of four bytes in UTF-8.",
							 "the refund's texts have an emoji or another character that is not "
							 "sent to Alipay");
	if (!good && err->message[0] == '\0')
		channel_error(err, "All texts must be valid UTF-8.",
					  "the refund's request could not be put together");
	json_decref(body);
	return good;
}

static bool
query_content(const ChannelInstruction *instr, Buf *out)
{
	json_t	   *body = json_object();
	bool		good = body != NULL && set_trade(body, instr) &&
		json_object_set_new(body, "out_request_no", json_string(instr->wire_no)) == 0 &&
		json_object_set_new(body, "query_options",
							json_pack("[s,s,s]", "refund_detail_item_list", "gmt_refund_pay",
									  "deposit_back_info")) == 0 &&
		alipay_dump(body, out);

	json_decref(body);
	return good;
}

/* Nobody has an order of this number: the nonce is random. */
static bool
echo_content(const char *nonce, Buf *out)
{
	json_t	   *body = json_pack("{s:s+,s:s+}", "out_trade_no", "refundx_echo_", nonce,
								 "out_request_no", "refundx_echo_", nonce);
	bool		good = body != NULL && alipay_dump(body, out);

	json_decref(body);
	return good;
}

/* ---- requests ---- */

bool
alipay_build(void *arg, ChannelCall call, const ChannelInstruction *instr, const Buf *frozen,
			 const ChannelMoment *moment, HttpRequest *out, ChannelError *err)
{
	Buf			content = BUF_INIT;
	bool		good;

	memset(err, 0, sizeof(*err));
	http_request_free(out);
	http_request_init(out);
	if (moment->nonce == NULL || moment->nonce[0] == '\0')
		return channel_error(err, NULL, "a request to Alipay needs a nonce");
	if (call == CALL_SUBMIT && (frozen == NULL || frozen->failed || frozen->len == 0))
		return channel_error(err, NULL, "a refund without its frozen request cannot be sent");
	if (call == CALL_QUERY && (instr == NULL || instr->wire_no == NULL || instr->wire_no[0] == '\0'))
		return channel_error(err, NULL, "a refund without a number cannot be asked about");

	if (call == CALL_SUBMIT)
		buf_add(&content, frozen->data, frozen->len);
	good = (call == CALL_SUBMIT ? !content.failed
			: call == CALL_QUERY ? query_content(instr, &content)
			: echo_content(moment->nonce, &content)) &&
		alipay_gateway_request(arg, call == CALL_SUBMIT ? ALIPAY_METHOD_REFUND : ALIPAY_METHOD_QUERY,
							   &content, moment, &alipay_refunds.limits, out);
	buf_free(&content);
	return good || channel_error(err, NULL, "the request could not be signed");
}
