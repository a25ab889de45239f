/*-------------------------------------------------------------------------
 *
 * alipay_form.c
 *	  A notification's parameters, and who signed them.
 *
 * The form is decoded once, from the bytes as they came.  Signed are the
 * decoded values, sorted by name and joined as name=value with '&', without
 * the signature itself.  Two things differ among Alipay's own products:
 * whether sign_type is left out too (trades) or not (messages), and whether
 * empty values count (as they should) or not.  All combinations that can make
 * a difference are tried, at most four; each is a whole verification, so
 * nobody gains by it.
 *
 * The string of decoded values is ambiguous: a value that contains "&b=" reads
 * like two parameters.  A stranger who holds a signed message could split one
 * so.  Therefore the parameters that mean something must not hold '&', which
 * alipay_callback.c sees to, and no name may occur twice or hold '=' or '&'.
 *
 * Everything that bounds the work comes before the first RSA operation.
 *
 * src/channel/alipay_form.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel/alipay.h"

#define SIGN_MAX		4096
#define SHOWN_MAX		300

static int	hex_digit(char c);
static char *decode(const char *from, size_t len, char **to);
static int	by_name(const void *a, const void *b);
static bool signed_string(const AlipayForm *form, bool with_type, bool with_empty, Buf *out);
static void trace_string(const ChannelFindings *trace, const AlipayForm *form);
static bool verify_with(const AlipayKey *key, const AlipayForm *form, const Buf *sig,
						const ChannelFindings *trace);
static CallbackResult choose_keys(const AlipayConfig *config, const AlipayForm *form, int64_t now,
								  const ChannelFindings *trace, int *first, int *last);

/* ---- decoding ---- */

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/*
 * Write the decoded bytes and a NUL at *to, and move it behind them.  NULL if
 * an escape is broken, or means a NUL: no text of Alipay's has one.
 */
static char *
decode(const char *from, size_t len, char **to)
{
	char	   *start = *to;
	size_t		i;

	for (i = 0; i < len; i++)
	{
		char		c = from[i];

		if (c == '+')
			c = ' ';
		else if (c == '%')
		{
			int			hi = i + 2 < len ? hex_digit(from[i + 1]) : -1;
			int			lo = i + 2 < len ? hex_digit(from[i + 2]) : -1;

			if (hi < 0 || lo < 0)
				return NULL;
			c = (char) (hi * 16 + lo);
			i += 2;
		}
		if (c == '\0')
			return NULL;
		*(*to)++ = c;
	}
	*(*to)++ = '\0';
	return start;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const AlipayParam *) a)->name, ((const AlipayParam *) b)->name);
}

bool
alipay_form_parse(const void *body, size_t len, AlipayForm *form, const char **why)
{
	const char *at;
	const char *end;
	char	   *to;
	int			i;

	memset(form, 0, sizeof(*form));
	*why = "it has more than 64 KiB";
	if (len > ALIPAY_FORM_MAX)
		return false;
	*why = "it is empty";
	if (len == 0)
		return false;

	/* a part never gets longer, and each has two NULs for its '=' and '&' */
	form->text = malloc(len + 2 * (ALIPAY_PARAMS_MAX + 1));
	*why = "out of memory";
	if (form->text == NULL)
		return false;
	at = body;
	end = at + len;
	to = form->text;
	while (at < end)
	{
		const char *stop = memchr(at, '&', (size_t) (end - at));
		const char *equals;
		AlipayParam *param = &form->param[form->count];

		if (stop == NULL)
			stop = end;
		if (form->count == ALIPAY_PARAMS_MAX)
		{
			*why = "it has more than 256 parameters";
			return false;
		}
		equals = memchr(at, '=', (size_t) (stop - at));
		*why = "it is no form: a part has no name, no '=', or a broken escape";
		if (equals == NULL || equals == at)
			return false;
		param->name = decode(at, (size_t) (equals - at), &to);
		param->value = param->name ? decode(equals + 1, (size_t) (stop - equals - 1), &to) : NULL;
		if (param->value == NULL || strpbrk(param->name, "=&") != NULL)
			return false;
		form->count++;
		at = stop < end ? stop + 1 : end;
	}
	qsort(form->param, (size_t) form->count, sizeof(form->param[0]), by_name);
	*why = "it has a parameter twice";
	for (i = 1; i < form->count; i++)
		if (strcmp(form->param[i - 1].name, form->param[i].name) == 0)
			return false;
	return true;
}

void
alipay_form_free(AlipayForm *form)
{
	free(form->text);
	memset(form, 0, sizeof(*form));
}

const char *
alipay_form_get(const AlipayForm *form, const char *name)
{
	AlipayParam wanted = {name, NULL};
	const AlipayParam *found = bsearch(&wanted, form->param, (size_t) form->count,
									   sizeof(form->param[0]), by_name);

	return found ? found->value : NULL;
}

/* ---- the signature ---- */

static bool
signed_string(const AlipayForm *form, bool with_type, bool with_empty, Buf *out)
{
	int			i;

	buf_reset(out);
	for (i = 0; i < form->count; i++)
	{
		const AlipayParam *p = &form->param[i];

		if (strcmp(p->name, "sign") == 0 || strcmp(p->name, "alipay_cert_sn") == 0 ||
			(!with_type && strcmp(p->name, "sign_type") == 0) ||
			(!with_empty && p->value[0] == '\0'))
			continue;
		if (out->len > 0)
			buf_addc(out, '&');
		buf_adds(out, p->name);
		buf_addc(out, '=');
		buf_adds(out, p->value);
	}
	return !out->failed;
}

/* What may be shown to support staff; everything else may be about a person. */
static bool
may_be_shown(const char *name)
{
	static const char *const names[] = {
		"app_id", "auth_app_id", "charset", "gmt_close", "gmt_create", "gmt_payment", "gmt_refund",
		"msg_app_id", "msg_method", "msg_type", "notify_id", "notify_time", "notify_type",
		"out_biz_no", "out_trade_no", "refund_fee", "seller_id", "service", "sign_type",
		"total_amount", "trade_no", "trade_status", "utc_timestamp", "version"
	};
	size_t		i;

	for (i = 0; i < lengthof_array(names); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* The names, and the beginning of the string; not yet known to be Alipay's. */
static void
trace_string(const ChannelFindings *trace, const AlipayForm *form)
{
	Buf			text = BUF_INIT;
	size_t		i;
	int			k;

	if (trace == NULL)
		return;
	for (k = 0; k < form->count && text.len <= SHOWN_MAX; k++)
		if (strcmp(form->param[k].name, "sign") != 0)
			buf_addf(&text, "%s%.64s=%.64s", text.len > 0 ? "&" : "", form->param[k].name,
					 form->param[k].value[0] == '\0' ? "" :
					 may_be_shown(form->param[k].name) ? form->param[k].value : "***");
	for (i = 0; i < text.len; i++)
		if (text.data[i] < ' ' || text.data[i] > '~')
			text.data[i] = '?';
	finding(trace, FINDING_OK, "parameters", "%d, \"%.300s%s\"", form->count, buf_str(&text),
			text.len > SHOWN_MAX ? "..." : "");
	buf_free(&text);
}

static bool
verify_with(const AlipayKey *key, const AlipayForm *form, const Buf *sig,
			const ChannelFindings *trace)
{
	static const struct
	{
		bool		with_type;
		bool		with_empty;
		const char *words;
	}			variants[] = {
		{false, true, "without sign_type"},
		{true, true, "with sign_type"},
		{false, false, "without sign_type and empty values"},
		{true, false, "with sign_type, without empty values"},
	};
	Buf			text = BUF_INIT;
	bool		has_empty = false;
	bool		good = false;
	size_t		i;
	int			k;

	for (k = 0; k < form->count; k++)
		has_empty = has_empty || form->param[k].value[0] == '\0';
	for (i = 0; !good && i < (has_empty ? 4 : 2); i++)
	{
		good = signed_string(form, variants[i].with_type, variants[i].with_empty, &text) &&
			rsa_verify_sha256(key->key, text.data, text.len, sig->data, sig->len);
		if (good)
			finding(trace, FINDING_OK, "signature", "it is Alipay's, over the sorted parameters %s "
					"(%lu bytes)", variants[i].words, (unsigned long) text.len);
	}
	buf_free(&text);
	return good;
}

/* In certificate mode a message may name its certificate; then it is that one. */
static CallbackResult
choose_keys(const AlipayConfig *config, const AlipayForm *form, int64_t now,
			const ChannelFindings *trace, int *first, int *last)
{
	const char *sn = alipay_form_get(form, "alipay_cert_sn");
	int			i;

	*first = 0;
	*last = config->key_count;
	if (!config->certificates || sn == NULL || sn[0] == '\0')
		return CALLBACK_EVIDENCE;
	for (i = 0; i < config->key_count; i++)
	{
		if (strcmp(config->keys[i].sn, sn) != 0)
			continue;
		*first = i;
		*last = i + 1;
		if (now <= config->keys[i].not_after)
			return CALLBACK_EVIDENCE;
		break;
	}
	finding(trace, FINDING_ERROR, "key", i < config->key_count ?
			"alipay_cert_sn names a certificate of \"alipay_certificates\" that has expired" :
			"alipay_cert_sn names a certificate that is not in \"alipay_certificates\": download it "
			"from the open platform and list it beside the old one");
	return CALLBACK_UNKNOWN_KEY;
}

CallbackResult
alipay_form_verify(const AlipayConfig *config, const AlipayForm *form, int64_t now,
				   const ChannelFindings *trace)
{
	const char *sign = alipay_form_get(form, "sign");
	const char *type = alipay_form_get(form, "sign_type");
	CallbackResult result = CALLBACK_BAD_SIGNATURE;
	Buf			sig = BUF_INIT;
	int			first,
				last,
				i;

	trace_string(trace, form);
	if (sign == NULL || sign[0] == '\0' || type == NULL)
	{
		finding(trace, FINDING_ERROR, "signature", "the parameter %s is missing or empty",
				type == NULL ? "sign_type" : "sign");
		return CALLBACK_BAD_SIGNATURE;
	}
	if (strcmp(type, "RSA2") != 0)
	{
		finding(trace, FINDING_ERROR, "signature", strcmp(type, "RSA") == 0 ?
				"sign_type is RSA, which is SHA-1: change the app to RSA2 in the open platform" :
				"sign_type is not RSA2");
		return strcmp(type, "RSA") == 0 ? CALLBACK_OLD_PROTOCOL : CALLBACK_BAD_SIGNATURE;
	}
	result = choose_keys(config, form, now, trace, &first, &last);
	if (result != CALLBACK_EVIDENCE)
		return result;
	result = CALLBACK_BAD_SIGNATURE;
	if (strlen(sign) > SIGN_MAX || !base64_decode(&sig, sign, strlen(sign)))
		finding(trace, FINDING_ERROR, "signature", "the parameter sign is no base64%s",
				strchr(sign, ' ') != NULL ? "; its '+' became spaces: the body was decoded twice, or "
				"written again without escapes" : "");
	else
	{
		for (i = first; i < last && result != CALLBACK_EVIDENCE; i++)
		{
			const AlipayKey *key = &config->keys[i];

			if (config->certificates && now > key->not_after)
				continue;
			finding(trace, FINDING_OK, "key", "%s %.32s, %d bits",
					config->certificates ? "certificate" : "public key",
					config->certificates ? key->sn : key->print, crypto_key_bits(key->key));
			if (verify_with(key, form, &sig, trace))
				result = CALLBACK_EVIDENCE;
		}
		if (result != CALLBACK_EVIDENCE)
			finding(trace, FINDING_ERROR, "signature",
					"it does not fit these bytes in either convention: a parameter was added, lost or "
					"changed on the way (a framework's), or the key is another one");
	}
	buf_free(&sig);
	return result;
}
