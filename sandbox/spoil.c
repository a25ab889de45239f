/*-------------------------------------------------------------------------
 *
 * spoil.c
 *	  What is wrong with a bill's file, or with asking for it; and files that
 *	  were offered and wait to be fetched.
 *
 * sandbox/spoil.c
 *
 *-------------------------------------------------------------------------
 */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "books.h"

static const char *const words[] = {
	[SPOIL_NONE] = "none",
	[SPOIL_CREATING] = "creating",
	[SPOIL_LIMITED] = "limited",
	[SPOIL_ERROR] = "error",
	[SPOIL_NOTHING] = "nothing",
	[SPOIL_EXPIRED] = "expired",
	[SPOIL_CUT] = "cut",
	[SPOIL_TORN] = "torn",
	[SPOIL_HASH] = "hash",
	[SPOIL_TOTALS] = "totals",
	[SPOIL_HISTORIC] = "historic",
	[SPOIL_FOREIGN] = "foreign",
	[SPOIL_OTHER_DAY] = "other-day",
	[SPOIL_PATHS] = "paths"
};
#define WORD_COUNT ((int) (sizeof(words) / sizeof(words[0])))

#define ANY				"*"
#define TIMES_MAX		1000000

typedef struct Spoilt
{
	const SbMerchant *merchant;
	char		kind[24];		/* or "*" */
	char		day[16];		/* likewise */
	SbSpoil		what;
	int64_t		left;			/* so many times more, in this process */
} Spoilt;

static Spoilt *spoilt;
static size_t spoilt_count;
static size_t spoilt_cap;

static bool
parse_word(const char *s, SbSpoil *out)
{
	int			i;

	for (i = 0; s != NULL && i < WORD_COUNT; i++)
		if (strcmp(words[i], s) == 0)
		{
			*out = (SbSpoil) i;
			return true;
		}
	return false;
}

/* A later one comes before an earlier one; "none" ends those of its kind and day. */
void
apply_spoil(const json_t *rec, int64_t seq)
{
	const char *mchid = json_string_value(json_object_get(rec, "mchid"));
	const char *kind = json_string_value(json_object_get(rec, "kind"));
	const char *day = json_string_value(json_object_get(rec, "day"));
	SbMerchant *m = mchid ? model_merchant(mchid) : NULL;
	Spoilt	   *s;
	SbSpoil		what;

	(void) seq;
	if (m == NULL || kind == NULL || day == NULL ||
		!parse_word(json_string_value(json_object_get(rec, "what")), &what))
		return;
	if (spoilt_count == spoilt_cap)
	{
		spoilt_cap = spoilt_cap ? spoilt_cap * 2 : 16;
		spoilt = must_realloc(spoilt, spoilt_cap * sizeof(Spoilt));
	}
	s = &spoilt[spoilt_count++];
	s->merchant = m;
	s->what = what;
	str_copy(s->kind, sizeof(s->kind), kind);
	str_copy(s->day, sizeof(s->day), day);
	s->left = json_integer_value(json_object_get(rec, "times"));
}

static bool
fits(const char *pattern, const char *s)
{
	return strcmp(pattern, ANY) == 0 || strcmp(pattern, s) == 0;
}

SbSpoil
spoil_for(const SbMerchant *m, const char *kind, const char *day)
{
	size_t		i;

	for (i = spoilt_count; i > 0; i--)
	{
		Spoilt	   *s = &spoilt[i - 1];

		if (s->merchant != m || s->left <= 0 || !fits(s->kind, kind) || !fits(s->day, day))
			continue;
		if (s->what != SPOIL_NONE)
			s->left--;
		return s->what;
	}
	return SPOIL_NONE;
}

const char *
spoil_make(SbMerchant *m, const char *kind, const char *day, const char *what, int64_t times)
{
	SbSpoil		parsed;
	int64_t		start;

	if (kind == NULL || day == NULL || strlen(kind) > 20)
		return "\"kind\" and \"day\" are required; * is every one";
	if (strcmp(day, ANY) != 0 && !book_day(day, &start))
		return "\"day\" must be YYYY-MM-DD, or *";
	if (!parse_word(what, &parsed))
		return "it must be none, creating, limited, error, nothing, expired, cut, torn, hash, totals, "
			"historic, foreign, other-day or paths";
	if (times < 1 || times > TIMES_MAX)
		return "\"times\" must be between 1 and 1000000";
	ledger_add(json_pack("{ss ss ss ss ss sI}", "e", "spoil", "mchid", m->mchid, "kind", kind,
						 "day", day, "what", what, "times", (json_int_t) times), false);
	return NULL;
}

/* ---- offers ---- */

#define OFFERS			64		/* the oldest makes room */

static Offer offers[OFFERS];
static size_t next_offer;

const Offer *
offer_make(const SbMerchant *m, Buf *file, int64_t ms)
{
	Offer	   *o = &offers[next_offer++ % OFFERS];

	buf_free(&o->file);
	o->file = *file;
	*file = (Buf) BUF_INIT;
	o->merchant = m;
	o->expires = mono_ms() + ms;
	random_nonce(o->token);
	return o;
}

const Offer *
offer_find(const char *token)
{
	size_t		i;

	for (i = 0; i < OFFERS; i++)
		if (offers[i].token[0] != '\0' && strcmp(offers[i].token, token) == 0)
			return mono_ms() < offers[i].expires ? &offers[i] : NULL;
	return NULL;
}

/* ---- packing ---- */

bool
gzip_pack(const Buf *plain, Buf *out)
{
	z_stream	z = {0};
	char		chunk[65536];
	int			rc;

	/* 16: with gzip's own header and trailer */
	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	z.next_in = (unsigned char *) buf_str(plain);
	z.avail_in = (unsigned) plain->len;
	do
	{
		z.next_out = (unsigned char *) chunk;
		z.avail_out = sizeof(chunk);
		rc = deflate(&z, Z_FINISH);
		buf_add(out, chunk, sizeof(chunk) - z.avail_out);
	} while (rc == Z_OK);
	deflateEnd(&z);
	return rc == Z_STREAM_END && !out->failed;
}

bool
sha1_hex(const void *data, size_t len, char out[41])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	Buf			hex = BUF_INIT;
	bool		ok = EVP_Digest(data, len, digest, NULL, EVP_sha1(), NULL) == 1;

	hex_encode(&hex, digest, 20);
	str_copy(out, 41, buf_str(&hex));
	buf_free(&hex);
	return ok;
}
