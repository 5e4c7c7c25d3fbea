/* SPDX-License-Identifier: Apache-2.0
 *
 * What an SMTP server's refusal means to the message and says of the server, by where in the dialogue it came. Pure.
 */
#ifndef DELIVER_SMTP_MEANING_H
#define DELIVER_SMTP_MEANING_H

#include "deliver/provider.h"
#include "lib/smtp/smtp_reply.h"

/* Where a reply came. */
enum smtp_meaning_at {
	SMTP_MEANING_OPEN = 1 << 0, /* greeting, EHLO, HELO */
	SMTP_MEANING_TLS = 1 << 1,
	SMTP_MEANING_AUTH = 1 << 2,
	SMTP_MEANING_MAIL = 1 << 3,
	SMTP_MEANING_RCPT = 1 << 4,
	SMTP_MEANING_DATA = 1 << 5,
	SMTP_MEANING_FINAL = 1 << 6, /* after the message */
};

struct smtp_meaning {
	enum ipc_outcome_class class;
	enum ipc_about about;
};

/* Of a reply that is no success there. */
struct smtp_meaning smtp_meaning_of(enum smtp_meaning_at at, const struct smtp_answer *answer);
/* Its enhanced code, or "4.0.0" or "5.0.0" when it has none (RFC 3463, 2: other, undefined). */
void smtp_meaning_status(const struct smtp_answer *answer, char out[12]);
/* The words of all its lines, without codes. */
void smtp_meaning_words(const struct smtp_answer *answer, struct buf *out);
/* The id in the free text of the final 250, or empty: best effort. */
struct str smtp_meaning_id(const struct smtp_answer *answer);

#endif
