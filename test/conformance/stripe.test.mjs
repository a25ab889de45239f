// npm's stripe, as a merchant's client and as the receiver of webhooks,
// against the sandbox: two independent readings of one API.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test, before, after } from 'node:test';
import Stripe from 'stripe';
import { Sandbox, failure, eventually } from './lib.mjs';
import { account, client, webhookHeaders, Webhooks } from './stripe.mjs';

let sandbox;
let hooks;
let me;
let stripe;
let counter = 0;

before(async () => {
  sandbox = await new Sandbox().start('--speed', '100', '--callback-delay-ms', '50',
    '--hold-ms', '1500');
  me = account(sandbox);
  hooks = await new Webhooks(me.secrets).start();
  await sandbox.ctl('webhook-url', me.id, hooks.url);
  stripe = client(sandbox);
});

after(async () => {
  hooks?.stop();
  await sandbox?.remove();
});

// A payment intent of its own for each refund, unless it is given one.
const ask = (no, amount, extra = {}) => ({
  payment_intent: `pi_3Test${String(++counter).padStart(20, '0')}`,
  amount,
  metadata: { refundx_no: no },
  ...extra,
});
const create = (no, amount, key = `${no}-0`, extra = {}) =>
  stripe.refunds.create(ask(no, amount, extra), { idempotencyKey: key });
const settled = (no, status) => eventually(`${no} to be ${status}`,
  async () => (await sandbox.refund(no))?.status === status && sandbox.refund(no));
const listed = async (pi) => {
  const all = [];
  for await (const r of stripe.refunds.list({ payment_intent: pi, limit: 100 })) all.push(r);
  return all;
};

// ---- the API ----

test('a refund: made, told, found', async () => {
  const params = ask('R-1', 500, { reason: 'requested_by_customer' });
  const r = await stripe.refunds.create(params, { idempotencyKey: 'R-1-0' });
  assert.match(r.id, /^re_[A-Za-z0-9]+$/);
  assert.equal(r.object, 'refund');
  assert.equal(r.amount, 500);
  assert.equal(r.currency, 'usd');
  assert.equal(r.status, 'pending');
  assert.equal(r.payment_intent, params.payment_intent);
  assert.match(r.charge, /^ch_/);
  assert.equal(r.reason, 'requested_by_customer');
  assert.deepEqual(r.metadata, { refundx_no: 'R-1' });
  assert.match(r.lastResponse.requestId, /^req_/);
  assert.equal(r.lastResponse.idempotencyKey, 'R-1-0');
  assert.equal(r.lastResponse.headers['stripe-version'], r.lastResponse.apiVersion);
  assert.ok(Math.abs(r.created - Date.now() / 1000) < 60);
  await eventually('three events', () => hooks.of(r.id).length === 2 && hooks.of(r.charge).length === 1);
  assert.deepEqual(hooks.types(r.id).sort(), ['refund.created', 'refund.updated']);
  const { event } = hooks.of(r.id, 'refund.updated')[0];
  assert.match(event.id, /^evt_/);
  assert.equal(event.object, 'event');
  assert.equal(event.livemode, false);
  assert.equal(event.account, undefined);
  assert.equal(event.data.object.status, 'succeeded');
  assert.equal(event.data.previous_attributes.status, 'pending');
  assert.equal(event.request.idempotency_key, 'R-1-0');
  assert.match(event.api_version, /^\d{4}-\d\d-\d\d/);
  const charge = hooks.of(r.charge, 'charge.refunded')[0].event.data.object;
  assert.equal(charge.amount_refunded, 500);
  assert.equal(charge.refunded, false);
  const found = await stripe.refunds.retrieve(r.id);
  assert.equal(found.status, 'succeeded');
  const list = await stripe.refunds.list({ payment_intent: params.payment_intent });
  assert.deepEqual(list.data.map((x) => x.id), [r.id]);
  assert.equal(list.has_more, false);
  const row = await sandbox.refund('R-1');
  assert.deepEqual([row.paid_times, row.returned, row.channel], [1, false, 'stripe']);
});

test('the currency is the payment\'s, also one without minor units', async () => {
  const r = await create('JPY-1', 700, 'JPY-1-0', { payment_intent: 'pi_3TestOfYenJPY' });
  assert.deepEqual([r.amount, r.currency], [700, 'jpy']);
  const byCharge = await stripe.refunds.create({ charge: 'ch_3TestOfEuroEUR', amount: 5 });
  assert.equal(byCharge.currency, 'eur');
  assert.match(byCharge.payment_intent, /^pi_/);
});

test('expand gives objects, and refuses what it does not know', async () => {
  const r = await create('EXP-1', 500, 'EXP-1-0', { expand: ['charge', 'payment_intent', 'balance_transaction'] });
  assert.equal(r.charge.object, 'charge');
  assert.equal(r.payment_intent.object, 'payment_intent');
  assert.equal(r.payment_intent.latest_charge, r.charge.id);
  assert.equal(r.balance_transaction.amount, -500);
  const list = await stripe.refunds.list({ charge: r.charge.id, expand: ['data.charge'] });
  assert.equal(list.data[0].charge.id, r.charge.id);
  const e = await failure(stripe.refunds.retrieve(r.id, { expand: ['nothing'] }));
  assert.ok(e instanceof Stripe.errors.StripeInvalidRequestError);
  assert.equal((await stripe.charges.retrieve(r.charge.id)).amount_refunded, 500);
  assert.equal((await stripe.paymentIntents.retrieve(r.payment_intent.id)).status, 'succeeded');
});

test('account and balance', async () => {
  const a = await stripe.accounts.retrieveCurrent();
  assert.deepEqual([a.id, a.object, a.charges_enabled], [me.id, 'account', true]);
  assert.equal((await stripe.accounts.retrieve(me.id)).id, me.id);
  const b = await stripe.balance.retrieve();
  assert.equal(b.object, 'balance');
  assert.equal(b.livemode, false);
  assert.ok(b.available[0].amount > 0);
});

test('metadata can be changed afterwards', async () => {
  const r = await create('META-1', 500, 'META-1-0', { metadata: { refundx_no: 'META-1', gone: 'x' } });
  const u = await stripe.refunds.update(r.id, { metadata: { gone: '', note: 'ä=&+%[]' } });
  assert.deepEqual(u.metadata, { refundx_no: 'META-1', note: 'ä=&+%[]' });
  assert.deepEqual((await stripe.refunds.retrieve(r.id)).metadata, u.metadata);
});

// ---- Idempotency-Key ----

test('the same key with the same parameters gets the same bytes again', async () => {
  const params = ask('IDEM-1', 700);
  const one = await stripe.refunds.create(params, { idempotencyKey: 'IDEM-1-0' });
  await settled('IDEM-1', 'SUCCESS');
  const two = await stripe.refunds.create(params, { idempotencyKey: 'IDEM-1-0' });
  assert.deepEqual({ ...two }, { ...one });
  assert.equal(two.status, 'pending', 'the stored answer, not the refund as it is now');
  assert.equal(two.lastResponse.headers['idempotent-replayed'], 'true');
  assert.equal(two.lastResponse.headers['original-request'], one.lastResponse.requestId);
  assert.notEqual(two.lastResponse.requestId, one.lastResponse.requestId);
  assert.equal(one.lastResponse.headers['idempotent-replayed'], undefined);
  assert.equal((await listed(params.payment_intent)).length, 1);
});

test('the same key with other parameters, or at another URL, is an idempotency_error', async () => {
  const params = ask('IDEM-2', 700);
  const r = await stripe.refunds.create(params, { idempotencyKey: 'IDEM-2-0' });
  for (const call of [
    () => stripe.refunds.create({ ...params, amount: 701 }, { idempotencyKey: 'IDEM-2-0' }),
    () => stripe.refunds.update(r.id, { metadata: { a: 'b' } }, { idempotencyKey: 'IDEM-2-0' }),
  ]) {
    const e = await failure(call());
    assert.ok(e instanceof Stripe.errors.StripeIdempotencyError, e.type);
    assert.equal(e.statusCode, 400);
  }
  assert.equal((await listed(params.payment_intent)).length, 1);
});

test('another key is another refund, and the ledger counts it as paid twice', async () => {
  const params = ask('TWICE-1', 700);
  const one = await stripe.refunds.create(params, { idempotencyKey: 'TWICE-1-0' });
  const two = await stripe.refunds.create(params, { idempotencyKey: 'TWICE-1-1' });
  assert.notEqual(one.id, two.id);
  await eventually('both to be paid', async () => (await sandbox.refund('TWICE-1')).paid_times === 2);
  const { refunds } = await sandbox.ctl('show', 'TWICE-1');
  assert.equal(refunds.length, 2);
  assert.equal((await sandbox.ctl('stats')).refunds.paid_twice, 1);
});

test('what fails validation is not kept, what fails in execution is', async () => {
  const bad = await failure(create('KEPT-1', 0));
  assert.equal(bad.statusCode, 400);
  const good = await create('KEPT-1', 100);
  assert.equal(good.lastResponse.headers['idempotent-replayed'], undefined);
  const params = ask('KEPT-2', 100, { payment_intent: 'pi_3TestKept2' });
  await create('KEPT-ALL', 99999999, 'KEPT-ALL-0', { payment_intent: 'pi_3TestKept2' });
  const call = () => failure(stripe.refunds.create(params, { idempotencyKey: 'KEPT-2-0' }));
  const first = await call();
  assert.equal(first.code, 'charge_already_refunded');
  await sandbox.ctl('settle', 'KEPT-ALL', 'CLOSED').catch(() => {});
  const second = await call();
  assert.equal(second.code, 'charge_already_refunded');
  assert.equal(second.headers['idempotent-replayed'], 'true');
});

test('a key is forgotten after 24 hours of the sandbox\'s clock', async () => {
  const params = ask('DAY-1', 300);
  const opts = { idempotencyKey: 'DAY-1-0' };
  const one = await stripe.refunds.create(params, opts);
  await sandbox.ctl('advance', String(23 * 3600));
  assert.equal((await stripe.refunds.create(params, opts)).id, one.id);
  await sandbox.ctl('advance', '3700');
  const again = await stripe.refunds.create(params, opts);
  assert.notEqual(again.id, one.id);
  assert.equal(again.lastResponse.headers['idempotent-replayed'], undefined);
});

test('what keys remember outlives kill -9', async () => {
  const params = ask('KILL-1', 300);
  const one = await stripe.refunds.create(params, { idempotencyKey: 'KILL-1-0' });
  await failure(create('KILL-2', 9022));
  await sandbox.stop('SIGKILL');
  await sandbox.start('--speed', '100', '--callback-delay-ms', '50', '--hold-ms', '1500');
  assert.equal((await stripe.refunds.create(params, { idempotencyKey: 'KILL-1-0' })).id, one.id);
  assert.equal((await listed(params.payment_intent)).length, 1);
  await settled('KILL-1', 'SUCCESS');
});

// ---- what is refused ----

test('keys and accounts', async () => {
  const wrong = await failure(client(sandbox, 'sk_test_wrong').balance.retrieve());
  assert.ok(wrong instanceof Stripe.errors.StripeAuthenticationError);
  assert.equal(wrong.statusCode, 401);
  assert.match(wrong.requestId, /^req_/);
  const live = await failure(client(sandbox, me.key.replace('sk_test_', 'sk_live_')).balance.retrieve());
  assert.ok(live instanceof Stripe.errors.StripeAuthenticationError);
  const foreign = await failure(stripe.balance.retrieve({}, { stripeAccount: 'acct_1Foreign00000000' }));
  assert.ok(foreign instanceof Stripe.errors.StripePermissionError);
  assert.equal(foreign.code, 'account_invalid');
  const basic = await fetch(`${sandbox.url}/v1/balance`,
    { headers: { Authorization: `Basic ${Buffer.from(`${me.key}:`).toString('base64')}` } });
  assert.equal(basic.status, 200);
  for (const Authorization of ['', 'Bearer', 'Bearer ', 'Basic !!', 'Basic', 'Digest x']) {
    const res = await fetch(`${sandbox.url}/v1/balance`, { headers: { Authorization } });
    assert.equal(res.status, 401, Authorization);
    assert.match(res.headers.get('request-id'), /^req_/);
    assert.equal((await res.json()).error.type, 'invalid_request_error');
  }
});

test('URLs, versions, content types, keys that are too long', async () => {
  const call = async (path, headers = {}, body = undefined) => {
    const res = await fetch(sandbox.url + path, { method: body === undefined ? 'GET' : 'POST', body,
      headers: { Authorization: `Bearer ${me.key}`, ...headers } });
    const { error } = await res.json();
    return [res.status, error?.type, error?.message ?? ''];
  };
  assert.match((await call('/v1/nothing'))[2], /^Unrecognized request URL \(GET: \/v1\/nothing\)/);
  assert.equal((await call('/v1/refunds/re_1/x'))[0], 404);
  assert.equal((await call('/v1/balance', { 'Stripe-Version': 'yesterday' }))[0], 400);
  assert.equal((await call('/v1/balance', { 'Stripe-Version': '2020-08-27' }))[0], 200);
  assert.equal((await call('/v1/refunds', { 'Content-Type': 'application/json' }, '{"amount":1}'))[0], 400);
  const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
  for (const bad of ['amount=%zz', '[a]=1', 'metadata[a=1', 'metadata=x&metadata[a]=1', 'a[b][c][d][e][f][g]=1', 'amount=%ff']) {
    assert.equal((await call('/v1/refunds', form, bad))[0], 400, bad);
  }
  for (const key of ['k'.repeat(256), '\u00ff', 'a\tb']) {
    assert.equal((await call('/v1/refunds', { ...form, 'Idempotency-Key': key }, 'charge=ch_1'))[0], 400);
  }
  assert.match((await call('/v1/\u00ff'))[2], /Unrecognized|Invalid/);
});

test('parameters that the reference forbids are refused, and name themselves', async () => {
  const bad = {
    payment_intent: [{ payment_intent: 'no such thing' }, 404, 'payment_intent'],
    'no payment': [{ payment_intent: undefined }, 400, undefined],
    'both payments': [{ charge: 'ch_1' }, 400, undefined],
    reason: [{ reason: 'because' }, 400, 'reason'],
    'amount zero': [{ amount: 0 }, 400, 'amount'],
    'amount a fraction': [{ amount: '1.5' }, 400, 'amount'],
    'amount a word': [{ amount: 'all' }, 400, 'amount'],
    'amount too large': [{ amount: 100000000 }, 400, 'amount'],
    'amount overflows': [{ amount: '99999999999999999999' }, 400, 'amount'],
    'amount an object': [{ amount: { a: 1 } }, 400, 'amount'],
    unknown: [{ colour: 'red' }, 400, 'colour'],
    'metadata key': [{ metadata: { ['k'.repeat(41)]: 'x' } }, 400, 'metadata'],
    'metadata value': [{ metadata: { k: 'x'.repeat(501) } }, 400, 'metadata'],
    'metadata count': [{ metadata: Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`k${i}`, 'x'])) }, 400, 'metadata'],
  };
  for (const [what, [change, status, param]] of Object.entries(bad)) {
    const e = await failure(create('BAD-1', 100, `BAD-${what}`, change));
    assert.ok(e instanceof Stripe.errors.StripeInvalidRequestError, what);
    assert.equal(e.statusCode, status, what);
    assert.equal(e.param, param, what);
  }
  assert.equal(await sandbox.refund('BAD-1'), undefined);
});

test('the sum of a payment is bounded, and what failed is free again', async () => {
  const pi = { payment_intent: 'pi_3TestSum' };
  await sandbox.ctl('order', me.id, 'ch_3TestSum', 'pi_3TestSum', '1000');
  await create('SUM-1', 600, 'SUM-1-0', pi);
  const e = await failure(create('SUM-2', 401, 'SUM-2-0', pi));
  assert.equal(e.code, 'amount_too_large');
  assert.match(e.message, /greater than unrefunded amount/);
  const rest = await stripe.refunds.create({ charge: 'ch_3TestSum', metadata: { refundx_no: 'SUM-3' } });
  assert.equal(rest.amount, 400, 'without an amount: what is left');
  const none = await failure(create('SUM-4', 1, 'SUM-4-0', pi));
  assert.equal(none.code, 'charge_already_refunded');
  await settled('SUM-1', 'SUCCESS');
  await sandbox.ctl('settle', 'SUM-1', 'CLOSED');
  assert.equal((await create('SUM-5', 600, 'SUM-5-0', pi)).amount, 600);
});

test('an unknown refund is 404 resource_missing', async () => {
  const e = await failure(stripe.refunds.retrieve('re_nobody'));
  assert.ok(e instanceof Stripe.errors.StripeInvalidRequestError);
  assert.deepEqual([e.statusCode, e.code, e.param], [404, 'resource_missing', 'id']);
});

// ---- lists ----

test('pages: newest first, both ways, with auto-pagination', async () => {
  const pi = { payment_intent: 'pi_3TestPages' };
  const ids = [];
  for (let i = 0; i < 25; i++) ids.unshift((await create(`PAGE-${i}`, 10, `PAGE-${i}-0`, pi)).id);
  const page = (o) => stripe.refunds.list({ ...pi, ...o });
  const first = await page({});
  assert.deepEqual(first.data.map((r) => r.id), ids.slice(0, 10));
  assert.equal(first.has_more, true);
  const second = await page({ limit: 20, starting_after: ids[9] });
  assert.deepEqual(second.data.map((r) => r.id), ids.slice(10));
  assert.equal(second.has_more, false);
  const back = await page({ limit: 4, ending_before: ids[9] });
  assert.deepEqual(back.data.map((r) => r.id), ids.slice(5, 9));
  assert.equal(back.has_more, true);
  const start = await page({ limit: 10, ending_before: ids[2] });
  assert.deepEqual(start.data.map((r) => r.id), ids.slice(0, 2));
  assert.equal(start.has_more, false);
  const seen = [];
  for await (const r of page({ limit: 3 })) seen.push(r.id);
  assert.deepEqual(seen, ids);
  const everyone = await stripe.refunds.list({ limit: 26 });
  assert.deepEqual(everyone.data.slice(0, 25).map((r) => r.id), ids);
  assert.equal(everyone.has_more, true);
  const { created } = first.data[0];
  assert.equal((await page({ created: { gt: created + 10 } })).data.length, 0);
  assert.equal((await page({ created: { gte: created - 3600, lte: created } })).data[0].id, ids[0]);
});

test('a page that cannot be', async () => {
  for (const [params, param] of [[{ limit: 0 }, 'limit'], [{ limit: 101 }, 'limit'], [{ limit: 'x' }, 'limit'],
    [{ starting_after: 're_nobody' }, 'starting_after'], [{ ending_before: 're_nobody' }, 'ending_before'],
    [{ colour: 'red' }, 'colour']]) {
    const e = await failure(stripe.refunds.list(params));
    assert.equal(e.statusCode, 400);
    assert.equal(e.param, param);
  }
  assert.equal((await stripe.refunds.list({ payment_intent: 'pi_3NotRefunded' })).data.length, 0);
  assert.equal((await failure(stripe.refunds.list({ charge: 'nonsense' }))).statusCode, 404);
});

// ---- outcomes by amount ----

const errors = [
  [9001, 400, 'charge_disputed', 'StripeInvalidRequestError', true, false],
  [9007, 500, undefined, 'StripeAPIError', true, true],
  [9009, 400, 'balance_insufficient', 'StripeInvalidRequestError', true, false],
  [9010, 429, 'rate_limit', 'StripeRateLimitError', false, false],
  [9015, 401, 'api_key_expired', 'StripeAuthenticationError', false, false],
  [9022, 503, undefined, 'StripeAPIError', true, false],
  [9209, 404, 'resource_missing', 'StripeInvalidRequestError', true, false],
  [9211, 409, 'idempotency_key_in_use', 'StripeAPIError', false, false],
  [9212, 429, 'lock_timeout', 'StripeRateLimitError', false, false],
  [9213, 400, 'charge_already_refunded', 'StripeInvalidRequestError', true, false],
];
for (const [amount, status, code, type, kept, effect] of errors) {
  test(`${amount}: ${status} ${code ?? ''}, ${kept ? '' : 'not '}kept, ${effect ? 'after' : 'without'} the effect`, async () => {
    const no = `E-${amount}`;
    const params = ask(no, amount);
    const call = (key) => stripe.refunds.create(params, { idempotencyKey: key });
    const e = await failure(call(`${no}-0`));
    assert.deepEqual([e.statusCode, e.code, e.type], [status, code, type]);
    assert.equal(e.headers['stripe-should-retry'],
      status >= 500 ? 'false' : [9211, 9212].includes(amount) ? 'true' : undefined);
    assert.equal((await sandbox.refund(no)) !== undefined, effect);
    if (!kept) {
      assert.equal((await call(`${no}-0`)).amount, amount);
      return;
    }
    const again = await failure(call(`${no}-0`));
    assert.deepEqual([again.statusCode, again.code, again.message], [status, code, e.message]);
    assert.equal(again.headers['idempotent-replayed'], 'true');
    assert.equal((await listed(params.payment_intent)).length, effect ? 1 : 0);
    if (amount === 9022) assert.equal((await call(`${no}-1`)).amount, amount);
    if ([9001, 9209, 9213].includes(amount)) assert.equal((await failure(call(`${no}-1`))).code, code);
  });
}

test('9009: a top-up helps a new key only', async () => {
  const params = ask('FUND-1', 9009);
  const call = (key) => stripe.refunds.create(params, { idempotencyKey: key });
  await failure(call('FUND-1-0'));
  assert.equal((await failure(call('FUND-1-1'))).code, 'balance_insufficient');
  await sandbox.ctl('topup', me.id);
  assert.equal((await failure(call('FUND-1-0'))).code, 'balance_insufficient');
  assert.equal((await call('FUND-1-2')).amount, 9009);
});

// The library repeats a call once by itself when its connection was reset, so
// the call that is not answered is made without it.
const send = (params, key) => fetch(`${sandbox.url}/v1/refunds`, {
  method: 'POST',
  headers: { Authorization: `Bearer ${me.key}`, 'Idempotency-Key': key },
  body: new URLSearchParams(Object.entries(params).flatMap(([k, v]) =>
    (k === 'metadata' ? Object.entries(v).map(([m, x]) => [`metadata[${m}]`, x]) : [[k, v]]))),
});

for (const [amount, effect] of [[9002, true], [9003, false], [9020, false], [9021, true], [9205, true], [9216, true]]) {
  test(`${amount}: no answer, ${effect ? 'after' : 'before'} the effect`, async () => {
    const no = `E-${amount}`;
    const params = ask(no, amount);
    await failure(send(params, `${no}-0`));
    assert.equal((await sandbox.refund(no)) !== undefined, effect);
    const r = await stripe.refunds.create(params, { idempotencyKey: `${no}-0` });
    assert.equal(r.lastResponse.headers['idempotent-replayed'], effect ? 'true' : undefined);
    const row = await settled(no, 'SUCCESS');
    assert.equal(row.paid_times, 1);
    assert.equal(row.refund_id, r.id);
  });
}

for (const [amount, statuses, paid, returned] of [
  [9004, ['pending', 'requires_action'], 0, false],
  [9011, ['pending', 'failed'], 0, false],
  [9016, ['succeeded'], 1, false],
  [9202, ['requires_action', 'succeeded'], 1, false],
  [9203, ['requires_action', 'canceled'], 0, false],
  [9204, ['pending', 'succeeded', 'failed'], 1, true],
  [9214, ['failed'], 0, false],
]) {
  test(`${amount}: ${statuses.join(', then ')}`, async () => {
    const no = `E-${amount}`;
    const r = await create(no, amount);
    assert.equal(r.status, statuses[0]);
    const ours = () => hooks.of(r.id).filter((s) => s.event.type !== 'refund.failed');
    await eventually('its events', () => ours().length === statuses.length);
    assert.deepEqual(new Set(ours().map((s) => s.event.data.object.status)), new Set(statuses));
    assert.equal((await stripe.refunds.retrieve(r.id)).status, statuses.at(-1));
    const row = await sandbox.refund(no);
    assert.deepEqual([row.paid_times, row.returned], [paid, returned]);
    const failed = statuses.length > 1 && statuses.at(-1) === 'failed';
    if (failed) {
      await eventually('refund.failed', () => hooks.of(r.id, 'refund.failed').length === 1);
      assert.ok((await stripe.refunds.retrieve(r.id)).failure_reason);
    } else {
      assert.equal(hooks.of(r.id, 'refund.failed').length, 0);
    }
  });
}

test('9004: somebody settles it, or it is canceled; only then', async () => {
  await sandbox.ctl('settle', 'E-9004', 'SUCCESS');
  assert.equal((await sandbox.refund('E-9004')).paid_times, 1);
  const r = await create('CANCEL-1', 9004);
  const early = await failure(stripe.refunds.cancel(r.id));
  assert.equal(early.statusCode, 400);
  await settled('CANCEL-1', 'ABNORMAL');
  assert.equal((await stripe.refunds.cancel(r.id)).status, 'canceled');
  assert.equal((await sandbox.refund('CANCEL-1')).paid_times, 0);
});

test('a refund that has succeeded can be made to fail by hand', async () => {
  const r = await create('LATE-FAIL', 100);
  await settled('LATE-FAIL', 'SUCCESS');
  await sandbox.ctl('settle', 'LATE-FAIL', 'CLOSED');
  await eventually('refund.failed', () => hooks.of(r.id, 'refund.failed').length === 1);
  const { event } = hooks.of(r.id, 'refund.failed')[0];
  assert.deepEqual([event.data.object.status, event.data.previous_attributes.status], ['failed', 'succeeded']);
  assert.deepEqual([(await sandbox.refund('LATE-FAIL')).paid_times, (await sandbox.refund('LATE-FAIL')).returned], [1, true]);
});

test('9005: five deliveries of each event', async () => {
  const r = await create('E-9005', 9005);
  await eventually('ten', () => hooks.of(r.id).length === 10);
  assert.equal(new Set(hooks.of(r.id).map((s) => s.event.id)).size, 2);
  const bodies = new Set(hooks.of(r.id, 'refund.updated').map((s) => s.body.toString()));
  assert.equal(bodies.size, 1, 'the same bytes each time');
});

test('9006: the webhook comes before the answer', async () => {
  let answered = false;
  let early = 0;
  hooks.status = (s) => { early += !answered && s.event.data.object.amount === 9006; return 200; };
  const r = await create('E-9006', 9006);
  answered = true;
  hooks.status = () => 200;
  assert.ok(early >= 1);
  assert.equal(hooks.of(r.id)[0].event.data.object.status, 'succeeded');
  assert.equal(r.status, 'pending');
});

test('9008: another refund\'s object; the same key then has the right one', async () => {
  const params = ask('E-9008', 9008);
  const call = () => stripe.refunds.create(params, { idempotencyKey: 'E-9008-0' });
  const forged = await call();
  assert.equal(forged.status, 'succeeded');
  assert.notEqual(forged.metadata.refundx_no, 'E-9008');
  assert.notEqual(forged.payment_intent, params.payment_intent);
  const row = await sandbox.refund('E-9008');
  assert.notEqual(row.refund_id, forged.id);
  assert.equal((await call()).id, row.refund_id);
});

for (const amount of [9012, 9216]) {
  test(`${amount}: not in the list, then there`, async () => {
    const no = `HIDE-${amount}`;
    const params = ask(no, amount);
    await stripe.refunds.create(params, { idempotencyKey: `${no}-0` }).catch((e) => e);
    const { refund_id: id, out_trade_no: pi } = await sandbox.refund(no);
    assert.equal(pi, params.payment_intent);
    // with a hundredfold speed it is hidden for 30 ms only
    await sandbox.ctl('advance', '5');
    assert.deepEqual((await listed(pi)).map((r) => r.id), [id]);
    assert.equal((await stripe.refunds.retrieve(id)).id, id);
  });
}

test('9013: never a webhook', async () => {
  const r = await create('E-9013', 9013);
  await settled('E-9013', 'SUCCESS');
  const later = await create('AFTER-9013', 100);
  await eventually('a later one\'s', () => hooks.of(later.id).length === 2);
  assert.equal(hooks.of(r.id).length, 0);
  await sandbox.ctl('callback', 'E-9013', '2');
  await eventually('the pushed ones', () => hooks.of(r.id).length === 2);
  assert.equal(hooks.of(r.id)[0].event.data.object.status, 'succeeded');
});

test('9014: a foreign signature first, then ours', async () => {
  const before = hooks.bad.length;
  const r = await create('E-9014', 9014);
  await eventually('the true events', () => hooks.of(r.id).length === 2);
  assert.ok(hooks.bad.length >= before + 2);
  assert.ok(hooks.bad.every((s) => s.error instanceof Stripe.errors.StripeSignatureVerificationError));
  const stats = await sandbox.ctl('stats');
  assert.equal(stats.callbacks.signtest_accepted, 0);
});

test('9217: a signature of ten minutes ago first, then one of now', async () => {
  const before = hooks.bad.length;
  const r = await create('E-9217', 9217);
  await eventually('the true events', () => hooks.of(r.id).length === 2);
  const stale = hooks.bad.slice(before);
  assert.ok(stale.length >= 2);
  for (const s of stale) {
    const header = s.headers['stripe-signature'];
    const then = Number(/t=(\d+)/.exec(header)[1]);
    const check = (...now) => Stripe.webhooks.constructEvent(s.body, header, me.secrets[0], 300, ...now);
    assert.throws(() => check(), /tolerance/);
    assert.ok(check(undefined, then * 1000));
  }
});

test('9017: told in the wrong order', async () => {
  const r = await create('E-9017', 9017);
  await eventually('both', () => hooks.of(r.id).length === 2);
  assert.deepEqual(hooks.types(r.id), ['refund.updated', 'refund.created']);
  assert.deepEqual(hooks.of(r.id).map((s) => s.event.data.object.status), ['succeeded', 'pending']);
});

for (const [amount, effect] of [[9018, true], [9019, false]]) {
  test(`${amount}: held, effect ${effect ? 'before' : 'after'} the release; its key is in use meanwhile`, async () => {
    const no = `E-${amount}`;
    const params = ask(no, amount);
    const call = () => stripe.refunds.create(params, { idempotencyKey: `${no}-0` });
    const first = call();
    await eventually('it to be held', async () => (await sandbox.ctl('stats')).held === 1);
    assert.equal((await sandbox.refund(no)) !== undefined, effect);
    const busy = await failure(call());
    assert.deepEqual([busy.statusCode, busy.code], [409, 'idempotency_key_in_use']);
    assert.equal((await sandbox.ctl('release', no)).released, 1);
    const r = await first;
    assert.equal((await call()).id, r.id);
    assert.equal((await settled(no, 'SUCCESS')).paid_times, 1);
  });
}

test('9019: it lands even if the caller has long gone', async () => {
  const params = ask('GONE-1', 9019);
  const impatient = client(sandbox, me.key, { timeout: 200 });
  await failure(impatient.refunds.create(params, { idempotencyKey: 'GONE-1-0' }));
  assert.equal(await sandbox.refund('GONE-1'), undefined);
  await sandbox.ctl('release', 'all');
  assert.equal((await settled('GONE-1', 'SUCCESS')).paid_times, 1);
});

test('9023: bytes that are no JSON', async () => {
  const e = await failure(create('E-9023', 9023));
  assert.ok(e instanceof Stripe.errors.StripeAPIError);
  assert.ok(await sandbox.refund('E-9023'));
});

test('9201: pending for a day', async () => {
  const r = await create('E-9201', 9201);
  await sandbox.ctl('advance', '80000');
  assert.equal((await stripe.refunds.retrieve(r.id)).status, 'pending');
  await sandbox.ctl('advance', '7000');
  await settled('E-9201', 'SUCCESS');
});

test('9218: pending for want of funds, until somebody settles it', async () => {
  const r = await create('E-9218', 9218);
  assert.deepEqual([r.status, r.pending_reason], ['pending', 'insufficient_funds']);
  await sandbox.ctl('advance', '86400');
  assert.equal((await stripe.refunds.retrieve(r.id)).status, 'pending');
  await sandbox.ctl('settle', 'E-9218', 'SUCCESS');
  assert.equal((await stripe.refunds.retrieve(r.id)).status, 'succeeded');
  assert.equal((await sandbox.refund('E-9218')).paid_times, 1);
});

test('9205: far down the list', async () => {
  const { refund_id: id, out_trade_no: pi } = await sandbox.refund('E-9205');
  const first = await stripe.refunds.list({ payment_intent: pi, limit: 100 });
  assert.equal(first.has_more, true);
  assert.ok(!first.data.some((r) => r.id === id));
  const all = await listed(pi);
  assert.equal(all.length, 231);
  assert.equal(all.at(-1).id, id);
  assert.equal(new Set(all.map((r) => r.id)).size, 231);
  assert.equal((await stripe.refunds.retrieve(all[0].id)).status, 'canceled');
});

for (const [amount, by] of [[9206, [1]], [9207, [0, 1]], [100, [0]]]) {
  test(`${amount}: signed with ${by.map((i) => ['the new', 'the old'][i]).join(' and ')} secret`, async () => {
    const r = await create(`SIGN-${amount}`, amount);
    await eventually('its events', () => hooks.of(r.id).length === 2);
    for (const s of hooks.of(r.id)) assert.deepEqual(s.by, by);
  });
}

test('rolling a secret: old, both, new', async () => {
  for (const [what, by] of [['old', [1]], ['both', [0, 1]], ['new', [0]]]) {
    await sandbox.ctl('switch', me.id, `secret-${what}`);
    const r = await create(`ROLL-${what}`, 100);
    await eventually('its events', () => hooks.of(r.id).length === 2);
    for (const s of hooks.of(r.id)) assert.deepEqual(s.by, by, what);
  }
});

test('9208: an event of live mode comes along', async () => {
  const r = await create('E-9208', 9208);
  await eventually('four events', () => hooks.of(r.id).length === 4);
  const live = hooks.of(r.id).filter((s) => s.event.livemode);
  assert.equal(live.length, 2);
  assert.equal(new Set(hooks.of(r.id).map((s) => s.event.id)).size, 4);
});

test('9210: webhooks an hour late', async () => {
  const r = await create('E-9210', 9210);
  await settled('E-9210', 'SUCCESS');
  assert.equal(hooks.of(r.id).length, 0);
  await sandbox.ctl('advance', '3700');
  await eventually('its events', () => hooks.of(r.id).length === 2);
});

test('9215: another amount than was asked for', async () => {
  const r = await create('E-9215', 9215);
  assert.equal(r.amount, 9214);
  assert.equal((await sandbox.refund('E-9215')).amount, 9214);
});

// ---- webhooks ----

test('a webhook is delivered again until it is taken, by the same id', async () => {
  let refuse = 3;
  hooks.status = (s) => (s.event.type === 'refund.updated'
    && s.event.data.object.metadata.refundx_no === 'RETRY-1' && refuse-- > 0 ? 500 : 204);
  const r = await create('RETRY-1', 200);
  const pushes = () => hooks.of(r.id, 'refund.updated');
  await eventually('the fourth push', () => pushes().length === 4);
  hooks.status = () => 200;
  // 10 s, 60 s, 300 s at a hundredfold speed; never early
  const at = pushes().map((s) => s.at);
  for (const [i, s] of [[1, 10], [2, 60], [3, 300]]) {
    assert.ok(at[i] - at[i - 1] >= s * 10 - 5, `push ${i} came after ${at[i] - at[i - 1]} ms`);
  }
  assert.equal(new Set(pushes().map((s) => s.event.id)).size, 1);
  assert.ok(new Set(pushes().map((s) => s.headers['stripe-signature'])).size >= 2, 'signed afresh');
});

test('constructEvent refuses what was changed, and what is old', async () => {
  const s = hooks.good[0];
  const secret = me.secrets[s.by[0]];
  const header = s.headers['stripe-signature'];
  const check = (body, h, options = []) => Stripe.webhooks.constructEvent(body, h, secret, ...options);
  assert.ok(check(s.body, header));
  assert.throws(() => check(`${s.body} `, header), Stripe.errors.StripeSignatureVerificationError);
  const t = Number(/t=(\d+)/.exec(header)[1]);
  assert.throws(() => check(s.body, header.replace(/t=\d+/, `t=${t + 1}`)),
    Stripe.errors.StripeSignatureVerificationError);
  assert.throws(() => Stripe.webhooks.constructEvent(s.body, header, secret, 300, undefined, (t + 400) * 1000),
    /Timestamp outside the tolerance zone/);
});

test('headers made by generateTestHeaderString verify, also with two secrets', () => {
  const event = { id: 'evt_1', object: 'event', type: 'refund.updated', data: { object: { id: 're_1' } } };
  for (const secret of [me.secrets[0], me.secrets]) {
    const { headers, body } = webhookHeaders(event, secret);
    for (const s of [secret].flat()) {
      assert.equal(Stripe.webhooks.constructEvent(body, headers['stripe-signature'], s).id, 'evt_1');
    }
  }
  const old = webhookHeaders(event, me.secrets[0], Math.floor(Date.now() / 1000) - 301);
  assert.throws(() => Stripe.webhooks.constructEvent(old.body, old.headers['stripe-signature'], me.secrets[0]),
    /tolerance/);
});

test('events signed for the extension, line by line', () => {
  const lines = ['{"id":"evt_1","object":"event"}', '{"id":"evt_2","object":"event","note":"ä"}'];
  const out = spawnSync(process.execPath, [new URL('stripe_sign.mjs', import.meta.url).pathname,
    ...sandbox.json('channel-stripe.json').webhook_secrets.flatMap((f) => ['--secret', `${sandbox.dir}/keys/${f}`])],
  { input: lines.join('\n') });
  assert.equal(out.status, 0, out.stderr.toString());
  const made = out.stdout.toString().trimEnd().split('\n').map((l) => JSON.parse(l));
  assert.deepEqual(made.map((m) => m.body), lines);
  for (const { body, headers } of made) {
    for (const secret of me.secrets) assert.ok(Stripe.webhooks.constructEvent(body, headers['stripe-signature'], secret));
  }
});

test('no URL, no webhooks', async () => {
  await sandbox.ctl('webhook-url', me.id, 'none');
  const before = (await sandbox.ctl('stats')).callbacks.events;
  await create('QUIET-1', 9016);
  assert.equal((await sandbox.ctl('stats')).callbacks.events, before);
  await sandbox.ctl('webhook-url', me.id, hooks.url);
});

test('nobody was paid twice, but for the two that were asked for', async () => {
  const { refunds } = await sandbox.ctl('ledger');
  const twice = new Set(refunds.filter((r) => r.paid_times > 1).map((r) => r.no));
  assert.deepEqual([...twice].sort(), ['DAY-1', 'TWICE-1']);
});

// ---- other sandboxes ----

test('a second account: with its own key, and through the platform\'s', async () => {
  const s = new Sandbox();
  spawnSync(process.env.SANDBOX, ['init', '--data', s.dir,
    '--stripe-account', 'acct_1Platform000000', '--stripe-account', 'acct_1Connected00000']);
  let w;
  try {
    await s.start('--callback-delay-ms', '50');
    const platform = account(s);
    const connected = account(s, 'channel-stripe-acct_1Connected00000.json');
    assert.deepEqual([platform.id, connected.id], ['acct_1Platform000000', 'acct_1Connected00000']);
    w = await new Webhooks(connected.secrets).start();
    await s.ctl('webhook-url', connected.id, w.url);
    const params = (no) => ({ payment_intent: 'pi_3TestConnected', amount: 100, metadata: { refundx_no: no } });
    const own = await client(s, connected.key).refunds.create(params('OWN'));
    const stripeAccount = connected.id;
    const p = client(s, platform.key);
    const theirs = await p.refunds.create(params('THEIRS'), { stripeAccount });
    assert.equal(theirs.lastResponse.headers['stripe-account'], stripeAccount);
    assert.equal((await p.refunds.list({ payment_intent: 'pi_3TestConnected' }, { stripeAccount })).data.length, 2);
    assert.equal((await p.refunds.list({ payment_intent: 'pi_3TestConnected' })).data.length, 0);
    assert.equal((await failure(client(s, connected.key).refunds.list({}, { stripeAccount: platform.id }))).statusCode, 403);
    await eventually('their events', () => w.of(own.id).length === 2 && w.of(theirs.id).length === 2);
    assert.equal(w.of(own.id)[0].event.account, undefined);
    assert.equal(w.of(theirs.id)[0].event.account, connected.id);
    assert.equal((await s.refund('THEIRS')).mchid, connected.id);
  } finally {
    w?.stop();
    await s.remove();
  }
});

test('strict orders: only what was registered', async () => {
  const s = await new Sandbox().start('--strict-orders', '--currency', 'cny');
  try {
    const a = account(s);
    const c = client(s);
    const params = { payment_intent: 'pi_3TestStrict', amount: 100, metadata: { refundx_no: 'STRICT-1' } };
    for (const call of [() => c.refunds.create(params), () => c.refunds.list({ payment_intent: 'pi_3TestStrict' })]) {
      const e = await failure(call());
      assert.deepEqual([e.statusCode, e.code], [404, 'resource_missing']);
    }
    await s.ctl('order', a.id, 'ch_3TestStrict', 'pi_3TestStrict', '1000');
    const r = await c.refunds.create(params);
    assert.deepEqual([r.charge, r.currency], ['ch_3TestStrict', 'cny']);
  } finally {
    await s.remove();
  }
});

test('9012 while the clock is slow: neither listed nor found', async () => {
  const s = await new Sandbox().start();
  try {
    const c = client(s);
    const r = await c.refunds.create({ payment_intent: 'pi_3TestHidden', amount: 9012, metadata: { refundx_no: 'H' } });
    assert.equal((await c.refunds.list({ payment_intent: 'pi_3TestHidden' })).data.length, 0);
    assert.equal((await failure(c.refunds.retrieve(r.id))).code, 'resource_missing');
    await s.ctl('advance', '5');
    assert.equal((await c.refunds.list({ payment_intent: 'pi_3TestHidden' })).data.length, 1);
  } finally {
    await s.remove();
  }
});

test('limits: a hundred calls a second and account', async () => {
  const s = await new Sandbox().start('--limits');
  try {
    const c = client(s);
    const codes = [];
    await Promise.all(Array.from({ length: 260 }, () =>
      c.balance.retrieve().then(() => codes.push('ok'), (e) => codes.push(e.code))));
    assert.ok(codes.includes('rate_limit'));
    assert.ok(codes.filter((x) => x === 'ok').length >= 100);
  } finally {
    await s.remove();
  }
});

test('chaos: the seed and the number decide, whatever the key', async () => {
  const draw = async (seed, backwards = false) => {
    const s = await new Sandbox().start('--chaos', '60', '--seed', String(seed), '--hold-ms', '50');
    try {
      const c = client(s);
      const nos = Array.from({ length: 40 }, (_, i) => `CHAOS-${i}`);
      if (backwards) nos.reverse();
      for (let generation = 0; generation < 2; generation++) {
        await Promise.all(nos.map((no) => c.refunds.create(
          { payment_intent: `pi_3${no.replace('-', '')}`, amount: 100, metadata: { refundx_no: no } },
          { idempotencyKey: `${no}-${generation}` }).catch(() => {})));
      }
      return Object.fromEntries((await s.ctl('ledger')).refunds.map((r) => [r.no, r.outcome]));
    } finally {
      await s.remove();
    }
  };
  const a = await draw(1);
  assert.deepEqual(await draw(1, true), a);
  assert.notDeepEqual(await draw(2), a);
  assert.ok(new Set(Object.values(a)).size > 5);
});

test('wire.log names the call and the number', async () => {
  const lines = sandbox.read('wire.log').trimEnd().split('\n').map((l) => l.split('\t'));
  const [made] = lines.filter((l) => l[3] === 'R-1');
  assert.deepEqual([made[1], made[2]], ['stripe.refund.create', me.id]);
  assert.match(made[4], /^[0-9a-f]{64}$/);
  const calls = new Set(lines.map((l) => l[1]));
  for (const call of ['stripe.refund.create', 'stripe.refund.retrieve', 'stripe.refund.list',
    'stripe.refund.update', 'stripe.refund.cancel', 'stripe.account', 'stripe.balance']) {
    assert.ok(calls.has(call), call);
  }
});
