// Alipay's bills: alipay-sdk asks where they are, and a plain reading of the
// ZIP (central directory, inflate, GB18030) finds in them what the ledger says.
import assert from 'node:assert/strict';
import zlib from 'node:zlib';
import { test, before, after } from 'node:test';
import { alipayClient, refundBiz } from './alipay.mjs';
import { Sandbox, failure, eventually } from './lib.mjs';
import { nextDay, fen } from './bills.mjs';

const APP = '2021000000000001';
const URL_QUERY = 'alipay.data.dataservice.bill.downloadurl.query';
let sandbox;
let client;
let day;
let closing;

const call = (method, bizContent, c = client) => c.exec(method, { bizContent }, { validateSign: true });
const where = (bill_type, bill_date = day) => call(URL_QUERY, { bill_type, bill_date });
const gb18030 = new TextDecoder('gb18030', { fatal: true });

// {name: bytes}, by the central directory; names as their raw bytes say in GB18030.
function unzip(zip) {
  const end = zip.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  assert.ok(end >= 0, 'the end of a central directory');
  const entries = {};
  let at = zip.readUInt32LE(end + 16);
  for (let i = 0; i < zip.readUInt16LE(end + 10); i++) {
    const flags = zip.readUInt16LE(at + 8);
    const [size, nameLen, extraLen, noteLen] = [zip.readUInt32LE(at + 20), zip.readUInt16LE(at + 28),
      zip.readUInt16LE(at + 30), zip.readUInt16LE(at + 32)];
    const name = gb18030.decode(zip.subarray(at + 46, at + 46 + nameLen));
    const local = zip.readUInt32LE(at + 42);
    const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    const packed = zip.subarray(start, start + size);
    assert.equal(flags & 0x800, 0, 'nothing says that names are UTF-8');
    entries[name] = zip.readUInt16LE(at + 10) === 8 ? zlib.inflateRawSync(packed) : Buffer.from(packed);
    at += 46 + nameLen + extraLen + noteLen;
  }
  return entries;
}

// {notes, rows}: what begins with '#', and the rows by their headings.
function csv(bytes) {
  const text = gb18030.decode(bytes);
  assert.ok(text.endsWith('\r\n'));
  const lines = text.slice(0, -2).split('\r\n');
  const plain = lines.filter((l) => !l.startsWith('#')).map((l) => l.split(','));
  const heads = plain.shift();
  return {
    heads,
    notes: lines.filter((l) => l.startsWith('#')).join('\n'),
    rows: plain.map((v) => {
      assert.equal(v.length, heads.length, v.join());
      return Object.fromEntries(heads.map((h, i) => [h, v[i].trim()]));
    }),
  };
}

async function bill(type, date = day) {
  const res = await where(type, date);
  assert.equal(res.code, '10000');
  const answer = await fetch(res.billDownloadUrl);
  assert.equal(answer.status, 200);
  const entries = unzip(Buffer.from(await answer.arrayBuffer()));
  const [name, other] = Object.keys(entries);
  assert.match(name, new RegExp(`^2088\\d{12}0156_${date.replaceAll('-', '')}_${type === 'trade' ? '业务' : '账务'}明细\\.csv$`));
  assert.match(other, type === 'trade' ? /业务明细\(汇总\)\.csv$/ : /账务汇总\.csv$/);
  return { ...csv(entries[name]), code: res.billFileCode, summary: gb18030.decode(entries[other]) };
}

// Footers are the sums of the rows.
function tradeSums({ notes, rows }) {
  for (const [word, label, sign] of [['交易', '交易合计', 1], ['退款', '退款合计', 1]]) {
    const of = rows.filter((r) => r.业务类型 === word);
    const [, n, sum] = new RegExp(`#${label}：(\\d+)笔，[^\\d-]*(-?[\\d.]+)元`).exec(notes);
    assert.equal(Number(n), of.length);
    assert.equal(fen(sum), of.reduce((a, r) => a + sign * fen(r['商家实收（元）']), 0), label);
  }
}

before(async () => {
  sandbox = await new Sandbox().start('--callback-delay-ms', '20', '--speed', '50');
  client = alipayClient(sandbox, 'cert');
  await sandbox.ctl('books', APP, 'basic=100', 'fee_rate=6000');
  for (const no of ['A-1', 'A-MISSING', 'A-TWICE', 'A-LATER']) await call('alipay.trade.refund', refundBiz(no, 1250));
  await sandbox.ctl('plant', 'missing', 'A-MISSING');
  await sandbox.ctl('plant', 'twice', 'A-TWICE');
  await sandbox.ctl('plant', 'day', 'A-LATER', '1');
  for (const [no, product, identity_type] of [['W1', 'TRANS_ACCOUNT_NO_PWD', 'ALIPAY_USER_ID'],
    ['W2', 'TRANS_BANKCARD_NO_PWD', 'BANKCARD_ACCOUNT']]) {
    await call('alipay.fund.trans.uni.transfer', {
      out_biz_no: no, trans_amount: no === 'W2' ? '93.11' : '7.00', product_code: product, biz_scene: 'DIRECT_TRANSFER',
      order_title: '提现',
      payee_info: identity_type === 'BANKCARD_ACCOUNT' ?
        { identity: '6222021234567890123', identity_type, name: '张三', bankcard_ext_info: { account_type: '2', inst_name: '招商银行' } } :
        { identity: '2088000000000015', identity_type },
    });
  }
  await eventually('the transfer to bounce', async () => (await sandbox.transfer('W2'))?.status === 'REFUND');
});

after(() => sandbox?.remove());

test('there is none before ten of the next day, nor of what there never is', async () => {
  day = await nextDay(sandbox, 9);
  assert.equal((await where('trade')).subCode, 'isp.bill_not_exist');
  await sandbox.ctl('advance', '3700');
  assert.equal((await where('merchant_act')).subCode, 'TYPE_NOT_SUPPORTED');
  assert.equal((await where('trade', '2026-02-30')).subCode, 'INVAILID_ARGUMENTS');
});

test('the bill of trades: refunds negative, with their request numbers', async () => {
  const b = await bill('trade');
  assert.equal(b.heads.length, 25);
  assert.match(b.notes, /#账号：\[20880000000000010156\]/);
  assert.match(b.notes, new RegExp(`起始日期：\\[${day.slice(0, 4)}年${day.slice(5, 7)}月${day.slice(8)}日 00:00:00\\]`));
  tradeSums(b);
  const of = (no) => b.rows.filter((r) => r['退款批次号/请求号'] === no);
  assert.equal(fen(of('A-1')[0]['订单金额（元）']), -1250);
  assert.equal(fen(of('A-1')[0]['服务费（元）']), 8);
  assert.equal(of('A-1')[0].完成时间.slice(0, 10), day);
  assert.equal(of('A-MISSING').length, 0);
  assert.equal(of('A-LATER').length, 0);
  assert.equal(of('A-TWICE').length, 2);
  assert.ok(b.rows.some((r) => r.商品名称.startsWith('T') || r.商品名称.length > 0));
  assert.match(b.summary, /合计/);
});

test('the account\'s money goes on from row to row, transfers and bounces too', async () => {
  const b = await bill('signcustomer');
  let balance = 100;
  for (const r of b.rows) {
    const [came, went] = [fen(r['收入金额（+元）'].replace('+', '')), fen(r['支出金额（-元）'])];
    assert.ok(came >= 0 && went <= 0 && (came === 0) !== (went === 0));
    balance += came + went;
    assert.equal(fen(r['账户余额（元）']), balance);
  }
  closing = balance;
  const [, outs, out] = /#支出合计：(\d+)笔，共(-?[\d.]+)元/.exec(b.notes);
  assert.equal(Number(outs), b.rows.filter((r) => fen(r['支出金额（-元）']) < 0).length);
  assert.equal(fen(out), b.rows.reduce((a, r) => a + fen(r['支出金额（-元）']), 0));
  assert.deepEqual(b.rows.filter((r) => r.商户订单号 === 'W2').map((r) => r.业务类型), ['转账', '转账退回']);
  const t = await sandbox.transfer('W1');
  assert.deepEqual(b.rows.filter((r) => r.商户订单号 === 'W1').map((r) => [r.业务流水号, r['支出金额（-元）']]), [[t.transfer_id, '-7.00']]);
});

test('the next day has what was moved to it; a day without business has an empty file', async () => {
  const next = await nextDay(sandbox);
  const b = await bill('trade', next);
  assert.deepEqual(b.rows.map((r) => r['退款批次号/请求号']), ['A-LATER']);
  const ledger = await bill('signcustomer', next);
  assert.equal(fen(ledger.rows[0]['账户余额（元）']), closing - 1250);
  const empty = await bill('trade', await nextDay(sandbox));
  assert.equal(empty.code, 'EMPTY_DATA_WITH_BILL_FILE');
  assert.equal(empty.rows.length, 0);
  tradeSums(empty);
});

test('what is spoilt', async () => {
  const spoil = (what) => sandbox.ctl('spoil', APP, 'trade', day, what);
  await spoil('nothing');
  assert.equal((await where('trade')).subCode, 'NO_BILL_DATA');
  await spoil('limited');
  assert.equal((await where('trade')).code, '40005');
  await spoil('expired');
  assert.equal((await fetch((await where('trade')).billDownloadUrl)).status, 403);
  await spoil('torn');
  await assert.rejects(bill('trade'), /the end of a central directory/);
  await spoil('paths');
  await assert.rejects(bill('trade'), /\/etc\//);
  await spoil('totals');
  const wrong = await bill('trade');
  assert.throws(() => tradeSums(wrong), /退款合计/);
  await spoil('foreign');
  assert.match((await bill('trade')).notes, /20880000000000990156/);
  await spoil('historic');
  assert.equal((await bill('trade')).heads.length, 24);
  assert.ok(await failure(fetch(`${sandbox.url}/downloadBillFile.resource?token=x`).then((r) => assert.equal(r.status, 200))));
});
