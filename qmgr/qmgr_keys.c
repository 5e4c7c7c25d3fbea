/* SPDX-License-Identifier: Apache-2.0
 *
 * Two tables of chains. A key without an answer is bounded by the messages that may wait for one.
 */
#include "qmgr/qmgr_keys.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "qmgr/qmgr.h"

enum { CHAINS = 16384, ASKED_CHAINS = 1024, ID_MAX = 400 };

struct qmgr_key {
	struct qmgr_key *next, *next_asked, *newer, *older;
	struct qmgr_keys_owner *owner; /* when taken */
	struct uuid tenant, message;
	struct qmgr_asker asker; /* without a front: it has its answer */
	enum ipc_submit_verdict verdict;
	char *provider_id;
	int64_t until; /* monotonic; when taken */
	size_t n;
	char key[];
};

static struct qmgr_key **chain_of(const struct qmgr_keys *keys, const struct uuid *tenant, struct str key)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < sizeof(tenant->b); i++)
		hash = (hash ^ tenant->b[i]) * 0x100000001b3;
	for (size_t i = 0; i < key.n; i++)
		hash = (hash ^ (unsigned char)key.p[i]) * 0x100000001b3;
	return &keys->table[(hash >> 32 ^ hash) % CHAINS];
}

static struct qmgr_key **asked_chain_of(const struct qmgr_keys *keys, const struct qmgr_asker *asker)
{
	return &keys->asked[asker->frame_id % ASKED_CHAINS];
}

static struct qmgr_key *find(const struct qmgr_keys *keys, const struct uuid *tenant, struct str key)
{
	struct qmgr_key *k = *chain_of(keys, tenant, key);

	while (k != NULL && (!uuid_eq(&k->tenant, tenant) || !str_eq(str_bytes(k->key, k->n), key)))
		k = k->next;
	return k;
}

static struct qmgr_key *find_asked(const struct qmgr_keys *keys, const struct qmgr_asker *asker)
{
	struct qmgr_key *k = *asked_chain_of(keys, asker);

	while (k != NULL && (k->asker.front != asker->front || k->asker.frame_id != asker->frame_id))
		k = k->next_asked;
	return k;
}

static void ask(struct qmgr_keys *keys, struct qmgr_key *k, const struct qmgr_asker *asker)
{
	struct qmgr_key **chain = asked_chain_of(keys, asker);

	k->asker = *asker;
	k->next_asked = *chain;
	*chain = k;
}

static void end_asking(struct qmgr_keys *keys, struct qmgr_key *k)
{
	struct qmgr_key **at = asked_chain_of(keys, &k->asker);

	if (k->asker.front == NULL)
		return;
	while (*at != k)
		at = &(*at)->next_asked;
	*at = k->next_asked;
	k->asker.front = NULL;
}

static void count(struct qmgr_keys *keys, struct qmgr_keys_owner *owner, int change)
{
	unsigned class = 0;

	if (owner->n > 0) {
		*owner->at = owner->next;
		if (owner->next != NULL)
			owner->next->at = owner->at;
	}
	owner->n += (size_t)change;
	keys->n_taken += (size_t)change;
	if (owner->n == 0)
		return;
	while (owner->n >> class > 1)
		class++;
	must(class < QMGR_KEYS_CLASSES);
	owner->at = &keys->owners[class];
	owner->next = *owner->at;
	if (owner->next != NULL)
		owner->next->at = &owner->next;
	*owner->at = owner;
}

static void end_taken(struct qmgr_keys *keys, struct qmgr_key *k)
{
	if (k->until == 0)
		return;
	*(k->older != NULL ? &k->older->newer : &k->owner->oldest) = k->newer;
	*(k->newer != NULL ? &k->newer->older : &k->owner->newest) = k->older;
	count(keys, k->owner, -1);
}

static void drop(struct qmgr_keys *keys, struct qmgr_key *k)
{
	struct qmgr_key **at = chain_of(keys, &k->tenant, str_bytes(k->key, k->n));

	end_asking(keys, k);
	end_taken(keys, k);
	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	free(k->provider_id);
	free(k);
}

static void add(struct qmgr_keys *keys, const struct qmgr_asker *asker, const struct ipc_message *m)
{
	struct qmgr_key **chain = chain_of(keys, &m->tenant, m->idempotency_key);
	struct qmgr_key *k = mem_zero(sizeof(*k) + m->idempotency_key.n);

	k->tenant = m->tenant;
	k->message = m->id;
	k->n = m->idempotency_key.n;
	memcpy(k->key, m->idempotency_key.p, k->n);
	k->next = *chain;
	*chain = k;
	ask(keys, k, asker);
}

static void answer(const struct qmgr_asker *asker, const struct qmgr_key *k, bool is_itself)
{
	struct ipc_submit_result result = {.verdict = k->verdict, .provider_id = str_of(k->provider_id)};

	if (!is_itself)
		result.id = k->message;
	qmgr_front_answer(asker, &result);
}

bool qmgr_keys_take(struct qmgr *q, const struct qmgr_asker *asker, const struct ipc_message *m)
{
	struct qmgr_keys *keys = &q->keys;
	struct qmgr_key *k;
	bool is_itself;

	if (m->idempotency_key.n == 0)
		return false;
	k = find(keys, &m->tenant, m->idempotency_key);
	if (k != NULL && k->until != 0 && k->until <= clock_mono()) {
		drop(keys, k);
		k = NULL;
	}
	if (k == NULL) {
		add(keys, asker, m);
		return false;
	}
	is_itself = uuid_eq(&k->message, &m->id);
	if (k->until != 0) {
		answer(asker, k, is_itself);
	} else if (is_itself) {
		end_asking(keys, k);
		ask(keys, k, asker);
		return false;
	} else {
		qmgr_front_answer(asker, &(struct ipc_submit_result){.verdict = IPC_SUBMIT_UNAVAILABLE,
								     .reason = STR("one with its idempotency key is under way")});
	}
	return true;
}

/* Of one that has no less than half of what the greatest has. */
static void drop_one(struct qmgr_keys *keys)
{
	unsigned class = QMGR_KEYS_CLASSES - 1;

	while (keys->owners[class] == NULL)
		class--;
	drop(keys, keys->owners[class]->oldest);
}

static void keep_taken(struct qmgr *q, struct qmgr_key *k, const struct ipc_submit_result *result)
{
	struct qmgr_tenant *tenant = qmgr_tenant_of(q, &k->tenant);
	struct qmgr_keys_owner *owner = &tenant->keys;

	if (q->keys.n_taken >= q->keys.most)
		drop_one(&q->keys);
	k->verdict = result->verdict;
	k->provider_id = str_dup(str_first(result->provider_id, ID_MAX));
	k->until = clock_mono() + tenant->wishes.idempotency_window;
	k->owner = owner;
	k->older = owner->newest;
	*(k->older != NULL ? &k->older->newer : &owner->oldest) = k;
	owner->newest = k;
	count(&q->keys, owner, 1);
}

void qmgr_keys_answered(struct qmgr *q, const struct qmgr_asker *asker, const struct ipc_submit_result *result)
{
	struct qmgr_key *k = find_asked(&q->keys, asker);

	if (k == NULL)
		return;
	end_asking(&q->keys, k);
	if (result->verdict == IPC_SUBMIT_STORED || result->verdict == IPC_SUBMIT_SENT)
		keep_taken(q, k, result);
	else
		drop(&q->keys, k);
}

void qmgr_keys_forget(struct qmgr *q, const struct qmgr_front *front)
{
	for (size_t i = 0; i < ASKED_CHAINS; i++) {
		struct qmgr_key *next;

		for (struct qmgr_key *k = q->keys.asked[i]; k != NULL; k = next) {
			next = k->next_asked;
			if (k->asker.front == front)
				drop(&q->keys, k);
		}
	}
}

void qmgr_keys_init(struct qmgr *q)
{
	q->keys.table = mem_array(CHAINS, sizeof(*q->keys.table));
	q->keys.most = QMGR_KEYS_MOST;
	q->keys.asked = mem_array(ASKED_CHAINS, sizeof(*q->keys.asked));
}

void qmgr_keys_clear(struct qmgr *q)
{
	for (size_t i = 0; i < CHAINS; i++)
		while (q->keys.table[i] != NULL)
			drop(&q->keys, q->keys.table[i]);
	mem_free(&q->keys.table);
	mem_free(&q->keys.asked);
}
