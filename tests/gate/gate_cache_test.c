/* SPDX-License-Identifier: Apache-2.0
 *
 * What gate remembers: for how long, how much, and that it tells credentials apart.
 */
#include "gate/gate_cache.h"

#include "tests/support/unit.h"

enum { MINUTE = 60 * 1000000 };

static struct gate_identity identity(unsigned n)
{
	struct gate_identity who = {.tenant = {{1}},
				    .user = {{(unsigned char)n, (unsigned char)(n >> 8)}}};

	snprintf(who.tenant_name, sizeof(who.tenant_name), "tenant-%u", n);
	return who;
}

static struct gate_cache_key numbered(const struct gate_cache *cache, unsigned n)
{
	char name[16];

	snprintf(name, sizeof(name), "user%u", n);
	return gate_cache_key(cache, str_of(name), STR("password"));
}

static void a_success_is_remembered_for_its_time(void)
{
	struct gate_cache *cache = gate_cache_new(64);
	struct gate_cache_key key = numbered(cache, 1);
	struct gate_identity one = identity(1), found;

	UNIT_TRUE(!gate_cache_find(cache, &key, 1000, &found));
	gate_cache_add(cache, &key, 1000, 1000 + MINUTE, &one);
	UNIT_TRUE(gate_cache_find(cache, &key, 1000, &found));
	UNIT_TEXT(found.tenant_name, "tenant-1");
	UNIT_TRUE(uuid_eq(&found.user, &one.user));
	UNIT_TRUE(gate_cache_find(cache, &key, 999 + MINUTE, &found));
	UNIT_TRUE(!gate_cache_find(cache, &key, 1000 + MINUTE, &found));
	gate_cache_free(&cache);
}

static void a_time_of_zero_remembers_nothing(void)
{
	struct gate_cache *cache = gate_cache_new(64);
	struct gate_cache_key key = numbered(cache, 1);
	struct gate_identity one = identity(1), found;

	gate_cache_add(cache, &key, 1000, 1000, &one);
	UNIT_TRUE(!gate_cache_find(cache, &key, 999, &found));
	gate_cache_free(&cache);
}

static void every_byte_of_name_and_password_counts(void)
{
	static const struct {
		struct str user, password;
	} others[] = {
		{{"ab", 2}, {"cd", 2}},	  {{"abc", 3}, {"d", 1}}, {{"a", 1}, {"bcd", 3}},
		{{"", 0}, {"abcd", 4}},	  {{"abcd", 4}, {"", 0}}, {{"AB", 2}, {"cd", 2}},
		{{"ab", 2}, {"cd\0", 3}},
	};
	struct gate_cache *cache = gate_cache_new(64), *second = gate_cache_new(64);
	struct gate_cache_key keys[7], elsewhere;

	for (unsigned i = 0; i < 7; i++) {
		keys[i] = gate_cache_key(cache, others[i].user, others[i].password);
		for (unsigned j = 0; j < i; j++)
			UNIT_TRUE(!gate_cache_key_eq(&keys[i], &keys[j]));
	}
	/* Another process has another secret. */
	elsewhere = gate_cache_key(second, others[0].user, others[0].password);
	UNIT_TRUE(!gate_cache_key_eq(&keys[0], &elsewhere));
	gate_cache_free(&cache);
	gate_cache_free(&second);
}

static void a_change_forgets_all(void)
{
	struct gate_cache *cache = gate_cache_new(64);
	struct gate_cache_key key = numbered(cache, 1);
	struct gate_identity one = identity(1), found;

	gate_cache_add(cache, &key, 0, MINUTE, &one);
	gate_cache_drop(cache);
	UNIT_TRUE(!gate_cache_find(cache, &key, 1, &found));
	gate_cache_add(cache, &key, 1, MINUTE, &one);
	UNIT_TRUE(gate_cache_find(cache, &key, 2, &found));
	gate_cache_free(&cache);
}

static void when_it_is_full_what_ends_first_goes(void)
{
	struct gate_cache *cache = gate_cache_new(64);
	struct gate_identity found;
	unsigned kept_old = 0, kept_new = 0;

	for (unsigned i = 0; i < 200; i++) {
		struct gate_cache_key key = numbered(cache, i);
		struct gate_identity who = identity(i);

		gate_cache_add(cache, &key, 0, MINUTE + i, &who);
	}
	for (unsigned i = 0; i < 200; i++) {
		struct gate_cache_key key = numbered(cache, i);

		if (!gate_cache_find(cache, &key, 1, &found))
			continue;
		UNIT_INT(found.user.b[0], i);
		*(i < 100 ? &kept_old : &kept_new) += 1;
	}
	UNIT_TRUE(kept_old + kept_new <= 64);
	UNIT_TRUE(kept_new >= 40);
	UNIT_TRUE(kept_new > kept_old);
	gate_cache_free(&cache);
}

static void the_same_credentials_take_one_place(void)
{
	struct gate_cache *cache = gate_cache_new(64);
	struct gate_cache_key key = numbered(cache, 1);
	struct gate_identity one = identity(1), two = identity(2), found;

	for (unsigned i = 0; i < 100; i++)
		gate_cache_add(cache, &key, 0, MINUTE + i, &one);
	gate_cache_add(cache, &key, 0, 2 * MINUTE, &two);
	UNIT_TRUE(gate_cache_find(cache, &key, MINUTE + 200, &found));
	UNIT_TEXT(found.tenant_name, "tenant-2");
	UNIT_TRUE(!gate_cache_find(cache, &key, 2 * MINUTE, &found));
	gate_cache_free(&cache);
}

UNIT_TESTS({"a success is remembered for its time", a_success_is_remembered_for_its_time},
	   {"a time of zero remembers nothing", a_time_of_zero_remembers_nothing},
	   {"every byte of name and password counts", every_byte_of_name_and_password_counts},
	   {"a change forgets all", a_change_forgets_all},
	   {"when it is full, what ends first goes", when_it_is_full_what_ends_first_goes},
	   {"the same credentials take one place", the_same_credentials_take_one_place})
