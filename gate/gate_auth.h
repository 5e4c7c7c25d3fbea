/* SPDX-License-Identifier: Apache-2.0
 *
 * The road of a login: smtpd's AUTH frame, the cache, the database, the verification, the answer.
 */
#ifndef GATE_GATE_AUTH_H
#define GATE_GATE_AUTH_H

#include "lib/net/loop.h"
#include "lib/queue/pg.h"

struct gate_auth;

/* `threads` verify passwords; a success is remembered for cache_time (0: never). */
struct gate_auth *gate_auth_new(struct loop *loop, const struct pg_options *options,
				unsigned threads, int64_t cache_time);
/* Logins under way get no answer. */
void gate_auth_free(struct gate_auth **auth);

/* Takes over the connection to a smtpd and answers it. */
void gate_auth_add_peer(struct gate_auth *auth, unsigned slot, int fd);
void gate_auth_set_cache_time(struct gate_auth *auth, int64_t cache_time);
/* Calls fn as soon as no login is under way; at once, when there is none. */
void gate_auth_drain(struct gate_auth *auth, loop_fn *fn, void *ctx);

#endif
