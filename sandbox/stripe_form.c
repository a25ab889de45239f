/*-------------------------------------------------------------------------
 *
 * stripe_form.c
 *	  application/x-www-form-urlencoded with nested names, as Stripe takes it.
 *
 * a=1, a[b]=1, a[b][c]=1, a[]=1 and a[0]=1.  The brackets may be encoded or
 * not; libraries differ.  Everything is a string until somebody reads it.
 *
 * sandbox/stripe_form.c
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stripe.h"

#define MAX_PAIRS	1000
#define MAX_DEPTH	5
#define METADATA_MAX	50
#define METADATA_KEY	40
#define METADATA_VALUE	500

/* ---- decoding ---- */

/*
 * Put value at the path `name`, which is cut up on the way.  Arrays are
 * objects with the keys "0", "1", ...: a[] takes the next one.  A text where
 * an object is wanted is refused.
 */
static bool
put_path(json_t *at, char *name, json_t *value)
{
	char		next[24];
	int			depth = 0;
	char	   *rest = name + strcspn(name, "[");

	for (;;)
	{
		char	   *end;
		json_t	   *below;

		if (*rest == '\0')
			return json_object_set(at, name, value) == 0;
		if (*rest != '[' || ++depth > MAX_DEPTH || (end = strchr(rest, ']')) == NULL)
			return false;
		*rest = '\0';
		*end = '\0';
		below = json_object_get(at, name);
		if (below == NULL)
			json_object_set_new(at, name, below = json_object());
		if (!json_is_object(below))
			return false;
		at = below;
		name = rest + 1;
		if (*name == '\0')
		{
			snprintf(next, sizeof(next), "%zu", json_object_size(at));
			name = next;
		}
		rest = end + 1;
	}
}

static bool
take_pair(json_t *out, const char *pair, size_t len)
{
	size_t		namelen = 0;
	Buf			name = BUF_INIT,
				text = BUF_INIT;
	json_t	   *value;
	bool		ok;

	while (namelen < len && pair[namelen] != '=')
		namelen++;
	ok = memchr(pair, '\0', len) == NULL &&
		percent_decode(&name, pair, namelen, true) && name.len > 0 && name.data[0] != '[' &&
		(namelen == len || percent_decode(&text, pair + namelen + 1, len - namelen - 1, true));
	value = ok ? json_stringn(buf_str(&text), text.len) : NULL;
	ok = value != NULL && put_path(out, name.data, value);
	json_decref(value);
	buf_free(&name);
	buf_free(&text);
	return ok;
}

/* NULL and *why if it is no form. */
json_t *
stripe_form(const char *text, size_t len, const char **why)
{
	json_t	   *out = json_object();
	size_t		at = 0;
	int			pairs = 0;

	*why = "Invalid request: the parameters are not a form of UTF-8 text";
	while (at < len)
	{
		size_t		n = 0;

		while (at + n < len && text[at + n] != '&')
			n++;
		if (n > 0 && (++pairs > MAX_PAIRS || !take_pair(out, text + at, n)))
		{
			json_decref(out);
			return NULL;
		}
		at += n + 1;
	}
	return out;
}

/* ---- reading ---- */

bool
stripe_only(json_t *params, const char *const *names, StripeError *e)
{
	const char *key;
	json_t	   *value;

	json_object_foreach(params, key, value)
	{
		int			i;

		for (i = 0; names[i] != NULL && strcmp(names[i], key) != 0; i++)
			;
		if (names[i] == NULL)
		{
			stripe_fail(e, 400, "parameter_unknown", key, "Received unknown parameter: %.100s", key);
			return false;
		}
	}
	return true;
}

bool
stripe_string(json_t *params, const char *name, const char **out, StripeError *e)
{
	json_t	   *v = json_object_get(params, name);

	if (v == NULL)
		return true;
	*out = json_string_value(v);
	if (*out != NULL && **out != '\0')
		return true;
	if (*out != NULL)
		stripe_fail(e, 400, "parameter_invalid_empty", name,
					"You passed an empty string for '%s'. We assume empty values are an attempt "
					"to unset a parameter; however '%s' cannot be unset.", name, name);
	else
		stripe_fail(e, 400, "parameter_invalid_string_empty", name, "Invalid string for '%s'", name);
	return false;
}

bool
stripe_integer(json_t *params, const char *name, int64_t *out, StripeError *e)
{
	const char *s = NULL;
	char	   *end;
	long long	n;

	if (!stripe_string(params, name, &s, e))
		return false;
	if (s == NULL)
		return true;
	errno = 0;
	n = strtoll(s, &end, 10);
	if (errno != 0 || *end != '\0' || strchr("0123456789-", *s) == NULL)
	{
		stripe_fail(e, 400, "parameter_invalid_integer", name, "Invalid integer: %.100s", s);
		return false;
	}
	*out = n;
	return true;
}

/* NULL in *out: absent.  "metadata=" is an empty text, and clears it. */
bool
stripe_metadata(json_t *params, json_t **out, StripeError *e)
{
	json_t	   *m = json_object_get(params, "metadata");
	const char *key;
	json_t	   *value;

	*out = m;
	if (m == NULL || (json_is_string(m) && *json_string_value(m) == '\0'))
		return true;
	if (!json_is_object(m) || json_object_size(m) > METADATA_MAX)
	{
		stripe_fail(e, 400, NULL, "metadata", "Invalid object: metadata must be a hash of up to %d keys",
					METADATA_MAX);
		return false;
	}
	json_object_foreach(m, key, value)
	{
		if (!json_is_string(value))
			stripe_fail(e, 400, NULL, "metadata", "Metadata values must be strings: %.60s", key);
		else if (*key == '\0' || strlen(key) > METADATA_KEY)
			stripe_fail(e, 400, NULL, "metadata",
						"Metadata keys must be up to %d characters long: %.60s", METADATA_KEY, key);
		else if (json_string_length(value) > METADATA_VALUE)
			stripe_fail(e, 400, NULL, "metadata",
						"Metadata values must be up to %d characters long: %.60s", METADATA_VALUE, key);
		else
			continue;
		return false;
	}
	return true;
}
