/*-------------------------------------------------------------------------
 *
 * relation.h
 *	  The oids of our own tables, indexes and sequences.
 *
 * src/base/relation.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_RELATION_H
#define REFUNDX_RELATION_H

#include "base/pg_compat.h"

/* Of a relation in the schema refundx; `name` must be a literal. */
extern Oid	relation_oid(const char *name);

#endif							/* REFUNDX_RELATION_H */
