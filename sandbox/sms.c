/*-------------------------------------------------------------------------
 *
 * sms.c
 *	  What becomes of a text message, and the generic HTTP gateway.
 *
 * Numbers never enter the ledger or a log in full.  No provider is
 * idempotent: the same message asked for twice goes out twice, and both are
 * in the ledger.
 *
 * sandbox/sms.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sms.h"

#define TABLE_SIZE	((int) (sizeof(table) / sizeof(table[0])))
#define MAX_PHONES	1000

static const SmsOutcome table[] = {
	{.magic = 9001, .name = "throttled", .fault = SMS_FAULT_ERROR, .first_only = true,
		.status = 400, .code = "Throttling.User", .result = 429, .message = "Request was denied due to user flow control.",
	.text = "throttled on the first try"},
	{.magic = 9002, .name = "number_limit", .fault = SMS_FAULT_ERROR,
		.status = 200, .code = "isv.BUSINESS_LIMIT_CONTROL", .result = 1016, .message = "触发小时级流控Permits:5",
	.text = "too many to this number: isv.BUSINESS_LIMIT_CONTROL"},
	{.magic = 9003, .name = "number_illegal", .fault = SMS_FAULT_ERROR,
		.status = 200, .code = "isv.MOBILE_NUMBER_ILLEGAL", .result = 1014, .message = "号码格式错误",
	.text = "no such number: isv.MOBILE_NUMBER_ILLEGAL"},
	{.magic = 9004, .name = "template_illegal", .fault = SMS_FAULT_ERROR,
		.status = 200, .code = "isv.SMS_TEMPLATE_ILLEGAL", .result = 1002, .message = "该账号下找不到对应模板",
	.text = "no such template: isv.SMS_TEMPLATE_ILLEGAL"},
	{.magic = 9005, .name = "amount_not_enough", .fault = SMS_FAULT_ERROR,
		.status = 200, .code = "isv.AMOUNT_NOT_ENOUGH", .result = 1003, .message = "账户余额不足",
	.text = "the account is empty: isv.AMOUNT_NOT_ENOUGH"},
	{.magic = 9006, .name = "internal_error", .fault = SMS_FAULT_ERROR,
		.status = 500, .code = "InternalError", .result = 500, .message = "The request processing has failed due to some unknown error.",
	.text = "500 InternalError; nothing is sent, but who knows"},
	{.magic = 9007, .name = "sent_no_answer", .fault = SMS_FAULT_HANG, .effect_first = true,
	.text = "sent, and never answered"},
	{.magic = 9008, .name = "sent_then_reset", .fault = SMS_FAULT_RESET, .effect_first = true,
	.text = "sent, then the connection is reset"},
	{.magic = 9009, .name = "reset_before", .fault = SMS_FAULT_RESET, .first_only = true,
	.text = "the first try is reset, and nothing is sent"},
	{.magic = 9010, .name = "unavailable", .fault = SMS_FAULT_ERROR, .first_only = true,
		.status = 503, .code = "ServiceUnavailable", .result = 503, .message = "The request has failed due to a temporary failure of the server.",
	.text = "503 ServiceUnavailable on the first try"},
	{.magic = 9011, .name = "system_error", .fault = SMS_FAULT_ERROR, .effect_first = true,
		.status = 200, .code = "isp.SYSTEM_ERROR", .result = 1500, .message = "系统错误",
	.text = "isp.SYSTEM_ERROR, although it was sent"},
	{.magic = 9012, .name = "garbage", .fault = SMS_FAULT_GARBAGE, .effect_first = true,
	.text = "sent, answered 200 with bytes that are no JSON"},
	{.magic = 9013, .name = "signature_mismatch", .fault = SMS_FAULT_ERROR,
		.status = 400, .code = "SignatureDoesNotMatch", .result = 401, .message = "Specified signature is not matched with our calculation.",
	.text = "400 SignatureDoesNotMatch: the keys are wrong"},
};

/* First three, last four: what anybody may see of a number. */
static void
mask_phone(const char *phone, size_t len, char out[32])
{
	if (len >= 11 && len < 24)
		snprintf(out, 32, "%.*s****%.4s", (int) len - 8, phone, phone + len - 4);
	else if (len >= 7 && len < 24)
		snprintf(out, 32, "%.1s****%.2s", phone, phone + len - 2);
	else
		snprintf(out, 32, "****");
}

static bool
phone_ok(const char *s, size_t len)
{
	size_t		plus = len > 0 && s[0] == '+';

	return len >= plus + 5 && len <= 20 && strspn(s + plus, "0123456789") >= len - plus;
}

static const SmsOutcome *
outcome_of(const char *phone, size_t len)
{
	int			i;

	if (len >= 4)
		for (i = 0; i < TABLE_SIZE; i++)
			if (table[i].magic == atoi(phone + len - 4))
				return &table[i];
	return NULL;
}

bool
sms_provider_is_off(SbRequest *req, const SmsProvider *p)
{
	switch (sandbox.model.sms_mode)
	{
		case SMS_OK:
			return false;
		case SMS_HANG:
			server_hold(req, HOLD_UNTIL_RESET, sandbox.opt.hold_ms);
			return true;
		case SMS_DOWN:
			request_reset(req);
			return true;
		case SMS_500:
			break;
	}
	p->answer_error(req, &table[5]);
	return true;
}

/* One ledger record for each number; the id covers them all. */
static void
record_sms(const SmsProvider *p, const SmsCall *call, const char *biz_id)
{
	const char *s = call->phones;

	for (;;)
	{
		size_t		len = strcspn(s, ",");
		char		masked[32];

		mask_phone(s, len, masked);
		ledger_add(json_pack("{ss ss ss ss ss ss ss sI}", "e", "sms", "provider", p->name,
							 "phone", masked, "out_id", call->out_id, "biz_id", biz_id,
							 "template", call->template_code, "param", call->param,
							 "wall", (json_int_t) wall_ms()), false);
		if (s[len] == '\0')
			return;
		s += len + 1;
	}
}

/* True if this number has failed here before; remembers that it has now. */
static bool
missed_before(const SmsProvider *p, const char *phone, size_t len)
{
	char		key[40];
	unsigned char digest[32];
	Buf			hex = BUF_INIT;
	bool		before;

	if (!sha256(phone, len, digest))
		return true;
	hex_encode(&hex, digest, 12);
	str_copy(key, sizeof(key), buf_str(&hex));
	buf_free(&hex);
	before = model_miss(p->name, key) != NULL;
	if (!before)
		ledger_add(json_pack("{ss ss ss}", "e", "miss", "mchid", p->name, "no", key), false);
	return before;
}

static void
apply_fault(SbRequest *req, const SmsProvider *p, const SmsOutcome *o)
{
	switch (o->fault)
	{
		case SMS_FAULT_HANG:
			server_hold(req, HOLD_UNTIL_RESET, sandbox.opt.hold_ms);
			return;
		case SMS_FAULT_RESET:
			request_reset(req);
			return;
		case SMS_FAULT_GARBAGE:
			buf_adds(&req->answer, "{\"Code\": \"O");
			request_answer(req, 200, "application/json");
			return;
		case SMS_FAULT_ERROR:
		case SMS_FAULT_NONE:
			p->answer_error(req, o);
			return;
	}
}

/* The outcome is the first number's. */
void
sms_submit(SbRequest *req, const SmsProvider *p, const SmsCall *call)
{
	const SmsOutcome *o;
	const char *s = call->phones;
	size_t		len = strcspn(s, ","),
				first = len;
	int			count = 1;
	char		nonce[33];
	char		biz_id[SB_ID_MAX + 1];

	while (phone_ok(s, len) && s[len] == ',' && count < MAX_PHONES)
	{
		s += len + 1;
		len = strcspn(s, ",");
		count++;
	}
	if (!phone_ok(s, len) || s[len] != '\0')
	{
		p->answer_error(req, &table[2]);
		return;
	}
	o = outcome_of(call->phones, first);
	if (o != NULL && !o->effect_first &&
		!(o->first_only && missed_before(p, call->phones, first)))
	{
		apply_fault(req, p, o);
		return;
	}
	random_nonce(nonce);
	snprintf(biz_id, sizeof(biz_id), "%lld^%.8s", (long long) wall_ms(), nonce);
	record_sms(p, call, biz_id);
	if (o != NULL && o->effect_first)
		apply_fault(req, p, o);
	else
		p->answer_ok(req, biz_id);
}

void
sms_print_outcomes(FILE *out)
{
	int			i;

	fprintf(out, "| last four digits | name | what happens |\n|---|---|---|\n");
	fprintf(out, "| others | `ok` | sent |\n");
	for (i = 0; i < TABLE_SIZE; i++)
		fprintf(out, "| %d | `%s` | %s |\n", table[i].magic, table[i].name, table[i].text);
}

/* ---- the generic gateway: any provider with a plain HTTP interface ---- */

static void
generic_ok(SbRequest *req, const char *message_id)
{
	request_answer_json(req, 200, json_pack("{si ss ss}", "result", 0, "id", message_id,
											"message", "accepted"));
}

static void
generic_error(SbRequest *req, const SmsOutcome *o)
{
	request_answer_json(req, o->status >= 500 ? o->status : 200,
						json_pack("{si ss}", "result", o->result, "message", o->message));
}

static const SmsProvider generic_provider = {"generic", generic_ok, generic_error};

/* One form field, or "". */
static void
form_value(const SbRequest *req, const char *name, Buf *out)
{
	const char *p = buf_str(&req->body);
	size_t		namelen = strlen(name);

	for (; *p; p += *p == '&')
	{
		size_t		len = strcspn(p, "&");

		if (len > namelen && strncmp(p, name, namelen) == 0 && p[namelen] == '=' &&
			!percent_decode(out, p + namelen + 1, len - namelen - 1, true))
			buf_reset(out);
		p += len;
	}
}

/* The value under the first of the names that the request has. */
static const char *
generic_field(const SbRequest *req, json_t *body, const char *const *names, Buf *out)
{
	for (; *names != NULL && out->len == 0; names++)
	{
		const char *s = json_string_value(json_object_get(body, *names));

		if (s != NULL)
			buf_adds(out, s);
		else if (body == NULL)
			form_value(req, *names, out);
	}
	return buf_str(out);
}

static bool
generic_mine(const SbRequest *req)
{
	return strcmp(buf_str(&req->path), "/sms/generic") == 0;
}

static void
generic_handle(SbRequest *req)
{
	static const char *const to[] = {"to", "phone", "mobile", NULL};
	static const char *const text[] = {"text", "content", "message", NULL};
	static const char *const id[] = {"id", "out_id", "ref", NULL};
	json_t	   *body = json_loadb(buf_str(&req->body), req->body.len, 0, NULL);
	Buf			b_to = BUF_INIT,
				b_text = BUF_INIT,
				b_id = BUF_INIT;
	SmsCall		call;

	call.phones = generic_field(req, body, to, &b_to);
	call.param = generic_field(req, body, text, &b_text);
	call.out_id = generic_field(req, body, id, &b_id);
	call.template_code = "";
	req->call = "generic.sms";
	str_copy(req->no, sizeof(req->no), call.out_id);
	log_wire(req);
	if (sms_provider_is_off(req, &generic_provider))
		;
	else if (call.phones[0] == '\0' || call.param[0] == '\0')
		request_answer_json(req, 400, json_pack("{si ss}", "result", 400,
												"message", "to and text are required"));
	else
		sms_submit(req, &generic_provider, &call);
	json_decref(body);
	buf_free(&b_to);
	buf_free(&b_text);
	buf_free(&b_id);
}

const SbChannel generic_channel = {
	.name = "generic",
	.mine = generic_mine,
	.handle = generic_handle
};
