/*-------------------------------------------------------------------------
 *
 * alipay_gate.c
 *	  The gateway: who is calling, and how Alipay signs what it says (1.2 to
 *	  1.6).
 *
 * Common parameters may come in the query, in the form body, or mixed.  What
 * is signed is the sorted list of all of them but `sign`, with raw values.
 *
 * An answer is signed over the bytes of its node as they are sent.  Nothing
 * signed can be said to a caller whose app is not known.
 *
 * sandbox/alipay_gate.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "alipay.h"

#define SKEW_SECONDS	600
#define BEIJING			(8 * 3600)

static const struct
{
	const char *method;
	const char *node;
}			methods[] =
{
	{"alipay.trade.refund", "alipay_trade_refund_response"},
	{"alipay.trade.fastpay.refund.query", "alipay_trade_fastpay_refund_query_response"},
	{"alipay.trade.query", "alipay_trade_query_response"},
	{"alipay.fund.trans.uni.transfer", "alipay_fund_trans_uni_transfer_response"},
	{"alipay.fund.trans.common.query", "alipay_fund_trans_common_query_response"},
	{"alipay.data.dataservice.bill.downloadurl.query", "alipay_data_dataservice_bill_downloadurl_query_response"},
	{"alipay.open.app.alipaycert.download", "alipay_open_app_alipaycert_download_response"},
};
#define METHOD_COUNT ((int) (sizeof(methods) / sizeof(methods[0])))

/* ---- the words of the gateway ---- */

void
alipay_time(int64_t ms, char out[40])
{
	format_time(ms, out);
	out[10] = ' ';
	out[19] = '\0';
}

void
alipay_yuan(int64_t fen, char out[32])
{
	snprintf(out, 32, "%lld.%02d", (long long) (fen / 100), (int) (fen % 100));
}

static const char *
message_of(const char *code)
{
	static const char *const words[][2] = {
		{"10000", "Success"},
		{"20000", "Service Currently Unavailable"},
		{"20001", "Insufficient Token Permissions"},
		{"40001", "Missing Required Arguments"},
		{"40002", "Invalid Arguments"},
		{"40004", "Business Failed"},
		{"40005", "Call Limited"},
		{"40006", "Insufficient Permissions"}
	};
	size_t		i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i][0], code) == 0)
			return words[i][1];
	return "";
}

json_t *
alipay_error_node(const char *code, const char *sub_code, const char *sub_msg)
{
	json_t	   *node = json_pack("{ss ss}", "code", code, "msg", message_of(code));

	if (sub_code != NULL)
		json_object_set_new(node, "sub_code", json_string(sub_code));
	if (sub_msg != NULL)
		json_object_set_new(node, "sub_msg", json_string(sub_msg));
	return node;
}

static const char *
node_name(const AlipayCall *c)
{
	int			i;

	for (i = 0; i < METHOD_COUNT; i++)
		if (c->method == methods[i].method)
			return methods[i].node;
	return "error_response";
}

/* ---- signing ---- */

void
alipay_signed_text(const Form *f, bool keep_sign_type, bool keep_empty, Buf *out)
{
	int			i;

	for (i = 0; i < f->count; i++)
	{
		const FormField *p = &f->item[i];

		if (strcmp(p->name, "sign") == 0 || *p->name == '\0' ||
			(!keep_sign_type && strcmp(p->name, "sign_type") == 0) ||
			(!keep_empty && *p->value == '\0'))
			continue;
		buf_addf(out, "%s%s=", out->len ? "&" : "", p->name);
		buf_adds(out, p->value);
	}
}

bool
alipay_sign(const CryptoKey *key, const Buf *text, Buf *b64)
{
	Buf			sig = BUF_INIT;
	bool		ok = !text->failed && rsa_sign_sha256(key, buf_str(text), text->len, &sig);

	if (ok)
		base64_encode(b64, sig.data, sig.len);
	buf_free(&sig);
	return ok;
}

/* '/' as '\/': also JSON, and some of the gateway's own answers have it (1.4). */
static void
escape_slashes(const char *s, Buf *out)
{
	for (; *s; s++)
	{
		if (*s == '/')
			buf_addc(out, '\\');
		buf_addc(out, *s);
	}
}

/* What makes a node hard to cut out of its answer, all of it legal JSON. */
static void
add_oddities(json_t *node)
{
	json_object_set_new(node, "odd_text", json_string("\"sign\":\"AAAA\"} ] \\\" { \\"));
	json_object_set_new(node, "odd}key{\"", json_pack("[{ss}, []]", "}", "{"));
	json_object_set_new(node, "alipay_trade_refund_response",
						json_pack("{ss ss}", "code", "40004", "sign", "nested"));
	json_object_set_new(node, "alipay_fund_trans_uni_transfer_response",
						json_pack("{ss ss}", "code", "40004", "sign", "nested"));
}

static void
write_node(json_t *node, AnswerFlaw flaw, Buf *sent, Buf *signed_text)
{
	char	   *text;

	if (flaw == ANSWER_ODD)
		add_oddities(node);
	text = json_dumps(node, flaw == ANSWER_ODD ? JSON_INDENT(1) : JSON_COMPACT);
	if (text == NULL)
		return;
	if (flaw == ANSWER_SLASHES || flaw == ANSWER_SLASHES_PLAIN)
		escape_slashes(text, sent);
	else
		buf_adds(sent, text);
	buf_adds(signed_text, flaw == ANSWER_SLASHES_PLAIN ? text : buf_str(sent));
	if (flaw == ANSWER_BAD_SIGNATURE)
		buf_addc(signed_text, ' ');
	free(text);
}

/*
 * {"<name>": node, ["alipay_cert_sn": ...,] "sign": ...}.  The forged node
 * of the duplicate attack comes before or after the true one.
 */
static void
envelope(SbRequest *req, const AlipayCall *c, const char *name, const Buf *node,
		 const char *forged, AnswerFlaw flaw, const char *sign)
{
	const AlipayKeys *k = c->m ? alipay_keys(c->m) : NULL;
	const char *gap = flaw == ANSWER_ODD ? " \n\t" : "";
	bool		first = forged != NULL && ledger_sequence() % 2 == 0;
	Buf		   *out = &req->answer;

	buf_addf(out, "%s{%s", gap, gap);
	if (first)
		buf_addf(out, "\"%s\":%s,", name, forged);
	buf_addf(out, "\"%s\"%s:%s", name, gap, gap);
	buf_adds(out, buf_str(node));
	if (forged != NULL && !first)
		buf_addf(out, ",\"%s\":%s", name, forged);
	if (k != NULL && c->by_certificate)
		buf_addf(out, "%s,%s\"alipay_cert_sn\":\"%s\"", gap, gap,
				 flaw == ANSWER_UNKNOWN_CERTIFICATE ? k->unknown_sn : k->own_sn[k->active]);
	if (sign != NULL)
		buf_addf(out, "%s,%s\"sign\":%s\"%s\"", gap, gap, gap, sign);
	buf_addf(out, "%s}%s", gap, gap);
}

static void
send_node(SbRequest *req, const AlipayCall *c, json_t *node, json_t *forged, AnswerFlaw flaw)
{
	const AlipayKeys *k = c->m ? alipay_keys(c->m) : NULL;
	const char *code = json_string_value(json_object_get(node, "code"));
	const char *name = flaw == ANSWER_ERROR_NODE ? "error_response" : node_name(c);
	char	   *other = forged ? json_dumps(forged, JSON_COMPACT) : NULL;
	char		trace[33];
	Buf			sent = BUF_INIT,
				text = BUF_INIT,
				sign = BUF_INIT;
	bool		signs = k != NULL && flaw != ANSWER_UNSIGNED;
	bool		ok;

	merchant_count(c->m, code != NULL && strcmp(code, "10000") == 0);
	write_node(node, flaw, &sent, &text);
	ok = !signs || alipay_sign(k->own[flaw == ANSWER_UNKNOWN_CERTIFICATE ? 1 : k->active], &text, &sign);
	envelope(req, c, name, &sent, other, flaw, signs ? buf_str(&sign) : NULL);
	random_nonce(trace);
	http_header_add(&req->answer_headers, "trace_id", trace);
	if (ok)
		request_answer(req, 200, "text/html;charset=utf-8");
	else
		request_reset(req);
	json_decref(node);
	json_decref(forged);
	free(other);
	buf_free(&sent);
	buf_free(&text);
	buf_free(&sign);
}

void
alipay_answer(SbRequest *req, const AlipayCall *c, json_t *node, AnswerFlaw flaw)
{
	send_node(req, c, node, NULL, flaw);
}

void
alipay_answer_twice(SbRequest *req, const AlipayCall *c, json_t *node, json_t *forged)
{
	send_node(req, c, node, forged, ANSWER_GOOD);
}

void
alipay_fail(SbRequest *req, const AlipayCall *c, const char *code,
			const char *sub_code, const char *sub_msg)
{
	alipay_answer(req, c, alipay_error_node(code, sub_code, sub_msg), ANSWER_GOOD);
}

/* ---- reading a call ---- */

static bool
is_form(const SbRequest *req)
{
	const char *type = http_header_get(&req->headers, "Content-Type");
	size_t		n = sizeof("application/x-www-form-urlencoded") - 1;

	return type != NULL && strncasecmp(type, "application/x-www-form-urlencoded", n) == 0 &&
		(type[n] == '\0' || type[n] == ';' || type[n] == ' ');
}

/*
 * Everything that can be known before anything is checked: it goes into the
 * logs, and a held call is read again when it is released.
 */
void
alipay_read_call(SbRequest *req, AlipayCall *c)
{
	const char *value;
	bool		ok;
	int			i;

	memset(c, 0, sizeof(*c));
	ok = req->query == NULL || form_parse(&c->form, req->query, strlen(req->query));
	if (ok && req->body.len > 0 && is_form(req))
		ok = form_parse(&c->form, req->body.data, req->body.len);
	if (!ok)
		form_free(&c->form);
	form_sort(&c->form);
	value = form_get(&c->form, "method");
	for (i = 0; value != NULL && i < METHOD_COUNT; i++)
		if (strcmp(methods[i].method, value) == 0)
			c->method = methods[i].method;
	req->call = c->method ? c->method : "alipay.other";
	value = form_get(&c->form, "app_id");
	if (value != NULL)
	{
		str_copy(req->mchid, sizeof(req->mchid), value);
		c->m = model_merchant_of(&alipay_channel, value);
	}
	value = form_get(&c->form, "biz_content");
	if (value != NULL)
	{
		sha256_hex(value, strlen(value), req->business);
		c->biz = json_loads(value, JSON_REJECT_DUPLICATES, NULL);
		if (!json_is_object(c->biz))
		{
			json_decref(c->biz);
			c->biz = NULL;
		}
	}
	value = json_string_value(json_object_get(c->biz, "out_request_no"));
	if (value == NULL)
		value = json_string_value(json_object_get(c->biz, "out_biz_no"));
	if (value != NULL)
		str_copy(req->no, sizeof(req->no), value);
	c->by_certificate = form_get(&c->form, "app_cert_sn") != NULL ||
		form_get(&c->form, "alipay_root_cert_sn") != NULL;
}

void
alipay_call_free(AlipayCall *c)
{
	form_free(&c->form);
	json_decref(c->biz);
}

/* ---- checking it ---- */

/* yyyy-MM-dd HH:mm:ss, in Beijing, whatever the caller's own zone is. */
static bool
timestamp_ok(const char *s)
{
	struct tm	tm = {0};
	const char *end = strlen(s) == 19 ? strptime(s, "%Y-%m-%d %H:%M:%S", &tm) : NULL;
	int64_t		then,
				now = wall_ms() / 1000;

	if (end == NULL || *end != '\0')
		return false;
	then = (int64_t) timegm(&tm) - BEIJING;
	return then >= now - SKEW_SECONDS && then <= now + SKEW_SECONDS;
}

typedef struct Fault
{
	const char *code;
	const char *sub_code;
	const char *sub_msg;
} Fault;

/* The common parameters (1.2), without the signature. */
static bool
parameters_ok(const AlipayCall *c, Fault *f)
{
	static const struct
	{
		const char *name;
		const char *sub_code;
		const char *sub_msg;
	}			required[] = {
		{"app_id", "isv.missing-app-id", "缺少AppId参数"},
		{"sign", "isv.missing-signature", "缺少签名参数"},
		{"sign_type", "isv.missing-signature-type", "缺少签名类型参数"},
		{"timestamp", "isv.missing-timestamp", "缺少时间戳参数"},
		{"version", "isv.missing-version", "缺少版本参数"},
		{"charset", "isv.missing-charset", "缺少字符集参数"}
	};
	const char *format = form_get(&c->form, "format");
	size_t		i;

	f->code = "40001";
	for (i = 0; i < sizeof(required) / sizeof(required[0]); i++)
	{
		const char *value = form_get(&c->form, required[i].name);

		f->sub_code = required[i].sub_code;
		f->sub_msg = required[i].sub_msg;
		if (value == NULL || *value == '\0')
			return false;
	}
	f->code = "40002";
	f->sub_code = "isv.invalid-app-id";
	f->sub_msg = "无效的AppID参数";
	if (c->m == NULL)
		return false;
	f->sub_code = "isv.invalid-signature-type";
	f->sub_msg = "无效的签名类型";
	if (strcmp(form_get(&c->form, "sign_type"), "RSA2") != 0)
		return false;
	f->sub_code = "isv.invalid-charset";
	f->sub_msg = "字符集错误";
	if (strcasecmp(form_get(&c->form, "charset"), "utf-8") != 0)
		return false;
	f->sub_code = "isv.invalid-format";
	f->sub_msg = "无效的数据格式";
	if (format != NULL && strcmp(format, "JSON") != 0 && strcmp(format, "json") != 0)
		return false;
	f->sub_code = "isv.invalid-timestamp";
	f->sub_msg = "非法的时间戳参数";
	return strcmp(form_get(&c->form, "version"), "1.0") == 0 &&
		timestamp_ok(form_get(&c->form, "timestamp"));
}

static bool
certificates_ok(const AlipayCall *c, Fault *f)
{
	const AlipayKeys *k = alipay_keys(c->m);
	const char *app = form_get(&c->form, "app_cert_sn");
	const char *root = form_get(&c->form, "alipay_root_cert_sn");

	if (!c->by_certificate)
		return true;
	*f = (Fault) {"40001", "isv.missing-app-cert-sn", "缺少应用公钥证书序列号"};
	if (app == NULL)
		return false;
	*f = (Fault) {"40002", "isv.invalid-app-cert-sn", "无效的应用公钥证书序列号"};
	if (strcmp(app, k->app_sn) != 0)
		return false;
	*f = (Fault) {"40002", "isv.invalid-alipay-root-cert-sn", "无效的支付宝根证书序列号"};
	return root != NULL && strcmp(root, k->root_sn) == 0;
}

static bool
signature_ok(const AlipayCall *c)
{
	const char *sign = form_get(&c->form, "sign");
	Buf			text = BUF_INIT,
				sig = BUF_INIT;
	bool		ok;

	alipay_signed_text(&c->form, true, false, &text);
	ok = !text.failed && base64_decode(&sig, sign, strlen(sign)) &&
		rsa_verify_sha256(alipay_keys(c->m)->app, text.data, text.len, sig.data, sig.len);
	buf_free(&text);
	buf_free(&sig);
	return ok;
}

/* As the real one: it shows the string that it built, escaped for HTML (1.4). */
static void
fail_signature(SbRequest *req, const AlipayCall *c)
{
	Buf			text = BUF_INIT,
				message = BUF_INIT;
	const char *p;

	alipay_signed_text(&c->form, true, false, &text);
	buf_adds(&message, "验签出错，建议检查签名字符串或签名私钥与应用公钥是否匹配，网关生成的验签字符串为：");
	for (p = buf_str(&text); *p; p++)
		switch (*p)
		{
			case '&': buf_adds(&message, "&amp;"); break;
			case '<': buf_adds(&message, "&lt;"); break;
			case '>': buf_adds(&message, "&gt;"); break;
			case '"': buf_adds(&message, "&quot;"); break;
			default: buf_addc(&message, *p);
		}
	alipay_fail(req, c, "40002", "isv.invalid-signature", buf_str(&message));
	buf_free(&text);
	buf_free(&message);
}

bool
alipay_authenticate(SbRequest *req, AlipayCall *c)
{
	const char *method = form_get(&c->form, "method");
	const char *token = form_get(&c->form, "app_auth_token");
	Fault		f = {"40001", "isv.missing-method", "缺少方法名参数"};

	if (method == NULL || *method == '\0')
	{
		alipay_fail(req, c, f.code, f.sub_code, f.sub_msg);
		return false;
	}
	/* A name twice: nobody can tell what was signed. */
	if (!parameters_ok(c, &f) || !certificates_ok(c, &f))
	{
		alipay_fail(req, c, f.code, f.sub_code, f.sub_msg);
		return false;
	}
	if (form_repeats(&c->form) || !signature_ok(c))
	{
		fail_signature(req, c);
		return false;
	}
	alipay_keys(c->m)->by_certificate = c->by_certificate;
	if (c->method == NULL)
		alipay_fail(req, c, "40002", "isv.invalid-method", "不存在的方法名");
	else if (token != NULL && (strlen(token) > 40 || strncmp(token, "invalid", 7) == 0))
		alipay_fail(req, c, "20001", "aop.invalid-app-auth-token", "无效的应用授权令牌");
	else
		return true;
	return false;
}
