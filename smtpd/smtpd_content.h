/* SPDX-License-Identifier: Apache-2.0
 *
 * A message while it is received: the octets after dot-unstuffing, with our Received field in front, a Message-ID
 * and Date where they are missing, and without what must not leave (smtpd_header.c). A small one stays in memory, a
 * larger one goes to a memory file, and to a file on disk when the worker's memory is short (smtpd_memory.c). One
 * that has to be refused is dropped at once, and the rest of it only counted.
 */
#ifndef SMTPD_SMTPD_CONTENT_H
#define SMTPD_SMTPD_CONTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/uuid.h"
#include "lib/smtp/smtp_data.h"
#include "lib/smtp/smtp_mime.h"
#include "lib/smtp/smtp_reply.h"
#include "smtpd/smtpd_memory.h"

/* What is known before the first octet. */
struct smtpd_content_plan {
	uint64_t limit;			/* the client's octets, without the fields added here */
	struct smtp_mime_limits limits; /* what it may consist of */
	struct smtpd_memory *memory;	/* borrowed; NULL: no budget */
	struct uuid id;			/* for a Message-ID */
	const char *host;		/* borrowed: likewise */
	int64_t wall;			/* for a Date */
	const char *key_field;		/* borrowed: the field with the idempotency key; NULL or empty: there is none */
};

struct smtpd_content {
	struct smtpd_content_plan plan;
	struct smtp_data data;
	struct smtp_mime mime;
	struct buf bytes; /* the message; when there is a file, what is not yet in it */
	int fd;		  /* the file, or -1 */
	uint64_t in_file; /* octets written to it */
	struct smtpd_memory_share share;
	size_t trace_end;	 /* our Received field ends here: what is missing goes behind it */
	struct buf from;	 /* the addresses in its From, Sender, Resent-From and Resent-Sender fields, blanks between */
	struct buf key;		 /* its idempotency key, if it has one */
	enum smtp_reply refusal; /* SMTP_REPLY_NONE: the message is good so far */
	bool is_from_odd;	 /* those are not all, or readers may differ about them */
	bool is_header_done;
	bool is_spilled; /* the file is on disk, not in memory */
};

enum { SMTPD_CONTENT_DATE = 40 };

/* Begins a message; `received` is the whole field. */
void smtpd_content_begin(struct smtpd_content *c, const struct smtpd_content_plan *plan, struct str received);
/* Takes octets off the front of *input, up to the end of the message. True when that has come: then the
 * message is complete, in `bytes` or, sealed, in `fd`; or to be refused. */
bool smtpd_content_take(struct smtpd_content *c, struct str *input);
/* The same for BDAT: all octets of a piece of a chunk; and the end of the message. */
void smtpd_content_take_chunk(struct smtpd_content *c, struct str octets);
void smtpd_content_end(struct smtpd_content *c);
uint64_t smtpd_content_size(const struct smtpd_content *c);
void smtpd_content_clear(struct smtpd_content *c);

/* "Sat, 21 Nov 2026 22:31:00 +0000" (RFC 5322, 3.3). */
char *smtpd_content_date(int64_t wall, char out[SMTPD_CONTENT_DATE]);

#endif
