/*-------------------------------------------------------------------------
 *
 * test_wechat_transfer_request.c
 *	  The frozen request of a transfer, with the payee's name opened again by
 *	  the holder of WeChat's key; and the requests about it, whose signatures
 *	  are verified with OpenSSL's own call.
 *
 * test/unit/test_wechat_transfer_request.c
 *
 *-------------------------------------------------------------------------
 */
#include "channel/channel_util.h"
#include "unit.h"
#include "wechatkit.h"

#define ZHANG_SAN	"\xe5\xbc\xa0\xe4\xb8\x89"
#define PAYEE		"{\"openid\":\"" KIT_OPENID "\"}"
#define NAMED		"{\"openid\":\"" KIT_OPENID "\",\"name\":\"" ZHANG_SAN "\"}"
#define HEAD		"{\"appid\":\"" KIT_APPID "\",\"out_bill_no\":\"W1\",\"transfer_scene_id\":\"1005\"," \
	"\"openid\":\"" KIT_OPENID "\""
#define BASE		"https://api.mch.weixin.qq.com"
#define PATH		BASE "/v3/fund-app/mch-transfer/transfer-bills"
#define SERIAL_LINE "Wechatpay-Serial: "

static const Channel *wechat;
static const ChannelProduct *transfer;
static void *config;			/* with a setting "transfer" */
static void *bare;				/* without */
static ChannelError err;

static const ChannelInstruction plain = {
	.wire_no = "W1", .amount = 1000, .currency = "CNY", .payee = PAYEE, .transfer_defaults = true,
};
static const ChannelMoment moment = {KIT_NOW, "593bec0c930bf1afeb40b4a08c8fb242", false};

static void *
open_json(const char *json)
{
	ChannelSource source = {json, kit_read_key, NULL};

	return wechat->open(&source, &err);
}

/* The kit's configuration with one text in it replaced. */
static void *
open_changed(const char *from, const char *to)
{
	char		text[4096];
	const char *at = strstr(KIT_TRANSFER_CONFIG, from);

	testkey_need(at != NULL, "the text to change");
	snprintf(text, sizeof(text), "%.*s%s%s", (int) (at - KIT_TRANSFER_CONFIG), KIT_TRANSFER_CONFIG, to,
			 at + strlen(from));
	return open_json(text);
}

/* ---- freezing ---- */

static void
freezes(void *cfg, ChannelInstruction instr, const char *want, const char *name)
{
	Buf			b = BUF_INIT;

	buf_adds(&b, "old contents");
	ok(transfer->freeze(cfg, &instr, &b, &err), "freezes: %s %s", name, err.message);
	is_str(buf_str(&b), want, name);
	buf_free(&b);
}

static void
not_frozen(void *cfg, ChannelInstruction instr, const char *words, const char *name)
{
	Buf			b = BUF_INIT;

	ok(!transfer->freeze(cfg, &instr, &b, &err), "not frozen: %s", name);
	has(err.message, words, "in plain words");
	lacks(err.message, KIT_OPENID, "which do not say who");
	lacks(err.message, ZHANG_SAN, "nor the name");
	buf_free(&b);
}

static ChannelInstruction
with_data(const char *data)
{
	ChannelInstruction i = plain;

	i.transfer_data = data;
	return i;
}

static void
test_freeze(void)
{
	ChannelInstruction i = plain;
	void	   *styled;

	freezes(config, plain, HEAD ",\"transfer_amount\":1000,\"transfer_remark\":\"wages\","
			"\"transfer_scene_report_infos\":" KIT_REPORT_INFOS "}", "the settings say the rest");
	i.reason = "overtime \"1\"";
	i.notify_url = "https://pay.example.com/v1/wx";
	freezes(config, i, HEAD ",\"transfer_amount\":1000,\"transfer_remark\":\"overtime \\\"1\\\"\","
			"\"notify_url\":\"https://pay.example.com/v1/wx\","
			"\"transfer_scene_report_infos\":" KIT_REPORT_INFOS "}", "a reason and a callback");
	i = plain;
	i.reason = "";
	freezes(config, i, HEAD ",\"transfer_amount\":1000,\"transfer_remark\":\"wages\","
			"\"transfer_scene_report_infos\":" KIT_REPORT_INFOS "}", "an empty reason is none");
	freezes(config, with_data("{\"report_infos\":[{\"info_type\":\"t\",\"info_content\":\"c\"}]}"),
			HEAD ",\"transfer_amount\":1000,\"transfer_remark\":\"wages\","
			"\"transfer_scene_report_infos\":[{\"info_type\":\"t\",\"info_content\":\"c\"}]}",
			"a report of its own");
	freezes(config, with_data("{\"scene_id\":\"1000\",\"recv_style\":\"RED_PACKET\","
							  "\"user_recv_perception\":\"gift\","
							  "\"report_infos\":[{\"info_type\":\"t\",\"info_content\":\"c\"}]}"),
			"{\"appid\":\"" KIT_APPID "\",\"out_bill_no\":\"W1\",\"transfer_scene_id\":\"1000\","
			"\"openid\":\"" KIT_OPENID "\",\"transfer_amount\":1000,\"transfer_remark\":\"wages\","
			"\"user_recv_perception\":\"gift\","
			"\"transfer_scene_report_infos\":[{\"info_type\":\"t\",\"info_content\":\"c\"}],"
			"\"user_recv_style\":{\"type\":\"RED_PACKET\"}}", "a scene of its own");
	i = with_data("{\"scene_id\":\"1000\",\"report_infos\":[{\"info_type\":\"t\",\"info_content\":\"c\"}]}");
	i.payee = "{\"openid\":\"" KIT_OPENID "\",\"appid\":\"wx2\"}";
	i.reason = "r";
	freezes(bare, i, "{\"appid\":\"wx2\",\"out_bill_no\":\"W1\",\"transfer_scene_id\":\"1000\","
			"\"openid\":\"" KIT_OPENID "\",\"transfer_amount\":1000,\"transfer_remark\":\"r\","
			"\"transfer_scene_report_infos\":[{\"info_type\":\"t\",\"info_content\":\"c\"}]}",
			"without any settings");
	i.transfer_data = NULL;
	freezes(config, i, "{\"appid\":\"wx2\",\"out_bill_no\":\"W1\",\"transfer_scene_id\":\"1005\","
			"\"openid\":\"" KIT_OPENID "\",\"transfer_amount\":1000,\"transfer_remark\":\"r\","
			"\"transfer_scene_report_infos\":" KIT_REPORT_INFOS "}", "the payee's own appid");

	/* what belongs to the settings' scene does not go into another */
	styled = open_changed("\"remark\":\"wages\"", "\"remark\":\"wages\",\"recv_style\":\"RED_PACKET\","
						  "\"user_recv_perception\":\"gift\"");
	freezes(styled, plain, HEAD ",\"transfer_amount\":1000,\"transfer_remark\":\"wages\","
			"\"user_recv_perception\":\"gift\",\"transfer_scene_report_infos\":" KIT_REPORT_INFOS ","
			"\"user_recv_style\":{\"type\":\"RED_PACKET\"}}", "the settings' style");
	i = plain;
	i.amount = 20000;
	freezes(styled, i, HEAD ",\"transfer_amount\":20000,\"transfer_remark\":\"wages\","
			"\"user_recv_perception\":\"gift\",\"transfer_scene_report_infos\":" KIT_REPORT_INFOS ","
			"\"user_recv_style\":{\"type\":\"RED_PACKET\"}}", "a red packet of 200.00");
	i.amount = 20001;
	freezes(styled, i, HEAD ",\"transfer_amount\":20001,\"transfer_remark\":\"wages\","
			"\"user_recv_perception\":\"gift\",\"transfer_scene_report_infos\":" KIT_REPORT_INFOS "}",
			"more does not fit into one, and goes without");
	freezes(styled, with_data("{\"recv_style\":\"CONFIRM_PAGE\",\"user_recv_perception\":\"pay\"}"),
			HEAD ",\"transfer_amount\":1000,\"transfer_remark\":\"wages\","
			"\"user_recv_perception\":\"pay\",\"transfer_scene_report_infos\":" KIT_REPORT_INFOS ","
			"\"user_recv_style\":{\"type\":\"CONFIRM_PAGE\"}}", "the withdrawal's own comes first");
	freezes(styled, with_data("{\"scene_id\":\"1000\","
							  "\"report_infos\":[{\"info_type\":\"t\",\"info_content\":\"c\"}]}"),
			"{\"appid\":\"" KIT_APPID "\",\"out_bill_no\":\"W1\",\"transfer_scene_id\":\"1000\","
			"\"openid\":\"" KIT_OPENID "\",\"transfer_amount\":1000,\"transfer_remark\":\"wages\","
			"\"transfer_scene_report_infos\":[{\"info_type\":\"t\",\"info_content\":\"c\"}]}",
			"another scene inherits neither");
	wechat->close(styled);
}

static void
test_not_frozen(void)
{
	ChannelInstruction i = plain;
	const char *scene = "{\"scene_id\":\"1000\",\"report_infos\":" KIT_REPORT_INFOS "}";
	void	   *partner = open_json("{\"mchid\":\"1900000100\",\"merchant_serial\":\"" KIT_MERCHANT_SERIAL
									"\",\"private_key\":\"apiclient_key.pem\",\"apiv3_key\":\"apiv3_new.key\","
									"\"sub_mchid\":\"1900000109\","
									"\"wechat_keys\":{\"" KIT_CERT_SERIAL "\":\"platform.pem\"}}");

	ok(partner != NULL, "one more configuration");
	i.reason = "r";
	not_frozen(bare, i, "the appid of the transfer is missing", "no appid");
	i.payee = "{\"openid\":\"" KIT_OPENID "\",\"appid\":\"wx2\"}";
	i.reason = NULL;
	not_frozen(bare, i, "no setting transfer.remark", "neither reason nor remark");
	i.reason = "r";
	not_frozen(bare, i, "the scene of the transfer is missing", "no scene");
	i.transfer_data = "{\"report_infos\":" KIT_REPORT_INFOS "}";
	not_frozen(bare, i, "the scene of the transfer is missing", "a report without a scene");
	i.transfer_data = scene;
	not_frozen(partner, i, "sub-merchant", "a partner's");
	i.transfer_data = "{\"other\":1}";
	not_frozen(bare, i, "channel_data has a member", "channel_data that is not taken");
	i = plain;
	i.payee = NULL;
	not_frozen(config, i, "the payee is missing", "nobody");
	i.payee = "{\"openid\":\"" KIT_OPENID "\",\"name\":\"" ZHANG_SAN "\",\"x\":1}";
	not_frozen(config, i, "payee has a member", "a payee that is none");
	i = plain;
	i.notify_url = "http://pay.example.com/v1/wx";
	not_frozen(config, i, "not https", "a callback address that is none");
	i.notify_url = NULL;
	i.reason = "\xff";
	not_frozen(config, i, "could not be put together", "no UTF-8");
	i = plain;
	i.wire_no = "\xff";
	not_frozen(config, i, "could not be put together", "nor in the number");
	wechat->close(partner);
}

/* ---- the payee's name ---- */

/* What the holder of this key reads, with OpenSSL's own call. */
static void
opened(EVP_PKEY *pkey, const char *base64, char *out, size_t outsize)
{
	Buf			sealed = BUF_INIT;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
	unsigned char text[512];
	size_t		len = sizeof(text);

	out[0] = '\0';
	if (base64_decode(&sealed, base64, strlen(base64)) &&
		EVP_PKEY_decrypt_init(ctx) == 1 &&
		EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
		EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha1()) == 1 &&
		EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha1()) == 1 &&
		EVP_PKEY_decrypt(ctx, text, &len, (unsigned char *) sealed.data, sealed.len) == 1 &&
		len < outsize)
	{
		memcpy(out, text, len);
		out[len] = '\0';
	}
	EVP_PKEY_CTX_free(ctx);
	buf_free(&sealed);
}

static void
name_goes_to(void *cfg, EVP_PKEY *pkey, const char *serial, const char *name)
{
	ChannelInstruction i = plain;
	Buf			b = BUF_INIT;
	Buf			line = BUF_INIT;
	char		text[512];
	json_t	   *body;

	i.payee = NAMED;
	i.amount = 200000;
	ok(transfer->freeze(cfg, &i, &b, &err), "a name %s %s", name, err.message);
	buf_addf(&line, SERIAL_LINE "%s\n", serial);
	ok(strncmp(buf_str(&b), buf_str(&line), line.len) == 0, "its key's serial is frozen with it");
	lacks(buf_str(&b), ZHANG_SAN, "the name is not in the clear");
	body = json_loads(buf_str(&b) + line.len, 0, NULL);
	ok(json_text(body, "user_name") != NULL, "it is in user_name");
	opened(pkey, json_text(body, "user_name"), text, sizeof(text));
	is_str(text, ZHANG_SAN, "and opens to what it was");
	is_int(strlen(json_text(body, "user_name")), 344, "of the length that a key of 2048 bits gives");
	is_str(json_text(body, "openid"), KIT_OPENID, "beside the openid");
	json_decref(body);
	buf_free(&b);
	buf_free(&line);
}

static void
test_name(void)
{
	void	   *other = open_changed("\"transfer\":", "\"use_key\":\"" KIT_CERT_SERIAL "\",\"transfer\":");
	ChannelInstruction i = plain;
	Buf			b = BUF_INIT;
	char		json[1024] = "{\"openid\":\"" KIT_OPENID "\",\"name\":\"";
	char		text[512];
	int			k;
	json_t	   *body;

	name_goes_to(config, kit_public_key_pair, KIT_PUB_KEY_ID, "for the public key");
	name_goes_to(other, kit_certificate_pair, KIT_CERT_SERIAL, "for the key that use_key names");
	wechat->close(other);

	for (k = 0; k < 64; k++)
		strcat(json, "\xe5\xbc\xa0");
	strcat(json, "\"}");
	i.payee = json;
	ok(transfer->freeze(config, &i, &b, &err), "the longest name");
	body = json_loads(strchr(buf_str(&b), '\n'), 0, NULL);
	opened(kit_public_key_pair, json_text(body, "user_name"), text, sizeof(text));
	is_int(strlen(text), 192, "is whole");
	json_decref(body);
	buf_free(&b);
}

/* ---- requests ---- */

static void
signature_is_good(const HttpRequest *r, const char *base, int64_t at, const char *name)
{
	const char *value = http_header_get(&r->headers, "Authorization");
	char		start[256];
	char		stamp[64];
	Buf			text = BUF_INIT;
	Buf			raw = BUF_INIT;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const char *sig;

	snprintf(start, sizeof(start), "WECHATPAY2-SHA256-RSA2048 mchid=\"1900000100\",nonce_str=\"%s\","
			 "signature=\"", moment.nonce);
	ok(value != NULL && strncmp(value, start, strlen(start)) == 0, "%s: Authorization", name);
	if (value == NULL)
		return;
	sig = value + strlen(start);
	base64_decode(&raw, sig, strcspn(sig, "\""));
	buf_addf(&text, "%s\n%s\n%lld\n%s\n", r->method, buf_str(&r->url) + strlen(base), (long long) at,
			 moment.nonce);
	buf_add(&text, r->body.data, r->body.len);
	buf_addc(&text, '\n');
	ok(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, kit_merchant) == 1 &&
	   EVP_DigestVerify(ctx, (unsigned char *) raw.data, raw.len, (unsigned char *) text.data,
						text.len) == 1, "%s: the signature covers what is sent", name);
	snprintf(stamp, sizeof(stamp), "timestamp=\"%lld\",serial_no=\"" KIT_MERCHANT_SERIAL "\"",
			 (long long) at);
	has(value, stamp, "with time and serial");
	EVP_MD_CTX_free(ctx);
	buf_free(&text);
	buf_free(&raw);
}

static void
test_build(void)
{
	HttpRequest r;
	Buf			frozen = BUF_INIT;
	ChannelMoment later = moment;

	http_request_init(&r);
	transfer->freeze(config, &plain, &frozen, &err);
	ok(transfer->build(config, CALL_SUBMIT, &plain, &frozen, &moment, &r, &err), "a submit");
	is_str(r.method, "POST", "is a POST");
	is_str(buf_str(&r.url), PATH, "to here");
	is_mem(r.body.data, r.body.len, frozen.data, frozen.len, "of exactly the frozen bytes");
	is_str(http_header_get(&r.headers, "Accept"), "application/json", "Accept");
	is_str(http_header_get(&r.headers, "Content-Type"), "application/json", "Content-Type");
	is_str(http_header_get(&r.headers, "Wechatpay-Serial"), KIT_PUB_KEY_ID, "Wechatpay-Serial");
	ok(http_header_get(&r.headers, "User-Agent") != NULL, "User-Agent");
	ok(r.connect_timeout_ms == 3000 && r.total_timeout_ms == 15000 && r.max_answer > 0, "timeouts");
	signature_is_good(&r, BASE, KIT_NOW, "submit");
	later.now += 60;
	later.use_backup = true;
	ok(transfer->build(config, CALL_SUBMIT, &plain, &frozen, &later, &r, &err), "again, elsewhere");
	has(buf_str(&r.url), "https://api2.mch.weixin.qq.com/v3/fund-app/", "at the backup host");
	is_mem(r.body.data, r.body.len, frozen.data, frozen.len, "the same bytes");
	signature_is_good(&r, "https://api2.mch.weixin.qq.com", KIT_NOW + 60, "a fresh signature");

	ok(transfer->build(config, CALL_QUERY, &plain, NULL, &moment, &r, &err), "a query");
	is_str(r.method, "GET", "is a GET");
	is_str(buf_str(&r.url), PATH "/out-bill-no/W1", "by our number");
	is_int(r.body.len, 0, "without a body");
	ok(http_header_get(&r.headers, "Content-Type") == NULL, "and without its type");
	is_str(http_header_get(&r.headers, "Wechatpay-Serial"), KIT_PUB_KEY_ID, "with a key to answer with");
	signature_is_good(&r, BASE, KIT_NOW, "query");

	ok(transfer->build(config, CALL_CANCEL, &plain, NULL, &moment, &r, &err), "a cancel");
	is_str(r.method, "POST", "is a POST");
	is_str(buf_str(&r.url), PATH "/out-bill-no/W1/cancel", "of our number");
	is_str(buf_str(&r.body), "{}", "with nothing to say");
	is_str(http_header_get(&r.headers, "Content-Type"), "application/json", "in JSON");
	signature_is_good(&r, BASE, KIT_NOW, "cancel");
	buf_free(&frozen);
	http_request_free(&r);
}

/* The name was sealed with one key; by now use_key names another. */
static void
test_rotation(void)
{
	void	   *rotated = open_changed("\"transfer\":", "\"use_key\":\"" KIT_CERT_SERIAL "\",\"transfer\":");
	ChannelInstruction i = plain;
	HttpRequest r;
	Buf			frozen = BUF_INIT;
	size_t		line = strlen(SERIAL_LINE KIT_PUB_KEY_ID "\n");

	http_request_init(&r);
	i.payee = NAMED;
	transfer->freeze(config, &i, &frozen, &err);
	i.payee = NULL;				/* nobody knows it any more */
	ok(transfer->build(rotated, CALL_SUBMIT, &i, &frozen, &moment, &r, &err), "after a rotation");
	is_str(http_header_get(&r.headers, "Wechatpay-Serial"), KIT_PUB_KEY_ID,
		   "the header still names the key of the name");
	is_mem(r.body.data, r.body.len, frozen.data + line, frozen.len - line, "the body is the rest");
	ok(r.body.data[0] == '{' && r.body.data[r.body.len - 1] == '}', "which is the JSON, and whole");
	signature_is_good(&r, BASE, KIT_NOW, "and all that is signed");
	ok(transfer->build(rotated, CALL_QUERY, &i, &frozen, &moment, &r, &err), "a query");
	is_str(http_header_get(&r.headers, "Wechatpay-Serial"), KIT_CERT_SERIAL, "names the new key");
	buf_free(&frozen);
	transfer->freeze(config, &plain, &frozen, &err);
	ok(transfer->build(rotated, CALL_SUBMIT, &plain, &frozen, &moment, &r, &err), "without a name");
	is_str(http_header_get(&r.headers, "Wechatpay-Serial"), KIT_CERT_SERIAL, "so does a submit");
	buf_free(&frozen);
	http_request_free(&r);
	wechat->close(rotated);
}

static void
bad_frozen(const char *text, const char *name)
{
	HttpRequest r;
	Buf			b = BUF_INIT;

	http_request_init(&r);
	buf_adds(&b, text);
	ok(!transfer->build(config, CALL_SUBMIT, &plain, &b, &moment, &r, &err), "not sent: %s", name);
	has(err.message, "without its frozen request", "in plain words");
	is_int(r.url.len, 0, "and nothing is there to be sent");
	buf_free(&b);
	http_request_free(&r);
}

static void
test_not_built(void)
{
	HttpRequest r;
	ChannelInstruction nameless = plain;
	ChannelMoment silent = moment;
	Buf			b = BUF_INIT;

	bad_frozen("", "nothing");
	bad_frozen("[]", "no object");
	bad_frozen("Wechatpay-Serial: {}", "a serial that is none");
	bad_frozen("Wechatpay-Serial: \n{}", "an empty one");
	bad_frozen("Wechatpay-Serial: PUB_KEY_ID_1", "a serial alone");
	bad_frozen("Wechatpay-Serial: PUB_KEY_ID_1\n", "and a newline");
	bad_frozen("Wechatpay-Serial: PUB_KEY_ID_1\r\n{}", "another character");
	bad_frozen("Wechatpay-Serial: PUB_KEY_ID_1\nX: 1\n{}", "two lines");
	bad_frozen("Wechatpay-Seria1: PUB_KEY_ID_1\n{}", "another header");
	buf_adds(&b, SERIAL_LINE);
	while (b.len < strlen(SERIAL_LINE) + 129)
		buf_addc(&b, '1');
	buf_adds(&b, "\n{}");
	bad_frozen(buf_str(&b), "a serial of 129");
	buf_free(&b);

	http_request_init(&r);
	buf_adds(&b, SERIAL_LINE);
	while (b.len < strlen(SERIAL_LINE) + 128)
		buf_addc(&b, '1');
	buf_adds(&b, "\n{}");
	ok(transfer->build(config, CALL_SUBMIT, &plain, &b, &moment, &r, &err), "one of 128 is sent");
	is_str(buf_str(&r.body), "{}", "without its line");
	is_int(strlen(http_header_get(&r.headers, "Wechatpay-Serial")), 128, "which is the header");
	b.failed = true;
	ok(!transfer->build(config, CALL_SUBMIT, &plain, &b, &moment, &r, &err), "a frozen request that failed");
	buf_free(&b);
	ok(!transfer->build(config, CALL_SUBMIT, &plain, NULL, &moment, &r, &err), "nothing frozen");
	ok(!transfer->build(config, CALL_QUERY, NULL, NULL, &moment, &r, &err), "nothing asked about");
	ok(!transfer->build(config, CALL_CANCEL, NULL, NULL, &moment, &r, &err), "nothing canceled");
	nameless.wire_no = "";
	ok(!transfer->build(config, CALL_CANCEL, &nameless, NULL, &moment, &r, &err), "no number");
	ok(!transfer->build(config, CALL_ECHO, &plain, NULL, &moment, &r, &err), "no self-test");
	silent.nonce = "";
	ok(!transfer->build(config, CALL_QUERY, &plain, NULL, &silent, &r, &err), "no nonce");
	is_int(r.url.len, 0, "leaves an empty request");

	/* the number never decides about the path */
	nameless.wire_no = "a/b?c";
	ok(transfer->build(config, CALL_CANCEL, &nameless, NULL, &moment, &r, &err), "a hostile number");
	is_str(buf_str(&r.url), PATH "/out-bill-no/a%2Fb%3Fc/cancel", "is escaped");
	http_request_free(&r);
}

int
main(void)
{
	wechat = channel_lookup("wechat");
	transfer = wechat->transfer;
	kit_start();
	config = open_json(KIT_TRANSFER_CONFIG);
	bare = open_json(KIT_CONFIG);
	if (!ok(config != NULL && bare != NULL, "two configurations %s", err.message))
		return unit_done();
	test_freeze();
	test_not_frozen();
	test_name();
	test_build();
	test_rotation();
	test_not_built();
	wechat->close(config);
	wechat->close(bare);
	kit_stop();
	return unit_done();
}
