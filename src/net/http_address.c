/*-------------------------------------------------------------------------
 *
 * http_address.c
 *	  Where a URL that a person has configured may point.
 *
 * The server stands where its own services and the cloud's metadata can be reached,
 * and whoever may configure a webhook need not be allowed there.  A name is judged
 * when it is configured, for the sake of a clear error, and its address again when
 * a socket is opened for it (http_client's address_allowed), for a name may
 * be given another address at any time.
 *
 * src/net/http_address.c
 *
 *-------------------------------------------------------------------------
 */
#include "net/http_address.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define URL_MAX		2000

typedef struct Range
{
	unsigned char prefix[16];
	int			bits;
} Range;

/* RFC 6890 and its successors: everything that is not globally reachable. */
static const Range ranges4[] = {
	{{0}, 8}, {{10}, 8}, {{100, 64}, 10}, {{127}, 8}, {{169, 254}, 16}, {{172, 16}, 12},
	{{192, 0, 0}, 24}, {{192, 0, 2}, 24}, {{192, 88, 99}, 24}, {{192, 168}, 16}, {{198, 18}, 15},
	{{198, 51, 100}, 24}, {{203, 0, 113}, 24}, {{224}, 4}, {{240}, 4}
};

static const Range ranges6[] = {
	{{0x01, 0x00}, 64}, {{0x20, 0x01, 0x00}, 23}, {{0x20, 0x01, 0x0d, 0xb8}, 32}, {{0x3f, 0xff}, 20},
	{{0x5f, 0x00}, 16}, {{0xfc}, 7}, {{0xfe, 0x80}, 10}, {{0xfe, 0xc0}, 10}, {{0xff}, 8}
};

static bool
in_range(const unsigned char *address, const Range *r)
{
	int			bytes = r->bits / 8;
	int			rest = r->bits % 8;

	if (memcmp(address, r->prefix, bytes) != 0)
		return false;
	return rest == 0 || ((address[bytes] ^ r->prefix[bytes]) >> (8 - rest)) == 0;
}

static bool
is_public4(const unsigned char address[4])
{
	size_t		i;

	for (i = 0; i < sizeof(ranges4) / sizeof(ranges4[0]); i++)
		if (in_range(address, &ranges4[i]))
			return false;
	return true;
}

/*
 * What carries an IPv4 address in it is judged by that: mapped, compatible,
 * translated (64:ff9b::/96, and 64:ff9b:1::/48 never), 6to4.  Teredo is in 2001::/23.
 */
static bool
is_public6(const unsigned char a[16])
{
	static const unsigned char zero[12] = {0};
	static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	static const unsigned char nat64[12] = {0x00, 0x64, 0xff, 0x9b};
	static const unsigned char nat64_local[6] = {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01};
	size_t		i;

	if (memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0)
		return is_public4(a + 12);
	if (memcmp(a, zero, 12) == 0 || memcmp(a, nat64_local, 6) == 0)
		return false;			/* ::, ::1, and compatible ones, which nobody has */
	if (a[0] == 0x20 && a[1] == 0x02)
		return is_public4(a + 2);
	for (i = 0; i < sizeof(ranges6) / sizeof(ranges6[0]); i++)
		if (in_range(a, &ranges6[i]))
			return false;
	return true;
}

bool
http_address_is_public(const struct sockaddr *addr)
{
	if (addr->sa_family == AF_INET)
		return is_public4((const unsigned char *) &((const struct sockaddr_in *) addr)->sin_addr);
	if (addr->sa_family == AF_INET6)
		return is_public6(((const struct sockaddr_in6 *) addr)->sin6_addr.s6_addr);
	return false;
}

/* ------------------------------------------------------------------------
 * URLs
 * ------------------------------------------------------------------------
 */

static bool
ends_with(const char *host, const char *suffix)
{
	size_t		n = strlen(host);
	size_t		m = strlen(suffix);

	return n >= m && strcasecmp(host + n - m, suffix) == 0;
}

/* libcurl has read it: 127.1, 0x7f000001 and 2130706433 are 127.0.0.1 by now. */
static bool
is_public_host(const char *host)
{
	struct in_addr v4;
	struct in6_addr v6;
	char		literal[64];
	size_t		len = strlen(host);

	if (inet_pton(AF_INET, host, &v4) == 1)
		return is_public4((const unsigned char *) &v4);
	if (host[0] == '[')
	{
		if (len < 3 || len - 2 >= sizeof(literal))
			return false;
		memcpy(literal, host + 1, len - 2);
		literal[len - 2] = '\0';
		literal[strcspn(literal, "%")] = '\0';
		return inet_pton(AF_INET6, literal, &v6) == 1 && is_public6(v6.s6_addr);
	}

	/* names that are this machine's or this network's, whatever a resolver says */
	if (len > 0 && host[len - 1] == '.')
		return false;
	return strchr(host, '.') != NULL &&
		!ends_with(host, ".localhost") && !ends_with(host, ".local") &&
		!ends_with(host, ".internal") && !ends_with(host, ".home.arpa");
}

static bool
is_loopback_host(const char *host)
{
	return strncmp(host, "127.", 4) == 0 || strcmp(host, "[::1]") == 0 || strcasecmp(host, "localhost") == 0;
}

static bool
judge(const char *scheme, const char *host, bool anywhere, char *err, size_t errsize)
{
	if (strcmp(scheme, "https") != 0 &&
		!(anywhere && strcmp(scheme, "http") == 0 && is_loopback_host(host)))
		snprintf(err, errsize, "the URL must begin with https://");
	else if (!anywhere && !is_public_host(host))
		snprintf(err, errsize, "the URL points into a private network");
	else
		return true;
	return false;
}

bool
http_url_acceptable(const char *url, bool anywhere, char *err, size_t errsize)
{
	CURLU	   *parsed;
	char	   *scheme = NULL;
	char	   *host = NULL;
	const char *p;
	bool		good = false;

	for (p = url; *p > ' ' && *p <= '~' && *p != '#'; p++)
		;
	if (*p != '\0' || p == url || p - url > URL_MAX)
	{
		snprintf(err, errsize, "the URL is empty, longer than %d bytes, or has a character that must be encoded", URL_MAX);
		return false;
	}
	parsed = curl_url();
	if (parsed == NULL || curl_url_set(parsed, CURLUPART_URL, url, CURLU_DISALLOW_USER) != CURLUE_OK ||
		curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
		curl_url_get(parsed, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		snprintf(err, errsize, "the URL cannot be read, or has a user name in it");
	else
		good = judge(scheme, host, anywhere, err, errsize);
	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(parsed);
	return good;
}
