// wechatpay-axios-plugin, as a merchant's client and as the receiver of
// callbacks, against the sandbox: two independent readings of one protocol.
import assert from 'node:assert/strict';
import { test, before, after } from 'node:test';
import wechatpay from 'wechatpay-axios-plugin';
import { Sandbox, Receiver, refundBody, failure, eventually } from './lib.mjs';

const { Wechatpay, Rsa, Aes, Formatter } = wechatpay;
let sandbox;
let receiver;
let client;

before(async () => {
  sandbox = await new Sandbox().start('--speed', '100', '--callback-delay-ms', '50',
    '--hold-ms', '1500', '--callback-key', 'mixed');
  receiver = await new Receiver(sandbox.merchant()).start();
  client = sandbox.client();
});

after(async () => {
  receiver?.stop();
  await sandbox?.remove();
});

const create = (body, c = client) => c.v3.refund.domestic.refunds.post(body);
const query = (no, c = client) => c.v3.refund.domestic.refunds._out_refund_no_.get({ out_refund_no: no });
const ask = (no, fen, extra) => refundBody(no, fen, { notify_url: receiver.url, ...extra });
const settled = (no, status) => eventually(`${no} to be ${status}`,
  async () => (await sandbox.refund(no))?.status === status);

for (const key of ['pub', 'cert']) {
  test(`a refund: accepted, called back, found (answers signed with ${key})`, async () => {
    const c = sandbox.client(key);
    const no = `R-${key}-1`;
    const res = await create(ask(no, 500), c);
    assert.equal(res.status, 200);
    assert.equal(res.data.status, 'PROCESSING');
    assert.equal(res.data.out_refund_no, no);
    assert.equal(res.data.amount.refund, 500);
    assert.equal(res.data.amount.currency, 'CNY');
    assert.equal(res.headers['wechatpay-serial'].startsWith('PUB_KEY_ID_'), key === 'pub');
    assert.ok(res.headers['request-id']);
    await eventually('the callback', () => receiver.of(no).length > 0);
    const { content, event } = receiver.of(no)[0];
    assert.equal(event.event_type, 'REFUND.SUCCESS');
    assert.equal(event.resource.original_type, 'refund');
    assert.equal(content.refund_status, 'SUCCESS');
    assert.equal(content.status, undefined);
    assert.equal(content.mchid, '1900000100');
    assert.deepEqual(content.amount, { total: 100000, refund: 500, payer_total: 100000, payer_refund: 500 });
    const found = await query(no, c);
    assert.equal(found.data.status, 'SUCCESS');
    assert.equal(found.data.refund_id, res.data.refund_id);
    assert.ok(Date.parse(found.data.success_time));
    assert.equal((await sandbox.refund(no)).paid_times, 1);
  });
}

test('both kinds of keys sign callbacks when mixed', async () => {
  for (let i = 0; i < 4; i++) await create(ask(`MIX-${i}`, 100));
  await eventually('four callbacks', () => receiver.good.filter((c) =>
    c.content.out_refund_no?.startsWith('MIX-')).length >= 4);
  const serials = new Set(receiver.good.map((c) => c.headers['wechatpay-serial']));
  assert.equal(serials.size, 2);
  const nonces = receiver.good.map((c) => c.headers['wechatpay-nonce']);
  assert.equal(new Set(nonces).size, nonces.length);
});

test('the same number with the same parameters is the same refund', async () => {
  const one = await create(ask('IDEM-1', 700));
  const two = await create(ask('IDEM-1', 700));
  assert.equal(one.data.refund_id, two.data.refund_id);
  await settled('IDEM-1', 'SUCCESS');
  const { refunds } = await sandbox.ctl('show', 'IDEM-1');
  assert.equal(refunds.length, 1);
  assert.equal(refunds[0].paid_times, 1);
  assert.equal(refunds[0].calls_since_start, 2);
});

test('the same number with other parameters is refused, and pays nothing', async () => {
  await create(ask('CONFLICT-1', 700));
  const e = await failure(create(ask('CONFLICT-1', 701)));
  assert.equal(e.response.status, 400);
  assert.equal(e.response.data.code, 'INVALID_REQUEST');
  assert.equal(e.response.headers['wechatpay-signature'], undefined);
  assert.equal((await sandbox.refund('CONFLICT-1')).amount, 700);
});

test('the sum of an order is bounded', async () => {
  const transaction_id = '4200009999999999999999999991';
  const amount = (refund) => ({ refund, total: 1000, currency: 'CNY' });
  await create(ask('SUM-1', 1, { transaction_id, amount: amount(600) }));
  const e = await failure(create(ask('SUM-2', 1, { transaction_id, amount: amount(401) })));
  assert.equal(e.response.data.code, 'INVALID_REQUEST');
  await create(ask('SUM-3', 1, { transaction_id, amount: amount(400) }));
  const other = await failure(create(ask('SUM-4', 1, { transaction_id, amount: { ...amount(1), total: 2000 } })));
  assert.equal(other.response.data.code, 'INVALID_REQUEST');
});

test('fifty parts, and no more', async () => {
  const transaction_id = '4200009999999999999999999950';
  const part = (i) => create(ask(`PART-${i}`, 1, { transaction_id, notify_url: undefined }));
  for (let i = 1; i <= 50; i++) await part(i);
  const e = await failure(part(51));
  assert.equal(e.response.data.code, 'INVALID_REQUEST');
});

test('an unknown number is 404 RESOURCE_NOT_EXISTS, a wrong URL an empty 404', async () => {
  const e = await failure(query('NOBODY'));
  assert.equal(e.response.status, 404);
  assert.equal(e.response.data.code, 'RESOURCE_NOT_EXISTS');
  const wrong = await failure(client.v3.no.such.api.get());
  assert.equal(wrong.response.status, 404);
  assert.equal(wrong.response.data, '');
});

test('every character that a number may have survives URL and signature', async () => {
  const no = 'a_b-c|d*e@F9';
  await create(ask(no, 300));
  const res = await query(encodeURIComponent(no));
  assert.equal(res.data.out_refund_no, no);
});

test('parameters that the documents forbid are refused', async () => {
  const bad = {
    'number too long': { out_refund_no: 'x'.repeat(65) },
    'number charset': { out_refund_no: 'a b' },
    'both order numbers': { out_trade_no: 'T1' },
    'no order number': { transaction_id: undefined },
    'query in notify_url': { notify_url: `${receiver.url}?a=1` },
    'reason too long': { reason: '退'.repeat(27) },
    'emoji': { reason: '\u{1F600}' },
    'null': { reason: null },
    'amount a string': { amount: { refund: '1', total: 100000, currency: 'CNY' } },
    'amount a fraction': { amount: { refund: 1.5, total: 100000, currency: 'CNY' } },
    'amount zero': { amount: { refund: 0, total: 100000, currency: 'CNY' } },
    'currency': { amount: { refund: 1, total: 100000, currency: 'USD' } },
    'more than the total': { amount: { refund: 2, total: 1, currency: 'CNY' } },
  };
  for (const [what, change] of Object.entries(bad)) {
    const e = await failure(create(ask('BAD-1', 1, change)));
    assert.equal(e.response?.status, 400, what);
    assert.equal(e.response.data.code, 'PARAM_ERROR', what);
  }
  assert.equal(await sandbox.refund('BAD-1'), undefined);
});

// A signed request of which one thing is wrong.
async function tampered(change) {
  const m = sandbox.merchant();
  const r = {
    method: 'POST', path: '/v3/refund/domestic/refunds', timestamp: Formatter.timestamp(),
    nonce: Formatter.nonce(), body: JSON.stringify(ask('FORGED-1', 100)),
    headers: { Accept: 'application/json', 'User-Agent': 'test', 'Content-Type': 'application/json' },
    mchid: m.mchid, serial: m.serial,
  };
  change.before?.(r);
  const signature = Rsa.sign(Formatter.request(r.method, r.path, r.timestamp, r.nonce, r.body), m.privateKey);
  r.headers.Authorization = Formatter.authorization(r.mchid, r.nonce, signature, r.timestamp, r.serial);
  change.after?.(r);
  const res = await fetch(sandbox.url + r.path, { method: r.method, headers: r.headers, body: r.body });
  return { status: res.status, data: await res.json(), headers: res.headers };
}

test('a request that is not properly signed is 401 SIGN_ERROR and has no effect', async () => {
  const cases = {
    body: { after: (r) => { r.body = r.body.replace('100', '101'); } },
    'trailing space': { after: (r) => { r.body += ' '; } },
    path: { after: (r) => { r.path += '?x=1'; } },
    nonce: { after: (r) => { r.headers.Authorization = r.headers.Authorization.replace(r.nonce, 'x'); } },
    'old clock': { before: (r) => { r.timestamp -= 400; } },
    'fast clock': { before: (r) => { r.timestamp += 400; } },
    'foreign merchant': { before: (r) => { r.mchid = '1900009999'; } },
    'foreign serial': { before: (r) => { r.serial = sandbox.merchant().platformSerial; } },
    'no signature': { after: (r) => { delete r.headers.Authorization; } },
    scheme: { after: (r) => { r.headers.Authorization = r.headers.Authorization.replace('SHA256', 'SHA1'); } },
    'field twice': { after: (r) => { r.headers.Authorization += `,mchid="${r.mchid}"`; } },
  };
  for (const [what, change] of Object.entries(cases)) {
    const res = await tampered(change);
    assert.equal(res.status, 401, what);
    assert.equal(res.data.code, 'SIGN_ERROR', what);
    assert.ok(res.headers.get('request-id'), what);
  }
  assert.equal(await sandbox.refund('FORGED-1'), undefined);
  const good = await tampered({});
  assert.equal(good.status, 200, JSON.stringify(good.data));
});

test('an unknown Wechatpay-Serial, a missing User-Agent, a wrong Content-Type', async () => {
  const serial = await tampered({ before: (r) => { r.headers['Wechatpay-Serial'] = 'PUB_KEY_ID_0'; } });
  assert.deepEqual([serial.status, serial.data.code], [400, 'PARAM_ERROR']);
  const agent = await tampered({ before: (r) => { r.headers['User-Agent'] = ''; } });
  assert.deepEqual([agent.status, agent.data.code], [400, 'INVALID_REQUEST']);
  const type = await tampered({ before: (r) => { r.headers['Content-Type'] = 'text/plain'; } });
  assert.deepEqual([type.status, type.data.code], [400, 'PARAM_ERROR']);
});

test('certificates can be fetched, decrypted and used', async () => {
  const m = sandbox.merchant();
  const res = await sandbox.client('cert').v3.certificates.get();
  const [item] = res.data.data;
  assert.equal(item.serial_no, m.platformSerial);
  const { ciphertext, nonce, associated_data: aad } = item.encrypt_certificate;
  assert.equal(Aes.AesGcm.decrypt(ciphertext, m.apiv3, nonce, aad),
    m.certs[m.platformSerial].toString());
  assert.ok(Date.parse(item.expire_time) > Date.now());
});

test('echo: what we encrypt for WeChat comes back encrypted for us', async () => {
  const m = sandbox.merchant();
  const encrypted = Rsa.encrypt('secret', Rsa.from(m.certs[m.pubKeyId], Rsa.KEY_TYPE_PUBLIC));
  const res = await client.v3.security.echo.post(
    { echo_message: 'hello', encrypted_echo_message: encrypted, notify_url: receiver.url });
  assert.equal(res.data.echo_message, 'hello');
  assert.equal(Rsa.decrypt(res.data.encrypted_echo_message, Rsa.from(m.privateKey)), 'secret');
  const cb = await eventually('the echo callback', () => receiver.good.find((c) =>
    c.event.event_type === 'SECURITY_ECHO.SUCCESS'));
  assert.equal(cb.event.resource.original_type, 'security');
  assert.equal(cb.content.echo_message, 'hello');
  const plain = await failure(client.v3.security.echo.post(
    { echo_message: 'x', encrypted_echo_message: 'not encrypted' }));
  assert.equal(plain.response.data.code, 'PARAM_ERROR');
});

// ---- outcomes by amount ----

const errors = [
  [9001, 403, 'USER_ACCOUNT_ABNORMAL', false],
  [9007, 500, 'SYSTEM_ERROR', true],
  [9010, 429, 'FREQUENCY_LIMITED', false],
  [9015, 401, 'SIGN_ERROR', false],
  [9022, 503, 'SERVICE_UNAVAILABLE', false],
];
for (const [fen, status, code, effect] of errors) {
  test(`${fen}: ${status} ${code}, ${effect ? 'after' : 'without'} the effect`, async () => {
    const no = `E-${fen}`;
    const e = await failure(create(ask(no, fen)));
    assert.equal(e.response.status, status);
    assert.equal(e.response.data.code, code);
    assert.equal((await sandbox.refund(no)) !== undefined, effect);
    if (fen === 9001) {
      const again = await failure(create(ask(no, fen)));
      assert.equal(again.response.data.code, code);
      return;
    }
    assert.equal((await create(ask(no, fen))).data.out_refund_no, no);
    await settled(no, 'SUCCESS');
    assert.equal((await sandbox.refund(no)).paid_times, 1);
  });
}

for (const [fen, effect] of [[9002, true], [9003, false], [9020, false], [9021, true]]) {
  test(`${fen}: no answer, ${effect ? 'after' : 'before'} the effect`, async () => {
    const no = `E-${fen}`;
    const e = await failure(create(ask(no, fen)));
    assert.equal(e.response, undefined);
    if (fen === 9021) assert.equal(e.code, 'ECONNRESET');
    assert.equal((await sandbox.refund(no)) !== undefined, effect);
    assert.equal((await create(ask(no, fen))).status, 200);
    await settled(no, 'SUCCESS');
    assert.equal((await sandbox.refund(no)).paid_times, 1);
  });
}

for (const [fen, status, type] of [[9004, 'ABNORMAL', 'REFUND.ABNORMAL'], [9011, 'CLOSED', 'REFUND.CLOSED']]) {
  test(`${fen}: accepted, then ${status}`, async () => {
    const no = `E-${fen}`;
    await create(ask(no, fen));
    const [cb] = await eventually('the callback', () => receiver.of(no).length && receiver.of(no));
    assert.equal(cb.event.event_type, type);
    assert.equal(cb.content.refund_status, status);
    assert.equal(cb.content.success_time, undefined);
    assert.equal((await query(no)).data.status, status);
    assert.equal((await sandbox.refund(no)).paid_times, 0);
  });
}

test('9004: an abnormal refund goes on when it is settled, or by the API', async () => {
  await sandbox.ctl('settle', 'E-9004', 'SUCCESS');
  await eventually('the second callback', () => receiver.of('E-9004').some((c) =>
    c.content.refund_status === 'SUCCESS'));
  const res = await create(ask('ABN-1', 9004));
  await settled('ABN-1', 'ABNORMAL');
  const done = await client.v3.refund.domestic.refunds[res.data.refund_id]['apply-abnormal-refund']
    .post({ out_refund_no: 'ABN-1', type: 'MERCHANT_BANK_CARD' });
  assert.equal(done.data.status, 'SUCCESS');
  assert.equal(done.data.user_received_account, '商户基本账户');
  assert.equal((await sandbox.refund('ABN-1')).paid_times, 0);
});

test('9004: to another card of the payer, which WeChat alone can read', async () => {
  const m = sandbox.merchant();
  const key = Rsa.from(m.certs[m.pubKeyId], Rsa.KEY_TYPE_PUBLIC);
  const card = { bank_account: Rsa.encrypt('6225880112345678', key), real_name: Rsa.encrypt('张三', key) };
  const res = await create(ask('ABN-2', 9004));
  await settled('ABN-2', 'ABNORMAL');
  const apply = (more) => client.v3.refund.domestic.refunds[res.data.refund_id]['apply-abnormal-refund'].post(
    { out_refund_no: 'ABN-2', type: 'USER_BANK_CARD', bank_type: 'CMB_DEBIT', ...card, ...more },
    { headers: { 'Wechatpay-Serial': m.pubKeyId } });
  for (const wrong of [{ bank_type: 'CMB_CREDIT' }, { bank_account: '6225880112345678' }, { real_name: '张三' }]) {
    const refused = await failure(apply(wrong));
    assert.deepEqual([refused.response.status, refused.response.data.code], [400, 'PARAM_ERROR']);
  }
  assert.equal((await apply({})).data.status, 'SUCCESS');
  assert.equal((await sandbox.refund('ABN-2')).paid_times, 1);
});

test('9011: a closed refund gives its amount back to the order', async () => {
  const extra = { transaction_id: '4200009999999999999999999911' };
  await create(ask('CLOSED-1', 9011, { ...extra, amount: { refund: 9011, total: 9011, currency: 'CNY' } }));
  await settled('CLOSED-1', 'CLOSED');
  const res = await create(ask('CLOSED-2', 1, { ...extra, amount: { refund: 9000, total: 9011, currency: 'CNY' } }));
  assert.equal(res.status, 200);
});

test('9005: five callbacks of one event', async () => {
  await create(ask('E-9005', 9005));
  await eventually('five callbacks', () => receiver.of('E-9005').length === 5);
  assert.equal(new Set(receiver.of('E-9005').map((c) => c.event.id)).size, 1);
  assert.equal((await sandbox.refund('E-9005')).paid_times, 1);
});

test('9006: the callback comes before the answer', async () => {
  let answered = false;
  receiver.status = () => { assert.equal(answered, false); return 204; };
  const res = await create(ask('E-9006', 9006));
  answered = true;
  receiver.status = () => 204;
  assert.equal(receiver.of('E-9006').length, 1);
  assert.equal(res.data.status, 'PROCESSING');
});

test('9008: an answer with a wrong signature is caught by the SDK', async () => {
  const e = await failure(create(ask('E-9008', 9008)));
  assert.equal(e.code, 'EV3_RES_HEADER_SIGNATURE_DIGEST');
  assert.ok(await sandbox.refund('E-9008'));
  assert.equal((await create(ask('E-9008', 9008))).status, 200);
});

test('9009: NOT_ENOUGH until the balance is topped up', async () => {
  for (let i = 0; i < 2; i++) {
    const e = await failure(create(ask('E-9009', 9009)));
    assert.equal(e.response.data.code, 'NOT_ENOUGH');
  }
  await sandbox.ctl('topup');
  assert.equal((await create(ask('E-9009', 9009))).status, 200);
});

test('9012: not found, then found', async () => {
  await sandbox.ctl('pause-callbacks', 'on');
  await create(ask('E-9012', 9012));
  const e = await failure(query('E-9012'));
  assert.equal(e.response.data.code, 'RESOURCE_NOT_EXISTS');
  await sandbox.ctl('advance', '5');
  assert.equal((await query('E-9012')).data.out_refund_no, 'E-9012');
  await sandbox.ctl('pause-callbacks', 'off');
});

test('9013: never a callback', async () => {
  await create(ask('E-9013', 9013));
  await settled('E-9013', 'SUCCESS');
  await sandbox.ctl('advance', '86400');
  await create(ask('AFTER-9013', 100));
  await eventually('a later callback', () => receiver.of('AFTER-9013').length === 1);
  assert.equal(receiver.of('E-9013').length, 0);
  await sandbox.ctl('callback', 'E-9013', '2');
  await eventually('the pushed callbacks', () => receiver.of('E-9013').length === 2);
});

test('9014: SIGNTEST, in both shapes, then the truth', async () => {
  const shapes = new Set();
  for (let i = 0; shapes.size < 2 && i < 6; i++) {
    const no = `E-9014-${i}`;
    const before = receiver.bad.length;
    await create(ask(no, 9014));
    await eventually('the true callback', () => receiver.of(no).length === 1);
    assert.equal(receiver.bad.length, before + 1);
    const signature = receiver.bad[before].headers['wechatpay-signature'];
    assert.ok(signature.startsWith('WECHATPAY/SIGNTEST/'));
    shapes.add(signature.length);
    await create(ask(`SHIFT-${i}`, 100));	// shapes alternate by callback id
    await eventually('the other callback', () => receiver.of(`SHIFT-${i}`).length === 1);
    if (i % 2) {
      await create(ask(`SHIFT2-${i}`, 100));
      await eventually('one more', () => receiver.of(`SHIFT2-${i}`).length === 1);
    }
  }
  assert.deepEqual([...shapes].sort(), [344, 363]);
  assert.equal((await sandbox.ctl('stats')).callbacks.signtest_accepted, 0);
});

test('9016: SUCCESS already in the answer', async () => {
  const res = await create(ask('E-9016', 9016));
  assert.equal(res.data.status, 'SUCCESS');
  assert.ok(res.data.success_time);
  await eventually('the callback', () => receiver.of('E-9016').length === 1);
});

test('9017: ABNORMAL and SUCCESS, told in the wrong order', async () => {
  await create(ask('E-9017', 9017));
  await eventually('both callbacks', () => receiver.of('E-9017').length === 2);
  assert.deepEqual(receiver.of('E-9017').map((c) => c.content.refund_status), ['SUCCESS', 'ABNORMAL']);
  assert.equal((await query('E-9017')).data.status, 'SUCCESS');
});

for (const [fen, effect] of [[9018, true], [9019, false]]) {
  test(`${fen}: held until released, effect ${effect ? 'before' : 'after'}`, async () => {
    const no = `E-${fen}`;
    const call = create(ask(no, fen));
    await eventually('it to be held', async () => (await sandbox.ctl('stats')).held === 1);
    assert.equal((await sandbox.refund(no)) !== undefined, effect);
    assert.deepEqual(await sandbox.ctl('release', no), { ok: true, released: 1 });
    assert.equal((await call).data.out_refund_no, no);
    assert.ok(await sandbox.refund(no));
  });
}

test('9019: it lands even if the caller has long gone', async () => {
  const c = sandbox.client();
  const call = failure(c.v3.refund.domestic.refunds.post(ask('LATE-1', 9019), { timeout: 200 }));
  assert.equal((await call).code, 'ECONNABORTED');
  assert.equal(await sandbox.refund('LATE-1'), undefined);
  await sandbox.ctl('release', 'all');
  await settled('LATE-1', 'SUCCESS');
  assert.equal((await sandbox.refund('LATE-1')).paid_times, 1);
});

test('9023: bytes that are no JSON', async () => {
  const e = await failure(create(ask('E-9023', 9023)));
  assert.equal(e.code, 'EV3_RES_HEADERS_INCOMPLATE');
  assert.ok(await sandbox.refund('E-9023'));
});

test('9024: the money ends at the merchant', async () => {
  await create(ask('E-9024', 9024));
  await settled('E-9024', 'SUCCESS');
  assert.equal((await query('E-9024')).data.user_received_account, '商户基本账户');
  const row = await sandbox.refund('E-9024');
  assert.deepEqual([row.paid_times, row.to_merchant], [0, true]);
  await eventually('both callbacks', () => receiver.of('E-9024').length === 2);
});

test('a callback is pushed on the real schedule until it is taken', async () => {
  let refuse = 3;
  receiver.status = () => (refuse-- > 0 ? 500 : 200);
  await create(ask('RETRY-1', 200));
  await eventually('the fourth push', () => receiver.of('RETRY-1').length === 4);
  receiver.status = () => 204;
  const at = receiver.of('RETRY-1').map((c) => c.at);
  // 15 s, 15 s, 30 s at a hundredfold speed; never early
  for (const [i, s] of [[1, 15], [2, 15], [3, 30]]) {
    assert.ok(at[i] - at[i - 1] >= s * 10 - 5, `push ${i} came after ${at[i] - at[i - 1]} ms`);
  }
  assert.equal(new Set(receiver.of('RETRY-1').map((c) => c.headers['wechatpay-nonce'])).size, 4);
});

test('callbacks that are held back are signed meanwhile, each for itself', async () => {
  await sandbox.ctl('pause-callbacks', 'on');
  for (let i = 0; i < 3; i++) await create(ask(`READY-${i}`, 100));
  await eventually('three to be signed', async () => (await sandbox.ctl('stats')).callbacks.prepared === 3);
  assert.equal(receiver.of('READY-0').length, 0);
  await sandbox.ctl('pause-callbacks', 'off');
  const all = () => receiver.good.filter((c) => c.content.out_refund_no?.startsWith('READY-'));
  await eventually('three callbacks', () => all().length === 3);
  assert.equal(new Set(all().map((c) => c.headers['wechatpay-nonce'])).size, 3);
});

test('nobody was paid twice, in all of this', async () => {
  const stats = await sandbox.ctl('stats');
  assert.equal(stats.refunds.paid_twice, 0);
  assert.ok(stats.refunds.count > 80);
});

test('limits: counted always, enforced on request', async () => {
  const s = await new Sandbox(['1900000101', '1900000102']).start('--limits');
  try {
    const c = s.client();
    const codes = [];
    await Promise.all(Array.from({ length: 40 }, (_, i) =>
      failure(c.v3.refund.domestic.refunds[`NONE-${i}`].get()).then((e) => codes.push(e.response.data.code))));
    assert.ok(codes.includes('FREQUENCY_LIMITED'));
    assert.ok(codes.filter((x) => x === 'RESOURCE_NOT_EXISTS').length >= 6);
    const stats = await s.ctl('stats');
    assert.ok(stats.merchants['1900000101'].peak_failing_per_second >= 7);
    assert.ok(stats.merchants['1900000101'].throttled > 0);
    assert.equal(stats.merchants['1900000102'].throttled, 0);
    const other = new Wechatpay({ ...s.merchant('channel-1900000102.json'), baseURL: `${s.url}/` });
    const e = await failure(other.v3.refund.domestic.refunds.NONE.get());
    assert.equal(e.response.data.code, 'RESOURCE_NOT_EXISTS');
  } finally {
    await s.remove();
  }
});

test('strict orders: only what was registered, with coupons', async () => {
  const s = await new Sandbox().start('--strict-orders');
  try {
    const c = s.client();
    const body = refundBody('STRICT-1', 500, { transaction_id: '4200000000000000000000000001',
      amount: { refund: 500, total: 1000, currency: 'CNY' } });
    const e = await failure(create(body, c));
    assert.equal(e.response.status, 404);
    assert.equal(e.response.data.code, 'RESOURCE_NOT_EXISTS');
    await s.ctl('order', '1900000100', body.transaction_id, 'T1', '1000', '800');
    const res = await create(body, c);
    assert.equal(res.data.amount.payer_refund, 400);
    assert.equal(res.data.out_trade_no, 'T1');
    const byTradeNo = { ...body, out_refund_no: 'STRICT-2', transaction_id: undefined, out_trade_no: 'T1' };
    assert.equal((await create(byTradeNo, c)).data.transaction_id, body.transaction_id);
  } finally {
    await s.remove();
  }
});

test('chaos: the seed and the number decide, whatever the order', async () => {
  const draw = async (seed, backwards = false) => {
    const s = await new Sandbox().start('--chaos', '60', '--seed', String(seed), '--hold-ms', '50');
    try {
      const c = s.client();
      const nos = Array.from({ length: 40 }, (_, i) => `CHAOS-${i}`);
      if (backwards) nos.reverse();
      await Promise.all(nos.map((no) => create(refundBody(no, 100), c).catch(() => {})));
      await Promise.all(nos.map((no) => create(refundBody(no, 100), c).catch(() => {})));
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
