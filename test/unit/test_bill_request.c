/*-------------------------------------------------------------------------
 *
 * test_bill_request.c
 *	  How bills are asked for, what the answers mean, and where a download may
 *	  go to.
 *
 * test/unit/test_bill_request.c
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"
#include "wechatkit.h"
#include "alipaykit.h"
#include "stripekit.h"

#include "channel/bill.h"

#define NONCE "593bec0c930bf1afeb40b4a08c8fb242"
#define HASH "79bb0f45fc4c42234a918000b2668d689e2bde04"
#define ALIPAY_NODE "alipay_data_dataservice_bill_downloadurl_query_response"

static const ChannelMoment moment = {KIT_NOW, NONCE, false};
static void *wechat;
static void *wechat_sandbox;
static void *alipay;
static void *stripe;
static HttpRequest request;
static ChannelError err;
static BillOffer offer;

static void *
open_channel(const char *kind, const char *config,
			 bool (*read_key) (void *, const char *, bool, Buf *, char *, size_t))
{
	ChannelSource source = {config, read_key, NULL};
	void	   *opened = channel_lookup(kind)->open(&source, &err);

	ok(opened != NULL, "%s opens: %s", kind, err.message);
	return opened;
}

static bool
asks(const ChannelBill *bill, void *config, const char *day, const char *cursor, const char *url)
{
	bool		good = bill->ask(config, day, cursor, &moment, &request, &err);

	ok(good, "%s is asked for: %s", bill->label, err.message);
	is_str(request.method, "GET", "by GET");
	return good && is_str(buf_str(&request.url), url, "there");
}

/* ---- WeChat Pay ---- */

static void
wechat_answers(int status, bool is_signed, const char *body)
{
	HttpAnswer	answer;

	http_answer_init(&answer);
	answer.outcome = HTTP_ANSWERED;
	answer.status = status;
	buf_adds(&answer.body, body);
	if (is_signed)
		kit_headers(&answer.headers, kit_public_key_pair, KIT_PUB_KEY_ID, KIT_NOW, "n", body, strlen(body));
	else
		http_header_add(&answer.headers, "Content-Type", "application/json");
	memset(&offer, 0x55, sizeof(offer));
	channel_bill("wechat", "trade")->read_offer(wechat, &answer, KIT_NOW, &offer);
	http_answer_free(&answer);
}

/* The header's signature over method, path with query, time, nonce and no body. */
static bool
signed_over(const char *path)
{
	const char *header = http_header_get(&request.headers, "Authorization");
	const char *p = header ? strstr(header, "signature=\"") : NULL;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	Buf			text = BUF_INIT;
	Buf			sig = BUF_INIT;
	bool		good;

	buf_addf(&text, "GET\n%s\n%d\n%s\n\n", path, KIT_NOW, NONCE);
	good = p != NULL && base64_decode(&sig, p + 11, strcspn(p + 11, "\"")) &&
		EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, kit_merchant) == 1 &&
		EVP_DigestVerify(ctx, (const unsigned char *) sig.data, sig.len,
						 (const unsigned char *) text.data, text.len) == 1;
	EVP_MD_CTX_free(ctx);
	buf_free(&text);
	buf_free(&sig);
	return good;
}

static void
test_wechat_ask(void)
{
	const ChannelBill *trade = channel_bill("wechat", "trade");
	const ChannelMoment backup = {KIT_NOW, NONCE, true};
	const ChannelMoment no_nonce = {KIT_NOW, NULL, false};

	asks(trade, wechat, "2026-11-27", "",
		 "https://api.mch.weixin.qq.com/v3/bill/tradebill?bill_date=2026-11-27&bill_type=REFUND&tar_type=GZIP");
	ok(signed_over("/v3/bill/tradebill?bill_date=2026-11-27&bill_type=REFUND&tar_type=GZIP"),
	   "signed with its query");
	is_str(http_header_get(&request.headers, "Wechatpay-Serial"), KIT_PUB_KEY_ID, "the answer's key");
	asks(channel_bill("wechat", "fund_basic"), wechat, "2026-11-27", "",
		 "https://api.mch.weixin.qq.com/v3/bill/fundflowbill?bill_date=2026-11-27&account_type=BASIC&tar_type=GZIP");
	asks(channel_bill("wechat", "fund_operation"), wechat, "2026-11-27", "",
		 "https://api.mch.weixin.qq.com/v3/bill/fundflowbill?bill_date=2026-11-27&account_type=OPERATION&tar_type=GZIP");
	ok(trade->ask(wechat, "2026-11-27", "", &backup, &request, &err), "by the other host");
	has(buf_str(&request.url), "https://api2.mch.weixin.qq.com/v3/bill/", "which it is");
	ok(!trade->ask(wechat, "2026-11-27&x=1", "", &moment, &request, &err), "no day");
	ok(!trade->ask(wechat, "2026-02-30", "", &moment, &request, &err), "a day that there is not");
	ok(!trade->ask(wechat, "2026-11-27", "", &no_nonce, &request, &err), "no nonce");
	is_str(buf_str(&request.url), "", "and nothing is left of it");
}

static void
test_wechat_offer(void)
{
#define OFFER(type, hash, url) \
	"{\"hash_type\":\"" type "\",\"hash_value\":\"" hash "\",\"download_url\":\"" url "\"}"
#define URL "https://api.mch.weixin.qq.com/v3/billdownload/file?token=x%2By"
	wechat_answers(200, true, OFFER("SHA1", HASH, URL));
	is_int(offer.answer, BILL_READY, "an offer");
	is_str(offer.url, URL, "its URL");
	is_str(offer.hash, "sha1:" HASH, "its hash");
	wechat_answers(200, false, OFFER("SHA1", HASH, URL));
	is_int(offer.answer, BILL_UNKNOWN, "not signed, it is none");
	is_str(offer.url, "", "and has no URL");
	wechat_answers(200, true, OFFER("MD5", HASH, URL));
	is_int(offer.answer, BILL_REFUSED, "another hash");
	wechat_answers(200, true, OFFER("SHA1", "79bb", URL));
	is_int(offer.answer, BILL_REFUSED, "half of a hash");
	wechat_answers(200, true, OFFER("SHA1", HASH, "https://evil.example/v3/billdownload/file?token=x"));
	is_int(offer.answer, BILL_REFUSED, "a host that is not WeChat's");
	has(offer.message, "not WeChat Pay's", "and says so");
	is_str(offer.url, "", "and has no URL");
	wechat_answers(200, true, "[]");
	is_int(offer.answer, BILL_REFUSED, "no object");
	wechat_answers(400, false, "{\"code\":\"NO_STATEMENT_EXIST\",\"message\":\"none\"}");
	is_int(offer.answer, BILL_EMPTY, "no business");
	wechat_answers(400, false, "{\"code\":\"STATEMENT_CREATING\",\"message\":\"wait\"}");
	is_int(offer.answer, BILL_NOT_YET, "not yet");
	is_str(offer.code, "STATEMENT_CREATING", "its code");
	is_str(offer.message, "wait", "its words");
	wechat_answers(400, false, "{\"code\":\"INVALID_REQUEST\",\"message\":\"too old\"}");
	is_int(offer.answer, BILL_REFUSED, "for a person");
	wechat_answers(404, false, "");
	is_int(offer.answer, BILL_REFUSED, "a gateway's 404");
	wechat_answers(404, false, "{\"code\":\"NO_STATEMENT_EXIST\"}");
	is_int(offer.answer, BILL_REFUSED, "the code alone is not enough");
	wechat_answers(429, false, "{\"code\":\"FREQUENCY_LIMITED\"}");
	is_int(offer.answer, BILL_UNKNOWN, "throttled");
	wechat_answers(500, false, "{\"code\":\"SYSTEM_ERROR\"}");
	is_int(offer.answer, BILL_UNKNOWN, "an error of WeChat's");
}

static void
test_wechat_download(void)
{
	static const char *const bad[] = {
		"https://evil.example/file", "http://api.mch.weixin.qq.com/file", "https://api.mch.weixin.qq.com",
		"https://api.mch.weixin.qq.com.evil.example/file", "https://api.mch.weixin.qq.com:444/file",
		"https://api.mch.weixin.qq.com@evil.example/file", "https://api.mch.weixin.qq.com/a#b",
		"https://xapi.mch.weixin.qq.com/file", "http://127.0.0.1:9000/file", "file:///etc/passwd", ""
	};
	const ChannelBill *trade = channel_bill("wechat", "trade");
	size_t		i;

	memset(&offer, 0, sizeof(offer));
	offer.answer = BILL_READY;
	str_copy(offer.url, sizeof(offer.url), URL);
	ok(trade->download(wechat, &offer, &moment, &request, &err), "a download: %s", err.message);
	is_str(buf_str(&request.url), URL, "unchanged");
	ok(signed_over("/v3/billdownload/file?token=x%2By"), "signed with its token");
	is_int(request.max_answer, BILL_PACKED_MAX, "as large as a bill may be");
	str_copy(offer.url, sizeof(offer.url), "https://api2.wechatpay.cn/v3/x");
	ok(trade->download(wechat, &offer, &moment, &request, &err), "another host of WeChat's");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		str_copy(offer.url, sizeof(offer.url), bad[i]);
		ok(!trade->download(wechat, &offer, &moment, &request, &err) && request.headers.count == 0,
		   "not signed for \"%s\"", bad[i]);
	}
	str_copy(offer.url, sizeof(offer.url), "http://127.0.0.1:9000/v3/x?token=y");
	ok(trade->download(wechat_sandbox, &offer, &moment, &request, &err), "a sandbox's own");
	str_copy(offer.url, sizeof(offer.url), "http://127.0.0.1:9001/v3/x?token=y");
	ok(!trade->download(wechat_sandbox, &offer, &moment, &request, &err), "but no other's");
}

/* ---- Alipay ---- */

static void
alipay_answers(bool is_signed, const char *node)
{
	HttpAnswer	answer;

	http_answer_init(&answer);
	answer.outcome = HTTP_ANSWERED;
	answer.status = 200;
	akit_answer(&answer.body, is_signed ? akit_alipay : akit_root, ALIPAY_NODE, node, strlen(node), NULL);
	memset(&offer, 0x55, sizeof(offer));
	channel_bill("alipay", "trade")->read_offer(alipay, &answer, AKIT_NOW, &offer);
	http_answer_free(&answer);
}

static void
test_alipay(void)
{
	const ChannelBill *trade = channel_bill("alipay", "trade");

	ok(trade->ask(alipay, "2026-11-27", "", &moment, &request, &err), "Alipay's is asked for");
	has(buf_str(&request.url), "method=alipay.data.dataservice.bill.downloadurl.query", "by its method");
	is_str(akit_value(buf_str(&request.body), "biz_content"),
		   "{\"bill_type\":\"trade\",\"bill_date\":\"2026-11-27\"}", "the bill of trades");
	ok(channel_bill("alipay", "account")->ask(alipay, "2026-11-27", "", &moment, &request, &err), "the account's");
	is_str(akit_value(buf_str(&request.body), "biz_content"),
		   "{\"bill_type\":\"signcustomer\",\"bill_date\":\"2026-11-27\"}", "which has another name there");
	ok(!trade->ask(alipay, "2026-11-27\",\"x\":\"", "", &moment, &request, &err), "no day");

#define AURL "dwbillcenter.alipay.com/downloadBillFile.resource?bizType=trade&token=x"
	alipay_answers(true, "{\"code\":\"10000\",\"bill_download_url\":\"http://" AURL "\"}");
	is_int(offer.answer, BILL_READY, "an offer");
	is_str(offer.url, "https://" AURL, "of http becomes one of https");
	ok(trade->download(alipay, &offer, &moment, &request, &err), "and is downloaded");
	is_str(buf_str(&request.url), "https://" AURL, "from there");
	ok(http_header_get(&request.headers, "Authorization") == NULL, "without a signature of ours");
	alipay_answers(false, "{\"code\":\"10000\",\"bill_download_url\":\"http://" AURL "\"}");
	is_int(offer.answer, BILL_UNKNOWN, "signed by somebody else, it is none");
	alipay_answers(true, "{\"code\":\"10000\",\"bill_download_url\":\"https://evil.example/x\"}");
	is_int(offer.answer, BILL_REFUSED, "a host that is not Alipay's");
	str_copy(offer.url, sizeof(offer.url), "https://alipay.com.evil.example/x");
	ok(!trade->download(alipay, &offer, &moment, &request, &err), "not followed");
	str_copy(offer.url, sizeof(offer.url), "https://notalipay.com/x");
	ok(!trade->download(alipay, &offer, &moment, &request, &err), "nor this one");
	alipay_answers(true, "{\"code\":\"10000\",\"bill_file_code\":\"EMPTY_DATA_WITH_BILL_FILE\","
				   "\"bill_download_url\":\"http://" AURL "\"}");
	is_int(offer.answer, BILL_EMPTY, "an empty one");
	alipay_answers(true, "{\"code\":\"40004\",\"sub_code\":\"NO_BILL_DATA\"}");
	is_int(offer.answer, BILL_EMPTY, "no business");
	alipay_answers(true, "{\"code\":\"40004\",\"sub_code\":\"isp.bill_not_exist\",\"sub_msg\":\"later\"}");
	is_int(offer.answer, BILL_NOT_YET, "not yet");
	is_str(offer.message, "later", "its words");
	alipay_answers(true, "{\"code\":\"40004\",\"sub_code\":\"BILL_NOT_EXIST\"}");
	is_int(offer.answer, BILL_NOT_YET, "by its other name");
	alipay_answers(true, "{\"code\":\"40004\",\"sub_code\":\"TYPE_NOT_SUPPORTED\"}");
	is_int(offer.answer, BILL_REFUSED, "for a person");
	alipay_answers(true, "{\"code\":\"20000\",\"sub_code\":\"aop.unknow-error\"}");
	is_int(offer.answer, BILL_UNKNOWN, "an error of Alipay's");
	alipay_answers(true, "{\"code\":\"40005\",\"sub_code\":\"isv.app-call-limited\"}");
	is_int(offer.answer, BILL_UNKNOWN, "throttled");
}

/* ---- Stripe ---- */

static void
stripe_answers(int status, const char *body)
{
	HttpAnswer	answer;

	http_answer_init(&answer);
	answer.outcome = HTTP_ANSWERED;
	answer.status = status;
	buf_adds(&answer.body, body);
	http_header_add(&answer.headers, "Content-Type", "application/json");
	memset(&offer, 0x55, sizeof(offer));
	channel_bill("stripe", "balance")->read_offer(stripe, &answer, SKIT_NOW, &offer);
	http_answer_free(&answer);
}

static void
test_stripe(void)
{
	const ChannelBill *balance = channel_bill("stripe", "balance");
	HttpAnswer	answer;
	Buf			file = BUF_INIT;

#define STRIPE_URL \
	"https://api.stripe.com/v1/balance_transactions?created%5Bgte%5D=1795737600&created%5Blt%5D=1795824000" \
	"&limit=100&expand%5B%5D=data.source"
	asks(balance, stripe, "2026-11-27", "", STRIPE_URL);
	has(http_header_get(&request.headers, "Authorization"), "Bearer ", "with the key");
	ok(http_header_get(&request.headers, "Idempotency-Key") == NULL, "and moves nothing");
	asks(balance, stripe, "2026-11-27", "txn_9", STRIPE_URL "&starting_after=txn_9");
	ok(!balance->ask(stripe, "2026-11-27", "txn&x", &moment, &request, &err), "no place to go on from");
	ok(!balance->ask(stripe, "yesterday", "", &moment, &request, &err), "no day");

	stripe_answers(200, "{\"object\":\"list\",\n\"data\":[{\"id\":\"txn_1\"},{\"id\":\"txn_2\"}],\n\"has_more\":true}");
	is_int(offer.answer, BILL_PAGE, "a page");
	ok(offer.more, "and another follows");
	is_str(offer.cursor, "txn_2", "behind its last");
	stripe_answers(200, "{\"object\":\"list\",\"data\":[{\"id\":\"txn_1\"}],\"has_more\":false}");
	ok(offer.answer == BILL_PAGE && !offer.more, "the last page");
	stripe_answers(200, "{\"object\":\"list\",\"data\":[],\"has_more\":false}");
	is_int(offer.answer, BILL_EMPTY, "nothing");
	stripe_answers(200, "{\"object\":\"list\",\"data\":[{}],\"has_more\":true}");
	is_int(offer.answer, BILL_UNKNOWN, "a list that does not lead on");
	stripe_answers(200, "{\"object\":\"list\"}");
	is_int(offer.answer, BILL_UNKNOWN, "no list");
	stripe_answers(401, "{\"error\":{\"type\":\"invalid_request_error\",\"message\":\"Invalid API Key: sk_live_abc\"}}");
	is_int(offer.answer, BILL_REFUSED, "the key is wrong");
	lacks(offer.message, "sk_live_abc", "and is not said");
	stripe_answers(429, "{\"error\":{\"code\":\"rate_limit\"}}");
	is_int(offer.answer, BILL_UNKNOWN, "throttled");
	is_str(offer.code, "rate_limit", "its code");

	http_answer_init(&answer);
	buf_adds(&answer.body, "{\n\"a\":\r\n1}");
	ok(bill_add_page(&answer, &file) && bill_add_page(&answer, &file), "pages are added");
	is_str(buf_str(&file), "{ \"a\":  1}\n{ \"a\":  1}\n", "each as one line");
	http_answer_free(&answer);
	buf_free(&file);
}

/* No answer says nothing, whoever did not give it. */
static void
test_none(void)
{
	static const char *const kinds[] = {"wechat", "alipay", "stripe"};
	void	   *configs[] = {wechat, alipay, stripe};
	HttpAnswer	answer;
	int			i;

	http_answer_init(&answer);
	answer.outcome = HTTP_SENT_UNKNOWN;
	str_copy(answer.error, sizeof(answer.error), "no answer in time");
	for (i = 0; i < 3; i++)
	{
		channel_bill_at(kinds[i], 0)->read_offer(configs[i], &answer, KIT_NOW, &offer);
		is_int(offer.answer, BILL_UNKNOWN, kinds[i]);
		is_str(offer.message, "no answer in time", "in its words");
	}
	http_answer_free(&answer);
}

int
main(void)
{
	kit_start();
	akit_start();
	http_request_init(&request);
	wechat = open_channel("wechat", KIT_CONFIG, kit_read_key);
	wechat_sandbox = open_channel("wechat",
								  "{\"mchid\":\"1900000100\",\"merchant_serial\":\"" KIT_MERCHANT_SERIAL "\","
								  "\"private_key\":\"apiclient_key.pem\",\"apiv3_key\":\"apiv3_new.key\","
								  "\"wechat_keys\":{\"" KIT_PUB_KEY_ID "\":\"pub_key.pem\"},"
								  "\"base_url\":\"http://127.0.0.1:9000\"}", kit_read_key);
	alipay = open_channel("alipay", AKIT_CONFIG, akit_read_key);
	stripe = open_channel("stripe", SKIT_CONFIG, skit_read_key);
	test_wechat_ask();
	test_wechat_offer();
	test_wechat_download();
	test_alipay();
	test_stripe();
	test_none();
	http_request_free(&request);
	channel_lookup("wechat")->close(wechat);
	channel_lookup("wechat")->close(wechat_sandbox);
	channel_lookup("alipay")->close(alipay);
	channel_lookup("stripe")->close(stripe);
	kit_stop();
	akit_stop();
	return unit_done();
}
