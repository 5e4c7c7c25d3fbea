// SPDX-License-Identifier: Apache-2.0
// Nodemailer, as its manual shows it.
const fs = require('fs');
const path = require('path');
const nodemailer = require('nodemailer');
const env = process.env;
const at = (name) => path.join(env.SP_CONTENT, name);

const transport = nodemailer.createTransport({
	host: env.SP_HOST,
	port: Number(env.SP_PORT),
	secure: env.SP_TLS === 'implicit',
	requireTLS: true,
	auth: { user: env.SP_USER, pass: env.SP_PASSWORD },
	tls: { ca: fs.readFileSync(env.SP_CA) },
});

transport.sendMail({
	from: { name: 'Zoë Sender', address: env.SP_FROM },
	to: env.SP_TO,
	cc: env.SP_CC,
	bcc: env.SP_BCC,
	subject: fs.readFileSync(at('subject.txt'), 'utf8'),
	text: fs.readFileSync(at('text.txt'), 'utf8'),
	html: fs.readFileSync(at('body.html'), 'utf8'),
	attachments: [
		{ filename: env.SP_FILE_NAME, path: at('attachment.pdf'), contentType: 'application/pdf' },
		{ filename: 'logo.png', path: at('logo.png'), cid: env.SP_CID },
	],
}).then((info) => console.log(info.response), (error) => { console.error(error); process.exit(1); });
