/*-------------------------------------------------------------------------
 *
 * alipay_biz.c
 *	  What the business content of all of Alipay's calls and answers is made
 *	  of: strings, yuan, times; and how an outcome spoils an answer.
 *
 * sandbox/alipay_biz.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "alipay.h"

/* A string of 1..max bytes or absent; false if it is anything else. */
bool
alipay_take_string(json_t *biz, const char *name, size_t max, const char **out)
{
	json_t	   *v = json_object_get(biz, name);

	*out = json_string_value(v);
	return v == NULL ||
		(*out != NULL && json_string_length(v) >= 1 && json_string_length(v) <= max &&
		 strlen(*out) == json_string_length(v));
}

/*
 * Yuan with at most two decimals, as a string: a number works in some cases
 * only (2.1), so here it never does.
 */
bool
alipay_take_yuan(json_t *biz, const char *name, int64_t *fen)
{
	const char *s = json_string_value(json_object_get(biz, name));
	size_t		whole = s ? strspn(s, "0123456789") : 0;
	const char *p = s ? s + whole : "";
	int			decimals = 0;

	if (whole == 0 || whole > 11 || (whole > 1 && s[0] == '0'))
		return false;
	*fen = atoll(s) * 100;
	if (*p == '.')
	{
		for (p++; *p >= '0' && *p <= '9' && decimals < 2; p++, decimals++)
			*fen += (*p - '0') * (decimals == 0 ? 10 : 1);
		if (decimals == 0)
			return false;
	}
	return *p == '\0' && *fen > 0;
}

void
alipay_set_yuan(json_t *node, const char *name, int64_t fen)
{
	char		text[32];

	alipay_yuan(fen, text);
	json_object_set_new(node, name, json_string(text));
}

void
alipay_set_time(json_t *node, const char *name, int64_t ms)
{
	char		text[40];

	alipay_time(ms, text);
	json_object_set_new(node, name, json_string(text));
}

AnswerFlaw
alipay_flaw_of(const SbOutcome *o)
{
	if (o->fault == FAULT_BAD_SIGNATURE)
		return ANSWER_BAD_SIGNATURE;
	switch ((AlipayTrick) o->trick)
	{
		case TRICK_SLASHES:
			return ANSWER_SLASHES;
		case TRICK_SLASHES_PLAIN:
			return ANSWER_SLASHES_PLAIN;
		case TRICK_UNKNOWN_CERTIFICATE:
			return ANSWER_UNKNOWN_CERTIFICATE;
		case TRICK_ERROR_NODE:
			return ANSWER_ERROR_NODE;
		case TRICK_ODD_ANSWER:
			return ANSWER_ODD;
		default:
			return ANSWER_GOOD;
	}
}
