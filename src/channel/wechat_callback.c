/*-------------------------------------------------------------------------
 *
 * wechat_callback.c
 *	  Callbacks: a stranger's bytes, until their signature says otherwise.
 *
 * The order is: signature over the raw bytes, envelope, decryption, and then
 * the refund, or the transfer (wechat_transfer_answer.c).
 * Nothing is parsed before it was verified.  After that the parser is still
 * strict where money depends on it: a signature says who, not that it is
 * well-formed.
 *
 * WeChat sends the same message up to fifteen times, each time with a new
 * time, nonce, signature and sometimes envelope.  The digest covers what the
 * message means, so that all of them are one piece of evidence.
 *
 * src/channel/wechat_callback.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "channel/wechat.h"

#define REFUND_EVENTS	"REFUND."
#define TRANSFER_EVENT	"MCHTRANSFER.BILL.FINISHED"
#define ECHO_EVENTS		"SECURITY_ECHO."
#define NONCE_MAX		128

static bool looks_like_xml(const char *body, size_t len);
static CallbackResult read_envelope(const WechatConfig *config, const json_t *envelope,
									const ChannelFindings *trace, ChannelEvidence *out);
static CallbackResult decrypt_resource(const WechatConfig *config, const json_t *resource,
									   Buf *plain);
static CallbackResult read_plain(const WechatConfig *config, const Buf *plain,
								 const char *event_state, ChannelEvidence *out);
static bool read_merchant(const WechatConfig *config, const json_t *refund,
						  ChannelEvidence *out);
static bool callback_digest(ChannelEvidence *out, int64_t total);

/* The protocol before v3 is XML, and carries none of v3's headers. */
static bool
looks_like_xml(const char *body, size_t len)
{
	size_t		i = 0;

	while (i < len && strchr(" \t\r\n\357\273\277", body[i]) != NULL && body[i] != '\0')
		i++;
	return i < len && body[i] == '<';
}

CallbackResult
wechat_read_callback(void *arg, const HttpHeaders *headers, const void *body, size_t len,
					 int64_t now, const ChannelFindings *trace, ChannelEvidence *out)
{
	const WechatConfig *config = arg;
	CallbackResult result;
	const char *request_id;
	json_t	   *envelope;

	memset(out, 0, sizeof(*out));
	result = wechat_verify(config, headers, body, len, now, trace);
	if (result == CALLBACK_BAD_HEADERS && looks_like_xml(body, len))
		return CALLBACK_OLD_PROTOCOL;
	if (result != CALLBACK_EVIDENCE)
		return result;
	envelope = json_hostile_object(body, len);
	if (envelope == NULL)
		return looks_like_xml(body, len) ? CALLBACK_OLD_PROTOCOL : CALLBACK_BAD_BODY;

	out->authentic = true;
	request_id = http_header_get(headers, "Request-ID");
	if (request_id == NULL)
		request_id = json_text(envelope, "id");
	text_clip(out->request_id, sizeof(out->request_id), request_id ? request_id : "");
	result = read_envelope(config, envelope, trace, out);
	json_decref(envelope);

	/* what is no evidence must not be mistaken for one */
	if (result != CALLBACK_EVIDENCE)
		memset(out, 0, sizeof(*out));
	return result;
}

/*
 * What the message is about decides before it is decrypted: others' messages
 * may be encrypted with what we do not have.
 */
static CallbackResult
read_envelope(const WechatConfig *config, const json_t *envelope,
			  const ChannelFindings *trace, ChannelEvidence *out)
{
	const char *event = json_text(envelope, "event_type");
	const char *created = json_text(envelope, "create_time");
	const json_t *resource = json_object_get(envelope, "resource");
	const char *original = json_text(resource, "original_type");
	bool		transfer;
	Buf			plain = BUF_INIT;
	CallbackResult result;

	if (event == NULL || event[0] == '\0')
	{
		finding(trace, FINDING_ERROR, "event", "the message has no event_type");
		return CALLBACK_BAD_BODY;
	}
	finding(trace, FINDING_OK, "event", "%.64s, about \"%.32s\"", event, original ? original : "");
	if (strncmp(event, ECHO_EVENTS, strlen(ECHO_EVENTS)) == 0)
		return CALLBACK_TEST;
	transfer = strcmp(event, TRANSFER_EVENT) == 0;
	if (!transfer && strncmp(event, REFUND_EVENTS, strlen(REFUND_EVENTS)) != 0)
		return CALLBACK_NOT_OURS;
	if (!json_is_object(resource) ||
		(original != NULL && strcmp(original, transfer ? "mch_payment" : "refund") != 0))
		return CALLBACK_BAD_BODY;

	result = decrypt_resource(config, resource, &plain);
	if (result == CALLBACK_EVIDENCE)
		finding(trace, FINDING_OK, "resource", "decrypted, %lu bytes", (unsigned long) plain.len);
	else
		finding(trace, FINDING_ERROR, "resource", result == CALLBACK_BAD_CIPHER ?
				"it does not decrypt: it was sealed with another APIv3 key than \"apiv3_key\" names" :
				"its algorithm, nonce or ciphertext is missing or malformed");
	if (result == CALLBACK_EVIDENCE)
	{
		result = transfer ? wechat_read_transfer_callback(&plain, out) :
			read_plain(config, &plain, event + strlen(REFUND_EVENTS), out);
		if (result != CALLBACK_EVIDENCE)
			finding(trace, FINDING_ERROR, transfer ? "transfer" : "refund", "%s", out->message[0] != '\0' ? out->message :
					"it is incomplete, or its state is not the event's");
	}
	if (result == CALLBACK_EVIDENCE && out->occurred_at == 0 && created != NULL &&
		!parse_rfc3339(created, &out->occurred_at))
		out->occurred_at = 0;
	buf_wipe(&plain);
	return result;
}

/*
 * The APIv3 key takes effect the moment it is changed in the console, and
 * what was encrypted before is still being delivered: the tag says which fits.
 */
static CallbackResult
decrypt_resource(const WechatConfig *config, const json_t *resource, Buf *plain)
{
	const char *algorithm = json_text(resource, "algorithm");
	const char *ciphertext = json_text(resource, "ciphertext");
	const char *nonce = json_text(resource, "nonce");
	const json_t *aad_member = json_object_get(resource, "associated_data");
	const char *aad = json_string_value(aad_member);
	Buf			sealed = BUF_INIT;
	bool		good = false;
	int			i;

	if (algorithm == NULL || ciphertext == NULL || nonce == NULL ||
		strcmp(algorithm, "AEAD_AES_256_GCM") != 0 ||
		nonce[0] == '\0' || strlen(nonce) > NONCE_MAX ||
		(aad_member != NULL && aad == NULL && !json_is_null(aad_member)))
		return CALLBACK_BAD_BODY;
	if (base64_decode(&sealed, ciphertext, strlen(ciphertext)))
		for (i = 0; i < config->apiv3_key_count && !good; i++)
			good = aes256gcm_decrypt(config->apiv3_keys[i], nonce, strlen(nonce),
									 aad, aad ? strlen(aad) : 0,
									 sealed.data, sealed.len, plain);
	buf_free(&sealed);
	return good ? CALLBACK_EVIDENCE : CALLBACK_BAD_CIPHER;
}

/*
 * The envelope's event and the refund's state are two statements of one fact.
 * Where they disagree, neither is believed.
 */
static CallbackResult
read_plain(const WechatConfig *config, const Buf *plain, const char *event_state,
		   ChannelEvidence *out)
{
	json_t	   *refund = json_hostile_object(plain->data, plain->len);
	int64_t		total = 0;
	bool		good;

	good = refund != NULL && wechat_read_refund(refund, "refund_status", out) &&
		read_merchant(config, refund, out) && strcmp(out->code, event_state) == 0;
	if (good)
		json_amount(json_object_get(refund, "amount"), "total", &total);
	json_decref(refund);
	if (!good)
		return CALLBACK_BAD_BODY;

	/* a state that WeChat has not documented yet: worth a question, no more */
	if (out->verdict == VERDICT_UNKNOWN)
		out->verdict = VERDICT_ASK;
	return callback_digest(out, total) ? CALLBACK_EVIDENCE : CALLBACK_BAD_BODY;
}

/*
 * Whose refund it is: mchid, or in a partner's messages sp_mchid, the one
 * that calls.  A sub-merchant other than the configured one is shown with it,
 * "sp/sub", so that nobody takes the message for this channel's.
 */
static bool
read_merchant(const WechatConfig *config, const json_t *refund, ChannelEvidence *out)
{
	const char *mchid = json_text(refund, "mchid");
	const char *sp = json_text(refund, "sp_mchid");
	const char *sub = json_text(refund, "sub_mchid");
	int			n;

	if (sp == NULL)
		sp = mchid;
	if (sub == NULL)
		sub = "";
	if (sp == NULL || sp[0] == '\0' || strlen(sp) > 32 || strlen(sub) > 31)
		return false;
	if (strcmp(sub, config->sub_mchid) == 0)
		n = snprintf(out->merchant, sizeof(out->merchant), "%s", sp);
	else
		n = snprintf(out->merchant, sizeof(out->merchant), "%s/%s", sp, sub);
	return n > 0 && (size_t) n < sizeof(out->merchant);
}

/* Called before occurred_at falls back to the envelope's time. */
static bool
callback_digest(ChannelEvidence *out, int64_t total)
{
	Buf			text = BUF_INIT;
	bool		good;

	buf_addf(&text, "callback\n%s\n%s\n%s\n%s\n%lld\n%lld\n%lld\n%s\n%s\n%lld\n",
			 out->merchant, out->wire_no, out->code, verdict_name(out->verdict),
			 (long long) out->amount, (long long) total,
			 (long long) (out->has_payer_amount ? out->payer_amount : -1),
			 out->channel_refund_id, out->channel_payment_id, (long long) out->occurred_at);
	good = !text.failed && sha256(text.data, text.len, out->digest);
	buf_free(&text);
	return good;
}
