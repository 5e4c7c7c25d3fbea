/* SPDX-License-Identifier: Apache-2.0
 *
 * What gate remembers: for how long, how much, and that it tells credentials apart.
 */
#include "gate/gate_cache.h"

#include "tests/support/unit.h"

enum { MINUTE = 60 * 1000000 };

/* Adds a new identity that only the cache holds then. */
static void add(struct gate_cache *cache, const struct gate_cache_key *key, int64_t now, int64_t until, unsigned n)
{
	struct gate_user user = {.tenant = {{1}}, .user = {{(unsigned char)n, (unsigned char)(n >> 8)}}};
	struct gate_identity *who;

	who = gate_identity_new(&user);
	gate_cache_add(cache, key, now, until, who);
	gate_identity_release(&who);
}

/* Which one is found: its number, or -1. */
static int find(const struct gate_cache *cache, const struct gate_cache_key *key, int64_t now)
{
	struct gate_identity *found = gate_cache_find(cache, key, now);

	return found == NULL ? -1 : found->user.b[0];
}

static struct gate_cache_key numbered(const struct gate_cache *cache, unsigned n)
{
	char name[16];

	snprintf(name, sizeof(name), "user%u", n);
	return gate_cache_key(cache, &(struct ipc_auth){.user = str_of(name), .password = STR("password")});
}

static void a_success_is_remembered_for_its_time(void)
{
	struct gate_cache *cache = gate_cache_new(64);
	struct gate_cache_key key = numbered(cache, 1);

	UNIT_INT(find(cache, &key, 1000), -1);
	add(cache, &key, 1000, 1000 + MINUTE, 1);
	UNIT_INT(find(cache, &key, 1000), 1);
	UNIT_INT(find(cache, &key, 999 + MINUTE), 1);
	UNIT_INT(find(cache, &key, 1000 + MINUTE), -1);
	gate_cache_free(&cache);
}

static void a_time_of_zero_remembers_nothing(void)
{
	struct gate_cache *cache = gate_cache_new(64);
	struct gate_cache_key key = numbered(cache, 1);

	add(cache, &key, 1000, 1000, 1);
	UNIT_INT(find(cache, &key, 999), -1);
	gate_cache_free(&cache);
}

static void every_byte_of_name_and_password_counts(void)
{
	static const struct {
		struct str user, password, certificate;
	} others[] = {
		{STR("ab"), STR("cd"), STR("")},  {STR("abc"), STR("d"), STR("")}, {STR("a"), STR("bcd"), STR("")},
		{STR(""), STR("abcd"), STR("")},  {STR("abcd"), STR(""), STR("")}, {STR("AB"), STR("cd"), STR("")},
		{STR("ab"), STR("cd\0"), STR("")}, {STR("ab"), STR(""), STR("cd")},
	};
	enum { N = sizeof(others) / sizeof(others[0]) };
	struct gate_cache *cache = gate_cache_new(64), *second = gate_cache_new(64);
	struct gate_cache_key keys[N], elsewhere;
	struct ipc_auth auth;

	for (unsigned i = 0; i < N; i++) {
		auth = (struct ipc_auth){.user = others[i].user, .password = others[i].password,
					 .certificate = others[i].certificate};
		keys[i] = gate_cache_key(cache, &auth);
		for (unsigned j = 0; j < i; j++)
			UNIT_TRUE(!gate_cache_key_eq(&keys[i], &keys[j]));
	}
	/* Another process has another secret. */
	elsewhere = gate_cache_key(second, &auth);
	UNIT_TRUE(!gate_cache_key_eq(&keys[N - 1], &elsewhere));
	/* A password is not a certificate. */
	auth.mechanism = IPC_AUTH_EXTERNAL;
	elsewhere = gate_cache_key(cache, &auth);
	UNIT_TRUE(!gate_cache_key_eq(&keys[N - 1], &elsewhere));
	gate_cache_free(&cache);
	gate_cache_free(&second);
}

static void a_change_forgets_all(void)
{
	struct gate_cache *cache = gate_cache_new(64);
	struct gate_cache_key key = numbered(cache, 1);

	add(cache, &key, 0, MINUTE, 1);
	gate_cache_drop(cache);
	UNIT_INT(find(cache, &key, 1), -1);
	add(cache, &key, 1, MINUTE, 2);
	UNIT_INT(find(cache, &key, 2), 2);
	gate_cache_free(&cache);
}

static void when_it_is_full_what_ends_first_goes(void)
{
	struct gate_cache *cache = gate_cache_new(64);
	unsigned kept_old = 0, kept_new = 0;

	for (unsigned i = 0; i < 200; i++) {
		struct gate_cache_key key = numbered(cache, i);

		add(cache, &key, 0, MINUTE + i, i);
	}
	for (unsigned i = 0; i < 200; i++) {
		struct gate_cache_key key = numbered(cache, i);

		if (find(cache, &key, 1) < 0)
			continue;
		UNIT_INT(find(cache, &key, 1), i);
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

	for (unsigned i = 0; i < 100; i++)
		add(cache, &key, 0, MINUTE + i, 1);
	add(cache, &key, 0, 2 * MINUTE, 2);
	UNIT_INT(find(cache, &key, MINUTE + 200), 2);
	UNIT_INT(find(cache, &key, 2 * MINUTE), -1);
	gate_cache_free(&cache);
}

UNIT_TESTS({"a success is remembered for its time", a_success_is_remembered_for_its_time},
	   {"a time of zero remembers nothing", a_time_of_zero_remembers_nothing},
	   {"every byte of name and password counts", every_byte_of_name_and_password_counts},
	   {"a change forgets all", a_change_forgets_all},
	   {"when it is full, what ends first goes", when_it_is_full_what_ends_first_goes},
	   {"the same credentials take one place", the_same_credentials_take_one_place})
