/*-------------------------------------------------------------------------
 *
 * courier_log.c
 *	  One structured line in the server's log for each committed transition.
 *
 *	  REFUNDX: {"v":1,"ev":"refund.succeeded","id":"...","seq":17,"db":"shop",...}
 *
 * It is made of the outbox's row, in this order of keys, on one line of at most 900
 * bytes: syslog cuts at 1024.  How far the lines have come is kept in the database,
 * once a second.  After a crash, or a transaction that failed, lines come again, with
 * the same ids; none is missing.
 *
 * src/worker/courier_log.c
 *
 *-------------------------------------------------------------------------
 */
#include "worker/courier.h"

#include "base/settings.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/json.h"

#define LINE_MAX_BYTES	900
#define LINES_MAX		1000	/* in one transaction */

static void log_line(uint64 row);
static void add_text(StringInfo line, const char *key, const char *value);
static void add_number(StringInfo line, const char *key, const char *value);

int64
log_position(void)
{
	static Statement position = {"SELECT seq FROM refundx.outbox_position WHERE sink = 'log'", NO_ARGS};

	return statement_run(&position, NULL) == 1 ? row_int8(0, 1) : 0;
}

bool
log_transitions(Courier *c)
{
	static Statement read = {
		"SELECT seq, type, id::text, payload->>'sequence', payload->>'refund_no', payload->>'withdrawal_no',"
		"       payload->>'payment_no', payload->>'account', payload->>'channel', payload->>'amount',"
		"       payload->>'fee', payload->>'currency', payload->>'from', payload->>'to', payload->>'code',"
		"       to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
		"  FROM refundx.outbox WHERE seq > $1 ORDER BY seq LIMIT $2", ARGS(INT8OID, INT4OID)
	};
	Values		v = {0};
	uint64		n;
	uint64		row;

	c->logging_to = c->logged_to;
	values_int8(&v, c->logged_to);
	values_int4(&v, LINES_MAX);
	n = statement_run(&read, &v);
	if (n == 0)
		return false;
	for (row = 0; row < n && rx_log_events; row++)
		log_line(row);
	c->logging_to = row_int8(n - 1, 1);
	return n == LINES_MAX;
}

void
log_keep_position(int64 seq)
{
	static Statement keep = {
		"INSERT INTO refundx.outbox_position (sink, seq) VALUES ('log', $1)"
		" ON CONFLICT (sink) DO UPDATE SET seq = excluded.seq", ARGS(INT8OID)
	};
	Values		v = {0};

	values_int8(&v, seq);
	statement_run(&keep, &v);
}

static void
log_line(uint64 row)
{
	StringInfoData line;

	initStringInfo(&line);
	appendStringInfoString(&line, "{\"v\":1");
	add_text(&line, "ev", row_text(row, 2));
	add_text(&line, "id", row_text(row, 3));
	add_number(&line, "seq", row_text(row, 4));
	add_text(&line, "db", get_database_name(MyDatabaseId));
	add_text(&line, "refund_no", row_text(row, 5));
	add_text(&line, "withdrawal_no", row_text(row, 6));
	add_text(&line, "payment_no", row_text(row, 7));
	add_text(&line, "account", row_text(row, 8));
	add_text(&line, "channel", row_text(row, 9));
	add_number(&line, "amt", row_text(row, 10));
	add_number(&line, "fee", row_text(row, 11));
	add_text(&line, "cur", row_text(row, 12));
	add_text(&line, "from", row_text(row, 13));
	add_text(&line, "to", row_text(row, 14));
	add_text(&line, "code", row_text(row, 15));
	add_text(&line, "ts", row_text(row, 16));
	appendStringInfoChar(&line, '}');
	ereport(LOG_SERVER_ONLY,
			(errmsg_internal("REFUNDX: %s", line.data), errhidestmt(true), errhidecontext(true)));
	pfree(line.data);
}

/* What does not fit is left out; the outbox has it all, under the same id. */
static void
add_text(StringInfo line, const char *key, const char *value)
{
	int			before = line->len;

	if (value == NULL)
		return;
	appendStringInfo(line, ",\"%s\":", key);
	escape_json(line, value);
	if (line->len <= LINE_MAX_BYTES - 2 * (int) sizeof("REFUNDX: "))
		return;
	line->len = before;
	line->data[before] = '\0';
}

static void
add_number(StringInfo line, const char *key, const char *value)
{
	if (value != NULL)
		appendStringInfo(line, ",\"%s\":%s", key, value);
}
