/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking connections from the listening sockets, which all workers share.
 */
#ifndef SMTPD_SMTPD_ACCEPT_H
#define SMTPD_SMTPD_ACCEPT_H

#include "smtpd/smtpd_worker.h"

struct smtpd_accept;

/* Takes over the listening socket. Nothing is taken before smtpd_accept_resume(). */
struct smtpd_accept *smtpd_accept_new(struct smtpd_worker *worker, const struct smtpd_listener *listener, int fd);
void smtpd_accept_free(struct smtpd_accept **accept);
void smtpd_accept_resume(struct smtpd_accept *accept);

#endif
