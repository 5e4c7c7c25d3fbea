/* SPDX-License-Identifier: Apache-2.0
 *
 * The structure of a message while it streams by (RFC 2045, 2046, 2231): how large its headers are, how deep its
 * parts are nested, and how large its attachments are when decoded. Every octet is seen once and nothing is kept
 * but an unfinished line, the Content- field under way and the boundaries in force. A message that is merely odd
 * has a structure too; only one beyond the limits is refused.
 *
 * An attachment is a part without parts that is called one, or has a file name, or is not text.
 */
#ifndef LIB_SMTP_SMTP_MIME_H
#define LIB_SMTP_SMTP_MIME_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/smtp/smtp_reply.h"

/* What a message may consist of; 0: anything. */
struct smtp_mime_limits {
	uint64_t header_size, attachment_size, attachments_size;
	unsigned header_fields, mime_depth;
};

enum { SMTP_MIME_DEPTH_MAX = 100 };

enum smtp_mime_type { SMTP_MIME_UNSAID, SMTP_MIME_TEXT, SMTP_MIME_MULTIPART, SMTP_MIME_MESSAGE, SMTP_MIME_OTHER };
enum smtp_mime_encoding { SMTP_MIME_IDENTITY, SMTP_MIME_BASE64, SMTP_MIME_QUOTED };

/* The part under way, as its header says. */
struct smtp_mime_part {
	enum smtp_mime_type type;
	enum smtp_mime_encoding encoding;
	bool is_attached, is_digest, is_counted;
	/* quoted-printable: behind a =, and behind the octet behind it */
	enum { SMTP_MIME_PLAIN, SMTP_MIME_AFTER_EQUALS, SMTP_MIME_LAST } escape;
	uint64_t octets; /* so many of its octets count */
};

/* A multipart with its boundary, or a message in a message, which has none. */
struct smtp_mime_level {
	uint32_t boundary; /* in `boundaries`: up to the next level's */
	uint16_t n;
	bool is_digest;
};

struct smtp_mime {
	struct smtp_mime_limits limits;
	enum smtp_reply refusal; /* SMTP_REPLY_NONE: within the limits so far */
	uint64_t attachments;	 /* decoded octets of the attachments that are complete */
	/* The message's own header: its fields end `header_end` octets behind the beginning. */
	bool is_header_done;
	bool is_bare; /* what stands there is neither a field nor the empty line */
	uint64_t header_end;
	/* The header under way. */
	bool in_header;
	uint64_t header_size;
	unsigned fields;
	enum { SMTP_MIME_NO_FIELD, SMTP_MIME_CONTENT_TYPE, SMTP_MIME_DISPOSITION, SMTP_MIME_ENCODING } field_kind;
	struct buf field;
	struct buf held;  /* a name whose colon may come with the next lines, and those that were blank */
	struct buf line;  /* the beginning of a line that has to be seen whole */
	bool is_mid_line; /* a line of which nothing more needs to be known goes on */
	struct smtp_mime_part part;
	struct smtp_mime_level levels[SMTP_MIME_DEPTH_MAX];
	unsigned depth;
	struct buf boundaries;
	size_t boundary_at; /* here begins that of the part under way, not yet in force */
};

void smtp_mime_begin(struct smtp_mime *m, const struct smtp_mime_limits *limits);
/* The next octets; lines end with CRLF. What it tells (m->refusal) stays so. */
enum smtp_reply smtp_mime_take(struct smtp_mime *m, struct str octets);
/* The message ends here. */
enum smtp_reply smtp_mime_end(struct smtp_mime *m);
/* Memory that it takes beside itself. */
size_t smtp_mime_memory(const struct smtp_mime *m);
void smtp_mime_clear(struct smtp_mime *m);

#endif
