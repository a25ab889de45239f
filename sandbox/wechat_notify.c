/*-------------------------------------------------------------------------
 *
 * wechat_notify.c
 *	  What WeChat Pay tells by itself: of refunds (3.1, 3.2), of transfers
 *	  (4.5), and the echo of a self-test (1.10).
 *
 * sandbox/wechat_notify.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "transfer.h"
#include "wechat.h"

json_t *
wechat_encrypt_resource(const SbMerchant *m, const char *aad, int nonce_len,
						const char *text, size_t len)
{
	char		nonce[33];
	Buf			cipher = BUF_INIT,
				b64 = BUF_INIT;
	json_t	   *out = NULL;

	if (random_nonce(nonce))
	{
		nonce[nonce_len] = '\0';
		if (aes256gcm_encrypt(wechat_keys(m)->apiv3, nonce, (size_t) nonce_len, aad, strlen(aad),
							  text, len, &cipher))
		{
			base64_encode(&b64, cipher.data, cipher.len);
			out = json_pack("{ss ss ss ss}", "algorithm", "AEAD_AES_256_GCM", "nonce", nonce,
							"associated_data", aad, "ciphertext", buf_str(&b64));
		}
	}
	buf_free(&cipher);
	buf_free(&b64);
	return out;
}

static json_t *
refund_told(const SbCallback *cb)
{
	const SbRefund *r = cb->refund;
	char		settled[40];
	json_t	   *o;

	o = json_pack("{ss ss ss ss ss ss s{sI sI sI sI}}",
				  "out_trade_no", r->order->out_trade_no,
				  "transaction_id", r->order->transaction_id,
				  "out_refund_no", r->no, "refund_id", r->refund_id,
				  "refund_status", refund_status_name(cb->says),
				  "user_received_account",
				  cb->says == REFUND_SUCCESS ? wechat_received_account(r) : "支付用户零钱",
				  "amount", "total", (json_int_t) r->order->total,
				  "refund", (json_int_t) r->amount,
				  "payer_total", (json_int_t) r->order->payer_total,
				  "payer_refund", (json_int_t) wechat_payer_part(r));
	json_object_set_new(o, r->sub_mchid[0] ? "sp_mchid" : "mchid",
						json_string(cb->merchant->mchid));
	if (r->sub_mchid[0])
		json_object_set_new(o, "sub_mchid", json_string(r->sub_mchid));
	if (cb->says == REFUND_SUCCESS)
	{
		format_time(r->settled, settled);
		json_object_set_new(o, "success_time", json_string(settled));
	}
	return o;
}

static json_t *
echo_told(const SbCallback *cb)
{
	return json_pack("{ss ss}", "mchid", cb->merchant->mchid, "echo_message",
					 json_string_value(json_object_get(cb->data, "message")));
}

/* What is around the secret; the nonce of a transfer's is of another length (3.3). */
typedef struct Wrapping
{
	const char *original_type;
	const char *event_type;
	const char *summary;
	int			nonce_len;
} Wrapping;

static Wrapping
wrapping(const SbCallback *cb)
{
	static const Wrapping refund[] = {
		[REFUND_PROCESSING] = {"refund", "REFUND.PROCESSING", "退款处理中", 12},
		[REFUND_SUCCESS] = {"refund", "REFUND.SUCCESS", "退款成功", 12},
		[REFUND_CLOSED] = {"refund", "REFUND.CLOSED", "退款关闭", 12},
		[REFUND_ABNORMAL] = {"refund", "REFUND.ABNORMAL", "退款异常", 12}
	};

	if (cb->refund != NULL)
		return refund[cb->says];
	if (cb->transfer != NULL)
		return (Wrapping) {"mch_payment", "MCHTRANSFER.BILL.FINISHED", "商家转账单据终态通知", 16};
	return (Wrapping) {"security", "SECURITY_ECHO.SUCCESS", "回显成功", 12};
}

static json_t *
callback_envelope(const SbCallback *cb)
{
	Wrapping	w = wrapping(cb);
	json_t	   *content = cb->refund ? refund_told(cb) :
		cb->transfer ? wechat_transfer_told(cb) : echo_told(cb);
	char	   *text = json_dumps(content, JSON_COMPACT);
	json_t	   *resource = text ? wechat_encrypt_resource(cb->merchant, w.original_type, w.nonce_len,
														  text, strlen(text)) : NULL;
	char		now[40];

	json_decref(content);
	free(text);
	if (resource == NULL)
		return NULL;
	json_object_set_new(resource, "original_type", json_string(w.original_type));
	format_time(wall_ms(), now);
	return json_pack("{ss ss ss ss ss so}", "id", cb->event_id, "create_time", now,
					 "event_type", w.event_type, "resource_type", "encrypt-resource",
					 "summary", w.summary, "resource", resource);
}

bool
wechat_build_callback(const SbCallback *cb, HttpRequest *out)
{
	const WechatKeys *k = wechat_keys(cb->merchant);
	bool		by_cert = sandbox.opt.callback_key == CALLBACK_KEY_CERTIFICATE ||
		(sandbox.opt.callback_key == CALLBACK_KEY_MIXED && (cb->id + cb->tries) % 2 == 0);
	json_t	   *envelope = callback_envelope(cb);
	char	   *text = envelope ? json_dumps(envelope, JSON_COMPACT) : NULL;

	json_decref(envelope);
	if (text == NULL)
		return false;
	str_copy(out->method, sizeof(out->method), "POST");
	buf_adds(&out->url, cb->url);
	buf_adds(&out->body, text);
	free(text);
	http_header_add(&out->headers, "Content-Type", "application/json");
	http_header_add(&out->headers, "Accept", "*/*");
	http_header_add(&out->headers, "User-Agent", "Mozilla/4.0");
	return wechat_sign(by_cert ? k->platform_key : k->pub_key,
					   by_cert ? k->platform_serial : k->pub_key_id,
					   cb->flavour == CALLBACK_SIGNTEST && cb->tries == 0, cb->id,
					   &out->body, &out->headers) == NULL;
}

bool
wechat_acknowledged(long status, const char *body, size_t len)
{
	(void) body;
	(void) len;
	return status == 200 || status == 204;
}

/* A transfer's: 15 s ten times, 5 minutes ten times, 30 minutes 44 times (4.5). */
static int
transfer_retry_after(int tries)
{
	if (tries < 10)
		return 15;
	if (tries < 20)
		return 300;
	return tries < 64 ? 1800 : 0;
}

int
wechat_retry_after(const SbCallback *cb)
{
	static const int schedule[] = {		/* 3.5 */
		15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600
	};

	if (cb->transfer != NULL)
		return transfer_retry_after(cb->tries);
	return cb->tries < (int) (sizeof(schedule) / sizeof(schedule[0])) ? schedule[cb->tries] : 0;
}
