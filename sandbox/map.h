/*-------------------------------------------------------------------------
 *
 * map.h
 *	  From strings to pointers; entries are never removed.
 *
 * sandbox/map.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_SANDBOX_MAP_H
#define REFUNDX_SANDBOX_MAP_H

#include <stddef.h>
#include <stdint.h>

typedef struct MapEntry
{
	char	   *key;
	uint64_t	hash;
	void	   *value;
} MapEntry;

typedef struct Map
{
	MapEntry   *slot;			/* open addressing; a power of two of them */
	size_t		size;
	size_t		count;
} Map;

extern void *map_get(const Map *m, const char *key);	/* NULL if absent */
extern void map_put(Map *m, const char *key, void *value);	/* replaces */
extern uint64_t hash_string(const char *s, uint64_t seed);

/* For a program that cannot go on without memory. */
extern void *must_alloc(size_t size);	/* zeroed */
extern void *must_realloc(void *p, size_t size);
extern char *must_strdup(const char *s);

#endif							/* REFUNDX_SANDBOX_MAP_H */
