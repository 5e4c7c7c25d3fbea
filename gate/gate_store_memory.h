/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts and bans in memory: of this host when there is no Redis, and what it falls back to. Pure but for memory: the
 * clock (wall, UTC) is given.
 *
 * It is bounded. Levels are held by connections, so their number is theirs. Of the counts of spans of the clock there
 * are so many at most; then, of some taken at random, one whose span is over goes, else the lowest: who has been
 * counted once loses a count of one, while those near their limits stay. So a flood from a million addresses pushes
 * out little but itself. When there are too many bans, the one of some at random that ends first goes.
 */
#ifndef GATE_GATE_STORE_MEMORY_H
#define GATE_GATE_STORE_MEMORY_H

#include "gate/gate_store.h"

struct gate_store_memory;

struct gate_store_memory *gate_store_memory_new(size_t most_counts, size_t most_bans);
void gate_store_memory_free(struct gate_store_memory **memory);

/* As gate_store_take(); returns what its callback is told. */
int gate_store_memory_take(struct gate_store_memory *memory, const struct gate_take *takes, size_t n, int64_t now);
/* Counts them whatever the limits are: what somebody else allowed. */
void gate_store_memory_count(struct gate_store_memory *memory, const struct gate_take *takes, size_t n, int64_t now);
void gate_store_memory_give(struct gate_store_memory *memory, const struct gate_take *takes, size_t n, int64_t now);
/* Calls fn with every level that is not zero. */
void gate_store_memory_walk_levels(struct gate_store_memory *memory,
				   void (*fn)(void *ctx, const char *key, int64_t count), void *ctx);

/* Replaces the ban of the same address. */
void gate_store_memory_ban(struct gate_store_memory *memory, const struct gate_ban *ban, int64_t now);
void gate_store_memory_lift(struct gate_store_memory *memory, const char *address);
/* NULL: there is none. Until the next call. */
const struct gate_ban *gate_store_memory_find_ban(struct gate_store_memory *memory, const char *address, int64_t now);
/* The newest first, up to n of them into out; returns how many there are. */
size_t gate_store_memory_list_bans(struct gate_store_memory *memory, struct gate_ban *out, size_t n, int64_t now);
/* How many bans there are; forgets those that have ended. */
size_t gate_store_memory_count_bans(struct gate_store_memory *memory, int64_t now);

#endif
