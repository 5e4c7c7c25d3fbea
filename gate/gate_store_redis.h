/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts and bans in the Redis that all hosts share: what gate_store.c asks while it can be reached. Each question is
 * one command, so that it takes one way there and back.
 */
#ifndef GATE_GATE_STORE_REDIS_H
#define GATE_GATE_STORE_REDIS_H

#include "gate/gate_store.h"
#include "lib/base/err.h"

struct gate_store_redis;

/* Redis did not answer: it is not known whether it counted. */
enum { GATE_STORE_AWAY = -2 };

/* `full` as for gate_store_taken_fn, or GATE_STORE_AWAY. */
typedef void gate_store_redis_taken_fn(void *ctx, int full);
/* is_known false: Redis did not answer. */
typedef void gate_store_redis_bans_fn(void *ctx, bool is_known, const struct gate_ban *bans, size_t n, size_t total);
/* Up: this host holds no level; what it does hold is to be taken anew. */
typedef void gate_store_redis_state_fn(void *ctx, bool is_up, const char *why);

/* `url` is settings redis.url; `ca_pem` says whom a rediss server's certificate may come from; `host` names this host.
 * NULL: err says why not. */
struct gate_store_redis *gate_store_redis_new(struct loop *loop, struct str url, struct str ca_pem, int64_t timeout,
					      const char *host, gate_store_redis_state_fn *on_state, void *ctx,
					      struct err *err);
void gate_store_redis_free(struct gate_store_redis **store);
bool gate_store_redis_is_up(const struct gate_store_redis *store);
void gate_store_redis_set_timeout(struct gate_store_redis *store, int64_t timeout);

/* As gate_store.h says of those without _redis; `now` is the wall clock. */
void gate_store_redis_take(struct gate_store_redis *store, const struct gate_take *takes, size_t n, int64_t now,
			   gate_store_redis_taken_fn *fn, void *ctx);
void gate_store_redis_give(struct gate_store_redis *store, const struct gate_take *takes, size_t n, int64_t now);
void gate_store_redis_ban(struct gate_store_redis *store, const struct gate_ban *ban, int64_t now);
void gate_store_redis_lift(struct gate_store_redis *store, const char *address);
/* n is 1 or 0. */
void gate_store_redis_find_ban(struct gate_store_redis *store, const char *address, gate_store_redis_bans_fn *fn,
			       void *ctx);
void gate_store_redis_list_bans(struct gate_store_redis *store, int64_t now, gate_store_redis_bans_fn *fn, void *ctx);

#endif
