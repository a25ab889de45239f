/*-------------------------------------------------------------------------
 *
 * seal.c
 *	  Sealing the journal, behind everybody's back.
 *
 * A submit pays nothing for it: no column, no index, no trigger, no lock.  What
 * is to be sealed is known by key alone.  The versions of an account have no gaps
 * and its lines are written under its lock, so what is committed of it is always
 * 1 .. n, and what is sealed 1 .. m; the lines after m are to be sealed, in their
 * order.  A transaction that commits late, even a prepared one, holds the lock
 * until then: its lines are sealed once, when they are there, and hold up nobody.
 * The same is true in a dump that was restored, and on a standby that was promoted.
 *
 * Which accounts have moved is found in two ways.  The end of the table, where new
 * lines are written, is read from a block on below which all writers have ended:
 * that is quick, and finds nearly all.  What was written into room that a rolled
 * back transaction has left further in front is found by the other: all accounts
 * are looked at in turn, some at a time.  When one such pass is over, all that was
 * committed before it began is sealed: that is the horizon.
 *
 * The clerk does it (worker/clerk_seal.c): it reads, and may insert seals.  No
 * other worker has as little to do with the money itself, and there is no room for
 * one more process in the default max_worker_processes.  Whoever seals has locked
 * refundx.seal against others who do, and against nobody else.
 *
 * What must not be done here: wait for a row, or for a transaction; skip a version
 * for good; trust refundx.seal_cursor with anything but speed.
 *
 * src/money/seal.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/seal.h"

#include "access/table.h"
#include "access/xact.h"
#include "base/clock.h"
#include "base/relation.h"
#include "base/testpoint.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/itemptr.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

/* Accounts that are remembered at a time, and that are looked at in one statement. */
#define QUEUE_MAX		100000
#define SWEEP_ACCOUNTS	10000

/* A minute's worth of looking at them: how often it is looked costs nobody more. */
#define SWEEP_PER_S		(SWEEP_ACCOUNTS / 60)
#define SWEEP_LEAST		100

/* At the end of the table pages are filled in any order. */
#define OPEN_BLOCKS		64

/* 128 MB behind a transaction that does not end, we leave it to the sweep. */
#define WAIT_BLOCKS		16384

/* The newest sealed version, of an account that the query calls so. */
#define SEALED_TO(account_id) \
	" LEFT JOIN LATERAL (SELECT d.to_version FROM refundx.sealed d WHERE d.account_id = " account_id \
	"                     ORDER BY d.to_version DESC LIMIT 1) p ON true"

PG_FUNCTION_INFO_V1(refundx_journal_seal);

static void read_cursor(Sealer *s);
static void read_tail(Sealer *s);
static void advance(Sealer *s, int64 end);
static bool sweep_some(Sealer *s);
static void enqueue(Sealer *s, int64 account_id);
static int	compare_int8(const void *a, const void *b);

/* ------------------------------------------------------------------------
 * Which accounts have moved
 * ------------------------------------------------------------------------
 */

void
sealer_find(Sealer *s)
{
	int			i;
	int			n = 0;

	if (s->account == NULL)
		s->account = MemoryContextAlloc(s->context, QUEUE_MAX * sizeof(int64));
	s->n = s->next = 0;
	s->more = false;

	/* no later than any snapshot that is taken here; by the clock of the lines */
	s->began = GetCurrentTransactionStartTimestamp();
	read_cursor(s);
	read_tail(s);
	while (!sweep_some(s) && s->all && !s->more)
		CHECK_FOR_INTERRUPTS();

	/* ascending, each once: that is the order within a seal */
	qsort(s->account, s->n, sizeof(int64), compare_int8);
	for (i = 0; i < s->n; i++)
		if (n == 0 || s->account[n - 1] != s->account[i])
			s->account[n++] = s->account[i];
	s->n = n;
}

static int
compare_int8(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return x < y ? -1 : x > y;
}

static void
enqueue(Sealer *s, int64 account_id)
{
	if (s->n < QUEUE_MAX)
		s->account[s->n++] = account_id;
	else
		s->more = true;
}

static int
sweep_size(TimestampTz last, TimestampTz now)
{
	int64		accounts = SWEEP_PER_S * (TimestampDifferenceMilliseconds(last, now) / 1000);

	return (int) Max(SWEEP_LEAST, Min(accounts, SWEEP_ACCOUNTS));
}

static void
read_cursor(Sealer *s)
{
	static Statement read = {
		"SELECT filenode, block, noted_block, noted_xid::text, swept_to, sweep_began, horizon, caught_up_at,"
		"       (SELECT r.relfilenode::oid::bigint FROM pg_catalog.pg_class r WHERE r.oid = $1)"
		"  FROM refundx.seal_cursor", ARGS(OIDOID)
	};
	Values		v = {0};
	char	   *xid;

	values_datum(&v, ObjectIdGetDatum(relation_oid("journal")), false);
	if (statement_run(&read, &v) != 1)
		elog(ERROR, "refundx.seal_cursor has lost its row");
	s->filenode = row_int8(0, 1);
	s->block = row_int8(0, 2);
	s->noted_block = row_int8(0, 3);
	xid = row_text(0, 4);
	s->noted_xid = xid ? strtoull(xid, NULL, 10) : 0;
	s->swept_to = row_null(0, 5) ? PG_INT64_MIN : row_int8(0, 5);
	s->sweep_began = row_time(0, 6);
	s->horizon = row_time(0, 7);
	s->sweep = s->all ? SWEEP_ACCOUNTS : sweep_size(row_time(0, 8), s->began);

	/* rewritten: no block is what it was.  The sweep finds everything */
	if (s->filenode != row_int8(0, 9))
	{
		s->filenode = row_int8(0, 9);
		s->block = PG_INT64_MAX;
		s->noted_xid = 0;
		s->swept_to = PG_INT64_MIN;
	}
}

static void
read_tail(Sealer *s)
{
	static Statement tail = {
		"SELECT t.account_id"
		"  FROM (SELECT account_id, max(version) AS newest FROM refundx.journal"
		"         WHERE ctid >= $1 GROUP BY account_id) t"
		SEALED_TO("t.account_id")
		" WHERE t.newest > coalesce(p.to_version, 0)"
		" ORDER BY t.account_id LIMIT $2", ARGS(TIDOID, INT8OID)
	};
	Relation	journal = table_open(relation_oid("journal"), AccessShareLock);
	int64		end = RelationGetNumberOfBlocks(journal);
	ItemPointerData from;
	Values		v = {0};
	uint64		n;
	uint64		i;

	table_close(journal, AccessShareLock);
	s->block = Min(s->block, Max(end - OPEN_BLOCKS, 0));
	ItemPointerSet(&from, (BlockNumber) s->block, InvalidOffsetNumber);
	values_datum(&v, PointerGetDatum(&from), false);
	values_int8(&v, QUEUE_MAX);
	n = statement_run(&tail, &v);
	for (i = 0; i < n; i++)
		enqueue(s, row_int8(i, 1));
	s->more = n == QUEUE_MAX;

	advance(s, end);
}

/*
 * Whoever may have been writing below the noted block has ended, and what was read
 * just now was read after that: the next time we begin there.  Then note the end as
 * it was before this snapshot.
 */
static void
advance(Sealer *s, int64 end)
{
	static Statement running = {
		"SELECT pg_snapshot_xmin(s)::text, pg_snapshot_xmax(s)::text FROM pg_current_snapshot() s", NO_ARGS
	};
	uint64		oldest;

	statement_run(&running, NULL);
	oldest = strtoull(row_text(0, 1), NULL, 10);
	if (s->noted_xid != 0 && oldest < s->noted_xid && s->noted_block - s->block < WAIT_BLOCKS)
		return;
	if (s->noted_xid != 0)
		s->block = Max(s->block, s->noted_block);
	s->noted_xid = strtoull(row_text(0, 2), NULL, 10);
	s->noted_block = Max(s->block, end - OPEN_BLOCKS);
}

/*
 * The next accounts in turn, whether or not they are in refundx.account: their
 * keys are found by leaping through the journal's primary key.  True if these were
 * the last.
 */
static bool
sweep_some(Sealer *s)
{
	static Statement sweep = {
		"WITH RECURSIVE a AS ("
		"  (SELECT account_id, 1 AS n FROM refundx.journal WHERE account_id > $1 ORDER BY account_id LIMIT 1)"
		"  UNION ALL"
		"  SELECT x.account_id, a.n + 1 FROM a"
		"   CROSS JOIN LATERAL (SELECT j.account_id FROM refundx.journal j WHERE j.account_id > a.account_id"
		"                        ORDER BY j.account_id LIMIT 1) x"
		"   WHERE a.n < $2)"
		" SELECT a.account_id, l.version > coalesce(p.to_version, 0) FROM a"
		"  CROSS JOIN LATERAL (SELECT j.version FROM refundx.journal j WHERE j.account_id = a.account_id"
		"                       ORDER BY j.version DESC LIMIT 1) l"
		SEALED_TO("a.account_id"), ARGS(INT8OID, INT4OID)
	};
	Values		v = {0};
	uint64		n;
	uint64		i;

	if (s->swept_to == PG_INT64_MIN)
		s->sweep_began = s->began;
	values_int8(&v, s->swept_to);
	values_int4(&v, s->sweep);
	n = statement_run(&sweep, &v);
	for (i = 0; i < n; i++)
	{
		s->swept_to = Max(s->swept_to, row_int8(i, 1));
		if (row_bool(i, 2))
			enqueue(s, row_int8(i, 1));
	}
	if (n == (uint64) s->sweep)
		return false;
	s->horizon = s->sweep_began;
	s->swept_to = PG_INT64_MIN;
	return true;
}

void
sealer_done(Sealer *s)
{
	static Statement update = {
		"UPDATE refundx.seal_cursor SET filenode = $1, block = $2, noted_block = $3, noted_xid = $4::xid8,"
		"       swept_to = nullif($5, (-9223372036854775808)::bigint), sweep_began = $6, horizon = $7, caught_up_at = $8",
		ARGS(INT8OID, INT8OID, INT8OID, TEXTOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID)
	};
	Values		v = {0};

	/* what did not fit is found from the same place */
	if (s->more)
		return;
	values_int8(&v, s->filenode);
	values_int8(&v, s->block);
	values_int8(&v, s->noted_block);
	values_text(&v, psprintf(UINT64_FORMAT, s->noted_xid));
	values_int8(&v, s->swept_to);
	values_time(&v, s->sweep_began);
	values_time(&v, s->horizon);
	values_time(&v, s->began);
	if (statement_run(&update, &v) != 1)
		elog(ERROR, "refundx.seal_cursor has lost its row");
}

/* ------------------------------------------------------------------------
 * Sealing them
 * ------------------------------------------------------------------------
 */

/* Who seals, seals alone; nobody else's locks are in the way of this one. */
void
seals_lock(void)
{
	PreventCommandIfReadOnly("INSERT");
	table_close(table_open(relation_oid("seal"), ShareUpdateExclusiveLock), NoLock);
}

static void
begin_after_last(Seal *seal)
{
	static Statement last = {
		"SELECT seal_no, hash, sealed_at, (SELECT horizon FROM refundx.seal_cursor)"
		"  FROM refundx.seal ORDER BY seal_no DESC LIMIT 1", NO_ARGS
	};

	memset(seal, 0, sizeof(*seal));
	seal->seal_no = 1;
	seal->sealed_at = clock_now();
	if (statement_run(&last, NULL) != 1)
		return;
	seal->seal_no = row_int8(0, 1) + 1;
	memcpy(seal->previous, VARDATA_ANY(row_bytes(0, 2)), HASH_LEN);
	/* time does not run backwards here, even if the clock does */
	seal->sealed_at = Max(seal->sealed_at, row_time(0, 3));
	seal->horizon = row_time(0, 4);
}

/* The next lines of some accounts, as SPI's result; returns how many. */
static uint64
read_lines(int64 *accounts, int n)
{
	static Statement lines = {
		"SELECT " SEAL_LINE_SELECT
		"  FROM unnest($1) q(account_id)"
		SEALED_TO("q.account_id")
		SEAL_LINE_OF_ACCOUNT("q.account_id")
		" CROSS JOIN LATERAL (SELECT * FROM refundx.journal x"
		"                      WHERE x.account_id = q.account_id AND x.version > coalesce(p.to_version, 0)"
		"                      ORDER BY x.version LIMIT $2) j"
		SEAL_LINE_OF_INSTRUCTION
		" LIMIT $2", ARGS(INT8ARRAYOID, INT8OID)
	};
	Values		v = {0};
	Column		c;
	int			i;

	column_init(&c, INT8OID);
	for (i = 0; i < n; i++)
		column_int8(&c, accounts[i]);
	values_column(&v, &c);
	values_int8(&v, SEAL_LINES_MAX);
	return statement_run(&lines, &v);
}

/* SealHash them, and see which runs of versions they are. */
static void
hash_lines(Seal *seal, uint64 n)
{
	SealPart   *part = NULL;
	uint64		i;

	seal->lines = (int) n;
	seal->leaves = palloc(n * sizeof(SealHash));
	seal->parts = palloc(n * sizeof(SealPart));
	for (i = 0; i < n; i++)
	{
		SealLine	line;
		int64		account_id;
		int64		version;

		seal_line_read(i, &line);
		account_id = seal_line_account(&line);
		version = seal_line_version(&line);
		if (part != NULL && (account_id < part->account_id ||
							 (account_id == part->account_id && version < part->from + part->lines)))
			elog(ERROR, "journal lines were not read in order");
		if (part == NULL || account_id != part->account_id || version != part->from + part->lines)
		{
			part = &seal->parts[seal->nparts++];
			part->account_id = account_id;
			part->from = version;
			part->lines = 0;
		}
		part->lines++;
		seal_line_hash(&line, seal->leaves[i]);
	}
}

static void
insert_seal(const Seal *seal, const StringInfo ranges)
{
	static Statement insert = {
		"INSERT INTO refundx.seal (seal_no, sealed_at, horizon, lines, parts, previous, root, hash, ranges, leaves)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
		ARGS(INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID, INT4OID, BYTEAOID, BYTEAOID, BYTEAOID,
			 BYTEAOID, BYTEAOID)
	};
	Values		v = {0};

	values_int8(&v, seal->seal_no);
	values_time(&v, seal->sealed_at);
	values_time(&v, seal->horizon);
	values_int4(&v, seal->lines);
	values_int4(&v, seal->nparts);
	values_bytes(&v, seal->previous, HASH_LEN);
	values_bytes(&v, seal->root, HASH_LEN);
	values_bytes(&v, seal->hash, HASH_LEN);
	values_bytes(&v, ranges->data, ranges->len);
	values_bytes(&v, seal->leaves, (size_t) seal->lines * HASH_LEN);
	statement_run(&insert, &v);
}

static void
insert_sealed(const Seal *seal)
{
	static Statement insert = {
		"INSERT INTO refundx.sealed (account_id, to_version, from_version, seal_no)"
		" SELECT a, t, f, $4 FROM unnest($1, $2, $3) u(a, t, f)",
		ARGS(INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8OID)
	};
	Values		v = {0};
	Column		account;
	Column		to;
	Column		from;
	int			i;

	column_init(&account, INT8OID);
	column_init(&to, INT8OID);
	column_init(&from, INT8OID);
	for (i = 0; i < seal->nparts; i++)
	{
		column_int8(&account, seal->parts[i].account_id);
		column_int8(&to, seal->parts[i].from + seal->parts[i].lines - 1);
		column_int8(&from, seal->parts[i].from);
	}
	values_column(&v, &account);
	values_column(&v, &to);
	values_column(&v, &from);
	values_int8(&v, seal->seal_no);
	statement_run(&insert, &v);
}

int
sealer_write(Sealer *s)
{
	StringInfoData ranges;
	Seal		seal;
	uint64		n = 0;

	seals_lock();
	while (n == 0 && s->next < s->n)
	{
		int			batch = Min(s->n - s->next, SEAL_LINES_MAX);

		CHECK_FOR_INTERRUPTS();
		/* after the lock: what somebody else has just sealed counts */
		begin_after_last(&seal);
		n = read_lines(s->account + s->next, batch);
		if (n == 0)
			s->next += batch;
	}
	if (n == 0)
		return 0;
	hash_lines(&seal, n);
	initStringInfo(&ranges);
	seal_ranges(seal.parts, seal.nparts, &ranges);
	seal_hash_bytes(ranges.data, ranges.len, seal.ranges_hash);
	seal_root(seal.leaves, seal.lines, seal.root);
	seal_hash(&seal, seal.hash);
	insert_seal(&seal, &ranges);
	TESTPOINT("seal-inserted");
	insert_sealed(&seal);

	/* the last account may have more: it is looked at once more */
	while (s->next < s->n && s->account[s->next] < seal.parts[seal.nparts - 1].account_id)
		s->next++;
	return (int) n;
}

/*
 * SQL: journal_seal() returns bigint
 *
 * All that is there to be sealed, at once; returns how many lines that was.
 */
Datum
refundx_journal_seal(PG_FUNCTION_ARGS)
{
	Sealer		s = {0};
	int64		sealed = 0;
	int			n;

	SPI_connect();
	s.context = CurrentMemoryContext;
	s.all = true;
	do
	{
		seals_lock();
		sealer_find(&s);
		while ((n = sealer_write(&s)) > 0)
			sealed += n;
	} while (s.more);
	sealer_done(&s);
	SPI_finish();
	PG_RETURN_INT64(sealed);
}
