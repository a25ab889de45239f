// Whatever arrives, the sandbox goes on serving; and it can speak TLS.
import assert from 'node:assert/strict';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { alipayClient, CARD, transferBiz } from './alipay.mjs';
import { Sandbox, refundBody, transferBody, eventually } from './lib.mjs';

// xorshift: the same garbage in every run
function random(seed) {
  let x = seed;
  return (n) => {
    x ^= x << 13; x ^= x >>> 17; x ^= x << 5;
    return (x >>> 0) % n;
  };
}

const seeds = (mchid, stripeKey) => [
  `POST /v3/refund/domestic/refunds HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nUser-Agent: x\r\nAuthorization: WECHATPAY2-SHA256-RSA2048 mchid="${mchid}",nonce_str="n",signature="AAAA",timestamp="${Math.floor(Date.now() / 1000)}",serial_no="s"\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n{"out_refund_no":"F1","amount":{"refund"`,
  'GET /v3/refund/domestic/refunds/%41%zz%00?sub_mchid=1&a=%2 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nUser-Agent: x\r\n\r\n',
  'POST /v3/refund/domestic/refunds/1/apply-abnormal-refund HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}',
  'POST /?PhoneNumbers=13900000001&SignName=a&TemplateCode=b&TemplateParam=%7B%7D HTTP/1.1\r\nHost: a\r\nx-acs-action: SendSms\r\nx-acs-version: 2017-05-25\r\nx-acs-date: 2026-01-01T00:00:00Z\r\nx-acs-signature-nonce: 1\r\nx-acs-content-sha256: e3\r\nAuthorization: ACS3-HMAC-SHA256 Credential=LTAI,SignedHeaders=host;x-acs-action,Signature=00\r\nContent-Length: 0\r\n\r\n',
  'POST /gateway.do?charset=utf-8&app_id=2021000000000001&method=alipay.trade.refund&sign_type=RSA2&version=1.0&timestamp=2026-11-27+08%3A00%3A00&sign=AA%3D%3D HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 60\r\n\r\nbiz_content=%7B%22out_request_no%22%3A%22F1%22%7D&a=&=b&c&%41',
  'GET /gateway.do?method=alipay.trade.query&app_cert_sn=0&&&==&sign=%zz HTTP/1.1\r\nHost: a\r\n\r\n',
  'POST /sandbox/notify_url HTTP/1.1\r\nHost: a\r\nContent-Length: 55\r\n\r\n{"mchid":"2021000000000001","url":"http://127.0.0.1:9/x"}',
  'POST /sandbox/switch HTTP/1.1\r\nHost: a\r\nContent-Length: 43\r\n\r\n{"mchid":"2021000000000001","what":"key-2"}',
  'POST /sms/generic HTTP/1.1\r\nHost: a\r\nContent-Length: 34\r\n\r\nto=%2B8613900009001&text=%e9%80%80',
  `POST /v1/refunds HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${stripeKey}\r\nIdempotency-Key: k1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 66\r\n\r\ncharge=ch_3Fuzz&amount=500&metadata[refundx_no]=S1&expand[]=charge`,
  `GET /v1/refunds?payment_intent=pi_3Fuzz&limit=3&created[gte]=1&starting_after=re_3x HTTP/1.1\r\nHost: a\r\nStripe-Account: acct_1SandboxRefundx0\r\nAuthorization: Bearer ${stripeKey}\r\n\r\n`,
  'POST /sandbox/settle HTTP/1.1\r\nHost: a\r\nContent-Length: 32\r\n\r\n{"no":"F1","status":"SUCCESS" }}',
  'POST /v3/fund-app/mch-transfer/transfer-bills/out-bill-no/%41/cancel HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nUser-Agent: x\r\n\r\n',
  'GET /v3/fund-app/mch-transfer/transfer-bills/transfer-bill-no/1330 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nUser-Agent: x\r\n\r\n',
  'POST /gateway.do?method=alipay.fund.trans.uni.transfer&app_id=2021000000000001 HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 54\r\n\r\nbiz_content=%7B%22out_biz_no%22%3A%22F1%22%7D&sign=AAA',
  'POST /sandbox/balance HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n{"mchid":"1900000100","add":4000000001 }',
  'POST /sandbox/confirm HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n{"no": "F1"}',
  'POST /sandbox/advance HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"sec\r\n0\r\n\r\n',
];

function mutate(text, rnd) {
  const b = Buffer.from(text, 'latin1');
  const out = [];
  const edits = new Set(Array.from({ length: 1 + rnd(6) }, () => rnd(b.length)));
  for (let i = 0; i < b.length; i++) {
    if (!edits.has(i)) out.push(b[i]);
    else if (rnd(3) === 0) out.push(rnd(256));
    else if (rnd(2) === 0) out.push(b[i], b[rnd(b.length)], rnd(256));
  }
  return Buffer.from(out);
}

// Send bytes, wait a little for an answer, hang up in one way or another.
function shoot(port, bytes, rnd) {
  return new Promise((resolve) => {
    const s = net.connect(port, '127.0.0.1', () => s.write(bytes));
    const timer = setTimeout(() => (rnd(2) ? s.resetAndDestroy() : s.destroy()), 30);
    s.on('data', () => s.end());
    s.on('error', () => {});
    s.on('close', () => { clearTimeout(timer); resolve(); });
  });
}

test('two thousand malformed requests, and it still serves', async () => {
  const s = await new Sandbox().start('--hold-ms', '100');
  try {
    const rnd = random(20260723);
    const texts = seeds('1900000100', s.key('stripe_secret.key').toString());
    for (let i = 0; i < 2000; i += 20) {
      await Promise.all(Array.from({ length: 20 }, (_, k) =>
        shoot(s.port, mutate(texts[(i + k) % texts.length], rnd), rnd)));
    }
    assert.equal(s.child.exitCode, null, 'it is still running');
    // a mutation may have been a good command, so only what must hold is asserted
    await s.ctl('sms', 'ok');
    await s.ctl('pause-callbacks', 'off');
    const res = await s.client().v3.refund.domestic.refunds.post(refundBody('ALIVE-1', 100));
    assert.equal(res.status, 200);
    await eventually('nothing to be held', async () => (await s.ctl('stats')).held === 0);
    await s.stop('SIGKILL');
    await s.start();
    assert.ok(await s.refund('ALIVE-1'), 'the ledger can be replayed');
    assert.deepEqual(await s.stop(), [0, null]);
  } finally {
    await s.remove();
  }
});

// Some value of the tree, replaced by something else.
function spoil(value, rnd) {
  const odd = [null, true, 0, -1, 1e300, 1.5, '', ' ', 'x'.repeat(3000), '\u0000', '\ud800', '\u{1F600}', [], {}, [[[]]],
    { a: 1 }, ['岗位类型'], '9'.repeat(400), '0.1', '1e2', Number.MAX_SAFE_INTEGER, '%00', '../..'];
  if (rnd(3) > 0 && value !== null && typeof value === 'object' && Object.keys(value).length > 0) {
    const keys = Object.keys(value);
    const key = keys[rnd(keys.length)];
    const copy = Array.isArray(value) ? [...value] : { ...value };
    if (rnd(8) === 0) delete copy[key];
    else copy[key] = spoil(value[key], rnd);
    return copy;
  }
  return odd[rnd(odd.length)];
}

test('a thousand transfers, truly signed, with something odd in each', async () => {
  const s = await new Sandbox().start('--hold-ms', '50');
  try {
    const rnd = random(20260724);
    const wechat = s.client();
    const alipay = alipayClient(s, 'cert');
    const seen = new Map();
    const accepted = new Set();	// the channel's numbers: an odd number of ours may come twice
    const note = (what) => seen.set(what, (seen.get(what) ?? 0) + 1);
    const one = async (i) => {
      if (i % 2 === 0) {
        await wechat.v3['fund-app']['mch-transfer']['transfer-bills'].post(spoil(transferBody(`ODD${i}`, 100), rnd))
          .then((r) => { note(r.status); accepted.add(r.data.transfer_bill_no); },
            (e) => note(e.response?.data?.code ?? e.code));
      } else {
        const bizContent = spoil(transferBiz(`ODD${i}`, 100, i % 4 === 1 ? CARD : {}), rnd);
        await alipay.exec('alipay.fund.trans.uni.transfer', { bizContent })
          .then((r) => { note(r.subCode ?? r.code); if (r.orderId) accepted.add(r.orderId); },
            (e) => note(e.code ?? e.name));
      }
    };
    for (let i = 0; i < 1000; i += 20) await Promise.all(Array.from({ length: 20 }, (_, k) => one(i + k)));
    assert.equal(s.child.exitCode, null, 'it is still running');
    // what is odd is refused, and some of it is good enough
    for (const what of ['PARAM_ERROR', 'INVALID_PARAMETER', 200, '10000']) assert.ok(seen.get(what) > 20, `${what}: ${[...seen]}`);
    const { transfers } = await s.ctl('ledger');
    assert.deepEqual(new Set(transfers.map((t) => t.transfer_id)), accepted, 'what was accepted is in the ledger');
  } finally {
    await s.remove();
  }
});

test('a body over the bound is 413', async () => {
  const s = await new Sandbox().start();
  try {
    const res = await fetch(`${s.url}/v3/refund/domestic/refunds`,
      { method: 'POST', body: 'x'.repeat(2 << 20) });
    assert.equal(res.status, 413);
  } finally {
    await s.remove();
  }
});

test('TLS: refunds and control', async () => {
  const s = await new Sandbox().start();
  try {
    await s.stop();
    // any certificate will do; the merchant's is at hand
    await s.start('--tls-cert', path.join(s.dir, 'keys', 'apiclient_cert.pem'),
      '--tls-key', path.join(s.dir, 'keys', 'apiclient_key.pem'));
    s.url = s.json('channel.json').base_url;
    assert.match(s.url, /^https:/);
    const c = s.client();
    const httpsAgent = new https.Agent({ rejectUnauthorized: false });
    const res = await c.v3.refund.domestic.refunds.post(refundBody('TLS-1', 100), { httpsAgent });
    assert.equal(res.data.out_refund_no, 'TLS-1');
    const e = await c.v3.refund.domestic.refunds.post(refundBody('TLS-2', 9020), { httpsAgent }).catch((x) => x);
    assert.equal(e.response, undefined);
    assert.ok(await s.refund('TLS-1'));
    httpsAgent.destroy();
  } finally {
    await s.remove();
  }
});
