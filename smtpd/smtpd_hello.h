/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands that are not about a message or a login. For the table in smtpd_proto.c.
 */
#ifndef SMTPD_SMTPD_HELLO_H
#define SMTPD_SMTPD_HELLO_H

#include "smtpd/smtpd_proto.h"

void smtpd_hello_ehlo(struct smtpd_proto *p, struct str argument);
void smtpd_hello_helo(struct smtpd_proto *p, struct str argument);
void smtpd_hello_starttls(struct smtpd_proto *p, struct str argument);
void smtpd_hello_rset(struct smtpd_proto *p, struct str argument);
void smtpd_hello_noop(struct smtpd_proto *p, struct str argument);
void smtpd_hello_vrfy(struct smtpd_proto *p, struct str argument);
void smtpd_hello_help(struct smtpd_proto *p, struct str argument);
void smtpd_hello_quit(struct smtpd_proto *p, struct str argument);
void smtpd_hello_not_implemented(struct smtpd_proto *p, struct str argument);
void smtpd_hello_http(struct smtpd_proto *p, struct str argument);

#endif
