// Stripe's balance transactions: the SDK pages through a day of them, and
// they are what the ledger says, unless something was planted.
import assert from 'node:assert/strict';
import { test, before, after } from 'node:test';
import { account, client } from './stripe.mjs';
import { Sandbox, eventually } from './lib.mjs';

const ACCOUNT = 'acct_1SandboxRefundx0';
let sandbox;
let stripe;
let all;
let window;
const ids = {};

const refund = async (no, amount, charge = `ch_3Bill${no}`) => {
  const r = await stripe.refunds.create({ charge, amount, metadata: { refundx_no: no } });
  ids[no] = r.id;
};
const list = (params = {}) => stripe.balanceTransactions.list({ created: window, expand: ['data.source'], limit: 7, ...params });
const of = (no) => all.filter((t) => t.source?.id === ids[no]);

before(async () => {
  sandbox = await new Sandbox().start('--callback-delay-ms', '20', '--speed', '50');
  stripe = client(sandbox);
  assert.equal(account(sandbox).id, ACCOUNT);
  await sandbox.ctl('books', ACCOUNT, 'fee_rate=29000');
  for (const no of ['S1', 'MISSING', 'AMOUNT', 'STATE', 'TWICE', 'LATER']) await refund(no, 1250);
  await refund('BACK', 9204);
  await refund('YEN', 700, 'ch_3BillJPY');
  for (const [c, no, ...arg] of [['missing', 'MISSING'], ['amount', 'AMOUNT', '-50'], ['state', 'STATE'],
    ['twice', 'TWICE'], ['day', 'LATER']]) await sandbox.ctl('plant', c, no, ...arg);
  await assert.rejects(sandbox.ctl('plant', 'fee', 'S1'));
  await sandbox.ctl('console-refund', ACCOUNT, 'ch_3BillS1', '-', '100');
  await sandbox.ctl('console-refund', ACCOUNT, 'ch_3BillS1', 'LOST-1', '100');
  await sandbox.ctl('move', ACCOUNT, 'basic', '-300', 'a correction');
  await eventually('all to be settled', async () => (await sandbox.offline()).refunds
    .every((r) => r.status === (r.no === 'BACK' ? 'CLOSED' : 'SUCCESS')));
  const now = Math.floor(await sandbox.businessNow() / 1000);
  window = { gte: now - 3600, lt: now + 43200 };
});

after(() => sandbox?.remove());

test('every page, newest first, each transaction once', async () => {
  all = [];
  for await (const t of list()) all.push(t);
  assert.equal(new Set(all.map((t) => t.id)).size, all.length);
  assert.ok(all.length > 14);
  assert.deepEqual(all.map((t) => t.created), all.map((t) => t.created).sort((a, b) => b - a));
  for (const t of all) assert.equal(t.net, t.amount - t.fee);
  const first = await list();
  assert.equal(first.data.length, 7);
  assert.equal(first.has_more, true);
  const before7 = await list({ ending_before: all[7].id });
  assert.deepEqual(before7.data.map((t) => t.id), first.data.map((t) => t.id));
  assert.equal((await list({ created: { lt: window.gte } })).data.length, 0);
});

test('a refund, its payment and its failure', async () => {
  const [t] = of('S1');
  const r = await stripe.refunds.retrieve(ids.S1, { expand: ['balance_transaction'] });
  assert.equal(t.id, r.balance_transaction.id);
  assert.deepEqual([t.type, t.amount, t.fee, t.net], ['refund', -1250, 0, -1250]);
  assert.equal(t.source.metadata.refundx_no, 'S1');
  const charge = all.find((x) => x.source?.id === 'ch_3BillS1');
  assert.deepEqual([charge.type, charge.fee], ['charge', Math.round(charge.amount * 0.029)]);
  const back = of('BACK');
  assert.deepEqual(back.map((x) => [x.type, x.amount]), [['refund_failure', 9204], ['refund', -9204]]);
  assert.equal(back[0].id, (await stripe.refunds.retrieve(ids.BACK)).failure_balance_transaction);
  assert.equal(of('YEN')[0].currency, 'jpy');
  const one = await stripe.balanceTransactions.retrieve(t.id);
  assert.equal(one.source, ids.S1);
  await assert.rejects(stripe.balanceTransactions.retrieve('txn_nobody'), { code: 'resource_missing' });
  assert.deepEqual(all.filter((x) => x.type === 'adjustment').map((x) => x.amount), [-300]);
});

test('what was planted, and what was done by hand', async () => {
  assert.equal(of('MISSING').length, 0);
  assert.deepEqual([of('AMOUNT')[0].amount, of('AMOUNT')[0].source.amount], [-1200, 1200]);
  assert.equal(of('STATE')[0].source.status, 'failed');
  assert.equal(of('TWICE').length, 2);
  assert.equal(of('LATER').length, 0);
  const byHand = all.filter((t) => t.type === 'refund' && t.amount === -100);
  assert.deepEqual(byHand.map((t) => t.source.metadata.refundx_no), ['LOST-1', undefined]);
  const { plants } = await sandbox.ctl('plants');
  assert.ok(plants.some((p) => p.class === 'console' && p.no === byHand[1].source.id));
  await sandbox.ctl('advance', String(2 * 86400));
  const later = await list({ created: { gte: window.lt } });
  assert.deepEqual(later.data.filter((t) => t.type === 'refund').map((t) => t.source.metadata.refundx_no), ['LATER']);
});

test('filters, and what is spoilt', async () => {
  const refunds = await list({ type: 'refund', limit: 100 });
  assert.equal(refunds.data.length, all.filter((t) => t.type === 'refund').length);
  assert.equal((await list({ source: ids.TWICE })).data.length, 2);
  await assert.rejects(list({ starting_after: 'txn_nobody' }), { code: 'resource_missing' });
  await assert.rejects(list({ expand: ['data.everything'] }), /cannot be expanded/);
  await sandbox.ctl('spoil', ACCOUNT, 'balance', '*', 'limited');
  await assert.rejects(list(), { statusCode: 429 });
  await sandbox.ctl('spoil', ACCOUNT, 'balance', '*', 'error');
  await assert.rejects(list(), { statusCode: 500 });
  assert.equal((await list()).data.length, 7);
});
