/*-------------------------------------------------------------------------
 *
 * ingest.c
 *	  Callbacks through SQL: taken in for an application that has received one,
 *	  or looked into for a person.
 *
 * callback_ingest: the same verification and the same evidence as the listener's, in the
 * caller's transaction.  So the answer that this returns may be sent only when
 * that transaction has committed: told earlier, the channel stops sending, and
 * a rollback would have lost the message for good.
 *
 * callback_inspect: the same functions again, with their steps in words, at any
 * time that one likes, and nothing is written.
 *
 * They stand on this floor, beside the listener, because they need the keys.
 *
 * src/worker/ingest.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/pg_compat.h"

#include "base/clock.h"
#include "base/errors.h"
#include "base/settings.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "worker/callback.h"

#include "money/state.h"

/* Key files are read again after this; a new revision is seen at once. */
#define KEYS_FOR_US		(60 * USECS_PER_SEC)

PG_FUNCTION_INFO_V1(refundx_callback_ingest);

typedef struct HeaderList
{
	char	   *name[HTTP_MAX_HEADERS];
	char	   *value[HTTP_MAX_HEADERS];
	int			n;
	bool		overflow;
} HeaderList;

static const OpenChannel *ready_channel(const char *name);
static void read_headers(Jsonb *headers, HeaderList *list);
static void list_headers(HeaderList *list, JsonbValue *name, JsonbValue *value);
static void bad_headers(void) pg_attribute_noreturn();
static void read_message(Callback *c, const HeaderList *list, int64 now,
						 const ChannelFindings *trace, HttpHeaders *headers);
static void take(Callback *c, const HeaderList *list);
static void count_one(const char *channel, const char *result);

/*
 * SQL: callback_ingest(channel text, headers jsonb, body bytea)
 *		returns (result text, status int, content_type text, body text)
 *
 * result is "stored", "not_ours", "test", or why it was refused.  The other
 * columns are the answer to send after COMMIT; they are null for "not_ours": a
 * message that is verified and about something else, whose answer is the
 * caller's affair.
 */
Datum
refundx_callback_ingest(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bytea	   *body = PG_GETARG_BYTEA_PP(2);
	Callback	c = {.received_at = clock_now()};
	ChannelReply reply;
	HeaderList	list = {.n = 0};
	TupleDesc	desc;
	Datum		values[4] = {0};
	bool		nulls[4] = {false, true, true, true};
	const char *result;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	read_headers(PG_GETARG_JSONB_P(1), &list);

	SPI_connect();
	c.channel = ready_channel(name);
	c.body = VARDATA_ANY(body);
	c.len = VARSIZE_ANY_EXHDR(body);
	take(&c, &list);
	result = c.result == CALLBACK_EVIDENCE ? "stored" : callback_result_name(c.result);
	if (c.result != CALLBACK_EVIDENCE)
		count_one(c.channel->name, result);
	c.channel->channel->acknowledge(c.result, c.result == CALLBACK_EVIDENCE, &reply);
	SPI_finish();

	values[0] = CStringGetTextDatum(result);
	if (c.result != CALLBACK_NOT_OURS)
	{
		values[1] = Int32GetDatum(reply.status);
		nulls[1] = false;
	}
	if (!nulls[1] && reply.content_type != NULL)
	{
		values[2] = CStringGetTextDatum(reply.content_type);
		values[3] = CStringGetTextDatum(reply.body);
		nulls[2] = nulls[3] = false;
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

static const OpenChannel *
ready_channel(const char *name)
{
	static TimestampTz keys_read_at = 0;
	TimestampTz now = GetCurrentTimestamp();
	bool		old = now - keys_read_at >= KEYS_FOR_US || now < keys_read_at;
	const OpenChannel *channel;

	keys_refresh(old);
	if (old)
		keys_read_at = now;
	channel = keys_by_name(name);
	if (channel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_RX_CHANNEL),
				 errmsg("there is no channel \"%.*s\"", NAMEDATALEN, name)));
	if (!callback_channel_ready(channel))
		ereport(ERROR,
				(errcode(ERRCODE_RX_CONFIG),
				 errmsg("callbacks of channel \"%s\" cannot be verified: %s",
						channel->name, channel->problem),
				 errhint("Answer the channel with status 503, so that it sends the callback again.")));
	return channel;
}

/* ---- headers: {"name": "value"} or {"name": ["value", ...]} ---- */

static void
read_headers(Jsonb *headers, HeaderList *list)
{
	JsonbIterator *it = JsonbIteratorInit(&headers->root);
	JsonbValue	name = {0};
	JsonbValue	value;
	JsonbIteratorToken token;
	int			depth = 0;

	if (!JB_ROOT_IS_OBJECT(headers))
		bad_headers();
	while ((token = JsonbIteratorNext(&it, &value, false)) != WJB_DONE)
	{
		switch (token)
		{
			case WJB_BEGIN_OBJECT:
			case WJB_BEGIN_ARRAY:
				if (++depth > 2 || (depth == 2 && token == WJB_BEGIN_OBJECT))
					bad_headers();
				break;
			case WJB_END_OBJECT:
			case WJB_END_ARRAY:
				depth--;
				break;
			case WJB_KEY:
				name = value;
				break;
			default:
				list_headers(list, &name, &value);
				break;
		}
	}
}

/* Too many of them is the sender's fault, and not the caller's: no error. */
static void
list_headers(HeaderList *list, JsonbValue *name, JsonbValue *value)
{
	if (value->type == jbvNull)
		return;
	if (value->type != jbvString)
		bad_headers();
	if (list->n >= HTTP_MAX_HEADERS)
	{
		list->overflow = true;
		return;
	}
	list->name[list->n] = pnstrdup(name->val.string.val, name->val.string.len);
	list->value[list->n] = pnstrdup(value->val.string.val, value->val.string.len);
	list->n++;
}

static void
bad_headers(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("headers must be an object of strings, or of arrays of strings")));
}

/* ---- the message ---- */

/*
 * Headers are on malloc, so nothing in here may raise an error before they are
 * freed; the caller does that.
 */
static void
read_message(Callback *c, const HeaderList *list, int64 now, const ChannelFindings *trace,
			 HttpHeaders *headers)
{
	int			i;

	memset(headers, 0, sizeof(*headers));
	headers->overflow = list->overflow;
	for (i = 0; i < list->n; i++)
		http_header_add(headers, list->name[i], list->value[i]);
	c->headers = headers;
	if (c->len > (size_t) rx_listen_max_body * 1024)
		c->result = CALLBACK_BAD_BODY;
	else
		callback_read(c, now, trace);
}

static void
take(Callback *c, const HeaderList *list)
{
	HttpHeaders headers;
	EvidenceRow row;

	read_message(c, list, clock_wall(), NULL, &headers);
	PG_TRY();
	{
		if (c->result == CALLBACK_EVIDENCE)
			callback_evidence_row(c, &row);
	}
	PG_FINALLY();
	{
		http_headers_free(&headers);
		c->headers = NULL;
	}
	PG_END_TRY();

	/* evidence is the row's from here on: its parts are palloc'd or the caller's */
	if (c->result == CALLBACK_EVIDENCE)
		evidence_insert_many(&row, 1);
}

static void
count_one(const char *channel, const char *result)
{
	static Statement insert = {
		"INSERT INTO refundx.callback_count (channel, result, n) VALUES ($1, $2, 1)",
		ARGS(TEXTOID, TEXTOID)
	};
	Values		v = {0};

	values_text(&v, channel);
	values_text(&v, result);
	statement_run(&insert, &v);
}

/* ------------------------------------------------------------------------
 * Looking into one
 * ------------------------------------------------------------------------
 */

#define STEPS_MAX	40

/* Filled while the channel reads, so it must not allocate or raise anything. */
typedef struct Steps
{
	int			n;
	struct
	{
		FindingLevel level;
		char		item[32];
		char		text[640];
	}			step[STEPS_MAX];
} Steps;

static void
remember_step(void *arg, FindingLevel level, const char *item, const char *text)
{
	Steps	   *steps = arg;

	if (steps->n == STEPS_MAX)
		return;
	steps->step[steps->n].level = level;
	strlcpy(steps->step[steps->n].item, item, sizeof(steps->step[0].item));
	strlcpy(steps->step[steps->n].text, text, sizeof(steps->step[0].text));
	steps->n++;
}

/* What the evidence says, in one line. */
static void
say_meaning(const Callback *c, const ChannelFindings *to)
{
	const ChannelEvidence *e = &c->evidence;
	char		amount[64] = "";

	if (e->has_amount)
		snprintf(amount, sizeof(amount), ", %lld %s (minor units)", (long long) e->amount, e->currency);
	finding(to, FINDING_OK, "meaning", "%s, %s: %s%s%s%s%s%s",
			e->code[0] ? e->code : "(no code)", e->proof ? "proof" : "a hint",
			verdict_name(e->verdict),
			e->wire_no[0] ? ", refund " : "", e->wire_no,
			e->wire_no[0] == '\0' && e->channel_payment_id[0] ? ", payment " : "",
			e->wire_no[0] == '\0' ? e->channel_payment_id : "", amount);
}

/* What the settler would do with it, by the state table. */
static void
say_effect(const Callback *c, const ChannelFindings *to)
{
	static Statement find = {
		"SELECT instruction_no, state, amount FROM refundx.instruction WHERE merchant_id = $1 AND wire_no = $2",
		ARGS(INT4OID, TEXTOID)
	};
	Values		v = {0};
	State		state;
	const Transition *t;

	if (c->evidence.merchant[0] != '\0' && strcmp(c->evidence.merchant, c->channel->merchant_no) != 0)
	{
		finding(to, FINDING_WARNING, "effect", "it is of merchant %s, this channel of %s: it moves nothing",
				c->evidence.merchant, c->channel->merchant_no);
		return;
	}
	if (c->evidence.wire_no[0] == '\0')
	{
		finding(to, FINDING_OK, "effect", "the refunds of the payment that it names are asked about");
		return;
	}
	values_int4(&v, c->channel->merchant_id);
	values_text(&v, c->evidence.wire_no);
	if (statement_run(&find, &v) != 1 || !state_from_name(row_text(0, 2), &state))
	{
		finding(to, FINDING_WARNING, "effect", "no refund here has this number: %s",
				c->evidence.proof ? "it is kept as a refund made elsewhere, for a person" :
				"it is noted, and moves nothing");
		return;
	}
	if (c->evidence.has_amount && c->evidence.amount != row_int8(0, 3))
	{
		finding(to, FINDING_WARNING, "effect", "refund %s is one of %lld: it moves nothing, and a person is told",
				row_text(0, 1), (long long) row_int8(0, 3));
		return;
	}
	t = state_transition(state, state_weigh(c->evidence.verdict, c->evidence.proof));
	finding(to, t->reaction == REACTION_CONTRADICTION ? FINDING_ERROR : FINDING_OK, "effect",
			"refund %s is %s; %s%s (%s)", row_text(0, 1), state_name(state),
			t->reaction == REACTION_MOVE ? "it becomes " :
			t->reaction == REACTION_ASK ? "the channel is asked" :
			t->reaction == REACTION_CONTRADICTION ? "this contradicts that, and a person decides" :
			"nothing changes",
			t->reaction == REACTION_MOVE ? state_name(t->to) : "", t->comment);
}

/* The answer that the listener would give. */
static void
say_answer(const Callback *c, const ChannelFindings *to)
{
	ChannelReply reply;

	c->channel->channel->acknowledge(c->result, c->result == CALLBACK_EVIDENCE, &reply);
	finding(to, FINDING_OK, "answer", "status %d%s%.200s", reply.status,
			reply.content_type ? ", " : "", reply.content_type ? reply.body : "");
}

PG_FUNCTION_INFO_V1(refundx_callback_inspect);

/*
 * SQL: callback_inspect(channel text, headers jsonb, body bytea, at timestamptz)
 *		returns setof (level text, step text, finding text)
 */
Datum
refundx_callback_inspect(PG_FUNCTION_ARGS)
{
	static const char *const levels[] = {"ok", "warning", "error"};
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bytea	   *body = PG_GETARG_BYTEA_PP(2);
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(3);
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Callback	c = {.received_at = at};
	HeaderList	list = {.n = 0};
	Steps	   *steps = palloc0(sizeof(Steps));
	ChannelFindings trace = {remember_step, steps};
	HttpHeaders headers;
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	read_headers(PG_GETARG_JSONB_P(1), &list);
	SPI_connect();
	c.channel = ready_channel(name);
	c.body = VARDATA_ANY(body);
	c.len = VARSIZE_ANY_EXHDR(body);
	read_message(&c, &list, timestamptz_to_unix_us(at) / USECS_PER_SEC, &trace, &headers);
	http_headers_free(&headers);
	c.headers = NULL;

	finding(&trace, c.result == CALLBACK_EVIDENCE || c.result == CALLBACK_TEST ||
			c.result == CALLBACK_NOT_OURS ? FINDING_OK : FINDING_ERROR,
			"result", "%s", c.result == CALLBACK_EVIDENCE ? "verified; it would be kept as evidence" :
			c.result == CALLBACK_TEST ? "verified; a self-test, of which nothing is kept" :
			c.result == CALLBACK_NOT_OURS ? "verified; about something other than a refund" :
			callback_result_name(c.result));
	if (c.result == CALLBACK_EVIDENCE)
	{
		say_meaning(&c, &trace);
		say_effect(&c, &trace);
	}
	say_answer(&c, &trace);
	SPI_finish();

	for (i = 0; i < steps->n; i++)
	{
		Datum		values[3];
		bool		nulls[3] = {0};

		values[0] = CStringGetTextDatum(levels[steps->step[i].level]);
		values[1] = CStringGetTextDatum(steps->step[i].item);
		values[2] = CStringGetTextDatum(words_as_text(steps->step[i].text));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
