/* SPDX-License-Identifier: Apache-2.0
 *
 * The road of a login: smtpd's AUTH frame, the cache, the database, the verification, the answer.
 */
#ifndef GATE_GATE_AUTH_H
#define GATE_GATE_AUTH_H

#include "gate/gate_users.h"

struct gate_auth;

/* The options' callback is gate_auth's own. */
struct gate_auth *gate_auth_new(struct loop *loop, const struct gate_users_options *options);
/* Logins under way get no answer. */
void gate_auth_free(struct gate_auth **auth);

/* Takes over the connection to a smtpd and answers it. */
void gate_auth_add_peer(struct gate_auth *auth, unsigned slot, int fd);
void gate_auth_use_settings(struct gate_auth *auth, const struct settings *settings);
/* Calls fn as soon as no login is under way; at once, when there is none. */
void gate_auth_drain(struct gate_auth *auth, loop_fn *fn, void *ctx);

#endif
