// What the Alipay tests share: alipay-sdk as a client of a sandbox, and a
// receiver that verifies notifications with the SDK's own code.
//
// The SDK writes time stamps in the process's own zone, and Alipay reads them
// as Beijing's.  So does the sandbox; whoever imports this lives in Beijing.
import './file_global.mjs';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { AlipaySdk } from 'alipay-sdk';

process.env.TZ = 'Asia/Shanghai';

// mode: key (public-key mode) or cert; `changes` are the SDK's own options.
export function alipayClient(s, mode = 'key', changes = {}, app = '') {
  const c = s.json(`channel-alipay${mode === 'cert' ? '-cert' : ''}${app}.json`);
  const file = (name) => path.join(s.dir, 'keys', name);
  return new AlipaySdk({
    appId: c.app_id,
    keyType: 'PKCS8',
    privateKey: s.key(c.private_key).toString(),
    gateway: `${s.url}/gateway.do`,
    timeout: 4000,
    ...(mode === 'cert' ? {
      appCertPath: file(c.app_certificate),
      alipayPublicCertPath: file(c.alipay_certificates[0]),
      alipayRootCertPath: file(c.root_certificate),
    } : { alipayPublicKey: s.key(c.alipay_public_key).toString() }),
    ...changes,
  });
}

// One signed call as the SDK makes it, sent with fetch, so that a test can
// change what is sent and see the raw answer.
export async function rawCall(s, client, method, biz, change = {}) {
  const { common = {}, after = (p) => p, charsetInQuery = false } = change;
  const signed = client.sdkExecute(method, { ...common, bizContent: biz });
  const params = after(new URLSearchParams(signed));
  const query = charsetInQuery ? `?charset=${params.get('charset')}` : '';
  if (charsetInQuery) params.delete('charset');
  const res = await fetch(`${s.url}/gateway.do${query}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded;charset=utf-8' },
    body: params.toString(),
  });
  const text = await res.text();
  return { status: res.status, text, headers: res.headers };
}

// A form as an HTTP server sees it: decoded once, nothing lost.
export const formOf = (body) => Object.fromEntries(new URLSearchParams(body));

// Is it a notification that the SDK believes?  alipay_cert_sn is no part of
// what was signed; about empty values implementations disagree.
export function notifyVerifies(sdk, params) {
  const { alipay_cert_sn: sn, ...signed } = params;
  if (sdk.checkNotifySignV2(signed)) return true;
  const full = Object.fromEntries(Object.entries(signed).filter(([, v]) => v !== ''));
  return sdk.checkNotifySignV2(full);
}

export class AlipayReceiver {
  constructor(sdk, reply = () => 'success') {
    this.sdk = sdk;
    this.reply = reply;
    this.good = [];
    this.bad = [];
    this.server = http.createServer((req, res) => this.receive(req, res));
  }

  async start() {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.url = `http://127.0.0.1:${this.server.address().port}/v1/alipay`;
    return this;
  }

  async receive(req, res) {
    const chunks = [];
    for await (const c of req) chunks.push(c);
    const body = Buffer.concat(chunks).toString('utf8');
    const params = formOf(body);
    const seen = { headers: req.headers, body, params, at: Date.now() };
    if (!notifyVerifies(this.sdk, params)) {
      this.bad.push(seen);
      res.end('fail');
      return;
    }
    this.good.push(seen);
    res.end(await this.reply(seen, this.good.length));
  }

  of(no) { return this.good.filter((c) => c.params.out_biz_no === no); }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

// A transfer to an account, or with CARD to a bank card.
export const CARD = {
  product_code: 'TRANS_BANKCARD_NO_PWD',
  payee_info: {
    identity: '6217850000000000000',
    identity_type: 'BANKCARD_ACCOUNT',
    name: '黄龙国际有限公司',
    bankcard_ext_info: { inst_name: '招商银行', account_type: '1' },
  },
};

export function transferBiz(no, fen, extra = {}) {
  return {
    out_biz_no: no,
    trans_amount: (fen / 100).toFixed(2),
    product_code: 'TRANS_ACCOUNT_NO_PWD',
    biz_scene: 'DIRECT_TRANSFER',
    order_title: '十月提现 100%',
    payee_info: { identity: '2088123412341234', identity_type: 'ALIPAY_USER_ID', name: '黄龙' },
    business_params: '{"payer_show_name_use_alias":"true"}',
    ...extra,
  };
}

let serial = 0;

// A trade of its own for each refund, unless `extra` names one.
export function refundBiz(no, fen, extra = {}) {
  serial += 1;
  return {
    trade_no: `2026112722001${String(serial).padStart(15, '0')}`,
    out_request_no: no,
    refund_amount: (fen / 100).toFixed(2),
    refund_reason: '商品已售完/a b+c%',
    ...extra,
  };
}
