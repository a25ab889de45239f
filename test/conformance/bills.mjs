// Bills as a merchant reads them, from the channels' documents: what checks
// the sandbox's files here is shared neither with it nor with refundx.
import assert from 'node:assert/strict';

const DAY = 86400000;
export const BEIJING = 8 * 3600000;

// YYYY-MM-DD in Beijing of a time in ms.
export const dayOf = (ms) => new Date(ms + BEIJING).toISOString().slice(0, 10);

// Move the sandbox's clock to an hour of its next day in Beijing; the day that
// is over then.
export async function nextDay(sandbox, hour = 10.5) {
  const now = await sandbox.businessNow();
  const start = Math.floor((now + BEIJING) / DAY) * DAY - BEIJING;
  await sandbox.ctl('advance', String(Math.ceil((start + DAY + hour * 3600000 - now) / 1000)));
  return dayOf(start);
}

// Units of a hundred-thousandth, from any number of decimals.
export function decimal(s) {
  const m = /^(-?)(\d+)(?:\.(\d{1,5}))?$/.exec(s);
  assert.ok(m, `a decimal number: ${s}`);
  const n = BigInt(m[2]) * 100000n + BigInt((m[3] ?? '').padEnd(5, '0'));
  return Number(m[1] ? -n : n);
}

export const fen = (s) => {
  const n = decimal(s);
  assert.ok(n % 1000 === 0, `whole fen: ${s}`);
  return n / 1000;
};

// WeChat Pay's: {rows, summary}, each an object by its headings.
export function wechat(bytes) {
  assert.deepEqual([...bytes.subarray(0, 3)], [0xef, 0xbb, 0xbf], 'a byte order mark');
  const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  assert.ok(text.endsWith('\r\n'), 'the last line ends, too');
  const lines = text.slice(0, -2).split('\r\n');
  const names = lines[0].split(',');
  const values = (line) => {
    assert.equal(line[0], '`');
    return line.slice(1).split(',`');
  };
  const object = (heads, line) => {
    const v = values(line);
    assert.equal(v.length, heads.length, line);
    return Object.fromEntries(heads.map((h, i) => [h, v[i]]));
  };
  const end = lines.findIndex((l, i) => i > 0 && l[0] !== '`');
  assert.equal(end, lines.length - 2, 'then a row of headings and one of sums');
  return {
    names,
    rows: lines.slice(1, end).map((l) => object(names, l)),
    summary: object(lines[end].split(','), lines[end + 1]),
  };
}

// The sums of columns are what the summary says.
export function wechatTradeSums({ rows, summary }) {
  const sum = (name) => rows.reduce((n, r) => n + decimal(r[name]), 0);
  assert.equal(decimal(summary.总交易单数), rows.length * 100000);
  for (const [total, column] of [['应结订单总金额', '应结订单金额'], ['退款总金额', '退款金额'],
    ['充值券退款总金额', '充值券退款金额'], ['手续费总金额', '手续费'], ['订单总金额', '订单金额'],
    ['申请退款总金额', '申请退款金额']]) {
    if (total in summary) assert.equal(decimal(summary[total]), sum(column), total);
  }
}

// The balance goes on from row to row; what there was before the first.
export function wechatFundChain({ rows, summary }, opening) {
  let balance = opening;
  const count = { 收入: 0, 支出: 0 };
  const amount = { 收入: 0, 支出: 0 };
  for (const r of rows) {
    const n = fen(r['收支金额(元)']);
    assert.ok(n > 0);
    count[r.收支类型] += 1;
    amount[r.收支类型] += n;
    balance += r.收支类型 === '收入' ? n : -n;
    assert.equal(fen(r['账户结余(元)']), balance, JSON.stringify(r));
  }
  assert.equal(decimal(summary.资金流水总笔数), rows.length * 100000);
  assert.equal(decimal(summary.收入笔数), count.收入 * 100000);
  assert.equal(decimal(summary.支出笔数), count.支出 * 100000);
  assert.equal(fen(summary.收入金额), amount.收入);
  assert.equal(fen(summary.支出金额), amount.支出);
  return balance;
}
