/*-------------------------------------------------------------------------
 *
 * channel.c
 *	  Adding, changing and checking channels.
 *
 * Nothing here knows one channel from another: each judges its own
 * configuration, through the same pure functions that the workers use, so
 * that what is accepted here can be opened there.
 *
 * src/api/channel.c
 *
 *-------------------------------------------------------------------------
 */
#include "api/config.h"

#include "base/clock.h"
#include "base/errors.h"
#include "base/settings.h"
#include "base/shmem.h"
#include "money/handler.h"
#include "money/money.h"
#include "money/payee.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(refundx_channel_add);
PG_FUNCTION_INFO_V1(refundx_channel_set);
PG_FUNCTION_INFO_V1(refundx_channel_check);

/* One row of refundx.channel. */
typedef struct ChannelRow
{
	int32		channel_id;
	const char *name;
	const Channel *channel;
	char	   *config;
	char	   *merchant_no;
	bool		closed;
} ChannelRow;

static const Channel *channel_of_kind(const char *kind);
static char *judge_config(const Channel *channel, const char *config);
static void try_keys(const Channel *channel, const char *name, const char *config);
static bool channel_insert(const char *name, const Channel *channel, const char *config,
						   const char *merchant_no);
static void channel_compare(const char *name, const Channel *channel, const char *config);
static void channel_read(const char *name, ChannelRow *row);
static void wake_for_channels(void);
static char *effective_config(const char *config);
static void check_surroundings(const ChannelRow *row, const ChannelFindings *findings);
static void check_listener(const ChannelFindings *findings);
static void check_refused_callbacks(const char *name, int32 channel_id,
									const ChannelFindings *findings);
static void check_worker(WorkerKind kind, const ChannelFindings *findings);

/*
 * SQL: channel_add(name text, kind text, config jsonb) returns text (the name)
 */
Datum
refundx_channel_add(PG_FUNCTION_ARGS)
{
	char	   *name = arg_text(fcinfo, 0);
	char	   *kind = arg_text(fcinfo, 1);
	char	   *config = arg_json(fcinfo, 2);
	const Channel *channel;
	char	   *merchant_no;

	handler_refuse("channel_add");
	config_check_name("the channel's name", name);
	channel = channel_of_kind(kind);
	merchant_no = judge_config(channel, config);
	SPI_connect();
	if (channel_insert(name, channel, config, merchant_no))
	{
		audit_add("channel_add", name, psprintf("%s, merchant %s", channel->label, merchant_no), config);
		wake_for_channels();
		try_keys(channel, name, config);
	}
	else
		channel_compare(name, channel, config);
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

static const Channel *
channel_of_kind(const char *kind)
{
	const Channel *channel = kind ? channel_lookup(kind) : NULL;
	StringInfoData known;
	int			i;

	if (channel != NULL)
		return channel;
	initStringInfo(&known);
	for (i = 0; channel_at(i) != NULL; i++)
		appendStringInfo(&known, "%s%s", i ? ", " : "", channel_at(i)->kind);
	ereport(ERROR,
			(errcode(ERRCODE_RX_CHANNEL),
			 errmsg("there is no channel of kind \"%s\"", kind ? kind : ""),
			 errhint("Built in: %s.", known.data),
			 errhidestmt(true)));
}

/* ERROR unless the channel can read it; the merchant that it names. */
static char *
judge_config(const Channel *channel, const char *config)
{
	char		merchant[CHANNEL_MERCHANT_MAX + 1];
	ChannelError err = {{0}};

	if (config == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("config must be given")));
	if (!channel->merchant(config, merchant, &err))
		config_error(channel->label, &err);
	return pstrdup(merchant);
}

/*
 * The keys may come later than the configuration, from other people; so what
 * is wrong with them is only said.
 */
static void
try_keys(const Channel *channel, const char *name, const char *config)
{
	ConfigSource source;
	ChannelError err = {{0}};
	void	   *opened;

	config_source(&source, config);
	opened = channel->open(&source.source, &err);
	if (opened != NULL)
		channel->close(opened);
	else if (!source.asked)
		config_error(channel->label, &err);
	else
		config_warning(channel->label, psprintf("channel_check('%s')", name), &err);
}

/* False if the name is taken. */
static bool
channel_insert(const char *name, const Channel *channel, const char *config,
			   const char *merchant_no)
{
	/* several channels may be one merchant's: its pace and its pause are one */
	static Statement merchant = {
		"INSERT INTO refundx.merchant (kind, merchant_no) VALUES ($1, $2)"
		" ON CONFLICT (kind, merchant_no) DO NOTHING", ARGS(TEXTOID, TEXTOID)
	};
	static Statement insert = {
		"INSERT INTO refundx.channel (name, kind, merchant_id, config)"
		" SELECT $3, $1, merchant_id, $4::jsonb FROM refundx.merchant"
		"  WHERE kind = $1 AND merchant_no = $2"
		" ON CONFLICT (name) DO NOTHING", ARGS(TEXTOID, TEXTOID, TEXTOID, TEXTOID)
	};
	static Statement taken = {
		"SELECT 1 FROM refundx.channel WHERE name = $1", ARGS(TEXTOID)
	};
	Values		v = {0};

	values_text(&v, name);
	if (statement_run(&taken, &v) == 1)
		return false;
	values_reset(&v);
	values_text(&v, channel->kind);
	values_text(&v, merchant_no);
	statement_run(&merchant, &v);
	values_text(&v, name);
	values_text(&v, config);
	return statement_run(&insert, &v) == 1;
}

/* The same channel again is fine; another one of its name is not. */
static void
channel_compare(const char *name, const Channel *channel, const char *config)
{
	static Statement same = {
		"SELECT 1 FROM refundx.channel WHERE name = $1 AND kind = $2 AND config = $3::jsonb",
		ARGS(TEXTOID, TEXTOID, TEXTOID)
	};
	Values		v = {0};

	values_text(&v, name);
	values_text(&v, channel->kind);
	values_text(&v, config);
	if (statement_run(&same, &v) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_RX_NUMBER_REUSED),
				 errmsg("channel \"%s\" exists already, with another configuration", name),
				 errhint("Change it with refundx.channel_set('%s', ...).", name),
				 errhidestmt(true)));
}

/* Lock a channel's row and read it; ERROR RX008 if there is none. */
static void
channel_read(const char *name, ChannelRow *row)
{
	static Statement lock = {
		"SELECT c.channel_id, c.kind, c.config::text, m.merchant_no, c.closed"
		"  FROM refundx.channel c JOIN refundx.merchant m USING (merchant_id)"
		" WHERE c.name = $1 FOR NO KEY UPDATE OF c", ARGS(TEXTOID)
	};
	Values		v = {0};

	values_text(&v, name);
	if (statement_run(&lock, &v) != 1)
		channel_complain(name ? name : "");
	row->channel_id = row_int4(0, 1);
	row->name = name;
	row->channel = channel_of_kind(row_text(0, 2));
	row->config = row_text(0, 3);
	row->merchant_no = row_text(0, 4);
	row->closed = row_bool(0, 5);
}

/*
 * SQL: channel_set(name text, config jsonb, closed boolean) returns text
 *
 * The configuration given is put into the one there is, member by member; a
 * null takes a member out.
 */
Datum
refundx_channel_set(PG_FUNCTION_ARGS)
{
	static Statement update = {
		"UPDATE refundx.channel SET config = $2::jsonb, closed = $3, revision = revision + 1"
		" WHERE channel_id = $1 AND (config, closed) IS DISTINCT FROM ($2::jsonb, $3)",
		ARGS(INT4OID, TEXTOID, BOOLOID)
	};
	char	   *name = arg_text(fcinfo, 0);
	char	   *change = arg_json(fcinfo, 1);
	ChannelRow	row;
	Values		v = {0};
	char	   *merchant_no;
	bool		closed;

	handler_refuse("channel_set");
	SPI_connect();
	channel_read(name, &row);
	closed = PG_ARGISNULL(2) ? row.closed : PG_GETARG_BOOL(2);
	if (change != NULL)
	{
		if (change[0] != '{')
			ereport(ERROR,
					(errcode(ERRCODE_RX_CONFIG),
					 errmsg("the configuration must be a JSON object"),
					 errhidestmt(true)));
		/* a pasted key is refused before it is merged into anything */
		row.config = config_merge(row.config, change);
		merchant_no = judge_config(row.channel, row.config);
		if (strcmp(merchant_no, row.merchant_no) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_RX_CONFIG),
					 errmsg("channel \"%s\" belongs to merchant %s and cannot change to merchant %s",
							name, row.merchant_no, merchant_no),
					 errdetail("Refund numbers are unique per merchant, and its refunds are known to that merchant only."),
					 errhint("Add another channel with refundx.channel_add()."),
					 errhidestmt(true)));
	}
	values_int4(&v, row.channel_id);
	values_text(&v, row.config);
	values_bool(&v, closed);
	if (statement_run(&update, &v) == 1)
	{
		audit_add("channel_set", name,
				  closed == row.closed ? "configuration" : closed ? "closed" : "reopened", change);
		wake_for_channels();
		if (change != NULL)
			try_keys(row.channel, name, row.config);
	}
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

/* Both look at refundx.channel_settings when they wake. */
static void
wake_for_channels(void)
{
	wake_at_commit(WORKER_DISPATCHER);
	wake_at_commit(WORKER_LISTENER);
	wake_at_commit(WORKER_SETTLER);
}

/* ------------------------------------------------------------------------
 * channel_check
 * ------------------------------------------------------------------------
 */

/*
 * SQL: channel_check(name text, call boolean) returns setof (level text,
 * item text, finding text)
 */
Datum
refundx_channel_check(PG_FUNCTION_ARGS)
{
	static Statement find = {
		"SELECT c.channel_id, c.kind, c.config::text, m.merchant_no, c.closed"
		"  FROM refundx.channel c JOIN refundx.merchant m USING (merchant_id)"
		" WHERE c.name = $1", ARGS(TEXTOID)
	};
	char	   *name = arg_text(fcinfo, 0);
	bool		call = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	ChannelFindings findings;
	ConfigSource source;
	ChannelRow	row;
	Values		v = {0};

	InitMaterializedSRF(fcinfo, 0);
	findings_to_rows(&findings, (ReturnSetInfo *) fcinfo->resultinfo);

	SPI_connect();
	values_text(&v, name);
	if (statement_run(&find, &v) != 1)
		channel_complain(name ? name : "");
	row.channel_id = row_int4(0, 1);
	row.name = name;
	row.channel = channel_of_kind(row_text(0, 2));
	row.config = row_text(0, 3);
	row.merchant_no = row_text(0, 4);
	row.closed = row_bool(0, 5);

	row.config = effective_config(row.config);
	config_source(&source, row.config);
	row.channel->check(&source.source, clock_wall(), &findings);
	check_surroundings(&row, &findings);
	if (call)
		echo_call(row.channel, &source.source, &findings);
	SPI_finish();
	return (Datum) 0;
}

/* The configuration with what it takes over from the server's settings. */
static char *
effective_config(const char *config)
{
	static Statement merge = {
		"SELECT (jsonb_build_object('public_base_url', $2) || $1::jsonb)::text",
		ARGS(TEXTOID, TEXTOID)
	};
	Values		v = {0};

	if (rx_public_base_url == NULL || rx_public_base_url[0] == '\0')
		return pstrdup(config);
	values_text(&v, config);
	values_text(&v, rx_public_base_url);
	statement_run(&merge, &v);
	return row_text(0, 1);
}

/* What is not the channel's: settings, workers, pauses, this installation. */
static void
check_surroundings(const ChannelRow *row, const ChannelFindings *findings)
{
	static Statement state = {
		"SELECT refundx.armed(), string_agg(format('%ss of merchant %s are paused (%s): %s', p.about, $2, p.paused,"
		"                                          coalesce(p.reason, 'no reason given')), '; ' ORDER BY p.about) FILTER (WHERE p.about IS NOT NULL),"
		"       c.config ? 'transfer'"
		"  FROM refundx.channel c LEFT JOIN refundx.merchant_paused p USING (merchant_id)"
		" WHERE c.channel_id = $1 GROUP BY c.config", ARGS(INT4OID, TEXTOID)
	};
	Values		v = {0};

	values_int4(&v, row->channel_id);
	values_text(&v, row->merchant_no);
	statement_run(&state, &v);

	if (rx_key_directory == NULL || rx_key_directory[0] == '\0')
		finding_add(findings, FINDING_ERROR, "refundx.key_directory",
					"not set: no key file can be found");
	if (row_bool(0, 3))
		payee_keys_check(findings);
	if (row->closed)
		finding_add(findings, FINDING_WARNING, "closed",
					"the channel is closed: no new refund is taken, open ones go on");
	if (!row_null(0, 2))
		finding_add(findings, FINDING_ERROR, "merchant", "%s", row_text(0, 2));
	if (!row_bool(0, 1))
		finding_add(findings, FINDING_ERROR, "armed",
					"this database is not armed for this server, so nothing is sent: it is a copy, or was restored. "
					"Call refundx.arm(reason) if it is the one that should send");
	if (!rx_dispatch)
		finding_add(findings, FINDING_WARNING, "refundx.dispatch", "off: nothing is sent");
	check_listener(findings);
	check_refused_callbacks(row->name, row->channel_id, findings);
	check_worker(WORKER_DISPATCHER, findings);
	check_worker(WORKER_SETTLER, findings);
}

/* Whether the listener of this database hears them. */
static void
check_listener(const ChannelFindings *findings)
{
	DatabaseSlot *db = shmem_my_database();

	if (db == NULL)
	{
		finding_add(findings, FINDING_ERROR, "refundx.databases",
					rx_shared == NULL ?
					"refundx is not in shared_preload_libraries, so no worker runs" :
					"this database is not among them, so no worker runs here");
		return;
	}
	if (db->port == 0)
		finding_add(findings, FINDING_WARNING, "listener",
					"refundx.databases gives this database no port: callbacks are not heard, unless the application "
					"passes them to refundx.callback_ingest()");
	else if (db->worker[WORKER_LISTENER].pid == 0 || db->bound_port == 0)
		finding_add(findings, FINDING_ERROR, "listener", "it is not listening on port %d: %s", db->port,
					db->worker[WORKER_LISTENER].problem[0] ? db->worker[WORKER_LISTENER].problem :
					"see refundx.health");
	else
		finding_add(findings, FINDING_OK, "listener", "listening on %s, port %d",
					rx_listen_address, db->bound_port);
}

/*
 * Some mistakes in keys only callbacks show: a decryption key of the right
 * length, for one.  Those that came before the newest one that was kept are
 * history.
 */
static void
check_refused_callbacks(const char *name, int32 channel_id, const ChannelFindings *findings)
{
	static Statement refused = {
		"SELECT w.what, sum(k.n)::int8"
		"  FROM refundx.callback_count k"
		"  JOIN (VALUES ('bad_cipher', 'could not be decrypted: the key for that is not the one that is set at the channel (while it is being changed, name both)'),"
		"               ('unknown_key', 'were signed with a key that is not in the configuration'),"
		"               ('bad_signature', 'had a wrong signature: they were a stranger''s, or the channel''s key is another one'),"
		"               ('bad_time', 'had a time too far from now: this machine''s clock may be wrong')) w(result, what)"
		"    USING (result)"
		" WHERE k.channel = $1 AND k.at > now() - interval '1 day'"
		"   AND k.at > coalesce((SELECT max(e.received_at)"
		"                          FROM (SELECT * FROM refundx.evidence ORDER BY evidence_id DESC LIMIT 1000) e"
		"                         WHERE e.channel_id = $2 AND e.source = 'callback'), '-infinity')"
		" GROUP BY w.what ORDER BY w.what", ARGS(TEXTOID, INT4OID)
	};
	Values		v = {0};
	uint64		n;
	uint64		row;

	values_text(&v, name);
	values_int4(&v, channel_id);
	n = statement_run(&refused, &v);
	for (row = 0; row < n; row++)
		finding_add(findings, FINDING_WARNING, "callbacks",
					"%lld were refused lately, which %s",
					(long long) row_int8(row, 2), row_text(row, 1));
}

static void
check_worker(WorkerKind kind, const ChannelFindings *findings)
{
	DatabaseSlot *db = shmem_my_database();
	WorkerSlot *w;

	if (db == NULL)
		return;
	w = &db->worker[kind];
	if (w->pid == 0)
		finding_add(findings, FINDING_ERROR, worker_kind_name(kind), "it does not run: %s",
					w->problem[0] ? w->problem : db->problem[0] ? db->problem : "see refundx.health");
	else if (w->problem[0] != '\0')
		finding_add(findings, FINDING_WARNING, worker_kind_name(kind), "%s", w->problem);
	else
		finding_add(findings, FINDING_OK, worker_kind_name(kind), "running");
}
