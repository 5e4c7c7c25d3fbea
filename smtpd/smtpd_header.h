/* SPDX-License-Identifier: Apache-2.0
 *
 * The header of a message that is complete: what must not leave goes, what is missing is told, and who it says it
 * is from.
 */
#ifndef SMTPD_SMTPD_HEADER_H
#define SMTPD_SMTPD_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/buf.h"

struct smtpd_header {
	struct buf *from; /* the addresses of From, Sender, Resent-From and Resent-Sender are added here */
	bool is_from_odd; /* not all of them could be found: smtp_mailbox_list() */
	bool has_message_id, has_date;
	unsigned hops; /* Received fields */
	struct str key_field; /* the name of the field with the idempotency key; empty: there is none */
	struct buf *key;      /* what it says is put here */
	bool is_key_bad;      /* empty, not printable, too long, or there twice */
};

/* Removes Bcc, Resent-Bcc, Return-Path and the field with the key; all else stays byte for byte, but a name and its colon
 * come to stand in one line. Returns the length that is left. */
size_t smtpd_header_clean(char *header, size_t n, struct smtpd_header *seen);

#endif
