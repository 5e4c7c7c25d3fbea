/* SPDX-License-Identifier: Apache-2.0
 *
 * The SMTP users and their tenants in the database: looked up by name, and a word when any of them
 * changed.
 */
#ifndef GATE_GATE_USERS_H
#define GATE_GATE_USERS_H

#include "gate/gate_cache.h"
#include "lib/base/err.h"
#include "lib/net/loop.h"
#include "lib/queue/pg.h"

enum gate_users_found {
	GATE_USERS_KNOWN,
	GATE_USERS_UNKNOWN,
	GATE_USERS_UNAVAILABLE, /* the database cannot be asked now */
};

struct gate_user {
	struct gate_identity identity;
	struct str hash;    /* borrowed for the call */
	bool is_enabled;    /* and its tenant too */
	int64_t generation; /* the count of changes when it was read */
};

struct gate_users;
/* `user` is NULL unless known; err says why it is unavailable. */
typedef void gate_users_fn(void *ctx, enum gate_users_found found, const struct gate_user *user,
			   const struct err *err);
/* Users or tenants are not what they were: `generation` is the count of changes. */
typedef void gate_users_changed_fn(void *ctx, int64_t generation);

struct gate_users *gate_users_new(struct loop *loop, const struct pg_options *options,
				  gate_users_changed_fn *changed, void *ctx);
/* Look-ups under way are not called back. */
void gate_users_free(struct gate_users **users);
/* Calls back once, never inside this call. Names are compared as they are stored, case too. */
void gate_users_find(struct gate_users *users, struct str name, gate_users_fn *fn, void *ctx);

#endif
