/* SPDX-License-Identifier: Apache-2.0
 *
 * Redis decides while it can be reached; memory counts all the time what was allowed, so that it goes on from there
 * when Redis goes. When Redis is back it is told what this host holds, and whom it banned meanwhile.
 */
#include "gate/gate_store.h"

#include <stdlib.h>

#include "gate/gate_store_memory.h"
#include "gate/gate_store_redis.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/service/metrics.h"

enum {
	MOST_COUNTS = 262144, /* 30 MB, when all are used */
	MOST_BANS = 65536,
	BANS_LISTED = 500,
};
static const int64_t tick = 5 * CLOCK_SECOND;

struct gate_store {
	struct gate_store_memory *memory;
	struct gate_store_redis *redis; /* NULL: not configured, or not usable */
	struct loop_timer *timer;
	int64_t away_since; /* wall clock; Redis */
};

static bool has_redis(const struct gate_store *store)
{
	return store->redis != NULL && gate_store_redis_is_up(store->redis);
}

static void show_bans(struct gate_store *store)
{
	metrics_set(METRIC_BANS, (int64_t)gate_store_memory_count_bans(store->memory, clock_wall()));
}

static void on_tick(void *ctx)
{
	struct gate_store *store = ctx;

	show_bans(store);
	loop_timer_set(store->timer, tick);
}

/* ---- Redis comes and goes ---- */

static void ignore_taken(void *ctx, int full)
{
	(void)ctx;
	(void)full;
}

static void tell_level(void *ctx, const char *key, int64_t count)
{
	struct gate_store *store = ctx;
	struct gate_take takes[GATE_STORE_TAKES];

	for (size_t i = 0; i < GATE_STORE_TAKES; i++) {
		takes[i] = (struct gate_take){.limit = INT64_MAX};
		str_copy(str_of(key), takes[i].key, sizeof(takes[i].key));
	}
	for (; count > 0; count -= GATE_STORE_TAKES)
		gate_store_redis_take(store->redis, takes, (size_t)(count < GATE_STORE_TAKES ? count : GATE_STORE_TAKES),
				      clock_wall(), ignore_taken, NULL);
}

static void tell_bans(struct gate_store *store, int64_t now)
{
	struct gate_ban *bans = mem_array(BANS_LISTED, sizeof(*bans));
	size_t n = gate_store_memory_list_bans(store->memory, bans, BANS_LISTED, now);

	for (size_t i = 0; i < n && i < BANS_LISTED && bans[i].since >= store->away_since; i++)
		gate_store_redis_ban(store->redis, &bans[i], now);
	free(bans);
}

static void on_redis(void *ctx, bool is_up, const char *why)
{
	struct gate_store *store = ctx;

	metrics_set(METRIC_REDIS_UP, is_up);
	if (!is_up) {
		log_warn(NULL, "gate.redis.down", log_text("why", why),
			 log_text("meanwhile", "this host counts for itself, in memory"));
		store->away_since = clock_wall();
		return;
	}
	log_info(NULL, "gate.redis.up");
	gate_store_memory_walk_levels(store->memory, tell_level, store);
	tell_bans(store, clock_wall());
}

static void open_redis(struct gate_store *store, struct loop *loop, const struct settings *settings, struct str ca_pem,
		       const char *host)
{
	struct err err;

	if (settings->redis.url[0] == '\0')
		return;
	store->redis = gate_store_redis_new(loop, str_of(settings->redis.url), ca_pem, settings->redis.timeout, host,
					    on_redis, store, &err);
	if (store->redis == NULL)
		log_error(NULL, "gate.redis.unusable", log_text("why", err.text),
			  log_text("meanwhile", "this host counts for itself, in memory"));
}

struct gate_store *gate_store_new(struct loop *loop, const struct settings *settings, struct str ca_pem, const char *host)
{
	struct gate_store *store = mem_zero(sizeof(*store));

	store->memory = gate_store_memory_new(MOST_COUNTS, MOST_BANS);
	store->away_since = clock_wall();
	store->timer = loop_timer_new(loop, on_tick, store);
	loop_timer_set(store->timer, tick);
	open_redis(store, loop, settings, ca_pem, host);
	return store;
}

void gate_store_free(struct gate_store **store)
{
	if (*store == NULL)
		return;
	gate_store_redis_free(&(*store)->redis);
	gate_store_memory_free(&(*store)->memory);
	loop_timer_free(&(*store)->timer);
	mem_free(store);
}

void gate_store_use_settings(struct gate_store *store, const struct settings *settings)
{
	if (store->redis != NULL)
		gate_store_redis_set_timeout(store->redis, settings->redis.timeout);
}

/* ---- counts ---- */

struct taking {
	struct gate_store *store;
	gate_store_taken_fn *fn;
	void *ctx;
	size_t n;
	struct gate_take take[];
};

static void on_taken(void *ctx, int full)
{
	struct taking *t = ctx;
	int64_t now = clock_wall();

	if (full == GATE_STORE_AWAY)
		full = gate_store_memory_take(t->store->memory, t->take, t->n, now);
	else if (full == GATE_STORE_NONE)
		gate_store_memory_count(t->store->memory, t->take, t->n, now);
	else if (full < 0 || (size_t)full >= t->n)
		full = 0; /* it said no; for what, it made up */
	t->fn(t->ctx, full);
	free(t);
}

void gate_store_take(struct gate_store *store, const struct gate_take *takes, size_t n, gate_store_taken_fn *fn, void *ctx)
{
	struct taking *t;

	must(n <= GATE_STORE_TAKES);
	if (n == 0 || !has_redis(store)) {
		fn(ctx, gate_store_memory_take(store->memory, takes, n, clock_wall()));
		return;
	}
	t = mem_zero(sizeof(*t) + n * sizeof(*takes));
	t->store = store;
	t->fn = fn;
	t->ctx = ctx;
	t->n = n;
	memcpy(t->take, takes, n * sizeof(*takes));
	gate_store_redis_take(store->redis, takes, n, clock_wall(), on_taken, t);
}

void gate_store_count(struct gate_store *store, const struct gate_take *takes, size_t n)
{
	struct gate_take any[GATE_STORE_TAKES];
	int64_t now = clock_wall();

	must(n <= GATE_STORE_TAKES);
	gate_store_memory_count(store->memory, takes, n, now);
	if (n == 0 || !has_redis(store))
		return;
	memcpy(any, takes, n * sizeof(*takes));
	for (size_t i = 0; i < n; i++)
		any[i].limit = INT64_MAX;
	gate_store_redis_take(store->redis, any, n, now, ignore_taken, NULL);
}

void gate_store_give(struct gate_store *store, const struct gate_take *takes, size_t n)
{
	int64_t now = clock_wall();

	gate_store_memory_give(store->memory, takes, n, now);
	if (n > 0 && has_redis(store))
		gate_store_redis_give(store->redis, takes, n, now);
}

/* ---- bans ---- */

void gate_store_ban(struct gate_store *store, const struct gate_ban *ban)
{
	int64_t now = clock_wall();

	gate_store_memory_ban(store->memory, ban, now);
	if (has_redis(store))
		gate_store_redis_ban(store->redis, ban, now);
	show_bans(store);
}

void gate_store_lift(struct gate_store *store, const char *address)
{
	gate_store_memory_lift(store->memory, address);
	if (has_redis(store))
		gate_store_redis_lift(store->redis, address);
	show_bans(store);
}

struct finding {
	struct gate_store *store;
	gate_store_ban_fn *on_ban;
	gate_store_bans_fn *on_bans;
	void *ctx;
	char address[sizeof(((struct gate_ban *)NULL)->address)];
};

static struct finding *new_finding(struct gate_store *store, void *ctx)
{
	struct finding *f = mem_zero(sizeof(*f));

	f->store = store;
	f->ctx = ctx;
	return f;
}

static void on_found(void *ctx, bool is_known, const struct gate_ban *bans, size_t n, size_t total)
{
	struct finding *f = ctx;

	(void)total;
	if (is_known)
		f->on_ban(f->ctx, n > 0 ? bans : NULL);
	else
		f->on_ban(f->ctx, gate_store_memory_find_ban(f->store->memory, f->address, clock_wall()));
	free(f);
}

void gate_store_find_ban(struct gate_store *store, const char *address, gate_store_ban_fn *fn, void *ctx)
{
	struct finding *f;

	if (!has_redis(store)) {
		fn(ctx, gate_store_memory_find_ban(store->memory, address, clock_wall()));
		return;
	}
	f = new_finding(store, ctx);
	f->on_ban = fn;
	str_copy(str_of(address), f->address, sizeof(f->address));
	gate_store_redis_find_ban(store->redis, address, on_found, f);
}

static void list_from_memory(struct gate_store *store, gate_store_bans_fn *fn, void *ctx)
{
	struct gate_ban *bans = mem_array(BANS_LISTED, sizeof(*bans));
	size_t total = gate_store_memory_list_bans(store->memory, bans, BANS_LISTED, clock_wall());

	fn(ctx, bans, total < BANS_LISTED ? total : BANS_LISTED, total);
	free(bans);
}

static void on_listed(void *ctx, bool is_known, const struct gate_ban *bans, size_t n, size_t total)
{
	struct finding *f = ctx;

	if (is_known)
		f->on_bans(f->ctx, bans, n, total);
	else
		list_from_memory(f->store, f->on_bans, f->ctx);
	free(f);
}

void gate_store_list_bans(struct gate_store *store, gate_store_bans_fn *fn, void *ctx)
{
	struct finding *f;

	if (!has_redis(store)) {
		list_from_memory(store, fn, ctx);
		return;
	}
	f = new_finding(store, ctx);
	f->on_bans = fn;
	gate_store_redis_list_bans(store->redis, clock_wall(), on_listed, f);
}
