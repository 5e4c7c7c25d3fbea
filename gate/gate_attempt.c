/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of logins under way; short (gate_auth.c says how long), so it is searched from its
 * beginning.
 */
#include "gate/gate_attempt.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/trouble.h"

struct gate_attempt *gate_attempt_find(const struct gate_attempts *all,
				       const struct gate_cache_key *key)
{
	struct gate_attempt *a = all->first;

	while (a != NULL && !gate_cache_key_eq(&a->key, key))
		a = a->next;
	return a;
}

unsigned gate_attempt_count(const struct gate_attempts *all, const char *client)
{
	unsigned n = 0;

	for (const struct gate_attempt *a = all->first; a != NULL; a = a->next)
		n += strcmp(a->client, client) == 0;
	return n;
}

struct gate_attempt *gate_attempt_new(struct gate_attempts *all, const struct gate_cache_key *key,
				      const struct ipc_auth *auth, const char *client)
{
	struct gate_attempt *a;
	struct str password = str_first(auth->password, PASSWORD_MAX + 1);

	if (all->n >= all->most)
		return NULL;
	a = mem_zero(sizeof(*a));
	a->key = *key;
	str_copy(str_of(client), a->client, sizeof(a->client));
	if (password.n > 0)
		memcpy(a->password, password.p, password.n);
	a->password_n = password.n;
	a->last = &a->first;
	a->next = all->first;
	all->first = a;
	all->n++;
	return a;
}

void gate_attempt_free(struct gate_attempts *all, struct gate_attempt **attempt)
{
	struct gate_attempt *a = *attempt, **at = &all->first;

	while (*at != a) {
		must(*at != NULL);
		at = &(*at)->next;
	}
	*at = a->next;
	all->n--;
	while (a->first != NULL) {
		struct gate_waiter *w = a->first;

		a->first = w->next;
		free(w);
	}
	gate_identity_release(&a->identity);
	mem_wipe(a, sizeof(*a));
	mem_free(attempt);
}

void gate_attempt_wait(struct gate_attempt *attempt, struct gate_peer *peer, uint64_t id,
		       const struct ipc_auth *auth)
{
	struct gate_waiter *w = mem_zero(sizeof(*w));

	w->peer = peer;
	w->id = id;
	str_copy(auth->session, w->session, sizeof(w->session));
	str_copy(auth->client, w->client, sizeof(w->client));
	*attempt->last = w;
	attempt->last = &w->next;
}

void gate_attempt_forget(struct gate_attempts *all, const struct gate_peer *peer)
{
	for (struct gate_attempt *a = all->first; a != NULL; a = a->next)
		for (struct gate_waiter *w = a->first; w != NULL; w = w->next)
			if (w->peer == peer)
				w->peer = NULL;
}
