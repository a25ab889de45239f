/*-------------------------------------------------------------------------
 *
 * alipay_transfer_callback.c
 *	  The message alipay.fund.trans.order.changed: what became of a transfer.
 *
 * It comes to the app's gateway address, in the envelope that alipay_form.c has
 * verified by now.  Unlike a trade's notification it is about one transfer, and
 * its trans_amount is that transfer's own: so its status proves, where
 *
 * - the app uses certificates, without which nothing is transferred;
 * - no other parameter holds '&', so that nobody can have moved the border
 *   between two parameters (biz_content may: it is one whole JSON object);
 * - it has our number and an amount, which whoever settles compares.
 *
 * Otherwise it makes us ask.  Messages come late, twice and in any order; the
 * state table knows a stale one.  What it says of who received is not looked at.
 *
 * Its biz_scene is not compared, for what was sent is not at hand here.
 *
 * src/channel/alipay_transfer_callback.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "channel/alipay.h"

static bool borders_are_firm(const AlipayForm *form);
static bool is_ours(const json_t *body);
static bool read_order(const AlipayConfig *config, const AlipayForm *form, const json_t *body,
					   ChannelEvidence *out);

static bool
borders_are_firm(const AlipayForm *form)
{
	int			i;

	for (i = 0; i < form->count; i++)
		if (strcmp(form->param[i].name, "biz_content") != 0 &&
			strchr(form->param[i].value, '&') != NULL)
			return false;
	return true;
}

/* Other products of Alipay's (red packets, batches) have numbers of their own. */
static bool
is_ours(const json_t *body)
{
	const char *product = json_text(body, "product_code");
	const char *origin = json_text(body, "origin_interface");

	return product != NULL &&
		(strcmp(product, ALIPAY_TO_ACCOUNT) == 0 || strcmp(product, ALIPAY_TO_CARD) == 0) &&
		(origin == NULL || origin[0] == '\0' || strcmp(origin, ALIPAY_METHOD_TRANSFER) == 0);
}

/* False if it cannot be read.  The query's rows judge a status. */
static bool
read_order(const AlipayConfig *config, const AlipayForm *form, const json_t *body,
		   ChannelEvidence *out)
{
	const char *status = json_text(body, "status");
	const char *number = json_text(body, "out_biz_no");
	const char *amount = json_text(body, "trans_amount");
	const char *at = NULL;
	const VerdictRule *rule;

	if (status == NULL || !alipay_is_code(status) || number == NULL || number[0] == '\0' ||
		!alipay_copy_number(number, out->wire_no, sizeof(out->wire_no)) ||
		!alipay_copy_number(json_text(body, "order_id"), out->channel_refund_id,
							sizeof(out->channel_refund_id)) ||
		(json_object_get(body, "trans_amount") != NULL &&
		 (amount == NULL || !alipay_parse_amount(amount, &out->amount))))
		return false;
	out->has_amount = amount != NULL;
	str_copy(out->code, sizeof(out->code), status);
	rule = alipay_is_status(status) ? channel_judge(&alipay_transfers, CALL_QUERY, 200, status) : NULL;
	out->verdict = VERDICT_ASK;
	alipay_transfer_note(rule ? rule->comment : "a status that Alipay does not document: ask",
						 json_text(body, "error_code"), out);
	if (rule != NULL && rule->signed_only && out->has_amount && config->certificates &&
		borders_are_firm(form))
	{
		out->verdict = rule->verdict;
		out->proof = true;
	}
	if (rule != NULL && rule->verdict == VERDICT_SUCCEEDED)
		at = json_text(body, "pay_date");
	else if (rule != NULL && rule->verdict == VERDICT_RETURNED)
		at = json_text(body, "refund_date");
	if (at != NULL)
		alipay_parse_time(at, &out->occurred_at);
	return true;
}

/* out->merchant is filled: the digest covers it. */
CallbackResult
alipay_read_transfer_changed(const AlipayConfig *config, const AlipayForm *form, const char *id,
							 const ChannelFindings *trace, ChannelEvidence *out)
{
	const char *content = alipay_form_get(form, "biz_content");
	json_t	   *body = content ? json_hostile_object(content, strlen(content)) : NULL;
	CallbackResult result = CALLBACK_BAD_BODY;
	char		amount[32];

	out->product = PRODUCT_TRANSFER;
	text_clip(out->request_id, sizeof(out->request_id), id ? id : "");
	if (body == NULL)
		finding(trace, FINDING_ERROR, "message", "its biz_content is no JSON object");
	else if (!is_ours(body))
	{
		finding(trace, FINDING_OK, "message", "it is about another product than transfers to accounts "
				"and cards");
		result = CALLBACK_NOT_OURS;
	}
	else if (!read_order(config, form, body, out))
		finding(trace, FINDING_ERROR, "message", "its biz_content lacks out_biz_no or status, or its "
				"numbers or its amount cannot be");
	else
	{
		alipay_amount_text(out->amount, amount);
		if (alipay_callback_digest(out, ALIPAY_METHOD_TRANSFER_CHANGED,
								   out->has_amount ? amount : NULL, NULL))
			result = CALLBACK_EVIDENCE;
		finding(trace, FINDING_OK, "message", "transfer %s: %s: %s", out->wire_no, out->code,
				out->proof ? "proof" : "a hint, so it is asked about");
	}
	json_decref(body);
	return result;
}
