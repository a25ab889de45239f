/*-------------------------------------------------------------------------
 *
 * alipay_node.c
 *	  Which bytes of an answer Alipay signed.
 *
 * An answer is {"<method>_response": {...}, "sign": "..."}, and signed are the
 * bytes of the first value as they came, from its brace to the one that
 * closes it.  A parser that took the answer apart and put it together again
 * would get other bytes; one that looks for the node while another looks for
 * the signature may be shown two nodes.  So this scanner goes over the
 * outermost object once, knows strings and nesting and nothing else, refuses
 * a name that occurs twice there, and hands out the only bytes that anybody
 * verifies and, after that, parses.
 *
 * src/channel/alipay_node.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "channel/alipay.h"

#define MEMBERS_MAX		16		/* Alipay sends two or three */
#define SIGN_MAX		4096

typedef struct Scan
{
	const char *data;
	size_t		len;
	size_t		at;
} Scan;

typedef struct Span
{
	const char *data;
	size_t		len;
} Span;

static void skip_space(Scan *s);
static bool scan_char(Scan *s, char c);
static bool scan_string(Scan *s, Span *inner);
static bool scan_nested(Scan *s);
static bool scan_value(Scan *s, Span *whole);
static bool span_is(const Span *span, const char *text);
static bool take_member(const Span *key, const Span *value, const char *name, AlipayNode *out,
						const char **why);
static bool unescape_slashes(const char *data, size_t len, Buf *out);

static void
skip_space(Scan *s)
{
	while (s->at < s->len && (s->data[s->at] == ' ' || s->data[s->at] == '\t' ||
							  s->data[s->at] == '\r' || s->data[s->at] == '\n'))
		s->at++;
}

static bool
scan_char(Scan *s, char c)
{
	skip_space(s);
	if (s->at >= s->len || s->data[s->at] != c)
		return false;
	s->at++;
	return true;
}

/* At a quote: past the one that closes it.  What is between stays escaped. */
static bool
scan_string(Scan *s, Span *inner)
{
	size_t		start = ++s->at;

	for (; s->at < s->len; s->at++)
	{
		if (s->data[s->at] == '\\')
			s->at++;
		else if (s->data[s->at] == '"')
		{
			inner->data = s->data + start;
			inner->len = s->at - start;
			s->at++;
			return true;
		}
	}
	return false;
}

/*
 * At a bracket: past the one that closes it.  Which kinds they are is the
 * parser's matter, once it is known whose bytes they are.
 */
static bool
scan_nested(Scan *s)
{
	int			depth = 0;
	Span		ignored;

	while (s->at < s->len)
	{
		char		c = s->data[s->at];

		if (c == '"')
		{
			if (!scan_string(s, &ignored))
				return false;
			continue;
		}
		s->at++;
		if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && --depth == 0)
			return true;
	}
	return false;
}

static bool
scan_value(Scan *s, Span *whole)
{
	size_t		start;
	Span		ignored;

	skip_space(s);
	start = s->at;
	if (start >= s->len)
		return false;
	if (s->data[start] == '"')
	{
		if (!scan_string(s, &ignored))
			return false;
	}
	else if (s->data[start] == '{' || s->data[start] == '[')
	{
		if (!scan_nested(s))
			return false;
	}
	else
		while (s->at < s->len && strchr("+-.0123456789abcdefghijklmnopqrstuvwxyzE",
										s->data[s->at]) != NULL && s->data[s->at] != '\0')
			s->at++;
	whole->data = s->data + start;
	whole->len = s->at - start;
	return whole->len > 0;
}

static bool
span_is(const Span *span, const char *text)
{
	return span->len == strlen(text) && memcmp(span->data, text, span->len) == 0;
}

static bool
take_member(const Span *key, const Span *value, const char *name, AlipayNode *out,
			const char **why)
{
	bool		is_text = value->data[0] == '"';

	if (span_is(key, name) || span_is(key, ALIPAY_NODE_ERROR))
	{
		if (out->data != NULL)
		{
			*why = "it has two nodes";
			return false;
		}
		if (!is_text && value->data[0] != '{')
		{
			*why = "its node is neither an object nor a text";
			return false;
		}
		out->data = value->data;
		out->len = value->len;
		out->is_object = !is_text;
		out->is_error = !span_is(key, name);
	}
	else if (is_text && span_is(key, "sign"))
	{
		out->sign = value->data + 1;
		out->signlen = value->len - 2;
	}
	else if (is_text && span_is(key, "alipay_cert_sn"))
	{
		out->sn = value->data + 1;
		out->snlen = value->len - 2;
	}
	return true;
}

bool
alipay_node_find(const char *body, size_t len, const char *name, AlipayNode *out,
				 const char **why)
{
	Scan		s = {body, len, 0};
	Span		keys[MEMBERS_MAX];
	Span		value;
	int			count = 0;
	int			i;

	memset(out, 0, sizeof(*out));
	*why = "it is not one whole JSON object";
	if (body == NULL || !scan_char(&s, '{'))
		return false;
	do
	{
		skip_space(&s);
		if (count == MEMBERS_MAX || s.at >= s.len || s.data[s.at] != '"' ||
			!scan_string(&s, &keys[count]) || !scan_char(&s, ':') || !scan_value(&s, &value))
			return false;

		/* an escape could spell a name that is already there in another way */
		if (memchr(keys[count].data, '\\', keys[count].len) != NULL)
		{
			*why = "a name at its top level is escaped";
			return false;
		}
		for (i = 0; i < count; i++)
			if (keys[i].len == keys[count].len &&
				memcmp(keys[i].data, keys[count].data, keys[i].len) == 0)
			{
				*why = "it has the same name twice at its top level";
				return false;
			}
		if (!take_member(&keys[count], &value, name, out, why))
			return false;
		count++;
	} while (scan_char(&s, ','));
	if (!scan_char(&s, '}'))
		return false;
	skip_space(&s);
	if (s.at != s.len)
		return false;
	*why = "it has no node of this call";
	return out->data != NULL;
}

static bool
unescape_slashes(const char *data, size_t len, Buf *out)
{
	size_t		i;

	for (i = 0; i < len; i++)
	{
		/* an escaped backslash is no escape of what follows it */
		if (data[i] == '\\' && i + 1 < len && data[i + 1] == '\\')
		{
			buf_add(out, data + i, 2);
			i++;
		}
		else if (!(data[i] == '\\' && i + 1 < len && data[i + 1] == '/'))
			buf_addc(out, data[i]);
	}
	return !out->failed;
}

/*
 * Some gateways escape slashes on the way out, behind the signature: then it
 * fits the text without them.  The second attempt is as full a verification
 * as the first, so nobody gains by it.
 */
bool
alipay_node_verify(const AlipayNode *node, const CryptoKey *key)
{
	Buf			text = BUF_INIT;
	Buf			sig = BUF_INIT;
	Buf			plain = BUF_INIT;
	bool		good = false;

	if (node->data == NULL || node->sign == NULL || node->signlen == 0 ||
		node->signlen > SIGN_MAX)
		return false;
	if (unescape_slashes(node->sign, node->signlen, &text) &&
		base64_decode(&sig, text.data, text.len))
	{
		good = rsa_verify_sha256(key, node->data, node->len, sig.data, sig.len);
		if (!good && memmem(node->data, node->len, "\\/", 2) != NULL &&
			unescape_slashes(node->data, node->len, &plain))
			good = rsa_verify_sha256(key, plain.data, plain.len, sig.data, sig.len);
	}
	buf_free(&text);
	buf_free(&sig);
	buf_free(&plain);
	return good;
}
