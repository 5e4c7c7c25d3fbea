/* SPDX-License-Identifier: Apache-2.0
 *
 * Where counts and bans are kept: in memory, or in the Redis that all hosts share (gate_store_redis.c). While Redis
 * cannot be reached, in memory; that is said in the log once. Answers may come at once, inside the call, or later.
 */
#ifndef GATE_GATE_STORE_H
#define GATE_GATE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/net/loop.h"
#include "lib/settings/settings.h"

enum { GATE_STORE_KEY = 80, GATE_STORE_TAKES = 16, GATE_STORE_REASON = 128, GATE_STORE_NONE = -1 };

/* One more of something, as long as it stays within a limit. */
struct gate_take {
	char key[GATE_STORE_KEY]; /* "mails:192.0.2.1", "tenant:UUID" */
	/* How long a count lives, in microseconds: it begins anew with every such span of the clock (UTC); a month is
	 * GATE_STORE_MONTH. 0: it is a level, given back with gate_store_give(), that a host which dies gives back too. */
	int64_t span;
	int64_t limit; /* at most so many */
};
#define GATE_STORE_MONTH INT64_MAX

struct gate_ban {
	char address[64];	 /* as network_key() names it: 192.0.2.1 or 2001:db8:1:2::/64 */
	int64_t since, until;	 /* wall clock */
	char reason[GATE_STORE_REASON];
};

struct gate_store;

/* `full` is GATE_STORE_NONE when all were taken, else the index of the first that had reached its limit: then
 * none was taken. */
typedef void gate_store_taken_fn(void *ctx, int full);
/* `ban` is NULL when there is none. */
typedef void gate_store_ban_fn(void *ctx, const struct gate_ban *ban);
/* The bans, the newest first; `total` may be more than n. */
typedef void gate_store_bans_fn(void *ctx, const struct gate_ban *bans, size_t n, size_t total);

/* `host` names this host among those that share a Redis. The wall clock is clock_wall(). */
struct gate_store *gate_store_new(struct loop *loop, const struct settings *settings, struct str ca_pem, const char *host);
void gate_store_free(struct gate_store **store);
void gate_store_use_settings(struct gate_store *store, const struct settings *settings);

/* Takes all of them or none. */
void gate_store_take(struct gate_store *store, const struct gate_take *takes, size_t n, gate_store_taken_fn *fn, void *ctx);
/* Takes them whatever their limits are; what is taken already, and only counted late. */
void gate_store_count(struct gate_store *store, const struct gate_take *takes, size_t n);
/* Gives one back, of each; never below zero. A span that is over is left alone. */
void gate_store_give(struct gate_store *store, const struct gate_take *takes, size_t n);

void gate_store_ban(struct gate_store *store, const struct gate_ban *ban);
void gate_store_lift(struct gate_store *store, const char *address);
void gate_store_find_ban(struct gate_store *store, const char *address, gate_store_ban_fn *fn, void *ctx);
void gate_store_list_bans(struct gate_store *store, gate_store_bans_fn *fn, void *ctx);

#endif
