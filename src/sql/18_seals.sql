/*
 * Seals: what makes a change of the journal show (doc/seals.md).
 *
 * A seal is a block of journal lines, hashed; it names the seal before it by its
 * hash, so whoever knows the newest hash knows all of history.  The clerk makes
 * them (money/seal.c); all three tables are insert-only.
 */
CREATE TABLE refundx.seal (
	seal_no		bigint PRIMARY KEY CHECK (seal_no > 0),
	sealed_at	timestamptz NOT NULL,
	horizon		timestamptz,
	lines		int NOT NULL CHECK (lines > 0),
	parts		int NOT NULL CHECK (parts BETWEEN 1 AND lines),
	previous	bytea NOT NULL CHECK (length(previous) = 32),
	root		bytea NOT NULL CHECK (length(root) = 32),
	hash		bytea NOT NULL CHECK (length(hash) = 32),
	ranges		bytea NOT NULL CHECK (length(ranges) = 20 * parts),
	leaves		bytea NOT NULL CHECK (length(leaves) = 32 * lines)
);
COMMENT ON TABLE refundx.seal IS 'Blocks of journal lines, each sealed with its hash and that of the block before it; insert-only';
COMMENT ON COLUMN refundx.seal.horizon IS 'What was committed before this is in this seal or in one before it; null: not known yet';
COMMENT ON COLUMN refundx.seal.parts IS 'How many runs of consecutive versions of one account its lines are';
COMMENT ON COLUMN refundx.seal.previous IS 'The hash of the seal before it; of the first: zeros';
COMMENT ON COLUMN refundx.seal.root IS 'Root of the Merkle tree (RFC 6962) over the leaves';
COMMENT ON COLUMN refundx.seal.hash IS 'SHA-256 of the seal''s own text: see doc/seals.md';
COMMENT ON COLUMN refundx.seal.ranges IS 'Which lines: per part account_id and first version (8 bytes each) and their number (4), big-endian';
COMMENT ON COLUMN refundx.seal.leaves IS 'The hash of each line, in the order of the parts: so a line that differs is found by its account and version';
-- hashes do not compress
ALTER TABLE refundx.seal ALTER ranges SET STORAGE EXTERNAL, ALTER leaves SET STORAGE EXTERNAL;

-- Up to which version each account is sealed, and where a line is: what the seals
-- say, by account.  Only a way to find things: journal_verify() compares it.
CREATE TABLE refundx.sealed (
	account_id	bigint NOT NULL,
	to_version	bigint NOT NULL,
	from_version bigint NOT NULL,
	seal_no		bigint NOT NULL,
	PRIMARY KEY (account_id, to_version)
);
COMMENT ON TABLE refundx.sealed IS 'Which lines of an account are in which seal; insert-only';

-- What is signed once a day, and can be kept elsewhere.
CREATE TABLE refundx.day_seal (
	day			date PRIMARY KEY,
	seal_no		bigint NOT NULL,
	statement	text NOT NULL,
	signature	bytea,
	key_print	text,
	made_at		timestamptz NOT NULL DEFAULT clock_timestamp(),
	made_by		text NOT NULL DEFAULT session_user,
	CHECK ((signature IS NULL) = (key_print IS NULL))
);
COMMENT ON TABLE refundx.day_seal IS 'One statement for each day (UTC) over all that was sealed by its end, signed; insert-only';
COMMENT ON COLUMN refundx.day_seal.seal_no IS 'The last seal that was made by the end of the day';
COMMENT ON COLUMN refundx.day_seal.statement IS 'What is signed, byte by byte';
COMMENT ON COLUMN refundx.day_seal.signature IS 'RSA with SHA-256 (PKCS #1 v1.5) over the statement; null: no key was named in refundx.seal_key';
COMMENT ON COLUMN refundx.day_seal.key_print IS 'SHA-256 of the public key (SPKI, DER), in hex';

-- Where the sealer looks for new lines first.  All of it is a matter of speed: what
-- is sealed is known by account and version.  Not dumped: it is about this
-- cluster's blocks and transactions.
CREATE TABLE refundx.seal_cursor (
	only_one	boolean PRIMARY KEY DEFAULT true CHECK (only_one),
	filenode	bigint NOT NULL DEFAULT 0,
	block		bigint NOT NULL DEFAULT 0,
	noted_block	bigint,
	noted_xid	xid8,
	swept_to	bigint,
	sweep_began	timestamptz,
	horizon		timestamptz,
	caught_up_at timestamptz
);
COMMENT ON TABLE refundx.seal_cursor IS 'How far the sealer has come';
COMMENT ON COLUMN refundx.seal_cursor.block IS 'Whoever wrote below this block of the journal has ended, and been sealed';
COMMENT ON COLUMN refundx.seal_cursor.noted_block IS 'The next such block, once all transactions before noted_xid have ended';
COMMENT ON COLUMN refundx.seal_cursor.swept_to IS 'The account up to which all accounts have been looked at one by one, since sweep_began';
COMMENT ON COLUMN refundx.seal_cursor.horizon IS 'What was committed before this is sealed';
COMMENT ON COLUMN refundx.seal_cursor.caught_up_at IS 'When a round last began that left nothing unsealed';
INSERT INTO refundx.seal_cursor DEFAULT VALUES;
