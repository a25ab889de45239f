#!/usr/bin/env node
// The merchant's console: refunds that somebody makes beside the extension.
//
//   console.mjs --sandbox DIR < bodies
//
// One refund's JSON a line, called with wechatpay-axios-plugin under the first
// merchant's key; prints the HTTP status of each.
import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { parseArgs } from 'node:util';
import wechatpay from 'wechatpay-axios-plugin';

const { values: args } = parseArgs({ options: { sandbox: { type: 'string' } } });
if (!args.sandbox) {
  console.error('usage: console.mjs --sandbox DIR < bodies');
  process.exit(2);
}
const read = (...names) => fs.readFileSync(path.join(args.sandbox, ...names), 'utf8');
const config = JSON.parse(read('channel.json'));
const client = new wechatpay.Wechatpay({
  mchid: config.mchid,
  serial: config.merchant_serial,
  privateKey: read('keys', config.private_key),
  certs: { [config.use_key]: read('keys', config.wechat_keys[config.use_key]) },
  baseURL: `${config.base_url}/`,
  headers: { 'Wechatpay-Serial': config.use_key },
  timeout: 8000,
});

for await (const line of readline.createInterface({ input: process.stdin })) {
  if (line.trim() === '') continue;
  try {
    const { status } = await client.v3.refund.domestic.refunds.post(JSON.parse(line));
    console.log(status);
  } catch (e) {
    console.log(e.response?.status ?? e.message);
  }
}
