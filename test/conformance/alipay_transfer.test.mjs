// Transfers at Alipay: alipay-sdk in certificate mode as an app's client, and as
// the receiver of messages, against the sandbox.
import assert from 'node:assert/strict';
import { test, before, after } from 'node:test';
import { AlipayReceiver, CARD, alipayClient, notifyVerifies, rawCall, transferBiz } from './alipay.mjs';
import { Sandbox, failure, eventually } from './lib.mjs';

const APP = '2021000000000001';
const TRANSFER = 'alipay.fund.trans.uni.transfer';
const QUERY = 'alipay.fund.trans.common.query';
const NODE = 'alipay_fund_trans_uni_transfer_response';
const HOUR = 3600;
const DAY = 86400;
let sandbox;
let receiver;
let client;

before(async () => {
  sandbox = await new Sandbox().start('--speed', '100', '--callback-delay-ms', '50', '--hold-ms', '1500',
    '--not-found-ms', '200000');
  client = alipayClient(sandbox, 'cert');
  receiver = await new AlipayReceiver(client).start();
  await sandbox.ctl('gateway-url', APP, receiver.url);
});

after(async () => {
  receiver?.stop();
  await sandbox?.remove();
});

const call = (method, bizContent, c = client, more = {}) =>
  c.exec(method, { bizContent, ...more }, { validateSign: true });
const create = (biz, c, more) => call(TRANSFER, biz, c, more);
const query = (biz, c) => call(QUERY, {
  out_biz_no: biz.out_biz_no, product_code: biz.product_code, biz_scene: biz.biz_scene }, c);
const toCard = (no, fen, extra) => transferBiz(no, fen, { ...CARD, ...extra });
const row = (no, s = sandbox) => s.transfer(no);
const settled = (no, status, s = sandbox) => eventually(`${no} to be ${status}`,
  async () => (await row(no, s))?.status === status && row(no, s));
// Messages about a number: what each says.
const told = (no, r = receiver) => r.good.filter((c) => c.params.msg_method === 'alipay.fund.trans.order.changed')
  .map((c) => ({ ...JSON.parse(c.params.biz_content), params: c.params, at: c.at }))
  .filter((m) => m.out_biz_no === no);
const node = (raw) => {
  const body = JSON.parse(raw.text);
  return { ...(body[NODE] ?? body.error_response), sign: body.sign };
};
const refused = async (promise, code, sub, what) => {
  const res = await promise;
  assert.deepEqual([res.code, res.subCode], [code, sub], what);
  return res;
};

test('to an account: paid at once, told, found', async () => {
  const biz = transferBiz('A1', 123456);
  const res = await create(biz);
  assert.deepEqual([res.code, res.status, res.outBizNo], ['10000', 'SUCCESS', 'A1']);
  assert.match(res.orderId, /^\d{32}$/);
  assert.match(res.payFundOrderId, /^\d{32}$/);
  assert.notEqual(res.orderId, res.payFundOrderId);
  assert.match(res.transDate, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
  const found = await query(biz);
  assert.deepEqual([found.code, found.status, found.transAmount, found.orderId, found.outBizNo, found.payDate],
    ['10000', 'SUCCESS', '1234.56', res.orderId, 'A1', res.transDate]);
  const [message] = await eventually('the message', () => told('A1').length && told('A1'));
  const { params, at, ...content } = message;
  assert.deepEqual(content, { out_biz_no: 'A1', product_code: 'TRANS_ACCOUNT_NO_PWD', biz_scene: 'DIRECT_TRANSFER',
    origin_interface: TRANSFER, order_id: res.orderId, pay_fund_order_id: res.payFundOrderId,
    status: 'SUCCESS', action_type: 'FINISH', trans_amount: '1234.56', pay_date: found.payDate });
  assert.deepEqual([params.app_id, params.version, params.msg_type, params.charset, params.sign_type],
    [APP, '1.1', 'sys', 'utf-8', 'RSA2']);
  assert.match(params.utc_timestamp, /^\d{13}$/);
  assert.ok(params.notify_id);
  const entry = await row('A1');
  assert.deepEqual([entry.type, entry.channel, entry.payee, entry.paid_times, entry.paid_out, entry.bounced, entry.net],
    ['transfer', 'alipay', 'account', 1, 123456, 0, 123456]);
});

test('a message is signed with its sign_type', async () => {
  const [{ params }] = told('A1');
  const { sign, alipay_cert_sn: sn, ...rest } = params;
  const text = (p) => Object.keys(p).sort().map((k) => `${k}=${p[k]}`).join('&');
  assert.equal(client.rsaCheck(text(rest), sign), true);
  const { sign_type: type, ...without } = rest;
  assert.equal(client.rsaCheck(text(without), sign), false);
  assert.equal(sn, client.config.alipayCertSn);
  assert.equal(notifyVerifies(client, params), true);
  assert.equal(notifyVerifies(client, { ...params, biz_content: params.biz_content.replace('1234.56', '1234.57') }), false);
});

test('to a card: DEALING, then SUCCESS; one message', async () => {
  const biz = toCard('B1', 5000);
  const res = await create(biz);
  assert.equal(res.status, 'DEALING');
  await settled('B1', 'SUCCESS');
  const found = await query(biz);
  assert.deepEqual([found.status, found.errorCode], ['SUCCESS', undefined]);
  await eventually('the message', () => told('B1').length === 1);
  assert.deepEqual([told('B1')[0].status, told('B1')[0].product_code], ['SUCCESS', 'TRANS_BANKCARD_NO_PWD']);
  assert.equal((await row('B1')).payee, 'card');
});

test('queries by each of the three numbers', async () => {
  const biz = transferBiz('Q1', 100);
  const res = await create(biz);
  for (const by of [{ order_id: res.orderId }, { pay_fund_order_id: res.payFundOrderId },
    { order_id: 'of nobody', pay_fund_order_id: res.payFundOrderId }, { out_biz_no: 'of nobody', order_id: res.orderId }]) {
    assert.equal((await call(QUERY, by)).outBizNo, 'Q1', JSON.stringify(by));
  }
  const missing = [{ out_biz_no: 'Q1' }, { out_biz_no: 'Q1', product_code: biz.product_code },
    { out_biz_no: 'Q1', biz_scene: biz.biz_scene }, {}, { out_biz_no: 1, product_code: 'a', biz_scene: 'b' }];
  for (const by of missing) await refused(call(QUERY, by), '40004', 'INVALID_PARAMETER', JSON.stringify(by));
  const none = [{ order_id: '20261127110070000000000000000000' }, { pay_fund_order_id: res.orderId }, { pay_fund_order_id: 'x' },
    { ...biz, out_biz_no: 'Q2' }, { ...biz, product_code: 'TRANS_BANKCARD_NO_PWD' }];
  for (const by of none) await refused(call(QUERY, by), '40004', 'ORDER_NOT_EXIST', JSON.stringify(by));
});

test('in public-key mode: isv.missing-app-cert-sn, and no effect', async () => {
  const c = alipayClient(sandbox, 'key');
  await refused(create(transferBiz('KEY1', 100), c), '40001', 'isv.missing-app-cert-sn');
  await refused(query(transferBiz('A1', 100), c), '40001', 'isv.missing-app-cert-sn');
  assert.equal(await row('KEY1'), undefined);
});

test('business parameters that the documents forbid are refused', async () => {
  const payee = (change) => ({ payee_info: { ...transferBiz('x', 1).payee_info, ...change } });
  const card = (change) => ({ ...CARD, payee_info: { ...CARD.payee_info, ...change } });
  const bad = {
    'no number': { out_biz_no: undefined },
    'number too long': { out_biz_no: 'x'.repeat(65) },
    'amount a number': { trans_amount: 1.5 },
    'no amount': { trans_amount: undefined },
    'nine fen': { trans_amount: '0.09' },
    'too much': { trans_amount: '100000000.01' },
    'three decimals': { trans_amount: '1.005' },
    'no product': { product_code: undefined },
    'no scene': { biz_scene: undefined },
    'another scene': { biz_scene: 'PERSONAL_COLLECTION' },
    'no title': { order_title: undefined },
    'title too long': { order_title: '题'.repeat(129) },
    'remark too long': { remark: '备'.repeat(201) },
    'params no JSON': { business_params: '{' },
    'params an object': { business_params: {} },
    'no payee': { payee_info: undefined },
    'payee a string': { payee_info: '2088123412341234' },
    'no identity': payee({ identity: undefined }),
    'identity of another kind': payee({ identity: '13900000000' }),
    'unknown kind': payee({ identity_type: 'PASSPORT' }),
    'a card to the account product': payee({ identity_type: 'BANKCARD_ACCOUNT' }),
    'login without a name': payee({ identity: 'a@b.example', identity_type: 'ALIPAY_LOGON_ID', name: undefined }),
    'an account to the card product': { ...CARD, payee_info: transferBiz('x', 1).payee_info },
    'card without a name': card({ name: undefined }),
    'card without its bank': card({ bankcard_ext_info: undefined }),
    'card of no type': card({ bankcard_ext_info: { inst_name: '招商银行' } }),
    'card of an unknown type': card({ bankcard_ext_info: { inst_name: '招商银行', account_type: '3' } }),
    'company without its bank\'s name': card({ bankcard_ext_info: { account_type: '1' } }),
    'unknown scene name': { transfer_scene_name: '赌博' },
    'reports no list': { transfer_scene_name: '佣金报酬', transfer_scene_report_infos: {} },
  };
  for (const [what, change] of Object.entries(bad)) {
    await refused(create(transferBiz('BAD1', 100, change)), '40004', 'INVALID_PARAMETER', what);
  }
  await refused(create(transferBiz('BAD1', 100, { product_code: 'STD_RED_PACKET' })), '40004', 'PRODUCT_NOT_SIGN');
  await refused(create(transferBiz('BAD1', 5000000)), '40004', 'MEMO_REQUIRED_IN_TRANSFER_ERROR');
  assert.equal(await row('BAD1'), undefined);
  const good = {
    'ten fen': { trans_amount: '0.10' },
    'a whole number of yuan': { trans_amount: '7' },
    'a remark from 50000.00 on': { trans_amount: '50000.00', remark: '十一月' },
    'login': payee({ identity: 'a@b.example', identity_type: 'ALIPAY_LOGON_ID' }),
    'open id': payee({ identity: '074a1CcTG1LelxKe4xQC0zgNdId0nxi95b5lsNpazWYoCo5', identity_type: 'ALIPAY_OPEN_ID' }),
    'a private card': card({ bankcard_ext_info: { account_type: '2' } }),
    'a scene': { transfer_scene_name: '佣金报酬', transfer_scene_report_infos: [{ info_type: '佣金报酬说明', info_content: '十月' }] },
    'title of 128 characters': { order_title: '题'.repeat(128) },
  };
  let i = 0;
  for (const [what, change] of Object.entries(good)) {
    i += 1;
    assert.equal((await create(transferBiz(`GOOD${i}`, 100, change))).code, '10000', what);
  }
});

test('the same number and parameters: the same transfer; others: PAYMENT_INFO_INCONSISTENCY', async () => {
  const biz = transferBiz('SAME1', 700);
  const one = await create(biz);
  const two = await create(Object.fromEntries(Object.entries(biz).reverse()));
  assert.deepEqual([two.status, two.orderId, two.transDate], ['SUCCESS', one.orderId, one.transDate]);
  for (const change of [{ trans_amount: '7.01' }, { order_title: 'x' }, { remark: 'x' }, CARD]) {
    await refused(create({ ...biz, ...change }), '40004', 'PAYMENT_INFO_INCONSISTENCY', JSON.stringify(change));
  }
  const entry = await row('SAME1');
  assert.deepEqual([entry.amount, entry.paid_times, entry.calls_since_start], [700, 1, 6]);
});

// ---- outcomes by amount ----

// [fen, code, sub_code, was it accepted by then, for good]
const errors = [
  [9001, '40004', 'PAYEE_NOT_EXIST', false, true],
  [9007, '40004', 'SYSTEM_ERROR', true],
  [9010, '40005', 'isv.app-call-limited', false],
  [9015, '40002', 'isv.invalid-signature', false],
  [9022, '20000', 'isp.unknow-error', false],
  [9115, '40004', 'NOBODY_KNOWS_THIS', false],
  [9308, '40004', 'PAYEE_CARD_INFO_ERROR', false, true],
  [9314, '40004', 'SYSTEM_ERROR', false],
  [9315, '40004', 'REQUEST_PROCESSING', true],
  [9318, '40004', 'EXCEED_LIMIT_SM_AMOUNT', false, true],
  [9319, '40004', 'PRODUCT_NOT_SIGN', false],
  [9320, '40004', 'PAYMENT_TIME_EXPIRE', false, true],
];
for (const [fen, code, sub, effect, always] of errors) {
  test(`${fen}: ${code} ${sub}, ${effect ? 'after' : 'without'} the effect`, async () => {
    for (const biz of [transferBiz(`E${fen}`, fen), toCard(`EC${fen}`, fen)]) {
      await refused(create(biz), code, sub);
      assert.equal((await row(biz.out_biz_no)) !== undefined, effect);
      if (always) {
        await refused(create(biz), code, sub);
        await refused(query(biz), '40004', 'ORDER_NOT_EXIST');
      } else {
        assert.equal((await create(biz)).code, '10000');
        assert.equal((await settled(biz.out_biz_no, 'SUCCESS')).paid_times, 1);
      }
    }
  });
}

for (const [fen, effect] of [[9002, true], [9003, false], [9020, false], [9021, true], [9116, false]]) {
  test(`${fen}: no answer of the gateway, ${effect ? 'after' : 'before'} the effect`, async () => {
    const biz = toCard(`E${fen}`, fen);
    // not with the SDK: its HTTP client repeats by itself what was reset
    if (fen === 9116) assert.equal((await rawCall(sandbox, client, TRANSFER, biz)).status, 503);
    else await failure(rawCall(sandbox, client, TRANSFER, biz));
    assert.equal((await row(biz.out_biz_no)) !== undefined, effect);
    assert.equal((await create(biz)).code, '10000');
    assert.equal((await settled(biz.out_biz_no, 'SUCCESS')).paid_times, 1);
  });
}

test('9005: five messages of one event', async () => {
  await create(transferBiz('E9005', 9005));
  await eventually('five', () => told('E9005').length === 5);
  assert.equal(new Set(told('E9005').map((m) => m.params.notify_id)).size, 1);
});

test('9006: the message comes before the answer', async () => {
  let answered = false;
  receiver.reply = (c) => {
    if (/E9006/.test(c.params.biz_content)) assert.equal(answered, false);
    return 'success';
  };
  for (const [biz, status] of [[transferBiz('E9006', 9006), 'SUCCESS'], [toCard('E9006C', 9006), 'DEALING']]) {
    answered = false;
    assert.equal((await create(biz)).status, status);
    answered = true;
    assert.deepEqual(told(biz.out_biz_no).map((m) => m.status), ['SUCCESS']);
  }
  receiver.reply = () => 'success';
});

test('9008: an answer with a wrong signature is caught by the SDK', async () => {
  const biz = transferBiz('E9008', 9008);
  assert.match((await failure(create(biz))).message, /验签失败/);
  assert.equal((await row('E9008')).paid_times, 1);
  assert.equal((await create(biz)).status, 'SUCCESS');
});

test('9009: not enough until the balance is changed', async () => {
  const biz = transferBiz('E9009', 9009);
  for (let i = 0; i < 2; i++) await refused(create(biz), '40004', 'PAYER_BALANCE_NOT_ENOUGH');
  await sandbox.ctl('topup', APP);
  await refused(create(biz), '40004', 'PAYER_BALANCE_NOT_ENOUGH', 'that is the other account');
  await sandbox.ctl('balance', APP, 'unlimited');
  assert.equal((await create(biz)).status, 'SUCCESS');
});

test('the balance: too little is refused, and what bounces comes back', async () => {
  const balance = async () => (await sandbox.ctl('stats')).merchants[APP].balance;
  await sandbox.ctl('balance', APP, '10000');
  await create(toCard('BAL1', 6000));
  await refused(create(transferBiz('BAL2', 4001)), '40004', 'PAYER_BALANCE_NOT_ENOUGH');
  assert.equal(await row('BAL2'), undefined);
  assert.equal(await balance(), 4000);
  await settled('BAL1', 'SUCCESS');
  await sandbox.ctl('bounce', 'BAL1');
  assert.equal(await balance(), 10000);
  assert.equal((await create(transferBiz('BAL2', 4001))).status, 'SUCCESS');
  await sandbox.ctl('balance', APP, 'unlimited');
});

test('9011: FAIL at once, or from a card later', async () => {
  const biz = transferBiz('E9011', 9011);
  const res = await create(biz);
  assert.deepEqual([res.code, res.status], ['10000', 'FAIL']);
  assert.equal((await create(biz)).status, 'FAIL', 'and that stays so');
  const card = toCard('E9011C', 9011);
  assert.equal((await create(card)).status, 'DEALING');
  assert.equal((await settled('E9011C', 'FAIL')).net, 0);
  const found = await query(card);
  assert.deepEqual([found.status, found.errorCode, found.payDate], ['FAIL', 'PAYEE_CARD_INFO_ERROR', undefined]);
  assert.ok(found.failReason);
  await eventually('both messages', () => told('E9011').length && told('E9011C').length);
  for (const [m] of [told('E9011'), told('E9011C')]) {
    assert.deepEqual([m.status, m.action_type, m.pay_fund_order_id], ['FAIL', 'FINISH', undefined]);
    assert.ok(m.sub_order_error_code);
  }
});

test('9012: accepted, not found, then found', async () => {
  const biz = transferBiz('E9012', 9012);
  await refused(create(biz), '20000', 'isp.unknow-error');
  assert.equal((await row('E9012')).paid_times, 1);
  await refused(query(biz), '40004', 'ORDER_NOT_EXIST');
  await sandbox.ctl('advance', '200');
  assert.equal((await query(biz)).status, 'SUCCESS');
});

test('9013: never a message, until somebody asks for one; 9309: an hour late', async () => {
  await create(transferBiz('E9013', 9013));
  await create(transferBiz('E9309', 9309));
  await create(toCard('E9309C', 9309));
  await settled('E9309C', 'SUCCESS');
  await create(transferBiz('AFTER1', 100));
  await eventually('a later one', () => told('AFTER1').length === 1);
  assert.deepEqual([told('E9309').length, told('E9309C').length], [0, 0]);
  await sandbox.ctl('advance', String(HOUR + 5));
  await eventually('the late ones', () => told('E9309').length === 1 && told('E9309C').length === 1);
  assert.equal(told('E9013').length, 0);
  await sandbox.ctl('callback', 'E9013', '2');
  await eventually('both', () => told('E9013').length === 2);
});

test('9014: a forged message, then the true one', async () => {
  const before = receiver.bad.length;
  await create(transferBiz('E9014', 9014));
  await eventually('the true one', () => told('E9014').length === 1);
  assert.equal(receiver.bad.length, before + 1);
  assert.equal(receiver.bad[before].params.notify_id, told('E9014')[0].params.notify_id);
});

test('9016: SUCCESS at once, to a card too; 9302: DEALING for an hour', async () => {
  assert.equal((await create(toCard('E9016', 9016))).status, 'SUCCESS');
  const biz = toCard('E9302', 9302);
  assert.equal((await create(biz)).status, 'DEALING');
  assert.equal((await create(transferBiz('E9302A', 9302))).status, 'SUCCESS');
  await eventually('something else', () => told('E9302A').length === 1);
  assert.deepEqual([(await query(biz)).status, (await create(biz)).status], ['DEALING', 'DEALING']);
  await sandbox.ctl('advance', String(HOUR));
  await settled('E9302', 'SUCCESS');
});

for (const [fen, effect] of [[9018, true], [9019, false]]) {
  test(`${fen}: held until released, effect ${effect ? 'before' : 'after'}`, async () => {
    const no = `E${fen}`;
    const pending = create(transferBiz(no, fen));
    await eventually('it to be held', async () => (await sandbox.ctl('stats')).held === 1);
    assert.equal((await row(no)) !== undefined, effect);
    assert.deepEqual(await sandbox.ctl('release', no), { ok: true, released: 1 });
    assert.equal((await pending).status, 'SUCCESS');
    assert.equal((await row(no)).paid_times, 1);
  });
}

test('9023: bytes that are no JSON', async () => {
  await failure(create(transferBiz('E9023', 9023)));
  assert.equal((await row('E9023')).paid_times, 1);
});

for (const [fen, expected] of [[9102, '40004'], [9111, '10000']]) {
  test(`${fen}: an unsigned ${expected} without effect, then the truth`, async () => {
    const biz = transferBiz(`E${fen}`, fen);
    const raw = node(await rawCall(sandbox, client, TRANSFER, biz));
    assert.deepEqual([raw.code, raw.sign], [expected, undefined]);
    assert.equal(await row(biz.out_biz_no), undefined);
    assert.equal((await create(biz)).status, 'SUCCESS');
  });
}

test('9103, 9109: escaped slashes, signed as sent, or as if they were not escaped', async () => {
  for (const [fen, asSent] of [[9103, true], [9109, false]]) {
    const raw = await rawCall(sandbox, client, TRANSFER, transferBiz(`E${fen}`, fen));
    const { sign } = JSON.parse(raw.text);
    assert.match(raw.text, /\\\//);
    const check = (text) => client.checkResponseSign(text, NODE, sign, '');
    const plain = raw.text.replaceAll('\\/', '/');
    check(asSent ? raw.text : plain);
    assert.throws(() => check(asSent ? plain : raw.text), /验签失败/);
  }
});

test('9104: the node twice: signed is the error, the success is forged', async () => {
  const biz = transferBiz('E9104', 9104);
  const raw = await rawCall(sandbox, client, TRANSFER, biz);
  const { sign } = JSON.parse(raw.text);
  const nodes = [...raw.text.matchAll(new RegExp(`"${NODE}":(\\{[^}]*\\})`, 'g'))].map((m) => m[1]);
  assert.equal(nodes.length, 2);
  const good = nodes.filter((n) => client.rsaCheck(n, sign));
  assert.deepEqual([good.length, JSON.parse(good[0]).sub_code], [1, 'SYSTEM_ERROR']);
  assert.equal(JSON.parse(nodes.find((n) => n !== good[0])).status, 'SUCCESS');
  assert.equal(await row('E9104'), undefined);
  assert.equal((await create(biz)).status, 'SUCCESS');
});

test('9105, 9112, 9113: an unknown certificate, error_response, and an odd answer', async () => {
  const raw = JSON.parse((await rawCall(sandbox, client, TRANSFER, transferBiz('E9105', 9105))).text);
  assert.notEqual(raw.alipay_cert_sn, client.config.alipayCertSn);
  const error = await rawCall(sandbox, client, TRANSFER, transferBiz('E9112', 9112));
  assert.equal(node(error).code, '20000');
  client.checkResponseSign(error.text, 'error_response', JSON.parse(error.text).sign, '');
  const odd = await create(transferBiz('E9113', 9113));
  assert.deepEqual([odd.status, odd.oddText], ['SUCCESS', '"sign":"AAAA"} ] \\" { \\']);
  for (const no of ['E9105', 'E9112', 'E9113']) assert.equal((await row(no)).paid_times, 1, no);
});

test('9310: one of two messages is of another app, and of another amount', async () => {
  await create(transferBiz('E9310', 9310));
  await eventually('both', () => told('E9310').length === 2);
  assert.deepEqual(told('E9310').map((m) => [m.params.app_id, m.trans_amount]).sort(),
    [[APP, '93.10'], ['2021000000009999', '94.10']]);
});

test('9316, 9317: limits of a day and of a month', async () => {
  const s = await new Sandbox().start('--speed', '0.001');
  try {
    const c = alipayClient(s, 'cert');
    const day = transferBiz('DAY1', 9316);
    const month = transferBiz('MONTH1', 9317);
    // where the sandbox's clock is in Beijing, and how long its day and month last
    const now = new Date((await s.ctl('stats')).clock.now_ms + 8 * HOUR * 1000);
    const tomorrow = Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() + 1);
    const next = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1);
    const clock = async () => (await s.ctl('stats')).clock.now_ms + 8 * HOUR * 1000;
    const goTo = async (ms) => s.ctl('advance', String(Math.max(0, (ms - await clock()) / 1000)));
    await refused(create(day, c), '40004', 'EXCEED_LIMIT_DM_AMOUNT');
    await refused(create(month, c), '40004', 'EXCEED_LIMIT_MM_AMOUNT');
    await goTo(tomorrow - 5000);
    await refused(create(day, c), '40004', 'EXCEED_LIMIT_DM_AMOUNT');
    await goTo(tomorrow + 1000);
    assert.equal((await create(day, c)).status, 'SUCCESS');
    if (next > tomorrow) {
      await goTo(next - 5000);
      await refused(create(month, c), '40004', 'EXCEED_LIMIT_MM_AMOUNT');
    }
    await goTo(next + 1000);
    assert.equal((await create(month, c)).status, 'SUCCESS');
  } finally {
    await s.remove();
  }
});

// ---- what comes back (退票) ----

const bounced = (entry) => [entry.status, entry.paid_times, entry.bounced_times, entry.paid_out, entry.bounced, entry.net];

test('9311: SUCCESS, and then REFUND; an account does not bounce', async () => {
  const biz = toCard('E9311', 9311);
  const res = await create(biz);
  assert.equal(res.status, 'DEALING');
  assert.deepEqual(bounced(await settled('E9311', 'REFUND')), ['REFUND', 1, 1, 9311, 9311, 0]);
  await eventually('both messages', () => told('E9311').length === 2);
  const [paid, back] = told('E9311');
  assert.deepEqual([paid.status, paid.refund_date, paid.order_id], ['SUCCESS', undefined, res.orderId]);
  assert.deepEqual([back.status, back.action_type, back.order_id, back.sub_order_error_code],
    ['REFUND', 'FINISH', res.orderId, 'PAYEE_CARD_INFO_ERROR']);
  assert.match(back.refund_date, /^\d{4}-\d\d-\d\d /);
  const found = await query(biz);
  assert.deepEqual([found.status, found.errorCode, found.payDate], ['REFUND', 'PAYEE_CARD_INFO_ERROR', paid.pay_date]);
  assert.equal((await create(biz)).status, 'REFUND', 'the same number is not paid again');
  assert.equal((await row('E9311')).paid_times, 1);
  await create(transferBiz('E9311A', 9311));
  await assert.rejects(sandbox.ctl('bounce', 'E9311A'));
  await assert.rejects(sandbox.ctl('bounce', 'E9311'), 'it bounces once');
  assert.equal((await row('E9311A')).net, 9311);
});

test('9017: the messages of both come the other way round', async () => {
  await create(toCard('E9017', 9017));
  await eventually('both', () => told('E9017').length === 2);
  assert.deepEqual(told('E9017').map((m) => m.status), ['REFUND', 'SUCCESS']);
});

test('9312: it bounces two days later; 9313: and nobody is told', async () => {
  await create(toCard('E9312', 9312));
  await create(toCard('E9313', 9313));
  await settled('E9313', 'REFUND');
  assert.equal((await row('E9312')).status, 'SUCCESS');
  await sandbox.ctl('advance', String(2 * DAY + 5));
  await settled('E9312', 'REFUND');
  await eventually('both of 9312', () => told('E9312').length === 2);
  assert.deepEqual(told('E9313').map((m) => m.status), ['SUCCESS']);
});

test('a command lets it bounce, and settles what is open', async () => {
  const biz = toCard('BOUNCE1', 9302);
  await create(biz);
  await assert.rejects(sandbox.ctl('bounce', 'BOUNCE1'), 'it has not been paid');
  await assert.rejects(sandbox.ctl('settle', 'BOUNCE1', 'CANCELLED'));
  await assert.rejects(sandbox.ctl('confirm', 'BOUNCE1'));
  await sandbox.ctl('settle', 'BOUNCE1', 'SUCCESS');
  await sandbox.ctl('settle', 'BOUNCE1', 'REFUND');
  assert.deepEqual(bounced(await row('BOUNCE1')), ['REFUND', 1, 1, 9302, 9302, 0]);
  await sandbox.ctl('advance', String(HOUR));
  await eventually('both messages', () => told('BOUNCE1').length === 2);
  assert.equal((await row('BOUNCE1')).paid_times, 1, 'what was planned for it is forgotten');
});

// ---- where messages go, and when ----

test('to the call\'s notify_url, else to the app\'s gateway, else to its notify-url', async () => {
  const two = await new AlipayReceiver(client).start();
  const three = await new AlipayReceiver(client).start();
  try {
    await sandbox.ctl('notify-url', APP, three.url);
    await create(transferBiz('URL1', 100), client, { notifyUrl: two.url });
    await eventually('it', () => told('URL1', two).length === 1);
    await create(transferBiz('URL2', 100));
    await eventually('it', () => told('URL2').length === 1);
    await sandbox.ctl('gateway-url', APP, 'none');
    await create(transferBiz('URL3', 100));
    await eventually('it', () => told('URL3', three).length === 1);
    await sandbox.ctl('notify-url', APP, 'none');
    await create(transferBiz('URL4', 100));
    await assert.rejects(sandbox.ctl('callback', 'URL4'));
    await sandbox.ctl('gateway-url', APP, receiver.url);
    await sandbox.ctl('callback', 'URL4');
    await eventually('it', () => told('URL4').length === 1);
    assert.deepEqual([two.good.length, three.good.length], [1, 1]);
  } finally {
    two.stop();
    three.stop();
  }
});

test('a notify_url that nobody can call is refused', async () => {
  for (const notifyUrl of ['ftp://127.0.0.1/', 'x', `http://127.0.0.1/${'x'.repeat(256)}`]) {
    await refused(create(transferBiz('URL5', 100), client, { notifyUrl }), '40004', 'INVALID_PARAMETER', notifyUrl);
  }
  assert.equal(await row('URL5'), undefined);
});

test('a message is pushed on the real schedule until exactly "success"', async () => {
  const replies = ['fail', 'success\n', 'SUCCESS', 'success'];
  receiver.reply = (c) => (/"RETRY1"/.test(c.params.biz_content) ? replies.shift() : 'success');
  await create(transferBiz('RETRY1', 200));
  await eventually('the fourth push', () => told('RETRY1').length === 4);
  receiver.reply = () => 'success';
  const all = told('RETRY1');
  // 2 m, 10 m, 10 m at a hundredfold speed; never early
  for (const [i, s] of [[1, 120], [2, 600], [3, 600]]) {
    assert.ok(all[i].at - all[i - 1].at >= s * 10 - 5, `push ${i} came after ${all[i].at - all[i - 1].at} ms`);
  }
  assert.equal(new Set(all.map((m) => m.params.notify_id)).size, 1);
});

test('wire.log: calls by their method, and their numbers', () => {
  const lines = sandbox.read('wire.log').trimEnd().split('\n').map((l) => l.split('\t'));
  assert.deepEqual(lines.filter((l) => l[3] === 'A1').map((l) => [l[1], l[2]]).slice(0, 2), [[TRANSFER, APP], [QUERY, APP]]);
});

test('nobody was paid twice, in all of this', async () => {
  const { transfers } = await sandbox.ctl('stats');
  assert.deepEqual([transfers.paid_twice, transfers.paid_out - transfers.bounced], [0, transfers.net]);
  const rows = (await sandbox.ctl('ledger')).transfers;
  assert.ok(rows.length > 60);
  for (const r of rows) assert.equal(r.net, r.status === 'SUCCESS' ? r.amount : 0, r.no);
  assert.deepEqual((await sandbox.ctl('ledger')).refunds, []);
});

test('kill -9: what was paid, what bounced, and what will, is as it was', async () => {
  const s = await new Sandbox().start('--callback-delay-ms', '0');
  const c = alipayClient(s, 'cert');
  const r = await new AlipayReceiver(c).start();
  try {
    await s.ctl('gateway-url', APP, r.url);
    await s.ctl('pause-callbacks', 'on');
    await create(transferBiz('KILL1', 100), c);
    await create(toCard('KILL2', 9311), c);
    await create(toCard('KILL3', 9312), c);
    await settled('KILL2', 'REFUND', s);
    await settled('KILL3', 'SUCCESS', s);
    await s.stop('SIGKILL');
    await s.start('--callback-delay-ms', '0');
    assert.equal((await create(transferBiz('KILL1', 100), c)).status, 'SUCCESS');
    assert.deepEqual((await s.ctl('ledger')).transfers.map((t) => [t.no, t.paid_times, t.bounced_times, t.net]),
      [['KILL1', 1, 0, 100], ['KILL2', 1, 1, 0], ['KILL3', 1, 0, 9312]]);
    await s.ctl('advance', String(2 * DAY + 1));
    await settled('KILL3', 'REFUND', s);
    await s.ctl('pause-callbacks', 'off');
    await eventually('five messages', () => r.good.length === 5);
    assert.deepEqual(told('KILL3', r).map((m) => m.status), ['SUCCESS', 'REFUND']);
    assert.deepEqual((await s.offline()).transfers.map((t) => t.net), [100, 0, 0]);
  } finally {
    r.stop();
    await s.remove();
  }
});

test('chaos: the seed and the number decide', async () => {
  const draw = async (seed) => {
    const s = await new Sandbox().start('--chaos', '60', '--seed', String(seed), '--hold-ms', '50', '--callback-delay-ms', '0');
    try {
      const c = alipayClient(s, 'cert');
      const all = Array.from({ length: 40 }, (_, i) => toCard(`CHAOS${i}`, 100));
      for (let round = 0; round < 2; round++) {
        await Promise.all(all.map((bizContent) => c.exec(TRANSFER, { bizContent }).catch(() => {})));
      }
      return Object.fromEntries((await s.ctl('ledger')).transfers.map((t) => [t.no, t.outcome]));
    } finally {
      await s.remove();
    }
  };
  const a = await draw(1);
  assert.deepEqual(await draw(1), a);
  assert.notDeepEqual(await draw(2), a);
  assert.ok(new Set(Object.values(a)).size > 5);
});
