/* SPDX-License-Identifier: Apache-2.0
 *
 * A message while it is received: the octets after dot-unstuffing, with our Received field in front and a
 * Message-ID and Date where they are missing. A small one stays in memory, a larger one goes to a memory file.
 */
#ifndef SMTPD_SMTPD_CONTENT_H
#define SMTPD_SMTPD_CONTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/uuid.h"
#include "lib/smtp/smtp_data.h"

/* What a message may consist of (settings smtpd.header_size ...). */
struct smtpd_content_limits {
	uint64_t header_size, attachment_size, attachments_size;
	unsigned header_fields, mime_depth;
};

/* What all messages of a worker that are being received take together (settings smtpd.memory, smtpd.spill). */
struct smtpd_memory {
	uint64_t memory, spill;		  /* the budgets */
	uint64_t in_memory, in_files;	  /* now */
	int directory;			  /* where the files are made; -1: nowhere */
};

struct smtpd_content {
	struct smtp_data data;
	struct buf bytes;   /* the message; when there is a file, what is not yet in it */
	int fd;		    /* the file, or -1 */
	uint64_t in_file;   /* octets written to it */
	uint64_t limit;	    /* the client's octets, without the fields added here */
	struct uuid id;	    /* for a Message-ID */
	const char *host;   /* borrowed: likewise */
	int64_t wall;	    /* for a Date */
	size_t trace_end;   /* our Received field ends here: what is missing goes behind it */
	size_t scanned;	    /* the header is known up to here */
	struct buf from;    /* the addresses in its From and Sender fields, blanks between */
	bool is_over;	    /* larger than the limit: only counted */
	bool is_broken;	    /* the file could not be written */
	bool has_message_id, has_date, is_header_done;
};

enum { SMTPD_CONTENT_DATE = 40 };

/* Begins a message; `received` is the whole field. */
void smtpd_content_begin(struct smtpd_content *c, struct str received, uint64_t limit, const struct uuid *id,
			 const char *host, int64_t wall);
/* Takes octets off the front of *input, up to the end of the message. True when that has come: then the
 * message is complete, in `bytes` or, sealed, in `fd`. */
bool smtpd_content_take(struct smtpd_content *c, struct str *input);
/* The same for BDAT: all octets of a piece of a chunk; and the end of the message. */
void smtpd_content_take_chunk(struct smtpd_content *c, struct str octets);
void smtpd_content_end(struct smtpd_content *c);
uint64_t smtpd_content_size(const struct smtpd_content *c);
void smtpd_content_clear(struct smtpd_content *c);

/* "Sat, 21 Nov 2026 22:31:00 +0000" (RFC 5322, 3.3). */
char *smtpd_content_date(int64_t wall, char out[SMTPD_CONTENT_DATE]);

#endif
