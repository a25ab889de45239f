/*-------------------------------------------------------------------------
 *
 * seal_day.c
 *	  One statement for each day over all that was sealed by its end, signed.
 *
 * A chain in a database shows what was changed in it, and not that all of it was
 * replaced.  So once a day its newest hash is put into a few lines of text, which are
 * signed with a key that is a file (never in the database) and can be kept
 * elsewhere: by an auditor, on paper, in a mail.  The statement also has the root of a
 * tree over the seals of its day, so that a line is proven by a few hundred
 * bytes and not by the chain of a whole day; and the hash of the statement before.
 *
 * Days are UTC's.  The clerk makes them; a day without seals has a statement,
 * too, so that none is missing unnoticed.
 *
 * src/money/seal_day.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/seal_day.h"

#include "base/clock.h"
#include "base/errors.h"
#include "base/settings.h"
#include "fmgr.h"
#include "money/seal_verify.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define DAY_START(day)	((TimestampTz) (day) * USECS_PER_DAY)

PG_FUNCTION_INFO_V1(refundx_seal_day);

DateADT
day_of(TimestampTz at)
{
	/* days before 2000 are before all seals */
	return (DateADT) (at / USECS_PER_DAY);
}

/* ------------------------------------------------------------------------
 * The statement
 * ------------------------------------------------------------------------
 */

void
day_tree(int64 from, int64 to, SealHash **leaves, int *n)
{
	static Statement read = {
		"SELECT hash FROM refundx.seal WHERE seal_no BETWEEN $1 AND $2 ORDER BY seal_no", ARGS(INT8OID, INT8OID)
	};
	Values		v = {0};
	int			i;

	values_int8(&v, from);
	values_int8(&v, to);
	*n = (int) statement_read(&read, &v);
	*leaves = palloc(Max(*n, 1) * sizeof(SealHash));
	for (i = 0; i < *n; i++)
	{
		bytea	   *hash = row_bytes(i, 1);

		if (!merkle_leaf(VARDATA_ANY(hash), VARSIZE_ANY_EXHDR(hash), (*leaves)[i]))
			elog(ERROR, "SHA-256 failed");
	}
	SPI_freetuptable(SPI_tuptable);
}

static void
seal_hash_of(int64 seal_no, SealHash out)
{
	static Statement read = {"SELECT hash FROM refundx.seal WHERE seal_no = $1", ARGS(INT8OID)};
	Values		v = {0};
	bytea	   *hash;

	memset(out, 0, HASH_LEN);
	values_int8(&v, seal_no);
	if (statement_read(&read, &v) != 1)
		return;
	hash = row_bytes(0, 1);
	if (VARSIZE_ANY_EXHDR(hash) == HASH_LEN)
		memcpy(out, VARDATA_ANY(hash), HASH_LEN);
}

char *
day_statement(const Day *day)
{
	StringInfoData text;
	SealHash	hash;
	SealHash   *leaves;
	int			n;

	initStringInfo(&text);
	appendStringInfo(&text, "refundx day 1\nday=%s\n", day_text(day->day));
	seal_hash_of(1, hash);
	seal_add_hash(&text, "first", hash);
	memset(hash, 0, sizeof(hash));
	if (day->previous != NULL)
		seal_hash_bytes(day->previous, strlen(day->previous), hash);
	seal_add_hash(&text, "previous", hash);
	appendStringInfo(&text, "from=" INT64_FORMAT "\nto=" INT64_FORMAT "\n", day->from, day->to);
	day_tree(day->from, day->to, &leaves, &n);
	seal_root(leaves, n, hash);
	seal_add_hash(&text, "root", hash);
	seal_hash_of(day->to, hash);
	seal_add_hash(&text, "last", hash);
	return text.data;
}

char *
day_text(DateADT day)
{
	int			year;
	int			month;
	int			mday;

	j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &mday);
	return psprintf("%04d-%02d-%02d", year, month, mday);
}

/* The day after the last statement; false if nothing was ever sealed. */
bool
day_next(Day *day)
{
	static Statement last = {
		"SELECT d.day, d.seal_no, d.statement, s.sealed_at"
		"  FROM refundx.seal s LEFT JOIN (SELECT * FROM refundx.day_seal ORDER BY day DESC LIMIT 1) d ON true"
		" ORDER BY s.seal_no LIMIT 1", NO_ARGS
	};
	bool		isnull;
	Datum		date;

	memset(day, 0, sizeof(*day));
	if (statement_read(&last, NULL) != 1)
		return false;
	date = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	day->day = isnull ? day_of(row_time(0, 4)) : DatumGetDateADT(date) + 1;
	day->from = row_int8(0, 2) + 1;
	day->previous = row_text(0, 3);
	return true;
}

/* Up to the last seal that was made by its end. */
void
day_close(Day *day)
{
	static Statement read = {
		"SELECT seal_no FROM refundx.seal WHERE seal_no >= $1 AND sealed_at < $2 ORDER BY seal_no DESC LIMIT 1",
		ARGS(INT8OID, TIMESTAMPTZOID)
	};
	Values		v = {0};

	values_int8(&v, day->from);
	values_time(&v, DAY_START(day->day + 1));
	day->to = statement_read(&read, &v) == 1 ? row_int8(0, 1) : day->from - 1;
}

/* ------------------------------------------------------------------------
 * Signing it
 * ------------------------------------------------------------------------
 */

/* NULL if no key is named.  ERROR RX040 if it cannot be used. */
static CryptoKey *
signing_key(void)
{
	Buf			pem = BUF_INIT;
	CryptoKey  *key = NULL;
	char		err[512] = "";

	if (rx_seal_key == NULL || rx_seal_key[0] == '\0')
		return NULL;
	if (key_file_read(rx_key_directory ? rx_key_directory : "", rx_seal_key, true, &pem, err, sizeof(err)) == KEY_FILE_OK)
		key = crypto_private_key_any(pem.data, pem.len, err, sizeof(err));
	buf_wipe(&pem);
	if (key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_RX_NOT_PROVABLE),
				 errmsg("the day's statement cannot be signed with key file \"%s\": %s", rx_seal_key, err),
				 errhint("Make one in refundx.key_directory: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out seal.pem")));
	return key;
}

static void
sign(const char *statement, Buf *signature, char print[65])
{
	CryptoKey  *key = signing_key();
	bool		good = key != NULL && rsa_sign_sha256(key, statement, strlen(statement), signature) &&
		crypto_key_fingerprint(key, print);
	bool		wanted = key != NULL;

	crypto_key_free(key);
	if (wanted && !good)
	{
		buf_free(signature);
		elog(ERROR, "the day's statement could not be signed");
	}
}

static void
make_day(Day *day)
{
	static Statement insert = {
		"INSERT INTO refundx.day_seal (day, seal_no, statement, signature, key_print) VALUES ($1, $2, $3, $4, $5)",
		ARGS(DATEOID, INT8OID, TEXTOID, BYTEAOID, TEXTOID)
	};
	Buf			signature = BUF_INIT;
	char		print[65] = "";
	Values		v = {0};

	day_close(day);
	day->statement = day_statement(day);
	sign(day->statement, &signature, print);
	values_datum(&v, DateADTGetDatum(day->day), false);
	values_int8(&v, day->to);
	values_text(&v, day->statement);
	if (print[0] != '\0')
		values_bytes(&v, signature.data, signature.len);
	else
		values_datum(&v, (Datum) 0, true);
	buf_free(&signature);
	values_text(&v, print[0] != '\0' ? print : NULL);
	statement_run(&insert, &v);
}

/* Make the next one; false if it is not over, or none of those that are wanted. */
static bool
make_next(DateADT up_to)
{
	Day			day;
	bool		due;

	/* younger than the lock, and than the one that was made just now */
	PushActiveSnapshot(GetLatestSnapshot());
	due = day_next(&day) && day.day <= up_to && day.day < day_of(clock_now());
	if (due)
		make_day(&day);
	PopActiveSnapshot();
	CommandCounterIncrement();
	return due;
}

int
days_make(DateADT up_to)
{
	Day			day;
	int			made = 0;

	/* nearly always: they are there */
	if (!day_next(&day) || day.day > up_to)
		return 0;
	seals_lock();
	while (make_next(up_to))
	{
		CHECK_FOR_INTERRUPTS();
		made++;
	}
	return made;
}

/*
 * SQL: seal_day(day date) returns void
 *
 * Make the statement of that day, and those before it that are missing.
 */
Datum
refundx_seal_day(PG_FUNCTION_ARGS)
{
	DateADT		day = PG_GETARG_DATEADT(0);

	if (DATE_NOT_FINITE(day) || day >= day_of(clock_now()))
		ereport(ERROR,
				(errcode(ERRCODE_RX_NOT_PROVABLE),
				 errmsg("the day is not over"),
				 errdetail("Days end at midnight UTC.")));
	SPI_connect();
	(void) days_make(day);
	SPI_finish();
	PG_RETURN_VOID();
}

/* ------------------------------------------------------------------------
 * Verifying them
 * ------------------------------------------------------------------------
 */

/* Each statement of those seals says what they are now, and follows from the one before. */
void
verify_days(Verify *v, int64 from, int64 to, int64 last)
{
	static Statement read = {
		"SELECT d.day, d.statement, d.seal_no, p.seal_no, p.statement, d.day - coalesce(p.day, d.day - 1)"
		"  FROM refundx.day_seal d"
		"  LEFT JOIN LATERAL (SELECT * FROM refundx.day_seal x WHERE x.day < d.day ORDER BY x.day DESC LIMIT 1) p ON true"
		" WHERE d.seal_no >= $1 AND (d.seal_no <= $2 OR $3) ORDER BY d.day", ARGS(INT8OID, INT8OID, BOOLOID)
	};
	Values		args = {0};
	SPITupleTable *rows;
	uint64		n;
	uint64		i;

	values_int8(&args, from);
	values_int8(&args, to);
	values_bool(&args, to == last);
	n = statement_read(&read, &args);
	rows = SPI_tuptable;
	for (i = 0; i < n; i++)
	{
		Day			day = {0};
		char	   *said;
		bool		isnull;
		int64		seal_no;

		SPI_tuptable = rows;
		day.day = DatumGetDateADT(SPI_getbinval(rows->vals[i], rows->tupdesc, 1, &isnull));
		said = row_text(i, 2);
		day.to = seal_no = row_int8(i, 3);
		day.from = row_int8(i, 4) + 1;
		day.previous = row_text(i, 5);
		if (row_int4(i, 6) != 1)
			verify_found(v, seal_no, 0, 0, "chain broken",
						 psprintf("the statement before that of %s is missing", day_text(day.day)));
		if (seal_no > last)
			verify_found(v, last + 1, 0, 0, "seal missing",
						 psprintf("the statement of %s is about seals up to " INT64_FORMAT, day_text(day.day), seal_no));
		else if (strcmp(day_statement(&day), said) != 0)
			verify_found(v, seal_no, 0, 0, "chain broken",
						 psprintf("the statement of %s is about other seals, or was changed", day_text(day.day)));
	}
	SPI_freetuptable(rows);
}
