/*-------------------------------------------------------------------------
 *
 * books_control.c
 *	  /sandbox/...: a look into the books, what is done by hand at a channel,
 *	  and what shall be wrong with its bills.
 *
 * sandbox/books_control.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "books.h"

static void
fail(SbRequest *req, int status, const char *why)
{
	request_answer_json(req, status, json_pack("{sb ss}", "ok", 0, "error", why));
}

static void
tell_done(SbRequest *req, const char *why, const char *what)
{
	if (why != NULL)
		fail(req, 409, why);
	else
		request_answer_json(req, 200, json_pack("{sb si}", "ok", 1, what, 1));
}

static const char *
text_field(json_t *body, const char *name)
{
	return json_string_value(json_object_get(body, name));
}

/* NULL: it has been answered. */
static SbMerchant *
named_merchant(SbRequest *req, json_t *body)
{
	const char *mchid = text_field(body, "mchid");
	SbMerchant *m = mchid ? model_merchant(mchid) : NULL;

	if (m == NULL)
		fail(req, 404, "\"mchid\" must name a merchant of this sandbox");
	return m;
}

/* A positive number of minor units; false: it has been answered. */
static bool
named_amount(SbRequest *req, json_t *body, int64_t *amount)
{
	*amount = json_integer_value(json_object_get(body, "amount"));
	if (*amount < 1 || *amount > INT64_C(100000000000))
		fail(req, 400, "\"amount\" must be a whole number of minor units, and positive");
	return !req->answered;
}

static void
post_plant(SbRequest *req, json_t *body)
{
	const char *no = text_field(body, "no");
	const char *mchid = text_field(body, "mchid");
	SbRefund   *r = no ? model_refund_any(mchid, no) : NULL;
	SbTransfer *t = no && r == NULL ? model_transfer_any(mchid, no) : NULL;

	if (r == NULL && t == NULL)
		fail(req, 404, "\"no\" must be the number of a refund or of a transfer");
	else
		tell_done(req, plant_make(r, t, text_field(body, "class"), text_field(body, "arg")), "planted");
}

static void
get_plants(SbRequest *req, json_t *body)
{
	(void) body;
	request_answer_json(req, 200, plant_report());
}

static void
post_console_refund(SbRequest *req, json_t *body)
{
	SbMerchant *m = named_merchant(req, body);
	const char *order = text_field(body, "order");
	const char *no = text_field(body, "no");
	int64_t		amount;

	if (m == NULL || !named_amount(req, body, &amount))
		return;
	if (order == NULL || no == NULL)
		fail(req, 400, "\"order\" and \"no\" are required; \"-\" makes a number");
	else
		tell_done(req, console_refund(m, order, no, amount), "refunds");
}

static void
post_console_transfer(SbRequest *req, json_t *body)
{
	SbMerchant *m = named_merchant(req, body);
	const char *no = text_field(body, "no");
	int64_t		amount;

	if (m == NULL || !named_amount(req, body, &amount))
		return;
	if (no == NULL)
		fail(req, 400, "\"no\" is required; \"-\" makes a number");
	else
		tell_done(req, console_transfer(m, no, amount), "transfers");
}

/* A deposit, or with a negative amount a withdrawal: none of a caller's business. */
static void
post_move(SbRequest *req, json_t *body)
{
	SbMerchant *m = named_merchant(req, body);
	json_t	   *change = json_object_get(body, "change");
	const char *text = text_field(body, "text");
	BookAccount account;

	if (m == NULL)
		return;
	if (!book_account_parse(text_field(body, "account"), &account))
		fail(req, 400, "\"account\" must be basic or operation");
	else if (!json_is_integer(change) || json_integer_value(change) == 0 ||
			 json_integer_value(change) > INT64_C(100000000000) ||
			 json_integer_value(change) < -INT64_C(100000000000))
		fail(req, 400, "\"change\" must be a whole number of minor units, and not 0");
	else if (text != NULL && strlen(text) > 60)
		fail(req, 400, "\"text\" must have at most 60 bytes");
	else
	{
		record_move(m, account, json_integer_value(change), text ? text : "");
		tell_done(req, NULL, "moves");
	}
}

/* What a merchant's books begin with. */
static void
post_books(SbRequest *req, json_t *body)
{
	static const char *const names[] = {"fee_rate", "basic", "operation"};
	SbMerchant *m = named_merchant(req, body);
	json_t	   *rec;
	size_t		i;

	if (m == NULL)
		return;
	rec = json_pack("{ss ss}", "e", "books", "mchid", m->mchid);
	for (i = 0; i < 3; i++)
	{
		json_t	   *v = json_object_get(body, names[i]);
		json_int_t	n = json_integer_value(v);

		if (v != NULL && (!json_is_integer(v) || n < 0 || n > (i ? INT64_C(100000000000000) : 1000000)))
			fail(req, 400, i ? "what an account has must be a whole number of minor units, and not negative" :
				 "\"fee_rate\" must be in millionths");
		else if (v != NULL)
			json_object_set(rec, names[i], v);
		if (req->answered)
		{
			json_decref(rec);
			return;
		}
	}
	ledger_add(rec, false);
	request_answer_json(req, 200, json_pack("{sb sI sI sI}", "ok", 1, "fee_rate", (json_int_t) m->fee_rate,
											"basic", (json_int_t) m->opening[BOOK_BASIC],
											"operation", (json_int_t) m->opening[BOOK_OPERATION]));
}

static void
post_spoil(SbRequest *req, json_t *body)
{
	SbMerchant *m = named_merchant(req, body);
	json_t	   *times = json_object_get(body, "times");

	if (m != NULL)
		tell_done(req, spoil_make(m, text_field(body, "kind"), text_field(body, "day"),
								  text_field(body, "what"), times ? json_integer_value(times) : 1),
				  "spoilt");
}

/* The parameter of the query; false: it has been answered. */
static bool
take_query(SbRequest *req, const char *name, Buf *out)
{
	if (request_query_value(req, name, out))
		return true;
	fail(req, 400, "?mchid=, kind= and day= are required");
	return false;
}

/* The file as it would be unpacked, without asking as the channel wants to be asked. */
static void
get_bill(SbRequest *req, json_t *body)
{
	Buf			mchid = BUF_INIT,
				kind = BUF_INIT,
				day = BUF_INIT;
	SbMerchant *m;
	int64_t		start;

	(void) body;
	if (take_query(req, "mchid", &mchid) && take_query(req, "kind", &kind) &&
		take_query(req, "day", &day))
	{
		m = model_merchant(buf_str(&mchid));
		if (m == NULL || m->channel->bill_text == NULL)
			fail(req, 404, "mchid must name a merchant of this sandbox whose bills are files");
		else if (!book_day(buf_str(&day), &start))
			fail(req, 400, "day must be YYYY-MM-DD");
		else if (!m->channel->bill_text(m, buf_str(&kind), start, SPOIL_NONE, &req->answer))
		{
			buf_reset(&req->answer);
			fail(req, 404, "there is no such kind, or nothing in it that day");
		}
		else
			request_answer(req, 200, "application/octet-stream");
	}
	buf_free(&mchid);
	buf_free(&kind);
	buf_free(&day);
}

static const struct
{
	const char *method;
	const char *path;
	void		(*handle) (SbRequest *req, json_t *body);
}			routes[] =
{
	{"POST", "/sandbox/plant", post_plant},
	{"GET", "/sandbox/plants", get_plants},
	{"POST", "/sandbox/console_refund", post_console_refund},
	{"POST", "/sandbox/console_transfer", post_console_transfer},
	{"POST", "/sandbox/move", post_move},
	{"POST", "/sandbox/books", post_books},
	{"POST", "/sandbox/spoil", post_spoil},
	{"GET", "/sandbox/bill", get_bill},
};

bool
books_control(SbRequest *req, json_t *body)
{
	size_t		i;

	for (i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
	{
		if (strcmp(routes[i].path, buf_str(&req->path)) != 0)
			continue;
		if (strcmp(routes[i].method, req->method) != 0)
			fail(req, 405, "wrong method");
		else
			routes[i].handle(req, body);
		return true;
	}
	return false;
}
