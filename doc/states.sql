-- Makes doc/states.md from the state table itself (src/money/state.c):
--
--		psql -XqAt -f doc/states.sql > doc/states.md
--
-- One expression, without a semicolon: test/pgtap/docs.sql compares it with
-- what is in the file.
SELECT $head$# States of a refund, and of a withdrawal

Made from `refundx.state_table()` by `doc/states.sql`; do not edit. The table is
total: what is not a move is a *stay* (noted, nothing to do), an *ask* (the
channel is queried), a *refusal* (a command that this state does not allow) or a
*contradiction* (it is finished and the evidence says otherwise: nothing moves,
the payment and the account are on hold, and a person decides).

Refunds and withdrawals go through the same table. What only a withdrawal does:

- `awaiting_approval` is where a withdrawal begins that a second person has to agree to.
  `cancel` out of it is also a rejection.
- Asking a channel to give a withdrawal up (`withdraw_cancel` of one that was sent) is not
  a state. `cancel_requested_at` is set, and the state and the money stay as they are: the
  channel's word is one of the proofs below, and `succeeded` may still be it.
- `returned` after `succeeded` is a bounce: the money was paid, and came back.

What happens, in the order of the table:

- commands: `approve`, `cancel` (the caller's), `claim` (the dispatcher's, before
  any I/O), `lost` (a new timeline, an arming, or a worker that died), `reissue` (another
  number, by the failure policy or a person: [failures.md](failures.md));
- proof: `accepted`, `succeeded`, `refused`, `dead`, `abnormal`, `returned`,
  `channel_canceled`, `reversed` (the channel gave it up and the merchant has the
  money: failed if it had not been paid, returned if it had), `stopped` (refused, dead or
  reversed, where the failure policy does not let it end there);
- answers that move no money: `not_executed`, `hold`, `config`, `not_found`,
  `not_found_unapproved` (the same, of a withdrawal that nobody had agreed to), `unanswered`;
- hints: `refusal_hint` (an unsigned no), `ask`;
- an operator's word: `resolve_succeeded`, `resolve_failed`, `resolve_canceled`, `resolve_returned`
  ([desk.md](desk.md#say-what-became-of-it)). Nothing else makes `succeeded` of `failed` or `canceled`.

## Diagram

In brackets: what the step does to the money. `pay_out`: frozen to out;
`release`: frozen to available; `divert`: frozen to available, counted as
returned; `return`: out to available; `pay_late`: available to out, and what is missing from the suspense account.

```mermaid
stateDiagram-v2
    [*] --> queued : submitted
    [*] --> awaiting_approval : submitted
    [*] --> unknown : adopted
$head$ || (
	SELECT string_agg(format('    %s --> %s : %s%s', from_state, to_state, inputs,
							 CASE WHEN effect <> 'none' THEN ' [' || effect || ']' ELSE '' END), E'\n' ORDER BY first)
	  FROM (SELECT from_state, to_state, effect, string_agg(input, ', ' ORDER BY n) AS inputs, min(n) AS first
			  FROM refundx.state_table() WITH ORDINALITY
				   t(from_state, input, reaction, to_state, effect, comment, n)
			 WHERE reaction = 'move' GROUP BY from_state, to_state, effect) g
) || $end$
    succeeded --> [*]
    failed --> [*]
    returned --> [*]
    canceled --> [*]
```

## Every state and everything that can happen
$end$ || (
	SELECT string_agg(format(E'\n### %s\n\n| what happens | reaction | becomes | money | why |\n|---|---|---|---|---|\n%s', from_state, rows),
					  E'\n' ORDER BY first)
	  FROM (SELECT from_state, min(n) AS first,
				   string_agg(format('| `%s` | %s | %s | %s | %s |', input, reaction,
									 CASE WHEN reaction = 'move' THEN to_state ELSE '' END,
									 CASE WHEN effect <> 'none' THEN effect ELSE '' END, comment),
							  E'\n' ORDER BY n) AS rows
			  FROM refundx.state_table() WITH ORDINALITY
				   t(from_state, input, reaction, to_state, effect, comment, n)
			 GROUP BY from_state) g
)
