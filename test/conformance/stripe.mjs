// What the Stripe tests share: the library as a client of a sandbox, as the
// receiver of its webhooks, and as the maker of headers that nobody sent.
import { once } from 'node:events';
import http from 'node:http';
import Stripe from 'stripe';

// An account of this sandbox, by the configuration that refundx gets.
export function account(sandbox, name = 'channel-stripe.json') {
  const c = sandbox.json(name);
  return {
    id: c.account_id,
    key: sandbox.key(c.secret_key).toString(),
    secrets: c.webhook_secrets.map((f) => sandbox.key(f).toString()),
  };
}

export function client(sandbox, key = account(sandbox).key, options = {}) {
  return new Stripe(key, {
    host: '127.0.0.1',
    port: sandbox.port,
    protocol: 'http',
    maxNetworkRetries: 0,
    timeout: 8000,
    telemetry: false,
    ...options,
  });
}

// The headers of a webhook with this body, as Stripe would send them: for
// refundx.callback_ingest and callback_inspect.  `payload` is a text or an
// object, `secret` one secret or several, `at` unix seconds.
export function webhookHeaders(payload, secret, at = Math.floor(Date.now() / 1000)) {
  const body = typeof payload === 'string' ? payload : JSON.stringify(payload, null, 2);
  const headers = [secret].flat().map((s) => Stripe.webhooks.generateTestHeaderString(
    { payload: body, secret: s, timestamp: at }));
  const signatures = headers.map((h) => h.slice(h.indexOf(',') + 1));
  return {
    body,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      'stripe-signature': `t=${at},${signatures.join(',')}`,
      'user-agent': 'Stripe/1.0 (+https://stripe.com/docs/webhooks)',
    },
  };
}

// An HTTP server that takes webhooks the way Stripe's documentation tells to.
export class Webhooks {
  constructor(secrets, status = () => 200) {
    this.secrets = secrets;
    this.status = status;
    this.good = [];
    this.bad = [];
    this.server = http.createServer((req, res) => this.receive(req, res));
  }

  async start() {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.url = `http://127.0.0.1:${this.server.address().port}/refundx/v1/stripe`;
    return this;
  }

  async receive(req, res) {
    const chunks = [];
    for await (const c of req) chunks.push(c);
    const body = Buffer.concat(chunks);
    const seen = { headers: req.headers, body, at: Date.now(), by: [] };
    for (const [i, secret] of this.secrets.entries()) {
      try {
        seen.event = Stripe.webhooks.constructEvent(body, req.headers['stripe-signature'], secret);
        seen.by.push(i);
      } catch (e) {
        seen.error = e;
      }
    }
    if (!seen.event) {
      this.bad.push(seen);
      res.writeHead(400).end();
      return;
    }
    this.good.push(seen);
    res.writeHead(await this.status(seen, this.good.length)).end();
  }

  // The events about a refund (or a charge's), in order of arrival.
  of(id, type) {
    return this.good.filter((s) => (s.event.data.object.id === id)
      && (!type || s.event.type === type));
  }

  types(id) { return this.of(id).map((s) => s.event.type); }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
