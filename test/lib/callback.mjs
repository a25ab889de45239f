// Makes callbacks as WeChat Pay would, for tests of whoever receives them.
//
//	node callback.mjs SANDBOX_DATA < specs > callbacks
//
// One JSON object a line, in and out.  A spec has what the test cares about:
//	no, amount, total, payment_no, status, mchid, ...	what the refund says
//	transfer		true: of a transfer; no, amount, status, mchid are its own
//	sub_mchid		a partner's message, which has sp_mchid beside it
//	of				the merchant whose keys are used, unless it is the first
//	event			event_type, unless it is REFUND.<status>
//	plain			the whole decrypted text instead
//	body			the whole body instead (not encrypted)
//	age				seconds by which the signature is old
//	apiv3_key		another key to encrypt with
//	headers			members replace what would be sent; null leaves it out
//	tamper			true: the body is changed after it was signed
// What comes out: {"headers": {...}, "body": "<base64>"}.

import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';

const data = process.argv[2];
const read = (...names) => fs.readFileSync(path.join(data, ...names), 'utf8');
const merchants = new Map();
let serialNumber = 0;

// The first merchant's files have plain names, the others' begin with the number.
function keysOf(mchid) {
	if (!merchants.has(mchid)) {
		const prefix = mchid === undefined ? '' : `${mchid}-`;

		merchants.set(mchid, {
			config: JSON.parse(read(mchid === undefined ? 'channel.json' : `channel-${mchid}.json`)),
			platformKey: crypto.createPrivateKey(read('private', `${prefix}wechat_pub_key_private.pem`)),
			apiv3Key: read('keys', `${prefix}apiv3.key`).trim(),
		});
	}
	return merchants.get(mchid);
}

function seal(plain, key, type) {
	const nonce = crypto.randomBytes(6).toString('hex');
	const cipher = crypto.createCipheriv('aes-256-gcm', Buffer.from(key), Buffer.from(nonce));

	cipher.setAAD(Buffer.from(type));
	const sealed = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()]);
	return {
		original_type: type,
		algorithm: 'AEAD_AES_256_GCM',
		ciphertext: sealed.toString('base64'),
		associated_data: type,
		nonce,
	};
}

function refundText(spec, mchid) {
	const status = spec.status ?? 'SUCCESS';

	return JSON.stringify({
		...(spec.sub_mchid ? { sp_mchid: mchid, sub_mchid: spec.sub_mchid } : { mchid }),
		transaction_id: spec.transaction_id ?? `42000${spec.payment_no ?? 'P'}`,
		out_trade_no: spec.payment_no ?? 'P',
		refund_id: spec.refund_id ?? `50000${spec.no}`,
		out_refund_no: spec.no,
		refund_status: status,
		...(status === 'SUCCESS' ? { success_time: '2026-01-02T03:04:05+08:00' } : {}),
		user_received_account: '支付用户零钱',
		amount: {
			total: spec.total ?? spec.amount,
			refund: spec.amount,
			payer_total: spec.total ?? spec.amount,
			payer_refund: spec.payer_amount ?? spec.amount,
		},
	});
}

function transferText(spec, mchid) {
	return JSON.stringify({
		out_bill_no: spec.no,
		transfer_bill_no: spec.transfer_bill_no ?? `13300${spec.no}`,
		state: spec.status ?? 'SUCCESS',
		mch_id: mchid,
		transfer_amount: spec.amount,
		openid: 'oUpF8uMuAJO_M2pxb1Q9zNjWeS6o',
		create_time: '2026-01-02T03:04:05+08:00',
		update_time: '2026-01-02T03:04:06+08:00',
	});
}

function make(spec) {
	const { config, platformKey, apiv3Key } = keysOf(spec.of);
	const event = spec.event ?? (spec.transfer ? 'MCHTRANSFER.BILL.FINISHED' : `REFUND.${spec.status ?? 'SUCCESS'}`);
	const text = spec.transfer ? transferText : refundText;
	let body = spec.body ?? JSON.stringify({
		id: `EV-${++serialNumber}`,
		create_time: '2026-01-02T03:04:06+08:00',
		resource_type: 'encrypt-resource',
		event_type: event,
		summary: spec.transfer ? '商家转账' : '退款',
		resource: seal(spec.plain ?? text(spec, spec.mchid ?? config.mchid), spec.apiv3_key ?? apiv3Key,
			spec.transfer ? 'mch_payment' : 'refund'),
	});
	const timestamp = String(Math.floor(Date.now() / 1000) - (spec.age ?? 0));
	const nonce = crypto.randomBytes(16).toString('hex');
	const signature = crypto.sign('sha256', Buffer.from(`${timestamp}\n${nonce}\n${body}\n`), platformKey);
	const headers = {
		'Content-Type': 'application/json',
		'Request-ID': crypto.randomUUID(),
		'Wechatpay-Timestamp': timestamp,
		'Wechatpay-Nonce': nonce,
		'Wechatpay-Serial': config.use_key,
		'Wechatpay-Signature': signature.toString('base64'),
		'Wechatpay-Signature-Type': 'WECHATPAY2-SHA256-RSA2048',
		...(spec.headers ?? {}),
	};

	for (const name of Object.keys(headers))
		if (headers[name] === null) delete headers[name];
	if (spec.tamper) body = body.replace(/"id":"EV-/, '"id":"XX-');
	return { headers, body: Buffer.from(body).toString('base64') };
}

for await (const line of readline.createInterface({ input: process.stdin }))
	if (line.trim() !== '') process.stdout.write(`${JSON.stringify(make(JSON.parse(line)))}\n`);
