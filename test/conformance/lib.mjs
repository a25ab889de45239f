// What the conformance tests share: a sandbox of their own, a receiver for
// its callbacks, and waiting with a deadline.
import { spawn, execFile } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import wechatpay from 'wechatpay-axios-plugin';

const { Wechatpay, Rsa, Aes, Formatter } = wechatpay;
const BINARY = process.env.SANDBOX
  ?? new URL('../../build/refundx-sandbox', import.meta.url).pathname;
const execFileP = promisify(execFile);

// Until fn gives something truthy; its last value is in the error.
export async function eventually(what, fn, ms = 60000) {
  const end = Date.now() + ms;
  let last;
  while (Date.now() < end) {
    last = await fn();
    if (last) return last;
    await new Promise((r) => setTimeout(r, 20));
  }
  throw new Error(`gave up waiting for ${what}; last seen: ${JSON.stringify(last)}`);
}

export class Sandbox {
  // `more` is init's own options, e.g. --app-id N.
  constructor(mchids = ['1900000100'], ...more) {
    this.root = fs.mkdtempSync(path.join(os.tmpdir(), 'refundx-conformance-'));
    this.dir = path.join(this.root, 'data');
    this.mchids = mchids;
    this.more = more;
  }

  // The first call also makes the keys.  Later ones restart, with the same port.
  async start(...options) {
    if (!fs.existsSync(this.dir)) {
      await execFileP(BINARY, ['init', '--data', this.dir,
        ...this.mchids.flatMap((m) => ['--mchid', m]), ...this.more]);
    }
    fs.rmSync(path.join(this.dir, 'port'), { force: true });
    this.child = spawn(BINARY, ['serve', '--data', this.dir,
      ...(this.port ? ['--port', String(this.port)] : []), ...options],
      { stdio: ['ignore', 'ignore', 'inherit'] });
    const exited = once(this.child, 'exit');
    this.exited = exited;
    await eventually('the sandbox to serve', () => {
      if (this.child.exitCode !== null) throw new Error('the sandbox did not start');
      return fs.existsSync(path.join(this.dir, 'port'));
    });
    this.port = Number(this.read('port'));
    this.url = `http://127.0.0.1:${this.port}`;
    return this;
  }

  // Returns [exit code, signal].
  async stop(signal = 'SIGTERM') {
    if (!this.child) return null;
    this.child.kill(signal);
    const how = await this.exited;
    this.child = null;
    return how;
  }

  async remove() {
    await this.stop();
    fs.rmSync(this.root, { recursive: true, force: true });
  }

  read(name) { return fs.readFileSync(path.join(this.dir, name), 'utf8'); }

  json(name) { return JSON.parse(this.read(name)); }

  key(name) { return fs.readFileSync(path.join(this.dir, 'keys', name)); }

  async ctl(...args) {
    const { stdout } = await execFileP(BINARY, ['ctl', '--data', this.dir, ...args],
      { maxBuffer: 1 << 28 });
    return JSON.parse(stdout);
  }

  // The ledger from the file, without a server.
  async offline() {
    const { stdout } = await execFileP(BINARY, ['ledger', '--data', this.dir],
      { maxBuffer: 1 << 28 });
    return JSON.parse(stdout);
  }

  // The clock that business times and bills go by, in ms.
  async businessNow() { return (await this.ctl('stats')).clock.business_ms; }

  async refund(no) { return (await this.ctl('show', no)).refunds[0]; }

  async transfer(no) { return (await this.ctl('show', no)).transfers[0]; }

  merchant(name = 'channel.json') {
    const c = this.json(name);
    const certs = {};
    for (const [serial, file] of Object.entries(c.wechat_keys)) certs[serial] = this.key(file);
    return {
      mchid: c.mchid,
      serial: c.merchant_serial,
      privateKey: this.key(c.private_key),
      apiv3: this.key(c.apiv3_key),
      certs,
      pubKeyId: c.use_key,
      platformSerial: Object.keys(c.wechat_keys).find((k) => !k.startsWith('PUB_KEY_ID_')),
    };
  }

  // The SDK as a client of this sandbox; `which` chooses the answers' key.
  client(which = 'pub', m = this.merchant()) {
    return new Wechatpay({
      mchid: m.mchid,
      serial: m.serial,
      privateKey: m.privateKey,
      certs: { ...m.certs },
      baseURL: `${this.url}/`,
      headers: { 'Wechatpay-Serial': which === 'pub' ? m.pubKeyId : m.platformSerial },
      timeout: 8000,
    });
  }
}

// An HTTP server that verifies and decrypts callbacks with the SDK's own code,
// the way its documentation tells a merchant to.
export class Receiver {
  constructor(merchant, status = () => 204) {
    this.merchant = merchant;
    this.status = status;
    this.good = [];
    this.bad = [];
    this.server = http.createServer((req, res) => this.receive(req, res));
  }

  async start() {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.url = `http://127.0.0.1:${this.server.address().port}/v1/shop`;
    return this;
  }

  async receive(req, res) {
    const chunks = [];
    for await (const c of req) chunks.push(c);
    const body = Buffer.concat(chunks).toString('utf8');
    const h = req.headers;
    const key = this.merchant.certs[h['wechatpay-serial']];
    const seen = { headers: h, body, at: Date.now() };
    const ok = key !== undefined
      && Math.abs(Formatter.timestamp() - Number(h['wechatpay-timestamp'])) <= 300
      && Rsa.verify(Formatter.response(h['wechatpay-timestamp'], h['wechatpay-nonce'], body),
        h['wechatpay-signature'], Rsa.from(key, Rsa.KEY_TYPE_PUBLIC));
    if (!ok) {
      this.bad.push(seen);
      res.writeHead(401, { 'Content-Type': 'application/json' });
      res.end('{"code":"FAIL","message":"signature"}');
      return;
    }
    seen.event = JSON.parse(body);
    const { ciphertext, nonce, associated_data: aad } = seen.event.resource;
    seen.content = JSON.parse(Aes.AesGcm.decrypt(ciphertext, this.merchant.apiv3, nonce, aad));
    this.good.push(seen);
    const status = await this.status(seen, this.good.length);
    res.writeHead(status);
    res.end();
  }

  of(no) { return this.good.filter((c) => c.content.out_refund_no === no); }

  ofTransfer(no) { return this.good.filter((c) => c.content.out_bill_no === no); }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

export function refundBody(no, fen, extra = {}) {
  return {
    transaction_id: `4200001${String(no).padStart(21, '0').slice(-21)}`.replace(/[^0-9]/g, '7'),
    out_refund_no: no,
    reason: '商品已售完',
    amount: { refund: fen, total: Math.max(fen, 100000), currency: 'CNY' },
    ...extra,
  };
}

// A transfer at WeChat Pay; numbers have letters and digits only.
export function transferBody(no, fen, extra = {}) {
  return {
    appid: 'wxf636efh567hg4356',
    out_bill_no: no,
    transfer_scene_id: '1005',
    openid: 'o-MYE42l80oelYMDE34nYD456Xoy',
    transfer_amount: fen,
    transfer_remark: '十月提现',
    transfer_scene_report_infos: [
      { info_type: '岗位类型', info_content: '外卖员' },
      { info_type: '报酬说明', info_content: '高温补贴' },
    ],
    ...extra,
  };
}

// The error an SDK call ends in; fails if it does not.
export async function failure(promise) {
  try {
    await promise;
  } catch (e) {
    return e;
  }
  throw new Error('the call should have failed');
}
