// alipay-sdk, as an app's client and as the receiver of notifications,
// against the sandbox: two independent readings of one protocol.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { test, before, after } from 'node:test';
import { AlipayReceiver, alipayClient, formOf, notifyVerifies, rawCall, refundBiz } from './alipay.mjs';
import { Sandbox, failure, eventually } from './lib.mjs';

const APP = '2021000000000001';
const REFUND = 'alipay.trade.refund';
const QUERY = 'alipay.trade.fastpay.refund.query';
let sandbox;
let receiver;
let client;

before(async () => {
  sandbox = await new Sandbox().start('--speed', '100', '--callback-delay-ms', '50', '--hold-ms', '1500');
  client = alipayClient(sandbox);
  receiver = await new AlipayReceiver(client).start();
  await sandbox.ctl('notify-url', APP, receiver.url);
});

after(async () => {
  receiver?.stop();
  await sandbox?.remove();
});

const call = (method, bizContent, c = client, more = {}) =>
  c.exec(method, { bizContent, ...more }, { validateSign: true });
const create = (biz, c, more) => call(REFUND, biz, c, more);
const query = (biz, c, options) => call(QUERY, {
  trade_no: biz.trade_no,
  out_trade_no: biz.out_trade_no,
  out_request_no: biz.out_request_no,
  ...(options ? { query_options: options } : {}),
}, c);
const paid = async (no) => (await sandbox.refund(no))?.paid_times;

for (const mode of ['key', 'cert']) {
  test(`a refund: paid, told, found (${mode} mode)`, async () => {
    const c = alipayClient(sandbox, mode);
    const biz = refundBiz(`A-${mode}-1`, 500, { out_trade_no: `SHOP-${mode}` });
    const res = await create(biz, c);
    assert.deepEqual([res.code, res.fundChange, res.refundFee], ['10000', 'Y', '5.00']);
    assert.deepEqual([res.tradeNo, res.outTradeNo], [biz.trade_no, biz.out_trade_no]);
    assert.match(res.gmtRefundPay, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
    assert.ok(res.traceId);
    const [seen] = await eventually('the notification', () =>
      receiver.of(biz.out_request_no).length > 0 && receiver.of(biz.out_request_no));
    const p = seen.params;
    assert.deepEqual([p.notify_type, p.app_id, p.trade_status, p.refund_fee, p.total_amount],
      ['trade_status_sync', APP, 'TRADE_SUCCESS', '5.00', '1000.00']);
    assert.match(p.gmt_refund, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}$/);
    assert.equal(p.alipay_cert_sn !== undefined, mode === 'cert');
    assert.equal(seen.headers['content-type'], 'application/x-www-form-urlencoded; charset=utf-8');
    const found = await query(biz, c, ['gmt_refund_pay', 'refund_detail_item_list']);
    assert.deepEqual([found.code, found.refundStatus, found.refundAmount, found.totalAmount, found.outRequestNo],
      ['10000', 'REFUND_SUCCESS', '5.00', '1000.00', biz.out_request_no]);
    assert.equal(found.refundReason, biz.refund_reason);
    assert.equal(found.gmtRefundPay, res.gmtRefundPay);
    assert.equal(found.refundDetailItemList[0].amount, '5.00');
    assert.equal((await query(biz, c)).gmtRefundPay, undefined, 'only what was asked for');
    const row = await sandbox.refund(biz.out_request_no);
    assert.deepEqual([row.paid_times, row.channel, row.status], [1, 'alipay', 'SUCCESS']);
  });
}

test('cert mode: the answer names the certificate, which changes on rotation', async () => {
  const c = alipayClient(sandbox, 'cert');
  const biz = refundBiz('ROT-1', 100);
  const sn = async () => JSON.parse((await rawCall(sandbox, c, REFUND, biz)).text).alipay_cert_sn;
  assert.equal(await sn(), c.config.alipayCertSn);
  await sandbox.ctl('switch', APP, 'key-2');
  const second = alipayClient(sandbox, 'cert',
    { alipayPublicCertPath: `${sandbox.dir}/keys/alipay_cert_2.crt` });
  assert.equal(await sn(), second.config.alipayCertSn);
  assert.notEqual(second.config.alipayCertSn, c.config.alipayCertSn);
  assert.equal((await create(biz, second)).fundChange, 'N');
  await failure(create(biz, c));
  const got = await call('alipay.open.app.alipaycert.download', { alipay_cert_sn: second.config.alipayCertSn }, second);
  assert.equal(Buffer.from(got.alipayCertContent, 'base64').toString(), sandbox.key('alipay_cert_2.crt').toString());
  await sandbox.ctl('switch', APP, 'key-1');
  assert.equal((await create(biz, c)).code, '10000');
});

test('the private key works in each shape that tools write', async () => {
  const shapes = { 'alipay_app_key.pem': 'PKCS8', 'alipay_app_key.txt': 'PKCS8',
    'alipay_app_key_pkcs1.pem': 'PKCS1', 'alipay_app_key_pkcs1.txt': 'PKCS1' };
  for (const [name, keyType] of Object.entries(shapes)) {
    const c = alipayClient(sandbox, 'key', { keyType, privateKey: sandbox.key(name).toString(),
      alipayPublicKey: sandbox.key('alipay_public_key.txt').toString() });
    assert.equal((await create(refundBiz(`SHAPE-${name}`, 100), c)).fundChange, 'Y', name);
  }
});

test('the same number and amount is the same refund: fund_change=N, nothing paid', async () => {
  const biz = refundBiz('IDEM-1', 700);
  assert.equal((await create(biz)).fundChange, 'Y');
  const again = await create(biz);
  assert.deepEqual([again.code, again.fundChange, again.refundFee], ['10000', 'N', '7.00']);
  assert.equal(await paid('IDEM-1'), 1);
  assert.equal((await sandbox.refund('IDEM-1')).calls_since_start, 2);
});

test('the same number with another amount is ACQ.DISCORDANT_REPEAT_REQUEST', async () => {
  const biz = refundBiz('DISC-1', 700);
  await create(biz);
  const e = await create({ ...biz, refund_amount: '7.01' });
  assert.deepEqual([e.code, e.subCode, e.refundFee], ['40004', 'ACQ.DISCORDANT_REPEAT_REQUEST', '0.00']);
  assert.equal((await sandbox.refund('DISC-1')).amount, 700);
});

test('the same number of another trade is another refund', async () => {
  const one = refundBiz('TWICE-1', 100);
  const two = refundBiz('TWICE-1', 200);
  assert.equal((await create(one)).fundChange, 'Y');
  assert.equal((await create(two)).fundChange, 'Y');
  const { refunds } = await sandbox.ctl('show', 'TWICE-1');
  assert.deepEqual(refunds.map((r) => [r.amount, r.paid_times]), [[100, 1], [200, 1]]);
  assert.equal((await query(two)).refundAmount, '2.00');
});

test('parts of a trade: refund_fee is cumulative, refund_amount is not, the last one closes it', async () => {
  const biz = (no, fen) => refundBiz(no, fen, { trade_no: undefined, out_trade_no: 'PARTS-T1000' });
  const fees = [];
  for (const [no, fen] of [['PART-1', 300], ['PART-2', 200], ['PART-3', 500]]) {
    fees.push((await create(biz(no, fen))).refundFee);
  }
  assert.deepEqual(fees, ['3.00', '5.00', '10.00']);
  assert.equal((await query(biz('PART-2', 0))).refundAmount, '2.00');
  await eventually('three notifications', () => ['PART-1', 'PART-2', 'PART-3'].every((n) => receiver.of(n).length));
  const told = ['PART-1', 'PART-2', 'PART-3'].map((n) => receiver.of(n)[0].params);
  assert.deepEqual(told.map((p) => [p.trade_status, p.refund_fee]),
    [['TRADE_SUCCESS', '3.00'], ['TRADE_SUCCESS', '5.00'], ['TRADE_CLOSED', '10.00']]);
  assert.deepEqual(told.map((p) => p.gmt_close !== undefined), [false, false, true]);
  const closed = await create(biz('PART-4', 1));
  assert.equal(closed.subCode, 'ACQ.TRADE_HAS_CLOSE');
  assert.equal((await create(biz('PART-2', 200))).fundChange, 'N', 'a repeat still is a repeat');
});

test('the sum of a trade is bounded', async () => {
  const biz = (no, fen, more) => refundBiz(no, fen, { trade_no: '2026112722001999999999990001', out_trade_no: 'SUM-T1000', ...more });
  assert.equal((await create(biz('SUM-0', 1001))).subCode, 'ACQ.REFUND_AMT_NOT_EQUAL_TOTAL');
  assert.equal((await create(biz(undefined, 999))).subCode, 'ACQ.REFUND_AMT_NOT_EQUAL_TOTAL', 'partial without a number');
  await create(biz('SUM-1', 600));
  assert.equal((await create(biz('SUM-2', 401))).subCode, 'ACQ.REASON_TRADE_REFUND_FEE_ERR');
  assert.equal((await create(biz('SUM-3', 400))).refundFee, '10.00');
  const trade = await call('alipay.trade.query', { trade_no: '2026112722001999999999990001' });
  assert.deepEqual([trade.tradeStatus, trade.totalAmount], ['TRADE_CLOSED', '10.00']);
});

test('trade_no and out_trade_no must be of one trade', async () => {
  const biz = refundBiz('BOTH-1', 100, { out_trade_no: 'BOTH' });
  await create(biz);
  assert.equal((await create(refundBiz('BOTH-2', 100, { out_trade_no: 'BOTH' }))).subCode, 'ACQ.TRADE_NOT_EXIST');
  assert.equal((await create(refundBiz('BOTH-3', 100, { trade_no: undefined, out_trade_no: 'BOTH' }))).refundFee, '2.00');
});

test('queries that find nothing say so without a status', async () => {
  const biz = refundBiz('NOBODY-1', 100);
  const none = await query(biz);
  assert.deepEqual([none.code, none.refundStatus, none.refundAmount], ['10000', undefined, undefined]);
  await create(biz);
  const other = await query({ ...biz, out_request_no: 'NOBODY-2' });
  assert.deepEqual([other.code, other.refundStatus], ['10000', undefined]);
  const bad = await query({ ...biz, out_request_no: undefined });
  assert.equal(bad.subCode, 'ACQ.INVALID_PARAMETER');
});

test('for another merchant: app_auth_token', async () => {
  const biz = refundBiz('SUB-1', 100);
  const token = '202611BBd50ff0f6a0c84f5f9e4c8f9f6a0c8X01';
  assert.equal((await create(biz, client, { appAuthToken: token })).fundChange, 'Y');
  assert.equal((await sandbox.refund('SUB-1')).sub_mchid, token);
  assert.equal((await query(biz)).refundStatus, undefined, 'nobody else sees it');
  const bad = await create(biz, client, { appAuthToken: 'invalid-token' });
  assert.deepEqual([bad.code, bad.subCode], ['20001', 'aop.invalid-app-auth-token']);
});

test('business parameters that the documents forbid are refused', async () => {
  const bad = {
    'amount a number': { refund_amount: 1.5 },
    'three decimals': { refund_amount: '1.005' },
    'no amount': { refund_amount: undefined },
    'zero': { refund_amount: '0.00' },
    'negative': { refund_amount: '-1.00' },
    'leading zero': { refund_amount: '01.00' },
    'exponent': { refund_amount: '1e2' },
    'a point and nothing': { refund_amount: '1.' },
    'number too long': { out_request_no: 'x'.repeat(65) },
    'reason too long': { refund_reason: 'r'.repeat(257) },
    'no trade': { trade_no: undefined },
    'options no list': { query_options: 'refund_detail_item_list' },
  };
  for (const [what, change] of Object.entries(bad)) {
    const res = await create(refundBiz('BADBIZ-1', 100, change));
    assert.deepEqual([res.code, res.subCode], ['40004', 'ACQ.INVALID_PARAMETER'], what);
  }
  assert.equal(await sandbox.refund('BADBIZ-1'), undefined);
  for (const good of ['1', '1.5', '1.50']) {
    assert.equal((await create(refundBiz(`GOOD-${good}`, 1, { refund_amount: good }))).fundChange, 'Y', good);
  }
});

// ---- the gateway's own checks ----

const node = (answer, method = REFUND) => {
  const body = JSON.parse(answer.text);
  return { ...(body[`${method.replaceAll('.', '_')}_response`] ?? body.error_response), sign: body.sign };
};

test('what is not properly signed is refused, and has no effect', async () => {
  const forged = (p, name, f) => { p.set(name, f(p.get(name))); return p; };
  const drop = (...names) => (p) => { names.forEach((n) => p.delete(n)); return p; };
  const shift = (ms) => (p) => forged(p, 'timestamp', () =>
    new Date(Date.now() + 8 * 3600e3 + ms).toISOString().slice(0, 19).replace('T', ' '));
  const cases = {
    'body changed': [(p) => forged(p, 'biz_content', (v) => v.replace('1.00', '1.01')), '40002', 'isv.invalid-signature'],
    'a parameter added': [(p) => { p.set('notify_url', 'http://x/'); return p; }, '40002', 'isv.invalid-signature'],
    'a parameter twice': [(p) => { p.append('biz_content', p.get('biz_content')); return p; }, '40002', 'isv.invalid-signature'],
    'signature cut': [(p) => forged(p, 'sign', (v) => v.slice(4)), '40002', 'isv.invalid-signature'],
    'no signature': [drop('sign'), '40001', 'isv.missing-signature'],
    'no signature type': [drop('sign_type'), '40001', 'isv.missing-signature-type'],
    'RSA': [(p) => forged(p, 'sign_type', () => 'RSA'), '40002', 'isv.invalid-signature-type'],
    'no app': [drop('app_id'), '40001', 'isv.missing-app-id'],
    'a foreign app': [(p) => forged(p, 'app_id', () => '2021000000000009'), '40002', 'isv.invalid-app-id'],
    'no method': [drop('method'), '40001', 'isv.missing-method'],
    'no time': [drop('timestamp'), '40001', 'isv.missing-timestamp'],
    'no version': [drop('version'), '40001', 'isv.missing-version'],
    'another charset': [(p) => forged(p, 'charset', () => 'gbk'), '40002', 'isv.invalid-charset'],
    'old clock': [shift(-700e3), '40002', 'isv.invalid-timestamp'],
    'fast clock': [shift(700e3), '40002', 'isv.invalid-timestamp'],
    'clock of another zone': [shift(-8 * 3600e3), '40002', 'isv.invalid-timestamp'],
  };
  for (const [what, [change, code, sub]] of Object.entries(cases)) {
    const res = node(await rawCall(sandbox, client, REFUND, refundBiz('FORGED-1', 100), { after: change }));
    assert.deepEqual([res.code, res.sub_code], [code, sub], what);
    // who is not known cannot be told anything that is signed
    assert.equal(res.sign !== undefined, !/app/.test(what), what);
  }
  assert.equal(await sandbox.refund('FORGED-1'), undefined);
});

test('a wrong signature is answered with the string that the gateway built, escaped', async () => {
  const other = alipayClient(sandbox, 'key', { privateKey: sandbox.key('apiclient_key.pem').toString() });
  const res = await create(refundBiz('WRONG-1', 100), other);
  assert.equal(res.subCode, 'isv.invalid-signature');
  assert.match(res.subMsg, /app_id=2021000000000001&amp;biz_content=\{&quot;trade_no&quot;/);
});

test('an unknown method; a value with every odd character', async () => {
  const res = node(await rawCall(sandbox, client, 'alipay.no.such', { a: 1 }), 'alipay.no.such');
  assert.deepEqual([res.code, res.sub_code], ['40002', 'isv.invalid-method']);
  assert.ok(res.sign);
  const odd = await create(refundBiz('ODD 1+2=3&4%25/中文"\'\\', 100, { refund_reason: '+ %41 & = "\\ 退' }));
  assert.equal(odd.fundChange, 'Y');
});

test('signed, but no business content that anybody could read', async () => {
  const deep = (n) => `${'{"a":'.repeat(n)}1${'}'.repeat(n)}`;
  const bad = ['', 'x', '[]', '"a"', '{', '{"trade_no":1}', '{"a":1,"a":2}', '{"trade_no":"\\u0000"}',
    '{"trade_no":"\\ud800"}', deep(3000), `{"trade_no":"${'9'.repeat(500000)}"}`,
    '{"trade_no":{},"out_request_no":[],"refund_amount":null}'];
  for (const text of bad) {
    // the SDK signs any parameter; under this name it is the gateway's biz_content
    const signed = new URLSearchParams(client.sdkExecute(REFUND, {}));
    signed.delete('sign');
    if (text) signed.set('biz_content', text);
    const raw = [...signed].sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => `${k}=${v}`).join('&');
    signed.set('sign', crypto.sign('sha256', Buffer.from(raw), sandbox.key('alipay_app_key.pem')).toString('base64'));
    const res = await fetch(`${sandbox.url}/gateway.do`, { method: 'POST', body: signed });
    const { alipay_trade_refund_response: answer } = await res.json();
    assert.deepEqual([answer.code, answer.sub_code], ['40004', 'ACQ.INVALID_PARAMETER'], text.slice(0, 40));
  }
});

test('two names that together look like two others are two refunds', async () => {
  assert.equal((await create(refundBiz('b/c', 100, { trade_no: 'a' }))).fundChange, 'Y');
  assert.equal((await create(refundBiz('c', 100, { trade_no: 'a/b' }))).fundChange, 'Y');
});

test('everything in the query, or everything in the body, is the same', async () => {
  const text = client.sdkExecute(REFUND, { bizContent: refundBiz('QUERY-1', 100) });
  const res = await fetch(`${sandbox.url}/gateway.do?${text}`, { method: 'POST' });
  assert.equal((await res.json()).alipay_trade_refund_response.fund_change, 'Y');
});

test('cert mode: both numbers, and the right ones', async () => {
  const c = alipayClient(sandbox, 'cert');
  assert.match(c.config.alipayRootCertSn, /^[0-9a-f]{32}_[0-9a-f]{32}$/, 'two of the three roots count');
  const wrong = { appCertSn: 'isv.invalid-app-cert-sn', alipayRootCertSn: 'isv.invalid-alipay-root-cert-sn' };
  for (const [name, sub] of Object.entries(wrong)) {
    const other = alipayClient(sandbox, 'cert');
    other.config[name] = '0'.repeat(32);
    assert.equal((await create(refundBiz('CERT-1', 100), other)).subCode, sub);
  }
  const missing = await rawCall(sandbox, client, REFUND, refundBiz('CERT-1', 100),
    { common: { alipayRootCertSn: c.config.alipayRootCertSn } });
  assert.deepEqual([node(missing).code, node(missing).sub_code], ['40001', 'isv.missing-app-cert-sn']);
});

// ---- outcomes by amount ----

// [fen, code, sub_code, was it paid by then]
const errors = [
  [9001, '40004', 'ACQ.TRADE_HAS_FINISHED', false],
  [9007, '40004', 'ACQ.SYSTEM_ERROR', true],
  [9010, '40005', 'isv.app-call-limited', false],
  [9015, '40002', 'isv.invalid-signature', false],
  [9022, '20000', 'isp.unknow-error', false],
  [9114, '40004', 'ACQ.REFUND_CHARGE_ERROR', false],
  [9115, '40004', 'ACQ.NOBODY_KNOWS_THIS', false],
];
for (const [fen, code, sub, effect] of errors) {
  test(`${fen}: ${code} ${sub}, ${effect ? 'after' : 'without'} the effect`, async () => {
    const biz = refundBiz(`E-${fen}`, fen);
    const e = await create(biz);
    assert.deepEqual([e.code, e.subCode], [code, sub]);
    assert.equal(await paid(biz.out_request_no), effect ? 1 : undefined);
    const again = await create(biz);
    if (fen === 9001) {
      assert.equal(again.subCode, sub);
      return;
    }
    assert.deepEqual([again.code, again.fundChange], ['10000', effect ? 'N' : 'Y']);
    assert.equal(await paid(biz.out_request_no), 1);
  });
}

for (const [fen, effect] of [[9002, true], [9003, false], [9020, false], [9021, true], [9116, false]]) {
  test(`${fen}: no answer of the gateway, ${effect ? 'after' : 'before'} the effect`, async () => {
    const biz = refundBiz(`E-${fen}`, fen);
    // not with the SDK: its HTTP client repeats by itself what was reset
    if (fen === 9116) assert.equal((await rawCall(sandbox, client, REFUND, biz)).status, 503);
    else await failure(rawCall(sandbox, client, REFUND, biz));
    assert.equal(await paid(biz.out_request_no), effect ? 1 : undefined);
    assert.equal((await create(biz)).fundChange, effect ? 'N' : 'Y');
    assert.equal(await paid(biz.out_request_no), 1);
  });
}

test('9005: five notifications of one event', async () => {
  await create(refundBiz('E-9005', 9005));
  await eventually('five', () => receiver.of('E-9005').length === 5);
  assert.equal(new Set(receiver.of('E-9005').map((c) => c.params.notify_id)).size, 1);
});

test('9006: the notification comes before the answer', async () => {
  let answered = false;
  receiver.reply = (c) => {
    if (c.params.out_biz_no === 'E-9006') assert.equal(answered, false);
    return 'success';
  };
  const res = await create(refundBiz('E-9006', 9006));
  answered = true;
  receiver.reply = () => 'success';
  assert.equal(receiver.of('E-9006').length, 1);
  assert.equal(res.fundChange, 'Y');
});

test('9008: an answer with a wrong signature is caught by the SDK', async () => {
  const biz = refundBiz('E-9008', 9008);
  assert.match((await failure(create(biz))).message, /验签失败/);
  assert.equal(await paid('E-9008'), 1);
  assert.equal((await create(biz)).fundChange, 'N');
});

test('9009: the seller has not enough until he tops up', async () => {
  const biz = refundBiz('E-9009', 9009);
  for (let i = 0; i < 2; i++) assert.equal((await create(biz)).subCode, 'ACQ.SELLER_BALANCE_NOT_ENOUGH');
  await sandbox.ctl('topup', APP);
  assert.equal((await create(biz)).fundChange, 'Y');
});

test('9012: paid, not found, then found', async () => {
  const biz = refundBiz('E-9012', 9012);
  assert.equal((await create(biz)).code, '20000');
  const hidden = await query(biz);
  assert.deepEqual([hidden.code, hidden.refundStatus, hidden.outRequestNo], ['10000', undefined, 'E-9012']);
  await sandbox.ctl('advance', '5');
  assert.equal((await query(biz)).refundStatus, 'REFUND_SUCCESS');
});

test('9013: never a notification, until somebody asks for one', async () => {
  await create(refundBiz('E-9013', 9013));
  await sandbox.ctl('advance', '86400');
  await create(refundBiz('AFTER-9013', 100));
  await eventually('a later one', () => receiver.of('AFTER-9013').length === 1);
  assert.equal(receiver.of('E-9013').length, 0);
  await sandbox.ctl('callback', 'E-9013', '2');
  await eventually('both', () => receiver.of('E-9013').length === 2);
});

test('9014: a forged notification, then the true one', async () => {
  const before = receiver.bad.length;
  await create(refundBiz('E-9014', 9014));
  await eventually('the true one', () => receiver.of('E-9014').length === 1);
  assert.equal(receiver.bad.length, before + 1);
  assert.equal(receiver.bad[before].params.notify_id, receiver.of('E-9014')[0].params.notify_id);
});

for (const [fen, effect] of [[9018, true], [9019, false]]) {
  test(`${fen}: held until released, effect ${effect ? 'before' : 'after'}`, async () => {
    const no = `E-${fen}`;
    const pending = create(refundBiz(no, fen));
    await eventually('it to be held', async () => (await sandbox.ctl('stats')).held === 1);
    assert.equal(await paid(no), effect ? 1 : undefined);
    assert.deepEqual(await sandbox.ctl('release', no), { ok: true, released: 1 });
    assert.equal((await pending).fundChange, 'Y');
    assert.equal(await paid(no), 1);
  });
}

test('9019: it lands even if the caller has long gone', async () => {
  const hasty = alipayClient(sandbox, 'key', { timeout: 200 });
  await failure(create(refundBiz('LATE-1', 9019), hasty));
  assert.equal(await paid('LATE-1'), undefined);
  await eventually('it to be held', async () => (await sandbox.ctl('release', 'all')).released > 0);
  await eventually('it to land', async () => (await paid('LATE-1')) === 1);
});

test('9023: bytes that are no JSON', async () => {
  await failure(create(refundBiz('E-9023', 9023)));
  assert.equal(await paid('E-9023'), 1);
});

test('9101: fund_change=N although it was paid', async () => {
  const res = await create(refundBiz('E-9101', 9101));
  assert.deepEqual([res.code, res.fundChange, await paid('E-9101')], ['10000', 'N', 1]);
});

for (const [fen, expected] of [[9102, '40004'], [9111, '10000']]) {
  test(`${fen}: an unsigned ${expected} without effect, then the truth`, async () => {
    const biz = refundBiz(`E-${fen}`, fen);
    const raw = await rawCall(sandbox, client, REFUND, biz);
    assert.equal(node(raw).code, expected);
    assert.equal(JSON.parse(raw.text).sign, undefined);
    assert.equal(await paid(biz.out_request_no), undefined);
    assert.equal((await create(biz)).fundChange, 'Y');
    const other = refundBiz(`E-${fen}-2`, fen);
    await failure(create(other));	// the SDK does not take it either
    assert.equal(await paid(other.out_request_no), undefined);
  });
}

test('9103, 9109: escaped slashes, signed as sent, or as if they were not escaped', async () => {
  for (const [fen, asSent] of [[9103, true], [9109, false]]) {
    const biz = refundBiz(`E-${fen}`, fen);
    const raw = await rawCall(sandbox, client, REFUND, biz);
    const { sign } = JSON.parse(raw.text);
    assert.match(raw.text, /\\\//);
    const check = (text) => client.checkResponseSign(text, 'alipay_trade_refund_response', sign, '');
    const plain = raw.text.replaceAll('\\/', '/');
    check(asSent ? raw.text : plain);
    assert.throws(() => check(asSent ? plain : raw.text), /验签失败/);
    assert.equal(node(raw).store_name.includes('/'), true);
  }
});

test('9104: the node twice: signed is the error, the success is forged', async () => {
  const seen = new Set();
  for (let i = 0; i < 8 && seen.size < 2; i++) {
    const biz = refundBiz(`E-9104-${i}`, 9104);
    const raw = await rawCall(sandbox, client, REFUND, biz);
    const nodes = [...raw.text.matchAll(/"alipay_trade_refund_response":(\{[^}]*\})/g)].map((m) => m[1]);
    assert.equal(nodes.length, 2);
    const { sign } = JSON.parse(raw.text);
    const good = nodes.filter((n) => client.rsaCheck(n, sign));
    assert.equal(good.length, 1);
    assert.equal(JSON.parse(good[0]).sub_code, 'ACQ.SYSTEM_ERROR');
    assert.equal(JSON.parse(nodes.find((n) => n !== good[0])).fund_change, 'Y');
    seen.add(nodes.indexOf(good[0]));
    assert.equal(await paid(biz.out_request_no), undefined);
    if (i % 2) await create(refundBiz(`SHIFT-${i}`, 100));	// the order alternates
    assert.equal((await create(biz)).fundChange, 'Y');
  }
  assert.equal(seen.size, 2, 'both orders');
});

test('9105: a certificate that nobody was given', async () => {
  const c = alipayClient(sandbox, 'cert');
  const raw = await rawCall(sandbox, c, REFUND, refundBiz('E-9105', 9105));
  const { alipay_cert_sn: sn, sign } = JSON.parse(raw.text);
  assert.notEqual(sn, c.config.alipayCertSn);
  assert.throws(() => c.checkResponseSign(raw.text, 'alipay_trade_refund_response', sign, ''));
  const unknown = alipayClient(sandbox, 'cert',
    { alipayPublicCertPath: `${sandbox.dir}/private/alipay_cert_unknown.crt` });
  assert.equal(sn, unknown.config.alipayCertSn);
  unknown.checkResponseSign(raw.text, 'alipay_trade_refund_response', sign, '');
  assert.equal(await paid('E-9105'), 1);
});

test('9106: the bank refuses: a message to the application gateway, signed with sign_type', async () => {
  const biz = refundBiz('E-9106', 9106, { query_options: ['deposit_back_info'] });
  assert.equal((await create(biz)).fundChange, 'Y');
  const message = await eventually('the message', () => receiver.good.find((c) =>
    c.params.msg_method === 'alipay.trade.refund.depositback.completed'));
  const content = JSON.parse(message.params.biz_content);
  assert.deepEqual([content.out_request_no, content.dback_status, content.dback_amount, content.trade_no],
    ['E-9106', 'F', '91.06', biz.trade_no]);
  const { sign, sign_type: type, ...rest } = message.params;
  const text = (p) => Object.keys(p).sort().map((k) => `${k}=${p[k]}`).join('&');
  assert.equal(client.rsaCheck(text({ ...rest, sign_type: type }), sign), true);
  assert.equal(client.rsaCheck(text(rest), sign), false);
  const found = await query(biz, client, ['deposit_back_info']);
  assert.deepEqual([found.refundStatus, found.depositBackInfo.dbackStatus], ['REFUND_SUCCESS', 'F']);
  await sandbox.ctl('tell', 'E-9106', 'depositback-S');
  await eventually('another', () => receiver.good.some((c) => /"dback_status":"S"/.test(c.params.biz_content)));
});

test('9107: somebody refunded 1.00 of the trade before', async () => {
  const biz = refundBiz('E-9107', 9107);
  assert.equal((await create(biz)).refundFee, '92.07');
  assert.equal((await query(biz)).refundAmount, '91.07');
  assert.equal(await paid('E-9107'), 1);
});

test('9108: a notification that comes after a later refund\'s', async () => {
  const trade = { trade_no: '2026112722001999999999999108' };
  await create(refundBiz('E-9108', 9108, trade));
  await create(refundBiz('E-9108-LATER', 100, trade));
  await eventually('both', () => receiver.of('E-9108').length && receiver.of('E-9108-LATER').length);
  const order = receiver.good.map((c) => c.params.out_biz_no).filter((n) => n?.startsWith('E-9108'));
  assert.deepEqual(order, ['E-9108-LATER', 'E-9108']);
  assert.equal(receiver.of('E-9108')[0].params.refund_fee, '91.08', 'it says what was true then');
});

test('9110: an empty value, signed with it and without it', async () => {
  await create(refundBiz('E-9110', 9110));
  await eventually('both', () => receiver.of('E-9110').length === 2);
  const kept = receiver.of('E-9110').map(({ params }) => {
    assert.equal(params.body, '');
    return client.checkNotifySignV2(params);
  });
  assert.deepEqual(kept.sort(), [false, true]);
});

test('9117: one of two notifications is another seller\'s', async () => {
  await create(refundBiz('E-9117', 9117));
  await eventually('both', () => receiver.of('E-9117').length === 2);
  const all = receiver.of('E-9117').map((c) => [c.params.seller_id, c.params.total_amount]).sort();
  assert.deepEqual(all, [['2088000000000001', '1000.00'], ['2088000000000099', '1001.00']]);
  assert.equal(sandbox.json('channel-alipay.json').seller_id, '2088000000000001');
});

test('9112: error_response, after the effect', async () => {
  const raw = await rawCall(sandbox, client, REFUND, refundBiz('E-9112', 9112));
  const body = JSON.parse(raw.text);
  assert.deepEqual([body.error_response.code, body.alipay_trade_refund_response], ['20000', undefined]);
  client.checkResponseSign(raw.text, 'error_response', body.sign, '');
  assert.equal(await paid('E-9112'), 1);
});

test('9113: an answer that is hard to cut out', async () => {
  const res = await create(refundBiz('E-9113', 9113));
  assert.deepEqual([res.code, res.fundChange, res.oddText], ['10000', 'Y', '"sign":"AAAA"} ] \\" { \\']);
});

// ---- notifications ----

test('a notification is pushed on the real schedule until exactly "success"', async () => {
  const replies = ['fail', 'success\n', 'SUCCESS', 'success'];
  receiver.reply = (c) => (c.params.out_biz_no === 'RETRY-1' ? replies.shift() : 'success');
  await create(refundBiz('RETRY-1', 200));
  await eventually('the fourth push', () => receiver.of('RETRY-1').length === 4);
  receiver.reply = () => 'success';
  const all = receiver.of('RETRY-1');
  // 4 m, 10 m, 10 m at a hundredfold speed; never early
  for (const [i, s] of [[1, 240], [2, 600], [3, 600]]) {
    assert.ok(all[i].at - all[i - 1].at >= s * 10 - 5, `push ${i} came after ${all[i].at - all[i - 1].at} ms`);
  }
  assert.equal(new Set(all.map((c) => c.params.notify_id)).size, 1);
  const stats = async () => (await sandbox.ctl('stats')).callbacks;
  const { pushes } = await stats();
  await sandbox.ctl('advance', '200000');
  await new Promise((r) => setTimeout(r, 200));
  assert.equal((await stats()).pushes, pushes, 'and not again');
});

test('the notification of a payment looks like that of a partial refund, but for three fields', async () => {
  const biz = refundBiz('PAY-1', 100, { out_trade_no: 'PAY' });
  await create(biz);
  await sandbox.ctl('payment-notify', APP, biz.trade_no);
  const payment = await eventually('it', () => receiver.good.find((c) =>
    c.params.out_trade_no === 'PAY' && c.params.refund_fee === undefined));
  await eventually('the refund\'s', () => receiver.of('PAY-1').length);
  const keys = (c) => Object.keys(c.params).filter((k) => k !== 'sign');
  assert.equal(payment.params.trade_status, 'TRADE_SUCCESS');
  assert.deepEqual(keys(receiver.of('PAY-1')[0]).filter((k) => !keys(payment).includes(k)).sort(),
    ['gmt_refund', 'out_biz_no', 'refund_fee']);
});

test('values that go wrong when they are decoded twice', () => {
  const { params, body } = receiver.good.find((c) => c.params.subject);
  assert.match(params.subject, /100% cotton & more=less\+1/);
  assert.match(params.passback_params, /%3d/);
  assert.deepEqual(formOf(body), params);
  assert.throws(() => client.checkNotifySign(params), /URI malformed/);
  assert.equal(notifyVerifies(client, { ...params, refund_fee: '0.01' }), false);
});

test('without a notify-url there are no notifications', async () => {
  await sandbox.ctl('notify-url', APP, 'none');
  await create(refundBiz('SILENT-1', 100));
  await create(refundBiz('SILENT-2', 9006));	// it does not wait for what never comes
  await assert.rejects(sandbox.ctl('callback', 'SILENT-1'));
  await sandbox.ctl('notify-url', APP, receiver.url);
  await sandbox.ctl('callback', 'SILENT-1');
  await eventually('it', () => receiver.of('SILENT-1').length === 1);
});

test('nobody was paid twice, in all of this', async () => {
  const stats = await sandbox.ctl('stats');
  assert.equal(stats.refunds.paid_twice, 0);
  assert.ok(stats.refunds.count > 50);
  for (const r of (await sandbox.ctl('ledger')).refunds) assert.equal(r.paid_times, 1, r.no);
});

// ---- other ways to run it ----

test('kill -9: what was answered holds, and what was due is pushed', async () => {
  const s = await new Sandbox().start('--callback-delay-ms', '0');
  const c = alipayClient(s);
  const r = await new AlipayReceiver(c).start();
  try {
    await s.ctl('notify-url', APP, r.url);
    await s.ctl('switch', APP, 'key-2');
    await s.ctl('pause-callbacks', 'on');
    const biz = refundBiz('KILL-1', 100);
    await c.exec(REFUND, { bizContent: biz });
    await s.stop('SIGKILL');
    await s.start();
    assert.equal((await c.exec(REFUND, { bizContent: biz })).fundChange, 'N');
    assert.equal((await s.refund('KILL-1')).paid_times, 1);
    await failure(c.exec(REFUND, { bizContent: biz }, { validateSign: true }));	// still key-2
    await s.ctl('switch', APP, 'key-1');
    await s.ctl('pause-callbacks', 'off');
    await eventually('the notification', () => r.of('KILL-1').length === 1);
  } finally {
    r.stop();
    await s.remove();
  }
});

test('limits: three seconds between two refunds of a trade; two apps are apart', async () => {
  const s = await new Sandbox(['1900000100'], '--app-id', '2021000000000011', '--app-id', '2021000000000012')
    .start('--limits');
  try {
    const c = alipayClient(s);
    const other = alipayClient(s, 'cert', {}, '-2021000000000012');
    assert.equal(other.config.appId, '2021000000000012');
    const trade = { trade_no: '2026112722001888888888888888' };
    const go = (no, who = c) => who.exec(REFUND, { bizContent: refundBiz(no, 100, trade) }, { validateSign: true });
    assert.equal((await go('FAST-1')).fundChange, 'Y');
    const e = await go('FAST-2');
    assert.deepEqual([e.code, e.subCode], ['40005', 'isv.app-call-limited']);
    assert.equal((await go('FAST-1')).fundChange, 'N', 'a repeat is no new refund');
    assert.equal((await go('FAST-1', other)).fundChange, 'Y', 'another app, another trade');
    await s.ctl('advance', '3');
    assert.equal((await go('FAST-2')).fundChange, 'Y');
    const { merchants } = await s.ctl('stats');
    assert.deepEqual([merchants['2021000000000011'].throttled, merchants['2021000000000012'].throttled], [1, 0]);
  } finally {
    await s.remove();
  }
});

test('strict orders: only what was registered', async () => {
  const s = await new Sandbox().start('--strict-orders');
  try {
    const c = alipayClient(s);
    const biz = refundBiz('STRICT-1', 500, { trade_no: '2026112722001777777777777777' });
    assert.equal((await c.exec(REFUND, { bizContent: biz })).subCode, 'ACQ.TRADE_NOT_EXIST');
    const ask = { trade_no: biz.trade_no, out_request_no: 'STRICT-1' };
    assert.equal((await c.exec(QUERY, { bizContent: ask })).subCode, 'ACQ.TRADE_NOT_EXIST');
    await s.ctl('order', APP, biz.trade_no, 'T1', '1000');
    assert.equal((await c.exec(QUERY, { bizContent: ask })).code, '10000');
    const res = await c.exec(REFUND, { bizContent: biz });
    assert.deepEqual([res.fundChange, res.outTradeNo], ['Y', 'T1']);
    assert.equal((await c.exec(QUERY, { bizContent: ask })).totalAmount, '10.00');
  } finally {
    await s.remove();
  }
});

test('chaos: the seed, the trade and the number decide', async () => {
  const draw = async (seed) => {
    const s = await new Sandbox().start('--chaos', '60', '--seed', String(seed), '--hold-ms', '50');
    try {
      const c = alipayClient(s);
      const all = Array.from({ length: 40 }, (_, i) => refundBiz(`CHAOS-${i}`, 100, { trade_no: `2026${i}` }));
      for (let round = 0; round < 2; round++) {
        await Promise.all(all.map((bizContent) => c.exec(REFUND, { bizContent }).catch(() => {})));
      }
      return Object.fromEntries((await s.ctl('ledger')).refunds.map((r) => [r.no, r.outcome]));
    } finally {
      await s.remove();
    }
  };
  const a = await draw(1);
  assert.deepEqual(await draw(1), a);
  assert.notDeepEqual(await draw(2), a);
  assert.ok(new Set(Object.values(a)).size > 5);
});

test('wire.log: calls by their method, numbers, and the bytes that stand for them', async () => {
  const lines = sandbox.read('wire.log').trimEnd().split('\n').map((l) => l.split('\t'));
  const idem = lines.filter((l) => l[3] === 'IDEM-1');
  assert.deepEqual(idem.map((l) => [l[1], l[2]]), [[REFUND, APP], [REFUND, APP]]);
  assert.equal(idem[0][4], idem[1][4], 'the time stamps differ, the business bytes do not');
  assert.ok(lines.some((l) => l[1] === QUERY));
});
