/*-------------------------------------------------------------------------
 *
 * config.h
 *	  Configurations as operators give them: of channels and of SMS providers.
 *
 * src/api/config.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_CONFIG_H
#define REFUNDX_CONFIG_H

#include "base/sql.h"
#include "channel/channel.h"

/* An argument; NULL for SQL's null.  The JSON form is jsonb's own text. */
extern char *arg_text(FunctionCallInfo fcinfo, int i);
extern char *arg_json(FunctionCallInfo fcinfo, int i);

/*
 * A source that reads key files of refundx.key_directory, and remembers
 * whether it was asked: what fails before any key is read is wrong with the
 * configuration itself.
 */
typedef struct ConfigSource
{
	ChannelSource source;		/* to hand out */
	bool		asked;
} ConfigSource;

extern void config_source(ConfigSource *s, const char *config_json);

/*
 * Report what is wrong with a configuration: ERROR RX011, or a WARNING if only
 * its key files are not as they should be (they may come later).  Neither
 * repeats a value, and the statement, which has all of them, is not logged.
 */
extern void config_error(const char *what, const ChannelError *err) pg_attribute_noreturn();
extern void config_warning(const char *what, const char *check, const ChannelError *err);

/* ERROR RX011 unless it is what may stand in a URL: channels, providers. */
extern void config_check_name(const char *argument, const char *name);

/*
 * `old` with the members of `change` put in; a member that is null there is
 * taken out.  Palloc'd.  SPI must be connected.
 */
extern char *config_merge(const char *old, const char *change);

/* A row of refundx.audit; detail_json may be NULL. */
extern void audit_add(const char *action, const char *subject, const char *reason,
					  const char *detail_json);

/* Findings that become rows (level, item, finding) of a materialized result. */
extern void findings_to_rows(ChannelFindings *findings, ReturnSetInfo *rsinfo);
extern void finding_add(const ChannelFindings *findings, FindingLevel level, const char *item,
						const char *fmt,...) pg_attribute_printf(4, 5);

/* api/echo.c: ask the channel's echo endpoint, and add what it says. */
extern void echo_call(const Channel *channel, const ChannelSource *source,
					  const ChannelFindings *findings);

#endif							/* REFUNDX_CONFIG_H */
