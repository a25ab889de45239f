#!/usr/bin/env node
// A recorder to stand between the extension and the sandbox.
//
//   verify_wire.mjs --sandbox DIR [--port N] [--report FILE]
//
// It forwards every request, byte for byte, and checks its signature with
// code that is neither the extension's nor the sandbox's: WeChat Pay's with
// wechatpay-axios-plugin's primitives, Alibaba Cloud's by signing it again
// with the SDK's own signer.  It prints "listening PORT" when it is ready.
// On SIGTERM or SIGINT it prints a JSON report, also into FILE, and exits
// with 0 if it has verified something and found nothing bad, else with 1.
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import wechatpay from 'wechatpay-axios-plugin';
import openapi from '@alicloud/openapi-core';

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
}]));
const smsKey = {
  id: json('sms.json').access_key_id,
  secret: fs.readFileSync(at('keys', 'sms_access_key'), 'utf8'),
};
const target = { host: '127.0.0.1', port: Number(fs.readFileSync(at('port'), 'utf8')) };

const report = { verified: 0, bad: 0, wechat: 0, aliyun: 0, other: 0, numbers: {}, problems: [] };

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
  return undefined;
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
  const no = call.out_refund_no;
  if (typeof no !== 'string') return undefined;
  const digest = crypto.createHash('sha256').update(body).digest('hex');
  const known = report.numbers[no];
  report.numbers[no] = { calls: (known?.calls ?? 0) + 1, digest };
  return known && known.digest !== digest ? `${no} was sent with other bytes before` : undefined;
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

function check(req, body) {
  if (req.url.startsWith('/v3/')) note('wechat', req, [checkWechat(req, body), checkSameBytes(req, body)]);
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
  check(req, body);
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
