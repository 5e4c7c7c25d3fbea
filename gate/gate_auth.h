/* SPDX-License-Identifier: Apache-2.0
 *
 * The road of a login: smtpd's AUTH frame, the cache, the source of users, the verification, the answer.
 */
#ifndef GATE_GATE_AUTH_H
#define GATE_GATE_AUTH_H

#include "gate/gate.h"

/* gate->settings must be there; gate->users and gate->store before the first question. */
struct gate_auth *gate_auth_new(struct gate *gate);
/* Logins under way get no answer. */
void gate_auth_free(struct gate_auth **auth);
void gate_auth_use_settings(struct gate_auth *auth);

/* An AUTH frame; false when it makes no sense. */
bool gate_auth_ask(struct gate_peer *peer, struct ipc_frame *frame);
/* Nobody behind this peer waits any more. */
void gate_auth_forget_peer(struct gate_auth *auth, const struct gate_peer *peer);
/* Users changed: who was right before may be wrong now. */
void gate_auth_forget(struct gate_auth *auth);
/* Calls fn as soon as no login is under way; at once, when there is none. */
void gate_auth_drain(struct gate_auth *auth, loop_fn *fn, void *ctx);

#endif
