/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts by the clock, levels and bans in memory: all or none, when they begin anew, and what a flood does to them.
 */
#include "gate/gate_store_memory.h"

#include "lib/base/clock.h"
#include "tests/support/unit.h"

#define MINUTE (60 * CLOCK_SECOND)
#define HOUR (3600 * CLOCK_SECOND)
#define DAY (86400 * CLOCK_SECOND)
/* 2026-01-31 23:59:30 UTC */
#define LATE_JANUARY (1769903970 * CLOCK_SECOND)

static struct gate_take take(const char *key, int64_t span, int64_t limit)
{
	struct gate_take t = {.span = span, .limit = limit};

	snprintf(t.key, sizeof(t.key), "%s", key);
	return t;
}

/* How many of `tries` are taken. */
static int many(struct gate_store_memory *m, struct gate_take t, int tries, int64_t now)
{
	int n = 0;

	for (int i = 0; i < tries; i++)
		n += gate_store_memory_take(m, &t, 1, now) == GATE_STORE_NONE;
	return n;
}

static void a_count_begins_anew_with_its_span_of_the_clock(void)
{
	static const struct {
		int64_t span, from, same, next;
	} cases[] = {
		{CLOCK_SECOND, 5 * CLOCK_SECOND + 10, 5 * CLOCK_SECOND + 999999, 6 * CLOCK_SECOND},
		{MINUTE, LATE_JANUARY, LATE_JANUARY + 29 * CLOCK_SECOND, LATE_JANUARY + 30 * CLOCK_SECOND},
		{HOUR, LATE_JANUARY - HOUR + MINUTE, LATE_JANUARY, LATE_JANUARY + MINUTE},
		{DAY, LATE_JANUARY - 23 * HOUR, LATE_JANUARY, LATE_JANUARY + MINUTE},
		{GATE_STORE_MONTH, LATE_JANUARY - 30 * DAY, LATE_JANUARY, LATE_JANUARY + 30 * CLOCK_SECOND},
		/* February has 28 days. */
		{GATE_STORE_MONTH, LATE_JANUARY + MINUTE, LATE_JANUARY + 28 * DAY, LATE_JANUARY + 28 * DAY + MINUTE},
		{5 * MINUTE, LATE_JANUARY, LATE_JANUARY + 29 * CLOCK_SECOND, LATE_JANUARY + MINUTE},
		/* The clock is set back. */
		{MINUTE, LATE_JANUARY, LATE_JANUARY, LATE_JANUARY - HOUR},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gate_store_memory *m = gate_store_memory_new(100, 10);
		struct gate_take t = take("mails:192.0.2.1", cases[i].span, 3);

		UNIT_INT(many(m, t, 2, cases[i].from), 2);
		UNIT_INT(many(m, t, 5, cases[i].same), 1);
		UNIT_INT(many(m, t, 5, cases[i].next), 3);
		gate_store_memory_free(&m);
	}
}

static void all_are_taken_or_none(void)
{
	struct gate_store_memory *m = gate_store_memory_new(100, 10);
	struct gate_take takes[] = {take("user:1", CLOCK_SECOND, 100), take("user:1", MINUTE, 2),
				    take("tenant:1", MINUTE, 3), take("connections:a", 0, 5)};

	UNIT_INT(gate_store_memory_take(m, takes, 4, 0), GATE_STORE_NONE);
	UNIT_INT(gate_store_memory_take(m, takes, 4, 0), GATE_STORE_NONE);
	UNIT_INT(gate_store_memory_take(m, takes, 4, 0), 1);
	UNIT_INT(gate_store_memory_take(m, takes, 4, 0), 1);
	/* What was refused counted nowhere: one more of the tenant's, three of the level. */
	UNIT_INT(many(m, takes[2], 5, 0), 1);
	UNIT_INT(many(m, takes[3], 5, 0), 3);
	UNIT_INT(many(m, takes[0], 200, 0), 98);
	/* The first that is full is named. */
	UNIT_INT(gate_store_memory_take(m, takes, 4, 0), 0);
	UNIT_INT(gate_store_memory_take(m, takes + 1, 3, 0), 0);
	UNIT_INT(gate_store_memory_take(m, takes + 2, 2, 0), 0);
	UNIT_INT(gate_store_memory_take(m, NULL, 0, 0), GATE_STORE_NONE);
	gate_store_memory_free(&m);
}

static void what_is_given_back_can_be_taken_again(void)
{
	struct gate_store_memory *m = gate_store_memory_new(100, 10);
	struct gate_take level = take("connections:a", 0, 2), count = take("user:1", MINUTE, 2);

	UNIT_INT(many(m, level, 3, 0), 2);
	gate_store_memory_give(m, &level, 1, 0);
	UNIT_INT(many(m, level, 3, 0), 1);
	/* Never below zero. */
	for (int i = 0; i < 10; i++)
		gate_store_memory_give(m, &level, 1, 0);
	UNIT_INT(many(m, level, 5, 0), 2);

	UNIT_INT(many(m, count, 3, 0), 2);
	gate_store_memory_give(m, &count, 1, 1);
	UNIT_INT(many(m, count, 3, 1), 1);
	/* A span that is over is left alone. */
	UNIT_INT(many(m, count, 1, MINUTE), 1);
	for (int i = 0; i < 10; i++)
		gate_store_memory_give(m, &count, 1, 2 * MINUTE);
	UNIT_INT(many(m, count, 5, 2 * MINUTE), 2);
	gate_store_memory_free(&m);
}

static void levels_last_and_counts_do_not_meet_them(void)
{
	struct gate_store_memory *m = gate_store_memory_new(100, 10);
	struct gate_take level = take("x", 0, 1), count = take("x", MINUTE, 1), other = take("x", HOUR, 1);

	UNIT_INT(many(m, level, 2, 0), 1);
	UNIT_INT(many(m, count, 2, 0), 1);
	UNIT_INT(many(m, other, 2, 0), 1);
	UNIT_INT(many(m, level, 2, 100 * DAY), 0);
	gate_store_memory_free(&m);
}

static void sum_level(void *ctx, const char *key, int64_t count)
{
	int64_t *sum = ctx;

	UNIT_TEXT(key, count == 3 ? "connections:a" : "connections:b");
	*sum += count;
}

static void levels_can_be_told(void)
{
	struct gate_store_memory *m = gate_store_memory_new(100, 10);
	int64_t sum = 0;

	UNIT_INT(many(m, take("connections:a", 0, 9), 3, 0), 3);
	UNIT_INT(many(m, take("connections:b", 0, 9), 1, 0), 1);
	UNIT_INT(many(m, take("connections:b", MINUTE, 9), 1, 0), 1);
	gate_store_memory_walk_levels(m, sum_level, &sum);
	UNIT_INT(sum, 4);
	gate_store_memory_free(&m);
}

/* A million addresses, one mail each, while a hundred are at or near their limit in a table of a thousand. */
static void a_flood_does_not_wash_away_those_who_are_limited(void)
{
	struct gate_store_memory *m = gate_store_memory_new(1000, 10);
	char key[32];
	int kept = 0;

	for (int i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "mails:10.0.0.%d", i);
		UNIT_INT(many(m, take(key, HOUR, 100), 100, 0), 100);
	}
	for (int i = 0; i < 1000000; i++) {
		struct gate_take t;

		snprintf(key, sizeof(key), "mails:flood-%d", i);
		t = take(key, HOUR, 100);
		gate_store_memory_take(m, &t, 1, 1);
	}
	for (int i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "mails:10.0.0.%d", i);
		kept += many(m, take(key, HOUR, 100), 1, 2) == 0;
	}
	UNIT_INT(kept, 100);
	/* The next hour finds room, though nobody swept. */
	UNIT_INT(many(m, take("mails:new", HOUR, 5), 9, HOUR), 5);
	gate_store_memory_free(&m);
}

static struct gate_ban ban(const char *address, int64_t since, int64_t until)
{
	struct gate_ban b = {.since = since, .until = until};

	snprintf(b.address, sizeof(b.address), "%s", address);
	snprintf(b.reason, sizeof(b.reason), "%s did it", address);
	return b;
}

static void a_ban_ends(void)
{
	struct gate_store_memory *m = gate_store_memory_new(10, 10);
	struct gate_ban a = ban("192.0.2.1", 10, 100), b = ban("2001:db8::/64", 20, 50), out[4];

	gate_store_memory_ban(m, &a, 10);
	gate_store_memory_ban(m, &b, 20);
	UNIT_TEXT(gate_store_memory_find_ban(m, "192.0.2.1", 20)->reason, "192.0.2.1 did it");
	UNIT_TRUE(gate_store_memory_find_ban(m, "192.0.2.2", 20) == NULL);
	UNIT_INT(gate_store_memory_list_bans(m, out, 4, 20), 2);
	UNIT_TEXT(out[0].address, "2001:db8::/64");
	UNIT_TEXT(out[1].address, "192.0.2.1");
	UNIT_INT(gate_store_memory_list_bans(m, out, 1, 20), 2);
	UNIT_TRUE(gate_store_memory_find_ban(m, "2001:db8::/64", 49) != NULL);
	UNIT_TRUE(gate_store_memory_find_ban(m, "2001:db8::/64", 50) == NULL);
	UNIT_INT(gate_store_memory_count_bans(m, 50), 1);
	gate_store_memory_lift(m, "192.0.2.1");
	gate_store_memory_lift(m, "192.0.2.1");
	UNIT_TRUE(gate_store_memory_find_ban(m, "192.0.2.1", 50) == NULL);
	UNIT_INT(gate_store_memory_list_bans(m, out, 4, 50), 0);
	gate_store_memory_free(&m);
}

static void a_new_ban_replaces_the_old_one(void)
{
	struct gate_store_memory *m = gate_store_memory_new(10, 10);
	struct gate_ban a = ban("192.0.2.1", 10, 100), b = ban("192.0.2.1", 50, 200);

	gate_store_memory_ban(m, &a, 10);
	gate_store_memory_ban(m, &b, 50);
	UNIT_INT(gate_store_memory_count_bans(m, 60), 1);
	UNIT_INT(gate_store_memory_find_ban(m, "192.0.2.1", 150)->since, 50);
	gate_store_memory_free(&m);
}

static void bans_are_bounded_and_long_ones_stay(void)
{
	struct gate_store_memory *m = gate_store_memory_new(10, 100);
	char address[32];

	for (int i = 0; i < 10000; i++) {
		struct gate_ban b;

		snprintf(address, sizeof(address), "10.0.%d.%d", i / 256, i % 256);
		b = ban(address, i, i < 10 ? 1000000 : 20000 + i);
		gate_store_memory_ban(m, &b, i);
	}
	UNIT_INT(gate_store_memory_count_bans(m, 10000), 100);
	for (int i = 0; i < 10; i++) {
		snprintf(address, sizeof(address), "10.0.0.%d", i);
		UNIT_TRUE(gate_store_memory_find_ban(m, address, 10000) != NULL);
	}
	gate_store_memory_free(&m);
}

UNIT_TESTS({"a count begins anew with its span of the clock", a_count_begins_anew_with_its_span_of_the_clock},
	   {"all are taken or none", all_are_taken_or_none},
	   {"what is given back can be taken again", what_is_given_back_can_be_taken_again},
	   {"levels last, and counts do not meet them", levels_last_and_counts_do_not_meet_them},
	   {"levels can be told", levels_can_be_told},
	   {"a flood does not wash away those who are limited", a_flood_does_not_wash_away_those_who_are_limited},
	   {"a ban ends", a_ban_ends},
	   {"a new ban replaces the old one", a_new_ban_replaces_the_old_one},
	   {"bans are bounded, and long ones stay", bans_are_bounded_and_long_ones_stay})
