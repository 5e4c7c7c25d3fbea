/* SPDX-License-Identifier: Apache-2.0
 *
 * A mail message from its parts: header, text, HTML, attachments (RFC 5322, MIME). Pure but for the
 * files it is given to attach. Used by test-client.
 */
#ifndef CLIENT_CLIENT_MESSAGE_H
#define CLIENT_CLIENT_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

enum { CLIENT_MESSAGE_MAX = 256 << 20 };

/* One thing of a list of texts. */
struct client_texts {
	const char **text;
	size_t n;
};

struct client_attachment {
	const char *name; /* as the recipient sees it */
	const char *type; /* "application/pdf" */
	struct str bytes;
};

/* All borrowed; absent texts are NULL. */
struct client_message {
	const char *from;
	struct client_texts to, cc; /* addresses, perhaps with a name: "Ann <ann@example.com>" */
	const char *subject;
	const char *text, *html;
	struct client_texts header; /* further fields, "Name: value" */
	const struct client_attachment *attachments;
	size_t n_attachments;
	const char *id; /* of the Message-ID, without <>: unique */
	int64_t date;	/* seconds since 1970 */
};

/* Appends the message, with CRLF, not dot-stuffed. False: err says what cannot be sent so. */
bool client_message_build(const struct client_message *message, struct buf *out, struct err *err);

/* The address in "Ann <ann@example.com>" or "ann@example.com". False when there is none, or it has
 * something in it that would break out of a command. */
bool client_message_address(struct str text, struct str *address);
/* The media type that goes with a file's name, application/octet-stream when unknown. */
const char *client_message_type(const char *file_name);

#endif
