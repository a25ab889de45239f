#!/usr/bin/env node
// Webhooks that Stripe never sent, signed as it would have signed them.
//
//   stripe_sign.mjs --secret FILE... [--at UNIX] < requests
//
// Each line of the input is one event's JSON.  Prints a line of JSON for
// each: {"headers": {...}, "body": "..."}, with a signature for every secret
// and the time --at, or now.  For refundx.callback_ingest and callback_inspect.
import fs from 'node:fs';
import readline from 'node:readline';
import { parseArgs } from 'node:util';
import { webhookHeaders } from './stripe.mjs';

const { values: args } = parseArgs({
  options: { secret: { type: 'string', multiple: true }, at: { type: 'string' } },
});
if (!args.secret) {
  console.error('usage: stripe_sign.mjs --secret FILE... [--at UNIX] < events');
  process.exit(2);
}
const secrets = args.secret.map((f) => fs.readFileSync(f, 'utf8').trim());
const at = args.at === undefined ? undefined : Number(args.at);
for await (const line of readline.createInterface({ input: process.stdin })) {
  if (line.trim() !== '') console.log(JSON.stringify(webhookHeaders(line, secrets, at)));
}
