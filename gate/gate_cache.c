/* SPDX-License-Identifier: Apache-2.0
 *
 * A table of sets of eight places; a key belongs to one set. The key is a MAC under a secret, so
 * nobody outside can aim at a set, and no set is much fuller than the others. Memory is touched as
 * it fills.
 */
#include "gate/gate_cache.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/base/random.h"
#include "lib/base/trouble.h"
#include "lib/net/digest.h"

enum { WAYS = 8, SECRET = 32, SMALLEST = 64 };

struct place {
	struct gate_cache_key key;
	uint64_t generation; /* taken when it is the cache's; 0: never was */
	int64_t until;
	struct gate_identity *identity;
};

struct gate_cache {
	unsigned char secret[SECRET];
	uint64_t generation;
	uint32_t sets; /* a power of two */
	struct place *places;
};

struct gate_cache *gate_cache_new(uint32_t most)
{
	struct gate_cache *cache = mem_zero(sizeof(*cache));
	uint32_t places = SMALLEST;

	while (places < most && places < (1U << 30))
		places *= 2;
	cache->sets = places / WAYS;
	cache->places = mem_array(places, sizeof(struct place));
	cache->generation = 1;
	random_fill(cache->secret, sizeof(cache->secret));
	return cache;
}

void gate_cache_free(struct gate_cache **cache)
{
	if (*cache == NULL)
		return;
	for (size_t i = 0; i < (size_t)(*cache)->sets * WAYS; i++)
		gate_identity_release(&(*cache)->places[i].identity);
	mem_wipe((*cache)->secret, SECRET);
	free((*cache)->places);
	mem_free(cache);
}

struct gate_cache_key gate_cache_key(const struct gate_cache *cache, const struct ipc_auth *auth)
{
	struct buf both = BUF_MAX(1 << 20);
	struct gate_cache_key key;
	unsigned char mac[DIGEST_MAX];

	/* The length first: "ab" with "c" is not "a" with "bc". */
	buf_put_u8(&both, (uint8_t)auth->mechanism);
	buf_put_blob(&both, auth->user);
	buf_put_blob(&both, auth->password);
	buf_put_blob(&both, auth->certificate);
	must(!both.is_full);
	must(digest_hmac(DIGEST_SHA256, str_bytes(cache->secret, SECRET), buf_str(&both), mac) >= sizeof(key.b));
	buf_clear_secret(&both);
	memcpy(key.b, mac, sizeof(key.b));
	mem_wipe(mac, sizeof(mac));
	return key;
}

bool gate_cache_key_eq(const struct gate_cache_key *a, const struct gate_cache_key *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

static struct place *set_of(const struct gate_cache *cache, const struct gate_cache_key *key)
{
	uint32_t set;

	memcpy(&set, key->b, sizeof(set));
	return cache->places + (size_t)(set & (cache->sets - 1)) * WAYS;
}

static bool is_live(const struct gate_cache *cache, const struct place *place, int64_t now)
{
	return place->generation == cache->generation && place->until > now;
}

struct gate_identity *gate_cache_find(const struct gate_cache *cache, const struct gate_cache_key *key, int64_t now)
{
	const struct place *set = set_of(cache, key);

	for (unsigned i = 0; i < WAYS; i++)
		if (is_live(cache, &set[i], now) && gate_cache_key_eq(&set[i].key, key))
			return set[i].identity;
	return NULL;
}

void gate_cache_add(struct gate_cache *cache, const struct gate_cache_key *key, int64_t now,
		    int64_t until, struct gate_identity *identity)
{
	struct place *set = set_of(cache, key), *best = NULL;

	if (until <= now)
		return;
	for (unsigned i = 0; i < WAYS; i++) {
		struct place *p = &set[i];

		/* The same key again, else a place that is not taken, else the one that ends first.
		 */
		if (p->generation != 0 && gate_cache_key_eq(&p->key, key)) {
			best = p;
			break;
		}
		if (best == NULL || (is_live(cache, best, now) &&
				     (!is_live(cache, p, now) || p->until < best->until)))
			best = p;
	}
	gate_identity_hold(identity);
	gate_identity_release(&best->identity);
	*best = (struct place){*key, cache->generation, until, identity};
}

void gate_cache_drop(struct gate_cache *cache)
{
	cache->generation++;
}
