/*-------------------------------------------------------------------------
 *
 * actor.c
 *	  Who acts: the login, and the person behind it.
 *
 * Back offices share one pooled login.  Who of them acts is what the setting
 * refundx.actor says, which only a login with the role refundx_delegate may set.
 * session_user is recorded beside it, and SET ROLE changes neither.
 *
 * src/money/actor.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/money.h"

#include "base/settings.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(refundx_actor);

const char *
session_user_name(void)
{
	return GetUserNameFromId(GetSessionUserId(), false);
}

const char *
actor_name(void)
{
	if (rx_actor == NULL || rx_actor[0] == '\0')
		return NULL;

	/* again, for the role may have been revoked, or the login have changed */
	if (!settings_may_delegate())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("\"%s\" may not act for somebody else", session_user_name()),
				 errdetail("refundx.actor is set, and the login does not have the role refundx_delegate."),
				 errhint("RESET refundx.actor, or GRANT refundx_delegate.")));
	return rx_actor;
}

const char *
person_name(void)
{
	const char *actor = actor_name();

	return actor ? actor : session_user_name();
}

/* SQL: actor() returns text; null if nobody is named besides session_user. */
Datum
refundx_actor(PG_FUNCTION_ARGS)
{
	const char *actor = actor_name();

	if (actor == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(actor));
}
