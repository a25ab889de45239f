/*-------------------------------------------------------------------------
 *
 * alipay_callback.c
 *	  Notifications: a stranger's bytes, until their signature says otherwise.
 *
 * None of them proves anything about a refund; what a message says of a
 * transfer is another matter (alipay_transfer_callback.c).  A trade's
 * notification tells what was refunded of the trade so far, and one of a
 * partial refund looks like a payment's.  So what has the signs of a refund
 * makes us ask, and what has not is not ours: whoever handles payments must get
 * it, and answer it.
 *
 * Their time is not checked.  It says when the message was first made;
 * deliveries of it follow for more than a day, and a replay is harmless: it
 * makes us ask once, because the digest knows it again.
 *
 * The signed string is a joint of values, so '&' in one of them could move the
 * border between two parameters.  No parameter that counts here may have one.
 *
 * src/channel/alipay_callback.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel/alipay.h"

#define TRADE_NOTIFICATION	"trade_status_sync"
#define DEPOSIT_BACK		"alipay.trade.refund.depositback.completed"
#define GATEWAY_CHECK		"alipay.service.check"

static bool read_merchant(const AlipayConfig *config, const AlipayForm *form,
						  ChannelEvidence *out);
static bool is_refund(const char *fee, const char *refunded_at, const char *number, bool *good);
static CallbackResult read_trade(const AlipayForm *form, const ChannelFindings *trace,
								 ChannelEvidence *out);
static CallbackResult read_message(const AlipayConfig *config, const AlipayForm *form,
								   const ChannelFindings *trace, ChannelEvidence *out);
static CallbackResult read_form(const AlipayConfig *config, const AlipayForm *form,
								const ChannelFindings *trace, ChannelEvidence *out);

const char *
alipay_plain(const AlipayForm *form, const char *name, bool *good)
{
	const char *value = alipay_form_get(form, name);
	size_t		i;

	if (value == NULL || value[0] == '\0')
		return NULL;
	for (i = 0; value[i] != '\0'; i++)
		if (value[i] < ' ' || value[i] > '~' || value[i] == '&' || i >= 128)
		{
			*good = false;
			return NULL;
		}
	return value;
}

bool
alipay_copy_number(const char *text, char *dst, size_t dstsize)
{
	if (text == NULL)
		return str_copy(dst, dstsize, "");
	return alipay_is_number(text) && str_copy(dst, dstsize, text);
}

/*
 * Whose it is.  Another app's is that app's; the right app's for another
 * sub-merchant or seller is shown as "app/other", so that nobody takes it for
 * this channel's.
 */
static bool
read_merchant(const AlipayConfig *config, const AlipayForm *form, ChannelEvidence *out)
{
	bool		good = true;
	const char *app = alipay_plain(form, "app_id", &good);
	const char *auth = alipay_plain(form, "auth_app_id", &good);
	const char *seller = alipay_plain(form, "seller_id", &good);
	const char *wanted = config->auth_app_id[0] != '\0' ? config->auth_app_id : config->app_id;
	const char *other = NULL;
	int			i;
	int			n;

	if (app == NULL)
		app = alipay_plain(form, "msg_app_id", &good);
	if (!good || app == NULL || strlen(app) > 20)
		return false;
	if (auth != NULL && strcmp(auth, wanted) != 0)
		other = auth;
	for (i = 0; seller != NULL && i < config->seller_count; i++)
		if (strcmp(config->seller[i], seller) == 0)
			break;
	if (other == NULL && seller != NULL && config->seller_count > 0 && i == config->seller_count)
		other = seller;
	n = snprintf(out->merchant, sizeof(out->merchant), "%s%s%s", app, other ? "/" : "",
				 other ? other : "");
	return n > 0 && (size_t) n < sizeof(out->merchant);
}

/* A payment's notification may have refund_fee 0.00. */
static bool
is_refund(const char *fee, const char *refunded_at, const char *number, bool *good)
{
	int64_t		fen = 0;

	if (fee != NULL && !alipay_parse_amount(fee, &fen))
		*good = false;
	return fen > 0 || refunded_at != NULL || number != NULL;
}

bool
alipay_callback_digest(ChannelEvidence *out, const char *what, const char *amount,
					   const char *when)
{
	Buf			text = BUF_INIT;
	bool		good;

	buf_addf(&text, "callback\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n", what, out->merchant,
			 out->request_id, out->wire_no, out->payment_no, out->channel_payment_id,
			 amount ? amount : "", when ? when : "", out->code);
	good = !text.failed && sha256(text.data, text.len, out->digest);
	buf_free(&text);
	return good;
}

static CallbackResult
read_trade(const AlipayForm *form, const ChannelFindings *trace, ChannelEvidence *out)
{
	bool		good = true;
	const char *fee = alipay_plain(form, "refund_fee", &good);
	const char *refunded_at = alipay_plain(form, "gmt_refund", &good);
	const char *number = alipay_plain(form, "out_biz_no", &good);
	const char *trade = alipay_plain(form, "trade_no", &good);
	const char *order = alipay_plain(form, "out_trade_no", &good);
	const char *status = alipay_plain(form, "trade_status", &good);
	const char *total = alipay_plain(form, "total_amount", &good);
	const char *id = alipay_plain(form, "notify_id", &good);
	int64_t		all;
	int64_t		refunded;
	bool		refund = is_refund(fee, refunded_at, number, &good);

	if (!good)
	{
		finding(trace, FINDING_ERROR, "trade", "one of its numbers, amounts or times is malformed");
		return CALLBACK_BAD_BODY;
	}
	if (!refund)
	{
		finding(trace, FINDING_OK, "trade", "%.32s without refund_fee, gmt_refund or out_biz_no: it is "
				"about the payment, not about a refund", status ? status : "");
		return CALLBACK_NOT_OURS;
	}

	/* without a number of its own a refund has the trade's */
	if (number != NULL && trade != NULL && strcmp(number, trade) == 0)
		number = NULL;
	if ((trade == NULL && order == NULL) || status == NULL ||
		!alipay_copy_number(number, out->wire_no, sizeof(out->wire_no)) ||
		!alipay_copy_number(order, out->payment_no, sizeof(out->payment_no)) ||
		!alipay_copy_number(trade, out->channel_payment_id, sizeof(out->channel_payment_id)) ||
		(refunded_at != NULL && !alipay_parse_time(refunded_at, &out->occurred_at)) ||
		(total != NULL && !alipay_parse_amount(total, &all)) ||
		(total != NULL && fee != NULL && alipay_parse_amount(fee, &refunded) && refunded > all))
	{
		finding(trace, FINDING_ERROR, "trade", "it names no trade or no state, or its numbers, times or "
				"amounts cannot be");
		return CALLBACK_BAD_BODY;
	}
	text_clip(out->code, sizeof(out->code), status);
	text_clip(out->request_id, sizeof(out->request_id), id ? id : "");
	if (fee != NULL)
		snprintf(out->message, sizeof(out->message), "refunded of the trade so far: %.20s yuan", fee);
	out->verdict = VERDICT_ASK;
	finding(trace, FINDING_OK, "trade", "%.32s; a refund%s%.64s of the trade %.64s: a hint, so it is "
			"asked about", status, out->wire_no[0] != '\0' ? " numbered " : "", out->wire_no,
			trade ? trade : order);
	return alipay_callback_digest(out, TRADE_NOTIFICATION, fee, refunded_at) ? CALLBACK_EVIDENCE
		: CALLBACK_BAD_BODY;
}

/* A message to the app's gateway: its contents are JSON in biz_content. */
static CallbackResult
read_message(const AlipayConfig *config, const AlipayForm *form, const ChannelFindings *trace,
			 ChannelEvidence *out)
{
	bool		good = true;
	const char *method = alipay_plain(form, "msg_method", &good);
	const char *id = alipay_plain(form, "notify_id", &good);
	const char *content = alipay_form_get(form, "biz_content");
	const char *encrypted = alipay_plain(form, "encrypt_type", &good);
	const char *status;
	const char *at;
	json_t	   *body;

	if (!good)
	{
		finding(trace, FINDING_ERROR, "message", "its msg_method, notify_id or encrypt_type is malformed");
		return CALLBACK_BAD_BODY;
	}
	if (strcmp(method, DEPOSIT_BACK) != 0 && strcmp(method, ALIPAY_METHOD_TRANSFER_CHANGED) != 0)
	{
		finding(trace, FINDING_OK, "message", "%.64s is neither about a refund nor about a transfer",
				method);
		return CALLBACK_NOT_OURS;
	}
	if (encrypted != NULL)
	{
		finding(trace, FINDING_ERROR, "message", "it is encrypted (%.16s): switch the encryption of "
				"contents off in the open platform", encrypted);
		return CALLBACK_BAD_CIPHER;
	}
	if (strcmp(method, ALIPAY_METHOD_TRANSFER_CHANGED) == 0)
		return alipay_read_transfer_changed(config, form, id, trace, out);
	body = content ? json_hostile_object(content, strlen(content)) : NULL;
	status = json_text(body, "dback_status");
	at = json_text(body, "bank_ack_time");
	good = status != NULL && (strcmp(status, "S") == 0 || strcmp(status, "F") == 0) &&
		json_text(body, "out_request_no") != NULL &&
		alipay_copy_number(json_text(body, "out_request_no"), out->wire_no, sizeof(out->wire_no)) &&
		alipay_copy_number(json_text(body, "out_trade_no"), out->payment_no, sizeof(out->payment_no)) &&
		alipay_copy_number(json_text(body, "trade_no"), out->channel_payment_id,
					sizeof(out->channel_payment_id));
	if (good)
	{
		snprintf(out->code, sizeof(out->code), "dback_status=%s", status);
		if (at != NULL)
			alipay_parse_time(at, &out->occurred_at);
		text_clip(out->request_id, sizeof(out->request_id), id ? id : "");
		str_copy(out->detail, sizeof(out->detail), status[0] == 'F' ?
				 "the bank refused; paid to the payer's Alipay balance" :
				 "the payer's bank card has received it");
		out->verdict = VERDICT_ASK;
		finding(trace, FINDING_OK, "message", "refund %s: %s: a hint, so it is asked about",
				out->wire_no, out->detail);
		good = alipay_callback_digest(out, method, NULL, NULL);
	}
	else
		finding(trace, FINDING_ERROR, "message", "its biz_content is no JSON object, or lacks "
				"out_request_no or dback_status");
	json_decref(body);
	return good ? CALLBACK_EVIDENCE : CALLBACK_BAD_BODY;
}

/* What it is about, once it is known to be Alipay's. */
static CallbackResult
read_form(const AlipayConfig *config, const AlipayForm *form, const ChannelFindings *trace,
		  ChannelEvidence *out)
{
	bool		good = true;
	const char *service = alipay_plain(form, "service", &good);
	const char *method = alipay_plain(form, "msg_method", &good);
	const char *type = alipay_plain(form, "notify_type", &good);
	CallbackResult result;

	if (service != NULL && strcmp(service, GATEWAY_CHECK) == 0)
	{
		finding(trace, FINDING_OK, "message", "Alipay tests the app's gateway");
		return CALLBACK_TEST;
	}
	if (!good)
	{
		finding(trace, FINDING_ERROR, "message", "its notify_type or msg_method is malformed");
		return CALLBACK_BAD_BODY;
	}
	if (method == NULL && (type == NULL || strcmp(type, TRADE_NOTIFICATION) != 0))
	{
		finding(trace, FINDING_OK, "message", "notify_type \"%.64s\" is not about a refund",
				type ? type : "");
		return CALLBACK_NOT_OURS;
	}
	if (!read_merchant(config, form, out))	/* first: the digest covers it */
	{
		finding(trace, FINDING_ERROR, "merchant", "its app_id, auth_app_id or seller_id is missing or "
				"malformed");
		return CALLBACK_BAD_BODY;
	}
	result = method != NULL ? read_message(config, form, trace, out) : read_trade(form, trace, out);
	if (result != CALLBACK_EVIDENCE)
		return result;
	finding(trace, strcmp(out->merchant, config->app_id) == 0 ? FINDING_OK : FINDING_WARNING,
			"merchant", strcmp(out->merchant, config->app_id) == 0 ?
			"it is this channel's app, seller and sub-merchant" :
			"it is another app's, seller's or sub-merchant's: it will not be taken for this one's");
	return CALLBACK_EVIDENCE;
}

CallbackResult
alipay_read_callback(void *arg, const HttpHeaders *headers, const void *body, size_t len,
					 int64_t now, const ChannelFindings *trace, ChannelEvidence *out)
{
	const AlipayConfig *config = arg;
	AlipayForm *form = malloc(sizeof(AlipayForm));
	CallbackResult result = CALLBACK_BAD_BODY;
	const char *why;

	(void) headers;				/* nothing in them is signed */
	memset(out, 0, sizeof(*out));
	if (form == NULL)
		return CALLBACK_BAD_BODY;
	if (!alipay_form_parse(body, len, form, &why))
		finding(trace, FINDING_ERROR, "body", "%s", why);
	else
		result = alipay_form_verify(config, form, now, trace);
	if (result == CALLBACK_EVIDENCE)
	{
		out->authentic = true;
		result = read_form(config, form, trace, out);
	}
	alipay_form_free(form);
	free(form);

	/* what is no evidence must not be mistaken for one */
	if (result != CALLBACK_EVIDENCE)
		memset(out, 0, sizeof(*out));
	return result;
}
