/* SPDX-License-Identifier: Apache-2.0
 *
 * A message as an SMTP client hands it on: a copy of its own, whether the server can take it, and the lines of its
 * envelope (RFC 5321; SIZE RFC 1870, 8BITMIME RFC 6152, SMTPUTF8 RFC 6531, DSN RFC 3461). Pure.
 */
#ifndef DELIVER_SMTP_MAIL_H
#define DELIVER_SMTP_MAIL_H

#include "deliver/mime_strip.h"
#include "deliver/provider.h"

/* What a server says of itself in its answer to EHLO. */
struct smtp_mail_offer {
	bool has_starttls, has_pipelining, has_size, has_8bit, has_utf8, has_dsn, has_plain, has_login;
	uint64_t size; /* 0: it names none */
};

struct smtp_mail {
	struct str from;
	struct str *recipients;
	unsigned n_recipients;
	struct str dsn; /* as in struct ipc_message */
	struct str content;
	bool has_utf8_address;
	bool needs_8bit, needs_utf8; /* of the server */
	char *memory;
	struct buf ascii; /* the content, when it had to be made so */
};

/* The message without the header fields that would be orders to a provider behind the server, in the name of whoever the
 * server takes us for. mime_strip_clear() ends it. */
void smtp_mail_strip(struct mime_strip *strip, struct str content);
/* ... and so is the copy. */
void smtp_mail_copy(struct smtp_mail *mail, const struct ipc_message *message);
void smtp_mail_clear(struct smtp_mail *mail);

/* For a server without 8BITMIME the content is made ASCII (RFC 6152, 3). False: the verdict says what the server would have
 * to be able to (UNFIT: another may be). */
bool smtp_mail_fit(struct smtp_mail *mail, const struct smtp_mail_offer *offer, struct provider_verdict *verdict);
void smtp_mail_put_mail(struct buf *out, const struct smtp_mail *mail, const struct smtp_mail_offer *offer);
void smtp_mail_put_rcpt(struct buf *out, const struct smtp_mail *mail, const struct smtp_mail_offer *offer, unsigned i);

#endif
