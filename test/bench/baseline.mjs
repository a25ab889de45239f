// A plain service that receives WeChat Pay callbacks: it verifies, decrypts,
// and does all of its business in one transaction for each, before it answers.
//
//	node baseline.mjs SOCKET_DIRECTORY DATABASE PUBLIC_KEY KEY_ID APIV3_KEY
//
// It prints its port when it is ready.  It keeps what such services keep: the
// message, the refund's state, the account's balance and its journal.  Its
// statements are prepared, its connections pooled, and their number (16) is
// the best of those that were tried on two cores.

import { createServer } from 'node:http';
import { createDecipheriv, createPublicKey, createVerify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import pg from 'pg';

const [host, database, publicKeyFile, keyId, apiv3File] = process.argv.slice(2);
const publicKey = createPublicKey(readFileSync(publicKeyFile));
const apiv3Key = readFileSync(apiv3File).subarray(0, 32);
const pool = new pg.Pool({ host, database, user: 'postgres', port: 5432, max: 16 });

function verify(headers, body) {
	const timestamp = headers['wechatpay-timestamp'];

	if (headers['wechatpay-serial'] !== keyId ||
		!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= 300))
		return false;
	return createVerify('sha256')
		.update(`${timestamp}\n${headers['wechatpay-nonce']}\n`).update(body).update('\n')
		.verify(publicKey, headers['wechatpay-signature'], 'base64');
}

function decrypt(resource) {
	const sealed = Buffer.from(resource.ciphertext, 'base64');
	const decipher = createDecipheriv('aes-256-gcm', apiv3Key, resource.nonce);

	decipher.setAAD(Buffer.from(resource.associated_data));
	decipher.setAuthTag(sealed.subarray(-16));
	return JSON.parse(Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]));
}

async function settle(message, refund, headers, body) {
	const client = await pool.connect();

	try {
		await client.query('BEGIN');
		const kept = await client.query({
			name: 'keep',
			text: 'INSERT INTO message (id, refund_no, headers, body) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING',
			values: [message.id, refund.out_refund_no, JSON.stringify(headers), body],
		});
		const { rows: [row] } = await client.query({
			name: 'lock',
			text: 'SELECT state, amount, account_id FROM refund WHERE refund_no = $1 FOR UPDATE',
			values: [refund.out_refund_no],
		});
		if (kept.rowCount === 1 && row?.state === 'accepted' && Number(row.amount) === refund.amount.refund) {
			await client.query({
				name: 'state',
				text: 'UPDATE refund SET state = $2, channel_refund_id = $3, settled_at = now() WHERE refund_no = $1',
				values: [refund.out_refund_no, 'succeeded', refund.refund_id],
			});
			await client.query({
				name: 'balance',
				text: `WITH a AS (UPDATE account SET frozen = frozen - $2 WHERE account_id = $1
					              RETURNING account_id, available, frozen)
					   INSERT INTO journal (account_id, refund_no, amount, available, frozen)
					   SELECT account_id, $3, $2, available, frozen FROM a`,
				values: [row.account_id, row.amount, refund.out_refund_no],
			});
		}
		await client.query('COMMIT');
	} catch (error) {
		await client.query('ROLLBACK');
		throw error;
	} finally {
		client.release();
	}
}

async function receive(request, response) {
	const chunks = [];

	for await (const chunk of request)
		chunks.push(chunk);
	const body = Buffer.concat(chunks);
	let status = 401;
	let code = 'FAIL';

	try {
		if (verify(request.headers, body)) {
			const message = JSON.parse(body);

			await settle(message, decrypt(message.resource), request.headers, body);
			status = 200;
			code = 'SUCCESS';
		}
	} catch (error) {
		status = 500;
		console.error(error);
	}
	response.writeHead(status, { 'Content-Type': 'application/json' });
	response.end(JSON.stringify({ code }));
}

const server = createServer(receive);

server.keepAliveTimeout = 60000;
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
