/*-------------------------------------------------------------------------
 *
 * http_address.h
 *	  Where a URL that a person has configured may point.
 *
 * This header must not include postgres.h.
 *
 * src/net/http_address.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_HTTP_ADDRESS_H
#define REFUNDX_HTTP_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

struct sockaddr;

/*
 * Whether the address is anybody's on the Internet: not this machine, not its
 * networks, not one of the ranges that are nobody's or stand for another address.
 */
extern bool http_address_is_public(const struct sockaddr *addr);

/*
 * Whether a URL may be configured: https, with a host that is not seen at once to
 * be in a private network.  With `anywhere` these may be, and plain http to a
 * loopback literal too.  err says why not, without the URL.
 */
extern bool http_url_acceptable(const char *url, bool anywhere, char *err, size_t errsize);

#endif							/* REFUNDX_HTTP_ADDRESS_H */
