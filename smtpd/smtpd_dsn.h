/* SPDX-License-Identifier: Apache-2.0
 *
 * What a client asks for in the way of delivery reports (RFC 3461, 4): RET and ENVID of MAIL, NOTIFY and ORCPT of
 * RCPT. They are checked and kept as they came, in the form of ipc_message.dsn. Pure.
 */
#ifndef SMTPD_SMTPD_DSN_H
#define SMTPD_SMTPD_DSN_H

#include <stdbool.h>

#include "lib/base/buf.h"
#include "lib/smtp/smtp_reply.h"

/* What RFC 3461 lengthens the lines of MAIL and RCPT by. */
enum { SMTPD_DSN_ENVID_MAX = 100, SMTPD_DSN_ORCPT_MAX = 500 };

/* Of one command; borrowed from its line. */
struct smtpd_dsn {
	const char *ret; /* "FULL", "HDRS" or NULL */
	unsigned notify; /* 0: not given */
	struct str envid, orcpt;
};

/* SMTP_REPLY_NONE: it was taken; UNKNOWN_PARAMETER: it is none of these; BAD_PARAMETER. */
enum smtp_reply smtpd_dsn_of_mail(struct smtpd_dsn *dsn, struct str name, struct str value);
enum smtp_reply smtpd_dsn_of_rcpt(struct smtpd_dsn *dsn, struct str name, struct str value, bool is_utf8);

/* RFC 3461, 4: printable ASCII but for + and =, which are +2B and +3D; what is so written must be printable too, since
 * it comes to stand in a report's header. */
bool smtpd_dsn_is_xtext(struct str s);
/* Appends what such a text says. */
void smtpd_dsn_put_decoded(struct buf *out, struct str xtext);

void smtpd_dsn_put_mail(struct buf *out, const struct smtpd_dsn *dsn);
/* How long smtpd_dsn_put_rcpt()'s line is at most. */
size_t smtpd_dsn_rcpt_size(const struct smtpd_dsn *dsn);
void smtpd_dsn_put_rcpt(struct buf *out, unsigned index, const struct smtpd_dsn *dsn);

#endif
