/* SPDX-License-Identifier: Apache-2.0
 *
 * Remembers for a while which credentials were right, so that their slow hash is computed once and
 * a login needs no database. What is kept is a keyed hash under a key that only this process has,
 * never the password. Pure but for memory: the clock is given.
 */
#ifndef GATE_GATE_CACHE_H
#define GATE_GATE_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "gate/gate_identity.h"

/* Stands for a name with a password or a certificate. */
struct gate_cache_key {
	unsigned char b[16];
};

struct gate_cache;

/* Room for `most` identities (rounded up to a power of two, 64 at least) and a fresh secret key. */
struct gate_cache *gate_cache_new(uint32_t most);
void gate_cache_free(struct gate_cache **cache);

struct gate_cache_key gate_cache_key(const struct gate_cache *cache, const struct ipc_auth *auth);
bool gate_cache_key_eq(const struct gate_cache_key *a, const struct gate_cache_key *b);

/* Who it is, when this was right less than its time ago; else NULL. Held by the cache. */
struct gate_identity *gate_cache_find(const struct gate_cache *cache, const struct gate_cache_key *key, int64_t now);
/* Remembers and holds it until `until`; where there is no room, what would end first goes. */
void gate_cache_add(struct gate_cache *cache, const struct gate_cache_key *key, int64_t now,
		    int64_t until, struct gate_identity *identity);
/* Forgets everything. */
void gate_cache_drop(struct gate_cache *cache);

#endif
