// Transfers at WeChat Pay: wechatpay-axios-plugin as a merchant's client and as
// the receiver of callbacks, against the sandbox.
import assert from 'node:assert/strict';
import { test, before, after } from 'node:test';
import wechatpay from 'wechatpay-axios-plugin';
import { Sandbox, Receiver, transferBody, failure, eventually } from './lib.mjs';

const { Rsa, Formatter } = wechatpay;
const MCH = '1900000100';
const HOUR = 3600;
const DAY = 86400;
let sandbox;
let receiver;
let client;

before(async () => {
  sandbox = await new Sandbox().start('--speed', '100', '--callback-delay-ms', '50',
    '--hold-ms', '1500', '--not-found-ms', '200000', '--callback-key', 'mixed');
  receiver = await new Receiver(sandbox.merchant()).start();
  client = sandbox.client();
});

after(async () => {
  receiver?.stop();
  await sandbox?.remove();
});

const bills = (c) => c.v3['fund-app']['mch-transfer']['transfer-bills'];
const create = (body, c = client, config = undefined) => bills(c).post(body, config);
const query = (no, c = client) => bills(c)['out-bill-no']._out_bill_no_.get({ out_bill_no: no });
const queryId = (id, c = client) =>
  bills(c)['transfer-bill-no']._transfer_bill_no_.get({ transfer_bill_no: id });
const cancel = (no, body = {}, c = client) =>
  bills(c)['out-bill-no']._out_bill_no_.cancel.post(body, { out_bill_no: no });
const ask = (no, fen, extra) => transferBody(no, fen, { notify_url: receiver.url, ...extra });
const settled = (no, status, s = sandbox) => eventually(`${no} to be ${status}`,
  async () => (await s.transfer(no))?.status === status && s.transfer(no));
const refused = async (promise, status, code, what) => {
  const e = await failure(promise);
  assert.deepEqual([e.response?.status, e.response?.data.code], [status, code], what);
  return e.response.data;
};
const sealed = (name, m = sandbox.merchant(), serial = m.pubKeyId) =>
  Rsa.encrypt(name, Rsa.from(m.certs[serial], Rsa.KEY_TYPE_PUBLIC));

for (const key of ['pub', 'cert']) {
  test(`a transfer: accepted, confirmed, called back, found (answers signed with ${key})`, async () => {
    const m = sandbox.merchant();
    const c = sandbox.client(key);
    const no = `T${key}1`;
    const user_name = sealed('张三', m, key === 'pub' ? m.pubKeyId : m.platformSerial);
    const res = await create(ask(no, 250000, { user_name }), c);
    assert.equal(res.status, 200);
    assert.deepEqual([res.data.state, res.data.out_bill_no], ['WAIT_USER_CONFIRM', no]);
    assert.ok(res.data.package_info.length > 20);
    assert.match(res.data.transfer_bill_no, /^1330\d{36}$/);
    assert.match(res.data.create_time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+08:00$/);
    const [seen] = await eventually('the callback', () =>
      receiver.ofTransfer(no).length > 0 && receiver.ofTransfer(no));
    assert.deepEqual([seen.event.event_type, seen.event.resource_type, seen.event.resource.original_type,
      seen.event.resource.associated_data], ['MCHTRANSFER.BILL.FINISHED', 'encrypt-resource',
      'mch_payment', 'mch_payment']);
    assert.equal(seen.event.resource.nonce.length, 16);
    const { create_time: created, update_time: updated, ...told } = seen.content;
    assert.deepEqual(told, { out_bill_no: no, transfer_bill_no: res.data.transfer_bill_no, state: 'SUCCESS',
      mch_id: MCH, transfer_amount: 250000, openid: 'o-MYE42l80oelYMDE34nYD456Xoy', payment_method_type: 'CFT' });
    assert.ok(Date.parse(updated) >= Date.parse(created));
    const found = (await query(no, c)).data;
    assert.deepEqual([found.state, found.mch_id, found.transfer_amount, found.appid, found.transfer_remark],
      ['SUCCESS', MCH, 250000, 'wxf636efh567hg4356', '十月提现']);
    assert.equal(found.package_info, undefined);
    assert.equal(Rsa.decrypt(found.user_name, Rsa.from(m.privateKey)), '张三');
    assert.deepEqual({ ...(await queryId(res.data.transfer_bill_no, c)).data, user_name: 0 }, { ...found, user_name: 0 });
    const row = await sandbox.transfer(no);
    assert.deepEqual([row.type, row.amount, row.paid_times, row.paid_out, row.bounced, row.net],
      ['transfer', 250000, 1, 250000, 0, 250000]);
  });
}

test('nobody can read a payee\'s name in the sandbox\'s files', () => {
  for (const name of ['ledger.log', 'wire.log', 'sandbox.log']) assert.doesNotMatch(sandbox.read(name), /张三/);
});

test('refunds are one list, transfers another, also for one number', async () => {
  await create(ask('BOTH1', 100));
  await client.v3.refund.domestic.refunds.post({ transaction_id: '4200001234', out_refund_no: 'BOTH1',
    amount: { refund: 300, total: 300, currency: 'CNY' } });
  await settled('BOTH1', 'SUCCESS');
  const { refunds, transfers } = await sandbox.ctl('show', 'BOTH1');
  assert.deepEqual([refunds.length, refunds[0].amount, refunds[0].type], [1, 300, undefined]);
  assert.deepEqual([transfers.length, transfers[0].amount], [1, 100]);
  assert.equal((await refused(query('NOBODY'), 404, 'NOT_FOUND')).message.length > 0, true);
});

// ---- the fields (4.1) ----

test('parameters that the documents forbid are refused', async () => {
  const infos = (...pairs) => ({ transfer_scene_report_infos: pairs.map(([info_type, info_content]) => ({ info_type, info_content })) });
  const bad = {
    'number too long': { out_bill_no: 'x'.repeat(33) },
    'number with a dash': { out_bill_no: 'BAD-1' },
    'number with a letter of others': { out_bill_no: 'BÄD1' },
    'no number': { out_bill_no: undefined },
    'no appid': { appid: undefined },
    'no openid': { openid: undefined },
    'openid too long': { openid: 'o'.repeat(65) },
    'no scene': { transfer_scene_id: undefined },
    'unknown scene': { transfer_scene_id: '1001' },
    'no remark': { transfer_remark: undefined },
    'remark too long': { transfer_remark: '备'.repeat(33) },
    'emoji': { transfer_remark: '\u{1F600}' },
    'null': { user_name: null },
    'nine fen': { transfer_amount: 9 },
    'amount a string': { transfer_amount: '100' },
    'amount a fraction': { transfer_amount: 10.5 },
    'query in notify_url': { notify_url: `${receiver.url}?a=1` },
    'no reports': { transfer_scene_report_infos: undefined },
    'reports empty': infos(),
    'reports of another scene': infos(['活动名称', 'a'], ['奖励说明', 'b']),
    'one report missing': infos(['岗位类型', 'a']),
    'one report twice': infos(['岗位类型', 'a'], ['岗位类型', 'b']),
    'one report too many': infos(['岗位类型', 'a'], ['报酬说明', 'b'], ['赔付原因', 'c']),
    'report too long': infos(['岗位类型', '员'.repeat(33)], ['报酬说明', 'b']),
    'report no object': { transfer_scene_report_infos: ['岗位类型', '报酬说明'] },
    'style': { user_recv_style: { type: 'POSTCARD' } },
    'red packet too large': { transfer_amount: 20001, user_recv_style: { type: 'RED_PACKET' } },
    'name in clear': { transfer_amount: 100, user_name: '张三' },
    'name of another key': { transfer_amount: 100, user_name: sealed('张三', sandbox.merchant(), sandbox.merchant().platformSerial) },
    'name below 0.30': { transfer_amount: 29, user_name: sealed('张三') },
    'no name from 2000.00': { transfer_amount: 200000 },
  };
  for (const [what, change] of Object.entries(bad)) {
    await refused(create(ask('BAD1', 100, change)), 400, 'PARAM_ERROR', what);
  }
  assert.equal(await sandbox.transfer('BAD1'), undefined);
  const good = {
    'thirty-two characters': { transfer_remark: '备'.repeat(32) },
    'ten fen': { transfer_amount: 10 },
    'a name from 0.30 on': { transfer_amount: 30, user_name: sealed('张三') },
    'below 2000.00 without': { transfer_amount: 199999 },
    'red packet': { transfer_amount: 20000, user_recv_style: { type: 'RED_PACKET' } },
    'reports in any order': infos(['报酬说明', 'b'], ['岗位类型', 'a']),
    'another scene': { transfer_scene_id: '1011', ...infos(['赔付原因', '商品损坏']) },
    'no notify_url': { notify_url: undefined },
    'perception': { user_recv_perception: '劳务报酬' },
  };
  let i = 0;
  for (const [what, change] of Object.entries(good)) {
    i += 1;
    assert.equal((await create(ask(`GOOD${i}`, 100, change))).data.state, 'WAIT_USER_CONFIRM', what);
  }
  assert.equal((await create(ask('x'.repeat(32), 100))).status, 200);
});

test('a name without Wechatpay-Serial is 400 INVALID_REQUEST', async () => {
  const c = new wechatpay.Wechatpay({ ...sandbox.merchant(), baseURL: `${sandbox.url}/` });
  await refused(create(ask('NOSERIAL1', 100, { user_name: sealed('张三') }), c), 400, 'INVALID_REQUEST');
  assert.equal((await create(ask('NOSERIAL1', 100), c)).status, 200);
});

// ---- the same number (4.2) ----

test('the same number with the same parameters is the same transfer, and has package_info again', async () => {
  const one = await create(ask('SAME1', 9004, { user_name: sealed('李四') }));
  const two = await create(ask('SAME1', 9004, { user_name: sealed('李四') }));	// another encryption
  assert.equal(two.data.transfer_bill_no, one.data.transfer_bill_no);
  assert.equal(two.data.package_info, one.data.package_info);
  assert.equal((await sandbox.transfer('SAME1')).calls_since_start, 2);
  assert.equal((await query('SAME1')).data.package_info, undefined);
});

test('the same number with other parameters is refused', async () => {
  await create(ask('OTHER1', 9004));
  const changes = [{ transfer_amount: 9005 }, { openid: 'o2' }, { transfer_remark: 'x' },
    { user_name: sealed('王五') }, { notify_url: undefined }];
  for (const change of changes) {
    await refused(create(ask('OTHER1', 9004, change)), 400, 'INVALID_REQUEST', JSON.stringify(change));
  }
  assert.equal((await sandbox.transfer('OTHER1')).amount, 9004);
});

test('when it is final: 400 ALREADY_EXISTS', async () => {
  await create(ask('FINAL1', 9016));
  await refused(create(ask('FINAL1', 9016)), 400, 'ALREADY_EXISTS');
  await refused(create(ask('FINAL1', 9017)), 400, 'INVALID_REQUEST');
  assert.equal((await sandbox.transfer('FINAL1')).paid_times, 1);
});

test('after three days a number cannot be repeated; after thirty it cannot be asked about', async () => {
  const s = await new Sandbox().start();
  try {
    const c = s.client();
    const body = transferBody('OLD1', 9016);
    const { transfer_bill_no: id } = (await create(body, c)).data;
    await s.ctl('advance', String(3 * DAY - 60));
    await refused(create(body, c), 400, 'ALREADY_EXISTS');
    await s.ctl('advance', '60');
    assert.match((await refused(create(body, c), 400, 'INVALID_REQUEST')).message, /已超出重试期/);
    assert.match((await refused(create({ ...body, openid: 'o2' }, c), 400, 'INVALID_REQUEST')).message, /信息不一致/);
    await s.ctl('advance', String(27 * DAY - 60));
    assert.equal((await query('OLD1', c)).data.state, 'SUCCESS');
    assert.equal((await queryId(id, c)).data.state, 'SUCCESS');
    await s.ctl('advance', '60');
    await refused(query('OLD1', c), 404, 'NOT_FOUND');
    await refused(queryId(id, c), 404, 'NOT_FOUND');
    assert.equal((await s.transfer('OLD1')).net, 9016, 'the ledger has it still');
  } finally {
    await s.remove();
  }
});

// ---- the payee, and what waits for him ----

test('9004: nobody confirms; a command does', async () => {
  const res = await create(ask('PAYEE1', 9004));
  assert.equal(res.data.state, 'WAIT_USER_CONFIRM');
  await sandbox.ctl('advance', String(DAY - HOUR));
  assert.equal((await query('PAYEE1')).data.state, 'WAIT_USER_CONFIRM');
  assert.equal((await sandbox.transfer('PAYEE1')).paid_times, 0);
  await sandbox.ctl('confirm', 'PAYEE1');
  assert.equal((await query('PAYEE1')).data.state, 'SUCCESS');
  await eventually('the callback', () => receiver.ofTransfer('PAYEE1').length === 1);
  await assert.rejects(sandbox.ctl('confirm', 'PAYEE1'), 'he confirms once');
  await assert.rejects(sandbox.ctl('decline', 'PAYEE1'));
  await assert.rejects(sandbox.ctl('confirm', 'NOBODY'));
});

test('a command declines', async () => {
  await create(ask('PAYEE2', 9004));
  await sandbox.ctl('decline', 'PAYEE2');
  const found = (await query('PAYEE2')).data;
  assert.deepEqual([found.state, found.fail_reason], ['FAIL', 'OTHER_FAIL_REASON_TYPE']);
  await eventually('the callback', () => receiver.ofTransfer('PAYEE2').length === 1);
  const { content } = receiver.ofTransfer('PAYEE2')[0];
  assert.deepEqual([content.state, content.fail_reason, content.payment_method_type],
    ['FAIL', 'OTHER_FAIL_REASON_TYPE', undefined]);
  assert.equal((await sandbox.transfer('PAYEE2')).net, 0);
});

test('24 hours without a confirmation: FAIL OVERDUE_CLOSE, and a callback', async () => {
  await create(ask('PAYEE3', 9004));
  await sandbox.ctl('advance', String(DAY + 1));
  assert.equal((await settled('PAYEE3', 'FAIL')).reason, 'OVERDUE_CLOSE');
  await eventually('the callback', () => receiver.ofTransfer('PAYEE3').length === 1);
  assert.equal(receiver.ofTransfer('PAYEE3')[0].content.fail_reason, 'OVERDUE_CLOSE');
});

for (const [habit, status] of [['waits', 'WAIT_USER_CONFIRM'], ['declines', 'FAIL']]) {
  test(`--payee ${habit}`, async () => {
    const s = await new Sandbox().start('--payee', habit, '--callback-delay-ms', '10');
    try {
      await create(transferBody('HABIT1', 100), s.client());
      await create(transferBody('HABIT2', 9016), s.client());
      await settled('HABIT1', status, s);
      assert.equal((await s.transfer('HABIT2')).status, 'SUCCESS', 'the outcome says otherwise');
      if (habit === 'waits') {
        await s.ctl('confirm', 'HABIT1');
        await settled('HABIT1', 'SUCCESS', s);
      }
    } finally {
      await s.remove();
    }
  });
}

// ---- cancel (4.4) ----

for (const [what, body] of [['a body', {}], ['no body', undefined]]) {
  test(`a cancel with ${what}: CANCELING, then CANCELLED, and a callback`, async () => {
    const no = `CANCEL${what.length}`;
    await create(ask(no, 9004));
    const res = await cancel(no, body);
    assert.deepEqual([res.data.state, res.data.out_bill_no], ['CANCELING', no]);
    assert.ok(Date.parse(res.data.update_time));
    await settled(no, 'CANCELLED');
    assert.equal((await cancel(no)).data.state, 'CANCELLED', 'again');
    await eventually('the callback', () => receiver.ofTransfer(no).length === 1);
    assert.equal(receiver.ofTransfer(no)[0].content.state, 'CANCELLED');
    assert.equal((await query(no)).data.fail_reason, 'MCH_CANCEL');
    assert.equal((await sandbox.transfer(no)).net, 0);
    await refused(create(ask(no, 9004)), 400, 'ALREADY_EXISTS');
  });
}

test('what is final, or is being paid, cannot be cancelled', async () => {
  await refused(cancel('NOBODY'), 404, 'NOT_FOUND');
  await create(ask('CANCELF', 9016));
  await refused(cancel('CANCELF'), 400, 'INVALID_REQUEST');
  await create(ask('CANCELT', 9305));
  await settled('CANCELT', 'TRANSFERING');
  await refused(cancel('CANCELT'), 400, 'INVALID_REQUEST');
});

test('9306: a cancel that comes too late; 9307: one that takes an hour', async () => {
  await create(ask('CANCEL9306', 9306));
  assert.equal((await cancel('CANCEL9306')).data.state, 'CANCELING');
  await settled('CANCEL9306', 'SUCCESS');
  assert.equal((await sandbox.transfer('CANCEL9306')).paid_times, 1);
  await create(ask('CANCEL9307', 9307));
  assert.equal((await cancel('CANCEL9307')).data.state, 'CANCELING');
  await assert.rejects(sandbox.ctl('confirm', 'CANCEL9307'));
  assert.equal((await query('CANCEL9307')).data.state, 'CANCELING');
  assert.equal((await create(ask('CANCEL9307', 9307))).data.state, 'CANCELING', 'not final yet');
  await sandbox.ctl('advance', String(HOUR));
  await settled('CANCEL9307', 'CANCELLED');
});

// ---- the balance ----

test('the balance: NOT_ENOUGH without effect; taken when accepted, given back when it fails', async () => {
  const s = await new Sandbox().start('--payee', 'waits');
  const balance = async () => (await s.ctl('stats')).merchants[MCH].balance;
  try {
    const c = s.client();
    assert.equal(await balance(), null);
    await create(transferBody('BAL0', 5000000, { user_name: sealed('张三', s.merchant()) }), c);
    assert.deepEqual(await s.ctl('balance', MCH, '1000'), { ok: true, balance: 1000 });
    await create(transferBody('BAL1', 600), c);
    assert.equal(await balance(), 400);
    await refused(create(transferBody('BAL2', 401), c), 403, 'NOT_ENOUGH');
    assert.equal(await s.transfer('BAL2'), undefined);
    await s.ctl('topup');	// of the other account
    await refused(create(transferBody('BAL2', 401), c), 403, 'NOT_ENOUGH');
    const refund = await c.v3.refund.domestic.refunds.post({ transaction_id: '42000012345', out_refund_no: 'R1',
      amount: { refund: 10000, total: 10000, currency: 'CNY' } });
    assert.equal(refund.status, 200);
    assert.deepEqual(await s.ctl('balance', MCH, '+1'), { ok: true, balance: 401 });
    await create(transferBody('BAL2', 401), c);
    assert.equal(await balance(), 0);
    await s.ctl('decline', 'BAL1');
    assert.equal(await balance(), 600);
    await s.ctl('confirm', 'BAL2');
    assert.equal(await balance(), 600);
    await s.stop('SIGKILL');
    await s.start('--payee', 'waits');
    assert.equal(await balance(), 600);
    await s.ctl('balance', MCH, 'unlimited');
    assert.equal(await balance(), null);
    for (const bad of ['-1', 'x', '1.5', '+']) await assert.rejects(s.ctl('balance', MCH, bad), bad);
    await assert.rejects(s.ctl('balance', 'nobody', '1'));
  } finally {
    await s.remove();
  }
});

test('9009: NOT_ENOUGH until the balance is changed', async () => {
  for (let i = 0; i < 2; i++) await refused(create(ask('E9009', 9009)), 403, 'NOT_ENOUGH');
  await sandbox.ctl('topup');
  await refused(create(ask('E9009', 9009)), 403, 'NOT_ENOUGH');
  await sandbox.ctl('balance', MCH, 'unlimited');
  assert.equal((await create(ask('E9009', 9009))).status, 200);
});

test('9303: PROCESSING until there is money, and the call is repeated', async () => {
  assert.equal((await create(ask('E9303', 9303))).data.state, 'PROCESSING');
  assert.equal((await create(ask('E9303', 9303))).data.package_info, undefined);
  await sandbox.ctl('balance', MCH, 'unlimited');
  assert.equal((await query('E9303')).data.state, 'PROCESSING', 'not by itself');
  assert.equal((await create(ask('E9303', 9303))).data.state, 'WAIT_USER_CONFIRM');
  await settled('E9303', 'SUCCESS');
  await create(ask('E9303b', 9303));
  await sandbox.ctl('advance', String(DAY + 1));
  assert.equal((await settled('E9303b', 'FAIL')).reason, 'OVERDUE_CLOSE');
});

// ---- outcomes by amount ----

const errors = [
  [9001, 403, 'USER_ERROR', false, true],
  [9007, 500, 'SYSTEM_ERROR', true],
  [9010, 429, 'FREQUENCY_LIMIT_EXCEED', false],
  [9015, 401, 'SIGN_ERROR', false],
  [9022, 503, 'SERVICE_UNAVAILABLE', false],
  [9314, 500, 'SYSTEM_ERROR', false],
  [9319, 403, 'NO_AUTH', false],
  [9321, 400, 'INVALID_REQUEST', false, true],
];
for (const [fen, status, code, effect, always] of errors) {
  test(`${fen}: ${status} ${code}, ${effect ? 'after' : 'without'} the effect`, async () => {
    const no = `E${fen}`;
    await refused(create(ask(no, fen)), status, code);
    assert.equal((await sandbox.transfer(no)) !== undefined, effect);
    if (always) {
      await refused(create(ask(no, fen)), status, code);
      await refused(query(no), 404, 'NOT_FOUND');
      return;
    }
    if (!effect) assert.equal((await create(ask(no, fen))).data.out_bill_no, no);
    await settled(no, 'SUCCESS');
    assert.equal((await sandbox.transfer(no)).paid_times, 1);
  });
}

for (const [fen, effect] of [[9002, true], [9003, false], [9020, false], [9021, true]]) {
  test(`${fen}: no answer, ${effect ? 'after' : 'before'} the effect`, async () => {
    const no = `E${fen}`;
    const e = await failure(create(ask(no, fen)));
    assert.equal(e.response, undefined);
    assert.equal((await sandbox.transfer(no)) !== undefined, effect);
    if (!effect) assert.equal((await create(ask(no, fen))).status, 200);
    await settled(no, 'SUCCESS');
    assert.equal((await sandbox.transfer(no)).paid_times, 1);
  });
}

const failures = [
  [9011, 'PAYEE_ACCOUNT_ABNORMAL', 'WAIT_USER_CONFIRM'],
  [9301, 'OTHER_FAIL_REASON_TYPE', 'WAIT_USER_CONFIRM'],
  [9304, 'REALNAME_ACCOUNT_RECEIVED_QUOTA_EXCEED', 'WAIT_USER_CONFIRM'],
  [9308, 'NAME_NOT_CORRECT', 'PROCESSING'],
];
for (const [fen, reason, first] of failures) {
  test(`${fen}: accepted, then FAIL ${reason}`, async () => {
    const no = `E${fen}`;
    assert.equal((await create(ask(no, fen))).data.state, first);
    await eventually('the callback', () => receiver.ofTransfer(no).length === 1);
    const { content } = receiver.ofTransfer(no)[0];
    assert.deepEqual([content.state, content.fail_reason], ['FAIL', reason]);
    const found = (await query(no)).data;
    assert.deepEqual([found.state, found.fail_reason], ['FAIL', reason]);
    assert.equal((await sandbox.transfer(no)).net, 0);
  });
}

test('9005: five callbacks of one event', async () => {
  await create(ask('E9005', 9005));
  await eventually('five callbacks', () => receiver.ofTransfer('E9005').length === 5);
  assert.equal(new Set(receiver.ofTransfer('E9005').map((c) => c.event.id)).size, 1);
  assert.equal((await sandbox.transfer('E9005')).paid_times, 1);
});

test('9006: the callback comes before the answer', async () => {
  let answered = false;
  receiver.status = () => { assert.equal(answered, false); return 204; };
  const res = await create(ask('E9006', 9006));
  answered = true;
  receiver.status = () => 204;
  assert.equal(receiver.ofTransfer('E9006').length, 1);
  assert.equal(receiver.ofTransfer('E9006')[0].content.state, 'SUCCESS');
  assert.equal(res.data.state, 'ACCEPTED');
});

test('9008: an answer with a wrong signature is caught by the SDK', async () => {
  const e = await failure(create(ask('E9008', 9008)));
  assert.equal(e.code, 'EV3_RES_HEADER_SIGNATURE_DIGEST');
  assert.ok(await sandbox.transfer('E9008'));
});

test('9012: not found, then found', async () => {
  await sandbox.ctl('pause-callbacks', 'on');
  await create(ask('E9012', 9012));
  await refused(query('E9012'), 404, 'NOT_FOUND');
  await refused(cancel('E9012'), 404, 'NOT_FOUND');
  await sandbox.ctl('advance', '200');
  assert.equal((await query('E9012')).data.out_bill_no, 'E9012');
  await sandbox.ctl('pause-callbacks', 'off');
});

test('9013: never a callback; 9309: an hour late', async () => {
  await create(ask('E9013', 9013));
  await create(ask('E9309', 9309));
  await settled('E9013', 'SUCCESS');
  await settled('E9309', 'SUCCESS');
  await create(ask('AFTER1', 100));
  await eventually('a later callback', () => receiver.ofTransfer('AFTER1').length === 1);
  assert.equal(receiver.ofTransfer('E9309').length, 0);
  await sandbox.ctl('advance', String(HOUR));
  await eventually('the late one', () => receiver.ofTransfer('E9309').length === 1);
  assert.equal(receiver.ofTransfer('E9013').length, 0);
  await sandbox.ctl('callback', 'E9013', '2');
  await eventually('the pushed callbacks', () => receiver.ofTransfer('E9013').length === 2);
});

test('9014: SIGNTEST, then the truth', async () => {
  const before = receiver.bad.length;
  await create(ask('E9014', 9014));
  await eventually('the true callback', () => receiver.ofTransfer('E9014').length === 1);
  assert.equal(receiver.bad.length, before + 1);
  assert.ok(receiver.bad[before].headers['wechatpay-signature'].startsWith('WECHATPAY/SIGNTEST/'));
});

test('9016: SUCCESS already in the answer', async () => {
  const res = await create(ask('E9016', 9016));
  assert.deepEqual([res.data.state, res.data.package_info], ['SUCCESS', undefined]);
  await eventually('the callback', () => receiver.ofTransfer('E9016').length === 1);
});

for (const [fen, effect] of [[9018, true], [9019, false]]) {
  test(`${fen}: held until released, effect ${effect ? 'before' : 'after'}`, async () => {
    const no = `E${fen}`;
    const call = create(ask(no, fen));
    await eventually('it to be held', async () => (await sandbox.ctl('stats')).held === 1);
    assert.equal((await sandbox.transfer(no)) !== undefined, effect);
    assert.deepEqual(await sandbox.ctl('release', no), { ok: true, released: 1 });
    assert.equal((await call).data.out_bill_no, no);
    await settled(no, 'SUCCESS');
  });
}

test('9019: it lands even if the caller has long gone', async () => {
  const e = await failure(create(ask('LATE1', 9019), sandbox.client(), { timeout: 200 }));
  assert.equal(e.code, 'ECONNABORTED');
  assert.equal(await sandbox.transfer('LATE1'), undefined);
  await sandbox.ctl('release', 'all');
  await settled('LATE1', 'SUCCESS');
});

test('9023: bytes that are no JSON', async () => {
  const e = await failure(create(ask('E9023', 9023)));
  assert.equal(e.code, 'EV3_RES_HEADERS_INCOMPLATE');
  assert.ok(await sandbox.transfer('E9023'));
});

test('9302, 9305: the states on the way', async () => {
  assert.equal((await create(ask('E9302', 9302))).data.state, 'ACCEPTED');
  await settled('E9302', 'PROCESSING');
  assert.equal((await create(ask('E9302', 9302))).data.package_info, undefined);
  await create(ask('E9305', 9305));
  await settled('E9305', 'TRANSFERING');
  await sandbox.ctl('advance', String(HOUR));
  await settled('E9302', 'SUCCESS');
  await settled('E9305', 'SUCCESS');
});

test('9310: one of two callbacks is of another merchant, and of another amount', async () => {
  await create(ask('E9310', 9310));
  await eventually('both', () => receiver.ofTransfer('E9310').length === 2);
  assert.deepEqual(receiver.ofTransfer('E9310').map(({ content: c }) => [c.mch_id, c.transfer_amount]).sort(),
    [[MCH, 9310], ['1900009999', 9410]]);
});

test('somebody settles it; it does not bounce', async () => {
  await create(ask('SETTLE1', 9004));
  await assert.rejects(sandbox.ctl('settle', 'SETTLE1', 'ABNORMAL'));
  await assert.rejects(sandbox.ctl('settle', 'SETTLE1', 'TRANSFERING'));
  await assert.rejects(sandbox.ctl('callback', 'SETTLE1'), 'there is nothing to say yet');
  await sandbox.ctl('settle', 'SETTLE1', 'SUCCESS');
  await assert.rejects(sandbox.ctl('settle', 'SETTLE1', 'FAIL'));
  await assert.rejects(sandbox.ctl('bounce', 'SETTLE1'));
  await eventually('the callback', () => receiver.ofTransfer('SETTLE1').length === 1);
});

test('a callback is pushed on the real schedule until it is taken', async () => {
  let refuse = 12;
  receiver.status = (c) => (c.content.out_bill_no === 'RETRY1' && refuse-- > 0 ? 500 : 200);
  await create(ask('RETRY1', 200));
  await eventually('the eleventh push', () => receiver.ofTransfer('RETRY1').length >= 11);
  const at = receiver.ofTransfer('RETRY1').map((c) => c.at);
  // fifteen seconds ten times, at a hundredfold speed; never early
  for (let i = 1; i <= 10; i++) assert.ok(at[i] - at[i - 1] >= 145, `push ${i} came after ${at[i] - at[i - 1]} ms`);
  await sandbox.ctl('advance', '300');
  await eventually('the twelfth', () => receiver.ofTransfer('RETRY1').length >= 12);
  await sandbox.ctl('advance', '300');
  await eventually('the thirteenth', () => receiver.ofTransfer('RETRY1').length === 13);
  receiver.status = () => 204;
});

test('a callback that nobody takes is given up after 65 pushes', async () => {
  const s = await new Sandbox().start('--callback-delay-ms', '0', '--speed', '1000000');
  const r = await new Receiver(s.merchant(), () => 500).start();
  try {
    await create(transferBody('GIVEUP1', 9016, { notify_url: r.url }), s.client());
    await eventually('it to be given up', async () => (await s.ctl('stats')).callbacks.given_up === 1);
    assert.equal(r.ofTransfer('GIVEUP1').length, 65);
  } finally {
    r.stop();
    await s.remove();
  }
});

test('without a notify_url it goes to the merchant\'s, if he has one', async () => {
  await create(ask('SILENT1', 100, { notify_url: undefined }));
  await settled('SILENT1', 'SUCCESS');
  await assert.rejects(sandbox.ctl('callback', 'SILENT1'));
  await sandbox.ctl('notify-url', MCH, receiver.url);
  await create(ask('SILENT2', 100, { notify_url: undefined }));
  await eventually('it', () => receiver.ofTransfer('SILENT2').length === 1);
  assert.equal(receiver.ofTransfer('SILENT1').length, 0);
  await sandbox.ctl('notify-url', MCH, 'none');
});

test('wire.log: what was called, and with which number', () => {
  const calls = sandbox.read('wire.log').trimEnd().split('\n').map((l) => l.split('\t'));
  const of = (no) => calls.filter((l) => l[3] === no).map((l) => l[1]);
  assert.deepEqual(of('CANCEL9306'), ['wechat.transfer.create', 'wechat.transfer.cancel']);
  assert.deepEqual(of('PAYEE2'), ['wechat.transfer.create', 'wechat.transfer.query']);
  assert.ok(calls.some((l) => l[1] === 'wechat.transfer.query_id' && /^1330/.test(l[3])));
});

test('nobody was paid twice, in all of this', async () => {
  const { transfers } = await sandbox.ctl('stats');
  assert.equal(transfers.paid_twice, 0);
  assert.ok(transfers.count > 50);
  const rows = (await sandbox.ctl('ledger')).transfers;
  assert.equal(rows.length, transfers.count);
  for (const r of rows) assert.equal(r.net, r.status === 'SUCCESS' ? r.amount : 0, r.no);
  assert.equal(rows.reduce((sum, r) => sum + r.net, 0), transfers.net);
  const offline = await sandbox.offline();
  assert.deepEqual(offline.transfers.map((r) => [r.no, r.net]), rows.map((r) => [r.no, r.net]));
});

test('limits: a hundred calls a second, and failing ones are as good as others', async () => {
  const s = await new Sandbox().start('--limits');
  try {
    const m = s.merchant();
    await create(transferBody('LIMIT1', 9016), s.client());
    const path = '/v3/fund-app/mch-transfer/transfer-bills/out-bill-no/';
    const signed = (no) => {
      const nonce = Formatter.nonce();
      const at = Formatter.timestamp();
      const signature = Rsa.sign(Formatter.request('GET', path + no, at, nonce), m.privateKey);
      const Authorization = Formatter.authorization(m.mchid, nonce, signature, at, m.serial);
      return () => fetch(s.url + path + no, { headers: { Accept: 'application/json', 'User-Agent': 'test', Authorization } })
        .then(async (r) => (await r.json()).code ?? r.status);
    };
    const failing = await Promise.all(Array.from({ length: 20 }, () => signed('NOBODY')()));
    assert.deepEqual([...new Set(failing)], ['NOT_FOUND']);
    const many = Array.from({ length: 150 }, () => signed('LIMIT1'));
    const seen = await eventually('the limit', async () => {
      const codes = await Promise.all(many.map((send) => send()));
      return codes.includes('FREQUENCY_LIMIT_EXCEED') && codes;
    });
    assert.deepEqual([...new Set(seen)].sort(), [200, 'FREQUENCY_LIMIT_EXCEED']);
    assert.ok((await s.ctl('stats')).merchants[MCH].peak_ok_per_second >= 100);
  } finally {
    await s.remove();
  }
});

test('kill -9: what was answered holds; what was waited for is waited for', async () => {
  const s = await new Sandbox().start('--callback-delay-ms', '0');
  const r = await new Receiver(s.merchant()).start();
  try {
    const c = s.client();
    const body = (no, fen) => transferBody(no, fen, { notify_url: r.url });
    await s.ctl('pause-callbacks', 'on');
    const { data: waiting } = await create(body('KILL1', 9004), c);
    await create(body('KILL2', 9016), c);
    await create(body('KILL3', 9302), c);
    await refused(create(body('KILL4', 9010), c), 429, 'FREQUENCY_LIMIT_EXCEED');
    await s.stop('SIGKILL');
    await s.start('--callback-delay-ms', '0');
    assert.equal((await create(body('KILL1', 9004), c)).data.package_info, waiting.package_info);
    assert.deepEqual([(await s.transfer('KILL2')).net, (await s.transfer('KILL2')).paid_times], [9016, 1]);
    assert.equal((await create(body('KILL4', 9010), c)).status, 200, 'it has had its fault');
    await s.ctl('confirm', 'KILL1');
    await s.stop('SIGKILL');
    await s.start('--callback-delay-ms', '0');
    assert.equal((await query('KILL1', c)).data.state, 'SUCCESS');
    await s.ctl('advance', String(HOUR + 1));
    await settled('KILL3', 'SUCCESS', s);
    await s.ctl('pause-callbacks', 'off');
    await eventually('the callbacks', () => ['KILL1', 'KILL2', 'KILL3'].every((n) => r.ofTransfer(n).length === 1));
    assert.deepEqual((await s.ctl('ledger')).transfers.map((t) => t.paid_times), [1, 1, 1, 1]);
  } finally {
    r.stop();
    await s.remove();
  }
});

test('chaos: the seed and the number decide', async () => {
  const draw = async (seed) => {
    const s = await new Sandbox().start('--chaos', '60', '--seed', String(seed), '--hold-ms', '50');
    try {
      const c = s.client();
      const nos = Array.from({ length: 40 }, (_, i) => `CHAOS${i}`);
      for (let i = 0; i < 2; i++) await Promise.all(nos.map((no) => create(transferBody(no, 100), c).catch(() => {})));
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
