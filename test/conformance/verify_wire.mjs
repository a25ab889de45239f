#!/usr/bin/env node
// A recorder to stand between the extension and the sandbox.
//
//   verify_wire.mjs --sandbox DIR [--port N] [--report FILE]
//
// It forwards every request, byte for byte, and checks its signature with
// code that is neither the extension's nor the sandbox's: WeChat Pay's with
// wechatpay-axios-plugin's primitives, Alipay's with alipay-sdk's, Alibaba
// Cloud's by signing it again with the SDK's own signer.  Stripe has none: its
// requests are compared with those that its library would make.
// It prints "listening PORT" when it is ready.
// On SIGTERM or SIGINT it prints a JSON report, also into FILE, and exits
// with 0 if it has verified something and found nothing bad, else with 1.
import './file_global.mjs';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { AlipaySdk } from 'alipay-sdk';
import wechatpay from 'wechatpay-axios-plugin';
import openapi from '@alicloud/openapi-core';
import { StripeWire } from './stripe_wire.mjs';

const { Rsa, Formatter } = wechatpay;
const { OpenApiUtil } = openapi;
const { values: args } = parseArgs({
  options: {
    sandbox: { type: 'string' },
    port: { type: 'string', default: '0' },
    report: { type: 'string' },
  },
});
if (!args.sandbox) {
  console.error('usage: verify_wire.mjs --sandbox DIR [--port N] [--report FILE]');
  process.exit(2);
}
const at = (...p) => path.join(args.sandbox, ...p);
const json = (name) => JSON.parse(fs.readFileSync(at(name), 'utf8'));

const entries = (channel) => json('sandbox.json').merchants.filter((m) => m.channel === channel);
const merchants = new Map(entries('wechat').map((m) => [m.mchid, {
  serial: m.serial,
  key: crypto.createPublicKey(fs.readFileSync(at('keys', `${m.prefix}apiclient_cert.pem`))),
  // WeChat Pay's own halves, by serial: what is encrypted for it must open with these
  secrets: {
    [m.pub_key_id]: fs.readFileSync(at('private', `${m.prefix}wechat_pub_key_private.pem`)),
    [m.platform_serial]: fs.readFileSync(at('private', `${m.prefix}wechat_platform_private.pem`)),
  },
}]));
// The SDK verifies with "Alipay's key"; what verifies an app is the app's own.
const apps = new Map(entries('alipay').map((m) => {
  const file = (name) => at('keys', m.prefix + name);
  const text = (name) => fs.readFileSync(file(name), 'utf8');
  const certified = new AlipaySdk({
    appId: m.mchid,
    keyType: 'PKCS8',
    privateKey: text('alipay_app_key.pem'),
    appCertPath: file('alipay_app_cert.crt'),
    alipayPublicCertPath: file('alipay_app_cert.crt'),
    alipayRootCertPath: file('alipay_root_cert.crt'),
  });
  return [m.mchid, certified];
}));
const smsKey = {
  id: json('sms.json').access_key_id,
  secret: fs.readFileSync(at('keys', 'sms_access_key'), 'utf8'),
};
const stripe = new StripeWire(args.sandbox);
const target = { host: '127.0.0.1', port: Number(fs.readFileSync(at('port'), 'utf8')) };

const report = { verified: 0, bad: 0, wechat: 0, alipay: 0, stripe: 0, aliyun: 0, other: 0, numbers: {}, problems: [] };

// The five named values, or an error in plain words.
function parseAuthorization(header) {
  const m = /^WECHATPAY2-SHA256-RSA2048 ((?:[a-z_]+="[^"]*"(?:,|$)){5})$/.exec(header ?? '');
  if (!m) return 'no well-formed Authorization';
  const all = Object.fromEntries([...m[1].matchAll(/([a-z_]+)="([^"]*)"/g)].map((x) => [x[1], x[2]]));
  const missing = ['mchid', 'nonce_str', 'signature', 'timestamp', 'serial_no'].find((k) => !all[k]);
  return missing ? `Authorization lacks ${missing}` : all;
}

const nonces = new Set();

// What is wrong with a request to WeChat Pay; undefined if nothing is.
function checkWechat(req, body) {
  const auth = parseAuthorization(req.headers.authorization);
  if (typeof auth === 'string') return auth;
  const merchant = merchants.get(auth.mchid);
  if (!merchant) return `unknown mchid ${auth.mchid}`;
  if (auth.serial_no !== merchant.serial) return 'serial_no is not the merchant certificate\'s';
  if (Math.abs(Formatter.timestamp() - Number(auth.timestamp)) > 300) return 'timestamp is off';
  if (nonces.has(auth.nonce_str)) return 'nonce used twice';
  nonces.add(auth.nonce_str);
  const text = Formatter.request(req.method, req.url, auth.timestamp, auth.nonce_str, body.toString('utf8'));
  if (!Rsa.verify(text, auth.signature, merchant.key)) return 'signature does not verify';
  if (!/json|\*\/\*/.test(req.headers.accept ?? '')) return 'no usable Accept';
  if (!req.headers['user-agent']) return 'no User-Agent';
  if (body.length && !/^application\/json\b/.test(req.headers['content-type'] ?? '')) return 'Content-Type is not JSON';
  return checkName(req, body, merchant);
}

// The name of a transfer's payee: encrypted, and for the key that is named.
function checkName(req, body, merchant) {
  let call;
  try {
    call = JSON.parse(body);
  } catch {
    return undefined;	// checkSameBytes tells of it
  }
  if (call?.user_name === undefined) return undefined;
  const secret = merchant.secrets[req.headers['wechatpay-serial']];
  if (!secret) return 'user_name without the Wechatpay-Serial of a key';
  try {
    return Rsa.decrypt(call.user_name, Rsa.from(secret)) ? undefined : 'user_name is empty';
  } catch {
    return 'user_name is not encrypted for the key of Wechatpay-Serial';
  }
}

// The bytes that stand for a number must never change.
function checkSameBytes(req, body) {
  if (req.method !== 'POST' || !body.length) return undefined;
  let call;
  try {
    call = JSON.parse(body);
  } catch {
    return 'body is not JSON';
  }
  const no = call.out_refund_no ?? call.out_bill_no;
  if (typeof no !== 'string') return undefined;
  const digest = crypto.createHash('sha256').update(body).digest('hex');
  const known = report.numbers[no];
  report.numbers[no] = { calls: (known?.calls ?? 0) + 1, digest };
  return known && known.digest !== digest ? `${no} was sent with other bytes before` : undefined;
}

// All parameters, from the query and the form, and whether one is there twice.
function alipayParams(req, body) {
  const { searchParams } = new URL(req.url, 'http://localhost');
  const form = body.length ? new URLSearchParams(body.toString('utf8')) : [];
  const all = [...searchParams, ...form];
  return { params: Object.fromEntries(all), repeated: new Set(all.map(([k]) => k)).size !== all.length };
}

// Its own clock's reading of Beijing time, in ms.
const beijing = (text) => (/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/.test(text)
  ? Date.parse(`${text.replace(' ', 'T')}+08:00`) : NaN);

// What is wrong with a request to Alipay; undefined if nothing is.
function checkAlipay(req, body) {
  const { params, repeated } = alipayParams(req, body);
  const sdk = apps.get(params.app_id);
  if (!sdk) return `unknown app_id ${params.app_id}`;
  if (repeated) return 'a parameter is there twice';
  if (req.method !== 'POST') return 'not a POST';
  if (body.length && !/^application\/x-www-form-urlencoded\b/.test(req.headers['content-type'] ?? '')) {
    return 'Content-Type is no form';
  }
  // the gateway has to know how to decode the body before it reads it
  if (!/[?&]charset=utf-8(&|$)/i.test(req.url)) return 'no charset=utf-8 in the query';
  const { sign, ...signed } = params;
  if (params.sign_type !== 'RSA2' || params.version !== '1.0') return 'sign_type or version is wrong';
  if (!(Math.abs(Date.now() - beijing(params.timestamp)) < 600e3)) return 'timestamp is off, or not Beijing\'s';
  if (Object.values(params).includes('')) return 'an empty value';
  const text = Object.keys(signed).sort().map((k) => `${k}=${signed[k]}`).join('&');
  if (!/^[A-Za-z0-9+/]{342}==$/.test(sign ?? '') || !sdk.rsaCheck(text, sign)) return 'signature does not verify';
  const { app_cert_sn: app, alipay_root_cert_sn: root } = params;
  if (app !== undefined || root !== undefined) {
    if (app !== sdk.config.appCertSn) return 'app_cert_sn is not the SDK\'s';
    if (root !== sdk.config.alipayRootCertSn) return 'alipay_root_cert_sn is not the SDK\'s';
  }
  return checkAlipayBusiness(params);
}

function sameAlipayBytes(no, { app_auth_token: token, biz_content: text }) {
  const digest = crypto.createHash('sha256').update(`${token ?? ''}\n${text}`).digest('hex');
  const known = report.numbers[no];
  report.numbers[no] = { calls: (known?.calls ?? 0) + 1, digest };
  return known && known.digest !== digest ? `${no} was sent with other bytes before` : undefined;
}

// A transfer, or a question about one: only in certificate mode.
function checkAlipayTransfer(params, biz) {
  if (params.app_cert_sn === undefined) return 'a transfer without app_cert_sn';
  if (params.method === 'alipay.fund.trans.common.query') {
    return biz.order_id || biz.pay_fund_order_id || (biz.out_biz_no && biz.product_code && biz.biz_scene)
      ? undefined : 'a query that names no transfer';
  }
  if (typeof biz.out_biz_no !== 'string' || biz.out_biz_no.length > 64) return 'no usable out_biz_no';
  if (!/^(0|[1-9]\d*)\.\d\d$/.test(biz.trans_amount)) return 'trans_amount is no string of yuan';
  if (!biz.product_code || !biz.biz_scene || !biz.payee_info) return 'a transfer without a product, scene or payee';
  return sameAlipayBytes(`${params.app_id}/${biz.out_biz_no}`, params);
}

// What stands for a refund must never change, and must be what Alipay takes.
function checkAlipayBusiness(params) {
  const { app_id: app, method, biz_content: text } = params;
  let biz;
  try {
    biz = JSON.parse(text);
  } catch {
    return 'biz_content is not JSON';
  }
  if (method?.startsWith('alipay.fund.trans.')) return checkAlipayTransfer(params, biz);
  if (typeof biz.out_request_no !== 'string' || biz.out_request_no.length > 64) return 'no usable out_request_no';
  if (!biz.trade_no && !biz.out_trade_no) return 'no trade';
  if (method !== 'alipay.trade.refund') return undefined;
  if (!/^(0|[1-9]\d*)\.\d\d$/.test(biz.refund_amount)) return 'refund_amount is no string of yuan';
  return sameAlipayBytes(`${app}/${biz.trade_no ?? biz.out_trade_no}/${biz.out_request_no}`, params);
}

// Sign it again with the SDK, from what is on the wire, and compare.
function checkAliyun(req, body) {
  const m = /^ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]{64})$/
    .exec(req.headers.authorization ?? '');
  if (!m) return 'no well-formed Authorization';
  const [, id, list] = m;
  if (id !== smsKey.id) return 'unknown access key';
  const url = new URL(req.url, 'http://localhost');
  const hash = crypto.createHash('sha256').update(body).digest('hex');
  if (req.headers['x-acs-content-sha256'] !== hash) return 'x-acs-content-sha256 is not the body\'s';
  const age = Date.now() - Date.parse(req.headers['x-acs-date'] ?? '');
  if (!(Math.abs(age) < 15 * 60 * 1000)) return 'x-acs-date is off';
  if (nonces.has(req.headers['x-acs-signature-nonce'])) return 'nonce used twice';
  nonces.add(req.headers['x-acs-signature-nonce']);
  const headers = {};
  for (const [k, v] of Object.entries(req.headers)) {
    if (k === 'host' || k === 'content-type' || k.startsWith('x-acs-')) headers[k] = v;
  }
  const signed = OpenApiUtil.getAuthorization(
    { pathname: url.pathname, method: req.method, query: Object.fromEntries(url.searchParams), headers },
    'ACS3-HMAC-SHA256', hash, smsKey.id, smsKey.secret,
  );
  if (signed !== req.headers.authorization) {
    return signed.includes(`SignedHeaders=${list},`) ? 'signature differs from the SDK\'s'
      : 'other headers are signed than the SDK signs';
  }
  return undefined;
}

function note(kind, req, problems) {
  const problem = problems.find((p) => p);
  report[kind] += 1;
  if (problem) {
    report.bad += 1;
    // never the query: it carries phone numbers
    report.problems.push(`${req.method} ${req.url.split('?')[0]}: ${problem}`);
  } else report.verified += 1;
}

async function check(req, body) {
  if (req.url.startsWith('/v3/')) note('wechat', req, [checkWechat(req, body), checkSameBytes(req, body)]);
  else if (req.url.split('?')[0] === '/gateway.do') note('alipay', req, [checkAlipay(req, body)]);
  else if (req.url.startsWith('/v1/')) note('stripe', req, [await stripe.check(req, body)]);
  else if (req.headers['x-acs-action']) note('aliyun', req, [checkAliyun(req, body)]);
  else report.other += 1;
}

// rawHeaders keeps order and case; the Host stays the one that was signed.
function forward(req, body, res) {
  const out = http.request({
    ...target, method: req.method, path: req.url, headers: req.rawHeaders, setHost: false,
  }, (answer) => {
    res.writeHead(answer.statusCode, answer.rawHeaders);
    answer.pipe(res);
    answer.on('error', () => res.destroy());
  });
  // what the sandbox resets is reset
  out.on('error', () => req.socket.resetAndDestroy());
  res.on('close', () => { if (!res.writableFinished) out.destroy(); });
  out.end(body);
}

const server = http.createServer(async (req, res) => {
  const chunks = [];
  try {
    for await (const c of req) chunks.push(c);
  } catch {
    return;
  }
  const body = Buffer.concat(chunks);
  await check(req, body);
  forward(req, body, res);
});
server.listen(Number(args.port), '127.0.0.1', () => console.log(`listening ${server.address().port}`));

function finish() {
  const text = JSON.stringify({ ...report, numbers: Object.keys(report.numbers).length });
  console.log(text);
  if (args.report) fs.writeFileSync(args.report, `${text}\n`);
  process.exit(report.bad === 0 && report.verified > 0 ? 0 : 1);
}
process.on('SIGTERM', finish);
process.on('SIGINT', finish);
