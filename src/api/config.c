/*-------------------------------------------------------------------------
 *
 * config.c
 *	  Configurations as operators give them: of channels and of SMS providers.
 *
 * A configuration names key files and never holds a key.  If somebody pastes
 * one all the same, the channel's own check finds it before anything else
 * happens to it, and neither the message nor the log repeats it.
 *
 * src/api/config.c
 *
 *-------------------------------------------------------------------------
 */
#include "api/config.h"

#include "base/errors.h"
#include "base/settings.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/tuplestore.h"

/* after builtins.h: both have a hex_encode() */
#include "crypto/crypto.h"

static bool config_read_key(void *arg, const char *name, bool secret,
							Buf *out, char *err, size_t errsize);
static void finding_row(void *arg, FindingLevel level, const char *item, const char *text);

char *
arg_text(FunctionCallInfo fcinfo, int i)
{
	return PG_ARGISNULL(i) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(i));
}

char *
arg_json(FunctionCallInfo fcinfo, int i)
{
	Jsonb	   *json;

	if (PG_ARGISNULL(i))
		return NULL;
	json = PG_GETARG_JSONB_P(i);
	return JsonbToCString(NULL, &json->root, VARSIZE(json));
}

static bool
config_read_key(void *arg, const char *name, bool secret, Buf *out, char *err, size_t errsize)
{
	((ConfigSource *) arg)->asked = true;
	return key_file_read(rx_key_directory ? rx_key_directory : "", name, secret,
						 out, err, errsize) == KEY_FILE_OK;
}

void
config_source(ConfigSource *s, const char *config_json)
{
	s->source.config_json = config_json;
	s->source.read_key = config_read_key;
	s->source.arg = s;
	s->asked = false;
}

void
config_error(const char *what, const ChannelError *err)
{
	ereport(ERROR,
			(errcode(ERRCODE_RX_CONFIG),
			 errmsg("%s: %s", what, err->message),
			 err->hint[0] ? errhint("%s", err->hint) : 0,
			 errhidestmt(true)));
}

void
config_warning(const char *what, const char *check, const ChannelError *err)
{
	ereport(WARNING,
			(errcode(ERRCODE_RX_CONFIG),
			 errmsg("%s: %s", what, err->message),
			 errdetail("It is configured all the same, and cannot work before this is mended."),
			 errhint("%s%sSELECT * FROM refundx.%s says everything that is missing.",
					 err->hint, err->hint[0] ? " " : "", check),
			 errhidestmt(true)));
}

/* The same rule as the constraint's on the tables. */
void
config_check_name(const char *argument, const char *name)
{
	size_t		len = name ? strlen(name) : 0;
	bool		good = len >= 1 && len <= 32 && name[0] != '-' && name[0] != '_';
	size_t		i;

	for (i = 0; good && i < len; i++)
		good = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') ||
			name[i] == '-' || name[i] == '_';
	if (!good)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is not usable as a name", argument),
				 errhint("It becomes part of a URL: 1 to 32 lower-case letters, digits, \"-\" and \"_\", beginning with a letter or digit."),
				 errhidestmt(true)));
}

char *
config_merge(const char *old, const char *change)
{
	static Statement merge = {
		"SELECT coalesce(jsonb_object_agg(key, value), '{}')::text"
		"  FROM jsonb_each($1::jsonb || $2::jsonb) WHERE value <> 'null'::jsonb",
		ARGS(TEXTOID, TEXTOID)
	};
	Values		v = {0};

	values_text(&v, old);
	values_text(&v, change);
	statement_run(&merge, &v);
	return row_text(0, 1);
}

void
audit_add(const char *action, const char *subject, const char *reason, const char *detail_json)
{
	static Statement insert = {
		"INSERT INTO refundx.audit (action, subject, reason, detail) VALUES ($1, $2, $3, $4::jsonb)",
		ARGS(TEXTOID, TEXTOID, TEXTOID, TEXTOID)
	};
	Values		v = {0};

	values_text(&v, action);
	values_text(&v, subject);
	values_text(&v, reason);
	values_text(&v, detail_json);
	statement_run(&insert, &v);
}

static void
finding_row(void *arg, FindingLevel level, const char *item, const char *text)
{
	static const char *const levels[] = {"ok", "warning", "error"};
	ReturnSetInfo *rsinfo = arg;
	Datum		values[3];
	bool		nulls[3] = {0};

	values[0] = CStringGetTextDatum(levels[level]);
	values[1] = CStringGetTextDatum(item);
	values[2] = CStringGetTextDatum(text);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

void
findings_to_rows(ChannelFindings *findings, ReturnSetInfo *rsinfo)
{
	findings->add = finding_row;
	findings->arg = rsinfo;
}

void
finding_add(const ChannelFindings *findings, FindingLevel level, const char *item,
			const char *fmt,...)
{
	char		text[1024];
	va_list		ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	findings->add(findings->arg, level, item, text);
}
