/*-------------------------------------------------------------------------
 *
 * relation.c
 *	  The oids of our own tables, indexes and sequences.
 *
 * A submit needs about a dozen of them.  They are remembered until any relation's
 * name or any schema changes: DROP and CREATE EXTENSION give new ones.
 *
 * src/base/relation.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/relation.h"

#include "catalog/namespace.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#define REMEMBERED_MAX	48

static struct
{
	const char *name;			/* a literal: compared by address */
	Oid			oid;
}			remembered[REMEMBERED_MAX];
static int	nremembered = 0;

static void
forget(Datum arg, int cacheid, uint32 hashvalue)
{
	nremembered = 0;
}

Oid
relation_oid(const char *name)
{
	static bool registered = false;
	Oid			oid;
	int			i;

	for (i = 0; i < nremembered; i++)
		if (remembered[i].name == name)
			return remembered[i].oid;
	if (!registered)
	{
		CacheRegisterSyscacheCallback(RELOID, forget, (Datum) 0);
		CacheRegisterSyscacheCallback(NAMESPACEOID, forget, (Datum) 0);
		registered = true;
	}
	oid = get_relname_relid(name, get_namespace_oid("refundx", false));
	if (!OidIsValid(oid))
		elog(ERROR, "refundx.%s does not exist", name);
	if (nremembered < REMEMBERED_MAX)
	{
		remembered[nremembered].name = name;
		remembered[nremembered++].oid = oid;
	}
	return oid;
}
