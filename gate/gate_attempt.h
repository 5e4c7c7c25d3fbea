/* SPDX-License-Identifier: Apache-2.0
 *
 * The logins under way. Those with the same name and password wait for one verification together:
 * fifty connections that an application opens at once cost one hash. Pure: it neither asks nor
 * answers anybody.
 */
#ifndef GATE_GATE_ATTEMPT_H
#define GATE_GATE_ATTEMPT_H

#include "gate/gate_cache.h"
#include "lib/ipc/ipc_body.h"
#include "lib/net/threads.h"
#include "lib/queue/password.h"

enum { GATE_CLIENT_TEXT = 64, GATE_WHY = 128 };

struct gate_peer;

/* One that waits for the answer. */
struct gate_waiter {
	struct gate_waiter *next;
	struct gate_peer *peer; /* NULL: it went away */
	uint64_t id;
	char session[IPC_SESSION_TEXT], client[GATE_CLIENT_TEXT];
};

struct gate_attempt {
	struct gate_cache_key key;
	char client[GATE_CLIENT_TEXT]; /* as network_key() names whoever began it */
	/* One octet more than is allowed, so that too long stays wrong. */
	char password[PASSWORD_MAX + 2];
	size_t password_n;
	struct gate_waiter *first, **last;
	struct gate_attempt *next;

	/* What the source of users says. */
	struct gate_identity *identity; /* NULL: unknown */
	bool is_enabled;
	char hash[PASSWORD_HASH_MAX];
	char why[GATE_WHY]; /* it is unknown */

	/* What the thread finds out; or the source. */
	bool is_right;
	int64_t took;
	struct threads_job job;
};

struct gate_attempts {
	struct gate_attempt *first;
	unsigned n, most;
};

/* The one under way with this key, or NULL. */
struct gate_attempt *gate_attempt_find(const struct gate_attempts *all,
				       const struct gate_cache_key *key);
/* Begins one for a client (as network_key() names it); NULL when there are too many. */
struct gate_attempt *gate_attempt_new(struct gate_attempts *all, const struct gate_cache_key *key,
				      const struct ipc_auth *auth, const char *client);
/* How many this client began. */
unsigned gate_attempt_count(const struct gate_attempts *all, const char *client);
/* Ends it: takes it out and wipes it, its waiters with it. Sets the pointer to NULL. */
void gate_attempt_free(struct gate_attempts *all, struct gate_attempt **attempt);

/* Waits for it, the first to come first. */
void gate_attempt_wait(struct gate_attempt *attempt, struct gate_peer *peer, uint64_t id,
		       const struct ipc_auth *auth);
/* Nobody behind this peer waits any more. */
void gate_attempt_forget(struct gate_attempts *all, const struct gate_peer *peer);

#endif
