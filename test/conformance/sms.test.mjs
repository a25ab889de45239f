// Alibaba Cloud's own SDK against the sandbox's SendSms, whose signature is
// checked by code that has never seen the SDK's.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test, before, after } from 'node:test';
import dysmsapi from '@alicloud/dysmsapi20170525';
import openapi from '@alicloud/openapi-core';
import { Sandbox, failure, eventually } from './lib.mjs';

const { default: Client, SendSmsRequest } = dysmsapi;
let sandbox;
let client;

function sdk(change = {}) {
  const c = sandbox.json('sms.json');
  return new Client(new openapi.$OpenApiUtil.Config({
    accessKeyId: c.access_key_id,
    accessKeySecret: sandbox.key(c.access_key_secret).toString(),
    endpoint: c.endpoint.replace('http://', ''),
    protocol: 'HTTP',
    readTimeout: 1000,
    connectTimeout: 1000,
    ...change,
  }));
}

const message = (phone, outId, more = {}) => new SendSmsRequest({
  phoneNumbers: phone,
  signName: '阿里云短信测试专用',
  templateCode: 'SMS_71390007',
  templateParam: JSON.stringify({ amount: '12.34', name: "O'Neil & 王 *~+/=" }),
  outId,
  ...more,
});

const sent = async (outId) => (await sandbox.ctl('show', outId)).sms;

before(async () => {
  sandbox = await new Sandbox().start('--hold-ms', '1500');
  client = sdk();
});
after(() => sandbox?.remove());

test('a message is sent, and the ledger has it without the number', async () => {
  const { body } = await client.sendSms(message('15300000001', 'out-1'));
  assert.equal(body.code, 'OK');
  assert.ok(body.bizId && body.requestId);
  const [row] = await sent('out-1');
  assert.equal(row.phone, '153****0001');
  assert.equal(row.biz_id, body.bizId);
  assert.equal(JSON.parse(row.param).amount, '12.34');
  assert.ok(!sandbox.read('ledger.log').includes('15300000001'));
  assert.ok(!sandbox.read('sandbox.log').includes('15300000001'));
  assert.ok(!sandbox.read('wire.log').includes('15300000001'));
});

test('nothing is idempotent: the same message twice is two messages', async () => {
  await client.sendSms(message('15300000002', 'out-2'));
  await client.sendSms(message('15300000002', 'out-2'));
  assert.equal((await sent('out-2')).length, 2);
});

test('several numbers in one call', async () => {
  await client.sendSms(message('15300000003,+8613900000004', 'out-3'));
  assert.deepEqual((await sent('out-3')).map((m) => m.phone), ['153****0003', '+86139****0004']);
});

test('a wrong secret, an unknown key: refused, nothing sent', async () => {
  const wrong = await failure(sdk({ accessKeySecret: 'wrong' }).sendSms(message('15300000001', 'out-4')));
  assert.equal(wrong.code, 'SignatureDoesNotMatch');
  const unknown = await failure(sdk({ accessKeyId: 'LTAIother' }).sendSms(message('15300000001', 'out-4')));
  assert.equal(unknown.code, 'InvalidAccessKeyId.NotFound');
  assert.equal((await sent('out-4')).length, 0);
});

test('parameters that the provider would refuse', async () => {
  const json = await client.sendSms(message('15300000001', 'out-5', { templateParam: '{"a":1}' }));
  assert.equal(json.body.code, 'isv.INVALID_JSON_PARAM');
  const phone = await client.sendSms(message('12', 'out-5'));
  assert.equal(phone.body.code, 'isv.MOBILE_NUMBER_ILLEGAL');
  const sign = await failure(client.sendSms(message('15300000001', 'out-5', { signName: '' })));
  assert.equal(sign.code, 'MissingSignName');
  assert.equal((await sent('out-5')).length, 0);
});

// last four digits, code, is it an HTTP error, how many go out, does a repeat work
const outcomes = [
  ['9001', 'Throttling.User', true, 0, true],
  ['9002', 'isv.BUSINESS_LIMIT_CONTROL', false, 0, false],
  ['9003', 'isv.MOBILE_NUMBER_ILLEGAL', false, 0, false],
  ['9004', 'isv.SMS_TEMPLATE_ILLEGAL', false, 0, false],
  ['9005', 'isv.AMOUNT_NOT_ENOUGH', false, 0, false],
  ['9006', 'InternalError', true, 0, false],
  ['9010', 'ServiceUnavailable', true, 0, true],
  ['9011', 'isp.SYSTEM_ERROR', false, 1, false],
  ['9013', 'SignatureDoesNotMatch', true, 0, false],
];
for (const [digits, code, http, count, repeat] of outcomes) {
  test(`${digits}: ${code}`, async () => {
    const phone = `1380000${digits}`;
    const out = `out-${digits}`;
    const got = http ? await failure(client.sendSms(message(phone, out)))
      : (await client.sendSms(message(phone, out))).body;
    assert.equal(got.code, code);
    assert.equal((await sent(out)).length, count);
    if (repeat) {
      assert.equal((await client.sendSms(message(phone, out))).body.code, 'OK');
      assert.equal((await sent(out)).length, 1);
    }
  });
}

for (const [digits, count] of [['9007', 1], ['9008', 1], ['9009', 0]]) {
  test(`${digits}: no answer, ${count} sent`, async () => {
    const e = await failure(client.sendSms(message(`1380000${digits}`, `out-${digits}`)));
    assert.ok(/timeout|ECONNRESET|socket hang up/i.test(`${e.code} ${e.name} ${e.message}`), e.message);
    assert.equal((await sent(`out-${digits}`)).length, count);
  });
}

test('the provider goes down, errs, hangs, and comes back', async () => {
  await sandbox.ctl('sms', 'down');
  await failure(client.sendSms(message('15300000001', 'out-down')));
  await sandbox.ctl('sms', '500');
  assert.equal((await failure(client.sendSms(message('15300000001', 'out-down')))).code, 'InternalError');
  await sandbox.ctl('sms', 'hang');
  await failure(client.sendSms(message('15300000001', 'out-down')));
  assert.equal((await sent('out-down')).length, 0);
  await sandbox.ctl('sms', 'ok');
  assert.equal((await client.sendSms(message('15300000001', 'out-up'))).body.code, 'OK');
  await eventually('the hung call to be let go', async () => (await sandbox.ctl('stats')).held === 0);
});

// Capture a request that the SDK signed, and send variations of it.
async function captured() {
  let seen;
  const server = http.createServer((req, res) => {
    seen = { url: req.url, method: req.method, headers: req.headers };
    res.end('{"Code":"OK"}');
  });
  await new Promise((r) => { server.listen(0, '127.0.0.1', r); });
  await sdk({ endpoint: `127.0.0.1:${server.address().port}` })
    .sendSms(message('15300000009', 'out-captured'));
  server.closeAllConnections();
  server.close();
  return seen;
}

function replay({ url, method, headers }) {
  return new Promise((resolve, reject) => {
    const req = http.request({ host: '127.0.0.1', port: sandbox.port, path: url, method, headers }, (res) => {
      let text = '';
      res.on('data', (d) => { text += d; });
      res.on('end', () => resolve({ status: res.statusCode, ...JSON.parse(text) }));
    });
    req.on('error', reject);
    req.end();
  });
}

test('what the SDK signed is taken once, and not changed', async () => {
  const r = await captured();
  const changed = await replay({ ...r, url: r.url.replace('out-captured', 'out-capturee') });
  assert.equal(changed.Code, 'SignatureDoesNotMatch');
  const header = await replay({ ...r, headers: { ...r.headers, 'x-acs-extra': '1' } });
  assert.equal(header.Code, 'SignatureDoesNotMatch');
  const date = await replay({ ...r, headers: { ...r.headers, 'x-acs-date': '2020-01-01T00:00:00Z' } });
  assert.equal(date.Code, 'SignatureDoesNotMatch');
  const good = await replay(r);
  assert.equal(good.Code, 'OK', JSON.stringify(good));
  const again = await replay(r);
  assert.equal(again.Code, 'SignatureNonceUsed');
});

test('the generic gateway takes JSON and forms', async () => {
  const post = (type, body) => fetch(`${sandbox.url}/sms/generic`,
    { method: 'POST', headers: { 'Content-Type': type }, body }).then((r) => r.json());
  const json = await post('application/json', JSON.stringify({ to: '+8613900000001', text: '退款 1.00', id: 'g1' }));
  assert.equal(json.result, 0);
  assert.ok(json.id);
  const form = await post('application/x-www-form-urlencoded', 'mobile=13900000001&content=a%20b+c&ref=g2');
  assert.equal(form.result, 0);
  assert.equal((await sent('g1'))[0].param, '退款 1.00');
  assert.equal((await sent('g2'))[0].param, 'a b c');
  const bad = await post('application/json', JSON.stringify({ to: '13900009003', text: 'x' }));
  assert.equal(bad.result, 1014);
  assert.equal((await post('application/json', '[')).result, 400);
});
