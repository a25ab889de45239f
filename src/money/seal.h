/*-------------------------------------------------------------------------
 *
 * seal.h
 *	  Seals over the journal: a change of what is sealed shows.
 *
 * src/money/seal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_SEAL_H
#define REFUNDX_SEAL_H

#include "base/sql.h"
#include "utils/builtins.h"		/* before crypto.h, which takes two of its names */
#include "crypto/crypto.h"
#include "lib/stringinfo.h"

/* Lines of a seal at most: twelve hashes prove that a line is in it. */
#define SEAL_LINES_MAX		4096

typedef unsigned char SealHash[HASH_LEN];

/* ---- seal_line.c: a line's canonical text ---- */

/* The columns that make it, in this order: those of the SELECT list below. */
#define SEAL_LINE_COLUMNS	18
#define SEAL_LINE_ACCOUNT	0
#define SEAL_LINE_VERSION	1
#define SEAL_LINE_AT		16

/*
 * To be selected from `j`, the journal, `a` (SEAL_LINE_OF_ACCOUNT) and `i`
 * (SEAL_LINE_OF_INSTRUCTION).  What is not in the journal, and says whose line it
 * is, never changes either, and is sealed with it.
 */
#define SEAL_LINE_SELECT \
	"j.account_id, j.version, a.account_no, a.slot, a.currency, j.type, j.instruction_id," \
	" i.kind, i.instruction_no, j.reference, j.d_available, j.d_frozen, j.d_outside," \
	" j.available, j.frozen, j.note, j.at, j.by"

#define SEAL_LINE_OF_ACCOUNT(account_id) \
	" LEFT JOIN LATERAL (SELECT coalesce(w.account_no, s.account_no) AS account_no, s.slot, s.currency" \
	"                      FROM refundx.account s LEFT JOIN refundx.account w ON w.account_id = s.slot_of" \
	"                     WHERE s.account_id = " account_id " LIMIT 1) a ON true"
#define SEAL_LINE_OF_INSTRUCTION \
	" LEFT JOIN LATERAL (SELECT x.kind, x.instruction_no FROM refundx.instruction x" \
	"                     WHERE x.instruction_id = j.instruction_id LIMIT 1) i ON true"

typedef struct SealLine
{
	Datum		value[SEAL_LINE_COLUMNS];
	bool		null[SEAL_LINE_COLUMNS];
} SealLine;

/* From a row of SPI_tuptable, whose first columns are the above; borrows from it. */
extern void seal_line_read(uint64 row, SealLine *line);
extern int64 seal_line_account(const SealLine *line);
extern int64 seal_line_version(const SealLine *line);
extern void seal_line_text(const SealLine *line, StringInfo out);
extern void seal_line_hash(const SealLine *line, SealHash out);

/* ---- seal_block.c: what a seal is made of ---- */

/* Consecutive versions of one account. */
typedef struct SealPart
{
	int64		account_id;
	int64		from;
	int32		lines;
} SealPart;

typedef struct Seal
{
	int64		seal_no;
	TimestampTz sealed_at;
	TimestampTz horizon;		/* 0 = not known */
	int			lines;
	int			nparts;
	SealPart   *parts;			/* NULL in what was read without them */
	SealHash	   *leaves;			/* likewise */
	SealHash		previous;
	SealHash		ranges_hash;	/* of the parts' bytes */
	SealHash		root;
	SealHash		hash;
} Seal;

/* The bytes of the parts: what is in the column `ranges`. */
extern void seal_ranges(const SealPart *parts, int n, StringInfo out);

/* False if these bytes are not the parts of a seal with so many lines. */
extern bool seal_parts(const bytea *ranges, int lines, SealPart **parts, int *n);

/* NAME=HASH and a line feed. */
extern void seal_add_hash(StringInfo out, const char *name, const SealHash hash);

/* The seal's own text, and its hash. */
extern void seal_text(const Seal *seal, StringInfo out);
extern void seal_hash(const Seal *seal, SealHash out);
extern void seal_hash_bytes(const void *data, size_t len, SealHash out);
extern void seal_root(SealHash *leaves, int n, SealHash out);

/*
 * From its row: false if there is none.  Hashes that are none are zeros, so that they
 * differ from what they should be; ranges_hash, parts and leaves are the caller's.
 */
extern bool seal_read(int64 seal_no, Seal *seal, bytea **ranges, bytea **leaves);

/* ---- seal.c: making them ---- */

typedef struct Sealer
{
	MemoryContext context;		/* where the queue lives */
	int64	   *account;		/* with lines that are not sealed, ascending */
	int			n;
	int			next;
	bool		more;			/* there were more than could be remembered */
	bool		all;			/* look at every account, not at some of them */
	int			sweep;			/* at how many at a time */
	TimestampTz began;

	/* what becomes of refundx.seal_cursor when all of the queue is sealed */
	int64		filenode;
	int64		block;
	int64		noted_block;
	uint64		noted_xid;		/* 0 = none */
	int64		swept_to;
	TimestampTz sweep_began;
	TimestampTz horizon;
} Sealer;

/* Who seals, seals alone: wait for others who do. */
extern void seals_lock(void);

/* Find accounts with lines that are not sealed. */
extern void sealer_find(Sealer *s);

/* Seal up to SEAL_LINES_MAX of them; returns how many.  0: the queue is empty. */
extern int	sealer_write(Sealer *s);

/* All of it is sealed, and committed: begin there the next time. */
extern void sealer_done(Sealer *s);

#endif							/* REFUNDX_SEAL_H */
