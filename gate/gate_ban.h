/* SPDX-License-Identifier: Apache-2.0
 *
 * Which failed logins ban an address, and what an operator does about it.
 */
#ifndef GATE_GATE_BAN_H
#define GATE_GATE_BAN_H

#include "gate/gate.h"

/* is_banned: this one was one too many, or the address was banned before. */
typedef void gate_ban_fn(void *ctx, bool is_banned);

/* A login failed. A later success does not take it back: who knows one password could try others for ever by logging
 * in in between. `user` is "" when the name is no user's. */
void gate_ban_failed(struct gate *gate, const struct gate_address *address, const struct gate_failure *failure,
		     gate_ban_fn *fn, void *ctx);

/* For so many microseconds from now. */
void gate_ban_add(struct gate *gate, const char *address, int64_t time, const char *reason);
void gate_ban_lift(struct gate *gate, const char *address);

#endif
