// node verify.mjs PROOF.json NUMBER [PUBLIC_KEY.pem]
//	  The same as verify.py, in another language.
import { createHash, createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import assert from 'node:assert';

const [file, number, key] = process.argv.slice(2);
const sha = (...parts) => createHash('sha256').update(Buffer.concat(parts)).digest();

function read(text) { // NAME=VALUE lines; a text has its length in front
	const out = {};
	let rest = Buffer.from(text).subarray(text.indexOf('\n') + 1);
	while (rest.length > 0) {
		const name = rest.subarray(0, rest.indexOf('=')).toString();
		rest = rest.subarray(name.length + 1);
		const long = /^(\d+):/.exec(rest.subarray(0, 20).toString('latin1'));
		const start = long ? long[0].length : 0;
		const end = long ? start + Number(long[1]) : rest.indexOf('\n');
		out[name] = rest.subarray(start, end).toString();
		rest = rest.subarray(end + 1);
	}
	return out;
}

const root = (leaf, path) => path.reduce((hash, [side, hex]) => {
	const other = Buffer.from(hex, 'hex');
	return side === 'left' ? sha(Buffer.of(1), other, hash) : sha(Buffer.of(1), hash, other);
}, sha(Buffer.of(0), leaf)).toString('hex');

for (const part of JSON.parse(readFileSync(file)).lines) {
	const line = read(part.line);
	assert.equal(line.number, number, 'a line of another refund');
	assert.equal(root(Buffer.from(part.line), part.path), read(part.seal).root, 'not in its seal');
	assert.equal(root(sha(Buffer.from(part.seal)), part.day_path), read(part.statement).root, 'not in its day');
	const good = key && part.signature && verify('sha256', Buffer.from(part.statement),
		createPublicKey(readFileSync(key)), Buffer.from(part.signature, 'base64'));
	assert(good || !key, 'not signed, or not with this key');
	console.log(line.type, line.d_available, line.d_frozen, line.currency, 'account', line.account,
		'day', read(part.statement).day, good ? 'signed' : 'unsigned');
}
