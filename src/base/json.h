/*-------------------------------------------------------------------------
 *
 * json.h
 *	  jansson, without the one name that the server takes from it.
 *
 * The server exports a function json_object() of its own (the SQL function),
 * and the dynamic linker binds our calls to the first one it finds, which is
 * the server's: a crash.  No other name of a library that we link collides;
 * test/t/000_layers.pl looks.
 *
 * This header must not include postgres.h.
 *
 * src/base/json.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_JSON_H
#define REFUNDX_JSON_H

#include <jansson.h>

#define json_object()	json_pack("{}")

#endif							/* REFUNDX_JSON_H */
