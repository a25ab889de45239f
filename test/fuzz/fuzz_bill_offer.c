/*-------------------------------------------------------------------------
 *
 * fuzz_bill_offer.c
 *	  What a channel says when it is asked for a bill, and where the download
 *	  goes to.
 *
 * Input: the channel ('w', 'a', 's'), 'S' (signed) or 'u', three digits of
 * status, then the body (of Alipay, the signed node).
 *
 * test/fuzz/fuzz_bill_offer.c
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz_alipay.h"
#include "unit/stripekit.h"

#include "channel/bill.h"

#define NODE "alipay_data_dataservice_bill_downloadurl_query_response"

static void *wechat;
static void *alipay;
static void *stripe;

static void *
open_channel(const char *kind, const char *config,
			 bool (*read_key) (void *, const char *, bool, Buf *, char *, size_t))
{
	ChannelSource source = {config, read_key, NULL};
	ChannelError err;
	void	   *opened = channel_lookup(kind)->open(&source, &err);

	fuzz_require(opened != NULL);
	return opened;
}

static void
start(void)
{
	if (wechat != NULL)
		return;
	kit_start();
	akit_start();
	wechat = open_channel("wechat", KIT_CONFIG, kit_read_key);
	alipay = open_channel("alipay", AKIT_CONFIG, akit_read_key);
	stripe = open_channel("stripe", SKIT_CONFIG, skit_read_key);
}

/* Our signature, and our trust, go to the channel's own hosts. */
static void
check_download(const ChannelBill *bill, void *config, const BillOffer *offer, bool is_wechat)
{
	static const ChannelMoment moment = {KIT_NOW, "593bec0c930bf1afeb40b4a08c8fb242", false};
	HttpRequest request;
	ChannelError err;
	const char *url;
	const char *host;
	size_t		len;

	http_request_init(&request);
	fuzz_require(bill->download(config, offer, &moment, &request, &err));
	url = buf_str(&request.url);
	fuzz_require(strncmp(url, "https://", 8) == 0);
	host = url + 8;
	len = strcspn(host, "/");
	if (is_wechat)
		fuzz_require((len >= 18 && strncasecmp(host + len - 14, ".weixin.qq.com", 14) == 0) ||
					 (len >= 15 && strncasecmp(host + len - 13, ".wechatpay.cn", 13) == 0));
	else
		fuzz_require((len > 11 && strncasecmp(host + len - 11, ".alipay.com", 11) == 0) ||
					 (len > 14 && strncasecmp(host + len - 14, ".alipaydev.com", 14) == 0));
	fuzz_require(memchr(host, '@', len) == NULL && memchr(host, '\\', len) == NULL);
	http_request_free(&request);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const ChannelBill *bill;
	BillOffer	offer;
	HttpAnswer	answer;
	void	   *config;
	bool		is_signed;

	start();
	if (size < 5)
		return 0;
	config = data[0] == 'w' ? wechat : data[0] == 'a' ? alipay : stripe;
	bill = channel_bill_at(data[0] == 'w' ? "wechat" : data[0] == 'a' ? "alipay" : "stripe", 0);
	is_signed = data[1] == 'S';
	http_answer_init(&answer);
	answer.outcome = HTTP_ANSWERED;
	answer.status = (data[2] % 10) * 100 + (data[3] % 10) * 10 + data[4] % 10;
	if (config == alipay)
		akit_answer(&answer.body, is_signed ? akit_alipay : akit_root, NODE, (const char *) data + 5,
					size - 5, NULL);
	else
		buf_add(&answer.body, data + 5, size - 5);
	if (config == wechat && is_signed)
		kit_headers(&answer.headers, kit_public_key_pair, KIT_PUB_KEY_ID, KIT_NOW, "n",
					buf_str(&answer.body), answer.body.len);
	else
		http_header_add(&answer.headers, "Content-Type", "application/json");
	memset(&offer, 0x55, sizeof(offer));
	bill->read_offer(config, &answer, KIT_NOW, &offer);
	fuzz_require_text(offer.url);
	fuzz_require_text(offer.hash);
	fuzz_require_text(offer.cursor);
	fuzz_require_text(offer.code);
	fuzz_require_text(offer.message);
	fuzz_require((int) offer.answer >= 0 && offer.answer <= BILL_UNKNOWN);
	fuzz_require((offer.answer == BILL_READY) == (offer.url[0] != '\0'));
	fuzz_require(!offer.more || (offer.answer == BILL_PAGE && offer.cursor[0] != '\0'));

	/* what is not signed offers nothing, where the channel signs */
	if (config != stripe && !is_signed)
		fuzz_require(offer.answer != BILL_READY && offer.answer != BILL_PAGE);
	if (offer.answer == BILL_READY)
		check_download(bill, config, &offer, config == wechat);
	http_answer_free(&answer);
	return 0;
}
