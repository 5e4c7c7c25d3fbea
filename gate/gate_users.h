/* SPDX-License-Identifier: Apache-2.0
 *
 * Where SMTP users are known (gate.users): one look-up, whatever the source, and a word when any of them changed. A
 * source is a struct gate_users_source in a gate_users_NAME.c of its own and a row in gate_users.c.
 */
#ifndef GATE_GATE_USERS_H
#define GATE_GATE_USERS_H

#include "lib/base/err.h"
#include "lib/base/uuid.h"
#include "lib/ipc/ipc_body.h"
#include "lib/net/loop.h"
#include "lib/settings/settings.h"

/* Mails a second, minute, hour, day (UTC), calendar month. */
enum gate_span { GATE_A_SECOND, GATE_A_MINUTE, GATE_AN_HOUR, GATE_A_DAY, GATE_A_MONTH, GATE_SPANS };

struct gate_limits {
	int64_t most[GATE_SPANS]; /* 0: any number */
};

/* Who is looked for; the members that `by` does not name are empty. */
enum gate_users_by {
	GATE_USERS_BY_NAME,	   /* name; and the password, for a source that checks it itself */
	GATE_USERS_BY_CERTIFICATE, /* certificate, and name when it is not empty */
	GATE_USERS_BY_ID,	   /* tenant and user: of somebody who is in */
};

struct gate_users_question {
	enum gate_users_by by;
	struct str name, password;
	struct str certificate; /* ipc_auth.certificate: words, lower case */
	struct uuid tenant, user;
};

/* What a source tells of a user; texts are borrowed for the callback. */
struct gate_user {
	struct uuid tenant, user;
	struct str tenant_name, user_name;
	struct str senders;  /* the only ones it may use, blanks between; empty: any */
	struct str networks; /* the only ones it may come from, as network_list_parse() reads them; empty: any */
	enum ipc_mode mode;
	struct gate_limits user_limits, tenant_limits;
	struct str hash;    /* of the password, for gate to verify */
	bool is_right;	    /* the source itself found the password right: there is no hash */
	bool is_enabled;    /* and its tenant too */
	bool is_test;	    /* nothing of it leaves */
	bool has_suppressions; /* its tenant */
	int64_t generation; /* the count of changes when it was read */
};

enum gate_users_found {
	GATE_USERS_KNOWN,
	GATE_USERS_UNKNOWN,	/* or not right, when the source checks itself; or not one alone */
	GATE_USERS_UNAVAILABLE, /* the source cannot be asked now */
};

/* `user` is NULL unless known; else err says why, for the log. */
typedef void gate_users_fn(void *ctx, enum gate_users_found found, const struct gate_user *user,
			   const struct err *err);
/* KNOWN: the tenant suppresses that recipient. */
typedef void gate_users_suppressed_fn(void *ctx, enum gate_users_found found, const struct err *err);
/* Users or tenants are not what they were: `generation` is the count of changes, which only grows. */
typedef void gate_users_changed_fn(void *ctx, int64_t generation);

struct gate_users_options {
	const struct settings *settings;
	const char *database_host, *database_ca_file; /* as the process sees them (struct service_env) */
	gate_users_changed_fn *changed;
	void *ctx;
};

struct gate_users_source {
	void *(*open)(struct loop *loop, const struct gate_users_options *options);
	/* Look-ups under way are not called back. */
	void (*close)(void *source);
	void (*find)(void *source, const struct gate_users_question *question, gate_users_fn *fn, void *ctx);
	void (*find_suppressed)(void *source, const struct uuid *tenant, struct str address, gate_users_suppressed_fn *fn,
				void *ctx); /* NULL: it knows of none */
	void (*use_settings)(void *source, const struct settings *settings); /* NULL: it has no use for them */
};

struct gate_users;

struct gate_users *gate_users_new(struct loop *loop, const struct gate_users_options *options);
/* Look-ups under way are not called back. */
void gate_users_free(struct gate_users **users);
void gate_users_use_settings(struct gate_users *users, const struct settings *settings);
/* Calls back once, never inside this call. Names are compared as they are stored, case too. */
void gate_users_find(struct gate_users *users, const struct gate_users_question *question, gate_users_fn *fn,
		     void *ctx);
/* Whether the tenant's list has the address (in lower case) or its domain. Calls back once, perhaps inside this call. */
void gate_users_find_suppressed(struct gate_users *users, const struct uuid *tenant, struct str address,
				gate_users_suppressed_fn *fn, void *ctx);
/* For a source that answers GATE_USERS_UNKNOWN: the reason, for the log. */
const char *gate_users_why_unknown(enum gate_users_by by, bool is_several);

#endif
