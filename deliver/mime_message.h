/* SPDX-License-Identifier: Apache-2.0
 *
 * A message taken apart for the providers that want pieces instead of MIME: addresses, subject, header
 * fields, texts, attachments. Nothing of a message is ever lost: what cannot be understood becomes text or
 * an attachment.
 */
#ifndef DELIVER_MIME_MESSAGE_H
#define DELIVER_MIME_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"

enum {
	MIME_MESSAGE_PARTS = 1000,
	MIME_MESSAGE_FIELDS = 1000,
	MIME_MESSAGE_ADDRESSES = 10000,
};

enum mime_role {
	MIME_TEXT,	  /* the text/plain to be read */
	MIME_HTML,	  /* the text/html to be read */
	MIME_ALTERNATIVE, /* another form of the same: text/calendar, text/x-amp-html */
	MIME_INLINE,	  /* shown within the html, which names its content id */
	MIME_ATTACHMENT,
};

struct mime_part {
	enum mime_role role;
	struct str type;       /* "text/plain", lower case, printable ASCII */
	struct str name;       /* the file's; empty when there is none */
	struct str content_id; /* without < > */
	struct str body;       /* decoded; in UTF-8 for the first three roles */
};

/* In UTF-8. */
struct mime_address {
	struct str name, email;
};

struct mime_addresses {
	struct mime_address *list;
	unsigned n;
};

struct mime_header {
	struct str name;
	struct str value; /* on one line, printable ASCII (RFC 2047) */
};

struct mime_message {
	struct mime_addresses from, reply_to, to, cc;
	struct str subject; /* UTF-8, on one line */
	struct mime_header *headers; /* all fields, those above and Content-... too, in their order */
	unsigned n_headers;
	struct mime_part *parts;
	unsigned n_parts;
	bool is_signed, is_encrypted; /* in it is something (RFC 1847, 8551) that means what it does only when it is not taken apart */
	struct mime_memory *memory;
};

/* Starts GMime and loads the charsets; call it before the root directory changes. */
void mime_message_prepare(void);

/* `content` is borrowed for the life of the message. False when it has more parts than MIME_MESSAGE_PARTS
 * (or looks as if it had so many more, or so many header fields, that reading it would be an attack). mime_message_clear() in both
 * cases. */
bool mime_message_parse(struct mime_message *message, struct str content);
void mime_message_clear(struct mime_message *message);

#endif
