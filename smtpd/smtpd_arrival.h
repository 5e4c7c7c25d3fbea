/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection between accept(2) and its session: whose it is (the PROXY header of a load balancer), and whether it
 * may come in (this worker's and the queue's state, then gate).
 */
#ifndef SMTPD_SMTPD_ARRIVAL_H
#define SMTPD_SMTPD_ARRIVAL_H

#include "smtpd/smtpd_worker.h"

/* Takes over an accepted socket; `from` is the other side's address. */
void smtpd_arrival_begin(struct smtpd_worker *worker, const struct smtpd_listener *listener, int fd, const char *from);
/* Gate's answer. */
void smtpd_arrival_answered(void *arrival, enum ipc_connect_verdict verdict);
/* Ends all of them: the worker drains, or ends. */
void smtpd_arrival_refuse_all(struct smtpd_worker *worker);

#endif
