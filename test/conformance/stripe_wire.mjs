// Is a request to Stripe one that npm's stripe would have made?
//
// There is no signature to verify.  So the request is taken apart, its
// parameters are given to the library, and what the library would send for
// them is compared with what is on the wire.
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import Stripe from 'stripe';

// a[b]=1&c[]=2&c[]=3 as the object that it means
function nested(pairs) {
  const out = {};
  for (const [name, value] of pairs) {
    const keys = [...name.matchAll(/^[^[]+|\[([^\]]*)\]/g)].map((m) => m[1] ?? m[0]);
    let at = out;
    keys.forEach((key, i) => {
      const k = key === '' ? Object.keys(at).length : key;
      if (i === keys.length - 1) at[k] = value;
      else at = (at[k] ??= /^\d*$/.test(keys[i + 1]) ? [] : {});
    });
  }
  return out;
}

// The pairs in an order of their own; c[] and c[0] are the same.
const canonical = (pairs) => [...pairs].map(([k, v]) => `${k.replace(/\[\d+\]/g, '[]')}=${v}`).sort();

const calls = [
  ['POST', /^\/v1\/refunds$/, (s, id, p, o) => s.refunds.create(p, o)],
  ['GET', /^\/v1\/refunds$/, (s, id, p, o) => s.refunds.list(p, o)],
  ['GET', /^\/v1\/refunds\/(\w+)$/, (s, id, p, o) => s.refunds.retrieve(id, p, o)],
  ['POST', /^\/v1\/refunds\/(\w+)$/, (s, id, p, o) => s.refunds.update(id, p, o)],
  ['POST', /^\/v1\/refunds\/(\w+)\/cancel$/, (s, id, p, o) => s.refunds.cancel(id, p, o)],
  ['GET', /^\/v1\/account$/, (s, id, p, o) => s.accounts.retrieveCurrent(p, o)],
  ['GET', /^\/v1\/balance$/, (s, id, p, o) => s.balance.retrieve(p, o)],
];

// Its request, which goes nowhere.
async function whatTheLibrarySends(key, call, id, params, options) {
  let sent;
  const httpClient = Stripe.createFetchHttpClient(async (url, init) => {
    sent = { url: new URL(url), headers: new Headers(init.headers), body: init.body ?? '' };
    return new Response('{}', { headers: { 'Content-Type': 'application/json' } });
  });
  await call(new Stripe(key, { httpClient, telemetry: false }), id, params, options);
  return sent;
}

export class StripeWire {
  constructor(dir) {
    const read = (...p) => fs.readFileSync(path.join(dir, ...p), 'utf8');
    this.accounts = new Map();
    for (const name of fs.readdirSync(dir).filter((f) => /^channel-stripe.*\.json$/.test(f))) {
      const c = JSON.parse(read(name));
      this.accounts.set(read('keys', c.secret_key).trim(), c.account_id);
    }
    this.sent = new Map();
  }

  // What is wrong with a request; undefined if nothing is.
  async check(req, body) {
    const { pathname, searchParams } = new URL(req.url, 'http://localhost');
    const key = /^Bearer (\S+)$/.exec(req.headers.authorization ?? '')?.[1];
    if (!this.accounts.has(key)) return 'no secret key of this sandbox';
    const post = req.method === 'POST';
    if (post && !/^application\/x-www-form-urlencoded\b/.test(req.headers['content-type'] ?? '')) {
      return 'Content-Type is no form';
    }
    if (post && searchParams.size > 0) return 'a POST with a query';
    if (!post && body.length > 0) return 'a GET with a body';
    const found = calls.find(([method, re]) => method === req.method && re.test(pathname));
    if (!found) return 'the library has no such call';
    const pairs = post ? new URLSearchParams(body.toString('utf8')) : searchParams;
    return await this.compare(req, key, found, pathname, pairs) ?? this.sameParameters(req, key, body);
  }

  async compare(req, key, [, re, call], pathname, pairs) {
    const options = {};
    if (req.headers['stripe-account']) options.stripeAccount = req.headers['stripe-account'];
    if (req.headers['idempotency-key']) options.idempotencyKey = req.headers['idempotency-key'];
    if (req.method === 'POST' && !options.idempotencyKey) return 'no Idempotency-Key';
    const theirs = await whatTheLibrarySends(key, call, re.exec(pathname)[1], nested(pairs), options);
    const expected = req.method === 'POST' ? new URLSearchParams(theirs.body) : theirs.url.searchParams;
    if (theirs.url.pathname !== pathname) return `the library calls ${theirs.url.pathname}`;
    for (const name of ['authorization', 'idempotency-key', 'stripe-account']) {
      if ((theirs.headers.get(name) ?? undefined) !== req.headers[name]) return `${name} is not the library's`;
    }
    if (req.headers['stripe-version'] && !/^\d{4}-\d\d-\d\d(\.[a-z_]+)?$/.test(req.headers['stripe-version'])) {
      return 'Stripe-Version is no version';
    }
    const [a, b] = [canonical(pairs), canonical(expected)];
    return a.join('&') === b.join('&') ? undefined : 'parameters are not as the library encodes them';
  }

  // A key stands for its parameters: whatever is sent again must be the same.
  sameParameters(req, secret, body) {
    const key = req.headers['idempotency-key'];
    if (req.method !== 'POST') return undefined;
    if (!/^[\x21-\x7e]{1,255}$/.test(key)) return 'Idempotency-Key is not of 1 to 255 visible characters';
    const name = `${this.accounts.get(secret)}/${req.headers['stripe-account'] ?? ''}/${key}`;
    const digest = crypto.createHash('sha256').update(`${req.url}\n`).update(body).digest('hex');
    const known = this.sent.get(name);
    this.sent.set(name, digest);
    return known && known !== digest ? `key ${key} was sent with other parameters before` : undefined;
  }
}
