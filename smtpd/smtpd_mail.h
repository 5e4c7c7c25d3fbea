/* SPDX-License-Identifier: Apache-2.0
 *
 * The mail transaction: MAIL, RCPT, DATA, the octets (those of BDAT: smtpd_chunk.h), the answer. For smtpd_proto.c.
 */
#ifndef SMTPD_SMTPD_MAIL_H
#define SMTPD_SMTPD_MAIL_H

#include "smtpd/smtpd_proto.h"

/* What a SUBMIT frame has room for beside a message in it. */
enum { SMTPD_MAIL_RECIPIENT_BYTES = 120000 };

void smtpd_mail_from(struct smtpd_proto *p, struct str argument);
void smtpd_mail_to(struct smtpd_proto *p, struct str argument);
void smtpd_mail_data(struct smtpd_proto *p, struct str argument);
/* The message's octets are to come. */
void smtpd_mail_begin(struct smtpd_proto *p);
/* Octets of the message off the front of *input. */
void smtpd_mail_octets(struct smtpd_proto *p, struct str *input);
/* What the octets that have come are refused for; SMTP_REPLY_NONE when for nothing. */
enum smtp_reply smtpd_mail_refusal(const struct smtpd_proto *p);
/* All octets are there: it is handed over, or refused. */
void smtpd_mail_complete(struct smtpd_proto *p);
/* gate's answer to MAIL: the transaction begins, or is refused. */
void smtpd_mail_may_send(struct smtpd_proto *p, enum ipc_may_send_verdict verdict);
/* ... to RCPT, when it was asked. */
void smtpd_mail_may_receive(struct smtpd_proto *p, enum ipc_may_receive_verdict verdict);
void smtpd_mail_result(struct smtpd_proto *p, const struct ipc_submit_result *result);
/* The idempotency key of a message that is complete; empty: it has none. Borrowed. */
struct str smtpd_mail_key(const struct smtpd_mail *mail);
/* The answer is 250. */
bool smtpd_mail_is_taken(enum ipc_submit_verdict verdict);
/* Forgets the transaction, if there is one; what was counted and not accepted is given back. */
void smtpd_mail_end(struct smtpd_proto *p);

#endif
