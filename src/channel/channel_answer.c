/*-------------------------------------------------------------------------
 *
 * channel_answer.c
 *	  What channels share in reading answers.
 *
 * src/channel/channel_answer.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>
#include <strings.h>

#include "channel/channel_answer.h"
#include "crypto/crypto.h"

#define RETRY_AFTER_MAX		86400

void
answer_begin(const HttpAnswer *answer, const char *merchant, const char *trace_header,
			 ChannelEvidence *out)
{
	const char *trace = http_header_get(&answer->headers, trace_header);

	memset(out, 0, sizeof(*out));
	out->http_status = answer->outcome == HTTP_ANSWERED ? answer->status : 0;
	str_copy(out->merchant, sizeof(out->merchant), merchant);
	text_clip(out->request_id, sizeof(out->request_id), trace ? trace : "");
}

/*
 * Two answers are two events even if they say the same: a second "not found"
 * is news.  So the digest covers the call's own circumstances too.
 */
static void
make_digest(ChannelCall call, const HttpAnswer *answer, int64_t now, ChannelEvidence *out)
{
	Buf			text = BUF_INIT;

	buf_addf(&text, "answer\n%s\n%s\n%s\n%s\n%d\n%s\n%lld\n%s\n%lld\n%lld\n",
			 channel_call_name(call), out->merchant, out->wire_no, verdict_name(out->verdict),
			 answer->status, out->code, (long long) out->amount, out->request_id,
			 (long long) now, (long long) answer->total_us);
	buf_add(&text, answer->body.data, answer->body.len);
	if (!text.failed)
		sha256(text.data, text.len, out->digest);
	buf_free(&text);
}

void
answer_end(ChannelCall call, const ChannelInstruction *instr, const HttpAnswer *answer,
		   int64_t now, ChannelEvidence *out)
{
	/* an answer belongs to its call, also when it does not name it */
	if (out->wire_no[0] == '\0' && call != CALL_ECHO && instr != NULL && instr->wire_no != NULL)
		str_copy(out->wire_no, sizeof(out->wire_no), instr->wire_no);
	make_digest(call, answer, now, out);
}

void
answer_is_none(ChannelCall call, const HttpAnswer *answer, ChannelEvidence *out)
{
	answer_note(out, answer->error);
	if (answer->outcome == HTTP_NOT_SENT && call == CALL_SUBMIT)
		out->verdict = VERDICT_NOT_EXECUTED;
	str_copy(out->code, sizeof(out->code),
			 answer->outcome == HTTP_NOT_SENT ? "NOT_SENT" : "NO_ANSWER");
}

void
answer_forget(ChannelEvidence *out)
{
	ChannelEvidence kept = {0};

	kept.authentic = out->authentic;
	kept.http_status = out->http_status;
	kept.failing = out->failing;
	memcpy(kept.merchant, out->merchant, sizeof(kept.merchant));
	memcpy(kept.message, out->message, sizeof(kept.message));
	memcpy(kept.request_id, out->request_id, sizeof(kept.request_id));
	*out = kept;
}

void
answer_note(ChannelEvidence *out, const char *text)
{
	text_clip(out->message, sizeof(out->message), text);
}

void
answer_retry_after(const HttpAnswer *answer, ChannelEvidence *out)
{
	const char *text = http_header_get(&answer->headers, "Retry-After");
	int64_t		seconds;

	if (text != NULL && parse_digits(text, &seconds))
		out->retry_after = (int) (seconds > RETRY_AFTER_MAX ? RETRY_AFTER_MAX : seconds);
}

bool
answer_is_json(const HttpHeaders *headers)
{
	const char *type = http_header_get(headers, "Content-Type");
	size_t		n = strlen("application/json");

	return type != NULL && strncasecmp(type, "application/json", n) == 0 &&
		(type[n] == '\0' || type[n] == ';' || type[n] == ' ');
}
