-- Makes doc/invariants.md from refundx.invariants:
--
--		psql -XqAt -f doc/invariants.sql > doc/invariants.md
--
-- One expression, without a semicolon: test/pgtap/docs.sql compares it with
-- what is in the file.
SELECT $head$# The invariants

Made from `refundx.invariants` by `doc/invariants.sql`; do not edit.

What must hold at every commit, with workers running, and after every fault. Each is one view of
schema `refundx`, which returns the rows that break it (`subject`, `finding`):

```sql
SELECT * FROM refundx.check();            -- all of them, as of one moment
SELECT * FROM refundx.check('I2', 'I4');  -- some of them
SELECT * FROM refundx.check_i04;          -- one
```

No row is how it should be. A row is a fault: of refundx, of somebody who changed its tables as their owner, or of
the disk. What to do is in [operations.md](operations.md#when-check-finds-something).

The cost: *open* reads what is open, and small tables; *rows* reads each row of a large table once, and others by
their keys; *history* reads all that ever happened, and sorts or joins it.

The clerk asks all of them in the background: as many a round as take a second, each once a day, and again after a recovery or when somebody
calls `refundx.check_soon(reason)`; after one that took long it rests nine times as long, and one that takes longer than
`refundx.background_check_limit` is given up and said to be. `refundx.checks` has what it found. Where *pauses* says yes, a finding
means that money is not as it should be, or may go out that should not: what it is about (a merchant's refunds or
withdrawals, an account, or everything, if it cannot be narrowed) is paused until a person resumes it. Other findings
are an incident and an item of the desk.

| | what holds | view | cost | pauses |
|---|---|---|---|---|
$head$ || (
	SELECT string_agg(format('| %s | %s | %s | %s | %s |', invariant, sentence, coalesce('`' || view_name || '`', ''), cost,
							 CASE WHEN pauses THEN 'yes' WHEN NOT pauses THEN 'no' END), E'\n' ORDER BY n)
	  FROM (SELECT *, row_number() OVER () AS n FROM refundx.invariants) v
) || $end$

Each of them is broken, as the owner, by a test of `test/pgtap/check.sql` (I20: `test/t/675_seals.pl`), which sees that it is
found.

## What SQL cannot ask of them

| | |
|---|---|
$end$ || (
	SELECT string_agg(format('| %s | %s |', invariant, elsewhere), E'\n' ORDER BY n)
	  FROM (SELECT *, row_number() OVER () AS n FROM refundx.invariants) v
	 WHERE elsewhere IS NOT NULL
)
