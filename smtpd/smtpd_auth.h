/* SPDX-License-Identifier: Apache-2.0
 *
 * AUTH PLAIN, LOGIN and EXTERNAL (RFC 4954, RFC 4616, RFC 4422). For smtpd_proto.c.
 */
#ifndef SMTPD_SMTPD_AUTH_H
#define SMTPD_SMTPD_AUTH_H

#include "smtpd/smtpd_proto.h"

/* What gate's AUTH frame takes. */
enum { SMTPD_AUTH_USER_MAX = 255, SMTPD_AUTH_PASSWORD_MAX = 1024 };

void smtpd_auth_command(struct smtpd_proto *p, struct str argument);
/* The client's answer to a 334. */
void smtpd_auth_line(struct smtpd_proto *p, struct str line);
void smtpd_auth_result(struct smtpd_proto *p, const struct ipc_auth_result *result);
/* Wipes what is known of a login under way. */
void smtpd_auth_forget(struct smtpd_proto *p);

#endif
