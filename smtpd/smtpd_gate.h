/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking gate: may this address come in, are these credentials good, may this mail be sent, to this recipient? One conversation a
 * worker, many questions under way. What gate had not answered when it died is asked of the next one, which is told
 * first who is in.
 *
 * Limits never stop mail: when gate is away or slow, everybody may come in and send. Nobody is logged in without it, and
 * no recipient is taken that it should have been asked for.
 */
#ifndef SMTPD_SMTPD_GATE_H
#define SMTPD_SMTPD_GATE_H

#include "lib/ipc/ipc_body.h"
#include "lib/net/loop.h"

struct smtpd_gate;

struct smtpd_gate_answers {
	void (*on_connect)(void *asker, enum ipc_connect_verdict verdict);
	void (*on_auth)(void *asker, const struct ipc_auth_result *result);
	/* Not counted: a yes without gate, of which nothing is to be given back. */
	void (*on_may_send)(void *asker, const struct ipc_may_send_result *result, bool is_counted);
	void (*on_may_receive)(void *asker, enum ipc_may_receive_verdict verdict);
	/* A new gate knows of nobody: smtpd_gate_tell_inside() for each that is in. */
	void (*on_new_gate)(void *ctx);
};

struct smtpd_gate *smtpd_gate_new(struct loop *loop, const struct smtpd_gate_answers *answers, void *ctx);
void smtpd_gate_free(struct smtpd_gate **gate);
/* Takes over the socket to a (new) gate process. */
void smtpd_gate_connect(struct smtpd_gate *gate, unsigned slot, int fd);

/* The answer comes later, or before this returns. */
void smtpd_gate_ask_connect(struct smtpd_gate *gate, const struct ipc_connect *question, void *asker);
void smtpd_gate_ask_auth(struct smtpd_gate *gate, const struct ipc_auth *question, void *asker);
void smtpd_gate_ask_may_send(struct smtpd_gate *gate, const struct ipc_may_send *question, void *asker);
void smtpd_gate_ask_may_receive(struct smtpd_gate *gate, const struct ipc_may_receive *question, void *asker);
/* The asker is gone: its answer goes nowhere, and what gate counts for it is given back. */
void smtpd_gate_forget(struct smtpd_gate *gate, const void *asker);

/* Nobody waits for an answer to these. */
void smtpd_gate_tell_inside(struct smtpd_gate *gate, struct ipc_connect who);
void smtpd_gate_tell_disconnect(struct smtpd_gate *gate, const struct ipc_connect *who);
void smtpd_gate_tell_not_sent(struct smtpd_gate *gate, const struct ipc_may_send *what);

#endif
