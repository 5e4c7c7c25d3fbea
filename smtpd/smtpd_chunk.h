/* SPDX-License-Identifier: Apache-2.0
 *
 * BDAT (RFC 3030): messages in counted chunks. For smtpd_proto.c.
 */
#ifndef SMTPD_SMTPD_CHUNK_H
#define SMTPD_SMTPD_CHUNK_H

#include "smtpd/smtpd_proto.h"

void smtpd_chunk_bdat(struct smtpd_proto *p, struct str argument);
/* BDAT where it may not be: its octets come all the same, since the client does not wait. */
void smtpd_chunk_refuse(struct smtpd_proto *p, struct str argument, enum smtp_reply why);
/* Octets of a chunk off the front of *input. */
void smtpd_chunk_octets(struct smtpd_proto *p, struct str *input);

#endif
