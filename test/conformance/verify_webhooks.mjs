// What the courier has sent, verified by code that nobody here wrote: each line of
// the file is a request as it came over HTTP.
//
//   node verify_webhooks.mjs REQUESTS SECRET [SECRET...]
//
// Every request must verify with every secret.  Prints a line for each:
// "path id type subject number-of-signatures"; a failure is an exception.
import fs from 'node:fs';
import assert from 'node:assert/strict';
import { Webhook } from 'standardwebhooks';
import { HTTP, CloudEvent } from 'cloudevents';

const [file, ...secrets] = process.argv.slice(2);
const webhooks = secrets.map((secret) => new Webhook(secret));

assert.ok(webhooks.length > 0);
for (const line of fs.readFileSync(file, 'utf8').split('\n').filter(Boolean)) {
  const { method, path, headers, body } = JSON.parse(line);
  assert.equal(method, 'POST');
  for (const webhook of webhooks) {
    const verified = webhook.verify(body, headers);
    assert.deepEqual(verified, JSON.parse(body));
    assert.throws(() => webhook.verify(body.replace('"1.0"', '"1.1"'), headers));
  }

  const event = HTTP.toEvent({ headers, body });
  assert.ok(event instanceof CloudEvent);
  assert.ok(event.validate());
  assert.equal(event.specversion, '1.0');
  assert.equal(event.datacontenttype, 'application/json');
  assert.equal(event.id, headers['webhook-id']);
  assert.equal(event.partitionkey, event.subject);
  assert.match(event.sequence, /^\d{20}$/);
  assert.equal(Number(event.sequence), event.data.sequence);
  assert.equal(event.data.refund_no ?? event.data.withdrawal_no, event.subject);
  console.log(path, event.id, event.type, event.subject, headers['webhook-signature'].split(' ').length);
}
