// The recorder itself: it passes what the SDKs send, and finds what is wrong.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import events from 'node:events';
import http from 'node:http';
import { test } from 'node:test';
import dysmsapi from '@alicloud/dysmsapi20170525';
import openapi from '@alicloud/openapi-core';
import wechatpay from 'wechatpay-axios-plugin';
import { alipayClient, rawCall, refundBiz, transferBiz } from './alipay.mjs';
import { Sandbox, refundBody, transferBody, failure, eventually } from './lib.mjs';
import { account, client as stripeClient } from './stripe.mjs';

const { Formatter, Rsa } = wechatpay;

// Run fn against a recorder in front of a sandbox; its report and exit code.
async function recorded(fn) {
  const s = await new Sandbox().start();
  const child = spawn(process.execPath,
    [new URL('verify_wire.mjs', import.meta.url).pathname, '--sandbox', s.dir],
    { stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.on('data', (d) => { out += d; });
  try {
    await eventually('the recorder', () => /^listening \d+$/m.test(out));
    const port = Number(/^listening (\d+)$/m.exec(out)[1]);
    await fn(s, port);
    child.kill('SIGTERM');
    const [code] = await events.once(child, 'close');
    return { code, ...JSON.parse(out.trim().split('\n').at(-1)) };
  } finally {
    child.kill('SIGKILL');
    await s.remove();
  }
}

const through = (s, port) => {
  s.url = `http://127.0.0.1:${port}`;
  return s.client();
};

function sms(s, port, secret) {
  const c = s.json('sms.json');
  return new dysmsapi.default(new openapi.$OpenApiUtil.Config({
    accessKeyId: c.access_key_id,
    accessKeySecret: secret ?? s.key(c.access_key_secret).toString(),
    endpoint: `127.0.0.1:${port}`,
    protocol: 'HTTP',
  }));
}

const message = new dysmsapi.SendSmsRequest({
  phoneNumbers: '15300000001', signName: '退款通知', templateCode: 'SMS_1',
  templateParam: '{"a":"b c*~"}', outId: 'w1',
});

test('what the SDKs send verifies, and arrives', async () => {
  const r = await recorded(async (s, port) => {
    const c = through(s, port);
    await c.v3.refund.domestic.refunds.post(refundBody('VW-1', 100));
    await c.v3.refund.domestic.refunds.post(refundBody('VW-1', 100));
    await c.v3.refund.domestic.refunds._out_refund_no_.get({ out_refund_no: 'VW-1' });
    assert.equal((await sms(s, port).sendSms(message)).body.code, 'OK');
    assert.ok(await s.refund('VW-1'));
    // a reset goes through as a reset
    assert.equal((await failure(c.v3.refund.domestic.refunds.post(refundBody('VW-2', 9020)))).code, 'ECONNRESET');
  });
  assert.deepEqual([r.code, r.verified, r.bad, r.wechat, r.aliyun, r.numbers], [0, 5, 0, 4, 1, 2], r.problems?.join());
});

test('a wrong signature, other bytes for a number, a reused nonce are found', async () => {
  const r = await recorded(async (s, port) => {
    const c = through(s, port);
    const m = s.merchant();
    await c.v3.refund.domestic.refunds.post(refundBody('VW-1', 100));
    await failure(c.v3.refund.domestic.refunds.post(refundBody('VW-1', 200)));
    const url = '/v3/refund/domestic/refunds/VW-1';
    const time = Formatter.timestamp();
    const once = Formatter.nonce();
    const sign = (path, nonce = once) => ({ Accept: '*/*', Authorization: Formatter.authorization(m.mchid, nonce,
      Rsa.sign(Formatter.request('GET', path, time, nonce), m.privateKey), time, m.serial) });
    for (let i = 0; i < 2; i++) await fetch(s.url + url, { headers: sign(url) });
    await fetch(s.url + url, { headers: sign(`${url}x`, Formatter.nonce()) });
    await failure(sms(s, port, 'wrong').sendSms(message));
  });
  assert.equal(r.code, 1);
  assert.deepEqual([r.verified, r.bad], [2, 4]);
  assert.match(r.problems.join('\n'), /other bytes[^]*nonce used twice[^]*does not verify[^]*differs from the SDK/);
});

const bills = (c) => c.v3['fund-app']['mch-transfer']['transfer-bills'];
const TRANSFER = 'alipay.fund.trans.uni.transfer';

test('transfers: what the SDKs send verifies, and arrives', async () => {
  const r = await recorded(async (s, port) => {
    const c = through(s, port);
    const m = s.merchant();
    const user_name = Rsa.encrypt('张三', Rsa.from(m.certs[m.pubKeyId], Rsa.KEY_TYPE_PUBLIC));
    const body = transferBody('VW1', 9004, { user_name });
    for (let i = 0; i < 2; i++) await bills(c).post(body);
    await bills(c)['out-bill-no']._no_.get({ no: 'VW1' });
    await bills(c)['out-bill-no']._no_.cancel.post({}, { no: 'VW1' });
    const a = alipayClient(s, 'cert');
    const biz = transferBiz('VW2', 100);
    await a.exec(TRANSFER, { bizContent: biz }, { validateSign: true });
    await a.exec('alipay.fund.trans.common.query', { bizContent: biz }, { validateSign: true });
    assert.equal((await s.transfer('VW2')).paid_times, 1);
  });
  assert.deepEqual([r.code, r.verified, r.bad, r.wechat, r.alipay, r.numbers], [0, 6, 0, 4, 2, 2], r.problems?.join());
});

test('transfers: what is wrong is found', async () => {
  const problems = ['other bytes', 'not encrypted for the key', 'without the Wechatpay-Serial', 'other bytes',
    'string of yuan', 'without app_cert_sn', 'names no transfer', 'out_biz_no'];
  const r = await recorded(async (s, port) => {
    const c = through(s, port);
    const m = s.merchant();
    const sealed = (serial) => Rsa.encrypt('张三', Rsa.from(m.certs[serial], Rsa.KEY_TYPE_PUBLIC));
    await bills(c).post(transferBody('VW1', 9004));
    await failure(bills(c).post(transferBody('VW1', 9005)));
    await failure(bills(c).post(transferBody('VW3', 100, { user_name: sealed(m.platformSerial) })));
    const bare = new wechatpay.Wechatpay({ ...m, baseURL: `${s.url}/` });
    await failure(bills(bare).post(transferBody('VW4', 100, { user_name: sealed(m.pubKeyId) })));
    const a = alipayClient(s, 'cert');
    const raw = (biz, who = a, method = TRANSFER) => rawCall(s, who, method, biz, { charsetInQuery: true });
    await raw(transferBiz('VW2', 100));
    await raw(transferBiz('VW2', 101));
    await raw(transferBiz('VW5', 100, { trans_amount: '1' }));
    await raw(transferBiz('VW6', 100), alipayClient(s, 'key'));
    await raw({ out_biz_no: 'VW2' }, a, 'alipay.fund.trans.common.query');
    await raw(transferBiz(undefined, 100));
  });
  assert.deepEqual([r.code, r.verified, r.bad], [1, 2, problems.length], r.problems?.join());
  problems.forEach((p, i) => assert.ok(r.problems[i].includes(p), `${p} in ${r.problems[i]}`));
});

const REFUND = 'alipay.trade.refund';

test('alipay-sdk: what it sends in both modes verifies, and arrives', async () => {
  const r = await recorded(async (s, port) => {
    s.url = `http://127.0.0.1:${port}`;
    for (const mode of ['key', 'cert']) {
      const c = alipayClient(s, mode);
      const biz = refundBiz(`VW-${mode}`, 100);
      for (let i = 0; i < 2; i++) await c.exec(REFUND, { bizContent: biz }, { validateSign: true });
      await c.exec('alipay.trade.fastpay.refund.query', { bizContent: biz }, { validateSign: true });
      assert.equal((await s.refund(biz.out_request_no)).paid_times, 1);
    }
  });
  assert.deepEqual([r.code, r.verified, r.bad, r.alipay, r.numbers], [0, 6, 0, 6, 2], r.problems?.join());
});

test('Alipay: what is wrong is found', async () => {
  const problems = ['other bytes', 'does not verify', 'twice', 'timestamp is off', 'string of yuan',
    'out_request_no', 'unknown app_id', 'app_cert_sn', 'charset'];
  const r = await recorded(async (s, port) => {
    s.url = `http://127.0.0.1:${port}`;
    const c = alipayClient(s);
    const cert = alipayClient(s, 'cert');
    const biz = refundBiz('VW-1', 100);
    const raw = (b, after, who = c) => rawCall(s, who, REFUND, b, { after, charsetInQuery: true });
    await raw(biz);
    await raw({ ...biz, refund_amount: '2.00' });
    await raw(biz, (p) => { p.set('version', '1.0'); p.set('biz_content', `${p.get('biz_content')} `); return p; });
    await raw(biz, (p) => { p.append('biz_content', p.get('biz_content')); return p; });
    process.env.TZ = 'UTC';
    await raw(refundBiz('VW-2', 100));
    process.env.TZ = 'Asia/Shanghai';
    await raw({ ...refundBiz('VW-3', 100), refund_amount: 1 });
    await raw(refundBiz(undefined, 100));
    await raw(refundBiz('VW-4', 100), undefined, alipayClient(s, 'key', { appId: '2021000000000009' }));
    cert.config.appCertSn = '0'.repeat(32);
    await raw(refundBiz('VW-5', 100), undefined, cert);
    await rawCall(s, c, REFUND, refundBiz('VW-6', 100));
  });
  assert.equal(r.code, 1);
  assert.deepEqual([r.verified, r.bad], [1, problems.length], r.problems?.join('\n'));
  problems.forEach((p, i) => assert.ok(r.problems[i].includes(p), `${p}: ${r.problems[i]}`));
});

test('a run in which nothing was seen is a failure', async () => {
  const r = await recorded(async () => {});
  assert.deepEqual([r.code, r.verified], [1, 0]);
});

const stripeRefund = (no, amount) => ({
  payment_intent: 'pi_3Wire', amount, reason: 'duplicate', metadata: { refundx_no: no, note: 'a b&c=[ä]+' },
  expand: ['charge', 'payment_intent'],
});

test('stripe: what it sends is what it sends, and arrives', async () => {
  const r = await recorded(async (s, port) => {
    s.port = port;
    const c = stripeClient(s);
    const made = await c.refunds.create(stripeRefund('VW-1', 100), { idempotencyKey: 'VW-1-0' });
    await c.refunds.create(stripeRefund('VW-1', 100), { idempotencyKey: 'VW-1-0' });
    await c.refunds.retrieve(made.id, { expand: ['charge'] });
    await c.refunds.list({ payment_intent: 'pi_3Wire', limit: 100, created: { gte: 1 } });
    await c.accounts.retrieveCurrent();
    assert.equal((await s.ctl('show', 'VW-1')).refunds.length, 1);
  });
  assert.deepEqual([r.code, r.verified, r.bad, r.stripe], [0, 5, 0, 5], r.problems?.join());
});

test('Stripe: what is wrong is found', async () => {
  const problems = ['no secret key', 'other parameters', 'Content-Type', 'no Idempotency-Key', 'visible characters',
    'with a query', 'with a body', 'no such call', 'Stripe-Version', 'no secret key'];
  const r = await recorded(async (s, port) => {
    const { key } = account(s);
    const call = (change, body = 'payment_intent=pi_1&amount=100') => {
      const o = { path: '/v1/refunds', method: 'POST', type: 'application/x-www-form-urlencoded', auth: `Bearer ${key}`,
        headers: { 'Idempotency-Key': 'k1' }, ...change };
      return new Promise((resolve) => {
        const req = http.request({ host: '127.0.0.1', port, method: o.method, path: o.path,
          headers: { Authorization: o.auth, 'Content-Type': o.type, 'Content-Length': Buffer.byteLength(body), ...o.headers } },
        (res) => { res.resume(); res.on('end', resolve); });
        req.on('error', resolve);
        req.end(body);
      });
    };
    await call({});
    await call({ auth: 'Bearer sk_test_x' });
    await call({}, 'payment_intent=pi_1&amount=101');
    await call({ type: 'application/json' });
    await call({ headers: {} });
    await call({ headers: { 'Idempotency-Key': 'a b' } });
    await call({ path: '/v1/refunds?amount=1' });
    await call({ method: 'GET' });
    await call({ path: '/v1/charges' });
    await call({ headers: { 'Idempotency-Key': 'k2', 'Stripe-Version': 'now' } });
    await call({ auth: `Basic ${Buffer.from(`${key}:`).toString('base64')}` });
  });
  assert.deepEqual([r.code, r.verified, r.bad, r.stripe], [1, 1, problems.length, problems.length + 1], r.problems.join());
  problems.forEach((p, i) => assert.match(r.problems[i], new RegExp(p)));
});
