/*-------------------------------------------------------------------------
 *
 * notice.c
 *	  Configuring SMS providers, and the texts that they send.
 *
 * A text is a person's to write and a provider's to accept: templates have to
 * be registered with some of them, and no provider is asked twice about the
 * same message.  So what can be judged is judged here.
 *
 * src/api/notice.c
 *
 *-------------------------------------------------------------------------
 */
#include "api/config.h"

#include "base/clock.h"
#include "base/errors.h"
#include "base/shmem.h"
#include "money/handler.h"
#include "money/money.h"
#include "money/state.h"
#include "notice/notice.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(refundx_notice_provider_add);
PG_FUNCTION_INFO_V1(refundx_notice_provider_set);
PG_FUNCTION_INFO_V1(refundx_notice_provider_check);
PG_FUNCTION_INFO_V1(refundx_notice_template_set);

static const NoticeProvider *provider_of_kind(const char *kind);
static void provider_judge(const NoticeProvider *provider, const char *name, const char *config);
static const NoticeProvider *provider_read(const char *name, char **config);
static void provider_unknown(const char *name) pg_attribute_noreturn();
static void template_check_key(const char *transition, const char *language);

/* SQL: notice_provider_add(name text, kind text, config jsonb) returns text */
Datum
refundx_notice_provider_add(PG_FUNCTION_ARGS)
{
	static Statement insert = {
		"INSERT INTO refundx.notice_provider (name, kind, config) VALUES ($1, $2, $3::jsonb)"
		" ON CONFLICT (name) DO NOTHING", ARGS(TEXTOID, TEXTOID, TEXTOID)
	};
	static Statement same = {
		"SELECT 1 FROM refundx.notice_provider WHERE name = $1 AND kind = $2 AND config = $3::jsonb",
		ARGS(TEXTOID, TEXTOID, TEXTOID)
	};
	char	   *name = arg_text(fcinfo, 0);
	char	   *kind = arg_text(fcinfo, 1);
	char	   *config = arg_json(fcinfo, 2);
	const NoticeProvider *provider;
	Values		v = {0};

	handler_refuse("notice_provider_add");
	config_check_name("the provider's name", name);
	provider = provider_of_kind(kind);
	if (config == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("config must be given")));
	provider_judge(provider, name, config);
	SPI_connect();
	values_text(&v, name);
	values_text(&v, kind);
	values_text(&v, config);
	if (statement_run(&insert, &v) == 1)
	{
		audit_add("notice_provider_add", name, provider->label, config);
		wake_at_commit(WORKER_COURIER);
	}
	else if (statement_run(&same, &v) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_RX_NUMBER_REUSED),
				 errmsg("notice provider \"%s\" exists already, with another configuration", name),
				 errhint("Change it with refundx.notice_provider_set('%s', ...).", name),
				 errhidestmt(true)));
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

/*
 * SQL: notice_provider_set(name text, config jsonb) returns text
 *
 * Member by member, as channel_set.  A provider that was stopped (arrears,
 * keys) is tried again, for that is why one changes it.
 */
Datum
refundx_notice_provider_set(PG_FUNCTION_ARGS)
{
	static Statement update = {
		"UPDATE refundx.notice_provider"
		"   SET config = $2::jsonb, revision = revision + 1, paused = NULL, paused_since = NULL"
		" WHERE name = $1", ARGS(TEXTOID, TEXTOID)
	};
	char	   *name = arg_text(fcinfo, 0);
	char	   *change = arg_json(fcinfo, 1);
	const NoticeProvider *provider;
	char	   *config;
	Values		v = {0};

	handler_refuse("notice_provider_set");
	SPI_connect();
	provider = provider_read(name, &config);
	if (change != NULL && change[0] != '{')
		ereport(ERROR,
				(errcode(ERRCODE_RX_CONFIG),
				 errmsg("the configuration must be a JSON object"),
				 errhidestmt(true)));
	if (change != NULL)
		config = config_merge(config, change);
	provider_judge(provider, name, config);
	values_text(&v, name);
	values_text(&v, config);
	statement_run(&update, &v);
	audit_add("notice_provider_set", name, change ? "configuration" : "resumed", change);
	wake_at_commit(WORKER_COURIER);
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

/* SQL: notice_provider_check(name text) returns setof (level, item, finding) */
Datum
refundx_notice_provider_check(PG_FUNCTION_ARGS)
{
	static Statement state = {
		"SELECT refundx.armed(), p.paused, (SELECT count(*) FROM refundx.notice_template t WHERE t.provider = p.name)"
		"  FROM refundx.notice_provider p WHERE p.name = $1", ARGS(TEXTOID)
	};
	char	   *name = arg_text(fcinfo, 0);
	const NoticeProvider *provider;
	ChannelFindings findings;
	ConfigSource source;
	Values		v = {0};
	char	   *config;

	InitMaterializedSRF(fcinfo, 0);
	findings_to_rows(&findings, (ReturnSetInfo *) fcinfo->resultinfo);
	SPI_connect();
	provider = provider_read(name, &config);
	config_source(&source, config);
	provider->check(&source.source, clock_wall(), &findings);

	values_text(&v, name);
	statement_run(&state, &v);
	if (!row_null(0, 2))
		finding_add(&findings, FINDING_ERROR, "paused",
					"stopped: %s. Mend it, then call refundx.notice_provider_set('%s')", row_text(0, 2), name);
	if (row_int8(0, 3) == 0)
		finding_add(&findings, FINDING_WARNING, "templates",
					"no text uses it: see refundx.notice_template_set()");
	if (!row_bool(0, 1))
		finding_add(&findings, FINDING_ERROR, "armed", "this database is not armed for this server: nothing is sent");
	SPI_finish();
	return (Datum) 0;
}

/*
 * SQL: notice_template_set(transition text, language text, provider text,
 * template jsonb, about text) returns void; a null template takes the text away
 */
Datum
refundx_notice_template_set(PG_FUNCTION_ARGS)
{
	static Statement upsert = {
		"INSERT INTO refundx.notice_template (about, transition, language, provider, template)"
		" VALUES ($1, $2, $3, $4, $5::jsonb)"
		" ON CONFLICT (about, transition, language)"
		" DO UPDATE SET provider = excluded.provider, template = excluded.template",
		ARGS(TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID)
	};
	static Statement take_away = {
		"DELETE FROM refundx.notice_template WHERE about = $1 AND transition = $2 AND language = $3",
		ARGS(TEXTOID, TEXTOID, TEXTOID)
	};
	char	   *transition = arg_text(fcinfo, 0);
	char	   *language = arg_text(fcinfo, 1);
	char	   *name = arg_text(fcinfo, 2);
	char	   *text = arg_json(fcinfo, 3);
	char	   *about = arg_text(fcinfo, 4);
	ProductKind kind;
	const NoticeProvider *provider;
	ChannelError err = {{0}};
	char	   *config;
	Values		v = {0};

	handler_refuse("notice_template_set");
	template_check_key(transition, language);
	if (about == NULL || !product_from_name(about, &kind))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("about must be refund or withdrawal")));
	SPI_connect();
	values_text(&v, about);
	values_text(&v, transition);
	values_text(&v, language);
	if (text == NULL)
		statement_run(&take_away, &v);
	else
	{
		provider = provider_read(name, &config);
		if (!provider->template_acceptable(text, &err))
			config_error(provider->label, &err);
		values_text(&v, name);
		values_text(&v, text);
		statement_run(&upsert, &v);
	}
	audit_add("notice_template_set", psprintf("%s %s, %s", about, transition, language),
			  text ? name : "taken away", text);
	wake_at_commit(WORKER_COURIER);
	SPI_finish();
	PG_RETURN_VOID();
}

static const NoticeProvider *
provider_of_kind(const char *kind)
{
	const NoticeProvider *provider = kind ? notice_provider_lookup(kind) : NULL;
	StringInfoData known;
	int			i;

	if (provider != NULL)
		return provider;
	initStringInfo(&known);
	for (i = 0; notice_provider_at(i) != NULL; i++)
		appendStringInfo(&known, "%s%s", i ? ", " : "", notice_provider_at(i)->kind);
	ereport(ERROR,
			(errcode(ERRCODE_RX_CONFIG),
			 errmsg("there is no notice provider of kind \"%s\"", kind ? kind : ""),
			 errhint("Built in: %s.", known.data),
			 errhidestmt(true)));
}

/* As for a channel: the configuration must be right, its keys may come later. */
static void
provider_judge(const NoticeProvider *provider, const char *name, const char *config)
{
	ConfigSource source;
	ChannelError err = {{0}};
	void	   *opened;

	config_source(&source, config);
	opened = provider->open(&source.source, &err);
	if (opened != NULL)
		provider->close(opened);
	else if (!source.asked)
		config_error(provider->label, &err);
	else
		config_warning(provider->label, psprintf("notice_provider_check('%s')", name), &err);
}

static const NoticeProvider *
provider_read(const char *name, char **config)
{
	static Statement find = {
		"SELECT kind, config::text FROM refundx.notice_provider WHERE name = $1 FOR NO KEY UPDATE",
		ARGS(TEXTOID)
	};
	Values		v = {0};

	values_text(&v, name);
	if (statement_run(&find, &v) != 1)
		provider_unknown(name);
	*config = row_text(0, 2);
	return provider_of_kind(row_text(0, 1));
}

static void
provider_unknown(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_RX_CONFIG),
			 errmsg("notice provider \"%s\" does not exist", name ? name : ""),
			 errhint("refundx.notice_provider_add() makes one.")));
}

/* What the settler asks for: see write_notices() in money/settle_write.c. */
static void
template_check_key(const char *transition, const char *language)
{
	static const State told[] = {STATE_SUCCEEDED, STATE_FAILED, STATE_ABNORMAL, STATE_STOPPED, STATE_RETURNED};
	int			i;

	argument_text("transition", transition, 32);
	argument_text("language", language, 16);
	for (i = 0; i < (int) lengthof(told); i++)
		if (strcmp(transition, state_name(told[i])) == 0)
			return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("nobody is told when it becomes \"%s\"", transition),
			 errhint("Transitions: succeeded, failed, abnormal, stopped, returned. Language: a tag such as zh-CN, or * for all.")));
}
