/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts and bans while Redis is there, goes, and comes back: two hosts with one real Redis.
 */
#include "gate/gate_store.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "tests/support/redis_fixture.h"
#include "tests/support/unit.h"

static struct loop *loop;
static struct redis_fixture server;
static struct settings *settings;
static unsigned answers;
static int last_full;
static struct gate_ban last_ban;
static bool is_banned;
static size_t last_total;

static void on_taken(void *ctx, int full)
{
	(void)ctx;
	answers++;
	last_full = full;
}

static void on_ban(void *ctx, const struct gate_ban *ban)
{
	(void)ctx;
	answers++;
	is_banned = ban != NULL;
	if (ban != NULL)
		last_ban = *ban;
}

static void on_bans(void *ctx, const struct gate_ban *bans, size_t n, size_t total)
{
	(void)ctx;
	answers++;
	last_total = total;
	if (n > 0)
		last_ban = bans[0];
}

static void wait_for(unsigned n)
{
	int64_t end = clock_mono() + 10 * CLOCK_SECOND;

	while (answers < n && clock_mono() < end)
		loop_turn(loop, 20 * CLOCK_MS);
	UNIT_INT(answers, n);
}

/* One of a level with this limit. */
static int take(struct gate_store *store, int64_t limit)
{
	struct gate_take t = {.key = "connections:192.0.2.1", .limit = limit};
	unsigned before = answers;

	gate_store_take(store, &t, 1, on_taken, NULL);
	wait_for(before + 1);
	return last_full;
}

static void give(struct gate_store *store)
{
	gate_store_give(store, &(struct gate_take){.key = "connections:192.0.2.1"}, 1);
}

static bool find(struct gate_store *store, const char *address)
{
	unsigned before = answers;

	gate_store_find_ban(store, address, on_ban, NULL);
	wait_for(before + 1);
	return is_banned;
}

static void ban(struct gate_store *store, const char *address)
{
	struct gate_ban b = {.since = clock_wall()};

	b.until = b.since + 3600 * CLOCK_SECOND;
	snprintf(b.address, sizeof(b.address), "%s", address);
	snprintf(b.reason, sizeof(b.reason), "test");
	gate_store_ban(store, &b);
}

/* Until a ban that `from` knows is known to `to`: both have their Redis. */
static bool are_joined(struct gate_store *from, struct gate_store *to, const char *address)
{
	int64_t end = clock_mono() + 15 * CLOCK_SECOND;

	ban(from, address);
	while (!find(to, address))
		if (clock_mono() > end)
			return false;
		else
			loop_turn(loop, 20 * CLOCK_MS);
	return true;
}

static struct gate_store *open_host(const char *host)
{
	return gate_store_new(loop, settings, STR(""), host);
}

static void begin(void)
{
	char url[64];

	log_set(LOG_FORMAT_PLAIN, LOG_LEVEL_ERROR);
	server.port = 0;
	redis_fixture_start(&server, 0, NULL);
	loop = loop_new();
	settings = settings_new();
	snprintf(url, sizeof(url), "redis://127.0.0.1:%u", server.port);
	free(settings->redis.url);
	settings->redis.url = str_dup(str_of(url));
	answers = 0;
}

static void end(struct gate_store **a, struct gate_store **b)
{
	gate_store_free(a);
	gate_store_free(b);
	redis_fixture_stop(&server);
	settings_free(&settings);
	loop_turn(loop, 0);
	loop_free(&loop);
}

static void hosts_count_together_and_alone_while_redis_is_gone(void)
{
	struct gate_store *a, *b;

	begin();
	a = open_host("a");
	b = open_host("b");
	UNIT_TRUE(are_joined(a, b, "192.0.2.1") && are_joined(b, a, "192.0.2.2"));
	UNIT_INT(take(a, 3), GATE_STORE_NONE);
	UNIT_INT(take(a, 3), GATE_STORE_NONE);
	UNIT_INT(take(b, 3), GATE_STORE_NONE);
	UNIT_INT(take(a, 3), 0);
	UNIT_INT(take(b, 3), 0);

	redis_fixture_stop(&server);
	/* Each goes on from what it holds itself. */
	UNIT_INT(take(a, 3), GATE_STORE_NONE);
	UNIT_INT(take(a, 3), 0);
	UNIT_INT(take(b, 3), GATE_STORE_NONE);
	give(a);
	UNIT_TRUE(find(a, "192.0.2.1"));
	ban(b, "192.0.2.3");
	UNIT_TRUE(find(b, "192.0.2.3") && !find(a, "192.0.2.3"));

	/* Back, and empty: it hears what they hold, and the bans that began meanwhile. */
	redis_fixture_start(&server, 0, NULL);
	UNIT_TRUE(are_joined(a, b, "192.0.2.4") && are_joined(b, a, "192.0.2.5"));
	UNIT_TRUE(find(a, "192.0.2.3"));
	UNIT_INT(take(a, 4), 0);
	UNIT_INT(take(b, 5), GATE_STORE_NONE);
	UNIT_INT(take(a, 5), 0);
	end(&a, &b);
}

static void a_redis_that_hangs_keeps_nobody_waiting_and_counts_nothing_twice(void)
{
	struct gate_store *a, *b;
	int64_t start;

	begin();
	settings->redis.timeout = 200 * CLOCK_MS;
	a = open_host("a");
	b = open_host("b");
	UNIT_TRUE(are_joined(a, b, "192.0.2.1") && are_joined(b, a, "192.0.2.2"));
	UNIT_INT(take(a, 10), GATE_STORE_NONE);
	UNIT_INT(take(b, 10), GATE_STORE_NONE);
	kill(server.pid, SIGSTOP);
	start = clock_mono();
	UNIT_INT(take(a, 10), GATE_STORE_NONE);
	UNIT_TRUE(find(a, "192.0.2.1"));
	UNIT_TRUE(clock_mono() - start < 5 * CLOCK_SECOND);
	give(b);
	kill(server.pid, SIGCONT);
	UNIT_TRUE(are_joined(a, b, "192.0.2.3") && are_joined(b, a, "192.0.2.4"));
	/* a holds two, b none. */
	UNIT_INT(take(b, 2), 0);
	UNIT_INT(take(b, 3), GATE_STORE_NONE);
	UNIT_INT(take(a, 3), 0);
	end(&a, &b);
}

static void bans_are_listed_and_lifted_for_all(void)
{
	struct gate_store *a, *b;
	unsigned before;

	begin();
	a = open_host("a");
	b = open_host("b");
	UNIT_TRUE(are_joined(a, b, "192.0.2.1") && are_joined(b, a, "2001:db8::/64"));
	before = answers;
	gate_store_list_bans(a, on_bans, NULL);
	wait_for(before + 1);
	UNIT_INT(last_total, 2);
	gate_store_lift(b, "192.0.2.1");
	UNIT_TRUE(!find(b, "192.0.2.1"));
	UNIT_TRUE(!find(a, "192.0.2.1"));
	UNIT_TRUE(find(a, "2001:db8::/64"));
	UNIT_TEXT(last_ban.reason, "test");
	end(&a, &b);
}

static void a_wrong_url_is_no_reason_to_stop(void)
{
	struct gate_store *a;

	loop = loop_new();
	settings = settings_new();
	free(settings->redis.url);
	settings->redis.url = str_dup(STR("nonsense"));
	log_set(LOG_FORMAT_PLAIN, LOG_LEVEL_ERROR);
	answers = 0;
	a = open_host("a");
	UNIT_INT(take(a, 1), GATE_STORE_NONE);
	UNIT_INT(take(a, 1), 0);
	gate_store_free(&a);
	settings_free(&settings);
	loop_free(&loop);
}

UNIT_TESTS({"hosts count together, and alone while Redis is gone", hosts_count_together_and_alone_while_redis_is_gone},
	   {"a Redis that hangs keeps nobody waiting, and counts nothing twice",
	    a_redis_that_hangs_keeps_nobody_waiting_and_counts_nothing_twice},
	   {"bans are listed and lifted for all", bans_are_listed_and_lifted_for_all},
	   {"a wrong URL is no reason to stop", a_wrong_url_is_no_reason_to_stop})
