/*-------------------------------------------------------------------------
 *
 * map.c
 *	  From strings to pointers: open addressing with linear probing.
 *
 * sandbox/map.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "map.h"

void *
must_realloc(void *p, size_t size)
{
	p = realloc(p, size);
	if (p == NULL)
	{
		fprintf(stderr, "refundx-sandbox: out of memory\n");
		abort();
	}
	return p;
}

void *
must_alloc(size_t size)
{
	return memset(must_realloc(NULL, size), 0, size);
}

char *
must_strdup(const char *s)
{
	size_t		len = strlen(s) + 1;

	return memcpy(must_realloc(NULL, len), s, len);
}

/* FNV-1a, with a final mix because the table takes the low bits. */
uint64_t
hash_string(const char *s, uint64_t seed)
{
	uint64_t	h = UINT64_C(14695981039346656037) ^ seed;

	for (; *s; s++)
		h = (h ^ (unsigned char) *s) * UINT64_C(1099511628211);
	h ^= h >> 32;
	h *= UINT64_C(0xd6e8feb86659fd93);
	h ^= h >> 32;
	return h;
}

/* The key's slot, or the free slot where it would go. */
static MapEntry *
map_find(const Map *m, const char *key, uint64_t hash)
{
	size_t		i = hash & (m->size - 1);

	while (m->slot[i].key != NULL &&
		   (m->slot[i].hash != hash || strcmp(m->slot[i].key, key) != 0))
		i = (i + 1) & (m->size - 1);
	return &m->slot[i];
}

static void
map_grow(Map *m)
{
	Map			bigger = {NULL, m->size ? m->size * 2 : 64, m->count};
	size_t		i;

	bigger.slot = must_alloc(bigger.size * sizeof(MapEntry));
	for (i = 0; i < m->size; i++)
		if (m->slot[i].key != NULL)
			*map_find(&bigger, m->slot[i].key, m->slot[i].hash) = m->slot[i];
	free(m->slot);
	*m = bigger;
}

void *
map_get(const Map *m, const char *key)
{
	return m->size ? map_find(m, key, hash_string(key, 0))->value : NULL;
}

void
map_put(Map *m, const char *key, void *value)
{
	uint64_t	hash = hash_string(key, 0);
	MapEntry   *e;

	if (m->count * 2 >= m->size)
		map_grow(m);
	e = map_find(m, key, hash);
	if (e->key == NULL)
	{
		e->key = must_strdup(key);
		e->hash = hash;
		m->count++;
	}
	e->value = value;
}
