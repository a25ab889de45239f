/*-------------------------------------------------------------------------
 *
 * webhook.c
 *	  Webhooks as Standard Webhooks 1.0 signs them, and what answers mean.
 *
 * What is signed is the id, the time of this try and the very bytes of the body, with
 * full stops between them.  The id stays the same over all tries: by it a receiver
 * knows what it has had already.
 *
 * src/notice/webhook.c
 *
 *-------------------------------------------------------------------------
 */
#include "notice/webhook.h"

#include "crypto/crypto.h"
#include "notice/cloudevent.h"
#include "notice/notice_util.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PREFIX	"whsec_"

/* The schedule that the specification suggests, from the first try on. */
static const int waits[] = {
	5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600
};

#define WAITS	((int) (sizeof(waits) / sizeof(waits[0])))

bool
webhook_secret_read(const char *text, size_t len, WebhookSecret *out, char *err, size_t errsize)
{
	Buf			key = BUF_INIT;
	size_t		prefix = strlen(PREFIX);
	bool		good = false;

	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r' || text[len - 1] == ' '))
		len--;
	if (len < prefix || memcmp(text, PREFIX, prefix) != 0)
		snprintf(err, errsize, "a webhook's secret begins with " PREFIX);
	else if (!base64_decode(&key, text + prefix, len - prefix))
		snprintf(err, errsize, "behind " PREFIX " the secret is not base64");
	else if (key.len < WEBHOOK_SECRET_MIN || key.len > WEBHOOK_SECRET_MAX)
		snprintf(err, errsize, "the secret must have %d to %d bytes, not %zu",
				 WEBHOOK_SECRET_MIN, WEBHOOK_SECRET_MAX, key.len);
	else
	{
		memcpy(out->key, key.data, key.len);
		out->len = key.len;
		good = true;
	}
	buf_wipe(&key);
	return good;
}

bool
webhook_sign(const WebhookSecret *secrets, int n, const char *id, int64_t timestamp,
			 const char *body, size_t len, Buf *out)
{
	Buf			text = BUF_INIT;
	unsigned char mac[32];
	bool		good = n > 0;
	int			i;

	buf_addf(&text, "%s.%" PRId64 ".", id, timestamp);
	buf_add(&text, body, len);
	for (i = 0; i < n && good; i++)
	{
		good = !text.failed &&
			hmac_sha256(secrets[i].key, secrets[i].len, text.data, text.len, mac);
		buf_adds(out, i > 0 ? " v1," : "v1,");
		base64_encode(out, mac, sizeof(mac));
	}
	buf_free(&text);
	return good && !out->failed;
}

bool
webhook_request(const char *url, const WebhookSecret *secrets, int n, const char *id,
				int64_t timestamp, const Buf *body, HttpRequest *out)
{
	char		time[24];
	Buf			signature = BUF_INIT;
	bool		good = webhook_sign(secrets, n, id, timestamp, buf_str(body), body->len, &signature);

	snprintf(time, sizeof(time), "%" PRId64, timestamp);
	snprintf(out->method, sizeof(out->method), "POST");
	buf_adds(&out->url, url);
	buf_add(&out->body, buf_str(body), body->len);
	out->connect_timeout_ms = WEBHOOK_CONNECT_MS;
	out->total_timeout_ms = WEBHOOK_TIMEOUT_MS;
	out->max_answer = 64 * 1024;
	good = http_header_add(&out->headers, "Content-Type", CLOUDEVENT_CONTENT_TYPE) && good;
	good = http_header_add(&out->headers, "webhook-id", id) && good;
	good = http_header_add(&out->headers, "webhook-timestamp", time) && good;
	good = http_header_add(&out->headers, "webhook-signature", buf_str(&signature)) && good;
	buf_free(&signature);
	return good && !out->url.failed && !out->body.failed;
}

/* ------------------------------------------------------------------------
 * Answers
 * ------------------------------------------------------------------------
 */

/* What a receiver writes into its answer is nobody's here: only its status counts. */
void
webhook_classify(const HttpAnswer *answer, WebhookResult *out)
{
	memset(out, 0, sizeof(*out));
	out->outcome = WEBHOOK_FAILED;
	if (answer->outcome != HTTP_ANSWERED)
	{
		snprintf(out->message, sizeof(out->message), "%s", answer->error);
		return;
	}
	out->status = answer->status;
	out->retry_after = notice_retry_after(answer);
	if (answer->status >= 200 && answer->status <= 299)
		out->outcome = WEBHOOK_DELIVERED;
	else if (answer->status >= 300 && answer->status <= 399)
		snprintf(out->message, sizeof(out->message),
				 "HTTP %d: redirects are not followed; the webhook's URL must be the final one", answer->status);
	else
	{
		snprintf(out->message, sizeof(out->message), "HTTP %d", answer->status);
		if (answer->status == 410)
			out->outcome = WEBHOOK_GONE;
		else if (answer->status == 429 || answer->status == 502 || answer->status == 503 ||
				 answer->status == 504)
			out->outcome = WEBHOOK_SLOW_DOWN;
	}
}

/* ------------------------------------------------------------------------
 * When to try again
 * ------------------------------------------------------------------------
 */

int
webhook_wait(int tries)
{
	if (tries < 1)
		return 0;
	return tries <= WAITS ? waits[tries - 1] : -1;
}

int
webhook_patience(void)
{
	int			sum = 0;
	int			i;

	for (i = 0; i < WAITS; i++)
		sum += waits[i];
	return sum;
}

int
webhook_rest(int failures, WebhookOutcome last)
{
	int			first = last == WEBHOOK_SLOW_DOWN ? 5 : 1;
	int			most = last == WEBHOOK_SLOW_DOWN ? 300 : 60;
	int			doublings = failures > 1 ? failures - 1 : 0;
	int			rest = first << (doublings < 10 ? doublings : 10);

	return rest < most ? rest : most;
}
