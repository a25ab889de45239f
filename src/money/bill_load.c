/*-------------------------------------------------------------------------
 *
 * bill_load.c
 *	  Loading a bill: by hand, and what was fetched.
 *
 * All in one transaction: the file, its lines, and that it counts.  By hand an
 * ERROR undoes it; in the clerk a subtransaction is undone, so that the bill can be
 * handed to a person with what was wrong.
 *
 * The same content again changes nothing.  Whether it is the same is only known
 * when it has been read (packed again it has other bytes), so where a day is loaded
 * already the file is read twice: first to see, and then, if it differs, to load.
 *
 * src/money/bill_load.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/bill.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "access/table.h"
#include "access/xact.h"
#include "base/errors.h"
#include "base/relation.h"
#include "base/settings.h"
#include "base/temp_file.h"
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "money/handler.h"
#include "money/money.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/resowner.h"

PG_FUNCTION_INFO_V1(refundx_bill_load);
PG_FUNCTION_INFO_V1(refundx_bill_load_file);
PG_FUNCTION_INFO_V1(refundx_bill_read);

static void
refuse(const BillOfDay *d, const ChannelError *err)
{
	ereport(ERROR,
			(errcode(ERRCODE_RX_BAD_BILL),
			 errmsg("%s is refused: %s", bill_day_words(d), words_as_text(err->message)),
			 errdetail("Nothing of it was loaded."),
			 err->hint[0] ? errhint("%s", words_as_text(err->hint)) : 0));
}

/* ------------------------------------------------------------------------
 * By hand
 * ------------------------------------------------------------------------
 */

static void
write_audit(const BillOfDay *d, int64 bill_id, const char *hash)
{
	static Statement add = {
		"INSERT INTO refundx.audit (action, subject, reason, detail)"
		" VALUES ('bill_load', $1, 'loaded by hand', jsonb_build_object('bill_id', $2, 'hash', $3))",
		ARGS(TEXTOID, INT8OID, TEXTOID)
	};
	Values		v = {0};

	values_text(&v, psprintf("%s/%s/%s", d->channel, d->how->kind, d->day_text));
	values_int8(&v, bill_id);
	values_text(&v, hash);
	statement_run(&add, &v);
}

static void
tell_loaded(const BillOfDay *d, const BillTotals *t)
{
	static Statement format = {"SELECT refundx.format_amount($1, $2)", ARGS(INT8OID, TEXTOID)};
	Values		v = {0};
	const char *currency = t->currency[0] ? t->currency : d->currency;

	values_int8(&v, t->amount);
	values_text(&v, currency);
	statement_run(&format, &v);
	ereport(NOTICE,
			(errmsg("%s is loaded: " INT64_FORMAT " lines, of which " INT64_FORMAT " refunds and transfers of %s %s",
					bill_day_words(d), t->lines, t->refunds, row_text(0, 1), currency),
			 errhint("Next: SELECT * FROM refundx.reconcile('%s', '%s').", d->channel, d->day_text)));
}

/* Is this what is loaded already? */
static bool
is_loaded(const BillOfDay *d, const BillRow *row, const BillInput *input)
{
	BillTotals	totals;
	ChannelError err;

	if (strcmp(row->state, "loaded") != 0)
		return false;
	if (!bill_read(d, input, NULL, 0, false, &totals, &err))
		refuse(d, &err);
	return strcmp(totals.hash, row->hash) == 0;
}

static int64
load_by_hand(const BillOfDay *d, const BillInput *input)
{
	BillTotals	totals;
	ChannelError err;
	BillRow		row;
	int64		bill_id;

	bill_lock_day(d, &row);
	if (is_loaded(d, &row, input))
	{
		ereport(NOTICE, (errmsg("%s was loaded before, with the same content: nothing is changed", bill_day_words(d))));
		return row.bill_id;
	}
	bill_id = row.bill_id;
	if (row.has_file)
	{
		bill_supersede(d, &row, 0);
		bill_id = bill_row_new(d);
	}
	if (!bill_read(d, input, NULL, bill_id, true, &totals, &err))
		refuse(d, &err);
	bill_file_keep(bill_id, input);
	bill_set_loaded(bill_id, d, &totals, "by hand");
	write_audit(d, bill_id, totals.hash);
	tell_loaded(d, &totals);
	return bill_id;
}

static void
name_bill(FunctionCallInfo fcinfo, BillOfDay *d)
{
	const char *channel = argument_text("channel", PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0)), NAMEDATALEN - 1);
	const char *kind = argument_text("kind", PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1)), 64);

	if (PG_ARGISNULL(2))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("day must not be null")));
	bill_day_named(d, channel, kind, PG_GETARG_DATEADT(2));
}

/* SQL: bill_load(channel text, kind text, day date, file bytea) returns bigint */
Datum
refundx_bill_load(PG_FUNCTION_ARGS)
{
	BillOfDay		d;
	BillInput	input = {.fd = -1};
	int64		bill_id;
	bytea	   *file;

	handler_refuse("bill_load");
	if (PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("file must not be null"),
				 errhint("It is the bill as it was downloaded: packed or not.")));
	file = PG_GETARG_BYTEA_PP(3);
	input.data = VARDATA_ANY(file);
	input.size = VARSIZE_ANY_EXHDR(file);
	SPI_connect();
	name_bill(fcinfo, &d);
	bill_id = load_by_hand(&d, &input);
	SPI_finish();
	PG_RETURN_INT64(bill_id);
}

/*
 * bill_load_file() is SECURITY INVOKER, so that whoever calls it is asked, and not
 * whoever is further out: a superuser who calls somebody else's function does not lend
 * it this right.  Only once the file is open it goes on as the tables' owner.
 */
static void
require_may_read_files(void)
{
	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to read a file of the server"),
				 errdetail("Only roles with privileges of the role \"pg_read_server_files\" may read files of the server."),
				 errhint("refundx.bill_load() takes the file's content from the client.")));
}

/* Only a file: a pipe would have us wait, and a device may have no end. */
static int
open_server_file(const char *path, BillInput *input)
{
	struct stat st;
	int			fd;

	if (!is_absolute_path(path))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME), errmsg("the path of a bill's file must be absolute")));
	fd = OpenTransientFile(path, O_RDONLY | PG_BINARY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) != 0)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not open file \"%s\" for reading: %m", path)));
	if (!S_ISREG(st.st_mode))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is not a file", path)));
	input->data = NULL;
	input->fd = fd;
	input->size = st.st_size;
	return fd;
}

static Oid
owner_of_bills(void)
{
	Relation	rel = table_open(relation_oid("bill"), AccessShareLock);
	Oid			owner = rel->rd_rel->relowner;

	table_close(rel, AccessShareLock);
	return owner;
}

/* As a SECURITY DEFINER function with a search_path of its own would; an ERROR puts both back. */
static int64
load_as_owner(FunctionCallInfo fcinfo, const BillInput *input)
{
	BillOfDay	d;
	Oid			user;
	int			context;
	int			settings = NewGUCNestLevel();
	int64		bill_id;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(owner_of_bills(), context | SECURITY_LOCAL_USERID_CHANGE);
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	SPI_connect();
	name_bill(fcinfo, &d);
	bill_id = load_by_hand(&d, input);
	SPI_finish();
	AtEOXact_GUC(true, settings);
	SetUserIdAndSecContext(user, context);
	return bill_id;
}

/* SQL: bill_load_file(channel text, kind text, day date, path text) returns bigint */
Datum
refundx_bill_load_file(PG_FUNCTION_ARGS)
{
	BillInput	input;
	int64		bill_id;
	int			fd;

	require_may_read_files();
	handler_refuse("bill_load_file");
	fd = open_server_file(argument_text("path", PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3)), MAXPGPATH - 1), &input);
	bill_id = load_as_owner(fcinfo, &input);
	CloseTransientFile(fd);
	PG_RETURN_INT64(bill_id);
}

/* ------------------------------------------------------------------------
 * What was fetched
 * ------------------------------------------------------------------------
 */

/* The row, if it is still to be read; nobody else reads it then. */
static bool
lock_fetched(int64 bill_id, char **announced_hash, bool *again)
{
	static Statement find = {
		"SELECT announced_hash, again FROM refundx.bill WHERE bill_id = $1 AND state = 'fetched' FOR UPDATE",
		ARGS(INT8OID)
	};
	Values		v = {0};

	values_int8(&v, bill_id);
	if (statement_run(&find, &v) != 1)
		return false;
	*announced_hash = row_text(0, 1);
	*again = row_bool(0, 2);
	return true;
}

static void
forget_same(int64 bill_id)
{
	static Statement set = {
		"UPDATE refundx.bill SET state = 'superseded', error = 'fetched again with the same content: the one that was loaded counts'"
		" WHERE bill_id = $1", ARGS(INT8OID)
	};
	Values		v = {0};

	values_int8(&v, bill_id);
	statement_run(&set, &v);
}

/* In a subtransaction, undone if the file is bad. */
static bool
read_in_subtransaction(const BillOfDay *d, const BillInput *input, const char *announced_hash, int64 bill_id,
					   BillTotals *totals, ChannelError *err)
{
	MemoryContext memory = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	bool		good;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(memory);
	good = bill_read(d, input, announced_hash, bill_id, false, totals, err);
	if (good)
		ReleaseCurrentSubTransaction();
	else
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(memory);
	CurrentResourceOwner = owner;
	return good;
}

static void
load_fetched_file(const BillOfDay *d, int64 bill_id, const BillInput *input, const char *announced_hash, bool again)
{
	BillTotals	totals;
	ChannelError err = {{0}};
	BillRow		old = {0};

	if (again)
	{
		bill_lock_day(d, &old);
		if (strcmp(old.state, "loaded") == 0 &&
			bill_read(d, input, announced_hash, 0, false, &totals, &err) && strcmp(totals.hash, old.hash) == 0)
		{
			forget_same(bill_id);
			return;
		}
	}
	if (!read_in_subtransaction(d, input, announced_hash, bill_id, &totals, &err))
	{
		bill_set_person(bill_id, d, &err);
		ereport(LOG, (errmsg("refundx: %s is refused: %s", bill_day_words(d), err.message)));
		return;
	}
	if (again)
		bill_supersede(d, &old, bill_id);
	bill_set_loaded(bill_id, d, &totals, "fetched");
	ereport(LOG, (errmsg("refundx: %s is loaded: " INT64_FORMAT " lines", bill_day_words(d), totals.lines)));
}

void
bill_load_fetched(int64 bill_id)
{
	BillOfDay		d;
	BillInput	input;
	char	   *announced_hash;
	bool		again;

	if (!lock_fetched(bill_id, &announced_hash, &again) || !bill_day_of(&d, bill_id))
		return;
	bill_file_open(bill_id, &input);
	PG_TRY();
	{
		load_fetched_file(&d, bill_id, &input, announced_hash, again);
	}
	PG_FINALLY();
	{
		temp_file_close(input.fd);
	}
	PG_END_TRY();
}

/* SQL: bill_read(bill_id bigint) returns void */
Datum
refundx_bill_read(PG_FUNCTION_ARGS)
{
	SPI_connect();
	bill_load_fetched(PG_GETARG_INT64(0));
	SPI_finish();
	PG_RETURN_VOID();
}
