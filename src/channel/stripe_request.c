/*-------------------------------------------------------------------------
 *
 * stripe_request.c
 *	  The frozen form of a refund, and requests.
 *
 * The form is made once, at submit, and stored.  Whatever is sent for a
 * number later is these bytes: Stripe answers the same Idempotency-Key with
 * other parameters by an error (api/idempotent_requests).  What rises is only
 * the key's generation, and only the core raises it.
 *
 * A query asks for the refund itself once its id is known, else for the list
 * of the payment's refunds, page by page.  The cursor between two pages is
 * "<page>:<id>"; the page's number bounds how many there can be.
 *
 * src/channel/stripe_request.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "channel/stripe.h"

#define REFUNDS_PATH	"/v1/refunds"
#define ACCOUNT_PATH	"/v1/account"
#define USER_AGENT		"refundx/1"
#define ANSWER_MAX		((size_t) 1024 * 1024)

static void add_field(Buf *form, const char *name, const char *value);
static bool add_payment_data(Buf *form, const char *payment_data, ChannelError *err);
static const char *payment_field(const char *id);
static bool compose_url(const StripeConfig *config, ChannelCall call,
						const ChannelInstruction *instr, Buf *url, ChannelError *err);
static bool add_headers(const StripeConfig *config, ChannelCall call,
						const ChannelInstruction *instr, HttpRequest *out);
static bool finish(const StripeConfig *config, ChannelCall call, const ChannelInstruction *instr,
				   bool good, HttpRequest *out, ChannelError *err);

/* ---- the frozen form ---- */

static void
add_field(Buf *form, const char *name, const char *value)
{
	if (form->len > 0)
		buf_addc(form, '&');
	percent_encode(form, name, strlen(name));
	buf_addc(form, '=');
	percent_encode(form, value, strlen(value));
}

/*
 * A PaymentIntent (pi_), or a charge (ch_, of other payment methods py_); the
 * parameter is named after it.  NULL if it is neither.
 */
static const char *
payment_field(const char *id)
{
	if (id == NULL || !stripe_is_id(id, CHANNEL_NO_MAX) || strlen(id) < 4)
		return NULL;
	if (strncmp(id, "pi_", 3) == 0)
		return "payment_intent";
	if (strncmp(id, "ch_", 3) == 0 || strncmp(id, "py_", 3) == 0)
		return "charge";
	return NULL;
}

bool
stripe_payment_id_acceptable(const char *id, ChannelError *err)
{
	const char *hint = "Give the PaymentIntent's id (pi_...), or the charge's (ch_..., py_...), as the "
		"payment's channel_payment_id.";

	if (id == NULL || id[0] == '\0')
		return channel_error(err, hint, "the payment has no id of Stripe's");
	if (strstr(id, "_secret_") != NULL)
		return channel_error(err, "Give the PaymentIntent's id: the part before \"_secret_\".",
							 "the payment's id is a client secret");
	if (payment_field(id) == NULL)
		return channel_error(err, hint, "\"%.70s\" is no payment of Stripe's", id);
	return true;
}

/*
 * Of the payment's channel_data, the members that are about refunds
 * (api/refunds/create).  What Stripe would not know is refused here: a word
 * spelled wrong must not cost a platform its fee.
 */
static bool
add_payment_data(Buf *form, const char *payment_data, ChannelError *err)
{
	static const char *const flags[] = {"refund_application_fee", "reverse_transfer"};
	const char *hint = "For Stripe it may have \"reason\", \"reverse_transfer\" and "
		"\"refund_application_fee\".";
	json_t	   *data;
	json_t	   *v;
	const char *reason;
	size_t		known = 0;
	size_t		i;
	bool		good = true;

	if (payment_data == NULL)
		return true;
	data = json_hostile_object(payment_data, strlen(payment_data));
	if (data == NULL)
		return channel_error(err, hint, "the payment's channel_data is not a JSON object");
	v = json_object_get(data, "reason");
	if (v != NULL)
	{
		known++;
		reason = json_string_value(v);
		good = reason != NULL &&
			(strcmp(reason, "duplicate") == 0 || strcmp(reason, "fraudulent") == 0 ||
			 strcmp(reason, "requested_by_customer") == 0);
		if (good)
			add_field(form, "reason", reason);
		else
			channel_error(err, "Free text is the refund's own reason; this one is Stripe's.",
						  "reason must be duplicate, fraudulent or requested_by_customer");
	}
	for (i = 0; good && i < lengthof_array(flags); i++)
	{
		v = json_object_get(data, flags[i]);
		if (v == NULL)
			continue;
		known++;
		good = json_is_boolean(v);
		if (good)
			add_field(form, flags[i], json_is_true(v) ? "true" : "false");
		else
			channel_error(err, NULL, "%s must be true or false", flags[i]);
	}
	if (good && json_object_size(data) != known)
		good = channel_error(err, hint,
							 "the payment's channel_data has a member that is none of a Stripe refund");
	json_decref(data);
	return good;
}

bool
stripe_payment_data_acceptable(const char *payment_data, ChannelError *err)
{
	Buf			form = BUF_INIT;
	bool		good = add_payment_data(&form, payment_data, err);

	buf_free(&form);
	return good;
}

bool
stripe_freeze(void *arg, const ChannelInstruction *instr, Buf *request, ChannelError *err)
{
	char		digits[32];
	int64_t		amount;

	(void) arg;
	memset(err, 0, sizeof(*err));
	buf_reset(request);
	if (!channel_number_acceptable(&stripe_refunds, instr->wire_no, err) ||
		!stripe_payment_id_acceptable(instr->channel_payment_id, err))
		return false;
	if (instr->currency == NULL || instr->amount < 1 ||
		!stripe_amount_to(instr->currency, instr->amount, &amount))
		return channel_error(err, NULL, "a refund of %lld %.8s cannot be said to Stripe",
							 (long long) instr->amount, instr->currency ? instr->currency : "");
	snprintf(digits, sizeof(digits), "%lld", (long long) amount);
	add_field(request, payment_field(instr->channel_payment_id), instr->channel_payment_id);
	add_field(request, "amount", digits);
	add_field(request, "metadata[refundx_no]", instr->wire_no);
	if (instr->reason != NULL && instr->reason[0] != '\0')
	{
		if (!utf8_valid(instr->reason, strlen(instr->reason)))
			return channel_error(err, NULL, "the reason is not valid UTF-8");
		add_field(request, "metadata[refundx_reason]", instr->reason);
	}
	if (!add_payment_data(request, instr->payment_data, err))
		return false;
	if (request->failed || request->len == 0)
		return channel_error(err, NULL, "the refund's request could not be put together");
	return true;
}

/* ---- cursors ---- */

bool
stripe_cursor_read(const char *cursor, int *page, const char **after)
{
	int			n = 0;
	const char *p;

	*page = 1;
	*after = NULL;
	if (cursor == NULL || cursor[0] == '\0')
		return true;
	for (p = cursor; *p >= '0' && *p <= '9' && p - cursor < 4; p++)
		n = n * 10 + (*p - '0');
	if (p == cursor || *p != ':' || n < 2 || n > STRIPE_PAGES_MAX ||
		!stripe_is_id(p + 1, CHANNEL_NO_MAX))
		return false;
	*page = n;
	*after = p + 1;
	return true;
}

bool
stripe_cursor_write(int page, const char *after, char *out, size_t outsize)
{
	int			n = snprintf(out, outsize, "%d:%s", page, after);

	if (page <= STRIPE_PAGES_MAX && n > 0 && (size_t) n < outsize)
		return true;
	out[0] = '\0';
	return false;
}

/* ---- requests ---- */

static bool
compose_query(const ChannelInstruction *instr, Buf *url, ChannelError *err)
{
	const char *field;
	const char *after;
	int			page;

	if (instr == NULL || instr->wire_no == NULL || instr->wire_no[0] == '\0')
		return channel_error(err, NULL, "a refund without a number cannot be asked about");
	if (instr->channel_refund_id != NULL && instr->channel_refund_id[0] != '\0')
	{
		buf_adds(url, REFUNDS_PATH "/");
		percent_encode(url, instr->channel_refund_id, strlen(instr->channel_refund_id));
		return true;
	}
	field = payment_field(instr->channel_payment_id);
	if (field == NULL)
		return stripe_payment_id_acceptable(instr->channel_payment_id, err);
	if (!stripe_cursor_read(instr->cursor, &page, &after))
		return channel_error(err, NULL, "a list of refunds cannot go on from this place");
	buf_addf(url, REFUNDS_PATH "?%s=%s&limit=%d", field, instr->channel_payment_id, STRIPE_PAGE);
	if (after != NULL)
		buf_addf(url, "&starting_after=%s", after);
	return true;
}

static bool
compose_url(const StripeConfig *config, ChannelCall call, const ChannelInstruction *instr,
			Buf *url, ChannelError *err)
{
	buf_reset(url);
	buf_adds(url, config->base_url);
	switch (call)
	{
		case CALL_SUBMIT:
			buf_adds(url, REFUNDS_PATH);
			return true;
		case CALL_QUERY:
			return compose_query(instr, url, err);
		case CALL_CANCEL:		/* of transfers only */
		case CALL_ABNORMAL:
			break;
		case CALL_ECHO:
			buf_adds(url, ACCOUNT_PATH);
			return true;
	}
	return channel_error(err, NULL, "Stripe has no such call");
}

static bool
add_headers(const StripeConfig *config, ChannelCall call, const ChannelInstruction *instr,
			HttpRequest *out)
{
	Buf			text = BUF_INIT;
	bool		good;

	buf_addf(&text, "Bearer %s", config->secret_key);
	good = !text.failed && http_header_add(&out->headers, "Authorization", buf_str(&text)) &&
		http_header_add(&out->headers, "Accept", "application/json") &&
		http_header_add(&out->headers, "User-Agent", USER_AGENT) &&
		http_header_add(&out->headers, "Stripe-Version", config->api_version);
	buf_wipe(&text);
	if (good && config->connect)
		good = http_header_add(&out->headers, "Stripe-Account", config->account_id);
	if (good && call == CALL_SUBMIT)
	{
		/* at most 255 characters; this has less than 90 */
		buf_addf(&text, "refundx-%s-%d", instr->wire_no, instr->generation);
		good = !text.failed &&
			http_header_add(&out->headers, "Content-Type", "application/x-www-form-urlencoded") &&
			http_header_add(&out->headers, "Idempotency-Key", buf_str(&text));
		buf_free(&text);
	}
	return good;
}

bool
stripe_build(void *arg, ChannelCall call, const ChannelInstruction *instr,
			 const Buf *frozen, const ChannelMoment *moment,
			 HttpRequest *out, ChannelError *err)
{
	const StripeConfig *config = arg;
	bool		good;

	(void) moment;				/* nothing is signed, and there is no other host */
	memset(err, 0, sizeof(*err));
	http_request_free(out);
	http_request_init(out);
	if (call == CALL_SUBMIT && (frozen == NULL || frozen->failed || frozen->len == 0))
		return channel_error(err, NULL, "a refund without its frozen request cannot be sent");
	if (call == CALL_SUBMIT && (instr == NULL || instr->generation < 0 ||
								!channel_number_acceptable(&stripe_refunds, instr->wire_no, err)))
		return channel_error(err, NULL, "a refund without a number cannot be sent");

	good = compose_url(config, call, instr, &out->url, err);
	if (call == CALL_SUBMIT)
		buf_add(&out->body, frozen->data, frozen->len);
	return finish(config, call, instr, good, out, err);
}

bool
stripe_finish_get(const StripeConfig *config, HttpRequest *out, ChannelError *err)
{
	return finish(config, CALL_QUERY, NULL, true, out, err);
}

/* What every request has; if it is not good so far, it is left empty. */
static bool
finish(const StripeConfig *config, ChannelCall call, const ChannelInstruction *instr, bool good,
	   HttpRequest *out, ChannelError *err)
{
	strcpy(out->method, call == CALL_SUBMIT ? "POST" : "GET");
	good = good && !out->url.failed && !out->body.failed &&
		add_headers(config, call, instr, out);
	out->connect_timeout_ms = stripe_refunds.limits.connect_timeout_ms;
	out->total_timeout_ms = stripe_refunds.limits.call_timeout_ms;
	out->max_answer = ANSWER_MAX;
	if (good)
		return true;
	http_request_free(out);
	http_request_init(out);
	if (err->message[0] == '\0')
		channel_error(err, NULL, "the request could not be put together");
	return false;
}
