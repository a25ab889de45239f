// The sandbox's own promise: what anybody has seen of it is still true after
// kill -9, and a torn last line is the end of a write that nobody has seen.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { Sandbox, Receiver, refundBody, transferBody, eventually } from './lib.mjs';

const create = (c, body) => c.v3.refund.domestic.refunds.post(body);

async function withSandbox(fn) {
  const s = new Sandbox();
  try {
    await fn(s, path.join(s.dir, 'ledger.log'));
  } finally {
    await s.remove();
  }
}

test('kill -9 in the middle of a flood: every answer that was given holds', () =>
  withSandbox(async (s) => {
    await s.start();
    const acknowledged = new Map();
    for (let round = 0; round < 3; round++) {
      const c = s.client();
      const calls = Array.from({ length: 60 }, (_, i) => {
        const no = `KILL-${round}-${i}`;
        return create(c, refundBody(no, 100 + i))
          .then((r) => acknowledged.set(no, r.data.refund_id), () => {});
      });
      await eventually('some answers', () => acknowledged.size > round * 60 + 10);
      await s.stop('SIGKILL');
      await Promise.all(calls);
      await s.start();
      const { refunds } = await s.ctl('ledger');
      const known = new Map(refunds.map((r) => [r.no, r]));
      for (const [no, id] of acknowledged) assert.equal(known.get(no)?.refund_id, id, no);
      assert.equal(known.size, refunds.length, 'a number is in the ledger once');
      for (const r of refunds) await create(s.client(), refundBody(r.no, r.amount));
      assert.equal((await s.ctl('ledger')).refunds.length, refunds.length, 'repeats add nothing');
      for (let i = 0; acknowledged.size < (round + 1) * 60; i++) {
        const no = `KILL-${round}-${i}`;
        acknowledged.set(no, (await create(s.client(), refundBody(no, 100 + i))).data.refund_id);
      }
    }
    await eventually('all to settle', async () => (await s.ctl('stats')).refunds.SUCCESS === 180);
    for (const r of (await s.ctl('ledger')).refunds) assert.equal(r.paid_times, 1, r.no);
  }));

test('kill -9 in the middle of transfers: every answer that was given holds', () =>
  withSandbox(async (s) => {
    await s.start('--callback-delay-ms', '5');
    const transfer = (no, fen) => s.client().v3['fund-app']['mch-transfer']['transfer-bills'].post(transferBody(no, fen));
    const acknowledged = new Map();
    for (let round = 0; round < 3; round++) {
      const calls = Array.from({ length: 40 }, (_, i) => {
        const no = `KILL${round}x${i}`;
        return transfer(no, 100 + i).then((r) => acknowledged.set(no, r.data), () => {});
      });
      const before = acknowledged.size;
      await eventually('some answers', () => acknowledged.size > before + 8);
      await s.stop('SIGKILL');
      await Promise.all(calls);
      await s.start('--callback-delay-ms', '5');
      const { transfers, refunds } = await s.ctl('ledger');
      const known = new Map(transfers.map((t) => [t.no, t]));
      assert.deepEqual([known.size, refunds.length], [transfers.length, 0], 'a number is in the ledger once');
      for (const [no, data] of acknowledged) assert.equal(known.get(no)?.transfer_id, data.transfer_bill_no, no);
    }
    const count = (await s.ctl('ledger')).transfers.length;
    await eventually('all to settle', async () => (await s.ctl('stats')).transfers.SUCCESS === count);
    for (const t of (await s.ctl('ledger')).transfers) assert.deepEqual([t.paid_times, t.net], [1, t.amount], t.no);
  }));

test('a line torn at any byte is dropped, and only that line', () =>
  withSandbox(async (s, file) => {
    await s.start('--callback-delay-ms', '0');
    await create(s.client(), refundBody('TORN-1', 100));
    await eventually('it to settle', async () => (await s.refund('TORN-1')).status === 'SUCCESS');
    await s.stop();
    const whole = fs.readFileSync(file);
    const lines = whole.toString().trimEnd().split('\n');
    assert.ok(lines.length >= 3);
    const lastLength = Buffer.byteLength(`${lines.at(-1)}\n`);
    assert.equal(JSON.parse(lines.at(-1)).e, 'settle');
    for (const cut of [1, 2, Math.floor(lastLength / 2), lastLength - 1]) {
      fs.writeFileSync(file, whole.subarray(0, whole.length - cut));
      assert.equal((await s.offline()).refunds[0].status, 'PROCESSING', `${cut} bytes cut`);
      assert.equal(fs.statSync(file).size, whole.length - cut, 'reading changes nothing');
    }
    await s.start('--callback-delay-ms', '0');
    assert.equal((await s.ctl('stats')).ledger.torn_bytes, 1);
    await eventually('it to settle again', async () => (await s.refund('TORN-1')).status === 'SUCCESS');
    assert.equal((await s.refund('TORN-1')).paid_times, 1);
    await s.stop();
    for (const line of fs.readFileSync(file, 'utf8').trimEnd().split('\n')) JSON.parse(line);
  }));

test('zeros at the end, as after a power cut, are dropped too', () =>
  withSandbox(async (s, file) => {
    await s.start();
    await create(s.client(), refundBody('ZERO-1', 100));
    await s.stop();
    fs.appendFileSync(file, Buffer.alloc(512));
    await s.start();
    assert.equal((await s.ctl('ledger')).refunds.length, 1);
  }));

test('damage in the middle is not guessed at', () =>
  withSandbox(async (s, file) => {
    await s.start();
    await create(s.client(), refundBody('DAMAGE-1', 100));
    await s.stop();
    const text = fs.readFileSync(file, 'utf8');
    fs.writeFileSync(file, text.replace('{', '['));
    const r = spawnSync(process.env.SANDBOX, ['serve', '--data', s.dir], { timeout: 10000 });
    assert.equal(r.status, 1);
    assert.match(r.stderr.toString(), /damaged at byte 0/);
  }));

test('two sandboxes do not share a ledger', () =>
  withSandbox(async (s) => {
    await s.start();
    const r = spawnSync(process.env.SANDBOX, ['serve', '--data', s.dir], { timeout: 10000 });
    assert.equal(r.status, 1);
    assert.match(r.stderr.toString(), /another sandbox/);
  }));

test('callbacks that were due before kill -9 are pushed after it', () =>
  withSandbox(async (s) => {
    await s.start('--callback-delay-ms', '20');
    const receiver = await new Receiver(s.merchant()).start();
    try {
      await s.ctl('pause-callbacks', 'on');
      for (let i = 0; i < 5; i++) {
        await create(s.client(), refundBody(`PEND-${i}`, 100, { notify_url: receiver.url }));
      }
      await eventually('five pending', async () => (await s.ctl('stats')).callbacks.pending === 5);
      await s.stop('SIGKILL');
      await s.start();
      assert.equal((await s.ctl('stats')).callbacks.paused, true);
      assert.equal(receiver.good.length, 0);
      await s.ctl('pause-callbacks', 'off');
      await eventually('five callbacks', () => receiver.good.length === 5);
      await eventually('none pending', async () => (await s.ctl('stats')).callbacks.pending === 0);
    } finally {
      receiver.stop();
    }
  }));

test('the fate of a number outlives kill -9: first tries, top-ups, modes, the clock', () =>
  withSandbox(async (s) => {
    await s.start();
    const code = async (no, fen) => create(s.client(), refundBody(no, fen))
      .then((r) => r.status, (e) => e.response.data.code);
    assert.equal(await code('FATE-1', 9010), 'FREQUENCY_LIMITED');
    assert.equal(await code('FATE-2', 9009), 'NOT_ENOUGH');
    await s.ctl('topup');
    await s.ctl('sms', 'down');
    const { now_ms: before } = await s.ctl('advance', '86400');
    await s.stop('SIGKILL');
    await s.start();
    assert.equal(await code('FATE-1', 9010), 200);
    assert.equal(await code('FATE-2', 9009), 200);
    const stats = await s.ctl('stats');
    assert.equal(stats.sms.mode, 'down');
    assert.ok(stats.clock.now_ms >= before);
  }));

test('wire.log has every request, with its number and digest, before the answer', () =>
  withSandbox(async (s) => {
    await s.start();
    const body = refundBody('WIRE-1', 100);
    const t0 = Date.now() * 1000;
    await create(s.client(), body);
    const lines = s.read('wire.log').trimEnd().split('\n').map((l) => l.split('\t'));
    const [line] = lines.filter((l) => l[3] === 'WIRE-1');
    assert.equal(line[1], 'wechat.refund.create');
    assert.equal(line[2], '1900000100');
    assert.ok(Number(line[0]) >= t0 - 1000 && Number(line[0]) <= Date.now() * 1000);
    assert.match(line[4], /^[0-9a-f]{64}$/);
  }));

test('the command line says what is wrong, and exits with 1', () =>
  withSandbox(async (s) => {
    await s.start();
    const ctl = (...args) => spawnSync(process.env.SANDBOX, ['ctl', '--data', s.dir, ...args]);
    assert.equal(ctl('settle', 'NOBODY', 'SUCCESS').status, 1);
    assert.equal(ctl('no-such-command').status, 1);
    assert.equal(ctl('help').status, 0);
    await create(s.client(), refundBody('CTL-1', 100));
    await eventually('it to settle', async () => (await s.refund('CTL-1')).status === 'SUCCESS');
    const tsv = execFileSync(process.env.SANDBOX, ['ctl', '--data', s.dir, 'tsv']).toString();
    assert.equal(tsv, 'CTL-1\t100\tSUCCESS\t1\n');
    await s.client().v3['fund-app']['mch-transfer']['transfer-bills'].post(transferBody('CTL2', 9016));
    const again = (...args) => execFileSync(process.env.SANDBOX, [...args, '--data', s.dir]).toString();
    assert.equal(execFileSync(process.env.SANDBOX, ['ctl', '--data', s.dir, 'tsv']).toString(), tsv, 'refunds only');
    const transfers = 'CTL2\t9016\tSUCCESS\t1\t0\n';
    assert.equal(execFileSync(process.env.SANDBOX, ['ctl', '--data', s.dir, 'transfers-tsv']).toString(), transfers);
    assert.equal(again('ledger', '--transfers-tsv'), transfers);
    assert.equal(again('ledger', '--tsv'), tsv);
    assert.equal(ctl('settle', 'CTL-1', 'CLOSED').status, 1);
    await s.stop();
    assert.equal(ctl('ledger').status, 1);
    assert.equal((await s.offline()).refunds.length, 1);
  }));

test('the README\'s tables are the program\'s', () => {
  const readme = fs.readFileSync(new URL('../../sandbox/README.md', import.meta.url), 'utf8');
  const rows = execFileSync(process.env.SANDBOX, ['outcomes']).toString().split('\n')
    .filter((l) => l.startsWith('| '));
  assert.ok(rows.length > 35);
  for (const row of rows) assert.ok(readme.includes(`${row}\n`), row);
});
