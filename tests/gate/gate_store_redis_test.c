/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts and bans of two hosts in one real Redis.
 */
#include "gate/gate_store_redis.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "tests/support/redis_fixture.h"
#include "tests/support/unit.h"

#define MINUTE (60 * CLOCK_SECOND)

static struct loop *loop;
static struct redis_fixture server;

struct seen {
	unsigned ups, downs, taken, lists;
	int full;
	bool is_known;
	size_t n, total;
	struct gate_ban ban;
};

static void on_state(void *ctx, bool is_up, const char *why)
{
	struct seen *s = ctx;

	(void)why;
	s->ups += is_up;
	s->downs += !is_up;
}

static void on_taken(void *ctx, int full)
{
	struct seen *s = ctx;

	s->taken++;
	s->full = full;
}

static void on_bans(void *ctx, bool is_known, const struct gate_ban *bans, size_t n, size_t total)
{
	struct seen *s = ctx;

	s->lists++;
	s->is_known = is_known;
	s->n = n;
	s->total = total;
	if (n > 0)
		s->ban = bans[0];
}

static bool until(const unsigned *count, unsigned wanted)
{
	int64_t end = clock_mono() + 10 * CLOCK_SECOND;

	while (*count < wanted && clock_mono() < end)
		loop_turn(loop, 50 * CLOCK_MS);
	return *count >= wanted;
}

static struct gate_store_redis *open_host(const char *host, struct seen *s)
{
	struct buf url = BUF_MAX(64);
	struct gate_store_redis *store;
	struct err err;

	memset(s, 0, sizeof(*s));
	buf_printf(&url, "redis://127.0.0.1:%u", server.port);
	store = gate_store_redis_new(loop, buf_str(&url), STR(""), CLOCK_SECOND, host, on_state, s, &err);
	buf_clear(&url);
	if (store == NULL || !until(&s->ups, 1))
		abort();
	return store;
}

static int take(struct gate_store_redis *store, struct seen *s, const struct gate_take *takes, size_t n, int64_t now)
{
	unsigned before = s->taken;

	gate_store_redis_take(store, takes, n, now, on_taken, s);
	until(&s->taken, before + 1);
	return s->full;
}

static void a_count_is_shared_and_begins_anew_with_its_span(void)
{
	struct seen a, b;
	struct gate_store_redis *first = open_host("a", &a), *second = open_host("b", &b);
	int64_t now = 1000 * MINUTE + 5;
	struct gate_take mails = {"mails:192.0.2.1", MINUTE, 2};

	UNIT_INT(take(first, &a, &mails, 1, now), GATE_STORE_NONE);
	UNIT_INT(take(second, &b, &mails, 1, now), GATE_STORE_NONE);
	UNIT_INT(take(first, &a, &mails, 1, now), 0);
	UNIT_INT(take(second, &b, &mails, 1, now), 0);
	UNIT_INT(take(second, &b, &mails, 1, now + MINUTE), GATE_STORE_NONE);
	gate_store_redis_give(first, &mails, 1, now);
	UNIT_INT(take(first, &a, &mails, 1, now), GATE_STORE_NONE);
	UNIT_INT(take(first, &a, &mails, 1, now), 0);
	gate_store_redis_free(&first);
	gate_store_redis_free(&second);
}

static void all_are_taken_or_none(void)
{
	struct seen a;
	struct gate_store_redis *store = open_host("a", &a);
	struct gate_take both[] = {{"tenant:x", GATE_STORE_MONTH, 5}, {"user:x", MINUTE, 1}};
	int64_t now = 2000 * MINUTE;

	UNIT_INT(take(store, &a, both, 2, now), GATE_STORE_NONE);
	UNIT_INT(take(store, &a, both, 2, now), 1);
	both[0].limit = 2; /* one was counted, not two */
	both[1].limit = 9;
	UNIT_INT(take(store, &a, both, 2, now), GATE_STORE_NONE);
	UNIT_INT(take(store, &a, both, 2, now), 0);
	gate_store_redis_free(&store);
}

static void a_month_is_the_calendars(void)
{
	struct seen a;
	struct gate_store_redis *store = open_host("a", &a);
	struct gate_take month = {"tenant:m", GATE_STORE_MONTH, 1};
	int64_t january = 1769903999 * CLOCK_SECOND, february = 1769904000 * CLOCK_SECOND;

	UNIT_INT(take(store, &a, &month, 1, january), GATE_STORE_NONE); /* 2026-01-31 23:59:59 */
	UNIT_INT(take(store, &a, &month, 1, january), 0);
	UNIT_INT(take(store, &a, &month, 1, february), GATE_STORE_NONE);
	UNIT_INT(take(store, &a, &month, 1, february + 27 * 86400 * CLOCK_SECOND), 0);
	gate_store_redis_free(&store);
}

static void a_level_is_given_back_by_a_host_that_dies(void)
{
	struct seen a, b;
	struct gate_store_redis *first = open_host("a", &a), *second = open_host("b", &b);
	struct gate_take connection = {"connections:192.0.2.1", 0, 3};
	int64_t now = 3000 * MINUTE;
	pid_t redis;
	int status;

	UNIT_INT(take(first, &a, &connection, 1, now), GATE_STORE_NONE);
	UNIT_INT(take(first, &a, &connection, 1, now), GATE_STORE_NONE);
	UNIT_INT(take(second, &b, &connection, 1, now), GATE_STORE_NONE);
	UNIT_INT(take(second, &b, &connection, 1, now), 0);
	gate_store_redis_give(second, &connection, 1, now);
	UNIT_INT(take(second, &b, &connection, 1, now), GATE_STORE_NONE);
	gate_store_redis_free(&first);
	/* Its sign of life runs out. */
	redis = fork();
	if (redis == 0) {
		char command[256];

		snprintf(command, sizeof(command),
			 "redis-cli -p %u --scan --pattern 'smtp-proxy:alive:a/*' | xargs redis-cli -p %u del >/dev/null", server.port,
			 server.port);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(1);
	}
	waitpid(redis, &status, 0);
	UNIT_INT(status, 0);
	UNIT_INT(take(second, &b, &connection, 1, now), GATE_STORE_NONE);
	UNIT_INT(take(second, &b, &connection, 1, now), GATE_STORE_NONE);
	UNIT_INT(take(second, &b, &connection, 1, now), 0);
	gate_store_redis_free(&second);
}

/* What the dead one held is held by the same clients, and counted when they are told anew: not twice. */
static void the_next_gate_of_a_host_ends_what_the_last_one_held(void)
{
	struct seen a, b;
	struct gate_store_redis *first = open_host("host", &a), *other = open_host("other", &b);
	struct gate_take connection = {"connections:192.0.2.7", 0, 4};
	int64_t now = 4000 * MINUTE;

	UNIT_INT(take(other, &b, &connection, 1, now), GATE_STORE_NONE);
	for (int i = 0; i < 3; i++)
		UNIT_INT(take(first, &a, &connection, 1, now), GATE_STORE_NONE);
	UNIT_INT(take(first, &a, &connection, 1, now), 0);
	gate_store_redis_free(&first);
	first = open_host("host", &a);
	for (int i = 0; i < 3; i++)
		UNIT_INT(take(first, &a, &connection, 1, now), GATE_STORE_NONE);
	UNIT_INT(take(first, &a, &connection, 1, now), 0);
	gate_store_redis_free(&first);
	gate_store_redis_free(&other);
}

static void find_ban(struct gate_store_redis *store, struct seen *s, const char *address)
{
	unsigned before = s->lists;

	gate_store_redis_find_ban(store, address, on_bans, s);
	until(&s->lists, before + 1);
}

static void bans_are_shared_listed_and_lifted(void)
{
	struct seen a, b;
	struct gate_store_redis *first = open_host("a", &a), *second = open_host("b", &b);
	int64_t now = clock_wall();
	struct gate_ban ban = {"192.0.2.1", now, now + MINUTE, "5 failed logins"};

	gate_store_redis_ban(first, &ban, now);
	str_copy(STR("2001:db8::/64"), ban.address, sizeof(ban.address));
	ban.until = now + 2 * MINUTE;
	gate_store_redis_ban(first, &ban, now);
	find_ban(first, &a, "192.0.2.1"); /* its commands are through */
	find_ban(second, &b, "192.0.2.1");
	UNIT_TRUE(b.is_known && b.n == 1 && b.ban.since == now && b.ban.until == now + MINUTE);
	UNIT_TEXT(b.ban.reason, "5 failed logins");
	find_ban(second, &b, "192.0.2.2");
	UNIT_TRUE(b.is_known && b.n == 0);
	gate_store_redis_list_bans(second, now, on_bans, &b);
	UNIT_TRUE(until(&b.lists, 3));
	UNIT_INT(b.n, 2);
	UNIT_INT(b.total, 2);
	UNIT_TEXT(b.ban.address, "2001:db8::/64");
	gate_store_redis_lift(second, "192.0.2.1");
	find_ban(second, &b, "192.0.2.1");
	UNIT_INT(b.n, 0);
	gate_store_redis_free(&first);
	gate_store_redis_free(&second);
}

static void without_redis_nothing_is_known(void)
{
	struct seen a;
	struct gate_store_redis *store = open_host("a", &a);
	struct gate_take one = {"x", MINUTE, 1};

	redis_fixture_stop(&server);
	UNIT_TRUE(until(&a.downs, 1));
	UNIT_INT(take(store, &a, &one, 1, 0), GATE_STORE_AWAY);
	find_ban(store, &a, "192.0.2.1");
	UNIT_TRUE(!a.is_known && a.n == 0);
	gate_store_redis_free(&store);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{"a count is shared and begins anew with its span", a_count_is_shared_and_begins_anew_with_its_span},
		{"all are taken or none", all_are_taken_or_none},
		{"a month is the calendar's", a_month_is_the_calendars},
		{"a level is given back by a host that dies", a_level_is_given_back_by_a_host_that_dies},
		{"the next gate of a host ends what the last one held", the_next_gate_of_a_host_ends_what_the_last_one_held},
		{"bans are shared, listed and lifted", bans_are_shared_listed_and_lifted},
		{"without Redis nothing is known", without_redis_nothing_is_known},
	};
	int status;

	signal(SIGPIPE, SIG_IGN);
	loop = loop_new();
	redis_fixture_start(&server, 0, NULL);
	status = unit_main(__FILE__, tests, sizeof(tests) / sizeof(tests[0]));
	redis_fixture_stop(&server);
	loop_free(&loop);
	return status;
}
