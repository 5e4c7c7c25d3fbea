/* SPDX-License-Identifier: Apache-2.0
 *
 * Chains; as many as entries, at least. All entries stand in an array too, so that each is as likely as any other in a
 * sample; a walk along the chains would favour what stands alone. SipHash-2-4 (Aumasson and Bernstein) over the key.
 */
#include "gate/gate_table.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/random.h"
#include "lib/base/str.h"
#include "lib/base/trouble.h"

enum { FEWEST_CHAINS = 64, SWEPT = 4 };

struct gate_table {
	uint64_t secret[2];
	size_t size, most, n;
	size_t chains; /* a power of two */
	size_t swept;  /* the next chain */
	struct gate_entry **chain;
	struct gate_entry **all; /* as many as chains */
};

static uint64_t turn(uint64_t v, unsigned bits)
{
	return v << bits | v >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1], v[1] = turn(v[1], 13) ^ v[0], v[0] = turn(v[0], 32);
	v[2] += v[3], v[3] = turn(v[3], 16) ^ v[2];
	v[0] += v[3], v[3] = turn(v[3], 21) ^ v[0];
	v[2] += v[1], v[1] = turn(v[1], 17) ^ v[2], v[2] = turn(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	sip_round(v);
	v[0] ^= word;
}

static uint64_t hash_of(const struct gate_table *t, const char *key, int64_t kind)
{
	uint64_t v[4] = {t->secret[0] ^ 0x736f6d6570736575, t->secret[1] ^ 0x646f72616e646f6d,
			 t->secret[0] ^ 0x6c7967656e657261, t->secret[1] ^ 0x7465646279746573};
	size_t n = strlen(key), i = 0;
	uint64_t last = (uint64_t)n << 56, word;

	sip_word(v, (uint64_t)kind);
	for (; i + 8 <= n; i += 8) {
		memcpy(&word, key + i, 8);
		sip_word(v, word);
	}
	for (unsigned shift = 0; i < n; i++, shift += 8)
		last |= (uint64_t)(unsigned char)key[i] << shift;
	sip_word(v, last);
	v[2] ^= 0xff;
	for (unsigned r = 0; r < 4; r++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct gate_table *gate_table_new(size_t size, size_t most)
{
	struct gate_table *t = mem_zero(sizeof(*t));

	must(size >= sizeof(struct gate_entry));
	t->size = size;
	t->most = most;
	t->chains = FEWEST_CHAINS;
	t->chain = mem_array(t->chains, sizeof(struct gate_entry *));
	t->all = mem_array(t->chains, sizeof(struct gate_entry *));
	random_fill(t->secret, sizeof(t->secret));
	return t;
}

static void free_entry(void *ctx, void *entry)
{
	gate_table_remove(ctx, entry);
}

void gate_table_free(struct gate_table **table)
{
	if (*table == NULL)
		return;
	gate_table_walk(*table, free_entry, *table);
	free((*table)->chain);
	free((*table)->all);
	mem_free(table);
}

size_t gate_table_count(const struct gate_table *table)
{
	return table->n;
}

void *gate_table_find(const struct gate_table *table, const char *key, int64_t kind)
{
	uint64_t hash = hash_of(table, key, kind);
	struct gate_entry *e = table->chain[hash & (table->chains - 1)];

	while (e != NULL && (e->hash != hash || e->kind != kind || strcmp(e->key, key) != 0))
		e = e->next;
	return e;
}

static void put_in(struct gate_table *t, struct gate_entry *e)
{
	struct gate_entry **chain = &t->chain[e->hash & (t->chains - 1)];

	e->next = *chain;
	*chain = e;
}

static void grow(struct gate_table *t)
{
	struct gate_entry **old = t->chain;
	size_t n = t->chains;

	t->chains *= 2;
	t->all = mem_grow(t->all, t->chains * sizeof(struct gate_entry *));
	t->chain = mem_array(t->chains, sizeof(struct gate_entry *));
	for (size_t i = 0; i < n; i++)
		while (old[i] != NULL) {
			struct gate_entry *e = old[i];

			old[i] = e->next;
			put_in(t, e);
		}
	free(old);
}

void *gate_table_add(struct gate_table *table, const char *key, int64_t kind)
{
	struct gate_entry *e;

	if (table->n >= table->most)
		return NULL;
	if (table->n >= table->chains)
		grow(table);
	e = mem_zero(table->size);
	e->hash = hash_of(table, key, kind);
	e->kind = kind;
	must(str_copy(str_of(key), e->key, sizeof(e->key)));
	put_in(table, e);
	e->place = table->n;
	table->all[table->n++] = e;
	return e;
}

void gate_table_remove(struct gate_table *table, void *entry)
{
	struct gate_entry *e = entry, **at = &table->chain[e->hash & (table->chains - 1)];

	while (*at != e) {
		must(*at != NULL);
		at = &(*at)->next;
	}
	*at = e->next;
	table->n--;
	table->all[e->place] = table->all[table->n];
	table->all[e->place]->place = e->place;
	free(e);
}

static void walk_chain(struct gate_entry *e, void (*fn)(void *ctx, void *entry), void *ctx)
{
	while (e != NULL) {
		struct gate_entry *next = e->next;

		fn(ctx, e);
		e = next;
	}
}

void gate_table_walk(struct gate_table *table, void (*fn)(void *ctx, void *entry), void *ctx)
{
	for (size_t i = 0; i < table->chains; i++)
		walk_chain(table->chain[i], fn, ctx);
}

void gate_table_sweep(struct gate_table *table, void (*fn)(void *ctx, void *entry), void *ctx)
{
	for (unsigned i = 0; i < SWEPT; i++)
		walk_chain(table->chain[table->swept++ & (table->chains - 1)], fn, ctx);
}

size_t gate_table_sample(const struct gate_table *table, void **out, size_t n)
{
	if (table->n == 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		out[i] = table->all[random_below(table->n)];
	return n;
}
