/* SPDX-License-Identifier: Apache-2.0
 *
 * Who somebody is once the login was good: what smtpd is told and what gate itself needs with every mail. Shared by
 * the cache, the logins under way and the smtpd that was told; it lives as long as one of them holds it.
 */
#ifndef GATE_GATE_IDENTITY_H
#define GATE_GATE_IDENTITY_H

#include "gate/gate_store.h"
#include "gate/gate_users.h"
#include "lib/base/network.h"

struct gate_identity {
	unsigned refs;
	struct uuid tenant, user;
	char *tenant_name, *user_name;
	char *senders; /* blanks between; "" for any */
	enum ipc_mode mode;
	bool is_test;  /* nothing of it leaves */
	bool has_suppressions; /* its tenant: each recipient is asked for */
	bool is_bound; /* to these networks */
	struct network_list networks;
	/* What a mail takes: the user's limits, then the tenant's. */
	struct gate_take take[2 * GATE_SPANS];
	unsigned n_takes, n_users_takes;
	int64_t generation; /* the count of changes when it was read */
};

/* Held once by the caller. */
struct gate_identity *gate_identity_new(const struct gate_user *user);
struct gate_identity *gate_identity_hold(struct gate_identity *identity);
/* Sets the pointer to NULL; NULL is fine. */
void gate_identity_release(struct gate_identity **identity);

/* Whether this address may log in as it. */
bool gate_identity_may_come_from(const struct gate_identity *identity, struct str client);

#endif
