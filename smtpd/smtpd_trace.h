/* SPDX-License-Identifier: Apache-2.0
 *
 * The Received field (RFC 5321, 4.4). Pure.
 */
#ifndef SMTPD_SMTPD_TRACE_H
#define SMTPD_SMTPD_TRACE_H

#include "smtpd/smtpd_proto.h"

enum { SMTPD_TRACE_MAX = 2048 };

/* The whole field, for the message of the transaction under way. */
void smtpd_trace_put(struct buf *out, const struct smtpd_proto *p);

#endif
