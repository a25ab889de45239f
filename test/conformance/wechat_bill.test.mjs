// WeChat Pay's bills: wechatpay-axios-plugin asks for them and fetches them,
// and what is in them is what the ledger says, unless something was planted.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import zlib from 'node:zlib';
import { test, before, after } from 'node:test';
import { Sandbox, refundBody, transferBody, failure, eventually } from './lib.mjs';
import { dayOf, nextDay, fen, wechat, wechatTradeSums, wechatFundChain } from './bills.mjs';

const MCHID = '1900000100';
let sandbox;
let client;
let today;
let day;
let funds;
let closing;

const raw = { responseType: 'arraybuffer', transformResponse: [] };
const ask = (path, params) => client.v3.bill[path].get({ params });
const fetchFile = (url) => client.v3.billdownload.file.get({
  params: Object.fromEntries(new URL(url).searchParams), ...raw,
});
const refund = (no, amount, extra) => client.v3.refund.domestic.refunds.post(refundBody(no, amount, extra));
const transfer = (no, amount) => client.v3.fundApp.mchTransfer.transferBills.post(transferBody(no, amount));

// Asked for, fetched, unpacked and compared with its hash.
async function bill(path, params) {
  const { data } = await ask(path, { tar_type: 'GZIP', ...params });
  assert.equal(data.hash_type, 'SHA1');
  const res = await fetchFile(data.download_url);
  assert.equal(res.headers['wechatpay-signature'], undefined);
  const plain = zlib.gunzipSync(Buffer.from(res.data));
  assert.equal(crypto.createHash('sha1').update(plain).digest('hex'), data.hash_value);
  return wechat(plain);
}
const trade = (bill_type = 'REFUND', bill_date = day) => bill('tradebill', { bill_date, bill_type });
const fund = (account_type, bill_date = day) => bill('fundflowbill', { bill_date, account_type });
const code = async (promise) => (await failure(promise)).response.data.code;

before(async () => {
  sandbox = await new Sandbox([MCHID, '1900000200']).start('--callback-delay-ms', '20', '--speed', '50');
  client = sandbox.client();
  today = dayOf(await sandbox.businessNow());
  await sandbox.ctl('books', MCHID, 'fee_rate=6000', 'basic=5000', 'operation=900000');
  await sandbox.ctl('order', MCHID, '4200000000000000000000000777', 'COUPON-1', '10000', '8000');
  await refund('N-1', 1250);
  await refund('N-2', 3300);
  await refund('CLOSED', 9011);
  await refund('ABNORMAL', 9004);
  await refund('HOME', 9024);
  const paid = { refund: 5000, total: 10000, currency: 'CNY' };
  await refund('COUPON', 5000, { transaction_id: '4200000000000000000000000777', amount: paid });
  for (const no of ['MISSING', 'AMOUNT', 'STATE', 'TWICE', 'FEE', 'LATER']) await refund(no, 2000);
  await transfer('T1', 700);
  await transfer('T2', 9011);
  await transfer('TBACK', 800);
  for (const [c, no, ...arg] of [['missing', 'MISSING'], ['amount', 'AMOUNT', '-50'], ['state', 'STATE', 'CHANGE'],
    ['twice', 'TWICE'], ['fee', 'FEE', '3'], ['day', 'LATER', '1'], ['state', 'TBACK']]) {
    await sandbox.ctl('plant', c, no, ...arg);
  }
  await sandbox.ctl('console-refund', MCHID, '4200000000000000000000000777', '-', '100');
  await sandbox.ctl('console-transfer', MCHID, 'BYHAND1', '150');
  await sandbox.ctl('move', MCHID, 'basic', '-300', '提现,到`卡"');
  await eventually('all to be settled', async () => (await sandbox.offline()).refunds
    .every((r) => r.status !== 'PROCESSING'));
  await eventually('T1 to be paid', async () => (await sandbox.transfer('T1')).status === 'SUCCESS');
  await eventually('T2 to fail', async () => (await sandbox.transfer('T2')).status === 'FAIL');
});

after(() => sandbox?.remove());

test('a day that is not over has no bill, and one of yesterday is made until ten', async () => {
  assert.equal(await code(ask('tradebill', { bill_date: today })), 'INVALID_REQUEST');
  day = await nextDay(sandbox, 9);
  assert.equal(day, today);
  assert.equal(await code(ask('tradebill', { bill_date: day })), 'STATEMENT_CREATING');
  await sandbox.ctl('advance', '3700');
  assert.equal(await code(ask('tradebill', { bill_date: '2026-02-30' })), 'PARAM_ERROR');
  assert.equal(await code(ask('tradebill', { bill_date: day, bill_type: 'SOME' })), 'PARAM_ERROR');
  assert.equal(await code(ask('tradebill', { bill_date: '2020-01-01' })), 'INVALID_REQUEST');
  assert.equal(await code(ask('fundflowbill', { bill_date: day, account_type: 'FEES' })), 'NO_STATEMENT_EXIST');
});

test('the bill of refunds says of each what it was', async () => {
  const b = await trade();
  assert.equal(b.names.length, 29);
  wechatTradeSums(b);
  const row = (no) => b.rows.filter((r) => r.商户退款单号 === no);
  const one = row('N-1')[0];
  assert.equal(one.商户号, MCHID);
  assert.equal(one.交易状态, 'REFUND');
  assert.equal(one.退款状态, 'SUCCESS');
  assert.equal(fen(one.申请退款金额), 1250);
  assert.equal(fen(one.退款金额), 1250);
  assert.equal(one.手续费, '-0.08000');
  assert.equal(one.费率, '0.60%');
  assert.equal(one.退款申请时间.slice(0, 10), day);
  assert.equal(one.微信退款单号, (await sandbox.refund('N-1')).refund_id);
  assert.equal(row('CLOSED')[0].退款状态, 'FAIL');
  assert.equal(row('ABNORMAL')[0].退款状态, 'CHANGE');
  assert.equal(row('HOME')[0].退款状态, 'CHANGE');
  assert.equal(row('CLOSED')[0].退款成功时间, '');
  assert.equal(fen(row('COUPON')[0].申请退款金额), 5000);
  assert.equal(fen(row('COUPON')[0].退款金额), 4000);
  assert.equal(row('MISSING').length, 0);
  assert.equal(fen(row('AMOUNT')[0].申请退款金额), 1950);
  assert.equal(row('STATE')[0].退款状态, 'CHANGE');
  assert.equal(row('TWICE').length, 2);
  assert.equal(row('FEE')[0].手续费, '-0.09000');
  assert.equal(row('LATER').length, 0);
  const byHand = b.rows.find((r) => r.商户退款单号.startsWith('CONSOLE'));
  assert.equal(fen(byHand.申请退款金额), 100);
  assert.equal(b.rows.length, 12);
});

test('its status is that of nine o\'clock, and does not change later', async () => {
  await sandbox.ctl('settle', 'ABNORMAL', 'SUCCESS');
  const b = await trade();
  assert.equal(b.rows.find((r) => r.商户退款单号 === 'ABNORMAL').退款状态, 'CHANGE');
});

test('the bill of everything has the payments too, and texts escaped', async () => {
  const b = await trade('ALL');
  assert.equal(b.names.length, 27);
  wechatTradeSums(b);
  const paid = b.rows.filter((r) => r.交易状态 === 'SUCCESS');
  assert.ok(paid.every((r) => r.微信退款单号 === '0' && r.商户退款单号 === '0'));
  assert.ok(paid.some((r) => r.订单金额 === '100.00' && r.应结订单金额 === '80.00' && r.代金券金额 === '20.00'));
  const success = await trade('SUCCESS');
  assert.equal(success.names.length, 20);
  assert.equal(success.rows.length, paid.length);
  wechatTradeSums(success);
});

test('the money of the basic account goes on from row to row', async () => {
  funds = await fund('BASIC');
  assert.equal(funds.names.length, 11);
  closing = wechatFundChain(funds, 5000);
  const of = (no) => funds.rows.filter((r) => r.业务凭证号 === no).map((r) => `${r.业务类型} ${r.收支类型} ${r['收支金额(元)']}`);
  assert.deepEqual(of('N-1'), ['退款 支出 12.50', '退还交易手续费 收入 0.08']);
  assert.deepEqual(of('CLOSED'), ['退款 支出 90.11', '退还交易手续费 收入 0.54', '退款关闭 收入 90.11', '扣除交易手续费 支出 0.54']);
  assert.deepEqual(of('HOME').slice(2), ['退款退回 收入 90.24', '扣除交易手续费 支出 0.54']);
  assert.deepEqual(of('COUPON')[0], '退款 支出 40.00');
  assert.equal(of('TWICE').length, 4);
  assert.equal(of('MISSING').length, 0);
  assert.ok(funds.rows.some((r) => r.业务类型 === '提现' && r.备注.includes('\\ ') && r.备注.includes('\\"')));
});

test('a transfer is proven by what went out and did not come back', async () => {
  const b = await fund('OPERATION');
  wechatFundChain(b, 900000);
  const of = (no) => b.rows.filter((r) => r.业务凭证号 === no);
  const t = await sandbox.transfer('T1');
  assert.deepEqual(of('T1').map((r) => [r.收支类型, r['收支金额(元)'], r.微信支付业务单号, r.资金流水单号]),
    [['支出', '7.00', t.transfer_id, t.transfer_id]]);
  assert.deepEqual(of('T2').map((r) => r.收支类型), ['支出', '收入']);
  assert.deepEqual(of('TBACK').map((r) => r.收支类型), ['支出', '收入']);
  assert.deepEqual(of('BYHAND1').map((r) => r['收支金额(元)']), ['1.50']);
});

test('the list of what was planted is the oracle', async () => {
  const { plants } = await sandbox.ctl('plants');
  assert.deepEqual(plants.map((p) => p.class).sort(),
    ['amount', 'console', 'console', 'day', 'fee', 'missing', 'state', 'state', 'twice']);
  const later = plants.find((p) => p.class === 'day');
  assert.equal(later.day, day);
  assert.ok(later.bill_day > day);
  assert.equal((await sandbox.refund('MISSING')).paid_times, 1);
});

test('the next day begins where this one has ended, and has what was moved to it', async () => {
  const next = await nextDay(sandbox);
  const b = await fund('BASIC', next);
  wechatFundChain(b, closing);
  const moved = await trade('REFUND', next);
  assert.deepEqual(moved.rows.map((r) => r.商户退款单号), ['LATER']);
  const empty = await nextDay(sandbox);
  assert.equal(await code(ask('tradebill', { bill_date: empty })), 'NO_STATEMENT_EXIST');
});

test('a URL is ours only, and for a while', async () => {
  const { data } = await ask('tradebill', { bill_date: day });
  const plain = await fetchFile(data.download_url);
  assert.equal(crypto.createHash('sha1').update(Buffer.from(plain.data)).digest('hex'), data.hash_value);
  const other = sandbox.client('pub', sandbox.merchant('channel-1900000200.json'));
  const e = await failure(other.v3.billdownload.file.get({ params: { token: new URL(data.download_url).searchParams.get('token') } }));
  assert.equal(e.response.status, 403);
  await sandbox.ctl('spoil', MCHID, 'trade', day, 'expired');
  const dead = await ask('tradebill', { bill_date: day });
  assert.equal((await failure(fetchFile(dead.data.download_url))).response.status, 400);
  const unsigned = await fetch(data.download_url, { headers: { Accept: '*/*', 'User-Agent': 'x' } });
  assert.equal(unsigned.status, 401);
});

test('what is spoilt is spoilt as often as was said', async () => {
  const spoil = (what, times = 1) => sandbox.ctl('spoil', MCHID, 'trade', day, what, String(times));
  await spoil('creating', 2);
  for (let i = 0; i < 2; i++) assert.equal(await code(ask('tradebill', { bill_date: day })), 'STATEMENT_CREATING');
  await spoil('limited');
  assert.equal(await code(ask('tradebill', { bill_date: day })), 'FREQUENCY_LIMITED');
  await spoil('error');
  assert.equal(await code(ask('tradebill', { bill_date: day })), 'SYSTEM_ERROR');
  await spoil('nothing');
  assert.equal(await code(ask('tradebill', { bill_date: day })), 'NO_STATEMENT_EXIST');
  await spoil('hash');
  await assert.rejects(trade(), /Expected values to be strictly equal/);
  await spoil('torn');
  await assert.rejects(trade(), /unexpected end of file/);
  await spoil('cut');
  await assert.rejects(trade());
  await spoil('totals');
  const wrong = await trade();
  assert.throws(() => wechatTradeSums(wrong), /退款总金额/);
  await spoil('foreign');
  assert.ok((await trade()).rows.every((r) => r.商户号 !== MCHID));
  await spoil('other-day');
  assert.ok((await trade()).rows.every((r) => r.交易时间.slice(0, 10) < day));
  await spoil('historic');
  const old = await trade();
  assert.equal(old.names.length, 26);
  assert.ok(old.names.includes('总金额') && !old.names.includes('申请退款金额'));
  wechatTradeSums(await trade());
});
