/* SPDX-License-Identifier: Apache-2.0
 *
 * A bounded hash table for what strangers choose the keys of: the hash is keyed with a secret, so that nobody can aim
 * at a chain. Entries are structs that begin with a struct gate_entry. Pure but for memory.
 */
#ifndef GATE_GATE_TABLE_H
#define GATE_GATE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GATE_TABLE_KEY = 80 };

struct gate_entry {
	struct gate_entry *next;
	uint64_t hash;
	size_t place; /* among all */
	int64_t kind; /* part of the key */
	char key[GATE_TABLE_KEY];
};

struct gate_table;

/* Of entries of `size` octets, at most `most` of them. */
struct gate_table *gate_table_new(size_t size, size_t most);
void gate_table_free(struct gate_table **table);
size_t gate_table_count(const struct gate_table *table);

/* The entry, or NULL. `key` is shorter than GATE_TABLE_KEY. */
void *gate_table_find(const struct gate_table *table, const char *key, int64_t kind);
/* A new entry, zeroed behind its key, which is not there yet; NULL when there are `most`. */
void *gate_table_add(struct gate_table *table, const char *key, int64_t kind);
void gate_table_remove(struct gate_table *table, void *entry);

/* Calls fn for every entry, which it may remove. */
void gate_table_walk(struct gate_table *table, void (*fn)(void *ctx, void *entry), void *ctx);
/* Calls fn for the entries of the next few chains, going round: what is done at every addition costs little each time
 * and reaches every entry before the table has doubled. It may remove the entry. */
void gate_table_sweep(struct gate_table *table, void (*fn)(void *ctx, void *entry), void *ctx);
/* n entries at random, some perhaps twice, into out; returns n, or 0 when there is none. */
size_t gate_table_sample(const struct gate_table *table, void **out, size_t n);

#endif
