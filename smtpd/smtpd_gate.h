/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking gate whether credentials are good. One conversation a worker, many questions under way. When gate is
 * away the answer is "unavailable", at once.
 */
#ifndef SMTPD_SMTPD_GATE_H
#define SMTPD_SMTPD_GATE_H

#include "lib/ipc/ipc_body.h"
#include "lib/net/loop.h"

struct smtpd_gate;

typedef void smtpd_gate_fn(void *asker, const struct ipc_auth_result *result);

struct smtpd_gate *smtpd_gate_new(struct loop *loop, smtpd_gate_fn *on_answer);
void smtpd_gate_free(struct smtpd_gate **gate);
/* Takes over the socket to a (new) gate process. */
void smtpd_gate_connect(struct smtpd_gate *gate, unsigned slot, int fd);
/* on_answer(asker, ...) is called later, or before this returns. */
void smtpd_gate_ask(struct smtpd_gate *gate, const struct ipc_auth *question, void *asker);
/* The asker is gone: its answer goes nowhere. */
void smtpd_gate_forget(struct smtpd_gate *gate, const void *asker);

#endif
