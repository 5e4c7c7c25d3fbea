/* SPDX-License-Identifier: Apache-2.0
 *
 * Three tables: levels, counts (a key and a span are one), bans.
 */
#include "gate/gate_store_memory.h"

#include <stdlib.h>

#include "gate/gate_span.h"
#include "gate/gate_table.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"

enum { SAMPLE = 8, MOST_LEVELS = 1 << 21 };

struct level {
	struct gate_entry entry;
	int64_t count;
};

struct count {
	struct gate_entry entry;
	int64_t count, until; /* the end of its span of the clock */
};

struct banned {
	struct gate_entry entry;
	struct gate_ban ban;
};

struct gate_store_memory {
	struct gate_table *levels, *counts, *bans;
	int64_t now; /* of the call under way, for the callbacks of the tables */
};

struct gate_store_memory *gate_store_memory_new(size_t most_counts, size_t most_bans)
{
	struct gate_store_memory *m = mem_zero(sizeof(*m));

	m->levels = gate_table_new(sizeof(struct level), MOST_LEVELS);
	m->counts = gate_table_new(sizeof(struct count), most_counts);
	m->bans = gate_table_new(sizeof(struct banned), most_bans);
	return m;
}

void gate_store_memory_free(struct gate_store_memory **memory)
{
	if (*memory == NULL)
		return;
	gate_table_free(&(*memory)->levels);
	gate_table_free(&(*memory)->counts);
	gate_table_free(&(*memory)->bans);
	mem_free(memory);
}

/* ---- counts ---- */

/* A count that goes on; a span that is over begins anew. The clock may be set back: then its span is over too. */
static struct count *find_count(struct gate_store_memory *m, const struct gate_take *take, int64_t now)
{
	struct count *c = gate_table_find(m->counts, take->key, take->span);
	int64_t until = gate_span_end(take->span, now);

	if (c != NULL && c->until != until) {
		c->until = until;
		c->count = 0;
	}
	return c;
}

static void drop_ended(void *ctx, void *entry)
{
	struct gate_store_memory *m = ctx;
	struct count *c = entry;

	if (c->until <= m->now)
		gate_table_remove(m->counts, c);
}

static bool is_less(const struct count *a, const struct count *b, int64_t now)
{
	int64_t counts_a = a->until <= now ? 0 : a->count, counts_b = b->until <= now ? 0 : b->count;

	return counts_a < counts_b || (counts_a == counts_b && a->until < b->until);
}

static void make_room(struct gate_store_memory *m, int64_t now)
{
	void *some[SAMPLE];
	size_t n = gate_table_sample(m->counts, some, SAMPLE), least = 0;

	for (size_t i = 1; i < n; i++)
		if (is_less(some[i], some[least], now))
			least = i;
	if (n > 0)
		gate_table_remove(m->counts, some[least]);
}

static void add_count(struct gate_store_memory *m, const struct gate_take *take, int64_t now)
{
	struct count *c = find_count(m, take, now);

	if (c == NULL) {
		m->now = now;
		gate_table_sweep(m->counts, drop_ended, m);
		c = gate_table_add(m->counts, take->key, take->span);
		if (c == NULL) {
			make_room(m, now);
			c = gate_table_add(m->counts, take->key, take->span);
		}
		must(c != NULL);
		c->until = gate_span_end(take->span, now);
	}
	c->count++;
}

static void add_level(struct gate_store_memory *m, const struct gate_take *take)
{
	struct level *l = gate_table_find(m->levels, take->key, 0);

	if (l == NULL)
		l = gate_table_add(m->levels, take->key, 0);
	/* So many connections no host has. */
	if (l != NULL)
		l->count++;
}

static int64_t taken(struct gate_store_memory *m, const struct gate_take *take, int64_t now)
{
	if (take->span == 0) {
		struct level *l = gate_table_find(m->levels, take->key, 0);

		return l != NULL ? l->count : 0;
	} else {
		struct count *c = find_count(m, take, now);

		return c != NULL ? c->count : 0;
	}
}

void gate_store_memory_count(struct gate_store_memory *memory, const struct gate_take *takes, size_t n, int64_t now)
{
	for (size_t i = 0; i < n; i++)
		if (takes[i].span == 0)
			add_level(memory, &takes[i]);
		else
			add_count(memory, &takes[i], now);
}

int gate_store_memory_take(struct gate_store_memory *memory, const struct gate_take *takes, size_t n, int64_t now)
{
	for (size_t i = 0; i < n; i++)
		if (taken(memory, &takes[i], now) >= takes[i].limit)
			return (int)i;
	gate_store_memory_count(memory, takes, n, now);
	return GATE_STORE_NONE;
}

static void give_level(struct gate_store_memory *m, const struct gate_take *take)
{
	struct level *l = gate_table_find(m->levels, take->key, 0);

	if (l != NULL && --l->count <= 0)
		gate_table_remove(m->levels, l);
}

void gate_store_memory_give(struct gate_store_memory *memory, const struct gate_take *takes, size_t n, int64_t now)
{
	for (size_t i = 0; i < n; i++) {
		struct count *c;

		if (takes[i].span == 0) {
			give_level(memory, &takes[i]);
			continue;
		}
		c = find_count(memory, &takes[i], now);
		if (c != NULL && c->count > 0)
			c->count--;
	}
}

struct walk {
	void (*fn)(void *ctx, const char *key, int64_t count);
	void *ctx;
};

static void tell_level(void *ctx, void *entry)
{
	struct walk *walk = ctx;
	struct level *l = entry;

	walk->fn(walk->ctx, l->entry.key, l->count);
}

void gate_store_memory_walk_levels(struct gate_store_memory *memory,
				   void (*fn)(void *ctx, const char *key, int64_t count), void *ctx)
{
	gate_table_walk(memory->levels, tell_level, &(struct walk){fn, ctx});
}

/* ---- bans ---- */

static void drop_ended_ban(void *ctx, void *entry)
{
	struct gate_store_memory *m = ctx;
	struct banned *b = entry;

	if (b->ban.until <= m->now)
		gate_table_remove(m->bans, b);
}

static void make_room_for_ban(struct gate_store_memory *m)
{
	void *some[SAMPLE];
	size_t n = gate_table_sample(m->bans, some, SAMPLE);
	struct banned *first = n > 0 ? some[0] : NULL;

	for (size_t i = 1; i < n; i++) {
		struct banned *b = some[i];

		if (b->ban.until < first->ban.until)
			first = b;
	}
	if (first != NULL)
		gate_table_remove(m->bans, first);
}

void gate_store_memory_ban(struct gate_store_memory *memory, const struct gate_ban *ban, int64_t now)
{
	struct banned *b = gate_table_find(memory->bans, ban->address, 0);

	memory->now = now;
	if (b == NULL) {
		gate_table_sweep(memory->bans, drop_ended_ban, memory);
		b = gate_table_add(memory->bans, ban->address, 0);
	}
	if (b == NULL) {
		make_room_for_ban(memory);
		b = gate_table_add(memory->bans, ban->address, 0);
	}
	must(b != NULL);
	b->ban = *ban;
}

void gate_store_memory_lift(struct gate_store_memory *memory, const char *address)
{
	struct banned *b = gate_table_find(memory->bans, address, 0);

	if (b != NULL)
		gate_table_remove(memory->bans, b);
}

const struct gate_ban *gate_store_memory_find_ban(struct gate_store_memory *memory, const char *address, int64_t now)
{
	struct banned *b = gate_table_find(memory->bans, address, 0);

	return b != NULL && b->ban.until > now ? &b->ban : NULL;
}

size_t gate_store_memory_count_bans(struct gate_store_memory *memory, int64_t now)
{
	memory->now = now;
	gate_table_walk(memory->bans, drop_ended_ban, memory);
	return gate_table_count(memory->bans);
}

struct listing {
	const struct gate_ban **ban;
	size_t n;
};

static void list_ban(void *ctx, void *entry)
{
	struct listing *list = ctx;

	list->ban[list->n++] = &((struct banned *)entry)->ban;
}

static int newest_first(const void *a, const void *b)
{
	const struct gate_ban *x = *(const struct gate_ban *const *)a, *y = *(const struct gate_ban *const *)b;

	if (x->since != y->since)
		return x->since < y->since ? 1 : -1;
	return strcmp(x->address, y->address);
}

size_t gate_store_memory_list_bans(struct gate_store_memory *memory, struct gate_ban *out, size_t n, int64_t now)
{
	size_t all = gate_store_memory_count_bans(memory, now);
	struct listing list = {.n = 0};

	if (all == 0)
		return 0;
	list.ban = mem_array(all, sizeof(*list.ban));
	gate_table_walk(memory->bans, list_ban, &list);
	qsort(list.ban, list.n, sizeof(*list.ban), newest_first);
	for (size_t i = 0; i < n && i < list.n; i++)
		out[i] = *list.ban[i];
	free(list.ban);
	return all;
}
